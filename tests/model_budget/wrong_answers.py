"""Wrong answers to the exercises of lesson 08: mistakes that people make. Every checker must reject
every one.
"""

import torch
from answers import DIFFERS, WrongAnswers

from course_utils.model_budget import training_memory, training_peak

wrong = WrongAnswers()


# --- count_parameters -----------------------------------------------------------------------------


def sizes(config):
    d = config.n_embd
    return d, config.vocab_size, config.n_positions, config.n_layer, config.n_inner or 4 * d


def right_count(config):
    d, V, P, L, f = sizes(config)
    head = 0 if config.tie_word_embeddings else V * d
    return V * d + P * d + L * (4 * d**2 + 4 * d + 2 * d * f + f + d + 4 * d) + 2 * d + head


@wrong("count_parameters", says="the tied head is the token embedding once more: count it once")
def count_head_always(config):
    """163,037,184 for GPT-2 small: the tied head counted twice."""
    d, V, *_ = sizes(config)
    return right_count(config) + (V * d if config.tie_word_embeddings else 0)


@wrong(
    "count_parameters", says="where tie_word_embeddings is False, the head has a matrix of its own"
)
def count_head_never(config):
    """Right for GPT-2, wrong for an untied head."""
    d, V, *_ = sizes(config)
    return right_count(config) - (0 if config.tie_word_embeddings else V * d)


@wrong("count_parameters", says="you left out the biases of the matrices")
def count_no_biases(config):
    """12 d² a block, as in many papers."""
    d, V, P, L, f = sizes(config)
    return right_count(config) - L * (5 * d + f)


@wrong("count_parameters", says="you left out all biases, those of the LayerNorms, too")
def count_matrices_and_gains(config):
    """Llama's way: no biases anywhere."""
    d, V, P, L, f = sizes(config)
    return right_count(config) - L * (5 * d + f) - (2 * L + 1) * d


@wrong("count_parameters", says="you left out the LayerNorms")
def count_no_norms(config):
    d, V, P, L, f = sizes(config)
    return right_count(config) - (4 * L + 2) * d


@wrong("count_parameters", says="a LayerNorm has a gain and a shift, so 2·d")
def count_gains_only(config):
    """A LayerNorm without its shift."""
    d, V, P, L, f = sizes(config)
    return right_count(config) - (2 * L + 1) * d


@wrong("count_parameters", says="the last LayerNorm (ln_f, after the blocks) is missing")
def count_no_last_norm(config):
    return right_count(config) - 2 * config.n_embd


@wrong("count_parameters", says="the position embedding is missing")
def count_no_positions(config):
    return right_count(config) - config.n_positions * config.n_embd


@wrong("count_parameters", says="the token embedding is missing")
def count_no_tokens(config):
    """As if a look-up table had no parameters."""
    return right_count(config) - config.vocab_size * config.n_embd


@wrong("count_parameters", says="both embeddings are missing; they are parameters, too")
def count_no_embeddings(config):
    """The parameters of scaling laws (Kaplan et al. 2020)."""
    return right_count(config) - (config.vocab_size + config.n_positions) * config.n_embd


@wrong("count_parameters", says="one of the two MLP matrices is missing")
def count_one_mlp_matrix(config):
    """There and not back."""
    d, V, P, L, f = sizes(config)
    return right_count(config) - L * d * f


@wrong("count_parameters", says="there are n_layer blocks; you counted one")
def count_one_block(config):
    """Forgets n_layer."""
    d, V, P, L, f = sizes(config)
    return right_count(config) - (L - 1) * (4 * d**2 + 9 * d + 2 * d * f + f)


@wrong("count_parameters", says="the output matrix c_proj of the attention is missing")
def count_no_output_matrix(config):
    """Queries, keys and values only."""
    return right_count(config) - config.n_layer * config.n_embd**2


@wrong("count_parameters", says="the MLP is n_inner wide where that is given, not 4·n_embd")
def count_always_four(config):
    """Ignores n_inner."""
    d, V, P, L, f = sizes(config)
    return right_count(config) - L * (2 * d + 1) * (f - 4 * d)


@wrong("count_parameters", says="you counted a bias of the head; it has none")
def count_head_bias(config):
    return right_count(config) + config.vocab_size


@wrong("count_parameters", says="all heads together have d features; you gave d to each")
def count_heads_matter(config):
    """As if each head had all features."""
    d, V, P, L, f = sizes(config)
    return right_count(config) + L * 3 * d**2 * (config.n_head - 1)


