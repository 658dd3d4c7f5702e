"""Exercises of lesson 19."""

import math
import random
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from course_utils.checking import Exercises, Wrong, expect
from course_utils.checking.inputs import check_gradient, different, normal
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


def scale_mistakes(base: Tensor, thin: Tensor, r: int, alpha: float) -> dict[str, Tensor]:
    """What comes out with another factor than α / r before the thin part."""
    return {
        "the factor α / r is missing": base + thin,
        "the factor is α / r; the division by the rank is missing": base + alpha * thin,
        "the factor is α / r; you multiplied by the rank": base + alpha * r * thin,
        "the factor is α / r, not r / α": base + r / alpha * thin,
        "the factor is α / r; α is missing": base + thin / r,
        "the factor is α / r; that is α / √r, which another method uses": base
        + alpha / math.sqrt(r) * thin,
        "the thin matrices are not in it": base,
        "only the thin matrices are in it: add W": alpha / r * thin,
        "the thin part is added, not subtracted": base - alpha / r * thin,
    }


def _forward_mistakes(
    x: Tensor, W: Tensor, b: Tensor, A: Tensor, B: Tensor, alpha: float
) -> dict[str, Tensor]:
    """What the usual slips make of x, where it shows."""
    m, n = W.shape
    r = len(A)
    base = F.linear(x, W, b)
    thin = x @ A.T @ B.T
    mistakes = scale_mistakes(base, thin, r, alpha) | {
        "the bias b is lost": base - b + alpha / r * thin,
        "the bias is there twice": base + b + alpha / r * thin,
        "the bias is part of W x + b only; α / r must not touch it": F.linear(x, W)
        + alpha / r * (thin + b),
        "α / r scales the thin part only": alpha / r * (base + thin),
    }
    if m == n:
        mistakes["W is the wrong way round: a linear layer keeps (out, in), so x @ W.T"] = (
            x @ W + b + alpha / r * thin
        )
    return different(mistakes, base + alpha / r * thin)


@EXERCISES.add(
    adapters.lora_forward,
    difficulty=1,
    minutes=8,
    hints=[
        "Two ways side by side, added: the old layer, F.linear(x, W, b), and the thin one, through A and then B.",
        "x is made of rows, so A x becomes x @ A.T, of shape (..., r), and B of it @ B.T, of shape (..., m).",
        "The factor is alpha / r, and r is len(A). It multiplies the thin part only.",
    ],
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
        mistakes = _forward_mistakes(x, W, b, A, B, alpha)
        expect(
            student(x, W, b, A, B, alpha),
            lora_oracle(x, W, b, A, B, alpha),
            call,
            mistakes=mistakes,
            tol=1e-4,
        )
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
)
def check_lora_merge(student: Callable, rng: random.Random) -> None:
    for m, n, r, alpha in ((4, 4, 2, 6.0), (7, 5, 3, 1.0), (3, 6, 1, 4.0), (5, 5, 5, 10.0)):
        W, _, A, B = lora_parts(rng, m, n, r)
        call = f"lora_merge(W ({m}, {n}), A ({r}, {n}), B ({m}, {r}), alpha={alpha:g})"
        # column by column
        want = torch.stack([lora_oracle(e, W, None, A, B, alpha) for e in torch.eye(n)], 1)
        mistakes = scale_mistakes(W, B @ A, r, alpha)
        mistakes["α / r scales the thin part only"] = alpha / r * (W + B @ A)
        mistakes["the thin part is added twice"] = W + 2 * alpha / r * B @ A
        if m == n:
            mistakes["the product is the wrong way round: B A, as the layer applies A first"] = (
                W + alpha / r * (B @ A).T
            )
            mistakes["W is the wrong way round: it stays (out, in)"] = W.T + alpha / r * B @ A
        mistakes = different(mistakes, want)
        expect(student(W, A, B, alpha), want, call, mistakes=mistakes, tol=1e-4)
        expect(student(W, A, B, alpha), want, f"{call}, a second time", tol=1e-4)
    kept = W.clone()
    student(W, A, B, alpha)
    if not torch.equal(W, kept):
        raise Wrong(
            "lora_merge changed W in place: merge again, and the update is there twice. Return a new matrix."
        )
    x = normal(rng, 3, n)
    expect(
        x @ student(W, A, B, alpha).T,
        lora_oracle(x, W, None, A, B, alpha),
        "x @ lora_merge(…).T",
        tol=1e-4,
    )
