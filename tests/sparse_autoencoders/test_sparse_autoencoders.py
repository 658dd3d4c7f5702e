"""Sparse autoencoders against plain formulas, and whether they find the features that were put
in.
"""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from course_utils.sparse_autoencoders import autoencoder as sparse_autoencoders
from course_utils.superposition import toy_model as superposition


def dice(seed=0):
    return torch.Generator().manual_seed(seed)


def draw(*shape, seed=0, dtype=torch.float32):
    return torch.randn(shape, generator=dice(seed), dtype=dtype)


def test_the_codes_are_those_of_a_relu_layer_and_top_k_keeps_the_largest():
    x = draw(2, 6, 3)
    A = draw(2, 3, 8, seed=1)
    e = draw(2, 8, seed=2)
    b = draw(2, 3, seed=3)
    full = sparse_autoencoders.encode(x, A, e, b)
    four = sparse_autoencoders.encode(x, A, e, b, top_k=2)
    for k in range(2):
        torch.testing.assert_close(full[k], F.relu(F.linear(x[k] - b[k], A[k].T, e[k])))
        for row, kept in zip(full[k], four[k], strict=True):
            assert (
                kept.sort(descending=True).values[:2].tolist()
                == row.sort(descending=True).values[:2].tolist()
            )
            assert (kept > 0).sum() <= 2 and ((kept == row) | (kept == 0)).all()


def test_the_sae_loss_is_the_lectures_formula():
    x = draw(5, 3, dtype=torch.float64)
    f = draw(5, 4, seed=1, dtype=torch.float64)
    D = draw(4, 3, seed=2, dtype=torch.float64)
    b = draw(3, seed=3, dtype=torch.float64)
    total = 0.0
    for row, codes in zip(x, f, strict=True):
        rest = row - sum(codes[i] * D[i] for i in range(4)) - b
        total += sum(value**2 for value in rest.tolist()) + 0.3 * sum(
            abs(value) for value in codes.tolist()
        )
    assert sparse_autoencoders.sae_loss(x, f, D, b, 0.3).item() == pytest.approx(total / 5)
    torch.testing.assert_close(sparse_autoencoders.decode(f, D, b), f @ D + b)


def test_directions_keep_length_one_and_training_lowers_the_loss():
    x = draw(2000, 6) @ draw(6, 6, seed=1) / 3
    sae = sparse_autoencoders.train_sae(x, n_units=12, penalty=torch.tensor([0.01, 0.1]), steps=200)
    torch.testing.assert_close(sae.directions.norm(dim=-1), torch.ones(2, 12))
    fresh = sparse_autoencoders.SparseAutoencoder(2, 12, 6, generator=dice())
    f = sae(x)
    before, after = (
        sparse_autoencoders.sae_loss(
            x, s(x), s.directions, s.decoder_bias, torch.tensor([0.01, 0.1])
        )
        for s in (fresh, sae)
    )
    assert (after < 0.5 * before).all()
    assert f[0].sum() > f[1].sum()  # a greater penalty, smaller codes
    assert torch.equal(
        sae.directions,
        sparse_autoencoders.train_sae(x, n_units=12, penalty=[0.01, 0.1], steps=200).directions,
    )


def test_sparse_autoencoders_find_features_that_baselines_do_not():
    truth = F.normalize(draw(20, 8, seed=5), dim=-1)
    x = superposition.feature_batch(torch.tensor([0.93]), 20_000, 20, dice(6))[0] @ truth
    l1 = sparse_autoencoders.train_sae(x, 40, penalty=0.2, steps=1200)
    top = sparse_autoencoders.train_sae(x, 40, top_k=2, steps=1200)
    found = [
        sparse_autoencoders.mean_max_cosine(truth, s.directions.detach()[0]).item()
        for s in (l1, top)
    ]
    baselines = [
        sparse_autoencoders.mean_max_cosine(truth, d).item()
        for d in (draw(40, 8, seed=7), sparse_autoencoders.principal_directions(x))
    ]
    assert min(found) > 0.9 > 0.85 > max(baselines)


def test_the_recovery_score_counts_each_feature_and_its_sign():
    truth = torch.eye(4)
    assert sparse_autoencoders.mean_max_cosine(truth, 5 * truth[[2, 0, 3, 1]]).item() == 1
    assert sparse_autoencoders.mean_max_cosine(truth, -truth).item() == 0
    # one feature, ten times
    assert sparse_autoencoders.mean_max_cosine(truth, truth[:1].expand(10, 4)).item() == 0.25
    assert sparse_autoencoders.mean_max_cosine(truth, torch.stack([truth, -truth])).tolist() == [
        1,
        0,
    ]


def test_explained_variance_dead_units_and_principal_components():
    x = draw(500, 4) * torch.tensor([5.0, 1.0, 0.5, 0.1]) + 3
    mean = x.mean(0).expand_as(x)
    assert (
        sparse_autoencoders.fraction_explained(x, x).item() == 1
        and abs(sparse_autoencoders.fraction_explained(x, mean).item()) < 1e-5
    )
    components = sparse_autoencoders.principal_directions(x)[:4]
    values, vectors = np.linalg.eigh(np.cov(x.numpy().T))
    assert np.allclose(np.abs((components.numpy() @ vectors[:, ::-1]).diagonal()), 1, atol=1e-3)
    one = (x - mean) @ components[:1].T @ components[:1] + mean
    assert sparse_autoencoders.fraction_explained(x, one).item() == pytest.approx(
        values[-1] / values.sum(), abs=1e-4
    )
    assert sparse_autoencoders.firing_rate(torch.tensor([[[1.0, 0.0], [2.0, 0.0]]])).tolist() == [
        [1, 0]
    ]


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (lambda: sparse_autoencoders.train_sae(torch.zeros(3, 4, 5), 8), "give a matrix"),
        (
            lambda: sparse_autoencoders.SparseAutoencoder(1, 4, 3, top_k=5),
            "between 1 and the 4 units",
        ),
        (
            lambda: sparse_autoencoders.SparseAutoencoder(1, 4, 3, top_k=0),
            "between 1 and the 4 units",
        ),
    ],
)
def test_bad_input_is_refused_with_the_remedy(bad, said):
    with pytest.raises(ValueError, match=said):
        bad()
