"""Comparing an answer with what was expected, in words that a student understands."""

import contextlib
import numbers
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch


class Wrong(Exception):
    """Raised by a checker with the sentence that the student reads. `comparison` is what `expect`
    saw, where it was `expect` that raised it.
    """

    def __init__(self, message: str, comparison: "Comparison | None" = None):
        super().__init__(message)
        self.comparison = comparison


@dataclass(frozen=True)
class Comparison:
    """What came in one call, beside what was expected.

    what: the difference in words, None where there is none. mistakes: the sentences that were at
    hand here; fitting: those of them whose value is just what came. given: arguments and named
    arguments of the student's call, where the engine knows them.
    """

    call: str
    got: Any
    want: Any
    tol: float
    what: str | None
    mistakes: tuple[str, ...]
    fitting: tuple[str, ...]
    given: tuple[tuple, dict] | None = None

    def accusing(self, sentence: str) -> str:
        """The message that names this mistake."""
        came = show_value(self.got)
        expected = show_value(self.want)
        values = f" Expected {expected}, got {came}." if expected != came else ""
        return f"{self.call}: {sentence}.{values}"

    def plain(self) -> str:
        """The message that says what is different, and no more."""
        return f"{self.call}: {self.what}."


class _Notes(threading.local):
    """Where `expect` writes down what it sees; None where it raises what is wrong."""

    seen: list[Comparison] | None = None
    given: Callable[[], tuple | None] = staticmethod(lambda: None)


_NOTES = _Notes()


@contextlib.contextmanager
def taking_notes(given: Callable[[], tuple | None]) -> Iterator[list[Comparison]]:
    """In this thread `expect` writes down every comparison and goes on, whatever came. `given()`
    are the arguments of the student's last call.
    """
    before = (_NOTES.seen, _NOTES.given)
    _NOTES.seen = []
    _NOTES.given = given
    try:
        yield _NOTES.seen
    finally:
        _NOTES.seen, _NOTES.given = before


def expect(
    got: Any, want: Any, call: str, mistakes: Mapping[str, Any] | None = None, tol: float = 1e-5
) -> None:
    """Raises `Wrong` unless `got` is `want`, in type, shape, dtype and value (floats within `tol`,
    relative or absolute).

    `mistakes` maps the sentence that names a likely mistake to the value which that mistake gives.
    Here it is named where just one of them equals what came; the engine asks for more than that,
    see `diagnosis.py`.

    >>> expect([1, 2], [1, 2], "f(3)")
    >>> expect([2, 1], [1, 2], "f(3)", mistakes={"you sorted the wrong way round": [2, 1]})
    Traceback (most recent call last):
    course_utils.checking.compare.Wrong: f(3): you sorted the wrong way round. Expected [1, 2], got [2, 1].
    """
    what = difference(got, want, tol)
    if what is None and _NOTES.seen is None:
        return
    mistakes = mistakes or {}
    fitting = [s for s, wrong in mistakes.items() if difference(got, wrong, tol) is None]
    comparison = Comparison(
        call, got, want, tol, what, tuple(mistakes), tuple(fitting), _NOTES.given()
    )
    if _NOTES.seen is not None:
        _NOTES.seen.append(comparison)
        return
    named = len(fitting) == 1
    message = comparison.accusing(fitting[0]) if named else comparison.plain()
    raise Wrong(message, comparison)


def show_value(value: Any, width: int = 80) -> str:
    """A value in few characters, for a message: large tensors by shape, functions by name, floats
    rounded, long things cut in the middle.
    """
    if isinstance(value, (torch.Tensor, np.ndarray)) and np.prod(tuple(value.shape)) > 8:
        return f"{type(value).__name__} of shape {tuple(value.shape)}"
    if callable(value) and hasattr(value, "__name__"):
        return value.__name__
    try:
        text = repr(value.tolist() if isinstance(value, (torch.Tensor, np.ndarray)) else value)
        text = re.sub(r"\d+\.\d{5,}(e-?\d+)?", lambda number: f"{float(number.group()):.4g}", text)
        if not isinstance(value, (str, bytes)):  # tensors in a list take several lines
            text = re.sub(r"\s+", " ", text)
            text = re.sub(
                r" at 0x[0-9a-fA-F]+", "", text
            )  # where it lies, and nobody needs to know
    except Exception:
        text = kind_of(value)
    return text if len(text) <= width else f"{text[: width - 20]}…{text[-15:]}"


