"""Toy models against closed forms, exact integrals, Monte Carlo, scipy and single-model
training.
"""

import itertools
import json
import math

import numpy as np
import pytest
import sweep_superposition
import torch
import torch.nn.functional as F
from scipy import stats
from scipy.integrate import dblquad

from course_utils import assets
from course_utils.superposition import records
from course_utils.superposition import toy_model as superposition


def dice(seed=0):
    return torch.Generator().manual_seed(seed)


def draw(*shape, seed=0, dtype=torch.float32):
    return torch.randn(shape, generator=dice(seed), dtype=dtype)


def regular(n):
    """n directions at equal angles in the plane, (2, n)."""
    angles = 2 * math.pi * torch.arange(n, dtype=torch.float64) / n
    return torch.stack([angles.cos(), angles.sin()])


# --- Features -------------------------------------------------------------------------------------


def test_features_are_zero_with_their_sparsity_and_uniform_otherwise():
    S = torch.tensor([0.0, 0.3, 0.95])
    x = superposition.feature_batch(S, 20_000, 5, dice())
    for rows, s in zip(x, S.tolist(), strict=True):
        assert (
            abs((rows == 0).double().mean().item() - s)
            < 5 * math.sqrt(s * (1 - s) / rows.numel()) + 1e-9
        )
        assert stats.kstest(rows[rows > 0].numpy(), "uniform").pvalue > 1e-4
    assert (x[0] > 0).all() and x.shape == (3, 20_000, 5) and x.dtype == torch.float32


def test_features_are_independent_and_repeat_with_their_seed():
    x = superposition.feature_batch(torch.tensor([0.5]), 50_000, 4, dice(3))[0]
    assert (torch.corrcoef(x.T) - torch.eye(4)).abs().max() < 5 / math.sqrt(50_000)
    assert torch.equal(x, superposition.feature_batch(torch.tensor([0.5]), 50_000, 4, dice(3))[0])
    generator = dice(3)
    first, second = (
        superposition.feature_batch(torch.tensor([0.5]), 100, 4, generator) for _ in range(2)
    )
    assert not torch.equal(first, second)


@pytest.mark.parametrize("S", [1.0, -0.1, math.nan])
def test_a_sparsity_that_is_no_probability_below_one_is_refused(S):
    with pytest.raises(ValueError, match="at least 0 and below 1"):
        superposition.feature_batch(torch.tensor([0.5, S]), 4, 3, dice())


def test_the_kth_feature_of_a_zipf_world_comes_in_proportion_to_one_over_k():
    x = superposition.zipf_batch(2.0)(torch.zeros(2), 20_000, 64, dice())
    assert torch.equal(x[0], x[1])
    active = (x[0] > 0).double()
    want = 1 / torch.arange(1, 65)
    want = 2 * want / want.sum()
    assert ((active.mean(0) - want).abs() < 5 * (want / 20_000).sqrt() + 1e-4).all()
    assert active.sum(1).mean().item() == pytest.approx(2, abs=0.05)
    with pytest.raises(ValueError, match="p > 1"):
        superposition.zipf_batch(2.0)(torch.zeros(1), 4, 2, dice())


# --- The model and its loss -----------------------------------------------------------------------


def test_the_batched_model_is_each_model_alone():
    W = draw(3, 2, 5)
    b = draw(3, 5, seed=1)
    x = draw(3, 7, 5, seed=2)
    for linear in (False, True):
        alone = []
        for k in range(3):
            rows = [W[k].T @ (W[k] @ row) + b[k] for row in x[k]]
            alone.append(torch.stack(rows if linear else [row.clamp(min=0) for row in rows]))
        torch.testing.assert_close(superposition.reconstruct(x, W, b, linear), torch.stack(alone))
    model = superposition.ToyModel(3, 5, 2, generator=dice())
    torch.testing.assert_close(model(x), superposition.reconstruct(x, model.W, model.b))
    assert (
        superposition.ToyModel(3, 5, 2, linear=True, generator=dice())(x).min()
        < 0
        <= model(x).min()
    )


def test_the_start_is_glorots_and_belongs_to_its_generator():
    model = superposition.ToyModel(500, 20, 5, generator=dice(1))
    assert (
        model.W.std().item() == pytest.approx(math.sqrt(2 / 25), rel=0.02) and (model.b == 0).all()
    )
    assert torch.equal(model.W, superposition.ToyModel(500, 20, 5, generator=dice(1)).W)
    with pytest.raises(ValueError, match="1 or more"):
        superposition.ToyModel(1, 0, 2)


