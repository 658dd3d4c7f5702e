"""Searching for a circuit: its parts, what they do alone, and which of them are enough, as lesson
14 does.

A part is a head or an MLP, named as in `transformer_block.residual_writes`: "head 2.0", "mlp 3".
Shapes: B texts, T positions, V tokens.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from course_utils.circuits.hooks import Patch, activations, only, patched
from course_utils.stories import ID, encode_words
from course_utils.transformer_block.transformer import Transformer

Metric = Callable[[Tensor], Tensor]  # logits (B, T, V) -> (B,)
POINTS = ("h.*.attn.heads", "h.*.mlp")

# Two ways to begin a story that name the friend once; the answer is the friend's name.
FRAMES = (
    "Once upon a time there was a child named Mia. Mia was a kind girl. She lived with Papa. "
    "She had a red {toy}. She loved rice. Her best friend was {friend}. Mia gave the {toy} to",
    "This is the story of a careful child. The child was named Mia. Auntie took care of her. "
    "Her favourite thing was a silver {toy}. She had a brave friend named {friend}. "
    "Mia gave the {toy} to",
)


class Pairs(NamedTuple):
    """Pairs of texts that differ in one name, and what is asked of the logits.

    clean and corrupt (B, T); metric: logits (B, T, V) -> (B,), how much higher the clean text's
    name stands than the corrupt one's, in nats.

    >>> pairs = name_pairs(["Leo", "Tom"], ["ball"], 2, torch.Generator().manual_seed(0))
    >>> (pairs.clean != pairs.corrupt).sum(-1).tolist()  # one word differs
    [1, 1]
    """

    clean: Tensor
    corrupt: Tensor
    metric: Metric


def name_pairs(
    names: Sequence[str],
    toys: Sequence[str],
    n: int,
    generator: torch.Generator,
    frame: str = FRAMES[0],
) -> Pairs:
    """Draw n different pairs of texts: a friend's name, the name that replaces it, and a toy.

    Raises: ValueError where there are fewer than n of them.

    >>> pairs = name_pairs(["Leo", "Tom"], ["ball", "kite"], 4, torch.Generator().manual_seed(0))
    >>> pairs.clean.shape
    torch.Size([4, 43])
    """
    every = [(a, b, toy) for a in names for b in names if a != b for toy in toys]
    if n > len(every):
        raise ValueError(f"{n} different pairs were asked for, and there are {len(every)}")
    drawn = [every[i] for i in torch.randperm(len(every), generator=generator)[:n].tolist()]
    clean, corrupt = (
        torch.stack([encode_words(frame.format(friend=row[i], toy=row[2])) for row in drawn])
        for i in (0, 1)
    )  # (n, T) each
    right, wrong = (torch.tensor([ID[row[i]] for row in drawn]) for i in (0, 1))

    def metric(logits: Tensor) -> Tensor:
        row = torch.arange(len(logits), device=logits.device)
        last = logits[:, -1]  # (n, V)
        return last[row, right.to(logits.device)] - last[row, wrong.to(logits.device)]

    return Pairs(clean, corrupt, metric)


def parts(model: Transformer) -> list[str]:
    """The heads and the MLPs of a model, layer after layer.

    >>> from course_utils.pretrained import storyteller
    >>> parts(storyteller())[:6]
    ['head 0.0', 'head 0.1', 'head 0.2', 'head 0.3', 'mlp 0', 'head 1.0']
    """
    found = []
    for layer in range(model.config.n_layer):
        found += [f"head {layer}.{head}" for head in range(model.config.n_head)]
        found.append(f"mlp {layer}")
    return found


def swaps(cache: Mapping[str, Tensor], chosen: Collection[str]) -> dict[str, Patch]:
    """Patches that put what `cache` holds in the place of what the chosen parts give.

    The cache holds "h.*.attn.heads" and "h.*.mlp", as `activations(model, ids, POINTS)` does.

    >>> from course_utils.pretrained import storyteller
    >>> model, ids = storyteller(), torch.tensor([[3, 1, 4]])
    >>> cache = activations(model, ids, POINTS)
    >>> sorted(swaps(cache, ["head 2.0", "head 2.3", "mlp 1"]))
    ['h.1.mlp', 'h.2.attn.heads']
    """
    patches = {}
    heads = {}
    for part in chosen:
        kind, _, place = part.partition(" ")
        if kind == "mlp":
            patches[f"h.{place}.mlp"] = cache[f"h.{place}.mlp"]
        else:
            layer, _, head = place.partition(".")
            heads.setdefault(f"h.{layer}.attn.heads", []).append(int(head))
    for name, found in heads.items():
        patches[name] = only(cache[name], slice(None), found)
    return patches


def kept(
    model: Transformer, clean: Tensor, corrupt: Tensor, metric: Callable, circuit: Collection[str]
) -> Tensor:
    """Run the clean texts, while every part outside of the circuit gives what it gives on the
    corrupt ones: which share of the answer is kept?

    The share is (metric - corrupt) / (clean - corrupt), for each text: 1 where all is kept. Parts
    are those of `circuits.parts(model)`, heads and MLPs.
    Shapes: clean and corrupt (B, T), metric: logits (B, T, V) -> (B,), circuit: some of the parts
    -> (B,).
    Source: Wang et al. 2022, "Interpretability in the Wild" (faithfulness).

    >>> from course_utils.circuits import name_pairs, parts
    >>> from course_utils.pretrained import storyteller
    >>> model = storyteller()
    >>> pairs = name_pairs(["Leo", "Tom"], ["ball"], 1, torch.Generator().manual_seed(0))
    >>> print(f"{kept(model, *pairs, parts(model)).item():.1f}")  # nothing is left out
    1.0
    """
    outside = [part for part in parts(model) if part not in circuit]
    with torch.no_grad():
        good = metric(model(clean))
        bad = metric(model(corrupt))
        with patched(model, swaps(activations(model, corrupt, POINTS), outside)):
            left = metric(model(clean))
    return (left - bad) / (good - bad)


def prune(every: Sequence[str], score: Callable[[list[str]], float], least: float) -> list[str]:
    """Take parts out one at a time, always the one without which the score stays highest, as long
    as the score of what is left is at least `least`.

    Returns what is left, in the order of `every`; of equals the first goes. Nothing is taken out
    where the score falls below `least` with every choice.
    Raises: ValueError where all parts together score below `least`.
    Source: Conmy et al. 2023, "Towards Automated Circuit Discovery" (another order, the same idea).

    >>> worth = {"a": 0.6, "b": 0.1, "c": 0.3}
    >>> prune(["a", "b", "c"], lambda chosen: sum(worth[part] for part in chosen), least=0.5)
    ['a']
    """
    left = list(every)
    if score(left) < least:
        raise ValueError(f"all parts together score {score(left):.3g}, below {least:.3g}")
    while left:
        scores = [score([other for other in left if other != part]) for part in left]
        best = max(range(len(left)), key=scores.__getitem__)
        if scores[best] < least:
            break
        del left[best]
    return left


class Effects(NamedTuple):
    """Which share of the answer one head's clean output repairs in the corrupt run, by its way.

    total: nothing is held. mlps: later heads are held as in the corrupt run. heads: MLPs are held.
    direct: both are held, so that only the stream itself carries it to the end.
    Shapes: (B,) each.

    >>> one = torch.ones(2)
    >>> Effects(total=one, mlps=one, heads=one, direct=one).total
    tensor([1., 1.])
    """

    total: Tensor
    mlps: Tensor
    heads: Tensor
    direct: Tensor


@torch.no_grad()
def effects(
    model: Transformer, clean: Tensor, corrupt: Tensor, metric: Metric, head: str
) -> Effects:
    """Put a head's clean output into the corrupt run, and hold later heads, MLPs, both or none.

    Shapes: as in `kept`.
    Source: Pearl 2001, "Direct and Indirect Effects"; Vig et al. 2020, "Investigating Gender Bias
    in Language Models Using Causal Mediation Analysis".

    >>> from course_utils.pretrained import storyteller
    >>> pairs = name_pairs(["Leo", "Tom"], ["ball"], 1, torch.Generator().manual_seed(0))
    >>> found = effects(storyteller(), *pairs, "head 3.0")
    >>> torch.equal(found.mlps, found.total)  # no head comes after the last layer
    True
    """
    layer = int(head.removeprefix("head ").partition(".")[0])
    good = metric(model(clean))
    bad = metric(model(corrupt))
    sent = swaps(activations(model, clean, POINTS), [head])
    held = activations(model, corrupt, POINTS)
    heads = {f"h.{i}.attn.heads" for i in range(layer + 1, model.config.n_layer)}
    mlps = {f"h.{i}.mlp" for i in range(layer, model.config.n_layer)}
    shares = []
    for names in (set(), heads, mlps, heads | mlps):
        with patched(model, {**sent, **{name: held[name] for name in names}}):
            shares.append((metric(model(corrupt)) - bad) / (good - bad))
    return Effects(*shares)


def gradient_scores(
    model: Transformer, clean: Tensor, corrupt: Tensor, metric: Metric
) -> dict[str, float]:
    """Guess from one gradient what each part's clean output would repair in the corrupt run: the
    change of the part times the slope of the metric.

    Shapes: as in `kept`; the mean over the texts, in shares of the answer.
    Source: Syed et al. 2023, "Attribution Patching Outperforms Automated Circuit Discovery".

    >>> from course_utils.pretrained import storyteller
    >>> model = storyteller()
    >>> pairs = name_pairs(["Leo", "Tom"], ["ball"], 1, torch.Generator().manual_seed(0))
    >>> len(gradient_scores(model, *pairs)) == len(parts(model))
    True
    """
    there = activations(model, clean, POINTS)
    here = activations(model, corrupt, POINTS)
    leaves = {name: x.clone().requires_grad_() for name, x in here.items()}
    with torch.enable_grad(), patched(model, leaves):
        bad = metric(model(corrupt))
        slopes = torch.autograd.grad(bad.sum(), list(leaves.values()))
    with torch.no_grad():
        gap = metric(model(clean)) - bad
    found = {}
    for (name, x), slope in zip(here.items(), slopes, strict=True):
        guess = (slope * (there[name] - x)).sum((-1, -2))  # (B, H) of heads, (B,) of an MLP
        shares = (guess.view(len(guess), -1) / gap[:, None]).mean(0).tolist()
        layer = name.split(".")[1]
        for head, share in enumerate(shares):
            found[f"mlp {layer}" if name.endswith("mlp") else f"head {layer}.{head}"] = share
    return {part: found[part] for part in parts(model)}
