"""Wrong answers to the exercises of lesson 21: mistakes that people make. Every checker must reject
every one.
"""

import itertools
import math

import torch
import torch.nn.functional as F
from answers import WrongAnswers

from course_utils.compression.shrinking import (
    allocate_bits,
    check_weights,
    packed_bytes,
    quantize_groups,
)

wrong = WrongAnswers()


# --- distillation_loss ----------------------------------------------------------------------------


def distill_guard(s, t, T):
    if s.shape != t.shape or T <= 0:
        raise ValueError("shapes or temperature")


def distill(s, t, T, power=2.0):
    distill_guard(s, t, T)
    rows = s[..., 0].numel()
    return (
        T**power
        * F.kl_div((s / T).log_softmax(-1), (t.detach() / T).softmax(-1), reduction="sum")
        / rows
    )


@wrong("distillation_loss", says="the factor T² is missing")
def distill_no_factor(s, t, temperature=1.0):
    """T² forgotten: right at temperature 1."""
    return distill(s, t, temperature, power=0)


@wrong("distillation_loss", says="the factor is T², not T")
def distill_factor_once(s, t, temperature=1.0):
    return distill(s, t, temperature, power=1)


@wrong(
    "distillation_loss",
    says="the direction is turned round: the teacher's probabilities are the weights",
)
def distill_turned(s, t, temperature=1.0):
    """KL(student‖teacher)."""
    distill_guard(s, t, temperature)
    p = (s / temperature).softmax(-1)
    q = (t.detach() / temperature).log_softmax(-1)
    return temperature**2 * (p * (p.log() - q)).sum(-1).mean()


@wrong("distillation_loss", says="the student's logits are divided by the temperature, too")
def distill_hot_teacher_only(s, t, temperature=1.0):
    distill_guard(s, t, temperature)
    q = (t.detach() / temperature).softmax(-1)
    return temperature**2 * F.kl_div(s.log_softmax(-1), q, reduction="sum") / s[..., 0].numel()


@wrong("distillation_loss", says="the teacher's logits are divided by the temperature, too")
def distill_hot_student_only(s, t, temperature=1.0):
    distill_guard(s, t, temperature)
    q = t.detach().softmax(-1)
    return (
        temperature**2
        * F.kl_div((s / temperature).log_softmax(-1), q, reduction="sum")
        / s[..., 0].numel()
    )


@wrong(
    "distillation_loss", says="average over the rows only: the sum over the V tokens stays a sum"
)
def distill_mean_over_tokens(s, t, temperature=1.0):
    """reduction="mean": V times too small."""
    return distill(s, t, temperature) / s.size(-1)


@wrong(
    "distillation_loss",
    says="every row counts, in all dimensions but the last: reduction='batchmean' divides by the first one only",
)
def distill_batchmean(s, t, temperature=1.0):
    """reduction="batchmean" on (B, T, V): right for (N, V) only."""
    distill_guard(s, t, temperature)
    log_p = (s / temperature).log_softmax(-1)
    q = (t.detach() / temperature).softmax(-1)
    return temperature**2 * F.kl_div(log_p, q, reduction="batchmean")


@wrong("distillation_loss", says="take the mean over the rows, not the sum")
def distill_sum(s, t, temperature=1.0):
    return distill(s, t, temperature) * s[..., 0].numel()


@wrong(
    "distillation_loss",
    says="the teacher's own entropy is missing: that is the cross-entropy, not the divergence",
)
def distill_cross_entropy(s, t, temperature=1.0):
    """The same gradients, but not 0 where both agree."""
    distill_guard(s, t, temperature)
    log_p = (s / temperature).log_softmax(-1)
    q = (t.detach() / temperature).softmax(-1)
    return -(temperature**2) * (q * log_p).sum(-1).mean()


@wrong("distillation_loss", says="these are hard labels: keep all of the teacher's probabilities")
def distill_hard(s, t, temperature=1.0):
    """The teacher's best token as a label."""
    distill_guard(s, t, temperature)
    return F.cross_entropy(s.flatten(0, -2), t.flatten(0, -2).argmax(-1))


