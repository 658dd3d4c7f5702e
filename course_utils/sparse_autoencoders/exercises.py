"""Exercises of lesson 13. The right values come from einsum and plain loops in float64, the batches
are judged by their statistics.
"""

import random
from collections.abc import Callable

import torch
from torch import Tensor

from course_utils.checking import Exercises, expect
from course_utils.checking.inputs import check_gradient, different, normal
from course_utils.sparse_autoencoders import autoencoder as sparse_autoencoders
from course_utils.superposition.exercises import uniform

EXERCISES = Exercises()


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
    for N, B, d, k in ((None, 4, 3, 6), (3, 4, 3, 6), (4, 4, 5, 5), (2, 2, 4, 4), (5, 5, 2, 7)):
        for top_k in (None, 1, 3):
            lead = () if N is None else (N,)
            x = normal(rng, *lead, B, d)
            A = normal(rng, *lead, d, k)
            e = normal(rng, *lead, k) * 0.7
            b = normal(rng, *lead, d)
            want = encode_oracle(x, A, e, b, top_k)
            E = e[..., None, :]
            D = b[..., None, :]
            zero = torch.zeros_like(e)
            free = torch.zeros_like(b)
            raw = (x - D) @ A + E
            f = torch.relu(raw)
            mistakes = {
                "you left out both biases": encode_oracle(x, A, zero, free, top_k),
                "you left out decoder_bias: subtract it from x first": encode_oracle(
                    x, A, e, free, top_k
                ),
                "you left out encoder_bias": encode_oracle(x, A, zero, b, top_k),
                "decoder_bias is subtracted from x; you added it": encode_oracle(
                    x, A, e, -b, top_k
                ),
                "encoder_bias is added; you subtracted it": encode_oracle(x, A, -e, b, top_k),
                "you left out the ReLU": keep(raw, top_k),
                "the bias comes before the ReLU": keep(torch.relu((x - D) @ A) + E, top_k),
            }
            if top_k:
                all_examples = (
                    f.flatten(-2)
                    .argsort(-1, descending=True)
                    .argsort(-1)
                    .unflatten(-1, f.shape[-2:])
                    < top_k
                )
                mistakes |= {
                    "you ignored top_k": f,
                    "the k-th largest belongs to them: a strict > loses it": keep(f, top_k - 1),
                    "top_k chooses among the units of each example; you chose among all examples": f
                    * all_examples,
                    "top_k chooses among the units; you chose among the examples": keep(
                        f.mT, top_k
                    ).mT,
                    "top_k keeps the largest; you kept the smallest": f - keep(f, k - top_k),
                    "the largest stay at their place; you returned them alone": f.topk(
                        top_k
                    ).values,
                    "top_k keeps the sizes; you replaced them by 1": (keep(f, top_k) > 0).float(),
                }
            call = f"encode(x, …{'' if top_k is None else f', top_k={top_k}'}) with x of shape {tuple(x.shape)} and encoder of shape {tuple(A.shape)}"
            got = student(x, A, e, b) if top_k is None else student(x, A, e, b, top_k=top_k)
            expect(got, want, call, mistakes=different(mistakes, want))
    x = normal(rng, 4, 3)
    A = normal(rng, 2, 3, 6)
    e = normal(rng, 2, 6)
    b = normal(rng, 2, 3)
    expect(
        student(x, A, e, b),
        encode_oracle(x.expand(2, 4, 3), A, e, b),
        "encode(x, …) with one batch (4, 3) for two instances",
    )
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


