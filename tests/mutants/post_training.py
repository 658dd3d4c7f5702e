"""Wrong answers to the exercises of notebook 09: mistakes that people make. Every checker must reject every one."""

import torch
import torch.nn.functional as F

from course_utils.compression.shrinking import check_weights
from course_utils.instruction_tuning.chat import ASSISTANT, END_OF_TURN

# --- answer_mask -----------------------------------------------------------------------------------------------------


def walk(ids, first=False, last=True, prompts=False):
    mask, inside = torch.zeros_like(ids, dtype=torch.bool), torch.zeros_like(ids[:, 0], dtype=torch.bool)
    for t in range(ids.size(1)):
        begin, end = ids[:, t] == ASSISTANT, ids[:, t] == END_OF_TURN
        mask[:, t] = (inside & (last | ~end)) | (first & begin)
        inside = (inside | begin) & ~end
    return mask


def mask_without_end(ids):
    """Leaves the end of turn out: the model never stops."""
    return walk(ids, last=False)


def mask_with_role(ids):
    """Counts <assistant>."""
    return walk(ids, first=True)


def mask_one_early(ids):
    """Shifted by one: what predicts the answer instead of the answer."""
    mask = walk(ids)
    return torch.cat([mask[:, 1:], torch.zeros_like(mask[:, :1])], 1)


def mask_one_late(ids):
    """Shifted by one the other way."""
    mask = walk(ids)
    return torch.cat([torch.zeros_like(mask[:, :1]), mask[:, :-1]], 1)


def mask_everything(ids):
    """The prompt, too: right of nothing, and often seen."""
    return torch.ones_like(ids, dtype=torch.bool)


def mask_to_the_end(ids):
    """All that follows the first <assistant>: right for one row with one answer."""
    begin = ids == ASSISTANT
    return begin.cumsum(1).bool() & ~begin


def mask_padding(ids):
    """All ends of turn that follow an answer count: right without padding."""
    mask = walk(ids)
    return mask | ((ids == END_OF_TURN) & (ids == ASSISTANT).cumsum(1).bool())


def mask_last_answer(ids):
    """Only the last answer: right for talks with one."""
    mask = torch.zeros_like(ids, dtype=torch.bool)
    for row, out in zip(ids.tolist(), mask, strict=True):
        if ASSISTANT in row:
            begin = len(row) - 1 - row[::-1].index(ASSISTANT)
            end = row.index(END_OF_TURN, begin) if END_OF_TURN in row[begin:] else len(row) - 1
            out[begin + 1 : end + 1] = True
    return mask


def mask_first_answer(ids):
    """Only the first answer."""
    mask = torch.zeros_like(ids, dtype=torch.bool)
    for row, out in zip(ids.tolist(), mask, strict=True):
        if ASSISTANT in row:
            begin = row.index(ASSISTANT)
            end = row.index(END_OF_TURN, begin) if END_OF_TURN in row[begin:] else len(row) - 1
            out[begin + 1 : end + 1] = True
    return mask


def mask_needs_an_end(ids):
    """An answer that was cut off counts nothing."""
    mask = walk(ids)
    mask[ids[:, -1] != END_OF_TURN] = False
    return mask


def mask_all_rows_alike(ids):
    """Takes the places of the first row for all rows: right for one row."""
    return walk(ids)[:1].expand(ids.shape).clone()


def mask_numbers(ids):
    """1 and 0 instead of True and False."""
    return walk(ids).long()


def mask_of_the_user(ids):
    """Everything but the answer."""
    return ~walk(ids)


# --- lora_forward and lora_merge -------------------------------------------------------------------------------------


def lora_with(scale=lambda alpha, r: alpha / r, old=True, bias=1, minus=False):
    def forward(x, W, b, A, B, alpha):
        thin = scale(alpha, len(A)) * x @ A.T @ B.T * (-1 if minus else 1)
        return thin + (x @ W.T if old else 0) + (bias * b if b is not None else 0)

    return forward


def lora_no_scale(x, W, b, A, B, alpha):
    """α / r forgotten."""
    return lora_with(lambda alpha, r: 1)(x, W, b, A, B, alpha)


def lora_alpha_only(x, W, b, A, B, alpha):
    """Not divided by the rank: right for rank 1."""
    return lora_with(lambda alpha, r: alpha)(x, W, b, A, B, alpha)


def lora_times_rank(x, W, b, A, B, alpha):
    """r · α."""
    return lora_with(lambda alpha, r: alpha * r)(x, W, b, A, B, alpha)


def lora_upside_down(x, W, b, A, B, alpha):
    """r / α."""
    return lora_with(lambda alpha, r: r / alpha)(x, W, b, A, B, alpha)