@wrong(
    "distillation_loss",
    says=": where the teacher's probability is 0, the term is 0. F.kl_div knows that.",
)
def distill_two_logs(s, t, temperature=1.0):
    """log of softmax: nan or infinite where a probability is 0."""
    distill_guard(s, t, temperature)
    p = (s / temperature).softmax(-1)
    q = (t.detach() / temperature).softmax(-1)
    return temperature**2 * (q * (q.log() - p.log())).sum(-1).mean()


@wrong(
    "distillation_loss",
    says="distillation_loss sends a gradient into the teacher, who is not to learn: use teacher_logits.detach().",
)
def distill_learning_teacher(s, t, temperature=1.0):
    """The teacher gets a gradient."""
    distill_guard(s, t, temperature)
    log_p = (s / temperature).log_softmax(-1)
    q = (t / temperature).softmax(-1)
    return temperature**2 * F.kl_div(log_p, q, reduction="sum") / s[..., 0].numel()


@wrong(
    "distillation_loss",
    says="lets no gradient flow back, so nothing could be trained through this",
)
def distill_frozen_student(s, t, temperature=1.0):
    return distill(s.detach(), t, temperature)


@wrong("distillation_loss", says="must raise ValueError")
def distill_no_errors(s, t, temperature=1.0):
    log_p = (s / temperature).log_softmax(-1)
    q = (t.detach() / temperature).softmax(-1)
    return temperature**2 * F.kl_div(log_p, q.expand_as(log_p), reduction="sum") / s[..., 0].numel()


@wrong("distillation_loss", says="divide by the temperature; you multiplied")
def distill_multiplied(s, t, temperature=1.0):
    return distill(s * temperature**2, t * temperature**2, temperature)


@wrong("distillation_loss", says="the factor is T²; you divided by it")
def distill_divided(s, t, temperature=1.0):
    """1/T² instead of T²."""
    return distill(s, t, temperature, power=-2)


@wrong("distillation_loss", says="compare probabilities, not logits")
def distill_squares(s, t, temperature=1.0):
    """The squared difference of the logits."""
    distill_guard(s, t, temperature)
    return F.mse_loss(s, t.detach())


@wrong(
    "distillation_loss",
    says="a probability has become 0 there. Take log_softmax, not softmax and log",
)
def distill_log_of_softmax(s, t, temperature=1.0):
    """The logarithm of a softmax: -inf where a probability is too small for a float."""
    distill_guard(s, t, temperature)
    log_p = (s / temperature).softmax(-1).log()
    q = (t.detach() / temperature).softmax(-1)
    return temperature**2 * F.kl_div(log_p, q, reduction="sum") / s[..., 0].numel()


# --- magnitude_mask -------------------------------------------------------------------------------


def mask_of(order, n, w):
    mask = torch.ones(w.numel(), dtype=torch.bool)
    mask[order[:n]] = False
    return mask.view(w.shape)


