"""The claims table at the end of each notebook: what was said, what we measured, and the
verdict.
"""

import html
import math
import textwrap
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from IPython.display import display

MIME = "application/vnd.course.claims+json"
REPRODUCED = "reproduced"
PARTLY = "partly"
DIFFERS = "differs"
NOT_MEASURED = "not measurable here"
# Black on a pale ground of its own: readable in a light and in a dark page, which no one colour of
# text is.
_CHIP = "color:#000;padding:2px 6px;border-radius:4px;border:1px solid"
CHIPS = {
    REPRODUCED: f"{_CHIP} #009E73;background:#CCECE3",
    PARTLY: f"{_CHIP} #B07800;background:#FAECCC",
    DIFFERS: f"{_CHIP} #D55E00;background:#F9DFCC",
    NOT_MEASURED: f"{_CHIP} #767676;background:#E6E6E6",
}
COLUMNS = ("id", "claim", "source", "published", "measured", "tolerance", "verdict", "reason")


@dataclass(frozen=True)
class Claim:
    """One row: everything is text by now, ready to print."""

    id: str
    claim: str
    source: str
    published: str
    measured: str
    tolerance: str
    verdict: str
    reason: str
    criterion: str = ""
    link: str = ""


@dataclass(frozen=True)
class Source:
    """Where a claim stands, so that a reader can find it: the title of the document or paper, the
    section, and a link where there is one.
    """

    title: str
    section: str
    link: str = ""

    def __str__(self) -> str:
        return f"{self.title}, {self.section}"


@dataclass(frozen=True)
class Expected:
    """A claim with the criterion by which it will be judged; made by `Claims.expect`.

    Numbers are judged by their distance: reproduced within `tolerance`, partly within `partly`.
    Everything else by functions of what was measured: `holds`, and `partly`.
    """

    claim: str
    source: Source
    published: Any
    criterion: str
    tolerance: float = 0
    holds: Callable[[Any], bool] | None = None
    partly: Callable[[Any], bool] | float | None = None

    def verdict(self, measured: Any) -> str:
        """What the criterion says of a measurement."""
        if measured is None:
            return NOT_MEASURED
        return next((v for v, fits in self._ladder() if fits(measured)), DIFFERS)

    def _ladder(self) -> list[tuple[str, Callable[[Any], bool]]]:
        if self.holds is None:
            steps = [(REPRODUCED, self._within(self.tolerance))]
            return steps + ([(PARTLY, self._within(self.partly))] if self.partly else [])
        return [(REPRODUCED, self.holds)] + ([(PARTLY, self.partly)] if self.partly else [])

    def _within(self, tolerance: float) -> Callable[[Any], bool]:
        def near(measured: Any) -> bool:
            pairs = _pairs(self.published, measured)
            return pairs is not None and all(abs(m - p) <= tolerance for p, m in pairs)

        return near

    def terms(self) -> tuple:
        """All that may not change any more once something was measured. A function counts by what
        it does, so that its cell may run again.
        """
        codes = (getattr(f, "__code__", f) for f in (self.holds, self.partly))
        judged = [(c.co_code, c.co_consts) if hasattr(c, "co_code") else c for c in codes]
        return (self.claim, self.published, self.criterion, self.tolerance, *judged)


