"""A limit on the memory that a process takes from a moment on."""

import sys

import psutil
import torch

try:
    import resource
except ImportError:  # Windows
    resource = None

MOST = 2 * 10**9  # bytes; the hungriest reference takes a twentieth of it
SHARE = 0.5  # of what the machine has free
BEYOND = 1.5  # times the limit: where the system itself says no


class Growth:
    """Inside of `with`: what the process has taken more than it had, and a limit on that.

    The limit is 2 GB, or half of what is free where that is less. Two guards hold it. `passed`
    compares the memory in use, whenever somebody looks; but one call, such as [0] * 10**10, takes
    gigabytes between two looks. So on Linux the system gives no more than half as much again while
    this lasts, and who asks for more gets a MemoryError. (Not where there is CUDA, which may want
    gigabytes when it starts.)

    >>> with Growth() as growth:
    ...     growth.passed()
    False
    """

    def __enter__(self) -> "Growth":
        self.process = psutil.Process()
        self.bytes = int(min(MOST, SHARE * psutil.virtual_memory().available))
        used = self.process.memory_info()
        self.before = used.rss
        self.given = None
        if resource is not None and sys.platform == "linux" and not torch.cuda.is_available():
            self.given = resource.getrlimit(resource.RLIMIT_DATA)
            wanted = used.data + int(BEYOND * self.bytes)
            known = [n for n in self.given if n != resource.RLIM_INFINITY]
            resource.setrlimit(resource.RLIMIT_DATA, (min([wanted, *known]), self.given[1]))
        return self

    def __exit__(self, *error: object) -> None:
        if self.given is not None:
            resource.setrlimit(resource.RLIMIT_DATA, self.given)

    def passed(self) -> bool:
        """Whether the process has taken more than the limit."""
        return self.process.memory_info().rss - self.before > self.bytes
