"""Search over written steps, verifiers that err, and the price of each: what lesson 12 compares at
equal compute.

B is the number of problems, k the samples of each, n the steps of an answer. All prices are in
FLOP: a token costs a model 2 for each of its weights, whether it writes or reads it (lesson 08).
"""

import json
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor, nn

from course_utils import assets
from course_utils.machine.devices import device_of
from course_utils.test_time_compute.running_sum import RunningSum
from course_utils.transformer_block.transformer import Transformer

EARLY = assets.path("test_time_compute/early.safetensors")
TRADE = assets.path("test_time_compute/trade.json")


def step_search(
    propose: Callable[[Tensor], Tensor],
    follows: Callable[[Tensor, Tensor], Tensor],
    B: int,
    steps: int,
    tries: int,
) -> tuple[Tensor, float]:
    """Write one step after the other; a step that the checker rejects is drawn again, up to `tries`
    times in all, and the last try stays.

    propose(written) draws a next step for each of the B problems, (B, i) -> (B,);
    follows(written, step) says which are accepted, (B, i), (B,) -> (B,), bool. written begins with
    i = 0 steps, whole numbers. Returns what was written (B, steps), and how many draws a problem
    took on average: only the draws of problems whose step was still open count.
    Raises: ValueError where tries is below 1.

    >>> draws = iter(torch.tensor([[5, 0], [1, 9], [2, 2], [3, 3]]))
    >>> step_search(lambda w: next(draws), lambda w, step: step < 5, B=2, steps=2, tries=2)
    (tensor([[1, 2],
            [0, 2]]), 2.5)
    """
    if tries < 1:
        raise ValueError(f"tries={tries}: each step is drawn at least once")
    written = torch.zeros(B, 0, dtype=torch.long)
    draws = 0
    for _ in range(steps):
        step = propose(written)
        draws += B
        for _ in range(tries - 1):
            bad = ~follows(written, step)  # (B,)
            if not bad.any():
                break
            step = torch.where(bad, propose(written), step)
            draws += int(bad.sum())
        written = torch.cat([written, step[:, None]], dim=1)
    return written, draws / B


def frontier(rows: Sequence[tuple[str, float, float]]) -> list[str]:
    """The ways that no other way beats, the cheapest first.

    rows: (name, FLOP for an answer, accuracy). A way is beaten by another that costs no more and is
    right at least as often, and is better in one of the two. Raises: ValueError where no row is
    named "greedy", for then nobody knows what the others gain, and where a price is not above 0.

    >>> frontier([("greedy", 1, 0.7), ("vote", 16, 0.7), ("search", 2, 0.9)])
    ['greedy', 'search']
    """
    if all(name != "greedy" for name, _, _ in rows):
        raise ValueError("no row is named greedy: a comparison needs its baseline")
    if any(not price > 0 for _, price, _ in rows):
        raise ValueError("each way needs its FLOP, above 0")
    kept = [
        (price, name)
        for name, price, score in rows
        if not any(p <= price and s >= score and (p < price or s > score) for _, p, s in rows)
    ]
    return [name for _, name in sorted(kept, key=lambda pair: pair[0])]


def flop_a_token(model: nn.Module) -> int:
    """What one token costs a model that writes or reads it: 2 FLOP for each of its weights.

    Source: Kaplan et al. 2020, "Scaling Laws for Neural Language Models", section 2.1.

    >>> flop_a_token(nn.Linear(3, 4, bias=False))
    24
    """
    return 2 * sum(p.numel() for p in model.parameters())


def noisy(passed: Tensor, flips: float, generator: torch.Generator) -> Tensor:
    """A verifier that errs: each verdict is turned round with the chance `flips`. Shapes: any, bool
    -> the same.

    >>> noisy(torch.tensor([True, False]), 1.0, torch.Generator())
    tensor([False,  True])
    """
    # drawn where the generator is, so that every device sees the same errors
    turned = torch.rand(passed.shape, generator=generator) < flips
    return passed ^ turned.to(passed.device)


def right_if_passed(p: float, flips: float) -> float:
    """The chance that a sample which passes a noisy verifier is right, where samples are right with
    chance p: Bayes' rule. However many samples there are, best-of-n gets no further on this
    problem.

    >>> round(right_if_passed(0.1, flips=0.1), 2)
    0.5
    """
    true = p * (1 - flips)
    false = (1 - p) * flips
    return true / (true + false) if true + false else 0.0


