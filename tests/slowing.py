"""Make a process slow, as on an old machine or under load: it stands still for most of the time,
seen by the clock.
"""

import threading
import time

import psutil

TURN = 0.02  # seconds that it runs at a time


class Slowed:
    """Inside of `with`, the process of this id and its children run one turn in `factor`. Their
    processor time stays the same.
    """

    def __init__(self, pid: int, factor: float):
        self.process = psutil.Process(pid)
        self.factor = factor
        self.over = threading.Event()
        self.turns = 0
        self.thread = threading.Thread(target=self._hold, daemon=True)

    def __enter__(self) -> "Slowed":
        self.thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.over.set()
        self.thread.join()

    def _hold(self) -> None:
        while not self.over.is_set():
            family = []
            try:
                family = [self.process, *self.process.children(recursive=True)]
                self._each(family, psutil.Process.suspend)
                time.sleep(TURN * (self.factor - 1))
            except psutil.NoSuchProcess:
                return
            finally:
                self._each(family, psutil.Process.resume)
            self.turns += 1
            time.sleep(TURN)

    @staticmethod
    def _each(family: list[psutil.Process], change) -> None:
        for process in family:
            try:
                change(process)
            except psutil.NoSuchProcess:  # it has just ended
                continue
