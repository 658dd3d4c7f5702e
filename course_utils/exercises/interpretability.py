"""Exercises of notebook 08. The right values come from plain loops, the model's parts run one by one, and scipy."""

import itertools
import random
from collections.abc import Callable
from functools import cache

import numpy as np
import torch
from scipy.optimize import minimize
from scipy.special import logsumexp
from torch import Tensor, nn

from course_utils.checking.compare import Wrong, difference, show_value
from course_utils.checking.engine import Exercise, expect
from course_utils.circuits import reading as ip
from course_utils.exercises.attention import normal
from course_utils.exercises.superposition import dice, different
from course_utils.grokking import modular_addition as gk
from course_utils.induction import ablation as ab
from course_utils.induction import heads as ind
from course_utils.probes import linear as pb
from course_utils.transformer_block.block import TransformerConfig
from course_utils.transformer_block.ladder import Transformer

# --- A small model whose every number is known -----------------------------------------------------------------------


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
    """A random model whose LayerNorms have gains and shifts of their own, so that leaving one out shows."""
    config = TransformerConfig(vocab_size=13, n_positions=12, n_embd=12, n_layer=n_layer, n_head=3, n_inner=10,
                               initializer_range=0.5, tie_word_embeddings=tied, depth_scaled_init=False)  # fmt: skip
    generator = torch.Generator().manual_seed(rng.randrange(2**31))
    model = Watched(config, generator)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.5)
    return model


def whole(rng: random.Random, B: int, T: int, most: int = 13) -> Tensor:
    return torch.randint(most, (B, T), generator=torch.Generator().manual_seed(rng.randrange(2**31)))


@torch.no_grad()
def run_by_hand(model: Transformer, ids: Tensor, change: Callable[[str, Tensor], Tensor] = lambda name, x: x) -> dict:
    """The model's activations by name, computed part after part; `change` may replace any of them on the way."""
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


# --- record ----------------------------------------------------------------------------------------------------------


