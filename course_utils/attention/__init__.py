"""Scaled dot-product attention, from the softmax to many heads and a cache: what lesson 02
builds.
"""

from course_utils.attention.heads import (
    KVCache,
    MultiHeadAttention,
    attention,
    attention_weights,
    average_past_loop,
    average_past_matrix,
    average_past_softmax,
    cached_step,
    causal_head,
    causal_mask,
    leaks,
    merge_heads,
    repeat_kv,
    softmax,
    split_heads,
)

__all__ = [
    "KVCache",
    "MultiHeadAttention",
    "attention",
    "attention_weights",
    "average_past_loop",
    "average_past_matrix",
    "average_past_softmax",
    "cached_step",
    "causal_head",
    "causal_mask",
    "leaks",
    "merge_heads",
    "repeat_kv",
    "softmax",
    "split_heads",
]

LESSON = "02"
