"""Model collapse, as lesson 05 shows it: a model learns from what the model before it wrote.

The model is a bigram model, which knows for each word only what followed it. A text is an array (n,)
of word numbers.
"""

import numpy as np

from course_utils.scaling_laws.power_laws import Array

PRIOR = 2.0  # observations that the frequencies of single words count for


def next_generation(
    text: Array, n: int, rng: np.random.Generator, accumulate: bool = False
) -> Array:
    """Let a bigram model that learned from a text go on writing it for n words; return the text that
    the next model learns from.

    After each word comes one of the words that followed it in the text, as often as they did. The
    text counts as a ring: its last word is followed by its first, and by what the model writes.
    Shapes: text (m,), whole numbers -> (n,), what was written; with accumulate (m + n,), the text and
    after it what was written. Raises: ValueError for an empty text.
    Source: Shumailov et al. 2024; Gerstgrasser et al. 2024 (accumulate).

    >>> next_generation(np.array([5, 6, 7]), 4, np.random.default_rng(0))
    array([5, 6, 7, 5])
    """
    if len(text) == 0:
        raise ValueError("the text is empty: a model needs at least one word to learn from")
    order = np.argsort(text, kind="stable")  # the places of each word, together
    words, first, counts = np.unique(text[order], return_index=True, return_counts=True)
    row = np.searchsorted(words, text)
    follows = row[(order + 1) % len(text)]  # what stood behind each of these places
    at = row[-1]
    written = np.empty(n, dtype=text.dtype)
    for i, share in enumerate(rng.random(n)):
        at = follows[first[at] + int(share * counts[at])]
        written[i] = words[at]
    return np.concatenate([text, written]) if accumulate else written


def bigram_loss(text: Array, unseen: Array, n_words: int) -> float:
    """The loss, in nats a word, of a bigram model that learned from one text, on another.

    Where a pair was rarely seen, the frequencies of single words stand in, and every one of the
    n_words words counts as seen once, so that nothing is impossible.
    Shapes: text (m,), unseen (k,), whole numbers below n_words.

    >>> text = np.array([0, 1] * 500)
    >>> round(bigram_loss(text, text, n_words=2), 2), round(bigram_loss(text, 1 - text, 4), 2)
    (0.0, 0.0)
    """
    single = (np.bincount(text, minlength=n_words) + 1) / (len(text) + n_words)
    pairs = np.zeros((n_words, n_words))
    np.add.at(pairs, (text[:-1], text[1:]), 1)
    before = unseen[:-1]
    after = unseen[1:]
    seen = pairs.sum(1)[before]  # (k - 1,)
    p = (pairs[before, after] + PRIOR * single[after]) / (seen + PRIOR)
    return float(-np.log(p).mean())


def words_left(text: Array, first: Array, most: int, least: int = 1) -> float:
    """The share of the words which came `least` to `most` times in the first text that a later text
    still has.

    Shapes: text (m,), first (k,), whole numbers.

    >>> words_left(np.array([0, 0, 2]), np.array([0, 0, 0, 1, 2]), most=1)
    0.5
    """
    words, counts = np.unique(first, return_counts=True)
    chosen = words[(counts >= least) & (counts <= most)]
    return float(np.isin(chosen, text).mean())
