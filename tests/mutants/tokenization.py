"""Wrong answers to the exercises of notebook 01: each is a mistake that people make, many right on easy inputs."""

import re
from collections import Counter

from course_utils.tokenization import build_vocab, count_pairs, merge

# --- count_pairs ----------------------------------------------------------------------------------------------------


def count_steps_of_two(ids):
    """Cuts the list into pairs instead of sliding along it."""
    counts = {}
    for i in range(0, len(ids) - 1, 2):
        pair = (ids[i], ids[i + 1])
        counts[pair] = counts.get(pair, 0) + 1
    return counts


def count_without_last(ids):
    """Stops one pair too early."""
    return dict(Counter((ids[i], ids[i + 1]) for i in range(len(ids) - 2)))


def count_unordered(ids):
    """Takes (a, b) and (b, a) for the same pair."""
    return dict(Counter(tuple(sorted(pair)) for pair in zip(ids, ids[1:], strict=False)))


def count_each_once(ids):
    """A set of pairs: the counts are all 1."""
    return {pair: 1 for pair in set(zip(ids, ids[1:], strict=False))}


def count_no_overlap(ids):
    """As str.count does: in x x x the pair (x, x) is found once. Right wherever no id is repeated."""
    counts, i = {}, 0
    for i, pair in enumerate(zip(ids, ids[1:], strict=False)):
        if i and ids[i - 1] == pair[0] == pair[1] and counts.get(pair, 0) % 2:
            continue
        counts[pair] = counts.get(pair, 0) + 1
    return counts


def count_in_text(ids):
    """Searches in the printed list: 1, 2 is found in 11, 2 as well. Right as long as all ids have one digit."""
    printed = ", ".join(map(str, ids))
    pairs = set(zip(ids, ids[1:], strict=False))
    return {(a, b): len(re.findall(f"(?={a}, {b})", printed)) for a, b in pairs}


def count_into_default(ids, counts={}):  # noqa: B006
    """A dictionary as default argument remembers the calls before. Right the first time."""
    for pair in zip(ids, ids[1:], strict=False):
        counts[pair] = counts.get(pair, 0) + 1
    return dict(counts)


def count_from_zero(ids):
    """The first occurrence counts nothing."""
    counts = {}
    for pair in zip(ids, ids[1:], strict=False):
        counts[pair] = counts[pair] + 1 if pair in counts else 0
    return counts


def count_round(ids):
    """The index -1 pairs the last id with the first."""
    counts = {}
    for i in range(len(ids)):
        pair = (ids[i - 1], ids[i])
        counts[pair] = counts.get(pair, 0) + 1
    return counts


def count_with_list_keys(ids):
    """Pairs as text, because lists cannot be keys."""
    return dict(Counter(str([a, b]) for a, b in zip(ids, ids[1:], strict=False)))


def count_needs_two(ids):
    """Reads the first pair before the loop. Right from two ids on."""
    counts = {(ids[0], ids[1]): 1}
    for pair in zip(ids[1:], ids[2:], strict=False):
        counts[pair] = counts.get(pair, 0) + 1
    return counts


# --- merge ----------------------------------------------------------------------------------------------------------


def merge_first_only(ids, pair, new_id):
    """Returns after the first match."""
    for i in range(len(ids) - 1):
        if (ids[i], ids[i + 1]) == pair:
            return ids[:i] + [new_id] + ids[i + 2 :]
    return list(ids)


def merge_without_jump(ids, pair, new_id):
    """A for loop appends the new id and then the second half of the pair, too."""
    merged = []
    for i in range(len(ids)):
        if tuple(ids[i : i + 2]) == pair:
            merged.append(new_id)
        else:
            merged.append(ids[i])
    return merged


def merge_loses_last(ids, pair, new_id):
    """The loop ends one early, so a last id that is in no pair is lost."""
    merged, i = [], 0
    while i < len(ids) - 1:
        if (ids[i], ids[i + 1]) == pair:
            merged.append(new_id)
            i += 2
        else:
            merged.append(ids[i])
            i += 1
    return merged


def merge_past_the_end(ids, pair, new_id):
    """Looks at ids[i + 1] without asking whether it is there. Right unless the last id is the pair's first."""
    merged, i = [], 0
    while i < len(ids):
        if ids[i] == pair[0] and ids[i + 1] == pair[1]:
            merged.append(new_id)
            i += 2
        else:
            merged.append(ids[i])
            i += 1
    return merged


