"""Wrong answers to the exercises of lesson 09: mistakes that people make. Every checker must reject
every one.
"""

import math

import torch
from answers import DIFFERS, RAISED, WrongAnswers

wrong = WrongAnswers()


# --- repetition_penalty ---------------------------------------------------------------------------


def penalised(penalty):
    if penalty <= 0:
        raise ValueError(penalty)


def occurred(logits, ids):
    return torch.zeros_like(logits, dtype=torch.bool).scatter(-1, ids, True)


@wrong(
    "repetition_penalty", says="dividing a negative logit makes the token likelier: multiply those"
)
def rep_always_divides(logits, ids, penalty):
    """Negative logits become likelier."""
    penalised(penalty)
    return torch.where(occurred(logits, ids), logits / penalty, logits)


@wrong(
    "repetition_penalty", says="multiplying a positive logit makes the token likelier: divide those"
)
def rep_always_multiplies(logits, ids, penalty):
    penalised(penalty)
    return torch.where(occurred(logits, ids), logits * penalty, logits)


@wrong(
    "repetition_penalty",
    says="the two cases are swapped: divide positive logits, multiply negative ones",
)
def rep_swapped(logits, ids, penalty):
    penalised(penalty)
    return torch.where(
        occurred(logits, ids), torch.where(logits > 0, logits * penalty, logits / penalty), logits
    )


@wrong("repetition_penalty", says="you subtracted the penalty; divide by it, or multiply")
def rep_subtracts(logits, ids, penalty):
    penalised(penalty)
    return logits - penalty * occurred(logits, ids)


@wrong("repetition_penalty", says="a token counts once, however often it occurred")
def rep_counts(logits, ids, penalty):
    """Once for each time a token occurred."""
    penalised(penalty)
    logits = logits.clone()
    for row, text in zip(logits, ids.tolist(), strict=True):
        for i in text:
            row[i] = row[i] / penalty if row[i] > 0 else row[i] * penalty
    return logits


@wrong("repetition_penalty", says="the penalty hits tokens that never occurred")
def rep_everyone(logits, ids, penalty):
    penalised(penalty)
    return torch.where(logits > 0, logits / penalty, logits * penalty)


@wrong(
    "repetition_penalty", says="each text has its own tokens; you put those of all texts together"
)
def rep_whole_batch(logits, ids, penalty):
    """The tokens of all texts together: right for one text."""
    penalised(penalty)
    seen = occurred(logits, ids).any(0)
    return torch.where(seen, torch.where(logits > 0, logits / penalty, logits * penalty), logits)


@wrong(
    "repetition_penalty",
    says="you took the tokens of the first text for all texts; each text has its own",
)
def rep_first_text(logits, ids, penalty):
    """Only the first text of the batch."""
    penalised(penalty)
    logits = logits.clone()
    i = ids[0].unique()
    logits[:, i] = torch.where(logits[:, i] > 0, logits[:, i] / penalty, logits[:, i] * penalty)
    return logits


@wrong(
    "repetition_penalty", says="only the last token was made less likely; all tokens of ids count"
)
def rep_last_token(logits, ids, penalty):
    penalised(penalty)
    seen = occurred(logits, ids[:, -1:])
    return torch.where(seen, torch.where(logits > 0, logits / penalty, logits * penalty), logits)


@wrong("repetition_penalty", says="the penalty hits the tokens that did not occur")
def rep_others(logits, ids, penalty):
    penalised(penalty)
    return torch.where(
        occurred(logits, ids), logits, torch.where(logits > 0, logits / penalty, logits * penalty)
    )


@wrong("repetition_penalty", says="changed its argument in place")
def rep_in_place(logits, ids, penalty):
    """Right, but the caller's logits are gone."""
    penalised(penalty)
    scores = logits.gather(1, ids)
    return logits.scatter_(1, ids, torch.where(scores > 0, scores / penalty, scores * penalty))


@wrong(
    "repetition_penalty",
    says="you turned the logits into probabilities; the penalty changes logits",
)
def rep_probabilities(logits, ids, penalty):
    """Divides probabilities."""
    penalised(penalty)
    p = logits.softmax(-1)
    return torch.where(occurred(logits, ids), p / penalty, p)


