"""Linear probes and what they do not show: labels, controls, erasing, and structure in noise, as
lesson 16 uses them.

Shapes: n examples (positions of texts), d features of an activation, k classes, which are whole
numbers from 0. A probe is a linear classifier: a direction in the activations for each class.
Source: Alain & Bengio 2016.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from course_utils.machine.devices import wide


class Probe(NamedTuple):
    """A linear classifier of activations: class scores x Wᵀ + b, the largest wins.

    Shapes: weight (k, d), bias (k,); a call turns x (..., d) into classes (...).

    >>> probe = Probe(
    ...     weight=torch.tensor([[-1.0, 0.0], [1.0, 0.0]]), bias=torch.tensor([0.5, -0.5])
    ... )
    >>> # feature 1 does not matter
    >>> x = torch.tensor([[0.0, 9.0], [1.0, 9.0], [0.2, 3.0], [0.9, 3.0]])
    >>> probe(x), probe.accuracy(x, torch.tensor([0, 1, 1, 1]))
    (tensor([0, 1, 0, 1]), 0.75)
    """

    weight: Tensor
    bias: Tensor

    def __call__(self, x: Tensor) -> Tensor:
        return (x @ self.weight.T + self.bias).argmax(-1)

    def accuracy(self, x: Tensor, y: Tensor) -> float:
        """The share of examples that are put into the right class."""
        return (self(x) == y).float().mean().item()


def fit_probe(x: Tensor, y: Tensor, decay: float = 1e-3, steps: int = 60) -> Probe:
    """Fit a linear probe: softmax regression with a penalty decay/2 · ‖W‖² on standardised
    features, by L-BFGS.

    Shapes: x (n, d), y (n,), whole numbers from 0. Raises: ValueError for labels that do not fit or
    have one class only.
    Source: Alain & Bengio 2016, "Understanding intermediate layers using linear classifier probes".

    >>> x = torch.tensor([[0.0, 1.0], [1.0, 0.0], [0.1, 0.9], [0.9, 0.2]])
    >>> fit_probe(x, torch.tensor([0, 1, 0, 1]))(x)
    tensor([0, 1, 0, 1])
    """
    check_labels(x, y)
    y = y.long()
    mean = x.mean(0)  # (d,)
    scale = x.std(0, correction=0).clamp(min=1e-6)  # (d,)
    z = (x - mean) / scale
    # (k, d)
    weight = torch.zeros(
        int(y.max()) + 1, x.size(1), dtype=x.dtype, device=x.device, requires_grad=True
    )
    bias = torch.zeros(len(weight), dtype=x.dtype, device=x.device, requires_grad=True)  # (k,)
    solver = torch.optim.LBFGS([weight, bias], max_iter=steps, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        solver.zero_grad()
        value = cross_entropy(z @ weight.T + bias, y) + decay / 2 * weight.square().sum()
        value.backward()
        return value

    with torch.enable_grad():
        solver.step(loss)
    weight = weight.detach() / scale
    return Probe(weight, bias.detach() - weight @ mean)


def check_labels(x: Tensor, y: Tensor) -> None:
    """Raise ValueError, which lists the labels that there are, unless x (n, d) and y (n,) can train
    a probe.

    >>> check_labels(torch.zeros(3, 2), torch.tensor([1, 1, 1]))
    Traceback (most recent call last):
    ValueError: all 3 labels are 1: a probe needs two classes at least. Take other texts, or another property
    """
    if x.ndim != 2 or y.shape != x.shape[:1] or y.is_floating_point() or not x.is_floating_point():
        raise ValueError(
            f"x {tuple(x.shape)} and y {tuple(y.shape)} are {x.dtype} and {y.dtype}: pass activations (n, d) "
            "and whole numbers (n,)"
        )
    if not x.isfinite().all():
        raise ValueError(
            "x has entries that are inf or nan: look where they come from before you probe"
        )
    there = y.unique().tolist()
    if len(there) < 2:
        raise ValueError(
            f"all {len(y)} labels are {there[0] if there else 'missing'}: a probe needs two classes at "
            "least. Take other texts, or another property"
        )
    if there[0] < 0:
        raise ValueError(f"labels are {there}, but they count from 0: map them to 0, 1, ... first")


def control_labels(ids: Tensor, y: Tensor, generator: torch.Generator) -> Tensor:
    """Labels without meaning: each word type gets a random one, the same wherever the word stands.

    The label of a type is drawn from y, so that frequent classes stay frequent.
    Shapes: ids and y (n,) -> (n,). Source: Hewitt & Liang 2019, "Designing and
    Interpreting Probes with Control Tasks", section 2.

    >>> ids = torch.tensor([5, 8, 5, 8, 5, 9])
    >>> y = torch.tensor([0, 1, 2, 0, 1, 2])
    >>> labels = control_labels(ids, y, torch.Generator().manual_seed(0))
    >>> [len(set(labels[ids == token].tolist())) for token in (5, 8, 9)]  # one for each type
    [1, 1, 1]
    """
    types, which = ids.unique(return_inverse=True)  # (types,), (n,): which type each token is
    drawn = y[torch.randint(len(y), types.shape, generator=generator)]  # (types,)
    return drawn[which]


def selectivity(x: Tensor, y: Tensor, control: Tensor, train: Tensor) -> float:
    """How much better a probe finds the property y than the control labels, on new examples.

    Both probes are fitted with `fit_probe` where train is True, and judged where it is False.
    Shapes: x (n, d), y and control (n,), train (n,) bool. Units: a difference of accuracies.
    Source: Hewitt & Liang 2019, section 2.

    >>> y, control = torch.tensor([0, 1] * 10), torch.tensor([0, 0, 1, 1] * 5)
    >>> x = torch.stack([y.float(), torch.zeros(20)], dim=1)  # y can be read, control cannot
    >>> selectivity(x, y, control, train=torch.arange(20) < 12)
    0.5
    """
    test = ~train
    task = fit_probe(x[train], y[train]).accuracy(x[test], y[test])
    chance = fit_probe(x[train], control[train]).accuracy(x[test], control[test])
    return task - chance


# --- Erasing --------------------------------------------------------------------------------------


def erase_directions(x: Tensor, directions: Tensor, mean: Tensor) -> Tensor:
    """Take away from x all that lies along some directions; what is left there is the mean.

    The directions need not be orthogonal, nor of length 1.
    Shapes: x (..., d), directions (k, d), linearly independent, mean (d,) -> (..., d).
    Source: Ravfogel et al. 2020, "Null It Out", section 3.

    >>> x = torch.tensor([[1.0, 2.0, 3.0]])
    >>> slanted = torch.tensor([[1.0, 0.0, 0.0], [1.0, 1.0, 0.0]])
    >>> erase_directions(x, slanted, mean=torch.tensor([0.5, 0.5, 0.5])) + 0.0
    tensor([[0.5000, 0.5000, 3.0000]])
    """
    basis = torch.linalg.qr(directions.T).Q  # (d, k), orthonormal
    return x - ((x - mean) @ basis) @ basis.T


class Eraser(NamedTuple):
    """An affine map x -> x - (x - mean) Pᵀ: what P sees of x is replaced by what it sees of the
    mean.

    Shapes: P (d, d), mean (d,); a call turns x (..., d) into (..., d).

    >>> erase_first = Eraser(
    ...     P=torch.tensor([[1.0, 0.0], [0.0, 0.0]]), mean=torch.tensor([0.5, 0.5])
    ... )
    >>> erase_first(torch.tensor([[0.0, 9.0], [1.0, 3.0]]))
    tensor([[0.5000, 9.0000],
            [0.5000, 3.0000]])
    """

    P: Tensor
    mean: Tensor

    def __call__(self, x: Tensor) -> Tensor:
        return x - (x - self.mean) @ self.P.T


def leace(x: Tensor, y: Tensor) -> Eraser:
    """The smallest affine change after which no linear probe does better than to guess
    (least-squares concept erasure).

    Shapes: x (n, d), y (n,). It removes k - 1 directions for k classes. Raises: as `fit_probe`.
    Source: Belrose et al. 2023, "LEACE: Perfect linear concept erasure in closed form", section 4.

    >>> x = torch.tensor([[0.0, 1.0], [1.0, 0.0], [0.5, 1.0], [1.0, 0.5]])
    >>> y = torch.tensor([0, 1, 0, 1])
    >>> left = leace(x, y)(x)
    >>> torch.allclose(left[y == 0].mean(0), left[y == 1].mean(0), atol=1e-6)
    True
    """
    check_labels(x, y)
    x64 = wide(x)
    mean = x64.mean(0)
    z = x64 - mean  # (n, d)
    onehot = wide(torch.nn.functional.one_hot(y.long()))  # (n, k)
    values, vectors = torch.linalg.eigh(z.T @ z / len(z))  # covariance
    root = values.clamp(min=0).sqrt()  # (d,)
    there = root > 1e-6 * root.max()
    whiten = (vectors[:, there] / root[there]) @ vectors[:, there].T  # (d, d), W
    unwhiten = (vectors[:, there] * root[there]) @ vectors[:, there].T  # W⁺
    cross = whiten @ z.T @ (onehot - onehot.mean(0)) / len(z)  # (d, k), W Σ_xz
    U, S, _ = torch.linalg.svd(cross, full_matrices=False)
    U = U[:, S > 1e-6 * S.max()]  # (d, k - 1)
    return Eraser((unwhiten @ U @ U.T @ whiten).to(x), mean.to(x))


# --- Few or many features -------------------------------------------------------------------------


def best_features(x: Tensor, y: Tensor) -> Tensor:
    """The features, from the one that tells two classes apart best by itself: by the difference of
    means over the spread.

    Shapes: x (n, d), y (n,) of 0 and 1 -> (d,), indices. Raises: as `fit_probe`; ValueError for
    more than two classes.
    Source: Gurnee et al. 2023, "Finding Neurons in a Haystack" (there: maximum mean difference).

    >>> x = torch.tensor([[0.0, 5.0, 1.0], [1.0, 5.0, 0.9], [0.0, 9.0, 1.1], [1.0, 9.0, 1.0]])
    >>> best_features(x, torch.tensor([0, 0, 1, 1])).tolist()
    [1, 2, 0]
    """
    check_labels(x, y)
    if int(y.max()) > 1:
        raise ValueError(
            f"labels are {y.unique().tolist()}: best_features compares two classes, 0 and 1"
        )
    gap = (x[y == 1].mean(0) - x[y == 0].mean(0)).abs()  # (d,)
    return (gap / x.std(0, correction=0).clamp(min=1e-6)).argsort(descending=True, stable=True)


def best_detector(x: Tensor, y: Tensor) -> tuple[int, float, int]:
    """The single feature that tells two classes apart best, and how: yes where sign · x > limit.

    The limit is the one of 49 quantiles with the best F1 (the harmonic mean of precision and recall)
    on these examples; judge it on others. Shapes: x (n, d), y (n,) bool -> (feature, limit, sign 1
    or -1). Raises: as `best_features`.

    >>> x = torch.tensor([[3.0, 1.0], [4.0, 2.0], [-1.0, 1.0], [-2.0, 2.0]])
    >>> unit, limit, sign = best_detector(x, torch.tensor([False, False, True, True]))
    >>> unit, sign, (sign * x[:, unit] > limit).tolist()
    (0, -1, [False, False, True, True])
    """
    unit = best_features(x, y.long())[0].item()
    v = x[:, unit]
    sign = 1 if v[y].mean() > v[~y].mean() else -1
    limits = (sign * v).quantile(torch.linspace(0.02, 0.98, 49).to(v))  # (49,)
    said = sign * v > limits[:, None]  # (49, n)
    f1 = 2 * (said & y).sum(1) / (said.sum(1) + y.sum())  # (49,)
    return unit, limits[f1.argmax()].item(), sign


def sparse_accuracy(x: Tensor, y: Tensor, train: Tensor, ks: tuple[int, ...]) -> list[float]:
    """How well probes that see only the best k features do on new examples, for each k.

    Features are chosen and probes fitted where train is True. Shapes: x (n, d), y (n,) of 0 and 1,
    train (n,) bool.

    >>> x = torch.tensor([[0.0, 1.0], [1.0, 1.0], [0.0, 0.0], [1.0, 0.0]]).repeat(2, 1)
    >>> sparse_accuracy(x, torch.tensor([1, 1, 0, 0] * 2), train=torch.arange(8) < 4, ks=(1, 2))
    [1.0, 1.0]
    """
    order = best_features(x[train], y[train])
    chosen = [x[:, order[:k]] for k in ks]
    return [fit_probe(z[train], y[train]).accuracy(z[~train], y[~train]) for z in chosen]


# --- Structure in noise ---------------------------------------------------------------------------


def separable_share(n: int, d: int) -> float:
    """Of all ways to label n points in d dimensions with two classes, the share that a hyperplane
    can separate.

    The plane goes through the origin, the points are in general position; a bias is one dimension
    more.
    Raises: ValueError for n or d below 1.
    Source: Cover 1965, "Geometrical and Statistical Properties of Systems of Linear Inequalities",
    theorem 1.

    >>> separable_share(3, 3), separable_share(4, 2), separable_share(20, 10)
    (1.0, 0.5, 0.5)
    """
    if n < 1 or d < 1:
        raise ValueError(f"n={n}, d={d}: give one point and one dimension at least")
    return sum(math.comb(n - 1, i) for i in range(min(n, d))) / 2 ** (n - 1)


def explained(x: Tensor) -> Tensor:
    """The share of the variance along each principal component, from the largest.

    Shapes: x (n, d) -> (min(n, d),).

    >>> explained(torch.tensor([[3.0, 0.0], [-3.0, 0.0], [0.0, 1.0], [0.0, -1.0]]))
    tensor([0.9000, 0.1000])
    """
    power = torch.linalg.svdvals(x - x.mean(0)).square()
    return power / power.sum()


def p_value(found: float, null: Tensor) -> float:
    """How often chance does at least as well: (1 + how many of the null's values reach what was
    found) / (1 + all).

    Shapes: null (m,), the same number measured m times where there is nothing to find.
    Source: Phipson & Smyth 2010, "Permutation P-values Should Never Be Zero".

    >>> p_value(0.8, null=torch.tensor([0.5, 0.6, 0.9]))
    0.5
    """
    return (1 + int((null >= found).sum())) / (1 + len(null))
