"""How far a measurement may be off: intervals that every lesson puts beside its numbers.

What the interval counts must be independent: seeds, stories or wordings, never tokens of one text.
"""

import math

from scipy.stats import binomtest, t
from torch import Tensor


def mean_interval(values: Tensor, level: float = 0.95) -> tuple[float, float]:
    """The mean of measurements and the half width of its confidence interval, by Student's t.

    Shapes: values (n,), n > 1. Units: those of the values. Raises: ValueError for fewer than 2
    values.
    Source: Student 1908, "The Probable Error of a Mean".

    >>> import torch
    >>> mean, half = mean_interval(torch.tensor([1.0, 2.0, 3.0]))
    >>> print(f"{mean:.2f} ± {half:.2f}")
    2.00 ± 2.48
    """
    if values.numel() < 2:
        raise ValueError("one value has no spread: measure with two seeds at least")
    n = values.numel()
    return values.mean().item(), (
        t.ppf((1 + level) / 2, n - 1) * values.std() / math.sqrt(n)
    ).item()


def count_interval(k: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """The range of success rates that k successes in n independent trials do not rule out.

    Raises: ValueError unless 0 <= k <= n. Source: Clopper & Pearson 1934 (exact binomial interval).

    >>> low, high = count_interval(0, 200)
    >>> f"{low:.4f} to {high:.4f}"
    '0.0000 to 0.0183'
    """
    interval = binomtest(k, n).proportion_ci(confidence)
    return float(interval.low), float(interval.high)