@wrong("repetition_penalty", says="must raise ValueError: the penalty must be above 0")
def rep_no_error(logits, ids, penalty):
    return torch.where(
        occurred(logits, ids), torch.where(logits > 0, logits / penalty, logits * penalty), logits
    )


# --- top_k ----------------------------------------------------------------------------------------


def checked_k(k):
    if k < 1:
        raise ValueError(k)


@wrong("top_k", says="the right tokens are cut, but with the logit 0; use -inf")
def topk_zero(logits, k):
    """Cut tokens get the logit 0."""
    checked_k(k)
    return logits.masked_fill(logits < logits.topk(min(k, logits.size(-1))).values[..., -1:], 0.0)


@wrong("top_k", says="you kept the k smallest")
def topk_smallest(logits, k):
    checked_k(k)
    return logits.masked_fill(
        logits > logits.topk(min(k, logits.size(-1)), largest=False).values[..., -1:], -math.inf
    )


@wrong("top_k", says="you counted values that differ; tokens that tie are counted one by one")
def topk_of_different_values(logits, k):
    """The k-th largest of the values, each counted once."""
    checked_k(k)
    flat = logits.reshape(-1, logits.size(-1))
    values = [row.unique() for row in flat]
    least = torch.stack([v[-min(k, len(v))] for v in values]).view(*logits.shape[:-1], 1)
    return logits.masked_fill(logits < least, -math.inf)


@wrong("top_k", says="the third logit is a little below the second, and no tie")
def topk_with_a_tolerance(logits, k):
    """Whatever is close to the k-th stays."""
    checked_k(k)
    least = logits.topk(min(k, logits.size(-1))).values[..., -1:]
    return logits.masked_fill(logits < least - 0.01, -math.inf)


@wrong("top_k", says="one token too few")
def topk_strict(logits, k):
    """The k-th itself is cut."""
    checked_k(k)
    return logits.masked_fill(
        logits <= logits.topk(min(k, logits.size(-1))).values[..., -1:], -math.inf
    )


@wrong("top_k", says="one token too many")
def topk_k_plus_one(logits, k):
    checked_k(k)
    return logits.masked_fill(
        logits < logits.topk(min(k + 1, logits.size(-1))).values[..., -1:], -math.inf
    )


@wrong("top_k", says="a k above the vocabulary cuts nothing: take min(k, logits.size(-1))")
def topk_no_clip(logits, k):
    """k above the vocabulary raises."""
    checked_k(k)
    return logits.masked_fill(logits < logits.topk(k).values[..., -1:], -math.inf)


@wrong("top_k", says="you took the limit of the first row for all rows")
def topk_one_limit(logits, k):
    """The limit of the first row for all: right for one row."""
    checked_k(k)
    flat = logits.reshape(-1, logits.size(-1))
    return logits.masked_fill(logits < flat[0].topk(min(k, logits.size(-1))).values[-1], -math.inf)


@wrong("top_k", says="you kept the k largest of all rows together; each row has k of its own")
def topk_whole_batch(logits, k):
    """The k largest of the whole batch."""
    checked_k(k)
    return logits.masked_fill(
        logits < logits.flatten().topk(min(k, logits.size(-1))).values[-1], -math.inf
    )


@wrong(
    "top_k",
    says="what ties with the k-th largest stays, too; of those that tie you kept only the one at",
)
def topk_exactly_k(logits, k):
    """Cuts ties by chance of the order."""
    checked_k(k)
    best = logits.topk(min(k, logits.size(-1)))
    return torch.full_like(logits, -math.inf).scatter(-1, best.indices, best.values)


@wrong("top_k", says="you returned the k largest alone; keep all V places")
def topk_sorted(logits, k):
    """The k logits, without their places."""
    checked_k(k)
    return logits.topk(min(k, logits.size(-1))).values


@wrong("top_k", says="you returned probabilities; return logits, with -inf where a token is cut")
def topk_probabilities(logits, k):
    checked_k(k)
    return logits.masked_fill(
        logits < logits.topk(min(k, logits.size(-1))).values[..., -1:], -math.inf
    ).softmax(-1)


@wrong("top_k", says="the right tokens are cut, but with the logit -10000; use -inf")
def topk_very_negative(logits, k):
    """-1e4 is not -inf: fine until logits are large."""
    checked_k(k)
    return logits.masked_fill(logits < logits.topk(min(k, logits.size(-1))).values[..., -1:], -1e4)


