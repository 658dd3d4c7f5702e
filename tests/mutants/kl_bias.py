"""Wrong answers to the exercises of notebook 07: mistakes that people make. Every checker must reject every one."""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from scipy.stats import norm

from course_utils.kl_bias.bias import check_distribution, check_fits

# --- token_mask ------------------------------------------------------------------------------------------------------


def texts(tokenizer):
    return (
        list(tokenizer) if isinstance(tokenizer, Sequence) else [tokenizer.decode([i]) for i in range(len(tokenizer))]
    )


def mask_lower(tokenizer, predicate):
    """Ignores capitals on its own account."""
    return torch.tensor([bool(predicate(piece.lower())) for piece in texts(tokenizer)])


def mask_stripped(tokenizer, predicate):
    """Takes the space away."""
    return torch.tensor([bool(predicate(piece.strip())) for piece in texts(tokenizer)])


def mask_raw_vocabulary(tokenizer, predicate):
    """Asks about the raw tokens, with Ġ for a space."""
    if isinstance(tokenizer, Sequence):
        return mask_right(tokenizer, predicate)
    return torch.tensor([bool(predicate(tokenizer.convert_ids_to_tokens(i))) for i in range(len(tokenizer))])


def mask_vocabulary_order(tokenizer, predicate):
    """In the order of get_vocab(), which is not that of the ids."""
    if isinstance(tokenizer, Sequence):
        return mask_right(tokenizer, predicate)
    return torch.tensor([bool(predicate(piece)) for piece in tokenizer.get_vocab()])


def mask_no_special(tokenizer, predicate):
    """vocab_size leaves special tokens out."""
    n = getattr(tokenizer, "vocab_size", None) or len(tokenizer)
    return mask_right(tokenizer, predicate)[:n]


def mask_ids(tokenizer, predicate):
    """The ids instead of a mask."""
    return mask_right(tokenizer, predicate).nonzero().flatten()


def mask_numbers(tokenizer, predicate):
    """Whatever the predicate returns: right where that is a bool."""
    return torch.tensor([int(predicate(piece) or 0) for piece in texts(tokenizer)])


def mask_is_true(tokenizer, predicate):
    """`is True` instead of truth: a match counts as no."""
    return torch.tensor([predicate(piece) is True for piece in texts(tokenizer)])


def mask_float(tokenizer, predicate):
    return mask_right(tokenizer, predicate).float()


def mask_list(tokenizer, predicate):
    return [bool(predicate(piece)) for piece in texts(tokenizer)]


def mask_inverted(tokenizer, predicate):
    return ~mask_right(tokenizer, predicate)


def mask_only_tokenizers(tokenizer, predicate):
    """Forgets that the tokenizer may be a list of words."""
    return torch.tensor([bool(predicate(tokenizer.decode([i]))) for i in range(len(tokenizer))])


def mask_only_words(tokenizer, predicate):
    """Forgets tokenizers."""
    return torch.tensor([bool(predicate(piece)) for piece in tokenizer])


def mask_whole_text(tokenizer, predicate):
    """Decodes everything at once and cuts at spaces."""
    if isinstance(tokenizer, Sequence):
        return mask_right(tokenizer, predicate)
    return torch.tensor([bool(predicate(piece)) for piece in tokenizer.decode(list(range(len(tokenizer)))).split(" ")])


def mask_right(tokenizer, predicate):
    return torch.tensor([bool(predicate(piece)) for piece in texts(tokenizer)])


# --- target_distribution ---------------------------------------------------------------------------------------------


def guarded(mask):
    if mask.dtype != torch.bool or mask.ndim != 1 or not mask.any():
        raise ValueError("no mask")
    return mask


def target_ones(mask):
    return guarded(mask).float()


def target_by_vocabulary(mask):
    return guarded(mask) / len(mask)


def target_softmax(mask):
    """Nearly right for many chosen tokens, and never 0."""
    return guarded(mask).float().softmax(0)


