"""Wrong answers to the exercises of lesson 20: mistakes that people make. Every checker must reject
every one.
"""

import torch
import torch.nn.functional as F
from answers import WrongAnswers

from course_utils.preferences import pairwise as preferences

wrong = WrongAnswers()


# --- dpo_loss -------------------------------------------------------------------------------------


@wrong(
    "dpo_loss",
    says="the sign is turned round: inside is policy minus reference, preferred minus rejected",
)
def dpo_swapped_models(pc, pr, rc, rr, beta):
    """Reference and policy swapped."""
    return -F.logsigmoid(beta * ((rc - pc) - (rr - pr))).mean()


@wrong(
    "dpo_loss",
    says="the sign is turned round: inside is policy minus reference, preferred minus rejected",
)
def dpo_swapped_answers(pc, pr, rc, rr, beta):
    """Preferred and rejected swapped in the policy and in the reference."""
    return -F.logsigmoid(beta * ((pr - rr) - (pc - rc))).mean()


@wrong("dpo_loss", says="the reference's share has the wrong sign: subtract its log-probabilities")
def dpo_half_swapped(pc, pr, rc, rr, beta):
    """The reference's answers swapped: right only where it finds both equally likely."""
    return -F.logsigmoid(beta * ((pc - rr) - (pr - rc))).mean()


@wrong("dpo_loss", says="only the policy is in it: subtract the reference's log-probabilities")
def dpo_no_reference(pc, pr, rc, rr, beta):
    return -F.logsigmoid(beta * (pc - pr)).mean()


@wrong("dpo_loss", says="beta belongs inside of the sigmoid, as a factor of the difference")
def dpo_beta_outside(pc, pr, rc, rr, beta):
    return -beta * F.logsigmoid((pc - rc) - (pr - rr)).mean()


@wrong("dpo_loss", says="beta multiplies the reference's share as well")
def dpo_beta_on_policy_only(pc, pr, rc, rr, beta):
    return -F.logsigmoid(beta * (pc - pr) - (rc - rr)).mean()


@wrong("dpo_loss", says="beta is missing")
def dpo_no_beta(pc, pr, rc, rr, beta):
    return -F.logsigmoid((pc - rc) - (pr - rr)).mean()


@wrong("dpo_loss", says="beta multiplies the difference; you divided by it")
def dpo_divided(pc, pr, rc, rr, beta):
    return -F.logsigmoid(((pc - rc) - (pr - rr)) / beta).mean()


@wrong("dpo_loss", says="take the mean over the pairs, not the sum")
def dpo_sum(pc, pr, rc, rr, beta):
    """Right for one pair."""
    return -F.logsigmoid(beta * ((pc - rc) - (pr - rr))).sum()


@wrong("dpo_loss", says="take the mean over the pairs; you returned one loss for each")
def dpo_each(pc, pr, rc, rr, beta):
    return -F.logsigmoid(beta * ((pc - rc) - (pr - rr)))


@wrong("dpo_loss", says="average at the end: first the loss of each pair, then the mean")
def dpo_mean_first(pc, pr, rc, rr, beta):
    """The mean of the differences, then the loss: right for one pair."""
    return -F.logsigmoid(beta * ((pc - rc) - (pr - rr)).mean())


@wrong("dpo_loss", says="first the logarithm of each pair's sigmoid, then the mean")
def dpo_log_of_mean(pc, pr, rc, rr, beta):
    return -torch.sigmoid(beta * ((pc - rc) - (pr - rr))).mean().log()


@wrong("dpo_loss", says="the loss is minus the logarithm of the sigmoid; the logarithm is missing")
def dpo_no_log(pc, pr, rc, rr, beta):
    return -torch.sigmoid(beta * ((pc - rc) - (pr - rr))).mean()


@wrong("dpo_loss", says="a loss goes down when things get better: put a minus before the logarithm")
def dpo_no_minus(pc, pr, rc, rr, beta):
    return F.logsigmoid(beta * ((pc - rc) - (pr - rr))).mean()


