"""What a tuned model can do, and what it has lost: right answers at every decoding, forgetting story
by story, and whether its confidence tells what is true.

Shapes: n tasks or stories, T positions. Losses are in nats.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from course_utils.gpt2.model import GPT
from course_utils.instruction_tuning.chat import CHAT_ID, TEXTS, encode_chat, split_words
from course_utils.instruction_tuning.fine_tuning import answers
from course_utils.instruction_tuning.grading import grade
from course_utils.instruction_tuning.tasks import Excerpt, Task
from course_utils.stories.corpus import ID
from course_utils.stories.grammar import BOYS, GIRLS, VOCAB

TEMPERATURES = (1.0, 0.7, 0.5, 0.0)  # 0: greedy
NEW_NAMES = tuple(TEXTS["words"]["names"])  # of people whom no task of the training split names
SYNTHETIC = NEW_NAMES[:6]  # those that synthetic tasks may use
NEVER = NEW_NAMES[6:]  # those that only tests use


# --- Right answers at every decoding --------------------------------------------------------------


def decodings(
    ask: Callable[..., list[str]],
    tasks: Sequence[Task],
    draws: int = 2,
    seed: int = 0,
    judge: Callable[[Task, str], bool] = grade,
) -> dict[float, tuple[Tensor, Tensor]]:
    """Ask all tasks at temperatures 1, 0.7, 0.5 and greedily (0): how often each is right, and how
    varied the answers are.

    ask(generator=…, temperature=…) returns a text for each task; without arguments, greedily.
    Returns {temperature: (right (n,), variety (n,))}, each between 0 and 1: the share of right
    draws, and the share of further draws that said something new. Raises: ValueError for fewer than
    2 draws.

    >>> from course_utils.instruction_tuning import instructions
    >>> found = decodings(lambda **settings: ["Nobody."], instructions(0, 1, tasks=["who"]))
    >>> {temperature: right.item() for temperature, (right, variety) in found.items()}
    {1.0: 0.0, 0.7: 0.0, 0.5: 0.0, 0.0: 0.0}
    """
    if draws < 2:
        raise ValueError("one draw shows no variety: draws must be 2 or more")
    found = {}
    for temperature in TEMPERATURES:
        dice = torch.Generator().manual_seed(seed)
        settings = dict(generator=dice, temperature=temperature) if temperature else {}
        said = [ask(**settings) for _ in range(draws if temperature else 1)]
        right = torch.tensor([[judge(*pair) for pair in zip(tasks, s, strict=True)] for s in said])
        new = torch.tensor([len(set(texts)) - 1 for texts in zip(*said, strict=True)])
        found[temperature] = right.float().mean(0), new / (draws - 1)
    return found


def few_shot_prompt(task: Task, solved: Sequence[Task]) -> Tensor:
    """Solved tasks in plain words, each with a story's end, then ours without its answer: (T,).

    >>> from course_utils.instruction_tuning import decode_chat, instructions
    >>> one, two = instructions(seed=0, n=2, tasks=["refuse"])
    >>> decode_chat(few_shot_prompt(one, [two]))[-32:]
    'What do you know of the library?'
    """
    ids = []
    for one in solved:
        words = split_words(f"{one.system} {one.user} {one.answer}")
        ids += [CHAT_ID[word] for word in words] + [0]  # 0: the end of a story
    return torch.tensor(ids + [CHAT_ID[word] for word in split_words(f"{task.system} {task.user}")])


def last_name(words: Sequence[str]) -> str | None:
    """The last child's name among these words: a baseline that has read nothing else.

    >>> last_name("Tom gave the ball to Mia . she smiled .".split())
    'Mia'
    """
    return next((word for word in reversed(words) if word in GIRLS + BOYS), None)


# --- Forgetting -----------------------------------------------------------------------------------


def beginnings(seed: int, n: int, names: Sequence[str] | None = None) -> list[Excerpt]:
    """n beginnings of stories: of children with the names that tasks use, or with one of `names`.

    >>> facts = beginnings(seed=0, n=1, names=["Kofi"])[0].facts
    >>> "Kofi" in (facts["hero"], facts["friend"])
    True
    """
    rng = random.Random(f"beginnings {seed}")

    def fits(*children: str) -> bool:
        if names is None:
            return not {*children} & {*NEW_NAMES}
        return bool({*children} & {*names}) and not {*children} & ({*NEW_NAMES} - {*names})

    return [Excerpt(rng, fits) for _ in range(n)]


@torch.no_grad()
def losses_by_story(
    model: GPT, excerpts: Sequence[Excerpt], repeated_names: bool = False
) -> Tensor:
    """The mean loss on each beginning in nats a token, (n,): one number for each story, so that
    stories can be compared one by one.

    repeated_names: only on the names of children that the story has named before; nan where there
    is none. The chat's own tokens are left out of the softmax.

    >>> from course_utils.pretrained import storyteller
    >>> losses = losses_by_story(storyteller(), beginnings(seed=0, n=3))
    >>> losses.shape, bool((losses < 2).all())
    (torch.Size([3]), True)
    """
    device = next(model.parameters()).device
    losses = []
    for excerpt in excerpts:
        words = excerpt.words
        ids = torch.tensor([[ID[word] for word in words]], device=device)  # (1, T)
        logits = model(ids[:, :-1])[0, :, : len(VOCAB)]
        nats = F.cross_entropy(logits, ids[0, 1:], reduction="none")  # (T - 1,)
        if repeated_names:
            again = [word in GIRLS + BOYS and word in words[:t] for t, word in enumerate(words)]
            nats = nats[torch.tensor(again[1:], device=device)]
        losses.append(nats.mean())
    return torch.stack(losses).cpu()


# --- Does confidence tell? ------------------------------------------------------------------------


@torch.no_grad()
def confidences(model: GPT, tasks: Sequence[Task], texts: Sequence[str]) -> Tensor:
    """How likely the model finds these answers: the mean probability of a token, <end of turn>
    included, as a geometric mean; (n,).

    >>> from course_utils.instruction_tuning import instructions
    >>> from course_utils.pretrained import assistant
    >>> task = instructions(seed=0, n=1, tasks=["refuse"])[0]
    >>> good, odd = confidences(assistant(), [task, task], [task.answer, "Nobody has the ball."])
    >>> bool(good > odd)
    True
    """
    device = next(model.parameters()).device
    found = []
    for task, text in zip(tasks, texts, strict=True):
        start = len(task.prompt)
        ids = encode_chat([*task.turns, ("assistant", text)]).to(device)  # (T,)
        logits = model(ids[None, :-1])[0, start - 1 :]  # (tokens of the answer, V)
        found.append(-F.cross_entropy(logits, ids[start:]))
    return torch.stack(found).exp().cpu()


def auc(right: Tensor, wrong: Tensor) -> float:
    """The chance that a right answer has the higher score of a right and a wrong one, drawn at
    random; a tie counts one half.

    0.5: the score tells nothing. 1: a threshold parts the two. Shapes: right (n,), wrong (m,).
    Raises: ValueError where one of them is empty.
    Source: Hanley & McNeil 1982, "The Meaning and Use of the Area under a ROC Curve".

    >>> auc(torch.tensor([0.9, 0.4]), torch.tensor([0.4, 0.1]))
    0.875
    """
    if not len(right) or not len(wrong):
        raise ValueError("scores of right and of wrong answers are needed, and one is missing")
    pairs = right[:, None] - wrong[None, :]  # (n, m)
    return ((pairs > 0).float() + (pairs == 0).float() / 2).mean().item()


def ask(model: GPT, tasks: Sequence[Task]) -> Callable[..., list[str]]:
    """`answers` of one model to these tasks, as `decodings` asks for them.

    >>> from course_utils.instruction_tuning import base_with_chat, instructions
    >>> found = decodings(ask(base_with_chat(), instructions(0, 2)), instructions(0, 2))
    >>> sorted(found)
    [0.0, 0.5, 0.7, 1.0]
    """
    return lambda **settings: answers(model, tasks, **settings)
