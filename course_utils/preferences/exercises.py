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


# --- bradley_terry_loss ---------------------------------------------------------------------------


def bradley_terry_mistakes(a: Tensor, b: Tensor) -> dict[str, Tensor]:
    d = a - b
    return {
        "the sign is turned round: it is the preferred reward minus the other": F.softplus(d).mean(),
        "take the mean over the pairs, not the sum": F.softplus(-d).sum(),
        "take the mean over the pairs; you returned one loss for each": F.softplus(-d),
        "average at the end: first the loss of each pair, then the mean": F.softplus(-d.mean()),
        "a loss goes down when things get better: put a minus before the logarithm": F.logsigmoid(d).mean(),
        "the loss is minus the logarithm of the sigmoid; the logarithm is missing": -d.sigmoid().mean(),
        "that is a straight line without the sigmoid": -d.mean(),
        "that is a hinge; the loss is minus the logarithm of a sigmoid": F.relu(1 - d).mean(),
        "the other answer is missing: only differences count": F.softplus(-a).mean(),
        "that is the share of the preferred reward itself; rewards may be negative, and only differences count": -(a / (a + b)).abs().log().mean(),
    }  # fmt: skip


@EXERCISES.add(
    preferences.bradley_terry_loss,
    difficulty=1,
    minutes=6,
    hints=[
        "For each pair: the difference of the two rewards, its sigmoid, minus the logarithm of that. Then the mean.",
        "For a difference below -104 the sigmoid is exactly 0 in float32. F.logsigmoid does both steps at once, and stays finite.",
        "return -F.logsigmoid(chosen - rejected).mean()",
    ],
)
def check_bradley_terry_loss(student: Callable, rng: random.Random) -> None:
    for n in (3, 1, 5):
        a = normal(rng, n) * 2 + 0.5
        b = normal(rng, n) * 2
        want = torch.tensor(
            statistics.fmean(
                softplus_oracle(y - x) for x, y in zip(a.tolist(), b.tolist(), strict=True)
            )
        )
        call = f"bradley_terry_loss of {n} pair{'s' * (n > 1)}"
        expect(student(a, b), want, call, different(bradley_terry_mistakes(a, b), want))
    far = torch.tensor([-rng.uniform(300, 900)])
    got = student(far, torch.zeros(1))
    call = "bradley_terry_loss with rewards that are hundreds apart"
    if isinstance(got, Tensor) and not got.isfinite().all():
        raise Wrong(
            f"{call} is {show_value(got)}. The sigmoid becomes exactly 0 there: take F.logsigmoid, not the logarithm of a sigmoid."
        )
    expect(got, -far[0], call)


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


# --- clipped_loss ---------------------------------------------------------------------------------


def clipped_oracle(new: Tensor, old: Tensor, gain: Tensor, mask: Tensor, clip: float) -> Tensor:
    """Token by token, in plain Python."""
    answers = []
    for b in range(new.size(0)):
        for i in range(new.size(1)):
            tokens = []
            for t in range(new.size(2)):
                if not mask[b, i, t]:
                    continue
                ratio = math.exp(new[b, i, t].item() - old[b, i, t].item())
                cut = min(max(ratio, 1 - clip), 1 + clip)
                tokens.append(min(ratio * gain[b, i].item(), cut * gain[b, i].item()))
            answers.append(statistics.fmean(tokens))
    return torch.tensor(-statistics.fmean(answers))


