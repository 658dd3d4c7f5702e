"""How a notebook's cells become slides: what starts one, what continues below, what needs a slide
of its own.

Heights are estimates, in lines of prose; `templates/deck/deck.js` measures in the browser and makes
smaller what came out too tall.
"""

import base64
import copy
import re
import struct
from collections import deque

from bs4 import BeautifulSoup
from cells import tags
from nbformat import NotebookNode

ROOM = 16.5  # lines of prose on a slide
SHRINKS = 2.5  # lines that a picture leaves to what is concluded from it
WIDTH = 88  # characters on a line of prose
CODE = 0.75  # the height of a line of code or printed output
CODE_WIDTH = 92
RUNNING = 1.3  # the running head
PICTURE = 10.0
OUTPUT_MOST = 12.0  # longer output scrolls
OUTPUT = "output-only"  # the tag of a cell that shows its output only
QUESTION = '<fieldset class="course-predict"'  # what `predict` shows in a saved notebook
CONCLUDES = "concludes"  # the tag of prose that speaks of the output above it
FOLLOWS = {OUTPUT, CONCLUDES}  # what may stand below a code cell


def arrange(cells: list[NotebookNode]) -> list[NotebookNode]:
    """The pieces of a lecture, each with its slide type, and the section's name where a slide has no
    heading; what does not fit is cut.
    """
    queue = deque(cells)
    arranged = []
    section = ""
    used = 0.0
    coded = False
    asked = False
    while queue:
        cell = queue.popleft()
        wanted = kind(cell)
        depth = level(cell)
        code = cell.cell_type == "code"
        height = lines(cell)
        follows = (not coded or tags(cell) & FOLLOWS) and not asked
        if not wanted and code and _splits(cell, used if follows else RUNNING):
            queue.extendleft(reversed(_halves(cell)))
            continue
        if depth in (1, 2) and wanted != "notes":
            section = heading(cell)
        fits = follows and used + height <= ROOM + (SHRINKS if CONCLUDES in tags(cell) else 0)
        if depth in (1, 2):
            usual = "slide"
        else:
            usual = "subslide" if (depth == 3 and coded) or not fits else "-"
        here = wanted or usual
        if here in ("slide", "subslide"):
            used, coded, asked = 0.0, False, False
            if depth not in (1, 2):
                cell.metadata["running"] = section
                used = RUNNING
        if here != "notes":
            used = used + height
            coded = coded or code
            asked = asked or _asks(cell)
        cell.metadata["slideshow"] = {**cell.metadata.get("slideshow", {}), "slide_type": here}
        arranged.append(cell)
    return arranged


def kind(cell: NotebookNode) -> str:
    """The slide type that a cell asks for, or has got; "" where it leaves it open."""
    return cell.metadata.get("slideshow", {}).get("slide_type", "")


def level(cell: NotebookNode) -> int:
    """The level of the heading that a cell begins with; 0 where it begins otherwise."""
    match = re.match(r"(#+) ", cell.source) if cell.cell_type == "markdown" else None
    return len(match[1]) if match else 0


def heading(cell: NotebookNode) -> str:
    """The text of the heading that a cell begins with."""
    return re.sub(r"[*`]", "", cell.source.splitlines()[0].lstrip("# "))


def title(cells: list[NotebookNode]) -> str:
    """The text of the first heading of level 1."""
    return next((heading(cell) for cell in cells if level(cell) == 1), "Slides")


def _asks(cell: NotebookNode) -> bool:
    """Whether a cell shows a question whose answer must not stand below it."""
    return any(
        QUESTION in output.get("data", {}).get("text/html", "")
        for output in cell.get("outputs", [])
    )


def _splits(cell: NotebookNode, used: float) -> bool:
    """Whether a code cell's output is better off on a slide of its own: both do not fit, but the
    code does, or never will.
    """
    if not cell.outputs or OUTPUT in tags(cell) or used + lines(cell) <= ROOM:
        return False
    return used + code_lines(cell) <= ROOM or RUNNING + lines(cell) > ROOM


def _halves(cell: NotebookNode) -> list[NotebookNode]:
    """A code cell as two: the code alone, and the output alone."""
    code = copy.deepcopy(cell)
    code.outputs = []
    return [code, output_only(copy.deepcopy(cell))]


def output_only(cell: NotebookNode) -> NotebookNode:
    """A code cell as one that shows its output and not its code."""
    cell.metadata["tags"] = [*tags(cell), OUTPUT]
    cell.metadata["transient"] = {"remove_source": True}
    return cell


def blocks(source: str) -> list[str]:
    """Headings, paragraphs, lists, tables and fences of a Markdown text: what blank lines separate,
    fences kept whole.
    """
    found = [[]]
    fence = False
    for line in source.splitlines():
        if line.lstrip().startswith(("```", "$$")) and line.count("$$") < 2:
            fence = not fence
        heads = not fence and re.match(r"#+ ", line)
        if (not line.strip() and not fence) or heads:
            found.append([])
        if line.strip() or fence:
            found[-1].append(line)
        if heads:
            found.append([])
    return ["\n".join(block) for block in found if block]


# --- Heights --------------------------------------------------------------------------------------


def lines(cell: NotebookNode) -> float:
    """About how many lines of prose a cell takes on a slide, with its outputs."""
    if cell.cell_type != "code":
        return sum(prose_lines(block) for block in blocks(cell.source))
    return (0 if OUTPUT in tags(cell) else code_lines(cell)) + sum(
        _output_lines(output) for output in cell.outputs
    )


def code_lines(cell: NotebookNode) -> float:
    return 0.8 + _small_lines(cell.source)


def prose_lines(block: str) -> float:
    if re.match(r"#+ ", block):
        return 1.8
    if block.startswith("```"):
        return _small_lines(block)
    rows = [
        row
        for row in re.split(r"\n(?=\s*(?:[-*+|>]|\d+\.) ?)", block)
        if not re.fullmatch(r"[|: -]+", row)
    ]
    return 0.4 + sum(PICTURE if "![" in row else 1.0 + len(row) // WIDTH for row in rows)


def _small_lines(text: str) -> float:
    return CODE * sum(1 + len(line) // CODE_WIDTH for line in text.splitlines())


def _output_lines(output: NotebookNode) -> float:
    data = output.get("data", {})
    markup = data.get("text/html", "")
    if "image/png" in data and not markup:
        width, height = struct.unpack(">II", base64.b64decode(data["image/png"][:32])[16:24])
        return min(400, height * min(1, 1230 / width)) / 40
    if "<img" in markup or "<svg" in markup:
        return PICTURE
    rows = BeautifulSoup(markup, "html.parser").find_all("tr")
    if rows:
        height = sum(1 + len(row.get_text()) // 110 for row in rows)
    else:
        text = (
            BeautifulSoup(markup, "html.parser").get_text(" ")
            if markup
            else output.get("text", data.get("text/plain", ""))
        )
        height = _small_lines(text)
    return min(height, OUTPUT_MOST) + 0.3
