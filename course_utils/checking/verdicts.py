"""What is shown of checks: a sentence for the student, the same as data for those who collect it,
and a table of all exercises of a lesson.
"""

import html
from collections.abc import Sequence
from dataclasses import dataclass

from course_utils.classroom.frontend import tell

CHECK = "application/vnd.course.check+json"
PROGRESS = "application/vnd.course.progress+json"
PASSES = "passes"
FAILS = "fails"
OPEN = "open"
MARKS = {PASSES: "✓", FAILS: "✗", OPEN: "·"}
YOURS = "yours"
OURS = "the course's"
GOES_ON = {
    PASSES: "The lesson goes on with yours.",
    FAILS: "The lesson goes on with the course's own.",
    OPEN: "Until then the lesson goes on with the course's own.",
}
_CELL = 'style="text-align:left;padding:4px 10px"'


@dataclass(frozen=True)
class Verdict:
    """What a check said last of an exercise; OPEN where there was none. seed: of the numbers on
    which it failed.
    """

    name: str
    state: str
    message: str
    seed: int | None = None

    @property
    def data(self) -> dict[str, str | int | None]:
        """The verdict for a program: the saved notebook holds it under the MIME type CHECK."""
        uses = YOURS if self.state == PASSES else OURS
        return {
            "name": self.name,
            "verdict": self.state,
            "message": self.message,
            "seed": self.seed,
            "goes_on_with": uses,
        }

    def show(self) -> None:
        """The sentence, and which function the lesson goes on with."""
        again = "" if self.seed is None else f" (Again on the same numbers: seed={self.seed}.)"
        text = f"{MARKS[self.state]} {self.message}{again} {GOES_ON[self.state]}"
        tell(text, {CHECK: self.data})


def show_progress(verdicts: Sequence[tuple[Verdict, int]]) -> None:
    """A table of exercises, each with its minutes: which pass, which fail, which are open."""
    states = [verdict.state for verdict, _ in verdicts]
    left = sum(minutes for verdict, minutes in verdicts if verdict.state != PASSES)
    counts = ", ".join(f"{states.count(s)} {s}" for s in (PASSES, FAILS, OPEN) if s in states)
    sum_up = f"Your exercises: {counts}. " + (
        f"About {left} minutes are left." if left else "Done."
    )
    lines = [f"  {MARKS[v.state]} {v.name}, {minutes} min: {v.state}" for v, minutes in verdicts]
    rows = "".join(
        f"<tr><td {_CELL}><code>{html.escape(v.name)}</code></td><td {_CELL}>{minutes} min</td>"
        f"<td {_CELL}>{MARKS[v.state]}&nbsp;{v.state}</td></tr>"
        for v, minutes in verdicts
    )
    head = "".join(f'<th scope="col" {_CELL}>{x}</th>' for x in ("exercise", "time", "state"))
    table = f"<table><caption>{sum_up}</caption><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
    data = [{**verdict.data, "minutes": minutes} for verdict, minutes in verdicts]
    tell("\n".join([sum_up, *lines]), {"text/html": table, PROGRESS: data})
