"""Notes that point at each other: a text on which depth pays, for lesson 03.

A note gives somebody a number ("Mia = 3") or says whose number it is ("Leo = Mia"). After each note
the model says the number. Each note is one token, and nobody is told what a pointer leads to: a note
that is k pointers away from a number asks for k hops.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Hops:
    """Texts of `names` notes, one for each name; the first `roots` give numbers, each later one
    points at the newest note of a chain drawn by lot.

    >>> task = Hops()
    >>> ids, numbers, hops = task.draw(2, torch.Generator().manual_seed(0))
    >>> ids.shape, numbers.max().item() < task.numbers, hops[0, :5].tolist()
    (torch.Size([2, 16]), True, [0, 0, 0, 1, 1])
    """

    names: int = 16
    numbers: int = 8
    roots: int = 3

    @property
    def vocab_size(self) -> int:
        return self.names * (self.names + self.numbers)

    def draw(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """n texts: the notes' ids, the numbers to be said, and how many hops each asks for, (n, T)
        each.

        The id of "name = x" is name · (names + numbers) + x, where x is a name or names + number.
        """
        T = self.names
        who = torch.rand(n, T, generator=generator).argsort(-1)  # (n, T): each name once
        root = torch.randint(self.numbers, (n, self.roots), generator=generator)
        chain = torch.randint(self.roots, (n, T), generator=generator)  # (n, T)
        chain[:, : self.roots] = torch.arange(self.roots)
        rows = torch.arange(n)
        newest = torch.zeros(n, self.roots, dtype=torch.long)
        length = torch.full((n, self.roots), -1)
        says = torch.zeros(n, T, dtype=torch.long)
        hops = torch.zeros(n, T, dtype=torch.long)
        for t in range(T):
            c = chain[:, t]
            says[:, t] = self.names + root[:, t] if t < self.roots else newest[rows, c]
            newest[rows, c] = who[:, t]
            length[rows, c] += 1
            hops[:, t] = length[rows, c]
        return who * (self.names + self.numbers) + says, root.gather(1, chain), hops

    def batches(self, batch: int = 64):
        """What `train` draws from: notes and numbers, (batch, T) each; new ones at every step."""
        return lambda generator: self.draw(batch, generator)[:2]

    def accuracy(self, model: nn.Module, hops: int, n: int = 500, seed: int = 10_000) -> float:
        """The share of right numbers among the notes that ask for this many hops, in n new texts."""
        ids, numbers, far = self.draw(n, torch.Generator().manual_seed(seed))
        with torch.no_grad():
            said = (
                model(ids.to(next(model.parameters()).device))[..., : self.numbers].argmax(-1).cpu()
            )
        return (said == numbers)[far == hops].float().mean().item()
