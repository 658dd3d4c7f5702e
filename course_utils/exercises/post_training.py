"""Exercises of notebook 09."""

import math
import random
import statistics
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from course_utils.checking.compare import Wrong, difference, kind_of
from course_utils.checking.engine import Exercise, expect
from course_utils.compression import distillation as dt
from course_utils.compression import shrinking as cp
from course_utils.exercises.attention import check_gradient, normal
from course_utils.exercises.superposition import different
from course_utils.exercises.transformer_block import must_raise
from course_utils.instruction_tuning import fine_tuning as ft
from course_utils.instruction_tuning.chat import ASSISTANT, CHAT_ID, END_OF_TURN
from course_utils.preferences import pairwise as pf
from course_utils.preferences import reinforcement as rl


def must_keep(call: str, kept: Tensor, given: Tensor) -> None:
    """Complain where a function changed what it was given."""
    if not torch.equal(kept, given):
        raise Wrong(f"{call} changed its input in place; the caller still needs it. Make a new tensor instead.")


# --- answer_mask -----------------------------------------------------------------------------------------------------


def chat_rows(rng: random.Random, talks: list[list[str]], cut: int = 0) -> tuple[Tensor, list[list[bool]], list[int]]:
    """Ids (B, T) of talks of these roles, filled up with <end of turn>; which of them count; the length of each row."""
    rows, masks = [], []
    for talk in talks:
        ids, mask = [], []
        for role in talk:
            words = [rng.randrange(10, 600) for _ in range(rng.randrange(2, 6))]
            ids += [CHAT_ID[f"<{role}>"], *words, END_OF_TURN]
            mask += [False, *[role == "assistant"] * (len(words) + 1)]
        stop = len(ids) - cut
        rows.append(ids[:stop])
        masks.append(mask[:stop])
    T = max(map(len, rows))
    lengths = [len(row) for row in rows]
    return (torch.tensor([row + [END_OF_TURN] * (T - len(row)) for row in rows]),
            [mask + [False] * (T - len(mask)) for mask in masks], lengths)  # fmt: skip


def check_answer_mask(student: Callable, rng: random.Random) -> None:
    one, two, three = ["user", "assistant"], ["system", "user", "assistant"], ["user", "assistant", "user", "assistant"]
    cases = {
        "a question and its answer": chat_rows(rng, [one]),
        "two rows of different length, filled up with <end of turn>": chat_rows(rng, [one, two]),
        "a talk with two answers": chat_rows(rng, [three, two, three]),
        "an answer that was cut off": chat_rows(rng, [two], cut=2),
        "questions without an answer": chat_rows(rng, [["user"], ["system", "user"]]),
    }
    for what, (ids, rows, lengths) in cases.items():
        want = torch.tensor(rows)
        shown = torch.tensor([[t < n for t in range(ids.size(1))] for n in lengths])  # without what fills up
        begin, end, first = ids == ASSISTANT, ids == END_OF_TURN, torch.zeros_like(want[:, :1])
        before = torch.cat([want[:, 1:], first], 1)
        mistakes = {
            "the <end of turn> of the answer is missing: without it the model never learns to stop": want & ~end,
            "the token <assistant> counts, too; the program writes it, the model need not learn it": want | begin,
            "everything is shifted by one: the mask is about the very token, ids[t], not about the one after it": before,
            "the mask is shifted by one the other way": torch.cat([first, want[:, :-1]], 1),
            "it holds what is not the answer": ~want,
            "what fills up the row counts, too: an answer is over at its first <end of turn>":
                begin.cumsum(1).bool() & ~begin,
            "the prompt counts, too: only the assistant's words may": shown,
            "every <end of turn> counts; only the one that closes an answer may": want | (end & shown),
            "1 and 0 instead of True and False": want.long(),
        }  # fmt: skip
        kept = ids.clone()
        expect(student(ids), want, f"answer_mask(ids) of {what}",
               mistakes={sentence: wrong for sentence, wrong in mistakes.items() if not torch.equal(wrong.to(want), want)
                         or wrong.dtype != want.dtype})  # fmt: skip
        must_keep(f"answer_mask(ids) of {what}", kept, ids)


# --- lora_forward, lora_merge ----------------------------------------------------------------------------------------


def lora_parts(rng: random.Random, m: int, n: int, r: int) -> tuple[Tensor, ...]:
    return normal(rng, m, n), normal(rng, m), normal(rng, r, n), normal(rng, m, r)


