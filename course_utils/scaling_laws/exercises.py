"""Exercises of lesson 05. The right values come from numpy.polyfit, fractions, plain loops, a
search and counting.
"""

import random
from collections.abc import Callable
from itertools import pairwise
from math import exp, log

import numpy as np

from course_utils.checking import Exercises, Wrong, draws, expect
from course_utils.scaling_laws import laws as scaling_laws
from course_utils.scaling_laws import power_laws

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


# --- bootstrap ------------------------------------------------------------------------------------


class Recorder:
    """A statistic that keeps the samples it was given."""

    __name__ = "statistic"

    def __init__(self) -> None:
        self.samples: list[np.ndarray] = []

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        self.samples.append(np.array(rows))
        return np.array([np.mean(rows), np.max(rows)])

    def __deepcopy__(self, memo: dict) -> "Recorder":
        return self  # the engine copies arguments; the record must stay in one place


def _judge_samples(seen: list[np.ndarray], rows: np.ndarray, n_refits: int, call: str) -> None:
    """Whole rows, drawn anew for each sample, with replacement, all with the same chance."""
    n = len(rows)
    if len(seen) != n_refits:
        raise Wrong(
            f"{call}: the statistic was computed {len(seen)} times; it must be n_refits times, once a sample."
        )
    for sample in seen:
        if sample.shape != rows.shape:
            raise Wrong(
                f"{call}: a sample has shape {sample.shape}; it must have as many rows as the data, {rows.shape}."
            )
        if not np.isin(sample, rows).all():
            raise Wrong(
                f"{call}: a sample holds numbers that are not in the data. Draw rows of the data, and leave them as they are."
            )
        if not (sample[:, 1] == 100 * sample[:, 0]).all():
            raise Wrong(
                f"{call}: the numbers of a row got separated. Draw whole rows: x and y of a point stay together."
            )
    drawn = np.array([sample[:, 0] for sample in seen]).astype(int)  # (n_refits, n)
    if all(len(set(sample)) == n for sample in drawn.tolist()):
        raise Wrong(
            f"{call}: every sample holds every row once. Draw with replacement: some rows twice, some not at all."
        )
    found = [set(sample) for sample in drawn.tolist()]
    if all(b <= a for a, b in pairwise(found)) and len(found[-1]) < len(found[0]):
        raise Wrong(
            f"{call}: each sample holds only rows of the sample before. Draw every sample from the data."
        )
    # a few are, by chance, where each sample's rows come in the order of the data
    if len({tuple(sample) for sample in drawn.tolist()}) < 0.8 * n_refits:
        raise Wrong(
            f"{call}: some samples are the same. Draw anew for each; do not restart the generator inside the loop."
        )
    draws.must_be_uniform(
        np.bincount(drawn.ravel(), minlength=n + 1)[1:].tolist(),
        f"{call}: some rows are drawn far more often than others; all must have the same chance.",
        f"{call}: row {{end}} of 0 to {n - 1} was never drawn. rng.integers(0, n) ends at n - 1 already.",
    )
    even = f"{call}: over all samples each row comes equally often, which chance does not do. Draw each sample by itself."
    draws.must_vary_together(
        [np.bincount(drawn.ravel(), minlength=n + 1)[1:].tolist()],
        [1 / n] * n,
        even,
        f"{call}: some rows are drawn far more often than others; all must have the same chance.",
    )
    draws.must_repeat(
        [len(set(sample)) for sample in drawn.tolist()],
        n,
        f"{call}: the samples hold too few different rows. Draw each row from all the data.",
        f"{call}: the samples hold too many different rows. Draw with replacement, each row from all n.",
    )


def _judge_generator(
    student: Callable, rows: np.ndarray, seed: int, seen: list[np.ndarray], call: str
) -> None:
    """The same seed gives the samples that were seen, another one gives others."""
    n_refits = len(seen)
    again = Recorder()
    student(again, rows, n_refits, np.random.default_rng(seed))
    if not np.array_equal(np.array(again.samples), np.array(seen)):
        raise Wrong(
            f"{call}: the same rng gave other samples. Draw from the rng that you are given, not from np.random or random."
        )
    other = Recorder()
    student(other, rows, n_refits, np.random.default_rng(seed + 1))
    if np.array_equal(np.array(other.samples), np.array(seen)):
        raise Wrong(
            f"{call}: another rng gave the same samples. Draw from the rng that you are given."
        )


