"""Wrong answers to the exercises of lesson 18: mistakes that people make. Every checker must reject
every one.
"""

import random
from dataclasses import replace

import torch
from answers import WrongAnswers

from course_utils.instruction_tuning.chat import ASSISTANT, END_OF_TURN
from course_utils.instruction_tuning.measures import NEVER
from course_utils.instruction_tuning.runs import ABOUT_STORIES, names_of
from course_utils.instruction_tuning.tasks import instructions
from course_utils.pretrained import UNSEEN

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


# --- write_chat -----------------------------------------------------------------------------------


def written(messages, prompt, blank=" ", end=" <end of turn>", guard=True, role="<{}>"):
    for message in messages:
        if message["role"] not in ("system", "user", "assistant"):
            raise ValueError(message["role"])
        if guard and "<" in message["content"]:
            raise ValueError("a special token")
    rows = [f"{role.format(m['role'])}{blank}{m['content']}{end}" for m in messages]
    return blank.join(rows + ["<assistant>"] * prompt)


@wrong("write_chat", says="without <assistant> at the end the model does not know")
def chat_no_prompt(messages, add_generation_prompt=True):
    """The flag is forgotten."""
    return written(messages, False)


@wrong("write_chat", says="<assistant> stands at the end although add_generation_prompt is false")
def chat_always(messages, add_generation_prompt=True):
    """The flag is ignored."""
    return written(messages, True)


@wrong("write_chat", says="between the pieces stands one blank")
def chat_glued(messages, add_generation_prompt=True):
    """Nothing between role and words."""
    return written(messages, add_generation_prompt, blank="", end="<end of turn>")


@wrong("write_chat", says="the text ends with a blank that does not belong there")
def chat_tail(messages, add_generation_prompt=True):
    """A blank after each piece, the last one's, too."""
    return written(messages, add_generation_prompt) + " "


@wrong("write_chat", says="each message has a line of its own; here all stand in one line")
def chat_lines(messages, add_generation_prompt=True):
    """As many templates do it."""
    text = written(messages, False).replace("<end of turn> ", "<end of turn>\n")
    return text + "\n<assistant>" * add_generation_prompt


@wrong("write_chat", says="no message is closed with <end of turn>")
def chat_open(messages, add_generation_prompt=True):
    """Turns have no end."""
    return written(messages, add_generation_prompt, end="")


@wrong("write_chat", says="the last message, too, is closed with <end of turn>")
def chat_between(messages, add_generation_prompt=True):
    """<end of turn> only between the messages."""
    text = written(messages, False).removesuffix(" <end of turn>")
    return text + " <assistant>" * add_generation_prompt


@wrong("write_chat", says="only the last message is there; the model reads the whole talk")
def chat_last(messages, add_generation_prompt=True):
    """A list that is made anew for each message."""
    return written(messages[-1:], add_generation_prompt)


@wrong("write_chat", says="what the system says is missing")
def chat_no_system(messages, add_generation_prompt=True):
    """Only user and assistant."""
    written(messages, True)
    return written([m for m in messages if m["role"] != "system"], add_generation_prompt)


@wrong("write_chat", says="the roles stand there without their angle brackets")
def chat_bare(messages, add_generation_prompt=True):
    """user instead of <user>."""
    text = written(messages, False, role="{}")
    return text + " assistant" * add_generation_prompt


@wrong("write_chat", says="leave capitals as they are")
def chat_lower(messages, add_generation_prompt=True):
    """As the words are in the vocabulary."""
    return written(messages, add_generation_prompt).lower()


@wrong("write_chat", says="must raise ValueError")
def chat_forged(messages, add_generation_prompt=True):
    """A content may hold a role."""
    return written(messages, add_generation_prompt, guard=False)


# --- answer_loss ----------------------------------------------------------------------------------


def nats_of(model, batch):
    inputs, targets, mask = batch
    if not mask.any():
        raise ValueError("no answer")
    logs = model(inputs).log_softmax(-1)
    return -logs.gather(-1, targets[..., None])[..., 0]


