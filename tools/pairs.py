"""A notebook and its source: how one is made from the other, and where the two disagree.

`notebooks/src/NN_topic.py` (jupytext percent) is what is written and reviewed;
`notebooks/NN_topic.ipynb` is its executed pair.
"""

import copy
import re
from pathlib import Path

import common
import jupytext
from cells import FOLD, code_cells, form_title, tags
from common import FIXED, dumps, pair_of, source_of
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

# what the source carries, as in pyproject's [tool.jupytext]
CELL_KEYS = ("tags", "slideshow", "cellView")
KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
LANGUAGE = {
    "codemirror_mode": {"name": "ipython", "version": 3}, "file_extension": ".py", "mimetype": "text/x-python",
    "name": "python", "nbconvert_exporter": "python", "pygments_lexer": "ipython3",
}  # fmt: skip
VIEW = "application/vnd.jupyter.widget-view+json"
MACHINE = [
    (
        re.compile(
            r"(?<![\w.])/(?:home|Users|root|tmp|var/folders)/[\w.]|[A-Z]:\\Users\\|site-packages|ipykernel_\d"
        ),
        "a path of the machine",
    ),
    (re.compile(r"\bat 0x[0-9a-f]{6,}"), "the address of an object"),
]
EMBEDDED = re.compile(r"data:[\w/+.-]+;base64,[A-Za-z0-9+/=]+")


def from_source(source: Path) -> NotebookNode:
    """The notebook that a source describes, without outputs: cells numbered, nothing in it that
    depends on the machine.
    """
    cells = []
    for cell in jupytext.read(source, fmt="py:percent").cells:
        new = new_code_cell if cell.cell_type == "code" else new_markdown_cell
        metadata = {key: cell.metadata[key] for key in CELL_KEYS if key in cell.metadata}
        made = new(cell.source, id=f"cell-{len(cells) + 1:03d}", metadata=metadata)
        if form_title(made):
            made.metadata |= copy.deepcopy(FOLD)
        cells.append(made)
    return new_notebook(cells=cells, metadata={"kernelspec": KERNEL, "language_info": LANGUAGE})


def to_source(nb: NotebookNode) -> str:
    """The source that describes a notebook, as jupytext writes it. What folds a cell follows from
    its title, so the source does not say it.
    """
    cells = copy.deepcopy(nb.cells)
    for cell in cells:
        if form_title(cell):
            cell.metadata.pop("cellView", None)
    plain = new_notebook(cells=cells, metadata={"kernelspec": KERNEL})
    plain.metadata["jupytext"] = {
        "cell_metadata_filter": ",".join([*CELL_KEYS, "-all"]),
        "notebook_metadata_filter": "kernelspec,-all",
    }
    return jupytext.writes(plain, fmt="py:percent")


def carry_over(saved: NotebookNode, fresh: NotebookNode) -> None:
    """Moves the saved outputs into a fresh notebook, code cell by code cell; the models of widgets
    get plain numbers.
    """
    for old, new in zip(code_cells(saved), code_cells(fresh), strict=True):
        new.execution_count = old.execution_count
        new.outputs = old.outputs
        for number, output in enumerate(new.outputs):
            if VIEW in output.get("data", {}):
                output.data[VIEW]["model_id"] = f"{new.id}-{number}"
            output.pop("transient", None)


def same_code(a: NotebookNode, b: NotebookNode) -> bool:
    return [c.source for c in code_cells(a)] == [c.source for c in code_cells(b)]


def disagreements(pair: Path) -> list[str]:
    """Where a saved notebook is not what its source and a clean run give; an empty list where all
    is well.
    """
    source = source_of(pair)
    missing = [f"{path} is missing" for path in (pair, source) if not path.exists()]
    if missing:
        return missing
    saved = common.read(pair)
    fresh = from_source(source)
    problems = _differences(saved, fresh)
    problems += [
        f"cell {n}: {what}" for n, cell in enumerate(saved.cells, 1) for what in _faults(cell)
    ]
    if "widgets" in saved.metadata:
        problems.append("metadata.widgets is saved: GitHub then refuses to show the notebook")
    if to_source(fresh) != source.read_text(encoding="utf-8"):
        problems.append(f"{source.name} is not laid out as jupytext writes it; `build` lays it out")
    if not problems:
        carry_over(saved, fresh)
        if dumps(fresh) != pair.read_text(encoding="utf-8"):
            problems.append(
                "building it again with the same outputs changes the file (metadata, cell ids or layout)"
            )
    return [f"{pair.name}: {problem}" for problem in problems]


def _differences(saved: NotebookNode, fresh: NotebookNode) -> list[str]:
    """Cell by cell, what the source says otherwise than the saved notebook."""
    if len(saved.cells) != len(fresh.cells):
        return [f"it has {len(saved.cells)} cells, its source has {len(fresh.cells)}"]
    problems = []
    for number, (old, new) in enumerate(zip(saved.cells, fresh.cells, strict=True), 1):
        for what in ("cell_type", "source", "metadata"):
            if old[what] != new[what]:
                problems.append(
                    f"cell {number}: its {what.replace('_', ' ')} differs from the source"
                )
                break
    return problems


def _faults(cell: NotebookNode) -> list[str]:
    """What a saved cell should not hold."""
    if cell.cell_type != "code":
        return []
    faults = (
        []
        if cell.execution_count
        else ["no execution count: it was never run, and nbval will not compare it"]
    )
    for output in cell.outputs:
        if output.output_type == "stream" and output.name == "stderr":
            faults.append(f"it wrote to stderr: {output.text.strip()[:80]!r}")
        elif output.output_type == "error" and "raises-exception" not in tags(cell):
            faults.append(f"its output is an error: {output.ename}")
        texts = [output.get("text", "")] + [
            str(v) for k, v in output.get("data", {}).items() if not k.startswith("image/")
        ]
        plain = EMBEDDED.sub("", "\n".join(texts))
        here = str(common.ROOT) in plain
        faults += [
            f"its output holds {what}"
            for pattern, what in MACHINE
            if pattern.search(plain) or (here and what.startswith("a path"))
        ]
    return faults


def build(source: Path, only_changed: bool = False) -> str:
    """Writes the executed pair of a source and says what was done: "executed", "prose refreshed" or
    "unchanged".

    With `only_changed`, a notebook whose code cells are as they were keeps its outputs. A notebook
    that fails raises Problem, and the saved one stays as it was.
    """
    pair = pair_of(source)
    fresh = from_source(source)
    if to_source(fresh) != source.read_text(encoding="utf-8"):
        common.write(source, to_source(fresh))
    if only_changed and pair.exists():
        saved = common.read(pair)
        if same_code(saved, fresh) and all(cell.execution_count for cell in code_cells(saved)):
            carry_over(saved, fresh)
            if dumps(fresh) == pair.read_text(encoding="utf-8"):
                return "unchanged"
            common.write(pair, dumps(fresh))
            return "prose refreshed"
    common.execute(fresh, source.stem, pair.parent, FIXED)
    executed = from_source(source)
    carry_over(fresh, executed)
    common.write(pair, dumps(executed))
    return "executed"


def take_back(source: Path) -> bool:
    """Writes what was edited in the notebook, in Jupyter, into its source; says whether that
    changed anything.
    """
    text = to_source(common.read(pair_of(source)))
    if source.exists() and text == source.read_text(encoding="utf-8"):
        return False
    common.write(source, text)
    return True
