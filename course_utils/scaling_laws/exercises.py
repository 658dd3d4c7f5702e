"""Exercises of lesson 05. The right values come from numpy.polyfit, plain loops, a search and
counting.
"""

import random
from collections.abc import Callable
from functools import partial
from math import exp, log

import numpy as np
from scipy import stats

from course_utils.checking import Exercises, Wrong, draws, expect
from course_utils.scaling_laws import collapse, power_laws
from course_utils.scaling_laws import laws as scaling_laws

EXERCISES = Exercises()


def finite(mistakes: dict) -> dict:
    return {
        sentence: value
        for sentence, value in mistakes.items()
        if np.isfinite(np.asarray(value, dtype=float)).all()
    }


# --- power_law_line -------------------------------------------------------------------------------


def line_mistakes(x: np.ndarray, y: np.ndarray) -> dict[str, tuple[float, float]]:
    k, log_c = np.polyfit(np.log(x), np.log(y), 1)
    inverse, at = np.polyfit(np.log(y), np.log(x), 1)
    slope, base = np.polyfit(x, y, 1)
    half, start = np.polyfit(np.log(x), y, 1)
    log_y, start_y = np.polyfit(x, np.log(y), 1)
    ends = log(y[-1] / y[0]) / log(x[-1] / x[0])
    through_zero = float((np.log(x) * np.log(y)).sum() / (np.log(x) ** 2).sum())
    weighted, weighted_c = np.polyfit(np.log(x), np.log(y), 1, w=y)
    between = float(np.mean(np.diff(np.log(y)) / np.diff(np.log(x))))
    c = exp(log_c)
    return {
        "you returned the exponent first; c comes first, then k": (k, c),
        "you returned log c; c is its exponential": (log_c, k),
        "you took log10 and went back with exp; use one base for both ways": (exp(log_c / log(10)), k),
        "k has the wrong sign: y = c · x^k, without a minus": (c, -k),
        "you fitted a line through x and y themselves; take the logarithm of both": (base, slope),
        "you took the logarithm of x only": (start, half),
        "you took the logarithm of y only (an exponential, not a power)": (exp(start_y), log_y),
        "x and y are swapped in the fit": (exp(at), inverse),
        "you fitted log x as a line in log y and turned it round; the errors to make small are those of log y":
            (exp(-at / inverse), 1 / inverse),
        "you took the mean of the slopes between neighbours; least squares takes all points together":
            (exp(np.log(y).mean() - between * np.log(x).mean()), between),
        "you used the first and the last point only; least squares uses all": (exp(log(y[0]) - ends * log(x[0])), ends),
        "your line is forced through log y = 0 at x = 1; it needs a height of its own": (1.0, through_zero),
        "you weighted the points; in plain least squares all count the same": (exp(weighted_c), weighted),
        "the height is the mean of log y; subtract k times the mean of log x": (float(np.exp(np.log(y).mean())), k),
    }  # fmt: skip


@EXERCISES.add(
    power_laws.power_law_line,
    difficulty=1,
    minutes=7,
    hints=[
        "Take the logarithm of both sides: log y = log c + k · log x. That is a straight line with slope k and height log c.",
        "The slope of least squares: subtract the mean from log x; then (centred · log y).sum() / (centred²).sum(). The line goes through the "
        "point of both means.",
        "log c = mean(log y) - k · mean(log x). Return float(np.exp(log c)), float(k).",
    ],
)
def check_power_law_line(student: Callable, rng: random.Random) -> None:
    for n, noise in ((5, 0.0), (6, 0.1), (9, 0.3), (2, 0.0)):
        c = rng.uniform(2, 8)
        k = rng.choice((-1, 1)) * rng.uniform(0.2, 0.9)
        x = np.sort(np.array([10 ** rng.uniform(0.3, 3) for _ in range(n)])) * (1 + np.arange(n))
        y = c * x**k * np.exp([rng.gauss(0, noise) for _ in range(n)])
        k, log_c = np.polyfit(np.log(x), np.log(y), 1)
        what = f"power_law_line(x, y) with {n} points" + (
            ", not exactly on a line" if noise else " exactly on c · x^k"
        )
        got = student(x, y)
        mistakes = (
            {s: tuple(map(float, v)) for s, v in finite(line_mistakes(x, y)).items()}
            if noise
            else {}
        )
        expect(got, (float(exp(log_c)), float(k)), what, mistakes=mistakes, tol=1e-6)
    x = np.array([1e18, 1e19, 1e20, 1e21]) * rng.uniform(1, 2)
    y = 3 * (x / 1e20) ** -0.05 * np.exp([rng.gauss(0, 0.01) for _ in range(4)])
    k, log_c = np.polyfit(np.log(x), np.log(y), 1)
    expect(
        student(x, y),
        (float(exp(log_c)), float(k)),
        "power_law_line(x, y) for x from 1e18 to 1e21 FLOP",
        tol=1e-6,
    )


