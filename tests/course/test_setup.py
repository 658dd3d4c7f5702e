"""The set-up cell of the notebooks, run by IPython where the course is there, missing, of another
edition, or cannot be installed.
"""

import os
import re
import subprocess
import sys
import tomllib

import pytest
from lint import SETUP

import course_utils
from conftest import ROOT

# IPython without this repository: `python -m pip` is a stand-in, the course is only what the test
# puts into the folder.
RUN = """
import os, sys
from importlib.util import find_spec
sys.path[:] = [place for place in sys.path if place == os.environ["FOLDER"] or not os.path.isdir(os.path.join(place, "course_utils"))]
sys.meta_path[:] = [finder for finder in sys.meta_path if not getattr(finder, "__module__", "").startswith("__editable__")]
assert bool(find_spec("course_utils")) == os.path.isdir(os.path.join(os.environ["FOLDER"], "course_utils"))
from IPython.core.interactiveshell import InteractiveShell
result = InteractiveShell.instance().run_cell(sys.argv[1])
print("error:", repr(result.error_in_exec))
"""
PIP = """
import os, pathlib, sys
print("pip was called with", *sys.argv[1:])
if not os.environ["INSTALLS"]:
    sys.exit("ERROR: Could not resolve host: github.com")
package = pathlib.Path(os.environ["FOLDER"], "course_utils")
package.mkdir()
(package / "__init__.py").write_text(f"__version__ = {os.environ['INSTALLS']!r}")
"""
ADDRESS = "https://github.com/a/b@main"


@pytest.fixture
def run(tmp_path):
    """Runs the set-up cell: `has` is the version that is installed, `installs` the one that pip
    gives; without it pip fails.
    """
    (tmp_path / "pip").mkdir()
    (tmp_path / "pip" / "__init__.py").touch()
    (tmp_path / "pip" / "__main__.py").write_text(PIP, encoding="utf-8")

    def go(has="", installs=""):
        if has:
            (tmp_path / "course_utils").mkdir()
            (tmp_path / "course_utils" / "__init__.py").write_text(
                f"__version__ = {has!r}", encoding="utf-8"
            )
        env = {
            **os.environ,
            "PYTHONPATH": str(tmp_path),
            "FOLDER": str(tmp_path),
            "INSTALLS": installs,
            "IPYTHONDIR": str(tmp_path),
            "NO_COLOR": "1",
        }
        command = [sys.executable, "-c", RUN, SETUP.replace("ADDRESS", ADDRESS)]
        return subprocess.run(
            command, env=env, cwd=tmp_path, capture_output=True, text=True, check=True
        ).stdout

    return go


def test_where_the_course_is_installed_the_cell_does_nothing(run):
    assert run(has=course_utils.__version__).strip() == "error: None"


def test_where_it_is_missing_the_cell_installs_it_and_nothing_else(run):
    said = run(installs=course_utils.__version__)
    assert (
        f"pip was called with install -q course-utils @ git+{ADDRESS}" in said
        and said.rstrip().endswith("error: None")
    )


def test_without_a_network_the_error_is_a_sentence_with_the_remedy(run):
    said = run()
    assert "pip was called" in said and "Could not resolve host" in said
    assert re.search(
        r"error: AssertionError\(.*Edition 2 of the course is not installed\. If pip failed, it says above why: .* restart the kernel",
        said,
    )
    assert "No module named" not in said


@pytest.mark.parametrize("version", ["0.1.0", "1.9", "3.0.0", "20.0"])
def test_another_edition_is_not_kept_silently(run, version):
    said = run(has=version)
    assert "error: AssertionError" in said and "%pip uninstall -y course-utils" in said
    assert "pip was called" not in said


def test_another_edition_at_the_address_is_noticed_too(run):
    assert "error: AssertionError" in run(installs="3.0.0")


def test_the_package_is_of_the_edition_that_the_notebooks_ask_for():
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"][
        "version"
    ]
    asked = re.search(r'startswith\("([\d.]+)"\)', SETUP)[1]
    assert course_utils.__version__ == declared and declared.startswith(asked)
    assert f"Edition {asked.rstrip('.')} " in SETUP
