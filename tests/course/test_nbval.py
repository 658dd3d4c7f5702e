"""The notebook runner can fail: one notebook full of faults under the course's own settings, and
the blocked network.
"""

import os
import shutil
import subprocess
import sys
import textwrap
from xml.etree import ElementTree

import nbformat
import pytest
from common import patience
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from conftest import NO_NETWORK, ROOT

SETTINGS = ("COURSE_PROFILE", "COURSE_QUIET", "OMP_NUM_THREADS", "PYTHONHASHSEED", "PYTHONPATH")
NETWORK = """\
import socket, urllib.request
for ask in (lambda: socket.create_connection(("192.0.2.1", 80), timeout=1), lambda: urllib.request.urlopen("http://example.org")):
    try:
        ask()
    except OSError as error:
        print("network blocked" in str(error))"""
BREAKS_AT_NINE = """\
import ipywidgets
from course_utils.classroom import Markup, explore
def draw(n):
    return Markup("<p>{}</p>".format(10 // (9 - n)), "ten by {}".format(9 - n))
view = explore(draw, n=ipywidgets.IntSlider(3, 0, 9))"""


def stdout(text):
    return new_output("stream", name="stdout", text=text)


def shown(**data):
    return new_output(
        "display_data", data={key.replace("_", "/"): value for key, value in data.items()}
    )


# name: source, saved outputs, tags, what the failure says (None: passes)
CASES = {
    "the same output": ("print('same')", [stdout("same\n")], [], None),
    "a changed number": ("print(1 + 1)", [stdout("3\n")], [], "Cell outputs differ"),
    "a lost output": ("x = 1", [stdout("1\n")], [], "Cell outputs differ"),
    "an output too many": ("print('new')", [], [], "Cell outputs differ"),
    "changed HTML": (
        "from IPython.display import display\ndisplay({'text/html': '<b>1</b>', 'text/plain': 'one'}, raw=True)",
        [shown(text_html="<b>2</b>", text_plain="one")], [], "Cell outputs differ",
    ),
    "a changed description of a picture": (
        "display({'image/png': 'AAAA', 'text/plain': 'a rising line'}, raw=True)",
        [shown(image_png="AAAA", text_plain="a falling line")], [], "Cell outputs differ",
    ),
    "a warning that is not saved": ("import warnings; warnings.warn('careful')", [], [], "Cell outputs differ"),
    "an exception": ("1 / 0", [], [], "caused an exception"),
    "an unknown magic": ("%no_such_magic\nprint('skipped')", [
        new_output("stream", name="stderr", text="UsageError: Line magic function `%no_such_magic` not found.\n")], [], "was skipped"),
    "a false assertion in a cell with free output": ("print('any')\nassert 1 > 2", [], ["nbval-ignore-output"], "caused an exception"),
    "free output": ("import random; print(random.random())", [stdout("0.5\n")], ["nbval-ignore-output"], None),
    "a network that is blocked": (NETWORK, [stdout("True\nTrue\n")], [], None),
    "fixed settings": (
        f"import os; print(*(os.environ.get(name) for name in {SETTINGS[:4]}))", [stdout("cpu 1 1 0\n")], [], None),
    "a view that breaks at its greatest value": (BREAKS_AT_NINE, [], [], None),
}  # fmt: skip


@pytest.fixture(scope="module")
def verdicts(tmp_path_factory):
    """Runs pytest with `--nb 99` over a copy of the settings and two notebooks; {test: what the
    failure says, or None}.
    """
    here = tmp_path_factory.mktemp("project")
    shutil.copytree(ROOT / "tools", here / "tools", ignore=shutil.ignore_patterns("__pycache__"))
    for name in (
        "conftest.py",
        "pyproject.toml",
        "tests/nbval_sanitize.cfg",
        "tests/no_network/sitecustomize.py",
    ):
        (here / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, here / name)
    cells = [
        new_code_cell(source, outputs=outputs, execution_count=count, metadata={"tags": tags})
        for count, (source, outputs, tags, _) in enumerate(CASES.values(), 1)
    ]
    cells += [new_code_cell("print('never run')", execution_count=None)]
    write(here / "notebooks" / "99_cases.ipynb", [new_markdown_cell("# Cases"), *cells])
    write(here / "notebooks" / "98_other.ipynb", [new_code_cell("1 / 0", execution_count=1)])
    write(here / "tests" / "not_in_the_course.ipynb", [new_code_cell("1 / 0", execution_count=1)])
    (here / "tests" / "test_selection.py").write_text(
        textwrap.dedent("""
        def test_of_each(notebook): pass
        def test_of_none(): pass
    """)
    )
    (here / "tests" / "cases").mkdir()  # the room of the lesson
    (here / "tests" / "cases" / "test_counting.py").write_text("def test_of_the_topic(): pass\n")
    env = {
        name: value
        for name, value in os.environ.items()
        if name not in SETTINGS and not name.startswith("PYTEST_")
    }
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:xdist",
        "-o",
        "junit_family=xunit1",
        "--nb",
        "99",
        "--junitxml=out.xml",
    ]
    run = subprocess.run(
        command, cwd=here, env=env, capture_output=True, text=True, timeout=patience(600)
    )
    assert run.returncode == 1, run.stdout + run.stderr
    cases = ElementTree.parse(here / "out.xml").iter("testcase")
    return {
        case.get("name"): (case.find("failure").text if case.find("failure") is not None else None)
        for case in cases
    }


