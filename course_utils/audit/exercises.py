"""Exercises of lesson 23. The right values come from plain Python arithmetic, numpy and scipy, not
from torch's losses.
"""

import math
import random
from collections.abc import Callable

import numpy as np
import torch
from scipy.stats import chi2_contingency

from course_utils.audit import detection as audit
from course_utils.checking import Exercises, Wrong, expect
from course_utils.kl_bias import bias as kl_bias
from course_utils.kl_bias.exercises import as_float, chances, some_mask

EXERCISES = Exercises()


# --- tilt -----------------------------------------------------------------------------------------


@EXERCISES.add(
    kl_bias.tilt,
    difficulty=1,
    minutes=6,
    hints=[
        "Two steps: multiply the mask's probabilities, then make every row sum to 1 again.",
        "torch.where(mask, odds * p, p) multiplies; .sum(-1, keepdim=True) is what to divide by.",
        "First check_fits(mask, p), and a ValueError where odds is not above 0.",
    ],
    refuses=[
        (torch.tensor([0.5, 0.5]), torch.tensor([True]), 2.0),
        (torch.tensor([0.5, 0.5]), torch.tensor([True, False]), 0.0),
        (torch.tensor([0.5, 0.5]), torch.tensor([True, False]), -2.0),
    ],
    mistakes={
        "you multiplied by the square of the odds; multiply by the odds": lambda p, mask, odds: (
            kl_bias.tilt(p, mask, odds**2)
        ),
    },
)
def check_tilt(student: Callable, rng: random.Random) -> None:
    for shape, zeros in (((6,), 0), ((5, 5), 0), ((3, 5), 1), ((2, 3, 7), 2)):
        V = shape[-1]
        for odds in (rng.uniform(2.0, 9.0), rng.uniform(0.1, 0.5)):
            p = chances(rng, *shape, zeros=zeros)
            mask = some_mask(rng, V, 2)
            weights = p.double().numpy() * np.where(mask.numpy(), odds, 1.0)
            want = as_float(weights / weights.sum(-1, keepdims=True))
            raw = torch.where(mask, odds * p, p)
            m = (p * mask).sum(-1, keepdim=True)
            capped = (odds * m).clamp(max=1.0)
            mistakes = {
                "the probabilities no longer sum to 1: divide by the new sum": raw,
                "you multiplied the others, not the mask": as_float(
                    (other := p.double().numpy() * np.where(mask.numpy(), 1.0, odds)) / other.sum(-1, keepdims=True)),
                "you divided by the sum of everything; each row has its own sum": raw / raw.sum(),
                "you divided by the sums over the rows; each row sums to 1, dim=-1": raw / raw.sum(0, keepdim=True),
                "all multiplied tokens now have the same probability; keep their proportions": torch.where(
                    mask, odds * m / 2, p) / (odds * m + 1 - m),
                "the others lost nothing: the whole row is divided by the new sum": torch.where(mask, raw / raw.sum(-1, keepdim=True), p),
                "softmax wants logits, and these are probabilities: divide by the sum": raw.softmax(-1),
                "you added log odds to the probabilities; it belongs to their logarithms":
                    torch.where(mask, p + math.log(odds), p).softmax(-1),
                "you multiplied the probability of the mask; multiply its odds, so that it stays below 1":
                    torch.where(mask, odds * p, p * (1 - odds * m) / (1 - m)),
                "you multiplied the probability of the mask, up to 1; multiply its odds, which have no limit":
                    torch.where(mask, p * capped / m, p * (1 - capped) / (1 - m)),
                **{
                    f"you added a small number, such as {small}, to every probability; what is 0 must stay 0":
                    kl_bias.tilt(p + small, mask, odds)
                    for small in (0.01, 0.001)
                },
            }  # fmt: skip
            if shape == (5, 5):
                mistakes["the sum lost its dimension: use keepdim=True"] = raw / raw.sum(-1)
            mistakes = {s: v for s, v in mistakes.items() if not torch.allclose(v, want, atol=1e-4)}
            call = f"tilt(p, mask, odds={odds:.2f}) with p of shape {shape}" + (
                " and zeros in it" if zeros else ""
            )
            expect(student(p, mask, odds), want, call, mistakes=mistakes)
    p = chances(rng, 3, 5)
    mask = some_mask(rng, 5, 2)
    expect(student(p, mask, 1.0), p, "tilt(p, mask, odds=1.0)")


# --- two_proportion_p -----------------------------------------------------------------------------


def _both_tails(gap: float, variance: float) -> float:
    """The share of the normal distribution that lies further out than this gap."""
    return 2 * 0.5 * math.erfc(gap / math.sqrt(variance) / math.sqrt(2))


