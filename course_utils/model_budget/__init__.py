"""What a model costs: parameters, memory and FLOP, as lesson 08 counts them."""

from course_utils.machine.memory import enough_memory, if_it_fits
from course_utils.model_budget.census import (
    FORMULAS,
    GPT3,
    GPT3_TOKENS,
    MACHINES,
    PEAKS,
    TRAININGS,
    Training,
    count_parameters,
    counted,
    flop_utilization,
    flops_per_token,
    kv_cache_bytes,
    largest_batch,
    on_meta,
    predicted,
    saved_activations,
    stays_tied,
    training_cost,
    training_flops,
    training_memory,
    training_peak,
)
from course_utils.model_budget.memory import step_peak

__all__ = [
    "FORMULAS",
    "GPT3",
    "GPT3_TOKENS",
    "MACHINES",
    "PEAKS",
    "TRAININGS",
    "Training",
    "count_parameters",
    "counted",
    "enough_memory",
    "flop_utilization",
    "flops_per_token",
    "if_it_fits",
    "kv_cache_bytes",
    "largest_batch",
    "on_meta",
    "predicted",
    "saved_activations",
    "stays_tied",
    "step_peak",
    "training_cost",
    "training_flops",
    "training_memory",
    "training_peak",
]

LESSON = "08"
