"""Right answers of another style to the exercises on compute at test time."""

import math
from collections import Counter
from fractions import Fraction

import numpy as np
import torch
from answers import Answers

right = Answers()


def checked(n, c, k):
    if not (0 <= c <= n and 1 <= k <= n):
        raise ValueError("c is between 0 and n, k between 1 and n")


@right("pass_at_k")
def with_combinations(n, c, k):
    checked(n, c, k)
    return 1 - math.comb(n - c, k) / math.comb(n, k)


@right("pass_at_k")
def as_the_paper_has_it(n, c, k):
    checked(n, c, k)
    if n - c < k:
        return 1.0
    return float(1.0 - np.prod(1.0 - k / np.arange(n - c + 1, n + 1)))


@right("pass_at_k")
def draw_after_draw(n, c, k):
    checked(n, c, k)
    missed = Fraction(1)
    for drawn in range(k):
        missed *= Fraction(max(n - c - drawn, 0), n - drawn)
    return float(1 - missed)


@right("majority_vote")
def with_a_counter(answers):
    return torch.tensor([Counter(row).most_common(1)[0][0] for row in answers.tolist()])


@right("majority_vote")
def counted_in_a_dictionary(answers):
    chosen = []
    for row in answers.tolist():
        votes = {}
        for answer in row:
            votes[answer] = votes.get(answer, 0) + 1
        chosen.append(max(votes, key=votes.get))
    return answers.new_tensor(chosen)


@right("majority_vote")
def compared_in_pairs(answers):
    B, k = answers.shape
    count = torch.zeros(B, k, dtype=torch.long)
    for j in range(k):
        count += answers == answers[:, j : j + 1]
    best = (count == count.max(1, keepdim=True).values).int().argmax(1)
    return answers[torch.arange(B), best]
