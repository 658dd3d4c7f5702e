"""Wrong answers to the exercises of notebook 05: mistakes that people make. Every checker must reject every one."""

import math
import random

import numpy as np
import torch
from scipy.special import huber, logsumexp

# --- power_law_line --------------------------------------------------------------------------------------------------


def line_swapped(x, y):
    """The exponent first."""
    k, c = np.polyfit(np.log(x), np.log(y), 1)
    return float(k), float(np.exp(c))


def line_log_c(x, y):
    """Forgets to go back from the logarithm."""
    k, c = np.polyfit(np.log(x), np.log(y), 1)
    return float(c), float(k)


def line_alpha(x, y):
    """Kaplan's sign: right for y = c · x^-α."""
    k, c = np.polyfit(np.log(x), np.log(y), 1)
    return float(np.exp(c)), float(-k)


def line_mixed_bases(x, y):
    """log10 there, exp back: the slope is right."""
    k, c = np.polyfit(np.log10(x), np.log10(y), 1)
    return float(np.exp(c)), float(k)


def line_no_logs(x, y):
    """A straight line through the numbers themselves."""
    k, c = np.polyfit(x, y, 1)
    return float(c), float(k)


def line_log_y_only(x, y):
    """An exponential."""
    k, c = np.polyfit(x, np.log(y), 1)
    return float(np.exp(c)), float(k)


def line_log_x_only(x, y):
    """A logarithm."""
    k, c = np.polyfit(np.log(x), y, 1)
    return float(c), float(k)


def line_x_on_y(x, y):
    """The regression the other way round: the same without noise."""
    k, c = np.polyfit(np.log(y), np.log(x), 1)
    return float(np.exp(-c / k)), float(1 / k)


def line_ends(x, y):
    """First and last point: exact without noise."""
    k = math.log(y[-1] / y[0]) / math.log(x[-1] / x[0])
    return float(y[0] / x[0] ** k), float(k)


def line_mean_of_slopes(x, y):
    """The mean of the slopes between neighbours: exact without noise."""
    k = float(np.mean(np.diff(np.log(y)) / np.diff(np.log(x))))
    return float(np.exp(np.mean(np.log(y) - k * np.log(x)))), k


def line_through_one(x, y):
    """No height: forced through y = 1 at x = 1."""
    return 1.0, float((np.log(x) * np.log(y)).sum() / (np.log(x) ** 2).sum())


def line_weighted(x, y):
    """Large y count more: exact without noise."""
    k, c = np.polyfit(np.log(x), np.log(y), 1, w=y)
    return float(np.exp(c)), float(k)


def line_height_is_mean(x, y):
    """The height at the middle, not at x = 1."""
    k, _ = np.polyfit(np.log(x), np.log(y), 1)
    return float(np.exp(np.log(y).mean())), float(k)


def line_cancellation(x, y):
    """n·Σxy - Σx·Σy in half the digits: wrong for compute of 1e20."""
    a, b, n = np.log(x).astype(np.float16), np.log(y).astype(np.float16), len(x)
    k = float((n * (a * b).sum() - a.sum() * b.sum()) / (n * (a * a).sum() - a.sum() ** 2))
    return float(np.exp(b.mean() - k * a.mean())), k


# --- bootstrap -------------------------------------------------------------------------------------------------------


def boot_permutes(statistic, rows, n_refits, rng):
    """Without replacement: every sample is the data."""
    return np.array([statistic(rows[rng.permutation(len(rows))]) for _ in range(n_refits)])


