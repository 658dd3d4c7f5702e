"""Superposition, as lesson 06 measures it: toy models that keep more features than they have hidden
dimensions.

Shapes: N instances (models trained at once, as one tensor), B examples, n features, m hidden
dimensions. W is (..., m, n): column i is the direction that feature i has in the hidden space. S is
the sparsity, the probability that a feature is 0; p = 1 - S is its density. Source of what says no
other: Elhage et al. 2022, "Toy Models of Superposition".
"""

import math
from collections.abc import Callable, Iterable

import numpy as np
import torch
from torch import Tensor, nn

Draw = Callable[[Tensor, int, int, torch.Generator], Tensor]


def feature_batch(S: Tensor, batch: int, n_features: int, generator: torch.Generator) -> Tensor:
    """Draw sparse features: each is 0 with probability S, else uniform between 0 and 1.

    Shapes: S (N,), one sparsity for each instance -> (N, batch, n_features), on S's device.
    The instances share their dice: they differ in sparsity only, which makes them easy to compare.
    Raises: ValueError unless 0 <= S < 1. Source: Elhage et al. 2022, section 2.

    >>> x = feature_batch(torch.tensor([0.0, 0.9]), 10_000, 5, torch.Generator().manual_seed(0))
    >>> x.shape, [round(share, 2) for share in (x == 0).float().mean((1, 2)).tolist()]
    (torch.Size([2, 10000, 5]), [0.0, 0.9])
    """
    if not bool(((S >= 0) & (S < 1)).all()):
        raise ValueError(
            "a sparsity S must be at least 0 and below 1: it is the probability that a feature is 0"
        )
    active = torch.rand(batch, n_features, generator=generator, device=S.device) >= S[:, None, None]
    # (N, batch, n_features)
    return active * torch.rand(batch, n_features, generator=generator, device=S.device)


def zipf_batch(active: float = 2.0) -> Draw:
    """Return a `feature_batch` of features that are not equally frequent: the k-th comes in
    proportion to 1/k, `active` of them on average. The sparsity S is not used.

    Raises: ValueError where the first feature would come with a probability above 1.
    Source: Liu, Liu & Gore 2025, "Superposition Yields Robust Neural Scaling".

    >>> dice = torch.Generator().manual_seed(0)
    >>> x = zipf_batch(1.5)(torch.zeros(1), 10_000, 4, dice)
    >>> [round(share, 1) for share in (x > 0).float().mean((0, 1)).tolist()]  # 12/25 · 1.5 / k
    [0.7, 0.4, 0.2, 0.2]
    """

    def draw(S: Tensor, batch: int, n_features: int, generator: torch.Generator) -> Tensor:
        frequency = 1 / torch.arange(1, n_features + 1, device=S.device)
        p = active * frequency / frequency.sum()  # (n,)
        if p[0] > 1:
            raise ValueError(
                f"{active} active features of {n_features}: the first would need p > 1"
            )
        came = torch.rand(batch, n_features, generator=generator, device=S.device) < p
        sizes = torch.rand(batch, n_features, generator=generator, device=S.device)
        return (came * sizes).expand(len(S), batch, n_features)

    return draw


def reconstruct(x: Tensor, W: Tensor, b: Tensor, linear: bool = False) -> Tensor:
    """Squeeze features into the hidden space and read them back: x' = ReLU(WᵀWx + b).

    With `linear`, there is no ReLU.

    Shapes: x (..., B, n), W (..., m, n), b (..., n) -> (..., B, n). Source: Elhage et al. 2022.

    >>> W, b = torch.tensor([[1.0, -1.0]]), torch.zeros(2)  # two features in one dimension
    >>> reconstruct(torch.tensor([[0.5, 0.0], [0.0, 0.5], [0.5, 0.5]]), W, b)
    tensor([[0.5000, 0.0000],
            [0.0000, 0.5000],
            [0.0000, 0.0000]])
    """
    hidden = x @ W.mT  # (..., B, m)
    out = hidden @ W + b.unsqueeze(-2)  # (..., B, n)
    return out if linear else torch.relu(out)


