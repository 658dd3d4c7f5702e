"""Predictions: what is shown live, in a saved run and in a page; what reveal says."""

import ipywidgets as w
import pytest
from bs4 import BeautifulSoup

from course_utils.classroom import predict, predictions, reveal

QUESTION = "What does each row sum to?"
OPTIONS = ["to 1", "to T", "it depends"]
RANGES = {"under half": (0.0, 0.5), "half or more": (0.5, 1.01)}


@pytest.fixture(autouse=True)
def nothing_asked(monkeypatch):
    monkeypatch.setattr(predictions, "_asked", {})


def buttons(asked):
    return next(child for child in asked.box.children if isinstance(child, w.RadioButtons))


def live(monkeypatch, displayed, options=OPTIONS):
    monkeypatch.delenv("COURSE_QUIET", raising=False)
    asked = predict("demo.sum", QUESTION, options)
    displayed(asked._ipython_display_)
    return asked


def test_nothing_is_chosen_beforehand_and_a_click_is_kept(monkeypatch, displayed):
    asked = live(monkeypatch, displayed)
    assert buttons(asked).value is None and asked.chosen is None
    buttons(asked).index = 1
    assert asked.chosen == 1
    assert "You chose B" in asked.box.children[2].value


def test_reveal_sets_the_measurement_beside_the_choice(monkeypatch, displayed):
    asked = live(monkeypatch, displayed)
    assert reveal("demo.sum", "to 1").text == "Measured: A · to 1. You made no prediction."
    buttons(asked).index = 1
    assert reveal("demo.sum", "to 1").text == "Measured: A · to 1. You chose B · to T."
    buttons(asked).index = 0
    assert reveal("demo.sum", "to 1").text == "Measured: A · to 1. You chose A, too."


def test_a_number_falls_into_the_range_of_an_option(monkeypatch, displayed):
    asked = live(monkeypatch, displayed, RANGES)
    buttons(asked).index = 0
    assert reveal("demo.sum", 0.5, ".1f").text == (
        "Measured: B · half or more (0.5). You chose A · under half."
    )
    assert reveal("demo.sum", 7.0).text == "Measured: 7. You chose A · under half."


def test_nothing_stops_a_reader_who_left_the_question_out():
    assert reveal("never.asked", 0.25).text == "Measured: 0.25. You made no prediction."


def test_asked_again_it_keeps_the_choice_as_long_as_the_options_are_the_same(
    monkeypatch, displayed
):
    buttons(live(monkeypatch, displayed)).index = 2
    assert buttons(live(monkeypatch, displayed)).index == 2
    assert live(monkeypatch, displayed, OPTIONS[:2]).chosen is None


def test_a_saved_run_shows_radio_buttons_that_need_no_kernel(displayed):
    [(data, _)] = displayed(predict("demo.sum", QUESTION, OPTIONS)._ipython_display_)
    soup = BeautifulSoup(data["text/html"], "html.parser")
    assert soup.fieldset["data-name"] == "demo.sum" and soup.legend.text == "Predict"
    radios = soup.find_all("input", type="radio")
    assert [radio["value"] for radio in radios] == ["A", "B", "C"]
    assert len({radio["name"] for radio in radios}) == 1
    # a click on the text chooses, and a screen reader reads it with the button
    assert [radio.parent.name for radio in radios] == ["label"] * 3
    assert data["text/plain"].splitlines()[1:] == ["  A · to 1", "  B · to T", "  C · it depends"]


def test_html_in_a_question_is_shown_as_it_is_and_code_as_code():
    asked = predict("demo.x", "Is `x` <b>?", ["<i>", "no"])
    soup = BeautifulSoup(asked.frame.html, "html.parser")
    assert soup.code.text == "x" and not soup.fieldset.p.find("b") and not soup.find("i")
    shown = BeautifulSoup(reveal("demo.x", "<i>").html, "html.parser")
    assert not shown.find("i") and "A · <i>" in shown.text


def test_what_was_chosen_can_be_collected():
    asked = predict("demo.sum", QUESTION, OPTIONS)
    asked.chosen = 2
    assert reveal("demo.sum", "to T").data[predictions.MIME] == {
        "name": "demo.sum",
        "measured": "B",
        "chosen": "C",
    }


@pytest.mark.parametrize(
    ("name", "options", "says"),
    [
        ("sum", OPTIONS, "topic.what"),
        ("demo.sum", ["one"], "two to 6"),
        ("demo.sum", ["one", "one"], "all different"),
        ("demo.sum", list("abcdefg"), "two to 6"),
        ("demo.sum", {"a": (1, 0), "b": (1, 2)}, "low below high"),
    ],
)
def test_bad_input_is_named(name, options, says):
    with pytest.raises(ValueError, match=says):
        predict(name, QUESTION, options)
