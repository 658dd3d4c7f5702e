"""The maintainers' tools, on a small notebook of their own: build, check, run, solve, show,
collect, address, set up.
"""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import address
import browser
import claims
import common
import environment
import instructor
import lab
import layout
import npm
import pages
import pairs
import pytest
import run
import slides
import suite
from cells import checked
from common import ROOT, Problem
from nbformat.v4 import new_code_cell, new_markdown_cell, new_output
from records import chosen, is_known, load, parser_of, save, stamp

import notebooks
from course_utils.checking import verdicts

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
HEADER = """# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

"""
TOY = (
    HEADER
    + r'''# %% [markdown]
# # A toy notebook
#
# [![Open in Colab](https://example.org/b.svg)](https://colab.research.google.com/github/a/b/blob/main/notebooks/00_toy.ipynb) · [open this lesson in Colab](https://colab.research.google.com/github/a/b/blob/main/notebooks/00_toy.ipynb)
#
# It shows that $\frac{1}{2} < 1$.

# %% tags=["imports"]
from toy import CLAIMS, PIXEL, check, display, w

# %% [markdown]
# ## Exercise

# %% tags=["exercise"]
limit = 10


def scaled(x: int) -> int:
    """Ten times x."""
    ...


# %% tags=["check"]
scaled = check("toy.scaled", scaled)

# %% [markdown] slideshow={"slide_type": "notes"}
# Say this aloud.

# %% [markdown]
# ## A view
#
# $$\begin{aligned} a &= b \\ c &= d \end{aligned}$$

# %%
view = {"version_major": 2, "version_minor": 0, "model_id": w.VBox([w.IntSlider()]).model_id}
bundle = {"application/vnd.jupyter.widget-view+json": view, "image/png": PIXEL, "text/plain": "one pixel"}
display(bundle, metadata={"image/png": {"alt": "One single pixel in red."}}, raw=True)

# %% [markdown]
# ## What we verified

# %%
display({CLAIMS: [{"id": "X1", "claim": "a | b", "source": "s", "published": "1", "measured": "1", "tolerance": "± 1",
                   "verdict": "reproduced", "reason": "", "notebook": "00"}], "text/plain": "X1"}, raw=True)
'''
)
MODULE = f'''
import math

import ipywidgets as w
from IPython.display import display

CLAIMS, PIXEL, FACTOR = "{claims.MIME}", "{PIXEL}", 10


def scaled(x: int) -> int:
    """Ten times x."""
    return math.trunc(FACTOR * x)


def check(name, answer):
    verdict = "open" if answer(3) is None else "passes" if answer(3) == 30 else "fails"
    data = {{"name": name, "verdict": verdict, "message": "scaled: " + verdict}}
    display({{"{verdicts.CHECK}": data, "text/plain": verdict}}, raw=True)
    return answer if verdict == "passes" else scaled
'''


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A folder like notebooks/, with the toy built once."""
    folder = tmp_path_factory.mktemp("course") / "notebooks"
    (folder / "src").mkdir(parents=True)
    (folder / "toy.py").write_text(MODULE, encoding="utf-8")
    source = folder / "src" / "00_toy.py"
    source.write_text(TOY, encoding="utf-8")
    assert pairs.build(source) == "executed"
    return source


@pytest.fixture
def source(built, tmp_path):
    """A copy of that folder for one test to spoil."""
    folder = shutil.copytree(built.parent.parent, tmp_path / "notebooks")
    return folder / "src" / "00_toy.py"


def find(name, spoiled=False):
    """The toy's exercise; `spoiled`, its reference is wrong."""
    assert name == "toy.scaled"
    sys.path.insert(0, str(find.folder))
    try:
        import toy
    finally:
        sys.path.pop(0)
    reference = toy.check if spoiled else toy.scaled
    return SimpleNamespace(
        name="scaled",
        reference=reference,
        hints=["Think of ten."],
        difficulty=1,
        minutes=2,
        mistakes={"you multiplied by one": reference},
    )


@pytest.fixture(autouse=True)
def the_toys_folder(request):
    if {"built", "source"} & set(request.fixturenames):
        find.folder = request.getfixturevalue("built").parent.parent


def edit(path, old, new):
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


# --- build and check ------------------------------------------------------------------------------


def test_a_built_notebook_is_executed_and_agrees_with_its_source(built):
    nb = common.read(common.pair_of(built))
    assert pairs.disagreements(common.pair_of(built)) == []
    assert [cell.execution_count for cell in pairs.code_cells(nb)] == [1, 2, 3, 4, 5]
    assert (
        set(nb.metadata) == {"kernelspec", "language_info"}
        and "version" not in nb.metadata.language_info
    )
    assert not any("execution" in cell.metadata for cell in nb.cells)


def test_building_again_gives_the_same_bytes(source):
    before = common.pair_of(source).read_bytes()
    assert pairs.build(source) == "executed"
    assert common.pair_of(source).read_bytes() == before


def test_only_changed_leaves_alone_what_agrees(source, monkeypatch):
    monkeypatch.setattr(common, "execute", lambda *_: pytest.fail("it was executed"))
    before = common.pair_of(source).read_bytes()
    assert pairs.build(source, only_changed=True) == "unchanged"
    assert common.pair_of(source).read_bytes() == before


