"""Checks of exercises beside what it would cost to run each in a process of its own."""

import multiprocessing
import time
from collections.abc import Callable, Iterator, Sequence

from course_utils.checking import Exercise
from races import OURS, Race

SPAWNED = "spawned process"
FORKED = "forked process"


def races(names: Sequence[str] | None = None) -> Iterator[Race]:
    """The check of the reference, of the exercise that is in the middle and of the slowest one.

    The goal is half a second in the middle and two at most, on one core. What stands for a second
    is the start of a Python that imports torch and the course, which takes two or three.
    """
    from course_utils.exercises import catalog

    exercises = [catalog.find(name) for name in names or catalog.names()]
    ordered = sorted(exercises, key=_seconds)
    places = (
        (f"the middle one of {len(ordered)} exercises", ordered[len(ordered) // 2], 4.0),
        ("the slowest", ordered[-1], 1.0),
    )
    for which, exercise, required in places:
        yield Race(
            f"a check of {exercise.name}, {which}",
            {
                OURS: lambda: exercise.grade(exercise.reference).passed,
                SPAWNED: _child("spawn"),
                FORKED: _child("fork"),
            },
            required={SPAWNED: required},
            same=frozenset({SPAWNED}),
            clock=time.perf_counter,  # a process waits for another, which works
        )


def _seconds(exercise: Exercise) -> float:
    """Of the second check; the first one loads what the exercise needs."""
    exercise.grade(exercise.reference)
    begun = time.perf_counter()
    exercise.grade(exercise.reference)
    return time.perf_counter() - begun


def _child(method: str) -> Callable[[], bool]:
    """Starts a process that is ready for a check, and ends it."""

    def work() -> bool:
        if method not in multiprocessing.get_all_start_methods():
            return True  # Windows has no fork
        process = multiprocessing.get_context(method).Process(target=_ready)
        process.start()
        process.join()
        return process.exitcode == 0

    return work


def _ready() -> None:
    """What a worker must have loaded before it can check anything."""
    import course_utils.exercises

    course_utils.exercises.catalog.names()
