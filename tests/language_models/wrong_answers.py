"""Wrong answers to the exercises of lesson 00: mistakes that people make. Every checker must reject
every one.
"""

import math
import re
from collections import Counter, defaultdict

from answers import WrongAnswers

wrong = WrongAnswers()

VERBS = ("hid", "dropped")
WHERE = {"near", "behind", "beside", "under"}
RULE = r"\b(hid|dropped) the (\S+) (near|behind|beside|under) the (\S+)"


# --- hiding_place ---------------------------------------------------------------------------------


@wrong("hiding_place", says="you stopped at the first place; the last one counts")
def returns_inside_the_loop(words):
    for i in range(len(words) - 5):
        a, b, _, c, d, e = words[i : i + 6]
        if a in VERBS and b == "the" and c in WHERE and d == "the":
            return e
    return None


@wrong("hiding_place", says="you stopped at the first place; the last one counts")
def searches_once(words):
    found = re.search(RULE, " ".join(words))
    return found[4] if found else None


@wrong("hiding_place", says="you gave the thing instead of the place")
def takes_the_third_word(words):
    found = re.findall(RULE, " ".join(words))
    return found[-1][1] if found else None


@wrong("hiding_place", says="you gave the preposition instead of the place")
def takes_the_fourth_word(words):
    found = re.findall(RULE, " ".join(words))
    return found[-1][2] if found else None


@wrong("hiding_place", says="you know `hid` only; `dropped` counts as well")
def knows_hid_only(words):
    place = None
    for i, word in enumerate(words[:-5]):
        if word == "hid" and words[i + 1] == words[i + 4] == "the" and words[i + 3] in WHERE:
            place = words[i + 5]
    return place


@wrong("hiding_place", says="you know `dropped` only; `hid` counts as well")
def knows_dropped_only(words):
    found = re.findall(RULE.replace("hid|", ""), " ".join(words))
    return found[-1][3] if found else None


@wrong("hiding_place", says="you took any place that is named")
def takes_any_place(words):
    found = re.findall(r"\b(?:near|behind|beside|under) the (\S+)", " ".join(words))
    return found[-1] if found else None


@wrong("hiding_place", says="you took the fifth word behind the verb without asking")
def counts_on_from_the_verb(words):
    place = None
    for i, word in enumerate(words):
        if word in VERBS and i + 5 < len(words):
            place = words[i + 5]
    return place


@wrong("hiding_place", says="you gave all places; give the last one")
def gives_a_list(words):
    return [found[3] for found in re.findall(RULE, " ".join(words))] or None


@wrong("hiding_place", says="you gave an empty text where the rule finds nothing; give None")
def gives_an_empty_text(words):
    found = re.findall(RULE, " ".join(words))
    return found[-1][3] if found else ""


@wrong("hiding_place", says="a hiding at the very end of the text is left out")
def ends_one_too_early(words):
    place = None
    for i in range(len(words) - 6):
        a, b, _, c, d, e = words[i : i + 6]
        if a in VERBS and b == d == "the" and c in WHERE:
            place = e
    return place


# --- bigram_counts --------------------------------------------------------------------------------


@wrong("bigram_counts", says="you counted the pairs the wrong way round")
def counts_what_came_before(words):
    table = {}
    for i in range(1, len(words)):
        inner = table.setdefault(words[i], {})
        inner[words[i - 1]] = inner.get(words[i - 1], 0) + 1
    return table


@wrong("bigram_counts", says="you left out the last pair")
def stops_one_pair_early(words):
    table = {}
    for i in range(len(words) - 2):
        inner = table.setdefault(words[i], {})
        inner[words[i + 1]] = inner.get(words[i + 1], 0) + 1
    return table


@wrong("bigram_counts", says="you left out the first pair")
def begins_one_pair_late(words):
    table = {}
    for a, b in zip(words[1:], words[2:], strict=False):
        inner = table.setdefault(a, {})
        inner[b] = inner.get(b, 0) + 1
    return table


@wrong("bigram_counts", says="you moved on by two; the pairs overlap")
def takes_every_second_pair(words):
    table = {}
    for a, b in zip(words[::2], words[1::2], strict=False):
        inner = table.setdefault(a, {})
        inner[b] = inner.get(b, 0) + 1
    return table


@wrong("bigram_counts", says="each pair counts as 1, however often it came")
def forgets_to_add(words):
    table = {}
    for a, b in zip(words, words[1:], strict=False):
        table.setdefault(a, {}).setdefault(b, 1)
    return table


@wrong("bigram_counts", says="your counts begin at 0; the first time counts as 1")
def begins_at_zero(words):
    table = {}
    for a, b in zip(words, words[1:], strict=False):
        inner = table.setdefault(a, {})
        inner[b] = inner[b] + 1 if b in inner else 0
    return table


