"""Attacks and defences around a secret and a rule: what lesson 22 measures."""

from course_utils.guard_rails.defences import (
    DEFENCES,
    FAMILIES,
    SECRETS,
    Defence,
    attacks,
    complaint,
    leaks,
    lessons,
    ordinary,
    outcomes,
    refusal_asks,
    replies,
    successes,
    usefulness,
)
from course_utils.guard_rails.leakage import (
    TALKED_ABOUT,
    blocked,
    first_words,
    guessed,
    readiness,
    search_suffix,
)

__all__ = [
    "DEFENCES",
    "Defence",
    "FAMILIES",
    "SECRETS",
    "TALKED_ABOUT",
    "attacks",
    "blocked",
    "complaint",
    "first_words",
    "guessed",
    "leaks",
    "lessons",
    "ordinary",
    "outcomes",
    "readiness",
    "refusal_asks",
    "replies",
    "search_suffix",
    "successes",
    "usefulness",
]

LESSON = "22"
