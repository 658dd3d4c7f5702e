"""Questions to the assistant, what is true of its answers, and pairs of them to learn from.

The task is `continue`: write a sentence that may follow in the story. Its grader accepts every
sentence that the stories' grammar allows, so there are many right answers and more wrong ones. B
prompts of one length P, k answers each.
"""

from __future__ import annotations

import json
import random
from collections import defaultdict
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from course_utils import assets
from course_utils.gpt2.model import GPT
from course_utils.instruction_tuning.chat import END_OF_TURN, decode_chat
from course_utils.instruction_tuning.grading import grade
from course_utils.instruction_tuning.tasks import Task, instructions
from course_utils.preferences import pairwise, reinforcement

PAIRS_ASSET = assets.path("preferences/preference_pairs.json")
N_NEW = 16  # tokens of an answer, its <end of turn> included
# how many pairs there are, and the seed of the tasks that they are made from
PAIRS, MADE_FROM = 600, 101
# the stored pairs: seed and number of their tasks
ASKED = {"seen": (MADE_FROM, 1200), "unseen": (304, 800)}


def text_of(answer: Tensor) -> str:
    """The answer's words (A,) up to its <end of turn>, as text.

    >>> text_of(torch.tensor([END_OF_TURN, END_OF_TURN]))
    ''
    """
    ids = answer.tolist()
    return decode_chat(ids[: ids.index(END_OF_TURN)] if END_OF_TURN in ids else ids)


@dataclass(frozen=True)
class Questions:
    """Tasks in batches whose prompts have one length, so that they can be read side by side.

    >>> questions = Questions.draw(seed=1, n=100, batch=2)
    >>> len(questions.tasks[0]), questions.prompts[0].shape[0]
    (2, 2)
    """

    tasks: list[list[Task]]
    prompts: list[Tensor]  # (batch, P) each

    @classmethod
    def draw(
        cls, seed: int, n: int, batch: int = 8, kind: str = "continue", split: str = "train"
    ) -> Questions:
        """Make n tasks of a kind and put those of equal length into batches; what is left over is
        dropped.
        """
        by_length = defaultdict(list)
        for task in instructions(seed, n, split, tasks=[kind]):
            by_length[len(task.prompt)].append(task)
        batches = [
            group[i : i + batch]
            for group in by_length.values()
            for i in range(0, len(group) - batch + 1, batch)
        ]
        random.Random(seed).shuffle(batches)
        return cls(batches, [torch.stack([task.prompt for task in group]) for group in batches])

    def grades(self, i: int, answers: Tensor) -> Tensor:
        """The truth about the answers (B, k, A) to batch i: 1.0 where `grade` accepts, else 0.0;
        (B, k).
        """
        rows = []
        for task, some in zip(self.tasks[i], answers, strict=True):
            texts = [text_of(answer) for answer in some]
            known = {text: float(grade(task, text)) for text in set(texts)}
            rows.append([known[text] for text in texts])
        return torch.tensor(rows)


# --- Pairs of answers -----------------------------------------------------------------------------


def make_pairs(
    model: GPT, questions: Questions, n: int, generator: torch.Generator, k: int = 4
) -> pairwise.Pairs:
    """Let the model answer each question k times, and take one right and one wrong answer where
    there are both.

    The preferred answer of a pair is the right one. Shapes: n pairs of (n, T), as `pairwise.Pairs`
    has them. What is drawn depends on the last digits of the model's probabilities, and so on the
    processor: what must be the same everywhere is read with `stored_pairs`.
    Raises: ValueError where the questions do not suffice for n pairs.

    >>> from course_utils.pretrained import assistant
    >>> questions = Questions.draw(seed=1, n=60, batch=2)
    >>> pairs = make_pairs(assistant(), questions, n=2, generator=torch.Generator().manual_seed(0))
    >>> len(pairs), pairs.chosen.shape == pairs.rejected.shape == pairs.chosen_mask.shape
    (2, True)
    """
    return _with_prompts(questions, draw_pairs(model, questions, n, generator, k))


def draw_pairs(
    model: GPT, questions: Questions, n: int, generator: torch.Generator, k: int = 4
) -> list[tuple[int, list[int], list[int]]]:
    """The pairs as `make_pairs` draws them, each as (number of the question, ids of the right
    answer, of the wrong one).

    Questions are numbered as they come, batch by batch. Raises: ValueError as `make_pairs`.

    >>> from course_utils.pretrained import assistant
    >>> questions = Questions.draw(seed=1, n=60, batch=2)
    >>> rows = draw_pairs(assistant(), questions, n=2, generator=torch.Generator().manual_seed(0))
    >>> len(rows), [number >= 0 and len(right) > 0 < len(wrong) for number, right, wrong in rows]
    (2, [True, True])
    """
    rows = []
    number = 0
    for i, prompts in enumerate(questions.prompts):
        # (B, k, A)
        answers = reinforcement.sample_answers(
            model, prompts, k, N_NEW, END_OF_TURN, generator
        ).cpu()
        for some, right in zip(answers, questions.grades(i, answers).bool(), strict=True):
            if right.any() and not right.all():
                rows.append((number, _cut(some[right][0]), _cut(some[~right][0])))
            number += 1
        if len(rows) >= n:
            return rows[:n]
    raise ValueError(f"these questions made {len(rows)} of {n} pairs: draw more of them")


def stored_pairs(which: str, n: int | None = None) -> pairwise.Pairs:
    """The first n pairs (or all) that the assistant made once: "seen", to learn from, or "unseen",
    to test on.

    tools/train_preferences.py drew them, and they are stored, so that everybody's reward model
    learns the same.
    Raises: ValueError for another name, or where fewer than n are stored.

    >>> len(stored_pairs("seen", 3))
    3
    """
    if which not in ASKED:
        raise ValueError(f"pairs {which!r} are unknown: choose {' or '.join(map(repr, ASKED))}")
    record = json.loads(PAIRS_ASSET.read_text(encoding="utf-8"))
    rows = [
        (row["question"], row["right"], row["wrong"])
        for row in record["rows"]
        if row["pairs"] == which
    ]
    if n is not None and n > len(rows):
        raise ValueError(
            f"{n} pairs wanted, and {len(rows)} are stored as {which!r}: make more with make_pairs"
        )
    return _with_prompts(_asked(which), rows[:n])


@lru_cache(maxsize=2)
def _asked(which: str) -> Questions:
    return Questions.draw(*ASKED[which])


def _with_prompts(
    questions: Questions, rows: list[tuple[int, list[int], list[int]]]
) -> pairwise.Pairs:
    """Pairs of drawn rows, with the prompts of the questions that they name by number."""
    prompts = [prompt for batch in questions.prompts for prompt in batch.tolist()]
    return pairwise.Pairs.of(
        [(prompts[number], right, wrong) for number, right, wrong in rows], fill=END_OF_TURN
    )


def _cut(answer: Tensor) -> list[int]:
    """The answer with its first <end of turn>, if it has one."""
    ids = answer.tolist()
    return ids[: ids.index(END_OF_TURN) + 1] if END_OF_TURN in ids else ids
