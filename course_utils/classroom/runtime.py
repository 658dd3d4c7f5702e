"""Where a notebook runs, and how: device, profile, seeds, progress, versions, honest timing."""

import operator
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterable, Iterator
from importlib.metadata import PackageNotFoundError, version
from typing import Any, TypeVar

import torch

from course_utils.machine.devices import synchronize

from .bars import Bar

T = TypeVar("T")
PROFILES = ("cpu", "gpu")


def device() -> torch.device:
    """The best device at hand: cuda, else mps (Apple), else cpu; the cpu profile always runs on the
    cpu.

    >>> device().type in {"cuda", "mps", "cpu"}
    True
    """
    return _accelerator() if profile() == "gpu" else torch.device("cpu")


def profile() -> str:
    """`"gpu"` for the paper-size runs, `"cpu"` for runs that fit 2 cores; COURSE_PROFILE overrides
    the choice.

    Without COURSE_PROFILE it is "gpu" where an accelerator is found. Raises ValueError for another
    name.
    """
    chosen = os.environ.get("COURSE_PROFILE") or ("cpu" if _accelerator().type == "cpu" else "gpu")
    if chosen not in PROFILES:
        raise ValueError(
            f"COURSE_PROFILE is {chosen!r}; set it to one of {', '.join(PROFILES)}, or unset it."
        )
    return chosen


def pick(*, cpu: T, gpu: T) -> T:
    """The value for the current profile: `steps = pick(cpu=300, gpu=10_000)`."""
    return gpu if profile() == "gpu" else cpu


def generator(seed: int, device: torch.device | str = "cpu") -> torch.Generator:
    """A random source of its own for one experiment: nothing outside it changes what it gives.

    >>> torch.equal(torch.rand(3, generator=generator(0)), torch.rand(3, generator=generator(0)))
    True
    """
    return torch.Generator(device).manual_seed(seed)


def progress(steps: Iterable[T], desc: str, total: int | None = None) -> Iterator[T]:
    """Iterates with a bar that is gone when its cell ends; silent in runs whose outputs are saved.

    `total` is how many steps there are, where `len(steps)` does not say so.

    >>> sum(progress([1, 2, 3], "adding"))
    6
    """
    known = total if total is not None else operator.length_hint(steps) or None
    with Bar(known, desc, leave=False) as bar:
        for step in steps:
            yield step
            bar.update()


def timed(work: Callable[[], Any], repeats: int = 5, warmup: int = 1) -> float:
    """Median wall-clock seconds of `work()`; waits for the GPU to finish before it reads the clock.

    Kernels on a GPU run asynchronously: a clock read without waiting times the launch, not the
    work.
    """
    if repeats < 1:
        raise ValueError(f"repeats is {repeats}; at least one run is needed to time anything.")
    seconds = []
    for _ in range(warmup):
        work()
    for _ in range(repeats):
        synchronize(_accelerator())
        start = time.perf_counter()
        work()
        synchronize(_accelerator())
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def versions(*packages: str) -> str:
    """A table of what this runs on, for bug reports: Python, device, profile and the packages named
    (torch always).
    """
    rows = [
        ("python", platform.python_version()),
        ("device", str(device())),
        ("profile", profile()),
    ]
    rows += [(name, _version(name)) for name in dict.fromkeys(("torch", *packages))]
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:<{width}}  {value}" for name, value in rows)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _accelerator() -> torch.device:
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