class Claims:
    """Collects the claims that a notebook verifies and shows them as one table.

    >>> claims = Claims("00")
    >>> claims.add(
    ...     "X1",
    ...     "pi is about 3.14",
    ...     source="textbook",
    ...     published=3.14,
    ...     measured=math.pi,
    ...     tolerance=0.01,
    ... )
    >>> claims.rows[0].verdict
    'reproduced'
    """

    def __init__(self, notebook: str):
        self.notebook = notebook
        self.rows = []
        self._expected: dict[str, Expected] = {}

    def expect(
        self,
        id: str,
        claim: str,
        *,
        source: Source,
        published: Any,
        tolerance: float | None = None,
        criterion: str = "",
        holds: Callable[[Any], bool] | None = None,
        partly: Callable[[Any], bool] | float | None = None,
    ) -> None:
        """Says what a claim is and how it will be judged, before anything is measured.

        For a number (or several): `published` with its `tolerance`; `partly` is a wider one. For a
        relation: `criterion` says in words what counts, and `holds` (and `partly`) decide it from
        what is measured. Raises ValueError where a criterion is missing or changes after the
        measurement.

        >>> claims = Claims("00")
        >>> claims.expect(
        ...     "X1",
        ...     "pi is about 3.14",
        ...     source=Source("A textbook", "chapter 1"),
        ...     published=3.14,
        ...     tolerance=0.01,
        ... )
        >>> claims.measure("X1", math.pi)
        >>> claims.rows[0].verdict
        'reproduced'
        """
        if (tolerance is None) == (holds is None):
            raise ValueError(
                f"claim {id}: give a tolerance for numbers, or `holds` for what is no number; one of the two."
            )
        if holds is not None and not criterion:
            raise ValueError(f"claim {id}: say in words what `holds` decides, with criterion=….")
        if holds is None and _pairs(_plain(published), _plain(published)) is None:
            raise ValueError(f"claim {id}: a tolerance needs numbers, and {published!r} is none.")
        if holds is None and (not tolerance >= 0 or (partly is not None and partly <= tolerance)):
            raise ValueError(f"claim {id}: the tolerance is 0 or more, and `partly` is wider.")
        expected = Expected(
            claim, source, _plain(published), criterion, tolerance or 0, holds, partly
        )
        before = self._expected.get(id)
        measured = any(row.id == id for row in self.rows)
        if measured and before is not None and before.terms() != expected.terms():
            raise ValueError(
                f"claim {id} was measured already: its criterion cannot change any more. Restart the kernel to begin again."
            )
        self._expected[id] = expected

    def criteria(self) -> None:
        """Shows what was set so far: each claim, where it stands, and what will count."""
        told = [
            (
                id,
                e.claim,
                str(e.source),
                e.criterion or f"within {_text(e.tolerance)} of {_text(e.published)}",
            )
            for id, e in self._expected.items()
        ]
        rows = "".join(
            f"<li><b>{html.escape(id)}</b> {html.escape(claim)} <small>[{html.escape(source)}]</small><br>"
            f"Counts as reproduced if: {html.escape(counts)}.</li>"
            for id, claim, source, counts in told
        )
        text = "\n".join(
            f"{id}  {claim} [{source}]\n    counts as reproduced if: {counts}"
            for id, claim, source, counts in told
        )
        display({"text/html": f"<ul>{rows}</ul>", "text/plain": text}, raw=True)

    def measure(self, id: str, measured: Any, shown: str = "", reason: str = "") -> None:
        """Judges a claim by the criterion that was set, and notes it for the table. shown: the measurement in words, where numbers alone do not say it.

        Raises ValueError for a claim without a criterion, a number that is not finite, and a claim
        that is not reproduced and comes without its `reason`.
        """
        if id not in self._expected:
            raise ValueError(
                f"claim {id} has no criterion yet: run the cell with claims.expect({id!r}, …) first."
            )
        expected = self._expected[id]
        measured = _plain(measured)
        _check_finite(id, measured)
        verdict = expected.verdict(measured)
        if verdict != REPRODUCED and not reason:
            raise ValueError(f"claim {id} comes out as {verdict!r}: say why, with reason=….")
        text = shown or ("" if measured is None else _text(measured))
        tolerance = "" if expected.tolerance == 0 else f"± {_text(expected.tolerance)}"
        row = Claim(
            id,
            expected.claim,
            str(expected.source),
            _text(expected.published),
            text,
            tolerance,
            verdict,
            reason,
            expected.criterion,
            expected.source.link,
        )
        self.rows = [other for other in self.rows if other.id != id] + [row]

    def add(
        self,
        id: str,
        claim: str,
        *,
        source: str,
        published: Any,
        measured: Any,
        tolerance: Any = 0,
        reason: str = "",
        holds: bool | None = None,
    ) -> None:
        """Adds a claim; the verdict follows from the numbers.

        `published` and `measured` are numbers, or sequences of them, compared within `tolerance`
        (absolute); or anything else that compares by `==` (a bool, a text). Where the claim is a
        relation (`published="falls with size"`), `holds` is the test you made of it, with
        `measured` as what you saw. `measured=None` means that it cannot be measured here. Running a
        cell again replaces its claim. Raises ValueError where a claim that differs, or was not
        measured, comes without its `reason`, where two claims have one id, where a measured number
        is not finite, and for a bad tolerance.
        """
        if any(row.id == id and row.claim != claim for row in self.rows):
            raise ValueError(
                f"claim {id} is in the table already, with another text; give each claim one row."
            )
        if not _is_number(tolerance) or not tolerance >= 0:
            raise ValueError(
                f"claim {id}: tolerance is {tolerance!r}; give a number of 0 or more, in the unit of the values."
            )
        published = _plain(published)
        measured = _plain(measured)
        verdict = _verdict(id, published, measured, tolerance, holds)
        if verdict != REPRODUCED and not reason:
            raise ValueError(
                f"claim {id} comes out as {verdict!r} (published {_text(published)}, measured {_text(measured)}): say why, with reason=…."
            )
        shown = "" if tolerance == 0 else f"± {_text(tolerance)}"
        measured_text = "" if measured is None else _text(measured)
        self.rows = [row for row in self.rows if row.id != id]
        self.rows.append(
            Claim(id, claim, source, _text(published), measured_text, shown, verdict, reason)
        )

    def show(self) -> None:
        """Displays the table, in the order of the ids: HTML for people, text for terminals and
        nbval, JSON for the course-wide CLAIMS.md.
        """
        # T2 before T10
        self.rows.sort(key=lambda row: (row.id.rstrip("0123456789"), len(row.id), row.id))
        later = ("criterion", "link")  # claims of the first edition have neither
        rows = [
            {
                "notebook": self.notebook,
                **{k: v for k, v in asdict(row).items() if v or k not in later},
            }
            for row in self.rows
        ]
        display({"text/html": self.html(), "text/plain": self.text(), MIME: rows}, raw=True)

    def text(self) -> str:
        """The table as plain text, one paragraph a claim."""
        lines = []
        for row in self.rows:
            lines.append(f"{row.id}  {row.verdict.upper()}: {row.claim} [{row.source}]")
            published = f"{row.published or '-'} {row.tolerance}".strip()
            if row.criterion:
                counts = f"counts as reproduced if {row.criterion}"
                lines += textwrap.wrap(counts, 100, initial_indent="    ", subsequent_indent="    ")
            lines.append(f"    published {published}; measured {row.measured or '-'}")
            lines += textwrap.wrap(row.reason, 100, initial_indent="    ", subsequent_indent="    ")
        return "\n".join(lines)

    def html(self) -> str:
        """The table as HTML, every cell escaped; the verdict is said in words and marked by a
        symbol, not by colour alone.
        """
        marks = {REPRODUCED: "✓", PARTLY: "≈", DIFFERS: "≠", NOT_MEASURED: "–"}
        left = 'style="text-align:left;vertical-align:top;padding:6px 10px;white-space:normal;max-width:30em"'
        head = "".join(
            f'<th scope="col" {left}>{name}</th>'
            for name in ("id", "claim", "source", "published", "measured", "verdict")
        )
        body = ""
        for row in self.rows:
            criterion = f"Counts as reproduced if {row.criterion}." if row.criterion else ""
            small = [f"<br><small>{html.escape(x)}</small>" for x in (criterion, row.reason) if x]
            source = html.escape(row.source)
            linked = f'<a href="{html.escape(row.link)}">{source}</a>' if row.link else source
            cells = [
                html.escape(row.claim) + "".join(small),
                linked,
                html.escape(f"{row.published} {row.tolerance}"),
                html.escape(row.measured),
            ]
            cells.append(
                f'<b style="{CHIPS[row.verdict]}">{marks[row.verdict]}&nbsp;{row.verdict}</b>'
            )
            body += (
                f'<tr><th scope="row" {left}>{html.escape(row.id)}</th>'
                + "".join(f"<td {left}>{cell}</td>" for cell in cells)
                + "</tr>"
            )
        caption = f"<caption>Claims verified in notebook {html.escape(self.notebook)}</caption>"
        return f"<table>{caption}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _verdict(id: str, published: Any, measured: Any, tolerance: Any, holds: bool | None) -> str:
    if measured is None:
        return NOT_MEASURED
    _check_finite(id, measured)
    if holds is not None:
        return REPRODUCED if holds else DIFFERS
    pairs = _pairs(published, measured)
    if pairs is None:
        return REPRODUCED if published == measured else DIFFERS
    return REPRODUCED if all(abs(m - p) <= tolerance for p, m in pairs) else DIFFERS


