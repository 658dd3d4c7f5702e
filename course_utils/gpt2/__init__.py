"""GPT-2 with published weights or ours: the model that lesson 04 builds."""

from course_utils.gpt2.model import GPT, SIZES, GPTConfig, convert_weights

__all__ = ["GPT", "GPTConfig", "SIZES", "convert_weights"]

LESSON = "04"
