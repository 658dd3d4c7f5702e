"""Exercises: a checker which survives any answer and names the likely mistake, hints in layers, the solution's source."""

import contextlib
import copy
import ctypes
import inspect
import io
import random
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

TIME_LIMIT = 5.0  # seconds for one check, unless the exercise says otherwise


class Wrong(Exception):
    """Raised by a checker with the sentence that the student reads."""


@dataclass(frozen=True)
class Result:
    """What a check found. `passed` is None where nothing was attempted yet."""

    passed: bool | None
    message: str

    def __str__(self) -> str:
        return f"{ {True: '✓', False: '✗', None: '·'}[self.passed] } {self.message}"


@dataclass(frozen=True)
class Exercise:
    """One exercise: the reference is the finished function or class of the topic module, and also the solution.

    `check(student, rng)` calls the student's function on inputs drawn from `rng` (a `random.Random`) and raises `Wrong`;
    `hints` go from a nudge to nearly the answer; `difficulty` is 1 to 3; `minutes` is what a beginner needs.
    """

    name: str
    reference: Callable
    check: Callable[[Callable, random.Random], None]
    hints: Sequence[str]
    difficulty: int
    minutes: int
    time_limit: float = TIME_LIMIT

    def grade(self, answer: Any, seed: int = 0) -> Result:
        """Checks an answer, whatever it is, and says what happened in a sentence. Never raises, never hangs.

        The checker runs in a thread of its own; after `time_limit` seconds it is told to stop and left behind.
        """
        if not callable(answer):
            kind = "class" if inspect.isclass(self.reference) else "function"
            return Result(False, f"{self.name}: give check(…) your {kind}, without calling it; it got {_kind(answer)}.")
        if _unattempted(answer):
            return Result(None, f"{self.name}: not attempted yet. Replace the `...` and run both cells again.")
        guarded = _Guarded(answer, self.name)
        outcome: list[Result] = []

        def work() -> None:
            try:
                self.check(guarded if not inspect.isclass(answer) else answer, random.Random(seed))
                outcome.append(Result(True, f"{self.name}: all checks pass."))
            except Wrong as wrong:
                outcome.append(Result(False, f"{self.name}: {wrong}"))
            except BaseException as error:  # whatever a student's code throws, SystemExit too
                outcome.append(Result(False, f"{self.name}: {guarded.call} raised {_describe(error)}."))

        thread = threading.Thread(target=work, daemon=True)
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            thread.start()
            thread.join(self.time_limit)
        if thread.is_alive():
            _stop(thread)
            slow = f"{guarded.call} was still running after {self.time_limit:g} seconds and was stopped"
            return Result(False, f"{self.name}: {slow}. Look for a loop that never ends.")
        return outcome[0]


class _Guarded:
    """The student's function, called with copies of its arguments; remembers the last call for the messages."""

    def __init__(self, function: Callable, name: str):
        self.function, self.call = function, name

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        shown = [show_value(a) for a in args] + [f"{k}={show_value(v)}" for k, v in kwargs.items()]
        self.call = f"{self.call.split('(')[0]}({', '.join(shown)})"
        given, named = [_copy(a) for a in args], {k: _copy(v) for k, v in kwargs.items()}
        got = self.function(*given, **named)
        for before, after in [*zip(args, given, strict=True), *((kwargs[k], named[k]) for k in named)]:
            if (
                isinstance(before, (list, dict, set, torch.Tensor, np.ndarray))
                and _difference(after, before, 0) is not None
            ):
                raise Wrong(
                    f"{self.call} changed its argument in place. Build a new one and leave what you were given as it is."
                )
        return got


def _copy(value: Any) -> Any:
    try:
        return copy.deepcopy(value)
    except Exception:  # e.g. a random generator: shared, not copied
        return value


