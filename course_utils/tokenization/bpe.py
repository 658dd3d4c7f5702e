"""Byte-level byte-pair encoding (BPE): the small steps of lesson 01, the finished tokenizer, and
GPT-2's own merges.
"""

import heapq
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from itertools import pairwise
from operator import index

import regex

from course_utils.tokenization import published as tokenization
from course_utils.tokenization.published import bytes_to_unicode

Pair = tuple[int, int]
END_OF_TEXT = "<|endoftext|>"
# How GPT-2 cuts a text before any merge: endings such as 's, then letters, digits or symbols, each
# with at most one space in front, then what white space is left. Merges never cross a cut. Source:
# Radford et al. 2019, section 2.2.
GPT2_PATTERN = r"""'(?:[sdmt]|ll|ve|re)| ?(?:\p{L}+|\p{N}+|[^\s\p{L}\p{N}]+)|\s+(?!\S)|\s+"""


def byte_counts(text: str) -> dict[int, int]:
    """Says how many characters of a text take 1, 2, 3 and 4 bytes in UTF-8; 0 where none does.

    Source: the Unicode Standard, UTF-8.

    >>> byte_counts("Tiếng Việt")
    {1: 8, 2: 0, 3: 2, 4: 0}
    """
    counts = {1: 0, 2: 0, 3: 0, 4: 0}
    for character in text:
        counts[len(character.encode("utf-8"))] += 1
    return counts


def count_pairs(ids: list[int]) -> dict[tuple[int, int], int]:
    """Counts how often each pair of neighbouring ids occurs; overlapping pairs count too.

    >>> count_pairs([1, 2, 1, 2, 3])
    {(1, 2): 2, (2, 1): 1, (2, 3): 1}
    """
    counts = {}
    for pair in zip(ids, ids[1:], strict=False):
        counts[pair] = counts.get(pair, 0) + 1
    return counts


def merge(ids: list[int], pair: tuple[int, int], new_id: int) -> list[int]:
    """Replaces each `pair` by `new_id`, from left to right: no id is used twice.

    >>> merge([1, 1, 1, 2], (1, 1), 256)
    [256, 1, 2]
    """
    merged = []
    i = 0
    while i < len(ids):
        if tuple(ids[i : i + 2]) == pair:
            merged.append(new_id)
            i += 2
        else:
            merged.append(ids[i])
            i += 1
    return merged


def train_bpe(text: str, n_merges: int) -> dict[tuple[int, int], int]:
    """Learns merges: the most frequent pair becomes the next free id (256, 257, …); repeat.

    Of pairs equally frequent, the one with the smallest ids wins. Stops where no pair is left.
    Source: Sennrich et al. 2016, Neural Machine Translation of Rare Words, algorithm 1.

    >>> train_bpe("low lower lowest", 3)  # l+o, lo+w, space+low
    {(108, 111): 256, (256, 119): 257, (32, 257): 258}
    """
    ids = list(text.encode("utf-8"))
    merges = {}
    while len(merges) < n_merges and len(ids) > 1:
        counts = count_pairs(ids)
        pair = min(counts, key=lambda pair: (-counts[pair], pair))
        merges[pair] = 256 + len(merges)
        ids = merge(ids, pair, merges[pair])
    return merges


def encode(text: str, merges: dict[tuple[int, int], int]) -> list[int]:
    """Turns text into ids: its UTF-8 bytes, then each merge that applies, in learning order.

    >>> encode("lower", {(108, 111): 256, (256, 119): 257})
    [257, 101, 114]
    """
    ids = list(text.encode("utf-8"))
    while known := [pair for pair in zip(ids, ids[1:], strict=False) if pair in merges]:
        first = min(known, key=merges.get)
        ids = merge(ids, first, merges[first])
    return ids


def build_vocab(
    merges: Mapping[Pair, int], alphabet: bytes = bytes(range(256))
) -> dict[int, bytes]:
    """Maps each id to its bytes: the 256 single bytes in the order of `alphabet`, then what each
    merge joins.

    >>> build_vocab({(108, 111): 256, (256, 119): 257})[257]
    b'low'
    """
    vocab = {i: bytes([byte]) for i, byte in enumerate(alphabet)}
    for (left, right), new_id in merges.items():
        vocab[new_id] = vocab[left] + vocab[right]
    return vocab


def decode(ids: list[int], merges: dict[tuple[int, int], int]) -> str:
    """Turns ids back into text; bytes that are not valid UTF-8 become U+FFFD (�).

    >>> decode([257, 101, 114], {(108, 111): 256, (256, 119): 257})
    'lower'
    """
    vocab = build_vocab(merges)
    return b"".join(vocab[i] for i in ids).decode("utf-8", errors="replace")


def compression(text: str, ids: list[int]) -> float:
    """UTF-8 bytes per token, 1.0 before any merge. Raises ValueError where there is none.

    >>> compression("naïve", [110, 97, 195, 175, 256])
    1.2
    """
    if len(ids) == 0:
        raise ValueError("compression needs at least one token; an empty text has none.")
    return len(text.encode("utf-8")) / len(ids)


