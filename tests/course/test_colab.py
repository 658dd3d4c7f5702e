"""Plays Colab: what it preinstalls, one notebook alone in an empty folder, a `google.colab` module,
and nothing else of this repository.

The set-up cell runs as it stands: git is told that the public address means a snapshot of this
working tree. The environment is kept in .cache/; each notebook gets a copy of it (hard links, some
seconds). It holds Colab's packages on Colab's Python, torch too, where that was made
(tools/pythons.py; FULL=1 makes it); else Colab's packages on the Python and the torch that run
these tests, linked file by file instead of downloaded. Lessons that a change touches run whole,
with FULL=1 every lesson; of the others the set-up cell and all imports run.
"""

import ast
import json
import os
import shutil
import subprocess
import time
import tomllib
from pathlib import Path

import common
import nbformat
import pytest
import pythons
import scope
from cells import code_cells, tags, tree
from common import Problem
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import KernelManager
from nbclient import NotebookClient
from pythons import (
    link,
    pip,
    plain_environ,
    python_of,
    replaced,
    site_packages,
    version_of,
    versions,
)

from conftest import ROOT, notebook_paths

WHERE = (
    "import course_utils, sys; print(course_utils.__file__); print('google.colab' in sys.modules)"
)
VIEW = "application/vnd.jupyter.widget-view+json"
CELL_TIMEOUT = common.patience(900)  # seconds
# A control of each kind that a lesson may show.
CONTROLS = {
    "Checkbox": "True", "Dropdown": "options=['a', 'b']", "FloatLogSlider": "value=1, min=-2, max=2", "FloatSlider": "value=1, min=0, max=2",
    "IntSlider": "value=1, min=0, max=2", "SelectionSlider": "options=[('one', 1), ('two', 2)]", "Text": "value='a'", "Textarea": "value='a'",
    "ToggleButtons": "options=['a', 'b']",
}  # fmt: skip


@pytest.fixture(scope="module")
def preinstalled():
    """The environment that is kept: Colab's own where it is there, else the one with this Python
    and this torch.
    """
    chosen = pythons.colab()
    try:
        kept = chosen.keep()
    except Problem as problem:
        pytest.skip(f"Colab's packages cannot be installed here, so Colab is not played: {problem}")
    found = versions(kept)
    print(f"Colab is played with Python {version_of(python_of(kept))} and torch {found['torch']}")
    assert chosen.linked or found["torch"].startswith(pythons.COLAB_TORCH.removeprefix("torch=="))
    return kept


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory):
    """A git repository that holds this working tree as it is, on the branch that the set-up cells
    name.
    """
    here = tmp_path_factory.mktemp("snapshot")
    if not shutil.which("git"):
        pytest.skip("git is not installed, and the set-up cell installs with it")
    run = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    if run.returncode:
        pytest.skip("this is no git checkout, so there is nothing that Colab could install from")
    for name in filter(None, run.stdout.split("\0")):
        if (ROOT / name).is_file():
            (here / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, here / name)
    commit = [
        "-c",
        "user.name=course",
        "-c",
        "user.email=course@example.org",
        "-c",
        "commit.gpgsign=false",
        "commit",
        "-qm",
        "snapshot",
    ]
    for arguments in (["init", "-q", "-b", course()["ref"]], ["add", "-A"], commit):
        subprocess.run(["git", *arguments], cwd=here, check=True)
    return here


def course():
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["course"]


@pytest.fixture(scope="module")
def index_answers(preinstalled, tmp_path_factory):
    """Skips where pip cannot fetch what it needs to install the course."""
    wheels = tmp_path_factory.mktemp("wheels")
    if said := pip(
        preinstalled,
        "download",
        "--quiet",
        "--no-deps",
        "--retries=1",
        f"--dest={wheels}",
        "setuptools>=77",
    ):
        pytest.skip(
            f"no package index within reach, so the set-up cell cannot install anything: {said}"
        )


@pytest.fixture
def colab(preinstalled, index_answers, snapshot, tmp_path):
    """A fresh Colab machine: (its environment, the variables of its kernels)."""
    return machine(preinstalled, snapshot, tmp_path)


@pytest.fixture(scope="module")
def shared_colab(preinstalled, index_answers, snapshot, tmp_path_factory):
    """One Colab machine for all the short runs: the first installs the course, and the others find
    it.
    """
    environment, variables = machine(preinstalled, snapshot, tmp_path_factory.mktemp("shared"))
    return environment, variables, versions(environment, variables)