@wrong("top_k", says="changed its argument in place")
def topk_in_place(logits, k):
    checked_k(k)
    logits[logits < logits.topk(min(k, logits.size(-1))).values[..., -1:]] = -math.inf
    return logits


@wrong("top_k", says="you went along the first dimension; the tokens stand along the last")
def topk_first_axis(logits, k):
    """The k largest of each column."""
    checked_k(k)
    return logits.masked_fill(
        logits < logits.topk(min(k, logits.size(0)), dim=0).values[-1:], -math.inf
    )


@wrong("top_k", says="must raise ValueError: k must be a whole number of at least 1")
def topk_no_error(logits, k):
    """k = 0 keeps everything."""
    return logits.masked_fill(
        logits < logits.topk(max(1, min(k, logits.size(-1)))).values[..., -1:], -math.inf
    )


# --- top_p ----------------------------------------------------------------------------------------


def checked_p(p):
    if not 0 < p <= 1:
        raise ValueError(p)


def ranked(logits):
    return logits.softmax(-1).sort(dim=-1, descending=True, stable=True)


def keep(logits, kept):
    return logits.masked_fill(~kept, -math.inf)


@wrong("top_p", says="of 4 equal tokens must keep 2 of them (any 2)")
def topp_one_more_where_the_sum_is_exact(logits, p):
    """Goes on where the sum has reached p and not passed it, as much published code does."""
    checked_p(p)
    probability, order = ranked(logits)
    kept = probability.cumsum(-1) - probability <= p
    return keep(logits, kept.scatter(-1, order, kept))


@wrong("top_p", says="the token that carries the sum over p belongs to the nucleus, too")
def topp_too_few(logits, p):
    """The token that crosses p is cut: nothing is left where one token holds p already."""
    checked_p(p)
    probability, order = ranked(logits)
    kept = probability.cumsum(-1) <= p
    return keep(logits, kept.scatter(-1, order, kept))


@wrong(
    "top_p",
    says="the token that carries the sum over p belongs to the nucleus, and the likeliest token always stays",
)
def topp_too_few_but_one(logits, p):
    """The token that crosses p is cut, unless it is the first."""
    checked_p(p)
    probability, order = ranked(logits)
    kept = probability.cumsum(-1) <= p
    kept[..., 0] = True
    return keep(logits, kept.scatter(-1, order, kept))


@wrong("top_p", says="you kept the least likely tokens; sort in descending order")
def topp_ascending(logits, p):
    """Keeps the unlikely ones."""
    checked_p(p)
    probability, order = logits.softmax(-1).sort(dim=-1)
    kept = probability.cumsum(-1) - probability < p
    return keep(logits, kept.scatter(-1, order, kept))


@wrong(
    "top_p", says="the mask is in the order of the ranks; bring it back to the order of the tokens"
)
def topp_not_brought_back(logits, p):
    """The mask is in rank order: right for logits that are sorted already."""
    checked_p(p)
    probability, _ = ranked(logits)
    return keep(logits, probability.cumsum(-1) - probability < p)


@wrong(
    "top_p",
    says="the mask went to the wrong tokens: scatter it to `order`, or gather it with order.argsort(-1)",
)
def topp_gathers(logits, p):
    """gather(order) instead of scatter: the inverse permutation."""
    checked_p(p)
    probability, order = ranked(logits)
    return keep(logits, (probability.cumsum(-1) - probability < p).gather(-1, order))


@wrong("top_p", says="you returned the logits in the order of the ranks")
def topp_sorted(logits, p):
    """Returns sorted logits."""
    checked_p(p)
    probability, order = ranked(logits)
    return keep(logits.gather(-1, order), probability.cumsum(-1) - probability < p)


@wrong(
    "top_p",
    says="you kept the tokens whose own probability is at least p; add the probabilities up",
)
def topp_threshold(logits, p):
    """p as a limit for each probability."""
    checked_p(p)
    return keep(logits, logits.softmax(-1) >= p)


@wrong("top_p", says="you kept a share of 1 - p; p is the share to keep")
def topp_one_minus(logits, p):
    """The share to cut in place of the share to keep."""
    checked_p(p)
    probability, order = ranked(logits)
    kept = probability.cumsum(-1) - probability < 1 - p
    kept[..., 0] = True
    return keep(logits, kept.scatter(-1, order, kept))


