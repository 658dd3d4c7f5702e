"""Wrong answers to the exercises of notebook 04: mistakes that people make. Every checker must reject every one."""

import math

import torch

# --- count_parameters ------------------------------------------------------------------------------------------------


def sizes(config):
    d = config.n_embd
    return d, config.vocab_size, config.n_positions, config.n_layer, config.n_inner or 4 * d


def right_count(config):
    d, V, P, L, f = sizes(config)
    head = 0 if config.tie_word_embeddings else V * d
    return V * d + P * d + L * (4 * d**2 + 4 * d + 2 * d * f + f + d + 4 * d) + 2 * d + head


def count_head_always(config):
    """163,037,184 for GPT-2 small: the tied head counted twice."""
    d, V, *_ = sizes(config)
    return right_count(config) + (V * d if config.tie_word_embeddings else 0)


def count_head_never(config):
    """Right for GPT-2, wrong for an untied head."""
    d, V, *_ = sizes(config)
    return right_count(config) - (0 if config.tie_word_embeddings else V * d)


def count_no_biases(config):
    """12 d² a block, as in many papers."""
    d, V, P, L, f = sizes(config)
    return right_count(config) - L * (5 * d + f)


def count_no_norms(config):
    d, V, P, L, f = sizes(config)
    return right_count(config) - (4 * L + 2) * d


def count_gains_only(config):
    """A LayerNorm without its shift."""
    d, V, P, L, f = sizes(config)
    return right_count(config) - (2 * L + 1) * d


def count_no_last_norm(config):
    return right_count(config) - 2 * config.n_embd


def count_no_positions(config):
    return right_count(config) - config.n_positions * config.n_embd


def count_no_output_matrix(config):
    """Queries, keys and values only."""
    return right_count(config) - config.n_layer * config.n_embd**2


def count_always_four(config):
    """Ignores n_inner."""
    d, V, P, L, f = sizes(config)
    return right_count(config) - L * (2 * d + 1) * (f - 4 * d)


def count_head_bias(config):
    return right_count(config) + config.vocab_size


def count_heads_matter(config):
    """As if each head had all features."""
    d, V, P, L, f = sizes(config)
    return right_count(config) + L * 3 * d**2 * (config.n_head - 1)


def count_rule_of_thumb(config):
    """12 L d² + V d."""
    d, V, P, L, f = sizes(config)
    return 12 * L * d**2 + V * d


def count_float(config):
    return right_count(config) / 1


def count_small(config):
    """The number of GPT-2 small, whatever is asked."""
    return 124_439_808


# --- flops_per_token -------------------------------------------------------------------------------------------------


def guard(config, T):
    if not 1 <= T <= config.n_positions:
        raise ValueError(T)


def right_flops(config, T):
    guard(config, T)
    d, V, P, L, f = sizes(config)
    return 2 * (L * (4 * d**2 + 2 * d * f) + V * d) + L * 4 * T * d


def flops_multiply_only(config, T):
    return right_flops(config, T) // 2


def flops_no_maps(config, T):
    """The weights only."""
    return right_flops(config, T) - config.n_layer * 4 * T * config.n_embd


def flops_no_head(config, T):
    """A tied head is thought to cost nothing."""
    return right_flops(config, T) - 2 * config.vocab_size * config.n_embd


def flops_head_if_untied(config, T):
    return right_flops(config, T) - (2 * config.vocab_size * config.n_embd if config.tie_word_embeddings else 0)


def flops_embedding_too(config, T):
    """As if the look-up were a product with one-hot vectors."""
    return right_flops(config, T) + 2 * config.vocab_size * config.n_embd


def flops_scores_only(config, T):
    return right_flops(config, T) - config.n_layer * 2 * T * config.n_embd


def flops_causal_half(config, T):
    """Half a map: right for a kernel that skips what the mask hides."""
    return right_flops(config, T) - config.n_layer * 2 * T * config.n_embd


def flops_of_text(config, T):
    return right_flops(config, T) * T


def flops_two_n(config, T):
    guard(config, T)
    return 2 * right_count(config)


def flops_six_n(config, T):
    guard(config, T)
    return 6 * right_count(config)


def flops_training(config, T):
    return 3 * right_flops(config, T)


def flops_times_heads(config, T):
    guard(config, T)
    d, L = config.n_embd, config.n_layer
    return right_flops(config, T) + L * 4 * T * d * (config.n_head - 1)


