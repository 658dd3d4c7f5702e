"""Grokking, as lesson 17 watches it: a one-layer transformer that learns a + b modulo p, and what
goes on inside.

Shapes: p numbers, N pairs, H heads, d features a head, d_model features, S snapshots. Logits of all
pairs are (p, p, p): row a, column b, then one logit for each possible answer. Losses are in nats.
Frequencies are whole numbers from 1 to p // 2. Source of what says no other: Nanda et al. 2023,
"Progress measures for grokking via mechanistic interpretability".
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from course_utils.attention.heads import softmax
from course_utils.machine.devices import wide


def sum_table(p: int) -> Tensor:
    """The table of (a + b) mod p: row a, column b.

    Shapes: -> (p, p). Raises: ValueError for a p below 2.

    >>> sum_table(3)
    tensor([[0, 1, 2],
            [1, 2, 0],
            [2, 0, 1]])
    """
    if p < 2:
        raise ValueError(f"p={p}: there is nothing to add modulo a number below 2")
    numbers = torch.arange(p)
    return (numbers[:, None] + numbers) % p


def split(p: int, share: float, generator: torch.Generator) -> Tensor:
    """Draw which pairs are trained on: a share of all, at random; the others are the test.

    Shapes: -> (p, p), bool, True = training. Raises: ValueError unless both parts get a pair.

    >>> split(53, 0.35, torch.Generator().manual_seed(0)).sum()
    tensor(983)
    """
    n = int(share * p * p)
    if not 0 < n < p * p:
        raise ValueError(
            f"a share of {share} of {p * p} pairs leaves one part empty: choose one between 0 and 1"
        )
    train = torch.zeros(p * p, dtype=torch.bool)
    train[torch.randperm(p * p, generator=generator)[:n]] = True
    return train.view(p, p)


class ModularAdder(nn.Module):
    """One transformer layer without LayerNorm that reads the three tokens a, b, "=", and answers at
    the last.

    Shapes: a, b (N,) -> logits (N, p). As nothing is asked before the "=", only its position is
    computed; and as there are but 3 (p + 1) pairs of position and token, their keys and values are
    computed once and looked up.
    Source: Nanda et al. 2023, section 3 (there p = 113, d_model 128, 4 heads, an MLP of 512 with
    ReLU).

    >>> model = ModularAdder(
    ...     p=7, d_model=16, n_head=4, d_inner=32, generator=torch.Generator().manual_seed(0)
    ... )
    >>> model(torch.tensor([1, 2, 3]), torch.tensor([5, 6, 0])).shape
    torch.Size([3, 7])
    """

    def __init__(
        self,
        p: int = 53,
        d_model: int = 64,
        n_head: int = 4,
        d_inner: int = 256,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        if d_model % n_head:
            raise ValueError(
                f"d_model={d_model} is not divisible by n_head={n_head}: choose a divisor of {d_model}"
            )
        self.p = p
        self.n_head = n_head

        def normal(*shape: int, fan_in: int = d_model) -> nn.Parameter:
            return nn.Parameter(torch.randn(shape, generator=generator) / math.sqrt(fan_in))

        # token p is "="
        self.embedding = normal(p + 1, d_model)
        self.position = normal(3, d_model)
        self.w_q, self.w_k, self.w_v, self.w_o = (normal(d_model, d_model) for _ in range(4))
        self.w_in = normal(d_model, d_inner)
        self.w_out = normal(d_inner, d_model, fan_in=d_inner)
        self.b_in = nn.Parameter(torch.zeros(d_inner))
        self.b_out = nn.Parameter(torch.zeros(d_model))
        self.unembedding = normal(d_model, p)

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        # (3, p + 1, d_model): every token at every position
        stream = self.embedding + self.position[:, None]
        asks = stream[2, self.p]  # (d_model,): the "="
        q, k, v = (
            (x @ w).unflatten(-1, (self.n_head, -1))
            for x, w in
            # (H, d), twice (3, p + 1, H, d)
            ((asks, self.w_q), (stream, self.w_k), (stream, self.w_v))
        )
        tokens = torch.stack([a, b, torch.full_like(a, self.p)])  # (3, N)
        where = torch.arange(3, device=a.device)[:, None], tokens
        scores = (k * q).sum(-1) / math.sqrt(q.size(-1))  # (3, p + 1, H)
        weights = softmax(scores[where], dim=0)  # (3, N, H)
        z = (weights[..., None] * v[where]).sum(0)  # (N, H, d)
        x = asks + z.flatten(1) @ self.w_o  # (N, d_model)
        x = x + torch.relu(x @ self.w_in + self.b_in) @ self.w_out + self.b_out
        return x @ self.unembedding

    def table(self) -> Tensor:
        """The logits of all pairs, (p, p, p)."""
        a, b = torch.meshgrid(torch.arange(self.p), torch.arange(self.p), indexing="ij")
        where = self.embedding.device
        return self(a.flatten().to(where), b.flatten().to(where)).view(self.p, self.p, self.p)


@dataclass
class Snapshots:
    """What was kept of a run at S of its steps, from step 0, before training, on.

    steps       S whole numbers
    logits      (S, p, p, p)     of all pairs, as `ModularAdder.table` gives them
    embeddings  (S, p, d_model)  of the numbers, without the token "="
    norms       (S,)             the sum of all squared weights, which weight decay pulls at

    >>> g = torch.Generator().manual_seed(0)
    >>> model = ModularAdder(p=7, d_model=16, d_inner=32, generator=g)
    >>> run = train_adder(model, split(7, 0.8, g), steps=4, every=2)
    >>> run.steps, run.logits.shape, run.embeddings.shape, run.norms.shape
    ([0, 2, 4], torch.Size([3, 7, 7, 7]), torch.Size([3, 7, 16]), torch.Size([3]))
    """

    steps: list[int]
    logits: Tensor
    embeddings: Tensor
    norms: Tensor


def train_adder(
    model: ModularAdder,
    train: Tensor,
    steps: int,
    lr: float = 1e-3,
    weight_decay: float = 1.0,
    every: int = 50,
    bar: Callable[[range], Iterable[int]] = iter,
) -> Snapshots:
    """Train in place on all training pairs at every step, with AdamW; keep a snapshot before and
    each `every` steps.

    The loss is computed in float64: in float32 it rounds to 0 long before the model generalises,
    and what is left of the gradient is noise. `train` (p, p) says which pairs; `bar` wraps the
    steps, to show a progress bar.
    Source: Nanda et al. 2023, section 3: full batch, AdamW 1e-3 (betas 0.9 and 0.98), weight decay
    1.

    >>> g = torch.Generator().manual_seed(0)
    >>> model, train = ModularAdder(p=7, d_model=16, d_inner=32, generator=g), split(7, 0.8, g)
    >>> run = train_adder(model, train, steps=100, lr=0.01)
    >>> run.steps, run.logits.shape, loss_and_accuracy(run.logits[-1], train)[1]
    ([0, 50, 100], torch.Size([3, 7, 7, 7]), tensor(1.))
    """
    device = model.embedding.device
    a, b = train.nonzero().T.to(device)
    target = (a + b) % model.p
    optimizer = torch.optim.AdamW(
        model.parameters(),
        lr,
        (0.9, 0.98),
        weight_decay=weight_decay,
        fused=device.type in ("cpu", "cuda"),
    )
    kept = []
    logits = []
    embeddings = []
    norms = []

    def keep(step: int) -> None:
        with torch.no_grad():
            kept.append(step)
            logits.append(model.table().cpu())
            embeddings.append(model.embedding[:-1].detach().cpu().clone())
            norms.append(sum(x.square().sum() for x in model.parameters()).cpu())

    keep(0)
    for step in bar(range(1, steps + 1)):
        optimizer.zero_grad()
        logits64 = wide(model(a, b))
        F.cross_entropy(logits64, target.to(logits64.device)).backward()
        optimizer.step()
        if step % every == 0:
            keep(step)
    return Snapshots(kept, torch.stack(logits), torch.stack(embeddings), torch.stack(norms))


def loss_and_accuracy(logits: Tensor, pairs: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean loss, in nats, and the share of right answers, over the pairs marked True.

    Shapes: logits (..., p, p, p), pairs (p, p), bool -> (...) and (...).

    >>> logits = 5.0 * F.one_hot(sum_table(3)).float()
    >>> [round(x.item(), 4) for x in loss_and_accuracy(logits, torch.ones(3, 3, dtype=torch.bool))]
    [0.0134, 1.0]
    """
    chosen = wide(logits[..., pairs.to(logits.device), :])  # (..., N, p)
    target = sum_table(pairs.size(0))[pairs.cpu()].to(chosen.device)  # (N,)
    right = chosen.argmax(-1) == target
    losses = chosen.logsumexp(-1) - chosen.gather(-1, target.expand(right.shape)[..., None])[..., 0]
    return losses.mean(-1).float().to(logits.device), right.float().mean(-1).to(logits.device)


