"""Smaller models: distillation, pruning and quantization, as lesson 21 builds them."""

from course_utils.compression.distillation import (
    STUDENT,
    TEXTS,
    School,
    distillation_loss,
    perfect_teacher,
    recorded,
)
from course_utils.compression.shrinking import (
    GRANULARITIES,
    int8_linear,
    magnitude_mask,
    magnitude_masks,
    matrices,
    pruned,
    quantize_absmax,
    quantized,
    rounded,
    stored_bytes,
)

__all__ = [
    "GRANULARITIES",
    "STUDENT",
    "School",
    "TEXTS",
    "distillation_loss",
    "int8_linear",
    "magnitude_mask",
    "magnitude_masks",
    "matrices",
    "perfect_teacher",
    "pruned",
    "quantize_absmax",
    "quantized",
    "recorded",
    "rounded",
    "stored_bytes",
]

LESSON = "21"
