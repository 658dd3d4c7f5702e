"""Right answers to the exercises of lesson 03, in other styles than the reference."""

import cmath
import functools
import math
import random

import numpy as np
import torch
import torch.nn.functional as F
from answers import Answers
from torch import nn

right = Answers()


# --- layer_norm -----------------------------------------------------------------------------------


@right("layer_norm")
def norm_of_torch(x, weight, bias, eps=1e-5):
    return F.layer_norm(x, x.shape[-1:], weight=weight, bias=bias, eps=eps)


@right("layer_norm")
def norm_with_var_mean(x, weight, bias, eps=1e-5):
    variance, mean = torch.var_mean(x, dim=-1, correction=0, keepdim=True)
    return (x - mean) * torch.rsqrt(variance + eps) * weight + bias


@right("layer_norm")
def norm_position_by_position(x, weight, bias, eps=1e-5):
    d = x.size(-1)
    out = []
    for row in x.reshape(-1, d):
        mean = sum(row) / d
        variance = sum((feature - mean) ** 2 for feature in row) / d
        out.append(torch.stack([(feature - mean) / (variance + eps) ** 0.5 for feature in row]))
    return torch.stack(out).reshape(x.shape) * weight + bias


@right("layer_norm")
def norm_with_einsum(x, weight, bias, eps=1e-5):
    d = x.size(-1)
    centred = x - torch.einsum("...d->...", x).unsqueeze(-1) / d
    variance = torch.einsum("...d,...d->...", centred, centred) / d
    return torch.einsum("...d,...,d->...d", centred, (variance + eps).rsqrt(), weight) + bias


@right("layer_norm")
def norm_in_float64(x, weight, bias, eps=1e-5):
    wide = x.double()
    second = wide.pow(2).mean(-1, keepdim=True)
    first = wide.mean(-1, keepdim=True)
    hat = (wide - first) / (second - first * first + eps).sqrt()
    return (hat * weight + bias).to(x.dtype)


@right("layer_norm")
def norm_of_lengths(x, weight, bias, eps=1e-5):
    centred = x - x.sum(-1, keepdim=True) / x.size(-1)
    length = torch.linalg.vector_norm(centred, dim=-1, keepdim=True)
    return torch.addcmul(bias, weight, centred / torch.sqrt(length**2 / x.size(-1) + eps))


# --- frozen_layer_norm ----------------------------------------------------------------------------


@right("frozen_layer_norm")
def frozen_in_loops(writes, weight, eps=1e-5):
    total = sum(writes)
    centred = total - total.mean(-1, keepdim=True)
    spread = (centred.pow(2).mean(-1, keepdim=True) + eps) ** 0.5
    return torch.stack([(w - w.mean(-1, keepdim=True)) / spread * weight for w in writes])


@right("frozen_layer_norm")
def frozen_through_numpy(writes, weight, eps=1e-5):
    w = writes.numpy()
    scale = np.sqrt(w.sum(axis=0).var(axis=-1, keepdims=True) + eps)
    return torch.from_numpy((w - w.mean(axis=-1, keepdims=True)) / scale * weight.numpy())


@right("frozen_layer_norm")
def frozen_centres_first(writes, weight, eps=1e-5):
    """The sum of the centred writes is the centred sum, whose mean square is the variance."""
    centred = writes - writes.mean(dim=-1, keepdim=True)
    variance = centred.sum(0).square().mean(-1)
    return torch.einsum("n...d,...,d->n...d", centred, (variance + eps).rsqrt(), weight)


@right("frozen_layer_norm")
def frozen_with_a_centring_matrix(writes, weight, eps=1e-5):
    d = writes.shape[-1]
    centre = torch.eye(d, dtype=torch.float64) - 1 / d
    centred = writes.double() @ centre
    total = writes.double().sum(0) @ centre
    scale = torch.rsqrt((total * total).sum(-1, keepdim=True) / d + eps)
    return (centred * scale * weight).to(writes.dtype)


