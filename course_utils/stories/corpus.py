"""Texts to train on: generated stories whose entropy is known exactly; real English is in
`stories.english`.
"""

from __future__ import annotations

import random
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from torch import Tensor

from course_utils.machine.devices import wide
from course_utils.stories import grammar
from course_utils.stories.grammar import (
    END,
    VOCAB,
    WORLD_OF,
    Effect,
    Event,
    Fork,
    Plot,
    Recall,
    Slot,
    Teller,
    Word,
    change,
)

ID = {word: i for i, word in enumerate(VOCAB)}
HOLDERS = ("hero", "friend", "nobody")


@dataclass(frozen=True)
class Stories:
    """Stories in a row, with the surprisal of every token and what the teller knows.

    tokens     (n,) int64    ids into VOCAB; id 0 ends every story surprisal  (n,) float32  -log p
    of each token given its story so far, in nats: the loss of a perfect model holder     (n,) int64
    who has the toy once this token is told: an index into HOLDERS place      (n,) int64    where
    everyone is then: the id of "home", "beach", ... starts     (stories,)    the index of each
    story's first token facts      a dict a story: hero, friend, toy, colour, fav (the favourite
    food), ...: the last word drawn of each kind events     a list a story: what happened to the toy
    and the place (stories.grammar.Event)
    """

    tokens: Tensor
    surprisal: Tensor
    holder: Tensor
    place: Tensor
    starts: Tensor
    facts: list[dict[str, str]]
    events: list[list[Event]]

    @property
    def text(self) -> str:
        return decode_words(self.tokens)

    @property
    def entropy_per_token(self) -> float:
        return entropy_per_token()

    def windows(self, T: int, n: int | None = None) -> tuple[Tensor, Tensor]:
        """Return the first T + 1 tokens from each story's first one on, and their surprisal: (n, T
        + 1) each.

        T tokens to read and the T to predict. A window runs on into the next story; those that the
        end cuts off are left out. At most n of them. Raises ValueError where none is whole.

        >>> ids, nats = stories(seed=0, n_tokens=2000).windows(T=7, n=3)
        >>> ids.shape, decode_words(ids[0])
        (torch.Size([3, 8]), 'This is the story of a shy child')
        """
        starts = self.starts[self.starts < len(self.tokens) - T][:n]
        if not len(starts):
            raise ValueError(
                f"no window of {T} + 1 tokens in {len(self.tokens)}: tell more stories, or take a smaller T"
            )
        index = starts[:, None] + torch.arange(T + 1)  # (n, T + 1)
        return self.tokens[index], self.surprisal[index]


def stories(seed: int, n_tokens: int) -> Stories:
    """Tell stories until there are n_tokens tokens (the last story is cut off there); one seed
    gives one text.

    Raises ValueError for fewer than 1 token.

    >>> some = stories(seed=3, n_tokens=28)
    >>> some.text.split(". ")[2], some.facts[0]["toy"], HOLDERS[some.holder[-1]]
    ('One morning Mama gave him a blue doll', 'doll', 'hero')
    """
    if n_tokens < 1:
        raise ValueError(f"n_tokens is {n_tokens}: ask for at least 1 token")
    teller = Teller(random.Random(seed))
    code = {"hero": 0, "friend": 1, "here": 2, "gone": 2}
    tokens = []
    surprisal = []
    holder = []
    place = []
    starts = []
    facts = []
    events = []
    plot = None
    now = (0, 0)
    for i in range(n_tokens):
        if teller.told == 0:
            starts.append(i)
            facts.append(teller.words)
            events.append(teller.events)
        token, nats = teller.step()
        if teller.plot is not plot and token != END:
            plot = teller.plot
            now = (code[teller.plot.toy], ID[teller.place])
        tokens.append(ID[token])
        surprisal.append(nats)
        holder.append(now[0])
        place.append(now[1])
    return Stories(*map(torch.tensor, (tokens, surprisal, holder, place, starts)), facts, events)


