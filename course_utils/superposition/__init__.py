"""Toy models with more features than dimensions: lesson 06."""

from course_utils.superposition.records import measure_scaling, recorded_crowd, recorded_scaling
from course_utils.superposition.toy_model import (
    ToyModel,
    ablate,
    arrangement,
    border,
    expected_loss,
    feature_batch,
    feature_dimensionality,
    geometry,
    ideal_losses,
    overlap,
    pack_directions,
    reconstruct,
    train_toy,
    welch_bound,
    zipf_batch,
)

__all__ = [
    "ToyModel",
    "ablate",
    "arrangement",
    "border",
    "expected_loss",
    "feature_batch",
    "feature_dimensionality",
    "geometry",
    "ideal_losses",
    "measure_scaling",
    "overlap",
    "pack_directions",
    "reconstruct",
    "recorded_crowd",
    "recorded_scaling",
    "train_toy",
    "welch_bound",
    "zipf_batch",
]

LESSON = "06"
