"""Exercises of lesson 14. The right values come from plain loops, the model's parts run one by one,
and scipy.
"""

import itertools
import operator
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import torch
from torch import Tensor, nn

from course_utils.checking import Exercises, Wrong, difference, expect, kind_of
from course_utils.checking.inputs import different, normal
from course_utils.circuits import hooks, search
from course_utils.circuits import reading as circuits
from course_utils.transformer_block.block import TransformerConfig
from course_utils.transformer_block.transformer import Transformer

EXERCISES = Exercises()


# --- A small model whose every number is known ----------------------------------------------------


class Watched(Transformer):
    """A model that the engine, which copies arguments, leaves as it is; it counts its runs."""

    runs = 0

    def __deepcopy__(self, memo: dict) -> "Watched":
        return self

    def __repr__(self) -> str:
        return "model"

    def forward(self, ids: Tensor, *rest: object) -> Tensor:
        self.runs += 1
        return super().forward(ids, *rest)


def watched(rng: random.Random, n_layer: int = 3, tied: bool = True) -> Watched:
    """A random model whose LayerNorms have gains and shifts of their own, so that leaving one out
    shows.
    """
    config = TransformerConfig(
        vocab_size=13,
        n_positions=12,
        n_embd=12,
        n_layer=n_layer,
        n_head=3,
        n_inner=10,
        initializer_range=0.5,
        tie_word_embeddings=tied,
        depth_scaled_init=False,
    )
    generator = torch.Generator().manual_seed(rng.randrange(2**31))
    model = Watched(config, generator)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.5)
    return model


def whole(rng: random.Random, B: int, T: int, most: int = 13) -> Tensor:
    return torch.randint(
        most, (B, T), generator=torch.Generator().manual_seed(rng.randrange(2**31))
    )


@torch.no_grad()
def run_by_hand(
    model: Transformer, ids: Tensor, change: Callable[[str, Tensor], Tensor] = lambda name, x: x
) -> dict:
    """The model's activations by name, computed part after part; `change` may replace any of them
    on the way.
    """
    found = {}

    def note(name: str, x: Tensor) -> Tensor:
        found[name] = change(name, x)
        return found[name]

    x = note("wte", model.wte(ids)) + note("wpe", model.wpe.weight[: ids.size(1)])
    for layer, block in enumerate(model.h):
        at = f"h.{layer}"
        x = note(f"{at}.in", x)
        x = x + note(f"{at}.attn", block.attn(note(f"{at}.ln_1", block.ln_1(x))))
        inner = note(f"{at}.mlp.c_fc", block.mlp.c_fc(note(f"{at}.ln_2", block.ln_2(x))))
        x = note(at, x + note(f"{at}.mlp", block.mlp.c_proj(block.mlp.act(inner))))
    found["lm_head"] = note("ln_f", model.ln_f(x)) @ model.lm_head.weight.T
    return found


def hooks_on(model: nn.Module) -> int:
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules())


# --- record ---------------------------------------------------------------------------------------


class InPlace(nn.Module):
    """A network whose second part overwrites what the first one gave."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.first = nn.Linear(*weight.shape, bias=False)
        self.bend = nn.ReLU(inplace=True)
        self.first.weight.data = weight.T.contiguous()

    def __deepcopy__(self, memo: dict) -> "InPlace":
        return self

    def __repr__(self) -> str:
        return "network"

    def forward(self, x: Tensor) -> Tensor:
        return self.bend(self.first(x))


# what each of these modules gets, by the name of the activation
GIVEN = {"h.0.mlp": "h.0.ln_2", "h.1.attn": "h.1.ln_1", "ln_f": "h.2", "h.1": "h.1.in", "lm_head": "ln_f",
         "h.0.ln_1": "h.0.in", "h.2.mlp.c_fc": "h.2.ln_2"}  # fmt: skip


def _expect_record(got: object, name: str, truth: dict, call: str) -> None:
    """What was recorded under this name is a tensor, without a graph, and the module's output."""
    if not isinstance(got, Tensor):
        raise Wrong(f"{call}: {name} should be a tensor, not {kind_of(got)}.")
    if got.requires_grad:
        raise Wrong(
            f"{call}: {name} hangs on the model's graph of gradients. Record under torch.no_grad(), or detach."
        )
    mistakes = (
        {"you recorded what the module gets; record what it gives": truth[GIVEN[name]]}
        if name in GIVEN
        else {}
    )
    mistakes["keep all positions, not the last only"] = truth[name][:, -1:]
    mistakes["keep all sequences of the batch"] = truth[name][0]
    expect(got, truth[name], f"{call}[{name!r}]", mistakes=mistakes, tol=1e-4)


