"""The induction circuit: grown from scratch, read, cut and rescued in lesson 15."""

from course_utils.induction.ablation import (
    ablated,
    all_heads,
    harm,
    harm_through,
    interactions,
    mean_ablate,
    predicted_harm,
    zero_ablate,
)
from course_utils.induction.heads import (
    attention_only,
    grow,
    late_repeats,
    look,
    repeat_batches,
    repeated_sequences,
    rise,
    token_losses,
)

__all__ = [
    "ablated",
    "all_heads",
    "attention_only",
    "grow",
    "harm",
    "harm_through",
    "interactions",
    "late_repeats",
    "look",
    "mean_ablate",
    "predicted_harm",
    "repeat_batches",
    "repeated_sequences",
    "rise",
    "token_losses",
    "zero_ablate",
]

LESSON = "15"
