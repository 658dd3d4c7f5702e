"""From logits to text: the ways of choosing the next token that lesson 09 builds."""

from course_utils.sampling.decoding import (
    distribution,
    draw,
    entropy,
    generate,
    greedy,
    min_p,
    next_token,
    repetition_penalty,
    top_k,
    top_p,
)

__all__ = [
    "distribution",
    "draw",
    "entropy",
    "generate",
    "greedy",
    "min_p",
    "next_token",
    "repetition_penalty",
    "top_k",
    "top_p",
]

LESSON = "09"
