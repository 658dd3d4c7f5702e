"""Smaller models, as lesson 21 makes them: fewer weights (pruning), and weights of fewer bits
(quantization).

Shapes: a Linear weight is (out, in). Sizes are in bytes.
A smaller model that learns from a larger: `compression.distillation`.
"""

import copy
import math
from collections.abc import Callable

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

    round(sparsity · n) of n weights go, by Python's round(), which rounds a half to the even
    number; where several are equally near, the first of them go.
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


def magnitude_masks(
    model: nn.Module,
    sparsity: float,
    scope: str = "global",
    mask_of: Callable[[Tensor, float], Tensor] = magnitude_mask,
) -> dict[str, Tensor]:
    """A mask for each of the model's `matrices`, made by mask_of: the smallest weights of all go
    ("global"), or those of each "layer".

    >>> two = nn.Sequential(nn.Linear(1, 1, bias=False), nn.Linear(1, 3, bias=False))
    >>> _ = two[0].weight.data.fill_(0.1), two[1].weight.data.fill_(1.0)
    >>> [int(mask.sum()) for mask in magnitude_masks(two, 0.25).values()]
    [0, 3]
    """
    weights = matrices(model)
    if scope == "layer":
        return {name: mask_of(w, sparsity) for name, w in weights.items()}
    if scope != "global":
        raise ValueError(
            f'scope {scope!r}: choose "global" (all weights compete) or "layer" (each matrix for itself)'
        )
    together = mask_of(torch.cat([w.detach().flatten() for w in weights.values()]), sparsity)
    parts = together.split([w.numel() for w in weights.values()])
    return {name: part.view_as(weights[name]) for name, part in zip(weights, parts, strict=True)}


def random_masks(
    model: nn.Module, sparsity: float, generator: torch.Generator
) -> dict[str, Tensor]:
    """Masks that keep weights by chance: the baseline of pruning. The same share of each matrix
    goes.

    >>> dice = torch.Generator().manual_seed(0)
    >>> [int(mask.sum()) for mask in random_masks(nn.Linear(8, 4), 0.25, dice).values()]
    [24]
    """
    return {
        name: magnitude_mask(torch.rand(w.shape, generator=generator), sparsity)
        for name, w in matrices(model).items()
    }


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


def quantize_groups(w: Tensor, bits: int = 4, size: int = 32) -> tuple[Tensor, Tensor, Tensor]:
    """Round each group of `size` neighbours to whole numbers from 0 to 2^bits - 1, with a scale and
    a zero point of its own.

    w ≈ (ints - zero) · scale. A group's range reaches from its least weight to its largest, and is
    widened to hold 0.0, which `zero` stands for: it is a whole number, so that 0.0 stays exact. A
    group of zeros gives zeros.
    Shapes: ints as w, int32; scale (n, 1) and zero (n, 1), int32, for the n groups in the order of
    w's numbers. Raises: ValueError where `size` does not divide the number of weights, for bits
    outside 2 to 16, an empty w, nan. Source: Jacob et al. 2018, "Quantization and Training of
    Neural Networks", section 2.1.

    >>> w = torch.tensor([[0.0, 1.0, 3.0], [-1.0, 0.3, 2.0]])
    >>> ints, scale, zero = quantize_groups(w, bits=2, size=3)
    >>> ints.tolist(), zero.flatten().tolist(), scale.flatten().tolist()
    ([[0, 1, 3], [0, 1, 3]], [0, 1], [1.0, 1.0])
    """
    check_weights(w, bits, None)
    if size < 1 or w.numel() % size:
        raise ValueError(f"groups of {size} do not come out even for {w.numel()} weights")
    n = 2**bits - 1
    groups = w.reshape(-1, size)
    groups = groups if w.dtype == torch.float64 else groups.float()
    least = groups.amin(1, keepdim=True).clamp(max=0)  # (n, 1)
    largest = groups.amax(1, keepdim=True).clamp(min=0)  # (n, 1)
    # above 0 where all of a group is 0
    scale = ((largest - least) / n).clamp(min=torch.finfo(groups.dtype).tiny)
    zero = (-least / scale).round().clamp(0, n)
    ints = ((groups / scale).round() + zero).clamp(0, n)
    return ints.int().view(w.shape), scale, zero.int()


