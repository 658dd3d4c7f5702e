"""Exercises of lesson 18."""

import random
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from course_utils.checking import Exercises, expect
from course_utils.instruction_tuning import fine_tuning as instruction_tuning
from course_utils.instruction_tuning.chat import ASSISTANT, CHAT_ID, END_OF_TURN

EXERCISES = Exercises()


# --- answer_mask ----------------------------------------------------------------------------------


def chat_rows(
    rng: random.Random, talks: list[list[str]], cut: int = 0
) -> tuple[Tensor, list[list[bool]]]:
    """Ids (B, T) of talks of these roles, filled up with <end of turn>; which of them count."""
    rows = []
    masks = []
    for talk in talks:
        ids = []
        mask = []
        for role in talk:
            words = [rng.randrange(10, 600) for _ in range(rng.randrange(2, 6))]
            ids += [CHAT_ID[f"<{role}>"], *words, END_OF_TURN]
            mask += [False, *[role == "assistant"] * (len(words) + 1)]
        stop = len(ids) - cut
        rows.append(ids[:stop])
        masks.append(mask[:stop])
    T = max(map(len, rows))
    return (
        torch.tensor([row + [END_OF_TURN] * (T - len(row)) for row in rows]),
        [mask + [False] * (T - len(mask)) for mask in masks],
    )


def _shifted(mask: Tensor, by: int) -> Tensor:
    return F.pad(mask, (by, -by))


def _answer(ids: Tensor) -> Tensor:
    """The number of the answer to which a position belongs, or which came before it; 0 for none."""
    return (ids == ASSISTANT).cumsum(1)


def _until_the_user(ids: Tensor) -> Tensor:
    """An answer ends at the next <user> alone."""
    open_end = ids.where(ids != END_OF_TURN, 0)
    return instruction_tuning.answer_mask(open_end.where(ids != CHAT_ID["<user>"], END_OF_TURN))


@EXERCISES.add(
    instruction_tuning.answer_mask,
    difficulty=2,
    minutes=12,
    hints=[
        "Go through the positions from left to right and keep in mind, for each row, whether the assistant is speaking.",
        "After <assistant> it speaks; after an <end of turn> nobody does. A token counts if the assistant spoke before it.",
        "mask[:, t] = inside, and only then: inside = (inside | (ids[:, t] == ASSISTANT)) & (ids[:, t] != END_OF_TURN). So "
        "<assistant> does not count, and the <end of turn> of the answer does.",
    ],
    mistakes={
        "the <end of turn> of the answer is missing: without it the model never learns to stop": lambda ids: (
            instruction_tuning.answer_mask(ids) & (ids != END_OF_TURN)
        ),
        "the token <assistant> counts, too; the program writes it, the model need not learn it": lambda ids: (
            instruction_tuning.answer_mask(ids) | (ids == ASSISTANT)
        ),
        "the mask is shifted by one: it is about ids[t] itself, and yours about the token after it": lambda ids: (
            _shifted(instruction_tuning.answer_mask(ids), -1)
        ),
        "the mask is shifted by one: it is about ids[t] itself, and yours about the token before it": lambda ids: (
            _shifted(instruction_tuning.answer_mask(ids), 1)
        ),
        "it holds what is not the answer": lambda ids: ~instruction_tuning.answer_mask(ids),
        "every token counts; only those of the answers may": lambda ids: ids == ids,
        "every <end of turn> counts; only the one that closes an answer may": lambda ids: (
            instruction_tuning.answer_mask(ids) | (ids == END_OF_TURN)
        ),
        "after an answer every <end of turn> counts; only the first one closes it": lambda ids: (
            instruction_tuning.answer_mask(ids) | ((ids == END_OF_TURN) & (_answer(ids) > 0))
        ),
        "all that follows the first <assistant> counts; an answer is over at its first <end of turn>": lambda ids: (
            (_answer(ids) > 0) & (ids != ASSISTANT)
        ),
        "an answer goes on until the next <user>; it is over at its first <end of turn>": _until_the_user,
        "only the last answer of a talk counts; all of them must": lambda ids: (
            instruction_tuning.answer_mask(ids) & (_answer(ids) == _answer(ids)[:, -1:])
        ),
        "only the first answer of a talk counts; all of them must": lambda ids: (
            instruction_tuning.answer_mask(ids) & (_answer(ids) == 1)
        ),
        "an answer that was cut off, without <end of turn>, counts nothing; its words must count": lambda ids: (
            instruction_tuning.answer_mask(ids) & (ids[:, -1:] == END_OF_TURN)
        ),
        "all rows have the mask of the first one; each talk has its own": lambda ids: (
            instruction_tuning.answer_mask(ids)[:1].repeat(len(ids), 1)
        ),
        "1 and 0 instead of True and False": lambda ids: instruction_tuning.answer_mask(ids).long(),
    },
)
def check_answer_mask(student: Callable, rng: random.Random) -> None:
    one = ["user", "assistant"]
    two = ["system", "user", "assistant"]
    three = ["user", "assistant", "user", "assistant"]
    cases = [
        ("a question and its answer", chat_rows(rng, [one])),
        ("two rows of different length, filled up with <end of turn>", chat_rows(rng, [one, two])),
        ("a talk with two answers", chat_rows(rng, [three, two, three])),
        ("an answer that was cut off", chat_rows(rng, [two], cut=2)),
        ("questions without an answer", chat_rows(rng, [["user"], ["system", "user"]])),
    ]
    for what, (ids, rows) in cases:
        expect(student(ids), torch.tensor(rows), f"answer_mask(ids) of {what}")
