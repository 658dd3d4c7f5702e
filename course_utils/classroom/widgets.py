"""Interactive views over core ipywidgets which leave a static picture wherever no kernel runs."""

from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Any

import ipywidgets as w
from IPython.display import display

from . import frames
from .figures import Frame
from .frontend import front_end

VIEW = "application/vnd.jupyter.widget-view+json"
# what a text box must survive: HTML, Tamil, ZWJ, combining
AWKWARD = "<b>&amp;\n\t\u0b95\u0bcd \U0001f469\u200d\U0001f4bb e\u0301"
_views: list["Explorer"] = []

# A still stands below each view in the saved file, and is hidden as long as the view lives. In Lab
# it is a PNG, which has no class, so it is found by its place: the outputs after the one that holds
# the view. Elsewhere it is HTML with a class.
LIVE = "course-live-view"
STILL = "course-still"
AFTER = f".jp-OutputArea-child:has(.{LIVE}) + .jp-OutputArea-child"
HIDE_AFTER = f"<style>{AFTER}, {AFTER} + .jp-OutputArea-child {{ display: none; }}</style>"
# Once the kernel is gone, Lab writes "Error displaying widget: model not found" where the view was:
# text without elements.
HIDE_DEAD = f"<style>.jp-OutputArea:has(.{STILL}) .jp-OutputArea-output.lm-Panel:not(:has(*)) {{ display: none; }}</style>"


class Explorer:
    """Controls above a frame that `draw` makes from their values; made by `explore`.

    In Lab and VS Code, the view and its picture are outputs of their own: there, a view whose
    kernel is gone shows an error in the place of its whole output. Elsewhere both are one MIME
    bundle, and a run that is saved holds the picture alone. There is no Output widget in it, so it
    works in Colab's ipywidgets 7.
    """

    def __init__(
        self,
        draw: Callable[..., Frame],
        controls: dict[str, w.Widget],
        grid: Mapping[str, Sequence[Any]] | None = None,
    ):
        self.draw = draw
        self.controls = controls
        self.grid = grid
        self.frame = self.frame_at(self.values)  # an error here is the author's: let it be seen
        self.pane = w.HTML(self.frame.html)
        self.caption = w.HTML()
        for control in controls.values():
            control.observe(self.refresh, names="value")
        self.box = w.VBox([*controls.values(), self.pane, self.caption])
        _views.append(self)

    @property
    def values(self) -> dict[str, Any]:
        return {name: control.value for name, control in self.controls.items()}

    def frame_at(self, values: dict[str, Any]) -> Frame:
        """What `draw` makes of these values; TypeError where that is no frame."""
        frame = self.draw(**values)
        if not isinstance(frame, Frame):
            raise TypeError(
                f"draw returned {type(frame).__name__}; return Picture(fig, alt) or Markup(html, text)."
            )
        return frame

    def refresh(self, _change: Any = None) -> None:
        """Draws again. What a reader types may be anything: an error becomes a sentence and the
        last frame stays.
        """
        try:
            self.frame = self.frame_at(self.values)
        except Exception as error:
            self.caption.value = f"<b>Not drawn.</b> {escape(f'{type(error).__name__}: {error}')}"
        else:
            self.pane.value = self.frame.html
            self.caption.value = ""

    def extremes(self) -> list[dict[str, Any]]:
        """Settings to try: the default; all controls at their least, all at their greatest; each
        one alone at both.
        """
        ends = {name: _ends(control) for name, control in self.controls.items()}
        default = self.values
        settings = [
            default,
            {n: e[0] for n, e in ends.items()},
            {n: e[-1] for n, e in ends.items()},
        ]
        settings += [{**default, name: end} for name, both in ends.items() for end in both]
        return [s for i, s in enumerate(settings) if s not in settings[:i]]

    def _ipython_display_(self) -> None:
        beforehand = frames.bundle(self, self.grid)
        if beforehand is not None:
            display(
                {**self.frame.data, frames.MIME: beforehand}, metadata=self.frame.metadata, raw=True
            )
        else:
            show_view(self.box, self.frame)


