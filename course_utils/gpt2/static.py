"""Writing with tensors whose shapes never change, so that one recording of the work, a CUDA graph,
fits every step.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from course_utils.attention.heads import merge_heads, split_heads
from course_utils.gpt2.model import GPT


class StaticDecoder:
    """Reads one token a step into a cache of full length; a mask hides the places still empty.

    A GPU spends a few microseconds on each kernel, and somebody must order it: for a small model
    that takes longer than the work. A recording orders all kernels of a step at once, but it repeats
    them on the same memory. So the token, its place and the cache are tensors that stay where they
    are. On CUDA, `capture` records; elsewhere each step is ordered as usual, and gives the same
    numbers.

    Shapes: B texts; at most n_positions tokens each. Raises: ValueError where the room is used up.
    Source: PyTorch documentation, "CUDA semantics", CUDA graphs.

    >>> from course_utils.gpt2.model import GPTConfig
    >>> model = GPT(GPTConfig(n_layer=2, n_head=2, n_embd=8, vocab_size=10, n_positions=8)).eval()
    >>> ids = torch.tensor([[3, 1, 4]])
    >>> decoder = StaticDecoder(model, B=1)
    >>> torch.allclose(decoder.read(ids), model(ids)[:, -1], atol=1e-5)
    True
    """

    def __init__(self, model: GPT, B: int, n_positions: int | None = None) -> None:
        config = model.config
        where = model.wte.weight
        self.model = model
        self.n_positions = n_positions or config.n_positions
        d = config.n_embd // config.n_head
        shape = (config.n_layer, 2, B, config.n_head, self.n_positions, d)
        self.room = where.new_zeros(shape)  # keys and values of each layer
        self.places = torch.arange(self.n_positions, device=where.device)
        self.token = torch.zeros(B, 1, dtype=torch.long, device=where.device)
        self.place = torch.zeros(1, dtype=torch.long, device=where.device)
        self.length = (
            0  # the same number, where the processor that orders can see it without waiting
        )
        self.graph = None
        self.logits = None

    def read(self, ids: Tensor) -> Tensor:
        """Read texts (B, T), token by token, behind what was read; the scores for the next token,
        (B, V).
        """
        for t in range(ids.size(1)):
            logits = self.next(ids[:, t : t + 1])
        return logits

    @torch.no_grad()
    def next(self, token: Tensor) -> Tensor:
        """Read one more token of each text, (B, 1): the scores for the one after it, (B, V)."""
        if self.length == self.n_positions:
            raise ValueError(f"the cache has room for {self.n_positions} tokens: make a larger one")
        self.token.copy_(token)
        self.place.fill_(self.length)
        self.length += 1
        if self.graph is None:
            return self._step()
        self.graph.replay()
        return self.logits

    def _step(self) -> Tensor:
        """One token through all layers, on the tensors that stay: (B, V)."""
        model = self.model
        allowed = (self.places <= self.place)[None]  # (1, n_positions)
        x = model.wte(self.token) + model.wpe(self.place)  # (B, 1, d_model)
        for block, (keys, values) in zip(model.h, self.room, strict=True):
            parts = block.attn.c_attn(block.ln_1(x)).chunk(3, dim=-1)
            q, k, v = (split_heads(part, block.attn.n_head) for part in parts)  # (B, H, 1, d)
            keys.index_copy_(2, self.place, k)
            values.index_copy_(2, self.place, v)
            mixed = F.scaled_dot_product_attention(
                q, keys, values, attn_mask=allowed
            )  # (B, H, 1, d)
            x = x + block.attn.c_proj(merge_heads(mixed))
            x = x + block.mlp(block.ln_2(x))
        return model.lm_head(model.ln_f(x))[:, -1]

    @torch.no_grad()
    def capture(self) -> "StaticDecoder":
        """Record a step as a CUDA graph; does nothing where there is no CUDA that can."""
        if self.token.device.type != "cuda" or not torch.backends.cuda.is_built():
            return self
        side = torch.cuda.Stream()  # what is not yet prepared must not be prepared while recording
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(3):
                self._step()
        torch.cuda.current_stream().wait_stream(side)
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            self.logits = self._step()
        return self
