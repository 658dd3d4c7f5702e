"""Search over steps, verifiers that err and prices, against simulation, counting and a model that is
known.
"""

import json
import math

import pytest
import torch
import train_running_sum

from course_utils.test_time_compute import running_sum, search


def gen(seed=0):
    return torch.Generator().manual_seed(seed)


def test_a_step_search_takes_as_many_draws_as_the_geometric_law_says():
    """Each draw is accepted with chance q; after `tries` the last one stays."""
    q, tries, steps, B = 0.3, 4, 5, 4000
    dice = gen(1)
    written, draws = search.step_search(
        lambda written: (torch.rand(B, generator=dice) < q).long(),
        lambda written, step: step == 1,
        B,
        steps,
        tries,
    )
    assert written.shape == (B, steps)
    assert written.float().mean() == pytest.approx(1 - (1 - q) ** tries, abs=0.01)
    expected = sum((1 - q) ** t for t in range(tries))
    assert draws / steps == pytest.approx(expected, abs=0.03)
    with pytest.raises(ValueError, match="at least once"):
        search.step_search(None, None, 1, 1, 0)


def test_a_comparison_without_greedy_or_without_a_price_is_refused():
    with pytest.raises(ValueError, match="needs its baseline"):
        search.frontier([("vote", 2.0, 0.5)])
    with pytest.raises(ValueError, match="needs its FLOP"):
        search.frontier([("greedy", 0.0, 0.5)])


def test_a_noisy_verifier_turns_that_share_and_bayes_says_what_passes():
    p, flips = 0.2, 0.1
    right = torch.rand(200_000, generator=gen(2)) < p
    passed = search.noisy(right, flips, gen(3))
    assert (passed != right).float().mean() == pytest.approx(flips, abs=0.003)
    share = right[passed].float().mean().item()
    assert search.right_if_passed(p, flips) == pytest.approx(share, abs=0.01)
    assert search.right_if_passed(0.0, 0.0) == 0.0


def test_the_chances_of_steps_are_those_with_which_the_model_writes_them():
    task, models = search.early_models()
    digits = task.problems(3, gen(4))
    written = task.sample(models[0], digits, "steps", 2, 1.0, gen(5))
    got = search.step_chances(task, models[0], digits, written)
    for b in range(3):
        row = task.prompt(digits[b : b + 1])
        for i in range(task.n):
            with torch.no_grad():
                p = models[0](row)[0, -1].softmax(-1)[written[b, 1, i]].item()
            assert got[b, 1, i].item() == pytest.approx(p, rel=1e-3)
            row = torch.cat([row, written[b : b + 1, 1, i : i + 1]], 1)


def test_a_beam_of_one_is_greedy_and_a_wider_one_finds_likelier_answers():
    task, models = search.early_models()
    digits = task.problems(100, gen(6))
    model = models[0]
    greedy = task.sample(model, digits, "steps", 1, 0, None)[:, 0]
    assert torch.equal(search.beam_over_steps(task, model, digits, 1, model), greedy)
    wide = search.beam_over_steps(task, model, digits, 6, model)
    logp = [
        search.step_chances(task, model, digits, w[:, None]).log().sum(-1) for w in (greedy, wide)
    ]
    assert (logp[1] > logp[0] - 1e-4).float().mean() > 0.97
    assert logp[1].mean() > logp[0].mean()


def test_a_token_costs_two_flop_a_weight():
    assert search.flop_a_token(torch.nn.Linear(5, 7)) == 2 * (35 + 7)


def test_the_early_models_err_in_about_half_and_the_told_targets_are_those_of_the_steps():
    task, models = search.early_models()
    digits = task.problems(400, gen(7))
    for model in models:
        said = task.sample(model, digits, "steps", 1, 0, None)[:, 0, -1]
        assert 0.35 < (said == task.sums(digits)[:, -1]).float().mean() < 0.95
    told = task.batches("told", 6)(gen(8))
    steps = task.batches("steps", 6)(gen(8))
    assert torch.equal(told[1], steps[1])
    assert (told[0][:, task.n + 1 :] == task.p + 1).all()
    assert task.answer_silently(models[0], digits).shape == (400, task.n)


def test_every_row_of_the_trade_has_its_price_and_each_point_its_greedy():
    rows = search.recorded_trade()["rows"]
    points = {(r["seed"], r["steps"]) for r in rows}
    greedy = {(r["seed"], r["steps"]) for r in rows if r["way"] == "greedy"}
    assert points == greedy
    assert all(r["training"] > 0 and r["answer"] > 0 and 0 <= r["accuracy"] <= 1 for r in rows)


def test_the_tool_writes_what_the_lesson_reads(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(train_running_sum, "SEEDS", (0,))
    monkeypatch.setattr(train_running_sum, "TOKENS", 2000)
    monkeypatch.setattr(
        train_running_sum,
        "EARLY_STOP",
        dict(train_running_sum.EARLY_STOP, steps=20, every=10, greedy=0.0),
    )
    monkeypatch.setattr(train_running_sum, "LOUD", math.inf)
    monkeypatch.setattr(train_running_sum, "HALF", dict(width=16, steps=2, below=0.3))
    assert train_running_sum.main(["--out", str(tmp_path)]) == 0
    assert "stopped early" in capsys.readouterr().out
    trade = json.loads((tmp_path / "trade.json").read_text())
    assert trade["rows"][0].keys() == search.recorded_trade()["rows"][0].keys()
    styles = json.loads((tmp_path / "test_time.json").read_text())["rows"]
    assert [r["style"] for r in styles] == [*running_sum.STYLES, "told"]
    assert styles[0].keys() == running_sum.recorded()["rows"][0].keys()
