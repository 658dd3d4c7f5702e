"""Exercises of lesson 18."""

import random
from collections.abc import Callable

import torch
from torch import Tensor

from course_utils.checking import Exercises, expect
from course_utils.checking.inputs import must_keep
from course_utils.instruction_tuning import fine_tuning as instruction_tuning
from course_utils.instruction_tuning.chat import ASSISTANT, CHAT_ID, END_OF_TURN

EXERCISES = Exercises()


# --- answer_mask ----------------------------------------------------------------------------------


def chat_rows(
    rng: random.Random, talks: list[list[str]], cut: int = 0
) -> tuple[Tensor, list[list[bool]], list[int]]:
    """Ids (B, T) of talks of these roles, filled up with <end of turn>; which of them count; the
    length of each row.
    """
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
    lengths = [len(row) for row in rows]
    return (
        torch.tensor([row + [END_OF_TURN] * (T - len(row)) for row in rows]),
        [mask + [False] * (T - len(mask)) for mask in masks],
        lengths,
    )


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
)
def check_answer_mask(student: Callable, rng: random.Random) -> None:
    one = ["user", "assistant"]
    two = ["system", "user", "assistant"]
    three = ["user", "assistant", "user", "assistant"]
    cases = {
        "a question and its answer": chat_rows(rng, [one]),
        "two rows of different length, filled up with <end of turn>": chat_rows(rng, [one, two]),
        "a talk with two answers": chat_rows(rng, [three, two, three]),
        "an answer that was cut off": chat_rows(rng, [two], cut=2),
        "questions without an answer": chat_rows(rng, [["user"], ["system", "user"]]),
    }
    for what, (ids, rows, lengths) in cases.items():
        want = torch.tensor(rows)
        # without what fills up
        shown = torch.tensor([[t < n for t in range(ids.size(1))] for n in lengths])
        begin = ids == ASSISTANT
        end = ids == END_OF_TURN
        first = torch.zeros_like(want[:, :1])
        before = torch.cat([want[:, 1:], first], 1)
        mistakes = {
            "the <end of turn> of the answer is missing: without it the model never learns to stop": want & ~end,
            "the token <assistant> counts, too; the program writes it, the model need not learn it": want | begin,
            "everything is shifted by one: the mask is about the very token, ids[t], not about the one after it": before,
            "the mask is shifted by one the other way": torch.cat([first, want[:, :-1]], 1),
            "it holds what is not the answer": ~want,
            "what fills up the row counts, too: an answer is over at its first <end of turn>":
                begin.cumsum(1).bool() & ~begin,
            "the prompt counts, too: only the assistant's words may": shown,
            "every <end of turn> counts; only the one that closes an answer may": want | (end & shown),
            "1 and 0 instead of True and False": want.long(),
        }  # fmt: skip
        kept = ids.clone()
        expect(
            student(ids),
            want,
            f"answer_mask(ids) of {what}",
            mistakes={
                sentence: wrong
                for sentence, wrong in mistakes.items()
                if not torch.equal(wrong.to(want), want) or wrong.dtype != want.dtype
            },
        )
        must_keep(f"answer_mask(ids) of {what}", kept, ids)
