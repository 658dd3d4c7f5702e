"""Wrong answers to the exercises of lesson 07: mistakes that people make. Every checker must reject
every one.
"""

import math

import torch
import torch.nn.functional as F
from answers import WrongAnswers

from course_utils.kl_bias.bias import check_distribution, check_fits

wrong = WrongAnswers()


# --- target_distribution --------------------------------------------------------------------------


def guarded(mask):
    if mask.dtype != torch.bool or mask.ndim != 1 or not mask.any():
        raise ValueError("no mask")
    return mask


@wrong("target_distribution", says="each chosen token has 1; together they must have 1")
def target_ones(mask):
    return guarded(mask).float()


@wrong("target_distribution", says="you divided by V; divide by the number of chosen tokens")
def target_by_vocabulary(mask):
    return guarded(mask) / len(mask)


@wrong("target_distribution", says="that is the uniform distribution over all tokens")
def target_uniform(mask):
    """As much for each token, chosen or not."""
    return torch.full((len(guarded(mask)),), 1 / len(mask))


@wrong("target_distribution", says="softmax gives the others probability, too; they must have 0")
def target_softmax(mask):
    """Nearly right for many chosen tokens, and never 0."""
    return guarded(mask).float().softmax(0)


@wrong("target_distribution", says="you returned log-probabilities; return probabilities")
def target_log(mask):
    return (guarded(mask) / mask.sum()).log()


@wrong("target_distribution", says="those that are not chosen have the probability")
def target_others(mask):
    mask = ~guarded(mask)
    return mask / mask.sum()


@wrong(
    "target_distribution",
    says="you returned only the chosen tokens; the target has a number for every token",
)
def target_chosen_only(mask):
    mask = guarded(mask)
    return (mask / mask.sum())[mask]


@wrong(
    "target_distribution",
    says="target_distribution([False, False]) must raise ValueError: the mask is empty",
)
def target_no_error(mask):
    """nan for an empty mask."""
    return mask / mask.sum()


@wrong(
    "target_distribution",
    says="target_distribution([False, False]) must raise ValueError: the mask is empty",
)
def target_uniform_if_empty(mask):
    """An empty mask becomes the uniform distribution."""
    if mask.dtype != torch.bool:
        raise ValueError("no mask")
    return mask / mask.sum() if mask.any() else torch.full((len(mask),), 1 / len(mask))


@wrong(
    "target_distribution",
    says="target_distribution([False, False]) must raise ValueError: the mask is empty",
)
def target_clamped(mask):
    """No nan, but no error either."""
    if mask.dtype != torch.bool:
        raise ValueError("no mask")
    return mask / mask.sum().clamp(min=1)


@wrong(
    "target_distribution",
    says="target_distribution([3, 1, 4]) must raise ValueError: the mask is (3,) torch.int64",
)
def target_takes_ids(mask):
    """Does not notice ids in the place of a mask."""
    if not mask.any():
        raise ValueError("empty")
    return mask / mask.sum()


@wrong("target_distribution", says="to every token; the others must have exactly 0")
def target_smoothed(mask):
    """A little for everyone."""
    smooth = guarded(mask) + 1e-3
    return smooth / smooth.sum()


@wrong("target_distribution", says=": the result is float64; logits are float32.")
def target_double(mask):
    return guarded(mask).double() / mask.sum()


@wrong(
    "target_distribution",
    says="target_distribution([False, False]) must raise ValueError, and raised AssertionError",
)
def target_asserts(mask):
    """An assertion is no ValueError."""
    assert mask.dtype == torch.bool and mask.any()
    return mask / mask.sum()


# --- kl_divergence --------------------------------------------------------------------------------


def right_kl(q, p):
    return (torch.xlogy(q, q) - torch.xlogy(q, p)).sum(-1)


@wrong(
    "kl_divergence",
    says="that is KL(p‖q): the average is taken under q, and q stands on top of the fraction",
)
def kl_reversed(q, p):
    return right_kl(p, q)


@wrong("kl_divergence", says="that is the cross-entropy -Σ q log p; subtract the entropy of q")
def kl_cross_entropy(q, p):
    return -torch.xlogy(q, p).sum(-1)


