"""Run an answer in a thread of its own, with a limit on the processor time that it uses, and end it
for good.
"""

import _thread
import ctypes
import itertools
import sys
import threading
import time
from collections.abc import Callable
from types import CodeType, FrameType
from typing import Any

CPU_LIMIT = 20.0  # seconds of processor time; the slowest reference needs a hundredth of it
WALL_LIMIT = 60.0  # seconds on the clock: for what waits and uses no processor
# seconds of work, or of standing still, to end a thread; one inside of C code ends when it comes
# back
STOP_LIMIT = 3.0
LOOK = 0.02  # seconds between two looks at a thread
GENTLE = 3  # how often it is told to end before every line of its code is made to
TOOL = 4  # our number in `sys.monitoring`; debuggers, coverage and profilers have 0, 1, 2 and 5


class Stopped(SystemExit):
    """What ends an answer's thread."""


class Insisting(Stopped):
    """The same for an answer that swallowed it: before Python 3.12, the next line of its code
    raises it again.

    Lines are watched by tracing, which only the thread itself can switch on: so that happens where
    this is made, and, as an error switches tracing off, once more where an `except` of the answer
    throws this away.
    """

    def __init__(self) -> None:
        super().__init__()
        _watch_lines(sys._getframe().f_back)

    def __del__(self) -> None:
        _watch_lines(sys._getframe().f_back)


def _watch_lines(frame: FrameType | None) -> None:
    frames = []
    while frame is not None and frame.f_code is not _Limited._work.__code__:
        frames.append(frame)
        frame = frame.f_back
    # not in an answer; or `_Monitored` watches
    if frame is None or not frames or hasattr(sys, "monitoring"):
        return
    for inner in frames:
        inner.f_trace = _raise_again
    sys.settrace(_raise_again)


def _raise_again(frame: FrameType, event: str, arg: Any) -> Any:
    if frame.f_code.co_filename == __file__:
        return None
    if event == "line":
        raise Insisting
    return _raise_again


def run_limited(
    work: Callable[[], object], cpu: float = CPU_LIMIT, wall: float = WALL_LIMIT
) -> str | None:
    """Run work() in a thread and wait. Return None where it came to its end, "cpu" or "wall" for
    the limit it passed.

    cpu: seconds of processor time of that thread alone, so that neither a slow nor a busy machine
    fails; wall: seconds on the clock, for work that waits. After a limit, and after a
    KeyboardInterrupt here, which goes on its way, the thread is ended, even where a bare `except:`
    swallows what ends it. What work() raises is lost: it must keep its own.

    >>> run_limited(lambda: sum(range(9)))
    >>> run_limited(lambda: time.sleep(0.1), wall=0.05)
    'wall'
    """
    limited = _Limited(work)
    try:
        limited.thread.start()
        begun = time.monotonic()
        while not limited.over.wait(LOOK):
            if limited.cpu() > cpu:
                return "cpu"
            if time.monotonic() - begun > wall:
                return "wall"
        return None
    finally:
        limited.stop()


class _Limited:
    """A thread at work, with a clock for its own processor time."""

    def __init__(self, function: Callable[[], object]):
        self.function = function
        self.clock = lambda: 0.0
        self.leaving = False
        self.over = threading.Event()
        self.gate = threading.Lock()
        self.thread = threading.Thread(target=self._work, daemon=True)

    def _work(self) -> None:
        try:
            self.clock = _clock_of_this_thread()
            self.function()
        except BaseException:
            pass  # nothing may reach threading's own code, which would print it
        # Python raises what another thread sends at calls and loops only. So from here to the call
        # nothing arrives, and after it at most one more, which was on its way: `stop` looks at
        # `leaving` first.
        self.leaving = True
        try:
            self._leave()
        except Stopped:
            self._leave()

    def _leave(self) -> None:
        """From here on nothing is raised in this thread any more, so that it ends in good order."""
        sys.settrace(None)
        with self.gate:
            self.over.set()
            _raise_in(_thread.get_ident(), None)

    def cpu(self) -> float:
        """Seconds of processor time that the thread has used."""
        try:
            return self.clock()
        except OSError:  # it has just ended
            return 0.0

    def stop(self) -> None:
        """Ends the thread. Does nothing where it has ended, or never begun."""
        if self.thread.ident is None:
            return
        used = moved = self.cpu()
        still_since = time.monotonic()
        with _Monitored(self) as monitored:
            for attempt in itertools.count():
                if self.over.is_set() or not self.thread.is_alive():
                    break
                if attempt == GENTLE:
                    monitored.begin()
                with self.gate:
                    if not self.leaving:
                        _raise_in(self.thread.ident, Stopped if attempt < GENTLE else Insisting)
                self.over.wait(LOOK)
                if self.cpu() - moved > LOOK / 20:  # a look costs less than that
                    moved = self.cpu()
                    still_since = time.monotonic()
                if self.cpu() - used > STOP_LIMIT or time.monotonic() - still_since > STOP_LIMIT:
                    break
        if self.over.is_set():
            self.thread.join()


class _Monitored:
    """From Python 3.12 on, after `begin` and inside of `with`: every line of a thread's code raises
    Stopped.
    """

    def __init__(self, limited: _Limited):
        self.limited = limited
        self.begun = False

    def __enter__(self) -> "_Monitored":
        return self

    def begin(self) -> None:
        watch = getattr(sys, "monitoring", None)
        if watch is None or watch.get_tool(TOOL) is not None:
            return
        watch.use_tool_id(TOOL, "course_utils")
        watch.register_callback(TOOL, watch.events.LINE, self._line)
        watch.set_events(TOOL, watch.events.LINE)
        self.begun = True

    def _line(self, code: CodeType, number: int) -> None:
        mine = _thread.get_ident() == self.limited.thread.ident
        if mine and not self.limited.leaving and code.co_filename != __file__:
            raise Insisting

    def __exit__(self, *error: object) -> None:
        if self.begun:
            sys.monitoring.set_events(TOOL, 0)
            sys.monitoring.free_tool_id(TOOL)


def _raise_in(ident: int, error: type | None) -> None:
    """Raises an exception in a thread as soon as it runs Python code; None takes back one that is
    still to come.
    """
    what = ctypes.py_object(error) if error else None
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(ident), what)


def _clock_of_this_thread() -> Callable[[], float]:
    """A function that any thread may call for the processor time of the thread which calls *this*.

    Where the system has no such clock (macOS, Windows) it gives the time of all threads, but no
    more than the clock on the wall: so a busy machine does not fail there either, and several cores
    at work do not count several times.
    """
    try:
        clock = time.pthread_getcpuclockid(_thread.get_ident())
        begun = time.clock_gettime(clock)
        return lambda: time.clock_gettime(clock) - begun
    except (AttributeError, OSError):
        used = time.process_time()
        since = time.monotonic()
        return lambda: min(time.process_time() - used, time.monotonic() - since)
