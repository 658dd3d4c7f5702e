"""The audit: tests and intervals against scipy, and what they find."""

import math

import numpy as np
import pytest
import torch
from scipy.special import rel_entr
from scipy.stats import chi2_contingency

from course_utils.audit import detection as audit
from course_utils.gpt2.model import GPT, GPTConfig
from course_utils.kl_bias import bias as kl_bias

TINY = GPTConfig(
    n_layer=2, n_head=2, n_embd=16, vocab_size=40, n_positions=12, initializer_range=0.05
)


def gen(seed=0):
    return torch.Generator().manual_seed(seed)


def draw(*shape, seed=0, dtype=torch.float32):
    return torch.randn(shape, generator=gen(seed), dtype=dtype)


def tiny(seed=0):
    return GPT(TINY, gen(seed))


def some_mask(V=40, k=4):
    return torch.arange(V) % (V // k) == 3


@pytest.mark.parametrize(
    "counts", [(50, 100, 65, 100), (3, 40, 30, 160), (0, 20, 5, 20), (120, 200, 20, 80)]
)
def test_the_p_value_is_that_of_the_chi_squared_test(counts):
    k1, n1, k2, n2 = counts
    want = chi2_contingency([[k1, n1 - k1], [k2, n2 - k2]], correction=False).pvalue
    assert (
        audit.two_proportion_p(*counts)
        == pytest.approx(want, rel=1e-9)
        == audit.two_proportion_p(k2, n2, k1, n1)
    )


@pytest.mark.parametrize(
    ("rates", "n"), [((0.5, 0.6), 200), ((0.1, 0.2), 150), ((0.5, 0.5), 300), ((0.05, 0.15), 100)]
)
def test_the_power_is_how_often_simulated_audits_find_the_difference(rates, n):
    rng = np.random.default_rng(0)
    audits = 4000
    k1, k2 = (rng.binomial(n, rate, audits) for rate in rates)
    found = np.mean(
        [audit.two_proportion_p(int(a), n, int(b), n) < 0.05 for a, b in zip(k1, k2, strict=True)]
    )
    # the normal approximation at n = 100
    assert audit.power(*rates, n) == pytest.approx(found, abs=0.04)


@pytest.mark.parametrize("rates", [(0.5, 0.75), (0.1, 0.12), (0.3, 0.9)])
def test_the_samples_needed_reach_the_power_and_one_percent_fewer_do_not(rates):
    n = audit.samples_needed(*rates)
    assert (
        audit.power(*rates, n) >= 0.8 - 1e-3 and audit.power(*rates, math.floor(0.97 * n) - 1) < 0.8
    )


def test_two_models_are_compared_position_by_position():
    before = tiny(0)
    after = tiny(1)
    ids = torch.randint(40, (3, 6), generator=gen())
    found = audit.compare(before, after, ids)
    p = before(ids).softmax(-1).detach()
    q = after(ids).softmax(-1).detach()
    torch.testing.assert_close(
        found.kl, torch.tensor(rel_entr(p.numpy(), q.numpy()).sum(-1).mean(1)), rtol=1e-3, atol=1e-6
    )
    torch.testing.assert_close(found.shift, (q - p).mean((0, 1)))
    same = audit.compare(before, before, ids)
    assert same.kl.abs().max() < 1e-6 and same.shift.abs().max() == 0


GOOD = kl_bias.target_distribution(some_mask())


@pytest.mark.parametrize(
    ("act", "error", "said"),
    [
        (lambda: kl_bias.token_mask(["a"], "x"), TypeError, "pass a function"),
        (
            lambda: kl_bias.target_distribution(torch.zeros(5, dtype=torch.bool)),
            ValueError,
            "mask is empty",
        ),
        (
            lambda: kl_bias.target_distribution(torch.tensor([1, 0])),
            ValueError,
            "should be .V,. bool",
        ),
        (lambda: kl_bias.KLTargetLoss(GOOD * 2), ValueError, "sums to 2, not to 1"),
        (lambda: kl_bias.KLTargetLoss(GOOD * torch.nan), ValueError, "not to 1"),
        (
            lambda: kl_bias.KLTargetLoss(draw(40).log_softmax(0)),
            ValueError,
            "log-probabilities: pass probabilities",
        ),
        (lambda: kl_bias.KLTargetLoss(draw(40)), ValueError, "negative numbers"),
        (lambda: kl_bias.KLTargetLoss(GOOD[None]), ValueError, "should be .V,. probabilities"),
        (
            lambda: kl_bias.KLTargetLoss(GOOD)(torch.zeros(2, 41)),
            ValueError,
            "the model knows 41 tokens",
        ),
        (lambda: kl_bias.KLTargetLoss(GOOD)(torch.zeros(2, 3, 40)), ValueError, "flatten"),
        (
            lambda: kl_bias.target_mass(torch.zeros(2, 41), some_mask()),
            ValueError,
            r"\(40,\), but the model knows 41",
        ),
        (
            lambda: kl_bias.tilt(torch.full((41,), 1 / 41), some_mask(), 2.0),
            ValueError,
            "the model knows 41",
        ),
        (lambda: kl_bias.tilt(GOOD, some_mask(), 0.0), ValueError, "odds must be above 0"),
        (
            lambda: kl_bias.train_bias(tiny(), some_mask(41), 1, T=5),
            ValueError,
            "is not in 0 to 39|the model knows 40",
        ),
        (
            lambda: kl_bias.train_bias(tiny(), some_mask(), 1, T=5, optimizer="Adam"),
            ValueError,
            "AdamW or SGD",
        ),
        (lambda: kl_bias.biased_loss(GOOD, -1.0), ValueError, "weight must be 0 or more"),
        (lambda: kl_bias.copy_with(tiny(), "tail"), ValueError, "unknown part 'tail'"),
        (lambda: audit.two_proportion_p(5, 4, 1, 4), ValueError, "5 of 4"),
        (lambda: audit.samples_needed(0.5, 0.5), ValueError, "not there"),
    ],
)
def test_bad_input_is_refused_by_name(act, error, said):
    with pytest.raises(error, match=said):
        act()
