"""Exercises of lesson 17. The right values come from plain loops, the model's parts run one by one,
and scipy.
"""

import random
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from course_utils.checking import Exercises, expect
from course_utils.checking.inputs import normal
from course_utils.grokking import modular_addition as grokking

EXERCISES = Exercises()


# --- restricted_logits ----------------------------------------------------------------------------


def kept_waves(logits: Tensor, frequencies: list[int]) -> np.ndarray:
    """The part of the logits along the cosines and sines of 2πk(a + b) / p, by explicit sums."""
    p = logits.size(0)
    x = logits.double().numpy()
    total = np.zeros_like(x)
    for k in frequencies:
        for kind in (np.cos, np.sin):
            # (p, p)
            wave = np.array(
                [[kind(2 * np.pi * k * (a + b) / p) for b in range(p)] for a in range(p)]
            )
            if (size := (wave**2).sum()) > 1e-9:
                total += np.multiply.outer(wave, np.einsum("ab,abv->v", wave, x) / size)
    return total


def keeping(places: Callable, dims: tuple[int, int] = (0, 1)) -> Callable:
    """The function that keeps the constant and these `places(k, frequencies)` of the spectrum."""

    def kept(logits: Tensor, frequencies: list[int]) -> Tensor:
        p = logits.size(0)
        keep = torch.zeros(p, p, 1)
        keep[0, 0] = 1
        for k in frequencies:
            for i, j in places(k, frequencies):
                keep[i % p, j % p] = 1
        return torch.fft.ifft2(torch.fft.fft2(logits, dim=dims) * keep, dim=dims).real

    return kept


def _all_of_a(logits: Tensor, frequencies: list[int]) -> Tensor:
    """The waves that turn k times with a, whatever b does."""
    p = logits.size(0)
    return keeping(lambda k, _: [(i, j) for i in (k, -k) for j in range(p)])(logits, frequencies)


def _cosines(logits: Tensor, frequencies: list[int]) -> Tensor:
    """What is the same at -a and -b."""
    kept = grokking.restricted_logits(logits, frequencies)
    back = -torch.arange(logits.size(0))
    return (kept + kept[back][:, back]) / 2


def _middle_twice(logits: Tensor, frequencies: list[int]) -> Tensor:
    p = logits.size(0)
    middle = [k for k in frequencies if 2 * k == p]
    again = grokking.restricted_logits(logits, middle) - logits.mean((0, 1))
    return grokking.restricted_logits(logits, frequencies) + again


def _along_answers(logits: Tensor, frequencies: list[int]) -> Tensor:
    keep = torch.zeros(logits.size(-1))
    for k in (0, *frequencies):
        keep[k % len(keep)] = keep[-k % len(keep)] = 1
    return torch.fft.ifft(torch.fft.fft(logits, dim=-1) * keep, dim=-1).real


@EXERCISES.add(
    grokking.restricted_logits,
    difficulty=3,
    minutes=15,
    gradients=False,  # a measurement
    hints=[
        "torch.fft.fft2(logits, dim=(0, 1)) writes each logit as a sum of waves: entry (i, j) belongs to the one that turns i times with a and j times "
        "with b. Which entries are waves of a + b?",
        "Those with i = j. A real wave of frequency k has two: (k, k) and (-k, -k). The constant is (0, 0).",
        "keep = torch.zeros(p, p, 1); keep[0, 0] = 1; for each k: keep[k, k] = keep[-k, -k] = 1. Then torch.fft.ifft2(spectrum * keep, dim=(0, 1)).real.",
    ],
    refuses=[(torch.ones(5, 5, 5), bad) for bad in ([0], [3], [2, 9], [-1])],
    mistakes={
        "the constant is missing: frequency 0 stays, too": lambda logits, frequencies: (
            grokking.restricted_logits(logits, frequencies) - logits.mean((0, 1))
        ),
        "half of each wave is missing: keep both [k, k] and [-k, -k]": keeping(
            lambda k, _: [(k, k)]
        ),
        "those are the waves of a - b; keep the waves of a + b": keeping(
            lambda k, _: [(k, -k), (-k, k)]
        ),
        "you kept the waves of a - b, too; keep only those of a + b": keeping(
            lambda k, _: [(k, k), (-k, -k), (k, -k), (-k, k)]
        ),
        "you kept all waves that turn k times with a; a wave of a + b turns k times with b, too": _all_of_a,
        "those are waves of a alone; a wave of a + b turns k times with b, too": keeping(
            lambda k, _: [(k, 0), (-k, 0)]
        ),
        "those are waves of a alone and waves of b alone; a wave of a + b turns k times with both": keeping(
            lambda k, _: [(k, 0), (-k, 0), (0, k), (0, -k)]
        ),
        "you kept each frequency of a with each frequency of b; in a wave of a + b both have the same": keeping(
            lambda k, frequencies: [(i * k, i * j) for j in frequencies for i in (1, -1)]
        ),
        "that is what should be deleted": lambda logits, frequencies: grokking.excluded_logits(
            logits, frequencies
        ),
        "that is what should be deleted; and the constant is missing": lambda logits, frequencies: (
            logits - grokking.restricted_logits(logits, frequencies)
        ),
        "you kept all frequencies up to the largest; only those of the list stay": lambda logits, frequencies: (
            grokking.restricted_logits(logits, range(1, max(frequencies, default=0) + 1))
        ),
        "you kept all frequencies; only those of the list stay": lambda logits, frequencies: (
            grokking.restricted_logits(logits, range(1, logits.size(0) // 2 + 1))
        ),
        "you kept only the first frequency of the list; all of them stay": lambda logits, frequencies: (
            grokking.restricted_logits(logits, frequencies[:1])
        ),
        "your frequencies are one too low: k itself is the place in the spectrum, 0 is the constant": lambda logits, frequencies: (
            grokking.restricted_logits(logits, [k - 1 for k in frequencies if k > 1])
        ),
        "you kept the cosines alone; the sines stay, too": _cosines,
        "the wave of frequency p / 2 is twice as large as it should be: there k and -k are the same": _middle_twice,
        "you took the waves along b and the answers, the last two dimensions; they run along a and b: dim=(0, 1)": keeping(
            lambda k, _: [(k, k), (-k, -k)], dims=(-2, -1)
        ),
        "you took the waves along the answers; they run along a and b: dim=(0, 1)": _along_answers,
        "you took the absolute value; take the real part, which may be negative": lambda logits, frequencies: (
            grokking.restricted_logits(logits, frequencies).abs()
        ),
        "that is complex; its real part, .real, is the answer": lambda logits, frequencies: (
            grokking.restricted_logits(logits, frequencies) + 0j
        ),
        "nothing was deleted": lambda logits, frequencies: logits,
    },
)
def check_restricted_logits(student: Callable, rng: random.Random) -> None:
    for p, V, count in ((7, 7, 1), (7, 3, 2), (8, 5, 2), (9, 9, 4), (5, 4, 0), (6, 2, 3)):
        logits = normal(rng, p, p, V) - 0.5
        frequencies = sorted(rng.sample(range(1, p // 2 + 1), count), reverse=True)
        want = logits.double().numpy().mean((0, 1)) + kept_waves(logits, frequencies)
        expect(
            student(logits, frequencies),
            torch.from_numpy(want).float(),
            f"restricted_logits(logits, {frequencies}) with logits of shape {(p, p, V)}",
            tol=1e-4,
        )
