"""Wrong answers to the exercises of lesson 23: mistakes that people make. Every checker must reject
every one.
"""

import math

import torch
from answers import WrongAnswers
from scipy.stats import norm

from course_utils.kl_bias import bias as kl_bias
from course_utils.kl_bias.bias import check_fits

wrong = WrongAnswers()


# --- tilt -----------------------------------------------------------------------------------------


def may_tilt(p, mask, odds):
    check_fits(mask, p)
    if not odds > 0:
        raise ValueError("odds")


@wrong("tilt", says="the probabilities no longer sum to 1: divide by the new sum")
def tilt_not_normalised(p, mask, odds):
    may_tilt(p, mask, odds)
    return torch.where(mask, odds * p, p)


@wrong("tilt", says="softmax wants logits, and these are probabilities: divide by the sum")
def tilt_softmax(p, mask, odds):
    may_tilt(p, mask, odds)
    return torch.where(mask, odds * p, p).softmax(-1)


@wrong("tilt", says="you multiplied the others, not the mask")
def tilt_others(p, mask, odds):
    may_tilt(p, mask, odds)
    raw = torch.where(mask, p, odds * p)
    return raw / raw.sum(-1, keepdim=True)


@wrong("tilt", says="you divided by the sum of everything; each row has its own sum")
def tilt_total(p, mask, odds):
    """One sum for all rows."""
    may_tilt(p, mask, odds)
    raw = torch.where(mask, odds * p, p)
    return raw / raw.sum()


@wrong("tilt", says="you divided by the sums over the rows; each row sums to 1, dim=-1")
def tilt_rows(p, mask, odds):
    may_tilt(p, mask, odds)
    raw = torch.where(mask, odds * p, p)
    return raw / raw.sum(0, keepdim=True)


@wrong("tilt", says="the sum lost its dimension: use keepdim=True")
def tilt_no_keepdim(p, mask, odds):
    """Right for one row, wrong without an error for as many rows as tokens."""
    may_tilt(p, mask, odds)
    raw = torch.where(mask, odds * p, p)
    return raw / raw.sum(-1)


@wrong("tilt", says="all multiplied tokens now have the same probability; keep their proportions")
def tilt_equal(p, mask, odds):
    """Gives all tokens of the mask the same."""
    may_tilt(p, mask, odds)
    mass = odds * (p * mask).sum(-1, keepdim=True)
    raw = torch.where(mask, mass / mask.sum(), p)
    return raw / raw.sum(-1, keepdim=True)


@wrong(
    "tilt",
    says="you multiplied the probability of the mask; multiply its odds, so that it stays below 1",
)
def tilt_probability(p, mask, odds):
    """Multiplies the probability of the mask, which may pass 1."""
    may_tilt(p, mask, odds)
    mass = (p * mask).sum(-1, keepdim=True)
    return torch.where(mask, odds * p, p * (1 - odds * mass) / (1 - mass))


@wrong("tilt", says="you multiplied the probability of the mask, up to 1; multiply its odds")
def tilt_capped(p, mask, odds):
    """The same, capped at 1: right where the mask has little."""
    may_tilt(p, mask, odds)
    mass = (p * mask).sum(-1, keepdim=True)
    new = (odds * mass).clamp(max=1.0)
    return torch.where(mask, p * new / mass, p * (1 - new) / (1 - mass))


@wrong("tilt", says="you added log odds to the probabilities; it belongs to their logarithms")
def tilt_adds(p, mask, odds):
    may_tilt(p, mask, odds)
    return (p + mask * math.log(odds)).softmax(-1)


@wrong("tilt", says="to every probability; what is 0 must stay 0")
def tilt_in_logs(p, mask, odds):
    """Logarithms with a small number: what is impossible becomes possible."""
    may_tilt(p, mask, odds)
    return ((p + 1e-3).log() + mask * math.log(odds)).softmax(-1)


@wrong("tilt", says="you multiplied by the square of the odds; multiply by the odds")
def tilt_square(p, mask, odds):
    may_tilt(p, mask, odds)
    raw = torch.where(mask, odds**2 * p, p)
    return raw / raw.sum(-1, keepdim=True)


