"""Every checker passes the reference, fails every wrong answer that people really give, and
survives whatever it is given.
"""

import __future__

import ast
import contextlib
import dataclasses
import inspect
import sys
import textwrap
import threading
import time
from unittest.mock import MagicMock

import pytest
import scope
import torch
from answers import right_answers, wrong_answers

from conftest import ROOT
from course_utils.exercises import catalog

SEEDS = range(20)
# for a right answer: the engine's numbers and the checker's differ from seed to seed
FEW = range(3)
MANY = range(200)
WRONG_ANSWERS, RIGHT_ANSWERS = 6, 3  # at least
# seconds, of the processor and on the clock, for an answer that never comes; enough to see that the
# limit holds
LIMIT = 0.3


def mutants_of(name):
    room, _, short = name.partition(".")
    return wrong_answers(room)[short]


def of(exercise, answer, seeds=SEEDS, explain=True):
    return [catalog.find(exercise).grade(answer, seed, explain) for seed in seeds]


def test_the_reference_passes_on_every_seed(exercise):
    assert [
        str(result)
        for result in of(exercise, catalog.find(exercise).reference)
        if not result.passed
    ] == []


def test_there_are_at_least_six_different_wrong_answers(exercise):
    mutants = mutants_of(exercise)
    assert len({mutant.__name__ for mutant in mutants}) == len(mutants) >= WRONG_ANSWERS


def test_every_wrong_answer_fails_on_every_seed_with_a_sentence(exercise):
    for mutant in mutants_of(exercise):
        # Its mistake is named on three seeds, in test_diagnosis.py; on all of them it must fail.
        results = of(exercise, mutant, explain=scope.FULL)
        assert [
            seed for seed, result in zip(SEEDS, results, strict=True) if result.passed is not False
        ] == [], f"{mutant.__name__} gets through"
        for result in results:
            assert is_a_sentence(result.message), f"{mutant.__name__}: {result.message}"
            assert "NameError" not in result.message, (
                f"{mutant.__name__} is broken, not wrong: {result.message}"
            )


def test_right_answers_of_another_style_pass(exercise):
    """Loops and whole tensors, numpy and torch, einsum, another formula, other numbers inside."""
    room, _, short = exercise.partition(".")
    answers = right_answers(room)[short]
    assert len({answer.__name__ for answer in answers}) == len(answers) >= RIGHT_ANSWERS
    for answer in answers:
        results = of(exercise, answer, MANY if scope.FULL else FEW)
        assert [str(result) for result in results if not result.passed] == [], answer.__name__


def test_the_same_answer_gets_the_same_words(exercise):
    for mutant in mutants_of(exercise)[:3]:
        first, second = of(exercise, mutant, [0, 0])
        assert first == second


def test_every_exercise_says_what_it_takes_and_leads_there_in_steps(exercise):
    asked = catalog.find(exercise)
    assert asked.difficulty in (1, 2, 3) and 1 <= asked.minutes <= 60
    assert len(asked.hints) >= 2 and len(set(asked.hints)) == len(asked.hints)
    assert [hint for hint in asked.hints if not is_a_sentence(hint)] == []


def test_every_topic_of_wrong_answers_names_exercises_that_exist():
    folders = sorted(path.parent.name for path in (ROOT / "tests").glob("*/wrong_answers.py"))
    assert folders == sorted(catalog.topics)
    for room in folders:
        assert [
            name for name in wrong_answers(room) if f"{room}.{name}" not in catalog.names()
        ] == []


def is_a_sentence(text):
    return "\n" not in text and text == text.strip() and len(text.split()) > 3 and len(text) <= 600


# --- Monsters: whatever a student may hand in -----------------------------------------------------


class Hostile:
    """A value that answers no question."""

    def __eq__(self, other):
        raise RuntimeError("no comparison")

    def __repr__(self):
        raise RuntimeError("no words")

    __hash__ = __bool__ = __len__ = __iter__ = __getitem__ = __eq__


class Mute(Exception):
    def __str__(self):
        raise RuntimeError("no words")


def raises(error):
    raise error


def recurses(*args):
    return recurses(*args)


def loops():
    while True:
        pass


def prints():
    for _ in range(2000):
        print("x" * 100)
        print("y" * 100, file=sys.stderr)


