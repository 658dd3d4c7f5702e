"""A rule that a person wrote, and texts to try it on: wordings of the training stories, and new
ones that mean the same.
"""

import random
from collections.abc import Sequence

from course_utils.stories import BOYS, GIRLS, VOCAB, encode_words

HIDING = ("hid", "dropped")
PREPOSITIONS = ("near", "behind", "beside", "under")


def hiding_place(words: Sequence[str]) -> str | None:
    """Find by a rule where a thing was left: in `hid the kite under the bed` and in `dropped the
    ball near the tree` it is the last word.

    words: a text as a list of words. The rule asks for six words in a row: `hid` or `dropped`,
    `the`, any word, one of `near`, `behind`, `beside`, `under`, then `the`, and any word, which is
    the place. Where things were left several times, the last place counts. Returns None where the
    rule finds nothing.

    >>> hiding_place("Mia hid the kite under the bed . she looked under the".split())
    'bed'
    >>> hiding_place("under the bed Mia hid the kite".split()) is None
    True
    """
    place = None
    for i in range(len(words) - 5):
        did, first, _, where, second, last = words[i : i + 6]
        if did in HIDING and first == second == "the" and where in PREPOSITIONS:
            place = last
    return place


# How the stories themselves tell it.
TRAINED = (
    "{girl} hid the {thing} under the {place}. She looked under the",
    "{girl} dropped the {thing} under the {place}. She looked under the",
)
# The same in other words, all of which the stories know: first near to theirs, then far from them.
NEW = (
    "{girl} hid the red {thing} under the {place}. She looked under the",
    "{girl} hid it under the {place}. She looked under the",
    "{girl} hid the {thing} and the soup under the {place}. She looked under the",
    "Under the {place} {girl} hid the {thing}. She looked under the",
    "The {thing} was under the {place}. {girl} looked under the",
    "The {place} was where {girl} hid the {thing}. She looked under the",
)
BEGINNING = (
    "{girl} lived with Grandma. She had a red {thing}. She loved soup. Her best friend was {boy}. "
)
BEFORE = (
    "{girl} hid the {thing} under the {other}. {boy} looked under the {other} and found the {thing}. "
    "{boy} gave the {thing} to {girl}. "
)
PLACES = ("bed", "table", "sofa", "bench", "shelf", "piano", "window", "ladder")  # at home
THINGS = ("kite", "telescope", "whistle", "rocket", "flute", "ball", "balloon", "bell")


def hidings(wording: str, n: int, seed: int, before: bool = False) -> list[tuple[str, str]]:
    """(text, the place that has to come next), n times: somebody leaves a thing and looks for it.

    wording: one of TRAINED or NEW. before: whether the thing had been hidden and found at another
    place earlier, so that two places are named.

    >>> text, place = hidings("{girl} hid it under the {place}.", n=1, seed=0)[0]
    >>> text.split(". ")[-2:], place
    (['Her best friend was Bruno', 'Vera hid it under the ladder.'], 'ladder')
    """
    rng = random.Random(seed)
    found = []
    for _ in range(n):
        girl, boy, thing = (rng.choice(few) for few in (GIRLS, BOYS, THINGS))
        other, place = rng.sample(PLACES, 2)
        told = f"{BEGINNING}{BEFORE if before else ''}{wording}"
        text = told.format(girl=girl, boy=boy, thing=thing, place=place, other=other)
        found.append((text, place))
    return found


def words_of(text: str) -> list[str]:
    """Return a text as the words and marks that the stories know, with small letters at the
    beginning of sentences.

    >>> words_of("She looked.")
    ['she', 'looked', '.']
    """
    return [VOCAB[i] for i in encode_words(text)]