def _proportion_mistakes(k1: int, n1: int, k2: int, n2: int, want: float) -> dict[str, float]:
    """What the usual slips make of these counts."""
    a = k1 / n1
    b = k2 / n2
    gap = abs(a - b)
    r = (k1 + k2) / (n1 + n2)
    mid = (a + b) / 2
    n = 1 / n1 + 1 / n2
    yates = float(chi2_contingency([[k1, n1 - k1], [k2, n2 - k2]]).pvalue)
    signed = (a - b) / math.sqrt(r * (1 - r) * n)
    return {
        "that is one tail; a difference in either direction counts, so take both": want / 2,
        "that is the share between -|z| and |z|; take the tails beyond": 1 - want,
        "that is the area below z; take both tails beyond |z|": 0.5 * math.erfc(-signed / math.sqrt(2)),
        "you forgot |…|: z may be negative, and a p-value is at most 1": math.erfc(signed / math.sqrt(2)),
        "you pooled the rates by their mean; pool the counts, (k1 + k2) / (n1 + n2)": _both_tails(gap, mid * (1 - mid) * n),
        "you used each model's own rate for the spread; the test supposes one rate, the pooled one":
            _both_tails(gap, a * (1 - a) / n1 + b * (1 - b) / n2),
        "the spread is that of one sample of n1 + n2; use 1/n1 + 1/n2": _both_tails(gap, r * (1 - r) / (n1 + n2)),
        "you forgot the root of the variance": math.erfc(gap / (r * (1 - r) * n) / math.sqrt(2)),
        "erfc takes z / √2": math.erfc(abs(signed)),
        "that is z; return the p-value": signed,
        "you used a continuity correction; this exercise has none": yates,
    }  # fmt: skip


@EXERCISES.add(
    audit.two_proportion_p,
    difficulty=2,
    minutes=10,
    hints=[
        "Write the formula of z line by line: the pooled rate r first. Where r is 0 or 1 return 1.0 before you divide by 0.",
        "Both tails of the standard normal beyond |z|: math.erfc(abs(z) / math.sqrt(2)).",
        "In the first line, a ValueError unless 0 <= k1 <= n1, 0 <= k2 <= n2, n1 > 0 and n2 > 0.",
    ],
    refuses=[(3, 2, 1, 2), (-1, 2, 1, 2), (1, 2, 1, 0), (0, 0, 5, 10), (1, 2, 5, 4)],
    mistakes={
        "where both counts are 0, or both are n, r·(1 - r) is 0: return 1.0 before you divide by it": (
            lambda k1, n1, k2, n2: (
                audit.two_proportion_p(k1, n1, k2, n2) + 0 / (k1 + k2) / (n1 + n2 - k1 - k2)
            )
        ),
        "where both counts are 0, or both are n, nothing differs: p is 1.0 there, not 0": (
            lambda k1, n1, k2, n2: (
                0.0 if k1 + k2 in (0, n1 + n2) else audit.two_proportion_p(k1, n1, k2, n2)
            )
        ),
    },
)
def check_two_proportion_p(student: Callable, rng: random.Random) -> None:
    cases = [(50, 100, 65, 100), (65, 100, 50, 100), (3, 40, 30, 160), (12, 30, 55, 170)]
    cases += [(rng.randrange(20, 40), 80, rng.randrange(60, 120), 200) for _ in range(4)]
    for k1, n1, k2, n2 in cases:
        want = float(chi2_contingency([[k1, n1 - k1], [k2, n2 - k2]], correction=False).pvalue)
        mistakes = _proportion_mistakes(k1, n1, k2, n2, want)
        mistakes = {
            s: v
            for s, v in mistakes.items()
            if not math.isclose(v, want, rel_tol=1e-3, abs_tol=1e-5)
        }
        expect(
            student(k1, n1, k2, n2),
            want,
            f"two_proportion_p({k1}, {n1}, {k2}, {n2})",
            mistakes=mistakes,
        )
    n1, n2 = rng.sample(range(5, 50), 2)
    for case in ((0, n1, 0, n2), (n2, n2, n1, n1)):
        expect(student(*case), 1.0, f"two_proportion_p{case}, where nothing differs")
    expect(student(5, 10, 20, 40), 1.0, "two_proportion_p(5, 10, 20, 40)")
    want = float(chi2_contingency([[150, 850], [500, 500]], correction=False).pvalue)
    got = student(150, 1000, 500, 1000)
    if isinstance(got, float) and got <= 0:
        raise Wrong(
            f"two_proportion_p(150, 1000, 500, 1000): small, but not 0: it is about {want:.0e}. 1 - (the area below z) "
            "loses all digits; take the tail itself, math.erfc or norm.sf."
        )
    expect(
        float(math.log10(got)),
        math.log10(want),
        "log10 of two_proportion_p(150, 1000, 500, 1000)",
        tol=1e-3,
    )