def _check_finite(id: str, measured: Any) -> None:
    several = measured if isinstance(measured, (list, tuple)) else [measured]
    if not all(math.isfinite(x) for x in several if _is_number(x)):
        raise ValueError(
            f"claim {id}: the measured value {measured} is not finite; the experiment went wrong."
        )


def _pairs(published: Any, measured: Any) -> list[tuple[float, float]] | None:
    """(published, measured) number by number, or None where the claim is not about numbers."""
    if _is_number(published) and _is_number(measured):
        return [(float(published), float(measured))]
    if (
        isinstance(published, (list, tuple))
        and isinstance(measured, (list, tuple))
        and len(published) == len(measured)
    ):
        if all(_is_number(x) for x in (*published, *measured)):
            return [(float(p), float(m)) for p, m in zip(published, measured, strict=True)]
    return None


def _plain(x: Any) -> Any:
    """Numbers and lists of Python for those of numpy and torch."""
    if isinstance(x, (list, tuple)):
        return [_plain(item) for item in x]
    return x.tolist() if hasattr(x, "tolist") else x


def _is_number(x: Any) -> bool:
    return not isinstance(x, (bool, str)) and hasattr(x, "__float__")


def _text(x: Any) -> str:
    if isinstance(x, bool):
        return "yes" if x else "no"
    if isinstance(x, (list, tuple)):
        return " / ".join(_text(item) for item in x)
    if not _is_number(x):
        return str(x)
    if float(x).is_integer() and abs(x) < 1e15:
        return f"{int(x):,}"
    return f"{float(x):,.1f}" if abs(x) >= 10_000 else f"{float(x):.4g}"
