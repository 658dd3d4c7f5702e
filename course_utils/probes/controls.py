"""What a reading of activations is compared with, and how: windows that do not overlap, labels of
another story, precision and recall, and representations beside each other.

Shapes: n examples, T positions, d features.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from course_utils.machine.devices import wide


def apart(starts: Sequence[int] | Tensor, T: int) -> Tensor:
    """Choose the starts of windows of T tokens, from the first on, so that no two windows share a
    token.

    starts: whole numbers in rising order, (m,). A start is taken where the window before it has
    ended. Shapes: -> (k,), k <= m. Raises: ValueError for T below 1.

    >>> apart([0, 3, 5, 9, 12, 15], T=5)
    tensor([ 0,  5, 12])
    """
    if T < 1:
        raise ValueError(f"T = {T}: a window has 1 token at least")
    chosen = []
    for start in torch.as_tensor(starts).tolist():
        if not chosen or start >= chosen[-1] + T:
            chosen.append(start)
    return torch.tensor(chosen, dtype=torch.long)


def borrowed_labels(labels: Tensor, generator: torch.Generator) -> Tensor:
    """Labels of other stories: each row gets another row's labels, and none its own.

    What a position alone says of a label stays; what only this story says is gone. Each row is lent
    once. Shapes: labels (n, T) -> (n, T). Raises: ValueError for fewer than 2 rows.

    >>> labels = torch.tensor([[0, 0], [0, 1], [1, 1]])
    >>> lent = borrowed_labels(labels, torch.Generator().manual_seed(0))
    >>> bool((lent == labels).all(1).any()), lent.sum().item() == labels.sum().item()
    (False, True)
    """
    n = len(labels)
    if n < 2:
        raise ValueError(f"{n} story has no other to borrow from: at least 2 are needed")
    order = torch.randperm(n, generator=generator)  # a ring: each takes from the next
    taken = torch.empty_like(order)
    taken[order] = order.roll(-1)
    return labels[taken.to(labels.device)]


def precision_recall(said: Tensor, true: Tensor) -> tuple[float, float]:
    """How far a detector can be trusted, and how much it finds.

    Precision: of the examples for which it says yes, the share that are so. Recall: of those that
    are so, the share for which it says yes. Where it never says yes, its precision is 1. Shapes:
    said and true (n,), bool. Raises: ValueError where nothing is true.
    Source: van Rijsbergen 1979, "Information Retrieval", chapter 7.

    >>> said = torch.tensor([True, True, True, False])
    >>> precision, recall = precision_recall(said, torch.tensor([True, True, False, True]))
    >>> print(f"{precision:.2f} {recall:.2f}")
    0.67 0.67
    """
    if not true.any():
        raise ValueError("nothing is true: recall has no meaning")
    both = (said & true).sum().item()
    yes = said.sum().item()
    return both / yes if yes else 1.0, both / true.sum().item()


def cka(x: Tensor, y: Tensor) -> float:
    """How alike two sets of activations of the same examples are, whatever their axes: linear
    centred kernel alignment.

    With each feature's mean taken away: ‖yᵀx‖² / (‖xᵀx‖ ‖yᵀy‖), ‖·‖² the sum of all squares. It is
    1 for a rotated, shifted or scaled copy, and it does not mind different widths. Shapes: x (n, d),
    y (n, e). Raises: ValueError for other numbers of examples. Source: Kornblith et al. 2019,
    "Similarity of Neural Network Representations Revisited", section 3.

    >>> x = torch.tensor([[1.0, 0.0], [0.0, 1.0], [2.0, 2.0]])
    >>> round(cka(x, 3 * x.flip(1) + 5), 4)
    1.0
    """
    if len(x) != len(y):
        raise ValueError(f"{len(x)} and {len(y)} examples: both must be of the same ones")
    x = wide(x) - wide(x).mean(0)
    y = wide(y) - wide(y).mean(0)
    both = (y.T @ x).square().sum()
    return (both / ((x.T @ x).square().sum() * (y.T @ y).square().sum()).sqrt()).item()
