"""The tool that writes exercises into a lesson: one line is enough, and what is stale is
noticed.
"""

from types import SimpleNamespace

import pytest
import stubs
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook


def scaled(x: float, by: float = 2.0) -> float:
    """Return x times a factor.

    >>> scaled(3.0)
    6.0
    """
    return x * by


class Counter:
    """Counts what it is shown."""

    def __init__(self) -> None:
        self.n = 0

    def show(self, things: list) -> None:
        """Count these, too."""
        self.n += len(things)

    def _clear(self) -> None:
        self.n = 0


EXERCISES = {
    "toy.scaled": SimpleNamespace(name="scaled", reference=scaled, difficulty=2, minutes=7),
    "toy.Counter": SimpleNamespace(name="Counter", reference=Counter, difficulty=1, minutes=3),
}
STUB = 'def scaled(x: float, by: float = 2.0) -> float:\n    """Return x times a factor.\n\n    >>> scaled(3.0)\n    6.0\n    """\n    ...'
BOX = "*Difficulty 2 of 3 · 7 minutes*"


def lesson(stub=STUB, box=BOX):
    cells = [
        new_markdown_cell(f"### Exercise 1 · scale\n\n{box}\n\nMultiply."),
        new_code_cell(stub, metadata={"tags": ["exercise"]}),
    ]
    return new_notebook(
        cells=[
            *cells,
            new_code_cell('scaled = check("toy.scaled", scaled)', metadata={"tags": ["check"]}),
        ]
    )


def test_an_exercise_that_is_up_to_date_stays_as_it_is():
    nb = lesson()
    before = [cell.source for cell in nb.cells]
    assert stubs.refresh(nb, EXERCISES.get) == [] and [cell.source for cell in nb.cells] == before


@pytest.mark.parametrize(
    ("spoiled", "said"),
    [
        (lesson(stub=STUB.replace("2.0)", "3.0)")), "stub"),
        (lesson(stub=STUB.replace("a factor", "two")), "stub"),
        (lesson(stub=STUB.replace("...", "return x")), "stub"),
        (lesson(box="*Difficulty 1 of 3 · 7 minutes*"), "difficulty"),
        (lesson(box=""), "difficulty"),
    ],
)
def test_what_is_stale_is_said_and_written_anew(spoiled, said):
    found = stubs.refresh(spoiled, EXERCISES.get)
    assert len(found) == 1 and said in found[0]
    assert spoiled.cells[1].source == STUB and spoiled.cells[0].source.count(BOX) == 1
    assert stubs.refresh(spoiled, EXERCISES.get) == []


def test_one_line_makes_an_exercise():
    nb = new_notebook(
        cells=[
            new_markdown_cell("### Exercise 1 · count"),
            new_code_cell('Counter = check("toy.Counter", Counter)'),
            new_code_cell('scaled = check("toy.scaled", scaled)'),
        ]
    )
    assert len(stubs.refresh(nb, EXERCISES.get)) == 4
    kinds = [(cell.cell_type, *cell.metadata.get("tags", [])) for cell in nb.cells]
    assert kinds == [("markdown",), ("code", "exercise"), ("code", "check")] * 2
    assert nb.cells[0].source.endswith("*Difficulty 1 of 3 · 3 minutes*")
    assert nb.cells[4].source == STUB and '# solution("toy.scaled")' in nb.cells[5].source
    assert (
        nb.cells[1].source.count("...") == 2
        and "_clear" not in nb.cells[1].source
        and "+=" not in nb.cells[1].source
    )
    assert stubs.refresh(nb, EXERCISES.get) == []


def test_a_class_keeps_the_methods_that_its_stub_gives():
    given = 'class Counter:\n    """Counts."""\n\n    def __init__(self) -> None:\n        self.n = 0\n\n    def show(self, things: list) -> None:\n        ...'
    written = stubs.stub_of(Counter, given)
    assert (
        "self.n = 0" in written
        and '"""Count these, too."""' in written
        and written.count("...") == 1
    )


def test_a_check_whose_result_nobody_keeps_is_assigned():
    nb = new_notebook(
        cells=[new_markdown_cell("### One"), new_code_cell('check("toy.scaled", scaled)')]
    )
    assert "toy.scaled: what its check gives is not assigned" in stubs.refresh(nb, EXERCISES.get)
    assert nb.cells[-1].source.startswith('scaled = check("toy.scaled", scaled)')