def flops_full_context(config, T):
    """n_positions in place of T."""
    guard(config, T)
    return right_flops(config, config.n_positions)


def flops_always_four(config, T):
    d, V, P, L, f = sizes(config)
    return right_flops(config, T) - 4 * L * d * (f - 4 * d)


def flops_float(config, T):
    return right_flops(config, T) / 1


def flops_any_length(config, T):
    """No error for a text that does not fit."""
    d, V, P, L, f = sizes(config)
    return 2 * (L * (4 * d**2 + 2 * d * f) + V * d) + L * 4 * T * d


# --- convert_weights -------------------------------------------------------------------------------------------------

MASKS = (".attn.bias", ".attn.masked_bias")
TURNED = ("c_attn.weight", "c_proj.weight", "c_fc.weight")


def plain_name(name):
    return name.removeprefix("transformer.")


def convert_names_only(state):
    """Transposes nothing."""
    return {plain_name(n): x for n, x in state.items() if not n.endswith(MASKS)}


def convert_all_matrices(state):
    """Transposes embeddings and head, too."""
    return {plain_name(n): x.t() if x.ndim == 2 else x for n, x in state.items() if not n.endswith(MASKS)}


def convert_by_shape(state):
    """Leaves square matrices as they are: no error, and a model that talks nonsense."""
    return {
        plain_name(n): x.t() if n.endswith(TURNED) and x.size(0) != x.size(1) else x
        for n, x in state.items()
        if not n.endswith(MASKS)
    }


def convert_no_projection(state):
    """Forgets c_proj."""
    return {
        plain_name(n): x.t() if n.endswith(("c_attn.weight", "c_fc.weight")) else x
        for n, x in state.items()
        if not n.endswith(MASKS)
    }


def convert_attention_only(state):
    return {
        plain_name(n): x.t() if ".attn." in n and n.endswith(TURNED) else x
        for n, x in state.items()
        if not n.endswith(MASKS)
    }


def convert_keeps_masks(state):
    """Right for today's state_dict(), wrong for the published file."""
    return {plain_name(n): x.t() if n.endswith(TURNED) else x for n, x in state.items()}


def convert_keeps_prefix(state):
    return {n: x.t() if n.endswith(TURNED) else x for n, x in state.items() if not n.endswith(MASKS)}


def convert_drops_biases(state):
    """`.bias` finds masks and biases."""
    return {plain_name(n): x.t() if n.endswith(TURNED) else x for n, x in state.items() if not n.endswith("bias")}


def convert_drops_attention_biases(state):
    """ "attn.bias" without its dot also finds c_attn.bias."""
    return {
        plain_name(n): x.t() if n.endswith(TURNED) else x
        for n, x in state.items()
        if not n.endswith(("attn.bias", "masked_bias"))
    }


def convert_reshapes(state):
    """reshape instead of a transpose: right shapes, shuffled values."""
    return {
        plain_name(n): x.reshape(x.shape[::-1]) if n.endswith(TURNED) else x
        for n, x in state.items()
        if not n.endswith(MASKS)
    }


def convert_flips(state):
    return {
        plain_name(n): x.t().flip(0) if n.endswith(TURNED) else x for n, x in state.items() if not n.endswith(MASKS)
    }


def convert_drops_head(state):
    """Leaves the head out: right as long as it is tied."""
    return {
        plain_name(n): x.t() if n.endswith(TURNED) else x
        for n, x in state.items()
        if not n.endswith(MASKS) and "lm_head" not in n
    }


def convert_drops_short(state):
    """Skips names without the prefix: the published file has none."""
    return {
        plain_name(n): x.t() if n.endswith(TURNED) else x
        for n, x in state.items()
        if n.startswith(("transformer.", "lm_head")) and not n.endswith(MASKS)
    }


# --- repetition_penalty ----------------------------------------------------------------------------------------------


def penalised(penalty):
    if penalty <= 0:
        raise ValueError(penalty)


def occurred(logits, ids):
    return torch.zeros_like(logits, dtype=torch.bool).scatter(-1, ids, True)


def rep_always_divides(logits, ids, penalty):
    """Negative logits become likelier."""
    penalised(penalty)
    return torch.where(occurred(logits, ids), logits / penalty, logits)


def rep_always_multiplies(logits, ids, penalty):
    penalised(penalty)
    return torch.where(occurred(logits, ids), logits * penalty, logits)


