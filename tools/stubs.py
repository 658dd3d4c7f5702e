"""Exercises in a lesson's source, written from the registry: stub, docstring, difficulty and
minutes are never copied by hand.

    python tools/stubs.py [01 …]            bring the exercises of these lessons up to date
    python tools/stubs.py --check [01 …]    say which are stale

To put a new exercise into a lesson, write one line into a code cell of its source:
`name = check("room.name", name)`. This tool adds the cell with the stub before it, the line with
difficulty and minutes above that, and the calls of hint and solution.
"""

import argparse
import ast
import inspect
import re
import textwrap
from collections.abc import Callable
from pathlib import Path

import common
from cells import calls, tags, tree
from common import sources
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell
from pairs import from_source, to_source

BARE = r'(?m)^(check\("{}", ({})\b)'  # a check whose result nobody keeps
BOX = re.compile(r"\*Difficulty \d of 3 · \d+ minutes?\*")


def box_of(exercise) -> str:
    """The line that says how hard an exercise is and how long it takes."""
    return f"*Difficulty {exercise.difficulty} of 3 · {exercise.minutes} minutes*"


def stub_of(reference: Callable, old: str | None = None) -> str:
    """The source that a student gets: signature and docstring of the reference, and `...` for the
    body.

    Of a class, the methods that `old` (the stub so far) gives whole stay whole, and private ones
    that it leaves out stay out.
    """
    source = textwrap.dedent(inspect.getsource(reference)).rstrip()
    node = ast.parse(source).body[0]
    if isinstance(node, ast.ClassDef):
        return _class_stub(source, node, old)
    return _head(source, node)


def _head(source: str, node: ast.FunctionDef) -> str:
    """A function without its body. A formatter's mark says nothing to a student."""
    lines = source.splitlines()
    first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
    documented = ast.get_docstring(node) is not None
    last = node.body[0].end_lineno if documented else node.body[0].lineno - 1
    kept = [re.sub(r"\s+# fmt: skip$", "", line) for line in lines[first - 1 : last]]
    return "\n".join([*kept, " " * node.body[0].col_offset + "..."])


def _class_stub(source: str, node: ast.ClassDef, old: str | None) -> str:
    lines = source.splitlines()
    given = _methods(ast.parse(textwrap.dedent(old)).body[0]) if old else {}
    top = (
        node.body[0].end_lineno if ast.get_docstring(node) is not None else node.body[0].lineno - 1
    )
    parts = ["\n".join(lines[node.lineno - 1 : top])]
    for name, method in _methods(node).items():
        if name in given and ast.dump(given[name]) == ast.dump(method):
            first = min([method.lineno, *(decorator.lineno for decorator in method.decorator_list)])
            parts.append("\n".join(lines[first - 1 : method.end_lineno]))
        elif name in given or not name.startswith("_") or (old is None and name == "__init__"):
            parts.append(_head(source, method))
    return "\n\n".join(parts)


def _methods(node: ast.ClassDef) -> dict[str, ast.FunctionDef]:
    return {member.name: member for member in node.body if isinstance(member, ast.FunctionDef)}


def stub_faults(stub: str, reference: str) -> list[str]:
    """Where a stub (source) is not the reference (source) with the body left out; an empty list
    where it is.
    """
    mine, theirs = (ast.parse(textwrap.dedent(source)).body[0] for source in (stub, reference))
    if isinstance(mine, ast.FunctionDef):
        return _function_faults(mine, theirs, "")
    faults = _difference(mine, theirs, "bases", "keywords", "decorator_list")
    methods = _methods(mine)
    known = _methods(theirs)
    faults += [f"{name} is not in the reference" for name in methods if name not in known]
    faults += [
        f"{name} is missing" for name in known if not name.startswith("_") and name not in methods
    ]
    given = [
        name
        for name in methods
        if name in known and ast.dump(methods[name]) == ast.dump(known[name])
    ]
    left = [name for name in methods if name in known and name not in given]
    faults += [
        fault
        for name in left
        for fault in _function_faults(methods[name], known[name], f"{name}: ")
    ]
    return faults if left else [*faults, "nothing in it is left to do"]


def _function_faults(mine: ast.FunctionDef, theirs: ast.FunctionDef, prefix: str) -> list[str]:
    faults = _difference(mine, theirs, "args", "returns", "decorator_list")
    body = [
        node
        for node in mine.body
        if not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))
    ]
    ends = (
        isinstance(mine.body[-1], ast.Expr)
        and getattr(mine.body[-1].value, "value", None) is Ellipsis
    )
    return [
        prefix + fault
        for fault in faults
        + ([] if ends and not body else ["the body is more than docstring and `...`"])
    ]


def _difference(mine: ast.AST, theirs: ast.AST, *fields: str) -> list[str]:
    faults = (
        [] if type(mine) is type(theirs) and mine.name == theirs.name else ["another kind or name"]
    )
    said = {"args": "arguments", "returns": "return type", "decorator_list": "decorators"}
    for field in fields:
        if _dump(getattr(mine, field)) != _dump(getattr(theirs, field)):
            faults.append(f"other {said.get(field, field)}")
    return faults + (
        [] if ast.get_docstring(mine) == ast.get_docstring(theirs) else ["another docstring"]
    )


