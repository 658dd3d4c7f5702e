"""The course as a website that needs no kernel and no network, in build/site.

    python tools/website.py [01 …]

Sphinx builds it with myst-nb and sphinx-book-theme, from the saved notebooks. Every lesson is executed
once more for the frames of its views, where that was not done since it changed. Views and predictions
live as on the pages of `make pages`; code of display cells, hints and solutions are folded.
"""

import argparse
import base64
import hashlib
import html
import inspect
import io
import re
import shutil
from collections.abc import Callable, Iterator
from html import escape
from pathlib import Path

import address
import claims
import common
import glossary
import lesson_map
import site_pages
import still_views
from cells import BADGE, checked, form_title, tags
from common import BUILD, ROOT, Problem, pair_of, sources
from docutils import nodes
from nbformat import NotebookNode
from nbformat.v4 import new_markdown_cell, new_notebook
from pages import mathematics
from PIL import Image
from sphinx.application import Sphinx
from sphinx.util.docutils import docutils_namespace, patch_docutils

from course_utils.exercises import catalog

TITLE = "Inside large language models"
OWN = Path(__file__).parent / "templates" / "site"
MOST = 8 * 2**20  # bytes of a page with all that it shows, every frame of its views included
PROGRESS = "application/vnd.course.progress+json"
PYTHON = {
    "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"},
    "language_info": {"name": "python", "pygments_lexer": "ipython3"},
}
TERM = re.compile(r"(?<!\*)\*\*([^*]+)\*\*(?!\*)")
SETTINGS = {
    "project": TITLE,
    "author": "",
    "copyright": "",
    "extensions": ["myst_nb", "website"],
    "nb_execution_mode": "off",
    "nb_ipywidgets_js": {},
    "nb_merge_streams": True,
    "myst_enable_extensions": ["dollarmath", "amsmath"],
    "myst_dmath_double_inline": True,
    # what Jupyter does not read as MyST does
    "myst_disable_syntax": ["myst_role", "myst_line_comment", "myst_block_break", "myst_target"],
    "myst_heading_anchors": 0,
    "html_math_renderer": "mathml",
    "html_theme": "sphinx_book_theme",
    "html_title": TITLE,
    "html_context": {"default_mode": "auto"},
    "smartquotes": False,
    "html_static_path": ["_static"],
    "html_css_files": ["site.css"],
    "html_js_files": [("course.js", {"defer": "defer"}), ("site.js", {"defer": "defer"})],
    "html_copy_source": False,
    "html_show_sourcelink": False,
    "html_show_copyright": False,
    "html_show_sphinx": False,
    "html_last_updated_fmt": None,
    "suppress_warnings": ["misc.highlighting_failure", "myst.header"],
}
THEME = {
    "use_download_button": False,  # it gives the notebook as it was prepared for the page
    "use_fullscreen_button": False,
    "home_page_in_toc": True,
    "navbar_persistent": [],  # the search has its place in the sidebar
    "show_toc_level": 2,
    "navigation_with_keys": False,  # the arrows move sliders
}


def build(
    pairs: list[Path], folder: Path = BUILD / "site", find: Callable = catalog.find
) -> list[str]:
    """Writes the site with these lessons to `folder`, and says what each page weighs. `find` gives
    the Exercise for a `topic.name`, whose hints and solution are folded.

    Raises Problem where Sphinx warns of something, and where a page is too heavy.
    """
    made = folder.with_name(f"{folder.name}-source")
    shutil.rmtree(made, ignore_errors=True)
    frames = made / "frames"
    frames.mkdir(parents=True)
    notebooks = pairs[0].parent
    terms = [t for t in glossary.terms(notebooks) if t.stem in {pair.stem for pair in pairs}]
    for pair in pairs:
        nb, pictures = still_views.executed(pair)
        if pictures.exists():
            shutil.copytree(pictures, frames, dirs_exist_ok=True)
        common.write(
            made / f"{pair.stem}.ipynb",
            common.dumps(prepared(nb, pair.stem, {p.stem for p in pairs}, terms, find, frames)),
        )
    judged = [(pair.stem, row) for pair in pairs for row in claims.rows_of(pair)]
    stems = {pair.stem for pair in pairs}
    lessons = lesson_map.lessons(notebooks)
    common.write(made / "index.md", site_pages.index(lessons, stems, len(judged), len(terms)))
    if judged:
        common.write(made / "claims.md", site_pages.claims(judged))
    if terms:
        common.write(made / "glossary.md", site_pages.glossary(terms))
    (made / "_static").mkdir()
    for script in (still_views.SCRIPT, OWN / "site.css", OWN / "site.js"):
        shutil.copy(script, made / "_static")
    shutil.rmtree(folder, ignore_errors=True)
    _sphinx(made, folder)
    shutil.copytree(frames, folder / "frames", dirs_exist_ok=True)
    (folder / "notebooks").mkdir()
    for pair in pairs:
        shutil.copy(pair, folder / "notebooks")
    common.write(folder / ".nojekyll", "")  # or GitHub leaves out what begins with _
    return _weighed(folder, pairs)


