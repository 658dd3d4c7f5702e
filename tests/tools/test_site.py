"""The website: a toy with views and predictions, and one lesson of the course as it is saved, in a
browser whose network is off.
"""

import functools
import http.server
import re
import shutil
import threading

import browser
import common
import npm
import pytest
import site_pages
import slides
import still_views
import website
from bs4 import BeautifulSoup
from common import NOTEBOOKS, Problem
from glossary import Term
from lesson_map import Lesson
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from pairs import build as execute

REAL = "02_attention"
TOY = "01_toy"
COLAB = "https://colab.research.google.com/github/a/b/blob/main/notebooks/01_toy.ipynb"
SOURCE = f"""\
# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 01 · A toy
#
# [![Open in Colab](https://colab.example/badge.svg)]({COLAB}) · [open this lesson in Colab]({COLAB})
#
# **Time.** Running: about a second. About a minute to read.
#
# **Prerequisites.** None.
#
# ## Look & see
#
# A zanzibar of $\\frac{{a}}{{b}}$; after it come [lesson 02](02_attention.ipynb) and [lesson 09](09_sampling.ipynb).
#
# % no comment, {{nor}}`a role`

# %%
import ipywidgets as w
from course_utils.classroom import Markup, Picture, explore, predict, reveal, show, subplots

# %% tags=["display"]
# @title What you expect
predict("toy.height", "How high is the first bar?", {{"under 2": (0, 2), "2 or more": (2, 99)}})


# %% tags=["display"]
# @title Bars <of> a height
def bars(height):
    fig, ax = subplots(figsize=(4, 2))
    ax.bar([0, 1], [height, 1])
    return Picture(fig, f"Two bars; the first is {{height}} high.")


explore(bars, height=w.IntSlider(value=1, min=0, max=4, description="height"))

# %%
show(subplots(figsize=(3, 2))[0], 'Axes with "nothing" <in> them.')

# %%
Markup("<p>3 &lt; 4</p>", "3 < 4")

# %%
reveal("toy.height", 3)
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The folder of a site with the toy, alive, and a lesson of the course as it is saved."""
    folder = tmp_path_factory.mktemp("site")
    source = folder / "notebooks" / "src" / f"{TOY}.py"
    common.write(source, SOURCE)
    shutil.copy(NOTEBOOKS / "src" / f"{REAL}.py", source.parent)
    shutil.copy(NOTEBOOKS / f"{REAL}.ipynb", source.parent.parent)
    assert execute(source) == "executed"
    pairs = [common.pair_of(path) for path in common.sources(folder=folder / "notebooks")]
    executed = still_views.executed

    def cheap(pair):
        if pair.stem == REAL:
            return common.read(pair), folder / "none"
        return executed(pair, folder / "frames")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(still_views, "executed", cheap)
        said = website.build(pairs, folder / "site")
    assert [line.split(":")[0] for line in said] == [TOY, REAL, "the site"]
    return folder / "site"


def soup(site, name):
    return BeautifulSoup((site / f"{name}.html").read_text(encoding="utf-8"), "html.parser")


ALL = pytest.mark.parametrize("name", ["index", TOY, REAL, "claims", "glossary", "search"])


# --- What is in the files -------------------------------------------------------------------------


@ALL
def test_a_page_loads_nothing_from_the_network(site, name):
    assert slides.external((site / f"{name}.html").read_text(encoding="utf-8")) == []


def test_the_scripts_and_styles_name_no_network_either(site):
    styles = "".join(path.read_text(encoding="utf-8") for path in (site / "_static").rglob("*.css"))
    loaded = re.findall(r"(?:url\(|@import)\s*[\"']?((?:https?:)?//[^\"')]+)", styles)
    assert loaded == []


def test_a_lesson_opens_in_colab_and_comes_as_it_is_saved(site):
    found = soup(site, REAL)
    links = found.select_one(".course-open").find_all("a")
    assert links[0]["href"].endswith(f"/notebooks/{REAL}.ipynb") and "colab" in links[0]["href"]
    saved = NOTEBOOKS / f"{REAL}.ipynb"
    assert links[1].has_attr("download")
    assert (site / links[1]["href"]).read_bytes() == saved.read_bytes()
    assert not found.find("img", src=re.compile("badge"))


