"""Plays Colab: what it preinstalls, one notebook alone in an empty folder, a `google.colab` module, and nothing else of this repository.

The set-up cell runs as it stands: git is told that the public address means a snapshot of this working tree. The environment is
kept in .cache/; each notebook gets a copy of it (hard links, a second or two). Colab's torch is not to be had everywhere, so torch is
the one that runs these tests, linked file by file instead of downloaded again; the Python is theirs too.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import common
import nbformat
import pytest
from filelock import FileLock
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import KernelManager
from nbclient import NotebookClient

from conftest import ROOT

# Colab's versions, August 2026. torch: see above.
PREINSTALLED = """
ipykernel==6.17.1 ipython==7.34.0 ipywidgets==7.7.1 anywidget==0.9.21 numpy==2.1.3 matplotlib==3.10.0 pandas==2.2.3
transformers==5.15.0 tokenizers==0.22.2 tiktoken==0.14.0 scipy accelerate safetensors tqdm psutil pip
""".split()
TORCH = ("torch", "torchgen", "functorch")
COLAB = '''\
"""A stand-in for Colab's own module: enough for a notebook to find out where it runs."""
import sys
from importlib.machinery import ModuleSpec
from importlib.util import module_from_spec
for _name in ("google", "google.colab", "google.colab.output"):
    sys.modules.setdefault(_name, module_from_spec(ModuleSpec(_name, None, is_package=True)))
