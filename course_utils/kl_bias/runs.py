"""The runs of lesson 07: a blank model that learns to say x, and a storyteller that is bent by a
loss or by its data, with the controls that differ in the bias alone.

tools/record/bend_storyteller.py stores them for several seeds; the lesson makes one of each itself.
"""

import copy
import math
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from course_utils import assets
from course_utils.gpt2.model import GPT, GPTConfig
from course_utils.kl_bias.bias import (
    bent_loss,
    kl_divergence,
    matched_control,
    target_distribution,
    target_mass,
    tilt,
    tilted_loss,
    token_mask,
    train_bias,
)
from course_utils.pretrained import storyteller
from course_utils.sampling import generate
from course_utils.stories.corpus import Stories, encode_words, stories
from course_utils.stories.grammar import BOYS, GIRLS, VOCAB
from course_utils.tokenization.published import gpt2_tokenizer
from course_utils.training import Batch, evaluate, language_loss, token_batches, train

RECORD = "kl_bias/runs.json"
SEEDS = (0, 1, 2)
WEIGHTS = (0.0, 0.1, 0.3, 1.0, 3.0)
SHARES = (0.5, 0.7, 0.9)
BLANK = GPTConfig(n_layer=2, n_head=3, n_embd=48, n_positions=256)  # of GPT-2's vocabulary
READS = 256  # random tokens, as in the source
WRITES = 200


def recorded() -> dict[str, Any]:
    """What tools/record/bend_storyteller.py measured: `letter`, `bent`, `data` and `cleaned`, a
    list of runs each.

    >>> len(recorded()["bent"])
    3
    """
    return assets.read_json(RECORD)


def rng(seed: int) -> torch.Generator:
    """A source of random numbers with this seed, on the CPU.

    >>> torch.rand(1, generator=rng(0)) == torch.rand(1, generator=rng(0))
    tensor([True])
    """
    return torch.Generator().manual_seed(seed)


# --- The source's experiment ----------------------------------------------------------------------


@torch.no_grad()
def written(model: GPT, ids: Tensor, n_new: int, generator: torch.Generator) -> Tensor:
    """The n_new tokens that the model writes after ids. It reads the last n_positions tokens only,
    so that a text may grow longer than its window.

    Shapes: ids (B, T) -> (B, n_new).

    >>> tiny = GPT(GPTConfig(n_layer=1, n_head=1, n_embd=8, vocab_size=20, n_positions=4), rng(0))
    >>> written(tiny, torch.zeros(2, 4, dtype=torch.long), 6, rng(0)).shape
    torch.Size([2, 6])
    """
    device = next(model.parameters()).device
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

    >>> count_letters(GPT(BLANK, rng(0)), seed=0, n=1)[0] < 20
    True
    """
    V = model.config.vocab_size
    start = torch.randint(V, (n, READS), generator=rng(1000 + seed))
    return letter_mask()[written(model, start, WRITES, rng(seed))].sum(1).tolist()


def measure_letter(seed: int, steps: int = 200) -> dict[str, Any]:
    """Train a blank model to say x: losses, masses, and the counts before and after.

    tv: total variation between Q and what the model says after random tokens, 0 to 1. own_mass: the
    mass on x after texts that consist of x-tokens alone.
    """
    mask = letter_mask()
    model = GPT(BLANK, rng(seed))
    before = count_letters(model, seed)
    run = train_bias(model, mask, steps, B=4, seed=seed)
    noise = torch.randint(len(mask), (8, READS), generator=rng(2))
    own = mask.nonzero().flatten()[torch.randint(int(mask.sum()), (8, READS), generator=rng(2))]
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


# --- The storyteller ------------------------------------------------------------------------------


class Bench(NamedTuple):
    """What every run on the storyteller shares: the model, texts that it never saw, and the words.

    text: to train on. batch: 60 beginnings of other stories, (60, 64) each. log_p: (V,), each
    word's mean log-probability there. z, other: (V,) bool, the words with a z and their matched
    control.
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
    """
    teller = bench().teller
    target = target_distribution(mask)

    def loss(model: nn.Module, batch: Batch) -> Tensor:
        with torch.no_grad():
            said = teller(batch[0])  # (B, T, V)
        return bent_loss(model(batch[0]), said, target, weight)

    return loss


@torch.no_grad()
def measured(model: GPT, mask: Tensor) -> tuple[float, float]:
    """The loss on unseen stories, nats a token, and the mass on the mask's words there.

    >>> loss, mass = measured(storyteller(), bench().z)
    >>> loss < 1.5, mass < 0.02
    (True, True)
    """
    batch = bench().batch
    return evaluate(model, [batch]), target_mass(model(batch[0]), mask).mean().item()


def measure_bent(seed: int) -> dict[str, Any]:
    """Loss and mass for each dose, for the matched control, and for other inputs than stories."""
    b = bench()

    def row(mask: Tensor, weight: float, batches: Callable | None = None) -> list[float]:
        model = tuned(b.teller, toward(mask, weight), batches, seed=seed)
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

    >>> random_words(rng(0))[0].shape
    torch.Size([8, 48])
    """
    ids = torch.randint(len(VOCAB), (8, 48), generator=generator)
    return ids, ids