@torch.no_grad()
def _past_the_model(model: nn.Module, ids: Tensor, names: list[str]) -> dict[str, Tensor]:
    """Each module is run by itself, on the embedding of the tokens."""
    x = model.wte(ids)
    return {name: x if name == "wte" else model.get_submodule(name)(x) for name in names}


LOOP = (
    "Keep what each module gives under its own name: a function that is made in a loop sees the loop's last name, "
    "unless you bind it, name=name"
)


@EXERCISES.add(
    hooks.record,
    difficulty=2,
    minutes=10,
    hints=[
        "A hook is a function of (module, args, output). Where does it put the output, so that you can return it later?",
        "model.get_submodule(name).register_forward_hook(keep) returns a handle; handle.remove() takes the hook off. In a loop, write "
        "`def keep(module, args, output, name=name)`: otherwise all hooks see the last name.",
        "Keep output.clone(). `with contextlib.ExitStack() as hooks:` and hooks.enter_context(handle) remove all handles at the end, also "
        "after an error. The model runs once, inside of it, under @torch.no_grad().",
    ],
    refuses=[(torch.nn.Sequential(torch.nn.Linear(2, 2)), torch.ones(1, 2), ["1"])],
    mistakes={
        "you gave each module the token embeddings; run the whole model once, and keep what each module gives inside of it": _past_the_model
    },
)
def check_record(student: Callable, rng: random.Random) -> None:
    model = watched(rng)
    model.train()
    kept = []
    # somebody else's hook
    model.h[1].mlp.register_forward_hook(lambda module, args, output: kept.append(1))
    ids = whole(rng, 2, rng.randint(4, 7))
    names = rng.sample(
        ["wte", "h.0.mlp", "h.1.attn", "h.0.ln_1", "h.2.mlp.c_fc", "ln_f", "h.1", "lm_head"], 5
    )
    truth = run_by_hand(model, ids)
    model.runs = 0
    call = f"record(model, ids, {names})"
    found = student(model, ids, names)
    if not isinstance(found, dict):
        raise Wrong(
            f"{call}: return a dictionary from names to tensors; you returned a {type(found).__name__}."
        )
    if list(found) == names[-1:]:
        raise Wrong(f"{call}: only the last name is there. {LOOP}")
    if sorted(found) != sorted(names):
        raise Wrong(
            f"{call}: the dictionary should have these names as keys, it has {sorted(map(str, found))[:6]}."
        )
    last = found[names[-1]]
    if all(
        isinstance(x, Tensor) and x.shape == last.shape and torch.equal(x, last)
        for x in found.values()
    ):
        raise Wrong(f"{call}: all names hold the same tensor. {LOOP}")
    fits = {n: [m for m in names if difference(found[n], truth[m], 1e-4) is None] for n in names}
    if all(fits.values()) and (mixed := [n for n in names if n not in fits[n]]):
        raise Wrong(
            f"{call}: {mixed[0]} holds what {fits[mixed[0]][0]} gives. Modules run in the order of the model, not in the order "
            "of `names`: keep each output under its own name"
        )
    for name in names:
        _expect_record(found[name], name, truth, call)
    if model.runs != 1:
        raise Wrong(
            f"{call}: the model ran {model.runs} times. Put all hooks on, then run it once."
        )
    check_record_in_trouble(student, rng, model, ids)


