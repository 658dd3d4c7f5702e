"""Imports that Stop cannot cut in half: a library that was half imported stays broken until the
kernel restarts.
"""

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

IN_ONE_PIECE: set[str] = set()  # the modules that were loaded so


@contextmanager
def in_one_piece() -> Iterator[None]:
    """Let Stop wait until the imports inside are done; then it takes its course.

    Python hands signals to the main thread alone, so elsewhere there is nothing to hold back.

    >>> with in_one_piece():
    ...     import wave
    """
    before = set(sys.modules)
    waiting = []
    holds = threading.current_thread() is threading.main_thread()
    handler = signal.getsignal(signal.SIGINT) if holds else None
    if callable(handler):
        signal.signal(signal.SIGINT, lambda *arguments: waiting.append(arguments))
    try:
        yield
    finally:
        if callable(handler):
            signal.signal(signal.SIGINT, handler)
        IN_ONE_PIECE.update(set(sys.modules) - before)
    if waiting:
        handler(*waiting[0])
