"""Exercises of lesson 03. The right values come from torch and from plain Python arithmetic."""

import math
import random
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from course_utils.checking import Exercises, Wrong, expect
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


# --- feed_forward ---------------------------------------------------------------------------------


def _feed_forward_oracle(
    x: Tensor, w_in: Tensor, b_in: Tensor, w_out: Tensor, b_out: Tensor, activation: Callable
) -> Tensor:
    return F.linear(activation(F.linear(x, w_in, b_in)), w_out, b_out)


FEED_FORWARD_MISTAKES = {
    "the activation is missing: without it two linear maps are one": (
        lambda x, w_in, b_in, w_out, b_out, activation: F.linear(F.linear(x, w_in, b_in), w_out, b_out)
    ),
    "the activation came twice; it stands between the two maps, and not behind the second": (
        lambda x, w_in, b_in, w_out, b_out, activation: activation(
            _feed_forward_oracle(x, w_in, b_in, w_out, b_out, activation)
        )
    ),
    "the activation stands behind the second map; it belongs between the two": (
        lambda x, w_in, b_in, w_out, b_out, activation: activation(
            F.linear(F.linear(x, w_in, b_in), w_out, b_out)
        )
    ),
    "the activation bent x; it bends what comes out of the first map": (
        lambda x, w_in, b_in, w_out, b_out, activation: F.linear(
            F.linear(activation(x), w_in, b_in), w_out, b_out
        )
    ),
    "you forgot b_in: add it before the activation": (
        lambda x, w_in, b_in, w_out, b_out, activation: F.linear(
            activation(F.linear(x, w_in)), w_out, b_out
        )
    ),
    "b_in comes before the activation, and not behind it": (
        lambda x, w_in, b_in, w_out, b_out, activation: F.linear(
            activation(F.linear(x, w_in)) + b_in, w_out, b_out
        )
    ),
    "you forgot b_out": (
        lambda x, w_in, b_in, w_out, b_out, activation: F.linear(
            activation(F.linear(x, w_in, b_in)), w_out
        )
    ),
    "you forgot both biases": (
        lambda x, w_in, b_in, w_out, b_out, activation: F.linear(activation(F.linear(x, w_in)), w_out)
    ),
    "x was added: the sum is the block's, and comes later": (
        lambda x, w_in, b_in, w_out, b_out, activation: x
        + _feed_forward_oracle(x, w_in, b_in, w_out, b_out, activation)
    ),
    "you took ReLU, whatever was given; call activation": (
        lambda x, w_in, b_in, w_out, b_out, activation: _feed_forward_oracle(
            x, w_in, b_in, w_out, b_out, F.relu
        )
    ),
    "you took GELU, whatever was given; call activation": (
        lambda x, w_in, b_in, w_out, b_out, activation: _feed_forward_oracle(
            x, w_in, b_in, w_out, b_out, F.gelu
        )
    ),
    "the matrices are (out, in), as nn.Linear keeps them: multiply by their transposes": (
        lambda x, w_in, b_in, w_out, b_out, activation: activation(x @ w_in + b_in) @ w_out + b_out
    ),
}  # fmt: skip


def bent(z: Tensor) -> Tensor:
    """An activation that no library has: nobody can have written it down beforehand."""
    return torch.sin(2 * z) + 0.3 * z.abs()


