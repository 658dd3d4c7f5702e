"""Runs a lesson on the second device: every cell in a fresh kernel, with the sizes of the cpu
profile.

    PYTHONPATH=tests:tools python -m second_device.lessons 05 [--noise] [--card=t4] [--on]

The cells are those of notebooks/src, so a change is tried before the notebook is built. With `--on`
it does not stop at the first cell that fails. Outputs are not compared: assertions in the cells
must hold, and no cell may fail.
"""

import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import nbformat
from common import NOTEBOOKS, ROOT, Problem, execute, sources
from pairs import from_source

TESTS = ROOT / "tests"
TIMEOUT = 1800  # seconds a cell, on a busy machine
LAST = "print(torch.ops.second_device.counts()[2])"


@dataclass
class Outcome:
    """What failed, cell by cell, and how many operators the device ran."""

    failed: list[str]
    launched: int = 0


def prelude(card: str, noise: bool, memory: int | None) -> str:
    """The cell before the first: this kernel has the device, and small runs choose it."""
    return (
        "import torch\nfrom second_device import play\n"
        f"play({card!r}, noise={noise}, memory={memory}, reads=True, cpu_sizes=True)\ntorch.set_num_threads(1)"
    )


def run(
    source: Path,
    card: str = "cuda",
    noise: bool = False,
    memory: int | None = None,
    on: bool = False,
) -> Outcome:
    """Run one lesson; with `on`, go on after a cell that fails."""
    nb = from_source(source)
    for cell in nb.cells:
        if on and cell.cell_type == "code":
            cell.metadata.tags = [*cell.metadata.get("tags", []), "raises-exception"]
    nb.cells.insert(0, nbformat.v4.new_code_cell(prelude(card, noise, memory)))
    nb.cells.append(nbformat.v4.new_code_cell(LAST))
    path = os.pathsep.join(str(p) for p in (TESTS / "no_network", TESTS, ROOT))
    env = {"PYTHONPATH": path, "OMP_NUM_THREADS": "1", "COURSE_QUIET": "1", "PYTHONHASHSEED": "0"}
    problems = []
    try:
        execute(nb, source.stem, NOTEBOOKS, env, TIMEOUT)
    except Problem as problem:
        problems = [str(problem)]
    failed = [
        f"{source.stem}, cell {number} (`{cell.source.splitlines()[0]}`): {output.ename}: {output.evalue}"
        for number, cell in enumerate(nb.cells)
        if "raises-exception" in cell.metadata.get("tags", []) and on
        for output in cell.get("outputs", [])
        if output.output_type == "error"
    ]
    return Outcome(failed + problems, 0 if problems else int(nb.cells[-1].outputs[0].text))


def main() -> int:
    words = [word for word in sys.argv[1:] if not word.startswith("-")]
    options = {
        word.partition("=")[0]: word.partition("=")[2]
        for word in sys.argv[1:]
        if word.startswith("-")
    }
    bad = 0
    for source in sources(words):
        start = time.perf_counter()
        outcome = run(
            source, options.get("--card", "cuda"), "--noise" in options, on="--on" in options
        )
        seconds = time.perf_counter() - start
        print(
            f"{source.stem}: {len(outcome.failed)} failed, {outcome.launched} operators on the device, {seconds:.0f} s"
        )
        print(*outcome.failed, sep="\n", flush=True)
        bad += len(outcome.failed)
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())
