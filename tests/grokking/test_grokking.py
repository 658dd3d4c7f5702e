"""The modular adder against torch's attention; Fourier measures against explicit sums and least
squares; tiny runs.
"""

import itertools
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from course_utils.grokking import modular_addition as grokking


def dice(seed=0):
    return torch.Generator().manual_seed(seed)


def draw(*shape, seed=0, dtype=torch.float32):
    return torch.randn(shape, generator=dice(seed), dtype=dtype)


def tiny(p=7, seed=0):
    return grokking.ModularAdder(p, d_model=12, n_head=3, d_inner=20, generator=dice(seed))


def waves(p, frequencies):
    """The columns 1, cos(w (a + b)), sin(w (a + b)) over all pairs, (p², 1 + 2k)."""
    total = np.add.outer(np.arange(p), np.arange(p)).flatten()
    columns = [np.ones(p * p)]
    for k in frequencies:
        columns += [np.cos(2 * np.pi * k * total / p), np.sin(2 * np.pi * k * total / p)]
    return np.stack(columns, axis=1)


# --- The model ------------------------------------------------------------------------------------


def test_answers_are_sums_modulo_p():
    assert grokking.sum_table(5).tolist() == [[(a + b) % 5 for b in range(5)] for a in range(5)]
    with pytest.raises(ValueError, match="below 2"):
        grokking.sum_table(1)


def test_the_adder_is_a_transformer_layer_that_runs_over_all_three_tokens():
    model = tiny()
    a = torch.tensor([0, 3, 6, 2])
    b = torch.tensor([5, 3, 0, 6])
    ids = torch.stack([a, b, torch.full_like(a, 7)], dim=1)  # (N, 3)
    with torch.no_grad():
        x = F.embedding(ids, model.embedding) + model.position
        q, k, v = (
            (x @ w).view(4, 3, 3, 4).transpose(1, 2) for w in (model.w_q, model.w_k, model.w_v)
        )
        z = F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).flatten(2)
        x = x + z @ model.w_o
        x = x + F.linear(F.relu(F.linear(x, model.w_in.T, model.b_in)), model.w_out.T, model.b_out)
        torch.testing.assert_close(model(a, b), (x @ model.unembedding)[:, -1])


def test_the_table_holds_the_logits_of_every_pair_and_the_order_of_a_and_b_matters():
    model = tiny()
    with torch.no_grad():
        table = model.table()
        for a, b in itertools.product(range(7), repeat=2):
            torch.testing.assert_close(table[a, b], model(torch.tensor([a]), torch.tensor([b]))[0])
    assert not torch.allclose(table, table.transpose(0, 1), atol=1e-3)


def test_heads_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="choose a divisor of 12"):
        grokking.ModularAdder(7, d_model=12, n_head=5)


def test_a_split_has_its_share_at_random_and_repeats_with_its_seed():
    train = grokking.split(31, 0.4, dice())
    assert train.shape == (31, 31) and train.dtype == torch.bool and train.sum() == int(0.4 * 961)
    assert torch.equal(train, grokking.split(31, 0.4, dice())) and not torch.equal(
        train, grokking.split(31, 0.4, dice(1))
    )
    # no block of rows
    assert abs(train[:15].double().mean() - 0.4) < 5 * math.sqrt(0.24 / (15 * 31))
    for share in (0, 1, 1.2):
        with pytest.raises(ValueError, match="leaves one part empty"):
            grokking.split(31, share, dice())


def test_loss_and_accuracy_are_those_of_torch_over_the_marked_pairs():
    logits = draw(2, 5, 5, 5)
    pairs = grokking.split(5, 0.5, dice())
    losses, accuracies = grokking.loss_and_accuracy(logits, pairs)
    for x, loss, accuracy in zip(logits, losses, accuracies, strict=True):
        chosen = [(x[a, b], (a + b) % 5) for a, b in pairs.nonzero().tolist()]
        want = sum(F.cross_entropy(row[None], torch.tensor([y])) for row, y in chosen) / len(chosen)
        torch.testing.assert_close(loss, want)
        assert math.isclose(
            accuracy, sum(int(row.argmax()) == y for row, y in chosen) / len(chosen), rel_tol=1e-6
        )


# --- Training -------------------------------------------------------------------------------------


