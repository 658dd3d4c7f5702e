"""Exercises of lesson 13. The right values come from einsum and plain loops in float64, the batches
are judged by their statistics.
"""

import random
from collections.abc import Callable, Sequence
from functools import cache, partial

import torch
import torch.nn.functional as F
from torch import Tensor

from course_utils.checking import Exercises, Wrong, expect, show_value
from course_utils.checking.inputs import check_gradient, different, normal
from course_utils.gpt2.model import GPT
from course_utils.pretrained import storyteller
from course_utils.sparse_autoencoders import autoencoder as sparse_autoencoders
from course_utils.sparse_autoencoders import scores, steering
from course_utils.sparse_autoencoders.records import LAYER
from course_utils.stories.corpus import ID
from course_utils.superposition.exercises import uniform

EXERCISES = Exercises()


# instances (None: no dimension for them), examples, inputs, units. What fits only by chance, as many
# units as inputs or as many examples as instances, comes before what does not fit at all.
CASES = ((None, 4, 3, 3), (None, 4, 3, 6), (4, 4, 5, 5), (3, 4, 3, 6), (2, 2, 4, 4), (5, 5, 2, 7))


# --- encode ---------------------------------------------------------------------------------------


def encode_oracle(
    x: Tensor, encoder: Tensor, encoder_bias: Tensor, decoder_bias: Tensor, top_k: int | None = None
) -> Tensor:
    z = (
        torch.einsum("...bd,...dk->...bk", x - decoder_bias[..., None, :], encoder)
        + encoder_bias[..., None, :]
    )
    return keep(z.clamp(min=0), top_k)


def keep(f: Tensor, top_k: int | None) -> Tensor:
    if top_k is None:
        return f
    rank = f.argsort(-1, descending=True).argsort(-1)
    return torch.where(rank < top_k, f, torch.zeros_like(f))


def _bias_mistakes(
    x: Tensor, encoder: Tensor, encoder_bias: Tensor, decoder_bias: Tensor, top_k: int | None
) -> dict[str, Tensor]:
    """What the usual slips make of x: in the biases, and in what is bent."""
    from_inputs = decoder_bias[..., None, :]
    to_codes = encoder_bias[..., None, :]
    no_encoder_bias = torch.zeros_like(encoder_bias)
    no_decoder_bias = torch.zeros_like(decoder_bias)
    raw = (x - from_inputs) @ encoder + to_codes
    bent_first = torch.relu((x - from_inputs) @ encoder) + to_codes

    def coded(encoder_bias: Tensor, decoder_bias: Tensor) -> Tensor:
        return encode_oracle(x, encoder, encoder_bias, decoder_bias, top_k)

    mistakes = {
        "you left out both biases": coded(no_encoder_bias, no_decoder_bias),
        "you left out decoder_bias: subtract it from x first": coded(encoder_bias, no_decoder_bias),
        "you left out encoder_bias": coded(no_encoder_bias, decoder_bias),
        "decoder_bias is subtracted from x; you added it": coded(encoder_bias, -decoder_bias),
        "encoder_bias is added; you subtracted it": coded(-encoder_bias, decoder_bias),
        "you left out the ReLU": keep(raw, top_k),
        "the bias comes before the ReLU": keep(bent_first, top_k),
    }
    if x.ndim > 2 and len(x) == x.size(-2):
        for each, minus, plus in (
            ("biases", decoder_bias, encoder_bias),
            ("decoder_bias", decoder_bias, to_codes),
            ("encoder_bias", from_inputs, encoder_bias),
        ):
            bent = torch.relu((x - minus) @ encoder + plus)
            mistakes[f"each instance has its own {each}: .unsqueeze(-2)"] = keep(bent, top_k)
    return mistakes


