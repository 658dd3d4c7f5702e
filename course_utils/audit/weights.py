"""What an auditor can do with the weights of two models: exchange parts, compare streams, try every
word.

Shapes: V words, d_model numbers a token. Shares are of a difference of log-odds: 1 where all of the
tampering is there, 0 where none is.
"""

import copy
from collections.abc import Collection

import torch
from torch import Tensor, nn

from course_utils import circuits
from course_utils.gpt2.model import GPT


def with_parts(model: nn.Module, donor: nn.Module, parts: Collection[str]) -> nn.Module:
    """A copy of the model in which some parts have the weights of another model.

    parts: names of modules, such as "wte" or "h.2.attn"; a part has every parameter in it. Both
    models stay as they are. Raises: ValueError for a part without parameters.
    Source: Prakash et al. 2024, "Fine-Tuning Enhances Existing Mechanisms" (cross-model patching).

    >>> model, donor = (nn.Sequential(nn.Linear(1, 1), nn.Linear(1, 1)) for _ in range(2))
    >>> mixed = with_parts(model, donor, ["1"])
    >>> bool(mixed[0].weight == model[0].weight), bool(mixed[1].weight == donor[1].weight)
    (True, True)
    """
    theirs = dict(donor.named_parameters())
    chosen = {part: [n for n in theirs if f"{n}.".startswith(f"{part}.")] for part in parts}
    if empty := [part for part, names in chosen.items() if not names]:
        raise ValueError(f"no parameter is in {empty[0]!r}")
    mixed = copy.deepcopy(model)
    mine = dict(mixed.named_parameters())
    with torch.no_grad():
        for name in {name for names in chosen.values() for name in names}:
            mine[name].copy_(theirs[name])
    return mixed


def parts(model: GPT) -> dict[str, tuple[str, ...]]:
    """The parts of a GPT for `with_parts`; a LayerNorm goes with what reads it.

    >>> from course_utils.pretrained import storyteller
    >>> list(parts(storyteller()))[:4]
    ['embedding', 'positions', 'attention 0', 'MLP 0']
    """
    found = {"embedding": ("wte",), "positions": ("wpe",)}
    for i in range(model.config.n_layer):
        found[f"attention {i}"] = (f"h.{i}.ln_1", f"h.{i}.attn")
        found[f"MLP {i}"] = (f"h.{i}.ln_2", f"h.{i}.mlp")
    return found | {"last norm": ("ln_f",)}


def distance(model: nn.Module, other: nn.Module, names: Collection[str] = ()) -> float:
    """How far the weights of one model are from another's: the root of the sum of squares, over
    some parts or all.

    >>> a, b = (nn.Linear(2, 2, bias=False) for _ in range(2))
    >>> _ = a.weight.data.fill_(1), b.weight.data.fill_(2)
    >>> distance(a, b)
    2.0
    """
    pairs = zip(model.named_parameters(), other.parameters(), strict=True)
    squares = [
        (p.detach() - q.detach()).square().sum()
        for (name, p), q in pairs
        if not names or any(f"{name}.".startswith(f"{part}.") for part in names)
    ]
    return torch.stack(squares).sum().sqrt().item()


@torch.no_grad()
def stream_difference(base: GPT, update: GPT, ids: Tensor, site: str) -> Tensor:
    """By how much an update moved the residual stream, the mean over texts and positions.

    Shapes: ids (N, T) -> (d_model,). Source: Minder et al. 2025, "Narrow Finetuning Leaves Clearly
    Readable Traces in Activation Differences".

    >>> from course_utils.pretrained import storyteller
    >>> base = storyteller()
    >>> stream_difference(base, base, torch.tensor([[3, 1, 4]]), "h.2").abs().max()
    tensor(0.)
    """
    after, before = (circuits.activations(m, ids, [site])[site] for m in (update, base))
    return (after - before).mean((0, 1))
