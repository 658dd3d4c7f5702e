"""The contrast of text in HTML with inline styles, as WCAG 2.2 computes it (success criterion
1.4.3).
"""

import re
from html.parser import HTMLParser

PAGES = {"light": "#FFFFFF", "dark": "#111111"}  # JupyterLab's grounds
LEAST = 4.5  # for text that is not large
VOID = {"br", "img", "hr", "input", "meta", "link", "wbr", "col"}


def luminance(color):
    """Relative luminance of `#RGB` or `#RRGGBB`, from 0 (black) to 1 (white)."""
    digits = color.lstrip("#")
    digits = "".join(2 * d for d in digits) if len(digits) == 3 else digits
    linear = [
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4
        for c in (int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4))
    ]
    return sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one, other):
    """From 1 (the same) to 21 (black on white)."""
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


class _Texts(HTMLParser):
    """Collects (text, its colour, the ground under it); None where the page gives the colour or the
    ground.
    """

    def __init__(self):
        super().__init__()
        self.inside = [("", None, None)]
        self.found = []

    def handle_starttag(self, tag, attributes):
        if tag in VOID:
            return
        style = dict(attributes).get("style") or ""
        color = re.search(r"(?:^|;)\s*color:\s*(#\w+)", style)
        ground = re.search(r"background(?:-color)?:\s*(#\w+)", style)
        _, outer_color, outer_ground = self.inside[-1]
        self.inside.append(
            (tag, color[1] if color else outer_color, ground[1] if ground else outer_ground)
        )

    def handle_endtag(self, tag):
        while len(self.inside) > 1 and self.inside.pop()[0] != tag:
            pass

    def handle_data(self, text):
        if text.strip() and self.inside[-1][0] not in ("style", "script"):
            self.found.append((text.strip(), *self.inside[-1][1:]))


def pale_texts(html):
    """Texts of their own colour, or on a ground of their own, that are hard to read in the light or
    in the dark page.
    """
    texts = _Texts()
    texts.feed(html)
    faults = []
    for text, color, ground in texts.found:
        if not (color or ground):
            continue  # the page's own colours
        for theme, page in PAGES.items():
            ink = color or {"light": "#000000", "dark": "#FFFFFF"}[theme]
            if (ratio := contrast(ink, ground or page)) < LEAST:
                faults.append(f"{text[:30]!r} in the {theme} page: contrast {ratio:.1f}")
    return faults