def encode_words(text: str) -> Tensor:
    """Return the ids (n,) of a text's words and punctuation marks; an empty line is the end of a
    story.

    Raises ValueError for words that are not in VOCAB.

    >>> encode_words("Tom smiled.\\n\\n").tolist() == [ID["Tom"], ID["smiled"], ID["."], ID[END]]
    True
    """
    words = [
        END if word == "\n\n" else word for word in re.findall(r"\n\n|[^\W\d_]+|[^\s\w]", text)
    ]
    # a sentence begins with a capital
    words = [word if word in ID else word[:1].lower() + word[1:] for word in words]
    if unknown := sorted(set(words) - set(VOCAB)):
        raise ValueError(
            f"not in VOCAB: {unknown[:10]}; the stories know {len(VOCAB)} words, see VOCAB"
        )
    return torch.tensor([ID[word] for word in words], dtype=torch.long)


def decode_words(ids: Tensor | Iterable[int]) -> str:
    """Return the text of these ids, with spaces and capitals as in print and an empty line between
    stories.

    >>> decode_words(encode_words("“Thank you,” said Tom."))
    '“Thank you,” said Tom.'
    """
    text = " ".join(VOCAB[i] for i in torch.as_tensor(ids).tolist())
    text = re.sub(r" ?([,.?!”])", r"\1", text).replace("“ ", "“").replace(END, "\n\n")
    text = re.sub(r" ?\n\n ?", "\n\n", text)
    starts = r"((?:^|[.?!]”? |\n\n)“?|, “)(?!said\b)([a-z])"
    return re.sub(starts, lambda match: match[1] + match[2].upper(), text)


def surprisal(tokens: Tensor | Sequence[int]) -> Tensor:
    """Return -log p in nats (n,) of each token given those before it; the first one begins a story.

    Raises ValueError where a token is impossible.

    >>> some = stories(seed=1, n_tokens=500)
    >>> torch.allclose(surprisal(some.tokens), some.surprisal)
    True
    """
    teller = Teller()
    return torch.tensor([teller.step(VOCAB[i])[1] for i in torch.as_tensor(tokens).tolist()])


def next_token_distribution(prefix: Tensor | Sequence[int]) -> Tensor:
    """Return p(next token | prefix) (V,), exactly; the prefix begins with a story, or is empty.

    Raises ValueError where a token of the prefix is impossible.

    >>> p = next_token_distribution(
    ...     encode_words("Once upon a time there was a child named Tom. Tom was a")
    ... )
    >>> VOCAB[p.argmax()], round(p.max().item(), 3), round(p.sum().item(), 3)
    ('kind', 0.149, 1.0)
    """
    teller = Teller()
    p = torch.zeros(len(VOCAB))
    ids = torch.as_tensor(prefix).tolist()
    # earlier stories do not matter
    for i in ids[len(ids) - ids[::-1].index(0) if 0 in ids else 0 :]:
        teller.step(VOCAB[i])
    for token, chance in teller.next_tokens().items():
        p[ID[token]] = chance
    return p


def expect(symbols: Iterable, plot: Plot) -> dict[Plot | None, np.ndarray]:
    """Return {plot afterwards: (probability, entropy in nats, tokens)} of telling these symbols;
    None is the end.

    Entropy and tokens are weighted by the probability: (p, a)(q, b) = (pq, pb + qa) along a
    sequence, and alternatives add. Source: Li & Eisner 2009, "First- and second-order expectation
    semirings", section 3.

    >>> coin = Fork([(1, (Word("yes"), Word("please"))), (1, (Word("no"),))])
    >>> total = expect([coin, Effect("@drop")], Plot())
    >>> # log 2 nats, 2 or 1 tokens
    >>> {plot.toy: values.round(2).tolist() for plot, values in total.items()}
    {'here': [1.0, 0.69, 1.5]}
    """
    total = {plot: np.array([1.0, 0.0, 0.0])}
    for symbol in symbols:
        before = total
        total = defaultdict(lambda: np.zeros(3))
        for now, (p, *sums) in before.items():
            for then, (q, *more) in _expect_one(symbol, now).items():
                total[then] += (p * q, p * more[0] + q * sums[0], p * more[1] + q * sums[1])
    return total


