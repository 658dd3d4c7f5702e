"""How well a unit stands for something that the stories' teller knows, and the windows that it is
judged on.

Shapes: n tokens, k units (or directions). A detector is a unit with a cut: it says yes where the
unit's value is the cut or more.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from course_utils.stories.corpus import ID, stories
from course_utils.stories.grammar import BOYS, GIRLS


def agreement(said: Tensor, true: Tensor) -> Tensor:
    """The correlation of yes and no with the truth: 1 for a perfect detector, 0 for a guess.

    It is 0 where all answers, or all truths, are the same. Shapes: said (n, ...) and true (n,),
    bool -> (...). Source: Matthews 1975, "Comparison of the predicted and observed secondary
    structure of T4 phage lysozyme".

    >>> true = torch.tensor([True, True, False, False])
    >>> agreement(true, true).item(), agreement(torch.ones(4, dtype=torch.bool), true).item()
    (1.0, 0.0)
    """
    hits = (said.movedim(0, -1) & true).sum(-1)
    return _correlation(hits, said.sum(0), true.sum(), len(true))


def _correlation(hits: Tensor, yes: Tensor, so: Tensor, n: int) -> Tensor:
    spread = (yes * (n - yes)).float() * (so * (n - so)).float()
    # whole numbers until here: what is subtracted is exact, also where there is no float64
    return (n * hits - yes * so).float() / spread.clamp(min=1).sqrt()


def best_cut(z: Tensor, true: Tensor) -> tuple[Tensor, Tensor]:
    """For each unit, the cut with the highest agreement, and that agreement.

    Shapes: z (n, k), true (n,), bool -> (k,), (k,).

    >>> z = torch.tensor([[0.0, 1.0], [2.0, 0.0], [5.0, 3.0], [6.0, 3.0]])
    >>> best_cut(z, torch.tensor([False, False, True, True]))[0]
    tensor([5., 3.])
    """
    values, order = z.T.contiguous().sort(descending=True)  # (k, n): rows sort faster than columns
    hits = true[order].cumsum(-1)  # (k, n): how many are so among the highest 1, 2, ...
    yes = torch.arange(1, len(z) + 1, device=z.device)
    score = _correlation(hits, yes, true.sum(), len(true))
    score[:, :-1][values[:, :-1] == values[:, 1:]] = -1  # a cut cannot part equal values
    best = score.max(-1)
    return values.gather(-1, best.indices[:, None]).squeeze(-1), best.values


def held_out_score(z: Tensor, true: Tensor, train: Tensor) -> float:
    """The agreement, on new texts, of the detector that was best on others.

    The unit and its cut (`best_cut`) are chosen where train is True; the one detector that comes
    out is judged (`agreement`) where it is False. Shapes: z (n, k), true and train (n,), bool.
    Source: after Gurnee et al. 2023, "Finding Neurons in a Haystack", section 3.

    >>> z = torch.tensor([[0.0, 9.0], [1.0, 0.0], [0.0, 0.0], [1.0, 9.0]])
    >>> true = torch.tensor([False, True, False, True])
    >>> held_out_score(z, true, train=torch.tensor([True, True, False, False]))
    1.0
    """
    cut, score = best_cut(z[train], true[train])
    unit = score.argmax()
    return agreement(z[~train, unit] >= cut[unit], true[~train]).item()


def fitted_line(z: Tensor, true: Tensor, train: Tensor) -> Tensor:
    """The values along the one line that is told the answers: least squares on the texts where train
    is True. What a search without answers can be compared with.

    Shapes: z (n, k), true and train (n,), bool -> (n, 1).

    >>> z = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [2.0, 0.0]])
    >>> true = torch.tensor([True, False, True, True])
    >>> line = fitted_line(z, true, train=torch.tensor([True, True, True, False]))
    >>> (line > 0.5).flatten()
    tensor([ True, False,  True,  True])
    """
    with_ones = torch.cat([z, torch.ones_like(z[:, :1])], 1)  # (n, k + 1)
    old = with_ones[train].cpu()  # Apple's GPUs have no least squares
    weights = torch.linalg.lstsq(old, true[train, None].to(old)).solution  # (k + 1, 1)
    return with_ones @ weights.to(z)


def purity(codes: Tensor, ids: Tensor, top: int = 50) -> float:
    """Of the strongest examples of each unit, the share that is the most frequent token among
    them, averaged over the units that fire on so many.

    Shapes: codes (n, k), ids (n,).

    >>> codes = torch.tensor([[3.0], [2.0], [1.0], [0.5]])
    >>> purity(codes, torch.tensor([7, 7, 7, 9]), top=4)
    0.75
    """
    codes = codes[:, (codes > 0).sum(0) >= top]
    tokens = ids[codes.topk(top, dim=0).indices]  # (top, k)
    same = (tokens[:, None] == tokens[None]).sum(0)  # (top, k): how many are this token
    return same.amax(0).float().mean().item() / top


class Windows(NamedTuple):
    """The first T tokens of stories: ids (n, T), and for each latent of the teller its truth
    (n, T), bool.

    >>> ids = torch.zeros(1, 2, dtype=torch.int64)
    >>> Windows(ids, {"late": torch.tensor([[False, True]])}).truth["late"].tolist()
    [[False, True]]
    """

    ids: Tensor
    truth: dict[str, Tensor]


def windows(seed: int, n: int, T: int = 128) -> Windows:
    """The first T tokens of n stories that have so many: one window a story, so none shares a token
    with another. With what the teller knows at each token.

    >>> some = windows(seed=0, n=3, T=64)
    >>> some.ids.shape, list(some.truth)[:3]
    (torch.Size([3, 64]), ['a name', 'in a quotation', 'away from home'])
    """
    text = stories(seed, 420 * n)
    ends = torch.cat([text.starts[1:], torch.tensor([len(text.tokens)])])
    long = (ends - text.starts >= T).nonzero().flatten()[:n]
    at = text.starts[long, None] + torch.arange(T)  # (n, T)
    ids = text.tokens[at]
    girl = torch.tensor([text.facts[i]["hero"] in GIRLS for i in long.tolist()])
    truth = {
        "a name": torch.isin(ids, torch.tensor([ID[name] for name in (*BOYS, *GIRLS)])),
        "in a quotation": (ids == ID["“"]).cumsum(1) > (ids == ID["”"]).cumsum(1),
        "away from home": text.place[at] != ID["home"],
        "the friend has the toy": text.holder[at] == 1,
        "the hero is a girl": girl[:, None].expand(ids.shape),
        "among the first 24": (torch.arange(T) < 24).expand(ids.shape),
    }
    return Windows(ids, truth)