def slices(w: Tensor, granularity: str) -> int:
    """How many scales a matrix has: one for the "tensor", one for each output "channel", or one for
    each "group" of 32.

    Raises: ValueError for another granularity, and for groups that do not come out even.

    >>> [slices(torch.ones(4, 64), granularity) for granularity in GRANULARITIES]
    [1, 4, 8]
    """
    if granularity not in GRANULARITIES or (granularity == "group" and w.numel() % GROUP):
        raise ValueError(
            f"granularity {granularity!r} for {tuple(w.shape)}: choose {', '.join(GRANULARITIES)}; a group "
            f"needs a multiple of {GROUP} weights"
        )
    return {"tensor": 1, "channel": len(w), "group": w.numel() // GROUP}[granularity]


def rounded(
    w: Tensor,
    bits: int,
    granularity: str = "channel",
    zero_point: bool = False,
    absmax: Callable[..., tuple[Tensor, Tensor]] = quantize_absmax,
    groups: Callable[..., tuple[Tensor, Tensor, Tensor]] = quantize_groups,
) -> Tensor:
    """The weights after rounding and back: a scale for the "tensor", for each output "channel", or
    each "group" of 32.

    absmax and groups: what rounds without and with a zero point. Shapes: (out, in) -> the same.
    Raises: ValueError as `slices`.

    >>> rounded(torch.tensor([[1.0, -0.5], [8.0, 2.0]]), bits=2)
    tensor([[1., 0.],
            [8., 0.]])
    """
    w = w.detach()
    size = w.numel() // slices(w, granularity)
    if zero_point:
        ints, scale, zero = groups(w, bits, size)
        return ((ints.view(-1, size) - zero) * scale).view(w.shape)
    ints, scale = absmax(w.reshape(-1, size), bits, 0)
    return (ints * scale).view(w.shape)


def quantized(
    model: nn.Module, bits: int, granularity: str = "channel", zero_point: bool = False, **ways
) -> nn.Module:
    """A copy in which every matrix is `rounded`; it still computes in floats, so only the loss
    changes, not the speed. ways: `rounded`'s absmax and groups.

    >>> quantized(
    ...     nn.Linear(2, 2), bits=2
    ... ).weight.unique().numel() <= 2 * 3  # two outputs, -1, 0 or 1 times a scale
    True
    """
    return by_plan(model, dict.fromkeys(matrices(model), bits), granularity, zero_point, **ways)


def by_plan(
    model: nn.Module,
    plan: dict[str, int],
    granularity: str = "channel",
    zero_point: bool = False,
    **ways,
) -> nn.Module:
    """A copy in which each matrix is `rounded` to the bits that a plan gives it, by name.

    >>> small = by_plan(nn.Sequential(nn.Linear(4, 1), nn.Linear(1, 1)), {"0.weight": 2})
    >>> small[0].weight.unique().numel() <= 3
    True
    """
    model = copy.deepcopy(model)
    weights = matrices(model)
    for name, bits in plan.items():
        weights[name].data = rounded(weights[name], bits, granularity, zero_point, **ways)
    return model


# --- Bytes ----------------------------------------------------------------------------------------


def packed_bytes(n: int, bits: int, groups: int, zero_point: bool = False) -> int:
    """The bytes of n weights of so many bits, with a scale of 32 bits for each group and, if there
    is a zero point, one for each group with as many bits as a weight.

    Weights, scales and zero points are three blocks; each is filled up to whole bytes.
    Raises: ValueError unless bits and groups are at least 1, and groups at most n.

    >>> # 5 bytes of weights and 8 of scales; then 1 byte with two zero points
    >>> packed_bytes(10, 4, 2), packed_bytes(10, 4, 2, zero_point=True)
    (13, 14)
    """
    if bits < 1 or not 1 <= groups <= n:
        raise ValueError(f"{n} weights of {bits} bits in {groups} groups: at least 1 of each")
    zeros = math.ceil(groups * bits / 8) if zero_point else 0
    return math.ceil(n * bits / 8) + 4 * groups + zeros


def stored_bytes(
    model: nn.Module,
    bits: int = 32,
    granularity: str = "channel",
    zero_point: bool = False,
    packed: Callable[..., int] = packed_bytes,
) -> int:
    """The bytes that the parameters need: matrices at this many bits, counted by `packed`; all
    others at 32 bits. At 32 bits there are no scales.

    >>> # 10 scales, 10 biases; then 10 zero points of 4 bits
    >>> layer = nn.Linear(64, 10)
    >>> stored_bytes(layer), stored_bytes(layer, bits=4), stored_bytes(layer, 4, zero_point=True)
    (2600, 400, 405)
    """
    weights = matrices(model).values()
    whole = 4 * sum(p.numel() for p in model.parameters())
    if bits == 32:
        return whole
    return whole - sum(
        4 * w.numel() - packed(w.numel(), bits, slices(w, granularity), zero_point) for w in weights
    )


def pruned_bytes(model: nn.Module, masks: dict[str, Tensor]) -> int:
    """The bytes of a pruned model: 32 bits for each weight that is kept, and for each matrix one
    bit a place that says whether it is.

    >>> layer = nn.Linear(64, 10)
    >>> # 320 weights and 640 bits, 10 biases
    >>> pruned_bytes(layer, magnitude_masks(layer, 0.5))
    1400
    """
    whole = 4 * sum(p.numel() for p in model.parameters())
    return whole + sum(
        math.ceil(mask.numel() / 8) - 4 * int((~mask).sum()) for mask in masks.values()
    )


def allocate_bits(
    sizes: dict[str, dict[int, int]], loss: Callable[[dict[str, int]], float], budget: int
) -> dict[str, int]:
    """Choose the bits of each matrix so that all together fit into a budget of bytes, and the loss
    is low.

    sizes[name][bits]: the bytes of a matrix at each number of bits that it may have. loss(plan)
    measures a plan {name: bits} that names every matrix; it is slow, so ask at most 200 times. The
    plan must be better than the same bits for all, the most that fit: on the checker's small
    examples it gains at least half of what the best plan gains.
    Raises: ValueError where not even the fewest bits fit.

    >>> sizes = {"a": {2: 10, 4: 20}, "b": {2: 10, 4: 20}}
    >>> allocate_bits(sizes, lambda plan: 1 / plan["a"] + 100 / plan["b"], budget=30)
    {'a': 2, 'b': 4}
    """
    if sum(min(by_bits.values()) for by_bits in sizes.values()) > budget:
        raise ValueError(f"the fewest bits take more than {budget} bytes")
    plan = {name: max(by_bits) for name, by_bits in sizes.items()}
    best = loss(plan)
    # how much it hurts to give one matrix fewer bits, all others having the most
    hurt = {
        (name, bits): loss(plan | {name: bits}) - best if bits < plan[name] else 0.0
        for name, by_bits in sizes.items()
        for bits in by_bits
    }

    def price(step: tuple[str, int]) -> float:
        """Nats for each byte that a step saves."""
        name, bits = step
        saved = sizes[name][plan[name]] - sizes[name][bits]
        return (hurt[step] - hurt[name, plan[name]]) / saved

    while sum(sizes[name][bits] for name, bits in plan.items()) > budget:
        steps = [(name, bits) for name, bits in hurt if bits < plan[name]]
        name, bits = min(steps, key=price)
        plan[name] = bits
    return plan


# --- In whole numbers -----------------------------------------------------------------------------


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