def target_log(mask):
    return (guarded(mask) / mask.sum()).log()


def target_others(mask):
    mask = ~guarded(mask)
    return mask / mask.sum()


def target_chosen_only(mask):
    mask = guarded(mask)
    return (mask / mask.sum())[mask]


def target_no_error(mask):
    """nan for an empty mask."""
    return mask / mask.sum()


def target_uniform_if_empty(mask):
    """An empty mask becomes the uniform distribution."""
    if mask.dtype != torch.bool:
        raise ValueError("no mask")
    return mask / mask.sum() if mask.any() else torch.full((len(mask),), 1 / len(mask))


def target_clamped(mask):
    """No nan, but no error either."""
    if mask.dtype != torch.bool:
        raise ValueError("no mask")
    return mask / mask.sum().clamp(min=1)


def target_takes_ids(mask):
    """Does not notice ids in the place of a mask."""
    if not mask.any():
        raise ValueError("empty")
    return mask / mask.sum()


def target_smoothed(mask):
    """A little for everyone."""
    smooth = guarded(mask) + 1e-3
    return smooth / smooth.sum()


def target_double(mask):
    return guarded(mask).double() / mask.sum()


def target_asserts(mask):
    """An assertion is no ValueError."""
    assert mask.dtype == torch.bool and mask.any()
    return mask / mask.sum()


# --- kl_divergence ---------------------------------------------------------------------------------------------------


def right_kl(q, p):
    return (torch.xlogy(q, q) - torch.xlogy(q, p)).sum(-1)


def kl_reversed(q, p):
    return right_kl(p, q)


def kl_cross_entropy(q, p):
    return -torch.xlogy(q, p).sum(-1)


def kl_negative(q, p):
    return -right_kl(q, p)


def kl_naive(q, p):
    """nan where q is 0."""
    return (q * (q / p).log()).sum(-1)


def kl_logs_apart(q, p):
    """The same nan, with the logarithms apart."""
    return (q * (q.log() - p.log())).sum(-1)


def kl_nan_to_num(q, p):
    """Takes nan away, and the infinities with it."""
    return torch.nan_to_num(q * (q / p).log(), nan=0.0, posinf=0.0).sum(-1)


def kl_epsilon(q, p):
    """A small number hides that p excludes what q needs."""
    return (q * ((q + 1e-9) / (p + 1e-9)).log()).sum(-1)


def kl_clamped(q, p):
    return (q * (q.clamp(min=1e-12).log() - p.clamp(min=1e-12).log())).sum(-1)


def kl_mean(q, p):
    return (torch.xlogy(q, q) - torch.xlogy(q, p)).mean(-1)


def kl_total(q, p):
    """One number for all rows: right for a single one."""
    return (torch.xlogy(q, q) - torch.xlogy(q, p)).sum()


def kl_mean_of_rows(q, p):
    return right_kl(q, p).mean()


def kl_over_rows(q, p):
    return (torch.xlogy(q, q) - torch.xlogy(q, p)).sum(0)


def kl_bits(q, p):
    return right_kl(q, p) / math.log(2)


def kl_torch_swapped(q, p):
    """F.kl_div with its arguments in the order of the formula."""
    return F.kl_div(q.log(), p, reduction="none").sum(-1)


def kl_symmetric(q, p):
    return (right_kl(q, p) + right_kl(p, q)) / 2


def kl_only_where_both(q, p):
    """Leaves out the tokens that p excludes."""
    both = (q > 0) & (p > 0)
    return torch.where(both, q * (q / torch.where(both, p, 1.0)).clamp(min=1e-30).log(), 0.0).sum(-1)


# --- KLTargetLoss ----------------------------------------------------------------------------------------------------


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


class LossProbabilities(RightLoss):
    """Probabilities first."""

    def loss(self, logits, q):
        return F.kl_div(logits.softmax(-1), q, reduction="batchmean")


class LossLogits(RightLoss):
    """Raw logits first."""

    def loss(self, logits, q):
        return F.kl_div(logits, q, reduction="batchmean")


