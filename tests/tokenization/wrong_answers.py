"""Wrong answers to the exercises of lesson 01: each is a mistake that people make, many right on
easy inputs.
"""

import re
import unicodedata
from collections import Counter
from itertools import combinations

import numpy as np
from answers import WrongAnswers

from course_utils.tokenization.bpe import build_vocab, count_pairs, decode, encode, merge

wrong = WrongAnswers()


# --- byte_counts ----------------------------------------------------------------------------------


@wrong("byte_counts", says="you counted bytes; count the characters of each size")
def sizes_of_bytes(text):
    """Adds the bytes instead of 1."""
    counts = {1: 0, 2: 0, 3: 0, 4: 0}
    for character in text:
        size = len(character.encode())
        counts[size] += size
    return counts


@wrong("byte_counts", says="you left out the sizes that do not occur; they count 0")
def sizes_that_occur(text):
    """A Counter holds only what it met."""
    return dict(Counter(len(character.encode()) for character in text))


@wrong(
    "byte_counts", says="you counted each different character once; count it as often as it occurs"
)
def sizes_of_a_set(text):
    """The set of the characters."""
    sizes = [len(character.encode()) for character in set(text)]
    return {n: sizes.count(n) for n in range(1, 5)}


@wrong("byte_counts", says="you took the sizes of UTF-16; count bytes in UTF-8")
def sizes_in_utf16(text):
    """Another encoding."""
    sizes = [len(character.encode("utf-16-be")) for character in text]
    return {n: sizes.count(n) for n in range(1, 5)}


@wrong(
    "byte_counts", says="you left out spaces and ends of lines; they are characters like the others"
)
def sizes_of_words(text):
    """Goes through the words."""
    sizes = [len(character.encode()) for word in text.split() for character in word]
    return {n: sizes.count(n) for n in range(1, 5)}


@wrong(
    "byte_counts",
    says="a limit is off by one: two bytes begin at number 128, three at 2048, four at 65536",
)
def sizes_with_early_limits(text):
    """The last number of a size is taken for the first of the next."""
    counts = {1: 0, 2: 0, 3: 0, 4: 0}
    for character in text:
        number = ord(character)
        counts[1 if number < 127 else 2 if number < 2048 else 3 if number < 65536 else 4] += 1
    return counts


@wrong(
    "byte_counts",
    says="a limit is off by one; two bytes begin at number 128, three at 2048, four at 65536",
)
def sizes_with_late_limits(text):
    """`<=` where `<` is right."""
    counts = {1: 0, 2: 0, 3: 0, 4: 0}
    for character in text:
        number = ord(character)
        counts[1 if number <= 128 else 2 if number <= 2048 else 3 if number <= 65536 else 4] += 1
    return counts


@wrong("byte_counts", says="you took two bytes for every character that is not English")
def sizes_one_or_two(text):
    """Knows only English and the rest."""
    plain = sum(character.isascii() for character in text)
    return {1: plain, 2: len(text) - plain, 3: 0, 4: 0}


@wrong("byte_counts", says="you wrote the marks apart from the letters; leave the text as it is")
def sizes_taken_apart(text):
    """Decomposes letters with marks."""
    sizes = [len(character.encode()) for character in unicodedata.normalize("NFD", text)]
    return {n: sizes.count(n) for n in range(1, 5)}


@wrong("byte_counts", says="you put letters and marks together; leave the text as it is")
def sizes_put_together(text):
    """Composes letters and marks."""
    sizes = [len(character.encode()) for character in unicodedata.normalize("NFC", text)]
    return {n: sizes.count(n) for n in range(1, 5)}


@wrong("byte_counts", says="you made the letters small, and some then take other bytes")
def sizes_of_small_letters(text):
    """Lower case changes the bytes of some letters."""
    sizes = [len(character.encode()) for character in text.lower()]
    return {n: sizes.count(n) for n in range(1, 5)}


@wrong("byte_counts", says="you counted letters only; count every character")
def sizes_of_letters(text):
    """Skips all that is no letter."""
    sizes = [len(character.encode()) for character in text if character.isalpha()]
    return {n: sizes.count(n) for n in range(1, 5)}


@wrong("byte_counts", says="the dictionary is turned round: its keys are the sizes 1 to 4")
def sizes_turned_round(text):
    """Numbers to sizes."""
    sizes = [len(character.encode()) for character in text]
    return {sizes.count(n): n for n in range(1, 5)}


# --- count_pairs ----------------------------------------------------------------------------------


@wrong(
    "count_pairs", says="you moved on by two; the pairs overlap, so each id but the last begins one"
)
def count_steps_of_two(ids):
    """Cuts the list into pairs instead of sliding along it."""
    counts = {}
    for i in range(0, len(ids) - 1, 2):
        pair = (ids[i], ids[i + 1])
        counts[pair] = counts.get(pair, 0) + 1
    return counts


@wrong("count_pairs", says="you left out the last pair")
def count_without_last(ids):
    """Stops one pair too early."""
    return dict(Counter((ids[i], ids[i + 1]) for i in range(len(ids) - 2)))


@wrong("count_pairs", says="you left out the first pair")
def count_without_first(ids):
    """Begins one pair too late."""
    return dict(Counter((ids[i], ids[i + 1]) for i in range(1, len(ids) - 1)))


@wrong("count_pairs", says="you counted single ids instead of pairs")
def count_single_ids(ids):
    """Counts the ids themselves."""
    return dict(Counter(ids))


@wrong("count_pairs", says="each pair is turned round: the left id comes first")
def count_turned_round(ids):
    """The right neighbour first."""
    return dict(Counter(zip(ids[1:], ids, strict=False)))


@wrong("count_pairs", says="you treated (a, b) and (b, a) as the same pair; their order matters")
def count_unordered(ids):
    """Takes (a, b) and (b, a) for the same pair."""
    return dict(Counter(tuple(sorted(pair)) for pair in zip(ids, ids[1:], strict=False)))


@wrong("count_pairs", says="you counted every pair once, however often it occurs")
def count_each_once(ids):
    """A set of pairs: the counts are all 1."""
    return {pair: 1 for pair in set(zip(ids, ids[1:], strict=False))}