def show_view(box: w.Box | None, frame: Frame) -> None:
    """Displays a view, controls and all, with the picture that stays when no kernel runs; in a run
    that is saved the picture alone.
    """
    place = front_end()
    if place == "saved" or box is None:
        display(frame.data, metadata=frame.metadata, raw=True)
        return
    view = {VIEW: {"version_major": 2, "version_minor": 0, "model_id": box.model_id}}
    if place not in ("lab", "vscode"):
        display({**view, **frame.data}, metadata=frame.metadata, raw=True)
        return
    mark = f"{STILL}-{box.model_id}"
    hide = HIDE_AFTER if place == "lab" else f"<style>.{mark} {{ display: none; }}</style>"
    if LIVE not in box._dom_classes:  # displayed for the first time
        box.add_class(LIVE)
        box.children = (*box.children, w.HTML(hide, layout={"display": "none"}))
    display({**view, "text/plain": ""}, raw=True)
    _display_still(frame, place, mark)


def _display_still(frame: Frame, place: str, mark: str) -> None:
    """The picture below a view, which stays when the view is gone."""
    if place == "vscode":
        html = f'<div class="{mark} {STILL}">{HIDE_DEAD}{frame.html}</div>'
        display({"text/html": html, "text/plain": frame.text}, raw=True)
    else:
        display(frame.data, metadata=frame.metadata, raw=True)
        tail = f'<div class="{STILL}">{HIDE_DEAD}{frame.spoken}</div>'
        display({"text/html": tail, "text/plain": ""}, raw=True)


def styled(controls: dict[str, w.Widget]) -> dict[str, w.Widget]:
    """The controls of a view, at a readable width. Raises ValueError without any, TypeError for one
    that is no widget.
    """
    if not controls:
        raise ValueError("a view without controls is a figure: use show(fig, alt=…) for it.")
    for name, control in controls.items():
        if not isinstance(control, w.Widget) or not hasattr(control, "value"):
            raise TypeError(
                f"{name}={control!r} is no control: pass an ipywidget with a value, e.g. IntSlider(3, 0, 9)."
            )
        control.style = {"description_width": "initial"}
        control.layout.width = control.layout.width or "min(560px, 95%)"
    return controls


def explore(
    draw: Callable[..., Frame],
    grid: Mapping[str, Sequence[Any]] | None = None,
    **controls: w.Widget,
) -> Explorer:
    """A live view: `draw` gets the controls' values by name and returns a `Picture` or a `Markup`.

    grid: the values of some controls for which pages without a kernel get a frame; see `frames.py`.

    >>> from course_utils.classroom import Markup
    >>> def square(n):
    ...     return Markup(f"<p>{n} squared is {n * n}</p>", f"{n} squared is {n * n}")
    >>> view = explore(square, n=w.IntSlider(3, 0, 9, description="n"))
    >>> view.controls["n"].value = 4
    >>> view.frame.text
    '4 squared is 16'

    Raises ValueError without controls, TypeError for a control that is no widget or a `draw` that
    returns no frame.
    """
    return Explorer(draw, styled(controls), grid)


def sweep() -> str:
    """Draws every view made so far at its least, default and greatest values; raises the first
    error with its setting.
    """
    frames = 0
    for number, view in enumerate(_views, 1):
        for setting in view.extremes():
            try:
                frame = view.frame_at(setting)
            except Exception as error:
                name = getattr(view.draw, "__name__", "draw")
                raise RuntimeError(
                    f"view {number}, {name}({setting}): {type(error).__name__}: {error}"
                ) from error
            if not (frame.html.strip() and frame.text.strip()):
                raise RuntimeError(f"view {number} draws nothing at {setting}")
            frames += 1
    return f"{len(_views)} views, {frames} frames drawn"


def _ends(control: w.Widget) -> list[Any]:
    """The values at the edges of what a control can hold."""
    if hasattr(control, "options"):  # Dropdown, SelectionSlider, ToggleButtons, SelectMultiple
        options = (
            control.options.items() if isinstance(control.options, Mapping) else control.options
        )
        values = [o[1] if isinstance(o, tuple) else o for o in options]
        return (
            [(), tuple(values)]
            if isinstance(control, w.SelectMultiple)
            else [values[0], values[-1]]
        )
    if isinstance(control, w.FloatLogSlider):
        return [control.base**control.min, control.base**control.max]
    if isinstance(control, (w.IntRangeSlider, w.FloatRangeSlider)):
        low = control.min
        high = control.max
        return [(low, low), (low, high), (high, high)]
    if hasattr(control, "min") and hasattr(control, "max"):
        return [control.min, control.max]
    if isinstance(control.value, bool):
        return [False, True]
    if isinstance(control.value, str):
        return ["", AWKWARD]
    raise TypeError(
        f"no known extremes for a {type(control).__name__}; use a slider, a selection, a checkbox or a text box."
    )
