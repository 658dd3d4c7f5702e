"""Exercises of lesson 10. The right values come from loops over single numbers, from numpy, and from
matrices whose singular values are known because they were chosen.
"""

import itertools
import math
import random
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from course_utils.checking import Exercises, expect
from course_utils.checking.inputs import distinct, normal
from course_utils.inside_gpt2 import weights

EXERCISES = Exercises()


# --- participation_ratio --------------------------------------------------------------------------


def shares(weight: Tensor, power: int = 2) -> Tensor:
    strength = torch.linalg.svdvals(weight) ** power
    return strength / strength.sum()


@EXERCISES.add(
    weights.participation_ratio,
    difficulty=2,
    minutes=6,
    sizes=False,
    gradients=False,
    hints=[
        "torch.linalg.svdvals(weight) gives the singular values. What has each of them of all the energy?",
        "The energy of a direction is s**2, its share s**2 / (s**2).sum(). The shares sum to 1.",
        "1 / (share**2).sum(), and .item() makes a number of it.",
    ],
    mistakes={
        "you took the singular values for energies; square them first": (
            lambda weight: (1 / (shares(weight, 1) ** 2).sum()).item()
        ),
        "you returned the sum of the squared shares; the ratio is 1 over it": (
            lambda weight: (shares(weight) ** 2).sum().item()
        ),
        "you did not square the shares; they sum to 1 for every matrix": lambda weight: 1.0,
        "you compared with the strongest direction alone, which is the stable rank": (
            lambda weight: (1 / shares(weight).max()).item()
        ),
        "you took e to the entropy of the shares; take 1 over the sum of their squares": (
            lambda weight: torch.special.entr(shares(weight)).sum().exp().item()
        ),
        "you counted the directions that are not 0; weak ones count less than strong ones": (
            lambda weight: float(torch.linalg.matrix_rank(weight))
        ),
        "you used the numbers of the matrix; use its singular values": (
            lambda weight: ((weight**2).sum() ** 2 / (weight**4).sum()).item()
        ),
    },
)
def check_participation_ratio(student: Callable, rng: random.Random) -> None:
    for rows, columns in ((5, 5), (7, 4), (3, 9)):
        n = min(rows, columns)
        s = [rng.uniform(0.3, 3.0) for _ in range(n)]
        left = torch.linalg.qr(normal(rng, rows, n))[0]
        right = torch.linalg.qr(normal(rng, columns, n))[0]
        weight = left @ torch.diag(torch.tensor(s)) @ right.T
        want = math.fsum(x**2 for x in s) ** 2 / math.fsum(x**4 for x in s)
        call = f"participation_ratio of a matrix {(rows, columns)}"
        expect(student(weight), want, call, tol=1e-3)


# --- neighbours -----------------------------------------------------------------------------------


def ranked(score: Tensor, i: int, k: int) -> Tensor:
    """The k best by a score, without i."""
    return score.index_fill(0, torch.tensor([i]), -math.inf).topk(k).indices


def cosines(table: Tensor, i: int) -> Tensor:
    return F.cosine_similarity(table, table[i], dim=-1)


@EXERCISES.add(
    weights.neighbours,
    difficulty=2,
    minutes=6,
    sizes=False,
    gradients=False,
    hints=[
        "Divide each row by its length. What is the dot product of two rows then?",
        "F.normalize(table, dim=-1) has rows of length 1, and unit @ unit[i] all cosines with token i.",
        "Set the cosine of i itself to -inf; then .topk(k).indices are the neighbours.",
    ],
    mistakes={
        "you took dot products; divide by the lengths first": (
            lambda table, i, k: ranked(table @ table[i], i, k)
        ),
        "token i itself is among its neighbours": (
            lambda table, i, k: cosines(table, i).topk(k).indices
        ),
        "you returned those that are least alike": (
            lambda table, i, k: ranked(-cosines(table, i), i, k)
        ),
        "you took the distance; the lengths do not count, only the directions": (
            lambda table, i, k: ranked(-(table - table[i]).norm(dim=-1), i, k)
        ),
        "the nearest comes first": lambda table, i, k: ranked(cosines(table, i), i, k).flip(0),
        "you ignored the sign; a vector of the opposite direction is no neighbour": (
            lambda table, i, k: ranked(cosines(table, i).abs(), i, k)
        ),
        "you normalised the columns; each row, a token, gets length 1": (
            lambda table, i, k: ranked(
                F.normalize(table, dim=0) @ F.normalize(table, dim=0)[i], i, k
            )
        ),
    },
)
def check_neighbours(student: Callable, rng: random.Random) -> None:
    for V, d, k in ((12, 5, 4), (20, 6, 5), (15, 4, 6), (18, 5, 4)):
        lengths = torch.tensor([[rng.uniform(0.3, 6.0)] for _ in range(V)])
        table = normal(rng, V, d) * lengths
        i = rng.randrange(V)

        def angle(j: int, table: Tensor = table, i: int = i) -> float:
            a = table[i].tolist()
            b = table[j].tolist()
            dot = math.fsum(x * y for x, y in zip(a, b, strict=True))
            return dot / math.hypot(*a) / math.hypot(*b)

        others = sorted((j for j in range(V) if j != i), key=angle, reverse=True)
        expect(student(table, i, k), torch.tensor(others[:k]), f"neighbours(table, i={i}, k={k})")


# --- lesion ---------------------------------------------------------------------------------------


def hit(weight: Tensor, values: Tensor, places: Tensor) -> Tensor:
    flat = weight.flatten().clone()
    flat[places] = values.flatten()[places]
    return flat.view_as(weight)


