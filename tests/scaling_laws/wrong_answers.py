"""Wrong answers to the exercises of lesson 05: mistakes that people make. Every checker must reject
every one.
"""

import math

import numpy as np
from answers import DIFFERS, WrongAnswers
from scipy import stats
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


# --- fit_isoflop ----------------------------------------------------------------------------------


def parabola(N, L):
    """N and L of the lowest point, with the bounds that are asked for."""
    a, b, c = np.polyfit(np.log(N), L, 2)
    at = -b / (2 * a)
    if a <= 0 or not N.min() <= np.exp(at) <= N.max():
        raise ValueError("no minimum")
    return float(np.exp(at)), float(np.polyval((a, b, c), at))


@wrong("fit_isoflop", says="you returned the measured model with the lowest loss")
def isoflop_argmin(N, L):
    """No curve at all."""
    parabola(N, L)
    return float(N[L.argmin()]), float(L.min())


@wrong("fit_isoflop", says="the parabola is fitted over N itself")
def isoflop_plain(N, L):
    """Forgets the logarithm of N."""
    parabola(N, L)
    a, b, c = np.polyfit(N, L, 2)
    return float(-b / (2 * a)), float(c - b * b / (4 * a))


@wrong("fit_isoflop", says="you fitted log L; the parabola's height is L itself")
def isoflop_log_loss(N, L):
    """Takes the logarithm of both, as for a power law."""
    parabola(N, L)
    a, b, c = np.polyfit(np.log(N), np.log(L), 2)
    return float(np.exp(-b / (2 * a))), float(np.exp(c - b * b / (4 * a)))


@wrong("fit_isoflop", says="you returned the logarithm of the best N; take its exponential")
def isoflop_log_n(N, L):
    """Forgets to go back."""
    at, low = parabola(N, L)
    return float(np.log(at)), low


@wrong("fit_isoflop", says="N is right; the L beside it is the lowest loss that was measured")
def isoflop_measured_loss(N, L):
    """The loss of a model that is not the best one."""
    return parabola(N, L)[0], float(L.min())


@wrong("fit_isoflop", says="you returned L first; N comes first")
def isoflop_turned(N, L):
    """The loss first."""
    return parabola(N, L)[::-1]


@wrong("fit_isoflop", says="you fitted only the three points around the lowest; take all points")
def isoflop_three(N, L):
    """A parabola through the lowest point and its neighbours."""
    parabola(N, L)
    order = np.argsort(N)
    at = min(max(int(np.argmin(L[order])), 1), len(N) - 2)
    near = order[at - 1 : at + 2]
    a, b, c = np.polyfit(np.log(N[near]), L[near], 2)
    return float(np.exp(-b / (2 * a))), float(c - b * b / (4 * a))


@wrong("fit_isoflop", says="the lowest point of a·u² + b·u + c lies at -b / (2a); the 2 is missing")
def isoflop_without_two(N, L):
    """A slip in the formula of the vertex."""
    parabola(N, L)
    curve = np.polyfit(np.log(N), L, 2)
    at = -curve[1] / curve[0]
    return float(np.exp(at)), float(np.polyval(curve, at))


@wrong("fit_isoflop", says="must raise ValueError")
def isoflop_outside(N, L):
    """Extrapolates without a word."""
    a, b, c = np.polyfit(np.log(N), L, 2)
    return float(np.exp(-b / (2 * a))), float(c - b * b / (4 * a))


@wrong("fit_isoflop", says="must raise ValueError")
def isoflop_hill(N, L):
    """Looks at the place and not at which way the parabola opens."""
    a, b, c = np.polyfit(np.log(N), L, 2)
    at = np.exp(-b / (2 * a))
    if not N.min() <= at <= N.max():
        raise ValueError("outside")
    return float(at), float(c - b * b / (4 * a))


# --- cheapest_model -------------------------------------------------------------------------------


def by_grid(loss, served, E, A, B, alpha, beta, serve=2.0):
    """Every share of what is above the floor, in small steps; the size's and the data's."""
    if loss <= E:
        raise ValueError("below the floor")
    s = np.linspace(0, 1, 400_002)[1:-1]
    N = (A / (s * (loss - E))) ** (1 / alpha)
    D = (B / ((1 - s) * (loss - E))) ** (1 / beta)
    best = np.argmin(np.log(N) + np.log(6 * D + serve * served))
    return float(N[best]), float(D[best])


@wrong("cheapest_model", says="what is served is not counted: add 2·N·served to the cost")
def cheapest_training(loss, served, E, A, B, alpha, beta):
    """Chinchilla's answer."""
    return by_grid(loss, 0.0, E, A, B, alpha, beta)


@wrong("cheapest_model", says="a token costs 6·N FLOP in training and 2·N in serving")
def cheapest_same_price(loss, served, E, A, B, alpha, beta):
    """6·N·(D + served)."""
    return by_grid(loss, served, E, A, B, alpha, beta, serve=6.0)


@wrong("cheapest_model", says="A and B are swapped")
def cheapest_swapped_factors(loss, served, E, A, B, alpha, beta):
    """B for the size."""
    return by_grid(loss, served, E, B, A, alpha, beta)


