"""What is measured of a grokking run: which test pairs are really new, the curves of lesson 17, how
sudden a curve is, and exact match of running sums.

Shapes: p numbers, S snapshots, N sequences of at most K outcomes. Losses are in nats.
"""

from collections.abc import Sequence

import torch
from safetensors.torch import load_file
from torch import Tensor

from course_utils import assets
from course_utils.grokking.modular_addition import (
    ModularAdder,
    Snapshots,
    by_sum,
    check_frequencies,
    excluded_logits,
    frequency_power,
    key_frequencies,
    loss_and_accuracy,
    restricted_loss,
    split,
    sum_table,
    train_adder,
)

ASSET = "grokking/runs.json"
FILM = "grokking/film.safetensors"
LENGTHS = (1, 4, 16)  # of the running sums


def new_pairs(train: Tensor) -> Tensor:
    """Find the test pairs that are really new: neither (a, b) nor its mirror (b, a) was trained on.

    a + b = b + a, so whoever has learned that the order does not matter knows the mirrors, too.
    Shapes: train (p, p), bool, row a, column b, True = training pair -> the same, True = new pair.

    >>> train = torch.tensor([[True, True, False], [False, False, False], [False, True, False]])
    >>> new_pairs(train).int()
    tensor([[0, 0, 1],
            [0, 1, 0],
            [1, 0, 1]], dtype=torch.int32)
    """
    return ~(train | train.T)


def suddenness(
    steps: Sequence[float], values: Sequence[float], low: float = 0.2, high: float = 0.8
) -> float:
    """Measure how sudden a rise is: the step at which a curve reaches `high`, divided by the step at
    which it reaches `low`.

    Only the first time counts, and between two measurements the curve is a straight line. 1 is a
    jump. What comes after `high` is reached changes nothing, so the number does not depend on the
    length of the run.
    Shapes: S steps, growing, and S values -> a float. Raises: ValueError for a curve that never
    reaches `high`, or that has reached `low` at its first step.

    >>> suddenness([0, 10, 20], [0.0, 0.5, 1.0])  # steady growth from step 0: high / low
    4.0
    >>> suddenness([0, 10, 20, 30, 40], [0.0, 0.0, 0.0, 1.0, 0.9])
    1.2727272727272727
    """
    return reaches(steps, values, high) / reaches(steps, values, low)


def reaches(steps: Sequence[float], values: Sequence[float], level: float) -> float:
    """The first step at which a curve is at this level or above it; between two steps it is straight.

    Raises: ValueError for a curve that never reaches the level, or begins there.

    >>> reaches([0, 10, 20], [0.0, 0.2, 0.6], 0.4)
    15.0
    """
    values = [float(v) for v in values]
    index = next((i for i, v in enumerate(values) if v >= level), None)
    if not index:
        raise ValueError(
            f"the curve never reaches {level}" if index is None else f"it begins above {level}"
        )
    before = values[index - 1]
    after = values[index]
    share = (level - before) / (after - before)
    return float(steps[index - 1] + share * (steps[index] - steps[index - 1]))


def exact_sequences(right: Tensor, lengths: Tensor) -> Tensor:
    """Judge whole sequences: the share of those whose outcomes are all right (exact match).

    Sequences have different lengths, at least 1; what stands after the end of one does not count.
    Shapes: right (..., N, K), bool, an outcome for each token; lengths (N,), from 1 to K -> (...).
    Source: Schaeffer et al. 2023, section 2 (accuracy on strings of L tokens).

    >>> right = torch.tensor([[True, True, False], [True, False, True], [True, True, True]])
    >>> exact_sequences(right, torch.tensor([2, 3, 3]))  # the first and the last
    tensor(0.6667)
    """
    after = torch.arange(right.size(-1), device=right.device) >= lengths.to(right.device)[:, None]
    return (right | after).all(-1).float().mean(-1)


