"""The fine-tuning runs of lesson 18, over three seeds: what is recorded, and how a run is made.

All runs take tasks of the training split. From the storyteller: on the answers alone, on every
token, with rows of plain stories beside the tasks (replay), and with one kind of task left out.
From the stored assistant: on tasks with new names, on as many ordinary ones, and on talks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache

import torch
from torch import Tensor

from course_utils import assets
from course_utils.gpt2.model import GPT
from course_utils.instruction_tuning.chat import split_words
from course_utils.instruction_tuning.fine_tuning import (
    answer_loss,
    answer_mask,
    answers,
    base_with_chat,
    pad,
    task_batches,
)
from course_utils.instruction_tuning.grading import grade
from course_utils.instruction_tuning.measures import (
    NEVER,
    NEW_NAMES,
    SYNTHETIC,
    ask,
    beginnings,
    decodings,
    last_name,
    losses_by_story,
)
from course_utils.instruction_tuning.talks import (
    about_another_toy,
    chat_tokenizer,
    follow_ups,
    talk_of,
)
from course_utils.instruction_tuning.tasks import TASKS, Excerpt, Task, instructions
from course_utils.pretrained import UNSEEN, assistant
from course_utils.stories.corpus import stories
from course_utils.training import Batch, train

RECORD = "instruction_tuning/runs.json"
SEEDS = (0, 1, 2)
STEPS = 200
BATCH = 8
LR = 2e-3
N = 2400  # tasks to train on
MORE_STEPS = 60  # of a run that begins at the stored assistant
MORE_LR = 5e-4
MORE = 240  # its tasks or talks
ABOUT_STORIES = ("who", "where", "happened", "retell", "continue")
LEFT_OUT = ("where", "happened", "retell", "continue")  # kinds that are in no other kind


def edge_cases(seed: int, n: int) -> list[Task]:
    """n training tasks about stories with a child whose name is in SYNTHETIC, and with none of
    NEVER, which are for tests; all different, and each kind of ABOUT_STORIES as often.

    One seed gives one list, another seed another. Raises: ValueError for n below 1.

    >>> task = edge_cases(seed=0, n=1)[0]
    >>> task.name, task.facts["hero"] in SYNTHETIC or task.facts["friend"] in SYNTHETIC
    ('who', True)
    """
    if n < 1:
        raise ValueError(f"n = {n}: at least one task")
    pool = instructions(seed, 6 * n + 30, "held-out names", ABOUT_STORIES)
    kinds: dict[str, dict[str, Task]] = {kind: {} for kind in ABOUT_STORIES}
    for task in pool:
        if not names_of(task) & {*NEVER}:
            kinds[task.name].setdefault(task.user, task)
    turns = [list(tasks.values()) for tasks in kinds.values()]
    return [turns[i % len(turns)][i // len(turns)] for i in range(n)]


def absent_toys(seed: int, n: int) -> list[Task]:
    """n questions of who has a toy: every second one, the first among them, about a toy that is not
    in its story.

    >>> [task.answer for task in absent_toys(seed=0, n=2)]
    ['Nobody has the ball.', 'Paul has the rocket.']
    """
    tasks = instructions(seed, n, tasks=["who"])
    return [task if i % 2 else about_another_toy(task, i // 2) for i, task in enumerate(tasks)]


def names_of(task: Task) -> set[str]:
    """The children of a task's story.

    >>> sorted(names_of(instructions(0, 1, tasks=["who"])[0]))
    ['Tom', 'Zoe']
    """
    return {task.facts["hero"], task.facts["friend"]}


@lru_cache(maxsize=8)
def unseen_with(names: tuple[str, ...] | None, n: int = 100) -> list[Task]:
    """n unseen tasks about stories: of children with one of these new names and no other new one;
    or, with None, of names that the training split has.

    >>> {*map(len, (unseen_with(None, 5), unseen_with(NEVER, 5)))}
    {5}
    """
    if names is None:
        return instructions(UNSEEN, n, tasks=ABOUT_STORIES)
    others = {*NEW_NAMES} - {*names}
    pool = instructions(UNSEEN, 8 * n, "held-out names", ABOUT_STORIES)
    return [task for task in pool if not names_of(task) & others][:n]


def talks(seed: int, n: int) -> list[Tensor]:
    """n talks of three questions and their answers about one story, as ids (T,) each.

    >>> [row.dim() for row in talks(seed=0, n=2)]
    [1, 1]
    """
    tokenizer = chat_tokenizer()
    tasks = instructions(seed, n, tasks=["who"])
    texts = [talk_of(follow_ups(task), last_answer=True) for task in tasks]
    return [torch.tensor(tokenizer.apply_chat_template(text)["input_ids"]) for text in texts]


def rows_of(
    rows: Sequence[Tensor], batch: int, mask: Callable[[Tensor], Tensor] = answer_mask
) -> Callable[[torch.Generator], Batch]:
    """Return a function that draws rows (T_i,) with a generator: inputs, targets and mask, (batch,
    T - 1) each. mask: says of ids (B, T) which the assistant learns.

    >>> inputs, targets, counts = rows_of(talks(0, 4), batch=2)(torch.Generator().manual_seed(0))
    >>> inputs.shape == targets.shape == counts.shape
    True
    """

    def draw(generator: torch.Generator) -> Batch:
        chosen = torch.randint(len(rows), (batch,), generator=generator).tolist()
        ids = pad([rows[i] for i in chosen])  # (batch, T)
        return ids[:, :-1], ids[:, 1:], mask(ids)[:, 1:]

    return draw


def with_replay(
    draw: Callable[[torch.Generator], Batch], tokens: Tensor, rows: int = 2
) -> Callable[[torch.Generator], Batch]:
    """Add rows of plain stories, of which every token counts, to each batch of tasks.

    tokens (n,): the stories. Shapes: a batch of (B, T) becomes one of (B + rows, T).

    >>> draw = with_replay(rows_of(talks(0, 4), batch=2), torch.arange(500))
    >>> inputs, targets, mask = draw(torch.Generator().manual_seed(0))
    >>> len(inputs), bool(mask[2:].all())
    (4, True)
    """

    def mixed(generator: torch.Generator) -> Batch:
        inputs, targets, mask = draw(generator)
        T = inputs.size(1)
        starts = torch.randint(len(tokens) - T, (rows, 1), generator=generator)
        window = tokens[starts + torch.arange(T + 1)]  # (rows, T + 1)
        every = torch.ones(rows, T, dtype=torch.bool)
        return (
            torch.cat([inputs, window[:, :-1]]),
            torch.cat([targets, window[:, 1:]]),
            torch.cat([mask, every]),
        )

    return mixed


def tune(
    model: GPT,
    draw: Callable[[torch.Generator], Batch],
    seed: int = 0,
    more: bool = False,
    loss_fn: Callable = answer_loss,
) -> GPT:
    """Fine-tune all weights of this very model, and return it in evaluation mode.

    more: the short run with a small rate, for a model that answers already.

    >>> tune(assistant(), rows_of(talks(0, 2), 1), more=True).training
    False
    """
    steps = MORE_STEPS if more else STEPS
    rate = MORE_LR if more else LR
    train(
        model.train(),
        draw,
        steps,
        lr=rate,
        weight_decay=0.0,
        seed=seed,
        loss_fn=loss_fn,
        progress=False,
    )
    return model.eval()


# --- The record -----------------------------------------------------------------------------------


def _draw(arm: str, seed: int) -> Callable[[torch.Generator], Batch]:
    kinds = [kind for kind in TASKS if arm != f"without {kind}"]
    if arm == "edge cases":
        return task_batches(edge_cases(seed, MORE), BATCH)
    if arm == "ordinary":
        return task_batches(instructions(seed, MORE, tasks=ABOUT_STORIES), BATCH)
    if arm == "absent toys":
        return task_batches(absent_toys(seed, MORE), BATCH)
    if arm == "talks":
        return rows_of(talks(seed, MORE), BATCH)
    draw = task_batches(instructions(seed, N, tasks=kinds), BATCH, everything=arm == "everything")
    return with_replay(draw, stories(seed, 100_000).tokens) if arm == "replay" else draw


FROM_STORYTELLER = ("answers", "everything", "replay", *(f"without {kind}" for kind in LEFT_OUT))
FROM_ASSISTANT = ("edge cases", "ordinary", "talks", "absent toys")


def make(arm: str, seed: int) -> GPT:
    """The model of one run: an arm of FROM_STORYTELLER or FROM_ASSISTANT, and its seed."""
    more = arm in FROM_ASSISTANT
    return tune(assistant() if more else base_with_chat(), _draw(arm, seed), seed, more)


def figures(model: GPT, n: int = 105) -> dict:
    """What is measured of each model, rounded: right answers and variety at every temperature,
    right answers of each kind, losses of stories with known and new names, right answers about
    stories with new names, in talks, and how often a child is named for a toy that is not there.

    >>> sorted(figures(base_with_chat(), n=7))
    ['invented', 'kinds', 'names', 'right', 'stories', 'talks', 'variety']
    """
    tasks = instructions(UNSEEN, n)
    found = decodings(ask(model, tasks), tasks)
    greedy = found[0.0][0]
    kinds = {
        kind: greedy[[task.name == kind for task in tasks]].mean().item()
        for kind in dict.fromkeys(task.name for task in tasks)
    }
    asked = {
        "known": unseen_with(None, n),
        "synthetic": unseen_with(SYNTHETIC, n),
        "never": unseen_with(NEVER, n),
    }
    return {
        "right": {str(t): round(right.mean().item(), 3) for t, (right, _) in found.items()},
        "variety": {str(t): round(new.mean().item(), 3) for t, (_, new) in found.items()},
        "kinds": {kind: round(share, 3) for kind, share in kinds.items()},
        "stories": {
            f"{who}{', repeated names' * names}": round(
                losses_by_story(model, _told(n, group), names).nanmean().item(), 3
            )
            for who, group in (("known", None), ("new", NEW_NAMES))
            for names in (False, True)
        },
        "names": {
            who: round(_share(tasks, answers(model, tasks)), 3) for who, tasks in asked.items()
        },
        "talks": [round(share, 3) for share in in_talks(model, n)],
        "invented": round(_invented(model, n), 3),
    }


@lru_cache(maxsize=8)
def _told(n: int, names: tuple[str, ...] | None) -> list[Excerpt]:
    return beginnings(UNSEEN, n, names)


def _share(tasks: Sequence[Task], said: Sequence[str]) -> float:
    return sum(grade(*pair) for pair in zip(tasks, said, strict=True)) / len(tasks)


def _invented(model: GPT, n: int) -> float:
    asked = absent_toys(UNSEEN, 2 * n)[::2]
    return sum(last_name(split_words(text)) is not None for text in answers(model, asked)) / n


def in_talks(model: GPT, n: int) -> list[float]:
    """The share of right answers to the first, second and third question of n talks.

    >>> len(in_talks(base_with_chat(), n=2))
    3
    """
    tokenizer = chat_tokenizer()
    asked = [follow_ups(task) for task in instructions(UNSEEN, n, tasks=["who"])]
    shares = []
    for turn in range(3):
        texts = [talk_of(tasks[: turn + 1]) for tasks in asked]
        prompts = [
            torch.tensor(tokenizer.apply_chat_template(t, add_generation_prompt=True)["input_ids"])
            for t in texts
        ]
        shares.append(_share([tasks[turn] for tasks in asked], answers(model, prompts)))
    return shares


@lru_cache(maxsize=1)
def recorded() -> dict[str, list[dict]]:
    """The recorded runs, by arm: `figures` of each seed (tools/record/tune_instructions.py).

    >>> len(recorded()["answers"])
    3
    """
    rows: dict[str, list[dict]] = {}
    for row in assets.read_json(RECORD)["rows"]:
        rows.setdefault(row["arm"], []).append(row)
    return rows
