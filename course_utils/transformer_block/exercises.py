"""Exercises of lesson 03. The right values come from torch, from plain Python arithmetic and from
complex numbers.
"""

import math
import random
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from course_utils.checking import Exercises, Wrong, draws, expect
from course_utils.checking.inputs import check_gradient, normal
from course_utils.transformer_block import block as transformer_block

EXERCISES = Exercises()


def uniform(rng: random.Random, n: int) -> Tensor:
    """A gain: neither 1 nor 0, nor the same everywhere."""
    return torch.tensor([rng.choice((-1, 1)) * rng.uniform(0.5, 2.0) for _ in range(n)])


def pulled(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """The gradient that reaches x from all values of function(x), each of another weight."""
    x = x.detach().requires_grad_()
    y = function(x * 1)
    pull = torch.linspace(-1, 1, y.numel(), dtype=y.dtype).reshape(y.shape)
    return torch.autograd.grad((y * pull).sum(), x)[0]


# --- layer_norm -----------------------------------------------------------------------------------


def norm_oracle(x: Tensor, weight: Tensor, bias: Tensor, eps: float = 1e-5) -> Tensor:
    return F.layer_norm(x, (x.size(-1),), weight, bias, eps)


def norm_mistakes(x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> dict[str, Tensor]:
    def over(dim, correction: int = 0) -> Tensor:
        return (x - x.mean(dim, keepdim=True)) / (
            x.var(dim, correction=correction, keepdim=True) + eps
        ).sqrt() * weight + bias

    mean = x.mean(-1, keepdim=True)
    var = x.var(-1, correction=0, keepdim=True)
    hat = (x - mean) / (var + eps).sqrt()
    std = x.std(-1, keepdim=True)
    return {
        "you normalised over the batch (that is BatchNorm); normalise the features of each position, dim=-1": over(0),
        "you normalised over the positions; normalise the features of each position, dim=-1": over(-2),
        "one mean and one variance for everything; each position needs its own": over(tuple(range(x.ndim))),
        "one mean and one variance for a whole sequence; each position needs its own": over((-2, -1)),
        "the variance divides by d_model - 1; LayerNorm divides by d_model (correction=0, or the mean of the squares)":
            over(-1, correction=1),
        "eps stands outside the root: it belongs to the variance, sqrt(variance + eps)":
            (x - mean) / (var.sqrt() + eps) * weight + bias,
        "x.std(…) + eps is not LayerNorm: std divides by d_model - 1, and eps belongs inside the root":
            (x - mean) / (std + eps) * weight + bias,
        "you forgot the gain and the shift": hat,
        "you forgot the gain: multiply by weight": hat + bias,
        "you forgot the shift: add bias": hat * weight,
        "you forgot to subtract the mean": x / (var + eps).sqrt() * weight + bias,
        "you forgot to subtract the mean (that is RMSNorm)":
            x / (x.square().mean(-1, keepdim=True) + eps).sqrt() * weight + bias,
        "you divided by the variance; divide by its root": (x - mean) / (var + eps) * weight + bias,
        "you only subtracted the mean; divide by the standard deviation": (x - mean) * weight + bias,
        "the shift comes last: multiply by the gain first": (hat + bias) * weight,
        "you took 1e-5 for eps, whatever was given; use the argument": norm_oracle(x, weight, bias, 1e-5),
        "you left out eps: add it to the variance, under the root": norm_oracle(x, weight, bias, 0.0),
    }  # fmt: skip


@EXERCISES.add(
    transformer_block.layer_norm,
    difficulty=1,
    minutes=8,
    hints=[
        "Each position is treated alone: one mean and one variance over its own features, which are the last dimension. Keep "
        "that dimension with keepdim=True, so that the shapes still fit.",
        "Subtract the mean first. The variance is the mean of the squares of what is left. eps joins the variance before you "
        "take the root.",
        "centred = x - x.mean(-1, keepdim=True); variance = centred.square().mean(-1, keepdim=True); divide centred by "
        "torch.sqrt(variance + eps), multiply by weight, add bias.",
    ],
    mistakes={
        "the mean and the variance lost the last dimension, so that each position gets those of others: use keepdim=True": (
            lambda x, weight, bias, eps=1e-5: (
                (x - x.mean(-1)) / (x.var(-1, correction=0) + eps).sqrt() * weight + bias
            )
        )
    },
)
def check_layer_norm(student: Callable, rng: random.Random) -> None:
    for shape in ((4, 4), (2, 3, 6), (5, 4), (3, 3, 3), (7,)):
        d = shape[-1]
        for eps, scale in ((1e-5, 3.0), (rng.uniform(0.1, 0.5), 0.7)):
            x = normal(rng, *shape) * scale + rng.uniform(1.0, 3.0)
            weight = uniform(rng, d)
            bias = uniform(rng, d)
            mistakes = norm_mistakes(x, weight, bias, eps) if x.ndim > 1 else {}
            expect(
                student(x, weight, bias, eps=eps),
                norm_oracle(x, weight, bias, eps),
                f"layer_norm(x, weight, bias, eps={eps:.3g}) with x of shape {shape}",
                mistakes=mistakes,
            )
    weight = uniform(rng, 6)
    bias = uniform(rng, 6)
    x = normal(rng, 2, 6)
    expect(
        student(x, weight, bias),
        norm_oracle(x, weight, bias),
        "layer_norm(x, weight, bias) with the default eps=1e-5",
    )
    x = torch.full((2, 6), rng.uniform(1.0, 5.0))
    expect(
        student(x, weight, bias),
        bias.expand(2, 6),
        "layer_norm(x, weight, bias) where all features of x are the same, so "
        "that only eps keeps the root from 0",
        tol=1e-3,
    )
    _check_far_from_zero(student, rng, weight, bias)
    x, weight, bias = (t.double() for t in (normal(rng, 2, 6), weight, bias))
    expect(
        student(x, weight, bias),
        norm_oracle(x, weight, bias),
        "layer_norm in torch.float64",
        tol=1e-10,
    )
    _check_norm_gradients(student, rng, x, weight, bias)


def _check_far_from_zero(
    student: Callable, rng: random.Random, weight: Tensor, bias: Tensor
) -> None:
    """Small differences around a large number."""
    x = normal(rng, 3, 6) + 5000.0
    got = student(x, weight, bias)
    want = norm_oracle(x.double(), weight.double(), bias.double()).float()
    if (
        isinstance(got, Tensor)
        and got.shape == want.shape
        and not torch.allclose(got, want, atol=0.01)
    ):
        raise Wrong(
            "layer_norm(x, weight, bias) where x is 5000 plus small differences: they got lost. mean(x²) - mean(x)², "
            "for example, is the difference of two huge numbers; the mean of (x - mean)² keeps the small ones."
        )
    expect(
        got, want, "layer_norm(x, weight, bias) where x is 5000 plus small differences", tol=0.01
    )


def _check_norm_gradients(
    student: Callable, rng: random.Random, x: Tensor, weight: Tensor, bias: Tensor
) -> None:
    """The gradients that reach x and the gain, in float64."""
    check_gradient(
        lambda x: student(x, weight, bias),
        lambda x: norm_oracle(x, weight, bias),
        x,
        "layer_norm(x, weight, bias) with respect to x",
    )

    def with_constants(x: Tensor) -> Tensor:
        mean = x.detach().mean(-1, keepdim=True)
        var = x.detach().var(-1, correction=0, keepdim=True)
        return (x - mean) / (var + 1e-5).sqrt() * weight + bias

    expect(
        pulled(lambda x: student(x, weight, bias), x),
        pulled(lambda x: norm_oracle(x, weight, bias), x),
        "the gradient of layer_norm(x, weight, bias) with respect to x",
        mistakes={
            "it takes the mean and the variance for constants; they depend on x, so no .detach()": pulled(
                with_constants, x
            )
        },
    )
    x = normal(rng, 2, 6, dtype=torch.float64)
    check_gradient(
        lambda w: student(x, w, bias),
        lambda w: norm_oracle(x, w, bias),
        weight,
        "layer_norm(x, weight, bias) with respect to weight",
    )


# --- frozen_layer_norm ----------------------------------------------------------------------------


def frozen_oracle(writes: Tensor, weight: Tensor, eps: float = 1e-5) -> Tensor:
    total = writes.sum(0)
    scale = weight / (total.var(-1, correction=0, keepdim=True) + eps).sqrt()
    return torch.stack([(write - write.mean(-1, keepdim=True)) * scale for write in writes])


@EXERCISES.add(
    transformer_block.frozen_layer_norm,
    difficulty=2,
    minutes=10,
    gradients=False,  # a measurement of what each part writes
    hints=[
        "LayerNorm does three things: it subtracts the mean, divides by the standard deviation and multiplies by the gain. The "
        "mean of a sum is the sum of the means. Which of the three cannot be shared out?",
        "The standard deviation: compute it once, of writes.sum(0). Everything else is done to each write by itself, over its "
        "features.",
        "variance = writes.sum(0).var(-1, correction=0, keepdim=True); then (writes - writes.mean(-1, keepdim=True)) divided by "
        "torch.sqrt(variance + eps), times weight.",
    ],
)
def check_frozen_layer_norm(student: Callable, rng: random.Random) -> None:
    for shape in ((3, 5), (4, 2, 6), (5, 2, 3, 4), (4, 4, 4), (1, 2, 5), (2, 2)):
        N = shape[0]
        d = shape[-1]
        for eps in (1e-5, rng.uniform(0.1, 0.5)):
            writes = (
                normal(rng, *shape) * torch.linspace(0.5, 2, N).reshape(-1, *[1] * (len(shape) - 1))
                + 1.0
            )
            weight = uniform(rng, d)
            total = writes.sum(0)
            centred = writes - writes.mean(-1, keepdim=True)
            var = total.var(-1, correction=0, keepdim=True)
            want = frozen_oracle(writes, weight, eps)
            mistakes = {
                "each write was divided by its own standard deviation; all share the one of the sum":
                    F.layer_norm(writes, (d,), weight, None, eps),
                "the writes are not centred: subtract from each write its own mean": writes / (var + eps).sqrt() * weight,
                "you subtracted the mean of the sum from each write; each has a mean of its own":
                    (writes - total.mean(-1, keepdim=True)) / (var + eps).sqrt() * weight,
                "the parts add up, but the mean of the sum was shared out equally; each write has a mean of its own":
                    (writes - total.mean(-1, keepdim=True) / N) / (var + eps).sqrt() * weight,
                "you added up the variances of the writes; take the variance of their sum":
                    centred / (writes.var(-1, correction=0, keepdim=True).sum(0) + eps).sqrt() * weight,
                "the scale is that of the mean of the writes; take their sum":
                    centred / (writes.mean(0).var(-1, correction=0, keepdim=True) + eps).sqrt() * weight,
                "the variance divides by d_model - 1; LayerNorm divides by d_model":
                    centred / (total.var(-1, keepdim=True) + eps).sqrt() * weight,
                "the scale is that of the last write; take the variance of the sum of all writes":
                    centred / (writes[-1].var(-1, correction=0, keepdim=True) + eps).sqrt() * weight,
                "you subtracted the mean over the writes, dim=0; subtract from each write the mean of its own features, dim=-1":
                    (writes - writes.mean(0)) / (var + eps).sqrt() * weight,
                "you forgot the gain: multiply by weight": centred / (var + eps).sqrt(),
                "eps stands outside the root: it belongs to the variance, sqrt(variance + eps)": centred / (var.sqrt() + eps) * weight,
                "you took 1e-5 for eps, whatever was given; use the argument": frozen_oracle(writes, weight),
                "you divided by the variance; divide by its root": centred / (var + eps) * weight,
                "you returned the LayerNorm of the sum; return the part of each write": want.sum(0),
            }  # fmt: skip
            call = f"frozen_layer_norm(writes, weight, eps={eps:.3g}) with writes of shape {shape}"
            expect(student(writes, weight, eps=eps), want, call, mistakes=mistakes)
    writes = normal(rng, 3, 2, 4, dtype=torch.float64)
    weight = uniform(rng, 4).double()
    expect(
        student(writes, weight),
        frozen_oracle(writes, weight),
        "frozen_layer_norm in torch.float64",
        tol=1e-10,
    )


# --- gelu_tanh ------------------------------------------------------------------------------------


@EXERCISES.add(
    transformer_block.gelu_tanh,
    difficulty=1,
    minutes=4,
    hints=[
        "Read the formula from the inside: first x + 0.044715 x³, then the factor √(2/π), then tanh, then + 1, then x/2.",
        "math.sqrt(2 / math.pi) is the factor; torch.tanh takes tensors; x**3 is element by element.",
        "0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (…))): the bracket holds x and the cubic term.",
    ],
)
def check_gelu_tanh(student: Callable, rng: random.Random) -> None:
    inner = math.sqrt(2 / math.pi)
    for x in (torch.linspace(-3, 3, 7) + rng.uniform(-0.2, 0.2), normal(rng, 2, 3, 4) * 2):
        cube = x + 0.044715 * x**3
        expect(student(x), F.gelu(x, approximate="tanh"), f"gelu_tanh(x) with x of shape {tuple(x.shape)}", tol=2e-6, mistakes={
            "that is the exact GELU; this exercise asks for the tanh form": F.gelu(x),
            "that is ReLU": F.relu(x),
            "that is the sigmoid form x · sigmoid(1.702 x)": x * torch.sigmoid(1.702 * x),
            "that is SiLU, x · sigmoid(x)": F.silu(x),
            "you forgot the root: the factor inside is sqrt(2 / π)": 0.5 * x * (1 + torch.tanh(2 / math.pi * cube)),
            "the factor is sqrt(2 / π), not sqrt(2) / π": 0.5 * x * (1 + torch.tanh(math.sqrt(2) / math.pi * cube)),
            "the factor is sqrt(2 / π), not sqrt(2 · π)": 0.5 * x * (1 + torch.tanh(math.sqrt(2 * math.pi) * cube)),
            "you forgot the 1 inside the bracket": 0.5 * x * torch.tanh(inner * cube),
            "you forgot the factor 0.5": x * (1 + torch.tanh(inner * cube)),
            "you forgot the factor x in front": 0.5 * (1 + torch.tanh(inner * cube)),
            "you forgot the cubic term": 0.5 * x * (1 + torch.tanh(inner * x)),
            "the last term is x³, not x²": 0.5 * x * (1 + torch.tanh(inner * (x + 0.044715 * x**2))),
            "0.044715 multiplies x³ only": 0.5 * x * (1 + torch.tanh(inner * 0.044715 * (x + x**3))),
            "sqrt(2 / π) multiplies x and x³": 0.5 * x * (1 + torch.tanh(inner * x + 0.044715 * x**3)),
            "the constant is 0.044715; yours is 0.44715": 0.5 * x * (1 + torch.tanh(inner * (x + 0.44715 * x**3))),
            "the constant is 0.044715; yours is 0.0447": 0.5 * x * (1 + torch.tanh(inner * (x + 0.0447 * x**3))),
        })  # fmt: skip
    x = torch.tensor([-1e4, -200.0, -20.0, 20.0, 200.0, 1e4])
    got = student(x)
    if isinstance(got, Tensor) and not torch.isfinite(got).all():
        raise Wrong(
            "gelu_tanh(x) with large x: there is nan or inf in the result. A tanh made of exponentials overflows: use "
            "torch.tanh."
        )
    expect(got, torch.tensor([0.0, 0.0, 0.0, 20.0, 200.0, 1e4]), "gelu_tanh(x) with large x")
    x = normal(rng, 5, dtype=torch.float64)
    expect(
        student(x), F.gelu(x, approximate="tanh"), "gelu_tanh(x) with x in torch.float64", tol=1e-10
    )
    check_gradient(student, lambda x: F.gelu(x, approximate="tanh"), x, "gelu_tanh(x)")


# --- dropout --------------------------------------------------------------------------------------


@EXERCISES.add(
    transformer_block.dropout,
    difficulty=2,
    minutes=8,
    hints=[
        "Three cases come before any dice: a p that is no share raises a ValueError; in evaluation x comes back; so it does for "
        "p = 0.",
        "One random number between 0 and 1 for each number of x: where is it at least p? Those are kept. On average 1 - p of the "
        "sum is left: what must the kept ones be divided by?",
        "keep = torch.rand(x.shape, device=x.device) >= p; then x * keep / (1 - p).",
    ],
    refuses=[(torch.ones(3), -0.1), (torch.ones(3), 1.0), (torch.ones(3), 1.5)],
)
def check_dropout(student: Callable, rng: random.Random) -> None:
    with torch.random.fork_rng(devices=[]):  # the student's draws are the same at every check
        torch.manual_seed(rng.randrange(2**31))
        for p in (0.2, rng.uniform(0.55, 0.8)):
            check_dropout_training(student, rng, p)
        x = normal(rng, 6, 8)
        call = "dropout(x, p=0.4, training=False)"
        got = student(x, 0.4, training=False)
        if isinstance(got, Tensor) and (got == 0).any():
            raise Wrong(f"{call}: numbers were set to 0. In evaluation nothing is dropped.")
        expect(got, x, call, mistakes={
            NOT_SCALED: x,
            FIRST_PAPER: x * 0.6,
            SHRUNK_AGAIN: x * 0.6,
            GROWN_AGAIN: x / 0.6,
        })  # fmt: skip
        expect(student(x, 0.0), x, "dropout(x, p=0.0)")


# what the usual slips make of both, training and evaluation
NOT_SCALED = "the kept numbers must grow by 1 / (1 - p) in training, so that the mean stays as it is in evaluation"
FIRST_PAPER = "you multiply by 1 - p in evaluation; divide by it in training instead, and leave x as it is in evaluation"
SHRUNK_AGAIN = "you divide by 1 - p in training, so do not multiply by it in evaluation: there x comes back as it is"
GROWN_AGAIN = "you divide by 1 - p in evaluation, too; there x comes back as it is"


def _judge_dropped(dropped: Tensor, p: float, call: str) -> None:
    """Each number of a (B, T, d_model) tensor is dropped by itself, with the probability p."""
    n = dropped.numel()
    count = int(dropped.sum())
    if count == 0:
        raise Wrong(f"{call}: nothing was set to 0, although training is True by default.")
    for dim, name in enumerate(("sequence", "position", "feature")):
        if (dropped == dropped.select(dim, 0).unsqueeze(dim)).all():
            raise Wrong(
                f"{call}: each {name} lost the same places; draw one random number for each number of x, torch.rand(x.shape)."
            )
    said = f"{call}: {count / n:.0%} of the numbers were set to 0; "
    draws.must_have_share(
        count,
        n,
        p,
        f"{said}the share of zeros should be p.",
        {f"{said}p is the share to drop, not to keep.": 1 - p},
    )
    names = ("sequence", "position", "feature")
    draws.must_be_independent(dropped, p, call, names)
    for dim, name in enumerate(names):
        draws.must_not_agree(
            *draws.pairs(dropped.movedim(dim, 0)),
            draws.agreement([p, 1 - p]),
            f"{call}: neighbours along the {name}s go together, or against each other. Throw a die of its own for each number.",
        )


def check_dropout_training(student: Callable, rng: random.Random, p: float) -> None:
    call = f"dropout(x, p={p:.2f})"
    # not a leaf: the student's function gets this very tensor
    x = normal(rng, 30, 20, 40).requires_grad_() * 1
    y = student(x, p)
    again = student(x, p)
    for answer in (y, again):
        if not isinstance(answer, Tensor) or (answer.shape, answer.dtype) != (x.shape, x.dtype):
            expect(answer, x, call)
    dropped = y == 0
    _judge_dropped(dropped, p, call)
    share = dropped.float().mean().item()
    if torch.equal(dropped, again == 0):
        raise Wrong(
            f"{call}: two calls dropped the same numbers. Draw anew each time, and set no seed inside."
        )
    kept = x.detach()[~dropped]
    expect(y.detach()[~dropped], kept / (1 - p), f"{call}, the numbers that were kept", mistakes={
        NOT_SCALED: kept,
        FIRST_PAPER: kept,
        SHRUNK_AGAIN: kept / (1 - p),
        GROWN_AGAIN: kept / (1 - p),
        "you multiplied by 1 - p; divide by it": kept * (1 - p),
        "you divided by p; divide by the share that is kept, 1 - p": kept / p,
        "you divided by the share that happened to be kept; divide by 1 - p": kept / (1 - share),
    })  # fmt: skip
    if not y.requires_grad:
        raise Wrong(
            f"{call}: no gradient flows back. Stay with tensors: no .detach(), .data or numpy on the way."
        )
    (gradient,) = torch.autograd.grad(y.sum(), x, allow_unused=True)
    expect(gradient, (~dropped) / (1 - p), f"the gradient of {call}")
    x = normal(rng, 40, 50)
    many = torch.stack([student(x, p) == 0 for _ in range(12)])
    draws.must_have_share(
        int(many.sum()), many.numel(), p, f"{call}: the share of zeros should be p, on average."
    )
    draws.must_be_independent(many, p, call, ("call", "position", "feature"))
    x = normal(rng, 50, dtype=torch.float64)
    if (got := student(x, p)).dtype != x.dtype:
        raise Wrong(f"{call} with x in torch.float64: the result has dtype {got.dtype}.")


# --- sinusoidal_positions -------------------------------------------------------------------------


def table(
    T: int,
    d: int,
    base: float = 10_000.0,
    first: int = 0,
    exponent: Callable = lambda i, d: 2 * i / d,
) -> Tensor:
    """(T, d / 2, 2): the sine and the cosine of each rate, number by number."""
    angles = [[(t + first) / base ** exponent(i, d) for i in range(d // 2)] for t in range(T)]
    return torch.tensor([[(math.sin(a), math.cos(a)) for a in row] for row in angles])


def _position_mistakes(T: int, d: int, base: float) -> dict[str, Tensor]:
    """What the usual slips make of the table."""
    right = table(T, d, base)
    want = right.flatten(1)
    return {
        "all sines come first, then all cosines; they take turns: even features sines, odd ones cosines":
            right.mT.flatten(1),
        "sines and cosines are swapped: even features are sines": right.flip(-1).flatten(1),
        "the exponent is 2i / d_model for the i-th pair; yours is i / d_model":
            table(T, d, base, exponent=lambda i, d: i / d).flatten(1),
        "the exponent is 2i / d_model for the i-th pair; yours is 4i / d_model":
            table(T, d, base, exponent=lambda i, d: 4 * i / d).flatten(1),
        "the exponent is 2i / d_model; yours reaches 1 at the last pair":
            table(T, d, base, exponent=lambda i, d: i / max(d // 2 - 1, 1)).flatten(1),
        "the exponent differs between the sine and the cosine of a pair; a pair has one rate": torch.tensor(
            [[(math.cos if j % 2 else math.sin)(t / base ** (j / d)) for j in range(d)] for t in range(T)]),
        "the rates grow instead of falling: the exponent has a minus":
            table(T, d, base, exponent=lambda i, d: -2 * i / d).flatten(1),
        "the first position is 0, not 1": table(T, d, base, first=1).flatten(1),
        "you took 10000 for base, whatever was given; use the argument": table(T, d).flatten(1),
        "rows are positions, columns are features: yours are the other way round": want.mT,
        "you forgot the wavelengths: each pair has a rate of its own": table(T, d, 1.0).flatten(1),
    }  # fmt: skip


@EXERCISES.add(
    transformer_block.sinusoidal_positions,
    difficulty=2,
    minutes=10,
    hints=[
        "There are d_model / 2 rates, one for each pair of features. Rate i is base to the power of -2i / d_model: the first is 1 "
        "radian a position, the last is close to 1 / base.",
        "All angles at once: torch.outer of the positions 0 … T-1 and the rates is (T, d_model / 2). Sines go to the features 0, "
        "2, 4 …, cosines to 1, 3, 5 ….",
        "torch.arange(0, d_model, 2) / d_model is the exponent without its minus. torch.stack([sin, cos], dim=-1).flatten(-2) "
        "lets them take turns. An odd d_model raises a ValueError.",
    ],
    refuses=[(4, 3)],
)
def check_sinusoidal_positions(student: Callable, rng: random.Random) -> None:
    for T, d in ((rng.randrange(9, 14), 8), (6, 6), (5, 2), (1, 4), (3, 10)):
        for base in (None, rng.uniform(20.0, 500.0)):
            b = 10_000.0 if base is None else base
            want = table(T, d, b).flatten(1)
            mistakes = _position_mistakes(T, d, b)
            mistakes["without an argument base is 10000; yours is 1000"] = (
                table(T, d, 1_000.0).flatten(1) if base is None else want
            )
            call = f"sinusoidal_positions(T={T}, d_model={d}{'' if base is None else f', base={base:.4g}'})"
            got = student(T, d) if base is None else student(T, d, base=base)
            if isinstance(got, Tensor) and got.dtype == torch.float64:
                raise Wrong(
                    f"{call}: the table is float64, which no model uses: finish with .float()."
                )
            expect(got, want, call, mistakes=mistakes, tol=2e-5)
    expect(
        student(3000, 4)[-3:],
        table(3000, 4).flatten(1)[-3:],
        "the last rows of sinusoidal_positions(T=3000, d_model=4)",
        tol=1e-3,
    )


# --- pre_norm_block -------------------------------------------------------------------------------


class Part:
    """A part of a block, which knows its name and counts its calls."""

    def __init__(self, name: str, function: Callable[[Tensor], Tensor]) -> None:
        self.name = name
        self.function = function
        self.calls = 0

    def __call__(self, z: Tensor) -> Tensor:
        self.calls += 1
        return self.function(z)

    def __repr__(self) -> str:
        return self.name

    def __deepcopy__(self, memo: dict) -> "Part":
        return self  # the engine copies arguments; the count must stay in one place


def _four_functions(rng: random.Random, T: int, d: int) -> tuple[Callable[[Tensor], Tensor], ...]:
    """Attention, an MLP and two norms, all of them with random weights."""
    w_a, w_m = (normal(rng, d, d, dtype=torch.float64) for _ in range(2))
    g_1, g_2 = (uniform(rng, d).double() for _ in range(2))
    mix = (
        torch.ones(T, T, dtype=torch.float64).tril()
        / torch.arange(1, T + 1, dtype=torch.float64)[:, None]
    )

    def attention(z: Tensor) -> Tensor:
        return mix @ torch.tanh(z @ w_a)

    def mlp(z: Tensor) -> Tensor:
        return torch.sin(z @ w_m)

    def first_norm(z: Tensor) -> Tensor:
        return F.layer_norm(z, (d,), g_1)

    def second_norm(z: Tensor) -> Tensor:
        return F.layer_norm(z, (d,), g_2) + 0.1

    return attention, mlp, first_norm, second_norm


def _block_oracle(x: Tensor, a: Callable, m: Callable, n1: Callable, n2: Callable) -> Tensor:
    """The block from its attention a, its MLP m and its norms n1 and n2."""
    middle = x + a(n1(x))
    return middle + m(n2(middle))


def _block_mistakes(
    x: Tensor, a: Callable, m: Callable, n1: Callable, n2: Callable
) -> dict[str, Tensor]:
    """What the usual slips make of x, with attention a, MLP m and norms n1 and n2."""
    middle = x + a(n1(x))
    want = _block_oracle(x, a, m, n1, n2)
    first_mlp = x + m(n2(x))
    post = n1(x + a(x))
    seen_by_mlp = n1(x) + a(n1(x))
    return {
            "that is post-norm, which normalises after the sum; GPT-2 normalises what a part reads": n2(post + m(post)),
            "that is the parallel post-norm formula; here the MLP comes after the attention": n1(x + a(x) + m(x)),
            "the MLP did not see what the attention wrote: update x first": x + a(n1(x)) + m(n2(x)),
            "the residual is missing at both parts: add what a part says to x": m(n2(a(n1(x)))),
            "the residual is missing at the attention": a(n1(x)) + m(n2(a(n1(x)))),
            "the residual is missing at the MLP": m(n2(middle)),
            "the residual was added twice at the MLP": 2 * middle + m(n2(middle)),
            "the residual was added twice at the attention": (twice := 2 * x + a(n1(x))) + m(n2(twice)),
            "the second residual is the old x: add the MLP's answer to the stream that holds the attention's": x + m(n2(middle)),
            "x was added once more at the end; it is in the stream already": x + want,
            "the residual is the normalised copy; add to x itself, before LayerNorm": (
                n2(seen_by_mlp) + m(n2(seen_by_mlp))),
            "the residual of the attention is the normalised copy; add to x itself": seen_by_mlp + m(n2(seen_by_mlp)),
            "ln_1 and ln_2 are swapped": (swapped := x + a(n2(x))) + m(n1(swapped)),
            "ln_1 was used twice; the MLP has ln_2": middle + m(n1(middle)),
            "the MLP comes second: attention first": first_mlp + a(n1(first_mlp)),
            "attn and mlp read x without LayerNorm": (raw := x + a(x)) + m(raw),
            "the MLP reads the stream without ln_2": middle + m(middle),
            "the attention reads the stream without ln_1": (raw := x + a(x)) + m(n2(raw)),
            "you normalised the answers; normalise what a part reads": (late := x + n1(a(x))) + n2(m(late)),
            "a pre-norm block ends with the sum; the last LayerNorm of the model comes after all blocks": n2(want),
    }  # fmt: skip


@EXERCISES.add(
    transformer_block.pre_norm_block,
    difficulty=1,
    minutes=5,
    hints=[
        "The stream x is never normalised itself. A part gets a normalised copy, and what it says is added to x.",
        "Two lines of the same form: first with ln_1 and attn, then with ln_2 and mlp. The second line starts from the x that "
        "the first one made.",
        "x = x + attn(ln_1(x)); the second line is the same with the other two parts; then return x.",
    ],
)
def check_pre_norm_block(student: Callable, rng: random.Random) -> None:
    for shape in ((2, 4, 6), (1, 3, 4)):
        _check_block(student, rng, shape)


def _check_block(student: Callable, rng: random.Random, shape: tuple[int, int, int]) -> None:
    """One block with parts of its own: its values, the calls of its parts, and the gradient."""
    x = normal(rng, *shape, dtype=torch.float64) + 0.5
    functions = _four_functions(rng, *shape[1:])
    names = ("attn", "mlp", "ln_1", "ln_2")
    parts = [Part(name, function) for name, function in zip(names, functions, strict=True)]
    want = _block_oracle(x, *functions)
    mistakes = _block_mistakes(x, *functions)
    call = f"pre_norm_block(x, attn, mlp, ln_1, ln_2) with x of shape {shape}"
    expect(student(x, *parts), want, call, mistakes=mistakes, tol=1e-9)
    for part in parts:
        if part.calls != 1:
            raise Wrong(
                f"{call}: the values are right, but {part} was called {part.calls} times. Keep its answer: the work "
                "is dear, and with dropout two calls give two different answers."
            )
    check_gradient(
        lambda x: student(x, *parts),
        lambda x: _block_oracle(x, *functions),
        x.clone(),
        call,
    )
    a, m, n1, n2 = functions
    cut = pulled(lambda x: (h := x.detach() + a(n1(x))) + m(n2(h)), x)
    expect(
        pulled(lambda x: student(x, *parts), x),
        pulled(lambda x: _block_oracle(x, *functions), x),
        f"the gradient of {call}",
        mistakes={"it does not flow through x itself: add to x, not to x.detach()": cut},
    )