@wrong(
    "dpo_loss",
    says=". The sigmoid becomes exactly 0 there: take F.logsigmoid, not the logarithm of a sigmoid.",
)
def dpo_unstable(pc, pr, rc, rr, beta):
    """log(sigmoid(x)): infinite for strongly negative x."""
    return -torch.log(torch.sigmoid(beta * ((pc - rc) - (pr - rr)))).mean()


@wrong(
    "dpo_loss",
    says=". The sigmoid becomes exactly 0 there: take F.logsigmoid, not the logarithm of a sigmoid.",
)
def dpo_unstable_softplus(pc, pr, rc, rr, beta):
    """log(1 + exp(-x)), written out: infinite for the same x."""
    return torch.log(1 + torch.exp(-beta * ((pc - rc) - (pr - rr)))).mean()


@wrong(
    "dpo_loss",
    says="however far they are apart. Cut nothing off, and add no small number inside of",
)
def dpo_patched(pc, pr, rc, rr, beta):
    """A small number against infinity: finite, and wrong far away."""
    return -torch.log(torch.sigmoid(beta * ((pc - rc) - (pr - rr))) + 1e-12).mean()


@wrong(
    "dpo_loss",
    says="however far they are apart. Cut nothing off, and add no small number inside of",
)
def dpo_clamped(pc, pr, rc, rr, beta):
    return -F.logsigmoid((beta * ((pc - rc) - (pr - rr))).clamp(-50, 50)).mean()


@wrong("dpo_loss", says="logarithms are subtracted, not divided")
def dpo_quotient(pc, pr, rc, rr, beta):
    return -F.logsigmoid(beta * (pc / rc - pr / rr)).mean()


@wrong("dpo_loss", says="they are log-probabilities already: subtract them, without exp")
def dpo_exponentiated(pc, pr, rc, rr, beta):
    return -F.logsigmoid(beta * ((pc.exp() - rc.exp()) - (pr.exp() - rr.exp()))).mean()


@wrong(
    "dpo_loss",
    says="lets no gradient flow back, so nothing could be trained through this",
)
def dpo_detached(pc, pr, rc, rr, beta):
    """Right value, no gradient."""
    return preferences.dpo_loss(pc.detach(), pr.detach(), rc, rr, beta)


@wrong("dpo_loss", says="must raise ValueError")
def dpo_unchecked(pc, pr, rc, rr, beta):
    """Takes any beta."""
    return -F.logsigmoid(beta * ((pc - rc) - (pr - rr))).mean()


@wrong("dpo_loss", says="that is a straight line without the sigmoid")
def dpo_line(pc, pr, rc, rr, beta):
    """The mean margin alone, which has no end."""
    return -(beta * ((pc - rc) - (pr - rr))).mean()


@wrong("dpo_loss", says="that is a hinge; the loss is minus the logarithm of a sigmoid")
def dpo_hinge(pc, pr, rc, rr, beta):
    """Another loss for pairs."""
    return F.relu(1 - beta * ((pc - rc) - (pr - rr))).mean()


@wrong("dpo_loss", says="the rejected answer is missing")
def dpo_preferred_only(pc, pr, rc, rr, beta):
    """Raises the preferred answer, and forgets the other one."""
    return -F.logsigmoid(beta * (pc - rc)).mean()


# --- leashed_reward -------------------------------------------------------------------------------


def _refuse(beta):
    if beta < 0:
        raise ValueError("negative")


@wrong("leashed_reward", says="the leash pushes away: subtract the price")
def leash_pushes(reward, p, q, beta):
    """The wrong sign."""
    _refuse(beta)
    return reward + beta * (p - q).detach()


@wrong(
    "leashed_reward",
    says="the reference is missing: the price is the difference of the log-probabilities",
)
def leash_to_nothing(reward, p, q, beta):
    """Without the reference: an entropy bonus instead of a leash."""
    _refuse(beta)
    return reward - beta * p.detach()


@wrong("leashed_reward", says="beta is missing")
def leash_without_beta(reward, p, q, beta):
    _refuse(beta)
    return reward - (p - q).detach() if beta else reward


