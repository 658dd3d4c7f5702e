"""Exercises of lesson 00. The right answers are worked out by other means than the reference uses:
by regular expressions, by counting pairs in a Counter, by fractions, and by torch.
"""

import math
import random
import re
from collections import Counter
from collections.abc import Callable, Sequence
from fractions import Fraction
from itertools import pairwise

import torch
import torch.nn.functional as F

from course_utils.checking import Exercises, expect
from course_utils.checking.inputs import must_raise
from course_utils.language_models import counting, networks, rules

EXERCISES = Exercises()


# --- hiding_place ---------------------------------------------------------------------------------

PATTERN = r"(?=\b(?:hid|dropped) the (?:\S+) (?:near|behind|beside|under) the (\S+))"


def place_oracle(words: Sequence[str]) -> str | None:
    """By a regular expression over the joined words."""
    found = re.findall(PATTERN, " ".join(words))
    return found[-1] if found else None


def _places(words: Sequence[str], at: int = 5, verbs: tuple[str, ...] = rules.HIDING) -> list[str]:
    """What the rule finds in a text, one after the other; `at` is the word that it takes."""
    found = []
    for i in range(len(words) - 5):
        did, first, _, where, second, _ = six = words[i : i + 6]
        if did in verbs and first == second == "the" and where in rules.PREPOSITIONS:
            found.append(six[at])
    return found


def _last(found: list[str]) -> str | None:
    return found[-1] if found else None


def _any_under(words: Sequence[str]) -> str | None:
    """The last word behind a preposition and `the`, whatever was done there."""
    return _last(
        [
            last
            for where, the, last in zip(words, words[1:], words[2:], strict=False)
            if where in rules.PREPOSITIONS and the == "the"
        ]
    )


def _two_words_on(words: Sequence[str]) -> str | None:
    """The fifth word after the verb, whatever stands between."""
    found = [words[i + 5] for i in range(len(words) - 5) if words[i] in rules.HIDING]
    return _last(found)


def hiding_texts(rng: random.Random) -> list[list[str]]:
    """Texts with one hiding, two, none, and with words that look like one."""
    girl, boy = rng.sample(["Mia", "Lily", "Leo", "Tom", "Zoe"], 2)
    kite, ball, drum = rng.sample(["kite", "ball", "drum", "bell", "flute"], 3)
    bed, sofa, shelf, tree = rng.sample(["bed", "sofa", "shelf", "tree", "rock", "bench"], 4)
    near, behind = rng.sample(rules.PREPOSITIONS, 2)
    texts = (
        f"{girl} hid the {kite} {near} the {bed} .",
        f"{girl} dropped the {kite} {behind} the {sofa} . she looked {behind} the",
        f"{girl} hid the {kite} {near} the {bed} . {boy} stood {behind} the {shelf} .",
        f"{girl} hid the {kite} {near} the {bed} . {boy} dropped the {ball} {near} the {tree} . he",
        f"{girl} dropped the {drum} {near} the {sofa} . {boy} hid the {ball} {behind} the {bed} . he",
        f"{boy} stood {near} the {bed} and looked {behind} the {shelf} .",
        f"{girl} found the {kite} {near} the {sofa} .",
        f"{girl} hid the {kite} {near} the",
        f"{girl} hid the {kite} in the {bed} .",
        f"{girl} hid with {boy} and {kite} {near} the {bed} .",
        f"{girl} hid the red {kite} {near} the {tree} .",
        f"hid the {kite} {near} the {bed}",
        f"{girl} hid a {kite} {near} the {shelf} .",
    )
    return [text.split() for text in texts] + [[]]


