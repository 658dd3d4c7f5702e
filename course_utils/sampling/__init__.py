"""From logits to text: the ways of choosing the next token that lesson 09 builds."""

from course_utils.sampling.cost import fetched_per_token
from course_utils.sampling.decoding import (
    distribution,
    draw,
    entropy,
    generate,
    greedy,
    min_p,
    next_token,
    repetition_penalty,
    token_at,
    top_k,
    top_p,
)
from course_utils.sampling.search import beam_search, beam_step

__all__ = [
    "beam_search",
    "beam_step",
    "distribution",
    "draw",
    "entropy",
    "fetched_per_token",
    "generate",
    "greedy",
    "min_p",
    "next_token",
    "repetition_penalty",
    "token_at",
    "top_k",
    "top_p",
]

LESSON = "09"
