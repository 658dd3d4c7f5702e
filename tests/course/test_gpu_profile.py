"""The gpu profile's branches, run small: no GPU is needed, and it says what it measured, not what
another size gives.

A lesson's cells run with COURSE_PROFILE=gpu while `pick` takes smaller sizes than the gpu
profile's: those of TRIALS where there is one, and the cpu profile's elsewhere. At its full size it
runs only where there is a GPU.
"""

import os
import re

import common
import nbformat
import pytest
import scope
from pairs import from_source

from conftest import NO_NETWORK, ROOT

# What the gpu profile takes -> what a trial takes. Sizes are other ones than the cpu profile's, so
# that its texts show.
TRIALS = {
    "04": [],
    "06": [
        ((400, 30), (200, 15)),
        (30, 8),
        ((10_000, 1024), (800, 128)),
        (10_000, 800),
        (1024, 128),
    ],
    "07": [
        ({}, dict(n_layer=2, n_head=3, n_embd=192, n_positions=256)),
        ((16, 30), (4, 45)),
        (16, 4),
        (5, 2),
        (20, 30),
    ],
    "08": [],
    "09": [],
    "10": [],
    **dict.fromkeys(
        ("18", "19", "20", "21"),
        [(100, 14), (50, 22), (["recorded", "ours"], ["recorded", "ours"])],
    ),
}
TIMEOUT = 900  # seconds a cell, on a busy machine
SHRINK = """
def shrink(sizes):
    import course_utils.classroom as classroom

    def pick(*, cpu, gpu):
        default = gpu if isinstance(gpu, bool) else cpu
        return next((small for large, small in sizes if type(large) is type(gpu) and large == gpu), default)

    classroom.pick = classroom.runtime.pick = pick

shrink({sizes!r})
"""
DEVICE = """
from second_device import play
play("cuda", reads=True)
"""


def trial(number, device=False):
    """The notebook with the outputs of such a run. Raises Problem where a cell fails."""
    (source,) = common.sources([number])
    nb = from_source(source)
    cells = [DEVICE * device, SHRINK.format(sizes=TRIALS[number])]
    nb.cells[:0] = [nbformat.v4.new_code_cell(cell) for cell in cells]
    path = os.pathsep.join(str(folder) for folder in (NO_NETWORK, ROOT / "tests", ROOT))
    env = {**common.FIXED, "COURSE_PROFILE": "gpu", "PYTHONPATH": path}
    common.execute(nb, source.stem, source.parent.parent, env, TIMEOUT)
    return nb


def verdicts(nb):
    """Each printed statement that ends in True or False: statement -> verdict."""
    found = {}
    for output in (output for cell in nb.cells for output in cell.get("outputs", [])):
        if output.output_type == "stream":
            found |= {
                m[1]: m[2]
                for m in re.finditer(r"(?m)^\s*(.+?):? +((?:(?:True|False)\s*)+)$", output.text)
            }
    return found


def contradicted(nb, saved):
    """What the text of the lesson, written to the saved outputs, calls true and this run false, or
    the other way round.
    """
    mine = verdicts(nb)
    theirs = verdicts(saved)
    return {
        said: mine[said]
        for said in mine
        if theirs.get(said, mine[said]).split() != mine[said].split()
    }


FULL = pytest.mark.skipif(not scope.FULL, reason="minutes for each lesson; FULL=1 runs it")


@FULL
@pytest.mark.parametrize("number", TRIALS)
def test_a_gpu_profile_ends_and_says_nothing_that_its_text_denies(number):
    nb = trial(number)
    saved = common.read(common.pair_of(common.sources([number])[0]))
    assert contradicted(nb, saved) == {}


@FULL
def test_the_branches_for_cuda_of_the_lesson_on_gpus_run():
    from second_device import NoCompiler, library

    try:
        library()
    except NoCompiler as reason:
        pytest.skip(str(reason))
    nb = trial("04", device=True)
    text = "".join(
        output.get("text", "") for cell in nb.cells for output in cell.get("outputs", [])
    )
    assert "No CUDA device here" not in text
    predicted, counted = map(
        float, re.search(r"4 × 128: predicted ([\d.]+) GiB, counted ([\d.]+)", text).groups()
    )
    assert counted == pytest.approx(predicted, abs=0.011)  # two digits are printed


@pytest.mark.parametrize(
    ("now", "faults"),
    [
        ("it holds: True", {}),
        ("it holds: False", {"it holds": "False"}),
        ("another thing: False", {}),
        ("two: True False", {"two": "True False"}),
    ],
)
def test_a_contradiction_is_noticed(now, faults):
    def notebook(text):
        return common.NotebookNode(
            cells=[{"cell_type": "code", "outputs": [{"output_type": "stream", "text": text}]}]
        )

    nb, saved = (
        nbformat.from_dict(notebook(text)) for text in (now, "it holds: True\ntwo: True True\n")
    )
    assert contradicted(nb, saved) == faults
