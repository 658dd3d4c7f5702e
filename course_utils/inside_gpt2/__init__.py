"""What trained weights look like, and what breaks when they are broken: lesson 10."""

from course_utils.inside_gpt2.breaking import (
    MATRICES,
    excess_kurtosis,
    matrices,
    noise_like,
)
from course_utils.inside_gpt2.weights import (
    KINDS,
    first_broken,
    lesion,
    neighbours,
    participation_ratio,
    readings,
    six,
)

__all__ = [
    "KINDS",
    "MATRICES",
    "excess_kurtosis",
    "first_broken",
    "lesion",
    "matrices",
    "neighbours",
    "noise_like",
    "participation_ratio",
    "readings",
    "six",
]

LESSON = "10"
