"""Sparse autoencoders, as lesson 13 uses them to find features in superposition again, and what to
compare them with.

Shapes: N instances (trained at once, as one tensor), B examples, d activations, k units. Row i of
the directions (..., k, d) is d_i, what unit i writes; the codes f (..., B, k) say how strongly each
unit fires on each example.
"""

import math
from collections.abc import Callable, Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def encode(
    x: Tensor, encoder: Tensor, encoder_bias: Tensor, decoder_bias: Tensor, top_k: int | None = None
) -> Tensor:
    """Compute the codes f = ReLU((x - decoder_bias) · encoder + encoder_bias), or the largest.

    With `top_k`, all but the k largest of each example are 0. Shapes: x (..., B, d), encoder
    (..., d, k), encoder_bias (..., k), decoder_bias (..., d) -> (..., B, k).
    Source: Bricken et al. 2023, appendix; Gao et al. 2024, section 2.3, for top-k.

    >>> b, c = torch.tensor([0.5, -5.0]), torch.tensor([1.0, 0.0])
    >>> encode(torch.tensor([[2.0, 1.0]]), torch.eye(2), encoder_bias=b, decoder_bias=c)
    tensor([[1.5000, 0.0000]])
    """
    # (..., B, k)
    f = torch.relu((x - decoder_bias.unsqueeze(-2)) @ encoder + encoder_bias.unsqueeze(-2))
    if top_k is None:
        return f
    largest = f.topk(top_k, dim=-1)
    return torch.zeros_like(f).scatter(-1, largest.indices, largest.values)


def decode(f: Tensor, directions: Tensor, decoder_bias: Tensor) -> Tensor:
    """Write the activations back as Σ_i f_i d_i + decoder_bias: (..., B, k), (..., k, d), (..., d)
    -> (..., B, d).

    >>> decode(
    ...     torch.tensor([[2.0, 0.0]]),
    ...     torch.tensor([[0.0, 1.0], [1.0, 0.0]]),
    ...     torch.tensor([0.5, 0.0]),
    ... )
    tensor([[0.5000, 2.0000]])
    """
    return f @ directions + decoder_bias.unsqueeze(-2)


def sae_loss(
    x: Tensor, f: Tensor, directions: Tensor, decoder_bias: Tensor, penalty: float | Tensor
) -> Tensor:
    """Return L = E‖x - Σ_i f_i d_i - decoder_bias‖² + penalty · E Σ_i |f_i|.

    E is the mean over the examples. Shapes: x (..., B, d), f (..., B, k), directions (..., k, d),
    decoder_bias (..., d), penalty a number or (...) -> (...).

    >>> x, f = torch.tensor([[1.0, 1.0], [0.0, 2.0]]), torch.tensor([[1.0, 0.0], [0.0, 2.0]])
    >>> sae_loss(x, f, torch.eye(2), torch.zeros(2), penalty=0.1)  # 1/2 + 0.1 · 3/2
    tensor(0.6500)
    """
    missed = (x - f @ directions - decoder_bias.unsqueeze(-2)).square().sum(-1).mean(-1)  # (...)
    return missed + penalty * f.abs().sum(-1).mean(-1)


class SparseAutoencoder(nn.Module):
    """N sparse autoencoders at once; each explains d activations as a sum of few of its k
    directions of length 1.

    Shapes: forward takes x (B, d) or (N, B, d) and returns the codes (N, B, k); `decode` writes
    them back.
    Raises: ValueError where top_k is not between 1 and the number of units.

    >>> sae = SparseAutoencoder(
    ...     2, n_units=8, d=4, top_k=1, generator=torch.Generator().manual_seed(0)
    ... )
    >>> f = sae(torch.randn(5, 4))
    >>> f.shape, int((f > 0).sum(-1).max()), sae.decode(f).shape
    (torch.Size([2, 5, 8]), 1, torch.Size([2, 5, 4]))
    """

    def __init__(
        self,
        n_instances: int,
        n_units: int,
        d: int,
        top_k: int | None = None,
        generator: torch.Generator | None = None,
        encode: Callable = encode,
    ) -> None:
        super().__init__()
        self.encode = encode
        if top_k is not None and not 1 <= top_k <= n_units:
            raise ValueError(f"top_k={top_k} must be between 1 and the {n_units} units")
        device = generator.device if generator else None
        directions = F.normalize(
            torch.randn(n_instances, n_units, d, generator=generator, device=device), dim=-1
        )
        self.directions = nn.Parameter(directions)
        self.encoder = nn.Parameter(directions.mT.clone())
        self.encoder_bias = nn.Parameter(torch.zeros(n_instances, n_units, device=device))
        self.decoder_bias = nn.Parameter(torch.zeros(n_instances, d, device=device))
        self.top_k = top_k

    def forward(self, x: Tensor) -> Tensor:
        weights = self.encoder, self.encoder_bias, self.decoder_bias
        return self.encode(x, *weights, top_k=self.top_k)

    def decode(self, f: Tensor) -> Tensor:
        """Write codes (N, B, k) back as activations (N, B, d)."""
        return decode(f, self.directions, self.decoder_bias)


