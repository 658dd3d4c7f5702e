"""A second device for machines without one: compiled from second_device.cpp, played as a CUDA card,
a T4 or an Apple.

    from second_device import play
    play("cuda", memory=2**30, noise=True)      # this process now has torch.device("second")

With `play(..., reads=True)`, which must come before `course_utils` is imported, the course's
modules and the cells of a notebook read "cuda" (or "mps") as the device's name and `torch.cuda` as
its module, so the branches for a GPU run. What a card refuses is in torch's own list of operators,
which every torch ships (torchgen).
"""

import hashlib
import os
import shutil
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

HERE = Path(__file__).resolve().parent
SOURCE = HERE / "second_device.cpp"
CACHE = HERE.parents[1] / ".cache"
NAME = "second"
GIB = 2**30


class NoCompiler(RuntimeError):
    """There is no C++ compiler here, so there is no second device; a test that needs it skips."""


@dataclass(frozen=True)
class Card:
    """What the device is like: name is the vendor's in error messages, `reads` the torch module
    that it stands for.
    """

    name: str = "CUDA"
    reads: str = "cuda"
    memory: int = 0  # bytes; 0 is as many as the host has
    float64: bool = True
    bfloat16: bool = True
    capability: tuple[int, int] = (8, 0)


CARDS = {
    "cuda": Card(),
    "t4": Card(memory=15 * GIB, bfloat16=False, capability=(7, 5)),
    "apple": Card("MPS", "mps", float64=False),
}
# Operators whose last bit depends on the order of a sum or on the library behind a function; +, -,
# ×, /, √ and what only moves numbers are the same on every device.
INEXACT = {
    *"sum mean var var_mean std std_mean prod norm linalg_vector_norm logsumexp cumsum cumprod logcumsumexp".split(),
    *"mm bmm addmm addbmm baddbmm addmv mv dot vdot addr linear convolution cdist _cdist_forward".split(),
    *"_softmax _log_softmax _softmax_backward_data _log_softmax_backward_data nll_loss_forward nll_loss_backward".split(),
    *"native_layer_norm native_layer_norm_backward mse_loss binary_cross_entropy binary_cross_entropy_with_logits".split(),
    *"exp exp2 expm1 log log2 log10 log1p pow tanh tanh_backward sigmoid sigmoid_backward log_sigmoid_forward".split(),
    *"gelu gelu_backward silu silu_backward softplus erf erfc erfinv sin cos tan atan atan2 rsqrt logit".split(),
    *"embedding_dense_backward index_add scatter_add linalg_qr linalg_eigh _linalg_eigh _linalg_svd _fused_adamw_ _fused_adam_".split(),
    *"_fft_r2c _fft_c2r _fft_c2c lerp addcmul addcdiv xlogy".split(),
    *"layer_norm softmax log_softmax cross_entropy_loss matmul einsum scaled_dot_product_attention nanmean logsigmoid".split(),
    *"kl_div logaddexp nll_loss nll_loss_nd log_sigmoid inner outer tensordot bilinear linalg_norm norm_except_dim".split(),
    *"fft_fft fft_ifft fft_fft2 fft_ifft2 fft_rfft fft_irfft nuclear_norm linalg_svd linalg_inv linalg_matrix_norm svd".split(),
}  # fmt: skip
# torch runs these on the CPU by itself, with a warning
FALL_BACK = {"MPS": ("_linalg_svd", "_linalg_svd.U")}