@right("frozen_layer_norm")
def frozen_number_by_number(writes, weight, eps=1e-5):
    N = writes.size(0)
    d = writes.size(-1)
    out = torch.empty_like(writes).reshape(N, -1, d)
    flat = writes.reshape(N, -1, d)
    for p in range(flat.size(1)):
        total = [sum(flat[n, p, i].item() for n in range(N)) for i in range(d)]
        mean = sum(total) / d
        std = math.sqrt(sum((x - mean) ** 2 for x in total) / d + eps)
        for n in range(N):
            own = sum(flat[n, p].tolist()) / d
            for i in range(d):
                out[n, p, i] = (flat[n, p, i].item() - own) / std * weight[i].item()
    return out.reshape(writes.shape)


@right("frozen_layer_norm")
def frozen_with_std(writes, weight, eps=1e-5):
    total = writes.sum(0, keepdim=True)
    scale = 1 / (total.std(-1, correction=0, keepdim=True).square() + eps).sqrt()
    return weight * scale * (writes - writes.mean(-1, keepdim=True))


# --- gelu_tanh ------------------------------------------------------------------------------------


@right("gelu_tanh")
def gelu_of_torch(x):
    return F.gelu(x, approximate="tanh")


@right("gelu_tanh")
def gelu_of_a_module(x):
    return nn.GELU("tanh")(x)


@right("gelu_tanh")
def gelu_with_sigmoid(x):
    """(1 + tanh u) / 2 = sigmoid(2u)."""
    return x * torch.sigmoid(2 * math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x))


@right("gelu_tanh")
def gelu_with_exp(x):
    u = (2 / math.pi) ** 0.5 * x * (1 + 0.044715 * x.square())
    return x - x / (torch.exp(2 * u) + 1)


@right("gelu_tanh")
def gelu_in_float64(x):
    wide = x.to(torch.float64)
    bent = torch.tanh(math.sqrt(2 / math.pi) * torch.addcmul(wide, wide, wide**2, value=0.044715))
    return (wide / 2 * (1 + bent)).to(x.dtype)


@right("gelu_tanh")
def gelu_number_by_number(x):
    root = math.sqrt(2 / math.pi)
    bent = [
        number / 2 * (1 + (root * (number + 0.044715 * number**3)).tanh()) for number in x.flatten()
    ]
    return torch.stack(bent).reshape(x.shape)


# --- dropout --------------------------------------------------------------------------------------


def refuse_share(p):
    if not 0.0 <= p < 1.0:
        raise ValueError("p is a share")


@right("dropout")
def dropout_of_torch(x, p, training=True):
    refuse_share(p)
    return F.dropout(x, p, training)


@right("dropout")
def dropout_with_bernoulli(x, p, training=True):
    refuse_share(p)
    if not training:
        return x
    return x * torch.bernoulli(torch.full_like(x, 1 - p)) / (1 - p)


@right("dropout")
def dropout_with_where(x, p, training=True):
    if p < 0 or p >= 1:
        raise ValueError("p is a share")
    if training:
        dropped = torch.rand_like(x) < p
        return torch.where(dropped, torch.zeros_like(x), x / (1 - p))
    return x


@right("dropout")
def dropout_with_python_dice(x, p, training=True):
    refuse_share(p)
    if not training:
        return x
    factors = [0.0 if random.random() < p else 1 / (1 - p) for _ in range(x.numel())]
    return x * torch.tensor(factors, dtype=x.dtype).view(x.shape)


@right("dropout")
def dropout_with_numpy_dice(x, p, training=True):
    refuse_share(p)
    if not training or p == 0.0:
        return x
    keep = np.random.binomial(1, 1 - p, size=tuple(x.shape))
    return x.mul(torch.from_numpy(keep).to(x.dtype)).div(1 - p)


@right("dropout")
def dropout_fills_with_0(x, p, training=True):
    refuse_share(p)
    if p and training:
        x = x.masked_fill(torch.empty(x.shape).uniform_() < p, 0).mul(1 / (1 - p))
    return x


@right("dropout")
def dropout_row_by_row(x, p, training=True):
    refuse_share(p)
    if not training:
        return x
    if x.ndim > 1:
        return torch.stack([dropout_row_by_row(row, p) for row in x])
    return (torch.rand(x.shape) >= p).to(x) * x / (1 - p)


# --- sinusoidal_positions -------------------------------------------------------------------------


def refuse_odd(d_model):
    if d_model % 2 == 1:
        raise ValueError("d_model must be even")


