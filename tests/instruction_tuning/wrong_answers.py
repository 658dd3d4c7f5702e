"""Wrong answers to the exercises of lesson 18: mistakes that people make. Every checker must reject
every one.
"""

import torch
from answers import WrongAnswers

from course_utils.instruction_tuning.chat import ASSISTANT, END_OF_TURN

wrong = WrongAnswers()


# --- answer_mask ----------------------------------------------------------------------------------


def walk(ids, first=False, last=True, prompts=False):
    mask = torch.zeros_like(ids, dtype=torch.bool)
    inside = torch.zeros_like(ids[:, 0], dtype=torch.bool)
    for t in range(ids.size(1)):
        begin = ids[:, t] == ASSISTANT
        end = ids[:, t] == END_OF_TURN
        mask[:, t] = (inside & (last | ~end)) | (first & begin)
        inside = (inside | begin) & ~end
    return mask


@wrong(
    "answer_mask",
    says="the <end of turn> of the answer is missing: without it the model never learns to stop",
)
def mask_without_end(ids):
    """Leaves the end of turn out: the model never stops."""
    return walk(ids, last=False)


@wrong(
    "answer_mask",
    says="the token <assistant> counts, too; the program writes it, the model need not learn it",
)
def mask_with_role(ids):
    """Counts <assistant>."""
    return walk(ids, first=True)


@wrong("answer_mask", says="it is about ids[t] itself, and yours about the token after it")
def mask_one_early(ids):
    """Shifted by one: what predicts the answer instead of the answer."""
    mask = walk(ids)
    return torch.cat([mask[:, 1:], torch.zeros_like(mask[:, :1])], 1)


@wrong("answer_mask", says="it is about ids[t] itself, and yours about the token before it")
def mask_one_late(ids):
    """Shifted by one the other way."""
    mask = walk(ids)
    return torch.cat([torch.zeros_like(mask[:, :1]), mask[:, :-1]], 1)


@wrong("answer_mask", says="every token counts; only those of the answers may")
def mask_everything(ids):
    """The prompt, too: right of nothing, and often seen."""
    return torch.ones_like(ids, dtype=torch.bool)


@wrong("answer_mask", says="all that follows the first <assistant> counts")
def mask_to_the_end(ids):
    """All that follows the first <assistant>: right for one row with one answer."""
    begin = ids == ASSISTANT
    return begin.cumsum(1).bool() & ~begin


@wrong(
    "answer_mask", says="after an answer every <end of turn> counts; only the first one closes it"
)
def mask_padding(ids):
    """All ends of turn that follow an answer count: right without padding."""
    mask = walk(ids)
    return mask | ((ids == END_OF_TURN) & (ids == ASSISTANT).cumsum(1).bool())


@wrong("answer_mask", says="every <end of turn> counts; only the one that closes an answer may")
def mask_all_ends(ids):
    """Those of the prompts, too."""
    return walk(ids) | (ids == END_OF_TURN)


@wrong("answer_mask", says="only the last answer of a talk counts; all of them must")
def mask_last_answer(ids):
    """Only the last answer: right for talks with one."""
    mask = torch.zeros_like(ids, dtype=torch.bool)
    for row, out in zip(ids.tolist(), mask, strict=True):
        if ASSISTANT in row:
            begin = len(row) - 1 - row[::-1].index(ASSISTANT)
            end = row.index(END_OF_TURN, begin) if END_OF_TURN in row[begin:] else len(row) - 1
            out[begin + 1 : end + 1] = True
    return mask


@wrong("answer_mask", says="only the first answer of a talk counts; all of them must")
def mask_first_answer(ids):
    """Only the first answer."""
    mask = torch.zeros_like(ids, dtype=torch.bool)
    for row, out in zip(ids.tolist(), mask, strict=True):
        if ASSISTANT in row:
            begin = row.index(ASSISTANT)
            end = row.index(END_OF_TURN, begin) if END_OF_TURN in row[begin:] else len(row) - 1
            out[begin + 1 : end + 1] = True
    return mask


@wrong("answer_mask", says="an answer that was cut off, without <end of turn>, counts nothing")
def mask_needs_an_end(ids):
    """An answer that was cut off counts nothing."""
    mask = walk(ids)
    mask[ids[:, -1] != END_OF_TURN] = False
    return mask


@wrong("answer_mask", says="all rows have the mask of the first one; each talk has its own")
def mask_all_rows_alike(ids):
    """Takes the places of the first row for all rows: right for one row."""
    return walk(ids)[:1].expand(ids.shape).clone()


@wrong("answer_mask", says="1 and 0 instead of True and False")
def mask_numbers(ids):
    """1 and 0 instead of True and False."""
    return walk(ids).long()


@wrong("answer_mask", says="it holds what is not the answer")
def mask_of_the_user(ids):
    """Everything but the answer."""
    return ~walk(ids)


# --- right on what they return, or on easy numbers ------------------------------------------------


@wrong("answer_mask", says="changed its argument in place")
def mask_in_place(ids):
    """Writes into the ids to find the places."""
    mask = walk(ids)
    ids[mask] = END_OF_TURN
    return mask


@wrong("answer_mask", says="an answer goes on until the next <user>")
def mask_until_any_role(ids):
    """From <assistant> on, minus the prompts: forgets that the end of turn closes the answer of a
    padded row.
    """
    mask = torch.zeros_like(ids, dtype=torch.bool)
    inside = torch.zeros_like(ids[:, 0], dtype=torch.bool)
    for t in range(ids.size(1)):
        mask[:, t] = inside
        inside = (inside | (ids[:, t] == ASSISTANT)) & (ids[:, t] != ASSISTANT - 1)
    return mask
