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
from course_utils.sparse_autoencoders.records import normalised, recorded
from course_utils.sparse_autoencoders.scores import (
    agreement,
    best_cut,
    held_out_score,
    purity,
    windows,
)
from course_utils.sparse_autoencoders.steering import (
    he_to_she,
    onward,
    steering_vector,
    story_loss,
)

__all__ = [
    "agreement",
    "best_cut",
    "encode",
    "firing_rate",
    "fraction_explained",
    "he_to_she",
    "held_out_score",
    "mean_max_cosine",
    "normalised",
    "onward",
    "principal_directions",
    "purity",
    "recorded",
    "sae_loss",
    "steering_vector",
    "story_loss",
    "train_sae",
    "windows",
]

LESSON = "13"
