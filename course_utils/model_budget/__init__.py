"""What a model costs: parameters, memory and FLOP, as lesson 08 counts them."""

from course_utils.model_budget.census import (
    FORMULAS,
    GPT3,
    GPT3_TOKENS,
    MACHINES,
    count_parameters,
    counted,
    flops_per_token,
    kv_cache_bytes,
    on_meta,
    predicted,
    saved_activations,
    training_cost,
    training_flops,
    training_memory,
)

__all__ = [
    "FORMULAS",
    "GPT3",
    "GPT3_TOKENS",
    "MACHINES",
    "count_parameters",
    "counted",
    "flops_per_token",
    "kv_cache_bytes",
    "on_meta",
    "predicted",
    "saved_activations",
    "training_cost",
    "training_flops",
    "training_memory",
]

LESSON = "08"
