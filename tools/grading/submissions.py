"""What a notebook that came back answers: the source of each exercise's answer, with what it needs
and nothing else, taken from its text alone. Nothing is executed here.
"""

import ast
import copy
import json
import re
import symtable
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import common
import nbformat
from cells import calls, checked, code_cells, tree, without_magics
from common import Problem, pair_of, sources

MOST_BYTES = 50_000_000  # of a notebook; figures of a whole lesson take one or two million
MOST_SOURCE = 2_000_000  # characters of its code
# What an answer may import; all else of Python reaches files, processes or the grader itself.
MODULES = {
    "__future__", "abc", "bisect", "collections", "copy", "course_utils", "dataclasses", "enum",
    "functools", "heapq", "itertools", "math", "numpy", "operator", "random", "re", "statistics",
    "string", "torch", "typing", "unicodedata", "regex",
}  # fmt: skip
# Names with which code leaves its own function, and attributes and imported names that do.
NAMES = {
    "breakpoint", "compile", "delattr", "eval", "exec", "exit", "get_ipython", "globals", "input", "locals", "open",
    "quit", "setattr", "vars",
}  # fmt: skip
ATTRIBUTES = NAMES - {"exit", "input", "quit"} | {
    "_C", "catalog", "checking", "cpp_extension", "cr_frame", "ctypeslib", "distributed", "dump", "exercises", "f_back",
    "f_globals", "from_file", "fromfile", "genfromtxt", "gi_frame", "hub", "jit", "library", "load", "loadtxt",
    "memmap", "multiprocessing", "open_memmap", "package", "save", "savetxt", "savez", "solution", "tb_frame", "tofile",
}  # fmt: skip
# Special methods that a class may have or call; the others are ways into the interpreter.
SPECIAL = {
    "__init__", "__call__", "__len__", "__iter__", "__next__", "__getitem__", "__setitem__", "__contains__",
    "__eq__", "__lt__", "__le__", "__gt__", "__ge__", "__add__", "__sub__", "__mul__", "__matmul__",
    "__neg__", "__repr__", "__str__", "__hash__", "__enter__", "__exit__", "__post_init__", "__name__", "__bool__",
}  # fmt: skip


@dataclass(frozen=True)
class Answer:
    """What is graded. exercise: `room.name`. source: statements in order, the last of which binds
    RESULT to the answer; "" where there is none. given: names in it that stand for the course's own
    functions, and their exercises. fault: why it is not run; "" where it can be.
    """

    exercise: str
    source: str = ""
    given: tuple[tuple[str, str], ...] = ()
    fault: str = ""


RESULT = "submitted_answer"


@dataclass(frozen=True)
class Submission:
    """One file. lesson: `02_attention`, "" where it is none of the course's. fault: what is wrong
    with the file as a whole.
    """

    student: str
    lesson: str = ""
    answers: tuple[Answer, ...] = ()
    fault: str = ""


def read(path: Path, folder: Path) -> Submission:
    """The submission in a file. Never raises: what cannot be read becomes a fault in a sentence."""
    student = path.relative_to(folder).with_suffix("").as_posix()
    try:
        sources_of_cells = _cells(path)
    except Problem as problem:
        return Submission(student, fault=str(problem))
    statements, broken = _statements(sources_of_cells)
    lesson = _lesson("\n".join(sources_of_cells), statements)
    if not lesson:
        return Submission(student, fault="no exercise of the course is in it")
    wanted = _exercises(lesson)
    answers = tuple(_answer(name, wanted, statements, broken, lesson) for name in wanted)
    return Submission(student, lesson, answers)


def _cells(path: Path) -> list[str]:
    """The sources of the code cells. Raises Problem."""
    if path.is_symlink() or not path.is_file():
        raise Problem("it is a link or no plain file, and was not opened")
    if path.stat().st_size > MOST_BYTES:
        raise Problem(f"it has over {MOST_BYTES // 1_000_000} MB, and was not opened")
    try:
        data = json.loads(path.read_text(encoding="utf-8-sig"))
        if isinstance(data, dict):
            for cell in data.get("cells", []):
                cell.pop("outputs", None)  # nothing in them counts, and much of it breaks
        nb = nbformat.from_dict(data) if isinstance(data, dict) else None
        if nb is None or not isinstance(nb.get("cells"), list):
            raise ValueError("no cells")
        found = [
            "".join(cell.source) if isinstance(cell.source, list) else str(cell.source)
            for cell in nb.cells
            if cell.get("cell_type") == "code" and "source" in cell
        ]
    except (ValueError, AttributeError, TypeError, RecursionError, UnicodeDecodeError) as error:
        why = " ".join(str(error).split())[:120]
        raise Problem(f"it is no notebook ({type(error).__name__}: {why})") from None
    except OSError as error:
        raise Problem(f"it cannot be read ({error.strerror})") from None
    if sum(map(len, found)) > MOST_SOURCE:
        raise Problem(f"its code has over {MOST_SOURCE:,} characters, and was not read")
    return found


