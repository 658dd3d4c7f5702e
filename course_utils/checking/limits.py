"""Run an answer in a thread of its own, with limits on the processor time, the seconds and the memory
that it takes, and end it for good.

A thread, because an answer is a function of the notebook: it reads what other cells made, and holds
what cannot be sent to another process without pickle. And a process costs: where it is started anew,
as on Windows and macOS, two or three seconds and the memory of torch once more; a fork, which is
cheap on Linux, hangs where the notebook has used several threads (tools/races/checking.py measures
them beside a check). What remains is one call of C code that never comes back and never lets another
thread run: then only a restart of the kernel helps.
"""

import _thread
import ctypes
import gc
import itertools
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import CodeType, FrameType
from typing import Any

from .memory import Growth

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


@dataclass(frozen=True)
class Ending:
    """How a run ended. passed: the limit that it passed ("cpu", "wall" or "memory"), None where it
    came to its end; limit: that limit in words; stopped: False where it goes on all the same.
    """

    passed: str | None = None
    limit: str = ""
    stopped: bool = True

    def sentence(self, call: str) -> str:
        """What the student reads of a run that passed a limit.

        >>> Ending("cpu", "20 seconds of work").sentence("f(2)")
        'f(2) was still running after 20 seconds of work and was stopped. Look for a loop that never ends.'
        """
        did = "used more than" if self.passed == "memory" else "was still running after"
        how = "was stopped" if self.stopped else GOES_ON
        return f"{call} {did} {self.limit} and {how}. {ADVICE[self.passed]}"


GOES_ON = (
    "could not be stopped, as it is inside of one long call of a library: restart the kernel "
    "before you go on"
)
ADVICE = {
    "cpu": "Look for a loop that never ends.",
    "wall": "Look for what waits, such as input() or sleep(), and for a loop that never ends.",
    "memory": "Look for a list that grows without end, and for a shape that is too large.",
}


def run_limited(
    work: Callable[[], object], cpu: float = CPU_LIMIT, wall: float = WALL_LIMIT
) -> Ending:
    """Run work() in a thread, wait, and say how it ended.

    cpu: seconds of processor time of that thread alone, so that neither a slow nor a busy machine
    fails; wall: seconds on the clock, for work that waits; memory has the limit of `Growth`. After
    a limit, and after a KeyboardInterrupt here, which goes on its way, the thread is ended, even
    where a bare `except:` swallows what ends it. What work() raises is lost: it must keep its own.

    >>> run_limited(lambda: sum(range(9))).passed
    >>> run_limited(lambda: time.sleep(0.1), wall=0.05)
    Ending(passed='wall', limit='0.05 seconds', stopped=True)
    """
    limited = _Limited(work)
    passed = None
    try:
        with Growth() as growth:
            limited.thread.start()
            begun = time.monotonic()
            while passed is None and not limited.over.wait(LOOK):
                if limited.cpu() > cpu:
                    passed = "cpu", f"{cpu:g} seconds of work"
                elif time.monotonic() - begun > wall:
                    passed = "wall", f"{wall:g} seconds"
                elif growth.passed():
                    passed = "memory", f"{growth.bytes / 1e9:.2g} GB of memory"
            limited.stop()  # while its memory is limited still
    finally:
        limited.stop()
    if passed is None:
        return Ending()
    gc.collect()  # what an answer's errors keep alive in circles
    return Ending(*passed, stopped=limited.over.is_set())


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
            raise_in(_thread.get_ident(), None)

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
                        raise_in(self.thread.ident, Stopped if attempt < GENTLE else Insisting)
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


def raise_in(ident: int, error: type | None) -> None:
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