def rep_swapped(logits, ids, penalty):
    penalised(penalty)
    return torch.where(occurred(logits, ids), torch.where(logits > 0, logits * penalty, logits / penalty), logits)


def rep_subtracts(logits, ids, penalty):
    penalised(penalty)
    return logits - penalty * occurred(logits, ids)


def rep_counts(logits, ids, penalty):
    """Once for each time a token occurred."""
    penalised(penalty)
    logits = logits.clone()
    for row, text in zip(logits, ids.tolist(), strict=True):
        for i in text:
            row[i] = row[i] / penalty if row[i] > 0 else row[i] * penalty
    return logits


def rep_everyone(logits, ids, penalty):
    penalised(penalty)
    return torch.where(logits > 0, logits / penalty, logits * penalty)


def rep_whole_batch(logits, ids, penalty):
    """The tokens of all texts together: right for one text."""
    penalised(penalty)
    seen = occurred(logits, ids).any(0)
    return torch.where(seen, torch.where(logits > 0, logits / penalty, logits * penalty), logits)


def rep_first_text(logits, ids, penalty):
    """Only the first text of the batch."""
    penalised(penalty)
    logits = logits.clone()
    i = ids[0].unique()
    logits[:, i] = torch.where(logits[:, i] > 0, logits[:, i] / penalty, logits[:, i] * penalty)
    return logits


def rep_last_token(logits, ids, penalty):
    penalised(penalty)
    seen = occurred(logits, ids[:, -1:])
    return torch.where(seen, torch.where(logits > 0, logits / penalty, logits * penalty), logits)


def rep_others(logits, ids, penalty):
    penalised(penalty)
    return torch.where(occurred(logits, ids), logits, torch.where(logits > 0, logits / penalty, logits * penalty))


def rep_in_place(logits, ids, penalty):
    """Right, but the caller's logits are gone."""
    penalised(penalty)
    scores = logits.gather(1, ids)
    return logits.scatter_(1, ids, torch.where(scores > 0, scores / penalty, scores * penalty))


def rep_probabilities(logits, ids, penalty):
    """Divides probabilities."""
    penalised(penalty)
    p = logits.softmax(-1)
    return torch.where(occurred(logits, ids), p / penalty, p)


def rep_no_error(logits, ids, penalty):
    return torch.where(occurred(logits, ids), torch.where(logits > 0, logits / penalty, logits * penalty), logits)


# --- top_k -----------------------------------------------------------------------------------------------------------


def checked_k(k):
    if k < 1:
        raise ValueError(k)


def topk_zero(logits, k):
    """Cut tokens get the logit 0."""
    checked_k(k)
    return logits.masked_fill(logits < logits.topk(min(k, logits.size(-1))).values[..., -1:], 0.0)


def topk_smallest(logits, k):
    checked_k(k)
    return logits.masked_fill(logits > logits.topk(min(k, logits.size(-1)), largest=False).values[..., -1:], -math.inf)


def topk_strict(logits, k):
    """The k-th itself is cut."""
    checked_k(k)
    return logits.masked_fill(logits <= logits.topk(min(k, logits.size(-1))).values[..., -1:], -math.inf)


def topk_k_plus_one(logits, k):
    checked_k(k)
    return logits.masked_fill(logits < logits.topk(min(k + 1, logits.size(-1))).values[..., -1:], -math.inf)


def topk_no_clip(logits, k):
    """k above the vocabulary raises."""
    checked_k(k)
    return logits.masked_fill(logits < logits.topk(k).values[..., -1:], -math.inf)


def topk_one_limit(logits, k):
    """The limit of the first row for all: right for one row."""
    checked_k(k)
    flat = logits.reshape(-1, logits.size(-1))
    return logits.masked_fill(logits < flat[0].topk(min(k, logits.size(-1))).values[-1], -math.inf)


def topk_whole_batch(logits, k):
    """The k largest of the whole batch."""
    checked_k(k)
    return logits.masked_fill(logits < logits.flatten().topk(min(k, logits.size(-1))).values[-1], -math.inf)


def topk_exactly_k(logits, k):
    """Cuts ties by chance of the order."""
    checked_k(k)
    best = logits.topk(min(k, logits.size(-1)))
    return torch.full_like(logits, -math.inf).scatter(-1, best.indices, best.values)


