"""Exercises: a checker which survives any answer and names the likely mistake, hints in layers, the
solution's source.
"""

import contextlib
import copy
import inspect
import io
import random
import types
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from course_utils.classroom.frontend import say

from .compare import Wrong, difference, kind_of, show_value
from .limits import CPU_LIMIT, WALL_LIMIT, run_limited


@dataclass(frozen=True)
class Result:
    """What a check found. `passed` is None where nothing was attempted yet."""

    passed: bool | None
    message: str

    def __str__(self) -> str:
        return f"{ {True: '✓', False: '✗', None: '·'}[self.passed] } {self.message}"


@dataclass(frozen=True)
class Exercise:
    """One exercise: the reference is the finished function or class of the topic module, and also
    the solution.

    `check(student, rng)` calls the student's function on inputs drawn from `rng` (a
    `random.Random`) and raises `Wrong`; `hints` go from a nudge to nearly the answer; `difficulty`
    is 1 to 3; `minutes` is what a beginner needs. A check may use `time_limit` seconds of processor
    time, and `wall_limit` seconds on the clock where it only waits.
    """

    name: str
    reference: Callable
    check: Callable[[Callable, random.Random], None]
    hints: Sequence[str]
    difficulty: int
    minutes: int
    time_limit: float = CPU_LIMIT
    wall_limit: float = WALL_LIMIT

    def grade(self, answer: Any, seed: int = 0) -> Result:
        """Checks an answer, whatever it is, and says what happened in a sentence. Never raises,
        never hangs.

        The checker runs in a thread of its own, which is ended where it passes a limit or where you
        press Stop.
        """
        if not callable(answer):
            kind = "class" if inspect.isclass(self.reference) else "function"
            return Result(
                False,
                f"{self.name}: give check(…) your {kind}, without calling it; it got {kind_of(answer)}.",
            )
        if _unattempted(answer):
            return Result(
                None, f"{self.name}: not attempted yet. Replace the `...` and run both cells again."
            )
        guarded = _Guarded(answer, self.name)
        outcome: list[Result] = []

        def work() -> None:
            try:
                self.check(guarded if not inspect.isclass(answer) else answer, random.Random(seed))
                outcome.append(Result(True, f"{self.name}: all checks pass."))
            except Wrong as wrong:
                outcome.append(Result(False, f"{self.name}: {wrong}"))
            except BaseException as error:  # whatever a student's code throws, SystemExit too
                outcome.append(
                    Result(False, f"{self.name}: {guarded.call} raised {_describe(error)}.")
                )

        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            passed_limit = run_limited(work, self.time_limit, self.wall_limit)
        if passed_limit == "cpu":
            slow = f"{guarded.call} was still running after {self.time_limit:g} seconds of work and was stopped"
            return Result(False, f"{self.name}: {slow}. Look for a loop that never ends.")
        if passed_limit == "wall":
            slow = f"{guarded.call} was still running after {self.wall_limit:g} seconds and was stopped"
            return Result(
                False,
                f"{self.name}: {slow}. Look for what waits, such as input() or sleep(), and for a loop that never ends.",
            )
        return outcome[0]


class Exercises(list[Exercise]):
    """The exercises of a room, in order. Each is registered where its checker stands:

    >>> from course_utils.checking import Wrong
    >>> def double(x):
    ...     return 2 * x
    >>> exercises = Exercises()
    >>> @exercises.add(
    ...     double, difficulty=1, minutes=2, hints=["Which operator multiplies?", "2 * x"]
    ... )
    ... def check_double(student, rng):
    ...     if student(3) != 6:
    ...         raise Wrong("double(3) is 6")
    >>> print(exercises[0].grade(lambda x: x + 3), "|", exercises[0].grade(lambda x: x * x))
    ✓ double: all checks pass. | ✗ double: double(3) is 6
    """

    def add(
        self,
        reference: Callable,
        *,
        hints: Sequence[str],
        difficulty: int,
        minutes: int,
        time_limit: float = CPU_LIMIT,
    ) -> Callable[[Callable], Callable]:
        """A decorator for the checker of the exercise that is named as its reference, the finished
        function or class.
        """

        def register(check: Callable) -> Callable:
            self.append(
                Exercise(
                    reference.__name__, reference, check, hints, difficulty, minutes, time_limit
                )
            )
            return check

        return register


