"""Right answers to the exercises of lesson 08, in other styles than the reference."""

import math

import numpy as np
import torch
from answers import Answers
from torch import nn

from course_utils.gpt2.model import GPT

right = Answers()


def width(config):
    return 4 * config.n_embd if config.n_inner is None else config.n_inner


# --- count_parameters -----------------------------------------------------------------------------


@right("count_parameters")
def parameters_by_shape(config):
    d = config.n_embd
    f = width(config)
    block = [(d,), (d,), (3 * d, d), (3 * d,), (d, d), (d,)]
    block += [(d,), (d,), (f, d), (f,), (d, f), (d,)]
    whole = [(config.vocab_size, d), (config.n_positions, d), (d,), (d,)]
    if not config.tie_word_embeddings:
        whole.append((config.vocab_size, d))
    return sum(math.prod(shape) for shape in whole + config.n_layer * block)


@right("count_parameters")
def parameters_of_the_real_model(config):
    with torch.device("meta"):
        model = GPT(config)
    return sum({id(p): p.numel() for p in model.parameters()}.values())


@right("count_parameters")
def parameters_of_layers_of_torch(config):
    d = config.n_embd
    f = width(config)

    def size(*layers):
        return sum(p.numel() for layer in layers for p in layer.parameters())

    with torch.device("meta"):
        norm = nn.LayerNorm(d)
        attention = nn.MultiheadAttention(d, config.n_head)
        block = size(norm, attention, norm, nn.Linear(d, f), nn.Linear(f, d))
        tables = size(nn.Embedding(config.vocab_size, d), nn.Embedding(config.n_positions, d))
        head = nn.Linear(d, config.vocab_size, bias=False)
    total = tables + config.n_layer * block + size(norm)
    return total if config.tie_word_embeddings else total + size(head)


@right("count_parameters")
def parameters_in_a_loop(config):
    d = config.n_embd
    count = config.vocab_size * d
    count += config.n_positions * d
    for _ in range(config.n_layer):
        count += 2 * d
        count += (d + 1) * 3 * d
        count += (d + 1) * d
        count += 2 * d
        count += (d + 1) * width(config)
        count += (width(config) + 1) * d
    count += 2 * d
    if config.tie_word_embeddings is False:
        count += d * config.vocab_size
    return count


@right("count_parameters")
def parameters_through_numpy(config):
    d = config.n_embd
    f = width(config)
    tables = (1 + (not config.tie_word_embeddings)) * config.vocab_size + config.n_positions + 2
    times = np.array([d, config.n_layer * d, config.n_layer * f])
    each = np.array([tables, 4 * d + 9, 2 * d + 1])
    return int(times @ each)


@right("count_parameters")
def parameters_as_a_polynomial(config):
    d = config.n_embd
    L = config.n_layer
    tables = config.vocab_size * (1 if config.tie_word_embeddings else 2) + config.n_positions
    if config.n_inner is None:
        return 12 * L * d**2 + (13 * L + 2 + tables) * d
    return (4 * L * d + 9 * L + 2 + tables) * d + L * config.n_inner * (2 * d + 1)


# --- flops_per_token ------------------------------------------------------------------------------


def refuse_length(config, T):
    if not 1 <= T <= config.n_positions:
        raise ValueError("T must be from 1 to n_positions")


@right("flops_per_token")
def flops_product_by_product(config, T):
    """Each product (a, b) @ (b, c) of the whole pass takes 2·a·b·c."""
    refuse_length(config, T)
    d = config.n_embd
    f = width(config)
    size = d // config.n_head
    block = [(T, d, 3 * d), (T, d, d), (T, d, f), (T, f, d)]
    block += [(T, size, T), (T, T, size)] * config.n_head
    products = block * config.n_layer + [(T, d, config.vocab_size)]
    return sum(2 * a * b * c for a, b, c in products) // T


@right("flops_per_token")
def flops_in_a_loop(config, T):
    if T < 1:
        raise ValueError("at least one token")
    if T > config.n_positions:
        raise ValueError("too many tokens")
    d = config.n_embd
    flops = 0
    for _ in range(config.n_layer):
        for rows, columns in ((3 * d, d), (d, d), (width(config), d), (d, width(config))):
            flops += 2 * rows * columns
        for _ in range(T):
            flops += 2 * d + 2 * d
    return flops + 2 * config.vocab_size * d


@right("flops_per_token")
def flops_from_the_parameters(config, T):
    """All matrices of the model, but not the tables that are looked up."""
    refuse_length(config, T)
    with torch.device("meta"):
        model = GPT(config)
    named = model.named_parameters()
    matrices = sum(p.numel() for name, p in named if p.ndim == 2 and name.startswith("h."))
    matrices += config.n_embd * config.vocab_size
    return 2 * matrices + 4 * config.n_layer * T * config.n_embd


@right("flops_per_token")
def flops_through_numpy(config, T):
    refuse_length(config, T)
    d = config.n_embd
    numbers = np.array([4 * d * d, width(config) * d * 2, 2 * T * d], dtype=np.int64)
    return int(2 * (config.n_layer * numbers.sum() + config.vocab_size * d))


@right("flops_per_token")
def flops_factored(config, T):
    refuse_length(config, T)
    per_layer = 2 * config.n_embd + width(config) + T
    return 2 * config.n_embd * (2 * config.n_layer * per_layer + config.vocab_size)


@right("flops_per_token")
def flops_recursive(config, T, layers=None):
    refuse_length(config, T)
    d = config.n_embd
    left = config.n_layer if layers is None else layers
    if left == 0:
        return 2 * d * config.vocab_size
    return 8 * d**2 + 4 * d * width(config) + 4 * d * T + flops_recursive(config, T, left - 1)
