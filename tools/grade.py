"""Grades a folder of notebooks that came back from students.

    python tools/grade.py FOLDER [--out build/grade] [--seeds 20] [--jobs 2]

Of each notebook the answers are found by exercise, whatever else was edited, deleted or reordered,
and run by the course's own checkers on 20 seeds in a process of their own, without network, with
limits on memory and time. Written are `results.csv` (a row for each exercise of each submission), a
page of feedback for each student in `feedback/`, and `summary.png` (which exercise fails, and with
which diagnosis).
"""

import argparse
import csv
import hashlib
import html
import io
import json
import os
import queue
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, astuple, dataclass, fields
from pathlib import Path

import common
from common import BUILD, ROOT, Problem, patience
from grading import submissions
from grading.submissions import Answer, Submission
from tqdm import tqdm

WORKER = Path(submissions.__file__).parent / "worker.py"
WAIT = 300  # seconds for one exercise, at most
VERDICTS = ("passes", "fails", "open", "missing", "refused", "broken", "ended")
SAYS = {
    "passes": "passes on every set of numbers",
    "fails": "does not pass",
    "open": "not attempted: the stub is as it was",
    "missing": "no answer with this name is in the notebook",
    "refused": "was not run",
    "broken": "could not be read",
    "ended": "ended the process that graded it",
}


@dataclass(frozen=True)
class Row:
    """One exercise of one submission."""

    student: str
    lesson: str
    exercise: str
    verdict: str
    seeds_passed: int
    seeds: int
    message: str
    seconds: float


def grade(folder: Path, seeds: int = 20, jobs: int | None = None) -> list[Row]:
    """A row for each exercise of each notebook below `folder`, in order. Raises Problem where there
    is none.
    """
    files = sorted(p for p in folder.rglob("*.ipynb") if ".ipynb_checkpoints" not in p.parts)
    if not files:
        raise Problem(f"no notebooks (*.ipynb) are in {folder}.")
    read = [submissions.read(path, folder) for path in files]
    with ThreadPoolExecutor(jobs or os.cpu_count() or 1) as pool:
        graded = pool.map(lambda submission: list(rows_of(submission, range(seeds))), read)
        bar = tqdm(graded, total=len(read), unit="notebook", disable=None)
        return [row for rows in bar for row in rows]


def rows_of(submission: Submission, seeds: Sequence[int]) -> Iterator[Row]:
    """The rows of one submission."""

    def row(exercise: str, verdict: str, message: str, passed: int = 0, seconds: float = 0.0):
        return Row(submission.student, submission.lesson, exercise, verdict, passed, len(seeds), message, round(seconds, 1))  # fmt: skip

    if submission.fault:
        yield row("", "broken", submission.fault)
        return
    found = run([answer for answer in submission.answers if answer.source], seeds)
    for answer in submission.answers:
        if answer.source:
            got = found[answer.exercise]
            yield row(
                answer.exercise, got["verdict"], got["message"], got["passed"], got["seconds"]
            )
        elif answer.fault:
            verdict = "broken" if "is no Python" in answer.fault else "refused"
            yield row(answer.exercise, verdict, answer.fault)
        else:
            yield row(answer.exercise, "missing", SAYS["missing"])


def run(answers: list[Answer], seeds: Sequence[int]) -> dict[str, dict]:
    """What the worker says of each answer, by exercise. Where one ends the process, the next begins
    in a new one.
    """
    found = {}
    left = list(answers)
    while left:
        said = _worker(left, seeds)
        found |= said
        left = [answer for answer in left if answer.exercise not in found]
        if left and not said:  # the worker did not even begin
            raise Problem("the process that grades did not start; try `make setup`.")
    return found