def library() -> Path:
    """The compiled backend, for this source, this torch and this compiler. Raises NoCompiler where
    there is none.
    """
    import torch
    from filelock import FileLock

    compiler = os.environ.get("CXX") or shutil.which("g++") or shutil.which("clang++")
    if not compiler or not shutil.which(compiler.split()[0]):
        raise NoCompiler(
            "no C++ compiler (g++ or clang++) here, so the second device cannot be built"
        )
    version = subprocess.run(
        [*compiler.split(), "--version"], capture_output=True, text=True
    ).stdout.splitlines()[:1]
    home = Path(torch.__file__).parent
    flags = [
        "-std=c++17",
        "-O1",
        "-fPIC",
        "-shared",
        "-w",
        f"-D_GLIBCXX_USE_CXX11_ABI={int(torch._C._GLIBCXX_USE_CXX11_ABI)}",
    ]
    key = repr([SOURCE.read_text(encoding="utf-8"), torch.__version__, str(home), version, flags])
    built = CACHE / f"second-device-{hashlib.sha256(key.encode()).hexdigest()[:12]}.so"
    CACHE.mkdir(exist_ok=True)
    with FileLock(f"{built}.lock"):  # several workers may come here at once
        if not built.exists():
            part = built.with_suffix(".part")
            paths = [
                f"-I{home / 'include'}",
                f"-I{home / 'include/torch/csrc/api/include'}",
                f"-L{home / 'lib'}",
            ]
            command = [
                *compiler.split(),
                *flags,
                *paths,
                str(SOURCE),
                "-o",
                str(part),
                "-ltorch_cpu",
                "-lc10",
            ]
            run = subprocess.run(command, capture_output=True, text=True)
            if run.returncode:
                raise RuntimeError(f"the second device does not compile:\n{run.stderr[-4000:]}")
            part.replace(built)
    return built


def play(
    card: str = "cuda",
    *,
    memory: int | None = None,
    noise: bool = False,
    seed: int = 0,
    reads: bool = False,
    cpu_sizes: bool = False,
) -> Card:
    """Give this process the second device, playing this card; may be called again for another one.

    memory: bytes it has. noise: results of sums, products and functions differ in the last bit,
    decided by `seed`, on the device and, in this thread, on the CPU as well: as on another
    processor.
    reads: see above. cpu_sizes: the runtime says profile "cpu" and yet picks the device: small runs
    on a card.
    """
    import torch

    played = CARDS[card] if memory is None else replace(CARDS[card], memory=memory)
    _load()
    operators = torch.ops.second_device
    operators.set_operators(*_operators(played.name))
    operators.configure(played.name, played.memory, played.float64, played.bfloat16, noise, seed)
    operators.reset()
    _module().card = played
    if reads:
        from second_device import reading

        reading.install(played.reads, NAME, cpu_sizes)
    return played


@contextmanager
def memory_left(size: int):
    """Inside of `with`, the card that is played has so many bytes left."""
    import torch

    operators = torch.ops.second_device
    card = _module().card
    operators.configure(
        card.name, operators.counts()[0] + size, card.float64, card.bfloat16, False, 0
    )
    try:
        yield
    finally:
        operators.configure(card.name, card.memory, card.float64, card.bfloat16, False, 0)


@cache
def _load() -> None:
    import torch

    torch.ops.load_library(str(library()))
    torch.utils.rename_privateuse1_backend(NAME)
    torch._register_device_module(NAME, _module())


@cache
def _module():
    from second_device import module

    return sys.modules[module.__name__]


@cache
def _operators(card: str) -> tuple[list[str], list[str], list[str]]:
    """From torch's list: the operators that this card has no kernel for, those that may mix
    devices, those that round.
    """
    import torchgen
    import yaml

    path = Path(torchgen.__file__).parent / "packaged/ATen/native/native_functions.yaml"
    entries = yaml.load(
        path.read_text(encoding="utf-8"), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    )
    by_name = {entry["func"].partition("(")[0]: entry for entry in entries}

    def kernels(name: str) -> set[str]:
        entry = by_name[name]
        if "structured_delegate" in entry:
            return kernels(entry["structured_delegate"])
        keys = {
            key.strip()
            for keys in entry.get("dispatch", {"Composite": ""})
            for key in keys.split(",")
        }
        return keys | ({"CPU", "CUDA"} if "ufunc_inner_loop" in entry else set())

    def served(keys: set[str]) -> bool:
        return card in keys or "CPU" not in keys or any(key.startswith("Composite") for key in keys)

    refused = [
        f"aten::{name}"
        for name in by_name
        if name not in FALL_BACK.get(card, ()) and not served(kernels(name))
    ]
    mixed = [
        f"aten::{name}" for name, entry in by_name.items() if entry.get("device_check") == "NoCheck"
    ]
    return refused, mixed, sorted(INEXACT)
