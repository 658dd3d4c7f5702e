"""Recorded measurements in the rooms' assets: the stamp that says how one was made, the file, and
the command line of a recorder.
"""

import argparse
import json
import os
import platform
from collections.abc import Iterable
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
    """Write the record as JSON, a line for each of its rows; what stood there is replaced at the
    very end.
    """
    part = file.with_suffix(".part")
    part.write_text(layout(record), encoding="utf-8")
    part.replace(file)


def layout(record: dict) -> str:
    """JSON in which every row, an object or a list in a list, has a line of its own.

    >>> print(layout({"seconds": 3, "parts": {"a": [{"n": 1}, {"n": 2}]}}), end="")
    {
     "seconds": 3,
     "parts": {
      "a": [
       {"n": 1},
       {"n": 2}
      ]
     }
    }
    """
    return _block(record, 0) + "\n"


def _block(value: object, depth: int) -> str:
    indent = "\n" + " " * (depth + 1)
    end = "\n" + " " * depth
    if isinstance(value, list) and any(isinstance(item, dict | list) for item in value):
        return "[" + ",".join(indent + json.dumps(item) for item in value) + end + "]"
    holds_rows = isinstance(value, dict) and any(isinstance(x, list | dict) for x in value.values())
    if depth == 0 or holds_rows:
        lines = (f"{indent}{json.dumps(key)}: {_block(x, depth + 1)}" for key, x in value.items())
        return "{" + ",".join(lines) + end + "}"
    return json.dumps(value)


def load(file: Path) -> dict:
    """The record that a file holds; an empty one where there is none yet, so that a recorder can go
    on where it stopped.
    """
    return json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}


def is_known(rows: Iterable[dict], key: dict) -> bool:
    """Whether one of the rows has these fields, with these values."""
    return any(all(row.get(name) == value for name, value in key.items()) for row in rows)


def gathered(part: str, rows: Iterable[dict]) -> list[dict]:
    """The rows of a part, each printed as soon as it is measured."""
    found = []
    for row in rows:
        found.append(row)
        print(part, row, flush=True)
    return found


def parser_of(description: str, out: Path, parts: Iterable[str] = ()) -> argparse.ArgumentParser:
    """A recorder's command line: `--out` and, where it can record parts of the whole, their names."""
    parser = argparse.ArgumentParser(description=description.split("\n")[0])
    parser.add_argument("--out", type=Path, default=out)
    if parts:
        help = f"any of: {', '.join(parts)} (default: all)"
        parser.add_argument("parts", nargs="*", metavar="PART", help=help)
    return parser


def chosen(parser: argparse.ArgumentParser, asked: list[str], parts: Iterable[str]) -> list[str]:
    """The parts that were asked for, all of them where none was; an error of the parser for others."""
    if unknown := sorted(set(asked) - set(parts)):
        parser.error(f"no parts {', '.join(unknown)}; there are {', '.join(parts)}")
    return asked or list(parts)
