"""Right answers of another style to the exercises on making a model smaller."""

import numpy as np
import torch
import torch.nn.functional as F
from answers import Answers

right = Answers()


def checked(student, teacher, temperature):
    if student.shape != teacher.shape or temperature <= 0:
        raise ValueError("unlike shapes, or a temperature that is not above 0")


@right("distillation_loss")
def written_out(student_logits, teacher_logits, temperature=1.0):
    checked(student_logits, teacher_logits, temperature)
    log_p = torch.log_softmax(student_logits / temperature, -1)
    q = torch.softmax(teacher_logits.detach() / temperature, -1)
    terms = torch.special.xlogy(q, q) - torch.where(q > 0, q * log_p, 0.0)
    return temperature**2 * terms.sum(-1).mean()


@right("distillation_loss")
def batchmean_of_rows(student_logits, teacher_logits, temperature=1.0):
    checked(student_logits, teacher_logits, temperature)
    V = student_logits.shape[-1]
    ours = (student_logits / temperature).log_softmax(-1).reshape(-1, V)
    theirs = (teacher_logits / temperature).softmax(-1).reshape(-1, V).detach()
    return F.kl_div(ours, theirs, reduction="batchmean") * temperature * temperature


@right("distillation_loss")
def cross_entropy_less_entropy(student_logits, teacher_logits, temperature=1.0):
    checked(student_logits, teacher_logits, temperature)
    with torch.no_grad():
        q = F.softmax(teacher_logits / temperature, dim=-1)
        entropy = -torch.special.xlogy(q, q).sum(-1)
    cross = -(q * F.log_softmax(student_logits / temperature, dim=-1)).sum(-1)
    return temperature**2 * (cross - entropy).mean()


def checked_share(sparsity):
    if sparsity < 0 or sparsity > 1:
        raise ValueError("the sparsity is a share")


@right("magnitude_mask")
def by_rank(w, sparsity):
    checked_share(sparsity)
    size = w.abs().reshape(-1)
    rank = size.argsort(stable=True).argsort(stable=True)
    return (rank >= round(sparsity * size.numel())).reshape(w.shape)


@right("magnitude_mask")
def by_sorting_places(w, sparsity):
    checked_share(sparsity)
    sizes = w.detach().abs().flatten().tolist()
    order = sorted(range(len(sizes)), key=lambda i: sizes[i])
    gone = set(order[: round(sparsity * len(sizes))])
    return torch.tensor([i not in gone for i in range(len(sizes))], dtype=torch.bool).view(w.shape)


@right("magnitude_mask")
def scattered(w, sparsity):
    checked_share(sparsity)
    flat = w.abs().flatten()
    places = flat.sort(stable=True).indices[: round(sparsity * len(flat))]
    return torch.ones(len(flat), dtype=torch.bool).scatter(0, places, False).reshape(w.shape)


def checked_weights(w, bits, dim):
    if not 2 <= bits <= 16 or w.numel() == 0 or not torch.isfinite(w).all():
        raise ValueError("bad bits, or bad weights")
    kept = () if dim is None else dim if isinstance(dim, tuple) else (dim,)
    if any(not -w.ndim <= d < w.ndim for d in kept):
        raise ValueError("a wrong dim")
    return [d % w.ndim for d in kept]


@right("quantize_absmax")
def largest_by_permuting(w, bits=8, dim=None):
    kept = checked_weights(w, bits, dim)
    n = 2 ** (bits - 1) - 1
    largest = w.abs()
    for d in range(w.ndim):
        if d not in kept:
            largest = largest.max(dim=d, keepdim=True).values
    scale = largest / n if dim is not None else (largest / n).reshape(())
    safe = torch.where(scale > 0, scale, torch.ones_like(scale))
    dtype = torch.int8 if bits <= 8 else torch.int16
    return torch.round(w / safe).to(dtype), safe


@right("quantize_absmax")
def with_linalg_norm(w, bits=8, dim=None):
    kept = checked_weights(w, bits, dim)
    n = 2 ** (bits - 1) - 1
    over = tuple(d for d in range(w.ndim) if d not in kept)
    norm = w.abs()
    if dim is None:
        norm = norm.amax()
    elif over:
        norm = norm.amax(dim=over, keepdim=True)
    scale = norm.clamp_min(1e-30) / n
    ints = (w / scale).round().clamp(min=-n, max=n)
    return ints.to(torch.int8) if bits < 9 else ints.to(torch.int16), scale


@right("quantize_absmax")
def slice_by_slice(w, bits=8, dim=None):
    kept = checked_weights(w, bits, dim)
    n = 2 ** (bits - 1) - 1
    dtype = torch.int8 if bits <= 8 else torch.int16
    shape = [size if d in kept else 1 for d, size in enumerate(w.shape)]
    scale = torch.empty(shape)
    ints = torch.empty(w.shape, dtype=dtype)
    for place in torch.cartesian_prod(*(torch.arange(size) for size in shape)).reshape(-1, w.ndim):
        where = tuple(
            slice(int(i), int(i) + 1) if d in kept else slice(None) for d, i in enumerate(place)
        )
        largest = max(w[where].abs().max().item(), 1e-30)
        scale[where] = largest / n
        ints[where] = (w[where] / scale[where]).round().to(dtype)
    return ints, scale if dim is not None else scale.reshape(())


def checked_groups(w, bits, size):
    checked_weights(w, bits, None)
    if size < 1 or w.numel() % size:
        raise ValueError("groups do not come out even")


