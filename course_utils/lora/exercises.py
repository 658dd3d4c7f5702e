"""Exercises of lesson 19."""

import math
import random
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from course_utils.checking import Exercises, expect
from course_utils.checking.inputs import check_gradient, normal
from course_utils.lora import adapters, runs

EXERCISES = Exercises()


# --- lora_forward, lora_merge ---------------------------------------------------------------------


def lora_parts(rng: random.Random, m: int, n: int, r: int) -> tuple[Tensor, ...]:
    return normal(rng, m, n), normal(rng, m), normal(rng, r, n), normal(rng, m, r)


def lora_oracle(
    x: Tensor, W: Tensor, b: Tensor | None, A: Tensor, B: Tensor, alpha: float
) -> Tensor:
    """Row by row, number by number, in double precision."""
    m, r = B.shape
    Wd = W.tolist()
    Ad = A.tolist()
    Bd = B.tolist()
    rows = []
    for row in x.reshape(-1, x.size(-1)).tolist():
        thin = [sum(a * v for a, v in zip(Ad[k], row, strict=True)) for k in range(r)]
        rows.append(
            [
                sum(w * v for w, v in zip(Wd[i], row, strict=True))
                + (b[i].item() if b is not None else 0.0)
                + alpha / r * sum(Bd[i][k] * thin[k] for k in range(r))
                for i in range(m)
            ]
        )
    return torch.tensor(rows).view(*x.shape[:-1], m)


FACTORS: dict[str, Callable[[float, Tensor, Tensor], float]] = {
    "the factor α / r is missing": lambda alpha, A, B: 1.0,
    "the factor is α / r; the division by the rank is missing": lambda alpha, A, B: alpha,
    "the factor is α / r; you multiplied by the rank": lambda alpha, A, B: alpha * len(A),
    "the factor is α / r, not r / α": lambda alpha, A, B: len(A) / alpha,
    "the factor is α / r; α is missing": lambda alpha, A, B: 1 / len(A),
    "the factor is α / r; that is α / √r, which another method uses": (
        lambda alpha, A, B: alpha / math.sqrt(len(A))
    ),
    "you took the number of outputs for the rank r, which is len(A)": (
        lambda alpha, A, B: alpha / len(B)
    ),
    "you took the number of inputs for the rank r, which is len(A)": (
        lambda alpha, A, B: alpha / A.size(1)
    ),
    "you divided α by r with //, which drops the remainder; use /": (
        lambda alpha, A, B: alpha // len(A)
    ),
    "the thin matrices are not in it": lambda alpha, A, B: 0.0,
    "the thin part is added, not subtracted": lambda alpha, A, B: -alpha / len(A),
}


def _forward_with(factor: Callable) -> Callable:
    return lambda x, W, b, A, B, alpha: adapters.lora_forward(
        x, W, b, A, B, factor(alpha, A, B) * len(A)
    )


def _merge_with(factor: Callable) -> Callable:
    return lambda W, A, B, alpha: adapters.lora_merge(W, A, B, factor(alpha, A, B) * len(A))


@EXERCISES.add(
    adapters.lora_forward,
    difficulty=1,
    minutes=8,
    hints=[
        "Two ways side by side, added: the old layer, F.linear(x, W, b), and the thin one, through A and then B.",
        "x is made of rows, so A x becomes x @ A.T, of shape (..., r), and B of it @ B.T, of shape (..., m).",
        "The factor is alpha / r, and r is len(A). It multiplies the thin part only.",
    ],
    mistakes={sentence: _forward_with(factor) for sentence, factor in FACTORS.items()}
    | {
        "the bias b is lost": lambda x, W, b, *thin: adapters.lora_forward(x, W, None, *thin),
        "the bias is there twice": lambda x, W, b, *thin: (
            adapters.lora_forward(x, W, b, *thin) + (0 if b is None else b)
        ),
        "the bias is part of W x + b only; α / r must not touch it": lambda x, W, b, A, B, alpha: (
            adapters.lora_forward(x, W, None if b is None else alpha / len(A) * b, A, B, alpha)
        ),
        "b may be None: add it only where there is one": lambda x, W, b, *thin: (
            adapters.lora_forward(x, W, None, *thin) + b
        ),
        "α / r scales the thin part only": lambda x, W, b, A, B, alpha: (
            alpha / len(A) * adapters.lora_forward(x, W, b, A, B, len(A))
        ),
        "W x is missing; only b and the thin part are there": lambda x, W, *more: (
            adapters.lora_forward(x, torch.zeros_like(W), *more)
        ),
        "only the thin part is there: add W x + b": lambda x, W, b, *thin: adapters.lora_forward(
            x, torch.zeros_like(W), None, *thin
        ),
        "W is the wrong way round: a linear layer keeps (out, in), so x @ W.T": (
            lambda x, W, *more: adapters.lora_forward(x, W.T, *more)
        ),
    },
)
def check_lora_forward(student: Callable, rng: random.Random) -> None:
    for shape, m, n, r, alpha in (
        ((3, 4), 4, 4, 2, 6.0),
        ((2, 3, 5), 7, 5, 3, 1.0),
        ((6,), 3, 6, 1, 4.0),
    ):
        W, b, A, B = lora_parts(rng, m, n, r)
        x = normal(rng, *shape)
        call = (
            f"lora_forward(x {shape}, W ({m}, {n}), b, A ({r}, {n}), B ({m}, {r}), alpha={alpha:g})"
        )
        expect(student(x, W, b, A, B, alpha), lora_oracle(x, W, b, A, B, alpha), call, tol=1e-4)
        expect(
            student(x, W, None, A, B, alpha),
            lora_oracle(x, W, None, A, B, alpha),
            call.replace("b,", "None,", 1),
            tol=1e-4,
        )
    W, b, A, B = lora_parts(rng, 3, 4, 2)
    x = normal(rng, 2, 4)
    zero = torch.zeros(3, 2)
    expect(
        student(x, W, b, A, zero, 4.0),
        F.linear(x, W, b),
        "lora_forward with B = 0, as it starts",
        tol=1e-5,
    )
    _check_forward_gradients(student, x, W, b, A, B)