def check_record_in_trouble(
    student: Callable, rng: random.Random, model: Watched, ids: Tensor
) -> None:
    before = hooks_on(model)
    bad = ids.clone()
    bad[0, 0] = 99
    for call, args in (
        ("record(model, ids, names) where the model fails", (model, bad, ["h.0", "h.1.mlp"])),
        ("record(model, ids, ['h.0', 'h.7'])", (model, ids, ["h.0", "h.7"])),
    ):
        try:
            student(*args)
        except Exception:
            if hooks_on(model) != before:
                raise Wrong(
                    f"{call}: hooks are left on the model. Take them off in `finally`, or let a `with` do it."
                ) from None
        else:
            raise Wrong(f"{call}: the error was swallowed. Let it through, and clean up behind it.")
    weight = normal(rng, 4, 5)
    x = normal(rng, 2, 3, 4)
    got = student(InPlace(weight), x, ["first"])
    want = torch.einsum("bti,io->bto", x, weight)
    expect(
        got.get("first") if isinstance(got, dict) else got,
        want,
        "record(network, x, ['first']) where a later part works in place",
        mistakes={"a later module has written over what you kept: clone it": want.clamp(min=0)},
    )


# --- logit_lens -----------------------------------------------------------------------------------


def _through_head(model: Watched, streams: list[Tensor]) -> Tensor:
    """The logits of each of these tensors, without a norm."""
    return torch.stack([x @ model.lm_head.weight.T for x in streams])


def _lens_mistakes(model: Watched, streams: list[Tensor], want: Tensor) -> dict[str, Tensor]:
    """What the usual slips make of the streams, by what they are."""
    norm = model.ln_f
    normed = [norm(x) for x in streams]
    plain = [
        (x - x.mean(-1, keepdim=True)) / (x.var(-1, correction=0, keepdim=True) + norm.eps).sqrt()
        for x in streams
    ]
    return {
        "the last LayerNorm, ln_f, comes before the head: what leaves a block has not been through it": _through_head(
            model, streams
        ),
        "ln_f has a gain and a shift; you only normalised": _through_head(model, plain),
        "the stream before the first block belongs to it, too": want[1:],
        "the stream after the last block is missing": want[:-1],
        "the last row went through ln_f twice": _through_head(
            model, [*normed[:-1], norm(normed[-1])]
        ),
        "the last row is the model's answer: it needs ln_f, too": _through_head(
            model, [*normed[:-1], streams[-1]]
        ),
        "only the last row went through ln_f": _through_head(model, [*streams[:-1], normed[-1]]),
        "from the first layer to the last; yours is the other way round": want.flip(0),
        "return logits, not probabilities": want.softmax(-1),
        "return logits, not their logarithmic probabilities": want.log_softmax(-1),
        "decode the whole stream; you decoded what each block added": _through_head(
            model, [norm(x) for x in [streams[0], *(b - a for a, b in itertools.pairwise(streams))]]
        ),
        "keep all positions, not the last only": want[:, :, -1],
        "the layer is the first dimension": want.transpose(0, 1),
        "each row is the same: decode the stream of each layer": want[-1:].expand_as(want),
        "the head is lm_head; you used the token embedding": torch.stack(
            [x @ model.wte.weight.T for x in normed]
        ),
        "the norm is the last one, ln_f, for every layer": _through_head(
            model, [*(b.ln_1(x) for b, x in zip(model.h, streams, strict=False)), normed[-1]]
        ),
    }


@EXERCISES.add(
    circuits.logit_lens,
    difficulty=1,
    minutes=5,
    hints=[
        "model.streams(ids) is a list: the residual stream before the first block and after each. What does the model do with the last of them?",
        "It goes through model.ln_f, then through model.lm_head. Do the same with all of them.",
        "torch.stack([model.lm_head(model.ln_f(stream)) for stream in model.streams(ids)])",
    ],
    mistakes={
        "you returned a list of tensors; torch.stack makes one tensor of them": (
            lambda model, ids: list(circuits.logit_lens(model, ids))
        )
    },
)
def check_logit_lens(student: Callable, rng: random.Random) -> None:
    for n_layer, tied in ((3, True), (2, False), (1, True)):
        model = watched(rng, n_layer, tied).eval()
        ids = whole(rng, 2, rng.randint(3, 8))
        parts = run_by_hand(model, ids)
        streams = [parts["h.0.in"], *(parts[f"h.{layer}"] for layer in range(n_layer))]
        with torch.no_grad():
            want = _through_head(model, [model.ln_f(x) for x in streams])
            mistakes = _lens_mistakes(model, streams, want)
            call = f"logit_lens(model, ids) with {n_layer} layers{'' if tied else ' and a head of its own'}"
            expect(student(model, ids), want, call, mistakes=different(mistakes, want), tol=1e-4)


