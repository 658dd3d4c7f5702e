"""Wrong answers to the exercises of lesson 02: mistakes that people make. Every checker must reject
every one.
"""

import math

import numpy as np
import torch
import torch.nn.functional as F
from answers import DIFFERS, RAISED, WrongAnswers

from course_utils.attention import heads as attention

wrong = WrongAnswers()


INF = float("inf")


def stable(x, dim=-1):
    return x.softmax(dim)


def tril(T, S=None):
    return torch.ones(T, S or T, dtype=torch.bool).tril()


# --- softmax --------------------------------------------------------------------------------------


@wrong(
    "softmax",
    says=": there is nan or inf in the result. exp() of a score above 88 is inf in float32, and 0 / 0 is nan. Subtract the largest score of each row before exp(): the result stays the same",
)
def softmax_overflows(x, dim=-1, temperature=1.0):
    """exp() of the raw scores: right until a score passes 88."""
    e = torch.exp(x / temperature)
    return e / e.sum(dim, keepdim=True)


@wrong(
    "softmax",
    says=": there is nan or inf in the result. exp() of a score above 88 is inf in float32, and 0 / 0 is nan. Subtract the largest score of each row before exp(): the result stays the same",
)
def softmax_global_max(x, dim=-1, temperature=1.0):
    """Subtracts the largest of all scores: a row far below the largest becomes 0 / 0."""
    e = torch.exp((x - x.max()) / temperature)
    return e / e.sum(dim, keepdim=True)


@wrong("softmax", says="the exponentials became 0, which is no softmax any more")
def softmax_global_max_with_eps(x, dim=-1, temperature=1.0):
    """The same with an epsilon, which turns nan into rows of zeros."""
    e = torch.exp((x - x.max()) / temperature)
    return e / (e.sum(dim, keepdim=True) + 1e-12)


@wrong(
    "softmax",
    says=": there is nan or inf in the result. exp() of a score above 88 is inf in float32, and 0 / 0 is nan. Subtract the largest score of each row before exp(): the result stays the same",
)
def softmax_subtracts_mean(x, dim=-1, temperature=1.0):
    """The mean in place of the largest: still overflows where scores are far apart."""
    e = torch.exp((x - x.mean(dim, keepdim=True)) / temperature)
    return e / e.sum(dim, keepdim=True)


@wrong(
    "softmax",
    says=": there is nan or inf in the result. exp() of a score above 88 is inf in float32, and 0 / 0 is nan. Subtract the largest score of each row before exp(): the result stays the same",
)
def softmax_subtracts_min(x, dim=-1, temperature=1.0):
    """The least in place of the largest."""
    e = torch.exp((x - x.amin(dim, keepdim=True)) / temperature)
    return e / e.sum(dim, keepdim=True)


@wrong(
    "softmax",
    says=": there is nan or inf in the result. exp() of a score above 88 is inf in float32, and 0 / 0 is nan. Subtract the largest score of each row before exp(): the result stays the same",
)
def softmax_subtracts_absolute_max(x, dim=-1, temperature=1.0):
    """The largest absolute value: rows of large negative scores become 0 / 0."""
    e = torch.exp((x - x.abs().amax(dim, keepdim=True)) / temperature)
    return e / e.sum(dim, keepdim=True)


@wrong(
    "softmax", says="you cut the scores off at a fixed value, which makes different scores equal"
)
def softmax_clamps(x, dim=-1, temperature=1.0):
    """Cuts large scores off, so different scores become equal."""
    e = torch.exp((x / temperature).clamp(-80, 80))
    return e / e.sum(dim, keepdim=True)


@wrong("softmax", says="an overflow became 0. Subtract the largest score of each row before exp()")
def softmax_nan_to_num(x, dim=-1, temperature=1.0):
    """Sweeps the nan of an overflow under the carpet."""
    e = torch.exp(x / temperature)
    return (e / e.sum(dim, keepdim=True)).nan_to_num(0.0)


@wrong("softmax", says="you multiplied by the temperature; divide the scores by it")
def softmax_multiplies_temperature(x, dim=-1, temperature=1.0):
    """Multiplied by the temperature instead of divided."""
    return stable(x * temperature, dim)


@wrong("softmax", says="you ignored the temperature")
def softmax_ignores_temperature(x, dim=-1, temperature=1.0):
    """The temperature is not used."""
    return stable(x, dim)


@wrong("softmax", says="you divided the weights by the temperature; divide the scores")
def softmax_temperature_after(x, dim=-1, temperature=1.0):
    """Divides the weights, not the scores, by the temperature."""
    return stable(x, dim) / temperature


@wrong(
    "softmax",
    says="you divided the scores by the square root of the temperature; divide them by it",
)
def softmax_temperature_root(x, dim=-1, temperature=1.0):
    """Divides by the square root of the temperature, a confusion with sqrt(d)."""
    return stable(x / math.sqrt(temperature), dim)


@wrong("softmax", says="you rounded the temperature to a whole number")
def softmax_whole_temperature(x, dim=-1, temperature=1.0):
    """Takes the temperature as a whole number."""
    return stable(x / max(1, round(temperature)), dim)


@wrong("softmax", says="the sum lost its dimension, so other rows' sums are used: keepdim=True")
def softmax_without_keepdim(x, dim=-1, temperature=1.0):
    """The sum loses its dimension; on a square matrix nothing complains."""
    z = x / temperature
    e = torch.exp(z - z.amax(dim, keepdim=True))
    return e / e.sum(dim)


@wrong("softmax", says="you normalised over dim=")
def softmax_ignores_dim(x, dim=-1, temperature=1.0):
    """Always the last axis."""
    return stable(x / temperature, -1)


@wrong("softmax", says="you normalised over dim=")
def softmax_first_axis(x, dim=-1, temperature=1.0):
    """The default normalises over the rows."""
    return stable(x / temperature, 0 if dim == -1 else dim)


@wrong(
    "softmax",
    says="you divided by the sum of all numbers; each row along `dim` must sum to 1 by itself",
)
def softmax_over_everything(x, dim=-1, temperature=1.0):
    """One sum for the whole tensor."""
    return stable((x / temperature).flatten(), 0).reshape(x.shape)


@wrong("softmax", says="changed its argument in place")
def softmax_in_place(x, dim=-1, temperature=1.0):
    """Overwrites the scores that it was given."""
    x /= temperature
    x -= x.amax(dim, keepdim=True)
    return x.exp_() / x.exp().sum(dim, keepdim=True)


@wrong("softmax", says="changed its argument in place")
def softmax_in_place_but_right(x, dim=-1, temperature=1.0):
    """The right weights, at the price of the argument."""
    x.div_(temperature).sub_(x.amax(dim, keepdim=True)).exp_()
    return x.div_(x.sum(dim, keepdim=True))


@wrong("softmax", says="you always return float32; stay in the dtype of the input")
def softmax_float32_only(x, dim=-1, temperature=1.0):
    """Always returns float32."""
    return stable(x.float() / temperature, dim)


@wrong(
    "softmax",
    says=": half of the digits are lost, as if you had computed in float32. Stay in the dtype of the input",
)
def softmax_loses_precision(x, dim=-1, temperature=1.0):
    """Computes float64 in float32 and casts back."""
    return stable(x.float() / temperature, dim).to(x.dtype)


@wrong(
    "softmax",
    says=": no gradient flows back, so nothing could be trained through this. Stay with tensors: no .detach(), .item(), .tolist() or numpy on the way",
)
def softmax_by_numpy(x, dim=-1, temperature=1.0):
    """The right numbers from numpy, without a gradient."""
    z = x.detach().double().numpy() / temperature
    e = np.exp(z - z.max(axis=dim, keepdims=True))
    return torch.from_numpy(e / e.sum(axis=dim, keepdims=True)).to(x.dtype)


@wrong("softmax", says="you divided by the Euclidean norm of the exponentials; divide by their sum")
def softmax_normalises_by_norm(x, dim=-1, temperature=1.0):
    """Divides by the Euclidean norm of the exponentials."""
    z = x / temperature
    return F.normalize(torch.exp(z - z.amax(dim, keepdim=True)), dim=dim)