@wrong(
    "count_pairs",
    says="you counted pairs that overlap only once; in x x x the pair (x, x) occurs twice",
)
def count_no_overlap(ids):
    """With str.count: in x x x the pair (x, x) is found once. Right wherever no id is repeated."""
    text = "".join(map(chr, ids))
    return {pair: text.count("".join(map(chr, pair))) for pair in zip(ids, ids[1:], strict=False)}


@wrong("count_pairs", says="you searched in the printed ids, where 1, 2 is found in 11, 2")
def count_in_text(ids):
    """Searches in the printed list: 1, 2 is found in 11, 2 as well. Right as long as all ids have
    one digit.
    """
    printed = ", ".join(map(str, ids))
    pairs = set(zip(ids, ids[1:], strict=False))
    return {(a, b): len(re.findall(f"(?={a}, {b})", printed)) for a, b in pairs}


@wrong(
    "count_pairs",
    says=") gives another answer the second time: the counts of the call before are still there. Make the dictionary inside the function",
)
def count_into_default(ids, counts={}):  # noqa: B006
    """A dictionary as default argument remembers the calls before. Right the first time."""
    for pair in zip(ids, ids[1:], strict=False):
        counts[pair] = counts.get(pair, 0) + 1
    return dict(counts)


@wrong("count_pairs", says="your counts start at 0 instead of 1")
def count_from_zero(ids):
    """The first occurrence counts nothing."""
    counts = {}
    for pair in zip(ids, ids[1:], strict=False):
        counts[pair] = counts[pair] + 1 if pair in counts else 0
    return counts


@wrong("count_pairs", says="you paired the last id with the first")
def count_round(ids):
    """The index -1 pairs the last id with the first."""
    counts = {}
    for i in range(len(ids)):
        pair = (ids[i - 1], ids[i])
        counts[pair] = counts.get(pair, 0) + 1
    return counts


@wrong("count_pairs", says="; each key must be a tuple of two ids, such as")
def count_with_list_keys(ids):
    """Pairs as text, because lists cannot be keys."""
    return dict(Counter(str([a, b]) for a, b in zip(ids, ids[1:], strict=False)))


@wrong("count_pairs", says="reads an id that is not there; fewer than two ids make no pair")
def count_needs_two(ids):
    """Reads the first pair before the loop. Right from two ids on."""
    counts = {(ids[0], ids[1]): 1}
    for pair in zip(ids[1:], ids[2:], strict=False):
        counts[pair] = counts.get(pair, 0) + 1
    return counts


@wrong("count_pairs", says="you kept only the ten most frequent pairs; every pair counts")
def count_top_ten(ids):
    """Only the most frequent pairs. Right as long as there are at most ten."""
    return dict(Counter(zip(ids, ids[1:], strict=False)).most_common(10))


@wrong(
    "count_pairs",
    says="you left out pairs that begin with the id 0; ask `is not None`, since 0 counts as false",
)
def count_without_zero(ids):
    """Asks `if previous` instead of `is not None`. Right as long as no id is 0."""
    counts = {}
    previous = None
    for i in ids:
        if previous:
            counts[previous, i] = counts.get((previous, i), 0) + 1
        previous = i
    return counts


@wrong(
    "count_pairs",
    says="you left out pairs with the id 0; ask `is not None`, since 0 counts as false",
)
def count_if_both(ids):
    """Asks whether both ids are there with `and`. Right as long as no id is 0."""
    return dict(Counter((a, b) for a, b in zip(ids, ids[1:], strict=False) if a and b))


@wrong("count_pairs", says="you left out the pairs that occur only once")
def count_repeated(ids):
    """Leaves out what occurs once."""
    return {pair: n for pair, n in count_pairs(ids).items() if n > 1}


@wrong("count_pairs", says="you left out the pairs of two equal ids")
def count_different(ids):
    """Takes two equal neighbours for no pair."""
    return {pair: n for pair, n in count_pairs(ids).items() if pair[0] != pair[1]}


@wrong("count_pairs", says="you counted ids that stand apart, too; only neighbours make a pair")
def count_combinations(ids):
    """Pairs every id with all that follow. Right for two ids."""
    return dict(Counter(combinations(ids, 2)))


@wrong("count_pairs", says="there is room for the ids of the 256 bytes only")
def count_bytes_only(ids):
    """A table of 256 by 256. Right as long as nothing was merged."""
    table = np.zeros((256, 256), dtype=int)
    for a, b in zip(ids, ids[1:], strict=False):
        table[a, b] += 1
    return {(int(a), int(b)): int(table[a, b]) for a, b in np.argwhere(table)}


@wrong("count_pairs", says="; each key must be a tuple of two ids, such as")
def count_with_frozensets(ids):
    """Sets of two: without order, and with one element where the ids are equal."""
    return dict(Counter(frozenset(pair) for pair in zip(ids, ids[1:], strict=False)))


# --- merge ----------------------------------------------------------------------------------------


@wrong("merge", says="only the first occurrence was merged")
def merge_first_only(ids, pair, new_id):
    """Returns after the first match."""
    for i in range(len(ids) - 1):
        if (ids[i], ids[i + 1]) == pair:
            return ids[:i] + [new_id] + ids[i + 2 :]
    return list(ids)


@wrong(
    "merge",
    says="after a match you moved on by one, so that the second id of the pair is used again",
)
def merge_without_jump(ids, pair, new_id):
    """A for loop appends the new id and then the second half of the pair, too."""
    merged = []
    for i in range(len(ids)):
        if tuple(ids[i : i + 2]) == pair:
            merged.append(new_id)
        else:
            merged.append(ids[i])
    return merged


@wrong("merge", says="you kept the first id of the pair; the new id takes the place of both")
def merge_keeps_first(ids, pair, new_id):
    """Looks back at what was written, and appends where it should replace."""
    merged = []
    for i in ids:
        merged.append(new_id if merged and (merged[-1], i) == pair else i)
    return merged


