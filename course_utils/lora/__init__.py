"""LoRA: thin matrices beside frozen ones, as lesson 19 builds them."""

from course_utils.lora.adapters import (
    MATRICES,
    LoRALinear,
    add_lora,
    cut_update,
    lora_size,
    merge_lora,
)
from course_utils.lora.runs import (
    ARMS,
    CUTS,
    METHODS,
    NEW,
    FineTuningRun,
    exam,
    fine_tune,
    first_steps,
    marks_of,
    recorded,
    rows_of_arm,
    trained_numbers,
)

__all__ = [
    "ARMS",
    "CUTS",
    "FineTuningRun",
    "LoRALinear",
    "MATRICES",
    "METHODS",
    "NEW",
    "add_lora",
    "cut_update",
    "exam",
    "fine_tune",
    "first_steps",
    "lora_size",
    "marks_of",
    "merge_lora",
    "recorded",
    "rows_of_arm",
    "trained_numbers",
]

LESSON = "19"
