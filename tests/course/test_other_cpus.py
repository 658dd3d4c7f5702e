"""The lessons give the same outputs on other processors: with fewer instructions, and with other
rounding.

CI plays one such processor (AVX2 at most, and other rounding) for the lessons that are due; FULL=1
plays four for all. What a cell prints or asserts must not hang on the last digit: what a model
draws or learns is stored, or judged with a margin. tests/rounding.py says how rounding is played.
"""

import os
import platform
import re
import subprocess
import sys

import pytest
import rounding
import scope
import torch
from common import execute
from nbformat.v4 import new_code_cell, new_notebook

from conftest import ROOT

AVX2 = {
    "ATEN_CPU_CAPABILITY": "avx2",
    "MKL_ENABLE_INSTRUCTIONS": "AVX2",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
}
PLAIN = {"ATEN_CPU_CAPABILITY": "default", "MKL_CBWR": "COMPATIBLE", "ONEDNN_MAX_CPU_ISA": "SSE41"}
X86 = platform.machine().lower() in ("x86_64", "amd64")
HAS = torch.backends.cpu.get_cpu_capability()  # "AVX512", "AVX2", or another name
# name: variables of the processor, seed of its rounding (None: this machine's own)
PROCESSORS = {
    "AVX2 and other rounding": (AVX2 if X86 and HAS == "AVX512" else {}, 1),
    "AVX2": (AVX2, None),
    "no vector instructions": (PLAIN, None),
    "other rounding": ({}, 2),
}
# what it counts would hold the tensors that play other rounding, too: the instructions alone are
# played
COUNTS_BYTES = ("08_model_budget",)
PLAYED = PROCESSORS if scope.FULL else list(PROCESSORS)[:1]
DIGITS = "import torch\nx = torch.arange(1.0, 3001.0).sin().view(30, 100)\nprint((x @ x.T).double().sum().item(), x.exp().softmax(-1).double().square().sum().item())"


def can_be_played(name):
    """Skips where this machine is no processor that can do with less."""
    variables, _ = PROCESSORS[name]
    if not variables:
        return
    if not X86:
        pytest.skip(
            f"{platform.machine()} is no x86 processor: only other rounding can be played here"
        )
    if variables is AVX2 and HAS != "AVX512":
        pytest.skip(
            f"torch uses {HAS} on this processor: with AVX2 at most it would do the same, or cannot"
        )


def environment(name, folder, rounds=True):
    """What a kernel finds around it on this processor; rounding comes by a start-up file of IPython
    in `folder`.
    """
    variables, seed = PROCESSORS[name]
    if rounds and seed is not None:
        startup = folder / "profile_default" / "startup" / "00-rounding.py"
        startup.parent.mkdir(parents=True)
        startup.write_text(
            f"import sys\nsys.path.append({str(ROOT / 'tests')!r})\nimport rounding\nrounding.disturb({seed})\ndel rounding, sys\n"
        )
        variables = {**variables, "IPYTHONDIR": str(folder)}
    return variables


@pytest.mark.parametrize("name", PLAYED)
def test_a_lesson_gives_its_saved_outputs_on_another_processor(due, name, tmp_path):
    can_be_played(name)
    env = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST_")}
    options = "-q -p no:cacheprovider -p no:xdist --nbval-cell-timeout=900".split()
    command = [sys.executable, "-m", "pytest", *options, str(due)]
    run = subprocess.run(
        command,
        cwd=ROOT,
        env=env | environment(name, tmp_path, rounds=due.stem not in COUNTS_BYTES),
        capture_output=True,
        text=True,
    )
    print(run.stdout)
    failed = re.findall(r"^FAILED \S+?::(.+?) - ", run.stdout, flags=re.MULTILINE)
    assert run.returncode == 0, (
        f"{due.stem} on a processor with {name}: {', '.join(failed) or run.stdout[-500:] + run.stderr[-500:]}"
    )


# --- The playing itself ---------------------------------------------------------------------------


def digits(env):
    """What a notebook prints that shows all digits of two sums."""
    nb = new_notebook(
        cells=[new_code_cell(DIGITS)],
        metadata={"kernelspec": {"name": "python3", "display_name": "", "language": "python"}},
    )
    execute(nb, "digits", ROOT, env)
    return nb.cells[0].outputs[0].text


@pytest.mark.parametrize("name", PROCESSORS)
def test_a_processor_that_is_played_computes_other_last_digits_and_no_others(name, tmp_path):
    can_be_played(name)
    here = digits({})
    there = digits(environment(name, tmp_path))
    assert here != there
    assert [float(x) for x in there.split()] == pytest.approx(
        [float(x) for x in here.split()], rel=1e-5
    )


def test_rounding_moves_the_last_digits_only_and_the_same_number_always_alike():
    x = torch.randn(1000, generator=torch.Generator().manual_seed(0)).requires_grad_()
    y = rounding.moved(x, 1)
    places = (y - x).abs() / torch.finfo(torch.float32).eps / x.abs()
    assert 1 < places.max() <= rounding.PLACES and (places > 0).float().mean() > 0.8
    assert torch.equal(y, rounding.moved(x, 1)) and not torch.equal(y, rounding.moved(x, 2))
    y.square().sum().backward()
    torch.testing.assert_close(x.grad, 2 * x.detach())


def test_rounding_leaves_alone_what_is_no_rounded_number():
    special = torch.tensor([0.0, -0.0, torch.inf, -torch.inf, torch.nan])
    assert torch.equal(rounding.moved(special, 1).nan_to_num(7), special.nan_to_num(7))
    for x in (torch.ones(3, dtype=torch.float64), torch.arange(3), None):
        assert rounding.moved(x, 1) is x
