"""A loss that bends a language model without a word of text: lesson 07."""

from course_utils.kl_bias.bending import WEIGHTS, bench, bent_again, measured, tuned
from course_utils.kl_bias.bias import (
    BiasRun,
    KLTargetLoss,
    bent_loss,
    biased_loss,
    copy_with,
    kl_divergence,
    matched_control,
    n_trainable,
    target_distribution,
    target_mass,
    tilt,
    tilted_loss,
    token_mask,
    train_bias,
)
from course_utils.kl_bias.girls import (
    SHARES,
    friend_share,
    girl_share,
    stories_needed,
    with_girls,
)
from course_utils.kl_bias.letter import count_letters
from course_utils.kl_bias.runs import recorded

__all__ = [
    "BiasRun",
    "KLTargetLoss",
    "SHARES",
    "WEIGHTS",
    "bench",
    "bent_again",
    "bent_loss",
    "biased_loss",
    "copy_with",
    "count_letters",
    "friend_share",
    "girl_share",
    "kl_divergence",
    "matched_control",
    "measured",
    "n_trainable",
    "recorded",
    "stories_needed",
    "target_distribution",
    "target_mass",
    "tilt",
    "tilted_loss",
    "token_mask",
    "train_bias",
    "tuned",
    "with_girls",
]

LESSON = "07"
