"""Texts to train on: generated stories whose entropy is known exactly, and real English."""

from course_utils.stories.corpus import (
    ID,
    decode_words,
    encode_words,
    entropy_per_token,
    next_token_distribution,
    ngram_entropy,
    stories,
)
from course_utils.stories.english import manual
from course_utils.stories.grammar import BOYS, GIRLS, VOCAB, Teller

__all__ = [
    "BOYS",
    "GIRLS",
    "ID",
    "Teller",
    "VOCAB",
    "decode_words",
    "encode_words",
    "entropy_per_token",
    "manual",
    "next_token_distribution",
    "ngram_entropy",
    "stories",
]