# --- fit_isoflop ----------------------------------------------------------------------------------


def lowest_point(u: np.ndarray, height: np.ndarray) -> tuple[float, float]:
    """Where the parabola through (u, height) is lowest, and how low."""
    a, b, c = np.polyfit(u, height, 2)
    return float(-b / (2 * a)), float(c - b * b / (4 * a))


def bottom_of(N: np.ndarray, L: np.ndarray) -> tuple[float, float]:
    at, low = lowest_point(np.log10(N) - 8, L)
    return 10 ** (at + 8), low


def without_two(N: np.ndarray, L: np.ndarray) -> tuple[float, float]:
    """-b / a, with the parabola's height there."""
    curve = np.polyfit(np.log(N), L, 2)
    at = -curve[1] / curve[0]
    return float(np.exp(at)), float(np.polyval(curve, at))


def lowest_three(N: np.ndarray, L: np.ndarray) -> tuple[float, float]:
    """The parabola through the lowest point and its two neighbours."""
    order = np.argsort(N)
    at = min(max(int(np.argmin(L[order])), 1), len(N) - 2)
    return bottom_of(N[order][at - 1 : at + 2], L[order][at - 1 : at + 2])


def in_log_loss(N: np.ndarray, L: np.ndarray) -> tuple[float, float]:
    at, low = bottom_of(N, np.log(L))
    return at, exp(low)


def in_plain_size(N: np.ndarray, L: np.ndarray) -> tuple[float, float]:
    at, low = lowest_point(N / 1e8, L)
    return at * 1e8, low


@EXERCISES.add(
    scaling_laws.fit_isoflop,
    difficulty=2,
    minutes=8,
    sizes=False,  # a parabola needs three points
    gradients=False,
    refuses=[
        (np.array([1e7, 1e8, 1e9]), np.array([3.0, 2.5, 2.25])),
        (np.array([1e7, 1e8, 1e9]), np.array([2.25, 2.5, 3.0])),
        (np.array([1e7, 1e8, 1e9]), np.array([2.0, 3.0, 2.0])),
    ],
    mistakes={
        "you returned the measured model with the lowest loss; the best size lies between the sizes that were tried": (
            lambda N, L: (float(N[np.argmin(L)]), float(np.min(L)))
        ),
        "the parabola is fitted over N itself; take the logarithm of N": in_plain_size,
        "you fitted log L; the parabola's height is L itself": in_log_loss,
        "you returned the logarithm of the best N; take its exponential": (
            lambda N, L: (log(bottom_of(N, L)[0]), bottom_of(N, L)[1])
        ),
        "N is right; the L beside it is the lowest loss that was measured, not the parabola's": (
            lambda N, L: (bottom_of(N, L)[0], float(np.min(L)))
        ),
        "you returned L first; N comes first": lambda N, L: bottom_of(N, L)[::-1],
        "you fitted only the three points around the lowest; take all points": lowest_three,
        "the lowest point of a·u² + b·u + c lies at -b / (2a); the 2 is missing": without_two,
    },
    hints=[
        "Take u = log N. np.polyfit(u, L, 2) gives a, b, c of the parabola a·u² + b·u + c.",
        "It is lowest at u = -b / (2a), with the height c - b² / (4a). That is a lowest point only if a > 0.",
        "N is np.exp(u). Raise ValueError unless a > 0 and N.min() <= np.exp(u) <= N.max().",
    ],
)
def check_fit_isoflop(student: Callable, rng: random.Random) -> None:
    for n, noise in ((3, 0.0), (5, 0.02), (6, 0.03), (9, 0.02)):
        best = 10 ** rng.uniform(7.7, 8.3)
        height = rng.uniform(2, 3)
        u = np.linspace(-1.1, 1.2, n) + [rng.uniform(-0.1, 0.1) for _ in range(n)]
        N = best * 10**u
        L = height + rng.uniform(0.3, 0.6) * u**2 + [rng.gauss(0, noise) for _ in range(n)]
        call = f"fit_isoflop(N, L) with {n} sizes"
        expect(student(N, L), bottom_of(N, L), call, tol=1e-5)
    order = np.array(rng.sample(range(n), n))
    expect(
        student(N[order], L[order]),
        bottom_of(N, L),
        f"fit_isoflop(N, L) with {n} sizes in another order",
        tol=1e-5,
    )


