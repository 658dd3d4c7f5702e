"""A view of work that goes on: it draws while it trains, with a button to start and one to stop."""

import threading
from collections.abc import Callable, Iterator
from html import escape
from typing import Any

import ipywidgets as w

from .figures import Frame
from .widgets import Explorer, styled


class Live(Explorer):
    """Controls, two buttons and the frames that `run` yields; made by `live`.

    The work runs in a thread of its own, so that the page can hear the second button. A control that moves stops it.
    """

    def __init__(self, run: Callable[..., Iterator[Frame]], controls: dict[str, w.Widget]):
        super().__init__(lambda **values: next(iter(run(**values))), controls)
        self.run, self.thread, self.stopped = run, None, threading.Event()
        self.starter, self.stopper = w.Button(description="Start"), w.Button(description="Stop", disabled=True)
        self.starter.on_click(self.start)
        self.stopper.on_click(self.stop)
        self.box.children = (*controls.values(), w.HBox([self.starter, self.stopper]), self.pane, self.caption)
        *_, self.frame = run(**self.values)  # once to its end: what a page without a kernel shows
        self.pane.value = self.frame.html

    def refresh(self, _change: Any = None) -> None:
        """Stops the work and draws what it would begin with."""
        self.stop()
        super().refresh()

    def start(self, _button: Any = None) -> None:
        """Begins the work with the controls' values; does nothing while it is under way."""
        if self.thread and self.thread.is_alive():
            return
        self.stopped = threading.Event()
        self.starter.disabled, self.stopper.disabled, self.caption.value = True, False, ""
        self.thread = threading.Thread(target=self._work, args=(self.values, self.stopped), daemon=True)
        self.thread.start()

    def stop(self, _button: Any = None) -> None:
        """Tells the work to end after its present step."""
        self.stopped.set()

    def _work(self, values: dict[str, Any], stopped: threading.Event) -> None:
        try:
            for frame in self.run(**values):
                if stopped.is_set():
                    break
                self.frame, self.pane.value = frame, frame.html
        except Exception as error:
            self.caption.value = f"<b>Stopped.</b> {escape(f'{type(error).__name__}: {error}')}"
        finally:
            self.starter.disabled, self.stopper.disabled = False, True


def live(run: Callable[..., Iterator[Frame]], **controls: w.Widget) -> Live:
    """A live view: `run` gets the controls' values by name and yields a `Picture` or `Markup` whenever there is news.

    The first frame must come quickly: it is drawn whenever a control moves. When the view is made, `run` goes to its end
    once, and the last frame is what stays in the saved notebook.

    >>> from course_utils.classroom import Markup
    >>> def countdown(n):
    ...     for left in range(n, -1, -1):
    ...         yield Markup(f"<p>{left}</p>", f"{left} left")
    >>> view = live(countdown, n=w.IntSlider(3, 1, 9, description="n"))
    >>> view.frame.text
    '0 left'

    Raises ValueError and TypeError as `explore` does.
    """
    return Live(run, styled(controls))
