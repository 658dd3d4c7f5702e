"""Taking attention heads out of a model, alone and together: from what a part costs to what the
whole does.

Shapes: B sequences, T positions, H heads, d features a head. A head is a pair (layer, head); a
batch is inputs and targets, (B, T) each, as in `induction.heads`. Harm is the rise of the loss, in
nats for each known token.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import combinations

import torch
from torch import Tensor

from course_utils.circuits.hooks import activations, patched
from course_utils.induction.heads import token_losses
from course_utils.training import Batch
from course_utils.transformer_block.transformer import Transformer

Head = tuple[int, int]


def mean_ablate(z: Tensor, heads: Sequence[int]) -> Tensor:
    """Replace what some heads give by their mean over the sequences, position by position.

    The heads then say the same whatever the sequence is: what they say on average stays.
    Shapes: z (B, H, T, d), heads: their numbers from 0 -> (B, H, T, d); z stays as it is.
    Raises: ValueError for a head that is not there. Source: Wang et al. 2022, section 2.1.

    >>> z = torch.tensor([[[[1.0]], [[2.0]]], [[[5.0]], [[8.0]]]])  # two sequences, two heads
    >>> mean_ablate(z, [1]).flatten().tolist()
    [1.0, 5.0, 5.0, 5.0]
    """
    if odd := [h for h in heads if not 0 <= h < z.size(1)]:
        raise ValueError(f"no heads {odd}: they go from 0 to {z.size(1) - 1}")
    out = z.clone()
    for h in heads:
        out[:, h] = z[:, h].mean(0)  # (T, d), the same for each of the B sequences
    return out


def zero_ablate(z: Tensor, heads: Sequence[int]) -> Tensor:
    """Replace what some heads give by 0, which the rest of the model may never have seen. As
    `mean_ablate`.

    >>> zero_ablate(torch.ones(1, 2, 1, 1), [1]).flatten().tolist()
    [1.0, 0.0]
    """
    out = mean_ablate(z, heads)  # a copy; that these heads are there has been looked at
    out[:, list(heads)] = 0
    return out


@contextmanager
def ablated(
    model: Transformer, heads: Iterable[Head], how: Callable = mean_ablate
) -> Iterator[None]:
    """Inside of `with`, these heads (layer, head) are taken out at every run. Raises: ValueError
    for an unknown layer.

    >>> from course_utils.induction import attention_only, repeat_batches
    >>> model = attention_only(2, T=12, generator=torch.Generator().manual_seed(0))
    >>> batch = repeat_batches(4, 12, 64, (3, 5))(torch.Generator().manual_seed(0))
    >>> with ablated(model, [(0, 1), (0, 3)]):
    ...     print(round(token_losses(model, batch).nanmean().item(), 1))
    4.1
    """
    layers: dict[int, list[int]] = {}
    for layer, head in heads:
        layers.setdefault(layer, []).append(head)
    with patched(
        model,
        {
            f"h.{layer}.attn.heads": lambda z, which=which: how(z, which)
            for layer, which in layers.items()
        },
    ):
        yield


def harm(
    model: Transformer, batch: Batch, heads: Iterable[Head], how: Callable = mean_ablate
) -> float:
    """How much the loss rises, in nats for each known token, when these heads are taken out
    together.

    >>> from course_utils.induction import attention_only, repeat_batches
    >>> model = attention_only(2, T=12, generator=torch.Generator().manual_seed(0))
    >>> harm(model, repeat_batches(4, 12, 64, (3, 5))(torch.Generator().manual_seed(0)), [])
    0.0
    """
    whole = token_losses(model, batch).nanmean()
    with ablated(model, heads, how):
        return (token_losses(model, batch).nanmean() - whole).item()


def all_heads(model: Transformer) -> list[Head]:
    """All heads of a model as (layer, head).

    >>> from course_utils.induction import attention_only
    >>> all_heads(attention_only(2, n_head=2))
    [(0, 0), (0, 1), (1, 0), (1, 1)]
    """
    return [
        (layer, head)
        for layer in range(model.config.n_layer)
        for head in range(model.config.n_head)
    ]


def look_back(pattern: Tensor, heads: Sequence[int], start: int) -> Tensor:
    """Force some heads to look at the token before, from a position on.

    Their rows from `start` on have 1 at the column before and 0 elsewhere; all else stays.
    Shapes: pattern (B, H, T, T), the row looks -> (B, H, T, T); the pattern stays as it is.
    Raises: ValueError for a head that is not there, and for a start below 1: position 0 has nothing
    before it.

    >>> pattern = torch.full((1, 1, 3, 3), 1 / 3).tril()
    >>> look_back(pattern, [0], 2)[0, 0, 2]
    tensor([0., 1., 0.])
    """
    if start < 1:
        raise ValueError(f"start={start}: position 0 has nothing before it, so begin at 1 or later")
    if odd := [h for h in heads if not 0 <= h < pattern.size(1)]:
        raise ValueError(f"no heads {odd}: they go from 0 to {pattern.size(1) - 1}")
    out = pattern.clone()
    before = torch.eye(pattern.size(-1)).roll(-1, -1).to(pattern)  # row t has its 1 at t - 1
    for h in heads:
        out[:, h, start:] = before[start:]
    return out


@torch.no_grad()
def harm_swapped(model: Transformer, batch: Batch, reads: str, layer: int = 1) -> float:
    """How much the loss rises when one layer's queries, keys or values ("q", "k" or "v") are those
    of the next text of the batch. Raises: ValueError for other letters.

    >>> from course_utils.induction import attention_only, repeat_batches
    >>> model = attention_only(2, T=12, generator=torch.Generator().manual_seed(0))
    >>> batch = repeat_batches(4, 12, 64, (3, 5))(torch.Generator().manual_seed(0))
    >>> abs(harm_swapped(model, batch, "q")) < 0.1  # nothing was learned yet
    True
    """
    if reads not in ("q", "k", "v"):
        raise ValueError(f"reads={reads!r}: choose q, k or v")
    whole = token_losses(model, batch).nanmean()
    with patched(model, {f"h.{layer}.attn.c_attn": lambda qkv: swapped(qkv, reads)}):
        return (token_losses(model, batch).nanmean() - whole).item()


def swapped(qkv: Tensor, reads: str) -> Tensor:
    """Queries, keys and values side by side, with one of the three taken from the next text.

    Shapes: qkv (B, T, 3 · d_model) -> the same.

    >>> swapped(torch.tensor([[[1.0, 2.0, 3.0]], [[4.0, 5.0, 6.0]]]), "v").tolist()
    [[[1.0, 2.0, 6.0]], [[4.0, 5.0, 3.0]]]
    """
    parts = zip("qkv", qkv.chunk(3, dim=-1), strict=True)
    return torch.cat([x.roll(1, 0) if name == reads else x for name, x in parts], dim=-1)


@torch.no_grad()
def harm_through(
    model: Transformer, batch: Batch, heads: Sequence[Head], reads: str, layer: int = 1
) -> float:
    """How much the loss rises when only some inputs of one layer's heads miss these earlier heads.

    The layer's queries, keys or values ("q", "k", "v", or several) are computed as if the heads
    were mean-ablated; everything else in the model sees them as ever. Raises: ValueError for other
    letters, or where a head is not earlier.
    Source: Elhage et al. 2021, section "Three kinds of composition".

    >>> from course_utils.induction import attention_only, repeat_batches
    >>> model = attention_only(2, T=12, generator=torch.Generator().manual_seed(0))
    >>> batch = repeat_batches(4, 12, 64, (3, 5))(torch.Generator().manual_seed(0))
    >>> round(harm_through(model, batch, [(0, 1)], "k"), 1) + 0.0
    0.0
    """
    if not reads or set(reads) - set("qkv"):
        raise ValueError(f"reads={reads!r}: choose from the letters q, k and v")
    if late := [head for head in heads if head[0] >= layer]:
        raise ValueError(
            f"heads {late} are not before layer {layer}, which cannot read them: choose earlier ones"
        )
    name = f"h.{layer}.attn.c_attn"
    with ablated(model, heads):
        # three of (B, T, d_model)
        without = activations(model, batch[0], [name])[name].chunk(3, dim=-1)

    def swap(qkv: Tensor) -> Tensor:
        return torch.cat(
            [
                new if letter in reads else old
                for letter, old, new in zip("qkv", qkv.chunk(3, dim=-1), without, strict=True)
            ],
            dim=-1,
        )

    whole = token_losses(model, batch).nanmean()
    with patched(model, {name: swap}):
        return (token_losses(model, batch).nanmean() - whole).item()


# --- From the parts to the whole ------------------------------------------------------------------


def interactions(model: Transformer, batch: Batch, order: int = 2) -> dict[tuple[Head, ...], float]:
    """The harm of every single head, and for every pair what it costs beyond both alone; likewise
    up to `order` heads.

    >>> from course_utils.induction import attention_only, repeat_batches
    >>> model = attention_only(2, T=12, n_head=2, generator=torch.Generator().manual_seed(0))
    >>> parts = interactions(
    ...     model, repeat_batches(4, 12, 64, (3, 5))(torch.Generator().manual_seed(0))
    ... )
    >>> len(parts), list(parts)[-1]
    (10, ((1, 0), (1, 1)))
    """
    parts: dict[tuple[Head, ...], float] = {}
    for n in range(1, order + 1):
        for heads in combinations(all_heads(model), n):
            parts[heads] = harm(model, batch, heads) - predicted_harm(parts, heads, n - 1)
    return parts


def predicted_harm(
    parts: dict[tuple[Head, ...], float], heads: Iterable[Head], order: int
) -> float:
    """What taking out a set of heads should cost if nothing but groups of up to `order` heads
    mattered: their sum.

    With order 1 heads simply add up. Source: inclusion and exclusion.

    >>> parts = {((0, 0),): 1.0, ((0, 1),): 2.0, ((0, 0), (0, 1)): 5.0}
    >>> [predicted_harm(parts, [(0, 1), (0, 0)], order) for order in (1, 2)]
    [3.0, 8.0]
    """
    heads = sorted(set(heads))
    return sum(parts[group] for n in range(1, order + 1) for group in combinations(heads, n))


def fitted_harm(members: Tensor, harms: Tensor, new: Tensor, order: int) -> Tensor:
    """Predict the harm of sets by the best sum of effects of heads (and of pairs, with order 2).

    The effects are fitted by least squares to sets whose harm is known, not read from the intact
    model. Shapes: members (n, H) and new (m, H), 1 where a head is out; harms (n,) -> (m,).

    >>> sets = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    >>> fitted_harm(sets, torch.tensor([0.0, 1.0, 2.0, 7.0]), sets, 2).round().abs()
    tensor([0., 1., 2., 7.])
    """

    def columns(sets: Tensor) -> Tensor:  # on the CPU, which has float64
        sets = sets.cpu().double()
        groups = [g for n in range(1, order + 1) for g in combinations(range(sets.size(1)), n)]
        return torch.stack(
            [torch.ones_like(sets[:, 0]), *(sets[:, list(g)].prod(-1) for g in groups)], dim=-1
        )

    effects = torch.linalg.lstsq(columns(members), harms.cpu().double()[:, None]).solution
    return (columns(new) @ effects)[:, 0].to(harms.dtype).to(harms.device)


def explained(found: Tensor, told: Tensor) -> float:
    """R², the share of the differences that a theory explains: 1 is perfect, 0 is as good as the
    mean, and below 0 is worse. Shapes: (n,) each.

    >>> explained(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([2.0, 2.0, 2.0]))
    0.0
    """
    return (1 - (found - told).square().sum() / (found - found.mean()).square().sum()).item()
