"""Power laws, as lesson 05 builds them: y = c · x^k by a straight line in log space, its intervals,
its cousins.

Shapes: x and y are sequences of n numbers above 0; fits are done on their natural logarithms.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats
from scipy.optimize import least_squares

Array = np.ndarray


def positive_arrays(**arrays) -> list[Array]:
    """The arrays as float64, for a fit in log space.

    Raises: ValueError, which names the array, for another length than the first one's or a number
    that is not above 0.

    >>> positive_arrays(x=[1, 2], y=[3, 0])
    Traceback (most recent call last):
    ValueError: y holds a number that is not above 0: it has no logarithm; leave that point out
    """
    out = [np.asarray(values, dtype=np.float64) for values in arrays.values()]
    for name, values in zip(arrays, out, strict=True):
        if values.shape != out[0].shape or values.ndim != 1:
            raise ValueError(
                f"{name} has shape {values.shape}: give sequences of one length, {out[0].shape} here"
            )
        if not (np.isfinite(values) & (values > 0)).all():
            raise ValueError(
                f"{name} holds a number that is not above 0: it has no logarithm; leave that point out"
            )
    return out


def power_law_line(x: Array, y: Array) -> tuple[float, float]:
    """Fit y = c · x^k by the straight line of least squares through (log x, log y); return (c, k).

    Shapes: x and y (n,), all above 0. Logarithms are natural.
    Source: Kaplan et al. 2020, "Scaling Laws for Neural Language Models", section 1.2 (their α is
    -k).

    >>> c, k = power_law_line(np.array([1.0, 10.0, 100.0]), np.array([5.0, 0.5, 0.05]))
    >>> round(c, 6), round(k, 6)
    (5.0, -1.0)
    """
    log_x = np.log(x)
    log_y = np.log(y)
    centred = log_x - log_x.mean()
    k = (centred * log_y).sum() / (centred**2).sum()
    return float(np.exp(log_y.mean() - k * log_x.mean())), float(k)


def extrapolate(
    x: Array, y: Array, x_new: float, level: float = 0.95
) -> tuple[float, float, float]:
    """Predict the y of one new measurement at x_new by a power law; return (low, middle, high).

    The line of least squares through (log x, log y) gives the middle. Around it, in log space, lies
    the interval in which a new point falls with probability `level`, if the line is right and the
    errors are normal: t · s · √(1 + 1/n + (log x_new - m)² / S), with m the mean of log x, S the sum
    of (log x - m)², s² the sum of squared errors over n - 2, and t the quantile of Student's t with
    n - 2 degrees of freedom that leaves (1 - level)/2 above it.
    Shapes: x and y (n,), n at least 3, all above 0. Raises: ValueError for fewer than three points.
    Source: any textbook of statistics, "prediction interval" of simple linear regression.

    >>> low, middle, high = extrapolate(np.array([1.0, 2.0, 4.0]), np.array([8.0, 4.4, 2.0]), 8.0)
    >>> round(low, 2), round(middle, 2), round(high, 2)
    (0.17, 1.03, 6.28)
    """
    n = len(x)
    if n < 3:
        raise ValueError(f"{n} points: a line and the spread around it need three at least")
    c, k = power_law_line(x, y)
    u = np.log(x)
    errors = np.log(y) - np.log(c) - k * u
    s = np.sqrt((errors**2).sum() / (n - 2))
    far = (np.log(x_new) - u.mean()) ** 2 / ((u - u.mean()) ** 2).sum()
    wide = stats.t.ppf((1 + level) / 2, n - 2) * s * np.sqrt(1 + 1 / n + far)
    middle = np.log(c) + k * np.log(x_new)
    return tuple(float(np.exp(middle + side * wide)) for side in (-1, 0, 1))


def bootstrap(statistic: Callable, rows: Array, n_refits: int, rng: np.random.Generator) -> Array:
    """Compute a statistic on n_refits samples of the rows, each as many rows, drawn with
    replacement.

    Shapes: rows (n, …), statistic of rows (n, …) -> (n_refits, …), one result a sample.
    Source: Efron 1979, "Bootstrap Methods: Another Look at the Jackknife", section 2.

    >>> means = bootstrap(np.mean, np.arange(100.0), n_refits=500, rng=np.random.default_rng(0))
    >>> means.shape, round(float(means.std()))  # the standard error of a mean: 28.9 / √100
    ((500,), 3)
    """
    n = len(rows)
    return np.array([statistic(rows[rng.integers(0, n, size=n)]) for _ in range(n_refits)])


def percentile_interval(values: Array, level: float = 0.95) -> tuple:
    """The middle `level` of the values: their percentiles at both ends, along the first dimension.

    Raises: ValueError unless 0 < level < 1.

    >>> low, high = percentile_interval(np.arange(101))
    >>> round(low, 6), round(high, 6)
    (2.5, 97.5)
    """
    if not 0 < level < 1:
        raise ValueError(f"level={level} is a share: give a number between 0 and 1, such as 0.95")
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2], axis=0).tolist()
    return low, high


@dataclass(frozen=True)
class PowerLaw:
    """y = c · x^k, with bootstrap intervals of c and k and R², the share of log y's variance that
    the line explains.

    >>> PowerLaw(2.0, -0.5, (1.9, 2.1), (-0.6, -0.4), r2=0.99)(np.array([4.0]))
    array([1.])
    """

    c: float
    k: float
    c_interval: tuple[float, float]
    k_interval: tuple[float, float]
    r2: float

    def __call__(self, x):
        return self.c * np.asarray(x, dtype=np.float64) ** self.k


def fit_power_law(
    x: Sequence, y: Sequence, n_refits: int = 1000, level: float = 0.95, seed: int = 0
) -> PowerLaw:
    """Fit y = c · x^k in log space, with bootstrap intervals from n_refits samples of the points.

    Raises: ValueError for numbers that are not above 0, and for fewer than three different x.
    Source: `power_law_line`, `bootstrap`.

    >>> law = fit_power_law([1, 2, 4, 8, 16], [8.1, 3.9, 2.0, 1.02, 0.5])
    >>> (
    ...     round(law.c, 1),
    ...     round(law.k, 1),
    ...     round(law.r2, 2),
    ...     law.k_interval[0] < -1 < law.k_interval[1],
    ... )
    (8.0, -1.0, 1.0, True)
    """
    x, y = positive_arrays(x=x, y=y)
    if len(np.unique(x)) < 3:
        raise ValueError(
            f"{len(np.unique(x))} different x: a line and its spread need three at least; measure more sizes"
        )
    c, k = power_law_line(x, y)
    residual = np.log(y) - np.log(c * x**k)
    log_y = np.log(y)
    rng = np.random.default_rng(seed)
    rows = np.stack([x, y], axis=1)
    refits = []
    while len(refits) < n_refits:  # a sample of one x alone has no line: draw again
        sample = rows[rng.integers(0, len(rows), size=len(rows))]
        if len(np.unique(sample[:, 0])) > 1:
            refits.append(power_law_line(*sample.T))
    columns = np.array(refits).T
    ends = [tuple(map(float, percentile_interval(column, level))) for column in columns]
    return PowerLaw(c, k, *ends, r2=float(1 - residual.var() / log_y.var()))


def fit_saturating(x: Sequence, y: Sequence) -> tuple[float, float, float]:
    """Fit y = E + A · x^-alpha by least squares on log y; return (E, A, alpha), the floor E first.

    Raises: ValueError for numbers that are not above 0, and for fewer than four points.
    Source: Henighan et al. 2020, "Scaling Laws for Autoregressive Generative Modeling", equation
    1.1.

    >>> x = np.array([1.0, 4.0, 16.0, 64.0, 256.0])
    >>> [round(value, 3) for value in fit_saturating(x, 2 + 3 * x**-0.5)]
    [2.0, 3.0, 0.5]
    """
    x, y = positive_arrays(x=x, y=y)
    if len(x) < 4:
        raise ValueError(f"{len(x)} points: three numbers to find need four at least")
    middle = np.log(x).mean()

    def gap(p: Array) -> Array:
        return np.logaddexp(p[0], p[1] - p[2] * (np.log(x) - middle)) - np.log(y)

    starts = [
        (np.log(y.min() * share), np.log(np.ptp(y) / 2 + 1e-9), k)
        for share in (0.1, 0.5, 0.9)
        for k in (0.1, 0.5, 1)
    ]
    best = min(
        (least_squares(gap, start, method="lm", max_nfev=5000) for start in starts),
        key=lambda fit: fit.cost,
    )
    e, a, alpha = best.x
    return float(np.exp(e)), float(np.exp(a + alpha * middle)), float(alpha)


def broken_power_law(
    x: Array, c: float, k_1: float, k_2: float, x_break: float, width: float = 0.2
) -> Array:
    """Follow c · x^k_1 far below x_break and bend to a power of k_2 above it; a small `width` bends
    sharply.

    Shapes: any -> the same. Source: Caballero et al. 2022, "Broken Neural Scaling Laws", equation 1
    (one break).

    >>> x = np.array([1e-6, 1e6])
    >>> y = broken_power_law(x, c=1.0, k_1=-0.1, k_2=-0.5, x_break=1.0)
    >>> [round(value, 2) for value in np.log10(y).tolist()]
    [0.6, -3.0]
    """
    return c * x**k_1 * (1 + (x / x_break) ** (1 / width)) ** (width * (k_2 - k_1))