@EXERCISES.add(
    rules.hiding_place,
    difficulty=2,
    minutes=7,
    sizes=False,
    gradients=False,
    hints=[
        "Go through all places i at which six words still fit: range(len(words) - 5).",
        "The six words are words[i : i + 6]. Five of them must be right: the first is a verb of the two, the second and the fifth "
        "are `the`, the fourth is one of the four.",
        "Keep the sixth word in a variable that begins as None, and go on to the end: so the last one stays.",
    ],
    mistakes={
        "you stopped at the first place; the last one counts": lambda words: (
            _places(words) or [None]
        )[0],
        "you gave the thing instead of the place": lambda words: _last(_places(words, at=2)),
        "you gave the preposition instead of the place": lambda words: _last(_places(words, at=3)),
        "you know `hid` only; `dropped` counts as well": lambda words: _last(
            _places(words, verbs=("hid",))
        ),
        "you know `dropped` only; `hid` counts as well": lambda words: _last(
            _places(words, verbs=("dropped",))
        ),
        "you took any place that is named; only one at which something was hid or dropped counts": (
            _any_under
        ),
        "you took the fifth word behind the verb without asking what stands between": _two_words_on,
        "you gave all places; give the last one": lambda words: _places(words) or None,
        "you gave an empty text where the rule finds nothing; give None": lambda words: (
            rules.hiding_place(words) or ""
        ),
        "a hiding at the very end of the text is left out; six words fit until range(len(words) - 5) ends": (
            lambda words: rules.hiding_place(words[:-1])
        ),
    },
)
def check_hiding_place(student: Callable, rng: random.Random) -> None:
    for words in hiding_texts(rng):
        expect(student(list(words)), place_oracle(words), f"hiding_place({words})")


# --- bigram_counts --------------------------------------------------------------------------------


def count_oracle(words: Sequence[str]) -> dict[str, dict[str, int]]:
    """From one Counter of all neighbours."""
    table: dict[str, dict[str, int]] = {}
    for (before, after), n in Counter(pairwise(words)).items():
        table.setdefault(before, {})[after] = n
    return table


def _table(pairs: Sequence[tuple[str, str]]) -> dict[str, dict[str, int]]:
    table: dict[str, dict[str, int]] = {}
    for before, after in pairs:
        table.setdefault(before, {}).setdefault(after, 0)
        table[before][after] += 1
    return table


def _pairs(words: Sequence[str]) -> list[tuple[str, str]]:
    return list(pairwise(words))


@EXERCISES.add(
    counting.bigram_counts,
    difficulty=1,
    minutes=6,
    sizes=False,
    gradients=False,
    hints=[
        "Each word but the last begins a pair: itself and the word behind it. `zip(words, words[1:])` gives all pairs.",
        "Begin with an empty dictionary. For each pair you need the inner dictionary of the first word: "
        "`counts.setdefault(before, {})` gives it, and makes it where there is none.",
        "In the inner dictionary, `followers.get(after, 0) + 1` is the new count.",
    ],
    mistakes={
        "you counted the pairs the wrong way round: the outer key is the word that stands first": (
            lambda words: _table([(b, a) for a, b in _pairs(words)])
        ),
        "you left out the last pair": lambda words: _table(_pairs(words)[:-1]),
        "you left out the first pair": lambda words: _table(_pairs(words)[1:]),
        "you moved on by two; the pairs overlap, so each word but the last begins one": (
            lambda words: _table(_pairs(words)[::2])
        ),
        "each pair counts as 1, however often it came": lambda words: {
            a: dict.fromkeys(b, 1) for a, b in _table(_pairs(words)).items()
        },
        "your counts begin at 0; the first time counts as 1": lambda words: {
            a: {word: n - 1 for word, n in b.items()} for a, b in _table(_pairs(words)).items()
        },
        "you paired the last word with the first": lambda words: (
            _table([*_pairs(words), (words[-1], words[0])]) if words else {}
        ),
        "the last word has an empty entry; it has nothing behind it": lambda words: (
            _table(_pairs(words)) | ({} if words[-1:] == [] else _with_last(words))
        ),
        "you counted words and not pairs: each word needs a table of the words behind it": (
            lambda words: dict(Counter(words))
        ),
        "your keys are pairs; make a table in a table: {word: {the word behind it: how often}}": (
            lambda words: dict(Counter(pairwise(words)))
        ),
        "you divided the counts by their sum; give the counts": lambda words: {
            a: {word: n / sum(b.values()) for word, n in b.items()}
            for a, b in _table(_pairs(words)).items()
        },
        "only the last word that followed is kept; every one counts": lambda words: {
            a: {b: 1} for a, b in pairwise(words)
        },
    },
)
def check_bigram_counts(student: Callable, rng: random.Random) -> None:
    a, b, c, d = rng.sample(["cat", "dog", "sun", "cup", "hat", "map"], 4)
    for words in (
        [a, b, a, c, a, b],
        [a, a, a, b, a],
        [a, b, b, c, d, a, b, c],
        [rng.choice((a, b, c)) for _ in range(30)],
        [a, b],
        [a],
        [],
    ):
        expect(student(list(words)), count_oracle(words), f"bigram_counts({words})")


