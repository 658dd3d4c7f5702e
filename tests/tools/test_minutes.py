"""How long a lesson is: computed from its words, its cells and its exercises."""

import pytest
from lint import TEACHING, lint
from minutes import MOST, length_of, promised, words_in
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from course_utils.exercises import catalog

PICTURE = new_output("display_data", data={"image/png": "AAAA", "text/plain": "a picture"})


def cell(source, *tags, outputs=()):
    return new_code_cell(source, metadata={"tags": list(tags)}, outputs=list(outputs))


def test_words_leave_out_addresses_remarks_and_the_list_of_reading():
    text = "Two [words here](https://example.org/a/b) <!-- speaker: not these -->\n\n## Further reading\n\n- A paper"
    assert words_in(text) == 3


def test_minutes_are_words_cells_pictures_and_exercises():
    nb = new_notebook(
        cells=[
            new_markdown_cell("word " * 360),
            cell("x = 1\ny = 2"),
            cell("# @title Seen\nshow(fig)", "display", outputs=[PICTURE]),
            cell("# @title Not seen\nclaims.expect()", "display"),
            cell("def top_k():\n    ...", "exercise"),
            cell('top_k = check("sampling.top_k", top_k)', "check"),
        ]
    )
    found = length_of(nb)
    work = catalog.find("sampling.top_k").minutes
    assert (found.cells, found.words, found.minutes) == (6, 360, 2 + 1 + work)
    assert found.lines == 5  # the display cells' lines are folded away


def test_the_promise_is_read_from_the_opening():
    nb = new_notebook(cells=[new_markdown_cell("**Time.** About 85 minutes to read and do.")])
    assert promised(nb) == 85
    assert promised(new_notebook(cells=[new_markdown_cell("Some hours.")])) is None


# --- What a student sees, and what is sound --------------------------------------------------------

OPENING = "# A\n\n**Time.** About 1 minutes to read and do."
PREDICTED = new_output(
    "display_data",
    data={
        "application/vnd.course.prediction+json": {"name": "a.b", "measured": ""},
        "text/plain": "",
    },
)
ASKED = [cell(f'# @title Ask {n}\npredict("a.{n}", "?", ["x", "y"])', "display") for n in "bcd"] + [
    cell(f'# @title Say {n}\nreveal("a.{n}", "x")', "display") for n in "bcd"
]


def said(*cells, opening=OPENING):
    nb = new_notebook(cells=[new_markdown_cell(opening), *cells, *ASKED])
    return [message for rule in TEACHING for message in rule(nb)]


def test_a_good_one_passes():
    assert said() == []


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ([cell("show(fig, alt)")], "show belongs in a display cell"),
        ([cell("show(fig, alt)", "display")], "begins with `# @title …`"),
        ([cell("# @title Work\nx = 1", "display")], "what teaches is not folded away"),
        ([cell("# @title T\nexplore(f)\nprint(x)", "display")], "its view is not shown"),
        ([cell("# @title T\nview = explore(f)\nprint(x)", "display")], "its view is not shown"),
        ([cell("# @title T\nexplore(f)\nassert x", "display")], "its view is not shown"),
        (
            [cell("# @title T\nx = 1\nshow(fig)", "display"), cell("print(x)")],
            "x comes from the display cell 2",
        ),
        (
            [cell('# @title T\npredict("a.z", "?", ["x", "y"])', "display")],
            "a.z is asked or revealed",
        ),
        ([cell("f(1)", outputs=[PREDICTED])], "is none of its options"),
        (
            [
                cell(
                    'if x:\n    reveal("a.a", 1)',
                    "display",
                    outputs=[new_output("stream", name="stdout", text="1\n")],
                )
            ],
            "is shown nowhere",
        ),
        ([cell("x = 1\n" * 26)], "visible code cells have a median of"),
        ([new_markdown_cell("word " * 2300)], "words; 2200 at most"),
        (
            [
                cell(
                    "print(a == b)",
                    outputs=[new_output("stream", name="stdout", text="yes: True\n")],
                )
            ],
            "it prints True or False",
        ),
        ([cell('claims.add("X1", "c")')], "sets criterion and measurement at once"),
        ([cell('# @title T\nclaims.measure("X1", 3)', "display")], "before its criterion is set"),
        (
            [cell("# @title T\nshow(fig)", "display"), new_markdown_cell("The loss falls.")],
            "'falls' compares, and the cell of the figure asserts nothing",
        ),
    ],
)
def test_a_fault_is_noticed(cells, message):
    assert [line for line in said(*cells) if message in line], said(*cells)


def test_a_promise_that_is_off_is_noticed():
    assert any("promises 30 minutes" in m for m in said(opening=OPENING.replace("1 min", "30 min")))
    assert any("does not say `About N" in m for m in said(opening="# A"))


def test_predictions_are_at_least_three():
    nb = new_notebook(cells=[new_markdown_cell(OPENING), ASKED[0], ASKED[3]])
    assert any("1 predictions" in m for rule in TEACHING for m in rule(nb))


def test_every_lesson_is_held_to_them():
    nb = new_notebook(cells=[new_markdown_cell(OPENING), cell("show(fig, alt)")])
    assert {message for rule in TEACHING for message in rule(nb)} <= set(lint(nb))
    assert any("belongs in a display cell" in message for message in lint(nb))
    assert MOST["minutes"] == 90
