"""The races of `tools/bench.py`: one module a room, whose `races()` yields them."""

import operator
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

OURS = "course_utils"
TOPICS = tuple(sorted(path.stem for path in Path(__file__).parent.glob("[a-z]*.py")))


@dataclass(frozen=True)
class Race:
    """Contenders by name, `course_utils` among them; `required` says how many times as long the
    others must take.
    """

    title: str
    contenders: Mapping[str, Callable[[], Any]]
    required: Mapping[str, float] = field(default_factory=dict)
    same: frozenset[str] = frozenset()  # those whose answer must be ours
    # work on one thread: other programs on the machine change little
    clock: Callable[[], float] = time.process_time
    equal: Callable[[Any, Any], bool] = operator.eq
