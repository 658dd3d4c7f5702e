"""Slides from the saved notebooks: reveal.js decks that work offline, opened as a file, with speaker notes (press S).

Each `##` heading starts a slide, what follows continues below it in pieces that fit a projector of 1280 x 720. `slideshow`
metadata on a cell goes first: slide, subslide, fragment, skip; a cell with slide_type `notes` is what the speaker sees.
"""

import base64
import copy
import hashlib
import html
import inspect
import io
import re
import shutil
import struct
import subprocess
import tarfile
from collections import deque
from collections.abc import Callable
from pathlib import Path

import common
from bs4 import BeautifulSoup
from cells import checked, tags
from common import BUILD, CACHE, Problem
from latex2mathml.converter import convert
from nbconvert.exporters import SlidesExporter
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
from nbformat import NotebookNode
from nbformat.v4 import new_markdown_cell, new_notebook

from course_utils.exercises import catalog

PACKAGE = "reveal.js@5.2.1"
INTEGRITY = "r7//6mIM5p34hFiDMvYfXgyjXqGRta+/psd9YtytsgRlrpRzFv4RbH76TXd2qD+7ZPZEbpBDhdRhJaFgfQ7zNQ=="  # its sha512, as npm states it
FILES = ("dist/reset.css", "dist/reveal.css", "dist/reveal.js", "plugin/notes/notes.js", "LICENSE")
BADGE = re.compile(r"^\[!\[[^\]]*\]\([^)]*\)\]\(https://colab\.research\.google\.com/[^)]*\)\s*$", re.M)
ROOM = 15.0  # lines of prose on a slide
WIDTH = 78  # characters on a line of prose
RUNNING = 1.0  # lines that the running head takes
OUTPUT = "output-only"  # the tag of a cell that shows its output only
FOLLOWS = {"check", "hint", "solution", OUTPUT}  # a code cell that may stand below another one


class Deck(SlidesExporter):
    """nbconvert's slides with the template in `templates/deck`, and mathematics as MathML, which browsers set themselves."""

    extra_template_basedirs = [str(Path(__file__).parent / "templates")]
    template_name = "deck"

    @property
    def default_config(self):
        config = super().default_config
        config.NbConvertBase.display_data_priority = [
            "text/html", "text/markdown", "image/svg+xml", "text/latex", "image/png", "image/jpeg", "text/plain",
        ]  # fmt: skip
        return config

    def default_filters(self):
        yield from super().default_filters()
        yield ("markdown2html", lambda source: MarkdownWithMath(renderer=_Renderer(escape=False)).render(source))


class _Renderer(IPythonRenderer):
    def inline_math(self, body: str) -> str:
        return mathematics(body)

    def block_math(self, body: str) -> str:
        return mathematics(body, display="block")

    multiline_math = block_math

    def latex_environment(self, name: str, body: str) -> str:
        return self.block_math(rf"\begin{{{name}}}{body}\end{{{name}}}")


def mathematics(latex: str, display: str = "inline") -> str:
    """LaTeX as MathML. Raises Problem for a macro that the converter does not know."""
    known = re.sub(r"(begin|end)\{aligned\}", r"\1{split}", html.unescape(latex))  # the same thing under the name it knows
    try:
        made = convert(known, display=display)
    except Exception as error:
        raise Problem(f"the formula {latex.strip()!r} cannot be set: {type(error).__name__} {error}") from None
    if unknown := re.search(r">\\\w+<", made):
        raise Problem(f"the formula {latex.strip()!r} uses {unknown[0][1:-1]}, which the slides cannot set; write it another way.")
    return made


def build(pair: Path, folder: Path = BUILD / "slides", find: Callable = catalog.find) -> str:
    """Writes `folder/NN_topic/index.html` and the copy of reveal.js beside it; says where.

    `find` gives the Exercise for a `topic.name`, whose hints and solution go to the speaker's notes.
    """
    nb, deck = common.read(pair), folder / pair.stem
    nb.cells = arrange([part for cell in nb.cells for part in (cell, *speakers_notes(cell, find))])
    try:
        page, _ = Deck().from_notebook_node(nb, {"metadata": {"name": pair.stem}, "deck_title": title(nb.cells)})
    except Problem as problem:
        raise Problem(f"{pair.stem}: {problem}") from None
    if outside := external(page):
        raise Problem(f"{pair.stem}: slides must work offline, but these would load {', '.join(outside)}")
    vendor(deck / "reveal.js")
    common.write(deck / "index.html", page)
    count = sum(kind(cell) in ("slide", "subslide") for cell in nb.cells)
    return f"{pair.stem}: {count} slides, in {deck / 'index.html'}"


