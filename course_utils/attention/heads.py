"""Causal attention from scratch, as lesson 02 builds it: softmax, masks, one head, many heads, a
cache.

Shapes: B sequences, T positions that ask, S positions that can be looked at (S = T without a
cache), H heads, d features per head, d_model = H * d. In every (T, S) matrix the row asks and the
column is looked at.
Sources: Vaswani et al. 2017, "Attention Is All You Need"; the parameters have GPT-2's names
(Radford et al. 2019).
"""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def softmax(x: Tensor, dim: int = -1, temperature: float = 1.0) -> Tensor:
    """Turn scores into positive weights that sum to 1 along `dim`, without overflow.

    Shapes: any -> the same, with the dtype of x; the arithmetic is float32 at least. Units: nats.
    A temperature above 1 flattens the weights, one below 1 sharpens them.
    Raises: TypeError for integers; ValueError for a temperature <= 0 or an infinite largest score.
    Source: Vaswani et al. 2017, section 3.2.1; temperature: Hinton et al. 2015, section 2.

    >>> softmax(torch.tensor([1000.0, 1000.0, -float("inf")]))
    tensor([0.5000, 0.5000, 0.0000])
    """
    if not x.is_floating_point():
        raise TypeError(f"softmax needs floating-point scores, not {x.dtype}: pass x.float()")
    if not temperature > 0:
        raise ValueError(
            f"the temperature must be above 0, not {temperature}: for the limit of 0 use argmax"
        )
    z = x.to(torch.promote_types(x.dtype, torch.float32)) / temperature
    # subtracting it changes nothing, but now the largest is exp(0) = 1
    top = z.amax(dim, keepdim=True).detach()
    if not torch.isfinite(top).all():
        raise ValueError(
            "the largest score of a row is nan or infinite: leave at least one score of each row finite"
        )
    e = torch.exp(z - top)
    return (e / e.sum(dim, keepdim=True)).to(x.dtype)


def causal_mask(T: int) -> Tensor:
    """Say which positions each position may look at: itself and the past, never the future.

    Shapes: -> (T, T), bool. Row t, column s is True where s <= t: True means "may look".
    Raises: ValueError where T is not a whole number of at least 1.
    Source: Vaswani et al. 2017, section 3.2.3.

    >>> causal_mask(3).int()
    tensor([[1, 0, 0],
            [1, 1, 0],
            [1, 1, 1]], dtype=torch.int32)
    """
    if not isinstance(T, int) or T < 1:
        raise ValueError(
            f"T must be a whole number of at least 1, not {T!r}: pass the length, such as x.size(-2)"
        )
    return torch.ones(T, T, dtype=torch.bool).tril()


def average_past_loop(x: Tensor) -> Tensor:
    """Average each position with all positions before it, one position after the other.

    Shapes: x (..., T, d) -> (..., T, d). Source: the simplest way to mix the past; attention
    weights it.

    >>> average_past_loop(torch.tensor([[2.0], [4.0], [9.0]])).flatten()
    tensor([2., 3., 5.])
    """
    T = x.size(-2)
    return torch.stack([x[..., : t + 1, :].mean(-2) for t in range(T)], dim=-2)  # (..., T, d)


def average_past_matrix(x: Tensor) -> Tensor:
    """Average each position with all positions before it: multiply by a lower-triangular matrix.

    Shapes: x (..., T, d) -> (..., T, d). Source: row t of it is 1/(t+1) for s <= t, else 0.

    >>> average_past_matrix(torch.tensor([[2.0], [4.0], [9.0]])).flatten()
    tensor([2., 3., 5.])
    """
    may_look = causal_mask(x.size(-2)).to(x)  # (T, T), 1 and 0
    weights = may_look / may_look.sum(-1, keepdim=True)  # (T, T), rows sum to 1
    return weights @ x  # (..., T, d)


