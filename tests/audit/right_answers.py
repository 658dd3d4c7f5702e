"""Right answers of another style to the exercises on auditing a model."""

import math

import torch
from answers import Answers
from scipy.special import ndtr
from scipy.stats import norm

right = Answers()


def checked(p, mask, odds):
    if mask.ndim != 1 or len(mask) != p.shape[-1] or odds <= 0:
        raise ValueError("the mask has another length, or the odds are not above 0")


@right("tilt")
def as_softmax(p, mask, odds):
    checked(p, mask, odds)
    return (p.log() + mask.to(p.dtype) * math.log(odds)).softmax(-1)


@right("tilt")
def by_the_share(p, mask, odds):
    checked(p, mask, odds)
    share = (p * mask).sum(-1, keepdim=True)
    total = odds * share + p.sum(-1, keepdim=True) - share
    return torch.where(mask, p * odds, p) / total


@right("tilt")
def by_a_factor(p, mask, odds):
    checked(p, mask, odds)
    factor = torch.ones(len(mask), dtype=p.dtype)
    factor[mask] = odds
    return torch.nn.functional.normalize(p * factor, p=1, dim=-1)


def counted(k1, n1, k2, n2):
    for k, n in ((k1, n1), (k2, n2)):
        if n <= 0 or k < 0 or k > n:
            raise ValueError(f"{k} of {n}")


@right("two_proportion_p")
def with_scipy(k1, n1, k2, n2):
    counted(k1, n1, k2, n2)
    r = (k1 + k2) / (n1 + n2)
    if r == 0 or r == 1:
        return 1.0
    z = (k1 / n1 - k2 / n2) / (r * (1 - r) * (1 / n1 + 1 / n2)) ** 0.5
    return float(2 * norm.sf(abs(z)))


@right("two_proportion_p")
def by_the_normal_distribution(k1, n1, k2, n2):
    counted(k1, n1, k2, n2)
    both = k1 + k2
    if both in (0, n1 + n2):
        return 1.0
    r = both / (n1 + n2)
    z = abs(k1 / n1 - k2 / n2) / math.sqrt(r * (1 - r) * (n1 + n2) / (n1 * n2))
    return float(2 * ndtr(-z))


@right("two_proportion_p")
def by_chi_square(k1, n1, k2, n2):
    counted(k1, n1, k2, n2)
    n = n1 + n2
    k = k1 + k2
    if k == 0 or k == n:
        return 1.0
    square = n * (k1 * (n2 - k2) - k2 * (n1 - k1)) ** 2 / (n1 * n2 * k * (n - k))
    return math.erfc(math.sqrt(square / 2))
