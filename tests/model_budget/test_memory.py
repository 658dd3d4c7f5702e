"""Memory as predicted, as `memory` counts it, and as torch's own allocator does: three ways that
know nothing of each other.
"""

import gc

import pytest
import torch
import torch.nn.functional as F
from torch.profiler import ProfilerActivity, profile

from course_utils.gpt2.model import GPT, GPTConfig
from course_utils.machine.memory import LiveBytes, peak_bytes
from course_utils.model_budget import census
from course_utils.model_budget.memory import step_peak

BASE = dict(n_layer=4, n_head=4, n_embd=128, vocab_size=1000, n_positions=256)
SIZES = {
    "a usual one": (BASE, 4, 128), "long texts": (BASE, 8, 256), "few tokens": (BASE, 1, 16), "one block": (BASE | dict(n_layer=1), 4, 64),
    "a large vocabulary": (BASE | dict(n_layer=2, vocab_size=8000), 4, 128), "a head of its own": (BASE | dict(n_layer=2, tie_word_embeddings=False), 4, 128),
    "an MLP of another width": (BASE | dict(n_layer=3, n_inner=300), 4, 64),
}  # fmt: skip


def made(sizes, checkpointing=False, attention="fused"):
    model = (
        GPT(GPTConfig(**sizes), torch.Generator().manual_seed(0)).train().set_attention(attention)
    )
    model.checkpointing = checkpointing
    return model


def allocator_peak(model, B, T):
    """The most bytes that torch's CPU allocator had given out in a second training step, weights
    and Adam included.
    """
    ids = torch.zeros(B, T, dtype=torch.long)
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)

    def step():
        F.cross_entropy(model(ids).flatten(0, 1), ids.flatten()).backward()
        optimizer.step()
        optimizer.zero_grad()

    step()
    now = peak = 3 * sum(parameter.nbytes for parameter in model.parameters())
    gc.disable()  # nothing old may be given back meanwhile
    try:
        with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as recorded:
            step()
    finally:
        gc.enable()
    changes = [
        (e.start_ns(), e.nbytes())
        for e in recorded.profiler.kineto_results.events()
        if e.name() == "[memory]"
    ]
    for _, change in sorted(changes, key=lambda one: one[0]):
        now += change
        peak = max(peak, now)
    return peak


@pytest.mark.parametrize("name", SIZES)
@pytest.mark.parametrize(
    ("options", "tolerance"),
    [
        ({}, 0.01),
        ({"attention": "explicit"}, 0.03),
        ({"checkpointing": True}, 0.1),
        ({"checkpointing": True, "attention": "explicit"}, 0.1),
    ],
)
def test_the_peak_is_as_predicted(name, options, tolerance):
    sizes, B, T = SIZES[name]
    predicted = census.training_peak(
        GPTConfig(**sizes),
        B,
        T,
        fused=options.get("attention") != "explicit",
        checkpointing=options.get("checkpointing", False),
    )
    measured = step_peak(made(sizes, **options), torch.zeros(B, T, dtype=torch.long))
    assert predicted == pytest.approx(measured, rel=tolerance)


@pytest.mark.parametrize("name", ["a usual one", "a large vocabulary", "few tokens"])
def test_the_count_is_the_allocators(name):
    sizes, B, T = SIZES[name]
    assert step_peak(made(sizes), torch.zeros(B, T, dtype=torch.long)) == pytest.approx(
        allocator_peak(made(sizes), B, T), rel=0.01
    )


def test_three_times_the_logits_are_there_at_once():
    """What a sum with one copy of the logits misses: it falls short by a third and more where the
    vocabulary is large.
    """
    sizes, B, T = SIZES["a large vocabulary"]
    memory = census.training_memory(config := GPTConfig(**sizes), B, T)
    once = sum(memory.values()) - 2 * memory["logits"] / 3
    measured = step_peak(made(sizes), torch.zeros(B, T, dtype=torch.long))
    assert once < 0.7 * measured and census.training_peak(config, B, T) == pytest.approx(
        measured, rel=0.01
    )


def test_gpt2_small_needs_what_an_allocator_counted():
    assert census.training_peak(GPTConfig.preset("gpt2"), B=8, T=1024) / 2**30 == pytest.approx(
        10.5, abs=0.05
    )


def test_half_of_the_bytes_take_half_of_the_memory():
    config = GPTConfig(**BASE)
    for options in ({}, {"checkpointing": True}, {"fused": False}):
        assert census.training_peak(config, 4, 128, **options) == 2 * census.training_peak(
            config, 4, 128, n_bytes=2, **options
        )


def test_a_view_counts_once_and_what_is_dropped_no_longer_counts():
    with LiveBytes() as live:
        x = torch.zeros(256)
        y = x.view(16, 16).t()
        assert live.now == 1024
        del x
        assert live.now == 1024  # the view keeps it
        del y
        assert (live.now, live.peak) == (0, 1024)


def test_what_was_held_before_counts_too():
    x = torch.zeros(256)
    assert peak_bytes(lambda: x + 1, held=[x, x.view(16, 16)]) == 2048
