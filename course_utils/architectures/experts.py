"""A mixture of experts, and a task for which it was made: facts that follow no rule.

Shapes: n tokens, d_model features, E experts, k of them chosen for each token.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from course_utils.architectures.parts import Parts


@dataclass(frozen=True)
class Shape:
    """The sizes of a mixture: features, width of each expert, number of experts.

    >>> Shape(d_model=64, d_inner=128, n_expert=16).n_expert
    16
    """

    d_model: int
    d_inner: int
    n_expert: int


class Stack(nn.Module):
    """A linear map for each expert, side by side in one tensor.

    Shapes: weight (E, n_in, n_out), bias (E, n_out).

    >>> Stack(3, 2, 5)(torch.ones(4, 2), 1).shape
    torch.Size([4, 5])
    """

    def __init__(self, E: int, n_in: int, n_out: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(E, n_in, n_out) / math.sqrt(n_in))
        self.bias = nn.Parameter(torch.zeros(E, n_out))

    def forward(self, x: Tensor, e: int) -> Tensor:
        """Expert e's map of x (n, n_in) -> (n, n_out)."""
        return torch.addmm(self.bias[e], x, self.weight[e])


class Experts(nn.Module):
    """E MLPs of which each token uses k: the router scores them, `route` chooses, and what the
    chosen ones say is added up with their weights.

    Shapes: x (..., d_model) -> the same. After a call, `balance` is how unevenly the experts were
    used and `chosen` (n, k) who was. Source: Shazeer et al. 2017; Fedus et al. 2021.

    >>> experts = Experts(Shape(d_model=4, d_inner=8, n_expert=3), top_k=2)
    >>> experts(torch.randn(2, 5, 4)).shape, experts.chosen.shape
    (torch.Size([2, 5, 4]), torch.Size([10, 2]))
    """

    def __init__(self, shape: Shape, top_k: int = 1, parts: Parts | None = None) -> None:
        super().__init__()
        self.parts = parts or Parts()
        self.shape = shape
        self.top_k = top_k
        self.router = nn.Linear(shape.d_model, shape.n_expert, bias=False)
        self.c_fc = Stack(shape.n_expert, shape.d_model, shape.d_inner)
        self.c_proj = Stack(shape.n_expert, shape.d_inner, shape.d_model)
        self.balance: Tensor | float = 0.0
        self.chosen: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        tokens = x.flatten(0, -2)  # (n, d_model)
        logits = self.router(tokens)  # (n, E)
        weights, chosen = self.parts.route(logits, self.top_k)  # (n, k) each
        self.balance = self.parts.load_balance(logits, chosen)
        self.chosen = chosen.detach()
        y = torch.zeros_like(tokens)
        for e in range(self.shape.n_expert):
            who, place = (chosen == e).nonzero(as_tuple=True)  # the tokens that chose e
            said = self.c_proj(F.gelu(self.c_fc(tokens[who], e), approximate="tanh"), e)
            y = y.index_add(0, who, said * weights[who, place, None])
        return y.view(x.shape)


@dataclass(frozen=True)
class Facts:
    """Facts that follow no rule: each pair (subject, relation) has an answer, drawn at random.

    >>> pairs, answers = Facts(n=4).table()
    >>> pairs.shape, answers.shape
    (torch.Size([16, 2]), torch.Size([16]))
    """

    n: int = 128  # subjects, relations and answers, each

    def table(self, seed: int = 0) -> tuple[Tensor, Tensor]:
        """All n² facts: pairs (n², 2) and answers (n²,)."""
        pairs = torch.cartesian_prod(torch.arange(self.n), torch.arange(self.n))
        generator = torch.Generator().manual_seed(seed)
        return pairs, torch.randint(self.n, (len(pairs),), generator=generator)


class FactModel(nn.Module):
    """Looks a subject and a relation up, lets `mix` think about both together, and names an answer.

    Shapes: pairs (n, 2) -> logits (n, V).

    >>> FactModel(nn.Identity(), n=4, d_model=6)(torch.tensor([[0, 3]])).shape
    torch.Size([1, 4])
    """

    def __init__(self, mix: nn.Module, n: int = 128, d_model: int = 64) -> None:
        super().__init__()
        self.subject = nn.Embedding(n, d_model // 2)
        self.relation = nn.Embedding(n, d_model // 2)
        self.mix = mix
        self.norm = nn.LayerNorm(d_model)
        self.head = nn.Linear(d_model, n)

    def forward(self, pairs: Tensor) -> Tensor:
        x = torch.cat([self.subject(pairs[:, 0]), self.relation(pairs[:, 1])], dim=-1)
        return self.head(self.norm(x + self.mix(x)))


def learn_facts(
    model: FactModel, facts: Facts, steps: int, lr: float, seed: int = 0, balance: float = 0.01
) -> float:
    """Train on all facts, and return the share that the model then knows.

    >>> learn_facts(FactModel(nn.Identity(), n=2, d_model=8), Facts(n=2), steps=2, lr=0.01) <= 1
    True
    """
    device = model.head.weight.device
    pairs, answers = (x.to(device) for x in facts.table(seed))
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, lr, total_steps=steps, pct_start=0.1)
    for _ in range(steps):
        drawn = torch.randint(len(pairs), (1024,), generator=generator).to(device)
        loss = F.cross_entropy(model(pairs[drawn]), answers[drawn])
        loss = loss + balance * getattr(model.mix, "balance", 0.0)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    with torch.no_grad():
        return (model(pairs).argmax(-1) == answers).float().mean().item()
