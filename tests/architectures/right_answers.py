"""Right answers of another style to the exercises on architectures."""

import torch
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
