"""What lesson 04 builds: GPT-2 from ids to logits, its loss, a step that does not jump, the loop that
writes, and a clock that is read when the work is done.

Shapes: B texts, T positions, V tokens in the vocabulary, d_model features.
"""

import math
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


def embed(ids: Tensor, wte: Tensor, wpe: Tensor) -> Tensor:
    """Give each position of each text its first vector: what its token says plus what its place
    says.

    Shapes: ids (B, T); wte (V, d_model), a row for each token; wpe (n_positions, d_model), a row for
    each place, with n_positions >= T -> (B, T, d_model).

    >>> wte, wpe = torch.tensor([[1.0], [2.0], [3.0]]), torch.tensor([[0.0], [10.0], [20.0]])
    >>> embed(torch.tensor([[2, 0], [1, 1]]), wte, wpe).squeeze(-1)
    tensor([[ 3., 11.],
            [ 2., 12.]])
    """
    return wte[ids] + wpe[: ids.size(1)]  # (B, T, d_model)


def forward(
    ids: Tensor,
    wte: Tensor,
    wpe: Tensor,
    blocks: Sequence[Callable[[Tensor], Tensor]],
    ln_f: Callable[[Tensor], Tensor],
) -> Tensor:
    """Compute what a GPT-2 says after each position: a score for each token of the vocabulary.

    Shapes: ids (B, T), wte (V, d_model), wpe (n_positions, d_model); each block and ln_f map
    (B, T, d_model) to the same shape -> logits (B, T, V). The blocks run one after the other, ln_f
    (the last LayerNorm) once, at the end. The head has no table of its own: a token's score is the
    dot product with its row of wte. Source: Radford and others 2019, section 2.3.

    >>> one, zero = torch.eye(2), torch.zeros(1, 2)
    >>> forward(torch.tensor([[0]]), one, zero, [lambda x: x + 1, lambda x: 2 * x], lambda x: x - 1)
    tensor([[[3., 1.]]])
    """
    x = embed(ids, wte, wpe)  # (B, T, d_model)
    for block in blocks:
        x = block(x)
    return ln_f(x) @ wte.T  # (B, T, V)


def next_token_loss(logits: Tensor, ids: Tensor) -> Tensor:
    """Measure how surprised a model is by a text: the mean of -log p(next token), in nats.

    Shapes: logits (B, T, V), what the model said after reading each of the ids (B, T) -> a number
    (a tensor without dimensions). The last position has no next token, so it does not count. Scores
    may be as large as 1000: the loss stays finite.

    >>> sure = torch.tensor([[[0.0, 100.0], [0.0, 100.0], [0.0, 100.0]]])
    >>> (
    ...     next_token_loss(sure, torch.tensor([[0, 1, 1]])),
    ...     next_token_loss(sure, torch.tensor([[1, 0, 1]])),
    ... )
    (tensor(0.), tensor(50.))
    """
    return F.cross_entropy(logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten())


def clip_gradients(gradients: Sequence[Tensor], most: float) -> list[Tensor]:
    """Keep a step from being too long: shrink all gradients by one factor, so that the norm of all
    numbers together is at most `most`.

    Shapes: any -> a list of new tensors of the same shapes. The direction stays, and what is not too
    long stays as it is. Source: Pascanu and others 2013, algorithm 1.

    >>> clip_gradients([torch.tensor([3.0]), torch.tensor([[4.0]])], most=1.0)
    [tensor([0.6000]), tensor([[0.8000]])]
    """
    norm = math.sqrt(sum(g.square().sum().item() for g in gradients))
    factor = min(1.0, most / norm) if norm > 0 else 1.0
    return [factor * g for g in gradients]


def generate(
    model: Callable[[Tensor], Tensor],
    ids: Tensor,
    n_new: int,
    n_positions: int,
    generator: torch.Generator,
) -> Tensor:
    """Let a model write: n_new times, draw a next token from what it says at the last position and
    append it.

    Shapes: model maps ids (B, T) to logits (B, T, V); ids (B, T) -> (B, T + n_new). Each token is
    drawn with the probability that softmax gives it, with the generator, for each text by itself.
    The model can read at most n_positions tokens: show it the last ones.

    >>> after = lambda ids: 100.0 * torch.eye(4)[(ids + 1) % 4]  # surely the next number
    >>> generate(after, torch.tensor([[1], [3]]), 3, 8, torch.Generator().manual_seed(0))
    tensor([[1, 2, 3, 0],
            [3, 0, 1, 2]])
    """
    for _ in range(n_new):
        with torch.no_grad():
            logits = model(ids[:, -n_positions:])[:, -1]  # (B, V)
        drawn = torch.multinomial(logits.softmax(-1), 1, generator=generator)  # (B, 1)
        ids = torch.cat([ids, drawn], dim=1)
    return ids


def seconds_per_call(
    work: Callable[[], object],
    wait: Callable[[], object],
    clock: Callable[[], float],
    repeats: int = 5,
) -> float:
    """Time work that runs somewhere else: how many seconds does one call take?

    work() only puts the work into the queue of another processor and returns; wait() returns when
    the queue is empty; clock() is the time in seconds. The very first call also prepares things,
    so it must not count, and neither may what is still in the queue when you begin. Call work()
    once and then `repeats` times.

    >>> ticks = iter(range(100))
    >>> seconds_per_call(lambda: None, lambda: None, lambda: next(ticks), repeats=1)
    1.0
    """
    work()
    wait()
    begun = clock()
    for _ in range(repeats):
        work()
    wait()
    return (clock() - begun) / repeats