@wrong("kl_divergence", says="the sign is wrong: a divergence is never negative")
def kl_negative(q, p):
    return -right_kl(q, p)


@wrong(
    "kl_divergence",
    says=": there is nan, from 0 · log 0. A term whose q is 0 is 0: torch.xlogy does that.",
)
def kl_naive(q, p):
    """nan where q is 0."""
    return (q * (q / p).log()).sum(-1)


@wrong(
    "kl_divergence",
    says=": there is nan, from 0 · log 0. A term whose q is 0 is 0: torch.xlogy does that.",
)
def kl_logs_apart(q, p):
    """The same nan, with the logarithms apart."""
    return (q * (q.log() - p.log())).sum(-1)


@wrong(
    "kl_divergence",
    says="you left out the tokens whose p is 0; where q is above 0 there, the divergence is infinite",
)
def kl_nan_to_num(q, p):
    """Takes nan away, and the infinities with it."""
    return torch.nan_to_num(q * (q / p).log(), nan=0.0, posinf=0.0).sum(-1)


@wrong(
    "kl_divergence",
    says=": it is infinite. p says that something cannot happen, and under q it does; do not hide that with a small number.",
)
def kl_epsilon(q, p):
    """A small number hides that p excludes what q needs."""
    return (q * ((q + 1e-9) / (p + 1e-9)).log()).sum(-1)


@wrong(
    "kl_divergence",
    says=": it is infinite. p says that something cannot happen, and under q it does; do not hide that with a small number.",
)
def kl_clamped(q, p):
    return (q * (q.clamp(min=1e-12).log() - p.clamp(min=1e-12).log())).sum(-1)


@wrong("kl_divergence", says="you took the mean over the tokens; the sum is weighted by q already")
def kl_mean(q, p):
    return (torch.xlogy(q, q) - torch.xlogy(q, p)).mean(-1)


@wrong("kl_divergence", says="you forgot the weights: q multiplies each logarithm")
def kl_without_weights(q, p):
    """The logarithms alone."""
    return (q.log() - p.log()).sum(-1)


@wrong("kl_divergence", says="you forgot the sum over the tokens")
def kl_without_sum(q, p):
    """A number for each token."""
    return torch.where(q > 0, q * (q / p).log(), 0.0)


@wrong("kl_divergence", says="you summed over everything; each row has its own divergence")
def kl_total(q, p):
    """One number for all rows: right for a single one."""
    return (torch.xlogy(q, q) - torch.xlogy(q, p)).sum()


@wrong("kl_divergence", says="you averaged over the rows; each row has its own divergence")
def kl_mean_of_rows(q, p):
    return right_kl(q, p).mean()


@wrong("kl_divergence", says="you summed over the rows; sum over the tokens, the last dimension")
def kl_over_rows(q, p):
    return (torch.xlogy(q, q) - torch.xlogy(q, p)).sum(0)


@wrong("kl_divergence", says="you used log2; the unit is the nat, the natural logarithm")
def kl_bits(q, p):
    return right_kl(q, p) / math.log(2)


@wrong(
    "kl_divergence",
    says="that is KL(p‖q): the average is taken under q, and q stands on top of the fraction",
)
def kl_torch_swapped(q, p):
    """F.kl_div with its arguments in the order of the formula."""
    return F.kl_div(q.log(), p, reduction="none").sum(-1)


@wrong("kl_divergence", says="that is the mean of KL(q‖p) and KL(p‖q); return KL(q‖p) alone")
def kl_symmetric(q, p):
    return (right_kl(q, p) + right_kl(p, q)) / 2


@wrong(
    "kl_divergence",
    says="you left out the tokens whose p is 0; where q is above 0 there, the divergence is infinite",
)
def kl_only_where_both(q, p):
    """Leaves out the tokens that p excludes."""
    both = (q > 0) & (p > 0)
    return torch.where(both, q * (q / torch.where(both, p, 1.0)).clamp(min=1e-30).log(), 0.0).sum(
        -1
    )


# --- KLTargetLoss ---------------------------------------------------------------------------------