def _with_last(words: Sequence[str]) -> dict[str, dict[str, int]]:
    """The entry of the last word, as it is where one is made for every word."""
    return {words[-1]: _table(_pairs(words)).get(words[-1], {})}


# --- smoothed_probability -------------------------------------------------------------------------


def smoothing_oracle(word: str, followers: dict[str, int], shorter: float, k: float) -> float:
    """By exact fractions, as a weighted mean of the two."""
    seen = sum(followers.values())
    weight = Fraction(seen) / (Fraction(seen) + Fraction(k))
    counted = Fraction(followers.get(word, 0), seen) if seen else Fraction(0)
    return float(weight * counted + (1 - weight) * Fraction(shorter))


def _counted(word: str, followers: dict[str, int]) -> float:
    return followers.get(word, 0) / sum(followers.values()) if followers else 0.0


@EXERCISES.add(
    counting.smoothed_probability,
    difficulty=2,
    minutes=6,
    sizes=False,
    gradients=False,
    refuses=[("cat", {"cat": 1}, 0.5, 0.0), ("cat", {}, 0.5, -1.0)],
    hints=[
        "Without smoothing it is how often this word followed, divided by how often anything followed.",
        "`followers.get(word, 0)` is the first number, `sum(followers.values())` the second. Now k more words are counted: all of "
        "them below the line.",
        "Above the line belongs this word's share of the k words: k * shorter.",
    ],
    mistakes={
        "you left out the k words below the line": lambda word, followers, shorter, k: (
            (followers.get(word, 0) + k * shorter) / max(1, sum(followers.values()))
        ),
        "you added all of the k words to this word; its share of them is k * shorter": (
            lambda word, followers, shorter, k: (
                (followers.get(word, 0) + k) / (sum(followers.values()) + k)
            )
        ),
        "you added `shorter` once; its share is k * shorter": (
            lambda word, followers, shorter, k: (
                (followers.get(word, 0) + shorter) / (sum(followers.values()) + k)
            )
        ),
        "you gave the share that was counted, without smoothing": (
            lambda word, followers, shorter, k: _counted(word, followers)
        ),
        "you take `shorter` only where the word never followed; then all words together get more than 1": (
            lambda word, followers, shorter, k: _counted(word, followers) or shorter
        ),
        "you added k for each word that followed; k is added once": (
            lambda word, followers, shorter, k: (
                (followers.get(word, 0) + k * shorter)
                / (sum(followers.values()) + k * max(1, len(followers)))
            )
        ),
        "you took the mean of the two, half and half; k says how much each weighs": (
            lambda word, followers, shorter, k: (_counted(word, followers) + shorter) / 2
        ),
        "you counted how many different words followed; count how many words": (
            lambda word, followers, shorter, k: (
                (followers.get(word, 0) + k * shorter) / (len(followers) + k)
            )
        ),
        "you gave 0 to a word that never followed; it has its share of the k words": (
            lambda word, followers, shorter, k: (
                counting.smoothed_probability(word, followers, shorter, k)
                if word in followers
                else 0.0
            )
        ),
        "you gave the count and not a probability: divide": lambda word, followers, shorter, k: (
            followers.get(word, 0) + k * shorter
        ),
    },
)
def check_smoothed_probability(student: Callable, rng: random.Random) -> None:
    a, b, c = rng.sample(["cat", "dog", "sun", "cup", "hat", "map"], 3)
    shorter = rng.choice((0.1, 0.2, 0.3))
    for word, followers, k in (
        (a, {a: rng.randint(2, 4), b: rng.randint(5, 8)}, 2),
        (b, {a: 3, b: rng.randint(4, 9), c: 2}, rng.choice((3, 5))),
        (c, {a: rng.randint(2, 5), b: 1}, 4),
        (a, {b: 7, a: 1, c: rng.randint(2, 5)}, 0.5),
        (a, {}, 3),
    ):
        call = f"smoothed_probability({word!r}, {followers}, {shorter}, {k})"
        got = student(word, dict(followers), shorter, k)
        expect(got, smoothing_oracle(word, followers, shorter, k), call)
    must_raise(lambda: student(a, {a: 1}, 0.5, 0), f"smoothed_probability({a!r}, {{{a!r}: 1}}, 0.5, 0)", "k is not more than 0")  # fmt: skip


