"""Beam search: writing with several texts at once, of which those stay that are likeliest as a whole.

Shapes: K texts that are kept (the beams), T tokens so far, V tokens in the vocabulary. Scores are sums
of log-probabilities, in nats. All texts are equally long, so no penalty for the length is needed.
"""

from collections.abc import Callable

import torch
from torch import Tensor


def beam_step(texts: Tensor, scores: Tensor, log_p: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Extend texts by one token: of all extensions of all texts, keep the k likeliest whole texts.

    Shapes: texts (K, T), the beams so far; scores (K,), the log-probability of each; log_p (K, V),
    that of each next token after each text -> the new texts (k, T + 1) and their scores (k,), the
    likeliest first; all K · V where k is more. Source: Freitag & Al-Onaizan 2017.

    >>> log_p = torch.tensor([[0.55, 0.45], [0.95, 0.05]]).log()
    >>> texts, scores = beam_step(
    ...     torch.tensor([[0], [1]]), torch.tensor([0.6, 0.4]).log(), log_p, k=2
    ... )
    >>> texts, scores.exp()
    (tensor([[1, 0],
            [0, 0]]), tensor([0.3800, 0.3300]))
    """
    V = log_p.size(-1)
    total = (scores[:, None] + log_p).flatten()  # (K · V,)
    best, place = total.topk(
        min(k, total.numel())
    )  # (k,): the k best of all, whoever they continue
    token = (place % V)[:, None]  # (k, 1)
    return torch.cat([texts[place // V], token], dim=1), best


@torch.inference_mode()
def beam_search(
    model: Callable[[Tensor], Tensor], ids: Tensor, n_new: int, k: int
) -> tuple[Tensor, Tensor]:
    """Append n_new tokens and keep, after each, the k likeliest texts.

    Shapes: ids (1, T) -> texts (k, T + n_new), the likeliest first, and the log-probability of what is
    new, (k,), in nats; the model maps (B, T) to logits (B, T, V). Raises: ValueError for more than one
    prompt and for k < 1. Source: Freitag & Al-Onaizan 2017.

    >>> texts, scores = beam_search(
    ...     lambda ids: torch.eye(5)[(ids + 1) % 5], torch.tensor([[0]]), 3, k=2
    ... )
    >>> texts[0]
    tensor([0, 1, 2, 3])
    """
    if len(ids) != 1 or k < 1:
        raise ValueError(f"{len(ids)} prompts and k={k}: give one prompt and keep at least 1 text")
    scores = torch.zeros(1, device=ids.device)
    for _ in range(n_new):
        log_p = model(ids)[:, -1].log_softmax(-1)  # (K, V)
        ids, scores = beam_step(ids, scores, log_p, k)
    return ids, scores