def running_sums(answers: Tensor, numbers: Tensor) -> Tensor:
    """Let models add up lists of numbers, one after the other, and say which steps came out right.

    Each step adds the next number to what the model itself said before, so that its mistakes go on.
    A step is right where that says the true sum so far.
    Shapes: answers (..., p, p), for each pair the sum that a model gives; numbers (N, K + 1) ->
    (..., N, K), bool.

    >>> answers = sum_table(5).clone()
    >>> answers[1, 1] = 0  # a model with one mistake
    >>> running_sums(answers, torch.tensor([[0, 1, 1, 1], [2, 1, 1, 1]])).int()
    tensor([[1, 0, 0],
            [1, 1, 1]], dtype=torch.int32)
    """
    p = answers.size(-1)
    flat = answers.flatten(-2)  # (..., p²)
    numbers = numbers.to(answers.device)
    said = numbers[:, 0].expand(*answers.shape[:-2], -1)  # (..., N)
    came = []
    for number in numbers[:, 1:].unbind(-1):
        said = flat.gather(-1, said * p + number)
        came.append(said)
    return torch.stack(came, dim=-1) == numbers.cumsum(-1)[:, 1:] % p


def early_stop(losses: Sequence[float], patience: int) -> int:
    """Where early stopping ends: the place of the best loss so far, as soon as `patience`
    measurements in a row were not better.

    >>> (
    ...     early_stop([4.0, 3.0, 5.0, 6.0, 1.0], patience=2),
    ...     early_stop([4.0, 3.0, 5.0, 1.0], patience=2),
    ... )
    (1, 3)
    """
    best = 0
    for place, loss in enumerate(losses):
        if loss < losses[best]:
            best = place
        elif place - best >= patience:
            break
    return best


def curves(run: Snapshots, train: Tensor, frequencies: Sequence[int]) -> dict[str, Tensor]:
    """All curves that lesson 17 draws of one run, each (S,).

    accuracies: of the training pairs, of test pairs whose mirror was trained on, and of new pairs;
    "probability" is that of the right answer, on new pairs; "loss" is that of all test pairs;
    "restricted" and "excluded" are the losses of Nanda et al. for these frequencies; "size" is the
    sum of all squared weights; "sums of k" are exact matches of running sums.

    >>> g = torch.Generator().manual_seed(0)
    >>> train = split(7, 0.6, g)
    >>> run = train_adder(ModularAdder(7, 16, 4, 32, g), train, steps=4, every=2)
    >>> {name: tuple(curve.shape) for name, curve in curves(run, train, [1]).items()}["loss"]
    (3,)
    """
    p = train.size(0)
    new = new_pairs(train)
    log_p = run.logits.log_softmax(-1)  # (S, p, p, p)
    truth = sum_table(p).to(log_p.device).expand(len(run.steps), -1, -1)[..., None]
    numbers = torch.randint(p, (2000, 1 + max(LENGTHS)), generator=torch.Generator().manual_seed(0))
    outcomes = running_sums(run.logits.argmax(-1), numbers)  # (S, N, K)
    loss, accuracy = loss_and_accuracy(run.logits, ~train)
    return {
        "training pairs": loss_and_accuracy(run.logits, train)[1],
        "mirrors": loss_and_accuracy(run.logits, ~train & train.T)[1],
        "new pairs": loss_and_accuracy(run.logits, new)[1],
        "test pairs": accuracy,
        "probability": log_p.gather(-1, truth)[..., 0].exp()[:, new].mean(-1),
        "loss": loss,
        "restricted": restricted_loss(by_sum(run.logits), frequencies),
        "excluded": torch.stack(
            [loss_and_accuracy(excluded_logits(x, frequencies), train)[0] for x in run.logits]
        ),
        "size": run.norms,
        "key share": frequency_power(run.embeddings)[:, [k - 1 for k in frequencies]].sum(-1),
        **{f"sums of {k}": outcomes[..., :k].all(-1).float().mean(-1) for k in LENGTHS},
    }


def train_from(seed: int, weight_decay: float, steps: int) -> tuple[Snapshots, Tensor]:
    """Train the adder of lesson 17 from this seed; return its snapshots and the training pairs.

    >>> run, train = train_from(0, weight_decay=1.0, steps=0)
    >>> run.logits.shape, train.sum()
    (torch.Size([1, 53, 53, 53]), tensor(983))
    """
    dice = torch.Generator().manual_seed(seed)
    model = ModularAdder(p=53, generator=dice)
    train = split(53, 0.35, dice)
    return train_adder(model, train, steps, lr=6e-3, weight_decay=weight_decay), train


