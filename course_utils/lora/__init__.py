"""LoRA: thin matrices beside frozen ones, as lesson 19 builds them."""

from course_utils.lora.adapters import MATRICES, LoRALinear, add_lora, lora_size, merge_lora
from course_utils.lora.runs import NEW, FineTuningRun, find, fine_tune, recorded

__all__ = [
    "LoRALinear",
    "MATRICES",
    "NEW",
    "FineTuningRun",
    "add_lora",
    "find",
    "fine_tune",
    "lora_size",
    "merge_lora",
    "recorded",
]

LESSON = "19"