# --- chinchilla_objective -------------------------------------------------------------------------


def errors_of(theta, N, D, L) -> list[float]:
    A = exp(theta[0])
    B = exp(theta[1])
    E = exp(theta[2])
    alpha = theta[3]
    beta = theta[4]
    return [
        log(E + A / n**alpha + B / d**beta) - log(loss) for n, d, loss in zip(N, D, L, strict=True)
    ]


def huber_sum(errors, delta: float) -> float:
    return float(
        sum(r * r / 2 if abs(r) <= delta else delta * (abs(r) - delta / 2) for r in errors)
    )


def _random_points(rng: random.Random, n: int, noise: float) -> tuple[np.ndarray, ...]:
    """theta (5,) of a law, and N, D and L (n,) of points close to it."""
    theta = np.array(
        [
            rng.uniform(5, 7),
            rng.uniform(5, 8),
            rng.uniform(0.4, 0.7),
            rng.uniform(0.3, 0.4),
            rng.uniform(0.25, 0.4),
        ]
    )
    N, D = (np.array([10 ** rng.uniform(low, low + 2) for _ in range(n)]) for low in (8, 9.5))
    law = scaling_laws.Chinchilla.from_theta(theta)
    signs = [rng.choice((-1, 1)) for _ in range(n)]
    L = law.loss(N, D) * np.exp([sign * noise * rng.uniform(0.3, 3) for sign in signs])
    return theta, N, D, L


