"""A progress bar that leaves nothing behind: no dead widget in the saved notebook, no half-drawn
line.
"""

import html
import time
from typing import Any

from IPython import get_ipython
from IPython.display import display
from tqdm import tqdm

from .frontend import front_end

PAUSE = 0.1  # seconds between two redrawings; a page has better things to do
NOTHING = {"text/html": "", "text/plain": ""}


class Bar:
    """How far some work is: an HTML bar in a notebook, tqdm's line on stderr in a terminal, nothing
    in a run that is saved.

    It has tqdm's methods, and in a notebook it goes when its cell ends, however that happens.
    `total` may be None: then it counts without an end. With `disable` it shows nothing. `leave`
    keeps tqdm's line in a terminal.

    >>> with Bar(total=3, desc="steps", disable=True) as bar:
    ...     bar.set_postfix_str("half done")
    ...     bar.update(2)
    >>> bar.n
    2
    """

    def __init__(
        self,
        total: int | None,
        desc: str = "",
        initial: int = 0,
        disable: bool = False,
        leave: bool = True,
    ):
        self.total = total
        self.desc = desc
        self.n = initial
        self.note = ""
        self.began = time.perf_counter()
        self.drawn = 0.0
        self.first = initial
        self.page = None
        self.line = None
        place = front_end()
        if disable or place == "saved":
            return
        if place == "terminal":
            self.line = tqdm(total=total, initial=initial, desc=desc or None, leave=leave)
            return
        self.shell = get_ipython()
        self.page = display(self._data(), raw=True, display_id=True)
        self.shell.events.register("post_run_cell", self.close)

    def __enter__(self) -> "Bar":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def set_postfix_str(self, note: str, refresh: bool = True) -> None:
        """What stands behind the numbers, such as `"loss 1.23"`; `refresh` redraws at once."""
        self.note = note
        if self.line is not None:
            self.line.set_postfix_str(note, refresh=refresh)
        elif refresh:
            self._draw()

    def update(self, steps: int = 1) -> None:
        """Goes on by some steps; redraws where the last time was a while ago."""
        self.n += steps
        if self.line is not None:
            self.line.update(steps)
        elif time.perf_counter() - self.drawn > PAUSE:
            self._draw()

    def _draw(self) -> None:
        if self.page is not None:
            self.drawn = time.perf_counter()
            self.page.update(self._data(), raw=True)

    def close(self, *_: Any) -> None:
        """Takes the bar away."""
        if self.line is not None:
            self.line.close()
            self.line = None
        if self.page is not None:
            page = self.page
            self.page = None
            page.update(NOTHING, raw=True)
            self.shell.events.unregister("post_run_cell", self.close)

    def _data(self) -> dict[str, str]:
        known = f'value="{self.n}" max="{self.total}"' if self.total else ""
        count = f"{self.n} of {self.total}" if self.total else f"{self.n}"
        seconds = time.perf_counter() - self.began
        done = self.n - self.first
        left = (
            f", {seconds / done * (self.total - self.n):.0f} s to go" if self.total and done else ""
        )
        words = f"{count}{left}" + (f", {self.note}" if self.note else "")
        name = f"{self.desc}: " if self.desc else ""
        return {
            "text/html": f'<label>{html.escape(name)}<progress {known} style="vertical-align:middle"></progress> '
            f"{html.escape(words)}</label>",
            "text/plain": f"{name}{words}",
        }
