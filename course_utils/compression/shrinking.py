"""Smaller models, as lesson 21 makes them: fewer weights (pruning), and weights of fewer bits
(quantization).

Shapes: a Linear weight is (out, in). Sizes are in bytes.
A smaller model that learns from a larger: `compression.distillation`.
"""

import copy
import math

import torch
from torch import Tensor, nn

from course_utils.machine.devices import wide

GROUP = 32  # weights that share a scale, at the granularity "group"
GRANULARITIES = ("tensor", "channel", "group")

# --- Pruning --------------------------------------------------------------------------------------


def matrices(model: nn.Module) -> dict[str, nn.Parameter]:
    """The parameters with two dimensions or more, by name: what is pruned and quantized. Biases and
    gains are few.

    >>> list(matrices(nn.Sequential(nn.Linear(3, 2), nn.LayerNorm(2))))
    ['0.weight']
    """
    return {name: p for name, p in model.named_parameters() if p.dim() >= 2}


def magnitude_mask(w: Tensor, sparsity: float) -> Tensor:
    """Return which weights to keep: all but the share `sparsity` of them that is nearest to 0.

    round(sparsity · n) of n weights go; where several are equally near, the first of them go.
    Shapes: w of any shape -> the same, bool. Raises: ValueError unless 0 <= sparsity <= 1.
    Source: Han et al. 2015, "Learning both Weights and Connections", section 3.

    >>> magnitude_mask(torch.tensor([[0.1, -3.0], [-0.2, 1.0]]), sparsity=0.5)
    tensor([[False,  True],
            [False,  True]])
    """
    if not 0 <= sparsity <= 1:
        raise ValueError(
            f"the sparsity is {sparsity}, and should be a share from 0 (keep all) to 1"
        )
    order = w.detach().abs().flatten().argsort(stable=True)  # (n,): the smallest first
    mask = torch.ones_like(order, dtype=torch.bool)
    mask[order[: round(sparsity * len(order))]] = False
    return mask.view(w.shape)


def magnitude_masks(model: nn.Module, sparsity: float, scope: str = "global") -> dict[str, Tensor]:
    """A mask for each of the model's `matrices`: the smallest weights of all go ("global"), or
    those of each "layer".

    >>> two = nn.Sequential(nn.Linear(1, 1, bias=False), nn.Linear(1, 3, bias=False))
    >>> _ = two[0].weight.data.fill_(0.1), two[1].weight.data.fill_(1.0)
    >>> [int(mask.sum()) for mask in magnitude_masks(two, 0.25).values()]
    [0, 3]
    """
    weights = matrices(model)
    if scope == "layer":
        return {name: magnitude_mask(w, sparsity) for name, w in weights.items()}
    if scope != "global":
        raise ValueError(
            f'scope {scope!r}: choose "global" (all weights compete) or "layer" (each matrix for itself)'
        )
    together = magnitude_mask(torch.cat([w.detach().flatten() for w in weights.values()]), sparsity)
    parts = together.split([w.numel() for w in weights.values()])
    return {name: part.view_as(weights[name]) for name, part in zip(weights, parts, strict=True)}


def pruned(model: nn.Module, masks: dict[str, Tensor]) -> nn.Module:
    """A copy with zeros where a mask says no; training heals the others, and the zeros stay.

    A weight of 0 without a gradient stays 0 under AdamW, so it is enough to stop the gradient
    there.
    Raises: ValueError for a mask that belongs to no parameter.

    >>> pruned(nn.Linear(2, 1), {"weight": torch.tensor([[True, False]])}).weight[0, 1].item()
    0.0
    """
    model = copy.deepcopy(model)
    parameters = dict(model.named_parameters())
    for name, mask in masks.items():
        if name not in parameters or parameters[name].shape != mask.shape:
            raise ValueError(
                f"no parameter {name} of the shape {tuple(mask.shape)}: see magnitude_masks"
            )
        parameters[name].data.masked_fill_(~mask, 0.0)
        if parameters[name].requires_grad:
            parameters[name].register_hook(
                lambda gradient, mask=mask: gradient * mask.to(gradient.device)
            )
    return model


# --- Quantization ---------------------------------------------------------------------------------