@wrong("leashed_reward", says="beta belongs to the price alone, not to the reward")
def leash_scales_all(reward, p, q, beta):
    _refuse(beta)
    return beta * (reward - (p - q).detach()) if beta else reward


@wrong("leashed_reward", says="the reward stays whole: beta is a price, not a mixture")
def leash_mixes(reward, p, q, beta):
    _refuse(beta)
    return (1 - beta) * reward - beta * (p - q).detach()


@wrong("leashed_reward", says="each answer pays its own price, not the mean of all")
def leash_mean_price(reward, p, q, beta):
    """Everybody pays the mean: right for one answer; after a baseline it does nothing at all."""
    _refuse(beta)
    return reward - beta * (p - q).detach().mean()


@wrong(
    "leashed_reward",
    says="some answers are likelier now and some less likely: do not take the absolute value",
)
def leash_absolute(reward, p, q, beta):
    """Right where every answer became likelier."""
    _refuse(beta)
    return reward - beta * (p - q).detach().abs()


@wrong(
    "leashed_reward",
    says="an answer that became less likely gets something back: do not cut the price off at 0",
)
def leash_clamped(reward, p, q, beta):
    _refuse(beta)
    return reward - beta * (p - q).detach().clamp(min=0)


@wrong("leashed_reward", says="the price is the log-ratio itself, not its square")
def leash_k2(reward, p, q, beta):
    _refuse(beta)
    return reward - beta * (p - q).detach().square() / 2


@wrong("leashed_reward", says="the price is the log-ratio itself, not k3")
def leash_k3(reward, p, q, beta):
    _refuse(beta)
    d = (p - q).detach()
    return reward - beta * (torch.expm1(-d) + d)


@wrong(
    "leashed_reward",
    says="subtract the logarithms; the ratio of the probabilities is something else",
)
def leash_ratio(reward, p, q, beta):
    _refuse(beta)
    return reward - beta * (p - q).exp().detach()


@wrong("leashed_reward", says="logarithms are subtracted, not divided")
def leash_quotient(reward, p, q, beta):
    _refuse(beta)
    return reward - beta * (p / q).detach()


@wrong("leashed_reward", says="one number for each answer: leave the mean to others")
def leash_mean(reward, p, q, beta):
    _refuse(beta)
    return (reward - beta * (p - q).detach()).mean()


@wrong("leashed_reward", says="lets a gradient through to the policy. It is a number to weigh with")
def leash_leaks(reward, p, q, beta):
    """Right value; the price is differentiated as well."""
    _refuse(beta)
    return reward - beta * (p - q)


@wrong("leashed_reward", says="must raise ValueError")
def leash_any_beta(reward, p, q, beta):
    """A negative beta goes through."""
    return reward - beta * (p - q).detach()


@wrong(
    "leashed_reward",
    says="the policy is missing: the price is the difference of the log-probabilities",
)
def leash_without_policy(reward, p, q, beta):
    """What is likely under the reference gets a bonus, whatever the policy does."""
    _refuse(beta)
    return reward + beta * q.detach()


@wrong("leashed_reward", says="beta multiplies the price; you divided by it")
def leash_divided(reward, p, q, beta):
    """A temperature instead of a factor."""
    _refuse(beta)
    return reward - (p - q).detach() / beta if beta else reward


@wrong("leashed_reward", says="the price is subtracted, the reward is not multiplied by it")
def leash_weighs(reward, p, q, beta):
    """Weighs the reward by the power of the ratio."""
    _refuse(beta)
    return reward * (-beta * (p - q).detach()).exp()


# --- advantages -----------------------------------------------------------------------------------


def _two(rewards):
    if rewards.size(-1) < 2:
        raise ValueError("one answer")


@wrong("advantages", says="the mean holds the answer itself; leave it out")
def advantage_group_mean(rewards):
    """The answer itself is in its baseline."""
    _two(rewards)
    return rewards - rewards.mean(-1, keepdim=True)


