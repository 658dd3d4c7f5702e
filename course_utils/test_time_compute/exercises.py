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
from course_utils.checking.inputs import must_raise
from course_utils.test_time_compute import running_sum as test_time_compute
from course_utils.test_time_compute import search

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


# --- best_of --------------------------------------------------------------------------------------


def _at(answers: Tensor, place: Tensor) -> Tensor:
    """The answer that stands at a place of each row: (B, k), (B,) -> (B,)."""
    return answers.gather(1, place[:, None])[:, 0]


@EXERCISES.add(
    test_time_compute.best_of,
    difficulty=1,
    minutes=5,
    hints=[
        "Find the place of the highest score in each row, then take the answer that stands there.",
        "argmax along dim 1 takes the first of equals; gather takes from each row its own place.",
        "answers.gather(1, scores.argmax(dim=1, keepdim=True))[:, 0], after a ValueError for shapes that differ.",
    ],
    refuses=[(torch.tensor([[1, 2, 3]]), torch.tensor([[0.5, 0.1]]))],
    mistakes={
        "of several scores as high you took the last answer; the first wins": lambda answers, scores: (
            _at(answers, scores.size(1) - 1 - scores.flip(1).argmax(1))
        ),
        "that is the answer with the lowest score": lambda answers, scores: _at(
            answers, scores.argmin(1)
        ),
        "that is the place of the best in its row; return the answer that stands there": lambda answers, scores: (
            scores.argmax(1)
        ),
        "that is the highest score; return the answer that has it": lambda answers, scores: (
            scores.amax(1)
        ),
        "that is the first answer of each row; look at the scores": lambda answers, scores: answers[
            :, 0
        ],
        "that is the largest answer; look at the scores": lambda answers, scores: answers.amax(1),
        "you took one place for all rows, that of the highest score of all; each row has its own best": lambda answers, scores: (
            answers[:, scores.amax(0).argmax()]
        ),
        "that is a vote among the answers; the scores decide": lambda answers, scores: (
            test_time_compute.majority_vote(answers)
        ),
        "the scores of equal answers were added up, which is a weighted vote; one score decides": lambda answers, scores: (
            _at(
                answers,
                ((answers[:, :, None] == answers[:, None, :]) * scores[:, None, :])
                .sum(-1)
                .argmax(1),
            )
        ),
    },  # fmt: skip
)
def check_best_of(student: Callable, rng: random.Random) -> None:
    for B, k in ((6, 7), (5, 5), (4, 1), (9, 12)):
        answers = [[rng.randrange(5) + 20 for _ in range(k)] for _ in range(B)]
        scores = [[rng.randrange(1, 40) / 8 for _ in range(k)] for _ in range(B)]
        if k > 4:  # two with the highest score, and other answers; two with less that agree
            answers[0][:5] = [21, 22, 23, 24, 24]
            scores[0] = [1.0, 7.0, 7.0, 4.0, 4.5] + [0.5] * (k - 5)
            scores[1][-1] = 9.0
        want = [row[points.index(max(points))] for row, points in zip(answers, scores, strict=True)]
        expect(
            student(torch.tensor(answers), torch.tensor(scores)),
            torch.tensor(want),
            f"best_of(answers, scores) with shapes {(B, k)}",
        )


# --- step_search ----------------------------------------------------------------------------------


class Draws:
    """Proposes from a table: the t-th draw for the i-th step is table[i][t]. Copied, it begins
    anew.
    """

    def __init__(self, table: list[list[list[int]]]):
        self.table = table
        self.seen = [0] * len(table)

    def __call__(self, written: Tensor) -> Tensor:
        i = min(written.size(1), len(self.table) - 1)
        row = self.table[i][self.seen[i] % len(self.table[i])]
        self.seen[i] += 1
        return torch.tensor(row)

    def __repr__(self) -> str:
        return "propose"


class Follows:
    """Accepts a step by what was written before it."""

    def __init__(self, salt: list[int]):
        self.salt = torch.tensor(salt)

    def __call__(self, written: Tensor, step: Tensor) -> Tensor:
        return (2 * written.sum(1) + written.size(1) + step + self.salt) % 3 == 0

    def __repr__(self) -> str:
        return "follows"


def searched(table: list, salt: list[int], steps: int, tries: int) -> tuple[Tensor, float]:
    """One problem after the other, in loops."""
    B = len(salt)
    written = [[] for _ in range(B)]
    draws = 0
    for b in range(B):
        for i in range(steps):
            for t in range(tries):
                step = table[i][t][b]
                draws += 1
                if (2 * sum(written[b]) + i + step + salt[b]) % 3 == 0:
                    break
            written[b].append(step)
    return torch.tensor(written), draws / B


