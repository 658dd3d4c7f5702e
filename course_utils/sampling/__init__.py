"""From logits to text: the ways of choosing the next token that lesson 09 builds."""

from course_utils.sampling.decoding import draw, generate

__all__ = ["draw", "generate"]

LESSON = "09"
