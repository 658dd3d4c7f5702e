"""Right answers to the exercises of lesson 12, each of another style than the reference."""

import math
from collections import Counter
from fractions import Fraction

import numpy as np
import torch
import torch.nn.functional as F
from answers import Answers

right = Answers()


# --- pass_at_k ------------------------------------------------------------------------------------


def possible(n, c, k):
    if c < 0 or c > n or k < 1 or k > n:
        raise ValueError(f"n={n}, c={c}, k={k}")


@right("pass_at_k")
def with_comb(n, c, k):
    possible(n, c, k)
    return 1 - math.comb(n - c, k) / math.comb(n, k)


@right("pass_at_k")
def with_fractions_drawn_in_a_row(n, c, k):
    """One sample after another, none of them right."""
    possible(n, c, k)
    miss = Fraction(1)
    for drawn in range(k):
        miss *= Fraction(max(n - c - drawn, 0), n - drawn)
    return float(1 - miss)


@right("pass_at_k")
def with_log_gamma(n, c, k):
    possible(n, c, k)
    if n - c < k:
        return 1.0
    logs = (math.lgamma(n - c + 1) + math.lgamma(n - k + 1)) - (
        math.lgamma(n - c - k + 1) + math.lgamma(n + 1)
    )
    return -math.expm1(logs)


@right("pass_at_k")
def as_in_the_paper(n, c, k):
    possible(n, c, k)
    if n - c < k:
        return 1.0
    return float(1.0 - np.prod(1.0 - k / np.arange(n - c + 1, n + 1)))


@right("pass_at_k")
def over_the_number_of_right_ones(n, c, k):
    """Σ of the chances that exactly 1, 2, … of the k are right."""
    possible(n, c, k)
    hits = sum(math.comb(c, j) * math.comb(n - c, k - j) for j in range(1, min(c, k) + 1))
    return hits / math.comb(n, k)


@right("pass_at_k")
def recursive(n, c, k):
    """The first right one is not among the k, then the second is not, and so on."""
    possible(n, c, k)

    def miss(n, c):
        return 1.0 if c == 0 else 0.0 if n == k else (1 - k / n) * miss(n - 1, c - 1)

    return 1 - miss(n, c)


# --- majority_vote --------------------------------------------------------------------------------


@right("majority_vote")
def with_a_counter(answers):
    """most_common lists equals in the order in which they came."""
    return torch.tensor([Counter(row).most_common(1)[0][0] for row in answers.tolist()])


@right("majority_vote")
def in_loops(answers):
    B, k = answers.shape
    winners = answers[:, 0].clone()
    for b in range(B):
        most = 0
        for i in range(k):
            votes = sum(bool(answers[b, j] == answers[b, i]) for j in range(k))
            if votes > most:
                most = votes
                winners[b] = answers[b, i]
    return winners


@right("majority_vote")
def with_one_hot(answers):
    names, places = torch.unique(answers, return_inverse=True)
    counts = F.one_hot(places, len(names)).sum(1)
    first = counts.gather(1, places).argmax(1)
    return answers[torch.arange(len(answers)), first]


@right("majority_vote")
def through_numpy_unique(answers):
    winners = []
    for row in answers.numpy():
        names, first, counts = np.unique(row, return_index=True, return_counts=True)
        winners.append(names[np.lexsort((first, -counts))[0]])
    return torch.from_numpy(np.array(winners, dtype=answers.numpy().dtype))


@right("majority_vote")
def with_max_of_a_list(answers):
    return torch.stack([max(row, key=row.tolist().count) for row in answers])


@right("majority_vote")
def with_scatter_add(answers):
    shifted = answers - answers.min()
    votes = torch.zeros(len(answers), int(shifted.max()) + 1, dtype=torch.long)
    votes.scatter_add_(1, shifted, torch.ones_like(shifted))
    mine = votes.gather(1, shifted)
    is_most = mine == mine.max(1, keepdim=True).values
    first = is_most.int().argmax(1, keepdim=True)
    return torch.take_along_dim(answers, first, 1).squeeze(1)


# --- best_of --------------------------------------------------------------------------------------