def test_only_changed_keeps_the_outputs_where_prose_was_edited(source, monkeypatch):
    monkeypatch.setattr(common, "execute", lambda *_: pytest.fail("it was executed"))
    before = common.read(common.pair_of(source))
    edit(source, "# ## A view\n", "# ## Another view\n#\n# More words.\n")
    assert pairs.build(source, only_changed=True) == "prose refreshed"
    after = common.read(common.pair_of(source))
    assert any("More words." in cell.source for cell in after.cells)
    assert [c.outputs[0].data.get("text/plain") for c in pairs.code_cells(after)[3:]] == [
        "one pixel",
        "X1",
    ]
    assert [c.outputs for c in pairs.code_cells(after)][2] == [
        c.outputs for c in pairs.code_cells(before)
    ][2]
    assert pairs.disagreements(common.pair_of(source)) == []


def test_only_changed_executes_where_code_was_edited(source, monkeypatch):
    executed = []
    monkeypatch.setattr(common, "execute", lambda nb, name, *_: executed.append(name))
    edit(source, "limit = 10", "limit = 11")
    pairs.build(source, only_changed=True)
    assert executed == ["00_toy"]


@pytest.mark.parametrize(
    ("code", "reason"),
    [("1 / 0", "ZeroDivisionError: division by zero"), ("%nonsense", "`%nonsense` not found")],
)
def test_a_failing_cell_is_named_and_the_saved_notebook_stays(source, code, reason):
    before = common.pair_of(source).read_bytes()
    source.write_text(f"{HEADER}# %% [markdown]\n# # Title\n\n# %%\n{code}\n", encoding="utf-8")
    with pytest.raises(Problem) as error:
        pairs.build(source)
    assert re.search(r"00_toy, cell 2 of 2 \(`.*`\): ", str(error.value)) and reason in str(
        error.value
    )
    assert common.pair_of(source).read_bytes() == before


def test_a_cell_that_takes_too_long_is_named(tmp_path):
    nb = pairs.new_notebook(cells=[new_code_cell("import time"), new_code_cell("time.sleep(600)")])
    with pytest.raises(
        Problem, match=r"x, cell 2 of 2 \(`time.sleep\(600\)`\): still running after \d+ s"
    ):
        common.execute(nb, "x", tmp_path, timeout=common.patience(8))


def output(data=None, **stream):
    return new_output("display_data", data=data) if data else new_output("stream", **stream)


SPOILED = [
    (lambda nb: nb.cells[0].update(source="# Other"), "cell 1: its source differs"),
    (lambda nb: nb.cells[3].metadata.update(tags=["other"]), "cell 4: its metadata differs"),
    (lambda nb: nb.cells.pop(0), "it has 9 cells, its source has 10"),
    (lambda nb: nb.cells[1].update(execution_count=None), "cell 2: no execution count"),
    (lambda nb: nb.metadata.update(widgets={}), "metadata.widgets is saved"),
    (lambda nb: nb.metadata.update(colab={}), "changes the file"),
    (lambda nb: nb.metadata.language_info.update(version="3.11.7"), "changes the file"),
    (lambda nb: nb.cells[0].update(id="other"), "changes the file"),
    (
        lambda nb: nb.cells[7].outputs[0].data[pairs.VIEW].update(model_id="3fae"),
        "changes the file",
    ),
    (
        lambda nb: nb.cells[1].update(outputs=[output(name="stderr", text="Warning")]),
        "cell 2: it wrote to stderr: 'Warning'",
    ),
    (
        lambda nb: nb.cells[1].update(outputs=[output(name="stdout", text="in /home/ada/x.py")]),
        "a path of the machine",
    ),
    (
        lambda nb: nb.cells[1].update(outputs=[output({"text/html": f"<p>{ROOT}</p>"})]),
        "a path of the machine",
    ),
    (
        lambda nb: nb.cells[1].update(outputs=[output({"text/plain": "C:\\Users\\ada"})]),
        "a path of the machine",
    ),
    (
        lambda nb: nb.cells[1].update(outputs=[output({"text/plain": "<f at 0x7f2a91c3d0>"})]),
        "the address of an object",
    ),
    (
        lambda nb: nb.cells[1].update(
            outputs=[new_output("error", ename="E", evalue="", traceback=[])]
        ),
        "its output is an error: E",
    ),
]


@pytest.mark.parametrize(("spoil", "message"), SPOILED, ids=[message for _, message in SPOILED])
def test_a_disagreement_is_noticed(source, spoil, message):
    pair = common.pair_of(source)
    nb = common.read(pair)
    spoil(nb)
    pair.write_text(common.dumps(nb), encoding="utf-8")
    assert any(message in line for line in pairs.disagreements(pair)), pairs.disagreements(pair)


