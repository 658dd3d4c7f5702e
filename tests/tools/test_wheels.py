"""The folder of wheels for a class without a network: the pins it takes, and a small course that
goes through it whole.
"""

import subprocess
import sys
import zipfile

import pytest
import wheels

from conftest import ROOT

PYPROJECT = """\
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"

[project]
name = "course-utils"
version = "2.0.0"
dependencies = ["tiny_counter>=1"]

[tool.setuptools]
packages = ["course_utils"]
"""
REQUIREMENTS = "# pins\ntiny-counter==1.5  # counts\nlaboratory==3.0\nunwanted[extra]==9.9\n-e .\n"


def test_the_pins_are_those_of_what_the_notebooks_need():
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    pins = wheels.pins(more=wheels.LAB)
    assert set(pins) <= set(lines)
    names = {pin.split("==")[0] for pin in pins}
    assert {"torch", "transformers", "ipywidgets", "jupyterlab"} <= names and not {
        "pytest",
        "ruff",
        "playwright",
    } & names


@pytest.fixture
def small(tmp_path):
    """A course of one module that needs one package, and a folder that plays the package index:
    (root, its packages).
    """
    root = tmp_path / "course"
    index = tmp_path / "index"
    (root / "course_utils").mkdir(parents=True)
    (root / "course_utils" / "__init__.py").write_text('__version__ = "2.0.0"\n')
    for name, text in (
        ("pyproject.toml", PYPROJECT),
        ("requirements.txt", REQUIREMENTS),
        ("README.md", ""),
        ("LICENSE", ""),
    ):
        (root / name).write_text(text)
    index.mkdir()
    for name, version in (
        ("tiny_counter", "1.4"),
        ("tiny_counter", "1.5"),
        ("tiny_counter", "1.6"),
        ("laboratory", "3.0"),
    ):
        wheel(index, name, version)
    return root, index


def wheel(folder, name, version):
    """A wheel that holds one empty module."""
    info = f"{name}-{version}.dist-info"
    files = {
        f"{name}.py": "",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as file:
        for path, text in {
            **files,
            f"{info}/RECORD": "".join(f"{path},,\n" for path in [*files, f"{info}/RECORD"]),
        }.items():
            file.writestr(path, text)


def build(small, lab=("laboratory",)):
    root, index = small
    return wheels.build(
        ["--no-index", f"--find-links={index}", "--no-build-isolation"],
        root,
        root / "build" / "wheels",
        lab,
    )


def test_the_folder_holds_the_pins_and_the_course_and_installs_without_an_index(small, tmp_path):
    pytest.importorskip("setuptools", "70.1", reason="an older setuptools builds no wheels offline")
    root, _ = small
    (root / "build" / "wheels").mkdir(parents=True)
    (root / "build" / "wheels" / "left_over-1-py3-none-any.whl").touch()
    before = {path for path in root.rglob("*") if "build" not in path.parts}
    assert build(small) == 3
    names = sorted(path.name for path in (root / "build" / "wheels").glob("*.whl"))
    assert names == [
        "course_utils-2.0.0-py3-none-any.whl",
        "laboratory-3.0-py3-none-any.whl",
        "tiny_counter-1.5-py3-none-any.whl",
    ]
    assert {path for path in root.rglob("*") if "build" not in path.parts} == before, (
        "building leaves traces in the course's folder"
    )
    target = tmp_path / "target"
    folder = root / "build" / "wheels"
    command = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-index",
        "--find-links",
        str(folder),
        "--target",
        str(target),
    ]
    subprocess.run([*command, "course-utils", "laboratory"], check=True)
    assert {"course_utils", "tiny_counter.py", "laboratory.py"} <= {
        path.name for path in target.iterdir()
    }
    assert "--no-index --find-links WHEELS course-utils laboratory" in (
        folder / "README.txt"
    ).read_text(encoding="utf-8")


def test_a_package_that_cannot_be_had_stops_it(small):
    (small[1] / "tiny_counter-1.5-py3-none-any.whl").unlink()
    with pytest.raises(
        ValueError, match="`pip wheel` failed; .* A network is needed here, though not in the class"
    ):
        build(small)


def test_a_package_without_a_pin_is_named(small):
    with pytest.raises(
        ValueError, match=r"requirements.txt pins no notebook; add the version that was tested"
    ):
        build(small, lab=("notebook",))


def test_the_list_is_what_binder_installs(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["wheels.py", "--list"])
    wheels.main()
    assert capsys.readouterr().out.splitlines() == wheels.pins()
