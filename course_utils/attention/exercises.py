"""Exercises of lesson 02. The right values come from torch's own softmax and
scaled_dot_product_attention.
"""

import math
import random
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from course_utils.attention import heads as attention
from course_utils.checking import Exercises, Wrong, expect, kind_of
from course_utils.checking.inputs import check_gradient, distinct, normal

EXERCISES = Exercises()


INF = float("inf")


def check_double(got: Tensor, want: Tensor, call: str) -> None:
    """float64 in, float64 out, with all of its digits."""
    same_kind = isinstance(got, Tensor) and (got.dtype, got.shape) == (want.dtype, want.shape)
    if (
        same_kind
        and torch.allclose(got, want, atol=1e-5)
        and not torch.allclose(got, want, rtol=1e-10, atol=1e-10)
    ):
        if torch.equal(got.float().double(), got):
            raise Wrong(
                f"{call}: half of the digits are lost, as if you had computed in float32. Stay in the dtype of the input"
            )
        raise Wrong(
            f"{call}: only the first half of the digits is right. Do every step in the dtype of the input, and add "
            "no small number, such as 1e-6, that changes the result"
        )
    expect(got, want, call, tol=1e-10)


def always_float32(function: Callable) -> Callable:
    """The function that gives float32, whatever comes in."""

    def cast(*args: Tensor, **kwargs: float) -> Tensor:
        floats = (x.float() if isinstance(x, Tensor) and x.dtype != torch.bool else x for x in args)
        return function(*floats, **kwargs)

    return cast


FLOAT32 = "you always return float32; stay in the dtype of the input"
NO_TENSOR = "that is a list; return a tensor"


# --- softmax --------------------------------------------------------------------------------------


@EXERCISES.add(
    attention.softmax,
    difficulty=1,
    minutes=8,
    hints=[
        "Three steps: divide the scores by the temperature, take exp(), divide by the sum along `dim`.",
        "exp(1000) is inf. softmax does not change when you subtract one number from a whole row: which number makes every "
        "exponent 0 or less? Take it per row, with keepdim=True, so that the shapes still fit.",
        "z = x / temperature; e = torch.exp(z - z.amax(dim, keepdim=True)); and then e divided by its own sum along `dim`, "
        "again with keepdim=True.",
    ],
    refuses=[
        (torch.tensor([1, 2]),),
        (torch.ones(2), -1, 0.0),
        (torch.ones(2), -1, -0.25),
        (torch.tensor([0.0, torch.inf]),),
        (torch.tensor([[0.0, 1.0], [-torch.inf, -torch.inf]]),),
        (torch.tensor([[0.0, -torch.inf], [1.0, -torch.inf]]), 0),
    ],
    mistakes={
        "you divided the scores by the square root of the temperature; divide them by it": (
            lambda x, dim=-1, temperature=1.0: attention.softmax(x, dim, temperature**0.5)
        ),
        "you divided by the Euclidean norm of the exponentials; divide by their sum": (
            lambda x, dim=-1, temperature=1.0: F.normalize(
                attention.softmax(x, dim, temperature), dim=dim
            )
        ),
        "you rounded the temperature to a whole number; divide by it as it is": (
            lambda x, dim=-1, temperature=1.0: attention.softmax(x, dim, max(1, round(temperature)))
        ),
        FLOAT32: always_float32(attention.softmax),
        NO_TENSOR: lambda *args, **named: attention.softmax(*args, **named).tolist(),
    },
)
def check_softmax(student: Callable, rng: random.Random) -> None:
    x = normal(rng, rng.randrange(3, 6))
    expect(student(x), x.softmax(0), "softmax(x) of one row", mistakes={
        "you left out the exponential": x / x.sum(),
        "you did not divide by the sum of the exponentials": x.exp(),
        "you did not divide by the sum of the exponentials, after you subtracted the largest": (x - x.max()).exp(),
        "you returned the logarithm of the softmax": x.log_softmax(0),
        "the signs are turned round: the largest score must get the largest weight": (-x).softmax(0),
        "you used powers of 2 instead of e": (x * math.log(2)).softmax(0),
    })  # fmt: skip
    for shape in ((4, 4), (2, 3, 5), (3, 3, 3)):
        x = normal(rng, *shape) * 2
        for dim in range(-1, len(shape)):
            wrong = {
                "you divided by the sum of all numbers; each row along `dim` must sum to 1 by itself": x.flatten()
                .softmax(0)
                .reshape(shape)
            }
            wrong |= {
                f"you normalised over dim={other}": x.softmax(other) for other in range(len(shape))
            }
            if shape == (4, 4):
                e = x.exp()
                shifted = (x - x.amax(dim, keepdim=True)).exp()
                wrong["the sum lost its dimension: use keepdim=True"] = e / e.sum(dim)
                wrong["the sum lost its dimension, so other rows' sums are used: keepdim=True"] = (
                    shifted / shifted.sum(dim)
                )
            expect(
                student(x, dim=dim),
                x.softmax(dim),
                f"softmax(x, dim={dim}) with x of shape {shape}",
                mistakes=wrong,
            )
    expect(
        student(x, 1, 2),
        (x / 2).softmax(1),
        "softmax(x, 1, 2)",
        mistakes={"the order of the parameters is x, dim, temperature": x.softmax(2)},
    )
    _check_temperature(student, rng)
    check_extreme_softmax(student, rng)
    x = normal(rng, 3, 5, dtype=torch.float64)
    check_double(student(x), x.softmax(-1), "softmax(x) with x in torch.float64")
    _check_half(student, rng)
    check_gradient(student, lambda x: x.softmax(-1), normal(rng, 2, 5), "softmax(x)")


def _check_temperature(student: Callable, rng: random.Random) -> None:
    """Temperatures below and above 1."""
    x = normal(rng, 2, 4) * 2
    for temperature in (rng.uniform(0.3, 0.7), rng.uniform(1.5, 4.0)):
        call = f"softmax(x, temperature={temperature:.2f})"
        expect(
            student(x, temperature=temperature),
            (x / temperature).softmax(-1),
            call,
            mistakes={
                "you multiplied by the temperature; divide the scores by it": (
                    x * temperature
                ).softmax(-1),
                "you ignored the temperature": x.softmax(-1),
                "you divided the weights by the temperature; divide the scores": x.softmax(-1)
                / temperature,
            },
        )


def check_extreme_softmax(student: Callable, rng: random.Random) -> None:
    high = float(rng.randrange(200, 2000))
    cases = [
        ("large scores", torch.tensor([high, high - 1, high - 2])),
        ("small scores", torch.tensor([-high, -high - 1, -high - 2])),
        (
            "one row of small and one of large scores",
            torch.tensor([[0.0, rng.uniform(0.5, 3.0), 2.0], [high, high - 1, high - 2]]),
        ),
        ("scores far apart", torch.tensor([high, -high, 0.0])),
        ("scores far apart, the last of them the largest", torch.tensor([0.0] * 9 + [high])),
        ("a score of -inf", torch.tensor([1.0, -INF, 2.0])),
        ("a score of -inf beside a very low one", torch.tensor([-INF, -1e32, -2e32])),
    ]
    wide = torch.tensor([high, -high, 0.0])
    # the temperature last: what is not finite there was finite before
    given = [(name, x, -1, 1.0) for name, x in cases]
    across = torch.zeros(4, 4)
    across[1] = -INF
    given.append(("one score of -inf in each column", across, 0, 1.0))
    given.append(("large scores", torch.tensor([200.0, 199.0, 198.0]), -1, 0.5))
    given.append(("scores far apart", wide, -1, high))
    for name, x, dim, temperature in given:
        _check_extreme_case(student, name, x, dim, temperature)