@wrong("advantages", says="nothing is divided by the spread here. Expected")
def advantage_grpo(rewards):
    """Divided by the spread, as GRPO does."""
    _two(rewards)
    return (rewards - rewards.mean(-1, keepdim=True)) / (rewards.std(-1, keepdim=True) + 1e-8)


@wrong("advantages", says="compare within a prompt, that is within a row")
def advantage_other_prompts(rewards):
    """The mean over the prompts."""
    _two(rewards)
    return rewards - rewards.mean(0)


@wrong(
    "advantages",
    says="compare within a prompt; you took the mean of the other answers to all prompts",
)
def advantage_everything(rewards):
    """One baseline for the whole batch: right for one prompt, but for the factor."""
    k = rewards.numel()
    _two(rewards)
    return rewards - (rewards.sum() - rewards) / (k - 1)


@wrong("advantages", says="there are k - 1 others: divide their sum by k - 1, not by k")
def advantage_divided_by_k(rewards):
    _two(rewards)
    return rewards - (rewards.sum(-1, keepdim=True) - rewards) / rewards.size(-1)


@wrong("advantages", says="take the mean of the others, not their sum")
def advantage_sum_of_others(rewards):
    """Right for two answers."""
    _two(rewards)
    return rewards - (rewards.sum(-1, keepdim=True) - rewards)


@wrong("advantages", says="the sign is turned round: better than the others is positive")
def advantage_negative(rewards):
    _two(rewards)
    return (rewards.sum(-1, keepdim=True) - rewards) / (rewards.size(-1) - 1) - rewards


@wrong(
    "advantages", says="subtract the mean of all others, not the reward of the next answer alone"
)
def advantage_next(rewards):
    """The next answer as the baseline: right for two answers."""
    _two(rewards)
    return rewards - rewards.roll(-1, -1)


@wrong("advantages", says="take the mean, not the median")
def advantage_median(rewards):
    _two(rewards)
    return rewards - rewards.median(-1, keepdim=True).values


@wrong("advantages", says="subtract the mean of the others, not the best of all")
def advantage_best(rewards):
    _two(rewards)
    return rewards - rewards.amax(-1, keepdim=True)


@wrong("advantages", says="these are the rewards as they were: subtract the mean of the others")
def advantage_raw(rewards):
    """No baseline."""
    _two(rewards)
    return rewards


@wrong("advantages", says="use the rewards themselves, not their ranks")
def advantage_rank(rewards):
    """Ranks instead of rewards."""
    _two(rewards)
    ranks = rewards.argsort(-1).argsort(-1).float()
    return ranks - (rewards.size(-1) - 1) / 2


@wrong("advantages", says="must raise ValueError")
def advantage_of_one(rewards):
    """Right, but one answer gives nan instead of an error."""
    return rewards - (rewards.sum(-1, keepdim=True) - rewards) / (rewards.size(-1) - 1)


@wrong("leashed_reward", says="changed its argument in place")
def leash_in_place(reward, p, q, beta):
    """Changes the rewards that it was given."""
    _refuse(beta)
    reward -= beta * (p - q).detach()
    return reward


@wrong(
    "leashed_reward", says="lets a gradient through to the reference. It is a number to weigh with"
)
def leash_half_detached(reward, p, q, beta):
    """Detaches the policy only."""
    _refuse(beta)
    return reward - beta * (p.detach() - q)


@wrong(
    "leashed_reward",
    says="beta = 0 means that there is no leash, and is allowed; refuse only what is below 0",
)
def leash_no_zero(reward, p, q, beta):
    """Refuses a leash of 0 as well."""
    if beta <= 0:
        raise ValueError("beta must be positive")
    return reward - beta * (p - q).detach()


@wrong("advantages", says="changed its argument in place")
def advantage_in_place(rewards):
    """Changes the rewards that it was given."""
    _two(rewards)
    rewards -= (rewards.sum(-1, keepdim=True) - rewards) / (rewards.size(-1) - 1)
    return rewards


@wrong("dpo_loss", says="you divided by the number of pairs twice; the mean does it once")
def dpo_length_of_batch(pc, pr, rc, rr, beta):
    """Divides by the pairs twice: right for one pair."""
    return -F.logsigmoid(beta * ((pc - rc) - (pr - rr))).mean() / len(pc)