def lora_root(x, W, b, A, B, alpha):
    """α / √r, as rank-stabilised LoRA has it."""
    return lora_with(lambda alpha, r: alpha / r**0.5)(x, W, b, A, B, alpha)


def lora_rank_of_b(x, W, b, A, B, alpha):
    """Takes the number of outputs for the rank."""
    return lora_with(lambda alpha, r: alpha / len(B))(x, W, b, A, B, alpha)


def lora_rank_of_inputs(x, W, b, A, B, alpha):
    """Takes the number of inputs for the rank."""
    return lora_with(lambda alpha, r: alpha / A.size(1))(x, W, b, A, B, alpha)


def lora_no_bias(x, W, b, A, B, alpha):
    """The bias is lost: right where there is none."""
    return lora_with(bias=0)(x, W, b, A, B, alpha)


def lora_bias_twice(x, W, b, A, B, alpha):
    """The bias in both ways."""
    return lora_with(bias=2)(x, W, b, A, B, alpha)


def lora_bias_needed(x, W, b, A, B, alpha):
    """Falls over where there is no bias."""
    return x @ W.T + b + alpha / len(A) * x @ A.T @ B.T


def lora_no_old(x, W, b, A, B, alpha):
    """Only the thin part."""
    return lora_with(old=False)(x, W, b, A, B, alpha)


def lora_minus(x, W, b, A, B, alpha):
    """Subtracts."""
    return lora_with(minus=True)(x, W, b, A, B, alpha)


def lora_w_turned(x, W, b, A, B, alpha):
    """x @ W: only where W is square does that not fall over."""
    return x @ W + (b if b is not None else 0) + alpha / len(A) * x @ A.T @ B.T


def lora_scales_all(x, W, b, A, B, alpha):
    """α / r before everything."""
    return alpha / len(A) * lora_with(lambda alpha, r: 1)(x, W, b, A, B, alpha)


def lora_no_gradient(x, W, b, A, B, alpha):
    """Cuts the graph: right numbers, nothing to learn from."""
    return lora_with()(x, W, b, A, B.detach(), alpha)


def merge_no_scale(W, A, B, alpha):
    """α / r forgotten."""
    return W + B @ A


def merge_alpha_only(W, A, B, alpha):
    """Not divided by the rank."""
    return W + alpha * B @ A


def merge_times_rank(W, A, B, alpha):
    """r · α."""
    return W + alpha * len(A) * B @ A


def merge_upside_down(W, A, B, alpha):
    """r / α."""
    return W + len(A) / alpha * B @ A


def merge_root(W, A, B, alpha):
    """α / √r."""
    return W + alpha / len(A) ** 0.5 * B @ A


def merge_turned(W, A, B, alpha):
    """The product transposed: right shape where W is square."""
    thin = alpha / len(A) * (B @ A).T
    return W + (thin if thin.shape == W.shape else thin.T)


def merge_in_place(W, A, B, alpha):
    """Changes the layer that it was given: the second time the update is there twice."""
    W += alpha / len(A) * B @ A
    return W


def merge_twice(W, A, B, alpha):
    """Adds the update twice."""
    return W + 2 * alpha / len(A) * B @ A


def merge_only_thin(W, A, B, alpha):
    """Forgets W."""
    return alpha / len(A) * B @ A


def merge_minus(W, A, B, alpha):
    """That is how to take the update out again."""
    return W - alpha / len(A) * B @ A


def merge_scales_all(W, A, B, alpha):
    """α / r before everything."""
    return alpha / len(A) * (W + B @ A)


def merge_w_turned(W, A, B, alpha):
    """W the other way round, where that fits."""
    return (W.T if W.size(0) == W.size(1) else W) + alpha / len(A) * B @ A


def merge_nothing(W, A, B, alpha):
    """Right at the start, where B is 0."""
    return W.clone()


def merge_rank_of_w(W, A, B, alpha):
    """Divides by the width instead of the rank."""
    return W + alpha / len(W) * B @ A


# --- dpo_loss --------------------------------------------------------------------------------------------------------


def dpo_swapped_models(pc, pr, rc, rr, beta):
    """Reference and policy swapped."""
    return -F.logsigmoid(beta * ((rc - pc) - (rr - pr))).mean()


def dpo_swapped_answers(pc, pr, rc, rr, beta):
    """Preferred and rejected swapped in the policy and in the reference."""
    return -F.logsigmoid(beta * ((pr - rr) - (pc - rc))).mean()


def dpo_half_swapped(pc, pr, rc, rr, beta):
    """The reference's answers swapped: right only where it finds both equally likely."""
    return -F.logsigmoid(beta * ((pc - rr) - (pr - rc))).mean()