def _check_forward_gradients(
    student: Callable, x: Tensor, W: Tensor, b: Tensor, A: Tensor, B: Tensor
) -> None:
    """The gradients that reach B, A and x."""
    check_gradient(
        lambda B: student(x, W, b, A, B, 4.0),
        lambda B: F.linear(x, W + 2.0 * B @ A, b),
        B,
        "lora_forward(…, B, …)",
    )
    check_gradient(
        lambda A: student(x, W, b, A, B, 4.0),
        lambda A: F.linear(x, W + 2.0 * B @ A, b),
        A,
        "lora_forward(…, A, …)",
    )
    check_gradient(
        lambda x: student(x, W, b, A, B, 4.0),
        lambda x: F.linear(x, W + 2.0 * B @ A, b),
        x,
        "lora_forward(x, …)",
    )


@EXERCISES.add(
    adapters.lora_merge,
    difficulty=1,
    minutes=5,
    gradients=False,  # what is trained is no longer changed
    hints=[
        "W x + (α / r) B A x = (W + (α / r) B A) x. The bracket is one matrix.",
        "B @ A is (m, n), the shape of W. Nothing is transposed.",
        "W + alpha / len(A) * B @ A makes a new matrix; W += … would change the layer that you were given.",
    ],
    mistakes={sentence: _merge_with(factor) for sentence, factor in FACTORS.items()}
    | {
        "only the thin matrices are in it: add W": lambda W, *thin: adapters.lora_merge(
            torch.zeros_like(W), *thin
        ),
        "α / r scales the thin part only": lambda W, A, B, alpha: (
            alpha / len(A) * adapters.lora_merge(W, A, B, len(A))
        ),
        "the thin part is added twice": lambda W, A, B, alpha: adapters.lora_merge(
            W, A, B, 2 * alpha
        ),
    },
)
def check_lora_merge(student: Callable, rng: random.Random) -> None:
    for m, n, r, alpha in ((4, 4, 2, 6.0), (7, 5, 3, 1.0), (3, 6, 1, 4.0), (5, 5, 5, 10.0)):
        W, _, A, B = lora_parts(rng, m, n, r)
        call = f"lora_merge(W ({m}, {n}), A ({r}, {n}), B ({m}, {r}), alpha={alpha:g})"
        # column by column
        want = torch.stack([lora_oracle(e, W, None, A, B, alpha) for e in torch.eye(n)], 1)
        mistakes = {}
        if m == n:
            mistakes["the product is the wrong way round: B A, as the layer applies A first"] = (
                W + alpha / r * (B @ A).T
            )
            mistakes["W is the wrong way round: it stays (out, in)"] = W.T + alpha / r * B @ A
        expect(student(W, A, B, alpha), want, call, mistakes, tol=1e-4)
        expect(student(W, A, B, alpha), want, f"{call}, a second time", tol=1e-4)
    x = normal(rng, 3, n)
    expect(
        x @ student(W, A, B, alpha).T,
        lora_oracle(x, W, None, A, B, alpha),
        "x @ lora_merge(…).T",
        tol=1e-4,
    )


# --- alpha_for ------------------------------------------------------------------------------------


