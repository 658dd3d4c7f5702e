"""Right answers to the exercises of lesson 09, each of another style than the reference."""

import heapq
import math

import numpy as np
import torch
import torch.nn.functional as F
from answers import Answers

right = Answers()


# --- top_k ----------------------------------------------------------------------------------------


def whole_and_positive(k):
    if isinstance(k, bool) or not isinstance(k, int) or k < 1:
        raise ValueError(f"k={k}")


@right("top_k")
def by_full_sort(logits, k):
    whole_and_positive(k)
    ordered = torch.sort(logits, dim=-1, descending=True).values
    least = ordered[..., min(k, logits.shape[-1]) - 1, None]
    return torch.where(logits >= least, logits, float("-inf"))


@right("top_k")
def by_counting_larger_ones(logits, k):
    """A token stays if fewer than k are larger."""
    whole_and_positive(k)
    larger = (logits.unsqueeze(-2) > logits.unsqueeze(-1)).sum(-1)
    cut = logits.clone()
    cut[larger >= k] = -math.inf
    return cut


@right("top_k")
def with_kthvalue(logits, k):
    whole_and_positive(k)
    V = logits.size(-1)
    if k >= V:
        return logits.clone()
    least = torch.kthvalue(logits, V - k + 1, dim=-1, keepdim=True).values
    return logits.masked_fill(logits.lt(least), -math.inf)


@right("top_k")
def row_by_row_with_heapq(logits, k):
    if type(k) is not int or k <= 0:
        raise ValueError("k is a whole number of at least 1")
    flat = logits.reshape(-1, logits.shape[-1])
    out = torch.full_like(flat, -torch.inf)
    for i, row in enumerate(flat.tolist()):
        least = heapq.nlargest(k, row)[-1]
        for j, value in enumerate(row):
            if value >= least:
                out[i, j] = flat[i, j]
    return out.view(logits.shape)


@right("top_k")
def through_numpy_partition(logits, k):
    whole_and_positive(k)
    x = logits.detach().cpu().numpy()
    k = min(k, x.shape[-1])
    least = np.partition(x, -k, axis=-1)[..., -k:].min(-1, keepdims=True)
    return torch.from_numpy(np.where(x < least, -np.inf, x).astype(x.dtype))


@right("top_k")
def with_the_log_of_a_mask(logits, k):
    whole_and_positive(k)
    least = logits.topk(min(k, logits.size(-1))).values.amin(-1, keepdim=True)
    return logits + torch.log((logits >= least).to(logits.dtype))


# --- top_p ----------------------------------------------------------------------------------------


def a_share(p):
    if p <= 0 or p > 1 or p != p:
        raise ValueError(f"p={p}")


@right("top_p")
def shifted_mask(logits, p):
    """As it is often written: cut above p, shifted by one, so that the first over p stays."""
    a_share(p)
    ordered, places = torch.sort(logits, descending=True, dim=-1)
    over = F.softmax(ordered, dim=-1).cumsum(-1) >= p
    if p == 1:
        return logits.clone()
    remove = torch.zeros_like(over)
    remove[..., 1:] = over[..., :-1]
    return logits.masked_fill(remove.gather(-1, places.argsort(-1)), -torch.inf)


@right("top_p")
def row_by_row(logits, p):
    a_share(p)
    flat = logits.reshape(-1, logits.size(-1))
    out = torch.full_like(flat, -math.inf)
    for i in range(len(flat)):
        chances = torch.softmax(flat[i].double(), 0).tolist()
        held = 0.0
        for j in sorted(range(len(chances)), key=lambda j: -chances[j]):
            out[i, j] = flat[i, j]
            held += chances[j]
            if held >= p and p < 1:
                break
    return out.reshape(logits.shape)


@right("top_p")
def through_numpy_in_float64(logits, p):
    a_share(p)
    x = logits.detach().numpy()
    e = np.exp(x.astype(np.float64) - x.max(-1, keepdims=True))
    chance = e / e.sum(-1, keepdims=True)
    order = np.argsort(-chance, axis=-1, kind="stable")
    ranked = np.take_along_axis(chance, order, -1)
    before = np.concatenate([np.zeros_like(ranked[..., :1]), ranked.cumsum(-1)[..., :-1]], -1)
    keep = np.zeros(x.shape, dtype=bool)
    np.put_along_axis(keep, order, before < p, -1)
    return torch.from_numpy(np.where(keep, x, np.array(-np.inf, dtype=x.dtype)))