@wrong("bigram_counts", says="you paired the last word with the first")
def goes_round_in_a_circle(words):
    table = {}
    for i, a in enumerate(words):
        b = words[(i + 1) % len(words)]
        inner = table.setdefault(a, {})
        inner[b] = inner.get(b, 0) + 1
    return table


@wrong("bigram_counts", says="the last word has an empty entry; it has nothing behind it")
def makes_an_entry_for_every_word(words):
    table = {word: {} for word in words}
    for a, b in zip(words, words[1:], strict=False):
        table[a][b] = table[a].get(b, 0) + 1
    return table


@wrong("bigram_counts", says="you counted words and not pairs")
def counts_words(words):
    return {word: words.count(word) for word in words}


@wrong("bigram_counts", says="your keys are pairs; make a table in a table")
def counts_pairs_flat(words):
    return dict(Counter(zip(words, words[1:], strict=False)))


@wrong("bigram_counts", says="you divided the counts by their sum; give the counts")
def gives_shares(words):
    table = defaultdict(Counter)
    for a, b in zip(words, words[1:], strict=False):
        table[a][b] += 1
    return {a: {b: n / c.total() for b, n in c.items()} for a, c in table.items()}


@wrong("bigram_counts", says="only the last word that followed is kept; every one counts")
def overwrites_the_inner_table(words):
    table = {}
    for a, b in zip(words, words[1:], strict=False):
        table[a] = {b: 1}
    return table


# --- smoothed_probability -------------------------------------------------------------------------


def refuse(k):
    if k <= 0:
        raise ValueError("k must be more than 0")


@wrong("smoothed_probability", says="you left out the k words below the line")
def divides_by_what_was_counted(word, followers, shorter, k):
    refuse(k)
    total = sum(followers.values()) or 1
    return (followers.get(word, 0) + k * shorter) / total


@wrong("smoothed_probability", says="you added all of the k words to this word")
def gives_it_all(word, followers, shorter, k):
    refuse(k)
    count = followers[word] if word in followers else 0
    return (count + k) / (sum(followers.values()) + k)


@wrong("smoothed_probability", says="you added `shorter` once; its share is k * shorter")
def adds_a_probability(word, followers, shorter, k):
    refuse(k)
    return (followers.get(word, 0) + shorter) / (k + sum(followers.values()))


@wrong("smoothed_probability", says="you gave the share that was counted, without smoothing")
def does_not_smooth(word, followers, shorter, k):
    refuse(k)
    total = sum(followers.values())
    return followers.get(word, 0) / total if total else 0.0


@wrong("smoothed_probability", says="you take `shorter` only where the word never followed")
def falls_back(word, followers, shorter, k):
    refuse(k)
    if word in followers:
        return followers[word] / sum(followers.values())
    return shorter


@wrong("smoothed_probability", says="you added k for each word that followed; k is added once")
def adds_k_for_each(word, followers, shorter, k):
    refuse(k)
    total = sum(n + k for n in followers.values()) or k
    return (followers.get(word, 0) + k * shorter) / total


@wrong("smoothed_probability", says="you took the mean of the two, half and half")
def takes_the_middle(word, followers, shorter, k):
    refuse(k)
    counted = followers.get(word, 0) / sum(followers.values()) if followers else 0
    return 0.5 * counted + 0.5 * shorter


@wrong("smoothed_probability", says="you counted how many different words followed")
def counts_the_kinds(word, followers, shorter, k):
    refuse(k)
    return (followers.get(word, 0) + k * shorter) / (len(followers.keys()) + k)


@wrong("smoothed_probability", says="you gave 0 to a word that never followed")
def gives_nothing_to_the_unseen(word, followers, shorter, k):
    refuse(k)
    if word not in followers:
        return 0.0
    return (followers[word] + k * shorter) / (sum(followers.values()) + k)


@wrong("smoothed_probability", says="you gave the count and not a probability: divide")
def does_not_divide(word, followers, shorter, k):
    refuse(k)
    return k * shorter + followers.get(word, 0)


# --- perplexity -----------------------------------------------------------------------------------


def guarded(probabilities):
    if len(probabilities) == 0:
        raise ValueError("no words")
    return 0 in probabilities


@wrong("perplexity", says="you gave the mean surprise; e to the power of it is asked for")
def gives_nats(probabilities):
    if guarded(probabilities):
        return float("inf")
    return sum(-math.log(p) for p in probabilities) / len(probabilities)


@wrong("perplexity", says="you added the surprises up; take their mean")
def gives_the_inverse_of_the_product(probabilities):
    if guarded(probabilities):
        return math.inf
    total = 0.0
    for p in probabilities:
        total -= math.log(p)
    return math.exp(total)


@wrong("perplexity", says="you took the mean of the probabilities first")
def inverts_the_mean(probabilities):
    if guarded(probabilities):
        return math.inf
    return 1 / (sum(probabilities) / len(probabilities))