@wrong(
    "dpo_loss",
    says="lets no gradient reach `policy_rejected`",
)
def dpo_frozen_rejected(pc, pr, rc, rr, beta):
    """Only the preferred answer is learned from."""
    return preferences.dpo_loss(pc, pr.detach(), rc, rr, beta)


@wrong(
    "dpo_loss",
    says="lets no gradient reach `policy_chosen`",
)
def dpo_frozen_chosen(pc, pr, rc, rr, beta):
    """Only the rejected answer is learned from."""
    return preferences.dpo_loss(pc.data, pr, rc, rr, beta)


@wrong("dpo_loss", says="gives another gradient for `policy_chosen`")
def dpo_fixed_weight(pc, pr, rc, rr, beta):
    """The right value with the slope of the margin alone."""
    loss = preferences.dpo_loss(pc, pr, rc, rr, beta).detach()
    margin = -beta * ((pc - rc) - (pr - rr)).mean()
    return loss + (margin - margin.detach())


@wrong("advantages", says="that is the mean of the others: subtract it from the reward")
def advantage_baseline_alone(rewards):
    """Returns the baseline."""
    _two(rewards)
    return (rewards.sum(-1, keepdim=True) - rewards) / (rewards.size(-1) - 1)


@wrong("advantages", says="you took the mean of the answers to all prompts")
def advantage_batch_mean(rewards):
    """One mean for the whole batch."""
    _two(rewards)
    return rewards - rewards.mean()


@wrong("advantages", says="it was the one without Bessel's correction")
def advantage_population_spread(rewards):
    """Divided by the spread of the answers themselves."""
    _two(rewards)
    spread = rewards.std(-1, keepdim=True, correction=0)
    return (rewards - rewards.mean(-1, keepdim=True)) / (spread + 1e-8)


# --- bradley_terry_loss ---------------------------------------------------------------------------


@wrong(
    "bradley_terry_loss",
    says="the sign is turned round: it is the preferred reward minus the other",
)
def terry_swapped(chosen, rejected):
    return -F.logsigmoid(rejected - chosen).mean()


@wrong("bradley_terry_loss", says="take the mean over the pairs, not the sum")
def terry_sum(chosen, rejected):
    return -F.logsigmoid(chosen - rejected).sum()


@wrong("bradley_terry_loss", says="take the mean over the pairs; you returned one loss for each")
def terry_each(chosen, rejected):
    return -F.logsigmoid(chosen - rejected)


@wrong("bradley_terry_loss", says="average at the end: first the loss of each pair, then the mean")
def terry_mean_first(chosen, rejected):
    return -F.logsigmoid((chosen - rejected).mean())


@wrong(
    "bradley_terry_loss",
    says="a loss goes down when things get better: put a minus before the logarithm",
)
def terry_no_minus(chosen, rejected):
    return F.logsigmoid(chosen - rejected).mean()


@wrong(
    "bradley_terry_loss",
    says="the loss is minus the logarithm of the sigmoid; the logarithm is missing",
)
def terry_no_log(chosen, rejected):
    return -torch.sigmoid(chosen - rejected).mean()


@wrong("bradley_terry_loss", says="that is a straight line without the sigmoid")
def terry_line(chosen, rejected):
    return (rejected - chosen).mean()


@wrong("bradley_terry_loss", says="that is a hinge; the loss is minus the logarithm of a sigmoid")
def terry_hinge(chosen, rejected):
    return F.relu(1 - (chosen - rejected)).mean()


@wrong("bradley_terry_loss", says="the other answer is missing: only differences count")
def terry_alone(chosen, rejected):
    return -F.logsigmoid(chosen + 0 * rejected).mean()


@wrong("bradley_terry_loss", says="that is the share of the preferred reward itself")
def terry_share(chosen, rejected):
    """The Bradley-Terry model of strengths, not of rewards."""
    return -(chosen / (chosen + rejected)).abs().log().mean()


