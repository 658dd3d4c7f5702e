"""Exercises of lesson 17. The right values come from plain loops, the model's parts run one by one,
and scipy.
"""

import random
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from course_utils.checking import Exercises, Wrong, expect
from course_utils.checking.inputs import normal
from course_utils.grokking import modular_addition as grokking

EXERCISES = Exercises()


# --- restricted_logits ----------------------------------------------------------------------------


def wave_part(
    logits: Tensor, turns: Callable[[int, int, int], int], k: int, kinds: tuple = (np.cos, np.sin)
) -> np.ndarray:
    """The part of the logits along waves with the phase 2π · turns(k, a, b) / p, by explicit
    sums.
    """
    p = logits.size(0)
    x = logits.double().numpy()
    total = np.zeros_like(x)
    for kind in kinds:
        # (p, p)
        wave = np.array(
            [[kind(2 * np.pi * turns(k, a, b) / p) for b in range(p)] for a in range(p)]
        )
        if (size := (wave**2).sum()) > 1e-9:
            total += np.multiply.outer(wave, np.einsum("ab,abv->v", wave, x) / size)
    return total


def kept_waves(logits: Tensor, turns: Callable, which: list[int], **kinds: tuple) -> np.ndarray:
    """The sum of the parts of the logits along the waves of these frequencies."""
    parts = (wave_part(logits, turns, k, **kinds) for k in which)
    return sum(parts, np.zeros(logits.shape))


def _turns_of_sum(k: int, a: int, b: int) -> int:
    return k * (a + b)


def _turns_of_difference(k: int, a: int, b: int) -> int:
    return k * (a - b)


def _restricted_mistakes(
    logits: Tensor, frequencies: list[int], mean: np.ndarray, waves: np.ndarray
) -> dict[str, np.ndarray]:
    """What the usual slips make of the logits: of their mean and of the waves that stay."""
    want = mean + waves
    x = logits.double().numpy()
    return {
        "the constant, frequency 0, stays too": waves,
        "those are the waves of a - b": mean
        + kept_waves(logits, _turns_of_difference, frequencies),
        "the waves of a - b do not stay; only those of a + b": want
        + kept_waves(logits, _turns_of_difference, frequencies),
        "that is what should be deleted": x - waves,
        "that is what should be deleted, and the constant stays on both sides": x - want,
        "keep both k and -k: half of each wave is missing": mean + waves / 2,
        "keep the sines, too": mean
        + kept_waves(logits, _turns_of_sum, frequencies, kinds=(np.cos,)),
        "the frequencies count from 1; yours are one too low": mean
        + kept_waves(logits, _turns_of_sum, [k - 1 for k in frequencies if k > 1]),
        "only these frequencies stay, not all up to them": mean
        + kept_waves(logits, _turns_of_sum, list(range(1, max(frequencies, default=0) + 1))),
        "only the first frequency stayed": mean
        + kept_waves(logits, _turns_of_sum, frequencies[:1]),
        "these are waves of a alone": mean + kept_waves(logits, lambda k, a, b: k * a, frequencies),
        "nothing was deleted": x,
    }


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
    refuses=[(torch.ones(5, 5, 5), [0]), (torch.ones(5, 5, 5), [3])],
)
def check_restricted_logits(student: Callable, rng: random.Random) -> None:
    for p, V, count in ((7, 7, 1), (7, 3, 2), (8, 5, 2), (9, 9, 4), (5, 4, 0), (6, 2, 3)):
        logits = normal(rng, p, p, V) - 0.5
        frequencies = sorted(rng.sample(range(1, p // 2 + 1), count), reverse=True)
        mean = np.broadcast_to(logits.double().numpy().mean((0, 1)), logits.shape)
        waves = kept_waves(logits, _turns_of_sum, frequencies)
        want = mean + waves
        mistakes = _restricted_mistakes(logits, frequencies, mean, waves)
        mistakes = {
            s: torch.from_numpy(v.copy()).float()
            for s, v in mistakes.items()
            if not np.allclose(v, want, atol=1e-4)
        }
        expect(
            student(logits, frequencies),
            torch.from_numpy(want.copy()).float(),
            f"restricted_logits(logits, {frequencies}) with logits of shape {(p, p, V)}",
            mistakes=mistakes,
            tol=1e-4,
        )
    logits = normal(rng, 7, 7, 2)
    for bad in ([0], [4], [2, 9], [-1]):
        try:
            student(logits, bad)
        except ValueError:
            continue
        except IndexError:
            pass
        raise Wrong(
            f"restricted_logits(logits, {bad}) with p = 7 must raise a ValueError: frequencies go from 1 to 3."
        )
