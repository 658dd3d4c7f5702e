"""Exercises of lesson 20."""

import math
import random
import statistics
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from course_utils.checking import Exercises, Wrong, difference, expect, show_value
from course_utils.checking.inputs import different, normal
from course_utils.preferences import pairwise as preferences
from course_utils.preferences import reinforcement

EXERCISES = Exercises()


# --- dpo_loss -------------------------------------------------------------------------------------


def nats(rng: random.Random, n: int, low: float = -30.0, high: float = -2.0) -> Tensor:
    """Log-probabilities of n answers."""
    return torch.tensor([rng.uniform(low, high) for _ in range(n)])


def softplus_oracle(x: float) -> float:
    """log(1 + exp(x)) = -log sigmoid(-x), in plain Python, for any size of x."""
    return max(x, 0.0) + math.log1p(math.exp(-abs(x)))


def dpo_oracle(pc: Tensor, pr: Tensor, rc: Tensor, rr: Tensor, beta: float) -> Tensor:
    rows = zip(*(x.detach().double().tolist() for x in (pc, pr, rc, rr)), strict=True)
    return torch.tensor(
        statistics.fmean(softplus_oracle(-beta * ((a - c) - (b - d))) for a, b, c, d in rows)
    )


def dpo_mistakes(pc: Tensor, pr: Tensor, rc: Tensor, rr: Tensor, beta: float) -> dict[str, Tensor]:
    d = (pc - rc) - (pr - rr)
    return {
        "the sign is turned round: inside is policy minus reference, preferred minus rejected": F.softplus(beta * d).mean(),
        "only the policy is in it: subtract the reference's log-probabilities": F.softplus(-beta * (pc - pr)).mean(),
        "the reference's share has the wrong sign: subtract its log-probabilities": F.softplus(-beta * (pc + rc - pr - rr)).mean(),
        "beta belongs inside of the sigmoid, as a factor of the difference": beta * F.softplus(-d).mean(),
        "beta is missing": F.softplus(-d).mean(),
        "beta multiplies the difference; you divided by it": F.softplus(-d / beta).mean(),
        "beta multiplies the reference's share as well": F.softplus(-(beta * (pc - pr) - (rc - rr))).mean(),
        "take the mean over the pairs, not the sum": F.softplus(-beta * d).sum(),
        "take the mean over the pairs; you returned one loss for each": F.softplus(-beta * d),
        "average at the end: first the loss of each pair, then the mean": F.softplus(-beta * d.mean()),
        "the loss is minus the logarithm of the sigmoid; the logarithm is missing": -(beta * d).sigmoid().mean(),
        "first the logarithm of each pair's sigmoid, then the mean": -(beta * d).sigmoid().mean().log(),
        "a loss goes down when things get better: put a minus before the logarithm": F.logsigmoid(beta * d).mean(),
        "that is a straight line without the sigmoid": -(beta * d).mean(),
        "that is a hinge; the loss is minus the logarithm of a sigmoid": F.relu(1 - beta * d).mean(),
        "logarithms are subtracted, not divided": F.softplus(-beta * (pc / rc - pr / rr)).mean(),
        "they are log-probabilities already: subtract them, without exp": F.softplus(-beta * ((pc.exp() - rc.exp()) - (pr.exp() - rr.exp()))).mean(),
        "the rejected answer is missing": F.softplus(-beta * (pc - rc)).mean(),
    }  # fmt: skip


@EXERCISES.add(
    preferences.dpo_loss,
    difficulty=2,
    minutes=10,
    gradients=["policy_chosen", "policy_rejected"],  # the reference is frozen
    hints=[
        "Each answer gets an implicit reward: beta times how many nats likelier it is under the policy than under the reference. The "
        "rest is the Bradley–Terry loss.",
        "A difference of two differences: (policy - reference) of the preferred answer, minus the same of the rejected one. Multiply by "
        "beta, then minus the logarithm of the sigmoid, then the mean.",
        "return -F.logsigmoid(beta * ((policy_chosen - reference_chosen) - (policy_rejected - reference_rejected))).mean(). "
        "torch.log(torch.sigmoid(x)) would give -inf for x below -104.",
    ],
    refuses=[
        (torch.ones(2), torch.ones(2), torch.ones(2), torch.ones(3), 0.1),
        (torch.ones(2), torch.ones(2), torch.ones(2), torch.ones(2), 0.0),
        (torch.ones(2), torch.ones(2), torch.ones(2), torch.ones(2), -1.0),
    ],
    mistakes={
        "you divided by the number of pairs twice; the mean does it once": (
            lambda pc, pr, rc, rr, beta: preferences.dpo_loss(pc, pr, rc, rr, beta) / len(pc)
        )
    },
)
def check_dpo_loss(student: Callable, rng: random.Random) -> None:
    for n in (3, 1, 4):
        beta = rng.uniform(0.1, 0.6)
        rc = nats(rng, n)
        rr = nats(rng, n)
        pc = rc + normal(rng, n) * 3 + 0.7
        pr = rr + normal(rng, n) * 3 - 0.7
        call = f"dpo_loss of {n} pair{'s' * (n > 1)} with beta={beta:.2f}"
        want = dpo_oracle(pc, pr, rc, rr, beta)
        expect(
            student(pc, pr, rc, rr, beta),
            want,
            call,
            different(dpo_mistakes(pc, pr, rc, rr, beta), want),
        )
    same = nats(rng, 2)
    expect(
        student(same, same, same, same, 0.3),
        torch.tensor(math.log(2)),
        "dpo_loss where policy and reference are the same model",
    )
    _check_far_answers(student, rng)


