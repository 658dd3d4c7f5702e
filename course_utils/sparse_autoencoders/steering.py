"""Adding a vector to the residual stream: what it changes that was meant, and what else.

Shapes: B stories, T positions, V tokens; the stream x (B, T, d) is read after block `layer`.
"""

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize

from course_utils.gpt2.model import GPT
from course_utils.stories.corpus import ID
from course_utils.stories.grammar import BOYS, GIRLS

GENDERED = ("he", "she", "him", "her", "his", "boy", "girl", *BOYS, *GIRLS)


@torch.no_grad()
def onward(model: GPT, x: Tensor, layer: int) -> Tensor:
    """Let the model go on from a stream x (B, T, d) that stands behind its first `layer` blocks:
    logits (B, T, V).

    >>> from course_utils.pretrained import storyteller
    >>> model, ids = storyteller(), torch.tensor([[3, 1, 4]])
    >>> torch.allclose(onward(model, model.streams(ids)[2], 2), model(ids), atol=1e-4)
    True
    """
    for block in model.h[layer:]:
        x = block(x)
    return model.lm_head(model.ln_f(x))


def story_loss(logits: Tensor, ids: Tensor) -> Tensor:
    """The loss on each token that follows, in nats: logits (B, T, V), ids (B, T) -> (B, T - 1).

    >>> story_loss(torch.zeros(1, 3, 4), torch.tensor([[0, 1, 2]])).round(decimals=2)
    tensor([[1.3900, 1.3900]])
    """
    return cross_entropy(logits[:, :-1].transpose(1, 2), ids[:, 1:], reduction="none")


def turned(
    logits: Tensor, before: Tensor, ids: Tensor, away: int, towards: int
) -> tuple[Tensor, Tensor]:
    """What steering did: the effect that was meant, and the side effect.

    The effect: of the places where the story goes on with the token `away`, the share at which
    `towards` is now more probable, for each story that has one. The side effect: by how much the
    loss has risen on all tokens that are no names, pronouns, boys or girls, in nats a token, for
    each story. Shapes: logits and before (B, T, V), ids (B, T) -> (stories with `away`,), (B,).

    >>> from course_utils.pretrained import storyteller
    >>> ids = torch.tensor([[ID[w] for w in "Tom smiled . he smiled .".split()]])
    >>> logits = storyteller()(ids).detach()
    >>> [v.tolist() for v in turned(logits, logits, ids, ID["he"], ID["she"])]
    [[0.0], [0.0]]
    """
    at = ids[:, 1:] == away  # (B, T - 1)
    now = (logits[:, :-1, towards] > logits[:, :-1, away]) & at
    there = at.any(1)
    gendered = torch.tensor([ID[word] for word in GENDERED], device=ids.device)
    others = ~torch.isin(ids[:, 1:], gendered)
    rise = (story_loss(logits, ids) - story_loss(before, ids)) * others
    return now.sum(1)[there] / at.sum(1)[there], rise.sum(1) / others.sum(1)


def steering_vector(x: Tensor, ids: Tensor, head: Tensor, away: int, towards: int) -> Tensor:
    """Design a vector that makes one word of another when it is added to the stream at every
    position, and that does little else: "she" of "he", or "he" of "she".

    x: the stream after block 1 of some stories, (B, T, d). ids: their tokens, (B, T). head: row t
    is what the model reads the logit of token t with, (V, d). away and towards: the two tokens.
    Your vector's length counts: it is added as it is. Judged on new stories, both ways: `towards`
    must become more probable than `away` in at least 0.75 of the places where the story has `away`,
    and the loss elsewhere rise by less than 0.1 nats a token. Shapes: -> (d,).

    >>> from course_utils.pretrained import storyteller
    >>> model, ids = storyteller(), torch.tensor([[ID["Tom"], ID["smiled"], ID["."], ID["he"]]])
    >>> x, head = model.streams(ids)[2].detach(), model.lm_head.weight.detach()
    >>> steering_vector(x, ids, head, away=ID["he"], towards=ID["she"]).shape
    torch.Size([128])
    """
    way = normalize(head[towards] - head[away], dim=0)
    size = (x - x.mean((0, 1))).square().sum(-1).mean().sqrt()  # of a typical activation
    return 0.66 * size * way
