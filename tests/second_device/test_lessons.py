"""Lessons run on the second device, with the sizes of the cpu profile: no cell fails, and every
assertion in a cell holds.

In CI those that a change touches; all with FULL=1, and then once more with noise in the last bit,
as another machine computes.
"""

import pytest
import scope
from common import source_of

from second_device import lessons
from second_device.processes import built

# Those that train or that choose a device. 04, 06 and 18 to 22 take minutes each, so they run with
# FULL=1 only.
IN_CI = ("03", "05", "07", "11", "12", "14", "15", "16", "17")


def on_the_device(notebook, noise=False):
    built()
    if not scope.FULL and notebook.stem[:2] not in IN_CI:
        pytest.skip("this lesson runs on the second device with FULL=1")
    source = source_of(notebook)
    outcome = lessons.run(source, noise=noise)
    assert outcome.failed == []
    assert outcome.launched > 0 or "device()" not in source.read_text(encoding="utf-8"), (
        "the lesson chooses a device and never used it: nothing was tested"
    )


def test_a_lesson_runs_on_the_second_device(due):
    on_the_device(due)


@pytest.mark.skipif(not scope.FULL, reason="FULL=1 runs the lessons with noise in the last bit")
def test_a_lesson_holds_with_noise_in_the_last_bit(due):
    on_the_device(due, noise=True)