def measure_run(seed: int, weight_decay: float, steps: int = 3000) -> dict:
    """Train the adder of lesson 17 from this seed; return a row of its record.

    The frequencies are those of the end; without weight decay they are the strongest three of it.

    >>> sorted(measure_run(0, weight_decay=1.0, steps=0))
    ['curves', 'frequencies', 'seed', 'steps', 'weight decay']
    """
    run, train = train_from(seed, weight_decay, steps)
    keys = key_frequencies(run.logits[-1])[: None if weight_decay else 3]
    found = {
        name: [round(x, 4) for x in c.tolist()] for name, c in curves(run, train, keys).items()
    }
    return {"seed": seed, "weight decay": weight_decay, "frequencies": keys, "steps": run.steps, "curves": found}  # fmt: skip


def recorded(weight_decay: float) -> list[dict]:
    """The recorded runs with this weight decay, one a seed: seed, frequencies, steps, curves.

    Made by tools/record/sweep_grokking.py.

    >>> [row["seed"] for row in recorded(1.0)]
    [0, 1, 2, 3]
    """
    rows = assets.read_json(ASSET)["rows"]
    return [row for row in rows if row["weight decay"] == weight_decay]


def clock(embeddings: Tensor, frequency: int) -> Tensor:
    """The numbers as points of a plane: where the last embedding holds the wave of this frequency.

    Both axes are fixed by the last snapshot, the directions of the cosine and of the sine, so that
    the numbers can be watched on their way to the clock.
    Shapes: embeddings (S, p, d_model) -> (S, p, 2). Raises: ValueError for what is no frequency.

    >>> angle = 2 * torch.pi * torch.arange(5) / 5
    >>> circle = torch.stack([angle.cos(), angle.sin(), torch.zeros(5)], dim=-1)  # (p, 3)
    >>> clock(torch.stack([0 * circle, 2 * circle]), 1).norm(dim=-1).round()
    tensor([[0., 0., 0., 0., 0.],
            [2., 2., 2., 2., 2.]])
    """
    p = embeddings.size(-2)
    check_frequencies(p, [frequency])
    angle = 2 * torch.pi * frequency * torch.arange(p, device=embeddings.device) / p
    waves = torch.stack([angle.cos(), angle.sin()])  # (2, p)
    directions = waves.to(embeddings.dtype) @ embeddings[-1]  # (2, d_model)
    return embeddings @ (directions / directions.norm(dim=-1, keepdim=True)).T


def film(run: Snapshots, train: Tensor) -> dict[str, Tensor]:
    """What the first view of lesson 17 shows of each snapshot of a run.

    steps (S,); answers (S, p, p), the sum that the model gives for each pair; power (S, p // 2) of
    the frequencies in the embedding; clock (S, p, 2) of the strongest of them in the logits; train
    (p, p); frequency, a number.

    >>> g = torch.Generator().manual_seed(0)
    >>> train = split(7, 0.6, g)
    >>> run = train_adder(ModularAdder(7, 16, 4, 32, g), train, steps=4, every=2)
    >>> {name: tuple(x.shape) for name, x in film(run, train).items()}["answers"]
    (3, 7, 7)
    """
    strongest = key_frequencies(run.logits[-1])[0]
    return {
        "steps": torch.tensor(run.steps),
        "answers": run.logits.argmax(-1).to(torch.uint8),
        "power": frequency_power(run.embeddings),
        "clock": clock(run.embeddings, strongest),
        "train": train,
        "frequency": torch.tensor(strongest),
    }


def recorded_film() -> dict[str, Tensor]:
    """The film of the run from seed 0, made by tools/record/sweep_grokking.py.

    >>> recorded_film()["answers"].shape
    torch.Size([33, 53, 53])
    """
    return load_file(assets.path(FILM))