def topk_sorted(logits, k):
    """The k logits, without their places."""
    checked_k(k)
    return logits.topk(min(k, logits.size(-1))).values


def topk_probabilities(logits, k):
    checked_k(k)
    return logits.masked_fill(logits < logits.topk(min(k, logits.size(-1))).values[..., -1:], -math.inf).softmax(-1)


def topk_very_negative(logits, k):
    """-1e4 is not -inf: fine until logits are large."""
    checked_k(k)
    return logits.masked_fill(logits < logits.topk(min(k, logits.size(-1))).values[..., -1:], -1e4)


def topk_in_place(logits, k):
    checked_k(k)
    logits[logits < logits.topk(min(k, logits.size(-1))).values[..., -1:]] = -math.inf
    return logits


def topk_first_axis(logits, k):
    """The k largest of each column."""
    checked_k(k)
    return logits.masked_fill(logits < logits.topk(min(k, logits.size(0)), dim=0).values[-1:], -math.inf)


def topk_no_error(logits, k):
    """k = 0 keeps everything."""
    return logits.masked_fill(logits < logits.topk(max(1, min(k, logits.size(-1)))).values[..., -1:], -math.inf)


# --- top_p -----------------------------------------------------------------------------------------------------------


def checked_p(p):
    if not 0 < p <= 1:
        raise ValueError(p)


def ranked(logits):
    return logits.softmax(-1).sort(dim=-1, descending=True, stable=True)


def keep(logits, kept):
    return logits.masked_fill(~kept, -math.inf)


def topp_too_few(logits, p):
    """The token that crosses p is cut: nothing is left where one token holds p already."""
    checked_p(p)
    probability, order = ranked(logits)
    kept = probability.cumsum(-1) <= p
    return keep(logits, kept.scatter(-1, order, kept))


def topp_too_few_but_one(logits, p):
    """The token that crosses p is cut, unless it is the first."""
    checked_p(p)
    probability, order = ranked(logits)
    kept = probability.cumsum(-1) <= p
    kept[..., 0] = True
    return keep(logits, kept.scatter(-1, order, kept))


def topp_ascending(logits, p):
    """Keeps the unlikely ones."""
    checked_p(p)
    probability, order = logits.softmax(-1).sort(dim=-1)
    kept = probability.cumsum(-1) - probability < p
    return keep(logits, kept.scatter(-1, order, kept))


def topp_not_brought_back(logits, p):
    """The mask is in rank order: right for logits that are sorted already."""
    checked_p(p)
    probability, _ = ranked(logits)
    return keep(logits, probability.cumsum(-1) - probability < p)


def topp_gathers(logits, p):
    """gather(order) instead of scatter: the inverse permutation."""
    checked_p(p)
    probability, order = ranked(logits)
    return keep(logits, (probability.cumsum(-1) - probability < p).gather(-1, order))


def topp_sorted(logits, p):
    """Returns sorted logits."""
    checked_p(p)
    probability, order = ranked(logits)
    return keep(logits.gather(-1, order), probability.cumsum(-1) - probability < p)


def topp_threshold(logits, p):
    """p as a limit for each probability."""
    checked_p(p)
    return keep(logits, logits.softmax(-1) >= p)


def topp_one_minus(logits, p):
    """The share to cut in place of the share to keep."""
    checked_p(p)
    probability, order = ranked(logits)
    kept = probability.cumsum(-1) - probability < 1 - p
    kept[..., 0] = True
    return keep(logits, kept.scatter(-1, order, kept))


def topp_logits_summed(logits, p):
    """Adds logits up."""
    checked_p(p)
    values, order = logits.sort(dim=-1, descending=True)
    kept = values.cumsum(-1) - values < p
    return keep(logits, kept.scatter(-1, order, kept))


def topp_flat(logits, p):
    """One nucleus for the whole batch."""
    checked_p(p)
    flat = logits.flatten()
    probability, order = ranked(flat)
    kept = probability.cumsum(-1) - probability < p
    return keep(flat, kept.scatter(-1, order, kept)).view(logits.shape)


def topp_zero(logits, p):
    checked_p(p)
    probability, order = ranked(logits)
    kept = probability.cumsum(-1) - probability < p
    return logits.where(kept.scatter(-1, order, kept), torch.zeros_like(logits))


