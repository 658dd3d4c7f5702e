"""What takes too long for the lesson, made once by tools/record/sweep_superposition.py: the paper's
large run, 400 features in 30 dimensions, and toy models of several sizes.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import normalize

from course_utils import assets
from course_utils.superposition.toy_model import (
    ToyModel,
    feature_dimensionality,
    train_toy,
    zipf_batch,
)

ASSET = "superposition/crowd.json"
SCALING = "superposition/scaling.json"


def measure_crowd(
    n: int, m: int, densities: Tensor, steps: int, batch: int, lr: float = 3e-3, seed: int = 0
) -> list[dict[str, Any]]:
    """Train a toy model for each density; return the shares of a dimension of the features kept.

    A row for each density p: "p", and "D", the D_i of all features longer than 1/2, three decimals,
    the smallest first.
    Source: Elhage et al. 2022, section "Feature dimensionality".

    >>> rows = measure_crowd(4, 2, torch.tensor([0.05]), steps=600, batch=64, lr=0.02)
    >>> rows[0]["p"], [round(share, 1) for share in rows[0]["D"]]
    (0.05, [0.5, 0.5, 0.5, 0.5])
    """
    own = torch.Generator(densities.device)
    model = ToyModel(len(densities), n, m, generator=own.manual_seed(seed))
    dice = torch.Generator(densities.device).manual_seed(seed + 1)
    train_toy(model, 1 - densities, steps=steps, batch=batch, lr=lr, generator=dice)
    rows = []
    for W, p in zip(model.W.detach(), densities.tolist(), strict=True):
        shares = feature_dimensionality(W)[W.norm(dim=0) > 0.5]
        rows.append({"p": round(p, 4), "D": [round(d, 3) for d in shares.sort().values.tolist()]})
    return rows


def recorded_crowd() -> dict[str, Any]:
    """The recorded run: "n", "m", and "rows" as `measure_crowd` gives them.

    >>> record = recorded_crowd()
    >>> record["n"], record["m"], sorted(record["rows"][0])
    (400, 30, ['D', 'p'])
    """
    return assets.read_json(ASSET)


def measure_scaling(
    n: int, m: int, unit: bool, seeds: int = 3, steps: int = 1000, batch: int = 256
) -> dict[str, Any]:
    """Train `seeds` toy models in a world of n features of unequal frequency (`zipf_batch`).

    A value for each seed: "loss", the mean of the last hundred steps; "kept", the number of features
    longer than 1/2; "overlap", the mean squared cosine of two that are kept. `unit` holds all
    lengths at 1, so that every feature is kept: "strong" superposition.
    Source: Liu, Liu & Gore 2025, "Superposition Yields Robust Neural Scaling".

    >>> row = measure_scaling(8, 2, unit=True, seeds=2, steps=50)
    >>> row["m"], row["unit"], row["kept"], len(row["loss"])
    (2, True, [8, 8], 2)
    """
    model = ToyModel(seeds, n, m, generator=torch.Generator().manual_seed(m), unit=unit)
    dice = torch.Generator().manual_seed(m + 1)
    S = torch.zeros(seeds)  # zipf_batch has densities of its own
    losses = train_toy(
        model, S, steps=steps, batch=batch, lr=0.01, generator=dice, draw=zipf_batch()
    )
    row = {"n": n, "m": m, "unit": unit, "loss": losses[-100:].mean(0).tolist()}
    kept = []
    overlap = []
    for W in model.W.detach():
        columns = normalize(W, dim=0) if unit else W[:, W.norm(dim=0) > 0.5]
        cosines = normalize(columns, dim=0).mT @ normalize(columns, dim=0)
        k = len(cosines)
        kept.append(k)
        overlap.append((cosines.square().sum().item() - k) / (k * (k - 1)))
    return row | {"kept": kept, "overlap": overlap}


def recorded_scaling() -> list[dict[str, Any]]:
    """The recorded rows of `measure_scaling`.

    >>> [row["m"] for row in recorded_scaling() if row["unit"]]
    [4, 8, 16, 32, 64]
    """
    return assets.read_json(SCALING)["rows"]