# --- Statements, and what they need ---------------------------------------------------------------


@dataclass(frozen=True)
class Statement:
    """A statement at the top of a cell: its source, the names that it binds, the names that it
    needs.
    """

    source: str
    binds: frozenset[str]
    needs: frozenset[str]
    node: ast.stmt


def _statements(cells: list[str]) -> tuple[list[Statement], dict[str, str]]:
    """(every statement, what is said of functions in cells that are no Python, by their names)."""
    found = []
    broken = {}
    for number, source in enumerate(cells, 1):
        text = without_magics(source.replace("\0", ""))
        try:
            body = ast.parse(text).body
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            line = getattr(error, "lineno", None)
            where = f", line {line}" if line else ""
            for name in re.findall(r"(?m)^\s*(?:def|class)\s+(\w+)", source):
                broken[name] = (
                    f"code cell {number}{where} is no Python: {getattr(error, 'msg', error)}"
                )
            continue
        found += [statement for node in body if (statement := _statement(node, text)) is not None]
    return found, broken


def _statement(node: ast.stmt, text: str) -> Statement | None:
    lines = text.splitlines()
    first = min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", []))])
    source = "\n".join(lines[first - 1 : node.end_lineno])
    if ";" in source or not isinstance(node, ast.FunctionDef | ast.ClassDef):
        source = ast.unparse(node)  # several statements may share a line
    try:
        table = symtable.symtable(source, "<answer>", "exec")
    except (SyntaxError, ValueError, RecursionError):
        return None
    binds = {s.get_name() for s in table.get_symbols() if s.is_assigned() or s.is_imported()}
    needs = {name for inner in _tables(table) for name in _globals(inner)}
    return Statement(source, frozenset(binds), frozenset(needs), node)


def _tables(table: symtable.SymbolTable) -> Iterator[symtable.SymbolTable]:
    yield table
    for child in table.get_children():
        yield from _tables(child)


def _globals(table: symtable.SymbolTable) -> Iterator[str]:
    for symbol in table.get_symbols():
        if table.get_type() == "module":
            if symbol.is_referenced():
                yield symbol.get_name()
        elif symbol.is_global():
            yield symbol.get_name()


# --- Which lesson, which answers ------------------------------------------------------------------


def _lesson(text: str, statements: list[Statement]) -> str:
    """The lesson whose exercises are checked or defined here; the one with the most of them."""
    bound = {name for statement in statements for name in statement.binds}
    named = set(re.findall(r"[\"'](\w+\.\w+)[\"']", text))
    scores = {}
    for source in sources():
        names = _exercises(source.stem)
        score = 2 * len(named & set(names)) + len(bound & {n.partition(".")[2] for n in names})
        scores[source.stem] = score
    best = max(scores, key=scores.get)
    return best if scores[best] else ""


@cache
def _exercises(lesson: str) -> list[str]:
    [source] = sources([lesson])
    return checked(common.read(pair_of(source)))


def _answer(
    name: str, wanted: list[str], statements: list[Statement], broken: dict[str, str], lesson: str
) -> Answer:
    """The answer to one exercise, with the statements that it needs, by the last binding of each
    name; the other exercises' functions are the course's own, so that nobody pays twice.
    """
    short = name.partition(".")[2]
    expression = _checked_expression(name, statements) or short
    given = {other.partition(".")[2]: other for other in wanted if other != name}
    needed = _slice(name, expression, statements, given)
    if needed is None:
        if short in broken:
            return Answer(name, fault=broken[short])
        return Answer(name)
    fault = next((f for s in needed if (f := screened(s.node))), "")
    if fault:
        return Answer(name, fault=fault)
    names = {n for s in needed for n in s.needs} | set(re.findall(r"\w+", expression))
    own = {n for s in needed for n in s.binds}
    imports = _imports_of_lesson(lesson)
    prelude = [imports[n] for n in sorted(names - own - given.keys()) if n in imports]
    parts = [*prelude, *(s.source for s in needed), f"{RESULT} = {expression}"]
    ours = tuple((n, given[n]) for n in sorted(names & given.keys() - own))
    return Answer(name, "\n\n".join(parts), ours)