def test_the_loss_weighs_features_and_averages_examples():
    x = torch.zeros(2, 3, 2)
    y = torch.tensor([[1.0, 2.0]]).expand(2, 3, 2)
    torch.testing.assert_close(
        superposition.weighted_loss(x, y, torch.tensor([1.0, 0.5])), torch.tensor([3.0, 3.0])
    )
    torch.testing.assert_close(
        superposition.weighted_loss(x, y, torch.tensor([[1.0, 0.0], [0.0, 1.0]])),
        torch.tensor([1.0, 4.0]),
    )


def mean_by_monte_carlo(W, b, S, importance, linear, n=400_000):
    x = superposition.feature_batch(S, n, W.shape[-1], dice(9))
    errors = (
        importance.unsqueeze(-2) * (x - superposition.reconstruct(x, W, b, linear)).square()
    ).sum(-1)
    return errors.mean(-1), errors.std(-1) / math.sqrt(n)


@pytest.mark.parametrize("linear", [True, False])
@pytest.mark.parametrize(("n", "m"), [(1, 1), (2, 1), (3, 2), (4, 2)])
def test_the_expected_loss_agrees_with_monte_carlo(n, m, linear):
    W = 0.7 * draw(3, m, n)
    b = 0.2 * draw(3, n, seed=1)
    S = torch.tensor([0.0, 0.5, 0.9])
    importance = torch.rand(3, n, generator=dice(2)) + 0.2
    mean, error = mean_by_monte_carlo(W, b, S, importance, linear)
    got = superposition.expected_loss(W, b, S, importance, order=8, linear=linear)
    assert ((got - mean).abs() < 5 * error + (0 if linear else 0.01) * mean).all()


def test_the_linear_loss_is_exact():
    """From means and covariances: E[x] = p/2, Var[x] = p/3 - p²/4."""
    W = draw(2, 4, dtype=torch.float64)
    b = draw(4, seed=1, dtype=torch.float64)
    p = 0.3
    importance = torch.tensor([1.0, 0.5, 0.2, 2.0], dtype=torch.float64)
    A = torch.eye(4, dtype=torch.float64) - W.T @ W
    mean = A @ torch.full((4,), p / 2, dtype=torch.float64) - b
    want = (importance * (mean.square() + A.square().sum(1) * (p / 3 - p**2 / 4))).sum()
    torch.testing.assert_close(
        superposition.expected_loss(
            W, b, torch.tensor(1 - p, dtype=torch.float64), importance, linear=True
        ),
        want,
    )


@pytest.mark.parametrize("S", [0.0, 0.4, 0.9])
def test_the_relu_loss_of_two_features_agrees_with_adaptive_integration(S):
    W = torch.tensor([[0.9, -1.1]])
    b = torch.tensor([0.05, -0.1])
    importance = torch.tensor([1.0, 0.6])
    p = 1 - S

    def error(x, y):
        hidden = 0.9 * x - 1.1 * y
        return (x - max(0.9 * hidden + 0.05, 0)) ** 2 + 0.6 * (y - max(-1.1 * hidden - 0.1, 0)) ** 2

    grid = (np.arange(2000) + 0.5) / 2000
    want = S**2 * error(0, 0) + p**2 * dblquad(error, 0, 1, 0, 1, epsabs=1e-4)[0]
    want += S * p * (np.mean([error(x, 0) for x in grid]) + np.mean([error(0, x) for x in grid]))
    assert superposition.expected_loss(
        W, b, torch.tensor(S), importance, order=40
    ).item() == pytest.approx(want, rel=2e-3)
    assert superposition.expected_loss(W, b, torch.tensor(S), importance).item() == pytest.approx(
        want, rel=0.02
    )


def test_quadrature_weighs_every_pattern_by_its_probability():
    points, weights = superposition.quadrature(
        torch.tensor([0.25, 0.9], dtype=torch.float64), n_features=3, order=3
    )
    assert points.shape == (64, 3) and torch.allclose(
        weights.sum(-1), torch.ones(2, dtype=torch.float64)
    )
    for pattern in itertools.product([False, True], repeat=3):
        share = weights[:, ((points > 0) == torch.tensor(pattern)).all(-1)].sum(-1)
        want = [math.prod(1 - s if on else s for on in pattern) for s in (0.25, 0.9)]
        torch.testing.assert_close(share, torch.tensor(want, dtype=torch.float64))
    with pytest.raises(ValueError, match="draw a feature_batch"):
        superposition.quadrature(torch.tensor([0.5]), n_features=8)


