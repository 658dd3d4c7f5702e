"""A storyteller that a loss bends toward words, the controls that differ in the bias alone, and
cleaning.
"""

import copy
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from course_utils.gpt2.model import GPT
from course_utils.kl_bias.bias import (
    bent_loss,
    matched_control,
    target_distribution,
    target_mass,
    token_mask,
)
from course_utils.machine.devices import device_of
from course_utils.pretrained import storyteller
from course_utils.sampling import generate
from course_utils.stories.corpus import Stories, stories
from course_utils.stories.grammar import VOCAB
from course_utils.training import Batch, evaluate, language_loss, token_batches, train

WEIGHTS = (0.0, 0.1, 0.3, 1.0, 3.0)


class Bench(NamedTuple):
    """What every run on the storyteller shares: the model, texts that it never saw, and the words.

    text: to train on. batch: 60 beginnings of other stories, (60, 64) each. log_p: (V,), each
    word's mean log-probability there. z, other: (V,) bool, the words with a z and their matched
    control.

    >>> [x.shape for x in bench().batch]
    [torch.Size([60, 64]), torch.Size([60, 64])]
    """

    teller: GPT
    text: Stories
    unseen: Stories
    batch: Batch
    log_p: Tensor
    z: Tensor
    other: Tensor


@cache
def bench() -> Bench:
    """The bench, made once.

    >>> int(bench().z.sum()), int(bench().other.sum()), bool((bench().z & bench().other).any())
    (7, 7, False)
    """
    teller = storyteller()
    text = stories(2_000_003, 200_000)
    unseen = stories(1_000_003, 40_000)
    rows = unseen.windows(64, 60)[0]  # (60, 65)
    batch = rows[:, :-1], rows[:, 1:]
    with torch.no_grad():
        log_p = teller(batch[0]).log_softmax(-1).flatten(0, 1).mean(0)  # (V,)
    z = token_mask(VOCAB, lambda word: "z" in word.lower())
    return Bench(teller, text, unseen, batch, log_p, z, matched_control(z, log_p))


def tuned(
    model: GPT,
    loss: Callable[[nn.Module, Batch], Tensor],
    batches: Callable[[torch.Generator], Batch] | None = None,
    steps: int = 60,
    seed: int = 0,
    **more: Any,
) -> GPT:
    """A copy of the model, trained for some steps: 8 beginnings of stories, 48 words each, a step.

    >>> tuned(storyteller(), language_loss, steps=1).config.vocab_size
    699
    """
    text = bench().text
    batches = batches or token_batches(text.tokens, 8, 48, text.starts)
    settings = {"lr": 1e-3, "weight_decay": 0.0, "progress": False, **more}
    model = copy.deepcopy(model)
    train(model, batches, steps, seed=seed, loss_fn=loss, **settings)
    return model


def toward(mask: Tensor, weight: float) -> Callable[[nn.Module, Batch], Tensor]:
    """The loss that pulls the storyteller toward the words of a mask: `bent_loss` of what it said
    itself.

    >>> b = bench()
    >>> round(toward(b.z, 0.0)(b.teller, b.batch).item(), 6)  # weight 0 asks for no change
    0.0
    """
    teller = bench().teller
    home = device_of(teller)
    target = target_distribution(mask)

    def loss(model: nn.Module, batch: Batch) -> Tensor:
        with torch.no_grad():
            said = teller(batch[0].to(home))  # (B, T, V)
        logits = model(batch[0])  # (B, T, V)
        return bent_loss(logits, said.to(logits.device), target.to(logits.device), weight)

    return loss


@torch.no_grad()
def measured(model: GPT, mask: Tensor) -> tuple[float, float]:
    """The loss on unseen stories, nats a token, and the mass on the mask's words there.

    >>> loss, mass = measured(storyteller(), bench().z)
    >>> loss < 1.5, mass < 0.02
    (True, True)
    """
    batch = bench().batch
    said = model(batch[0].to(device_of(model)))  # (60, 64, V)
    return evaluate(model, [batch]), target_mass(said, mask).mean().item()


