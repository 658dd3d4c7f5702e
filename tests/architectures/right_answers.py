"""Right answers of another style to the exercises on architectures."""

import torch
import torch.nn.functional as F
from answers import Answers

right = Answers()


def checked_groups(n_rep):
    if n_rep < 1:
        raise ValueError("n_rep must be at least 1")


@right("repeat_kv")
def expanded(x, n_rep):
    checked_groups(n_rep)
    B, H, S, d = x.shape
    return x[:, :, None].expand(B, H, n_rep, S, d).reshape(B, H * n_rep, S, d)


@right("repeat_kv")
def picked_by_number(x, n_rep):
    checked_groups(n_rep)
    heads = torch.arange(x.shape[1] * n_rep) // n_rep
    return x[:, heads]


@right("repeat_kv")
def stacked(x, n_rep):
    checked_groups(n_rep)
    return torch.stack([x] * n_rep, dim=2).flatten(1, 2)


def checked_pairs(d):
    if d % 2 == 1:
        raise ValueError("the number of features must be even")


@right("rotary")
def with_complex_numbers(x, base=10_000.0):
    T, d = x.shape[-2:]
    checked_pairs(d)
    rates = base ** (-torch.arange(0, d, 2, dtype=torch.float64) / d)
    angles = torch.arange(T, dtype=torch.float64)[:, None] * rates
    wide = x.double().reshape(*x.shape[:-1], d // 2, 2).contiguous()
    turned = torch.view_as_complex(wide) * torch.polar(torch.ones_like(angles), angles)
    return torch.view_as_real(turned).flatten(-2).to(x.dtype)


@right("rotary")
def pair_by_pair(x, base=10_000.0):
    T, d = x.shape[-2:]
    checked_pairs(d)
    out = torch.empty_like(x)
    t = torch.arange(T, dtype=torch.float32)
    for i in range(d // 2):
        angle = t * base ** (-2 * i / d)
        c = angle.cos().to(x.dtype)
        s = angle.sin().to(x.dtype)
        out[..., 2 * i] = x[..., 2 * i] * c - x[..., 2 * i + 1] * s
        out[..., 2 * i + 1] = x[..., 2 * i] * s + x[..., 2 * i + 1] * c
    return out


@right("rotary")
def with_matrices(x, base=10_000.0):
    T, d = x.shape[-2:]
    checked_pairs(d)
    angles = torch.outer(torch.arange(T), base ** (-torch.arange(0, d, 2) / d))
    c = angles.cos()
    s = angles.sin()
    turns = torch.stack([torch.stack([c, -s], -1), torch.stack([s, c], -1)], -2).to(x.dtype)
    pairs = x.unflatten(-1, (d // 2, 2))
    return torch.einsum("tiab,...tib->...tia", turns, pairs).flatten(-2)


@right("rms_norm")
def torchs_norm(x, weight, eps=1e-6):
    return F.rms_norm(x, x.shape[-1:], weight, eps)


@right("rms_norm")
def norm_with_powers(x, weight, eps=1e-6):
    mean_square = torch.mean(x**2, dim=-1, keepdim=True)
    return weight * (x * (mean_square + eps) ** -0.5)


@right("rms_norm")
def norm_with_a_length(x, weight, eps=1e-6):
    d = x.shape[-1]
    return x / torch.sqrt(torch.einsum("...d,...d->...", x, x)[..., None] / d + eps) * weight


@right("swiglu")
def swiglu_with_sigmoid(x, w_gate, w_up, w_down):
    gate = torch.matmul(x, w_gate)
    return torch.matmul(gate * torch.sigmoid(gate) * torch.matmul(x, w_up), w_down)


@right("swiglu")
def swiglu_with_linear(x, w_gate, w_up, w_down):
    return F.linear(F.silu(F.linear(x, w_gate.T)) * F.linear(x, w_up.T), w_down.T)


@right("swiglu")
def swiglu_in_one_product(x, w_gate, w_up, w_down):
    gate, up = (x @ torch.cat([w_gate, w_up], dim=1)).chunk(2, dim=-1)
    return torch.einsum("...j,jo->...o", gate / (1 + torch.exp(-gate)) * up, w_down)


def checked_choice(logits, k):
    if k < 1 or k > logits.shape[-1]:
        raise ValueError("choose between 1 and all of them")


@right("route")
def route_by_sorting(logits, k):
    checked_choice(logits, k)
    sorted_p, order = torch.softmax(logits, dim=-1).sort(dim=-1, descending=True)
    return sorted_p[:, :k], order[:, :k]


@right("route")
def route_scores_first(logits, k):
    checked_choice(logits, k)
    best, experts = torch.topk(logits, k, dim=-1)
    return (best - logits.logsumexp(-1, keepdim=True)).exp(), experts


@right("route")
def route_one_after_the_other(logits, k):
    checked_choice(logits, k)
    p = logits.softmax(-1)
    left = p.detach().clone()
    experts = []
    for _ in range(k):
        best = left.argmax(-1, keepdim=True)
        left = left.scatter(-1, best, -1.0)
        experts.append(best)
    experts = torch.cat(experts, dim=-1)
    return torch.gather(p, 1, experts), experts


@right("load_balance")
def balance_with_bincount(logits, experts):
    E = logits.shape[-1]
    f = torch.bincount(experts.reshape(-1), minlength=E).to(logits.dtype) / experts.numel()
    return E * torch.dot(f, torch.softmax(logits, dim=-1).mean(dim=0))


@right("load_balance")
def balance_in_a_loop(logits, experts):
    E = logits.shape[-1]
    p = logits.softmax(-1)
    return E * sum((experts == e).to(p).mean() * p[:, e].mean() for e in range(E))


@right("load_balance")
def balance_expert_by_expert(logits, experts):
    E = logits.shape[-1]
    chosen = (experts[..., None] == torch.arange(E)).to(logits).flatten(0, 1)  # (n * k, E)
    return (chosen.mean(0) * logits.softmax(1).mean(0)).mean() * E * E


@right("cross_attention")
def cross_by_hand(x, source, w_q, w_k, w_v):
    q = x @ w_q
    k = source @ w_k
    v = source @ w_v
    scores = torch.matmul(q, k.transpose(-1, -2)) / q.shape[-1] ** 0.5
    return torch.matmul(torch.softmax(scores, dim=-1), v)


@right("cross_attention")
def cross_by_torch(x, source, w_q, w_k, w_v):
    return F.scaled_dot_product_attention(x @ w_q, source @ w_k, source @ w_v)


@right("cross_attention")
def cross_weights_first(x, source, w_q, w_k, w_v):
    d = w_q.shape[-1]
    scores = (x @ (w_q / d**0.5)) @ (source @ w_k).mT
    return (scores - scores.amax(-1, keepdim=True)).softmax(-1) @ source @ w_v