def _objective_mistakes(
    theta: np.ndarray, N: np.ndarray, D: np.ndarray, L: np.ndarray, delta: float
) -> dict[str, float]:
    """What the usual slips make of these points."""
    n = len(N)
    r = errors_of(theta, N, D, L)
    law = scaling_laws.Chinchilla.from_theta(theta)
    plain = [law.loss(a, b) - loss for a, b, loss in zip(N, D, L, strict=True)]
    swapped = errors_of(theta[[1, 0, 2, 3, 4]], N, D, L)
    raw_E = [
        log(theta[2] + exp(theta[0]) / a ** theta[3] + exp(theta[1]) / b ** theta[4]) - log(loss)
        for a, b, loss in zip(N, D, L, strict=True)
    ]
    far = float(sum(x * x / 2 if abs(x) <= delta else delta * abs(x) for x in r))
    loose = float(sum(x * x if abs(x) <= delta else delta * (abs(x) - delta / 2) for x in r))
    return {
        "that is the mean; take the sum, or an optimiser thinks it has arrived too early": huber_sum(r, delta) / n,
        "you took the errors of the losses; take those of their logarithms": huber_sum(plain, delta),
        "A and B are swapped: theta begins with log A, log B": huber_sum(swapped, delta),
        "theta[2] is log E: take its exponential": huber_sum(raw_E, delta),
        "that is the sum of squares; beyond delta the Huber loss goes on as a line": float(sum(x * x for x in r)),
        "that is half the sum of squares; beyond delta the Huber loss goes on as a line": float(sum(x * x for x in r)) / 2,
        "that is delta · |r| everywhere; within delta the Huber loss is r²/2, beyond it delta · (|r| - delta/2)":
            delta * float(sum(map(abs, r))),
        "the arguments of huber are swapped: delta comes first, then the errors": sum(huber_sum([delta], abs(x)) for x in r),
        "theta begins with log A, log B, log E; you took the first one for log E":
            huber_sum(errors_of(theta[[1, 2, 0, 3, 4]], N, D, L), delta),
        "you took log10 of N and D; all logarithms here are natural ones, np.log":
            huber_sum(errors_of(theta, np.exp(np.log10(N)), np.exp(np.log10(D)), L), delta),
        "that is the sum of absolute errors; within delta the Huber loss is r²/2": float(sum(map(abs, r))),
        "delta · |r| beyond delta leaves a jump: subtract delta²/2": far,
        "within delta it is r²/2, not r²": loose,
        "that is the Huber loss divided by delta; beyond delta the line has the slope delta, not 1": huber_sum(r, delta) / delta,
        "the sign of an error does not matter: large negative ones count as well": huber_sum([max(x, 0) for x in r], delta),
        "you took 1e-3 for delta, whatever was given; use the argument": huber_sum(r, 1e-3),
    }  # fmt: skip


@EXERCISES.add(
    scaling_laws.chinchilla_objective,
    difficulty=2,
    minutes=10,
    hints=[
        "In logarithms the three terms of the law are a - alpha · log N, b - beta · log D and e. log L(N, D) is the logarithm of the sum of "
        "their exponentials.",
        "logsumexp([…, …, np.full(len(N), e)], axis=0) does that without overflow. Subtract np.log(L): these are the errors.",
        "huber(delta, errors) of scipy.special is r²/2 within delta and a line beyond. Return float(….sum()).",
    ],
)
def check_chinchilla_objective(student: Callable, rng: random.Random) -> None:
    for n, delta, noise in (
        (1, 1e-3, 0.01),
        (6, 1e-3, 0.01),
        (6, 1e-3, 3e-4),
        (8, 0.02, 0.02),
        (5, 0.5, 0.1),
    ):
        theta, N, D, L = _random_points(rng, n, noise)
        r = errors_of(theta, N, D, L)
        mistakes = _objective_mistakes(theta, N, D, L, delta)
        want = huber_sum(r, delta)
        call = f"chinchilla_objective(theta, N, D, L, delta={delta:g}) with {n} point{'s' if n > 1 else ''}"
        got = student(theta, N, D, L, delta)
        expect(
            float(got) * 1e3 if isinstance(got, (float, np.floating)) else got,
            want * 1e3,
            call,
            mistakes={s: v * 1e3 for s, v in mistakes.items()}
            | {
                "you returned one loss for each point; add them up, .sum()": np.array(
                    [huber_sum([x], delta) for x in r]
                )
            },
            tol=1e-8,
        )
    expect(
        student(theta, N, D, L) * 1e3,
        huber_sum(r, 1e-3) * 1e3,
        "chinchilla_objective(theta, N, D, L) with the default delta=1e-3",
        tol=1e-8,
    )
    _check_huge_theta(student, rng, N, D, L)


