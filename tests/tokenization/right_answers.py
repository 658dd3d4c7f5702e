"""Right answers to the exercises of lesson 01, each of another style than the reference."""

import re
from collections import Counter, defaultdict
from functools import reduce
from itertools import chain, groupby, pairwise

import numpy as np
import torch
from answers import Answers

right = Answers()


# --- byte_counts ----------------------------------------------------------------------------------


@right("byte_counts")
def by_the_numbers_of_the_characters(text):
    sizes = [1 + (ord(c) > 0x7F) + (ord(c) > 0x7FF) + (ord(c) > 0xFFFF) for c in text]
    return {n: sizes.count(n) for n in (1, 2, 3, 4)}


@right("byte_counts")
def by_first_bytes(text):
    firsts = [byte for byte in text.encode() if byte >> 6 != 0b10]  # the others continue
    sizes = Counter(
        1 if byte < 0x80 else 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4 for byte in firsts
    )
    return {n: sizes[n] for n in range(1, 5)}


@right("byte_counts")
def counts_from_zero(text):
    counts = Counter(map(len, map(str.encode, text)))
    return {1: 0, 2: 0, 3: 0, 4: 0} | dict(counts)


# --- count_pairs ----------------------------------------------------------------------------------


@right("count_pairs")
def with_a_counter(ids):
    return dict(Counter(pairwise(ids)))


@right("count_pairs")
def with_indices_and_defaultdict(ids):
    counts = defaultdict(int)
    for i in range(len(ids) - 1):
        counts[ids[i], ids[i + 1]] += 1
    return dict(counts)


@right("count_pairs")
def through_numpy(ids):
    pairs = np.stack([ids[:-1], ids[1:]], axis=1).astype(np.int64)
    keys, counts = np.unique(pairs, axis=0, return_counts=True)
    return {tuple(key): n for key, n in zip(keys.tolist(), counts.tolist(), strict=True)}


@right("count_pairs")
def through_torch_unique(ids):
    row = torch.tensor(ids, dtype=torch.int64)
    keys, counts = torch.stack([row[:-1], row[1:]], dim=1).unique(dim=0, return_counts=True)
    return {(int(a), int(b)): int(n) for (a, b), n in zip(keys, counts, strict=True)}


@right("count_pairs")
def sorted_and_grouped(ids):
    pairs = sorted(zip(ids[:-1], ids[1:], strict=True))
    return {pair: len(list(group)) for pair, group in groupby(pairs)}


@right("count_pairs")
def by_halves(ids):
    """What two halves with one id in common count, added up."""
    if len(ids) < 2:
        return {}
    if len(ids) == 2:
        return {tuple(ids): 1}
    middle = len(ids) // 2
    counts = by_halves(ids[: middle + 1])
    for pair, n in by_halves(ids[middle:]).items():
        counts[pair] = counts.get(pair, 0) + n
    return counts


# --- merge ----------------------------------------------------------------------------------------


@right("merge")
def with_one_iterator(ids, pair, new_id):
    merged = []
    waiting = None
    for i in ids:
        if waiting is not None and (waiting, i) == pair:
            merged.append(new_id)
            waiting = None
        else:
            if waiting is not None:
                merged.append(waiting)
            waiting = i
    return merged if waiting is None else [*merged, waiting]


@right("merge")
def recursive(ids, pair, new_id):
    if len(ids) < 2:
        return list(ids)
    if ids[0] == pair[0] and ids[1] == pair[1]:
        return [new_id, *recursive(ids[2:], pair, new_id)]
    return [ids[0], *recursive(ids[1:], pair, new_id)]


@right("merge")
def in_a_string_of_characters(ids, pair, new_id):
    old = "".join(map(chr, pair))
    return list(map(ord, "".join(map(chr, ids)).replace(old, chr(new_id))))


@right("merge")
def in_a_printed_list(ids, pair, new_id):
    text = "".join(f" {i} ;" for i in ids)
    return list(
        map(int, re.findall(r"\d+", text.replace(" {} ; {} ;".format(*pair), f" {new_id} ;")))
    )