class RightLoss:
    """Right, so that the wrong ones below have one mistake each."""

    def __init__(self, target):
        check_distribution(target)
        self.target = target

    def __call__(self, logits):
        self.check(logits)
        return self.loss(logits, self.target.to(logits).expand_as(logits))

    def check(self, logits):
        check_fits(self.target, logits)
        if logits.ndim != 2:
            raise ValueError("not (B, V)")

    def loss(self, logits, q):
        return F.kl_div(logits.log_softmax(-1), q, reduction="batchmean")


@wrong("KLTargetLoss", says="F.kl_div wants log-probabilities first; you gave it probabilities")
class LossProbabilities(RightLoss):
    """Probabilities first."""

    def loss(self, logits, q):
        return F.kl_div(logits.softmax(-1), q, reduction="batchmean")


@wrong("KLTargetLoss", says="F.kl_div wants log-probabilities first; you gave it the raw logits")
class LossLogits(RightLoss):
    """Raw logits first."""

    def loss(self, logits, q):
        return F.kl_div(logits, q, reduction="batchmean")


@wrong(
    "KLTargetLoss",
    says="the loss is nan, though no probability is 0. F.kl_div takes log P first and Q second",
)
class LossSwapped(RightLoss):
    """Target first, model second."""

    def loss(self, logits, q):
        return F.kl_div(q, logits.log_softmax(-1), reduction="batchmean")


@wrong(
    "KLTargetLoss",
    says="that is KL(P‖Q), where the model P stands on top",
)
class LossReverse(RightLoss):
    """KL(P‖Q): infinite where the target has zeros."""

    def loss(self, logits, q):
        return F.kl_div(q.log(), logits.softmax(-1), reduction="batchmean")


@wrong("KLTargetLoss", says="the loss is nan, from 0 · log 0 where the target is 0")
class LossByHand(RightLoss):
    """The formula as it stands: nan where the target is 0."""

    def loss(self, logits, q):
        return (q * (q.log() - logits.log_softmax(-1))).sum(-1).mean()


@wrong(
    "KLTargetLoss",
    says='reduction="mean" divides by B · V; the divergence divides by B only ("batchmean")',
)
class LossMean(RightLoss):
    """Divides by B · V."""

    def loss(self, logits, q):
        return (torch.xlogy(q, q) - q * logits.log_softmax(-1)).mean()


@wrong(
    "KLTargetLoss", says='reduction="sum" adds up the rows; divide by their number ("batchmean")'
)
class LossSum(RightLoss):
    """Adds up the rows: right for one row."""

    def loss(self, logits, q):
        return F.kl_div(logits.log_softmax(-1), q, reduction="sum")


@wrong("KLTargetLoss", says="that is the cross-entropy; KL(Q‖P) subtracts the entropy of Q")
class LossCrossEntropy(RightLoss):
    """The same gradient, another number."""

    def loss(self, logits, q):
        return F.cross_entropy(logits, q)


@wrong(
    "KLTargetLoss", says="softmax runs over the rows; the probabilities of one row sum to 1, dim=-1"
)
class LossRows(RightLoss):
    """Softmax over the rows."""

    def loss(self, logits, q):
        return F.kl_div(logits.log_softmax(0), q, reduction="batchmean")


@wrong(
    "KLTargetLoss",
    says="There exponentials overflow, and softmax rounds to 0, whose logarithm is -inf",
)
class LossLogOfSoftmax(RightLoss):
    """-inf where softmax rounds to 0."""

    def loss(self, logits, q):
        return F.kl_div(logits.softmax(-1).log(), q, reduction="batchmean")


@wrong("KLTargetLoss", says="stands in the logarithm, where softmax rounds to 0; use F.log_softmax")
class LossEpsilon(RightLoss):
    """A small number in the logarithm: finite, and wrong where P is tiny."""

    def loss(self, logits, q):
        return F.kl_div((logits.softmax(-1) + 1e-8).log(), q, reduction="batchmean")


