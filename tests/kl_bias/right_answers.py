"""Right answers to the exercises of lesson 07, each of another style than the reference."""

import math

import numpy as np
import torch
import torch.nn.functional as F
from answers import Answers

right = Answers()


# --- token_mask -----------------------------------------------------------------------------------


@right("token_mask")
def asking_for_decode(tokenizer, predicate):
    if not callable(predicate):
        raise TypeError("the predicate is no function")
    if hasattr(tokenizer, "decode"):
        pieces = [tokenizer.decode([i]) for i in range(len(tokenizer))]
    else:
        pieces = list(tokenizer)
    return torch.tensor([True if predicate(piece) else False for piece in pieces])


@right("token_mask")
def filling_a_mask(tokenizer, predicate):
    if not callable(predicate):
        raise TypeError(type(predicate))
    mask = torch.zeros(len(tokenizer), dtype=torch.bool)
    for i in range(len(tokenizer)):
        piece = tokenizer[i] if isinstance(tokenizer, (list, tuple)) else tokenizer.decode([i])
        if predicate(piece):
            mask[i] = True
    return mask


@right("token_mask")
def through_numpy_fromiter(tokenizer, predicate):
    if not callable(predicate):
        raise TypeError(f"{predicate} cannot be called")
    try:
        decode = tokenizer.decode
    except AttributeError:
        decode = lambda ids: tokenizer[ids[0]]  # noqa: E731
    answers = (bool(predicate(decode([i]))) for i in range(len(tokenizer)))
    return torch.from_numpy(np.fromiter(answers, dtype=bool, count=len(tokenizer)))


@right("token_mask")
def by_the_ids_that_hold(tokenizer, predicate):
    if not callable(predicate):
        raise TypeError("not callable")
    n = len(tokenizer)
    words = tokenizer if isinstance(tokenizer, (list, tuple)) else None
    texts = words or [*map(tokenizer.decode, ([i] for i in range(n)))]
    chosen = {i for i, text in enumerate(texts) if predicate(text)}
    return torch.isin(torch.arange(n), torch.tensor(sorted(chosen), dtype=torch.long))


# --- target_distribution --------------------------------------------------------------------------


def must_be_a_mask(mask):
    if mask.dtype is not torch.bool or mask.dim() != 1 or mask.sum() == 0:
        raise ValueError("no mask, or an empty one")


@right("target_distribution")
def filling_zeros(mask):
    must_be_a_mask(mask)
    q = torch.zeros(len(mask))
    q[mask] = 1 / int(mask.sum())
    return q


@right("target_distribution")
def with_where(mask):
    must_be_a_mask(mask)
    return torch.where(mask, 1.0 / mask.count_nonzero(), 0.0)


@right("target_distribution")
def as_a_softmax(mask):
    must_be_a_mask(mask)
    return torch.zeros(mask.shape).masked_fill(~mask, -torch.inf).softmax(0)


@right("target_distribution")
def in_a_list(mask):
    must_be_a_mask(mask)
    flags = mask.tolist()
    k = sum(flags)
    return torch.tensor([1 / k if flag else 0.0 for flag in flags])


@right("target_distribution")
def with_normalize(mask):
    must_be_a_mask(mask)
    return F.normalize(mask.float(), p=1, dim=0)


@right("target_distribution")
def in_float64_and_back(mask):
    must_be_a_mask(mask)
    x = mask.numpy().astype(np.float64)
    return torch.from_numpy(x / x.sum()).to(torch.float32)


# --- kl_divergence --------------------------------------------------------------------------------


@right("kl_divergence")
def with_where_on_the_ratio(q, p):
    terms = q * torch.log(q / p)
    return torch.where(q == 0, 0, terms).sum(dim=-1)


@right("kl_divergence")
def with_kl_div(q, p):
    log_p = p.log().masked_fill(q == 0, 0.0)  # kl_div itself gives nan for 0 · log 0
    return F.kl_div(log_p, q, reduction="none").sum(-1)


@right("kl_divergence")
def row_by_row_in_plain_python(q, p):
    V = q.shape[-1]
    rows = []
    for qs, ps in zip(q.reshape(-1, V).tolist(), p.reshape(-1, V).tolist(), strict=True):
        total = 0.0
        for a, b in zip(qs, ps, strict=True):
            if a > 0:
                total += a * math.log(a / b) if b > 0 else math.inf
        rows.append(total)
    return torch.tensor(rows, dtype=q.dtype).reshape(q.shape[:-1])


@right("kl_divergence")
def cross_entropy_minus_entropy(q, p):
    entropy = torch.special.entr(q).sum(-1)
    cross = -torch.where(q > 0, q * p.log(), torch.zeros_like(q)).sum(-1)
    return cross - entropy


@right("kl_divergence")
def through_numpy(q, p):
    a = q.numpy().astype(np.float64)
    b = p.numpy().astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(a > 0, a * (np.log(a) - np.log(b)), 0.0)
    return torch.as_tensor(terms.sum(-1)).to(q.dtype)


@right("kl_divergence")
def with_nan_to_zero(q, p):
    """0 · (log 0 - log p) is nan; only those terms are."""
    return torch.nansum(q * (q.log() - p.log()), dim=-1)


