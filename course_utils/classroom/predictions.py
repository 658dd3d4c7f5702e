"""Predictions: you choose before you measure, and your choice then stands beside what came out."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from numbers import Real
from typing import Any

import ipywidgets as w

from .figures import Markup
from .frontend import saving
from .widgets import show_view

MIME = "application/vnd.course.prediction+json"
LETTERS = "ABCDEF"
# The border is of the text's colour, so it shows on a light and on a dark page.
BOX = "border:1px solid;border-radius:6px;padding:6px 14px 10px;margin:6px 0;max-width:46em"
_asked: dict[str, "Prediction"] = {}


@dataclass
class Prediction:
    """A question with its options and what was chosen; made by `predict`.

    ranges: for questions about a number, the half-open range [low, high) that each option means.
    chosen: the index of an option, None as long as nobody chose.
    """

    name: str
    question: str
    options: tuple[str, ...]
    ranges: tuple[tuple[float, float], ...] | None = None
    chosen: int | None = None
    box: w.VBox | None = field(default=None, repr=False, compare=False)

    def option(self, index: int) -> str:
        """An option with its letter: `B · less than half`."""
        return f"{LETTERS[index]} · {self.options[index]}"

    def index_of(self, measured: Any) -> int | None:
        """Which option a measurement is: the one of that text, or in whose range it lies."""
        if self.ranges is not None and isinstance(measured, Real):
            inside = (low <= measured < high for low, high in self.ranges)
            return next((i for i, fits in enumerate(inside) if fits), None)
        return self.options.index(measured) if measured in self.options else None

    @property
    def frame(self) -> Markup:
        """The question without a kernel: radio buttons that a page remembers."""
        name = escape(self.name)
        lines = "".join(
            f'<label style="display:block"><input type="radio" name="predict-{name}" value="{LETTERS[i]}"> '
            f"{_marked(self.option(i))}</label>"
            for i in range(len(self.options))
        )
        html = (
            f'<fieldset class="course-predict" data-name="{name}" style="{BOX}">'
            f"<legend><b>Predict</b></legend><p>{_marked(self.question)}</p>{lines}</fieldset>"
        )
        listed = (f"  {self.option(i)}" for i in range(len(self.options)))
        return Markup(html, "\n".join([f"Predict: {self.question}", *listed]))

    def _ipython_display_(self) -> None:
        if self.box is None and not saving():
            self.box = self._controls()
        show_view(self.box, self.frame)

    def _controls(self) -> w.VBox:
        options = [(self.option(i), i) for i in range(len(self.options))]
        buttons = w.RadioButtons(options=options, value=self.chosen, layout={"width": "auto"})
        note = w.HTML()

        def choose(change: dict) -> None:
            self.chosen = change["new"]
            note.value = f"You chose {LETTERS[self.chosen]}. Go on: the measurement follows."

        buttons.observe(choose, names="value")
        question = w.HTML(f"<b>Predict.</b> {_marked(self.question)}")
        return w.VBox([question, buttons, note])


def predict(
    name: str, question: str, options: Sequence[str] | Mapping[str, tuple[float, float]]
) -> Prediction:
    """Asks what you expect, before you measure it: buttons in a live page, radio buttons in one
    without a kernel. Nothing waits for an answer.

    name: `topic.what`, by which `reveal` finds it. options: two to six texts; or, for a number,
    texts with the range [low, high) that each stands for. Asked again, it keeps what you chose.

    >>> asked = predict("demo.sum", "What do the weights sum to?", ["to 1", "to T"])
    >>> print(asked.frame.text)
    Predict: What do the weights sum to?
      A · to 1
      B · to T

    Raises ValueError for a name that is none, and for options that are too few, too many or equal.
    """
    if not re.fullmatch(r"\w+\.\w+", name):
        raise ValueError(f'{name!r} is no name of a question; write "topic.what".')
    texts = tuple(options)
    if not 2 <= len(set(texts)) == len(texts) <= len(LETTERS):
        raise ValueError(
            f"{name} has the options {list(texts)}; give two to {len(LETTERS)}, all different."
        )
    ranges = tuple(options.values()) if isinstance(options, Mapping) else None
    if ranges is not None and not all(low < high for low, high in ranges):
        raise ValueError(f"{name}: each option needs a range (low, high) with low below high.")
    before = _asked.get(name)
    chosen = before.chosen if before is not None and before.options == texts else None
    _asked[name] = Prediction(name, question, texts, ranges, chosen)
    return _asked[name]


class Revealed(Markup):
    """What came out beside what was chosen; as JSON, too, for those who collect it."""

    def __init__(self, asked: Prediction | None, name: str, measured: Any, digits: str):
        index = asked.index_of(measured) if asked is not None else None
        shown = format(measured, digits) if isinstance(measured, Real) else str(measured)
        if index is None:
            came = shown
        elif asked.options[index] == shown:
            came = asked.option(index)
        else:
            came = f"{asked.option(index)} ({shown})"
        chosen = None if asked is None else asked.chosen
        if chosen is None:
            yours = "You made no prediction."
        elif chosen == index:
            yours = f"You chose {LETTERS[chosen]}, too."
        else:
            yours = f"You chose {asked.option(chosen)}."
        letter = "" if index is None else LETTERS[index]
        html = (
            f'<p class="course-reveal" data-name="{escape(name)}" data-measured="{letter}">'
            f'<b>Measured:</b> {_marked(came)}. <span class="course-yours">{_marked(yours)}</span></p>'
        )
        super().__init__(html, f"Measured: {came}. {yours}")
        self.data[MIME] = {
            "name": name,
            "measured": letter,
            "chosen": "" if chosen is None else LETTERS[chosen],
        }


def reveal(name: str, measured: Any, digits: str = ".3g") -> Revealed:
    """Sets what was measured beside what you chose.

    measured: the text of an option, or the number which lies in the range of one; `digits` says how
    a number is written. A question that was not asked, and a value that no option foresaw, are no
    error: then only the measurement is shown.

    >>> asked = predict("demo.share", "How much?", {"under half": (0, 0.5), "over": (0.5, 1.01)})
    >>> asked.chosen = 0
    >>> reveal("demo.share", 0.75).text
    'Measured: B · over (0.75). You chose A · under half.'
    """
    return Revealed(_asked.get(name), name, measured, digits)


def _marked(text: str) -> str:
    """Plain text as HTML: escaped, with `code` set as code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))