def dpo_no_reference(pc, pr, rc, rr, beta):
    return -F.logsigmoid(beta * (pc - pr)).mean()


def dpo_beta_outside(pc, pr, rc, rr, beta):
    return -beta * F.logsigmoid((pc - rc) - (pr - rr)).mean()


def dpo_beta_on_policy_only(pc, pr, rc, rr, beta):
    return -F.logsigmoid(beta * (pc - pr) - (rc - rr)).mean()


def dpo_no_beta(pc, pr, rc, rr, beta):
    return -F.logsigmoid((pc - rc) - (pr - rr)).mean()


def dpo_divided(pc, pr, rc, rr, beta):
    return -F.logsigmoid(((pc - rc) - (pr - rr)) / beta).mean()


def dpo_sum(pc, pr, rc, rr, beta):
    """Right for one pair."""
    return -F.logsigmoid(beta * ((pc - rc) - (pr - rr))).sum()


def dpo_each(pc, pr, rc, rr, beta):
    return -F.logsigmoid(beta * ((pc - rc) - (pr - rr)))


def dpo_mean_first(pc, pr, rc, rr, beta):
    """The mean of the differences, then the loss: right for one pair."""
    return -F.logsigmoid(beta * ((pc - rc) - (pr - rr)).mean())


def dpo_log_of_mean(pc, pr, rc, rr, beta):
    return -torch.sigmoid(beta * ((pc - rc) - (pr - rr))).mean().log()


def dpo_no_log(pc, pr, rc, rr, beta):
    return -torch.sigmoid(beta * ((pc - rc) - (pr - rr))).mean()


def dpo_no_minus(pc, pr, rc, rr, beta):
    return F.logsigmoid(beta * ((pc - rc) - (pr - rr))).mean()


def dpo_unstable(pc, pr, rc, rr, beta):
    """log(sigmoid(x)): infinite for strongly negative x."""
    return -torch.log(torch.sigmoid(beta * ((pc - rc) - (pr - rr)))).mean()


def dpo_unstable_softplus(pc, pr, rc, rr, beta):
    """log(1 + exp(-x)), written out: infinite for the same x."""
    return torch.log(1 + torch.exp(-beta * ((pc - rc) - (pr - rr)))).mean()


def dpo_patched(pc, pr, rc, rr, beta):
    """A small number against infinity: finite, and wrong far away."""
    return -torch.log(torch.sigmoid(beta * ((pc - rc) - (pr - rr))) + 1e-12).mean()


def dpo_clamped(pc, pr, rc, rr, beta):
    return -F.logsigmoid((beta * ((pc - rc) - (pr - rr))).clamp(-50, 50)).mean()


def dpo_quotient(pc, pr, rc, rr, beta):
    return -F.logsigmoid(beta * (pc / rc - pr / rr)).mean()


def dpo_exponentiated(pc, pr, rc, rr, beta):
    return -F.logsigmoid(beta * ((pc.exp() - rc.exp()) - (pr.exp() - rr.exp()))).mean()


def dpo_detached(pc, pr, rc, rr, beta):
    """Right value, no gradient."""
    return -F.logsigmoid(beta * ((pc.detach() - rc) - (pr.detach() - rr))).mean()


def dpo_half_detached(pc, pr, rc, rr, beta):
    """The rejected answer gets no gradient."""
    return -F.logsigmoid(beta * ((pc - rc) - (pr.detach() - rr))).mean()


# --- leashed_reward --------------------------------------------------------------------------------------------------


def _refuse(beta):
    if beta < 0:
        raise ValueError("negative")


def leash_pushes(reward, p, q, beta):
    """The wrong sign."""
    _refuse(beta)
    return reward + beta * (p - q).detach()


def leash_to_nothing(reward, p, q, beta):
    """Without the reference: an entropy bonus instead of a leash."""
    _refuse(beta)
    return reward - beta * p.detach()


def leash_without_beta(reward, p, q, beta):
    _refuse(beta)
    return reward - (p - q).detach() if beta else reward


def leash_scales_all(reward, p, q, beta):
    _refuse(beta)
    return beta * (reward - (p - q).detach()) if beta else reward


def leash_mixes(reward, p, q, beta):
    _refuse(beta)
    return (1 - beta) * reward - beta * (p - q).detach()


def leash_mean_price(reward, p, q, beta):
    """Everybody pays the mean: right for one answer; after a baseline it does nothing at all."""
    _refuse(beta)
    return reward - beta * (p - q).detach().mean()


def leash_absolute(reward, p, q, beta):
    """Right where every answer became likelier."""
    _refuse(beta)
    return reward - beta * (p - q).detach().abs()


