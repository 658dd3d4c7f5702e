"""The metric that makes emergence, against p to the k."""

import math

import pytest
import torch

from course_utils.grokking import emergence as grokking


def dice(seed=0):
    return torch.Generator().manual_seed(seed)


def test_wider_models_know_more_and_probabilities_are_probabilities():
    log_p = grokking.memorise([1, 4, 16, 64], n_facts=64, n_answers=8, generator=dice())
    assert log_p.shape == (4, 64, 8) and torch.allclose(
        log_p.logsumexp(-1), torch.zeros(4, 64), atol=1e-5
    )
    known = log_p[..., 0].mean(-1)
    assert (known.diff() > 0).all() and (log_p.argmax(-1) == 0)[-1].all()
    with pytest.raises(ValueError, match="1 or more"):
        grokking.memorise([0, 3])


def test_each_width_is_trained_as_if_alone():
    both, alone = (
        grokking.memorise(widths, n_facts=32, n_answers=8, steps=40, generator=dice(2))
        for widths in ([3, 9], [9])
    )
    torch.testing.assert_close(both[1], alone[0], atol=1e-4, rtol=1e-3)


def test_a_list_is_right_when_all_of_its_facts_are():
    right = torch.arange(50) < torch.tensor([[50], [40], [0]])
    for k in (1, 3):
        got = grokking.exact_match(right, k, lists=4000, generator=dice())
        want = [math.comb(n, k) / math.comb(50, k) for n in (50, 40, 0)]  # without replacement
        assert (got - torch.tensor(want)).abs().max() < 5 * math.sqrt(0.25 / 4000)
    for k in (0, 51):
        with pytest.raises(ValueError, match="1 to 50"):
            grokking.exact_match(right, k, lists=5, generator=dice())