def _sphinx(made: Path, folder: Path) -> None:
    where = address.read(ROOT)
    theme = {**THEME}
    if address.is_set():
        theme |= {"repository_url": where.repository, "use_repository_button": True}
    said = io.StringIO()
    with patch_docutils(), docutils_namespace():
        app = Sphinx(
            made,
            None,
            folder,
            made.with_name(f"{made.name}-doctrees"),
            "html",
            confoverrides={**SETTINGS, "html_theme_options": theme},
            status=None,
            warning=said,
            freshenv=True,
        )
        app.build(force_all=True)
    if lines := [line for line in said.getvalue().splitlines() if line.strip()]:
        raise Problem("Sphinx says:\n" + "\n".join(lines))
    (folder / ".buildinfo").unlink(missing_ok=True)


def setup(app: Sphinx) -> dict[str, bool]:
    """What Sphinx calls: mathematics as MathML, which browsers set themselves."""
    app.add_html_math_renderer("mathml", (_inline, None), (_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _inline(translator: nodes.NodeVisitor, node: nodes.math) -> None:
    translator.body.append(mathematics(node.astext()))
    raise nodes.SkipNode


def _block(translator: nodes.NodeVisitor, node: nodes.math_block) -> None:
    shown = mathematics(node.astext(), display="block")
    translator.body.append(f'<div class="course-formula" tabindex="0">{shown}</div>')
    raise nodes.SkipNode


# --- A lesson ------------------------------------------------------------------------------------


def prepared(
    nb: NotebookNode,
    stem: str,
    built: set[str],
    terms: list[glossary.Term],
    find: Callable,
    frames: Path,
) -> NotebookNode:
    """A lesson as Sphinx gets it: views and pictures as HTML, what is folded as details, the badge
    as links of the page, and its terms as links to the glossary. Pictures go to `frames`.
    """
    nb = still_views.with_views(nb)
    own = {term.name for term in terms if term.stem == stem}
    cells = []
    for cell in nb.cells:
        if cell.cell_type == "markdown":
            cells.append(new_markdown_cell(_text(cell.source, stem, built, own)))
        elif cell.cell_type == "code":
            cells += _code(cell, find, frames)
    made = new_notebook(cells=cells, metadata=PYTHON)
    for number, cell in enumerate(made.cells, 1):
        cell.id = f"cell-{number:03d}"  # the same at every build
    return made


def _text(source: str, stem: str, built: set[str], own: set[str]) -> str:
    source = re.sub(r"<!--.*?-->\n?", "", source, flags=re.S)
    source = BADGE.sub(lambda badge: _links(badge[1], stem), source)
    source = re.sub(r"\]\((\d\d_\w+)\.ipynb", lambda to: _link(to[1], built), source)

    def explained(found: re.Match) -> str:
        name = " ".join(found[1].split())
        if name not in own:
            return found[0]
        own.discard(name)
        place = site_pages.slug(name)
        return f'<a class="course-term" id="{place}" href="glossary.html#{place}">{found[0]}</a>'

    return TERM.sub(explained, source)


def _link(stem: str, built: set[str]) -> str:
    if stem in built:
        return f"]({stem}.ipynb"
    where = address.read(ROOT)
    return f"]({where.repository}/blob/{where.ref}/notebooks/{stem}.ipynb"


def _links(colab: str, stem: str) -> str:
    return (
        f'<span class="course-open"><a href="{escape(colab)}">Open in Colab</a> '
        f'<a href="notebooks/{stem}.ipynb" download>Download</a> '
        '<button type="button" data-print>Print</button></span>'
    )


def _code(cell: NotebookNode, find: Callable, frames: Path) -> Iterator[NotebookNode]:
    """A code cell's pieces; none of what only counts exercises."""
    if "check" in tags(cell):
        for name in checked(new_notebook(cells=[cell])):
            yield new_markdown_cell(_answers(find(name)))
        return
    if any(PROGRESS in output.get("data", {}) for output in cell.outputs):
        return
    cell.outputs = [_shown(output, frames) for output in cell.outputs]
    if title := form_title(cell):
        yield new_markdown_cell(fold(f"{title} · the code", _fenced(cell.source)))
        if not cell.outputs:
            return
        cell.metadata = {"tags": ["remove-input"]}
    else:
        cell.metadata = {}
    yield cell


def fold(summary: str, body: str) -> str:
    """Markdown that is folded away under a line, whatever stands in that line.

    >>> print(fold("a < b", "text").splitlines()[0])
    <details class="course-fold"><summary>a &lt; b</summary>
    """
    return f'<details class="course-fold"><summary>{escape(summary)}</summary>\n\n{body}\n\n</details>\n'


def _answers(exercise: object) -> str:
    parts = [fold(f"Hint {n}", hint) for n, hint in enumerate(exercise.hints, 1)]
    parts.append(fold("Solution", _fenced(inspect.getsource(exercise.reference).rstrip())))
    return "\n".join(parts)


def _fenced(source: str) -> str:
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", source)), default=0))
    return f"{fence}ipython3\n{source}\n{fence}"


def _shown(output: NotebookNode, frames: Path) -> NotebookNode:
    """An output as a page takes it: pictures as files named by what is in them, with their alt
    text; nothing that asks for a kernel.
    """
    data = output.get("data")
    if not data:
        return output
    if "image/png" in data:
        alt = output.metadata.get("image/png", {}).get("alt", data.get("text/plain", ""))
        output.data = {"text/html": _picture(base64.b64decode(data["image/png"]), alt, frames)}
    else:
        output.data = {
            k: data[k] for k in ("text/html", "text/markdown", "text/plain") if k in data
        }
    output.metadata = {}
    return output


def _picture(png: bytes, alt: str, frames: Path) -> str:
    image = Image.open(io.BytesIO(png))
    file = f"{hashlib.sha256(png).hexdigest()[:16]}.webp"
    if not (frames / file).exists():
        image.save(frames / file, "webp", lossless=True)
    return f'<img src="frames/{file}" alt="{escape(alt)}" width="{image.width}" height="{image.height}" loading="lazy">'


# --- What it weighs -------------------------------------------------------------------------------


def _weighed(folder: Path, pairs: list[Path]) -> list[str]:
    sizes = {pair.stem: weight(folder / f"{pair.stem}.html") for pair in pairs}
    heavy = [f"{stem}: {size / 2**20:.1f} MB" for stem, size in sizes.items() if size > MOST]
    if heavy:
        raise Problem(f"a page may weigh {MOST / 2**20:.0f} MB with its frames; {', '.join(heavy)}")
    lines = [f"{stem}: {size / 2**20:.1f} MB" for stem, size in sizes.items()]
    return [*lines, f"the site: {folder / 'index.html'}"]


def weight(page: Path) -> int:
    """Bytes of a page with all that it shows or may show: pictures, scripts, styles, every frame."""
    text = page.read_text(encoding="utf-8")
    names = set(re.findall(r"[0-9a-f]{16}\.webp", text))
    files = {page.parent / "frames" / name for name in names}
    for link in re.findall(r'(?:src|href)="([^"#?:]+\.(?:js|css))[^"]*"', text):
        files.add(page.parent / html.unescape(link))
    return len(text.encode()) + sum(file.stat().st_size for file in files)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("notebooks", nargs="*", metavar="NB", help="e.g. 01; all without any")
    pairs = [pair_of(source) for source in sources(parser.parse_args().notebooks)]
    for line in build(pairs):
        print(line)
    return 0


if __name__ == "__main__":
    common.command(main)
