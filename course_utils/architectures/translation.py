"""From one text to another: an encoder and a decoder with cross-attention between them, the same
with a single vector between, and one stack that reads both texts as one.

Shapes: B texts, S positions of the source, T of what is written, V tokens, d_model features.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from course_utils.architectures.parts import Parts
from course_utils.attention.heads import merge_heads
from course_utils.training import train
from course_utils.transformer_block.block import Block, LayerNorm, TransformerConfig
from course_utils.transformer_block.transformer import (
    Transformer,
    architecture_mask,
    init_weights,
)

LETTERS = " abcdefghijklmnopqrstuvwxyz"
N = 8  # letters in a text
COPY = len(LETTERS)  # the token that commands a copy; the next one, the reverse
START = COPY + 2  # what stands before the first letter that is written
SIZES = TransformerConfig(
    vocab_size=START + 1,
    n_positions=2 * N + 1,
    n_embd=64,
    n_layer=2,
    n_head=4,
    initializer_range=0.07,
)


def orders(B: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Draw B sources, a command (copy or reverse) and eight letters, and what is to be written.

    Shapes: -> (B, 9), (B, 8).

    >>> source, target = orders(5, torch.Generator().manual_seed(0))
    >>> source.shape, target.shape
    (torch.Size([5, 9]), torch.Size([5, 8]))
    """
    letters = torch.randint(COPY, (B, N), generator=generator)  # (B, N)
    reverse = torch.randint(2, (B, 1), generator=generator)  # (B, 1)
    target = torch.where(reverse == 1, letters.flip(1), letters)
    return torch.cat([COPY + reverse, letters], dim=1), target


