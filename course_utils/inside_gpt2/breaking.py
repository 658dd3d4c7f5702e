"""Do we need Q? The matrices of a trained GPT by name, noise to break them with, and how weights are
distributed.

The noise has the mean and the spread of the matrix that it breaks: the size stays, what was learned
is gone.
"""

import torch
from torch import Tensor

from course_utils.gpt2.model import GPT
from course_utils.machine.devices import wide

MATRICES = ("W_Q", "W_K", "W_V", "W_O", "MLP")


def matrices(model: GPT, layer: int, matrix: str) -> list[Tensor]:
    """The weights behind a name, as views into the model: one matrix, for the MLP its two; biases
    are left out.

    Shapes: W_Q, W_K, W_V, W_O (d_model, d_model); MLP (4 d_model, d_model) and (d_model, 4
    d_model).
    Raises: ValueError for an unknown name or layer. W_Q, W_K and W_V are the three parts of
    `c_attn.weight`.

    >>> from course_utils.pretrained import storyteller
    >>> [tuple(w.shape) for w in matrices(storyteller(), layer=0, matrix="MLP")]
    [(512, 128), (128, 512)]
    """
    if matrix not in MATRICES:
        raise ValueError(f"there is no matrix {matrix!r}: choose one of {', '.join(MATRICES)}")
    if not 0 <= layer < len(model.h):
        raise ValueError(f"there is no layer {layer}: the model has {len(model.h)}, counted from 0")
    block = model.h[layer]
    if matrix == "MLP":
        return [block.mlp.c_fc.weight, block.mlp.c_proj.weight]
    if matrix == "W_O":
        return [block.attn.c_proj.weight]
    return [block.attn.c_attn.weight.chunk(3)[MATRICES.index(matrix)]]  # (d_model, d_model)


@torch.no_grad()
def noise_like(weight: Tensor, generator: torch.Generator) -> Tensor:
    """Normal noise with the mean and the standard deviation of a tensor.

    Shapes: any -> the same, with the same dtype, on the same device; one seed gives the same noise
    on each.

    >>> noise = noise_like(torch.tensor([3.0, 5.0]).repeat(5000), torch.Generator().manual_seed(0))
    >>> print(f"{noise.mean():.1f} {noise.std():.1f}")
    4.0 1.0
    """
    noise = torch.randn(weight.shape, generator=generator, device=generator.device)
    return weight.mean() + weight.std() * noise.to(weight)


# --- How weights are distributed ------------------------------------------------------------------


def excess_kurtosis(x: Tensor) -> float:
    """How heavy the tails are: the mean fourth power of the standardised values, less the 3 of a
    normal distribution.

    Shapes: any. Units: none; 0 is normal, above 0 heavier tails. For n normal values it scatters by
    √(24/n).
    Source: Pearson 1905; Fisher 1930 for its scatter.

    >>> (
    ...     round(excess_kurtosis(torch.tensor([-1.0, 1.0])), 2),
    ...     round(excess_kurtosis(torch.tensor([-3.0] + 16 * [0.0] + [3.0])), 2),
    ... )
    (-2.0, 6.0)
    """
    x = wide(x.detach())
    z = (x - x.mean()) / x.std(correction=0)
    return z.pow(4).mean().item() - 3