def _check_far_answers(student: Callable, rng: random.Random) -> None:
    """Answers that are thousands of nats apart."""
    # exp of it is not a number any more
    call = "dpo_loss with log-probabilities thousands of nats apart"
    others = torch.tensor([-5000.0, -20.0])
    seen = []
    for far in (rng.uniform(400, 4000), -rng.uniform(400, 1500), -rng.uniform(2000, 4000)):
        pc = torch.tensor([-5000.0 + far, -20.0])
        want = dpo_oracle(pc, others, others, others, 1.0)
        got = student(pc, others, others, others, 1.0)
        if isinstance(got, Tensor) and not got.isfinite().all():
            raise Wrong(
                f"{call} is {got.tolist()}. The sigmoid becomes exactly 0 there: take F.logsigmoid, not the logarithm of a sigmoid."
            )
        seen.append((got, want))
    (first, _), (second, _) = seen[1:]
    if difference(first, second, 1e-4) is None:
        raise Wrong(
            f"{call} is {show_value(first)}, however far they are apart. Cut nothing off, and add no small number inside of "
            "the logarithm: F.logsigmoid needs neither"
        )
    for got, want in seen:
        expect(got, want, call)


# --- leashed_reward -------------------------------------------------------------------------------


def leashed_oracle(reward: Tensor, p: Tensor, q: Tensor, beta: float) -> Tensor:
    rows = zip(*(x.detach().double().flatten().tolist() for x in (reward, p, q)), strict=True)
    return torch.tensor([r - beta * (a - b) for r, a, b in rows]).view(reward.shape)


@EXERCISES.add(
    reinforcement.leashed_reward,
    difficulty=1,
    minutes=6,
    gradients=False,  # a reward is a number, not a way back
    hints=[
        "An answer that has become likelier than under the reference pays; one that has become less likely gets something back.",
        "The price of an answer is beta times (its log-probability under the policy minus that under the reference). First refuse a "
        "negative beta.",
        "return reward - beta * (policy_log_prob - reference_log_prob).detach(): without detach, the training step would "
        "differentiate the price itself.",
    ],
    refuses=[(torch.ones(2), torch.ones(2), torch.ones(2), -0.1)],
    mistakes={
        "beta = 0 means that there is no leash, and is allowed; refuse only what is below 0": (
            lambda reward, p, q, beta: reinforcement.leashed_reward(reward, p, q, beta or -1.0)
        )
    },
)
def check_leashed_reward(student: Callable, rng: random.Random) -> None:
    for shape in ((4,), (2, 3), ()):
        beta = rng.uniform(0.1, 0.8)
        reward = normal(rng, *shape)
        q = -10 - normal(rng, *shape).abs()
        # of either sign
        d = normal(rng, *shape) * 2 if shape else torch.tensor(-rng.uniform(0.5, 2.0))
        p = q + d
        want = leashed_oracle(reward, q + d, q, beta)
        mistakes = {
            "the leash pushes away: subtract the price": reward + beta * d,
            "the reference is missing: the price is the difference of the log-probabilities": reward - beta * p,
            "the policy is missing: the price is the difference of the log-probabilities": reward + beta * q,
            "beta is missing": reward - d,
            "beta belongs to the price alone, not to the reward": beta * (reward - d),
            "the reward stays whole: beta is a price, not a mixture": (1 - beta) * reward - beta * d,
            "beta multiplies the price; you divided by it": reward - d / beta,
            "each answer pays its own price, not the mean of all": reward - beta * d.mean(),
            "some answers are likelier now and some less likely: do not take the absolute value": reward - beta * d.abs(),
            "an answer that became less likely gets something back: do not cut the price off at 0": reward - beta * d.clamp(min=0),
            "the price is the log-ratio itself, not its square": reward - beta * d.square() / 2,
            "the price is the log-ratio itself, not k3": reward - beta * (torch.expm1(-d) + d),
            "subtract the logarithms; the ratio of the probabilities is something else": reward - beta * d.exp(),
            "logarithms are subtracted, not divided": reward - beta * (p / q),
            "one number for each answer: leave the mean to others": (reward - beta * d).mean(),
            "the price is subtracted, the reward is not multiplied by it": reward * (-beta * d).exp(),
        }  # fmt: skip
        call = f"leashed_reward of rewards of shape {shape} with beta={beta:.2f}"
        expect(student(reward, p, q, beta), want, call, different(mistakes, want))
    reward = normal(rng, 3)
    p = -normal(rng, 3).abs()
    q = -normal(rng, 3).abs()
    expect(student(reward, p, q, 0.0), reward, "leashed_reward without a leash, beta=0")
    learns = q.clone().requires_grad_()
    for who, leaks in (
        ("policy", student(reward, p.clone().requires_grad_(), q, 0.3).requires_grad),
        ("reference", student(reward, p, learns, 0.3).requires_grad),
    ):
        if leaks:
            raise Wrong(
                f"leashed_reward lets a gradient through to the {who}. It is a number to weigh with: detach the log-ratio."
            )