@wrong("softmax", says="the signs are turned round: the largest score must get the largest weight")
def softmax_minus(x, dim=-1, temperature=1.0):
    """The smallest score gets the most."""
    return stable(-x / temperature, dim)


@wrong("softmax", says="you returned the logarithm of the softmax")
def softmax_log(x, dim=-1, temperature=1.0):
    """Returns the logarithms."""
    return (x / temperature).log_softmax(dim)


@wrong("softmax", says="you used powers of 2 instead of e")
def softmax_base_two(x, dim=-1, temperature=1.0):
    """Powers of 2."""
    return stable(x / temperature * math.log(2), dim)


@wrong("softmax", says="an overflow became 0. Subtract the largest score of each row before exp()")
def softmax_max_over_sum(x, dim=-1, temperature=1.0):
    """Subtracts the largest only above the line of the fraction."""
    z = x / temperature
    return torch.exp(z - z.amax(dim, keepdim=True)) / torch.exp(z).sum(dim, keepdim=True)


@wrong("softmax", says="that is a list; return a tensor")
def softmax_list(x, dim=-1, temperature=1.0):
    """Returns a list."""
    return stable(x / temperature, dim).tolist()


@wrong("softmax", says="you left out the exponential")
def softmax_without_exp(x, dim=-1, temperature=1.0):
    """Shares of the scores themselves."""
    z = x / temperature
    return z / z.sum(dim, keepdim=True)


@wrong("softmax", says="you did not divide by the sum of the exponentials. ")
def softmax_only_exp(x, dim=-1, temperature=1.0):
    """The exponentials are not normalised."""
    return torch.exp(x / temperature)


@wrong("softmax", says="you did not divide by the sum of the exponentials, after you subtracted")
def softmax_only_shifted_exp(x, dim=-1, temperature=1.0):
    """Safe, and not normalised."""
    z = x / temperature
    return torch.exp(z - z.amax(dim, keepdim=True))


@wrong("softmax", says="the sum lost its dimension: use keepdim=True")
def softmax_unsafe_without_keepdim(x, dim=-1, temperature=1.0):
    """As the formula stands, and the sum loses its dimension."""
    e = torch.exp(x / temperature)
    return e / e.sum(dim)


def checked(x, dim, temperature):
    attention.softmax(x, dim, temperature)  # raises what must be raised


@wrong("softmax", says="Divide by the temperature first, and subtract the largest of what you get")
def softmax_shift_without_temperature(x, dim=-1, temperature=1.0):
    """The largest that is subtracted is not divided by the temperature."""
    checked(x, dim, temperature)
    e = torch.exp(x / temperature - x.amax(dim, keepdim=True))
    return e / e.sum(dim, keepdim=True)


@wrong("softmax", says="what exp() made 0 stays 0 in a power")
def softmax_power_of_exp(x, dim=-1, temperature=1.0):
    """The temperature as a root, taken when small exponentials are 0 already."""
    checked(x, dim, temperature)
    e = torch.exp(x - x.amax(dim, keepdim=True)) ** (1 / temperature)
    return e / e.sum(dim, keepdim=True)


@wrong("softmax", says="must raise ValueError: the largest score of a row is nan or infinite")
def softmax_refuses_plus_inf_only(x, dim=-1, temperature=1.0):
    """A row of nothing but -inf becomes nan."""
    if (x == INF).any():
        raise ValueError
    checked(x.clamp(min=0), dim, temperature)
    return stable(x.to(torch.promote_types(x.dtype, torch.float32)) / temperature, dim).to(x.dtype)


@wrong("softmax", says="must raise ValueError: the largest score of a row is nan or infinite")
def softmax_refuses_by_the_largest_of_all(x, dim=-1, temperature=1.0):
    """Only the largest score of all is looked at."""
    if not torch.isfinite(x.max()):
        raise ValueError
    checked(x.clamp(min=0), dim, temperature)
    return stable(x.to(torch.promote_types(x.dtype, torch.float32)) / temperature, dim).to(x.dtype)


@wrong("softmax", says="must raise ValueError: the largest score of a row is nan or infinite")
def softmax_zeros_for_a_row_of_inf(x, dim=-1, temperature=1.0):
    """A row of nothing but -inf becomes zeros."""
    return softmax_refuses_plus_inf_only(x, dim, temperature).nan_to_num(0.0)


@wrong("softmax", says=RAISED)
def softmax_refuses_along_the_last_dimension(x, dim=-1, temperature=1.0):
    """Looks for the largest score along the last dimension, whatever dim is."""
    checked(x, -1, temperature)
    return attention.softmax(x, dim, temperature)


@wrong("softmax", says="must raise ValueError: the temperature must be above 0")
def softmax_takes_small_negative_temperatures(x, dim=-1, temperature=1.0):
    """A condition on the temperature that was a slip of the pen."""
    if temperature == 0 or temperature <= -1:
        raise ValueError
    checked(x, dim, abs(temperature))
    z = x.to(torch.promote_types(x.dtype, torch.float32)) / temperature
    return stable(z, dim).to(x.dtype)


@wrong("softmax", says="as if you had computed in bfloat16")
def softmax_in_half_precision(x, dim=-1, temperature=1.0):
    """Every step in the dtype of x, even in one of two digits."""
    checked(x, dim, temperature)
    z = x / temperature
    e = torch.exp(z - z.amax(dim, keepdim=True))
    return e / e.sum(dim, keepdim=True)


@wrong("softmax", says="as 10 / 1e-4 is too large for float16")
def softmax_divides_in_half_precision(x, dim=-1, temperature=1.0):
    """float32 comes too late: what was divided by the temperature is inf already."""
    checked(x, dim, temperature)
    z = x / temperature
    return stable(z.to(torch.promote_types(x.dtype, torch.float32)), dim).to(x.dtype)


@wrong("softmax", says="and it must get exactly 0")
def softmax_with_a_least_weight(x, dim=-1, temperature=1.0):
    """No weight is below 1e-9, so that a logarithm can be taken."""
    return attention.softmax(x, dim, temperature).clamp(min=1e-9)


@wrong("softmax", says="and it must get exactly 0")
def softmax_minus_1e4_for_inf(x, dim=-1, temperature=1.0):
    """-1e4 in the place of -inf."""
    checked(x, dim, temperature)
    return attention.softmax(x.clamp(min=-1e4), dim, temperature)


@wrong("softmax", says="the order of the parameters is x, dim, temperature")
def softmax_parameters_swapped(x, temperature=1.0, dim=-1):
    """Names and defaults are right, and their order is not."""
    return attention.softmax(x, dim, temperature)


@wrong("softmax", says="add no small number, such as 1e-6, that changes the result")
def softmax_with_eps(x, dim=-1, temperature=1.0):
    """A small number in the denominator."""
    checked(x, dim, temperature)
    z = x.to(torch.promote_types(x.dtype, torch.float32)) / temperature
    e = torch.exp(z - z.amax(dim, keepdim=True))
    return (e / (e.sum(dim, keepdim=True) + 1e-6)).to(x.dtype)


# --- causal_mask ----------------------------------------------------------------------------------


@wrong("causal_mask", says="the numbers are right but the type is not: masks are bool")
def mask_float(T):
    """Floats."""
    return torch.ones(T, T).tril()


@wrong("causal_mask", says="0 and 1 as integers select by index and break `~`: masks are bool")
def mask_int(T):
    """Integers: `~` of them is not a mask."""
    return torch.ones(T, T, dtype=torch.int).tril()


@wrong("causal_mask", says="bytes, uint8, are the old way to write masks: masks are bool")
def mask_uint8(T):
    """Bytes, the old way to write masks."""
    return torch.ones(T, T, dtype=torch.uint8).tril()


@wrong(
    "causal_mask", says="rows ask and columns are looked at; yours shows each position the future"
)
def mask_upper(T):
    """The past is hidden."""
    return torch.ones(T, T, dtype=torch.bool).triu()


@wrong("causal_mask", says="it is upside down: True means may look")
def mask_inverted(T):
    """True = hidden, the convention of nn.MultiheadAttention's attn_mask."""
    return torch.ones(T, T, dtype=torch.bool).triu(1)


