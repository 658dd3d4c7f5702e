"""What a notebook shows: figures in one house style with alt text that stays with them, and small
HTML frames.
"""

import base64
import html
import io
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
from cycler import cycler
from IPython.display import display
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from .frontend import front_end

# Okabe & Ito 2008: eight colours that readers with any kind of colour vision can tell apart.
COLORS = {
    "blue": "#0072B2", "orange": "#E69F00", "green": "#009E73", "vermillion": "#D55E00",
    "purple": "#CC79A7", "sky": "#56B4E9", "yellow": "#F0E442", "black": "#000000",
}  # fmt: skip
STYLE = {
    "axes.prop_cycle": cycler(color=list(COLORS.values())),
    "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "axes.axisbelow": True,
    "axes.titlesize": 15, "axes.titlelocation": "left", "axes.labelsize": 14,
    "grid.color": "#DDDDDD", "grid.linewidth": 0.8, "lines.linewidth": 2.2, "lines.markersize": 7,
    "font.size": 13, "xtick.labelsize": 12, "ytick.labelsize": 12, "legend.fontsize": 12, "legend.frameon": False,
    "figure.figsize": (8.0, 4.2), "figure.dpi": 100, "savefig.dpi": 100, "figure.constrained_layout.use": True,
    "figure.facecolor": "white", "savefig.facecolor": "white", "image.cmap": "cividis",
}  # fmt: skip
mpl.rcParams.update(STYLE)

MIN_ALT = 20  # characters; shorter than this it is a label, not a description


# For screen readers alone; a page that Lab does not trust keeps the size, which is enough
# (tests/test_browser.py).
UNSEEN = "position:absolute;width:1px;height:1px;margin:0;padding:0;overflow:hidden;clip-path:inset(50%);white-space:nowrap"


class Frame:
    """Something to look at, in every form a reader may need: MIME bundle for notebooks, HTML for
    live views.

    `text` is what a screen reader says, what nbval compares and what a terminal prints. `spoken` is
    HTML that says the same beside a form that no screen reader reads.
    """

    spoken = ""

    def __init__(self, data: dict[str, str], metadata: dict[str, dict], html: str, text: str):
        self.data = {**data, "text/plain": text}
        self.metadata = metadata
        self.html = html
        self.text = text

    def _ipython_display_(self) -> None:
        display(self.data, metadata=self.metadata, raw=True)
        if self.spoken and front_end() not in ("saved", "terminal"):
            display({"text/html": self.spoken, "text/plain": ""}, raw=True)


def subplots(
    nrows: int = 1, ncols: int = 1, figsize: tuple[float, float] | None = None, **kwargs: Any
) -> tuple[Figure, Any]:
    """`plt.subplots` without pyplot: a figure and its axes, in inches of `figsize`, which nobody
    else can see or close.

    Sliders draw while another cell may run, in another thread, and at the end of every cell the
    notebook closes the figures that pyplot knows. Further arguments go to `Figure.subplots`
    (`sharex`, `squeeze`, `gridspec_kw`, …).

    >>> fig, (left, right) = subplots(1, 2, figsize=(8, 3))
    >>> left.get_gridspec().ncols
    2
    """
    fig = Figure(figsize=figsize)
    return fig, fig.subplots(nrows, ncols, **kwargs)