def weighted_loss(x: Tensor, y: Tensor, importance: Tensor) -> Tensor:
    """Return Σ_i I_i (x_i - y_i)² for each instance, averaged over its examples.

    Shapes: x and y (..., B, n), importance (n,) or (..., n) -> (...).
    Source: Elhage et al. 2022, section 2.

    >>> x, y = torch.tensor([[1.0, 0.0], [1.0, 1.0]]), torch.tensor([[1.0, 1.0], [0.0, 0.0]])
    >>> weighted_loss(x, y, importance=torch.tensor([1.0, 0.5]))
    tensor(1.)
    """
    return (importance.unsqueeze(-2) * (x - y).square()).sum(-1).mean(-1)


class ToyModel(nn.Module):
    """Many toy models at once: instance k computes ReLU(W_kᵀ W_k x + b_k).

    `linear` leaves the ReLU out. `tied=False` reads back with a matrix of its own, `V`, in place of
    W: x' = ReLU(Vᵀ W x + b). `neurons` bends the hidden vector too, x' = ReLU(Wᵀ ReLU(W x) + b).
    `unit` holds each feature's direction at length 1.

    Shapes: x (N, B, n) or (B, n) -> (N, B, n). Parameters: W (N, m, n), random at the start, and b
    (N, n), 0 at the start; V (N, m, n) if not tied.
    Raises: ValueError for a size below 1. Source: Elhage et al. 2022, section 2; Glorot & Bengio
    2010 for the start.

    >>> model = ToyModel(3, n_features=5, n_hidden=2, generator=torch.Generator().manual_seed(0))
    >>> model(torch.rand(7, 5)).shape, model.W.shape
    (torch.Size([3, 7, 5]), torch.Size([3, 2, 5]))
    """

    def __init__(
        self,
        n_instances: int,
        n_features: int,
        n_hidden: int,
        linear: bool = False,
        generator: torch.Generator | None = None,
        tied: bool = True,
        neurons: bool = False,
        unit: bool = False,
    ) -> None:
        super().__init__()
        if min(n_instances, n_features, n_hidden) < 1:
            raise ValueError(
                f"sizes {n_instances}, {n_features}, {n_hidden}: each of the three must be 1 or more"
            )
        device = generator.device if generator else None
        shape = (n_instances, n_hidden, n_features)
        scale = math.sqrt(2 / (n_hidden + n_features))
        self.W = nn.Parameter(torch.randn(shape, generator=generator, device=device) * scale)
        self.V = None
        if not tied:
            self.V = nn.Parameter(torch.randn(shape, generator=generator, device=device) * scale)
        self.b = nn.Parameter(torch.zeros(n_instances, n_features, device=device))
        self.linear = linear
        self.neurons = neurons
        self.unit = unit

    def forward(self, x: Tensor) -> Tensor:
        W = nn.functional.normalize(self.W, dim=-2) if self.unit else self.W
        if self.V is None and not self.neurons:
            return reconstruct(x, W, self.b, self.linear)
        hidden = x @ W.mT  # (N, B, m)
        hidden = torch.relu(hidden) if self.neurons else hidden
        out = hidden @ (W if self.V is None else self.V) + self.b.unsqueeze(-2)  # (N, B, n)
        return out if self.linear else torch.relu(out)


