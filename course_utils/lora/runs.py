"""Fine-tuning runs that lesson 19 compares: one recipe, a few things changed; the record of the
longer ones.

All runs draw the same tasks with the same seed, and take `steps` steps of 16 tasks.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor, nn

from course_utils import assets
from course_utils.gpt2.model import GPT
from course_utils.instruction_tuning.chat import CHAT_VOCAB
from course_utils.instruction_tuning.fine_tuning import (
    accuracy,
    answer_loss,
    base_with_chat,
    story_loss,
    task_batches,
)
from course_utils.instruction_tuning.tasks import TASKS, instructions
from course_utils.lora.adapters import add_lora, lora_size
from course_utils.pretrained import UNSEEN
from course_utils.stories.corpus import stories
from course_utils.stories.grammar import VOCAB
from course_utils.training import Batch, History, language_loss, token_batches, train

ASSET = assets.path("lora/fine_tuning.json")
BATCH = 16
NEW = len(CHAT_VOCAB) - len(VOCAB)
LOSSES = ("answer", "everything", "answer and stories")


@dataclass(frozen=True)
class FineTuningRun:
    """One run: all weights (rank 0) or LoRA of this rank and the new words' rows, on n tasks.

    loss: on the answer's tokens, on everything, or on the answer and, as much, on a window of plain
    stories a step.
    templates: wordings of each kind (None: all six). without: a kind of task that is left out.
    Raises: ValueError for a loss or a task that there is not, and for a negative rank.

    >>> FineTuningRun(rank=4, lr=1e-2).trained
    37248
    """

    rank: int = 0
    lr: float = 2e-3
    steps: int = 300
    n: int = 4800
    loss: str = "answer"
    templates: int | None = None
    without: str | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.loss not in LOSSES or self.rank < 0 or self.without not in (None, *TASKS):
            raise ValueError(
                f"{self}: the loss is one of {LOSSES}, the rank 0 or more, the task one of {TASKS}"
            )

    @property
    def trained(self) -> int:
        """Numbers that are trained: all of them, or LoRA's and the rows of the new words."""
        base = base_with_chat()
        if self.rank == 0:
            return sum(p.numel() for p in base.parameters())
        return (
            lora_size(base.config.n_embd, base.config.n_layer, self.rank) + NEW * base.config.n_embd
        )


def mixed(batches: Callable, text: Callable) -> Callable[[torch.Generator], Batch]:
    """Batches of both kinds: inputs, targets and mask of tasks, then inputs and targets of stories.

    >>> two = mixed(lambda generator: (1, 2, 3), lambda generator: (4, 5))
    >>> two(None)
    (1, 2, 3, 4, 5)
    """
    return lambda generator: (*batches(generator), *text(generator))


def mixed_loss(model: nn.Module, batch: Batch) -> Tensor:
    """The loss on the answers plus the loss on plain stories, from a batch of `mixed`.

    >>> uniform = lambda ids: torch.zeros(*ids.shape, 8)
    >>> ids, mask = torch.ones(1, 4).long(), torch.ones(1, 4).bool()
    >>> round(mixed_loss(uniform, (ids, ids, mask, ids, ids)).item(), 3)  # 2 log 8
    4.159
    """
    return answer_loss(model, batch[:3]) + language_loss(model, batch[3:])


def fine_tune(
    run: FineTuningRun, on_steps: Callable[[GPT, History], object] | None = None, every: int = 50
) -> tuple[GPT, History]:
    """Do a run: the model after it, in evaluation mode, and the history. on_steps(model, history)
    is called on the way.

    >>> model, history = fine_tune(FineTuningRun(rank=1, steps=1, n=7))
    >>> len(history.losses)
    1
    """
    names = [name for name in TASKS if name != run.without]
    batches = task_batches(
        instructions(run.seed, run.n, tasks=names, templates=run.templates),
        BATCH,
        run.loss == "everything",
    )
    loss_fn = answer_loss
    if run.loss == "answer and stories":
        text = stories(run.seed, 300_000)
        batches = mixed(batches, token_batches(text.tokens, 4, 256, text.starts))
        loss_fn = mixed_loss
    model = base_with_chat()
    if run.rank:
        model = add_lora(model, run.rank, new_tokens=NEW)
    history = train(
        model,
        batches,
        run.steps,
        lr=run.lr,
        weight_decay=0.0,
        loss_fn=loss_fn,
        seed=run.seed,
        every=every,
        on_steps=on_steps and (lambda history: on_steps(model, history)),
    )
    return model.eval(), history


def measure_run(
    run: FineTuningRun, splits: Sequence[str] = ("train",), n_test: int = 280, every: int = 100
) -> dict:
    """Do a run and return its row: the run, `curve` (step, accuracy, story loss), `shares` a split,
    seconds on the way.

    every: how often the curve is measured, in steps, on 140 tasks; the last shares are of n_test
    tasks a split, for each kind of task and over "all". Losses are in nats a token.
    Raises: ValueError for an unknown split, and FloatingPointError where the run diverges.

    >>> # a single step, then a single question
    >>> row = measure_run(FineTuningRun(rank=1, steps=1, n=7), n_test=1)
    >>> row["rank"], row["trained"], row["curve"], row["shares"]
    (1, 12672, [], {'train': {'who': 0.0, 'all': 0.0}})
    """
    curve = []
    begun = time.perf_counter()
    test = instructions(UNSEEN, 140)

    def mark(model: GPT, history: History) -> None:
        if len(history.losses) % every == 0:
            model.eval()
            curve.append(
                {
                    "step": len(history.losses),
                    "accuracy": round(accuracy(model, test)["all"], 3),
                    "story_loss": round(story_loss(model), 3),
                }
            )
            model.train()

    model, _ = fine_tune(run, mark, every)
    shares = {
        split: {
            name: round(share, 3)
            for name, share in accuracy(model, instructions(UNSEEN, n_test, split)).items()
        }
        for split in splits
    }
    return asdict(run) | {"trained": run.trained, "story_loss": round(story_loss(model), 3), "curve": curve,
                          "shares": shares, "seconds": round(time.perf_counter() - begun, 1)}  # fmt: skip


@lru_cache(maxsize=1)
def recorded(file: Path = ASSET) -> dict:
    """What tools/record/sweep_fine_tuning.py measured: command, date, versions; rows by part.

    >>> sorted(recorded()["parts"])
    ['generalise', 'loss', 'methods', 'short']
    """
    return json.loads(file.read_text(encoding="utf-8"))


def find(run: FineTuningRun) -> dict:
    """The recorded row of this very run. Raises: ValueError where there is none.

    >>> find(FineTuningRun(rank=8, lr=1e-2, steps=60))["trained"]
    70016
    """
    for row in (row for rows in recorded()["parts"].values() for row in rows):
        if all(row[name] == value for name, value in asdict(run).items()):
            return row
    raise ValueError(f"{run} is not in the record: see PARTS in tools/record/sweep_fine_tuning.py")
