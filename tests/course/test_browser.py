"""A real browser: the lessons that are due in JupyterLab, a control moved by mouse or keyboard, an
exercise attempted and checked.

Run are the cells above the first view, then that view, then the first exercise: what a reader does
in the first minutes. (The controls of every view of every lesson are moved without a browser, where
nbval runs the lessons.) Then notebooks that were run to their end, saved, and opened again when their
kernel is gone: one of ours with every kind of output, and one lesson (all of them with FULL=1). The
notebooks are copies in a temporary folder, and Lab keeps its settings there too.
"""

import contextlib
import json
import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.request

import browser
import cells
import common
import instructor
import nbformat
import pytest
import scope

from conftest import notebook_paths
from course_utils.exercises import catalog

PATIENCE = 1000 * common.patience(120)  # ms
LAB = ["--expose-app-in-browser", "--no-browser", "--allow-root", "--LabApp.news_url=", "--LabApp.extension_manager=readonly",
       "--ServerApp.port_retries=0", "--ServerApp.log_level=ERROR"]  # fmt: skip
SETTINGS = {
    # all cells are in the page at once, found by their number
    "notebook-extension/tracker": '{"windowingMode": "none"}',
    "apputils-extension/notification": '{"fetchNews": "false", "checkForUpdates": false}',
}
# the quickest with views and bars: it is run to its end in CI, the others with FULL=1
LESSON = "02"
READY = """async () => {
    const app = window.jupyterapp;
    await app.restored;
    const panel = app.shell.currentWidget;
    await panel.context.ready;
    await panel.sessionContext.ready;
}"""
RUN = """async index => {
    const app = window.jupyterapp, notebook = app.shell.currentWidget.content;
    notebook.deselectAll();
    notebook.activeCellIndex = index;
    await app.commands.execute('notebook:run-cell');
    return notebook.widgets[index].model.outputs.toJSON().filter(o => o.output_type == 'error').map(o => o.ename + ': ' + o.evalue);
}"""
SAVE = """async () => {
    const app = window.jupyterapp, panel = app.shell.currentWidget;
    await panel.context.save();
    await panel.sessionContext.shutdown();
}"""
# What a reader sees and does not want to: words of the front end about widgets that are gone, bars
# that stand still.
DEAD = """() => {
    const words = /Error displaying widget|model not found|Loading widget|Click to show javascript error/i;
    const seen = node => node.getClientRects().length > 0;
    const outputs = [...document.querySelectorAll('.jp-Notebook .jp-OutputArea')];
    const said = outputs.flatMap(area => area.innerText.split('\\n')).filter(line => words.test(line));
    const bars = [...document.querySelectorAll('.jp-Notebook progress, .jp-Notebook .widget-progress')].filter(seen);
    return said.concat(bars.map(bar => 'a bar: ' + bar.parentElement.innerText));
}"""
# The pictures of a cell that can be seen: their widths in pixels of their own (0 where one is
# broken).
PICTURES = """async cell => {
    const images = [...cell.querySelectorAll('.jp-OutputArea img')].filter(node => node.getClientRects().length > 0);
    await Promise.allSettled(images.map(node => node.decode()));
    return images.map(node => node.naturalWidth);
}"""