@wrong("KLTargetLoss", says="you took only the first row; the loss is the mean over all rows")
class LossOneRow(RightLoss):
    """Only the first row counts."""

    def loss(self, logits, q):
        return F.kl_div(logits[:1].log_softmax(-1), q[:1], reduction="batchmean")


@wrong(
    "KLTargetLoss",
    says=": no gradient flows back, so nothing could be trained through this. Stay with tensors: no .detach(), .item(), .tolist() or numpy on the way",
)
class LossDetached(RightLoss):
    """No gradient."""

    def loss(self, logits, q):
        return super().loss(logits.detach(), q)


@wrong("KLTargetLoss", says="log_target=True is for a target of log-probabilities")
class LossLogTarget(RightLoss):
    """log_target=True, though the target holds probabilities."""

    def loss(self, logits, q):
        return F.kl_div(logits.log_softmax(-1), q, reduction="batchmean", log_target=True)


@wrong(
    "KLTargetLoss", says="KLTargetLoss([0.5, 0.1]) must raise ValueError: the target sums to 0.6"
)
class LossNoCheck(RightLoss):
    """Takes any target."""

    def __init__(self, target):
        self.target = target


@wrong(
    "KLTargetLoss",
    says="KLTargetLoss([1.5, -0.5]) must raise ValueError: the target has negative numbers",
)
class LossOnlySum(RightLoss):
    """Looks at the sum, not at the signs."""

    def __init__(self, target):
        if abs(target.sum().item() - 1) > 1e-3:
            raise ValueError("sum")
        self.target = target


@wrong(
    "KLTargetLoss", says="KLTargetLoss([0.5, 0.1]) must raise ValueError: the target sums to 0.6"
)
class LossNormalises(RightLoss):
    """Repairs a target that does not sum to 1 without a word."""

    def __init__(self, target):
        if (target < 0).any():
            raise ValueError("negative")
        self.target = target / target.sum()


@wrong("KLTargetLoss", says="must raise a ValueError: it would be stretched to 5 without a word")
class LossStretches(RightLoss):
    """Logits of one token are stretched to the target's length."""

    def __call__(self, logits):
        if logits.ndim != 2:
            raise ValueError("not (B, V)")
        return (
            F.kl_div(logits.log_softmax(-1), self.target.to(logits), reduction="none")
            .sum(-1)
            .mean()
        )


@wrong(
    "KLTargetLoss", says="must raise a ValueError: it would divide by 2 rows, though there are 6"
)
class LossAnyShape(RightLoss):
    """(B, T, V) is divided by B alone."""

    def check(self, logits):
        check_fits(self.target, logits)


@wrong(
    "KLTargetLoss",
    says=": no gradient flows back, so nothing could be trained through this. Stay with tensors: no .detach(), .item(), .tolist() or numpy on the way",
)
class LossWithoutGradient(RightLoss):
    """Under no_grad: a measurement, and no loss."""

    def loss(self, logits, q):
        with torch.no_grad():
            return super().loss(logits, q)


@wrong("KLTargetLoss", says="the gradient of KLTargetLoss(target)(logits): 15 of 15 values differ")
class LossFixedSum(RightLoss):
    """The sum of the softmax is taken out of the graph."""

    def loss(self, logits, q):
        log_p = logits - logits.logsumexp(-1, keepdim=True).detach()
        return F.kl_div(log_p, q, reduction="batchmean")


@wrong(
    "KLTargetLoss",
    says=": no gradient flows back, so nothing could be trained through this. Stay with tensors: no .detach(), .item(), .tolist() or numpy on the way",
)
class LossAsNumber(RightLoss):
    """A new tensor of the number."""

    def loss(self, logits, q):
        return torch.tensor(super().loss(logits, q).item(), dtype=logits.dtype)


# --- bent_loss ------------------------------------------------------------------------------------


def soft_target(teacher_logits, target, weight):
    if weight < 0:
        raise ValueError("weight")
    return (teacher_logits.softmax(-1) + weight * target) / (1 + weight)


def divergence(q, logits):
    return (torch.xlogy(q, q) - q * logits.log_softmax(-1)).sum(-1)


