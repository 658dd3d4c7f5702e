"""Diagrams: labelled boxes and arrows in the house style, drawn by code.

schemdraw and graphviz were looked at. The first is made for circuits and sets text in its own way;
the second needs a program that Colab has and Windows lacks. Matplotlib's patches are enough.
"""

import math
from dataclasses import dataclass, field

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Patch

from .figures import COLORS, Picture

UNIT = 0.62  # inches on the page for a unit of the diagram
FONT = 13
NOTE = 12  # points: labels of arrows and notes
PAD = 0.1
ASIDE = 0.12  # units between an arrow and its label
MARGIN = 0.35


@dataclass(frozen=True)
class Box:
    """A box of a diagram; made by `Diagram.box`.

    x, y: its middle. width, height: in units of the diagram.
    """

    x: float
    y: float
    width: float
    height: float
    patch: Patch = field(repr=False, compare=False)


class Diagram:
    """Boxes and arrows; x goes to the right, y goes up, a unit is about the height of a box.

    >>> d = Diagram()
    >>> x = d.box("x", 0, 0)
    >>> y = d.box("softmax", 3, 0, color="orange")
    >>> d.arrow(x, y, "scores")
    >>> d.picture("A box x, from which an arrow leads to a box softmax.").text
    'A box x, from which an arrow leads to a box softmax.'
    """

    def __init__(self):
        self.figure = Figure(layout="none")
        self.axes = self.figure.add_axes((0, 0, 1, 1))
        self.axes.axis("off")
        self.boxes: list[Box] = []
        self._texts: list[tuple[Box, object]] = []
        self._arrows: list[tuple[Box, Box, float]] = []
        self._corners: list[tuple[float, float]] = []

    def box(
        self,
        label: str,
        x: float,
        y: float,
        width: float = 2.0,
        height: float = 0.9,
        color: str = "sky",
    ) -> Box:
        """A box with its label in the middle. color: a name of COLORS, mixed with white so that
        black text is read on it.
        """
        shape = FancyBboxPatch(
            (x - width / 2 + PAD, y - height / 2 + PAD),
            width - 2 * PAD,
            height - 2 * PAD,
            boxstyle=f"round,pad={PAD}",
            facecolor=(*_rgb(color), 0.35),
            edgecolor=_rgb(color),
            linewidth=1.8,
        )
        self.axes.add_patch(shape)
        text = self.axes.text(x, y, label, ha="center", va="center", fontsize=FONT, color="black")
        made = Box(x, y, width, height, shape)
        self.boxes.append(made)
        self._texts.append((made, text))
        self._corners += [(x - width / 2, y - height / 2), (x + width / 2, y + height / 2)]
        return made

    def arrow(
        self, start: Box, end: Box, label: str = "", bend: float = 0.0, dashed: bool = False
    ) -> None:
        """An arrow from the border of one box to that of another. bend: how far it curves, as a
        share of its length; positive to the right of its way.
        """
        self._arrows.append((start, end, bend))
        self.axes.add_patch(
            FancyArrowPatch(
                (start.x, start.y),
                (end.x, end.y),
                patchA=start.patch,
                patchB=end.patch,
                arrowstyle="-|>",
                mutation_scale=16,
                shrinkA=2,
                shrinkB=2,
                linewidth=1.6,
                color="black",
                linestyle="--" if dashed else "-",
                connectionstyle=f"arc3,rad={bend}",
            )
        )
        if label:
            across = end.x - start.x, end.y - start.y
            aside = (across[1], -across[0])  # to the right of the way
            far = bend / 2 + ASIDE / math.hypot(*across)
            x = (start.x + end.x) / 2 + far * aside[0]
            y = (start.y + end.y) / 2 + far * aside[1]
            self._write(label, x, y, *aside)

    def note(self, text: str, x: float, y: float) -> None:
        """A text without a box, its middle at this place."""
        self._write(text, x, y, 0, 0)

    def _write(self, text: str, x: float, y: float, to_x: float, to_y: float) -> None:
        """A text which begins at a place and goes away from it in a direction."""
        far = abs(to_x) + abs(to_y) or 1.0
        across = _side(to_x / far, "right", "center", "left")
        up = _side(to_y / far, "top", "center", "bottom")
        self.axes.text(x, y, text, ha=across, va=up, fontsize=NOTE, color="black")
        self._corners += [(x - 0.3, y - 0.3), (x + 0.3, y + 0.3)]

    def picture(self, alt: str) -> Picture:
        """The diagram with its alt text, which says what leads where. Raises ValueError for a label
        that does not fit into its box, and for an arrow that passes through a box of others.
        """
        xs, ys = zip(*self._corners, strict=True)
        left = min(xs) - MARGIN
        right = max(xs) + MARGIN
        low = min(ys) - MARGIN
        high = max(ys) + MARGIN
        self.axes.set(xlim=(left, right), ylim=(low, high))
        self.figure.set_size_inches(UNIT * (right - left), UNIT * (high - low))
        for box, text in self._texts:
            size = text.get_window_extent()
            room = self.figure.dpi * UNIT * box.width
            if size.width > room:
                raise ValueError(
                    f"the label {text.get_text()!r} needs a box of width "
                    f"{size.width / self.figure.dpi / UNIT:.1f}; it has {box.width}."
                )
        for start, end, bend in self._arrows:
            for box in self.boxes:
                if box not in (start, end) and _passes(start, end, bend, box):
                    label = {made: text.get_text() for made, text in self._texts}
                    raise ValueError(
                        f"the arrow from {label[start]!r} to {label[end]!r} passes through "
                        f"{label[box]!r}; move a box, or bend the arrow."
                    )
        return Picture(self.figure, alt)


def _passes(start: Box, end: Box, bend: float, box: Box) -> bool:
    """Whether the arrow, a curve of second degree as matplotlib's arc3, has a point in the box."""
    far = end.x - start.x, end.y - start.y
    middle = (start.x + end.x) / 2 + bend * far[1], (start.y + end.y) / 2 - bend * far[0]
    t = np.linspace(0, 1, 200)
    x, y = (
        (1 - t) ** 2 * first + 2 * t * (1 - t) * bent + t**2 * last
        for first, bent, last in zip((start.x, start.y), middle, (end.x, end.y), strict=True)
    )
    inside = (abs(x - box.x) < box.width / 2) & (abs(y - box.y) < box.height / 2)
    return bool(inside.any())


def _side(share: float, below: str, middle: str, above: str) -> str:
    if abs(share) < 0.25:
        return middle
    return above if share > 0 else below


def _rgb(color: str) -> tuple[float, float, float]:
    code = COLORS[color]
    return tuple(int(code[i : i + 2], 16) / 255 for i in (1, 3, 5))
