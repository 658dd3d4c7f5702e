"""How much memory a computation really takes: the bytes of all tensors that live at one time.

A GPU's allocator keeps that count itself. On a CPU it is kept here: each operator's results are
noted, and forgotten when nobody holds them any more.
"""

import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

R = TypeVar("R")


class LiveBytes(TorchDispatchMode):
    """Counts, while it is on, the bytes of the tensors that operators make: `now` and, at most so
    far, `peak`.

    Views share their memory and count once; what lives inside of one operator is not seen.

    >>> with LiveBytes() as live:
    ...     x = torch.ones(1000)  # 4 bytes each
    ...     y = (x + 1) * 2  # x, the sum and the product live at once; the sum is then dropped
    >>> live.now, live.peak
    (8000, 12000)
    """

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0
        self._known: set[int] = set()

    def add(self, tensor: Tensor) -> None:
        """Count a tensor's memory for as long as it lives."""
        storage = tensor.untyped_storage()
        key = storage._cdata
        size = storage.nbytes()
        if key in self._known:
            return
        self._known.add(key)
        self.now += size
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self._forget, key, size)

    def _forget(self, key: int, size: int) -> None:
        self._known.discard(key)
        self.now -= size

    def __torch_dispatch__(self, operator, types, args=(), kwargs=None):
        results = operator(*args, **(kwargs or {}))
        for x in tree_leaves(results):
            if isinstance(x, Tensor):
                self.add(x)
        return results


def peak_bytes(
    work: Callable[[], object], *, held: list[Tensor], device: torch.device | str = "cpu"
) -> int:
    """The most bytes that are in use at one time during `work()`, the tensors `held` among them.

    On CUDA the allocator counts, and what is there besides is taken off.

    >>> x = torch.ones(1000)
    >>> peak_bytes(lambda: x + 1, held=[x])
    8000
    """
    device = torch.device(device)
    if device.type == "cuda":
        here = [x.untyped_storage() for x in held if x.device.type == device.type]
        own = sum({storage.data_ptr(): storage.nbytes() for storage in here}.values())
        others = torch.cuda.memory_allocated(device) - own
        torch.cuda.reset_peak_memory_stats(device)
        work()
        return torch.cuda.max_memory_allocated(device) - others
    live = LiveBytes()
    for x in held:
        live.add(x)
    with live:
        work()
    return live.peak


# --- When it does not fit -------------------------------------------------------------------------


def is_out_of_memory(error: BaseException) -> bool:
    """Whether this error says that memory ran out, of a GPU or of the CPU.

    >>> (
    ...     is_out_of_memory(RuntimeError("MPS backend out of memory (allocated 8 GiB)")),
    ...     is_out_of_memory(ValueError()),
    ... )
    (True, False)
    """
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    if not isinstance(error, RuntimeError):
        return False
    try:
        said = str(error).lower()
    except Exception:  # a class of somebody's own may have no words
        return False
    return "out of memory" in said or "can't allocate memory" in said


def if_it_fits(work: Callable[[], R]) -> R | None:
    """What `work()` returns, or None where memory runs out; what it had taken is then given back.

    >>> if_it_fits(lambda: 3 * 4)
    12
    >>> if_it_fits(lambda: torch.zeros(2**60, dtype=torch.uint8)) is None  # an exbibyte
    True
    """
    try:
        return work()
    except Exception as error:
        if not is_out_of_memory(error):
            raise
    if torch.cuda.is_available():  # only now: the error itself held what was taken
        torch.cuda.empty_cache()
    return None


@contextmanager
def enough_memory(what: str) -> Iterator[None]:
    """Makes of running out of memory a sentence that says what to do: MemoryError, where `what` is
    its subject.

    >>> with enough_memory("This table"):
    ...     torch.zeros(2**60, dtype=torch.uint8)
    Traceback (most recent call last):
    MemoryError: This table takes more memory than there is. Set COURSE_PROFILE=cpu and start again, or use a larger GPU.
    """
    try:
        yield
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        remedy = "Set COURSE_PROFILE=cpu and start again, or use a larger GPU."
        raise MemoryError(f"{what} takes more memory than there is. {remedy}") from None
