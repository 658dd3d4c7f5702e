"""Slides: what stands on the wall, what the speaker says, and that every lesson is a lecture."""

import re

import common
import layout
import lecture
import minutes
import pytest
from common import pair_of, sources
from nbformat.v4 import new_code_cell, new_markdown_cell, new_output

from course_utils.exercises import catalog

QUESTION = '<fieldset class="course-predict" data-name="a.b"></fieldset>'


def prose(text, **metadata):
    return new_markdown_cell(text, metadata=metadata)


def code(source, *tags, output=None):
    outputs = [] if output is None else [new_output("stream", text=output)]
    return new_code_cell(source, metadata={"tags": list(tags)}, outputs=outputs)


def asked():
    data = {"text/html": QUESTION, "text/plain": "Predict: …"}
    return new_code_cell("# @title ?", metadata={"tags": ["display"]}, outputs=[new_output("display_data", data=data)])  # fmt: skip


def given(*cells):
    """(what stands on slides, what is in the notes), as texts."""
    pieces = lecture.lecture(list(cells), catalog.find)
    notes = [piece.source for piece in pieces if layout.kind(piece) == "notes" and piece.source]
    return [piece.source for piece in pieces if layout.kind(piece) != "notes"], notes


def slides_of(cells):
    """The pieces of each slide, without notes."""
    pieces = layout.arrange(lecture.lecture(list(cells), catalog.find))
    found = []
    for piece in pieces:
        if layout.kind(piece) in ("slide", "subslide"):
            found.append([])
        if layout.kind(piece) != "notes":
            found[-1].append(piece)
    return found


@pytest.mark.parametrize(
    ("paragraph", "sentence"),
    [
        ("Heads look. How far do they look? Far.", "How far do they look?"),
        ("**Move it.** Then see.", "**Move it.** Then see."),
        ("**Question.** A is b. Is c d?", "**Question.** Is c d?"),
        ("One thing. A **head** is a map. Two.", "A **head** is a map."),
        ("See Fig. 3 of Ba et al. (2016), e.g. there. Next.", "See Fig. 3 of Ba et al. (2016), e.g. there."),
        ("With 1.5 nats it is $a. B$ and ends. Next.", "With 1.5 nats it is $a. B$ and ends."),
        ("No end", "No end"),
    ],
)  # fmt: skip
def test_the_sentence_that_a_paragraph_is_about(paragraph, sentence):
    assert lecture.leading(paragraph) == sentence


def test_a_slide_has_formulas_lists_and_leading_sentences_and_the_notes_have_everything():
    text = "## A\n\nFirst one. Second one.\n\n$$x = 1$$\n\nA third.\n\n- p\n- q\n\nIs it so? Yes."
    [shown], [notes] = given(prose(text))
    assert shown == "## A\n\nFirst one.\n\n$$x = 1$$\n\n- p\n- q\n\nIs it so?"
    assert notes == text


def test_short_prose_stands_as_it_is_and_needs_no_notes():
    assert given(prose("Only this.")) == (["Only this."], [])


def test_the_opening_keeps_the_question_and_loses_setup_hints_and_progress():
    shown, _ = given(
        prose("# 00 · T\n\n**What is it?** You see.\n\n**Time.** Long.\n\n- a list"),
        prose("Run this."),
        code("1", "setup"),
        code('hint("attention.softmax")'),
        prose("Text.\n\nHow far you got:"),
        code('progress("attention")', output="0 of 9"),
        prose("## Further reading\n\n- A paper"),
    )
    assert shown == ["# 00 · T\n\n**What is it?**", "Text."]


def test_an_exercise_is_its_signature_and_the_speaker_has_hints_and_solution():
    stub = 'def softmax(x, dim=-1):\n    """Turn scores into weights. They sum to 1.\n\n    x: (T,)\n    """\n    ...'
    shown, notes = given(
        code(stub, "exercise"), code('softmax = check("attention.softmax", softmax)', "check")
    )
    assert shown == ['def softmax(x, dim=-1):\n    """Turn scores into weights."""\n    ...']
    assert "difficulty" in notes[-1] and "Hint 1" in notes[-1] and "def softmax" in notes[-1]


