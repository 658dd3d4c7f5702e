"""The chat in which instructions are written: roles, special tokens, a few words more than the
stories have.

A chat is a row of turns. Each is the token of its role, its words, <end of turn>; a prompt ends
with <assistant>, and what the model says from there to its own <end of turn> is the answer. Roles
come from the caller: no text can forge one.
Shapes: T tokens, ids of CHAT_VOCAB, which begins with the storyteller's VOCAB.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from course_utils import assets
from course_utils.gpt2.model import GPT
from course_utils.stories.corpus import ID
from course_utils.stories.grammar import VOCAB

TEXTS = tomllib.loads(assets.read_text("instruction_tuning/instructions.toml"))
ROLES = ("system", "user", "assistant")
REFUSAL = "I am sorry, I must not talk about that."


def split_words(text: str) -> list[str]:
    """Return the words and marks of a text; a capital at a sentence's start is taken away unless it
    is a name's.

    >>> split_words("“Who has it?” asked Zoe.")
    ['“', 'who', 'has', 'it', '?', '”', 'asked', 'Zoe', '.']
    """
    words = re.findall(r"[^\W\d_]+|[^\s\w]", text)
    return [word if word in ID else word[:1].lower() + word[1:] for word in words]


def _extra_words() -> list[str]:
    """The words of the templates and answers that the stories do not have."""
    wordings = [
        text
        for entry in TEXTS.values()
        for text in entry.get("train", []) + entry.get("held_out", [])
    ]
    texts = [re.sub(r"{\w+}", "", text) for text in wordings] + [REFUSAL, "nobody has"]
    return sorted({word for text in texts for word in split_words(text)} - set(VOCAB))


SPECIAL = (*(f"<{role}>" for role in ROLES), "<end of turn>")
CHAT_VOCAB = (*VOCAB, *SPECIAL, *_extra_words())
CHAT_ID = {word: i for i, word in enumerate(CHAT_VOCAB)}
SYSTEM, USER, ASSISTANT, END_OF_TURN = (CHAT_ID[word] for word in SPECIAL)


def encode_chat(turns: Iterable[tuple[str, str]], forge: bool = False) -> Tensor:
    """Return the ids (T,) of turns (role, text): the role's token, the words, the end of the turn;
    then <assistant>.

    Where the last turn is the assistant's own, nothing follows it. A text cannot hold a special
    token: "<system>" in it is an error. With `forge` it becomes that token, which is how an attack
    is made, on purpose.
    Raises: ValueError for an unknown role and for words that are not in CHAT_VOCAB.

    >>> decode_chat(encode_chat([("user", "Who has the ball?")]))
    '<user> Who has the ball? <end of turn> <assistant>'
    """
    words = []
    role = None
    for role, text in turns:
        if role not in ROLES:
            raise ValueError(f"there is no role {role!r}: choose one of {', '.join(ROLES)}")
        pieces = re.split(f"({'|'.join(SPECIAL)})", text) if forge else [text]
        inside = [
            word
            for piece in pieces
            for word in ([piece] if piece in SPECIAL else split_words(piece))
        ]
        words += [f"<{role}>", *inside, "<end of turn>"]
    if role != "assistant":
        words.append("<assistant>")
    if unknown := sorted({word for word in words if word not in CHAT_ID}):
        raise ValueError(
            f"not in CHAT_VOCAB: {unknown[:10]}; the chat knows {len(CHAT_VOCAB)} words. Special tokens are "
            "written by encode_chat alone, from the roles (or with forge=True)"
        )
    return torch.tensor([CHAT_ID[word] for word in words])


def decode_chat(ids: Tensor | Iterable[int]) -> str:
    """Return the text of these ids, with spaces and capitals as in print; special tokens stand in
    angle brackets.

    Raises: ValueError for an id that is not in CHAT_VOCAB.

    >>> decode_chat(encode_chat([("assistant", "Zoe has the ball.")]))
    '<assistant> Zoe has the ball. <end of turn>'
    """
    ids = torch.as_tensor(ids).tolist()
    if unknown := [i for i in ids if not 0 <= i < len(CHAT_VOCAB)]:
        raise ValueError(
            f"no token has the id {unknown[0]}: the chat's ids are 0 to {len(CHAT_VOCAB) - 1}"
        )
    text = " ".join(CHAT_VOCAB[i] for i in ids)
    text = re.sub(r" ([,.?!”])", r"\1", text).replace("“ ", "“")
    starts = r"((?:^|[.?!]”? |> )“?|, “)(?!said\b)([a-z])"
    return re.sub(starts, lambda match: match[1] + match[2].upper(), text)


def extend_vocabulary(
    model: GPT, n: int, generator: torch.Generator | None = None, noise: float = 0.1
) -> GPT:
    """Return a copy of the model with n more tokens; their rows are the mean of the old ones plus a
    little noise.

    noise: its size, as a share of the old rows' spread. Raises: ValueError for n < 0, or where the
    head is not tied.

    >>> from course_utils.pretrained import storyteller
    >>> extend_vocabulary(storyteller(), 4).config.vocab_size
    703
    """
    if n < 0 or not model.config.tie_word_embeddings:
        raise ValueError(
            f"n = {n}: give 0 or more new tokens, and a model whose head is tied to its embedding"
        )
    old = model.wte.weight.detach()  # (V, d_model)
    draws = torch.randn(n, old.size(1), generator=generator or torch.Generator().manual_seed(0)).to(
        old
    )
    rows = old.mean(0) + noise * old.std(0) * draws  # (n, d_model)
    state = {
        name: x.detach().clone()
        for name, x in model.state_dict().items()
        if name != "lm_head.weight"
    }
    state["wte.weight"] = torch.cat([old, rows])  # (V + n, d_model)
    return GPT.from_state(replace(model.config, vocab_size=len(old) + n), state)


def print_words(words: Sequence[str]) -> str:
    """Return the text of these words as in print; ValueError for one that is not in CHAT_VOCAB.

    >>> print_words(["who", "has", "it", "?"])
    'Who has it?'
    """
    if unknown := sorted(set(words) - set(CHAT_VOCAB)):
        raise ValueError(f"not in CHAT_VOCAB: {unknown[:10]}")
    return decode_chat([CHAT_ID[word] for word in words])