def kind(cell: NotebookNode) -> str:
    return cell.metadata.get("slideshow", {}).get("slide_type", "")


def arrange(cells: list[NotebookNode]) -> list[NotebookNode]:
    """The cells cut into pieces that fit, each with its slide type, and the section's name where a slide has no heading."""
    queue = deque(piece for cell in without_setup(cells) for piece in pieces(cell))
    arranged, section, used, coded = [], "", 0.0, False
    while queue:
        cell = queue.popleft()
        wanted, depth, code, height = kind(cell), level(cell), cell.cell_type == "code", lines(cell)
        follows = not coded or (code and tags(cell) & FOLLOWS)
        if not wanted and code and splits(cell, used if follows else RUNNING):
            queue.extendleft(reversed(halves(cell)))
            continue
        if depth in (1, 2):
            section = heading(cell)
        fits = follows and used + height <= ROOM
        here = wanted or ("slide" if depth in (1, 2) else "subslide" if depth == 3 or not fits else "-")
        if here in ("slide", "subslide"):
            used, coded = 0.0, False
            if depth not in (1, 2):
                cell.metadata["running"], used = section, RUNNING
        if here != "notes":
            used, coded = used + height, coded or code
        cell.metadata["slideshow"] = {**cell.metadata.get("slideshow", {}), "slide_type": here}
        cell.id = f"piece-{len(arranged) + 1:03d}"
        arranged.append(cell)
    return arranged


def speakers_notes(cell: NotebookNode, find: Callable) -> list[NotebookNode]:
    """What the speaker sees beside a code cell: what its figures show; hints and solution of the exercise that it checks."""
    texts = [output.get("metadata", {}).get("image/png", {}).get("alt", "") for output in cell.get("outputs", [])]
    for name in checked(new_notebook(cells=[cell])):
        exercise = find(name)
        texts.append(f"**{exercise.name}**: difficulty {exercise.difficulty} of 3, {exercise.minutes} minutes.")
        texts += [f"Hint {number}: {hint}" for number, hint in enumerate(exercise.hints, 1)]
        texts.append(f"```python\n{inspect.getsource(exercise.reference).rstrip()}\n```")
    text = "\n\n".join(filter(None, texts))
    return [new_markdown_cell(text, metadata={"slideshow": {"slide_type": "notes"}})] if text else []


def without_setup(cells: list[NotebookNode]) -> list[NotebookNode]:
    """Leaves out what nobody wants on a wall: `skip`, and the set-up and imports with the prose just before them."""
    dull = {n for n, cell in enumerate(cells) if tags(cell) & {"setup", "imports"} and not kind(cell)}
    dull |= {n - 1 for n in dull if n and cells[n - 1].cell_type == "markdown" and not level(cells[n - 1])}
    return [cell for n, cell in enumerate(cells) if n not in dull and kind(cell) != "skip"]


def splits(cell: NotebookNode, used: float) -> bool:
    """Whether a code cell's output is better off on a slide of its own: both do not fit, but the code does, or never will."""
    if not cell.outputs or OUTPUT in tags(cell) or used + lines(cell) <= ROOM:
        return False
    return used + code_lines(cell) <= ROOM or RUNNING + lines(cell) > ROOM


def halves(cell: NotebookNode) -> list[NotebookNode]:
    """A code cell as two: the code alone, and the output alone."""
    code, output = copy.deepcopy(cell), copy.deepcopy(cell)
    code.outputs = []
    output.metadata["tags"] = [*tags(cell), OUTPUT]
    output.metadata["transient"] = {"remove_source": True}
    return [code, output]


def pieces(cell: NotebookNode) -> list[NotebookNode]:
    """A cell of prose cut at its headings, and between paragraphs where it is too long for a slide; code as it is."""
    if cell.cell_type != "markdown" or kind(cell) == "notes":
        return [cell]
    parts, used = [], 0.0
    for block in blocks(BADGE.sub("", cell.source)):
        height, head = prose_lines(block), re.match(r"#{1,3} ", block)
        if parts and not head and (used + height <= ROOM or re.fullmatch(r"#+ .*", parts[-1])):
            parts[-1], used = f"{parts[-1]}\n\n{block}", used + height
        else:
            parts, used = [*parts, block], height
    made = [new_markdown_cell(part) for part in parts]
    for first in made[:1]:
        first.metadata = cell.metadata
    return made


