"""Small networks that learn to say the next word, and how surprised they are by stories that they
have not read.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from course_utils.stories import VOCAB, encode_words, stories
from course_utils.stories.corpus import Stories
from course_utils.training import token_batches, train

T = 192  # words of a story that are read; most stories are shorter
BATCH = 8  # stories a step


def next_token_loss(scores: Sequence[Sequence[float]], targets: Sequence[int]) -> float:
    """Measure how surprised a network is by a text: the mean of -log p(next word), in nats.

    scores: for each position of the text a score for each word of the vocabulary. targets: for each
    position the index of the word that really came. A network's probabilities are in proportion to
    e to the power of its scores: with the scores s, word i has e^s[i] / (e^s[0] + e^s[1] + …).
    Scores may be as large as 1000, or as small as -1000: the loss stays finite.

    >>> round(next_token_loss([[0.0, 0.0], [5.0, 5.0]], [0, 1]), 4)  # log 2: two equal words
    0.6931
    >>> next_token_loss([[1000.0, 0.0]], [0]), next_token_loss([[1000.0, 0.0]], [1])
    (0.0, 1000.0)
    """
    total = 0.0
    for row, target in zip(scores, targets, strict=True):
        top = max(row)  # e^1000 is too large for a computer; only differences of scores matter
        total += top - row[target] + math.log(math.fsum(math.exp(s - top) for s in row))
    return total / len(targets)


class Story(NamedTuple):
    """A story to be judged on. The first of its words is the end of the story before it, which a
    model reads and need not guess.

    words: n + 1 words. ids: (n + 1,), the same as indices into VOCAB. nats: (n,), the surprise at
    each word after the first, of a model that knows the generator: nobody can do better on average.

    >>> story = held_out(seed=2, n=1)[0]
    >>> story.words[:5], len(story.words) == len(story.ids) == len(story.nats) + 1
    (['<end>', 'Lily', 'was', 'a', 'kind'], True)
    """

    words: list[str]
    ids: Tensor
    nats: Tensor


def held_out(seed: int, n: int) -> list[Story]:
    """Return n whole stories, each cut after its T-th word.

    >>> [len(story.nats) for story in held_out(seed=2, n=3)]
    [192, 192, 146]
    """
    text = stories(seed, 400 * n)
    bounds = [*text.starts.tolist(), len(text.tokens)]
    found = []
    for start, end in list(zip(bounds, bounds[1:], strict=False))[:n]:
        end = min(end, start + T)
        ids = torch.cat([torch.zeros(1, dtype=torch.long), text.tokens[start:end]])
        found.append(Story([VOCAB[i] for i in ids], ids, text.surprisal[start:end]))
    return found


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Weights are drawn with a seed of their own; the session's random numbers stay as they are."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


class WindowMLP(nn.Module):
    """A network that sees the last `window` words, each as a row of numbers, side by side.

    Source: Bengio and others 2003, "A Neural Probabilistic Language Model".

    >>> WindowMLP(seed=0)(torch.zeros(2, 5, dtype=torch.long)).shape  # a score for each word
    torch.Size([2, 5, 699])
    """

    def __init__(self, seed: int, window: int = 8, width: int = 32, hidden: int = 256):
        super().__init__()
        self.window = window
        with _seeded(seed):
            self.rows = nn.Embedding(len(VOCAB), width)
            self.hidden = nn.Linear(window * width, hidden)
            self.scores = nn.Linear(hidden, len(VOCAB))
            nn.init.normal_(self.rows.weight, std=0.1)

    def forward(self, ids: Tensor) -> Tensor:
        rows = F.pad(self.rows(ids), (0, 0, self.window - 1, 0))  # (B, T + window - 1, width)
        windows = rows.unfold(1, self.window, 1).flatten(2)  # (B, T, width * window)
        return self.scores(torch.relu(self.hidden(windows)))  # (B, T, V)


class GRUModel(nn.Module):
    """A network that reads word by word and keeps one row of numbers as its memory of all of them.

    Source: Cho and others 2014, "Learning Phrase Representations using RNN Encoder-Decoder" (the
    GRU).

    >>> GRUModel(seed=0)(torch.zeros(2, 5, dtype=torch.long)).shape
    torch.Size([2, 5, 699])
    """

    def __init__(self, seed: int, width: int = 64, hidden: int = 128):
        super().__init__()
        with _seeded(seed):
            self.rows = nn.Embedding(len(VOCAB), width)
            self.memory = nn.GRU(width, hidden, batch_first=True)
            self.scores = nn.Linear(hidden, len(VOCAB))
            nn.init.normal_(self.rows.weight, std=0.1)

    def forward(self, ids: Tensor) -> Tensor:
        return self.scores(self.memory(self.rows(ids))[0])  # (B, T, V)


def train_network(
    model: nn.Module, text: Stories, passes: float, lr: float, seed: int, progress: bool = False
) -> list[float]:
    """Train a network in place to say the next word of stories, each read from its first word on,
    and return the loss of every step in nats.

    passes: how often it reads the whole text, on average.

    >>> losses = train_network(WindowMLP(seed=0), stories(0, 20_000), passes=1, lr=0.01, seed=0)
    >>> len(losses), losses[0] > losses[-1]
    (14, True)
    """
    # One place before a story's first word, so that this word is guessed as well.
    batches = token_batches(text.tokens, BATCH, T, text.starts[1:] - 1)
    steps = round(passes * len(text.starts) / BATCH)
    return train(model, batches, steps, lr=lr, seed=seed, progress=progress).losses


def next_words(model: nn.Module, text: str) -> dict[str, float]:
    """Return what a network expects after a text: {word: probability}, for each word of VOCAB.

    model: maps ids (1, n) to scores (1, n, V).

    >>> p = next_words(WindowMLP(seed=0), "Once upon a")
    >>> len(p), round(sum(p.values()), 3)
    (699, 1.0)
    """
    ids = encode_words(text).to(next(model.parameters()).device)
    with torch.no_grad():
        p = model(ids[None])[0, -1].softmax(-1)
    return dict(zip(VOCAB, p.tolist(), strict=True))


@torch.no_grad()
def scores_of(model: nn.Module, story: Story) -> list[list[float]]:
    """Return a network's scores at each word of a story but its last, as plain lists: for each
    place one score for each word of VOCAB.

    Shapes: model maps ids (1, n) to scores (1, n, V) -> n lists of V numbers.

    >>> scores = scores_of(WindowMLP(seed=0), held_out(seed=2, n=1)[0])
    >>> len(scores), len(scores[0])
    (192, 699)
    """
    ids = story.ids.to(next(model.parameters()).device)
    return model(ids[None, :-1])[0].tolist()


@torch.no_grad()
def surprises(model: nn.Module, story: Story) -> Tensor:
    """Return the surprise, -log p in nats, of a network at each word of a story after the first.

    Shapes: model maps ids (1, n) to scores (1, n, V) -> (n,).

    >>> nats = surprises(WindowMLP(seed=0), held_out(seed=2, n=1)[0])
    >>> nats.shape, round(nats.mean().item())  # it has learned nothing: about log 699
    (torch.Size([192]), 7)
    """
    ids = story.ids.to(next(model.parameters()).device)
    return F.cross_entropy(model(ids[None, :-1])[0], ids[1:], reduction="none")
