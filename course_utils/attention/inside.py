"""One head of a trained model from inside: what it computes, and what the model says when the head
mixes by other weights.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from course_utils.attention.heads import attention_weights, causal_mask, merge_heads, split_heads

Weigh = Callable[[Tensor, Tensor, Tensor], Tensor]  # (q, k, mask) -> weights


@dataclass(frozen=True)
class Head:
    """What one head computes for a text: q, k, v (T, d), as the model makes them.

    >>> Head(("a", "b"), *torch.zeros(3, 2, 4)).q.shape
    torch.Size([2, 4])
    """

    words: tuple[str, ...]
    q: Tensor
    k: Tensor
    v: Tensor


def inside(model: nn.Module, ids: Tensor, words: Sequence[str], layer: int, head: int) -> Head:
    """Queries, keys and values of one head of a GPT, read while it runs on a text.

    Shapes: ids (T,) int64 -> q, k, v (T, d). Layers and heads count from 0. Raises ValueError where
    there is no such layer or head.

    >>> from course_utils.gpt2.model import GPT, GPTConfig
    >>> model = GPT(GPTConfig(vocab_size=9, n_positions=8, n_embd=8, n_layer=2, n_head=2))
    >>> inside(model, torch.tensor([1, 2, 3]), "abc", layer=1, head=0).k.shape
    torch.Size([3, 4])
    """
    if not 0 <= layer < len(model.h) or not 0 <= head < model.h[layer].attn.n_head:
        raise ValueError(
            f"there is no head {layer}.{head}: the model has {len(model.h)} layers of {model.h[0].attn.n_head} heads."
        )
    attention = model.h[layer].attn
    seen = []
    hook = attention.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    try:
        with torch.no_grad():
            model(ids[None])
            parts = attention.c_attn(seen[0]).chunk(
                3, dim=-1
            )  # q, k, v of all heads, (1, T, d_model)
    finally:
        hook.remove()
    q, k, v = (split_heads(part, attention.n_head)[0, head].cpu() for part in parts)  # (T, d)
    return Head(tuple(words), q, k, v)


@contextmanager
def replaced(model: nn.Module, layer: int, head: int, weigh: Weigh) -> Iterator[None]:
    """While it is open, one head of the model mixes its values by weights of yours; all else is as
    it was.

    weigh: (q (B, T, d), k (B, T, d), mask (T, T)) -> weights, which broadcast to (B, T, T).

    >>> from course_utils.gpt2.model import GPT, GPTConfig
    >>> model = GPT(GPTConfig(vocab_size=9, n_positions=8, n_embd=8, n_layer=2, n_head=2))
    >>> ids = torch.tensor([[1, 2, 3]])
    >>> before = model(ids)
    >>> with replaced(model, 1, 0, attention_weights):
    ...     torch.testing.assert_close(model(ids), before)
    """
    attention = model.h[layer].attn

    def other(_: nn.Module, args: tuple, __: Tensor) -> Tensor:
        q, k, v = (split_heads(p, attention.n_head) for p in attention.c_attn(args[0]).chunk(3, -1))
        mask = causal_mask(q.size(-2)).to(q.device)
        weights = attention_weights(q, k, mask).clone()  # (B, H, T, T)
        weights[:, head] = weigh(q[:, head], k[:, head], mask)
        return attention.c_proj(merge_heads(weights @ v))  # (B, T, d_model)

    hook = attention.register_forward_hook(other)
    try:
        yield
    finally:
        hook.remove()


GIRLS = ("Mia", "Lily", "Anna", "Emma", "Sara", "Lucy", "Nora", "Zoe", "Ella", "Maya")
BOYS = ("Leo", "Tom", "Ben", "Sam", "Max", "Tim", "Jack", "Finn", "Noah", "Omar")
THINGS = ("kite", "telescope", "whistle", "rocket", "flute", "ball", "balloon", "bell")
PLACES = ("bed", "bench", "sofa", "bridge", "ladder", "table", "window", "shelf", "boat", "tree")


def hidden_things(n: int, seed: int = 0) -> list[tuple[str, str]]:
    """(text, the word that has to come next): somebody hides a thing and looks for it, in the words
    of the course's stories. The place is the thirteenth word of each text.

    >>> hidden_things(1)
    [('Her best friend was Jack. Nora hid the kite under the ladder. She looked under the', 'ladder')]
    """
    rng = random.Random(seed)
    found = []
    for _ in range(n):
        boy, girl, thing, place = (rng.choice(few) for few in (BOYS, GIRLS, THINGS, PLACES))
        text = f"Her best friend was {boy}. {girl} hid the {thing} under the {place}. She looked under the"
        found.append((text, place))
    return found
