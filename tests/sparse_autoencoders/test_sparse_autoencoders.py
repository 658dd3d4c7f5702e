"""Sparse autoencoders against plain formulas, and whether they find the features that were put
in.
"""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from course_utils.pretrained import storyteller
from course_utils.sparse_autoencoders import autoencoder as sparse_autoencoders
from course_utils.sparse_autoencoders import records, scores, steering
from course_utils.stories.corpus import ID, VOCAB
from course_utils.stories.grammar import BOYS, GIRLS
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


def test_agreement_is_the_correlation_of_two_rows_of_yes_and_no():
    said = draw(40, 3) > 0.3
    true = draw(40, seed=1) > 0
    want = [np.corrcoef(column, true.numpy())[0, 1] for column in said.T.numpy()]
    assert scores.agreement(said, true).tolist() == pytest.approx(want)
    assert scores.agreement(~true, true).item() == pytest.approx(-1)
    assert scores.agreement(torch.zeros(40, dtype=torch.bool), true).item() == 0


def test_the_best_cut_is_the_best_of_all_cuts():
    z = (draw(30, 4) * 2).round()  # with equal values
    true = draw(30, seed=1) > 0
    cut, best = scores.best_cut(z, true)
    for unit in range(4):
        every = [scores.agreement(z[:, unit] >= c, true).item() for c in z[:, unit].unique()]
        assert best[unit].item() == pytest.approx(max(every))
        assert scores.agreement(z[:, unit] >= cut[unit], true).item() == pytest.approx(max(every))


def test_the_luckiest_of_many_is_not_lucky_on_new_texts():
    train = torch.arange(400) < 200
    noise = draw(400, 300)
    true = draw(400, seed=1) > 0
    lucky = scores.best_cut(noise[train], true[train])[1].max().item()
    assert lucky > 0.2 and abs(scores.held_out_score(noise, true, train)) < lucky / 2
    noise[:, 7] += 6 * true
    assert scores.held_out_score(noise, true, train) > 0.9


def test_the_fitted_line_is_least_squares_on_the_training_texts_alone():
    z = draw(60, 4)
    true = z @ draw(4, seed=1) + 0.3 > 0
    train = torch.arange(60) < 40
    line = scores.fitted_line(z, true, train)
    given = np.column_stack([z.numpy(), np.ones(60)])
    want = given @ np.linalg.lstsq(given[:40], true[:40].numpy().astype(float), rcond=None)[0]
    assert line.shape == (60, 1) and np.allclose(line[:, 0].numpy(), want, atol=1e-4)
    assert scores.held_out_score(line, true, train) > 0.6


def test_purity_counts_the_most_frequent_token_of_the_strongest_places():
    codes = torch.tensor([[4.0, 1.0, 0.0], [3.0, 2.0, 0.0], [2.0, 3.0, 5.0], [1.0, 4.0, 0.0]])
    ids = torch.tensor([7, 7, 8, 9])
    # units 0 and 1 have {7, 7} and {9, 8}; unit 2 fires too rarely
    assert scores.purity(codes, ids, top=2) == pytest.approx((1 + 0.5) / 2)


def test_windows_are_beginnings_of_stories_with_what_their_teller_knows():
    some = scores.windows(5, 6, 64)
    assert some.ids.shape == (6, 64) and len(some.ids.unique(dim=0)) == 6
    assert all(truth.shape == (6, 64) for truth in some.truth.values())
    names = {ID[name] for name in (*BOYS, *GIRLS)}
    for row, name, first in zip(
        some.ids.tolist(), some.truth["a name"], some.truth["among the first 24"], strict=True
    ):
        assert [t in names for t in row] == name.tolist()
        assert first.nonzero().flatten().tolist() == list(range(24))
    girl = some.truth["the hero is a girl"]
    assert (girl == girl[:, :1]).all()
    assert torch.equal(some.ids, scores.windows(5, 6, 64).ids)


def test_turned_counts_what_turned_and_what_else_got_worse():
    ids = torch.tensor([[ID[word] for word in "Tom smiled . he smiled . he smiled .".split()]])
    before = torch.zeros(1, 9, len(VOCAB))
    after = before.clone()
    after[0, 2, ID["she"]] = 1.0  # the first "he" has turned
    effect, side = steering.turned(after, before, ids, ID["he"], ID["she"])
    assert effect.tolist() == [0.5] and side.tolist() == [0.0]  # pronouns are no side effect
    after[0, 0, ID["smiled"]] = -5.0
    _, side = steering.turned(after, before, ids, ID["he"], ID["she"])
    n = len(VOCAB)
    rise = math.log(n - 1 + math.exp(-5)) + 5 - math.log(n)
    assert side.item() == pytest.approx(rise / 6, abs=1e-5)  # smiled . smiled . smiled .
    none = steering.turned(after[:, :3], before[:, :3], ids[:, :3], ID["he"], ID["she"])[0]
    assert none.shape == (0,)