@wrong("count_parameters", says="12·L·d² + V·d is a rule of thumb")
def count_rule_of_thumb(config):
    """12 L d² + V d."""
    d, V, P, L, f = sizes(config)
    return 12 * L * d**2 + V * d


@wrong(
    "count_parameters",
    says=": the number is right, but a count is an int: use // or no division at all.",
)
def count_float(config):
    return right_count(config) / 1


@wrong("count_parameters", says=DIFFERS)
def count_small(config):
    """The number of GPT-2 small, whatever is asked."""
    return 124_439_808


# --- stays_tied -----------------------------------------------------------------------------------


@wrong("stays_tied", says="two parameters on the same memory part at the first move")
def tied_by_memory(model):
    return model.lm_head.weight.data_ptr() == model.wte.weight.data_ptr()


@wrong("stays_tied", says="two parameters on the same memory part at the first move")
def tied_by_storage(model):
    memory = [x.weight.untyped_storage().data_ptr() for x in (model.lm_head, model.wte)]
    return memory[0] == memory[1]


@wrong("stays_tied", says="a copy has equal numbers, too, and is trained apart")
def tied_by_values(model):
    return torch.equal(model.lm_head.weight, model.wte.weight)


@wrong("stays_tied", says="a copy has equal numbers, too, and is trained apart")
def tied_by_closeness(model):
    return bool(torch.isclose(model.lm_head.weight, model.wte.weight).all())


@wrong("stays_tied", says="two tables of the same shape need not be tied")
def tied_by_shape(model):
    return model.lm_head.weight.shape == model.wte.weight.shape


@wrong("stays_tied", says="it is the other way round")
def tied_turned_round(model):
    return model.lm_head.weight is not model.wte.weight


@wrong("stays_tied", says="you never find a tied head")
def tied_by_layers(model):
    """Compares the layers, which are always two."""
    return model.lm_head is model.wte


# --- flops_per_token ------------------------------------------------------------------------------


def guard(config, T):
    if not 1 <= T <= config.n_positions:
        raise ValueError(T)


def right_flops(config, T):
    guard(config, T)
    d, V, P, L, f = sizes(config)
    return 2 * (L * (4 * d**2 + 2 * d * f) + V * d) + L * 4 * T * d


@wrong("flops_per_token", says="a multiplication and an addition are 2 FLOPs; you counted 1")
def flops_multiply_only(config, T):
    return right_flops(config, T) // 2


@wrong(
    "flops_per_token",
    says="you left out the attention maps: scores and average, each 2·d for each of T positions",
)
def flops_no_maps(config, T):
    """The weights only."""
    return right_flops(config, T) - config.n_layer * 4 * T * config.n_embd


@wrong("flops_per_token", says="you left out the head: it is a product with (V, d), tied or not")
def flops_no_head(config, T):
    """A tied head is thought to cost nothing."""
    return right_flops(config, T) - 2 * config.vocab_size * config.n_embd


@wrong("flops_per_token", says="a tied head is a product with (V, d), too; you left it out")
def flops_head_if_untied(config, T):
    return right_flops(config, T) - (
        2 * config.vocab_size * config.n_embd if config.tie_word_embeddings else 0
    )


@wrong(
    "flops_per_token", says="the head is there once; the embedding is looked up and takes nothing"
)
def flops_embedding_too(config, T):
    """As if the look-up were a product with one-hot vectors."""
    return right_flops(config, T) + 2 * config.vocab_size * config.n_embd


@wrong("flops_per_token", says="looking a position up takes no product")
def flops_positions_too(config, T):
    """Every matrix of the model, the table of positions, too."""
    return right_flops(config, T) + 2 * config.n_positions * config.n_embd


@wrong("flops_per_token", says="torch computes the whole map, also what the mask hides")
def flops_causal_average(config, T):
    """(T + 1) / 2 positions on average: what the mask leaves."""
    return right_flops(config, T) - config.n_layer * 2 * (T - 1) * config.n_embd


@wrong("flops_per_token", says="the attention maps take 4·T·d in each block")
def flops_scores_only(config, T):
    return right_flops(config, T) - config.n_layer * 2 * T * config.n_embd


@wrong("flops_per_token", says="the attention maps take 4·T·d in each block")
def flops_causal_half(config, T):
    """Half a map: right for a kernel that skips what the mask hides."""
    return right_flops(config, T) - config.n_layer * 2 * T * config.n_embd


@wrong("flops_per_token", says="this is the number for all T tokens; divide by T")
def flops_of_text(config, T):
    return right_flops(config, T) * T


