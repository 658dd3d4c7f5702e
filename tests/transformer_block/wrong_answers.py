"""Wrong answers to the exercises of lesson 03: mistakes that people make. Every checker must reject
every one.
"""

import math

import numpy as np
import torch
import torch.nn.functional as F
from answers import Answers

from course_utils.transformer_block import block

wrong = Answers()


# --- layer_norm -----------------------------------------------------------------------------------


@wrong("layer_norm")
def ln_over_batch(x, weight, bias, eps=1e-5):
    """BatchNorm's direction."""
    return (x - x.mean(0)) / torch.sqrt(x.var(0, correction=0) + eps) * weight + bias


@wrong("layer_norm")
def ln_over_positions(x, weight, bias, eps=1e-5):
    """Statistics over time: the future leaks."""
    dim = -2 if x.ndim > 1 else -1
    return (x - x.mean(dim, keepdim=True)) / torch.sqrt(
        x.var(dim, correction=0, keepdim=True) + eps
    ) * weight + bias


@wrong("layer_norm")
def ln_over_sequence(x, weight, bias, eps=1e-5):
    """One mean and variance for all positions of a sequence."""
    dim = (-2, -1) if x.ndim > 1 else (-1,)
    return (x - x.mean(dim, keepdim=True)) / torch.sqrt(
        x.var(dim, correction=0, keepdim=True) + eps
    ) * weight + bias


@wrong("layer_norm")
def ln_over_everything(x, weight, bias, eps=1e-5):
    """One mean and variance for the whole tensor: right for a single position."""
    return (x - x.mean()) / torch.sqrt(x.var(correction=0) + eps) * weight + bias


@wrong("layer_norm")
def ln_unbiased(x, weight, bias, eps=1e-5):
    """torch's default variance divides by d - 1: hard to see for many features."""
    return (x - x.mean(-1, keepdim=True)) / torch.sqrt(
        x.var(-1, keepdim=True) + eps
    ) * weight + bias


@wrong("layer_norm")
def ln_eps_outside(x, weight, bias, eps=1e-5):
    """eps beside the root instead of under it: no difference to see while eps is small."""
    return (x - x.mean(-1, keepdim=True)) / (
        x.std(-1, correction=0, keepdim=True) + eps
    ) * weight + bias


@wrong("layer_norm")
def ln_std_plus_eps(x, weight, bias, eps=1e-5):
    """x.std() + eps, as in a well-known tutorial."""
    return weight * (x - x.mean(-1, keepdim=True)) / (x.std(-1, keepdim=True) + eps) + bias


@wrong("layer_norm")
def ln_no_eps(x, weight, bias, eps=1e-5):
    """nan where all features are the same."""
    return (x - x.mean(-1, keepdim=True)) / x.std(-1, correction=0, keepdim=True) * weight + bias


@wrong("layer_norm")
def ln_own_eps(x, weight, bias, eps=1e-5):
    """Ignores the eps that was given."""
    return F.layer_norm(x, x.shape[-1:], weight, bias)


@wrong("layer_norm")
def ln_no_gain(x, weight, bias, eps=1e-5):
    """Forgets the gain."""
    return F.layer_norm(x, x.shape[-1:], None, bias, eps)


@wrong("layer_norm")
def ln_no_gain_no_shift(x, weight, bias, eps=1e-5):
    """Normalises only."""
    return F.layer_norm(x, x.shape[-1:], None, None, eps)


@wrong("layer_norm")
def ln_shift_before_gain(x, weight, bias, eps=1e-5):
    """Gain and shift in the wrong order."""
    return (F.layer_norm(x, x.shape[-1:], None, None, eps) + bias) * weight


@wrong("layer_norm")
def ln_rms(x, weight, bias, eps=1e-5):
    """RMSNorm: no centring."""
    return x / torch.sqrt(x.square().mean(-1, keepdim=True) + eps) * weight + bias