def _check_extreme_case(
    student: Callable, name: str, x: Tensor, dim: int, temperature: float
) -> None:
    named = {"dim": dim} if dim != -1 else {}
    named |= {"temperature": temperature} if temperature != 1 else {}
    shown = ", ".join(
        [str(x.tolist()) if x.ndim == 1 else "x", *(f"{k}={v:g}" for k, v in named.items())]
    )
    call = f"softmax({shown}) with {name}".replace("inf", "float('inf')")
    got = student(x, **named)
    z = x / temperature
    want = z.softmax(dim)
    e = z.exp()
    shifted = (z - z.max()).exp()
    power = (x - x.amax(dim, keepdim=True)).exp() ** (1 / temperature)
    powers = {
        "what exp() made 0 stays 0 in a power; divide the scores by the temperature before exp()": power
        / power.sum(dim, keepdim=True)
    }
    powers = powers if temperature != 1 else {}
    if isinstance(got, Tensor) and not torch.isfinite(got).all():
        if temperature != 1:
            raise Wrong(
                f"{call}: there is nan or inf in the result, and there was none without a temperature. Divide by "
                "the temperature first, and subtract the largest of what you get then"
            )
        raise Wrong(
            f"{call}: there is nan or inf in the result. exp() of a score above 88 is inf in float32, and "
            "0 / 0 is nan. Subtract the largest score of each row before exp(): the result stays the same"
        )
    hidden = got[x == -INF] if isinstance(got, Tensor) and got.shape == x.shape else x[:0]
    if (hidden != 0).any():
        raise Wrong(
            f"{call}: a score of float('-inf') got the weight {hidden.max().item():.3g}, and it must get exactly 0. "
            "exp() makes 0 of it, unless you put another number in its place or in that of the 0"
        )
    expect(
        got,
        want,
        call,
        mistakes={
            "the exponentials became 0, which is no softmax any more. Subtract the largest score of each row, "
            "not of all rows": (shifted / shifted.sum(dim, keepdim=True)).nan_to_num(0),
            "an overflow became 0. Subtract the largest score of each row before exp()": (
                e / e.sum(dim, keepdim=True)
            ).nan_to_num(0),
            "you cut the scores off at a fixed value, which makes different scores equal": z.clamp(
                -80, 80
            ).softmax(dim),
        }
        | powers,
        tol=2e-4,  # what is subtracted is rounded
    )


def _check_half(student: Callable, rng: random.Random) -> None:
    """Half precision in, half precision out, and float32 between them."""
    x = normal(rng, 20, 100, dtype=torch.bfloat16) * 2
    want = x.float().softmax(-1)
    call = "softmax(x) with x in torch.bfloat16"
    got = student(x)
    expect(got, want.bfloat16(), call, tol=1e-2)
    off = ((got.float() - want) / want).abs().max().item()
    if off > 0.01:  # to round once, at the end, makes 0.004
        raise Wrong(
            f"{call}: there are weights that are off by {off:.1%}, as if you had computed in bfloat16, which has two "
            "or three digits. Compute in float32, and turn the result back into the dtype of x"
        )
    x = torch.tensor([10.0, 10.0], dtype=torch.float16)
    call = "softmax(torch.tensor([10.0, 10.0]).half(), temperature=1e-4)"
    got = student(x, temperature=1e-4)
    if isinstance(got, Tensor) and not torch.isfinite(got).all():
        raise Wrong(
            f"{call}: there is nan or inf in the result, as 10 / 1e-4 is too large for float16. Compute in "
            "float32, and turn the result back into the dtype of x"
        )
    expect(got, torch.tensor([0.5, 0.5], dtype=torch.float16), call, tol=1e-2)


# --- causal_mask ----------------------------------------------------------------------------------


def _narrow_masks(got: Tensor, want: Tensor) -> dict[str, Tensor]:
    """A mask of a fixed size, and one of a fixed width: of the size or the width that came."""
    if not isinstance(got, Tensor) or got.ndim != 2:
        return {}
    if got.is_meta or got.is_nested or got.layout is not torch.strided:
        return {}
    T = len(want)
    size = len(got)
    if 1 < size < T - 1:
        return {
            f"your mask ends after {size} positions; make one of the size that is asked for": want[
                :size, :size
            ]
        }
    width = int(got[-1].bool().sum()) if size == T else 0
    if 1 < width < T:
        return {
            f"each position sees {width} positions only; it may look at all before it": want
            & ~want.tril(-width)
        }
    return {}


@EXERCISES.add(
    attention.causal_mask,
    difficulty=1,
    minutes=3,
    hints=[
        "Write the matrix for T = 3 on paper: row t asks, column s is looked at. Where is s <= t?",
        "That is a lower triangle with the diagonal. torch has a method that keeps the lower triangle of a matrix.",
        "Start from torch.ones(T, T, dtype=torch.bool) and call .tril() on it.",
    ],
    refuses=[(0,), (-1,), (2.5,)],
    mistakes={
        "bytes, uint8, are the old way to write masks: masks are bool": (
            lambda T: attention.causal_mask(T).byte()
        ),
        "each position sees itself alone; it may look at all positions before it, too": (
            lambda T: torch.eye(T, dtype=torch.bool)
        ),
        "your mask has 3 dimensions; leave it (T, T)": lambda T: attention.causal_mask(T)[None],
        "your mask has 4 dimensions; leave it (T, T)": lambda T: attention.causal_mask(T)[
            None, None
        ],
        "that is an array of numpy; return a tensor of torch": (
            lambda T: attention.causal_mask(T).numpy()
        ),
        NO_TENSOR: lambda T: attention.causal_mask(T).tolist(),
        "one row and one column are missing: range(T) has T numbers, from 0 on": (
            lambda T: torch.tensor(attention.causal_mask(T)[1:, 1:].tolist(), dtype=torch.bool)
        ),
    },
)
def check_causal_mask(student: Callable, rng: random.Random) -> None:
    for T in (rng.randrange(3, 10), 1, 2, rng.randrange(40, 60), rng.randrange(260, 300)):
        want = torch.ones(T, T, dtype=torch.bool).tril()
        mistakes = {
            "the numbers are right but the type is not: masks are bool": want.float(),
            "0 and 1 as integers select by index and break `~`: masks are bool": want.int(),
            "add a mask of 0 and -inf to scores if you like, but return True = may look": torch.zeros(
                T, T
            ).masked_fill(~want, -INF),
        }
        if T > 1:
            mistakes |= {
                "rows ask and columns are looked at; yours shows each position the future": want.T,
                "it is upside down: True means may look": ~want,
                "each position may look at itself, too: the diagonal is True": want.tril(-1),
                "each position sees one step into the future": torch.ones(T, T).tril(1).bool(),
                "nothing is hidden": torch.ones(T, T, dtype=torch.bool),
            }
        got = student(T)
        expect(got, want, f"causal_mask({T})", mistakes=mistakes | _narrow_masks(got, want))
    one = student(4)
    other = student(4)
    if one.data_ptr() == other.data_ptr():
        raise Wrong(
            "causal_mask(4): two calls gave the same tensor, so whoever changes one mask changes the other. Make a "
            "new one in each call"
        )


# --- average_past_matrix --------------------------------------------------------------------------