KINDS = {  # every kind of output that a live page may leave dead in the file
    "set up": """import time, ipywidgets as widgets, torch
from course_utils.classroom import Markup, Picture, explore, live, progress, show, subplots
from course_utils.training import token_batches, train
def drawing(n):
    fig, ax = subplots(figsize=(5, 2.5))
    ax.plot(range(n + 1))
    return Picture(fig, f"A line that rises from zero to {n}.")
def words(n):
    return Markup(f"<p>The number is {n}.</p>", f"The number is {n}.")
def counting(n):
    for i in range(n + 1):
        time.sleep(0.01)
        yield Markup(f"<p>step {i} of {n}</p>", f"step {i} of {n}")""",
    "picture": "show(drawing_figure := subplots()[0], 'Axes without any line, from zero to one.')",
    "view of a picture": "explore(drawing, n=widgets.IntSlider(3, 1, 9, description='n'))",
    "view of words": "explore(words, n=widgets.IntSlider(3, 1, 9, description='n'))",
    "live view": "live(counting, n=widgets.IntSlider(200, 1, 400, description='n'))",
    "view in VS Code's form": """__vsc_ipynb_file__ = "kinds.ipynb"
display(explore(drawing, n=widgets.IntSlider(4, 1, 9, description='n')))
del __vsc_ipynb_file__""",
    "bar": "for _ in progress(range(3), 'steps'): pass",
    "bar that is not at its end": "bar = progress(range(3), 'left'); first = next(bar)",
    "bar and an error": "for i in progress(range(3), 'broken'): 1 / (1 - i)",
    "training": """model, text = torch.nn.Sequential(torch.nn.Embedding(3, 8), torch.nn.Linear(8, 3)), torch.arange(300) % 3
history = train(model, token_batches(text, batch=8, T=4), steps=60, lr=0.1)""",
}
AT = {kind: index for index, kind in enumerate(KINDS)}
SEES = {  # the cells that show a picture, and what they say of it
    "picture": "Axes without any line",
    "view of a picture": "rises from zero to 3",
    "view in VS Code's form": "rises from zero to 4",
}


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """JupyterLab on copies of the notebooks, live as a reader has it; (address, token, folder)."""
    here = tmp_path_factory.mktemp("lab")
    (here / "work").mkdir()
    for path in notebook_paths():
        shutil.copy(path, here / "work")
    kinds = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(source) for source in KINDS.values()]
    )
    kinds.metadata.kernelspec = {
        "name": "python3",
        "display_name": "Python 3",
        "language": "python",
    }
    nbformat.write(kinds, here / "work" / "kinds.ipynb")
    for name, setting in SETTINGS.items():
        path = here / "settings" / "@jupyterlab" / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(setting)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    token = secrets.token_hex(16)
    address = f"http://127.0.0.1:{port}"
    folders = {"JUPYTER_CONFIG_DIR": "config", "JUPYTER_DATA_DIR": "data", "JUPYTER_RUNTIME_DIR": "runtime", "IPYTHONDIR": "ipython",
               "JUPYTERLAB_SETTINGS_DIR": "settings", "JUPYTERLAB_WORKSPACES_DIR": "workspaces"}  # fmt: skip
    env = {
        **os.environ,
        **{name: str(here / folder) for name, folder in folders.items()},
        "JUPYTER_PREFER_ENV_PATH": "1",
    }
    env.pop("COURSE_QUIET", None)
    command = [
        sys.executable,
        "-m",
        "jupyterlab",
        f"--ServerApp.port={port}",
        f"--IdentityProvider.token={token}",
        *LAB,
        str(here / "work"),
    ]
    with open(here / "log.txt", "w") as log:
        server = subprocess.Popen(command, env=env, stdout=log, stderr=log, cwd=here)
    try:
        await_server(server, f"{address}/api/status?token={token}", here / "log.txt")
        yield address, token, here / "work"
    finally:
        ask = urllib.request.Request(
            f"{address}/api/shutdown", method="POST", headers={"Authorization": f"token {token}"}
        )
        try:
            urllib.request.urlopen(ask, timeout=common.patience(20))  # the kernels end with it
            server.wait(common.patience(30))
        except (OSError, subprocess.TimeoutExpired):
            server.kill()
            server.wait()


def await_server(server, url, log, seconds=120):
    for _ in range(int(common.patience(seconds) * 5)):
        try:
            return urllib.request.urlopen(url, timeout=5)
        except OSError:
            assert server.poll() is None, f"JupyterLab ended: {log.read_text()[-2000:]}"
            time.sleep(0.2)
    raise AssertionError(f"JupyterLab did not answer within {seconds} s: {log.read_text()[-2000:]}")


@pytest.fixture(scope="module")
def chromium():
    sync_api = pytest.importorskip(
        "playwright.sync_api", reason="playwright is not installed: pip install -r requirements.txt"
    )
    if not (found := browser.find()):
        pytest.skip(browser.MISSING)
    with sync_api.sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=found, args=browser.ARGUMENTS)
        yield running
        running.close()


@contextlib.contextmanager
def opened(lab, chromium, name, picture):
    """A notebook, open in Lab with its kernel ready. The picture of how it ended goes to the file
    `picture`.
    """
    address, token, _ = lab
    page = chromium.new_page(viewport={"width": 1400, "height": 1000})
    page.set_default_timeout(PATIENCE)
    page.goto(f"{address}/lab/tree/{name}?reset&token={token}")
    page.wait_for_function("window.jupyterapp?.shell.currentWidget?.context?.isReady")
    page.evaluate(READY)
    try:
        yield page
        page.screenshot(path=picture)
    finally:
        page.evaluate(
            "async () => { await window.jupyterapp.shell.currentWidget.sessionContext.shutdown(); }"
        )
        page.close()