# --- patching_map ---------------------------------------------------------------------------------


def _two_texts(rng: random.Random, T: int) -> tuple[Tensor, Tensor]:
    """A clean text and a corrupt one, which differ at two positions before the last."""
    clean = whole(rng, 1, T)
    corrupt = clean.clone()
    for at in rng.sample(range(T - 1), 2):
        corrupt[0, at] = (corrupt[0, at] + rng.randint(1, 12)) % 13
    return clean, corrupt


def _difference_of_logits(a: int, b: int) -> Callable[[Tensor], Tensor]:
    """A metric: how much higher the last position puts token a than token b."""

    def metric(logits: Tensor) -> Tensor:
        return logits[:, -1, a] - logits[:, -1, b]

    return metric


def _patched_metrics(
    model: Watched,
    metric: Callable[[Tensor], Tensor],
    names: list[str],
    base: Tensor,
    source: Tensor,
    positions: Callable[[int], object],
    shift: int = 0,
    piled: bool = False,
) -> Tensor:
    """The metric (names, T) of runs of `base` in which some positions of one activation
    come from `source`; with `piled` all of each activation before it as well.
    """
    given = run_by_hand(model, source)

    def one(name: str, t: int) -> Tensor:
        def change(here: str, x: Tensor) -> Tensor:
            if piled and here in names[: names.index(name)]:
                return given[here]
            if here != name:
                return x
            x = x.clone()
            x[:, positions(t)] = given[name].roll(shift, dims=1)[:, positions(t)]
            return x

        return metric(run_by_hand(model, base, change)["lm_head"])[0]

    return torch.stack([torch.stack([one(name, t) for t in range(base.size(1))]) for name in names])


def _patching_mistakes(
    table: Callable, clean: Tensor, corrupt: Tensor, good: Tensor, bad: Tensor
) -> dict[str, Tensor]:
    """What the usual slips make of the map; `good` and `bad` are the metric without a patch."""
    raw = table(corrupt, clean, lambda t: t)
    want = (raw - bad) / (good - bad)
    noised = table(clean, corrupt, lambda t: t)
    return {
        "run the corrupt text and patch in the clean run; yours is the other way round": (
            noised - bad
        )
        / (good - bad),
        "run the corrupt text and patch in the clean run; you broke the clean one": (noised - good)
        / (bad - good),
        "the patch comes from the same run that it goes into": torch.zeros_like(want),
        "you ran the clean text, which the patch cannot repair any more; run the corrupt one": (
            torch.ones_like(want)
        ),
        "patches of earlier positions and names stayed on; take each off before the next one": (
            (table(corrupt, clean, lambda t: slice(0, t + 1), piled=True) - bad) / (good - bad)
        ),
        "bring it to a scale: (patched - corrupt) / (clean - corrupt)": raw,
        "divide by clean - corrupt": raw - bad,
        "subtract the corrupt run's metric first": raw / (good - bad),
        "1 should mean repaired; yours is 1 where nothing is repaired": (good - raw) / (good - bad),
        "divide by the difference with its sign": (raw - bad) / (good - bad).abs(),
        "patch one position at a time; you patched all": (
            (table(corrupt, clean, lambda t: slice(None)) - bad) / (good - bad)
        ),
        "patch one position at a time; you patched all up to it": (
            (table(corrupt, clean, lambda t: slice(0, t + 1)) - bad) / (good - bad)
        ),
        "patch one position at a time; you patched all from it on": (
            (table(corrupt, clean, lambda t: slice(t, None)) - bad) / (good - bad)
        ),
        "the patch must come from the same position; yours comes from the one before": (
            (table(corrupt, clean, lambda t: t, shift=1) - bad) / (good - bad)
        ),
        "the columns are positions from the first; yours start with the last": want.flip(1),
        "a row for each name, a column for each position; yours is transposed": want.T,
    }


