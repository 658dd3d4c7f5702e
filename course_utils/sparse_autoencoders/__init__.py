"""Sparse autoencoders: finding features in superposition, judging them, and steering with them:
lesson 13.
"""

from course_utils.sparse_autoencoders.autoencoder import (
    encode,
    firing_rate,
    fraction_explained,
    mean_max_cosine,
    principal_directions,
    sae_loss,
    train_sae,
)
from course_utils.sparse_autoencoders.records import LENGTHS, normalised, randomised, recorded
from course_utils.sparse_autoencoders.scores import (
    agreement,
    best_cut,
    fitted_line,
    held_out_score,
    purity,
    windows,
)
from course_utils.sparse_autoencoders.steering import (
    onward,
    steering_vector,
    story_loss,
    turned,
)

__all__ = [
    "LENGTHS",
    "agreement",
    "best_cut",
    "encode",
    "firing_rate",
    "fitted_line",
    "fraction_explained",
    "held_out_score",
    "mean_max_cosine",
    "normalised",
    "onward",
    "principal_directions",
    "purity",
    "randomised",
    "recorded",
    "sae_loss",
    "steering_vector",
    "story_loss",
    "train_sae",
    "turned",
    "windows",
]

LESSON = "13"
