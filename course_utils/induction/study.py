"""What lesson 15 measures on a grown model, for its live seed and for the recorded ones."""

import torch

from course_utils import assets
from course_utils.circuits.hooks import patched
from course_utils.induction import ablation, heads, weights
from course_utils.machine.devices import device_of
from course_utils.transformer_block.transformer import Transformer

ASSET = "induction/seeds.json"
PERIODS = (8, 24)
STARTS = (0, 6, 12, 18, 24)


def previous_heads(growth: heads.Growth) -> list[tuple[int, int]]:
    """The heads of layer 0, the one that looks most at the token before first.

    >>> growth = heads.Growth(previous=torch.tensor([[[0.1, 0.9], [0.0, 0.0]]]))
    >>> previous_heads(growth)
    [(0, 1), (0, 0)]
    """
    return [(0, h) for h in growth.previous[-1, 0].argsort(descending=True).tolist()]


def late_losses(model: Transformer, change: dict | None = None) -> list[float]:
    """The loss, in nats, where a block of 12 begins at each position of STARTS. change: what is
    patched meanwhile.

    >>> model = heads.attention_only(1, generator=torch.Generator().manual_seed(0))
    >>> len(late_losses(model))
    5
    """
    found = []
    for start in STARTS:
        texts = heads.late_repeats(64, start, 12, 64, torch.Generator().manual_seed(7))
        texts = tuple(x.to(device_of(model)) for x in texts)
        with patched(model, change or {}):
            found.append(heads.token_losses(model, texts).nanmean().item())
    return found


def all_sets(n: int) -> torch.Tensor:
    """All sets of n heads, (2^n, n): 1 where a head is in.

    >>> all_sets(2).tolist()
    [[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]
    """
    return (torch.arange(2**n)[:, None] >> torch.arange(n) & 1).float()


def summary(model: Transformer, growth: heads.Growth) -> dict[str, float | list[float]]:
    """The numbers of a two-layer model that the lesson compares over seeds; losses in nats.

    >>> model = heads.attention_only(2, generator=torch.Generator().manual_seed(0))
    >>> growth = heads.grow(model, PERIODS, steps=2, every=2, progress=False)
    >>> list(summary(model, growth))[:3]
    ['loss', 'two out', 'others out']
    """
    order = previous_heads(growth)
    others = order[2:]
    pair = order[:2]
    batch = heads.repeat_batches(64, 48, 64, PERIODS)(torch.Generator().manual_seed(5))
    batch = tuple(x.to(device_of(model)) for x in batch)
    layer1 = [(1, h) for h in range(4)]

    def forced(which):
        return {"h.0.attn.pattern": lambda x: ablation.look_back(x, [h for _, h in which], 24)}

    def mean_score(circuits):
        return sum(weights.copying_score(c).item() for c in circuits) / 4

    def strength(which):
        return sum(_raised(weights.qk_circuit(model, h, which)) for h in layer1) / 4

    return {
        "loss": growth.loss[-1].item(),
        "two out": ablation.harm(model, batch, pair),
        "others out": ablation.harm(model, batch, others),
        "three out": ablation.harm(model, batch, order[:3]),
        "layer 1 out": ablation.harm(model, batch, layer1),
        "worst of layer 1 alone": max(ablation.harm(model, batch, [h]) for h in layer1),
        **{f"pair through {x}": ablation.harm_through(model, batch, pair, x) for x in "qkv"},
        **{f"layer 0 through {x}": ablation.harm_through(model, batch, order, x) for x in "qkv"},
        "others through k": ablation.harm_through(model, batch, others, "k"),
        **{f"swapped {x}": ablation.harm_swapped(model, batch, x) for x in "qkv"},
        "late": late_losses(model),
        "late, rescued": late_losses(model, forced(pair)),
        "late, others forced": late_losses(model, forced(others)),
        "OV": mean_score(weights.ov_circuit(model, h) for h in layer1),
        "QK": mean_score(weights.qk_circuit(model, h, pair) for h in layer1),
        "QK, others": mean_score(weights.qk_circuit(model, h, others) for h in layer1),
        "QK strength": strength(pair),
        "QK strength, others": strength(others),
        "previous": growth.previous[-1, 0].sort(descending=True).values.tolist(),
        "induction": growth.induction[-1, 1].tolist(),
    }  # fmt: skip


def theories(
    model: Transformer, batch: heads.Batch
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """The harm of all sets of heads that were not used to fit, and what four theories predict.

    A seeded half of the sets fits the theories that are fitted; the other half is predicted.

    >>> model = heads.attention_only(1, T=12, generator=torch.Generator().manual_seed(0))
    >>> batch = heads.repeat_batches(4, 12, 64, (3, 5))(torch.Generator().manual_seed(0))
    >>> found, told = theories(model, batch)
    >>> len(found), len(told)
    (8, 4)
    """
    every = ablation.all_heads(model)
    sets = all_sets(len(every))
    groups = [[h for h, out in zip(every, row, strict=True) if out] for row in sets.tolist()]
    harms = torch.tensor([ablation.harm(model, batch, group) for group in groups])
    order = torch.randperm(len(sets), generator=torch.Generator().manual_seed(0))
    fit, test = order.chunk(2)
    parts = ablation.interactions(model, batch)
    told = {}
    for n, what in ((1, "heads"), (2, "heads and pairs")):
        naive = [ablation.predicted_harm(parts, groups[i], n) for i in test.tolist()]
        told[f"{what}, from the intact model"] = torch.tensor(naive)
        told[f"{what}, fitted"] = ablation.fitted_harm(sets[fit], harms[fit], sets[test], n)
    return harms[test], told


def measure_seed(seed: int, steps: int = 700) -> dict:
    """Grow a two-layer model from a seed, and measure it: a row of the record.

    >>> row = measure_seed(0, steps=1)
    >>> list(row)[:4]
    ['seed', 'steps', 'curves', 'summary']
    """
    model = heads.attention_only(2, generator=torch.Generator().manual_seed(seed)).eval()
    growth = heads.grow(model, PERIODS, steps, seed=seed, progress=False)
    batch = heads.repeat_batches(32, 48, 64, PERIODS)(torch.Generator().manual_seed(8))
    found, told = theories(model, batch)
    curves = {
        "loss": growth.loss,
        "induction": growth.induction[:, 1].amax(-1),
        "previous": growth.previous[:, 0].amax(-1),
        "accuracy": growth.accuracy,
        "early accuracy": growth.early,
        "exact match": (growth.streaks >= 16).double().mean(-1),
    }
    return {
        "seed": seed,
        "steps": growth.steps,
        "curves": {name: _short(values.tolist()) for name, values in curves.items()},
        "summary": _short(summary(model, growth)),
        "R2": _short({name: ablation.explained(found, x) for name, x in told.items()}),
    }


def _raised(circuit: torch.Tensor) -> float:
    """How far the diagonal of a circuit lies above the mean of the circuit."""
    return (circuit.diagonal().mean() - circuit.mean()).item()


def _short(value):
    """Four decimals are enough for a record."""
    if isinstance(value, dict):
        return {name: _short(x) for name, x in value.items()}
    return [_short(x) for x in value] if isinstance(value, list) else round(value, 4)


def recorded() -> list[dict]:
    """The recorded rows, one a seed.

    >>> [row["seed"] for row in recorded()]
    [0, 1, 2, 3, 4]
    """
    return assets.read_json(ASSET)["rows"]