def expect(got: Any, want: Any, call: str, mistakes: Mapping[str, Any] | None = None, tol: float = 1e-5) -> None:
    """Raises `Wrong` unless `got` is `want`, in type, shape, dtype and value (floats within `tol`, relative or absolute).

    `mistakes` maps the sentence that names a likely mistake to the value which that mistake gives: where the answer is
    wrong, the first one that equals it is what the student reads.

    >>> expect([1, 2], [1, 2], "f(3)")
    >>> expect([2, 1], [1, 2], "f(3)", mistakes={"you sorted the wrong way round": [2, 1]})
    Traceback (most recent call last):
    course_utils.classroom.exercises.Wrong: f(3): you sorted the wrong way round. Expected [1, 2], got [2, 1].
    """
    difference = _difference(got, want, tol)
    if difference is None:
        return
    for sentence, wrong in (mistakes or {}).items():
        if _difference(got, wrong, tol) is None:
            values = f" Expected {show_value(want)}, got {show_value(got)}."
            raise Wrong(f"{call}: {sentence}.{values if show_value(want) != show_value(got) else ''}")
    raise Wrong(f"{call}: {difference}.")


def show_value(value: Any, width: int = 80) -> str:
    """A value in few characters, for a message: large tensors by shape, functions by name, floats rounded, long things cut in the middle."""
    if isinstance(value, (torch.Tensor, np.ndarray)) and np.prod(tuple(value.shape)) > 8:
        return f"{type(value).__name__} of shape {tuple(value.shape)}"
    if callable(value) and hasattr(value, "__name__"):
        return value.__name__
    try:
        text = repr(value.tolist() if isinstance(value, (torch.Tensor, np.ndarray)) else value)
        text = re.sub(r"\d+\.\d{5,}(e-?\d+)?", lambda number: f"{float(number.group()):.4g}", text)
    except Exception:
        text = _kind(value)
    return text if len(text) <= width else f"{text[: width - 20]}…{text[-15:]}"


def _difference(got: Any, want: Any, tol: float) -> str | None:
    """What is different, in words; None where nothing is."""
    if got is None and want is not None:
        return f"it returned None, expected {show_value(want)}; is there a `return`"
    if isinstance(want, torch.Tensor):
        return _array_difference(got, want, tol, torch.Tensor)
    if isinstance(want, np.ndarray):
        return _array_difference(got, want, tol, np.ndarray)
    if isinstance(want, float) and not isinstance(want, bool):
        number = isinstance(got, (int, float, np.floating)) and not isinstance(got, bool)
        if not number:
            return f"expected a number, got {_kind(got)}"
        close = bool(np.isclose(float(got), want, rtol=tol, atol=tol, equal_nan=True))
        return None if close else f"expected {want:.6g}, got {float(got):.6g}"
    if isinstance(want, dict):
        return _dict_difference(got, want, tol)
    if isinstance(want, (list, tuple)):
        return _sequence_difference(got, want, tol)
    if type(got) is not type(want) and not (isinstance(want, int) and isinstance(got, np.integer)):
        return f"expected {_kind(want)}, got {_kind(got)}"
    return None if bool(got == want) else f"expected {show_value(want)}, got {show_value(got)}"


def _array_difference(got: Any, want: Any, tol: float, kind: type) -> str | None:
    if not isinstance(got, kind):
        return f"expected a {kind.__name__} of shape {tuple(want.shape)}, got {_kind(got)}"
    if tuple(got.shape) != tuple(want.shape):
        return f"expected shape {tuple(want.shape)}, got {tuple(got.shape)}"
    if got.dtype != want.dtype:
        return f"expected dtype {want.dtype}, got {got.dtype}"
    a, b = (torch.as_tensor(x).detach() for x in (got, want))
    if a.dtype.is_floating_point and not bool(torch.isfinite(a).all()) and bool(torch.isfinite(b).all()):
        return "there are values that are not finite (nan or inf)"
    exact = not (a.dtype.is_floating_point or a.dtype.is_complex)
    close = torch.isclose(a, b, rtol=0 if exact else tol, atol=0 if exact else tol, equal_nan=True)
    if bool(close.all()):
        return None
    where = tuple((~close).nonzero()[0].tolist())
    share = f"{int((~close).sum())} of {close.numel()} values differ"
    return f"{share}; at index {where} expected {_number(b[where])}, got {_number(a[where])}"


