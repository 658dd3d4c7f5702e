"""The public address of this repository: set once in pyproject.toml, written from there into every
badge and set-up cell.

    python tools/address.py                                    write the address that is set; where none is set, the one of git's `origin`
    python tools/address.py --set https://github.com/me/course --ref v1.0
    python tools/address.py --check                            say which places have another one
"""

import argparse
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PLACES = (
    "README.md",
    "notebooks/*.ipynb",
    "notebooks/src/*.py",
    "course_utils/**/*.py",
    "docs/**/*.md",
)
UNSET = "OWNER--SET-ME"  # the owner in pyproject.toml until there is a real one
# a character of an address: what ends one in Python, JSON and Markdown is left out
END = r"""[^\s"'\\)\]<>`]"""


@dataclass(frozen=True)
class Address:
    """Where the repository is published: `https://github.com/OWNER/NAME` and a branch or tag."""

    repository: str
    ref: str

    def __post_init__(self):
        if not re.fullmatch(
            r"https://github\.com/[A-Za-z0-9-]+/[\w.-]+", self.repository
        ) or self.repository.endswith(".git"):
            raise ValueError(
                f"{self.repository!r} is no address that Colab can open; give one like https://github.com/OWNER/NAME."
            )
        if (
            not re.fullmatch(r"[\w.][\w./-]*", self.ref)
            or ".." in self.ref
            or self.ref.endswith(("/", "."))
        ):
            raise ValueError(
                f"{self.ref!r} is no name of a branch or tag; give one like main or v1.0."
            )

    def written(self, text: str) -> str:
        """The text with this address in every badge, every `pip install` of the course and every
        `git clone`.
        """
        owner_name = self.repository.removeprefix("https://github.com/")
        text = re.sub(
            rf"(colab\.research\.google\.com/github/){END}+?(/notebooks/)",
            rf"\g<1>{owner_name}/blob/{self.ref}\g<2>",
            text,
        )
        text = re.sub(
            rf"(mybinder\.org/v2/gh/){END}+?(?=\?)", rf"\g<1>{owner_name}/{self.ref}", text
        )
        text = re.sub(rf"(codespaces\.new/){END}+", rf"\g<1>{owner_name}", text)
        text = re.sub(
            rf"(https://github\.com/){END}+?(/actions/workflows/)", rf"\g<1>{owner_name}\g<2>", text
        )
        text = re.sub(rf"(course-utils @ git\+){END}+", rf"\g<1>{self.repository}@{self.ref}", text)
        return re.sub(
            rf"(git clone ){END}+(\s+cd ){END}+",
            rf"\g<1>{self.repository}\g<2>{owner_name.split('/')[1]}",
            text,
        )


def of_remote(url: str) -> str:
    """`https://github.com/OWNER/NAME` for what git calls a remote on GitHub, in its https or ssh
    form. Raises ValueError for another.

    >>> of_remote("git@github.com:ada/engine.git")
    'https://github.com/ada/engine'
    """
    match = re.fullmatch(
        r"(?:https://(?:[^@/]+@)?github\.com/|(?:ssh://)?git@(?:ssh\.)?github\.com(?::443)?[:/])([^/]+/[^/]+?)(?:\.git)?/?",
        url,
    )
    if match is None:
        shown = re.sub(r"//[^@/]+@", "//", url)  # a name or a password in it is nobody's business
        raise ValueError(
            f"the remote `origin` is {shown!r}, and a notebook opens in Colab from https://github.com/OWNER/NAME only; "
            "publish the course there and give that address with --set."
        )
    return f"https://github.com/{match[1]}"


def origin(root: Path = ROOT) -> str:
    """The address of git's remote `origin`. Raises ValueError where there is none, or one that is
    not on GitHub.
    """
    try:
        run = subprocess.run(
            ["git", "remote", "get-url", "origin"],
            cwd=root,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        raise ValueError(
            "no address is set, and git knows no remote `origin` to take it from; give one: --set https://github.com/OWNER/NAME."
        ) from None
    return of_remote(run.stdout.strip())


def is_set(root: Path = ROOT) -> bool:
    """Whether pyproject.toml has a real address, and not the one that stands for none."""
    return UNSET not in setting(root)["repository"]


def setting(root: Path = ROOT) -> dict[str, str]:
    """`{"repository": …, "ref": …}` as pyproject.toml has it, good or bad."""
    return tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["course"]


def read(root: Path = ROOT) -> Address:
    """The address set in pyproject.toml. Raises ValueError where it is no such address."""
    return Address(**setting(root))


def save(address: Address, root: Path = ROOT) -> None:
    """Sets the address in pyproject.toml and leaves the rest of the file as it is."""
    path = root / "pyproject.toml"
    before, table, after = path.read_text(encoding="utf-8").partition("[tool.course]\n")
    for key in ("repository", "ref"):
        after = re.sub(
            rf'^{key} = ".*"', f'{key} = "{getattr(address, key)}"', after, count=1, flags=re.M
        )
    if (new := before + table + after) != path.read_text(encoding="utf-8"):
        path.write_text(new, encoding="utf-8", newline="\n")


def changes(address: Address, root: Path = ROOT) -> Iterator[tuple[Path, str]]:
    """(file, new text) for every file in which the address stands otherwise."""
    for path in sorted({path for place in PLACES for path in root.glob(place)}):
        text = path.read_text(encoding="utf-8")
        if (new := address.written(text)) != text:
            yield path, new


def disagreements(root: Path = ROOT) -> list[str]:
    """The files in which another address stands than the one set in pyproject.toml."""
    address = read(root)
    return [
        f"{path.relative_to(root)} does not say {address.repository} at {address.ref}"
        for path, _ in changes(address, root)
    ]


def rewrite(address: Address, root: Path = ROOT) -> list[Path]:
    """Sets the address and writes it everywhere; the files that changed."""
    save(address, root)
    changed = list(changes(address, root))
    for path, text in changed:
        path.write_text(text, encoding="utf-8", newline="\n")
    return [path for path, _ in changed]


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--set", metavar="URL", help="the new address, https://github.com/OWNER/NAME"
    )
    parser.add_argument("--ref", help="the branch or tag that badges and set-up cells name")
    parser.add_argument(
        "--check", action="store_true", help="change nothing; exit with 1 where a file disagrees"
    )
    args = parser.parse_args()
    try:
        if args.check:
            lines = disagreements()
            now = read()
            lines += (
                []
                if is_set()
                else [
                    f"no address is set: badges lead to {now.repository}; `python tools/address.py` takes it from git's `origin`"
                ]
            )
            print(
                "\n".join(lines)
                or f"every badge and set-up cell says {now.repository} at {now.ref}"
            )
            return bool(lines)
        repository = args.set or (setting()["repository"] if is_set() else origin())
        wanted = Address(repository.rstrip("/").removesuffix(".git"), args.ref or setting()["ref"])
        for path in rewrite(wanted):
            print(f"changed {path.relative_to(ROOT)}")
        print(f"the address is {wanted.repository} at {wanted.ref}")
    except ValueError as error:
        sys.exit(f"address.py: {error}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