def test_another_layout_of_either_file_is_noticed(source):
    pair = common.pair_of(source)
    pair.write_text(
        json.dumps(json.loads(pair.read_text(encoding="utf-8")), indent=2), encoding="utf-8"
    )
    assert any("changes the file" in line for line in pairs.disagreements(pair))
    edit(source, "#   kernelspec:", "#   jupytext:\n#     formats: ipynb\n#   kernelspec:")
    assert any(
        "is not laid out as jupytext writes it" in line for line in pairs.disagreements(pair)
    )


def test_a_missing_file_is_noticed(source):
    common.pair_of(source).unlink()
    assert pairs.disagreements(common.pair_of(source)) == [f"{common.pair_of(source)} is missing"]


def test_pictures_and_plain_words_are_no_paths_of_a_machine(source):
    pair = common.pair_of(source)
    nb = common.read(pair)
    fine = [
        "<img src='data:image/png;base64,ab/home/abcd' alt=''>",
        "homework/home and and/or /tokens",
        "https://example.org/tmp",
    ]
    nb.cells[1].outputs = [output({"text/html": text}) for text in fine]
    pair.write_text(common.dumps(nb), encoding="utf-8")
    assert pairs.disagreements(pair) == []


@pytest.mark.parametrize(
    "name", ["00", "0", "00_toy", "toy", "notebooks/00_toy.ipynb", "notebooks/src/00_toy.py"]
)
def test_a_notebook_has_several_names(source, name):
    if name == "0":
        source.rename(source.with_name("01_toy.py"))
        source = source.with_name("01_toy.py")
        name = "1"
    assert common.sources([name], source.parent.parent) == [source]


def test_an_unknown_notebook_is_named_with_those_that_there_are(source):
    with pytest.raises(Problem, match="no notebook '77'; there are 00_toy"):
        common.sources(["77"], source.parent.parent)


def test_edits_made_in_jupyter_go_back_into_the_source(source):
    assert pairs.take_back(source) is False
    edit(common.pair_of(source), "## A view", "## A second view")
    assert pairs.take_back(source) is True
    assert source.read_text(encoding="utf-8") == TOY.replace("## A view", "## A second view")
    assert pairs.disagreements(common.pair_of(source)) == []


# --- run ------------------------------------------------------------------------------------------


def test_run_names_what_fails_and_goes_on(tmp_path, monkeypatch, capsys):
    (tmp_path / "src").mkdir()
    for name, code in (("01_bad", "x = 1\nx.nothing"), ("02_good", "print('good')")):
        source = tmp_path / "src" / f"{name}.py"
        source.write_text(f"{HEADER}# %% [markdown]\n# # Title\n\n# %%\n{code}\n", encoding="utf-8")
        common.write(common.pair_of(source), common.dumps(pairs.from_source(source)))
    monkeypatch.setattr(sys, "argv", ["run.py"])
    with pytest.raises(Problem, match="1 failed: 01_bad"):
        run.main(tmp_path / "out", tmp_path)
    printed = capsys.readouterr()
    assert (
        "01_bad, cell 2 of 2 (`x = 1`): AttributeError: 'int' object has no attribute 'nothing'"
        in printed.err
    )
    line = re.search(r"02_good +1 cells +([\d.]+) s +(\d+) MiB", printed.out)
    assert float(line[1]) > 0 and int(line[2]) > 10
    assert "good" in (tmp_path / "out" / "02_good.html").read_text(encoding="utf-8")
    assert (
        common.read(tmp_path / "out" / "01_bad.ipynb").cells[1].outputs[0].ename == "AttributeError"
    )


# --- instructor -----------------------------------------------------------------------------------


def test_the_instructors_version_has_the_reference_in_it_and_passes(source, tmp_path):
    assert "1 exercises solved" in instructor.build(source, tmp_path / "out", find=find)
    nb = common.read(tmp_path / "out" / "00_toy.ipynb")
    solved = next(cell.source for cell in nb.cells if "def scaled" in cell.source)
    assert solved.startswith(
        "from toy import FACTOR\nimport math\nlimit = 10\n"
    ) and solved.endswith("return math.trunc(FACTOR * x)")
    [(name, verdict)] = instructor.verdicts(nb)
    assert (name, verdict["verdict"]) == ("toy.scaled", "passes")
    assert "return" in (tmp_path / "out" / "00_toy.html").read_text(encoding="utf-8")
    told = (tmp_path / "out" / "00_toy.plan.html").read_text(encoding="utf-8")
    assert "Lesson plan" in told and "you multiplied by one" in told


def test_a_reference_that_fails_its_check_stops_the_instructors_version(source, tmp_path):
    edit(source.parent.parent / "toy.py", "answer(3) == 30", "answer(3) == 31")
    with pytest.raises(Problem, match="does not pass its own check: toy.scaled: scaled: fails"):
        instructor.build(source, tmp_path / "out", find=find)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            'tags=["exercise"]',
            'tags=["other"]',
            "no cell tagged `exercise` defines the stub for toy.scaled",
        ),
        ("def scaled", "def scaling", "tagged `exercise`, but no check"),
    ],
)
def test_a_stub_and_a_check_that_do_not_belong_together_are_noticed(source, old, new, message):
    edit(source, old, new)
    with pytest.raises(Problem, match=message):
        instructor.fill(pairs.from_source(source), find)