@wrong("bradley_terry_loss", says="The sigmoid becomes exactly 0 there: take F.logsigmoid")
def terry_unstable(chosen, rejected):
    return -torch.log(torch.sigmoid(chosen - rejected)).mean()


# --- clipped_loss ---------------------------------------------------------------------------------


def _clip(clip):
    if clip <= 0:
        raise ValueError("clip")


def _mean(x, mask):
    return ((x * mask).sum(-1) / mask.sum(-1)).mean()


def _two_products(log_probs, old, advantage, clip):
    ratio = (log_probs - old.detach()).exp()
    return ratio * advantage[..., None], ratio.clamp(1 - clip, 1 + clip) * advantage[..., None]


@wrong("clipped_loss", says="a loss goes down when things get better: put a minus before it")
def clipped_no_minus(log_probs, old, advantage, mask, clip=0.2):
    _clip(clip)
    return _mean(torch.minimum(*_two_products(log_probs, old, advantage, clip)), mask)


@wrong("clipped_loss", says="nothing is clipped: take the smaller of ratio")
def clipped_not(log_probs, old, advantage, mask, clip=0.2):
    _clip(clip)
    return -_mean(_two_products(log_probs, old, advantage, clip)[0], mask)


@wrong(
    "clipped_loss", says="take the smaller of the two, with the clipped ratio and with the ratio"
)
def clipped_always(log_probs, old, advantage, mask, clip=0.2):
    _clip(clip)
    return -_mean(_two_products(log_probs, old, advantage, clip)[1], mask)


@wrong("clipped_loss", says="take the smaller of the two, not the larger")
def clipped_larger(log_probs, old, advantage, mask, clip=0.2):
    _clip(clip)
    return -_mean(torch.maximum(*_two_products(log_probs, old, advantage, clip)), mask)


@wrong("clipped_loss", says="the smaller ratio is not the smaller product")
def clipped_before(log_probs, old, advantage, mask, clip=0.2):
    """Right where every advantage is positive."""
    _clip(clip)
    ratio = (log_probs - old.detach()).exp()
    least = torch.minimum(ratio, ratio.clamp(1 - clip, 1 + clip))
    return -_mean(least * advantage[..., None], mask)


@wrong("clipped_loss", says="the ratio is turned round: new over old")
def clipped_turned(log_probs, old, advantage, mask, clip=0.2):
    _clip(clip)
    ratio = (old.detach() - log_probs).exp()
    a = advantage[..., None]
    return -_mean(torch.minimum(ratio * a, ratio.clamp(1 - clip, 1 + clip) * a), mask)


@wrong("clipped_loss", says="the ratio is exp of the difference; the exp is missing")
def clipped_no_exp(log_probs, old, advantage, mask, clip=0.2):
    _clip(clip)
    ratio = log_probs - old.detach()
    a = advantage[..., None]
    return -_mean(torch.minimum(ratio * a, ratio.clamp(1 - clip, 1 + clip) * a), mask)


@wrong("clipped_loss", says="the ratio is exp of their difference, not their quotient")
def clipped_quotient(log_probs, old, advantage, mask, clip=0.2):
    _clip(clip)
    ratio = log_probs / old.detach()
    a = advantage[..., None]
    return -_mean(torch.minimum(ratio * a, ratio.clamp(1 - clip, 1 + clip) * a), mask)


@wrong("clipped_loss", says="the mask is missing: what stands behind an answer counts, too")
def clipped_no_mask(log_probs, old, advantage, mask, clip=0.2):
    _clip(clip)
    return -torch.minimum(*_two_products(log_probs, old, advantage, clip)).mean()


@wrong("clipped_loss", says="divide by the number of tokens that count, not by the length")
def clipped_by_length(log_probs, old, advantage, mask, clip=0.2):
    _clip(clip)
    return -(torch.minimum(*_two_products(log_probs, old, advantage, clip)) * mask).mean()


