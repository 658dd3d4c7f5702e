"""Tests of dice: their false alarms are as rare as they say, and they see what they are for."""

import inspect

import numpy as np
import pytest
import torch

from course_utils.checking import Wrong, draws
from course_utils.checking.draws import EVEN, UNEVEN, share_alarm, spread_alarm
from course_utils.exercises import catalog

ALLOWED = 1e-5  # false alarms of a whole check
DRAWING = (
    "gpt2.generate",
    "probes.borrowed_labels",
    "scaling_laws.next_generation",
    "superposition.feature_batch",
    "induction.repeated_sequences",
    "probes.control_labels",
)


@pytest.mark.parametrize("name", DRAWING)
def test_the_rates_of_all_decisions_of_a_check_sum_to_less_than_allowed(name, monkeypatch):
    asked = []
    rare = draws.rare
    monkeypatch.setattr(draws, "rare", lambda chance: asked.append(chance) or rare(chance))
    exercise = catalog.find(name)
    assert exercise.grade(exercise.reference).passed
    assert 4 <= len(asked) and len(asked) * draws.ALARM < ALLOWED


def test_an_exercise_that_draws_is_one_of_these():
    found = {
        name
        for name in catalog.names()
        if {"generator", "rng"} & set(inspect.signature(catalog.find(name).reference).parameters)
    }
    assert found == set(DRAWING)


def alarms(make, level=0.05, runs=400):
    rng = np.random.default_rng(0)
    return np.mean([make(rng) < level for _ in range(runs)])


def test_alarms_are_no_more_frequent_than_their_level():
    def counted(rng):
        return share_alarm(int(rng.binomial(200, 0.3)), 200, 0.3)

    assert alarms(counted) <= 0.07
    for weights in (EVEN, UNEVEN):

        def spread(rng, weights=weights):
            return spread_alarm([(int(c), 200, 0.3) for c in rng.binomial(200, 0.3, 8)], weights)

        assert alarms(spread) <= 0.05


def test_shares():
    draws.must_have_share(480, 1000, 0.5, "no")
    with pytest.raises(Wrong, match="^said$"):
        draws.must_have_share(300, 1000, 0.5, "said")
    with pytest.raises(Wrong, match="^swapped$"):
        draws.must_have_share(300, 1000, 0.7, "said", {"other": 0.5, "swapped": 0.3})


def test_uniform_counts():
    draws.must_be_uniform([100, 90, 110], "no")
    with pytest.raises(Wrong, match="end 2 never"):
        draws.must_be_uniform([150, 150, 0], "no", "end {end} never")
    with pytest.raises(Wrong, match="^said$"):
        draws.must_be_uniform([200, 50, 200], "said")


def test_quotas_and_groups():
    rng = np.random.default_rng(1)
    draws.must_vary(rng.binomial(1000, 0.3, 10).tolist(), 1000, 0.3, "even", "uneven")
    with pytest.raises(Wrong, match="^even$"):
        draws.must_vary([300] * 10, 1000, 0.3, "even", "uneven")
    with pytest.raises(Wrong, match="^uneven$"):
        draws.must_vary([200, 400] * 5, 1000, 0.3, "even", "uneven")
    rows = rng.multinomial(900, [1 / 3] * 3, 10).tolist()
    draws.must_vary_together(rows, [1 / 3] * 3, "even", "uneven")
    with pytest.raises(Wrong, match="^even$"):
        draws.must_vary_together([[300] * 3] * 10, [1 / 3] * 3, "even", "uneven")
    draws.must_vary_together([[300, 0, 0]] * 10, [1.0, 0.0, 0.0], "even", "uneven")


def test_dice_of_groups():
    dice = torch.Generator().manual_seed(0)
    came = torch.rand(50, 40, generator=dice) < 0.4
    draws.must_be_independent(came, 0.4, "f", ("row", "column"))
    with pytest.raises(Wrong, match="whole groups go together for each row"):
        draws.must_be_independent(came[:, :1].expand(50, 40), 0.4, "f", ("row", "column"))
    exact = torch.rand(50, 40, generator=dice).argsort(1) < 16
    with pytest.raises(Wrong, match="nearly the same for each row"):
        draws.must_be_independent(exact, 0.4, "f", ("row", "column"))


def test_uniform_values_and_neighbours():
    dice = torch.Generator().manual_seed(0)
    values = torch.rand(5000, generator=dice)
    draws.must_be_even(values, "no")
    with pytest.raises(Wrong, match="^short$"):
        draws.must_be_even(values * 0.9, "short")
    a, b = draws.pairs(values > 0.5)
    draws.must_not_agree(a, b, draws.agreement([0.5, 0.5]), "no")
    with pytest.raises(Wrong, match="^together$"):
        draws.must_not_agree(a, a, 0.5, "together")
