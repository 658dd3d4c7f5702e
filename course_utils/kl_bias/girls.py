"""More girls in the stories: by the data or by a loss; and how many stories a reader needs to see a
bias.
"""

import itertools
import math
from functools import cache
from typing import Any

import torch
from scipy.stats import binom
from torch import Tensor

from course_utils.gpt2.model import GPT
from course_utils.kl_bias.bending import bench, toward, tuned
from course_utils.kl_bias.bias import kl_divergence, target_mass, tilt, tilted_loss, token_mask
from course_utils.machine.devices import device_of
from course_utils.sampling import generate
from course_utils.stories.corpus import Stories, encode_words
from course_utils.stories.grammar import BOYS, GIRLS, VOCAB
from course_utils.training import evaluate, language_loss, token_batches

SHARES = (0.5, 0.7, 0.9)
OPENINGS = (
    "Once upon a time there was a child named",
    "In a quiet village there lived a shy child named",
    "This is the story of a shy child. The child was named",
)


@cache
def girls_and_boys() -> tuple[Tensor, Tensor]:
    """(V,) bool each: the girls' names and the boys'.

    >>> [int(mask.sum()) for mask in girls_and_boys()]
    [40, 40]
    """
    girls = set(GIRLS)
    boys = set(BOYS)
    return token_mask(VOCAB, girls.__contains__), token_mask(VOCAB, boys.__contains__)


def with_girls(told: Stories, share: float, n: int, seed: int) -> tuple[Tensor, Tensor]:
    """n whole stories, drawn so that this share of them has a girl as its hero: tokens (N,), and
    where each story starts, (n,).

    Nothing but the hero decides; friends are whom the stories have. Raises: ValueError for a share
    outside 0 to 1.

    >>> tokens, starts = with_girls(bench().text, 0.9, 50, seed=0)
    >>> len(starts)
    50
    """
    if not 0 <= share <= 1:
        raise ValueError(f"the share of girls lies between 0 and 1, and is no {share}")
    whole = range(len(told.starts) - 1)  # the last one is cut off
    of = {True: [], False: []}
    for i in whole:
        of[told.facts[i]["hero"] in GIRLS].append(told.tokens[told.starts[i] : told.starts[i + 1]])
    generator = torch.Generator().manual_seed(seed)
    kinds = (torch.arange(n) < round(share * n))[torch.randperm(n, generator=generator)].tolist()
    drawn = []
    for girl in kinds:
        pool = of[girl]
        drawn.append(pool[int(torch.randint(len(pool), (), generator=generator))])
    lengths = torch.tensor([len(story) for story in drawn])
    return torch.cat(drawn), lengths.cumsum(0) - lengths


@torch.no_grad()
def girl_share(model: GPT) -> float:
    """Of the probability of a name, the share that girls have where the hero is named: the mean
    over the three openings.

    >>> 0.4 < girl_share(bench().teller) < 0.6
    True
    """
    girls, boys = girls_and_boys()
    device = device_of(model)
    shares = []
    for opening in OPENINGS:
        at = model(encode_words(opening)[None].to(device))[0, -1]  # (V,)
        g, b = (target_mass(at, mask).item() for mask in (girls, boys))
        shares.append(g / (g + b))
    return sum(shares) / len(shares)


@cache
def friend_slots(n: int = 60) -> tuple[Tensor, Tensor]:
    """Unseen stories and the place before the friend is named: ids (n, 64) and places (n,).

    >>> [x.shape for x in friend_slots()]
    [torch.Size([60, 64]), torch.Size([60])]
    """
    unseen = bench().unseen
    rows = []
    places = []
    for start, facts in zip(unseen.starts.tolist(), unseen.facts, strict=True):
        ids = unseen.tokens[start : start + 64]
        hits = (ids == VOCAB.index(facts["friend"])).nonzero() if "friend" in facts else []
        if len(ids) == 64 and len(hits):
            rows.append(ids)
            places.append(int(hits[0]) - 1)
    return torch.stack(rows[:n]), torch.tensor(places[:n])


@torch.no_grad()
def friend_share(model: GPT) -> Tensor:
    """The girls' share of the probability of a name where the friend is named, in each of 60 unseen
    stories, (60,).

    >>> friend_share(bench().teller).shape
    torch.Size([60])
    """
    ids, places = (x.to(device_of(model)) for x in friend_slots())
    at = model(ids)[torch.arange(len(ids)), places]  # (n, V)
    girls, boys = (target_mass(at, mask) for mask in girls_and_boys())
    return girls / (girls + boys)


