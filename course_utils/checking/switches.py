"""What a whole session shares, and an answer may turn: put back after a check, whatever happens."""

import builtins
import math
import os
import random
import sys
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, chdir, contextmanager
from types import SimpleNamespace

import numpy as np
import torch
import torch.nn.functional as F

DEEPEST = 10_000  # frames: what sys.setrecursionlimit gives at most while an answer runs
# Where functions are looked up by everybody. What an answer puts there is taken away again.
NAMESPACES = (builtins, math, random, np, torch, F, torch.Tensor, torch.nn.Module)


@contextmanager
def preserved(seed: int = 0) -> Iterator[None]:
    """Inside, the global sources of random numbers follow the seed; afterwards all is as it was.

    That is: these sources (Python's, NumPy's, torch's), torch's default dtype, grad mode, threads
    and print options, NumPy's print options and error handling, the recursion limit, the functions
    of torch, NumPy, math and Python itself, the warnings' filters, the environment and the current
    folder. An answer's recursion ends at 10,000 frames, `exit()` ends the answer and not the
    kernel, and what it displays or plots is not shown.

    >>> with preserved():
    ...     torch.set_default_dtype(torch.float64)
    >>> torch.get_default_dtype()
    torch.float32
    """
    with ExitStack() as stack:
        for keep in (_functions, _sources, _settings, _environment, _recursion, _kernel, _figures):
            stack.enter_context(keep())
        stack.enter_context(torch.random.fork_rng(devices=[]))
        stack.enter_context(np.printoptions())
        stack.enter_context(np.errstate())
        stack.enter_context(warnings.catch_warnings())
        stack.enter_context(chdir("."))
        random.seed(seed)
        np.random.seed(seed % 2**32)
        torch.manual_seed(seed)
        yield


@contextmanager
def _functions() -> Iterator[None]:
    before = [dict(vars(space)) for space in NAMESPACES]
    try:
        yield
    finally:
        for space, known in zip(NAMESPACES, before, strict=True):
            now = vars(space)
            changed = [name for name in known if now.get(name, ...) is not known[name]]
            for name in changed:
                setattr(space, name, known[name])
            if isinstance(space, type):  # what stands there hides what a class inherits
                for name in set(now) - set(known):
                    delattr(space, name)


@contextmanager
def _sources() -> Iterator[None]:
    python = random.getstate()
    numpy = np.random.get_state()
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)


@contextmanager
def _settings() -> Iterator[None]:
    dtype = torch.get_default_dtype()
    grad = torch.is_grad_enabled()
    threads = torch.get_num_threads()
    deterministic = torch.are_deterministic_algorithms_enabled()
    shown = vars(torch._tensor_str.PRINT_OPTS).copy()  # torch has no public way to read them
    try:
        yield
    finally:
        torch.set_default_dtype(dtype)
        torch.set_grad_enabled(grad)
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(deterministic)
        vars(torch._tensor_str.PRINT_OPTS).update(shown)


@contextmanager
def _environment() -> Iterator[None]:
    variables = dict(os.environ)
    try:
        yield
    finally:
        if dict(os.environ) != variables:
            os.environ.clear()
            os.environ.update(variables)


@contextmanager
def _recursion() -> Iterator[None]:
    limit = sys.getrecursionlimit()
    real = sys.setrecursionlimit
    sys.setrecursionlimit = lambda n: real(min(n, DEEPEST))
    try:
        yield
    finally:
        sys.setrecursionlimit = real
        real(limit)


def _leave(*arguments: object) -> None:
    raise SystemExit("exit()")


@contextmanager
def _kernel() -> Iterator[None]:
    """In IPython: nothing is displayed, and exit() raises SystemExit as it does in Python."""
    builtins.exit = builtins.quit = _leave  # theirs close sys.stdin; `_functions` puts them back
    loaded = sys.modules.get("IPython")
    shell = loaded.get_ipython() if loaded else None
    if shell is None:
        yield
        return
    publisher = shell.display_pub
    shell.display_pub = loaded.core.displaypub.CapturingDisplayPublisher()
    shell.ask_exit = _leave  # on the instance, before the class
    try:
        yield
    finally:
        shell.display_pub = publisher
        del shell.ask_exit


@contextmanager
def _figures() -> Iterator[None]:
    nothing = SimpleNamespace(get_fignums=list, close=lambda number: None)
    before = set(sys.modules.get("matplotlib.pyplot", nothing).get_fignums())
    try:
        yield
    finally:
        pyplot = sys.modules.get("matplotlib.pyplot", nothing)  # perhaps the answer imported it
        for number in set(pyplot.get_fignums()) - before:
            pyplot.close(number)
