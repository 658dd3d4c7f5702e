"""Right answers to the exercises of lesson 20, each of another style than the reference."""

import math

import numpy as np
import torch
import torch.nn.functional as F
from answers import Answers

right = Answers()


# --- dpo_loss -------------------------------------------------------------------------------------


def must_fit(beta, first, *others):
    if any(x.shape != first.shape for x in others):
        raise ValueError("unlike shapes")
    if beta <= 0:
        raise ValueError(f"beta={beta}")


@right("dpo_loss")
def with_softplus(policy_chosen, policy_rejected, reference_chosen, reference_rejected, beta):
    must_fit(beta, policy_chosen, policy_rejected, reference_chosen, reference_rejected)
    policy = policy_chosen - policy_rejected
    reference = reference_chosen - reference_rejected
    return F.softplus(beta * (reference - policy)).mean()


@right("dpo_loss")
def with_binary_cross_entropy(
    policy_chosen, policy_rejected, reference_chosen, reference_rejected, beta
):
    must_fit(beta, policy_chosen, policy_rejected, reference_chosen, reference_rejected)
    gap = policy_chosen - policy_rejected - reference_chosen + reference_rejected
    return F.binary_cross_entropy_with_logits(beta * gap, torch.ones_like(gap))


@right("dpo_loss")
def with_cross_entropy(policy_chosen, policy_rejected, reference_chosen, reference_rejected, beta):
    """Two classes, of which the first is right."""
    must_fit(beta, policy_chosen, policy_rejected, reference_chosen, reference_rejected)
    policy = torch.stack([policy_chosen, policy_rejected], dim=1)
    reference = torch.stack([reference_chosen, reference_rejected], dim=1)
    first = torch.zeros(len(policy), dtype=torch.long)
    return F.cross_entropy(beta * (policy - reference), first)


@right("dpo_loss")
def with_logaddexp(policy_chosen, policy_rejected, reference_chosen, reference_rejected, beta):
    must_fit(beta, policy_chosen, policy_rejected, reference_chosen, reference_rejected)
    chosen = beta * (policy_chosen - reference_chosen)
    rejected = beta * (policy_rejected - reference_rejected)
    return (torch.logaddexp(chosen, rejected) - chosen).mean()


@right("dpo_loss")
def pair_by_pair(policy_chosen, policy_rejected, reference_chosen, reference_rejected, beta):
    four = (policy_chosen, policy_rejected, reference_chosen, reference_rejected)
    must_fit(beta, *four)
    total = 0.0
    for a, b, c, d in zip(*four, strict=True):
        x = beta * ((a - c) - (b - d))
        total = total + x.neg().clamp(min=0) + torch.log1p(torch.exp(-x.abs()))
    return total / len(policy_chosen)


@right("dpo_loss")
def in_float64_with_logsumexp(
    policy_chosen, policy_rejected, reference_chosen, reference_rejected, beta
):
    must_fit(beta, policy_chosen, policy_rejected, reference_chosen, reference_rejected)
    policy = torch.stack([policy_chosen, policy_rejected]).double()
    rewards = beta * (policy - torch.stack([reference_chosen, reference_rejected]).double())
    return (rewards.logsumexp(0) - rewards[0]).mean().to(policy_chosen.dtype)


# --- leashed_reward -------------------------------------------------------------------------------


def must_pull_back(beta):
    if not beta >= 0:
        raise ValueError(f"beta={beta}")


@right("leashed_reward")
@torch.no_grad()
def without_gradients(reward, policy_log_prob, reference_log_prob, beta):
    must_pull_back(beta)
    return reward - beta * policy_log_prob + beta * reference_log_prob


@right("leashed_reward")
def detached_at_the_end(reward, policy_log_prob, reference_log_prob, beta):
    must_pull_back(beta)
    log_ratio = policy_log_prob - reference_log_prob
    return torch.sub(reward, log_ratio, alpha=beta).detach()


@right("leashed_reward")
def through_numpy_in_float64(reward, policy_log_prob, reference_log_prob, beta):
    must_pull_back(beta)
    r, p, q = (
        x.detach().numpy().astype(np.float64) for x in (reward, policy_log_prob, reference_log_prob)
    )
    return torch.as_tensor(r + beta * (q - p)).to(reward.dtype)


@right("leashed_reward")
def number_by_number(reward, policy_log_prob, reference_log_prob, beta):
    if beta < 0:
        raise ValueError("beta is negative")
    flat = zip(
        reward.flatten().tolist(),
        policy_log_prob.flatten().tolist(),
        reference_log_prob.flatten().tolist(),
        strict=True,
    )
    leashed = [r - beta * (p - q) for r, p, q in flat]
    return torch.tensor(leashed, dtype=reward.dtype).reshape(reward.shape)


@right("leashed_reward")
def with_lerp(reward, policy_log_prob, reference_log_prob, beta):
    """From reward - policy + reference back to the reward: a share of 1 - beta of the way."""
    must_pull_back(beta)
    with torch.inference_mode():
        whole_price = reward.double() - policy_log_prob + reference_log_prob
        leashed = torch.lerp(reward.double(), whole_price, beta)
    return leashed.clone().to(reward.dtype)


# --- advantages -----------------------------------------------------------------------------------


def must_have_others(rewards):
    if rewards.shape[1] < 2:
        raise ValueError("one answer alone")