def machine(preinstalled, snapshot, folder):
    environment = folder / "environment"
    link(preinstalled, environment)
    variables = {
        **plain_environ(), "COURSE_PROFILE": "cpu", "IPYTHONDIR": str(folder / "ipython"), "PIP_NO_COMPILE": "1",
        "GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": f"url.{snapshot.as_uri()}.insteadOf", "GIT_CONFIG_VALUE_0": course()["repository"],
        "PATH": os.pathsep.join([str(python_of(environment).parent), os.environ["PATH"]]),
    }  # fmt: skip
    return environment, variables


def run_alone(nb, environment, variables, folder):
    """Runs every cell with the environment's own kernel in `folder`; an error in a cell stops it.
    The kernel ends with the run.
    """
    kernel = folder.parent / "kernels" / "colab"
    kernel.mkdir(parents=True)
    launch = [str(python_of(environment)), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    (kernel / "kernel.json").write_text(
        json.dumps({"argv": launch, "display_name": "Colab", "language": "python"})
    )
    specs = KernelSpecManager(kernel_dirs=[str(kernel.parent)], ensure_native_kernel=False)
    manager = KernelManager(kernel_name="colab", kernel_spec_manager=specs)
    client = NotebookClient(
        nb,
        km=manager,
        timeout=CELL_TIMEOUT,
        store_widget_state=False,
        resources={"metadata": {"path": str(folder)}},
    )
    # a manager of our own: nbclient would let the kernel live until the tests end
    client.execute(env=variables, cleanup_kc=True)
    assert not manager.has_kernel and not manager.is_alive()


def changed(before, environment, variables):
    """The packages that were there before and have another version now: name to both versions."""
    after = versions(environment, variables)
    return {name: (old, after.get(name)) for name, old in before.items() if after.get(name) != old}


def complaints(cells):
    """What the cells printed to stderr."""
    return [
        output.text
        for cell in cells
        for output in cell.outputs
        if output.output_type == "stream" and output.name == "stderr"
    ]


def shows_views(cell):
    return any(VIEW in output.get("data", {}) for output in cell.outputs)


def assert_installed(cell, environment):
    installed_at, plays_colab = cell.outputs[0].text.split()
    assert Path(installed_at).is_relative_to(site_packages(environment)) and plays_colab == "True"


def test_the_notebook_runs_alone_on_colab_and_leaves_its_packages_alone(due, colab, tmp_path):
    environment, variables = colab
    content = tmp_path / "content"
    content.mkdir()
    shutil.copy(due, content)
    nb = common.read(content / due.name)
    cells = [cell for cell in nb.cells if cell.cell_type == "code"]
    for cell in cells:
        cell.outputs = []
        cell.execution_count = None
    nb.cells.append(nbformat.v4.new_code_cell(WHERE))

    before = versions(environment, variables)
    assert "course-utils" not in before and before["ipywidgets"] == "7.7.1"
    start = time.perf_counter()
    run_alone(nb, environment, variables, content)
    print(
        f"{due.stem}: {time.perf_counter() - start:.0f} s on Colab's packages, the set-up cell included"
    )

    assert changed(before, environment, variables) == {}, (
        "the set-up cell replaced packages that Colab has preinstalled"
    )
    assert_installed(nb.cells[-1], environment)
    assert [text for text in complaints(cells) if text.startswith("UsageError:")] == []
    views = [cell for cell in cells if "explore(" in cell.source]
    shown = [cell for cell in views if shows_views(cell)]
    assert views and shown == views, "a view of the notebook does not show under ipywidgets 7"
    assert sorted(path.name for path in content.iterdir()) == [due.name], (
        "the notebook leaves files behind"
    )


def imports(nb):
    """Every import statement of a notebook that stands at the left edge, in order."""
    nodes = [node for cell in code_cells(nb) for node in tree(cell.source).body]
    return "\n".join(
        ast.unparse(node) for node in nodes if isinstance(node, ast.Import | ast.ImportFrom)
    )


def set_up(nb):
    return next(cell.source for cell in code_cells(nb) if "setup" in tags(cell))


def test_set_up_and_imports_work_on_colab(shared_colab, tmp_path):
    """Of every lesson, in one kernel: what one of them would lack, none of the others brings."""
    environment, variables, before = shared_colab
    lessons = {path.stem: common.read(path) for path in notebook_paths()}
    sources = [f"# {name}\n{imports(nb)}" for name, nb in lessons.items()]
    assert all("course_utils" in source for source in sources)
    cells = [set_up(lessons["01_tokenization"]), *sources, WHERE]
    short = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in cells])
    (content := tmp_path / "content").mkdir()
    run_alone(short, environment, variables, content)
    assert changed(before, environment, variables) == {}, (
        "the set-up cell replaced packages that Colab has preinstalled"
    )
    assert_installed(short.cells[-1], environment)
    assert complaints(short.cells[1:]) == [], "an import warns, of an old package for one"


