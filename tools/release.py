"""An edition: a tag whose badges and set-up cells name that tag, so that copies which students
saved go on working.

    python tools/release.py v2.0        or: make release VERSION=v2.0

The tag is put on a commit of its own beside the branch: `main` stays as it is, and its badges go on
naming `main`. Nothing is pushed; the last line says how.
"""

import argparse
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import address

ROOT = Path(__file__).resolve().parents[1]


def release(version: str, root: Path = ROOT) -> str:
    """Makes the tag; returns what to do next.

    Raises ValueError for a name that is no version, a tag that exists, and work that is not
    committed.
    """
    if not re.fullmatch(r"v\d+(\.\d+)*", version):
        raise ValueError(f"{version!r} is no edition; give one like v2.0.")
    if git(root, "tag", "--list", version):
        raise ValueError(
            f"the tag {version} is there already: an edition that students may have saved is never moved. Give the next one."
        )
    if git(root, "status", "--porcelain"):
        raise ValueError("there is work that is not committed; an edition holds what is committed.")
    with tempfile.TemporaryDirectory() as here:
        tree = Path(here) / "edition"
        git(root, "worktree", "add", "--quiet", "--detach", str(tree), "HEAD")
        try:
            before = address.read(tree)
            address.rewrite(address.Address(before.repository, version), tree)
            git(
                tree,
                "commit",
                "--quiet",
                "--all",
                "--message",
                f"Edition {version}: badges and set-up cells name it",
            )
            git(tree, "tag", "--annotate", version, "--message", f"Edition {version}")
        finally:
            git(root, "worktree", "remove", "--force", str(tree))
    return f"{version} is tagged; its badges and set-up cells name it. To publish it: git push origin {version}"


def git(folder: Path, *arguments: str) -> str:
    """What git prints. Raises ValueError with git's own words where it fails."""
    run = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True)
    if run.returncode:
        raise ValueError(f"git {arguments[0]} failed: {run.stderr.strip() or run.stdout.strip()}")
    return run.stdout.strip()


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("version", metavar="VERSION", help="such as v2.0")
    try:
        print(release(parser.parse_args().version))
    except ValueError as error:
        sys.exit(f"release.py: {error}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