def train_toy(
    model: ToyModel,
    S: Tensor,
    importance: Tensor | None = None,
    steps: int = 3000,
    batch: int | None = 256,
    lr: float = 5e-3,
    generator: torch.Generator | None = None,
    draw: Draw = feature_batch,
    bar: Callable[[range], Iterable[int]] = iter,
) -> Tensor:
    """Train all instances in place with AdamW, the rate falling to 0 as a cosine; return the
    losses, (steps, N).

    S (N,): the sparsity of each instance; importance (n,) or (N, n), 1 if not given. `batch=None`
    trains on the exact `expected_loss` of independent features, without any dice. `bar` wraps the
    steps, to show a progress bar.
    Raises: ValueError for an S of another length. Source: Elhage et al. 2022 (lr 1e-3, batch 1024,
    10,000 steps).

    >>> model = ToyModel(2, n_features=2, n_hidden=1, generator=torch.Generator().manual_seed(0))
    >>> losses = train_toy(model, torch.tensor([0.0, 0.9]), steps=600, batch=None, lr=0.03)
    >>> # one feature, or two, in 1
    >>> [arrangement(W) for W in model.W.detach()]
    ['lone + 1 dropped', 'digon']
    """
    N, _, n = model.W.shape
    if S.shape != (N,):
        raise ValueError(
            f"S has shape {tuple(S.shape)}: give one sparsity for each of the {N} instances"
        )
    S = S.to(model.W.device)
    importance = torch.ones(n, device=S.device) if importance is None else importance.to(S.device)
    generator = generator or torch.Generator(S.device).manual_seed(0)
    x = weights = None
    if not batch:
        x, weights = quadrature(S, n)
    optimizer = torch.optim.AdamW(model.parameters(), lr, fused=S.device.type in ("cpu", "cuda"))
    losses = torch.empty(steps, N, device=S.device)
    for step in bar(range(steps)):
        optimizer.param_groups[0]["lr"] = lr * (1 + math.cos(math.pi * step / steps)) / 2
        if batch:
            x = draw(S, batch, n, generator)  # (N, batch, n)
            loss = weighted_loss(x, model(x), importance)  # (N,)
        else:
            # (N,)
            loss = ((importance.unsqueeze(-2) * (x - model(x)).square()).sum(-1) * weights).sum(-1)
        optimizer.zero_grad()
        loss.sum().backward()  # a sum: no instance's gradient depends on another
        optimizer.step()
        losses[step] = loss.detach()
    return losses


def quadrature(S: Tensor, n_features: int, order: int = 6) -> tuple[Tensor, Tensor]:
    """Return points (P, n) and weights (N, P) that replace the average over all inputs: P = (order
    + 1)^n.

    Each feature is 0 with the weight S, or at one of the `order` Gauss-Legendre nodes between 0 and
    1. Polynomials of degree 2 · order - 1 come out exact. Raises: ValueError for over a million
    points. S is (N,), or one number.

    >>> points, weights = quadrature(torch.tensor([0.5]), n_features=1)
    >>> # p/2 and p/3, for p = 1/2
    >>> [round((weights @ points**power).item(), 4) for power in (0, 1, 2)]
    [1.0, 0.25, 0.1667]
    """
    if (order + 1) ** n_features > 1_000_000:
        raise ValueError(
            f"{n_features} features need {order + 1}^{n_features} points: draw a feature_batch instead"
        )
    nodes, gauss = (torch.from_numpy(a).to(S) for a in np.polynomial.legendre.leggauss(order))
    values = torch.cat([nodes.new_zeros(1), (nodes + 1) / 2])  # (order + 1,)
    chance = torch.cat([S[..., None], (1 - S[..., None]) * gauss / 2], dim=-1)  # (..., order + 1)
    index = torch.arange(order + 1, device=S.device)
    which = torch.cartesian_prod(*[index] * n_features).view(-1, n_features)  # (P, n)
    return values[which], chance[..., which].prod(-1)


def expected_loss(
    W: Tensor, b: Tensor, S: Tensor, importance: Tensor, order: int = 6, linear: bool = False
) -> Tensor:
    """Return the mean of `weighted_loss` over all independent sparse inputs, by `quadrature` and
    without dice.

    Exact for the linear model; with the ReLU, whose bend no polynomial follows, within about 2 %
    for 6 nodes.
    Shapes: W (..., m, n), b (..., n), S (...), importance (n,) or (..., n) -> (...).

    >>> W, b, S, I = torch.tensor([[1.0, -1.0]]), torch.zeros(2), torch.tensor(0.5), torch.ones(2)
    >>> # and the closed form
    >>> (round(expected_loss(W, b, S, I, order=64).item(), 4), round(0.5**2 / 6 * 2, 4))
    (0.0833, 0.0833)
    """
    x, weights = quadrature(S, W.shape[-1], order)
    error = importance.unsqueeze(-2) * (x - reconstruct(x, W, b, linear)).square()  # (..., P, n)
    return (error.sum(-1) * weights).sum(-1)


