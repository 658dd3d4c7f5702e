"""Learning from comparisons and rewards: reward models, DPO and REINFORCE, as lesson 20 builds
them.
"""

from course_utils.preferences.pairwise import RewardModel, dpo_loss, reward_accuracy
from course_utils.preferences.questions import (
    MADE_FROM,
    N_NEW,
    Questions,
    make_pairs,
    stored_pairs,
    text_of,
)
from course_utils.preferences.reinforcement import (
    advantages,
    answer_reward,
    best_of_n_kl,
    best_of_n_mean,
    leashed_reward,
    overoptimisation_fit,
    sample_answers,
)
from course_utils.preferences.runs import (
    FEW,
    answer_flops,
    copy_of,
    features,
    fit_head,
    polish,
    post_training_flops,
    recorded,
    set_head,
    train_dpo,
)

__all__ = [
    "FEW",
    "MADE_FROM",
    "N_NEW",
    "Questions",
    "RewardModel",
    "advantages",
    "answer_flops",
    "answer_reward",
    "best_of_n_kl",
    "best_of_n_mean",
    "copy_of",
    "dpo_loss",
    "features",
    "fit_head",
    "leashed_reward",
    "make_pairs",
    "overoptimisation_fit",
    "polish",
    "recorded",
    "reward_accuracy",
    "sample_answers",
    "set_head",
    "stored_pairs",
    "text_of",
    "train_dpo",
    "post_training_flops",
]

LESSON = "20"
