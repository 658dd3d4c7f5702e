"""GPT-2 small with the same random weights: ours beside transformers', one thread each."""

from collections.abc import Iterator
from typing import Any

from races import OURS, Race

THEIRS = "transformers"


def races(T: int = 128, prompt: int = 16, n_new: int = 128, **changes: int) -> Iterator[Race]:
    import torch
    import torch.nn.functional as F
    from transformers import GPT2Config, GPT2LMHeadModel
    from transformers.utils import logging

    from course_utils.gpt2.model import GPT, GPTConfig
    from course_utils.sampling.decoding import generate

    torch.set_num_threads(1)
    logging.set_verbosity_error()
    config = GPTConfig.preset("gpt2", **changes)
    dice = torch.Generator().manual_seed(0)
    sizes = {
        name: getattr(config, name)
        for name in ("n_layer", "n_head", "n_embd", "vocab_size", "n_positions")
    }
    no_dropout = {"embd_pdrop": 0.0, "attn_pdrop": 0.0, "resid_pdrop": 0.0}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        theirs = GPT2LMHeadModel(GPT2Config(**sizes, **no_dropout))
    ours = GPT.from_hf(theirs)

    def ids(B: int, T: int) -> torch.Tensor:
        return torch.randint(config.vocab_size, (B, T), generator=dice)

    def forward(ids: torch.Tensor, model: torch.nn.Module) -> torch.Tensor:
        with torch.inference_mode():
            return model(ids, use_cache=False).logits if model is theirs else model(ids)

    def step(model: torch.nn.Module, adam: torch.optim.Optimizer, ids: torch.Tensor) -> float:
        """One step of training; the learning rate is 0, so that every round has the same work and
        the same answer.
        """
        if model is theirs:
            loss = theirs(ids, labels=ids, use_cache=False).loss
        else:
            # as in transformers: nothing to predict at the end
            targets = F.pad(ids[:, 1:], (0, 1), value=-100)
            loss = F.cross_entropy(ours(ids).flatten(0, 1), targets.flatten())
        adam.zero_grad()
        loss.backward()
        adam.step()
        return loss.item() + sum(p.grad.norm().item() for p in model.parameters())

    def theirs_generates(ids: torch.Tensor) -> torch.Tensor:
        settings = {
            "do_sample": False,
            "min_new_tokens": n_new,
            "max_new_tokens": n_new,
            "pad_token_id": 0,
        }
        return theirs.generate(ids, attention_mask=torch.ones_like(ids), **settings)

    def close(a: Any, b: Any, tol: float = 1e-4) -> bool:
        return bool(torch.allclose(torch.as_tensor(a), torch.as_tensor(b), rtol=tol, atol=tol))

    theirs.eval(), ours.eval()
    for B, T_now in ((1, T), (8, T // 4)):
        text = ids(B, T_now)
        yield Race(
            f"forward, {B} x {T_now} tokens, logits for all",
            {
                OURS: lambda: forward(text, ours),
                THEIRS: lambda: forward(text, theirs),
            },
            required={THEIRS: 1.0},
            same=frozenset({THEIRS}),
            equal=close,
        )
    for B in (1, 8):
        text = ids(B, prompt)
        yield Race(
            f"generation of {n_new} tokens from {prompt}, batch {B}, greedy, with a cache",
            {
                OURS: lambda: generate(ours, text, n_new),
                THEIRS: lambda: theirs_generates(text),
            },
            required={THEIRS: 1.0 if B == 1 else 1.3},
            same=frozenset({THEIRS}),
            equal=torch.equal,
        )
    theirs.train(), ours.train()
    text = ids(2, T)
    adams = {
        model: torch.optim.AdamW(model.parameters(), lr=0.0, weight_decay=0.0, fused=True)
        for model in (ours, theirs)
    }
    yield Race(
        f"training step with AdamW, 2 x {T} tokens",
        {
            OURS: lambda: step(ours, adams[ours], text),
            THEIRS: lambda: step(theirs, adams[theirs], text),
        },
        required={THEIRS: 1.0},
        same=frozenset({THEIRS}),
        equal=close,
    )