@wrong("cheapest_model", says="alpha and beta are swapped")
def cheapest_swapped_exponents(loss, served, E, A, B, alpha, beta):
    """beta for the size."""
    return by_grid(loss, served, E, A, B, beta, alpha)


@wrong("cheapest_model", says="the floor E is left out")
def cheapest_without_floor(loss, served, E, A, B, alpha, beta):
    """As if a perfect model had the loss 0."""
    if loss <= E:
        raise ValueError("below the floor")
    return by_grid(loss, served, 0.0, A, B, alpha, beta)


@wrong("cheapest_model", says="you returned D first; N comes first")
def cheapest_turned(loss, served, E, A, B, alpha, beta):
    """The tokens first."""
    return by_grid(loss, served, E, A, B, alpha, beta)[::-1]


@wrong("cheapest_model", says="you let size and data take half each")
def cheapest_halves(loss, served, E, A, B, alpha, beta):
    """No search."""
    if loss <= E:
        raise ValueError("below the floor")
    half = (loss - E) / 2
    return float((A / half) ** (1 / alpha)), float((B / half) ** (1 / beta))


@wrong(
    "cheapest_model", says="D counts the tokens of the training only; do not add the served ones"
)
def cheapest_all_tokens(loss, served, E, A, B, alpha, beta):
    """All tokens that the model ever reads."""
    N, D = by_grid(loss, served, E, A, B, alpha, beta)
    return N, D + served


@wrong("cheapest_model", says="must raise ValueError")
def cheapest_below_the_floor(loss, served, E, A, B, alpha, beta):
    """Answers where no model can."""
    return by_grid(max(loss, E + 1e-9), served, E, A, B, alpha, beta)


# --- extrapolate ----------------------------------------------------------------------------------


def foreseen(x, y, x_new, level=0.95, inside="1 + 1 / n + far", less=2, upper=None, normal=False):
    """The prediction interval, with the places where people slip open."""
    n = len(x)
    if n < 3:
        raise ValueError("three points")
    u = np.log(x)
    k, c = np.polyfit(u, np.log(y), 1)
    s = math.sqrt(((np.log(y) - k * u - c) ** 2).sum() / (n - less))
    far = (math.log(x_new) - u.mean()) ** 2 / ((u - u.mean()) ** 2).sum()
    root = {"1 + 1 / n + far": 1 + 1 / n + far, "1 / n + far": 1 / n + far, "1 + 1 / n": 1 + 1 / n}
    upper = (1 + level) / 2 if upper is None else upper
    t = stats.norm.ppf(upper) if normal else stats.t.ppf(upper, n - 2)
    wide = t * s * math.sqrt(root[inside])
    middle = k * math.log(x_new) + c
    return tuple(float(np.exp(middle + side * wide)) for side in (-1, 0, 1))


@wrong("extrapolate", says="that is the interval of the line; a new point scatters around it, too")
def predicted_line(x, y, x_new, level=0.95):
    """The interval of the mean."""
    return foreseen(x, y, x_new, level, "1 / n + far")


@wrong("extrapolate", says="the distance of x_new from the mean of log x is left out")
def predicted_near(x, y, x_new, level=0.95):
    """As wide far away as in the middle."""
    return foreseen(x, y, x_new, level, "1 + 1 / n")


@wrong("extrapolate", says="you divided by n.")
def predicted_n(x, y, x_new, level=0.95):
    """np.std of the errors."""
    return foreseen(x, y, x_new, level, less=0)


@wrong("extrapolate", says="you divided by n - 1.")
def predicted_n_1(x, y, x_new, level=0.95):
    """ddof=1, as for a mean."""
    return foreseen(x, y, x_new, level, less=1)


@wrong("extrapolate", says="you took the quantile of the normal distribution")
def predicted_normal(x, y, x_new, level=0.95):
    """1.96 for few points."""
    return foreseen(x, y, x_new, level, normal=True)


@wrong("extrapolate", says="the quantile has to leave (1 - level)/2 above it")
def predicted_one_side(x, y, x_new, level=0.95):
    """One tail."""
    return foreseen(x, y, x_new, level, upper=level)


@wrong("extrapolate", says="you took 0.95, whatever level was given")
def predicted_level(x, y, x_new, level=0.95):
    """A constant."""
    return foreseen(x, y, x_new)


@wrong("extrapolate", says="the middle comes second: (low, middle, high)")
def predicted_order(x, y, x_new, level=0.95):
    """The prediction first."""
    low, middle, high = foreseen(x, y, x_new, level)
    return middle, low, high


@wrong("extrapolate", says="you returned logarithms; take their exponentials")
def predicted_logs(x, y, x_new, level=0.95):
    """Stays in log space."""
    return tuple(math.log(value) for value in foreseen(x, y, x_new, level))


