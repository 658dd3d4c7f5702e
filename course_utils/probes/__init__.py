"""Reading a property off activations, and the controls that it takes: lesson 16."""

from course_utils.probes.controls import apart, borrowed_labels, cka, precision_recall
from course_utils.probes.linear import (
    best_detector,
    control_labels,
    erase_directions,
    explained,
    fit_probe,
    leace,
    p_value,
    selectivity,
    separable_share,
    sparse_accuracy,
)
from course_utils.probes.linear_reading import (
    INPUTS,
    TRUTH,
    least_squares,
    random_rotation,
    rotated_network,
    students,
)

__all__ = [
    "INPUTS",
    "TRUTH",
    "apart",
    "best_detector",
    "borrowed_labels",
    "cka",
    "control_labels",
    "erase_directions",
    "explained",
    "fit_probe",
    "leace",
    "least_squares",
    "p_value",
    "precision_recall",
    "random_rotation",
    "rotated_network",
    "selectivity",
    "separable_share",
    "sparse_accuracy",
    "students",
]

LESSON = "16"
