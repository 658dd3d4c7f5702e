"""The small GPT-2 that comes with the course: its file, its card, and the script that trains it, on
one process and on two.
"""

import json
import re

import numpy as np
import pytest
import torch
import train_storyteller
from launching import two_processes

from course_utils.gpt2.model import GPT
from course_utils.pretrained import STORYTELLER, storyteller
from course_utils.stories.corpus import entropy_per_token, stories
from course_utils.stories.grammar import VOCAB
from course_utils.training import evaluate


@pytest.fixture(scope="module")
def model():
    return storyteller()


@pytest.fixture(scope="module")
def card():
    return STORYTELLER.with_suffix(".md").read_text(encoding="utf-8")


def test_it_fits_into_the_repository_and_is_as_the_script_says(model):
    assert STORYTELLER.stat().st_size <= 12e6
    assert {
        key: getattr(model.config, key) for key in train_storyteller.CONFIG
    } == train_storyteller.CONFIG
    assert not model.training and model.config.vocab_size == len(VOCAB)


def test_its_card_states_the_loss_that_it_has_on_unseen_stories(model, card):
    said, best = map(
        float, re.search(r"unseen stories\*\* ([\d.]+) nats.* has ([\d.]+) on", card).groups()
    )
    batches, perfect = train_storyteller.held_out(60_000, model.config.n_positions)
    loss = evaluate(model, batches)
    assert (said, best) == (pytest.approx(loss, abs=2e-3), pytest.approx(perfect, abs=1e-4))
    assert best < loss < best + 0.1 and f"{entropy_per_token():.4f}" in card
    assert f"{sum(p.numel() for p in model.parameters()):,} parameters" in card


def test_two_processes_give_the_loss_curve_of_one_and_the_same_model(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(train_storyteller, "ROOT", tmp_path)
    common = ["--steps=6", "--tokens=20000", "--batch=4", "--test-tokens=4000"]
    files = {n: [tmp_path / f"{n}.safetensors", tmp_path / f"{n}.json"] for n in ("one", "two")}
    two_processes(
        train_storyteller.__file__,
        *common,
        *(f"--{k}={f}" for k, f in zip(("out", "history"), files["two"], strict=True)),
    )
    assert (
        train_storyteller.main(
            [
                *common,
                *(f"--{k}={f}" for k, f in zip(("out", "history"), files["one"], strict=True)),
            ]
        )
        == 0
    )
    one, two = (json.loads(history.read_text()) for _, history in files.values())
    np.testing.assert_allclose(two, one, atol=1e-4)
    assert len(one) == 6 and one[-1] < one[0] - 0.5
    for (name, x), (_, y) in zip(
        *(GPT.load(file).state_dict().items() for file, _ in files.values()), strict=True
    ):
        torch.testing.assert_close(x, y, atol=2e-3, rtol=0, msg=name)
    assert "a perfect model has" in capsys.readouterr().out and (tmp_path / "one.md").exists()
    assert not list((tmp_path / "build").glob("*"))


def test_the_windows_it_is_tested_on_begin_with_a_story():
    batches, best = train_storyteller.held_out(3000, T=32)
    unseen = stories(train_storyteller.UNSEEN, 3000)
    first = torch.cat([inputs[:, 0] for inputs, _ in batches])
    assert len(first) > 5 and torch.equal(first, unseen.tokens[unseen.starts[: len(first)]])
    told = torch.cat(
        [unseen.surprisal[start + 1 : start + 33] for start in unseen.starts[: len(first)].tolist()]
    )
    assert best == pytest.approx(told.mean().item(), rel=1e-5)