@wrong("perplexity", says="you took the mean of 1/p; take the mean of the logarithms")
def means_the_inverses(probabilities):
    if guarded(probabilities):
        return math.inf
    return sum(p**-1 for p in probabilities) / len(probabilities)


@wrong("perplexity", says="you forgot the minus sign of the surprise")
def forgets_the_minus(probabilities):
    if guarded(probabilities):
        return 0.0
    return math.exp(sum(math.log(p) for p in probabilities) / len(probabilities))


@wrong("perplexity", says="you took the logarithm to base 2 and e to the power")
def mixes_two_and_e(probabilities):
    if guarded(probabilities):
        return math.inf
    return math.exp(-sum(math.log2(p) for p in probabilities) / len(probabilities))


@wrong("perplexity", says="you took the natural logarithm and a power of 2")
def mixes_e_and_two(probabilities):
    if guarded(probabilities):
        return math.inf
    return 2 ** (sum(-math.log(p) for p in probabilities) / len(probabilities))


@wrong("perplexity", says="you left words of probability 0 out")
def skips_zeros(probabilities):
    guarded(probabilities)
    kept = [math.log(p) for p in probabilities if p]
    return math.exp(-sum(kept) / max(1, len(kept)))


@wrong("perplexity", says="you put a small number in the place of 0")
def clips_zeros(probabilities):
    guarded(probabilities)
    return math.exp(-sum(math.log(p or 1e-10) for p in probabilities) / len(probabilities))


@wrong("perplexity", says="you multiplied the probabilities")
def multiplies(probabilities):
    guarded(probabilities)
    product = 1.0
    for p in probabilities:
        product *= p
    return product ** (-1 / len(probabilities)) if product else math.inf


# --- next_token_loss ------------------------------------------------------------------------------


def shares(row):
    top = max(row)
    powers = [math.exp(s - top) for s in row]
    return [p / sum(powers) for p in powers]


def surprise(row, target):
    top = max(row)
    return math.log(sum(math.exp(s - top) for s in row)) + top - row[target]


@wrong("next_token_loss", says="you added the positions up; take their mean")
def adds_up(scores, targets):
    return sum(surprise(row, t) for row, t in zip(scores, targets, strict=True))


@wrong("next_token_loss", says="you gave the mean probability")
def gives_a_probability(scores, targets):
    return sum(shares(r)[t] for r, t in zip(scores, targets, strict=True)) / len(targets)


@wrong("next_token_loss", says="you took the logarithm of the mean probability")
def takes_the_mean_too_early(scores, targets):
    mean = sum(shares(r)[t] for r, t in zip(scores, targets, strict=True)) / len(targets)
    return -math.log(mean) if mean else math.inf


@wrong("next_token_loss", says="you gave minus the score")
def gives_minus_the_score(scores, targets):
    return -sum(row[t] for row, t in zip(scores, targets, strict=True)) / len(targets)


@wrong("next_token_loss", says="you forgot the minus sign")
def is_negative(scores, targets):
    return -sum(map(surprise, scores, targets)) / len(targets)


@wrong("next_token_loss", says="you divided the scores by their sum")
def shares_out_the_scores(scores, targets):
    total = 0.0
    for row, t in zip(scores, targets, strict=True):
        share = row[t] / (sum(row) or 1)
        total -= math.log(share) if share > 0 else -math.inf
    return total / len(targets)


@wrong("next_token_loss", says="you took the logarithm to base 2")
def gives_bits(scores, targets):
    return sum(map(surprise, scores, targets)) / len(targets) / math.log(2)


@wrong("next_token_loss", says="you took the likeliest word instead of the one that came")
def ignores_the_targets(scores, targets):
    return sum(-math.log(max(shares(row))) for row in scores) / len(scores)


@wrong("next_token_loss", says="you left out the last position")
def leaves_the_last_out(scores, targets):
    return sum(map(surprise, scores[:-1], targets[:-1])) / (len(targets) - 1)


@wrong("next_token_loss", says="you measured how far the likeliest word's score is ahead")
def gives_the_gap(scores, targets):
    return sum(max(r) - r[t] for r, t in zip(scores, targets, strict=True)) / len(targets)


@wrong("next_token_loss", says="you count the words that were not the likeliest")
def counts_errors(scores, targets):
    wrong_ones = [max(r) != r[t] for r, t in zip(scores, targets, strict=True)]
    return sum(wrong_ones) / len(targets)


@wrong("next_token_loss", says="take the largest score of the position away first")
def overflows(scores, targets):
    total = 0.0
    for row, t in zip(scores, targets, strict=True):
        total -= math.log(math.exp(row[t]) / sum(math.exp(s) for s in row))
    return total / len(targets)