def _worker(answers: list[Answer], seeds: Sequence[int]) -> dict[str, dict]:
    """What one process says: of all answers, or of those up to the one that ends it."""
    key = os.urandom(16).hex()  # what an answer prints by itself does not have it
    job = {
        "key": key,
        "answers": [asdict(answer) for answer in answers],
        "seeds": list(seeds),
        "seconds": WAIT * len(answers),
        "path": [str(ROOT)],
    }
    with tempfile.TemporaryDirectory() as empty:
        kept = ("PATH", "SYSTEMROOT", "LANG", "LD_LIBRARY_PATH")
        environment = {name: os.environ[name] for name in kept if name in os.environ}
        environment |= {**common.FIXED, "HOME": empty, "PYTHONDONTWRITEBYTECODE": "1"}
        process = subprocess.Popen(
            [sys.executable, "-s", str(WORKER)], cwd=empty, env=environment, text=True, encoding="utf-8",
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        lines: queue.Queue[str | None] = queue.Queue()
        reader = threading.Thread(target=_pass_on, args=(process.stdout, lines), daemon=True)
        reader.start()
        try:
            process.stdin.write(json.dumps(job))
            process.stdin.close()
        except OSError:
            pass  # it ended at once: nothing will be said
        try:
            return _heard(key, lines, process)
        finally:
            process.kill()
            process.wait()
            reader.join()
            process.stdout.close()


def _pass_on(stream: io.TextIOBase, lines: "queue.Queue[str | None]") -> None:
    for line in stream:
        lines.put(line)
    lines.put(None)


def _heard(
    key: str, lines: "queue.Queue[str | None]", process: subprocess.Popen
) -> dict[str, dict]:
    found = {}
    current = ""
    begun = time.monotonic()
    while True:
        try:
            line = lines.get(timeout=patience(WAIT))
        except queue.Empty:
            why = f"it did not come to an end in {WAIT} seconds"
            return found | _ended(current, why, begun)
        if line is None:
            why = f"the process was ended by it (exit status {process.wait()})"
            return found | _ended(current, why, begun)
        try:
            said = json.loads(line)
            if said.get("key") != key:
                continue
        except (ValueError, AttributeError):
            continue
        if "begins" in said:
            current = said["begins"]
            begun = time.monotonic()
        else:
            found[said["exercise"]] = {**said, "seconds": time.monotonic() - begun}
            current = ""


def _ended(exercise: str, why: str, begun: float) -> dict[str, dict]:
    if not exercise:
        return {}
    result = {"verdict": "ended", "passed": 0, "message": why}
    return {exercise: {**result, "seconds": time.monotonic() - begun}}


# --- What is written ------------------------------------------------------------------------------


def table(rows: Sequence[Row]) -> str:
    """The rows as CSV. A cell that a spreadsheet would take for a formula gets an apostrophe."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(field.name for field in fields(Row))
    for row in rows:
        writer.writerow(_harmless(value) for value in astuple(row))
    return out.getvalue()


def _harmless(value: object) -> object:
    return (
        f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t") else value
    )


STYLE = """
:root { color-scheme: light dark; --line: #8888; }
body { font: 17px/1.5 system-ui, sans-serif; max-width: 60em; margin: 2em auto; padding: 0 1em; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .5em .8em .5em 0; border-bottom: 1px solid var(--line); }
code { font-family: ui-monospace, monospace; }
"""


def feedback(rows: Sequence[Row]) -> str:
    """A page for one student: what passes, and what is said of the rest."""
    first = rows[0]
    passed = sum(row.verdict == "passes" for row in rows)
    name = html.escape(first.student)
    lines = "".join(
        f'<tr><th scope="row"><code>{html.escape(row.exercise or "the file")}</code></th>'
        f"<td>{'✓ ' if row.verdict == 'passes' else ''}{SAYS[row.verdict]}</td>"
        f"<td>{row.seeds_passed} of {row.seeds}</td><td>{html.escape(row.message)}</td></tr>"
        for row in rows
    )
    lesson = f", lesson {html.escape(first.lesson)}" if first.lesson else ""
    return (
        f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>{name}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{STYLE}</style></head><body>'
        f"<h1>{name}</h1><p>{passed} of {len(rows)} exercises pass{lesson}.</p>"
        f'<table><thead><tr><th scope="col">exercise</th><th scope="col">verdict</th>'
        f'<th scope="col">sets of numbers passed</th><th scope="col">what was found</th></tr></thead>'
        f"<tbody>{lines}</tbody></table></body></html>"
    )


def page_name(student: str) -> str:
    """A file name for a student, different for different students.

    >>> page_name("class a/Đặng Ân")
    'class_a_Đặng_Ân-e8021f'
    """
    short = re.sub(r"\W+", "_", student).strip("_")[:60]
    return f"{short}-{hashlib.sha256(student.encode()).hexdigest()[:6]}"


def draw(rows: Sequence[Row], path: Path) -> None:
    """A bar for each exercise, split by verdict, with the diagnosis that was given most often."""
    from course_utils.classroom.figures import COLORS, subplots

    colors = dict(zip(VERDICTS, ("green", "vermillion", "sky", "yellow", "purple", "orange", "black"), strict=True))  # fmt: skip
    exercises = list(dict.fromkeys(row.exercise for row in rows if row.exercise))
    fig, ax = subplots(figsize=(12, 1.6 + 0.62 * max(len(exercises), 1)))
    for place, exercise in enumerate(exercises):
        own = [row for row in rows if row.exercise == exercise]
        counts = Counter(row.verdict for row in own)
        start = 0
        for verdict in VERDICTS:
            if counts[verdict]:
                ax.barh(
                    place, counts[verdict], left=start, height=0.5, color=COLORS[colors[verdict]]
                )
                ax.text(
                    start + counts[verdict] / 2, place, counts[verdict], ha="center", va="center"
                )
            start += counts[verdict]
        said = Counter(row.message for row in own if row.verdict == "fails").most_common(1)
        if said:
            # the diagnosis, without the call on which it was found
            text = re.sub(r"^.*\)+: ", "", said[0][0].partition(": ")[2]) or said[0][0]
            ax.text(0, place + 0.42, f"{said[0][1]} ×  {text[:100]}", fontsize=11, va="center")
    handles = [ax.barh(0, 0, color=COLORS[colors[v]], label=v) for v in VERDICTS if any(r.verdict == v for r in rows)]  # fmt: skip
    ax.set(yticks=range(len(exercises)), yticklabels=exercises, xlabel="submissions")
    ax.set_ylim(len(exercises) - 0.2, -0.6)
    ax.grid(axis="y", visible=False)
    if handles:
        ax.legend(
            handles=handles, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=len(handles)
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    fig.savefig(path)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="where the notebooks are, in subfolders, too")
    parser.add_argument("--out", type=Path, default=BUILD / "grade", help="where results go")
    parser.add_argument("--seeds", type=int, default=20, help="sets of numbers, each another draw")
    parser.add_argument("--jobs", type=int, default=None, help="processes at once")
    given = parser.parse_args()
    if not given.folder.is_dir():
        raise Problem(f"{given.folder} is no folder: make grade FOLDER=submissions")
    if given.seeds < 1:
        raise Problem(f"--seeds {given.seeds}: at least one set of numbers is needed.")
    rows = grade(given.folder, given.seeds, given.jobs)
    common.write(given.out / "results.csv", table(rows))
    students = list(dict.fromkeys(row.student for row in rows))
    for student in students:
        page = feedback([row for row in rows if row.student == student])
        common.write(given.out / "feedback" / f"{page_name(student)}.html", page)
    draw(rows, given.out / "summary.png")
    counts = Counter(row.verdict for row in rows)
    print(f"{len(students)} notebooks, {len(rows)} rows: " + ", ".join(f"{counts[v]} {v}" for v in VERDICTS if counts[v]))  # fmt: skip
    print(f"results.csv, feedback/ and summary.png are in {given.out}")
    return 0


if __name__ == "__main__":
    common.command(main)