@EXERCISES.add(
    adapters.alpha_for,
    difficulty=2,
    minutes=8,
    gradients=False,
    hints=[
        "Read the three lines: with α = 2 r the change grows with the rank, with a fixed α it falls.",
        "From rank 1 to rank 16 the change at a fixed α falls to a quarter. Which power of 16 is a quarter?",
        "α must grow with the root of the rank, and it is known_alpha where rank is known_rank.",
    ],
    refuses=[(0, 8, 16.0), (8, 0, 16.0), (-2, 8, 16.0)],
    mistakes={
        "a constant α / r moves more at a higher rank, as the first line shows": lambda r, k, a: (
            a * r / k
        ),
        "a constant α moves less at a higher rank, as the second line shows": lambda r, k, a: float(
            a
        ),
        "it is the wrong way round: at a higher rank α must be higher": lambda r, k, a: (
            a * math.sqrt(k / r)
        ),
        "that is 2 √r; the known α at the known rank must come out again": lambda r, k, a: (
            2 * math.sqrt(r)
        ),
        "that is the factor α / r; return α itself": lambda r, k, a: a * math.sqrt(r / k) / r,
        "the root belongs around the ranks only, not around α": lambda r, k, a: math.sqrt(
            a * r / k
        ),
    },
)
def check_alpha_for(student: Callable, rng: random.Random) -> None:
    for _ in range(3):
        known = rng.choice([2, 3, 8])
        alpha = rng.choice([5.0, 12.0, 33.0])
        rank = rng.choice([5, 6, 24, 32])
        call = f"alpha_for({rank}, known_rank={known}, known_alpha={alpha:g})"
        expect(student(rank, known, alpha), alpha * (rank / known) ** 0.5, call)
        expect(student(known, known, alpha), alpha, f"alpha_for({known}, {known}, {alpha:g})")
    expect(student(2, 32, 8.0), 2.0, "alpha_for(2, known_rank=32, known_alpha=8)")


# --- low_rank -------------------------------------------------------------------------------------