def lora_oracle(x: Tensor, W: Tensor, b: Tensor | None, A: Tensor, B: Tensor, alpha: float) -> Tensor:
    """Row by row, number by number, in double precision."""
    m, r = B.shape
    Wd, Ad, Bd = W.tolist(), A.tolist(), B.tolist()
    rows = []
    for row in x.reshape(-1, x.size(-1)).tolist():
        thin = [sum(a * v for a, v in zip(Ad[k], row, strict=True)) for k in range(r)]
        rows.append([sum(w * v for w, v in zip(Wd[i], row, strict=True)) + (b[i].item() if b is not None else 0.0)
                     + alpha / r * sum(Bd[i][k] * thin[k] for k in range(r)) for i in range(m)])  # fmt: skip
    return torch.tensor(rows).view(*x.shape[:-1], m)


def scale_mistakes(base: Tensor, thin: Tensor, r: int, alpha: float) -> dict[str, Tensor]:
    """What comes out with another factor than α / r before the thin part."""
    return {
        "the factor α / r is missing": base + thin,
        "the factor is α / r; the division by the rank is missing": base + alpha * thin,
        "the factor is α / r; you multiplied by the rank": base + alpha * r * thin,
        "the factor is α / r, not r / α": base + r / alpha * thin,
        "the factor is α / r; α is missing": base + thin / r,
        "the factor is α / r; that is α / √r, which another method uses": base + alpha / math.sqrt(r) * thin,
        "the thin matrices are not in it": base,
        "only the thin matrices are in it: add W": alpha / r * thin,
        "the thin part is added, not subtracted": base - alpha / r * thin,
    }


def check_lora_forward(student: Callable, rng: random.Random) -> None:
    for shape, m, n, r, alpha in (((3, 4), 4, 4, 2, 6.0), ((2, 3, 5), 7, 5, 3, 1.0), ((6,), 3, 6, 1, 4.0)):
        W, b, A, B = lora_parts(rng, m, n, r)
        x, call = normal(rng, *shape), f"lora_forward(x {shape}, W ({m}, {n}), b, A ({r}, {n}), B ({m}, {r}), alpha={alpha:g})"
        base, thin = F.linear(x, W, b), x @ A.T @ B.T
        mistakes = scale_mistakes(base, thin, r, alpha) | {
            "the bias b is lost": base - b + alpha / r * thin,
            "the bias is there twice": base + b + alpha / r * thin,
            "the bias is part of W x + b only; α / r must not touch it": F.linear(x, W) + alpha / r * (thin + b),
            "α / r scales the thin part only": alpha / r * (base + thin),
        }
        if m == n:
            mistakes["W is the wrong way round: a linear layer keeps (out, in), so x @ W.T"] = x @ W + b + alpha / r * thin
        mistakes = different(mistakes, base + alpha / r * thin)
        expect(student(x, W, b, A, B, alpha), lora_oracle(x, W, b, A, B, alpha), call, mistakes=mistakes, tol=1e-4)
        expect(student(x, W, None, A, B, alpha), lora_oracle(x, W, None, A, B, alpha), call.replace("b,", "None,", 1), tol=1e-4)
    W, b, A, B = lora_parts(rng, 3, 4, 2)
    x, zero = normal(rng, 2, 4), torch.zeros(3, 2)
    expect(student(x, W, b, A, zero, 4.0), F.linear(x, W, b), "lora_forward with B = 0, as it starts", tol=1e-5)
    check_gradient(lambda B: student(x, W, b, A, B, 4.0), lambda B: F.linear(x, W + 2.0 * B @ A, b), B, "lora_forward(…, B, …)")
    check_gradient(lambda A: student(x, W, b, A, B, 4.0), lambda A: F.linear(x, W + 2.0 * B @ A, b), A, "lora_forward(…, A, …)")
    check_gradient(lambda x: student(x, W, b, A, B, 4.0), lambda x: F.linear(x, W + 2.0 * B @ A, b), x, "lora_forward(x, …)")


def check_lora_merge(student: Callable, rng: random.Random) -> None:
    for m, n, r, alpha in ((4, 4, 2, 6.0), (7, 5, 3, 1.0), (3, 6, 1, 4.0), (5, 5, 5, 10.0)):
        W, _, A, B = lora_parts(rng, m, n, r)
        call = f"lora_merge(W ({m}, {n}), A ({r}, {n}), B ({m}, {r}), alpha={alpha:g})"
        want = torch.stack([lora_oracle(e, W, None, A, B, alpha) for e in torch.eye(n)], 1)  # column by column
        mistakes = scale_mistakes(W, B @ A, r, alpha)
        mistakes["α / r scales the thin part only"] = alpha / r * (W + B @ A)
        mistakes["the thin part is added twice"] = W + 2 * alpha / r * B @ A
        if m == n:
            mistakes["the product is the wrong way round: B A, as the layer applies A first"] = W + alpha / r * (B @ A).T
            mistakes["W is the wrong way round: it stays (out, in)"] = W.T + alpha / r * B @ A
        mistakes = different(mistakes, want)
        expect(student(W, A, B, alpha), want, call, mistakes=mistakes, tol=1e-4)
        expect(student(W, A, B, alpha), want, f"{call}, a second time", tol=1e-4)
    kept = W.clone()
    student(W, A, B, alpha)
    if not torch.equal(W, kept):
        raise Wrong("lora_merge changed W in place: merge again, and the update is there twice. Return a new matrix.")
    x = normal(rng, 3, n)
    expect(x @ student(W, A, B, alpha).T, lora_oracle(x, W, None, A, B, alpha), "x @ lora_merge(…).T", tol=1e-4)


