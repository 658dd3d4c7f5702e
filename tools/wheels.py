"""A folder of wheels for a class without a network: what a student needs, for this Python on this
kind of machine.

    python tools/wheels.py [pip's own options]    build/wheels, and a README in it that says how to install from it
    python tools/wheels.py --list                 only the pins of what the notebooks need, one a line

Standard library only.
"""

import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
WHEELS = ROOT / "build" / "wheels"
LAB = ("jupyterlab", "ipykernel", "ipython")  # what opens a notebook, beside what runs in it
# what the course's own wheel is made from
OWN = ("pyproject.toml", "README.md", "LICENSE", "course_utils")
README = """\
Everything that the notebooks need, for Python {0}.{1} on a machine like the one where this folder was made.
No network is needed. In the folder of the course:

    python{0}.{1} -m venv .venv
    .venv/bin/python -m pip install --no-index --find-links WHEELS course-utils {2}
    .venv/bin/python -m jupyterlab notebooks

WHEELS is the path of this folder; on Windows it is .venv\\Scripts\\python.exe.
"""


def pins(root: Path = ROOT, more: tuple[str, ...] = ()) -> list[str]:
    """The lines of requirements.txt for the packages that pyproject.toml asks for, and `more`.
    Raises ValueError where one has no pin.
    """
    lines = (
        line.split("#")[0].strip()
        for line in (root / "requirements.txt").read_text(encoding="utf-8").splitlines()
    )
    pinned = {_name(line): line for line in lines if "==" in line}
    asked = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"][
        "dependencies"
    ]
    names = [*map(_name, asked), *more]
    if missing := [name for name in names if name not in pinned]:
        raise ValueError(
            f"requirements.txt pins no {', no '.join(missing)}; add the version that was tested."
        )
    return [pinned[name] for name in names]


def _name(requirement: str) -> str:
    return re.match(r"[\w.-]+", requirement)[0].lower().replace("_", "-")


def build(
    options: list[str], root: Path = ROOT, folder: Path = WHEELS, lab: tuple[str, ...] = LAB
) -> int:
    """Fills the folder anew with all that pip needs; the number of wheels. Raises ValueError where
    pip cannot have them.
    """
    shutil.rmtree(folder, ignore_errors=True)
    # From a copy: setuptools leaves traces where it builds, and packs them the next time.
    with tempfile.TemporaryDirectory() as copy:
        for name in OWN:
            where = root / name
            ignore = shutil.ignore_patterns("__pycache__")
            shutil.copytree(
                where, Path(copy, name), ignore=ignore
            ) if where.is_dir() else shutil.copy(where, copy)
        pip = [
            sys.executable,
            "-m",
            "pip",
            "--disable-pip-version-check",
            "wheel",
            "--wheel-dir",
            str(folder),
        ]
        if subprocess.call([*pip, *options, *pins(root, lab), copy]):
            raise ValueError(
                "`pip wheel` failed; the lines above say why. A network is needed here, though not in the class."
            )
    (folder / "README.txt").write_text(
        README.format(*sys.version_info[:2], " ".join(lab)), encoding="utf-8"
    )
    return len(list(folder.glob("*.whl")))


def main() -> None:
    options = sys.argv[1:]
    try:
        if options == ["--list"]:
            print("\n".join(pins()))
            return
        count = build(options)
    except ValueError as error:
        sys.exit(f"wheels.py: {error}")
    print(
        f"{count} wheels are in {WHEELS.relative_to(ROOT)}; README.txt there says how to install from them"
    )


if __name__ == "__main__":
    main()
