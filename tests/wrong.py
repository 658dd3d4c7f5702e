"""Wrong answers: mistakes that people make, registered where they stand. Every checker must reject
every one.

    wrong = WrongAnswers()

    @wrong("top_k")
    def keeps_one_more(logits, k): ...
"""

import importlib.util
from collections import defaultdict
from functools import cache

from common import ROOT


class WrongAnswers(defaultdict):
    """name of an exercise -> the wrong answers to it, in the order in which they stand."""

    def __init__(self):
        super().__init__(list)

    def __call__(self, name):
        def register(answer):
            self[name].append(answer)
            return answer

        return register


@cache
def wrong_answers(room):
    """The wrong answers of `tests/<room>/wrong_answers.py`; the file is loaded by its path, since
    every room has one of this name.
    """
    path = ROOT / "tests" / room / "wrong_answers.py"
    if not path.exists():
        return WrongAnswers()
    spec = importlib.util.spec_from_file_location(f"wrong_answers_of_{room}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.wrong