def _top_k_mistakes(raw: Tensor, top_k: int) -> dict[str, Tensor]:
    """What the usual slips make of codes before the ReLU (..., B, k): in which are kept, and in
    how.
    """
    f = raw.relu()
    all_examples = (
        f.flatten(-2).argsort(-1, descending=True).argsort(-1).unflatten(-1, f.shape[-2:]) < top_k
    )
    return {
        "you ignored top_k": f,
        "the k-th largest belongs to them: a strict > loses it": keep(f, top_k - 1),
        "top_k chooses among the units of each example; you chose among all examples": f
        * all_examples,
        "top_k chooses among the units; you chose among the examples": keep(f.mT, top_k).mT,
        "top_k keeps the largest; you kept the smallest": f - keep(f, f.size(-1) - top_k),
        "the largest stay at their place; you returned them alone": f.topk(top_k).values,
        "top_k keeps the sizes; you replaced them by 1": torch.zeros_like(f).scatter(
            -1, f.topk(top_k).indices, 1.0
        ),
        "you kept the first units; top_k keeps the largest": f * (torch.arange(f.size(-1)) < top_k),
        "you chose by the size before the ReLU, where numbers below 0 take places; bend first": f
        * (keep(raw.abs(), top_k) > 0),
    }


@EXERCISES.add(
    sparse_autoencoders.encode,
    difficulty=2,
    minutes=10,
    hints=[
        "Four things in this order: take decoder_bias away from x, multiply by the encoder, add encoder_bias, bend.",
        "Biases need a dimension for the examples: .unsqueeze(-2). For top-k, f.topk(top_k, dim=-1) gives the values and where they were.",
        "torch.zeros_like(f).scatter(-1, largest.indices, largest.values) puts the largest back at their places, zeros elsewhere.",
    ],
)
def check_encode(student: Callable, rng: random.Random) -> None:
    for N, B, d, k in CASES:
        for top_k in (None, 1, 3):
            lead = () if N is None else (N,)
            x = normal(rng, *lead, B, d)
            A = normal(rng, *lead, d, k)
            e = normal(rng, *lead, k) * 0.7
            b = normal(rng, *lead, d)
            want = encode_oracle(x, A, e, b, top_k)
            mistakes = _bias_mistakes(x, A, e, b, top_k)
            if top_k:
                raw = (x - b[..., None, :]) @ A + e[..., None, :]
                mistakes |= _top_k_mistakes(raw, top_k)
            call = f"encode(x, …{'' if top_k is None else f', top_k={top_k}'}) with x of shape {tuple(x.shape)} and encoder of shape {tuple(A.shape)}"
            got = student(x, A, e, b) if top_k is None else student(x, A, e, b, top_k=top_k)
            expect(got, want, call, mistakes=different(mistakes, want))
    _check_encode_gradients(student, rng)


def _check_encode_gradients(student: Callable, rng: random.Random) -> None:
    """The gradients that reach the encoder, with and without top_k."""
    x, A, e, b = (
        normal(rng, *shape, dtype=torch.float64) for shape in ((4, 3), (3, 6), (6,), (3,))
    )
    check_gradient(
        lambda A: student(x, A, e, b),
        lambda A: encode_oracle(x, A, e, b),
        A,
        "encode(x, …) with respect to the encoder",
    )
    check_gradient(
        lambda A: student(x, A, e, b, top_k=2),
        lambda A: encode_oracle(x, A, e, b, 2),
        A,
        "encode(x, …, top_k=2) with respect to the encoder",
    )


# --- sae_loss -------------------------------------------------------------------------------------


def _missed(x: Tensor, y: Tensor) -> Tensor:
    """The squared distance of y from x, averaged over the examples."""
    return (x - y).square().sum((-2, -1)) / x.shape[-2]


def sae_loss_oracle(
    x: Tensor, f: Tensor, directions: Tensor, decoder_bias: Tensor, penalty: float | Tensor
) -> Tensor:
    """How far the codes miss x, and what they cost."""
    y = torch.einsum("...bk,...kd->...bd", f, directions)
    sparse = f.abs().sum((-2, -1)) / x.shape[-2]
    return _missed(x, y + decoder_bias[..., None, :]) + penalty * sparse