def pretokenize(text: str, pattern: str = GPT2_PATTERN) -> list[str]:
    """Cuts text into the pieces that merges may not cross. Raises ValueError where the pattern
    leaves characters out.

    >>> pretokenize("I've  2 cats!")
    ['I', "'ve", ' ', ' 2', ' cats', '!']
    """
    # the shape is nearly always the text itself
    cutter = regex.compile(pattern)
    shape = tokenization.as_unicode_16(text)
    if shape is text and not cutter.groups:
        pieces = cutter.findall(text)
    else:
        pieces = [text[cut.start() : cut.end()] for cut in cutter.finditer(shape)]
    if sum(map(len, pieces)) != len(text):
        raise ValueError(
            f"the pattern {pattern!r} leaves characters out; end it with |(?s:.) to keep every one."
        )
    return pieces


# From here on the same steps, fast: ids in a row that know their neighbours, so that a merge costs
# the same in any text. between words and at both ends, in no pair; merged into the id on its left
_GAP = -1
_USED = -2
_NONE = 2**63  # no merge: above every id


def learn_merges(
    words: Mapping[tuple[int, ...], int], n_merges: int, first_id: int = 256
) -> dict[Pair, int]:
    """Learns the merges of `train_bpe`, with the same ties, from words and how often each occurs.

    It keeps the counts and each pair's places up to date instead of counting again after every
    merge.

    >>> learn_merges({(1, 2, 3): 5, (2, 3): 1}, 2)
    {(2, 3): 256, (1, 256): 257}
    """
    # weight: how often the word of this place occurs
    ids = [_GAP]
    weight = [0]
    for word, times in words.items():
        ids += [*word, _GAP]
        weight += [times] * (len(word) + 1)
    left = [*range(-1, len(ids) - 1)]
    right = [*range(1, len(ids) + 1)]
    counts = Counter()
    places = defaultdict(list)
    for i, pair in enumerate(pairwise(ids)):
        if _GAP not in pair:
            counts[pair] += weight[i]
            places[pair].append(i)
    # most frequent first, then smallest ids
    heap = sorted((-count, pair) for pair, count in counts.items())
    merges = {}
    while len(merges) < n_merges and heap:
        count, pair = heapq.heappop(heap)
        if count == 0 or -count != counts[pair]:
            continue  # out of date
        merges[pair] = new_id = first_id + len(merges)
        changed = set()
        for i in places.pop(pair):
            j = right[i]
            if (ids[i], ids[j]) != pair:
                continue  # used up by an earlier merge, or by its own left neighbour as in 1 1 1
            h = left[i]
            k = right[j]
            times = weight[i]
            ids[i], ids[j], right[i], left[k] = new_id, _USED, k, i
            for at, old, new in (
                (h, (ids[h], pair[0]), (ids[h], new_id)),
                (i, (pair[1], ids[k]), (new_id, ids[k])),
            ):
                if _GAP not in new:
                    counts[old] -= times
                    counts[new] += times
                    places[new].append(at)
                    changed |= {old, new}
        del counts[pair]
        for other in changed - {pair}:
            heapq.heappush(heap, (-counts[other], other))
    return merges


def apply_merges(ids: Iterable[int], merges: Mapping[Pair, int]) -> list[int]:
    """Applies the merges as `encode` does: lowest new id first, from left to right.

    >>> apply_merges(b"lower", {(108, 111): 256, (256, 119): 257})
    [257, 101, 114]
    """
    ids = list(ids)
    get = merges.get
    # a word: for so few, looking for the lowest again and again is quicker than a heap
    if len(ids) <= 64:
        new = [get(pair, _NONE) for pair in pairwise(ids)]
        while new and (lowest := min(new)) < _NONE:
            i = new.index(lowest)
            ids[i : i + 2] = [lowest]
            new[i : i + 2] = [get((lowest, ids[i + 1]), _NONE)] if i + 1 < len(ids) else []
            if i:
                new[i - 1] = get((ids[i - 1], lowest), _NONE)
        return ids
    ids = [_GAP, *ids, _GAP]
    heap = sorted(
        (new_id, i) for i, new_id in enumerate(map(get, pairwise(ids))) if new_id is not None
    )
    left = list(range(-1, len(ids) - 1))
    right = list(range(1, len(ids) + 1))
    while heap:
        new_id, i = heapq.heappop(heap)
        j = right[i]
        if get((ids[i], ids[j])) != new_id:
            continue  # used up by an earlier merge
        ids[i], ids[j], right[i], left[right[j]] = new_id, _USED, right[j], i
        for at in left[i], i:
            if (later := get((ids[at], ids[right[at]]))) is not None:
                heapq.heappush(heap, (later, at))
    return [i for i in ids if i >= 0]


