"""The regression against numpy and scipy, its intervals by repetition; the rotated network."""

import math

import numpy as np
import pytest
import torch
from scipy import stats

from course_utils.probes import linear_reading as probes


def dice(seed=0):
    return torch.Generator().manual_seed(seed)


def test_students_have_the_scores_they_are_said_to_have():
    x, score = probes.students(50_000, dice())
    assert x.dtype == score.dtype == torch.float64 and (x[:, 0] == 1).all()
    luck = score - x @ torch.tensor(probes.TRUTH, dtype=torch.float64)
    assert stats.kstest(luck.numpy() / probes.NOISE, "norm").pvalue > 1e-4
    assert stats.kstest(x[:, 1].numpy() / 10, "uniform").pvalue > 1e-4
    assert stats.kstest((x[:, 2].numpy() - 4) / 5, "uniform").pvalue > 1e-4


def test_the_fit_is_numpys_and_the_interval_of_a_slope_is_scipys():
    x, y = probes.students(40, dice())
    np.testing.assert_allclose(
        probes.least_squares(x, y).beta, np.linalg.lstsq(x.numpy(), y.numpy(), rcond=None)[0]
    )
    fit = probes.least_squares(x[:, :2], y, level=0.9)
    line = stats.linregress(x[:, 1].numpy(), y.numpy())
    margin = stats.t.ppf(0.95, 38) * line.stderr
    np.testing.assert_allclose(
        [fit.low[1], fit.beta[1], fit.high[1]],
        [line.slope - margin, line.slope, line.slope + margin],
    )


def test_intervals_hold_the_truth_as_often_as_they_say():
    generator = dice()
    truth = torch.tensor(probes.TRUTH, dtype=torch.float64)
    n = 1000
    held = 0
    for _ in range(n):
        fit = probes.least_squares(*probes.students(12, generator), level=0.8)
        held += ((fit.low < truth) & (truth < fit.high)).double()
    assert ((held / n - 0.8).abs() < 5 * math.sqrt(0.16 / n)).all()


def test_what_cannot_be_fitted_is_refused():
    x, y = probes.students(3, dice())
    with pytest.raises(ValueError, match="3 examples for 3 coefficients"):
        probes.least_squares(x, y)
    x, y = probes.students(9, dice())
    with pytest.raises(ValueError, match="a sum of the others"):
        probes.least_squares(torch.cat([x, x[:, 1:2] + x[:, 2:]], dim=1), y)


def test_rotations_are_orthogonal_and_have_no_preferred_direction():
    generator = dice()
    draws = torch.stack([probes.random_rotation(3, generator) for _ in range(2000)])
    torch.testing.assert_close(
        draws.mT @ draws, torch.eye(3, dtype=torch.float64).expand(2000, 3, 3)
    )
    # each entry is uniform on [-1, 1] in three dimensions
    for column in draws.permute(1, 2, 0).reshape(9, -1).numpy():
        assert stats.kstest((column + 1) / 2, "uniform").pvalue > 1e-4


def test_the_rotated_network_is_the_same_function():
    x, _ = probes.students(20, dice())
    beta = torch.tensor(probes.TRUTH, dtype=torch.float64)
    W, w = probes.rotated_network(beta, probes.random_rotation(3, dice(1)))
    assert not torch.allclose(w, beta, atol=0.5)
    torch.testing.assert_close((x @ W.T) @ w, x @ beta)
    with pytest.raises(ValueError, match="no rotation"):
        probes.rotated_network(beta, 2 * torch.eye(3, dtype=torch.float64))