@right("sinusoidal_positions")
def positions_in_slices(T, d_model, base=10_000.0):
    """As in the tutorials: rates from exp and log, all in float32."""
    refuse_odd(d_model)
    table = torch.zeros(T, d_model)
    position = torch.arange(T, dtype=torch.float32).unsqueeze(1)
    rates = torch.exp(torch.arange(0, d_model, 2) * (-math.log(base) / d_model))
    table[:, 0::2] = torch.sin(position * rates)
    table[:, 1::2] = torch.cos(position * rates)
    return table


@right("sinusoidal_positions")
def positions_in_loops(T, d_model, base=10_000.0):
    refuse_odd(d_model)
    table = torch.empty((T, d_model))
    for t in range(T):
        for i in range(d_model // 2):
            angle = t * base ** (-2 * i / d_model)
            table[t, 2 * i] = math.sin(angle)
            table[t, 2 * i + 1] = math.cos(angle)
    return table


@right("sinusoidal_positions")
def positions_through_numpy(T, d_model, base=10_000.0):
    refuse_odd(d_model)
    feature = np.arange(d_model)
    angles = np.arange(T)[:, None] / np.power(base, 2 * (feature // 2) / d_model)
    return torch.from_numpy(np.where(feature % 2, np.cos(angles), np.sin(angles))).float()


@right("sinusoidal_positions")
def positions_turn_on(T, d_model, base=10_000.0):
    """Each row is the one before, turned on by the rates: complex powers."""
    refuse_odd(d_model)
    step = [cmath.exp(1j * base ** (-2 * i / d_model)) for i in range(d_model // 2)]
    now = [1 + 0j] * (d_model // 2)
    rows = []
    for _ in range(T):
        rows.append([part for z in now for part in (z.imag, z.real)])
        now = [z * turn for z, turn in zip(now, step, strict=True)]
    return torch.tensor(rows)


@right("sinusoidal_positions")
def positions_with_polar(T, d_model, base=10_000.0):
    refuse_odd(d_model)
    rates = torch.tensor(base).double().pow(torch.arange(d_model // 2) * -2.0 / d_model)
    angles = torch.einsum("t,i->ti", torch.arange(T).double(), rates)
    pairs = torch.view_as_real(torch.polar(torch.ones_like(angles), angles))
    return pairs.flip(-1).reshape(T, d_model).to(torch.float32)


@right("sinusoidal_positions")
def positions_by_a_quarter_turn(T, d_model, base=10_000.0):
    """cos(a) = sin(a + π/2)."""
    refuse_odd(d_model)
    rates = (1 / base ** (torch.arange(0, d_model, 2) / d_model)).repeat_interleave(2)
    quarter = torch.tensor([0, math.pi / 2]).repeat(d_model // 2)
    return torch.sin(torch.arange(T)[:, None] * rates + quarter)


# --- pre_norm_block -------------------------------------------------------------------------------


@right("pre_norm_block")
def block_in_one_expression(x, attn, mlp, ln_1, ln_2):
    return (middle := x + attn(ln_1(x))) + mlp(ln_2(middle))


@right("pre_norm_block")
def block_in_a_loop(x, attn, mlp, ln_1, ln_2):
    for part, norm in ((attn, ln_1), (mlp, ln_2)):
        x = torch.add(part(norm(x)), x)
    return x


@right("pre_norm_block")
def block_with_reduce(x, attn, mlp, ln_1, ln_2):
    parts = [lambda z: attn(ln_1(z)), lambda z: mlp(ln_2(z))]
    return functools.reduce(lambda stream, part: stream + part(stream), parts, x)


@right("pre_norm_block")
def block_adds_up_the_writes(x, attn, mlp, ln_1, ln_2):
    writes = [x]
    writes.append(attn(ln_1(x)))
    writes.append(mlp(ln_2(sum(writes))))
    return torch.stack(writes).sum(0)


@right("pre_norm_block")
def block_recursive(x, attn, mlp, ln_1, ln_2):
    def go(x, *pairs):
        if not pairs:
            return x
        (part, norm), *others = pairs
        return go(x + part(norm(x)), *others)

    return go(x, (attn, ln_1), (mlp, ln_2))