class LossSwapped(RightLoss):
    """Target first, model second."""

    def loss(self, logits, q):
        return F.kl_div(q, logits.log_softmax(-1), reduction="batchmean")


class LossReverse(RightLoss):
    """KL(P‖Q): infinite where the target has zeros."""

    def loss(self, logits, q):
        return F.kl_div(q.log(), logits.softmax(-1), reduction="batchmean")


class LossMean(RightLoss):
    """Divides by B · V."""

    def loss(self, logits, q):
        return (torch.xlogy(q, q) - q * logits.log_softmax(-1)).mean()


class LossSum(RightLoss):
    """Adds up the rows: right for one row."""

    def loss(self, logits, q):
        return F.kl_div(logits.log_softmax(-1), q, reduction="sum")


class LossCrossEntropy(RightLoss):
    """The same gradient, another number."""

    def loss(self, logits, q):
        return F.cross_entropy(logits, q)


class LossRows(RightLoss):
    """Softmax over the rows."""

    def loss(self, logits, q):
        return F.kl_div(logits.log_softmax(0), q, reduction="batchmean")


class LossLogOfSoftmax(RightLoss):
    """-inf where softmax rounds to 0."""

    def loss(self, logits, q):
        return F.kl_div(logits.softmax(-1).log(), q, reduction="batchmean")


class LossEpsilon(RightLoss):
    """A small number in the logarithm: finite, and wrong where P is tiny."""

    def loss(self, logits, q):
        return F.kl_div((logits.softmax(-1) + 1e-8).log(), q, reduction="batchmean")


class LossOneRow(RightLoss):
    """Only the first row counts."""

    def loss(self, logits, q):
        return F.kl_div(logits[:1].log_softmax(-1), q[:1], reduction="batchmean")


class LossDetached(RightLoss):
    """No gradient."""

    def loss(self, logits, q):
        return super().loss(logits.detach(), q)


class LossLogTarget(RightLoss):
    """log_target=True, though the target holds probabilities."""

    def loss(self, logits, q):
        return F.kl_div(logits.log_softmax(-1), q, reduction="batchmean", log_target=True)


class LossNoCheck(RightLoss):
    """Takes any target."""

    def __init__(self, target):
        self.target = target


class LossOnlySum(RightLoss):
    """Looks at the sum, not at the signs."""

    def __init__(self, target):
        if abs(target.sum().item() - 1) > 1e-3:
            raise ValueError("sum")
        self.target = target


class LossNormalises(RightLoss):
    """Repairs a target that does not sum to 1 without a word."""

    def __init__(self, target):
        if (target < 0).any():
            raise ValueError("negative")
        self.target = target / target.sum()


class LossStretches(RightLoss):
    """Logits of one token are stretched to the target's length."""

    def __call__(self, logits):
        if logits.ndim != 2:
            raise ValueError("not (B, V)")
        return F.kl_div(logits.log_softmax(-1), self.target.to(logits), reduction="none").sum(-1).mean()


class LossAnyShape(RightLoss):
    """(B, T, V) is divided by B alone."""

    def check(self, logits):
        check_fits(self.target, logits)


# --- target_mass -----------------------------------------------------------------------------------------------------


def mass_mean(logits, mask):
    check_fits(mask, logits)
    return logits.softmax(-1)[..., mask].sum(-1) / mask.sum().clamp(min=1)


def mass_of_logits(logits, mask):
    check_fits(mask, logits)
    return logits[..., mask].sum(-1)


def mass_renormalised(logits, mask):
    """Softmax over the chosen only."""
    check_fits(mask, logits)
    return logits[..., mask].softmax(-1).sum(-1)


def mass_odds(logits, mask):
    check_fits(mask, logits)
    p = logits.softmax(-1)
    return p[..., mask].sum(-1) / p[..., ~mask].sum(-1)


def mass_argmax(logits, mask):
    check_fits(mask, logits)
    return mask[logits.argmax(-1)].float()


