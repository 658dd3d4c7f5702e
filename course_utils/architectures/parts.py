"""The parts that replaced GPT-2's: what lesson 11 builds by hand. `rotary` is in transformer_block,
`repeat_kv` in attention.

Shapes: B texts, T positions, S positions of a source, d_model features, E experts, n tokens of any
texts in a row.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

from course_utils.attention.heads import attention, repeat_kv
from course_utils.transformer_block.block import rotary


def rms_norm(x: Tensor, weight: Tensor, eps: float = 1e-6) -> Tensor:
    """Give each position's features a mean square of 1, then a learned gain each: no mean is taken
    away, and nothing is added.

    Shapes: x (..., d_model), weight (d_model,) -> (..., d_model). eps is added to the mean square,
    under the root. Source: Zhang and Sennrich 2019, "Root Mean Square Layer Normalization".

    >>> rms_norm(torch.tensor([[3.0, 3.0], [-2.0, 0.0]]), weight=torch.ones(2))
    tensor([[ 1.0000,  1.0000],
            [-1.4142,  0.0000]])
    """
    return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + eps) * weight


def swiglu(x: Tensor, w_gate: Tensor, w_up: Tensor, w_down: Tensor) -> Tensor:
    """Widen x twice, multiply the two number by number, and narrow the product again.

    The first of the two, the gate, goes through SiLU, z · sigmoid(z), before. There are no biases.
    Shapes: x (..., d_model), w_gate and w_up (d_model, d_inner), w_down (d_inner, d_model) ->
    (..., d_model). Source: Shazeer 2020, "GLU Variants Improve Transformer".

    >>> one = torch.ones(1, 1)
    >>> swiglu(torch.tensor([[0.0], [2.0], [-2.0]]), w_gate=one, w_up=2 * one, w_down=one).flatten()
    tensor([0.0000, 7.0464, 0.9536])
    """
    return (F.silu(x @ w_gate) * (x @ w_up)) @ w_down


def route(logits: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Choose k experts for each token, and how much each counts.

    A softmax over all E experts gives each a probability. The k most probable are chosen, the
    likeliest first, and each counts with its probability as it is: the k need not sum to 1.
    Shapes: logits (n, E) -> weights (n, k), experts (n, k) whole numbers. Raises: ValueError unless
    1 <= k <= E. Source: Fedus et al. 2021, "Switch Transformers", for k = 1.

    >>> weights, experts = route(torch.tensor([[0.0, 2.0, 1.0], [3.0, 0.0, 0.0]]), k=2)
    >>> experts[0].tolist(), [round(w, 2) for w in weights[0].tolist()]
    ([1, 2], [0.67, 0.24])
    """
    if not 1 <= k <= logits.size(-1):
        raise ValueError(f"k={k} of {logits.size(-1)} experts: choose between 1 and all of them")
    weights, experts = logits.softmax(-1).topk(k, dim=-1)  # (n, k) each
    return weights, experts


def load_balance(logits: Tensor, experts: Tensor) -> Tensor:
    """Measure how unevenly the experts are used: 1 where all get the same, E where one gets all.

    It is E times the sum over the experts of f · p. f is the share of all choices that went to this
    expert (a count, no gradient), p the mean probability that the router gives it.
    Shapes: logits (n, E), experts (n, k), the chosen ones -> a number (a tensor without dimensions).
    Source: Fedus et al. 2021, "Switch Transformers", equation 4.

    >>> sure = torch.tensor([[100.0, 0.0], [0.0, 100.0]])
    >>> load_balance(sure, torch.tensor([[0], [1]])), load_balance(sure[:1], torch.tensor([[0]]))
    (tensor(1.), tensor(2.))
    """
    E = logits.size(-1)
    shares = F.one_hot(experts.flatten(), E).to(logits).mean(0)  # (E,)
    return E * (shares * logits.softmax(-1).mean(0)).sum()


def cross_attention(x: Tensor, source: Tensor, w_q: Tensor, w_k: Tensor, w_v: Tensor) -> Tensor:
    """One head that looks into another text: queries from x, keys and values from the source.

    Each position of x may look at the whole source.
    Shapes: x (..., T, d_model), source (..., S, d_model), w_q and w_k (d_model, d), w_v
    (d_model, d_v) -> (..., T, d_v). Matrices of several heads, (H, d_model, d), with x and source
    as (B, 1, …), give (B, H, T, d_v). Source: Vaswani et al. 2017, section 3.2.3.

    >>> x, zero = torch.eye(2), torch.zeros(2, 4)
    >>> source = torch.tensor([[1.0, 0.0], [3.0, 0.0], [8.0, 0.0]])
    >>> cross_attention(x, source, zero, zero, w_v=torch.eye(2)).tolist()
    [[4.0, 0.0], [4.0, 0.0]]
    """
    return attention(x @ w_q, source @ w_k, source @ w_v)


@dataclass(frozen=True)
class Parts:
    """The functions that the models of this lesson are made of: the course's own, or yours.

    >>> Parts(rms_norm=lambda x, weight: x).rms_norm(torch.ones(2), None)
    tensor([1., 1.])
    """

    rotary: Callable[[Tensor], Tensor] = field(default_factory=lambda: rotary)
    rms_norm: Callable[[Tensor, Tensor], Tensor] = field(default_factory=lambda: rms_norm)
    swiglu: Callable[[Tensor, Tensor, Tensor, Tensor], Tensor] = field(
        default_factory=lambda: swiglu
    )
    repeat_kv: Callable[[Tensor, int], Tensor] = field(default_factory=lambda: repeat_kv)
    route: Callable[[Tensor, int], tuple[Tensor, Tensor]] = field(default_factory=lambda: route)
    load_balance: Callable[[Tensor, Tensor], Tensor] = field(default_factory=lambda: load_balance)
    cross_attention: Callable[[Tensor, Tensor, Tensor, Tensor, Tensor], Tensor] = field(
        default_factory=lambda: cross_attention
    )
