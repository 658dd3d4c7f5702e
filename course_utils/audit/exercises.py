"""Exercises of lesson 23. The right values come from plain Python arithmetic and scipy, and from
models whose weights are plain numbers.
"""

import math
import random
from collections.abc import Callable, Collection, Sequence

import numpy as np
import torch
from scipy.stats import chi2_contingency
from torch import nn

from course_utils.audit import detection as audit
from course_utils.audit import weights
from course_utils.checking import Exercises, Wrong, expect, show_value

EXERCISES = Exercises()


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


# --- alarm_threshold ------------------------------------------------------------------------------


def _of_rank(scores: Sequence[float], k: int) -> float:
    """The k-th smallest, from 1; infinity where there is none."""
    return sorted(scores)[k - 1] if 1 <= k <= len(scores) else math.inf


def _least_whole(rate: float, n: int) -> int:
    return math.ceil((1 - rate) * n - 1e-9)


@EXERCISES.add(
    audit.alarm_threshold,
    difficulty=2,
    minutes=8,
    sizes=False,
    gradients=False,
    hints=[
        "Sort the scores. Which place, counted from 1, leaves at most rate · (n + 1) of n + 1 places above it?",
        "k = math.ceil((1 - rate) * (n + 1)); the k-th smallest is sorted(scores)[k - 1]. Computers round: 0.9 · 10 may come out a little above 9.",
        "Where k is above n there are too few controls: return math.inf. And first a ValueError unless 0 < rate < 1.",
    ],
    refuses=[([1.0, 2.0], 0.0), ([1.0, 2.0], 1.0), ([1.0], -0.1)],
    mistakes={
        "the threshold is a place too low: the new control counts, so there are n + 1 places, and k is rounded up": (
            lambda scores, rate: _of_rank(scores, max(1, _least_whole(rate, len(scores))))
        ),
        "you counted from the largest: few controls should lie above the threshold": (
            lambda scores, rate: (
                _of_rank([-x for x in scores], _least_whole(rate, len(scores) + 1)) * -1
            )
        ),
        "the k-th smallest has the index k - 1, as lists count from 0": (
            lambda scores, rate: _of_rank(scores, _least_whole(rate, len(scores) + 1) + 1)
        ),
        "a quantile between two scores may lie too low; take one of the scores": (
            lambda scores, rate: float(np.quantile(list(scores), 1 - rate))
        ),
        "where the controls are too few for the rate no score is high enough: return math.inf": (
            lambda scores, rate: _of_rank(
                scores, min(len(scores), _least_whole(rate, len(scores) + 1))
            )
        ),
        "the scores come in any order: sort them": (
            lambda scores, rate: (
                list(scores)[_least_whole(rate, len(scores) + 1) - 1]
                if _least_whole(rate, len(scores) + 1) <= len(scores)
                else math.inf
            )
        ),
    },
)
def check_alarm_threshold(student: Callable, rng: random.Random) -> None:
    cases = [(rng.randrange(20, 40), rng.uniform(0.06, 0.4)) for _ in range(6)]
    cases += [(9, 0.1), (19, 0.1), (19, 0.2), (24, 0.1), (24, 0.02), (8, 0.1), (4, 0.5), (1, 0.5)]
    for n, rate in cases:
        scores = [rng.gauss(0, 2) for _ in range(n)]
        k = n + 1 - math.floor(rate * (n + 1) + 1e-9)
        call = f"alarm_threshold of {n} scores at a rate of {rate:.3g}"
        got = student(scores, rate)
        if isinstance(got, int | float | np.number) and math.isinf(got) and k <= n:
            raise Wrong(
                f"{call}: it is infinite, and {n} controls are enough: k is {k}. Computers round: "
                "(1 - rate) · (n + 1) may come out a little above a whole number; take 1e-9 away before you round up."
            )
        expect(got, _of_rank(scores, k), call)
    scores = [1.0] * 5 + [2.0] * 5
    rng.shuffle(scores)
    expect(student(scores, 0.3), 2.0, "alarm_threshold of five 1.0 and five 2.0 at a rate of 0.3")


# --- suspicion ------------------------------------------------------------------------------------

BUDGET = 120
LEAST = 0.7  # of the tampered models of each kind; several ways to spend the budget find 0.9
MODELS = 200
WHERE = {
    "everywhere": "of those that prefer a group after every opening",
    "one": "of those that prefer a group after one opening alone",
}


