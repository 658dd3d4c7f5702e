"""Exercises of lesson 06. The right values come from einsum and plain loops in float64, the batches
are judged by their statistics.
"""

import itertools
import math
import random
from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from scipy import stats
from torch import Tensor

from course_utils.checking import Exercises, Wrong, draws, expect
from course_utils.checking.inputs import check_gradient, dice, normal
from course_utils.superposition import toy_model as superposition

EXERCISES = Exercises()
ZERO = 2**-24  # the chance that torch.rand gives exactly 0 in float32


def uniform(rng: random.Random, *shape: int, low: float = 0.1, high: float = 1.0) -> Tensor:
    generator = torch.Generator().manual_seed(rng.randrange(2**31))
    return torch.rand(shape, generator=generator) * (high - low) + low


def tensor_like(got: object, want_shape: tuple[int, ...], call: str) -> None:
    if not isinstance(got, Tensor) or tuple(got.shape) != want_shape or got.dtype != torch.float32:
        expect(got, torch.zeros(want_shape), call)


@EXERCISES.add(
    superposition.feature_batch,
    difficulty=2,
    minutes=10,
    hints=[
        "Two throws for each feature: one decides whether it is there, the other how large it is. And a look at S first: it must be "
        "at least 0 and below 1.",
        "torch.rand(batch, n_features, generator=generator) >= s is True with probability 1 - s. To do it for all instances at "
        "once, give S two dimensions more: S[:, None, None].",
        "active = torch.rand(…) >= S[:, None, None] is (N, batch, n_features); return active * torch.rand(batch, n_features, "
        "generator=generator). Both take device=S.device.",
    ],
    refuses=[
        (torch.tensor([1.0]), 2, 3, torch.Generator()),
        (torch.tensor([0.5, -0.1]), 2, 3, torch.Generator()),
        (torch.tensor([0.5, 1.5]), 2, 3, torch.Generator()),
    ],
)
def check_feature_batch(student: Callable, rng: random.Random) -> None:
    with torch.random.fork_rng(devices=[]):  # the student's draws are the same at every check
        torch.manual_seed(rng.randrange(2**31))
        seed = rng.randrange(2**31)
        B = 1500
        n = 6
        S = torch.tensor([0.0, rng.uniform(0.15, 0.35), rng.uniform(0.65, 0.85)])
        call = f"feature_batch(S, batch={B}, n_features={n}, generator) with S = {[round(s, 2) for s in S.tolist()]}"
        generator = dice(seed)
        before = torch.get_rng_state()
        x = student(S, B, n, generator)
        again = student(S, B, n, generator)
        tensor_like(x, (3, B, n), call)
        if not torch.equal(before, torch.get_rng_state()):
            raise Wrong(
                f"{call}: you used torch's global dice. Pass generator=generator to torch.rand, so that a run can be repeated."
            )
        if torch.equal(x, again):
            raise Wrong(
                f"{call}: two calls in a row gave the same batch. Draw from the generator, and do not seed it inside."
            )
        if not torch.equal(x, student(S, B, n, dice(seed))):
            raise Wrong(
                f"{call}: the same seed gave another batch. All dice must come from the generator."
            )
        check_values(x, S, call)
        check_independence(x, S, call)
        check_many_batches(student, S, seed, call)