@pytest.fixture
def page(lab, chromium, due, tmp_path):
    with opened(lab, chromium, due.name, tmp_path / "page.png") as page:
        yield page


def cell_at(page, index):
    return page.locator(".jp-Notebook .jp-Cell").nth(index)


def run(page, indices):
    """Runs cells one after the other. Fails where one ends in an error."""
    for index in indices:
        assert page.evaluate(RUN, index) == [], f"cell {index}"


def frame_of(cell):
    """What a view shows below its controls: the HTML of its panes."""
    return cell.locator(".widget-html-content").evaluate_all(
        "panes => panes.map(pane => pane.innerHTML)"
    )


def changed_frame(cell, before, seconds=60):
    """Waits until the view shows something else than before, and has come to rest."""
    last = before
    since = time.monotonic()
    while True:
        cell.page.wait_for_timeout(100)
        now = frame_of(cell)
        if now != last:
            last = now
            since = time.monotonic()
        elif now != before and time.monotonic() - since > 0.7:
            return now
        assert time.monotonic() - since < common.patience(seconds), (
            "the view did not change after its control was moved"
        )


def move_a_control(cell):
    """Moves the first control of the view as a reader would."""
    control = cell.locator(
        ".noUi-handle, select, textarea, input[type=text], input[type=checkbox], .widget-toggle-button:not(.mod-active)"
    ).first
    control.scroll_into_view_if_needed()
    kind = control.evaluate("""node => node.classList.contains('noUi-handle') ? 'slider'
        : node.classList.contains('widget-toggle-button') ? 'button' : node.type || node.tagName.toLowerCase()""")
    if kind == "slider":
        drag(cell, control)
    elif kind.startswith("select"):
        count = control.locator("option").count()
        control.select_option(index=(control.evaluate("node => node.selectedIndex") + 1) % count)
    elif kind in ("checkbox", "button"):
        control.click()
    else:
        control.fill("Another text, 2026")
        control.press("Tab")


def drag(cell, handle):
    """Drags a slider's handle by a third of its track, towards the side with more room."""
    track = cell.locator(".noUi-base").first.bounding_box()
    knob = handle.bounding_box()
    x = knob["x"] + knob["width"] / 2
    y = knob["y"] + knob["height"] / 2
    way = 1 if x < track["x"] + track["width"] / 2 else -1
    mouse = cell.page.mouse
    mouse.move(x, y)
    mouse.down()
    mouse.move(x + way * track["width"] / 3, y, steps=5)
    mouse.up()


def type_into(page, index, source):
    """Replaces a cell's source by typing, then runs it with Shift+Enter."""
    cell = cell_at(page, index)
    cell.scroll_into_view_if_needed()
    cell.locator(".cm-content").click()
    page.keyboard.press("ControlOrMeta+A")
    page.keyboard.insert_text(source)
    typed = page.evaluate(
        "index => window.jupyterapp.shell.currentWidget.content.widgets[index].model.sharedModel.getSource()",
        index,
    )
    assert typed == source
    page.keyboard.press("Shift+Enter")


def check_says(page, index, start):
    """Runs a check's cell by keyboard and waits for an answer which begins with `start`."""
    cell = cell_at(page, index)
    cell.locator(".cm-content").click()
    page.keyboard.press("Shift+Enter")
    answer = cell.locator(".jp-OutputArea-output", has_text=re.compile(rf"^\s*{start}"))
    answer.wait_for(state="visible")
    return answer.inner_text()


def first_view(nb):
    """The index of the first cell that makes a view; None where the lesson has none."""
    return next(
        (
            i
            for i, cell in enumerate(nb.cells)
            if cell.cell_type == "code"
            and any(name == "explore" for name, _ in cells.calls(cell.source))
        ),
        None,
    )


