"""Other Pythons and other versions: the environments in which the tests run the course, kept in
.cache/.

    python tools/pythons.py              what there is
    python tools/pythons.py make NAME    make one: 3.12, 3.13, colab, bounds

3.12 and 3.13: requirements.txt on that Python. colab: what Colab preinstalls, on Colab's Python.
bounds: the least versions that pyproject.toml allows, on the least Python. Each takes several GB
where pip finds only a CUDA build of torch. CI uses those that are made already; with FULL=1 the
tests make them.
"""

import argparse
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from common import CACHE, ROOT, Problem, command
from filelock import FileLock
from scope import FULL

OLDEST = "3.11"
TESTED = ("3.11", "3.12", "3.13")
# Colab, August 2026.
COLAB_PYTHON = "3.13"
COLAB_TORCH = "torch==2.11.0"
COLAB = """
pip==24.1.2 setuptools==75.2.0 ipykernel==6.17.1 ipython==7.34.0 ipywidgets==7.7.1 anywidget==0.9.21 numpy==2.1.3 matplotlib==3.10.0
pandas==2.2.3 transformers==5.15.0 tokenizers==0.22.2 tiktoken==0.14.0 accelerate==1.14.0 peft==0.20.0 scipy safetensors tqdm psutil
""".split()
COLAB_MODULE = '''\
"""A stand-in for Colab's own module: enough for a notebook to find out where it runs."""
import sys
from importlib.machinery import ModuleSpec
from importlib.util import module_from_spec
for _name in ("google", "google.colab", "google.colab.output"):
    sys.modules.setdefault(_name, module_from_spec(ModuleSpec(_name, None, is_package=True)))
sys.modules["google.colab.output"].enable_custom_widget_manager = lambda: None
'''
# What the tests themselves need, in an environment that else has the least versions only.
TESTERS = (
    "pytest",
    "nbval",
    "hypothesis",
    "jupytext",
    "nbformat",
    "nbclient",
    "nbconvert",
    "beautifulsoup4",
    "latex2mathml",
    "psutil",
    "filelock",
)
TORCH = ("torch", "torchgen", "functorch")


@dataclass(frozen=True)
class Environment:
    """What an environment holds.

    python: "3.13"; linked: torch is that of the Python that runs this, file by file; exact: nothing
    else may be in it, so other contents mean a new one, where an older one would save the download
    of torch.
    """

    name: str
    python: str
    requirements: tuple[str, ...]
    linked: bool = False
    colab: bool = False
    exact: bool = True

    @property
    def folder(self) -> Path:
        """Where it is kept: another place for other contents, and for another Python."""
        torch = (
            [path.name for path in _torch_files() if path.suffix == ".dist-info"]
            if self.linked
            else []
        )
        key = [
            self.requirements,
            version_of(find(self.python)),
            torch,
            COLAB_MODULE if self.colab else "",
        ]
        return CACHE / f"{self.name}-{hashlib.sha256(json.dumps(key).encode()).hexdigest()[:12]}"

    def is_made(self) -> bool:
        """Whether it lies there, and its Python too."""
        return find(self.python) is not None and python_of(self.folder).exists()

    def missing(self) -> str | None:
        """Why it is not there, and how to get it; None where it is."""
        if find(self.python) is None:
            return f"no Python {self.python} was found (on PATH, by pyenv, by uv): install one, such as `uv python install {self.python}`"
        if not self.is_made():
            return f"it is not made yet: FULL=1, or `python tools/pythons.py make {self.name}` (several GB, some minutes)"
        return None

    def keep(self) -> Path:
        """The folder; made first where it is missing. Raises Problem where that fails."""
        base = find(self.python)
        if base is None:
            raise Problem(self.missing())
        self.folder.parent.mkdir(exist_ok=True)
        with FileLock(f"{self.folder}.lock"):  # several workers may come here at once
            if not python_of(self.folder).exists():
                part = self.folder.with_name(f"part-{self.folder.name}")
                shutil.rmtree(part, ignore_errors=True)
                self._make(base, part)
                for old in self._others():
                    shutil.rmtree(old, ignore_errors=True)
                part.rename(self.folder)
        return self.folder

    def _others(self) -> list[Path]:
        """The folders of this name with other contents."""
        return [
            path
            for path in self.folder.parent.glob(f"{self.name}-????????????")
            if path != self.folder
        ]

    def _make(self, base: Path, folder: Path) -> None:
        older = (
            []
            if self.exact
            else [old for old in self._others() if version_of(python_of(old)) == version_of(base)]
        )
        if older:  # its pins have changed since: torch need not come again
            link(older[0], folder)
        else:
            subprocess.run(
                [base, "-m", "venv", "--without-pip", folder], env=plain_environ(), check=True
            )
        if self.linked:
            for path in _torch_files():
                link(path, site_packages(folder) / path.name)
        if self.colab:
            (site_packages(folder) / "colab_stand_in.py").write_text(COLAB_MODULE)
            (site_packages(folder) / "colab_stand_in.pth").write_text("import colab_stand_in\n")
        if said := pip(folder, "install", "--quiet", "--no-compile", *self.requirements):
            raise Problem(f"{self.name}: its packages cannot be installed here: {said}")


