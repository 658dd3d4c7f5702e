"""Toy models with more features than dimensions: lesson 06."""

from course_utils.superposition.toy_model import (
    ToyModel,
    ablate,
    arrangement,
    dimensions_per_feature,
    expected_loss,
    feature_batch,
    feature_dimensionality,
    geometry,
    ideal_losses,
    overlap,
    paired_batch,
    reconstruct,
    spread_directions,
    train_toy,
    weighted_loss,
    welch_bound,
)

__all__ = [
    "ToyModel",
    "ablate",
    "arrangement",
    "dimensions_per_feature",
    "expected_loss",
    "feature_batch",
    "feature_dimensionality",
    "geometry",
    "ideal_losses",
    "overlap",
    "paired_batch",
    "reconstruct",
    "spread_directions",
    "train_toy",
    "weighted_loss",
    "welch_bound",
]

LESSON = "06"