def merge_by_identity(ids, pair, new_id):
    """Compares with `is`. Right for ids below 257, which Python keeps only once."""
    merged, i = [], 0
    while i < len(ids):
        if i + 1 < len(ids) and ids[i] is pair[0] and ids[i + 1] is pair[1]:
            merged.append(new_id)
            i += 2
        else:
            merged.append(ids[i])
            i += 1
    return merged


def merge_from_the_right(ids, pair, new_id):
    """Right unless the pair repeats one id and stands in a run of odd length."""
    return merge(ids[::-1], pair[::-1], new_id)[::-1]


def merge_either_order(ids, pair, new_id):
    """Takes (b, a) for the pair as well."""
    merged, i = [], 0
    while i < len(ids):
        if sorted(ids[i : i + 2]) == sorted(pair):
            merged.append(new_id)
            i += 2
        else:
            merged.append(ids[i])
            i += 1
    return merged


def merge_overlapping(ids, pair, new_id):
    """Uses an id twice in a run: x x x becomes two new ids."""
    merged = []
    for i in range(len(ids)):
        if tuple(ids[i : i + 2]) == pair:
            merged.append(new_id)
        elif i == 0 or tuple(ids[i - 1 : i + 1]) != pair:
            merged.append(ids[i])
    return merged


def merge_in_place(ids, pair, new_id):
    """Changes the list that it was given."""
    i = 0
    while i < len(ids) - 1:
        if (ids[i], ids[i + 1]) == pair:
            ids[i : i + 2] = [new_id]
        i += 1
    return ids


def merge_in_text(ids, pair, new_id):
    """Replaces in the printed list: 1, 2 is found in 11, 2 as well, and an empty text holds no number."""
    text = " ".join(map(str, ids)).replace(f"{pair[0]} {pair[1]}", str(new_id))
    return [int(i) for i in text.split(" ")]


def merge_deletes(ids, pair, new_id):
    """Leaves the pair out and puts nothing in its place."""
    return [i for i in merge(ids, pair, new_id) if i != new_id]


# --- train_bpe ------------------------------------------------------------------------------------------------------


def smallest_of_most_frequent(counts):
    return min(counts, key=lambda pair: (-counts[pair], pair))


def training(text, n_merges, pick=smallest_of_most_frequent, start=256, read=str.encode):
    ids, merges = list(read(text)), {}
    while len(merges) < n_merges and len(ids) > 1:
        pair = pick(count_pairs(ids))
        merges[pair] = start + len(merges)
        ids = merge(ids, pair, merges[pair])
    return merges


def train_first_of_ties(text, n_merges):
    """Of equally frequent pairs, the first in the text."""
    return training(text, n_merges, pick=lambda counts: max(counts, key=counts.get))


def train_last_of_ties(text, n_merges):
    """Of equally frequent pairs, the one with the largest ids."""
    return training(text, n_merges, pick=lambda counts: max(counts, key=lambda p: (counts[p], p)))


def train_least_frequent(text, n_merges):
    """The rarest pair first."""
    return training(text, n_merges, pick=lambda counts: min(counts, key=lambda p: (counts[p], p)))


def train_from_257(text, n_merges):
    """Leaves the id 256 out."""
    return training(text, n_merges, start=257)


def train_from_zero(text, n_merges):
    """Gives the new tokens the ids of bytes."""
    return training(text, n_merges, start=0)


def train_on_characters(text, n_merges):
    """Characters instead of bytes. Right for ASCII."""
    return training(text, n_merges, read=lambda text: map(ord, text))


def train_counts_once(text, n_merges):
    """Takes the n most frequent pairs of the bytes. Right for one merge."""
    counts = count_pairs(list(text.encode()))
    best = sorted(counts, key=lambda pair: (-counts[pair], pair))[:n_merges]
    return {pair: 256 + i for i, pair in enumerate(best)}


def train_needs_pairs(text, n_merges):
    """Does not stop where no pair is left. Right for long texts."""
    ids, merges = list(text.encode()), {}
    for new_id in range(256, 256 + n_merges):
        counts = count_pairs(ids)
        pair = min(counts, key=lambda p: (-counts[p], p))
        merges[pair] = new_id
        ids = merge(ids, pair, new_id)
    return merges


