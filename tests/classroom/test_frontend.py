"""What a run leaves in the file, by who shows it: one kernel that believes in turn to be in Lab, VS
Code, Colab, elsewhere, or saved.
"""

import json
import os
import subprocess
import sys

import common
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from course_utils.classroom.frontend import front_end
from course_utils.classroom.widgets import VIEW

SETUP = """
import os, sys, types
import ipywidgets as w, torch
from course_utils.classroom import Markup, Picture, explore, live, progress, show, subplots
from course_utils.classroom.frontend import front_end
from course_utils.training import token_batches, train
model = torch.nn.Sequential(torch.nn.Embedding(3, 8), torch.nn.Linear(8, 3))

def picture(n):
    fig, ax = subplots(figsize=(2, 1))
    ax.plot(range(n + 1))
    return Picture(fig, f"A line that rises from zero to {n}.")

def words(n):
    return Markup(f"<p>The number is {n}.</p>", f"the number {n}")

def counting(n):
    yield from map(words, range(n + 1))
"""
PLACES = {  # the front end: what the kernel finds there
    "lab": "os.environ['JPY_SESSION_NAME'] = 'lesson.ipynb'",
    "vscode": "__vsc_ipynb_file__ = 'lesson.ipynb'",
    "colab": "del __vsc_ipynb_file__; sys.modules['google.colab'] = types.ModuleType('google.colab')",
    "other": "del sys.modules['google.colab'], os.environ['JPY_SESSION_NAME']",
    "saved": "os.environ['COURSE_QUIET'] = '1'",
}
SHOWS = {
    "picture": "explore(picture, n=w.IntSlider(3, 0, 9))",
    "words": "explore(words, n=w.IntSlider(3, 0, 9))",
    "live": "live(counting, n=w.IntSlider(3, 0, 9))",
    "figure": "show(subplots(figsize=(2, 1))[0], 'Axes without any line, from zero to one.')",
    "bar": "bar = progress(range(3), 'steps'); first = next(bar)",
    "training": "history = train(model, token_batches(torch.arange(300) % 3, batch=8, T=4), steps=20)",
}
# How VS Code orders the MIME types of an output that it loads from a file:
# extensions/ipynb/src/deserializers.ts (2026).
VSCODE = ("application/vnd.", "application/vdom.", "application/geo+json", "application/x-nteract-model-debug+json", "text/html",
          "application/javascript", "image/gif", "text/latex", "text/markdown", "image/png", "image/svg+xml", "image/jpeg",
          "application/json", "text/plain")  # fmt: skip


@pytest.fixture(scope="module")
def outputs():
    """{(place, what is shown): its outputs}"""
    cells = [new_code_cell(SETUP)]
    kinds = []
    for place, there in PLACES.items():
        cells.append(new_code_cell(f"{there}\nassert front_end() == {place!r}, front_end()"))
        for kind, source in SHOWS.items():
            kinds.append((place, kind, len(cells)))
            cells.append(new_code_cell(source))
    nb = new_notebook(cells=cells)
    with pytest.MonkeyPatch.context() as patch:
        for name in ("JPY_SESSION_NAME", "VSCODE_PID"):
            patch.delenv(name, raising=False)
        common.execute(nb, "places", common.ROOT, {"COURSE_QUIET": "0"}, timeout=300)
    return {(place, kind): nb.cells[index].outputs for place, kind, index in kinds}


@pytest.mark.parametrize("place", PLACES)
def test_every_picture_is_stored_once_and_described(outputs, place):
    for kind, alt in (
        ("picture", "A line that rises from zero to 3."),
        ("figure", "Axes without any line, from zero to one."),
    ):
        shown = outputs[place, kind]
        text = json.dumps(shown)
        assert text.count("iVBORw0KGgo") == 1, "how each PNG begins in base64"
        assert alt in text
        page = "".join(output.data.get("text/html", "") for output in shown)
        live = place in ("lab", "vscode") or (kind == "figure" and place != "saved")
        assert (alt in page) == live, "a screen reader finds no words beside the picture"


