"""Model 5 with newer parts, one at a time or all of them: a Transformer whose norms, MLPs, heads
and positions are exchanged.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from course_utils.architectures.experts import Experts, Shape
from course_utils.architectures.parts import Parts
from course_utils.attention.heads import KVCache, merge_heads, split_heads
from course_utils.training import Batch, language_loss
from course_utils.transformer_block.block import TransformerConfig
from course_utils.transformer_block.transformer import Transformer, init_weights


@dataclass(frozen=True)
class ModernConfig(TransformerConfig):
    """A TransformerConfig with the switches of this lesson, all off by default: then it is Model 5.

    n_kv_head: heads of keys and values (None: n_head). n_expert: MLPs in each block, of which each
    token uses top_k (0: one MLP, no router). Raises: ValueError where the heads do not fit.

    >>> ModernConfig(n_embd=64, n_head=4, n_kv_head=3)
    Traceback (most recent call last):
    ValueError: n_head=4 is not divisible by n_kv_head=3: each head of keys serves as many queries
    """

    rotary: bool = False
    rms_norm: bool = False
    swiglu: bool = False
    n_kv_head: int | None = None
    n_expert: int = 0
    top_k: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.n_head % (self.n_kv_head or self.n_head):
            raise ValueError(
                f"n_head={self.n_head} is not divisible by n_kv_head={self.n_kv_head}: "
                "each head of keys serves as many queries"
            )


CHANGES = {
    "RoPE": dict(rotary=True, positions="none"),
    "RMSNorm": dict(rms_norm=True),
    "SwiGLU": dict(swiglu=True),
    "GQA": dict(n_kv_head=1),
}  # what each change sets; one head of keys is the extreme case, multi-query attention


def variant(name: str, **sizes) -> ModernConfig:
    """Model 5, one change of CHANGES, or "all four" of them.

    >>> variant("RoPE", n_embd=64, n_head=4).positions
    'none'
    """
    changes = {"Model 5": {}, "all four": {k: v for c in CHANGES.values() for k, v in c.items()}}
    return ModernConfig(**(sizes | (changes | CHANGES)[name]))


class RMSNorm(nn.Module):
    """`rms_norm` with its learned gain; there is no shift.

    >>> RMSNorm(2)(torch.tensor([1.0, -1.0])).detach()
    tensor([ 1.0000, -1.0000])
    """

    def __init__(self, d_model: int, parts: Parts | None = None) -> None:
        super().__init__()
        self.parts = parts or Parts()
        self.weight = nn.Parameter(torch.ones(d_model))

    def forward(self, x: Tensor) -> Tensor:
        return self.parts.rms_norm(x, self.weight)


class SwiGLU(nn.Module):
    """`swiglu` as an MLP; it is 8/3 times as wide as d_model, so that its three matrices have as
    many numbers as the two of an MLP that is 4 times as wide.

    >>> sum(p.numel() for p in SwiGLU(96).parameters()), 2 * 4 * 96**2
    (73728, 73728)
    """

    def __init__(self, d_model: int, parts: Parts | None = None) -> None:
        super().__init__()
        self.parts = parts or Parts()
        d_inner = round(8 * d_model / 3)
        self.gate = nn.Linear(d_model, d_inner, bias=False)
        self.up = nn.Linear(d_model, d_inner, bias=False)
        self.c_proj = nn.Linear(d_inner, d_model, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.parts.swiglu(x, self.gate.weight.T, self.up.weight.T, self.c_proj.weight.T)


class GroupedAttention(nn.Module):
    """Causal attention in which groups of query heads share a head of keys and values, with rotary
    positions where they are asked for. The cache holds the shared heads only.

    Shapes: x (B, T, d_model) -> the same.

    >>> GroupedAttention(ModernConfig(n_embd=8, n_head=4, n_kv_head=2))(torch.zeros(1, 3, 8)).shape
    torch.Size([1, 3, 8])
    """

    def __init__(self, config: ModernConfig, parts: Parts | None = None) -> None:
        super().__init__()
        self.parts = parts or Parts()
        self.n_head = config.n_head
        self.n_kv_head = config.n_kv_head or config.n_head
        self.turned = config.rotary
        self.shared = config.n_embd // config.n_head * self.n_kv_head  # features of all keys
        self.c_attn = nn.Linear(config.n_embd, config.n_embd + 2 * self.shared)
        self.c_proj = nn.Linear(config.n_embd, config.n_embd)

    def forward(
        self, x: Tensor, kv_cache: KVCache | None = None, mask: Tensor | None = None
    ) -> Tensor:
        d_model = x.size(-1)
        q, k, v = self.c_attn(x).split((d_model, self.shared, self.shared), dim=-1)
        q = split_heads(q, self.n_head)  # (B, H, T, d)
        k = split_heads(k, self.n_kv_head)  # (B, H_kv, T, d)
        v = split_heads(v, self.n_kv_head)
        if kv_cache is not None:
            k, v = kv_cache.append(k, v)  # (B, H_kv, S, d); keys are turned after the cache
        T = q.size(-2)
        S = k.size(-2)
        if self.turned:
            # the queries stand at the last T of S positions, and rotary counts from 0
            q = self.parts.rotary(F.pad(q, (0, 0, S - T, 0)))[:, :, S - T :]
            k = self.parts.rotary(k)
        k = self.parts.repeat_kv(k, self.n_head // self.n_kv_head)  # (B, H, S, d)
        v = self.parts.repeat_kv(v, self.n_head // self.n_kv_head)
        if mask is None and S > T:
            mask = torch.ones(T, S, dtype=torch.bool, device=x.device).tril(S - T)
        z = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=mask is None)
        return self.c_proj(merge_heads(z))  # (B, T, d_model)


class ModernTransformer(Transformer):
    """A Transformer with the parts that its ModernConfig asks for; with none of them it is Model 5,
    to the bit. `parts` are the functions that it computes with.

    >>> model = ModernTransformer(
    ...     variant("all four", vocab_size=9, n_embd=12, n_layer=1, n_head=2, n_positions=8)
    ... )
    >>> model(torch.tensor([[3, 1, 4]])).shape
    torch.Size([1, 3, 9])
    """

    def __init__(
        self,
        config: ModernConfig,
        generator: torch.Generator | None = None,
        parts: Parts | None = None,
    ) -> None:
        super().__init__(config)
        d_model = config.n_embd
        for block in self.h:
            if config.rotary or config.n_kv_head:
                block.attn = GroupedAttention(config, parts)
            if config.rms_norm:
                block.ln_1 = RMSNorm(d_model, parts)
                block.ln_2 = RMSNorm(d_model, parts)
            if config.swiglu:
                block.mlp = SwiGLU(d_model, parts)
            if config.n_expert:
                shape = Shape(d_model, config.n_inner or 4 * d_model, config.n_expert)
                block.mlp = Experts(shape, config.top_k, parts)
        if config.rms_norm:
            self.ln_f = RMSNorm(d_model, parts)
        init_weights(self, config, generator)


def balanced_loss(model: nn.Module, batch: Batch, share: float = 0.01) -> Tensor:
    """The language loss, plus a share of how unevenly the experts of each block were used.

    >>> config = ModernConfig(
    ...     vocab_size=9, n_embd=8, n_layer=1, n_head=2, n_positions=4, n_expert=2
    ... )
    >>> batch = torch.ones(2, 4).long(), torch.ones(2, 4).long()
    >>> model = ModernTransformer(config)
    >>> bool(0 < balanced_loss(model, batch) - language_loss(model, batch) < 0.021)
    True
    """
    loss = language_loss(model, batch)
    used = [m.balance for m in model.modules() if isinstance(m, Experts)]
    return loss + share * sum(used)