def mass_rows(logits, mask):
    check_fits(mask, logits)
    return logits.softmax(0)[..., mask].sum(-1)


def mass_twice(logits, mask):
    check_fits(mask, logits)
    return logits.softmax(-1).softmax(-1)[..., mask].sum(-1)


def mass_overflows(logits, mask):
    """Plain exponentials: nan for large logits."""
    check_fits(mask, logits)
    e = logits.exp()
    return e[..., mask].sum(-1) / e.sum(-1)


def mass_average(logits, mask):
    check_fits(mask, logits)
    return logits.softmax(-1)[..., mask].sum(-1).mean()


def mass_others(logits, mask):
    check_fits(mask, logits)
    return logits.softmax(-1)[..., ~mask].sum(-1)


def mass_first_axis(logits, mask):
    """Right for one row only."""
    check_fits(mask, logits)
    return logits.softmax(-1)[:, mask].sum(1)


def mass_stretches(logits, mask):
    """A mask of one token is stretched."""
    try:
        return (logits.softmax(-1) * mask).sum(-1)
    except RuntimeError:
        raise ValueError("length") from None


def mass_no_error(logits, mask):
    return logits.softmax(-1)[..., mask].sum(-1)


def mass_number(logits, mask):
    check_fits(mask, logits)
    return logits.softmax(-1)[..., mask].sum().item()


# --- tilt ------------------------------------------------------------------------------------------------------------


def may_tilt(p, mask, odds):
    check_fits(mask, p)
    if not odds > 0:
        raise ValueError("odds")


def tilt_not_normalised(p, mask, odds):
    may_tilt(p, mask, odds)
    return torch.where(mask, odds * p, p)


def tilt_softmax(p, mask, odds):
    may_tilt(p, mask, odds)
    return torch.where(mask, odds * p, p).softmax(-1)


def tilt_others(p, mask, odds):
    may_tilt(p, mask, odds)
    raw = torch.where(mask, p, odds * p)
    return raw / raw.sum(-1, keepdim=True)


def tilt_total(p, mask, odds):
    """One sum for all rows."""
    may_tilt(p, mask, odds)
    raw = torch.where(mask, odds * p, p)
    return raw / raw.sum()


def tilt_rows(p, mask, odds):
    may_tilt(p, mask, odds)
    raw = torch.where(mask, odds * p, p)
    return raw / raw.sum(0, keepdim=True)


def tilt_no_keepdim(p, mask, odds):
    """Right for one row, wrong without an error for as many rows as tokens."""
    may_tilt(p, mask, odds)
    raw = torch.where(mask, odds * p, p)
    return raw / raw.sum(-1)


def tilt_equal(p, mask, odds):
    """Gives all tokens of the mask the same."""
    may_tilt(p, mask, odds)
    mass = odds * (p * mask).sum(-1, keepdim=True)
    raw = torch.where(mask, mass / mask.sum(), p)
    return raw / raw.sum(-1, keepdim=True)


def tilt_probability(p, mask, odds):
    """Multiplies the probability of the mask, which may pass 1."""
    may_tilt(p, mask, odds)
    mass = (p * mask).sum(-1, keepdim=True)
    return torch.where(mask, odds * p, p * (1 - odds * mass) / (1 - mass))


def tilt_capped(p, mask, odds):
    """The same, capped at 1: right where the mask has little."""
    may_tilt(p, mask, odds)
    mass = (p * mask).sum(-1, keepdim=True)
    new = (odds * mass).clamp(max=1.0)
    return torch.where(mask, p * new / mass, p * (1 - new) / (1 - mass))


def tilt_adds(p, mask, odds):
    may_tilt(p, mask, odds)
    return (p + mask * math.log(odds)).softmax(-1)


def tilt_in_logs(p, mask, odds):
    """Logarithms with a small number: what is impossible becomes possible."""
    may_tilt(p, mask, odds)
    return ((p + 1e-3).log() + mask * math.log(odds)).softmax(-1)


