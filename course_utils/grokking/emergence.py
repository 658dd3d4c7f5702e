"""Emergence and the metric that makes it: a family of models that grows smoothly, judged softly and
harshly.

The models only memorise: each of N facts is a key with one of V answers, drawn at random. A model
of width d sees a key as d fixed random numbers, and learns one matrix from there to the logits.
Shapes: M models, N facts, V answers.
Source: Schaeffer et al. 2023, "Are Emergent Abilities of Large Language Models a Mirage?".
"""

from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor


def memorise(
    widths: Sequence[int],
    n_facts: int = 256,
    n_answers: int = 64,
    steps: int = 150,
    lr: float = 0.05,
    generator: torch.Generator | None = None,
    bar: Callable[[range], Iterable[int]] = iter,
) -> Tensor:
    """Train one model of each width on the same facts, all at once; return the log-probability of
    each right answer.

    Narrow models see the first numbers of what wide ones see. Log-probabilities are in nats. `bar`
    wraps the steps.
    Shapes: -> (M, N, V), where the right answer of each fact has been moved to column 0.
    Raises: ValueError for a width below 1.

    >>> log_p = memorise(
    ...     [2, 64], n_facts=64, n_answers=8, generator=torch.Generator().manual_seed(0)
    ... )
    >>> (log_p.argmax(-1) == 0).float().mean(-1) > 0.9  # the wide one knows nearly all
    tensor([False,  True])
    """
    if not widths or min(widths) < 1:
        raise ValueError(f"widths {list(widths)}: each must be 1 or more")
    d = max(widths)
    answer = torch.randint(n_answers, (n_facts,), generator=generator)  # (N,)
    seen = (torch.arange(d) < torch.tensor(list(widths))[:, None])[:, None]  # (M, 1, d)
    keys = torch.randn(n_facts, d, generator=generator) * seen  # (M, N, d)
    weights = torch.zeros(len(widths), d, n_answers, requires_grad=True)
    optimizer = torch.optim.Adam([weights], lr)
    facts = torch.arange(n_facts)
    for _ in bar(range(steps)):
        optimizer.zero_grad()
        log_p = (keys @ weights).log_softmax(-1)  # (M, N, V)
        # a sum: no model's gradient depends on another
        (-log_p[:, facts, answer].mean(-1).sum()).backward()
        optimizer.step()
    # (N, V): the right answer first
    order = (answer[:, None] + torch.arange(n_answers)) % n_answers
    return (keys @ weights.detach()).log_softmax(-1).gather(-1, order.expand(len(widths), -1, -1))


def exact_match(right: Tensor, k: int, lists: int, generator: torch.Generator) -> Tensor:
    """Ask for lists of k different random facts: the share of lists that are right from beginning
    to end.

    Shapes: right (M, N), bool -> (M,). All models are asked the same lists. Raises: ValueError for
    a k above N.

    >>> right = torch.tensor([[True, True, True, True], [True, True, True, False]])
    >>> exact_match(right, 4, lists=10, generator=torch.Generator().manual_seed(0))
    tensor([1., 0.])
    """
    N = right.size(-1)
    if not 1 <= k <= N:
        raise ValueError(f"k={k}: a list needs 1 to {N} different facts")
    asked = torch.rand(lists, N, generator=generator).argsort(-1)[:, :k]  # (lists, k)
    return right[:, asked].all(-1).float().mean(-1)
