"""What the sources say, item by item, and where the course has it: docs/coverage.csv."""

import csv
import re

import pytest
from common import ROOT, sources

ROWS = list(csv.DictReader((ROOT / "docs" / "coverage.csv").open(encoding="utf-8")))
SOURCES = {"000": 47, "001": 49, "002": 58, "003": 38, "004": 130}  # items of each
LESSONS = {path.stem[:2] for path in sources([])}


def claimed():
    """{claim: the lesson that measures it}, from the table of claims."""
    found = {}
    lesson = ""
    for line in (ROOT / "notebooks" / "CLAIMS.md").read_text(encoding="utf-8").splitlines():
        if heading := re.match(r"## \[(\d\d)", line):
            lesson = heading[1]
        if row := re.match(r"\| ([A-Z]\d+) \|", line):
            found[row[1]] = lesson
    return found


def test_every_item_of_every_source_has_its_row():
    assert [int(row["number"]) for row in ROWS] == list(range(1, 323))
    assert {s: sum(row["source"] == s for row in ROWS) for s in SOURCES} == SOURCES
    assert all(row["item"].strip() and row["kind"] for row in ROWS)


@pytest.mark.parametrize("row", ROWS, ids=[row["number"] for row in ROWS])
def test_what_a_row_names_exists_and_nothing_is_left_out_without_a_reason(row):
    lessons = row["lessons"].split()
    claims = claimed()
    assert set(lessons) <= LESSONS
    assert all(claims.get(claim) in lessons for claim in row["claims"].split())
    assert row["state"] in ("experiment", "prose", "left out")
    if row["state"] == "left out":
        assert row["reason"] and not lessons
    else:
        assert lessons


def test_nothing_waits_for_a_lesson():
    assert [row for row in ROWS if re.search(r"lesson \d\d .*\bis to\b", row["reason"])] == []