def border(importance: float) -> float:
    """Return the density p below which it is cheaper that two features share one dimension, in
    opposite directions, than that the less important one is dropped.

    Feature 0 has the importance 1, feature 1 has `importance`; each is 0 with probability 1 - p, else
    uniform between 0 and 1, independently. A dropped feature is answered by its mean; a feature that
    is kept alone costs nothing. Sharing costs something only where both are there: each of the two is
    then answered ReLU(its own size - the other's). Raises: ValueError unless importance > 0.

    >>> round(border(1.0), 3)
    0.571
    """
    if not importance > 0:
        raise ValueError(f"importance {importance}: it must be above 0")
    dropped = min(1.0, importance)
    # I (p/3 - p²/4) = (1 + I) p²/6, solved for p
    return 4 * dropped / (3 * dropped + 2 * (1 + importance))


def ideal_losses(S: Tensor, importance: Tensor) -> tuple[list[str], Tensor]:
    """Return the names and the exact losses, (..., options), of all plain ways to keep n features
    in n - 1 dimensions.

    "drop i": feature i is ignored, answered by its mean, the others have a dimension each: I_i (p/3
    - p²/4). "pair i j": i and j share one, in opposite directions: (I_i + I_j) p²/6. Shapes: S
    (...), importance (..., n).
    Source: Elhage et al. 2022, section "Superposition as a phase change", with b = 0 for what is
    kept.

    >>> names, losses = ideal_losses(torch.tensor([0.1, 0.9]), torch.tensor([1.0, 0.5]))
    >>> [names[best] for best in losses.argmin(-1)]
    ['drop 1', 'pair 0 1']
    """
    p = 1 - S
    n = importance.shape[-1]
    pairs = [(i, j) for i in range(n) for j in range(i + 1, n)]
    losses = [importance[..., i] * (p / 3 - p**2 / 4) for i in range(n)]
    losses += [(importance[..., i] + importance[..., j]) * p**2 / 6 for i, j in pairs]
    return [f"drop {i}" for i in range(n)] + [f"pair {i} {j}" for i, j in pairs], torch.stack(
        losses, dim=-1
    )


def geometry(W: Tensor) -> str:
    """Name what a trained W (n - 1, n) does, in the words of `ideal_losses`: "drop i", or "pair i
    j".

    A feature counts as dropped where its squared length is under 1/4; the pair is the most opposite
    one.

    >>> (
    ...     geometry(torch.tensor([[1.0, -1.0, 0.0], [0.0, 0.0, 1.0]])),
    ...     geometry(torch.tensor([[1.0, 0.1]])),
    ... )
    ('pair 0 1', 'drop 1')
    """
    lengths = W.square().sum(-2)  # (n,)
    if lengths.min() < 0.25:
        return f"drop {lengths.argmin().item()}"
    i, j = divmod((W.mT @ W).argmin().item(), len(lengths))
    return f"pair {min(i, j)} {max(i, j)}"


def feature_dimensionality(W: Tensor) -> Tensor:
    """Return D_i = ‖W_i‖² / Σ_j (Ŵ_i · W_j)²: the share of a dimension that each feature has for
    itself.

    Ŵ_i is W_i at length 1; j runs over all features, i too. A feature of length 0 has 0.
    Shapes: (..., m, n) -> (..., n). Source: Elhage et al. 2022, section "Feature dimensionality".

    >>> feature_dimensionality(torch.tensor([[1.0, -1.0, 0.0, 0.0], [0.0, 0.0, 2.0, 0.0]]))
    tensor([0.5000, 0.5000, 1.0000, 0.0000])
    """
    gram = W.mT @ W  # (..., n, n): W_i · W_j
    lengths = gram.diagonal(dim1=-2, dim2=-1)  # (..., n): ‖W_i‖²
    return lengths.square() / gram.square().sum(-1).clamp(min=1e-30)


SHAPES = {
    (1, 1): "lone",
    (2, 1): "digon",
    (3, 2): "triangle",
    (4, 3): "tetrahedron",
    (5, 2): "pentagon",
    (8, 3): "square antiprism",
}