@wrong("top_p", says="you added up the logits; add up the probabilities")
def topp_logits_summed(logits, p):
    """Adds logits up."""
    checked_p(p)
    values, order = logits.sort(dim=-1, descending=True)
    kept = values.cumsum(-1) - values < p
    return keep(logits, kept.scatter(-1, order, kept))


@wrong("top_p", says="one nucleus for all rows together; each row has a nucleus of its own")
def topp_flat(logits, p):
    """One nucleus for the whole batch."""
    checked_p(p)
    flat = logits.flatten()
    probability, order = ranked(flat)
    kept = probability.cumsum(-1) - probability < p
    return keep(flat, kept.scatter(-1, order, kept)).view(logits.shape)


@wrong("top_p", says="the right tokens are cut, but with the logit 0; use -inf")
def topp_zero(logits, p):
    checked_p(p)
    probability, order = ranked(logits)
    kept = probability.cumsum(-1) - probability < p
    return logits.where(kept.scatter(-1, order, kept), torch.zeros_like(logits))


@wrong("top_p", says="you returned probabilities; return logits, with -inf where a token is cut")
def topp_probabilities(logits, p):
    checked_p(p)
    probability, order = ranked(logits)
    kept = probability.cumsum(-1) - probability < p
    return keep(logits, kept.scatter(-1, order, kept)).softmax(-1)


@wrong("top_p", says="one token too many")
def topp_one_more(logits, p):
    checked_p(p)
    probability, order = ranked(logits)
    kept = probability.cumsum(-1) - probability < p
    kept = torch.cat([kept[..., :1], kept[..., :-1]], -1)
    return keep(logits, kept.scatter(-1, order, kept))


@wrong("top_p", says="of 5 equal tokens must keep 3 of them")
def topp_keeps_ties(logits, p):
    """As top-k does: all that ties with the last one stays."""
    checked_p(p)
    probability, order = ranked(logits)
    kept = probability.cumsum(-1) - probability < p
    least = probability.where(kept, torch.ones_like(probability)).amin(-1, keepdim=True)
    return keep(logits, logits.softmax(-1) >= least)


@wrong("top_k", says="you cut the k largest and kept the rest")
def topk_inverted(logits, k):
    """The comparison turned round."""
    checked_k(k)
    least = logits.topk(min(k, logits.size(-1))).values[..., -1:]
    return logits.masked_fill(logits >= least, -math.inf)


@wrong("top_p", says="must raise ValueError: p must be above 0 and at most 1")
def topp_no_error(logits, p):
    probability, order = ranked(logits)
    kept = probability.cumsum(-1) - probability < p
    kept[..., 0] = True
    return keep(logits, kept.scatter(-1, order, kept))


# --- min_p ----------------------------------------------------------------------------------------


def checked_min(p):
    if not 0 <= p <= 1:
        raise ValueError(p)


@wrong("min_p", says="two tokens are the likeliest, and you kept only one of them")
def minp_one_likeliest(logits, p):
    """Cuts what lies at the limit, and saves one token with argmax."""
    checked_min(p)
    probability = logits.softmax(-1)
    best, place = probability.max(-1, keepdim=True)
    kept = (probability > p * best).scatter(-1, place, True)
    return keep(logits, kept)


@wrong("min_p", says="you compared with p itself; compare with p times the largest probability")
def minp_absolute(logits, p):
    """p itself is the limit: right where the model is sure."""
    checked_min(p)
    return keep(logits, logits.softmax(-1) >= p)


@wrong("min_p", says="you compared logits; compare probabilities")
def minp_logits(logits, p):
    """p times the largest logit."""
    checked_min(p)
    return keep(logits, logits >= p * logits.amax(-1, keepdim=True))


@wrong("min_p", says="one largest probability for all rows; each row has its own")
def minp_whole_batch(logits, p):
    """One largest probability for all rows."""
    checked_min(p)
    probability = logits.softmax(-1)
    return keep(logits, probability >= p * probability.max())


