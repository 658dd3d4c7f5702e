"""Opens JupyterLab on notebooks/: in a browser where there is a screen, else by printing the
address to open.

    python tools/lab.py [PORT]
"""

import os
import sys

from common import NOTEBOOKS, Problem, command


def arguments(port: str, headless: bool, root: bool) -> list[str]:
    """JupyterLab's command line. Raises Problem for something that is no port."""
    if port and not (port.isdigit() and 0 < int(port) < 65536):
        raise Problem(
            f"PORT={port} is no port; give a number from 1 to 65535, e.g. make lab PORT=8888."
        )
    # a port that was asked for is that one, or an error
    chosen = [f"--port={port}", "--ServerApp.port_retries=0"] if port else []
    return [
        sys.executable, "-m", "jupyterlab", f"--ServerApp.root_dir={NOTEBOOKS}", *chosen,
        *(["--no-browser"] if headless else []), *(["--allow-root"] if root else []),
    ]  # fmt: skip


def main() -> None:
    headless = sys.platform == "linux" and not (
        os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    )
    root = hasattr(os, "geteuid") and os.geteuid() == 0
    line = arguments(sys.argv[1] if len(sys.argv) > 1 else "", headless, root)
    sys.stdout.flush()
    os.execv(line[0], line)


if __name__ == "__main__":
    command(main)
