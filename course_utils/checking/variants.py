"""Inputs that no checker has to think of: what a student's function was called with, laid out
otherwise or with only one of each kind. There the reference says what is right.
"""

import random
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import torch

from .compare import Wrong, difference
from .guard import Guarded, Played, copied

NEAR = 1e-3
MOST = 40  # variants that are tried
KNOWN = (
    bool, int, float, str, bytes, type(None), np.ndarray, np.number, torch.Tensor,
    torch.dtype, torch.Generator, np.random.Generator, random.Random,
)  # fmt: skip


def try_variants(student: Guarded | Played, reference: Callable, sizes: bool = True) -> None:
    """Call the student's function again with variants of what it was called with, and raise Wrong
    where it gives something else than the reference.

    Left out is what shows nothing: calls with arguments of an unknown kind, those for which the two
    differ already (they draw in another order, or a tie was broken otherwise), and variants that
    the reference refuses or answers with nan. sizes: whether arrays may be cut to sizes of 1.
    """
    tried = 0
    for args, kwargs in list(student.calls):
        if not all(map(is_known, leaves((args, kwargs)))):
            continue
        pair = side_by_side(student, reference, args, kwargs)
        if pair is None or difference(*pair, NEAR) is not None:
            continue
        for why, new_args, new_kwargs in _variants(args, kwargs, sizes):
            pair = side_by_side(student, reference, new_args, new_kwargs)
            if pair is None:
                continue
            if (what := difference(*pair, NEAR)) is not None:
                raise Wrong(f"{student.call}{why}: {what}.")
            tried += 1
            if tried == MOST:
                return


def side_by_side(student: Callable, reference: Callable, args: tuple, kwargs: dict) -> tuple | None:
    """What the two give; None where the reference refuses, or gives nan."""
    try:
        want = reference(*anew(args), **anew(kwargs))
    except Exception:
        return None
    if any(map(has_nan, leaves(want))):
        return None
    return (student(*anew(args), **anew(kwargs)), want)


def anew(value: Any) -> Any:
    """A copy, in which sources of random numbers stand where the given ones do."""
    return mapped(value, _anew_leaf)


def _anew_leaf(value: Any) -> Any:
    if isinstance(value, torch.Tensor) and value.requires_grad:
        return value.detach().clone()
    if not isinstance(value, torch.Generator):
        return copied(value)
    other = torch.Generator(value.device)
    other.set_state(value.get_state())
    return other


def _variants(args: tuple, kwargs: dict, sizes: bool) -> Iterator[tuple[str, tuple, dict]]:
    """(what is special, as a part of a sentence, arguments, named ones) for each variant."""
    arrays = [x for x in leaves((args, kwargs)) if is_array(x)]
    found = {size for x in arrays for size in x.shape if size > 1} if sizes else ()
    # a class that was told a size
    fixed = {x for x in leaves([a for a in args if type(a) is tuple]) if type(x) is int}
    for size in sorted(set(found) - fixed)[:4]:
        single = partial(_single, size=size)
        if not any(loses(x, single(x)) for x in arrays):
            yield "", mapped(args, single), mapped(kwargs, single)
    for i, x in enumerate(args):
        if type(x) is int and x > 1:
            yield "", (*args[:i], 1, *args[i + 1 :]), kwargs
    if any(x.ndim for x in arrays):
        why = " with tensors that do not lie in one piece (as after a transpose)"
        yield why, mapped(args, _scattered), mapped(kwargs, _scattered)


def _single(x: Any, size: int) -> Any:
    """Only the first along every dimension of this size."""
    if not is_array(x):
        return x
    return x[tuple(slice(0, 1) if n == size else slice(None) for n in x.shape)]


def loses(x: Any, cut: Any) -> bool:
    """Whether a cut takes away what a stub may promise of an array: rows that sum to 1, or that are
    not all 0.
    """
    if "float" not in str(x.dtype) or x.ndim == 0 or 0 in x.shape:
        return False
    before = torch.as_tensor(x)
    after = torch.as_tensor(cut)
    sums = [bool((abs(rows.sum(-1) - 1) < 1e-3).all()) for rows in (before, after)]
    zeros = [bool((rows == 0).all(-1).any()) for rows in (before, after)]
    return (sums[0] and not sums[1]) or (zeros[1] and not zeros[0])


def _scattered(x: Any) -> Any:
    """The same numbers at every second place of a larger block of memory, laid out as after a
    transpose where there are two dimensions.
    """
    if not is_array(x) or x.ndim == 0:
        return x
    turned = x if x.ndim == 1 else x.swapaxes(-1, -2)
    if isinstance(x, np.ndarray):
        apart = np.repeat(turned, 2, axis=-1)[..., ::2]
    else:
        apart = turned.repeat_interleave(2, dim=-1)[..., ::2]
    return apart if x.ndim == 1 else apart.swapaxes(-1, -2)


def mapped(value: Any, change: Callable) -> Any:
    """The value with another leaf in the place of each."""
    if type(value) is dict:
        return {key: mapped(x, change) for key, x in value.items()}
    if type(value) in (list, tuple):
        return type(value)(mapped(x, change) for x in value)
    return change(value)


def leaves(value: Any) -> Iterator[Any]:
    """What stands in lists, tuples and dictionaries, or the value itself."""
    if type(value) not in (list, tuple, dict):
        yield value
        return
    for x in value.values() if type(value) is dict else value:
        yield from leaves(x)


def is_array(value: Any) -> bool:
    """Whether it is a tensor or a NumPy array."""
    return isinstance(value, (torch.Tensor, np.ndarray))


def is_known(value: Any) -> bool:
    """Whether a variant can be made of calls that hold such a value."""
    return isinstance(value, KNOWN) or callable(value)


def has_nan(value: Any) -> bool:
    """Whether a number or an array holds nan."""
    if isinstance(value, float):
        return value != value
    return is_array(value) and bool(torch.as_tensor(value).isnan().any())