@wrong("causal_mask", says="each position may look at itself, too: the diagonal is True")
def mask_without_diagonal(T):
    """A position may not look at itself."""
    return torch.ones(T, T, dtype=torch.bool).tril(-1)


@wrong("causal_mask", says="each position sees one step into the future")
def mask_one_ahead(T):
    """One step into the future."""
    return torch.ones(T, T, dtype=torch.bool).tril(1)


@wrong(
    "causal_mask", says="add a mask of 0 and -inf to scores if you like, but return True = may look"
)
def mask_additive(T):
    """0 and -inf."""
    return torch.zeros(T, T).masked_fill(~tril(T), -INF)


@wrong("causal_mask", says="nothing is hidden")
def mask_all(T):
    """Nothing is hidden."""
    return torch.ones(T, T, dtype=torch.bool)


@wrong(
    "causal_mask",
    says="each position sees itself alone; it may look at all positions before it, too",
)
def mask_eye(T):
    """Only itself."""
    return torch.eye(T, dtype=torch.bool)


@wrong("causal_mask", says="positions only; it may look at all before it")
def mask_band(T):
    """Only itself and two positions before: right up to T = 3."""
    return tril(T) & ~tril(T).tril(-3)


@wrong("causal_mask", says="positions; make one of the size that is asked for")
def mask_fixed(T):
    """A block size baked in: right up to T = 8."""
    return tril(8)[:T, :T]


@wrong("causal_mask", says="your mask has 4 dimensions; leave it (T, T)")
def mask_batched(T):
    """A dimension too many."""
    return tril(T)[None, None]


@wrong("causal_mask", says="your mask has 3 dimensions; leave it (T, T)")
def mask_one_dimension_more(T):
    """With a dimension for the batch."""
    return tril(T)[None]


@wrong("causal_mask", says="that is an array of numpy; return a tensor of torch")
def mask_numpy(T):
    """numpy."""
    return np.tril(np.ones((T, T), dtype=bool))


@wrong("causal_mask", says="that is a list; return a tensor")
def mask_list(T):
    """A list of lists."""
    return [[s <= t for s in range(T)] for t in range(T)]


@wrong("causal_mask", says="one row and one column are missing: range(T) has T numbers, from 0 on")
def mask_too_small(T):
    """One row and column short: range(1, T)."""
    return torch.tensor([[s <= t for s in range(1, T)] for t in range(1, T)], dtype=torch.bool)


@wrong("causal_mask", says="positions; make one of the size that is asked for")
def mask_buffer_of_64(T):
    """A buffer that was made once: right up to T = 64."""
    attention.causal_mask(T)
    return tril(64)[:T, :T].clone()


@wrong("causal_mask", says="positions only; it may look at all before it")
def mask_window_of_32(T):
    """A sliding window: right up to T = 32."""
    return attention.causal_mask(T) & ~tril(T).tril(-32)


@wrong("causal_mask", says=DIFFERS)
def mask_of_bytes(T):
    """Places as bytes, which start again below 0 after 127."""
    attention.causal_mask(T)
    places = torch.arange(T).to(torch.int8)
    return places[:, None] >= places


MASKS = {}


@wrong("causal_mask", says="two calls gave the same tensor")
def mask_kept(T):
    """Each mask is made once, and handed out again."""
    return MASKS.setdefault(T, attention.causal_mask(T))


# --- average_past_matrix --------------------------------------------------------------------------


@wrong("average_past_matrix", says="you added the past up without dividing")
def average_sum(x):
    """Adds without dividing."""
    return tril(x.size(-2)).to(x) @ x


@wrong("average_past_matrix", says="you always divided by T; row t has t + 1 numbers in it")
def average_by_T(x):
    """Always divides by T."""
    return tril(x.size(-2)).to(x) @ x / x.size(-2)


@wrong("average_past_matrix", says="you divided row t by t, but it has t + 1 numbers in it")
def average_by_t(x):
    """Divides row t by t, off by one; max(1, t) hides the division by zero."""
    return tril(x.size(-2)).to(x) @ x / torch.arange(x.size(-2)).clamp(min=1).to(x)[:, None]


@wrong("average_past_matrix", says="the future is in it: position t may use positions 0 to t only")
def average_all(x):
    """The future is in it."""
    return x.mean(-2, keepdim=True).expand(x.shape).clone()


@wrong("average_past_matrix", says="the columns of your matrix sum to 1; make the rows sum to 1")
def average_columns(x):
    """Columns sum to 1 instead of rows."""
    w = tril(x.size(-2)).to(x)
    return w / w.sum(0) @ x


@wrong("average_past_matrix", says="the sum lost its dimension: use keepdim=True")
def average_without_keepdim(x):
    """The sum of the rows divides the columns."""
    w = tril(x.size(-2)).to(x)
    return w / w.sum(-1) @ x


@wrong(
    "average_past_matrix",
    says="you averaged the future instead of the past: use the lower triangle",
)
def average_upper(x):
    """Averages the future."""
    w = torch.ones(x.size(-2), x.size(-2)).triu().to(x)
    return w / w.sum(-1, keepdim=True) @ x


@wrong("average_past_matrix", says="position t itself is missing from its average")
def average_without_self(x):
    """Leaves out the position itself; row 0 keeps its own value."""
    w = tril(x.size(-2)).tril(-1).to(x)
    w[0, 0] = 1
    return w / w.sum(-1, keepdim=True) @ x


@wrong("average_past_matrix", says="you averaged over the features; average over the positions")
def average_features(x):
    """Averages over the features."""
    w = tril(x.size(-1)).to(x)
    return x @ (w / w.sum(-1, keepdim=True)).T


@wrong(
    "average_past_matrix",
    says="a weight of 0 before the softmax is exp(0) = 1 after it: hide the future with -inf",
)
def average_softmax_ones(x):
    """softmax of 1 and 0: the future still weighs exp(0)."""
    return tril(x.size(-2)).to(x).softmax(-1) @ x


@wrong("average_past_matrix", says="you always return float32; stay in the dtype of the input")
def average_float32(x):
    """Always float32."""
    w = tril(x.size(-2)).float()
    return w / w.sum(-1, keepdim=True) @ x.float()


@wrong("average_past_matrix", says="you halved the mean before and the new number")
def average_running(x):
    """A running mean of the running mean: right for the first two positions only."""
    out = [x[..., 0, :]]
    for t in range(1, x.size(-2)):
        out.append((out[-1] + x[..., t, :]) / 2)
    return torch.stack(out, dim=-2)


@wrong("average_past_matrix", says="you took the first dimension for T, which is the batch here")
def average_2d_only(x):
    """Takes the length from the first dimension: wrong for a batch."""
    w = tril(x.size(0)).to(x)
    return w / w.sum(-1, keepdim=True) @ x


@wrong(
    "average_past_matrix",
    says=": no gradient flows back, so nothing could be trained through this. Stay with tensors: no .detach(), .item(), .tolist() or numpy on the way",
)
def average_by_numpy(x):
    """The right numbers without a gradient."""
    count = np.arange(1, x.size(-2) + 1)[:, None]
    return torch.from_numpy(x.detach().numpy().cumsum(-2) / count).to(x.dtype)


@wrong("average_past_matrix", says="changed its argument in place")
def average_in_place(x):
    """Overwrites x on the way, so that later rows average averages."""
    for t in range(x.size(-2)):
        x[..., t, :] = x[..., : t + 1, :].mean(-2)
    return x


@wrong("average_past_matrix", says="changed its argument in place")
def average_in_place_but_right(x):
    """The right numbers, but in the argument."""
    for t in reversed(range(x.size(-2))):
        x[..., t, :] = x[..., : t + 1, :].mean(-2)
    return x.clone()


@wrong("average_past_matrix", says=DIFFERS)
def average_last_eight(x):
    """A window of 8 positions."""
    w = tril(x.size(-2)).to(x)
    w = w - w.tril(-8)
    return w / w.sum(-1, keepdim=True) @ x


@wrong("average_past_matrix", says=RAISED)
def average_buffer_of_8(x):
    """A matrix that was made once: right up to T = 8."""
    w = tril(8).to(x)
    T = x.size(-2)
    return (w / w.sum(-1, keepdim=True))[:T, :T] @ x


