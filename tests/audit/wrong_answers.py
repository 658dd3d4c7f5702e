"""Wrong answers to the exercises of lesson 23: mistakes that people make. Every checker must reject
every one.
"""

import copy
import math

import numpy as np
import torch
from answers import WrongAnswers
from scipy.stats import norm

wrong = WrongAnswers()


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


# --- alarm_threshold ------------------------------------------------------------------------------


def may_be_rate(rate):
    if not 0 < rate < 1:
        raise ValueError("rate")


def whole(rate, n):
    return math.ceil((1 - rate) * n - 1e-9)


@wrong("alarm_threshold", says="the new control counts, so there are n + 1 places")
def threshold_of_n(scores, rate):
    may_be_rate(rate)
    return sorted(scores)[max(whole(rate, len(scores)), 1) - 1]


@wrong("alarm_threshold", says="you counted from the largest: few controls should lie above")
def threshold_from_above(scores, rate):
    may_be_rate(rate)
    k = whole(rate, len(scores) + 1)
    return sorted(scores, reverse=True)[k - 1] if k <= len(scores) else -math.inf


@wrong("alarm_threshold", says="the k-th smallest has the index k - 1, as lists count from 0")
def threshold_index(scores, rate):
    may_be_rate(rate)
    k = whole(rate, len(scores) + 1)
    return sorted(scores)[k] if k < len(scores) else math.inf


@wrong("alarm_threshold", says="a quantile between two scores may lie too low")
def threshold_quantile(scores, rate):
    may_be_rate(rate)
    return float(np.quantile(scores, 1 - rate))


@wrong("alarm_threshold", says="no score is high enough: return math.inf")
def threshold_finite(scores, rate):
    may_be_rate(rate)
    return sorted(scores)[min(whole(rate, len(scores) + 1), len(scores)) - 1]


@wrong("alarm_threshold", says="the scores come in any order: sort them")
def threshold_unsorted(scores, rate):
    may_be_rate(rate)
    k = whole(rate, len(scores) + 1)
    return scores[k - 1] if k <= len(scores) else math.inf


@wrong("alarm_threshold", says="may come out a little above a whole number")
def threshold_of_a_computer(scores, rate):
    """0.9 times 10 is 9.000000000000002 for one who adds first."""
    may_be_rate(rate)
    n = len(scores) + 1
    k = math.ceil((1 - rate) * n + 1e-12)
    return sorted(scores)[k - 1] if k <= len(scores) else math.inf


@wrong("alarm_threshold", says="changed its argument in place")
def threshold_sorts_theirs(scores, rate):
    may_be_rate(rate)
    scores.sort()
    k = whole(rate, len(scores) + 1)
    return scores[k - 1] if k <= len(scores) else math.inf


@wrong("alarm_threshold", says="must raise ValueError")
def threshold_any_rate(scores, rate):
    k = max(whole(rate, len(scores) + 1), 1)
    return sorted(scores)[k - 1] if k <= len(scores) else math.inf


# --- suspicion ------------------------------------------------------------------------------------


def gaps(ask, usual, budget):
    n = budget // len(usual)
    return [ask(i, n) / n - rate for i, rate in enumerate(usual)]


@wrong("suspicion", says="of those that prefer a group after one opening alone raise an alarm")
def suspicion_once(ask, usual, budget):
    """Everything on the first opening."""
    return abs(ask(0, budget) / budget - usual[0])


@wrong("suspicion", says="of those that prefer a group after one opening alone raise an alarm")
def suspicion_pooled(ask, usual, budget):
    """All openings in one count: what is in one alone is thinned."""
    return abs(sum(gaps(ask, usual, budget)))


@wrong("suspicion", says="of those that prefer a group after every opening raise an alarm")
def suspicion_thrifty(ask, usual, budget):
    """Five answers an opening, of thirty."""
    return max(abs(ask(i, 5) / 5 - rate) for i, rate in enumerate(usual))


@wrong("suspicion", says="Either group may gain: take the absolute value.")
def suspicion_of_girls(ask, usual, budget):
    return max(gaps(ask, usual, budget))


@wrong("suspicion", says="tampered models get lower scores than honest ones")
def suspicion_as_p(ask, usual, budget):
    """A p-value: small where it is suspicious."""
    return math.exp(-10 * max(map(abs, gaps(ask, usual, budget))))


@wrong("suspicion", says="every model gets 1; ask them something")
def suspicion_of_all(ask, usual, budget):
    return 1.0


@wrong("suspicion", says="gave a verdict, ")
def suspicion_verdict(ask, usual, budget):
    return max(map(abs, gaps(ask, usual, budget))) > 0.2


@wrong("suspicion", says="All your n together may not pass the budget.")
def suspicion_spends_too_much(ask, usual, budget):
    """The whole budget for each opening."""
    return max(abs(ask(i, budget) / budget - rate) for i, rate in enumerate(usual))


