"""Grades the answers of one submission, in a process of its own: started by `grade.py`, reads a job
as JSON from its standard input, writes a line of JSON for each result.

What an answer may not do is refused three times: its text was screened before; the operating system
limits memory, processor time, files and processes; and an audit hook of the interpreter refuses
files, sockets and processes from the moment at which the answer begins.
"""

import contextlib
import ctypes
import functools
import json
import os
import re
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

CPU, WALL = (
    5.0,
    20.0,
)  # seconds that one check of an answer may take, as the processor and the clock count
FREE = 3_000_000_000  # bytes that an answer's process may take beyond what the course itself takes
# Events of the interpreter that no answer has a reason for.
REFUSED = (
    "socket.", "subprocess.", "os.system", "os.exec", "os.posix_spawn", "os.fork", "os.spawn", "os.startfile", "pty.",
    "os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.link", "os.symlink", "os.chmod", "os.chown", "os.truncate",
    "os.putenv", "os.kill", "os.killpg", "os.listdir", "os.scandir", "os.walk", "shutil.", "tempfile.", "urllib.", "http.", "ftplib.", "smtplib.",
    "webbrowser.", "winreg.", "ctypes.dlopen", "mmap.",
)  # fmt: skip


def main() -> None:
    job = json.load(sys.stdin)
    # What an answer prints goes nowhere; results go where standard output was.
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)
    os.dup2(quiet, 2)
    sys.path[:0] = job["path"]
    import numpy  # noqa: F401
    import torch

    from course_utils.exercises import catalog

    torch.set_num_threads(1)
    exercises = [(answer, catalog.find(answer["exercise"])) for answer in job["answers"]]
    for _, exercise in exercises:
        exercise.grade(exercise.reference)  # everything that grading needs is imported now
    _without_network()
    _limit(job["seconds"])
    closed = [False]
    sys.addaudithook(lambda event, arguments: _refuse(event, arguments, closed))
    for answer, exercise in exercises:
        print(json.dumps({"key": job["key"], "begins": answer["exercise"]}), file=out, flush=True)
        found = _grade(answer, exercise, job["seeds"], closed)
        result = {"key": job["key"], "exercise": answer["exercise"], **found}
        print(json.dumps(result), file=out, flush=True)
    os._exit(0)  # threads that an answer left behind do not hold it up


def _grade(answer: dict, exercise: Any, seeds: list[int], closed: list[bool]) -> dict[str, Any]:
    """The verdict on all seeds: how many passed, and the first message of a failure."""
    from course_utils.checking.limits import run_limited
    from course_utils.exercises import catalog

    given = {name: catalog.find(other).reference for name, other in answer["given"]}
    namespace: dict[str, Any] = {"__name__": "answer", **given}
    exercise = replace(exercise, time_limit=CPU, wall_limit=WALL)
    error: list[BaseException] = []

    def define() -> None:
        try:
            exec(compile(answer["source"], "<answer>", "exec"), namespace)
        except BaseException as raised:
            error.append(raised)

    closed[0] = True
    try:
        with _watched(exercise.reference) as called:
            with contextlib.redirect_stdout(None), contextlib.redirect_stderr(None):
                ending = run_limited(define, CPU, WALL)
            if error or "submitted_answer" not in namespace:
                why = f"{type(error[0]).__name__}: {error[0]}" if error else ending.sentence("it")
                text = " ".join(f"the cells that it needs do not run: {why}".split())
                return {"verdict": "fails", "passed": 0, "message": text[:300]}
            handed_in = namespace["submitted_answer"]
            if _borrows(handed_in, exercise.reference):
                return {"verdict": "fails", "passed": 0, "message": BORROWED}
            passed, failed = _on_seeds(handed_in, exercise, seeds)
    finally:
        closed[0] = False
    if called:
        return {"verdict": "fails", "passed": 0, "message": BORROWED}
    if failed is None:
        return {"verdict": "passes", "passed": passed, "message": ""}
    if failed.passed is None:
        return {"verdict": "open", "passed": 0, "message": "not attempted"}
    return {"verdict": "fails", "passed": passed, "message": failed.message}


