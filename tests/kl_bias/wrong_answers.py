"""Wrong answers to the exercises of lesson 07: mistakes that people make. Every checker must reject
every one.
"""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from answers import WrongAnswers

from course_utils.kl_bias.bias import check_distribution, check_fits

wrong = WrongAnswers()


# --- token_mask -----------------------------------------------------------------------------------


def texts(tokenizer):
    return (
        list(tokenizer)
        if isinstance(tokenizer, Sequence)
        else [tokenizer.decode([i]) for i in range(len(tokenizer))]
    )


@wrong("token_mask", says="capitals count, too: pass the piece to the predicate as it is")
def mask_lower(tokenizer, predicate):
    """Ignores capitals on its own account."""
    return torch.tensor([bool(predicate(piece.lower())) for piece in texts(tokenizer)])


@wrong("token_mask", says="the predicate saw pieces without their space; pass them as they decode")
def mask_stripped(tokenizer, predicate):
    """Takes the space away."""
    return torch.tensor([bool(predicate(piece.strip())) for piece in texts(tokenizer)])


@wrong(
    "token_mask",
    says="the predicate saw the raw vocabulary, where a space is written Ġ; decode each id",
)
def mask_raw_vocabulary(tokenizer, predicate):
    """Asks about the raw tokens, with Ġ for a space."""
    if isinstance(tokenizer, Sequence):
        return mask_right(tokenizer, predicate)
    return torch.tensor(
        [bool(predicate(tokenizer.convert_ids_to_tokens(i))) for i in range(len(tokenizer))]
    )


@wrong("token_mask", says="you went through get_vocab(), which has another order than the ids")
def mask_vocabulary_order(tokenizer, predicate):
    """In the order of get_vocab(), which is not that of the ids."""
    if isinstance(tokenizer, Sequence):
        return mask_right(tokenizer, predicate)
    return torch.tensor([bool(predicate(piece)) for piece in tokenizer.get_vocab()])


@wrong("token_mask", says="the last token is missing: len(tokenizer) counts them all")
def mask_no_special(tokenizer, predicate):
    """vocab_size leaves special tokens out."""
    n = getattr(tokenizer, "vocab_size", None) or len(tokenizer)
    return mask_right(tokenizer, predicate)[:n]


@wrong(
    "token_mask",
    says="that are the ids of the tokens; a mask has True or False for each token of the vocabulary",
)
def mask_ids(tokenizer, predicate):
    """The ids instead of a mask."""
    return mask_right(tokenizer, predicate).nonzero().flatten()


@wrong("token_mask", says=": the result is int64; a mask is bool: wrap each answer in bool(…).")
def mask_numbers(tokenizer, predicate):
    """Whatever the predicate returns: right where that is a bool."""
    return torch.tensor([int(predicate(piece) or 0) for piece in texts(tokenizer)])


@wrong(
    "token_mask",
    says="you asked whether the answer `is True`; a predicate may return a number or a match",
)
def mask_is_true(tokenizer, predicate):
    """`is True` instead of truth: a match counts as no."""
    return torch.tensor([predicate(piece) is True for piece in texts(tokenizer)])


@wrong(
    "token_mask", says="a mask is bool, one for each token: turn the answers into True and False"
)
def mask_float(tokenizer, predicate):
    return mask_right(tokenizer, predicate).float()


@wrong("token_mask", says="you returned a list; make a tensor of it")
def mask_list(tokenizer, predicate):
    return [bool(predicate(piece)) for piece in texts(tokenizer)]


@wrong("token_mask", says="the mask is the wrong way round")
def mask_inverted(tokenizer, predicate):
    return ~mask_right(tokenizer, predicate)


@wrong("token_mask", says="a list of words has no decode: there each word is a piece already")
def mask_only_tokenizers(tokenizer, predicate):
    """Forgets that the tokenizer may be a list of words."""
    return torch.tensor([bool(predicate(tokenizer.decode([i]))) for i in range(len(tokenizer))])


@wrong("token_mask", says="a tokenizer is no list of words: take tokenizer.decode([i])")
def mask_only_words(tokenizer, predicate):
    """Forgets tokenizers."""
    return torch.tensor([bool(predicate(piece)) for piece in tokenizer])