def boot_halves(statistic, rows, n_refits, rng):
    """Half of the rows."""
    return np.array([statistic(rows[rng.choice(len(rows), len(rows) // 2, replace=False)]) for _ in range(n_refits)])


def boot_drops_one(statistic, rows, n_refits, rng):
    """The jackknife."""
    return np.array([statistic(np.delete(rows, rng.integers(len(rows)), axis=0)) for _ in range(n_refits)])


def boot_columns_apart(statistic, rows, n_refits, rng):
    """x and y drawn separately: the same where a row is one number."""
    n = len(rows)
    return np.array(
        [statistic(np.stack([column[rng.integers(0, n, n)] for column in rows.T], axis=1)) for _ in range(n_refits)]
    )


def boot_numbers(statistic, rows, n_refits, rng):
    """rng.choice of the flattened numbers."""
    return np.array([statistic(rng.choice(rows.ravel(), size=rows.shape)) for _ in range(n_refits)])


def boot_never_last(statistic, rows, n_refits, rng):
    """integers(0, n - 1): the last row never comes."""
    n = len(rows)
    return np.array([statistic(rows[rng.integers(0, n - 1, size=n)]) for _ in range(n_refits)])


def boot_never_first(statistic, rows, n_refits, rng):
    """integers(1, n): the first row never comes."""
    n = len(rows)
    return np.array([statistic(rows[rng.integers(1, n, size=n)]) for _ in range(n_refits)])


def boot_global(statistic, rows, n_refits, rng):
    """numpy's global generator."""
    n = len(rows)
    return np.array([statistic(rows[np.random.randint(0, n, size=n)]) for _ in range(n_refits)])


def boot_python_random(statistic, rows, n_refits, rng):
    """Python's global generator."""
    n = len(rows)
    return np.array([statistic(rows[[random.randrange(n) for _ in range(n)]]) for _ in range(n_refits)])


def boot_own_seed(statistic, rows, n_refits, rng):
    """A generator of its own, always the same."""
    own, n = np.random.default_rng(0), len(rows)
    return np.array([statistic(rows[own.integers(0, n, size=n)]) for _ in range(n_refits)])


def boot_restarts(statistic, rows, n_refits, rng):
    """The seed inside the loop: one sample, n_refits times."""
    n, seed = len(rows), int(rng.integers(1 << 30))
    return np.array([statistic(rows[np.random.default_rng(seed).integers(0, n, size=n)]) for _ in range(n_refits)])


def boot_of_boot(statistic, rows, n_refits, rng):
    """Each sample from the sample before."""
    out = []
    for _ in range(n_refits):
        rows = rows[rng.integers(0, len(rows), size=len(rows))]
        out.append(statistic(rows))
    return np.array(out)


def boot_one_short(statistic, rows, n_refits, rng):
    """n_refits - 1 samples."""
    n = len(rows)
    return np.array([statistic(rows[rng.integers(0, n, size=n)]) for _ in range(1, n_refits)])


def boot_mean(statistic, rows, n_refits, rng):
    """The mean of the results."""
    n = len(rows)
    return np.mean([statistic(rows[rng.integers(0, n, size=n)]) for _ in range(n_refits)], axis=0)


def boot_sorted(statistic, rows, n_refits, rng):
    """Sorted along the samples: pairs of results get separated."""
    n = len(rows)
    return np.sort([statistic(rows[rng.integers(0, n, size=n)]) for _ in range(n_refits)], axis=0)


def boot_list(statistic, rows, n_refits, rng):
    """A list."""
    n = len(rows)
    return [statistic(rows[rng.integers(0, n, size=n)]) for _ in range(n_refits)]


def boot_noise(statistic, rows, n_refits, rng):
    """Adds noise instead of drawing."""
    return np.array([statistic(rows + rng.normal(size=rows.shape)) for _ in range(n_refits)])


# --- chinchilla_objective --------------------------------------------------------------------------------------------


def predicted(theta, N, D):
    a, b, e, alpha, beta = theta
    return logsumexp([a - alpha * np.log(N), b - beta * np.log(D), np.full(len(N), e)], axis=0)


def obj_mean(theta, N, D, L, delta=1e-3):
    """The mean, with which the optimiser stops too early; right for one point."""
    return float(huber(delta, predicted(theta, N, D) - np.log(L)).mean())


def obj_squares(theta, N, D, L, delta=1e-3):
    """Least squares: right within delta, but for the half."""
    return float(((predicted(theta, N, D) - np.log(L)) ** 2).sum())


def obj_half_squares(theta, N, D, L, delta=1e-3):
    """Right within delta."""
    return float(((predicted(theta, N, D) - np.log(L)) ** 2).sum() / 2)


def obj_absolute(theta, N, D, L, delta=1e-3):
    """Absolute errors."""
    return float(np.abs(predicted(theta, N, D) - np.log(L)).sum())


def obj_delta_absolute(theta, N, D, L, delta=1e-3):
    """delta · |r| everywhere: close to right for tiny deltas."""
    return float(delta * np.abs(predicted(theta, N, D) - np.log(L)).sum())


def obj_jump(theta, N, D, L, delta=1e-3):
    """The line has no -delta²/2."""
    r = np.abs(predicted(theta, N, D) - np.log(L))
    return float(np.where(r <= delta, r * r / 2, delta * r).sum())


def obj_no_half(theta, N, D, L, delta=1e-3):
    """r² within delta."""
    r = np.abs(predicted(theta, N, D) - np.log(L))
    return float(np.where(r <= delta, r * r, delta * (r - delta / 2)).sum())


def obj_smooth_l1(theta, N, D, L, delta=1e-3):
    """torch's smooth L1: the Huber loss over delta."""
    return float(huber(delta, predicted(theta, N, D) - np.log(L)).sum() / delta)


def obj_ignores_delta(theta, N, D, L, delta=1e-3):
    """Always 1e-3."""
    return float(huber(1e-3, predicted(theta, N, D) - np.log(L)).sum())


def obj_huber_swapped(theta, N, D, L, delta=1e-3):
    """scipy's arguments the wrong way round."""
    return float(huber(np.abs(predicted(theta, N, D) - np.log(L)), delta).sum())


def obj_plain_losses(theta, N, D, L, delta=1e-3):
    """Errors of the losses, not of their logarithms."""
    return float(huber(delta, np.exp(predicted(theta, N, D)) - L).sum())


def obj_a_b_swapped(theta, N, D, L, delta=1e-3):
    """log B first."""
    return obj_right([theta[1], theta[0], *theta[2:]], N, D, L, delta)


def obj_e_first(theta, N, D, L, delta=1e-3):
    """log E first, as the letters stand in the formula."""
    return obj_right([theta[1], theta[2], theta[0], *theta[3:]], N, D, L, delta)


def obj_e_not_log(theta, N, D, L, delta=1e-3):
    """Takes theta[2] for E itself."""
    a, b, e, alpha, beta = theta
    return float(huber(delta, np.log(e + np.exp(a) / N**alpha + np.exp(b) / D**beta) - np.log(L)).sum())


def obj_overflows(theta, N, D, L, delta=1e-3):
    """exp and log: right for all moderate theta, and nan or inf for large ones."""
    a, b, e, alpha, beta = theta
    with np.errstate(all="ignore"):
        return float(huber(delta, np.log(np.exp(a) / N**alpha + np.exp(b) / D**beta + np.exp(e)) - np.log(L)).sum())


def obj_array(theta, N, D, L, delta=1e-3):
    """No sum."""
    return huber(delta, predicted(theta, N, D) - np.log(L))


def obj_positive_only(theta, N, D, L, delta=1e-3):
    """max(r, 0): half of the errors are lost."""
    return float(huber(delta, np.maximum(predicted(theta, N, D) - np.log(L), 0)).sum())


def obj_log10(theta, N, D, L, delta=1e-3):
    """log10 of N and D."""
    return obj_right(theta, np.exp(np.log10(N)), np.exp(np.log10(D)), L, delta)


def obj_right(theta, N, D, L, delta):
    return float(huber(delta, predicted(theta, N, D) - np.log(L)).sum())


# --- optimal_allocation ----------------------------------------------------------------------------------------------


def allocation(C, G, exponent):
    N = G * (C / 6) ** exponent
    return N, C / (6 * N)


def opt_swapped(C, A, B, alpha, beta):
    """D first: right where size and data count the same."""
    return allocation(C, (alpha * A / (beta * B)) ** (1 / (alpha + beta)), beta / (alpha + beta))[::-1]


def opt_no_six(C, A, B, alpha, beta):
    """C = N · D."""
    N = (alpha * A / (beta * B)) ** (1 / (alpha + beta)) * C ** (beta / (alpha + beta))
    return N, C / N


def opt_no_six_in_D(C, A, B, alpha, beta):
    """Six times the data."""
    N, _ = allocation(C, (alpha * A / (beta * B)) ** (1 / (alpha + beta)), beta / (alpha + beta))
    return N, C / N


def opt_alpha_exponent(C, A, B, alpha, beta):
    """The exponents of N and D swapped: right for alpha = beta."""
    return allocation(C, (alpha * A / (beta * B)) ** (1 / (alpha + beta)), alpha / (alpha + beta))


def opt_plain_G(C, A, B, alpha, beta):
    """(A / B) in G: right for alpha = beta."""
    return allocation(C, (A / B) ** (1 / (alpha + beta)), beta / (alpha + beta))


def opt_inverse_G(C, A, B, alpha, beta):
    """G upside down: right where size and data count the same."""
    return allocation(C, (beta * B / (alpha * A)) ** (1 / (alpha + beta)), beta / (alpha + beta))


def opt_no_root_G(C, A, B, alpha, beta):
    """G without its exponent."""
    return allocation(C, alpha * A / (beta * B), beta / (alpha + beta))


def opt_no_G(C, A, B, alpha, beta):
    """G = 1."""
    return allocation(C, 1.0, beta / (alpha + beta))


def opt_chinchilla_rule(C, A, B, alpha, beta):
    """20 tokens per parameter."""
    N = (C / 120) ** 0.5
    return N, C / (6 * N)


def opt_half(C, A, B, alpha, beta):
    """The exponent one half."""
    return allocation(C, (alpha * A / (beta * B)) ** (1 / (alpha + beta)), 0.5)


def opt_equal_terms(C, A, B, alpha, beta):
    """Makes A/N^alpha and B/D^beta equal, not their slopes."""
    return allocation(C, (A / B) ** (1 / (alpha + beta)), beta / (alpha + beta))


def opt_forgets_D(C, A, B, alpha, beta):
    """D without its own G."""
    N, _ = allocation(C, (alpha * A / (beta * B)) ** (1 / (alpha + beta)), beta / (alpha + beta))
    return N, (C / 6) ** (alpha / (alpha + beta))


def opt_grid(C, A, B, alpha, beta):
    """A search on a coarse grid."""
    N = np.logspace(6, 13, 200)
    best = N[np.argmin(A / N**alpha + B / (np.min(C) / (6 * N)) ** beta)]
    return best, C / (6 * best)


# --- pass_at_k -------------------------------------------------------------------------------------------------------


def guard(n, c, k):
    if not (0 <= c <= n and 1 <= k <= n):
        raise ValueError(f"{n}, {c}, {k}")


def pass_plugged_in(n, c, k):
    """1 - (1 - c/n)^k: biased; right for k = 1."""
    guard(n, c, k)
    return 1 - (1 - c / n) ** k


def pass_share(n, c, k):
    """c / n."""
    guard(n, c, k)
    return c / n


def pass_all(n, c, k):
    """All k right."""
    guard(n, c, k)
    return math.comb(c, k) / math.comb(n, k)


def pass_none(n, c, k):
    """The chance to miss."""
    guard(n, c, k)
    return math.comb(n - c, k) / math.comb(n, k)


def pass_union_bound(n, c, k):
    """k · c / n, capped: right for k = 1."""
    guard(n, c, k)
    return min(1.0, k * c / n)


def pass_off_by_one(n, c, k):
    """The product one too low."""
    guard(n, c, k)
    return 1 - math.prod(1 - k / i for i in range(n - c, n) if i)


def pass_short_range(n, c, k):
    """range(n - c + 1, n): the last factor is missing."""
    guard(n, c, k)
    return 1 - math.prod(1 - k / i for i in range(n - c + 1, n))


def pass_over_k(n, c, k):
    """A product over the k samples, but with replacement of the right ones."""
    guard(n, c, k)
    return 1 - math.prod((n - c) / (n - i) for i in range(k))


def pass_factorials(n, c, k):
    """Factorials as floats: overflow for large n."""
    guard(n, c, k)
    if n - c < k:
        return 1.0
    f = math.gamma
    return 1 - f(n - c + 1) * f(n - k + 1) / (f(n - c - k + 1) * f(n + 1))


def pass_no_errors(n, c, k):
    """Says nothing about c > n."""
    return 1.0 - math.prod(1 - k / i for i in range(n - c + 1, n + 1))


def pass_one_exactly(n, c, k):
    """Exactly one right sample."""
    guard(n, c, k)
    return c * math.comb(n - c, k - 1) / math.comb(n, k)


def pass_any(n, c, k):
    """1 as soon as one is right: the observed, not the expected."""
    guard(n, c, k)
    return float(c > 0)


def pass_zero_when_sure(n, c, k):
    """Forgets that n - c < k is sure to hold a right one."""
    guard(n, c, k)
    return 0.0 if n - c < k else 1 - math.comb(n - c, k) / math.comb(n, k)


def pass_rounded(n, c, k):
    """Rounded to a percent."""
    guard(n, c, k)
    return round(1.0 - math.prod(1 - k / i for i in range(n - c + 1, n + 1)), 2)


# --- majority_vote ---------------------------------------------------------------------------------------------------


def vote_mode(answers):
    """torch.mode: the smallest of several as frequent."""
    return answers.mode(dim=1).values


def vote_last_of_ties(answers):
    """The last of several as frequent."""
    votes = (answers[:, :, None] == answers[:, None, :]).sum(-1).flip(1)
    return answers.flip(1).gather(1, votes.argmax(1, keepdim=True))[:, 0]


def vote_mean(answers):
    """The rounded mean."""
    return answers.float().mean(1).round().long()


def vote_median(answers):
    """The median."""
    return answers.median(dim=1).values


def vote_max(answers):
    """The largest answer."""
    return answers.amax(1)


def vote_first(answers):
    """The first answer."""
    return answers[:, 0]


def vote_all_rows(answers):
    """One winner for all problems."""
    return answers.flatten().mode().values.expand(len(answers)).clone()


def vote_columns(answers):
    """Counts down the columns."""
    return answers.mode(dim=0).values[: len(answers)]


def vote_counts(answers):
    """The number of votes, not the answer."""
    return (answers[:, :, None] == answers[:, None, :]).sum(-1).amax(1)


def vote_index(answers):
    """The index of the winner."""
    return (answers[:, :, None] == answers[:, None, :]).sum(-1).argmax(1)


def vote_bincount_ten(answers):
    """Answers below 10 only."""
    return torch.stack([torch.bincount(row.clamp(max=9), minlength=10).argmax() for row in answers])


def vote_largest_of_ties(answers):
    """The largest of several as frequent."""
    return -(-answers).mode(dim=1).values


def vote_neighbours(answers):
    """Counts only neighbours that agree."""
    votes = torch.nn.functional.pad((answers[:, 1:] == answers[:, :-1]).long(), (0, 1))
    return answers.gather(1, votes.argmax(1, keepdim=True))[:, 0]


def vote_list(answers):
    """A list of numbers."""
    return [int(max(row.tolist(), key=row.tolist().count)) for row in answers]


MUTANTS = {
    "power_law_line": [
        line_swapped, line_log_c, line_alpha, line_mixed_bases, line_no_logs, line_log_y_only, line_log_x_only, line_x_on_y, line_ends,
        line_mean_of_slopes, line_through_one, line_weighted, line_height_is_mean, line_cancellation,
    ],
    "bootstrap": [
        boot_permutes, boot_halves, boot_drops_one, boot_columns_apart, boot_numbers, boot_never_last, boot_never_first, boot_global,
        boot_python_random, boot_own_seed, boot_restarts, boot_of_boot, boot_one_short, boot_mean, boot_sorted, boot_list, boot_noise,
    ],
    "chinchilla_objective": [
        obj_mean, obj_squares, obj_half_squares, obj_absolute, obj_delta_absolute, obj_jump, obj_no_half, obj_smooth_l1, obj_ignores_delta,
        obj_huber_swapped, obj_plain_losses, obj_a_b_swapped, obj_e_first, obj_e_not_log, obj_overflows, obj_array, obj_positive_only, obj_log10,
    ],
    "optimal_allocation": [
        opt_swapped, opt_no_six, opt_no_six_in_D, opt_alpha_exponent, opt_plain_G, opt_inverse_G, opt_no_root_G, opt_no_G, opt_chinchilla_rule,
        opt_half, opt_equal_terms, opt_forgets_D, opt_grid,
    ],
    "pass_at_k": [
        pass_plugged_in, pass_share, pass_all, pass_none, pass_union_bound, pass_off_by_one, pass_short_range, pass_over_k, pass_factorials,
        pass_no_errors, pass_one_exactly, pass_any, pass_zero_when_sure, pass_rounded,
    ],
    "majority_vote": [
        vote_mode, vote_last_of_ties, vote_mean, vote_median, vote_max, vote_first, vote_all_rows, vote_columns, vote_counts, vote_index,
        vote_bincount_ten, vote_largest_of_ties, vote_neighbours, vote_list,
    ],
}  # fmt: skip