def train_only_repeated(text, n_merges):
    """Stops where every pair occurs once. Right for long texts."""
    ids, merges = list(text.encode()), {}
    while len(merges) < n_merges and max((counts := count_pairs(ids)).values(), default=0) > 1:
        pair = min(counts, key=lambda p: (-counts[p], p))
        merges[pair] = 256 + len(merges)
        ids = merge(ids, pair, merges[pair])
    return merges


def train_one_more(text, n_merges):
    """Checks the number of merges too late."""
    return training(text, n_merges + 1)


def train_turned_round(text, n_merges):
    """Ids as keys and pairs as values."""
    return {new_id: pair for pair, new_id in training(text, n_merges).items()}


def train_up_to_id(text, n_merges):
    """Takes n_merges for the size of the vocabulary."""
    return training(text, n_merges - 256)


# --- encode ---------------------------------------------------------------------------------------------------------


def encoding(text, merges, pick):
    ids = list(text.encode())
    while known := [pair for pair in zip(ids, ids[1:], strict=False) if pair in merges]:
        pair = pick(known)
        ids = merge(ids, pair, merges[pair])
    return ids


def encode_first_in_text(text, merges):
    """The leftmost pair first."""
    return encoding(text, merges, lambda known: known[0])


def encode_learned_last(text, merges):
    """The highest new id first."""
    return encoding(text, merges, lambda known: max(known, key=merges.get))


def encode_smallest_pair(text, merges):
    """Forgets the key of min, which then compares the pairs themselves."""
    return encoding(text, merges, min)


def encode_most_frequent(text, merges):
    """Counts in the text to be encoded, as training does."""
    return encoding(text, merges, lambda known: Counter(known).most_common(1)[0][0])


def encode_nothing(text, merges):
    """Bytes only."""
    return list(text.encode())


def encode_characters(text, merges):
    """Characters instead of bytes. Right for ASCII."""
    ids = list(map(ord, text))
    for pair, new_id in merges.items():
        ids = merge(ids, pair, new_id)
    return ids


def encode_once_each(text, merges):
    """Each merge at its first place only."""
    ids = list(text.encode())
    for pair, new_id in merges.items():
        ids = merge_first_only(ids, pair, new_id)
    return ids


def encode_one_pass(text, merges):
    """One walk from left to right, which never sees the pairs of new ids."""
    ids, out, i = list(text.encode()), [], 0
    while i < len(ids):
        pair = tuple(ids[i : i + 2])
        out.append(merges.get(pair, ids[i]))
        i += 2 if pair in merges else 1
    return out


def encode_longest(text, merges):
    """The longest token that fits, from the left. Right wherever it is also what the merges give."""
    tokens = {token: i for i, token in build_vocab(merges).items()}
    data, ids = text.encode(), []
    while data:
        size = next(n for n in range(len(data), 0, -1) if data[:n] in tokens)
        ids.append(tokens[data[:size]])
        data = data[size:]
    return ids


def encode_needs_a_pair(text, merges):
    """Looks for the smallest of nothing where no pair is left. Fails on texts of one character or none."""
    ids = list(text.encode())
    while (pair := min(zip(ids, ids[1:], strict=False), key=lambda p: merges.get(p, 10**9))) in merges:
        ids = merge(ids, pair, merges[pair])
    return ids


def encode_trains(text, merges):
    """Learns merges of the text itself instead of using those given."""
    merges = training(text, len(merges))
    return encoding(text, merges, lambda known: min(known, key=merges.get))


# --- decode ---------------------------------------------------------------------------------------------------------


def decode_strictly(ids, merges):
    """Stops at invalid UTF-8, which a model may well produce."""
    return b"".join(map(build_vocab(merges).get, ids)).decode("utf-8")


def decode_ignoring(ids, merges):
    """Drops invalid bytes without a word."""
    return b"".join(map(build_vocab(merges).get, ids)).decode("utf-8", errors="ignore")


def decode_with_escapes(ids, merges):
    """Writes invalid bytes as backslash escapes."""
    return b"".join(map(build_vocab(merges).get, ids)).decode("utf-8", errors="backslashreplace")


def decode_each_alone(ids, merges):
    """Decodes token by token. Right unless a character is spread over two tokens."""
    vocab = build_vocab(merges)
    return "".join(vocab[i].decode("utf-8", errors="replace") for i in ids)