def _check_huge_theta(
    student: Callable, rng: random.Random, N: np.ndarray, D: np.ndarray, L: np.ndarray
) -> None:
    """A theta whose exponential overflows."""
    theta = np.array([rng.uniform(800, 900), 6.0, 0.5, 0.3, 0.3])
    with np.errstate(over="ignore"):
        got = student(theta, N, D, L)
    if not np.isfinite(got):
        raise Wrong(
            "chinchilla_objective(theta, N, D, L) with log A above 800: it is not finite. exp overflows there, and an optimiser "
            "may try such a theta. Stay with logarithms: logsumexp of the three terms."
        )
    want = huber_sum(
        [theta[0] - theta[3] * log(n) - log(loss) for n, loss in zip(N, L, strict=True)], 1e-3
    )
    expect(float(got), want, "chinchilla_objective(theta, N, D, L) with log A above 800", tol=1e-6)


# --- cheapest_model -------------------------------------------------------------------------------


def thirds(cost: Callable[[float], float], low: float, high: float) -> float:
    """Where a cost with one valley is lowest."""
    for _ in range(120):
        one = low + (high - low) / 3
        two = high - (high - low) / 3
        low, high = (low, two) if cost(one) < cost(two) else (one, high)
    return (low + high) / 2


def cheapest(loss, served, E, A, B, alpha, beta, serve=2.0):
    """N and D by a search over log N, with another price of serving for a mistake."""
    over = loss - E

    def tokens(u: float) -> float:
        left = over - A * exp(-alpha * u)
        return (B / left) ** (1 / beta) if left > 0 else float("inf")

    def cost(u: float) -> float:
        D = tokens(u)
        # a slope towards the sizes that reach the loss, where none does
        if D > 1e200:
            return 1e6 - u
        return u + log(6 * D + serve * served)

    u = thirds(cost, 0.0, log(A / over) / alpha + 25)
    return exp(u), tokens(u)


def at_least_compute(loss, served, E, A, B, alpha, beta):
    """What trains cheapest."""
    return cheapest(loss, 0.0, E, A, B, alpha, beta)


def half_each(loss, served, E, A, B, alpha, beta):
    """Half of what is above the floor for the size, half for the data."""
    half = (loss - E) / 2
    return (A / half) ** (1 / alpha), (B / half) ** (1 / beta)


def mistaken(serve: float = 2.0, **changes: str | float) -> Callable:
    """A mistake that takes another price, or another number of the law, by name or by value."""

    def answer(loss, served, E, A, B, alpha, beta):
        given = dict(loss=loss, served=served, E=E, A=A, B=B, alpha=alpha, beta=beta)
        taken = {name: given[x] if isinstance(x, str) else x for name, x in changes.items()}
        return cheapest(**(given | taken), serve=serve)

    return answer


@EXERCISES.add(
    scaling_laws.cheapest_model,
    difficulty=3,
    minutes=11,
    gradients=False,
    refuses=[(1.8, 1e12, 1.8, 400.0, 900.0, 0.33, 0.37), (1.5, 0.0, 1.8, 400.0, 900.0, 0.33, 0.37)],
    mistakes={
        "what is served is not counted: add 2·N·served to the cost": at_least_compute,
        "a token costs 6·N FLOP in training and 2·N in serving; you counted the same for both": mistaken(
            serve=6.0
        ),
        "A and B are swapped": mistaken(A="B", B="A"),
        "alpha and beta are swapped": mistaken(alpha="beta", beta="alpha"),
        "the floor E is left out: A/N^alpha + B/D^beta is the loss minus E": mistaken(E=0.0),
        "you returned D first; N comes first": lambda *given: cheapest(*given)[::-1],
        "you let size and data take half each of what is above the floor; look for the cheapest": half_each,
        "D counts the tokens of the training only; do not add the served ones": (
            lambda loss, served, *law: (
                cheapest(loss, served, *law)[0],
                cheapest(loss, served, *law)[1] + served,
            )
        ),
    },
    hints=[
        "For each N there is one D that reaches the loss: B/D^beta = loss - E - A/N^alpha. Solve it for D.",
        "Then the cost 6·N·D + 2·N·served depends on N alone. Go through many N on a logarithmic grid, or take "
        "scipy.optimize.minimize_scalar over log N.",
        "Easier to search: let size take the share s of what is above the floor, A/N^alpha = s·(loss - E) and B/D^beta = (1 - s)·(loss - E). "
        "Then 0 < s < 1, and N and D have formulas.",
    ],
)
def check_cheapest_model(student: Callable, rng: random.Random) -> None:
    for factor in (0.0, 0.5, 5.0, 100.0):
        E = rng.uniform(1.5, 1.9)
        A = rng.uniform(300, 600)
        B = rng.uniform(900, 3000)
        alpha = rng.uniform(0.30, 0.35)
        beta = rng.uniform(0.37, 0.42)
        loss = E + rng.uniform(0.15, 0.4)
        served = round(factor * cheapest(loss, 0.0, E, A, B, alpha, beta)[1])
        call = f"cheapest_model(loss={loss:.2f}, served={served:.2g}, …)"
        expect(
            student(loss, float(served), E, A, B, alpha, beta),
            cheapest(loss, float(served), E, A, B, alpha, beta),
            call,
            tol=2e-3,
        )