@wrong("min_p", says="the limit is p times the largest, not the largest minus p")
def minp_difference(logits, p):
    """The largest minus p."""
    checked_min(p)
    probability = logits.softmax(-1)
    return keep(logits, probability >= probability.amax(-1, keepdim=True) - p)


@wrong("min_p", says="you cut the likely tokens and kept the others")
def minp_inverted(logits, p):
    checked_min(p)
    probability = logits.softmax(-1)
    return keep(logits, probability <= p * probability.amax(-1, keepdim=True))


@wrong("min_p", says="this is top_p: here no probabilities are added up")
def minp_nucleus(logits, p):
    """top_p."""
    checked_min(p)
    return topp_no_error(logits, p)


@wrong("min_p", says="the softmax runs over the wrong axis")
def minp_wrong_axis(logits, p):
    """softmax over the batch."""
    checked_min(p)
    probability = logits.softmax(0)
    return keep(logits, probability >= p * probability.amax(-1, keepdim=True))


@wrong("min_p", says="the right tokens are cut, but with the logit 0; use -inf")
def minp_zero(logits, p):
    checked_min(p)
    probability = logits.softmax(-1)
    return logits.where(
        probability >= p * probability.amax(-1, keepdim=True), torch.zeros_like(logits)
    )


@wrong("min_p", says="you returned probabilities; return logits, with -inf where a token is cut")
def minp_probabilities(logits, p):
    checked_min(p)
    probability = logits.softmax(-1)
    return keep(logits, probability >= p * probability.amax(-1, keepdim=True)).softmax(-1)


@wrong("min_p", says="you returned probabilities that no longer sum to 1; return logits")
def minp_probabilities_cut(logits, p):
    """0 in the place of what is cut, without a second softmax."""
    checked_min(p)
    probability = logits.softmax(-1)
    return probability * (probability >= p * probability.amax(-1, keepdim=True))


@wrong(
    "min_p", says="you compared with p times the mean probability; compare with p times the largest"
)
def minp_mean(logits, p):
    """The mean in place of the largest."""
    checked_min(p)
    probability = logits.softmax(-1)
    return keep(logits, probability >= p * probability.mean(-1, keepdim=True))


@wrong("min_p", says="nothing was cut, whatever p is")
def minp_nothing(logits, p):
    checked_min(p)
    return logits.clone()


@wrong("min_p", says="only the likeliest token stayed, whatever p is")
def minp_only_best(logits, p):
    checked_min(p)
    return keep(logits, logits == logits.amax(-1, keepdim=True))


@wrong("min_p", says="must raise ValueError: p must be at least 0 and at most 1")
def minp_no_error(logits, p):
    probability = logits.softmax(-1)
    return keep(logits, probability >= p * probability.amax(-1, keepdim=True))


# --- greedy ---------------------------------------------------------------------------------------


@wrong("greedy", says="return the prompt and what follows, in one tensor")
def greedy_new_only(model, ids, n_new):
    """Leaves the prompt out."""
    T = ids.size(1)
    for _ in range(n_new):
        ids = torch.cat([ids, model(ids)[:, -1].argmax(-1, keepdim=True)], 1)
    return ids[:, T:]


@wrong(
    "greedy",
    says="the prediction after the first position was used; take that after the last one, [:, -1]",
)
def greedy_first_position(model, ids, n_new):
    """Reads the first row of logits: right for a prompt of one token and one new one."""
    for _ in range(n_new):
        ids = torch.cat([ids, model(ids)[:, 0].argmax(-1, keepdim=True)], 1)
    return ids


@wrong(
    "greedy",
    says="each new token was predicted from the last token alone; give the model the whole text",
)
def greedy_last_token_only(model, ids, n_new):
    """Feeds the last token without a cache."""
    for _ in range(n_new):
        ids = torch.cat([ids, model(ids[:, -1:])[:, -1].argmax(-1, keepdim=True)], 1)
    return ids


@wrong(
    "greedy",
    says="the new tokens all come from the prompt; read the text again after each new token",
)
def greedy_prompt_only(model, ids, n_new):
    """Never reads what it wrote."""
    prompt = ids
    for _ in range(n_new):
        ids = torch.cat([ids, model(prompt)[:, -1].argmax(-1, keepdim=True)], 1)
    return ids


