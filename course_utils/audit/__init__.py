"""Was this model tampered with? Tests on what it writes, as lesson 23 builds them."""

from course_utils.audit.detection import (
    compare,
    power,
    samples_needed,
    two_proportion_p,
)

__all__ = ["compare", "power", "samples_needed", "two_proportion_p"]

LESSON = "23"