def past_mean(x: Tensor) -> Tensor:
    count = torch.arange(1, x.size(-2) + 1, dtype=x.dtype)
    return x.cumsum(-2) / count[:, None]


def _without_itself(x: Tensor) -> Tensor:
    """The mean of the positions before; the first keeps its own."""
    return torch.cat([x[..., :1, :], past_mean(x)[..., :-1, :]], -2)


def _halved_each_time(x: Tensor) -> Tensor:
    means = [x[..., 0, :]]
    for new in x.unbind(-2)[1:]:
        means.append((means[-1] + new) / 2)
    return torch.stack(means, -2)


def _first_dimension_is_time(x: Tensor) -> Tensor:
    past = torch.ones(len(x), len(x), dtype=x.dtype).tril()
    return past / past.sum(-1, keepdim=True) @ x


@EXERCISES.add(
    attention.average_past_matrix,
    difficulty=1,
    minutes=6,
    hints=[
        "Row t of the matrix says how much each position counts for the average at t. What is row 0? What is row 2?",
        "Start from the causal mask as 1 and 0, in the dtype of x. Each row must sum to 1: divide it by its own sum.",
        "may_look = causal_mask(x.size(-2)).to(x); divide by may_look.sum(-1, keepdim=True); then multiply: weights @ x.",
    ],
    mistakes={
        "position t itself is missing from its average; the average goes up to t": _without_itself,
        "you halved the mean before and the new number, so late ones weigh more; all t + 1 weigh the same": _halved_each_time,
        "you took the first dimension for T, which is the batch here; T is x.size(-2)": _first_dimension_is_time,
        FLOAT32: always_float32(attention.average_past_matrix),
    },
)
def check_average_past_matrix(student: Callable, rng: random.Random) -> None:
    T = rng.randrange(4, 8)
    d = rng.randrange(2, 4)
    for shape in (
        (T, d),
        (4, 4),
        (2, T, d),
        (3, 3, 3),
        (2, 3, 5, 4),
        (1, 2),
        (2, 1, 3),
        (rng.randrange(70, 90), 2),
    ):
        x = normal(rng, *shape)
        T = shape[-2]
        tril = torch.ones(T, T).tril()
        want = past_mean(x)
        mistakes = {
            "you added the past up without dividing": tril @ x,
            "you always divided by T; row t has t + 1 numbers in it": tril @ x / T,
            "the future is in it: position t may use positions 0 to t only": x.mean(
                -2, keepdim=True
            ).expand(shape),
            "you averaged the future instead of the past: use the lower triangle": past_mean(
                x.flip(-2)
            ).flip(-2),
            "the columns of your matrix sum to 1; make the rows sum to 1": (tril / tril.sum(0)) @ x,
            "you averaged over the features; average over the positions": past_mean(x.mT).mT,
            "the sum lost its dimension: use keepdim=True": (tril / tril.sum(-1)) @ x,
            "you divided row t by t, but it has t + 1 numbers in it": tril
            @ x
            / torch.arange(T).clamp(min=1)[:, None],
            "a weight of 0 before the softmax is exp(0) = 1 after it: hide the future with -inf": tril.softmax(
                -1
            )
            @ x,
        }
        expect(
            student(x),
            want,
            f"average_past_matrix(x) with x of shape {shape}",
            mistakes=mistakes if T > 1 else None,
        )
    x = normal(rng, 3, 2, dtype=torch.float64)
    check_double(student(x), past_mean(x), "average_past_matrix(x) with x in torch.float64")
    check_gradient(student, past_mean, normal(rng, 4, 3), "average_past_matrix(x)")


# --- attention_weights ----------------------------------------------------------------------------


def weights_oracle(
    q: Tensor, k: Tensor, mask: Tensor | None = None, scale: float | None = None
) -> Tensor:
    """torch's fused attention with the identity as values returns the weights."""
    eye = torch.eye(k.size(-2), dtype=k.dtype).expand(*k.shape[:-2], -1, -1)
    return F.scaled_dot_product_attention(q, k, eye, attn_mask=mask, scale=scale)


def random_mask(rng: random.Random, T: int, S: int) -> Tensor:
    """A mask that is not causal: each query sees one key at least, and something is hidden from
    it.
    """
    rows = []
    for _ in range(T):
        seen = rng.sample(range(S), rng.randrange(1, S))
        rows.append([s in seen for s in range(S)])
    return torch.tensor(rows)


def hidden_scores(q: Tensor, k: Tensor, mask: Tensor | None, value: float = -INF) -> Tensor:
    scores = q @ k.mT / math.sqrt(q.size(-1))
    return scores if mask is None else scores.masked_fill(~mask, value)


def _diagonal_hidden(q: Tensor, k: Tensor, mask: Tensor | None = None) -> Tensor:
    if mask is not None:
        mask = mask & ~torch.eye(*mask.shape[-2:], dtype=torch.bool)
    return hidden_scores(q, k, mask).softmax(-1).nan_to_num(0)


def _subtracts(q: Tensor, k: Tensor, mask: Tensor | None = None) -> Tensor:
    scores = hidden_scores(q, k, None)
    return (scores if mask is None else scores - 1e9 * (~mask).to(scores)).softmax(-1)


