"""The exercises of all lessons: `check`, `hint`, `solution` and `progress` by `room.name`, such as
"attention.softmax".
"""

from collections.abc import Sequence
from functools import cache
from importlib import import_module
from pathlib import Path

from course_utils.checking import Catalog, Exercise
from course_utils.machine.imports import in_one_piece

ROOMS = Path(__file__).parent


@cache
def rooms() -> tuple[str, ...]:
    """The rooms that have exercises, in course order: a room says its lesson's number as LESSON.

    >>> rooms()[:2]
    ('language_models', 'tokenization')
    """
    found = [path.parent.name for path in ROOMS.glob("*/exercises.py")]
    with in_one_piece():
        return tuple(sorted(found, key=lambda room: import_module(f"course_utils.{room}").LESSON))


@cache
def _load(room: str) -> Sequence[Exercise]:
    with in_one_piece():
        return import_module(f"course_utils.{room}.exercises").EXERCISES


catalog = Catalog(_load, rooms)
check = catalog.check
hint = catalog.hint
progress = catalog.progress
solution = catalog.solution
