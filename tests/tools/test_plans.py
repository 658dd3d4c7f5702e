"""Lesson plans: minutes, questions and mistakes are those of the lesson."""

import re

import common
import plans
import pytest
from cells import checked
from common import pair_of, sources
from lecture import lecture

from course_utils.exercises import catalog


@pytest.fixture(scope="module", params=sources(), ids=lambda source: source.stem)
def lesson(request):
    return common.read(pair_of(request.param))


def test_the_minutes_are_those_of_the_slides_and_no_exercise_is_left_out(lesson):
    sections = plans.sections_of(lesson, catalog.find)
    slides = lecture([cell.copy() for cell in lesson.cells], catalog.find)
    told = sum(section.minutes for section in sections)
    assert told == pytest.approx(sum(piece.metadata.get("minutes", 0) for piece in slides))
    assert 15 < told < 60
    assert [name for section in sections for name in section.tasks] == checked(lesson)


def test_every_question_has_its_answer_and_every_lesson_something_to_move(lesson):
    asked = plans.questions(lesson)
    assert len(asked) >= 3
    for question in asked.values():
        options, letter = re.fullmatch(r"(?s).+\*(A · .+)\* \[([A-F])\]", question).groups()
        assert f"{letter} · " in options
    sections = plans.sections_of(lesson, catalog.find)
    assert sorted(name for section in sections for name in section.asks) == sorted(asked)
    assert sum(len(section.views) for section in sections) >= 2


def test_the_plan_says_what_to_do_and_which_mistakes_come(lesson):
    text = plans.plan(lesson, catalog.find).cells[0].source
    for title in ("The course of the lesson", "What to show", "What to ask", "Usual mistakes"):
        assert text.count(f"## {title}\n") == 1
    for name in checked(lesson):
        exercise = catalog.find(name)
        assert (
            f"`{exercise.name}` ({exercise.minutes} min, difficulty {exercise.difficulty})" in text
        )
        mistakes = list(exercise.mistakes)
        assert all(f"- {mistake}" in text for mistake in mistakes[: plans.MISTAKES])
    assert "None" not in re.findall(r"In \[(\w+)\]", text)