# --- What is best: the closed forms ---------------------------------------------------------------


@pytest.mark.parametrize("p", [0.1, 0.5, 1.0])
def test_the_ideal_losses_are_those_of_the_weights_they_describe(p):
    importance = torch.tensor([1.0, 0.3, 0.7])
    S = torch.tensor(1 - p)
    names, losses = superposition.ideal_losses(S, importance)
    assert len(names) == 6
    for name, loss in zip(names, losses.tolist(), strict=True):
        W = torch.zeros(2, 3)
        b = torch.zeros(3)
        who = [int(i) for i in name.split()[1:]]
        rest = [i for i in range(3) if i not in who]
        if name.startswith("drop"):
            W[0, rest[0]] = W[1, rest[1]] = 1.0
            b[who[0]] = p / 2  # the mean
        else:
            W[0, who[0]], W[0, who[1]], W[1, rest[0]] = 1.0, -1.0, 1.0
        assert superposition.expected_loss(W, b, S, importance, order=30).item() == pytest.approx(
            loss, rel=5e-3
        )
        assert superposition.geometry(W) == name


@pytest.mark.parametrize("importance", [0.2, 0.7, 1.0, 1.5, 6.0])
def test_the_border_of_superposition_is_where_two_closed_forms_meet(importance):
    """p < 4I / (2 + 5I) for I <= 1, p < 4 / (2I + 5) above."""
    border = 4 * importance / (2 + 5 * importance) if importance <= 1 else 4 / (2 * importance + 5)
    for p, paired in ((border - 0.01, True), (border + 0.01, False)):
        names, losses = superposition.ideal_losses(
            torch.tensor(1 - p), torch.tensor([1.0, importance])
        )
        assert names[losses.argmin()].startswith("pair") == paired


# --- Training -------------------------------------------------------------------------------------


def test_batched_training_is_training_one_model_at_a_time():
    S = torch.tensor([0.0, 0.5, 0.9])
    importance = 0.9 ** torch.arange(5)
    model = superposition.ToyModel(3, 5, 2, generator=dice())
    start = model.W.detach().clone()
    together = superposition.train_toy(model, S, importance, steps=60, batch=64, generator=dice(1))
    assert together.shape == (60, 3) and (together[-10:].mean(0) < together[:10].mean(0)).all()
    for k in range(3):
        alone = superposition.ToyModel(1, 5, 2)
        with torch.no_grad():
            alone.W.copy_(start[k : k + 1])
        losses = superposition.train_toy(
            alone, S[k : k + 1], importance, steps=60, batch=64, generator=dice(1)
        )
        torch.testing.assert_close(losses[:, 0], together[:, k], rtol=1e-3, atol=1e-5)
        torch.testing.assert_close(alone.W[0], model.W[k], rtol=1e-3, atol=1e-3)


def test_a_linear_model_keeps_the_most_important_features_at_any_sparsity():
    S = torch.tensor([0.0, 0.5, 0.9])
    model = superposition.ToyModel(3, 4, 2, linear=True, generator=dice())
    superposition.train_toy(model, S, 0.5 ** torch.arange(4), steps=500, batch=None, lr=0.03)
    lengths = model.W.detach().square().sum(-2)
    torch.testing.assert_close(
        lengths, torch.tensor([1.0, 1.0, 0.0, 0.0]).expand(3, 4), rtol=0, atol=0.05
    )


def test_sparse_features_make_pairs_then_a_pentagon():
    S = torch.tensor([0.75, 0.95]).repeat_interleave(6)
    model = superposition.ToyModel(12, 5, 2, generator=dice())
    losses = superposition.train_toy(
        model, S, 0.9 ** torch.arange(5), steps=1500, batch=128, lr=0.01, generator=dice(1)
    )
    best = losses[-200:].mean(0).view(2, 6).argmin(-1) + torch.tensor([0, 6])
    pairs, pentagon = (
        superposition.feature_dimensionality(model.W.detach()[best]).sort(descending=True).values
    )
    torch.testing.assert_close(pairs, torch.tensor([0.5, 0.5, 0.5, 0.5, 0.0]), rtol=0, atol=0.03)
    torch.testing.assert_close(pentagon, torch.full((5,), 0.4), rtol=0, atol=0.03)


