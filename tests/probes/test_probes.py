"""Probes, erasing, sparse features and noise, against scipy, closed forms and counts."""

import itertools

import numpy as np
import pytest
import torch
from scipy.optimize import linprog, minimize
from scipy.special import logsumexp

from course_utils.probes import linear as probes
from course_utils.probes.linear_reading import random_rotation


def dice(seed):
    return torch.Generator().manual_seed(seed)


def clouds(n, d, k, seed, gap=1.5):
    """k classes of normal points in d dimensions, whose means are `gap` from the origin along the
    first k axes.
    """
    y = torch.randint(k, (n,), generator=dice(seed))
    x = torch.randn(n, d, generator=dice(seed + 1))
    x[:, :k] += gap * torch.eye(k)[y]
    return x @ torch.randn(d, d, generator=dice(seed + 2)), y  # in a skew basis


# --- Probes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("k", [2, 3, 4])
def test_a_probe_reaches_the_lowest_loss_that_scipy_finds(k):
    x, y = clouds(200, 6, k, seed=k)
    z = ((x - x.mean(0)) / x.std(0, correction=0)).double().numpy()
    Y = np.eye(k)[y.numpy()]

    def loss(w):
        scores = z @ w[:-k].reshape(-1, k) + w[-k:]
        return (logsumexp(scores, axis=1) - (Y * scores).sum(1)).mean() + 1e-3 / 2 * (
            w[:-k] ** 2
        ).sum()

    probe = probes.fit_probe(x, y, decay=1e-3, steps=200)
    scale = x.std(0, correction=0)
    weight = (probe.weight * scale).double()
    bias = (probe.bias + probe.weight @ x.mean(0)).double()
    ours = loss(np.concatenate([weight.T.flatten().numpy(), bias.numpy()]))
    assert ours == pytest.approx(minimize(loss, np.zeros(7 * k)).fun, abs=1e-4)


def test_a_probe_is_right_on_new_examples_of_separate_classes():
    x, y = clouds(600, 10, 3, seed=0, gap=6.0)
    probe = probes.fit_probe(x[:300], y[:300])
    assert probe.accuracy(x[300:], y[300:]) > 0.97
    assert probe(x.view(2, 300, 10)).shape == (2, 300)


def test_a_feature_that_never_changes_does_no_harm():
    x, y = clouds(200, 4, 2, seed=3, gap=4.0)
    still = torch.cat([x, torch.full((200, 1), 7.0)], dim=1)
    assert probes.fit_probe(still, y).accuracy(still, y) == pytest.approx(
        probes.fit_probe(x, y).accuracy(x, y), abs=0.02
    )


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (torch.zeros(3, 2), torch.tensor([4, 4, 4]), "all 3 labels are 4"),
        (torch.zeros(0, 2), torch.zeros(0, dtype=torch.long), "missing"),
        (torch.zeros(3, 2), torch.tensor([-1, 0, 1]), "count from 0"),
        (torch.zeros(3, 2), torch.tensor([0.0, 1.0, 0.0]), "whole numbers"),
        (torch.zeros(3, 2), torch.tensor([0, 1]), r"x \(3, 2\) and y \(2,\)"),
        (torch.zeros(2, 3, 2), torch.tensor([0, 1]), "pass"),
    ],
)
def test_labels_that_cannot_be_learnt_are_named(x, y, message):
    for use in (probes.fit_probe, probes.leace, probes.best_features):
        with pytest.raises(ValueError, match=message):
            use(x, y)


def test_control_labels_belong_to_types_and_have_the_shares_of_y():
    ids = torch.randint(2000, (8000,), generator=dice(0))
    y = torch.multinomial(torch.tensor([0.6, 0.3, 0.1]), 8000, replacement=True, generator=dice(1))
    control = probes.control_labels(ids, y, dice(2))
    for token in ids.unique()[:200]:
        assert len(control[ids == token].unique()) == 1
    types = torch.stack([control[ids == token][0] for token in ids.unique()])
    assert (types.bincount() / len(types)).tolist() == pytest.approx([0.6, 0.3, 0.1], abs=0.05)
    assert torch.equal(control, probes.control_labels(ids, y, dice(2))) and not torch.equal(
        control, probes.control_labels(ids, y, dice(3))
    )