@wrong("average_past_matrix", says="only the first half of the digits is right")
def average_float32_matrix(x):
    """The matrix is made in float32, and cast too late."""
    w = tril(x.size(-2)).float()
    return (w / w.sum(-1, keepdim=True)).to(x.dtype) @ x


# --- attention_weights ----------------------------------------------------------------------------


def scores_of(q, k, scale=None):
    return q @ k.transpose(-2, -1) / (math.sqrt(q.size(-1)) if scale is None else scale)


def hide(scores, mask, value=-INF):
    return scores if mask is None else scores.masked_fill(~mask, value)


@wrong("attention_weights", says="the scores are not scaled: divide by the square root of d")
def weights_no_scale(q, k, mask=None):
    """No 1/sqrt(d)."""
    return hide(scores_of(q, k, 1.0), mask).softmax(-1)


@wrong(
    "attention_weights",
    says="you divided by d, or by its square root twice; divide once by the square root of d",
)
def weights_by_d(q, k, mask=None):
    """Divided by d."""
    return hide(scores_of(q, k, q.size(-1)), mask).softmax(-1)


@wrong("attention_weights", says="you multiplied by the square root of d; divide by it")
def weights_times_root(q, k, mask=None):
    """Multiplied by sqrt(d)."""
    return hide(scores_of(q, k, 1 / math.sqrt(q.size(-1))), mask).softmax(-1)


@wrong(
    "attention_weights",
    says="you took the square root of the number of positions; d is the number of features",
)
def weights_root_of_length(q, k, mask=None):
    """sqrt of the number of queries."""
    return hide(scores_of(q, k, math.sqrt(q.size(-2))), mask).softmax(-1)


@wrong(
    "attention_weights",
    says="you took the square root of the number of keys; d is the number of features",
)
def weights_root_of_keys(q, k, mask=None):
    """sqrt of the number of keys."""
    return hide(scores_of(q, k, math.sqrt(k.size(-2))), mask).softmax(-1)


@wrong(
    "attention_weights",
    says="you took the square root of d_model; d is the number of features of one head",
)
def weights_root_of_d_model(q, k, mask=None):
    """sqrt of all features of all heads."""
    heads = q.size(1) if q.ndim == 4 else 1
    return hide(scores_of(q, k, math.sqrt(q.size(-1) * heads)), mask).softmax(-1)


@wrong(
    "attention_weights",
    says="you divided by d, or by its square root twice; divide once by the square root of d",
)
def weights_scaled_twice(q, k, mask=None):
    """sqrt(d) on the queries and again on the scores."""
    return hide(scores_of(q / math.sqrt(q.size(-1)), k), mask).softmax(-1)


@wrong(
    "attention_weights",
    says="you divided the weights by the square root of d; divide the scores by it",
)
def weights_scaled_after(q, k, mask=None):
    """Scales the weights."""
    return hide(scores_of(q, k, 1.0), mask).softmax(-1) / math.sqrt(q.size(-1))


@wrong(
    "attention_weights",
    says="the softmax runs over the queries; each query shares out its attention over the keys, dim=-1",
)
def weights_over_queries(q, k, mask=None):
    """softmax over the queries."""
    return hide(scores_of(q, k), mask).softmax(-2)


@wrong(
    "attention_weights",
    says="the softmax runs over dim=1, which is the last one in two dimensions alone",
)
def weights_over_dim_1(q, k, mask=None):
    """softmax over dimension 1: right for two dimensions only."""
    return hide(scores_of(q, k), mask).softmax(1)


@wrong(
    "attention_weights",
    says="the rows do not sum to 1: you masked after the softmax. Mask the scores before it",
)
def weights_mask_after(q, k, mask=None):
    """Masked after the softmax: rows do not sum to 1."""
    w = scores_of(q, k).softmax(-1)
    return w if mask is None else w * mask


@wrong(
    "attention_weights",
    says="The scores of the hidden keys still count in what you subtract or divide by",
)
def weights_mask_after_renormalised(q, k, mask=None):
    """Masked after the softmax and normalised again: right, until a hidden score is far the
    largest.
    """
    w = scores_of(q, k).softmax(-1)
    w = w if mask is None else w * mask
    return w / w.sum(-1, keepdim=True)


@wrong(
    "attention_weights",
    says=": the rows do not sum to 1. A softmax over all keys spends everything on the hidden ones, and nothing is left to share out again: mask before the softmax",
)
def weights_mask_after_renormalised_eps(q, k, mask=None):
    """The same with an epsilon."""
    w = scores_of(q, k).softmax(-1)
    w = w if mask is None else w * mask
    return w / (w.sum(-1, keepdim=True) + 1e-9)


@wrong("attention_weights", says="you masked after the softmax, and with -inf")
def weights_mask_after_with_inf(q, k, mask=None):
    """-inf put into the weights."""
    return hide(scores_of(q, k).softmax(-1), mask)


@wrong(
    "attention_weights",
    says="a hidden key has a score of 0, and exp(0) = 1 is a weight like any other: use -inf",
)
def weights_mask_zero(q, k, mask=None):
    """Hidden scores become 0."""
    s = scores_of(q, k)
    return (s if mask is None else s * mask).softmax(-1)


@wrong(
    "attention_weights",
    says="the future leaks where all scores are low: a number such as -1000",
)
def weights_mask_minus_100(q, k, mask=None):
    """Low, but not low enough."""
    return hide(scores_of(q, k), mask, -100.0).softmax(-1)


@wrong(
    "attention_weights",
    says="the future leaks where all scores are low: a number such as -1000",
)
def weights_mask_minus_1e4(q, k, mask=None):
    """GPT-2's first code used -1e4; fine for scores of ordinary size."""
    return hide(scores_of(q, k), mask, -1e4).softmax(-1)


@wrong(
    "attention_weights",
    says="the future leaks: a number such as -1e9 hides a score only while the others are higher",
)
def weights_mask_minus_1e9(q, k, mask=None):
    """-1e9: fine until real scores are as low."""
    return hide(scores_of(q, k), mask, -1e9).softmax(-1)


@wrong("attention_weights", says="you added the mask to the scores; that hides nothing")
def weights_mask_additive_bool(q, k, mask=None):
    """Adds True and False to the scores."""
    s = scores_of(q, k)
    return (s if mask is None else s + mask).softmax(-1)


@wrong(
    "attention_weights",
    says="you subtracted a fixed number from the hidden scores, and one that is larger still wins",
)
def weights_mask_subtracts(q, k, mask=None):
    """Subtracts 1e9 from hidden scores: they keep their order, so a row of very low scores
    leaks.
    """
    s = scores_of(q, k)
    return (s if mask is None else s - 1e9 * (~mask).to(s)).softmax(-1)


@wrong(
    "attention_weights",
    says="you hid what the mask allows and showed what it hides: True means may look",
)
def weights_mask_inverted(q, k, mask=None):
    """True taken as hidden."""
    return hide(scores_of(q, k), None if mask is None else ~mask).softmax(-1)


@wrong("attention_weights", says="you ignored the mask")
def weights_ignores_mask(q, k, mask=None):
    """The mask is not used."""
    return scores_of(q, k).softmax(-1)


@wrong("attention_weights", says="you used a causal mask of your own instead of the one given")
def weights_own_causal_mask(q, k, mask=None):
    """Uses a causal mask whatever the mask says."""
    s = scores_of(q, k)
    return hide(s, None if mask is None else tril(*s.shape[-2:])).softmax(-1)


@wrong("attention_weights", says="you always masked; without a mask each query may look everywhere")
def weights_always_causal(q, k, mask=None):
    """Causal even without a mask."""
    s = scores_of(q, k)
    return hide(s, tril(*s.shape[-2:]) if mask is None else mask).softmax(-1)


@wrong("attention_weights", says="you hid the diagonal, too; hide only what the mask hides")
def weights_without_diagonal(q, k, mask=None):
    """A position may not look at itself."""
    s = scores_of(q, k)
    off = ~torch.eye(*s.shape[-2:], dtype=torch.bool)
    return hide(s, None if mask is None else mask & off).softmax(-1).nan_to_num(0.0)


