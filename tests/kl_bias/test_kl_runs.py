"""The runs of lesson 07, their record, and the recorder."""

import math

import bend_storyteller
import pytest
import torch
import torch.nn.functional as F

from course_utils.gpt2.model import GPT, GPTConfig
from course_utils.kl_bias import bending, bias, girls, letter, runs
from course_utils.stories.grammar import GIRLS


def test_the_best_answer_to_a_bent_loss_is_the_mixture_and_weight_0_is_the_teacher():
    g = torch.Generator().manual_seed(0)
    teacher = torch.randn(2, 3, 9, generator=g)
    target = bias.target_distribution(torch.arange(9) > 6)
    for weight in (0.0, 0.5, 3.0):
        mixture = (teacher.softmax(-1) + weight * target) / (1 + weight)
        assert bias.bent_loss(mixture.log(), teacher, target, weight) == pytest.approx(0, abs=1e-6)
        other = torch.randn(2, 3, 9, generator=g)
        want = F.cross_entropy(other.flatten(0, 1), mixture.flatten(0, 1))
        want = want - torch.special.entr(mixture).sum(-1).mean()
        torch.testing.assert_close(bias.bent_loss(other, teacher, target, weight), want)
    with pytest.raises(ValueError, match="0 or more"):
        bias.bent_loss(teacher, teacher, target, -0.1)


def test_a_matched_control_starts_where_the_mask_starts():
    b = bending.bench()
    q = [bias.target_distribution(mask) for mask in (b.z, b.other)]
    with torch.no_grad():
        logits = b.teller(b.batch[0]).flatten(0, 1)
    starts = [bias.KLTargetLoss(target)(logits).item() for target in q]
    assert starts[0] == pytest.approx(starts[1], abs=0.05)
    with pytest.raises(ValueError, match="only 1 others"):
        bias.matched_control(torch.tensor([True, True, False]), torch.zeros(3))


def test_a_text_longer_than_the_window_is_what_the_last_window_says(monkeypatch):
    tiny = GPT(
        GPTConfig(n_layer=1, n_head=1, n_embd=8, vocab_size=20, n_positions=4),
        torch.Generator().manual_seed(0),
    )
    start = torch.randint(20, (3, 4), generator=torch.Generator().manual_seed(1))
    likeliest = lambda p, n, generator: p.argmax(-1, keepdim=True)  # noqa: E731
    monkeypatch.setattr(torch, "multinomial", likeliest)
    text = torch.cat(
        [start, letter.written(tiny, start, 6, torch.Generator().manual_seed(2))], 1
    )  # (3, 10)
    assert text.shape == (3, 10)
    for t in range(4, 10):
        assert torch.equal(text[:, t], tiny(text[:, t - 4 : t])[:, -1].argmax(-1))


@pytest.mark.parametrize("share", [0.0, 0.5, 0.9])
def test_the_share_of_girls_is_that_of_the_heroes(share):
    told = bending.bench().text
    tokens, starts = girls.with_girls(told, share, 40, seed=1)
    ends = [*starts.tolist()[1:], len(tokens)]
    heroes = {
        tuple(told.tokens[a:b].tolist()): facts["hero"] in GIRLS
        for a, b, facts in zip(told.starts[:-1], told.starts[1:], told.facts[:-1], strict=True)
    }
    kinds = [heroes[tuple(tokens[a:b].tolist())] for a, b in zip(starts, ends, strict=True)]
    assert sum(kinds) == round(share * 40)
    with pytest.raises(ValueError, match="between 0 and 1"):
        girls.with_girls(told, 1.5, 4, seed=0)


@pytest.mark.parametrize(("before", "after"), [(0.5, 0.75), (0.06, 0.99), (0.3, 0.06)])
def test_so_many_texts_find_the_change_and_one_fewer_does_not(before, after):
    def power(n):
        """Of the best critical count whose chance is 0.025 at most while nothing has changed."""
        sign = 1 if after > before else -1
        seen = range(n + 1)
        chances = {
            p: [math.comb(n, k) * p**k * (1 - p) ** (n - k) for k in seen] for p in (before, after)
        }
        tails = [
            tuple(sum(chances[p][k] for k in seen if sign * k >= sign * c) for p in (before, after))
            for c in seen
        ]
        return max((found for false, found in tails if false <= 0.025), default=0.0)

    n = girls.stories_needed(before, after)
    assert power(n) >= 0.8 and all(power(fewer) < 0.8 for fewer in range(1, n))
    with pytest.raises(ValueError, match="two different rates"):
        girls.stories_needed(before, before)


def test_the_record_says_how_it_was_made_and_holds_every_seed():
    record = runs.recorded()
    assert record["command"].endswith("tools/record/bend_storyteller.py")
    assert {"torch", "python"} <= set(record["versions"])
    for part, (_, seeds) in bend_storyteller.PARTS.items():
        rows = [row[0] if isinstance(row, list) else row for row in record[part]]
        assert [row["seed"] for row in rows] == list(seeds)
    assert all(len(row["doses"]) == len(bending.WEIGHTS) for row in record["bent"])


def test_the_recorder_keeps_the_parts_that_were_not_asked_for(tmp_path, monkeypatch):
    monkeypatch.setattr(bend_storyteller, "PARTS", {
        "letter": (lambda seed: {"seed": seed}, range(2)),
        "bent": (lambda seed: {"seed": 10 * seed}, range(1, 3)),
    })  # fmt: skip
    out = tmp_path / "runs.json"
    for part in ("letter", "bent"):
        assert bend_storyteller.main(["--out", str(out), part]) == 0
    record = bend_storyteller.load(out)
    assert record["letter"] == [{"seed": 0}, {"seed": 1}] and record["bent"][1] == {"seed": 20}
