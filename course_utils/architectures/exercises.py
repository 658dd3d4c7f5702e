"""Exercises of lesson 11. The right values come from torch's own softmax and
scaled_dot_product_attention.
"""

import random
from collections.abc import Callable

import torch
from torch import Tensor

from course_utils.attention import heads as attention
from course_utils.checking import Exercises, expect
from course_utils.checking.inputs import check_gradient, distinct, normal
from course_utils.transformer_block import block as transformer_block
from course_utils.transformer_block.exercises import table

EXERCISES = Exercises()


@EXERCISES.add(
    attention.repeat_kv,
    difficulty=2,
    minutes=5,
    hints=[
        "Query heads 0 to n_rep - 1 read key head 0, the next n_rep read key head 1. Write the list of key heads for "
        "H_kv = 2 and n_rep = 3.",
        "0, 0, 0, 1, 1, 1: each head is repeated before the next one comes. torch has two functions that repeat; they differ "
        "in just this order.",
        "x.repeat_interleave(n_rep, dim=…): which dimension holds the heads?",
    ],
    refuses=[(torch.ones(1, 2, 3, 4), 0), (torch.ones(1, 2, 3, 4), -1)],
    mistakes={
        "without dim=… repeat_interleave flattens x and repeats every number; name the dimension of the heads": (
            lambda x, n_rep: x.repeat_interleave(n_rep)
        ),
        "n_rep is the number of copies of each head, not the number of heads in the end": (
            lambda x, n_rep: attention.repeat_kv(x, max(1, n_rep // x.size(1)))
        ),
        "the copies stand behind the positions, so that a reshape mixes both; put them behind their head": (
            lambda x, n_rep: x.repeat_interleave(n_rep, 2).reshape(len(x), -1, *x.shape[2:])
        ),
        "only the first head of each group is filled; the others are 0": lambda x, n_rep: (
            attention.repeat_kv(x, n_rep)
            * (torch.arange(n_rep * x.size(1)) % n_rep == 0)[:, None, None]
        ),
        "you divided by n_rep; a copy has the numbers of its head": lambda x, n_rep: (
            attention.repeat_kv((x / n_rep).to(x.dtype), n_rep)
        ),
        "nothing was repeated": lambda x, n_rep: x,
    },
)
def check_repeat_kv(student: Callable, rng: random.Random) -> None:
    for B, H, S, d in ((2, 3, 5, 4), (1, 2, 3, 2), (3, 3, 3, 3), (2, 1, 4, 3), (2, 4, 1, 2)):
        for n_rep in (rng.randrange(2, 5), 1, H):
            for x in (distinct(rng, B, H, S, d), normal(rng, B, H, S, d)):
                want = torch.stack([x[:, h // n_rep] for h in range(H * n_rep)], dim=1)
                mistakes = {
                    "the order is head 0, 1, 2, 0, 1, 2 …; neighbours share a head: 0, 0, 1, 1, 2, 2":
                        x.repeat(1, n_rep, 1, 1),
                    "you repeated the sequences of the batch; repeat the heads": x.repeat_interleave(n_rep, 0),
                    "you repeated the positions; repeat the heads": x.repeat_interleave(n_rep, 2),
                    "you repeated the features; repeat the heads": x.repeat_interleave(n_rep, 3),
                    "n_rep counts the copies of each head in the result, the original among them":
                        x.repeat_interleave(n_rep + 1, 1),
                    "the copies have a dimension of their own: join it with the heads": x[:, :, None].expand(
                        B, H, n_rep, S, d),
                }  # fmt: skip
                call = f"repeat_kv(x, n_rep={n_rep}) with x of shape {tuple(x.shape)}"
                expect(student(x, n_rep), want, call, mistakes=mistakes)
    x = normal(rng, 2, 2, 3, 4)
    check_gradient(
        lambda x: student(x, 3), lambda x: x.repeat_interleave(3, 1), x, "repeat_kv(x, n_rep=3)"
    )


# --- rotary ---------------------------------------------------------------------------------------


def turn(
    x: Tensor, base: float = 10_000.0, first: int = 0, sign: int = 1, step: float = 2.0
) -> Tensor:
    """Pairs of features as complex numbers, times e^(i · angle)."""
    T, d = x.shape[-2:]
    rates = torch.tensor([base ** (-step * i / d) for i in range(d // 2)], dtype=torch.float64)
    angles = sign * torch.outer(torch.arange(first, first + T, dtype=torch.float64), rates)
    pairs = torch.view_as_complex(x.double().unflatten(-1, (-1, 2)).contiguous())
    return (
        torch.view_as_real(pairs * torch.polar(torch.ones_like(angles), angles))
        .flatten(-2)
        .to(x.dtype)
    )


def halves(x: Tensor) -> Tensor:
    """Features 0, d/2, 1, d/2 + 1, … : the pairs of the other convention next to each other."""
    return x.unflatten(-1, (2, -1)).mT.flatten(-2)


def unhalves(x: Tensor) -> Tensor:
    return x.unflatten(-1, (-1, 2)).mT.flatten(-2)


def _rotary_mistakes(x: Tensor, base: float, want: Tensor) -> dict[str, Tensor]:
    """What the usual slips make of x, turned with this base."""
    T = x.size(-2)
    d = x.size(-1)
    even = x[..., 0::2]
    odd = x[..., 1::2]
    cos = table(T, d, base)[..., 1]
    sin = table(T, d, base)[..., 0]
    mistakes = {
        "feature i is paired with i + d/2 (as in Llama); here neighbours 2i and 2i + 1 are a pair":
            unhalves(turn(halves(x), base)),
        "you turned the other way: even' = even·cos - odd·sin, odd' = even·sin + odd·cos": turn(x, base, sign=-1),
        "both halves of a pair have the same sign; a rotation has one minus":
            torch.stack([even * cos + odd * sin, even * sin + odd * cos], -1).flatten(-2),
        "the turned features are side by side, all even ones first; put them back in turns":
            unhalves(want),
        "the first position is turned by 0: count positions from 0": turn(x, base, first=1),
        "the exponent is -2i / d for the i-th pair; yours is -i / d": turn(x, base, step=1.0),
        "the exponent is -2i / d; yours is -4i / d": turn(x, base, step=4.0),
        "you ignored the base that was given": turn(x),
        "all pairs turn at the same rate": turn(x, 1.0),
        "you added the positions; rotary turns x and adds nothing": x + table(T, d, base).flatten(1),
    }  # fmt: skip
    if x.ndim > 2 and x.size(-3) > 1:
        mistakes[
            "the positions are the second to last dimension; you counted along another one"
        ] = turn(x.transpose(-2, -3), base).transpose(-2, -3)
    return mistakes


def _overwritten(x: Tensor, base: float = 10_000.0) -> Tensor:
    """The odd features are turned with even ones that were turned before."""
    even = transformer_block.rotary(x, base)[..., 0::2]
    half = torch.stack([even, x[..., 1::2]], -1).flatten(-2)
    odd = transformer_block.rotary(half, base)[..., 1::2]
    return torch.stack([even, odd], -1).flatten(-2)


@EXERCISES.add(
    transformer_block.rotary,
    difficulty=3,
    minutes=12,
    hints=[
        "The angles are those of the sinusoidal table: position times rate, (T, d / 2). Here they turn the features instead of "
        "being added to them.",
        "x[..., 0::2] are the even features, x[..., 1::2] the odd ones. To turn the point (a, b) by an angle: (a·cos - b·sin, "
        "a·sin + b·cos).",
        "Make the two turned halves, then torch.stack([…, …], dim=-1).flatten(-2) puts neighbours next to each other again. Bring "
        "cos and sin to x.dtype first. An odd d raises a ValueError.",
    ],
    refuses=[(torch.ones(2, 3),)],
    mistakes={
        "you turned the odd features with even ones that were turned before; both need the old ones": _overwritten,
        "the result has the dtype of cos and sin, float32; bring them to x.dtype": (
            lambda x, base=10_000.0: transformer_block.rotary(
                x.float() if x.dtype == torch.bfloat16 else x, base
            )
        ),
    },
)
def check_rotary(student: Callable, rng: random.Random) -> None:
    for shape in ((7, 6), (2, 3, 5, 8), (2, 4, 4, 6), (4, 4), (3, 2, 2), (2, 1, 4)):
        for base in (None, rng.uniform(20.0, 500.0)):
            b = 10_000.0 if base is None else base
            x = normal(rng, *shape)
            want = turn(x, b)
            mistakes = _rotary_mistakes(x, b, want)
            if base is None:
                mistakes.pop("you ignored the base that was given")
                mistakes |= {
                    f"your base is {other} where none is given; it must be 10000": turn(x, other)
                    for other in (1000, 100_000, 500_000)
                }
            mistakes = {s: v for s, v in mistakes.items() if not torch.allclose(v, want)}
            call = (
                f"rotary(x{'' if base is None else f', base={base:.4g}'}) with x of shape {shape}"
            )
            expect(
                student(x) if base is None else student(x, base=base),
                want,
                call,
                mistakes=mistakes,
                tol=2e-5,
            )
    x = normal(rng, 5, 4, dtype=torch.float64)
    expect(student(x), turn(x), "rotary(x) with x in torch.float64", tol=1e-5)
    x = normal(rng, 5, 4).bfloat16()
    expect(student(x), turn(x), "rotary(x) with x in torch.bfloat16", tol=0.05)
    check_gradient(student, turn, normal(rng, 5, 4), "rotary(x)")
