"""What takes too long for the lesson, made once by tools/record/sweep_autoencoders.py: three seeds
of each kind of sparse autoencoder on the storyteller's stream, and of the controls.
"""

from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from course_utils import assets
from course_utils.gpt2.model import GPT
from course_utils.pretrained import storyteller
from course_utils.sparse_autoencoders.autoencoder import (
    SparseAutoencoder,
    firing_rate,
    principal_directions,
    train_sae,
)
from course_utils.sparse_autoencoders.scores import best_cut, held_out_score, purity, windows
from course_utils.sparse_autoencoders.steering import onward, story_loss, turned
from course_utils.stories.corpus import ID

ASSET = "sparse_autoencoders/units.json"
LAYER = 2  # the stream behind blocks 0 and 1
UNITS, STEPS = 256, 600
TRAIN, TEST = 160, 80  # stories
LENGTHS = 0.2, 0.3, 0.4, 0.5, 0.6, 0.8  # of a steering vector, in those of a typical activation
PARTS = "kinds", "rates", "units", "widths", "steering"


def normalised(x: Tensor, train: int = TRAIN) -> tuple[Tensor, Tensor, Tensor]:
    """Activations with the mean 0 and a mean squared length of 1 over the first `train` stories.

    Shapes: x (B, T, d) -> z (B, T, d), mean (d,), scale: x = z · scale + mean.

    >>> z, mean, scale = normalised(torch.tensor([[[1.0, 0.0], [3.0, 0.0]]]), train=1)
    >>> z.tolist(), mean.tolist(), scale.item()
    ([[[-1.0, 0.0], [1.0, 0.0]]], [2.0, 0.0], 1.0)
    """
    mean = x[:train].mean((0, 1))
    scale = (x[:train] - mean).square().sum(-1).mean().sqrt()
    return (x - mean) / scale, mean, scale


@cache
def _world() -> dict[str, Any]:
    """The stories, what their teller knows, and two streams: trained, and token + position."""
    parts = windows(1_000_003, TRAIN), windows(2_000_003, TEST)
    model = storyteller().set_attention("fused")
    ids = torch.cat([part.ids for part in parts])
    truth = {k: torch.cat([part.truth[k] for part in parts]).flatten() for k in parts[0].truth}
    with torch.no_grad():
        streams = model.streams(ids)
    sources = {"trained": streams[LAYER], "token + position": streams[0]}
    train = (torch.arange(len(ids)) < TRAIN).repeat_interleave(ids.size(1))
    return {"model": model, "ids": ids, "truth": truth, "train": train, "sources": sources}


def randomised(model: GPT, generator: torch.Generator, keep_embeddings: bool = False) -> GPT:
    """A model of the same sizes with random weights; with keep_embeddings those of the tokens and
    the positions stay as they are.

    Source: Heap et al. 2025, for all weights at random.

    >>> model = storyteller()
    >>> other = randomised(model, torch.Generator().manual_seed(0), keep_embeddings=True)
    >>> torch.equal(other.wte.weight, model.wte.weight)
    True
    """
    other = GPT(model.config, generator).eval()
    if keep_embeddings:
        other.wte.load_state_dict(model.wte.state_dict())
        other.wpe.load_state_dict(model.wpe.state_dict())
    return other


def _stream(source: str, seed: int) -> Tensor:
    """A stream to train on; each seed has a random model of its own."""
    world = _world()
    if source in world["sources"]:
        return world["sources"][source]
    dice = torch.Generator().manual_seed(seed)
    model = randomised(world["model"], dice, keep_embeddings=source == "random blocks")
    with torch.no_grad():
        return model.streams(world["ids"])[LAYER]


def _codes(sae: SparseAutoencoder, z: Tensor) -> Tensor:
    with torch.no_grad():
        return sae(z.flatten(0, 1))[0]


