"""Which lessons CI runs in the long ways (second device, other processors, every cell twice): those that a change touches, and one more.

    python tools/scope.py        say which, and why

With FULL=1 in the environment it is every lesson. A change is what the commits of the four hours before the newest one
hold, and what is not yet committed; COURSE_BASE=REVISION names another start.
"""

import ast
import os
import subprocess
from pathlib import Path

from cells import code_cells, tree
from common import ROOT, pair_of, sources
from pairs import from_source

FULL = os.environ.get("FULL") == "1"
HOURS = 4  # commits this close before the newest one belong to the same change
SHARED = ("classroom", "exercises")  # every lesson imports them, and they have tests of their own


def changed_files() -> set[str] | None:
    """The files of the change, as paths from the root; None where git does not say (no checkout, a shallow clone)."""
    try:
        base = os.environ.get("COURSE_BASE") or _start_of_change()
        committed = _git("diff", "--name-only", base, "HEAD")
        pending = _git("diff", "--name-only", "HEAD"), _git("ls-files", "--others", "--exclude-standard")
    except (OSError, subprocess.CalledProcessError):
        return None
    return {line for text in (committed, *pending) for line in text.splitlines()}


def _start_of_change() -> str:
    newest = int(_git("log", "-1", "--format=%ct"))
    before = _git("rev-list", "-1", f"--before={newest - HOURS * 3600}", "HEAD")
    return before or _git("rev-list", "--max-parents=0", "HEAD").split()[-1]


def _git(*arguments: str) -> str:
    run = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True)
    return run.stdout.strip()


def belongs_to(source: Path) -> set[str]:
    """The files that are this lesson's own: its source, and the modules which it imports from the package."""
    nodes = [node for cell in code_cells(from_source(source)) for node in ast.walk(tree(cell.source))]
    modules = set()
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("course_utils"):
            inner = node.module.removeprefix("course_utils").lstrip(".")
            modules |= {inner} if inner else {alias.name for alias in node.names}
    owned = {f"course_utils/{module.replace('.', '/')}.py" for module in modules if module.split(".")[0] not in SHARED}
    return owned | {source.relative_to(ROOT).as_posix()}


def chosen() -> list[Path]:
    """The saved notebooks that are due, in course order."""
    every = sources()
    touched = changed_files()
    if FULL or touched is None:
        return [pair_of(source) for source in every]
    extra = int(_git("rev-parse", "HEAD"), 16) % len(every)  # another one for each commit, the same each time
    due = [s for i, s in enumerate(every) if i == extra or belongs_to(s) & touched]
    return [pair_of(source) for source in due]


def main() -> None:
    reason = "FULL=1" if FULL else "the change and one by the commit's hash"
    print(f"{reason}: {', '.join(path.stem for path in chosen())}")


if __name__ == "__main__":
    main()