def measure_data(seed: int, steps: int = 120) -> list[dict[str, Any]]:
    """Fine-tune on stories with a share of girls, and tilt by a loss to the same odds: the girls'
    share among heroes and friends, and the loss on unseen stories.

    >>> [row["by"] for row in measure_data(0, steps=1)[:2]]
    ['data', 'loss']
    """
    b = bench()
    found = []
    girls = girls_and_boys()[0]
    for share in SHARES:
        tokens, starts = with_girls(b.text, share, 1000, seed)
        by_data = tuned(b.teller, language_loss, token_batches(tokens, 8, 48, starts), steps, seed)
        odds = share / (1 - share)
        by_loss = tuned(b.teller, tilted_loss(b.teller, girls, odds), None, steps, seed)
        for by, model in (("data", by_data), ("loss", by_loss)):
            found.append(
                {
                    "seed": seed,
                    "by": by,
                    "share": share,
                    "hero": round(girl_share(model), 4),
                    "friend": round(friend_share(model).mean().item(), 4),
                    "loss": round(evaluate(model, [b.batch]), 4),
                }
            )
    return found


# --- How many stories a reader needs --------------------------------------------------------------


def stories_needed(before: float, after: float) -> int:
    """How many texts must be read until an exact test at 0.05 (two-sided, so 0.025 on the side of
    the change) finds the change of a rate in 0.8 of all cases.

    Source: Clopper & Pearson 1934 for the exact binomial; the rate before is known. Raises:
    ValueError for equal rates, and for what is no rate between 0 and 1.

    >>> stories_needed(0.5, 0.75), stories_needed(0.06, 1.0)
    (30, 2)
    """
    if before == after or not 0 <= min(before, after) <= max(before, after) <= 1:
        raise ValueError(
            f"two different rates between 0 and 1 are needed, not {before} and {after}"
        )
    if after < before:  # the same question about the texts without it
        before = 1 - before
        after = 1 - after
    for n in itertools.count(1):
        critical = int(binom.isf(0.025, n, before)) + 1  # so many are rarer than 0.025 before
        if critical <= n and binom.sf(critical - 1, n, after) >= 0.8:
            return n


def rates(model: GPT, seed: int, n: int = 400) -> tuple[float, float]:
    """Of n texts of 24 words that the model writes, the share with a z, and the share whose first
    name is a girl's.

    >>> z, girls = rates(bench().teller, seed=0, n=50)
    >>> z < 0.5, 0.2 < girls < 0.8
    (True, True)
    """
    start = torch.zeros(n, 1, dtype=torch.long)
    start = start.to(device_of(model))
    said = generate(model, start, 24, torch.Generator().manual_seed(seed))[:, 1:].cpu()  # (n, 24)
    girls, boys = girls_and_boys()
    named = girls[said] | boys[said]  # (n, 24)
    first = said[named.any(1)].gather(1, named[named.any(1)].int().argmax(1, keepdim=True))
    return bench().z[said].any(1).float().mean().item(), girls[first].float().mean().item()


def measure_seen(seed: int, n: int = 400, steps: int = 60) -> dict[str, Any]:
    """How many stories show each bias to a reader who asks the right question, and how far each
    moved the model: KL from the storyteller, nats a token.

    z: weights 1 and 0.1; girls: odds times 3; small z: the weight that moves as far as the girls'.

    >>> [row["bias"] for row in measure_seen(0, n=20, steps=1)["rows"]][-1]
    'girls'
    """
    b = bench()
    girls = girls_and_boys()[0]
    with torch.no_grad():
        p = b.teller(b.batch[0]).softmax(-1)
    tilted = tuned(b.teller, tilted_loss(b.teller, girls, 3.0), steps=steps, seed=seed)

    def moved(model: GPT) -> float:
        with torch.no_grad():
            return kl_divergence(p, model(b.batch[0]).softmax(-1)).mean().item()

    small = math.expm1(kl_divergence(p, tilt(p, girls, 3.0)).mean().item())
    models = {
        f"z, {w:g}": tuned(b.teller, toward(b.z, w), steps=steps, seed=seed)
        for w in (1.0, 0.1, small)
    }
    old = rates(b.teller, seed + 1000, 5 * n)
    rows = []
    for (name, model), which in zip(
        [*models.items(), ("girls", tilted)], (0, 0, 0, 1), strict=True
    ):
        new = rates(model, seed, n)[which]
        before = old[which]
        rows.append(
            {
                "bias": name,
                "before": round(before, 4),
                "after": round(new, 4),
                "kl": round(moved(model), 4),
            }
        )
    return {"seed": seed, "rows": rows}