@right("merge")
def with_a_stack_of_marked_ids(ids, pair, new_id):
    """What was just merged is marked, so that it makes no new pair."""
    stack = []
    for i in ids:
        if stack and stack[-1] == (pair[0], False) and i == pair[1]:
            stack[-1] = (new_id, True)
        else:
            stack.append((i, False))
    return [i for i, _ in stack]


@right("merge")
def places_first_through_numpy(ids, pair, new_id):
    row = np.array(ids, dtype=np.int64)
    found = np.flatnonzero((row[:-1] == pair[0]) & (row[1:] == pair[1]))
    keep = np.ones(len(row), dtype=bool)
    last = -2
    for place in found.tolist():
        if place > last + 1:
            row[place] = new_id
            keep[place + 1] = False
            last = place
    return row[keep].tolist()


@right("merge")
def in_a_copy_with_del(ids, pair, new_id):
    merged = ids.copy()
    i = 0
    while i < len(merged) - 1:
        if merged[i] == pair[0] and merged[i + 1] == pair[1]:
            merged[i : i + 2] = [new_id]
        i += 1
    return merged


# --- train_bpe ------------------------------------------------------------------------------------


@right("train_bpe")
def with_counter_and_sort(text, n_merges):
    ids = list(text.encode())
    merges = {}
    for new_id in range(256, 256 + n_merges):
        ranked = sorted(Counter(pairwise(ids)).items(), key=lambda item: (-item[1], *item[0]))
        if not ranked:
            break
        pair = ranked[0][0]
        merges[pair] = new_id
        ids = in_a_copy_with_del(ids, pair, new_id)
    return merges


@right("train_bpe")
def in_a_string_of_characters_with_max(text, n_merges):
    """Ids as characters of one string."""
    line = "".join(map(chr, text.encode("utf-8")))
    merges = {}
    while len(merges) < n_merges and len(line) >= 2:
        counts = Counter(a + b for a, b in pairwise(line))
        most = max(counts.values())
        best = min(pair for pair, n in counts.items() if n == most)
        new_id = 256 + len(merges)
        merges[ord(best[0]), ord(best[1])] = new_id
        line = line.replace(best, chr(new_id))
    return merges


@right("train_bpe")
def through_a_table_of_counts(text, n_merges):
    """argmax takes the first of equals: the smallest ids."""
    ids = list(text.encode())
    size = 256 + max(n_merges, 0)
    merges = {}
    for new_id in range(256, size):
        if len(ids) < 2:
            return merges
        table = np.zeros((new_id, new_id), dtype=np.int64)
        np.add.at(table, (ids[:-1], ids[1:]), 1)
        a, b = np.unravel_index(table.argmax(), table.shape)
        pair = (int(a), int(b))
        merges[pair] = new_id
        ids = with_one_iterator(ids, pair, new_id)
    return merges


@right("train_bpe")
def recursive_learning(text, n_merges):
    def learn(ids, new_id):
        if new_id == 256 + n_merges or len(ids) < 2:
            return {}
        counts = with_indices_and_defaultdict(ids)
        pair = max(counts, key=lambda p: (counts[p], -p[0], -p[1]))
        return {pair: new_id} | learn(with_a_stack_of_marked_ids(ids, pair, new_id), new_id + 1)

    return learn(list(bytes(text, "utf-8")), 256)


@right("train_bpe")
def with_a_scan_for_the_best(text, n_merges):
    ids = [*text.encode("utf-8")]
    merges = {}
    new_id = 256
    while new_id < 256 + n_merges:
        best = None
        seen = {}
        for pair in zip(ids[:-1], ids[1:], strict=True):
            seen[pair] = seen.get(pair, 0) + 1
        for pair, n in seen.items():
            if best is None or n > seen[best] or (n == seen[best] and pair < best):
                best = pair
        if best is None:
            break
        merges[best] = new_id
        ids = with_one_iterator(ids, best, new_id)
        new_id += 1
    return merges


# --- encode ---------------------------------------------------------------------------------------


@right("encode")
def each_merge_in_order(text, merges):
    ids = list(text.encode())
    for pair, new_id in sorted(merges.items(), key=lambda item: item[1]):
        ids = with_one_iterator(ids, pair, new_id)
    return ids