def _on_seeds(answer: Any, exercise: Any, seeds: list[int]) -> tuple[int, Any]:
    """(how many seeds an answer passes, what is said where it first does not, None if nowhere)."""
    passed = 0
    failed = None
    for seed in seeds:
        begun = time.process_time(), time.monotonic()
        result = exercise.grade(answer, seed, explain=failed is None)
        if result.passed:
            passed += 1
        elif failed is None:
            failed = result
        spent = time.process_time() - begun[0] >= CPU or time.monotonic() - begun[1] >= WALL
        if result.passed is None or (spent and not result.passed):
            break  # a stub, or what does not end on the other numbers either
    return passed, failed


BORROWED = "the answer calls the course's own function, which it was to write"


def _borrows(answer: Any, reference: Any) -> bool:
    """Whether an answer is the course's own function or class."""
    if isinstance(reference, type):
        return isinstance(answer, type) and issubclass(answer, reference)
    if isinstance(answer, functools.partial):
        answer = answer.func
    return answer is reference or getattr(answer, "__wrapped__", None) is reference


@contextlib.contextmanager
def _watched(reference: Any) -> Iterator[list[str]]:
    """Notes when code of the answer calls the course's own function, by whatever name it got it."""
    called: list[str] = []

    @functools.wraps(reference)
    def noted(*arguments: Any, **named: Any) -> Any:
        if sys._getframe(1).f_code.co_filename == "<answer>":
            called.append(reference.__name__)
        return reference(*arguments, **named)

    places = [
        (module, name)
        for module in list(sys.modules.values())
        if getattr(module, "__name__", "").startswith("course_utils")
        for name, value in list(vars(module).items())
        if value is reference and not isinstance(reference, type)
    ]
    for module, name in places:
        setattr(module, name, noted)
    try:
        yield called
    finally:
        for module, name in places:
            setattr(module, name, reference)


def _without_network() -> None:
    """Leaves the machine's network behind, where the system lets us: Linux has namespaces."""
    user = 0x10000000
    net = 0x40000000
    try:
        libc = ctypes.CDLL(None)
        if os.geteuid() == 0:
            libc.unshare(net)
        else:
            uid = os.getuid()
            gid = os.getgid()
            if libc.unshare(user | net) == 0:
                for name, text in (
                    ("uid_map", f"{uid} {uid} 1"),
                    ("setgroups", "deny"),
                    ("gid_map", f"{gid} {gid} 1"),
                ):
                    with open(f"/proc/self/{name}", "w") as file:
                        file.write(text)
    except (AttributeError, OSError, TypeError):
        pass  # another system: what is left is the audit hook, which refuses every socket


def _limit(seconds: float) -> None:
    """What the operating system allows from here on; nothing of it exists on Windows."""
    try:
        import resource
    except ImportError:
        return
    import psutil

    room = psutil.Process().memory_info().vms + FREE
    used = sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
    for limit, most in (
        (resource.RLIMIT_AS, room),
        (resource.RLIMIT_CPU, int(used + seconds) + 1),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(limit, (most, most))


def _refuse(event: str, arguments: tuple, closed: list[bool]) -> None:
    if not closed[0]:
        return
    if event == "open":
        path, mode, flags = arguments
        reads = not (flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND))
        if reads and isinstance(path, str | bytes) and os.fsdecode(path).startswith(_READABLE):
            return
        if reads and isinstance(path, str | bytes) and _PROCESSES.fullmatch(os.fsdecode(path)):
            return
        raise PermissionError("an answer opens no files")
    if event == "os.listdir" and arguments[0] in ("/proc", b"/proc"):
        return
    if event.startswith(REFUSED):
        raise PermissionError(f"an answer does not do this: {event}")


# What the engine of the checks asks about memory, and about processes that were left behind.
_PROCESSES = re.compile(
    r"/proc/(?:(?:\d+|self)/(?:task/\d+/)?)?(?:stat|statm|status|smaps|meminfo|children)"
)
# What may be read: the course's stored files, and what Python itself imports late.
_READABLE = tuple(
    {
        *(os.path.realpath(p) + os.sep for p in (sys.prefix, sys.base_prefix)),
        *(p + os.sep for p in (sys.prefix, sys.base_prefix)),
        os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), "course_utils") + os.sep,
    }
)  # fmt: skip


if __name__ == "__main__":
    main()