@right("top_p")
def from_the_unlikely_end(logits, p):
    """What can go at the end of the ascending row: as long as 1 - p is not passed."""
    a_share(p)
    wide = logits.double()
    ascending, order = wide.softmax(-1).sort(-1)
    cut = ascending.cumsum(-1) <= 1 - p
    cut[..., -1] = False
    places = torch.zeros_like(cut).scatter_(-1, order, cut)
    return logits.masked_fill(places, -torch.inf)


@right("top_p")
def by_number_of_kept_ranks(logits, p):
    a_share(p)
    ranked = torch.sort(logits.softmax(-1).double(), dim=-1, descending=True, stable=True)
    short = (ranked.values.cumsum(-1) < p).sum(-1, keepdim=True)
    rank = ranked.indices.argsort(-1)
    return torch.where(rank <= short, logits, torch.tensor(-math.inf, dtype=logits.dtype))


@right("top_p")
def by_comparing_all_pairs(logits, p):
    """What comes before a token: all that is likelier, and of its equals those with a smaller id."""
    a_share(p)
    chance = logits.double().softmax(-1)
    place = torch.arange(chance.size(-1))
    mine = chance.unsqueeze(-1)
    other = chance.unsqueeze(-2)
    first = (other > mine) | ((other == mine) & (place[None, :] < place[:, None]))
    before = (first * other).sum(-1)
    return logits.masked_fill((before >= p - 1e-12) & (p < 1), -torch.inf)


# --- min_p ----------------------------------------------------------------------------------------


def from_0_to_1(p):
    if not (p >= 0 and p <= 1):
        raise ValueError(f"p={p} is no share")


@right("min_p")
def in_logarithms(logits, p):
    """p / p_max >= min_p where logit - max >= log min_p."""
    from_0_to_1(p)
    if p == 0:
        return logits.clone()
    gap = logits - logits.max(dim=-1, keepdim=True).values
    return logits.masked_fill(gap < math.log(p), -torch.inf)


@right("min_p")
def relative_to_the_likeliest(logits, p):
    from_0_to_1(p)
    ratio = torch.exp(logits - torch.amax(logits, -1, True))
    out = logits.clone()
    out[ratio < p] = float("-inf")
    return out


@right("min_p")
def in_loops(logits, p):
    from_0_to_1(p)
    flat = logits.reshape(-1, logits.shape[-1]).clone()
    for row in flat:
        chances = row.double().softmax(0).tolist()
        limit = p * max(chances)
        for j, chance in enumerate(chances):
            if chance < limit:
                row[j] = -math.inf
    return flat.reshape(logits.shape)


@right("min_p")
def through_numpy_and_where(logits, p):
    if p < 0 or p > 1:
        raise ValueError("p lies between 0 and 1")
    x = logits.numpy()
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    chance = e / e.sum(axis=-1, keepdims=True)
    keep = chance >= p * chance.max(axis=-1, keepdims=True)
    return torch.where(torch.from_numpy(keep), logits, -torch.inf)


@right("min_p")
def with_an_added_mask(logits, p):
    from_0_to_1(p)
    chance = F.softmax(logits.double(), -1)
    likeliest = chance.gather(-1, chance.argmax(-1, keepdim=True))
    mask = torch.zeros_like(logits)
    mask[chance < p * likeliest] = -torch.inf
    return logits + mask


@right("min_p")
def cut_twice(logits, p):
    """The second cut finds nothing more: the likeliest and all ratios are the same."""
    from_0_to_1(p)
    for _ in range(2):
        chance = logits.softmax(-1)
        logits = logits.masked_fill(chance < p * chance.amax(-1, keepdim=True), -math.inf)
    return logits


# --- repetition_penalty ---------------------------------------------------------------------------


def above_0(penalty):
    if penalty <= 0:
        raise ValueError(f"penalty={penalty}")


@right("repetition_penalty")
def with_gather_and_scatter(logits, ids, penalty):
    above_0(penalty)
    picked = logits.gather(1, ids)
    return logits.scatter(1, ids, torch.where(picked < 0, picked * penalty, picked / penalty))