# --- dpo_loss --------------------------------------------------------------------------------------------------------


def nats(rng: random.Random, n: int, low: float = -30.0, high: float = -2.0) -> Tensor:
    """Log-probabilities of n answers."""
    return torch.tensor([rng.uniform(low, high) for _ in range(n)])


def softplus_oracle(x: float) -> float:
    """log(1 + exp(x)) = -log sigmoid(-x), in plain Python, for any size of x."""
    return max(x, 0.0) + math.log1p(math.exp(-abs(x)))


def dpo_oracle(pc: Tensor, pr: Tensor, rc: Tensor, rr: Tensor, beta: float) -> Tensor:
    rows = zip(*(x.detach().double().tolist() for x in (pc, pr, rc, rr)), strict=True)
    return torch.tensor(statistics.fmean(softplus_oracle(-beta * ((a - c) - (b - d))) for a, b, c, d in rows))


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


def check_dpo_loss(student: Callable, rng: random.Random) -> None:
    for n in (3, 1, 4):
        beta, rc, rr = rng.uniform(0.1, 0.6), nats(rng, n), nats(rng, n)
        pc, pr = rc + normal(rng, n) * 3 + 0.7, rr + normal(rng, n) * 3 - 0.7
        call = f"dpo_loss of {n} pair{'s' * (n > 1)} with beta={beta:.2f}"
        want = dpo_oracle(pc, pr, rc, rr, beta)
        expect(student(pc, pr, rc, rr, beta), want, call, different(dpo_mistakes(pc, pr, rc, rr, beta), want))
    same = nats(rng, 2)
    expect(
        student(same, same, same, same, 0.3),
        torch.tensor(math.log(2)),
        "dpo_loss where policy and reference are the same model",
    )
    for far in (rng.uniform(400, 4000), -rng.uniform(400, 4000)):  # exp of it is not a number any more
        pc, others = torch.tensor([-5000.0 + far, -20.0]), torch.tensor([-5000.0, -20.0])
        want, call = (
            dpo_oracle(pc, others, others, others, 1.0),
            "dpo_loss with log-probabilities thousands of nats apart",
        )
        got = student(pc, others, others, others, 1.0)
        if isinstance(got, Tensor) and not got.isfinite().all():
            raise Wrong(
                f"{call} is {got.tolist()}. The sigmoid becomes exactly 0 there: take F.logsigmoid, not the logarithm of a sigmoid."
            )
        expect(
            got,
            want,
            call,
            {
                "you cut the difference off; it must stay as large as it is": dpo_oracle(
                    pc.clamp(-5100, -4900), others, others, others, 1.0
                )
            },
        )
    rc, rr = nats(rng, 3), nats(rng, 3)
    fixed = rr + 1.0
    check_gradient(
        lambda x: student(x, fixed, rc, rr, 0.5),
        lambda x: F.softplus(-0.5 * ((x - rc) - (fixed - rr))).mean(),
        rc + 0.5,
        "dpo_loss",
    )
    check_gradient(
        lambda x: student(fixed, x, rc, rr, 0.5),
        lambda x: F.softplus(-0.5 * ((fixed - rc) - (x - rr))).mean(),
        rr + 0.5,
        "dpo_loss",
    )


# --- leashed_reward --------------------------------------------------------------------------------------------------


def leashed_oracle(reward: Tensor, p: Tensor, q: Tensor, beta: float) -> Tensor:
    rows = zip(*(x.detach().double().flatten().tolist() for x in (reward, p, q)), strict=True)
    return torch.tensor([r - beta * (a - b) for r, a, b in rows]).view(reward.shape)


