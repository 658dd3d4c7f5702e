"""Sparse autoencoders, which find features in superposition: lesson 13."""

from course_utils.sparse_autoencoders.autoencoder import (
    encode,
    firing_rate,
    fraction_explained,
    mean_max_cosine,
    principal_directions,
    sae_loss,
    train_sae,
)

__all__ = [
    "encode",
    "firing_rate",
    "fraction_explained",
    "mean_max_cosine",
    "principal_directions",
    "sae_loss",
    "train_sae",
]

LESSON = "13"
