"""How an auditor compares two models: by what they say (samples), or by what they would say
(probabilities).

Shapes: N prompts or samples, T positions, V tokens. p-values: the chance of a difference at least
as large where there is none. Source: Fleiss, Levin & Paik 2003, "Statistical Methods for Rates and
Proportions", chapters 3 and 4.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.stats import norm
from torch import Tensor, nn

# --- From samples ---------------------------------------------------------------------------------


def two_proportion_p(k1: int, n1: int, k2: int, n2: int) -> float:
    """The p-value of k1 in n1 samples against k2 in n2: can chance alone make them differ so much?

    z = (k1/n1 - k2/n2) / sqrt(r (1 - r) (1/n1 + 1/n2)), with the pooled rate r = (k1 + k2)/(n1 +
    n2), is nearly standard normal if both have the same rate; both of its tails count. Where r is 0
    or 1 nothing differs, and the p-value is 1. Raises: ValueError unless 0 <= k <= n and n > 0.
    Source: Fleiss, Levin & Paik 2003, "Statistical Methods for Rates and Proportions", chapter 3.

    >>> round(two_proportion_p(50, 100, 65, 100), 4), round(two_proportion_p(5, 10, 6, 10), 2)
    (0.0319, 0.65)
    """
    if not (0 <= k1 <= n1 and 0 <= k2 <= n2 and n1 > 0 and n2 > 0):
        raise ValueError(
            f"{k1} of {n1} and {k2} of {n2}: counts are between 0 and the number of samples, at least 1"
        )
    r = (k1 + k2) / (n1 + n2)
    if r in (0, 1):
        return 1.0
    z = (k1 / n1 - k2 / n2) / math.sqrt(r * (1 - r) * (1 / n1 + 1 / n2))
    return math.erfc(abs(z) / math.sqrt(2))  # both tails of the standard normal


def power(rate1: float, rate2: float, n: int, alpha: float = 0.05) -> float:
    """How often the two-sided test finds a true difference of two rates with n samples from each
    model.

    alpha: the share of false alarms that you accept where nothing differs.
    Source: Fleiss et al. 2003, chapter 4 (normal approximation, without continuity correction).

    >>> [round(power(0.5, 0.6, n), 2) for n in (100, 400, 1000)]
    [0.29, 0.81, 0.99]
    """
    mean = (rate1 + rate2) / 2
    gap = abs(rate1 - rate2)
    # the spread of the difference where the rates are equal
    null = math.sqrt(2 * mean * (1 - mean) / n)
    true = math.sqrt((rate1 * (1 - rate1) + rate2 * (1 - rate2)) / n)
    limit = norm.isf(alpha / 2) * null
    if true == 0:
        return float(gap > limit)
    return float(norm.sf((limit - gap) / true) + norm.cdf((-limit - gap) / true))


def samples_needed(rate1: float, rate2: float, alpha: float = 0.05, wanted: float = 0.8) -> int:
    """The samples from each model with which the test finds the difference in a share `wanted` of
    all audits.

    Raises: ValueError where the rates are equal. Source: Fleiss et al. 2003, chapter 4.

    >>> (
    ...     samples_needed(0.5, 0.75),
    ...     samples_needed(0.5, 0.55),
    ...     samples_needed(0.5, 0.55, alpha=0.05 / 699),
    ... )
    (58, 1565, 4619)
    """
    if rate1 == rate2:
        raise ValueError(
            f"both rates are {rate1}: no number of samples finds a difference that is not there"
        )
    mean = (rate1 + rate2) / 2
    both = rate1 * (1 - rate1) + rate2 * (1 - rate2)
    spread = norm.isf(alpha / 2) * math.sqrt(2 * mean * (1 - mean)) + norm.isf(
        1 - wanted
    ) * math.sqrt(both)
    return math.ceil((spread / (rate1 - rate2)) ** 2)


# --- An audit with a budget -----------------------------------------------------------------------


def alarm_threshold(scores: Sequence[float], rate: float) -> float:
    """The score above which an update raises an alarm, so that a fair control that was not seen
    yet does with a probability of at most `rate`.

    scores: those of n controls, drawn as the new one is. The new one's place among all n + 1 is
    then even, so at most rate · (n + 1) places may lie above the threshold: it is the k-th
    smallest score, with k the least whole number that is at least (1 - rate) · (n + 1). Where n
    controls are too few for the rate, it is infinite. Raises: ValueError unless 0 < rate < 1.
    Source: Vovk, Gammerman & Shafer 2005, "Algorithmic Learning in a Random World", chapter 2.

    >>> scores = [0.3, 2.0, 0.9, 1.2, 0.1, 1.4, 0.6, 0.7, 1.1]
    >>> alarm_threshold(scores, 0.2), alarm_threshold(scores, 0.1), alarm_threshold(scores, 0.05)
    (1.4, 2.0, inf)
    """
    if not 0 < rate < 1:
        raise ValueError(f"the rate of false alarms is {rate} and should be between 0 and 1")
    n = len(scores)
    # The small number: 0.9 times 10 must not become 10 when it is rounded up.
    k = math.ceil((1 - rate) * (n + 1) - 1e-9)
    return float(sorted(scores)[k - 1]) if k <= n else math.inf


class Questions:
    """A model that answers a limited number of questions, and nothing else.

    rates: how likely a girl is after each opening; nobody who asks sees them. Raises ValueError
    where the budget is spent.

    >>> questions = Questions([0.5, 1.0], budget=30, rng=np.random.default_rng(0))
    >>> questions.ask(1, 20), questions.left
    (20, 10)
    """

    def __init__(self, rates: Sequence[float], budget: int, rng: np.random.Generator) -> None:
        self._rates = [float(rate) for rate in rates]
        self._rng = rng
        self.left = budget

    def ask(self, opening: int, n: int) -> int:
        """Let the model name n children after an opening: how many are girls?"""
        if not 0 <= opening < len(self._rates):
            raise ValueError(f"there are the openings 0 to {len(self._rates) - 1}, not {opening}")
        if n < 0 or n > self.left:
            raise ValueError(f"{n} questions were asked and {self.left} are left in the budget")
        self.left -= n
        return int(self._rng.binomial(n, self._rates[opening]))


def suspicion(ask: Callable[[int, int], int], usual: Sequence[float], budget: int) -> float:
    """How suspicious a model is of preferring girls' or boys' names: your own design.

    ask(opening, n) lets the model name n children after the opening of that number, from 0, and
    says how many are girls. All your n together may not pass the budget. usual: how often the old
    model names a girl, for each opening. A preference may be in every opening or in one alone, and
    for either group. Returns one finite number, higher where the model is more suspicious; where
    the alarm begins is set afterwards, on fair controls.

    >>> tampered = suspicion(lambda opening, n: n if opening == 1 else n // 2, (0.5, 0.5), 80)
    >>> honest = suspicion(lambda opening, n: n // 2, (0.5, 0.5), 80)
    >>> tampered > honest
    True
    """
    n = budget // len(usual)
    z = [
        (ask(opening, n) / n - rate) / math.sqrt(rate * (1 - rate) / n)
        for opening, rate in enumerate(usual)
    ]
    # The worst opening sees what is in one alone; all together, what is everywhere.
    return max(max(map(abs, z)), abs(sum(z)) / math.sqrt(len(z)))


def scores(
    detector: Callable[[Callable, Sequence[float], int], float],
    suspects: Sequence[Sequence[float]],
    usual: Sequence[float],
    budget: int,
    seed: int,
) -> list[float]:
    """What a detector says of each suspect, whose rates it learns by questions alone.

    Shapes: suspects: the rates of each, one an opening -> one number a suspect.

    >>> found = scores(suspicion, [[0.5, 0.5], [0.9, 0.9]], (0.5, 0.5), budget=100, seed=0)
    >>> found[1] > 3 > found[0]
    True
    """
    found = []
    for i, rates in enumerate(suspects):
        questions = Questions(rates, budget, np.random.default_rng([seed, i]))
        found.append(float(detector(questions.ask, tuple(usual), budget)))
    return found


def unlike_usual(table: Tensor, usual: Tensor, budget: int, rng: np.random.Generator) -> float:
    """How unlike the old model's the sampled names are, whatever the difference: Pearson's χ² over
    all names and openings, the budget shared equally.

    Shapes: table and usual (openings, names), rows sum to 1. Source: Pearson 1900.

    >>> usual = torch.tensor([[0.5, 0.5]])
    >>> rng = np.random.default_rng(0)
    >>> unlike_usual(torch.tensor([[1.0, 0.0]]), usual, 100, rng)
    100.0
    """
    n = budget // len(table)
    total = 0.0
    for row, old in zip(table.cpu().double().numpy(), usual.cpu().double().numpy(), strict=True):
        wanted = n * old / old.sum()
        total += ((rng.multinomial(n, row / row.sum()) - wanted) ** 2 / wanted).sum()
    return float(total)


# --- From probabilities ---------------------------------------------------------------------------


@dataclass
class Comparison:
    """Two models on the same prompts, as `compare` finds them.

    kl     (N,)  KL(before‖after) of each prompt in nats, the mean over its positions
    shift  (V,)  how much each token's probability rose, the mean over prompts and positions

    >>> found = Comparison(kl=torch.tensor([0.02, 0.40]), shift=torch.tensor([0.25, -0.25]))
    >>> # the telltale prompt; what one token gains, others lose
    >>> (found.kl.argmax().item(), found.shift.sum().item())
    (1, 0.0)
    """

    kl: Tensor
    shift: Tensor


@torch.no_grad()
def compare(before: nn.Module, after: nn.Module, prompts: Tensor) -> Comparison:
    """Read the next-token probabilities of both models after every position of the prompts, and
    compare them.

    Shapes: prompts (N, T) -> kl (N,), the mean over positions, and shift (V,), the mean over
    prompts and positions.

    >>> def model(bias):
    ...     return lambda ids: torch.tensor([bias, 0.0]).expand(*ids.shape, 2)
    >>> found = compare(model(0.0), model(1.0), torch.zeros(3, 5, dtype=torch.long))
    >>> found.kl.shape, found.shift  # from 0.5 to 0.73
    (torch.Size([3]), tensor([ 0.2311, -0.2311]))
    """
    log_p, log_q = (model(prompts).log_softmax(-1) for model in (before, after))  # (N, T, V)
    kl = (log_p.exp() * (log_p - log_q)).sum(-1).mean(-1)  # (N,)
    return Comparison(kl, (log_q.exp() - log_p.exp()).mean((0, 1)))
