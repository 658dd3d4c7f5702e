"""What breaks when trained matrices are broken: lesson 10."""

from course_utils.inside_gpt2.lesion import (
    MATRICES,
    excess_kurtosis,
    lesioned,
    loss_rise,
    matrices,
    mean_interval,
    spreading,
    tail_share,
)

__all__ = [
    "MATRICES",
    "excess_kurtosis",
    "mean_interval",
    "lesioned",
    "loss_rise",
    "matrices",
    "spreading",
    "tail_share",
]

LESSON = "10"