@wrong(
    "attention_weights",
    says=": there is nan or inf in the result. Use your stable softmax, which subtracts the largest score first",
)
def weights_unstable(q, k, mask=None):
    """exp() without the largest subtracted."""
    e = hide(scores_of(q, k), mask).exp()
    return e / e.sum(-1, keepdim=True)


@wrong("attention_weights", says="you returned the scores, without the softmax")
def weights_returns_scores(q, k, mask=None):
    """No softmax."""
    return hide(scores_of(q, k), mask)


@wrong("attention_weights", says="queries and keys are swapped: rows ask, columns are looked at")
def weights_swapped(q, k, mask=None):
    """Keys ask and queries are looked at: right shape where T = S."""
    return hide(scores_of(k, q), mask).softmax(-1)


@wrong("attention_weights", says="k.T turns round all dimensions; swap only the last two")
def weights_two_dimensions(q, k, mask=None):
    """k.T turns all dimensions of a batch round."""
    return hide(q @ k.permute(*range(k.ndim)[::-1]) / math.sqrt(q.size(-1)), mask).softmax(-1)


@wrong("attention_weights", says="k.transpose(1, 2) is right without heads alone")
def weights_three_dimensions(q, k, mask=None):
    """transpose(1, 2): right for (B, T, d), wrong with heads."""
    k = k.transpose(1, 2) if k.ndim > 2 else k.T
    return hide(q @ k / math.sqrt(q.size(-1)), mask).softmax(-1)


@wrong("attention_weights", says="you always return float32; stay in the dtype of the input")
def weights_float32(q, k, mask=None):
    """Always float32."""
    return hide(scores_of(q.float(), k.float()), mask).softmax(-1)


@wrong(
    "attention_weights",
    says=": half of the digits are lost, as if you had computed in float32. Stay in the dtype of the input",
)
def weights_float32_and_back(q, k, mask=None):
    """float64 loses half of its digits on the way."""
    return hide(scores_of(q.float(), k.float()), mask).softmax(-1).to(q.dtype)


@wrong(
    "attention_weights",
    says=": no gradient flows back, so nothing could be trained through this. Stay with tensors: no .detach(), .item(), .tolist() or numpy on the way",
)
def weights_detached_keys(q, k, mask=None):
    """No gradient to the keys."""
    return hide(scores_of(q, k.detach()), mask).softmax(-1)


@wrong(
    "attention_weights",
    says=": no gradient flows back, so nothing could be trained through this. Stay with tensors: no .detach(), .item(), .tolist() or numpy on the way",
)
def weights_no_gradient(q, k, mask=None):
    """No gradient at all."""
    with torch.no_grad():
        return hide(scores_of(q, k), mask).softmax(-1)


@wrong("attention_weights", says="changed its argument in place")
def weights_in_place(q, k, mask=None):
    """Scales the queries where they are."""
    q /= math.sqrt(q.size(-1))
    return hide(scores_of(q, k, 1.0), mask).softmax(-1)


@wrong("attention_weights", says="changed its argument in place")
def weights_flips_mask_in_place(q, k, mask=None):
    """Turns the caller's mask round."""
    if mask is None:
        return scores_of(q, k).softmax(-1)
    mask.logical_not_()
    return scores_of(q, k).masked_fill(mask, -INF).softmax(-1)


@wrong("attention_weights", says="you made all queries and keys equally long, as for a cosine")
def weights_cosine(q, k, mask=None):
    """Cosine similarity."""
    return hide(F.normalize(q, dim=-1) @ F.normalize(k, dim=-1).mT, mask).softmax(-1)


def refusing(q, k, mask):
    """Raises where the reference does, but for the mask."""
    attention.attention_weights(q, k)
    if mask is not None and mask.dtype != torch.bool:
        raise TypeError


@wrong("attention_weights", says="must raise ValueError, and raised RuntimeError")
def weights_any_shape_of_mask(q, k, mask=None):
    """Leaves the shape of the mask to torch."""
    refusing(q, k, mask)
    if mask is not None and not mask.any(-1).all():
        raise ValueError
    return hide(scores_of(q, k), mask).softmax(-1)


@wrong("attention_weights", says="must raise ValueError: a mask of (10, 10) does not fit")
def weights_cuts_the_mask(q, k, mask=None):
    """A mask that is too large is cut."""
    if mask is not None:
        mask = mask[..., : q.size(-2), : k.size(-2)]
    return attention.attention_weights(q, k, mask)


@wrong("attention_weights", says="must raise ValueError: a row of the mask allows nothing")
def weights_last_row_allows(q, k, mask=None):
    """Looks for an empty row in the last one only."""
    refusing(q, k, mask)
    if mask is not None and not mask[..., -1, :].any():
        raise ValueError
    return hide(scores_of(q, k), mask).softmax(-1)


@wrong("attention_weights", says="must raise ValueError: a row of the mask allows nothing")
def weights_empty_rows_in_two_dimensions(q, k, mask=None):
    """Looks for empty rows in masks of two dimensions only."""
    refusing(q, k, mask)
    if mask is not None and mask.ndim == 2 and not mask.any(-1).all():
        raise ValueError
    return hide(scores_of(q, k), mask).softmax(-1)


@wrong("attention_weights", says="the largest score first, that of each row and not that of all")
def weights_largest_of_all(q, k, mask=None):
    """Masked well, and the largest score of all is subtracted."""
    scores = hide(scores_of(q, k), mask)
    e = (scores - scores.max()).exp()
    return e / e.sum(-1, keepdim=True)


@wrong("attention_weights", says="The scores of the hidden keys still count in what you subtract")
def weights_largest_hidden(q, k, mask=None):
    """The largest score is looked for before the mask."""
    scores = scores_of(q, k)
    e = (scores - scores.amax(-1, keepdim=True)).exp()
    e = e if mask is None else e * mask
    return e / e.sum(-1, keepdim=True)


@wrong("attention_weights", says="the future leaks: a number such as -1e9 hides a score only while")
def weights_mask_minus_1e30(q, k, mask=None):
    """-1e30: there are lower scores in float32."""
    return hide(scores_of(q, k), mask, -1e30).softmax(-1)


@wrong("attention_weights", says=RAISED)
def weights_mask_of_full_size(q, k, mask=None):
    """Takes it that the mask has a row for each query."""
    scores = scores_of(q, k)
    if mask is not None:
        mask = torch.stack([mask[..., t, :] for t in range(q.size(-2))], -2)
    return hide(scores, mask).softmax(-1)


# --- causal_head ----------------------------------------------------------------------------------


def mix(q, k, v, mask=True, scale=None):
    s = scores_of(q, k, scale)
    return hide(s, tril(*s.shape[-2:]) if mask else None).softmax(-1) @ v


@wrong("causal_head", says="you forgot 1/sqrt(d)")
def head_no_scale(x, w_q, w_k, w_v):
    """No 1/sqrt(d)."""
    return mix(x @ w_q, x @ w_k, x @ w_v, scale=1.0)


@wrong("causal_head", says="you divided by sqrt(d_model); d is the size of a query")
def head_root_of_d_model(x, w_q, w_k, w_v):
    """sqrt of d_model, not of the head's size."""
    return mix(x @ w_q, x @ w_k, x @ w_v, scale=math.sqrt(x.size(-1)))


@wrong("causal_head", says="you divided by the square root of the size of a value")
def head_root_of_values(x, w_q, w_k, w_v):
    """sqrt of the size of the values."""
    return mix(x @ w_q, x @ w_k, x @ w_v, scale=math.sqrt(w_v.size(-1)))


@wrong("causal_head", says="nothing hides the future: you forgot the causal mask")
def head_not_causal(x, w_q, w_k, w_v):
    """No mask."""
    return mix(x @ w_q, x @ w_k, x @ w_v, mask=False)


@wrong("causal_head", says="you masked after the softmax")
def head_mask_after(x, w_q, w_k, w_v):
    """Masked after the softmax."""
    w = scores_of(x @ w_q, x @ w_k).softmax(-1)
    return (w * tril(x.size(-2))) @ (x @ w_v)


@wrong("causal_head", says="you hid the past and showed the future")
def head_mask_upper(x, w_q, w_k, w_v):
    """Sees the future, not the past."""
    return hide(scores_of(x @ w_q, x @ w_k), tril(x.size(-2)).T).softmax(-1) @ (x @ w_v)