def test_the_bar_is_given_the_steps_and_a_wrong_sparsity_is_refused():
    seen = []
    model = superposition.ToyModel(2, 3, 1, generator=dice())
    superposition.train_toy(
        model,
        torch.zeros(2),
        steps=3,
        batch=4,
        bar=lambda steps: (seen.append(i) or i for i in steps),
    )
    assert seen == [0, 1, 2]
    with pytest.raises(ValueError, match="each of the 2 instances"):
        superposition.train_toy(model, torch.zeros(3), steps=1)


# --- Geometry -------------------------------------------------------------------------------------


def tetrahedron():
    return torch.tensor(
        [[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]], dtype=torch.float64
    ).T / math.sqrt(3)


def antiprism(height):
    """Two squares, one above the other, turned by 45 degrees."""
    angles = math.pi / 2 * torch.arange(4, dtype=torch.float64)

    def ring(turn, z):
        return torch.stack(
            [(angles + turn).cos(), (angles + turn).sin(), torch.full((4,), z, dtype=torch.float64)]
        )

    return F.normalize(torch.cat([ring(0, height), ring(math.pi / 4, -height)], 1), dim=0)


@pytest.mark.parametrize(
    ("W", "share"),
    [
        (torch.eye(3, dtype=torch.float64), 1),
        (torch.tensor([[1.0, -1.0]]).double(), 1 / 2),
        (regular(3), 2 / 3),
        (regular(5), 2 / 5),
        (tetrahedron(), 3 / 4),
        (antiprism(math.sqrt(0.5)), 3 / 8),
    ],
)
def test_the_shapes_of_the_paper_have_their_fractions_at_any_size(W, share):
    n = W.shape[1]
    torch.testing.assert_close(
        superposition.feature_dimensionality(1.3 * W), torch.full((n,), share, dtype=torch.float64)
    )
    assert superposition.feature_dimensionality(W).sum().item() == pytest.approx(W.shape[0])


@pytest.mark.parametrize(
    ("W", "name"),
    [
        (torch.tensor([[1.0, -1.0, 0.0], [0.0, 0.0, 1.0]]), "digon + lone"),  # mean D 2/3 as below
        (regular(3), "triangle"),
        (
            regular(3) * torch.tensor([1.0, -1.0, 1.0]),
            "3 in 2",
        ),  # the same D_i, another Gram matrix
        (regular(5), "pentagon"),
        (torch.tensor([[1.0, -1.0, 0, 0, 0], [0, 0, 1.0, -1.0, 0]]), "digon + digon + 1 dropped"),
        (tetrahedron(), "tetrahedron"),
        (antiprism(math.sqrt(0.5)), "square antiprism"),
    ],
)
def test_a_shape_is_told_by_each_share_and_the_gram_matrix(W, name):
    assert superposition.arrangement(W) == name


def test_sixteen_restarts_have_one_mean_and_several_arrangements():
    model = superposition.ToyModel(16, 4, 3, generator=dice())
    superposition.train_toy(model, torch.full((16,), 0.44), batch=None, steps=1000, lr=0.03)
    W = model.W.detach()
    assert superposition.feature_dimensionality(W).mean(-1).sub(0.75).abs().max() < 0.01
    names = [superposition.arrangement(w) for w in W]
    assert names.count("tetrahedron") < 4
    assert "tetrahedron" in names
    assert "digon + lone + lone" in names


def test_three_unit_vectors_do_not_share_out_their_two_dimensions():
    W = torch.tensor([[1.0, math.sqrt(0.5), 0.0], [0.0, math.sqrt(0.5), 1.0]])  # 0, 45, 90 degrees
    assert superposition.feature_dimensionality(W).sum().item() == pytest.approx(
        2 / 3 + 1 / 2 + 2 / 3
    )


def test_dimensionalities_are_between_zero_and_one_and_add_up_to_the_rank_at_most():
    W = draw(50, 4, 9, dtype=torch.float64) * torch.rand(
        50, 1, 9, generator=dice(1), dtype=torch.float64
    )
    D = superposition.feature_dimensionality(W)
    assert (D > 0).all() and (D <= 1).all() and (D.sum(-1) <= 4 + 1e-9).all()
    assert superposition.feature_dimensionality(torch.zeros(2, 3)).tolist() == [0, 0, 0]


