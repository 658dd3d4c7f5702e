"""Runs a lesson on the second device: every cell in a fresh kernel, with the sizes of the cpu profile.

    PYTHONPATH=tests:tools python -m second_device.lessons 05 [noise] [--card=t4] [--on]

Without the option `--on` it stops at the first cell that fails; with it, all failures are listed.
"""

import os
import sys
import time
from pathlib import Path

import nbformat
from common import NOTEBOOKS, ROOT, Problem, execute, sources
from pairs import from_source

TESTS = ROOT / "tests"
TIMEOUT = 900  # seconds a cell


def prelude(card: str, noise: bool, memory: int | None) -> str:
    return (
        f"from second_device import play\nplay({card!r}, noise={noise}, memory={memory}, reads=True, cpu_sizes=True)\n"
        "import torch; torch.set_num_threads(1)"
    )


def run(
    source: Path, card: str = "cuda", noise: bool = False, memory: int | None = None, on: bool = False
) -> list[str]:
    """What went wrong, cell by cell; nothing where all cells run. Without `on`, it ends at the first failure.

    The notebook is made from its source, so that a change is tried before the notebook is built.
    """
    nb = from_source(source)
    for cell in nb.cells:
        if on and cell.cell_type == "code":
            cell.metadata.tags = [*cell.metadata.get("tags", []), "raises-exception"]
    nb.cells.insert(0, nbformat.v4.new_code_cell(prelude(card, noise, memory)))
    path = os.pathsep.join(str(p) for p in (TESTS / "no_network", TESTS, ROOT))
    env = {"PYTHONPATH": path, "OMP_NUM_THREADS": "1", "COURSE_QUIET": "1", "PYTHONHASHSEED": "0"}
    failed = []
    try:
        execute(nb, source.stem, NOTEBOOKS, env, TIMEOUT)
    except Problem as problem:
        failed.append(str(problem))
    for number, cell in enumerate(nb.cells):
        for output in cell.get("outputs", []):
            if output.output_type == "error" and on:
                failed.append(
                    f"{source.stem}, cell {number + 1}: {output.ename}: {output.evalue}\n"
                    + "\n".join(output.traceback[-3:])
                )
    used = [o.text for o in nb.cells[-1].get("outputs", []) if o.output_type == "stream"]
    return failed + ([] if failed or used else [])


def main() -> int:
    words = [word for word in sys.argv[1:] if not word.startswith("-") and word != "noise"]
    options = {word.partition("=")[0]: word.partition("=")[2] for word in sys.argv[1:] if word.startswith("-")}
    bad = 0
    for source in sources(words):
        start = time.perf_counter()
        failed = run(source, options.get("--card", "cuda"), "noise" in sys.argv, on="--on" in options)
        print(
            f"{source.stem}: {len(failed)} failed, {time.perf_counter() - start:.0f} s", *failed, sep="\n", flush=True
        )
        bad += len(failed)
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())