@wrong("causal_head", says="a position may look at itself, too: the diagonal of the mask is True")
def head_mask_without_diagonal(x, w_q, w_k, w_v):
    """Not itself: row 0 is nan, swept away."""
    w = hide(scores_of(x @ w_q, x @ w_k), tril(x.size(-2)).tril(-1)).softmax(-1).nan_to_num(0.0)
    return w @ (x @ w_v)


@wrong("causal_head", says="the softmax runs over the queries; it must run over the keys")
def head_over_queries(x, w_q, w_k, w_v):
    """softmax over the queries."""
    return hide(scores_of(x @ w_q, x @ w_k), tril(x.size(-2))).softmax(-2) @ (x @ w_v)


@wrong("causal_head", says="queries and keys are swapped: x @ w_q asks, x @ w_k is looked at")
def head_swapped(x, w_q, w_k, w_v):
    """Queries and keys swapped."""
    return mix(x @ w_k, x @ w_q, x @ w_v)


@wrong("causal_head", says="you averaged x itself; average the values x @ w_v")
def head_raw_values(x, w_q, w_k, w_v):
    """Averages x."""
    return mix(x @ w_q, x @ w_k, x)


@wrong("causal_head", says="you added the position's own value, x @ w_v")
def head_values_after(x, w_q, w_k, w_v):
    """Averages x, then takes the values and adds them: a residual nobody asked for."""
    return mix(x @ w_q, x @ w_k, x @ w_v) + x @ w_v


@wrong("causal_head", says="you averaged the keys; average the values")
def head_keys_as_values(x, w_q, w_k, w_v):
    """Averages the keys."""
    return mix(x @ w_q, x @ w_k, x @ w_k)


@wrong("causal_head", says="your queries look at the values; they look at the keys, x @ w_k")
def head_values_as_keys(x, w_q, w_k, w_v):
    """Queries against values: fits where d = d_v."""
    return mix(x @ w_q, x @ w_v, x @ w_v)


@wrong("causal_head", says="you turned the weights round, as nn.Linear stores them")
def head_transposed_weights(x, w_q, w_k, w_v):
    """x @ w.T, as nn.Linear stores it: fits where d = d_model."""
    return mix(x @ w_q.T, x @ w_k.T, x @ w_v.T)


@wrong("causal_head", says="queries and keys both come from w_q; the keys are x @ w_k")
def head_shared_projection(x, w_q, w_k, w_v):
    """One projection for queries and keys."""
    return mix(x @ w_q, x @ w_q, x @ w_v)


@wrong("causal_head", says="x itself is your query; the query is x @ w_q")
def head_raw_queries(x, w_q, w_k, w_v):
    """Forgets to project the queries: fits where d = d_model."""
    return mix(x, x @ w_k, x @ w_v)


@wrong("causal_head", says="you returned the values without mixing the positions")
def head_only_values(x, w_q, w_k, w_v):
    """No mixing."""
    return x @ w_v


@wrong("causal_head", says="you returned the attention map; multiply it with the values")
def head_weights(x, w_q, w_k, w_v):
    """Returns the map."""
    return hide(scores_of(x @ w_q, x @ w_k), tril(x.size(-2))).softmax(-1)


@wrong("causal_head", says="there is nan or inf where scores are large: use your stable softmax")
def head_unstable(x, w_q, w_k, w_v):
    """exp() without the largest subtracted."""
    e = hide(scores_of(x @ w_q, x @ w_k), tril(x.size(-2))).exp()
    return e / e.sum(-1, keepdim=True) @ (x @ w_v)


@wrong("causal_head", says="you took the first dimension for T, which is the batch here")
def head_two_dimensions(x, w_q, w_k, w_v):
    """Takes T from the first dimension: wrong for a batch."""
    return hide(scores_of(x @ w_q, x @ w_k), tril(x.size(0))).softmax(-1) @ (x @ w_v)


@wrong("causal_head", says="you always return float32; stay in the dtype of the input")
def head_float32(x, w_q, w_k, w_v):
    """Always float32."""
    return mix(x.float() @ w_q.float(), x.float() @ w_k.float(), x.float() @ w_v.float())


@wrong(
    "causal_head",
    says=": no gradient flows back, so nothing could be trained through this. Stay with tensors: no .detach(), .item(), .tolist() or numpy on the way",
)
def head_detached_scores(x, w_q, w_k, w_v):
    """The map is cut off, so queries and keys never learn."""
    w = hide(scores_of(x @ w_q, x @ w_k), tril(x.size(-2))).softmax(-1).detach()
    return w @ (x @ w_v)


@wrong("causal_head", says="x may have two dimensions in front of (T, d_model), or more")
def head_second_dimension(x, w_q, w_k, w_v):
    """T from the second dimension: wrong for two dimensions in front of it."""
    mask = tril(x.size(1) if x.ndim == 3 else x.size(0))
    return hide(scores_of(x @ w_q, x @ w_k), mask).softmax(-1) @ (x @ w_v)


@wrong("causal_head", says="x may have two dimensions in front of (T, d_model), or more")
def head_loops_over_the_batch(x, w_q, w_k, w_v):
    """One sequence after the other, where there is one dimension for them."""
    if x.ndim == 2:
        return attention.causal_head(x, w_q, w_k, w_v)
    return torch.stack([mix(one @ w_q, one @ w_k, torch.mm(one, w_v)) for one in x])


@wrong("causal_head", says=RAISED)
def head_of_three_dimensions(x, w_q, w_k, w_v):
    """(B, T, d_model), whatever comes."""
    if x.ndim == 2:
        return head_of_three_dimensions(x[None], w_q, w_k, w_v)[0]
    _B, T, _d_model = x.shape
    return hide(scores_of(x @ w_q, x @ w_k), tril(T)).softmax(-1) @ (x @ w_v)


def head_filled(x, w_q, w_k, w_v, value):
    return hide(scores_of(x @ w_q, x @ w_k), tril(x.size(-2)), value).softmax(-1) @ (x @ w_v)


@wrong("causal_head", says="the future leaks: a number such as -1e9 hides a score only while")
def head_mask_minus_1e4(*given):
    """-1e4 for the future."""
    return head_filled(*given, -1e4)


@wrong("causal_head", says="the future leaks: a number such as -1e9 hides a score only while")
def head_mask_minus_1e5(*given):
    """-1e5 for the future."""
    return head_filled(*given, -1e5)


@wrong("causal_head", says="the future leaks: a number such as -1e9 hides a score only while")
def head_mask_minus_1e9(*given):
    """-1e9 for the future."""
    return head_filled(*given, -1e9)


# --- split_heads ----------------------------------------------------------------------------------