# --- claims ---------------------------------------------------------------------------------------


def test_the_table_of_claims_is_written_and_compared(source):
    folder = source.parent.parent
    assert "is missing" in claims.disagreements(folder)[0]
    claims.build(folder)
    text = (folder / "CLAIMS.md").read_text(encoding="utf-8")
    assert (
        r"| X1 | a \| b | s | 1 ± 1 | 1 | **reproduced** |" in text
        and "1 claims: reproduced 1." in text
    )
    assert claims.disagreements(folder) == []
    edit(folder / "CLAIMS.md", "reproduced", "differs")
    assert "is not what the notebooks say" in claims.disagreements(folder)[0]


def test_one_id_in_two_notebooks_is_refused(source):
    shutil.copy(source, source.with_name("01_again.py"))
    shutil.copy(common.pair_of(source), common.pair_of(source.with_name("01_again.py")))
    with pytest.raises(Problem, match="claim X1 stands in 00_toy and in 01_again"):
        claims.table(source.parent.parent)


def test_a_notebook_without_claims_is_refused(source):
    pair = common.pair_of(source)
    edit(pair, claims.MIME, "application/json")
    with pytest.raises(Problem, match="00_toy has no claims table"):
        claims.table(source.parent.parent)


# --- slides ---------------------------------------------------------------------------------------


def prose(text, **metadata):
    return new_markdown_cell(text, metadata=metadata)


def picture():
    tall = PIXEL[:21] + "AAAyAAAAGQ" + PIXEL[31:]  # says that it is 800 x 400
    return new_output("display_data", data={"image/png": tall})


def types(*cells):
    return [layout.kind(cell) for cell in layout.arrange(list(cells))]


def test_headings_start_slides_and_what_follows_continues():
    assert types(
        prose("# T"), prose("## A\n\ntext"), new_code_cell("1"), prose("### B"), prose("text")
    ) == ["slide", "slide", "-", "subslide", "-"]


def test_code_and_picture_that_do_not_fit_together_get_a_slide_each():
    code = new_code_cell("\n".join(["x = 1"] * 12), outputs=[picture()])
    cells = layout.arrange([prose("## A\n\ntext"), code])
    assert [layout.kind(cell) for cell in cells] == ["slide", "-", "subslide"]
    assert (
        cells[1].outputs == []
        and cells[2].metadata.transient.remove_source
        and cells[2].outputs == [picture()]
    )


def test_the_authors_slide_types_win():
    typed = [
        prose(f"text {kind}", slideshow={"slide_type": kind})
        for kind in ("slide", "subslide", "fragment", "notes", "-")
    ]
    assert types(prose("# T"), *typed) == ["slide", "slide", "subslide", "fragment", "notes", "-"]


@pytest.mark.parametrize(
    ("page", "loads"),
    [
        ('<script src="https://example.org/x.js"></script>', ["https://example.org/x.js"]),
        ('<img src="//example.org/x.png">', ["//example.org/x.png"]),
        ('<link rel="stylesheet" href="http://example.org/x.css">', ["http://example.org/x.css"]),
        (
            "<style>@import 'https://example.org/x.css'; p { background: url(https://example.org/p.png) }</style>",
            ["https://example.org/x.css", "https://example.org/p.png"],
        ),
        ('<p style="background: url(http://example.org/p.png)">', ["http://example.org/p.png"]),
        ('<iframe src="https://example.org"></iframe>', ["https://example.org"]),
        (
            '<a href="https://example.org">a link to follow</a><img src="data:image/png;base64,AA"><script src="x.js"></script>',
            [],
        ),
    ],
)
def test_what_a_page_would_load_from_the_network_is_found(page, loads):
    assert slides.external(page) == loads


@pytest.mark.parametrize(
    ("latex", "part"),
    [
        (r"\frac{1}{\sqrt{d}}", "<mfrac>"),
        (r"\begin{aligned} a &= b \\ c &= d \end{aligned}", "<mtable"),
        ("1 &lt; 2", "&#x0003C;"),
    ],
)
def test_formulas_become_mathml(latex, part):
    made = pages.mathematics(latex)
    assert made.startswith("<math") and part in made


def test_a_formula_that_cannot_be_set_is_named():
    with pytest.raises(Problem, match=r"uses \\nonsense, which cannot be set"):
        pages.mathematics(r"x + \nonsense y")


def test_without_npm_the_message_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr(npm, "CACHE", tmp_path)
    monkeypatch.setattr(npm.shutil, "which", lambda _: None)
    with pytest.raises(Problem, match="npm is missing: install Node.js"):
        npm.vendor(npm.REVEAL, tmp_path / "deck")


def test_a_changed_archive_of_reveal_is_refused_and_removed(tmp_path, monkeypatch):
    monkeypatch.setattr(npm, "CACHE", tmp_path)
    archive = tmp_path / "reveal.js-5.2.1.tgz"
    archive.write_bytes(b"something else")
    with pytest.raises(Problem, match="wrong sha512"):
        npm.vendor(npm.REVEAL, tmp_path / "deck")
    assert not archive.exists() and not (tmp_path / "deck").exists()


