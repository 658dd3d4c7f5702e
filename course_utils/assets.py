"""The one way to a stored file of the course: each room keeps what was trained or recorded for it
in its own `assets/`.
"""

import json
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


def path(name: str) -> Path:
    """Where a stored file is: "room/file", such as "stories/stories.txt". The file need not be
    there yet (recorders write it).

    Raises ValueError for a name that is not of this form, or whose room does not exist.

    >>> path("stories/stories.txt").is_file()
    True
    """
    room, _, file = name.partition("/")
    if not file or "/" in file or not (HERE / room / "__init__.py").is_file():
        rooms = ", ".join(sorted(p.parent.name for p in HERE.glob("*/assets")))
        raise ValueError(
            f"{name!r} names no stored file: write room/file; rooms with stored files are {rooms}"
        )
    return HERE / room / "assets" / file


def read_text(name: str) -> str:
    """The text of a stored file. Raises FileNotFoundError where it was never made, naming it.

    >>> read_text("guard_rails/attacks.toml").startswith("#")
    True
    """
    return path(name).read_text(encoding="utf-8")


def read_json(name: str) -> Any:
    """What a stored JSON file holds.

    >>> sorted(read_json("test_time_compute/smollm2.json"))[:1]
    ['command']
    """
    return json.loads(read_text(name))