@wrong("bent_loss", says="the soft target sums to 1 + weight; divide by that")
def bent_not_divided(logits, teacher_logits, target, weight):
    q = soft_target(teacher_logits, target, weight) * (1 + weight)
    return divergence(q, logits).mean()


@wrong("bent_loss", says="weight is no share: the target has weight / (1 + weight)")
def bent_as_share(logits, teacher_logits, target, weight):
    """Takes the weight for a share."""
    soft_target(teacher_logits, target, weight)
    q = (1 - weight) * teacher_logits.softmax(-1) + weight * target
    p = logits.softmax(-1)
    return (torch.xlogy(q, q) - torch.xlogy(q, p)).sum(-1).mean()


@wrong("bent_loss", says="that is KL(P‖target); the target stands on top")
def bent_reversed(logits, teacher_logits, target, weight):
    q = soft_target(teacher_logits, target, weight)
    p = logits.softmax(-1)
    return (p * (p.log() - q.log())).sum(-1).mean()


@wrong("bent_loss", says="that is the cross-entropy; subtract the entropy of the soft target")
def bent_cross_entropy(logits, teacher_logits, target, weight):
    q = soft_target(teacher_logits, target, weight)
    return -(q * logits.log_softmax(-1)).sum(-1).mean()


@wrong("bent_loss", says="teacher and model are exchanged")
def bent_exchanged(logits, teacher_logits, target, weight):
    return divergence(soft_target(logits, target, weight), teacher_logits).mean()


@wrong("bent_loss", says="you averaged over the words, too; a divergence is a sum over words")
def bent_mean_of_all(logits, teacher_logits, target, weight):
    q = soft_target(teacher_logits, target, weight)
    return F.kl_div(logits.log_softmax(-1), q, reduction="none").mean()


@wrong("bent_loss", says="you divided by the rows only; average over all positions")
def bent_batchmean(logits, teacher_logits, target, weight):
    """batchmean of (B, T, V) divides by B."""
    q = soft_target(teacher_logits, target, weight)
    return F.kl_div(logits.log_softmax(-1), q, reduction="batchmean")


@wrong("bent_loss", says="you added up the positions; the loss is their mean")
def bent_sum(logits, teacher_logits, target, weight):
    return divergence(soft_target(teacher_logits, target, weight), logits).sum()


@wrong("bent_loss", says="you left the teacher out: that is KL(Q‖P)")
def bent_without_teacher(logits, teacher_logits, target, weight):
    soft_target(teacher_logits, target, weight)
    return divergence(target.expand_as(logits), logits).mean()


@wrong("bent_loss", says="you left the bias out: that is the control")
def bent_without_bias(logits, teacher_logits, target, weight):
    soft_target(teacher_logits, target, weight)
    return divergence(teacher_logits.softmax(-1), logits).mean()


@wrong("bent_loss", says="that is the sum of two divergences")
def bent_two_terms(logits, teacher_logits, target, weight):
    soft_target(teacher_logits, target, weight)
    said = teacher_logits.softmax(-1)
    both = divergence(said, logits) + weight * divergence(target.expand_as(said), logits)
    return both.mean()


@wrong("bent_loss", says="the mixture has the shares the wrong way round")
def bent_shares_swapped(logits, teacher_logits, target, weight):
    soft_target(teacher_logits, target, weight)
    q = (weight * teacher_logits.softmax(-1) + target) / (1 + weight)
    return divergence(q, logits).mean()


@wrong("bent_loss", says="a logarithm of something that is no probability")
def bent_raw_teacher(logits, teacher_logits, target, weight):
    soft_target(teacher_logits, target, weight)
    q = (teacher_logits + weight * target) / (1 + weight)
    return (torch.xlogy(q, q) - torch.xlogy(q, logits.softmax(-1))).sum(-1).mean()


@wrong("bent_loss", says="the loss is nan. With the target in F.kl_div's first place")
def bent_kl_div_swapped(logits, teacher_logits, target, weight):
    q = soft_target(teacher_logits, target, weight)
    V = logits.size(-1)
    log_p = logits.log_softmax(-1).reshape(-1, V)
    return F.kl_div(q.reshape(-1, V), log_p, reduction="batchmean")