# --- extrapolate ----------------------------------------------------------------------------------


def interval(x, y, x_new, level=0.95, new=1.0, distance=1.0, less=2, normal=False, tail=None):
    """The interval from numpy's own fit; the other arguments make mistakes of it."""
    n = len(x)
    u = np.log(x)
    k, c = np.polyfit(u, np.log(y), 1)
    s = np.sqrt(((np.log(y) - c - k * u) ** 2).sum() / (n - less))
    far = distance * (np.log(x_new) - u.mean()) ** 2 / (n * u.var())
    upper = (1 + level) / 2 if tail is None else tail(level)
    t = stats.norm.ppf(upper) if normal else stats.t.ppf(upper, n - 2)
    wide = float(t * s * np.sqrt(new + 1 / n + far))
    middle = float(c + k * np.log(x_new))
    return exp(middle - wide), exp(middle), exp(middle + wide)


def in_plain_numbers(x, y, x_new, level=0.95):
    """The same without any logarithm."""
    n = len(x)
    k, c = np.polyfit(x, y, 1)
    s = np.sqrt(((y - c - k * x) ** 2).sum() / (n - 2))
    wide = stats.t.ppf((1 + level) / 2, n - 2) * s
    wide = float(wide * np.sqrt(1 + 1 / n + (x_new - x.mean()) ** 2 / (n * x.var())))
    middle = float(c + k * x_new)
    return middle - wide, middle, middle + wide


def same_on_both_sides(x, y, x_new, level=0.95):
    """The upper half of the width on both sides, in y."""
    _, middle, high = interval(x, y, x_new, level)
    return 2 * middle - high, middle, high


