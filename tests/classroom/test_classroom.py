"""The classroom: what it shows survives everywhere, and what it checks survives anything."""

import dataclasses
import json
import math
import random
import threading
import time

import ipywidgets as w
import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch

from course_utils.checking import Catalog, Exercise, expect
from course_utils.checking.compare import Wrong, show_value
from course_utils.classroom import (
    Claims,
    Markup,
    Picture,
    explore,
    generator,
    pick,
    profile,
    progress,
    runtime,
    show,
    subplots,
    token_strip,
)
from course_utils.classroom import widgets as classroom
from course_utils.classroom.claims import MIME, Source

ALT = "A line that rises from zero to two."


def line():
    fig, ax = plt.subplots()
    ax.plot([0, 1, 2])
    return fig


# --- figures --------------------------------------------------------------------------------------


def test_show_attaches_the_alt_text_and_closes_the_figure(displayed):
    fig = line()
    [(data, metadata)] = displayed(lambda: show(fig, ALT))
    assert data["text/plain"] == ALT and metadata["image/png"]["alt"] == ALT and "image/png" in data
    assert not plt.fignum_exists(fig.number)


def test_a_figure_without_a_real_alt_text_is_refused():
    with pytest.raises(ValueError, match="too short"):
        Picture(line(), "plot")
    with pytest.raises(TypeError, match=r"subplots"):
        Picture([1, 2], ALT)


def test_subplots_are_unknown_to_pyplot_and_in_the_house_style():
    before = plt.get_fignums()
    fig, axes = subplots(2, 3, figsize=(6, 4), sharex=True)
    assert (
        plt.get_fignums() == before
        and axes.shape == (2, 3)
        and tuple(fig.get_size_inches()) == (6, 4)
    )
    assert not axes[0, 0].spines["top"].get_visible() and fig.get_layout_engine() is not None


def test_the_alt_text_is_escaped_in_html():
    picture = Picture(line(), 'A "quoted" <b>line</b> that rises & rises.')
    assert 'alt="A &quot;quoted&quot; &lt;b&gt;' in picture.html


def test_the_same_figure_gives_the_same_bytes():
    assert Picture(line(), ALT).data == Picture(line(), ALT).data


def test_a_token_strip_shows_white_space_escapes_and_marks_broken_bytes():
    strip = token_strip(["<b>", " x\n", b"\xe0\xae", "\x00"], [1, 2, 3, 4])
    assert "&lt;b&gt;" in strip.html and "<b></code>" not in strip.html
    assert strip.text == "4 tokens: '<b>' 1, '·x↵' 2, '<E0><AE>' 3, '<U+0000>' 4"
    assert token_strip(["a"] * 9, limit=3).text.endswith("… and 6 more")
    assert token_strip([b" \xf0\x9f"], [torch.tensor(5)]).text == "1 token: '·<F0><9F>' 5"
    with pytest.raises(ValueError):
        token_strip(["a"], ["<img src=x onerror=alert(1)>"])
    with pytest.raises(ValueError, match="one id"):
        token_strip(["a"], [1, 2])


# --- views ----------------------------------------------------------------------------------------


@pytest.fixture
def no_views(monkeypatch):
    monkeypatch.setattr(classroom, "_views", [])


def counting(n):
    return Markup(f"<p>{n}</p>", f"n is {n}")


def test_a_view_in_a_terminal_displays_one_bundle_with_live_view_and_static_frame(
    displayed, no_views, monkeypatch
):
    """What notebooks show, see test_frontend.py."""
    monkeypatch.delenv("COURSE_QUIET")
    [(data, _)] = displayed(lambda: explore(counting, n=w.IntSlider(3, 0, 9))._ipython_display_())
    assert data["text/html"] == "<p>3</p>" and data["text/plain"] == "n is 3"
    assert data[classroom.VIEW]["model_id"]


def test_moving_a_control_redraws(no_views):
    view = explore(counting, n=w.IntSlider(3, 0, 9))
    view.controls["n"].value = 8
    assert view.pane.value == "<p>8</p>" and view.frame.text == "n is 8"


def test_an_error_while_drawing_becomes_an_escaped_sentence_and_keeps_the_last_frame(no_views):
    def picky(text):
        if text == "bad":
            raise ValueError("no <script> here")
        return Markup("<p>fine</p>", "fine")

    view = explore(picky, text=w.Text("ok"))
    view.controls["text"].value = "bad"
    assert view.pane.value == "<p>fine</p>" and "no &lt;script&gt; here" in view.caption.value
    view.controls["text"].value = "good"
    assert view.caption.value == ""


