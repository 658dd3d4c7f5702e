"""Compute at test time against counting, simulation, the binomial law, and a model that is known to
be right or wrong.
"""

import json
from collections import Counter
from itertools import combinations
from math import comb

import numpy as np
import pytest
import torch
from scipy import stats

from course_utils.test_time_compute import running_sum as test_time_compute

TASK = test_time_compute.RunningSum(p=7, n=5, weight=3)


def gen(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("n", [1, 4, 7])
def test_pass_at_k_counts_choices(n):
    for c in range(n + 1):
        for k in range(1, n + 1):
            share = np.mean([min(choice) < c for choice in combinations(range(n), k)])
            assert test_time_compute.pass_at_k(n, c, k) == pytest.approx(share)
            assert test_time_compute.pass_at_k(n, c, k) == pytest.approx(
                stats.hypergeom(n, c, k).sf(0)
            )


def test_pass_at_k_is_unbiased_and_the_plugged_in_estimate_is_not():
    p, n, k = 0.15, 12, 8
    truth = 1 - (1 - p) ** k
    weight = stats.binom(n, p).pmf(np.arange(n + 1))
    ours = sum(w * test_time_compute.pass_at_k(n, c, k) for c, w in enumerate(weight))
    plugged = sum(w * (1 - (1 - c / n) ** k) for c, w in enumerate(weight))
    assert ours == pytest.approx(truth, rel=1e-12) and plugged < truth - 0.02


@pytest.mark.parametrize("arguments", [(4, 5, 1), (4, -1, 1), (4, 1, 5), (4, 1, 0)])
def test_pass_at_k_refuses_counts_that_cannot_be(arguments):
    with pytest.raises(ValueError, match="c is between 0 and n"):
        test_time_compute.pass_at_k(*arguments)


def test_the_vote_is_pythons_counter():
    answers = torch.randint(0, 4, (300, 7), generator=gen())
    assert test_time_compute.majority_vote(answers).tolist() == [
        Counter(row).most_common(1)[0][0] for row in answers.tolist()
    ]


def test_the_best_has_the_highest_score_and_each_answer_needs_one():
    answers = torch.randint(0, 9, (50, 6), generator=gen(1))
    scores = torch.rand(50, 6, generator=gen(2))
    assert test_time_compute.best_of(answers, scores).tolist() == [
        row[s.index(max(s))] for row, s in zip(answers.tolist(), scores.tolist(), strict=True)
    ]
    assert test_time_compute.best_of(torch.tensor([[4, 5]]), torch.tensor([[1.0, 1.0]])).item() == 4
    with pytest.raises(ValueError, match="each answer needs one score"):
        test_time_compute.best_of(answers, scores[:, :3])


@pytest.mark.parametrize("k", [1, 2, 7, 40])
def test_the_majority_of_two_answers_is_binomial(k):
    for p in (0.0, 0.3, 0.5, 0.8, 1.0):
        votes = stats.binom(k, p)
        draw = votes.pmf(k / 2) / 2 if k % 2 == 0 else 0
        assert test_time_compute.majority_of_two(p, k) == pytest.approx(votes.sf(k / 2) + draw)
    assert (
        test_time_compute.majority_of_two(0.45, 41)
        < test_time_compute.majority_of_two(0.45, 5)
        < 0.45
        < 0.55
        < test_time_compute.majority_of_two(0.55, 5)
    )


def test_rows_hold_the_problem_and_the_right_answer_in_every_style():
    digits = TASK.problems(40, gen())
    for style, m in (("direct", 1), ("filler", 5), ("steps", 5)):
        rows = TASK.rows(digits, style)
        assert rows.shape == (40, 6 + m) and (rows[:, 5] == 7).all()
        assert rows[:, -1].tolist() == [3 * sum(row) % 7 for row in digits.tolist()]
    assert TASK.rows(digits, "steps")[:, 6:].tolist() == [
        [3 * sum(row[: i + 1]) % 7 for i in range(5)] for row in digits.tolist()
    ]
    assert (TASK.rows(digits, "filler")[:, 6:-1] == 8).all()
    with pytest.raises(ValueError, match="direct, filler, steps"):
        TASK.rows(digits, "aloud")


def test_digits_are_uniform_and_a_batch_scores_answers_only():
    counts = torch.bincount(TASK.problems(4000, gen()).flatten(), minlength=7)
    assert stats.chisquare(counts.numpy()).pvalue > 0.001
    inputs, targets = TASK.batches("steps", 8)(gen())
    assert inputs.shape == targets.shape == (8, 10) and (targets[:, :5] == -100).all()
    assert torch.equal(targets[:, 5:], TASK.sums(inputs[:, :5]))
    logits = torch.randn(8, 10, 9, generator=gen(1))
    want = -logits.log_softmax(-1)[:, 5:].gather(-1, targets[:, 5:, None]).mean()
    assert test_time_compute.sum_loss(
        lambda ids: logits, (inputs, targets)
    ).item() == pytest.approx(want.item(), rel=1e-5)


class Scripted(torch.nn.Module):
    """Gives each next token of the right answer the probability q, shares the rest among the other
    digits.
    """

    def __init__(self, task, style, q):
        super().__init__()
        self.task = task
        self.style = style
        self.q = q
        self.h = [None]
        self.seen = None

    def forward(self, ids, caches):
        self.seen = ids if self.seen is None else torch.cat([self.seen, ids], 1)
        digits = self.seen[:, : self.task.n]
        written = self.seen.size(1) - self.task.n - 1
        right = self.task.rows(digits, self.style)[:, self.task.n + 1 + written]
        p = torch.full((len(ids), self.task.p + 2), (1 - self.q) / (self.task.p - 1))
        p[:, self.task.p :] = 0
        p.scatter_(1, right[:, None], self.q)
        return p.log()[:, None]


def test_samples_follow_the_models_probabilities_and_its_temperature():
    digits = TASK.problems(200, gen())
    for temperature, q in ((1.0, 0.9), (2.0, 0.9), (0.5, 0.4)):
        written = TASK.sample(Scripted(TASK, "steps", q), digits, "steps", 20, temperature, gen(1))
        assert written.shape == (200, 20, 5)
        hot = q ** (1 / temperature)
        hot /= hot + 6 * ((1 - q) / 6) ** (1 / temperature)
        right = (written == TASK.sums(digits)[:, None]).float()
        assert right.mean().item() == pytest.approx(hot, abs=0.015)
    greedy = TASK.sample(Scripted(TASK, "direct", 0.3), digits, "direct", 1, 0, gen())
    assert torch.equal(greedy[:, 0, 0], TASK.sums(digits)[:, -1])


def test_the_verifier_accepts_exactly_what_follows_step_by_step():
    digits = TASK.problems(300, gen())
    good = TASK.sums(digits)[:, None].repeat(1, 4, 1)
    assert TASK.verify(digits, good).all()
    for i in range(5):
        bad = good.clone()
        bad[:, 2, i] = (bad[:, 2, i] + 1) % 7
        assert (
            TASK.verify(digits, bad)[:, [0, 1, 3]].all()
            and not TASK.verify(digits, bad)[:, 2].any()
        )


def test_coverage_is_the_mean_over_problems_and_chance_is_what_guessing_gives():
    right = torch.rand(400, 64, generator=gen()) < 0.1
    for k in (1, 8, 32):
        assert test_time_compute.coverage(right, k) == pytest.approx(1 - 0.9**k, abs=0.02)
        assert test_time_compute.coverage(right, k) == pytest.approx(
            np.mean([1 - comb(64 - c, k) / comb(64, k) for c in right.sum(1).tolist()])
        )


def test_the_stored_model_errs_in_about_half_of_its_samples_and_seldom_when_it_takes_the_likeliest():
    task, model = test_time_compute.half_trained()
    digits = task.problems(150, gen(5))
    want = task.sums(digits)[:, -1:]
    greedy = (task.sample(model, digits, "steps", 1, 0, gen())[:, :, -1] == want).float().mean()
    warm = (task.sample(model, digits, "steps", 16, 1.0, gen())[:, :, -1] == want).float().mean()
    assert greedy > 0.85 and 0.3 < warm < 0.6


def test_the_record_says_that_only_written_steps_were_learned():
    record = json.loads(test_time_compute.RECORD.read_text())
    accuracy = {
        style: [row["accuracy"] for row in record["rows"] if row["style"] == style]
        for style in test_time_compute.STYLES
    }
    assert min(accuracy["steps"]) > 0.99 and max(accuracy["direct"] + accuracy["filler"]) < 0.15
    assert len({row["tokens"] for row in record["rows"]}) == 1 and record["command"]