def check_leashed_reward(student: Callable, rng: random.Random) -> None:
    for shape in ((4,), (2, 3), ()):
        beta, reward = rng.uniform(0.1, 0.8), normal(rng, *shape)
        q = -10 - normal(rng, *shape).abs()
        d = normal(rng, *shape) * 2 if shape else torch.tensor(-rng.uniform(0.5, 2.0))  # of either sign
        p, want = q + d, leashed_oracle(reward, q + d, q, beta)
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
        call, kept = f"leashed_reward of rewards of shape {shape} with beta={beta:.2f}", reward.clone()
        expect(student(reward, p, q, beta), want, call, different(mistakes, want))
        must_keep(call, kept, reward)
    reward, p, q = normal(rng, 3), -normal(rng, 3).abs(), -normal(rng, 3).abs()
    expect(student(reward, p, q, 0.0), reward, "leashed_reward without a leash, beta=0")
    learns = q.clone().requires_grad_()
    for who, leaks in (("policy", student(reward, p.clone().requires_grad_(), q, 0.3).requires_grad),
                       ("reference", student(reward, p, learns, 0.3).requires_grad)):  # fmt: skip
        if leaks:
            raise Wrong(
                f"leashed_reward lets a gradient through to the {who}. It is a number to weigh with: detach the log-ratio."
            )
    must_raise(
        lambda: student(reward, p, q, -0.3),
        "leashed_reward with beta=-0.3",
        "a negative leash would push the policy away",
    )


# --- advantages ------------------------------------------------------------------------------------------------------


def check_advantages(student: Callable, rng: random.Random) -> None:
    for B, k in ((3, 4), (1, 2), (4, 4), (2, 6)):
        rewards = torch.tensor([[rng.uniform(-1, 3) + 2 * row for _ in range(k)] for row in range(B)])
        table = rewards.tolist()
        want = torch.tensor(
            [[x - statistics.fmean(row[:i] + row[i + 1 :]) for i, x in enumerate(row)] for row in table]
        )
        centred = rewards - rewards.mean(1, keepdim=True)
        mistakes = {
            "the mean holds the answer itself; leave it out": centred,
            "that is the mean of the others: subtract it from the reward": rewards - want,
            "the sign is turned round: better than the others is positive": -want,
            "compare within a prompt, that is within a row": rewards - rewards.mean(0),
            "compare within a prompt, not with the answers to all prompts": rewards - rewards.mean(),
            "there are k - 1 others: divide their sum by k - 1, not by k": rewards - (rewards.sum(1, keepdim=True) - rewards) / k,
            "nothing is divided by the spread here": centred / rewards.std(1, keepdim=True),
            "nothing is divided by the spread here; it was the one without Bessel's correction": centred / rewards.std(1, keepdim=True, correction=0),
            "take the mean of the others, not their sum": rewards - (rewards.sum(1, keepdim=True) - rewards),
            "take the mean, not the median": rewards - rewards.median(1, keepdim=True).values,
            "subtract the mean of the others, not the best of all": rewards - rewards.amax(1, keepdim=True),
            "these are the rewards as they were: subtract the mean of the others": rewards,
        }  # fmt: skip
        call, kept = f"advantages of {B} prompt{'s' * (B > 1)} with {k} answers each", rewards.clone()
        expect(student(rewards), want, call, different(mistakes, want))
        must_keep(call, kept, rewards)
    same = torch.full((2, 5), float(rng.randrange(1, 9)))
    expect(student(same), torch.zeros(2, 5), "advantages where all answers to a prompt get the same reward")
    must_raise(
        lambda: student(torch.ones(3, 1)),
        "advantages with one answer a prompt",
        "there are no others to compare it with",
    )


# --- distillation_loss -----------------------------------------------------------------------------------------------


def softened(logits: Tensor, temperature: float) -> list[list[float]]:
    """softmax(logits / temperature) of each row, in plain Python; exp(-inf) is 0."""
    rows = (logits.detach().double() / temperature).reshape(-1, logits.size(-1)).tolist()
    powers = [[math.exp(x - max(row)) for x in row] for row in rows]
    return [[x / sum(row) for x in row] for row in powers]


