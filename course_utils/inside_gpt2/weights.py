"""What trained weights look like, and damage of equal size: how many directions a matrix uses, which
tokens are neighbours, exactly n numbers replaced by noise, and which matrix a fault began in.
"""

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from course_utils.gpt2.model import GPT
from course_utils.inside_gpt2.breaking import MATRICES, matrices

KINDS = ("W_Q", "W_K", "W_V", "W_O", "MLP up", "MLP down")


def six(model: GPT, layer: int) -> dict[str, Tensor]:
    """The six matrices of a block by name, in the order of computation, as views into the model.

    Shapes: the first four (d_model, d_model), up (4 d_model, d_model), down (d_model, 4 d_model).

    >>> from course_utils.pretrained import storyteller
    >>> {kind: w.numel() // 128**2 for kind, w in six(storyteller(), 0).items()}
    {'W_Q': 1, 'W_K': 1, 'W_V': 1, 'W_O': 1, 'MLP up': 4, 'MLP down': 4}
    """
    views = [w.detach() for matrix in MATRICES for w in matrices(model, layer, matrix)]
    return dict(zip(KINDS, views, strict=True))


def participation_ratio(weight: Tensor) -> float:
    """Say how many directions a matrix really uses: 1 if one singular value has all the energy, n if
    n of them have equal shares.

    Shapes: weight (m, n), not all 0. The energy of a direction is its squared singular value; its
    share is its part of all energy. The participation ratio is 1 over the sum of the squared shares.

    >>> round(participation_ratio(torch.diag(torch.tensor([2.0, 2.0, 2.0, 0.0]))), 2)
    3.0
    """
    energy = torch.linalg.svdvals(weight.detach().cpu()) ** 2  # (min(m, n),)
    share = energy / energy.sum()
    return (1 / (share**2).sum()).item()


def neighbours(table: Tensor, i: int, k: int) -> Tensor:
    """Find the k tokens whose vectors point most nearly in the direction of token i's, the nearest
    first.

    Shapes: table (V, d_model), a row for each token, no row all 0; 0 < k < V -> ids (k,), integers.
    Lengths do not count: the cosine decides. Token i itself is no neighbour of its own.

    >>> neighbours(torch.tensor([[1.0, 0.0], [9.0, 9.0], [3.0, 1.0], [-1.0, 0.0]]), i=0, k=2)
    tensor([2, 1])
    """
    unit = F.normalize(table, dim=-1)  # (V, d_model)
    cosine = unit @ unit[i]  # (V,)
    cosine[i] = -torch.inf
    return cosine.topk(k).indices


def lesion(weight: Tensor, noise: Tensor, order: Tensor, n: int) -> Tensor:
    """Return a copy of a matrix in which exactly n numbers are those of the noise; the matrix that
    was given stays.

    Shapes: weight and noise (rows, columns); order (rows * columns,): every place once, in random
    order, where place p counts the numbers row after row. The first n places of order are hit.

    >>> lesion(torch.zeros(2, 2), torch.ones(2, 2), order=torch.tensor([2, 1, 0, 3]), n=2)
    tensor([[0., 1.],
            [1., 0.]])
    """
    hit = order[:n].to(weight.device)
    flat = weight.detach().reshape(-1).clone()
    flat[hit] = noise.reshape(-1).to(flat)[hit]
    return flat.view(weight.shape)


@torch.no_grad()
def readings(model: GPT, ids: Tensor) -> list[dict[str, Tensor]]:
    """What each of the six matrices gives while the model reads a text, block by block.

    Shapes: ids (B, T) -> for each block a dict of six, (B, T, d_model) each, up (B, T, 4 d_model).

    >>> from course_utils.pretrained import storyteller
    >>> read = readings(storyteller(), torch.tensor([[5, 6, 7]]))
    >>> len(read), list(read[0]), read[0]["MLP up"].shape
    (4, ['W_Q', 'W_K', 'W_V', 'W_O', 'MLP up', 'MLP down'], torch.Size([1, 3, 512]))
    """
    read = [{} for _ in model.h]
    hooks = []
    for found, block in zip(read, model.h, strict=True):

        def qkv(module, given, out, found=found):
            found.update(zip(KINDS[:3], out.chunk(3, dim=-1), strict=True))

        hooks.append(block.attn.c_attn.register_forward_hook(qkv))
        for kind, part in zip(
            KINDS[3:], (block.attn.c_proj, block.mlp.c_fc, block.mlp.c_proj), strict=True
        ):

            def keep(module, given, out, found=found, kind=kind):
                found[kind] = out

            hooks.append(part.register_forward_hook(keep))
    try:
        model(ids)
    finally:
        for hook in hooks:
            hook.remove()
    return read


def first_broken(
    before: Sequence[Mapping[str, Tensor]], after: Sequence[Mapping[str, Tensor]]
) -> tuple[int, str] | None:
    """Find which matrix was broken, from what each matrix gave before and after: (block, name).

    before, after: a dict for each block, from the first to the last; its names stand in the order
    of computation, its values are tensors of the same shape in both. All that comes after a broken
    matrix may differ, too, often by more. A number counts as different if it changed by more than
    1e-4; rounding alone stays below. Returns None if nothing differs.

    >>> before = [{"W_Q": torch.tensor([1.0]), "W_O": torch.tensor([2.0])}]
    >>> first_broken(before, [{"W_Q": torch.tensor([1.0]), "W_O": torch.tensor([5.0])}])
    (0, 'W_O')
    """
    for block, (old, new) in enumerate(zip(before, after, strict=True)):
        for name in old:
            if (new[name] - old[name]).abs().max() > 1e-4:
                return block, name
    return None
