"""A live view: its first and last frames, its buttons, and what happens when the work goes wrong."""

import threading

import ipywidgets as w
import pytest
from common import patience

from course_utils.classroom import Markup, live, widgets

WAIT = patience(60)  # seconds until a thread counts as lost


@pytest.fixture(autouse=True)
def no_views(monkeypatch):
    monkeypatch.setattr(widgets, "_views", [])


def frame(text):
    return Markup(f"<p>{text}</p>", text)


def counting(n):
    for i in range(n + 1):
        yield frame(f"{i} of {n}")


def finished(view):
    view.thread.join(WAIT)
    assert not view.thread.is_alive()
    return view


def test_the_saved_frame_is_the_last_one_and_a_moved_control_draws_the_first():
    view = live(counting, n=w.IntSlider(3, 1, 5))
    assert view.frame.text == "3 of 3" and "3 of 3" in view.pane.value
    view.controls["n"].value = 5
    assert view.frame.text == "0 of 5" and "0 of 5" in view.pane.value


def test_start_runs_to_the_end_and_the_buttons_say_what_is_possible():
    view = live(counting, n=w.IntSlider(3, 1, 5))
    view.controls["n"].value = 4
    assert not view.starter.disabled and view.stopper.disabled
    view.starter.click()
    assert finished(view).frame.text == "4 of 4" and "4 of 4" in view.pane.value
    assert not view.starter.disabled and view.stopper.disabled


class Gate:
    """Work that waits for a permission before each frame but the first run, which builds the view."""

    def __init__(self):
        self.permits, self.closed = threading.Semaphore(0), False
        self.reached = threading.Semaphore(0)

    def __call__(self, n):
        for i in range(n + 1):
            if self.closed and i:
                self.reached.release()
                assert self.permits.acquire(timeout=WAIT)
            yield frame(f"{i} of {n}")


@pytest.mark.parametrize("how", ["button", "control"])
def test_stop_and_a_moved_control_end_the_work(how):
    gate = Gate()
    view = live(gate, n=w.IntSlider(3, 1, 5))
    gate.closed = True
    view.starter.click()
    assert gate.reached.acquire(timeout=WAIT)  # it waits before frame 1
    assert view.starter.disabled and not view.stopper.disabled and view.frame.text == "0 of 3"
    first = view.thread
    view.starter.click()
    assert view.thread is first  # a second start does nothing
    if how == "button":
        view.stopper.click()
    else:
        view.controls["n"].value = 2
    gate.permits.release()
    assert finished(view).frame.text == ("0 of 3" if how == "button" else "0 of 2")
    assert not view.starter.disabled


def test_an_error_in_the_work_becomes_a_sentence_and_the_last_frame_stays():
    calls = []

    def fragile(n):
        yield frame("fine")
        calls.append(n)
        if len(calls) > 1:
            raise RuntimeError("<too hot>")
        yield frame("done")

    view = live(fragile, n=w.IntSlider(3, 1, 5))
    view.starter.click()
    assert "RuntimeError: &lt;too hot&gt;" in finished(view).caption.value and view.frame.text == "fine"
    assert not view.starter.disabled


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
