"""Learning from comparisons and rewards: reward models, DPO, REINFORCE and GRPO, as lesson 20
builds them.
"""

from course_utils.preferences.pairwise import (
    RewardModel,
    bradley_terry_loss,
    dpo_loss,
    reward_accuracy,
)
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
    clipped_loss,
    group_advantages,
    leashed_reward,
    overoptimisation_fit,
    reinforce,
    reinforce_loss,
    sample_answers,
    varied_reward,
)
from course_utils.preferences.runs import (
    FEW,
    GRPO,
    answerer,
    copy_of,
    divergence,
    features,
    fit_head,
    measured,
    measuring,
    own_labels,
    polish,
    recorded,
    set_head,
    train_dpo,
)

__all__ = [
    "FEW",
    "GRPO",
    "MADE_FROM",
    "N_NEW",
    "Questions",
    "RewardModel",
    "advantages",
    "answer_reward",
    "answerer",
    "best_of_n_kl",
    "best_of_n_mean",
    "bradley_terry_loss",
    "clipped_loss",
    "copy_of",
    "divergence",
    "dpo_loss",
    "features",
    "fit_head",
    "group_advantages",
    "leashed_reward",
    "make_pairs",
    "measured",
    "measuring",
    "overoptimisation_fit",
    "own_labels",
    "polish",
    "recorded",
    "reinforce",
    "reinforce_loss",
    "reward_accuracy",
    "sample_answers",
    "set_head",
    "stored_pairs",
    "text_of",
    "train_dpo",
    "varied_reward",
]

LESSON = "20"