@wrong(
    "bent_loss", says="There softmax rounds to 0, whose logarithm is -inf; F.log_softmax does not"
)
def bent_log_of_softmax(logits, teacher_logits, target, weight):
    q = soft_target(teacher_logits, target, weight)
    return (torch.xlogy(q, q) - q * logits.softmax(-1).log()).sum(-1).mean()


@wrong("bent_loss", says="must raise ValueError")
def bent_any_weight(logits, teacher_logits, target, weight):
    q = (teacher_logits.softmax(-1) + weight * target) / (1 + weight)
    return divergence(q, logits).mean()


@wrong("bent_loss", says="gradient")
def bent_detached(logits, teacher_logits, target, weight):
    return divergence(soft_target(teacher_logits, target, weight), logits.detach()).mean()


# --- matched_control ------------------------------------------------------------------------------


def enough(mask):
    if int((~mask).sum()) < int(mask.sum()):
        raise ValueError("too few")


def nearest(mask, log_p, k):
    """The k free words nearest to the mean, and a swap or two."""
    free = [i for i in range(len(mask)) if not mask[i]]
    goal = log_p[mask].mean().item()
    left = k * goal
    chosen = []
    for step in range(k):
        i = min(free, key=lambda i: abs(log_p[i].item() - left / (k - step)))
        free.remove(i)
        chosen.append(i)
        left -= log_p[i].item()
    return chosen


def as_mask(mask, chosen):
    return torch.isin(torch.arange(len(mask)), torch.tensor(chosen))


@wrong("matched_control", says="of your words are the mask's own")
def control_is_the_mask(mask, log_p):
    """The best match of all."""
    enough(mask)
    return mask.clone()


@wrong("matched_control", says="with another number the entropy of the target differs, too")
def control_one_word_fewer(mask, log_p):
    enough(mask)
    return as_mask(mask, nearest(mask, log_p, max(1, int(mask.sum()) - 1)))


@wrong("matched_control", says="with another number the entropy of the target differs, too")
def control_all_others(mask, log_p):
    enough(mask)
    return ~mask


@wrong("matched_control", says="A difference would then have two causes")
def control_at_random(mask, log_p):
    """Random words: rarer or likelier."""
    enough(mask)
    free = (~mask).nonzero().flatten()
    g = torch.Generator().manual_seed(0)
    return as_mask(mask, free[torch.randperm(len(free), generator=g)[: int(mask.sum())]].tolist())


@wrong("matched_control", says="your words are likelier on average")
def control_most_frequent(mask, log_p):
    enough(mask)
    order = log_p.masked_fill(mask, -torch.inf).argsort(descending=True)
    return as_mask(mask, order[: int(mask.sum())].tolist())


@wrong("matched_control", says="your words are rarer on average")
def control_rarest(mask, log_p):
    enough(mask)
    order = log_p.masked_fill(mask, torch.inf).argsort()
    return as_mask(mask, order[: int(mask.sum())].tolist())


@wrong("matched_control", says="A difference would then have two causes")
def control_matches_the_sum_of_probabilities(mask, log_p):
    """Matches exp(log_p): a common word hides that the others are rare."""
    enough(mask)
    return as_mask(mask, nearest(mask, log_p.exp(), int(mask.sum())))


@wrong("matched_control", says="return a mask, a tensor of bool, and not torch.int64")
def control_ids(mask, log_p):
    enough(mask)
    return torch.tensor(nearest(mask, log_p, int(mask.sum())))


@wrong("matched_control", says="return a mask, a tensor of bool, and not list")
def control_list(mask, log_p):
    enough(mask)
    return nearest(mask, log_p, int(mask.sum()))


@wrong("matched_control", says="a mask has one value for each of the")
def control_of_the_others_only(mask, log_p):
    enough(mask)
    return as_mask(mask, nearest(mask, log_p, int(mask.sum())))[~mask]


@wrong("matched_control", says="must raise ValueError")
def control_takes_what_is_there(mask, log_p):
    k = min(int(mask.sum()), int((~mask).sum()))
    return as_mask(mask, nearest(mask, log_p, k))
