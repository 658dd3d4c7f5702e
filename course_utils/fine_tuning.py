"""From a model that continues text to one that answers: the loss on the answer alone, and LoRA.

Shapes: B examples, T positions, V tokens in the vocabulary; ids are those of chat.CHAT_VOCAB. Losses are in nats.
Source: Ouyang et al. 2022, "Training language models to follow instructions with human feedback", section 3.
"""

from __future__ import annotations

import copy
import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from course_utils.chat import ASSISTANT, CHAT_VOCAB, END_OF_TURN, decode_chat, extend_vocabulary
from course_utils.corpus import VOCAB
from course_utils.gpt2 import GPT, storyteller
from course_utils.instructions import Task, grade
from course_utils.sampling import generate
from course_utils.trained import trained
from course_utils.training import Batch, evaluate

ASSISTANT_FILE = Path(__file__).parent / "assets" / "assistant.safetensors"
LONGEST = 28  # tokens of an answer, its <end of turn> included

# --- The loss on the answer ------------------------------------------------------------------------------------------


def answer_mask(ids: Tensor) -> Tensor:
    """Say which tokens the assistant has to learn: its words and the <end of turn> that closes them.

    Not the token <assistant> itself, which the program writes; not what the system and the user
    say, nor the <end of turn> of their turns. Several turns of the assistant all count.
    Shapes: ids (B, T) -> (B, T) bool, about the very token, to be used with targets = ids[:, 1:].

    >>> from course_utils.chat import encode_chat
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

    >>> pad([torch.tensor([1, 2, 3]), torch.tensor([4])])[1].tolist() == [4, END_OF_TURN, END_OF_TURN]
    True
    """
    return nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=END_OF_TURN)


def answer_loss(model: nn.Module, batch: Batch) -> Tensor:
    """Return the mean cross-entropy in nats of the answers' tokens: batch = (inputs, targets, mask), (B, T) each.

    Raises: ValueError where no token counts.

    >>> uniform = lambda inputs: torch.zeros(*inputs.shape, 10)
    >>> ids, mask = torch.ones(2, 3).long(), torch.tensor([[False, True, True], [False, False, True]])
    >>> round(answer_loss(uniform, (ids, ids, mask)).item(), 4)  # log 10
    2.3026
    """
    inputs, targets, mask = batch
    if not mask.any():
        raise ValueError("the mask marks no token: there is no answer to learn from; was it cut off?")
    return F.cross_entropy(model(inputs)[mask], targets[mask])  # logits (answer tokens, V): only where they count