@pytest.fixture(scope="module")
def deck(built, tmp_path_factory):
    """The toy's deck. Skipped where reveal.js cannot be had."""
    folder = tmp_path_factory.mktemp("slides")
    find.folder = built.parent.parent
    try:
        npm.vendor(npm.REVEAL, folder / "reveal.js")
    except Problem as problem:
        pytest.skip(f"no reveal.js here: {problem}")
    slides.build(common.pair_of(built), folder, find)
    return folder / "00_toy" / "index.html"


def test_a_deck_has_no_network_in_it_and_is_built_the_same_again(deck, built, tmp_path):
    page = deck.read_text(encoding="utf-8")
    assert slides.external(page) == [] and "colab" not in page
    slides.build(common.pair_of(built), tmp_path, find)
    assert (tmp_path / "00_toy" / "index.html").read_text(encoding="utf-8") == page


def test_a_deck_opens_as_a_file_shows_every_slide_and_the_speakers_notes(deck):
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = browser.find() or pytest.skip(browser.MISSING)
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=browser.ARGUMENTS)
        context = chromium.new_context(viewport={"width": 1280, "height": 720})
        requests = []
        faults = []
        context.on("request", lambda request: requests.append(request.url))
        page = context.new_page()
        page.on("console", lambda message: faults.append(message.text))
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.goto(deck.as_uri())
        page.wait_for_function("window.Reveal?.isReady()")
        shown = [page.evaluate("Reveal.getCurrentSlide().innerText")]
        while not page.evaluate("Reveal.isLastSlide()"):
            page.keyboard.press("Space")
            shown.append(page.evaluate("Reveal.getCurrentSlide().innerText"))
            assert page.evaluate("Reveal.getCurrentSlide().scrollHeight <= 720")
        assert (
            shown[0].startswith("A toy notebook")
            and "Exercise" in shown[1]
            and "What we verified" in shown[-1]
        )
        assert page.locator("math mfrac").count() == 1 and page.locator("math mtable").count() == 1
        page.evaluate("Reveal.slide(1)")
        with page.expect_popup() as opened:
            page.keyboard.press("s")
        notes = opened.value.locator(".speaker-controls-notes .value")
        notes.filter(has_text="Say this aloud.").wait_for(timeout=1000 * common.patience(60))
        assert (
            "Think of ten." in notes.inner_text() and "math.trunc(FACTOR * x)" in notes.inner_text()
        )
        chromium.close()
    assert [
        url for url in requests if not url.startswith(("file:", "data:", "about:"))
    ] == [] and faults == []


# --- address --------------------------------------------------------------------------------------


@pytest.fixture
def tree(tmp_path):
    """A copy of the files that hold the address."""
    for place in ("pyproject.toml", *address.PLACES):
        for path in ROOT.glob(place):
            (tmp_path / path.relative_to(ROOT)).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, tmp_path / path.relative_to(ROOT))
    return tmp_path


def test_no_badge_or_setup_cell_has_another_address_than_the_one_set():
    assert address.disagreements() == []


def test_a_new_address_reaches_every_place_and_a_second_run_changes_nothing(tree):
    old = address.read(tree)
    new = address.Address("https://github.com/ada-l/engine.2", "feature/x-1")
    holding = {
        path
        for place in address.PLACES
        for path in tree.glob(place)
        if old.repository.split("/", 3)[3] in path.read_text(encoding="utf-8")
    }
    assert holding
    assert set(address.rewrite(new, tree)) == holding
    assert address.read(tree) == new and address.disagreements(tree) == []
    for path in [tree / "pyproject.toml", *holding]:
        assert old.repository.split("/", 3)[3] not in path.read_text(encoding="utf-8"), (
            f"{path.name} still has the old address"
        )
    before = {path: path.read_bytes() for path in tree.rglob("*") if path.is_file()}
    assert address.rewrite(new, tree) == []
    assert {path: path.read_bytes() for path in tree.rglob("*") if path.is_file()} == before
    for pair in (tree / "notebooks").glob("*.ipynb"):
        assert pairs.disagreements(pair) == pairs.disagreements(ROOT / "notebooks" / pair.name)
    address.rewrite(old, tree)
    for path in [tree / "pyproject.toml", *holding]:
        assert path.read_bytes() == (ROOT / path.relative_to(tree)).read_bytes()


def test_a_single_file_that_disagrees_is_named(tree):
    edit(tree / "README.md", f"/blob/{address.read(tree).ref}/", "/blob/elsewhere/")
    assert [line.split()[0] for line in address.disagreements(tree)] == ["README.md"]


@pytest.mark.parametrize(
    "text",
    [
        "[![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/{}/blob/{}/notebooks/01_x.ipynb)",
        '    "    %pip install -q \\"course-utils @ git+https://github.com/{}@{}\\"\\n",',
        "[![Open in Binder](https://mybinder.org/badge_logo.svg)](https://mybinder.org/v2/gh/{}/{}?urlpath=lab/tree/notebooks)",
    ],
)
def test_an_address_is_replaced_where_it_stands_and_nowhere_else(text):
    assert address.Address("https://github.com/n/m", "v1").written(
        text.format("o/p", "a/b")
    ) == text.format("n/m", "v1")


