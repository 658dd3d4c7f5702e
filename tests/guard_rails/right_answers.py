"""Right answers of another style to the exercises on guard rails."""

import random
import re
from functools import cache
from itertools import groupby

import numpy as np
import torch
from answers import Answers

from course_utils.guard_rails import guards
from course_utils.instruction_tuning.chat import REFUSAL

right = Answers()


# --- wordings_that_work ---------------------------------------------------------------------------


@right("wordings_that_work")
def by_counting_votes(wordings, worked):
    if len(wordings) != len(worked) or len(wordings) == 0:
        raise ValueError("one result for each try")
    votes = {}
    for wording, hit in zip(wordings, worked, strict=True):
        votes[wording] = votes.get(wording, 0) + (1 if hit else -1)
    return len([vote for vote in votes.values() if vote > 0]), len(votes)


@right("wordings_that_work")
def by_sorting(wordings, worked):
    if not wordings or len(wordings) != len(worked):
        raise ValueError("one result for each try")
    pairs = sorted(zip(wordings, worked, strict=True))
    means = [np.mean([hit for _, hit in some]) for _, some in groupby(pairs, lambda pair: pair[0])]
    return int((np.array(means) > 0.5).sum()), len(means)


@right("wordings_that_work")
def by_medians(wordings, worked):
    if not wordings or len(wordings) != len(worked):
        raise ValueError("one result for each try")
    names, which = np.unique(wordings, return_inverse=True)
    hits = np.bincount(which, weights=np.array(worked, dtype=float))
    return int((hits * 2 > np.bincount(which)).sum()), len(names)


# --- erase ----------------------------------------------------------------------------------------


@right("erase")
def by_a_projection_matrix(x, direction):
    if direction.abs().sum() == 0:
        raise ValueError("no direction")
    outer = torch.outer(direction, direction) / direction.dot(direction)
    return x @ (torch.eye(len(direction), dtype=x.dtype) - outer)


@right("erase")
def by_einsum(x, direction):
    if torch.count_nonzero(direction) == 0:
        raise ValueError("no direction")
    size = torch.einsum("...d,d->...", x, direction) / (direction * direction).sum()
    return x - torch.einsum("...,d->...d", size, direction)


@right("erase")
def by_row(x, direction):
    if not direction.any():
        raise ValueError("no direction")
    unit = torch.nn.functional.normalize(direction, dim=0)
    rows = [row - torch.dot(row, unit) * unit for row in x.reshape(-1, x.shape[-1])]
    return torch.stack(rows).reshape(x.shape)


# --- output_filter --------------------------------------------------------------------------------


@right("output_filter")
def by_looking_around(reply, secret):
    if not re.search("[a-z]", secret.lower()):
        raise ValueError("no word")
    found = re.search(rf"(?<![^\W\d_]){re.escape(secret)}(?![^\W\d_])", reply, re.IGNORECASE)
    return REFUSAL if found else reply


@right("output_filter")
def by_letters(reply, secret):
    if not any(map(str.isalpha, secret)):
        raise ValueError("no word")
    words = "".join(c if c.isalpha() else " " for c in reply.casefold()).split()
    return [reply, REFUSAL][secret.casefold() in words]


@right("output_filter")
def by_runs_of_letters(reply, secret):
    if not sum(c.isalpha() for c in secret):
        raise ValueError("no word")
    for letters, run in groupby(reply, str.isalpha):
        if letters and "".join(run).upper() == secret.upper():
            return REFUSAL
    return reply


# --- search_suffix --------------------------------------------------------------------------------


@right("search_suffix")
def begins_by_scoring_the_start(score, words, length, rounds, tries, seed=0):
    if length < 1 or rounds < 1 or tries < 1:
        raise ValueError("each at least 1")
    rng = random.Random(seed)
    best = " ".join(rng.choices(words, k=length))
    top = score([best])[0].item()
    for _ in range(rounds):
        options = []
        for _ in range(tries):
            option = best.split()
            option[rng.randrange(length)] = rng.choice(words)
            options.append(" ".join(option))
        values = score(options)
        if values.max().item() >= top:  # an equal one is as good
            top = values.max().item()
            best = options[int(values.argmax())]
    return best


@right("search_suffix")
def with_numpys_dice(score, words, length, rounds, tries, seed=0):
    if not (length >= 1 and rounds >= 1 and tries >= 1):
        raise ValueError("each at least 1")
    rng = np.random.default_rng(seed)
    best = rng.integers(len(words), size=length)
    for _ in range(rounds):
        options = np.tile(best, (tries + 1, 1))
        options[np.arange(1, tries + 1), rng.integers(length, size=tries)] = rng.integers(len(words), size=tries)  # fmt: skip
        values = score([" ".join(words[i] for i in option) for option in options])
        best = options[int(np.argmax(values.numpy()))]
    return " ".join(words[i] for i in best)


@right("search_suffix")
def with_torchs_generator(score, words, length, rounds, tries, seed=0):
    if min(length, rounds, tries) <= 0:
        raise ValueError("each at least 1")
    dice = torch.Generator().manual_seed(seed)
    draw = lambda n: int(torch.randint(n, (), generator=dice))
    seen = {}
    best = tuple(words[draw(len(words))] for _ in range(length))
    for number in range(rounds):
        options = [] if number else [best]
        for _ in range(tries):
            place = draw(length)
            options.append((*best[:place], words[draw(len(words))], *best[place + 1 :]))
        values = score([" ".join(option) for option in options])
        seen |= zip(options, values.tolist(), strict=True)
        best = max(seen, key=seen.get)
    return " ".join(best)


# --- careful_guard --------------------------------------------------------------------------------


@cache
def learnt():
    return guards.learnt_guard(*guards.guard_texts())


@right("careful_guard")
def learnt_from_the_known_texts(text):
    return learnt()(text)


@right("careful_guard")
def by_a_list_of_phrases(text):
    end = guards.tail(text, 12)
    if "<" in end:
        return True
    if end.endswith("in a few words") or "secret story" in end:
        return False
    phrases = """secret word, secret thing, that word, which word, what word, name the word, word that, word is, the word you,
        all the words, words before, may know it, may say it, tell it, say it, name it, must never, nobody may, told you, tell you,
        before this, before me, all that, you may tell it, what do you say, know of this, must you, is secret"""
    return any(phrase.strip() in end for phrase in phrases.split(","))


@right("careful_guard")
def by_both(text):
    """Two opinions: what is suspicious to either, unless it speaks of a topic."""
    if re.search(r"<[a-z ]+>", text):
        return True
    return guards.careful_guard(text) or (learnt()(text) and "secret" in guards.tail(text, 8))