def spoils(*args):
    """Empties whatever it was given."""
    for arg in args:
        for change in (lambda a: a.clear(), lambda a: a.zero_(), lambda a: a.__setitem__(0, None)):
            with contextlib.suppress(Exception):
                change(arg)


MONSTERS = {
    "returns nothing": lambda *args: None,
    "returns a text": lambda *args: "a text",
    "returns a number": lambda *args: -12345,
    "returns nan": lambda *args: float("nan"),
    "returns an object": lambda *args: object(),
    "returns a class": lambda *args: int,
    "returns another shape": lambda *args: torch.zeros(7, 1, 3),
    "returns a tensor of nan": lambda *args: torch.full((2, 2), float("nan")),
    "returns an empty list": lambda *args: [],
    "returns a list of lists of nothing": lambda *args: [[None], [None]],
    "returns a dict of nothing": lambda *args: {None: None},
    "returns a generator": lambda *args: (i for i in range(3)),
    "returns what it was given": lambda *args: args,
    "returns what cannot be compared or printed": lambda *args: Hostile(),
    "returns a list of that": lambda *args: [Hostile()],
    "raises an error": lambda *args: raises(ValueError("a reason")),
    "raises an error without words": lambda *args: raises(Mute()),
    "raises a failed assertion": lambda *args: raises(AssertionError()),
    "leaves Python": lambda *args: sys.exit(3),
    "interrupts": lambda *args: raises(KeyboardInterrupt()),
    "stops an iteration": lambda *args: raises(StopIteration()),
    "calls itself forever": recurses,
    "loops forever": lambda *args: loops(),
    "sleeps": lambda *args: time.sleep(1),
    "prints a lot": lambda *args: prints(),
    "spoils its input": spoils,
}
NO_ANSWERS = {
    "nothing": None, "a number": 3, "a text": "def f(): return 1", "a list": [1, 2], "a module": sys, "an object": object(),
    "a built-in": len, "another class": int, "a mock": MagicMock(), "a function of no arguments": lambda: 0, "a hostile object": Hostile(),
}  # fmt: skip


def as_answer(monster, reference):
    """The monster in the reference's clothes: a function that takes anything, or a class all of
    whose methods do.
    """

    def answer(*args, **kwargs):
        return monster(*args, *kwargs.values())

    if not inspect.isclass(reference):
        return answer
    methods = {
        name: answer
        for name, value in vars(reference).items()
        if callable(value) and not name.startswith("_")
    }
    return type(reference.__name__, (), {"__init__": lambda self, *args, **kwargs: None, **methods})


def graded(exercise, answer, wall=60.0):
    """The checker's result, quickly, and with nothing printed past it."""
    return dataclasses.replace(catalog.find(exercise), time_limit=LIMIT, wall_limit=wall).grade(
        answer
    )


@pytest.mark.parametrize("monster", MONSTERS)
def test_a_checker_survives(tried, monster, capfd):
    before = set(threading.enumerate())
    wall = LIMIT if monster == "sleeps" else 60.0
    result = graded(tried, as_answer(MONSTERS[monster], catalog.find(tried).reference), wall)
    assert result.passed is False
    assert is_a_sentence(result.message), result.message
    assert set(threading.enumerate()) - before == set()  # nothing of it is left
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("given", NO_ANSWERS)
def test_a_checker_survives_what_is_no_answer(tried, given):
    result = graded(tried, NO_ANSWERS[given])
    assert result.passed is False
    assert is_a_sentence(result.message), result.message


def test_the_stub_counts_as_not_attempted(exercise):
    reference = catalog.find(exercise).reference
    result = graded(exercise, stub_of(reference))
    assert result.passed is None and "not attempted" in result.message


def stub_of(reference):
    """The reference with every body replaced by `...`, compiled where the reference stands."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(reference)))
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            text = [node.body[0]] if ast.get_docstring(node) is not None else []
            node.body = [*text, ast.Expr(ast.Constant(...))]
    code = compile(
        ast.fix_missing_locations(tree), "stub", "exec", flags=__future__.annotations.compiler_flag
    )
    scope = dict(vars(sys.modules[reference.__module__]))
    exec(code, scope)
    return scope[reference.__name__]