@wrong("greedy", says="one token too many")
def greedy_one_too_many(model, ids, n_new):
    for _ in range(n_new + 1):
        ids = torch.cat([ids, model(ids)[:, -1].argmax(-1, keepdim=True)], 1)
    return ids


@wrong("greedy", says="you took n_new for the length of the whole text; it counts the new tokens")
def greedy_to_length(model, ids, n_new):
    """n_new is taken as the whole length."""
    while ids.size(1) < n_new:
        ids = torch.cat([ids, model(ids)[:, -1].argmax(-1, keepdim=True)], 1)
    return ids


@wrong("greedy", says="you took the least probable token")
def greedy_worst(model, ids, n_new):
    for _ in range(n_new):
        ids = torch.cat([ids, model(ids)[:, -1].argmin(-1, keepdim=True)], 1)
    return ids


@wrong("greedy", says="you gave all texts the new token of the first one; each has its own")
def greedy_one_for_all(model, ids, n_new):
    """The same new token for every text: right for one text."""
    for _ in range(n_new):
        best = model(ids)[0, -1].argmax()
        ids = torch.cat([ids, best.expand(ids.size(0), 1)], 1)
    return ids


@wrong("greedy", says="you replaced the text by the predictions after each of its tokens")
def greedy_all_positions(model, ids, n_new):
    """argmax over everything that is left: the whole text shifted."""
    for _ in range(n_new):
        ids = torch.cat([ids[:, :1], model(ids).argmax(-1)], 1)
    return ids


@wrong("greedy", says="you put the new tokens in front of the text; they go behind it")
def greedy_prepends(model, ids, n_new):
    """New tokens go to the front."""
    for _ in range(n_new):
        ids = torch.cat([model(ids)[:, -1].argmax(-1, keepdim=True), ids], 1)
    return ids


@wrong("greedy", says="you joined the new token along dim=0, as if it was another text")
def greedy_wrong_dim(model, ids, n_new):
    """Joins along the batch."""
    for _ in range(n_new):
        ids = torch.cat([ids, model(ids)[:, -1].argmax(-1, keepdim=True)], 0)
    return ids


@wrong("greedy", says="it takes ids (B, T) of torch.int64.")
def greedy_no_time(model, ids, n_new):
    """Gives the model the last tokens as (B,)."""
    for _ in range(n_new):
        ids = torch.cat([ids, model(ids[:, -1])[:, -1].argmax(-1, keepdim=True)], 1)
    return ids


@wrong("greedy", says="that is a list; return a tensor")
def greedy_list(model, ids, n_new):
    """Returns lists."""
    for _ in range(n_new):
        ids = torch.cat([ids, model(ids)[:, -1].argmax(-1, keepdim=True)], 1)
    return ids.tolist()


@wrong("greedy", says=DIFFERS)
def greedy_samples(model, ids, n_new):
    """Draws."""
    dice = torch.Generator().manual_seed(0)
    for _ in range(n_new):
        ids = torch.cat(
            [ids, torch.multinomial(model(ids)[:, -1].softmax(-1), 1, generator=dice)], 1
        )
    return ids


# --- token_at -------------------------------------------------------------------------------------


def ends_of(p):
    return p.double().cumsum(-1)


@wrong("token_at", says="a rare token lost its interval to rounding; add up in float32 at least")
def token_in_16_bits(p, u):
    """Sums of rounded probabilities."""
    ends = p.half().float().cumsum(-1)
    return torch.searchsorted(ends, u.float().contiguous(), right=True).clamp(max=p.size(-1) - 1)


@wrong("token_at", says=DIFFERS)
def token_on_a_line_of_a_thousand_parts(p, u):
    """The line is a table with 1,000 places."""
    ends = (p.double().cumsum(-1) * 1000).round()
    return (ends[:, None, :] <= (u.double() * 1000)[:, :, None]).sum(-1).clamp(max=p.size(-1) - 1)


@wrong("token_at", says="a point on a border belongs to the token that begins there")
def at_left_token(p, u):
    """A point on a border goes to the token that ends there."""
    return torch.searchsorted(ends_of(p), u.double()).clamp(max=p.size(-1) - 1)


@wrong("token_at", says="you took the likeliest token; the point decides")
def at_argmax(p, u):
    best = p.argmax(-1)
    return torch.stack([best] * u.size(-1), dim=-1)