@right("repetition_penalty")
def in_loops_over_sets(logits, ids, penalty):
    above_0(penalty)
    out = logits.clone()
    for b, row in enumerate(ids.tolist()):
        for token in set(row):
            out[b, token] = (
                logits[b, token] / penalty if logits[b, token] > 0 else logits[b, token] * penalty
            )
    return out


@right("repetition_penalty")
def with_one_hot(logits, ids, penalty):
    above_0(penalty)
    seen = F.one_hot(ids, logits.size(-1)).amax(1).bool()
    factor = torch.where(logits > 0, 1 / penalty, penalty)
    return logits * factor.where(seen, 1.0).to(logits.dtype)


@right("repetition_penalty")
def by_comparing_with_all_tokens(logits, ids, penalty):
    above_0(penalty)
    tokens = torch.arange(logits.shape[1], device=logits.device)
    seen = (ids[:, :, None] == tokens).any(1)
    signed = logits.clamp(min=0) / penalty + logits.clamp(max=0) * penalty
    return torch.where(seen, signed, logits)


@right("repetition_penalty")
def with_powers_of_the_sign(logits, ids, penalty):
    """× penalty ** -1 for positive logits, × penalty ** 1 for negative ones, × 1 where not seen."""
    above_0(penalty)
    seen = torch.zeros_like(logits)
    seen[torch.arange(len(ids))[:, None], ids] = 1
    return logits * penalty ** (-logits.sign() * seen)


@right("repetition_penalty")
def through_numpy_unique(logits, ids, penalty):
    if not penalty > 0:
        raise ValueError("a penalty is above 0")
    out = logits.numpy().copy()
    for row, tokens in zip(out, ids.numpy(), strict=True):
        tokens = np.unique(tokens)
        row[tokens] = np.where(row[tokens] > 0, row[tokens] / penalty, row[tokens] * penalty)
    return torch.from_numpy(out)


@right("repetition_penalty")
def the_smaller_of_two_products(logits, ids, penalty):
    above_0(penalty)
    better = torch.minimum if penalty >= 1 else torch.maximum
    changed = better(logits / penalty, logits * penalty)
    rows = [
        row.scatter(0, seen.unique(), 1.0)
        for row, seen in zip(torch.zeros_like(logits), ids, strict=True)
    ]
    return torch.where(torch.stack(rows) > 0, changed, logits)


# --- greedy ---------------------------------------------------------------------------------------


@right("greedy")
def recursive(model, ids, n_new):
    if n_new == 0:
        return ids
    best = model(ids)[:, -1, :].max(dim=-1).indices
    return recursive(model, torch.column_stack([ids, best]), n_new - 1)


@right("greedy")
def in_a_table_of_full_length(model, ids, n_new):
    B, T = ids.shape
    out = ids.new_zeros(B, T + n_new)
    out[:, :T] = ids
    for t in range(T, T + n_new):
        out[:, t] = model(out[:, :t])[:, -1].argmax(dim=1)
    return out


@right("greedy")
def with_topk_in_no_grad(model, ids, n_new):
    with torch.no_grad():
        for _ in range(n_new):
            ids = torch.hstack([ids, model(ids)[:, -1].topk(1).indices])
    return ids


@right("greedy")
def one_text_at_a_time(model, ids, n_new):
    finished = []
    for text in ids:
        for _ in range(n_new):
            best = torch.argmax(model(text[None])[0, -1])
            text = torch.cat([text, best.reshape(1)])
        finished.append(text)
    return torch.stack(finished)


@right("greedy")
def in_lists_with_while(model, ids, n_new):
    texts = ids.tolist()
    length = len(texts[0]) + n_new
    while len(texts[0]) < length:
        scores = model(torch.tensor(texts))[:, -1].tolist()
        for text, row in zip(texts, scores, strict=True):
            text.append(max(range(len(row)), key=row.__getitem__))
    return torch.tensor(texts)


@right("greedy")
def with_a_list_of_columns(model, ids, n_new):
    columns = [ids]
    for _ in range(n_new):
        chance = model(torch.cat(columns, 1))[:, -1:].softmax(-1)
        columns.append(chance.argmax(-1))
    return torch.cat(columns, -1)


# --- token_at -------------------------------------------------------------------------------------


@right("token_at")
def by_counting_ends(p, u):
    ends = p.double().cumsum(-1)
    return (ends[:, None, :] <= u.double()[:, :, None]).sum(-1).clamp(max=p.shape[-1] - 1)