def test_what_is_in_the_words_has_no_selectivity_and_what_is_in_the_text_has():
    ids = torch.randint(20, (1500,), generator=dice(0))
    hidden = torch.randint(2, (1500,), generator=dice(1))  # a property that the word does not tell
    train = torch.rand(1500, generator=dice(2)) < 0.5
    words = torch.eye(20)[ids]
    y = (ids % 2).long()
    control = probes.control_labels(ids, y, dice(3))
    assert abs(probes.selectivity(words, y, control, train)) < 0.02
    assert probes.selectivity(
        torch.cat([words, hidden[:, None].float()], 1),
        hidden,
        probes.control_labels(ids, hidden, dice(4)),
        train,
    ) == pytest.approx(0, abs=0.02)
    assert probes.selectivity(hidden[:, None].float(), hidden, control, train) > 0.3


# --- Erasing --------------------------------------------------------------------------------------


def test_erased_directions_are_at_the_mean_and_all_others_untouched():
    x = torch.randn(50, 7, generator=dice(0))
    mean = torch.randn(7, generator=dice(1))
    directions = torch.randn(3, 7, generator=dice(2))
    left = probes.erase_directions(x, directions, mean)
    torch.testing.assert_close(
        left @ directions.T, (mean @ directions.T).expand(50, 3), rtol=1e-4, atol=1e-4
    )
    away = torch.linalg.svd(directions, full_matrices=True).Vh[3:]  # orthogonal to all three
    torch.testing.assert_close(left @ away.T, x @ away.T, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("k", [2, 3, 5])
def test_after_leace_the_classes_have_one_mean_and_a_probe_guesses(k):
    x, y = clouds(1500, 12, k, seed=10 + k, gap=3.0)
    left = probes.leace(x, y)(x)
    for c in range(k):
        torch.testing.assert_close(left[y == c].mean(0), left.mean(0), rtol=0, atol=1e-3)
    most = y.bincount().max().item() / len(y)
    assert probes.fit_probe(x, y).accuracy(x, y) > most + 0.3
    assert probes.fit_probe(left, y).accuracy(left, y) < most + 0.03
    changed = torch.linalg.matrix_rank(left - x, rtol=1e-3).item()
    assert changed == k - 1  # no more than it must


def test_leace_changes_less_than_any_other_map_that_guards():
    x, y = clouds(800, 5, 2, seed=4, gap=2.0)
    cost = (probes.leace(x, y)(x) - x).square().sum(-1).mean().item()
    gap = x[y == 1].mean(0) - x[y == 0].mean(
        0
    )  # what must be removed; along it, any functional w with w · gap = 1 will do
    z = (x - x.mean(0)).double()
    rivals = []
    for seed in range(200):
        w = torch.randn(5, generator=dice(seed), dtype=torch.float64)
        w = w / (w @ gap.double())
        rivals.append(((z @ w)[:, None] * gap).square().sum(-1).mean().item())
    flat = torch.linalg.solve(z.T @ z / len(z), gap.double())
    best = ((z @ (flat / (flat @ gap.double())))[:, None] * gap).square().sum(-1).mean().item()
    assert cost <= min(rivals) + 1e-4 and cost == pytest.approx(best, rel=1e-3)


def test_leace_survives_directions_in_which_nothing_varies():
    x, y = clouds(300, 4, 2, seed=5)
    flat = torch.cat([x, torch.full((300, 2), 3.0)], dim=1)
    left = probes.leace(flat, y)(flat)
    torch.testing.assert_close(left[:, 4:], flat[:, 4:], rtol=0, atol=1e-3)
    torch.testing.assert_close(left[:, :4], probes.leace(x, y)(x), rtol=1e-2, atol=1e-2)


# --- Few or many ----------------------------------------------------------------------------------


def test_one_feature_is_enough_where_it_holds_the_concept_and_not_in_a_random_basis():
    y = torch.randint(2, (800,), generator=dice(0))
    x = 0.3 * torch.randn(800, 16, generator=dice(1))
    x[:, 11] += y
    train = torch.arange(800) < 400
    assert probes.best_features(x, y)[0] == 11
    own = probes.sparse_accuracy(x, y, train, (1, 16))
    turned = probes.sparse_accuracy(x @ random_rotation(16, dice(2)).float(), y, train, (1, 16))
    assert (
        own[0] > 0.9 and turned[0] < own[0] - 0.05 and turned[1] == pytest.approx(own[1], abs=0.03)
    )


def test_features_are_chosen_on_training_examples_only():
    x = torch.randn(400, 300, generator=dice(0))
    y = torch.randint(2, (400,), generator=dice(1))
    train = torch.arange(400) < 200
    assert probes.sparse_accuracy(x, y, train, (5,))[0] < 0.6  # noise: no better than a guess


def test_features_compare_two_classes():
    with pytest.raises(ValueError, match="two classes, 0 and 1"):
        probes.best_features(torch.zeros(3, 2), torch.tensor([0, 1, 2]))


# --- Noise ----------------------------------------------------------------------------------------


def separable(x, y):
    """Can a hyperplane through the origin separate them? Is there a w with y (x · w) >= 1
    everywhere: a linear program.
    """
    sides = -(y[:, None] * x).numpy()
    return (
        linprog(np.zeros(x.size(1)), A_ub=sides, b_ub=-np.ones(len(x)), bounds=(None, None)).status
        == 0
    )


@pytest.mark.parametrize(("n", "d"), [(3, 2), (4, 2), (5, 3), (6, 3)])
def test_the_separable_share_is_a_count_over_all_labellings(n, d):
    x = torch.randn(n, d, generator=dice(n), dtype=torch.float64)
    count = sum(
        separable(x, torch.tensor(y, dtype=torch.float64))
        for y in itertools.product((-1, 1), repeat=n)
    )
    assert probes.separable_share(n, d) == count / 2**n


def test_the_explained_shares_are_the_eigenvalues_of_the_covariance():
    x = torch.randn(60, 5, generator=dice(0), dtype=torch.float64) @ torch.randn(
        5, 5, generator=dice(1), dtype=torch.float64
    )
    values = np.linalg.eigvalsh(np.cov(x.numpy().T))[::-1]
    assert probes.explained(x).tolist() == pytest.approx((values / values.sum()).tolist())


def test_a_random_walk_in_many_dimensions_looks_like_a_trajectory():
    walk = torch.randn(300, 3000, generator=dice(0)).cumsum(0)
    # Antognini & Sohl-Dickstein 2018, in the limit
    published = [6 / (np.pi * k) ** 2 for k in (1, 2, 3)]
    assert probes.explained(walk)[:3].tolist() == pytest.approx(published, abs=0.02)


def test_a_p_value_counts_and_is_never_zero():
    null = torch.tensor([0.1, 0.2, 0.3, 0.4])
    assert [probes.p_value(x, null) for x in (0.5, 0.4, 0.25, 0.0)] == [0.2, 0.4, 0.6, 1.0]


def test_the_p_value_of_nothing_is_uniform():
    draws = torch.randn(400, 20, generator=dice(0))
    found = torch.tensor([probes.p_value(row[0].item(), row[1:]) for row in draws])
    assert (found <= 0.1).float().mean().item() == pytest.approx(0.1, abs=0.05)


def test_the_separable_share_of_thousands_of_points_is_a_number():
    assert probes.separable_share(4000, 2000) == 0.5
    assert 0 < probes.separable_share(3000, 1400) < 0.001
    with pytest.raises(ValueError, match="at least"):
        probes.separable_share(0, 3)


@pytest.mark.parametrize("dtype", [torch.bool, torch.int32, torch.uint8])
def test_labels_of_any_whole_type_give_the_same_probe_and_eraser(dtype):
    x, y = clouds(60, 3, 2, seed=0)
    torch.testing.assert_close(
        probes.fit_probe(x, y.to(dtype)).weight, probes.fit_probe(x, y).weight
    )
    torch.testing.assert_close(probes.leace(x, y.to(dtype)).P, probes.leace(x, y).P)


def test_activations_that_are_no_numbers_or_not_finite_are_refused():
    y = torch.tensor([0, 1, 0, 1])
    with pytest.raises(ValueError, match="activations"):
        probes.fit_probe(torch.ones(4, 2, dtype=torch.int64), y)
    with pytest.raises(ValueError, match="inf or nan"):
        probes.leace(torch.tensor([[0.0], [1.0], [torch.nan], [2.0]]), y)