def test_going_on_from_the_stream_is_the_model_and_the_course_vector_does_what_it_says():
    model = storyteller()
    ids = scores.windows(9, 8, 64).ids
    with torch.no_grad():
        x = model.streams(ids)[2]
        plain = model(ids)
    torch.testing.assert_close(steering.onward(model, x, 2), plain, atol=1e-3, rtol=1e-3)
    picked = F.log_softmax(plain[:, :-1], -1).gather(-1, ids[:, 1:, None]).squeeze(-1)
    torch.testing.assert_close(steering.story_loss(plain, ids), -picked)
    head = model.lm_head.weight.detach()
    he_she = ID["he"], ID["she"]
    vector = steering.steering_vector(x, ids, head, *he_she)
    effect, side = steering.turned(steering.onward(model, x + vector, 2), plain, ids, *he_she)
    assert effect.mean() > 0.8 and side.mean() < 0.15
    torch.testing.assert_close(steering.steering_vector(x, ids, head, *he_she[::-1]), -vector)
    back = steering.turned(steering.onward(model, x - vector, 2), plain, ids, *he_she)[0]
    assert back.mean() < 0.1


def test_jump_relu_is_silent_below_its_thresholds_and_shrinks_nothing():
    sae = sparse_autoencoders.JumpReLU(1, 8, 4, generator=dice())
    x = draw(60, 4, seed=1)
    with torch.no_grad():
        sae.log_threshold += 2.0
    z = sparse_autoencoders.encode(x[None], sae.encoder, sae.encoder_bias, sae.decoder_bias)
    want = torch.where(z > sae.threshold.unsqueeze(-2), z, 0.0)
    torch.testing.assert_close(sae(x), want)
    missed = (x - sae.decode(want)).square().sum(-1).mean(-1)
    price = 0.1 * (want > 0).float().sum(-1).mean(-1)
    torch.testing.assert_close(sae.loss(x, torch.tensor([0.1])), missed + price)


def test_a_price_on_how_many_fire_raises_the_thresholds():
    x = draw(2000, 6) @ draw(6, 6, seed=1) / 3
    few, many = (
        sparse_autoencoders.train_sae(x, 12, price, steps=200, jump=True) for price in (0.1, 0.001)
    )
    assert (few(x) > 0).sum() < 0.9 * (many(x) > 0).sum()
    assert few.threshold.mean() > many.threshold.mean()


def test_activations_are_brought_to_mean_0_and_length_1_and_back():
    x = draw(5, 7, 3) * 4 + 2
    z, mean, scale = records.normalised(x, train=3)
    torch.testing.assert_close(z * scale + mean, x)
    assert z[:3].mean((0, 1)).abs().max() < 1e-5
    assert z[:3].square().sum(-1).mean().item() == pytest.approx(1, abs=1e-5)


def test_a_random_model_keeps_its_embeddings_where_it_is_told_and_nothing_else():
    model = storyteller()
    ids = torch.tensor([[3, 1, 4]])
    kept = records.randomised(model, dice(), keep_embeddings=True)
    drawn = records.randomised(model, dice())
    with torch.no_grad():
        given, same, other = (m.streams(ids) for m in (model, kept, drawn))
    assert torch.equal(given[0], same[0]) and not torch.allclose(given[0], other[0], atol=0.1)
    assert not torch.allclose(given[2], same[2], atol=0.1)
    assert torch.equal(kept.h[1].mlp.c_fc.weight, drawn.h[1].mlp.c_fc.weight)
    assert model.wte.weight.data_ptr() != kept.wte.weight.data_ptr()


def test_the_record_holds_three_seeds_of_everything_that_is_trained():
    rows = records.recorded()
    kinds = {(row["kind"], row["value"]) for row in rows["kinds"]}
    assert len(kinds) == 12 and len(rows["kinds"]) == 36
    assert all(row["rise"] > 0 and row["l0"] > 1 for row in rows["kinds"])
    assert {(row["width"], row["seed"]) for row in rows["widths"]} == {
        (width, seed) for width in (64, 128, 256, 512) for seed in range(3)
    }
    trained = [row for row in rows["units"] if row["source"] == "trained"]
    assert sorted(row["seed"] for row in trained) == [0, 1, 2]
    assert list(trained[0]["scores"]) == list(scores.windows(0, 1).truth)
    for what in ("best unit", "minus the boy unit", "aimed"):
        assert [row["seed"] for row in rows["steering"] if row["what"] == what] == [0, 1, 2]


def test_a_recorded_control_comes_out_again():
    want = [row for row in records.recorded()["units"] if row["source"] == "principal components"]
    got = records.measure_units("principal components", 0)
    assert got["scores"] == pytest.approx(want[0]["scores"], abs=0.02)
    assert got["purity"] == pytest.approx(want[0]["purity"], abs=0.02)
