"""The stamp of a recorded measurement: what made it, when, and on what."""

import os
import platform
from datetime import date
from importlib.metadata import version


def stamp(command: str, *packages: str) -> dict[str, str | dict[str, str]]:
    """Command, date, machine and versions, for the head of a JSON file in course_utils/assets.

    >>> list(stamp("python tools/some_tool.py", "torch"))
    ['command', 'date', 'machine', 'versions']
    """
    return {
        "command": command,
        "date": date.today().isoformat(),
        "machine": f"{os.cpu_count()} cores of a {platform.machine()} processor, one thread a run, no GPU",
        "versions": {"python": platform.python_version(), **{name: version(name) for name in packages}},
    }