def _sae_loss_mistakes(
    x: Tensor, f: Tensor, directions: Tensor, decoder_bias: Tensor, penalty: float | Tensor
) -> dict[str, Tensor]:
    """What the usual slips make of x (..., B, d) and its codes f (..., B, k)."""
    B, d = x.shape[-2:]
    k = f.size(-1)
    missed = partial(_missed, x)
    want = sae_loss_oracle(x, f, directions, decoder_bias, penalty)
    y = torch.einsum("...bk,...kd->...bd", f, directions)
    row = decoder_bias[..., None, :]
    sparse = f.abs().sum((-2, -1)) / B
    mistakes = {
        "you left out decoder_bias": missed(y) + penalty * sparse,
        "decoder_bias is added to Σ f_i d_i; you subtracted it": missed(y - row) + penalty * sparse,
        "‖…‖² sums over the activations; you took their mean": missed(y + row) / d + penalty * sparse,
        "Σ |f_i| sums over the units; you took their mean": missed(y + row) + penalty * sparse / k,
        "both are sums over activations or units, then means over the examples; you took means of everything":
            missed(y + row) / d + penalty * sparse / k,
        "take the mean over the examples; you added them up": B * want,
        "the penalty is averaged over the examples, too": missed(y + row) + penalty * sparse * B,
        "you took the sum of the codes without |…|": missed(y + row) + penalty * f.sum((-2, -1)) / B,
        "the penalty is Σ |f_i|, not the sum of squares": missed(y + row) + penalty * f.square().sum((-2, -1)) / B,
        "the penalty is Σ |f_i|, not the number of active units": missed(y + row) + penalty * (f != 0).float().sum((-2, -1)) / B,
        "the penalty is on the codes f, not on the directions":
            missed(y + row) + penalty * directions.abs().sum((-2, -1)),
        "you forgot the penalty": missed(y + row),
        "you forgot to multiply by the penalty": missed(y + row) + sparse,
        "you subtracted the penalty": missed(y + row) - penalty * sparse,
        "‖…‖² is squared; you took the root": (x - y - row).norm(dim=-1).mean(-1) + penalty * sparse,
        "the error is squared; you took absolute values": (x - y - row).abs().sum((-2, -1)) / B + penalty * sparse,
    }  # fmt: skip
    if x.ndim > 2:
        mistakes["one number for each instance: keep the leading dimensions"] = want.sum()
        mistakes["one number for each instance, not their mean"] = want.mean()
        if len(x) == B:
            mistakes["each instance has its own decoder_bias: decoder_bias.unsqueeze(-2)"] = (
                missed(y + decoder_bias) + penalty * sparse
            )
    if k == d:
        wrong = torch.einsum("...bk,...dk->...bd", f, directions)
        mistakes["the directions are the rows of `directions`: f @ directions"] = (
            missed(wrong + row) + penalty * sparse
        )
    return mistakes


@EXERCISES.add(
    sparse_autoencoders.sae_loss,
    difficulty=2,
    minutes=8,
    gradients=["x", "f", "directions", "decoder_bias"],  # the penalty is a number
    hints=[
        "Two terms. How far is Σ f_i d_i + decoder_bias from x? And how much do the units fire in all?",
        "Σ f_i d_i is f @ directions. The squared length sums over the activations, |f| sums over the units; then both are averaged "
        "over the examples.",
        "(x - f @ directions - decoder_bias.unsqueeze(-2)).square().sum(-1).mean(-1) + penalty * f.abs().sum(-1).mean(-1)",
    ],
)
def check_sae_loss(student: Callable, rng: random.Random) -> None:
    for N, B, d, k in CASES:
        lead = () if N is None else (N,)
        x = normal(rng, *lead, B, d)
        f = normal(rng, *lead, B, k)
        V = normal(rng, *lead, k, d)
        b = normal(rng, *lead, d)
        penalty = rng.uniform(0.5, 2.0) if N is None else uniform(rng, N, low=0.5, high=2.0)
        want = sae_loss_oracle(x, f, V, b, penalty)
        mistakes = _sae_loss_mistakes(x, f, V, b, penalty)
        call = f"sae_loss(x, f, directions, decoder_bias, penalty) with x of shape {tuple(x.shape)} and f of shape {tuple(f.shape)}"
        expect(
            student(x, f, V, b, penalty), want, call, mistakes=different(mistakes, want), tol=1e-4
        )
    _check_sae_loss_gradients(student, rng)