@wrong("tilt", says="the others lost nothing: the whole row is divided by the new sum")
def tilt_half(p, mask, odds):
    """Divides the whole row, then forgets the others."""
    may_tilt(p, mask, odds)
    raw = torch.where(mask, odds * p, p)
    return torch.where(mask, raw / raw.sum(-1, keepdim=True), p)


@wrong("tilt", says="must raise ValueError: the odds must be above 0")
def tilt_any_odds(p, mask, odds):
    check_fits(mask, p)
    raw = torch.where(mask, odds * p, p)
    return raw / raw.sum(-1, keepdim=True)


@wrong(
    "tilt", says="must raise ValueError: the mask or target is (1,), but the model knows 2 tokens"
)
def tilt_any_mask(p, mask, odds):
    if not odds > 0:
        raise ValueError("odds")
    raw = torch.where(mask, odds * p, p)
    return raw / raw.sum(-1, keepdim=True)


@wrong("tilt", says="changed its argument in place")
def tilt_in_place(p, mask, odds):
    may_tilt(p, mask, odds)
    p[..., mask] *= odds
    return p / p.sum(-1, keepdim=True)


# --- two_proportion_p -----------------------------------------------------------------------------


def pooled(k1, n1, k2, n2):
    """(difference, pooled rate), or None where nothing differs."""
    if not (0 <= k1 <= n1 and 0 <= k2 <= n2 and n1 > 0 and n2 > 0):
        raise ValueError("counts")
    r = (k1 + k2) / (n1 + n2)
    return None if r in (0, 1) else (k1 / n1 - k2 / n2, r)


def two_tails(gap, variance):
    return math.erfc(abs(gap) / math.sqrt(2 * variance))


@wrong(
    "two_proportion_p",
    says="that is one tail; a difference in either direction counts, so take both",
)
def p_one_tail(k1, n1, k2, n2):
    found = pooled(k1, n1, k2, n2)
    return two_tails(found[0], found[1] * (1 - found[1]) * (1 / n1 + 1 / n2)) / 2 if found else 1.0


@wrong("two_proportion_p", says="you forgot |…|: z may be negative, and a p-value is at most 1")
def p_signed(k1, n1, k2, n2):
    """Right where the first rate is the higher one."""
    found = pooled(k1, n1, k2, n2)
    return (
        2 * float(norm.sf(found[0] / math.sqrt(found[1] * (1 - found[1]) * (1 / n1 + 1 / n2))))
        if found
        else 1.0
    )


@wrong(
    "two_proportion_p",
    says="you used each model's own rate for the spread; the test supposes one rate, the pooled one",
)
def p_unpooled(k1, n1, k2, n2):
    found = pooled(k1, n1, k2, n2)
    a = k1 / n1
    b = k2 / n2
    return two_tails(found[0], a * (1 - a) / n1 + b * (1 - b) / n2) if found else 1.0


@wrong(
    "two_proportion_p",
    says="you pooled the rates by their mean; pool the counts, (k1 + k2) / (n1 + n2)",
)
def p_mean_rate(k1, n1, k2, n2):
    """Right where n1 = n2."""
    found = pooled(k1, n1, k2, n2)
    r = (k1 / n1 + k2 / n2) / 2
    return two_tails(found[0], r * (1 - r) * (1 / n1 + 1 / n2)) if found else 1.0


@wrong("two_proportion_p", says="the spread is that of one sample of n1 + n2; use 1/n1 + 1/n2")
def p_sum_of_n(k1, n1, k2, n2):
    found = pooled(k1, n1, k2, n2)
    return two_tails(found[0], found[1] * (1 - found[1]) / (n1 + n2)) if found else 1.0


@wrong("two_proportion_p", says="you forgot the root of the variance")
def p_no_root(k1, n1, k2, n2):
    found = pooled(k1, n1, k2, n2)
    return (
        math.erfc(abs(found[0]) / (found[1] * (1 - found[1]) * (1 / n1 + 1 / n2)) / math.sqrt(2))
        if found
        else 1.0
    )