def check_values(x: Tensor, S: Tensor, call: str) -> None:
    if (x < 0).any():
        raise Wrong(
            f"{call}: there are negative features. The sizes are uniform between 0 and 1: torch.rand, not torch.randn."
        )
    if (x > 1).any():
        raise Wrong(
            f"{call}: there are features above 1. The sizes are uniform between 0 and 1, and are not rescaled."
        )
    active = x > 0
    if (active == active[:, :1]).all() and not active.all():
        raise Wrong(
            f"{call}: all examples have the same features. Draw the dice for each example: shape (batch, n_features)."
        )
    if (active == active[..., :1]).all() and not active.all():
        raise Wrong(
            f"{call}: in each example all features are active, or none is. Each feature needs a die of its own."
        )
    for k, s in enumerate(S.tolist()):
        mask = x[k] > 0
        count = int((~mask).sum())
        said = f"{call}: in instance {k} a share of {count / mask.numel():.2f} is 0; "
        draws.must_have_share(
            count,
            mask.numel(),
            s + ZERO,
            f"{said}the share of zeros should be S.",
            {f"{said}S is the probability of a 0, not of a feature.": 1 - s},
        )
        sizes = x[k][x[k] > 0]
        if sizes.std() < 0.01:
            raise Wrong(
                f"{call}: every active feature has the size {sizes.mean():.2f}. It must be uniform between 0 and 1, not on or off."
            )
        if (x[k] == x[k, :1]).all():
            raise Wrong(
                f"{call}: all examples have the same sizes. Draw the dice for each example: shape (batch, n_features)."
            )
        if (x[k] == x[k, :, :1]).all():
            raise Wrong(
                f"{call}: in each example all features have the same size. Each feature needs a die of its own."
            )
        between = ((sizes - s) / (1 - s)).clamp(0, 1)
        if s > 0.1 and stats.kstest(between.numpy(), "uniform").pvalue > 1e-3:
            raise Wrong(
                f"{call}: in instance {k} the active features lie between S and 1: one die decided both. Stretch them back, or throw twice."
            )
        draws.must_be_even(
            sizes,
            f"{call}: the active features of instance {k} have the mean {sizes.mean():.2f} and the mean square "
            f"{sizes.square().mean():.2f}; uniform between 0 and 1 means 0.50 and 0.33.",
        )
        if len(sizes.unique()) < 0.97 * len(sizes):
            raise Wrong(
                f"{call}: only {len(sizes.unique())} of {len(sizes)} sizes are different. Draw them by torch.rand, not from a few values."
            )
        if k and (mask & ~(x[k - 1] > 0)).any():
            raise Wrong(
                f"{call}: a feature is active in instance {k}, which is sparser, and not in instance {k - 1}. The instances share "
                "their dice: throw (batch, n_features) of them, and compare them with each S."
            )


def check_independence(x: Tensor, S: Tensor, call: str) -> None:
    active = (x[2] > 0).double()  # (B, n)
    n = active.shape[1]
    draws.must_be_independent(x[2] > 0, 1 - S[2].item(), call, ("example", "feature"))
    p = S[2].item()
    for name, values, chance in (
        ("whether they are active", x[2] > 0, draws.agreement([p, 1 - p])),
        ("their sizes", x[0] > 0.5, 0.5),
    ):
        together = f"{call}: two features hang together in {name}. Each needs dice of its own."
        for i, j in itertools.combinations(range(n), 2):
            draws.must_not_agree(values[:, i], values[:, j], chance, together)
        draws.must_not_agree(
            *draws.pairs(values),
            chance,
            f"{call}: examples hang together with their neighbours in {name}. Each needs dice of its own.",
        )


def check_many_batches(student: Callable, S: Tensor, seed: int, call: str) -> None:
    """Nothing comes equally often in each of many batches."""
    generator = dice(seed + 1)
    many = torch.stack([student(S, 250, 6, generator) for _ in range(12)])  # (12, N, 250, 6)
    draws.must_be_even(
        many[:, 0].flatten(), f"{call}: the sizes must be uniform between 0 and 1, from end to end."
    )
    for k in (1, 2):
        came = many[:, k] > 0
        draws.must_be_independent(came, 1 - S[k].item(), call, ("batch", "example", "feature"))


# --- reconstruct ----------------------------------------------------------------------------------


def toy_inputs(
    rng: random.Random, N: int | None, B: int, n: int, m: int, dtype: torch.dtype = torch.float32
) -> tuple[Tensor, Tensor, Tensor]:
    lead = () if N is None else (N,)
    return (
        uniform(rng, *lead, B, n).to(dtype),
        normal(rng, *lead, m, n, dtype=dtype),
        normal(rng, *lead, n, dtype=dtype) * 0.5,
    )


def reconstruct_oracle(x: Tensor, W: Tensor, b: Tensor, linear: bool = False) -> Tensor:
    out = torch.einsum("...mi,...mj,...bj->...bi", W, W, x) + b[..., None, :]
    return out if linear else out.clamp(min=0)


def _bent(out: Tensor, linear: bool) -> Tensor:
    return out if linear else torch.relu(out)


