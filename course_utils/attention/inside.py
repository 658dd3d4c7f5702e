"""One head of a trained model from inside: what it computes, a picture of what it does at one word,
and what the model says when the head mixes by other weights.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from course_utils.attention.heads import attention_weights, causal_mask, merge_heads, split_heads
from course_utils.classroom.figures import COLORS, Picture, subplots

Weigh = Callable[[Tensor, Tensor, Tensor], Tensor]  # (q, k, mask) -> weights


@dataclass(frozen=True)
class Head:
    """What one head computes for a text: q, k, v (T, d), as the model makes them."""

    words: tuple[str, ...]
    q: Tensor
    k: Tensor
    v: Tensor


def inside(model: nn.Module, ids: Tensor, words: Sequence[str], layer: int, head: int) -> Head:
    """Queries, keys and values of one head of a GPT, read while it runs on a text.

    Shapes: ids (T,) int64 -> q, k, v (T, d). Layers and heads count from 0. Raises ValueError where
    there is no such layer or head.
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


def draw_head(head: Head, t: int, weigh: Weigh) -> Picture:
    """What the head does at word t, in four columns: its query above all keys up to t, the scores,
    the weights, and the values with their mixture below.

    weigh: a function (q, k, mask) -> weights (T, T), such as `attention_weights`. Raises ValueError
    for a t that is no position of the text.
    """
    T, d = head.q.shape
    if not 0 <= t < T:
        raise ValueError(f"there is no word {t}: the text has {T}, counted from 0.")
    weights = weigh(head.q, head.k, causal_mask(T))[t, : t + 1].detach()  # (S,)
    scores = head.k[: t + 1] @ head.q[t] / d**0.5  # (S,)
    gap = torch.full((1, d), torch.nan)
    keys = torch.cat([head.q[t : t + 1], gap, head.k[: t + 1]])  # (S + 2, d)
    mixture = weights[None] @ head.v[: t + 1]  # (1, d)
    values = torch.cat([head.v[: t + 1], gap, mixture])  # (S + 2, d)

    words = head.words[: t + 1]
    rows = range(2, t + 3)
    fig, axes = subplots(1, 4, figsize=(11, 1.3 + 0.25 * (t + 4)), width_ratios=(3, 2, 2, 3))
    _strips(axes[0], keys, 0, [f"query of “{words[-1]}”", "", *words], "query, and keys")
    _bars(axes[1], rows, scores, "score q·k / √d", COLORS["orange"])
    _bars(axes[2], rows, weights, "weight", COLORS["blue"])
    for row, weight in zip(rows, weights.tolist(), strict=True):
        if weight >= 0.05:
            axes[2].text(weight + 0.02, row, f"{weight:.2f}", va="center", fontsize=12)
    axes[2].set(xlim=(0, 1.25), xticks=(0, 0.5, 1))
    _strips(axes[3], values, 2, [*words, "", "mixture"], "values, mixture")
    for ax in axes:
        ax.set_ylim(t + 4.5, -0.5)
    best = int(weights.argmax())
    alt = (
        f"Word {t}, “{words[-1]}”, looks most at word {best}, “{words[best]}”, with weight {weights[best]:.2f}: "
        "its query, the keys, the scores, the weights, and the mixture of the values."
    )
    return Picture(fig, alt)


def _strips(ax, table: Tensor, first: int, names: Sequence[str], title: str) -> None:
    """Each row of a table (rows, d) as a strip of colours, named on the left."""
    most = table.nan_to_num().abs().max()
    last = first + len(table)
    extent = (0, table.size(1), last - 0.5, first - 0.5)
    ax.imshow(table, cmap="RdBu_r", vmin=-most, vmax=most, aspect="auto", extent=extent)
    ax.set(xticks=(), yticks=range(first, last), yticklabels=names, title=title)
    ax.tick_params(axis="y", length=0)
    ax.grid(False)


def _bars(ax, rows: range, lengths: Tensor, title: str, color: str) -> None:
    ax.barh(rows, lengths, color=color)
    ax.axvline(0, color="black", linewidth=0.8)
    ax.set(yticks=(), title=title)
