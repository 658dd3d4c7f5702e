"""What makes a cell give something else, or fail, when it runs a second time: seen in its source,
without running it.

`tools/twice.py` runs every cell twice and sees more; this sees the usual kinds at once, and in
cells that show nothing.
"""

import ast
import re
from collections.abc import Iterator
from itertools import pairwise

from cells import dotted

GROWS = {"append", "extend", "insert", "appendleft", "pop", "popleft", "remove", "popitem"}
SUMS = set(
    "add_ sub_ mul_ div_ pow_ neg_ addcmul_ addmm_ index_add_ scatter_add_ t_ transpose_".split()
)
SOURCES = {"generator", "rng"}  # the arguments that take a source of random numbers
HOOKS = re.compile(r"register_\w*hook")


def reruns(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """(line, what is wrong) for a cell. What it makes itself it may change and delete: the second
    run makes it anew.
    """
    yield from _visit(tree.body, set())
    yield from _left_hooks(tree)
    yield from _drawn_on(tree)


def _visit(body: list[ast.stmt], own: set[str]) -> Iterator[tuple[int, str]]:
    for node in body:
        if isinstance(node, ast.Delete):
            names = [target.id for target in node.targets if isinstance(target, ast.Name)]
            yield from (
                (node.lineno, f"deletes {name}, which the second run still needs")
                for name in names
                if name not in own
            )
        foreign = _changed(node)
        if foreign and foreign not in own:
            yield (
                node.lineno,
                f"changes {foreign}, which another cell made, once more in a second run",
            )
        if (graph := _differentiated(node)) and graph not in own:
            yield (
                node.lineno,
                f"goes backward through {graph}, which another cell made: a second run finds its graph freed",
            )
        own |= bound(node)
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            for field in ("body", "orelse", "handlers", "finalbody"):
                for inner in getattr(node, field, []):
                    yield from _visit(
                        inner.body if isinstance(inner, ast.ExceptHandler) else [inner], own
                    )


def _changed(node: ast.stmt) -> str:
    """The name of what a statement changes in a way that adds up, or ""."""
    if isinstance(node, ast.AugAssign):
        return _root(node.target)
    if (
        isinstance(node, ast.Assign)
        and len(node.targets) == 1
        and not isinstance(node.targets[0], (ast.Tuple, ast.List))
    ):
        target = node.targets[0]
        inner = {
            name
            for n in ast.walk(node.value)
            if isinstance(n, ast.comprehension)
            for name in _names(n.target)
        }
        again = any(
            ast.unparse(n) == ast.unparse(target)
            for n in ast.walk(node.value)
            if isinstance(n, ast.expr)
        )
        if isinstance(node.value, ast.Call) and dotted(node.value.func) == "check":
            return ""  # it gives the same function whether it gets the student's or the course's
        return _root(target) if again and _root(target) not in inner else ""
    call = node.value if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) else None
    if call and isinstance(call.func, ast.Attribute) and call.func.attr in GROWS | SUMS:
        return _root(call.func.value)
    return ""


def _differentiated(node: ast.stmt) -> str:
    """The name on which a statement calls backward(), or ""."""
    calls = (
        [n for n in ast.walk(node) if isinstance(n, ast.Call)]
        if isinstance(node, (ast.Expr, ast.Assign))
        else []
    )
    for call in calls:
        if (
            dotted(call.func).endswith("autograd.grad")
            and call.args
            and isinstance(call.args[0], ast.Name)
        ):
            return call.args[0].id
        if (
            isinstance(call.func, ast.Attribute)
            and call.func.attr == "backward"
            and isinstance(call.func.value, ast.Name)
        ):
            return call.func.value.id
    return ""


def _left_hooks(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Hooks that stay on a model if the cell is stopped: neither `with` nor `finally` takes them
    off.
    """
    safe: set[ast.AST] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Try) and node.finalbody:
            safe.update(ast.walk(node))
        if isinstance(node, (ast.With, ast.AsyncWith)):
            safe.update(inner for item in node.items for inner in ast.walk(item))
        if isinstance(node, ast.Call) and dotted(node.func).endswith("enter_context"):
            safe.update(ast.walk(node))
        body = getattr(node, "body", None)
        for here, following in pairwise(body if isinstance(body, list) else []):
            if isinstance(following, ast.Try) and following.finalbody:
                safe.update(ast.walk(here))
    for node in ast.walk(tree):
        is_call = isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
        if is_call and HOOKS.fullmatch(node.func.attr) and node not in safe:
            yield (
                node.lineno,
                "puts a hook on a model that stays there if the cell is stopped: write `with`",
            )


def _drawn_on(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Draws from a source of random numbers that another cell made: it stands further on in a
    second run.
    """
    own = bound_anywhere(tree)
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.keyword)
            and node.arg in SOURCES
            and isinstance(node.value, ast.Name)
            and node.value.id not in own
        ):
            yield (
                node.value.lineno,
                f"draws from {node.value.id}, which another cell made: a second run draws other numbers",
            )


def bound_anywhere(tree: ast.AST) -> set[str]:
    """The names that a cell binds, in functions and comprehensions, too."""
    return _names(tree) | {
        name.arg
        for node in ast.walk(tree)
        if isinstance(node, ast.arguments)
        for name in _parameters(node)
    }


def _parameters(node: ast.arguments) -> list[ast.arg]:
    return [*node.posonlyargs, *node.args, *node.kwonlyargs]


def bound(node: ast.stmt) -> set[str]:
    """The names that a statement binds."""
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return {node.name}
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        return {(alias.asname or alias.name).split(".")[0] for alias in node.names}
    targets = [
        *getattr(node, "targets", []),
        getattr(node, "target", None),
        *(item.optional_vars for item in getattr(node, "items", [])),
    ]
    return {name for target in targets if target is not None for name in _names(target)}


def _names(target: ast.AST) -> set[str]:
    return {
        n.id for n in ast.walk(target) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)
    }


def _root(node: ast.AST) -> str:
    """The name at the start of an expression: "a" for a.b[0].c, "" where there is none."""
    while not isinstance(node, ast.Name):
        node = getattr(node, "value", None) or getattr(node, "func", None)
        if node is None:
            return ""
    return node.id