@wrong(
    "flops_per_token",
    says="2 FLOPs a parameter is the rule of thumb; embeddings and biases are no products, and attention maps are missing",
)
def flops_two_n(config, T):
    guard(config, T)
    return 2 * right_count(config)


@wrong(
    "flops_per_token",
    says="6 FLOPs a parameter is the rule for training; count the products of the forward pass",
)
def flops_six_n(config, T):
    guard(config, T)
    return 6 * right_count(config)


@wrong("flops_per_token", says="this is a training step; a forward pass takes a third of it")
def flops_training(config, T):
    return 3 * right_flops(config, T)


@wrong(
    "flops_per_token",
    says="each head has d / n_head features, so all heads together take d; you multiplied by the heads",
)
def flops_times_heads(config, T):
    guard(config, T)
    d = config.n_embd
    L = config.n_layer
    return right_flops(config, T) + L * 4 * T * d * (config.n_head - 1)


@wrong("flops_per_token", says="T is the length of the text, not n_positions")
def flops_full_context(config, T):
    """n_positions in place of T."""
    guard(config, T)
    return right_flops(config, config.n_positions)


@wrong("flops_per_token", says="the MLP is n_inner wide where that is given, not 4·n_embd")
def flops_always_four(config, T):
    d, V, P, L, f = sizes(config)
    return right_flops(config, T) - 4 * L * d * (f - 4 * d)


@wrong(
    "flops_per_token",
    says=": the number is right, but a count is an int: use // or no division at all.",
)
def flops_float(config, T):
    return right_flops(config, T) / 1


@wrong("flops_per_token", says="must raise ValueError: T=1025")
def flops_any_length(config, T):
    """No error for a text that does not fit."""
    d, V, P, L, f = sizes(config)
    return 2 * (L * (4 * d**2 + 2 * d * f) + V * d) + L * 4 * T * d


# --- largest_batch --------------------------------------------------------------------------------


def counted_up(fits):
    B = 0
    while fits(B + 1):
        B += 1
    return B


@wrong("largest_batch", says="there once, not once for each text")
def batch_divides(config, T, room):
    """As if two texts took twice the memory of one."""
    return room // training_peak(config, 1, T)


@wrong("largest_batch", says="this is one text more than fits")
def batch_stops_late(config, T, room):
    """The first batch that does not fit."""
    B = 1
    while training_peak(config, B, T) <= room:
        B += 1
    return B


@wrong("largest_batch", says="one text more would fit")
def batch_stops_early(config, T, room):
    """A loop that looks two ahead."""
    B = 0
    while training_peak(config, B + 2, T) <= room:
        B += 1
    return B


@wrong("largest_batch", says="a peak that is exactly as large as the room still fits")
def batch_strictly_below(config, T, room):
    """< in place of <=."""
    return counted_up(lambda B: training_peak(config, B, T) < room)


@wrong("largest_batch", says="where not even one text fits, the answer is 0")
def batch_at_least_one(config, T, room):
    """Begins with a text that may not fit."""
    B = 1
    while training_peak(config, B + 1, T) <= room:
        B += 1
    return B


@wrong("largest_batch", says="you added every kind at its own fullest moment")
def batch_of_sums(config, T, room):
    return counted_up(lambda B: sum(training_memory(config, B, T).values()) <= room)


@wrong("largest_batch", says="you left out the weights and what Adam keeps")
def batch_of_activations(config, T, room):
    """What depends on the batch, and nothing else."""

    def grows(B):
        memory = training_memory(config, B, T)
        return memory["activations"] + memory["logits"]

    return counted_up(lambda B: grows(B) <= room)


@wrong("largest_batch", says="the texts have T tokens, not n_positions")
def batch_of_full_texts(config, T, room):
    guard(config, T)
    return counted_up(lambda B: training_peak(config, B, config.n_positions) <= room)


@wrong("largest_batch", says="a batch need not be a power of two")
def batch_powers_of_two(config, T, room):
    """1, 2, 4, 8: the sizes that people use."""
    B = 1
    if training_peak(config, 1, T) > room:
        return 0
    while training_peak(config, 2 * B, T) <= room:
        B *= 2
    return B


# --- kv_cache_bytes -------------------------------------------------------------------------------


def right_cache(config, B, T, n_bytes):
    if B < 1:
        raise ValueError(B)
    guard(config, T)
    return 2 * config.n_layer * B * T * config.n_embd * n_bytes


@wrong("kv_cache_bytes", says="keys and values are kept, both; you counted one of them")
def cache_of_keys(config, B, T, n_bytes=4):
    return right_cache(config, B, T, n_bytes) // 2


