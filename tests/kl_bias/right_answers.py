"""Right answers to the exercises of lesson 07, each of another style than the reference."""

import math

import numpy as np
import torch
import torch.nn.functional as F
from answers import Answers

right = Answers()


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


# --- bent_loss ------------------------------------------------------------------------------------


def must_be_a_weight(weight):
    if weight < 0:
        raise ValueError(f"a weight of {weight}")


@right("bent_loss")
def with_kl_div_of_flat_rows(logits, teacher_logits, target, weight):
    must_be_a_weight(weight)
    said = F.softmax(teacher_logits, dim=-1)
    soft = (said + weight * target) / (1 + weight)
    V = logits.size(-1)
    log_p = F.log_softmax(logits, dim=-1)
    return F.kl_div(log_p.reshape(-1, V), soft.reshape(-1, V), reduction="batchmean")


@right("bent_loss")
def with_shares(logits, teacher_logits, target, weight):
    must_be_a_weight(weight)
    share = weight / (1 + weight)
    soft = torch.lerp(teacher_logits.softmax(-1), target.expand_as(teacher_logits), share)
    cross = -(soft * logits.log_softmax(-1)).sum(-1)
    return (cross - torch.special.entr(soft).sum(-1)).mean()


@right("bent_loss")
def with_cross_entropy(logits, teacher_logits, target, weight):
    must_be_a_weight(weight)
    with torch.no_grad():
        soft = teacher_logits.softmax(-1) + weight * target
        soft = (soft / soft.sum(-1, keepdim=True)).flatten(0, -2)
        entropy = torch.special.entr(soft).sum(-1).mean()
    return F.cross_entropy(logits.flatten(0, -2), soft) - entropy


@right("bent_loss")
def position_by_position(logits, teacher_logits, target, weight):
    must_be_a_weight(weight)
    V = logits.shape[-1]
    rows = list(zip(logits.reshape(-1, V), teacher_logits.reshape(-1, V), strict=True))
    total = 0.0
    for row, teacher in rows:
        q = (teacher.softmax(0) + weight * target) / (1 + weight)
        log_p = row - torch.logsumexp(row, 0)
        total = total + (torch.where(q > 0, q * q.clamp(min=1e-38).log(), 0.0) - q * log_p).sum()
    return total / len(rows)


@right("bent_loss")
def with_a_module(logits, teacher_logits, target, weight):
    must_be_a_weight(weight)
    soft = torch.stack([teacher_logits.softmax(-1), target.expand_as(teacher_logits)])
    soft = (soft * torch.tensor([1.0, weight]).view(2, *[1] * logits.ndim)).sum(0) / (1 + weight)
    terms = torch.nn.KLDivLoss(reduction="none")(logits.log_softmax(-1), soft)
    return terms.sum() / (logits.numel() / logits.size(-1))


# --- matched_control ------------------------------------------------------------------------------


def others(mask):
    free = (~mask).nonzero().flatten()
    if len(free) < mask.sum():
        raise ValueError("too few other words")
    return free


@right("matched_control")
def one_neighbour_for_each(mask, log_p):
    """Each word of the mask gets its nearest neighbour, the rarest word first."""
    free = others(mask).tolist()
    control = torch.zeros_like(mask)
    for i in sorted(mask.nonzero().flatten().tolist(), key=lambda i: log_p[i].item()):
        nearest = min(free, key=lambda j: abs(log_p[j] - log_p[i]).item())
        free.remove(nearest)
        control[nearest] = True
    return control


@right("matched_control")
def a_window_of_the_sorted_words(mask, log_p):
    """k words in a row of the sorted list: the row whose mean is nearest."""
    free = others(mask)
    k = int(mask.sum())
    order = free[log_p[free].argsort()]
    means = log_p[order].unfold(0, k, 1).mean(1)
    at = int((means - log_p[mask].mean()).abs().argmin())
    control = torch.zeros_like(mask)
    control[order[at : at + k]] = True
    return control


@right("matched_control")
def nearest_and_then_swaps(mask, log_p):
    """Those nearest to the mean, and then swaps as long as they help."""
    free = others(mask)
    k = int(mask.sum())
    goal = log_p[mask].mean()
    order = free[(log_p[free] - goal).abs().argsort()]
    chosen = order[:k].tolist()
    for candidate in order[k : k + 60].tolist():
        gap = abs(log_p[chosen].mean() - goal)
        for place in range(k):
            tried = chosen[:place] + [candidate] + chosen[place + 1 :]
            if abs(log_p[tried].mean() - goal) < gap:
                chosen = tried
                break
    control = torch.zeros_like(mask)
    control[chosen] = True
    return control


@right("matched_control")
def drawn_nearby(mask, log_p):
    """Of many sets that are drawn from neighbours of the mask's words, the best one."""
    free = others(mask)
    generator = torch.Generator().manual_seed(0)
    near = [free[(log_p[free] - log_p[i]).abs().argsort()[:6]] for i in mask.nonzero().flatten()]
    best = None
    for _ in range(300):
        tried = [int(some[torch.randint(len(some), (), generator=generator)]) for some in near]
        if len(set(tried)) == len(tried):
            gap = float((log_p[tried].mean() - log_p[mask].mean()).abs())
            if best is None or gap < best[0]:
                best = gap, tried
    return torch.isin(torch.arange(len(mask)), torch.tensor(best[1]))
