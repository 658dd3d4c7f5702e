"""Recorded measurements in the rooms' assets: the stamp that says how one was made, and the
file.
"""

import json
import os
import platform
from datetime import date
from importlib.metadata import version
from pathlib import Path


def stamp(command: str, *packages: str) -> dict[str, str | dict[str, str]]:
    """Command, date, machine and versions, for the head of a JSON file in a room's assets.

    >>> list(stamp("python tools/some_tool.py", "torch"))
    ['command', 'date', 'machine', 'versions']
    """
    return {
        "command": command,
        "date": date.today().isoformat(),
        "machine": f"{os.cpu_count()} cores of a {platform.machine()} processor, one thread a run, no GPU",
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in packages},
        },
    }


def save(file: Path, record: dict) -> None:
    """Write the record as JSON with one line for each of its "rows"; what stood there is replaced
    at the very end.
    """
    head = json.dumps(record | {"rows": []}, indent=1)[:-4].rsplit("[", 1)[0]
    body = ",\n  ".join(map(json.dumps, record["rows"]))
    part = file.with_suffix(".part")
    part.write_text(f"{head}[\n  {body}\n ]\n}}\n", encoding="utf-8")
    part.replace(file)