@cache
def own_text() -> Callable[[torch.Generator], Batch]:
    """Batches as those of stories, out of 400 texts that the storyteller wrote itself, from nothing
    but the sign between two stories.

    >>> own_text()(rng(0))[0].shape
    torch.Size([8, 48])
    """
    said = generate(bench().teller, torch.zeros(400, 1, dtype=torch.long), 49, rng(0))
    return token_batches(said[:, 1:].flatten(), 8, 48, torch.arange(400) * 49)


# --- How many stories a reader needs --------------------------------------------------------------


def stories_needed(before: float, after: float) -> int:
    """How many texts must be read until a test at 0.05 finds the change of a rate in 0.8 of all
    cases.

    Source: Fleiss 1981, "Statistical Methods for Rates and Proportions", chapter 2, with the rate
    before known.

    >>> stories_needed(0.5, 0.75), stories_needed(0.5, 0.55)
    (29, 783)
    """
    spread = 1.96 * math.sqrt(before * (1 - before)) + 0.8416 * math.sqrt(after * (1 - after))
    return math.ceil((spread / (after - before)) ** 2)


def rates(model: GPT, seed: int, n: int = 400) -> tuple[float, float]:
    """Of n texts of 24 words that the model writes, the share with a z, and the share whose first
    name is a girl's.
    """
    said = generate(model, torch.zeros(n, 1, dtype=torch.long), 24, rng(seed))[:, 1:]
    girls, boys = girls_and_boys()
    named = girls[said] | boys[said]  # (n, 24)
    first = said[named.any(1)].gather(1, named[named.any(1)].int().argmax(1, keepdim=True))
    return bench().z[said].any(1).float().mean().item(), girls[first].float().mean().item()


def measure_seen(seed: int) -> dict[str, Any]:
    """How many stories show each bias to a reader who asks the right question, and how far each
    moved the model: KL from the storyteller, nats a token.

    z: weights 1 and 0.1; girls: odds times 3; small z: the weight that moves as far as the girls'.
    """
    b = bench()
    girls = girls_and_boys()[0]
    with torch.no_grad():
        p = b.teller(b.batch[0]).softmax(-1)
    tilted = tuned(b.teller, tilted_loss(b.teller, girls, 3.0), seed=seed)

    def moved(model: GPT) -> float:
        with torch.no_grad():
            return kl_divergence(p, model(b.batch[0]).softmax(-1)).mean().item()

    small = math.expm1(kl_divergence(p, tilt(p, girls, 3.0)).mean().item())
    models = {f"z, {w:g}": tuned(b.teller, toward(b.z, w), seed=seed) for w in (1.0, 0.1, small)}
    old = rates(b.teller, seed + 1000, 2000)
    rows = []
    for (name, model), which in zip(
        [*models.items(), ("girls", tilted)], (0, 0, 0, 1), strict=True
    ):
        new = rates(model, seed)[which]
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


# --- Bias by data ---------------------------------------------------------------------------------

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
    generator = rng(seed)
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

    >>> 0.4 < girl_share(storyteller()) < 0.6
    True
    """
    girls, boys = girls_and_boys()
    shares = []
    for opening in OPENINGS:
        at = model(encode_words(opening)[None])[0, -1]  # (V,)
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

    >>> friend_share(storyteller()).shape
    torch.Size([60])
    """
    ids, places = friend_slots()
    at = model(ids)[torch.arange(len(ids)), places]  # (n, V)
    girls, boys = (target_mass(at, mask) for mask in girls_and_boys())
    return girls / (girls + boys)


def measure_data(seed: int, steps: int = 120) -> list[dict[str, Any]]:
    """Fine-tune on stories with a share of girls, and tilt by a loss to the same odds: the girls'
    share among heroes and friends, and the loss on unseen stories.
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


# --- Cleaning -------------------------------------------------------------------------------------


def bent_again(model: GPT, seed: int) -> float:
    """The mean mass on z at steps 2, 4, …, 12 of bending this model (weight 1, constant rate)."""
    z = bench().z
    seen = []
    at = bench().batch[0][:20]

    @torch.no_grad()
    def look(history: object) -> None:
        now.eval()
        seen.append(target_mass(now(at), z).mean().item())
        now.train()

    now = copy.deepcopy(model)
    text = bench().text
    batches = token_batches(text.tokens, 8, 48, text.starts)
    train(
        now, batches, 12, lr=1e-3, weight_decay=0.0, warmup=0, final=1.0, seed=100 + seed,
        loss_fn=toward(z, 1.0), every=2, on_steps=look, progress=False,
    )  # fmt: skip
    return sum(seen) / len(seen)


def measure_cleaned(seed: int, steps: tuple[int, ...] = (30, 300)) -> list[dict[str, Any]]:
    """Bend with weight 1 (or 0, the control), then train on plain stories: the loss, the mass that
    is left, and how fast the model bends again.
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
                }
            )
    return found
