"""Scaling laws, as lesson 05 builds them: the Chinchilla law, its fit, IsoFLOP curves, what C FLOP
buy best.

N is a model's number of parameters, D the tokens it reads, C = 6·N·D the floating-point operations
(FLOP) of its training, L its loss in nats per token. Arrays are numpy's, (n,), of float64.
Power laws of one variable: `scaling_laws.power_laws`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import product

import numpy as np
from scipy.optimize import minimize, minimize_scalar
from scipy.special import huber, logsumexp

from course_utils.scaling_laws.power_laws import (
    Array,
    bootstrap,
    positive_arrays,
)


def fit_isoflop(N: Array, L: Array) -> tuple[float, float]:
    """Find the best size at one budget: fit a parabola to the losses over log N, and return the N and
    the L of its lowest point.

    Shapes: N and L (n,), the sizes and losses of at least three models of equal compute; a parabola of
    least squares in log N, with L itself, no logarithm, as its height.
    Raises: ValueError where the parabola is not open to the top, or where its lowest point lies below
    the smallest or above the largest N.
    Source: Hoffmann et al. 2022, "Training Compute-Optimal Large Language Models", section 3.2
    (approach 2).

    >>> N = np.array([1e6, 1e7, 1e8])
    >>> [round(value, 3) for value in fit_isoflop(N, 3 + np.log10(N / 2e7) ** 2)]
    [20000000.0, 3.0]
    """
    N, L = positive_arrays(N=N, L=L)
    middle = np.log(N).mean()  # powers of large numbers lose digits: count from the middle
    curve = np.polynomial.Polynomial.fit(np.log(N) - middle, L, 2).convert()
    bottom = -curve.coef[1] / (2 * curve.coef[2]) if curve.coef[2] > 0 else np.inf
    if not N.min() <= np.exp(bottom + middle) <= N.max():
        raise ValueError(
            "the losses have no minimum between the smallest and the largest N: add sizes on the falling side"
        )
    return float(np.exp(bottom + middle)), float(curve(bottom))


def optimal_allocation(
    C: float, A: float, B: float, alpha: float, beta: float
) -> tuple[float, float]:
    """The N and D with the lowest A/N^alpha + B/D^beta among those that cost C = 6·N·D FLOP.

    Shapes: numbers, or arrays of one shape -> (N, D), parameters and tokens.
    Source: Hoffmann et al. 2022, equation 4.

    >>> N, D = optimal_allocation(6e20, A=400.0, B=400.0, alpha=0.3, beta=0.3)
    >>> f"{N:.1e} {D:.1e}"
    '1.0e+10 1.0e+10'
    """
    G = (alpha * A / (beta * B)) ** (1 / (alpha + beta))
    N = G * (C / 6) ** (beta / (alpha + beta))
    return N, C / (6 * N)


def cheapest_model(
    loss: float, served: float, E: float, A: float, B: float, alpha: float, beta: float
) -> tuple[float, float]:
    """The N and D that reach a loss at the lowest cost of training and serving together.

    Training costs 6·N·D FLOP, and the model then reads or writes `served` tokens, each for 2·N FLOP.
    The loss is E + A/N^alpha + B/D^beta: for each N there is one D that reaches it.
    Shapes: numbers -> (N, D). Raises: ValueError where the loss is not above E.
    Source: Sardana et al. 2024, "Beyond Chinchilla-Optimal".

    >>> N, D = cheapest_model(2.0, 0.0, E=1.8, A=400.0, B=400.0, alpha=0.3, beta=0.3)
    >>> f"{N:.2e} {D:.2e}"
    '1.02e+12 1.02e+12'
    """
    if loss <= E:
        raise ValueError(f"loss={loss} is not above E={E}: no model reaches it")

    def sizes(share: float) -> tuple[float, float]:
        """N and D where the size takes this share of what is above the floor."""
        over = loss - E
        return (A / (share * over)) ** (1 / alpha), (B / ((1 - share) * over)) ** (1 / beta)

    def cost(share: float) -> float:
        N, D = sizes(share)
        return float(np.log(N) + np.log(6 * D + 2 * served))

    best = minimize_scalar(cost, bounds=(1e-9, 1 - 1e-9), options={"xatol": 1e-11})
    N, D = sizes(best.x)
    return float(N), float(D)


@dataclass(frozen=True)
class Chinchilla:
    """L(N, D) = E + A/N^alpha + B/D^beta. E is the loss that no size and no data go below, in nats
    per token.

    `objective` is the sum of Huber losses that a fit reached. Source: Hoffmann et al. 2022, section
    3.3, equation 2.

    >>> N, D = HOFFMANN.optimal(5.76e23)
    >>> print(
    ...     f"{N / 1e9:.0f} B parameters, {D / 1e12:.1f} T tokens, loss {HOFFMANN.loss(N, D):.2f}"
    ... )
    40 B parameters, 2.4 T tokens, loss 1.92
    """

    E: float
    A: float
    B: float
    alpha: float
    beta: float
    objective: float = field(default=float("nan"), compare=False)

    def loss(self, N, D):
        """The loss of a model of N parameters that read D tokens, in nats per token."""
        return self.E + self.A / N**self.alpha + self.B / D**self.beta

    def optimal(self, C):
        """(N, D) of the lowest loss that C FLOP buy."""
        return optimal_allocation(C, self.A, self.B, self.alpha, self.beta)

    def tokens_per_parameter(self, C):
        """D / N where C FLOP are spent best."""
        N, D = self.optimal(C)
        return D / N

    @property
    def a(self) -> float:
        """The optimal N grows as C^a, the optimal D as C^(1 - a)."""
        return self.beta / (self.alpha + self.beta)

    @property
    def theta(self) -> Array:
        """(log A, log B, log E, alpha, beta): what a fit varies."""
        return np.array([np.log(self.A), np.log(self.B), np.log(self.E), self.alpha, self.beta])

    @classmethod
    def from_theta(cls, theta: Array, objective: float = float("nan")) -> Chinchilla:
        """The law of (log A, log B, log E, alpha, beta)."""
        a, b, e, alpha, beta = map(float, theta)
        return cls(
            float(np.exp(e)), float(np.exp(a)), float(np.exp(b)), alpha, beta, float(objective)
        )


# As published: unrounded (Hoffmann et al. 2022, the source of the paper), as printed there, and the
# refit.
HOFFMANN = Chinchilla.from_theta(np.array([6.0073404, 6.0179186, 0.5267228, 0.33917084, 0.2849083]))
HOFFMANN_PRINTED = Chinchilla(E=1.69, A=406.4, B=410.7, alpha=0.34, beta=0.28)
BESIROGLU = Chinchilla(E=1.8169, A=482.01, B=2085.43, alpha=0.3478, beta=0.3659)

# Kaplan et al. 2020, section 1.2: L = (scale / x)^alpha, for N without embeddings, D, and the least
# compute, in PF-days.
KAPLAN = {"N": (8.8e13, 0.076), "D": (5.4e13, 0.095), "C": (3.1e8, 0.050)}


def chinchilla_objective(theta: Array, N: Array, D: Array, L: Array, delta: float = 1e-3) -> float:
    """Sum the Huber losses of log L(N, D) - log L, the law's error in log space, over all points.

    theta is (log A, log B, log E, alpha, beta). The Huber loss of an error r is r²/2 up to |r| =
    delta, then delta · (|r| - delta/2): large errors count as they are, not squared.
    Shapes: theta (5,), N, D and L (n,) -> a number.
    Source: Hoffmann et al. 2022, section 3.3, equation 3.

    >>> N, D = np.array([1e8, 1e9]), np.array([1e10, 1e10])
    >>> L = HOFFMANN.loss(N, D) * np.exp([0.0, 0.1])  # the second one is 10 % off
    >>> round(chinchilla_objective(HOFFMANN.theta, N, D, L), 10) == round(
    ...     1e-3 * (0.1 - 1e-3 / 2), 10
    ... )
    True
    """
    a, b, e, alpha, beta = theta
    terms = [a - alpha * np.log(N), b - beta * np.log(D), np.full(len(N), e)]
    # logsumexp: no overflow for any theta
    return float(huber(delta, logsumexp(terms, axis=0) - np.log(L)).sum())


def _value_and_gradient(
    theta: Array, n: Array, d: Array, log_loss: Array, delta: float
) -> tuple[float, Array]:
    """`chinchilla_objective` over delta, of the logarithms n, d and log_loss of N, D and L, and its
    gradient (5,).
    """
    a, b, e, alpha, beta = theta
    terms = np.stack([a - alpha * n, b - beta * d, np.full(len(n), e)])  # (3, n)
    top = terms.max(0)
    shares = np.exp(terms - top)  # each term's share of the loss, times their sum
    total = shares.sum(0)
    error = top + np.log(total) - log_loss
    shares = shares / total
    g_a, g_b, g_e = np.clip(error, -delta, delta) * shares  # (3, n)
    gradient = np.array([g_a.sum(), g_b.sum(), g_e.sum(), -g_a @ n, -g_b @ d])
    return huber(delta, error).sum() / delta, gradient / delta


def fit_chinchilla(
    N: Sequence, D: Sequence, L: Sequence, delta: float = 1e-3, start: Chinchilla | None = None
) -> Chinchilla:
    """Fit the Chinchilla law: the lowest `chinchilla_objective` found from 32 starts, or from
    `start` alone.

    log N and log D are measured from their means: A and alpha then do not pull at each other, and
    BFGS with the exact gradient reaches the same minimum from every start. Raises: ValueError for
    fewer than six points, numbers that are not above 0, and points whose N or D are all the same.
    Source: Hoffmann et al. 2022, section 3.3; Besiroglu et al. 2024.

    >>> N, D = np.repeat([1e8, 1e9, 1e10], 3), np.tile([1e9, 1e10, 1e11], 3)
    >>> law = fit_chinchilla(N, D, BESIROGLU.loss(N, D))
    >>> f"{law.E:.2f} {law.A:.0f} {law.B:.0f} {law.alpha:.3f} {law.beta:.3f}"
    '1.82 482 2085 0.348 0.366'
    """
    N, D, L = positive_arrays(N=N, D=D, L=L)
    if len(N) < 6 or min(len(np.unique(N)), len(np.unique(D))) < 2:
        raise ValueError(
            f"{len(N)} points with {len(np.unique(N))} N and {len(np.unique(D))} D: five numbers to find need six "
            "points at least, of different N and D"
        )
    n = np.log(N)
    d = np.log(D)
    log_loss = np.log(L)
    n_mean = n.mean()
    d_mean = d.mean()
    if start is None:
        # what is to be shared out between size and data
        over = L.mean() - L.min()
        half = (0.3, 0.7)
        starts = [(np.log(over * s), np.log(over * t), np.log(L.min() * floor), alpha, beta)
                  for s, t, floor, alpha, beta in product(half, half, (0.6, 0.95), (0.2, 0.6), (0.2, 0.6))]  # fmt: skip
    else:
        starts = [start.theta - [start.alpha * n_mean, start.beta * d_mean, 0, 0, 0]]
    runs = [minimize(_value_and_gradient, x, (n - n_mean, d - d_mean, log_loss, delta), "BFGS", True, options={"gtol": 1e-7})
            for x in starts]  # fmt: skip
    best = min(runs, key=lambda run: run.fun)
    shift = np.array([best.x[3] * n_mean, best.x[4] * d_mean, 0, 0, 0])
    return Chinchilla.from_theta(best.x + shift, best.fun * delta)


def bootstrap_chinchilla(
    N: Sequence, D: Sequence, L: Sequence, n_refits: int = 200, seed: int = 0
) -> list[Chinchilla]:
    """Fit the law again to n_refits samples of the points, each from the minimum of all points.

    Source: Besiroglu et al. 2024, "Chinchilla Scaling: A replication attempt", section 3.

    >>> N, D = np.repeat([1e8, 1e9, 1e10], 4), np.tile([1e9, 3e9, 1e10, 1e11], 3)
    >>> noise = np.exp(0.002 * np.random.default_rng(0).normal(size=12))
    >>> refits = bootstrap_chinchilla(N, D, HOFFMANN.loss(N, D) * noise, n_refits=20)
    >>> from course_utils.scaling_laws import percentile_interval
    >>> low, high = percentile_interval(np.array([law.a for law in refits]))
    >>> bool(low < HOFFMANN.a < high)
    True
    """
    best = fit_chinchilla(N, D, L)
    rows = np.stack(positive_arrays(N=N, D=D, L=L), axis=1)

    def refit(sample: Array) -> Array:
        law = fit_chinchilla(*sample.T, start=best)
        return np.append(law.theta, law.objective)

    return [
        Chinchilla.from_theta(row[:5], row[5])
        for row in bootstrap(refit, rows, n_refits, np.random.default_rng(seed))
    ]


def simulate(
    law: Chinchilla,
    N: Array,
    D: Array,
    rng: np.random.Generator,
    spread: float,
    tails: float = np.inf,
) -> Array:
    """Losses (n,) of the law with noise in log L: `spread` times a Student t of `tails` degrees of
    freedom.

    tails=inf is a normal distribution; the fewer, the more outliers. Raises: ValueError for a
    spread below 0.

    >>> N = np.full(1000, 1e9)
    >>> L = simulate(HOFFMANN, N, 20 * N, np.random.default_rng(0), spread=0.01)
    >>> round(float(np.log(L / HOFFMANN.loss(1e9, 2e10)).std()), 2)
    0.01
    """
    if spread < 0:
        raise ValueError(f"spread={spread} is a width of the noise in log L: give 0 or more")
    noise = rng.normal(size=len(N)) if np.isinf(tails) else rng.standard_t(tails, size=len(N))
    return law.loss(N, D) * np.exp(spread * noise)
