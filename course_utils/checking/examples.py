"""The example in an exercise's docstring, run on a student's answer."""

import ast
import doctest
import re
import sys
from collections.abc import Callable
from typing import Any

from .compare import difference

NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?", re.IGNORECASE)
GRAD = re.compile(r", grad_fn=<\w+>")
# what NumPy and collections write around a plain value: np.float64(0.5), Counter({…})
WRAPPED = re.compile(
    r"\b(?:np\.\w+|Counter|OrderedDict|defaultdict)\((?:<class '\w+'>, )?([^()]*(?:\([^()]*\)[^()]*)*)\)"
)
NEAR = 2e-3  # relative and absolute: examples print four digits


class Alike(doctest.OutputChecker):
    """Takes numbers that are near for equal, and does not mind how a result came about."""

    def check_output(self, want: str, got: str, optionflags: int) -> bool:
        """Whether the two texts say the same."""
        if super().check_output(want, got, optionflags):
            return True
        want, got = (_plain(text) for text in (want, got))
        if (equal := _equal_values(want, got)) is not None:
            return equal
        if "".join(NUMBER.sub("0", want).split()) != "".join(NUMBER.sub("0", got).split()):
            return False
        pairs = zip(NUMBER.findall(want), NUMBER.findall(got), strict=True)
        return all(abs(float(a) - float(b)) <= NEAR * max(1, abs(float(a))) for a, b in pairs)


def _plain(text: str) -> str:
    """The text as plain Python writes it."""
    text = text.replace("np.True_", "True").replace("np.False_", "False")
    return WRAPPED.sub(r"\1", GRAD.sub("", text))


def _equal_values(want: str, got: str) -> bool | None:
    """Whether two texts that write plain values mean equal ones; None where one is no plain value."""
    try:
        values = [ast.literal_eval(text.strip()) for text in (want, got)]
    except (ValueError, SyntaxError):
        return None
    return difference(values[1], values[0], NEAR) is None


class _Runner(doctest.DocTestRunner):
    """Keeps the first example that fails, in words, and prints nothing."""

    def __init__(self) -> None:
        flags = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS | doctest.FAIL_FAST
        super().__init__(Alike(), verbose=False, optionflags=flags)
        self.fault: str | None = None

    def report_failure(self, out: Callable, test: Any, example: doctest.Example, got: str) -> None:
        shown = got.strip() or "nothing"
        self.fault = (
            f"`{_line(example.source)}` gives {_line(shown)} instead of {_line(example.want)}"
        )

    def report_unexpected_exception(
        self, out: Callable, test: Any, example: doctest.Example, exc_info: tuple
    ) -> None:
        kind, error, _ = exc_info
        self.fault = f"`{_line(example.source)}` raises {kind.__name__}: {_line(str(error))}"


def example_fault(reference: Callable, answer: Callable) -> str | None:
    """What the example in the docstring of the reference gives with the answer in its place, where
    that is not what the docstring says; None where all is well.

    >>> def double(x):
    ...     '''>>> double(3)
    ...     6
    ...     '''
    >>> example_fault(double, lambda x: x + x)
    >>> example_fault(double, lambda x: x * x)
    'the example in the docstring fails: `double(3)` gives 9 instead of 6'
    """
    name = reference.__name__
    module = sys.modules.get(reference.__module__)
    known = {**(vars(module) if module else {}), name: answer}
    examples = doctest.DocTestParser().get_doctest(reference.__doc__ or "", known, name, None, 0)
    runner = _Runner()
    runner.run(examples, out=lambda text: None)
    return runner.fault and f"the example in the docstring fails: {runner.fault}"


def _line(text: str, most: int = 150) -> str:
    text = " ".join(text.split())
    return text if len(text) <= most else f"{text[: most - 1]}…"
