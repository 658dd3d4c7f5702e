"""Right answers of another style to the exercises on scaling laws."""

import math

import numpy as np
import torch
from answers import Answers
from scipy.optimize import brentq
from scipy.stats import linregress, t

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


# --- fit_isoflop ----------------------------------------------------------------------------------


def inside(N, at, a):
    if not a > 0 or not min(N) <= at <= max(N):
        raise ValueError("no minimum between the sizes")


@right("fit_isoflop")
def by_polyfit(N, L):
    a, b, c = np.polyfit(np.log(N), L, 2)
    at = float(np.exp(-b / (2 * a)))
    inside(N, at, a)
    return at, float(c - b**2 / (4 * a))


@right("fit_isoflop")
def by_least_squares(N, L):
    u = np.log10(np.asarray(N))
    c, b, a = np.linalg.lstsq(np.stack([u**0, u, u**2], 1), L, rcond=None)[0]
    at = float(10 ** (-b / (2 * a)))
    inside(N, at, a)
    return at, float(c + b * np.log10(at) + a * np.log10(at) ** 2)


@right("fit_isoflop")
def by_the_roots_of_the_slope(N, L):
    curve = np.polynomial.Chebyshev.fit(np.log2(N), L, 2)
    (root,) = curve.deriv().roots()
    inside(N, float(2**root), curve.deriv(2)(root))
    return float(2**root), float(curve(root))


# --- cheapest_model -------------------------------------------------------------------------------


@right("cheapest_model")
def on_a_grid_of_sizes(loss, served, E, A, B, alpha, beta):
    if not loss > E:
        raise ValueError("no model gets there")
    least = (A / (loss - E)) ** (1 / alpha)
    N = least * np.exp(np.geomspace(1e-3, 20, 200_000))
    D = (B / (loss - E - A / N**alpha)) ** (1 / beta)
    best = np.argmin(6 * N * D + 2 * N * served)
    return float(N[best]), float(D[best])


@right("cheapest_model")
def where_the_slope_is_zero(loss, served, E, A, B, alpha, beta):
    over = loss - E
    if over <= 0:
        raise ValueError("no model gets there")

    def slope(share):
        D = (B / ((1 - share) * over)) ** (1 / beta)
        return -1 / (alpha * share) + 6 * D / (6 * D + 2 * served) / (beta * (1 - share))

    share = brentq(slope, 1e-9, 1 - 1e-9)
    return (A / (share * over)) ** (1 / alpha), (B / ((1 - share) * over)) ** (1 / beta)


@right("cheapest_model")
def by_steps_that_shrink(loss, served, E, A, B, alpha, beta):
    if loss <= E:
        raise ValueError("no model gets there")
    low = 0.0
    high = 1.0
    for _ in range(30):
        s = np.linspace(low, high, 43)[1:-1]
        N = (A / (s * (loss - E))) ** (1 / alpha)
        D = (B / ((1 - s) * (loss - E))) ** (1 / beta)
        best = int(np.argmin(np.log(N) + np.log(3 * D + served)))
        step = s[1] - s[0]
        low = max(0.0, s[best] - step)
        high = min(1.0, s[best] + step)
    return float(N[best]), float(D[best])


# --- extrapolate ----------------------------------------------------------------------------------


@right("extrapolate")
def with_linregress_and_its_errors(x, y, x_new, level=0.95):
    if len(x) < 3:
        raise ValueError("three points at least")
    u = np.log(x)
    line = linregress(u, np.log(y))
    s2 = line.stderr**2 * ((u - u.mean()) ** 2).sum()
    at = math.log(x_new)
    wide = math.sqrt(s2 * (1 + 1 / len(x)) + line.stderr**2 * (at - u.mean()) ** 2)
    middle = line.intercept + line.slope * at
    low, high = t(len(x) - 2, middle, wide).interval(level)
    return math.exp(low), math.exp(middle), math.exp(high)


@right("extrapolate")
def by_matrices(x, y, x_new, level=0.95):
    if len(x) < 3:
        raise ValueError("three points at least")
    X = np.stack([np.ones(len(x)), np.log10(x)], axis=1)
    v = np.log10(y)
    weights = np.linalg.solve(X.T @ X, X.T @ v)
    errors = v - X @ weights
    row = np.array([1.0, np.log10(x_new)])
    scale = errors @ errors / (len(x) - 2) * (1 + row @ np.linalg.inv(X.T @ X) @ row)
    wide = -t.ppf((1 - level) / 2, len(x) - 2) * np.sqrt(scale)
    return tuple((10.0 ** (row @ weights + np.array([-wide, 0.0, wide]))).tolist())


@right("extrapolate")
def around_the_middle(x, y, x_new, level=0.95):
    if len(x) < 3:
        raise ValueError("three points at least")
    u = np.log(x) - np.log(x).mean()
    v = np.log(y)
    k = u @ v / (u @ u)
    at = np.log(x_new) - np.log(x).mean()
    middle = v.mean() + k * at
    errors = v - v.mean() - k * u
    factor = np.exp(
        t.isf((1 - level) / 2, len(x) - 2)
        * np.sqrt(errors @ errors / (len(x) - 2) * (1 + 1 / len(x) + at**2 / (u @ u)))
    )
    return float(np.exp(middle) / factor), float(np.exp(middle)), float(np.exp(middle) * factor)


# --- next_generation ------------------------------------------------------------------------------


@right("next_generation")
def with_lists(text, n, rng, accumulate=False):
    if len(text) == 0:
        raise ValueError("nothing to learn from")
    after = {}
    for a, b in zip(text.tolist(), np.roll(text, -1).tolist(), strict=True):
        after.setdefault(a, []).append(b)
    written = text.tolist()
    for _ in range(n):
        followers = after[written[-1]]
        written.append(followers[rng.integers(len(followers))])
    return np.array(written if accumulate else written[len(text) :], dtype=text.dtype)


@right("next_generation")
def by_places(text, n, rng, accumulate=False):
    if not len(text):
        raise ValueError("nothing to learn from")
    places = {word: np.flatnonzero(text == word) for word in set(text.tolist())}
    new = []
    place = len(text) - 1
    for _ in range(n):
        place = (rng.choice(places[int(text[place])]) + 1) % len(text)
        new.append(text[place])
    new = np.array(new, dtype=text.dtype)
    return np.append(text, new) if accumulate else new


@right("next_generation")
def by_a_table_of_probabilities(text, n, rng, accumulate=False):
    if text.size == 0:
        raise ValueError("nothing to learn from")
    words, at = np.unique(text, return_inverse=True)
    table = np.zeros((len(words), len(words)))
    np.add.at(table, (at, np.roll(at, -1)), 1)
    upto = np.cumsum(table / table.sum(1, keepdims=True), axis=1)
    now = at[-1]
    new = np.empty(n, dtype=text.dtype)
    for i in range(n):
        now = min(int(np.searchsorted(upto[now], rng.random(), side="right")), len(words) - 1)
        new[i] = words[now]
    return np.concatenate([text, new]) if accumulate else new
