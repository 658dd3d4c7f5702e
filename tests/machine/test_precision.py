"""Short number formats: chosen by what the card really computes in, and trained in without losing
small gradients.
"""

import math

import pytest
import torch
from accelerate import Accelerator

from course_utils import training as tr
from course_utils.gpt2.model import GPT, GPTConfig
from course_utils.kl_bias import bias as kb
from course_utils.machine.precision import MixedPrecision, half_precision

CARDS = {  # what torch says of it: computes bfloat16, compute capability
    "P100": (False, (6, 0), torch.float32), "V100": (False, (7, 0), torch.float16), "T4": (False, (7, 5), torch.float16),
    "A100": (True, (8, 0), torch.bfloat16), "L4": (True, (8, 9), torch.bfloat16), "H100": (True, (9, 0), torch.bfloat16),
}  # fmt: skip


@pytest.mark.parametrize("card", CARDS)
def test_a_format_that_the_card_only_emulates_is_not_taken(card, monkeypatch):
    computes, capability, expected = CARDS[card]
    monkeypatch.setattr(
        torch.cuda,
        "is_bf16_supported",
        lambda including_emulation=True: computes or including_emulation,
    )
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device=None: capability)
    assert half_precision("cuda") == half_precision(torch.device("cuda", 0)) == expected


@pytest.mark.parametrize("device", ["cpu", "mps"])
def test_without_cuda_nothing_is_shortened(device):
    assert half_precision(device) == torch.float32


def small(seed=0):
    return GPT(
        GPTConfig(n_layer=1, n_head=2, n_embd=16, vocab_size=60, n_positions=8),
        torch.Generator().manual_seed(seed),
    )


def trained(dtype, steps=40):
    model = small()
    run = kb.train_bias(model, torch.arange(60) < 5, steps, lr=0.01, B=4, T=8, dtype=dtype)
    return run, model


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_training_in_a_short_format_gives_nearly_the_same(dtype):
    plain = trained(torch.float32)[0]
    short = trained(dtype)
    assert {parameter.dtype for parameter in short[1].parameters()} == {torch.float32}
    assert short[0].losses != plain.losses  # it really was computed in another format
    assert short[0].losses == pytest.approx(plain.losses, abs=0.03)
    assert short[0].masses == pytest.approx(plain.masses, abs=0.03)


def test_float32_is_as_before():
    """Up to the last digits, which hang on where in memory a tensor lies."""
    run, model = trained(torch.float32, steps=5)
    other = small()
    mask = torch.arange(60) < 5
    generator = torch.Generator().manual_seed(0)
    optimizer = torch.optim.AdamW(other.parameters(), 0.01)
    loss_fn = kb.KLTargetLoss(kb.target_distribution(mask))
    losses = []
    for _ in range(5):
        loss = loss_fn(other(torch.randint(60, (4, 8), generator=generator))[:, -1])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert run.losses == pytest.approx(losses, rel=1e-5)
    for a, b in zip(model.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-3)  # a tenth of one step


def one_step(precision, size):
    """A step with gradients of this size: what the weight moved by."""
    weight = torch.ones(4, 4, requires_grad=True)
    optimizer = torch.optim.SGD([weight], lr=1.0)
    with precision.forward():
        y = torch.ones(1, 4) @ weight
    precision.step((y.float() * size).sum(), optimizer)
    return (1 - weight).abs().max().item(), weight.grad


def test_the_scale_saves_small_gradients_which_float16_alone_loses():
    assert one_step(MixedPrecision("cpu", torch.float16), 1e-8)[1].max().item() == pytest.approx(
        1e-8, rel=1e-3
    )
    bare = MixedPrecision("cpu", torch.float16)
    bare.scaler = torch.amp.GradScaler("cpu", enabled=False)
    assert one_step(bare, 1e-8)[1].abs().max() == 0


def test_a_step_whose_gradients_overflow_is_left_out_and_the_scale_falls():
    precision = MixedPrecision("cpu", torch.float16)
    before = precision.scaler.get_scale()
    assert one_step(precision, 1e3)[0] == 0 and precision.scaler.get_scale() == before / 2
    assert one_step(MixedPrecision("cpu", torch.bfloat16), 1e3)[0] == pytest.approx(1e3, rel=0.01)


def test_another_format_is_refused():
    with pytest.raises(ValueError, match="float32, bfloat16 or float16"):
        MixedPrecision("cpu", torch.int8)


# --- In the course's training loop; on a CPU accelerate leaves float16 itself out, the scaling is a


def loop(accelerator, times=1.0, steps=6):
    text = torch.arange(400) % 60
    model = small()
    batches = tr.token_batches(text, batch=2, T=8)
    history = tr.train(
        model,
        batches,
        steps,
        lr=0.01,
        accelerator=accelerator,
        progress=False,
        loss_fn=lambda model, batch: times * tr.language_loss(model, batch),
    )
    return history, model


def test_a_scaled_loss_trains_as_a_plain_one(monkeypatch):
    plain, model = loop(accelerator := Accelerator(cpu=True))
    monkeypatch.setattr(Accelerator, "mixed_precision", property(lambda self: "fp16"))
    scaled, other = loop(accelerator)
    assert (
        scaled.losses == pytest.approx(plain.losses, rel=1e-5)
        and scaled.losses[-1] < scaled.losses[0]
    )
    assert scaled.grad_norms == pytest.approx(plain.grad_norms, rel=1e-4)
    for a, b in zip(model.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


def test_the_loop_leaves_out_a_step_whose_gradients_overflow(monkeypatch):
    accelerator = Accelerator(cpu=True)
    monkeypatch.setattr(Accelerator, "mixed_precision", property(lambda self: "fp16"))
    history, model = loop(accelerator, times=1e35, steps=1)
    assert not math.isfinite(history.grad_norms[0]) and math.isfinite(history.losses[0])
    assert all(
        torch.equal(a, b) for a, b in zip(model.parameters(), small().parameters(), strict=True)
    )
