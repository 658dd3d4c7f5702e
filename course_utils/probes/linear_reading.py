"""The lecture's analogy: a linear regression can be read off its coefficients, the same function in
another basis cannot.

Shapes: n students, k inputs: a constant 1, the hours of study and the hours of sleep. The answer is
a score, in points.
"""

from typing import NamedTuple

import torch
from scipy.stats import t as student_t
from torch import Tensor

INPUTS = ("constant", "study", "sleep")
TRUTH = (20.0, 5.0, 2.0)  # points, points an hour, points an hour
NOISE = 8.0  # points: what study and sleep do not explain


def students(n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Draw students whose score is 20 + 5 · study + 2 · sleep, and luck (normal, 8 points).

    Study is uniform between 0 and 10 hours, sleep between 4 and 9. Shapes: -> inputs (n, 3), scores
    (n,), float64.

    >>> x, score = students(4, torch.Generator().manual_seed(0))
    >>> x.shape, score.shape
    (torch.Size([4, 3]), torch.Size([4]))
    """
    u = torch.rand(2, n, generator=generator, dtype=torch.float64)
    x = torch.stack([torch.ones(n, dtype=torch.float64), 10 * u[0], 4 + 5 * u[1]], dim=-1)  # (n, 3)
    luck = NOISE * torch.randn(n, generator=generator, dtype=torch.float64)
    return x, x @ torch.tensor(TRUTH, dtype=torch.float64) + luck


class Fit(NamedTuple):
    """Coefficients of a regression and the ends of their intervals, (k,) each, in units of y over
    those of x.

    >>> fit = Fit(
    ...     beta=torch.tensor([5.0, 0.4]),
    ...     low=torch.tensor([4.0, -1.0]),
    ...     high=torch.tensor([6.0, 1.8]),
    ... )
    >>> (fit.low > 0) | (fit.high < 0)  # which inputs surely matter: their interval leaves out 0
    tensor([ True, False])
    """

    beta: Tensor
    low: Tensor
    high: Tensor


def least_squares(x: Tensor, y: Tensor, level: float = 0.95) -> Fit:
    """Fit y = x β by least squares: β = (xᵀx)⁻¹ xᵀy, with intervals that hold the truth with
    probability `level`.

    The interval of β_j is β_j ± t · s · √((xᵀx)⁻¹)_jj, with s² = ‖y - xβ‖² / (n - k) and t
    Student's quantile for n - k degrees of freedom. Shapes: x (n, k), y (n,), float64 -> (k,).
    Raises: ValueError where n <= k, or where a column of x is a sum of the others. Source: Gauss
    1823; Student 1908.

    >>> x = torch.tensor([[1.0, 0.0], [1.0, 1.0], [1.0, 2.0], [1.0, 3.0]], dtype=torch.float64)
    >>> fit = least_squares(x, torch.tensor([1.0, 3.0, 5.0, 8.0], dtype=torch.float64))
    >>> [[round(v, 2) for v in part.tolist()] for part in fit]
    [[0.8, 2.3], [-0.59, 1.55], [2.19, 3.05]]
    """
    n, k = x.shape
    if n <= k:
        raise ValueError(
            f"{n} examples for {k} coefficients leave nothing to judge the error by: give more than {k}"
        )
    if torch.linalg.matrix_rank(x) < k:
        raise ValueError(
            "a column of x is a sum of the others, so their coefficients cannot be told apart: leave it out"
        )
    inverse = torch.linalg.inv(x.T @ x)  # (k, k)
    beta = inverse @ x.T @ y  # (k,)
    s = ((y - x @ beta).square().sum() / (n - k)).sqrt()
    margin = student_t.ppf((1 + level) / 2, n - k) * s * inverse.diagonal().sqrt()  # (k,)
    return Fit(beta, beta - margin, beta + margin)


def random_rotation(k: int, generator: torch.Generator) -> Tensor:
    """Draw an orthogonal matrix, all directions equally likely: Q of a random normal matrix, with
    the signs made fair.

    Shapes: -> (k, k), float64. Source: Mezzadri 2007, "How to generate random matrices from the
    classical compact groups".

    >>> q = random_rotation(3, torch.Generator().manual_seed(0))
    >>> torch.allclose(q.T @ q, torch.eye(3, dtype=torch.float64))
    True
    """
    q, r = torch.linalg.qr(torch.randn(k, k, generator=generator, dtype=torch.float64))
    return q * r.diagonal().sign()


def rotated_network(beta: Tensor, rotation: Tensor) -> tuple[Tensor, Tensor]:
    """The same function as a network with k hidden units: score = w · (W x), with W = Q and w = Q
    β.

    As QᵀQ = 1, w · (W x) = βᵀ QᵀQ x = β · x, whatever Q is. Shapes: beta (k,), rotation (k, k) -> W
    (k, k), w (k,).
    Raises: ValueError for a matrix that is no rotation.

    >>> W, w = rotated_network(torch.tensor([1.0, 2.0]), torch.tensor([[0.6, 0.8], [-0.8, 0.6]]))
    >>> W.T @ w
    tensor([1.0000, 2.0000])
    """
    if not torch.allclose(rotation.T @ rotation, torch.eye(len(beta)).to(beta), atol=1e-5):
        raise ValueError(
            "this matrix is no rotation: its columns must be orthogonal and of length 1"
        )
    return rotation, rotation @ beta