def environments() -> dict[str, Environment]:
    """Every environment by its name. "colab-here" needs no other Python and no other torch; it is
    second best.
    """
    pinned = tuple(
        line.split("#")[0].strip()
        for line in (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    )
    pinned = tuple(line for line in pinned if line and not line.startswith("-e"))
    others = [
        Environment(python, python, pinned, exact=False) for python in TESTED if python != running()
    ]
    real = Environment("colab", COLAB_PYTHON, (COLAB_TORCH, *COLAB), colab=True)
    here = Environment("colab-here", running(), tuple(COLAB), linked=True, colab=True)
    bounds = Environment("bounds", OLDEST, (*least_versions(), *TESTERS))
    return {each.name: each for each in (*others, real, here, bounds)}


def colab() -> Environment:
    """Colab as it can be played here: its own Python and torch where that was made, or may be
    (FULL=1); else this Python's.
    """
    there = environments()
    return (
        there["colab"]
        if there["colab"].is_made() or (FULL and find(COLAB_PYTHON))
        else there["colab-here"]
    )


def least_versions() -> tuple[str, ...]:
    """Each requirement of pyproject.toml at its lower bound, as pip wants it: "numpy==1.26"."""
    return tuple(
        re.sub(r"\s*>=\s*", "==", line)
        for line in tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"][
            "dependencies"
        ]
    )


def release_of(line: str) -> str:
    """The version in a requirement: "1.26" of "numpy>=1.26"."""
    return re.search(r"[>=]=\s*([\w.]+)", line).group(1)


def running() -> str:
    """The version of the Python that runs this: "3.11"."""
    return "{}.{}".format(*sys.version_info)


# --- Pythons --------------------------------------------------------------------------------------


@cache
def find(python: str) -> Path | None:
    """An interpreter of this version, such as "3.13", that can make environments; None where there
    is none.
    """
    return next(
        (path for path in _candidates(python) if (version_of(path) or "").startswith(f"{python}.")),
        None,
    )


def _candidates(python: str) -> Iterator[Path]:
    if running() == python:
        yield Path(sys.executable)
    if on_path := shutil.which(f"python{python}"):
        yield Path(on_path)
    roots = [os.environ.get("PYENV_ROOT"), _says("pyenv", "root"), Path.home() / ".pyenv"]
    for root in filter(None, roots):
        found = Path(root, "versions").glob(f"{python}.*")
        yield from (
            path / "bin" / "python"
            for path in sorted(
                found,
                key=lambda path: [int(n) for n in re.findall(r"\d+", path.name)],
                reverse=True,
            )
        )
    for tool in (
        ["py", f"-{python}", "-c", "import sys; print(sys.executable)"],
        [*uv(), "python", "find", python],
    ):
        if found := _says(*tool):
            yield Path(found)