def test_next_and_previous_lead_through_the_course(site):
    names = ["index", TOY, REAL, "claims", "glossary"]
    for before, after in zip(names, names[1:], strict=False):
        assert soup(site, before).select_one("a.right-next")["href"] == f"{after}.html"
        assert soup(site, after).select_one("a.left-prev")["href"] == f"{before}.html"


def test_code_hints_and_solutions_are_folded(site):
    folds = soup(site, REAL).select("details.course-fold")
    titles = [fold.summary.text for fold in folds]
    assert not any(fold.has_attr("open") for fold in folds)
    assert titles.count("Solution") == 9 and "Hint 1" in titles
    assert "A head of a trained model at work · the code" in titles
    solution = folds[titles.index("Solution")]
    assert "def causal_mask" in solution.pre.text
    assert "check(" not in soup(site, REAL).select_one("article").text


def test_text_and_titles_are_escaped(site):
    found = soup(site, TOY)
    assert "Bars <of> a height · the code" in [s.text for s in found.select("summary")]
    assert found.select_one("article h2").text.startswith("Look & see")
    assert found.find("img", alt='Axes with "nothing" <in> them.')
    assert "% no comment, {nor}" in found.select_one("article").text


def test_formulas_are_mathml_and_links_go_to_pages_or_to_the_repository(site):
    found = soup(site, TOY)
    links = [a["href"] for a in found.select("article a.reference")]
    assert found.select_one("math mfrac") and f"{REAL}.html" in links
    assert any(link.endswith("/notebooks/09_sampling.ipynb") for link in links)


def test_a_term_leads_to_the_glossary_and_back(site):
    terms = soup(site, "glossary").select("dt")
    lesson = soup(site, REAL)
    assert len(terms) > 5
    for term in terms:
        back = term.find_next("dd").a["href"]
        assert back == f"{REAL}.html#{term['id']}"
        assert lesson.find(id=term["id"])["href"] == f"glossary.html#{term['id']}"


def test_the_claims_are_one_table_with_their_sources(site):
    rows = soup(site, "claims").select("table[data-sortable] tbody tr")
    assert [row.td.text for row in rows] == ["A1", "A2", "A3", "A7"]
    assert rows[3].find("a", href="https://arxiv.org/abs/1706.03762")


def test_a_page_has_all_its_frames_and_keeps_to_its_budget(site):
    page = site / f"{TOY}.html"
    frames = set(re.findall(r"[0-9a-f]{16}\.webp", page.read_text(encoding="utf-8")))
    assert len(frames) == 6 and all((site / "frames" / name).exists() for name in frames)
    assert sum((site / "frames" / f).stat().st_size for f in frames) < website.weight(page)
    assert website.weight(page) < website.MOST


def test_a_page_over_the_budget_stops_the_build(site, monkeypatch):
    monkeypatch.setattr(website, "MOST", 1000)
    with pytest.raises(Problem, match=f"a page may weigh 0 MB with its frames; {TOY}: "):
        website._weighed(site, [site / f"{TOY}.ipynb"])


def test_what_sphinx_warns_of_stops_the_build(tmp_path):
    common.write(tmp_path / "source" / "index.md", "# A\n\n[to nowhere](nowhere.md)\n")
    (tmp_path / "source" / "_static").mkdir()
    with pytest.raises(Problem, match="nowhere.md"):
        website._sphinx(tmp_path / "source", tmp_path / "site")


# --- The map and the glossary by themselves -------------------------------------------------------


def test_the_map_puts_a_lesson_below_what_it_builds_on_even_one_of_a_higher_number():
    lessons = [
        Lesson("01_a", "A", "x", ()),
        Lesson("02_b", "B", "x", ("03",)),
        Lesson("03_c", "C", "x", ("01",)),
    ]
    heights = {spot.lesson.number: spot.y for spot in site_pages.layout(lessons)}
    assert heights["01"] < heights["03"] < heights["02"]