def decode_latin(ids, merges):
    """A character for each byte. Right for ASCII."""
    vocab = build_vocab(merges)
    return "".join(chr(byte) for i in ids for byte in vocab[i])


def decode_one_level(ids, merges):
    """Takes the halves of a merge for bytes. Right where no merge builds on another."""
    halves = {new_id: bytes(i % 256 for i in pair) for pair, new_id in merges.items()}
    return b"".join(halves.get(i) or bytes([i]) for i in ids).decode("utf-8", errors="replace")


def decode_two_levels(ids, merges):
    """Undoes every merge once, from the first to the last: what a later merge holds of an earlier one stays."""
    ids = list(ids)
    for pair, new_id in merges.items():
        ids = [part for i in ids for part in (pair if i == new_id else (i,))]
    return bytes(i % 256 for i in ids).decode("utf-8", errors="replace")


def decode_halves_swapped(ids, merges):
    """Right + left."""
    vocab = {i: bytes([i]) for i in range(256)}
    for (left, right), new_id in merges.items():
        vocab[new_id] = vocab[right] + vocab[left]
    return b"".join(vocab[i] for i in ids).decode("utf-8", errors="replace")


def decode_with_spaces(ids, merges):
    """Puts a space between tokens, as if they were words."""
    return b" ".join(map(build_vocab(merges).get, ids)).decode("utf-8", errors="replace")


def decode_to_bytes(ids, merges):
    """Forgets the last step."""
    return b"".join(map(build_vocab(merges).get, ids))


# --- compression ----------------------------------------------------------------------------------------------------


def no_tokens(ids):
    if not ids:
        raise ValueError("no tokens")


def compression_characters(text, ids):
    """Characters per token. Right for ASCII."""
    no_tokens(ids)
    return len(text) / len(ids)


def compression_upside_down(text, ids):
    """Tokens per byte."""
    no_tokens(ids)
    return len(ids) / len(text.encode())


def compression_whole(text, ids):
    """Whole bytes per token."""
    no_tokens(ids)
    return len(text.encode()) // len(ids)


def compression_distinct(text, ids):
    """Counts a token that occurs twice only once."""
    no_tokens(ids)
    return len(text.encode()) / len(set(ids))


def compression_utf16(text, ids):
    """Bytes in another encoding."""
    no_tokens(ids)
    return len(text.encode("utf-16")) / len(ids)


def compression_words(text, ids):
    """Words per token."""
    no_tokens(ids)
    return len(text.split()) / len(ids)


def compression_rounded(text, ids):
    """Rounds inside, where only the print-out should."""
    no_tokens(ids)
    return round(len(text.encode()) / len(ids), 2)


def compression_divides_by_zero(text, ids):
    """Right as long as there is a token."""
    return len(text.encode()) / len(ids)


def compression_zero_of_nothing(text, ids):
    """Hides the missing tokens behind a number."""
    return len(text.encode()) / len(ids) if ids else 0.0


MUTANTS = {
    "count_pairs": [
        count_steps_of_two, count_without_last, count_unordered, count_each_once, count_no_overlap, count_in_text,
        count_into_default, count_from_zero, count_round, count_with_list_keys, count_needs_two,
    ],
    "merge": [
        merge_first_only, merge_without_jump, merge_loses_last, merge_past_the_end, merge_by_identity,
        merge_from_the_right, merge_either_order, merge_overlapping, merge_in_place, merge_in_text, merge_deletes,
    ],
    "train_bpe": [
        train_first_of_ties, train_last_of_ties, train_least_frequent, train_from_257, train_from_zero,
        train_on_characters, train_counts_once, train_needs_pairs, train_only_repeated, train_one_more,
        train_turned_round, train_up_to_id,
    ],
    "encode": [
        encode_first_in_text, encode_learned_last, encode_smallest_pair, encode_most_frequent, encode_nothing,
        encode_characters, encode_once_each, encode_one_pass, encode_longest, encode_needs_a_pair, encode_trains,
    ],
    "decode": [
        decode_strictly, decode_ignoring, decode_with_escapes, decode_each_alone, decode_latin, decode_one_level,
        decode_two_levels, decode_halves_swapped, decode_with_spaces, decode_to_bytes,
    ],
    "compression": [
        compression_characters, compression_upside_down, compression_whole, compression_distinct, compression_utf16,
        compression_words, compression_rounded, compression_divides_by_zero, compression_zero_of_nothing,
    ],
}  # fmt: skip
