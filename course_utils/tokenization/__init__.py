"""Byte-level byte-pair encoding, the published tokenizers to hold it against, and chats: lesson 01.

What ids hide is in `spelling`, which needs torch; importing the rest does not.
"""

from course_utils.tokenization.bpe import (
    GPT2_PATTERN,
    BPETokenizer,
    build_vocab,
    byte_counts,
    compression,
    count_pairs,
    decode,
    encode,
    merge,
    pretokenize,
    train_bpe,
)
from course_utils.tokenization.chats import chat_ids
from course_utils.tokenization.published import (
    gpt2_tokenizer,
    gpt4_tokenizer,
    gpt4o_tokenizer,
)

__all__ = [
    "BPETokenizer",
    "GPT2_PATTERN",
    "build_vocab",
    "byte_counts",
    "chat_ids",
    "compression",
    "count_pairs",
    "decode",
    "encode",
    "gpt2_tokenizer",
    "gpt4_tokenizer",
    "gpt4o_tokenizer",
    "merge",
    "pretokenize",
    "train_bpe",
]

LESSON = "01"