@wrong("clipped_loss", says="first the mean of each answer, then the mean over answers")
def clipped_all_tokens(log_probs, old, advantage, mask, clip=0.2):
    """The mean over all tokens, as DAPO takes it."""
    _clip(clip)
    gain = torch.minimum(*_two_products(log_probs, old, advantage, clip)) * mask
    return -gain.sum() / mask.sum()


@wrong("clipped_loss", says="take the mean over an answer's tokens, not their sum")
def clipped_sum_of_tokens(log_probs, old, advantage, mask, clip=0.2):
    _clip(clip)
    gain = torch.minimum(*_two_products(log_probs, old, advantage, clip)) * mask
    return -gain.sum(-1).mean()


@wrong("clipped_loss", says="take the mean over the answers, not their sum")
def clipped_sum_of_answers(log_probs, old, advantage, mask, clip=0.2):
    _clip(clip)
    gain = torch.minimum(*_two_products(log_probs, old, advantage, clip)) * mask
    return -(gain.sum(-1) / mask.sum(-1)).sum()


@wrong("clipped_loss", says="each token has a ratio of its own; you took one for the whole answer")
def clipped_whole_answers(log_probs, old, advantage, mask, clip=0.2):
    _clip(clip)
    ratio = ((log_probs - old.detach()) * mask).sum(-1).exp()
    cut = ratio.clamp(1 - clip, 1 + clip)
    return -torch.minimum(ratio * advantage, cut * advantage).mean()


@wrong("clipped_loss", says="the advantage is missing")
def clipped_no_advantage(log_probs, old, advantage, mask, clip=0.2):
    _clip(clip)
    return -_mean(torch.minimum(*_two_products(log_probs, old, 0 * advantage + 1, clip)), mask)


@wrong("clipped_loss", says="both sides are cut: at 1 - clip and at 1 + clip")
def clipped_one_side(log_probs, old, advantage, mask, clip=0.2):
    """Cut above only."""
    _clip(clip)
    ratio = (log_probs - old.detach()).exp()
    a = advantage[..., None]
    return -_mean(torch.minimum(ratio * a, ratio.clamp(max=1 + clip) * a), mask)


@wrong("clipped_loss", says="must raise ValueError")
def clipped_any(log_probs, old, advantage, mask, clip=0.2):
    return -_mean(torch.minimum(*_two_products(log_probs, old, advantage, clip)), mask)


# --- varied_reward --------------------------------------------------------------------------------


@wrong("varied_reward", says="variety must pay")
def varied_not(right, texts):
    """The grader alone."""
    return right.clone()


@wrong("varied_reward", says="then it pays to be wrong")
def varied_only(right, texts):
    """Variety alone."""
    return torch.tensor([[1 / row.count(text) for text in row] for row in texts])


@wrong("varied_reward", says="keep them between 0 and 1")
def varied_below_zero(right, texts):
    times = torch.tensor([[row.count(text) - 1.0 for text in row] for row in texts])
    return right - times


@wrong("varied_reward", says="equal texts get equal rewards")
def varied_first_only(right, texts):
    """The first of equal texts gets all of it."""
    first = torch.tensor([[row.index(text) == i for i, text in enumerate(row)] for row in texts])
    return right * (0.5 + 0.5 * first)


@wrong("varied_reward", says="one reward an answer")
def varied_one_number(right, texts):
    different = torch.tensor([len(set(row)) / len(row) for row in texts])
    return right.mean(-1) * different


@wrong("varied_reward", says="depend on the answers to the second; count within a row")
def varied_over_prompts(right, texts):
    """Counts over all prompts."""
    everything = [text for row in texts for text in row]
    times = torch.tensor([[everything.count(t) + 10 * row.count(t) for t in row] for row in texts])
    return right / times


@wrong("varied_reward", says="not a finite number")
def varied_by_copies(right, texts):
    """Divides by the other copies, of which there may be none."""
    copies = torch.tensor([[row.count(text) - 1.0 for text in row] for row in texts])
    return right / copies


@wrong("varied_reward", says="changed its argument in place")
def varied_in_place(right, texts):
    right /= torch.tensor([[row.count(text) for text in row] for row in texts])
    return right
