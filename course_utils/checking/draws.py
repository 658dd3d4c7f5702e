"""Draws are judged by tests whose rate of false alarms is known: each decision here refuses a right
answer with a probability of at most ALARM, so a check that takes fewer than a thousand of them
stays below 1 in 100,000. A test counts them.

The rates are exact or bounds that hold for every number of draws: binomial distributions, sums of
them, the distribution of how many different values come, and Markov's inequality for a martingale.
"""

import itertools
from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np
import torch
from scipy import stats
from scipy.special import logsumexp
from torch import Tensor

from .compare import Wrong

ALARM = 1e-8  # the probability of a false alarm, of each decision
# how steeply the two sides of `spread_alarm` weigh a deviation, in standard deviations squared
EVEN = tuple(-np.logspace(0, 5, 11))
UNEVEN = (0.02, 0.05, 0.1, 0.2, 0.3, 0.4)


def rare(chance: float) -> bool:
    """The one place where a check decides that this was no chance."""
    return bool(chance < ALARM)


def share_alarm(count: int, n: int, p: float) -> float:
    """The probability of a count as far out as this one among n draws of chance p, on its side,
    twice.

    >>> round(share_alarm(5, 10, 0.5), 2), f"{share_alarm(0, 50, 0.5):.0e}"
    (1.0, '2e-15')
    """
    below = stats.binom.cdf(count, n, p)
    above = stats.binom.sf(count - 1, n, p)
    return min(1.0, 2 * float(min(below, above)))


def must_have_share(
    count: int, n: int, p: float, said: str, mistakes: Mapping[str, float] | None = None
) -> None:
    """Raises Wrong where a count of n independent draws does not fit the chance p.

    said: a sentence for the student. mistakes maps a sentence that says more to the chance that
    this mistake gives.
    """
    if not rare(share_alarm(count, n, p)):
        return
    fits = (s for s, q in (mistakes or {}).items() if share_alarm(count, n, q) > 1e-3)
    raise Wrong(next(fits, said))


def must_be_uniform(counts: Sequence[int], said: str, never: str = "") -> None:
    """Raises Wrong unless all values came equally often, up to chance.

    never: said where the first or the last value never came; {end} stands for its number.
    """
    n = int(sum(counts))
    k = len(counts)
    for end in (0, k - 1):
        if never and counts[end] == 0 and rare(k * share_alarm(0, n, 1 / k)):
            raise Wrong(never.format(end=end))
    if k > 1 and rare(k * min(share_alarm(int(c), n, 1 / k) for c in counts)):
        raise Wrong(said)


def must_vary(counts: Sequence[int], n: int, p: float, even: str, uneven: str) -> None:
    """Raises Wrong where counts, each of n independent draws of chance p, lie closer to n·p
    together than chance allows (exact shares, quotas, shuffled decks), or further apart.
    """
    _judge_spread([(int(c), n, p) for c in counts], even, uneven)


def must_vary_together(
    counts: Sequence[Sequence[int]], p: Sequence[float], even: str, uneven: str
) -> None:
    """The same for rows of counts, each row the number of times that each value of chance p came in
    draws of its own.
    """
    steps = []
    for row in counts:
        left = int(sum(row))
        rest = 1.0
        for c, chance in list(zip(row, p, strict=True))[:-1]:
            if rest <= 0:  # the values before this one take all the chance that there is
                break
            steps.append((int(c), left, min(1.0, chance / rest)))
            left -= int(c)
            rest -= chance
    _judge_spread(steps, even, uneven)


def _judge_spread(steps: Sequence[tuple[int, int, float]], even: str, uneven: str) -> None:
    steps = [(c, n, p) for c, n, p in steps if n > 0 and 0 < p < 1]
    if rare(spread_alarm(steps, EVEN)):
        raise Wrong(even)
    if rare(spread_alarm(steps, UNEVEN)):
        raise Wrong(uneven)


def spread_alarm(steps: Sequence[tuple[int, int, float]], weights: Sequence[float]) -> float:
    """A bound for the probability that counts lie as close together, or as far apart, as these.

    steps: (count, n, p), each count binomial given those before. For each weight t the product of
    exp(t·d) / E[exp(t·d)], d the squared deviation in variances, has the mean 1; so has the mean
    over the weights, and by Markov it reaches 1 / a with a probability of at most a.

    >>> exact = spread_alarm([(500, 1000, 0.5)] * 8, EVEN)
    >>> exact < 1e-8, spread_alarm([(516, 1000, 0.5), (489, 1000, 0.5)], EVEN) > 0.01
    (True, True)
    """
    total = np.zeros(len(weights))
    for count, n, p in steps:
        d = (count - n * p) ** 2 / (n * p * (1 - p))
        total += np.array(weights) * d - _log_means(n, p, tuple(weights))
    return float(np.exp(np.clip(np.log(len(weights)) - logsumexp(total), -700, 0)))


@lru_cache(maxsize=4096)
def _log_means(n: int, p: float, weights: tuple[float, ...]) -> np.ndarray:
    counts = np.arange(n + 1)
    logs = stats.binom.logpmf(counts, n, p)
    d = (counts - n * p) ** 2 / (n * p * (1 - p))
    return logsumexp(logs + np.array(weights)[:, None] * d, axis=1)


def must_be_independent(came: Tensor, p: float, call: str, names: Sequence[str]) -> None:
    """Raises Wrong unless each entry of a tensor of bools came by itself, with the chance p: along
    no group of dimensions may the counts be all alike, or too different.

    names: what one index of each dimension is, such as "example" and "feature".
    """
    for size in range(1, came.ndim):
        for kept in itertools.combinations(range(came.ndim), size):
            if came.numel() // int(np.prod([came.shape[d] for d in kept])) < 2:
                continue
            others = [d for d in range(came.ndim) if d not in kept]
            counts = came.sum(others).flatten().tolist()
            place = " and ".join(names[d] for d in kept)
            must_vary(
                counts,
                came.numel() // len(counts),
                p,
                f"{call}: the count is nearly the same for each {place}, closer to {p:.0%} than chance allows. "
                "Throw a die for each number by itself; do not choose a fixed number of them.",
                f"{call}: whole groups go together for each {place}. Throw a die of its own for each number.",
            )


def must_not_agree(a: Tensor, b: Tensor, chance: float, said: str) -> None:
    """Raises Wrong where two rows of draws are equal more often or less often than by chance."""
    must_have_share(int((a == b).sum()), a.numel(), chance, said)


def must_be_even(values: Tensor, said: str) -> None:
    """Raises Wrong unless the values are uniform between 0 and 1 (Kolmogorov and Smirnov)."""
    if rare(stats.kstest(values.double().numpy(), "uniform").pvalue):
        raise Wrong(said)


def pairs(values: Tensor) -> tuple[Tensor, Tensor]:
    """Neighbours that overlap no other pair: values 0, 2, 4 … and 1, 3, 5 …"""
    even = len(values) // 2 * 2
    return values[0:even:2], values[1:even:2]


def agreement(p: Sequence[float]) -> float:
    """The chance that two independent draws from these shares are equal."""
    return float(torch.tensor(p, dtype=torch.float64).square().sum())
