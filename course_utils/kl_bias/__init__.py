"""A loss that bends a language model without a word of text: lesson 07."""

from course_utils.kl_bias.bias import (
    BiasRun,
    KLTargetLoss,
    biased_loss,
    copy_with,
    kl_divergence,
    n_trainable,
    target_distribution,
    target_mass,
    tilted_loss,
    token_mask,
    train_bias,
)

__all__ = [
    "BiasRun",
    "KLTargetLoss",
    "biased_loss",
    "copy_with",
    "kl_divergence",
    "n_trainable",
    "target_distribution",
    "target_mass",
    "tilted_loss",
    "token_mask",
    "train_bias",
]

LESSON = "07"