def distillation_oracle(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    p, q = softened(student, temperature), softened(teacher, temperature)
    rows = [sum(b * math.log(b / a) for a, b in zip(*row, strict=True) if b > 0) for row in zip(p, q, strict=True)]
    return torch.tensor(temperature**2 * statistics.fmean(rows))


def distillation_mistakes(student: Tensor, teacher: Tensor, T: float) -> dict[str, Tensor]:
    log_p, q, V = (student / T).log_softmax(-1), (teacher / T).softmax(-1), student.size(-1)
    kl, want = (torch.xlogy(q, q) - q * log_p).sum(-1), distillation_oracle(student, teacher, T)
    return {
        "the factor T² is missing": want / T**2,
        "the factor is T², not T": want / T,
        "the factor is T²; you divided by it": want / T**4,
        "the direction is turned round: the teacher's probabilities are the weights": distillation_oracle(teacher, student, T),
        "the student's logits are divided by the temperature, too": T**2 * (torch.xlogy(q, q) - q * student.log_softmax(-1)).sum(-1).mean(),
        "the teacher's logits are divided by the temperature, too": T**2 * F.kl_div(log_p, teacher.softmax(-1), reduction="none").sum(-1).mean(),
        "divide by the temperature; you multiplied": T**2 * distillation_oracle(student, teacher, 1 / T) * T**2,
        "average over the rows only: the sum over the V tokens stays a sum": want / V,
        "take the mean over the rows, not the sum": want * kl.numel(),
        "every row counts, in all dimensions but the last: reduction='batchmean' divides by the first one only": want * kl.numel() / len(kl),
        "the teacher's own entropy is missing: that is the cross-entropy, not the divergence": -(q * log_p).sum(-1).mean() * T**2,
        "these are hard labels: keep all of the teacher's probabilities": F.cross_entropy(student.flatten(0, -2), teacher.flatten(0, -2).argmax(-1)),
        "compare probabilities, not logits": F.mse_loss(student, teacher),
    }  # fmt: skip


def check_distillation_loss(student: Callable, rng: random.Random) -> None:
    for shape in ((4, 6), (2, 3, 5), (1, 4)):
        T, given, taught = rng.uniform(1.6, 3.0), 2 * normal(rng, *shape), 2 * normal(rng, *shape)
        want, call = distillation_oracle(given, taught, T), f"distillation_loss of logits {shape}, temperature={T:.2f}"
        expect(student(given, taught, T), want, call, distillation_mistakes(given, taught, T))
    same = normal(rng, 3, 5)
    expect(student(same, same, 2.0), torch.tensor(0.0), "distillation_loss of a student that equals its teacher")
    want = distillation_oracle(given, taught, 1.0)
    expect(student(given, taught), want, "distillation_loss without a temperature, which is 1 then")
    sure = taught.masked_fill(torch.arange(4) == rng.randrange(4), -math.inf)
    got, call = student(given, sure, 1.0), "distillation_loss with a teacher that rules a token out (its logit is -inf)"
    if isinstance(got, Tensor) and not got.isfinite().all():
        raise Wrong(
            f"{call} is {got.tolist()}: where the teacher's probability is 0, the term is 0. F.kl_div knows that."
        )
    expect(got, distillation_oracle(given, sure, 1.0), call)
    far = torch.tensor([[200.0 + rng.uniform(0, 9), 0.0, 100.0]])
    got, call = student(far, taught[:, :3], 1.0), "distillation_loss with logits that are 100 apart"
    if isinstance(got, Tensor) and not got.isfinite().all():
        raise Wrong(
            f"{call} is {got.tolist()}: a probability has become 0 there. Take log_softmax, not softmax and log."
        )
    expect(got, distillation_oracle(far, taught[:, :3], 1.0), call)
    given, taught = normal(rng, 2, 3, 4), normal(rng, 2, 3, 4)
    oracle = lambda x: 4 * F.kl_div((x / 2).log_softmax(-1), (taught / 2).softmax(-1), reduction="none").sum(-1).mean()  # noqa: E731
    check_gradient(lambda x: student(x, taught, 2.0), oracle, given.clone(), "distillation_loss")
    inner = taught.clone().requires_grad_() * 1
    loss = student(given.requires_grad_(), inner, 2.0)
    if torch.autograd.grad(loss, inner, allow_unused=True)[0] is not None:
        raise Wrong(
            "distillation_loss sends a gradient into the teacher, who is not to learn: use teacher_logits.detach()."
        )
    fixed = given.detach()
    for bad in (0.0, -1.0):
        must_raise(
            lambda bad=bad: student(fixed, taught, bad), f"distillation_loss with temperature={bad}", "it divides by it"
        )
    must_raise(lambda: student(fixed, taught[:1], 2.0), "distillation_loss of shapes (2, 3, 4) and (1, 3, 4)", "each row needs its own teacher")  # fmt: skip


# --- magnitude_mask --------------------------------------------------------------------------------------------------


def mask_oracle(w: Tensor, sparsity: float) -> Tensor:
    values = w.detach().flatten().tolist()
    gone = sorted(range(len(values)), key=lambda i: (abs(values[i]), i))[: round(sparsity * len(values))]
    return torch.tensor([i not in gone for i in range(len(values))]).view(w.shape)


def check_magnitude_mask(student: Callable, rng: random.Random) -> None:
    for shape, sparsity in (((4, 6), 0.25), ((3, 5), 0.6), ((2, 3, 4), 0.5), ((10,), 0.9), ((7,), 0.4), ((3, 7), 0.3)):
        w = torch.tensor([rng.choice((-1, 1)) * (1 + i) * 0.1 for i in rng.sample(range(99), math.prod(shape))]).view(
            shape
        )
        n, flat = round(sparsity * w.numel()), w.flatten()
        order, signed = flat.abs().argsort(), flat.argsort()
        wrong = {
            "compare sizes, not signed values: use .abs()": torch.ones_like(flat, dtype=torch.bool).index_fill(0, signed[:n], False).view(shape),
            "the mask is turned round: True stands for what is kept": ~mask_oracle(w, sparsity),
            "you removed the largest weights; the smallest must go": torch.ones_like(flat, dtype=torch.bool).index_fill(0, order[len(flat) - n :], False).view(shape),
            "sparsity is the share that goes, not the share that stays": mask_oracle(w, 1 - sparsity),
            "sparsity is a share of the weights, not of the largest value": w.abs() > sparsity * w.abs().max(),
            "return the mask, not the weights": w * mask_oracle(w, sparsity),
            "return a mask of bools": mask_oracle(w, sparsity).float(),
            "the mask needs the shape of w": mask_oracle(w, sparsity).flatten(),
            "round the number of weights that go; you rounded it down": mask_oracle(w, int(sparsity * w.numel()) / w.numel()),
            "round the number of weights that go; you rounded it up": mask_oracle(w, math.ceil(sparsity * w.numel() - 1e-9) / w.numel()),
        }  # fmt: skip
        kept, wrong = w.clone(), {text: mask for text, mask in wrong.items() if difference(mask, mask_oracle(w, sparsity), 0)}
        expect(
            student(w, sparsity),
            mask_oracle(w, sparsity),
            f"magnitude_mask of shape {shape}, sparsity={sparsity}",
            wrong,
        )
        must_keep(f"magnitude_mask of shape {shape}", kept, w)
    equal = torch.full((2, 4), rng.uniform(0.5, 2.0))
    for sparsity in (0.0, 0.25, 1.0):
        call = f"magnitude_mask of 8 equal weights, sparsity={sparsity}"
        got, want = student(equal, sparsity), mask_oracle(equal, sparsity)
        if isinstance(got, Tensor) and got.shape == want.shape and got.dtype == want.dtype and got.sum() != want.sum():
            raise Wrong(f"{call} keeps {int(got.sum())}, and should keep {int(want.sum())}. A threshold cannot tell equal weights apart: sort, and count.")  # fmt: skip
        expect(got, want, call)
    for bad in (-0.1, 1.5):
        must_raise(
            lambda bad=bad: student(equal, bad), f"magnitude_mask with sparsity={bad}", "it is a share, from 0 to 1"
        )


# --- quantize_absmax -------------------------------------------------------------------------------------------------


def made_of(
    rng: random.Random, shape: tuple[int, ...], bits: int, kept: tuple[int, ...]
) -> tuple[Tensor, Tensor, Tensor]:
    """Weights with known whole numbers and scales: w = (ints + up to 0.4) · scale, and ±n where a slice is largest."""
    n = 2 ** (bits - 1) - 1
    kept = tuple(d % len(shape) for d in kept)
    sizes = [size if d in kept else 1 for d, size in enumerate(shape)]
    scale = torch.tensor([rng.uniform(0.02, 0.4) for _ in range(math.prod(sizes))], dtype=torch.float64).view(sizes)
    ints, rest, met = torch.zeros(shape, dtype=torch.float64), torch.zeros(shape, dtype=torch.float64), {}
    for index in torch.cartesian_prod(*map(torch.arange, shape)).view(-1, len(shape)).tolist():
        where, which = tuple(index), tuple(i if d in kept else 0 for d, i in enumerate(index))
        if which not in met:  # the first of a slice is its largest: negative in every other slice
            met[which] = n * (-1) ** (len(met) + 1)
            ints[where] = met[which]
        else:
            ints[where] = rng.randint(-n + 1, n - 1)
            rest[where] = rng.choice((-1, 1)) * rng.uniform(0.1, 0.4)
    w = ((ints + rest) * scale).float()
    return w, ints.to(torch.int8 if bits <= 8 else torch.int16), scale.float() if kept else scale.float().view(())


def absmax_mistakes(w: Tensor, bits: int, kept: tuple[int, ...]) -> dict[str, tuple]:
    n, dtype = 2 ** (bits - 1) - 1, torch.int8 if bits <= 8 else torch.int16
    over = [d for d in range(w.dim()) if d not in kept]
    inside = lambda x, n=n: x.clamp(-n, n).to(dtype)  # noqa: E731
    keep = bool(kept)
    scale = w.abs().amax(over, keepdim=keep) / n
    signed, whole, along = (
        w.amax(over, keepdim=keep) / n,
        w.abs().max() / n,
        w.abs().amax(kept, keepdim=True) / n if keep else scale,
    )
    return {
        "round to the nearest: you cut the decimals off": (inside((w / scale).trunc()), scale),
        "round to the nearest: you rounded down": (inside((w / scale).floor()), scale),
        "the largest *size* makes the scale: use .abs() before the maximum": (inside((w / signed).round()), signed),
        "n is 2^(bits - 1) - 1: one bit is for the sign": (inside((w / (scale * n / (2 * n + 1))).round()), scale * n / (2 * n + 1)),
        "n is 2^(bits - 1) - 1; you used 2^(bits - 1)": (inside((w / (scale * n / (n + 1))).round(), n + 1), scale * n / (n + 1)),
        "each slice along `dim` needs a scale of its own; you made one for all": (inside((w / whole).round()), whole),
        "`dim` says which slices have a scale of their own: take the maximum over all *other* dimensions": (inside((w / along).round()), along),
        "return the scale by which the whole numbers are multiplied, not divided": (inside((w / scale).round()), 1 / scale),
        "the scale lost its dimensions: use keepdim=True, so that ints * scale gives the weights back": (inside((w / scale).round()), scale.squeeze()),
        "return whole numbers, as int8 (int16 above 8 bits)": ((w / scale).round(), scale),
        "return the whole numbers, not the weights after rounding": ((w / scale).round() * scale, scale),
        "return (ints, scale), in this order": (scale, inside((w / scale).round())),
    }  # fmt: skip


def expect_absmax(got: object, want: tuple[Tensor, Tensor], call: str, mistakes: dict[str, tuple]) -> None:
    if not (isinstance(got, tuple) and len(got) == 2):
        raise Wrong(f"{call} must return two tensors, (ints, scale); it returned {kind_of(got)}.")
    for sentence, wrong in mistakes.items():
        if difference(got, want, 1e-5) and not difference(got, wrong, 1e-5):
            raise Wrong(f"{call}: {sentence}.")
    expect(got[0], want[0], f"the ints of {call}")
    expect(got[1], want[1], f"the scale of {call}")


def check_quantize_absmax(student: Callable, rng: random.Random) -> None:
    for shape, bits, dim in (((3, 5), 8, None), ((4, 6), 4, 0), ((5, 5), 8, 0), ((4, 4), 4, 1), ((3, 4), 8, -1), ((7,), 3, None),
                             ((2, 3, 4), 6, (0, 2)), ((3, 4), 12, 0)):  # fmt: skip
        kept = () if dim is None else (dim,) if isinstance(dim, int) else dim
        kept = tuple(d % len(shape) for d in kept)
        w, *want = made_of(rng, shape, bits, kept)
        call = f"quantize_absmax of weights {shape}, bits={bits}, dim={dim}"
        given = w.clone()
        expect_absmax(student(given, bits, dim), tuple(want), call, absmax_mistakes(w, bits, kept))
        must_keep(call, w, given)
    w, ints, scale = made_of(rng, (2, 6), 8, ())
    expect_absmax(student(w), (ints, scale), "quantize_absmax(w) without more: 8 bits, one scale for all", {})
    w = made_of(rng, (3, 4), 8, (0,))[0]
    w[rng.randrange(3)] = 0.0
    ints, scale = student(w, 8, 0)  # it has got through all of the above
    back = ints * scale
    if not back.isfinite().all() or (back[w == 0] != 0).any() or (scale == 0).any():
        raise Wrong("quantize_absmax of weights with a row of zeros: that row must stay 0. Its scale would be 0, and "
                    "0 / 0 is no number: keep the scale above 0.")  # fmt: skip
    for bad, arguments, why in (
        ("bits=1", (w, 1, None), "there is no room for both signs"), ("dim=5", (w, 8, 5), "there is no such dimension"),
        ("an empty w", (w[:0], 8, None), "nothing is largest"), ("a nan in w", (w * math.nan, 8, None), "no scale fits"),
    ):  # fmt: skip
        must_raise(lambda a=arguments: student(*a), f"quantize_absmax with {bad}", f"{why}; check_weights does that")


EXERCISES: list[Exercise] = [
    Exercise("answer_mask", ft.answer_mask, check_answer_mask, [
        "Go through the positions from left to right and keep in mind, for each row, whether the assistant is speaking.",
        "After <assistant> it speaks; after an <end of turn> nobody does. A token counts if the assistant spoke before it.",
        "mask[:, t] = inside, and only then: inside = (inside | (ids[:, t] == ASSISTANT)) & (ids[:, t] != END_OF_TURN). So "
        "<assistant> does not count, and the <end of turn> of the answer does.",
    ], difficulty=2, minutes=12),
    Exercise("lora_forward", ft.lora_forward, check_lora_forward, [
        "Two ways side by side, added: the old layer, F.linear(x, W, b), and the thin one, through A and then B.",
        "x is made of rows, so A x becomes x @ A.T, of shape (..., r), and B of it @ B.T, of shape (..., m).",
        "The factor is alpha / r, and r is len(A). It multiplies the thin part only.",
    ], difficulty=1, minutes=8),
    Exercise("lora_merge", ft.lora_merge, check_lora_merge, [
        "W x + (α / r) B A x = (W + (α / r) B A) x. The bracket is one matrix.",
        "B @ A is (m, n), the shape of W. Nothing is transposed.",
        "W + alpha / len(A) * B @ A makes a new matrix; W += … would change the layer that you were given.",
    ], difficulty=1, minutes=5),
    Exercise("dpo_loss", pf.dpo_loss, check_dpo_loss, hints=[
        "Each answer gets an implicit reward: beta times how many nats likelier it is under the policy than under the reference. The "
        "rest is the Bradley–Terry loss.",
        "A difference of two differences: (policy - reference) of the preferred answer, minus the same of the rejected one. Multiply by "
        "beta, then minus the logarithm of the sigmoid, then the mean.",
        "return -F.logsigmoid(beta * ((policy_chosen - reference_chosen) - (policy_rejected - reference_rejected))).mean(). "
        "torch.log(torch.sigmoid(x)) would give -inf for x below -104.",
    ], difficulty=2, minutes=10),
    Exercise("advantages", rl.advantages, check_advantages, hints=[
        "For each answer: its reward minus the mean of the k - 1 other rewards of its row.",
        "No loop is needed. The sum of the others is the row's sum minus the answer's own reward.",
        "others = (rewards.sum(-1, keepdim=True) - rewards) / (k - 1); return rewards - others. With k below 2 raise a ValueError.",
    ], difficulty=2, minutes=8),
    Exercise("leashed_reward", rl.leashed_reward, check_leashed_reward, hints=[
        "An answer that has become likelier than under the reference pays; one that has become less likely gets something back.",
        "The price of an answer is beta times (its log-probability under the policy minus that under the reference). First refuse a "
        "negative beta.",
        "return reward - beta * (policy_log_prob - reference_log_prob).detach(): without detach, the training step would "
        "differentiate the price itself.",
    ], difficulty=1, minutes=6),
    Exercise("distillation_loss", dt.distillation_loss, check_distillation_loss, hints=[
        "Divide both logits by the temperature. What of the student do you need, probabilities or their logarithms? And of the teacher?",
        "F.kl_div takes log P first and Q second, and Q is who is right: the teacher. It treats Q = 0 correctly. reduction='sum', then "
        "divide by the number of rows, over all dimensions but the last.",
        "log_p = (student_logits / temperature).log_softmax(-1); q = (teacher_logits.detach() / temperature).softmax(-1); then "
        "temperature**2 * F.kl_div(log_p, q, reduction='sum') / math.prod(q.shape[:-1]). Raise the ValueError first.",
    ], difficulty=2, minutes=10),
    Exercise("magnitude_mask", cp.magnitude_mask, check_magnitude_mask, hints=[
        "Which weights are the smallest? Sort them by size, and count off as many as have to go.",
        "A threshold fails where weights are equal. argsort(stable=True) of the flattened sizes gives positions, the smallest first.",
        "mask = torch.ones_like(order, dtype=torch.bool); mask[order[: round(sparsity * len(order))]] = False; mask.view(w.shape)",
    ], difficulty=1, minutes=8),
    Exercise("quantize_absmax", cp.quantize_absmax, check_quantize_absmax, hints=[
        "First the scale: the largest size of a slice, divided by n. Then divide, round, and make whole numbers of it.",
        "over = check_weights(w, bits, dim) gives the dimensions over which a slice extends: w.abs().amax(over, keepdim=…). Keep the scale "
        "above 0 with .clamp(min=torch.finfo(w.dtype).tiny).",
        "n = 2 ** (bits - 1) - 1; scale = (w.abs().amax(over, keepdim=dim is not None) / n).clamp(min=tiny); ints = (w / scale).round()"
        ".clamp(-n, n), as torch.int8, or torch.int16 above 8 bits. Return (ints, scale).",
    ], difficulty=2, minutes=12),
]  # fmt: skip
