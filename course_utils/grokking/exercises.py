"""Exercises of lesson 17. The right values come from plain loops, the model's parts run one by one,
and scipy.
"""

import random
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from course_utils.checking import Exercises, expect
from course_utils.checking.inputs import must_raise, normal
from course_utils.grokking import measures
from course_utils.grokking import modular_addition as grokking

EXERCISES = Exercises()


# --- restricted_logits ----------------------------------------------------------------------------


def kept_waves(logits: Tensor, frequencies: list[int]) -> np.ndarray:
    """The part of the logits along the cosines and sines of 2πk(a + b) / p, by explicit sums."""
    p = logits.size(0)
    x = logits.double().numpy()
    total = np.zeros_like(x)
    for k in frequencies:
        for kind in (np.cos, np.sin):
            # (p, p)
            wave = np.array(
                [[kind(2 * np.pi * k * (a + b) / p) for b in range(p)] for a in range(p)]
            )
            if (size := (wave**2).sum()) > 1e-9:
                total += np.multiply.outer(wave, np.einsum("ab,abv->v", wave, x) / size)
    return total


def keeping(places: Callable, dims: tuple[int, int] = (0, 1)) -> Callable:
    """The function that keeps the constant and these `places(k, frequencies)` of the spectrum."""

    def kept(logits: Tensor, frequencies: list[int]) -> Tensor:
        p = logits.size(0)
        keep = torch.zeros(p, p, 1)
        keep[0, 0] = 1
        for k in frequencies:
            for i, j in places(k, frequencies):
                keep[i % p, j % p] = 1
        return torch.fft.ifft2(torch.fft.fft2(logits, dim=dims) * keep, dim=dims).real

    return kept


def _all_of_a(logits: Tensor, frequencies: list[int]) -> Tensor:
    """The waves that turn k times with a, whatever b does."""
    p = logits.size(0)
    return keeping(lambda k, _: [(i, j) for i in (k, -k) for j in range(p)])(logits, frequencies)


def _cosines(logits: Tensor, frequencies: list[int]) -> Tensor:
    """What is the same at -a and -b."""
    kept = grokking.restricted_logits(logits, frequencies)
    back = -torch.arange(logits.size(0))
    return (kept + kept[back][:, back]) / 2


def _middle_twice(logits: Tensor, frequencies: list[int]) -> Tensor:
    p = logits.size(0)
    middle = [k for k in frequencies if 2 * k == p]
    again = grokking.restricted_logits(logits, middle) - logits.mean((0, 1))
    return grokking.restricted_logits(logits, frequencies) + again


def _along_answers(logits: Tensor, frequencies: list[int]) -> Tensor:
    keep = torch.zeros(logits.size(-1))
    for k in (0, *frequencies):
        keep[k % len(keep)] = keep[-k % len(keep)] = 1
    return torch.fft.ifft(torch.fft.fft(logits, dim=-1) * keep, dim=-1).real


