"""Was this model tampered with? Tests on what it writes, as lesson 23 builds them."""

from course_utils.audit.detection import (
    compare,
    count_interval,
    power,
    samples_needed,
    two_proportion_p,
)

__all__ = ["compare", "count_interval", "power", "samples_needed", "two_proportion_p"]

LESSON = "23"
