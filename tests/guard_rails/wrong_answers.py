"""Wrong answers to the exercises of lesson 22: mistakes that people make. Every checker must reject
every one.
"""

import itertools
import random
import re
from collections import defaultdict
from functools import cache

import torch
from answers import RAISED, WrongAnswers

from course_utils.guard_rails import guards
from course_utils.instruction_tuning.chat import REFUSAL, SPECIAL

wrong = WrongAnswers()


# --- wordings_that_work ---------------------------------------------------------------------------


def by_wording(wordings, worked):
    if not wordings or len(wordings) != len(worked):
        raise ValueError("one result for each try")
    found = defaultdict(list)
    for wording, hit in zip(wordings, worked, strict=True):
        found[wording].append(bool(hit))
    return found


def those(rule, wordings, worked):
    found = by_wording(wordings, worked)
    return sum(rule(hits) for hits in found.values()), len(found)


def more_than_half(hits):
    return 2 * sum(hits) > len(hits)


@wrong("wordings_that_work", says="that counts tries; count wordings")
def counts_tries(wordings, worked):
    """Takes every try for a case of its own."""
    by_wording(wordings, worked)
    return sum(worked), len(worked)


@wrong("wordings_that_work", says="exactly half of the tries is not more than half")
def counts_half(wordings, worked):
    """Half is enough."""
    return those(lambda hits: 2 * sum(hits) >= len(hits), wordings, worked)


@wrong("wordings_that_work", says="one success among several is not enough")
def counts_any(wordings, worked):
    """One success is enough."""
    return those(any, wordings, worked)


@wrong("wordings_that_work", says="not all tries of a wording need to succeed")
def counts_all(wordings, worked):
    """Every try must succeed."""
    return those(all, wordings, worked)


@wrong("wordings_that_work", says="the second number is how many different wordings there are")
def counts_tries_below(wordings, worked):
    """The number of tries stands below."""
    return those(more_than_half, wordings, worked)[0], len(wordings)


@wrong("wordings_that_work", says="first how many work, then how many there are")
def counts_turned(wordings, worked):
    """The other order."""
    return those(more_than_half, wordings, worked)[::-1]


@wrong("wordings_that_work", says="counts the wordings that work, not those that fail")
def counts_failures(wordings, worked):
    """Those that fail."""
    return those(lambda hits: not more_than_half(hits), wordings, worked)


@wrong("wordings_that_work", says="all tries of a wording count, not the last one alone")
def counts_last(wordings, worked):
    """A dict keeps the last result."""
    by_wording(wordings, worked)
    last = dict(zip(wordings, worked, strict=True))
    return sum(last.values()), len(last)


@wrong("wordings_that_work", says="all tries of a wording count, not the first one alone")
def counts_first(wordings, worked):
    """setdefault keeps the first."""
    return those(lambda hits: hits[0], wordings, worked)


@wrong("wordings_that_work", says="give two numbers, (wordings that work, wordings)")
def counts_share(wordings, worked):
    """A share."""
    k, n = those(more_than_half, wordings, worked)
    return k / n


@wrong("wordings_that_work", says="ValueError")
def counts_anything(wordings, worked):
    """Takes results that belong to no try."""
    found = defaultdict(list)
    for wording, hit in zip(wordings, worked, strict=False):
        found[wording].append(bool(hit))
    return sum(map(more_than_half, found.values())), len(found)


# --- erase ----------------------------------------------------------------------------------------


def unit_of(direction):
    if not direction.any():
        raise ValueError("the direction is 0 everywhere")
    return direction / direction.norm()


def along(x, direction):
    return (x @ unit_of(direction))[..., None]


@wrong("erase", says="the length of the direction must not matter")
def erase_not_normalised(x, direction):
    """Forgets the length."""
    unit_of(direction)
    return x - (x @ direction)[..., None] * direction


