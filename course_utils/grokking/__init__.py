"""A network that learns modular addition late and all at once, and what makes it look sudden:
lesson 17.
"""

from course_utils.grokking.emergence import exact_match, memorise
from course_utils.grokking.measures import (
    curves,
    early_stop,
    exact_sequences,
    new_pairs,
    reaches,
    recorded,
    recorded_film,
    running_sums,
    suddenness,
)
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
    "curves",
    "early_stop",
    "exact_match",
    "exact_sequences",
    "excluded_logits",
    "frequency_power",
    "key_frequencies",
    "loss_and_accuracy",
    "memorise",
    "new_pairs",
    "reaches",
    "recorded",
    "recorded_film",
    "restricted_logits",
    "restricted_loss",
    "running_sums",
    "split",
    "suddenness",
    "train_adder",
]

LESSON = "17"