def _check_sae_loss_gradients(student: Callable, rng: random.Random) -> None:
    """The gradients that reach the codes and the directions."""
    x, f, V, b = (
        normal(rng, *shape, dtype=torch.float64) for shape in ((4, 3), (4, 6), (6, 3), (3,))
    )

    def loss(x, f, V, b):
        return (
            x - torch.einsum("bk,kd->bd", f, V) - b
        ).square().sum() / 4 + 0.7 * f.abs().sum() / 4

    check_gradient(
        lambda f: student(x, f, V, b, 0.7),
        lambda f: loss(x, f, V, b),
        f,
        "sae_loss(…) with respect to the codes",
    )
    check_gradient(
        lambda V: student(x, f, V, b, 0.7),
        lambda V: loss(x, f, V, b),
        V,
        "sae_loss(…) with respect to the directions",
    )


# --- mean_max_cosine ------------------------------------------------------------------------------


def _cosine_mistakes(
    dots: Tensor, truth_lengths: Tensor, found_lengths: Tensor
) -> dict[str, Tensor]:
    """What the usual slips make of dot products (..., n, k) of true and found directions."""
    cosines = dots / truth_lengths / found_lengths
    mistakes = {
        "each true direction looks for its best found one; yours goes the other way, so a missed feature costs nothing":
            cosines.amax(-2).mean(-1),
        "the sign counts: a direction and its opposite are two features, so take no absolute value": cosines.abs().amax(-1).mean(-1),
        "bring both to length 1: a cosine knows no lengths": dots.amax(-1).mean(-1),
        "bring `found` to length 1, too": (dots / truth_lengths).amax(-1).mean(-1),
        "bring `truth` to length 1, too": (dots / found_lengths).amax(-1).mean(-1),
        "normalise before you choose the best; yours chose the largest dot product":
            cosines.gather(-1, dots.argmax(-1, keepdim=True)).squeeze(-1).mean(-1),
        "take the largest cosine for each true direction; you averaged all": cosines.mean((-2, -1)),
        "average over the true directions; you took the single best pair": cosines.amax((-2, -1)),
        "average over the true directions; you took the worst": cosines.amax(-1).amin(-1),
        "you squared the cosines; take them as they are": cosines.square().amax(-1).mean(-1),
        "you added them up; average over the true directions": cosines.amax(-1).sum(-1),
        "you returned one number for each true direction; average them": cosines.amax(-1),
    }  # fmt: skip
    if dots.size(-1) == dots.size(-2):
        mistakes["you compared row with row; each true direction may be found in any row"] = (
            cosines.diagonal(dim1=-2, dim2=-1).mean(-1)
        )
    if dots.ndim > 2:
        mistakes["one number for each instance: keep the leading dimensions"] = cosines.amax(
            -1
        ).mean()
    return mistakes


@EXERCISES.add(
    sparse_autoencoders.mean_max_cosine,
    difficulty=1,
    minutes=6,
    gradients=False,  # a measurement
    hints=[
        "A table of all cosines, true directions down, found ones across. What do you do with a row, and what with the column that is left?",
        "torch.nn.functional.normalize(…, dim=-1) brings rows to length 1; then one matrix product gives all cosines.",
        "cosines = normalize(truth, dim=-1) @ normalize(found, dim=-1).mT; the best of each row is cosines.amax(-1), then the mean.",
    ],
    mistakes={
        "you brought the columns to length 1; a direction is a row: normalise over the last dimension": (
            lambda truth, found: (
                (F.normalize(truth, dim=-2) @ F.normalize(found, dim=-2).mT).amax(-1).mean(-1)
            )
        ),
    },
)
def check_mean_max_cosine(student: Callable, rng: random.Random) -> None:
    for n, k, d, N in (
        (4, 7, 3, None),
        (6, 3, 4, None),
        (5, 5, 5, None),
        (3, 8, 3, 2),
        (4, 4, 4, 4),
        (2, 1, 3, None),
    ):
        lead = () if N is None else (N,)
        truth = normal(rng, n, d) * uniform(rng, n, 1, low=0.3, high=3.0)
        found = normal(rng, *lead, k, d) * uniform(rng, *lead, k, 1, low=0.3, high=3.0)
        dots = torch.einsum("nd,...kd->...nk", truth.double(), found.double())
        a = truth.double().norm(dim=-1)[:, None]
        c = found.double().norm(dim=-1)[..., None, :]
        cosines = dots / a / c
        want = cosines.amax(-1).mean(-1).float()
        mistakes = _cosine_mistakes(dots, a, c)
        mistakes = different({s: v.float() for s, v in mistakes.items()}, want)
        call = f"mean_max_cosine(truth, found) with truth of shape {tuple(truth.shape)} and found of shape {tuple(found.shape)}"
        expect(student(truth, found), want, call, mistakes=mistakes)
    truth = normal(rng, 4, 3)
    same = (truth * uniform(rng, 4, 1, low=0.5, high=2.0))[torch.tensor([2, 0, 3, 1])]
    expect(
        student(truth, same),
        torch.tensor(1.0),
        "mean_max_cosine(truth, found) where found are the true directions, shuffled and rescaled",
    )


