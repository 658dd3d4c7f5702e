"""The second device refuses what a card refuses, and counts what it should; the checks are in
refusals.py.
"""

import ast

import pytest

from second_device import HERE
from second_device.processes import report_of

NAMES = [
    node.name
    for node in ast.parse((HERE / "refusals.py").read_text(encoding="utf-8")).body
    if isinstance(node, ast.FunctionDef) and node.name not in ("refused", "ones", "main")
]


@pytest.fixture(scope="module")
def report():
    return report_of("refusals")


@pytest.mark.parametrize("name", NAMES)
def test_the_device(name, report):
    assert report[name] == ""


def test_every_check_was_made(report):
    assert sorted(report) == sorted(NAMES) and len(NAMES) > 10
