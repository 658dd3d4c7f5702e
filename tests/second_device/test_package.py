"""Everything in the package that takes or makes tensors runs on the second device and gives what
the CPU gives.

The calls are in cases.py. A new public function that no case calls with something on the device
fails here by its name.
"""

import ast

import pytest

from second_device import HERE
from second_device.processes import report_of

# the docstrings say that they take float64, which Apple's GPUs do not hold
FLOAT64_BY_DEFINITION = ("regression",)
SKIPPED = ("dice", "noise", "tiny", "ids", "talker")  # what cases are made of
CASES = [
    node.name
    for node in ast.parse((HERE / "cases.py").read_text(encoding="utf-8")).body
    if isinstance(node, ast.FunctionDef) and node.name not in SKIPPED
]


@pytest.fixture(scope="module")
def report():
    return report_of("walk")


@pytest.mark.parametrize("case", CASES)
def test_it_runs_on_the_second_device(case, report):
    assert report["cases"][case] == ""


@pytest.mark.parametrize("case", [case for case in CASES if case not in FLOAT64_BY_DEFINITION])
def test_it_runs_by_apples_rules(case):
    """No float64, and no operator without a kernel for MPS."""
    assert report_of("walk", "--card=apple")["cases"][case] == ""


def test_every_public_function_that_handles_tensors_is_called_on_the_device(report):
    assert report["missing"] == [], "add a call with small inputs to tests/second_device/cases.py"
    assert report["handles"] > 200 and report["stale"] == []


def test_what_handles_tensors_is_found_by_its_source():
    import torch

    from course_utils.instruction_tuning import chat
    from course_utils.sampling import decoding as sampling
    from second_device import walk

    assert walk.handles_tensors(sampling.top_k) and not walk.handles_tensors(chat.split_words)
    reached = walk.Reached({"top_k": sampling.top_k})
    assert walk.parts(sampling)["generate"].__name__ == "generate"
    kinds = set()
    walk._devices({"a": [torch.ones(1), torch.nn.Linear(1, 1)]}, kinds)
    assert kinds == {"cpu"} and reached.seen == set()


@pytest.mark.parametrize(
    ("a", "b", "found"),
    [
        (1.0, 1.00001, 0),
        (1.0, 1.1, 1),
        ([1, "a"], [1, "b"], 1),
        ({"x": 1}, {"x": 1}, 0),
        ([1], [1, 2], 1),
    ],
)
def test_a_difference_is_noticed(a, b, found):
    from second_device import walk

    assert len(walk.differences(a, b)) == found
