"""Lesions and weight statistics against independent computations, and the switch between the two
trained models.
"""

import numpy as np
import pytest
import torch
from scipy import stats

from course_utils.gpt2.model import GPT, GPTConfig
from course_utils.inside_gpt2.breaking import (
    excess_kurtosis,
    matrices,
    noise_like,
)
from course_utils.pretrained import trained
from course_utils.stories.corpus import surprisal
from course_utils.stories.grammar import VOCAB
from course_utils.training import evaluate


def seeded(seed):
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def model():
    return GPT(
        GPTConfig(n_layer=3, n_head=2, n_embd=8, vocab_size=20, n_positions=16), seeded(0)
    ).eval()


# --- Breaking -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("matrix", "part"), [("W_Q", 0), ("W_K", 1), ("W_V", 2)])
def test_the_names_are_those_parts_of_the_attention_that_they_stand_for(model, matrix, part):
    attn = model.h[1].attn
    d = model.config.n_embd
    with torch.no_grad():
        matrices(model, 1, matrix)[0].zero_()
        x = torch.randn(1, 5, d, generator=seeded(2))
        # what the layer computes as queries, keys and values
        made = attn.c_attn(x).unflatten(-1, (3, d))
    assert torch.equal(made[..., part, :], attn.c_attn.bias.view(3, d)[part].expand(1, 5, d))
    assert all(made[..., other, :].abs().max() > 0 for other in {0, 1, 2} - {part})


def test_the_noise_has_the_mean_and_the_spread_of_what_it_replaces_and_nothing_of_its_order():
    weight = 0.3 + 0.05 * torch.randn(400, 400, generator=seeded(3))
    noise = noise_like(weight, seeded(4))
    assert noise.mean().item() == pytest.approx(0.3, abs=1e-3)
    assert noise.std().item() == pytest.approx(0.05, rel=0.01)
    assert abs(np.corrcoef(noise.flatten(), weight.flatten())[0, 1]) < 0.01
    assert torch.equal(noise, noise_like(weight, seeded(4)))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: matrices(m, 0, "W_X"), "W_Q, W_K, W_V, W_O, MLP"),
        (lambda m: matrices(m, 3, "W_Q"), "the model has 3"),
        (lambda m: matrices(m, -1, "W_Q"), "counted from 0"),
    ],
)
def test_mistakes_are_named(model, call, message):
    with pytest.raises(ValueError, match=message):
        call(model)


# --- Numbers about numbers ------------------------------------------------------------------------


def test_statistics_agree_with_scipy():
    x = torch.randn(5000, generator=seeded(7)) ** 3  # heavy tails
    assert excess_kurtosis(x) == pytest.approx(stats.kurtosis(x.double().numpy()), rel=1e-9)


def test_normal_weights_have_normal_tails():
    x = torch.randn(1_000_000, generator=seeded(8))
    assert abs(excess_kurtosis(x)) < 4 * (24 / 1e6) ** 0.5


# --- Which trained model --------------------------------------------------------------------------


def test_the_storyteller_is_tested_on_whole_beginnings_of_stories_and_its_best_loss_is_exact():
    talker = trained(n_windows=3)
    assert talker.windows.shape == (3, 257) and talker.words == list(VOCAB)
    exact = torch.stack([surprisal(row)[1:] for row in talker.windows])
    assert talker.best == pytest.approx(exact.mean().item(), abs=1e-5)
    assert talker.best < evaluate(talker.model, talker.batches) < 2 * talker.best
    inputs, targets = talker.batches[0]
    assert torch.equal(inputs[:, 1:], targets[:, :-1])


def test_the_switch_gives_the_published_model_with_its_own_tokens(monkeypatch):
    fake = GPT(GPTConfig(n_layer=1, n_head=2, n_embd=8, n_positions=300), seeded(0))
    asked = []
    monkeypatch.setattr(GPT, "from_pretrained", lambda name, timeout: asked.append(name) or fake)
    talker = trained(published=True, n_windows=2)
    assert asked == ["gpt2"] and talker.model is fake and not fake.training
    assert "OpenAI" in talker.note and talker.best is None
    assert (
        talker.encode("Hello world").tolist() == [15496, 995]
        and talker.decode([15496, 995]) == "Hello world"
    )
    assert len(talker.words) == 50_257 and talker.words[995] == " world"
    assert talker.windows.shape == (2, 257)
    assert talker.model(talker.batches[0][0]).shape == (2, 256, 50_257)


def test_without_the_hub_the_storyteller_steps_in_and_says_why(monkeypatch):
    def unreachable(name, timeout):
        raise ConnectionError("could not get config.json: no network")

    monkeypatch.setattr(GPT, "from_pretrained", unreachable)
    talker = trained(published=True, n_windows=2)
    assert "storyteller" in talker.note and "no network" in talker.note
    assert talker.model.config.vocab_size == len(VOCAB)
