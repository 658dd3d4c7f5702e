"""Intervals against scipy's own formulas, and how often they hold what they promise."""

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.stats import beta

from course_utils.intervals import count_interval, mean_interval


def test_the_interval_of_a_mean_is_students():
    x = torch.randn(6, generator=torch.Generator().manual_seed(7)).double() ** 3
    mean, half = mean_interval(x)
    low, high = stats.t.interval(0.95, 5, loc=x.mean(), scale=stats.sem(x.numpy()))
    assert (mean - half, mean + half) == pytest.approx((low, high))


@pytest.mark.parametrize("level", [0.8, 0.95])
def test_it_holds_the_true_mean_as_often_as_it_says(level):
    draws = np.random.default_rng(0).normal(3, 2, (2000, 5))
    held = [
        abs(mean - 3) <= half
        for mean, half in (mean_interval(torch.tensor(row), level) for row in draws)
    ]
    assert np.mean(held) == pytest.approx(level, abs=0.02)


def test_one_value_has_no_spread():
    with pytest.raises(ValueError, match="two seeds"):
        mean_interval(torch.tensor([1.0]))


@pytest.mark.parametrize("k", [0, 1, 7, 188, 199, 200])
def test_the_interval_is_clopper_and_pearsons(k):
    low, high = count_interval(k, 200)
    assert low == pytest.approx(
        0 if k == 0 else beta.ppf(0.025, k, 201 - k)
    ) and high == pytest.approx(1 if k == 200 else beta.ppf(0.975, k + 1, 200 - k))


def test_more_successes_than_trials_are_refused():
    with pytest.raises(ValueError, match="k"):
        count_interval(5, 4)
