"""On a machine five times slower the references pass their checks, and a lesson its cells: the
clock decides nothing.

The machine is played: a process that stands still for four fifths of the time, with the plainest of
torch's kernels.
"""

import dataclasses
import os
import subprocess
import sys
import time

import common
import pytest
import twice
from cells import code_cells
from common import ROOT, patience, source_of
from kernels import Kernel
from pairs import from_source
from scope import FULL
from slowing import Slowed

from course_utils.checking.limits import CPU_LIMIT, run_limited
from course_utils.exercises import catalog

FACTOR = 5
PLAIN = {"ATEN_CPU_CAPABILITY": "default"}
SAYS_WHEN = """
import dataclasses, sys
from course_utils.exercises import catalog
names = catalog.names()
print("ready", flush=True)
sys.stdin.readline()
for name in names:
    exercise = catalog.find(name)
    exercise = dataclasses.replace(exercise, time_limit=exercise.time_limit / 10)
    result = exercise.grade(exercise.reference)
    print(result.passed, name, result, flush=True)
"""


def test_every_reference_passes_within_a_tenth_of_its_limit_on_a_slow_machine():
    env = {**os.environ, **PLAIN, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        [sys.executable, "-c", SAYS_WHEN],
        cwd=ROOT,
        env=env,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout.readline() == "ready\n"  # the imports are over
        with Slowed(process.pid, FACTOR) as slowed:
            said = process.communicate("go\n", timeout=patience(600))[0].splitlines()
    assert slowed.turns > 5  # it was slow indeed
    assert [line for line in said if not line.startswith("True ")] == []
    assert len(said) == len(catalog.names()) and catalog.names()


def test_a_limit_counts_the_work_and_not_the_clock():
    """A thread that stands still while the clock goes on, and one that works while it hardly
    does.
    """
    assert run_limited(lambda: time.sleep(1), cpu=0.2).passed is None
    assert run_limited(lambda: [None for _ in iter(int, 1)], cpu=0.2).passed == "cpu"


@pytest.mark.parametrize("name", catalog.names())
def test_no_exercise_has_a_limit_of_its_own_below_the_usual(name):
    limits = {
        field.name: getattr(catalog.find(name), field.name)
        for field in dataclasses.fields(catalog.find(name))
        if field.name.endswith("_limit")
    }
    assert limits == {"time_limit": CPU_LIMIT, "wall_limit": 60.0}


def test_a_lesson_passes_on_a_slow_machine(notebook, request):
    """No cell fails, and what nbval compares is what is saved. The cheapest lesson, others with
    FULL=1 or --nb=NN.
    """
    if not (FULL or request.config.getoption("--nb") or notebook.stem.startswith("01")):
        pytest.skip("FULL=1 runs every lesson on a slow machine")
    cells = code_cells(from_source(source_of(notebook)))
    saved = code_cells(common.read(notebook))
    found = []
    with Kernel(notebook.parent) as kernel, Slowed(kernel.pid, FACTOR) as slowed:
        for n, cell in enumerate(cells):
            same = n < len(saved) and saved[n].source == cell.source
            expected = twice.shown(saved[n].outputs) if same else None
            found += twice.judged(n, cell, kernel.run(cell.source), expected, "on a slow machine")
    assert found == [] and slowed.turns > 5
