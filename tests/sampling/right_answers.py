"""Right answers of another style to the exercises on sampling."""

import math

import torch
from answers import Answers

right = Answers()


def checked_count(k):
    if not isinstance(k, int) or k < 1:
        raise ValueError(f"k must be a whole number of at least 1, not {k}")


@right("top_k")
def by_sorting(logits, k):
    checked_count(k)
    k = min(k, logits.shape[-1])
    least = logits.sort(-1, descending=True).values[..., k - 1 : k]
    return torch.where(logits >= least, logits, torch.full_like(logits, -math.inf))


@right("top_k")
def by_kthvalue(logits, k):
    checked_count(k)
    V = logits.shape[-1]
    least = logits.kthvalue(V - min(k, V) + 1, dim=-1, keepdim=True).values
    return logits.clone().masked_fill_(logits < least, float("-inf"))


@right("top_k")
def row_by_row(logits, k):
    checked_count(k)
    out = logits.clone().reshape(-1, logits.shape[-1])
    for row in out:
        least = sorted(row.tolist(), reverse=True)[: min(k, len(row))][-1]
        row[row < least] = -torch.inf
    return out.reshape(logits.shape)


def checked_share(p):
    if p <= 0 or p > 1:
        raise ValueError(f"p must be above 0 and at most 1, not {p}")


@right("top_p")
def shifted_sums(logits, p):
    checked_share(p)
    wide = logits.to(torch.promote_types(logits.dtype, torch.float32))
    order = wide.argsort(dim=-1, descending=True, stable=True)
    sums = wide.softmax(-1).gather(-1, order).cumsum(-1)
    reached = torch.cat([torch.zeros_like(sums[..., :1]), sums[..., :-1]], dim=-1)
    cut = torch.zeros_like(logits, dtype=torch.bool).scatter(-1, order, reached >= p)
    return logits.masked_fill(cut, -torch.inf)


@right("top_p")
def unsorted_again(logits, p):
    checked_share(p)
    probability = logits.double().softmax(-1)
    ordered, order = probability.sort(dim=-1, descending=True, stable=True)
    keep = ordered.cumsum(-1) - ordered < p
    return torch.where(keep.gather(-1, order.argsort(-1)), logits, -torch.inf).to(logits.dtype)


@right("top_p")
def token_after_token(logits, p):
    checked_share(p)
    rows = logits.reshape(-1, logits.shape[-1])
    out = torch.full_like(rows, -torch.inf)
    for row, kept in zip(rows.float(), out, strict=True):
        probability = row.softmax(-1)
        total = 0.0
        for token in probability.argsort(descending=True, stable=True):
            if total >= p:
                break
            kept[token] = row[token].to(kept.dtype)
            total += probability[token].item()
    return out.reshape(logits.shape)


@right("min_p")
def in_logits(logits, p):
    if p < 0 or p > 1:
        raise ValueError("p is a share")
    if p == 0:
        return logits.clone()
    return logits.masked_fill(logits < logits.amax(-1, keepdim=True) + math.log(p), -torch.inf)


@right("min_p")
def by_where(logits, p):
    if not 0 <= p <= 1:
        raise ValueError("p is a share")
    probability = torch.softmax(logits, dim=-1)
    most = probability.max(dim=-1, keepdim=True).values
    return torch.where(probability >= p * most, logits, torch.full_like(logits, -torch.inf))


@right("min_p")
def relative_to_the_likeliest(logits, p):
    if not 0 <= p <= 1:
        raise ValueError("p is a share")
    share = (logits - logits.max(-1, keepdim=True).values).exp()
    return logits.masked_fill(share < p, -torch.inf)


@right("repetition_penalty")
def token_by_token(logits, ids, penalty):
    if penalty <= 0:
        raise ValueError("the penalty must be above 0")
    out = logits.clone()
    for b in range(len(ids)):
        for token in set(ids[b].tolist()):
            old = logits[b, token]
            out[b, token] = old / penalty if old > 0 else old * penalty
    return out


@right("repetition_penalty")
def gathered_and_scattered(logits, ids, penalty):
    if not penalty > 0:
        raise ValueError("the penalty must be above 0")
    old = logits.gather(1, ids)
    return logits.scatter(1, ids, torch.where(old < 0, old * penalty, old / penalty))


@right("repetition_penalty")
def a_power_of_the_penalty(logits, ids, penalty):
    if not penalty > 0:
        raise ValueError("the penalty must be above 0")
    seen = torch.nn.functional.one_hot(ids, logits.size(1)).any(1)
    factor = torch.where(logits > 0, 1 / penalty, penalty)
    return logits * torch.where(seen, factor, 1.0).to(logits.dtype)


@right("greedy")
def with_a_buffer(model, ids, n_new):
    B, T = ids.shape
    out = torch.cat([ids, ids.new_zeros(B, n_new)], dim=1)
    for t in range(T, T + n_new):
        out[:, t] = model(out[:, :t])[:, -1].argmax(-1)
    return out


@right("greedy")
def recursively(model, ids, n_new):
    if n_new == 0:
        return ids
    new = model(ids)[:, -1, :].max(dim=-1).indices
    return recursively(model, torch.cat((ids, new[:, None]), dim=-1), n_new - 1)


@right("greedy")
@torch.no_grad()
def by_hstack(model, ids, n_new):
    text = ids.clone()
    while text.shape[1] < ids.shape[1] + n_new:
        scores = model(text)
        text = torch.hstack([text, scores[:, -1].topk(1, dim=-1).indices])
    return text
