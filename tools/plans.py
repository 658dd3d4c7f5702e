"""The plan of a lesson for who teaches it: minutes, what to show, what to ask, which mistakes come.

All of it is read from the executed notebook and from the exercises, so that a plan is never older
than its lesson. `make instructor` writes it beside the solved notebook.
"""

import copy
import re
from collections.abc import Callable
from dataclasses import dataclass, field

import minutes
from cells import calls, checked, code_cells, form_title, tags, tree
from layout import heading, kind, level, title
from lecture import lecture
from lint import PREDICTION
from nbformat import NotebookNode
from nbformat.v4 import new_markdown_cell, new_notebook

from course_utils.checking.engine import Exercise

VIEWS = {"explore", "live"}  # the calls that show a view
MISTAKES = 6


@dataclass
class Section:
    """A section of a lesson. minutes: of the lecture, without exercises; views, figures: lines that
    name cells; asks, tasks: names of predictions and of exercises.
    """

    title: str
    minutes: float = 0
    views: list[str] = field(default_factory=list)
    figures: list[str] = field(default_factory=list)
    asks: list[str] = field(default_factory=list)
    tasks: list[str] = field(default_factory=list)


def plan(nb: NotebookNode, find: Callable[[str], Exercise]) -> NotebookNode:
    """The plan of an executed notebook, as a notebook of one cell. `find` gives the Exercise for a
    `topic.name`.
    """
    sections = sections_of(nb, find)
    exercises = {name: find(name) for name in checked(nb)}
    talk = sum(section.minutes for section in sections)
    work = sum(exercise.minutes for exercise in exercises.values())
    shown = [line for section in sections for line in section.views or section.figures[:1]]
    parts = [
        f"# Lesson plan: {title(nb.cells)}",
        f"Alone, a student needs about {minutes.length_of(nb, find).minutes} minutes. In a class: {talk:.0f} minutes of lecture "
        f"(`make slides`) and {work} minutes of exercises. If time is short, show the views, ask the questions, and leave "
        "the exercises of difficulty 3 for home.",
        "## The course of the lesson",
        _timetable(sections, exercises),
        "## What to show",
        "The numbers are those of the saved notebook's cells. Where a cell is a view, move its controls before you explain.",
        "\n".join(f"- {line}" for line in shown),
        "## What to ask",
        "Everybody chooses before you go on; the letter in brackets is what the lesson measures.",
        *(f"**{number}.** {question}" for number, question in enumerate(questions(nb).values(), 1)),
        "## Usual mistakes",
        f"What the checkers say of likely answers, at most {MISTAKES} for each exercise.",
        *map(_mistakes, exercises.values()),
    ]
    return new_notebook(cells=[new_markdown_cell("\n\n".join(parts), id="plan")])


def sections_of(nb: NotebookNode, find: Callable[[str], Exercise]) -> list[Section]:
    """The sections of a lesson, each with the minutes of its slides and with what happens in it."""
    wanted = {name.rpartition(".")[2]: name for name in checked(nb)}
    sections = [Section("Opening")]
    for piece in lecture(copy.deepcopy(nb.cells), find):  # a lecture rewrites its cells
        if level(piece) == 2 and kind(piece) != "notes":
            sections.append(Section(heading(piece)))
        now = sections[-1]
        now.minutes += piece.metadata.get("minutes", 0)
        if piece.cell_type != "code":
            continue
        defined = [getattr(node, "name", None) for node in tree(piece.source).body]
        now.tasks += [
            wanted[name] for name in defined if "exercise" in tags(piece) and name in wanted
        ]
        now.asks += _asked(piece)
        line = f"In [{piece.execution_count}]: {form_title(piece)}"
        if {name for name, _ in calls(piece.source)} & VIEWS:
            now.views.append(f"{line} (a view)")
        elif any("image/png" in output.get("data", {}) for output in piece.outputs):
            now.figures.append(line)
    return [section for section in sections if section.minutes or section.tasks]


def questions(nb: NotebookNode) -> dict[str, str]:
    """Each prediction of a lesson, in the order in which it is asked: {name: question, options,
    [the letter that was measured]}.
    """
    outputs = [output.get("data", {}) for cell in code_cells(nb) for output in cell.outputs]
    measured = {
        data[PREDICTION]["name"]: data[PREDICTION]["measured"]
        for data in outputs
        if PREDICTION in data
    }
    found = {}
    for cell in code_cells(nb):
        for name, text in _asked(cell).items():
            question, *options = text.removeprefix("Predict: ").splitlines()
            choices = ", ".join(option.strip() for option in options)
            found[name] = f"{question} *{choices}* [{measured.get(name) or '?'}]"
    return found


def _asked(cell: NotebookNode) -> dict[str, str]:
    """{name: text} of the predictions that a cell's output shows."""
    return {
        match[1]: output.data["text/plain"]
        for output in cell.outputs
        if (
            match := re.search(
                r'class="course-predict" data-name="([^"]+)"',
                output.get("data", {}).get("text/html", ""),
            )
        )
    }


def _timetable(sections: list[Section], exercises: dict[str, Exercise]) -> str:
    rows = ["| section | lecture | exercises | questions |", "|---|---|---|---|"]
    for section in sections:
        work = [exercises[name] for name in section.tasks]
        tasks = ", ".join(f"`{e.name}` ({e.minutes} min, difficulty {e.difficulty})" for e in work)
        rows.append(
            f"| {section.title} | {section.minutes:.0f} min | {tasks} | {len(section.asks) or ''} |"
        )
    return "\n".join(rows)


def _mistakes(exercise: Exercise) -> str:
    lines = [f"- {mistake}" for mistake in list(exercise.mistakes)[:MISTAKES]] or [
        "- none is named"
    ]
    return "\n".join([f"**{exercise.name}**", "", *lines])
