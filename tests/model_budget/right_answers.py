"""Right answers to the exercises of lesson 08, in other styles than the reference."""

import bisect
import copy
import math

import numpy as np
import torch
from answers import Answers
from torch import nn

from course_utils.gpt2.model import GPT
from course_utils.model_budget import training_peak

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


# --- stays_tied -----------------------------------------------------------------------------------


@right("stays_tied")
def tied_by_identity(model):
    return id(model.wte.weight) == id(model.lm_head.weight)


@right("stays_tied")
def tied_by_names(model):
    """A parameter with two names is given once."""
    return "lm_head.weight" not in dict(model.named_parameters())


@right("stays_tied")
def tied_by_trying(model):
    twin = copy.deepcopy(model).to(torch.float64)
    return twin.lm_head.weight.data_ptr() == twin.wte.weight.data_ptr()


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


# --- largest_batch --------------------------------------------------------------------------------


@right("largest_batch")
def batch_in_a_loop(config, T, room):
    B = 0
    while training_peak(config, B + 1, T) <= room:
        B = B + 1
    return B


@right("largest_batch")
def batch_from_above(config, T, room):
    if training_peak(config, 1, T) > room:
        return 0
    most = 1
    while training_peak(config, most, T) <= room:
        most *= 2
    while training_peak(config, most, T) > room:
        most -= 1
    return most


@right("largest_batch")
def batch_by_bisection(config, T, room):
    above = 1
    while training_peak(config, above, T) <= room:
        above *= 2
    peaks = range(1, above + 1)
    return bisect.bisect_right(peaks, room, key=lambda B: training_peak(config, B, T))


# --- kv_cache_bytes -------------------------------------------------------------------------------


@right("kv_cache_bytes")
def cache_by_shapes(config, B, T, n_bytes=4):
    refuse_length(config, T)
    if B < 1:
        raise ValueError("no text")
    size = config.n_embd // config.n_head
    keys = (config.n_layer, B, config.n_head, T, size)
    return (math.prod(keys) + math.prod(keys)) * n_bytes


@right("kv_cache_bytes")
def cache_in_loops(config, B, T, n_bytes=4):
    if T < 1 or B < 1 or T > config.n_positions:
        raise ValueError(f"{B} texts of {T} tokens")
    total = 0
    for _ in range(config.n_layer):
        for _ in ("key", "value"):
            total += B * T * config.n_embd
    return total * n_bytes


@right("kv_cache_bytes")
def cache_of_a_meta_tensor(config, B, T, n_bytes=4):
    refuse_length(config, T)
    if not B >= 1:
        raise ValueError(B)
    kept = torch.empty(2, config.n_layer, B, T, config.n_embd, device="meta")
    return kept.numel() * n_bytes


# --- flop_utilization -----------------------------------------------------------------------------


@right("flop_utilization")
def share_by_time(n_parameters, n_tokens, gpu_hours, peak):
    if gpu_hours <= 0 or peak <= 0:
        raise ValueError("hours and peak must be above 0")
    seconds_at_peak = (2 + 4) * n_parameters * n_tokens / peak
    return seconds_at_peak / (60 * 60 * gpu_hours)


@right("flop_utilization")
def share_by_rate(n_parameters, n_tokens, gpu_hours, peak):
    if min(gpu_hours, peak) <= 0:
        raise ValueError
    rate = 3 * (2 * n_parameters) * n_tokens / gpu_hours / 3600
    return rate / peak


@right("flop_utilization")
def share_by_logarithms(n_parameters, n_tokens, gpu_hours, peak):
    if not (gpu_hours > 0 < peak):
        raise ValueError("above 0, please")
    return (
        math.exp(math.log(n_parameters) + math.log(n_tokens) - math.log(gpu_hours) - math.log(peak))
        / 600
    )