def clipped_mistakes(
    new: Tensor, old: Tensor, gain: Tensor, mask: Tensor, clip: float
) -> dict[str, Tensor]:
    g = gain[..., None]
    ratio = (new - old).exp()
    cut = ratio.clamp(1 - clip, 1 + clip)
    least = torch.minimum(ratio * g, cut * g)

    def mean(x: Tensor) -> Tensor:
        return ((x * mask).sum(-1) / mask.sum(-1)).mean()

    whole = ((new - old) * mask).sum(-1).exp()
    return {
        "a loss goes down when things get better: put a minus before it": mean(least),
        "nothing is clipped: take the smaller of ratio · advantage and clipped ratio · advantage": -mean(ratio * g),
        "take the smaller of the two, with the clipped ratio and with the ratio itself": -mean(cut * g),
        "take the smaller of the two, not the larger: the clip must not reward going further": -mean(torch.maximum(ratio * g, cut * g)),
        "the smaller ratio is not the smaller product: compare after multiplying by the advantage": -mean(torch.minimum(ratio, cut) * g),
        "the ratio is turned round: new over old": -mean(torch.minimum(g / ratio, (1 / ratio).clamp(1 - clip, 1 + clip) * g)),
        "the ratio is exp of the difference; the exp is missing": -mean(torch.minimum((new - old) * g, (new - old).clamp(1 - clip, 1 + clip) * g)),
        "these are log-probabilities: the ratio is exp of their difference, not their quotient": -mean(torch.minimum(new / old * g, (new / old).clamp(1 - clip, 1 + clip) * g)),
        "the mask is missing: what stands behind an answer counts, too": -least.mean(),
        "divide by the number of tokens that count, not by the length of the row": -(least * mask).mean(),
        "first the mean of each answer, then the mean over answers: a long answer weighs no more": -(least * mask).sum() / mask.sum(),
        "take the mean over an answer's tokens, not their sum": -(least * mask).sum(-1).mean(),
        "take the mean over the answers, not their sum": -((least * mask).sum(-1) / mask.sum(-1)).sum(),
        "each token has a ratio of its own; you took one for the whole answer": -torch.minimum(whole * gain, whole.clamp(1 - clip, 1 + clip) * gain).mean(),
        "the advantage is missing": -mean(torch.minimum(ratio, cut)),
        "both sides are cut: at 1 - clip and at 1 + clip": -mean(torch.minimum(ratio * g, ratio.clamp(max=1 + clip) * g)),
    }  # fmt: skip


@EXERCISES.add(
    reinforcement.clipped_loss,
    difficulty=3,
    minutes=14,
    gradients=["log_probs"],  # the rest was measured before this step
    hints=[
        "The ratio of each token is exp(new - old). Make two products with the advantage: with the ratio, and with the ratio cut to "
        "1 - clip … 1 + clip. The smaller of the two counts.",
        "The advantage needs a last axis for the tokens: advantage[..., None]. Multiply by the mask, sum over the tokens, and divide by "
        "how many the mask marks.",
        "gain = torch.minimum(ratio * a, ratio.clamp(1 - clip, 1 + clip) * a); return -((gain * mask).sum(-1) / mask.sum(-1)).mean(). "
        "Before that: raise a ValueError unless clip > 0.",
    ],
    refuses=[
        (torch.zeros(1, 2, 3), torch.zeros(1, 2, 3), torch.ones(1, 2), torch.ones(1, 2, 3).bool(), 0.0),
        (torch.zeros(1, 2, 3), torch.zeros(1, 2, 3), torch.ones(1, 2), torch.ones(1, 2, 3).bool(), -0.2),
    ],
)  # fmt: skip
def check_clipped_loss(student: Callable, rng: random.Random) -> None:
    for B, k, A in ((2, 3, 4), (1, 2, 5), (3, 4, 2)):
        clip = rng.uniform(0.1, 0.4)
        old = -normal(rng, B, k, A).abs() - 0.1
        new = old + normal(rng, B, k, A) * 0.6
        gain = normal(rng, B, k)
        lengths = torch.tensor([[rng.randint(1, A) for _ in range(k)] for _ in range(B)])
        lengths[0, 0] = 1
        lengths[-1, -1] = A
        mask = torch.arange(A) < lengths[..., None]
        want = clipped_oracle(new, old, gain, mask, clip)
        call = f"clipped_loss of {B} × {k} answers with clip={clip:.2f}"
        mistakes = different(clipped_mistakes(new, old, gain, mask, clip), want)
        expect(student(new, old, gain, mask, clip), want, call, mistakes)