@EXERCISES.add(
    weights.lesion,
    difficulty=2,
    minutes=7,
    gradients=False,
    hints=[
        "order[:n] are n places. They count through the matrix row after row: how do you make a row of numbers of it?",
        "flat = weight.flatten().clone(): without the clone you might write into the model.",
        "flat[hit] = noise.flatten()[hit], and flat.view(weight.shape) has the old shape.",
    ],
    mistakes={
        "you replaced the whole matrix; only n numbers are hit": (
            lambda weight, noise, order, n: noise.clone()
        ),
        "you hit the first n places of the matrix; order says which": (
            lambda weight, noise, order, n: hit(weight, noise, torch.arange(n))
        ),
        "you hit the last n of order; take the first n": (
            lambda weight, noise, order, n: hit(weight, noise, order[len(order) - n :])
        ),
        "you set the places to 0; they get the numbers of the noise": (
            lambda weight, noise, order, n: hit(weight, torch.zeros_like(weight), order[:n])
        ),
        "you added the noise; it takes the place of what was there": (
            lambda weight, noise, order, n: hit(weight, weight + noise, order[:n])
        ),
        "you kept n numbers and hit all others": (
            lambda weight, noise, order, n: hit(weight, noise, order[n:])
        ),
        "you counted down the columns; the places go row after row": (
            lambda weight, noise, order, n: hit(weight.T, noise.T, order[:n]).T
        ),
    },
)
def check_lesion(student: Callable, rng: random.Random) -> None:
    for rows, columns, n in ((3, 5, 4), (4, 4, 6), (6, 2, 5), (2, 3, 0), (3, 2, 6)):
        weight = normal(rng, rows, columns)
        noise = normal(rng, rows, columns)
        order = distinct(rng, rows * columns)
        places = set(order.tolist()[:n])
        want = torch.tensor(
            [
                [
                    (noise if r * columns + c in places else weight)[r, c].item()
                    for c in range(columns)
                ]
                for r in range(rows)
            ]
        )
        expect(
            student(weight, noise, order, n),
            want,
            f"lesion(weight, noise, order, n={n}) of a matrix {(rows, columns)}",
        )


# --- first_broken ---------------------------------------------------------------------------------


def changes(before: list, after: list) -> list[tuple[int, str, float]]:
    """Each place with its largest change, in the order of computation."""
    return [
        (block, name, (new[name] - old[name]).abs().max().item())
        for block, (old, new) in enumerate(zip(before, after, strict=True))
        for name in old
    ]


def over(found: list[tuple[int, str, float]], least: float = 1e-4) -> list[tuple[int, str]]:
    return [(block, name) for block, name, size in found if size > least]


def first(places: list) -> tuple[int, str] | None:
    return places[0] if places else None


@EXERCISES.add(
    weights.first_broken,
    difficulty=2,
    minutes=8,
    sizes=False,
    gradients=False,
    hints=[
        "What the fault reaches comes after it. Which of all the differences comes first?",
        "Go through the blocks, and in each through its names, in the order in which they stand.",
        "(new[name] - old[name]).abs().max() > 1e-4: return (block, name) at once. After the loops: return None.",
    ],
    mistakes={
        "you took the largest difference; a fault may grow on its way": (
            lambda before, after: first(
                sorted(
                    (x[:2] for x in changes(before, after) if x[2] > 1e-4),
                    key=lambda at: -(after[at[0]][at[1]] - before[at[0]][at[1]]).abs().max().item(),
                )
            )
        ),
        "you took the last difference; the fault comes before all it reaches": (
            lambda before, after: first(over(changes(before, after))[::-1])
        ),
        "you counted the blocks from 1; the first is block 0": (
            lambda before, after: next(
                ((b + 1, name) for b, name in over(changes(before, after))), None
            )
        ),
        "you took what rounding changes for a fault; more than 1e-4 counts": (
            lambda before, after: first(over(changes(before, after), 0.0))
        ),
        "you looked at increases only; a number that falls has changed, too": (
            lambda before, after: next(
                (
                    (b, name)
                    for b, name, _ in changes(before, after)
                    if (after[b][name] - before[b][name]).max() > 1e-4
                ),
                None,
            )
        ),
        "you went through the names first; go through the blocks, and in each through its names": (
            lambda before, after: first(
                sorted(over(changes(before, after)), key=lambda at: list(before[0]).index(at[1]))
            )
        ),
    },
)
def check_first_broken(student: Callable, rng: random.Random) -> None:
    names = ["W_Q", "W_K", "W_V", "W_O", "MLP up", "MLP down"]
    faults = [(2, "W_V"), (0, "W_O"), (1, "MLP down"), (1, "W_K"), None]
    for fault in faults:
        before = [{name: normal(rng, 2, 3) for name in names} for _ in range(3)]
        after = []
        reached = False
        sizes = itertools.chain([0.8, 1.6], itertools.repeat(1.2))  # the largest is not the last
        for block, old in enumerate(before):
            new = {}
            for name in names:
                jitter = normal(rng, 2, 3).clamp(-2, 2) * 2e-6
                new[name] = old[name] + jitter
                if (block, name) == fault:
                    reached = True
                    new[name] = old[name] - 0.5  # a fault that only makes numbers smaller
                elif reached and not (block == fault[0] and name in names[:3]):
                    new[name] = old[name] + next(sizes)
            after.append(new)
        order = "nothing was broken" if fault is None else f"{fault[1]} of block {fault[0]} broken"
        expect(student(before, after), fault, f"first_broken(before, after) with {order}")