def check_weights(w: Tensor, bits: int, dim: int | tuple[int, ...] | None) -> tuple[int, ...]:
    """Return the dimensions over which a slice extends, all but `dim`; raise where one cannot
    quantize.

    >>> check_weights(torch.ones(2, 3), bits=8, dim=0)
    (1,)
    """
    if not isinstance(bits, int) or not 2 <= bits <= 16:
        raise ValueError(
            f"bits={bits!r}: take a whole number from 2 to 16; 1 bit leaves no room for 0 and both signs"
        )
    if not w.is_floating_point():
        raise TypeError(
            f"the weights are {w.dtype}: quantize floating-point numbers, these are whole already"
        )
    if w.numel() == 0:
        raise ValueError(
            f"the weights are empty, {tuple(w.shape)}: there is no largest one to make a scale from"
        )
    if not w.isfinite().all():
        raise ValueError(
            "the weights hold nan or infinity: no scale fits them; find out where they went wrong"
        )
    kept = tuple(dim) if isinstance(dim, (tuple, list)) else (dim,)
    if dim is None:
        kept = ()
    if any(type(d) is not int or not -w.dim() <= d < w.dim() for d in kept):
        raise ValueError(
            f"dim={dim} for weights {tuple(w.shape)}: choose among 0 to {w.dim() - 1}, or None"
        )
    return tuple(d for d in range(w.dim()) if d not in kept and d - w.dim() not in kept)


def quantize_absmax(
    w: Tensor, bits: int = 8, dim: int | tuple[int, ...] | None = None
) -> tuple[Tensor, Tensor]:
    """Round to whole numbers from -n to n, n = 2^(bits - 1) - 1, so that the largest |w| becomes n.

    w ≈ ints · scale. dim: the dimension(s) along which each slice has a scale of its own. None: one
    scale for all. 0, for a Linear weight (out, in): one for each output. A slice of zeros gives
    zeros.
    Shapes: ints as w, int8 (int16 above 8 bits); scale: the size of w in `dim`, 1 elsewhere, and ()
    for None. Raises: ValueError for bits outside 2 to 16, an empty w, a wrong dim, nan.
    Source: Dettmers et al. 2022, "LLM.int8()", section 2.1.

    >>> ints, scale = quantize_absmax(torch.tensor([[1.0, -0.6], [8.0, 2.0]]), bits=4, dim=0)
    >>> ints, (ints * scale).round(decimals=2)
    (tensor([[ 7, -4],
            [ 7,  2]], dtype=torch.int8), tensor([[ 1.0000, -0.5700],
            [ 8.0000,  2.2900]]))
    """
    over = check_weights(w, bits, dim)
    n = 2 ** (bits - 1) - 1
    w = w if w.dtype == torch.float64 else w.float()
    largest = w.abs().amax(over, keepdim=dim is not None) if over else w.abs()
    scale = (largest / n).clamp(min=torch.finfo(w.dtype).tiny)  # above 0 where all of a slice is 0
    ints = (w / scale).round().clamp(-n, n)
    return ints.to(torch.int8 if bits <= 8 else torch.int16), scale


def quantize_zero_point(
    w: Tensor, bits: int = 8, dim: int | tuple[int, ...] | None = None
) -> tuple[Tensor, ...]:
    """Round to whole numbers from 0 to 2^bits - 1 that reach from the least w to the largest;
    `zero` stands for 0.0.

    w ≈ (ints - zero) · scale. It fits weights that lie to one side better than `quantize_absmax`;
    dim as there.
    Shapes: ints as w, int32; scale and zero: the size of w in `dim`, 1 elsewhere. Raises: as
    `quantize_absmax`.
    Source: Jacob et al. 2018, "Quantization and Training of Neural Networks", section 2.1.

    >>> ints, scale, zero = quantize_zero_point(torch.tensor([0.0, 1.0, 3.0]), bits=2)
    >>> ints.tolist(), zero.item(), ((ints - zero) * scale).tolist()
    ([0, 1, 3], 0, [0.0, 1.0, 3.0])
    """
    over = check_weights(w, bits, dim)
    n = 2**bits - 1
    w = w if w.dtype == torch.float64 else w.float()
    least, largest = (end(over, keepdim=dim is not None) if over else w for end in (w.amin, w.amax))
    # 0.0 must have a number of its own
    least = least.clamp(max=0)
    largest = largest.clamp(min=0)
    scale = ((largest - least) / n).clamp(min=torch.finfo(w.dtype).tiny)
    zero = (-least / scale).round().clamp(0, n)
    ints = ((w / scale).round() + zero).clamp(0, n)
    return ints.int(), scale, zero.int()