@wrong("token_at", says="all rows got the points of the first row; each row has points of its own")
def at_first_points(p, u):
    ends = ends_of(p)
    return torch.stack([(ends <= x).sum(-1) for x in u[0]], dim=-1).clamp(max=p.size(-1) - 1)


@wrong("token_at", says="all rows got the probabilities of the first row")
def at_first_row(p, u):
    return (ends_of(p)[0] <= u[..., None]).sum(-1).clamp(max=p.size(-1) - 1)


@wrong(
    "token_at",
    says="a point behind the last end belongs to the last token; you gave a token that is not there",
)
def at_behind_the_end(p, u):
    return (ends_of(p)[:, None, :] <= u[:, :, None]).sum(-1)


@wrong("token_at", says="you sorted the tokens; their intervals lie in the order of the ids")
def at_ranks(p, u):
    """Gives ranks in place of tokens."""
    ends = p.sort(-1, descending=True).values.double().cumsum(-1)
    return (ends[:, None, :] <= u[:, :, None]).sum(-1).clamp(max=p.size(-1) - 1)


@wrong(
    "token_at", says="you put the likeliest tokens first; the intervals lie in the order of the ids"
)
def at_sorted_and_back(p, u):
    """A right draw, along another line."""
    ranked, order = p.sort(-1, descending=True, stable=True)
    place = torch.searchsorted(ranked.double().cumsum(-1), u.double(), right=True)
    return order.gather(-1, place.clamp(max=p.size(-1) - 1))


@wrong("token_at", says="you compared the point with the probabilities; compare it with their sums")
def at_no_sums(p, u):
    return torch.tensor(
        [
            [next((i for i, q in enumerate(row) if q > x), 0) for x in points]
            for row, points in zip(p.tolist(), u.tolist(), strict=True)
        ]
    )


@wrong("token_at", says="one token too far")
def at_one_further(p, u):
    place = (ends_of(p)[:, None, :] <= u[:, :, None]).sum(-1) + 1
    return place.clamp(max=p.size(-1) - 1)


@wrong("token_at", says="you counted the ends above the point; count those that are not")
def at_counts_above(p, u):
    return (ends_of(p)[:, None, :] > u[:, :, None]).sum(-1).clamp(max=p.size(-1) - 1)


@wrong("token_at", says="all tokens got intervals of one length; each has its probability")
def at_equal_lengths(p, u):
    return (u * p.size(-1)).floor().long()


@wrong("token_at", says=RAISED)
def at_multinomial(p, u):
    """Draws by itself, and ignores the points."""
    return torch.multinomial(p, u.size(-1))


# --- beam_step ------------------------------------------------------------------------------------


def likeliest(total, k):
    return total.flatten().topk(min(k, total.numel()))