@wrong("merge", says="the last id got lost where it is not part of a pair")
def merge_loses_last(ids, pair, new_id):
    """The loop ends one early, so a last id that is in no pair is lost."""
    merged = []
    i = 0
    while i < len(ids) - 1:
        if (ids[i], ids[i + 1]) == pair:
            merged.append(new_id)
            i += 2
        else:
            merged.append(ids[i])
            i += 1
    return merged


@wrong(
    "merge",
    says="at the last id you looked at ids[i + 1], which is not there",
)
def merge_past_the_end(ids, pair, new_id):
    """Looks at ids[i + 1] without asking whether it is there. Right unless the last id is the
    pair's first.
    """
    merged = []
    i = 0
    while i < len(ids):
        if ids[i] == pair[0] and ids[i + 1] == pair[1]:
            merged.append(new_id)
            i += 2
        else:
            merged.append(ids[i])
            i += 1
    return merged


@wrong("merge", says="nothing was merged; a list never equals a tuple")
def merge_by_identity(ids, pair, new_id):
    """Compares with `is`. Right for ids below 257, which Python keeps only once."""
    merged = []
    i = 0
    while i < len(ids):
        if i + 1 < len(ids) and ids[i] is pair[0] and ids[i + 1] is pair[1]:
            merged.append(new_id)
            i += 2
        else:
            merged.append(ids[i])
            i += 1
    return merged


@wrong(
    "merge",
    says="you went from right to left; in a run such as x x x the two on the left belong together",
)
def merge_from_the_right(ids, pair, new_id):
    """Right unless the pair repeats one id and stands in a run of odd length."""
    return merge(ids[::-1], pair[::-1], new_id)[::-1]


@wrong("merge", says="you merged the pair in the other order too")
def merge_either_order(ids, pair, new_id):
    """Takes (b, a) for the pair as well."""
    merged = []
    i = 0
    while i < len(ids):
        if sorted(ids[i : i + 2]) == sorted(pair):
            merged.append(new_id)
            i += 2
        else:
            merged.append(ids[i])
            i += 1
    return merged


@wrong("merge", says="an id was used twice; move on by two after a match")
def merge_overlapping(ids, pair, new_id):
    """Uses an id twice in a run: x x x becomes two new ids."""
    merged = []
    for i in range(len(ids)):
        if tuple(ids[i : i + 2]) == pair:
            merged.append(new_id)
        elif i == 0 or tuple(ids[i - 1 : i + 1]) != pair:
            merged.append(ids[i])
    return merged


@wrong("merge", says="changed its argument in place")
def merge_in_place(ids, pair, new_id):
    """Changes the list that it was given."""
    i = 0
    while i < len(ids) - 1:
        if (ids[i], ids[i + 1]) == pair:
            ids[i : i + 2] = [new_id]
        i += 1
    return ids


@wrong(
    "merge",
    says="you searched in the printed ids, where 1 2 is found in 11 2, too; compare whole ids",
)
def merge_in_text(ids, pair, new_id):
    """Replaces in the printed list: 1, 2 is found in 11, 2 as well, and an empty text holds no
    number.
    """
    text = " ".join(map(str, ids)).replace(f"{pair[0]} {pair[1]}", str(new_id))
    return [int(i) for i in text.split(" ")]


@wrong("merge", says="the pair was removed without the new id in its place")
def merge_deletes(ids, pair, new_id):
    """Leaves the pair out and puts nothing in its place."""
    return [i for i in merge(ids, pair, new_id) if i != new_id]


@wrong("merge", says="nothing was merged; a list never equals a tuple")
def merge_list_and_tuple(ids, pair, new_id):
    """A list never equals a tuple."""
    merged = []
    i = 0
    while i < len(ids):
        if ids[i : i + 2] == pair:
            merged.append(new_id)
            i += 2
        else:
            merged.append(ids[i])
            i += 1
    return merged


@wrong(
    "merge",
    says="you searched in the printed ids, where 1 2 is found in 11 2, too; compare whole ids",
)
def merge_in_text_unless_empty(ids, pair, new_id):
    """Replaces in the printed list: right as long as all ids have equally many digits."""
    return [
        int(i) for i in " ".join(map(str, ids)).replace(f"{pair[0]} {pair[1]}", str(new_id)).split()
    ]


@wrong("merge", says="you paired the last id with the first; the list is no circle")
def merge_in_a_circle(ids, pair, new_id):
    """Pairs the last id with the first. Right unless these are the pair."""
    merged = []
    i = 0
    while i < len(ids):
        if (ids[i], ids[(i + 1) % len(ids)]) == pair:
            merged.append(new_id)
            i += 2
        else:
            merged.append(ids[i])
            i += 1
    return merged


@wrong("merge", says="at the first id you looked at ids[i - 1], which is the last id of the list")
def merge_looks_back(ids, pair, new_id):
    """Compares ids[i - 1], which is the last id where i is 0."""
    merged = []
    for i in range(len(ids)):
        if (ids[i - 1], ids[i]) == pair and (not merged or merged[-1] == pair[0]):
            merged[-1:] = [new_id]
        else:
            merged.append(ids[i])
    return merged


@wrong(
    "merge",
    says="you stopped at the first id that only looks like the beginning of a pair; go on to the end",
)
def merge_gives_up(ids, pair, new_id):
    """Stops where the pair's first id stands without the second."""
    ids = list(ids)
    at = 0
    while pair[0] in ids[at:]:
        at = ids.index(pair[0], at)
        if tuple(ids[at : at + 2]) != pair:
            break
        ids[at : at + 2] = [new_id]
    return ids


@wrong("merge", says="you asked only whether two ids are in the pair")
def merge_either_id(ids, pair, new_id):
    """Asks whether both ids are in the pair, in any order or twice the same."""
    merged = []
    i = 0
    while i < len(ids):
        if i + 1 < len(ids) and ids[i] in pair and ids[i + 1] in pair:
            merged.append(new_id)
            i += 2
        else:
            merged.append(ids[i])
            i += 1
    return merged


@wrong(
    "merge",
    says="you replaced each first id of the pair and dropped each second one, wherever they stand",
)
def merge_each_first(ids, pair, new_id):
    """Replaces each first id and drops each second. Right where they occur only together."""
    return [new_id if i == pair[0] else i for i in ids if i != pair[1]]