def test_a_run_memorises_keeps_snapshots_and_repeats_with_its_seed():
    train = grokking.split(7, 0.6, dice())
    models = [tiny(seed=3), tiny(seed=3)]
    first, second = (
        grokking.train_adder(model, train, steps=120, lr=0.01, every=40) for model in models
    )
    assert first.steps == [0, 40, 80, 120] and first.embeddings.shape == (4, 7, 12)
    assert (
        grokking.loss_and_accuracy(first.logits[-1], train)[1] == 1
        and grokking.loss_and_accuracy(first.logits[0], train)[1] < 0.5
    )
    assert torch.equal(first.logits, second.logits) and torch.equal(
        first.logits[-1], models[0].table().detach()
    )
    torch.testing.assert_close(
        first.norms[-1], sum((p.detach() ** 2).sum() for p in models[0].parameters())
    )
    torch.testing.assert_close(first.embeddings[-1], models[0].embedding[:7].detach())


def test_only_training_pairs_are_learned_from():
    train = grokking.split(7, 0.6, dice())
    model = tiny()
    seen = set()
    real = model.forward
    model.forward = lambda a, b: (
        seen.update(zip(a.tolist(), b.tolist(), strict=True)) if len(a) < 49 else None
    )
    with pytest.raises(AttributeError):  # the spy gives no logits
        grokking.train_adder(model, train, steps=1)
    model.forward = lambda a, b: (
        seen.update(zip(a.tolist(), b.tolist(), strict=True)) if len(a) < 49 else None,
        real(a, b),
    )[1]
    grokking.train_adder(model, train, steps=2, every=2)
    assert seen == {tuple(pair) for pair in train.nonzero().tolist()}


def test_weight_decay_makes_the_weights_small_and_the_bar_is_used():
    train = grokking.split(7, 0.6, dice())
    steps = []

    def bar(numbers):
        for n in numbers:
            steps.append(n)
            yield n

    free = grokking.train_adder(tiny(), train, steps=150, lr=0.01, weight_decay=0.0, bar=bar)
    bound = grokking.train_adder(tiny(), train, steps=150, lr=0.01, weight_decay=1.0)
    assert steps == list(range(1, 151)) and bound.norms[-1] < 0.7 * free.norms[-1]


# --- Fourier measures -----------------------------------------------------------------------------


