"""The Chinchilla law on simulated points: our fit and its bootstrap beside the replication's
method, at equal minima.
"""

from collections.abc import Iterator
from itertools import product

import numpy as np
from scipy.optimize import minimize

from course_utils.scaling_laws import laws as scaling_laws
from races import OURS, Race

THEIRS = "replication"


def grid(every: int = 1) -> list[tuple[float, ...]]:
    """The starts of Hoffmann et al. 2022, section 3.3 (log A, log B, log E, alpha, beta), or one in
    `every`, evenly spread.
    """
    exponents = np.arange(0, 2.5, 0.5)
    heights = np.arange(0, 30, 5)
    floors = np.arange(-1, 1.5, 0.5)
    return [
        (a, b, e, alpha, beta)
        for alpha, beta, e, a, b in product(exponents, exponents, floors, heights, heights)
    ][every // 2 :: every]


def races(n_points: int = 240, every: int = 9, n_refits: int = 50) -> Iterator[Race]:
    """`every`=9 gives the replication 500 of the published 4500 starts: the ratio for all of them
    is nine times as large.
    """
    N, D, L = _simulated_points(n_points)
    yield _fitting_race(N, D, L, every)
    yield _bootstrap_race(N, D, L, n_refits)


def _simulated_points(n_points: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sizes, tokens and losses; points with too few tokens are left out."""
    rng = np.random.default_rng(0)
    N = 10 ** rng.uniform(7.7, 10.2, n_points)
    D = 10 ** rng.uniform(18, 22, n_points) / (6 * N)
    N = N[D > 1e8]
    D = D[D > 1e8]
    return N, D, scaling_laws.simulate(scaling_laws.BESIROGLU, N, D, rng, spread=0.004, tails=2.7)


def _objective(theta: np.ndarray, N: np.ndarray, D: np.ndarray, L: np.ndarray) -> float:
    a, b, e, alpha, beta = theta
    error = np.log(
        np.exp(a - alpha * np.log(N)) + np.exp(b - beta * np.log(D)) + np.exp(e)
    ) - np.log(L)
    size = np.abs(error)
    return np.where(size <= 1e-3, 0.5 * error**2, 1e-3 * (size - 0.5e-3)).sum()


def _gradient(theta: np.ndarray, N: np.ndarray, D: np.ndarray, L: np.ndarray) -> np.ndarray:
    a, b, e, alpha, beta = theta
    terms = np.stack(
        [
            np.exp(a - alpha * np.log(N)),
            np.exp(b - beta * np.log(D)),
            np.full(len(N), np.exp(e)),
        ]
    )
    pull = np.clip(np.log(terms.sum(0)) - np.log(L), -1e-3, 1e-3) * terms / terms.sum(0)
    return np.array(
        [
            pull[0].sum(),
            pull[1].sum(),
            pull[2].sum(),
            -(pull[0] * np.log(N)).sum(),
            -(pull[1] * np.log(D)).sum(),
        ]
    )


def _near(a: float | list[float], b: float | list[float]) -> bool:
    return bool(np.allclose(np.median(a), np.median(b), rtol=5e-3))


def _fitting_race(N: np.ndarray, D: np.ndarray, L: np.ndarray, every: int) -> Race:
    """One fit to all points."""

    def theirs() -> float:
        """L-BFGS with differences for the gradient, from each start; the best of those that report
        success.
        """
        with np.errstate(all="ignore"):
            runs = [minimize(_objective, start, (N, D, L), "L-BFGS-B") for start in grid(every)]
        return min(run.fun for run in runs if run.success and np.isfinite(run.fun))

    return Race(
        f"fitting the Chinchilla law to {len(N)} points, starts on a grid (ours 32, theirs {len(grid(every))})",
        {OURS: lambda: scaling_laws.fit_chinchilla(N, D, L).objective, THEIRS: theirs},
        required={THEIRS: 10},
        same=frozenset({THEIRS}),
        equal=_near,
    )


def _bootstrap_race(N: np.ndarray, D: np.ndarray, L: np.ndarray, n_refits: int) -> Race:
    """A fit to each of many samples of the points."""

    def samples() -> list[np.ndarray]:
        dice = np.random.default_rng(1)
        return [dice.integers(0, len(N), len(N)) for _ in range(n_refits)]

    def theirs() -> list[float]:
        """BFGS with the gradient of the objective, from Hoffmann's values, for each sample."""
        start = scaling_laws.HOFFMANN.theta
        with np.errstate(all="ignore"):
            return [
                minimize(_objective, start, (N[i], D[i], L[i]), "BFGS", _gradient).fun
                for i in samples()
            ]

    best = scaling_laws.fit_chinchilla(N, D, L)

    def ours() -> list[float]:
        return [
            scaling_laws.fit_chinchilla(N[i], D[i], L[i], start=best).objective for i in samples()
        ]

    return Race(
        f"{n_refits} bootstrap refits, one start each",
        {OURS: ours, THEIRS: theirs},
        same=frozenset({THEIRS}),
        equal=_near,
    )
