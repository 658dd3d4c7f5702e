"""Makes .venv with the pinned packages; where it is up to date, does nothing.

    python3 tools/environment.py

With NEWEST=1 in the environment it takes the newest version of every package instead of the pinned
one. Written for any Python from 3.6 on, so that an old one gets a sentence and no SyntaxError.
Standard library only.
"""

import hashlib
import os
import shutil
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
VENV = os.path.join(ROOT, ".venv")
PYTHON = (
    os.path.join(VENV, "Scripts", "python.exe")
    if os.name == "nt"
    else os.path.join(VENV, "bin", "python")
)
STAMP = os.path.join(VENV, "installed.sha256")  # what .venv was made from
LEAST = (3, 11)
TESTED = ((3, 11), (3, 12), (3, 13))
# JupyterLab asks for it, for one optional check; it makes every `import nbformat` take seconds, and
# nothing here needs it.
SLOW = "rfc3987-syntax"
NEWEST = os.environ.get("NEWEST") == "1"


def fingerprint():
    """A hash of all that decides what .venv holds: the pins, the package's own declaration, the
    Python, and whether pins count.
    """
    digest = hashlib.sha256(repr(sys.version_info[:2]).encode() + b"newest" * NEWEST)
    for name in ("requirements.txt", "pyproject.toml"):
        with open(os.path.join(ROOT, name), "rb") as file:
            digest.update(file.read())
    return digest.hexdigest()


def is_current():
    """Whether .venv works and was made from the files as they are now."""
    try:
        with open(STAMP) as file:
            same = file.read().strip() == fingerprint()
        return same and subprocess.call([PYTHON, "-c", ""]) == 0
    except OSError:
        return False


def wanted():
    """What pip shall install: requirements.txt, or its packages without their versions."""
    path = os.path.join(ROOT, "requirements.txt")
    if not NEWEST:
        return ["-r", path]
    with open(path, encoding="utf-8") as file:
        lines = [line.split("#")[0].split("==")[0].split() for line in file]
    return ["--upgrade"] + [word for line in lines for word in line]


def install():
    """Makes .venv anew where it is missing or of another Python, and installs requirements.txt into
    it.
    """
    probe = f"import sys, pip; print(sys.version_info[:2] == {tuple(sys.version_info[:2])})"
    made = (
        os.path.exists(PYTHON)
        and subprocess.run([PYTHON, "-c", probe], stdout=subprocess.PIPE).stdout.strip() == b"True"
    )
    if not os.access(ROOT, os.W_OK):
        sys.exit(
            f"{ROOT} cannot be written to, and .venv goes there: copy the course into a folder of your own."
        )
    if not made:
        print("making .venv with Python {}.{}".format(*sys.version_info[:2]), flush=True)
        if subprocess.call([sys.executable, "-m", "venv", "--clear", VENV]):
            sys.exit(
                f"`{sys.executable} -m venv` failed; the lines above say why. On Debian and Ubuntu, install it first: apt install python3-venv"
            )
    what = "the newest version of everything in requirements.txt" if NEWEST else "requirements.txt"
    print(f"installing {what}: a few minutes the first time", flush=True)
    pip = [PYTHON, "-m", "pip", "--disable-pip-version-check"]
    if subprocess.call(pip + ["install", "--quiet"] + wanted(), cwd=ROOT):
        sys.exit(
            "installing failed; the lines above say why. With a network, run the same command again to go on; "
            "without one, see *Without a network* in docs/students.md."
        )
    subprocess.check_call(pip + ["uninstall", "--quiet", "--yes", SLOW], stderr=subprocess.DEVNULL)
    with open(STAMP, "w") as file:
        file.write(fingerprint() + "\n")


def too_old():
    """The sentence for a Python that is too old."""
    newer = [name for name in map("python{0[0]}.{0[1]}".format, TESTED) if shutil.which(name)]
    way = (
        f"make PYTHON={newer[0]} …"
        if newer
        else "install one from https://www.python.org, then make PYTHON=/path/to/python3.11 …"
    )
    return f"This course needs Python {LEAST[0]}.{LEAST[1]} or newer, and {sys.executable} is {sys.version_info[0]}.{sys.version_info[1]}: {way}"


def main():
    if sys.version_info < LEAST:
        sys.exit(too_old())
    if is_current():
        return
    if sys.version_info[:2] not in TESTED:
        names = ", ".join(map("{0[0]}.{0[1]}".format, TESTED))
        print(
            "note: the pins were tested with Python {}; this is {}.{}".format(
                names, *sys.version_info[:2]
            )
        )
    install()


if __name__ == "__main__":
    main()