def test_a_view_that_stops_returning_frames_says_so_and_keeps_the_last_one(no_views):
    view = explore(lambda n: Markup("<p>one</p>", "one") if n < 5 else None, n=w.IntSlider(3, 0, 9))
    view.controls["n"].value = 8
    assert view.frame.text == "one" and "NoneType" in view.caption.value
    with pytest.raises(RuntimeError, match="{'n': 8}.*NoneType"):
        classroom.sweep()


def test_explore_refuses_what_is_no_control_and_what_is_no_frame(no_views):
    with pytest.raises(ValueError, match="show"):
        explore(counting)
    with pytest.raises(TypeError, match="IntSlider"):
        explore(counting, n=(0, 9))
    with pytest.raises(TypeError, match="return Picture"):
        explore(lambda n: n, n=w.IntSlider(3, 0, 9))


@pytest.mark.parametrize(
    ("control", "ends"),
    [
        (w.IntSlider(3, 1, 9), {1, 3, 9}),
        (w.FloatLogSlider(1.0, base=10, min=-1, max=1), {0.1, 1.0, 10.0}),
        (w.Dropdown(options=[("one", 1), ("two", 2), ("three", 3)], value=2), {1, 2, 3}),
        (w.Checkbox(True), {True, False}),
        (w.Dropdown(options={"one": 1, "two": 2}), {1, 2}),
        (w.Textarea("hello"), {"", "hello", classroom.AWKWARD}),
        (w.IntRangeSlider(value=(2, 3), min=0, max=9), {(0, 0), (2, 3), (0, 9), (9, 9)}),
    ],
)
def test_the_sweep_reaches_least_default_and_greatest(control, ends, no_views):
    view = explore(lambda x: Markup("<p>.</p>", str(x)), x=control)
    assert {setting["x"] for setting in view.extremes()} == ends


def test_the_sweep_raises_with_the_setting_that_fails(no_views):
    def breaks(n):
        return Markup("<p>.</p>", str(1 / n))

    explore(breaks, n=w.IntSlider(3, 0, 9))
    with pytest.raises(RuntimeError, match=r"breaks\({'n': 0}\): ZeroDivisionError"):
        classroom.sweep()


# --- claims ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("published", "measured", "tolerance", "verdict"),
    [
        (2.0, 2.05, 0.1, "reproduced"),
        (2.0, 2.2, 0.1, "differs"),
        ([1, 2], [1, 2.5], 0.1, "differs"),
        ((1, 2), (1.05, 2), 0.1, "reproduced"),
        (True, True, 0, "reproduced"),
        ("exact", "lossy", 0, "differs"),
        (3, None, 0, "not measurable here"),
        (50_257, torch.tensor(50_257), 0, "reproduced"),
        (True, np.True_, 0, "reproduced"),
        ([1, 2], np.array([1.0, 2.0]), 0, "reproduced"),
    ],
)
def test_the_verdict_follows_from_the_numbers(published, measured, tolerance, verdict):
    claims = Claims("00")
    claims.add(
        "X1",
        "c",
        source="s",
        published=published,
        measured=measured,
        tolerance=tolerance,
        reason="because",
    )
    assert claims.rows[0].verdict == verdict


def test_a_claim_that_differs_needs_its_reason_and_an_id_comes_once():
    claims = Claims("00")
    with pytest.raises(ValueError, match="say why"):
        claims.add("X1", "c", source="s", published=1, measured=2)
    claims.add("X1", "c", source="s", published=1, measured=1)
    with pytest.raises(ValueError, match="one row"):
        claims.add("X1", "another", source="s", published=1, measured=1)
    claims.add("X1", "c", source="s", published=1, measured=2, reason="the cell was run again")
    assert [row.verdict for row in claims.rows] == ["differs"]
    with pytest.raises(ValueError, match="tolerance"):
        claims.add("X3", "c", source="s", published=1, measured=1, tolerance=-1)
    with pytest.raises(ValueError, match="not finite"):
        claims.add("X4", "c", source="s", published="falls", measured=math.nan, holds=True)
    with pytest.raises(ValueError, match="not finite"):
        claims.add("X2", "c", source="s", published=1, measured=math.nan)


def test_the_table_is_shown_as_text_html_and_json(displayed):
    claims = Claims("00")
    claims.add("X1", "a < b", source="s & t", published=1_000, measured=1_001.0, tolerance=5)
    claims.add("X2", "grows", source="s", published="grows", measured="slope 2", holds=True)
    [(data, _)] = displayed(claims.show)
    assert "a &lt; b" in data["text/html"] and "s &amp; t" in data["text/html"]
    assert (
        "X1  REPRODUCED: a < b [s & t]\n    published 1,000 ± 5; measured 1,001"
        in data["text/plain"]
    )
    assert [row["verdict"] for row in data[MIME]] == ["reproduced"] * 2 and json.dumps(data[MIME])