@EXERCISES.add(
    sparse_autoencoders.sae_loss,
    difficulty=2,
    minutes=8,
    hints=[
        "Two terms. How far is Σ f_i d_i + decoder_bias from x? And how much do the units fire in all?",
        "Σ f_i d_i is f @ directions. The squared length sums over the activations, |f| sums over the units; then both are averaged "
        "over the examples.",
        "(x - f @ directions - decoder_bias.unsqueeze(-2)).square().sum(-1).mean(-1) + penalty * f.abs().sum(-1).mean(-1)",
    ],
)
def check_sae_loss(student: Callable, rng: random.Random) -> None:
    for N, B, d, k in ((None, 4, 3, 6), (3, 4, 3, 6), (4, 4, 5, 5), (2, 2, 4, 4), (5, 5, 2, 7)):
        lead = () if N is None else (N,)
        x = normal(rng, *lead, B, d)
        f = normal(rng, *lead, B, k)
        V = normal(rng, *lead, k, d)
        b = normal(rng, *lead, d)
        penalty = rng.uniform(0.5, 2.0) if N is None else uniform(rng, N, low=0.5, high=2.0)
        y = torch.einsum("...bk,...kd->...bd", f, V)
        row = b[..., None, :]
        missed = lambda y, x=x: (x - y).square().sum((-2, -1)) / x.shape[-2]
        sparse = f.abs().sum((-2, -1)) / B
        want = missed(y + row) + penalty * sparse
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
            "the penalty is Σ |f_i|, not the number of active units": missed(y + row) + penalty * (f > 0).float().sum((-2, -1)) / B,
            "you forgot the penalty": missed(y + row),
            "you forgot to multiply by the penalty": missed(y + row) + sparse,
            "you subtracted the penalty": missed(y + row) - penalty * sparse,
            "‖…‖² is squared; you took the root": (x - y - row).norm(dim=-1).mean(-1) + penalty * sparse,
            "the error is squared; you took absolute values": (x - y - row).abs().sum((-2, -1)) / B + penalty * sparse,
        }  # fmt: skip
        if N is not None:
            mistakes["one number for each instance: keep the leading dimensions"] = want.sum()
            mistakes["one number for each instance, not their mean"] = want.mean()
            if N == B:
                mistakes["each instance has its own decoder_bias: decoder_bias.unsqueeze(-2)"] = (
                    missed(y + b) + penalty * sparse
                )
        if k == d:
            wrong = torch.einsum("...bk,...dk->...bd", f, V)
            mistakes["the directions are the rows of `directions`: f @ directions"] = (
                missed(wrong + row) + penalty * sparse
            )
        call = f"sae_loss(x, f, directions, decoder_bias, penalty) with x of shape {tuple(x.shape)} and f of shape {tuple(f.shape)}"
        expect(
            student(x, f, V, b, penalty), want, call, mistakes=different(mistakes, want), tol=1e-4
        )
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


@EXERCISES.add(
    sparse_autoencoders.mean_max_cosine,
    difficulty=1,
    minutes=6,
    hints=[
        "A table of all cosines, true directions down, found ones across. What do you do with a row, and what with the column that is left?",
        "torch.nn.functional.normalize(…, dim=-1) brings rows to length 1; then one matrix product gives all cosines.",
        "cosines = normalize(truth, dim=-1) @ normalize(found, dim=-1).mT; the best of each row is cosines.amax(-1), then the mean.",
    ],
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
        mistakes = {
            "each true direction looks for its best found one; yours goes the other way, so a missed feature costs nothing":
                cosines.amax(-2).mean(-1),
            "the sign counts: a direction and its opposite are two features, so take no absolute value": cosines.abs().amax(-1).mean(-1),
            "bring both to length 1: a cosine knows no lengths": dots.amax(-1).mean(-1),
            "bring `found` to length 1, too": (dots / a).amax(-1).mean(-1),
            "bring `truth` to length 1, too": (dots / c).amax(-1).mean(-1),
            "normalise before you choose the best; yours chose the largest dot product":
                cosines.gather(-1, dots.argmax(-1, keepdim=True)).squeeze(-1).mean(-1),
            "take the largest cosine for each true direction; you averaged all": cosines.mean((-2, -1)),
            "average over the true directions; you took the single best pair": cosines.amax((-2, -1)),
            "average over the true directions; you took the worst": cosines.amax(-1).amin(-1),
            "the best is the largest cosine, not the smallest": cosines.amin(-1).mean(-1),
            "you added them up; average over the true directions": cosines.amax(-1).sum(-1),
            "you returned one number for each true direction; average them": cosines.amax(-1),
        }  # fmt: skip
        if k == n:
            mistakes["you compared row with row; each true direction may be found in any row"] = (
                cosines.diagonal(dim1=-2, dim2=-1).mean(-1)
            )
        if N is not None:
            mistakes["one number for each instance: keep the leading dimensions"] = cosines.amax(
                -1
            ).mean()
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
