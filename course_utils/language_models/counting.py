"""Models that only count: which word follows which, how to treat what was never seen, and how
surprised a model is by a text.
"""

import math
from collections.abc import Callable, Sequence


def bigram_counts(words: Sequence[str]) -> dict[str, dict[str, int]]:
    """Count which word follows which: {word: {the word behind it: how often}}.

    words: a text as a list of words. The last word has nothing behind it; it has an entry only if
    it stands elsewhere, too.

    >>> counts = bigram_counts("the cat saw the dog and the cat".split())
    >>> counts["the"], counts["cat"], sorted(counts)
    ({'cat': 2, 'dog': 1}, {'saw': 1}, ['and', 'cat', 'dog', 'saw', 'the'])
    """
    counts: dict[str, dict[str, int]] = {}
    for before, after in zip(words, words[1:], strict=False):
        followers = counts.setdefault(before, {})
        followers[after] = followers.get(after, 0) + 1
    return counts


def smoothed_probability(word: str, followers: dict[str, int], shorter: float, k: float) -> float:
    """The probability of a word when counts are not all that you trust: as if k more words had been
    counted here, and the share `shorter` of these had been this word.

    followers: {word: how often it was counted here}; may be empty. shorter: the probability that a
    model with a shorter memory gives the word. k: more than 0, need not be whole.
    Raises: ValueError unless k is more than 0.
    Source: MacKay and Peto 1995, "A hierarchical Dirichlet language model".

    >>> # 2 of 3 counted, and 0.1 of 1 more
    >>> round(smoothed_probability("cat", {"cat": 2, "dog": 1}, shorter=0.1, k=1), 3)
    0.525
    >>> smoothed_probability("cow", {}, shorter=0.1, k=5)
    0.1
    """
    if not k > 0:
        raise ValueError(f"k is {k}; it must be more than 0")
    return (followers.get(word, 0) + k * shorter) / (sum(followers.values()) + k)


def perplexity(probabilities: Sequence[float]) -> float:
    """Between how many equally likely words does a model hesitate? e to the power of its mean
    surprise, where the surprise at a word is minus the natural logarithm of its probability.

    probabilities: what the model gave to each word that really came. A text may have a million
    words. Where one has probability 0, the perplexity is infinite.
    Raises: ValueError where there is no word.

    >>> round(perplexity([0.25, 0.25, 0.25]), 6), round(perplexity([0.5, 0.125]), 6)
    (4.0, 4.0)
    >>> perplexity([0.5, 0.0])
    inf
    """
    if not len(probabilities):
        raise ValueError("a text without words has no perplexity")
    if min(probabilities) <= 0:
        return math.inf
    return math.exp(-math.fsum(map(math.log, probabilities)) / len(probabilities))


class Counts:
    """For each context of 0, 1, … n - 1 words: how often which word followed.

    words: the text to count. n: the longest context and its next word have n words together.
    n_words: the size of the vocabulary.

    >>> counts = Counts("a b a c a b".split(), n=2, n_words=3)
    >>> counts.followers(["c", "a"], 1)
    {'b': 2, 'c': 1}
    >>> [round(p, 2) for p in counts.probabilities("b", ["c", "a"], k=1)]  # 1-gram, 2-gram
    [0.33, 0.58]
    """

    def __init__(self, words: Sequence[str], n: int, n_words: int):
        self.n_words = n_words
        self.tables: list[dict[tuple[str, ...], dict[str, int]]] = [{} for _ in range(n)]
        for m, table in enumerate(self.tables):
            for i in range(m, len(words)):
                followers = table.setdefault(tuple(words[i - m : i]), {})
                followers[words[i]] = followers.get(words[i], 0) + 1

    def followers(self, before: Sequence[str], m: int) -> dict[str, int]:
        """{word: how often} it followed the last m words of `before`; empty where these never came."""
        return self.tables[m].get(tuple(before[len(before) - m :]), {})

    def probabilities(
        self,
        word: str,
        before: Sequence[str],
        k: float,
        smoothed: Callable[[str, dict[str, int], float, float], float] = smoothed_probability,
    ) -> list[float]:
        """The probability of a word after the words `before`: by the 1-gram, the 2-gram, … the
        n-gram. Each leans on the one before it, the first on 1 / n_words.
        """
        found = []
        p = 1 / self.n_words
        for m in range(len(self.tables)):
            if m <= len(before):
                p = smoothed(word, self.followers(before, m), p, k)
            found.append(p)
        return found