@wrong("kv_cache_bytes", says="queries are not kept: no later token needs them")
def cache_with_queries(config, B, T, n_bytes=4):
    """All that c_attn gives."""
    return right_cache(config, B, T, n_bytes) // 2 * 3


@wrong("kv_cache_bytes", says="every block has its own keys and values; you counted one block")
def cache_of_one_block(config, B, T, n_bytes=4):
    return right_cache(config, B, T, n_bytes) // config.n_layer


@wrong("kv_cache_bytes", says="all heads together have n_embd features; you gave as many to each")
def cache_wide_heads(config, B, T, n_bytes=4):
    return right_cache(config, B, T, n_bytes) * config.n_head


@wrong("kv_cache_bytes", says="each block has n_head heads; you counted one")
def cache_of_one_head(config, B, T, n_bytes=4):
    return right_cache(config, B, T, n_bytes) // config.n_head


@wrong("kv_cache_bytes", says="each of the B texts has keys and values of its own")
def cache_of_one_text(config, B, T, n_bytes=4):
    return right_cache(config, B, T, n_bytes) // B


@wrong("kv_cache_bytes", says="the texts have T tokens, not n_positions")
def cache_of_full_length(config, B, T, n_bytes=4):
    return right_cache(config, B, T, n_bytes) // T * config.n_positions


@wrong("kv_cache_bytes", says="you counted numbers; each has n_bytes bytes")
def cache_in_numbers(config, B, T, n_bytes=4):
    return right_cache(config, B, T, n_bytes) // n_bytes


@wrong("kv_cache_bytes", says="a number has n_bytes bytes, which are not always 4")
def cache_in_float32(config, B, T, n_bytes=4):
    return right_cache(config, B, T, 4)


@wrong("kv_cache_bytes", says="the number is right, but bytes are an int")
def cache_as_float(config, B, T, n_bytes=4):
    return right_cache(config, B, T, n_bytes) / 1


@wrong("kv_cache_bytes", says="must raise ValueError")
def cache_of_any_length(config, B, T, n_bytes=4):
    return 2 * config.n_layer * B * T * config.n_embd * n_bytes


# --- flop_utilization -----------------------------------------------------------------------------


def right_share(n_parameters, n_tokens, gpu_hours, peak):
    if not (gpu_hours > 0 and peak > 0):
        raise ValueError(gpu_hours)
    return 6 * n_parameters * n_tokens / (gpu_hours * 3600 * peak)


@wrong("flop_utilization", says="you counted the forward pass only")
def share_forward(n_parameters, n_tokens, gpu_hours, peak):
    return right_share(n_parameters, n_tokens, gpu_hours, peak) / 3


@wrong("flop_utilization", says="you counted the way down only")
def share_backward(n_parameters, n_tokens, gpu_hours, peak):
    return right_share(n_parameters, n_tokens, gpu_hours, peak) * 2 / 3


@wrong("flop_utilization", says="you counted 1 FLOP for each parameter and token")
def share_one(n_parameters, n_tokens, gpu_hours, peak):
    return right_share(n_parameters, n_tokens, gpu_hours, peak) / 6


@wrong("flop_utilization", says="the peak is for a second, and an hour has 3,600")
def share_in_hours(n_parameters, n_tokens, gpu_hours, peak):
    return right_share(n_parameters, n_tokens, gpu_hours, peak) * 3600


@wrong("flop_utilization", says="an hour has 3,600 seconds, not 60")
def share_in_minutes(n_parameters, n_tokens, gpu_hours, peak):
    return right_share(n_parameters, n_tokens, gpu_hours, peak) * 60


@wrong("flop_utilization", says="this is the fraction upside down")
def share_turned(n_parameters, n_tokens, gpu_hours, peak):
    return 1 / right_share(n_parameters, n_tokens, gpu_hours, peak)


@wrong("flop_utilization", says="you gave percent; a share lies between 0 and 1")
def share_percent(n_parameters, n_tokens, gpu_hours, peak):
    return 100 * right_share(n_parameters, n_tokens, gpu_hours, peak)


@wrong("flop_utilization", says="this is what a GPU does in a second; divide it by the peak")
def share_rate(n_parameters, n_tokens, gpu_hours, peak):
    return right_share(n_parameters, n_tokens, gpu_hours, peak) * peak


@wrong("flop_utilization", says="must raise ValueError")
def share_of_anything(n_parameters, n_tokens, gpu_hours, peak):
    """A negative peak gives a negative share."""
    return n_parameters * n_tokens / (gpu_hours or 1e-9) / 600 / peak