def _dump(value: object) -> object:
    if isinstance(value, list):
        return [_dump(v) for v in value]
    return ast.dump(value) if isinstance(value, ast.AST) else value


def refresh(nb: NotebookNode, find: Callable) -> list[str]:
    """Brings every exercise of a notebook up to date, in place; says what was stale. `find` gives
    the Exercise for a name.
    """
    said = []
    for name in _asked(nb):
        exercise = find(name)
        at = next(
            n
            for n, cell in enumerate(nb.cells)
            if cell.cell_type == "code" and name in _checked_in(cell.source)
        )
        assigned = re.sub(BARE.format(name, exercise.name), r"\2 = \1", nb.cells[at].source)
        if assigned != nb.cells[at].source:
            nb.cells[at].source = assigned
            said.append(f"{name}: what its check gives is not assigned")
        stub = _stub_before(nb, at, exercise.name)
        if stub is None:
            stub = _insert(nb, at, name)
            at = at + 1
            said.append(f"{name}: its stub is missing")
        cell = nb.cells[stub]
        node = _definition(nb.cells[stub].source, exercise.name)
        old = ast.get_source_segment(cell.source, node) if node else None
        if old is None or stub_faults(
            _with_decorators(cell.source, node), inspect.getsource(exercise.reference)
        ):
            cell.source = _replaced(cell.source, node, stub_of(exercise.reference, old))
            said += (
                [] if old is None else [f"{name}: its stub is not the reference without the body"]
            )
        said += _say_difficulty(nb, stub, exercise, name)
    return said


def _asked(nb: NotebookNode) -> list[str]:
    return list(
        dict.fromkeys(
            name
            for cell in nb.cells
            if cell.cell_type == "code"
            for name in _checked_in(cell.source)
        )
    )


def _checked_in(source: str) -> list[str]:
    return [
        call.args[0].value
        for name, call in calls(source)
        if name == "check" and call.args and isinstance(call.args[0], ast.Constant)
    ]


def _stub_before(nb: NotebookNode, at: int, short: str) -> int | None:
    """The nearest cell before a check that is tagged `exercise` and defines what it asks for."""
    return next(
        (
            n
            for n in range(at - 1, -1, -1)
            if "exercise" in tags(nb.cells[n]) and _definition(nb.cells[n].source, short)
        ),
        None,
    )


def _definition(source: str, short: str) -> ast.AST | None:
    return next((node for node in tree(source).body if getattr(node, "name", None) == short), None)


def _with_decorators(source: str, node: ast.AST) -> str:
    first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
    return "\n".join(source.splitlines()[first - 1 : node.end_lineno])


def _replaced(source: str, node: ast.AST | None, stub: str) -> str:
    if node is None:
        return stub
    lines = source.splitlines()
    first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
    return "\n".join([*lines[: first - 1], stub, *lines[node.end_lineno :]])


def _insert(nb: NotebookNode, at: int, name: str) -> int:
    """A cell for the stub before the cell `at`; that cell gets its tag, and the calls of hint and
    solution as comments.
    """
    check = nb.cells[at]
    check.metadata["tags"] = sorted({*tags(check), "check"})
    for what in ("hint", "solution"):
        if f'{what}("{name}")' not in check.source:
            check.source += f'\n# {what}("{name}")'
    nb.cells.insert(at, new_code_cell("", metadata={"tags": ["exercise"]}))
    if at == 0 or nb.cells[at - 1].cell_type != "markdown":
        nb.cells.insert(
            at, new_markdown_cell(f"### Exercise · {name.partition('.')[2].replace('_', ' ')}")
        )
        return at + 1
    return at


def _say_difficulty(nb: NotebookNode, stub: int, exercise, name: str) -> list[str]:
    prose = next(
        nb.cells[n] for n in range(stub - 1, -1, -1) if nb.cells[n].cell_type == "markdown"
    )
    box = box_of(exercise)
    if box in prose.source:
        return []
    old = list(BOX.finditer(prose.source))
    prose.source = (
        f"{prose.source[: old[-1].start()]}{box}{prose.source[old[-1].end() :]}"
        if old
        else f"{prose.source}\n\n{box}"
    )
    return [f"{name}: difficulty and minutes are not those of the registry"]


def stale(source: Path, find: Callable) -> list[str]:
    """What `refresh` would change in a lesson's source."""
    return [f"{source.stem}: {what}" for what in refresh(from_source(source), find)]


def main() -> int:
    from course_utils.exercises import catalog

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "notebooks", nargs="*", metavar="NB", help="e.g. 01; all of them if none is given"
    )
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    found = []
    for source in sources(options.notebooks):
        nb = from_source(source)
        said = refresh(nb, catalog.find)
        found += [f"{source.stem}: {what}" for what in said]
        if said and not options.check:
            common.write(source, to_source(nb))
    print("\n".join(found) or "every exercise is as the registry has it")
    return bool(found and options.check)


if __name__ == "__main__":
    common.command(main)
