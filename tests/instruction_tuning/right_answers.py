"""Right answers of another style to the exercises on instruction tuning."""

import re
from itertools import accumulate

import numpy as np
import torch
import torch.nn.functional as F
from answers import Answers
from scipy.stats import rankdata

from course_utils.instruction_tuning.chat import ASSISTANT, END_OF_TURN
from course_utils.instruction_tuning.measures import NEVER, NEW_NAMES, SYNTHETIC
from course_utils.instruction_tuning.runs import ABOUT_STORIES, names_of
from course_utils.instruction_tuning.talks import chat_tokenizer
from course_utils.instruction_tuning.tasks import instructions
from course_utils.stories.grammar import BOYS, GIRLS

right = Answers()
KNOWN = {*GIRLS, *BOYS} - {*NEW_NAMES}


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


# --- write_chat -----------------------------------------------------------------------------------


@right("write_chat")
def message_by_message(messages, add_generation_prompt=True):
    text = ""
    for message in messages:
        role = message["role"]
        said = message["content"]
        if role not in ("system", "user", "assistant") or re.search(
            r"<(system|user|assistant|end of turn)>", said
        ):
            raise ValueError(message)
        text += f"<{role}> {said} <end of turn> "
    return text + "<assistant>" if add_generation_prompt else text[:-1]


@right("write_chat")
def with_the_tokenizer(messages, add_generation_prompt=True):
    if any("<" in message["content"] for message in messages):
        raise ValueError("a bracket")
    if {message["role"] for message in messages} - {"system", "user", "assistant"}:
        raise ValueError("a role")
    return chat_tokenizer().apply_chat_template(
        messages, tokenize=False, add_generation_prompt=add_generation_prompt
    )


@right("write_chat")
def by_a_table_of_tokens(messages, add_generation_prompt=True):
    tokens = {"system": "<system>", "user": "<user>", "assistant": "<assistant>"}
    try:
        turns = [(tokens[message["role"]], message["content"]) for message in messages]
    except KeyError as error:
        raise ValueError(f"no role {error}") from None
    for _, said in turns:
        for token in (*tokens.values(), "<end of turn>"):
            if token in said:
                raise ValueError(token)
    rows = [f"{token} {said} <end of turn>" for token, said in turns]
    if add_generation_prompt:
        rows.append(tokens["assistant"])
    return " ".join(rows)


# --- answer_loss ----------------------------------------------------------------------------------


@right("answer_loss")
def with_ignored_targets(model, batch):
    inputs, targets, mask = batch
    if mask.sum() == 0:
        raise ValueError("nothing to learn")
    kept = targets.masked_fill(~mask, -100)
    return F.cross_entropy(model(inputs).flatten(0, 1), kept.flatten())


@right("answer_loss")
def by_gather(model, batch):
    inputs, targets, mask = batch
    if not mask.any():
        raise ValueError("nothing to learn")
    logs = model(inputs).log_softmax(-1).gather(-1, targets[..., None])[..., 0]
    return -(logs * mask).sum() / mask.sum()


@right("answer_loss")
def token_after_token(model, batch):
    inputs, targets, mask = batch
    logits = model(inputs)
    nats = []
    for b, t in mask.nonzero().tolist():
        nats.append(logits[b, t].logsumexp(0) - logits[b, t, targets[b, t]])
    if not nats:
        raise ValueError("nothing to learn")
    return sum(nats) / len(nats)


# --- auc ------------------------------------------------------------------------------------------


def both(right_ones, wrong_ones):
    if len(right_ones) == 0 or len(wrong_ones) == 0:
        raise ValueError("empty")


@right("auc")
def by_ranks(right, wrong):
    """Mann and Whitney's U from the ranks, with mean ranks for ties."""
    both(right, wrong)
    n = len(right)
    ranks = rankdata(torch.cat([right, wrong]).numpy())
    return float((ranks[:n].sum() - n * (n + 1) / 2) / (n * len(wrong)))


@right("auc")
def pair_by_pair(right, wrong):
    both(right, wrong)
    points = 0.0
    for a in right.tolist():
        for b in wrong.tolist():
            points += 1.0 if a > b else 0.5 if a == b else 0.0
    return points / (len(right) * len(wrong))


@right("auc")
def under_the_curve(right, wrong):
    """The area under the ROC curve, by trapezoids."""
    both(right, wrong)
    cuts = sorted({*right.tolist(), *wrong.tolist()}, reverse=True)
    xs = [0.0] + [(wrong >= c).float().mean().item() for c in cuts]
    ys = [0.0] + [(right >= c).float().mean().item() for c in cuts]
    return float(np.trapezoid(ys, xs))


# --- edge_cases -----------------------------------------------------------------------------------


@right("edge_cases")
def kind_after_kind(seed, n):
    if n < 1:
        raise ValueError("n must be 1 or more")
    found = []
    for i, kind in enumerate(ABOUT_STORIES):
        want = n // 5 + (i < n % 5)
        seen = set()
        for task in instructions(seed, 8 * n + 20, "held-out names", [kind]):
            if len(seen) < want and task.user not in seen and not names_of(task) & {*NEVER}:
                seen.add(task.user)
                found.append(task)
    return found


@right("edge_cases")
def until_there_are_enough(seed, n):
    if n < 1:
        raise ValueError("n must be 1 or more")
    tasks = {}
    draw = 0
    while len(tasks) < n:
        kind = ABOUT_STORIES[len(tasks) % 5]
        task = instructions(1000 * seed + draw, 1, "held-out names", [kind])[0]
        draw += 1
        if names_of(task) <= {*SYNTHETIC} | KNOWN and task.user not in tasks:
            tasks[task.user] = task
    return list(tasks.values())


@right("edge_cases")
def sorted_by_kind(seed, n):
    if n <= 0:
        raise ValueError("n must be 1 or more")
    many = instructions(seed + 10**6 + 7, 9 * n + 45, "held-out names", ABOUT_STORIES)
    good = {task.user: task for task in many if not names_of(task).intersection(NEVER)}
    rows = [[t for t in good.values() if t.name == kind] for kind in ABOUT_STORIES]
    return [task for turn in zip(*rows, strict=False) for task in turn][:n]