def test_the_welch_bound_holds_and_is_reached_by_regular_frames():
    assert superposition.overlap(regular(3)).item() == pytest.approx(
        superposition.welch_bound(3, 2)
    )
    assert superposition.overlap(tetrahedron()).item() == pytest.approx(
        superposition.welch_bound(4, 3)
    )
    for n, m in ((20, 4), (50, 16), (9, 8)):
        assert superposition.overlap(draw(m, n)).item() > superposition.welch_bound(n, m)


def test_packed_directions_are_few_at_a_right_angle_and_many_at_a_wide_one():
    assert superposition.pack_directions(2, 0.999, dice()) > 10
    few, many = (superposition.pack_directions(12, limit, dice()) for limit in (0.3, 0.6))
    assert few < many
    twice = superposition.pack_directions(24, 0.6, dice())
    assert twice > 4 * many  # far more than twice as many


def test_more_directions_than_the_welch_bound_allows_are_never_packed():
    for m, limit in ((4, 0.3), (8, 0.3), (8, 0.5)):
        n = superposition.pack_directions(m, limit, dice(1))
        assert superposition.welch_bound(n, m) <= limit


def test_a_model_with_its_own_read_out_with_neurons_and_with_unit_lengths():
    x = torch.rand(7, 5, generator=dice(3))
    model = superposition.ToyModel(2, 5, 3, generator=dice(), tied=False)
    want = [((model.V[k].T @ (model.W[k] @ x.T)).T + model.b[k]).relu() for k in range(2)]
    torch.testing.assert_close(model(x), torch.stack(want))
    model = superposition.ToyModel(2, 5, 3, generator=dice(), neurons=True)
    want = [((model.W[k].T @ (model.W[k] @ x.T).relu()).T + model.b[k]).relu() for k in range(2)]
    torch.testing.assert_close(model(x), torch.stack(want))
    model = superposition.ToyModel(1, 5, 3, generator=dice(), unit=True)
    unit = F.normalize(model.W, dim=1)
    torch.testing.assert_close(model(x), superposition.reconstruct(x, unit, model.b))


# --- Interference ---------------------------------------------------------------------------------


def test_an_ablated_feature_reads_zero_and_orthogonal_ones_stay():
    W = torch.tensor([[2.0, 0.0, 1.0], [0.0, 3.0, 1.0]])
    hidden = draw(6, 2)
    left = superposition.ablate(hidden, W, 0)
    assert (left @ W[:, 0]).abs().max() < 1e-5
    torch.testing.assert_close(left @ W[:, 1], hidden @ W[:, 1])
    torch.testing.assert_close(superposition.ablate(left, W, 0), left)  # twice is once
    assert ((left - hidden) @ W[:, 2]).abs().max() > 0.1


def test_what_an_ablation_does_to_another_feature_is_their_overlap():
    W = draw(2, 3, 5, dtype=torch.float64)
    hidden = draw(2, 4, 3, seed=1, dtype=torch.float64)
    change = (superposition.ablate(hidden, W, 1) - hidden) @ W  # (2, 4, 5)
    gram = W.mT @ W
    want = -(hidden @ W)[..., 1:2] * (gram[:, 1] / gram[:, 1, 1:2])[:, None]
    torch.testing.assert_close(change, want)


# --- What was recorded ----------------------------------------------------------------------------


def test_the_record_is_what_the_tool_writes(monkeypatch, tmp_path):
    monkeypatch.setattr(sweep_superposition, "SIZE", {"n": 6, "m": 2, "steps": 20, "batch": 16})
    monkeypatch.setattr(sweep_superposition, "DENSITIES", torch.tensor([1.0, 0.1]))
    monkeypatch.setattr(sweep_superposition, "WIDTHS", (2, 4))
    assert sweep_superposition.main(["--out", str(tmp_path / "crowd.json")]) == 0
    for name, rows, record in (
        ("crowd", 2, assets.read_json(records.ASSET)),
        ("scaling", 4, assets.read_json(records.SCALING)),
    ):
        written = json.loads((tmp_path / f"{name}.json").read_text())
        assert written.keys() == record.keys()
        assert len(written["rows"]) == rows
        assert written["rows"][0].keys() == record["rows"][0].keys()


def test_the_recorded_scaling_is_that_of_a_run_of_today():
    row = next(r for r in records.recorded_scaling() if r["m"] == 4 and not r["unit"])
    today = records.measure_scaling(256, 4, unit=False)
    assert today["loss"] == pytest.approx(row["loss"], rel=0.02)
    assert len(records.recorded_crowd()["rows"]) == 14
