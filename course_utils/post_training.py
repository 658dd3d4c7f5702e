"""What notebook 09 builds, in one room: fine-tuning, preferences, reinforcement, compression; each part in its own module.

fine_tuning.py (the loss on the answer, LoRA), preferences.py (reward models, DPO), reinforcement.py (REINFORCE with a leash),
distillation.py, compression.py (pruning, quantization), guard_rails.py (attacks and defences).
"""

from course_utils.compression import magnitude_mask, quantize_absmax
from course_utils.distillation import distillation_loss
from course_utils.fine_tuning import (
    LoRALinear,
    accuracy,
    add_lora,
    answer_loss,
    answer_mask,
    answers,
    assistant,
    base_with_chat,
    lora_forward,
    lora_merge,
    merge_lora,
    story_loss,
)
from course_utils.preferences import dpo_loss
from course_utils.reinforcement import advantages, leashed_reward

__all__ = [
    "LoRALinear",
    "accuracy",
    "add_lora",
    "advantages",
    "answer_loss",
    "answer_mask",
    "answers",
    "assistant",
    "base_with_chat",
    "distillation_loss",
    "dpo_loss",
    "leashed_reward",
    "lora_forward",
    "lora_merge",
    "magnitude_mask",
    "merge_lora",
    "quantize_absmax",
    "story_loss",
]