@wrong("layer_norm")
def ln_by_variance(x, weight, bias, eps=1e-5):
    """Forgets the root."""
    return (x - x.mean(-1, keepdim=True)) / (
        x.var(-1, correction=0, keepdim=True) + eps
    ) * weight + bias


@wrong("layer_norm")
def ln_cancellation(x, weight, bias, eps=1e-5):
    """E[x²] - E[x]²: loses all digits where the mean is large."""
    mean = x.mean(-1, keepdim=True)
    variance = (x.square().mean(-1, keepdim=True) - mean.square()).clamp(min=0)
    return (x - mean) / torch.sqrt(variance + eps) * weight + bias


@wrong("layer_norm")
def ln_constant_statistics(x, weight, bias, eps=1e-5):
    """Right values, but the gradient takes mean and variance for constants."""
    mean = x.mean(-1, keepdim=True).detach()
    variance = x.var(-1, correction=0, keepdim=True).detach()
    return (x - mean) / torch.sqrt(variance + eps) * weight + bias


@wrong("layer_norm")
def ln_no_keepdim(x, weight, bias, eps=1e-5):
    """Only square inputs run, and there each row gets another row's statistics."""
    return (x - x.mean(-1)) / torch.sqrt(x.var(-1, correction=0) + eps) * weight + bias


@wrong("layer_norm")
def ln_in_place(x, weight, bias, eps=1e-5):
    """Changes its input, which the residual still needs."""
    x -= x.mean(-1, keepdim=True)
    return x / torch.sqrt(x.square().mean(-1, keepdim=True) + eps) * weight + bias


# --- gelu_tanh ------------------------------------------------------------------------------------

C = math.sqrt(2 / math.pi)


@wrong("gelu_tanh")
def gelu_exact(x):
    """The other form."""
    return F.gelu(x)


@wrong("gelu_tanh")
def gelu_sigmoid(x):
    """The paper's second approximation."""
    return x * torch.sigmoid(1.702 * x)


@wrong("gelu_tanh")
def gelu_relu(x):
    """Not even smooth."""
    return F.relu(x)


@wrong("gelu_tanh")
def gelu_no_root(x):
    """2 / π without its root."""
    return 0.5 * x * (1 + torch.tanh(2 / math.pi * (x + 0.044715 * x**3)))


@wrong("gelu_tanh")
def gelu_root_of_two_only(x):
    """√2 / π."""
    return 0.5 * x * (1 + torch.tanh(math.sqrt(2) / math.pi * (x + 0.044715 * x**3)))


@wrong("gelu_tanh")
def gelu_square(x):
    """x² in place of x³."""
    return 0.5 * x * (1 + torch.tanh(C * (x + 0.044715 * x**2)))


@wrong("gelu_tanh")
def gelu_no_cubic(x):
    """No cubic term: 0.02 off at most."""
    return 0.5 * x * (1 + torch.tanh(C * x))


@wrong("gelu_tanh")
def gelu_digit(x):
    """0.0447 for 0.044715: 4e-6 off at x = 1, a little more further out."""
    return 0.5 * x * (1 + torch.tanh(C * (x + 0.0447 * x**3)))


@wrong("gelu_tanh")
def gelu_factor_outside(x):
    """0.044715 times everything."""
    return 0.5 * x * (1 + torch.tanh(C * 0.044715 * (x + x**3)))


@wrong("gelu_tanh")
def gelu_no_one(x):
    """The 1 is missing: even instead of one-sided."""
    return 0.5 * x * torch.tanh(C * (x + 0.044715 * x**3))


@wrong("gelu_tanh")
def gelu_no_half(x):
    """Twice as large."""
    return x * (1 + torch.tanh(C * (x + 0.044715 * x**3)))


@wrong("gelu_tanh")
def gelu_by_exp(x):
    """tanh from exponentials: nan for large x."""
    z = C * (x + 0.044715 * x**3)
    return 0.5 * x * (1 + (torch.exp(z) - torch.exp(-z)) / (torch.exp(z) + torch.exp(-z)))


