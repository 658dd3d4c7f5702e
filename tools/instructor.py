"""The instructor's version: every exercise filled in with the reference's source, run, and every
check passing; and a plan of the lesson.
"""

import ast
import builtins
import inspect
import textwrap
import types
from collections.abc import Callable, Iterator
from pathlib import Path

import common
from cells import checked, code_cells, tags, tree
from common import BUILD, FIXED, Problem
from nbformat import NotebookNode
from pages import Page
from pairs import from_source
from plans import plan

from course_utils.checking.verdicts import CHECK, OPEN, PASSES
from course_utils.exercises import catalog

ROOMS = {path.parent.name for path in (common.ROOT / "course_utils").glob("*/__init__.py")}


def build(
    source: Path,
    folder: Path = BUILD / "instructor",
    execute: bool = True,
    find: Callable = catalog.find,
) -> str:
    """Writes NN_topic.ipynb, NN_topic.html and NN_topic.plan.html; says where. Raises Problem where
    a check does not pass.

    `find` gives the Exercise for a `topic.name`; by default the course's own.
    """
    nb = fill(from_source(source), find)
    if execute:
        common.execute(nb, f"{source.stem} (instructor)", source.parent.parent, FIXED)
        failed = [
            f"{name}: {verdict['message']}"
            for name, verdict in verdicts(nb)
            if verdict["verdict"] != PASSES
        ]
        if failed:
            raise Problem(
                f"{source.stem}: the reference does not pass its own check: {'; '.join(failed)}"
            )
    common.write(folder / f"{source.stem}.ipynb", common.dumps(nb))
    saved = common.read(common.pair_of(source))
    for name, shown in ((source.stem, nb), (f"{source.stem}.plan", plan(saved, find))):
        page, _ = Page().from_notebook_node(
            shown, {"metadata": {"name": name, "path": str(source.parent.parent)}}
        )
        common.write(folder / f"{name}.html", page)
    return f"{source.stem}: {len(checked(nb))} exercises solved, in {folder / source.stem}.ipynb, .html and .plan.html"


def verdicts(nb: NotebookNode) -> list[tuple[str, dict]]:
    """(name, what its check found, as data) for every exercise that an executed notebook checks."""
    told = {
        output.data[CHECK]["name"]: output.data[CHECK]
        for cell in code_cells(nb)
        for output in cell.outputs
        if CHECK in output.get("data", {})
    }
    silent = {"verdict": OPEN, "message": "its check said nothing"}
    return [(name, told.get(name, silent)) for name in checked(nb)]


def short(name: str) -> str:
    return name.rpartition(".")[2]


def fill(nb: NotebookNode, find: Callable) -> NotebookNode:
    """Puts the reference's source in the place of every stub. Raises Problem where an exercise has
    no stub, or a stub no exercise.
    """
    wanted = {short(name): name for name in checked(nb)}
    filled = set()
    known = set(dir(builtins))
    for number, cell in enumerate(nb.cells, 1):
        if cell.cell_type != "code":
            continue
        if "exercise" in tags(cell):
            stubs = [
                node for node in tree(cell.source).body if getattr(node, "name", None) in wanted
            ]
            if not stubs:
                raise Problem(
                    f"cell {number} is tagged `exercise`, but no check(…) asks for what it defines."
                )
            for stub in reversed(stubs):
                cell.source = _replace(cell.source, stub, find(wanted[stub.name]).reference, known)
                filled.add(stub.name)
        known |= set(defined(cell.source))
    if missing := [name for stub, name in wanted.items() if stub not in filled]:
        raise Problem(f"no cell tagged `exercise` defines the stub for {', '.join(missing)}.")
    return nb


def _replace(source: str, stub: ast.AST, reference: Callable, known: set[str]) -> str:
    """The cell's source with the stub replaced, and imports for what the reference needs and the
    notebook lacks.
    """
    lines = source.splitlines()
    first = min([stub.lineno, *(d.lineno for d in stub.decorator_list)])
    solved = textwrap.dedent(inspect.getsource(reference)).rstrip().splitlines()
    imports = [line for name, line in _needs(reference) if name not in known]
    taken = [
        line
        for name, line in _needs(reference)
        if name in known & ROOMS
        and not isinstance(vars(inspect.getmodule(reference))[name], types.ModuleType)
    ]
    solved = _with_own_imports(solved, taken)
    return "\n".join([*imports, *lines[: first - 1], *solved, *lines[stub.end_lineno :]])


def _with_own_imports(solved: list[str], lines: list[str]) -> list[str]:
    """A function that imports what it needs itself: names which in the notebook mean a room, as
    `attention` does.
    """
    if not lines:
        return solved
    node = ast.parse("\n".join(solved)).body[0]
    documented = ast.get_docstring(node) is not None
    at = node.body[0].end_lineno if documented else node.body[0].lineno - 1
    return [
        *solved[:at],
        *(f"{' ' * node.body[0].col_offset}{line}" for line in lines),
        *solved[at:],
    ]


def _needs(reference: Callable) -> list[tuple[str, str]]:
    """(name, import line) for each global of its module that the reference uses."""
    module = inspect.getmodule(reference)
    names = {
        node.id
        for node in ast.walk(ast.parse(textwrap.dedent(inspect.getsource(reference))))
        if isinstance(node, ast.Name)
    }
    found = []
    for name in sorted(names & set(vars(module)) - {reference.__name__}):
        value = getattr(module, name)
        if isinstance(value, types.ModuleType):
            found.append(
                (
                    name,
                    f"import {value.__name__}"
                    if value.__name__ == name
                    else f"import {value.__name__} as {name}",
                )
            )
        else:
            found.append((name, f"from {module.__name__} import {name}"))
    return found


def defined(source: str) -> Iterator[str]:
    """The names that a cell defines at its top level."""
    for node in ast.walk(tree(source)):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            yield node.name
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            yield from ((alias.asname or alias.name).split(".")[0] for alias in node.names)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
