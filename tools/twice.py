"""Runs notebooks as a student does who goes back: cells that are stopped, run twice, or run again
after the end.

    python tools/twice.py [01 …]           each cell is stopped where it takes a while, then runs twice
    python tools/twice.py --again [01 …]   all cells, then all of them once more in the same kernel

No cell may fail, and where nbval compares a cell's output the second run must show what the first
one did. A cell that cannot, for a reason that its prose explains, has the tag
`other-when-repeated`.
"""

import argparse
import ast
import json
from collections.abc import Iterator
from pathlib import Path

import common
from cells import code_cells, compared_by_nbval, tags, tree
from common import pair_of, sources
from kernels import Kernel, error_of
from nbformat import NotebookNode
from pairs import from_source

OTHER = "other-when-repeated"
# what nbval does not compare either
UNSEEN = ("image/png", "image/jpeg", "application/vnd.jupyter.widget-view+json")
# seconds; where in the cell that is differs from machine to machine, and any place must do
STOP_AFTER = 0.4
# What a cell must not leave behind when it is stopped: {what: value}, for torch and for each model
# that it did not make.
PROBE = """
def _course_state():
    import json, sys
    import torch
    state = {
        "gradients are on": torch.is_grad_enabled(), "inference mode": torch.is_inference_mode_enabled(),
        "default dtype": str(torch.get_default_dtype()),
    }
    for name, model in list(globals().items()):
        if isinstance(model, torch.nn.Module) and not name.startswith("_"):
            parts, numbers = list(model.modules()), list(model.parameters())
            hooks = [len(part._forward_hooks) + len(part._forward_pre_hooks) + len(part._backward_hooks) for part in parts]
            state[f"{name} {id(model)}: modes"] = [part.training for part in parts]
            state[f"{name} {id(model)}: hooks"] = sum(hooks)
            state[f"{name} {id(model)}: devices"] = sorted({str(x.device) for x in numbers})
            state[f"{name} {id(model)}: trainable"] = [x.requires_grad for x in numbers]
    known = globals().setdefault("_course_modules", set())
    known.update(getattr(sys.modules.get("course_utils.machine.imports"), "IN_ONE_PIECE", ()))  # Stop waits for these
    new = sorted(name for name in sys.modules if name.startswith("torch.") and name not in known)
    known.update(new)
    print(json.dumps({"state": state, "loaded": new}, sort_keys=True))

_course_state()
"""
# modules of torch that a cell may load while it works; Stop during a large import leaves torch
# half-loaded
LOADED = 20


def twice(source: Path) -> tuple[int, list[str]]:
    """How many cells could be stopped in the middle, and what went wrong, a sentence each.

    Each cell runs twice in a row; before that, it is stopped if it takes a while. Cells that import
    are not stopped: Python itself does not survive an import that ends half-way. Cells are numbered
    as nbval does: code cells from 0.
    """
    cells = code_cells(from_source(source))
    saved = code_cells(common.read(pair_of(source)))
    found = []
    stopped = 0
    with Kernel(pair_of(source).parent) as kernel:
        for n, cell in enumerate(cells):
            imports = any(
                isinstance(node, (ast.Import, ast.ImportFrom))
                for node in ast.walk(tree(cell.source))
            )
            before = None if imports else _state(kernel)
            outputs = kernel.run(cell.source, None if imports else STOP_AFTER)
            which = "the first time"
            loaded = []
            if _was_stopped(outputs):
                stopped = stopped + 1
                after = _state(kernel)
                loaded += after["loaded"]
                found += [f"cell {n}, when it was stopped: {what}" for what in _left(before, after)]
                outputs = kernel.run(cell.source)
                which = "after it was stopped"
            same = (
                n < len(saved)
                and saved[n].source == cell.source
                and saved[n].execution_count is not None
            )
            found += judged(n, cell, outputs, shown(saved[n].outputs) if same else None, which)
            found += judged(n, cell, kernel.run(cell.source), shown(outputs), "the second time")
            loaded += _state(kernel)["loaded"]
            if len(loaded) > LOADED and not imports:
                said = f"loads {len(loaded)} modules of torch while it works, such as {loaded[0]}: Stop spoils them"
                found.append(f"cell {n}, {said}")
    return stopped, found


