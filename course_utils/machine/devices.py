"""Where tensors are: the device follows the model, and what a device cannot do is done on the CPU.

A notebook chooses the device once (`classroom.runtime.device`) and puts its model there. Functions
of the course take texts, masks and batches from the CPU, bring them to the model, and draw from a
generator wherever it is.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn


def device_of(model: nn.Module | Callable) -> torch.device:
    """The device of a model's parameters; the CPU for a function, or a model without parameters.

    >>> device_of(nn.Linear(2, 2)), device_of(len)
    (device(type='cpu'), device(type='cpu'))
    """
    parameter = next(model.parameters(), None) if isinstance(model, nn.Module) else None
    return torch.device("cpu") if parameter is None else parameter.device


def synchronize(device: torch.device | str) -> None:
    """Wait until a device has done what was ordered; a CPU has no queue.

    >>> synchronize("cpu")
    """
    kind = torch.device(device).type
    if kind == "cuda":
        torch.cuda.synchronize()
    elif kind == "mps":
        torch.mps.synchronize()


def wide(x: Tensor) -> Tensor:
    """The tensor in float64; on the CPU where its device has no float64 (Apple's GPUs). Gradients
    flow through.

    >>> wide(torch.tensor([1.0])).dtype
    torch.float64
    """
    return (x.cpu() if x.device.type == "mps" else x).double()


def check_range(ids: Tensor, n: int, name: str = "an id") -> None:
    """Say that an id is not in 0 to n - 1, before it reaches a table: on a GPU a wrong one kills
    the whole process.

    It waits for the device where the ids are on one; it does nothing where that is forbidden, while
    a CUDA graph is captured or torch.compile traces. Raises: ValueError.

    >>> check_range(torch.tensor([3]), 3)
    Traceback (most recent call last):
    ValueError: an id is not in 0 to 2: encode with the tokenizer that vocab_size was taken from
    """
    if torch.compiler.is_compiling() or (
        ids.device.type == "cuda" and torch.cuda.is_current_stream_capturing()
    ):
        return
    if ids.numel() and bool(((ids < 0) | (ids >= n)).any()):
        raise ValueError(
            f"{name} is not in 0 to {n - 1}: encode with the tokenizer that vocab_size was taken from"
        )