@wrong("merge", says="nothing was merged; the id 0 counts as false")
def merge_without_zero(ids, pair, new_id):
    """Asks `all(...)` for whether both ids are there. Right as long as no id is 0."""
    merged = []
    ids = list(ids)
    while ids:
        if len(ids) > 1 and all(ids[:2]) and tuple(ids[:2]) == pair:
            merged.append(new_id)
            ids = ids[2:]
        else:
            merged.append(ids.pop(0))
    return merged


@wrong("merge", says="after a match you moved on by three, so that an id is lost")
def merge_skips_after(ids, pair, new_id):
    """A match also swallows the id after it, since the step of the loop comes on top."""
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


# --- train_bpe ------------------------------------------------------------------------------------


def smallest_of_most_frequent(counts):
    return min(counts, key=lambda pair: (-counts[pair], pair))


def training(text, n_merges, pick=smallest_of_most_frequent, start=256, read=str.encode):
    ids = list(read(text))
    merges = {}
    while len(merges) < n_merges and len(ids) > 1:
        pair = pick(count_pairs(ids))
        merges[pair] = start + len(merges)
        ids = merge(ids, pair, merges[pair])
    return merges


@wrong(
    "train_bpe",
    says="of equally frequent pairs you took the one that comes first in the text; take the one with the smallest ids",
)
def train_first_of_ties(text, n_merges):
    """Of equally frequent pairs, the first in the text."""
    return training(text, n_merges, pick=lambda counts: max(counts, key=counts.get))


@wrong(
    "train_bpe",
    says="of equally frequent pairs you took the one with the largest ids; take the smallest",
)
def train_last_of_ties(text, n_merges):
    """Of equally frequent pairs, the one with the largest ids."""
    return training(text, n_merges, pick=lambda counts: max(counts, key=lambda p: (counts[p], p)))


@wrong("train_bpe", says="you merged the rarest pair first")
def train_least_frequent(text, n_merges):
    """The rarest pair first."""
    return training(text, n_merges, pick=lambda counts: min(counts, key=lambda p: (counts[p], p)))


@wrong("train_bpe", says="the first new id must be 256, the first number after the bytes")
def train_from_257(text, n_merges):
    """Leaves the id 256 out."""
    return training(text, n_merges, start=257)


@wrong("train_bpe", says="the new ids must start at 256, after the bytes")
def train_from_zero(text, n_merges):
    """Gives the new tokens the ids of bytes."""
    return training(text, n_merges, start=0)


@wrong("train_bpe", says="you worked on characters; start from the UTF-8 bytes of the text")
def train_on_characters(text, n_merges):
    """Characters instead of bytes. Right for ASCII."""
    return training(text, n_merges, read=lambda text: map(ord, text))


@wrong(
    "train_bpe", says="you counted only once, before the first merge; count again after every merge"
)
def train_counts_once(text, n_merges):
    """Takes the n most frequent pairs of the bytes. Right for one merge."""
    counts = count_pairs(list(text.encode()))
    best = sorted(counts, key=lambda pair: (-counts[pair], pair))[:n_merges]
    return {pair: 256 + i for i, pair in enumerate(best)}


@wrong(
    "train_bpe",
    says=") fails when no pair is left to merge; stop there, with the merges learned so far",
)
def train_needs_pairs(text, n_merges):
    """Does not stop where no pair is left. Right for long texts."""
    ids = list(text.encode())
    merges = {}
    for new_id in range(256, 256 + n_merges):
        counts = count_pairs(ids)
        pair = min(counts, key=lambda p: (-counts[p], p))
        merges[pair] = new_id
        ids = merge(ids, pair, new_id)
    return merges


@wrong(
    "train_bpe", says="you stopped where every pair occurs once; go on until n_merges are learned"
)
def train_only_repeated(text, n_merges):
    """Stops where every pair occurs once. Right for long texts."""
    ids = list(text.encode())
    merges = {}
    while len(merges) < n_merges and max((counts := count_pairs(ids)).values(), default=0) > 1:
        pair = min(counts, key=lambda p: (-counts[p], p))
        merges[pair] = 256 + len(merges)
        ids = merge(ids, pair, merges[pair])
    return merges


@wrong("train_bpe", says="there is one merge too many")
def train_one_more(text, n_merges):
    """Checks the number of merges too late."""
    return training(text, n_merges + 1)


@wrong("train_bpe", says="there is one merge too few")
def train_one_fewer(text, n_merges):
    """Counts the new ids from 256 on up to 256 + n_merges, both of them left out."""
    return training(text, len(range(257, 256 + n_merges)))


@wrong(
    "train_bpe", says="the dictionary is turned round: pairs are its keys and new ids its values"
)
def train_turned_round(text, n_merges):
    """Ids as keys and pairs as values."""
    return {new_id: pair for pair, new_id in training(text, n_merges).items()}


@wrong(
    "train_bpe", says="nothing was learned; n_merges is the number of merges, without the 256 bytes"
)
def train_up_to_id(text, n_merges):
    """Takes n_merges for the size of the vocabulary."""
    return training(text, n_merges - 256)


@wrong(
    "train_bpe",
    says="of equally frequent pairs you compared only the first ids; where these are equal, the smaller second id wins",
)
def train_first_id_only(text, n_merges):
    """Compares only the first ids of ties. Right unless two of these pairs begin alike."""
    return training(
        text, n_merges, pick=lambda counts: max(counts, key=lambda p: (counts[p], -p[0]))
    )


@wrong(
    "train_bpe",
    says="of equally frequent pairs with the same first id, you took the one with the larger second id",
)
def train_larger_second_id(text, n_merges):
    """Turns only the first id round to use max."""
    return training(
        text, n_merges, pick=lambda counts: max(counts, key=lambda p: (counts[p], -p[0], p[1]))
    )


@wrong(
    "train_bpe", says="of equally frequent pairs you compared the second ids before the first ids"
)
def train_second_id_first(text, n_merges):
    """Compares the second ids of ties first."""
    return training(
        text, n_merges, pick=lambda counts: min(counts, key=lambda p: (-counts[p], p[1], p[0]))
    )