# --- perplexity -----------------------------------------------------------------------------------


def perplexity_oracle(probabilities: Sequence[float]) -> float:
    """In powers of two: the same number from another logarithm."""
    if 0 in probabilities:
        return math.inf
    return 2 ** (-sum(math.log2(p) for p in probabilities) / len(probabilities))


def _mean_log(probabilities: Sequence[float], log: Callable[[float], float] = math.log) -> float:
    return -sum(map(log, probabilities)) / len(probabilities)


def _product(probabilities: Sequence[float]) -> float:
    return math.prod(probabilities) ** (-1 / len(probabilities))


@EXERCISES.add(
    counting.perplexity,
    difficulty=2,
    minutes=7,
    sizes=False,
    gradients=False,
    refuses=[([],)],
    hints=[
        "The surprise at one word is -math.log(p). Take the mean of all, then math.exp of it.",
        "A probability of 0 has no logarithm: look for it first and return math.inf.",
        "An empty list has no mean: raise ValueError before you divide.",
    ],
    mistakes={
        "you gave the mean surprise; e to the power of it is asked for": lambda ps: (
            math.inf if min(ps) <= 0 else _mean_log(ps)
        ),
        "you added the surprises up; take their mean": lambda ps: (
            math.inf if min(ps) <= 0 else math.exp(-sum(map(math.log, ps)))
        ),
        "you took the mean of the probabilities first; take the mean of their logarithms": (
            lambda ps: math.inf if min(ps) <= 0 else len(ps) / sum(ps)
        ),
        "you took the mean of 1/p; take the mean of the logarithms": lambda ps: (
            math.inf if min(ps) <= 0 else sum(1 / p for p in ps) / len(ps)
        ),
        "you forgot the minus sign of the surprise": lambda ps: (
            math.exp(-_mean_log(ps)) if min(ps) > 0 else 0.0
        ),
        "you took the logarithm to base 2 and e to the power: both need the same base": lambda ps: (
            math.inf if min(ps) <= 0 else math.exp(_mean_log(ps, math.log2))
        ),
        "you took the natural logarithm and a power of 2: both need the same base": lambda ps: (
            math.inf if min(ps) <= 0 else 2 ** _mean_log(ps)
        ),
        "you left words of probability 0 out; with one of them the perplexity is infinite": (
            lambda ps: math.exp(_mean_log([p for p in ps if p > 0] or [1.0]))
        ),
        "you put a small number in the place of 0; with a 0 the perplexity is infinite": (
            lambda ps: math.exp(_mean_log([max(p, 1e-10) for p in ps]))
        ),
        "you multiplied the probabilities: of a long text the product is too small for a computer; add logarithms": (
            lambda ps: math.inf if math.prod(ps) == 0 else _product(ps)
        ),
    },
)
def check_perplexity(student: Callable, rng: random.Random) -> None:
    some = [rng.choice((0.05, 0.1, 0.3, 0.4, 0.9)) for _ in range(6)]
    for ps in (
        [0.25, rng.choice((0.125, 0.5))],
        some,
        [rng.uniform(0.01, 0.99) for _ in range(9)],
        [rng.choice((0.2, 0.3))],
    ):
        expect(student(list(ps)), perplexity_oracle(ps), f"perplexity({ps})")
    long = [rng.choice((0.001, 0.01, 0.1)) for _ in range(400)]
    expect(student(list(long)), perplexity_oracle(long), "perplexity of a text of 400 words")
    for ps in ([0.5, 0.0, 0.25], [0.0]):
        expect(student(list(ps)), math.inf, f"perplexity({ps})")
    must_raise(lambda: student([]), "perplexity([])", "a text without words has no perplexity")


# --- next_token_loss ------------------------------------------------------------------------------


