"""LoRA: thin matrices beside frozen ones, merged at the end into weights of the usual kind."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from course_utils.gpt2.model import GPT


class LoRALinear(nn.Module):
    """A frozen linear layer with two thin matrices beside it that can be trained: y = W x + b + (α
    / r) B A x.

    A is (rank, in), drawn as torch draws a linear layer's weight; B is (out, rank) and starts at 0,
    so that at first nothing changes. A class of its own may put other functions in the places of
    `compute` and `merged`. Shapes: x (..., in) -> (..., out). Raises: TypeError for another layer,
    ValueError for a rank below 1 or above both sizes.
    Source: Hu et al. 2021, "LoRA", section 4.1.

    >>> linear, x = nn.Linear(6, 4), torch.randn(2, 6)
    >>> lora = LoRALinear(linear, rank=2, alpha=4)
    >>> (
    ...     torch.equal(lora(x), linear(x)),
    ...     sum(p.numel() for p in lora.parameters() if p.requires_grad),
    ... )
    (True, 20)
    """

    def __init__(
        self,
        linear: nn.Linear,
        rank: int,
        alpha: float | None = None,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        if not isinstance(linear, nn.Linear):
            raise TypeError(f"LoRALinear wraps an nn.Linear, this is a {type(linear).__name__}")
        if not isinstance(rank, int) or not 1 <= rank <= max(
            linear.in_features, linear.out_features
        ):
            raise ValueError(
                f"rank {rank} does not fit a layer {linear.in_features} -> {linear.out_features}: it is the "
                "thin side of A and B, such as 1 to 16"
            )
        self.linear = linear.requires_grad_(False)
        self.rank = rank
        self.alpha = 2 * rank if alpha is None else alpha
        draw = (2 * torch.rand(rank, linear.in_features, generator=generator) - 1).to(linear.weight)
        # (rank, in); Kaiming with a = √5
        self.A = nn.Parameter(1 / math.sqrt(linear.in_features) * draw)
        self.B = nn.Parameter(linear.weight.new_zeros(linear.out_features, rank))  # (out, rank)

    @staticmethod
    def compute(
        x: Tensor, W: Tensor, b: Tensor | None, A: Tensor, B: Tensor, alpha: float
    ) -> Tensor:
        """What the layer does: `lora_forward`."""
        return lora_forward(x, W, b, A, B, alpha)

    @staticmethod
    def merged(W: Tensor, A: Tensor, B: Tensor, alpha: float) -> Tensor:
        """What its weight becomes at the end: `lora_merge`."""
        return lora_merge(W, A, B, alpha)

    def forward(self, x: Tensor) -> Tensor:
        return self.compute(x, self.linear.weight, self.linear.bias, self.A, self.B, self.alpha)

    @torch.no_grad()
    def merge(self) -> nn.Linear:
        """Return one linear layer that computes the same; this one stays as it is."""
        linear = copy.deepcopy(self.linear)
        linear.weight.copy_(self.merged(self.linear.weight, self.A, self.B, self.alpha))
        return linear


def lora_forward(
    x: Tensor, W: Tensor, b: Tensor | None, A: Tensor, B: Tensor, alpha: float
) -> Tensor:
    """Return W x + b + (α / r) B A x for rows x, where r is the rank; b may be None.

    The thin way is taken step by step, so that no matrix of W's size is made.
    Shapes: x (..., n), W (m, n), b (m,), A (r, n), B (m, r) -> (..., m).
    Source: Hu et al. 2021, "LoRA", section 4.1.

    >>> x, W = torch.tensor([[1.0, 2.0]]), torch.eye(2)
    >>> lora_forward(
    ...     x, W, None, A=torch.tensor([[1.0, 1.0]]), B=torch.tensor([[1.0], [0.0]]), alpha=2.0
    ... )
    tensor([[7., 2.]])
    """
    return F.linear(x, W, b) + alpha / len(A) * (x @ A.T) @ B.T  # (..., m)


def lora_merge(W: Tensor, A: Tensor, B: Tensor, alpha: float) -> Tensor:
    """Return the one matrix that does the same as W and the two thin ones; W itself stays as it is.

    Shapes: W (m, n), A (r, n), B (m, r) -> (m, n). Source: Hu et al. 2021, "LoRA", section 4.1.

    >>> W = torch.eye(2)
    >>> lora_merge(W, A=torch.tensor([[1.0, 1.0]]), B=torch.tensor([[1.0], [0.0]]), alpha=2.0), W
    (tensor([[3., 2.],
            [0., 1.]]), tensor([[1., 0.],
            [0., 1.]]))
    """
    return W + alpha / len(A) * B @ A  # (m, n)


MATRICES = ("c_attn", "c_proj", "c_fc")


def add_lora(
    model: GPT,
    rank: int,
    alpha: float | None = None,
    where: Iterable[str] = MATRICES,
    new_tokens: int = 0,
    generator: torch.Generator | None = None,
    layer: type[LoRALinear] = LoRALinear,
) -> GPT:
    """Return a copy of the model, all frozen, with a `layer` in the place of each linear layer
    named in `where`.

    alpha: 2 · rank by default. new_tokens: the last rows of the embedding, which are trained as
    well, since nobody has learnt them yet (train without weight decay then). Raises: ValueError
    where no layer has such a name.

    >>> from course_utils.pretrained import storyteller
    >>> model = add_lora(storyteller(), rank=4)
    >>> sum(p.numel() for p in model.parameters() if p.requires_grad)
    32768
    """
    model = copy.deepcopy(model).requires_grad_(False)
    where = (where,) if isinstance(where, str) else tuple(where)
    generator = generator or torch.Generator().manual_seed(0)
    places = [
        (parent, name)
        for parent in model.h.modules()
        for name, child in parent.named_children()
        if isinstance(child, nn.Linear) and name in where
    ]
    if not places:
        raise ValueError(
            f"no linear layer of the blocks is called {', '.join(where)}: choose from {', '.join(MATRICES)}, "
            "and merge_lora first where the model has LoRA already"
        )
    for parent, name in places:
        setattr(parent, name, layer(getattr(parent, name), rank, alpha, generator))
    if new_tokens:
        _train_new_rows(model, new_tokens)
    return model


def _train_new_rows(model: GPT, new_tokens: int) -> None:
    new = torch.arange(model.config.vocab_size) >= model.config.vocab_size - new_tokens  # (V,)
    model.wte.weight.requires_grad_(True).register_hook(
        lambda gradient: gradient * new.to(gradient)[:, None]
    )


def train_only(model: GPT, ending: str, new_tokens: int = 0) -> GPT:
    """Return a copy of the model in which only the parameters whose names end so are trained, and
    the last rows of the embedding: a baseline for LoRA.

    Raises: ValueError where no parameter's name ends so. Source: for the biases Ben Zaken et al.
    2022, "BitFit".

    >>> from course_utils.pretrained import storyteller
    >>> sum(p.numel() for p in train_only(storyteller(), ".bias").parameters() if p.requires_grad)
    5760
    """
    model = copy.deepcopy(model).requires_grad_(False)
    chosen = [p for name, p in model.named_parameters() if name.endswith(ending)]
    if not chosen:
        raise ValueError(f"no parameter's name ends in {ending!r}; try '.bias'")
    for parameter in chosen:
        parameter.requires_grad_(True)
    if new_tokens:
        _train_new_rows(model, new_tokens)
    return model


def alpha_for(rank: int, known_rank: int, known_alpha: float) -> float:
    """Say which α moves the matrices at this rank as far, in the first steps, as a known α did at
    a known rank.

    The thin part is multiplied by α / rank. Raises: ValueError for a rank below 1.
    Source: Kalajdzievski 2023, "A Rank Stabilization Scaling Factor for Fine-Tuning with LoRA".

    >>> alpha_for(8, known_rank=8, known_alpha=16.0)
    16.0
    """
    if rank < 1 or known_rank < 1:
        raise ValueError(f"ranks {rank} and {known_rank}: both at least 1")
    return known_alpha * math.sqrt(rank / known_rank)


# --- The update that full fine-tuning makes -------------------------------------------------------


def low_rank(update: Tensor, rank: int) -> Tensor:
    """Return the matrix of this rank that lies nearest to the update, by the sum of squared
    differences.

    The largest `rank` singular values stay with their vectors, the others become 0. A rank above
    the smaller side changes nothing. Shapes: update (m, n) -> (m, n). Raises: ValueError for a rank
    below 1.
    Source: Eckart & Young 1936, "The approximation of one matrix by another of lower rank".

    >>> low_rank(torch.diag(torch.tensor([3.0, 2.0, 1.0])), rank=2)
    tensor([[3., 0., 0.],
            [0., 2., 0.],
            [0., 0., 0.]])
    """
    if rank < 1:
        raise ValueError(f"rank {rank}: at least 1")
    U, S, Vh = torch.linalg.svd(update, full_matrices=False)  # (m, k), (k,), (k, n)
    return U[:, :rank] * S[:rank] @ Vh[:rank]  # (m, n)


@torch.no_grad()
def cut_update(
    tuned: GPT,
    base: GPT,
    rank: int,
    new_tokens: int = 0,
    cut: Callable[[Tensor, int], Tensor] = low_rank,
) -> GPT:
    """Return a copy of the base with the tuned model's update of each matrix of the blocks, cut to
    a rank, and its rows of the new words: what is left of full fine-tuning where LoRA would train.

    >>> from course_utils.pretrained import storyteller
    >>> base, tuned = storyteller(), storyteller()
    >>> tuned.h[0].mlp.c_fc.weight.data += torch.ones(512, 128)  # an update of rank 1
    >>> cut = cut_update(tuned, base, rank=1)
    >>> torch.allclose(cut.h[0].mlp.c_fc.weight, tuned.h[0].mlp.c_fc.weight, atol=1e-4)
    True
    """
    model = copy.deepcopy(base)
    after = dict(tuned.named_parameters())
    for name, weight in model.named_parameters():
        if any(name.endswith(f"{matrix}.weight") for matrix in MATRICES):
            weight += cut(after[name] - weight, rank)
    if new_tokens:
        model.wte.weight[-new_tokens:] = tuned.wte.weight[-new_tokens:]
    return model


def merge_lora(model: GPT) -> GPT:
    """Return a copy of the model with every LoRALinear merged: the plain model's shape, size and
    speed again.

    >>> from course_utils.pretrained import storyteller
    >>> merged = merge_lora(add_lora(storyteller(), rank=4))
    >>> [name for name, _ in merged.named_parameters()] == [
    ...     name for name, _ in storyteller().named_parameters()
    ... ]
    True
    """
    model = copy.deepcopy(model)
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, LoRALinear):
                setattr(parent, name, child.merge())
    return model


def lora_size(n_embd: int, n_layer: int, rank: int, where: Iterable[str] = MATRICES) -> int:
    """Count the numbers that LoRA trains in a GPT-2 of this size: rank · (in + out) a matrix.

    >>> lora_size(128, 4, rank=4), lora_size(768, 12, rank=8, where=["c_attn"])
    (32768, 294912)
    """
    # in and out in n_embd; c_proj: two of them
    sides = {"c_attn": (1, 3), "c_fc": (1, 4), "c_proj": (1 + 4, 1 + 1)}
    return n_layer * rank * n_embd * sum(sum(sides[name]) for name in where)