@wrong("answer_loss", says="every token counts; only those that the mask marks may")
def loss_everything(model, batch):
    """The mask is not used."""
    return nats_of(model, batch).mean()


@wrong("answer_loss", says="the unmarked tokens count as zeros in the mean")
def loss_zeros(model, batch):
    """Multiplied with the mask, and then the mean."""
    return (nats_of(model, batch) * batch[2]).mean()


@wrong("answer_loss", says="each row's mean counts the same")
def loss_rows(model, batch):
    """A mean of means."""
    nats = nats_of(model, batch)
    return torch.stack([row[m].mean() for row, m in zip(nats, batch[2], strict=True)]).mean()


@wrong("answer_loss", says="that is the sum over the marked tokens, not their mean")
def loss_sum(model, batch):
    """No division."""
    return nats_of(model, batch)[batch[2]].sum()


@wrong("answer_loss", says="that is in bits; a nat is the natural logarithm")
def loss_bits(model, batch):
    """log2."""
    return nats_of(model, batch)[batch[2]].mean() / torch.tensor(2.0).log()


@wrong("answer_loss", says="the sign is turned round")
def loss_sign(model, batch):
    """The mean log-probability."""
    return -nats_of(model, batch)[batch[2]].mean()


@wrong("answer_loss", says="that is the loss on the prompt, where the mask is false")
def loss_prompt(model, batch):
    """The mask is turned round."""
    return nats_of(model, batch)[~batch[2]].mean()


@wrong("answer_loss", says="the logits are compared with the inputs")
def loss_inputs(model, batch):
    """inputs taken for targets."""
    return nats_of(model, (batch[0], batch[0], batch[2]))[batch[2]].mean()


@wrong("answer_loss", says="the softmax runs over the positions")
def loss_axis(model, batch):
    """log_softmax(1)."""
    nats_of(model, batch)
    logs = model(batch[0]).log_softmax(1)
    return -logs.gather(-1, batch[1][..., None])[..., 0][batch[2]].mean()


@wrong("answer_loss", says="targets is moved to the next token once already")
def loss_twice(model, batch):
    """Shifted a second time."""
    inputs, targets, mask = batch
    nats_of(model, batch)
    logs = model(inputs)[:, :-1].log_softmax(-1)
    return -logs.gather(-1, targets[:, 1:, None])[..., 0][mask[:, 1:]].mean()


@wrong("answer_loss", says="only the first row of the batch counts")
def loss_first(model, batch):
    """batch[0] taken for all rows."""
    return nats_of(model, batch)[0][batch[2][0]].mean()


# --- auc ------------------------------------------------------------------------------------------


def both_there(right, wrong_ones):
    if len(right) == 0 or len(wrong_ones) == 0:
        raise ValueError("empty")


@wrong("auc", says="a tie counts nothing here; it counts one half")
def auc_strict(right, wrong):
    """>"""
    both_there(right, wrong)
    return (right[:, None] > wrong).double().mean().item()


@wrong("auc", says="a tie counts whole here; it counts one half")
def auc_loose(right, wrong):
    """>="""
    both_there(right, wrong)
    return (right[:, None] >= wrong).double().mean().item()


@wrong("auc", says="that is the other way round")
def auc_turned(right, wrong):
    """The wrong ones above the right ones."""
    both_there(right, wrong)
    gap = wrong[:, None] - right
    return ((gap > 0) + (gap == 0) / 2).double().mean().item()


@wrong("auc", says="that is the difference of the means, which is no chance")
def auc_means(right, wrong):
    """A difference."""
    both_there(right, wrong)
    return (right.mean() - wrong.mean()).item()


@wrong("auc", says="the first is compared with the first, the second with the second")
def auc_zip(right, wrong):
    """Pairs side by side."""
    both_there(right, wrong)
    pairs = list(zip(right.tolist(), wrong.tolist(), strict=False))
    return sum((a > b) + (a == b) / 2 for a, b in pairs) / len(pairs)


