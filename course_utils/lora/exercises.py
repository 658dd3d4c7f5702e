"""Exercises of lesson 19."""

import math
import random
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from course_utils.checking import Exercises, expect
from course_utils.checking.inputs import check_gradient, normal
from course_utils.lora import adapters

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
