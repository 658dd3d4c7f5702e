"""The course on other Pythons, and with the least versions that pyproject.toml allows: in
environments that tools/pythons.py keeps.

Where one is made already, what is small runs in it: quick unit tests, doctests, two lessons. With
FULL=1 it is made where it is missing, and all runs. Each is skipped with the reason, and with what
to do, where it is not there.
"""

import subprocess
import sys
from pathlib import Path

import common
import pytest
import pythons
import scope
from common import FIXED, Problem, means, patience
from pythons import Environment, plain_environ, python_of, version_of

from conftest import ROOT, notebook_paths

QUICK = (
    "attention/test_attention",
    "model_budget/test_census",
    "stories/test_documentation",
    "machine/test_installed",
    "probes/test_linear_reading",
    "sampling/test_sampling",
)
DOCTESTS = ("attention/heads", "model_budget/census", "stories/corpus", "machine/installed", "sampling/decoding", "stories/english", "tokenization/bpe",
            "tokenization/published", "transformer_block/block", "classroom/widgets")  # fmt: skip
LESSONS = ("01", "02")
# they make environments of their own
ELSEWHERE = ("course/test_colab", "course/test_pythons", "course/test_bounds")
HOURS = {"small": 0.5, "all": 4}
OTHERS = [each for each in pythons.environments().values() if not each.colab]


def small():
    """The files that run wherever the environment is."""
    lessons = [path for path in notebook_paths() if any(means(name, path) for name in LESSONS)]
    return [
        *(f"tests/{name}.py" for name in QUICK),
        *(f"course_utils/{name}.py" for name in DOCTESTS),
        *(f"notebooks/{path.name}" for path in lessons),
    ]


def everything():
    return [
        "tests",
        "course_utils",
        "notebooks",
        *(f"--ignore=tests/{name}.py" for name in ELSEWHERE),
    ]


def outcome(folder, what, hours):
    """Runs pytest in an environment, on this working tree: (its exit code, the end of what it
    said).
    """
    variables = {**plain_environ(), **FIXED, "PYTHONPATH": str(ROOT), "FULL": "0"}
    command = [python_of(folder), "-m", "pytest", "-q", "-p", "no:cacheprovider", *what]
    run = subprocess.run(
        command,
        cwd=ROOT,
        env=variables,
        capture_output=True,
        text=True,
        timeout=patience(hours * 3600),
    )
    return run.returncode, (run.stdout + run.stderr)[-6000:]


@pytest.fixture(scope="module", params=OTHERS, ids=lambda environment: environment.name)
def environment(request):
    """(what it is, its folder)"""
    each = request.param
    if missing := each.missing():
        if not scope.FULL or pythons.find(each.python) is None:
            pytest.skip(f"{each.name}: {missing}")
    try:
        return each, each.keep()
    except Problem as problem:
        pytest.skip(f"it cannot be made here: {problem}")


def test_the_course_runs_there(environment):
    each, folder = environment
    assert version_of(python_of(folder)).startswith(f"{each.python}.")
    whole = scope.FULL and each.name != "bounds"
    code, said = outcome(
        folder, everything() if whole else small(), HOURS["all" if whole else "small"]
    )
    assert code == 0, f"Python {each.python}, {each.name}: {said}"


def test_what_runs_there_is_there():
    """And a test that fails there is seen: pytest's exit code is 1 for a failed test, 4 for a file
    that is missing.
    """
    assert all((ROOT / name).is_file() for name in small()) and len(small()) == len(QUICK) + len(
        DOCTESTS
    ) + len(LESSONS)
    assert {f"course/test_{name}" for name in ("colab", "pythons", "bounds")} == set(ELSEWHERE)


# --- Finding Pythons, keeping environments --------------------------------------------------------


def test_this_python_is_found_and_one_that_nobody_has_is_not():
    assert pythons.version_of(pythons.find(pythons.running())).startswith(f"{pythons.running()}.")
    assert pythons.find("3.999") is None and pythons.version_of(Path("no/such/python")) is None


def test_pythons_on_the_path_and_of_pyenv_are_found(tmp_path, monkeypatch):
    """The newest of pyenv's comes first; a command that does not start, such as a shim of a version
    not set, is passed over.
    """
    for name in ("3.77.2", "3.77.10"):
        (tmp_path / "versions" / name / "bin").mkdir(parents=True)
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path))
    monkeypatch.setattr(
        pythons.shutil,
        "which",
        lambda name: str(tmp_path / "shim") if name == "python3.77" else None,
    )
    first, second, third, *_ = pythons._candidates("3.77")
    assert first == tmp_path / "shim" and pythons.version_of(first) is None
    assert [second.parts[-3], third.parts[-3]] == ["3.77.10", "3.77.2"]