sys.modules["google.colab.output"].enable_custom_widget_manager = lambda: None
'''
INSPECT = "import json, importlib.metadata as m; print(json.dumps({d.metadata['Name'].lower(): d.version for d in m.distributions()}))"
WHERE = "import course_utils, sys; print(course_utils.__file__); print('google.colab' in sys.modules)"
VIEW = "application/vnd.jupyter.widget-view+json"
CELL_TIMEOUT = common.patience(900)  # seconds


def python_of(environment):
    return environment / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def pip(environment, *arguments):
    """Runs this Python's pip for another environment; what it said if it failed, else None."""
    command = [sys.executable, "-m", "pip", "--python", str(python_of(environment)), *arguments]
    run = subprocess.run(command, env=plain_environ(), capture_output=True, text=True)
    said = [line for line in run.stderr.splitlines() if line.startswith("ERROR")]
    return (said or [run.stderr or f"pip ended with {run.returncode}"])[-1] if run.returncode else None


def plain_environ():
    """This process' environment without what the tests put into it, as a stranger's machine has it."""
    dropped = ("PYTHONPATH", "PYTHONHASHSEED", "VIRTUAL_ENV", "COURSE_QUIET")
    return {name: value for name, value in os.environ.items() if name not in dropped and not name.startswith("PYTEST_")}


def site_packages(environment):
    return next(environment.glob("lib/python*/site-packages"), environment / "Lib" / "site-packages")


def link(source, target):
    """A copy of a file or folder that takes no room, where the file system can do that."""

    def one(a, b):
        try:
            os.link(a, b)
        except OSError:
            shutil.copy2(a, b)

    shutil.copytree(source, target, copy_function=one, symlinks=True)


def make_environment(folder):
    """Colab's packages in a fresh environment; what went wrong, or None."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    import torch

    mine, theirs = Path(torch.__file__).parents[1], site_packages(folder)
    for name in [*TORCH, *(path.name for path in mine.glob("torch-*.dist-info"))]:
        if (mine / name).exists():
            link(mine / name, theirs / name)
    (theirs / "colab_stand_in.py").write_text(COLAB)
    (theirs / "colab_stand_in.pth").write_text("import colab_stand_in\n")
    return pip(folder, "install", "--quiet", "--no-compile", "--disable-pip-version-check", *PREINSTALLED)


@pytest.fixture(scope="module")
def preinstalled():
    """The environment that is kept: made once for these packages, this Python and this torch."""
    import torch

    key = json.dumps([PREINSTALLED, sys.version, torch.__version__, COLAB])
    kept = ROOT / ".cache" / f"colab-{hashlib.sha256(key.encode()).hexdigest()[:12]}"
    kept.parent.mkdir(exist_ok=True)
    with FileLock(f"{kept}.lock"):  # several workers may come here at once
        if not kept.exists():
            for old in kept.parent.glob("colab-*"):
                shutil.rmtree(old, ignore_errors=True)
            part = kept.with_name(f"part-{kept.name}")
            shutil.rmtree(part, ignore_errors=True)
            if said := make_environment(part):
                pytest.skip(f"Colab's packages cannot be installed here, so Colab is not played: {said}")
            part.rename(kept)
    return kept


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory):
    """A git repository that holds this working tree as it is, on the branch that the set-up cells name."""
    here = tmp_path_factory.mktemp("snapshot")
    if not shutil.which("git"):
        pytest.skip("git is not installed, and the set-up cell installs with it")
    run = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=ROOT, capture_output=True, text=True)
    if run.returncode:
        pytest.skip("this is no git checkout, so there is nothing that Colab could install from")
    for name in filter(None, run.stdout.split("\0")):
        if (ROOT / name).is_file():
            (here / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, here / name)
    commit = ["-c", "user.name=course", "-c", "user.email=course@example.org", "-c", "commit.gpgsign=false", "commit", "-qm", "snapshot"]
    for arguments in (["init", "-q", "-b", course()["ref"]], ["add", "-A"], commit):
        subprocess.run(["git", *arguments], cwd=here, check=True)
    return here


def course():
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["course"]


@pytest.fixture(scope="module")
def index_answers(preinstalled, tmp_path_factory):
    """Skips where pip cannot fetch what it needs to install the course."""
    wheels = tmp_path_factory.mktemp("wheels")
    if said := pip(preinstalled, "download", "--quiet", "--no-deps", "--retries=1", f"--dest={wheels}", "setuptools>=70"):
        pytest.skip(f"no package index within reach, so the set-up cell cannot install anything: {said}")


@pytest.fixture
def colab(preinstalled, index_answers, snapshot, tmp_path):
    """A fresh Colab machine: (its environment, the variables of its kernels)."""
    environment = tmp_path / "environment"
    link(preinstalled, environment)
    variables = {
        **plain_environ(), "COURSE_PROFILE": "cpu", "IPYTHONDIR": str(tmp_path / "ipython"), "PIP_NO_COMPILE": "1",
        "GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": f"url.{snapshot.as_uri()}.insteadOf", "GIT_CONFIG_VALUE_0": course()["repository"],
        "PATH": os.pathsep.join([str(python_of(environment).parent), os.environ["PATH"]]),
    }  # fmt: skip
    return environment, variables


def versions(environment, variables):
    run = subprocess.run([python_of(environment), "-c", INSPECT], env=variables, cwd=environment, capture_output=True, text=True, check=True)
    return json.loads(run.stdout)


def run_alone(nb, environment, variables, folder):
    """Runs every cell with the environment's own kernel in `folder`; an error in a cell stops it."""
    kernel = folder.parent / "kernels" / "colab"
    kernel.mkdir(parents=True)
    launch = [str(python_of(environment)), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    (kernel / "kernel.json").write_text(json.dumps({"argv": launch, "display_name": "Colab", "language": "python"}))
    specs = KernelSpecManager(kernel_dirs=[str(kernel.parent)], ensure_native_kernel=False)
    manager = KernelManager(kernel_name="colab", kernel_spec_manager=specs)
    client = NotebookClient(nb, km=manager, timeout=CELL_TIMEOUT, store_widget_state=False, resources={"metadata": {"path": str(folder)}})
    client.execute(env=variables)


def test_the_notebook_runs_alone_on_colab_and_leaves_its_packages_alone(notebook, colab, tmp_path):
    environment, variables = colab
    content = tmp_path / "content"
    content.mkdir()
    shutil.copy(notebook, content)
    nb = common.read(content / notebook.name)
    cells = [cell for cell in nb.cells if cell.cell_type == "code"]
    for cell in cells:
        cell.outputs, cell.execution_count = [], None
    nb.cells.append(nbformat.v4.new_code_cell(WHERE))

    before = versions(environment, variables)
    assert "course-utils" not in before and before["ipywidgets"] == "7.7.1"
    start = time.perf_counter()
    run_alone(nb, environment, variables, content)
    print(f"{notebook.stem}: {time.perf_counter() - start:.0f} s on Colab's packages, the set-up cell included")

    after = versions(environment, variables)
    changed = {name: (old, after.get(name)) for name, old in before.items() if after.get(name) != old}
    assert changed == {}, "the set-up cell replaced packages that Colab has preinstalled"
    installed_at, plays_colab = nb.cells[-1].outputs[0].text.split()
    assert Path(installed_at).is_relative_to(site_packages(environment)) and plays_colab == "True"

    spoke_up = [output.text for cell in cells for output in cell.outputs if output.output_type == "stream" and output.name == "stderr"]
    assert [text for text in spoke_up if text.startswith("UsageError:")] == []
    views = [cell for cell in cells if "explore(" in cell.source]
    shown = [cell for cell in views if any(VIEW in output.get("data", {}) for output in cell.outputs)]
    assert views and shown == views, "a view of the notebook does not show under ipywidgets 7"
    assert sorted(path.name for path in content.iterdir()) == [notebook.name], "the notebook leaves files behind"


def test_the_ranges_of_pyproject_replace_nothing_that_colab_has(preinstalled, index_answers):
    """And a range that would is seen."""
    with open(ROOT / "pyproject.toml", "rb") as file:
        ranges = tomllib.load(file)["project"]["dependencies"]
    assert replaced(preinstalled, ranges) == set()
    assert replaced(preinstalled, ["ipywidgets>=8"]) >= {"ipywidgets"}


def replaced(environment, requirements):
    """The preinstalled packages that pip would put another version of in the place of."""
    command = [sys.executable, "-m", "pip", "--python", str(python_of(environment)), "install", "--dry-run", "--quiet", "--report", "-"]
    run = subprocess.run([*command, *requirements], env=plain_environ(), capture_output=True, text=True, check=True)
    wanted = {item["metadata"]["name"].lower() for item in json.loads(run.stdout)["install"]}
    return wanted & set(versions(environment, plain_environ()))