def fit(answers, scores):
    if answers.shape != scores.shape:
        raise ValueError(f"{answers.shape} and {scores.shape}")


@right("best_of")
def with_lists(answers, scores):
    fit(answers, scores)
    pairs = zip(answers.tolist(), scores.tolist(), strict=True)
    return torch.tensor([row[s.index(max(s))] for row, s in pairs])


@right("best_of")
def with_indices(answers, scores):
    fit(answers, scores)
    return answers[torch.arange(len(answers)), scores.argmax(1)]


@right("best_of")
def with_a_stable_sort(answers, scores):
    fit(answers, scores)
    order = scores.argsort(dim=1, descending=True, stable=True)
    return torch.take_along_dim(answers, order, 1)[:, 0]


# --- step_search ----------------------------------------------------------------------------------


@right("step_search")
def with_a_mask_of_the_open_ones(propose, follows, B, steps, tries):
    if tries < 1:
        raise ValueError("tries")
    written = torch.empty(B, 0, dtype=torch.long)
    draws = 0
    for _ in range(steps):
        step = torch.zeros(B, dtype=torch.long)
        is_open = torch.ones(B, dtype=torch.bool)
        for _ in range(tries):
            new = propose(written)
            step[is_open] = new[is_open]
            draws += is_open.sum().item()
            is_open &= ~follows(written, step)
        written = torch.hstack([written, step[:, None]])
    return written, draws / B


@right("step_search")
def with_all_tries_drawn_first(propose, follows, B, steps, tries):
    if tries < 1:
        raise ValueError("tries")
    written = torch.zeros(B, 0, dtype=torch.long)
    draws = 0
    for _ in range(steps):
        drawn = torch.stack([propose(written) for _ in range(tries)])  # (tries, B)
        ok = torch.stack([follows(written, step) for step in drawn])
        ok[-1] = True  # the last stays
        first = ok.int().argmax(0)
        draws += int((first + 1).sum())
        written = torch.cat([written, drawn[first, torch.arange(B)][:, None]], 1)
    return written, draws / B


@right("step_search")
def with_a_list_of_steps(propose, follows, B, steps, tries):
    if tries <= 0:
        raise ValueError("tries")
    columns = []
    counts = torch.zeros(B)
    for _ in range(steps):
        before = torch.stack(columns, 1) if columns else torch.zeros(B, 0, dtype=torch.long)
        step = propose(before)
        counts += 1
        left = tries - 1
        while left and not follows(before, step).all():
            again = ~follows(before, step)
            step = step * ~again + propose(before) * again
            counts += again
            left -= 1
        columns.append(step)
    return torch.stack(columns, 1), counts.mean().item()


# --- frontier -------------------------------------------------------------------------------------


def has_baseline(rows):
    if not {"greedy"} & {name for name, *_ in rows}:
        raise ValueError("no greedy")
    if not all(price > 0 for _, price, _ in rows):
        raise ValueError("no price")


@right("frontier")
def with_a_running_best(rows):
    has_baseline(rows)
    ordered = sorted(rows, key=lambda r: (r[1], -r[2]))
    names = []
    best = -math.inf
    at = None
    for name, price, score in ordered:
        if score > best or (score == best and price == at):
            names.append(name)
            best = score
            at = price
    return names


@right("frontier")
def with_numpy(rows):
    has_baseline(rows)
    price = np.array([p for _, p, _ in rows])
    score = np.array([s for _, _, s in rows])
    no_worse = (price[None] <= price[:, None]) & (score[None] >= score[:, None])
    differ = (price[None] != price[:, None]) | (score[None] != score[:, None])
    left = np.flatnonzero(~(no_worse & differ).any(1))
    return [rows[i][0] for i in left[np.argsort(price[left], kind="stable")]]


@right("frontier")
def in_loops_over_pairs(rows):
    has_baseline(rows)
    left = []
    for row in rows:
        beaten = False
        for other in rows:
            if other[1:] != row[1:] and other[1] <= row[1] and other[2] >= row[2]:
                beaten = True
        if not beaten:
            left.append(row)
    left.sort(key=lambda row: row[1])
    return [row[0] for row in left]