class InPlace(nn.Module):
    """A network whose second part overwrites what the first one gave."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.first, self.bend = nn.Linear(*weight.shape, bias=False), nn.ReLU(inplace=True)
        self.first.weight.data = weight.T.contiguous()

    def __deepcopy__(self, memo: dict) -> "InPlace":
        return self

    def __repr__(self) -> str:
        return "network"

    def forward(self, x: Tensor) -> Tensor:
        return self.bend(self.first(x))


def check_record(student: Callable, rng: random.Random) -> None:
    model = watched(rng)
    model.train()
    kept = []
    model.h[1].mlp.register_forward_hook(lambda module, args, output: kept.append(1))  # somebody else's hook
    ids = whole(rng, 2, rng.randint(4, 7))
    names = rng.sample(["wte", "h.0.mlp", "h.1.attn", "h.0.ln_1", "h.2.mlp.c_fc", "ln_f", "h.1", "lm_head"], 5)
    truth = run_by_hand(model, ids)
    model.runs, before = 0, hooks_on(model)
    call = f"record(model, ids, {names})"
    found = student(model, ids, names)
    if not isinstance(found, dict):
        raise Wrong(f"{call}: return a dictionary from names to tensors; you returned a {type(found).__name__}.")
    if sorted(found) != sorted(names):
        raise Wrong(f"{call}: the dictionary should have these names as keys, it has {sorted(map(str, found))[:6]}.")
    if hooks_on(model) < before:
        raise Wrong(
            f"{call}: a hook of somebody else is gone. Remove your own only: keep what register_forward_hook returns."
        )
    if hooks_on(model) > before:
        raise Wrong(f"{call}: hooks are left on the model. Call remove() on each handle.")
    last = found[names[-1]]
    if all(isinstance(x, Tensor) and x.shape == last.shape and torch.equal(x, last) for x in found.values()):
        raise Wrong(f"{call}: all names hold the same tensor. A function in a loop sees the loop's last name: bind it, "
                    "name=name, or make the function in another function.")  # fmt: skip
    for name in names:
        if not isinstance(found[name], Tensor):
            raise Wrong(f"{call}: {name} should be a tensor, not {show_value(found[name])}.")
        if found[name].requires_grad:
            raise Wrong(
                f"{call}: {name} hangs on the model's graph of gradients. Record under torch.no_grad(), or detach."
            )
        given = {"h.0.mlp": "h.0.ln_2", "h.1.attn": "h.1.ln_1", "ln_f": "h.2", "h.1": "h.1.in", "lm_head": "ln_f",
                 "h.0.ln_1": "h.0.in", "h.2.mlp.c_fc": "h.2.ln_2"}  # fmt: skip
        mistakes = (
            {"you recorded what the module gets; record what it gives": truth[given[name]]} if name in given else {}
        )
        mistakes["keep all positions, not the last only"] = truth[name][:, -1:]
        mistakes["keep all sequences of the batch"] = truth[name][0]
        expect(found[name], truth[name], f"{call}[{name!r}]", mistakes=mistakes, tol=1e-4)
    if model.runs != 1:
        raise Wrong(f"{call}: the model ran {model.runs} times. Put all hooks on, then run it once.")
    if not model.training:
        raise Wrong(f"{call}: the model was in training mode before and is not any more. Leave it as it is.")
    check_record_in_trouble(student, rng, model, ids)


def check_record_in_trouble(student: Callable, rng: random.Random, model: Watched, ids: Tensor) -> None:
    before, bad = hooks_on(model), ids.clone()
    bad[0, 0] = 99
    for call, args in (("record(model, ids, names) where the model fails", (model, bad, ["h.0", "h.1.mlp"])),
                       ("record(model, ids, ['h.0', 'h.7'])", (model, ids, ["h.0", "h.7"]))):  # fmt: skip
        try:
            student(*args)
        except Exception:
            if hooks_on(model) != before:
                raise Wrong(
                    f"{call}: hooks are left on the model. Take them off in `finally`, or let a `with` do it."
                ) from None
        else:
            raise Wrong(f"{call}: the error was swallowed. Let it through, and clean up behind it.")
    weight, x = normal(rng, 4, 5), normal(rng, 2, 3, 4)
    got = student(InPlace(weight), x, ["first"])
    want = torch.einsum("bti,io->bto", x, weight)
    expect(got.get("first") if isinstance(got, dict) else got, want, "record(network, x, ['first']) where a later part works in place",
           mistakes={"a later module has written over what you kept: clone it": want.clamp(min=0)})  # fmt: skip


# --- logit_lens ------------------------------------------------------------------------------------------------------


def check_logit_lens(student: Callable, rng: random.Random) -> None:
    for n_layer, tied in ((3, True), (2, False), (1, True)):
        model, ids = watched(rng, n_layer, tied).eval(), whole(rng, 2, rng.randint(3, 8))
        parts = run_by_hand(model, ids)
        streams = [parts["h.0.in"], *(parts[f"h.{layer}"] for layer in range(n_layer))]
        norm, W = model.ln_f, model.lm_head.weight
        with torch.no_grad():

            def head(xs: list[Tensor], W: Tensor = W) -> Tensor:
                return torch.stack([x @ W.T for x in xs])

            normed = [norm(x) for x in streams]
            want = head(normed)
            plain = [
                (x - x.mean(-1, keepdim=True)) / (x.var(-1, correction=0, keepdim=True) + norm.eps).sqrt()
                for x in streams
            ]
            mistakes = {
                "the last LayerNorm, ln_f, comes before the head: what leaves a block has not been through it": head(
                    streams
                ),
                "ln_f has a gain and a shift; you only normalised": head(plain),
                "the stream before the first block belongs to it, too": want[1:],
                "the stream after the last block is missing": want[:-1],
                "the last row went through ln_f twice": head([*normed[:-1], norm(normed[-1])]),
                "the last row is the model's answer: it needs ln_f, too": head([*normed[:-1], streams[-1]]),
                "only the last row went through ln_f": head([*streams[:-1], normed[-1]]),
                "from the first layer to the last; yours is the other way round": want.flip(0),
                "return logits, not probabilities": want.softmax(-1),
                "return logits, not their logarithmic probabilities": want.log_softmax(-1),
                "decode the whole stream; you decoded what each block added": head(
                    [norm(x) for x in [streams[0], *(b - a for a, b in itertools.pairwise(streams))]]
                ),
                "keep all positions, not the last only": want[:, :, -1],
                "the layer is the first dimension": want.transpose(0, 1),
                "each row is the same: decode the stream of each layer": want[-1:].expand_as(want),
                "the head is lm_head; you used the token embedding": torch.stack(
                    [x @ model.wte.weight.T for x in normed]
                ),
                "the norm is the last one, ln_f, for every layer": head(
                    [*(b.ln_1(x) for b, x in zip(model.h, streams, strict=False)), normed[-1]]
                ),
            }
            call = f"logit_lens(model, ids) with {n_layer} layers{'' if tied else ' and a head of its own'}"
            expect(student(model, ids), want, call, mistakes=different(mistakes, want), tol=1e-4)


# --- induction_score -------------------------------------------------------------------------------------------------


def looked_at(pattern: Tensor, ids: Tensor, columns: Callable[[list[int], int, int], list[int]]) -> tuple[Tensor, int]:
    """By plain loops: the attention (B, ...) on some columns of each row t whose token came before, and how many rows."""
    total, rows = torch.zeros(pattern.shape[1:-2], dtype=torch.float64), 0
    for b, row in enumerate(ids.tolist()):
        for t, token in enumerate(row):
            earlier = [s for s in range(t) if row[s] == token]
            if earlier:
                rows += 1
                for column in columns(earlier, t, len(row)):
                    total += pattern[b, ..., t, column].double()
    return total, rows


def check_induction_score(student: Callable, rng: random.Random) -> None:
    for lead, T, most in (((), 9, 4), ((3,), 12, 5), ((2, 3), 10, 3), ((2,), 14, 9)):
        B = 3
        pattern = (
            normal(rng, B, *lead, T, T, dtype=torch.float64)
            .mul(1.5)
            .masked_fill(torch.ones(T, T).triu(1).bool(), -1e9)
            .softmax(-1)
            .float()
        )
        ids = whole(rng, B, T, most)
        ids[:, :2], ids[0, 4], ids[0, 2] = (
            torch.tensor([1, 2]),
            1,
            1,
        )  # a repeat in any case, and not the same number in each text
        total, rows = looked_at(pattern, ids, lambda earlier, t, n: [s + 1 for s in earlier])
        want = (total / rows).float()

        def other(columns: Callable, rows: float = rows, pattern: Tensor = pattern, ids: Tensor = ids) -> Tensor:
            return (looked_at(pattern, ids, columns)[0] / rows).float()

        each = [
            looked_at(pattern[b : b + 1], ids[b : b + 1], lambda earlier, t, n: [s + 1 for s in earlier])
            for b in range(B)
        ]
        mistakes = {
            "you scored attention to the earlier copy itself; an induction head looks at what came after it": other(
                lambda e, t, n: e
            ),
            "you went one column the wrong way: what came after s stands at s + 1": other(
                lambda e, t, n: [(s - 1) % n for s in e]
            ),
            "the row looks, the column is looked at: you read the pattern transposed": other(
                lambda e, t, n: [s + 1 for s in e], pattern=pattern.transpose(-1, -2)
            ),
            "only earlier copies count: the token is a copy of itself, too": other(
                lambda e, t, n: [s + 1 for s in [*e, t] if s + 1 < n]
            ),
            "average over the positions whose token came before, not over all": (total / (B * T)).float(),
            "average over the positions whose token came before; you added them up": total.float(),
            "add up over all earlier copies; you took the last only": other(lambda e, t, n: [e[-1] + 1]),
            "add up over all earlier copies; you took the first only": other(lambda e, t, n: [e[0] + 1]),
            "add up over the earlier copies of one position; you averaged over them": (
                total / earlier_pairs(ids)
            ).float(),
            "average over all positions of the batch at once; you averaged text by text": sum(x / r for x, r in each)
            .div(B)
            .float(),
            "you scored the position just before": (pattern.diagonal(-1, dim1=-2, dim2=-1).mean(-1).mean(0)),
        }
        if lead:
            mistakes["one score for each head: keep the dimensions between batch and positions"] = want.mean()
            mistakes["keep every dimension between batch and positions"] = want.mean(-1)
        call = f"induction_score(pattern, ids) with a pattern of shape {tuple(pattern.shape)}"
        expect(student(pattern, ids), want, call, mistakes=different(mistakes, want), tol=1e-4)
    T = 6
    try:
        student(torch.full((1, T, T), 1 / T), torch.tensor([rng.sample(range(50), T)]))
    except ValueError:
        return
    raise Wrong(
        "induction_score with ids in which no token comes twice must raise a ValueError: there is nothing to average."
    )


def earlier_pairs(ids: Tensor) -> int:
    return sum(row[s] == row[t] for row in ids.tolist() for t in range(len(row)) for s in range(t))


# --- patching_map ----------------------------------------------------------------------------------------------------


def check_patching_map(student: Callable, rng: random.Random) -> None:
    for n_layer, T in ((2, 5), (3, 7), (1, 4)):
        model = watched(rng, n_layer).eval()
        clean = whole(rng, 1, T)
        corrupt = clean.clone()
        for at in rng.sample(range(T - 1), 2):
            corrupt[0, at] = (corrupt[0, at] + rng.randint(1, 12)) % 13
        a, b = rng.sample(range(13), 2)

        def metric(logits: Tensor, a: int = a, b: int = b) -> Tensor:
            return logits[:, -1, a] - logits[:, -1, b]

        everything = ["h.0.in", *(f"h.{k}{part}" for k in range(n_layer) for part in ("", ".attn", ".mlp"))]
        names = rng.sample(everything, min(4, len(everything)))

        def table(base: Tensor, source: Tensor, positions: Callable[[int], object], shift: int = 0,
                  model: Watched = model, metric: Callable = metric, names: list[str] = names, T: int = T) -> Tensor:  # fmt: skip
            """The metric (names, T) of runs of `base` in which some positions of one activation come from `source`."""
            given = run_by_hand(model, source)

            def one(name: str, t: int) -> Tensor:
                def change(here: str, x: Tensor) -> Tensor:
                    if here != name:
                        return x
                    x = x.clone()
                    x[:, positions(t)] = given[name].roll(shift, dims=1)[:, positions(t)]
                    return x

                return metric(run_by_hand(model, base, change)["lm_head"])[0]

            return torch.stack([torch.stack([one(name, t) for t in range(T)]) for name in names])

        good, bad = (metric(run_by_hand(model, ids)["lm_head"])[0] for ids in (clean, corrupt))
        raw = table(corrupt, clean, lambda t: t)
        want = (raw - bad) / (good - bad)
        model.runs, before = 0, hooks_on(model)
        call = f"patching_map(model, clean, corrupt, metric, {names}) with {T} positions"
        got = student(model, clean, corrupt, metric, names)
        if hooks_on(model) != before:
            raise Wrong(f"{call}: hooks are left on the model. Use `with patched(…):` and run the model inside.")
        if difference(got, want, 1e-3) is None:
            continue
        noised = table(clean, corrupt, lambda t: t)
        mistakes = {
            "run the corrupt text and patch in the clean run; yours is the other way round": (noised - bad)
            / (good - bad),
            "run the corrupt text and patch in the clean run; you broke the clean one": (noised - good) / (bad - good),
            "the patch comes from the same run that it goes into": torch.zeros_like(want),
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
        expect(got, want, call, mistakes=different(mistakes, want), tol=1e-3)


# --- control_labels --------------------------------------------------------------------------------------------------


def check_control_labels(student: Callable, rng: random.Random) -> None:
    with torch.random.fork_rng(devices=[]):  # the student's draws are the same at every check
        torch.manual_seed(rng.randrange(2**31))
        seed, n, types = rng.randrange(2**31), 9000, 1500
        ids = (
            torch.cat([torch.arange(types), whole(rng, 1, n - types, types)[0]])[
                torch.randperm(n, generator=dice(seed))
            ]
            * 3
            + 7
        )
        share = torch.tensor([0.7, 0.2, 0.1])
        kind = torch.multinomial(share, types, replacement=True, generator=dice(seed + 1))  # what a type tends to be
        y = torch.where(
            torch.rand(n, generator=dice(seed + 2)) < 0.6,
            kind[(ids - 7) // 3],
            torch.randint(3, (n,), generator=dice(seed + 3)),  # so the classes of tokens and of types differ in size
        )
        call = f"control_labels(ids, y, generator) with {types} word types among {n} tokens"
        before, generator = torch.get_rng_state(), dice(seed + 4)
        got = student(ids, y, generator)
        if not isinstance(got, Tensor) or got.shape != y.shape:
            raise Wrong(
                f"{call}: return one label for each token, a tensor of shape ({n},); you returned {show_value(got)}."
            )
        if got.is_floating_point() or not bool(torch.isin(got, torch.arange(3)).all()):
            raise Wrong(f"{call}: the labels should be taken from y: 0, 1 or 2.")
        if not torch.equal(before, torch.get_rng_state()):
            raise Wrong(
                f"{call}: you used torch's global dice. Pass generator=generator, so that a run can be repeated."
            )
        table = torch.full((int(ids.max()) + 1,), -1).scatter(0, ids, got)  # some label of each type
        if not torch.equal(table[ids], got):
            raise Wrong(f"{call}: one word type has two labels. A type gets one label, wherever the word stands.")
        if torch.equal(got, student(ids, y, generator)):
            raise Wrong(
                f"{call}: two calls in a row gave the same labels. Draw them from the generator, and do not seed it inside."
            )
        if not torch.equal(got, student(ids, y, dice(seed + 4))):
            raise Wrong(f"{call}: the same seed gave other labels. All dice must come from the generator.")
        check_control_chances(table[ids.unique()], kind, y, call)


def check_control_chances(labels: Tensor, kind: Tensor, y: Tensor, call: str) -> None:
    """labels and kind (types,): what each type got, and what it tends to be in y."""
    shares, wanted = labels.bincount(minlength=3) / len(labels), y.bincount(minlength=3) / len(y)
    slack = 5 * (wanted * (1 - wanted) / len(labels)).sqrt()
    if ((shares - wanted).abs() > slack).any():
        raise Wrong(f"{call}: the classes have shares of {[round(s, 2) for s in shares.tolist()]} among the types, in y "
                    f"{[round(s, 2) for s in wanted.tolist()]}. Draw each type's label from y itself.")  # fmt: skip
    agree, chance = (
        (labels == kind).float().mean().item(),
        (wanted * kind.bincount(minlength=3) / len(kind)).sum().item(),
    )
    if abs(agree - chance) > 5 * (chance * (1 - chance) / len(kind)) ** 0.5:
        raise Wrong(f"{call}: the labels know y: {agree:.0%} of the types have the label that they mostly have in y, by chance it "
                    f"would be {chance:.0%}. A control means nothing: draw at random.")  # fmt: skip
    turn = (labels[1:] == labels[:-1]).float().mean().item(), (shares**2).sum().item()
    if abs(turn[0] - turn[1]) > 6 * (turn[1] * (1 - turn[1]) / len(labels)) ** 0.5:
        raise Wrong(f"{call}: the labels follow the order of the ids. Draw each at random.")


# --- selectivity -----------------------------------------------------------------------------------------------------


def fit_by_scipy(x: Tensor, y: Tensor, decay: float = 1e-3) -> Callable[[Tensor], Tensor]:
    """Softmax regression on standardised features by another library."""
    X, k = x.double().numpy(), int(y.max()) + 1
    mean, scale = X.mean(0), X.std(0)
    Z, Y = (X - mean) / scale, np.eye(k)[y.numpy()]

    def loss(w: np.ndarray) -> tuple[float, np.ndarray]:
        W, b = w[:-k].reshape(-1, k), w[-k:]
        scores = Z @ W + b
        logs = scores - logsumexp(scores, axis=1, keepdims=True)
        error = (np.exp(logs) - Y) / len(Z)
        return -(Y * logs).sum() / len(Z) + decay / 2 * (W**2).sum(), np.concatenate(
            [(Z.T @ error + decay * W).ravel(), error.sum(0)]
        )

    w = minimize(loss, np.zeros((X.shape[1] + 1) * k), jac=True, method="L-BFGS-B", options={"maxiter": 200}).x
    return lambda z: torch.tensor((((z.double().numpy() - mean) / scale) @ w[:-k].reshape(-1, k) + w[-k:]).argmax(1))


def check_selectivity(student: Callable, rng: random.Random) -> None:
    for k, d, n, clear, hidden in ((2, 10, 200, 1.2, 1.0), (2, 10, 200, 0.3, 1.6), (2, 60, 240, 3.0, 0.0), (3, 12, 240, 1.2, 0.6)):
        y, control = whole(rng, 1, n, k)[0], whole(rng, 1, n, k)[0]
        x = normal(rng, n, d)
        x[:, :k] += clear * torch.eye(k)[y]
        x[:, k : 2 * k] += hidden * torch.eye(k)[control]
        train = torch.zeros(n, dtype=torch.bool)
        train[rng.sample(range(n), n // 4)] = True
        call = f"selectivity(x, y, control, train) with {k} classes and {n // 4} of {n} examples to train on"
        got = student(x, y, control, train)
        if isinstance(got, Tensor) and got.numel() == 1:
            got = float(got)
        if isinstance(got, bool) or not isinstance(got, (int, float)):
            raise Wrong(f"{call}: return one number, not {show_value(got)}.")
        judge_selectivity(got, x, y, control, train, call)


def judge_selectivity(got: float, x: Tensor, y: Tensor, control: Tensor, train: Tensor, call: str) -> None:
    test, everything = ~train, torch.ones_like(train)

    @cache
    def guesses(of: str, fitted_on: str) -> Tensor:
        where = {"train": train, "test": test, "all": everything}[fitted_on]
        return fit_by_scipy(x[where], {"y": y, "control": control}[of][where])(x)

    def share(of: str, fitted_on: str = "train", judged_on: Tensor = test, truth: str = "") -> float:
        right = guesses(of, fitted_on) == {"y": y, "control": control}[truth or of]
        return right[judged_on].double().mean().item()

    task, chance = share("y"), share("control")
    want = task - chance
    if abs(got - want) <= 2.5 / int(test.sum()):  # solvers may differ on an example or two
        return

    def both(*how: object) -> float:
        return share("y", *how) - share("control", *how)

    values = {
        "judge on examples that the probes have not seen: on ~train": both("train", train),
        "fit where train is True; you used the test examples, too": both("all"),
        "fit where train is True, judge on the others; yours is the other way round": both("test", train),
        "fit and judge on different examples; you did both on ~train": both("test"),
        "judge on ~train only, not on all examples": both("train", everything),
        "task less control, not control less task": chance - task,
        "take away what the control reaches": task,
        "the control needs a probe of its own; you judged the task's probe on its labels": task
        - share("y", truth="control"),
        "take the difference, not the ratio": task / chance,
        "the control's accuracy was measured on the training examples": task - share("control", judged_on=train),
        "the task's accuracy was measured on the training examples": share("y", judged_on=train) - chance,
        "take away the control's accuracy, not a guess's": task - 1 / (int(y.max()) + 1),
    }
    close = [sentence for sentence, value in values.items() if abs(value - got) < 0.01 and abs(value - want) > 0.02]
    raise Wrong(f"{call}: {close[0] if close else 'the value is off'}. Expected about {want:.3f}, got {got:.3f}.")


# --- erase_directions ------------------------------------------------------------------------------------------------


def check_erase_directions(student: Callable, rng: random.Random) -> None:
    for shape, d, k in (((4,), 5, 1), ((3, 2), 6, 2), ((5,), 7, 3), ((3,), 3, 2), ((2, 3), 8, 4)):
        x, directions, mean = normal(rng, *shape, d), normal(rng, k, d) * 2, normal(rng, d)
        directions[-1] += 1.5 * directions[0] if k > 1 else 0  # slanted
        D = directions.double()
        P = D.T @ torch.linalg.inv(D @ D.T) @ D  # onto the span, by the normal equations
        centred = (x - mean).double()
        along = torch.einsum("...i,ij->...j", centred, P)
        unit = D / D.norm(dim=-1, keepdim=True)
        once = torch.einsum("...i,ki,kj->...j", centred, unit, unit)
        after = x.double()
        for u in unit:
            after = after - ((after - mean.double()) @ u)[..., None] * u
        want = (x.double() - along).float()
        mistakes = {
            "the directions are not orthogonal: taking each one's part away counts what they share twice": x - once,
            "the directions are not orthogonal: after the second, something along the first is back": after,
            "bring the directions to length 1, and make them orthogonal": x
            - torch.einsum("...i,ki,kj->...j", centred, D, D),
            "what is left along the directions is the mean, not 0": x - torch.einsum("...i,ij->...j", x.double(), P),
            "put the mean back": centred - along,
            "take the part along the directions away; you kept it": mean + along,
            "take the part along the directions away; you kept nothing else": along,
            "you added the part along the directions": x + along,
            "only the first direction was erased": x - (centred @ unit[0])[..., None] * unit[0],
            "everything was erased": mean.expand_as(x),
            "nothing was erased": x,
        }
        mistakes = different({s: v.float() for s, v in mistakes.items()}, want)
        call = f"erase_directions(x, directions, mean) with x of shape {tuple(x.shape)} and directions of shape {tuple(directions.shape)}"
        expect(student(x, directions, mean), want, call, mistakes=mistakes, tol=1e-3)


# --- repeated_sequences ----------------------------------------------------------------------------------------------


def check_repeated_sequences(student: Callable, rng: random.Random) -> None:
    with torch.random.fork_rng(devices=[]):  # the student's draws are the same at every check
        torch.manual_seed(rng.randrange(2**31))
        for n, T, V, low, high in ((3000, 11, 9, 3, 5), (400, 4, 7, 5, 7), (200, 9, 3, 1, 3), (40, 12, 8, 4, 4)):
            seed = rng.randrange(2**31)
            call = f"repeated_sequences({n}, T={T}, vocab_size={V}, periods=({low}, {high}), generator)"
            generator, before = dice(seed), torch.get_rng_state()
            got, again = student(n, T, V, (low, high), generator), student(n, T, V, (low, high), generator)
            if not isinstance(got, tuple) or len(got) != 2 or not all(isinstance(x, Tensor) for x in got):
                raise Wrong(f"{call}: return two tensors, ids (n, T) and periods (n,); yours is {show_value(got)}.")
            shapes = [(tuple(x.shape), x.dtype) for x in got]
            if shapes != [((n, T), torch.int64), ((n,), torch.int64)]:
                raise Wrong(f"{call}: ids must be ({n}, {T}) and periods ({n},), whole numbers; yours are {shapes}.")
            if not torch.equal(before, torch.get_rng_state()):
                raise Wrong(
                    f"{call}: you used torch's global dice. Pass generator=generator, so that a run can be repeated."
                )
            if n > 100 and torch.equal(got[0], again[0]):
                raise Wrong(
                    f"{call}: two calls in a row gave the same texts. Draw from the generator, and do not seed it inside."
                )
            if not torch.equal(got[0], student(n, T, V, (low, high), dice(seed))[0]):
                raise Wrong(f"{call}: the same seed gave other texts. All dice must come from the generator.")
            judge_periods(got[1], low, high, call)
            judge_texts(*got, V, call)
    for bad in ((0, 3), (4, 3), (2, 9), (9, 9)):
        try:
            student(4, 6, 8, bad, dice(0))
        except ValueError:
            continue
        raise Wrong(
            f"repeated_sequences with vocab_size=8 and periods={bad} must raise a ValueError: 1 <= least <= greatest <= 8."
        )


def judge_periods(period: Tensor, low: int, high: int, call: str) -> None:
    if period.min() < low or period.max() > high:
        raise Wrong(f"{call}: there are periods from {period.min()} to {period.max()}.")
    if len(period) < 100 or low == high:
        return
    shares = (period[:, None] == torch.arange(low, high + 1)).double().mean(0)  # of each period
    if shares.max() == 1:
        raise Wrong(f"{call}: all texts have the period {period[0]}. Each needs one of its own: draw n of them.")
    if shares[-1] == 0:
        raise Wrong(f"{call}: no text has the period {high}. torch.randint leaves its upper end out: add 1.")
    slack = 6 * (0.25 / len(period)) ** 0.5
    same = (period[1:] == period[:-1]).double().mean()
    if abs(same - 1 / len(shares)) > slack:
        raise Wrong(f"{call}: neighbouring texts have the same period in a share of {same:.2f}; by chance it would be "
                    f"{1 / len(shares):.2f}. Draw each text's period from the generator.")  # fmt: skip
    if (shares - 1 / len(shares)).abs().max() > slack:
        raise Wrong(f"{call}: the periods {low} to {high} come with the shares {[round(s, 2) for s in shares.tolist()]}; "
                    "all should be equally likely.")  # fmt: skip


def judge_texts(ids: Tensor, period: Tensor, V: int, call: str) -> None:
    n, T = ids.shape
    if ids.min() < 0 or ids.max() >= V:
        raise Wrong(f"{call}: there are tokens from {ids.min()} to {ids.max()}; they go from 0 to {V - 1}.")
    for row, p in zip(ids[:200].tolist(), period[:200].tolist(), strict=True):
        if any(row[t] != row[t - p] for t in range(p, T)):
            raise Wrong(
                f"{call}: {row} does not repeat with its period {p}: ids[t] must be ids[t - {p}] from t = {p} on."
            )
        if len(set(row[:p])) != len(row[:p]):
            raise Wrong(f"{call}: {row} has the period {p}, but a token comes twice in its first {p}. A block's tokens are all "
                        "different: take the beginning of a random order of the vocabulary.")  # fmt: skip
    if n < 100:
        return
    for p in set(period.tolist()):
        blocks = ids[period == p][:, : min(p, T)]  # (m, p)
        if len(blocks) < 60:
            continue
        if (blocks == blocks[:1]).all():
            raise Wrong(f"{call}: all texts of period {p} have the same block. Draw one for each text.")
        slack = 6 * (1 / V * (1 - 1 / V) / len(blocks)) ** 0.5 + 1 / len(blocks)
        shares = (blocks[..., None] == torch.arange(V)).double().mean(0)  # (p, V)
        t, token = divmod(int((shares - 1 / V).abs().argmax()), V)
        if abs(shares[t, token] - 1 / V) > slack:
            raise Wrong(f"{call}: in texts of period {p} the token {token} stands at place {t} in a share of {shares[t, token]:.2f}; every "
                        f"token should be equally likely at every place, {1 / V:.2f}.")  # fmt: skip
    where = period > 1
    pairs = torch.zeros(V, V).index_put_((ids[where, 0], ids[where, 1]), torch.ones(int(where.sum())), accumulate=True)
    share = 1 / (V * (V - 1))  # of each pair of different tokens, at the first two places
    if n > 1000 and (pairs.fill_diagonal_(share * where.sum()) / where.sum() - share).abs().max() > (
        6 * (share / n) ** 0.5
    ):
        raise Wrong(f"{call}: a block's second token hangs on its first. A block is the beginning of a random order, drawn for "
                    "each text.")  # fmt: skip
    first, second = ids[:-1, 0], ids[1:, 0]
    if n > 1000 and abs((first == second).double().mean() - 1 / V) > 6 * (1 / V / n) ** 0.5:
        raise Wrong(f"{call}: neighbouring texts hang together. Each needs a block of its own.")


# --- mean_ablate -----------------------------------------------------------------------------------------------------


def mean_ablate_oracle(z: Tensor, heads: list[int]) -> Tensor:
    B, H, T, d = z.shape
    out = z.double().numpy().copy()
    for h, t, i in itertools.product(set(heads), range(T), range(d)):
        out[:, h, t, i] = sum(z[b, h, t, i].item() for b in range(B)) / B
    return torch.from_numpy(out).to(z.dtype)


def check_mean_ablate(student: Callable, rng: random.Random) -> None:
    for (B, H, T, d), count in (
        ((3, 4, 5, 2), 1),
        ((3, 4, 5, 2), 2),
        ((4, 4, 4, 4), 1),
        ((4, 4, 4, 4), 3),
        ((2, 3, 6, 3), 3),
        ((5, 2, 3, 4), 0),
    ):
        z, heads = normal(rng, B, H, T, d) + 1, rng.sample(range(H), count)
        want, chosen = mean_ablate_oracle(z, heads), torch.zeros(H, dtype=torch.bool)
        chosen[heads] = True
        mark = chosen[:, None, None]  # (H, 1, 1)
        mistakes = {
            "you put 0 there; that is zero ablation. Put the mean over the sequences": torch.where(mark, 0.0, z),
            "average over the sequences only; each position keeps its own mean": torch.where(
                mark, z.mean((0, 2), keepdim=True), z
            ),
            "average over the sequences; yours is over the positions": torch.where(mark, z.mean(2, keepdim=True), z),
            "average over the sequences; yours is over the heads": torch.where(mark, z.mean(1, keepdim=True), z),
            "average over the sequences; yours is over a head's features": torch.where(
                mark, z.mean(3, keepdim=True), z
            ),
            "average over the sequences only; yours is one number for each head": torch.where(
                mark, z.mean((0, 2, 3), keepdim=True), z
            ),
            "those heads stay, and the others were taken out": torch.where(mark, z, z.mean(0, keepdim=True)),
            "all heads were taken out, not only the ones that were asked for": z.mean(0, keepdim=True).expand_as(z),
            "nothing was taken out": z.clone(),
        }
        if count > 1:
            mistakes["each head has its own mean; you pooled the heads"] = torch.where(
                mark, z[:, heads].mean((0, 1)), z
            )
            for what, few in (("first", heads[:1]), ("last", heads[-1:])):
                mistakes[f"only the {what} of these heads was taken out"] = mean_ablate_oracle(z, few)
        mistakes = {s: v for s, v in mistakes.items() if not torch.allclose(v, want)}
        expect(student(z, heads), want, f"mean_ablate(z, {heads}) with z of shape {(B, H, T, d)}", mistakes=mistakes)
    z = normal(rng, 3, 2, 4, 3).double()
    expect(student(z, (1,)), mean_ablate_oracle(z, [1]), "mean_ablate(z, (1,)) in torch.float64", tol=1e-10)
    for bad in ([2], [-1], [0, 5]):
        try:
            student(z, bad)
        except ValueError:
            continue
        except IndexError:
            pass
        raise Wrong(
            f"mean_ablate(z, {bad}) with two heads, 0 and 1, must raise a ValueError that names the heads that are not there."
        )


# --- restricted_logits -----------------------------------------------------------------------------------------------


def wave_part(
    logits: Tensor, turns: Callable[[int, int, int], int], k: int, kinds: tuple = (np.cos, np.sin)
) -> np.ndarray:
    """The part of the logits along waves with the phase 2π · turns(k, a, b) / p, by explicit sums."""
    p, x = logits.size(0), logits.double().numpy()
    total = np.zeros_like(x)
    for kind in kinds:
        wave = np.array([[kind(2 * np.pi * turns(k, a, b) / p) for b in range(p)] for a in range(p)])  # (p, p)
        if (size := (wave**2).sum()) > 1e-9:
            total += np.multiply.outer(wave, np.einsum("ab,abv->v", wave, x) / size)
    return total


def check_restricted_logits(student: Callable, rng: random.Random) -> None:
    for p, V, count in ((7, 7, 1), (7, 3, 2), (8, 5, 2), (9, 9, 4), (5, 4, 0), (6, 2, 3)):
        logits = normal(rng, p, p, V) - 0.5
        frequencies = sorted(rng.sample(range(1, p // 2 + 1), count), reverse=True)
        mean = np.broadcast_to(logits.double().numpy().mean((0, 1)), logits.shape)

        def kept(turns: Callable, which: list[int], **kinds: tuple) -> np.ndarray:
            return sum((wave_part(logits, turns, k, **kinds) for k in which), np.zeros(logits.shape))  # noqa: B023

        added, minus = (lambda k, a, b: k * (a + b)), (lambda k, a, b: k * (a - b))
        waves = kept(added, frequencies)
        want, x = mean + waves, logits.double().numpy()
        mistakes = {
            "the constant, frequency 0, stays too": waves,
            "those are the waves of a - b": mean + kept(minus, frequencies),
            "the waves of a - b do not stay; only those of a + b": want + kept(minus, frequencies),
            "that is what should be deleted": x - waves,
            "that is what should be deleted, and the constant stays on both sides": x - want,
            "keep both k and -k: half of each wave is missing": mean + waves / 2,
            "keep the sines, too": mean + kept(added, frequencies, kinds=(np.cos,)),
            "the frequencies count from 1; yours are one too low": mean
            + kept(added, [k - 1 for k in frequencies if k > 1]),
            "only these frequencies stay, not all up to them": mean
            + kept(added, list(range(1, max(frequencies, default=0) + 1))),
            "only the first frequency stayed": mean + kept(added, frequencies[:1]),
            "these are waves of a alone": mean + kept(lambda k, a, b: k * a, frequencies),
            "nothing was deleted": x,
        }
        mistakes = {
            s: torch.from_numpy(v.copy()).float() for s, v in mistakes.items() if not np.allclose(v, want, atol=1e-4)
        }
        expect(student(logits, frequencies), torch.from_numpy(want.copy()).float(),
               f"restricted_logits(logits, {frequencies}) with logits of shape {(p, p, V)}", mistakes=mistakes, tol=1e-4)  # fmt: skip
    logits = normal(rng, 7, 7, 2)
    for bad in ([0], [4], [2, 9], [-1]):
        try:
            student(logits, bad)
        except ValueError:
            continue
        except IndexError:
            pass
        raise Wrong(f"restricted_logits(logits, {bad}) with p = 7 must raise a ValueError: frequencies go from 1 to 3.")


EXERCISES: list[Exercise] = [
    Exercise("record", ip.record, check_record, hints=[
        "A hook is a function of (module, args, output). Where does it put the output, so that you can return it later?",
        "model.get_submodule(name).register_forward_hook(keep) returns a handle; handle.remove() takes the hook off. In a loop, write "
        "`def keep(module, args, output, name=name)`: otherwise all hooks see the last name.",
        "Keep output.clone(). `with contextlib.ExitStack() as hooks:` and hooks.enter_context(handle) remove all handles at the end, also "
        "after an error. The model runs once, inside of it, under @torch.no_grad().",
    ], difficulty=2, minutes=15),
    Exercise("logit_lens", ip.logit_lens, check_logit_lens, hints=[
        "model.streams(ids) is a list: the residual stream before the first block and after each. What does the model do with the last of them?",
        "It goes through model.ln_f, then through model.lm_head. Do the same with all of them.",
        "torch.stack([model.lm_head(model.ln_f(stream)) for stream in model.streams(ids)])",
    ], difficulty=1, minutes=5),
    Exercise("induction_score", ip.induction_score, check_induction_score, hints=[
        "earlier_copies(ids) marks, in row t, the columns s that hold the same token. Which column should an induction head look at?",
        "s + 1: move the marks one column to the right, copies.roll(1, dims=-1). Then add up the attention on marked places.",
        'torch.einsum("b...ts,bts->...", pattern, marks.to(pattern)) adds up over texts, rows and columns; divide by the number of rows with '
        "a copy, copies.any(-1).sum().",
    ], difficulty=2, minutes=12),
    Exercise("repeated_sequences", ind.repeated_sequences, check_repeated_sequences, hints=[
        "Three steps: a period for each text, a block for each text, then the place in the block for each position.",
        "torch.rand(n, vocab_size, generator=generator).argsort(-1) gives n random orders of all tokens. The beginning of one is a block "
        "whose tokens are all different. torch.randint leaves its upper end out.",
        "The place is torch.arange(T) % period[:, None], of shape (n, T); blocks.gather(1, place) looks it up.",
    ], difficulty=2, minutes=12),
    Exercise("mean_ablate", ab.mean_ablate, check_mean_ablate, hints=[
        "z is (B, H, T, d). Which dimension counts the sequences, and which the heads?",
        "z[:, h].mean(0) is (T, d): for each position the mean over the sequences. Work on a copy, z.clone().",
        "For each head h: out[:, h] = z[:, h].mean(0), which is written into all B sequences. Before that, raise a ValueError where a head is below 0 or not "
        "below z.size(1).",
    ], difficulty=1, minutes=6),
    Exercise("patching_map", ip.patching_map, check_patching_map, hints=[
        "Two runs without patches give the ends of the scale, clean and corrupt. activations(model, clean, names) gives what to patch in.",
        "For one name and position: `with patched(model, {name: only(source, slice(None), t)}): metric(model(corrupt))`. Loop, or run T copies of the "
        "corrupt text at once, the t-th patched at position t.",
        "source = cache[name].expand(T, -1, -1); t = torch.arange(T); the patch only(source, t, t) takes source[t, t]: text t, position t. Run "
        "corrupt.expand(T, -1).",
    ], difficulty=3, minutes=20),
    Exercise("control_labels", pb.control_labels, check_control_labels, hints=[
        "Two steps: a label for each word type, then each token looks up its type's. How do you number the types from 0?",
        "types, which = ids.unique(return_inverse=True): which[i] is the number of token i's type.",
        "Drawing from y: y[torch.randint(len(y), types.shape, generator=generator)] is (types,). Index it with `which`.",
    ], difficulty=2, minutes=8),
    Exercise("selectivity", pb.selectivity, check_selectivity, hints=[
        "Two probes, one for y and one for control, on the same examples. Which examples may they see, and on which are they judged?",
        "fit_probe(x[train], y[train]) returns a probe; probe.accuracy(x[~train], y[~train]) judges it.",
        "The accuracy for y less the accuracy for control, both on ~train.",
    ], difficulty=1, minutes=6),
    Exercise("erase_directions", pb.erase_directions, check_erase_directions, hints=[
        "For one direction u of length 1: take ((x - mean) · u) u away. With two that are not orthogonal, doing it one after the other goes wrong: "
        "draw it in the plane.",
        "torch.linalg.qr(directions.T).Q, of shape (d, k), has orthonormal columns that span the same space.",
        "x - ((x - mean) @ basis) @ basis.T",
    ], difficulty=2, minutes=8),
    Exercise("restricted_logits", gk.restricted_logits, check_restricted_logits, hints=[
        "torch.fft.fft2(logits, dim=(0, 1)) writes each logit as a sum of waves: entry (i, j) belongs to the one that turns i times with a and j times "
        "with b. Which entries are waves of a + b?",
        "Those with i = j. A real wave of frequency k has two: (k, k) and (-k, -k). The constant is (0, 0).",
        "keep = torch.zeros(p, p, 1); keep[0, 0] = 1; for each k: keep[k, k] = keep[-k, -k] = 1. Then torch.fft.ifft2(spectrum * keep, dim=(0, 1)).real.",
    ], difficulty=3, minutes=15),
]  # fmt: skip
