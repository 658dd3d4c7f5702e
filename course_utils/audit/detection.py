"""How an auditor compares two models: by what they say (samples), or by what they would say
(probabilities).

Shapes: N prompts or samples, T positions, V tokens. p-values: the chance of a difference at least
as large where there is none. Source: Fleiss, Levin & Paik 2003, "Statistical Methods for Rates and
Proportions", chapters 3 and 4.
"""

import math
from dataclasses import dataclass

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
