"""Do we need Q? Break chosen matrices of a trained GPT, measure the harm, and describe how weights
are distributed.

A break puts normal noise of the same mean and spread in a matrix's place: its size stays, what it
learned is gone. Damage is a list of pairs (layer, matrix), the layer counted from 0, the matrix a
name in MATRICES.
"""

import math
from collections.abc import Iterable, Sequence
from copy import deepcopy

import torch
from scipy import stats
from torch import Tensor

from course_utils.gpt2.model import GPT
from course_utils.machine.devices import wide
from course_utils.training import Batch, evaluate

MATRICES = ("W_Q", "W_K", "W_V", "W_O", "MLP")
Damage = Sequence[tuple[int, str]]


def matrices(model: GPT, layer: int, matrix: str) -> list[Tensor]:
    """The weights behind a name, as views into the model: one matrix, for the MLP its two; biases
    are left out.

    Shapes: W_Q, W_K, W_V, W_O (d_model, d_model); MLP (4 d_model, d_model) and (d_model, 4
    d_model).
    Raises: ValueError for an unknown name or layer. W_Q, W_K and W_V are the three parts of
    `c_attn.weight`.

    >>> from course_utils.pretrained import storyteller
    >>> [tuple(w.shape) for w in matrices(storyteller(), layer=0, matrix="MLP")]
    [(512, 128), (128, 512)]
    """
    if matrix not in MATRICES:
        raise ValueError(f"there is no matrix {matrix!r}: choose one of {', '.join(MATRICES)}")
    if not 0 <= layer < len(model.h):
        raise ValueError(f"there is no layer {layer}: the model has {len(model.h)}, counted from 0")
    block = model.h[layer]
    if matrix == "MLP":
        return [block.mlp.c_fc.weight, block.mlp.c_proj.weight]
    if matrix == "W_O":
        return [block.attn.c_proj.weight]
    return [block.attn.c_attn.weight.chunk(3)[MATRICES.index(matrix)]]  # (d_model, d_model)


@torch.no_grad()
def noise_like(weight: Tensor, generator: torch.Generator) -> Tensor:
    """Normal noise with the mean and the standard deviation of a tensor.

    Shapes: any -> the same, with the same dtype, on the same device; one seed gives the same noise
    on each.

    >>> noise = noise_like(torch.tensor([3.0, 5.0]).repeat(5000), torch.Generator().manual_seed(0))
    >>> print(f"{noise.mean():.1f} {noise.std():.1f}")
    4.0 1.0
    """
    noise = torch.randn(weight.shape, generator=generator, device=generator.device)
    return weight.mean() + weight.std() * noise.to(weight)


@torch.no_grad()
def lesioned(model: GPT, damage: Damage, generator: torch.Generator) -> GPT:
    """A copy of the model whose matrices in `damage` are noise of the same mean and spread; the
    model itself stays.

    Raises: ValueError for an unknown matrix or layer.

    >>> from course_utils.pretrained import storyteller
    >>> model = storyteller()
    >>> broken = lesioned(model, [(0, "W_Q"), (1, "W_Q")], torch.Generator().manual_seed(0))
    >>> [
    ...     name
    ...     for name, w in broken.named_parameters()
    ...     if not torch.equal(w, model.get_parameter(name))
    ... ]
    ['h.0.attn.c_attn.weight', 'h.1.attn.c_attn.weight']
    """
    copy = deepcopy(model)
    for layer, matrix in damage:
        for weight in matrices(copy, layer, matrix):
            weight.copy_(noise_like(weight, generator))
    return copy


def spreading(n_layer: int, matrix: str, order: str) -> list[list[tuple[int, str]]]:
    """The damages of one experiment: "single" breaks one block at a time, "upwards" and "downwards"
    one block more.

    Raises: ValueError for another order.

    >>> spreading(3, "W_Q", "downwards")
    [[(2, 'W_Q')], [(2, 'W_Q'), (1, 'W_Q')], [(2, 'W_Q'), (1, 'W_Q'), (0, 'W_Q')]]
    """
    if order not in ("single", "upwards", "downwards"):
        raise ValueError(f'order {order!r} is unknown: choose "single", "upwards" or "downwards"')
    layers = list(range(n_layer))[:: -1 if order == "downwards" else 1]
    return [
        [(layer, matrix) for layer in (layers[n : n + 1] if order == "single" else layers[: n + 1])]
        for n in range(n_layer)
    ]


def loss_rise(
    model: GPT,
    damage: Damage,
    batches: Iterable[Batch],
    seeds: Sequence[int],
    whole: float | None = None,
) -> Tensor:
    """How much the cross-entropy rises under a damage, once for the noise of each seed; `whole` is
    the loss without.

    Shapes: -> (len(seeds),). Units: nats a token.

    >>> from course_utils.stories import stories
    >>> from course_utils.pretrained import storyteller
    >>> tokens = stories(seed=7, n_tokens=129).tokens
    >>> batches = [(tokens[None, :-1], tokens[None, 1:])]
    >>> loss_rise(storyteller(), [(0, "MLP")], batches, seeds=[0, 1]) > 1
    tensor([True, True])
    """
    batches = list(batches)
    whole = evaluate(model, batches) if whole is None else whole
    broken = (lesioned(model, damage, torch.Generator().manual_seed(seed)) for seed in seeds)
    return torch.tensor([evaluate(copy, batches) - whole for copy in broken])


def mean_interval(values: Tensor, level: float = 0.95) -> tuple[float, float]:
    """The mean of measurements and the half width of its confidence interval, by Student's t.

    Shapes: values (n,), n > 1. Units: those of the values. Raises: ValueError for fewer than 2
    values.
    Source: Student 1908, "The Probable Error of a Mean".

    >>> mean, half = mean_interval(torch.tensor([1.0, 2.0, 3.0]))
    >>> print(f"{mean:.2f} ± {half:.2f}")
    2.00 ± 2.48
    """
    if values.numel() < 2:
        raise ValueError("one value has no spread: measure with two seeds at least")
    n = values.numel()
    return values.mean().item(), (
        stats.t.ppf((1 + level) / 2, n - 1) * values.std() / math.sqrt(n)
    ).item()


# --- How weights are distributed ------------------------------------------------------------------


def excess_kurtosis(x: Tensor) -> float:
    """How heavy the tails are: the mean fourth power of the standardised values, less the 3 of a
    normal distribution.

    Shapes: any. Units: none; 0 is normal, above 0 heavier tails. For n normal values it scatters by
    √(24/n).
    Source: Pearson 1905; Fisher 1930 for its scatter.

    >>> (
    ...     round(excess_kurtosis(torch.tensor([-1.0, 1.0])), 2),
    ...     round(excess_kurtosis(torch.tensor([-3.0] + 16 * [0.0] + [3.0])), 2),
    ... )
    (-2.0, 6.0)
    """
    x = wide(x.detach())
    z = (x - x.mean()) / x.std(correction=0)
    return z.pow(4).mean().item() - 3


def tail_share(x: Tensor, k: float = 3.0) -> float:
    """The share of the values that lie more than k standard deviations from their mean; for normal
    ones 0.27 % at k = 3.

    Shapes: any. Units: a share between 0 and 1.

    >>> tail_share(torch.tensor([0.0] * 99 + [1.0]))
    0.01
    """
    x = x.detach()
    return wide((x - x.mean()).abs() > k * x.std(correction=0)).mean().item()