def test_the_map_draws_no_line_that_others_imply_and_links_only_what_is_built():
    lessons = [
        Lesson("01_a", "A <1>", "x", ()),
        Lesson("02_b", "B", "x", ("01",)),
        Lesson("03_c", "C", "x", ("01", "02")),
    ]
    page = BeautifulSoup(site_pages.index(lessons, {"01_a", "03_c"}, 0, 0), "html.parser")
    ways = [(way["data-from"], way["data-to"]) for way in page.select(".course-way")]
    assert ways == [("01", "02"), ("02", "03")]
    assert {a["href"] for a in page.select("a")} == {"01_a.html", "03_c.html"}
    assert page.find("title").text == "A <1>"


def test_a_sentence_of_the_glossary_keeps_its_formula_and_is_escaped():
    made = site_pages.glossary([Term("x", "For $a$, *b* & <i> of `c`.", "01_a")])
    assert "<math" in made and "<em>b</em> &amp; &lt;i&gt; of <code>c</code>." in made


def test_code_with_fences_and_pictures_without_alt_text_come_through(tmp_path):
    pixel = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
    picture = new_output("display_data", data={"image/png": pixel, "text/plain": "a <dot>"})
    cell = new_code_cell('# @title Fence\n"```"', outputs=[picture], metadata={"tags": ["display"]})
    nb = new_notebook(cells=[new_markdown_cell("# A <!-- speaker: aside -->"), cell])
    made = website.prepared(nb, "01_a", {"01_a"}, [], None, tmp_path)
    assert made.cells[0].source == "# A "
    assert "````ipython3" in made.cells[1].source
    html = made.cells[2].outputs[0].data["text/html"]
    assert 'alt="a &lt;dot&gt;"' in html and len(list(tmp_path.iterdir())) == 1


# --- In a browser ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def chromium():
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = browser.find() or pytest.skip(browser.MISSING)
    with sync_api.sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=path, args=browser.ARGUMENTS)
        yield running
        running.close()


@pytest.fixture
def visit(site, chromium):
    """visit("index") opens a page of the site as a file; afterwards nothing may have failed or
    asked for the network.
    """
    context = chromium.new_context(viewport={"width": 1300, "height": 900})
    context.set_default_timeout(1000 * common.patience(30))
    faults = []
    page = context.new_page()
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda m: faults.append(m.text) if m.type == "error" else None)
    page.on(
        "request",
        lambda r: None if r.url.startswith(("file:", "data:")) else faults.append(r.url),
    )

    def opened(name, theme="light"):
        page.emulate_media(color_scheme=theme)
        page.goto((site / f"{name}.html").as_uri())
        return page

    yield opened
    context.close()
    assert faults == []


def test_the_slider_swaps_the_frame(visit):
    page = visit(TOY)
    image = page.locator(".course-view img")
    before = image.get_attribute("src")
    page.locator(".course-view input[type=range]").fill("4")
    assert image.get_attribute("alt") == "Two bars; the first is 4 high."
    assert image.get_attribute("src") != before
    assert image.evaluate("i => i.decode().then(() => i.naturalWidth)") > 0


def test_a_prediction_is_remembered(visit):
    page = visit(TOY)
    yours = page.locator(".course-yours")
    assert yours.text_content() == "You made no prediction."
    page.locator(".course-predict input").first.check()
    assert yours.text_content() == "You chose A · under 2."
    page.reload()
    assert page.locator(".course-predict input").first.is_checked()
    assert yours.text_content() == "You chose A · under 2."


def found(page):
    page.wait_for_selector("#search-results ul.search li")
    return page.locator("#search-results ul.search li a").evaluate_all(
        "links => links.map(link => link.getAttribute('href').split(/[?#]/)[0])"
    )


def test_search_works_in_a_file(visit):
    page = visit("search")
    page.goto(f"{page.url}?q=zanzibar")
    assert found(page) == [f"{TOY}.html"]