class _Guarded:
    """The student's function, called with copies of its arguments; remembers the last call for the
    messages.
    """

    def __init__(self, function: Callable, name: str):
        self.function = function
        self.call = name

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        shown = [show_value(a) for a in args] + [f"{k}={show_value(v)}" for k, v in kwargs.items()]
        self.call = f"{self.call.split('(')[0]}({', '.join(shown)})"
        given = [_copy(a) for a in args]
        named = {k: _copy(v) for k, v in kwargs.items()}
        got = self.function(*given, **named)
        for before, after in [
            *zip(args, given, strict=True),
            *((kwargs[k], named[k]) for k in named),
        ]:
            if (
                isinstance(before, (list, dict, set, torch.Tensor, np.ndarray))
                and difference(after, before, 0) is not None
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


def _describe(error: BaseException) -> str:
    try:
        text = " ".join(str(error).split())
    except BaseException:
        text = ""
    name = type(error).__name__
    return f"{name}: {text[:160]}" if text else name


def _unattempted(answer: Callable) -> bool:
    """True for a stub: a function, or a class all of whose own methods are functions, of nothing
    but a docstring and `...`.
    """
    if inspect.isclass(answer):
        methods = [m for m in vars(answer).values() if inspect.isfunction(m)]
        return bool(methods) and all(_unattempted(m) for m in methods)
    code = getattr(answer, "__code__", None)
    return (
        isinstance(code, types.CodeType)
        and code.co_name != "<lambda>"
        and (code.co_code, code.co_consts[-1]) in _EMPTY
    )


def _documented():
    """A stub to compare with."""
    ...


def _bare(): ...


_EMPTY = [(stub.__code__.co_code, None) for stub in (_documented, _bare)]


class Catalog:
    """All exercises by `topic.name`, and what a notebook does with them: check, hint, solution."""

    def __init__(
        self, load: Callable[[str], Sequence[Exercise]], rooms: Callable[[], Sequence[str]]
    ):
        self._load = load
        self._rooms = rooms
        self._hinted: dict[str, int] = {}

    @property
    def topics(self) -> tuple[str, ...]:
        """The rooms that have exercises, in course order."""
        return tuple(self._rooms())

    def find(self, name: str) -> Exercise:
        """The exercise called `topic.name`. Raises KeyError listing what there is."""
        topic, _, short = str(name).partition(".")
        if topic not in self.topics:
            raise KeyError(
                f"no exercises on {topic!r}; there are exercises on {', '.join(self.topics)}."
            )
        known = {exercise.name: exercise for exercise in self._load(topic)}
        if short not in known:
            raise KeyError(f"no exercise {name!r}; {topic} has {', '.join(known)}.")
        return known[short]

    def names(self) -> list[str]:
        """Every `topic.name`, in course order."""
        return [
            f"{topic}.{exercise.name}" for topic in self.topics for exercise in self._load(topic)
        ]

    def check(self, name: str, answer: Any) -> None:
        """Prints whether your answer is right, and if not, what is likely wrong."""
        say(str(self.find(name).grade(answer)))

    def hint(self, name: str) -> None:
        """Prints a hint; each call goes one step further."""
        hints = self.find(name).hints
        step = min(self._hinted.get(name, 0), len(hints) - 1)
        self._hinted[name] = step + 1
        more = (
            "call again for the next"
            if step + 1 < len(hints)
            else f'the last one; solution("{name}") shows the answer'
        )
        say(f"Hint {step + 1} of {len(hints)} ({more}): {hints[step]}")

    def solution(self, name: str) -> None:
        """Prints the source of the reference: the finished function of the topic module."""
        say(inspect.getsource(self.find(name).reference).rstrip())