# --- advantages -----------------------------------------------------------------------------------


@EXERCISES.add(
    reinforcement.advantages,
    difficulty=2,
    minutes=8,
    gradients=False,  # made of rewards, which nobody differentiates
    hints=[
        "For each answer: its reward minus the mean of the k - 1 other rewards of its row.",
        "No loop is needed. The sum of the others is the row's sum minus the answer's own reward.",
        "others = (rewards.sum(-1, keepdim=True) - rewards) / (k - 1); return rewards - others. With k below 2 raise a ValueError.",
    ],
    refuses=[(torch.ones(3, 1),)],
)
def check_advantages(student: Callable, rng: random.Random) -> None:
    for B, k in ((3, 4), (1, 2), (4, 4), (2, 6)):
        rewards = torch.tensor(
            [[rng.uniform(-1, 3) + 2 * row for _ in range(k)] for row in range(B)]
        )
        table = rewards.tolist()
        want = torch.tensor(
            [
                [x - statistics.fmean(row[:i] + row[i + 1 :]) for i, x in enumerate(row)]
                for row in table
            ]
        )
        centred = rewards - rewards.mean(1, keepdim=True)
        mistakes = {
            "the mean holds the answer itself; leave it out": centred,
            "that is the mean of the others: subtract it from the reward": rewards - want,
            "the sign is turned round: better than the others is positive": -want,
            "compare within a prompt, that is within a row": rewards - rewards.mean(0),
            "compare within a prompt; you took the mean of the answers to all prompts": rewards - rewards.mean(),
            "compare within a prompt; you took the mean of the other answers to all prompts": rewards - (rewards.sum() - rewards) / (B * k - 1),
            "subtract the mean of all others, not the reward of the next answer alone": rewards - rewards.roll(-1, 1),
            "use the rewards themselves, not their ranks": rewards.argsort(1).argsort(1) - (k - 1) / 2,
            "there are k - 1 others: divide their sum by k - 1, not by k": rewards - (rewards.sum(1, keepdim=True) - rewards) / k,
            "nothing is divided by the spread here": centred / rewards.std(1, keepdim=True),
            "nothing is divided by the spread here; it was the one without Bessel's correction": centred / rewards.std(1, keepdim=True, correction=0),
            "take the mean of the others, not their sum": rewards - (rewards.sum(1, keepdim=True) - rewards),
            "take the mean, not the median": rewards - rewards.median(1, keepdim=True).values,
            "subtract the mean of the others, not the best of all": rewards - rewards.amax(1, keepdim=True),
            "these are the rewards as they were: subtract the mean of the others": rewards,
        }  # fmt: skip
        call = f"advantages of {B} prompt{'s' * (B > 1)} with {k} answers each"
        expect(student(rewards), want, call, different(mistakes, want))
    same = torch.full((2, 5), float(rng.randrange(1, 9)))
    expect(
        student(same),
        torch.zeros(2, 5),
        "advantages where all answers to a prompt get the same reward",
    )