def task_batches(tasks: Sequence[Task], batch: int, everything: bool = False) -> Callable[[torch.Generator], Batch]:
    """Return a function that draws `batch` tasks with a generator: inputs, targets and mask, (batch, T) each.

    everything: the mask holds all tokens of an example, the prompt's too. Padding never counts.
    Raises: ValueError where there are no tasks, or a batch holds none.

    >>> from course_utils.instructions import instructions
    >>> inputs, targets, mask = task_batches(instructions(0, 8), batch=4)(torch.Generator().manual_seed(0))
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


# --- Asking and grading ----------------------------------------------------------------------------------------------


def answers(model: GPT, prompts: Sequence[Tensor | Task], generator: torch.Generator | None = None,
            n_new: int = LONGEST, **settings) -> list[str]:  # fmt: skip
    """Return the model's answer to each prompt (T_i,) as text, up to its <end of turn>: greedy, or drawn.

    Prompts of one length are answered side by side. settings: of `sampling.distribution`, such as temperature=1.0.

    >>> from course_utils.instructions import instructions
    >>> len(answers(base_with_chat(), instructions(0, 3), n_new=4))
    3
    """
    ids = [prompt.prompt if isinstance(prompt, Task) else prompt for prompt in prompts]
    groups, texts = defaultdict(list), [""] * len(ids)
    for i, row in enumerate(ids):
        groups[len(row)].append(i)
    device = next(model.parameters()).device
    for length, group in groups.items():
        out = generate(model, torch.stack([ids[i] for i in group]).to(device), n_new, generator, stop=END_OF_TURN,
                       **settings)[:, length:].tolist()  # fmt: skip
        for i, row in zip(group, out, strict=True):
            texts[i] = decode_chat(row[: row.index(END_OF_TURN)] if END_OF_TURN in row else row)
    return texts


def accuracy(model: GPT, tasks: Sequence[Task], **settings) -> dict[str, float]:
    """Return the share of right answers for each kind of task, and over all as "all", by `grade`.

    settings: as in `answers`. Raises: ValueError where there are no tasks.

    >>> from course_utils.instructions import instructions
    >>> accuracy(base_with_chat(), instructions(0, 3, tasks=["who"]))  # it has not learnt to answer
    {'who': 0.0, 'all': 0.0}
    """
    if not tasks:
        raise ValueError("no tasks to ask")
    right = defaultdict(list)
    for task, text in zip(tasks, answers(model, tasks, **settings), strict=True):
        right[task.name].append(grade(task, text))
        right["all"].append(right[task.name][-1])
    return {name: sum(right[name]) / len(right[name]) for name in [*(n for n in right if n != "all"), "all"]}


def story_loss(model: nn.Module, n_windows: int = 8) -> float:
    """Return the loss in nats a token on unseen stories: what rises where a model forgets its pretraining.

    The chat's own tokens are left out of the softmax: all models are asked for a word of the stories.

    >>> round(story_loss(storyteller()), 2)
    0.86
    """

    def loss(model: nn.Module, batch: Batch) -> Tensor:
        return F.cross_entropy(model(batch[0])[..., : len(VOCAB)].flatten(0, 1), batch[1].flatten())

    return evaluate(model, trained(n_windows=n_windows).batches, loss)


def base_with_chat() -> GPT:
    """Return the storyteller with rows for the chat's tokens, which it has never seen: where fine-tuning begins.

    >>> base_with_chat().config.vocab_size == len(CHAT_VOCAB)
    True
    """
    base = storyteller()
    return extend_vocabulary(base, len(CHAT_VOCAB) - base.config.vocab_size).eval()


def assistant() -> GPT:
    """Return the storyteller that was taught to answer: all weights fine-tuned by tools/train_assistant.py.

    >>> assistant().config.vocab_size == len(CHAT_VOCAB)
    True
    """
    return GPT.load(ASSISTANT_FILE).eval()


# --- LoRA ------------------------------------------------------------------------------------------------------------


class LoRALinear(nn.Module):
    """A frozen linear layer with two thin matrices beside it that can be trained: y = W x + b + (α / r) B A x.

    A is (rank, in), drawn as torch draws a linear layer's weight; B is (out, rank) and starts at 0, so that at first
    nothing changes. Shapes: x (..., in) -> (..., out). Raises: TypeError for another layer, ValueError for a rank below 1 or above both sizes.
    Source: Hu et al. 2021, "LoRA", section 4.1.

    >>> linear, x = nn.Linear(6, 4), torch.randn(2, 6)
    >>> lora = LoRALinear(linear, rank=2, alpha=4)
    >>> torch.equal(lora(x), linear(x)), sum(p.numel() for p in lora.parameters() if p.requires_grad)
    (True, 20)
    """

    def __init__(self, linear: nn.Linear, rank: int, alpha: float | None = None,
                 generator: torch.Generator | None = None) -> None:  # fmt: skip
        super().__init__()
        if not isinstance(linear, nn.Linear):
            raise TypeError(f"LoRALinear wraps an nn.Linear, this is a {type(linear).__name__}")
        if not isinstance(rank, int) or not 1 <= rank <= max(linear.in_features, linear.out_features):
            raise ValueError(f"rank {rank} does not fit a layer {linear.in_features} -> {linear.out_features}: it is the "
                             "thin side of A and B, such as 1 to 16")  # fmt: skip
        self.linear, self.rank, self.alpha = linear.requires_grad_(False), rank, 2 * rank if alpha is None else alpha
        draw = (2 * torch.rand(rank, linear.in_features, generator=generator) - 1).to(linear.weight)
        self.A = nn.Parameter(1 / math.sqrt(linear.in_features) * draw)  # (rank, in); Kaiming with a = √5
        self.B = nn.Parameter(linear.weight.new_zeros(linear.out_features, rank))  # (out, rank)

    def forward(self, x: Tensor) -> Tensor:
        return lora_forward(x, self.linear.weight, self.linear.bias, self.A, self.B, self.alpha)

    @torch.no_grad()
    def merge(self) -> nn.Linear:
        """Return one linear layer that computes the same; this one stays as it is."""
        merged = copy.deepcopy(self.linear)
        merged.weight.copy_(lora_merge(self.linear.weight, self.A, self.B, self.alpha))
        return merged


def lora_forward(x: Tensor, W: Tensor, b: Tensor | None, A: Tensor, B: Tensor, alpha: float) -> Tensor:
    """Return W x + b + (α / r) B A x for rows x, where r is the rank; b may be None.

    The thin way is taken step by step, so that no matrix of W's size is made.
    Shapes: x (..., n), W (m, n), b (m,), A (r, n), B (m, r) -> (..., m).
    Source: Hu et al. 2021, "LoRA", section 4.1.

    >>> x, W = torch.tensor([[1.0, 2.0]]), torch.eye(2)
    >>> lora_forward(x, W, None, A=torch.tensor([[1.0, 1.0]]), B=torch.tensor([[1.0], [0.0]]), alpha=2.0)
    tensor([[7., 2.]])
    """
    return F.linear(x, W, b) + alpha / len(A) * (x @ A.T) @ B.T  # (..., m)


def lora_merge(W: Tensor, A: Tensor, B: Tensor, alpha: float) -> Tensor:
    """Return the one matrix that does the same as W and the two thin ones; W itself stays as it is.

    Shapes: W (m, n), A (r, n), B (m, r) -> (m, n). Source: Hu et al. 2021, "LoRA", section 4.1.

    >>> W = torch.eye(2)
    >>> lora_merge(W, A=torch.tensor([[1.0, 1.0]]), B=torch.tensor([[1.0], [0.0]]), alpha=2.0), W
    (tensor([[3., 2.],
            [0., 1.]]), tensor([[1., 0.],
            [0., 1.]]))
    """
    return W + alpha / len(A) * B @ A  # (m, n)


MATRICES = ("c_attn", "c_proj", "c_fc")


def add_lora(model: GPT, rank: int, alpha: float | None = None, where: Iterable[str] = MATRICES, new_tokens: int = 0,
             generator: torch.Generator | None = None) -> GPT:  # fmt: skip
    """Return a copy of the model, all frozen, with a LoRALinear in the place of each linear layer named in `where`.

    alpha: 2 · rank by default. new_tokens: the last rows of the embedding, which are trained as well, since nobody has
    learnt them yet (train without weight decay then). Raises: ValueError where no layer has such a name.

    >>> model = add_lora(storyteller(), rank=4)
    >>> sum(p.numel() for p in model.parameters() if p.requires_grad)
    32768
    """
    model, where = copy.deepcopy(model).requires_grad_(False), (where,) if isinstance(where, str) else tuple(where)
    generator = generator or torch.Generator().manual_seed(0)
    places = [(parent, name) for parent in model.h.modules() for name, child in parent.named_children()
              if isinstance(child, nn.Linear) and name in where]  # fmt: skip
    if not places:
        raise ValueError(f"no linear layer of the blocks is called {', '.join(where)}: choose from {', '.join(MATRICES)}, "
                         "and merge_lora first where the model has LoRA already")  # fmt: skip
    for parent, name in places:
        setattr(parent, name, LoRALinear(getattr(parent, name), rank, alpha, generator))
    if new_tokens:
        new = torch.arange(model.config.vocab_size) >= model.config.vocab_size - new_tokens  # (V,)
        model.wte.weight.requires_grad_(True).register_hook(lambda gradient: gradient * new.to(gradient)[:, None])
    return model


def merge_lora(model: GPT) -> GPT:
    """Return a copy of the model with every LoRALinear merged: the plain model's shape, size and speed again.

    >>> merged = merge_lora(add_lora(storyteller(), rank=4))
    >>> [name for name, _ in merged.named_parameters()] == [name for name, _ in storyteller().named_parameters()]
    True
    """
    model = copy.deepcopy(model)
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, LoRALinear):
                setattr(parent, name, child.merge())
    return model


def lora_size(n_embd: int, n_layer: int, rank: int, where: Iterable[str] = MATRICES) -> int:
    """Count the numbers that LoRA trains in a GPT-2 of this size: rank · (in + out) a matrix.

    >>> lora_size(128, 4, rank=4), lora_size(768, 12, rank=8, where=["c_attn"])
    (32768, 294912)
    """
    sides = {"c_attn": (1, 3), "c_fc": (1, 4), "c_proj": (1 + 4, 1 + 1)}  # in and out in n_embd; c_proj: two of them
    return n_layer * rank * n_embd * sum(sum(sides[name]) for name in where)
