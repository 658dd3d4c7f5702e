"""New pairs, suddenness, exact match and running sums against plain loops; the record against a run
of today.
"""

import math

import pytest
import torch

from course_utils import assets
from course_utils.grokking import measures, modular_addition
from course_utils.grokking.modular_addition import ModularAdder, split, sum_table, train_adder


def dice(seed=0):
    return torch.Generator().manual_seed(seed)


def tiny_run(steps=6):
    g = dice()
    train = split(7, 0.6, g)
    return train_adder(ModularAdder(7, 16, 4, 32, g), train, steps, every=2), train


def test_new_pairs_are_neither_trained_on_nor_mirrors():
    train = split(9, 0.4, dice(1))
    new = measures.new_pairs(train)
    for a in range(9):
        for b in range(9):
            assert bool(new[a, b]) == (not train[a, b] and not train[b, a])
    assert torch.equal(new, new.T) and not (new & train).any()


def test_steady_growth_has_four_and_a_longer_run_changes_nothing():
    steps = list(range(0, 101, 10))
    line = [s / 100 for s in steps]
    assert math.isclose(measures.suddenness(steps, line), 4)
    assert math.isclose(measures.suddenness([*steps, 500], [*line, 0.3]), 4)
    assert math.isclose(measures.suddenness([3 * s for s in steps], line), 4)
    late = measures.suddenness([0, 1000, 1010], [0.0, 0.0, 1.0])
    assert 1 < late < 1.01


@pytest.mark.parametrize("values", [[0.0, 0.3, 0.7], [0.3, 0.6, 0.9]])
def test_a_curve_without_a_rise_has_no_suddenness(values):
    with pytest.raises(ValueError, match="never reaches|begins above"):
        measures.suddenness([0, 1, 2], values)


def test_running_sums_go_on_from_what_the_model_said():
    answers = torch.randint(7, (2, 7, 7), generator=dice())
    numbers = torch.randint(7, (5, 4), generator=dice(1))
    got = measures.running_sums(answers, numbers)
    assert got.shape == (2, 5, 3)
    for m in range(2):
        for n, row in enumerate(numbers.tolist()):
            said = row[0]
            for i, number in enumerate(row[1:], 1):
                said = int(answers[m, said, number])
                assert bool(got[m, n, i - 1]) == (said == sum(row[: i + 1]) % 7)
    assert measures.running_sums(sum_table(7), numbers).all()


def test_exact_match_is_of_whole_sequences_and_not_a_power():
    together = torch.tensor([[True] * 4, [False] * 4])  # mistakes come together
    lengths = torch.tensor([4, 4])
    assert measures.exact_sequences(together, lengths) == 0.5  # and not 0.5 ** 4
    apart = torch.tensor([[True, False], [False, True]])
    assert measures.exact_sequences(apart, torch.tensor([2, 2])) == 0
    assert measures.exact_sequences(apart, torch.tensor([1, 2])) == 0.5


def test_early_stopping_takes_the_best_so_far():
    assert measures.early_stop([3, 2, 4, 5, 6, 1], patience=3) == 1
    assert measures.early_stop([3, 2, 4, 5, 1, 6], patience=3) == 4
    assert measures.early_stop([1.0], patience=3) == 0


def test_the_clock_is_the_shadow_on_the_last_waves():
    run, train = tiny_run()
    points = measures.clock(run.embeddings, 2)
    angle = 2 * math.pi * 2 * torch.arange(7) / 7
    for i, wave in enumerate((angle.cos(), angle.sin())):
        direction = (wave[:, None] * run.embeddings[-1]).sum(0)
        want = (run.embeddings * direction).sum(-1) / direction.norm()
        torch.testing.assert_close(points[..., i], want)
    film = measures.film(run, train)
    assert torch.equal(film["answers"].long(), run.logits.argmax(-1))
    with pytest.raises(ValueError, match="from 1 to 3"):
        measures.clock(run.embeddings, 4)


def test_the_curves_are_those_of_the_parts():
    run, train = tiny_run()
    curves = measures.curves(run, train, [1, 3])
    new = measures.new_pairs(train)
    parts = {
        "training pairs": train,
        "mirrors": ~train & ~new,
        "new pairs": new,
        "test pairs": ~train,
    }
    for name, pairs in parts.items():
        right = (run.logits.argmax(-1) == sum_table(7))[:, pairs].float().mean(-1)
        torch.testing.assert_close(curves[name], right)
    chosen = run.logits.softmax(-1)[:, torch.arange(7)[:, None], torch.arange(7), sum_table(7)]
    torch.testing.assert_close(curves["probability"], chosen[:, new].mean(-1))
    kept = modular_addition.restricted_logits(run.logits[-1], [1, 3])
    everything = torch.ones(7, 7, dtype=torch.bool)
    loss = modular_addition.loss_and_accuracy(kept, everything)[0]
    torch.testing.assert_close(curves["restricted"][-1], loss, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("decay", [1.0, 0.0])
def test_the_record_is_what_a_run_of_today_gives(decay):
    run, train = measures.train_from(1, decay, steps=50)
    row = next(r for r in measures.recorded(decay) if r["seed"] == 1)
    curves = measures.curves(run, train, row["frequencies"])
    for name, values in curves.items():
        torch.testing.assert_close(
            values, torch.tensor(row["curves"][name][: len(values)]), atol=0.02, rtol=0.05, msg=name
        )


def test_the_film_is_that_of_the_recorded_run():
    film = measures.recorded_film()
    row = measures.recorded(1.0)[0]
    assert film["steps"].tolist() == row["steps"][:33] and film["frequency"] in row["frequencies"]
    right = film["answers"].long() == sum_table(53)
    shares = right[:, film["train"].bool()].float().mean(-1)
    torch.testing.assert_close(
        shares, torch.tensor(row["curves"]["training pairs"][:33]), atol=1e-3, rtol=0
    )
    assert assets.path(measures.FILM).stat().st_size < 200_000