def topp_probabilities(logits, p):
    checked_p(p)
    probability, order = ranked(logits)
    kept = probability.cumsum(-1) - probability < p
    return keep(logits, kept.scatter(-1, order, kept)).softmax(-1)


def topp_one_more(logits, p):
    checked_p(p)
    probability, order = ranked(logits)
    kept = probability.cumsum(-1) - probability < p
    kept = torch.cat([kept[..., :1], kept[..., :-1]], -1)
    return keep(logits, kept.scatter(-1, order, kept))


def topp_no_error(logits, p):
    probability, order = ranked(logits)
    kept = probability.cumsum(-1) - probability < p
    kept[..., 0] = True
    return keep(logits, kept.scatter(-1, order, kept))


# --- min_p -----------------------------------------------------------------------------------------------------------


def checked_min(p):
    if not 0 <= p <= 1:
        raise ValueError(p)


def minp_absolute(logits, p):
    """p itself is the limit: right where the model is sure."""
    checked_min(p)
    return keep(logits, logits.softmax(-1) >= p)


def minp_logits(logits, p):
    """p times the largest logit."""
    checked_min(p)
    return keep(logits, logits >= p * logits.amax(-1, keepdim=True))


def minp_whole_batch(logits, p):
    """One largest probability for all rows."""
    checked_min(p)
    probability = logits.softmax(-1)
    return keep(logits, probability >= p * probability.max())


def minp_difference(logits, p):
    """The largest minus p."""
    checked_min(p)
    probability = logits.softmax(-1)
    return keep(logits, probability >= probability.amax(-1, keepdim=True) - p)


def minp_inverted(logits, p):
    checked_min(p)
    probability = logits.softmax(-1)
    return keep(logits, probability <= p * probability.amax(-1, keepdim=True))


def minp_nucleus(logits, p):
    """top_p."""
    checked_min(p)
    return topp_no_error(logits, p)


def minp_wrong_axis(logits, p):
    """softmax over the batch."""
    checked_min(p)
    probability = logits.softmax(0)
    return keep(logits, probability >= p * probability.amax(-1, keepdim=True))


def minp_zero(logits, p):
    checked_min(p)
    probability = logits.softmax(-1)
    return logits.where(probability >= p * probability.amax(-1, keepdim=True), torch.zeros_like(logits))


def minp_probabilities(logits, p):
    checked_min(p)
    probability = logits.softmax(-1)
    return keep(logits, probability >= p * probability.amax(-1, keepdim=True)).softmax(-1)


def minp_mean(logits, p):
    """The mean in place of the largest."""
    checked_min(p)
    probability = logits.softmax(-1)
    return keep(logits, probability >= p * probability.mean(-1, keepdim=True))


def minp_nothing(logits, p):
    checked_min(p)
    return logits.clone()


def minp_only_best(logits, p):
    checked_min(p)
    return keep(logits, logits == logits.amax(-1, keepdim=True))


def minp_no_error(logits, p):
    probability = logits.softmax(-1)
    return keep(logits, probability >= p * probability.amax(-1, keepdim=True))


# --- greedy ----------------------------------------------------------------------------------------------------------


def greedy_new_only(model, ids, n_new):
    """Leaves the prompt out."""
    T = ids.size(1)
    for _ in range(n_new):
        ids = torch.cat([ids, model(ids)[:, -1].argmax(-1, keepdim=True)], 1)
    return ids[:, T:]


def greedy_first_position(model, ids, n_new):
    """Reads the first row of logits: right for a prompt of one token and one new one."""
    for _ in range(n_new):
        ids = torch.cat([ids, model(ids)[:, 0].argmax(-1, keepdim=True)], 1)
    return ids


def greedy_last_token_only(model, ids, n_new):
    """Feeds the last token without a cache."""
    for _ in range(n_new):
        ids = torch.cat([ids, model(ids[:, -1:])[:, -1].argmax(-1, keepdim=True)], 1)
    return ids


def greedy_prompt_only(model, ids, n_new):
    """Never reads what it wrote."""
    prompt = ids
    for _ in range(n_new):
        ids = torch.cat([ids, model(prompt)[:, -1].argmax(-1, keepdim=True)], 1)
    return ids


def greedy_one_too_many(model, ids, n_new):
    for _ in range(n_new + 1):
        ids = torch.cat([ids, model(ids)[:, -1].argmax(-1, keepdim=True)], 1)
    return ids