@wrong("auc", says="each right answer is compared with the mean of the wrong ones")
def auc_with_mean(right, wrong):
    """One comparison each."""
    both_there(right, wrong)
    gap = right - wrong.mean()
    return ((gap > 0) + (gap == 0) / 2).double().mean().item()


@wrong("auc", says="that is the accuracy of the threshold 0.5")
def auc_threshold(right, wrong):
    """One threshold."""
    both_there(right, wrong)
    return ((right > 0.5).sum() + (wrong <= 0.5).sum()).item() / (len(right) + len(wrong))


@wrong("auc", says="that is the number of pairs, not their share")
def auc_count(right, wrong):
    """Mann and Whitney's U, not divided."""
    both_there(right, wrong)
    gap = right[:, None] - wrong
    return ((gap > 0) + (gap == 0) / 2).double().sum().item()


@wrong("auc", says="must raise ValueError")
def auc_nan(right, wrong):
    """The mean of nothing."""
    gap = right[:, None] - wrong
    return ((gap > 0) + (gap == 0) / 2).double().mean().item()


# --- edge_cases -----------------------------------------------------------------------------------


def pool_of(seed, n, kinds=ABOUT_STORIES, keep=lambda task: not names_of(task) & {*NEVER}):
    if n < 1:
        raise ValueError("n")
    tasks = {}
    for task in instructions(seed, 8 * n + 40, "held-out names", kinds):
        if keep(task):
            tasks.setdefault(task.user, task)
    lists = [[task for task in tasks.values() if task.name == kind] for kind in kinds]
    return [lists[i % len(lists)][i // len(lists)] for i in range(n)]


@wrong("edge_cases", says="give a list of tasks")
def edges_lazy(seed, n):
    """A tuple."""
    return tuple(pool_of(seed, n))


@wrong("edge_cases", says="were asked for")
def edges_few(seed, n):
    """Filtered, and not filled up."""
    if n < 1:
        raise ValueError("n")
    tasks = instructions(seed, n, "held-out names", ABOUT_STORIES)
    return [task for task in tasks if not names_of(task) & {*NEVER}]


@wrong("edge_cases", says="a task is about no story")
def edges_all_kinds(seed, n):
    """Refusals have no children."""
    if n < 1:
        raise ValueError("n")
    return instructions(seed, n, "held-out names")


@wrong("edge_cases", says="a name of NEVER is in a task")
def edges_all_names(seed, n):
    """All new names."""
    if n < 1:
        raise ValueError("n")
    return instructions(seed, n, "held-out names", ABOUT_STORIES)


@wrong("edge_cases", says="a task has no name of SYNTHETIC, so it is an ordinary one")
def edges_ordinary(seed, n):
    """The training split."""
    if n < 1:
        raise ValueError("n")
    return instructions(seed, n, tasks=ABOUT_STORIES)


@wrong("edge_cases", says="its facts say otherwise")
def edges_wrong(seed, n):
    """Names are changed in the answer alone."""
    return [replace(task, answer="Lily has it.") for task in pool_of(seed, n)]


@wrong("edge_cases", says="each should be as often")
def edges_who(seed, n):
    """One kind only."""
    return pool_of(seed, n, ["who"])


@wrong("edge_cases", says="a task is there twice")
def edges_twice(seed, n):
    """Filled up with copies."""
    few = pool_of(seed, n)[:5]
    return [few[i % 5] for i in range(n)]


@wrong("edge_cases", says="a task of the test is among them")
def edges_test(seed, n):
    """Drawn from the test."""
    return pool_of(UNSEEN, n)


@wrong("edge_cases", says="called twice, it gives two lists")
def edges_random(seed, n):
    """Its own dice."""
    return pool_of(random.randrange(10**9), n)


@wrong("edge_cases", says="gives the very same list; use the seed")
def edges_seedless(seed, n):
    """The seed is not used."""
    return pool_of(7, n)


@wrong("edge_cases", says="must raise ValueError")
def edges_none(seed, n):
    """Nothing for n = 0."""
    return pool_of(seed, n) if n > 0 else []
