"""Inputs that checkers draw, and checks that several of them share."""

import math
import random
from collections.abc import Callable

import torch
from torch import Tensor

from course_utils.checking.compare import Wrong, expect


def normal(rng: random.Random, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """Draws from a normal distribution, of this shape, repeatable by the checker's own source of
    random numbers. None is exactly 0, as one in millions would be: a 0 must be the answer's doing.
    """
    generator = torch.Generator().manual_seed(rng.randrange(2**31))
    x = torch.randn(shape, generator=generator, dtype=dtype)
    return x.masked_fill_(x == 0, 1.0)


def distinct(rng: random.Random, *shape: int) -> Tensor:
    """Whole numbers that are all different, so that no two arrangements of them look the same."""
    generator = torch.Generator().manual_seed(rng.randrange(2**31))
    return torch.randperm(math.prod(shape), generator=generator).reshape(shape)


def gradient(got: Tensor, want: Tensor, got_from: Tensor, want_from: Tensor, call: str) -> None:
    """Compares the gradients that reach the input, which a value computed outside torch does not
    have.
    """
    if not got.requires_grad:
        raise Wrong(
            f"{call}: no gradient flows back, so nothing could be trained through this. "
            "Stay with tensors: no .detach(), .item(), .tolist() or numpy on the way"
        )
    pull = torch.linspace(-1, 1, want.numel(), dtype=want.dtype).reshape(want.shape)
    got_grad, want_grad = (
        torch.autograd.grad((y * pull).sum(), x, allow_unused=True)[0]
        for y, x in ((got, got_from), (want, want_from))
    )
    if got_grad is None:
        raise Wrong(f"{call}: no gradient reaches the input. Use the tensors that you were given")
    expect(got_grad, want_grad, f"the gradient of {call}")


def check_gradient(student: Callable, oracle: Callable, x: Tensor, call: str) -> None:
    """Compares the gradient that reaches x through the student's function with the one through the
    oracle.
    """
    x.requires_grad_()
    inner = x * 1  # not a leaf: the student's function gets this very tensor
    gradient(student(inner), oracle(inner), inner, inner, call)


def must_raise(run: Callable, call: str, why: str) -> None:
    """Raises Wrong unless `run()` raises a ValueError; `why` says what is wrong with the input."""
    try:
        run()
    except ValueError:
        return
    raise Wrong(f"{call} must raise a ValueError: {why}.")


def different(mistakes: dict[str, Tensor], want: Tensor) -> dict[str, Tensor]:
    """Those mistakes that show on this input."""
    return {
        s: v
        for s, v in mistakes.items()
        if v.shape != want.shape or not torch.allclose(v, want, rtol=1e-4, atol=1e-4)
    }


class Dice(torch.Generator):
    """A generator that the engine, which copies arguments, leaves as it is: two calls in a row must
    throw on.
    """

    def __deepcopy__(self, memo: dict) -> "Dice":
        return self


def dice(seed: int) -> Dice:
    """A seeded source of random numbers that goes on from call to call, even through the engine."""
    generator = Dice()
    generator.manual_seed(seed)
    return generator