@pytest.mark.parametrize("p", [6, 7])
def test_the_power_of_a_frequency_is_its_share_of_explicit_sums(p):
    x = draw(3, p, 4, dtype=torch.float64)
    power = grokking.frequency_power(x)
    numbers = np.arange(p)
    for rows, shares in zip(x.numpy(), power.numpy(), strict=True):
        sums = [  # over both entries of a wave, k and p - k, which are one where k = p / 2
            sum(
                sum(np.abs((rows.T * np.exp(-2j * np.pi * j * numbers / p)).sum(-1)) ** 2)
                for j in {k, p - k}
            )
            for k in range(1, p // 2 + 1)
        ]
        np.testing.assert_allclose(shares, np.array(sums) / sum(sums))


@pytest.mark.parametrize(
    ("p", "frequencies"), [(7, [1]), (7, [3, 1]), (7, []), (8, [4, 2]), (9, [1, 2, 3, 4])]
)
def test_restricted_logits_are_the_least_squares_fit_of_the_waves(p, frequencies):
    logits = draw(p, p, 5, dtype=torch.float64)
    basis = waves(p, frequencies)
    flat = logits.view(p * p, 5).numpy()
    want = basis @ np.linalg.lstsq(basis, flat, rcond=None)[0]
    np.testing.assert_allclose(
        grokking.restricted_logits(logits, frequencies).view(p * p, 5).numpy(), want, atol=1e-10
    )


@pytest.mark.parametrize("p", [7, 8])
def test_excluded_logits_hold_none_of_the_waves_and_the_same_mean(p):
    logits = draw(p, p, 3, dtype=torch.float64)
    out = grokking.excluded_logits(logits, [1, 3])
    left = waves(p, [1, 3])[:, 1:].T @ out.view(p * p, 3).numpy()
    assert np.abs(left).max() < 1e-10
    torch.testing.assert_close(out.mean((0, 1)), logits.mean((0, 1)))
    torch.testing.assert_close(grokking.excluded_logits(out, [1, 3]), out)


def test_all_frequencies_together_keep_the_mean_over_pairs_with_the_same_sum():
    logits = draw(2, 7, 7, 4)
    sums = grokking.by_sum(logits)
    for s in range(7):
        pairs = [(a, b) for a in range(7) for b in range(7) if (a + b) % 7 == s]
        torch.testing.assert_close(
            sums[:, s], torch.stack([logits[:, a, b] for a, b in pairs]).mean(0)
        )
    torch.testing.assert_close(
        grokking.restricted_logits(logits[0], [1, 2, 3]),
        sums[0][grokking.sum_table(7)],
        atol=1e-5,
        rtol=1e-4,
    )


@pytest.mark.parametrize("frequencies", [[], [2], [3, 1], [1, 2, 3]])
def test_the_restricted_loss_is_the_loss_of_the_restricted_logits(frequencies):
    logits = 3 * draw(2, 7, 7, 7)
    got = grokking.restricted_loss(grokking.by_sum(logits), frequencies)
    for x, loss in zip(logits, got, strict=True):
        kept = grokking.restricted_logits(x, frequencies)
        torch.testing.assert_close(
            loss,
            F.cross_entropy(kept.view(49, 7), grokking.sum_table(7).flatten()),
            atol=1e-5,
            rtol=1e-4,
        )


def test_without_its_only_frequency_a_model_of_one_wave_knows_nothing():
    angle = 2 * math.pi * 2 * (grokking.sum_table(7)[..., None] - torch.arange(7)) / 7
    logits = 9 * angle.cos()  # (7, 7, 7), highest where the answer is a + b
    everything = torch.ones(7, 7, dtype=torch.bool)
    assert grokking.loss_and_accuracy(logits, everything)[1] == 1
    for out in (grokking.excluded_logits(logits, [2]), grokking.restricted_logits(logits, [1, 3])):
        assert math.isclose(
            grokking.loss_and_accuracy(out, everything)[0], math.log(7), rel_tol=1e-4
        )
    assert grokking.key_frequencies(logits) == [2]


def test_a_memorised_table_of_random_answers_has_no_key_frequency():
    right = torch.randint(11, (11, 11), generator=dice())
    power = grokking.frequency_power(grokking.by_sum(9.0 * F.one_hot(right, 11)))
    assert (
        power.max() < 0.6 and len(grokking.key_frequencies(9.0 * F.one_hot(right, 11).float())) >= 4
    )


def test_key_frequencies_are_the_fewest_that_hold_the_share():
    angle = 2 * math.pi * (grokking.sum_table(11)[..., None] - torch.arange(11)) / 11
    logits = 3 * (2 * angle).cos() + 2 * (5 * angle).cos() + 1 * angle.cos()  # powers 9, 4 and 1
    assert grokking.key_frequencies(logits, 0.5) == [2]
    assert grokking.key_frequencies(logits, 0.9) == [2, 5] and grokking.key_frequencies(
        logits, 0.95
    ) == [2, 5, 1]


@pytest.mark.parametrize("bad", [[0], [4], [1, -1], [1.5]])
def test_what_is_no_frequency_is_refused(bad):
    for call in (grokking.restricted_logits, grokking.excluded_logits):
        with pytest.raises(ValueError, match="from 1 to 3"):
            call(draw(7, 7, 2), bad)
    with pytest.raises(ValueError, match="from 1 to 3"):
        grokking.restricted_loss(draw(7, 7), bad)


@pytest.mark.parametrize("p", [7, 8])
def test_the_power_of_a_frequency_is_its_share_of_the_variance(p):
    x = draw(p, 3, dtype=torch.float64)
    a = torch.arange(p, dtype=torch.float64)
    centred = x - x.mean(0)
    shares = []
    for k in range(1, p // 2 + 1):
        angle = 2 * math.pi * k * a / p
        # (p, 2); at k = p / 2 the sine is 0 everywhere
        waves = torch.stack([angle.cos(), angle.sin()], dim=-1)
        part = waves @ torch.linalg.pinv(waves, rtol=1e-9) @ centred  # (p, 3)
        shares.append(part.square().sum() / centred.square().sum())
    torch.testing.assert_close(grokking.frequency_power(x), torch.stack(shares))
