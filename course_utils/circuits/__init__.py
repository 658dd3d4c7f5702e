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
from course_utils.circuits.search import (
    FRAMES,
    POINTS,
    effects,
    gradient_scores,
    kept,
    name_pairs,
    parts,
    prune,
    swaps,
)

__all__ = [
    "FRAMES",
    "POINTS",
    "ActivationCache",
    "activations",
    "attribution",
    "duplicate_token_score",
    "effects",
    "gradient_scores",
    "head_scores",
    "induction_score",
    "kept",
    "logit_lens",
    "name_pairs",
    "only",
    "parts",
    "patched",
    "patching_map",
    "path_patch",
    "previous_token_score",
    "prune",
    "record",
    "swaps",
]

LESSON = "14"
