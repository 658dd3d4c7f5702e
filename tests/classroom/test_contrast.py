"""What a lesson shows can be read in a light and in a dark page: contrast of 4.5 at least, as WCAG
asks of text.
"""

import cells
import common
import pytest
from contrast import contrast, pale_texts

from course_utils.classroom import Claims, token_strip
from course_utils.classroom.bars import Bar


def table():
    claims = Claims("00")
    claims.add("A1", "holds", source="x", published=1, measured=1)
    claims.add("A2", "does not", source="x", published=1, measured=2, reason="because")
    claims.add("A3", "who knows", source="x", published=1, measured=None, reason="too large")
    return claims.html()


def test_contrast_is_what_the_standard_says():
    assert contrast("#000", "#FFF") == pytest.approx(21) and contrast(
        "#767676", "#FFFFFF"
    ) == pytest.approx(4.54, abs=0.01)
    assert contrast("#009E73", "#FFFFFF") < 4.5 > contrast("#D55E00", "#FFFFFF")


@pytest.mark.parametrize(
    ("html", "themes"),
    [
        ('<b style="color:#009E73">✓</b>', ["light"]),
        ('<b style="color:#005A41">✓</b>', ["dark"]),
        ('<b style="color:#000;background:#CCECE3">✓</b>', []),
        ('<p style="background:#CCECE3">the page gives the ink</p>', ["dark"]),
        (
            '<p style="color:#000;background:#EEE">a<br>b <small style="color:#BBB">c</small> d</p>',
            ["light", "dark"],
        ),
        ("<p>plain</p>", []),
    ],
)
def test_pale_text_is_noticed(html, themes):
    assert [fault.split("in the ")[1].split()[0] for fault in pale_texts(html)] == themes


@pytest.mark.parametrize(
    "html",
    [
        table(),
        token_strip(["a", " b"], [1, 2]).html,
        Bar(3, "steps", disable=True)._data()["text/html"],
    ],
)
def test_the_classroom_shows_nothing_pale(html):
    assert pale_texts(html) == []


def test_the_saved_notebook_shows_nothing_pale(notebook):
    outputs = [
        output for cell in cells.code_cells(common.read(notebook)) for output in cell.outputs
    ]
    pages = [
        "".join(output.data["text/html"])
        for output in outputs
        if "text/html" in output.get("data", {})
    ]
    assert pages
    assert [fault for page in pages for fault in pale_texts(page)] == []


def test_every_column_of_the_claims_has_a_name():
    assert "></th>" not in table()
