"""Which mistake to name, and what to say where none can be named.

An answer that is wrong is run again, with all of the checker's comparisons, on the same numbers and
on others. A mistake is named only where it explains everything: it fits wherever it is listed, on
two different inputs at least, and no other mistake does. So an answer that by chance looks like a
mistake on a degenerate input (two pairs, a single layer) is not accused of it. Otherwise the
student reads the smallest input that fails, what came and what was expected.
"""

import inspect
import random
import re
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import combinations
from typing import Any

import numpy as np
import torch

from .compare import Comparison, difference, show_value, taking_notes
from .guard import Call, Guarded, Raised, outline
from .variants import anew, is_array, leaves, loses, mapped, side_by_side

# relative or absolute, between an answer and a mistake that are computed otherwise; half precision
# has two or three digits
TOLERANCE = 1e-4
HALF = {torch.bfloat16: 2e-2, torch.float16: 2e-3}
TRIALS = 80  # inputs that are tried on the way to the smallest one
SMALL = 8  # numbers that are shown whole


def evidence(
    check: Callable,
    student: Callable,
    guarded: Guarded,
    reference: Callable,
    mistakes: Mapping[str, Callable],
    seed: object,
) -> list[Comparison]:
    """Everything that a checker compares on the numbers of this seed, whatever comes; and each call
    of a function beside the reference and beside `mistakes`, functions which make one each.
    """
    guarded.log = []
    with taking_notes(lambda: guarded.last) as seen:
        try:
            check(student, random.Random(seed))
        except Exception:
            pass  # what a checker does with a wrong result may fail: what it saw till then counts
    calls = guarded.log
    guarded.log = None
    beside = (_beside(call, reference, mistakes) for call in calls) if mistakes else ()
    return [*seen, *(one for one in beside if one is not None)]


def _beside(call: Call, reference: Callable, mistakes: Mapping[str, Callable]) -> Comparison | None:
    """A call compared with the reference; None where that raises."""
    want = _outcome(reference, call)
    if isinstance(want, Raised):
        return None
    tol = max((HALF.get(getattr(x, "dtype", None), 0.0) for x in leaves(want)), default=0.0)
    tol = max(tol, TOLERANCE)
    made = {sentence: _outcome(mistake, call) for sentence, mistake in mistakes.items()}
    fitting = [s for s, x in made.items() if difference(call.came, x, tol) is None]
    what = difference(call.came, want, tol)
    given = (call.args, call.kwargs)
    return Comparison(call.text, call.came, want, tol, what, tuple(made), tuple(fitting), given)


def _outcome(function: Callable, call: Call) -> Any:
    try:
        return function(*anew(call.args), **anew(call.kwargs))
    except Exception as error:
        return Raised(type(error).__name__)


def named(seen: Sequence[Comparison]) -> str | None:
    """The message that names the mistake; None where none, or more than one, explains it all."""
    listed = {pattern(s) for one in seen if one.what for s in one.fitting}
    standing = {culprit for culprit in listed if _explains(culprit, seen)}
    # A checker goes from the simple to the odd: where two mistakes stand, each in its own corner,
    # the one that shows first is the cause.
    at = (standing.intersection(map(pattern, one.fitting)) for one in seen if one.what)
    found = list(next(filter(None, at), ()))
    if len(found) != 1:
        return None
    fits = [one for one in seen if one.what and _fitting(found[0], one)]
    shown = min(fits, key=lambda one: _size(one.want))
    return shown.accusing(_fitting(found[0], shown)[0])


def pattern(sentence: str) -> str:
    """A sentence without its numbers: the same mistake says other ones on other inputs.

    >>> pattern("you normalised over dim=1")
    'you normalised over dim=#'
    """
    return re.sub(r"-?\d+(\.\d+)?(e-?\d+)?", "#", sentence)


def _fitting(culprit: str, one: Comparison) -> list[str]:
    return [s for s in one.fitting if pattern(s) == culprit]


def _explains(culprit: str, seen: Sequence[Comparison]) -> bool:
    asked = [one for one in seen if culprit in map(pattern, one.mistakes)]
    if not all(_fitting(culprit, one) for one in asked):
        return False
    wrong = [one for one in asked if one.what]
    return any(_are_apart(one, other) for one, other in combinations(wrong, 2))


def _are_apart(one: Comparison, other: Comparison) -> bool:
    """Whether two comparisons are two inputs, and not the same one again."""
    pairs = [(one.want, other.want), (one.got, other.got)]
    if one.given is not None and other.given is not None:
        pairs += [(list(one.given[0]), list(other.given[0]))]
    return any(difference(a, b, one.tol) is not None for a, b in pairs)


def _size(value: Any) -> int:
    """How much a value holds: numbers, and characters."""
    return sum(_size_of_leaf(x) for x in leaves(value))


def _size_of_leaf(x: Any) -> int:
    if isinstance(x, torch.Tensor):
        return x.numel()
    if isinstance(x, np.ndarray):
        return x.size
    return len(x) if isinstance(x, (str, bytes)) else 1