@wrong(
    "train_bpe",
    says="of equally frequent pairs you took the one with the smallest sum; compare the first ids, then the second",
)
def train_smallest_sum(text, n_merges):
    """Takes the smallest sum of ids for the smallest ids."""
    return training(
        text, n_merges, pick=lambda counts: min(counts, key=lambda p: (-counts[p], p[0] + p[1], p))
    )


@wrong(
    "train_bpe",
    says="of equally frequent pairs you took the one whose text comes first; compare ids as numbers",
)
def train_smallest_text(text, n_merges):
    """Compares ids as text, where "100" comes before "32"."""
    return training(
        text, n_merges, pick=lambda counts: min(counts, key=lambda p: (-counts[p], str(p)))
    )


@wrong("train_bpe", says="of equally frequent pairs you compared the bytes that the ids stand for")
def train_smallest_bytes(text, n_merges):
    """Compares what the ids stand for. Right until a merged id is in a tie."""
    ids = list(text.encode())
    merges = {}
    while len(merges) < n_merges and len(ids) > 1:
        counts = count_pairs(ids)
        vocab = build_vocab(merges)
        pair = min(counts, key=lambda p: (-counts[p], vocab[p[0]], vocab[p[1]]))
        merges[pair] = 256 + len(merges)
        ids = merge(ids, pair, merges[pair])
    return merges


@wrong("train_bpe", says="you stopped where all ids are equal; two of them are a pair, too")
def train_different_ids(text, n_merges):
    """Stops as soon as all ids are equal. Right for nearly every text."""
    ids = list(text.encode())
    merges = {}
    while len(merges) < n_merges and len(set(ids)) > 1:
        pair = smallest_of_most_frequent(count_pairs(ids))
        merges[pair] = 256 + len(merges)
        ids = merge(ids, pair, merges[pair])
    return merges


def training_on(words, n_merges):
    """Learns from words, across which no pair is counted."""
    words = [list(word.encode()) for word in words]
    merges = {}
    while len(merges) < n_merges and (
        counts := sum((Counter(count_pairs(word)) for word in words), Counter())
    ):
        pair = smallest_of_most_frequent(counts)
        merges[pair] = 256 + len(merges)
        words = [merge(word, pair, merges[pair]) for word in words]
    return merges


@wrong("train_bpe", says="you cut the text into words; here pairs cross the spaces")
def train_on_words(text, n_merges):
    """Splits the text at white space first."""
    return training_on(text.split(), n_merges)


@wrong("train_bpe", says="you cut the text in front of each space; here pairs cross the words")
def train_on_words_with_space(text, n_merges):
    """Cuts the text as GPT-2 does first."""
    return training_on(re.findall(r"\s?\S+|\s+", text), n_merges)


@wrong("train_bpe", says="you learned line by line; here pairs cross the end of a line")
def train_on_lines(text, n_merges):
    """Learns line by line. Right for one line."""
    return training_on(text.splitlines(), n_merges)


@wrong("train_bpe", says="you removed the spaces at the ends; they are bytes like the others")
def train_stripped(text, n_merges):
    """Removes white space at the ends."""
    return training(text.strip(), n_merges)


@wrong("train_bpe", says="you changed capital letters into small ones; leave the text as it is")
def train_lower(text, n_merges):
    """Small letters only."""
    return training(text.lower(), n_merges)


@wrong(
    "train_bpe",
    says="you counted pairs that overlap only once; in x x x the pair (x, x) occurs twice",
)
def train_without_overlaps(text, n_merges):
    """Counts x x x as one pair. Right unless that changes which pair is most frequent."""
    ids = list(text.encode())
    merges = {}
    while len(merges) < n_merges and len(ids) > 1:
        counts = {pair: merge(ids, pair, -1).count(-1) for pair in count_pairs(ids)}
        pair = smallest_of_most_frequent(counts)
        merges[pair] = 256 + len(merges)
        ids = merge(ids, pair, merges[pair])
    return merges


@wrong("train_bpe", says="you merged only single bytes; count the pairs of new ids, too")
def train_bytes_only(text, n_merges):
    """Never merges what was merged."""
    ids = list(text.encode())
    merges = {}
    while len(merges) < n_merges and (
        counts := {p: n for p, n in count_pairs(ids).items() if max(p) < 256}
    ):
        pair = smallest_of_most_frequent(counts)
        merges[pair] = 256 + len(merges)
        ids = merge(ids, pair, merges[pair])
    return merges


@wrong("train_bpe", says="the merges of a call before are still there")
def train_into_default(text, n_merges, merges={}):  # noqa: B006
    """A dictionary as default argument remembers the calls before. Right the first time."""
    ids = list(text.encode())
    for _ in range(n_merges):
        if len(ids) < 2:
            break
        pair = smallest_of_most_frequent(count_pairs(ids))
        merges[pair] = 256 + len(merges)
        ids = merge(ids, pair, merges[pair])
    return dict(merges)


# --- encode ---------------------------------------------------------------------------------------


def encoding(text, merges, pick):
    ids = list(text.encode())
    while known := [pair for pair in zip(ids, ids[1:], strict=False) if pair in merges]:
        pair = pick(known)
        ids = merge(ids, pair, merges[pair])
    return ids


@wrong(
    "encode",
    says="you applied the pair that comes first in the text; apply the one learned first (the lowest new id)",
)
def encode_first_in_text(text, merges):
    """The leftmost pair first."""
    return encoding(text, merges, lambda known: known[0])


@wrong("encode", says="you applied the pair learned last first; begin with the lowest new id")
def encode_learned_last(text, merges):
    """The highest new id first."""
    return encoding(text, merges, lambda known: max(known, key=merges.get))


@wrong(
    "encode",
    says="you applied the pair with the smallest ids first; the order is that of the new ids",
)
def encode_smallest_pair(text, merges):
    """Forgets the key of min, which then compares the pairs themselves."""
    return encoding(text, merges, min)


