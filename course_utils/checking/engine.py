"""Exercises: a checker which survives any answer and names the likely mistake, hints in layers, the
solution's source.
"""

import contextlib
import inspect
import io
import random
import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from course_utils.classroom.frontend import say
from course_utils.machine.memory import is_out_of_memory

from .compare import Comparison, Wrong, kind_of, show_value
from .diagnosis import evidence, line_of, named, plain
from .examples import example_fault
from .gradients import try_gradients
from .guard import Calls, Guarded, Played, copied, guarded_class
from .leftovers import Leftovers
from .limits import ADVICE, CPU_LIMIT, WALL_LIMIT, Stopped, run_limited
from .switches import preserved
from .variants import try_variants
from .verdicts import FAILS, OPEN, PASSES, Verdict, show_progress


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
    is 1 to 3; `minutes` is what a beginner needs; `refuses` holds bad inputs, a tuple of arguments
    each, for which the reference raises what the answer must raise as well; `sizes` is False where
    inputs that are cut to a size of 1 would not be what the stub promises; `gradients` is False
    where an answer may leave torch, as nobody trains through it, or names the arguments that a
    gradient must reach; `mistakes` are functions that make a likely mistake each, by the sentence
    that names it. A check may use
    `time_limit` seconds of processor time, and `wall_limit` seconds on the clock where it only
    waits.
    """

    name: str
    reference: Callable
    check: Callable[[Callable, random.Random], None]
    hints: Sequence[str]
    difficulty: int
    minutes: int
    time_limit: float = CPU_LIMIT
    wall_limit: float = WALL_LIMIT
    refuses: Sequence[tuple] = ()
    sizes: bool = True
    gradients: bool | Sequence[str] = True
    mistakes: Mapping[str, Callable] = field(default_factory=dict)

    def grade(self, answer: Any, seed: int = 0, explain: bool = True) -> Result:
        """Checks an answer, whatever it is, and says what happened in a sentence. Never raises,
        never hangs. explain: whether a wrong answer is run again to find out why.

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
            return self.unattempted()
        if fault := _gives_no_result(answer, self.reference):
            return Result(False, f"{self.name}: {fault}")
        guarded = Guarded(answer, self.name)
        outcome: list[Result] = []

        def work() -> None:
            try:
                self._examine(guarded, seed)
                outcome.append(Result(True, f"{self.name}: all checks pass."))
            except Wrong as wrong:
                outcome.append(Result(False, f"{self.name}: {wrong}"))
                if explain and wrong.comparison is not None:
                    why = self._explain(answer, wrong.comparison, guarded.last, seed)
                    outcome[:] = [Result(False, f"{self.name}: {why}")]
            except Stopped:
                raise
            except BaseException as error:  # whatever a student's code throws, SystemExit too
                where = line_of(error, answer)
                advice = f" {ADVICE['memory']}" if is_out_of_memory(error) else ""
                why = f"{guarded.call} raised {_describe(error)}{where}.{advice}"
                outcome.append(Result(False, f"{self.name}: {why}"))
                plain_error = explain and isinstance(error, Exception) and not advice
                if plain_error and (cause := self._named(answer, seed)):
                    outcome[:] = [Result(False, f"{self.name}: {cause}")]

        with (
            preserved(seed),
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
            Leftovers() as started,
        ):
            ending = run_limited(work, self.time_limit, self.wall_limit)
            left = started.end()
        if not outcome:  # a limit was passed before anything was found
            outcome.append(Result(False, f"{self.name}: {ending.sentence(guarded.call)}"))
        found = outcome[0]
        if left:
            return Result(
                False, f"{self.name}: {left}" if found.passed else f"{found.message} {left}"
            )
        return found

    def unattempted(self) -> Result:
        """What is said of a stub."""
        return Result(
            None, f"{self.name}: not attempted yet. Replace the `...` and run both cells again."
        )

    def _examine(self, guarded: Guarded, seed: int) -> None:
        """Everything that an answer must do. Raises Wrong, or whatever the answer raises."""
        answer = guarded.function
        is_class = inspect.isclass(answer)
        calls = Calls()
        examined = guarded_class(answer, calls) if is_class else guarded
        self.check(examined, random.Random(seed))
        for arguments in self.refuses:
            _must_refuse(examined, self.reference, arguments)
        if fault := example_fault(self.reference, examined):
            raise Wrong(fault)
        student: Guarded | Played = guarded
        reference: Callable = self.reference
        if is_class:
            student = Played(examined, self.reference, calls)
            reference = Played(self.reference, self.reference, calls)
        try_variants(student, reference, self.sizes)
        if self.gradients:
            try_gradients(student, reference, self.gradients)
        # The same object once more, on other numbers: nothing may be kept from the first time.
        self.check(examined, random.Random(f"again {seed}"))

    def _explain(self, answer: Callable, first: Comparison, given: tuple | None, seed: int) -> str:
        """What the student reads where the comparison `first` failed."""
        guarded = Guarded(answer, self.name)
        seen = [replace(first, given=given), *self._evidence(guarded, seed)]
        return named(seen) or plain(seen, guarded, self.reference, self.sizes)

    def _named(self, answer: Callable, seed: int) -> str | None:
        """The mistake for which an answer raises an error, where it is one of `mistakes`."""
        return named(self._evidence(Guarded(answer, self.name), seed)) if self.mistakes else None

    def _evidence(self, guarded: Guarded, seed: int) -> list[Comparison]:
        """What the checker compares on the numbers that failed, and on others."""
        examined = _examined(guarded)
        return [
            one
            for numbers in (seed, f"again {seed}", f"once more {seed}")
            for one in evidence(
                self.check, examined, guarded, self.reference, self.mistakes, numbers
            )
        ]


