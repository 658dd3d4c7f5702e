"""Slides from the saved notebooks: reveal.js decks that work offline, opened as a file, with
speaker notes (press S).

`lecture` chooses what stands on the wall and what the speaker says. Each `##` heading starts a
slide, what follows continues below it in pieces that fit a projector of 1280 x 720. `slideshow`
metadata on a cell goes first: slide, subslide, fragment, skip; a cell with slide_type `notes` is what
the speaker sees, and so is a comment `<!-- speaker: ... -->` in a markdown cell, which students do not
see in the notebook.
"""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import common
import npm
import still_views
from bs4 import BeautifulSoup
from common import BUILD, Problem
from layout import arrange, kind, title
from lecture import clocked, lecture
from nbconvert.exporters import SlidesExporter
from pages import markdown

from course_utils.exercises import catalog


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
    nb.cells = clocked(arrange(lecture(nb.cells, find)))
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
    npm.vendor(npm.REVEAL, deck / "reveal.js")
    common.write(deck / "index.html", page)
    count = sum(kind(cell) in ("slide", "subslide") for cell in nb.cells)
    return f"{pair.stem}: {count} slides, in {deck / 'index.html'}"


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
