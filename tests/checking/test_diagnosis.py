"""A mistake is named only where it explains everything; else the student reads the smallest input
that fails. And of the known wrong answers nearly all are named.
"""

import ast
import re
from functools import cache

import pytest
import torch
from answers import DIFFERS, RAISED, wrong_answers

from conftest import ROOT
from course_utils.checking import Exercises, expect
from course_utils.checking.diagnosis import pattern
from course_utils.exercises import catalog

SEEDS = range(3)
NAMED = 0.95  # of a room's known wrong answers, at least
IN_ALL = 0.98  # of all of them


def exercise_of(reference, check, **more):
    exercises = Exercises()
    exercises.add(reference, difficulty=1, minutes=1, hints=["a", "b"], **more)(check)
    return exercises[0]


# --- When a mistake is named ----------------------------------------------------------------------


def double(n):
    return 2 * n


def square(n):
    return n * n


def squares(student, rng):
    """On 2 the double looks like the square."""
    for n in (2, rng.randrange(5, 50), rng.randrange(50, 99)):
        expect(student(n), n * n, f"square({n})", mistakes={"you doubled": 2 * n})


def test_a_mistake_that_explains_all_is_named():
    message = exercise_of(square, squares).grade(double, 1).message
    assert re.fullmatch(r"square: square\(\d+\): you doubled\. Expected \d+, got \d+\.", message)


def sevens_and_doubles(n):
    return 4 if n == 3 else 7


def triples(student, rng):
    expect(student(3), 9, "triple(3)", mistakes={"you added one": 4})
    n = rng.randrange(10, 99)
    expect(student(n), 3 * n, f"triple({n})", mistakes={"you added one": n + 1})


def triple(n):
    return 3 * n


def test_what_fits_by_chance_on_one_input_is_not_accused():
    """The first input alone looks like the mistake; the others say that it is another one."""
    message = exercise_of(triple, triples).grade(sevens_and_doubles, 1).message
    assert "you added one" not in message
    assert re.search(r"triple\(\d+\): expected \d+, got \d+\.", message)


def one_input_only(student, rng):
    expect(student(3), 9, "triple(3)", mistakes={"you added one": 4})


def test_one_input_is_not_enough():
    message = exercise_of(triple, one_input_only).grade(lambda n: n + 1, 1).message
    assert "you added one" not in message


def ambiguous(student, rng):
    for n in (rng.randrange(10, 50), rng.randrange(50, 99)):
        expect(
            student(n), 3 * n, f"triple({n})", mistakes={"you added one": n + 1, "or this": n + 1}
        )


def test_two_mistakes_that_both_fit_are_not_named():
    message = exercise_of(triple, ambiguous).grade(lambda n: n + 1, 1).message
    assert "you added one" not in message and "or this" not in message


def test_of_two_mistakes_in_two_corners_the_one_that_shows_first_is_named():
    def check(student, rng):
        for n in (rng.randrange(10, 50), rng.randrange(50, 99)):
            expect(student(n), 3 * n, f"triple({n})", mistakes={"you added one": n + 1})
        for n in (rng.randrange(-50, -10), rng.randrange(-99, -50)):
            expect(student(n), 3 * n, f"triple({n})", mistakes={"negative": n + 1})

    message = exercise_of(triple, check).grade(lambda n: n + 1, 1).message
    assert "you added one" in message and "negative" not in message


def test_a_mistake_that_would_have_shown_where_the_answer_is_right_is_not_named():
    """It doubles only large numbers: `you doubled` is not what is wrong."""

    def check(student, rng):
        for n in (rng.randrange(5, 9), rng.randrange(50, 70), rng.randrange(70, 99)):
            expect(student(n), n * n, f"square({n})", mistakes={"you doubled": 2 * n})

    answer = exercise_of(square, check).grade(lambda n: 2 * n if n > 40 else n * n, 1)
    assert answer.passed is False and "you doubled" not in answer.message


def plain_check(student, rng):
    for n in (rng.randrange(5, 50), rng.randrange(50, 99)):
        expect(student(n), 3 * n, f"triple({n})")


def test_a_function_that_makes_the_mistake_names_it_too():
    exercise = exercise_of(triple, plain_check, mistakes={"you added three": lambda n: n + 3})
    assert "you added three" in exercise.grade(lambda n: 3 + n, 1).message
    assert "you added three" not in exercise.grade(lambda n: 4 + n, 1).message


def without_table(n):
    return {}[n]


def other_table(n):
    return {1: 3}[n]


def short_list(n):
    return [3][n]


def test_a_function_that_raises_as_the_answer_does_names_it():
    exercise = exercise_of(triple, plain_check, mistakes={"there is no table": without_table})
    assert "there is no table" in exercise.grade(other_table, 1).message
    assert "there is no table" not in exercise.grade(short_list, 1).message


def test_numbers_in_a_sentence_do_not_make_it_another():
    assert pattern("over dim=0 of 3") == pattern("over dim=-1 of 2")
    assert pattern("over dim=0") != pattern("over rows=0")


# --- What is said where none is -------------------------------------------------------------------


def center(x):
    return x - x.mean(-1, keepdim=True)


def centers(student, rng):
    generator = torch.Generator().manual_seed(rng.randrange(2**31))
    for shape in ((7, 9), (3, 4, 5)):
        x = torch.randn(shape, generator=generator)
        expect(student(x), center(x), f"center(x) with x of shape {shape}")