@torch.no_grad()
def step_chances(task: RunningSum, model: Transformer, digits: Tensor, written: Tensor) -> Tensor:
    """The probability that a model gives each written step, read in one pass: (B, n), (B, k, i) ->
    (B, k, i).

    A model that did not write them serves so as a learnt verifier.

    >>> task, model = RunningSum(p=10, n=4), RunningSum(p=10, n=4).model(16)
    >>> step_chances(
    ...     task, model, torch.tensor([[1, 2, 3, 4]]), torch.tensor([[[1, 3, 6, 0]]])
    ... ).shape
    torch.Size([1, 1, 4])
    """
    B, k, i = written.shape
    device = device_of(model)
    rows = torch.cat(
        [
            task.prompt(digits).repeat_interleave(k, dim=0).to(device),
            written.reshape(B * k, i).to(device),
        ],
        dim=1,
    )  # (B · k, n + 1 + i)
    p = model(rows[:, :-1])[:, task.n :].softmax(-1)  # (B · k, i, V)
    return p.gather(-1, rows[:, task.n + 1 :, None])[..., 0].view(B, k, i)


@torch.no_grad()
def beam_over_steps(
    task: RunningSum, model: Transformer, digits: Tensor, beams: int, judge: Transformer
) -> Tensor:
    """Keep the `beams` beginnings that the judge finds most probable, and lengthen each by every
    token: (B, n) -> (B, n), the best at the end.

    With the model as its own judge this is beam search. A judge of its own reads each new step, and
    its log-probabilities are added to the model's. Source: Yao et al. 2023, "Tree of Thoughts".

    >>> task, model = RunningSum(p=10, n=4), RunningSum(p=10, n=4).model(16)
    >>> beam_over_steps(task, model, torch.tensor([[1, 2, 3, 4]]), 2, model).shape
    torch.Size([1, 4])
    """
    device = device_of(model)
    prompt = task.prompt(digits).to(device)
    B = len(digits)
    written = torch.zeros(B, 1, 0, dtype=torch.long, device=device)  # (B, beams, i)
    total = torch.zeros(B, 1, device=device)
    for i in range(task.n):
        k = written.size(1)
        rows = torch.cat([prompt.repeat_interleave(k, dim=0), written.reshape(B * k, i)], dim=1)
        logp = model(rows)[:, -1].log_softmax(-1)  # (B · k, V)
        if judge is not model:
            logp = logp + judge(rows)[:, -1].log_softmax(-1)
        scores = (total.reshape(-1, 1) + logp).view(B, -1)  # (B, k · V)
        total, best = scores.topk(beams, dim=1)
        parent = best // logp.size(-1)
        kept = written.gather(1, parent[..., None].expand(-1, -1, i))
        written = torch.cat([kept, (best % logp.size(-1))[..., None]], dim=2)
    return written[:, 0]


@lru_cache(maxsize=1)
def early_models(file: Path = EARLY) -> tuple[RunningSum, list[Transformer]]:
    """A task and three small models of other seeds, each stopped when its greedy answers were first
    right in half of the problems.

    `tools/record/train_running_sum.py` makes them again.

    >>> task, models = early_models()
    >>> task.n, len(models)
    (8, 3)
    """
    with safe_open(file, framework="pt") as stored:
        record = json.loads(stored.metadata()["record"])
        weights = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118 (not a dict)
    task = RunningSum(record["p"], record["n"])
    models = []
    for seed in range(3):
        model = task.model(record["width"])
        mine = {n.split(".", 1)[1]: w for n, w in weights.items() if n.startswith(f"{seed}.")}
        model.load_state_dict(mine, strict=False)  # the head is the embedding
        models.append(model.eval())
    return task, models


@lru_cache(maxsize=1)
def recorded_trade(file: Path = TRADE) -> dict:
    """What `tools/record/train_running_sum.py` measured along three trainings: "rows" of seed,
    steps, training FLOP, way, FLOP for an answer and accuracy.

    >>> sorted({row["seed"] for row in recorded_trade()["rows"]})
    [0, 1, 2]
    """
    return json.loads(file.read_text(encoding="utf-8"))