def test_git_clone_changes_with_its_folder():
    assert (
        address.Address("https://github.com/n/m", "v1").written(
            "git clone https://github.com/o/p\ncd p\n"
        )
        == "git clone https://github.com/n/m\ncd m\n"
    )


@pytest.mark.parametrize(
    "url",
    [
        "github.com/a/b",
        "http://github.com/a/b",
        "https://gitlab.com/a/b",
        "https://github.com/a",
        "https://github.com/a/b/c",
        "https://github.com/a/b c",
        "",
    ],
)
def test_a_bad_address_is_refused(url):
    with pytest.raises(ValueError, match="is no address that Colab can open"):
        address.Address(url, "main")


@pytest.mark.parametrize("ref", ["", "a b", "../x", "-x", "x/", 'x"'])
def test_a_bad_ref_is_refused(ref):
    with pytest.raises(ValueError, match="is no name of a branch or tag"):
        address.Address("https://github.com/a/b", ref)


@pytest.mark.parametrize(
    "text",
    [
        "[![tests](https://github.com/{0}/actions/workflows/tests.yml/badge.svg)](https://github.com/{0}/actions/workflows/tests.yml)",
        "[Codespaces](https://codespaces.new/{0})",
    ],
)
def test_an_address_without_a_branch_is_replaced_too(text):
    assert address.Address("https://github.com/n/m", "v1").written(
        text.format("o/p")
    ) == text.format("n/m")
    other = "https://github.com/o/p/issues and https://github.com/actions/checkout"
    assert address.Address("https://github.com/n/m", "v1").written(other) == other


@pytest.mark.parametrize(
    "url",
    [
        "https://github.com/ada/engine.2",
        "https://github.com/ada/engine.2.git",
        "https://ada:secret@github.com/ada/engine.2.git/",
        "git@github.com:ada/engine.2.git",
        "ssh://git@github.com/ada/engine.2",
        "ssh://git@ssh.github.com:443/ada/engine.2.git",
    ],
)
def test_the_address_of_a_remote_on_github_is_understood_in_every_form(url):
    assert address.of_remote(url) == "https://github.com/ada/engine.2"


@pytest.mark.parametrize(
    "url",
    [
        "https://ada:secret@gitlab.com/ada/engine",
        "git@git.example.org:ada/engine.git",
        "/srv/engine.git",
        "https://github.com/ada",
        "https://github.com/a/b/c",
        "",
    ],
)
def test_a_remote_elsewhere_is_refused_and_its_password_not_shown(url):
    with pytest.raises(
        ValueError,
        match=r"the remote `origin` is .* from https://github.com/OWNER/NAME only; .* --set",
    ) as error:
        address.of_remote(url)
    assert "secret" not in str(error.value)


@pytest.mark.skipif(
    not shutil.which("git"), reason="git is not installed, and the address is taken from its remote"
)
def test_where_no_address_is_set_it_is_taken_from_the_remote_once(tree):
    address.rewrite(address.Address(f"https://github.com/{address.UNSET}/llm-inside", "main"), tree)
    (tree / "tools").mkdir()
    shutil.copy(ROOT / "tools" / "address.py", tree / "tools")

    def git(*arguments):
        subprocess.run(["git", *arguments], cwd=tree, check=True)

    def tool(*arguments):
        run = subprocess.run(
            [sys.executable, "tools/address.py", *arguments],
            cwd=tree,
            capture_output=True,
            text=True,
        )
        return run.returncode, (run.stdout + run.stderr).strip()

    git("init", "-q")
    status, said = tool()
    assert (
        status == 1
        and said.startswith("address.py: no address is set, and git knows no remote `origin`")
        and "\n" not in said
    )
    git("remote", "add", "origin", "git@github.com:ada/engine.git")
    status, said = tool("--check")
    assert status == 1 and said.startswith("no address is set")
    assert tool()[1].endswith("the address is https://github.com/ada/engine at main")
    assert [
        path
        for place in address.PLACES
        for path in tree.glob(place)
        if address.UNSET in path.read_text(encoding="utf-8")
    ] == []
    assert tool("--check") == (
        0,
        "every badge and set-up cell says https://github.com/ada/engine at main",
    )
    git("remote", "set-url", "origin", "git@github.com:eve/fork.git")
    assert tool()[1] == "the address is https://github.com/ada/engine at main", (
        "an address that is set stays"
    )


# --- set-up and commands --------------------------------------------------------------------------


@pytest.fixture
def fresh(tmp_path, monkeypatch):
    """The set-up tool in an empty checkout, with pip and venv only recorded."""
    for name in ("requirements.txt", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path / name)
    monkeypatch.setattr(environment, "ROOT", str(tmp_path))
    monkeypatch.setattr(environment, "VENV", str(tmp_path / ".venv"))
    monkeypatch.setattr(environment, "PYTHON", sys.executable)
    monkeypatch.setattr(environment, "STAMP", str(tmp_path / "stamp"))
    done = []
    for name in ("call", "check_call"):
        monkeypatch.setattr(
            environment.subprocess, name, lambda command, **_: done.append(" ".join(command)) or 0
        )
    return tmp_path, lambda: [line for line in done if "pip" in line and "install" in line]