def share(sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError(sparsity)
    return sparsity


@wrong("magnitude_mask", says="compare sizes, not signed values: use .abs()")
def mask_signed(w, sparsity):
    """No abs: all negative weights count as small."""
    return mask_of(w.flatten().argsort(stable=True), round(share(sparsity) * w.numel()), w)


@wrong("magnitude_mask", says="the mask is turned round: True stands for what is kept")
def mask_turned(w, sparsity):
    """True for what goes."""
    return ~mask_of(w.abs().flatten().argsort(stable=True), round(share(sparsity) * w.numel()), w)


@wrong("magnitude_mask", says="you removed the largest weights; the smallest must go")
def mask_largest_go(w, sparsity):
    return mask_of(
        w.abs().flatten().argsort(stable=True, descending=True),
        round(share(sparsity) * w.numel()),
        w,
    )


@wrong("magnitude_mask", says="sparsity is the share that goes, not the share that stays")
def mask_share_kept(w, sparsity):
    """Sparsity as the share that stays: right for 1/2."""
    return mask_of(
        w.abs().flatten().argsort(stable=True), round((1 - share(sparsity)) * w.numel()), w
    )


@wrong("magnitude_mask", says="sparsity is a share of the weights, not of the largest value")
def mask_of_the_maximum(w, sparsity):
    """A share of the largest value as threshold."""
    return w.abs() > share(sparsity) * w.abs().max()


@wrong("magnitude_mask", says=". A threshold cannot tell equal weights apart: sort, and count.")
def mask_by_threshold(w, sparsity):
    """kthvalue as threshold: wrong where weights are equal."""
    n = round(share(sparsity) * w.numel())
    return (
        w.abs() > w.abs().flatten().kthvalue(n).values
        if n
        else torch.ones_like(w, dtype=torch.bool)
    )


@wrong("magnitude_mask", says=". A threshold cannot tell equal weights apart: sort, and count.")
def mask_by_quantile(w, sparsity):
    """quantile with >=: keeps all of equal weights."""
    return w.abs() >= w.abs().quantile(share(sparsity))


@wrong(
    "magnitude_mask", says="you removed a share of each row; the smallest of all weights must go"
)
def mask_each_row(w, sparsity):
    """Each row loses its share: no row can lose all."""
    rows = w.abs().reshape(-1, w.shape[-1])
    n = round(share(sparsity) * rows.size(1))
    mask = torch.ones_like(rows, dtype=torch.bool)
    return mask.scatter(1, rows.argsort(dim=1, stable=True)[:, :n], False).view(w.shape)


@wrong("magnitude_mask", says="return the mask, not the weights")
def mask_weights(w, sparsity):
    """The pruned weights instead of the mask."""
    return w * mask_of(
        w.abs().flatten().argsort(stable=True), round(share(sparsity) * w.numel()), w
    )


@wrong("magnitude_mask", says="return a mask of bools")
def mask_floats(w, sparsity):
    return mask_of(
        w.abs().flatten().argsort(stable=True), round(share(sparsity) * w.numel()), w
    ).float()


@wrong("magnitude_mask", says="the mask needs the shape of w")
def mask_flat(w, sparsity):
    return mask_of(
        w.abs().flatten().argsort(stable=True), round(share(sparsity) * w.numel()), w
    ).flatten()


@wrong(
    "magnitude_mask",
    says="argsort gives the positions of the smallest weights, not the rank of each weight",
)
def mask_ranks_for_order(w, sparsity):
    """Positions taken for ranks: argsort compared with n."""
    order = w.abs().flatten().argsort(stable=True)
    return (order >= round(share(sparsity) * w.numel())).view(w.shape)


@wrong("magnitude_mask", says="must raise ValueError")
def mask_no_errors(w, sparsity):
    n = max(0, min(w.numel(), round(sparsity * w.numel())))
    return mask_of(w.abs().flatten().argsort(stable=True), n, w)


# --- quantize_absmax ------------------------------------------------------------------------------


def absmax(
    w,
    bits,
    dim,
    top=lambda w, over, keep: w.abs().amax(over, keepdim=keep),
    n=None,
    away=torch.round,
):
    over = check_weights(w, bits, dim)
    n = 2 ** (bits - 1) - 1 if n is None else n
    scale = (top(w, over, dim is not None) / n).clamp(min=torch.finfo(w.dtype).tiny)
    ints = away(w / scale).clamp(-n, n)
    return ints.to(torch.int8 if bits <= 8 else torch.int16), scale


@wrong("quantize_absmax", says="round to the nearest: you rounded down")
def absmax_floor(w, bits=8, dim=None):
    return absmax(w, bits, dim, away=torch.floor)


@wrong("quantize_absmax", says="round to the nearest: you cut the decimals off")
def absmax_trunc(w, bits=8, dim=None):
    """.to(int8) without round: cuts towards 0."""
    return absmax(w, bits, dim, away=torch.trunc)


@wrong("quantize_absmax", says="the largest *size* makes the scale: use .abs() before the maximum")
def absmax_signed(w, bits=8, dim=None):
    """max without abs: right where the largest weight is positive."""
    return absmax(w, bits, dim, top=lambda w, over, keep: w.amax(over, keepdim=keep))


@wrong("quantize_absmax", says="n is 2^(bits - 1) - 1: one bit is for the sign")
def absmax_all_bits(w, bits=8, dim=None):
    """2^bits - 1: the sign has no bit."""
    return absmax(w, bits, dim, n=2**bits - 1)


@wrong("quantize_absmax", says="n is 2^(bits - 1) - 1; you used 2^(bits - 1)")
def absmax_one_too_many(w, bits=8, dim=None):
    """n = 2^(bits - 1): +128 does not fit into int8."""
    return absmax(w, bits, dim, n=2 ** (bits - 1))


@wrong("quantize_absmax", says="with the bits that are asked for; yours is 127 for all")
def absmax_always_8(w, bits=8, dim=None):
    """127, whatever the bits."""
    return absmax(w, bits, dim, n=127)


@wrong(
    "quantize_absmax", says="each slice along `dim` needs a scale of its own; you made one for all"
)
def absmax_one_scale(w, bits=8, dim=None):
    """dim ignored."""
    check_weights(w, bits, dim)
    return absmax(w, bits, None)


@wrong("quantize_absmax", says="return (ints, scale), in this order")
def absmax_scale_first(w, bits=8, dim=None):
    """The two in the other order."""
    return absmax(w, bits, dim)[::-1]


@wrong("quantize_absmax", says="must return two tensors, (ints, scale); it returned a Tensor")
def absmax_without_scale(w, bits=8, dim=None):
    """The whole numbers alone, which nobody can turn back."""
    return absmax(w, bits, dim)[0]


@wrong(
    "quantize_absmax",
    says="`dim` says which slices have a scale of their own: take the maximum over all *other* dimensions",
)
def absmax_over_dim(w, bits=8, dim=None):
    """The maximum along dim instead of over all others."""
    if dim is None:
        return absmax(w, bits, dim)
    return absmax(w, bits, dim, top=lambda w, over, keep: w.abs().amax(dim, keepdim=True))


@wrong(
    "quantize_absmax",
    says="the largest sizes lost their dimension before you divided by them: use keepdim=True",
)
def absmax_keepdim_lost(w, bits=8, dim=None):
    """No keepdim: an error, or on square weights another output's scale."""
    return absmax(w, bits, dim, top=lambda w, over, keep: w.abs().amax(over))


@wrong(
    "quantize_absmax",
    says="the scale lost its dimensions: use keepdim=True, so that ints * scale gives the weights back",
)
def absmax_squeezed(w, bits=8, dim=None):
    """Right numbers, but ints * scale fails."""
    ints, scale = absmax(w, bits, dim)
    return ints, scale.squeeze()


@wrong(
    "quantize_absmax",
    says="return the scale by which the whole numbers are multiplied, not divided",
)
def absmax_inverse(w, bits=8, dim=None):
    """n / largest: what w was multiplied by."""
    ints, scale = absmax(w, bits, dim)
    return ints, 1 / scale


@wrong("quantize_absmax", says="return whole numbers, as int8 (int16 above 8 bits)")
def absmax_floats(w, bits=8, dim=None):
    ints, scale = absmax(w, bits, dim)
    return ints.float(), scale


@wrong("quantize_absmax", says="return the whole numbers, not the weights after rounding")
def absmax_back_again(w, bits=8, dim=None):
    ints, scale = absmax(w, bits, dim)
    return ints * scale, scale


@wrong("quantize_absmax", says="above 8 bits the numbers do not fit into int8: return int16")
def absmax_int8_always(w, bits=8, dim=None):
    """12 bits squeezed into int8."""
    ints, scale = absmax(w, bits, dim)
    return ints.to(torch.int8), scale


@wrong(
    "quantize_absmax",
    says="quantize_absmax of weights with a row of zeros: that row must stay 0. Its scale would be 0, and 0 / 0 is no number: keep the scale above 0.",
)
def absmax_zero_division(w, bits=8, dim=None):
    """0 / 0 where a row is 0."""
    over = check_weights(w, bits, dim)
    n = 2 ** (bits - 1) - 1
    scale = w.abs().amax(over, keepdim=dim is not None) / n
    return (w / scale).round().to(torch.int8 if bits <= 8 else torch.int16), scale


@wrong("quantize_absmax", says="you added a number to each scale to keep it above 0")
def absmax_epsilon(w, bits=8, dim=None):
    """A scale that is too large for small weights: + 1e-3 instead of a least value."""
    ints, scale = absmax(
        w, bits, dim, top=lambda w, over, keep: w.abs().amax(over, keepdim=keep) + 1e-2
    )
    return ints, scale


@wrong("quantize_absmax", says="you took the largest less the smallest weight")
def absmax_range(w, bits=8, dim=None):
    """(largest - least) / (2^bits - 1): the scale of the zero-point way."""
    n = 2 ** (bits - 1) - 1
    return absmax(
        w,
        bits,
        dim,
        top=lambda w, over, keep: (
            (w.amax(over, keepdim=keep) - w.amin(over, keepdim=keep)) * n / (2**bits - 1)
        ),
    )


@wrong("quantize_absmax", says="must raise ValueError")
def absmax_no_checks(w, bits=8, dim=None):
    n = max(1, 2 ** (bits - 1) - 1)
    kept = () if dim is None else (dim,) if isinstance(dim, int) else dim
    over = tuple(d for d in range(w.dim()) if d not in kept and d - w.dim() not in kept)
    scale = (w.abs().amax(over, keepdim=dim is not None) / n).clamp(min=1e-30)
    return (w / scale).round().clamp(-n, n).to(torch.int8 if bits <= 8 else torch.int16), scale


@wrong("distillation_loss", says="must raise ValueError")
def distill_only_last_sizes(s, t, temperature=1.0):
    """Compares the vocabularies only, and broadcasts the rest."""
    if s.size(-1) != t.size(-1) or temperature <= 0:
        raise ValueError("sizes")
    log_p = (s / temperature).log_softmax(-1)
    q = (t.detach() / temperature).softmax(-1)
    return temperature**2 * F.kl_div(log_p, q.expand_as(log_p), reduction="none").sum(-1).mean()


@wrong("distillation_loss", says=", 0.0) must raise ValueError")
def distill_zero_allowed(s, t, temperature=1.0):
    """Refuses only negative temperatures."""
    if s.shape != t.shape or temperature < 0:
        raise ValueError("shapes")
    log_p = (s / temperature).log_softmax(-1)
    q = (t.detach() / temperature).softmax(-1)
    return temperature**2 * F.kl_div(log_p, q, reduction="none").sum(-1).mean()


@wrong("magnitude_mask", says="round the number of weights that go; you rounded it down")
def mask_rounded_down(w, sparsity):
    """Cuts the number of weights off."""
    share(sparsity)
    return mask_of(w.abs().flatten().argsort(stable=True), int(sparsity * w.numel() + 1e-9), w)


@wrong("magnitude_mask", says="round the number of weights that go; you rounded it up")
def mask_rounded_up(w, sparsity):
    """Takes one more wherever it does not come out even."""
    share(sparsity)
    return mask_of(
        w.abs().flatten().argsort(stable=True), -int((-sparsity * w.numel() + 1e-9) // 1), w
    )


@wrong("magnitude_mask", says="only weights that are equally near to 0 go in their order")
def mask_first_on_any_tie(w, sparsity):
    """Where any two weights are equally near, the first of all go."""
    n = round(share(sparsity) * w.numel())
    near = w.abs().flatten()
    tied = near.unique().numel() < near.numel()
    return mask_of(torch.arange(w.numel()) if tied else near.argsort(stable=True), n, w)


@wrong("magnitude_mask", says="changed its argument in place")
def mask_in_place_sizes(w, sparsity):
    """Takes the sizes in place: the signs of the weights are lost."""
    share(sparsity)
    return mask_of(w.abs_().flatten().argsort(stable=True), round(sparsity * w.numel()), w)


@wrong("quantize_absmax", says="your least scale is too large")
def absmax_large_least_scale(w, bits=8, dim=None):
    """clamp(min=1e-3): small weights all become 0."""
    n = 2 ** (bits - 1) - 1
    return absmax(
        w,
        bits,
        dim,
        top=lambda w, over, keep: w.abs().amax(over, keepdim=keep).clamp(min=1e-3 * n),
    )


@wrong("quantize_absmax", says="changed its argument in place")
def absmax_in_place(w, bits=8, dim=None):
    """Divides the weights in place."""
    over = check_weights(w, bits, dim)
    n = 2 ** (bits - 1) - 1
    largest = w.abs().amax(over, keepdim=dim is not None)
    scale = (largest / n).clamp(min=torch.finfo(w.dtype).tiny)
    w /= scale
    return w.round().to(torch.int8 if bits <= 8 else torch.int16), scale


@wrong("distillation_loss", says="gives another gradient for `student_logits`")
def distill_fixed_sum(s, t, temperature=1.0):
    """The sum of the student's softmax is taken out of the graph."""
    distill_guard(s, t, temperature)
    log_p = s / temperature - (s / temperature).logsumexp(-1, keepdim=True).detach()
    q = (t.detach() / temperature).softmax(-1)
    return temperature**2 * F.kl_div(log_p, q, reduction="sum") / s[..., 0].numel()


@wrong(
    "distillation_loss",
    says="distillation_loss sends a gradient into the teacher, who is not to learn: use teacher_logits.detach().",
)
def distill_teaches_the_teacher(s, t, temperature=1.0):
    """The teacher gets a gradient, too."""
    distill_guard(s, t, temperature)
    log_p = (s / temperature).log_softmax(-1)
    return (
        temperature**2
        * F.kl_div(log_p, (t / temperature).softmax(-1), reduction="sum")
        / s[..., 0].numel()
    )


# --- quantize_groups ------------------------------------------------------------------------------


def grouped(w, bits, size, low=None, high=None, steps=None, away=torch.round):
    check_weights(w, bits, None)
    if size < 1 or w.numel() % size:
        raise ValueError("uneven")
    g = w.reshape(-1, size)
    least = g.amin(1, keepdim=True).clamp(max=0) if low is None else low(g)
    largest = g.amax(1, keepdim=True).clamp(min=0) if high is None else high(g)
    scale = ((largest - least) / (steps or 2**bits - 1)).clamp(min=torch.finfo(w.dtype).tiny)
    zero = (-least / scale).round()
    ints = (away(g / scale) + zero).clamp(0, 2**bits - 1)
    return ints.int().view(w.shape), scale, zero.int()


@wrong("quantize_groups", says="the range must hold 0.0")
def groups_not_widened(w, bits=4, size=32):
    """0.0 has no number where all weights are positive."""
    return grouped(
        w, bits, size, lambda g: g.amin(1, keepdim=True), lambda g: g.amax(1, keepdim=True)
    )


@wrong("quantize_groups", says="the range has 2^bits - 1 steps between 2^bits numbers")
def groups_one_step_more(w, bits=4, size=32):
    return grouped(w, bits, size, steps=2**bits)


@wrong("quantize_groups", says="all bits are free here, as no number is negative")
def groups_a_bit_for_the_sign(w, bits=4, size=32):
    return grouped(w, bits, size, steps=2 ** (bits - 1) - 1)


@wrong("quantize_groups", says="round to the nearest: you cut the decimals off")
def groups_trunc(w, bits=4, size=32):
    return grouped(w, bits, size, away=torch.trunc)


@wrong("quantize_groups", says="round to the nearest: you rounded down")
def groups_floor(w, bits=4, size=32):
    return grouped(w, bits, size, away=torch.floor)


@wrong("quantize_groups", says="you made one for all")
def groups_one_for_all(w, bits=4, size=32):
    grouped(w, bits, size)
    ints, scale, zero = grouped(w, bits, w.numel())
    return ints, scale.expand(w.numel() // size, 1), zero.expand(w.numel() // size, 1)


@wrong("quantize_groups", says="a group is `size` neighbours; you took weights that lie apart")
def groups_apart(w, bits=4, size=32):
    """Every n-th weight is a group."""
    grouped(w, bits, size)
    ints, scale, zero = grouped(w.reshape(size, -1).T.contiguous(), bits, size)
    return ints.T.reshape(w.shape), scale, zero


@wrong("quantize_groups", says="you took the range around 0")
def groups_absmax(w, bits=4, size=32):
    """As absmax does: as far below 0 as above."""
    return grouped(
        w,
        bits,
        size,
        lambda g: -g.abs().amax(1, keepdim=True),
        lambda g: g.abs().amax(1, keepdim=True),
    )


@wrong("quantize_groups", says="give ints the shape of w")
def groups_in_rows(w, bits=4, size=32):
    ints, scale, zero = grouped(w, bits, size)
    return ints.view(-1, size), scale, zero


@wrong("quantize_groups", says="scale and zero need the shape (n, 1), a row a group")
def groups_flat(w, bits=4, size=32):
    ints, scale, zero = grouped(w, bits, size)
    return ints, scale.flatten(), zero.flatten()


@wrong("quantize_groups", says="you gave the value of the least weight")
def groups_zero_as_a_weight(w, bits=4, size=32):
    ints, scale, zero = grouped(w, bits, size)
    return ints, scale, -zero * scale


@wrong("quantize_groups", says="the sign of zero: w is (ints - zero) · scale")
def groups_sign(w, bits=4, size=32):
    ints, scale, zero = grouped(w, bits, size)
    return ints, scale, -zero


@wrong("quantize_groups", says="ints begin at 0: add zero to them")
def groups_around_zero(w, bits=4, size=32):
    ints, scale, zero = grouped(w, bits, size)
    return (ints.view(-1, size) - zero).view(w.shape), scale, zero


@wrong("quantize_groups", says="return the scale by which the whole numbers are multiplied")
def groups_inverse(w, bits=4, size=32):
    ints, scale, zero = grouped(w, bits, size)
    return ints, 1 / scale, zero


@wrong("quantize_groups", says="return (ints, scale, zero), in this order")
def groups_order(w, bits=4, size=32):
    ints, scale, zero = grouped(w, bits, size)
    return ints, zero, scale


@wrong("quantize_groups", says="return whole numbers: .int()")
def groups_floats(w, bits=4, size=32):
    ints, scale, zero = grouped(w, bits, size)
    return ints.float(), scale, zero.float()


@wrong("quantize_groups", says="that group must stay 0")
def groups_zero_division(w, bits=4, size=32):
    check_weights(w, bits, None)
    if w.numel() % size:
        raise ValueError("uneven")
    g = w.reshape(-1, size)
    least = g.amin(1, keepdim=True).clamp(max=0)
    scale = (g.amax(1, keepdim=True).clamp(min=0) - least) / (2**bits - 1)
    zero = (-least / scale).round()
    return ((g / scale).round() + zero).clamp(0, 2**bits - 1).int().view(w.shape), scale, zero.int()


@wrong("quantize_groups", says="your least scale is too large")
def groups_large_least_scale(w, bits=4, size=32):
    """clamp(min=1e-4): small weights all become 0."""
    return grouped(
        w,
        bits,
        size,
        high=lambda g: torch.maximum(
            g.amax(1, keepdim=True).clamp(min=0),
            g.amin(1, keepdim=True).clamp(max=0) + 1e-4 * (2**bits - 1),
        ),
    )


@wrong("quantize_groups", says="must raise ValueError")
def groups_uneven_allowed(w, bits=4, size=32):
    """Takes one group where `size` does not fit."""
    check_weights(w, bits, None)
    return quantize_groups(w, bits, size if w.numel() % size == 0 else w.numel())


# --- packed_bytes ---------------------------------------------------------------------------------


def refused(n, bits, groups):
    packed_bytes(n, bits, groups)


@wrong("packed_bytes", says="the scales are missing")
def bytes_no_scales(n, bits, groups, zero_point=False):
    refused(n, bits, groups)
    return math.ceil(n * bits / 8) + (math.ceil(groups * bits / 8) if zero_point else 0)


@wrong("packed_bytes", says="a scale has 32 bits, that is 4 bytes")
def bytes_scales_in_bits(n, bits, groups, zero_point=False):
    return packed_bytes(n, bits, groups, zero_point) + 28 * groups


@wrong("packed_bytes", says="the zero points are missing")
def bytes_no_zeros(n, bits, groups, zero_point=False):
    return packed_bytes(n, bits, groups)


@wrong("packed_bytes", says="there are zero points only where zero_point says so")
def bytes_always_zeros(n, bits, groups, zero_point=False):
    return packed_bytes(n, bits, groups, True)


@wrong("packed_bytes", says="a zero point has as many bits as a weight; yours has 32")
def bytes_wide_zeros(n, bits, groups, zero_point=False):
    return packed_bytes(n, bits, groups) + (4 * groups if zero_point else 0)


@wrong(
    "packed_bytes", says="each block is filled up to whole bytes by itself; you filled up the sum"
)
def bytes_of_the_sum(n, bits, groups, zero_point=False):
    refused(n, bits, groups)
    return math.ceil((n * bits + 32 * groups + (groups * bits if zero_point else 0)) / 8)


@wrong("packed_bytes", says="a block is filled up to whole bytes; you rounded down")
def bytes_down(n, bits, groups, zero_point=False):
    refused(n, bits, groups)
    return n * bits // 8 + 4 * groups + (groups * bits // 8 if zero_point else 0)


@wrong("packed_bytes", says="a byte is whole: fill each block up")
def bytes_broken(n, bits, groups, zero_point=False):
    refused(n, bits, groups)
    return n * bits / 8 + 4 * groups + (groups * bits / 8 if zero_point else 0)


@wrong("packed_bytes", says="these are bits; 8 of them are a byte")
def bytes_in_bits(n, bits, groups, zero_point=False):
    refused(n, bits, groups)
    return n * bits + 32 * groups + (groups * bits if zero_point else 0)


@wrong("packed_bytes", says="several weights share a byte")
def bytes_one_each(n, bits, groups, zero_point=False):
    refused(n, bits, groups)
    one = math.ceil(bits / 8)
    return n * one + 4 * groups + (groups * one if zero_point else 0)


@wrong("packed_bytes", says="must raise ValueError")
def bytes_no_errors(n, bits, groups, zero_point=False):
    return (
        math.ceil(n * bits / 8) + 4 * groups + (math.ceil(groups * bits / 8) if zero_point else 0)
    )


# --- allocate_bits --------------------------------------------------------------------------------


def too_small(sizes, budget):
    if sum(min(by_bits.values()) for by_bits in sizes.values()) > budget:
        raise ValueError("too small")


def fits(sizes, plan, budget):
    return sum(sizes[name][bits] for name, bits in plan.items()) <= budget


@wrong("allocate_bits", says="Gain at least half of that")
def bits_equal(sizes, loss, budget):
    """The same for all."""
    too_small(sizes, budget)
    levels = sorted(next(iter(sizes.values())))
    plans = [dict.fromkeys(sizes, bits) for bits in levels]
    return [plan for plan in plans if fits(sizes, plan, budget)][-1]


@wrong("allocate_bits", says="Gain at least half of that")
def bits_to_the_largest(sizes, loss, budget):
    """More bits to whatever takes the most bytes, whether it hurts or not."""
    too_small(sizes, budget)
    plan = {name: min(by_bits) for name, by_bits in sizes.items()}
    for name in sorted(sizes, key=lambda name: -sizes[name][2]):
        if fits(sizes, plan | {name: 4}, budget):
            plan[name] = 4
    return plan


@wrong("allocate_bits", says="Gain at least half of that")
def bits_to_the_least_hurt(sizes, loss, budget):
    """The wrong end of the order."""
    too_small(sizes, budget)
    least = {name: min(by_bits) for name, by_bits in sizes.items()}
    plan = dict(least)
    for name in sorted(sizes, key=lambda name: -loss(least | {name: 4})):
        if fits(sizes, plan | {name: 4}, budget):
            plan[name] = 4
    return plan


@wrong("allocate_bits", says="your plan takes")
def bits_too_many(sizes, loss, budget):
    """The step that no longer fits stays in."""
    plan = allocate_bits(sizes, loss, budget)
    name = next(name for name in plan if plan[name] < 4)
    return plan | {name: 4}


@wrong("allocate_bits", says="asked for more than 200 losses")
def bits_by_trying_all(sizes, loss, budget):
    too_small(sizes, budget)
    plans = (dict(zip(sizes, b, strict=True)) for b in itertools.product(*sizes.values()))
    return min((plan for plan in plans if fits(sizes, plan, budget)), key=loss)


@wrong("allocate_bits", says="asked for more than 200 losses. Each is slow.")
def bits_by_trying_until_stopped(sizes, loss, budget):
    too_small(sizes, budget)
    best = {name: 2 for name in sizes}
    least = math.inf
    for b in itertools.product(*sizes.values()):
        plan = dict(zip(sizes, b, strict=True))
        try:
            found = loss(plan) if fits(sizes, plan, budget) else math.inf
        except Exception:
            return best
        if found < least:
            best = plan
            least = found
    return best


@wrong("allocate_bits", says="with all eight names")
def bits_of_some(sizes, loss, budget):
    """Only those that have more than the fewest."""
    plan = allocate_bits(sizes, loss, budget)
    return {name: bits for name, bits in plan.items() if bits > min(sizes[name])}


@wrong("allocate_bits", says="bits must be among")
def bits_between(sizes, loss, budget):
    """Bits that nobody offers."""
    too_small(sizes, budget)
    return dict.fromkeys(sizes, 2.5)


@wrong("allocate_bits", says="must raise ValueError")
def bits_no_error(sizes, loss, budget):
    budget = max(budget, sum(min(by_bits.values()) for by_bits in sizes.values()))
    return allocate_bits(sizes, loss, budget)
