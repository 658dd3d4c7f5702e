"""A view of work that goes on: it draws while it trains, with a button to start and one to stop."""

from collections.abc import Callable, Iterator
from html import escape
from typing import Any

import ipywidgets as w

from .figures import Frame
from .widgets import Explorer, styled

PAUSE = 20  # milliseconds between the end of a step and the page's asking for the next one


class Live(Explorer):
    """Controls, two buttons and the frames that `run` yields; made by `live`. A control that moves
    stops it.

    The page beats the time: a `Play` widget asks for one step after the other, and the kernel
    answers each between two messages. So it needs no thread (what a thread changes does not appear
    in Colab), and the kernel hears *Stop* and runs other cells between two steps. In ipywidgets 7
    the kernel cannot set a `Play` going: there, its own buttons are shown.
    """

    def __init__(self, run: Callable[..., Iterator[Frame]], controls: dict[str, w.Widget]):
        super().__init__(lambda **values: next(iter(run(**values))), controls)
        self.run = run
        self.work = None
        self.beat = w.Play(value=0, min=0, max=10**9, interval=PAUSE, show_repeat=False)
        self._going = "playing" if self.beat.has_trait("playing") else "_playing"  # ipywidgets 8, 7
        self.beat.observe(self._switched, names=self._going)
        self.beat.observe(self._step, names="value")
        self.starter = w.Button(description="Start")
        self.stopper = w.Button(description="Stop", disabled=True)
        self.starter.on_click(self.start)
        self.stopper.on_click(self.stop)
        if self._going == "playing":
            self.beat.layout.display = "none"
            buttons = [self.starter, self.stopper, self.beat]
        else:
            buttons = [w.HTML("Start and Stop:"), self.beat]
        self.box.children = (*controls.values(), w.HBox(buttons), self.pane, self.caption)
        *_, self.frame = run(**self.values)  # once to its end: what a page without a kernel shows
        self.pane.value = self.frame.html

    def refresh(self, _change: Any = None) -> None:
        """Stops the work and draws what it would begin with."""
        self.stop()
        super().refresh()

    def start(self, _button: Any = None) -> None:
        """Begins the work with the controls' values; does nothing while it is under way."""
        setattr(self.beat, self._going, True)

    def stop(self, _button: Any = None) -> None:
        """Ends the work after its present step."""
        setattr(self.beat, self._going, False)

    def _switched(self, change: Any) -> None:
        """The page, or the kernel, has set the beat going or stopped it."""
        going = bool(change["new"])
        self.work = self._frames(self.values) if going else None
        self.starter.disabled = going
        self.stopper.disabled = not going
        if going:
            self.caption.value = ""

    def _frames(self, values: dict[str, Any]) -> Iterator[Frame]:
        # a generator, so that an error of `run` itself comes with the first step, too
        yield from self.run(**values)

    def _step(self, _change: Any) -> None:
        """One beat, one step. A beat that was on its way when the work ended is for nobody."""
        if self.work is None:
            return
        try:
            self.frame = next(self.work)
            self.pane.value = self.frame.html
        except StopIteration:
            self.stop()
        except Exception as error:
            self.caption.value = f"<b>Stopped.</b> {escape(f'{type(error).__name__}: {error}')}"
            self.stop()


def live(run: Callable[..., Iterator[Frame]], **controls: w.Widget) -> Live:
    """A live view: `run` gets the controls' values by name and yields a `Picture` or `Markup`
    whenever there is news.

    The first frame must come quickly: it is drawn whenever a control moves. When the view is made,
    `run` goes to its end once, and the last frame is what stays in the saved notebook.

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
