"""Right answers to the exercises of lesson 03, in other styles than the reference."""

import functools
import math

import numpy as np
import torch
import torch.nn.functional as F
from answers import Answers

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


# --- feed_forward ---------------------------------------------------------------------------------


@right("feed_forward")
def ff_functional(x, w_in, b_in, w_out, b_out, activation):
    return F.linear(activation(F.linear(x, w_in, b_in)), w_out, b_out)


@right("feed_forward")
def ff_einsum(x, w_in, b_in, w_out, b_out, activation):
    inner = activation(torch.einsum("...d,id->...i", x, w_in) + b_in)
    return torch.einsum("...i,di->...d", inner, w_out) + b_out


@right("feed_forward")
def ff_as_a_memory(x, w_in, b_in, w_out, b_out, activation):
    """Neuron by neuron: how much its key fits, times its value."""
    out = b_out.expand_as(x)
    for key, bias, value in zip(w_in, b_in, w_out.T, strict=True):
        out = out + activation((x * key).sum(-1, keepdim=True) + bias) * value
    return out


@right("feed_forward")
def ff_in_a_loop(x, w_in, b_in, w_out, b_out, activation):
    for w, b, bend in ((w_in, b_in, activation), (w_out, b_out, lambda z: z)):
        x = bend((x[..., None, :] * w).sum(-1) + b)
    return x


# --- deaf_block -----------------------------------------------------------------------------------


@right("deaf_block")
def deaf_from_a_list(x, attn, mlp, ln_1, ln_2):
    return torch.stack([x, attn(ln_1(x)), mlp(ln_2(x))]).sum(0)


@right("deaf_block")
def deaf_in_a_loop(x, attn, mlp, ln_1, ln_2):
    stream = x
    for part, norm in ((attn, ln_1), (mlp, ln_2)):
        stream = stream + part(norm(x))
    return stream


@right("deaf_block")
def deaf_keeps_the_stream(x, attn, mlp, ln_1, ln_2):
    heard = x.clone()
    x = x + attn(ln_1(x))
    return torch.add(x, mlp(ln_2(heard)))