def average_past_softmax(x: Tensor) -> Tensor:
    """Average each position with all positions before it: attention whose queries are all zero.

    Shapes: x (..., T, d) -> (..., T, d). Source: equal scores give equal weights (Vaswani et al.
    2017, section 3.2.1).

    >>> average_past_softmax(torch.tensor([[2.0], [4.0], [9.0]])).flatten()
    tensor([2., 3., 5.])
    """
    return attention(torch.zeros_like(x), x, x, causal_mask(x.size(-2)).to(x.device))  # (..., T, d)


def _broadcast(one: torch.Size, other: torch.Size) -> torch.Size | None:
    """The shape that tensors of these two shapes have together; None where they do not fit."""
    try:
        return torch.broadcast_shapes(one, other)
    except RuntimeError:
        return None


def attention_weights(q: Tensor, k: Tensor, mask: Tensor | None = None) -> Tensor:
    """Say how much each query looks at each key: softmax(q kᵀ / sqrt(d)), masked before it.

    Shapes: q (..., T, d), k (..., S, d), mask bool, broadcasts to (..., T, S), True = may look
    -> (..., T, S), where each row sums to 1.
    Raises: TypeError for a mask that is not bool; ValueError for shapes that do not fit and for
    a row of the mask that allows nothing.
    Source: Vaswani et al. 2017, section 3.2.1 (equation 1) and 3.2.3 (the mask).

    >>> attention_weights(torch.zeros(3, 8), torch.randn(3, 8), causal_mask(3))
    tensor([[1.0000, 0.0000, 0.0000],
            [0.5000, 0.5000, 0.0000],
            [0.3333, 0.3333, 0.3333]])
    """
    if min(q.ndim, k.ndim) < 2 or q.size(-1) != k.size(-1):
        raise ValueError(
            f"q {tuple(q.shape)} and k {tuple(k.shape)} do not fit: pass (..., positions, d), d the same"
        )
    if _broadcast(q.shape[:-2], k.shape[:-2]) is None:
        raise ValueError(
            f"the batches of q {tuple(q.shape)} and k {tuple(k.shape)} do not fit: pass as many of each"
        )
    scores = q @ k.transpose(-2, -1) / math.sqrt(q.size(-1))  # (..., T, S)
    if mask is not None:
        if mask.dtype != torch.bool:
            raise TypeError(
                f"the mask must be bool with True = may look, not {mask.dtype}: pass mask.bool()"
            )
        T, S = scores.shape[-2:]
        together = _broadcast(mask.shape, scores.shape)
        if together is None or together[-2:] != (T, S):
            raise ValueError(
                f"a mask of {tuple(mask.shape)} does not fit scores of {tuple(scores.shape)}: make it ({T}, {S})"
            )
        if not mask.any(-1).all():
            raise ValueError(
                "a row of the mask allows nothing: let each query look at one key at least, say itself"
            )
        scores = scores.masked_fill(~mask, -math.inf)  # exp(-inf) = 0
    return softmax(scores)  # (..., T, S)


def attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
    """Average the values with the attention weights: scaled dot-product attention.

    Shapes: q (..., T, d), k (..., S, d), v (..., S, d_v), mask as in `attention_weights` -> (...,
    T, d_v).
    Raises: as `attention_weights`; ValueError where keys and values differ in number.
    Source: Vaswani et al. 2017, section 3.2.1, equation 1.

    >>> attention(
    ...     torch.zeros(2, 4), torch.randn(2, 4), torch.tensor([[1.0], [3.0]]), causal_mask(2)
    ... ).flatten()
    tensor([1., 2.])
    """
    if v.size(-2) != k.size(-2):
        raise ValueError(f"{k.size(-2)} keys but {v.size(-2)} values: each key needs one value")
    return attention_weights(q, k, mask) @ v  # (..., T, d_v)