SOURCE = Source("A paper", "section 3", "https://example.org/paper")


def expecting(**how):
    claims = Claims("00")
    claims.expect("X1", "it is 3", source=SOURCE, published=3, **how)
    return claims


@pytest.mark.parametrize(
    ("measured", "verdict"),
    [(3.05, "reproduced"), (3.4, "partly"), (4, "differs"), (None, "not measurable here")],
)
def test_a_number_is_judged_by_the_tolerances_that_were_set_before(measured, verdict):
    claims = expecting(tolerance=0.1, partly=0.5)
    claims.measure("X1", measured, reason="so it is")
    assert claims.rows[0].verdict == verdict


def test_a_relation_is_judged_by_functions_that_were_given_before():
    claims = expecting(
        criterion="every step is lower; partly where the last one is",
        holds=lambda x: x == sorted(x, reverse=True),
        partly=lambda x: x[-1] < x[0],
    )
    for measured, verdict in (
        ([3, 2, 1], "reproduced"),
        ([2, 3, 1], "partly"),
        ([1, 2, 3], "differs"),
    ):
        claims.measure("X1", measured, reason="so it is")
        assert claims.rows[0].verdict == verdict
    assert "counts as reproduced if every step is lower" in claims.text()
    assert "https://example.org/paper" in claims.html()


def test_the_criterion_cannot_change_after_the_measurement():
    claims = expecting(tolerance=0.1)
    claims.measure("X1", 3)
    claims.expect("X1", "it is 3", source=SOURCE, published=3, tolerance=0.1)  # its cell runs again
    with pytest.raises(ValueError, match="cannot change any more"):
        claims.expect("X1", "it is 3", source=SOURCE, published=3, tolerance=5)

    def judged(least):
        claims.expect("X2", "grows", source=SOURCE, published="grows", criterion="c", holds=least)

    judged(lambda x: x > 1)
    claims.measure("X2", 2)
    judged(lambda x: x > 1)
    with pytest.raises(ValueError, match="cannot change any more"):
        judged(lambda x: x > 0)


def test_criteria_are_shown_before_anything_is_measured(displayed):
    claims = expecting(criterion="it is <3", holds=bool)
    claims.expect("X2", "c", source=SOURCE, published=2, tolerance=0.5)
    [(data, _)] = displayed(claims.criteria)
    assert "counts as reproduced if: it is <3" in data["text/plain"]
    assert "within 0.5 of 2" in data["text/plain"] and "it is &lt;3" in data["text/html"]


def test_nothing_is_measured_without_a_criterion():
    with pytest.raises(ValueError, match="has no criterion yet"):
        Claims("00").measure("X1", 3)
    with pytest.raises(ValueError, match="one of the two"):
        expecting()
    with pytest.raises(ValueError, match="say in words"):
        expecting(holds=bool)
    with pytest.raises(ValueError, match="is wider"):
        expecting(tolerance=0.5, partly=0.1)
    with pytest.raises(ValueError, match="say why"):
        expecting(tolerance=0.1).measure("X1", 9)
    with pytest.raises(ValueError, match="not finite"):
        expecting(tolerance=0.1).measure("X1", math.nan)


# --- exercises ------------------------------------------------------------------------------------


def double(x):
    """Twice x."""
    return 2 * x


def check_double(student, rng):
    x = rng.randrange(3, 99)
    expect(student(x), 2 * x, f"double({x})", mistakes={"you squared it": x * x})


EXERCISE = Exercise(
    "double",
    double,
    check_double,
    ["Think.", "Add.", "x + x"],
    difficulty=1,
    minutes=1,
    time_limit=0.3,
)


def forever(x):
    while True:
        pass


def test_the_reference_passes_and_a_stub_is_not_attempted():
    def stub(x):
        """Twice x."""
        ...

    assert EXERCISE.grade(double).passed is True
    assert EXERCISE.grade(stub).passed is None and "not attempted" in EXERCISE.grade(stub).message


def test_a_mistake_is_named():
    assert "you squared it" in EXERCISE.grade(lambda x: x * x).message


def test_a_loop_is_stopped_and_said():
    result = EXERCISE.grade(forever)
    assert result.passed is False and "still running after 0.3 seconds of work" in result.message


