"""More compute at test time: the running sum and the real model of lesson 12."""

from course_utils.test_time_compute.real_model import (
    answer_probabilities,
    coverage_of,
    greedy_answers,
    recorded_model,
    smollm2,
    sums,
)
from course_utils.test_time_compute.running_sum import (
    STYLES,
    RunningSum,
    best_of,
    coverage,
    half_trained,
    majority_of_two,
    majority_vote,
    pass_at_k,
    recorded,
    sum_loss,
)
from course_utils.test_time_compute.search import (
    beam_over_steps,
    early_models,
    flop_a_token,
    frontier,
    noisy,
    recorded_trade,
    right_if_passed,
    step_chances,
    step_search,
)

__all__ = [
    "greedy_answers",
    "beam_over_steps",
    "early_models",
    "flop_a_token",
    "frontier",
    "noisy",
    "recorded_trade",
    "right_if_passed",
    "step_chances",
    "step_search",
    "RunningSum",
    "STYLES",
    "sum_loss",
    "answer_probabilities",
    "best_of",
    "coverage",
    "coverage_of",
    "half_trained",
    "majority_of_two",
    "majority_vote",
    "pass_at_k",
    "recorded",
    "recorded_model",
    "smollm2",
    "sums",
]

LESSON = "12"