def _says(*arguments: str) -> str | None:
    try:
        run = subprocess.run(
            arguments, env=plain_environ(), capture_output=True, text=True, timeout=60
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return run.stdout.strip() or None if run.returncode == 0 else None


@cache
def version_of(python: Path | None) -> str | None:
    """The version as that interpreter says it, "3.13.0"; None where it does not start, or cannot
    make environments.
    """
    return python and _says(
        str(python), "-c", "import platform, ssl, venv, zlib; print(platform.python_version())"
    )


def uv() -> list[str]:
    """The command `uv`: of this environment, else of the machine."""
    return (
        [sys.executable, "-m", "uv"] if _says(sys.executable, "-m", "uv", "--version") else ["uv"]
    )


# --- Environments ---------------------------------------------------------------------------------


def python_of(environment: Path) -> Path:
    """The interpreter of an environment."""
    return environment / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def site_packages(environment: Path) -> Path:
    """The folder where its packages lie."""
    return next(
        environment.glob("lib/python*/site-packages"), environment / "Lib" / "site-packages"
    )


def pip(environment: Path, *arguments: str) -> str | None:
    """Runs this Python's pip for another environment; what it said if it failed, else None."""
    run = _pip(environment, *arguments)
    said = [line for line in run.stderr.splitlines() if line.startswith("ERROR")]
    return (
        (said or [run.stderr or f"pip ended with {run.returncode}"])[-1] if run.returncode else None
    )


def _pip(environment: Path, *arguments: str) -> subprocess.CompletedProcess:
    start = [
        sys.executable,
        "-m",
        "pip",
        "--disable-pip-version-check",
        "--python",
        str(python_of(environment)),
    ]
    return subprocess.run([*start, *arguments], env=plain_environ(), capture_output=True, text=True)


def replaced(environment: Path, requirements: list[str]) -> set[str]:
    """The packages of an environment that pip would put another version of in the place of. Raises
    Problem where pip fails.
    """
    run = _pip(environment, "install", "--dry-run", "--quiet", "--report", "-", *requirements)
    if run.returncode:
        raise Problem(f"pip: {run.stderr.strip()[-500:]}")
    wanted = {item["metadata"]["name"].lower() for item in json.loads(run.stdout)["install"]}
    return wanted & set(versions(environment))


def versions(environment: Path, variables: dict[str, str] | None = None) -> dict[str, str]:
    """The packages of an environment and their versions."""
    code = "import json, importlib.metadata as m; print(json.dumps({d.metadata['Name'].lower(): d.version for d in m.distributions()}))"
    run = subprocess.run(
        [python_of(environment), "-c", code],
        env=variables or plain_environ(),
        cwd=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(run.stdout)


def plain_environ() -> dict[str, str]:
    """This process' environment without what the tests put into it, as a stranger's machine has
    it.
    """
    dropped = ("PYTHONPATH", "PYTHONHASHSEED", "VIRTUAL_ENV", "COURSE_QUIET", "__PYVENV_LAUNCHER__")
    return {
        name: value
        for name, value in os.environ.items()
        if name not in dropped and not name.startswith("PYTEST_")
    }


def link(source: Path, target: Path) -> None:
    """A copy of a file or folder that takes no room, where the file system can do that."""

    def one(a: str, b: str) -> None:
        try:
            os.link(a, b)
        except OSError:
            shutil.copy2(a, b)

    shutil.copytree(source, target, copy_function=one, symlinks=True)


def _torch_files() -> list[Path]:
    import importlib.util

    mine = Path(importlib.util.find_spec("torch").origin).parents[1]
    return [
        path
        for path in (*(mine / name for name in TORCH), *mine.glob("torch-*.dist-info"))
        if path.exists()
    ]


def size(folder: Path) -> str:
    """How much a folder holds, in GB."""
    return (
        f"{sum(path.lstat().st_size for path in folder.rglob('*') if path.is_file()) / 1e9:.1f} GB"
    )


def describe(environment: Environment) -> str:
    """One line: what there is, or why not."""
    return f"{environment.name}: " + (
        environment.missing()
        or f"Python {version_of(find(environment.python))}, {environment.folder.name}"
    )


def main(say: Callable[[str], None] = print) -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("action", nargs="?", choices=["make"])
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(environments()))
    asked = parser.parse_args()
    if asked.action is None:
        for each in environments().values():
            say(describe(each))
    for name in asked.names:
        if name not in environments():
            raise Problem(f"no environment {name!r}; there are {', '.join(environments())}.")
        say(
            f"{name}: {size(environments()[name].keep())} in {environments()[name].folder.relative_to(ROOT)}"
        )


if __name__ == "__main__":
    command(main)