def _reconstruct_mistakes(x: Tensor, W: Tensor, b: Tensor, linear: bool) -> dict[str, Tensor]:
    """What the usual slips make of x (..., B, n)."""
    row = b[..., None, :]
    bent = partial(_bent, linear=linear)
    hidden = torch.einsum("...mj,...bj->...bm", W, x)
    read = torch.einsum("...mi,...bm->...bi", W, hidden)
    out = read + row
    mistakes = {
        "you forgot the bias b": bent(read),
        "the bias comes before the ReLU: add it first, then bend": bent(read) + row,
        "you left out the ReLU": out,
        "linear=True leaves the ReLU out": torch.relu(out),
        "linear is turned round: only linear=True leaves the ReLU out": torch.relu(out) if linear else out,
        "the hidden layer has no ReLU; only the output is bent":
            torch.einsum("...mi,...bm->...bi", W, hidden.relu()) + row,
        "both layers are bent; only the output is":
            bent(torch.einsum("...mi,...bm->...bi", W, bent(hidden)) + row),
        "you subtracted the bias": bent(read - row),
        "you used GELU; the output is bent by a ReLU": out if linear else F.gelu(out),
        "you used a sigmoid; the output is bent by a ReLU": out if linear else out.sigmoid(),
    }  # fmt: skip
    if x.ndim > 2:
        mistakes["you gave back the first instance only; give all of them"] = bent(out)[0]
    return mistakes


@EXERCISES.add(
    superposition.reconstruct,
    difficulty=1,
    minutes=6,
    hints=[
        "Two products. The first brings n features down to m numbers, with W; the second brings them back, with the transpose.",
        "x holds its examples as rows, so W x becomes x @ W.mT, and Wᵀ h becomes h @ W. The bias joins before the ReLU.",
        "hidden = x @ W.mT; out = hidden @ W + b.unsqueeze(-2): b (N, n) becomes (N, 1, n), one row for all examples. Return out if "
        "linear, else torch.relu(out).",
    ],
    mistakes={
        "each instance has its own bias, the same for all its examples: b.unsqueeze(-2)": (
            lambda x, W, b, linear=False: _bent(x @ W.mT @ W + b, linear)
        ),
        "you applied W twice; the second time it is Wᵀ": (
            lambda x, W, b, linear=False: _bent(x @ W.mT @ W.mT + b.unsqueeze(-2), linear)
        ),
        "hidden is W x, then Wᵀ reads back; yours has the two the other way round": (
            lambda x, W, b, linear=False: _bent(x @ W @ W.mT + b.unsqueeze(-2), linear)
        ),
        ".T turns all dimensions round, that of the instances, too; .mT only the last two": (
            lambda x, W, b, linear=False: _bent(
                x @ W.permute(*range(W.ndim)[::-1]) @ W + b.unsqueeze(-2), linear
            )
        ),
    },
)
def check_reconstruct(student: Callable, rng: random.Random) -> None:
    for N, B, n, m in (
        (4, 4, 4, 4),
        (None, 4, 5, 2),
        (3, 4, 5, 2),
        (2, 2, 6, 3),
        (5, 5, 3, 1),
        (None, 3, 3, 3),
    ):
        for linear in (False, True):
            x, W, b = toy_inputs(rng, N, B, n, m)
            want = reconstruct_oracle(x, W, b, linear)
            mistakes = _reconstruct_mistakes(x, W, b, linear)
            call = f"reconstruct(x, W, b{', linear=True' if linear else ''}) with x of shape {tuple(x.shape)} and W of shape {tuple(W.shape)}"
            got = student(x, W, b, linear=True) if linear else student(x, W, b)
            expect(got, want, call, mistakes=mistakes)
    x, W, b = toy_inputs(rng, 3, 4, 5, 2)
    expect(
        student(x[0], W, b),
        reconstruct_oracle(x[0].expand(3, 4, 5), W, b),
        "reconstruct(x, W, b) with one batch (4, 5) for three instances",
    )
    _check_reconstruct_gradients(student, rng)