def test_in_a_saved_run_there_is_the_picture_alone(outputs):
    for kind, mimes in (
        ("picture", {"image/png", "text/plain"}),
        ("words", {"text/html", "text/plain"}),
        ("live", {"text/html", "text/plain"}),
    ):
        [output] = outputs["saved", kind]
        assert set(output.data) == mimes
    assert outputs["saved", "bar"] == outputs["saved", "training"] == []


@pytest.mark.parametrize("place", ["colab", "other"])
def test_where_nothing_better_is_known_a_view_and_its_picture_are_one_bundle(outputs, place):
    [output] = outputs[place, "picture"]
    assert set(output.data) == {VIEW, "image/png", "text/plain"}


@pytest.mark.parametrize("place", ["lab", "vscode"])
@pytest.mark.parametrize("kind", ["picture", "words", "live"])
def test_in_lab_and_vs_code_the_picture_is_an_output_of_its_own(outputs, place, kind):
    view, still, *_ = outputs[place, kind]
    assert set(view.data) == {VIEW, "text/plain"} and view.data["text/plain"] == ""
    assert (
        VIEW not in still.data
        and {"image/png", "text/html"} & set(still.data)
        and "3" in still.data["text/plain"]
    )


@pytest.mark.parametrize("place", ["lab", "vscode", "colab", "other"])
@pytest.mark.parametrize("kind", ["bar", "training"])
def test_a_bar_leaves_nothing_to_see(outputs, place, kind):
    [output] = outputs[place, kind]
    assert output.data == {"text/html": "", "text/plain": ""}


def in_vscode(output, fails):
    """What VS Code shows of an output from a file, without the view's kernel: a MIME type and its
    data.

    Its renderer of views declines where the model is gone, and VS Code takes the next type. As in
    vscode-jupyter #17518, it may also fail: then the output is an error.
    """
    data = {
        mime: value
        for mime, value in output.data.items()
        if value != "" or not mime.startswith("application/vnd.")
    }
    order = sorted(
        data,
        key=lambda mime: next((n for n, start in enumerate(VSCODE) if mime.startswith(start)), 100),
    )
    if fails and order[0] == VIEW:
        return "error", ""
    best = next(mime for mime in order if mime != VIEW)
    return best, data[best]


@pytest.mark.parametrize(
    ("place", "fails"),
    [
        *((place, False) for place in PLACES),
        # one bundle does not survive that: the picture is behind the menu of MIME types
        *((place, True) for place in ("lab", "vscode", "saved")),
    ],
)
def test_vs_code_shows_the_picture_of_a_file_without_its_kernel(outputs, place, fails):
    shown = [in_vscode(output, fails) for output in outputs[place, "picture"]]
    assert any(mime == "image/png" or "<img " in data for mime, data in shown), shown
    shown = [in_vscode(output, fails) for output in outputs[place, "words"]]
    assert any("The number is 3." in data for mime, data in shown), shown
    assert not any(mime == "text/plain" and data for mime, data in shown), "words for nobody"


def test_here_is_no_notebook(monkeypatch):
    assert front_end() == "saved"
    monkeypatch.delenv("COURSE_QUIET")
    assert front_end() == "terminal"


@pytest.mark.parametrize(
    ("encoding", "mark"), [("cp1252", "WRONG:"), ("ascii", "WRONG:"), ("utf-8", "✗")]
)
def test_a_check_prints_into_any_pipe(encoding, mark):
    """A pipe on Windows has the encoding cp1252: ✓ and ✗ are not in it, nor is a β in the
    message.
    """
    program = """
from course_utils.checking.engine import Catalog, Exercise, Wrong
def check(student, rng):
    raise Wrong("β is 2 … not 3")
catalog = Catalog(lambda room: [Exercise("f", print, check, ["look at β"], 1, 1)], lambda: ["t"])
def f(): ...
catalog.check("t.f", f)
catalog.check("t.f", lambda: 1)
catalog.hint("t.f")
"""
    env = {**os.environ, "PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"}
    run = subprocess.run([sys.executable, "-c", program], env=env, capture_output=True)
    assert run.returncode == 0, run.stderr.decode()
    said = run.stdout.decode(encoding).splitlines()
    assert said[1].startswith(f"{mark} f: ") and len(said) == 3
    assert said[0].startswith("·" if encoding != "ascii" else "OPEN:")