def _top_k_sae(
    z: Tensor, seed: int, width: int = UNITS, top_k: int = 8, steps: int = STEPS
) -> SparseAutoencoder:
    own = torch.Generator().manual_seed(seed)
    return train_sae(z[:TRAIN].flatten(0, 1), width, top_k=top_k, steps=steps, generator=own)


def measure_kind(
    kind: str, value: float, lr: float, seed: int, steps: int = STEPS
) -> dict[str, Any]:
    """Train one sparse autoencoder of a kind (L1, top-k or JumpReLU) on the trained stream.

    "l0": how many units fire on a token; "rise": by how much the model's loss rises where its
    stream is replaced by the reconstruction, in nats a token; both on new stories. "train_rise":
    the same on the stories of the training. "dead": units that fire on none of its tokens.

    >>> measure_kind("top-k", 8, 0.01, seed=0, steps=2)["l0"] <= 8
    True
    """
    world = _world()
    model = world["model"]
    ids = world["ids"]
    x = world["sources"]["trained"]
    z, mean, scale = normalised(x)
    sae = train_sae(
        z[:TRAIN].flatten(0, 1), UNITS, 0.0 if kind == "top-k" else value,
        top_k=int(value) if kind == "top-k" else None, steps=steps, lr=lr,
        generator=torch.Generator().manual_seed(seed), jump=kind == "JumpReLU",
    )  # fmt: skip
    f = _codes(sae, z)
    with torch.no_grad():
        back = sae.decode(f[None])[0].view_as(z) * scale + mean
    rise = story_loss(onward(model, back, LAYER), ids) - story_loss(onward(model, x, LAYER), ids)
    new = f[~world["train"]]
    dead = int((firing_rate(f[world["train"]]) == 0).sum())
    return {
        "kind": kind, "value": value, "lr": lr, "seed": seed,
        "l0": round((new > 0).sum(1).float().mean().item(), 2),
        "rise": round(rise[TRAIN:].mean().item(), 4),
        "train_rise": round(rise[:TRAIN].mean().item(), 4), "dead": dead,
    }  # fmt: skip


def measure_units(source: str, seed: int, top_k: int = 8) -> dict[str, Any]:
    """The score of the best of 256 candidates for each latent on new stories, and their purity.

    source: a stream on which a sparse autoencoder is trained ("untrained", "random blocks": each seed
    draws its own weights); or "random directions", "principal
    components" (both ways) or "axes" (both ways) of the trained stream.

    >>> row = measure_units("axes", 0)
    >>> row["source"], len(row["scores"])
    ('axes', 6)
    """
    world = _world()
    trained = normalised(world["sources"]["trained"])[0].flatten(0, 1)
    train = world["train"]
    if source in ("untrained", "random blocks") or source in world["sources"]:
        z = normalised(_stream(source, seed))[0]
        codes = _codes(_top_k_sae(z, seed, top_k=top_k), z)
    elif source == "random directions":
        own = torch.Generator().manual_seed(seed)
        codes = trained @ torch.randn(trained.size(1), UNITS, generator=own)
    elif source == "principal components":
        codes = trained @ principal_directions(trained[train]).T
    else:
        codes = torch.cat([trained, -trained], 1)
    scores = {k: round(held_out_score(codes, y, train), 3) for k, y in world["truth"].items()}
    ids = world["ids"].flatten()
    pure = round(purity(codes[~train], ids[~train]), 3)
    return {"source": source, "seed": seed, "scores": scores, "purity": pure}


