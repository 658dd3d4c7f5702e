"""Answers to exercises, registered where they stand: wrong ones, mistakes that people make, and
right ones of another style. Every checker must reject every wrong one and take every right one.

    wrong = WrongAnswers()

    @wrong("top_k", says="one token too many")
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


# What a student reads where no mistake is named: what differs on the smallest input that fails, or
# what was raised, and where.
DIFFERS = "expected "
RAISED = " raised "


class WrongAnswers(Answers):
    """The same with the words that each must get, on all numbers: those of the sentence that names
    its mistake, or DIFFERS or RAISED where none does.
    """

    def __call__(self, name, says):
        register = super().__call__(name)

        def said(answer):
            answer.says = says
            return register(answer)

        return said


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
