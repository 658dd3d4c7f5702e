"""Which versions of other packages are here, and which the course needs: an old one is named, with
what to do, before it misleads.

pip sees to the versions of a fresh installation. It has no say where the package lies on the path
only, was installed with --no-deps, or where an old version stays loaded in a running kernel; and
some old versions give wrong answers without an error.
"""

import os
import re
import sys
import tomllib
import warnings
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

# Before these bounds: transformers gives [UNK] for every word without an error; peft and matplotlib
# end in errors of their own.
WATCHED = ("transformers", "peft", "matplotlib")


@dataclass(frozen=True)
class TooOld:
    """A package that is here in an older version than the course needs.

    >>> str(TooOld("peft", "0.14", "0.18")).split(".  ")[0][:60]
    'peft 0.14 is too old for this course, which needs peft >= 0.'
    """

    name: str
    found: str
    needed: str

    def __str__(self) -> str:
        """The sentence for whoever runs the course: package, found, needed, remedy."""
        colab = "google.colab" in sys.modules
        how = "%pip install -q" if colab else "pip install --upgrade"
        then = "Runtime → Restart session" if colab else "restart the kernel"
        newer = " (or Runtime → Change runtime type → Runtime version: Latest)" if colab else ""
        return (
            f"{self.name} {self.found} is too old for this course, which needs {self.name} >= {self.needed}. "
            f'Run  {how} "{self.name}>={self.needed}"  then {then}{newer}.'
        )


def release(text: str) -> tuple[int, ...]:
    """The numbers of a version, without trailing zeros and what follows them, so that versions can
    be compared.

    >>> release("5.10.0rc1") > release("5.3")
    True
    """
    numbers = [int(n) for n in re.match(r"\s*v?((?:\d+\.)*\d+)", text).group(1).split(".")]
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)


@cache
def needed() -> dict[str, str]:
    """The least version of each package as this course declares it: from pyproject.toml in a
    checkout, else as installed.

    >>> needed()["ipywidgets"]
    '7.7'
    """
    project = Path(__file__).parents[2] / "pyproject.toml"
    if project.is_file() and 'name = "course-utils"' in (
        text := project.read_text(encoding="utf-8")
    ):
        lines = tomllib.loads(text)["project"]["dependencies"]
    else:
        try:
            lines = requires("course-utils") or []
        except PackageNotFoundError:  # the bare folder, copied: nothing says what it needs
            lines = []
    bounds = (re.match(r"([\w.-]+)\s*>=\s*([\w.]+)", line) for line in lines)
    return {bound.group(1).lower(): bound.group(2) for bound in bounds if bound}


def found(name: str) -> str | None:
    """The version of a package that runs here: the one that is loaded, else the one that is
    installed; None without it.

    >>> found("no-such-package") is None
    True
    """
    loaded = getattr(sys.modules.get(name), "__version__", None)
    if isinstance(loaded, str):
        return loaded
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def too_old(*names: str) -> list[TooOld]:
    """Those of the packages that are here, but older than needed.

    >>> too_old("ipywidgets")
    []
    """
    pairs = [(name, found(name), needed().get(name)) for name in names]
    return [
        TooOld(name, has, least)
        for name, has, least in pairs
        if has and least and release(has) < release(least)
    ]


def require(*names: str) -> None:
    """Stop where a package is too old to give right answers. Raises ImportError, which names it and
    what to do.

    >>> require("ipywidgets")
    """
    if old := too_old(*names):
        raise ImportError(" ".join(map(str, old)))


def warn() -> None:
    """Warn of every watched package that is too old; the import goes on, since not every lesson
    uses every package.

    >>> warn()  # silent where all are new enough
    """
    for old in too_old(*WATCHED):
        warnings.warn(str(old), stacklevel=3)


def warn_of_widgets() -> None:
    """Warn where views cannot show: JupyterLab 4 or Notebook 7 with ipywidgets 7, which Colab has
    and its own page shows.

    >>> warn_of_widgets()  # silent where no Jupyter server started this Python
    """
    has = found("ipywidgets")
    lab = found("jupyterlab")
    # a Jupyter server started this kernel
    served = "JPY_SESSION_NAME" in os.environ and "google.colab" not in sys.modules
    if served and has and lab and release(has) < (8,) and release(lab) >= (4,):
        warnings.warn(
            f'ipywidgets {has} does not work in JupyterLab {lab}: every view reads "Click to show javascript error". '
            'Run  pip install --upgrade "ipywidgets>=8"  then restart JupyterLab and reload its page.',
            stacklevel=3,
        )