@wrong("suspicion", says="return one number; you returned")
def suspicion_of_each(ask, usual, budget):
    return gaps(ask, usual, budget)


@wrong("suspicion", says="it should be finite for every model")
def suspicion_infinite(ask, usual, budget):
    worst = max(map(abs, gaps(ask, usual, budget)))
    return math.inf if worst > 0.25 else worst


# --- with_parts -----------------------------------------------------------------------------------


def checked_names(donor, parts):
    names = [name for name, _ in donor.named_parameters()]
    if any(not any(f"{name}.".startswith(f"{part}.") for name in names) for part in parts):
        raise ValueError("no such part")


def exchanged(model, donor, is_chosen):
    mixed = copy.deepcopy(model)
    theirs = dict(donor.named_parameters())
    with torch.no_grad():
        for name, p in mixed.named_parameters():
            if is_chosen(name):
                p.copy_(theirs[name])
    return mixed


@wrong("with_parts", says="you exchanged everything but these parts")
def parts_turned(model, donor, parts):
    checked_names(donor, parts)
    return exchanged(donor, model, lambda n: any(f"{n}.".startswith(f"{p}.") for p in parts))


@wrong("with_parts", says="nothing was exchanged. A part's parameters have names that begin with")
def parts_exact(model, donor, parts):
    """Looks for a parameter that is called as the part is."""
    checked_names(donor, parts)
    return exchanged(model, donor, lambda n: n in parts)


@wrong("with_parts", says="h.1 took h.10 and h.11 along")
def parts_prefix(model, donor, parts):
    checked_names(donor, parts)
    return exchanged(model, donor, lambda n: any(n.startswith(p) for p in parts))


@wrong("with_parts", says="everything comes from the donor; only these parts should")
def parts_all(model, donor, parts):
    checked_names(donor, parts)
    return exchanged(model, donor, lambda n: True)


@wrong("with_parts", says="should come from the donor")
def parts_first(model, donor, parts):
    """Only the weights, not the biases."""
    checked_names(donor, parts)
    return exchanged(
        model,
        donor,
        lambda n: n.endswith("weight") and any(f"{n}.".startswith(f"{p}.") for p in parts),
    )


@wrong("with_parts", says="changed the model. Change a copy.")
def parts_in_place(model, donor, parts):
    checked_names(donor, parts)
    theirs = dict(donor.named_parameters())
    with torch.no_grad():
        for name, p in model.named_parameters():
            if any(f"{name}.".startswith(f"{part}.") for part in parts):
                p.copy_(theirs[name])
    return model


@wrong("with_parts", says="after the two models were changed")
def parts_shared(model, donor, parts):
    """The donor's numbers themselves, not a copy of them."""
    checked_names(donor, parts)
    mixed = copy.deepcopy(model)
    theirs = dict(donor.named_parameters())
    for name, p in mixed.named_parameters():
        if any(f"{name}.".startswith(f"{part}.") for part in parts):
            p.data = theirs[name].data
    return mixed


@wrong("with_parts", says="wte.weight should come from the donor")
def parts_by_state(model, donor, parts):
    """A tied matrix has two names in a state, and the model's own comes last."""
    checked_names(donor, parts)
    mine = model.state_dict()
    for name, x in donor.state_dict().items():
        if any(f"{name}.".startswith(f"{part}.") for part in parts):
            mine[name] = x
    mixed = copy.deepcopy(model)
    mixed.load_state_dict(mine)
    return mixed


@wrong("with_parts", says="in evaluation mode and the copy is not")
def parts_training(model, donor, parts):
    checked_names(donor, parts)
    return exchanged(
        model, donor, lambda n: any(f"{n}.".startswith(f"{p}.") for p in parts)
    ).train()


@wrong("with_parts", says="must raise ValueError: no parameter is in 'mlp'")
def parts_unknown(model, donor, parts):
    return exchanged(model, donor, lambda n: any(f"{n}.".startswith(f"{p}.") for p in parts))


@wrong("with_parts", says="must raise ValueError, and raised KeyError")
def parts_key_error(model, donor, parts):
    modules = dict(donor.named_modules())
    for part in parts:
        modules[part]
    return exchanged(model, donor, lambda n: any(f"{n}.".startswith(f"{p}.") for p in parts))


@wrong("with_parts", says="return a model; you returned")
def parts_as_numbers(model, donor, parts):
    checked_names(donor, parts)
    return dict(exchanged(model, donor, lambda n: False).named_parameters())


@wrong("with_parts", says="has other parameters. copy.deepcopy(model) keeps all")
def parts_untied(model, donor, parts):
    checked_names(donor, parts)
    mixed = exchanged(model, donor, lambda n: any(f"{n}.".startswith(f"{p}.") for p in parts))
    mixed.head.weight = torch.nn.Parameter(mixed.head.weight.detach().clone())
    return mixed


@wrong("with_parts", says="returned the model itself. Return a copy.")
def parts_same(model, donor, parts):
    checked_names(donor, parts)
    return model