def _svd(update: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return torch.linalg.svd(update, full_matrices=False)


def _smallest(update: Tensor, rank: int) -> Tensor:
    U, S, Vh = _svd(update)
    return U[:, -rank:] * S[-rank:] @ Vh[-rank:]


def _columns(update: Tensor, rank: int) -> Tensor:
    return torch.cat([update[:, :rank], torch.zeros_like(update[:, rank:])], 1)


def _unscaled(update: Tensor, rank: int) -> Tensor:
    U, _, Vh = _svd(update)
    return U[:, :rank] @ Vh[:rank]


def _squared(update: Tensor, rank: int) -> Tensor:
    U, S, Vh = _svd(update)
    return U[:, :rank] * S[:rank] ** 2 @ Vh[:rank]


def _one_alone(update: Tensor, rank: int) -> Tensor:
    U, S, Vh = _svd(update)
    k = min(rank, len(S)) - 1
    return S[k] * torch.outer(U[:, k], Vh[k])


def _largest_numbers(update: Tensor, rank: int) -> Tensor:
    kept = update.abs().flatten().topk(min(update.numel(), rank * sum(update.shape))).values[-1]
    return torch.where(update.abs() >= kept, update, 0.0)


@EXERCISES.add(
    adapters.low_rank,
    difficulty=2,
    minutes=8,
    gradients=False,
    hints=[
        "torch.linalg.svd(update, full_matrices=False) gives U (m, k), S (k,), largest first, and Vh (k, n).",
        "update is U * S @ Vh. Keep the first `rank` columns of U, numbers of S and rows of Vh.",
        "U[:, :rank] * S[:rank] @ Vh[:rank], after a ValueError for a rank below 1.",
    ],
    refuses=[(torch.eye(3), 0), (torch.eye(3), -1)],
    mistakes={
        "you kept the smallest singular values; keep the largest": _smallest,
        "you kept some columns of the update; keep its largest singular values": _columns,
        "the singular values themselves are missing": _unscaled,
        "you squared the singular values; each counts once": _squared,
        "you kept one singular value alone; keep the first `rank` of them": _one_alone,
        "you kept the largest numbers, and the rank stays high; keep the largest singular values": _largest_numbers,
        "one singular value too few is left": lambda update, rank: (
            adapters.low_rank(update, rank - 1) if rank > 1 else torch.zeros_like(update)
        ),
        "one singular value too many is left": lambda update, rank: adapters.low_rank(
            update, rank + 1
        ),
    },
)
def check_low_rank(student: Callable, rng: random.Random) -> None:
    for m, n, rank in ((5, 4, 2), (6, 9, 3), (7, 7, 1), (4, 6, 9)):
        k = min(m, n)
        left = torch.linalg.qr(normal(rng, m, k)).Q  # (m, k), columns of length 1
        right = torch.linalg.qr(normal(rng, n, k)).Q
        sizes = torch.tensor(
            [3.0 * 0.6**i for i in range(k)]
        )  # far apart, so that one is the largest
        update = left * sizes @ right.T
        want = left[:, :rank] * sizes[:rank] @ right[:, :rank].T
        call = f"low_rank(update of ({m}, {n}), rank={rank})"
        expect(student(update, rank), want, call, tol=1e-4)


# --- loss_at --------------------------------------------------------------------------------------


def _marks(pairs: list[tuple[float, float]]) -> list[dict]:
    return [
        {"step": 20 * i, "accuracy": right, "story_loss": nats}
        for i, (right, nats) in enumerate(pairs, 1)
    ]


def _first_above(curve: list[dict], goal: float) -> float:
    return next((m["story_loss"] for m in curve if m["accuracy"] >= goal), math.nan)


def _last_below(curve: list[dict], goal: float) -> float:
    reached = [n for n, mark in enumerate(curve) if mark["accuracy"] >= goal]
    if not reached or not reached[0]:
        return runs.loss_at(curve, goal)
    return curve[reached[0] - 1]["story_loss"]


def _nearest(curve: list[dict], goal: float) -> float:
    if max(m["accuracy"] for m in curve) < goal:
        return math.nan
    return min(curve, key=lambda m: abs(m["accuracy"] - goal))["story_loss"]


def _halfway(curve: list[dict], goal: float) -> float:
    for a, b in zip(curve, curve[1:], strict=False):
        if a["accuracy"] < goal <= b["accuracy"]:
            return (a["story_loss"] + b["story_loss"]) / 2
    return runs.loss_at(curve, goal)


def _last_crossing(curve: list[dict], goal: float) -> float:
    for n in range(len(curve) - 1, 0, -1):
        if curve[n - 1]["accuracy"] < goal <= curve[n]["accuracy"]:
            return runs.loss_at(curve[n - 1 :], goal)
    return runs.loss_at(curve, goal)


@EXERCISES.add(
    runs.loss_at,
    difficulty=2,
    minutes=12,
    gradients=False,
    hints=[
        "Go through the marks in order, and keep the one before. Stop at the first whose accuracy reaches the goal.",
        "part = (goal - before's accuracy) / (this accuracy - before's): how far between the two marks the goal lies.",
        "before's loss + part * (this loss - before's loss); where there is no mark before, this mark's loss; nan at the end.",
    ],
    refuses=[([], 0.5)],
    mistakes={
        "you took the first mark that reaches the goal; go along the line from the mark before": _first_above,
        "you took the last mark below the goal; go along the line to the next": _last_below,
        "you took the mark nearest to the goal; go along the line between two": _nearest,
        "you took the middle between two marks; how far along the line does the goal lie?": _halfway,
        "where the accuracy falls and rises again, the first time counts": _last_crossing,
        "a run that never reaches the goal has no such loss: return nan": lambda curve, goal: (
            runs.loss_at(curve, goal)
            if max(m["accuracy"] for m in curve) >= goal
            else curve[-1]["story_loss"]
        ),
        "where the first mark reaches the goal, its loss is the answer": lambda curve, goal: (
            math.nan if curve[0]["accuracy"] >= goal else runs.loss_at(curve, goal)
        ),
        "that is the step at which the goal is reached; return the loss on stories": lambda curve, goal: (
            runs.loss_at([m | {"story_loss": float(m["step"])} for m in curve], goal)
        ),
    },
)
def check_loss_at(student: Callable, rng: random.Random) -> None:
    a, b, c = sorted(rng.uniform(0.8, 3.0) for _ in range(3))
    rising = _marks([(0.1, a), (0.3, b), (0.8, c)])
    shaking = _marks([(0.2, a), (0.6, b), (0.4, c), (0.7, c + 0.5)])
    for name, curve, goals in (
        ("rising curve", rising, (0.25, 0.35, 0.72, 0.8, 0.05, 0.9)),
        ("curve that falls on the way", shaking, (0.5, 0.55, 0.65, 0.21)),
    ):
        for goal in goals:
            before = None
            want = math.nan
            for mark in curve:
                if mark["accuracy"] >= goal:
                    want = mark["story_loss"]
                    if before is not None:
                        x = [before["accuracy"], mark["accuracy"]]
                        y = [before["story_loss"], mark["story_loss"]]
                        want = float(np.interp(goal, x, y))
                    break
                before = mark
            pairs = [(mark["accuracy"], round(mark["story_loss"], 2)) for mark in curve]
            expect(student(curve, goal), want, f"loss_at of a {name} {pairs}, goal {goal}")