@EXERCISES.add(
    attention.attention_weights,
    difficulty=2,
    minutes=10,
    hints=[
        "One score for each pair of query and key: their dot product. All of them at once are one matrix product of q with "
        "the transpose of k. The last two dimensions are the ones to swap.",
        "Divide by the square root of the number of features. Then, if there is a mask, hide what it does not allow, and "
        "only then take the softmax over the keys. Which score has exp(score) = 0?",
        "scores = q @ k.transpose(-2, -1) / math.sqrt(q.size(-1)); if mask is not None: "
        "scores = scores.masked_fill(~mask, -math.inf); return softmax(scores).",
    ],
    refuses=[
        (torch.ones(2, 3), torch.ones(2, 3), torch.ones(2, 2)),
        (torch.ones(2, 3), torch.ones(2, 4)),
        (torch.ones(2, 3), torch.ones(2, 3), torch.tensor([[True, True], [False, False]])),
        (torch.ones(2, 3), torch.ones(2, 3), torch.tensor([[False, False], [True, True]])),
        (
            torch.ones(2, 2, 3),
            torch.ones(2, 2, 3),
            torch.tensor([[[True, True], [True, True]], [[False, False], [True, True]]]),
        ),
        (torch.ones(4, 3), torch.ones(4, 3), torch.ones(10, 10, dtype=torch.bool).tril()),
    ],
    mistakes={
        "you divided the weights by the square root of d; divide the scores by it": (
            lambda q, k, mask=None: (
                attention.attention_weights(q * q.size(-1) ** 0.5, k, mask) / q.size(-1) ** 0.5
            )
        ),
        "the softmax runs over dim=1, which is the last one in two dimensions alone; take dim=-1": (
            lambda q, k, mask=None: hidden_scores(q, k, mask).softmax(1)
        ),
        "the future leaks where all scores are low: a number such as -1000 is higher than they are; fill in float('-inf')": lambda q, k, mask=None: (
            hidden_scores(q, k, mask, -1e3).softmax(-1)
        ),
        "the future leaks: a number such as -1e9 hides a score only while the others are higher; fill in float('-inf')": lambda q, k, mask=None: (
            hidden_scores(q, k, mask, -1e9).softmax(-1)
        ),
        "you subtracted a fixed number from the hidden scores, and one that is larger still wins; "
        "fill in float('-inf')": _subtracts,
        "you hid the diagonal, too; hide only what the mask hides": _diagonal_hidden,
        "k.T turns round all dimensions; swap only the last two, k.transpose(-2, -1)": (
            lambda q, k, mask=None: hidden_scores(
                q, k.permute(*range(k.ndim)[::-1]).mT, mask
            ).softmax(-1)
        ),
        "k.transpose(1, 2) is right without heads alone; swap the last two, k.transpose(-2, -1)": (
            lambda q, k, mask=None: hidden_scores(
                q, k.transpose(1, 2).mT if k.ndim > 2 else k, mask
            ).softmax(-1)
        ),
        "you made all queries and keys equally long, as for a cosine; take their dot products as they are": (
            lambda q, k, mask=None: attention.attention_weights(
                F.normalize(q, dim=-1) * q.size(-1) ** 0.5, F.normalize(k, dim=-1), mask
            )
        ),
        FLOAT32: always_float32(attention.attention_weights),
    },
)
def check_attention_weights(student: Callable, rng: random.Random) -> None:
    for lead, T, S, d in (
        ((), 4, 4, 9),
        ((), 3, 5, 16),
        ((2,), 5, 5, 5),
        ((2, 3), 4, 6, 8),
        ((), 1, 3, 2),
    ):
        q = normal(rng, *lead, T, d) * 1.5
        k = normal(rng, *lead, S, d)
        mask = random_mask(rng, T, S)
        shapes = f"q {tuple(q.shape)}, k {tuple(k.shape)}"
        raw = q @ k.mT
        expect(student(q, k), weights_oracle(q, k), f"attention_weights(q, k) with {shapes}", mistakes={
            "the scores are not scaled: divide by the square root of d": raw.softmax(-1),
            "you divided by d, or by its square root twice; divide once by the square root of d": (raw / d).softmax(-1),
            "you multiplied by the square root of d; divide by it": (raw * math.sqrt(d)).softmax(-1),
            "you took the square root of the number of positions; d is the number of features":
                (raw / math.sqrt(T)).softmax(-1),
            "you took the square root of the number of keys; d is the number of features":
                (raw / math.sqrt(S)).softmax(-1),
            "the softmax runs over the queries; each query shares out its attention over the keys, dim=-1":
                (raw / math.sqrt(d)).softmax(-2),
            "you returned the scores, without the softmax": raw / math.sqrt(d),
            "queries and keys are swapped: rows ask, columns are looked at": weights_oracle(k, q),
            "you took the square root of d_model; d is the number of features of one head":
                (raw / math.sqrt(d * (lead[1] if len(lead) > 1 else 1))).softmax(-1),
            "you always masked; without a mask each query may look everywhere": weights_oracle(
                q, k, torch.ones(T, S, dtype=torch.bool).tril()),
        })  # fmt: skip
        check_masked(student, q, k, mask, f"attention_weights(q, k, mask) with {shapes}")
    check_extreme_weights(student, rng)
    q = normal(rng, 2, 3, 4, 8)
    k = normal(rng, 2, 3, 5, 8)
    mask = torch.stack([random_mask(rng, 4, 5), random_mask(rng, 4, 5)])[:, None]  # (2, 1, 4, 5)
    check_masked(
        student, q, k, mask, "attention_weights(q, k, mask) with another mask for each sequence"
    )
    keys_hidden = random_mask(rng, 2, 5)[:, None, None]  # (2, 1, 1, 5)
    check_masked(
        student, q, k, keys_hidden, "attention_weights(q, k, mask) with one mask for all queries"
    )
    _check_weights_dtypes(student, rng)
    _check_weights_gradients(student, rng)


def _check_weights_dtypes(student: Callable, rng: random.Random) -> None:
    """float64 and bfloat16, with a causal mask."""
    q = normal(rng, 3, 4, dtype=torch.float64)
    k = normal(rng, 3, 4, dtype=torch.float64)
    mask = torch.ones(3, 3, dtype=torch.bool).tril()
    check_double(
        student(q, k, mask),
        weights_oracle(q, k, mask),
        "attention_weights(q, k, mask) in torch.float64",
    )
    q = normal(rng, 3, 4, dtype=torch.bfloat16)
    k = normal(rng, 3, 4, dtype=torch.bfloat16)
    want = weights_oracle(q.float(), k.float(), mask).bfloat16()
    expect(student(q, k, mask), want, "attention_weights(q, k, mask) in torch.bfloat16", tol=2e-2)


def _check_weights_gradients(student: Callable, rng: random.Random) -> None:
    """The gradients that reach the queries and the keys."""
    mask = torch.ones(3, 3, dtype=torch.bool).tril()
    q = normal(rng, 3, 4)
    k = normal(rng, 3, 4)
    check_gradient(
        lambda x: student(x, k, mask),
        lambda x: weights_oracle(x, k, mask),
        q,
        "attention_weights(q, k, mask) with respect to q",
    )
    q = normal(rng, 3, 4)
    k = normal(rng, 3, 4)
    check_gradient(
        lambda x: student(q, x, mask),
        lambda x: weights_oracle(q, x, mask),
        k,
        "attention_weights(q, k, mask) with respect to k",
    )


def check_masked(student: Callable, q: Tensor, k: Tensor, mask: Tensor, call: str) -> None:
    scores = q @ k.mT / math.sqrt(q.size(-1))
    T, S = scores.shape[-2:]
    causal = torch.ones(T, S, dtype=torch.bool).tril()
    expect(student(q, k, mask), weights_oracle(q, k, mask), call, mistakes={
        "you ignored the mask": scores.softmax(-1),
        "the rows do not sum to 1: you masked after the softmax. Mask the scores before it": scores.softmax(-1) * mask,
        "you masked after the softmax, and with -inf": scores.softmax(-1).masked_fill(~mask, -INF),
        "you hid what the mask allows and showed what it hides: True means may look": weights_oracle(q, k, ~mask),
        "a hidden key has a score of 0, and exp(0) = 1 is a weight like any other: use -inf": (
            scores * mask).softmax(-1),
        "you added the mask to the scores; that hides nothing": (scores + mask).softmax(-1),
        "you used a causal mask of your own instead of the one given": weights_oracle(q, k, causal),
        "the scores are not scaled: divide by the square root of d": weights_oracle(q, k, mask, scale=1.0),
    })  # fmt: skip


def check_extreme_weights(student: Callable, rng: random.Random) -> None:
    """Scores so large or so low that an unstable softmax, or a hidden score which is low but not
    -inf, shows; for two lengths.
    """
    _check_rows_apart(student)
    for T in rng.sample(range(3, 7), 2):
        _check_extreme_length(student, T)


def _check_rows_apart(student: Callable) -> None:
    """A query whose scores are all 0 beside one whose scores are large."""
    q = torch.tensor([[0.0, 0.0], [100.0, 0.0]])
    k = torch.tensor([[10.0, 0.0], [20.0, 0.0], [10.0, 0.0]])
    call = "attention_weights(q, k) with a query of small and one of large scores"
    got = student(q, k)
    if isinstance(got, Tensor) and not torch.isfinite(got).all():
        raise Wrong(
            f"{call}: there is nan or inf in the result. Use your stable softmax, which subtracts the "
            "largest score first, that of each row and not that of all"
        )
    expect(got, torch.tensor([[1 / 3, 1 / 3, 1 / 3], [0.0, 1.0, 0.0]]), call)


