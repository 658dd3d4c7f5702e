"""Store the two English texts of the course, taken from Python 3.11.7, and the notices that go with
them.

    python3.11 tools/record/store_documentation.py [--check]

Writes course_utils/stories/assets/python_manual.txt.gz (the help texts of the language),
python_documentation.txt.gz (the docstrings of the standard library) and python_licence.txt. With
--check nothing is written; it fails where a file would be another one. Any other Python has other
texts, so it refuses to run there. Only the standard library is needed.
"""

import argparse
import ast
import gzip
import inspect
import platform
import re
import sys
import sysconfig
import warnings
from collections.abc import Iterable
from pathlib import Path

ASSETS = Path(__file__).resolve().parents[2] / "course_utils" / "stories" / "assets"
VERSION = "3.11.7"
SKIP = {
    "site-packages",
    "dist-packages",
    "test",
    "tests",
    "idlelib",
    "lib2to3",
    "ensurepip",
    "turtledemo",
    "_vendor",
}
SHORTEST = 40  # characters: what is shorter says nothing
HEAD = f"""\
The two texts beside this file are not by the authors of the course. They come from Python {VERSION}, and
the Python Software Foundation and the authors named below hold the copyright:

  python_manual.txt.gz         the help texts in pydoc_data/topics.py
  python_documentation.txt.gz  the docstrings of the standard library

Changes: the help texts were put in alphabetical order of their names and joined by a newline. The
docstrings were taken out of the source files, in the order of files and lines; their indentation was
removed; those of {SHORTEST} characters or fewer, and what had stood before already, were left out; the rest was joined by
empty lines. Both were compressed. `python3.11 tools/record/store_documentation.py` makes them again.

First Python's licence, then the notices of those source files that carry one of their own.
"""


def manual() -> str:
    """The help texts of the language, as `help("topics")` lists them."""
    from pydoc_data.topics import topics

    return "\n".join(topics[name] for name in sorted(topics))


def files(root: Path) -> list[Path]:
    """The Python files below a folder, in an order that is the same everywhere; tests and what is
    vendored left out.
    """
    found = sorted(root.rglob("*.py"), key=lambda path: path.relative_to(root).as_posix())
    return [path for path in found if not SKIP & set(path.relative_to(root).parts)]


def documentation(root: Path) -> str:
    """Every docstring once, in the order of files and lines."""
    return "\n\n".join(dict.fromkeys(text for path in files(root) for text in docstrings(path)))


def docstrings(path: Path) -> Iterable[str]:
    """The docstrings of one file, in the order of lines; none of a file that does not parse."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # old files hold invalid escapes
            todo = [ast.parse(path.read_bytes())]
    except (SyntaxError, ValueError):
        return
    while todo:
        node = todo.pop()
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            text = inspect.cleandoc(ast.get_docstring(node, clean=False) or "")
            if len(text) > SHORTEST:
                yield text
        todo += [child for child in getattr(node, "body", [])[::-1] if hasattr(child, "body")]


def notices(root: Path) -> dict[str, list[str]]:
    """What source files say of their authors and licence in comments: notice to the files that
    carry it.
    """
    found: dict[str, list[str]] = {}
    for path in files(root):
        for block in re.findall(
            r"(?:^#.*\n)+", path.read_text(encoding="utf-8", errors="replace"), re.MULTILINE
        ):
            if re.search(r"copyright|\(c\)|licen[sc]ed to", block, re.I) and any(docstrings(path)):
                text = re.sub(r"^# ?", "", block, flags=re.MULTILINE).strip("\n#! ")
                found.setdefault(text, []).append(path.relative_to(root).as_posix())
    return found


def licence(root: Path) -> str:
    """The head above, Python's licence, the notices."""
    parts = [HEAD, (root / "LICENSE.txt").read_text(encoding="utf-8")]
    parts += [f"{', '.join(names)}:\n\n{text}\n" for text, names in notices(root).items()]
    return f"\n{'-' * 100}\n\n".join(parts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "--check", action="store_true", help="write nothing; fail where a file would be another one"
    )
    check = parser.parse_args().check
    if platform.python_version() != VERSION:
        sys.exit(
            f"this is Python {platform.python_version()}, whose documentation is another text: run it with {VERSION}"
        )
    root = Path(sysconfig.get_path("stdlib"))
    made = {
        "python_manual.txt.gz": manual(),
        "python_documentation.txt.gz": documentation(root),
        "python_licence.txt": licence(root),
    }
    for name, text in made.items():
        path = ASSETS / name
        data = text.encode()
        if check:
            stored = path.read_bytes() if path.exists() else b""
            if (gzip.decompress(stored) if stored and path.suffix == ".gz" else stored) != data:
                sys.exit(f"{name} is not what Python {VERSION} gives here")
        else:
            path.write_bytes(gzip.compress(data, 9, mtime=0) if path.suffix == ".gz" else data)
        print(f"{name}: {len(text):,} characters, {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