def test_set_up_installs_once_and_again_only_where_the_pins_changed(fresh):
    folder, installed = fresh
    environment.main()
    assert (
        len(installed()) == 2
        and "requirements.txt" in installed()[0]
        and f"uninstall --quiet --yes {environment.SLOW}" in installed()[1]
    )
    environment.main()
    assert len(installed()) == 2
    os.utime(folder / "requirements.txt")  # another time, the same content
    environment.main()
    assert len(installed()) == 2
    edit(folder / "pyproject.toml", 'name = "course-utils"', 'name = "course-utils-2"')
    environment.main()
    assert len(installed()) == 4


def test_the_newest_packages_are_taken_where_that_is_asked_for(fresh, monkeypatch):
    folder, installed = fresh
    environment.main()
    assert f"install --quiet -r {folder / 'requirements.txt'}" in installed()[0]
    monkeypatch.setattr(environment, "NEWEST", True)
    environment.main()
    words = installed()[2].split()
    named = words[words.index("--upgrade") + 1 :]
    pinned = [
        line.split("==")[0]
        for line in (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
        if "==" in line
    ]
    assert named == [*pinned, "-e", "."] and "torch" in named
    environment.main()
    assert len(installed()) == 4
    monkeypatch.setattr(environment, "NEWEST", False)
    environment.main()
    assert len(installed()) == 6, "the pinned ones come back"


def test_a_failed_installation_is_tried_again(fresh, monkeypatch):
    monkeypatch.setattr(environment.subprocess, "call", lambda *_, **__: 1)
    with pytest.raises(SystemExit, match="installing failed"):
        environment.install()
    assert not environment.is_current()


def test_a_folder_that_cannot_be_written_to_is_named(fresh, monkeypatch):
    monkeypatch.setattr(
        environment.os, "access", lambda path, how: (path, how) != (environment.ROOT, os.W_OK)
    )
    with pytest.raises(
        SystemExit, match=r"cannot be written to, and .venv goes there: copy the course"
    ):
        environment.main()
    assert fresh[1]() == []


def test_an_old_python_gets_a_sentence_and_no_syntax_error(fresh, monkeypatch):
    ast.parse(
        (ROOT / "tools" / "environment.py").read_text(encoding="utf-8"), feature_version=(3, 6)
    )
    monkeypatch.setattr(environment.sys, "version_info", (3, 10, 1))
    with pytest.raises(SystemExit, match=r"needs Python 3.11 or newer, and .* is 3.10: "):
        environment.main()


def test_lab_opens_the_notebooks_at_the_port_asked_for():
    line = lab.arguments("9123", headless=True, root=True)
    assert {
        "--port=9123",
        "--no-browser",
        "--allow-root",
        f"--ServerApp.root_dir={ROOT / 'notebooks'}",
    } <= set(line)
    assert not {"--no-browser", "--allow-root"} & set(lab.arguments("", headless=False, root=False))


@pytest.mark.parametrize("port", ["x", "0", "70000", "-1"])
def test_a_bad_port_is_refused(port):
    with pytest.raises(Problem, match="is no port"):
        lab.arguments(port, headless=True, root=True)


def test_the_browser_is_found_or_said_to_be_missing(tmp_path, monkeypatch, capsys):
    for name in ("PATH", "PLAYWRIGHT_BROWSERS_PATH"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.setattr(browser, "PLACES", ())
    monkeypatch.setattr(sys, "argv", ["browser.py"])
    assert browser.find() is None and browser.install() is None
    browser.main()
    assert "there is no browser" in capsys.readouterr().out
    (tmp_path / "chromium").touch(mode=0o755)
    assert browser.find() == str(tmp_path / "chromium")
    monkeypatch.setenv("COURSE_BROWSER", str(tmp_path / "gone"))
    assert browser.find() is None


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], set()),
        (["01"], {"--nb=01"}),
        (["01", "-x"], {"--nb=01", "-x"}),
        (["-k", "x"], {"-k", "x"}),
    ],
)
def test_the_suite_runs_one_notebook_or_all(monkeypatch, words, expected):
    called = []
    monkeypatch.setattr(suite.pytest, "main", lambda options, plugins: called.append(options) or 0)
    monkeypatch.setattr(suite.browser, "install", lambda: "chromium")
    monkeypatch.setattr(sys, "argv", ["suite.py", *words])
    monkeypatch.chdir(ROOT)
    assert suite.main() == 0
    assert (
        set(called[0]) - {*suite.WORKERS, f"--durations={suite.SLOWEST}", "--durations-min=1"}
        == expected
    )


