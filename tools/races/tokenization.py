"""Training and encoding: the naive loops, ours, and the libraries written in Rust."""

from collections.abc import Callable, Iterator, Mapping
from copy import copy
from functools import cache
from itertools import pairwise
from typing import Any

from course_utils.stories.english import documentation, manual
from course_utils.tokenization import bpe as tokenization
from course_utils.tokenization import published
from races import OURS, Race


@cache
def sample(n_bytes: int) -> str:
    """English prose (the manual of Python), then the documentation of its library: the same on
    every machine.
    """
    data = (manual() + documentation()).encode("utf-8")
    if len(data) < n_bytes:
        raise ValueError(f"{n_bytes:,} bytes wanted, and the stored texts have {len(data):,}")
    return data[:n_bytes].decode("utf-8", errors="ignore")


def naive_train(pieces: list[str], n_merges: int) -> dict[tuple[int, int], int]:
    """The textbook loop, as minbpe has it: count all pairs, merge the most frequent one everywhere,
    start again.
    """
    rows = [list(piece.encode("utf-8")) for piece in pieces]
    merges = {}
    for new_id in range(256, 256 + n_merges):
        counts = count_of_pairs(rows)
        if not counts:
            break
        best = min(counts, key=lambda pair: (-counts[pair], pair))
        merges[best] = new_id
        rows = [naive_merge(ids, best, new_id) for ids in rows]
    return merges


def naive_encode(
    pieces: list[str], merges: Mapping[tuple[int, int], int], byte_ids: list[int]
) -> list[int]:
    """The textbook loop, as minbpe has it: in each piece, count the pairs, apply the merge learned
    first, look again.
    """
    out = []
    for piece in pieces:
        ids = [byte_ids[byte] for byte in piece.encode("utf-8")]
        while len(ids) > 1:
            best = min(count_of_pairs([ids]), key=lambda pair: merges.get(pair, float("inf")))
            if best not in merges:
                break
            ids = naive_merge(ids, best, merges[best])
        out += ids
    return out


def count_of_pairs(rows: list[list[int]]) -> dict[tuple[int, int], int]:
    counts: dict[tuple[int, int], int] = {}
    for ids in rows:
        for pair in pairwise(ids):
            counts[pair] = counts.get(pair, 0) + 1
    return counts


def naive_merge(ids: list[int], pair: tuple[int, int], new_id: int) -> list[int]:
    merged = []
    i = 0
    while i < len(ids):
        if i + 1 < len(ids) and ids[i] == pair[0] and ids[i + 1] == pair[1]:
            merged.append(new_id)
            i += 2
        else:
            merged.append(ids[i])
            i += 1
    return merged


def remembering(tokenizer: Any, known: Mapping[str, list[int]]) -> Any:
    """The tokenizer with a memory of its own, of just these pieces, so that a round teaches the
    next one nothing.
    """
    tokenizer = copy(tokenizer)
    tokenizer._known = dict(known)
    return tokenizer


def races(
    train_bytes: int = 50_000, encode_bytes: int = 1_000_000, n_merges: int = 1000
) -> Iterator[Race]:
    yield from _training_races(train_bytes, n_merges)
    yield from _coding_races(encode_bytes)


def _training_races(train_bytes: int, n_merges: int) -> Iterator[Race]:
    """A text cut with GPT-2's pattern, and a shorter one in one piece."""
    for cut, size in ((True, train_bytes), (False, train_bytes // 5 * 2)):
        text = sample(size)
        pattern = tokenization.GPT2_PATTERN if cut else None
        how = "cut with GPT-2's pattern" if cut else "in one piece"
        yield Race(
            f"training to {n_merges:,} merges, {size:,} bytes {how}",
            {
                OURS: lambda: tokenization.BPETokenizer.train(text, 256 + n_merges, pattern).merges,
                "naive loop": lambda: naive_train(
                    tokenization.pretokenize(text) if cut else [text], n_merges
                ),
                "tokenizers": _rust_training(text, cut, n_merges),
            },
            required={"naive loop": 20} if cut else {},
            same=frozenset({"naive loop"}),
        )


def _rust_training(text: str, cut: bool, n_merges: int) -> Callable[[], Any]:
    """The work of the library tokenizers on this text."""
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    def work() -> Tokenizer:
        tokenizer = Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=cut)
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        trainer = trainers.BpeTrainer(
            vocab_size=256 + n_merges, initial_alphabet=alphabet, show_progress=False
        )
        tokenizer.train_from_iterator([text], trainer)
        return tokenizer

    return work


def _coding_races(encode_bytes: int) -> Iterator[Race]:
    """The same text to ids, and back, with GPT-2's merges."""
    import tiktoken

    text = sample(encode_bytes)
    ours = tokenization.BPETokenizer.from_gpt2()
    hf = published.gpt2_tokenizer().backend_tokenizer
    ranks = {ours.vocab[i]: i for i in range(len(ours) - 1)}
    rust = tiktoken.Encoding(
        "gpt2",
        pat_str=tokenization.GPT2_PATTERN,
        mergeable_ranks=ranks,
        special_tokens=ours.special,
    )
    byte_ids = [ranks[bytes([byte])] for byte in range(256)]
    used = remembering(ours, {})  # in use: it has met another text, never this one
    used.encode(sample(2 * encode_bytes)[len(text) :])
    yield Race(
        f"encoding {encode_bytes:,} bytes with GPT-2's merges",
        {
            OURS: lambda: remembering(ours, used._known).encode(text),
            "ours, 1st call": lambda: remembering(ours, {}).encode(text),
            "naive loop": lambda: naive_encode(
                tokenization.pretokenize(text), ours.merges, byte_ids
            ),
            "tokenizers": lambda: hf.encode(text).ids,
            "tiktoken": lambda: rust.encode_ordinary(text),
        },
        required={"naive loop": 10},
        same=frozenset({"ours, 1st call", "naive loop", "tokenizers", "tiktoken"}),
    )
    yield _decoding_race(ours.encode(text), ours, hf, rust)


def _decoding_race(ids: list[int], ours: tokenization.BPETokenizer, hf: Any, rust: Any) -> Race:
    """These ids back to a text, with ours, with tokenizers and with tiktoken."""
    from tokenizers import decoders

    coder = decoders.ByteLevel()
    return Race(
        f"decoding {len(ids):,} tokens",
        {
            OURS: lambda: ours.decode(ids),
            "tokenizers": lambda: coder.decode([hf.id_to_token(i) for i in ids]),
            "tiktoken": lambda: rust.decode(ids),
        },
        same=frozenset({"tokenizers", "tiktoken"}),
    )