class BPETokenizer:
    """A byte-level BPE tokenizer: any text in, and exactly that text back.

    `merges` maps pairs to new ids in the order learned; `pattern` cuts the text first (None: not at
    all); `alphabet` lists the 256 bytes in the order of their ids; each of `special` gets an id
    after the merges.

    >>> tok = BPETokenizer.train("low lower lowest", 259)
    >>> tok.encode("lowest"), [tok.vocab[i] for i in tok.encode("lowest")]
    ([257, 101, 115, 116], [b'low', b'e', b's', b't'])
    """

    def __init__(
        self,
        merges: Mapping[Pair, int],
        pattern: str | None = GPT2_PATTERN,
        special: Collection[str] = (),
        alphabet: bytes = bytes(range(256)),
    ):
        if isinstance(special, str) or len({*special, ""}) <= len(special):
            raise ValueError(
                f"special is {special!r}; give a list of different tokens, such as [{END_OF_TEXT!r}]."
            )
        self.merges = dict(merges)
        self.pattern = pattern
        self.special = {token: 256 + len(merges) + i for i, token in enumerate(special)}
        self.vocab = build_vocab(merges, alphabet) | {
            i: token.encode("utf-8") for token, i in self.special.items()
        }
        self._ids = bytes(alphabet.index(byte) for byte in range(256))  # byte -> id
        self._known: dict[str, list[int]] = {}  # pieces encoded before

    @classmethod
    def train(
        cls,
        text: str,
        vocab_size: int,
        pattern: str | None = GPT2_PATTERN,
        special: Collection[str] = (),
    ) -> "BPETokenizer":
        """Learns a vocabulary of `vocab_size` ids, 256 bytes and `special` included; fewer where no
        pair is left.

        Raises ValueError for an empty text, a lone surrogate, and a `vocab_size` below 256 plus the
        special tokens.
        """
        if (n_merges := index(vocab_size) - 256 - len(special)) < 0:
            raise ValueError(
                f"vocab_size is {vocab_size}; 256 bytes and {len(special)} special tokens need at least "
                f"{256 + len(special)}."
            )
        if not tokenization.utf8(text):
            raise ValueError("the text is empty: there is nothing to learn merges from.")
        pieces = Counter(pretokenize(text, pattern) if pattern else [text])
        words = {tuple(piece.encode("utf-8")): times for piece, times in pieces.items()}
        return cls(learn_merges(words, n_merges), pattern, special)

    @classmethod
    def from_gpt2(cls) -> "BPETokenizer":
        """GPT-2's 50,257 tokens in this class: the ids of `transformers` and `tiktoken`, for any
        text.

        >>> BPETokenizer.from_gpt2().encode("Hello world")
        [15496, 995]
        """
        ids, merges = tokenization.gpt2_files()
        pairs = {(ids[left], ids[right]): ids[left + right] for left, right in merges}
        return cls(pairs, GPT2_PATTERN, [END_OF_TEXT], bytes(bytes_to_unicode()))

    def __len__(self) -> int:
        return len(self.vocab)

    def encode(self, text: str, allowed_special: Collection[str] = ()) -> list[int]:
        """Turns text into ids. Special tokens are ordinary text, except those in `allowed_special`
        ("all": every one).

        Raises TypeError for anything but text, ValueError for a lone surrogate or a special token
        it does not have.
        """
        tokenization.utf8(text)
        allowed = set(self.special if allowed_special == "all" else allowed_special)
        if unknown := allowed - set(self.special):
            raise ValueError(
                f"allowed_special holds {sorted(unknown)}; this tokenizer has {sorted(self.special)}."
            )
        if not allowed:
            return self._encode(text)
        longest_first = "|".join(sorted(map(regex.escape, allowed), key=len, reverse=True))
        parts = regex.split(f"({longest_first})", text)
        return [
            i
            for part in parts
            for i in ([self.special[part]] if part in allowed else self._encode(part))
        ]

    def _encode(self, text: str) -> list[int]:
        pieces = pretokenize(text, self.pattern) if self.pattern else [text]
        if len(self._known) > 100_000 or not self.pattern:
            self._known.clear()
        for piece in set(pieces).difference(self._known):  # each different piece is encoded once
            self._known[piece] = apply_merges(
                piece.encode("utf-8").translate(self._ids), self.merges
            )
        ids = []
        for piece in pieces:
            ids += self._known[piece]
        return ids

    def decode(self, ids: Iterable[int]) -> str:
        """Turns ids into text; bytes that are not valid UTF-8 become U+FFFD. Raises ValueError for
        an unknown id.
        """
        return self.decode_bytes(ids).decode("utf-8", errors="replace")

    def decode_bytes(self, ids: Iterable[int]) -> bytes:
        """The bytes behind the ids: one token may hold only part of a character. Raises ValueError
        for an unknown id.

        >>> BPETokenizer({}).decode_bytes([240, 159])
        b'\\xf0\\x9f'
        """
        ids = [index(i) for i in ids]
        if unknown := [i for i in ids if i not in self.vocab]:
            raise ValueError(
                f"there is no token with the id {unknown[0]}; the ids are 0 to {len(self) - 1}."
            )
        return b"".join(self.vocab[i] for i in ids)