def greedy_to_length(model, ids, n_new):
    """n_new is taken as the whole length."""
    while ids.size(1) < n_new:
        ids = torch.cat([ids, model(ids)[:, -1].argmax(-1, keepdim=True)], 1)
    return ids


def greedy_worst(model, ids, n_new):
    for _ in range(n_new):
        ids = torch.cat([ids, model(ids)[:, -1].argmin(-1, keepdim=True)], 1)
    return ids


def greedy_one_for_all(model, ids, n_new):
    """The same new token for every text: right for one text."""
    for _ in range(n_new):
        best = model(ids)[0, -1].argmax()
        ids = torch.cat([ids, best.expand(ids.size(0), 1)], 1)
    return ids


def greedy_all_positions(model, ids, n_new):
    """argmax over everything that is left: the whole text shifted."""
    for _ in range(n_new):
        ids = torch.cat([ids[:, :1], model(ids).argmax(-1)], 1)
    return ids


def greedy_prepends(model, ids, n_new):
    """New tokens go to the front."""
    for _ in range(n_new):
        ids = torch.cat([model(ids)[:, -1].argmax(-1, keepdim=True), ids], 1)
    return ids


def greedy_wrong_dim(model, ids, n_new):
    """Joins along the batch."""
    for _ in range(n_new):
        ids = torch.cat([ids, model(ids)[:, -1].argmax(-1, keepdim=True)], 0)
    return ids


def greedy_list(model, ids, n_new):
    """Returns lists."""
    for _ in range(n_new):
        ids = torch.cat([ids, model(ids)[:, -1].argmax(-1, keepdim=True)], 1)
    return ids.tolist()


def greedy_samples(model, ids, n_new):
    """Draws."""
    dice = torch.Generator().manual_seed(0)
    for _ in range(n_new):
        ids = torch.cat([ids, torch.multinomial(model(ids)[:, -1].softmax(-1), 1, generator=dice)], 1)
    return ids


MUTANTS = {
    "count_parameters": [count_head_always, count_head_never, count_no_biases, count_no_norms, count_gains_only,
                         count_no_last_norm, count_no_positions, count_no_output_matrix, count_always_four, count_head_bias,
                         count_heads_matter, count_rule_of_thumb, count_float, count_small],
    "flops_per_token": [flops_multiply_only, flops_no_maps, flops_no_head, flops_head_if_untied, flops_embedding_too,
                        flops_scores_only, flops_causal_half, flops_of_text, flops_two_n, flops_six_n, flops_training,
                        flops_times_heads, flops_full_context, flops_always_four, flops_float, flops_any_length],
    "convert_weights": [convert_names_only, convert_all_matrices, convert_by_shape, convert_no_projection,
                        convert_attention_only, convert_keeps_masks, convert_keeps_prefix, convert_drops_biases,
                        convert_drops_attention_biases, convert_reshapes, convert_flips, convert_drops_head,
                        convert_drops_short],
    "repetition_penalty": [rep_always_divides, rep_always_multiplies, rep_swapped, rep_subtracts, rep_counts, rep_everyone,
                           rep_whole_batch, rep_first_text, rep_last_token, rep_others, rep_in_place, rep_probabilities,
                           rep_no_error],
    "top_k": [topk_zero, topk_smallest, topk_strict, topk_k_plus_one, topk_no_clip, topk_one_limit, topk_whole_batch,
              topk_exactly_k, topk_sorted, topk_probabilities, topk_very_negative, topk_in_place, topk_first_axis,
              topk_no_error],
    "top_p": [topp_too_few, topp_too_few_but_one, topp_ascending, topp_not_brought_back, topp_gathers, topp_sorted,
              topp_threshold, topp_one_minus, topp_logits_summed, topp_flat, topp_zero, topp_probabilities, topp_one_more,
              topp_no_error],
    "min_p": [minp_absolute, minp_logits, minp_whole_batch, minp_difference, minp_inverted, minp_nucleus, minp_wrong_axis,
              minp_zero, minp_probabilities, minp_mean, minp_nothing, minp_only_best, minp_no_error],
    "greedy": [greedy_new_only, greedy_first_position, greedy_last_token_only, greedy_prompt_only, greedy_one_too_many,
               greedy_to_length, greedy_worst, greedy_one_for_all, greedy_all_positions, greedy_prepends, greedy_wrong_dim,
               greedy_list, greedy_samples],
}  # fmt: skip