class Picture(Frame):
    """A matplotlib figure with its alt text; the figure is closed.

    The alt text says what the picture shows, in a sentence or two, for those who cannot see it. It
    travels as plain text, as `metadata["image/png"]["alt"]` (where IPython's `Image(alt=…)` puts
    it, and our pages and slides find it), and inside a live view as the `alt` of an HTML image.
    JupyterLab shows PNG outputs without their alt text, so in a live page a second output says it,
    for screen readers alone. A PNG and not an HTML image is what a notebook holds, once: GitHub
    strips images out of HTML outputs.
    Raises TypeError for something that is no figure and ValueError for an alt text under 20
    characters.
    """

    def __init__(self, fig: Figure, alt: str):
        if not isinstance(fig, Figure):
            raise TypeError(
                f"expected a matplotlib Figure, got {type(fig).__name__}; make one with subplots()."
            )
        if len(alt.strip()) < MIN_ALT:
            raise ValueError(
                f"alt text {alt!r} is too short: say in a sentence what the picture shows."
            )
        # What `fig.savefig` does, less one of its two passes over everything: a live view draws
        # while a slider moves.
        canvas = FigureCanvasAgg(fig)
        canvas.draw()
        width, height = canvas.get_width_height()
        pixels = Image.frombuffer("RGBA", (width, height), canvas.buffer_rgba())
        buffer = io.BytesIO()
        pixels.convert("RGB").save(buffer, "png")
        plt.close(fig)
        png = base64.b64encode(buffer.getvalue()).decode()
        image = (
            f'<img alt="{html.escape(alt)}" width="{width}" height="{height}" '
            f'style="max-width:100%;height:auto" src="data:image/png;base64,{png}">'
        )
        super().__init__({"image/png": png}, {"image/png": {"alt": alt}}, image, alt)
        self.spoken = f'<p style="{UNSEEN}">Picture: {html.escape(alt)}</p>'


class Markup(Frame):
    """A piece of HTML. `body` must already be escaped (`html.escape`); `text` says the same in
    words.
    """

    def __init__(self, body: str, text: str):
        super().__init__({"text/html": body}, {}, body, text)


VISIBLE = str.maketrans({" ": "·", "\n": "↵", "\t": "⇥", "\r": "␍"})
# Okabe-Ito blue, orange, green and purple, mixed with white
TINTS = ("#CCE3F0", "#FAECCC", "#CCECE3", "#F5E4ED")


def token_strip(
    pieces: Sequence[str | bytes], ids: Sequence[int] | None = None, limit: int = 300
) -> Markup:
    """Tokens as a strip of boxes, each linked to its id below it; white space is made visible,
    everything is escaped.

    `pieces` are texts, or bytes where a token is only a part of a character (shown as hexadecimal).
    Only the first `limit` are drawn. Raises ValueError where there are not as many ids as pieces.

    >>> token_strip(["str", "aw", " berry"], [496, 675, 15717]).text
    "3 tokens: 'str' 496, 'aw' 675, '·berry' 15717"
    """
    if ids is not None and len(ids) != len(pieces):
        raise ValueError(f"{len(pieces)} pieces but {len(ids)} ids; each token needs one id.")
    words = [_visible(piece) for piece in pieces[:limit]]
    numbers = [str(int(i)) for i in ids[:limit]] if ids is not None else [""] * len(words)
    box = "display:inline-block;margin:1px;padding:2px 5px;border-radius:4px;color:#000;text-align:center"
    boxes = "".join(
        f'<span style="{box};background:{TINTS[n % len(TINTS)]}"><code style="color:#000;background:none;white-space:pre">'
        f'{html.escape(word)}</code><br><small style="color:#333">{number}</small></span>'
        for n, (word, number) in enumerate(zip(words, numbers, strict=True))
    )
    rest = f" … and {len(pieces) - limit} more" if len(pieces) > limit else ""
    count = f"{len(pieces)} token{'' if len(pieces) == 1 else 's'}"
    listed = ", ".join(
        f"{word!r} {number}".strip() for word, number in zip(words, numbers, strict=True)
    )
    body = f'<div style="font-size:16px;line-height:1.3"><b>{count}</b><br>{boxes}{rest}</div>'
    return Markup(body, f"{count}: {listed}{rest}" if words else count)


def _visible(piece: str | bytes) -> str:
    text = piece.decode("utf-8", "surrogateescape") if isinstance(piece, bytes) else piece
    return "".join(map(_shown, text.translate(VISIBLE)))


def _shown(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # how surrogateescape marks a byte that is not valid UTF-8
        return f"<{code - 0xDC00:02X}>"
    return character if character.isprintable() else f"<U+{code:04X}>"


def show(fig: Figure, alt: str) -> None:
    """Displays a figure with its alt text and closes it: the last line of a cell that draws."""
    display(Picture(fig, alt))
