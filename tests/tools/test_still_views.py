"""Pages and slides in which no kernel runs: views swap their frames, predictions are remembered,
the code of display cells is folded away.
"""

import browser
import common
import pages
import pytest
import slides
import still_views
from bs4 import BeautifulSoup
from cells import form_title
from nbformat.v4 import new_code_cell
from pairs import build as execute
from pairs import from_source, take_back, to_source

SOURCE = """\
# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # A toy
#
# ## Look

# %%
import ipywidgets as w
from course_utils.classroom import Markup, Picture, explore, predict, reveal, subplots

# %% tags=["display"]
# @title What you expect
predict("toy.height", "How high is the first bar?", {"under 2": (0, 2), "2 or more": (2, 99)})


# %% tags=["display"]
# @title Bars <of> a height
def bars(height):
    fig, ax = subplots(figsize=(4, 2))
    ax.bar([0, 1], [height, 1])
    return Picture(fig, f"Two bars; the first is {height} high.")


explore(bars, height=w.IntSlider(value=1, min=0, max=4, description="height"))

# %%
explore(
    lambda big, word, text: Markup(f"<b>{big} {word}</b>", f"{big} {word}"),
    big=w.Checkbox(value=False, description="big"),
    word=w.Dropdown(options=["cat", "dog"], value="cat", description="word"),
    text=w.Text(value="<any>", description="text"),
)

# %%
reveal("toy.height", 3)
"""


@pytest.fixture(scope="module")
def lesson(tmp_path_factory):
    folder = tmp_path_factory.mktemp("toy") / "notebooks"
    source = folder / "src" / "00_toy.py"
    common.write(source, SOURCE)
    assert execute(source) == "executed"
    return common.pair_of(source)


@pytest.fixture(scope="module")
def alive(lesson, tmp_path_factory):
    """The folder of the pages, and the one of the frames."""
    return still_views.executed(lesson, tmp_path_factory.mktemp("frames"))


def test_a_titled_display_cell_is_folded_everywhere_and_its_source_does_not_say_how(lesson):
    nb = from_source(common.source_of(lesson))
    folded = [cell for cell in nb.cells if form_title(cell)]
    assert [form_title(cell) for cell in folded] == ["What you expect", "Bars <of> a height"]
    for cell in folded:
        assert cell.metadata["cellView"] == "form"  # Colab
        assert cell.metadata["jupyter"] == {"source_hidden": True}  # JupyterLab
    assert "cellView" not in to_source(nb) and to_source(nb) == SOURCE


def test_a_title_alone_or_a_tag_alone_folds_nothing():
    assert form_title(new_code_cell("# @title Drawn\nx = 1")) == ""
    assert form_title(new_code_cell("x = 1", metadata={"tags": ["display"]})) == ""
    assert form_title(new_code_cell("#@title Drawn", metadata={"tags": ["display"]})) == "Drawn"


def test_what_is_edited_in_jupyter_comes_back_without_what_folds(lesson):
    assert take_back(common.source_of(lesson)) is False


def test_a_page_folds_the_code_under_its_title_and_needs_no_network(lesson):
    page, _ = pages.Page().from_notebook_node(common.read(lesson))
    soup = BeautifulSoup(page, "html.parser")
    folds = soup.find_all("details", class_="course-code")
    assert [fold.summary.text for fold in folds] == [
        "What you expect · the code",
        "Bars <of> a height · the code",
    ]
    assert not any(fold.has_attr("open") for fold in folds)
    assert slides.external(page) == []


def test_slides_leave_the_code_of_display_cells_out(lesson, tmp_path):
    slides.build(lesson, tmp_path)
    page = (tmp_path / "00_toy" / "index.html").read_text(encoding="utf-8")
    text = BeautifulSoup(page, "html.parser").find("div", class_="slides").get_text()
    assert "ax.bar" not in text and "from course_utils" in text
    assert "How high is the first bar?" in text


