"""A live view: how long it takes from the move of a slider to the new picture."""

import io
from collections.abc import Iterator

from matplotlib.figure import Figure

from races import OURS, Race


def races(points: int = 200) -> Iterator[Race]:
    """A redraw of two panels, beside what matplotlib alone takes to write the same figure as PNG.

    The goal is 0.1 seconds on one quiet core. What a figure costs is its layout (matplotlib finds
    room for every label by drawing it), the drawing of labels and lines, and the packing of pixels.
    """
    import ipywidgets as widgets
    import numpy as np

    from course_utils.classroom import Picture, subplots
    from course_utils.classroom.widgets import Explorer

    x = np.linspace(0, 1, points)

    def figure(power: int) -> Figure:
        fig, (left, right) = subplots(1, 2, figsize=(9, 3.6))
        left.plot(x, x**power, label=f"power {power}")
        left.set(xlabel="position", ylabel="height", title="a curve")
        left.legend()
        right.bar(range(12), x[:12] ** (1 / power))
        right.set(xlabel="place", ylabel="height", title="and bars")
        return fig

    def draw(power: int) -> Picture:
        return Picture(figure(power), f"A curve with the power {power}, and twelve bars.")

    view = Explorer(draw, {"power": widgets.IntSlider(value=2, min=1, max=9)})

    def ours() -> bool:
        view.refresh()
        return "data:image/png" in view.pane.value

    def alone() -> bool:
        buffer = io.BytesIO()
        figure(2).savefig(buffer, format="png")
        return buffer.tell() > 0

    yield Race(
        "a live view of two panels, drawn again",
        {OURS: ours, "matplotlib's savefig alone": alone},
        required={"matplotlib's savefig alone": 0.9},
        same=frozenset({"matplotlib's savefig alone"}),
    )
