"""Answers to exercises, registered where they stand: wrong ones, mistakes that people make, and
right ones of another style. Every checker must reject every wrong one and take every right one.

    wrong = Answers()

    @wrong("top_k")
    def keeps_one_more(logits, k): ...
"""

import importlib.util
from collections import defaultdict
from functools import cache

from common import ROOT


class Answers(defaultdict):
    """name of an exercise -> the answers to it, in the order in which they stand."""

    def __init__(self):
        super().__init__(list)

    def __call__(self, name):
        def register(answer):
            self[name].append(answer)
            return answer

        return register


def wrong_answers(room):
    """The wrong answers of `tests/<room>/wrong_answers.py`."""
    return _loaded(room, "wrong")


def right_answers(room):
    """The right answers of `tests/<room>/right_answers.py`."""
    return _loaded(room, "right")


@cache
def _loaded(room, kind):
    """A file is loaded by its path, since every room has one of this name."""
    path = ROOT / "tests" / room / f"{kind}_answers.py"
    if not path.exists():
        return Answers()
    spec = importlib.util.spec_from_file_location(f"{kind}_answers_of_{room}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return getattr(module, kind)
