"""Sparse autoencoders, which find features in superposition: lesson 13."""

from course_utils.sparse_autoencoders.autoencoder import (
    firing_rate,
    fraction_explained,
    mean_max_cosine,
    principal_directions,
    train_sae,
)

__all__ = ["firing_rate", "fraction_explained", "mean_max_cosine", "principal_directions", "train_sae"]

LESSON = "13"
