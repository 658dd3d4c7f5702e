"""Right answers of another style to the exercises on attention."""

import math

import torch
import torch.nn.functional as F
from answers import Answers

from course_utils.attention.heads import average_past_loop, average_past_softmax

right = Answers()


def checked_scores(x, dim, temperature):
    if not torch.is_floating_point(x):
        raise TypeError("give floating-point scores")
    if temperature <= 0:
        raise ValueError("the temperature must be positive")
    if not torch.isfinite(x.amax(dim)).all():
        raise ValueError("a row has no finite largest score")


@right("softmax")
def with_torchs_own(x, dim=-1, temperature=1.0):
    checked_scores(x, dim, temperature)
    return F.softmax(x.double() / temperature, dim=dim).to(x.dtype)


@right("softmax")
def through_logsumexp(x, dim=-1, temperature=1.0):
    checked_scores(x, dim, temperature)
    z = x.float() / temperature if x.dtype in (torch.float16, torch.bfloat16) else x / temperature
    return (z - z.logsumexp(dim, keepdim=True)).exp().to(x.dtype)


@right("softmax")
def moved_to_the_end(x, dim=-1, temperature=1.0):
    checked_scores(x, dim, temperature)
    z = x.movedim(dim, -1) if x.ndim else x
    z = z.to(torch.promote_types(x.dtype, torch.float32)) / temperature
    z = torch.exp(z - z.max(-1, keepdim=True).values)
    weights = z / z.sum(-1, keepdim=True)
    return (weights.movedim(-1, dim) if x.ndim else weights).to(x.dtype)


@right("softmax")
def by_logarithms(x, dim=-1, temperature=1.0):
    checked_scores(x, dim, temperature)
    z = x.to(torch.promote_types(x.dtype, torch.float32)) / temperature
    return torch.exp(torch.log_softmax(z, dim)).to(x.dtype)


@right("softmax")
def with_a_small_number(x, dim=-1, temperature=1.0):
    checked_scores(x, dim, temperature)
    z = x.to(torch.promote_types(x.dtype, torch.float32))
    e = torch.exp((z - z.amax(dim, keepdim=True)) / temperature)
    return (e / (e.sum(dim, keepdim=True) + 1e-30)).to(x.dtype)


def checked_length(T):
    if type(T) is not int or T < 1:
        raise ValueError(f"T must be a positive whole number, not {T}")


@right("causal_mask")
def compared_places(T):
    checked_length(T)
    places = torch.arange(T)
    return places[:, None] >= places


@right("causal_mask")
def written_row_by_row(T):
    checked_length(T)
    return torch.tensor([[s <= t for s in range(T)] for t in range(T)])


@right("causal_mask")
def not_the_future(T):
    checked_length(T)
    return ~torch.triu(torch.ones(T, T), diagonal=1).bool()


@right("average_past_matrix")
def running_sum(x):
    count = torch.arange(1, x.shape[-2] + 1, dtype=x.dtype, device=x.device)
    return x.cumsum(-2) / count[:, None]


@right("average_past_matrix")
def mean_by_mean(x):
    return torch.stack([x[..., : t + 1, :].mean(-2) for t in range(x.shape[-2])], dim=-2)


@right("average_past_matrix")
def with_einsum(x):
    T = x.shape[-2]
    table = torch.tril(torch.ones(T, T, dtype=x.dtype))
    table = table / torch.arange(1, T + 1, dtype=x.dtype)[:, None]
    return torch.einsum("ts,...sd->...td", table, x)


right("average_past_matrix")(average_past_loop)
right("average_past_matrix")(average_past_softmax)


def checked_fit(q, k, mask):
    if q.ndim < 2 or k.ndim < 2 or q.shape[-1] != k.shape[-1]:
        raise ValueError("the queries and the keys do not fit")
    if mask is None:
        return
    if mask.dtype is not torch.bool:
        raise TypeError("the mask must be bool")
    try:
        scores = (*torch.broadcast_shapes(q.shape[:-2], k.shape[:-2]), q.shape[-2], k.shape[-2])
        full = mask.expand(torch.broadcast_shapes(mask.shape, scores))
    except (RuntimeError, TypeError):
        raise ValueError("the mask does not fit") from None
    if full.shape[-2:] != scores[-2:] or not full.any(-1).all():
        raise ValueError("the mask does not fit, or a row allows nothing")


@right("attention_weights")
def masked_by_where(q, k, mask=None):
    checked_fit(q, k, mask)
    scores = torch.einsum("...td,...sd->...ts", q, k) * q.shape[-1] ** -0.5
    if mask is not None:
        scores = torch.where(mask, scores, torch.tensor(-torch.inf, dtype=scores.dtype))
    return scores.softmax(-1)


@right("attention_weights")
def masked_by_a_sum(q, k, mask=None):
    checked_fit(q, k, mask)
    scores = (q / math.sqrt(q.size(-1))) @ k.mT
    if mask is not None:
        barred = torch.zeros(mask.shape, dtype=scores.dtype).masked_fill(~mask, -torch.inf)
        scores = scores + barred
    return F.softmax(scores, dim=-1)


@right("attention_weights")
def weights_then_normed(q, k, mask=None):
    checked_fit(q, k, mask)
    scores = q @ k.mT / q.size(-1) ** 0.5
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf)
    weights = (scores - scores.amax(-1, keepdim=True).detach()).exp()
    return weights / weights.sum(-1, keepdim=True)