@EXERCISES.add(
    transformer_block.feed_forward,
    difficulty=1,
    minutes=6,
    hints=[
        "Three steps for each position: a linear map to d_inner features, the activation, a linear map back. Each map has a "
        "matrix and a bias.",
        "The features are the last dimension, and a matrix is (out, in): which way round does it have to lie, so that x @ … "
        "gives d_inner numbers?",
        "inner = activation(x @ w_in.mT + b_in); then the same with w_out and b_out, without an activation.",
    ],
    mistakes=FEED_FORWARD_MISTAKES,
)
def check_feed_forward(student: Callable, rng: random.Random) -> None:
    for shape, inner in (((3, 4), 4), ((2, 3, 4), 16), ((5,), 7), ((2, 2, 3, 6), 24)):
        d = shape[-1]
        x = normal(rng, *shape, dtype=torch.float64)
        given = [
            normal(rng, *size, dtype=torch.float64)
            for size in ((inner, d), (inner,), (d, inner), (d,))
        ]
        call = f"feed_forward(x, w_in, b_in, w_out, b_out, activation) with x of shape {shape} and d_inner={inner}"
        expect(student(x, *given, bent), _feed_forward_oracle(x, *given, bent), call, tol=1e-9)
        for n, name in enumerate(("x", "w_in", "b_in", "w_out", "b_out")):
            tensors = [x, *given]

            def with_other(function: Callable, t: Tensor, n: int = n, tensors: list = tensors):
                return function(*tensors[:n], t, *tensors[n + 1 :], bent)

            check_gradient(
                lambda t, f=with_other: f(student, t),
                lambda t, f=with_other: f(_feed_forward_oracle, t),
                tensors[n],
                f"{call} with respect to {name}",
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


# --- what lesson 11 compares rotary positions with -------------------------------------------------


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
        _check_block(student, rng, shape, "pre_norm_block", _block_oracle, _block_mistakes)


def _check_block(
    student: Callable,
    rng: random.Random,
    shape: tuple[int, int, int],
    name: str,
    oracle: Callable,
    slips: Callable,
) -> None:
    """One block with parts of its own: its values, the calls of its parts, and the gradient."""
    x = normal(rng, *shape, dtype=torch.float64) + 0.5
    functions = _four_functions(rng, *shape[1:])
    names = ("attn", "mlp", "ln_1", "ln_2")
    parts = [Part(part, function) for part, function in zip(names, functions, strict=True)]
    call = f"{name}(x, attn, mlp, ln_1, ln_2) with x of shape {shape}"
    expect(student(x, *parts), oracle(x, *functions), call, mistakes=slips(x, *functions), tol=1e-9)
    for part in parts:
        if part.calls != 1:
            raise Wrong(
                f"{call}: the values are right, but {part} was called {part.calls} times. Keep its answer: the work "
                "is dear, and with dropout two calls give two different answers."
            )
    check_gradient(lambda x: student(x, *parts), lambda x: oracle(x, *functions), x.clone(), call)

    def cut(x: Tensor) -> Tensor:
        """The values of the block, without the gradient through the sum itself."""
        y = oracle(x, *functions)
        return y - x + x.detach()

    expect(
        pulled(lambda x: student(x, *parts), x),
        pulled(lambda x: oracle(x, *functions), x),
        f"the gradient of {call}",
        mistakes={
            "it does not flow through x itself: add to x, not to x.detach()": (
                pulled(
                    lambda x: (
                        (h := x.detach() + functions[0](functions[2](x)))
                        + functions[1](functions[3](h))
                    ),
                    x,
                )
                if oracle is _block_oracle
                else pulled(cut, x)
            )
        },
    )


# --- deaf_block -----------------------------------------------------------------------------------


def _deaf_oracle(x: Tensor, a: Callable, m: Callable, n1: Callable, n2: Callable) -> Tensor:
    """What the attention a and the MLP m write, each from x alone, on top of x."""
    return torch.stack([x, a(n1(x)), m(n2(x))]).sum(0)


def _deaf_mistakes(
    x: Tensor, a: Callable, m: Callable, n1: Callable, n2: Callable
) -> dict[str, Tensor]:
    """What the usual slips make of x, with attention a, MLP m and norms n1 and n2."""
    middle = x + a(n1(x))
    return {
        "that is the block as it was: its MLP still reads what the attention wrote": _block_oracle(x, a, m, n1, n2),
        "what the attention wrote is hidden from everything behind the block, too": x + m(n2(x)),
        "the attention is hidden from all but the MLP; it is the other way round": x + m(n2(middle)),
        "the MLP is gone: it still reads x and writes": middle,
        "the sum with x is missing": a(n1(x)) + m(n2(x)),
        "x was added twice": 2 * x + a(n1(x)) + m(n2(x)),
        "that is the parallel post-norm formula; the stream itself is not normalised": n1(x + a(x) + m(x)),
        "ln_1 and ln_2 are swapped": x + a(n2(x)) + m(n1(x)),
        "ln_1 was used twice; the MLP has ln_2": x + a(n1(x)) + m(n1(x)),
        "attn and mlp read x without LayerNorm": x + a(x) + m(x),
        "the MLP reads x without ln_2": x + a(n1(x)) + m(x),
        "the MLP hears nothing but the attention; it reads x": middle + m(n2(a(n1(x)))),
        "now the attention does not hear x but the MLP; it reads x, as before": (first := x + m(n2(x))) + a(n1(first)),
    }  # fmt: skip


@EXERCISES.add(
    transformer_block.deaf_block,
    difficulty=2,
    minutes=6,
    hints=[
        "What does the MLP of a block read, and which term of that sum came from the attention? Take only this term away, and "
        "only there.",
        "Both parts read the same x, the stream that came in. What leaves the block is still a sum of three.",
        "x + attn(ln_1(x)) + mlp(ln_2(x))",
    ],
)
def check_deaf_block(student: Callable, rng: random.Random) -> None:
    for shape in ((2, 4, 6), (1, 3, 4)):
        _check_block(student, rng, shape, "deaf_block", _deaf_oracle, _deaf_mistakes)
