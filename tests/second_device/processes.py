"""Runs a part of this folder in a process of its own: a process that has the second device keeps
it.
"""

import json
import os
import subprocess
import sys
from functools import cache

import pytest

from second_device import CACHE, HERE, NoCompiler, library

TESTS = HERE.parent


def built() -> None:
    """Skip the test where the second device cannot be built here."""
    try:
        library()
    except NoCompiler as reason:
        pytest.skip(str(reason))


@cache
def _run(part: str, *arguments: str) -> dict:
    paths = [
        str(TESTS.parent),
        str(TESTS),
        str(TESTS.parent / "tools"),
        os.environ.get("PYTHONPATH", ""),
    ]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths)), "COURSE_QUIET": "1"}
    command = [sys.executable, "-m", f"second_device.{part}", *arguments]
    run = subprocess.run(
        command, env=env, capture_output=True, text=True, timeout=900, cwd=CACHE.parent
    )
    assert run.returncode == 0, run.stderr[-4000:]
    return json.loads(run.stdout)


def report_of(part: str, *arguments: str) -> dict:
    """What `python -m second_device.PART` printed, as JSON; once for all tests. Skips where there
    is no compiler.
    """
    built()
    return _run(part, *arguments)