def first_exercise(nb):
    """(index of the stub, index of its check, room.name); None where the lesson has none."""
    stub = next((i for i, cell in enumerate(nb.cells) if "exercise" in cells.tags(cell)), None)
    if stub is None:
        return None
    check = next(i for i, cell in enumerate(nb.cells) if i > stub and "check" in cells.tags(cell))
    name = next(
        call.args[0].value
        for called, call in cells.calls(nb.cells[check].source)
        if called == "check"
    )
    return stub, check, name


def something_to_see(cell, picture):
    """Whether the cell's outputs show a whole picture; words, where the view shows no picture."""
    if picture:
        return any(width > 100 for width in cell.evaluate(PICTURES))
    return bool(cell.locator(".jp-OutputArea").first.inner_text().strip())


def test_a_view_moves_and_an_exercise_is_checked(page, due):
    nb = common.read(due)
    view = first_view(nb)
    exercise = first_exercise(nb)
    assert view is not None and exercise
    assert page.evaluate(DEAD) == []
    the_view_moves(page, nb, view)
    the_exercise_is_checked(page, nb, *exercise, ran=view)


def the_view_moves(page, nb, view):
    code = [i for i, cell in enumerate(nb.cells) if cell.cell_type == "code"]
    still = any("image/png" in output.get("data", {}) for output in nb.cells[view].outputs)
    assert something_to_see(cell_at(page, view), still), "no static frame before anything ran"
    run(page, [i for i in code if i <= view])
    shown = cell_at(page, view)
    shown.locator(".widget-html-content").first.wait_for(state="visible")
    before = frame_of(shown)
    move_a_control(shown)
    assert "Not drawn" not in "".join(changed_frame(shown, before))
    for picture in shown.locator(".widget-html-content img").all():
        assert (
            picture.evaluate("async node => { await node.decode(); return node.naturalWidth; }")
            > 100
        )
        assert picture.get_attribute("alt").strip()


def the_exercise_is_checked(page, nb, stub, check, name, ran):
    """`ran`: the cells up to this one were run; the others that the exercise needs are the set-up
    and the imports.
    """
    needed = [i for i, cell in enumerate(nb.cells) if cells.tags(cell) & {"setup", "imports"}]
    run(page, [i for i in (*needed, stub, check) if i > ran])
    # not attempted
    assert (
        cell_at(page, check).locator(".jp-OutputArea-output").inner_text().strip().startswith("·")
    )
    type_into(page, stub, re.sub(r"(?m)^( +)\.\.\.$", r'\1return "wrong"', nb.cells[stub].source))
    assert len(check_says(page, check, "✗").split()) > 5
    type_into(page, stub, instructor.fill(nb, catalog.find).cells[stub].source)
    assert name.rpartition(".")[2] in check_says(page, check, "✓")


# --- Opened again ---------------------------------------------------------------------------------


def saved(lab, name):
    return nbformat.read(lab[2] / name, as_version=4)


def stored_twice(nb):
    """How often each picture of a notebook is in its file, where that is more than once."""
    text = json.dumps([cell.get("outputs", []) for cell in nb.cells])
    pictures = {
        output.data["image/png"].replace("\n", "")
        for cell in nb.cells
        for output in cell.get("outputs", [])
        if "image/png" in output.get("data", {})
    }
    pictures |= set(re.findall(r"data:image/png;base64,([A-Za-z0-9+/=]+)", text))
    flat = text.replace("\\n", "")
    return [
        f"{picture[:20]}…: {flat.count(picture)} times"
        for picture in pictures
        if flat.count(picture) > 1
    ]


def spoken(cell):
    """What a screen reader finds in the outputs of a cell: the descriptions of images, and text
    that the eye does not see.
    """
    alts = cell.evaluate(
        "cell => [...cell.querySelectorAll('.jp-OutputArea img')].map(node => node.alt || '')"
    )
    unseen = cell.evaluate(
        "cell => [...cell.querySelectorAll('.jp-OutputArea p')].filter(p => p.offsetWidth == 1).map(p => p.textContent)"
    )
    return " ".join(alts + unseen)


def settled(page):
    """Waits until Lab has found out that the models are gone."""
    page.wait_for_timeout(1000)
    page.wait_for_function(
        "[...document.querySelectorAll('.jp-OutputArea-output')].every(node => node.textContent != 'Loading widget...')"
    )


def blind_pictures(page):
    return [kind for kind, words in SEES.items() if words not in spoken(cell_at(page, AT[kind]))]


