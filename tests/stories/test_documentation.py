"""The two English texts that come with the course: what they hold, where they come from, and that
nothing reads another one.
"""

import ast
import gzip
import hashlib
import platform
import re
import shutil
from pathlib import Path

import common
import pytest
import scope
import store_documentation as store

from conftest import ROOT
from course_utils import assets
from course_utils.stories import english as texts
from course_utils.stories.english import documentation, manual

# Written here once more: whoever stores other texts changes recorded numbers in 01 and 05, and
# should stumble over this.
STORED = {
    manual: (465_048, "2a95af4ac93f5b719944030ce3769070ddf827d847cba42192afa8da989e5dc4"),
    documentation: (1_575_565, "1b996cae5d1acd0c7ef46ea1a1f083f40c8b1983dd622f4e7760859cbb7b1ce7"),
}
LONG = "which is said at some length, so that it counts as a text"
FILES = {
    "__init__.py": f'"""The package, {LONG}."""\n',
    "a.py": f'# Copyright (c) 1999 A. N. Author.\n# Keep this notice.\n\n"""Module a, {LONG}."""\n\ndef f():\n    """Function f, {LONG}.\n\n        Set in.\n    Out again.\n    """\n'
            f'    def g():\n        """Inside, {LONG}."""\n\nclass C:\n    """Short."""\n    def m(self):\n        """Method m, {LONG}."""\n',
    "b.py": f'"""Module a, {LONG}."""\nraise SystemExit\n',
    "broken.py": f'"""Broken, {LONG}."""\ndef (:\n',
    "tests/test_a.py": f'"""A test, {LONG}."""\n',
}  # fmt: skip


@pytest.mark.parametrize("text", STORED, ids=lambda text: text.__name__)
def test_the_stored_texts_are_those_of_the_recorded_numbers(text):
    n, sha256 = STORED[text]
    assert (
        len(text()) == n
        and hashlib.sha256(text().encode()).hexdigest() == sha256 == texts.SHA256[text.__name__]
    )


def test_they_are_small_and_their_licence_lies_beside_them():
    files = sorted(assets.path("stories/python_manual.txt.gz").parent.glob("python_*"))
    assert [path.name for path in files] == [
        "python_documentation.txt.gz",
        "python_licence.txt",
        "python_manual.txt.gz",
    ]
    assert sum(path.stat().st_size for path in files) < 1_000_000
    licence = files[1].read_text(encoding="utf-8")
    assert "PYTHON SOFTWARE FOUNDATION LICENSE VERSION 2" in licence and "Changes:" in licence
    assert "Fredrik Lundh" in licence  # a module with a notice of its own: ElementTree
    # goes into every installed copy
    assert "python_licence.txt" in (ROOT / "pyproject.toml").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:1000],
        lambda data: b"plain text",
        lambda data: gzip.compress(b"another text"),
    ],
)
def test_a_damaged_file_is_noticed(damage, monkeypatch, tmp_path):
    shutil.copy(assets.path("stories/python_manual.txt.gz"), tmp_path)
    monkeypatch.setattr(assets, "path", lambda name: tmp_path / name.partition("/")[2])
    assert manual().startswith("The ")
    file = tmp_path / "python_manual.txt.gz"
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(ValueError, match="install the course again"):
        manual()
    file.unlink()
    with pytest.raises(ValueError, match="install the course again"):
        manual()


# --- Where they come from -------------------------------------------------------------------------


@pytest.fixture
def library(tmp_path):
    for name, source in FILES.items():
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(source, encoding="utf-8")
    (tmp_path / "LICENSE.txt").write_text("THE LICENCE\n", encoding="utf-8")
    return tmp_path


def test_every_docstring_comes_once_in_the_order_of_files_and_lines(library):
    expected = [
        f"The package, {LONG}.",
        f"Module a, {LONG}.",
        f"Function f, {LONG}.\n\n    Set in.\nOut again.",
        f"Inside, {LONG}.",
        f"Method m, {LONG}.",
    ]
    assert store.documentation(library) == "\n\n".join(expected)


def test_a_notice_in_a_source_file_goes_into_the_licence(library):
    assert store.notices(library) == {
        "Copyright (c) 1999 A. N. Author.\nKeep this notice.": ["a.py"]
    }
    assert "THE LICENCE" in store.licence(
        library
    ) and "a.py:\n\nCopyright (c) 1999 A. N. Author." in store.licence(library)


def test_another_python_is_refused(monkeypatch):
    monkeypatch.setattr(platform, "python_version", lambda: "3.13.0")
    monkeypatch.setattr("sys.argv", ["store_documentation.py", "--check"])
    with pytest.raises(SystemExit, match="run it with 3.11.7"):
        store.main()


@pytest.mark.skipif(
    not scope.FULL or platform.python_version() != store.VERSION,
    reason="with FULL=1 and Python 3.11.7: reads the whole standard library",
)
def test_the_texts_are_those_of_this_python(monkeypatch):
    monkeypatch.setattr("sys.argv", ["store_documentation.py", "--check"])
    store.main()


# --- Nothing reads another text -------------------------------------------------------------------


def of_the_day(source):
    """What in a source would read the texts of the Python that happens to run: of the standard
    library or of help().
    """
    found = set()
    # in scripts of notebooks, magics are comments
    for node in ast.walk(ast.parse(re.sub(r"(?m)^( *)# ?[%!]", r"\1pass  # %", source))):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names} & {
                "pydoc_data",
                "pydoc",
                "sysconfig",
                "distutils",
            }
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found |= {(node.module or "").split(".")[0]} & {
                "pydoc_data",
                "pydoc",
                "sysconfig",
                "distutils",
            }
        elif isinstance(node, ast.Constant) and node.value in ("stdlib", "platstdlib"):
            found.add(node.value)
        elif isinstance(node, ast.Attribute) and ast.unparse(node) == "os.__file__":
            found.add("os.__file__")
    return found


MAKERS = [
    path for path in sorted((ROOT / "tools").rglob("*.py")) if path.name != "store_documentation.py"
]
READERS = [*sorted((ROOT / "course_utils").rglob("*.py")), *common.sources(), *MAKERS]


@pytest.mark.parametrize("path", READERS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_nothing_reads_the_standard_library_of_the_day(path):
    assert of_the_day(path.read_text(encoding="utf-8")) == set()


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("from pydoc_data import topics", {"pydoc_data"}),
        ("def f():\n    from pydoc_data.topics import topics", {"pydoc_data"}),
        ("import sysconfig\nroot = sysconfig.get_path('stdlib')", {"sysconfig", "stdlib"}),
        ("root = os.path.dirname(os.__file__)", {"os.__file__"}),
        ("from course_utils.texts import manual", set()),
        ("if True:\n    # %pip install x\n\n# %%\nfrom pydoc_data import topics", {"pydoc_data"}),
        (Path(store.__file__).read_text(encoding="utf-8"), {"pydoc_data", "sysconfig", "stdlib"}),
    ],
)
def test_reading_it_is_noticed(source, found):
    assert of_the_day(source) == found