# --- held_out_score -------------------------------------------------------------------------------


def _correlation(a: Tensor, b: Tensor) -> float:
    """Pearson's correlation of two rows of yes and no; 0 where one never changes."""
    if len(a.unique()) < 2 or len(b.unique()) < 2:
        return 0.0
    return torch.corrcoef(torch.stack([a, b]).double())[0, 1].item()


def _detectors(z: Tensor, true: Tensor, units: Sequence[int]) -> list[tuple[float, int, float]]:
    """Every unit with every cut, the best first: (agreement, unit, cut)."""
    tries = [
        (round(_correlation(z[:, u] >= cut, true), 9), u, cut)
        for u in units
        for cut in z[:, u].unique().tolist()
    ]
    return sorted(tries, reverse=True)


def _best_detector(z: Tensor, true: Tensor, units: Sequence[int]) -> tuple[int, float]:
    """The unit and the cut that agree best, by trying every one."""
    return _detectors(z, true, units)[0][1:]


def _one_is_best(z: Tensor, true: Tensor) -> bool:
    """Whether one detector is better than all others: who chooses then has no choice."""
    first, second = _detectors(z, true, range(z.size(1)))[:2]
    return first[0] > second[0] + 1e-4


def _draw_detectors(rng: random.Random, n: int, k: int, share: float) -> tuple[Tensor, ...]:
    """Units, a truth and who trains, such that one detector is best wherever one may choose."""
    while True:
        true = torch.tensor([rng.random() < 0.4 for _ in range(n)])
        true[:4] = torch.tensor([True, False, True, False])
        train = torch.tensor([rng.random() < share for _ in range(n)])
        train[:4] = torch.tensor([True, True, False, False])
        z = (normal(rng, n, k) + 0.8 * true[:, None]).mul(4).round() / 4 - 0.3
        parts = train, ~train, torch.ones_like(train)
        if all(_one_is_best(z[part], true[part]) for part in parts):
            return z, true, train


def held_out_oracle(z: Tensor, true: Tensor, train: Tensor, chosen_on: Tensor) -> float:
    unit, cut = _best_detector(z[chosen_on], true[chosen_on], range(z.size(1)))
    return _correlation(z[~train, unit] >= cut, true[~train])


def _held_out_mistakes(z: Tensor, true: Tensor, train: Tensor) -> dict[str, float]:
    every = torch.ones_like(train)
    unit, cut = _best_detector(z[train], true[train], range(z.size(1)))
    new = z[~train]
    fresh = true[~train]
    own = _best_detector(new, fresh, [unit])[1]
    best = max(
        _correlation(new[:, u] >= _best_detector(z[train], true[train], [u])[1], fresh)
        for u in range(z.size(1))
    )
    return {
        "that is the score on the training texts: judge where train is False": _correlation(
            z[train, unit] >= cut, true[train]
        ),
        "choose the unit and the cut where train is True; you chose and judged on the new texts": held_out_oracle(
            z, true, train, ~train
        ),
        "choose where train is True; you chose on all texts": held_out_oracle(
            z, true, train, every
        ),
        "judge where train is False alone; you judged on all texts": _correlation(
            z[:, unit] >= cut, true
        ),
        "keep the cut that was chosen in the training; you chose a new one on the new texts": _correlation(
            new[:, unit] >= own, fresh
        ),
        "one unit is chosen, in the training; you took the unit that is best on the new texts": best,
        "the detector says yes at its cut, too: >= and not >": _correlation(
            new[:, unit] > cut, fresh
        ),
        "that is the share of right answers; use agreement": ((new[:, unit] >= cut) == fresh)
        .double()
        .mean()
        .item(),
        "you judged by whether the unit fires; use its cut": _correlation(new[:, unit] > 0, fresh),
    }