@wrong("gelu_tanh")
def gelu_numpy(x):
    """Right values, no gradient."""
    z = x.detach().numpy()
    return torch.from_numpy(0.5 * z * (1 + np.tanh(C * (z + 0.044715 * z**3)))).to(x.dtype)


# --- dropout --------------------------------------------------------------------------------------


def guard(p):
    if not 0 <= p < 1:
        raise ValueError(p)


@wrong("dropout")
def drop_not_rescaled(x, p, training=True):
    """The mean shrinks in training."""
    guard(p)
    return x * (torch.rand(x.shape) >= p) if training else x


@wrong("dropout")
def drop_scaled_in_evaluation(x, p, training=True):
    """The form of the first paper: scales in evaluation."""
    guard(p)
    return x * (torch.rand(x.shape) >= p) if training else x * (1 - p)


@wrong("dropout")
def drop_always(x, p, training=True):
    """Ignores `training`."""
    guard(p)
    return x * (torch.rand(x.shape) >= p) / (1 - p)


@wrong("dropout")
def drop_keeps_p(x, p, training=True):
    """p as the share to keep: the same for p = 0.5."""
    guard(p)
    return x * (torch.rand(x.shape) < p) / p if training and p else x


@wrong("dropout")
def drop_divides_by_p(x, p, training=True):
    """Rescales by p: the same for p = 0.5."""
    guard(p)
    return x * (torch.rand(x.shape) >= p) / p if training and p else x


@wrong("dropout")
def drop_multiplies(x, p, training=True):
    """Multiplies by 1 - p."""
    guard(p)
    return x * (torch.rand(x.shape) >= p) * (1 - p) if training and p else x


@wrong("dropout")
def drop_whole_features(x, p, training=True):
    """One draw for each feature, the same at all positions."""
    guard(p)
    return x * (torch.rand(x.shape[-1]) >= p) / (1 - p) if training else x


@wrong("dropout")
def drop_same_in_batch(x, p, training=True):
    """One mask for all sequences of the batch."""
    guard(p)
    return x * (torch.rand(x.shape[1:]) >= p) / (1 - p) if training else x


@wrong("dropout")
def drop_positions(x, p, training=True):
    """Drops whole positions."""
    guard(p)
    return x * (torch.rand(*x.shape[:-1], 1) >= p) / (1 - p) if training else x


@wrong("dropout")
def drop_seeded(x, p, training=True):
    """A seed inside: the same numbers are lost at every step."""
    guard(p)
    torch.manual_seed(0)
    return x * (torch.rand(x.shape) >= p) / (1 - p) if training else x


@wrong("dropout")
def drop_normal(x, p, training=True):
    """randn for rand: another share."""
    guard(p)
    return x * (torch.randn(x.shape) >= p) / (1 - p) if training and p else x


@wrong("dropout")
def drop_sample_share(x, p, training=True):
    """Rescales by the share that happened to be kept."""
    guard(p)
    if not training or p == 0:
        return x
    keep = torch.rand(x.shape) >= p
    return x * keep / keep.float().mean()


@wrong("dropout")
def drop_no_gradient(x, p, training=True):
    """Right values without a gradient."""
    guard(p)
    return x.detach() * (torch.rand(x.shape) >= p) / (1 - p) if training and p else x


@wrong("dropout")
def drop_no_error(x, p, training=True):
    """p = 1.5 goes unnoticed."""
    return x * (torch.rand(x.shape) >= p) / (1 - p) if training and p else x


@wrong("dropout")
def drop_scales_all(x, p, training=True):
    """Rescales in evaluation as well."""
    guard(p)
    return (x * (torch.rand(x.shape) >= p) if training and p else x) / (1 - p)


# --- sinusoidal_positions -------------------------------------------------------------------------