@wrong(
    "encode",
    says="you applied the most frequent pair of this text; encoding counts nothing, it applies what was learned first",
)
def encode_most_frequent(text, merges):
    """Counts in the text to be encoded, as training does."""
    return encoding(text, merges, lambda known: Counter(known).most_common(1)[0][0])


@wrong("encode", says="no merge was applied")
def encode_nothing(text, merges):
    """Bytes only."""
    return list(text.encode())


@wrong("encode", says="you took the numbers of the characters; start from their bytes")
def encode_characters(text, merges):
    """Characters instead of bytes. Right for ASCII."""
    ids = list(map(ord, text))
    for pair, new_id in merges.items():
        ids = merge(ids, pair, new_id)
    return ids


@wrong("encode", says="each merge was applied at its first place only")
def encode_once_each(text, merges):
    """Each merge at its first place only."""
    ids = list(text.encode())
    for pair, new_id in merges.items():
        ids = merge_first_only(ids, pair, new_id)
    return ids


@wrong("encode", says="you walked over the ids only once; a merge makes new pairs, so look again")
def encode_one_pass(text, merges):
    """One walk from left to right, which never sees the pairs of new ids."""
    ids = list(text.encode())
    out = []
    i = 0
    while i < len(ids):
        pair = tuple(ids[i : i + 2])
        out.append(merges.get(pair, ids[i]))
        i += 2 if pair in merges else 1
    return out


@wrong(
    "encode",
    says="you took the longest token that fits; BPE applies merges in the order learned instead",
)
def encode_longest(text, merges):
    """The longest token that fits, from the left. Right wherever it is also what the merges
    give.
    """
    tokens = {token: i for i, token in build_vocab(merges).items()}
    data = text.encode()
    ids = []
    while data:
        size = next(n for n in range(len(data), 0, -1) if data[:n] in tokens)
        ids.append(tokens[data[:size]])
        data = data[size:]
    return ids


@wrong("encode", says="fails when no pair is left to merge; stop there")
def encode_needs_a_pair(text, merges):
    """Looks for the smallest of nothing where no pair is left. Fails on texts of one character or
    none.
    """
    ids = list(text.encode())
    while (
        pair := min(zip(ids, ids[1:], strict=False), key=lambda p: merges.get(p, 10**9))
    ) in merges:
        ids = merge(ids, pair, merges[pair])
    return ids


@wrong("encode", says="fails when no pair is left to merge; stop there")
def encode_without_end(text, merges):
    """Takes the smallest of the pairs that are known, though there may be none."""
    ids = list(text.encode())
    while len(ids) > 1:
        pair = min(
            (p for p in zip(ids, ids[1:], strict=False) if p in merges), key=lambda p: merges[p]
        )
        ids = merge(ids, pair, merges[pair])
    return ids


@wrong("encode", says="you learned the merges of this text; use those that are given")
def encode_trains(text, merges):
    """Learns merges of the text itself instead of using those given."""
    merges = training(text, len(merges))
    return encoding(text, merges, lambda known: min(known, key=merges.get))


@wrong(
    "encode",
    says="you applied all pairs of a round before you looked again; after each merge, look which pairs there are now",
)
def encode_in_rounds(text, merges):
    """Applies all known pairs in order before it looks again. Right unless a merge makes a pair
    learned earlier.
    """
    ids = list(text.encode())
    while known := [pair for pair in merges if pair in set(zip(ids, ids[1:], strict=False))]:
        for pair in known:
            ids = merge(ids, pair, merges[pair])
    return ids


@wrong("encode", says="you stopped at the first merge that does not occur; go on with the next")
def encode_until_absent(text, merges):
    """Stops at the first merge that is not in the text."""
    ids = list(text.encode())
    for pair, new_id in merges.items():
        if pair not in zip(ids, ids[1:], strict=False):
            break
        ids = merge(ids, pair, new_id)
    return ids


@wrong("encode", says="you cut the text into words; here merges cross the spaces")
def encode_words(text, merges):
    """Splits the text at white space, and loses that."""
    return [i for word in text.split() for i in encode(word, merges)]


@wrong("encode", says="you cut the text in front of each space; here merges cross the words")
def encode_words_with_space(text, merges):
    """Cuts the text as GPT-2 does. Right where no merge crosses a space."""
    return [i for word in re.findall(r"\s?\S+|\s+", text) for i in encode(word, merges)]


@wrong("encode", says="you encoded line by line; a merge may cross the end of a line")
def encode_lines(text, merges):
    """Encodes line by line. Right where no merge crosses the end of a line."""
    return [i for line in text.splitlines(keepends=True) for i in encode(line, merges)]


@wrong("encode", says="you removed the spaces at the ends; they are bytes like the others")
def encode_stripped(text, merges):
    """Removes white space at the ends."""
    return encode(text.strip(), merges)


@wrong("encode", says="you made the letters small; a capital is another byte")
def encode_lower(text, merges):
    """Small letters only."""
    return encode(text.lower(), merges)


@wrong(
    "encode", says="you applied only merges of two bytes; a merge may hold the new id of another"
)
def encode_bytes_only(text, merges):
    """Applies only merges of two bytes, all in one go."""
    ids = list(text.encode())
    for pair in [p for p in merges if max(p) < 256]:
        ids = merge(ids, pair, merges[pair])
    return ids


@wrong("encode", says="you merged from right to left; in a run such as x x x")
def encode_from_the_right(text, merges):
    """Right unless a pair repeats one id in a run of odd length."""
    ids = list(text.encode())
    for pair, new_id in merges.items():
        ids = merge_from_the_right(ids, pair, new_id)
    return ids


@wrong("encode", says="you encoded each character by itself; merges join characters, too")
def encode_each_character(text, merges):
    """Encodes character by character. Right where no merge joins two."""
    return [i for character in text for i in encode(character, merges)]


@wrong("encode", says="you stopped after one merge; go on until no pair is in merges")
def encode_one_merge(text, merges):
    """`if` instead of `while`."""
    ids = list(text.encode())
    if known := [pair for pair in zip(ids, ids[1:], strict=False) if pair in merges]:
        ids = merge(ids, min(known, key=merges.get), merges[min(known, key=merges.get)])
    return ids


# --- decode ---------------------------------------------------------------------------------------