def fresh(page):
    """The number of the step that the live view shows."""
    return int(
        re.search(
            r"step (\d+) of", cell_at(page, AT["live view"]).locator(".jp-OutputArea").inner_text()
        )[1]
    )


def start_and_stop(page):
    """The live view works step by step, lets another cell run in between, and ends when it is told
    to.
    """
    cell = cell_at(page, AT["live view"])
    cell.get_by_role("button", name="Start").click()
    page.wait_for_function(
        "cell => /step ([3-9]|[1-9][0-9]) of 200/.test(cell.innerText)", arg=cell.element_handle()
    )
    assert page.evaluate(RUN, AT["bar"]) == []
    assert fresh(page) < 200, "the other cell had to wait for the end of the work"
    cell.get_by_role("button", name="Stop").click()
    page.wait_for_function(
        "cell => !cell.querySelector('button').disabled", arg=cell.element_handle()
    )
    stopped = fresh(page)
    page.wait_for_timeout(700)
    assert stopped == fresh(page) < 200, "Stop did not stop"


def test_every_kind_of_output_outlives_its_kernel(lab, chromium, tmp_path):
    with opened(lab, chromium, "kinds.ipynb", tmp_path / "live.png") as page:
        for kind, index in AT.items():
            errors = page.evaluate(RUN, index)
            assert [error.split(":")[0] for error in errors] == (
                ["ZeroDivisionError"] if "error" in kind else []
            ), kind
        for kind in (kind for kind in KINDS if "view" in kind):
            cell = cell_at(page, AT[kind])
            cell.locator(".widget-html-content").first.wait_for(state="visible")
            assert cell.locator(".jp-OutputArea").inner_text().count("The number is 3.") == (
                kind == "view of words"
            ), "the still is shown, too"
            assert len(cell.evaluate(PICTURES)) == (kind in SEES), (
                "the still is shown beside the live view"
            )
        assert page.evaluate(DEAD) == []
        assert blind_pictures(page) == []
        start_and_stop(page)
        page.evaluate(SAVE)
    nb = saved(lab, "kinds.ipynb")
    twice = stored_twice(nb)
    nb.cells.append(
        nbformat.v4.new_markdown_cell("A change by another program: Lab does not trust this file.")
    )
    nbformat.write(nb, lab[2] / "untrusted.ipynb")

    for name in ("kinds", "untrusted"):
        with opened(lab, chromium, f"{name}.ipynb", tmp_path / f"{name}.png") as page:
            settled(page)
            assert page.evaluate(DEAD) == []
            for kind, index in AT.items():
                assert something_to_see(cell_at(page, index), True) is (kind in SEES), kind
            assert "The number is 3." in cell_at(page, AT["view of words"]).inner_text()
            assert "step 200 of 200" in cell_at(page, AT["live view"]).inner_text()
            assert blind_pictures(page) == []
            page.evaluate("document.querySelectorAll('.jp-Cell')[2].scrollIntoView()")
    assert twice == []


def test_a_lesson_that_was_run_and_saved_shows_its_pictures(
    lab, chromium, notebook, tmp_path, request
):
    if not (scope.FULL or common.means(LESSON, notebook) or request.config.getoption("--nb")):
        pytest.skip("one lesson is enough for CI; all of them with FULL=1")
    nb = common.read(notebook)
    code = [i for i, cell in enumerate(nb.cells) if cell.cell_type == "code"]
    views = [
        i
        for i in code
        if any(name in ("explore", "live") for name, _ in cells.calls(nb.cells[i].source))
    ]
    with opened(lab, chromium, notebook.name, tmp_path / "live.png") as page:
        page.set_default_timeout(0)  # a cell may train for minutes
        run(page, code)
        assert page.evaluate(DEAD) == []
        page.evaluate(SAVE)
    after = saved(lab, notebook.name)
    assert views, "no view was looked at"
    with opened(lab, chromium, notebook.name, tmp_path / "reopened.png") as page:
        settled(page)
        assert page.evaluate(DEAD) == []
        for index in code:
            pictures = sum(
                "image/png" in output.get("data", {}) for output in after.cells[index].outputs
            )
            shown = cell_at(page, index).evaluate(PICTURES)
            assert len(shown) >= pictures and all(width > 100 for width in shown), f"cell {index}"
            assert index not in views or something_to_see(cell_at(page, index), pictures), (
                f"cell {index}"
            )
    assert stored_twice(after) == []