def rounded(w: Tensor, bits: int, granularity: str = "channel", zero_point: bool = False) -> Tensor:
    """The weights after rounding and back: a scale for the "tensor", for each output "channel", or
    each "group" of 32.

    Shapes: (out, in) -> the same. Raises: ValueError for another granularity, and for groups that
    do not come out even.

    >>> rounded(torch.tensor([[1.0, -0.5], [8.0, 2.0]]), bits=2)
    tensor([[1., 0.],
            [8., 0.]])
    """
    if granularity not in GRANULARITIES or (granularity == "group" and w.numel() % GROUP):
        raise ValueError(
            f"granularity {granularity!r} for {tuple(w.shape)}: choose {', '.join(GRANULARITIES)}; a group "
            f"needs a multiple of {GROUP} weights"
        )
    slices = w.detach().reshape(-1, GROUP) if granularity == "group" else w.detach()
    dim = None if granularity == "tensor" else 0
    if zero_point:
        ints, scale, zero = quantize_zero_point(slices, bits, dim)
        return ((ints - zero) * scale).view_as(w)
    ints, scale = quantize_absmax(slices, bits, dim)
    return (ints * scale).view_as(w)


def quantized(
    model: nn.Module, bits: int, granularity: str = "channel", zero_point: bool = False
) -> nn.Module:
    """A copy in which every matrix is `rounded`; it still computes in floats, so only the loss
    changes, not the speed.

    >>> quantized(
    ...     nn.Linear(2, 2), bits=2
    ... ).weight.unique().numel() <= 2 * 3  # two outputs, -1, 0 or 1 times a scale
    True
    """
    model = copy.deepcopy(model)
    for w in matrices(model).values():
        w.data = rounded(w, bits, granularity, zero_point)
    return model


def stored_bytes(
    model: nn.Module, bits: int = 32, granularity: str = "channel", zero_point: bool = False
) -> int:
    """The bytes that the parameters need: matrices at this many bits with a scale of 32 bits for
    each slice, and its zero point at `bits` bits; all others at 32 bits.

    >>> # 10 scales, 10 biases; then 10 zero points of 4 bits
    >>> layer = nn.Linear(64, 10)
    >>> stored_bytes(layer), stored_bytes(layer, bits=4), stored_bytes(layer, 4, zero_point=True)
    (2600, 400, 405)
    """
    if granularity not in GRANULARITIES:
        raise ValueError(f"granularity {granularity!r}: choose {', '.join(GRANULARITIES)}")
    weights = matrices(model).values()
    slices = {"tensor": lambda w: 1, "channel": len, "group": lambda w: w.numel() // GROUP}[
        granularity
    ]
    small = sum(p.numel() for p in model.parameters()) - sum(w.numel() for w in weights)
    packed = sum(math.ceil(w.numel() * bits / 8) for w in weights)
    if bits < 32:
        packed += sum(4 * slices(w) for w in weights)
    if zero_point:
        packed += sum(math.ceil(slices(w) * bits / 8) for w in weights)
    return packed + 4 * small


def int8_linear(x: Tensor, ints: Tensor, scale: Tensor, bias: Tensor | None = None) -> Tensor:
    """A linear map in whole numbers: round each row of x, multiply integers, scale the sums once,
    at the end.

    Shapes: x (N, in), ints (out, in) with scale (out, 1) or () from `quantize_absmax` -> (N, out).
    Raises: ValueError for a scale for each input: it cannot be taken out of the sum over the
    inputs.

    >>> ints, scale = quantize_absmax(torch.tensor([[1.0, -0.5], [8.0, 2.0]]), dim=0)
    >>> int8_linear(torch.tensor([[1.0, 1.0]]), ints, scale).round(decimals=1)
    tensor([[ 0.5000, 10.0000]])
    """
    if scale.numel() != 1 and scale.shape != (len(ints), 1):
        raise ValueError(
            f"the scale is {tuple(scale.shape)}: make one for each output, ({len(ints)}, 1), or one for all"
        )
    x_ints, x_scale = quantize_absmax(x, bits=8, dim=0)  # (N, in), (N, 1)
    if x.device.type == "cpu":
        sums = x_ints.int() @ ints.int().T  # (N, out), exact
    # torch multiplies matrices of integers on the CPU only; in float64 these sums are exact as well
    else:
        sums = (wide(x_ints) @ wide(ints).T).to(x_scale)
    y = sums * x_scale * scale.reshape(1, -1)
    return y if bias is None else y + bias
