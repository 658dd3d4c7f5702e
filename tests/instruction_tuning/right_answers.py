"""Right answers of another style to the exercises on instruction tuning."""

import re
from itertools import accumulate

import numpy as np
import torch
from answers import Answers

from course_utils.instruction_tuning.chat import ASSISTANT, END_OF_TURN

right = Answers()


@right("answer_mask")
def token_by_token(ids):
    rows = []
    for row in ids.tolist():
        speaks = False
        mask = []
        for token in row:
            mask.append(speaks)
            if token == ASSISTANT:
                speaks = True
            elif token == END_OF_TURN:
                speaks = False
        rows.append(mask)
    return torch.tensor(rows)


@right("answer_mask")
def by_the_last_marks(ids):
    """An <assistant> stands before the token, and since then no <end of turn>."""
    place = torch.arange(1, ids.shape[1] + 1).expand_as(ids)
    begin = torch.where(ids == ASSISTANT, place, 0).cummax(dim=1).values
    end = torch.where(ids == END_OF_TURN, place, 0).cummax(dim=1).values
    speaks = begin > end
    return torch.cat([torch.zeros_like(speaks[:, :1]), speaks[:, :-1]], dim=1)


@right("answer_mask")
def turn_by_turn(ids):
    mask = torch.zeros(ids.shape, dtype=torch.bool)
    for row, text in enumerate(ids):
        ends = (text == END_OF_TURN).nonzero().flatten().tolist()
        for start in (text == ASSISTANT).nonzero().flatten().tolist():
            stop = next((end for end in ends if end > start), ids.shape[1] - 1)
            mask[row, start + 1 : stop + 1] = True
    return mask


@right("answer_mask")
def with_a_regular_expression(ids):
    letters = {ASSISTANT: "A", END_OF_TURN: "E"}
    mask = np.zeros(ids.shape, dtype=bool)
    for row, text in enumerate(ids.tolist()):
        line = "".join(letters.get(token, "w") for token in text)
        for answer in re.finditer("A(w*E?)", line):
            mask[row, slice(*answer.span(1))] = True
    return torch.from_numpy(mask)


@right("answer_mask")
def by_numbered_turns(ids):
    """Turns are numbered by the ends before them; those that hold an <assistant> are answers."""
    ends = (ids == END_OF_TURN).long()
    turn = ends.cumsum(1) - ends
    begin = ids == ASSISTANT
    spoken = torch.zeros(len(ids), ids.shape[1] + 1).scatter_add(1, turn, begin.float()) > 0
    return spoken.gather(1, turn) & (begin.cumsum(1) > 0) & ~begin


@right("answer_mask")
def with_accumulate(ids):
    def after(speaks, token):
        return token == ASSISTANT or (speaks and token != END_OF_TURN)

    rows = [list(accumulate(row, after, initial=False))[:-1] for row in ids.tolist()]
    return torch.tensor(rows, dtype=torch.bool)