class CrossAttention(nn.Module):
    """Several heads of `cross_attention` side by side, and a matrix that mixes what they found.

    Shapes: x (B, T, d_model), source (B, S, d_model) -> (B, T, d_model).

    >>> CrossAttention(8, 2)(torch.randn(1, 3, 8), torch.randn(1, 5, 8)).shape
    torch.Size([1, 3, 8])
    """

    def __init__(self, d_model: int, n_head: int, parts: Parts | None = None) -> None:
        super().__init__()
        self.parts = parts or Parts()
        start = torch.randn(3, n_head, d_model, d_model // n_head) / math.sqrt(d_model)
        self.weights = nn.Parameter(start)  # (3, H, d_model, d): queries, keys, values
        self.c_proj = nn.Linear(d_model, d_model)

    def forward(self, x: Tensor, source: Tensor) -> Tensor:
        found = self.parts.cross_attention(x[:, None], source[:, None], *self.weights)
        return self.c_proj(merge_heads(found))  # (B, H, T, d) -> (B, T, d_model)


class EncoderDecoder(nn.Module):
    """One block reads the source, with its whole text in view; one block writes, with its own past
    in view and, by cross-attention, what the encoder made of the source.

    one_vector: the decoder gets a single vector of the encoder, that of the first position.
    Shapes: source (B, S), written (B, T) -> logits (B, T, V). Source: Vaswani et al. 2017, section
    3.1; a single vector between: Sutskever et al. 2014.

    >>> source, target = orders(2, torch.Generator().manual_seed(0))
    >>> EncoderDecoder()(source, target).shape
    torch.Size([2, 8, 30])
    """

    def __init__(
        self,
        one_vector: bool = False,
        config: TransformerConfig = SIZES,
        parts: Parts | None = None,
    ) -> None:
        super().__init__()
        d_model = config.n_embd
        self.one_vector = one_vector
        self.wte = nn.Embedding(config.vocab_size, d_model)
        self.wpe = nn.Embedding(config.n_positions, d_model)
        self.encoder = Block(config)
        self.ln_source = LayerNorm(d_model)
        self.decoder = Block(config)
        self.ln_cross = LayerNorm(d_model)
        self.cross = CrossAttention(d_model, config.n_head, parts)
        self.ln_f = LayerNorm(d_model)
        self.lm_head = nn.Linear(d_model, config.vocab_size, bias=False)

    def embed(self, ids: Tensor) -> Tensor:
        """What the token and the position write, (B, T, d_model)."""
        return self.wte(ids) + self.wpe.weight[: ids.size(1)]

    def encode(self, source: Tensor) -> Tensor:
        """What the encoder hands over: (B, S, d_model), or (B, 1, d_model) with one vector."""
        everything = architecture_mask("encoder-only", source.size(1)).to(source.device)
        read = self.ln_source(self.encoder(self.embed(source), mask=everything))
        return read[:, :1] if self.one_vector else read

    def forward(self, source: Tensor, written: Tensor) -> Tensor:
        read = self.encode(source)
        x = self.embed(written)  # (B, T, d_model)
        block = self.decoder
        x = x + block.attn(block.ln_1(x))
        x = x + self.cross(self.ln_cross(x), read)
        x = x + block.mlp(block.ln_2(x))
        return self.lm_head(self.ln_f(x))  # (B, T, V)


class OneStack(nn.Module):
    """A Transformer of two blocks that reads the source and what is written as one text: as a
    decoder-only model, or, with `prefix`, as a prefix LM, which sees the whole source at once.

    Shapes: source (B, S), written (B, T) -> logits (B, T, V).

    >>> source, target = orders(2, torch.Generator().manual_seed(0))
    >>> OneStack(prefix=True)(source, target).shape
    torch.Size([2, 8, 30])
    """

    def __init__(self, prefix: bool = False, config: TransformerConfig = SIZES) -> None:
        super().__init__()
        self.prefix = prefix
        self.model = Transformer(config)

    def forward(self, source: Tensor, written: Tensor) -> Tensor:
        ids = torch.cat([source, written], dim=1)  # (B, S + T)
        S = source.size(1)
        mask = None
        if self.prefix:
            mask = architecture_mask("prefix LM", ids.size(1), S).to(ids.device)
        return self.model(ids, mask=mask)[:, S:]


FAMILIES = {
    "decoder-only": lambda parts: OneStack(),
    "prefix LM": lambda parts: OneStack(prefix=True),
    "encoder-decoder": lambda parts: EncoderDecoder(parts=parts),
    "one vector between": lambda parts: EncoderDecoder(one_vector=True, parts=parts),
}


def learn_orders(
    kind: str, steps: int, lr: float = 3e-3, seed: int = 0, parts: Parts | None = None
) -> nn.Module:
    """Train one of FAMILIES to follow the orders, and return it.

    >>> model = learn_orders("decoder-only", steps=1)
    >>> 0 <= right_letters(model, n=10) <= 1
    True
    """

    def batches(generator: torch.Generator) -> tuple[Tensor, ...]:
        source, target = orders(32, generator)
        start = torch.full((32, 1), START)
        return source, torch.cat([start, target[:, :-1]], dim=1), target

    def loss(model: nn.Module, batch: tuple[Tensor, ...]) -> Tensor:
        source, written, target = batch
        return F.cross_entropy(model(source, written).flatten(0, 1), target.flatten())

    model = FAMILIES[kind](parts)
    init_weights(model, SIZES, torch.Generator().manual_seed(seed))
    train(model, batches, steps, lr=lr, weight_decay=0.0, seed=seed, loss_fn=loss, progress=False)
    return model.eval()


@torch.no_grad()
def write(model: nn.Module, source: Tensor) -> Tensor:
    """Let a model write eight letters by itself: each is the likeliest, and is read for the next.

    Shapes: source (B, S) -> (B, 8).

    >>> write(OneStack(), torch.zeros(3, 9).long()).shape
    torch.Size([3, 8])
    """
    written = torch.full((len(source), 1), START, device=source.device)
    for _ in range(N):
        said = model(source, written)[:, -1, :COPY].argmax(-1)  # (B,)
        written = torch.cat([written, said[:, None]], dim=1)
    return written[:, 1:]


def right_letters(model: nn.Module, n: int = 500, seed: int = 999) -> float:
    """The share of right letters in n answers that the model wrote by itself.

    >>> right_letters(OneStack(), n=100) < 0.3
    True
    """
    device = next(model.parameters()).device
    source, target = (x.to(device) for x in orders(n, torch.Generator().manual_seed(seed)))
    return (write(model, source) == target).float().mean().item()