@right("encode")
def one_place_at_a_time(text, merges):
    """Of all known pairs the one with the smallest id, leftmost first."""
    ids = [*text.encode("utf-8")]
    while True:
        found = [
            (merges[ids[i], ids[i + 1]], i)
            for i in range(len(ids) - 1)
            if (ids[i], ids[i + 1]) in merges
        ]
        if not found:
            return ids
        new_id, i = min(found)
        ids = [*ids[:i], new_id, *ids[i + 2 :]]


@right("encode")
def by_a_fold(text, merges):
    line = "".join(map(chr, text.encode()))
    steps = sorted((new_id, pair) for pair, new_id in merges.items())
    return [
        ord(c)
        for c in reduce(
            lambda so_far, step: so_far.replace(chr(step[1][0]) + chr(step[1][1]), chr(step[0])),
            steps,
            line,
        )
    ]


@right("encode")
def recursive_encoding(text, merges):
    def shorten(ids):
        candidates = {pair for pair in pairwise(ids) if pair in merges}
        if not candidates:
            return ids
        pair = min(candidates, key=lambda p: merges[p])
        return shorten(in_a_copy_with_del(ids, pair, merges[pair]))

    return shorten(list(text.encode()))


@right("encode")
def with_ranks_and_infinity(text, merges):
    rank = {pair: n for n, pair in enumerate(sorted(merges, key=lambda pair: merges[pair]))}
    ids = list(text.encode("utf-8"))
    while len(ids) > 1:
        pair = min(pairwise(ids), key=lambda p: rank.get(p, float("inf")))
        if pair not in rank:
            break
        ids = with_a_stack_of_marked_ids(ids, pair, merges[pair])
    return ids


# --- decode ---------------------------------------------------------------------------------------


@right("decode")
def by_recursive_halves(ids, merges):
    parts = {new_id: pair for pair, new_id in merges.items()}

    def spell(i):
        return bytes([i]) if i < 256 else spell(parts[i][0]) + spell(parts[i][1])

    return b"".join(map(spell, ids)).decode("utf-8", "replace")


@right("decode")
def with_a_stack(ids, merges):
    halves = {merges[pair]: pair for pair in merges}
    stack = list(reversed(ids))
    found = bytearray()
    while stack:
        i = stack.pop()
        if i in halves:
            stack += reversed(halves[i])
        else:
            found.append(i)
    return found.decode(errors="replace")


@right("decode")
def undoing_merges_backwards(ids, merges):
    for pair, new_id in sorted(merges.items(), key=lambda item: -item[1]):
        ids = list(chain.from_iterable(pair if i == new_id else (i,) for i in ids))
    return str(bytes(ids), "utf-8", "replace")


@right("decode")
def with_a_growing_table(ids, merges):
    table = [bytes([i]) for i in range(256)]
    for (a, b), _ in sorted(merges.items(), key=lambda item: item[1]):
        table.append(table[a] + table[b])
    whole = b""
    for i in ids:
        whole += table[i]
    return whole.decode("utf8", errors="replace")


# --- chat_ids -------------------------------------------------------------------------------------


@right("chat_ids")
def as_one_list(messages, encode, special):
    start, message, end = (special[f"<|{name}|>"] for name in ("start", "message", "end"))
    ids = []
    for role, text in messages:
        ids.append(start)
        ids.extend(encode(role))
        ids.append(message)
        ids.extend(encode(text))
        ids.append(end)
    ids.append(start)
    ids.extend(encode("assistant"))
    return ids


@right("chat_ids")
def by_chaining_parts(messages, encode, special):
    start, message, end = ([special[f"<|{name}|>"]] for name in ("start", "message", "end"))
    turns = [(start, encode(role), message, encode(text), end) for role, text in messages]
    return list(chain.from_iterable(chain.from_iterable([*turns, (start, encode("assistant"))])))


@right("chat_ids")
def by_adding_up(messages, encode, special):
    opened = reduce(
        lambda ids, turn: ids
        + [special["<|start|>"]] + encode(turn[0])
        + [special["<|message|>"]] + encode(turn[1])
        + [special["<|end|>"]],
        messages,
        [],
    )  # fmt: skip
    return opened + [special["<|start|>"]] + encode("assistant")