def blocks(source: str) -> list[str]:
    """Paragraphs, lists, tables and fences of a Markdown text: what stands between blank lines, fences kept whole."""
    found, fence = [[]], False
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


def level(cell: NotebookNode) -> int:
    """The level of the heading that a cell begins with; 0 where it begins otherwise."""
    match = re.match(r"(#+) ", cell.source) if cell.cell_type == "markdown" else None
    return len(match[1]) if match else 0


def heading(cell: NotebookNode) -> str:
    return re.sub(r"[*`]", "", cell.source.splitlines()[0].lstrip("# "))


def title(cells: list[NotebookNode]) -> str:
    return next((heading(cell) for cell in cells if level(cell) == 1), "Slides")


def lines(cell: NotebookNode) -> float:
    """About how many lines of prose a cell takes on a slide, with its outputs."""
    if cell.cell_type != "code":
        return sum(prose_lines(block) for block in blocks(cell.source))
    return (0 if OUTPUT in tags(cell) else code_lines(cell)) + sum(output_lines(output) for output in cell.outputs)


def code_lines(cell: NotebookNode) -> float:
    return 0.8 + text_lines(cell.source)


def prose_lines(block: str) -> float:
    if re.match(r"#+ ", block):
        return 2.0
    rows = block.splitlines()
    if rows[0].startswith("```"):
        return text_lines(block)
    return 0.4 + sum(10.0 if "![" in row else 1.0 + len(row) // WIDTH for row in rows if not re.fullmatch(r"[|: -]+", row))


def text_lines(text: str) -> float:
    """Lines in the smaller type of code and printed output, long ones wrapped."""
    return 0.75 * sum(1 + len(line) // 90 for line in text.splitlines())


def output_lines(output: NotebookNode) -> float:
    data = output.get("data", {})
    if "image/png" in data and "text/html" not in data:
        width, height = struct.unpack(">II", base64.b64decode(data["image/png"][:32])[16:24])
        return min(460, height * min(1, 1230 / width)) / 40
    markup = data.get("text/html", "")
    if "<img" in markup or "<svg" in markup:
        return 10.0
    text = BeautifulSoup(markup, "html.parser").get_text("\n" if "<tr" in markup else " ") if markup else output.get("text", data.get("text/plain", ""))
    height = 0.9 * markup.count("<tr") if "<tr" in markup else text_lines(text)
    return min(height, 12.0) + 0.3


def external(page: str) -> list[str]:
    """What a page would load from the network; links to follow do not count."""
    soup = BeautifulSoup(page, "html.parser")
    found = [tag[key] for tag in soup.find_all(True) for key in ("src", "srcset", "data", "poster") if tag.has_attr(key)]
    found += [tag["href"] for tag in soup.find_all(["link", "image", "use", "base"]) if tag.has_attr("href")]
    styles = [tag.get_text() for tag in soup.find_all("style")] + [tag["style"] for tag in soup.find_all(style=True)]
    found += [url for style in styles for url in re.findall(r"""(?:url\(|@import)\s*["']?([^"')\s]+)""", style)]
    return [url for url in found if re.match(r"\s*(?:https?:|ftp:|//)", url)]


def vendor(folder: Path) -> None:
    """Puts reveal.js into `folder`, from the cache or by `npm pack`; its sha512 is checked either way. Raises Problem without npm."""
    archive = CACHE / f"{PACKAGE.replace('@', '-')}.tgz"
    if not archive.exists():
        npm = shutil.which("npm")
        if npm is None:
            raise Problem(f"slides need {PACKAGE}, which npm fetches, and npm is missing: install Node.js (https://nodejs.org), or put the package's archive at {archive}.")
        CACHE.mkdir(exist_ok=True)
        got = subprocess.run([npm, "pack", PACKAGE, "--silent", "--pack-destination", str(CACHE)], capture_output=True, text=True)
        if got.returncode:
            raise Problem(f"`npm pack {PACKAGE}` failed: {got.stderr.strip()[-300:]}")
    content = archive.read_bytes()
    if base64.b64encode(hashlib.sha512(content).digest()).decode() != INTEGRITY:
        archive.unlink()
        raise Problem(f"{archive} was not {PACKAGE} (wrong sha512) and has been removed; try again.")
    folder.mkdir(parents=True, exist_ok=True)
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        for name in FILES:
            (folder / Path(name).name).write_bytes(tar.extractfile(f"package/{name}").read())
