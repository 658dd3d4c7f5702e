"""One notebook as one HTML page."""

from pathlib import Path

from nbconvert import HTMLExporter


class Page(HTMLExporter):
    """nbconvert's page of JupyterLab's looks, in which figures keep their alt text (its own template drops it)."""

    extra_template_basedirs = [str(Path(__file__).parent / "templates")]
    template_name = "page"
    embed_images = True
