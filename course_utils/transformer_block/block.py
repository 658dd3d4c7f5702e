"""The transformer block, as lesson 03 builds it: LayerNorm, GELU, dropout, MLP, positions, three
orders, the block.

Shapes: B sequences, T positions, H heads, d_model features; (..., d_model) means any leading
dimensions. The residual stream is the tensor (B, T, d_model) that a block gets and gives back; what
a part adds to it is a write. Parameters have GPT-2's names (Radford et al. 2019), the configuration
has those of transformers' GPT2Config.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from course_utils.attention.heads import KVCache, MultiHeadAttention


def layer_norm(x: Tensor, weight: Tensor, bias: Tensor, eps: float = 1e-5) -> Tensor:
    """Give each position's features mean 0 and variance 1, then a learned gain and shift each.

    Shapes: x (..., d_model), weight and bias (d_model,) -> (..., d_model).
    The variance divides by d_model; eps keeps the root away from 0.
    Source: Ba et al. 2016, "Layer Normalization", section 3.

    >>> layer_norm(torch.tensor([[1.0, 3.0], [10.0, 30.0]]), torch.ones(2), torch.zeros(2))
    tensor([[-1.0000,  1.0000],
            [-1.0000,  1.0000]])
    """
    centred = x - x.mean(-1, keepdim=True)  # (..., d_model)
    variance = centred.square().mean(-1, keepdim=True)  # (..., 1)
    return centred / torch.sqrt(variance + eps) * weight + bias


def frozen_layer_norm(writes: Tensor, weight: Tensor, eps: float = 1e-5) -> Tensor:
    """Share out the LayerNorm of a sum: centre each write, divide by the sum's standard deviation.

    The shares plus the bias add up to layer_norm(writes.sum(0), weight, bias).
    Shapes: writes (N, ..., d_model), the N parts of the sum, weight (d_model,) -> the same.
    Source: Elhage et al. 2021, "A Mathematical Framework for Transformer Circuits".

    >>> frozen_layer_norm(torch.tensor([[4.0, 0.0], [0.0, 2.0]]), weight=torch.ones(2))
    tensor([[ 2.0000, -2.0000],
            [-1.0000,  1.0000]])
    """
    variance = writes.sum(0).var(-1, correction=0, keepdim=True)  # (..., 1)
    return (writes - writes.mean(-1, keepdim=True)) / torch.sqrt(variance + eps) * weight


class LayerNorm(nn.Module):
    """`layer_norm` with its learned gain (`weight`, 1 at the start) and shift (`bias`, 0 at the
    start).

    Shapes: (..., d_model) -> (..., d_model). `fused` picks torch's kernel: the same values, several
    times faster.

    >>> LayerNorm(4)(torch.tensor([1.0, 1.0, 5.0, 5.0])).detach()
    tensor([-1.0000, -1.0000,  1.0000,  1.0000])
    """

    def __init__(self, d_model: int, eps: float = 1e-5, fused: bool = True) -> None:
        super().__init__()
        self.eps = eps
        self.fused = fused
        self.weight = nn.Parameter(torch.ones(d_model))
        self.bias = nn.Parameter(torch.zeros(d_model))

    def forward(self, x: Tensor) -> Tensor:
        if self.fused:
            return F.layer_norm(x, self.weight.shape, self.weight, self.bias, self.eps)
        return layer_norm(x, self.weight, self.bias, self.eps)


def gelu(x: Tensor) -> Tensor:
    """Multiply x by the probability that a standard normal number is below x (the exact GELU).

    Shapes: any -> the same. Source: Hendrycks & Gimpel 2016, "Gaussian Error Linear Units (GELUs)",
    section 2.

    >>> gelu(torch.tensor([-3.0, -1.0, 0.0, 1.0, 3.0]))
    tensor([-0.0040, -0.1587,  0.0000,  0.8413,  2.9960])
    """
    return x * 0.5 * (1 + torch.erf(x / math.sqrt(2)))


def gelu_tanh(x: Tensor) -> Tensor:
    """Approximate the GELU, as GPT-2 does: x/2 · (1 + tanh(√(2/π) · (x + 0.044715 x³))).

    Shapes: any -> the same. Source: Hendrycks & Gimpel 2016, section 2.

    >>> x = torch.linspace(-5, 5, 1001)
    >>> print(f"at most {(gelu_tanh(x) - gelu(x)).abs().max():.4f} away from the exact form")
    at most 0.0005 away from the exact form
    """
    return 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


# torch's kernels, several times faster than the functions above and equal to them; the names are
# transformers'.
ACTIVATIONS = {"relu": F.relu, "gelu": F.gelu, "gelu_new": partial(F.gelu, approximate="tanh")}


def feed_forward(
    x: Tensor,
    w_in: Tensor,
    b_in: Tensor,
    w_out: Tensor,
    b_out: Tensor,
    activation: Callable[[Tensor], Tensor],
) -> Tensor:
    """Widen the features of each position, let the activation bend each number, narrow them again.

    Shapes: x (..., d_model); w_in (d_inner, d_model), b_in (d_inner,); w_out (d_model, d_inner),
    b_out (d_model,): the matrices lie as nn.Linear keeps them, (out, in) -> (..., d_model).
    activation works on each number alone. No sum with x: that is the block's.
    Source: Vaswani et al. 2017, section 3.3.

    >>> w_in, w_out = torch.tensor([[1.0], [-1.0]]), torch.tensor([[1.0, 10.0]])
    >>> x = torch.tensor([[2.0], [-2.0]])
    >>> feed_forward(x, w_in, torch.zeros(2), w_out, torch.ones(1), torch.relu)
    tensor([[ 3.],
            [21.]])
    """
    inner = activation(x @ w_in.mT + b_in)  # (..., d_inner)
    return inner @ w_out.mT + b_out  # (..., d_model)


class MLP(nn.Module):
    """Widen each position's features 4 times, bend them, and narrow them again; no position sees
    another.

    Shapes: (..., d_model) -> (..., d_model). Raises: ValueError for an unknown activation.
    Source: Vaswani et al. 2017, section 3.3; the GELU is GPT's (Radford et al. 2018).

    >>> sum(p.numel() for p in MLP(768).parameters())
    4722432
    """

    def __init__(
        self, d_model: int, d_inner: int | None = None, activation: str = "gelu_new"
    ) -> None:
        super().__init__()
        if activation not in ACTIVATIONS:
            raise ValueError(
                f"unknown activation {activation!r}: choose one of {', '.join(ACTIVATIONS)}"
            )
        self.c_fc = nn.Linear(d_model, d_inner or 4 * d_model)
        self.act = ACTIVATIONS[activation]
        self.c_proj = nn.Linear(d_inner or 4 * d_model, d_model)

    def forward(self, x: Tensor) -> Tensor:
        # (..., d_model) -> (..., 4 * d_model) -> (..., d_model)
        return self.c_proj(self.act(self.c_fc(x)))


def dropout(x: Tensor, p: float, training: bool = True) -> Tensor:
    """In training, set each number to 0 with probability p and divide the others by 1 - p.

    Shapes: any -> the same; in evaluation x itself. Raises: ValueError unless 0 <= p < 1.
    Source: Srivastava et al. 2014, "Dropout", section 10 (there: scaling at training time).

    >>> set(dropout(torch.ones(1000), p=0.5).tolist()) == {0.0, 2.0}
    True
    """
    if not 0 <= p < 1:
        raise ValueError(
            f"p={p} must be at least 0 and below 1: it is the share of the numbers to drop"
        )
    if not training or p == 0:
        return x
    keep = torch.rand(x.shape, device=x.device) >= p
    return x * keep / (1 - p)


def sinusoidal_positions(T: int, d_model: int, base: float = 10_000.0) -> Tensor:
    """Write position t as pairs sin(t·r_i), cos(t·r_i) with the rates r_i = base^(-2i / d_model).

    Shapes: -> (T, d_model), float32, sines in even features. Raises: ValueError for an odd d_model.
    Source: Vaswani et al. 2017, section 3.5.

    >>> sinusoidal_positions(T=3, d_model=4)
    tensor([[ 0.0000,  1.0000,  0.0000,  1.0000],
            [ 0.8415,  0.5403,  0.0100,  0.9999],
            [ 0.9093, -0.4161,  0.0200,  0.9998]])
    """
    if d_model % 2:
        raise ValueError(
            f"d_model={d_model} is odd: sines and cosines come in pairs, so choose an even number"
        )
    # (d_model / 2,), radians a position
    rates = base ** (-torch.arange(0, d_model, 2, dtype=torch.float64) / d_model)
    angles = torch.outer(torch.arange(T, dtype=torch.float64), rates)  # (T, d_model / 2)
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(-2).float()  # (T, d_model)


def rotary(x: Tensor, base: float = 10_000.0) -> Tensor:
    """Turn each pair of features (2i, 2i + 1) at position t by the angle t · base^(-2i / d).

    The dot product of a query and a key turned so depends on their distance only.
    Shapes: (..., T, d) -> the same. Raises: ValueError for an odd d.
    Source: Su et al. 2021, "RoFormer", section 3.4.2 (equation 34).

    >>> rotary(torch.tensor([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0]]))
    tensor([[ 1.0000,  0.0000],
            [ 0.5403,  0.8415],
            [-0.4161,  0.9093]])
    """
    T, d = x.shape[-2:]
    if d % 2:
        raise ValueError(f"x has {d} features: they are turned in pairs, so pass an even number")
    rates = base ** (-torch.arange(0, d, 2, device=x.device) / d)  # (d / 2,), radians a position
    angles = torch.outer(torch.arange(T, device=x.device), rates)  # (T, d / 2)
    cos = angles.cos().to(x.dtype)
    sin = angles.sin().to(x.dtype)
    even = x[..., 0::2]  # (..., T, d / 2)
    odd = x[..., 1::2]
    # (..., T, d)
    return torch.stack([even * cos - odd * sin, even * sin + odd * cos], dim=-1).flatten(-2)


Part = Callable[[Tensor], Tensor]


def pre_norm_block(x: Tensor, attn: Part, mlp: Part, ln_1: Part, ln_2: Part) -> Tensor:
    """One block in GPT-2's order: attention, then the MLP; each reads a normalised copy and adds.

    Shapes: x (B, T, d_model) -> (B, T, d_model); so for each of the four parts.
    Source: Radford et al. 2019 (GPT-2), section 2.3; Xiong et al. 2020, figure 1 (b).

    >>> same, tenfold = lambda x: x, lambda x: 10 * x
    >>> pre_norm_block(torch.tensor([1.0]), attn=tenfold, mlp=tenfold, ln_1=same, ln_2=same)
    tensor([121.])
    """
    x = x + attn(ln_1(x))
    x = x + mlp(ln_2(x))
    return x


def post_norm_block(x: Tensor, attn: Part, mlp: Part, ln_1: Part, ln_2: Part) -> Tensor:
    """One block in the order of the first transformer: add, then normalise the sum (Vaswani et al.
    2017, section 3.1).

    >>> post_norm_block(
    ...     10.0, attn=lambda x: 2 * x, mlp=lambda x: 3 * x, ln_1=lambda x: x / 10, ln_2=lambda x: x
    ... )
    12.0
    """
    x = ln_1(x + attn(x))
    x = ln_2(x + mlp(x))
    return x


def parallel_block(x: Tensor, attn: Part, mlp: Part, ln_1: Part, ln_2: Part) -> Tensor:
    """One block as LayerNorm(x + Attention(x) + MLP(x)): the MLP does not see the attention, and
    ln_2 is not used.

    >>> parallel_block(
    ...     10.0, attn=lambda x: 2 * x, mlp=lambda x: 3 * x, ln_1=lambda x: x / 10, ln_2=None
    ... )
    6.0
    """
    return ln_1(x + attn(x) + mlp(x))


def deaf_block(x: Tensor, attn: Part, mlp: Part, ln_1: Part, ln_2: Part) -> Tensor:
    """A pre-norm block whose MLP does not hear its attention: everything behind the block does.

    Nothing else changes: both parts read a normalised copy, each is called once, and both write
    into the stream that leaves the block. Shapes: x (B, T, d_model) -> (B, T, d_model); so for each
    of the four parts.

    >>> same, tenfold = lambda x: x, lambda x: 10 * x
    >>> deaf_block(torch.tensor([1.0]), attn=tenfold, mlp=tenfold, ln_1=same, ln_2=same)
    tensor([21.])
    """
    return x + attn(ln_1(x)) + mlp(ln_2(x))


ORDERS = {"pre": pre_norm_block, "post": post_norm_block, "parallel": parallel_block}


@dataclass(frozen=True)
class TransformerConfig:
    """The sizes and switches of a transformer, named as in transformers' GPT2Config; the default is
    GPT-2 small.

    The last six are not in GPT2Config: `order` is a name in ORDERS; `positions` is "learned",
    "sinusoidal" or "none"; `residual`, `norm` and `mlp` switch parts off; `depth_scaled_init` is
    GPT-2's smaller start for what writes.
    Raises: ValueError which names the field that does not fit.

    >>> TransformerConfig(n_embd=64, n_head=3)
    Traceback (most recent call last):
    ValueError: n_embd=64 is not divisible by n_head=3: choose a divisor of 64
    """

    vocab_size: int = 50_257
    n_positions: int = 1024
    n_embd: int = 768
    n_layer: int = 12
    n_head: int = 12
    n_inner: int | None = None  # None: 4 * n_embd
    activation_function: str = "gelu_new"
    layer_norm_epsilon: float = 1e-5
    initializer_range: float = 0.02
    embd_pdrop: float = 0.0
    resid_pdrop: float = 0.0
    tie_word_embeddings: bool = True
    order: str = "pre"
    positions: str = "learned"
    residual: bool = True
    norm: bool = True
    mlp: bool = True
    depth_scaled_init: bool = True

    def __post_init__(self) -> None:
        for name, least in dict(vocab_size=1, n_positions=1, n_embd=1, n_layer=0, n_head=1).items():
            if not isinstance(getattr(self, name), int) or getattr(self, name) < least:
                raise ValueError(
                    f"{name}={getattr(self, name)!r} must be a whole number of at least {least}"
                )
        if self.n_embd % self.n_head:
            raise ValueError(
                f"n_embd={self.n_embd} is not divisible by n_head={self.n_head}: "
                f"choose a divisor of {self.n_embd}"
            )
        options = dict(
            order=ORDERS,
            positions=("learned", "sinusoidal", "none"),
            activation_function=ACTIVATIONS,
        )
        for name, known in options.items():
            if getattr(self, name) not in known:
                raise ValueError(
                    f"{name}={getattr(self, name)!r} is unknown: choose one of {', '.join(known)}"
                )
        if not self.residual and self.order != "pre":
            raise ValueError(
                f'residual=False is not defined for order="{self.order}": use order="pre"'
            )
        for name in ("embd_pdrop", "resid_pdrop"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)} must be at least 0 and below 1")


class Block(nn.Module):
    """One transformer block: attention mixes positions, the MLP works on each; both write into the
    residual stream.

    Shapes: x (B, T, d_model) -> the same. A cache or a mask goes to `MultiHeadAttention`, which is
    causal without them.
    Source: Radford et al. 2019, section 2.3. The parts are named as in GPT-2: ln_1, attn, ln_2,
    mlp.

    >>> block = Block(TransformerConfig(n_embd=8, n_head=2))
    >>> block(torch.randn(1, 5, 8)).shape, sum(p.numel() for p in block.parameters())
    (torch.Size([1, 5, 8]), 872)
    """

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        d_model = config.n_embd
        self.config = config
        two_norms = config.mlp and not config.order.startswith("parallel")
        self.ln_1 = LayerNorm(d_model, config.layer_norm_epsilon) if config.norm else nn.Identity()
        self.attn = MultiHeadAttention(d_model, config.n_head)
        self.ln_2 = (
            LayerNorm(d_model, config.layer_norm_epsilon)
            if config.norm and two_norms
            else nn.Identity()
        )
        self.mlp = MLP(d_model, config.n_inner, config.activation_function) if config.mlp else None

    def forward(
        self, x: Tensor, kv_cache: KVCache | None = None, mask: Tensor | None = None
    ) -> Tensor:
        def attn(z: Tensor) -> Tensor:
            return dropout(self.attn(z, kv_cache, mask), self.config.resid_pdrop, self.training)

        def mlp(z: Tensor) -> Tensor:
            return (
                dropout(self.mlp(z), self.config.resid_pdrop, self.training)
                if self.mlp
                else torch.zeros_like(z)
            )

        if self.config.residual:
            return ORDERS[self.config.order](x, attn, mlp, self.ln_1, self.ln_2)
        x = attn(self.ln_1(x))
        return mlp(self.ln_2(x)) if self.mlp else x