@cache
def _expect_one(symbol, plot: Plot) -> dict[Plot | None, np.ndarray]:
    if type(symbol) is Effect:
        return {change(symbol, plot): np.array([1.0, 0.0, 0.0])}
    if type(symbol) in (Word, Recall):
        return {None if symbol == END else plot: np.array([1.0, 0.0, 1.0])}
    worlds = [(1.0, "")]
    total = defaultdict(lambda: np.zeros(3))
    # away may be any place: take the mean over all of them
    if type(symbol) is Slot and symbol.rule.endswith(".world"):
        places = grammar.fork("place", plot)
        away = [(p, WORLD_OF[place]) for p, (place,) in zip(places.p, places.branches, strict=True)]
        worlds = away if plot.at == "away" else [(1.0, "home")]
    for share, world in worlds:
        fork = symbol if type(symbol) is Fork else grammar.fork(symbol.rule, plot, world)
        p = np.array(fork.p)
        log_p = -np.array(fork.surprisal)
        entropy = -p @ log_p
        # the mean over the barred word, itself drawn from this list
        if type(symbol) is Slot and symbol.barred:
            entropy = p @ ((entropy + p * log_p) / (1 - p) + np.log1p(-p))
        for q, branch in zip(fork.p, fork.branches, strict=True):
            for then, (r, nats, length) in expect(branch, plot).items():
                total[then] += share * q * np.array([r, nats + r * entropy, length])
    return total


@cache
def story_entropy() -> tuple[float, float]:
    """Return the expected entropy in nats and the expected tokens of one story, its end token
    included.

    Exact up to rounding: from each plot to the story's end, x = gain + move @ x. Computed once,
    then kept.

    >>> [round(x) for x in story_entropy()]
    [137, 178]
    """
    opening = expect([Slot("opening")], Plot())
    rows = {}
    todo = list(opening)
    while todo:
        if (plot := todo.pop()) not in rows:
            rows[plot] = expect([Slot("next.end")], plot)
            todo += [then for then in rows[plot] if then is not None]
    order = {plot: i for i, plot in enumerate(rows)}
    move = np.zeros((len(rows), len(rows)))
    gain = np.zeros((len(rows), 2))
    for plot, row in rows.items():
        for then, (p, *sums) in row.items():
            gain[order[plot]] += sums
            if then is not None:
                move[order[plot], order[then]] = p
    ahead = np.linalg.solve(np.eye(len(rows)) - move, gain)  # (plots, 2)
    entropy, tokens = sum(
        np.array(sums) + p * ahead[order[plot]] for plot, (p, *sums) in opening.items()
    )
    return float(entropy), float(tokens)


def entropy_per_token() -> float:
    """Return the stories' entropy rate in nats per token: no model has a lower expected loss over
    whole stories.

    A window cut out of the middle hides what came before and costs more: let windows begin at
    Stories.starts, and compare with the mean surprisal of the very tokens that were read.
    Stories are independent, so it is the expected entropy of a story over its expected length.
    Source: Cover & Thomas 2006, section 4.2 (entropy rate), and the renewal-reward theorem.

    >>> round(entropy_per_token(), 3)  # so a perfect model still hesitates between some two words
    0.771
    """
    entropy, tokens = story_entropy()
    return entropy / tokens


def ngram_entropy(tokens: Tensor, n: int) -> float:
    """Return the entropy in nats of a token given the n - 1 before it, as counted on these tokens.

    Counts make it too low where most blocks of n tokens are rare: 1,000,000 tokens are enough for n
    = 3 or so. Raises ValueError unless n is at least 1 and there are n tokens. Source: Shannon
    1951, equation 1.

    >>> [round(ngram_entropy(torch.tensor([0, 1, 2, 0, 2, 1] * 50), n), 2) for n in (1, 2, 3)]
    [1.1, 0.69, 0.0]
    """
    if n < 1 or len(tokens) < n:
        raise ValueError(
            f"n = {n} with {len(tokens)} tokens: n is at least 1 and at most the number of tokens"
        )

    blocks = tokens.unfold(0, n, 1)  # (m, n)
    size = int(tokens.max()) + 1

    def entropy(columns: Tensor) -> float:
        key = torch.zeros(len(blocks), dtype=torch.long, device=blocks.device)
        for column in columns:
            # (m,) which block this is
            key = torch.unique(key * size + column, return_inverse=True)[1]
        p = wide(key.bincount()) / len(key)
        return -torch.xlogy(p, p).sum().item()

    return entropy(blocks.T) - entropy(blocks.T[:-1])
