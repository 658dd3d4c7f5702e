"""Which lessons CI runs in the long ways (second device, other processors, Colab, a browser, every
cell twice): those that a change touches, and one more.

    python tools/scope.py        say which, and why

With FULL=1 in the environment it is every lesson. Of a change that touches more than three lessons,
three or fewer are taken. A change in what the rooms share touches no lesson by itself: it has tests
of its own, and the lesson by the commit's hash runs with it. A change is what the commits of the
four hours before the newest one hold, and what is not yet committed; COURSE_BASE=REVISION names
another start.
"""

import os
import subprocess
from pathlib import Path

from common import ROOT, pair_of, sources

FULL = os.environ.get("FULL") == "1"
# lessons that CI runs in the long ways at a time; which ones of more, the commit's hash decides
MOST = 3
HOURS = 4  # commits this close before the newest one belong to the same change


def changed_files() -> set[str] | None:
    """The files of the change, as paths from the root; None where git does not say (no checkout, a
    shallow clone).
    """
    try:
        if not (base := os.environ.get("COURSE_BASE") or _start_of_change()):
            return None
        committed = _git("diff", "--name-only", base, "HEAD")
        pending = (
            _git("diff", "--name-only", "HEAD"),
            _git("ls-files", "--others", "--exclude-standard"),
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return {line for text in (committed, *pending) for line in text.splitlines()}


def _start_of_change() -> str:
    """The newest commit before the change; the very first where the change is all there is; ""
    where the history is cut off.
    """
    newest = int(_git("log", "-1", "--format=%ct"))
    if before := _git("rev-list", "-1", f"--before={newest - HOURS * 3600}", "HEAD"):
        return before
    # its oldest commit is not where the course began
    cut_off = _git("rev-parse", "--is-shallow-repository") == "true"
    return "" if cut_off else _git("rev-list", "--max-parents=0", "HEAD").split()[-1]


def _git(*arguments: str) -> str:
    run = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True)
    return run.stdout.strip()


def is_touched(source: Path, files: set[str]) -> bool:
    """Whether a lesson's own files are among these: its source, and whatever is in its room of the
    package.
    """
    room = f"course_utils/{source.stem[3:]}/"
    return any(file.startswith(room) or file == f"notebooks/src/{source.name}" for file in files)


def chosen() -> list[Path]:
    """The saved notebooks that are due, in course order."""
    every = sources()
    touched = changed_files()
    if FULL or touched is None:
        return [pair_of(source) for source in every]
    # another one for each commit, the same each time
    extra = int(_git("rev-parse", "HEAD"), 16) % len(every)
    due = [s for i, s in enumerate(every) if i == extra or is_touched(s, touched)]
    step = -(-len(due) // MOST)  # of a change that touches everything, every so many lessons
    return [pair_of(source) for source in due[extra % step :: step]]


def main() -> None:
    reason = "the change and one by the commit's hash"
    if FULL:
        reason = "FULL=1"
    elif changed_files() is None:
        reason = "every lesson, because git does not say what changed"
    print(f"{reason}: {', '.join(path.stem for path in chosen())}")


if __name__ == "__main__":
    main()
