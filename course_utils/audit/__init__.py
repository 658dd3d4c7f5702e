"""Was this model tampered with? Tests on what it writes, and on its weights, as lesson 23 builds
them.
"""

from course_utils.audit.detection import (
    Questions,
    alarm_threshold,
    compare,
    power,
    samples_needed,
    scores,
    suspicion,
    two_proportion_p,
    unlike_usual,
)
from course_utils.audit.record import chosen, gap, log_odds, measured, ordinary, row_gap, share_in
from course_utils.audit.updates import (
    ARMS,
    KINDS,
    NAMES,
    OPENINGS,
    Update,
    girl_rates,
    make,
    name_table,
)
from course_utils.audit.weights import distance, parts, stream_difference, with_parts

__all__ = [
    "ARMS",
    "KINDS",
    "NAMES",
    "OPENINGS",
    "Questions",
    "Update",
    "alarm_threshold",
    "chosen",
    "compare",
    "distance",
    "gap",
    "girl_rates",
    "log_odds",
    "make",
    "measured",
    "name_table",
    "ordinary",
    "parts",
    "power",
    "row_gap",
    "samples_needed",
    "scores",
    "share_in",
    "stream_difference",
    "suspicion",
    "two_proportion_p",
    "unlike_usual",
    "with_parts",
]

LESSON = "23"