def _search(
    keep: Callable = lambda bad, new, old: torch.where(bad, new, old),
    count: Callable = lambda bad: int(bad.sum()),
    first: int = 1,
    extra: int = 0,
    blind: bool = False,
    judge_blind: bool = False,
    early: bool = False,
) -> Callable:
    """A step search of which one part is turned."""

    def search_so(propose, follows, B, steps, tries):
        written = torch.zeros(B, 0, dtype=torch.long)
        draws = 0
        for _ in range(steps):
            read = written[:, :0] if blind else written
            step = propose(read)
            draws += first * B
            for _ in range(tries - 1 + extra):
                bad = ~follows(written[:, :0] if judge_blind else written, step)
                if (~bad).any() if early else not bad.any():
                    break
                step = keep(bad, propose(read), step)
                draws += count(bad)
            written = torch.cat([written, step[:, None]], dim=1)
        return written, draws / B

    return search_so


def _first_stays(propose, follows, B, steps, tries):
    """Where every try was rejected, the first one stays."""
    written = torch.zeros(B, 0, dtype=torch.long)
    draws = 0
    for _ in range(steps):
        begun = step = propose(written)
        draws += B
        for _ in range(tries - 1):
            bad = ~follows(written, step)
            if not bad.any():
                break
            step = torch.where(bad, propose(written), step)
            draws += int(bad.sum())
        step = torch.where(follows(written, step), step, begun)
        written = torch.cat([written, step[:, None]], dim=1)
    return written, draws / B


def _in_all(*arguments) -> tuple[Tensor, float]:
    written, draws = search.step_search(*arguments)
    return written, draws * len(written)


def _ones(written: Tensor) -> Tensor:
    return torch.ones(len(written), dtype=torch.long)


def _all_follow(written: Tensor, step: Tensor) -> Tensor:
    return torch.ones_like(step, dtype=torch.bool)


def _a_step(*arguments) -> tuple[Tensor, float]:
    written, draws = search.step_search(*arguments)
    return written, draws / written.size(1)


@EXERCISES.add(
    search.step_search,
    difficulty=3,
    minutes=14,
    hints=[
        "Two loops: over the steps, and for each step over the tries. Begin with an empty tensor of shape (B, 0).",
        "After a draw, bad = ~follows(written, step) says whose step is still open. torch.where(bad, propose(written), step) "
        "replaces those only; bad.sum() draws are added.",
        "The first draw costs B and is one of the tries, so range(tries - 1) more follow; stop when nothing is bad. "
        "Then torch.cat([written, step[:, None]], dim=1). Return written and draws / B.",
    ],
    refuses=[(_ones, _all_follow, 2, 3, 0)],
    mistakes={
        "a step that was accepted is drawn again, because another problem's was rejected; replace the rejected ones only": _search(
            keep=lambda bad, new, old: new
        ),
        "the accepted steps were replaced and the rejected ones kept": _search(
            keep=lambda bad, new, old: torch.where(bad, old, new)
        ),
        "the count holds draws of problems whose step was accepted already; only those still open count": _search(
            count=len
        ),
        "the first draw of each step is missing in the count": _search(first=0),
        "the draws after the first are missing in the count": _search(count=lambda bad: 0),
        "no step is drawn again: follows and tries have no effect": lambda propose, follows, B, steps, tries: (
            search.step_search(propose, follows, B, steps, 1)
        ),
        "that is one try too many: the first draw is one of the `tries`": _search(extra=1),
        "that is one try too few: `tries` draws in all, the first among them": lambda propose, follows, B, steps, tries: (
            search.step_search(propose, follows, B, steps, max(1, tries - 1))
        ),
        "follows was asked without the steps before; it needs what was written": _search(
            judge_blind=True
        ),
        "propose was asked without the steps before; it continues what was written": _search(
            blind=True
        ),
        "the tries ended as soon as one problem's step was accepted; go on while any is open": _search(
            early=True
        ),
        "where every try is rejected the last one stays, and you went back to the first": _first_stays,
        "the draws are those of all problems together; return the mean for a problem": _in_all,
        "the draws are those of one step; return the mean for a problem, over all its steps": _a_step,
    },  # fmt: skip
)
def check_step_search(student: Callable, rng: random.Random) -> None:
    for B, steps, tries in ((1, 1, 2), (3, 2, 2), (6, 4, 3), (9, 5, 4), (4, 3, 1), (12, 3, 8)):
        # one draw more than the tries: who draws too often is seen
        table = [
            [[rng.randrange(1, 12) for _ in range(B)] for _ in range(tries + 1)]
            for _ in range(steps)
        ]
        salt = [rng.randrange(3) for _ in range(B)]
        want = searched(table, salt, steps, tries)
        got = student(Draws(table), Follows(salt), B, steps, tries)
        expect(got, want, f"step_search(propose, follows, B={B}, steps={steps}, tries={tries})")
    must_raise(
        lambda: student(Draws([[[1]]]), Follows([0]), 1, 1, 0),
        "step_search(…, tries=0)",
        "each step is drawn at least once",
    )


