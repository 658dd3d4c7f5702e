"""What the sources say, item by item, and where the course has it: docs/coverage.csv."""

import csv
import re

import pytest
from common import ROOT, sources

ROWS = list(csv.DictReader((ROOT / "docs" / "coverage.csv").open(encoding="utf-8")))
COLUMNS = "number source item kind lessons claims cell state reason".split()
SOURCES = {"000": 47, "001": 49, "002": 58, "003": 38, "004": 130}  # items of each
LESSONS = {path.stem[:2]: path.read_text(encoding="utf-8") for path in sources([])}
# the headings and the titles of the cells of each lesson
PLACES = {
    lesson: set(re.findall(r"^# (?:#{2,3} |@title )(.+)$", text, re.MULTILINE))
    for lesson, text in LESSONS.items()
}
# cells that treat nothing: they prepare, announce or ask
EMPTY = re.compile(r"Set-up\b|Imports\b|What will count\b|Predict:|Further reading$")


def wrong_cell(row):
    """What is wrong with the cell that a row names, or None. A cell is a heading or a title of the
    first lesson of the row, or of another one after its number: "22: Attack the assistant".
    """
    lessons = row["lessons"].split()
    cell = row["cell"]
    if row["state"] == "left out":
        return "names a cell, and is left out" if cell else None
    lesson = lessons[0]
    title = cell
    if other := re.fullmatch(r"(\d\d): (.+)", cell):
        lesson, title = other.groups()
        if lesson not in lessons[1:]:
            return f"lesson {lesson} is not a further lesson of the row"
    if not title:
        return "names no cell"
    if title not in PLACES[lesson]:
        return f"lesson {lesson} has no heading or title {title!r}"
    return f"{title!r} treats nothing" if EMPTY.match(title) else None


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
    assert list(ROWS[0]) == COLUMNS
    assert [int(row["number"]) for row in ROWS] == list(range(1, 323))
    assert {s: sum(row["source"] == s for row in ROWS) for s in SOURCES} == SOURCES
    assert all(row["item"].strip() and row["kind"] for row in ROWS)


@pytest.mark.parametrize("row", ROWS, ids=[row["number"] for row in ROWS])
def test_what_a_row_names_exists_and_nothing_is_left_out_without_a_reason(row):
    lessons = row["lessons"].split()
    claims = claimed()
    assert set(lessons) <= set(LESSONS)
    assert all(claims.get(claim) in lessons for claim in row["claims"].split())
    assert row["state"] in ("experiment", "prose", "left out")
    if row["state"] == "left out":
        assert row["reason"] and not lessons
    else:
        assert lessons


@pytest.mark.parametrize("row", ROWS, ids=[row["number"] for row in ROWS])
def test_a_row_names_the_cell_that_treats_its_item(row):
    assert wrong_cell(row) is None


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"cell": ""}, "names no cell"),
        ({"cell": "Attack the assistants"}, "has no heading or title"),
        ({"cell": "attack the assistant"}, "has no heading or title"),
        ({"cell": "## A secret under attack"}, "has no heading or title"),
        ({"cell": "Rules"}, "has no heading or title"),  # of a lesson that the row does not name
        ({"cell": "00: Rules"}, "is not a further lesson"),
        # the first lesson is named without its number
        ({"cell": "22: Attack the assistant"}, "is not a further lesson"),
        ({"cell": "07: Attack the assistant"}, "has no heading or title"),
        ({"cell": "Predict: a rule in other words"}, "treats nothing"),
        ({"state": "left out"}, "is left out"),
    ],
)
def test_a_wrong_cell_is_noticed(changed, said):
    row = {"lessons": "22 07", "state": "experiment", "cell": "Attack the assistant"}
    assert wrong_cell(row) is None
    assert wrong_cell(row | {"cell": "07: The wish"}) is None
    assert said in wrong_cell(row | changed)


def test_nothing_waits_for_a_lesson():
    assert [row for row in ROWS if re.search(r"lesson \d\d .*\bis to\b", row["reason"])] == []
