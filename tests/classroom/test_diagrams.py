"""Diagrams: boxes that hold their labels, arrows between borders, and nothing cut off."""

import base64
import io

import numpy as np
import pytest
from matplotlib.patches import FancyArrowPatch
from PIL import Image

from course_utils.classroom import Diagram

ALT = "A box x, from which an arrow leads to a box softmax."


def pixels(picture):
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(picture.data["image/png"]))))


def pair(**arrow):
    d = Diagram()
    x = d.box("x", 0, 0)
    y = d.box("softmax", 4, 1, color="orange")
    d.arrow(x, y, **arrow)
    return d, x, y


def test_nothing_touches_the_border():
    d, *_ = pair(label="scores")
    d.note("a note that is long", 2, -1.4)
    image = pixels(d.picture(ALT)).astype(int)
    border = np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])
    assert (border == 255).all()


def test_an_arrow_goes_from_border_to_border():
    d, x, y = pair()
    d.picture(ALT)
    [arrow] = [p for p in d.axes.patches if isinstance(p, FancyArrowPatch)]
    ends = arrow.get_path().get_extents()
    assert ends.x0 > x.x + x.width / 2 - 0.15 and ends.x1 < y.x - y.width / 2 + 0.15
    assert ends.x0 < ends.x1


def test_a_label_that_does_not_fit_is_refused_with_the_width_that_it_needs():
    d = Diagram()
    d.box("a label that is far too long for this", 0, 0, width=1.5)
    with pytest.raises(ValueError, match=r"needs a box of width \d+\.\d; it has 1\.5"):
        d.picture(ALT)


@pytest.mark.parametrize(
    ("bend", "passes"), [(0.0, True), (0.1, True), (0.4, False), (-0.4, False)]
)
def test_an_arrow_that_passes_through_a_box_is_refused_with_their_names(bend, passes):
    d = Diagram()
    first, _, last = (d.box(name, 4 * i, 0) for i, name in enumerate("abc"))
    d.arrow(first, last, bend=bend)
    alt = "Three boxes in a row, and an arrow from the first to the last."
    if passes:
        with pytest.raises(ValueError, match=r"from 'a' to 'c' passes through 'b'; move a box"):
            d.picture(alt)
    else:
        assert d.picture(alt).text == alt


def test_no_text_is_smaller_than_11_points():
    d, *_ = pair(label="scores")
    d.note("note", 0, 2)
    assert len(d.axes.texts) == 4 and min(t.get_fontsize() for t in d.axes.texts) >= 11


def test_the_alt_text_is_asked_for():
    with pytest.raises(ValueError, match="too short"):
        pair()[0].picture("boxes")