def _check_extreme_length(student: Callable, T: int) -> None:
    d = 4
    mask = torch.ones(T, T, dtype=torch.bool).tril()
    want = mask / mask.sum(-1, keepdim=True)
    # each gives every visible key the same score
    cases = [
        ("all scores are large", (torch.full((T, d), 40.0), torch.full((T, d), 40.0))),
        ("all scores are very low", (torch.full((T, d), -1e3), torch.full((T, d), 1e3))),
        ("all scores are lower than -1e30", (torch.full((T, d), -1e16), torch.full((T, d), 1e16))),
    ]
    for name, (q, k) in cases:
        call = f"attention_weights(q, k, mask) where {name}"
        got = student(q, k, mask)
        if isinstance(got, Tensor) and not torch.isfinite(got).all():
            raise Wrong(
                f"{call}: there is nan or inf in the result. Use your stable softmax, which subtracts the "
                "largest score first"
            )
        expect(got, want, call)
    for size in (20.0, 1e6):
        q = torch.full((T, d), size)
        # each later key has a far larger score
        k = torch.stack([torch.full((d,), size * s) for s in range(T)])
        call = f"attention_weights(q, k, mask) where the hidden scores are larger by {size * size * d / math.sqrt(d):g}"
        # the last visible key wins
        got = student(q, k, mask)
        want = torch.eye(T)
        if isinstance(got, Tensor) and not torch.isfinite(got).all():
            raise Wrong(
                f"{call}: there is nan or inf in the result. The scores of the hidden keys still count in what you "
                "subtract or divide by, and nothing is left for the others: mask before the softmax"
            )
        sums = got.sum(-1) if isinstance(got, Tensor) and got.shape == want.shape else torch.ones(T)
        if not torch.allclose(sums.float(), torch.ones(T), atol=1e-4):
            raise Wrong(
                f"{call}: the rows do not sum to 1. A softmax over all keys spends everything on the hidden ones, "
                "and nothing is left to share out again: mask before the softmax"
            )
        expect(got, want, call)


# --- causal_head ----------------------------------------------------------------------------------


def head_oracle(
    x: Tensor,
    w_q: Tensor,
    w_k: Tensor,
    w_v: Tensor,
    scale: float | None = None,
    causal: bool = True,
) -> Tensor:
    return F.scaled_dot_product_attention(
        x @ w_q, x @ w_k, x @ w_v, is_causal=causal and x.size(-2) > 1, scale=scale
    )


def _head_mistakes(x: Tensor, w_q: Tensor, w_k: Tensor, w_v: Tensor) -> dict[str, Tensor]:
    """What the usual slips make of x: in the scale, and in what is averaged."""
    T, d_model = x.shape[-2:]
    d = w_q.size(-1)
    k = x @ w_k
    v = x @ w_v
    weights = (
        (x @ w_q @ k.mT / math.sqrt(d))
        .masked_fill(torch.ones(T, T).triu(1).bool(), -INF)
        .softmax(-1)
    )
    mistakes = {
        "you forgot 1/sqrt(d)": head_oracle(x, w_q, w_k, w_v, scale=1.0),
        "you divided by sqrt(d_model); d is the size of a query": head_oracle(
            x, w_q, w_k, w_v, 1 / math.sqrt(d_model)
        ),
        "you averaged x itself; average the values x @ w_v": weights @ x,
        "you returned the values without mixing the positions": v,
        "you returned the attention map; multiply it with the values": weights,
    }
    if d == w_v.size(-1):
        mistakes["you averaged the keys; average the values"] = weights @ k
    return mistakes


def _hiding_mistakes(x: Tensor, w_q: Tensor, w_k: Tensor, w_v: Tensor) -> dict[str, Tensor]:
    """What the usual slips make of x: in what hides the future, and in who asks whom."""
    T = x.size(-2)
    v = x @ w_v
    scores = x @ w_q @ (x @ w_k).mT / math.sqrt(w_q.size(-1))
    mask = torch.ones(T, T, dtype=torch.bool).tril()
    return {
        "nothing hides the future: you forgot the causal mask": head_oracle(
            x, w_q, w_k, w_v, causal=False
        ),
        "queries and keys are swapped: x @ w_q asks, x @ w_k is looked at": head_oracle(
            x, w_k, w_q, w_v
        ),
        "you masked after the softmax": (scores.softmax(-1) * mask) @ v,
        "the softmax runs over the queries; it must run over the keys": scores.masked_fill(
            ~mask, -INF
        ).softmax(-2)
        @ v,
        "a position may look at itself, too: the diagonal of the mask is True": scores.masked_fill(
            ~mask.tril(-1), -INF
        )
        .softmax(-1)
        .nan_to_num(0)
        @ v,
        "you hid the past and showed the future": scores.masked_fill(~mask.T, -INF).softmax(-1) @ v,
    }