@wrong("decode", says="decoding failed. These bytes are not valid UTF-8")
def decode_strictly(ids, merges):
    """Stops at invalid UTF-8, which a model may well produce."""
    return b"".join(map(build_vocab(merges).get, ids)).decode("utf-8")


@wrong("decode", says="decoding failed. Join the bytes of all tokens first")
def decode_each_strictly(ids, merges):
    """Decodes token by token, without U+FFFD. Right unless a character is spread over two tokens."""
    vocab = build_vocab(merges)
    return "".join(vocab[i].decode("utf-8") for i in ids)


@wrong(
    "decode", says="you left out what is not valid UTF-8; put U+FFFD there, with errors='replace'"
)
def decode_ignoring(ids, merges):
    """Drops invalid bytes without a word."""
    return b"".join(map(build_vocab(merges).get, ids)).decode("utf-8", errors="ignore")


@wrong("decode", says="invalid bytes must become U+FFFD: use errors='replace'")
def decode_with_escapes(ids, merges):
    """Writes invalid bytes as backslash escapes."""
    return b"".join(map(build_vocab(merges).get, ids)).decode("utf-8", errors="backslashreplace")


@wrong(
    "decode",
    says="you decoded every token alone; join the bytes first, since a character may begin in one token and end in the next",
)
def decode_each_alone(ids, merges):
    """Decodes token by token. Right unless a character is spread over two tokens."""
    vocab = build_vocab(merges)
    return "".join(vocab[i].decode("utf-8", errors="replace") for i in ids)


@wrong("decode", says="you took every byte for a character; decode the bytes as UTF-8")
def decode_latin(ids, merges):
    """A character for each byte. Right for ASCII."""
    vocab = build_vocab(merges)
    return "".join(chr(byte) for i in ids for byte in vocab[i])


@wrong("decode", says="levels of merges that you undid: 1; a merged id may hold other merged ids")
def decode_one_level(ids, merges):
    """Takes the halves of a merge for bytes. Right where no merge builds on another."""
    halves = {new_id: bytes(i % 256 for i in pair) for pair, new_id in merges.items()}
    return b"".join(halves.get(i) or bytes([i]) for i in ids).decode("utf-8", errors="replace")


@wrong("decode", says="levels of merges that you undid: 1; a merged id may hold other merged ids")
def decode_two_levels(ids, merges):
    """Undoes every merge once, from the first to the last: what a later merge holds of an earlier
    one stays.
    """
    ids = list(ids)
    for pair, new_id in merges.items():
        ids = [part for i in ids for part in (pair if i == new_id else (i,))]
    return bytes(i % 256 for i in ids).decode("utf-8", errors="replace")


@wrong("decode", says="the two halves of a merge are in the wrong order")
def decode_halves_swapped(ids, merges):
    """Right + left."""
    vocab = {i: bytes([i]) for i in range(256)}
    for (left, right), new_id in merges.items():
        vocab[new_id] = vocab[right] + vocab[left]
    return b"".join(vocab[i] for i in ids).decode("utf-8", errors="replace")


@wrong("decode", says="you put spaces between the tokens; a token holds its own spaces")
def decode_with_spaces(ids, merges):
    """Puts a space between tokens, as if they were words."""
    return b" ".join(map(build_vocab(merges).get, ids)).decode("utf-8", errors="replace")


@wrong("decode", says="you returned bytes; decode them as UTF-8")
def decode_to_bytes(ids, merges):
    """Forgets the last step."""
    return b"".join(map(build_vocab(merges).get, ids))


@wrong("decode", says="you removed the spaces at the ends; they belong to the text")
def decode_stripped(ids, merges):
    """Removes white space at the ends."""
    return decode(ids, merges).strip()


@wrong("decode", says="you removed the spaces at the beginning; they belong to the text")
def decode_lstripped(ids, merges):
    """Removes the space that many a tokenizer puts in front."""
    return decode(ids, merges).lstrip()


@wrong("decode", says="you removed the spaces at the end; they belong to the text")
def decode_rstripped(ids, merges):
    """Removes what is invisible at the end."""
    return decode(ids, merges).rstrip()


@wrong("decode", says="you changed capital letters into small ones; leave them as they are")
def decode_lower(ids, merges):
    """Small letters only."""
    return decode(ids, merges).lower()


@wrong("decode", says="levels of merges that you undid: 4; a merged id may hold other merged ids")
def decode_four_levels(ids, merges):
    """Undoes merges four times. Right up to tokens of five merges."""
    halves = {new_id: pair for pair, new_id in merges.items()}
    for _ in range(4):
        ids = [part for i in ids for part in halves.get(i, (i,))]
    return bytes(i % 256 for i in ids).decode("utf-8", errors="replace")


@wrong("decode", says="levels of merges that you undid: 10; a merged id may hold other merged ids")
def decode_ten_levels(ids, merges):
    """Undoes merges ten times."""
    halves = {new_id: pair for pair, new_id in merges.items()}
    for _ in range(10):
        ids = [part for i in ids for part in halves.get(i, (i,))]
    return bytes(i % 256 for i in ids).decode("utf-8", errors="replace")


@wrong("decode", says="you left out the id 0; it is a byte like the others")
def decode_without_zero(ids, merges):
    """Asks `if i`. Right as long as no id is 0."""
    return decode([i for i in ids if i], merges)


@wrong("decode", says="you went through the vocabulary; go through the ids")
def decode_each_once(ids, merges):
    """Goes through the vocabulary instead of the ids."""
    return b"".join(token for i, token in build_vocab(merges).items() if i in ids).decode(
        "utf-8", errors="replace"
    )


@wrong("decode", says="several U+FFFD in a row became one")
def decode_invalid_once(ids, merges):
    """One sign for any number of invalid bytes in a row."""
    return re.sub("\ufffd+", "\ufffd", decode(ids, merges))


@wrong("decode", says="what is not valid UTF-8 became a question mark")
def decode_invalid_as_question(ids, merges):
    """A question mark for invalid bytes."""
    return decode(ids, merges).replace("\ufffd", "?")


