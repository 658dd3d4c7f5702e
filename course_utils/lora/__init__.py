"""LoRA: thin matrices beside frozen ones, as lesson 19 builds them."""

from course_utils.lora.runs import NEW, Run, find, fine_tune, recorded

__all__ = ["NEW", "Run", "find", "fine_tune", "recorded"]
