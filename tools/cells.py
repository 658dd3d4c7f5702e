"""Looking into the cells of a notebook: tags, syntax trees, calls by name."""

import ast
import re
from collections.abc import Iterator

from nbformat import NotebookNode

# The picture, and a link in words beside it, as the picture comes from a network.
BADGE = re.compile(
    r"\[!\[[^\]]+\]\([^)]+\)\]\((https://colab\.research\.google\.com/github/[^)]+\.ipynb)\) · \[[^\]]+\]\(\1\)"
)
DISPLAY = "display"  # the tag of a cell that only draws, tabulates or records
FOLDS = {DISPLAY, "setup", "imports"}  # tags of cells whose code is folded, once they have a title
# JupyterLab collapses by the second, Colab by the first; VS Code keeps nothing of it in a file.
FOLD = {"cellView": "form", "jupyter": {"source_hidden": True}}


def code_cells(nb: NotebookNode) -> list[NotebookNode]:
    return [cell for cell in nb.cells if cell.cell_type == "code"]


def tags(cell: NotebookNode) -> set[str]:
    return set(cell.metadata.get("tags", []))


def form_title(cell: NotebookNode) -> str:
    """What a folded cell shows, as its first line says it (`# @title Where each word looks`); ""
    for a cell whose code stays open.
    """
    if cell.cell_type != "code" or not tags(cell) & FOLDS:
        return ""
    match = re.match(r"# ?@title\s+(\S.*)", cell.source)
    return match[1].strip() if match else ""


def marked(cell: NotebookNode, what: str) -> bool:
    """Whether a cell tells nbval something, by a tag or by a comment: marked(cell,
    "ignore-output").
    """
    return f"nbval-{what}" in tags(cell) or bool(
        re.search(rf"^\s*#\s*NBVAL_{what.upper().replace('-', '_')}\b", cell.source, re.M)
    )


def compared_by_nbval(cell: NotebookNode) -> bool:
    """Whether nbval compares the cell's outputs with the saved ones."""
    return not marked(cell, "ignore-output") and not marked(cell, "skip")


def without_magics(source: str) -> str:
    """A cell's source, line for line, with `pass` for each magic and shell line."""
    lines = []
    for line in source.splitlines():
        body = line.lstrip()
        lines.append(f"{line[: len(line) - len(body)]}pass" if body[:1] in ("%", "!") else line)
    return "\n".join(lines)


def tree(source: str) -> ast.Module:
    """A cell's syntax tree, line for line; magics and shell lines count as `pass`, what is no
    Python as empty.
    """
    try:
        return ast.parse(without_magics(source))
    except SyntaxError:
        return ast.Module(body=[], type_ignores=[])


def calls(source: str) -> Iterator[tuple[str, ast.Call]]:
    """(dotted name, call) for every call in a cell: `torch.rand(3)` gives "torch.rand",
    `f(x).normal_()` gives ".normal_".
    """
    for node in ast.walk(tree(source)):
        if isinstance(node, ast.Call):
            yield dotted(node.func), node


def dotted(node: ast.AST) -> str:
    if isinstance(node, ast.Name):
        return node.id
    return f"{dotted(node.value)}.{node.attr}" if isinstance(node, ast.Attribute) else ""


def checked(nb: NotebookNode) -> list[str]:
    """Every `topic.name` that the notebook checks, in order: the first argument of each
    `check("topic.name", …)`.
    """
    found = [
        call.args[0]
        for cell in code_cells(nb)
        for name, call in calls(cell.source)
        if name == "check" and call.args
    ]
    return list(
        dict.fromkeys(
            arg.value
            for arg in found
            if isinstance(arg, ast.Constant) and isinstance(arg.value, str)
        )
    )
