"""Which lessons CI runs in the long ways (second device, other processors, every cell twice): those that a change touches, and one more.

    python tools/scope.py        say which, and why

With FULL=1 in the environment it is every lesson. A change is what the commits of the four hours before the newest one
hold, and what is not yet committed; COURSE_BASE=REVISION names another start.
"""

import ast
import os
import subprocess
from collections.abc import Iterable
from functools import cache
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
        if not (base := os.environ.get("COURSE_BASE") or _start_of_change()):
            return None
        committed = _git("diff", "--name-only", base, "HEAD")
        pending = _git("diff", "--name-only", "HEAD"), _git("ls-files", "--others", "--exclude-standard")
    except (OSError, subprocess.CalledProcessError):
        return None
    return {line for text in (committed, *pending) for line in text.splitlines()}


def _start_of_change() -> str:
    """The newest commit before the change; the very first where the change is all there is; "" where the history is cut off."""
    newest = int(_git("log", "-1", "--format=%ct"))
    if before := _git("rev-list", "-1", f"--before={newest - HOURS * 3600}", "HEAD"):
        return before
    cut_off = _git("rev-parse", "--is-shallow-repository") == "true"  # its oldest commit is not where the course began
    return "" if cut_off else _git("rev-list", "--max-parents=0", "HEAD").split()[-1]


def _git(*arguments: str) -> str:
    run = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True)
    return run.stdout.strip()


def belongs_to(source: Path) -> set[str]:
    """The files that are this lesson's own: its source, the modules that it imports, and under them those that no lesson imports."""
    found, taken = set(), set().union(*map(_asked_for, sources()))
    waiting = set(_asked_for(source))
    while waiting:
        module = waiting.pop()
        found.add(module)
        if (path := ROOT / _path(module)).is_file():
            waiting |= _imported(ast.walk(ast.parse(path.read_text(encoding="utf-8")))) - taken - found
    return {_path(module) for module in found} | {source.relative_to(ROOT).as_posix()}


def _path(module: str) -> str:
    return f"course_utils/{module.replace('.', '/')}.py"


@cache
def _asked_for(source: Path) -> frozenset[str]:
    """The package's modules that a lesson's cells import."""
    return frozenset(
        _imported(node for cell in code_cells(from_source(source)) for node in ast.walk(tree(cell.source)))
    )


def _imported(nodes: Iterable[ast.AST]) -> set[str]:
    """The package's modules among the imports, without the package's name; what every lesson shares is left out."""
    names = set()
    for node in nodes:
        if isinstance(node, ast.ImportFrom):
            base = ".".join(filter(None, ["course_utils" if node.level else "", node.module]))
            names |= {f"course_utils.{alias.name}" for alias in node.names} if base == "course_utils" else {base}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    inner = {name.removeprefix("course_utils.") for name in names if name.startswith("course_utils.")}
    return {name for name in inner if name.split(".")[0] not in SHARED}


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
    unknown = "every lesson, because git does not say what changed"
    reason = "FULL=1" if FULL else unknown if changed_files() is None else "the change and one by the commit's hash"
    print(f"{reason}: {', '.join(path.stem for path in chosen())}")


if __name__ == "__main__":
    main()
