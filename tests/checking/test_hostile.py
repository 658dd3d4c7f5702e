"""What no answer may do to the kernel: take all its memory, or leave something running; and what is
said instead.
"""

import dataclasses
import gc
import itertools
import multiprocessing
import subprocess
import sys
import textwrap
import threading
import time
import weakref
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import psutil
import pytest
import torch
from kernels import Kernel, error_of

from conftest import ROOT
from course_utils.checking import Exercises, expect, leftovers, limits, memory

LIMIT = 0.3  # seconds of the processor
SMALL = 3 * 10**8  # bytes
EXERCISES = Exercises()
linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has these limits and clocks")


def double(x: torch.Tensor) -> torch.Tensor:
    """Twice the numbers."""
    return 2 * x


@EXERCISES.add(double, difficulty=1, minutes=1, hints=["2 * x"])
def check_double(student, rng):
    x = torch.tensor([[rng.random(), 2.0, 3.0]] * 2)
    expect(student(x), 2 * x, "double(x)")


def graded(first, **limits):
    """The result of a right answer that does something else in its first call."""
    left = iter([first])

    def answer(x):
        next(left, lambda: None)()
        return double(x)

    return dataclasses.replace(EXERCISES[0], **limits).grade(answer)


@pytest.fixture
def little(monkeypatch):
    monkeypatch.setattr(memory, "MOST", SMALL)
    monkeypatch.setattr(limits, "STOP_LIMIT", 0.5)
    monkeypatch.setattr(leftovers, "STOP_LIMIT", 0.5)


# --- Memory ---------------------------------------------------------------------------------------


WATCHED = []


def watched(x):
    WATCHED.append(weakref.ref(x))
    return x


def bit_by_bit():
    keep = []
    while True:
        keep.append(watched(torch.ones(10**6)))


def with_its_errors():
    """Holds on to everything in a circle, and swallows what ends it."""
    keep = []
    while True:
        try:
            keep.append(watched(np.ones(10**6)))
        except BaseException as error:
            keep.append(error)


GREEDY = {
    "bit by bit": bit_by_bit,
    "swallowing errors": with_its_errors,
    "objects": lambda: [object() for _ in itertools.count()],
}
AT_ONCE = {
    "torch": lambda: torch.ones(10**9),
    "torch, touched later": lambda: torch.empty(10**9).fill_(1),
    "numpy": lambda: np.ones(10**9),
    "a list": lambda: [0] * 10**9,
    "bytes": lambda: b"x" * 4 * 10**9,
    "a set in one call": lambda: set(itertools.count()),
}


@pytest.mark.parametrize("how", GREEDY)
def test_an_answer_that_takes_more_and_more_memory_is_stopped_and_gives_it_back(little, how):
    WATCHED.clear()
    result = graded(GREEDY[how], time_limit=60.0)
    assert result.passed is False and "used more than 0.3 GB of memory" in result.message, result
    assert "was stopped" in result.message
    gc.collect()
    assert sum(ref() is not None for ref in WATCHED) <= 1


@linux
@pytest.mark.parametrize("how", AT_ONCE)
def test_what_is_too_large_for_one_call_is_not_given(little, how):
    limit = memory.resource.getrlimit(memory.resource.RLIMIT_DATA)
    result = graded(AT_ONCE[how], time_limit=60.0)
    assert result.passed is False and limits.ADVICE["memory"] in result.message, result
    assert memory.resource.getrlimit(memory.resource.RLIMIT_DATA) == limit


# --- What never comes back -------------------------------------------------------------------------


def test_a_wait_that_cannot_be_ended_is_said(little):
    result = graded(lambda: time.sleep(3), wall_limit=LIMIT)
    assert result.passed is False and "restart the kernel" in result.message


# --- Threads and processes left behind ------------------------------------------------------------


def spins():
    try:
        while True:
            pass
    except SystemExit:  # or pytest says that an error was lost
        pass


def keeps_a_pool():
    keeps_a_pool.pool = ThreadPoolExecutor(2)
    keeps_a_pool.pool.submit(sorted, [])


LEFT = {
    "a thread": lambda: threading.Thread(target=spins).start(),
    "a timer": lambda: threading.Timer(100, spins).start(),
    "a pool": keeps_a_pool,
    "a process": lambda: subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE),
    "a worker": lambda: (
        multiprocessing.get_context("spawn").Process(target=time.sleep, args=(100,)).start()
    ),
}


def running():
    """The children of this process, without the tracker that multiprocessing keeps."""
    children = psutil.Process().children()
    return {child.pid for child in children if "resource_tracker" not in " ".join(child.cmdline())}


@pytest.mark.parametrize("what", LEFT)
def test_what_an_answer_left_running_is_ended_and_said(what):
    threads = set(threading.enumerate())
    children = running()
    result = graded(LEFT[what])
    assert result.passed is False and "still running when it returned" in result.message, result
    assert "was stopped" in result.message
    assert set(threading.enumerate()) <= threads and running() <= children


def test_a_thread_that_cannot_be_ended_is_said(little):
    result = graded(lambda: threading.Thread(target=sleeps).start())
    assert "could not be stopped: restart the kernel" in result.message


def sleeps():
    try:
        time.sleep(4)
    except SystemExit:  # or pytest says that an error was lost
        pass


def waits_for_its_pool():
    with ThreadPoolExecutor(2) as pool:
        pool.submit(sorted, [2, 1]).result()


def lets_its_pool_go():
    ThreadPoolExecutor(2).submit(sorted, [2, 1]).result()


def shows_a_bar():
    from tqdm import tqdm

    list(tqdm(range(3)))


def uses_joblib():
    from joblib import Parallel, delayed

    Parallel(n_jobs=2, prefer="threads")(delayed(sorted)([2, 1]) for _ in range(2))


def waits_for_what_it_starts():
    thread = threading.Thread(target=sorted, args=([2, 1],))
    thread.start()
    thread.join()
    subprocess.run([sys.executable, "-c", ""], check=True)


CLEAN = waits_for_its_pool, lets_its_pool_go, shows_a_bar, uses_joblib, waits_for_what_it_starts


@pytest.mark.parametrize("clean", CLEAN)
def test_nobody_is_accused_of_threads_that_ended_or_belong_to_a_library(clean):
    result = graded(clean)
    assert result.passed, result


def test_the_kernel_lives_through_all_of_it():
    define = """
        import threading
        from course_utils.exercises import check
        from course_utils.sampling.decoding import top_k as reference

        def leaves(logits, k):
            threading.Timer(1000, print).start()
            return reference(logits, k)

        def eats(logits, k):
            return [0] * 10**10

    """
    words = {
        "leaves": "A thread",
        "eats": "MemoryError",
    }
    with Kernel(ROOT) as kernel:
        assert kernel.run(textwrap.dedent(define)) == []
        for name, said in words.items():
            outputs = kernel.run(f"check('sampling.top_k', {name});")
            assert error_of(outputs) is None and said in outputs[0].data["text/plain"], outputs
        assert kernel.run("print('alive', threading.active_count() < 20)")[0].text == "alive True\n"