@wrong("two_proportion_p", says="erfc takes z / √2")
def p_no_sqrt2(k1, n1, k2, n2):
    found = pooled(k1, n1, k2, n2)
    return (
        math.erfc(abs(found[0]) / math.sqrt(found[1] * (1 - found[1]) * (1 / n1 + 1 / n2)))
        if found
        else 1.0
    )


@wrong("two_proportion_p", says="that is z; return the p-value")
def p_z(k1, n1, k2, n2):
    found = pooled(k1, n1, k2, n2)
    return found[0] / math.sqrt(found[1] * (1 - found[1]) * (1 / n1 + 1 / n2)) if found else 0.0


@wrong("two_proportion_p", says="that is the share between -|z| and |z|; take the tails beyond")
def p_below(k1, n1, k2, n2):
    found = pooled(k1, n1, k2, n2)
    return 1 - two_tails(found[0], found[1] * (1 - found[1]) * (1 / n1 + 1 / n2)) if found else 1.0


@wrong("two_proportion_p", says="that is the area below z; take both tails beyond |z|")
def p_area_below(k1, n1, k2, n2):
    """Φ(z): one tail where z is negative, and all but one tail where it is not."""
    found = pooled(k1, n1, k2, n2)
    return (
        float(norm.cdf(found[0] / math.sqrt(found[1] * (1 - found[1]) * (1 / n1 + 1 / n2))))
        if found
        else 1.0
    )


@wrong(
    "two_proportion_p",
    says=". 1 - (the area below z) loses all digits; take the tail itself, math.erfc or norm.sf.",
)
def p_loses_digits(k1, n1, k2, n2):
    """1 - Φ(z) is 0 far out."""
    found = pooled(k1, n1, k2, n2)
    return (
        2
        * (
            1
            - float(
                norm.cdf(abs(found[0]) / math.sqrt(found[1] * (1 - found[1]) * (1 / n1 + 1 / n2)))
            )
        )
        if found
        else 1.0
    )


@wrong("two_proportion_p", says="r·(1 - r) is 0: return 1.0 before you divide by it")
def p_divides_by_zero(k1, n1, k2, n2):
    """Nothing happened, or everything did: 0 / 0."""
    if not (0 <= k1 <= n1 and 0 <= k2 <= n2 and n1 > 0 and n2 > 0):
        raise ValueError("counts")
    r = (k1 + k2) / (n1 + n2)
    return two_tails(k1 / n1 - k2 / n2, r * (1 - r) * (1 / n1 + 1 / n2))


@wrong("two_proportion_p", says="nothing differs: p is 1.0 there, not 0")
def p_zero_for_zero(k1, n1, k2, n2):
    """Says that it is certain where there is nothing to see."""
    found = pooled(k1, n1, k2, n2)
    return two_tails(found[0], found[1] * (1 - found[1]) * (1 / n1 + 1 / n2)) if found else 0.0


@wrong("two_proportion_p", says="two_proportion_p(3, 2, 1, 2) must raise ValueError: ")
def p_no_error(k1, n1, k2, n2):
    r = (k1 + k2) / max(n1 + n2, 1)
    if r <= 0 or r >= 1 or n1 <= 0:
        return 1.0
    return two_tails(k1 / n1 - k2 / n2, r * (1 - r) * (1 / n1 + 1 / n2))


@wrong("two_proportion_p", says="you used a continuity correction; this exercise has none")
def p_corrected(k1, n1, k2, n2):
    """With Yates' continuity correction."""
    found = pooled(k1, n1, k2, n2)
    if not found:
        return 1.0
    gap = max(abs(found[0]) - (1 / n1 + 1 / n2) / 2, 0.0)
    return two_tails(gap, found[1] * (1 - found[1]) * (1 / n1 + 1 / n2))


@wrong("tilt", says="lets no gradient flow back")
def tilt_frozen(p, mask, odds):
    """The probabilities are taken out of the graph."""
    return kl_bias.tilt(p.detach(), mask, odds)


@wrong("tilt", says="gives another gradient for `p`")
def tilt_fixed_sum(p, mask, odds):
    """The sum is taken out of the graph."""
    may_tilt(p, mask, odds)
    weighted = torch.where(mask, odds * p, p)
    return weighted / weighted.sum(-1, keepdim=True).detach()