def _state(kernel: Kernel) -> dict:
    """What PROBE says."""
    [output] = kernel.run(PROBE)
    return json.loads(output.text)


def _was_stopped(outputs: list[NotebookNode]) -> bool:
    """Whether Stop arrived; where Python threw it away (in a destructor), it says so on stderr and
    goes on.
    """
    ignored = any("KeyboardInterrupt" in output.get("text", "") for output in outputs)
    return ignored or (error_of(outputs) or "").startswith("KeyboardInterrupt")


def again(source: Path) -> list[str]:
    """What goes wrong, a sentence each, when all cells run and then all of them once more in the
    same kernel.
    """
    cells = code_cells(from_source(source))
    found = []
    first = []
    with Kernel(pair_of(source).parent) as kernel:
        for n, cell in enumerate(cells):
            outputs = kernel.run(cell.source)
            found += judged(n, cell, outputs, None, "the first time")
            first.append(shown(outputs))
        for n, cell in enumerate(cells):
            found += judged(n, cell, kernel.run(cell.source), first[n], "again after the end")
    return found


def _left(before: dict, after: dict) -> Iterator[str]:
    """What differs between two states of a kernel, of what is in both."""
    one = before["state"]
    two = after["state"]
    yield from (
        f"{key} was {one[key]}, is {two[key]}" for key in one if key in two and one[key] != two[key]
    )


def judged(
    n: int, cell: NotebookNode, outputs: list[NotebookNode], expected: list | None, which: str
) -> Iterator[str]:
    """What is wrong with a cell's outputs: an error, or not what was shown before."""
    error = error_of(outputs)
    if error is not None and not tags(cell) & {"raises-exception", "nbval-raises-exception"}:
        yield f"cell {n}, {which}: {error[:300]}"
    elif (
        expected is not None
        and compared_by_nbval(cell)
        and OTHER not in tags(cell)
        and shown(outputs) != expected
    ):
        yield f"cell {n}, {which}, shows something else: {_difference(expected, shown(outputs))}"


def shown(outputs: list[NotebookNode]) -> list[tuple[str, str]]:
    """What nbval would compare of a cell's outputs: (kind, text) in order."""
    seen = []
    for output in outputs:
        if output.output_type == "stream":
            seen.append((output.name, output.text))
        else:
            data = sorted(output.get("data", {}).items())
            seen += [
                (kind, json.dumps(value, sort_keys=True))
                for kind, value in data
                if kind not in UNSEEN
            ]
    return seen


def _difference(before: list[tuple[str, str]], after: list[tuple[str, str]]) -> str:
    """The first lines that differ."""
    one, two = (
        ["", *"\n".join(f"{kind}: {text}" for kind, text in seen).splitlines()]
        for seen in (before, after)
    )
    place = next(
        (i for i, (a, b) in enumerate(zip(one, two, strict=False)) if a != b),
        min(len(one), len(two)),
    )
    return " → ".join(
        repr((lines[place : place + 1] or ["nothing"])[0][:150]) for lines in (one, two)
    )


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "notebooks", nargs="*", metavar="NB", help="e.g. 01; all of them if none is given"
    )
    parser.add_argument(
        "--again", action="store_true", help="the second runs come after the last cell"
    )
    asked = parser.parse_args()
    bad = 0
    for source in sources(asked.notebooks):
        stopped, found = (0, again(source)) if asked.again else twice(source)
        bad += len(found)
        stops = "" if asked.again else f", {stopped} cells were stopped"
        print(f"{source.stem}: {len(found)} found{stops}", *found, sep="\n  ", flush=True)
    return bool(bad)


if __name__ == "__main__":
    common.command(main)