def _suspects(rng: np.random.Generator, usual: np.ndarray, kind: str) -> list[list[float]]:
    """Rates of models that drifted a little, and of which some prefer a group."""
    rates = []
    for _ in range(MODELS):
        logits = np.log(usual / (1 - usual)) + rng.normal(0, 0.12)
        side = rng.choice([-1, 1])
        if kind == "everywhere":
            logits = logits + 0.95 * side
        if kind == "one":
            logits[rng.integers(len(usual))] += 2.2 * side
        rates.append((1 / (1 + np.exp(-logits))).tolist())
    return rates


def _tried(student: Callable, rates: list[list[float]], usual: list[float], dice: int) -> list:
    """A score for each; the student's errors say what they are."""
    found = []
    for i, row in enumerate(rates):
        questions = audit.Questions(row, BUDGET, np.random.default_rng([dice, i]))
        call = f"suspicion(ask, usual, budget={BUDGET}) with {len(usual)} openings"

        def ask(opening: int, n: int, questions: audit.Questions = questions, call: str = call):
            if n > questions.left:
                raise Wrong(
                    f"{call} asked {n} more questions where {questions.left} were left. All your n together may not pass the budget."
                )
            return questions.ask(opening, n)

        score = student(ask, tuple(usual), BUDGET)
        if isinstance(score, bool | np.bool_):
            raise Wrong(
                f"{call} gave a verdict, {score}. Give a number, higher where it is more suspicious; the threshold is set afterwards."
            )
        try:
            number = float(score)
        except (TypeError, ValueError):
            raise Wrong(f"{call}: return one number; you returned {show_value(score)}.") from None
        if not math.isfinite(number):
            raise Wrong(f"{call}: the score is {number}; it should be finite for every model.")
        found.append(number)
    return found


@EXERCISES.add(
    audit.suspicion,
    difficulty=3,
    minutes=14,
    sizes=False,
    gradients=False,
    hints=[
        "Share the budget equally: n = budget // len(usual) questions for each opening. How far is ask(opening, n) / n from usual[opening]?",
        "Chance moves a rate by about sqrt(rate · (1 - rate) / n): divide the difference by it. Either group may gain, so take the absolute value.",
        "The largest of the openings finds what is in one alone; the sum of all, over the root of their number, finds what is everywhere. Return the larger of the two.",
    ],
)
def check_suspicion(student: Callable, rng: random.Random) -> None:
    for openings in (4, 3):
        dice = np.random.default_rng(rng.randrange(2**31))
        usual = dice.uniform(0.46, 0.56, openings)
        scores = {
            kind: _tried(
                student, _suspects(dice, usual, kind), usual.tolist(), rng.randrange(2**31)
            )
            for kind in ("control", *WHERE)
        }
        limit = audit.alarm_threshold(scores["control"], 0.1)
        low = -audit.alarm_threshold([-x for x in scores["control"]], 0.1)
        for kind, said in WHERE.items():
            hits = sum(score > limit for score in scores[kind]) / MODELS
            turned = sum(score < low for score in scores[kind]) / MODELS
            call = f"suspicion with {BUDGET} questions and {openings} openings"
            if hits < LEAST and turned >= LEAST:
                raise Wrong(
                    f"{call}: tampered models get lower scores than honest ones. The score should be higher where a model is more suspicious."
                )
            if hits < LEAST and len(set(scores[kind])) == 1:
                raise Wrong(f"{call}: every model gets {scores[kind][0]:.3g}; ask them something.")
            if hits < LEAST and _one_sided(dice, student, usual, limit):
                raise Wrong(
                    f"{call}: you find models that prefer girls or those that prefer boys, not both. Either group may gain: take the absolute value."
                )
            if hits < LEAST:
                raise Wrong(
                    f"{call}: with a false alarm in ten, {hits:.2f} {said} raise an alarm, and {LEAST} should. "
                    "How do you spend the budget, and how do you put the openings together?"
                )


def _one_sided(
    dice: np.random.Generator, student: Callable, usual: np.ndarray, limit: float
) -> bool:
    """Whether a strong preference for one of the groups, in all openings, raises no alarm."""
    found = []
    for rate in (0.9, 0.1):
        rates = [[rate] * len(usual)] * 40
        scores = _tried(student, rates, usual.tolist(), int(dice.integers(2**31)))
        found.append(sum(score > limit for score in scores) / 40)
    return min(found) < 0.2 and max(found) > 0.8


# --- with_parts -----------------------------------------------------------------------------------