def causal_head(x: Tensor, w_q: Tensor, w_k: Tensor, w_v: Tensor) -> Tensor:
    """One causal attention head: each position asks, and averages values of itself and the past.

    Shapes: x (..., T, d_model); w_q, w_k (d_model, d), w_v (d_model, d_v) -> (..., T, d_v).
    Source: Vaswani et al. 2017, section 3.2.2 (head_i), with the mask of section 3.2.3.

    >>> x, zero = torch.eye(2), torch.zeros(2, 4)  # equal scores: the average of the past
    >>> causal_head(x, w_q=zero, w_k=zero, w_v=torch.tensor([[1.0], [3.0]])).flatten()
    tensor([1., 2.])
    """
    q = x @ w_q  # (..., T, d)
    k = x @ w_k  # (..., T, d)
    v = x @ w_v  # (..., T, d_v)
    return attention(q, k, v, causal_mask(x.size(-2)).to(x.device))  # (..., T, d_v)


def leaks(attend: Callable[[Tensor], Tensor], x: Tensor) -> bool:
    """Find out whether a layer lets a position feel what comes after it.

    Shapes: x (T, d), random numbers; attend maps (T, d) to (T, any). True means: it leaks.

    >>> x = torch.tensor([[1.0], [2.0], [4.0]])
    >>> leaks(lambda x: x.cumsum(0), x), leaks(lambda x: x.flip(0), x)
    (False, True)
    """
    before = attend(x)
    for t in range(1, len(x)):
        changed = torch.cat([x[:t], 1 - 2 * x[t:]])
        if not torch.allclose(attend(changed)[:t], before[:t], atol=1e-6):
            return True
    return False