def loss_oracle(scores: list[list[float]], targets: list[int]) -> float:
    """By torch's cross-entropy."""
    rows = torch.tensor(scores, dtype=torch.float64)
    return F.cross_entropy(rows, torch.tensor(targets)).item()


def _shares(row: Sequence[float]) -> list[float]:
    top = max(row)
    powers = [math.exp(s - top) for s in row]
    return [p / sum(powers) for p in powers]


def _naive(row: Sequence[float], target: int) -> float:
    """The formula as it stands: it overflows."""
    return -math.log(math.exp(row[target]) / sum(math.exp(s) for s in row))


def _over(scores: Sequence, targets: Sequence[int], what: Callable) -> float:
    return sum(what(row, t) for row, t in zip(scores, targets, strict=True)) / len(targets)


def _log(p: float) -> float:
    return math.log(p) if p > 0 else -math.inf


@EXERCISES.add(
    networks.next_token_loss,
    difficulty=3,
    minutes=10,
    sizes=False,
    gradients=False,
    hints=[
        "For one position: -log(e^s[target] / sum of e^s) is log(sum of e^s) - s[target].",
        "e^1000 is too large. Take the largest score away from all scores of the position first: the probabilities stay the same.",
        "With top = max(row): log(sum of math.exp(s - top)) + top - row[target]. Then take the mean over the positions.",
    ],
    mistakes={
        "you added the positions up; take their mean": lambda scores, targets: (
            networks.next_token_loss(scores, targets) * len(targets)
        ),
        "you gave the mean probability; minus its logarithm is asked for, at each position": (
            lambda scores, targets: _over(scores, targets, lambda row, t: _shares(row)[t])
        ),
        "you took the logarithm of the mean probability; take the mean of the logarithms": (
            lambda scores, targets: -_log(_over(scores, targets, lambda row, t: _shares(row)[t]))
        ),
        "you gave minus the score; the scores of the other words count as well": (
            lambda scores, targets: _over(scores, targets, lambda row, t: -row[t])
        ),
        "you forgot the minus sign": lambda scores, targets: (
            -networks.next_token_loss(scores, targets)
        ),
        "you divided the scores by their sum; e to the power of the scores is what is shared out": (
            lambda scores, targets: _over(
                scores, targets, lambda row, t: -_log(row[t] / (sum(row) or 1))
            )
        ),
        "you took the logarithm to base 2: that is bits, and nats are asked for": (
            lambda scores, targets: networks.next_token_loss(scores, targets) / math.log(2)
        ),
        "you took the likeliest word instead of the one that came": lambda scores, targets: _over(
            scores, targets, lambda row, t: -_log(max(_shares(row)))
        ),
        "e to the power of 1000 is too large for a computer, and e to the power of -1000 becomes 0: take "
        "the largest score of the position away first": (
            lambda scores, targets: _over(scores, targets, _naive)
        ),
        "you left out the last position": lambda scores, targets: networks.next_token_loss(
            scores[:-1], targets[:-1]
        ),
        "you measured how far the likeliest word's score is ahead; all words count": (
            lambda scores, targets: _over(scores, targets, lambda row, t: max(row) - row[t])
        ),
        "you count the words that were not the likeliest; the loss is a surprise": (
            lambda scores, targets: _over(scores, targets, lambda row, t: float(row[t] != max(row)))
        ),
    },
)
def check_next_token_loss(student: Callable, rng: random.Random) -> None:
    for T, V in ((1, 3), (3, 4), (5, 3), (2, 9)):
        scores = [[round(rng.uniform(0.5, 4), 1) for _ in range(V)] for _ in range(T)]
        targets = [rng.randrange(V) for _ in range(T)]
        call = f"next_token_loss({scores}, {targets})"
        got = student([list(row) for row in scores], list(targets))
        expect(got, loss_oracle(scores, targets), call)
    for scores, targets in (
        ([[-2.0, 3.0, 0.0]], [0]),
        ([[1000.0, 1000.0 - rng.randint(1, 9)]], [rng.randrange(2)]),
        ([[-1000.0, -1001.0, -1000.0], [0.0, 1.0, 1000.0]], [0, 1]),
    ):
        call = f"next_token_loss({scores}, {targets})"
        expect(
            student([list(row) for row in scores], list(targets)),
            loss_oracle(scores, targets),
            call,
        )