def _check_reconstruct_gradients(student: Callable, rng: random.Random) -> None:
    """The gradients that reach W and b."""
    x, W, b = toy_inputs(rng, None, 4, 5, 2, torch.float64)
    check_gradient(
        lambda W: student(x, W, b),
        lambda W: reconstruct_oracle(x, W, b),
        W,
        "reconstruct(x, W, b) with respect to W",
    )
    pull = normal(rng, 4, 5, dtype=torch.float64)

    def pulled(function: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
        """The gradient that reaches W from function(W, itself without a gradient)."""
        fresh = W.detach().requires_grad_()
        return torch.autograd.grad((function(fresh * 1, W.detach()) * pull).sum(), fresh)[0]

    expect(
        pulled(lambda W, _: student(x, W, b)),
        pulled(lambda W, _: reconstruct_oracle(x, W, b)),
        "the gradient of reconstruct(x, W, b) with respect to W",
        mistakes={
            "the gradient does not reach the W that reads back: no .detach()": pulled(
                lambda W, cut: torch.relu(x @ W.mT @ cut + b)
            ),
            "the gradient does not reach the W that makes the hidden layer: no .detach()": pulled(
                lambda W, cut: torch.relu(x @ cut.mT @ W + b)
            ),
        },
    )
    check_gradient(
        lambda b: student(x, W, b),
        lambda b: reconstruct_oracle(x, W, b),
        b,
        "reconstruct(x, W, b) with respect to b",
    )


# --- feature_dimensionality -----------------------------------------------------------------------


def dimensionality_oracle(W: Tensor) -> Tensor:
    """By the formula, feature by feature."""
    columns = [W[..., i].double() for i in range(W.shape[-1])]  # n tensors (..., m)
    values = []
    for w in columns:
        length = w.square().sum(-1)  # (...)
        crowd = sum(
            ((w * other).sum(-1) / length.sqrt().clamp(min=1e-300)) ** 2 for other in columns
        )
        values.append(
            torch.where(length > 0, length / crowd.clamp(min=1e-300), torch.zeros_like(length))
        )
    return torch.stack(values, -1).to(W.dtype)


def _dimensionality_mistakes(W: Tensor) -> dict[str, Tensor]:
    """What the usual slips make of W (..., m, n)."""
    gram = torch.einsum("...mi,...mj->...ij", W.double(), W.double())
    lengths = gram.diagonal(dim1=-2, dim2=-1)  # (..., n), squared
    own = torch.eye(W.size(-1), dtype=torch.bool)
    unit = gram / lengths.sqrt()[..., :, None]  # Ŵ_i · W_j
    mistakes = {
        "features are the columns of W; you took the rows": dimensionality_oracle(W.mT).double(),
        "j runs over all features, i itself too": lengths / unit.square().masked_fill(own, 0).sum(-1),
        "divide by the sum of the squares; you took absolute values": lengths / unit.abs().sum(-1),
        "W_i has length 1 in the sum; you left it as it is": lengths / gram.square().sum(-1),
        "both were brought to length 1; in the sum W_j keeps its length": lengths / (unit / lengths.sqrt()[..., None, :]).square().sum(-1),
        "the wrong one of the two has length 1, or the sum runs over it: W_i has length 1, and j runs over all features":
            lengths / (gram / lengths.sqrt()[..., None, :]).square().sum(-1),
        "the numerator is the squared length ‖W_i‖²": lengths.sqrt() / unit.square().sum(-1),
        "you returned the sum alone: divide ‖W_i‖² by it": unit.square().sum(-1),
        "that is the fraction turned round: ‖W_i‖² stands above": unit.square().sum(-1) / lengths,
        "that is D* = m / ‖W‖², one number for all features": (W.shape[-2] / lengths.sum(-1, keepdim=True)).expand(lengths.shape),
        "you returned the sum over the features; each has its own dimensionality": (lengths / unit.square().sum(-1)).sum(-1),
    }  # fmt: skip
    if unit.sum(-1).abs().min() > 0.05:  # else rounding decides
        mistakes["divide by the sum of the squares; you did not square Ŵ_i · W_j"] = (
            lengths / unit.sum(-1)
        )
    return {sentence: value.float() for sentence, value in mistakes.items()}


@EXERCISES.add(
    superposition.feature_dimensionality,
    difficulty=2,
    minutes=10,
    gradients=False,  # a measurement of trained weights
    hints=[
        "All dot products at once: W.mT @ W is (..., n, n). Where in it are the squared lengths?",
        "On its diagonal. Ŵ_i · W_j is W_i · W_j divided by the length of W_i: so the sum over j is a row's sum of squares, divided by "
        "‖W_i‖². What does the whole fraction become?",
        "‖W_i‖⁴ / Σ_j (W_i · W_j)²: gram.diagonal(dim1=-2, dim2=-1).square() / gram.square().sum(-1). Keep the denominator above 0 "
        "with .clamp(min=1e-30).",
    ],
    mistakes={
        ".T turns all dimensions round, that of the instances, too; .mT only the last two": (
            lambda W: (
                (gram := W.permute(*range(W.ndim)[::-1]) @ W).diagonal(dim1=-2, dim2=-1) ** 2
                / gram.square().sum(-1).clamp(min=1e-30)
            )
        )
    },
)
def check_feature_dimensionality(student: Callable, rng: random.Random) -> None:
    for shape in ((4, 4, 4), (2, 5), (3, 3), (4, 2, 6), (2, 3, 4, 4), (1, 3)):
        W = normal(rng, *shape)
        want = dimensionality_oracle(W)
        mistakes = _dimensionality_mistakes(W)
        expect(
            student(W),
            want,
            f"feature_dimensionality(W) with W of shape {shape}",
            mistakes=mistakes,
            tol=1e-4,
        )
    pentagon = torch.tensor(
        [[math.cos(2 * math.pi * k / 5), math.sin(2 * math.pi * k / 5)] for k in range(5)]
    ).T
    size = rng.uniform(0.5, 1.5)
    expect(
        student(size * pentagon),
        torch.full((5,), 0.4),
        f"feature_dimensionality(W) of a regular pentagon of size {size:.2f}",
        tol=1e-4,
    )
    W = normal(rng, 2, 3, 4)
    W[1, :, 2] = 0
    got = student(W)
    call = "feature_dimensionality(W) where one feature has length 0"
    if isinstance(got, Tensor) and got.shape == (2, 4) and not torch.isfinite(got).all():
        raise Wrong(
            f"{call}: there is nan in the result. Such a feature has the dimensionality 0: keep the denominator above 0."
        )
    expect(got, dimensionality_oracle(W), call, tol=1e-4)
    W = normal(rng, 3, 5, dtype=torch.float64)
    expect(
        student(W), dimensionality_oracle(W), "feature_dimensionality(W) in torch.float64", tol=1e-8
    )


# --- border ---------------------------------------------------------------------------------------


def border_oracle(importance: float) -> float:
    """By halving the interval: where the price of sharing passes that of dropping."""
    low, high = 0.0, 1.0
    for _ in range(60):
        p = (low + high) / 2
        names, prices = superposition.ideal_losses(
            torch.tensor(1 - p, dtype=torch.float64),
            torch.tensor([1.0, importance], dtype=torch.float64),
        )
        if names[int(prices.argmin())].startswith("pair"):
            low = p
        else:
            high = p
    return (low + high) / 2


@EXERCISES.add(
    superposition.border,
    difficulty=3,
    minutes=14,
    gradients=False,
    hints=[
        "Write down two prices as functions of p. Dropping: what does a feature cost that is answered by its mean? Sharing: who is "
        "wrong, by how much, and how often?",
        "Dropping costs the smaller importance times the variance, E[x²] - E[x]² = p/3 - p²/4. If both are there, each answer is too "
        "small by the smaller of the two sizes, or is 0: the error is min(x, y), and E[min(x, y)²] = 1/6. Both are there with probability p².",
        "With d = min(1, I): d (p/3 - p²/4) = (1 + I) p²/6. Divide by p and solve for p.",
    ],
    refuses=[(0.0,), (-1.0,)],
    mistakes={
        "above importance 1 it is feature 0 that would be dropped": (
            lambda importance: 4 * importance / (2 + 5 * importance)
        ),
        "a dropped feature is answered by its mean, so that it costs its variance; yours is answered by 0": (
            lambda importance: 2 * min(1, importance) / (1 + importance)
        ),
        "dropping costs the importance times the variance; you left the importance out": (
            lambda importance: 4 / (3 + 2 * (1 + importance))
        ),
        "both features are wrong when they meet: their importances add up": (
            lambda importance: 4 * min(1, importance) / (3 * min(1, importance) + 2)
        ),
        "when two meet, the error of each is the smaller of the two sizes, whose mean square is 1/6; yours is 1/3": (
            lambda importance: (
                4 * min(1, importance) / (3 * min(1, importance) + 4 * (1 + importance))
            )
        ),
        "the less important feature is the one to drop; you dropped the other": (
            lambda importance: (
                4 * max(1, importance) / (3 * max(1, importance) + 2 * (1 + importance))
            )
        ),
        "whether a feature is there varies, too; 1/12 is the variance of its size alone": (
            lambda importance: min(1, importance) / (2 * (1 + importance))
        ),
        "that is the sparsity S; return the density p = 1 - S": (
            lambda importance: 1 - superposition.border(importance)
        ),
    },
)
def check_border(student: Callable, rng: random.Random) -> None:
    below = rng.uniform(0.15, 0.45)
    above = rng.uniform(2.0, 5.0)
    for importance in (below, above, rng.uniform(0.6, 0.9), 1.0):
        expect(
            student(importance), border_oracle(importance), f"border({importance:.4g})", tol=1e-6
        )


# --- ablate ---------------------------------------------------------------------------------------


def ablate_oracle(hidden: Tensor, W: Tensor, feature: int) -> Tensor:
    w = W[..., feature]
    along = torch.einsum("...bm,...m->...b", hidden, w) / w.square().sum(-1)[..., None]
    return hidden - torch.einsum("...b,...m->...bm", along, w)


@EXERCISES.add(
    superposition.ablate,
    difficulty=2,
    minutes=8,
    gradients=False,  # an experiment on a trained model
    hints=[
        "A feature is a direction: a column of W. How much of a hidden vector lies along a direction of length 1?",
        "Their dot product. The part is that number times the direction; take it away. Each example has a number of its own.",
        "direction = torch.nn.functional.normalize(W[..., feature], dim=-1).unsqueeze(-2); then hidden - (hidden * direction).sum(-1, "
        "keepdim=True) * direction.",
    ],
    mistakes={
        "features are the columns of W; you took a row": (
            lambda hidden, W, feature: superposition.ablate(hidden, W.mT, feature)
        ),
        "each instance has its own direction: keep a dimension for the examples, unsqueeze(-2)": (
            lambda hidden, W, feature: (
                hidden
                - (hidden * (w := F.normalize(W[..., feature], dim=-1))).sum(-1, keepdim=True) * w
            )
        ),
    },
)
def check_ablate(student: Callable, rng: random.Random) -> None:
    for N, B, m, n in ((4, 4, 4, 4), (None, 4, 3, 5), (3, 4, 2, 5), (2, 5, 3, 3), (3, 3, 5, 4)):
        lead = () if N is None else (N,)
        hidden = normal(rng, *lead, B, m)
        W = normal(rng, *lead, m, n) * 1.7
        i = rng.randrange(min(n, m))
        want = ablate_oracle(hidden, W, i)
        w = W[..., i][..., None, :]  # (..., 1, m)
        dot = (hidden * w).sum(-1, keepdim=True)
        size = w.square().sum(-1, keepdim=True)
        part = dot / size  # (..., B, 1), in lengths of w
        mistakes = {
            "the direction must have length 1: divide W_feature by its length first": hidden - dot * w,
            "divide by the squared length ‖W‖² once, or normalise first; you divided by the length only":
                hidden - dot / size.sqrt() * w,
            "you took W_feature away as it is; take away the part of hidden that lies along it": hidden - w,
            "you took the unit direction away; take away the part of hidden that lies along it":
                hidden - w / size.sqrt(),
            "that is the part along the feature; return what is left without it": part * w,
            "you added the part along the feature; subtract it": hidden + part * w,
            "that mirrors hidden; subtract the part once, not twice": hidden - 2 * part * w,
            "you took away the absolute value of the part; keep its sign": hidden - part.abs() * w,
            "you took away positive parts only; negative ones go, too": hidden - part.clamp(min=0) * w,
            "each example has a part of its own; you took their mean": hidden - part.mean(-2, keepdim=True) * w,
            "a feature is a direction, not a coordinate of the hidden space":
                torch.where(torch.arange(m) == i, torch.zeros(()), hidden),
            "nothing was taken away: hidden came back as it was": hidden,
        }  # fmt: skip
        call = f"ablate(hidden, W, feature={i}) with hidden of shape {tuple(hidden.shape)} and W of shape {tuple(W.shape)}"
        expect(student(hidden, W, i), want, call, mistakes=mistakes)
    hidden = normal(rng, 4, 3)
    W = normal(rng, 3, 5)
    W[:, 2] = 0
    got = student(hidden, W, 2)
    call = "ablate(hidden, W, feature=2) where that feature has length 0"
    if isinstance(got, Tensor) and not torch.isfinite(got).all():
        raise Wrong(
            f"{call}: there is nan in the result. Nothing lies along such a feature: keep what you divide by above 0."
        )
    expect(got, hidden, f"{call}, so that nothing changes")