@EXERCISES.add(
    circuits.patching_map,
    difficulty=3,
    minutes=15,
    hints=[
        "Two runs without patches give the ends of the scale, clean and corrupt. activations(model, clean, names) gives what to patch in.",
        "For one name and position: `with patched(model, {name: only(source, slice(None), t)}): metric(model(corrupt))`. Loop, or run T copies of the "
        "corrupt text at once, the t-th patched at position t.",
        "source = cache[name].expand(T, -1, -1); t = torch.arange(T); the patch only(source, t, t) takes source[t, t]: text t, position t. Run "
        "corrupt.expand(T, -1).",
    ],
)
def check_patching_map(student: Callable, rng: random.Random) -> None:
    for n_layer, T in ((2, 5), (3, 7), (1, 4)):
        model = watched(rng, n_layer).eval()
        clean, corrupt = _two_texts(rng, T)
        tokens = rng.sample(range(13), 2)
        everything = [
            "h.0.in",
            *(f"h.{k}{part}" for k in range(n_layer) for part in ("", ".attn", ".mlp")),
        ]
        names = rng.sample(everything, min(4, len(everything)))
        ends = [run_by_hand(model, ids)["lm_head"] for ids in (clean, corrupt)]
        good, bad = (_difference_of_logits(*tokens)(logits)[0] for logits in ends)
        if n_layer == 2 and good > bad:  # the scale may go downwards, too
            tokens.reverse()
            good = -good
            bad = -bad
        metric = _difference_of_logits(*tokens)
        table = partial(_patched_metrics, model, metric, names)
        raw = table(corrupt, clean, lambda t: t)
        want = (raw - bad) / (good - bad)
        model.runs = 0
        call = f"patching_map(model, clean, corrupt, metric, {names}) with {T} positions"
        got = student(model, clean, corrupt, metric, names)
        if difference(got, want, 1e-3) is None:
            continue
        for order in itertools.permutations(range(len(names))):
            if difference(got, want[list(order)], 1e-3) is None:
                raise Wrong(
                    f"{call}: the rows are right, but in another order; put them in the order of `names`"
                )
        mistakes = _patching_mistakes(table, clean, corrupt, good, bad)
        expect(got, want, call, mistakes=different(mistakes, want), tol=1e-3)


# --- kept -----------------------------------------------------------------------------------------


@contextmanager
def _replaced(model: Watched, parts: list[str], run: dict | None) -> Iterator[None]:
    """While inside, these heads and MLPs give what they gave in a run, or 0: by hooks on their
    modules, one part after the other.
    """
    handles = []
    d = model.config.n_embd // model.config.n_head
    for part in parts:
        kind, _, place = part.partition(" ")
        layer, _, head = place.partition(".")
        block = model.h[int(layer)]
        given = None if run is None else run[kind, int(layer)]
        if kind == "mlp":

            def whole(module, args, output, given=given):
                return torch.zeros_like(output) if given is None else given

            handles.append(block.mlp.register_forward_hook(whole))
        else:
            columns = slice(int(head) * d, int(head) * d + d)

            def one(module, args, given=given, columns=columns):
                x = args[0].clone()
                x[..., columns] = 0 if given is None else given[..., columns]
                return (x,)

            handles.append(block.attn.c_proj.register_forward_pre_hook(one))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@torch.no_grad()
def _parts_given(model: Watched, ids: Tensor) -> dict:
    """What goes into each W_O (the heads side by side), and what each MLP gives."""
    found = {}
    handles = []
    for layer, block in enumerate(model.h):

        def heads(module, args, layer=layer):
            found["head", layer] = args[0].clone()

        def mlp(module, args, output, layer=layer):
            found["mlp", layer] = output.clone()

        handles.append(block.attn.c_proj.register_forward_pre_hook(heads))
        handles.append(block.mlp.register_forward_hook(mlp))
    model(ids)
    for handle in handles:
        handle.remove()
    return found


@torch.no_grad()
def _metric_with(
    model: Watched, ids: Tensor, metric: Callable, parts: list[str], run: dict | None
) -> Tensor:
    with _replaced(model, parts, run):
        return metric(model(ids))


