"""Every lesson survives Stop anywhere, every cell twice in a row and, with FULL=1, every cell again
after the last one.
"""

import pytest
import twice
from common import dumps, source_of
from pairs import from_source
from scope import FULL

HEADER = "# ---\n# jupyter:\n#   kernelspec:\n#     display_name: Python 3 (ipykernel)\n#     language: python\n#     name: python3\n# ---\n\n"


def test_cells_can_be_stopped_and_run_twice(due):
    stopped, found = twice.twice(source_of(due))
    assert found == []
    assert stopped, "no cell takes long enough to be stopped: then this test shows nothing"


@pytest.mark.skipif(not FULL, reason="FULL=1 runs all cells again after the last one")
def test_all_cells_can_run_again_after_the_last_one(due):
    assert twice.again(source_of(due)) == []


# --- It fails where it should ---------------------------------------------------------------------

# only the first time, so that it is stopped in here
WAIT = "if not waited:\n    waited = True\n    time.sleep(300)"
# (the cells, what is said of the last one)
SPOILED = [
    (["x = 1", "print(x)\ndel x"], "the second time: NameError: name 'x' is not defined"),
    (["loss = torch.ones(1, requires_grad=True).exp()", "loss.backward()"], "the second time: RuntimeError: Trying to backward"),
    (["total = 1", "total += 1\nprint(total)"], "the second time, shows something else: 'stdout: 2' → 'stdout: 3'"),
    (["r = random.Random(1)", "assert r.random() < 0.5"], "the second time: AssertionError"),
    (["waited = False", f"off = torch.set_grad_enabled(False)\n{WAIT}\non = torch.set_grad_enabled(True)"],
     "when it was stopped: gradients are on was True, is False"),
    (["waited, model = False, torch.nn.Linear(1, 1)", f"model = model.eval()\n{WAIT}\nmodel = model.train()"], "modes was [True], is [False]"),
    (["waited = False", f"handle = model.register_forward_hook(print)\n{WAIT}\nhandle.remove()"], "hooks was 0, is 1"),
    (["waited = False", f"{WAIT}\nelse:\n    1 / 0"], "after it was stopped: ZeroDivisionError"),
    # as torch.optim.Adam(…) loads some 300, for seconds: where in them Stop would arrive no test
    # can know
    (["model = torch.nn.Linear(1, 1)", "sys.modules.update({f'torch.toy{n}': sys for n in range(30)})"], "loads 30 modules of torch while it works"),
]  # fmt: skip
FINE = [
    (["y = 1", "y = 2\nprint(y)\ndel y"], "y"),
    (
        ["waited = False", f"with torch.no_grad():\n    {WAIT.replace(chr(10), chr(10) + '    ')}"],
        "waited",
    ),
]


def written(folder, cells):
    """A source of these cells, and its saved notebook, which was never run."""
    source = folder / "src" / "00_toy.py"
    source.parent.mkdir()
    source.write_text(
        HEADER + "\n\n".join(f"# %%\n{cell}" for cell in cells) + "\n", encoding="utf-8"
    )
    (folder / "00_toy.ipynb").write_text(dumps(from_source(source)), encoding="utf-8")
    return source


def numbered(cases, offset):
    return [(offset + 2 * n + 1, text) for n, (_, text) in enumerate(cases)]


def test_what_is_spoiled_is_found_and_nothing_else(tmp_path):
    cells = [
        "import random, sys, time, torch",
        *(cell for case, _ in SPOILED + FINE for cell in case),
    ]
    stopped, found = twice.twice(written(tmp_path, cells))
    expected = numbered(SPOILED, 1)
    assert stopped == 5
    for number, text in expected:
        assert [line for line in found if line.startswith(f"cell {number}, ") and text in line], (
            number,
            text,
            found,
        )
    assert {int(line.split(",")[0].split()[1]) for line in found} == {
        number for number, _ in expected
    }, found


def test_what_is_spoiled_only_after_the_end_is_found(tmp_path):
    source = written(tmp_path, ["n = 1", "print(max(n, 2))", "n = max(n, 3)", "max = 3"])
    assert twice.again(source) == [
        f"cell {n}, again after the end: TypeError: 'int' object is not callable" for n in (1, 2)
    ]
