"""A live view: its first and last frames, its buttons, and what happens when the work goes
wrong.
"""

import threading

import ipywidgets as w
import pytest
import traitlets

from course_utils.classroom import Markup, live, widgets


@pytest.fixture(autouse=True)
def no_views(monkeypatch):
    monkeypatch.setattr(widgets, "_views", [])


def frame(text):
    return Markup(f"<p>{text}</p>", text)


def counting(n):
    for i in range(n + 1):
        yield frame(f"{i} of {n}")


def beat(view, times=1):
    """What the page does while the view is going: it counts, and sends each number to the
    kernel.
    """
    for _ in range(times):
        view.beat.value += 1
    return view


class Play7(w.BoundedIntText):
    """The beat as ipywidgets 7 has it: the page alone can set it going, and its stop button puts
    the number back, too.
    """

    _playing = traitlets.Bool().tag(sync=True)
    interval = traitlets.Int(100)
    show_repeat = traitlets.Bool(True)


@pytest.fixture(params=["ipywidgets 8", "ipywidgets 7"])
def version(request, monkeypatch):
    if request.param.endswith("7"):
        monkeypatch.setattr(w, "Play", Play7)
    return request.param


def press(view, which, version):
    """Presses Start or Stop: our buttons, or those that Play has of its own in ipywidgets 7."""
    if version.endswith("8"):
        (view.starter if which == "start" else view.stopper).click()
    else:
        view.beat.set_state(
            {"_playing": True} if which == "start" else {"_playing": False, "value": 0}
        )


def test_the_saved_frame_is_the_last_one_and_a_moved_control_draws_the_first():
    view = live(counting, n=w.IntSlider(3, 1, 5))
    assert view.frame.text == "3 of 3" and "3 of 3" in view.pane.value
    view.controls["n"].value = 5
    assert view.frame.text == "0 of 5" and "0 of 5" in view.pane.value


def test_the_buttons_that_can_be_pressed_are_shown(version):
    view = live(counting, n=w.IntSlider(3, 1, 5))
    row = view.box.children[1]
    assert (view.starter in row.children) == version.endswith("8") and view.beat in row.children
    assert (view.beat.layout.display == "none") == version.endswith("8")


def test_start_runs_to_the_end_and_the_buttons_say_what_is_possible(version):
    view = live(counting, n=w.IntSlider(3, 1, 5))
    view.controls["n"].value = 4
    assert not view.starter.disabled and view.stopper.disabled
    press(view, "start", version)
    assert view.starter.disabled and not view.stopper.disabled
    assert beat(view, 3).frame.text == "2 of 4" and "2 of 4" in view.pane.value
    assert beat(view, 2).frame.text == "4 of 4" and view.starter.disabled
    beat(view)  # the page asks for more, and there is none
    assert view.frame.text == "4 of 4" and not view.starter.disabled and view.stopper.disabled
    assert getattr(view.beat, view._going) is False, "the page goes on asking"


def test_nothing_runs_in_a_thread_or_before_the_page_asks(version):
    asked = []

    def run(n):
        asked.append(threading.current_thread())
        yield frame("0")
        asked.append(threading.current_thread())
        yield frame("1")

    view = live(run, n=w.IntSlider(3, 1, 5))
    asked.clear()
    before = threading.active_count()
    press(view, "start", version)
    assert asked == []
    beat(view, 2)
    assert asked == [threading.main_thread()] * 2 and threading.active_count() == before


@pytest.mark.parametrize("how", ["button", "control"])
def test_stop_and_a_moved_control_end_the_work(how, version):
    ended = []

    def run(n):
        try:
            yield from counting(n)
        finally:
            ended.append(n)

    view = live(run, n=w.IntSlider(3, 1, 5))
    press(view, "start", version)
    beat(view, 2)
    ended.clear()
    press(view, "start", version)  # a second start does nothing
    assert beat(view).frame.text == "2 of 3"
    if how == "button":
        press(view, "stop", version)
    else:
        view.controls["n"].value = 2
    assert 3 in ended, "the work is still there"
    beat(view)  # one that was on its way
    assert view.frame.text == ("2 of 3" if how == "button" else "0 of 2")
    assert not view.starter.disabled
    press(view, "start", version)
    assert beat(view, 2).frame.text == ("1 of 3" if how == "button" else "1 of 2"), (
        "a new start begins anew"
    )


def test_an_error_in_the_work_becomes_a_sentence_and_the_last_frame_stays(version):
    calls = []

    def fragile(n):
        yield frame("fine")
        calls.append(n)
        if len(calls) > 1:
            raise RuntimeError("<too hot>")
        yield frame("done")

    view = live(fragile, n=w.IntSlider(3, 1, 5))
    press(view, "start", version)
    beat(view, 2)
    assert "RuntimeError: &lt;too hot&gt;" in view.caption.value and view.frame.text == "fine"
    assert not view.starter.disabled
    press(view, "start", version)
    assert view.caption.value == ""


def test_an_error_at_once_is_a_sentence_too():
    """`run` may be a function that fails before it hands out anything."""
    fails = []

    def run(n):
        if fails:
            raise ValueError("no such letter")
        return iter([frame("fine")])

    view = live(run, n=w.IntSlider(3, 1, 5))
    fails.append(True)
    view.starter.click()
    beat(view)
    assert "no such letter" in view.caption.value and not view.starter.disabled


def test_the_sweep_draws_the_first_frames_at_all_ends():
    live(counting, n=w.IntSlider(3, 1, 5))
    assert widgets.sweep() == "1 views, 3 frames drawn"


def test_what_is_no_control_or_no_frame_is_refused():
    with pytest.raises(ValueError, match="without controls"):
        live(counting)
    with pytest.raises(TypeError, match="Markup"):
        live(lambda n: iter([n]), n=w.IntSlider(3, 1, 5))
    with pytest.raises(TypeError):
        live(counting, n=3)