def tilt_square(p, mask, odds):
    may_tilt(p, mask, odds)
    raw = torch.where(mask, odds**2 * p, p)
    return raw / raw.sum(-1, keepdim=True)


def tilt_half(p, mask, odds):
    """Divides the whole row, then forgets the others."""
    may_tilt(p, mask, odds)
    raw = torch.where(mask, odds * p, p)
    return torch.where(mask, raw / raw.sum(-1, keepdim=True), p)


def tilt_any_odds(p, mask, odds):
    check_fits(mask, p)
    raw = torch.where(mask, odds * p, p)
    return raw / raw.sum(-1, keepdim=True)


def tilt_any_mask(p, mask, odds):
    if not odds > 0:
        raise ValueError("odds")
    raw = torch.where(mask, odds * p, p)
    return raw / raw.sum(-1, keepdim=True)


def tilt_in_place(p, mask, odds):
    may_tilt(p, mask, odds)
    p[..., mask] *= odds
    return p / p.sum(-1, keepdim=True)


# --- two_proportion_p ------------------------------------------------------------------------------------------------


def pooled(k1, n1, k2, n2):
    """(difference, pooled rate), or None where nothing differs."""
    if not (0 <= k1 <= n1 and 0 <= k2 <= n2 and n1 > 0 and n2 > 0):
        raise ValueError("counts")
    r = (k1 + k2) / (n1 + n2)
    return None if r in (0, 1) else (k1 / n1 - k2 / n2, r)


def two_tails(gap, variance):
    return math.erfc(abs(gap) / math.sqrt(2 * variance))


def p_one_tail(k1, n1, k2, n2):
    found = pooled(k1, n1, k2, n2)
    return two_tails(found[0], found[1] * (1 - found[1]) * (1 / n1 + 1 / n2)) / 2 if found else 1.0


def p_signed(k1, n1, k2, n2):
    """Right where the first rate is the higher one."""
    found = pooled(k1, n1, k2, n2)
    return 2 * float(norm.sf(found[0] / math.sqrt(found[1] * (1 - found[1]) * (1 / n1 + 1 / n2)))) if found else 1.0


def p_unpooled(k1, n1, k2, n2):
    found = pooled(k1, n1, k2, n2)
    a, b = k1 / n1, k2 / n2
    return two_tails(found[0], a * (1 - a) / n1 + b * (1 - b) / n2) if found else 1.0


def p_mean_rate(k1, n1, k2, n2):
    """Right where n1 = n2."""
    found = pooled(k1, n1, k2, n2)
    r = (k1 / n1 + k2 / n2) / 2
    return two_tails(found[0], r * (1 - r) * (1 / n1 + 1 / n2)) if found else 1.0


def p_sum_of_n(k1, n1, k2, n2):
    found = pooled(k1, n1, k2, n2)
    return two_tails(found[0], found[1] * (1 - found[1]) / (n1 + n2)) if found else 1.0


def p_no_root(k1, n1, k2, n2):
    found = pooled(k1, n1, k2, n2)
    return math.erfc(abs(found[0]) / (found[1] * (1 - found[1]) * (1 / n1 + 1 / n2)) / math.sqrt(2)) if found else 1.0


def p_no_sqrt2(k1, n1, k2, n2):
    found = pooled(k1, n1, k2, n2)
    return math.erfc(abs(found[0]) / math.sqrt(found[1] * (1 - found[1]) * (1 / n1 + 1 / n2))) if found else 1.0


def p_z(k1, n1, k2, n2):
    found = pooled(k1, n1, k2, n2)
    return found[0] / math.sqrt(found[1] * (1 - found[1]) * (1 / n1 + 1 / n2)) if found else 0.0


def p_below(k1, n1, k2, n2):
    found = pooled(k1, n1, k2, n2)
    return 1 - two_tails(found[0], found[1] * (1 - found[1]) * (1 / n1 + 1 / n2)) if found else 1.0