@EXERCISES.add(
    scores.held_out_score,
    difficulty=2,
    minutes=10,
    gradients=False,  # a measurement
    sizes=False,  # one example agrees with nothing
    hints=[
        "Three steps: for each unit its best cut where train is True; which unit; then one detector, judged on the others.",
        "cut, score = best_cut(z[train], true[train]) has a number for each unit. score.argmax() is the unit.",
        "agreement(z[~train, unit] >= cut[unit], true[~train]), as a number with .item().",
    ],
)
def check_held_out_score(student: Callable, rng: random.Random) -> None:
    for n, k, share in ((40, 5, 0.5), (60, 8, 0.3), (50, 3, 0.6), (36, 1, 0.5)):
        z, true, train = _draw_detectors(rng, n, k, share)
        want = held_out_oracle(z, true, train, train)
        mistakes = {
            s: v for s, v in _held_out_mistakes(z, true, train).items() if abs(v - want) > 1e-3
        }
        expect(
            student(z, true, train), want, f"held_out_score(z, true, train) with {n} tokens and {k} units",
            mistakes=mistakes, tol=1e-4,
        )  # fmt: skip


# --- steering_vector ------------------------------------------------------------------------------


@cache
def _stories(seed: int) -> tuple[Tensor, Tensor]:
    """Tokens of 24 stories and the stream after block 1, both to be left as they are."""
    ids = scores.windows(seed, 24, 96).ids
    with torch.no_grad():
        return ids, _model().streams(ids)[LAYER]


@cache
def _model() -> GPT:
    return storyteller().set_attention("fused")


@EXERCISES.add(
    steering.steering_vector,
    difficulty=3,
    minutes=12,
    gradients=False,  # an experiment on a trained model
    sizes=False,
    hints=[
        "Which direction tells the two words apart: in what the model has read, or in what it is about to say? And how long must it be?",
        "Try head[towards] - head[away], at length 1, times a number. The activations differ from their mean by about 21.",
        "Half of 21 turns too few, 1.0 times 21 harms too much. Take about 14.",
    ],
)
def check_steering_vector(student: Callable, rng: random.Random) -> None:
    ids, x = _stories(1_000_003)
    head = _model().lm_head.weight.detach()
    new, y = _stories(rng.choice((4_000_003, 4_000_013, 4_000_023)))
    before = steering.onward(_model(), y, LAYER)
    for away, towards in (("he", "she"), ("she", "he")):
        pair = ID[away], ID[towards]
        vector = student(x.clone(), ids.clone(), head.clone(), *pair)
        call = f"steering_vector(x, ids, head, ID['{away}'], ID['{towards}'])"
        if not isinstance(vector, Tensor) or vector.shape != x.shape[-1:]:
            raise Wrong(
                f"{call}: return one vector of {x.size(-1)} numbers, which is added at every position; "
                f"you returned {show_value(vector)}."
            )
        vector = vector.detach().to(x)
        if not bool(vector.isfinite().all()):
            raise Wrong(f"{call}: some numbers of your vector are not finite.")
        after = steering.onward(_model(), y + vector, LAYER)
        effect, side = (each.mean().item() for each in steering.turned(after, before, new, *pair))
        _judge(call, away, effect, side)


def _judge(call: str, away: str, effect: float, side: float) -> None:
    found = f"{call}: of the places with a {away} {effect:.2f} have turned, and the loss elsewhere rises by {side:.3f} nats"
    if effect < 0.75 and side >= 0.1:
        raise Wrong(f"{found}. That is little, and dear: take another direction.")
    if effect < 0.75:
        raise Wrong(f"{found}. Turn at least 0.75: a longer vector, or another direction.")
    if side >= 0.1:
        raise Wrong(f"{found}. Stay below 0.1: a shorter vector, or another direction.")
