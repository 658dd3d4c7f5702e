"""The races of lesson 11: what is trained, on what, for how long; and what a tool recorded.

The record, `assets/architectures.json`, is written by tools/record/train_architectures.py.
"""

import statistics
from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from course_utils import assets
from course_utils.architectures.experts import Experts, FactModel, Facts, Shape, learn_facts
from course_utils.architectures.modern import (
    CHANGES,
    ModernConfig,
    ModernTransformer,
    balanced_loss,
    variant,
)
from course_utils.architectures.parts import Parts
from course_utils.stories import VOCAB
from course_utils.stories.corpus import Stories
from course_utils.training import evaluate, token_batches, train
from course_utils.transformer_block import runs as block_runs
from course_utils.transformer_block.block import MLP

RECORD = "architectures/architectures.json"
RATES = (1.2e-2, 2.4e-2)  # learning rates that each model may choose from
STEPS = 300  # of Model 5 on stories; the others get as much arithmetic
T = 64  # positions
SIZES = dict(
    vocab_size=len(VOCAB), n_positions=T, n_embd=48, n_layer=2, n_head=4, initializer_range=0.07
)
ON_STORIES: dict[str, ModernConfig] = {
    name: variant(name, **SIZES) for name in ("Model 5", *CHANGES, "all four")
}
N_EXPERT = 8
MIXTURES: dict[str, ModernConfig] = {
    "8 experts": ModernConfig(**SIZES, n_expert=N_EXPERT),
    "dense, 8 times wider": ModernConfig(**SIZES, n_inner=N_EXPERT * 4 * SIZES["n_embd"]),
}
FACTS = Facts(64)
FACT_STEPS = 400
FACT_RATES = (1e-2, 2e-2)
FACT_SHAPE = Shape(d_model=64, d_inner=16, n_expert=16)
ON_FACTS: dict[str, Callable[[Parts | None], nn.Module]] = {
    "dense": lambda parts: MLP(64, 16),
    "16 experts": lambda parts: Experts(FACT_SHAPE, 1, parts),
    "dense, 16 times wider": lambda parts: MLP(64, 16 * 16),
}


def recorded() -> dict:
    """What the tool recorded: rows by part, each with name, seed, rate and what was reached.

    >>> sorted({row["seed"] for row in recorded()["parts"]})
    [0, 1, 2]
    """
    return assets.read_json(RECORD)


@cache
def texts() -> tuple[Stories, Stories]:
    """The stories to train on and the others, on which all models are judged: lesson 03's.

    >>> [len(part.tokens) for part in texts()]
    [300000, 20481]
    """
    return block_runs.texts()


def unseen_batches() -> list[tuple[Tensor, Tensor]]:
    """320 windows of T tokens that no model was trained on, and the next tokens, (320, T) each.

    >>> unseen_batches()[0][0].shape
    torch.Size([320, 64])
    """
    return block_runs.unseen_batches(texts()[1], T)


def flop(model: nn.Module, inputs: Tensor) -> int:
    """The floating-point operations of one forward pass, in matrix products.

    >>> flop(nn.Linear(3, 5, bias=False), torch.zeros(1, 3))
    30
    """
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(inputs)
    return counter.get_total_flops()


def equal_steps(config: ModernConfig, steps: int = STEPS) -> int:
    """How many steps of this model cost as many operations as `steps` of Model 5.

    >>> equal_steps(ON_STORIES["Model 5"]), equal_steps(ON_STORIES["GQA"]) > STEPS
    (300, True)
    """
    ids = torch.zeros(1, T, dtype=torch.long)
    costs = [flop(ModernTransformer(c), ids) for c in (ON_STORIES["Model 5"], config)]
    return round(steps * costs[0] / costs[1])


def learn_stories(
    config: ModernConfig, steps: int, lr: float, seed: int = 0, parts: Parts | None = None,
    balance: float = 0.01,
) -> tuple[ModernTransformer, float]:  # fmt: skip
    """Train a model on stories: return it, and its loss in nats on the unseen ones.

    >>> model, loss = learn_stories(ON_STORIES["RoPE"], steps=1, lr=1e-3)
    >>> loss > 1
    True
    """
    generator = torch.Generator().manual_seed(seed)
    model = ModernTransformer(config, generator, parts)
    more = {}
    if config.n_expert:
        more["loss_fn"] = lambda model, batch: balanced_loss(model, batch, balance)
    batches = token_batches(texts()[0].tokens, 16, T)
    train(model, batches, steps, lr=lr, seed=seed, progress=False, **more)
    return model, evaluate(model, unseen_batches())


def learn_facts_with(
    name: str, lr: float, seed: int = 0, parts: Parts | None = None, balance: float = 0.01
) -> tuple[FactModel, float]:
    """Train one of ON_FACTS: return it, and the share of the facts that it knows.

    >>> model, known = learn_facts_with("dense", lr=1e-2)
    >>> known < 0.5
    True
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = FactModel(ON_FACTS[name](parts), FACTS.n)
    return model, learn_facts(model, FACTS, FACT_STEPS, lr, seed, balance)


def most_used(model: nn.Module) -> float:
    """On the unseen stories: the share of all choices that went to the most used expert, in the
    block where it is largest; for 8 experts between 1/8 and 1.

    >>> 0.12 < most_used(ModernTransformer(MIXTURES["8 experts"])) <= 1
    True
    """
    with torch.no_grad():
        model(unseen_batches()[0][0].to(next(model.parameters()).device))
    chosen = [m.chosen for m in model.modules() if isinstance(m, Experts)]
    return max(torch.bincount(c.flatten()).max().item() / c.numel() for c in chosen)


def at_best_rate(rows: list[dict], name: str, key: str, best: Callable = min) -> list[float]:
    """What the recorded runs of a model reached, seed by seed, at the learning rate that was best
    on average.

    >>> rows = [dict(name="a", lr=r, seed=s, loss=10 * r + s) for r in (0.1, 0.2) for s in (0, 1)]
    >>> at_best_rate(rows, "a", "loss")
    [1.0, 2.0]
    """
    mine = [row for row in rows if row["name"] == name]
    seeds = {rate: [r[key] for r in mine if r["lr"] == rate] for rate in {r["lr"] for r in mine}}
    most = max(map(len, seeds.values()))
    return best((v for v in seeds.values() if len(v) == most), key=statistics.mean)