def test_every_kind_of_control_shows_on_colab(shared_colab, tmp_path):
    """Those that the lessons use; each lesson's own views show in the whole runs."""
    environment, variables, _ = shared_colab
    kinds = {call for path in notebook_paths() for call in control_kinds(common.read(path))}
    assert kinds and kinds <= set(CONTROLS)
    cells = [
        set_up(common.read(notebook_paths()[0])),
        "import ipywidgets as widgets\nfrom course_utils.classroom import Markup, explore",
    ]
    cells += [
        f"explore(lambda x: Markup('<p>.</p>', str(x)), x=widgets.{kind}({CONTROLS[kind]}))"
        for kind in sorted(kinds)
    ]
    nb = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in cells])
    (content := tmp_path / "content").mkdir()
    run_alone(nb, environment, variables, content)
    assert [cell.source for cell in nb.cells[2:] if not shows_views(cell)] == []
    assert not shows_views(nb.cells[1])


def control_kinds(nb):
    """The controls that a notebook makes: every `widgets.Name(…)`."""
    found = {
        node.attr
        for cell in code_cells(nb)
        for node in ast.walk(tree(cell.source))
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "widgets"
    }
    return {name for name in found if name[0].isupper() and name != "Widget"}


def test_every_lesson_has_the_same_set_up():
    """So the short runs, which share a machine, test the one of each."""
    assert len({set_up(common.read(path)) for path in notebook_paths()}) == 1


def test_the_ranges_of_pyproject_replace_nothing_that_colab_has(preinstalled, index_answers):
    """And a range that would is seen."""
    with open(ROOT / "pyproject.toml", "rb") as file:
        ranges = tomllib.load(file)["project"]["dependencies"]
    assert replaced(preinstalled, ranges) == set()
    assert replaced(preinstalled, ["ipywidgets>=8"]) >= {"ipywidgets"}


@pytest.mark.skipif(
    not scope.FULL, reason="with FULL=1: an older runtime of Colab's, which has transformers 5.0.0"
)
def test_on_an_older_runtime_the_set_up_brings_a_newer_transformers_and_nothing_else(
    colab, tmp_path
):
    """There a tokenizer made from its vocabulary would know no word; without the newer one, the
    import says what to do.
    """
    environment, variables = colab
    assert not pip(environment, "install", "--quiet", "transformers==5.0.0")
    before = versions(environment, variables)
    assert before["transformers"] == "5.0.0"
    cell = set_up(common.read(notebook_paths()[0]))
    gpt2 = "from course_utils.tokenization import gpt2_tokenizer\nprint(gpt2_tokenizer().tokenize('Unaffable'))"

    (content := tmp_path / "content").mkdir()
    said = "import transformers\ntry:\n    import course_utils.tokenization\nexcept ImportError as error:\n    print(error)"
    loaded = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(source) for source in ("import transformers", cell, said)]
    )
    run_alone(loaded, environment, variables, content)
    message = loaded.cells[2].outputs[-1].text
    assert (
        "transformers 5.0.0 is too old" in message
        and "Restart session" in message
        and "Latest" in message
    )

    replaced_now = changed(before, environment, variables)
    assert "transformers" in replaced_now and not set(replaced_now) & {
        "torch",
        "numpy",
        "ipywidgets",
        "ipython",
        "ipykernel",
        "matplotlib",
    }
    shutil.rmtree(tmp_path / "kernels")
    restarted = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(source) for source in (cell, gpt2)]
    )
    run_alone(restarted, environment, variables, content)
    assert restarted.cells[1].outputs[-1].text.strip() == "['Un', 'aff', 'able']"
