"""The engine of exercises: it runs an answer, compares it, guards what it was given, and says what
is wrong.
"""

from course_utils.checking.compare import Wrong, difference, expect, kind_of, show_value
from course_utils.checking.engine import Catalog, Exercise, Exercises, Result

__all__ = [
    "Catalog",
    "Exercise",
    "Exercises",
    "Result",
    "Wrong",
    "difference",
    "expect",
    "kind_of",
    "show_value",
]