@wrong(
    "split_heads",
    says="a view straight to (B, H, T, d) mixes positions and heads: view as (B, T, H, d), then swap T and H",
)
def split_view_only(x, n_head):
    """A view straight to the shape: mixes positions and heads."""
    B, T, C = x.shape
    return x.reshape(B, n_head, T, C // n_head)


@wrong("split_heads", says="the shape is still (B, T, H, d): swap T and H")
def split_no_transpose(x, n_head):
    """(B, T, H, d): the shape is right where T = H."""
    B, T, C = x.shape
    return x.reshape(B, T, n_head, C // n_head)


@wrong("split_heads", says="the heads got every H-th feature; head h gets d features in a row")
def split_interleaved(x, n_head):
    """Features dealt out like cards."""
    B, T, C = x.shape
    return x.reshape(B, T, C // n_head, n_head).permute(0, 3, 1, 2)


@wrong("split_heads", says="you took n_head for the size of a head; it is how many heads there are")
def split_d_and_h(x, n_head):
    """n_head taken as the size of a head."""
    B, T, C = x.shape
    return x.reshape(B, T, C // n_head, n_head).transpose(1, 2)


@wrong("split_heads", says="you swapped T and the features before the cut")
def split_transpose_first(x, n_head):
    """Swaps T and the features first, then views."""
    B, T, C = x.shape
    return x.transpose(1, 2).reshape(B, n_head, T, C // n_head)


@wrong("split_heads", says="you swapped T and d as well: the result is (B, H, T, d)")
def split_last_two(x, n_head):
    """(B, H, d, T)."""
    B, T, C = x.shape
    return x.reshape(B, T, n_head, C // n_head).permute(0, 2, 3, 1)


@wrong("split_heads", says="you swapped H and d; swap T and H")
def split_wrong_swap(x, n_head):
    """Swaps H and d instead of T and H."""
    B, T, C = x.shape
    return x.reshape(B, T, n_head, C // n_head).transpose(2, 3)


@wrong("split_heads", says="that is a tuple of heads; make one tensor of them")
def split_list(x, n_head):
    """A tuple of heads."""
    return x.chunk(n_head, dim=-1)


@wrong("split_heads", says="the heads stand in front of the batch; the result is (B, H, T, d)")
def split_heads_first(x, n_head):
    """Stacked in front of the batch: (H, B, T, d)."""
    return torch.stack(x.chunk(n_head, dim=-1))


@wrong("split_heads", says="you cut the positions into heads; cut the features, dim=-1")
def split_positions(x, n_head):
    """Cuts the positions instead of the features."""
    return torch.stack(x.chunk(n_head, dim=1), dim=1)


@wrong("split_heads", says="only the first text of the batch is there")
def split_first_sequence(x, n_head):
    """Only the first sequence of the batch: right for B = 1."""
    return torch.stack(x[:1].chunk(n_head, dim=-1), dim=1)


@wrong("split_heads", says="the heads are in reverse order")
def split_reversed(x, n_head):
    """Heads in reverse order."""
    return torch.stack(x.chunk(n_head, dim=-1)[::-1], dim=1)


@wrong("split_heads", says="you made float32 of the numbers; keep their type")
def split_float(x, n_head):
    """Casts to float."""
    return torch.stack(x.float().chunk(n_head, dim=-1), dim=1)


# --- merge_heads ----------------------------------------------------------------------------------


@wrong("merge_heads", says="a reshape alone mixes positions and heads: swap H and T back first")
def merge_reshape_only(x):
    """A reshape without the swap."""
    B, H, T, d = x.shape
    return x.reshape(B, T, H * d)


@wrong("merge_heads", says=".view cannot join dimensions that were swapped")
def merge_view(x):
    """.view refuses a tensor that was transposed."""
    B, H, T, d = x.shape
    return x.transpose(1, 2).view(B, T, H * d)


@wrong(
    "merge_heads",
    says="the features of the heads are interleaved; all of head 0 comes first, then all of head 1",
)
def merge_interleaved(x):
    """Feature by feature instead of head by head."""
    return x.permute(0, 2, 3, 1).flatten(-2)


@wrong("merge_heads", says="you added the heads; put them next to each other")
def merge_sum(x):
    """Adds the heads."""
    return x.sum(1)


@wrong("merge_heads", says="you averaged the heads; put them next to each other")
def merge_mean(x):
    """Averages the heads."""
    return x.mean(1, dtype=torch.float32).to(x.dtype)


@wrong("merge_heads", says="only the first head is there; put all of them next to each other")
def merge_first(x):
    """Only the first head: right for one head."""
    return x[:, 0]


@wrong("merge_heads", says="you put the heads one after the other in time")
def merge_positions(x):
    """Puts the heads behind each other in time."""
    return x.flatten(1, 2)


@wrong("merge_heads", says="you swapped T and d; swap H and T")
def merge_transpose_last(x):
    """Swaps T and d: the shape is right where T = d."""
    B, H, T, d = x.shape
    return x.transpose(2, 3).reshape(B, T, H * d)


@wrong("merge_heads", says="the heads are still apart, (B, T, H, d): join the last two dimensions")
def merge_no_flatten(x):
    """(B, T, H, d)."""
    return x.transpose(1, 2)


@wrong("merge_heads", says="the heads are in reverse order")
def merge_reversed(x):
    """Heads in reverse order."""
    return torch.cat(x.unbind(1)[::-1], dim=-1)


@wrong("merge_heads", says="a dimension of size 1 is lost")
def merge_drops_batch(x):
    """Squeezes a batch of one away."""
    return torch.cat(x.unbind(1), dim=-1).squeeze(0)


@wrong("merge_heads", says="you joined the texts of the batch; join the heads")
def merge_batch_as_heads(x):
    """Joins over the batch."""
    return torch.cat(x.unbind(0), dim=-1)


@wrong("merge_heads", says="you made float32 of the numbers; keep their type")
def merge_float(x):
    """Casts to float."""
    return torch.cat(x.float().unbind(1), dim=-1)


# --- leaks ----------------------------------------------------------------------------------------


def other_future(x, t):
    return torch.cat([x[:t], 3 - x[t:]])


def same(a, b):
    return torch.allclose(a, b, atol=1e-6)


@wrong("leaks", says="every layer leaks for you")
def leaks_compares_everything(attend, x):
    """An honest layer moves where its input moves."""
    return any(not same(attend(other_future(x, t)), attend(x)) for t in range(1, len(x)))


@wrong("leaks", says="you compared the output of the changed word itself, too")
def leaks_off_by_one(attend, x):
    """The output at t itself may move."""
    return any(
        not same(attend(other_future(x, t))[: t + 1], attend(x)[: t + 1]) for t in range(1, len(x))
    )


@wrong("leaks", says="you replaced the last word only")
def leaks_last_word(attend, x):
    return not same(attend(other_future(x, len(x) - 1))[:-1], attend(x)[:-1])


@wrong("leaks", says="you looked at the first output only")
def leaks_first_output(attend, x):
    return not same(attend(other_future(x, 1))[0], attend(x)[0])


@wrong("leaks", says="it is the wrong way round")
def leaks_means_honest(attend, x):
    return all(same(attend(other_future(x, t))[:t], attend(x)[:t]) for t in range(1, len(x)))


@wrong("leaks", says="every layer leaks for you")
def leaks_always(attend, x):
    return True


@wrong("leaks", says="you say that no layer leaks")
def leaks_changes_nothing(attend, x):
    """Compares a layer with itself on the same text."""
    return not same(attend(x), attend(x.clone()))


@wrong("leaks", says="answer with True or False")
def leaks_gives_a_distance(attend, x):
    return max(
        (attend(other_future(x, t))[:t] - attend(x)[:t]).abs().max() for t in range(1, len(x))
    )


@wrong("leaks", says="changed its argument in place")
def leaks_spoils_its_input(attend, x):
    before = attend(x)
    for t in range(len(x) - 1, 0, -1):
        x[t:] = 3 - x[t:]
        if not same(attend(x)[:t], before[:t]):
            return True
    return False


def any_leak(attend, x, moves, change=lambda x: 3 - x, times=None):
    return any(
        moves(attend(torch.cat([x[:t], change(x[t:])]))[:t], attend(x)[:t])
        for t in times or range(1, len(x))
    )


def apart(a, b):
    return not same(a, b)


@wrong("leaks", says="you never changed the last word alone")
def leaks_all_but_the_last(attend, x):
    """range(1, T - 1)."""
    return any_leak(attend, x, apart, times=range(1, len(x) - 1))


@wrong("leaks", says="you tried the first place and the last one")
def leaks_first_and_last(attend, x):
    """Changes all words but the first, and the last alone."""
    return any_leak(attend, x, apart, times=(1, len(x) - 1))


@wrong("leaks", says="you turned the signs round")
def leaks_turns_signs(attend, x):
    """-x for the future: squares stay the same."""
    return any_leak(attend, x, apart, torch.neg)


@wrong("leaks", says="a small leak stays hidden")
def leaks_wide_tolerance(attend, x):
    """atol=1e-2."""
    return any_leak(attend, x, lambda a, b: not torch.allclose(a, b, atol=1e-2))


@wrong("leaks", says="a small leak stays hidden")
def leaks_small_change(attend, x):
    """Words that are nearly the same."""
    return any_leak(attend, x, apart, lambda x: x + 1e-3)


@wrong("leaks", says="you changed the first feature only")
def leaks_changes_one_feature(attend, x):
    """The other features of the future stay as they are."""
    return any_leak(attend, x, apart, lambda x: torch.cat([3 - x[:, :1], x[:, 1:]], -1))


@wrong("leaks", says="you compared the first feature only")
def leaks_compares_one_feature(attend, x):
    """The other features of the outputs are not looked at."""
    return any_leak(attend, x, lambda a, b: apart(a[:, 0], b[:, 0]))


@wrong("leaks", says="you added the differences up, and opposite ones cancel")
def leaks_sum_of_differences(attend, x):
    """One sum over all differences."""
    return any_leak(attend, x, lambda a, b: bool((a - b).sum().abs() > 1e-5))


@wrong("leaks", says=DIFFERS)
def leaks_neighbours(attend, x):
    """One word is changed, and the first output and the one before that word are compared."""
    for t in range(1, len(x)):
        z = x.clone()
        z[t] = 5
        if apart(attend(z)[[0, t - 1]], attend(x)[[0, t - 1]]):
            return True
    return False


# --- cached_step ----------------------------------------------------------------------------------


def one_step(x, w_q, w_k, w_v, keys, values, weights=torch.softmax, root=None):
    keys = torch.cat([keys, x @ w_k])
    values = torch.cat([values, x @ w_v])
    return weights(x @ w_q @ keys.T / (root or w_q.size(-1) ** 0.5), -1) @ values, keys, values


@wrong("cached_step", says="the new token may look at itself, too")
def step_without_itself(x, w_q, w_k, w_v, keys, values):
    _, new_keys, new_values = one_step(x, w_q, w_k, w_v, keys, values)
    if len(keys) == 0:
        return new_values, new_keys, new_values
    return stable(x @ w_q @ keys.T / w_q.size(-1) ** 0.5) @ values, new_keys, new_values


@wrong("cached_step", says="the new key and value go to the end")
def step_in_front(x, w_q, w_k, w_v, keys, values):
    keys = torch.cat([x @ w_k, keys])
    values = torch.cat([x @ w_v, values])
    return stable(x @ w_q @ keys.T / w_q.size(-1) ** 0.5) @ values, keys, values


@wrong("cached_step", says="you forgot to divide the scores by the square root of d")
def step_unscaled(*args):
    return one_step(*args, root=1)


@wrong("cached_step", says="you divided by the square root of d_model")
def step_root_of_d_model(x, *rest):
    return one_step(x, *rest, root=x.size(-1) ** 0.5)


@wrong("cached_step", says="keys and values have changed places")
def step_swaps(*args):
    y, keys, values = one_step(*args)
    return y, values, keys


@wrong("cached_step", says="you returned the keys and values as they were")
def step_forgets(x, w_q, w_k, w_v, keys, values):
    return one_step(x, w_q, w_k, w_v, keys, values)[0], keys, values


@wrong("cached_step", says="you returned y alone; return three things: y, keys, values")
def step_output_only(*args):
    return one_step(*args)[0]


@wrong("cached_step", says="lets no gradient flow back")
def step_detaches(*args):
    return tuple(part.detach() for part in one_step(*args))


@wrong("cached_step", says="you always return float32; stay in the dtype of the input")
def step_float32(*given):
    """Always float32."""
    return one_step(*(x.float() for x in given))


@wrong("cached_step", says="half of the digits are lost, as if you had computed in float32")
def step_float32_and_back(*given):
    """Computes in float32 and casts back."""
    return tuple(x.to(given[0].dtype) for x in one_step(*(x.float() for x in given)))


@wrong("cached_step", says="only the first half of the digits is right")
def step_float32_weights(*given):
    """The weights alone are float32."""
    return one_step(*given, weights=lambda x, dim: x.float().softmax(dim).to(x.dtype))


@wrong("cached_step", says="there is nan or inf where scores are large: use your stable softmax")
def step_unstable(*given):
    """exp() without the largest subtracted."""
    return one_step(*given, weights=lambda x, dim: x.exp() / x.exp().sum(dim, keepdim=True))


@wrong("cached_step", says=DIFFERS)
def step_last_sixteen(*given):
    """Only the last 16 keys are looked at."""
    _, keys, values = one_step(*given)
    scores = given[0] @ given[1] @ keys[-16:].T / given[1].size(-1) ** 0.5
    return stable(scores) @ values[-16:], keys, values


@wrong("cached_step", says=DIFFERS)
def step_keeps_nine(*given):
    """A cache of the last 9."""
    x, w_q, w_k, w_v, keys, values = given
    return one_step(x, w_q, w_k, w_v, keys[-8:], values[-8:])


# --- Values right, gradients wrong ----------------------------------------------------------------


@wrong("softmax", says="the gradient of")
def softmax_fixed_sum(x, dim=-1, temperature=1.0):
    """The sum is taken out of the graph: each weight then only hangs on its own score."""
    right = attention.softmax(x, dim, temperature)
    z = x.to(torch.promote_types(x.dtype, torch.float32))
    e = torch.exp((z - z.amax(dim, keepdim=True)) / temperature)
    return (e / e.sum(dim, keepdim=True).detach()).to(right.dtype)


@wrong(
    "softmax",
    says=": no gradient flows back, so nothing could be trained through this. Stay with tensors: no .detach(), .item(), .tolist() or numpy on the way",
)
def softmax_without_grad(x, dim=-1, temperature=1.0):
    """Under torch.no_grad, as at inference."""
    with torch.no_grad():
        return attention.softmax(x, dim, temperature)


@wrong("average_past_matrix", says="the gradient of")
def average_only_now(x):
    """The gradient reaches a position only through itself."""
    mean = attention.average_past_matrix(x)
    return x + (mean - x).detach()


@wrong(
    "average_past_matrix",
    says=": no gradient flows back, so nothing could be trained through this. Stay with tensors: no .detach(), .item(), .tolist() or numpy on the way",
)
def average_copied(x):
    """torch.tensor(…) of the numbers: a new tensor that knows nothing of x."""
    return torch.tensor(attention.average_past_matrix(x).tolist(), dtype=x.dtype)


@wrong(
    "attention_weights",
    says=": no gradient flows back, so nothing could be trained through this. Stay with tensors: no .detach(), .item(), .tolist() or numpy on the way",
)
def weights_frozen_keys(q, k, mask=None):
    """The keys are taken out of the graph."""
    return attention.attention_weights(q, k.detach(), mask)


@wrong(
    "attention_weights",
    says=": no gradient flows back, so nothing could be trained through this. Stay with tensors: no .detach(), .item(), .tolist() or numpy on the way",
)
def weights_frozen_queries(q, k, mask=None):
    """The queries' numbers, by .data."""
    return attention.attention_weights(q.data, k, mask)


@wrong(
    "attention_weights",
    says=": no gradient flows back, so nothing could be trained through this. Stay with tensors: no .detach(), .item(), .tolist() or numpy on the way",
)
def weights_masked_without_gradient(q, k, mask=None):
    """With a mask the way back is lost."""
    weights = attention.attention_weights(q, k, mask)
    return weights if mask is None else weights.detach()


@wrong(
    "causal_head",
    says=": no gradient flows back, so nothing could be trained through this. Stay with tensors: no .detach(), .item(), .tolist() or numpy on the way",
)
def head_frozen_values(x, w_q, w_k, w_v):
    """w_v learns nothing."""
    return attention.causal_head(x, w_q, w_k, w_v.detach())


@wrong(
    "causal_head",
    says=": no gradient flows back, so nothing could be trained through this. Stay with tensors: no .detach(), .item(), .tolist() or numpy on the way",
)
def head_frozen_pattern(x, w_q, w_k, w_v):
    """The pattern is computed under no_grad: w_q and w_k learn nothing."""
    with torch.no_grad():
        mask = attention.causal_mask(x.size(-2))
        weights = attention.attention_weights(x @ w_q, x @ w_k, mask)
    return weights @ (x @ w_v)


@wrong(
    "split_heads",
    says=": no gradient flows back, so nothing could be trained through this. Stay with tensors: no .detach(), .item(), .tolist() or numpy on the way",
)
def split_as_numbers(x, n_head):
    """Through a list of numbers."""
    return torch.tensor(attention.split_heads(x, n_head).tolist(), dtype=x.dtype)


@wrong("merge_heads", says="the gradient of")
def merge_first_head_only(x):
    """Only the first head learns."""
    one = torch.cat([x[:, :1], x[:, 1:].detach()], dim=1)
    return attention.merge_heads(one)