def test_the_suite_adds_up_the_time_of_each_file():
    timing = suite.Timing()
    lines = []
    for file, when, seconds in (
        ("a.py", "setup", 1),
        ("a.py", "call", 2),
        ("b.py", "call", 9),
        ("a.py", "call", 3),
    ):
        timing.pytest_runtest_logreport(
            SimpleNamespace(nodeid=f"{file}::test", duration=seconds, when=when)
        )
    timing.pytest_terminal_summary(SimpleNamespace(section=lambda _: None, write_line=lines.append))
    assert [line.split() for line in lines] == [
        ["9.0", "s", "1", "tests", "b.py"],
        ["6.0", "s", "2", "tests", "a.py"],
    ]


@pytest.mark.skipif(not shutil.which("make"), reason="there is no make on this machine")
@pytest.mark.parametrize(
    ("target", "tool"),
    [
        ("lab", "lab.py 9123"),
        ("run", "run.py 01"),
        ("test", "suite.py 01"),
        ("build", "notebooks.py build 01"),
        ("instructor", "notebooks.py instructor 01"),
        ("slides", "notebooks.py slides 01"),
        ("wheels", "wheels.py"),
        ("bench", "bench.py"),
    ],
)
def test_a_make_target_sets_up_and_calls_a_tool_that_exists(target, tool):
    # we may run inside make
    env = {
        name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))
    }
    plan = subprocess.run(
        ["make", "-n", target, "NB=01", "PORT=9123"],
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "tools/environment.py" in plan.splitlines()[0] and f"tools/{tool}" in plan
    assert all((ROOT / path).is_file() for path in re.findall(r"tools/\w+\.py", plan))
    listed = subprocess.run(
        ["make", "help"], cwd=ROOT, env=env, capture_output=True, text=True, check=True
    ).stdout
    assert f"make {target} " in listed


def test_ci_runs_make_test_and_nothing_else():
    lines = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    assert lines == [
        "#!/usr/bin/env bash",
        "set -euo pipefail",
        'cd "$(dirname "$0")/.."',
        "make test",
    ]
    assert os.access(ROOT / ".ci" / "run", os.X_OK)


@pytest.mark.parametrize("command", ["build", "source", "check", "instructor", "slides", "claims"])
def test_every_command_of_the_notebook_tool_explains_itself(command, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["notebooks.py", command, "--help"])
    with pytest.raises(SystemExit) as left:
        notebooks.main()
    assert left.value.code == 0 and command in capsys.readouterr().out


def test_check_says_what_disagrees_and_exits_with_1(source, monkeypatch, capsys):
    monkeypatch.setattr(notebooks, "sources", lambda names: [source])
    monkeypatch.setattr(sys, "argv", ["notebooks.py", "check", "00"])
    assert notebooks.main() == 0
    edit(source, "# ## A view", "# ## Another")
    assert notebooks.main() == 1
    assert "00_toy.ipynb: cell 7: its source differs from the source" in capsys.readouterr().err


def test_a_checked_name_is_found_by_syntax_and_not_by_text():
    nb = pairs.new_notebook(
        cells=[
            new_code_cell('check("a.b", b)\n# check("c.d", d)\nprint(\'check("e.f", f)\')'),
            new_code_cell("%magic\ncheck('g.h', h)"),
        ]
    )
    assert checked(nb) == ["a.b", "g.h"]


RECORDS = sorted((ROOT / "course_utils").glob("*/assets/*.json"))


@pytest.mark.parametrize("file", RECORDS, ids=lambda file: file.stem)
def test_every_recorded_measurement_says_how_it_was_made(file):
    record = json.loads(file.read_text(encoding="utf-8"))
    fields = stamp("any command", "torch")
    assert all(type(record[name]) is type(fields[name]) and record[name] for name in fields)
    script = re.search(r"tools/record/\w+\.py", record["command"])[0]
    assert (ROOT / script).is_file() and "python" in record["versions"]


@pytest.mark.parametrize("file", RECORDS, ids=lambda file: file.stem)
def test_a_record_read_and_saved_again_is_the_same_file(file, tmp_path):
    save(tmp_path / "again.json", load(file))
    assert (tmp_path / "again.json").read_bytes() == file.read_bytes()
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(
    "record",
    [{}, {"a": []}, {"a": {}}, {"a": {"b": [[1], [2]], "c": None}, "d": [{"e": [1, {"f": "é"}]}]}],
)
def test_a_record_is_what_was_saved(record, tmp_path):
    save(tmp_path / "record.json", record)
    assert load(tmp_path / "record.json") == record
    assert load(tmp_path / "none.json") == {}


def test_a_recorder_does_the_parts_that_were_asked_for_and_nothing_twice(capsys):
    parser = parser_of("What it does.", Path("record.json"), ["heads", "best"])
    asked = parser.parse_args(["best"])
    assert (asked.out, chosen(parser, asked.parts, ["heads", "best"])) == (
        Path("record.json"),
        ["best"],
    )
    assert chosen(parser, [], ["heads", "best"]) == ["heads", "best"]
    with pytest.raises(SystemExit):
        chosen(parser, ["tails"], ["heads", "best"])
    assert "no parts tails; there are heads, best" in capsys.readouterr().err
    rows = [{"seed": 0, "lr": None, "loss": 2.0}]
    assert is_known(rows, {"seed": 0, "lr": None}) and not is_known(rows, {"seed": 1})