# --- Fourier --------------------------------------------------------------------------------------


def frequency_power(x: Tensor) -> Tensor:
    """Measure which waves are in a table: the power of each frequency 1 to p // 2, as shares that
    sum to 1.

    Row a belongs to the number a. The power is the squared absolute value of the discrete Fourier
    transform along the rows, added up over all columns; frequency 0, the mean, is left out. A wave
    counts with all of its entries in the full transform: two, k and p - k, or one where k = p / 2.
    Shapes: x (..., p, d) -> (..., p // 2).

    >>> angle = 2 * math.pi * 3 * torch.arange(11) / 11
    >>> frequency_power(torch.stack([angle.cos(), angle.sin()], dim=-1)).round(decimals=3)
    tensor([0., 0., 1., 0., 0.])
    """
    power = torch.fft.rfft(x, dim=-2).abs().square().sum(-1)[..., 1:]  # (..., p // 2)
    if x.size(-2) % 2 == 0:
        # all other waves have two entries in the whole transform, this one has one
        power[..., -1] /= 2
    return power / power.sum(-1, keepdim=True)


def check_frequencies(p: int, frequencies: Sequence[int]) -> None:
    """Say which numbers are no frequencies: they are whole, and go from 1 to p // 2. Raises:
    ValueError.

    >>> check_frequencies(53, [1, 26])
    """
    if odd := [k for k in frequencies if not 1 <= k <= p // 2 or int(k) != k]:
        raise ValueError(
            f"{odd} are no frequencies of {p} numbers: choose whole numbers from 1 to {p // 2}"
        )


def restricted_logits(logits: Tensor, frequencies: Sequence[int]) -> Tensor:
    """Keep of the logits only the constant and the waves of a + b with these frequencies.

    As a function of the pair, each logit is a sum of waves. Those that go with cos(w (a + b))
    and sin(w (a + b)), w = 2πk / p, stay for k in `frequencies`; all others are deleted.
    Shapes: logits (p, p, V): row a, column b -> the same. Raises: ValueError for a frequency
    that is not from 1 to p // 2. Source: Nanda et al. 2023, section 5 (restricted loss).

    >>> angle = 2 * math.pi * sum_table(5) / 5  # (5, 5)
    >>> logits = torch.stack([3 + angle.cos(), (2 * angle).sin()], dim=-1)  # (5, 5, 2)
    >>> kept = restricted_logits(logits, [1])
    >>> torch.allclose(kept[..., 0], logits[..., 0]), kept[..., 1].abs().max() < 1e-6
    (True, tensor(True))
    """
    p = logits.size(0)
    check_frequencies(p, frequencies)
    # (p, p, V): the wave i of a times the wave j of b
    spectrum = torch.fft.fft2(logits, dim=(0, 1))
    keep = torch.zeros(p, p, 1, device=logits.device)
    keep[0, 0] = 1
    for k in frequencies:
        keep[k, k] = keep[-k, -k] = 1  # a wave of a + b turns equally fast in a and in b
    return torch.fft.ifft2(spectrum * keep, dim=(0, 1)).real


def excluded_logits(logits: Tensor, frequencies: Sequence[int]) -> Tensor:
    """Delete from the logits the waves of a + b with these frequencies, and keep all else.

    Shapes: logits (p, p, V) -> the same. Raises: as `restricted_logits`. Source: Nanda et al. 2023,
    section 5.

    >>> logits = torch.randn(5, 5, 2, generator=torch.Generator().manual_seed(0))
    >>> whole = (
    ...     excluded_logits(logits, [1, 2])
    ...     + restricted_logits(logits, [1, 2])
    ...     - logits.mean((0, 1))
    ... )
    >>> torch.allclose(whole, logits, atol=1e-6)
    True
    """
    return logits - restricted_logits(logits, frequencies) + logits.mean((0, 1))


def by_sum(logits: Tensor) -> Tensor:
    """Average the logits over all pairs with the same sum: what is left when only a + b may matter.

    Shapes: logits (..., p, p, V) -> (..., p, V); row s is about the sum s. Everything that
    `restricted_logits` keeps is in here: it is p times smaller, and waves of s are then ordinary
    waves.

    >>> by_sum(sum_table(3).float()[..., None]).flatten()
    tensor([0., 1., 2.])
    """
    p = logits.size(-3)
    a = torch.arange(logits.size(-3), device=logits.device)
    return torch.stack([logits[..., a, (s - a) % p, :].mean(-2) for s in range(p)], dim=-2)


def restricted_loss(sums: Tensor, frequencies: Sequence[int]) -> Tensor:
    """The loss over all pairs if only these waves of a + b are kept, in nats.

    Shapes: sums (..., p, p) from `by_sum` -> (...). The same number as the mean loss of
    `restricted_logits`.
    Raises: as there. Source: Nanda et al. 2023, section 5.

    >>> sums = 8.0 * torch.eye(5)
    >>> [round(restricted_loss(sums, kept).item(), 2) for kept in ([], [1], [1, 2])]  # log 5 = 1.61
    [1.61, 0.2, 0.0]
    """
    p = sums.size(-2)
    check_frequencies(p, frequencies)
    spectrum = torch.fft.rfft(sums, dim=-2)  # (..., p // 2 + 1, p)
    keep = torch.zeros(p // 2 + 1, 1, device=sums.device)
    keep[[0, *map(int, frequencies)]] = 1
    kept = torch.fft.irfft(spectrum * keep, n=p, dim=-2)  # (..., p, p)
    return -kept.log_softmax(-1).diagonal(dim1=-2, dim2=-1).mean(-1)


def key_frequencies(logits: Tensor, share: float = 0.95) -> list[int]:
    """The fewest frequencies that hold this share of the power of the waves of a + b in the logits,
    strongest first.

    Shapes: logits (p, p, p). Source: Nanda et al. 2023 pick theirs by eye, from the same spectrum.

    >>> angle = 2 * math.pi * (sum_table(7)[..., None] - torch.arange(7)) / 7
    >>> key_frequencies(3 * (2 * angle).cos() + angle.cos())
    [2, 1]
    """
    power = frequency_power(by_sum(logits))
    order = power.argsort(descending=True)
    count = int((power[order].cumsum(0) < share).sum()) + 1
    return (order[:count] + 1).tolist()
