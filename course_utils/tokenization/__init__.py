"""Byte-level byte-pair encoding, and the published tokenizers to hold it against: lesson 01."""

from course_utils.tokenization.bpe import (
    GPT2_PATTERN,
    BPETokenizer,
    build_vocab,
    compression,
    count_pairs,
    decode,
    encode,
    merge,
    pretokenize,
    train_bpe,
)
from course_utils.tokenization.published import (
    bert_tokenizer,
    bytes_to_unicode,
    gpt2_tokenizer,
    gpt4_tokenizer,
)

__all__ = [
    "BPETokenizer",
    "GPT2_PATTERN",
    "bert_tokenizer",
    "build_vocab",
    "bytes_to_unicode",
    "compression",
    "count_pairs",
    "decode",
    "encode",
    "gpt2_tokenizer",
    "gpt4_tokenizer",
    "merge",
    "pretokenize",
    "train_bpe",
]

LESSON = "01"