def mixed(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    T = q.size(-2)
    return hidden_scores(q, k, torch.ones(T, T, dtype=torch.bool).tril()).softmax(-1) @ v


def _overflowing_head(x: Tensor, w_q: Tensor, w_k: Tensor, w_v: Tensor) -> Tensor:
    T = x.size(-2)
    e = hidden_scores(x @ w_q, x @ w_k, torch.ones(T, T, dtype=torch.bool).tril()).exp()
    return e / e.sum(-1, keepdim=True) @ (x @ w_v)


def _length_of_the_second(x: Tensor, w_q: Tensor, w_k: Tensor, w_v: Tensor) -> Tensor:
    T = x.size(1) if x.ndim > 2 else len(x)
    mask = torch.ones(T, T, dtype=torch.bool).tril()
    return hidden_scores(x @ w_q, x @ w_k, mask).softmax(-1) @ (x @ w_v)


def _length_of_the_batch(x: Tensor, w_q: Tensor, w_k: Tensor, w_v: Tensor) -> Tensor:
    mask = torch.ones(len(x), len(x), dtype=torch.bool).tril()
    return hidden_scores(x @ w_q, x @ w_k, mask).softmax(-1) @ (x @ w_v)


@EXERCISES.add(
    attention.causal_head,
    difficulty=2,
    minutes=6,
    hints=[
        "Each position makes three vectors out of its x: a query, a key and a value. Each is one matrix product.",
        "You have written the rest already: the causal mask for T positions, and attention from q, k, v and a mask.",
        "q, k, v = x @ w_q, x @ w_k, x @ w_v; then attention(q, k, v, causal_mask(x.size(-2))).",
    ],
    mistakes={
        "you divided by the square root of the size of a value; d is the size of a query": (
            lambda x, w_q, w_k, w_v: head_oracle(x, w_q, w_k, w_v, scale=w_v.size(-1) ** -0.5)
        ),
        "you added the position's own value, x @ w_v; the mixed values alone are the answer": (
            lambda x, w_q, w_k, w_v: head_oracle(x, w_q, w_k, w_v) + x @ w_v
        ),
        "your queries look at the values; they look at the keys, x @ w_k": (
            lambda x, w_q, w_k, w_v: mixed(x @ w_q, x @ w_v, x @ w_v)
        ),
        "you turned the weights round, as nn.Linear stores them; here it is x @ w_q, without .T": (
            lambda x, *w: mixed(*(x @ one.T for one in w))
        ),
        "queries and keys both come from w_q; the keys are x @ w_k": (
            lambda x, w_q, w_k, w_v: head_oracle(x, w_q, w_q, w_v)
        ),
        "x itself is your query; the query is x @ w_q": (
            lambda x, w_q, w_k, w_v: mixed(x, x @ w_k, x @ w_v)
        ),
        "x may have two dimensions in front of (T, d_model), or more; @ and x.size(-2) go with all of them": _length_of_the_second,
        "there is nan or inf where scores are large: use your stable softmax, which subtracts the largest first": _overflowing_head,
        "you took the first dimension for T, which is the batch here; T is x.size(-2)": _length_of_the_batch,
        FLOAT32: always_float32(attention.causal_head),
    },
)
def check_causal_head(student: Callable, rng: random.Random) -> None:
    for lead, T, d_model, d, d_v in (
        ((2,), 4, 4, 4, 4),
        ((), 5, 6, 4, 3),
        ((3,), 3, 8, 2, 5),
        ((2,), 1, 4, 3, 2),
        ((2, 3), 4, 5, 3, 2),
        ((), rng.randrange(70, 90), 5, 2, 3),
    ):
        x = normal(rng, *lead, T, d_model)
        w_q, w_k, w_v = (normal(rng, d_model, n) for n in (d, d, d_v))
        want = head_oracle(x, w_q, w_k, w_v)
        mistakes = _head_mistakes(x, w_q, w_k, w_v)
        if T > 1:
            mistakes |= _hiding_mistakes(x, w_q, w_k, w_v)
        expect(
            student(x, w_q, w_k, w_v),
            want,
            f"causal_head(x, w_q, w_k, w_v) with x {tuple(x.shape)}, w_q "
            f"{tuple(w_q.shape)}, w_v {tuple(w_v.shape)}",
            mistakes=mistakes,
            tol=1e-4,  # scores of some tens, in float32
        )
    x = normal(rng, 4, 5, dtype=torch.float64)
    w = [normal(rng, 5, 3, dtype=torch.float64) for _ in range(3)]
    check_double(student(x, *w), head_oracle(x, *w), "causal_head in torch.float64")
    x = normal(rng, 4, 5) * 30
    w = [normal(rng, 5, 3) * 3 for _ in range(3)]
    expect(student(x, *w), head_oracle(x, *w), "causal_head with large scores", tol=1e-3)
    _check_low_scores(student, rng)
    for which, name in enumerate(("w_q", "w_k", "w_v")):
        _check_head_gradient(student, rng, which, name)


def _check_low_scores(student: Callable, rng: random.Random) -> None:
    """All scores are the same and lower than any number that people fill in."""
    T = rng.randrange(3, 6)
    x = normal(rng, T, 5)
    x[:, 0] = 1.0
    w_q, w_k = torch.zeros(2, 5, 4)
    w_q[0, 0] = 2.0**53  # a single product makes each score, so that nothing is rounded
    w_k[0, 0] = -(2.0**53)
    w_v = normal(rng, 5, 3)
    v = x @ w_v
    future = [v[t + 1 :].mean(0) for t in range(T - 1)]
    expect(
        student(x, w_q, w_k, w_v),
        past_mean(v),
        "causal_head where all scores are equal and very low",
        mistakes={
            "the future leaks: a number such as -1e9 hides a score only while the others are higher; "
            "fill in float('-inf')": torch.stack([*future, v.mean(0)])
        },
        tol=1e-4,
    )


def _check_head_gradient(student: Callable, rng: random.Random, which: int, name: str) -> None:
    """The gradient that reaches one of the three matrices, in float64: rounding would show in
    float32.
    """
    weights = [normal(rng, 5, 3, dtype=torch.float64) for _ in range(3)]
    x = normal(rng, 4, 5, dtype=torch.float64)

    def through(function: Callable, weight: Tensor) -> Tensor:
        return function(x, *weights[:which], weight, *weights[which + 1 :])

    check_gradient(
        lambda weight: through(student, weight),
        lambda weight: through(head_oracle, weight),
        weights[which],
        f"causal_head with respect to {name}",
    )


# --- split_heads, merge_heads, repeat_kv ----------------------------------------------------------

SHAPES = (
    (2, 5, 3, 4),
    (1, 4, 2, 3),
    (2, 3, 3, 2),
    (3, 2, 3, 2),
    (2, 4, 4, 4),
    (1, 3, 1, 5),
    (2, 3, 4, 1),
    (3, 1, 2, 2),
)


# --- leaks ----------------------------------------------------------------------------------------


def _past_mean(x: Tensor) -> Tensor:
    return x.cumsum(0) / torch.arange(1.0, len(x) + 1)[:, None]


def _head(x: Tensor, mask: Tensor, before: bool = True) -> Tensor:
    scores = (x @ x.T).tanh()  # so that no weight is too small to be noticed
    if before:
        return scores.masked_fill(~mask, -INF).softmax(-1) @ x
    return (scores.softmax(-1) * mask) @ x


def _honest_layers(T: int) -> list[tuple[str, Callable]]:
    past = torch.ones(T, T, dtype=torch.bool).tril()
    return [
        ("a causal head", lambda x: _head(x, past)),
        ("the average of the past", _past_mean),
        ("a layer that looks at itself only", lambda x: x**2),
        ("a layer that copies the word before", lambda x: torch.cat([x[:1], x[:-1]])),
        ("a layer that gives two features for five", lambda x: x.cumsum(0)[:, :2]),
    ]


def _leaking_layers(T: int) -> list[tuple[str, Callable]]:
    past = torch.ones(T, T, dtype=torch.bool).tril()
    one_more = torch.ones(T, T, dtype=torch.bool).tril(1)
    first = past.clone()
    first[0] = True
    last = past.clone()
    last[:, -1] = True
    early = past.clone()
    early[0, 1] = True
    middle = past.clone()
    middle[1, 2] = True
    late = past.clone()
    late[-2, -1] = True
    skipping = past.clone()
    skipping[1, 3] = True
    return [
        ("a head without a mask", lambda x: _head(x, torch.ones_like(past))),
        ("a mask after the softmax", lambda x: _head(x, past, before=False)),
        ("a mask that is one step too generous", lambda x: _head(x, one_more)),
        ("a head whose first position sees everything", lambda x: _head(x, first)),
        ("a head in which all see the last position", lambda x: _head(x, last)),
        ("a head whose first position sees the second", lambda x: _head(x, early)),
        ("a head whose second position sees the third", lambda x: _head(x, middle)),
        ("the mean of the whole text taken away", lambda x: x - x.mean(0)),
        ("a text turned round", lambda x: x.flip(0)),
        ("a head in which the last position but one sees the last", lambda x: _head(x, late)),
        ("a head whose second position sees the fourth", lambda x: _head(x, skipping)),
        ("a text divided by its size", lambda x: x / x.pow(2).mean().sqrt()),
        ("a sum of the past and a little of all", lambda x: x.cumsum(0) + 1e-4 * x.sum(0)),
        ("a layer whose last feature knows the mean of the first", lambda x: _with_mean(x, 0, -1)),
        ("a layer whose first feature knows the mean of the last", lambda x: _with_mean(x, -1, 0)),
        ("a layer that takes from one feature what it adds to another", _moves_the_mean),
    ]


def _with_mean(x: Tensor, of: int, to: int) -> Tensor:
    """The mean of one feature over the text, added to another one."""
    y = x.clone()
    y[:, to] = x[:, to] + x[:, of].mean()
    return y


def _moves_the_mean(x: Tensor) -> Tensor:
    """The mean of everything, added to one feature and taken from another."""
    y = x.clone()
    y[:, 0] = x[:, 0] + x.mean()
    y[:, 1] = x[:, 1] - x.mean()
    return y


def _any_future(attend: Callable, x: Tensor, moves: Callable, change: Callable) -> bool:
    """Whether an output before the words that `change` changes moves, as `moves` sees it."""
    y = attend(x)
    return any(
        moves(attend(torch.cat([x[:t], change(x[t:])]))[:t], y[:t]) for t in range(1, len(x))
    )


def _moves(a: Tensor, b: Tensor) -> bool:
    return not torch.allclose(a, b, atol=1e-6)


def _other(x: Tensor) -> Tensor:
    return 1 - 2 * x


def _other_in_first_feature(x: Tensor) -> Tensor:
    return torch.cat([_other(x[:, :1]), x[:, 1:]], -1)


def _sum_moves(a: Tensor, b: Tensor) -> bool:
    return bool((a - b).sum().abs() > 1e-5)


def _only_two_places(attend: Callable, x: Tensor) -> bool:
    y = attend(x)
    return any(
        _moves(attend(torch.cat([x[:t], _other(x[t:])]))[:t], y[:t]) for t in (1, len(x) - 1)
    )


def _never_the_last_alone(attend: Callable, x: Tensor) -> bool:
    y = attend(x)
    return any(
        _moves(attend(torch.cat([x[:t], _other(x[t:])]))[:t], y[:t]) for t in range(1, len(x) - 1)
    )


def _compares_the_changed(attend: Callable, x: Tensor) -> bool:
    y = attend(x)
    changed = [torch.cat([x[:t], 1 - 2 * x[t:]]) for t in range(1, len(x))]
    return any(
        not torch.allclose(attend(z)[: t + 1], y[: t + 1], atol=1e-6)
        for t, z in enumerate(changed, 1)
    )


def _last_word_only(attend: Callable, x: Tensor) -> bool:
    changed = torch.cat([x[:-1], 1 - 2 * x[-1:]])
    return not torch.allclose(attend(changed)[:-1], attend(x)[:-1], atol=1e-6)


def _first_output_only(attend: Callable, x: Tensor) -> bool:
    changed = torch.cat([x[:1], 1 - 2 * x[1:]])
    return not torch.allclose(attend(changed)[:1], attend(x)[:1], atol=1e-6)


@EXERCISES.add(
    attention.leaks,
    difficulty=2,
    minutes=8,
    hints=[
        "If a position cannot feel what comes after it, its output stays the same whatever you put there. That can be tried.",
        "Keep x[:t], replace everything from t on, run the layer on both, and compare the first t outputs. Then the next t.",
        "changed = torch.cat([x[:t], other]) for each t from 1 on; it leaks where torch.allclose(attend(changed)[:t], "
        "attend(x)[:t], atol=1e-6) is False.",
    ],
    mistakes={
        "you compared the output of the changed word itself, too; it may move": _compares_the_changed,
        "you replaced the last word only; a leak from a word before it stays hidden": _last_word_only,
        "you looked at the first output only; a later position may leak": _first_output_only,
        "it is the wrong way round: True means that it leaks": lambda attend, x: (
            not attention.leaks(attend, x)
        ),
        "every layer leaks for you; outputs from the changed word on may move, so compare those before it": (
            lambda attend, x: True
        ),
        "you say that no layer leaks": lambda attend, x: False,
        "you never changed the last word alone; the position before it may look at it": _never_the_last_alone,
        "you tried the first place and the last one; a leak between them stays hidden": _only_two_places,
        "you turned the signs round, and what only depends on squares stays the same; put other numbers there": (
            lambda attend, x: _any_future(attend, x, _moves, torch.neg)
        ),
        "a small leak stays hidden: your tolerance is wider than 1e-6, or you change the words too little": lambda attend, x: (
            _any_future(attend, x, lambda a, b: not torch.allclose(a, b, atol=1e-2), _other)
        ),
        "you changed the first feature only; another may leak": lambda attend, x: _any_future(
            attend, x, _moves, _other_in_first_feature
        ),
        "you compared the first feature only; another may leak": lambda attend, x: _any_future(
            attend, x, lambda a, b: _moves(a[:, 0], b[:, 0]), _other
        ),
        "you added the differences up, and opposite ones cancel; compare number by number": (
            lambda attend, x: _any_future(attend, x, _sum_moves, _other)
        ),
    },
    sizes=False,
)
def check_leaks(student: Callable, rng: random.Random) -> None:
    T = rng.randrange(4, 8)
    x = normal(rng, T, 5)
    layers = [(name, layer, False) for name, layer in _honest_layers(T)]
    layers += [(name, layer, True) for name, layer in _leaking_layers(T)]
    rng.shuffle(layers)
    for name, layer, want in layers:
        layer.__name__ = name.replace(" ", "_")  # as a message shows it
        got = student(layer, x)
        if not isinstance(got, bool):
            raise Wrong(f"leaks(…) returned {kind_of(got)}; answer with True or False")
        expect(got, want, f"leaks(attend, x), where attend is {name}")


# --- cached_step ----------------------------------------------------------------------------------


def _step(x, w_q, w_k, w_v, keys, values, root=None, first=False):
    keys = torch.cat([x @ w_k, keys] if first else [keys, x @ w_k])
    values = torch.cat([x @ w_v, values] if first else [values, x @ w_v])
    scores = (x @ w_q) @ keys.T / math.sqrt(root or w_q.size(-1))
    return scores.softmax(-1) @ values, keys, values


def _forgets_itself(x, w_q, w_k, w_v, keys, values):
    y, _, _ = _step(x, w_q, w_k, w_v, keys, values)
    _, new_keys, new_values = _step(x, w_q, w_k, w_v, keys, values)
    if len(keys):
        y = ((x @ w_q) @ keys.T / math.sqrt(w_q.size(-1))).softmax(-1) @ values
    return y, new_keys, new_values


def _swapped(x, w_q, w_k, w_v, keys, values):
    y, keys, values = _step(x, w_q, w_k, w_v, keys, values)
    return y, values, keys


def _overflowing_step(x, w_q, w_k, w_v, keys, values):
    _, keys, values = _step(x, w_q, w_k, w_v, keys, values)
    e = ((x @ w_q) @ keys.T / math.sqrt(w_q.size(-1))).exp()
    return e / e.sum(-1, keepdim=True) @ values, keys, values


@EXERCISES.add(
    attention.cached_step,
    difficulty=2,
    minutes=6,
    hints=[
        "The new token has one key and one value. Where do they go before its query looks around?",
        "torch.cat([keys, x @ w_k]) are all keys. The new token is the last, so it may look at all of them: no mask is needed.",
        "keys = torch.cat([keys, x @ w_k]); the same for the values; then attention_weights(x @ w_q, keys) @ values, keys, values.",
    ],
    mistakes={
        "the new token may look at itself, too: append its key and value before its query asks": _forgets_itself,
        "the new key and value go to the end; they are the latest": (
            lambda *args: _step(*args, first=True)
        ),
        "you forgot to divide the scores by the square root of d": lambda *args: _step(
            *args, root=1
        ),
        "you divided by the square root of d_model; d is the size of a query": (
            lambda x, *rest: _step(x, *rest, root=x.size(-1))
        ),
        "keys and values have changed places in what you return": _swapped,
        "you returned the keys and values as they were; return them with the new ones": (
            lambda *args: (_step(*args)[0], args[4], args[5])
        ),
        "you returned y alone; return three things: y, keys, values": lambda *args: _step(*args)[0],
        "there is nan or inf where scores are large: use your stable softmax, which subtracts the largest first": _overflowing_step,
        FLOAT32: always_float32(attention.cached_step),
    },
)
def check_cached_step(student: Callable, rng: random.Random) -> None:
    for S in (rng.randrange(3, 7), 0, 1, rng.randrange(70, 90)):
        given, want = _drawn_step(rng, S)
        d_model, d = given[1].shape
        sizes = f"d_model = {d_model}, d = {d}, d_v = {given[3].size(1)}"
        call = f"cached_step(…) after {S} tokens, with {sizes}"
        expect(student(*given), want, call, tol=1e-4)
    given, want = _drawn_step(rng, 4, largest=500.0)
    expect(student(*given), want, "cached_step(…) with large scores", tol=1e-3)
    given, want = _drawn_step(rng, 4, dtype=torch.float64)
    got = student(*given)
    expect(got, want, "cached_step(…) in torch.float64", tol=1e-4)
    for part, right, name in zip(got, want, ("y", "keys", "values"), strict=True):
        check_double(part, right, f"the {name} of cached_step(…) in torch.float64")


def _drawn_step(
    rng: random.Random, S: int, dtype: torch.dtype = torch.float32, largest: float | None = None
) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
    """What a step after S tokens is given, and what it must give. largest: a score that there is."""
    d_model, d, d_v = rng.sample(range(2, 8), 3)
    x = normal(rng, S + 1, d_model, dtype=dtype)
    w_q, w_k = normal(rng, 2, d_model, d, dtype=dtype)
    w_v = normal(rng, d_model, d_v, dtype=dtype)
    keys = x @ w_k
    values = x @ w_v
    if largest is not None:
        scores = x[-1] @ w_q @ keys.T / math.sqrt(d)
        w_q = w_q * largest / scores[scores.abs().argmax()]
    want = head_oracle(x, w_q, w_k, w_v)[-1:], keys, values
    return (x[-1:], w_q, w_k, w_v, keys[:-1], values[:-1]), want


def blocks(x: Tensor, n_head: int) -> Tensor:
    return torch.stack(x.chunk(n_head, dim=-1), dim=1)  # (B, H, T, d)


@EXERCISES.add(
    attention.split_heads,
    difficulty=2,
    minutes=6,
    hints=[
        "The d_model features of one position are H blocks of d in a row. Give the blocks a dimension of their own first.",
        "A reshape can cut the last dimension in two, (B, T, H, d), but it cannot swap dimensions. What swaps two of them?",
        "x.reshape(B, T, n_head, d_model // n_head), and then .transpose(1, 2).",
    ],
    refuses=[(torch.ones(1, 2, 6), 4)],
    mistakes={
        "you took n_head for the size of a head; it is how many heads there are": (
            lambda x, n_head: blocks(x, x.size(-1) // n_head)
        ),
        "you swapped T and the features before the cut; cut the features first, then swap T and H": (
            lambda x, n_head: x.mT.reshape(len(x), n_head, x.size(1), -1)
        ),
        "you swapped H and d; swap T and H": (
            lambda x, n_head: x.reshape(*x.shape[:2], n_head, -1).transpose(2, 3)
        ),
        "that is a tuple of heads; make one tensor of them": lambda x, n_head: x.chunk(n_head, -1),
        "the heads stand in front of the batch; the result is (B, H, T, d)": (
            lambda x, n_head: torch.stack(x.chunk(n_head, -1))
        ),
        "you cut the positions into heads; cut the features, dim=-1": (
            lambda x, n_head: torch.stack(x.chunk(n_head, 1), 1)
        ),
        "only the first text of the batch is there": lambda x, n_head: blocks(x[:1], n_head),
        "you made float32 of the numbers; keep their type": lambda x, n_head: blocks(
            x.float(), n_head
        ),
    },
)
def check_split_heads(student: Callable, rng: random.Random) -> None:
    for B, T, H, d in SHAPES:
        for x in (distinct(rng, B, T, H * d), normal(rng, B, T, H * d)):
            want = blocks(x, H)
            mistakes = {
                "a view straight to (B, H, T, d) mixes positions and heads: view as (B, T, H, d), then swap T and H":
                    x.reshape(B, H, T, d),
                "the heads got every H-th feature; head h gets d features in a row":
                    x.reshape(B, T, d, H).permute(0, 3, 1, 2),
                "the shape is still (B, T, H, d): swap T and H": x.reshape(B, T, H, d),
                "you swapped T and d as well: the result is (B, H, T, d)": want.mT,
                "the heads are in reverse order": want.flip(1),
            }  # fmt: skip
            expect(
                student(x, H),
                want,
                f"split_heads(x, n_head={H}) with x of shape {tuple(x.shape)}",
                mistakes=mistakes,
            )
    check_gradient(
        lambda x: student(x, 2),
        lambda x: blocks(x, 2),
        normal(rng, 2, 3, 4),
        "split_heads(x, n_head=2)",
    )


@EXERCISES.add(
    attention.merge_heads,
    difficulty=1,
    minutes=4,
    hints=[
        "Undo split_heads, step by step, in reverse order.",
        "First swap H and T back, then join the last two dimensions into one. If .view complains, use .reshape.",
        "B, H, T, d = x.shape; x.transpose(1, 2) is (B, T, H, d); reshape it to (B, T, H * d).",
    ],
    mistakes={
        ".view cannot join dimensions that were swapped, as their numbers lie apart: use .reshape": (
            lambda x: x.transpose(1, 2).view(len(x), x.size(2), -1)
        ),
        "you averaged the heads; put them next to each other": lambda x: (
            x.float().mean(1).to(x.dtype)
        ),
        "only the first head is there; put all of them next to each other": lambda x: x[:, 0],
        "you put the heads one after the other in time; put them next to each other": (
            lambda x: x.flatten(1, 2)
        ),
        "you swapped T and d; swap H and T": lambda x: x.mT.reshape(len(x), x.size(2), -1),
        "you joined the texts of the batch; join the heads": lambda x: torch.cat(x.unbind(0), -1),
        "you made float32 of the numbers; keep their type": (
            lambda x: torch.cat(x.float().unbind(1), -1)
        ),
    },
)
def check_merge_heads(student: Callable, rng: random.Random) -> None:
    for B, T, H, d in SHAPES:
        for x in (
            distinct(rng, B, H, T, d),
            blocks(normal(rng, B, T, H * d), H),
            normal(rng, B, T, H, d).transpose(1, 2),
        ):
            want = torch.cat(x.unbind(1), dim=-1)
            mistakes = {
                "a reshape alone mixes positions and heads: swap H and T back first": x.reshape(B, T, H * d),
                "the features of the heads are interleaved; all of head 0 comes first, then all of head 1":
                    x.permute(0, 2, 3, 1).reshape(B, T, H * d),
                "you added the heads; put them next to each other": x.sum(1),
                "the heads are in reverse order": torch.cat(x.flip(1).unbind(1), dim=-1),
                "the heads are still apart, (B, T, H, d): join the last two dimensions": x.transpose(1, 2),
            }  # fmt: skip
            expect(
                student(x),
                want,
                f"merge_heads(x) with x of shape {tuple(x.shape)}",
                mistakes=mistakes,
            )
    check_gradient(
        student, lambda x: torch.cat(x.unbind(1), dim=-1), normal(rng, 2, 2, 3, 4), "merge_heads(x)"
    )