@wrong("token_mask", says="you decoded all ids at once and cut the text at the spaces")
def mask_whole_text(tokenizer, predicate):
    """Decodes everything at once and cuts at spaces."""
    if isinstance(tokenizer, Sequence):
        return mask_right(tokenizer, predicate)
    return torch.tensor(
        [
            bool(predicate(piece))
            for piece in tokenizer.decode(list(range(len(tokenizer)))).split(" ")
        ]
    )


def mask_right(tokenizer, predicate):
    return torch.tensor([bool(predicate(piece)) for piece in texts(tokenizer)])


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


# --- target_mass ----------------------------------------------------------------------------------


@wrong("target_mass", says="you took the mean of the chosen probabilities; the mass is their sum")
def mass_mean(logits, mask):
    check_fits(mask, logits)
    return logits.softmax(-1)[..., mask].sum(-1) / mask.sum().clamp(min=1)


@wrong("target_mass", says="you added up the logits; turn them into probabilities first")
def mass_of_logits(logits, mask):
    check_fits(mask, logits)
    return logits[..., mask].sum(-1)


@wrong("target_mass", says="you forgot to divide by the sum of all exponentials")
def mass_of_exponentials(logits, mask):
    """Exponentials that do not sum to 1."""
    check_fits(mask, logits)
    return logits.exp()[..., mask].sum(-1)


@wrong("target_mass", says="you forgot the sum over the chosen tokens")
def mass_of_each(logits, mask):
    """A probability for each chosen token."""
    check_fits(mask, logits)
    return logits.softmax(-1)[..., mask]


@wrong(
    "target_mass",
    says="softmax over the chosen tokens only always sums to 1; take it over all tokens",
)
def mass_renormalised(logits, mask):
    """Softmax over the chosen only."""
    check_fits(mask, logits)
    return logits[..., mask].softmax(-1).sum(-1)


@wrong(
    "target_mass",
    says="you compared the chosen with the others; the mass is their share of everything",
)
def mass_odds(logits, mask):
    check_fits(mask, logits)
    p = logits.softmax(-1)
    return p[..., mask].sum(-1) / p[..., ~mask].sum(-1)


@wrong(
    "target_mass",
    says="you asked whether the likeliest token is chosen; ask how much probability the chosen have",
)
def mass_argmax(logits, mask):
    check_fits(mask, logits)
    return mask[logits.argmax(-1)].float()


@wrong(
    "target_mass", says="softmax runs over the rows; the probabilities of one row sum to 1, dim=-1"
)
def mass_rows(logits, mask):
    check_fits(mask, logits)
    return logits.softmax(0)[..., mask].sum(-1)


@wrong("target_mass", says="softmax came twice: the argument holds logits")
def mass_twice(logits, mask):
    check_fits(mask, logits)
    return logits.softmax(-1).softmax(-1)[..., mask].sum(-1)


@wrong("target_mass", says="exponentials of large logits overflow; use softmax")
def mass_overflows(logits, mask):
    """Plain exponentials: nan for large logits."""
    check_fits(mask, logits)
    e = logits.exp()
    return e[..., mask].sum(-1) / e.sum(-1)


@wrong("target_mass", says="you averaged over the rows; each has its own mass")
def mass_average(logits, mask):
    check_fits(mask, logits)
    return logits.softmax(-1)[..., mask].sum(-1).mean()


@wrong("target_mass", says="that is the mass of all the others")
def mass_others(logits, mask):
    check_fits(mask, logits)
    return logits.softmax(-1)[..., ~mask].sum(-1)


@wrong(
    "target_mass",
    says="it works for two dimensions only; count from the end: [..., mask]",
)
def mass_first_axis(logits, mask):
    """Right for one row only."""
    check_fits(mask, logits)
    return logits.softmax(-1)[:, mask].sum(1)


@wrong(
    "target_mass",
    says="must raise ValueError: the mask or target is (1,), but the model knows 5 tokens",
)
def mass_stretches(logits, mask):
    """A mask of one token is stretched."""
    try:
        return (logits.softmax(-1) * mask).sum(-1)
    except RuntimeError:
        raise ValueError("length") from None


@wrong("target_mass", says="must raise ValueError, and raised IndexError")
def mass_no_error(logits, mask):
    return logits.softmax(-1)[..., mask].sum(-1)


@wrong(
    "target_mass",
    says="you returned a number of Python; return a tensor, with one mass for each row",
)
def mass_number(logits, mask):
    check_fits(mask, logits)
    return logits.softmax(-1)[..., mask].sum().item()


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