def cached_step(
    x: Tensor, w_q: Tensor, w_k: Tensor, w_v: Tensor, keys: Tensor, values: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Let a head read one more token: keep its key and its value, ask with its query.

    Shapes: x (1, d_model); w_q, w_k (d_model, d), w_v (d_model, d_v); keys (S, d) and values
    (S, d_v) of the S tokens before, S may be 0 -> output (1, d_v), keys (S + 1, d), values
    (S + 1, d_v). Source: Shazeer 2019, section 2.4.

    >>> x = torch.tensor([[1.0], [2.0]])
    >>> one, two = torch.ones(1, 1), torch.tensor([[2.0]])
    >>> y, keys, values = cached_step(x[:1], one, one, two, torch.zeros(0, 1), torch.zeros(0, 1))
    >>> y.item(), keys.tolist(), values.tolist()
    (2.0, [[1.0]], [[2.0]])
    """
    keys = torch.cat([keys, x @ w_k])  # (S + 1, d)
    values = torch.cat([values, x @ w_v])  # (S + 1, d_v)
    return attention_weights(x @ w_q, keys) @ values, keys, values


def split_heads(x: Tensor, n_head: int) -> Tensor:
    """Cut the features into heads: head h gets the h-th block of d = d_model / n_head features.

    Shapes: x (B, T, d_model) -> (B, H, T, d).
    Raises: ValueError where n_head does not divide d_model. Source: Vaswani et al. 2017, 3.2.2.

    >>> split_heads(torch.arange(8).view(1, 2, 4), n_head=2).tolist()
    [[[[0, 1], [4, 5]], [[2, 3], [6, 7]]]]
    """
    B, T, d_model = x.shape
    if n_head < 1 or d_model % n_head:
        raise ValueError(
            f"{d_model} features do not split into {n_head} equal heads: choose a divisor of {d_model}"
        )
    return x.view(B, T, n_head, d_model // n_head).transpose(1, 2)  # (B, T, H, d) -> (B, H, T, d)


def merge_heads(x: Tensor) -> Tensor:
    """Put the heads next to each other again: the inverse of `split_heads`.

    Shapes: x (B, H, T, d) -> (B, T, d_model). Source: Vaswani et al. 2017, section 3.2.2 (Concat).

    >>> merge_heads(torch.tensor([[[[0, 1], [4, 5]], [[2, 3], [6, 7]]]])).tolist()
    [[[0, 1, 2, 3], [4, 5, 6, 7]]]
    """
    B, H, T, d = x.shape
    return x.transpose(1, 2).reshape(B, T, H * d)  # (B, T, H, d) -> (B, T, d_model)


def repeat_kv(x: Tensor, n_rep: int) -> Tensor:
    """Let groups of `n_rep` neighbouring query heads share one head of keys or values.

    Shapes: x (B, H_kv, S, d) -> (B, H_kv * n_rep, S, d); query head h reads head h // n_rep.
    Raises: ValueError where n_rep is below 1. Source: Ainslie et al. 2023, "GQA", section 2.2.

    >>> repeat_kv(torch.tensor([[[[1.0]], [[2.0]]]]), n_rep=2).flatten()
    tensor([1., 1., 2., 2.])
    """
    if n_rep < 1:
        raise ValueError(
            f"n_rep must be at least 1, not {n_rep}: it is query heads divided by key heads"
        )
    return x.repeat_interleave(n_rep, dim=1)  # (B, H_kv * n_rep, S, d)


def _past(T: int, S: int, device: torch.device) -> Tensor:
    """The rows of the last T positions of `causal_mask(S)`, (T, S), made where they are used: no
    copy, no wait.
    """
    return torch.ones(T, S, dtype=torch.bool, device=device).tril(S - T)


def _causal_weights(q: Tensor, k: Tensor) -> Tensor:
    """`attention_weights` of the last T of S positions under the causal mask, to the bit, without
    its checks.

    This mask needs none, and a GPU would have to stop for each answer.
    """
    T = q.size(-2)
    S = k.size(-2)
    scores = q @ k.transpose(-2, -1) / math.sqrt(q.size(-1))  # (..., T, S)
    z = scores.masked_fill(~_past(T, S, q.device), -math.inf).to(
        torch.promote_types(q.dtype, torch.float32)
    )
    e = torch.exp(z - z.amax(-1, keepdim=True).detach())
    return (e / e.sum(-1, keepdim=True)).to(scores.dtype)


class KVCache:
    """The keys and values of all positions so far, for one attention layer and one batch; a model
    keeps one per layer.

    Shapes: keys and values (B, H, S, d), where S = len(cache). Source: Shazeer 2019, "Fast
    Transformer Decoding", 2.4.

    >>> cache = KVCache()
    >>> k, v = cache.append(torch.zeros(1, 2, 5, 4), torch.zeros(1, 2, 5, 4))
    >>> k, v = cache.append(torch.zeros(1, 2, 1, 4), torch.zeros(1, 2, 1, 4))
    >>> len(cache), tuple(k.shape), cache.nbytes
    (6, (1, 2, 6, 4), 384)
    """

    def __init__(self) -> None:
        self.keys: Tensor | None = None
        self.values: Tensor | None = None

    def __len__(self) -> int:
        return 0 if self.keys is None else self.keys.size(-2)

    @property
    def nbytes(self) -> int:
        """Memory of the keys and values, in bytes."""
        return 0 if self.keys is None else self.keys.nbytes + self.values.nbytes

    def append(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Add the new positions at the end and return all keys and values; ValueError for another
        batch or layer.
        """
        if self.keys is not None:
            old = self.keys.shape
            new = keys.shape
            if (old[:-2], old[-1]) != (new[:-2], new[-1]):
                raise ValueError(
                    f"the cache holds keys of {tuple(old)}, which {tuple(new)} cannot continue: "
                    "use a fresh KVCache() for each layer and each batch"
                )
            keys = torch.cat([self.keys, keys], dim=-2)
            values = torch.cat([self.values, values], dim=-2)
        self.keys = keys  # (B, H, S, d)
        self.values = values
        return keys, values


class MultiHeadAttention(nn.Module):
    """Causal multi-head self-attention: H heads side by side in one tensor, then one linear map
    back to d_model.

    Shapes: x (B, T, d_model) -> (B, T, d_model). `c_attn.weight` is (3 * d_model, d_model), queries
    on top of keys on top of values: `nn.MultiheadAttention.in_proj_weight`, or GPT-2's
    `c_attn.weight` transposed. `fused` picks torch's scaled_dot_product_attention instead of
    `attention`; it may be switched at any time.
    Raises: ValueError where n_head does not divide d_model, and for input that is not (B, T,
    d_model).
    Source: Vaswani et al. 2017, section 3.2.2.

    >>> mha = MultiHeadAttention(d_model=8, n_head=2)
    >>> x = torch.randn(1, 5, 8)
    >>> y, weights = mha(x, return_weights=True)
    >>> y.shape, weights.shape
    (torch.Size([1, 5, 8]), torch.Size([1, 2, 5, 5]))
    >>> cache = KVCache()  # the same answer, one position at a time
    >>> steps = [mha(x[:, t : t + 1], kv_cache=cache) for t in range(5)]
    >>> torch.allclose(torch.cat(steps, dim=1), y, atol=1e-6)
    True
    """

    def __init__(self, d_model: int, n_head: int, bias: bool = True, fused: bool = True) -> None:
        super().__init__()
        if n_head < 1 or d_model % n_head:
            raise ValueError(
                f"d_model={d_model} is not divisible by n_head={n_head}: choose a divisor of {d_model}"
            )
        self.d_model = d_model
        self.n_head = n_head
        self.fused = fused
        # W_Q, W_K and W_V of all heads in one matrix
        self.c_attn = nn.Linear(d_model, 3 * d_model, bias=bias)
        self.c_proj = nn.Linear(d_model, d_model, bias=bias)  # W_O

    def extra_repr(self) -> str:
        return f"d_model={self.d_model}, n_head={self.n_head}, fused={self.fused}"

    def forward(
        self,
        x: Tensor,
        kv_cache: KVCache | None = None,
        mask: Tensor | None = None,
        return_weights: bool = False,
    ) -> Tensor | tuple[Tensor, Tensor]:
        """Mix the positions of x; with a cache, x continues what the cache holds.

        `mask` (bool, broadcasts to (B, H, T, S), True = may look) replaces the causal mask. With
        `return_weights` the result is (y, weights), where weights (B, H, T, S) is the attention map
        of each head.
        """
        z, weights = self._heads(x, kv_cache, mask, return_weights)  # (B, H, T, d), (B, H, T, S)
        y = self.c_proj(merge_heads(z))  # (B, T, d_model)
        return (y, weights) if return_weights else y

    def per_head(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """What each head adds to the output: the sum over heads, plus the bias of `c_proj`, is
        mha(x).

        Shapes: x (B, T, d_model) -> (B, H, T, d_model). Source: Elhage et al. 2021, "A Mathematical
        Framework for Transformer Circuits", section "Attention heads are independent and additive".
        """
        z, _ = self._heads(x, None, mask, return_weights=False)  # (B, H, T, d)
        w_o = self.c_proj.weight.unflatten(1, (self.n_head, -1))  # (d_model, H, d)
        return torch.einsum("bhtd,ohd->bhto", z, w_o)  # (B, H, T, d_model)

    def _heads(
        self, x: Tensor, kv_cache: KVCache | None, mask: Tensor | None, return_weights: bool
    ) -> tuple[Tensor, Tensor | None]:
        """The heads' outputs z before they are merged, and their attention maps unless the fused
        kernel hides them.
        """
        if x.ndim != 3 or x.size(-1) != self.d_model:
            raise ValueError(
                f"x is {tuple(x.shape)} but must be (B, T, {self.d_model}): for one sequence pass x[None]"
            )
        # each (B, H, T, d)
        q, k, v = (split_heads(part, self.n_head) for part in self.c_attn(x).chunk(3, dim=-1))
        if kv_cache is not None:
            k, v = kv_cache.append(k, v)  # (B, H, S, d)
        T = q.size(-2)
        S = k.size(-2)
        if self.fused and mask is None and not return_weights:
            past = None if T in (1, S) else _past(T, S, x.device)  # (T, S), only for a chunk
            return F.scaled_dot_product_attention(q, k, v, attn_mask=past, is_causal=T == S), None
        # (B, H, T, S)
        weights = _causal_weights(q, k) if mask is None else attention_weights(q, k, mask)
        return weights @ v, weights