def test_an_environment_that_is_missing_says_how_to_get_it():
    never = Environment("never", pythons.running(), ("nothing==0",))
    assert "FULL=1" in never.missing() and "tools/pythons.py make never" in never.missing()
    assert "uv python install 3.999" in Environment("never", "3.999", ()).missing()
    with pytest.raises(Problem, match="no Python 3.999 was found"):
        Environment("never", "3.999", ()).keep()


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setattr(pythons, "CACHE", tmp_path)
    return tmp_path


def test_an_environment_is_made_once_and_anew_for_other_contents(cache, monkeypatch):
    asked = []
    monkeypatch.setattr(pythons, "pip", lambda folder, *arguments: asked.append(arguments[-1]))
    one = Environment("x", pythons.running(), ("a==1",))
    folder = one.keep()
    assert (
        one.keep() == folder == one.folder
        and one.is_made()
        and one.missing() is None
        and asked == ["a==1"]
    )
    other = Environment("x", pythons.running(), ("a==2",))
    assert (
        not other.is_made()
        and other.keep() != folder
        and not folder.exists()
        and asked == ["a==1", "a==2"]
    )


@pytest.mark.parametrize("exact", [False, True])
def test_an_older_environment_is_taken_over_unless_nothing_else_may_be_in_it(
    cache, monkeypatch, exact
):
    monkeypatch.setattr(pythons, "pip", lambda folder, *arguments: None)
    older = Environment("x", pythons.running(), ("torch==1",), exact=exact).keep()
    (pythons.site_packages(older) / "torch").mkdir()
    newer = Environment("x", pythons.running(), ("torch==1", "ruff==2"), exact=exact).keep()
    assert (
        (pythons.site_packages(newer) / "torch").exists() != exact
        and not older.exists()
        and newer != older
    )


def test_an_environment_that_fails_leaves_nothing_that_looks_made(cache, monkeypatch):
    monkeypatch.setattr(pythons, "pip", lambda folder, *arguments: "ERROR: no such package")
    broken = Environment("x", pythons.running(), ("a==1",))
    with pytest.raises(
        Problem, match="x: its packages cannot be installed here: ERROR: no such package"
    ):
        broken.keep()
    assert not broken.is_made()


def test_colab_is_its_own_python_where_that_is_made(monkeypatch):
    monkeypatch.setattr(pythons, "FULL", False)
    monkeypatch.setattr(Environment, "is_made", lambda self: self.name == "colab")
    real = pythons.colab()
    assert (
        real.python == "3.13"
        and not real.linked
        and {"torch==2.11.0", "numpy==2.1.3", "ipywidgets==7.7.1"} <= set(real.requirements)
    )
    monkeypatch.setattr(Environment, "is_made", lambda self: False)
    here = pythons.colab()
    assert (
        here.python == pythons.running()
        and here.linked
        and set(real.requirements) - set(here.requirements) == {"torch==2.11.0"}
    )
    monkeypatch.setattr(pythons, "FULL", True)
    monkeypatch.setattr(pythons, "find", lambda python: Path(sys.executable))
    assert pythons.colab() == real


def test_the_tool_says_what_there_is(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["pythons.py"])
    pythons.main()
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines] == list(pythons.environments())
    monkeypatch.setattr(sys, "argv", ["pythons.py", "make", "2.7"])
    with pytest.raises(Problem, match="no environment '2.7'; there are "):
        pythons.main()


def test_the_tested_pythons_are_said_alike_everywhere():
    import environment as set_up

    assert [f"{major}.{minor}" for major, minor in set_up.TESTED] == list(
        pythons.TESTED
    ) and pythons.OLDEST == pythons.TESTED[0]
    assert f'requires-python = ">={pythons.OLDEST}"' in (ROOT / "pyproject.toml").read_text(
        encoding="utf-8"
    )
    assert f"tested with\n{', '.join(pythons.TESTED[:-1])} and {pythons.TESTED[-1]}" in (
        ROOT / "README.md"
    ).read_text(encoding="utf-8")
    assert common.CACHE == ROOT / ".cache"
