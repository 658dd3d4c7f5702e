"""Threads and processes that an answer left running: found, ended, and said."""

import concurrent.futures.thread as pools
import sys
import threading
import time
from types import TracebackType

import psutil

from .limits import LOOK, STOP_LIMIT, Stopped, raise_in

GRACE = 0.5  # seconds to end by themselves, as the threads of a pool that nobody holds any more do
THREAD = (
    "A thread that your function started was still running when it returned, and {}. "
    "Wait for what you start, with .join() or with a pool in a `with`."
)
PROCESS = (
    "A process that your function started was still running when it returned, and was stopped. "
    "Wait for what you start, with .join() or .wait()."
)


class Leftovers:
    """Inside of `with`: what is started. A thread or process that a library starts and keeps for
    itself, such as the clock of a progress bar, does not count.
    """

    def __enter__(self) -> "Leftovers":
        self.threads = set(threading.enumerate())
        self.children = set(psutil.Process().children())
        return self

    def __exit__(self, kind: type | None, error: object, trace: TracebackType | None) -> None:
        if error is not None:
            self.end()

    def end(self) -> str:
        """Ends what still runs, and says what was found; an empty text where nothing was."""
        said = []
        threads = _remaining(self._own_threads(), GRACE, None)
        if threads:
            going_on = _remaining(threads, STOP_LIMIT, Stopped)
            how = "could not be stopped: restart the kernel" if going_on else "was stopped"
            said.append(THREAD.format(how))
        children = [child for child in psutil.Process().children() if child not in self.children]
        children = [child for child in children if not _is_a_tracker(child)]
        for child in children:
            child.kill()
        psutil.wait_procs(children, STOP_LIMIT)
        return " ".join([*said, *([PROCESS] if children else [])])

    def _own_threads(self) -> list[threading.Thread]:
        new = [thread for thread in threading.enumerate() if thread not in self.threads]
        return [thread for thread in new if not _is_of_a_library(thread)]


def _is_of_a_library(thread: threading.Thread) -> bool:
    """Whether an installed package is at work in a thread."""
    frame = sys._current_frames().get(thread.ident)
    while frame is not None:
        if "-packages" in frame.f_code.co_filename:
            return True
        frame = frame.f_back
    return False


def _is_a_tracker(child: psutil.Process) -> bool:
    """The one that multiprocessing starts once and keeps, to clean up after all others."""
    try:
        return "resource_tracker" in " ".join(child.cmdline())
    except psutil.Error:  # it has just ended
        return True


def _remaining(
    threads: list[threading.Thread], seconds: float, error: type | None
) -> list[threading.Thread]:
    """Those that still run after these seconds, in which the error is raised in them again and
    again. One that waits inside of C code does not hear it until it comes back.
    """
    begun = time.monotonic()
    alive = [thread for thread in threads if thread.is_alive()]
    while alive and time.monotonic() - begun < seconds:
        for thread in alive:
            if error is not None:
                raise_in(thread.ident, error)
                _wake(thread)
        alive[0].join(LOOK)
        alive = [thread for thread in alive if thread.is_alive()]
    return alive


def _wake(thread: threading.Thread) -> None:
    """What waits inside of C code, and can be told to stop waiting."""
    if isinstance(thread, threading.Timer):
        thread.cancel()
    if (tasks := pools._threads_queues.get(thread)) is not None:  # a worker that waits for work
        tasks.put(None)
