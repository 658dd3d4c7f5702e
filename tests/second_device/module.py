"""`torch.second`: what `torch.cuda` (or `torch.mps`) offers, for the device that this process
plays.
"""

import time
from types import SimpleNamespace

import torch

card = None  # set by play()
OutOfMemoryError = torch.OutOfMemoryError


def _counts():
    return dict(
        zip(
            ("current", "peak", "launched", "waits", "copied_in"),
            torch.ops.second_device.counts(),
            strict=True,
        )
    )


def is_available():
    return True


def is_initialized():
    return True


def is_built():
    return True


def _is_in_bad_fork():
    return False


def device_count():
    return 1


def current_device():
    return 0


def set_device(device):
    if torch.device(device).index not in (None, 0):
        raise ValueError("there is one device, number 0")


def synchronize(device=None):
    pass


def is_current_stream_capturing():
    return False


def empty_cache():
    pass


def ipc_collect():
    pass


def memory_allocated(device=None):
    return _counts()["current"]


memory_reserved = current_allocated_memory = driver_allocated_memory = memory_allocated


def max_memory_allocated(device=None):
    return _counts()["peak"]


max_memory_reserved = max_memory_allocated


def reset_peak_memory_stats(device=None):
    torch.ops.second_device.reset()


def mem_get_info(device=None):
    total = card.memory or 80 * 2**30
    return total - memory_allocated(), total


def recommended_max_memory():
    return card.memory or 80 * 2**30


def launched():
    """Operators launched since the last reset of the peak."""
    return _counts()["launched"]


def waits():
    """How often the host waited for the device (a number or a tensor came back) since the last
    reset of the peak.
    """
    return _counts()["waits"]


def revive():
    """After an index out of range: what only a new process can do on a real card."""
    torch.ops.second_device.revive()


def manual_seed(seed):
    torch.ops.second_device.seed(int(seed))


def manual_seed_all(seed):
    manual_seed(seed)


def get_rng_state(device=None):
    return torch.ops.second_device.get_state()


def set_rng_state(state, device=None):
    torch.ops.second_device.set_state(state)


def get_device_name(device=None):
    return f"second device ({card.name})"


def get_device_capability(device=None):
    return card.capability


def get_device_properties(device=None):
    major, minor = card.capability
    return SimpleNamespace(
        name=get_device_name(),
        total_memory=card.memory or 80 * 2**30,
        major=major,
        minor=minor,
        multi_processor_count=40,
    )


def is_bf16_supported(including_emulation=True):
    return card.bfloat16 or including_emulation  # as a T4 answers


def get_amp_supported_dtype():
    return [torch.float16, torch.bfloat16] if card.bfloat16 else [torch.float16]


class Event:
    """A moment on the device's only stream, which never lags behind the host."""

    def __init__(self, enable_timing=False, **_):
        self.time = None

    def record(self, stream=None):
        self.time = time.perf_counter()

    def synchronize(self):
        pass

    def query(self):
        return True

    def elapsed_time(self, end):
        return (end.time - self.time) * 1000


def current_stream(device=None):
    return torch.Stream(device="second")