def behind(texts, place, V):
    return torch.cat([texts[place // V], (place % V)[:, None]], dim=1)


@wrong(
    "beam_step", says="you ranked the new tokens by themselves; add the score of the text so far"
)
def beam_forgets(texts, scores, log_p, k):
    best, place = likeliest(log_p, k)
    return behind(texts, place, log_p.size(1)), best


@wrong(
    "beam_step",
    says="you ranked by the sum, and returned the log-probability of the new token alone",
)
def beam_token_scores(texts, scores, log_p, k):
    _, place = likeliest(scores[:, None] + log_p, k)
    return behind(texts, place, log_p.size(1)), log_p.flatten()[place]


@wrong(
    "beam_step",
    says="you ranked by the sum, and returned the scores of the texts before this step",
)
def beam_old_scores(texts, scores, log_p, k):
    _, place = likeliest(scores[:, None] + log_p, k)
    return behind(texts, place, log_p.size(1)), scores[place // log_p.size(1)]


@wrong("beam_step", says="each text kept its own best token; the extensions of all texts compete")
def beam_greedy_each(texts, scores, log_p, k):
    total = scores + log_p.amax(-1)
    order = total.argsort(descending=True)[:k]
    return torch.cat([texts, log_p.argmax(-1)[:, None]], dim=1)[order], total[order]


@wrong(
    "beam_step",
    says="the new tokens went behind other texts than those that they continue: the text is place // V",
)
def beam_wrong_texts(texts, scores, log_p, k):
    """Right as long as every text is continued once, in order."""
    best, place = likeliest(scores[:, None] + log_p, k)
    own = texts[torch.arange(len(place)) % len(texts)]
    return torch.cat([own, (place % log_p.size(1))[:, None]], dim=1), best


@wrong("beam_step", says="you swapped place // V and place % V")
def beam_swapped(texts, scores, log_p, k):
    best, place = likeliest(scores[:, None] + log_p, k)
    V = log_p.size(1)
    return torch.cat([texts[place % V % len(texts)], (place // V)[:, None]], dim=1), best


@wrong("beam_step", says="you kept the least likely texts")
def beam_worst(texts, scores, log_p, k):
    total = (scores[:, None] + log_p).flatten()
    best, place = total.topk(min(k, len(total)), largest=False)
    return behind(texts, place, log_p.size(1)), best


@wrong("beam_step", says="you multiplied log-probabilities; their sum is the log of the product")
def beam_product(texts, scores, log_p, k):
    best, place = likeliest(scores[:, None] * log_p, k)
    return behind(texts, place, log_p.size(1)), best


@wrong("beam_step", says="you added probabilities; add log-probabilities")
def beam_adds_probabilities(texts, scores, log_p, k):
    best, place = likeliest(scores.exp()[:, None] + log_p.exp(), k)
    return behind(texts, place, log_p.size(1)), best


@wrong("beam_step", says="you returned probabilities; scores are log-probabilities")
def beam_probabilities(texts, scores, log_p, k):
    best, place = likeliest(scores[:, None] + log_p, k)
    return behind(texts, place, log_p.size(1)), best.exp()


@wrong("beam_step", says="you divided by the length; a score is a sum")
def beam_mean(texts, scores, log_p, k):
    best, place = likeliest(scores[:, None] + log_p, k)
    new = behind(texts, place, log_p.size(1))
    return new, best / new.size(1)


@wrong("beam_step", says="the new token was put in front; append it")
def beam_front(texts, scores, log_p, k):
    best, place = likeliest(scores[:, None] + log_p, k)
    V = log_p.size(1)
    return torch.cat([(place % V)[:, None], texts[place // V]], dim=1), best


@wrong("beam_step", says="the likeliest text comes first")
def beam_ascending(texts, scores, log_p, k):
    best, place = likeliest(scores[:, None] + log_p, k)
    return behind(texts, place, log_p.size(1)).flip(0), best.flip(0)


@wrong("beam_step", says="one text too few")
def beam_one_less(texts, scores, log_p, k):
    best, place = likeliest(scores[:, None] + log_p, k)
    return behind(texts, place, log_p.size(1))[:-1], best[:-1]


@wrong("beam_step", says=RAISED)
def beam_too_many(texts, scores, log_p, k):
    """k above K · V raises."""
    best, place = (scores[:, None] + log_p).flatten().topk(k)
    return behind(texts, place, log_p.size(1)), best


# --- fetched_per_token ----------------------------------------------------------------------------


@wrong("fetched_per_token", says="you counted a whole step; it writes B tokens")
def bytes_whole_step(weights, per_position, B, T):
    return weights + B * per_position * T


@wrong("fetched_per_token", says="each token paid for all weights; the B texts share them")
def bytes_all_weights(weights, per_position, B, T):
    return weights + per_position * T


@wrong("fetched_per_token", says="the texts shared one cache; each text has its own")
def bytes_one_cache(weights, per_position, B, T):
    step = weights + T * per_position
    return step / B


@wrong("fetched_per_token", says="you left out the cache")
def bytes_no_cache(weights, per_position, B, T):
    return weights / B


@wrong("fetched_per_token", says="you left out the weights")
def bytes_no_weights(weights, per_position, B, T):
    return per_position * T


@wrong(
    "fetched_per_token",
    says="one position of the cache is not enough: a new token looks at all T",
)
def bytes_one_position(weights, per_position, B, T):
    return (weights + B * per_position) / B


@wrong(
    "fetched_per_token",
    says="the weights are not read again for each position; the cache is there for that",
)
def bytes_reads_all_again(weights, per_position, B, T):
    return T * (weights / B + per_position)


@wrong("fetched_per_token", says="the cache of all texts was charged to each token")
def bytes_all_caches(weights, per_position, B, T):
    return weights / B + sum(per_position * T for _ in range(B))
