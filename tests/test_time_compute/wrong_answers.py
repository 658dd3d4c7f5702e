"""Wrong answers to the exercises of lesson 12: mistakes that people make. Every checker must reject
every one.
"""

import math

import torch
from answers import WrongAnswers

wrong = WrongAnswers()


# --- pass_at_k ------------------------------------------------------------------------------------


def guard(n, c, k):
    if not (0 <= c <= n and 1 <= k <= n):
        raise ValueError(f"{n}, {c}, {k}")


@wrong(
    "pass_at_k",
    says="1 - (1 - c/n)^k draws with replacement and is too low; here k different samples of the n are taken",
)
def pass_plugged_in(n, c, k):
    """1 - (1 - c/n)^k: biased; right for k = 1."""
    guard(n, c, k)
    return 1 - (1 - c / n) ** k


@wrong("pass_at_k", says="that is c / n, whatever k is")
def pass_share(n, c, k):
    """c / n."""
    guard(n, c, k)
    return c / n


@wrong("pass_at_k", says="that is the chance that all k are right")
def pass_all(n, c, k):
    """All k right."""
    guard(n, c, k)
    return math.comb(c, k) / math.comb(n, k)


@wrong("pass_at_k", says="that is the chance that none is right; subtract it from 1")
def pass_none(n, c, k):
    """The chance to miss."""
    guard(n, c, k)
    return math.comb(n - c, k) / math.comb(n, k)


@wrong("pass_at_k", says="that is k · c / n, which counts a choice with two right ones twice")
def pass_union_bound(n, c, k):
    """k · c / n, capped: right for k = 1."""
    guard(n, c, k)
    return min(1.0, k * c / n)


@wrong("pass_at_k", says="the product begins one factor too early and ends one too early")
def pass_off_by_one(n, c, k):
    """The product one too low."""
    guard(n, c, k)
    return 1 - math.prod(1 - k / i for i in range(n - c, n) if i)


@wrong("pass_at_k", says="the last factor of the product is missing; range(a, b) ends before b")
def pass_short_range(n, c, k):
    """range(n - c + 1, n): the last factor is missing."""
    guard(n, c, k)
    return 1 - math.prod(1 - k / i for i in range(n - c + 1, n))


@wrong("pass_at_k", says="of the wrong samples, too, there is one less after each draw")
def pass_over_k(n, c, k):
    """A product over the k samples, but with replacement of the right ones."""
    guard(n, c, k)
    return 1 - math.prod((n - c) / (n - i) for i in range(k))


@wrong("pass_at_k", says="a number on the way is too large for a float")
def pass_factorials(n, c, k):
    """Factorials as floats: overflow for large n."""
    guard(n, c, k)
    if n - c < k:
        return 1.0
    f = math.gamma
    return 1 - f(n - c + 1) * f(n - k + 1) / (f(n - c - k + 1) * f(n + 1))


@wrong("pass_at_k", says="must raise ValueError, and raised ZeroDivisionError")
def pass_no_errors(n, c, k):
    """Says nothing about c > n."""
    return 1.0 - math.prod(1 - k / i for i in range(n - c + 1, n + 1))


@wrong("pass_at_k", says="that is the chance of exactly one right sample")
def pass_one_exactly(n, c, k):
    """Exactly one right sample."""
    guard(n, c, k)
    return c * math.comb(n - c, k - 1) / math.comb(n, k)


@wrong(
    "pass_at_k",
    says="that is 1 as soon as there is a right sample; a choice of k may still miss it",
)
def pass_any(n, c, k):
    """1 as soon as one is right: the observed, not the expected."""
    guard(n, c, k)
    return float(c > 0)


@wrong(
    "pass_at_k",
    says="where n - c < k no choice can miss every right one: the chance is 1, and you gave 0",
)
def pass_zero_when_sure(n, c, k):
    """Forgets that n - c < k is sure to hold a right one."""
    guard(n, c, k)
    return 0.0 if n - c < k else 1 - math.comb(n - c, k) / math.comb(n, k)


@wrong("pass_at_k", says="do not round the chance; you kept")
def pass_rounded(n, c, k):
    """Rounded to a percent."""
    guard(n, c, k)
    return round(1.0 - math.prod(1 - k / i for i in range(n - c + 1, n + 1)), 2)


# --- majority_vote --------------------------------------------------------------------------------


@wrong("majority_vote", says="of several as frequent you took the smallest, as torch.mode does")
def vote_mode(answers):
    """torch.mode: the smallest of several as frequent."""
    return answers.mode(dim=1).values


@wrong("majority_vote", says="of several as frequent you took the one that came last")
def vote_last_of_ties(answers):
    """The last of several as frequent."""
    votes = (answers[:, :, None] == answers[:, None, :]).sum(-1).flip(1)
    return answers.flip(1).gather(1, votes.argmax(1, keepdim=True))[:, 0]


@wrong("majority_vote", says="that is the mean; answers are names here, not sizes")
def vote_mean(answers):
    """The rounded mean."""
    return answers.float().mean(1).round().long()


@wrong("majority_vote", says="that is the median; answers are names here, not sizes")
def vote_median(answers):
    """The median."""
    return answers.median(dim=1).values


@wrong("majority_vote", says="that is the largest answer; take the most frequent")
def vote_max(answers):
    """The largest answer."""
    return answers.amax(1)


@wrong("majority_vote", says="that is the first answer of each row; count")
def vote_first(answers):
    """The first answer."""
    return answers[:, 0]


@wrong("majority_vote", says="you counted over all problems together; each row votes by itself")
def vote_all_rows(answers):
    """One winner for all problems."""
    return answers.flatten().mode().values.expand(len(answers)).clone()


@wrong("majority_vote", says="you counted down the columns; each row votes by itself")
def vote_columns(answers):
    """Counts down the columns."""
    return answers.mode(dim=0).values[: len(answers)]


@wrong("majority_vote", says="that is how many votes the winner got; return the answer itself")
def vote_counts(answers):
    """The number of votes, not the answer."""
    return (answers[:, :, None] == answers[:, None, :]).sum(-1).amax(1)


@wrong(
    "majority_vote",
    says="that is the place of the winner in its row; return the answer that stands there",
)
def vote_index(answers):
    """The index of the winner."""
    return (answers[:, :, None] == answers[:, None, :]).sum(-1).argmax(1)


@wrong("majority_vote", says="answers above 9 were taken for 9; an answer is any whole number")
def vote_bincount_ten(answers):
    """Answers below 10 only."""
    return torch.stack([torch.bincount(row.clamp(max=9), minlength=10).argmax() for row in answers])


@wrong("majority_vote", says="of several as frequent you took the largest")
def vote_largest_of_ties(answers):
    """The largest of several as frequent."""
    return -(-answers).mode(dim=1).values


@wrong("majority_vote", says="you counted equal neighbours only")
def vote_neighbours(answers):
    """Counts only neighbours that agree."""
    votes = torch.nn.functional.pad((answers[:, 1:] == answers[:, :-1]).long(), (0, 1))
    return answers.gather(1, votes.argmax(1, keepdim=True))[:, 0]


@wrong("majority_vote", says="that is a list of numbers; return a tensor")
def vote_list(answers):
    """A list of numbers."""
    return [int(max(row.tolist(), key=row.tolist().count)) for row in answers]