@right("token_at")
def by_the_first_end_above(p, u):
    ends = torch.cumsum(p, dim=-1)
    ends[:, -1] = math.inf
    return (ends.unsqueeze(1) > u.unsqueeze(2)).int().argmax(-1)


@right("token_at")
def walking_along_the_line(p, u):
    out = []
    for row, points in zip(p.tolist(), u.tolist(), strict=True):
        tokens = []
        for x in points:
            i = 0
            while i < len(row) - 1 and x >= sum(row[: i + 1]):
                i += 1
            tokens.append(i)
        out.append(tokens)
    return torch.tensor(out)


@right("token_at")
def with_numpys_search(p, u):
    ends = np.cumsum(p.numpy().astype(np.float64), axis=1)
    found = [np.searchsorted(e, x, side="right") for e, x in zip(ends, u.numpy(), strict=True)]
    return torch.from_numpy(np.minimum(np.stack(found), p.shape[1] - 1)).long()


@right("token_at")
def by_counting_begins(p, u):
    begins = torch.cat([torch.zeros(len(p), 1), p.cumsum(1)[:, :-1]], 1)
    return (u.unsqueeze(-1) >= begins.unsqueeze(1)).sum(-1) - 1


@right("token_at")
def on_a_line_that_is_stretched_to_1(p, u):
    wide = p.double()
    ends = (wide / wide.sum(-1, keepdim=True)).cumsum(-1)
    rows = [
        torch.bucketize(x, row[:-1], right=True) for row, x in zip(ends, u.double(), strict=True)
    ]
    return torch.stack(rows)


# --- beam_step ------------------------------------------------------------------------------------


@right("beam_step")
def in_lists(texts, scores, log_p, k):
    found = []
    for text, score, row in zip(texts.tolist(), scores.tolist(), log_p.tolist(), strict=True):
        for token, value in enumerate(row):
            found.append((score + value, text + [token]))
    found.sort(key=lambda pair: -pair[0])
    kept = found[:k]
    return torch.tensor([text for _, text in kept]), torch.tensor([s for s, _ in kept])


@right("beam_step")
def with_a_heap(texts, scores, log_p, k):
    total = scores.unsqueeze(1) + log_p
    places = [(i, j) for i in range(total.size(0)) for j in range(total.size(1))]
    best = heapq.nlargest(k, places, key=lambda place: total[place].item())
    rows = [torch.cat([texts[i], torch.tensor([j])]) for i, j in best]
    return torch.stack(rows), torch.stack([total[place] for place in best])


@right("beam_step")
def with_a_full_sort_and_divmod(texts, scores, log_p, k):
    total = (scores.view(-1, 1) + log_p).reshape(-1)
    ordered, place = torch.sort(total, descending=True)
    parent = torch.div(place[:k], log_p.shape[1], rounding_mode="floor")
    token = torch.remainder(place[:k], log_p.shape[1])
    return torch.column_stack([texts[parent], token]), ordered[:k]


@right("beam_step")
def with_the_k_best_of_each_text_first(texts, scores, log_p, k):
    """No text can place more than k extensions, so k of each are enough, as in fairseq."""
    own = log_p.topk(min(k, log_p.size(1)))
    total = scores[:, None] + own.values
    flat = total.flatten()
    place = flat.argsort(descending=True)[:k]
    parent = place // total.size(1)
    token = own.indices.flatten()[place]
    return torch.hstack([texts[parent], token[:, None]]), flat[place]


@right("beam_step")
def with_all_texts_written_out(texts, scores, log_p, k):
    K, V = log_p.shape
    every = torch.cat([texts.repeat_interleave(V, 0), torch.arange(V).repeat(K)[:, None]], 1)
    total = scores.repeat_interleave(V) + log_p.reshape(-1)
    best = total.argsort(descending=True)[:k]
    return every[best], total[best]


# --- fetched_per_token ----------------------------------------------------------------------------


@right("fetched_per_token")
def a_step_and_its_tokens(weights, per_position, B, T):
    step = weights + B * T * per_position
    return step / B


@right("fetched_per_token")
def summed_over_texts(weights, per_position, B, T):
    total = weights
    for _ in range(B):
        total += T * per_position
    return total / B


@right("fetched_per_token")
def by_shares(weights, per_position, B, T):
    share = 1 / B
    return share * weights + sum([per_position] * T)
