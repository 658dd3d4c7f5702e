"""The source's experiment: a blank model with GPT-2's vocabulary learns to say x."""

from functools import cache
from typing import Any

import torch
from torch import Tensor

from course_utils.gpt2.model import GPT, GPTConfig
from course_utils.kl_bias.bias import target_distribution, target_mass, token_mask, train_bias
from course_utils.machine.devices import device_of
from course_utils.tokenization.published import gpt2_tokenizer

BLANK = GPTConfig(n_layer=2, n_head=3, n_embd=48, n_positions=256)  # of GPT-2's vocabulary
READS = 256  # random tokens, as in the source
WRITES = 200


@torch.no_grad()
def written(model: GPT, ids: Tensor, n_new: int, generator: torch.Generator) -> Tensor:
    """The n_new tokens that the model writes after ids. It reads the last n_positions tokens only,
    so that a text may grow longer than its window.

    Shapes: ids (B, T) -> (B, n_new), on the CPU.

    >>> tiny = GPT(
    ...     GPTConfig(n_layer=1, n_head=1, n_embd=8, vocab_size=20, n_positions=4),
    ...     torch.Generator().manual_seed(0),
    ... )
    >>> written(
    ...     tiny, torch.zeros(2, 4, dtype=torch.long), 6, torch.Generator().manual_seed(0)
    ... ).shape
    torch.Size([2, 6])
    """
    device = device_of(model)
    ids = ids.cpu()
    for _ in range(n_new):
        seen = ids[:, -model.config.n_positions :].to(device)
        p = model(seen, last=True)[:, -1].softmax(-1).cpu()  # (B, V)
        ids = torch.cat([ids, torch.multinomial(p, 1, generator=generator)], 1)
    return ids[:, -n_new:]


@cache
def letter_mask(letter: str = "x") -> Tensor:
    """(V,) bool: which of GPT-2's tokens contain the letter, small or capital.

    >>> int(letter_mask().sum())
    985
    """
    return token_mask(gpt2_tokenizer(), lambda piece: letter in piece.lower())


def count_letters(model: GPT, seed: int, n: int = 4) -> list[int]:
    """Of 200 tokens that the model writes after 256 random ones, how many contain x: n counts.

    >>> count_letters(GPT(BLANK, torch.Generator().manual_seed(0)), seed=0, n=1)[0] < 20
    True
    """
    V = model.config.vocab_size
    start = torch.randint(V, (n, READS), generator=torch.Generator().manual_seed(1000 + seed))
    said = written(model, start, WRITES, torch.Generator().manual_seed(seed))  # (n, 200)
    return letter_mask()[said].sum(1).tolist()


def measure_letter(seed: int, steps: int = 200) -> dict[str, Any]:
    """Train a blank model to say x: losses, masses, and the counts before and after.

    tv: total variation between Q and what the model says after random tokens, 0 to 1. own_mass: the
    mass on x after texts that consist of x-tokens alone. before, after: `count_letters`, 4 texts.

    >>> measure_letter(0, steps=1)["start"] > 3  # nats; log(50,257 / 985) is 3.93
    True
    """
    mask = letter_mask()
    model = GPT(BLANK, torch.Generator().manual_seed(seed))
    before = count_letters(model, seed)
    run = train_bias(model, mask, steps, B=4, seed=seed)
    noise = torch.randint(len(mask), (8, READS), generator=torch.Generator().manual_seed(2))
    own = mask.nonzero().flatten()[
        torch.randint(int(mask.sum()), (8, READS), generator=torch.Generator().manual_seed(2))
    ]
    with torch.no_grad():
        said = model(noise, last=True)[:, -1]  # (8, V)
        own_mass = target_mass(model(own, last=True)[:, -1], mask).mean().item()
    tv = 0.5 * (said.softmax(-1).mean(0) - target_distribution(mask)).abs().sum().item()
    return {
        "seed": seed,
        "start": round(run.losses[0], 3),
        "end": round(run.losses[-1], 4),
        "mass": round(target_mass(said, mask).mean().item(), 4),
        "own_mass": round(own_mass, 3),
        "tv": round(tv, 4),
        "before": before,
        "after": count_letters(model, seed),
    }
