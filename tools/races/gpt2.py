"""GPT-2 small with the same random weights: ours beside transformers', one thread each."""

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F

from course_utils.gpt2.model import GPT, GPTConfig
from course_utils.sampling.decoding import generate
from races import OURS, Race

THEIRS = "transformers"


def races(T: int = 128, prompt: int = 16, n_new: int = 128, **changes: int) -> Iterator[Race]:
    torch.set_num_threads(1)
    dice = torch.Generator().manual_seed(0)
    ours, theirs = _same_models(changes)
    yield from _forward_races(ours, theirs, dice, T)
    yield from _generation_races(ours, theirs, dice, prompt, n_new)
    yield from _training_races(ours, theirs, dice, T)


def _same_models(changes: dict[str, int]) -> tuple[GPT, torch.nn.Module]:
    """Ours and transformers' GPT-2 with the same random weights, and no dropout."""
    from transformers import GPT2Config, GPT2LMHeadModel
    from transformers.utils import logging

    logging.set_verbosity_error()
    config = GPTConfig.preset("gpt2", **changes)
    sizes = {
        name: getattr(config, name)
        for name in ("n_layer", "n_head", "n_embd", "vocab_size", "n_positions")
    }
    no_dropout = {"embd_pdrop": 0.0, "attn_pdrop": 0.0, "resid_pdrop": 0.0}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        theirs = GPT2LMHeadModel(GPT2Config(**sizes, **no_dropout))
    return GPT.from_hf(theirs), theirs


def _random_ids(model: GPT, dice: torch.Generator, B: int, T: int) -> torch.Tensor:
    return torch.randint(model.config.vocab_size, (B, T), generator=dice)


def _close(a: Any, b: Any, tol: float = 1e-4) -> bool:
    return bool(torch.allclose(torch.as_tensor(a), torch.as_tensor(b), rtol=tol, atol=tol))


# --- Forward --------------------------------------------------------------------------------------


def _forward_races(
    ours: GPT, theirs: torch.nn.Module, dice: torch.Generator, T: int
) -> Iterator[Race]:
    """One long text, and a batch of short ones."""
    theirs.eval(), ours.eval()
    for B, T_now in ((1, T), (8, T // 4)):
        text = _random_ids(ours, dice, B, T_now)
        yield Race(
            f"forward, {B} x {T_now} tokens, logits for all",
            {
                OURS: lambda: _logits(ours, text),
                THEIRS: lambda: _logits(theirs, text),
            },
            required={THEIRS: 1.0},
            same=frozenset({THEIRS}),
            equal=_close,
        )


def _logits(model: torch.nn.Module, ids: torch.Tensor) -> torch.Tensor:
    """The logits for all positions, from ours or theirs."""
    with torch.inference_mode():
        return model(ids) if isinstance(model, GPT) else model(ids, use_cache=False).logits


# --- Generation -----------------------------------------------------------------------------------


def _generation_races(
    ours: GPT, theirs: torch.nn.Module, dice: torch.Generator, prompt: int, n_new: int
) -> Iterator[Race]:
    """One text, and a batch; both models are in evaluation mode."""
    for B in (1, 8):
        text = _random_ids(ours, dice, B, prompt)
        yield Race(
            f"generation of {n_new} tokens from {prompt}, batch {B}, greedy, with a cache",
            {
                OURS: lambda: generate(ours, text, n_new),
                THEIRS: lambda: _generated_by_theirs(theirs, text, n_new),
            },
            required={THEIRS: 1.0 if B == 1 else 1.3},
            same=frozenset({THEIRS}),
            equal=torch.equal,
        )


def _generated_by_theirs(theirs: torch.nn.Module, ids: torch.Tensor, n_new: int) -> torch.Tensor:
    settings = {
        "do_sample": False,
        "min_new_tokens": n_new,
        "max_new_tokens": n_new,
        "pad_token_id": 0,
    }
    return theirs.generate(ids, attention_mask=torch.ones_like(ids), **settings)


# --- Training -------------------------------------------------------------------------------------


def _training_races(
    ours: GPT, theirs: torch.nn.Module, dice: torch.Generator, T: int
) -> Iterator[Race]:
    """One step on a batch of two."""
    theirs.train(), ours.train()
    text = _random_ids(ours, dice, 2, T)
    adams = {
        model: torch.optim.AdamW(model.parameters(), lr=0.0, weight_decay=0.0, fused=True)
        for model in (ours, theirs)
    }
    yield Race(
        f"training step with AdamW, 2 x {T} tokens",
        {
            OURS: lambda: _step(ours, adams[ours], text),
            THEIRS: lambda: _step(theirs, adams[theirs], text),
        },
        required={THEIRS: 1.0},
        same=frozenset({THEIRS}),
        equal=_close,
    )


def _step(model: torch.nn.Module, adam: torch.optim.Optimizer, ids: torch.Tensor) -> float:
    """One step of training; the learning rate is 0, so that every round has the same work and
    the same answer.
    """
    if isinstance(model, GPT):
        # as in transformers: nothing to predict at the end
        targets = F.pad(ids[:, 1:], (0, 1), value=-100)
        loss = F.cross_entropy(model(ids).flatten(0, 1), targets.flatten())
    else:
        loss = model(ids, labels=ids, use_cache=False).loss
    adam.zero_grad()
    loss.backward()
    adam.step()
    return loss.item() + sum(p.grad.norm().item() for p in model.parameters())