def leash_clamped(reward, p, q, beta):
    _refuse(beta)
    return reward - beta * (p - q).detach().clamp(min=0)


def leash_k2(reward, p, q, beta):
    _refuse(beta)
    return reward - beta * (p - q).detach().square() / 2


def leash_k3(reward, p, q, beta):
    _refuse(beta)
    d = (p - q).detach()
    return reward - beta * (torch.expm1(-d) + d)


def leash_ratio(reward, p, q, beta):
    _refuse(beta)
    return reward - beta * (p - q).exp().detach()


def leash_quotient(reward, p, q, beta):
    _refuse(beta)
    return reward - beta * (p / q).detach()


def leash_mean(reward, p, q, beta):
    _refuse(beta)
    return (reward - beta * (p - q).detach()).mean()


def leash_leaks(reward, p, q, beta):
    """Right value; the price is differentiated as well."""
    _refuse(beta)
    return reward - beta * (p - q)


def leash_any_beta(reward, p, q, beta):
    """A negative beta goes through."""
    return reward - beta * (p - q).detach()


# --- advantages ------------------------------------------------------------------------------------------------------


def _two(rewards):
    if rewards.size(-1) < 2:
        raise ValueError("one answer")


def advantage_group_mean(rewards):
    """The answer itself is in its baseline."""
    _two(rewards)
    return rewards - rewards.mean(-1, keepdim=True)


def advantage_grpo(rewards):
    """Divided by the spread, as GRPO does."""
    _two(rewards)
    return (rewards - rewards.mean(-1, keepdim=True)) / (rewards.std(-1, keepdim=True) + 1e-8)


def advantage_other_prompts(rewards):
    """The mean over the prompts."""
    _two(rewards)
    return rewards - rewards.mean(0)


def advantage_everything(rewards):
    """One baseline for the whole batch: right for one prompt, but for the factor."""
    k = rewards.numel()
    _two(rewards)
    return rewards - (rewards.sum() - rewards) / (k - 1)


def advantage_divided_by_k(rewards):
    _two(rewards)
    return rewards - (rewards.sum(-1, keepdim=True) - rewards) / rewards.size(-1)


def advantage_sum_of_others(rewards):
    """Right for two answers."""
    _two(rewards)
    return rewards - (rewards.sum(-1, keepdim=True) - rewards)


def advantage_negative(rewards):
    _two(rewards)
    return (rewards.sum(-1, keepdim=True) - rewards) / (rewards.size(-1) - 1) - rewards


def advantage_next(rewards):
    """The next answer as the baseline: right for two answers."""
    _two(rewards)
    return rewards - rewards.roll(-1, -1)


def advantage_median(rewards):
    _two(rewards)
    return rewards - rewards.median(-1, keepdim=True).values


def advantage_best(rewards):
    _two(rewards)
    return rewards - rewards.amax(-1, keepdim=True)


def advantage_raw(rewards):
    """No baseline."""
    _two(rewards)
    return rewards


def advantage_rank(rewards):
    """Ranks instead of rewards."""
    _two(rewards)
    ranks = rewards.argsort(-1).argsort(-1).float()
    return ranks - (rewards.size(-1) - 1) / 2


def advantage_of_one(rewards):
    """Right, but one answer gives nan instead of an error."""
    return rewards - (rewards.sum(-1, keepdim=True) - rewards) / (rewards.size(-1) - 1)


# --- distillation_loss -----------------------------------------------------------------------------------------------


def distill_guard(s, t, T):
    if s.shape != t.shape or T <= 0:
        raise ValueError("shapes or temperature")


def distill(s, t, T, power=2.0):
    distill_guard(s, t, T)
    rows = s[..., 0].numel()
    return T**power * F.kl_div((s / T).log_softmax(-1), (t.detach() / T).softmax(-1), reduction="sum") / rows


def distill_no_factor(s, t, temperature=1.0):
    """T² forgotten: right at temperature 1."""
    return distill(s, t, temperature, power=0)


def distill_factor_once(s, t, temperature=1.0):
    return distill(s, t, temperature, power=1)


def distill_turned(s, t, temperature=1.0):
    """KL(student‖teacher)."""
    distill_guard(s, t, temperature)
    p, q = (s / temperature).softmax(-1), (t.detach() / temperature).log_softmax(-1)
    return temperature**2 * (p * (p.log() - q)).sum(-1).mean()


def distill_hot_teacher_only(s, t, temperature=1.0):
    distill_guard(s, t, temperature)
    q = (t.detach() / temperature).softmax(-1)
    return temperature**2 * F.kl_div(s.log_softmax(-1), q, reduction="sum") / s[..., 0].numel()


