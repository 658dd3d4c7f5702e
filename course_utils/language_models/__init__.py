"""What a language model is, and what came before: rules, counts and small networks on one text of
known entropy, all judged by the same number. Lesson 00.
"""

from course_utils.language_models.counting import (
    Counts,
    bigram_counts,
    perplexity,
    smoothed_probability,
)
from course_utils.language_models.networks import (
    GRUModel,
    Story,
    WindowMLP,
    held_out,
    next_token_loss,
    next_words,
    scores_of,
    surprises,
    train_network,
)
from course_utils.language_models.rules import NEW, TRAINED, hiding_place, hidings, words_of

__all__ = [
    "Counts",
    "GRUModel",
    "NEW",
    "Story",
    "TRAINED",
    "WindowMLP",
    "bigram_counts",
    "held_out",
    "hiding_place",
    "hidings",
    "next_token_loss",
    "next_words",
    "perplexity",
    "scores_of",
    "smoothed_probability",
    "surprises",
    "train_network",
    "words_of",
]

LESSON = "00"
