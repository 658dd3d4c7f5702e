"""The frames of a view, drawn beforehand for pages and slides in which no kernel runs.

A view has as many settings as its controls allow, often more than can be drawn. All of them are
drawn where they are few; else the sliders are thinned; and where that is not enough, each control
moves alone around the default.
"""

import hashlib
import io
import itertools
import math
import os
from base64 import b64decode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ipywidgets as w
from PIL import Image

from .figures import Frame

MIME = "application/vnd.course.view+json"
FOLDER = "COURSE_FRAMES"  # the variable that names the folder which gets the frames
MOST = 100  # frames of a view
STEPS = (11, 9, 7, 5)  # how many places of a slider are tried, where it has more
COLOURS = 64


@dataclass(frozen=True)
class Axis:
    """One control with the values that it takes in a page.

    kind: "range", "choice", "check", or "text" for what only a kernel can answer. shown: the values
    as they are written. default: the index of the value that a reader meets first.
    """

    name: str
    label: str
    kind: str
    values: tuple[Any, ...]
    shown: tuple[str, ...]
    default: int


@dataclass(frozen=True)
class Grid:
    """The settings of which frames are drawn. whole: whether every combination is there."""

    axes: tuple[Axis, ...]
    places: tuple[tuple[int, ...], ...]
    whole: bool

    def setting(self, place: Sequence[int]) -> dict[str, Any]:
        """The values of the controls at a place, which has an index for each axis."""
        return {axis.name: axis.values[i] for axis, i in zip(self.axes, place, strict=True)}


def grid(
    controls: Mapping[str, w.Widget], declared: Mapping[str, Sequence[Any]] | None = None
) -> Grid:
    """The places of a view's frames, MOST at most; `declared` gives the values of some controls.

    >>> slider = w.IntSlider(value=2, min=0, max=3, description="n")
    >>> [g.setting(place) for g in [grid({"n": slider})] for place in g.places]
    [{'n': 0}, {'n': 1}, {'n': 2}, {'n': 3}]

    Raises ValueError for a declared control that is none, or whose values lack the default.
    """
    declared = declared or {}
    if unknown := set(declared) - set(controls):
        raise ValueError(f"the grid names {sorted(unknown)}, which are no controls of this view.")
    for steps in (math.inf, *STEPS):
        axes = tuple(_axis(name, c, declared.get(name), steps) for name, c in controls.items())
        if math.prod(len(axis.values) for axis in axes) <= MOST:
            return Grid(axes, tuple(itertools.product(*(range(len(a.values)) for a in axes))), True)
    axes = tuple(
        _axis(name, c, declared.get(name), max(2, MOST // len(controls) - 1))
        for name, c in controls.items()
    )
    return Grid(axes, tuple(_one_at_a_time(axes)), False)


def _one_at_a_time(axes: Sequence[Axis]) -> Iterator[tuple[int, ...]]:
    home = tuple(axis.default for axis in axes)
    yield home
    for n, axis in enumerate(axes):
        for i in range(len(axis.values)):
            if i != axis.default:
                yield (*home[:n], i, *home[n + 1 :])


def _axis(name: str, control: w.Widget, declared: Sequence[Any] | None, steps: float) -> Axis:
    kind, pairs = _values(control)
    if declared is not None:
        labels = {_key(value): text for value, text in pairs}
        pairs = [(value, labels.get(_key(value), str(value))) for value in declared]
    keys = [_key(value) for value, _ in pairs]
    if _key(control.value) not in keys:
        raise ValueError(f"the grid of {name!r} lacks its default, {control.value!r}.")
    default = keys.index(_key(control.value))
    kept = _thinned(len(pairs), default, steps) if kind == "range" and declared is None else None
    chosen = [pairs[i] for i in kept] if kept is not None else pairs
    default = kept.index(default) if kept is not None else default
    values, shown = zip(*chosen, strict=True)
    return Axis(name, control.description or name, kind, values, shown, default)


def _key(value: Any) -> Any:
    return round(value, 9) if isinstance(value, float) else value


def _thinned(count: int, default: int, steps: float) -> list[int]:
    """Indices of at most `steps` values: both ends, the default, and others evenly between."""
    if count <= steps:
        return list(range(count))
    spread = [round(i * (count - 1) / (steps - 1)) for i in range(int(steps))]
    nearest = min(range(1, len(spread) - 1), key=lambda i: abs(spread[i] - default))
    if default not in spread:
        spread[nearest] = default
    return sorted(set(spread))


def _values(control: w.Widget) -> tuple[str, list[tuple[Any, str]]]:
    """The kind of a control and its values as (value, text)."""
    if isinstance(control, w.SelectMultiple):
        return "text", [(control.value, ", ".join(map(str, control.value)) or "none")]
    if hasattr(control, "options"):
        options = control.options
        if isinstance(options, Mapping):
            options = [(text, value) for text, value in options.items()]
        pairs = [(o[1], str(o[0])) if isinstance(o, tuple) else (o, str(o)) for o in options]
        return ("range" if isinstance(control, w.SelectionSlider) else "choice"), pairs
    if isinstance(control.value, bool):
        return "check", [(False, "no"), (True, "yes")]
    if isinstance(control, w.FloatLogSlider):
        return "range", _stepped(control, lambda x: control.base**x)
    if isinstance(control.value, (int, float)) and hasattr(control, "step"):
        return "range", _stepped(control, lambda x: x)
    return "text", [(control.value, str(control.value))]


def _stepped(control: w.Widget, value_at: Any) -> list[tuple[Any, str]]:
    """The values of a slider, the default among them even where it lies between two steps."""
    count = math.floor((control.max - control.min) / control.step + 1e-9)
    values = {_key(value_at(control.min + i * control.step)) for i in range(count + 1)}
    whole = isinstance(control.value, int)
    near = {v for v in values if not math.isclose(v, control.value, rel_tol=1e-6, abs_tol=1e-9)}
    every = sorted({*near, control.value})
    return [(v, str(v) if whole else f"{v:.3g}") for v in every]


# --- Drawing and packing --------------------------------------------------------------------------


def bundle(view: Any, declared: Mapping[str, Sequence[Any]] | None) -> dict[str, Any] | None:
    """What a page needs of a view; None where no folder for frames is named. Pictures go to files
    named by their content, so equal ones are one.
    """
    if FOLDER not in os.environ:
        return None
    folder = Path(os.environ[FOLDER])
    folder.mkdir(parents=True, exist_ok=True)
    found = grid(view.controls, declared)
    frames = {}
    for place in found.places:
        key = ",".join(map(str, place))
        frames[key] = _packed(view.frame_at(found.setting(place)), folder)
    axes = [
        {"label": a.label, "kind": a.kind, "shown": list(a.shown), "default": a.default}
        for a in found.axes
    ]
    return {"controls": axes, "frames": frames, "whole": found.whole}


def _packed(frame: Frame, folder: Path) -> dict[str, Any]:
    if "image/png" not in frame.data:
        return {"html": frame.html}
    image = Image.open(io.BytesIO(b64decode(frame.data["image/png"])))
    small = io.BytesIO()
    image.convert("RGB").quantize(COLOURS).convert("RGB").save(small, "webp", lossless=True)
    name = f"{hashlib.sha256(small.getvalue()).hexdigest()[:16]}.webp"
    (folder / name).write_bytes(small.getvalue())
    return {"file": name, "alt": frame.text, "size": [image.width, image.height]}