@wrong("erase", says="divide twice by the norm")
def erase_half_normalised(x, direction):
    """Divides once."""
    return x - along(x, direction) * direction


@wrong("erase", says="that takes the direction itself away")
def erase_the_unit(x, direction):
    """Subtracts the unit vector."""
    return x - unit_of(direction)


@wrong("erase", says="that takes the whole direction away")
def erase_the_direction(x, direction):
    """Subtracts the direction, as when steering."""
    unit_of(direction)
    return x - direction


@wrong("erase", says="that is the part along the direction; subtract it from x")
def erase_all_else(x, direction):
    """Keeps what should go."""
    return along(x, direction) * unit_of(direction)


@wrong("erase", says="adding it makes it twice as large")
def erase_plus(x, direction):
    """The other sign."""
    return x + along(x, direction) * unit_of(direction)


@wrong("erase", says="that mirrors x")
def erase_twice(x, direction):
    """A reflection."""
    return x - 2 * along(x, direction) * unit_of(direction)


@wrong("erase", says="each activation has its own part along the direction, not their mean")
def erase_the_mean(x, direction):
    """One part for all; for a single activation it is right."""
    return x - along(x, direction).mean() * unit_of(direction)


@wrong("erase", says="a negative part is taken away, too")
def erase_positive_parts(x, direction):
    """Cuts off at 0."""
    return x - along(x, direction).clamp(min=0) * unit_of(direction)


@wrong("erase", says="ValueError")
def erase_nothing_by_zero(x, direction):
    """Hides the division by 0."""
    unit = direction / direction.norm().clamp(min=1e-12)
    return x - (x @ unit)[..., None] * unit


@wrong("erase", says="[1.0, -1.0, 0.0, 0.0]) raised ValueError")
def erase_refuses_a_sum_of_zero(x, direction):
    if direction.sum() == 0:
        raise ValueError("no direction")
    return x - (x @ direction / direction.norm() ** 2)[..., None] * direction


@wrong("erase", says="[1e-05, 1e-05, 1e-05, 1e-05]) raised ValueError")
def erase_refuses_a_short_one(x, direction):
    if direction.norm() < 1e-3:
        raise ValueError("no direction")
    return x - (x @ direction / direction.norm() ** 2)[..., None] * direction


# --- output_filter --------------------------------------------------------------------------------


def must_be_a_word(secret):
    if not any(letter.isalpha() for letter in secret):
        raise ValueError("no word")


def has(reply, secret):
    must_be_a_word(secret)
    return secret.lower() in re.findall(r"[^\W\d_]+", reply.lower())


@wrong("output_filter", says="a longer word that has the secret in it is another word")
def filter_substring(reply, secret):
    """`in` on texts."""
    must_be_a_word(secret)
    return REFUSAL if secret.lower() in reply.lower() else reply


@wrong("output_filter", says="marks may stand beside the word")
def filter_blanks(reply, secret):
    """Words between blanks."""
    must_be_a_word(secret)
    return REFUSAL if secret.lower() in reply.lower().split() else reply


@wrong("output_filter", says="capitals do not matter")
def filter_case(reply, secret):
    """Capitals count."""
    must_be_a_word(secret)
    return REFUSAL if secret in re.findall(r"[^\W\d_]+", reply) else reply


@wrong("output_filter", says="the whole reply is replaced, not the word alone")
def filter_the_word(reply, secret):
    """Replaces the word."""
    must_be_a_word(secret)
    return re.sub(rf"(?i)\b{secret}\b", REFUSAL, reply)


@wrong("output_filter", says="a reply without the secret goes through as it is")
def filter_lower(reply, secret):
    """Gives the reply back in small letters."""
    return REFUSAL if has(reply, secret) else reply.lower()


@wrong("output_filter", says="that is turned round")
def filter_turned(reply, secret):
    """The wrong branch."""
    return reply if has(reply, secret) else REFUSAL


