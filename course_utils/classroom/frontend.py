"""Which program shows what is printed here, and what it can show: a page of Lab, of VS Code, of
Colab, or a terminal.
"""

import os
import sys
from typing import Any

from IPython import get_ipython
from IPython.display import display

# for the marks of a check, where stdout has no such characters
WORDS = {"✓": "RIGHT:", "✗": "WRONG:", "·": "OPEN:"}


def saving() -> bool:
    """True where COURSE_QUIET=1: this run's outputs are saved or compared, so they hold nothing
    that only a live page needs.
    """
    return os.environ.get("COURSE_QUIET") == "1"


def front_end() -> str:
    """Who shows this: `"saved"` (nobody yet, see `saving`), `"terminal"`, `"colab"`, `"vscode"`,
    `"lab"`, or `"other"`.

    `"lab"` is JupyterLab, or Notebook 7, which is made of the same parts: their server says the
    notebook's name in JPY_SESSION_NAME. VS Code does so on a remote server, too, and is known by a
    variable that it puts into the kernel.

    >>> front_end() in {"saved", "terminal", "colab", "vscode", "lab", "other"}
    True
    """
    if saving():
        return "saved"
    shell = get_ipython()
    if getattr(shell, "kernel", None) is None:
        return "terminal"
    if "google.colab" in sys.modules:
        return "colab"
    if "__vsc_ipynb_file__" in shell.user_ns or "VSCODE_PID" in os.environ:
        return "vscode"
    return "lab" if "JPY_SESSION_NAME" in os.environ else "other"


def tell(text: str, data: dict[str, Any]) -> None:
    """Shows a text with what it says as data of other MIME types; without a kernel it prints the
    text alone.
    """
    if getattr(get_ipython(), "kernel", None) is None:
        say(text)
    else:
        display({"text/plain": text, **data}, raw=True)


def say(text: str) -> None:
    """Prints a text, whatever the encoding of stdout: a pipe on Windows (cp1252) and an ASCII
    terminal get words for marks.

    >>> say("✓ attention.row_sum: all checks pass.")
    ✓ attention.row_sum: all checks pass.
    """
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        mark, _, rest = text.partition(" ")
        text = f"{WORDS.get(mark, mark)} {rest}".encode(encoding, "backslashreplace").decode(
            encoding
        )
    print(text)