@EXERCISES.add(
    power_laws.extrapolate,
    difficulty=2,
    minutes=10,
    sizes=False,  # a line and a spread need three points
    gradients=False,
    refuses=[(np.array([1.0, 2.0]), np.array([2.0, 1.0]), 4.0)],
    mistakes={
        "that is the interval of the line; a new point scatters around it, too: 1 + 1/n + …": partial(
            interval, new=0.0
        ),
        "the distance of x_new from the mean of log x is left out: far away the line is less sure": (
            partial(interval, distance=0.0)
        ),
        "s² divides by n - 2, since two numbers were fitted; you divided by n": partial(
            interval, less=0
        ),
        "s² divides by n - 2, since two numbers were fitted; you divided by n - 1": partial(
            interval, less=1
        ),
        "you took the quantile of the normal distribution; few points need Student's t": partial(
            interval, normal=True
        ),
        "the quantile has to leave (1 - level)/2 above it; you left all of 1 - level on one side": (
            partial(interval, tail=lambda level: level)
        ),
        "you took 0.95, whatever level was given": (
            lambda x, y, x_new, level=0.95: interval(x, y, x_new, 0.95)
        ),
        "the middle comes second: (low, middle, high)": (
            lambda *given, **more: tuple(interval(*given, **more)[i] for i in (1, 0, 2))
        ),
        "you returned logarithms; take their exponentials": (
            lambda *given, **more: tuple(map(log, interval(*given, **more)))
        ),
        "fit and interval are in x and y themselves; take the logarithm of both": in_plain_numbers,
        "the width belongs into log space: low and high are the middle divided and multiplied by one factor": (
            same_on_both_sides
        ),
    },
    hints=[
        "All happens in log space: u = log x, v = log y, and the line v = log c + k·u of power_law_line.",
        "s = √(sum of squared errors / (n - 2)); far = (log x_new - mean u)² / sum of (u - mean u)²; "
        "the half width is t · s · √(1 + 1/n + far).",
        "t is scipy's stats.t.ppf((1 + level) / 2, n - 2). Return the exponentials of middle - width, middle and middle + width.",
    ],
)
def check_extrapolate(student: Callable, rng: random.Random) -> None:
    for n, level in ((4, 0.95), (5, 0.9), (9, 0.95), (12, 0.8)):
        k = -rng.uniform(0.05, 0.5)
        x = np.sort([10 ** rng.uniform(0, 3) for _ in range(n)])
        y = rng.uniform(2, 8) * x**k * np.exp([rng.gauss(0, 0.1) for _ in range(n)])
        x_new = float(x[-1] * rng.uniform(3, 10))
        call = f"extrapolate(x, y, x_new={x_new:.0f}, level={level:g}) with {n} points"
        expect(student(x, y, x_new, level), interval(x, y, x_new, level), call, tol=1e-5)
    expect(
        student(x, y, x_new),
        interval(x, y, x_new),
        "extrapolate(x, y, x_new) with the default level",
        tol=1e-5,
    )
    x = np.array([1e18, 1e19, 1e20, 1e21])
    y = 3 * (x / 1e20) ** -0.05 * np.exp([rng.gauss(0, 0.01) for _ in range(4)])
    expect(
        student(x, y, 1e22),
        interval(x, y, 1e22),
        "extrapolate(x, y, x_new=1e22) from budgets of 1e18 to 1e21 FLOP",
        tol=1e-5,
    )


# --- next_generation ------------------------------------------------------------------------------

PAIRS = ((0, 1, 6), (0, 2, 3), (0, 0, 1), (1, 0, 5), (1, 2, 2), (2, 0, 4), (2, 1, 1))
ALPHABET = 3


def some_text(rng: random.Random, n: int) -> np.ndarray:
    """A text of three words in which some words follow a word far more often than others."""
    chances = {
        a: [c for b in range(ALPHABET) for x, y, c in PAIRS if (x, y) == (a, b)]
        for a in range(ALPHABET)
    }
    after = {a: [y for x, y, _ in sorted(PAIRS) if x == a] for a in range(ALPHABET)}
    text = [0]
    while len(text) < n:
        text += rng.choices(after[text[-1]], chances[text[-1]])
    return np.array(text)


def walk(text, n, rng, accumulate=False, start=None, pick=None, turned=False, only=False):
    """Write a text in a plain loop; the other arguments make mistakes of it."""
    ring = list(text)
    after = {}
    for a, b in zip(ring, ring[1:] + ring[:1], strict=True):
        after.setdefault(a, []).append(b)
    written = [ring[-1] if start is None else start(ring)]
    for _ in range(n):
        followers = after[written[-1]]
        written.append(
            followers[int(rng.integers(len(followers)))]
            if pick is None
            else pick(followers, ring, rng)
        )
    out = np.array(written[1:], dtype=text.dtype)
    if start is not None:
        out = np.array(written[:-1], dtype=text.dtype)
    if accumulate and not only:
        return np.concatenate([out, text] if turned else [text, out])
    return out


