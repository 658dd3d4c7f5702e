"""One notebook as one HTML page, and Markdown whose mathematics needs no network.

python tools/notebooks.py pages [01 …]    pages whose views and predictions live, in build/pages/
"""

import html
import re
import shutil
from pathlib import Path

import still_views
from cells import form_title
from common import BUILD, Problem, write
from latex2mathml.converter import convert
from nbconvert import HTMLExporter
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath


class Page(HTMLExporter):
    """nbconvert's page of JupyterLab's looks, in which figures keep their alt text (its own
    template drops it).
    """

    extra_template_basedirs = [str(Path(__file__).parent / "templates")]
    template_name = "page"
    embed_images = True

    def from_notebook_node(self, nb, resources=None, **kw):
        """The page, without what front ends save of their widgets: a page has no kernel and no
        network to show them by.

        Colab saves it in a form of its own, without the part called "state", which nbconvert asks
        for.
        """
        nb = nb.copy()
        resources = {
            **(resources or {}),
            "course_script": still_views.SCRIPT.read_text(encoding="utf-8"),
        }
        nb.metadata = type(nb.metadata)(
            {key: value for key, value in nb.metadata.items() if key != "widgets"}
        )
        return super().from_notebook_node(nb, resources, **kw)

    def default_filters(self):
        yield from super().default_filters()
        yield ("markdown2html", markdown)
        yield ("form_title", form_title)


def build(pair: Path, folder: Path = BUILD / "pages") -> str:
    """Writes `folder/NN_topic.html`, with the frames of its views beside it; says where."""
    nb, pictures = still_views.executed(pair)
    page, _ = Page().from_notebook_node(
        still_views.with_views(nb), {"metadata": {"name": pair.stem, "path": str(pair.parent)}}
    )
    write(folder / f"{pair.stem}.html", page)
    if pictures.exists():
        shutil.copytree(pictures, folder / "frames", dirs_exist_ok=True)
    return f"{pair.stem}: {folder / pair.stem}.html"


def markdown(source: str) -> str:
    """Markdown as HTML, with mathematics as MathML, which browsers set themselves."""
    return MarkdownWithMath(renderer=_Renderer(escape=False)).render(source)


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
    # the same thing under the name it knows
    known = re.sub(r"(begin|end)\{aligned\}", r"\1{split}", html.unescape(latex))
    try:
        made = convert(known, display=display)
    except Exception as error:
        raise Problem(
            f"the formula {latex.strip()!r} cannot be set: {type(error).__name__} {error}"
        ) from None
    if unknown := re.search(r">\\\w+<", made):
        raise Problem(
            f"the formula {latex.strip()!r} uses {unknown[0][1:-1]}, which cannot be set; write it another way."
        )
    return made