def measure_bent(seed: int, steps: int = 60) -> dict[str, Any]:
    """Loss (nats a token) and mass for each dose, for the matched control, and for other inputs
    than stories.

    >>> sorted(measure_bent(0, steps=1))
    ['doses', 'matched', 'own text', 'random words', 'seed']
    """
    b = bench()

    def row(mask: Tensor, weight: float, batches: Callable | None = None) -> list[float]:
        model = tuned(b.teller, toward(mask, weight), batches, steps, seed)
        return [round(x, 4) for x in measured(model, mask)]

    return {
        "seed": seed,
        "doses": [row(b.z, weight) for weight in WEIGHTS],
        "matched": row(b.other, 1.0),
        "random words": row(b.z, 1.0, random_words),
        "own text": row(b.z, 1.0, own_text()),
    }


def random_words(generator: torch.Generator) -> Batch:
    """A batch of 8 rows of 48 words, each drawn at random from the 699.

    >>> random_words(torch.Generator().manual_seed(0))[0].shape
    torch.Size([8, 48])
    """
    ids = torch.randint(len(VOCAB), (8, 48), generator=generator)
    return ids, ids


@cache
def own_text() -> Callable[[torch.Generator], Batch]:
    """Batches as those of stories, out of 400 texts that the storyteller wrote itself, from nothing
    but the sign between two stories.

    >>> own_text()(torch.Generator().manual_seed(0))[0].shape
    torch.Size([8, 48])
    """
    said = generate(
        bench().teller, torch.zeros(400, 1, dtype=torch.long), 49, torch.Generator().manual_seed(0)
    )
    return token_batches(said[:, 1:].flatten(), 8, 48, torch.arange(400) * 49)


# --- Cleaning --------------------------------------------------------------------------------------


def bent_again(model: GPT, seed: int, mask: Tensor | None = None) -> float:
    """The mean mass on the mask's words (those with z) at steps 2, 4, …, 12 of bending this model
    towards them (weight 1, constant rate).

    >>> 0.05 < bent_again(storyteller(), seed=0) < 0.3
    True
    """
    mask = bench().z if mask is None else mask
    seen = []
    at = bench().batch[0][:20].to(device_of(model))

    @torch.no_grad()
    def look(history: object) -> None:
        now.eval()
        seen.append(target_mass(now(at), mask).mean().item())
        now.train()

    now = copy.deepcopy(model)
    text = bench().text
    batches = token_batches(text.tokens, 8, 48, text.starts)
    train(
        now, batches, 12, lr=1e-3, weight_decay=0.0, warmup=0, final=1.0, seed=100 + seed,
        loss_fn=toward(mask, 1.0), every=2, on_steps=look, progress=False,
    )  # fmt: skip
    return sum(seen) / len(seen)


def measure_cleaned(seed: int, steps: tuple[int, ...] = (30, 300)) -> list[dict[str, Any]]:
    """Bend with weight 1 (or 0, the control), then train on plain stories: the loss, the mass that
    is left, and how fast the model bends again: to z, and to the matched words (`other`).

    >>> len(measure_cleaned(0, steps=(1,)))  # bent, and the control
    2
    """
    b = bench()
    found = []
    for weight in (1.0, 0.0):
        bent = tuned(b.teller, toward(b.z, weight), seed=seed)
        for n in steps:
            clean = tuned(bent, language_loss, steps=n, seed=50 + seed)
            loss, mass = measured(clean, b.z)
            found.append(
                {
                    "seed": seed,
                    "weight": weight,
                    "steps": n,
                    "loss": round(loss, 4),
                    "mass": round(mass, 5),
                    "again": round(bent_again(clean, seed), 4),
                    "other": round(bent_again(clean, seed, b.other), 4),
                }
            )
    return found