def _checked_expression(name: str, statements: list[Statement]) -> str:
    """What is handed to the last `check("room.name", …)`; "" where that is no expression of names."""
    found = ""
    for statement in statements:
        for called, call in calls(statement.source):
            if called.rpartition(".")[2] != "check" or len(call.args) < 2:
                continue
            first, second = call.args[:2]
            if isinstance(first, ast.Constant) and first.value == name:
                found = ast.unparse(second) if not screened(second) else ""
    return found


def _slice(
    name: str, expression: str, statements: list[Statement], given: dict[str, str]
) -> list[Statement] | None:
    """The statements that an expression needs, imports first, then in order; None where it itself
    is bound nowhere. The answer is what was defined last; what it needs is what was defined last
    where it was checked.
    """
    short = name.partition(".")[2]
    usable = [(n, s) for n, s in enumerate(statements) if not _checks(s)]
    bound: dict[str, list[int]] = {}
    for number, statement in usable:
        for one in statement.binds:
            bound.setdefault(one, []).append(number)
    names = {node.id for node in ast.walk(ast.parse(expression)) if isinstance(node, ast.Name)}
    if short in names and short not in bound:
        return None
    chosen = {
        max(bound[one]) for one in names if one in bound and (one == short or one not in given)
    }
    checked = [
        n for n, s in enumerate(statements) if _checks(s) and repr(name) in ast.unparse(s.node)
    ]
    until = max([*checked, *chosen], default=0)
    waiting = list(chosen)
    while waiting:
        for one in statements[waiting.pop()].needs:
            places = bound.get(one, [])
            if not places or (one in given and one != short):
                continue
            number = max([n for n in places if n <= until] or places)
            if number not in chosen:
                chosen.add(number)
                waiting.append(number)
    found = [statements[n] for n in sorted(chosen)]
    return sorted(found, key=lambda s: not isinstance(s.node, ast.Import | ast.ImportFrom))


def _checks(statement: Statement) -> bool:
    """Whether a statement only calls the course's `check`, `hint`, …, whose results do not count."""
    return any(
        name.rpartition(".")[2] in ("check", "hint", "solution", "progress")
        for name, _ in calls(statement.source)
        if not isinstance(statement.node, ast.FunctionDef | ast.ClassDef)
    )


@cache
def _imports_of_lesson(lesson: str) -> dict[str, str]:
    """The lesson's own imports, by the names that they bind: a student may have deleted that cell."""
    [source] = sources([lesson])
    found = {}
    for cell in code_cells(common.read(pair_of(source))):
        for node in tree(cell.source).body:
            if not isinstance(node, ast.Import | ast.ImportFrom):
                continue
            for alias in node.names:
                one = copy.copy(node)
                one.names = [alias]
                bound = (alias.asname or alias.name).partition(".")[0]
                if not screened(one):
                    found.setdefault(bound, ast.unparse(one))
    return found


# --- What is not run ------------------------------------------------------------------------------


def screened(node: ast.AST) -> str:
    """Why a statement is not run, in a sentence; "" for what an answer may do.

    >>> screened(ast.parse("import os").body[0])
    'it imports os, which no exercise needs'
    >>> screened(ast.parse("y = x.softmax(-1)").body[0])
    ''
    """
    for part in ast.walk(node):
        if isinstance(part, ast.Import | ast.ImportFrom):
            modules = [part.module or ""] if isinstance(part, ast.ImportFrom) else [a.name for a in part.names]  # fmt: skip
            for module in modules:
                if module.partition(".")[0] not in MODULES or set(module.split(".")) & ATTRIBUTES:
                    return f"it imports {module or 'a relative module'}, which no exercise needs"
            names = {a.name for a in part.names}
            refused = ATTRIBUTES
        elif isinstance(part, ast.Attribute):
            names = {part.attr}
            refused = ATTRIBUTES
        elif isinstance(part, ast.Name):
            names = {part.id}
            refused = NAMES
        elif isinstance(part, ast.Constant) and isinstance(part.value, str):
            # as in getattr(x, "__globals__") and "{0.__globals__}".format(f)
            refused = NAMES
            names = set(re.findall(r"__\w+__", part.value)) if not _is_text(part, node) else set()
        else:
            continue
        for name in sorted(names):
            special = name.startswith("__") and name.endswith("__")
            if name in refused or (special and name not in SPECIAL):
                return f"it uses {name}, which no exercise needs"
    return ""


def _is_text(part: ast.Constant, node: ast.AST) -> bool:
    """Whether a string is a docstring."""
    return any(
        isinstance(inner, ast.FunctionDef | ast.ClassDef)
        and inner.body
        and isinstance(inner.body[0], ast.Expr)
        and inner.body[0].value is part
        for inner in ast.walk(node)
    )