# --- varied_reward --------------------------------------------------------------------------------

WORDS = [
    "They went home.",
    "Mia smiled.",
    "Tom ran.",
    "It was late.",
    "Zoe laughed.",
    "They slept.",
]


@EXERCISES.add(
    reinforcement.varied_reward,
    difficulty=3,
    minutes=12,
    sizes=False,
    gradients=False,
    hints=[
        "How often was this very text given to this very prompt? row.count(text) tells.",
        "Let the answers that say the same share one reward, or take something off for each copy. Mind the bounds: a wrong answer must "
        "stay below every right one.",
        "times = torch.tensor([[row.count(text) for text in row] for row in texts]); return right / times",
    ],
)
def check_varied_reward(student: Callable, rng: random.Random) -> None:
    k = rng.randint(7, 9)
    for _ in range(2):  # the second time with other words, so that nothing kept from the first does
        _check_rewards(student, rng, k)


def _check_rewards(student: Callable, rng: random.Random, k: int) -> None:
    one, two, three, four = rng.sample(WORDS, 4)
    # three copies of a right text, one of another right one, and wrong ones
    first = [(one, 1.0)] * 3 + [(two, 1.0)] + [(three, 0.0)] * 2 + [(four, 0.0)] * (k - 6)
    # the same text is right for one prompt, and wrong for another
    second = [(three, 1.0)] + [(one, 0.0)] * 2 + [(two, 0.0)] + [(four, 1.0)] * (k - 4)
    for row in (first, second):
        rng.shuffle(row)
    texts = [[text for text, _ in row] for row in (first, second)]
    right = torch.tensor([[is_right for _, is_right in row] for row in (first, second)])
    kept = right.clone()
    got = student(right, texts)
    call = f"varied_reward of two prompts with {k} answers each"
    if not isinstance(got, Tensor) or got.shape != right.shape:
        raise Wrong(f"{call}: give a tensor of shape {tuple(right.shape)}, one reward an answer")
    got = got.detach().float()
    if not got.isfinite().all():
        raise Wrong(f"{call}: a reward is not a finite number; what if a text is there once?")
    if got.min() < 0 or got.max() > 1:
        raise Wrong(
            f"{call}: a reward is {show_value(got.min() if got.min() < 0 else got.max())}; keep them between 0 and 1"
        )
    for b, row in enumerate(texts):
        by_text = {}
        for i, text in enumerate(row):
            by_text.setdefault((text, right[b, i].item()), []).append(got[b, i].item())
        for (text, _), some in by_text.items():
            if max(some) - min(some) > 1e-5:
                raise Wrong(
                    f"{call}: {text!r} gets {min(some):.2f} here and {max(some):.2f} there; equal texts get equal rewards"
                )
        rights = [x for (_, is_right), some in by_text.items() if is_right for x in some]
        wrongs = [x for (_, is_right), some in by_text.items() if not is_right for x in some]
        if min(rights) <= max(wrongs) + 1e-6:
            raise Wrong(
                f"{call}: a right answer gets {min(rights):.2f} and a wrong one {max(wrongs):.2f}; then it pays to be wrong"
            )
        singles = [
            some[0] for (_, is_right), some in by_text.items() if is_right and len(some) == 1
        ]
        copies = [
            x for (_, is_right), some in by_text.items() if is_right and len(some) > 1 for x in some
        ]
        if min(singles) <= max(copies) + 1e-4:
            raise Wrong(
                f"{call}: a right text that came once gets {min(singles):.2f}, one that came {len(copies)} times {max(copies):.2f}; variety must pay"
            )
    expect(right, kept, f"the argument `right` after {call}")
    alone = student(right[:1], texts[:1])
    if difference(alone.float(), got[:1], 1e-4) is not None:
        raise Wrong(
            f"{call}: the rewards of the first prompt depend on the answers to the second; count within a row"
        )
