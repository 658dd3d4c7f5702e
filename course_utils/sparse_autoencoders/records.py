"""What takes too long for the lesson, made once by tools/record/sweep_autoencoders.py: three seeds
of each kind of sparse autoencoder on the storyteller's stream, and of the controls.
"""

from functools import cache
from typing import Any

import torch
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
from course_utils.sparse_autoencoders.scores import held_out_score, purity, windows
from course_utils.sparse_autoencoders.steering import onward, story_loss

ASSET = "sparse_autoencoders/units.json"
LAYER = 2  # the stream behind blocks 0 and 1
UNITS, STEPS = 256, 600
TRAIN, TEST = 160, 80  # stories


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
    """The stories, what their teller knows, and three streams: trained, untrained, token + position."""
    parts = windows(1_000_003, TRAIN), windows(2_000_003, TEST)
    model = storyteller().set_attention("fused")
    ids = torch.cat([part.ids for part in parts])
    truth = {k: torch.cat([part.truth[k] for part in parts]).flatten() for k in parts[0].truth}
    with torch.no_grad():
        streams = model.streams(ids)
        random = GPT(model.config, torch.Generator().manual_seed(0)).eval().streams(ids)
    sources = {
        "trained": streams[LAYER],
        "untrained": random[LAYER],
        "token + position": streams[0],
    }
    train = (torch.arange(len(ids)) < TRAIN).repeat_interleave(ids.size(1))
    return {"model": model, "ids": ids, "truth": truth, "train": train, "sources": sources}


def _codes(sae: SparseAutoencoder, z: Tensor) -> Tensor:
    with torch.no_grad():
        return sae(z.flatten(0, 1))[0]


def measure_kind(kind: str, value: float, lr: float, seed: int) -> dict[str, Any]:
    """Train one sparse autoencoder of a kind (L1, top-k or JumpReLU) on the trained stream.

    "l0": how many units fire on a token; "rise": by how much the model's loss rises where its
    stream is replaced by the reconstruction, in nats a token; both on new stories. "train_rise":
    the same on the stories of the training. "dead": units that fire on none of its tokens.
    """
    world = _world()
    model = world["model"]
    ids = world["ids"]
    x = world["sources"]["trained"]
    z, mean, scale = normalised(x)
    sae = train_sae(
        z[:TRAIN].flatten(0, 1), UNITS, 0.0 if kind == "top-k" else value,
        top_k=int(value) if kind == "top-k" else None, steps=STEPS, lr=lr,
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

    source: a stream on which a sparse autoencoder is trained; or "random directions", "principal
    components" (both ways) or "axes" (both ways) of the trained stream.
    """
    world = _world()
    trained = normalised(world["sources"]["trained"])[0].flatten(0, 1)
    train = world["train"]
    if source in world["sources"]:
        z = normalised(world["sources"][source])[0]
        sae = train_sae(
            z[:TRAIN].flatten(0, 1), UNITS, top_k=top_k, steps=STEPS,
            generator=torch.Generator().manual_seed(seed),
        )  # fmt: skip
        codes = _codes(sae, z)
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


def measure_width(width: int, seed: int, top_k: int = 8) -> dict[str, Any]:
    """How names are split among units as there are more of them.

    "dead": units that never fire in the training. "name units": those that are the strongest on at
    least one in a hundred names of new stories. "types": on how many different names such a unit is
    the strongest, the mean. "score": that of the best single unit for names, on new stories.
    """
    world = _world()
    train = world["train"]
    z = normalised(world["sources"]["trained"])[0]
    sae = train_sae(
        z[:TRAIN].flatten(0, 1), width, top_k=top_k, steps=STEPS,
        generator=torch.Generator().manual_seed(seed),
    )  # fmt: skip
    codes = _codes(sae, z)
    name = world["truth"]["a name"]
    here = name & ~train
    ids = world["ids"].flatten()[here]
    first = codes[here].argmax(1)  # the strongest unit on each name
    units = (first.bincount() >= len(first) / 100).nonzero().flatten().tolist()
    types = [len(ids[first == unit].unique()) for unit in units]
    return {
        "width": width, "seed": seed, "dead": int((firing_rate(codes[train]) == 0).sum()),
        "name units": len(units), "types": round(sum(types) / len(types), 1),
        "score": round(held_out_score(codes, name, train), 3),
    }  # fmt: skip


def recorded() -> dict[str, list[dict[str, Any]]]:
    """The recorded rows: "kinds", "units" and "widths", three seeds each.

    >>> sorted(recorded()["kinds"][0])
    ['dead', 'kind', 'l0', 'lr', 'rise', 'seed', 'train_rise', 'value']
    """
    record = assets.read_json(ASSET)
    return {part: record[part] for part in ("kinds", "units", "widths")}