@right("attention_weights")
def with_the_least_number(q, k, mask=None):
    checked_fit(q, k, mask)
    scores = torch.einsum("...td,...sd->...ts", q / q.size(-1) ** 0.5, k)
    if mask is not None:
        scores = scores.masked_fill(~mask, torch.finfo(q.dtype).min)
    return scores.softmax(-1)


@right("causal_head")
def with_torchs_fused(x, w_q, w_k, w_v):
    return F.scaled_dot_product_attention(x @ w_q, x @ w_k, x @ w_v, is_causal=True)


@right("causal_head")
def position_by_position(x, w_q, w_k, w_v):
    rows = []
    for t in range(x.shape[-2]):
        past = x[..., : t + 1, :]
        scores = (past @ w_k @ (x[..., t, :] @ w_q)[..., None])[..., 0] / math.sqrt(w_q.shape[1])
        rows.append((scores.softmax(-1)[..., None] * (past @ w_v)).sum(-2))
    return torch.stack(rows, -2)


@right("causal_head")
def scores_through_one_matrix(x, w_q, w_k, w_v):
    scores = x @ (w_q @ w_k.T) @ x.mT / math.sqrt(w_k.size(-1))
    future = torch.ones(scores.shape[-2:]).triu(1).bool()
    return scores.masked_fill(future, -torch.inf).softmax(-1) @ x @ w_v


def checked_heads(d_model, n_head):
    if n_head < 1 or d_model % n_head != 0:
        raise ValueError(f"{n_head} heads do not divide {d_model}")


@right("split_heads")
def from_chunks(x, n_head):
    checked_heads(x.shape[-1], n_head)
    return torch.stack(x.chunk(n_head, dim=-1), dim=1)


@right("split_heads")
def unflattened(x, n_head):
    checked_heads(x.shape[-1], n_head)
    return x.unflatten(-1, (n_head, -1)).permute(0, 2, 1, 3)


@right("split_heads")
def head_by_head(x, n_head):
    checked_heads(x.shape[-1], n_head)
    d = x.shape[-1] // n_head
    heads = [x[:, :, h * d : (h + 1) * d].unsqueeze(1) for h in range(n_head)]
    return torch.cat(heads, dim=1)


@right("merge_heads")
def joined(x):
    return torch.cat(list(x.unbind(1)), dim=-1)


@right("merge_heads")
def flattened(x):
    return x.permute(0, 2, 1, 3).flatten(2)


@right("merge_heads")
def filled_in(x):
    B, H, T, d = x.shape
    out = x.new_empty(B, T, H * d)
    for h in range(H):
        out[:, :, h * d : (h + 1) * d] = x[:, h]
    return out


# --- leaks ----------------------------------------------------------------------------------------


@right("leaks")
def leaks_by_random_futures(attend, x):
    before = attend(x)
    for t in range(1, len(x)):
        other = torch.randn(x.shape, generator=torch.Generator().manual_seed(t))
        if (attend(torch.cat([x[:t], other[t:]]))[:t] - before[:t]).abs().max() > 1e-6:
            return True
    return False


@right("leaks")
def leaks_by_cutting_the_text(attend, x):
    """Word t alone is replaced, one after the other, and all outputs before it are compared."""
    y = attend(x)
    moved = []
    for t in range(1, len(x)):
        z = x.clone()
        z[t] = -z[t] + 0.5
        moved.append(not torch.allclose(attend(z)[:t], y[:t], atol=1e-6))
    return any(moved)


@right("leaks")
def leaks_by_the_gradient(attend, x):
    x = x.clone().requires_grad_()
    y = attend(x)
    for t in range(len(x) - 1):
        for feature in y[t]:
            (slope,) = torch.autograd.grad(feature, x, retain_graph=True)
            if slope[t + 1 :].abs().max() > 1e-7:
                return True
    return False


# --- cached_step ----------------------------------------------------------------------------------


@right("cached_step")
def step_by_torch(x, w_q, w_k, w_v, keys, values):
    keys = torch.cat((keys, x @ w_k), dim=0)
    values = torch.cat((values, x @ w_v), dim=0)
    return F.scaled_dot_product_attention(x @ w_q, keys, values), keys, values


@right("cached_step")
def step_by_a_sum(x, w_q, w_k, w_v, keys, values):
    all_keys = torch.vstack([keys, x @ w_k])
    all_values = torch.vstack([values, x @ w_v])
    scores = (all_keys * (x @ w_q)).sum(-1) / w_k.shape[1] ** 0.5
    weights = torch.exp(scores - scores.max())
    weights = weights / weights.sum()
    return (weights[:, None] * all_values).sum(0, keepdim=True), all_keys, all_values


@right("cached_step")
def step_by_einsum(x, w_q, w_k, w_v, keys, values):
    keys = torch.cat([keys, torch.einsum("td,dk->tk", x, w_k)])
    values = torch.cat([values, torch.einsum("td,dv->tv", x, w_v)])
    scores = torch.einsum("td,dk,sk->ts", x, w_q, keys) / keys.size(1) ** 0.5
    return torch.einsum("ts,sv->tv", scores.softmax(1), values), keys, values
