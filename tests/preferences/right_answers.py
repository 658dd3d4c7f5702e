"""Right answers of another style to the exercises on preferences and rewards."""

import torch
import torch.nn.functional as F
from answers import Answers

right = Answers()


def checked(*logs, beta):
    if any(x.shape != logs[0].shape for x in logs) or beta <= 0:
        raise ValueError("unlike shapes, or beta is not above 0")


@right("dpo_loss")
def with_softplus(policy_chosen, policy_rejected, reference_chosen, reference_rejected, beta):
    checked(policy_chosen, policy_rejected, reference_chosen, reference_rejected, beta=beta)
    of_policy = policy_chosen - policy_rejected
    of_reference = reference_chosen - reference_rejected
    return F.softplus(-beta * (of_policy - of_reference)).mean()


@right("dpo_loss")
def as_cross_entropy(policy_chosen, policy_rejected, reference_chosen, reference_rejected, beta):
    checked(policy_chosen, policy_rejected, reference_chosen, reference_rejected, beta=beta)
    rewards = torch.stack(
        [policy_chosen - reference_chosen, policy_rejected - reference_rejected], dim=-1
    )
    return F.cross_entropy(beta * rewards, torch.zeros(len(rewards), dtype=torch.long))


@right("dpo_loss")
def with_logaddexp(policy_chosen, policy_rejected, reference_chosen, reference_rejected, beta):
    checked(policy_chosen, policy_rejected, reference_chosen, reference_rejected, beta=beta)
    good = beta * (policy_chosen - reference_chosen)
    bad = beta * (policy_rejected - reference_rejected)
    return (torch.logaddexp(good, bad) - good).sum() / good.numel()


def checked_leash(beta):
    if beta < 0:
        raise ValueError("beta is 0 or more")


@right("leashed_reward")
def under_no_grad(reward, policy_log_prob, reference_log_prob, beta):
    checked_leash(beta)
    with torch.no_grad():
        return reward - beta * policy_log_prob + beta * reference_log_prob


@right("leashed_reward")
def detached_at_the_end(reward, policy_log_prob, reference_log_prob, beta):
    checked_leash(beta)
    return (reward - beta * (policy_log_prob - reference_log_prob)).detach()


@right("leashed_reward")
def with_sub(reward, policy_log_prob, reference_log_prob, beta):
    checked_leash(beta)
    price = policy_log_prob.detach().sub(reference_log_prob.detach())
    return torch.sub(reward.detach(), price, alpha=beta)


def checked_answers(rewards):
    if rewards.shape[-1] < 2:
        raise ValueError("give two answers at least")


@right("advantages")
def by_the_mean(rewards):
    checked_answers(rewards)
    k = rewards.shape[-1]
    return (rewards - rewards.mean(-1, keepdim=True)) * k / (k - 1)


@right("advantages")
def answer_by_answer(rewards):
    checked_answers(rewards)
    k = rewards.shape[-1]
    columns = []
    for i in range(k):
        others = [j for j in range(k) if j != i]
        columns.append(rewards[..., i] - rewards[..., others].mean(-1))
    return torch.stack(columns, dim=-1)


@right("advantages")
def with_a_matrix(rewards):
    checked_answers(rewards)
    k = rewards.shape[-1]
    others = (torch.ones(k, k) - torch.eye(k)) / (k - 1)
    return rewards @ (torch.eye(k) - others).to(rewards.dtype)