def p_loses_digits(k1, n1, k2, n2):
    """1 - Φ(z) is 0 far out."""
    found = pooled(k1, n1, k2, n2)
    return (
        2 * (1 - float(norm.cdf(abs(found[0]) / math.sqrt(found[1] * (1 - found[1]) * (1 / n1 + 1 / n2)))))
        if found
        else 1.0
    )


def p_divides_by_zero(k1, n1, k2, n2):
    """Nothing happened, or everything did: 0 / 0."""
    if not (0 <= k1 <= n1 and 0 <= k2 <= n2 and n1 > 0 and n2 > 0):
        raise ValueError("counts")
    r = (k1 + k2) / (n1 + n2)
    return two_tails(k1 / n1 - k2 / n2, r * (1 - r) * (1 / n1 + 1 / n2))


def p_zero_for_zero(k1, n1, k2, n2):
    """Says that it is certain where there is nothing to see."""
    found = pooled(k1, n1, k2, n2)
    return two_tails(found[0], found[1] * (1 - found[1]) * (1 / n1 + 1 / n2)) if found else 0.0


def p_no_error(k1, n1, k2, n2):
    r = (k1 + k2) / max(n1 + n2, 1)
    if r <= 0 or r >= 1 or n1 <= 0:
        return 1.0
    return two_tails(k1 / n1 - k2 / n2, r * (1 - r) * (1 / n1 + 1 / n2))


def p_corrected(k1, n1, k2, n2):
    """With Yates' continuity correction."""
    found = pooled(k1, n1, k2, n2)
    if not found:
        return 1.0
    gap = max(abs(found[0]) - (1 / n1 + 1 / n2) / 2, 0.0)
    return two_tails(gap, found[1] * (1 - found[1]) * (1 / n1 + 1 / n2))


MUTANTS = {
    "token_mask": [mask_lower, mask_stripped, mask_raw_vocabulary, mask_vocabulary_order, mask_no_special, mask_ids,
                   mask_numbers, mask_is_true, mask_float, mask_list, mask_inverted, mask_only_tokenizers, mask_only_words,
                   mask_whole_text],
    "target_distribution": [target_ones, target_by_vocabulary, target_softmax, target_log, target_others, target_chosen_only,
                            target_no_error, target_uniform_if_empty, target_clamped, target_takes_ids, target_smoothed,
                            target_double, target_asserts],
    "kl_divergence": [kl_reversed, kl_cross_entropy, kl_negative, kl_naive, kl_logs_apart, kl_nan_to_num, kl_epsilon, kl_clamped,
                      kl_mean, kl_total, kl_mean_of_rows, kl_over_rows, kl_bits, kl_torch_swapped, kl_symmetric,
                      kl_only_where_both],
    "KLTargetLoss": [LossProbabilities, LossLogits, LossSwapped, LossReverse, LossMean, LossSum, LossCrossEntropy, LossRows,
                     LossLogOfSoftmax, LossEpsilon, LossOneRow, LossDetached, LossLogTarget, LossNoCheck, LossOnlySum,
                     LossNormalises, LossStretches, LossAnyShape],
    "target_mass": [mass_mean, mass_of_logits, mass_renormalised, mass_odds, mass_argmax, mass_rows, mass_twice, mass_overflows,
                    mass_average, mass_others, mass_first_axis, mass_stretches, mass_no_error, mass_number],
    "tilt": [tilt_not_normalised, tilt_softmax, tilt_others, tilt_total, tilt_rows, tilt_no_keepdim, tilt_equal,
             tilt_probability, tilt_capped, tilt_adds, tilt_in_logs, tilt_square, tilt_half, tilt_any_odds, tilt_any_mask,
             tilt_in_place],
    "two_proportion_p": [p_one_tail, p_signed, p_unpooled, p_mean_rate, p_sum_of_n, p_no_root, p_no_sqrt2, p_z, p_below,
                         p_loses_digits, p_divides_by_zero, p_zero_for_zero, p_no_error, p_corrected],
}  # fmt: skip
