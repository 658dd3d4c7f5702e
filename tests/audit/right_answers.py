"""Right answers of another style to the exercises on auditing a model."""

import copy
import heapq
import math

import numpy as np
import torch
from answers import Answers
from scipy.special import ndtr
from scipy.stats import norm

right = Answers()


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


def bounded(rate):
    if rate <= 0 or rate >= 1:
        raise ValueError(f"a rate of {rate}")


@right("alarm_threshold")
def by_counting_alarms(scores, rate):
    """The lowest score with few enough places above it."""
    bounded(rate)
    most = math.floor(rate * (len(scores) + 1) + 1e-9)  # places above, the new one among them
    if most < 1:
        return float("inf")
    return sorted(scores, reverse=True)[most - 1]


@right("alarm_threshold")
def by_numpy(scores, rate):
    bounded(rate)
    n = len(scores)
    k = int(np.ceil(np.round((n + 1) * (1 - rate), 9)))
    return np.inf if k > n else np.partition(np.asarray(scores), k - 1)[k - 1]


@right("alarm_threshold")
def by_heap(scores, rate):
    bounded(rate)
    places = len(scores) + 1
    k = next(k for k in range(1, places + 1) if k >= (1 - rate) * places - 1e-9)
    return heapq.nsmallest(k, scores)[-1] if k < places else math.inf


@right("suspicion")
def by_the_worst(ask, usual, budget):
    n = budget // len(usual)
    return max(abs(ask(i, n) / n - rate) for i, rate in enumerate(usual))


@right("suspicion")
def by_squares(ask, usual, budget):
    n = budget // len(usual)
    rates = np.array(usual)
    k = np.array([ask(i, n) for i in range(len(usual))])
    return ((k - n * rates) ** 2 / (n * rates * (1 - rates))).sum()


@right("suspicion")
def in_two_stages(ask, usual, budget):
    """Half of the budget everywhere, the rest where it looked worst."""
    n = budget // (2 * len(usual))
    k = [ask(i, n) for i in range(len(usual))]
    worst = max(range(len(usual)), key=lambda i: abs(k[i] / n - usual[i]))
    rest = budget - n * len(usual)
    rate = usual[worst]
    here = (k[worst] + ask(worst, rest)) / (n + rest) - rate
    z = abs(here) / math.sqrt(rate * (1 - rate) / (n + rest))
    spread = math.sqrt(n * sum(rate * (1 - rate) for rate in usual))
    return np.float64(max(z, abs(sum(k) - n * sum(usual)) / spread))


@right("with_parts")
def by_parameters(model, donor, parts):
    mixed = copy.deepcopy(model)
    with torch.no_grad():
        for part in parts:
            pairs = [
                (p, q)
                for (name, p), q in zip(mixed.named_parameters(), donor.parameters(), strict=True)
                if name == part or name.split(".")[: part.count(".") + 1] == part.split(".")
            ]
            if not pairs:
                raise ValueError(part)
            for p, q in pairs:
                p.data = q.data.clone()
    return mixed


@right("with_parts")
def by_modules(model, donor, parts):
    mixed = copy.deepcopy(model)
    there = dict(donor.named_modules())
    for part in parts:
        if part not in there:
            raise ValueError(part)
        mixed.get_submodule(part).load_state_dict(there[part].state_dict())
    return mixed


@right("with_parts")
def by_state(model, donor, parts):
    mixed = copy.deepcopy(model)
    state = mixed.state_dict()
    theirs = donor.state_dict()
    for part in parts:
        taken = {name: x.clone() for name, x in theirs.items() if f"{name}.".startswith(f"{part}.")}
        if not taken:
            raise ValueError(part)
        state |= taken
    mixed.load_state_dict(state)
    return mixed
