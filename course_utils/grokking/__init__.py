"""A network that learns modular addition late and all at once, and what makes it look sudden:
lesson 17.
"""

from course_utils.grokking.emergence import exact_match, memorise
from course_utils.grokking.modular_addition import (
    ModularAdder,
    by_sum,
    excluded_logits,
    frequency_power,
    key_frequencies,
    loss_and_accuracy,
    restricted_logits,
    restricted_loss,
    split,
    train_adder,
)

__all__ = [
    "ModularAdder",
    "by_sum",
    "exact_match",
    "excluded_logits",
    "frequency_power",
    "key_frequencies",
    "loss_and_accuracy",
    "memorise",
    "restricted_logits",
    "restricted_loss",
    "split",
    "train_adder",
]

LESSON = "17"