@right("advantages")
def centred_and_stretched(rewards):
    """r - mean of the others = k / (k - 1) · (r - mean of all)."""
    must_have_others(rewards)
    k = rewards.shape[1]
    return (rewards - rewards.mean(1, keepdim=True)) * k / (k - 1)


@right("advantages")
def with_a_matrix(rewards):
    must_have_others(rewards)
    k = rewards.size(1)
    others = (1 - torch.eye(k, dtype=rewards.dtype)) / (k - 1)
    return rewards - rewards @ others


@right("advantages")
def in_loops(rewards):
    must_have_others(rewards)
    out = torch.empty_like(rewards)
    for b, row in enumerate(rewards):
        for i in range(len(row)):
            out[b, i] = row[i] - torch.cat([row[:i], row[i + 1 :]]).mean()
    return out


@right("advantages")
def as_the_mean_of_differences(rewards):
    must_have_others(rewards)
    differences = rewards[:, :, None] - rewards[:, None, :]
    return differences.sum(2) / (rewards.size(1) - 1)


@right("advantages")
def through_numpy_with_delete(rewards):
    must_have_others(rewards)
    x = rewards.numpy().astype(np.float64)
    baselines = [np.delete(x, i, axis=1).mean(axis=1) for i in range(x.shape[1])]
    return torch.from_numpy(x - np.stack(baselines, axis=1)).to(rewards.dtype)


@right("advantages")
def with_a_mask_and_einsum(rewards):
    must_have_others(rewards)
    k = rewards.size(-1)
    other = ~torch.eye(k, dtype=torch.bool)
    return rewards - torch.einsum("bj,ij->bi", rewards, other.to(rewards.dtype)) / (k - 1)


@right("advantages")
def in_plain_python(rewards):
    table = rewards.tolist()
    if any(len(row) < 2 for row in table):
        raise ValueError("there are no others")
    return torch.tensor(
        [[x - (math.fsum(row) - x) / (len(row) - 1) for x in row] for row in table],
        dtype=rewards.dtype,
    )


# --- bradley_terry_loss ---------------------------------------------------------------------------


@right("bradley_terry_loss")
def terry_softplus(chosen, rejected):
    return F.softplus(rejected - chosen).mean()


@right("bradley_terry_loss")
def terry_cross_entropy(chosen, rejected):
    first = torch.zeros(len(chosen), dtype=torch.long, device=chosen.device)
    return F.cross_entropy(torch.stack([chosen, rejected], dim=1), first)


@right("bradley_terry_loss")
def terry_logaddexp(chosen, rejected):
    return (torch.logaddexp(chosen, rejected) - chosen).sum() / len(chosen)


# --- clipped_loss ---------------------------------------------------------------------------------


@right("clipped_loss")
def clipped_by_cases(log_probs, old_log_probs, advantage, mask, clip=0.2):
    """What the minimum means: a good token counts up to 1 + clip, a bad one down to 1 - clip."""
    if clip <= 0:
        raise ValueError("clip must be positive")
    ratio = torch.exp(log_probs - old_log_probs.detach())
    a = advantage.unsqueeze(-1)
    counted = torch.where(a > 0, ratio.clamp(max=1 + clip), ratio.clamp(min=1 - clip))
    each = torch.where(mask, counted * a, torch.zeros(()))
    return -(each.sum(2) / mask.sum(2)).mean()


@right("clipped_loss")
def clipped_as_a_larger_loss(log_probs, old_log_probs, advantage, mask, clip=0.2):
    if not clip > 0:
        raise ValueError("clip must be positive")
    ratio = log_probs.sub(old_log_probs.detach()).exp()
    a = advantage[:, :, None].expand_as(ratio)
    loss = torch.max(-a * ratio, -a * torch.clip(ratio, 1 - clip, 1 + clip))
    weight = mask / mask.sum(-1, keepdim=True)
    return (loss * weight).sum() / advantage.numel()


@right("clipped_loss")
def clipped_in_loops(log_probs, old_log_probs, advantage, mask, clip=0.2):
    if clip <= 0:
        raise ValueError("clip must be positive")
    losses = []
    for new, old, a, counts in zip(
        log_probs.flatten(0, 1),
        old_log_probs.detach().flatten(0, 1),
        advantage.flatten(),
        mask.flatten(0, 1),
        strict=True,
    ):
        ratio = (new[counts] - old[counts]).exp()
        losses.append(-torch.minimum(ratio * a, ratio.clamp(1 - clip, 1 + clip) * a).mean())
    return torch.stack(losses).mean()


# --- varied_reward --------------------------------------------------------------------------------


@right("varied_reward")
def varied_half_for_copies(right, texts):
    once = torch.tensor([[row.count(text) == 1 for text in row] for row in texts])
    return right * torch.where(once, 1.0, 0.5)


@right("varied_reward")
def varied_in_loops(right, texts):
    rewards = torch.zeros_like(right)
    for b, row in enumerate(texts):
        for i, text in enumerate(row):
            if right[b, i]:
                rewards[b, i] = 1 - 0.9 * (row.count(text) - 1) / len(row)
    return rewards


@right("varied_reward")
def varied_with_roots(right, texts):
    counts = [{text: row.count(text) for text in set(row)} for row in texts]
    return torch.tensor(
        [
            [is_right / math.sqrt(count[text]) for is_right, text in zip(values, row, strict=True)]
            for values, row, count in zip(right.tolist(), texts, counts, strict=True)
        ]
    )