def paired(d_model):
    if d_model % 2:
        raise ValueError(d_model)


def rates(d_model, base):
    return base ** (-torch.arange(0, d_model, 2, dtype=torch.float64) / d_model)


def interleave(angles):
    return torch.stack([angles.sin(), angles.cos()], -1).flatten(-2).float()


@wrong("sinusoidal_positions")
def sin_halves(T, d_model, base=10_000.0):
    """All sines, then all cosines."""
    paired(d_model)
    angles = torch.outer(torch.arange(T).double(), rates(d_model, base))
    return torch.cat([angles.sin(), angles.cos()], -1).float()


@wrong("sinusoidal_positions")
def sin_swapped(T, d_model, base=10_000.0):
    """Cosines first."""
    paired(d_model)
    angles = torch.outer(torch.arange(T).double(), rates(d_model, base))
    return torch.stack([angles.cos(), angles.sin()], -1).flatten(-2).float()


@wrong("sinusoidal_positions")
def sin_exponent_i(T, d_model, base=10_000.0):
    """i / d for the i-th pair: the longest wave is √base."""
    paired(d_model)
    return interleave(
        torch.outer(
            torch.arange(T).double(), base ** (-torch.arange(d_model // 2).double() / d_model)
        )
    )


@wrong("sinusoidal_positions")
def sin_exponent_j(T, d_model, base=10_000.0):
    """The index of the feature as the exponent, so sine and cosine differ in rate."""
    paired(d_model)
    j = torch.arange(d_model).double()
    angles = torch.outer(torch.arange(T).double(), base ** (-j / d_model))
    return torch.where(j % 2 == 0, angles.sin(), angles.cos()).float()


@wrong("sinusoidal_positions")
def sin_exponent_double(T, d_model, base=10_000.0):
    """2i of an index that goes in steps of two already."""
    paired(d_model)
    return interleave(torch.outer(torch.arange(T).double(), rates(d_model, base) ** 2))


@wrong("sinusoidal_positions")
def sin_last_is_base(T, d_model, base=10_000.0):
    """i / (d/2 - 1), as in an early implementation."""
    paired(d_model)
    exponent = torch.arange(d_model // 2).double() / max(d_model // 2 - 1, 1)
    return interleave(torch.outer(torch.arange(T).double(), base**-exponent))


@wrong("sinusoidal_positions")
def sin_base_1000(T, d_model, base=1_000.0):
    """Another base by default."""
    paired(d_model)
    return interleave(torch.outer(torch.arange(T).double(), rates(d_model, base)))


@wrong("sinusoidal_positions")
def sin_fixed_base(T, d_model, base=10_000.0):
    """Ignores the base."""
    paired(d_model)
    return interleave(torch.outer(torch.arange(T).double(), rates(d_model, 10_000.0)))


@wrong("sinusoidal_positions")
def sin_from_one(T, d_model, base=10_000.0):
    """Positions 1 to T."""
    paired(d_model)
    return interleave(torch.outer(torch.arange(1, T + 1).double(), rates(d_model, base)))


@wrong("sinusoidal_positions")
def sin_growing(T, d_model, base=10_000.0):
    """The minus is lost: rates grow."""
    paired(d_model)
    return interleave(torch.outer(torch.arange(T).double(), 1 / rates(d_model, base)))


@wrong("sinusoidal_positions")
def sin_transposed(T, d_model, base=10_000.0):
    """Features down, positions across."""
    paired(d_model)
    return interleave(torch.outer(torch.arange(T).double(), rates(d_model, base))).T


@wrong("sinusoidal_positions")
def sin_double(T, d_model, base=10_000.0):
    """float64 all the way out."""
    paired(d_model)
    angles = torch.outer(torch.arange(T).double(), rates(d_model, base))
    return torch.stack([angles.sin(), angles.cos()], -1).flatten(-2)


@wrong("sinusoidal_positions")
def sin_odd_is_fine(T, d_model, base=10_000.0):
    """Says nothing about an odd d_model."""
    return interleave(torch.outer(torch.arange(T).double(), rates(d_model, base)))[:, :d_model]


@wrong("sinusoidal_positions")
def sin_bfloat_angles(T, d_model, base=10_000.0):
    """Angles in half precision: right near the start only."""
    paired(d_model)
    return interleave(
        torch.outer(torch.arange(T).float(), rates(d_model, base).float()).bfloat16().float()
    )


# --- pre_norm_block -------------------------------------------------------------------------------


@wrong("pre_norm_block")
def block_post_norm(x, attn, mlp, ln_1, ln_2):
    """The first transformer's order."""
    x = ln_1(x + attn(x))
    return ln_2(x + mlp(x))


@wrong("pre_norm_block")
def block_parallel_post(x, attn, mlp, ln_1, ln_2):
    """The textbook formula."""
    return ln_1(x + attn(x) + mlp(x))


@wrong("pre_norm_block")
def block_parallel(x, attn, mlp, ln_1, ln_2):
    """The MLP does not see the attention."""
    return x + attn(ln_1(x)) + mlp(ln_2(x))


@wrong("pre_norm_block")
def block_no_residual(x, attn, mlp, ln_1, ln_2):
    """Replaces instead of adding."""
    return mlp(ln_2(attn(ln_1(x))))


@wrong("pre_norm_block")
def block_no_second_residual(x, attn, mlp, ln_1, ln_2):
    """The MLP replaces the stream."""
    x = x + attn(ln_1(x))
    return mlp(ln_2(x))


@wrong("pre_norm_block")
def block_no_first_residual(x, attn, mlp, ln_1, ln_2):
    """The attention replaces the stream."""
    x = attn(ln_1(x))
    return x + mlp(ln_2(x))


@wrong("pre_norm_block")
def block_residual_twice(x, attn, mlp, ln_1, ln_2):
    """x comes in once more at the end."""
    h = x + attn(ln_1(x))
    return x + h + mlp(ln_2(h))


@wrong("pre_norm_block")
def block_old_residual(x, attn, mlp, ln_1, ln_2):
    """The second residual is the old x, so the attention's write is lost."""
    h = x + attn(ln_1(x))
    return x + mlp(ln_2(h))


@wrong("pre_norm_block")
def block_normalised_residual(x, attn, mlp, ln_1, ln_2):
    """Overwrites x with its normalised copy before the sum."""
    x = ln_1(x)
    x = x + attn(x)
    x = ln_2(x)
    return x + mlp(x)


@wrong("pre_norm_block")
def block_swapped_norms(x, attn, mlp, ln_1, ln_2):
    """ln_1 and ln_2 swapped: the same at the start of training, where both are equal."""
    x = x + attn(ln_2(x))
    return x + mlp(ln_1(x))


@wrong("pre_norm_block")
def block_one_norm(x, attn, mlp, ln_1, ln_2):
    """ln_1 for both parts."""
    x = x + attn(ln_1(x))
    return x + mlp(ln_1(x))


@wrong("pre_norm_block")
def block_mlp_first(x, attn, mlp, ln_1, ln_2):
    """The parts in the wrong order."""
    x = x + mlp(ln_2(x))
    return x + attn(ln_1(x))


@wrong("pre_norm_block")
def block_no_second_norm(x, attn, mlp, ln_1, ln_2):
    """The MLP reads the raw stream."""
    x = x + attn(ln_1(x))
    return x + mlp(x)


@wrong("pre_norm_block")
def block_norm_of_writes(x, attn, mlp, ln_1, ln_2):
    """Normalises the answers."""
    x = x + ln_1(attn(x))
    return x + ln_2(mlp(x))


@wrong("pre_norm_block")
def block_last_norm(x, attn, mlp, ln_1, ln_2):
    """A LayerNorm too many at the end."""
    x = x + attn(ln_1(x))
    return ln_2(x + mlp(ln_2(x)))


@wrong("pre_norm_block")
def block_calls_twice(x, attn, mlp, ln_1, ln_2):
    """Right values, but the attention is computed twice."""
    return x + attn(ln_1(x)) + mlp(ln_2(x + attn(ln_1(x))))


@wrong("pre_norm_block")
def block_in_place(x, attn, mlp, ln_1, ln_2):
    """Changes the caller's stream."""
    x += attn(ln_1(x))
    x += mlp(ln_2(x))
    return x


@wrong("pre_norm_block")
def block_detached(x, attn, mlp, ln_1, ln_2):
    """Cuts the gradient at the residual."""
    x = x.detach() + attn(ln_1(x))
    return x + mlp(ln_2(x))


# --- frozen_layer_norm ----------------------------------------------------------------------------


def centre(writes):
    return writes - writes.mean(-1, keepdim=True)


def variance(writes, correction=0):
    return writes.sum(0).var(-1, correction=correction, keepdim=True)


@wrong("frozen_layer_norm")
def frozen_own_scale(writes, weight, eps=1e-5):
    """LayerNorm of each write: right for one write."""
    return F.layer_norm(writes, writes.shape[-1:], weight, None, eps)


@wrong("frozen_layer_norm")
def frozen_not_centred(writes, weight, eps=1e-5):
    """No centring."""
    return writes / torch.sqrt(variance(writes) + eps) * weight


@wrong("frozen_layer_norm")
def frozen_common_mean(writes, weight, eps=1e-5):
    """The sum's mean from every write."""
    return (
        (writes - writes.sum(0).mean(-1, keepdim=True))
        / torch.sqrt(variance(writes) + eps)
        * weight
    )


@wrong("frozen_layer_norm")
def frozen_shared_mean(writes, weight, eps=1e-5):
    """The sum's mean in equal parts: the total is right, the parts are not."""
    return (
        (writes - writes.mean(0).mean(-1, keepdim=True))
        / torch.sqrt(variance(writes) + eps)
        * weight
    )


@wrong("frozen_layer_norm")
def frozen_sum_of_variances(writes, weight, eps=1e-5):
    """As if the writes were independent."""
    return (
        centre(writes)
        / torch.sqrt(writes.var(-1, correction=0, keepdim=True).sum(0) + eps)
        * weight
    )


@wrong("frozen_layer_norm")
def frozen_mean_scale(writes, weight, eps=1e-5):
    """The scale of the mean of the writes."""
    return (
        centre(writes)
        / torch.sqrt(writes.mean(0).var(-1, correction=0, keepdim=True) + eps)
        * weight
    )


@wrong("frozen_layer_norm")
def frozen_last_scale(writes, weight, eps=1e-5):
    """The scale of the last write only."""
    return (
        centre(writes) / torch.sqrt(writes[-1].var(-1, correction=0, keepdim=True) + eps) * weight
    )


@wrong("frozen_layer_norm")
def frozen_unbiased(writes, weight, eps=1e-5):
    """d - 1."""
    return centre(writes) / torch.sqrt(variance(writes, correction=1) + eps) * weight


@wrong("frozen_layer_norm")
def frozen_no_gain(writes, weight, eps=1e-5):
    """Forgets the gain."""
    return centre(writes) / torch.sqrt(variance(writes) + eps)


@wrong("frozen_layer_norm")
def frozen_eps_outside(writes, weight, eps=1e-5):
    """eps beside the root."""
    return centre(writes) / (torch.sqrt(variance(writes)) + eps) * weight


@wrong("frozen_layer_norm")
def frozen_own_eps(writes, weight, eps=1e-5):
    """Ignores eps."""
    return centre(writes) / torch.sqrt(variance(writes) + 1e-5) * weight


@wrong("frozen_layer_norm")
def frozen_total(writes, weight, eps=1e-5):
    """One tensor for the sum."""
    return F.layer_norm(writes.sum(0), writes.shape[-1:], weight, None, eps)


@wrong("frozen_layer_norm")
def frozen_over_writes(writes, weight, eps=1e-5):
    """Centres over the writes instead of the features."""
    return (writes - writes.mean(0)) / torch.sqrt(variance(writes) + eps) * weight


# --- Values right, gradients wrong ----------------------------------------------------------------


@wrong("layer_norm")
def norm_frozen_bias(x, weight, bias, eps=1e-5):
    """The shift learns nothing."""
    return block.layer_norm(x, weight, bias.detach(), eps)


@wrong("layer_norm")
def norm_frozen_gain(x, weight, bias, eps=1e-5):
    """The gain learns nothing."""
    return block.layer_norm(x, weight.data, bias, eps)


@wrong("layer_norm")
def norm_fixed_statistics(x, weight, bias, eps=1e-5):
    """Mean and variance under no_grad, as if they were constants."""
    with torch.no_grad():
        mean = x.mean(-1, keepdim=True)
        scale = (x.var(-1, correction=0, keepdim=True) + eps).sqrt()
    return (x - mean) / scale * weight + bias


@wrong("gelu_tanh")
def gelu_fixed_gate(x):
    """The gate is a constant, and the slope is only that of x."""
    gate = (0.5 * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))).detach()
    return x * gate


@wrong("gelu_tanh")
def gelu_straight_through(x):
    """The right values with the slope 1."""
    return x + (block.gelu_tanh(x) - x).detach()


@wrong("pre_norm_block")
def block_detached_stream(x, attn, mlp, ln_1, ln_2):
    """The stream is cut behind the attention: the MLP's part sends nothing back through it."""
    x = x + attn(ln_1(x))
    return x + mlp(ln_2(x.detach()))


@wrong("pre_norm_block")
def block_parts_without_grad(x, attn, mlp, ln_1, ln_2):
    """The attention runs under no_grad."""
    with torch.no_grad():
        write = attn(ln_1(x))
    x = x + write
    return x + mlp(ln_2(x))


# --- Dice that are none ---------------------------------------------------------------------------


def drop_where(x, p, training, draw):
    if not 0 <= p < 1:
        raise ValueError("p is a share")
    return x * ~draw() / (1 - p) if training and p else x


@wrong("dropout")
def drop_exact_count(x, p, training=True):
    """Exactly p of all numbers, at random places."""

    def draw():
        order = torch.randperm(x.numel())
        return (order < round(p * x.numel())).view(x.shape)

    return drop_where(x, p, training, draw)


@wrong("dropout")
def drop_exact_count_of_each_row(x, p, training=True):
    """The same number of features in each row."""

    def draw():
        return torch.rand(x.shape).argsort(-1) < round(p * x.shape[-1])

    return drop_where(x, p, training, draw)


@wrong("dropout")
def drop_places_with_replacement(x, p, training=True):
    """p · n places drawn with replacement: some twice, so fewer are dropped."""

    def draw():
        dropped = torch.zeros(x.numel(), dtype=torch.bool)
        dropped[torch.randint(x.numel(), (round(p * x.numel()),))] = True
        return dropped.view(x.shape)

    return drop_where(x, p, training, draw)


@wrong("dropout")
def drop_a_little_less(x, p, training=True):
    """A twentieth too few."""
    return drop_where(x, p, training, lambda: torch.rand(x.shape) < 0.95 * p)


@wrong("dropout")
def drop_half_of_them_mirrored(x, p, training=True):
    """Antithetic dice: one u for two neighbours, u and 1 - u."""

    def draw():
        u = torch.rand((x.numel() + 1) // 2)
        return torch.stack([u, 1 - u], 1).flatten()[: x.numel()].view(x.shape) < p

    return drop_where(x, p, training, draw)
