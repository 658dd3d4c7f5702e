"""Runs the tests, all of them or one notebook's, and says how long each file took.

python tools/suite.py [NB] [pytest's own options]
"""

import os
import sys
from collections import defaultdict
from pathlib import Path

import browser
import pytest
import pythons

ROOT = Path(__file__).resolve().parents[1]
WORKERS = ["-n", "2", "--dist", "loadfile"]  # a notebook's cells stay together, in order
SLOWEST = 15


class Timing:
    """Adds up the time of each test file, and prints the sums at the end."""

    def __init__(self):
        self.seconds = defaultdict(float)
        self.tests = defaultdict(int)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        file = report.nodeid.split("::")[0]
        self.seconds[file] += report.duration
        self.tests[file] += report.when == "call"

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        terminalreporter.section("time of each part")
        for file, seconds in sorted(self.seconds.items(), key=lambda item: -item[1]):
            terminalreporter.write_line(f"{seconds:7.1f} s  {self.tests[file]:4d} tests  {file}")


def main() -> int:
    options = sys.argv[1:]
    one = [options.pop(0)] if options and not options[0].startswith("-") else []
    os.chdir(ROOT)
    print(f"browser: {browser.install() or browser.MISSING}", flush=True)
    print(f"Colab is played by {pythons.describe(pythons.colab())}", flush=True)
    which = [f"--nb={name}" for name in one]
    return pytest.main(
        [*WORKERS, f"--durations={SLOWEST}", "--durations-min=1", *which, *options],
        plugins=[Timing()],
    )


if __name__ == "__main__":
    sys.exit(main())