@right("quantize_groups")
def group_by_group(w, bits=4, size=32):
    checked_groups(w, bits, size)
    n = 2**bits - 1
    ints = []
    scales = []
    zeros = []
    for group in w.flatten().split(size):
        low = min(group.min().item(), 0.0)
        high = max(group.max().item(), 0.0)
        scale = max((high - low) / n, 1e-30)
        zero = round(-low / scale)
        ints.append((group / scale + zero).round().clamp(0, n))
        scales.append([scale])
        zeros.append([zero])
    whole = torch.cat(ints).to(torch.int32).reshape(w.shape)
    return whole, torch.tensor(scales), torch.tensor(zeros, dtype=torch.int32)


@right("quantize_groups")
def in_numpy(w, bits=4, size=32):
    checked_groups(w, bits, size)
    rows = w.detach().numpy().reshape(-1, size)
    low = np.minimum(rows.min(1, keepdims=True), 0)
    high = np.maximum(rows.max(1, keepdims=True), 0)
    scale = (high - low) / np.float32(2**bits - 1)
    scale[scale == 0] = 1
    zero = np.rint(-low / scale)
    ints = np.clip(np.rint(rows / scale) + zero, 0, 2**bits - 1)
    whole = torch.from_numpy(ints.astype(np.int32)).reshape(w.shape)
    return whole, torch.from_numpy(scale), torch.from_numpy(zero.astype(np.int32))


@right("quantize_groups")
def with_aminmax(w, bits=4, size=32):
    checked_groups(w, bits, size)
    flat = torch.cat([w.reshape(-1, size), torch.zeros(w.numel() // size, 1)], dim=1)
    low, high = torch.aminmax(flat, dim=1, keepdim=True)
    scale = (high - low) / (2**bits - 1)
    scale = torch.where(scale == 0, torch.ones_like(scale), scale)
    zero = torch.round(-low / scale).to(torch.int32)
    ints = torch.round(flat[:, :-1] / scale).to(torch.int32) + zero
    return ints.clamp(0, 2**bits - 1).reshape(w.shape), scale, zero


@right("packed_bytes")
def bytes_by_negative_division(n, bits, groups, zero_point=False):
    if bits < 1 or groups < 1 or groups > n:
        raise ValueError("no such matrix")
    size = -(-n * bits // 8) + groups * 4
    return size - (-groups * bits // 8) if zero_point else size


@right("packed_bytes")
def bytes_block_by_block(n, bits, groups, zero_point=False):
    if min(bits, groups) < 1 or n < groups:
        raise ValueError("no such matrix")
    blocks = [n * bits, 32 * groups, groups * bits if zero_point else 0]
    return sum((block + 7) // 8 for block in blocks)


@right("packed_bytes")
def bytes_by_divmod(n, bits, groups, zero_point=False):
    if not (bits > 0 and 0 < groups <= n):
        raise ValueError("no such matrix")
    total = 4 * groups
    for block in (n * bits, zero_point * groups * bits):
        whole, rest = divmod(block, 8)
        total += whole + bool(rest)
    return total


@right("allocate_bits")
def downwards_by_loss_for_each_byte(sizes, loss, budget):
    plan = {name: max(by_bits) for name, by_bits in sizes.items()}
    if sum(min(by_bits.values()) for by_bits in sizes.values()) > budget:
        raise ValueError("too small a budget")
    whole = loss(plan)
    hurt = {(name, b): loss({**plan, name: b}) - whole for name in sizes for b in sizes[name]}
    while sum(sizes[name][b] for name, b in plan.items()) > budget:
        prices = {}
        for name, b in plan.items():
            if fewer := [x for x in sizes[name] if x < b]:
                x = max(fewer)
                saved = sizes[name][b] - sizes[name][x]
                prices[(hurt[name, x] - hurt[name, b]) / saved] = name, x
        name, x = prices[min(prices)]
        plan[name] = x
    return plan


@right("allocate_bits")
def upwards_from_the_fewest(sizes, loss, budget):
    plan = {name: min(by_bits) for name, by_bits in sizes.items()}
    used = sum(sizes[name][bits] for name, bits in plan.items())
    if used > budget:
        raise ValueError("too small a budget")
    start = loss(plan)
    gain = {
        (name, bits): start - loss(plan | {name: bits})
        for name in sizes
        for bits in sizes[name]
        if bits > plan[name]
    } | {(name, bits): 0.0 for name, bits in plan.items()}
    while True:
        steps = [
            (
                (gain[name, bits] - gain[name, plan[name]])
                / (sizes[name][bits] - sizes[name][plan[name]]),
                name,
                bits,
            )
            for name, bits in gain
            if bits > plan[name] and used + sizes[name][bits] - sizes[name][plan[name]] <= budget
        ]
        if not steps:
            return plan
        _, name, bits = max(steps)
        used += sizes[name][bits] - sizes[name][plan[name]]
        plan[name] = bits


@right("allocate_bits")
def swaps_that_help(sizes, loss, budget):
    """Measure again at each step, and give the next bit to whom it helps most."""
    plan = {name: min(by_bits) for name, by_bits in sizes.items()}

    def cost(plan):
        return sum(sizes[name][bits] for name, bits in plan.items())

    if cost(plan) > budget:
        raise ValueError("too small a budget")
    while True:
        richer = []
        for name in plan:
            more = [bits for bits in sorted(sizes[name]) if bits > plan[name]]
            if more and cost(plan | {name: more[0]}) <= budget:
                richer.append(plan | {name: more[0]})
        if not richer:
            return plan
        plan = min(richer, key=loss)
