"""A small transformer made of blocks: the ladder of Models 1 to 5, and how to read what each part
writes.

Shapes: B sequences, T positions, V tokens in the vocabulary, d_model features. The modules have
GPT-2's names: wte and wpe (token and position embedding), h (the blocks), ln_f, lm_head.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from course_utils.attention.heads import KVCache, causal_mask
from course_utils.machine.devices import check_range
from course_utils.transformer_block.block import (
    Block,
    LayerNorm,
    TransformerConfig,
    dropout,
    frozen_layer_norm,
    sinusoidal_positions,
)


def ladder(level: int, **sizes) -> TransformerConfig:
    """The configuration of Model 1 to 5: each adds something to the one before; 5 is GPT-2 (small,
    without `sizes`).

    1 is a token embedding and a head. 2 adds positions and LayerNorm, and ties the head to the
    embedding. 3 adds one attention head. 4 has n_layer blocks of one head and an MLP each. 5 has
    n_head heads in each block.
    Raises: ValueError for another level.

    >>> [
    ...     (c.n_layer, c.n_head)
    ...     for c in (ladder(n, n_embd=64, n_layer=4, n_head=4) for n in range(1, 6))
    ... ]
    [(0, 1), (0, 1), (1, 1), (4, 1), (4, 4)]
    """
    steps = {1: dict(n_layer=0, n_head=1, positions="none", norm=False, tie_word_embeddings=False),
             2: dict(n_layer=0, n_head=1),
             3: dict(n_layer=1, n_head=1, mlp=False),
             4: dict(n_head=1),
             5: {}}  # fmt: skip
    if level not in steps:
        raise ValueError(f"there is no Model {level!r}: choose a level from 1 to 5")
    return TransformerConfig(**(sizes | steps[level]))


def check_ids(ids: Tensor) -> None:
    """Say what is wrong with ids that are not (B, T) whole numbers.

    Raises: TypeError.

    >>> check_ids(torch.tensor([[3, 1, 4]]))
    """
    if ids.ndim != 2 or ids.is_floating_point():
        raise TypeError(
            f"ids are {tuple(ids.shape)} {ids.dtype} but must be whole numbers (B, T): for one text pass "
            "torch.tensor(ids)[None]"
        )


class Transformer(nn.Module):
    """Tokens to logits: embedding plus position, n_layer blocks, a last LayerNorm, the head.

    Shapes: ids (B, T), whole numbers -> logits (B, T, V): row t is about token t + 1; with `last`,
    only the last position's, (B, 1, V). Causal unless a mask is given.
    The weights are drawn from `generator`, if given. Where a block ends with a LayerNorm, there is
    no last one.
    Raises: ValueError or TypeError for ids that are not (B, T), too long, too large, or not whole
    numbers.
    Source: Radford et al. 2019 (GPT-2), section 2.3; the tied head is Press & Wolf 2017.

    >>> model = Transformer(ladder(5, vocab_size=10, n_positions=8, n_embd=8, n_layer=2, n_head=2))
    >>> model(torch.tensor([[3, 1, 4]])).shape
    torch.Size([1, 3, 10])
    """

    def __init__(self, config: TransformerConfig, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.config = config
        self.wte = nn.Embedding(config.vocab_size, config.n_embd)
        if config.positions == "learned":
            self.wpe = nn.Embedding(config.n_positions, config.n_embd)
        elif config.positions == "sinusoidal":
            # sized like the tokens at the start
            table = sinusoidal_positions(config.n_positions, config.n_embd)
            self.register_buffer(
                "table", table * math.sqrt(2) * config.initializer_range, persistent=False
            )
        self.h = nn.ModuleList(Block(config) for _ in range(config.n_layer))
        # these two end with a LayerNorm
        last = config.norm and config.order not in ("post", "parallel")
        self.ln_f = LayerNorm(config.n_embd, config.layer_norm_epsilon) if last else nn.Identity()
        self.lm_head = nn.Linear(config.n_embd, config.vocab_size, bias=False)
        if config.tie_word_embeddings:
            self.lm_head.weight = self.wte.weight
        init_weights(self, config, generator)

    def embed(self, ids: Tensor, start: int = 0) -> tuple[Tensor, Tensor]:
        """What the token and what the position write, each (B, T, d_model); the first token is at
        position `start`.
        """
        check_ids(ids)
        T = ids.size(1)
        n_positions = self.config.n_positions
        if start + T > n_positions:
            raise ValueError(
                f"{start + T} positions, but the model has n_positions={n_positions}: cut the text, or "
                "make a model with more"
            )
        # behind a cache the model has written them itself
        if start == 0 and ids.device.type not in ("cpu", "meta"):
            check_range(ids, self.config.vocab_size)
        try:
            token = self.wte(ids)  # (B, T, d_model)
        except IndexError:  # on the CPU; a GPU would not come back from it
            raise ValueError(
                f"an id is not in 0 to {self.config.vocab_size - 1}: encode with the tokenizer that "
                "vocab_size was taken from"
            ) from None
        if self.config.positions == "none":
            return token, torch.zeros_like(token)
        if self.config.positions == "sinusoidal":
            return token, self.table[start : start + T].expand_as(token)
        return token, self.wpe(torch.arange(start, start + T, device=ids.device)).expand_as(token)

    def streams(
        self, ids: Tensor, kv_cache: Sequence[KVCache] | None = None, mask: Tensor | None = None
    ) -> list[Tensor]:
        """The residual stream before the first block and after each: n_layer + 1 tensors (B, T,
        d_model).
        """
        token, position = self.embed(ids, len(kv_cache[0]) if kv_cache else 0)
        x = dropout(token + position, self.config.embd_pdrop, self.training)  # (B, T, d_model)
        streams = [x]
        for block, cache in zip(self.h, kv_cache or [None] * len(self.h), strict=True):
            streams.append(self.run_block(block, streams[-1], cache, mask))
        return streams

    def run_block(
        self, block: Block, x: Tensor, kv_cache: KVCache | None, mask: Tensor | None
    ) -> Tensor:
        """One block of the stack; a subclass may wrap it."""
        return block(x, kv_cache, mask)

    def forward(
        self,
        ids: Tensor,
        kv_cache: Sequence[KVCache] | None = None,
        mask: Tensor | None = None,
        last: bool = False,
    ) -> Tensor:
        x = self.streams(ids, kv_cache, mask)[-1]  # (B, T, d_model)
        return self.lm_head(self.ln_f(x[:, -1:] if last else x))  # (B, T, V)


@torch.no_grad()
def init_weights(
    model: nn.Module, config: TransformerConfig, generator: torch.Generator | None = None
) -> None:
    """Draw all weights as GPT-2 does: normal with `initializer_range`, biases 0, gains 1, and
    smaller what writes.

    n_layer blocks write N = 2 · n_layer times into one stream (N = n_layer without MLPs), so the
    matrices that write, `c_proj`, start 1/√N as large: the stream's variance then does not grow
    with depth.
    Source: Radford et al. 2019, section 2.3.

    >>> block = Block(config := TransformerConfig(n_embd=256, n_head=4, n_layer=8))
    >>> init_weights(block, config)
    >>> print(f"{block.mlp.c_fc.weight.std():.3f} {block.mlp.c_proj.weight.std():.3f}")
    0.020 0.005
    """
    n_writes = config.n_layer * (2 if config.mlp else 1)
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            parameter.zero_()
        elif parameter.ndim == 1:  # the gains of LayerNorm
            parameter.fill_(1.0)
        else:
            writes = name.endswith("c_proj.weight") and config.depth_scaled_init
            std = config.initializer_range / math.sqrt(n_writes if writes else 1)
            if generator is None or generator.device.type == parameter.device.type:
                parameter.normal_(0, std, generator=generator)
            else:  # drawn where the generator is: one seed gives the same weights on every device
                parameter.copy_(
                    torch.empty_like(parameter, device=generator.device).normal_(
                        0, std, generator=generator
                    )
                )


def architecture_mask(kind: str, T: int, n_source: int = 0) -> Tensor:
    """Say who may look at whom: what tells the three families of transformers apart.

    "decoder-only" (GPT): itself and the past. "encoder-only" (BERT): everything. "prefix LM": the
    first n_source positions are the source and see each other; the others see the whole source,
    themselves and their past. Its blocks are what an encoder, a decoder and cross-attention may
    see; an encoder-decoder (T5) has weights of its own for each of the three.
    Shapes: -> (T, T), bool, True = may look. Raises: ValueError for another kind, or an n_source
    that does not fit.
    Source: Vaswani et al. 2017, section 3.2.3; Raffel et al. 2020 (T5), section 3.2.1.

    >>> architecture_mask("prefix LM", T=4, n_source=2).int()
    tensor([[1, 1, 0, 0],
            [1, 1, 0, 0],
            [1, 1, 1, 0],
            [1, 1, 1, 1]], dtype=torch.int32)
    """
    if kind not in ("decoder-only", "encoder-only", "prefix LM"):
        raise ValueError(f"unknown kind {kind!r}: choose decoder-only, encoder-only or prefix LM")
    if kind == "prefix LM" and not 0 < n_source < T:
        raise ValueError(
            f"n_source={n_source} of T={T} positions: a prefix LM needs a source and a target"
        )
    if kind != "prefix LM" and n_source:
        raise ValueError(f"{kind} has no source: leave n_source at 0, or choose prefix LM")
    mask = causal_mask(T) | (kind == "encoder-only")  # (T, T)
    mask[:n_source, :n_source] = True
    return mask


# --- Reading the residual stream ------------------------------------------------------------------


@torch.no_grad()
def residual_writes(
    model: Transformer, ids: Tensor, mask: Tensor | None = None
) -> dict[str, Tensor]:
    """All that was ever added to the residual stream, by name; the sum is the stream that reaches
    the last LayerNorm.

    Names: "embedding", "position", and for each layer l "head l.h" for each head, "bias l" (the
    attention's) and "mlp l". Shapes: ids (B, T) -> tensors (B, T, d_model).
    Raises: ValueError for post-norm and parallel blocks, whose norm rescales what was written
    before, for a model without residuals, and for one that still drops numbers out. Source: Elhage
    et al. 2021, "Virtual weights and the residual stream as a communication channel".

    >>> model = Transformer(ladder(5, vocab_size=10, n_positions=8, n_embd=8, n_layer=1, n_head=2))
    >>> list(residual_writes(model, torch.tensor([[3, 1, 4]])))
    ['embedding', 'position', 'head 0.0', 'head 0.1', 'bias 0', 'mlp 0']
    """
    config = model.config
    if config.order != "pre" or not config.residual:
        raise ValueError(
            f'order="{config.order}", residual={config.residual}: the stream is a sum of writes only with '
            'order="pre" and residual=True'
        )
    if model.training and (config.embd_pdrop or config.resid_pdrop):
        raise ValueError("dropout changes the writes at every call: call model.eval() first")
    token, position = model.embed(ids)
    writes = {"embedding": token, "position": position}
    x = token + position  # (B, T, d_model)
    for layer, block in enumerate(model.h):
        heads = block.attn.per_head(block.ln_1(x), mask)  # (B, H, T, d_model)
        writes |= {f"head {layer}.{h}": write for h, write in enumerate(heads.unbind(1))}
        writes[f"bias {layer}"] = block.attn.c_proj.bias.expand_as(x)
        x = x + heads.sum(1) + block.attn.c_proj.bias
        if block.mlp is not None:
            writes[f"mlp {layer}"] = block.mlp(block.ln_2(x))
            x = x + writes[f"mlp {layer}"]
    return writes


@torch.no_grad()
def logit_contributions(
    model: Transformer, ids: Tensor, token: int, mask: Tensor | None = None
) -> dict[str, Tensor]:
    """What each write adds to one token's logit, with the scale of the last LayerNorm frozen; the
    sum is the logit.

    Names as in `residual_writes`, and "ln_f bias". Shapes: ids (B, T) -> tensors (B, T). Units:
    nats.
    Raises: as `residual_writes`. Source: Elhage et al. 2021; "direct logit attribution".

    >>> model = Transformer(ladder(5, vocab_size=10, n_positions=8, n_embd=8, n_layer=1, n_head=2))
    >>> ids = torch.tensor([[3, 1, 4]])
    >>> parts = logit_contributions(model, ids, token=7)
    >>> torch.allclose(sum(parts.values()), model(ids)[:, :, 7], atol=1e-6)
    True
    """
    writes = residual_writes(model, ids, mask)
    direction = model.lm_head.weight[token]  # (d_model,)
    if isinstance(model.ln_f, nn.Identity):
        return {name: write @ direction for name, write in writes.items()}
    stack = torch.stack(list(writes.values()))  # (N, B, T, d_model)
    parts = frozen_layer_norm(stack, model.ln_f.weight, model.ln_f.eps)  # (N, B, T, d_model)
    bias = (model.ln_f.bias @ direction).expand(ids.shape)
    return dict(zip(writes, parts @ direction, strict=True)) | {"ln_f bias": bias}
