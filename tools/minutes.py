"""How long a lesson takes a beginner: computed, never guessed.

    python tools/minutes.py [01 …]    minutes, words, cells and lines of code that a student sees

Reading: the words of the prose at 180 a minute. Looking: half a minute for each code cell in front
of the student and for each picture or view. Doing: the minutes of the exercises, which include
their two cells.
"""

import argparse
import re
from collections.abc import Callable
from dataclasses import dataclass

import common
from cells import BADGE, checked, code_cells, form_title, tags
from common import pair_of, sources
from nbformat import NotebookNode

from course_utils.exercises import catalog

WORDS = 180  # a minute
LOOK = 0.5  # minutes for a code cell, a picture or a view
PAGES = {"text/html", "image/png"}  # what a display cell shows that is looked at
MOST = {"cells": 90, "words": 2200, "lines": 220, "minutes": 90}


@dataclass(frozen=True)
class Length:
    """What a lesson asks of a student. lines: of code that is not folded away."""

    cells: int
    words: int
    lines: int
    minutes: int


def length_of(nb: NotebookNode, find: Callable = catalog.find) -> Length:
    """The length of an executed notebook. `find` gives the Exercise for a `topic.name`."""
    from lint import code_lines

    words = sum(words_in(cell.source) for cell in nb.cells if cell.cell_type == "markdown")
    shown = [cell for cell in code_cells(nb) if not form_title(cell)]
    read = [cell for cell in shown if not tags(cell) & {"exercise", "check", "setup", "imports"}]
    pictures = [cell for cell in code_cells(nb) if form_title(cell) and _is_looked_at(cell)]
    work = sum(find(name).minutes for name in checked(nb))
    minutes = words / WORDS + LOOK * (len(read) + len(pictures)) + work
    lines = sum(code_lines(cell.source) for cell in shown)
    return Length(len(nb.cells), words, lines, round(minutes))


def words_in(source: str) -> int:
    """The words that a reader reads: without remarks for the speaker, addresses, the badge, and the
    list of further reading.
    """
    text = re.sub(
        r"(?s)<!--.*?-->|\]\([^)]*\)|https?://\S+|^## Further reading.*",
        " ",
        BADGE.sub("", source),
        flags=re.M | re.S,
    )
    return len(re.findall(r"[^\W_][\w'’-]*", text))


def _is_looked_at(cell: NotebookNode) -> bool:
    return any(PAGES & output.get("data", {}).keys() for output in cell.outputs)


def promised(nb: NotebookNode) -> int | None:
    """The minutes that the opening promises: `About N minutes`."""
    match = re.search(r"[Aa]bout (\d+) minutes to read and do", nb.cells[0].source)
    return int(match[1]) if match else None


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("notebooks", nargs="*", metavar="NB", help="e.g. 01; all if none is given")
    for source in sources(parser.parse_args().notebooks):
        print(f"{source.stem:<26}", length_of(common.read(pair_of(source))))
    return 0


if __name__ == "__main__":
    common.command(main)
