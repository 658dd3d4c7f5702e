"""Half precision: which short format a device computes in, and how to train in it without losing
small gradients.

Numbers of 16 bits take half of the memory, and a GPU's matrix units multiply them several times as
fast. bfloat16 has the range of float32 with 8 bits of precision. float16 has 11 bits, but nothing
between 0 and 6e-8: small gradients become 0 unless the loss is scaled up first.
"""

from __future__ import annotations

import contextlib
from contextlib import AbstractContextManager

import torch
from torch import Tensor


def half_precision(device: torch.device | str) -> torch.dtype:
    """The number format that halves memory and time on this device; float32 where none does.

    bfloat16 where the GPU has it (NVIDIA since Ampere, 2020), float16 on Volta and Turing (V100,
    T4), which can only emulate bfloat16, slowly. Elsewhere float32.

    >>> half_precision("cpu")
    torch.float32
    """
    if torch.device(device).type != "cuda":
        return torch.float32
    if torch.cuda.is_bf16_supported(including_emulation=False):
        return torch.bfloat16
    return torch.float16 if torch.cuda.get_device_capability(device) >= (7, 0) else torch.float32


class MixedPrecision:
    """Trains in a short format: products of matrices in it, weights, sums and the optimizer in
    float32.

    Make the forward pass in `forward()`, and let `step` do the rest: in float16 the loss is scaled
    up before the backward pass, and the gradients down again before they are used; a step whose
    gradients overflow is left out, and the scale halved. In float32 nothing changes, to the bit.
    dtype: by default the device's `half_precision`. Raises: ValueError for a format of another
    kind.
    Source: Micikevicius et al. 2018, "Mixed Precision Training", section 3.

    >>> precision = MixedPrecision("cpu", torch.bfloat16)
    >>> weight = torch.ones(2, 2, requires_grad=True)
    >>> optimizer = torch.optim.SGD([weight], lr=0.5)
    >>> with precision.forward():
    ...     y = weight @ torch.ones(2)
    >>> precision.step(y.float().sum(), optimizer)
    >>> y.dtype, weight.dtype, weight.tolist()
    (torch.bfloat16, torch.float32, [[0.5, 0.5], [0.5, 0.5]])
    """

    def __init__(self, device: torch.device | str, dtype: torch.dtype | None = None) -> None:
        self.device = torch.device(device)
        self.dtype = half_precision(device) if dtype is None else dtype
        if self.dtype not in (torch.float32, torch.bfloat16, torch.float16):
            raise ValueError(
                f"{self.dtype} is no format to train in: choose float32, bfloat16 or float16"
            )
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=self.dtype == torch.float16)

    def forward(self) -> AbstractContextManager:
        """Where products of matrices are computed in the short format."""
        plain = self.dtype == torch.float32
        return contextlib.nullcontext() if plain else torch.autocast(self.device.type, self.dtype)

    def step(self, loss: Tensor, optimizer: torch.optim.Optimizer) -> None:
        """The backward pass and one update. The gradients are not cleared."""
        self.scaler.scale(loss).backward()
        self.scaler.step(optimizer)
        self.scaler.update()