@EXERCISES.add(
    collapse.next_generation,
    difficulty=2,
    minutes=9,
    sizes=False,
    gradients=False,
    refuses=[(np.array([], dtype=np.int64), 3, np.random.default_rng(0))],
    mistakes={
        "with accumulate the text comes first, then what was written": partial(walk, turned=True),
        "with accumulate the text is kept: return it with what was written behind it": partial(
            walk, only=True
        ),
        "you return the text with every generation; without accumulate only what was written goes on": (
            lambda text, n, rng, accumulate=False: walk(text, n, rng, True)
        ),
        "the first word that you wrote is the text's last; begin with one that follows it": partial(
            walk, start=lambda ring: ring[-1]
        ),
        "you began with the text's first word; go on behind its last": (
            lambda text, n, rng, accumulate=False: (
                walk(np.roll(text, -1), n, rng)
                if not accumulate
                else np.concatenate([text, walk(np.roll(text, -1), n, rng)])
            )
        ),
    },
    hints=[
        "Collect for each word the list of all words that followed it; np.roll(text, -1) is what follows each place of the ring.",
        "Begin at the text's last word. Draw an index below the length of its list with rng.integers, take that word, go on from there.",
        "A word that followed three times stands three times in the list, so the draw needs no probabilities. "
        "With accumulate return np.concatenate([text, written]).",
    ],
)
def check_next_generation(student: Callable, rng: random.Random) -> None:
    for n in (3, 5, 8):
        ring = np.array(rng.sample(range(10, 30), n))
        for more in (False, True):
            call = f"next_generation(text, {2 * n + 1}, rng, accumulate={more}) of a text of {n} different words"
            want = walk(ring, 2 * n + 1, np.random.default_rng(0), more)
            expect(student(ring, 2 * n + 1, np.random.default_rng(n), more), want, call)
    text = some_text(rng, 60)
    seed = rng.randrange(1000)
    n = 4000
    call = f"next_generation(text, {n}, rng) of a text of {len(text)} words"
    got = student(text, n, np.random.default_rng(seed))
    expect(np.shape(got), (n,), f"the shape of {call}")
    _judge_pairs(np.asarray(got), text, call)
    if not np.array_equal(student(text, n, np.random.default_rng(seed)), got):
        raise Wrong(
            f"{call}: the same rng gave another text. Draw from the rng that you are given."
        )
    if np.array_equal(student(text, n, np.random.default_rng(seed + 1)), got):
        raise Wrong(
            f"{call}: another rng gave the same text. Draw from the rng that you are given."
        )


def _judge_pairs(got: np.ndarray, text: np.ndarray, call: str) -> None:
    """After each word come those that followed it in the text, as often as they did."""
    table = np.zeros((ALPHABET, ALPHABET))
    np.add.at(table, (text, np.roll(text, -1)), 1)
    if not np.isin(got, text).all():
        raise Wrong(f"{call}: it holds words that are not in the text.")
    came = np.zeros((ALPHABET, ALPHABET), dtype=int)
    np.add.at(came, (got[:-1], got[1:]), 1)
    if (came[table == 0] > 0).any():
        raise Wrong(
            f"{call}: two words stand side by side that never do in the text. What comes next depends on the word before."
        )
    chances = table / table.sum(1, keepdims=True)
    alike = (table > 0) / (table > 0).sum(1, keepdims=True)
    for a in range(ALPHABET):
        seen = int(came[a].sum())
        for b in range(ALPHABET):
            if 0 < chances[a, b] < 1:
                draws.must_have_share(
                    int(came[a, b]),
                    seen,
                    chances[a, b],
                    f"{call}: some words follow a word more often, or less often, than in the text.",
                    mistakes={
                        f"{call}: the words that ever followed come equally often; let them come as often as they did": alike[a, b],
                        f"{call}: the likeliest word always comes; draw one": float(table[a, b] == table[a].max()),
                    },
                )  # fmt: skip
        there = np.flatnonzero(table[a])
        draws.must_vary_together(
            [came[a][there].tolist()],
            chances[a][there].tolist(),
            f"{call}: the words come exactly as often as in the text, which chance does not do. Draw each by itself.",
            f"{call}: some words follow a word more often, or less often, than in the text.",
        )