def test_what_waits_is_stopped_by_the_clock_and_said():
    result = dataclasses.replace(EXERCISE, wall_limit=0.2).grade(lambda x: time.sleep(1) or 2 * x)
    assert (
        result.passed is False
        and "still running after 0.2 seconds and was stopped" in result.message
    )


def test_a_check_that_waits_for_a_busy_machine_is_not_stopped():
    """It takes four times its limit on the clock, and next to nothing of the processor."""
    assert (
        dataclasses.replace(EXERCISE, time_limit=0.3)
        .grade(lambda x: time.sleep(1.2) or 2 * x)
        .passed
    )


def test_only_the_answers_own_thread_counts():
    """The rest of the program works all the while, as another cell's view may."""
    over = threading.Event()
    other = threading.Thread(target=lambda: [None for _ in iter(over.is_set, True)])
    other.start()
    try:
        passed = (
            dataclasses.replace(EXERCISE, time_limit=0.3)
            .grade(lambda x: time.sleep(1.2) or 2 * x)
            .passed
        )
    finally:
        over.set()
        other.join()
    assert passed


def one_level():
    x = 0
    while True:
        try:
            x += 1
        except:  # noqa: E722
            pass


def two_levels():
    while True:
        try:
            while True:
                pass
        except:  # noqa: E722
            pass


def three_levels():
    while True:
        try:
            while True:
                try:
                    while True:
                        pass
                except:  # noqa: E722
                    pass
        except BaseException:
            pass


def seven_levels(n=6):
    while True:
        try:
            if n:
                seven_levels(n - 1)
            while True:
                pass
        except Exception:
            pass
        except BaseException as error:
            kept = error
            del kept


def with_a_context():
    class Swallows:
        def __enter__(self):
            return self

        def __exit__(self, *error):
            return True

    while True:
        with Swallows():
            while True:
                pass


def with_itself():
    try:
        while True:
            pass
    except:  # noqa: E722
        with_itself()


@pytest.mark.parametrize(
    "answer",
    [one_level, two_levels, three_levels, seven_levels, with_a_context, with_itself],
    ids=lambda f: f.__name__,
)
def test_a_loop_that_swallows_what_ends_it_is_ended_all_the_same(answer):
    before = set(threading.enumerate())
    assert EXERCISE.grade(lambda x: answer()).passed is False
    assert set(threading.enumerate()) - before == set()


def test_where_the_system_has_no_clock_for_a_thread_another_does(monkeypatch):
    """As on macOS and Windows: a wait still costs nothing, and a loop is still stopped."""
    monkeypatch.delattr(time, "pthread_getcpuclockid")
    assert (
        dataclasses.replace(EXERCISE, time_limit=0.3)
        .grade(lambda x: time.sleep(1.2) or 2 * x)
        .passed
    )
    assert "0.3 seconds of work" in EXERCISE.grade(forever).message


class Chimera:
    def __getattr__(self, name):
        return 1

    def __call__(self, x):
        raise Mute


class Mute(Exception):
    def __str__(self):
        raise KeyboardInterrupt


def test_the_strangest_answer_gets_a_sentence():
    assert EXERCISE.grade(Chimera()).passed is False


def test_output_printed_by_an_answer_does_not_reach_the_page(capsys):
    def chatty(x):
        print("debug " * 1000)
        return 2 * x

    assert EXERCISE.grade(chatty).passed and "debug" not in capsys.readouterr().out


def test_an_answer_that_changes_its_argument_is_told_so():
    def check_last(student, rng):
        expect(student([1, 2]), 2, "last([1, 2])")

    exercise = Exercise("last", lambda xs: xs[-1], check_last, ["h"], 1, 1)
    assert "in place" in exercise.grade(lambda xs: xs.pop()).message


def test_hints_go_one_step_further_and_the_solution_is_the_reference(capsys):
    catalog = Catalog(lambda room: [EXERCISE], lambda: ["maths"])
    for _ in range(4):
        catalog.hint("maths.double")
    said = capsys.readouterr().out.splitlines()
    assert [line.split(": ", 1)[1] for line in said] == ["Think.", "Add.", "x + x", "x + x"]
    catalog.solution("maths.double")
    assert "return 2 * x" in capsys.readouterr().out


def test_an_unknown_exercise_lists_what_there_is():
    catalog = Catalog(lambda room: [EXERCISE], lambda: ["maths"])
    with pytest.raises(KeyError, match="maths has double"):
        catalog.check("maths.triple", double)
    with pytest.raises(KeyError, match="exercises on maths"):
        catalog.check("music.double", double)


