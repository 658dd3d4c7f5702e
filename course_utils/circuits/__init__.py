"""Reading a network from inside: hooks, the logit lens, attribution and patching, as lesson 14
builds them.
"""

from course_utils.circuits.hooks import ActivationCache, activations, only, patched, record
from course_utils.circuits.reading import (
    attribution,
    duplicate_token_score,
    head_scores,
    induction_score,
    logit_lens,
    patching_map,
    path_patch,
    previous_token_score,
)

__all__ = [
    "ActivationCache",
    "activations",
    "attribution",
    "duplicate_token_score",
    "head_scores",
    "induction_score",
    "logit_lens",
    "only",
    "patched",
    "patching_map",
    "path_patch",
    "previous_token_score",
    "record",
]

LESSON = "14"
