"""A real browser: each notebook in JupyterLab, a control moved by mouse or keyboard, an exercise attempted and checked.

Run are the cells above the first view, then that view, then the first exercise: what a reader does in the first minutes.
The notebooks are copies in a temporary folder, and Lab keeps its settings there too.
"""

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
import pytest

from conftest import notebook_paths
from course_utils.exercises import catalog

PATIENCE = 1000 * common.patience(120)  # ms
LAB = ["--expose-app-in-browser", "--no-browser", "--allow-root", "--LabApp.news_url=", "--LabApp.extension_manager=readonly",
       "--ServerApp.port_retries=0", "--ServerApp.log_level=ERROR"]  # fmt: skip
SETTINGS = {
    "notebook-extension/tracker": '{"windowingMode": "none"}',  # all cells are in the page at once, found by their number
    "apputils-extension/notification": '{"fetchNews": "false", "checkForUpdates": false}',
}
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


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """JupyterLab on copies of the notebooks; (address, token)."""
    here = tmp_path_factory.mktemp("lab")
    (here / "work").mkdir()
    for path in notebook_paths():
        shutil.copy(path, here / "work")
    for name, setting in SETTINGS.items():
        path = here / "settings" / "@jupyterlab" / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True)
        path.write_text(setting)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    token, address = secrets.token_hex(16), f"http://127.0.0.1:{port}"
    folders = {"JUPYTER_CONFIG_DIR": "config", "JUPYTER_DATA_DIR": "data", "JUPYTER_RUNTIME_DIR": "runtime", "IPYTHONDIR": "ipython",
               "JUPYTERLAB_SETTINGS_DIR": "settings", "JUPYTERLAB_WORKSPACES_DIR": "workspaces"}  # fmt: skip
    env = {**os.environ, **{name: str(here / folder) for name, folder in folders.items()}, "JUPYTER_PREFER_ENV_PATH": "1"}
    command = [sys.executable, "-m", "jupyterlab", f"--ServerApp.port={port}", f"--IdentityProvider.token={token}", *LAB, str(here / "work")]
    with open(here / "log.txt", "w") as log:
        server = subprocess.Popen(command, env=env, stdout=log, stderr=log, cwd=here)
    try:
        await_server(server, f"{address}/api/status?token={token}", here / "log.txt")
        yield address, token
    finally:
        ask = urllib.request.Request(f"{address}/api/shutdown", method="POST", headers={"Authorization": f"token {token}"})
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
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install -r requirements.txt")
    if not (found := browser.find()):
        pytest.skip(browser.MISSING)
    with sync_api.sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=found, args=browser.ARGUMENTS)
        yield running
        running.close()


@pytest.fixture
def page(lab, chromium, notebook, tmp_path):
    """The notebook, open in Lab with its kernel ready. The picture of how it ended stays in the temporary folder."""
    address, token = lab
    opened = chromium.new_page(viewport={"width": 1400, "height": 1000})
    opened.set_default_timeout(PATIENCE)
    opened.goto(f"{address}/lab/tree/{notebook.name}?reset&token={token}")
    opened.wait_for_function("window.jupyterapp?.shell.currentWidget?.context?.isReady")
    opened.evaluate(READY)
    try:
        yield opened
        opened.screenshot(path=tmp_path / "page.png")
    finally:
        opened.evaluate("async () => { await window.jupyterapp.shell.currentWidget.sessionContext.shutdown(); }")
        opened.close()


def cell_at(page, index):
    return page.locator(".jp-Notebook .jp-Cell").nth(index)


def run(page, indices):
    """Runs cells one after the other. Fails where one ends in an error."""
    for index in indices:
        assert page.evaluate(RUN, index) == [], f"cell {index}"


def frame_of(cell):
    """What a view shows below its controls: the HTML of its panes."""
    return cell.locator(".widget-html-content").evaluate_all("panes => panes.map(pane => pane.innerHTML)")


def changed_frame(cell, before, seconds=60):
    """Waits until the view shows something else than before, and has come to rest."""
    last, since = before, time.monotonic()
    while True:
        cell.page.wait_for_timeout(100)
        now = frame_of(cell)
        if now != last:
            last, since = now, time.monotonic()
        elif now != before and time.monotonic() - since > 0.7:
            return now
        assert time.monotonic() - since < common.patience(seconds), "the view did not change after its control was moved"


def move_a_control(cell):
    """Moves the first control of the view as a reader would."""
    control = cell.locator(".noUi-handle, select, textarea, input[type=text], input[type=checkbox]").first
    control.scroll_into_view_if_needed()
    kind = control.evaluate("node => node.classList.contains('noUi-handle') ? 'slider' : node.type || node.tagName.toLowerCase()")
    if kind == "slider":
        drag(cell, control)
    elif kind.startswith("select"):
        count = control.locator("option").count()
        control.select_option(index=(control.evaluate("node => node.selectedIndex") + 1) % count)
    elif kind == "checkbox":
        control.click()
    else:
        control.fill("Another text, 2026")
        control.press("Tab")


def drag(cell, handle):
    """Drags a slider's handle by a third of its track, towards the side with more room."""
    track, knob = cell.locator(".noUi-base").first.bounding_box(), handle.bounding_box()
    x, y = knob["x"] + knob["width"] / 2, knob["y"] + knob["height"] / 2
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
    typed = page.evaluate("index => window.jupyterapp.shell.currentWidget.content.widgets[index].model.sharedModel.getSource()", index)
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
    return next(i for i, cell in enumerate(nb.cells) if cell.cell_type == "code" and any(name == "explore" for name, _ in cells.calls(cell.source)))


def first_exercise(nb):
    """(index of the stub, index of its check, topic.name)"""
    stub = next(i for i, cell in enumerate(nb.cells) if "exercise" in cells.tags(cell))
    check = next(i for i, cell in enumerate(nb.cells) if i > stub and "check" in cells.tags(cell))
    name = next(call.args[0].value for called, call in cells.calls(nb.cells[check].source) if called == "check")
    return stub, check, name


def test_a_view_moves_and_an_exercise_is_checked(page, notebook):
    nb = common.read(notebook)
    view, (stub, check, name) = first_view(nb), first_exercise(nb)
    code = [i for i, cell in enumerate(nb.cells) if cell.cell_type == "code"]

    assert cell_at(page, view).locator(".jp-OutputArea-output").first.inner_html().strip(), "no static frame before anything ran"
    run(page, [i for i in code if i <= view])
    shown = cell_at(page, view)
    shown.locator(".widget-html-content").first.wait_for(state="visible")
    before = frame_of(shown)
    move_a_control(shown)
    assert "Not drawn" not in "".join(changed_frame(shown, before))
    for picture in shown.locator(".widget-html-content img").all():
        assert picture.evaluate("async node => { await node.decode(); return node.naturalWidth; }") > 100
        assert picture.get_attribute("alt").strip()

    run(page, [i for i in (stub, check) if i > view])
    assert cell_at(page, check).locator(".jp-OutputArea-output").inner_text().strip().startswith("·")  # not attempted
    type_into(page, stub, re.sub(r"(?m)^( +)\.\.\.$", r'\1return "wrong"', nb.cells[stub].source))
    assert len(check_says(page, check, "✗").split()) > 5
    type_into(page, stub, instructor.fill(nb, catalog.find).cells[stub].source)
    assert name.rpartition(".")[2] in check_says(page, check, "✓")
