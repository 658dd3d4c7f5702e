"""From a model that continues text to one that answers: the loss on the answer alone, and what is
graded.

Shapes: B examples, T positions, V tokens in the vocabulary; ids are those of
`instruction_tuning.chat.CHAT_VOCAB`. Losses are in nats.
Source: Ouyang et al. 2022, "Training language models to follow instructions with human feedback",
section 3.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from course_utils.gpt2.model import GPT
from course_utils.instruction_tuning.chat import (
    ASSISTANT,
    CHAT_VOCAB,
    END_OF_TURN,
    decode_chat,
    extend_vocabulary,
)
from course_utils.instruction_tuning.grading import grade
from course_utils.instruction_tuning.tasks import Task
from course_utils.pretrained import storyteller, trained
from course_utils.sampling.decoding import generate
from course_utils.stories.grammar import VOCAB
from course_utils.training import Batch, evaluate

LONGEST = 28  # tokens of an answer, its <end of turn> included

# --- The loss on the answer -----------------------------------------------------------------------


def answer_mask(ids: Tensor) -> Tensor:
    """Say which tokens the assistant has to learn: its words and the <end of turn> that closes
    them.

    Not the token <assistant> itself, which the program writes; not what the system and the user
    say, nor the <end of turn> of their turns. Several turns of the assistant all count.
    Shapes: ids (B, T) -> (B, T) bool, about the very token, to be used with targets = ids[:, 1:].

    >>> from course_utils.instruction_tuning import encode_chat
    >>> ids = encode_chat([("user", "Who has the ball?"), ("assistant", "Tom has the ball.")])
    >>> answer_mask(ids[None])[0].int().tolist()  # 7 of the user, <assistant>, 5 words, the end
    [0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1]
    """
    mask = torch.zeros_like(ids, dtype=torch.bool)  # (B, T)
    inside = torch.zeros_like(mask[:, 0])  # (B,): is the assistant speaking?
    for t in range(ids.size(1)):
        mask[:, t] = inside
        inside = (inside | (ids[:, t] == ASSISTANT)) & (ids[:, t] != END_OF_TURN)
    return mask


def pad(rows: Sequence[Tensor]) -> Tensor:
    """Put rows (T_i,) of ids side by side, filled with <end of turn> on the right: (B, T).

    >>> pad([torch.tensor([1, 2, 3]), torch.tensor([4])])[1].tolist() == [
    ...     4,
    ...     END_OF_TURN,
    ...     END_OF_TURN,
    ... ]
    True
    """
    return nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=END_OF_TURN)


def answer_loss(model: nn.Module, batch: Batch) -> Tensor:
    """Return the mean cross-entropy in nats of the answers' tokens: batch = (inputs, targets,
    mask), (B, T) each.

    Raises: ValueError where no token counts.

    >>> uniform = lambda inputs: torch.zeros(*inputs.shape, 10)
    >>> ids = torch.ones(2, 3).long()
    >>> mask = torch.tensor([[False, True, True], [False, False, True]])
    >>> round(answer_loss(uniform, (ids, ids, mask)).item(), 4)  # log 10
    2.3026
    """
    inputs, targets, mask = batch
    if not mask.any():
        raise ValueError(
            "the mask marks no token: there is no answer to learn from; was it cut off?"
        )
    # logits (answer tokens, V): only where they count
    return F.cross_entropy(model(inputs)[mask], targets[mask])


def task_batches(
    tasks: Sequence[Task], batch: int, everything: bool = False
) -> Callable[[torch.Generator], Batch]:
    """Return a function that draws `batch` tasks with a generator: inputs, targets and mask,
    (batch, T) each.

    everything: the mask holds all tokens of an example, the prompt's too. Padding never counts.
    Raises: ValueError where there are no tasks, or a batch holds none.

    >>> from course_utils.instruction_tuning import instructions
    >>> inputs, targets, mask = task_batches(instructions(0, 8), batch=4)(
    ...     torch.Generator().manual_seed(0)
    ... )
    >>> inputs.shape == targets.shape == mask.shape, bool(targets[mask].eq(END_OF_TURN).sum() == 4)
    (True, True)
    """
    if not tasks or batch < 1:
        raise ValueError(f"no tasks to train on: {len(tasks)} in all, {batch} a batch")
    rows = [task.ids for task in tasks]

    def draw(generator: torch.Generator) -> Batch:
        chosen = [rows[i] for i in torch.randint(len(rows), (batch,), generator=generator).tolist()]
        ids = pad(chosen)  # (batch, T)
        lengths = torch.tensor([len(row) for row in chosen])
        whole = torch.arange(ids.size(1)) < lengths[:, None]  # (batch, T)
        return ids[:, :-1], ids[:, 1:], (whole if everything else answer_mask(ids))[:, 1:]

    return draw


# --- Asking and grading ---------------------------------------------------------------------------


def answers(
    model: GPT,
    prompts: Sequence[Tensor | Task],
    generator: torch.Generator | None = None,
    n_new: int = LONGEST,
    **settings,
) -> list[str]:
    """Return the model's answer to each prompt (T_i,) as text, up to its <end of turn>: greedy, or
    drawn.

    Prompts of one length are answered side by side. settings: of `sampling.distribution`, such as
    temperature=1.0.

    >>> from course_utils.instruction_tuning import instructions
    >>> len(answers(base_with_chat(), instructions(0, 3), n_new=4))
    3
    """
    ids = [prompt.prompt if isinstance(prompt, Task) else prompt for prompt in prompts]
    groups = defaultdict(list)
    texts = [""] * len(ids)
    for i, row in enumerate(ids):
        groups[len(row)].append(i)
    device = next(model.parameters()).device
    for length, group in groups.items():
        out = generate(
            model,
            torch.stack([ids[i] for i in group]).to(device),
            n_new,
            generator,
            stop=END_OF_TURN,
            **settings,
        )[:, length:].tolist()
        for i, row in zip(group, out, strict=True):
            texts[i] = decode_chat(row[: row.index(END_OF_TURN)] if END_OF_TURN in row else row)
    return texts


def accuracy(model: GPT, tasks: Sequence[Task], **settings) -> dict[str, float]:
    """Return the share of right answers for each kind of task, and over all as "all", by `grade`.

    settings: as in `answers`. Raises: ValueError where there are no tasks.

    >>> from course_utils.instruction_tuning import instructions
    >>> accuracy(base_with_chat(), instructions(0, 3, tasks=["who"]))  # it has not learnt to answer
    {'who': 0.0, 'all': 0.0}
    """
    if not tasks:
        raise ValueError("no tasks to ask")
    right = defaultdict(list)
    for task, text in zip(tasks, answers(model, tasks, **settings), strict=True):
        right[task.name].append(grade(task, text))
        right["all"].append(right[task.name][-1])
    return {
        name: sum(right[name]) / len(right[name])
        for name in [*(n for n in right if n != "all"), "all"]
    }


def story_loss(model: nn.Module, n_windows: int = 8) -> float:
    """Return the loss in nats a token on unseen stories: what rises where a model forgets its
    pretraining.

    The chat's own tokens are left out of the softmax: all models are asked for a word of the
    stories.

    >>> round(story_loss(storyteller()), 2)
    0.86
    """

    def loss(model: nn.Module, batch: Batch) -> Tensor:
        return F.cross_entropy(model(batch[0])[..., : len(VOCAB)].flatten(0, 1), batch[1].flatten())

    return evaluate(model, trained(n_windows=n_windows).batches, loss)


def base_with_chat() -> GPT:
    """Return the storyteller with rows for the chat's tokens, which it has never seen: where
    fine-tuning begins.

    >>> base_with_chat().config.vocab_size == len(CHAT_VOCAB)
    True
    """
    base = storyteller()
    return extend_vocabulary(base, len(CHAT_VOCAB) - base.config.vocab_size).eval()
