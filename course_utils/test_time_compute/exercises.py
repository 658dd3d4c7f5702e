"""Exercises of lesson 12. The right values come from numpy.polyfit, fractions, plain loops, a
search and counting.
"""

import random
from collections import Counter
from collections.abc import Callable
from fractions import Fraction
from itertools import combinations
from math import comb

import numpy as np
import torch

from course_utils.checking import Exercises, Wrong, expect
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
        p = c / n
        mistakes = {
            "1 - (1 - c/n)^k draws with replacement and is too low; here k different samples of the n are taken": 1 - (1 - p) ** k,
            "that is c / n whatever k is": p,
            "that is the chance that all k are right": comb(c, k) / comb(n, k),
            "that is the chance that none is right; subtract it from 1": comb(n - c, k) / comb(n, k),
            "that is k · c / n, which counts a choice with two right ones twice": min(1.0, k * p),
            "the product runs over i = n - c + 1, …, n, one factor for each right sample": 1 - np.prod([1 - k / i for i in range(n - c, n) if i]),
            "that is the chance of exactly one right sample": c * comb(n - c, k - 1) / comb(n, k) if k else 0.0,
        }  # fmt: skip
        want = float(counted(n, c, k))
        mistakes = {s: float(v) for s, v in mistakes.items() if abs(v - want) > 1e-6}
        expect(
            student(n, c, k), want, f"pass_at_k(n={n}, c={c}, k={k})", mistakes=mistakes, tol=1e-7
        )
    n = rng.randint(5000, 9000)
    k = rng.randint(300, 900)
    c = rng.randint(2, 9)
    want = float(1 - Fraction(comb(n - c, k), comb(n, k)))
    expect(student(n, c, k), want, f"pass_at_k(n={n}, c={c}, k={k}), large numbers,", tol=1e-9)
    for n, c, k in ((5, 6, 1), (5, -1, 1), (5, 2, 6), (5, 2, 0)):
        try:
            got = student(n, c, k)
        except ValueError:
            continue
        raise Wrong(
            f"pass_at_k(n={n}, c={c}, k={k}) must raise a ValueError: c is between 0 and n, k between 1 and n. It returned {got}."
        )


# --- majority_vote --------------------------------------------------------------------------------


def voted(row: list[int]) -> int:
    counts = Counter(row)
    return max(row, key=lambda answer: (counts[answer], -row.index(answer)))


@EXERCISES.add(
    test_time_compute.majority_vote,
    difficulty=1,
    minutes=6,
    hints=[
        "For each answer count how many in its row are equal to it. The winner has the largest count.",
        "answers[:, :, None] == answers[:, None, :] is (B, k, k); its sum over the last dimension counts. argmax takes the first of equals.",
        "first = votes.argmax(dim=1, keepdim=True); answers.gather(1, first)[:, 0].",
    ],
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
        mistakes = {
            "where two answers are as frequent, the one that came first wins; torch.mode and argmax of counts take the smallest": table.mode(1).values,
            "that is the first answer of each row; count": table[:, 0],
            "that is the mean; answers are names here, not sizes": table.float().mean(1).round().long(),
            "that is the median; answers are names here, not sizes": table.median(1).values,
            "that is the largest answer; take the most frequent": table.amax(1),
            "you counted over all problems together; each row votes by itself": table.flatten().mode().values.expand(B).clone(),
        }  # fmt: skip
        mistakes = {s: v for s, v in mistakes.items() if not torch.equal(v, want)}
        expect(
            student(table),
            want,
            f"majority_vote(answers) with answers of shape {(B, k)}",
            mistakes=mistakes,
        )
    for row, smallest, largest in (([9, 4, 9, 4, 7], 4, 9), ([4, 9, 9, 4, 7], 4, 9)):
        mistakes = {
            "of two as frequent, the one that was given first wins, not the smallest": torch.tensor(
                [smallest]
            ),
            "of two as frequent, the one that was given first wins, not the largest or the last": torch.tensor(
                [largest]
            ),
        }
        call = f"majority_vote(tensor([{row}])), where 4 and 9 come twice and {row[0]} was first,"
        expect(student(torch.tensor([row])), torch.tensor([row[0]]), call, mistakes=mistakes)