def test_a_lesson_is_not_executed_again_for_its_frames(lesson, alive, monkeypatch):
    monkeypatch.setattr(common, "execute", lambda *a, **k: pytest.fail("executed again"))
    nb, folder = still_views.executed(lesson, alive[1].parent.parent)
    assert len(list(folder.iterdir())) == 5


def test_controls_say_what_they_are_and_what_they_cannot(alive):
    nb = still_views.with_views(alive[0].copy())
    found = [o.data["text/html"] for c in nb.cells if c.cell_type == "code" for o in c.outputs]
    views = [BeautifulSoup(h, "html.parser") for h in found if "course-view" in h]
    assert len(views) == 2
    assert all(field.find_parent("label") for v in views for field in v.select("input, select"))
    assert views[0].output.text == "1" and views[0].img["alt"] == "Two bars; the first is 1 high."
    assert views[1].find("input", type="text")["value"] == "<any>"
    assert "live in the notebook" in views[1].text


def opened(playwright, path, faults):
    chromium = playwright.chromium.launch(
        executable_path=browser.find() or pytest.skip(browser.MISSING), args=browser.ARGUMENTS
    )
    page = chromium.new_context(viewport={"width": 1280, "height": 720}).new_page()
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda m: faults.append(m.text) if m.type == "error" else None)
    page.goto(path.as_uri())
    return page


@pytest.mark.parametrize("kind", ["page", "slides"])
def test_without_a_kernel_views_move_and_predictions_are_remembered(
    kind, lesson, alive, tmp_path, monkeypatch
):
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    monkeypatch.setattr(still_views, "executed", lambda pair: (alive[0].copy(), alive[1]))
    if kind == "page":
        pages.build(lesson, tmp_path)
        path = tmp_path / "00_toy.html"
    else:
        slides.build(lesson, tmp_path, alive=True)
        path = tmp_path / "00_toy" / "index.html"
    faults = []
    with sync_api.sync_playwright() as playwright:
        page = opened(playwright, path, faults)
        if kind == "slides":
            page.wait_for_function("window.Reveal?.isReady()")
            page.evaluate("document.querySelectorAll('section').forEach(s => s.hidden = false)")
        slider = page.locator(".course-view input[type=range]")
        image = page.locator(".course-view img")
        before = image.get_attribute("src")
        slider.evaluate("e => { e.value = 4; e.dispatchEvent(new Event('input')); }")
        assert image.get_attribute("alt") == "Two bars; the first is 4 high."
        assert image.get_attribute("src") != before
        assert image.evaluate("i => i.decode().then(() => i.naturalWidth)") > 0
        assert page.locator(".course-view output").text_content() == "4"
        page.locator(".course-view select").evaluate(
            "e => { e.value = 1; e.dispatchEvent(new Event('input')); }"
        )
        assert "False dog" in page.locator(".course-view").nth(1).inner_text() or kind == "slides"
        assert page.locator(".course-yours").text_content() == "You made no prediction."
        page.locator(".course-predict input").first.evaluate("e => e.click()")
        assert page.locator(".course-yours").text_content() == "You chose A · under 2."
        page.reload()
        assert page.locator(".course-predict input").first.is_checked()
        assert page.locator(".course-yours").text_content() == "You chose A · under 2."
        page.context.browser.close()
    assert faults == []


def test_a_page_is_moved_by_the_keyboard_alone(lesson, alive, tmp_path, monkeypatch):
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    monkeypatch.setattr(still_views, "executed", lambda pair: (alive[0].copy(), alive[1]))
    pages.build(lesson, tmp_path)
    with sync_api.sync_playwright() as playwright:
        page = opened(playwright, tmp_path / "00_toy.html", [])
        page.locator(".course-view input[type=range]").focus()
        page.keyboard.press("ArrowRight")
        page.keyboard.press("ArrowRight")
        assert page.locator(".course-view img").get_attribute("alt").endswith("3 high.")
        page.locator(".course-predict input").first.focus()
        page.keyboard.press("ArrowDown")
        assert page.locator(".course-yours").text_content() == "You chose B, too."
        page.context.browser.close()
