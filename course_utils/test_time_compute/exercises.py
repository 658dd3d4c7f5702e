"""Exercises of lesson 12. The right values come from numpy.polyfit, fractions, plain loops, a
search and counting.
"""

import random
from collections import Counter
from collections.abc import Callable
from fractions import Fraction
from itertools import combinations
from math import comb, gamma, prod

import torch
import torch.nn.functional as F
from torch import Tensor

from course_utils.checking import Exercises, expect
from course_utils.test_time_compute import running_sum as test_time_compute

EXERCISES = Exercises()


# --- pass_at_k ------------------------------------------------------------------------------------


def counted(n: int, c: int, k: int) -> Fraction:
    """Of all choices of k samples, the share that holds one of the c right ones, counted one by
    one.
    """
    choices = list(combinations(range(n), k))
    return Fraction(sum(min(choice) < c for choice in choices), len(choices))


@EXERCISES.add(
    test_time_compute.pass_at_k,
    difficulty=2,
    minutes=8,
    hints=[
        "How many ways are there to choose k of the n samples? How many of them miss every right one?",
        "Their quotient is (n-c choose k) / (n choose k), the chance to miss. For large numbers write it as a product of c factors: "
        "(1 - k/i) for i from n - c + 1 to n.",
        "1 - math.prod(1 - k / i for i in range(n - c + 1, n + 1)), after a ValueError for c or k that cannot be.",
    ],
    refuses=[(3, 4, 1), (3, -1, 1), (3, 1, 0), (3, 1, 4)],
    mistakes={
        "1 - (1 - c/n)^k draws with replacement and is too low; here k different samples of the n are taken": lambda n, c, k: (
            1 - (1 - c / n) ** k
        ),
        "that is c / n, whatever k is": lambda n, c, k: c / n,
        "that is the chance that all k are right": lambda n, c, k: comb(c, k) / comb(n, k),
        "that is the chance that none is right; subtract it from 1": lambda n, c, k: (
            comb(n - c, k) / comb(n, k)
        ),
        "that is the chance of exactly one right sample": lambda n, c, k: (
            c * comb(n - c, k - 1) / comb(n, k)
        ),
        "that is k · c / n, which counts a choice with two right ones twice": lambda n, c, k: min(
            1.0, k * c / n
        ),
        "that is 1 as soon as there is a right sample; a choice of k may still miss it": lambda n, c, k: (
            float(c > 0)
        ),
        "where n - c < k no choice can miss every right one: the chance is 1, and you gave 0": lambda n, c, k: (
            0.0 if n - c < k else test_time_compute.pass_at_k(n, c, k)
        ),
        "the product begins one factor too early and ends one too early; it runs over i = n - c + 1, …, n": lambda n, c, k: (
            1 - prod(1 - k / i for i in range(n - c, n) if i)
        ),
        "the last factor of the product is missing; range(a, b) ends before b": lambda n, c, k: (
            1 - prod(1 - k / i for i in range(n - c + 1, n))
        ),
        "of the wrong samples, too, there is one less after each draw: the factors are (n - c - i) / (n - i)": lambda n, c, k: (
            1 - prod((n - c) / (n - i) for i in range(k))
        ),
        "a number on the way is too large for a float, as factorials are; take the product of the hints, whose factors are all below 1": lambda n, c, k: (
            test_time_compute.pass_at_k(n, c, k) + 0 * gamma(n + 1)
        ),
    },  # fmt: skip
)
def check_pass_at_k(student: Callable, rng: random.Random) -> None:
    most = rng.randint(6, 8)
    cases = [(most, c, k) for c in (1, 2, most // 2, most - 1) for k in (1, 2, 3, most)]
    for n, c, k in [
        *cases,
        (most, 0, 3),
        (most, most, 2),
        (most, most - 1, 2),
        (5, 2, 3),
        (1, 1, 1),
        (1, 0, 1),
    ]:
        want = float(counted(n, c, k))
        rounded = {
            f"do not round the chance; you kept {d} digits": round(want, d) for d in range(1, 6)
        }
        expect(
            student(n, c, k), want, f"pass_at_k(n={n}, c={c}, k={k})", mistakes=rounded, tol=1e-7
        )
    n = rng.randint(5000, 9000)
    k = rng.randint(300, 900)
    c = rng.randint(2, 9)
    want = float(1 - Fraction(comb(n - c, k), comb(n, k)))
    expect(student(n, c, k), want, f"pass_at_k(n={n}, c={c}, k={k}), large numbers,", tol=1e-9)


# --- majority_vote --------------------------------------------------------------------------------


def voted(row: list[int]) -> int:
    counts = Counter(row)
    return max(row, key=lambda answer: (counts[answer], -row.index(answer)))


def _votes(answers: Tensor) -> Tensor:
    """(B, k): how many in its row agree with each."""
    return (answers[:, :, None] == answers[:, None, :]).sum(-1)


def _pairs(answers: Tensor) -> Tensor:
    """(B, k): whether the next one in its row is equal."""
    return F.pad((answers[:, 1:] == answers[:, :-1]).long(), (0, 1))


@EXERCISES.add(
    test_time_compute.majority_vote,
    difficulty=1,
    minutes=6,
    hints=[
        "For each answer count how many in its row are equal to it. The winner has the largest count.",
        "answers[:, :, None] == answers[:, None, :] is (B, k, k); its sum over the last dimension counts. argmax takes the first of equals.",
        "first = votes.argmax(dim=1, keepdim=True); answers.gather(1, first)[:, 0].",
    ],
    mistakes={
        "of several as frequent you took the smallest, as torch.mode does; the one that came first wins": lambda answers: (
            answers.mode(1).values
        ),
        "of several as frequent you took the largest; the one that came first wins": lambda answers: (
            -(-answers).mode(1).values
        ),
        "of several as frequent you took the one that came last; the one that came first wins": lambda answers: (
            torch.tensor([voted(row[::-1]) for row in answers.tolist()])
        ),
        "that is the first answer of each row; count": lambda answers: answers[:, 0],
        "that is the mean; answers are names here, not sizes": lambda answers: (
            answers.float().mean(1).round().long()
        ),
        "that is the median; answers are names here, not sizes": lambda answers: (
            answers.median(1).values
        ),
        "that is the largest answer; take the most frequent": lambda answers: answers.amax(1),
        "that is how many votes the winner got; return the answer itself": lambda answers: _votes(
            answers
        ).amax(1),
        "that is the place of the winner in its row; return the answer that stands there": lambda answers: (
            _votes(answers).argmax(1)
        ),
        "you counted over all problems together; each row votes by itself": lambda answers: (
            answers.flatten().mode().values.repeat(len(answers))
        ),
        "you counted down the columns; each row votes by itself": lambda answers: answers.mode(
            0
        ).values[: len(answers)],
        "you counted equal neighbours only; equal answers may stand anywhere in their row": lambda answers: (
            answers.gather(1, _pairs(answers).argmax(1, keepdim=True))[:, 0]
        ),
        "that is a list of numbers; return a tensor": lambda answers: (
            test_time_compute.majority_vote(answers).tolist()
        ),
        "answers above 9 were taken for 9; an answer is any whole number": lambda answers: (
            torch.stack([row.clamp(max=9).bincount().argmax() for row in answers])
        ),
    },  # fmt: skip
)
def check_majority_vote(student: Callable, rng: random.Random) -> None:
    for B, k, kinds in ((6, 9, 4), (8, 6, 3), (5, 1, 9), (4, 2, 30), (7, 5, 5), (3, 12, 2)):
        shift = rng.choice((0, 40))
        answers = [[rng.randrange(kinds) + shift for _ in range(k)] for _ in range(B)]
        answers[0] = [
            kinds - 1 + shift,
            *[shift] * ((k - 1) // 2),
            *[kinds - 1 + shift] * (k - 1 - (k - 1) // 2),
        ][:k]
        if k > 3:
            answers[1] = [
                2 + shift,
                1 + shift,
                1 + shift,
                2 + shift,
                *range(60, 60 + k - 4),
            ]  # 2 and 1 as often; 2 came first
        table = torch.tensor(answers)
        want = torch.tensor([voted(row) for row in answers])
        expect(student(table), want, f"majority_vote(answers) with answers of shape {(B, k)}")
    for row in ([9, 4, 9, 4, 7], [4, 9, 9, 4, 7]):
        call = f"majority_vote(tensor([{row}])), where 4 and 9 come twice and {row[0]} was first,"
        expect(student(torch.tensor([row])), torch.tensor([row[0]]), call)