@EXERCISES.add(
    grokking.restricted_logits,
    difficulty=3,
    minutes=15,
    gradients=False,  # a measurement
    hints=[
        "torch.fft.fft2(logits, dim=(0, 1)) writes each logit as a sum of waves: entry (i, j) belongs to the one that turns i times with a and j times "
        "with b. Which entries are waves of a + b?",
        "Those with i = j. A real wave of frequency k has two: (k, k) and (-k, -k). The constant is (0, 0).",
        "keep = torch.zeros(p, p, 1); keep[0, 0] = 1; for each k: keep[k, k] = keep[-k, -k] = 1. Then torch.fft.ifft2(spectrum * keep, dim=(0, 1)).real.",
    ],
    refuses=[(torch.ones(5, 5, 5), bad) for bad in ([0], [3], [2, 9], [-1])],
    mistakes={
        "the constant is missing: frequency 0 stays, too": lambda logits, frequencies: (
            grokking.restricted_logits(logits, frequencies) - logits.mean((0, 1))
        ),
        "half of each wave is missing: keep both [k, k] and [-k, -k]": keeping(
            lambda k, _: [(k, k)]
        ),
        "those are the waves of a - b; keep the waves of a + b": keeping(
            lambda k, _: [(k, -k), (-k, k)]
        ),
        "you kept the waves of a - b, too; keep only those of a + b": keeping(
            lambda k, _: [(k, k), (-k, -k), (k, -k), (-k, k)]
        ),
        "you kept all waves that turn k times with a; a wave of a + b turns k times with b, too": _all_of_a,
        "those are waves of a alone; a wave of a + b turns k times with b, too": keeping(
            lambda k, _: [(k, 0), (-k, 0)]
        ),
        "those are waves of a alone and waves of b alone; a wave of a + b turns k times with both": keeping(
            lambda k, _: [(k, 0), (-k, 0), (0, k), (0, -k)]
        ),
        "you kept each frequency of a with each frequency of b; in a wave of a + b both have the same": keeping(
            lambda k, frequencies: [(i * k, i * j) for j in frequencies for i in (1, -1)]
        ),
        "that is what should be deleted": lambda logits, frequencies: grokking.excluded_logits(
            logits, frequencies
        ),
        "that is what should be deleted; and the constant is missing": lambda logits, frequencies: (
            logits - grokking.restricted_logits(logits, frequencies)
        ),
        "you kept all frequencies up to the largest; only those of the list stay": lambda logits, frequencies: (
            grokking.restricted_logits(logits, range(1, max(frequencies, default=0) + 1))
        ),
        "you kept all frequencies; only those of the list stay": lambda logits, frequencies: (
            grokking.restricted_logits(logits, range(1, logits.size(0) // 2 + 1))
        ),
        "you kept only the first frequency of the list; all of them stay": lambda logits, frequencies: (
            grokking.restricted_logits(logits, frequencies[:1])
        ),
        "your frequencies are one too low: k itself is the place in the spectrum, 0 is the constant": lambda logits, frequencies: (
            grokking.restricted_logits(logits, [k - 1 for k in frequencies if k > 1])
        ),
        "you kept the cosines alone; the sines stay, too": _cosines,
        "the wave of frequency p / 2 is twice as large as it should be: there k and -k are the same": _middle_twice,
        "you took the waves along b and the answers, the last two dimensions; they run along a and b: dim=(0, 1)": keeping(
            lambda k, _: [(k, k), (-k, -k)], dims=(-2, -1)
        ),
        "you took the waves along the answers; they run along a and b: dim=(0, 1)": _along_answers,
        "you took the absolute value; take the real part, which may be negative": lambda logits, frequencies: (
            grokking.restricted_logits(logits, frequencies).abs()
        ),
        "that is complex; its real part, .real, is the answer": lambda logits, frequencies: (
            grokking.restricted_logits(logits, frequencies) + 0j
        ),
        "nothing was deleted": lambda logits, frequencies: logits,
    },
)
def check_restricted_logits(student: Callable, rng: random.Random) -> None:
    for p, V, count in ((7, 7, 1), (7, 3, 2), (8, 5, 2), (9, 9, 4), (5, 4, 0), (6, 2, 3)):
        logits = normal(rng, p, p, V) - 0.5
        frequencies = sorted(rng.sample(range(1, p // 2 + 1), count), reverse=True)
        want = logits.double().numpy().mean((0, 1)) + kept_waves(logits, frequencies)
        expect(
            student(logits, frequencies),
            torch.from_numpy(want).float(),
            f"restricted_logits(logits, {frequencies}) with logits of shape {(p, p, V)}",
            tol=1e-4,
        )


# --- new_pairs ------------------------------------------------------------------------------------


def _drawn_pairs(rng: random.Random, p: int, share: float) -> Tensor:
    return torch.tensor([[rng.random() < share for _ in range(p)] for _ in range(p)])


@EXERCISES.add(
    measures.new_pairs,
    difficulty=1,
    minutes=4,
    sizes=False,  # a table of pairs is square
    gradients=False,  # a mask
    hints=[
        "The mirror of the pair in row a, column b stands in row b, column a. What turns a whole table so?",
        "train.T has at (a, b) whether (b, a) was trained on. A pair is known if it or its mirror was.",
        "New is what is neither: ~(train | train.T).",
    ],
    mistakes={
        "those are all pairs that were not trained on; the mirrors are still among them": (
            lambda train: ~train
        ),
        "you turned the rows round; the mirror of (a, b) is (b, a): turn the table, train.T": (
            lambda train: ~(train | train.flip(0))
        ),
        "those are the pairs that are known, by themselves or by their mirror; turn it round": (
            lambda train: train | train.T
        ),
        "it is not enough that one of the two is missing; both must be": (
            lambda train: ~(train & train.T)
        ),
        "those are the leaks: not trained on, while the mirror was": lambda train: ~train & train.T,
        "(a, a) is its own mirror; it is new if it was not trained on": (
            lambda train: ~(train | train.T) & ~torch.eye(len(train), dtype=torch.bool)
        ),
        "both (a, b) and (b, a) are new pairs; you kept one half of the table": (
            lambda train: (~(train | train.T)).triu()
        ),
    },
)
def check_new_pairs(student: Callable, rng: random.Random) -> None:
    for p, share in ((5, 0.4), (7, 0.3), (4, 0.5), (8, 0.35), (3, 0.0), (6, 0.9), (1, 0.0)):
        train = _drawn_pairs(rng, p, share)
        want = torch.tensor(
            [[not train[a, b] and not train[b, a] for b in range(p)] for a in range(p)]
        )
        expect(student(train), want, f"new_pairs(train) with {int(train.sum())} pairs of {p} × {p}")


# --- frequency_power ------------------------------------------------------------------------------


def _power(x: Tensor, of: Callable = lambda f: f.abs().square(), half: bool = True) -> Tensor:
    """Powers of the frequencies from 0 on, (..., p // 2 + 1, d), before anything is added up."""
    power = of(torch.fft.rfft(x, dim=-2))
    if half and x.size(-2) % 2 == 0:
        power[..., -1, :] /= 2
    return power


def _shares(power: Tensor) -> Tensor:
    return power / power.sum(-1, keepdim=True)


@EXERCISES.add(
    grokking.frequency_power,
    difficulty=2,
    minutes=10,
    sizes=False,  # without two numbers there is no wave, and without power no share
    gradients=False,  # a measurement
    hints=[
        "torch.fft.rfft(x, dim=-2) has a complex number for each frequency from 0 to p // 2 and each feature.",
        "The power is the squared absolute value. Add it up over the features (the last dimension), leave frequency 0 out, "
        "and divide by the sum.",
        "rfft leaves out the second entry of each wave. At k = p / 2 there is no second one: halve the last power where p is even.",
    ],
    mistakes={
        "the waves ran over the features; they run over the numbers, the dimension before": (
            lambda x: _shares(torch.fft.rfft(x).abs().square().sum(-2)[..., 1:])
        ),
        "the power is the square of the absolute value; you left out the square": (
            lambda x: _shares(_power(x, of=torch.abs).sum(-1)[..., 1:])
        ),
        "frequency 0, the mean, is left out": lambda x: _shares(_power(x).sum(-1)),
        "leave frequency 0 out before you divide, too": lambda x: _shares(_power(x).sum(-1))[
            ..., 1:
        ],
        "the shares sum to 1: divide by the sum of all powers": lambda x: _power(x).sum(-1)[
            ..., 1:
        ],
        "you took the real part alone; the sines are in the imaginary part": (
            lambda x: _shares(_power(x, of=lambda f: f.real.square()).sum(-1)[..., 1:])
        ),
        "add up the powers of all features first, and take the shares then": (
            lambda x: (_power(x)[..., 1:, :] / _power(x)[..., 1:, :].sum(-2, keepdim=True)).mean(-1)
        ),
        "you added up the features before the transform, where their waves cancel": (
            lambda x: _shares(_power(x.sum(-1, keepdim=True)).sum(-1)[..., 1:])
        ),
        "where p is even, the frequency p / 2 has one entry and all others two": (
            lambda x: _shares(_power(x, half=False).sum(-1)[..., 1:])
        ),
    },
)
def check_frequency_power(student: Callable, rng: random.Random) -> None:
    for shape in ((5, 1), (7, 3), (9, 2), (2, 7, 4), (6, 2), (3, 8, 3), (1, 5, 2)):
        x = normal(rng, *shape) + 0.5
        p = shape[-2]
        rows = x.double().numpy().reshape(-1, p, shape[-1])
        power = np.zeros((len(rows), p // 2))
        for k in range(1, p // 2 + 1):
            for j in {k, p - k}:
                turns = np.exp(-2j * np.pi * j * np.arange(p) / p)
                power[:, k - 1] += (np.abs(np.einsum("npd,p->nd", rows, turns)) ** 2).sum(-1)
        want = torch.from_numpy(power / power.sum(-1, keepdims=True)).float()
        want = want.reshape(*shape[:-2], p // 2)
        expect(student(x), want, f"frequency_power(x) with x of shape {shape}", tol=1e-4)


# --- exact_sequences ------------------------------------------------------------------------------


def _within(right: Tensor, lengths: Tensor, less: int = 0) -> Tensor:
    return torch.arange(right.size(-1)) < lengths[:, None] - less


@EXERCISES.add(
    measures.exact_sequences,
    difficulty=1,
    minutes=6,
    sizes=False,  # lengths must fit
    gradients=False,  # a count
    hints=[
        "A sequence counts if each of its outcomes is right. Outcomes after its end must not be able to spoil it.",
        "torch.arange(K) >= lengths[:, None] is True after the end of each sequence, (N, K). Let it count as right there.",
        "(right | after).all(-1) judges each sequence; its mean over the last dimension is the share.",
    ],
    mistakes={
        "what stands after the end counted as wrong; it does not count at all": (
            lambda right, lengths: (right & _within(right, lengths)).all(-1).float().mean(-1)
        ),
        "that is the share of right tokens; a sequence counts as a whole": (
            lambda right, lengths: (right & _within(right, lengths)).sum((-2, -1)) / lengths.sum()
        ),
        "you multiplied shares, as if outcomes were independent; look at each sequence": (
            lambda right, lengths: (
                ((right & _within(right, lengths)).sum((-2, -1)) / lengths.sum())[..., None]
                .pow(lengths.float())
                .mean(-1)
            )
        ),
        "what stands after the end of a sequence counted, too": (
            lambda right, lengths: right.all(-1).float().mean(-1)
        ),
        "only the last token of each sequence counted; all of them do": (
            lambda right, lengths: (
                right.gather(-1, (lengths - 1).expand(right.shape[:-1])[..., None])[..., 0]
                .float()
                .mean(-1)
            )
        ),
        "one right token is not enough; all of them must be": (
            lambda right, lengths: (right & _within(right, lengths)).any(-1).float().mean(-1)
        ),
        "the last token of each sequence did not count": (
            lambda right, lengths: (right | ~_within(right, lengths, 1)).all(-1).float().mean(-1)
        ),
        "one token after the end of each sequence counted": (
            lambda right, lengths: (right | ~_within(right, lengths, -1)).all(-1).float().mean(-1)
        ),
        "that is how many sequences are right; divide by how many there are": (
            lambda right, lengths: (right | ~_within(right, lengths)).all(-1).float().sum(-1)
        ),
    },
)
def check_exact_sequences(student: Callable, rng: random.Random) -> None:
    fronts = (((), 6, 3), ((), 12, 4), ((2,), 9, 3), ((), 1, 2), ((2, 2), 20, 5), ((1,), 7, 3))
    for front, N, K in fronts:
        count = int(np.prod(front, dtype=int)) * N * K
        right = torch.tensor([rng.random() < 0.75 for _ in range(count)]).view(*front, N, K)
        lengths = torch.tensor([rng.randint(1, K) for _ in range(N)])
        rows = right.reshape(-1, N, K).tolist()
        shares = [
            sum(all(row[:n]) for row, n in zip(rows_of, lengths.tolist(), strict=True)) / N
            for rows_of in rows
        ]
        want = torch.tensor(shares).view(front)
        call = f"exact_sequences(right, lengths) with right of shape {tuple(right.shape)}"
        expect(student(right, lengths), want, call)


# --- suddenness -----------------------------------------------------------------------------------


def _level(steps: list, values: list, level: float, straight: bool = True) -> float:
    """The step at which a curve first reaches a level; without `straight` a measured one."""
    for i in range(1, len(values)):
        if values[i] >= level:
            share = (level - values[i - 1]) / (values[i] - values[i - 1]) if straight else 1
            return steps[i - 1] + share * (steps[i] - steps[i - 1])
    raise ValueError(level)


def _ratio(steps: list, values: list, low: float, high: float, **how: bool) -> float:
    return float(_level(steps, values, high, **how) / _level(steps, values, low, **how))


def _last_time(steps: list, values: list, level: float) -> float:
    """The last step at which a curve comes up to a level."""
    i = max(i for i in range(1, len(values)) if values[i - 1] < level <= values[i])
    share = (level - values[i - 1]) / (values[i] - values[i - 1])
    return steps[i - 1] + share * (steps[i] - steps[i - 1])


def _of_the_way(values: list, end: float) -> list:
    return [(v - values[0]) / (end - values[0]) for v in values]


@EXERCISES.add(
    measures.suddenness,
    difficulty=2,
    minutes=10,
    sizes=False,
    gradients=False,  # numbers, not tensors
    hints=[
        "Write a helper that finds the first step at which the curve is at a level, and call it for both levels.",
        "Where values[i] is the first at the level or above, the curve crosses between i - 1 and i. It is straight there: "
        "how large a share of that piece lies before the level?",
        "share = (level - values[i - 1]) / (values[i] - values[i - 1]); steps[i - 1] + share * (steps[i] - steps[i - 1]). "
        "No such i, or i = 0: raise ValueError.",
    ],
    refuses=[([0, 10, 20], [0.0, 0.3, 0.5]), ([0, 10, 20], [0.4, 0.6, 0.9])],
    mistakes={
        "you subtracted the two steps; divide them": (
            lambda steps, values, low=0.2, high=0.8: float(
                _level(steps, values, high) - _level(steps, values, low)
            )
        ),
        "the wrong way round: the later step is divided by the earlier one": (
            lambda steps, values, low=0.2, high=0.8: 1 / _ratio(steps, values, low, high)
        ),
        "you took measured steps; between two of them the curve is a straight line": (
            lambda steps, values, low=0.2, high=0.8: _ratio(
                steps, values, low, high, straight=False
            )
        ),
        "you divided by the length of the run, so that a longer run makes every curve sudden": (
            lambda steps, values, low=0.2, high=0.8: float(
                (_level(steps, values, high) - _level(steps, values, low)) / steps[-1]
            )
        ),
        "you measured from the first to the last value; low and high are values themselves": (
            lambda steps, values, low=0.2, high=0.8: _ratio(
                steps, _of_the_way(values, values[-1]), low, high
            )
        ),
        "you measured from 0 to the highest value; low and high are values themselves": (
            lambda steps, values, low=0.2, high=0.8: _ratio(
                steps, [v / max(values) for v in values], low, high
            )
        ),
        "only the first time counts; you took the last": (
            lambda steps, values, low=0.2, high=0.8: float(
                _last_time(steps, values, high) / _last_time(steps, values, low)
            )
        ),
        "the levels are those that you are given, not always 0.2 and 0.8": (
            lambda steps, values, low=0.2, high=0.8: _ratio(steps, values, 0.2, 0.8)
        ),
    },
)
def check_suddenness(student: Callable, rng: random.Random) -> None:
    for levels in ((), (), (0.3, 0.6), (0.25, 0.5), ()):
        n = rng.randint(7, 10)
        steps = sorted(rng.sample(range(1, 40), n - 1))
        steps = [0, *(10 * step for step in steps)]
        rise = sorted(rng.uniform(0.05, 0.85) for _ in range(n - 4))
        fall = rng.uniform(0.06, 0.15)  # below every low level, so that each is crossed twice
        values = [round(v, 2) for v in (rng.uniform(0, 0.05), *rise, 0.9, fall, 0.88)]
        low, high = levels or (0.2, 0.8)
        want = _ratio(steps, values, low, high)
        call = f"suddenness({steps}, {values}{''.join(f', {x}' for x in levels)})"
        expect(student(steps, values, *levels), want, call, tol=1e-4)
    for steps, values in (([0, 10, 20], [0.0, 0.3, 0.5]), ([0, 10, 20], [0.4, 0.6, 0.9])):
        why = "the curve never reaches 0.8" if values[0] == 0 else "the curve begins above 0.2"
        must_raise(lambda: student(steps, values), f"suddenness({steps}, {values})", why)  # noqa: B023