# --- frontier -------------------------------------------------------------------------------------


def unbeaten(rows: list[tuple[str, float, float]]) -> list[str]:
    """From the cheapest to the dearest; of one price only the best stay, if they beat all before."""
    names = []
    record = -1.0
    for price in sorted({price for _, price, _ in rows}):
        here = [(name, score) for name, p, score in rows if p == price]
        best = max(score for _, score in here)
        if best > record:
            names += [name for name, score in here if score == best]
            record = best
    return names


def _kept(rows: list, beats: Callable) -> list[str]:
    """The names that are not beaten, the cheapest first."""
    return [r[0] for r in sorted(rows, key=lambda r: r[1]) if not any(beats(q, r) for q in rows)]


def _beats(q: tuple, r: tuple) -> bool:
    return q[1] <= r[1] and q[2] >= r[2] and q[1:] != r[1:]


def _above_the_one_before(rows: list) -> list[str]:
    ordered = sorted(rows, key=lambda r: r[1])
    return [r[0] for i, r in enumerate(ordered) if i == 0 or r[2] > ordered[i - 1][2]]


@EXERCISES.add(
    search.frontier,
    difficulty=2,
    minutes=10,
    hints=[
        "For each row ask: is there another one that is at least as cheap and at least as good, and better in one of the two?",
        "any(p <= price and s >= score and (p < price or s > score) for _, p, s in rows) says that a row is beaten.",
        "Check first that a row is named greedy and that all prices are above 0. Sort those that are left by price alone, so that equals "
        "stay in their order.",
    ],
    refuses=[
        ([("vote", 16.0, 0.7), ("search", 2.0, 0.9)],),
        ([("greedy", 0.0, 0.7)],),
        ([("greedy", 1.0, 0.7), ("oracle", -1.0, 1.0)],),
    ],
    mistakes={
        "the names stand in the order of the rows; the cheapest comes first": lambda rows: [
            r[0] for r in rows if not any(_beats(q, r) for q in rows)
        ],
        "the dearest comes first; begin with the cheapest": lambda rows: unbeaten(rows)[::-1],
        "a way that is only as good as a cheaper one is beaten, and you kept it": lambda rows: (
            _kept(rows, lambda q, r: q[1] <= r[1] and q[2] > r[2])
        ),
        "of several ways with one price only the best is unbeaten": lambda rows: _kept(
            rows, lambda q, r: q[1] < r[1] and q[2] >= r[2]
        ),
        "two ways with the same price and accuracy do not beat each other; you lost both": lambda rows: (
            _kept(rows, lambda q, r: q is not r and q[1] <= r[1] and q[2] >= r[2])
        ),
        "that is the most accurate way alone; a cheaper one that is less accurate is unbeaten, too": lambda rows: (
            [r[0] for r in rows if r[2] == max(q[2] for q in rows)]
        ),
        "that is the cheapest way alone; a dearer one that is more accurate is unbeaten, too": lambda rows: (
            [r[0] for r in rows if r[1] == min(q[1] for q in rows)]
        ),
        "you took a high price for an advantage": lambda rows: _kept(
            rows, lambda q, r: q[1] >= r[1] and q[2] >= r[2] and q[1:] != r[1:]
        ),
        "each way was compared with the next cheaper one only; the best so far may stand further down": _above_the_one_before,
        "greedy stays only where no way beats it; it is compared like every other": lambda rows: (
            _kept(rows, lambda q, r: r[0] != "greedy" and _beats(q, r))
        ),
        "those are whole rows; return the names": lambda rows: [
            r for name in unbeaten(rows) for r in rows if r[0] == name
        ],
        "all rows are there; leave out those that another one beats": lambda rows: [
            r[0] for r in sorted(rows, key=lambda r: r[1])
        ],
    },  # fmt: skip
)
def check_frontier(student: Callable, rng: random.Random) -> None:
    ways = [f"way {letter}" for letter in "ABCDEFGH"]
    for count in (1, 3, 5, 8):
        rows = [
            (name, float(rng.randrange(2, 9)), rng.randrange(2, 9) / 10) for name in ways[:count]
        ]
        rows.append(("greedy", 2.0, rng.randrange(2, 6) / 10))
        rng.shuffle(rows)
        expect(student(rows), unbeaten(rows), f"frontier({rows})")
    rows = [
        ("twin", 4.0, 0.6),
        ("wide", 9.0, 0.9),
        ("greedy", 3.0, 0.2),
        ("late", 8.0, 0.6),
        ("other twin", 4.0, 0.6),
        ("quick", 2.0, 0.3),
        ("dip", 5.0, 0.4),
        ("rise", 6.0, 0.5),
        ("second", 9.0, 0.7),
    ]
    expect(student(rows), unbeaten(rows), f"frontier({rows})")