def measure_width(width: int, seed: int, top_k: int = 8, steps: int = STEPS) -> dict[str, Any]:
    """How names are split among units as there are more of them.

    "dead": units that never fire in the training. "name units": those that are the strongest on at
    least one in a hundred names of new stories. "types": on how many different names such a unit is
    the strongest, the mean. "score": that of the best single unit for names, on new stories.
    "random": the name units among as many random directions.

    >>> 0 < measure_width(16, seed=0, steps=2)["name units"] <= 16
    True
    """
    world = _world()
    train = world["train"]
    z = normalised(world["sources"]["trained"])[0]
    codes = _codes(_top_k_sae(z, seed, width, top_k, steps), z)
    name = world["truth"]["a name"]
    here = name & ~train
    ids = world["ids"].flatten()[here]
    first, units = _name_units(codes[here])
    types = [len(ids[first == unit].unique()) for unit in units]
    own = torch.Generator().manual_seed(seed)
    drawn = F.normalize(torch.randn(z.size(-1), width, generator=own), dim=0)
    return {
        "width": width, "seed": seed, "dead": int((firing_rate(codes[train]) == 0).sum()),
        "name units": len(units), "types": round(sum(types) / len(types), 1),
        "score": round(held_out_score(codes, name, train), 3),
        "random": len(_name_units(z.flatten(0, 1)[here] @ drawn)[1]),
    }  # fmt: skip


def _name_units(codes: Tensor) -> tuple[Tensor, list[int]]:
    """The strongest unit on each name, and the units that are so on at least one in a hundred."""
    first = codes.argmax(1)
    return first, (first.bincount() >= len(first) / 100).nonzero().flatten().tolist()


def measure_steering(what: str, seed: int) -> dict[str, Any]:
    """Add a vector to the trained stream of the new stories, at each of LENGTHS.

    what: "best unit", the one that reads best on the training stories whether the hero is a girl;
    "minus the boy unit", the opposite of the one that reads best whether the hero is a boy;
    "difference of means" of the same; "random"; or "aimed", of 256 random directions the one that
    points most from what the model reads "he" with to what it reads "she" with. "cosine": with
    that difference. "rank": how many of the units (of the directions) point there more. "turned":
    the share of "he" that turn to "she"; "side": the side effect, in nats a token.

    >>> measure_steering("random", 0)["turned"][0]  # a short one turns nothing
    0.0
    """
    world = _world()
    model = world["model"]
    train = world["train"]
    girl = world["truth"]["the hero is a girl"]
    z, _, scale = normalised(world["sources"]["trained"])
    own = torch.Generator().manual_seed(seed)
    head = model.lm_head.weight.detach()
    way = F.normalize(head[ID["she"]] - head[ID["he"]], dim=0)
    if what in ("best unit", "minus the boy unit"):
        sign = 1 if what == "best unit" else -1
        sae = _top_k_sae(z, seed)
        fits = best_cut(_codes(sae, z)[train], (girl if sign == 1 else ~girl)[train])[1]
        many = sign * sae.directions.detach()[0]
        at = fits.argmax()
    elif what == "difference of means":
        flat = z.flatten(0, 1)
        many = (flat[train & girl].mean(0) - flat[train & ~girl].mean(0))[None]
        at = torch.tensor(0)
    else:
        many = torch.randn(UNITS if what == "aimed" else 1, z.size(-1), generator=own)
        at = (F.normalize(many, dim=1) @ way).argmax()
    many = F.normalize(many, dim=1)
    cosines = many @ way
    late = world["sources"]["trained"][TRAIN:]
    ids = world["ids"][TRAIN:]
    plain = onward(model, late, LAYER)
    he_she = ID["he"], ID["she"]
    found = [
        turned(onward(model, late + length * scale * many[at], LAYER), plain, ids, *he_she)
        for length in LENGTHS
    ]
    return {
        "what": what, "seed": seed, "cosine": round(cosines[at].item(), 3),
        "rank": int((cosines > cosines[at]).sum()),
        "turned": [round(effect.mean().item(), 3) for effect, _ in found],
        "side": [round(side.mean().item(), 4) for _, side in found],
    }  # fmt: skip


def recorded() -> dict[str, list[dict[str, Any]]]:
    """The recorded rows: "kinds", at one learning rate; "rates", near 8 units a token at two others;
    "units", "widths" and "steering".

    >>> sorted(recorded()["kinds"][0])
    ['dead', 'kind', 'l0', 'lr', 'rise', 'seed', 'train_rise', 'value']
    """
    record = assets.read_json(ASSET)
    return {part: record[part] for part in PARTS}