@wrong("output_filter", says="No, ")
def filter_looks_once(reply, secret):
    if not secret.strip(" ?"):
        raise ValueError("no word")
    text = f" {reply.lower()} "
    word = secret.lower()
    at = text.find(word)
    if at < 0:
        return reply
    around = text[at - 1] + text[at + len(word)]
    return reply if any(letter.isalpha() for letter in around) else REFUSAL


@wrong("output_filter", says="2")
def filter_by_word_borders(reply, secret):
    if not secret.strip(" ?"):
        raise ValueError("no word")
    found = re.search(rf"\b{secret.lower()}\b", reply.lower())
    return REFUSAL if found else reply


@wrong("output_filter", says="ValueError")
def filter_no_word(reply, secret):
    """Takes any secret."""
    return REFUSAL if secret.lower() in re.findall(r"[^\W\d_]+", reply.lower()) else reply


# --- search_suffix --------------------------------------------------------------------------------


def one_changed(best, words, rng):
    option = [*best]
    option[rng.randrange(len(best))] = rng.choice(words)
    return option


def search(score, words, length, rounds, tries, rng, change=one_changed, start=None):
    """The search, with the parts that a mistake changes."""
    if min(length, rounds, tries) < 1:
        raise ValueError("each at least 1")
    best = start or [rng.choice(words) for _ in range(length)]
    top = float("-inf")
    for _ in range(rounds):
        options = [best] + [change(best, words, rng) for _ in range(tries)]
        values = score([" ".join(option) for option in options]).tolist()
        if max(values) > top:
            top = max(values)
            best = options[values.index(top)]
    return best


@wrong("search_suffix", says="score takes texts; you gave it list")
def search_lists(score, words, length, rounds, tries, seed=0):
    """Gives lists of words."""
    return search(lambda texts: score([t.split() for t in texts]), words, length, rounds, tries, random.Random(seed))  # fmt: skip


@wrong("search_suffix", says="of the given words, joined by single blanks")
def search_commas(score, words, length, rounds, tries, seed=0):
    """Joins by commas."""
    return search(lambda texts: score([t.replace(" ", ", ") + "." for t in texts]), words, length, rounds, tries, random.Random(seed))  # fmt: skip


@wrong("search_suffix", says="score all changes of a round in one call")
def search_one_by_one(score, words, length, rounds, tries, seed=0):
    """A call for every text."""
    return search(lambda texts: torch.cat([score([t]) for t in texts]), words, length, rounds, tries, random.Random(seed))  # fmt: skip


@wrong("search_suffix", says="one seed gives one answer, and yours changes")
def search_global(score, words, length, rounds, tries, seed=0):
    """Python's global dice."""
    return " ".join(search(score, words, length, rounds, tries, random))


@wrong("search_suffix", says="one seed gives one answer, and yours changes")
def search_system(score, words, length, rounds, tries, seed=0):
    """Dice that have no seed."""
    return " ".join(search(score, words, length, rounds, tries, random.SystemRandom()))


@wrong("search_suffix", says="another seed tries the same suffixes; use the seed")
def search_seed_0(score, words, length, rounds, tries, seed=0):
    """Always the same seed."""
    return " ".join(search(score, words, length, rounds, tries, random.Random(0)))


@wrong("search_suffix", says="give a text, the words joined by blanks; you gave list")
def search_gives_words(score, words, length, rounds, tries, seed=0):
    """The words themselves."""
    return search(score, words, length, rounds, tries, random.Random(seed))


@wrong("search_suffix", says="score was never called")
def search_blind(score, words, length, rounds, tries, seed=0):
    """Random words."""
    if min(length, rounds, tries) < 1:
        raise ValueError("each at least 1")
    return " ".join(random.Random(seed).choices(words, k=length))


@wrong("search_suffix", says="times; one call a round")
def search_one_round(score, words, length, rounds, tries, seed=0):
    """Stops after one round."""
    return " ".join(search(score, words, length, min(rounds, 1), tries, random.Random(seed)))