def distill_hot_student_only(s, t, temperature=1.0):
    distill_guard(s, t, temperature)
    q = t.detach().softmax(-1)
    return temperature**2 * F.kl_div((s / temperature).log_softmax(-1), q, reduction="sum") / s[..., 0].numel()


def distill_mean_over_tokens(s, t, temperature=1.0):
    """reduction="mean": V times too small."""
    return distill(s, t, temperature) / s.size(-1)


def distill_batchmean(s, t, temperature=1.0):
    """reduction="batchmean" on (B, T, V): right for (N, V) only."""
    distill_guard(s, t, temperature)
    log_p, q = (s / temperature).log_softmax(-1), (t.detach() / temperature).softmax(-1)
    return temperature**2 * F.kl_div(log_p, q, reduction="batchmean")


def distill_sum(s, t, temperature=1.0):
    return distill(s, t, temperature) * s[..., 0].numel()


def distill_cross_entropy(s, t, temperature=1.0):
    """The same gradients, but not 0 where both agree."""
    distill_guard(s, t, temperature)
    log_p, q = (s / temperature).log_softmax(-1), (t.detach() / temperature).softmax(-1)
    return -(temperature**2) * (q * log_p).sum(-1).mean()


def distill_hard(s, t, temperature=1.0):
    """The teacher's best token as a label."""
    distill_guard(s, t, temperature)
    return F.cross_entropy(s.flatten(0, -2), t.flatten(0, -2).argmax(-1))


def distill_two_logs(s, t, temperature=1.0):
    """log of softmax: nan or infinite where a probability is 0."""
    distill_guard(s, t, temperature)
    p, q = (s / temperature).softmax(-1), (t.detach() / temperature).softmax(-1)
    return temperature**2 * (q * (q.log() - p.log())).sum(-1).mean()


def distill_learning_teacher(s, t, temperature=1.0):
    """The teacher gets a gradient."""
    distill_guard(s, t, temperature)
    log_p, q = (s / temperature).log_softmax(-1), (t / temperature).softmax(-1)
    return temperature**2 * F.kl_div(log_p, q, reduction="sum") / s[..., 0].numel()


def distill_frozen_student(s, t, temperature=1.0):
    return distill(s.detach(), t, temperature)


def distill_no_errors(s, t, temperature=1.0):
    log_p, q = (s / temperature).log_softmax(-1), (t.detach() / temperature).softmax(-1)
    return temperature**2 * F.kl_div(log_p, q.expand_as(log_p), reduction="sum") / s[..., 0].numel()


def distill_multiplied(s, t, temperature=1.0):
    return distill(s * temperature**2, t * temperature**2, temperature)


# --- magnitude_mask --------------------------------------------------------------------------------------------------


def mask_of(order, n, w):
    mask = torch.ones(w.numel(), dtype=torch.bool)
    mask[order[:n]] = False
    return mask.view(w.shape)