class _Step(torch.autograd.Function):
    """1 where z exceeds its unit's threshold, else 0. A step has no slope: the threshold's gradient
    is taken over a band of width BAND around it (a straight-through estimator).
    """

    @staticmethod
    def forward(ctx, z: Tensor, threshold: Tensor) -> Tensor:  # (N, B, k), (N, 1, k)
        ctx.save_for_backward(z, threshold)
        return (z > threshold).to(z.dtype)

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[None, Tensor]:
        z, threshold = ctx.saved_tensors
        near = ((z - threshold).abs() < BAND / 2).to(grad)
        return None, (-grad * near / BAND).sum(-2, keepdim=True)


BAND = 0.03  # against activations of a mean squared length of 1


class JumpReLU(SparseAutoencoder):
    """Sparse autoencoders whose units have a learned threshold each: below it a unit is silent,
    above it fires with all its strength, so nothing shrinks.

    Shapes: as `SparseAutoencoder`. Source: Rajamanoharan et al. 2024, "Jumping Ahead", section 3.

    >>> sae = JumpReLU(1, n_units=8, d=4, generator=torch.Generator().manual_seed(0))
    >>> f = sae(torch.randn(50, 4))
    >>> bool((f[f > 0] > sae.threshold.min()).all())
    True
    """

    def __init__(
        self, n_instances: int, n_units: int, d: int, generator: torch.Generator | None = None
    ) -> None:
        super().__init__(n_instances, n_units, d, generator=generator)
        self.log_threshold = nn.Parameter(torch.full_like(self.encoder_bias, math.log(0.05)))

    @property
    def threshold(self) -> Tensor:
        """Each unit's threshold, (N, k)."""
        return self.log_threshold.exp()

    def forward(self, x: Tensor) -> Tensor:
        z = super().forward(x)
        return z * _Step.apply(z, self.threshold.unsqueeze(-2))

    def loss(self, x: Tensor, penalty: Tensor) -> Tensor:
        """Return E‖x - Σ_i f_i d_i - decoder_bias‖² + penalty · E(number of units that fire), (N,)."""
        z = super().forward(x)  # (N, B, k)
        step = _Step.apply(z, self.threshold.unsqueeze(-2))
        missed = (x - self.decode(z * step)).square().sum(-1).mean(-1)
        return missed + penalty * step.sum(-1).mean(-1)


