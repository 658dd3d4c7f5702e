"""Exercises of lesson 21."""

import itertools
import math
import random
import statistics
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from course_utils.checking import Exercises, Wrong, difference, expect, kind_of
from course_utils.checking.inputs import normal
from course_utils.compression import distillation as compression
from course_utils.compression import shrinking

EXERCISES = Exercises()


# --- distillation_loss ----------------------------------------------------------------------------


def softened(logits: Tensor, temperature: float) -> list[list[float]]:
    """softmax(logits / temperature) of each row, in plain Python; exp(-inf) is 0."""
    rows = (logits.detach().double() / temperature).reshape(-1, logits.size(-1)).tolist()
    powers = [[math.exp(x - max(row)) for x in row] for row in rows]
    return [[x / sum(row) for x in row] for row in powers]


def distillation_oracle(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    p = softened(student, temperature)
    q = softened(teacher, temperature)
    rows = [
        sum(b * math.log(b / a) for a, b in zip(*row, strict=True) if b > 0)
        for row in zip(p, q, strict=True)
    ]
    return torch.tensor(temperature**2 * statistics.fmean(rows))


def distillation_mistakes(student: Tensor, teacher: Tensor, T: float) -> dict[str, Tensor]:
    log_p = (student / T).log_softmax(-1)
    q = (teacher / T).softmax(-1)
    V = student.size(-1)
    kl = (torch.xlogy(q, q) - q * log_p).sum(-1)
    want = distillation_oracle(student, teacher, T)
    return {
        "the factor T² is missing": want / T**2,
        "the factor is T², not T": want / T,
        "the factor is T²; you divided by it": want / T**4,
        "the direction is turned round: the teacher's probabilities are the weights": distillation_oracle(teacher, student, T),
        "the student's logits are divided by the temperature, too": T**2 * (torch.xlogy(q, q) - q * student.log_softmax(-1)).sum(-1).mean(),
        "the teacher's logits are divided by the temperature, too": T**2 * F.kl_div(log_p, teacher.softmax(-1), reduction="none").sum(-1).mean(),
        "divide by the temperature; you multiplied": T**2 * distillation_oracle(student, teacher, 1 / T) * T**2,
        "average over the rows only: the sum over the V tokens stays a sum": want / V,
        "take the mean over the rows, not the sum": want * kl.numel(),
        "every row counts, in all dimensions but the last: reduction='batchmean' divides by the first one only": want * kl.numel() / len(kl),
        "the teacher's own entropy is missing: that is the cross-entropy, not the divergence": -(q * log_p).sum(-1).mean() * T**2,
        "these are hard labels: keep all of the teacher's probabilities": F.cross_entropy(student.flatten(0, -2), teacher.flatten(0, -2).argmax(-1)),
        "compare probabilities, not logits": F.mse_loss(student, teacher),
    }  # fmt: skip


@EXERCISES.add(
    compression.distillation_loss,
    difficulty=2,
    minutes=8,
    hints=[
        "Divide both logits by the temperature. What of the student do you need, probabilities or their logarithms? And of the teacher?",
        "F.kl_div takes log P first and Q second, and Q is who is right: the teacher. It treats Q = 0 correctly. reduction='sum', then "
        "divide by the number of rows, over all dimensions but the last.",
        "log_p = (student_logits / temperature).log_softmax(-1); q = (teacher_logits.detach() / temperature).softmax(-1); then "
        "temperature**2 * F.kl_div(log_p, q, reduction='sum') / math.prod(q.shape[:-1]). Raise the ValueError first.",
    ],
    refuses=[
        (torch.ones(2, 3), torch.ones(2, 4)),
        (torch.ones(2, 3, 4), torch.ones(1, 3, 4)),
        (torch.ones(2, 3), torch.ones(2, 3), 0.0),
        (torch.ones(2, 3), torch.ones(2, 3), -1.0),
    ],
)
def check_distillation_loss(student: Callable, rng: random.Random) -> None:
    for shape in ((4, 6), (2, 3, 5), (1, 4)):
        T = rng.uniform(1.6, 3.0)
        given = 2 * normal(rng, *shape)
        taught = 2 * normal(rng, *shape)
        want = distillation_oracle(given, taught, T)
        call = f"distillation_loss of logits {shape}, temperature={T:.2f}"
        expect(student(given, taught, T), want, call, distillation_mistakes(given, taught, T))
    same = normal(rng, 3, 5)
    expect(
        student(same, same, 2.0),
        torch.tensor(0.0),
        "distillation_loss of a student that equals its teacher",
    )
    want = distillation_oracle(given, taught, 1.0)
    expect(student(given, taught), want, "distillation_loss without a temperature, which is 1 then")
    _check_extreme_distillation(student, rng, given, taught)
    given = normal(rng, 2, 3, 4)
    taught = normal(rng, 2, 3, 4)
    _check_teacher(student, given, taught)


def _check_extreme_distillation(
    student: Callable, rng: random.Random, given: Tensor, taught: Tensor
) -> None:
    """A teacher that rules a token out, and logits that are far apart; both are (1, 4)."""
    sure = taught.masked_fill(torch.arange(4) == rng.randrange(4), -math.inf)
    got = student(given, sure, 1.0)
    call = "distillation_loss with a teacher that rules a token out (its logit is -inf)"
    if isinstance(got, Tensor) and not got.isfinite().all():
        raise Wrong(
            f"{call} is {got.tolist()}: where the teacher's probability is 0, the term is 0. F.kl_div knows that."
        )
    expect(got, distillation_oracle(given, sure, 1.0), call)
    far = torch.tensor([[200.0 + rng.uniform(0, 9), 0.0, 100.0]])
    got = student(far, taught[:, :3], 1.0)
    call = "distillation_loss with logits that are 100 apart"
    if isinstance(got, Tensor) and not got.isfinite().all():
        raise Wrong(
            f"{call} is {got.tolist()}: a probability has become 0 there. Take log_softmax, not softmax and log."
        )
    expect(got, distillation_oracle(far, taught[:, :3], 1.0), call)


def _check_teacher(student: Callable, given: Tensor, taught: Tensor) -> None:
    """No gradient reaches the teacher."""
    inner = taught.clone().requires_grad_() * 1
    loss = student(given.requires_grad_(), inner, 2.0)
    if loss.requires_grad and torch.autograd.grad(loss, inner, allow_unused=True)[0] is not None:
        raise Wrong(
            "distillation_loss sends a gradient into the teacher, who is not to learn: use teacher_logits.detach()."
        )


# --- magnitude_mask -------------------------------------------------------------------------------


def mask_oracle(w: Tensor, sparsity: float) -> Tensor:
    values = w.detach().flatten().tolist()
    gone = sorted(range(len(values)), key=lambda i: (abs(values[i]), i))[
        : round(sparsity * len(values))
    ]
    return torch.tensor([i not in gone for i in range(len(values))]).view(w.shape)


def _mask_mistakes(w: Tensor, sparsity: float) -> dict[str, Tensor]:
    """What the usual slips make of these weights."""
    n = round(sparsity * w.numel())
    flat = w.flatten()
    order = flat.abs().argsort()
    signed = flat.argsort()
    return {
        "compare sizes, not signed values: use .abs()": torch.ones_like(flat, dtype=torch.bool).index_fill(0, signed[:n], False).view(w.shape),
        "the mask is turned round: True stands for what is kept": ~mask_oracle(w, sparsity),
        "you removed the largest weights; the smallest must go": torch.ones_like(flat, dtype=torch.bool).index_fill(0, order[len(flat) - n :], False).view(w.shape),
        "sparsity is the share that goes, not the share that stays": mask_oracle(w, 1 - sparsity),
        "sparsity is a share of the weights, not of the largest value": w.abs() > sparsity * w.abs().max(),
        "return the mask, not the weights": w * mask_oracle(w, sparsity),
        "return a mask of bools": mask_oracle(w, sparsity).float(),
        "the mask needs the shape of w": mask_oracle(w, sparsity).flatten(),
        "round the number of weights that go; you rounded it down": mask_oracle(w, int(sparsity * w.numel()) / w.numel()),
        "round the number of weights that go; you rounded it up": mask_oracle(w, math.ceil(sparsity * w.numel() - 1e-9) / w.numel()),
    }  # fmt: skip


@EXERCISES.add(
    shrinking.magnitude_mask,
    difficulty=1,
    minutes=6,
    hints=[
        "Which weights are the smallest? Sort them by size, and count off as many as have to go.",
        "A threshold fails where weights are equal. argsort(stable=True) of the flattened sizes gives positions, the smallest first.",
        "mask = torch.ones_like(order, dtype=torch.bool); mask[order[: round(sparsity * len(order))]] = False; mask.view(w.shape)",
    ],
    refuses=[(torch.ones(3), -0.1), (torch.ones(3), 1.1)],
    mistakes={
        "you removed a share of each row; the smallest of all weights must go": (
            lambda w, sparsity: (
                torch.stack(
                    [shrinking.magnitude_mask(row, sparsity) for row in w.flatten(0, -2)]
                ).view(w.shape)
                if w.ndim > 1
                else shrinking.magnitude_mask(w, sparsity)
            )
        ),
        "argsort gives the positions of the smallest weights, not the rank of each weight; set the mask to False at these positions": (
            lambda w, sparsity: (
                w.abs().flatten().argsort(stable=True) >= round(sparsity * w.numel())
            ).view(w.shape)
        ),
    },
)
def check_magnitude_mask(student: Callable, rng: random.Random) -> None:
    for shape, sparsity in (
        ((4, 6), 0.25),
        ((3, 5), 0.6),
        ((2, 3, 4), 0.5),
        ((10,), 0.9),
        ((7,), 0.4),
        ((3, 7), 0.3),
    ):
        w = torch.tensor(
            [rng.choice((-1, 1)) * (1 + i) * 0.1 for i in rng.sample(range(99), math.prod(shape))]
        ).view(shape)
        wrong = _mask_mistakes(w, sparsity)
        wrong = {
            text: mask
            for text, mask in wrong.items()
            if difference(mask, mask_oracle(w, sparsity), 0)
        }
        expect(
            student(w, sparsity),
            mask_oracle(w, sparsity),
            f"magnitude_mask of shape {shape}, sparsity={sparsity}",
            wrong,
        )
    equal = torch.full((2, 4), rng.uniform(0.5, 2.0))
    _check_equal_weights(student, equal)
    some = torch.tensor([3.0, 1.0, -1.0, 2.0, 1.0, 4.0])
    call = "magnitude_mask of [3, 1, -1, 2, 1, 4], sparsity=1/3"
    got = student(some, 1 / 3)
    if not difference(got, torch.tensor([False, False, True, True, True, True]), 0):
        raise Wrong(
            f"{call} leaves out the 3 and keeps -1: only weights that are equally near to 0 go in their order."
        )
    expect(got, mask_oracle(some, 1 / 3), call)


def _check_equal_weights(student: Callable, equal: Tensor) -> None:
    """Weights that a threshold cannot tell apart."""
    for sparsity in (0.0, 0.25, 1.0):
        call = f"magnitude_mask of 8 equal weights, sparsity={sparsity}"
        got = student(equal, sparsity)
        want = mask_oracle(equal, sparsity)
        if (
            isinstance(got, Tensor)
            and got.shape == want.shape
            and got.dtype == want.dtype
            and got.sum() != want.sum()
        ):
            raise Wrong(
                f"{call} keeps {int(got.sum())}, and should keep {int(want.sum())}. A threshold cannot tell equal weights apart: sort, and count."
            )
        expect(got, want, call)


# --- quantize_absmax ------------------------------------------------------------------------------


def made_of(
    rng: random.Random, shape: tuple[int, ...], bits: int, kept: tuple[int, ...]
) -> tuple[Tensor, Tensor, Tensor]:
    """Weights with known whole numbers and scales: w = (ints + up to 0.4) · scale, and ±n where a
    slice is largest.
    """
    n = 2 ** (bits - 1) - 1
    kept = tuple(d % len(shape) for d in kept)
    sizes = [size if d in kept else 1 for d, size in enumerate(shape)]
    scale = torch.tensor(
        [rng.uniform(0.02, 0.4) for _ in range(math.prod(sizes))], dtype=torch.float64
    ).view(sizes)
    ints = torch.zeros(shape, dtype=torch.float64)
    rest = torch.zeros(shape, dtype=torch.float64)
    met = {}
    for index in torch.cartesian_prod(*map(torch.arange, shape)).view(-1, len(shape)).tolist():
        where = tuple(index)
        which = tuple(i if d in kept else 0 for d, i in enumerate(index))
        if which not in met:  # the first of a slice is its largest: negative in every other slice
            met[which] = n * (-1) ** (len(met) + 1)
            ints[where] = met[which]
        else:
            ints[where] = rng.randint(-n + 1, n - 1)
            rest[where] = rng.choice((-1, 1)) * rng.uniform(0.1, 0.4)
    w = ((ints + rest) * scale).float()
    return (
        w,
        ints.to(torch.int8 if bits <= 8 else torch.int16),
        scale.float() if kept else scale.float().view(()),
    )


def absmax_mistakes(
    w: Tensor, bits: int, kept: tuple[int, ...], got: object
) -> dict[str, tuple[Tensor, Tensor]]:
    """What the usual slips make of these weights."""
    n = 2 ** (bits - 1) - 1
    dtype = torch.int8 if bits <= 8 else torch.int16
    over = [d for d in range(w.dim()) if d not in kept]
    keep = bool(kept)
    tiny = torch.finfo(w.dtype).tiny
    largest = w.abs().amax(over, keepdim=keep)
    scale = largest / n
    signed = (w.amax(over, keepdim=keep) / n).clamp(min=tiny)
    span = (w.amax(over, keepdim=keep) - w.amin(over, keepdim=keep)) / (2**bits - 1)
    along = w.abs().amax(kept, keepdim=True) / n if keep else scale

    def by(
        scale: Tensor, n: int = n, away: Callable[[Tensor], Tensor] = torch.round
    ) -> tuple[Tensor, Tensor]:
        return away(w / scale).clamp(-n, n).to(dtype), scale

    ints = by(scale)[0]
    mistakes = {
        "round to the nearest: you cut the decimals off": by(scale, n, torch.trunc),
        "round to the nearest: you rounded down": by(scale, n, torch.floor),
        "the largest *size* makes the scale: use .abs() before the maximum": by(signed),
        "the largest *size* makes the scale; you took the largest less the smallest weight": by(span),
        "n is 2^(bits - 1) - 1: one bit is for the sign": by(largest / (2 * n + 1), 2 * n + 1),
        "n is 2^(bits - 1) - 1; you used 2^(bits - 1)": by(largest / (n + 1), n + 1),
        "n is 2^(bits - 1) - 1, with the bits that are asked for; yours is 127 for all": by(largest / 127, 127),
        "each slice along `dim` needs a scale of its own; you made one for all": by(w.abs().max() / n),
        "`dim` says which slices have a scale of their own: take the maximum over all *other* dimensions": by(along),
        "return the scale by which the whole numbers are multiplied, not divided": (ints, 1 / scale),
        "the scale lost its dimensions: use keepdim=True, so that ints * scale gives the weights back": (ints, scale.squeeze()),
        "return whole numbers, as int8 (int16 above 8 bits)": (ints.float(), scale),
        "above 8 bits the numbers do not fit into int8: return int16": (ints.to(torch.int8), scale),
        "return the whole numbers, not the weights after rounding": (ints * scale, scale),
        "return (ints, scale), in this order": (scale, ints),
    }  # fmt: skip
    if kept == (0,) and w.size(0) == w.size(-1):
        mistakes[
            "the largest sizes lost their dimension before you divided by them: use keepdim=True"
        ] = by(scale.flatten())
    if keep and isinstance(got[1], Tensor) and got[1].shape == scale.shape:
        more = (got[1] - scale).mean()
        if more > 0:
            mistakes[
                "you added a number to each scale to keep it above 0; .clamp(min=…) changes none of the others"
            ] = by(scale + more)
    return mistakes


def expect_absmax(
    got: object, want: tuple[Tensor, Tensor], call: str, mistakes: dict[str, tuple]
) -> None:
    for i, part in enumerate(("ints", "scale")):
        shown = {
            s: wrong[i] for s, wrong in mistakes.items() if difference(wrong[i], want[i], 1e-5)
        }
        expect(got[i], want[i], f"the {part} of {call}", shown)


@EXERCISES.add(
    shrinking.quantize_absmax,
    difficulty=2,
    minutes=10,
    gradients=False,  # rounding has no slope
    hints=[
        "First the scale: the largest size of a slice, divided by n. Then divide, round, and make whole numbers of it.",
        "over = check_weights(w, bits, dim) gives the dimensions over which a slice extends: w.abs().amax(over, keepdim=…). Keep the scale "
        "above 0 with .clamp(min=torch.finfo(w.dtype).tiny).",
        "n = 2 ** (bits - 1) - 1; scale = (w.abs().amax(over, keepdim=dim is not None) / n).clamp(min=tiny); ints = (w / scale).round()"
        ".clamp(-n, n), as torch.int8, or torch.int16 above 8 bits. Return (ints, scale).",
    ],
    refuses=[
        (torch.ones(2, 3), 1),
        (torch.ones(2, 3), 17),
        (torch.ones(0), 8),
        (torch.ones(2, 3), 8, 2),
        (torch.tensor([torch.nan]), 8),
    ],
)
def check_quantize_absmax(student: Callable, rng: random.Random) -> None:
    for shape, bits, dim in (
        ((3, 5), 8, None),
        ((5, 5), 8, 0),
        ((4, 6), 4, 0),
        ((4, 4), 4, 1),
        ((3, 4), 8, -1),
        ((7,), 3, None),
        ((2, 3, 4), 6, (0, 2)),
        ((3, 4), 12, 0),
    ):
        named = (dim,) if isinstance(dim, int) else dim or ()
        kept = tuple(d % len(shape) for d in named)
        w, *want = made_of(rng, shape, bits, kept)
        call = f"quantize_absmax of weights {shape}, bits={bits}, dim={dim}"
        got = student(w, bits, dim)
        if not (isinstance(got, tuple) and len(got) == 2):
            raise Wrong(
                f"{call} must return two tensors, (ints, scale); it returned {kind_of(got)}."
            )
        expect_absmax(got, tuple(want), call, absmax_mistakes(w, bits, kept, got))
    w, ints, scale = made_of(rng, (2, 6), 8, ())
    expect_absmax(
        student(w), (ints, scale), "quantize_absmax(w) without more: 8 bits, one scale for all", {}
    )
    w, ints, scale = made_of(rng, (3, 4), 8, (0,))
    if difference(student(1e-6 * w, 8, 0)[0], ints, 0):
        raise Wrong(
            "quantize_absmax of weights near 1e-7 gives other whole numbers than of a million times these "
            "weights: your least scale is too large. torch.finfo(w.dtype).tiny is small enough."
        )
    w[rng.randrange(3)] = 0.0
    ints, scale = student(w, 8, 0)  # it has got through all of the above
    back = ints * scale
    if not back.isfinite().all() or (back[w == 0] != 0).any() or (scale == 0).any():
        raise Wrong(
            "quantize_absmax of weights with a row of zeros: that row must stay 0. Its scale would be 0, and "
            "0 / 0 is no number: keep the scale above 0."
        )


# --- quantize_groups ------------------------------------------------------------------------------


def made_of_groups(
    rng: random.Random, shape: tuple[int, ...], bits: int, size: int
) -> tuple[Tensor, tuple[Tensor, Tensor, Tensor]]:
    """Weights whose whole numbers, scales and zero points are known: w = (ints - zero + up to 0.4)
    · scale. The groups lie on both sides of 0, above it, or below it.
    """
    n = 2**bits - 1
    rows = []
    ints = []
    scales = []
    zeros = []
    for g in range(math.prod(shape) // size):
        scale = rng.uniform(0.02, 0.4)
        side = g % 3
        zero = (rng.randint(1, n - 1), 0, n)[side]
        shift = rng.choice((-1, 1)) * rng.uniform(0.1, 0.4) if side == 0 else 0.0
        low, high = ((0, n), (1, n), (0, n - 1))[side]
        numbers = [high, low][: 2 if size > 1 else 1]
        numbers += [rng.randint(low, high) for _ in range(size - 2)]
        exact = [k - zero - shift for k in numbers[:2]]
        inner = [k - zero + rng.uniform(-0.3, 0.3) for k in numbers[2:]]
        # nothing lies beyond the two ends
        inner = [min(max(x, -zero - shift), n - zero - shift) for x in inner]
        if side == 1:  # the largest makes the scale, the least is above 0
            exact = [n, 1.2][: len(exact)]
        if side == 2:
            exact = [-1.2, -n][: len(exact)] if size > 1 else [-n]
        values = exact + inner
        ints += [min(max(round(x) + zero, 0), n) for x in values]
        rows += [x * scale for x in values]
        scales.append(scale)
        zeros.append(zero)
    return torch.tensor(rows).view(shape), (
        torch.tensor(ints, dtype=torch.int32).view(shape),
        torch.tensor(scales)[:, None],
        torch.tensor(zeros, dtype=torch.int32)[:, None],
    )


def _groups_by(
    ends: Callable[[Tensor], tuple[Tensor, Tensor]] = lambda g: (
        g.amin(1, keepdim=True).clamp(max=0),
        g.amax(1, keepdim=True).clamp(min=0),
    ),
    steps: Callable[[int], int] = lambda bits: 2**bits - 1,
    away: Callable[[Tensor], Tensor] = torch.round,
    cut: Callable[[Tensor, int], Tensor] = lambda w, size: w.reshape(-1, size),
    joined: Callable[[Tensor, Tensor], Tensor] = lambda ints, w: ints.reshape(w.shape),
) -> Callable:
    """`quantize_groups` with one thing done otherwise."""

    def answer(w: Tensor, bits: int = 4, size: int = 32) -> tuple[Tensor, Tensor, Tensor]:
        shrinking.quantize_groups(w, bits, size)  # refuses what must be refused
        groups = cut(w, size)
        least, largest = ends(groups)
        scale = ((largest - least) / steps(bits)).clamp(min=torch.finfo(w.dtype).tiny)
        zero = (-least / scale).round()
        ints = (away(groups / scale) + zero).clamp(0, 2**bits - 1)
        return joined(ints.int(), w), scale, zero.int()

    return answer


def _of(change: Callable[[Tensor, Tensor, Tensor], tuple]) -> Callable:
    """`quantize_groups` with its right parts changed at the end."""
    return lambda w, bits=4, size=32: change(*shrinking.quantize_groups(w, bits, size))


@EXERCISES.add(
    shrinking.quantize_groups,
    difficulty=2,
    minutes=10,
    sizes=False,
    gradients=False,
    hints=[
        "w.reshape(-1, size) has a group in each row. The range of a row, from its least weight to its largest, is cut into 2^bits - 1 steps.",
        "The least end is at most 0 and the largest at least 0: .clamp(max=0) and .clamp(min=0). zero is -least / scale, rounded. "
        ".clamp(min=torch.finfo(w.dtype).tiny) keeps a scale above 0.",
        "ints = ((groups / scale).round() + zero).clamp(0, n), then .int().view(w.shape). Raise the ValueErrors first: check_weights(w, bits, None) "
        "does all but the one for the size.",
    ],
    refuses=[
        (torch.ones(2, 3), 4, 4),
        (torch.ones(2, 3), 1, 3),
        (torch.ones(2, 3), 17, 3),
        (torch.ones(0), 4, 1),
        (torch.tensor([torch.nan, 1.0]), 4, 2),
    ],
    mistakes={
        "the range must hold 0.0: widen it where all weights of a group lie on one side": _groups_by(
            ends=lambda g: (g.amin(1, keepdim=True), g.amax(1, keepdim=True))
        ),
        "the range has 2^bits - 1 steps between 2^bits numbers": _groups_by(
            steps=lambda bits: 2**bits
        ),
        "all bits are free here, as no number is negative: 2^bits - 1 steps": _groups_by(
            steps=lambda bits: 2 ** (bits - 1) - 1
        ),
        "round to the nearest: you cut the decimals off": _groups_by(away=torch.trunc),
        "round to the nearest: you rounded down": _groups_by(away=torch.floor),
        "each group needs a scale and a zero point of its own; you made one for all": (
            lambda w, bits=4, size=32: _of(
                lambda ints, scale, zero: (
                    ints,
                    scale.expand(w.numel() // size, 1),
                    zero.expand(w.numel() // size, 1),
                )
            )(w, bits, w.numel())
        ),
        "a group is `size` neighbours; you took weights that lie apart": _groups_by(
            cut=lambda w, size: w.reshape(size, -1).T,
            joined=lambda ints, w: ints.T.reshape(w.shape),
        ),
        "the least weight is where the numbers begin: you took the range around 0": _groups_by(
            ends=lambda g: (-g.abs().amax(1, keepdim=True), g.abs().amax(1, keepdim=True))
        ),
        "give ints the shape of w": _of(
            lambda ints, scale, zero: (ints.view(len(scale), -1), scale, zero)
        ),
        "scale and zero need the shape (n, 1), a row a group": _of(
            lambda ints, scale, zero: (ints, scale.flatten(), zero.flatten())
        ),
        "zero is the whole number that stands for 0.0; you gave the value of the least weight": _of(
            lambda ints, scale, zero: (ints, scale, -zero * scale)
        ),
        "the sign of zero: w is (ints - zero) · scale": _of(
            lambda ints, scale, zero: (ints, scale, -zero)
        ),
        "ints begin at 0: add zero to them": _of(
            lambda ints, scale, zero: (
                (ints.view(len(scale), -1) - zero).view(ints.shape),
                scale,
                zero,
            )
        ),
        "return the scale by which the whole numbers are multiplied, not divided": _of(
            lambda ints, scale, zero: (ints, 1 / scale, zero)
        ),
        "return (ints, scale, zero), in this order": _of(
            lambda ints, scale, zero: (ints, zero, scale)
        ),
        "return whole numbers: .int()": _of(
            lambda ints, scale, zero: (ints.float(), scale, zero.float())
        ),
    },
)
def check_quantize_groups(student: Callable, rng: random.Random) -> None:
    for shape, bits, size in (((2, 9), 2, 6), ((4, 6), 4, 3), ((3, 4, 2), 3, 4), ((30,), 8, 10)):
        w, want = made_of_groups(rng, shape, bits, size)
        call = f"quantize_groups of weights {shape}, bits={bits}, size={size}"
        expect(student(w, bits, size), want, call)
    w, want = made_of_groups(rng, (2, 64), 4, 32)
    expect(student(w), want, "quantize_groups(w) without more: 4 bits, groups of 32")
    w, want = made_of_groups(rng, (3, 4), 4, 4)
    if difference(student(1e-6 * w, 4, 4)[0], want[0], 0):
        raise Wrong(
            "quantize_groups of weights near 1e-7 gives other whole numbers than of a million times these "
            "weights: your least scale is too large. torch.finfo(w.dtype).tiny is small enough."
        )
    gone = rng.randrange(3)
    w[gone] = 0.0
    ints, scale, zero = student(w, 4, 4)  # it has got through all of the above
    back = (ints - zero) * scale
    if not back.isfinite().all() or (back[gone] != 0).any() or (scale == 0).any():
        raise Wrong(
            "quantize_groups of weights with a group of zeros: that group must stay 0. Its scale would be 0, "
            "and 0 / 0 is no number: keep the scale above 0."
        )


# --- packed_bytes ---------------------------------------------------------------------------------


def bytes_oracle(n: int, bits: int, groups: int, zero_point: bool = False) -> int:
    """Bit by bit."""
    blocks = [n * bits, 32 * groups] + ([groups * bits] if zero_point else [])
    return sum(len(range(0, block, 8)) for block in blocks)


def _bytes_by(change: Callable[[int, int, int, bool], float]) -> Callable:
    def answer(n: int, bits: int, groups: int, zero_point: bool = False) -> float:
        shrinking.packed_bytes(n, bits, groups, zero_point)  # refuses what must be refused
        return change(n, bits, groups, zero_point)

    return answer


@EXERCISES.add(
    shrinking.packed_bytes,
    difficulty=1,
    minutes=5,
    sizes=False,
    gradients=False,
    hints=[
        "Three blocks: the weights, the scales, the zero points. A byte has 8 bits, and a scale has 32.",
        "math.ceil(bits / 8) fills a block up to whole bytes; do it for each block, not for the sum.",
        "math.ceil(n * bits / 8) + 4 * groups + (math.ceil(groups * bits / 8) if zero_point else 0)",
    ],
    refuses=[(8, 0, 1), (8, 4, 0), (8, 4, 9)],
    mistakes={
        "the scales are missing": _bytes_by(
            lambda n, b, g, z: math.ceil(n * b / 8) + (math.ceil(g * b / 8) if z else 0)
        ),
        "a scale has 32 bits, that is 4 bytes": _bytes_by(
            lambda n, b, g, z: math.ceil(n * b / 8) + 32 * g + (math.ceil(g * b / 8) if z else 0)
        ),
        "the zero points are missing": _bytes_by(lambda n, b, g, z: bytes_oracle(n, b, g)),
        "there are zero points only where zero_point says so": _bytes_by(
            lambda n, b, g, z: bytes_oracle(n, b, g, True)
        ),
        "a zero point has as many bits as a weight; yours has 32": _bytes_by(
            lambda n, b, g, z: bytes_oracle(n, b, g) + 4 * g * z
        ),
        "each block is filled up to whole bytes by itself; you filled up the sum": _bytes_by(
            lambda n, b, g, z: math.ceil((n * b + 32 * g + g * b * z) / 8)
        ),
        "a block is filled up to whole bytes; you rounded down": _bytes_by(
            lambda n, b, g, z: n * b // 8 + 4 * g + (g * b // 8) * z
        ),
        "a byte is whole: fill each block up": _bytes_by(
            lambda n, b, g, z: n * b / 8 + 4 * g + g * b / 8 * z
        ),
        "these are bits; 8 of them are a byte": _bytes_by(
            lambda n, b, g, z: n * b + 32 * g + g * b * z
        ),
        "several weights share a byte where they have fewer than 8 bits": _bytes_by(
            lambda n, b, g, z: n * math.ceil(b / 8) + 4 * g + g * math.ceil(b / 8) * z
        ),
    },
)
def check_packed_bytes(student: Callable, rng: random.Random) -> None:
    for bits in (2, 3, 4, 5, 8, 12):
        groups = 2 * rng.randint(2, 9) + 1
        n = groups * rng.randint(5, 40)
        n += 1 - n % 2  # odd, so that the last byte is not full
        for zero_point in (False, True):
            call = f"packed_bytes({n}, bits={bits}, groups={groups}, zero_point={zero_point})"
            expect(
                student(n, bits, groups, zero_point),
                bytes_oracle(n, bits, groups, zero_point),
                call,
            )
    expect(student(9, 4, 1), bytes_oracle(9, 4, 1), "packed_bytes(9, 4, 1), without a zero point")


# --- allocate_bits --------------------------------------------------------------------------------

LEVELS = (2, 3, 4)
ASKED = 200  # how often an answer may measure a loss


class Toy:
    """Eight matrices whose loss is known: the sum of what each adds, a quarter for each bit more."""

    def __init__(self, rng: random.Random) -> None:
        names = rng.sample(["a", "b", "c", "d", "e", "f", "g", "h"], 8)
        weights = [100.0, 50.0, 20.0, 9.0, 3.0, 1.0, 0.3, 0.1]
        rng.shuffle(weights)
        self.weight = dict(zip(names, weights, strict=True))
        self.sizes = {
            name: {bits: bits * n for bits in LEVELS}
            for name, n in zip(names, rng.sample(range(20, 60), 8), strict=True)
        }
        self.asked = 0

    def __deepcopy__(self, memo: dict) -> "Toy":
        """Itself: an answer gets a copy of what it is given, and there is one count."""
        return self

    def loss(self, plan: dict[str, int]) -> float:
        return 0.8 + sum(weight * 4.0 ** -plan[name] for name, weight in self.weight.items())

    def measured(self, plan: dict[str, int]) -> float:
        """The loss as an answer gets it, which is counted."""
        self.asked += 1
        if self.asked > ASKED:
            raise Wrong(
                f"allocate_bits asked for more than {ASKED} losses. Each is slow: measure what one matrix hurts, and add up."
            )
        return self.loss(plan)

    def bytes_of(self, plan: dict[str, int]) -> int:
        return sum(self.sizes[name][bits] for name, bits in plan.items())

    def equal(self, budget: int) -> dict[str, int]:
        """The most bits that all can have."""
        plans = [dict.fromkeys(self.sizes, bits) for bits in LEVELS]
        return [plan for plan in plans if self.bytes_of(plan) <= budget][-1]

    def best(self, budget: int) -> float:
        """The least loss of all plans that fit."""
        plans = (
            dict(zip(self.sizes, bits, strict=True))
            for bits in itertools.product(LEVELS, repeat=len(self.sizes))
        )
        return min(self.loss(plan) for plan in plans if self.bytes_of(plan) <= budget)


@EXERCISES.add(
    shrinking.allocate_bits,
    difficulty=3,
    minutes=15,
    sizes=False,
    gradients=False,
    hints=[
        "Which matrix can spare bits, and which cannot? Give one of them fewer bits, all others the most, and measure.",
        "Begin with the most bits for all. While the plan is too large, take the step down that costs the least loss for each byte that it saves.",
        "hurt[name, bits] = loss(plan | {name: bits}) - loss(plan), measured once for each. Then in a loop: "
        "min(steps, key=lambda step: (hurt[step] - hurt[name, plan[name]]) / bytes saved).",
    ],
    refuses=[({"a": {2: 10, 4: 20}, "b": {2: 10, 4: 20}}, lambda plan: 0.0, 19)],
)
def check_allocate_bits(student: Callable, rng: random.Random) -> None:
    for _ in range(3):
        toy = Toy(rng)
        least, more = (toy.bytes_of(dict.fromkeys(toy.sizes, bits)) for bits in (2, 3))
        _check_plan(student, toy, (least + more) // 2)
    toy = Toy(rng)
    fewest = dict.fromkeys(toy.sizes, 2)
    got = _plan_of(student, toy, toy.bytes_of(fewest))
    expect(got, fewest, "allocate_bits with a budget into which only the fewest bits fit")


def _plan_of(student: Callable, toy: Toy, budget: int) -> dict[str, int]:
    """An answer's plan, which names every matrix, has bits that are there, and fits."""
    call = f"allocate_bits of eight matrices, budget={budget}"
    toy.asked = 0
    got = student({name: dict(sizes) for name, sizes in toy.sizes.items()}, toy.measured, budget)
    if toy.asked > ASKED:  # also where the answer caught what `measured` raised
        raise Wrong(f"allocate_bits asked for more than {ASKED} losses. Each is slow.")
    if not isinstance(got, dict) or got.keys() != toy.sizes.keys():
        raise Wrong(f"{call}: return {{name: bits}} with all eight names, got {kind_of(got)}.")
    if any(got[name] not in toy.sizes[name] for name in got):
        raise Wrong(f"{call}: bits must be among {LEVELS}, as sizes[name] has them.")
    if toy.bytes_of(got) > budget:
        raise Wrong(f"{call}: your plan takes {toy.bytes_of(got)} bytes.")
    return got


def _check_plan(student: Callable, toy: Toy, budget: int) -> None:
    got = _plan_of(student, toy, budget)
    equal = toy.loss(toy.equal(budget))
    best = toy.best(budget)
    yours = toy.loss(got)
    if yours > equal - (equal - best) / 2:
        raise Wrong(
            f"allocate_bits of eight matrices, budget={budget}: your plan has a loss of {yours:.2f}, the same bits for all "
            f"{equal:.2f}, the best plan {best:.2f}. Gain at least half of that. Which matrix hurts most when it has few bits?"
        )