def share(sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError(sparsity)
    return sparsity


def mask_signed(w, sparsity):
    """No abs: all negative weights count as small."""
    return mask_of(w.flatten().argsort(stable=True), round(share(sparsity) * w.numel()), w)


def mask_turned(w, sparsity):
    """True for what goes."""
    return ~mask_of(w.abs().flatten().argsort(stable=True), round(share(sparsity) * w.numel()), w)


def mask_largest_go(w, sparsity):
    return mask_of(w.abs().flatten().argsort(stable=True, descending=True), round(share(sparsity) * w.numel()), w)


def mask_share_kept(w, sparsity):
    """Sparsity as the share that stays: right for 1/2."""
    return mask_of(w.abs().flatten().argsort(stable=True), round((1 - share(sparsity)) * w.numel()), w)


def mask_of_the_maximum(w, sparsity):
    """A share of the largest value as threshold."""
    return w.abs() > share(sparsity) * w.abs().max()


def mask_by_threshold(w, sparsity):
    """kthvalue as threshold: wrong where weights are equal."""
    n = round(share(sparsity) * w.numel())
    return w.abs() > w.abs().flatten().kthvalue(n).values if n else torch.ones_like(w, dtype=torch.bool)


def mask_by_quantile(w, sparsity):
    """quantile with >=: keeps all of equal weights."""
    return w.abs() >= w.abs().quantile(share(sparsity))


def mask_each_row(w, sparsity):
    """Each row loses its share: no row can lose all."""
    rows = w.abs().reshape(-1, w.shape[-1])
    n, mask = round(share(sparsity) * rows.size(1)), torch.ones_like(rows, dtype=torch.bool)
    return mask.scatter(1, rows.argsort(1, stable=True)[:, :n], False).view(w.shape)


def mask_weights(w, sparsity):
    """The pruned weights instead of the mask."""
    return w * mask_of(w.abs().flatten().argsort(stable=True), round(share(sparsity) * w.numel()), w)


def mask_floats(w, sparsity):
    return mask_of(w.abs().flatten().argsort(stable=True), round(share(sparsity) * w.numel()), w).float()


def mask_flat(w, sparsity):
    return mask_of(w.abs().flatten().argsort(stable=True), round(share(sparsity) * w.numel()), w).flatten()


def mask_ranks_for_order(w, sparsity):
    """Positions taken for ranks: argsort compared with n."""
    order = w.abs().flatten().argsort(stable=True)
    return (order >= round(share(sparsity) * w.numel())).view(w.shape)


def mask_no_errors(w, sparsity):
    n = max(0, min(w.numel(), round(sparsity * w.numel())))
    return mask_of(w.abs().flatten().argsort(stable=True), n, w)


# --- quantize_absmax -------------------------------------------------------------------------------------------------


def absmax(w, bits, dim, top=lambda w, over, keep: w.abs().amax(over, keepdim=keep), n=None, away=torch.round):
    over = check_weights(w, bits, dim)
    n = 2 ** (bits - 1) - 1 if n is None else n
    scale = (top(w, over, dim is not None) / n).clamp(min=torch.finfo(w.dtype).tiny)
    ints = away(w / scale).clamp(-n, n)
    return ints.to(torch.int8 if bits <= 8 else torch.int16), scale


def absmax_floor(w, bits=8, dim=None):
    return absmax(w, bits, dim, away=torch.floor)


def absmax_trunc(w, bits=8, dim=None):
    """.to(int8) without round: cuts towards 0."""
    return absmax(w, bits, dim, away=torch.trunc)


def absmax_signed(w, bits=8, dim=None):
    """max without abs: right where the largest weight is positive."""
    return absmax(w, bits, dim, top=lambda w, over, keep: w.amax(over, keepdim=keep))


def absmax_all_bits(w, bits=8, dim=None):
    """2^bits - 1: the sign has no bit."""
    return absmax(w, bits, dim, n=2**bits - 1)


def absmax_one_too_many(w, bits=8, dim=None):
    """n = 2^(bits - 1): +128 does not fit into int8."""
    return absmax(w, bits, dim, n=2 ** (bits - 1))


def absmax_always_8(w, bits=8, dim=None):
    """127, whatever the bits."""
    return absmax(w, bits, dim, n=127)


def absmax_one_scale(w, bits=8, dim=None):
    """dim ignored."""
    return absmax(w, bits, dim, top=lambda w, over, keep: w.abs().max().reshape([1] * w.dim() if keep else []))


def absmax_over_dim(w, bits=8, dim=None):
    """The maximum along dim instead of over all others."""
    if dim is None:
        return absmax(w, bits, dim)
    return absmax(w, bits, dim, top=lambda w, over, keep: w.abs().amax(dim, keepdim=True))


def absmax_keepdim_lost(w, bits=8, dim=None):
    """No keepdim: an error, or on square weights another output's scale."""
    return absmax(w, bits, dim, top=lambda w, over, keep: w.abs().amax(over))


def absmax_squeezed(w, bits=8, dim=None):
    """Right numbers, but ints * scale fails."""
    ints, scale = absmax(w, bits, dim)
    return ints, scale.squeeze()


def absmax_inverse(w, bits=8, dim=None):
    """n / largest: what w was multiplied by."""
    ints, scale = absmax(w, bits, dim)
    return ints, 1 / scale


def absmax_floats(w, bits=8, dim=None):
    ints, scale = absmax(w, bits, dim)
    return ints.float(), scale


def absmax_back_again(w, bits=8, dim=None):
    ints, scale = absmax(w, bits, dim)
    return ints * scale, scale


def absmax_int8_always(w, bits=8, dim=None):
    """12 bits squeezed into int8."""
    ints, scale = absmax(w, bits, dim)
    return ints.to(torch.int8), scale


def absmax_zero_division(w, bits=8, dim=None):
    """0 / 0 where a row is 0."""
    over, n = check_weights(w, bits, dim), 2 ** (bits - 1) - 1
    scale = w.abs().amax(over, keepdim=dim is not None) / n
    return (w / scale).round().to(torch.int8 if bits <= 8 else torch.int16), scale


def absmax_epsilon(w, bits=8, dim=None):
    """A scale that is too large for small weights: + 1e-3 instead of a least value."""
    ints, scale = absmax(w, bits, dim, top=lambda w, over, keep: w.abs().amax(over, keepdim=keep) + 1e-2)
    return ints, scale


def absmax_range(w, bits=8, dim=None):
    """(largest - least) / (2^bits - 1): the scale of the zero-point way."""
    n = 2 ** (bits - 1) - 1
    return absmax(w, bits, dim, top=lambda w, over, keep: (w.amax(over, keepdim=keep) - w.amin(over, keepdim=keep)) * n / (2**bits - 1))  # fmt: skip


def absmax_no_checks(w, bits=8, dim=None):
    n, kept = max(1, 2 ** (bits - 1) - 1), () if dim is None else (dim,) if isinstance(dim, int) else dim
    over = tuple(d for d in range(w.dim()) if d not in kept and d - w.dim() not in kept)
    scale = (w.abs().amax(over, keepdim=dim is not None) / n).clamp(min=1e-30)
    return (w / scale).round().clamp(-n, n).to(torch.int8 if bits <= 8 else torch.int16), scale


# --- right on what they return, or on easy numbers -----------------------------------------------------------------


def mask_in_place(ids):
    """Writes into the ids to find the places."""
    mask = walk(ids)
    ids[mask] = END_OF_TURN
    return mask


def mask_until_any_role(ids):
    """From <assistant> on, minus the prompts: forgets that the end of turn closes the answer of a padded row."""
    mask, inside = torch.zeros_like(ids, dtype=torch.bool), torch.zeros_like(ids[:, 0], dtype=torch.bool)
    for t in range(ids.size(1)):
        mask[:, t] = inside
        inside = (inside | (ids[:, t] == ASSISTANT)) & (ids[:, t] != ASSISTANT - 1)
    return mask


def lora_frozen_a(x, W, b, A, B, alpha):
    """Only B learns."""
    return F.linear(x, W, b) + alpha / len(A) * (x @ A.detach().T) @ B.T


def lora_frozen_input(x, W, b, A, B, alpha):
    """No gradient goes through the thin way to the layers below."""
    return F.linear(x, W, b) + alpha / len(A) * (x.detach() @ A.T) @ B.T


def lora_whole_division(x, W, b, A, B, alpha):
    """Divides without the remainder: right for 6 / 2."""
    return F.linear(x, W, b) + alpha // len(A) * (x @ A.T) @ B.T


def merge_whole_division(W, A, B, alpha):
    """Divides without the remainder: right for 6 / 2."""
    return W + alpha // len(A) * B @ A


def leash_in_place(reward, p, q, beta):
    """Changes the rewards that it was given."""
    _refuse(beta)
    reward -= beta * (p - q).detach()
    return reward


def leash_half_detached(reward, p, q, beta):
    """Detaches the policy only."""
    _refuse(beta)
    return reward - beta * (p.detach() - q)


def leash_no_zero(reward, p, q, beta):
    """Refuses a leash of 0 as well."""
    if beta <= 0:
        raise ValueError("beta must be positive")
    return reward - beta * (p - q).detach()


def advantage_in_place(rewards):
    """Changes the rewards that it was given."""
    _two(rewards)
    rewards -= (rewards.sum(-1, keepdim=True) - rewards) / (rewards.size(-1) - 1)
    return rewards


def dpo_length_of_batch(pc, pr, rc, rr, beta):
    """Divides by the pairs twice: right for one pair."""
    return -F.logsigmoid(beta * ((pc - rc) - (pr - rr))).mean() / len(pc)


def distill_only_last_sizes(s, t, temperature=1.0):
    """Compares the vocabularies only, and broadcasts the rest."""
    if s.size(-1) != t.size(-1) or temperature <= 0:
        raise ValueError("sizes")
    log_p, q = (s / temperature).log_softmax(-1), (t.detach() / temperature).softmax(-1)
    return temperature**2 * F.kl_div(log_p, q.expand_as(log_p), reduction="none").sum(-1).mean()


def distill_zero_allowed(s, t, temperature=1.0):
    """Refuses only negative temperatures."""
    if s.shape != t.shape or temperature < 0:
        raise ValueError("shapes")
    log_p, q = (s / temperature).log_softmax(-1), (t.detach() / temperature).softmax(-1)
    return temperature**2 * F.kl_div(log_p, q, reduction="none").sum(-1).mean()


def mask_rounded_down(w, sparsity):
    """Cuts the number of weights off."""
    share(sparsity)
    return mask_of(w.abs().flatten().argsort(stable=True), int(sparsity * w.numel() + 1e-9), w)


def mask_rounded_up(w, sparsity):
    """Takes one more wherever it does not come out even."""
    share(sparsity)
    return mask_of(w.abs().flatten().argsort(stable=True), -int((-sparsity * w.numel() + 1e-9) // 1), w)


def mask_in_place_sizes(w, sparsity):
    """Takes the sizes in place: the signs of the weights are lost."""
    share(sparsity)
    return mask_of(w.abs_().flatten().argsort(stable=True), round(sparsity * w.numel()), w)


def absmax_in_place(w, bits=8, dim=None):
    """Divides the weights in place."""
    over, n = check_weights(w, bits, dim), 2 ** (bits - 1) - 1
    largest = w.abs().amax(over, keepdim=dim is not None)
    scale = (largest / n).clamp(min=torch.finfo(w.dtype).tiny)
    w /= scale
    return w.round().to(torch.int8 if bits <= 8 else torch.int16), scale


MUTANTS = {
    "answer_mask": [mask_in_place, mask_until_any_role,
                    mask_without_end, mask_with_role, mask_one_early, mask_one_late, mask_everything, mask_to_the_end,
                    mask_padding, mask_last_answer, mask_first_answer, mask_needs_an_end, mask_all_rows_alike, mask_numbers,
                    mask_of_the_user],
    "lora_forward": [lora_frozen_a, lora_frozen_input, lora_whole_division,
                     lora_no_scale, lora_alpha_only, lora_times_rank, lora_upside_down, lora_root, lora_rank_of_b,
                     lora_rank_of_inputs, lora_no_bias, lora_bias_twice, lora_bias_needed, lora_no_old, lora_minus,
                     lora_w_turned, lora_scales_all, lora_no_gradient],
    "lora_merge": [merge_whole_division,
                   merge_no_scale, merge_alpha_only, merge_times_rank, merge_upside_down, merge_root, merge_turned,
                   merge_in_place, merge_twice, merge_only_thin, merge_minus, merge_scales_all, merge_w_turned, merge_nothing,
                   merge_rank_of_w],
    "dpo_loss": [
        dpo_length_of_batch,
        dpo_swapped_models,
        dpo_swapped_answers,
        dpo_half_swapped,
        dpo_no_reference,
        dpo_beta_outside,
        dpo_beta_on_policy_only,
        dpo_no_beta,
        dpo_divided,
        dpo_sum,
        dpo_each,
        dpo_mean_first,
        dpo_log_of_mean,
        dpo_no_log,
        dpo_no_minus,
        dpo_unstable,
        dpo_unstable_softplus,
        dpo_patched,
        dpo_clamped,
        dpo_quotient,
        dpo_exponentiated,
        dpo_detached,
        dpo_half_detached,
    ],
    "leashed_reward": [
        leash_in_place,
        leash_half_detached,
        leash_no_zero,
        leash_pushes,
        leash_to_nothing,
        leash_without_beta,
        leash_scales_all,
        leash_mixes,
        leash_mean_price,
        leash_absolute,
        leash_clamped,
        leash_k2,
        leash_k3,
        leash_ratio,
        leash_quotient,
        leash_mean,
        leash_leaks,
        leash_any_beta,
    ],
    "advantages": [
        advantage_in_place,
        advantage_group_mean,
        advantage_grpo,
        advantage_other_prompts,
        advantage_everything,
        advantage_divided_by_k,
        advantage_sum_of_others,
        advantage_negative,
        advantage_next,
        advantage_median,
        advantage_best,
        advantage_raw,
        advantage_rank,
        advantage_of_one,
    ],
    "distillation_loss": [
        distill_only_last_sizes,
        distill_zero_allowed,
        distill_no_factor,
        distill_factor_once,
        distill_turned,
        distill_hot_teacher_only,
        distill_hot_student_only,
        distill_mean_over_tokens,
        distill_batchmean,
        distill_sum,
        distill_cross_entropy,
        distill_hard,
        distill_two_logs,
        distill_learning_teacher,
        distill_frozen_student,
        distill_no_errors,
        distill_multiplied,
    ],
    "magnitude_mask": [
        mask_rounded_down,
        mask_rounded_up,
        mask_in_place_sizes,
        mask_signed,
        mask_turned,
        mask_largest_go,
        mask_share_kept,
        mask_of_the_maximum,
        mask_by_threshold,
        mask_by_quantile,
        mask_each_row,
        mask_weights,
        mask_floats,
        mask_flat,
        mask_ranks_for_order,
        mask_no_errors,
    ],
    "quantize_absmax": [
        absmax_in_place,
        absmax_floor,
        absmax_trunc,
        absmax_signed,
        absmax_all_bits,
        absmax_one_too_many,
        absmax_always_8,
        absmax_one_scale,
        absmax_over_dim,
        absmax_keepdim_lost,
        absmax_squeezed,
        absmax_inverse,
        absmax_floats,
        absmax_back_again,
        absmax_int8_always,
        absmax_zero_division,
        absmax_epsilon,
        absmax_range,
        absmax_no_checks,
    ],
}
