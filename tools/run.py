"""Runs notebooks from top to bottom, one line each: cells, seconds, peak memory. Executed copies
and HTML land in build/run/.

    python tools/run.py [01 …]

A notebook that fails is named with its cell; the others still run, and the exit code says that one
failed.
"""

import argparse
import os
import sys
from pathlib import Path

import common
from common import BUILD, NOTEBOOKS, Problem, pair_of, read, sources
from pages import Page
from tqdm import tqdm


def run(pair: Path, folder: Path) -> str:
    """Executes a copy of a notebook and writes it to `folder`, with HTML; one line of figures.
    Raises Problem where a cell fails.
    """
    nb = read(pair)
    for cell in nb.cells:
        if cell.cell_type == "code":
            cell.outputs = []
            cell.execution_count = None
    code = sum(cell.cell_type == "code" for cell in nb.cells)
    # a half-drawn bar is no output to keep
    quiet = {"COURSE_QUIET": os.environ.get("COURSE_QUIET", "1")}
    try:
        with tqdm(total=code, desc=pair.stem, unit="cell", leave=False, disable=None) as bar:
            result = common.execute(
                nb, pair.stem, pair.parent, quiet, timeout=None, done=bar.update
            )
    finally:
        common.write(folder / pair.name, common.dumps(nb))
        page, _ = Page().from_notebook_node(
            nb, {"metadata": {"name": pair.stem, "path": str(pair.parent)}}
        )
        common.write(folder / f"{pair.stem}.html", page)
    return f"{pair.stem:<24} {result.cells:3d} cells  {result.seconds:6.1f} s  {result.peak:6.0f} MiB at its peak"


def main(folder: Path = BUILD / "run", notebooks: Path = NOTEBOOKS) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "notebooks", nargs="*", metavar="NB", help="e.g. 01; all of them if none is given"
    )
    failed = []
    for source in sources(parser.parse_args().notebooks, notebooks):
        try:
            print(run(pair_of(source), folder), flush=True)
        except Problem as problem:
            failed.append(source.stem)
            print(problem, file=sys.stderr, flush=True)
    print(f"executed copies and HTML: {folder}")
    if failed:
        raise Problem(f"{len(failed)} failed: {', '.join(failed)}")
    return 0


if __name__ == "__main__":
    common.command(main)