def test_the_smallest_input_that_fails_is_shown_whole():
    message = exercise_of(center, centers).grade(lambda x: x - x.mean(), 1).message
    assert re.fullmatch(
        r"center: center\(\[+-?\d\.\d.*\]+\): expected \[.*\], got \[.*\]\.", message
    )
    shown = ast.literal_eval(re.search(r"center\((\[.*?\])\): ", message)[1])
    assert torch.tensor(shown).numel() <= 2


def test_the_smallest_input_is_one_on_which_the_answer_is_really_wrong():
    """Rows of up to four are right, five are not: then five are shown."""

    def answer(x):
        return center(x) if x.size(-1) < 5 else x

    message = exercise_of(center, centers).grade(answer, 1).message
    shown = ast.literal_eval(re.search(r"center\((\[.*?\])\): ", message)[1])
    assert torch.tensor(shown).numel() == 5


def test_an_input_is_not_made_smaller_where_the_stub_forbids_it():
    message = exercise_of(center, centers, sizes=False).grade(lambda x: x - x.mean(), 1).message
    assert "Tensor of shape (3, 4, 5)" in message


def refuses_small(x):
    if x.size(-1) < 5:
        raise ValueError("too few")
    return center(x)


def test_what_the_reference_refuses_is_not_shown():
    message = exercise_of(refuses_small, centers).grade(lambda x: x - x.mean(), 1).message
    assert re.search(r"refuses_small\(Tensor of shape \((1, 2|2, 1), 5\)\): ", message), message


def throws(student, rng):
    """The expected value is the checker's own, not the reference's: draws in another order."""
    expect(student(rng.random()), 0.5, "throw(source)")


def test_no_smaller_input_where_the_reference_says_nothing_about_it():
    message = exercise_of(triple, throws).grade(lambda n: 0.25, 1).message
    assert message == "triple: throw(source): expected 0.5, got 0.25."


def fails_inside(x):
    rows = x.unbind(0)
    return torch.stack([row - rows[len(rows)] for row in rows])


def test_an_error_is_shown_with_its_line():
    message = exercise_of(center, centers).grade(fails_inside, 1).message
    assert (
        "raised IndexError: tuple index out of range, in the line `return torch.stack(" in message
    )


def loses(x):
    return center(x).squeeze()


def test_a_lost_dimension_of_size_1_is_called_so():
    assert "a dimension of size 1 is lost" in exercise_of(center, centers).grade(loses, 1).message


# --- The known wrong answers ----------------------------------------------------------------------


@cache
def messages(name):
    """(wrong answer, what each seed's check says of it) of an exercise."""
    room, _, short = name.partition(".")
    exercise = catalog.find(name)
    return [
        (answer, [exercise.grade(answer, seed).message for seed in SEEDS])
        for answer in wrong_answers(room)[short]
    ]


def test_every_wrong_answer_gets_the_words_that_it_names(exercise):
    for answer, said in messages(exercise):
        for message in said:
            assert answer.says in message, f"{answer.__name__}: {message}"


def unnamed_in(*rooms):
    """(all, those without a sentence of their own) of the wrong answers of some rooms."""
    answers = [a for room in rooms for few in wrong_answers(room).values() for a in few]
    return answers, [a.__name__ for a in answers if a.says in (DIFFERS, RAISED)]


@pytest.mark.parametrize("room", catalog.topics)
def test_nearly_all_wrong_answers_are_named(room):
    answers, unnamed = unnamed_in(room)
    assert answers and 1 - len(unnamed) / len(answers) >= NAMED, unnamed


def test_nearly_all_of_all_are_named():
    answers, unnamed = unnamed_in(*catalog.topics)
    assert len(answers) > 1300 and 1 - len(unnamed) / len(answers) >= IN_ALL


def test_a_function_that_makes_a_mistake_gets_its_own_sentence(exercise):
    asked = catalog.find(exercise)
    for sentence, mistake in asked.mistakes.items():
        for seed in SEEDS:
            result = asked.grade(mistake, seed)
            assert result.passed is False and sentence in result.message, result


@pytest.mark.parametrize("room", catalog.topics)
def test_every_sentence_is_reached_by_a_wrong_answer(room):
    said = [
        message
        for name in catalog.names()
        if name.startswith(f"{room}.")
        for _, few in messages(name)
        for message in few
    ]
    sentences = sentences_in(ROOT / "course_utils" / room / "exercises.py")
    assert sentences
    assert [
        (line, parts)
        for line, parts in sentences
        if not any(re.search(".*?".join(map(re.escape, parts)), message) for message in said)
    ] == []


def sentences_in(path):
    """(line, literal parts) of every sentence in a checker: keys of mistakes, and what `Wrong` is
    given.
    """
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Dict):
            values = [key for key in node.keys if key is not None]
        elif isinstance(node, ast.DictComp):
            values = [node.key]
        elif isinstance(node, ast.Assign):
            values = [t.slice for t in node.targets if isinstance(t, ast.Subscript)]
        elif isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Wrong":
            values = node.args[:1]
        else:
            continue
        for value in values:
            branches = (value.body, value.orelse) if isinstance(value, ast.IfExp) else (value,)
            found += [(node.lineno, parts_of(branch)) for branch in branches]
    return [(line, parts) for line, parts in found if sum(len(p.split()) for p in parts) >= 3]


def parts_of(node):
    """The literal parts of a text, between what is filled in."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return [node.value]
    if not isinstance(node, ast.JoinedStr):
        return []
    parts = [""]
    for value in node.values:
        if isinstance(value, ast.Constant):
            parts[-1] += value.value
        else:
            parts.append("")
    return parts