def difference(got: Any, want: Any, tol: float) -> str | None:
    """What is different, in words; None where nothing is."""
    if got is None and want is not None:
        return f"it returned None, expected {show_value(want)} (is there a `return`?)"
    if isinstance(want, torch.Tensor):
        return _array_difference(got, want, tol, torch.Tensor)
    if isinstance(want, np.ndarray):
        return _array_difference(got, want, tol, np.ndarray)
    if isinstance(want, float):
        number = isinstance(got, (numbers.Real, np.floating)) and not isinstance(got, bool)
        if not number:
            return f"expected a number, got {kind_of(got)}"
        close = bool(np.isclose(float(got), want, rtol=tol, atol=tol, equal_nan=True))
        expected, came = apart(want, float(got))
        return None if close else f"expected {expected}, got {came}"
    if isinstance(want, dict):
        return _dict_difference(got, want, tol)
    if isinstance(want, (list, tuple)):
        return _sequence_difference(got, want, tol)
    if type(got) is not type(want) and not (isinstance(want, int) and isinstance(got, np.integer)):
        return f"expected {kind_of(want)}, got {kind_of(got)}"
    return None if bool(got == want) else f"expected {show_value(want)}, got {show_value(got)}"


def _array_difference(got: Any, want: Any, tol: float, kind: type) -> str | None:
    if not isinstance(got, kind):
        return f"expected a {kind.__name__} of shape {tuple(want.shape)}, got {kind_of(got)}"
    if isinstance(got, torch.Tensor) and (odd := _odd_tensor(got)):
        return odd
    if tuple(got.shape) != tuple(want.shape):
        dtypes = f" of {want.dtype}", f" of {got.dtype}"
        more = dtypes if got.dtype != want.dtype else ("", "")
        shapes = f"expected shape {tuple(want.shape)}{more[0]}, got {tuple(got.shape)}{more[1]}"
        kept = [n for n in want.shape if n != 1] == [n for n in got.shape if n != 1]
        lost = kept and got.ndim < want.ndim
        return f"{shapes}: a dimension of size 1 is lost" if lost else shapes
    if got.dtype != want.dtype:
        return f"expected dtype {want.dtype}, got {got.dtype}"
    a, b = (torch.as_tensor(x).detach() for x in (got, want))
    exact = not (a.dtype.is_floating_point or a.dtype.is_complex)
    close = torch.isclose(a, b, rtol=0 if exact else tol, atol=0 if exact else tol, equal_nan=True)
    if bool(close.all()):
        return None
    # What is not finite says most, where it should be finite.
    lost = ~torch.isfinite(a) & torch.isfinite(b)
    where = tuple((lost if bool(lost.any()) else ~close).nonzero()[0].tolist())
    expected, came = apart(b[where].item(), a[where].item())
    place = f"at index {where} " if where else ""
    share = f"{int((~close).sum())} of {close.numel()} values differ; " if where else ""
    if bool(lost.any()):
        share = "there are values that are not finite (nan or inf); "
    return f"{share}{place}expected {expected}, got {came}"


def _odd_tensor(got: torch.Tensor) -> str | None:
    """What is said of a tensor whose values cannot be read like others."""
    if got.is_meta:
        return "got a tensor on the device meta, which has a shape and no values"
    if got.is_nested:
        return "got a nested tensor; give a plain one"
    if got.layout is not torch.strided:
        return "got a sparse tensor; give a plain one, such as by .to_dense()"
    return None


def apart(want: Any, got: Any) -> tuple[str, str]:
    """Two different numbers in as few digits, from 6 on, as show that they differ.

    >>> apart(0.6415671, 0.6415673)
    ('0.6415671', '0.6415673')
    """
    if isinstance(want, complex) or not isinstance(want, float) or not isinstance(got, float):
        return str(want), str(got)
    texts = ((f"{want:.{digits}g}", f"{got:.{digits}g}") for digits in range(6, 18))
    return next((pair for pair in texts if pair[0] != pair[1]), (repr(want), repr(got)))


def _dict_difference(got: Any, want: dict, tol: float) -> str | None:
    if not isinstance(got, dict):
        return f"expected a dict, got {kind_of(got)}"
    missing = [k for k in want if k not in got]
    extra = [k for k in got if k not in want]
    if missing:
        return f"{show_value(missing[0])} is missing"
    if extra:
        return f"{show_value(extra[0])} should not be there"
    for key in want:
        if (inner := difference(got[key], want[key], tol)) is not None:
            return f"at {show_value(key)}: {inner}"
    return None


def _sequence_difference(got: Any, want: Sequence, tol: float) -> str | None:
    # A named tuple is a tuple, too; a list is none.
    if type(got) is not type(want) and not (type(want) is tuple and isinstance(got, tuple)):
        return f"expected a {type(want).__name__}, got {kind_of(got)}"
    for index, (a, b) in enumerate(zip(got, want, strict=False)):
        if (inner := difference(a, b, tol)) is not None:
            simple = isinstance(b, (int, str, bytes)) and type(a) is type(b)
            return (
                f"expected {show_value(want)}, got {show_value(got)}"
                if simple
                else f"at index {index}: {inner}"
            )
    return None if len(got) == len(want) else f"expected {show_value(want)}, got {show_value(got)}"


def kind_of(value: Any) -> str:
    """What a value is, with its article: `a list`, `an int`."""
    name = type(value).__name__
    return f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}" if value is not None else "None"
