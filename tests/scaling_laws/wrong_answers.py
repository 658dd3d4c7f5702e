"""Wrong answers to the exercises of lesson 05: mistakes that people make. Every checker must reject
every one.
"""

import math
import random

import numpy as np
from answers import DIFFERS, WrongAnswers
from scipy.special import huber, logsumexp

wrong = WrongAnswers()


# --- power_law_line -------------------------------------------------------------------------------


@wrong("power_law_line", says="you returned the exponent first; c comes first, then k")
def line_swapped(x, y):
    """The exponent first."""
    k, c = np.polyfit(np.log(x), np.log(y), 1)
    return float(k), float(np.exp(c))


@wrong("power_law_line", says="you returned log c; c is its exponential")
def line_log_c(x, y):
    """Forgets to go back from the logarithm."""
    k, c = np.polyfit(np.log(x), np.log(y), 1)
    return float(c), float(k)


@wrong("power_law_line", says="k has the wrong sign: y = c · x^k, without a minus")
def line_alpha(x, y):
    """Kaplan's sign: right for y = c · x^-α."""
    k, c = np.polyfit(np.log(x), np.log(y), 1)
    return float(np.exp(c)), float(-k)


@wrong("power_law_line", says="you took log10 and went back with exp; use one base for both ways")
def line_mixed_bases(x, y):
    """log10 there, exp back: the slope is right."""
    k, c = np.polyfit(np.log10(x), np.log10(y), 1)
    return float(np.exp(c)), float(k)


@wrong(
    "power_law_line",
    says="you fitted a line through x and y themselves; take the logarithm of both",
)
def line_no_logs(x, y):
    """A straight line through the numbers themselves."""
    k, c = np.polyfit(x, y, 1)
    return float(c), float(k)


@wrong("power_law_line", says="you took the logarithm of y only (an exponential, not a power)")
def line_log_y_only(x, y):
    """An exponential."""
    k, c = np.polyfit(x, np.log(y), 1)
    return float(np.exp(c)), float(k)


@wrong("power_law_line", says="you took the logarithm of x only")
def line_log_x_only(x, y):
    """A logarithm."""
    k, c = np.polyfit(np.log(x), y, 1)
    return float(c), float(k)


@wrong("power_law_line", says="you fitted log x as a line in log y and turned it round")
def line_x_on_y(x, y):
    """The regression the other way round: the same without noise."""
    k, c = np.polyfit(np.log(y), np.log(x), 1)
    return float(np.exp(-c / k)), float(1 / k)


@wrong("power_law_line", says="x and y are swapped in the fit")
def line_axes_swapped(x, y):
    """log x as a power of y."""
    k, c = np.polyfit(np.log(y), np.log(x), 1)
    return float(np.exp(c)), float(k)


@wrong("power_law_line", says="you used the first and the last point only; least squares uses all")
def line_ends(x, y):
    """First and last point: exact without noise."""
    k = math.log(y[-1] / y[0]) / math.log(x[-1] / x[0])
    return float(y[0] / x[0] ** k), float(k)


@wrong("power_law_line", says="you took the mean of the slopes between neighbours")
def line_mean_of_slopes(x, y):
    """The mean of the slopes between neighbours: exact without noise."""
    k = float(np.mean(np.diff(np.log(y)) / np.diff(np.log(x))))
    return float(np.exp(np.mean(np.log(y) - k * np.log(x)))), k


@wrong(
    "power_law_line",
    says="your line is forced through log y = 0 at x = 1; it needs a height of its own",
)
def line_through_one(x, y):
    """No height: forced through y = 1 at x = 1."""
    return 1.0, float((np.log(x) * np.log(y)).sum() / (np.log(x) ** 2).sum())


@wrong("power_law_line", says="you weighted the points")
def line_weighted(x, y):
    """Large y count more: exact without noise."""
    k, c = np.polyfit(np.log(x), np.log(y), 1, w=y)
    return float(np.exp(c)), float(k)


