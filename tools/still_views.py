"""Views and predictions in pages and slides, where no kernel runs: a lesson is executed once with
all the frames of its views, and each view becomes plain HTML controls above a frame.
"""

import hashlib
import json
import shutil
from html import escape
from pathlib import Path

import common
from cells import code_cells
from common import BUILD, FIXED, ROOT
from nbformat import NotebookNode

from course_utils.classroom.frames import FOLDER, MIME

SCRIPT = Path(__file__).parent / "templates" / "course.js"
STYLE = """
.course-view { border: 1px solid #8888; border-radius: 6px; padding: 8px 14px; }
.course-controls { display: flex; flex-wrap: wrap; gap: 4px 28px; font-size: 16px; }
.course-controls label { display: flex; gap: 10px; align-items: center; }
.course-controls select, .course-controls input { font-size: 15px; }
.course-controls input[type=range] { flex: 1; max-width: 26em; }
.course-frame img { max-width: 100%; height: auto; }
"""


def executed(pair: Path, folder: Path = BUILD / "frames") -> tuple[NotebookNode, Path]:
    """A lesson with the frames of its views, and the folder in which these are. It is executed only
    where its code, or the package, has changed since.
    """
    nb = common.read(pair)
    here = folder / pair.stem
    key = _fingerprint(nb)
    done = here / "notebook.ipynb"
    stamp = here / "made_from"
    if not (done.exists() and stamp.exists() and stamp.read_text() == key):
        shutil.rmtree(here, ignore_errors=True)
        pictures = here / "frames"
        common.execute(nb, pair.stem, pair.parent, {**FIXED, FOLDER: str(pictures)}, timeout=None)
        common.write(done, common.dumps(nb))
        common.write(stamp, key)
    return common.read(done), here / "frames"


def _fingerprint(nb: NotebookNode) -> str:
    """What the frames depend on: the lesson's code and every file of the package."""
    found = hashlib.sha256("\0".join(cell.source for cell in code_cells(nb)).encode())
    for path in sorted((ROOT / "course_utils").rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            found.update(path.read_bytes())
    return found.hexdigest()


def with_views(nb: NotebookNode) -> NotebookNode:
    """The notebook with HTML in the place of each view that has its frames."""
    number = 0
    for cell in code_cells(nb):
        for output in cell.outputs:
            view = output.get("data", {}).get(MIME)
            if view is not None:
                number += 1
                output.data = {
                    "text/html": html_of(view, number),
                    "text/plain": output.data["text/plain"],
                }
                output.metadata = {}
    return nb


def html_of(view: dict, number: int) -> str:
    """Controls and frame of a view as HTML, with the frames' names as JSON for `course.js`."""
    controls = "".join(_control(c, f"view-{number}-{i}") for i, c in enumerate(view["controls"]))
    first = view["frames"][",".join(str(c["default"]) for c in view["controls"])]
    note = "" if view["whole"] else "<small>Without a kernel, one control moves at a time.</small>"
    data = json.dumps({"frames": view["frames"], "whole": view["whole"]}).replace("</", "<\\/")
    return (
        f'<div class="course-view"><style>{STYLE}</style><div class="course-controls">{controls}{note}</div>'
        f'<div class="course-frame">{_frame(first)}</div>'
        f'<script type="application/json">{data}</script></div>'
    )


def _frame(frame: dict) -> str:
    if "html" in frame:
        return frame["html"]
    width, height = frame["size"]
    return f'<img src="frames/{frame["file"]}" alt="{escape(frame["alt"])}" width="{width}" height="{height}">'


def _control(control: dict, id: str) -> str:
    label = escape(control["label"])
    shown = control["shown"]
    default = control["default"]
    if control["kind"] == "text":
        text = escape(shown[default])
        field = f'<input type="text" value="{text}" disabled> <small>live in the notebook</small>'
        return f'<label>{label} {field}<input type="hidden" data-axis data-default="0" value="0"></label>'
    data = f'id="{id}" data-axis data-default="{default}" data-shown="{escape(json.dumps(shown))}"'
    if control["kind"] == "check":
        return (
            f'<label><input type="checkbox" {data}{" checked" if default else ""}> {label}</label>'
        )
    if control["kind"] == "choice":
        options = "".join(
            f'<option value="{i}"{" selected" if i == default else ""}>{escape(text)}</option>'
            for i, text in enumerate(shown)
        )
        return f"<label>{label} <select {data}>{options}</select></label>"
    field = f'<input type="range" min="0" max="{len(shown) - 1}" value="{default}" {data}>'
    return f'<label>{label} {field}<output for="{id}">{escape(shown[default])}</output></label>'