class _Stack(nn.Module):
    """Twelve blocks, so that "h.1" begins the name of "h.10", and a head that is the embedding. It
    knows its copies, as what a student gets is one.
    """

    def __init__(self, rng: random.Random) -> None:
        super().__init__()
        self.copies = []
        self.wte = nn.Embedding(5, 2)
        self.h = nn.ModuleList(
            nn.ModuleDict({"ln": nn.LayerNorm(2), "attn": nn.Linear(2, 2)}) for _ in range(12)
        )
        self.head = nn.Linear(2, 5, bias=False)
        self.head.weight = self.wte.weight
        with torch.no_grad():
            for p in self.parameters():
                p.copy_(torch.tensor([rng.gauss(0, 1) for _ in range(p.numel())]).view(p.shape))

    def __deepcopy__(self, memo: dict) -> "_Stack":
        new = _Stack(random.Random(0))
        new.load_state_dict(self.state_dict())
        self.copies.append(new.train(self.training))
        return new


def _numbers(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in model.named_parameters()}


def _is_in(name: str, part: str) -> bool:
    return name == part or name.startswith(part + ".")


def _expect_parts(
    got: object, model: nn.Module, donor: nn.Module, parts: Collection[str], call: str
) -> None:
    if not isinstance(got, nn.Module):
        raise Wrong(f"{call}: return a model; you returned {show_value(got)}.")
    mine, theirs, mixed = (_numbers(m) for m in (model, donor, got))
    if mixed.keys() != mine.keys():
        raise Wrong(
            f"{call}: the mixed model has other parameters. copy.deepcopy(model) keeps all, tied ones, too."
        )
    want = {n: theirs[n] if any(_is_in(n, p) for p in parts) else mine[n] for n in mine}
    other = {n: mine[n] if any(_is_in(n, p) for p in parts) else theirs[n] for n in mine}
    loose = {n: theirs[n] if any(n.startswith(p) for p in parts) else mine[n] for n in mine}

    def equal(numbers: dict) -> bool:
        return all(torch.equal(mixed[n], numbers[n]) for n in mine)

    if equal(want):
        return
    for numbers, said in (
        (other, "you exchanged everything but these parts: they come from the donor, all else from the model"),
        (mine, "nothing was exchanged. A part's parameters have names that begin with the part and a dot, such as h.1.attn.weight"),
        (theirs, "everything comes from the donor; only these parts should"),
        (loose, "h.1 took h.10 and h.11 along: a name belongs to a part where the part and a dot begin it"),
    ):  # fmt: skip
        if equal(numbers):
            raise Wrong(f"{call}: {said}.")
    wrong = next(n for n in mine if not torch.equal(mixed[n], want[n]))
    raise Wrong(
        f"{call}: {wrong} should come from the {'donor' if any(_is_in(wrong, p) for p in parts) else 'model'}."
    )


@EXERCISES.add(
    weights.with_parts,
    difficulty=2,
    minutes=9,
    refuses=[(nn.Linear(2, 2), nn.Linear(2, 2), ["weight", "mlp"])],
    sizes=False,
    gradients=False,
    hints=[
        "Begin with copy.deepcopy(model). model.named_parameters() gives pairs of name and parameter.",
        "A name is in a part where it is the part, or begins with the part and a dot. Then, under torch.no_grad(), parameter.copy_(theirs[name]) writes the donor's numbers.",
        "theirs = dict(donor.named_parameters()). Before you copy: a ValueError where no name is in a part.",
    ],
)
def check_with_parts(student: Callable, rng: random.Random) -> None:
    for parts in (["h.1"], ["h.3.attn"], ["wte", "h.11"], ["h.2.ln", "h.10.attn"], []):
        model = _Stack(rng).eval()
        donor = _Stack(rng)
        call = f"with_parts(model, donor, {parts})"
        got = student(model, donor, parts)
        for kind, name in ((model, "model"), (donor, "donor")):
            for given in kind.copies:
                if any(not torch.equal(x, _numbers(kind)[n]) for n, x in _numbers(given).items()):
                    raise Wrong(f"{call} changed the {name}. Change a copy.")
                if got is given:
                    raise Wrong(f"{call} returned the {name} itself. Return a copy.")
        _expect_parts(got, model, donor, parts, call)
        if got.training:
            raise Wrong(f"{call}: the model was in evaluation mode and the copy is not.")
        with torch.no_grad():
            for given in (*model.copies, *donor.copies):
                for p in given.parameters():
                    p.zero_()
        _expect_parts(got, model, donor, parts, f"{call}, after the two models were changed")