@right("kl_divergence")
def with_einsum(q, p):
    """einsum of q and a log-ratio that is 0 where q is."""
    safe = torch.where(q > 0, q, p.clamp(min=1e-30))
    below = torch.where(q > 0, p, safe)
    return torch.einsum("...v,...v->...", q, safe.log() - below.log())


# --- KLTargetLoss ---------------------------------------------------------------------------------


def must_be_a_distribution(target):
    if (target < 0).any() or abs(float(target.sum()) - 1) > 1e-3:
        raise ValueError("no distribution")


def must_be_rows(logits, V):
    if logits.dim() != 2 or logits.shape[1] != V:
        raise ValueError(f"logits of shape {tuple(logits.shape)}")


@right("KLTargetLoss")
class WithCrossEntropy:
    """Cross-entropy with a soft target, less the target's entropy."""

    def __init__(self, target):
        must_be_a_distribution(target)
        self.target = target
        self.entropy = torch.special.entr(target).sum()

    def __call__(self, logits):
        must_be_rows(logits, len(self.target))
        return F.cross_entropy(logits, self.target.expand_as(logits)) - self.entropy


@right("KLTargetLoss")
class AsAModule(torch.nn.Module):
    def __init__(self, target):
        super().__init__()
        must_be_a_distribution(target)
        self.register_buffer("target", target.clone())
        self.kl = torch.nn.KLDivLoss(reduction="batchmean")

    def forward(self, logits):
        must_be_rows(logits, self.target.numel())
        return self.kl(logits.log_softmax(1), self.target.repeat(len(logits), 1))


@right("KLTargetLoss")
class WithOnlyTheTokensOfTheTarget:
    """Where Q is 0 nothing is added, so only the others are looked at."""

    def __init__(self, target):
        must_be_a_distribution(target)
        self.V = target.shape[0]
        self.chosen = target.nonzero()[:, 0]
        self.q = target[self.chosen]

    def __call__(self, logits):
        must_be_rows(logits, self.V)
        log_p = logits[:, self.chosen] - logits.logsumexp(1, keepdim=True)
        return (self.q * (self.q.log() - log_p)).sum(1).mean()


@right("KLTargetLoss")
class WithAProduct:
    """The mean over the rows first, then one product with the target."""

    def __init__(self, target):
        must_be_a_distribution(target)
        self.target = target
        self.constant = torch.xlogy(target, target).sum()

    def __call__(self, logits):
        must_be_rows(logits, len(self.target))
        return self.constant - self.target @ torch.log_softmax(logits, -1).mean(0)


@right("KLTargetLoss")
class InLoops:
    def __init__(self, target):
        must_be_a_distribution(target)
        self.target = target

    def __call__(self, logits):
        must_be_rows(logits, len(self.target))
        total = logits.new_zeros(())
        for row in logits:
            shifted = row - row.max().detach()
            log_p = shifted - shifted.exp().sum().log()
            for q, chance in zip(self.target.tolist(), log_p, strict=True):
                if q > 0:
                    total = total + q * (math.log(q) - chance)
        return total / len(logits)


@right("KLTargetLoss")
class InFloat64:
    def __init__(self, target):
        must_be_a_distribution(target)
        self.target = target

    def __call__(self, logits):
        must_be_rows(logits, len(self.target))
        log_p = logits.double().log_softmax(-1)
        q = self.target.double()
        terms = torch.where(q > 0, q * (q.clamp(min=1e-300).log() - log_p), 0.0)
        return terms.sum(-1).mean().to(logits.dtype)


# --- target_mass ----------------------------------------------------------------------------------


def must_fit(mask, logits):
    if mask.shape != logits.shape[-1:]:
        raise ValueError(f"a mask of {tuple(mask.shape)} for logits of {tuple(logits.shape)}")


@right("target_mass")
def as_a_product_with_the_mask(logits, mask):
    must_fit(mask, logits)
    return F.softmax(logits, dim=-1) @ mask.to(logits.dtype)


@right("target_mass")
def with_logsumexp(logits, mask):
    must_fit(mask, logits)
    inside = logits.masked_fill(~mask, -torch.inf).logsumexp(-1)
    return torch.exp(inside - logits.logsumexp(-1))


@right("target_mass")
def with_einsum_of_exponentials(logits, mask):
    must_fit(mask, logits)
    e = torch.exp(logits - logits.amax(-1, keepdim=True))
    return torch.einsum("...v,v->...", e, mask.type_as(e)) / e.sum(-1)


@right("target_mass")
def with_masked_fill(logits, mask):
    must_fit(mask, logits)
    return logits.softmax(-1).masked_fill(mask.logical_not(), 0).sum(-1)


@right("target_mass")
def through_numpy_in_float64(logits, mask):
    must_fit(mask, logits)
    x = logits.numpy().astype(np.float64)
    e = np.exp(x - x.max(-1, keepdims=True))
    return torch.as_tensor((e * mask.numpy()).sum(-1) / e.sum(-1)).to(logits.dtype)


@right("target_mass")
def row_by_row(logits, mask):
    must_fit(mask, logits)
    masses = []
    for row in logits.reshape(-1, logits.size(-1)).tolist():
        top = max(row)
        e = [math.exp(x - top) for x in row]
        masses.append(sum(x for x, chosen in zip(e, mask.tolist(), strict=True) if chosen) / sum(e))
    return torch.tensor(masses, dtype=logits.dtype).reshape(logits.shape[:-1])