# --- What is said where no mistake is named -------------------------------------------------------


def plain(seen: Sequence[Comparison], student: Guarded, reference: Callable, sizes: bool) -> str:
    """The smallest input that fails, what came and what was expected. sizes: whether arrays may be
    cut.
    """
    failed = sorted((one for one in seen if one.what), key=lambda one: _size(one.given or one.want))
    for one in failed:
        if one.given is None:
            continue
        fault = _fault(student, reference, one.given, one.tol)
        # Where the checker expects something else than what the reference gives, such as a part of
        # it, the reference says nothing about smaller inputs.
        if fault is not None and difference(fault.want, one.want, one.tol) is None:
            return _shrunk(fault, student, reference, sizes).plain()
    return failed[0].plain()


def _shrunk(fault: Comparison, student: Guarded, reference: Callable, sizes: bool) -> Comparison:
    """The same fault on the smallest input that is found in a few trials."""
    waiting = _smaller(fault.given, sizes)
    for _ in range(TRIALS):
        given = next(waiting, None)
        if given is None:
            break
        if (smaller := _fault(student, reference, given, fault.tol)) is not None:
            fault = smaller
            waiting = _smaller(given, sizes)
    return fault


def _fault(
    student: Guarded, reference: Callable, given: tuple[tuple, dict], tol: float
) -> Comparison | None:
    """How the answer differs from the reference for these arguments; None where it does not, or
    where one of the two raises.
    """
    try:
        pair = side_by_side(student, reference, *given)
    except Exception:
        return None
    if pair is None or (what := difference(*pair, tol)) is None:
        return None
    got, want = pair
    in_part = not what.startswith(("expected", "got", "it returned"))
    small = _size(want) <= SMALL and outline(got) == outline(want)
    if in_part and small and show_value(got) != show_value(want):
        what = f"expected {show_value(want)}, got {show_value(got)}"
    return Comparison(student.call, got, want, tol, what, (), (), given)


def _smaller(given: tuple[tuple, dict], sizes: bool) -> Iterator[tuple[tuple, dict]]:
    """Arguments of which one thing is smaller, or shorter to read, the boldest step first."""
    arrays = [x for x in leaves(given) if is_array(x)]
    found = sorted({n for x in arrays for n in x.shape if n > 1}, reverse=True) if sizes else ()
    for n in found:
        for kept in dict.fromkeys((1, 2, n // 2, n - 1)):
            cut = partial(_first, size=n, kept=kept)
            if kept < n and not any(loses(x, cut(x)) for x in arrays):
                yield mapped(given, cut)
    args, named = given
    for i, x in enumerate(args):
        for other in _less(x):
            yield (*args[:i], other, *args[i + 1 :]), named
    for key, x in named.items():
        for other in _less(x):
            yield args, named | {key: other}
    rounded = mapped(given, _rounded)
    if any(difference(a, b, 0) for a, b in zip(leaves(given), leaves(rounded), strict=True)):
        yield rounded


def _first(x: Any, size: int, kept: int) -> Any:
    """Only the first `kept` along every dimension of this size."""
    if not is_array(x):
        return x
    return x[tuple(slice(0, kept) if n == size else slice(None) for n in x.shape)]


def _less(x: Any) -> Iterator[Any]:
    """Smaller values in the place of a whole number, a text or a list."""
    if type(x) is int and x > 1:
        yield from dict.fromkeys((1, 2, x // 2)) if x > 2 else (1,)
    if type(x) in (str, bytes, list) and len(x) > 1:
        half = len(x) // 2
        yield x[:half]
        yield x[half:]
        if len(x) <= SMALL:
            yield from (x[:i] + x[i + 1 :] for i in range(len(x)))


def _rounded(x: Any) -> Any:
    """Numbers of one decimal, as long as different ones stay different."""
    if not is_array(x) or "float" not in str(x.dtype) or _size(x) > SMALL:
        return x
    values = torch.as_tensor(x)
    near = values.mul(10).round().div(10)
    if len(near.unique()) < len(values.unique()) or _sums_to_1(values):
        return x
    return near if isinstance(x, torch.Tensor) else near.numpy()


def _sums_to_1(values: torch.Tensor) -> bool:
    """Whether the numbers are shares of a whole, which rounding would break."""
    return values.ndim > 0 and any(
        torch.allclose(sums, torch.ones_like(sums), atol=1e-3)
        for sums in (values.sum(), *(values.sum(dim) for dim in range(values.ndim)))
    )


def line_of(error: BaseException, answer: Callable) -> str:
    """The line of the student's code in which an error came up, as the end of a sentence."""
    file = getattr(getattr(answer, "__code__", None), "co_filename", None)
    if inspect.isclass(answer):
        methods = (vars(answer).get(name) for name in vars(answer))
        file = next((m.__code__.co_filename for m in methods if inspect.isfunction(m)), None)
    steps = traceback.extract_tb(error.__traceback__)
    lines = [step.line for step in steps if step.filename == file and step.line]
    return f", in the line `{lines[-1][:80]}`" if lines else ""
