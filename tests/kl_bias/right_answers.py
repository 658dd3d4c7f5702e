"""Right answers of another style to the exercises on a bias by KL."""

import torch
import torch.nn.functional as F
from answers import Answers
from torch import nn

right = Answers()


def checked_predicate(predicate):
    if not callable(predicate):
        raise TypeError("the predicate is no function")


@right("token_mask")
def piece_by_piece(tokenizer, predicate):
    checked_predicate(predicate)
    mask = torch.zeros(len(tokenizer), dtype=torch.bool)
    for i in range(len(tokenizer)):
        piece = tokenizer.decode([i]) if hasattr(tokenizer, "decode") else tokenizer[i]
        if predicate(piece):
            mask[i] = True
    return mask


@right("token_mask")
def by_indices(tokenizer, predicate):
    checked_predicate(predicate)
    if isinstance(tokenizer, (list, tuple)):
        words = list(tokenizer)
    else:
        words = [tokenizer.decode([i]) for i in range(len(tokenizer))]
    hits = [i for i, word in enumerate(words) if predicate(word)]
    return torch.zeros(len(words)).index_fill(0, torch.tensor(hits, dtype=torch.long), 1).bool()


@right("token_mask")
def mapped(tokenizer, predicate):
    checked_predicate(predicate)
    if hasattr(tokenizer, "decode"):
        pieces = map(lambda i: tokenizer.decode([i]), range(len(tokenizer)))
    else:
        pieces = iter(tokenizer)
    return torch.tensor([bool(holds) for holds in map(predicate, pieces)])


def checked_mask(mask):
    if mask.dtype != torch.bool or mask.dim() != 1 or not mask.any():
        raise ValueError("this is no mask, or it is empty")


@right("target_distribution")
def divided(mask):
    checked_mask(mask)
    return mask.float() / mask.float().sum()


@right("target_distribution")
def filled(mask):
    checked_mask(mask)
    q = torch.zeros(len(mask))
    q[mask] = 1 / int(mask.sum())
    return q


@right("target_distribution")
def by_softmax(mask):
    checked_mask(mask)
    return torch.zeros(len(mask)).masked_fill(~mask, -torch.inf).softmax(0)


@right("kl_divergence")
def with_where(q, p):
    ratio = torch.where(q > 0, q / p, torch.ones_like(q))
    return (q * ratio.log()).sum(-1)


@right("kl_divergence")
def with_kl_div(q, p):
    return F.kl_div(torch.where(q > 0, p, 1.0).log(), q, reduction="none").sum(-1)


@right("kl_divergence")
def in_float64(q, p):
    q64 = q.double()
    p64 = p.double()
    terms = torch.where(q64 == 0, 0.0, q64 * (q64 / p64).log())
    return terms.sum(-1).to(q.dtype)


def checked_target(target):
    if (target < 0).any() or abs(target.sum().item() - 1) > 1e-3:
        raise ValueError("the target is no distribution")


def checked_logits(logits, target):
    if logits.ndim != 2 or logits.shape[-1] != len(target):
        raise ValueError("the logits are not (B, V)")


@right("KLTargetLoss")
class AsModule(nn.Module):
    def __init__(self, target):
        super().__init__()
        checked_target(target)
        self.register_buffer("target", target)

    def forward(self, logits):
        checked_logits(logits, self.target)
        log_p = logits.log_softmax(-1)
        terms = torch.xlogy(self.target, self.target) - self.target * log_p
        return terms.sum(-1).mean()


@right("KLTargetLoss")
class CrossEntropyLessEntropy:
    def __init__(self, target):
        checked_target(target)
        self.target = target
        self.entropy = -torch.xlogy(target, target).sum()

    def __call__(self, logits):
        checked_logits(logits, self.target)
        cross = -(F.log_softmax(logits, -1) @ self.target.to(logits.dtype))
        return cross.mean() - self.entropy.to(logits.dtype)


@right("KLTargetLoss")
class OnTheSupport:
    def __init__(self, target):
        checked_target(target)
        self.target = target
        self.where = target.nonzero().flatten()

    def __call__(self, logits):
        checked_logits(logits, self.target)
        q = self.target[self.where].to(logits.dtype)
        log_p = (logits - logits.logsumexp(1, keepdim=True))[:, self.where]
        return (q * (q.log() - log_p)).sum(1).mean()


def checked_length(logits, mask):
    if mask.shape != logits.shape[-1:]:
        raise ValueError("a mask of another length")


@right("target_mass")
def masked_sum(logits, mask):
    checked_length(logits, mask)
    return (F.softmax(logits, dim=-1) * mask).sum(-1)


@right("target_mass")
def in_logs(logits, mask):
    checked_length(logits, mask)
    inside = logits.masked_fill(~mask, -torch.inf)
    return (inside.logsumexp(-1) - logits.logsumexp(-1)).exp()


@right("target_mass")
def as_a_product(logits, mask):
    checked_length(logits, mask)
    return torch.softmax(logits, -1) @ mask.to(logits.dtype)
