"""What nothing uses is not kept: neither in the package, for lessons and tools, nor in the tools.

A name counts as used where anything of that name is read, so some dead code escapes, and what a
library calls by name is listed here.
"""

import ast

import common
import pytest
from cells import code_cells, tree

from conftest import ROOT, notebook_paths

vulture = pytest.importorskip("vulture")

# Called or read by a library: torch, IPython, ipywidgets, pytest, nbconvert, traitlets, tokenizers,
# doctest.
BY_OTHERS = [
    "_ipython_display_",
    "ARGUMENTS",
    "ask_exit",
    "check_output",
    "disabled",
    "display_data_priority",
    "embed_images",
    "execute_reply",
    "extra_repr",
    "extra_template_basedirs",
    "f_trace",
    "get_vocab",
    "inline_math",
    "latex_environment",
    "loadscopereorder",
    "memo",
    "multiline_math",
    "output_timeout",
    "PreTrained*",  # in annotations that are text
    "pre_tokenizer",
    "normalizer",  # of tokenizers
    "pytest_*",
    "quit",
    "report_failure",
    "report_unexpected_exception",
    "reportinfo",
    "setup",  # of Sphinx
    "template_name",
]
# Said to the reader of a result or of a table of ids, and read by tests and examples alone.
FOR_READERS = ["c_interval", "k_interval", "HOLDERS", "SYSTEM", "USER"]
CODE = ("course_utils", "tools")


def unused(*folders, cells=()):
    """Names that nothing in these folders and cells uses, as "file:line name"."""
    scan = vulture.Vulture(
        ignore_names=[*BY_OTHERS, *FOR_READERS],
        ignore_decorators=["@EXERCISES.add", "@wrong", "@pytest.fixture", "@pytest.hookimpl"],
    )
    scan.scavenge([str(ROOT / name) for name in folders])
    for source in cells:
        scan.scan(source)
    return [
        f"{item.filename.relative_to(ROOT).as_posix()}:{item.first_lineno} {item.name}"
        for item in scan.get_unused_code(min_confidence=60)
        if item.filename.is_relative_to(ROOT)
    ]


def lesson_code():
    """The code of every lesson, without magics."""
    for path in notebook_paths():
        yield "\n".join(ast.unparse(tree(cell.source)) for cell in code_cells(common.read(path)))


def test_lessons_or_tools_use_what_the_package_offers():
    found = unused(*CODE, "conftest.py", cells=lesson_code())
    assert [line for line in found if line.startswith("course_utils/")] == []


def test_what_the_tools_hold_is_used():
    found = unused(*CODE, "conftest.py", "tests", cells=lesson_code())
    assert [line for line in found if line.startswith("tools/")] == []


def test_what_nothing_uses_is_found():
    scan = vulture.Vulture()
    scan.scan("def used():\n    return 1\n\n\ndef left():\n    return used()\n")
    assert [item.name for item in scan.get_unused_code()] == ["left"]