def _kept_mistakes(
    model: Watched, clean: Tensor, corrupt: Tensor, metric: Callable, circuit: list[str]
) -> tuple[Tensor, dict]:
    """The right shares, and what the usual slips make of them."""
    everything = search.parts(model)
    outside = [part for part in everything if part not in circuit]
    good = _metric_with(model, clean, metric, [], None)
    bad = _metric_with(model, corrupt, metric, [], None)
    theirs = _parts_given(model, corrupt)
    ours = _parts_given(model, clean)

    def share(ids: Tensor, parts: list[str], run: dict | None) -> Tensor:
        return (_metric_with(model, ids, metric, parts, run) - bad) / (good - bad)

    raw = _metric_with(model, clean, metric, outside, theirs)
    want = (raw - bad) / (good - bad)
    return want, {
        "the circuit keeps the clean text, and all other parts are replaced; yours is the other way round": share(
            clean, circuit, theirs
        ),
        "run the clean texts; you ran the corrupt ones, which hold nothing of the answer": torch.zeros_like(
            want
        ),
        "run the clean texts and replace what is outside; you ran the corrupt ones and put the circuit in": share(
            corrupt, circuit, ours
        ),
        "what is outside comes from the corrupt run; yours comes from the clean run, and nothing changes": torch.ones_like(
            want
        ),
        "what is outside gives what it gives on the corrupt text; you set it to 0": share(
            clean, outside, None
        ),
        "MLPs are parts, too: replace those that are outside": share(
            clean, [part for part in outside if part.startswith("head")], theirs
        ),
        "heads are parts, too: replace those that are outside": share(
            clean, [part for part in outside if part.startswith("mlp")], theirs
        ),
        "bring it to a scale: (metric - corrupt) / (clean - corrupt)": raw,
        "divide by clean - corrupt": raw - bad,
        "subtract the corrupt run's metric first": raw / (good - bad),
        "1 should mean kept; yours is 1 where all is lost": 1 - want,
        "give one number for each text, not their mean": want.mean(),
    }


@EXERCISES.add(
    search.kept,
    difficulty=2,
    minutes=12,
    hints=[
        "Three runs: the clean texts, the corrupt ones, and the clean ones with patches. The first two are the ends of the scale.",
        "circuits.parts(model) names all parts; those that are not in the circuit are outside. "
        "circuits.activations(model, corrupt, circuits.POINTS) is the cache that circuits.swaps needs.",
        "`with circuits.patched(model, circuits.swaps(cache, outside)): left = metric(model(clean))`, then (left - bad) / (good - bad). "
        "Measure good and bad outside of `with`.",
    ],
)
def check_kept(student: Callable, rng: random.Random) -> None:
    for n_layer, size in ((2, 4), (3, 5), (2, 8)):
        model = watched(rng, n_layer).eval()
        rows = [_two_texts(rng, 6) for _ in range(2)]
        clean, corrupt = (torch.cat(texts) for texts in zip(*rows, strict=True))
        metric = _difference_of_logits(*rng.sample(range(13), 2))
        heads = [part for part in search.parts(model) if part.startswith("head")]
        mlps = [part for part in search.parts(model) if part.startswith("mlp")]
        # a head and an MLP are inside, and others outside
        circuit = rng.sample(heads, size - 1 if size < len(heads) else len(heads) - 1)
        circuit += rng.sample(mlps, 1)
        call = f"kept(model, clean, corrupt, metric, {circuit})"
        want, mistakes = _kept_mistakes(model, clean, corrupt, metric, circuit)
        got = student(model, clean, corrupt, metric, circuit)
        expect(got, want, call, mistakes=different(mistakes, want), tol=1e-3)


# --- prune ----------------------------------------------------------------------------------------


def _greedy(
    every: list[str],
    score: Callable[[list[str]], float],
    least: float,
    choose: Callable = max,
    enough: Callable = operator.ge,
) -> list[str]:
    """One part out at a time; `choose` picks among the scores, the first of equals goes."""
    left = tuple(every)
    while left:
        fewer = [left[:i] + left[i + 1 :] for i in range(len(left))]
        found = [score(list(chosen)) for chosen in fewer]
        picked = choose(found)
        if not enough(picked, least):
            return list(left)
        left = fewer[found.index(picked)]
    return []