@wrong("decode", says="where the bytes are not valid UTF-8 you took every byte for a character")
def decode_fallback_latin(ids, merges):
    """Tries another encoding where UTF-8 fails."""
    data = b"".join(map(build_vocab(merges).get, ids))
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("latin-1")


# --- chat_ids -------------------------------------------------------------------------------------


@wrong("chat_ids", says="the answer is not opened: <|start|> and assistant are missing at the end")
def chat_not_opened(messages, encode, special):
    """Ends behind the last message."""
    ids = []
    for role, text in messages:
        ids += [special["<|start|>"]] + encode(role) + [special["<|message|>"]]
        ids += encode(text) + [special["<|end|>"]]
    return ids


@wrong("chat_ids", says="you wrote <|message|> after the last assistant; the model writes it")
def chat_with_message(messages, encode, special):
    """Writes a part of the answer."""
    tail = [special["<|start|>"], *encode("assistant"), special["<|message|>"]]
    return chat_not_opened(messages, encode, special) + tail


@wrong("chat_ids", says="there is no <|end|> after the text of a message")
def chat_without_end(messages, encode, special):
    """A message has a beginning only."""
    ids = []
    for role, text in [*messages, ("assistant", None)]:
        ids += [special["<|start|>"]] + encode(role)
        ids += [] if text is None else [special["<|message|>"]] + encode(text)
    return ids


@wrong("chat_ids", says="there is no <|message|> between role and text")
def chat_without_message(messages, encode, special):
    """Nothing parts the role from the text."""
    ids = []
    for role, text in messages:
        ids += [special["<|start|>"], *encode(role), *encode(text), special["<|end|>"]]
    return [*ids, special["<|start|>"], *encode("assistant")]


@wrong("chat_ids", says="there is no <|start|> in front of a role")
def chat_without_start(messages, encode, special):
    """A role without its mark."""
    ids = []
    for role, text in messages:
        ids += [*encode(role), special["<|message|>"], *encode(text), special["<|end|>"]]
    return [*ids, special["<|start|>"], *encode("assistant")]


@wrong("chat_ids", says="you left out the role of each message")
def chat_without_roles(messages, encode, special):
    """Nobody knows who speaks."""
    ids = []
    for _, text in messages:
        ids += [special["<|start|>"], special["<|message|>"], *encode(text), special["<|end|>"]]
    return [*ids, special["<|start|>"], *encode("assistant")]


@wrong("chat_ids", says="text and role changed places; the role comes first")
def chat_text_first(messages, encode, special):
    """Unpacks each message in the wrong order."""
    opened = [special["<|start|>"], *encode("assistant")]
    return chat_not_opened([(text, role) for role, text in messages], encode, special) + opened


@wrong(
    "chat_ids",
    says="you encoded the whole conversation as one text; role and text are encoded alone",
)
def chat_as_one_text(messages, encode, special):
    """Writes the marks into the text."""
    whole = "".join(f"<|start|>{role}<|message|>{text}<|end|>" for role, text in messages)
    return encode(whole + "<|start|>assistant")


@wrong(
    "chat_ids",
    says="what a person typed became a special token; all of the text goes through encode",
)
def chat_forged(messages, encode, special):
    """Looks for special tokens in what was typed."""
    ids = []
    for role, text in messages:
        ids += [special["<|start|>"], *encode(role), special["<|message|>"]]
        for part in re.split(r"(<\|\w+\|>)", text):
            ids += [special[part]] if part in special else encode(part)
        ids.append(special["<|end|>"])
    return [*ids, special["<|start|>"], *encode("assistant")]


@wrong("chat_ids", says="you took out what looks like a special token; leave the text as it is")
def chat_censored(messages, encode, special):
    """Removes what could be forged."""
    opened = [special["<|start|>"], *encode("assistant")]
    cleaned = []
    for role, text in messages:
        for token in special:
            text = text.replace(token, "")
        cleaned.append((role, text))
    return chat_not_opened(cleaned, encode, special) + opened


@wrong(
    "chat_ids",
    says="you wrote special tokens as text and encoded them; take their ids from special",
)
def chat_marks_encoded(messages, encode, special):
    """Encodes the marks like words."""
    ids = []
    for role, text in messages:
        for part in ("<|start|>", role, "<|message|>", text, "<|end|>"):
            ids += encode(part)
    return ids + encode("<|start|>") + encode("assistant")


@wrong("chat_ids", says="you opened the answer after each message; open it once, at the end")
def chat_opened_each_time(messages, encode, special):
    """The last line is indented too far."""
    ids = []
    for message in messages:
        ids += chat_not_opened([message], encode, special)
        ids += [special["<|start|>"], *encode("assistant")]
    return ids


@wrong("chat_ids", says="you kept only the last message")
def chat_returns_the_last(messages, encode, special):
    """Begins the list anew for each message."""
    opened = [special["<|start|>"], *encode("assistant")]
    return chat_not_opened(messages[-1:], encode, special) + opened


@wrong("chat_ids", says="you kept only the first message")
def chat_returns_too_early(messages, encode, special):
    """Returns inside the loop."""
    opened = [special["<|start|>"], *encode("assistant")]
    return chat_not_opened(messages[:1], encode, special) + opened


@wrong("chat_ids", says="the messages are in the wrong order; the oldest comes first")
def chat_newest_first(messages, encode, special):
    """From the newest to the oldest."""
    opened = [special["<|start|>"], *encode("assistant")]
    return chat_not_opened(messages[::-1], encode, special) + opened


@wrong(
    "chat_ids",
    says="the answer is opened for the role of the last message; it is the assistant who answers",
)
def chat_asks_the_user(messages, encode, special):
    """Takes the last role for the one who answers."""
    role = messages[-1][0] if messages else "assistant"
    return chat_not_opened(messages, encode, special) + [special["<|start|>"], *encode(role)]


@wrong("chat_ids", says="you removed spaces at the ends of a text; leave it as it is")
def chat_stripped(messages, encode, special):
    """Tidies up what was typed."""
    opened = [special["<|start|>"], *encode("assistant")]
    tidy = [(role, text.strip()) for role, text in messages]
    return chat_not_opened(tidy, encode, special) + opened
