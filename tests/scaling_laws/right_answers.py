"""Right answers of another style to the exercises on scaling laws."""

import math

import numpy as np
import torch
from answers import Answers
from scipy.optimize import brentq
from scipy.stats import linregress

right = Answers()


# --- power_law_line -------------------------------------------------------------------------------


@right("power_law_line")
def by_all_pairs(x, y):
    """The slope is the mean of the slopes between all pairs, weighted by their squared distance."""
    u = np.log10(x)
    v = np.log10(y)
    across = u[:, None] - u
    k = (across * (v[:, None] - v)).sum() / (across**2).sum()
    return float(10 ** (v - k * u).mean()), float(k)


@right("power_law_line")
def with_linregress(x, y):
    line = linregress(np.log2(x), np.log2(y))
    return float(2**line.intercept), float(line.slope)


@right("power_law_line")
def by_covariance(x, y):
    table = np.cov(np.log(x), np.log(y), bias=True)
    k = table[0, 1] / table[0, 0]
    return float(np.exp(np.log(y).mean() - k * np.log(x).mean())), float(k)


# --- bootstrap ------------------------------------------------------------------------------------


@right("bootstrap")
def all_indices_at_once(statistic, rows, n_refits, rng):
    chosen = rng.integers(len(rows), size=(n_refits, len(rows)))
    return np.stack([statistic(sample) for sample in rows[chosen]])


@right("bootstrap")
def with_choice(statistic, rows, n_refits, rng):
    results = []
    for _ in range(n_refits):
        results.append(statistic(rng.choice(rows, size=len(rows), replace=True, axis=0)))
    return np.array(results)


@right("bootstrap")
def row_by_row(statistic, rows, n_refits, rng):
    n = len(rows)
    samples = (np.array([rows[rng.integers(n)] for _ in range(n)]) for _ in range(n_refits))
    return np.array(list(map(statistic, samples)))


@right("bootstrap")
def by_uniform_numbers(statistic, rows, n_refits, rng):
    places = (rng.random((n_refits, len(rows))) * len(rows)).astype(int)
    first = np.asarray(statistic(rows[places[0]]))
    results = np.empty((n_refits, *first.shape), dtype=first.dtype)
    results[0] = first
    for i in range(1, n_refits):
        results[i] = statistic(np.take(rows, places[i], axis=0))
    return results


@right("bootstrap")
def by_how_often(statistic, rows, n_refits, rng):
    n = len(rows)
    often = rng.multinomial(n, np.full(n, 1 / n), size=n_refits)
    return np.array([statistic(np.repeat(rows, counts, axis=0)) for counts in often])


# --- chinchilla_objective -------------------------------------------------------------------------


@right("chinchilla_objective")
def with_logaddexp(theta, N, D, L, delta=1e-3):
    log_a, log_b, log_e, alpha, beta = theta
    law = np.logaddexp(log_a - alpha * np.log(N), log_b - beta * np.log(D))
    r = np.abs(np.logaddexp(law, log_e) - np.log(L))
    return float(np.where(r <= delta, r**2 / 2, delta * (r - delta / 2)).sum())


@right("chinchilla_objective")
def point_by_point(theta, N, D, L, delta=1e-3):
    total = 0.0
    for n, d, loss in zip(N, D, L, strict=True):
        terms = (theta[0] - theta[3] * math.log(n), theta[1] - theta[4] * math.log(d), theta[2])
        top = max(terms)
        r = top + math.log(sum(math.exp(term - top) for term in terms)) - math.log(loss)
        total += r * r / 2 if abs(r) <= delta else delta * (abs(r) - delta / 2)
    return float(total)


@right("chinchilla_objective")
def through_torch(theta, N, D, L, delta=1e-3):
    a, b, e, alpha, beta = torch.tensor(theta, dtype=torch.float64)
    n, d, loss = (torch.tensor(values, dtype=torch.float64).log() for values in (N, D, L))
    law = torch.stack([a - alpha * n, b - beta * d, e.expand_as(n)]).logsumexp(0)
    return torch.nn.functional.huber_loss(law, loss, reduction="sum", delta=delta).item()


@right("chinchilla_objective")
def as_matrix_product(theta, N, D, L, delta=1e-3):
    theta = np.asarray(theta)
    powers = np.zeros((3, len(N), 5))
    powers[range(3), :, range(3)] = 1
    powers[0, :, 3] = -np.log(N)
    powers[1, :, 4] = -np.log(D)
    r = np.logaddexp.reduce(powers @ theta, axis=0) - np.log(L)
    near = np.clip(r, -delta, delta)
    return float((near * (r - near / 2)).sum())


# --- optimal_allocation ---------------------------------------------------------------------------


@right("optimal_allocation")
def in_logarithms(C, A, B, alpha, beta):
    product = np.log(C) - np.log(6)
    log_n = (np.log(alpha) + np.log(A) - np.log(beta) - np.log(B) + beta * product) / (alpha + beta)
    return np.exp(log_n), np.exp(product - log_n)


@right("optimal_allocation")
def data_first(C, A, B, alpha, beta):
    ratio = beta * B / (alpha * A)
    D = (ratio * (C / 6) ** alpha) ** (1 / (alpha + beta))
    return C / 6 / D, D


@right("optimal_allocation")
def with_hoffmanns_exponents(C, A, B, alpha, beta):
    a = beta / (alpha + beta)
    b = alpha / (alpha + beta)
    G = np.power(alpha * A / (beta * B), 1 / (alpha + beta))
    return G * np.power(C / 6, a), np.power(C / 6, b) / G


@right("optimal_allocation")
def by_bisection(C, A, B, alpha, beta):
    """Where one more percent of N helps as much as one more percent of D."""
    half = np.log(np.asarray(C) / 6)
    low = np.zeros_like(half + np.zeros_like(np.asarray(A, dtype=float)))
    high = low + half
    for _ in range(100):
        middle = (low + high) / 2
        more_n = alpha * A * np.exp(-alpha * middle) > beta * B * np.exp(-beta * (half - middle))
        low = np.where(more_n, middle, low)
        high = np.where(more_n, high, middle)
    N = np.exp((low + high) / 2)[()]
    return N, C / (6 * N)


@right("optimal_allocation")
def with_brentq(C, A, B, alpha, beta):
    def one(C, A, B, alpha, beta):
        def slope(n):
            return (
                math.log(alpha * A / (beta * B))
                - alpha * n
                + beta * (math.log(C) - math.log(6) - n)
            )

        return math.exp(brentq(slope, -500, 500, xtol=1e-12))

    N = np.vectorize(one, otypes=[float])(C, A, B, alpha, beta)[()]
    return N, C / (6 * N)