def test_search_works_on_a_server_and_shows_what_stands_around(site, chromium):
    class Quiet(http.server.SimpleHTTPRequestHandler):
        log_message = lambda *_: None

    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Quiet, directory=site)
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    page = chromium.new_page()
    try:
        page.goto(f"http://127.0.0.1:{server.server_port}/search.html?q=autoregressive")
        assert f"{REAL}.html" in found(page) and "glossary.html" in found(page)
        page.locator("#search-results .context").first.wait_for()
    finally:
        page.close()
        server.shutdown()
        server.server_close()


def test_the_theme_turns_dark_by_its_button_and_is_remembered(visit):
    page = visit(TOY)
    ground = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(ground)
    page.locator(".theme-switch-button:visible").click()
    page.locator(".theme-change-button[data-mode=dark]:visible").click()
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    assert page.evaluate(ground) != light
    visit(REAL)
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"


def test_the_keyboard_alone_moves_a_view_chooses_and_unfolds(visit):
    page = visit(TOY)
    tabs = "document.activeElement.matches"

    def tab_to(selector):
        for _ in range(80):
            page.keyboard.press("Tab")
            if page.evaluate(f"{tabs}({selector!r})"):
                return
        raise AssertionError(f"the keyboard does not reach {selector}")

    tab_to(".course-fold > summary")
    page.keyboard.press("Enter")
    assert page.locator(".course-fold").first.get_attribute("open") is not None
    tab_to(".course-predict input")
    page.keyboard.press("ArrowDown")
    assert page.locator(".course-yours").text_content() == "You chose B, too."
    tab_to(".course-view input[type=range]")
    page.keyboard.press("ArrowRight")
    assert page.locator(".course-view img").get_attribute("alt").endswith("2 high.")


def test_the_claims_are_sorted_by_a_press_and_back_by_another(visit):
    page = visit("claims")
    first = page.locator("table[data-sortable] tbody td:first-child")
    button = page.locator("th button", has_text="id")
    button.click()
    assert first.all_text_contents() == ["A1", "A2", "A3", "A7"]
    button.click()
    assert first.all_text_contents() == ["A7", "A3", "A2", "A1"]
    assert page.locator("th").first.get_attribute("aria-sort") == "descending"


def test_a_lesson_on_the_map_shows_its_neighbours_and_leads_to_its_page(visit):
    page = visit("index")
    page.locator(f'.course-map a[href="{TOY}.html"]').hover()
    assert page.locator(".course-way.course-near").count() == 1
    page.locator(f'.course-map a[href="{TOY}.html"]').click()
    assert page.locator("article h1").text_content().startswith("01 · A toy")


def test_print_shows_the_lesson_alone(visit):
    page = visit(TOY)
    page.emulate_media(media="print")
    assert page.locator("h1:visible").count() == 1 and page.locator(".course-view img").is_visible()
    for gone in (".bd-sidebar-primary", ".course-open", ".course-controls"):
        assert not page.locator(gone).first.is_visible()


@pytest.fixture(scope="module")
def axe(tmp_path_factory):
    folder = tmp_path_factory.mktemp("axe")
    try:
        npm.vendor(npm.AXE, folder)
    except Problem as problem:
        pytest.skip(f"no axe-core here: {problem}")
    return (folder / "axe.min.js").read_text(encoding="utf-8")


@pytest.mark.parametrize("theme", ["light", "dark"])
@ALL
def test_nothing_serious_stands_in_anybodys_way(visit, axe, name, theme):
    page = visit(name, theme)
    # colours that are on their way from one theme to the other have no contrast of their own
    page.add_style_tag(content="*, *::before, *::after { transition: none !important; }")
    page.evaluate("() => document.getAnimations().forEach(animation => animation.finish())")
    page.evaluate(axe)
    faults = page.evaluate("""async () => (await axe.run({preload: false})).violations
        .filter(v => ['serious', 'critical'].includes(v.impact))
        .map(v => v.id + ': ' + v.nodes.slice(0, 3).map(n => n.html.slice(0, 200)).join(' | '))""")
    assert faults == []
