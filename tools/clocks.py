"""Which values of a program come from a clock, and where something depends on them that must not:
assertions, compared outputs.

A machine that is slow, or busy with something else, changes them. So no notebook asserts, claims or
lets nbval compare what was timed: it counts operations, bytes or calls instead, and shows times as
those of this machine.
"""

import ast
from collections.abc import Iterable, Iterator

from cells import dotted

CLOCKS = {
    f"time.{name}"
    for name in (
        "time",
        "perf_counter",
        "process_time",
        "thread_time",
        "monotonic",
        "clock_gettime",
    )
}
CLOCKS |= {f"{name}_ns" for name in CLOCKS} | {"timed"}
FIELDS = {"seconds"}  # attributes that hold what a clock said, as in History
GROWS = {"append", "extend", "insert", "add", "update", "setdefault"}
# what nbval compares: text, and the text of a picture
SHOWN = {"print", "display", "show", "Picture", "Markup"}
BACKSTOP = "patience"  # `… < patience(60)` is no claim about speed: it ends what hangs


class Clocked:
    """Follows names through a program, statement by statement; `timed` holds those whose value
    depends on a clock.

    fields: the attributes that hold what a clock said.
    """

    def __init__(self, timed: Iterable[str] = (), fields: Iterable[str] = FIELDS):
        self.timed = set(timed)
        self.fields = set(fields)
        self.returns = False  # whether a function of these statements returns what a clock said

    def depends(self, node: ast.AST | None) -> bool:
        """Whether an expression, or anything inside of a statement, depends on a clock."""
        return node is not None and any(self._reads(n) for n in ast.walk(node))

    def _reads(self, node: ast.AST) -> bool:
        named = isinstance(node, ast.Name) and node.id in self.timed
        field = isinstance(node, ast.Attribute) and node.attr in self.fields
        return named or field or isinstance(node, ast.Call) and dotted(node.func) in CLOCKS

    def visit(self, body: list[ast.stmt], compared: bool = True) -> Iterator[tuple[int, str]]:
        """(line, what is wrong) for statements in order. compared: whether nbval compares what they
        show.
        """
        for node in body:
            yield from self._judge(node, compared)
            self._bind(node)
            if isinstance(node, ast.Return) or (
                isinstance(node, ast.Expr) and isinstance(node.value, (ast.Yield, ast.YieldFrom))
            ):
                self.returns |= self.depends(node.value)
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                inside = Clocked(self.timed, self.fields)  # its own names stay inside
                yield from inside.visit(node.body, compared)
                self._set(
                    node.name,
                    inside.returns
                    or (isinstance(node, ast.ClassDef) and any(map(self.depends, node.body))),
                )
                continue
            for field in ("body", "orelse", "handlers", "finalbody"):
                for inner in getattr(node, field, []):
                    yield from self.visit(
                        inner.body if isinstance(inner, ast.ExceptHandler) else [inner], compared
                    )

    def _judge(self, node: ast.stmt, compared: bool) -> Iterator[tuple[int, str]]:
        if (
            isinstance(node, ast.Assert)
            and self.depends(node.test)
            and BACKSTOP not in ast.unparse(node.test)
        ):
            yield node.lineno, "an assertion on what a clock said"
        if isinstance(node, (ast.If, ast.While)) and self.depends(node.test):
            inner = [n for statement in node.body for n in ast.walk(statement)]
            if any(isinstance(n, ast.Raise) for n in inner) and BACKSTOP not in ast.unparse(
                node.test
            ):
                yield node.lineno, "an error that depends on what a clock said"
            if compared and any(isinstance(n, ast.Call) and dotted(n.func) in SHOWN for n in inner):
                yield node.lineno, "an output that depends on what a clock said"
        if not isinstance(node, (ast.Expr, ast.Assign, ast.Return)):
            return
        for call in (n for n in ast.walk(node) if isinstance(n, ast.Call)):
            name = dotted(call.func)
            given = [*call.args, *(keyword.value for keyword in call.keywords)]
            if not any(map(self.depends, given)):
                continue
            if "assert" in name.rpartition(".")[2].lower():
                yield call.lineno, "an assertion on what a clock said"
            elif name.endswith("claims.add"):
                yield call.lineno, "a claim on what a clock said"
            elif compared and name in SHOWN:
                yield call.lineno, "an output that nbval compares holds what a clock said"

    def _bind(self, node: ast.stmt) -> None:
        """Notes which names depend on a clock after a statement."""
        if isinstance(node, ast.Assign):
            for target in node.targets:
                self._pair(target, node.value)
        elif isinstance(node, ast.AnnAssign) and node.value is not None:
            self._pair(node.target, node.value)
        elif isinstance(node, ast.AugAssign) and self.depends(node.value):
            self.timed.add(_root(node.target))
        elif isinstance(node, (ast.For, ast.AsyncFor)):
            self._pair(node.target, node.iter)
        elif (
            isinstance(node, ast.Expr)
            and isinstance(node.value, ast.Call)
            and isinstance(node.value.func, ast.Attribute)
        ):
            call = node.value
            if call.func.attr in GROWS and any(map(self.depends, call.args)):
                self.timed.add(_root(call.func.value))

    def _pair(self, target: ast.expr, value: ast.expr) -> None:
        if isinstance(target, (ast.Tuple, ast.List)):
            same = isinstance(value, (ast.Tuple, ast.List)) and len(value.elts) == len(target.elts)
            for n, part in enumerate(target.elts):
                self._pair(part, value.elts[n] if same else value)
        elif isinstance(target, ast.Name):
            self._set(target.id, self.depends(value))
        elif self.depends(value):  # a[i] = …, a.b = …: the whole of a depends on it from now on
            self.timed.add(_root(target))

    def _set(self, name: str, depends: bool) -> None:
        (self.timed.add if depends else self.timed.discard)(name)


def _root(node: ast.AST) -> str:
    """The name at the start of an expression: "a" for a.b[0].c."""
    while not isinstance(node, ast.Name):
        node = getattr(node, "value", None) or getattr(node, "func", None)
        if node is None:
            return ""
    return node.id