def write(path, cells):
    path.parent.mkdir(exist_ok=True)
    nbformat.write(new_notebook(cells=cells), path)


@pytest.mark.parametrize("name", CASES)
def test_nbval_passes_and_fails_cells_as_it_should(verdicts, name):
    said = verdicts[f"Cell {list(CASES).index(name)}"]
    expected = CASES[name][3]
    assert (said is None) if expected is None else (said is not None and expected in said), said


def test_a_cell_that_was_never_run_fails(verdicts):
    assert "never run" in verdicts[f"Cell {len(CASES)}"]


def test_the_views_are_drawn_at_their_extremes_in_a_test_of_their_own(verdicts):
    assert "ZeroDivisionError" in verdicts["widgets"] and "draw({'n': 9})" in verdicts["widgets"]


def test_nb_keeps_what_concerns_one_notebook_only(verdicts):
    others = {name for name in verdicts if not name.startswith("Cell ")}
    assert others == {"widgets", "test_of_each[99_cases]", "test_of_the_topic"}
    # so neither the other notebook nor the one under tests/ ran
    assert len(verdicts) - len(others) == len(CASES) + 1


# --- The blocked network --------------------------------------------------------------------------

ATTEMPTS = {
    "connect": "socket.socket().connect(('192.0.2.1', 80))",
    "connect_ex": "socket.socket().connect_ex(('192.0.2.1', 80))",
    "connect over IPv6": "socket.socket(socket.AF_INET6).connect(('2001:db8::1', 80))",
    "create_connection": "socket.create_connection(('192.0.2.1', 80), timeout=1)",
    "a datagram": "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('192.0.2.1', 9))",
    "a datagram with flags": "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', 0, ('192.0.2.1', 9))",
    "getaddrinfo": "socket.getaddrinfo('example.org', 80)",
    "getaddrinfo by keyword": "socket.getaddrinfo(host='example.org', port=80)",
    "gethostbyname": "socket.gethostbyname('example.org')",
    "urllib": "urllib.request.urlopen('http://192.0.2.1/')",
    "asyncio": "asyncio.run(asyncio.open_connection('192.0.2.1', 80))",
}
HERE = {
    "loopback by number": "server = socket.create_server(('127.0.0.1', 0)); socket.create_connection(server.getsockname()).close()",
    "loopback by name": "socket.create_connection(('localhost', server.getsockname()[1])).close()",
    "connect_ex": "assert socket.socket().connect_ex(server.getsockname()) == 0",
    "a datagram": "u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); u.bind(('', 0)); u.sendto(b'x', ('127.0.0.1', u.getsockname()[1]))",
    "a socket pair": "a, b = socket.socketpair(); a.sendall(b'x'); assert b.recv(1) == b'x'",
}


@pytest.fixture(scope="module")
def blocked():
    """What each line said in a Python process whose network is blocked."""
    lines = [*ATTEMPTS.values(), *HERE.values()]
    script = (
        "import asyncio, socket, urllib.request\nfor line in "
        + repr(lines)
        + (
            ":\n    try:\n        exec(line)\n        print('went through')\n"
            "    except BaseException as error:\n        print(' '.join(f'{type(error).__name__}: {error}'.split()))\n"
        )
    )
    env = {**os.environ, "PYTHONPATH": str(NO_NETWORK)}
    run = subprocess.run(
        [sys.executable, "-c", script],
        env=env,
        capture_output=True,
        text=True,
        timeout=patience(300),
        check=True,
    )
    return dict(
        zip([*ATTEMPTS, *(f"here: {name}" for name in HERE)], run.stdout.splitlines(), strict=True)
    )


@pytest.mark.parametrize("name", ATTEMPTS)
def test_whatever_leaves_the_machine_is_refused_with_our_message(blocked, name):
    assert "network blocked" in blocked[name] and "needs no network" in blocked[name]


@pytest.mark.parametrize("name", HERE)
def test_this_machine_stays_within_reach(blocked, name):
    assert blocked[f"here: {name}"] == "went through"