def arrangement(W: Tensor, tolerance: float = 0.08) -> str:
    """Name the shapes in which the columns of W (m, n) lie, such as "digon + lone".

    Kept features (longer than 1/2) belong together where the Gram matrix joins them: |cosine| over
    0.15. A group of k features whose D_i add up to about r has a shape's name if each D_i, and not
    only their mean, lies within the tolerance of r/k, and if the directions cancel (the sum of the
    cosines is near 0); else it is "k in r". Features that are not kept come last, as "k dropped".

    >>> arrangement(torch.tensor([[1.0, -1.0, 0.0], [0.0, 0.0, 1.0]]))  # the mean of D_i is 2/3
    'digon + lone'
    >>> arrangement(torch.tensor([[1.0, -0.5, -0.5], [0.0, 0.866, -0.866]]))  # and here too
    'triangle'
    """
    columns = W[:, W.norm(dim=0) > 0.5]
    unit = nn.functional.normalize(columns, dim=0)
    cosines = unit.mT @ unit  # (k, k)
    near = cosines.abs() > 0.15
    for _ in range(len(near)):
        near = (near.float() @ near.float()) > 0  # whoever is joined through others
    groups = sorted(
        {tuple(row.nonzero().flatten().tolist()) for row in near}, key=len, reverse=True
    )
    names = []
    for group in groups:
        k = len(group)
        shares = feature_dimensionality(columns)[list(group)]
        rank = round(shares.sum().item())
        even = bool(((shares - rank / k).abs() < tolerance).all())
        cancel = k == 1 or cosines[list(group)][:, list(group)].sum().item() < tolerance * k
        plain = f"{k} in {rank}"
        names.append(SHAPES.get((k, rank), plain) if even and cancel else plain)
    dropped = W.shape[-1] - columns.shape[-1]
    return " + ".join([*names, *([f"{dropped} dropped"] if dropped else [])])


def overlap(W: Tensor) -> Tensor:
    """Return the largest |cosine| between two different columns of W, their coherence: (..., m, n)
    -> (...).

    >>> print(f"{overlap(torch.tensor([[1.0, 0.0, 3.0], [0.0, 1.0, 4.0]])):.4f}")
    0.8000
    """
    unit = nn.functional.normalize(W, dim=-2)
    return (unit.mT @ unit - torch.eye(W.shape[-1], device=W.device)).abs().amax((-2, -1))


def welch_bound(n: int, m: int) -> float:
    """Return the least `overlap` that n directions in m dimensions can have: √((n - m) / (m (n -
    1))), or 0 for n <= m.

    It cannot always be reached. Source: Welch 1974, "Lower bounds on the maximum cross correlation
    of signals".

    >>> # three directions in a plane: 60 degrees, the cosine of which is 1/2
    >>> (welch_bound(3, 2), welch_bound(2, 2))
    (0.5, 0.0)
    """
    return math.sqrt(max(n - m, 0) / (m * max(n - 1, 1)))


def pack_directions(m: int, limit: float, generator: torch.Generator, patience: int = 300) -> int:
    """Count how many random directions in m dimensions can be kept one after the other, each with
    |cosine| up to `limit` to all that were kept before; stop when `patience` in a row were refused.

    A lower bound for what fits: nobody looks for the best places.
    Source: Johnson & Lindenstrauss 1984 for the growth, exponential in m.

    >>> pack_directions(2, 0.1, torch.Generator().manual_seed(0))
    2
    """
    kept = torch.empty(0, m, device=generator.device)
    while True:
        fresh = torch.randn(patience, m, generator=generator, device=generator.device)
        fresh = nn.functional.normalize(fresh, dim=1)
        fresh = fresh[(fresh @ kept.T).abs().amax(1) <= limit] if len(kept) else fresh
        if not len(fresh):
            return len(kept)
        near = (fresh @ fresh.T).abs() > limit
        chosen = []
        for i in range(len(fresh)):
            if not near[i, chosen].any():
                chosen.append(i)
        kept = torch.cat([kept, fresh[chosen]])


def ablate(hidden: Tensor, W: Tensor, feature: int) -> Tensor:
    """Erase a feature's direction: take the part along W_feature away from each hidden vector.

    Shapes: hidden (..., B, m), W (..., m, n) -> (..., B, m).
    A feature of length 0 has no direction: nothing changes.

    >>> ablate(torch.tensor([[3.0, 4.0]]), torch.tensor([[0.0, 1.0], [2.0, 1.0]]), feature=0)
    tensor([[3., 0.]])
    """
    direction = nn.functional.normalize(W[..., feature], dim=-1).unsqueeze(-2)  # (..., 1, m)
    return hidden - (hidden * direction).sum(-1, keepdim=True) * direction