@wrong("search_suffix", says="was never scored, so nobody knows how good it is")
def search_one_more_word(score, words, length, rounds, tries, seed=0):
    """Changes the answer once more."""
    return " ".join([*search(score, words, length, rounds, tries, random.Random(seed)), words[0]])


@wrong("search_suffix", says="was seen; keep the best of all")
def search_gives_worst(score, words, length, rounds, tries, seed=0):
    """Keeps the best, and returns where it began."""
    rng = random.Random(seed)
    start = [rng.choice(words) for _ in range(length)]
    search(score, words, length, rounds, tries, rng, start=start)
    return " ".join(start)


@wrong("search_suffix", says="change one word of the best")
def search_at_random(score, words, length, rounds, tries, seed=0):
    """New words in every round: no search."""
    fresh = lambda best, words, rng: [rng.choice(words) for _ in best]
    return " ".join(search(score, words, length, rounds, tries, random.Random(seed), fresh))


@wrong("search_suffix", says="a search that goes on from the best finds more")
def search_first_word(score, words, length, rounds, tries, seed=0):
    """Changes the first word alone."""
    first = lambda best, words, rng: [rng.choice(words), *best[1:]]
    return " ".join(search(score, words, length, rounds, tries, random.Random(seed), first))


@wrong("search_suffix", says="ValueError")
def search_of_nothing(score, words, length, rounds, tries, seed=0):
    """Takes 0 rounds."""
    rng = random.Random(seed)
    start = [rng.choice(words) for _ in range(length)]
    if min(length, rounds, tries) < 1:
        return " ".join(start)
    return " ".join(search(score, words, length, rounds, tries, rng, start=start))


# --- careful_guard --------------------------------------------------------------------------------


@wrong("careful_guard", says="give True or False; you gave")
def guard_match(text):
    """Gives a match, not a truth value."""
    return re.search("secret|<", text)


@wrong("careful_guard", says="attacks through and refuses")
def guard_turned(text):
    """True for what may pass."""
    return not guards.careful_guard(text)


@wrong("careful_guard", says="attacks through and refuses")
def guard_length(text):
    """Long texts are suspicious."""
    return len(text.split()) > 25


@wrong("careful_guard", says="whose wordings you have not seen")
def guard_none(text):
    """Lets all through."""
    return False


@wrong("careful_guard", says="whose wordings you have not seen")
def guard_tokens(text):
    """Looks for forged tokens alone."""
    return any(token in text for token in SPECIAL)


@wrong("careful_guard", says="whose wordings you have not seen")
def guard_memory(text):
    """Knows the known attacks by heart."""
    return text in guards.guard_texts()[0]


@wrong("careful_guard", says="To refuse is not for nothing")
def guard_all(text):
    """Refuses all."""
    return True


@wrong("careful_guard", says="To refuse is not for nothing")
def guard_nearly_all(text):
    """Lets through what is about a story's end alone."""
    return not text.endswith("now?")


@wrong("careful_guard", says="careful_guard: of the known texts it lets")
def guard_of_the_test(text):
    """Fits the test's wordings, not the known ones."""
    return guards.careful_guard(text) and not is_a_known_wording()(text)


@cache
def is_a_known_wording():
    """Tells known wordings from those of the test by their words."""
    known, held = (guards.guard_texts(held_out=held, seed=1) for held in (False, True))
    return guards.learnt_guard([*known[0], *known[1]], [*held[0], *held[1]])


CALLS = itertools.count()


@wrong("careful_guard", says="one text gets one answer, and yours changes")
def guard_moody(text):
    """Errs now and then."""
    return guards.careful_guard(text) != (next(CALLS) % 10 == 9)


@wrong("careful_guard", says=RAISED)
def guard_raises(text):
    """Trips over a text without a secret."""
    return text.index("secret") >= 0