@EXERCISES.add(
    power_laws.bootstrap,
    difficulty=2,
    minutes=7,
    hints=[
        "One sample: n whole rows, drawn with replacement. A row may come twice, another not at all.",
        "rng.integers(0, n, size=n) are n numbers from 0 to n - 1; rows[…] of them is a sample.",
        "np.array([statistic(rows[rng.integers(0, n, size=n)]) for _ in range(n_refits)]).",
    ],
)
def check_bootstrap(student: Callable, rng: random.Random) -> None:
    n = rng.randint(9, 12)
    n_refits = rng.randint(300, 400)
    rows = np.array([[i + 1.0, 100.0 * (i + 1)] for i in range(n)])
    seed = rng.randrange(1000)
    statistic = Recorder()
    before = np.random.get_state()[1].copy()
    call = f"bootstrap(statistic, rows, n_refits={n_refits}, rng) with {n} rows of 2 numbers"
    got = student(statistic, rows, n_refits, np.random.default_rng(seed))
    seen = statistic.samples
    _judge_samples(seen, rows, n_refits, call)
    _judge_generator(student, rows, seed, seen, call)
    if not np.array_equal(before, np.random.get_state()[1]):
        raise Wrong(
            f"{call}: it used numpy's global generator. Draw from rng, as in rng.integers(0, n, size=n)."
        )
    want = np.array([[sample.mean(), sample.max()] for sample in seen])  # (n_refits, 2)
    mistakes = {
        "return the result of each sample, not their mean": want.mean(0),
        "return the result of each sample, in the order of the samples": np.sort(want, axis=0),
        "return the results themselves, not their spread": want.std(0),
        "the results stand in a list; make an array of it, np.array(…)": list(want),
    }
    expect(got, want, call, mistakes=mistakes)


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


# --- optimal_allocation ---------------------------------------------------------------------------


def searched(C: float, A: float, B: float, alpha: float, beta: float) -> float:
    """log N of the lowest loss, by thirds."""
    low = 0.0
    high = log(C / 6)
    for _ in range(200):
        one = low + (high - low) / 3
        two = high - (high - low) / 3
        a, b = (A * exp(-alpha * n) + B * exp(-beta * (log(C / 6) - n)) for n in (one, two))
        low, high = (low, two) if a < b else (one, high)
    return (low + high) / 2


@EXERCISES.add(
    scaling_laws.optimal_allocation,
    difficulty=3,
    minutes=12,
    hints=[
        "Put D = C / (6 N) into A/N^alpha + B/D^beta, so that only N is left. At the minimum the derivative by N is 0.",
        "It says alpha · A / N^alpha = beta · B / D^beta. Put D in again and solve for N.",
        "N = G · (C / 6)^(beta / (alpha + beta)) with G = (alpha A / (beta B))^(1 / (alpha + beta)); D = C / (6 N).",
    ],
)
def check_optimal_allocation(student: Callable, rng: random.Random) -> None:
    for _ in range(4):
        C = 10 ** rng.uniform(18, 25)
        A = rng.uniform(100, 600)
        B = rng.uniform(700, 3000)
        alpha = rng.uniform(0.26, 0.33)
        beta = rng.uniform(0.36, 0.45)
        call = f"optimal_allocation(C={C:.2g}, A={A:.0f}, B={B:.0f}, alpha={alpha:.2f}, beta={beta:.2f})"
        N = exp(searched(C, A, B, alpha, beta))
        s = alpha + beta

        def pair(N: float, D: float | None = None, C: float = C) -> tuple[float, float]:
            return N, C / (6 * N) if D is None else D

        G = (alpha * A / (beta * B)) ** (1 / s)
        mistakes = {
            "you returned D first; N comes first": pair(N)[::-1],
            "the 6 is missing: C = 6 · N · D": pair(G * C ** (beta / s), C / (G * C ** (beta / s))),
            "D is C / (6 N), not C / N": (N, C / N),
            "N grows as C to the power of beta / (alpha + beta); you took alpha": pair(G * (C / 6) ** (alpha / s)),
            "alpha and beta are missing in G: it is (alpha A / (beta B))^(1 / (alpha + beta))": pair((A / B) ** (1 / s) * (C / 6) ** (beta / s)),
            "G is missing: it is (alpha A / (beta B))^(1 / (alpha + beta))": pair((C / 6) ** (beta / s)),
            "G stands upside down": pair((C / 6) ** (beta / s) / G),
            "the exponent 1 / (alpha + beta) of G is missing": pair((alpha * A / (beta * B)) * (C / 6) ** (beta / s)),
            "A and B are swapped in G": pair((alpha * B / (beta * A)) ** (1 / s) * (C / 6) ** (beta / s)),
            "alpha and beta are swapped in G": pair((beta * A / (alpha * B)) ** (1 / s) * (C / 6) ** (beta / s)),
            "that is 20 tokens per parameter whatever the law says; minimise the loss": pair((C / 120) ** 0.5),
            "that is half of the compute for each, whatever the law says": pair(G * (C / 6) ** 0.5),
            "N and D cost more, or less, than C together: D = C / (6 N)": (N, (C / 6) ** (alpha / s)),
        }  # fmt: skip
        expect(student(C, A, B, alpha, beta), pair(N), call, mistakes=mistakes, tol=1e-5)
    A = rng.uniform(200, 500)
    alpha = rng.uniform(0.3, 0.4)
    expect(
        student(6e20, A, A, alpha, alpha),
        (1e10, 1e10),
        "optimal_allocation(6e20, …) where size and data count the same",
        tol=1e-5,
    )
    C = np.array([1e19, 1e21]) * rng.uniform(1, 5)
    N = np.exp([searched(c, 400.0, 900.0, 0.33, 0.37) for c in C])
    expect(
        student(C, 400.0, 900.0, 0.33, 0.37),
        (N, C / (6 * N)),
        "optimal_allocation(C, …) with an array of two budgets",
        tol=1e-5,
    )