def test_long_code_is_the_speakers_and_its_output_stays():
    long = "\n".join(f"x = {n}" for n in range(13))
    [piece, notes] = lecture.lecture([code(long, output="12")], catalog.find)
    assert piece.metadata.transient.remove_source and piece.outputs[0].text == "12"
    assert long in notes.source
    assert given(code(long)) == ([], [f"```python\n{long}\n```"])


def test_the_answer_never_stands_below_its_question():
    shown = slides_of([prose("## A"), asked(), code("1", output="1"), prose("So it is.")])
    assert [len(slide) for slide in shown] == [2, 2]


def test_what_is_said_of_an_output_stays_with_it_and_the_next_question_does_not():
    cells = [prose("## A"), code("1", output="1"), prose("So it is one.\n\nAnd now?"), code("2")]
    assert [[piece.source for piece in slide] for slide in slides_of(cells)] == [
        ["## A", "1", "So it is one."],
        ["And now?", "2"],
    ]


def test_prose_before_an_exercise_stands_with_it():
    cells = [prose("## A"), code("1", "exercise"), prose("A word.\n\n### Exercise 1 · b"), code("def f(): ...", "exercise")]  # fmt: skip
    assert [len(slide) for slide in slides_of(cells)] == [2, 3]


def test_the_speakers_remarks_and_the_authors_choice():
    shown, notes = given(
        prose("Look.\n<!-- speaker: Ask first.\nThen show. -->\nNow predict."),
        prose("One. Two. Three.", slideshow={"slide_type": "slide"}),
        prose("Left out.", slideshow={"slide_type": "skip"}),
        prose("Say this.", slideshow={"slide_type": "notes"}),
    )
    assert shown == ["Look.", "One. Two. Three."]
    assert notes == ["Look.\nNow predict.", "Ask first.\nThen show.", "Say this."]


def test_the_claims_table_is_short_and_the_reasons_are_the_speakers():
    row = {"id": "X1", "claim": "a < b", "published": "1", "measured": "2", "verdict": "differs", "reason": "It fell."}  # fmt: skip
    output = new_output("display_data", data={lecture.CLAIMS: [row], "text/html": "<table>long</table>"})  # fmt: skip
    pieces = lecture.lecture([new_code_cell("claims.show()", outputs=[output])], catalog.find)
    table = pieces[0].outputs[0].data["text/html"]
    assert "a &lt; b" in table and "long" not in table and pieces[1].source == "**X1** It fell."


def test_every_slide_says_its_minutes_and_they_add_up():
    cells = [prose("## A\n\n" + "One two three. " * 100), code("1", output="1"), prose("## B")]
    pieces = lecture.clocked(layout.arrange(lecture.lecture(cells, catalog.find)))
    said = [p.source for p in pieces if "are over" in p.source]
    assert said == [
        "**About 3 min.** After this slide, 3 of 3 minutes are over (exercises not counted).",
        "**Half a minute.** After this slide, 3 of 3 minutes are over (exercises not counted).",
    ]


@pytest.mark.parametrize("source", sources(), ids=lambda source: source.stem)
def test_every_lesson_is_a_lecture(source):
    nb = common.read(pair_of(source))
    whole = [re.sub(r"\s+", " ", lecture.BADGE.sub("", cell.source)) for cell in nb.cells if cell.cell_type == "markdown"]  # fmt: skip
    most = max(45, 0.75 * minutes.length_of(nb).minutes)  # 45 slides an hour
    pieces = lecture.clocked(layout.arrange(lecture.lecture(nb.cells, catalog.find)))
    said = re.sub(r"\s+", " ", " ".join(piece.source for piece in pieces))
    kept = [s for text in whole for s in text.split(". ") if len(s.split()) > 6 and s in said]
    every = [s for text in whole for s in text.split(". ") if len(s.split()) > 6]
    assert len(kept) > 0.85 * len(every), set(every) - set(kept)
    slides = [piece for piece in pieces if layout.kind(piece) in ("slide", "subslide")]
    assert 25 <= len(slides) <= most
    for piece in pieces:
        if piece.cell_type == "code" and layout.OUTPUT not in layout.tags(piece):
            assert sum(bool(line.strip()) for line in piece.source.splitlines()) <= lecture.CODE