def _examined(guarded: Guarded) -> Callable:
    """What a checker is given: the guarded function, or a class whose methods are guarded."""
    answer = guarded.function
    return guarded_class(answer) if inspect.isclass(answer) else guarded


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
    >>> print(exercises[0].grade(lambda x: x + x), "|", exercises[0].grade(lambda x: x * x))
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
        refuses: Sequence[tuple] = (),
        sizes: bool = True,
        gradients: bool | Sequence[str] = True,
        mistakes: Mapping[str, Callable] | None = None,
    ) -> Callable[[Callable], Callable]:
        """A decorator for the checker of the exercise that is named as its reference, the finished
        function or class.
        """

        def register(check: Callable) -> Callable:
            self.append(
                Exercise(
                    reference.__name__,
                    reference,
                    check,
                    hints,
                    difficulty,
                    minutes,
                    time_limit,
                    refuses=refuses,
                    sizes=sizes,
                    gradients=gradients,
                    mistakes=mistakes or {},
                )
            )
            return check

        return register


def _gives_no_result(answer: Callable, reference: Callable) -> str | None:
    """What is said to a generator or an async function where a plain function was asked for."""
    if inspect.isgeneratorfunction(answer) and not inspect.isgeneratorfunction(reference):
        return "there is a `yield` in your function, so that a call only makes a generator. Use `return`."
    if inspect.iscoroutinefunction(answer) or inspect.isasyncgenfunction(answer):
        return "your function is `async`, so that a call only makes a coroutine. Write `def` alone."
    return None


def _must_refuse(student: Callable, reference: Callable, arguments: tuple) -> None:
    """Raises Wrong unless the answer raises what the reference raises for these arguments."""
    try:
        reference(*copied(arguments))
    except Exception as error:
        wanted = error
    shown = f"{reference.__name__}({', '.join(map(show_value, arguments))})"
    kind = type(wanted).__name__
    try:
        student(*copied(arguments))
    except Wrong:
        raise
    except type(wanted):
        return
    except Exception as error:
        raise Wrong(f"{shown} must raise {kind}, and raised {_describe(error)}") from None
    raise Wrong(f"{shown} must raise {kind}: {_describe(wanted).partition(': ')[2]}")


def _describe(error: BaseException) -> str:
    try:
        text = " ".join(str(error).split()).rstrip(".")
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
        self._verdicts: dict[str, Verdict] = {}

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

    def check(self, name: str, answer: Any, seed: int | None = None) -> Callable:
        """Says whether your answer is right, and if not, what is likely wrong. Gives the function
        with which the lesson goes on: yours where it passes, the course's own otherwise.

        Each call draws other numbers; with the seed that a failure names it can be repeated.
        """
        exercise = self.find(name)
        drawn = random.SystemRandom().randrange(10_000) if seed is None else seed
        if answer is exercise.reference:  # the cell of the check ran again, and it alone
            result = self._ours_again(name, exercise)
        else:
            result = exercise.grade(answer, drawn)
        state = {True: PASSES, False: FAILS, None: OPEN}[result.passed]
        verdict = Verdict(name, state, result.message, drawn if result.passed is False else None)
        self._verdicts[name] = verdict
        verdict.show()
        return answer if result.passed else exercise.reference

    def _ours_again(self, name: str, exercise: Exercise) -> Result:
        """What is said to the course's own function, which an earlier check has put in the place
        of the student's.
        """
        before = self._verdicts.get(name)
        if before is not None and before.state != OPEN:
            return Result(
                None,
                f"{exercise.name}: this is the course's own. Run the cell with your function again, then this one.",
            )
        return exercise.unattempted()

    def progress(self, *topics: str) -> None:
        """Shows which exercises of these topics pass, which fail and which are open, with their
        minutes; without a topic, those of which one was checked.

        Raises KeyError for a topic that there is not.
        """
        if unknown := [topic for topic in topics if topic not in self.topics]:
            raise KeyError(
                f"no exercises on {unknown[0]!r}; there are exercises on {', '.join(self.topics)}."
            )
        checked = {name.partition(".")[0] for name in self._verdicts}
        wanted = topics or [topic for topic in self.topics if topic in checked]
        found = [
            (
                self._verdicts.get(f"{topic}.{exercise.name}")
                or Verdict(f"{topic}.{exercise.name}", OPEN, ""),
                exercise.minutes,
            )
            for topic in wanted
            for exercise in self._load(topic)
        ]
        if not found:
            say("No exercise was checked yet.")
            return
        show_progress(found)

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
