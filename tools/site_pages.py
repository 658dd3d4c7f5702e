"""The pages of the website that are no lesson: the map of the lessons, all claims in one table that
can be sorted, the glossary.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from glossary import Term
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from lesson_map import Lesson
from markupsafe import Markup
from pages import mathematics

TEMPLATES = Path(__file__).parent / "templates" / "site"
BOX = (186, 46)  # of a lesson on the map, in its own units
STEP = (202, 92)
EDGE = 8  # around the map


@dataclass(frozen=True)
class Spot:
    """A lesson on the map: the corner of its box, and the lines of its name."""

    lesson: Lesson
    x: float
    y: float

    @property
    def name(self) -> str:
        """Its name as the map writes it.

        >>> Spot(Lesson("02_big_cats", "…", "…", ()), 0, 0).name
        'big cats'
        """
        return self.lesson.stem[3:].replace("_", " ")


def index(lessons: list[Lesson], built: set[str], claims: int, terms: int) -> str:
    """The front page: the map, and the lessons as a table. Only the lessons that are `built` (by
    the names of their files) are links.
    """
    spots = {spot.lesson.number: spot for spot in layout(lessons)}
    width = max((spot.x for spot in spots.values()), default=0) + BOX[0] + EDGE
    height = max((spot.y for spot in spots.values()), default=0) + BOX[1] + EDGE
    body = _template("index").render(
        spots=spots.values(),
        ways=list(_ways(spots)),
        size=(width, height),
        box=BOX,
        built=built,
        by_number={lesson.number: lesson for lesson in lessons},
    )
    pages = [lesson.stem for lesson in lessons if lesson.stem in built]
    pages += ["claims"] * bool(claims) + ["glossary"] * bool(terms)
    listed = "\n".join(["```{toctree}", ":hidden:", ":titlesonly:", "", *pages, "```", ""])
    return _page("Inside large language models", body) + listed


def layout(lessons: list[Lesson]) -> list[Spot]:
    """Where each lesson stands: below all that it builds on, near what it builds on."""
    by_number = {lesson.number: lesson for lesson in lessons}

    @cache
    def depth(number: str) -> int:
        needs = (n for n in by_number[number].needs if n in by_number)
        return 1 + max(map(depth, needs), default=-1)

    rows: dict[int, list[Lesson]] = {}
    for lesson in lessons:
        rows.setdefault(depth(lesson.number), []).append(lesson)
    widest = max(map(len, rows.values()), default=0)
    spots: dict[str, Spot] = {}
    for level, row in sorted(rows.items()):

        def middle(lesson: Lesson) -> float:
            above = [spots[n].x for n in lesson.needs if n in spots]
            return sum(above) / len(above) if above else 0

        left = EDGE + (widest - len(row)) * STEP[0] / 2
        for place, lesson in enumerate(sorted(row, key=middle)):
            spots[lesson.number] = Spot(lesson, left + place * STEP[0], EDGE + level * STEP[1])
    return list(spots.values())


def _ways(spots: dict[str, Spot]) -> Iterator[tuple[str, str, str]]:
    """(from, to, the curve's path) for each lesson that another builds on directly: not where a
    third one lies between them.
    """

    @cache
    def before(number: str) -> frozenset[str]:
        needs = {n for n in spots[number].lesson.needs if n in spots}
        return frozenset(needs.union(*map(before, needs)))

    for number, spot in spots.items():
        needs = [n for n in spot.lesson.needs if n in spots]
        for need in needs:
            if not any(need in before(other) for other in needs):
                x = spots[need].x + BOX[0] / 2
                y = spots[need].y + BOX[1]
                end = spot.x + BOX[0] / 2
                bend = (spot.y - y) / 2
                yield (
                    need,
                    number,
                    f"M{x:g} {y:g}C{x:g} {y + bend:g} {end:g} {spot.y - bend:g} {end:g} {spot.y:g}",
                )


def claims(rows: list[tuple[str, dict]]) -> str:
    """All claims, each with the lesson (its file's name) that judges it, as one table."""
    verdicts = [row["verdict"] for _, row in rows]
    counts = {verdict: verdicts.count(verdict) for verdict in dict.fromkeys(verdicts)}
    return _page("Claims", _template("claims").render(rows=rows, counts=counts))


def glossary(terms: list[Term]) -> str:
    """Every term in the sentence that explains it, with the way back to its lesson."""
    rows = [(term, slug(term.name), prose(term.sentence)) for term in terms]
    return _page("Glossary", _template("glossary").render(rows=rows))


def slug(term: str) -> str:
    """A term as the name of a place in a page.

    >>> slug("top-k sampling")
    'term-top-k-sampling'
    """
    return "term-" + "-".join(re.findall(r"\w+", term.lower()))


def prose(sentence: str) -> Markup:
    """A sentence of a lesson as HTML: its formulas, code and emphasis; all else is escaped.

    >>> print(prose("Of *two*, `a<b` & more."))
    Of <em>two</em>, <code>a&lt;b</code> &amp; more.
    """
    made = Markup()
    for part in re.split(
        r"(\$[^$]+\$|`[^`]+`|(?<!\w)\*[^*\s][^*]*\*|\[[^\]]+\]\([^)\s]+\))", sentence
    ):
        if part.startswith("$") and len(part) > 1:
            made += Markup(mathematics(part[1:-1]))
        elif part.startswith("`") and len(part) > 1:
            made += Markup("<code>{}</code>").format(part[1:-1])
        elif part.startswith("*") and len(part) > 1:
            made += Markup("<em>{}</em>").format(part[1:-1])
        elif link := re.fullmatch(r"\[([^\]]+)\]\(([^)\s]+)\)", part):
            made += Markup('<a href="{}">{}</a>').format(link[2], link[1])
        else:
            made += Markup("{}").format(part)
    return made


def raw(html: str) -> str:
    """HTML as a block of MyST that stands as it is; its words are found by the search."""
    return f"~~~~~~~~{{raw}} html\n{html.strip()}\n~~~~~~~~\n"


def _page(title: str, body: str) -> str:
    return f"# {title}\n\n{raw(body)}\n"


@cache
def _templates() -> Environment:
    return Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _template(name: str):
    return _templates().get_template(f"{name}.html.j2")
