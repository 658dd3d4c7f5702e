"""Runs notebooks as a student does who goes back: each cell twice in a row, or all of them and then all once more.

    python tools/twice.py [01 …]             each cell twice
    python tools/twice.py --again [01 …]     all cells, then all of them once more in the same kernel

No cell may fail, and where nbval compares a cell's output the second run must show what the first one did. A cell that
cannot, for a reason that its prose explains, has the tag `other-when-repeated`.
"""

import argparse
import os
import tempfile
from pathlib import Path

import common
from cells import code_cells, compared_by_nbval, tags
from common import FIXED, ROOT, pair_of, sources
from nbclient import NotebookClient
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_notebook
from pairs import from_source

OTHER = "other-when-repeated"
NO_NETWORK = ROOT / "tests" / "no_network"
UNSEEN = ("image/png", "image/jpeg", "application/vnd.jupyter.widget-view+json")  # what nbval does not compare either


def repeated(source: Path, again: bool = False) -> list[str]:
    """What goes wrong, a sentence each, when every code cell of a source runs a second time; an empty list where nothing does.

    With `again` the second runs come after the last cell, in order, otherwise each right after the first one.
    Cells are numbered as nbval does: code cells from 0.
    """
    cells = code_cells(from_source(source))
    count = len(cells)
    order = [*range(count), *range(count)] if again else [n for n in range(count) for _ in range(2)]
    runs = [new_code_cell(cells[n].source, metadata=cells[n].metadata) for n in order]
    with tempfile.TemporaryDirectory() as ipython:
        path = os.pathsep.join(filter(None, [str(NO_NETWORK), os.environ.get("PYTHONPATH")]))
        NotebookClient(
            new_notebook(cells=runs), kernel_name="python3", timeout=common.patience(600), allow_errors=True, force_raise_errors=False,
            extra_arguments=["--log-level=ERROR"], record_timing=False, store_widget_state=False, coalesce_streams=True,
            resources={"metadata": {"path": str(pair_of(source).parent)}},
        ).execute(env={**os.environ, **FIXED, "IPYTHONDIR": ipython, "PYTHONPATH": path})  # fmt: skip
    found, first = [], {}
    for n, run in zip(order, runs, strict=True):
        which = "the second time" if n in first else "the first time"
        error = next((f"{o.ename}: {o.evalue}" for o in run.outputs if o.output_type == "error"), None)
        shown = _shown(run)
        if error is not None and not tags(run) & {"raises-exception", "nbval-raises-exception"}:
            found.append(f"cell {n}, {which}: {error[:300]}")
        elif n in first and shown != first[n] and compared_by_nbval(run) and OTHER not in tags(run):
            found.append(f"cell {n} shows something else the second time: {_difference(first[n], shown)}")
        first.setdefault(n, shown)
    return found


def _shown(cell: NotebookNode) -> list[tuple[str, str]]:
    """What nbval would compare of a cell's outputs: (kind, text) in order."""
    seen = []
    for output in cell.outputs:
        if output.output_type == "stream":
            seen.append((output.name, output.text))
        else:
            seen += [(kind, str(data)) for kind, data in sorted(output.get("data", {}).items()) if kind not in UNSEEN]
    return seen


def _difference(before: list[tuple[str, str]], after: list[tuple[str, str]]) -> str:
    """The first lines that differ."""
    one, two = (["", *"\n".join(f"{kind}: {text}" for kind, text in shown).splitlines()] for shown in (before, after))
    place = next((i for i, (a, b) in enumerate(zip(one, two, strict=False)) if a != b), min(len(one), len(two)))
    return " → ".join(repr((lines[place : place + 1] or ["nothing"])[0][:150]) for lines in (one, two))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("notebooks", nargs="*", metavar="NB", help="e.g. 01; all of them if none is given")
    parser.add_argument("--again", action="store_true", help="the second runs come after the last cell")
    asked, bad = parser.parse_args(), 0
    for source in sources(asked.notebooks):
        found = repeated(source, asked.again)
        bad += len(found)
        print("\n".join([f"{source.stem}: {len(found)} found", *(f"  {message}" for message in found)]), flush=True)
    return bool(bad)


if __name__ == "__main__":
    common.command(main)
