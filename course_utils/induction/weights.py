"""The QK and the OV circuit of a head, read from the weights: which token looks for which, and what
is written where a token is looked at.

Shapes: V tokens, H heads, d features a head. The gains of the LayerNorms are folded in; their
division by the spread, the biases and the positions are left out, so that a circuit is a table of
tokens, (V, V), and approximate.
Source: Elhage et al. 2021, "A Mathematical Framework for Transformer Circuits".
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from course_utils.transformer_block.transformer import Transformer

Head = tuple[int, int]


def copying_score(circuit: Tensor) -> Tensor:
    """Say how much a circuit raises a token itself: the sum of its eigenvalues over the sum of their
    sizes.

    It is 1 where every eigenvalue is positive, near 0 for a random matrix, and -1 where all are
    negative. Eigenvalues may be complex; the sum is real, and a size is an absolute value.
    Shapes: circuit (V, V) -> a number, a tensor without dimensions.
    Raises: ValueError unless the circuit is square. Source: Elhage et al. 2021, "Summarizing OV/QK
    Matrices".

    >>> copying_score(torch.tensor([[2.0, 5.0], [0.0, 2.0]]))
    tensor(1.)
    >>> copying_score(torch.tensor([[0.0, 1.0], [1.0, 0.0]]))  # 1 and -1
    tensor(0.)
    """
    if circuit.ndim != 2 or circuit.size(0) != circuit.size(1):
        raise ValueError(f"a circuit is (V, V), from tokens to tokens; yours is {circuit.shape}")
    # Many eigenvalues are 0 but for rounding: in double precision, which the CPU has, they do not
    # count.
    eigenvalues = torch.linalg.eigvals(circuit.cpu().double())  # (V,), complex
    return (eigenvalues.real.sum() / eigenvalues.abs().sum()).to(circuit.dtype).to(circuit.device)


def _parts(model: Transformer, head: Head) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """W_Q, W_K, W_V, (d, d_model) each with the LayerNorm's gain, and W_O (d_model, d)."""
    layer, h = head
    attention = model.h[layer].attn
    gain = model.h[layer].ln_1.weight
    qkv = attention.c_attn.weight.unflatten(0, (3, attention.n_head, -1))[:, h] * gain
    return *qkv, attention.c_proj.weight.unflatten(1, (attention.n_head, -1))[:, h]


def _tokens(model: Transformer) -> Tensor:
    """The token table (V, d_model) with each row's mean taken away, as a LayerNorm does."""
    table = model.wte.weight
    return table - table.mean(-1, keepdim=True)


@torch.no_grad()
def ov_circuit(model: Transformer, head: Head) -> Tensor:
    """What a head adds to the score of each token where it looks at a token.

    Shapes: -> (V, V), a row for each token that is looked at.

    >>> from course_utils.induction import attention_only
    >>> ov_circuit(attention_only(2, generator=torch.Generator().manual_seed(0)), (1, 0)).shape
    torch.Size([64, 64])
    """
    _, _, w_v, w_o = _parts(model, head)
    out = model.lm_head.weight * model.ln_f.weight  # (V, d_model)
    return _tokens(model) @ w_v.T @ w_o.T @ out.T


@torch.no_grad()
def qk_circuit(model: Transformer, head: Head, before: Sequence[Head]) -> Tensor:
    """How much a token looks for a place where earlier heads wrote a token: the head's QK circuit
    through what these heads write (K-composition).

    Shapes: -> (V, V), a row for each token that looks, a column for each token that was written.

    >>> from course_utils.induction import attention_only
    >>> model = attention_only(2, generator=torch.Generator().manual_seed(0))
    >>> qk_circuit(model, (1, 0), [(0, 0), (0, 1)]).shape
    torch.Size([64, 64])
    """
    w_q, w_k, _, _ = _parts(model, head)
    written = torch.zeros_like(model.wte.weight)  # (V, d_model)
    for earlier in before:
        _, _, w_v, w_o = _parts(model, earlier)
        written += _tokens(model) @ w_v.T @ w_o.T
    return _tokens(model) @ w_q.T @ (written @ w_k.T).T