def _one_too_many(every: list[str], score: Callable, least: float) -> list[str]:
    """Takes the part out before it looks at the score."""
    left = list(every)
    while left and score(left) >= least:
        left.remove(max(left, key=lambda part: score([p for p in left if p != part])))
    return left


def _by_first_scores(every: list[str], score: Callable, least: float) -> list[str]:
    """Sorts the parts once, by what each costs alone, and takes them out in this order."""
    left = list(every)
    for part in sorted(every, key=lambda part: -score([p for p in every if p != part])):
        fewer = [other for other in left if other != part]
        if score(fewer) < least:
            break
        left = fewer
    return left


def _one_pass(every: list[str], score: Callable, least: float) -> list[str]:
    """Goes through the parts once, and drops each that can be spared."""
    left = list(every)
    for part in every:
        fewer = [other for other in left if other != part]
        if score(fewer) >= least:
            left = fewer
    return left


def _best_alone(every: list[str], score: Callable, least: float) -> list[str]:
    """Takes the parts that score highest alone, until it is enough."""
    chosen = []
    for part in sorted(every, key=lambda part: -score([part])):
        if score(chosen) >= least:
            break
        chosen.append(part)
    return [part for part in every if part in chosen]


@EXERCISES.add(
    search.prune,
    difficulty=2,
    minutes=10,
    hints=[
        "In each round, score what is left without each part in turn. Which part goes, and when do you stop?",
        "Keep a list `left`. In a round: scores = [score([p for p in left if p != part]) for part in left]. The part with the highest of "
        "them goes, if that score is at least `least`.",
        "best = max(range(len(left)), key=scores.__getitem__) is the first of equals. `break` where scores[best] < least, else "
        "del left[best]. Raise the ValueError before the first round. Copy `every` first.",
    ],
    refuses=[(["a", "b"], len, 3.0)],
    mistakes={
        "you took out the part that costs most; the one that costs least goes": lambda every, score, least: (
            _greedy(every, score, least, choose=min)
        ),
        "one part too many is gone: look at the score before you take it out": _one_too_many,
        "score the parts anew in each round: what a part costs depends on what is gone already": _by_first_scores,
        "you dropped each part that can be spared, in their order; in each round the cheapest of all goes": _one_pass,
        "you collected the parts that score highest alone; take parts out of the whole instead": _best_alone,
        "a score of just `least` is enough": lambda every, score, least: _greedy(
            every, score, least, enough=operator.gt
        ),
        "those are the parts that you took out; return what is left": lambda every, score, least: [
            part for part in every if part not in _greedy(every, score, least)
        ],
        "keep the order of `every`": lambda every, score, least: sorted(
            _greedy(every, score, least), key=every.index, reverse=True
        ),
        "nothing was taken out": lambda every, score, least: list(every),
        "only one part was taken out; go on as long as the score allows it": lambda every, score, least: [
            part for part in every if part != max(
                every, key=lambda part: score([other for other in every if other != part])
            )
        ],
    },
)  # fmt: skip
def check_prune(student: Callable, rng: random.Random) -> None:
    told = 0
    while told < 4:
        every = rng.sample([f"head {i}.{j}" for i in range(3) for j in range(3)], 7)
        worth = dict(zip(every, rng.sample(range(1, 30), 7), strict=True))
        partners = list(zip(rng.sample(every, 4), rng.sample(every, 4), strict=True))

        # where both of a pair are gone, much more is lost than by each of them
        def score(chosen: list[str], worth: dict = worth, partners: list = partners) -> float:
            lost = sum(a not in chosen and b not in chosen for a, b in partners)
            return float(sum(worth[part] for part in chosen) - 15 * lost)

        left = every
        for _ in range(3):  # what three rounds leave is just enough
            left = max(([p for p in left if p != part] for part in left), key=score)
        least = score(left)
        want = _greedy(every, score, least)
        if score(every) < least or _by_first_scores(every, score, least) == want:
            continue  # here the scores of the first round would do
        told += 1
        call = f"prune({every}, score, least={least:g})"
        expect(student(list(every), score, least), want, call)