@pytest.mark.parametrize(
    ("got", "want", "said"),
    [
        (None, 3, "return"),
        ("3", 3, "expected an int, got a str"),
        (True, 1, "expected an int, got a bool"),
        (1, True, "expected a bool"),
        ((1, 2), [1, 2], "expected a list, got a tuple"),
        ([1], [1, 2], "got [1]"),
        ({"a": 1}, {"a": 1, "b": 2}, "'b' is missing"),
        ({"a": 1, "c": 2}, {"a": 1}, "'c' should not be there"),
        (0.5, 0.6, "expected 0.6"),
        (torch.zeros(2, 3), torch.zeros(3, 2), "expected shape (3, 2), got (2, 3)"),
        (torch.zeros(2), torch.zeros(2).double(), "dtype"),
        (torch.tensor([math.nan, 0]), torch.zeros(2), "not finite"),
        (
            torch.tensor([1.0, 2.0]),
            torch.tensor([1.0, 3.0]),
            "1 of 2 values differ; at index (1,) expected 3, got 2",
        ),
        (np.zeros(2), torch.zeros(2), "expected a Tensor"),
        ([torch.zeros(2)], [torch.ones(2)], "at index 0: 2 of 2 values differ"),
    ],
)
def test_expect_says_what_is_different(got, want, said):
    with pytest.raises(Wrong) as wrong:
        expect(got, want, "f()")
    assert said in str(wrong.value)


def test_expect_accepts_what_is_equal_within_tolerance():
    expect(torch.tensor([1.0, -math.inf]), torch.tensor([1.0 + 1e-7, -math.inf]), "f()")
    expect({"a": [1.0, (2, "x")]}, {"a": [1.0 + 1e-9, (2, "x")]}, "f()")
    expect(np.int64(3), 3, "f()")


def test_long_values_are_shortened():
    assert (
        len(show_value(list(range(1000)))) <= 80
        and show_value(torch.zeros(3, 4)) == "Tensor of shape (3, 4)"
    )
    assert (
        show_value(torch.tensor([0.1, 2.0])) == "[0.1, 2.0]"
        and show_value([1 / 3, "v1.23"]) == "[0.3333, 'v1.23']"
    )
    assert show_value(double) == "double"


def test_a_named_mistake_shows_both_values_only_where_they_look_different():
    zeros = torch.zeros(4, 4)
    ones = torch.ones(4, 4)
    with pytest.raises(Wrong, match=r"^f\(\): you forgot it\.$"):
        expect(zeros, ones, "f()", mistakes={"you forgot it": zeros})


# --- runtime --------------------------------------------------------------------------------------


def test_the_profile_comes_from_the_environment_or_a_clear_error(monkeypatch):
    monkeypatch.setenv("COURSE_PROFILE", "gpu")
    assert profile() == "gpu" and pick(cpu=1, gpu=2) == 2
    monkeypatch.setenv("COURSE_PROFILE", "cpu")
    assert pick(cpu=1, gpu=2) == 1
    monkeypatch.setenv("COURSE_PROFILE", "tpu")
    with pytest.raises(ValueError, match="cpu, gpu"):
        profile()


def test_a_generator_leaves_the_global_seed_alone():
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = torch.rand(3, generator=generator(7))
    assert torch.equal(before, torch.get_rng_state()) and torch.equal(
        first, torch.rand(3, generator=generator(7))
    )


def test_progress_is_silent_when_asked(monkeypatch, capfd):
    monkeypatch.setenv("COURSE_QUIET", "1")
    assert list(progress(range(3), "steps")) == [0, 1, 2]
    assert capfd.readouterr() == ("", "")


def test_progress_in_a_terminal_is_a_line_on_stderr_that_goes(monkeypatch, capfd):
    monkeypatch.delenv("COURSE_QUIET")
    assert list(progress(iter("abc"), "letters", total=3)) == ["a", "b", "c"]
    out, err = capfd.readouterr()
    assert out == "" and "letters" in err and err.endswith("\r")


def test_timed_gives_the_median_and_refuses_no_runs(monkeypatch):
    # a clock: 1, 9 and 2 seconds
    shown = iter([0, 1, 10, 19, 20, 22])
    calls = []
    monkeypatch.setattr(runtime.time, "perf_counter", lambda: next(shown))
    median = runtime.timed(lambda: calls.append(1), repeats=3, warmup=1)
    monkeypatch.undo()
    assert median == 2 and len(calls) == 4
    with pytest.raises(ValueError, match="at least one"):
        runtime.timed(lambda: None, repeats=0)


def test_checks_draw_from_their_own_seed():
    random.seed(0)
    state = random.getstate()
    EXERCISE.grade(double, seed=5)
    assert random.getstate() == state
