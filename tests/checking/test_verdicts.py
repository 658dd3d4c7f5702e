"""What `check` gives back and says, and what `progress` shows."""

import re

import pytest
from kernels import Kernel, error_of

from conftest import ROOT
from course_utils.checking import Catalog, Exercises, Wrong

EXERCISES = Exercises()


def double(x):
    return 2 * x


class Counter:
    """Counts.

    >>> Counter().add(2)
    2
    """

    def add(self, n):
        return n


@EXERCISES.add(double, difficulty=1, minutes=3, hints=["a", "b"])
def check_double(student, rng):
    x = rng.randrange(3, 999)
    if student(x) != 2 * x:
        raise Wrong(f"double({x}) is {2 * x}, not {student(x)}")


@EXERCISES.add(Counter, difficulty=1, minutes=4, hints=["a", "b"])
def check_counter(student, rng):
    if student().add(3) != 3:
        raise Wrong("three is three")


@pytest.fixture
def toys():
    return Catalog(lambda room: EXERCISES, lambda: ["toy"])


def stub(x): ...


def twice(x):
    return x + x


def thrice(x):
    return 3 * x


class Mine:
    def add(self, n):
        return n


# --- What is given back ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "answer"),
    [("toy.double", twice), ("toy.double", lambda x: x * 2), ("toy.Counter", Mine)],
    ids=["function", "lambda", "class"],
)
def test_an_answer_that_passes_comes_back_as_it_is(toys, capsys, name, answer):
    assert toys.check(name, answer) is answer
    assert capsys.readouterr().out.endswith("all checks pass. The lesson goes on with yours.\n")


@pytest.mark.parametrize("answer", [stub, thrice, 3, None, "x"])
def test_in_the_place_of_any_other_answer_the_courses_own_comes_back(toys, capsys, answer):
    assert toys.check("toy.double", answer) is double
    assert capsys.readouterr().out.endswith("goes on with the course's own.\n")


def test_the_cell_of_a_check_that_runs_twice_says_the_same_twice(toys, capsys):
    answer = toys.check("toy.double", stub)
    first = capsys.readouterr().out
    assert toys.check("toy.double", answer) is double
    assert capsys.readouterr().out == first
    assert first.startswith("· double: not attempted yet.")


def test_after_a_wrong_answer_the_cell_alone_says_what_to_run_again(toys, capsys):
    answer = toys.check("toy.double", thrice)
    capsys.readouterr()
    toys.check("toy.double", answer)
    assert "Run the cell with your function again" in capsys.readouterr().out
    assert toys.check("toy.double", twice) is twice


def test_a_check_draws_new_numbers_each_time_and_says_how_to_repeat_them(toys, capsys):
    said = set()
    for _ in range(5):
        toys.check("toy.double", thrice)
        said.add(capsys.readouterr().out)
    assert len(said) == 5
    line = said.pop()
    toys.check("toy.double", thrice, seed=int(re.search(r"seed=(\d+)", line)[1]))
    assert capsys.readouterr().out == line


# --- What is shown --------------------------------------------------------------------------------


def shown(*lines):
    """The outputs of cells in a kernel."""
    with Kernel(ROOT) as kernel:
        outputs = [kernel.run(line) for line in lines]
    assert [error_of(few) for few in outputs] == [None] * len(lines)
    return outputs


def test_in_a_notebook_a_verdict_is_a_sentence_and_data_and_is_shown_once():
    [_, [output], [table]] = shown(
        "from course_utils.exercises import check, progress",
        "top_k = check('sampling.top_k', lambda logits, k: logits, seed=5)",
        "progress('sampling')",
    )
    data = output.data["application/vnd.course.check+json"]
    assert output.output_type == "display_data"
    assert output.data["text/plain"].startswith(f"✗ {data['message']} (Again on the same numbers")
    assert (data["name"], data["verdict"], data["seed"]) == ("sampling.top_k", "fails", 5)
    assert data["goes_on_with"] == "the course's"
    rows = table.data["application/vnd.course.progress+json"]
    assert [row["verdict"] for row in rows if row["name"] == "sampling.top_k"] == ["fails"]
    assert {row["verdict"] for row in rows} == {"fails", "open"}
    assert all(row["minutes"] > 0 for row in rows)
    assert table.data["text/html"].count("<tr>") == len(rows) + 1


def test_progress_says_what_passes_what_fails_and_what_is_left(toys, capsys):
    toys.progress("toy")
    assert capsys.readouterr().out.splitlines() == [
        "Your exercises: 2 open. About 7 minutes are left.",
        "  · toy.double, 3 min: open",
        "  · toy.Counter, 4 min: open",
    ]
    toys.check("toy.double", twice)
    toys.check("toy.Counter", 7)
    capsys.readouterr()
    toys.progress()
    assert capsys.readouterr().out.splitlines() == [
        "Your exercises: 1 passes, 1 fails. About 4 minutes are left.",
        "  ✓ toy.double, 3 min: passes",
        "  ✗ toy.Counter, 4 min: fails",
    ]
    toys.check("toy.Counter", Mine)
    capsys.readouterr()
    toys.progress()
    assert capsys.readouterr().out.splitlines()[0] == "Your exercises: 2 passes. Done."


def test_progress_of_nothing_and_of_what_there_is_not(toys, capsys):
    toys.progress()
    assert capsys.readouterr().out == "No exercise was checked yet.\n"
    with pytest.raises(KeyError, match="exercises on toy"):
        toys.progress("dance")
