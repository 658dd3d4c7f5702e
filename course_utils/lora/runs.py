"""Fine-tuning runs that lesson 19 compares: one recipe, a few things changed; and their record.

All runs draw the tasks of their seed, and take the same number of steps of BATCH tasks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import torch

from course_utils import assets
from course_utils.gpt2.model import GPT
from course_utils.instruction_tuning.chat import CHAT_VOCAB
from course_utils.instruction_tuning.fine_tuning import (
    accuracy,
    answer_loss,
    answers,
    base_with_chat,
    story_loss,
    task_batches,
)
from course_utils.instruction_tuning.measures import decodings
from course_utils.instruction_tuning.runs import with_replay
from course_utils.instruction_tuning.tasks import Task, instructions
from course_utils.lora.adapters import LoRALinear, add_lora, cut_update, train_only
from course_utils.pretrained import UNSEEN
from course_utils.stories.corpus import stories
from course_utils.stories.grammar import VOCAB
from course_utils.training import History, train

RECORD = "lora/fine_tuning.json"
BATCH = 16
TASKS = 4800  # a run may draw from these many
NEW = len(CHAT_VOCAB) - len(VOCAB)
STEPS = 120
EVERY = 20  # steps between two marks of a curve
CUTS = (1, 2, 4, 8, 16, 32)


@dataclass(frozen=True)
class FineTuningRun:
    """One way to fine-tune.

    rank: LoRA of this rank, 0 for none. only: the parameters whose names end so ("" for all); both
    train the new words' rows as well. replay: two rows of plain stories in each batch. lr: the
    highest rate. Raises: ValueError for a negative rank, or a rank and `only` together.
    """

    rank: int = 0
    lr: float = 1e-3
    only: str = ""
    replay: bool = False
    seed: int = 0
    steps: int = STEPS

    def __post_init__(self) -> None:
        if self.rank < 0 or (self.rank and self.only):
            raise ValueError(f"{self}: a rank of 0 or more, and `only` without a rank")

    def model(self, layer: type[LoRALinear] = LoRALinear, base: GPT | None = None) -> GPT:
        """The model that the run starts from; `layer` is the class of LoRA's layers, `base` what
        they are put into (the storyteller with the chat's new words by default).

        >>> sum(p.numel() for p in FineTuningRun(rank=4).model().h.parameters() if p.requires_grad)
        32768
        """
        base = base or base_with_chat()
        if self.rank:
            return add_lora(base, self.rank, new_tokens=NEW, layer=layer)
        return train_only(base, self.only, NEW) if self.only else base


ARMS = {
    **{f"all weights, {lr:g}": FineTuningRun(lr=lr) for lr in (2e-3, 1e-3, 7e-4, 5e-4)},
    **{
        f"LoRA 8, {lr:g}": FineTuningRun(rank=8, lr=lr)
        for lr in (2e-2, 1e-2, 5e-3, 2.5e-3, 1.25e-3)
    },
    **{f"LoRA {rank}, 0.01": FineTuningRun(rank=rank, lr=1e-2) for rank in (1, 16)},
    "biases, 0.02": FineTuningRun(lr=2e-2, only=".bias"),
    "all weights and stories, 0.001": FineTuningRun(replay=True),
}
SEEDS = (0, 1, 2)
METHODS = {
    name: tuple(arm for arm in ARMS if arm.startswith(start))
    for name, start in (("all weights", "all weights,"), ("LoRA, rank 8", "LoRA 8,"))
}


@lru_cache(maxsize=1)
def exam(n: int = 140) -> list[Task]:
    """n unseen tasks of all kinds, on which every run is marked.

    >>> len(exam(7))
    7
    """
    return instructions(UNSEEN, n)


@lru_cache(maxsize=4)
def _tasks(seed: int) -> list[Task]:
    return instructions(seed, TASKS)


def fine_tune(
    run: FineTuningRun,
    layer: type[LoRALinear] = LoRALinear,
    every: int = EVERY,
    base: GPT | None = None,
) -> tuple[GPT, list[dict]]:
    """Do a run: the model after it, in evaluation mode, and its curve, a mark each `every` steps:
    {step, accuracy (greedy), story_loss (nats a token)}. base: as in `FineTuningRun.model`.

    >>> model, curve = fine_tune(FineTuningRun(rank=1, steps=1), every=1)
    >>> [mark["step"] for mark in curve]
    [1]
    """
    draw = task_batches(_tasks(run.seed), BATCH)
    if run.replay:
        draw = with_replay(draw, stories(run.seed, 100_000).tokens)
    model = run.model(layer, base)
    curve = []

    def mark(history: History) -> None:
        model.eval()
        right, nats = marks_of(model)
        curve.append({"step": len(history.losses), "accuracy": right, "story_loss": nats})
        model.train()

    train(
        model,
        draw,
        run.steps,
        lr=run.lr,
        weight_decay=0.0,
        loss_fn=answer_loss,
        seed=run.seed,
        every=every,
        on_steps=mark,
    )
    return model.eval(), curve


def measure_run(arm: str, seed: int, steps: int = STEPS, n: int = 70) -> dict:
    """Do the run of an arm with a seed, and return its row: arm, seed, `trained` (numbers), `curve`,
    `right` and `variety` by temperature, and for all weights `cuts`: accuracy and story loss where
    the update of the blocks' matrices is cut to a rank.

    n: tasks that are asked at each temperature. Raises: KeyError for an arm that is not in ARMS.

    >>> measure_run("biases, 0.02", seed=0, steps=1, n=2)["trained"]
    10240
    """
    run = replace(ARMS[arm], seed=seed, steps=steps)
    model, curve = fine_tune(run)
    tasks = exam()[:n]
    found = decodings(lambda **settings: answers(model, tasks, **settings), tasks)
    row = {
        "arm": arm,
        "seed": seed,
        "trained": trained_numbers(run.model()),
        "curve": curve,
        "right": {str(t): round(right.mean().item(), 3) for t, (right, _) in found.items()},
        "variety": {str(t): round(new.float().mean().item(), 3) for t, (_, new) in found.items()},
    }
    if arm.startswith("all weights,"):
        row["cuts"] = {
            str(rank): marks_of(cut_update(model, base_with_chat(), rank, NEW)) for rank in CUTS
        }
    return row


def marks_of(model: GPT) -> list[float]:
    """[share of right answers (greedy), loss on unseen stories in nats a token] of a model.

    >>> right, nats = marks_of(base_with_chat())
    >>> right < 0.1, 0.5 < nats < 1.2
    (True, True)
    """
    return [round(accuracy(model, exam())["all"], 3), round(story_loss(model), 3)]


def trained_numbers(model: GPT) -> int:
    """How many numbers training may change: of the embedding only the new words' rows where the
    blocks are not trained as a whole.

    >>> trained_numbers(FineTuningRun(rank=4).model()), trained_numbers(FineTuningRun().model())
    (37248, 920064)
    """
    frozen = any(not p.requires_grad for p in model.parameters())
    blocks = sum(
        p.numel()
        for name, p in model.named_parameters()
        if p.requires_grad and not (frozen and "wte" in name)
    )
    return blocks + frozen * NEW * model.config.n_embd


def loss_at(curve: Sequence[dict], goal: float) -> float:
    """The loss on stories at which a run first reaches a share of right answers: on the straight
    line between the last mark below the goal and the first one that reaches it.

    curve: marks {accuracy, story_loss} in the order of the steps; nan where no mark reaches the
    goal. Where the first mark reaches it, that mark's loss. Raises: ValueError for an empty curve.

    >>> curve = [dict(accuracy=0.2, story_loss=1.0), dict(accuracy=0.6, story_loss=2.0)]
    >>> loss_at(curve, 0.5), loss_at(curve, 0.1), loss_at(curve, 0.7)
    (1.75, 1.0, nan)
    """
    if not curve:
        raise ValueError("the curve has no marks")
    before = None
    for mark in curve:
        if mark["accuracy"] >= goal:
            if before is None:
                return mark["story_loss"]
            part = (goal - before["accuracy"]) / (mark["accuracy"] - before["accuracy"])
            return before["story_loss"] + part * (mark["story_loss"] - before["story_loss"])
        before = mark
    return float("nan")


@lru_cache(maxsize=1)
def recorded() -> dict:
    """What tools/record/sweep_fine_tuning.py measured: command, date, versions, `rows`.

    >>> sorted({row["seed"] for row in recorded()["rows"]})
    [0, 1, 2]
    """
    return assets.read_json(RECORD)


def rows_of_arm(arm: str) -> list[dict]:
    """The recorded rows of an arm, a seed each. Raises: KeyError where there is no such arm.

    >>> [row["seed"] for row in rows_of_arm("LoRA 8, 0.01")]
    [0, 1, 2]
    """
    rows = [row for row in recorded()["rows"] if row["arm"] == arm]
    if not rows:
        raise KeyError(f"{arm!r} is not in the record; there are {', '.join(ARMS)}")
    return rows


def first_steps(rank: int, alpha: float, steps: int = 3, lr: float = 1e-2) -> float:
    """How far LoRA moves the matrices in its first steps: the root mean square of (α/r) B A over
    all wrapped matrices, with the same tasks for each rank.

    >>> first_steps(rank=1, alpha=2.0, steps=1) > 0
    True
    """
    model = add_lora(base_with_chat(), rank, alpha, new_tokens=NEW)
    draw = task_batches(_tasks(0), BATCH)
    train(
        model, draw, steps, lr=lr, weight_decay=0.0, loss_fn=answer_loss, warmup=0, progress=False
    )
    moved = [
        (part.alpha / part.rank * part.B @ part.A).flatten()
        for part in model.modules()
        if isinstance(part, LoRALinear)
    ]
    return torch.cat(moved).square().mean().sqrt().item()