@wrong("power_law_line", says="the height is the mean of log y; subtract k times the mean of log x")
def line_height_is_mean(x, y):
    """The height at the middle, not at x = 1."""
    k, _ = np.polyfit(np.log(x), np.log(y), 1)
    return float(np.exp(np.log(y).mean())), float(k)


@wrong("power_law_line", says=DIFFERS)
def line_cancellation(x, y):
    """n·Σxy - Σx·Σy in half the digits: wrong for compute of 1e20."""
    a = np.log(x).astype(np.float16)
    b = np.log(y).astype(np.float16)
    n = len(x)
    k = float((n * (a * b).sum() - a.sum() * b.sum()) / (n * (a * a).sum() - a.sum() ** 2))
    return float(np.exp(b.mean() - k * a.mean())), k


# --- bootstrap ------------------------------------------------------------------------------------


@wrong(
    "bootstrap",
    says=": every sample holds every row once. Draw with replacement: some rows twice, some not at all.",
)
def boot_permutes(statistic, rows, n_refits, rng):
    """Without replacement: every sample is the data."""
    return np.array([statistic(rows[rng.permutation(len(rows))]) for _ in range(n_refits)])


@wrong("bootstrap", says="; it must have as many rows as the data,")
def boot_halves(statistic, rows, n_refits, rng):
    """Half of the rows."""
    return np.array(
        [
            statistic(rows[rng.choice(len(rows), len(rows) // 2, replace=False)])
            for _ in range(n_refits)
        ]
    )


@wrong("bootstrap", says="; it must have as many rows as the data,")
def boot_drops_one(statistic, rows, n_refits, rng):
    """The jackknife."""
    return np.array(
        [statistic(np.delete(rows, rng.integers(len(rows)), axis=0)) for _ in range(n_refits)]
    )


@wrong(
    "bootstrap",
    says=": the numbers of a row got separated. Draw whole rows: x and y of a point stay together.",
)
def boot_columns_apart(statistic, rows, n_refits, rng):
    """x and y drawn separately: the same where a row is one number."""
    n = len(rows)
    return np.array(
        [
            statistic(np.stack([column[rng.integers(0, n, n)] for column in rows.T], axis=1))
            for _ in range(n_refits)
        ]
    )


@wrong(
    "bootstrap",
    says=": the numbers of a row got separated. Draw whole rows: x and y of a point stay together.",
)
def boot_numbers(statistic, rows, n_refits, rng):
    """rng.choice of the flattened numbers."""
    return np.array([statistic(rng.choice(rows.ravel(), size=rows.shape)) for _ in range(n_refits)])


@wrong("bootstrap", says="was never drawn. rng.integers(0, n) ends at n - 1 already")
def boot_never_last(statistic, rows, n_refits, rng):
    """integers(0, n - 1): the last row never comes."""
    n = len(rows)
    return np.array([statistic(rows[rng.integers(0, n - 1, size=n)]) for _ in range(n_refits)])


@wrong("bootstrap", says="row 0 of 0 to")
def boot_never_first(statistic, rows, n_refits, rng):
    """integers(1, n): the first row never comes."""
    n = len(rows)
    return np.array([statistic(rows[rng.integers(1, n, size=n)]) for _ in range(n_refits)])


@wrong(
    "bootstrap",
    says=": the same rng gave other samples. Draw from the rng that you are given, not from np.random or random.",
)
def boot_global(statistic, rows, n_refits, rng):
    """numpy's global generator."""
    n = len(rows)
    return np.array([statistic(rows[np.random.randint(0, n, size=n)]) for _ in range(n_refits)])


@wrong(
    "bootstrap",
    says=": the same rng gave other samples. Draw from the rng that you are given, not from np.random or random.",
)
def boot_python_random(statistic, rows, n_refits, rng):
    """Python's global generator."""
    n = len(rows)
    return np.array(
        [statistic(rows[[random.randrange(n) for _ in range(n)]]) for _ in range(n_refits)]
    )


@wrong(
    "bootstrap", says=": another rng gave the same samples. Draw from the rng that you are given."
)
def boot_own_seed(statistic, rows, n_refits, rng):
    """A generator of its own, always the same."""
    own = np.random.default_rng(0)
    n = len(rows)
    return np.array([statistic(rows[own.integers(0, n, size=n)]) for _ in range(n_refits)])


@wrong(
    "bootstrap",
    says=": some samples are the same. Draw anew for each; do not restart the generator inside the loop.",
)
def boot_restarts(statistic, rows, n_refits, rng):
    """The seed inside the loop: one sample, n_refits times."""
    n = len(rows)
    seed = int(rng.integers(1 << 30))
    return np.array(
        [
            statistic(rows[np.random.default_rng(seed).integers(0, n, size=n)])
            for _ in range(n_refits)
        ]
    )


@wrong("bootstrap", says="each sample holds only rows of the sample before")
def boot_of_boot(statistic, rows, n_refits, rng):
    """Each sample from the sample before."""
    out = []
    for _ in range(n_refits):
        rows = rows[rng.integers(0, len(rows), size=len(rows))]
        out.append(statistic(rows))
    return np.array(out)


@wrong("bootstrap", says="times; it must be n_refits times, once a sample.")
def boot_one_short(statistic, rows, n_refits, rng):
    """n_refits - 1 samples."""
    n = len(rows)
    return np.array([statistic(rows[rng.integers(0, n, size=n)]) for _ in range(1, n_refits)])


@wrong("bootstrap", says="return the result of each sample, not their mean")
def boot_mean(statistic, rows, n_refits, rng):
    """The mean of the results."""
    n = len(rows)
    return np.mean([statistic(rows[rng.integers(0, n, size=n)]) for _ in range(n_refits)], axis=0)


@wrong("bootstrap", says="return the result of each sample, in the order of the samples")
def boot_sorted(statistic, rows, n_refits, rng):
    """Sorted along the samples: pairs of results get separated."""
    n = len(rows)
    return np.sort([statistic(rows[rng.integers(0, n, size=n)]) for _ in range(n_refits)], axis=0)


@wrong("bootstrap", says="the results stand in a list; make an array of it")
def boot_list(statistic, rows, n_refits, rng):
    """A list."""
    n = len(rows)
    return [statistic(rows[rng.integers(0, n, size=n)]) for _ in range(n_refits)]


@wrong("bootstrap", says="a sample holds numbers that are not in the data")
def boot_noise(statistic, rows, n_refits, rng):
    """Adds noise instead of drawing."""
    return np.array([statistic(rows + rng.normal(size=rows.shape)) for _ in range(n_refits)])


@wrong("bootstrap", says="return the results themselves, not their spread")
def boot_standard_error(statistic, rows, n_refits, rng):
    """What one wants in the end, but not what was asked."""
    n = len(rows)
    return np.std([statistic(rows[rng.integers(0, n, size=n)]) for _ in range(n_refits)], axis=0)


@wrong("bootstrap", says="some rows are drawn far more often than others")
def boot_rounds(statistic, rows, n_refits, rng):
    """Rounded numbers from 0 to n - 1: the first and the last row come half as often."""
    n = len(rows)
    return np.array(
        [statistic(rows[np.rint(rng.random(n) * (n - 1)).astype(int)]) for _ in range(n_refits)]
    )


@wrong("bootstrap", says="it used numpy's global generator")
def boot_seeds_global(statistic, rows, n_refits, rng):
    """Seeds numpy's global generator from rng: repeatable, but it disturbs everybody else."""
    n = len(rows)
    np.random.seed(int(rng.integers(1 << 30)))
    return np.array([statistic(rows[np.random.randint(0, n, size=n)]) for _ in range(n_refits)])


# --- chinchilla_objective -------------------------------------------------------------------------


def predicted(theta, N, D):
    a, b, e, alpha, beta = theta
    return logsumexp([a - alpha * np.log(N), b - beta * np.log(D), np.full(len(N), e)], axis=0)


@wrong(
    "chinchilla_objective",
    says="that is the mean; take the sum, or an optimiser thinks it has arrived too early",
)
def obj_mean(theta, N, D, L, delta=1e-3):
    """The mean, with which the optimiser stops too early; right for one point."""
    return float(huber(delta, predicted(theta, N, D) - np.log(L)).mean())


@wrong(
    "chinchilla_objective",
    says="that is the sum of squares; beyond delta the Huber loss goes on as a line",
)
def obj_squares(theta, N, D, L, delta=1e-3):
    """Least squares: right within delta, but for the half."""
    return float(((predicted(theta, N, D) - np.log(L)) ** 2).sum())


@wrong(
    "chinchilla_objective",
    says="that is half the sum of squares; beyond delta the Huber loss goes on as a line",
)
def obj_half_squares(theta, N, D, L, delta=1e-3):
    """Right within delta."""
    return float(((predicted(theta, N, D) - np.log(L)) ** 2).sum() / 2)


@wrong(
    "chinchilla_objective",
    says="that is the sum of absolute errors; within delta the Huber loss is r²/2",
)
def obj_absolute(theta, N, D, L, delta=1e-3):
    """Absolute errors."""
    return float(np.abs(predicted(theta, N, D) - np.log(L)).sum())


@wrong("chinchilla_objective", says="that is delta · |r| everywhere")
def obj_delta_absolute(theta, N, D, L, delta=1e-3):
    """delta · |r| everywhere: close to right for tiny deltas."""
    return float(delta * np.abs(predicted(theta, N, D) - np.log(L)).sum())


@wrong("chinchilla_objective", says="delta · |r| beyond delta leaves a jump: subtract delta²/2")
def obj_jump(theta, N, D, L, delta=1e-3):
    """The line has no -delta²/2."""
    r = np.abs(predicted(theta, N, D) - np.log(L))
    return float(np.where(r <= delta, r * r / 2, delta * r).sum())


@wrong("chinchilla_objective", says="within delta it is r²/2, not r²")
def obj_no_half(theta, N, D, L, delta=1e-3):
    """r² within delta."""
    r = np.abs(predicted(theta, N, D) - np.log(L))
    return float(np.where(r <= delta, r * r, delta * (r - delta / 2)).sum())


@wrong("chinchilla_objective", says="that is the Huber loss divided by delta")
def obj_smooth_l1(theta, N, D, L, delta=1e-3):
    """torch's smooth L1: the Huber loss over delta."""
    return float(huber(delta, predicted(theta, N, D) - np.log(L)).sum() / delta)


@wrong("chinchilla_objective", says="you took 1e-3 for delta, whatever was given")
def obj_ignores_delta(theta, N, D, L, delta=1e-3):
    """Always 1e-3."""
    return float(huber(1e-3, predicted(theta, N, D) - np.log(L)).sum())


@wrong("chinchilla_objective", says="the arguments of huber are swapped")
def obj_huber_swapped(theta, N, D, L, delta=1e-3):
    """scipy's arguments the wrong way round."""
    return float(huber(np.abs(predicted(theta, N, D) - np.log(L)), delta).sum())


@wrong(
    "chinchilla_objective", says="you took the errors of the losses; take those of their logarithms"
)
def obj_plain_losses(theta, N, D, L, delta=1e-3):
    """Errors of the losses, not of their logarithms."""
    return float(huber(delta, np.exp(predicted(theta, N, D)) - L).sum())


@wrong("chinchilla_objective", says="A and B are swapped: theta begins with log A, log B")
def obj_a_b_swapped(theta, N, D, L, delta=1e-3):
    """log B first."""
    return obj_right([theta[1], theta[0], *theta[2:]], N, D, L, delta)


@wrong("chinchilla_objective", says="you took the first one for log E")
def obj_e_first(theta, N, D, L, delta=1e-3):
    """log E first, as the letters stand in the formula."""
    return obj_right([theta[1], theta[2], theta[0], *theta[3:]], N, D, L, delta)


@wrong("chinchilla_objective", says="theta[2] is log E: take its exponential")
def obj_e_not_log(theta, N, D, L, delta=1e-3):
    """Takes theta[2] for E itself."""
    a, b, e, alpha, beta = theta
    return float(
        huber(delta, np.log(e + np.exp(a) / N**alpha + np.exp(b) / D**beta) - np.log(L)).sum()
    )


@wrong(
    "chinchilla_objective",
    says="chinchilla_objective(theta, N, D, L) with log A above 800: it is not finite. exp overflows there, and an optimiser may try such a theta. Stay with logarithms: logsumexp of the three terms.",
)
def obj_overflows(theta, N, D, L, delta=1e-3):
    """exp and log: right for all moderate theta, and nan or inf for large ones."""
    a, b, e, alpha, beta = theta
    with np.errstate(all="ignore"):
        return float(
            huber(
                delta, np.log(np.exp(a) / N**alpha + np.exp(b) / D**beta + np.exp(e)) - np.log(L)
            ).sum()
        )


@wrong("chinchilla_objective", says="you returned one loss for each point; add them up")
def obj_array(theta, N, D, L, delta=1e-3):
    """No sum."""
    return huber(delta, predicted(theta, N, D) - np.log(L))


@wrong(
    "chinchilla_objective",
    says="the sign of an error does not matter: large negative ones count as well",
)
def obj_positive_only(theta, N, D, L, delta=1e-3):
    """max(r, 0): half of the errors are lost."""
    return float(huber(delta, np.maximum(predicted(theta, N, D) - np.log(L), 0)).sum())


@wrong("chinchilla_objective", says="you took log10 of N and D")
def obj_log10(theta, N, D, L, delta=1e-3):
    """log10 of N and D."""
    return obj_right(theta, np.exp(np.log10(N)), np.exp(np.log10(D)), L, delta)


def obj_right(theta, N, D, L, delta):
    return float(huber(delta, predicted(theta, N, D) - np.log(L)).sum())


# --- optimal_allocation ---------------------------------------------------------------------------


def allocation(C, G, exponent):
    N = G * (C / 6) ** exponent
    return N, C / (6 * N)


@wrong("optimal_allocation", says="you returned D first; N comes first")
def opt_swapped(C, A, B, alpha, beta):
    """D first: right where size and data count the same."""
    return allocation(C, (alpha * A / (beta * B)) ** (1 / (alpha + beta)), beta / (alpha + beta))[
        ::-1
    ]


@wrong("optimal_allocation", says="the 6 is missing: C = 6 · N · D")
def opt_no_six(C, A, B, alpha, beta):
    """C = N · D."""
    N = (alpha * A / (beta * B)) ** (1 / (alpha + beta)) * C ** (beta / (alpha + beta))
    return N, C / N


@wrong("optimal_allocation", says="D is C / (6 N), not C / N")
def opt_no_six_in_D(C, A, B, alpha, beta):
    """Six times the data."""
    N, _ = allocation(C, (alpha * A / (beta * B)) ** (1 / (alpha + beta)), beta / (alpha + beta))
    return N, C / N


@wrong(
    "optimal_allocation", says="N grows as C to the power of beta / (alpha + beta); you took alpha"
)
def opt_alpha_exponent(C, A, B, alpha, beta):
    """The exponents of N and D swapped: right for alpha = beta."""
    return allocation(C, (alpha * A / (beta * B)) ** (1 / (alpha + beta)), alpha / (alpha + beta))


@wrong(
    "optimal_allocation",
    says="alpha and beta are missing in G: it is (alpha A / (beta B))^(1 / (alpha + beta))",
)
def opt_plain_G(C, A, B, alpha, beta):
    """(A / B) in G: right for alpha = beta."""
    return allocation(C, (A / B) ** (1 / (alpha + beta)), beta / (alpha + beta))


@wrong("optimal_allocation", says="G stands upside down")
def opt_inverse_G(C, A, B, alpha, beta):
    """G upside down: right where size and data count the same."""
    return allocation(C, (beta * B / (alpha * A)) ** (1 / (alpha + beta)), beta / (alpha + beta))


@wrong("optimal_allocation", says="A and B are swapped in G")
def opt_swaps_A_and_B(C, A, B, alpha, beta):
    """B stands above."""
    return allocation(C, (alpha * B / (beta * A)) ** (1 / (alpha + beta)), beta / (alpha + beta))


@wrong("optimal_allocation", says="alpha and beta are swapped in G")
def opt_swaps_alpha_and_beta(C, A, B, alpha, beta):
    """beta stands above."""
    return allocation(C, (beta * A / (alpha * B)) ** (1 / (alpha + beta)), beta / (alpha + beta))


@wrong("optimal_allocation", says="the exponent 1 / (alpha + beta) of G is missing")
def opt_no_root_G(C, A, B, alpha, beta):
    """G without its exponent."""
    return allocation(C, alpha * A / (beta * B), beta / (alpha + beta))


@wrong("optimal_allocation", says="G is missing: it is")
def opt_no_G(C, A, B, alpha, beta):
    """G = 1."""
    return allocation(C, 1.0, beta / (alpha + beta))


@wrong(
    "optimal_allocation",
    says="that is 20 tokens per parameter whatever the law says; minimise the loss",
)
def opt_chinchilla_rule(C, A, B, alpha, beta):
    """20 tokens per parameter."""
    N = (C / 120) ** 0.5
    return N, C / (6 * N)


@wrong("optimal_allocation", says="that is half of the compute for each, whatever the law says")
def opt_half(C, A, B, alpha, beta):
    """The exponent one half."""
    return allocation(C, (alpha * A / (beta * B)) ** (1 / (alpha + beta)), 0.5)


@wrong(
    "optimal_allocation",
    says="alpha and beta are missing in G: it is (alpha A / (beta B))^(1 / (alpha + beta))",
)
def opt_equal_terms(C, A, B, alpha, beta):
    """Makes A/N^alpha and B/D^beta equal, not their slopes."""
    return allocation(C, (A / B) ** (1 / (alpha + beta)), beta / (alpha + beta))


@wrong("optimal_allocation", says="N and D cost more, or less, than C together: D = C / (6 N)")
def opt_forgets_D(C, A, B, alpha, beta):
    """D without its own G."""
    N, _ = allocation(C, (alpha * A / (beta * B)) ** (1 / (alpha + beta)), beta / (alpha + beta))
    return N, (C / 6) ** (alpha / (alpha + beta))


@wrong("optimal_allocation", says=DIFFERS)
def opt_grid(C, A, B, alpha, beta):
    """A search on a coarse grid."""
    N = np.logspace(6, 13, 200)
    best = N[np.argmin(A / N**alpha + B / (np.min(C) / (6 * N)) ** beta)]
    return best, C / (6 * best)


@wrong("bootstrap", says="over all samples each row comes equally often, which chance does not do")
def boot_balanced(statistic, rows, n_refits, rng):
    """The balanced bootstrap: over all samples each row comes equally often."""
    deck = rng.permutation(np.tile(np.arange(len(rows)), n_refits)).reshape(n_refits, -1)
    return np.array([statistic(rows[places]) for places in deck])


@wrong("bootstrap", says="the samples hold too many different rows. Draw with replacement")
def boot_one_twice(statistic, rows, n_refits, rng):
    """Without replacement, but for one row."""
    n = len(rows)
    samples = []
    for _ in range(n_refits):
        places = rng.permutation(n)
        places[0] = rng.integers(n)
        samples.append(statistic(rows[places]))
    return np.array(samples)


@wrong("bootstrap", says="some rows are drawn far more often than others")
def boot_keeps_the_first(statistic, rows, n_refits, rng):
    """The first row is always there."""
    n = len(rows)
    return np.array(
        [statistic(rows[np.append(0, rng.integers(0, n, size=n - 1))]) for _ in range(n_refits)]
    )


@wrong("bootstrap", says="the samples hold too many different rows. Draw with replacement")
def boot_half_without_replacement(statistic, rows, n_refits, rng):
    """Two halves, each without replacement."""
    n = len(rows)
    return np.array(
        [
            statistic(rows[np.concatenate([rng.permutation(n), rng.permutation(n)])[n // 2 :][:n]])
            for _ in range(n_refits)
        ]
    )
