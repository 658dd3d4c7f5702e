"""The browser for the tests: a Chromium or Chrome that is there already, or one from the system's
packages.

    python tools/browser.py              say which one is used
    python tools/browser.py --install    install one where that is possible, say plainly where it is not
"""

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

NAMES = (
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "chrome",
    "msedge",
)
PLACES = (
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome", "/Applications/Chromium.app/Contents/MacOS/Chromium",
    r"C:\Program Files\Google\Chrome\Application\chrome.exe", r"C:\Program Files (x86)\Microsoft\Edge\Application\msedge.exe",
)  # fmt: skip
# How the tests start it: as root in a container, without a GPU, without calls home.
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--no-first-run",
]
MISSING = "there is no browser: the browser tests are skipped. Install one (`apt install chromium`, or `playwright install chromium`), or set COURSE_BROWSER to its path."


def find() -> str | None:
    """The path of a browser: COURSE_BROWSER, else one on the PATH, in its usual place, or
    Playwright's own; None without one.
    """
    if chosen := os.environ.get("COURSE_BROWSER"):
        return chosen if Path(chosen).is_file() else None
    found = next(filter(None, map(shutil.which, NAMES)), None) or next(
        (place for place in PLACES if Path(place).is_file()), None
    )
    return found or _playwrights_own()


def _playwrights_own() -> str | None:
    cache = {"darwin": "~/Library/Caches", "win32": "~/AppData/Local"}.get(sys.platform, "~/.cache")
    kept = Path(os.environ.get("PLAYWRIGHT_BROWSERS_PATH", f"{cache}/ms-playwright")).expanduser()
    names = ("chrome", "chrome.exe", "Chromium")
    found = sorted(
        p
        for name in names
        for p in kept.glob(f"chromium-*/*/**/{name}")
        if p.is_file() and os.access(p, os.X_OK)
    )
    return str(found[-1]) if found else None


def install() -> str | None:
    """Finds a browser, or installs Debian's; its path, or None where neither is possible."""
    root = hasattr(os, "geteuid") and os.geteuid() == 0
    if find() is None and root and shutil.which("apt-get"):
        print("installing Chromium for the browser tests: a minute", flush=True)
        quiet = {
            "env": {**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
            "stdout": subprocess.DEVNULL,
        }
        if subprocess.call(
            ["apt-get", "install", "-y", "--no-install-recommends", "chromium"], **quiet
        ):
            # the list of packages may be old, or not there yet
            subprocess.call(["apt-get", "update"], **quiet)
            subprocess.call(
                ["apt-get", "install", "-y", "--no-install-recommends", "chromium"], **quiet
            )
    return find()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--install", action="store_true")
    path = install() if parser.parse_args().install else find()
    print(f"browser for the tests: {path}" if path else MISSING)


if __name__ == "__main__":
    main()
