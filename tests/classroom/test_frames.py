"""The settings of which frames are drawn for pages without a kernel, and what is stored of them."""

import base64
import io
import math

import ipywidgets as w
import numpy as np
import pytest
from PIL import Image

from course_utils.classroom import Markup, Picture, explore, frames, subplots


def settings(found):
    return [found.setting(place) for place in found.places]


def slider(value=3, low=0, high=9, step=1):
    return w.IntSlider(value=value, min=low, max=high, step=step, description="n")


def test_few_settings_are_all_drawn():
    found = frames.grid({"n": slider(), "big": w.Checkbox(False, description="big")})
    assert found.whole and len(found.places) == 20
    assert {"n": 7, "big": True} in settings(found)


def test_long_sliders_are_thinned_with_their_ends_and_their_default():
    found = frames.grid({"a": slider(37, 0, 100), "b": slider(2, -50, 50)})
    assert found.whole and len(found.places) <= frames.MOST
    for axis, ends in zip(found.axes, [(0, 100, 37), (-50, 50, 2)], strict=True):
        assert {*ends} <= set(axis.values) and axis.values[axis.default] == ends[2]
        assert list(axis.values) == sorted(axis.values)


def test_too_many_controls_move_one_at_a_time_around_the_default():
    controls = {name: slider(n, 0, 100) for n, name in enumerate("abcdef")}
    found = frames.grid(controls)
    assert not found.whole and len(found.places) <= frames.MOST
    home = {name: n for n, name in enumerate("abcdef")}
    moved = [sum(s[name] != home[name] for name in home) for s in settings(found)]
    assert moved.count(0) == 1 and set(moved) == {0, 1}


def test_the_lesson_declares_what_is_drawn():
    found = frames.grid({"n": slider(), "m": slider(5)}, {"n": [1, 3], "m": [5, 8, 9]})
    assert found.whole and len(found.places) == 6
    with pytest.raises(ValueError, match="lacks its default"):
        frames.grid({"n": slider()}, {"n": [1, 2]})
    with pytest.raises(ValueError, match="no controls"):
        frames.grid({"n": slider()}, {"k": [1]})


@pytest.mark.parametrize(
    ("control", "kind", "shown"),
    [
        (w.Dropdown(options=[("one", 1), ("two", 2)], value=2), "choice", ("one", "two")),
        (w.ToggleButtons(options=["x", "y"], value="x"), "choice", ("x", "y")),
        (w.SelectionSlider(options=["lo", "hi"], value="hi"), "range", ("lo", "hi")),
        (w.Checkbox(value=True), "check", ("no", "yes")),
        (w.FloatSlider(value=0.25, min=0, max=1, step=0.5), "range", ("0", "0.25", "0.5", "1")),
        (w.FloatLogSlider(value=1, min=-1, max=1, step=1), "range", ("0.1", "1", "10")),
        (w.Text("hello"), "text", ("hello",)),
    ],
)
def test_every_kind_of_control_says_what_it_can_be(control, kind, shown):
    axis = frames.grid({"c": control}).axes[0]
    assert (axis.kind, axis.shown) == (kind, shown)
    assert axis.values[axis.default] == control.value


def drawing(n):
    fig, ax = subplots(figsize=(3, 2))
    ax.bar(range(3), [n // 2, 1, 2])
    return Picture(fig, f"Three bars, of which the first is {n // 2} high.")


def test_without_a_folder_nothing_is_drawn_beforehand(monkeypatch):
    monkeypatch.delenv(frames.FOLDER, raising=False)
    assert frames.bundle(explore(drawing, n=slider()), None) is None


def test_pictures_are_small_files_named_by_their_content(monkeypatch, tmp_path, displayed):
    monkeypatch.setenv(frames.FOLDER, str(tmp_path / "frames"))
    view = explore(drawing, n=slider(3, 0, 5))
    [(data, _)] = displayed(view._ipython_display_)
    stored = data[frames.MIME]
    files = {frame["file"] for frame in stored["frames"].values()}
    assert len(stored["frames"]) == 6 and len(files) == 3  # 0 and 1 look the same, and so on
    assert files == {path.name for path in (tmp_path / "frames").iterdir()}
    frame = stored["frames"]["3"]
    assert frame["alt"] == "Three bars, of which the first is 1 high."
    raw = (tmp_path / "frames" / frame["file"]).read_bytes()
    png = base64.b64decode(view.frame.data["image/png"])
    assert len(raw) < len(png)
    seen, drawn = (np.asarray(Image.open(io.BytesIO(x)).convert("RGB"), float) for x in (raw, png))
    assert seen.shape == drawn.shape and np.abs(seen - drawn).mean() < 2  # of 255


def test_markup_is_kept_as_it_is(monkeypatch, tmp_path):
    monkeypatch.setenv(frames.FOLDER, str(tmp_path))
    view = explore(lambda n: Markup(f"<p>{n}</p>", f"n is {n}"), n=slider(1, 0, 2))
    stored = frames.bundle(view, None)
    assert [stored["frames"][str(i)] for i in range(3)] == [
        {"html": f"<p>{i}</p>"} for i in range(3)
    ]
    assert (
        stored["controls"][0]["shown"] == ["0", "1", "2"] and stored["controls"][0]["default"] == 1
    )


def test_the_number_of_frames_has_its_limit():
    controls = {name: slider(0, 0, 1000) for name in "abcdefghij"}
    assert len(frames.grid(controls).places) <= frames.MOST
    assert (
        math.prod(len(a.values) for a in frames.grid({"a": slider(0, 0, 999)}).axes) <= frames.MOST
    )