def _number(x: torch.Tensor) -> str:
    return f"{x.item():.6g}" if x.dtype.is_floating_point else str(x.item())


def _dict_difference(got: Any, want: dict, tol: float) -> str | None:
    if not isinstance(got, dict):
        return f"expected a dict, got {_kind(got)}"
    missing, extra = [k for k in want if k not in got], [k for k in got if k not in want]
    if missing:
        return f"{show_value(missing[0])} is missing"
    if extra:
        return f"{show_value(extra[0])} should not be there"
    for key in want:
        if (inner := _difference(got[key], want[key], tol)) is not None:
            return f"at {show_value(key)}: {inner}"
    return None


def _sequence_difference(got: Any, want: Sequence, tol: float) -> str | None:
    if type(got) is not type(want):
        return f"expected a {type(want).__name__}, got {_kind(got)}"
    for index, (a, b) in enumerate(zip(got, want, strict=False)):
        if (inner := _difference(a, b, tol)) is not None:
            simple = isinstance(b, (int, str, bytes)) and type(a) is type(b)
            return f"expected {show_value(want)}, got {show_value(got)}" if simple else f"at index {index}: {inner}"
    return None if len(got) == len(want) else f"expected {show_value(want)}, got {show_value(got)}"


def _kind(value: Any) -> str:
    name = type(value).__name__
    return f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}" if value is not None else "None"


def _describe(error: BaseException) -> str:
    try:
        text = " ".join(str(error).split())
    except Exception:
        text = ""
    name = type(error).__name__
    return f"{name}: {text[:160]}" if text else name


def _unattempted(answer: Callable) -> bool:
    """True for a stub: a function, or a class all of whose own methods are functions, of nothing but a docstring and `...`."""
    if inspect.isclass(answer):
        methods = [m for m in vars(answer).values() if inspect.isfunction(m)]
        return bool(methods) and all(_unattempted(m) for m in methods)
    code = getattr(answer, "__code__", None)
    return code is not None and code.co_name != "<lambda>" and (code.co_code, code.co_consts[-1]) in _EMPTY


def _documented():
    """A stub to compare with."""
    ...


def _bare(): ...


_EMPTY = [(stub.__code__.co_code, None) for stub in (_documented, _bare)]


def _stop(thread: threading.Thread) -> None:
    """Asks a thread to end by raising SystemExit in it; one that is inside C code ends when it comes back."""
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(SystemExit))


class Catalog:
    """All exercises by `topic.name`, and what a notebook does with them: check, hint, solution."""

    def __init__(self, load: Callable[[str], Sequence[Exercise]], topics: Sequence[str]):
        self._load, self.topics = load, tuple(topics)
        self._hinted: dict[str, int] = {}

    def find(self, name: str) -> Exercise:
        """The exercise called `topic.name`. Raises KeyError listing what there is."""
        topic, _, short = name.partition(".")
        if topic not in self.topics:
            raise KeyError(f"no exercises on {topic!r}; there are exercises on {', '.join(self.topics)}.")
        known = {exercise.name: exercise for exercise in self._load(topic)}
        if short not in known:
            raise KeyError(f"no exercise {name!r}; {topic} has {', '.join(known)}.")
        return known[short]

    def names(self) -> list[str]:
        """Every `topic.name`, in course order."""
        return [f"{topic}.{exercise.name}" for topic in self.topics for exercise in self._load(topic)]

    def check(self, name: str, answer: Any) -> None:
        """Prints whether your answer is right, and if not, what is likely wrong."""
        print(self.find(name).grade(answer))

    def hint(self, name: str) -> None:
        """Prints a hint; each call goes one step further."""
        hints = self.find(name).hints
        step = min(self._hinted.get(name, 0), len(hints) - 1)
        self._hinted[name] = step + 1
        more = (
            "call again for the next" if step + 1 < len(hints) else f'the last one; solution("{name}") shows the answer'
        )
        print(f"Hint {step + 1} of {len(hints)} ({more}): {hints[step]}")

    def solution(self, name: str) -> None:
        """Prints the source of the reference: the finished function of the topic module."""
        print(inspect.getsource(self.find(name).reference).rstrip())