@wrong("extrapolate", says="fit and interval are in x and y themselves")
def predicted_plain(x, y, x_new, level=0.95):
    """A straight line."""
    n = len(x)
    if n < 3:
        raise ValueError("three points")
    k, c = np.polyfit(x, y, 1)
    s = math.sqrt(((y - k * x - c) ** 2).sum() / (n - 2))
    far = (x_new - x.mean()) ** 2 / ((x - x.mean()) ** 2).sum()
    wide = stats.t.ppf((1 + level) / 2, n - 2) * s * math.sqrt(1 + 1 / n + far)
    return tuple(float(k * x_new + c + side * wide) for side in (-1, 0, 1))


@wrong("extrapolate", says="the width belongs into log space")
def predicted_even(x, y, x_new, level=0.95):
    """As far down as up."""
    _, middle, high = foreseen(x, y, x_new, level)
    return 2 * middle - high, middle, high


@wrong("extrapolate", says="must raise ValueError")
def predicted_two_points(x, y, x_new, level=0.95):
    """Divides by nothing."""
    if len(x) < 3:
        return 0.0, 1.0, float("inf")
    return foreseen(x, y, x_new, level)


# --- next_generation ------------------------------------------------------------------------------


def write_on(text, n, rng, draw=None):
    """n words, each drawn from what followed the one before."""
    if len(text) == 0:
        raise ValueError("empty")
    after = {}
    for a, b in zip(text, np.roll(text, -1), strict=True):
        after.setdefault(int(a), []).append(int(b))
    at = int(text[-1])
    written = []
    for _ in range(n):
        at = (draw or drawn)(after[at], rng)
        written.append(at)
    return np.array(written, dtype=text.dtype)


def drawn(followers, rng):
    """One of them."""
    return followers[rng.integers(len(followers))]


@wrong("next_generation", says="with accumulate the text comes first, then what was written")
def collapse_turned(text, n, rng, accumulate=False):
    """The new one in front."""
    new = write_on(text, n, rng)
    return np.concatenate([new, text]) if accumulate else new


@wrong("next_generation", says="with accumulate the text is kept")
def collapse_never_keeps(text, n, rng, accumulate=False):
    """Always replaces."""
    return write_on(text, n, rng)


@wrong("next_generation", says="without accumulate only what was written goes on")
def collapse_always_keeps(text, n, rng, accumulate=False):
    """Always accumulates."""
    return np.concatenate([text, write_on(text, n, rng)])


@wrong("next_generation", says="the first word that you wrote is the text's last")
def collapse_repeats_last(text, n, rng, accumulate=False):
    """Counts the word it starts from."""
    new = np.concatenate([text[-1:], write_on(text, n, rng)])[:n]
    return np.concatenate([text, new]) if accumulate else new


@wrong("next_generation", says="you began with the text's first word; go on behind its last")
def collapse_starts_over(text, n, rng, accumulate=False):
    """Starts behind the text's first word."""
    new = write_on(np.roll(text, -1), n, rng)
    return np.concatenate([text, new]) if accumulate else new


@wrong("next_generation", says="the words that ever followed come equally often")
def collapse_set(text, n, rng, accumulate=False):
    """Each follower once."""
    new = write_on(text, n, rng, lambda some, rng: drawn(sorted(set(some)), rng))
    return np.concatenate([text, new]) if accumulate else new


@wrong("next_generation", says="the likeliest word always comes; draw one")
def collapse_greedy(text, n, rng, accumulate=False):
    """Greedy, with a draw that is not used."""

    def likeliest(some, rng):
        best = max(sorted(set(some)), key=some.count)
        return best if rng.random() < 1 else 0

    new = write_on(text, n, rng, likeliest)
    return np.concatenate([text, new]) if accumulate else new


@wrong("next_generation", says="two words stand side by side that never do in the text")
def collapse_single_words(text, n, rng, accumulate=False):
    """The frequencies of single words, where the text has more than a ring."""
    if len(set(text.tolist())) == len(text):
        new = write_on(text, n, rng)
    else:
        new = rng.choice(text, n)
    return np.concatenate([text, new]) if accumulate else new


@wrong("next_generation", says="it holds words that are not in the text")
def collapse_invents(text, n, rng, accumulate=False):
    """A word that nobody wrote, where the text has more than a ring."""
    new = write_on(text, n, rng)
    if len(set(text.tolist())) < len(text):
        new[-1] = -1
    return np.concatenate([text, new]) if accumulate else new


@wrong("next_generation", says="the same rng gave another text")
def collapse_own_dice(text, n, rng, accumulate=False):
    """A generator of its own, without a seed."""
    new = write_on(text, n, np.random.default_rng())
    return np.concatenate([text, new]) if accumulate else new


@wrong("next_generation", says="another rng gave the same text")
def collapse_seeded(text, n, rng, accumulate=False):
    """A generator of its own, with a seed."""
    new = write_on(text, n, np.random.default_rng(0))
    return np.concatenate([text, new]) if accumulate else new


@wrong("next_generation", says="must raise ValueError")
def collapse_empty(text, n, rng, accumulate=False):
    """Nothing learned, nothing said."""
    if len(text) == 0:
        return text
    new = write_on(text, n, rng)
    return np.concatenate([text, new]) if accumulate else new