def train_sae(
    x: Tensor,
    n_units: int,
    penalty: float | Tensor = 0.0,
    top_k: int | None = None,
    steps: int = 2000,
    batch: int = 256,
    lr: float = 1e-2,
    generator: torch.Generator | None = None,
    bar: Callable[[range], Iterable[int]] = iter,
    jump: bool = False,
    encode: Callable = encode,
    loss: Callable = sae_loss,
) -> SparseAutoencoder:
    """Fit a sparse autoencoder to any matrix of activations x (rows, d): one instance for each
    number in `penalty`.

    The directions have length 1 throughout: otherwise small codes with long directions would dodge
    the penalty. Bring x to a mean squared length of about 1 first, since the penalty is measured
    against it. The rate falls to 0 as a cosine. With `jump` the units have thresholds (`JumpReLU`)
    and the penalty is on how many fire. `encode` and `loss` may be your own.
    Raises: ValueError where x is no matrix. Source: Cunningham et al. 2023; Bricken et al. 2023.

    >>> # one of three axes in each row
    >>> x = torch.eye(3)[torch.arange(999) % 3] * torch.linspace(0.1, 1, 999)[:, None]
    >>> sae = train_sae(x, n_units=6, top_k=1, steps=300)
    >>> round(mean_max_cosine(torch.eye(3), sae.directions[0].detach()).item(), 1)
    1.0
    """
    if x.ndim != 2:
        raise ValueError(
            f"x has shape {tuple(x.shape)}: give a matrix, one row of activations for each example"
        )
    generator = generator or torch.Generator(x.device).manual_seed(0)
    penalty = torch.as_tensor(penalty, dtype=x.dtype, device=x.device).reshape(-1)  # (N,)
    sizes = len(penalty), n_units, x.shape[1]
    sae = (
        JumpReLU(*sizes, generator=generator)
        if jump
        else SparseAutoencoder(*sizes, top_k, generator, encode)
    )
    with torch.no_grad():
        sae.decoder_bias += x.mean(0)
    optimizer = torch.optim.Adam(sae.parameters(), lr, fused=x.device.type in ("cpu", "cuda"))
    for step in bar(range(steps)):
        optimizer.param_groups[0]["lr"] = lr * (1 + math.cos(math.pi * step / steps)) / 2
        # (batch, d)
        rows = x[torch.randint(len(x), (batch,), generator=generator, device=x.device)]
        losses = (
            sae.loss(rows, penalty)
            if jump
            else loss(rows, sae(rows), sae.directions, sae.decoder_bias, penalty)
        )  # (N,)
        optimizer.zero_grad()
        losses.sum().backward()
        optimizer.step()
        with torch.no_grad():
            sae.directions.copy_(F.normalize(sae.directions, dim=-1))
    return sae


def mean_max_cosine(truth: Tensor, found: Tensor) -> Tensor:
    """Return how well directions were found again: the best cosine for each true one, averaged.

    The sign counts: a feature and its opposite are two features.
    Shapes: truth (n, d), found (..., k, d) -> (...). Source: Sharkey et al. 2022.

    >>> truth, found = torch.eye(2), torch.tensor([[0.0, 5.0], [-1.0, 0.0], [3.0, 4.0]])
    >>> mean_max_cosine(truth, found)  # the best cosines are 0.6 and 1
    tensor(0.8000)
    """
    cosines = F.normalize(truth, dim=-1) @ F.normalize(found, dim=-1).mT  # (..., n, k)
    return cosines.amax(-1).mean(-1)


def fraction_explained(x: Tensor, y: Tensor) -> Tensor:
    """Return the share of x's variance that its reconstruction y explains: 1 for a perfect one, 0
    for the mean of x.

    Shapes: x (B, d), y (..., B, d) -> (...).

    >>> x = torch.tensor([[1.0], [3.0]])
    >>> fraction_explained(x, x).item(), fraction_explained(x, torch.full((2, 1), 2.0)).item()
    (1.0, 0.0)
    """
    return 1 - (x - y).square().sum((-2, -1)) / (x - x.mean(-2, keepdim=True)).square().sum(
        (-2, -1)
    )


def firing_rate(f: Tensor) -> Tensor:
    """Return the share of the examples on which each unit fires, (..., B, k) -> (..., k); a unit
    with 0 is dead.

    >>> firing_rate(torch.tensor([[0.5, 0.0], [0.0, 0.0]]))
    tensor([0.5000, 0.0000])
    """
    return (f > 0).float().mean(-2)


def principal_directions(x: Tensor) -> Tensor:
    """Return the principal components of x (rows, d) in both directions, (2d, d): the baseline that
    needs no training.

    >>> principal_directions(
    ...     torch.tensor([[-3.0, 0.1], [3.0, 0.1], [0.0, -0.1], [0.0, -0.1]])
    ... ).abs().round()
    tensor([[1., 0.],
            [0., 1.],
            [1., 0.],
            [0., 1.]])
    """
    components = torch.linalg.svd(x - x.mean(0), full_matrices=False).Vh  # (d, d)
    return torch.cat([components, -components])
