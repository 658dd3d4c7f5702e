"""Wrong answers to the exercises of notebook 03: mistakes that people make. Every checker must reject every one."""

import math

import numpy as np
import torch
import torch.nn.functional as F

# --- layer_norm ------------------------------------------------------------------------------------------------------


def ln_over_batch(x, weight, bias, eps=1e-5):
    """BatchNorm's direction."""
    return (x - x.mean(0)) / torch.sqrt(x.var(0, correction=0) + eps) * weight + bias


def ln_over_positions(x, weight, bias, eps=1e-5):
    """Statistics over time: the future leaks."""
    dim = -2 if x.ndim > 1 else -1
    return (x - x.mean(dim, keepdim=True)) / torch.sqrt(x.var(dim, correction=0, keepdim=True) + eps) * weight + bias


def ln_over_sequence(x, weight, bias, eps=1e-5):
    """One mean and variance for all positions of a sequence."""
    dim = (-2, -1) if x.ndim > 1 else (-1,)
    return (x - x.mean(dim, keepdim=True)) / torch.sqrt(x.var(dim, correction=0, keepdim=True) + eps) * weight + bias


def ln_over_everything(x, weight, bias, eps=1e-5):
    """One mean and variance for the whole tensor: right for a single position."""
    return (x - x.mean()) / torch.sqrt(x.var(correction=0) + eps) * weight + bias


def ln_unbiased(x, weight, bias, eps=1e-5):
    """torch's default variance divides by d - 1: hard to see for many features."""
    return (x - x.mean(-1, keepdim=True)) / torch.sqrt(x.var(-1, keepdim=True) + eps) * weight + bias


def ln_eps_outside(x, weight, bias, eps=1e-5):
    """eps beside the root instead of under it: no difference to see while eps is small."""
    return (x - x.mean(-1, keepdim=True)) / (x.std(-1, correction=0, keepdim=True) + eps) * weight + bias


def ln_std_plus_eps(x, weight, bias, eps=1e-5):
    """x.std() + eps, as in a well-known tutorial."""
    return weight * (x - x.mean(-1, keepdim=True)) / (x.std(-1, keepdim=True) + eps) + bias


def ln_no_eps(x, weight, bias, eps=1e-5):
    """nan where all features are the same."""
    return (x - x.mean(-1, keepdim=True)) / x.std(-1, correction=0, keepdim=True) * weight + bias


def ln_own_eps(x, weight, bias, eps=1e-5):
    """Ignores the eps that was given."""
    return F.layer_norm(x, x.shape[-1:], weight, bias)


def ln_no_gain(x, weight, bias, eps=1e-5):
    """Forgets the gain."""
    return F.layer_norm(x, x.shape[-1:], None, bias, eps)


def ln_no_gain_no_shift(x, weight, bias, eps=1e-5):
    """Normalises only."""
    return F.layer_norm(x, x.shape[-1:], None, None, eps)


def ln_shift_before_gain(x, weight, bias, eps=1e-5):
    """Gain and shift in the wrong order."""
    return (F.layer_norm(x, x.shape[-1:], None, None, eps) + bias) * weight


def ln_rms(x, weight, bias, eps=1e-5):
    """RMSNorm: no centring."""
    return x / torch.sqrt(x.square().mean(-1, keepdim=True) + eps) * weight + bias


def ln_by_variance(x, weight, bias, eps=1e-5):
    """Forgets the root."""
    return (x - x.mean(-1, keepdim=True)) / (x.var(-1, correction=0, keepdim=True) + eps) * weight + bias


def ln_cancellation(x, weight, bias, eps=1e-5):
    """E[x²] - E[x]²: loses all digits where the mean is large."""
    mean = x.mean(-1, keepdim=True)
    variance = (x.square().mean(-1, keepdim=True) - mean.square()).clamp(min=0)
    return (x - mean) / torch.sqrt(variance + eps) * weight + bias


def ln_constant_statistics(x, weight, bias, eps=1e-5):
    """Right values, but the gradient takes mean and variance for constants."""
    mean, variance = x.mean(-1, keepdim=True).detach(), x.var(-1, correction=0, keepdim=True).detach()
    return (x - mean) / torch.sqrt(variance + eps) * weight + bias


def ln_no_keepdim(x, weight, bias, eps=1e-5):
    """Only square inputs run, and there each row gets another row's statistics."""
    return (x - x.mean(-1)) / torch.sqrt(x.var(-1, correction=0) + eps) * weight + bias


def ln_in_place(x, weight, bias, eps=1e-5):
    """Changes its input, which the residual still needs."""
    x -= x.mean(-1, keepdim=True)
    return x / torch.sqrt(x.square().mean(-1, keepdim=True) + eps) * weight + bias


# --- gelu_tanh -------------------------------------------------------------------------------------------------------

C = math.sqrt(2 / math.pi)


def gelu_exact(x):
    """The other form."""
    return F.gelu(x)


def gelu_sigmoid(x):
    """The paper's second approximation."""
    return x * torch.sigmoid(1.702 * x)


def gelu_relu(x):
    """Not even smooth."""
    return F.relu(x)


def gelu_no_root(x):
    """2 / π without its root."""
    return 0.5 * x * (1 + torch.tanh(2 / math.pi * (x + 0.044715 * x**3)))


def gelu_root_of_two_only(x):
    """√2 / π."""
    return 0.5 * x * (1 + torch.tanh(math.sqrt(2) / math.pi * (x + 0.044715 * x**3)))


def gelu_square(x):
    """x² in place of x³."""
    return 0.5 * x * (1 + torch.tanh(C * (x + 0.044715 * x**2)))


def gelu_no_cubic(x):
    """No cubic term: 0.02 off at most."""
    return 0.5 * x * (1 + torch.tanh(C * x))


def gelu_digit(x):
    """0.0447 for 0.044715: 4e-6 off at x = 1, a little more further out."""
    return 0.5 * x * (1 + torch.tanh(C * (x + 0.0447 * x**3)))


def gelu_factor_outside(x):
    """0.044715 times everything."""
    return 0.5 * x * (1 + torch.tanh(C * 0.044715 * (x + x**3)))


def gelu_no_one(x):
    """The 1 is missing: even instead of one-sided."""
    return 0.5 * x * torch.tanh(C * (x + 0.044715 * x**3))


def gelu_no_half(x):
    """Twice as large."""
    return x * (1 + torch.tanh(C * (x + 0.044715 * x**3)))


def gelu_by_exp(x):
    """tanh from exponentials: nan for large x."""
    z = C * (x + 0.044715 * x**3)
    return 0.5 * x * (1 + (torch.exp(z) - torch.exp(-z)) / (torch.exp(z) + torch.exp(-z)))


def gelu_numpy(x):
    """Right values, no gradient."""
    z = x.detach().numpy()
    return torch.from_numpy(0.5 * z * (1 + np.tanh(C * (z + 0.044715 * z**3)))).to(x.dtype)


# --- dropout ---------------------------------------------------------------------------------------------------------


def guard(p):
    if not 0 <= p < 1:
        raise ValueError(p)


def drop_not_rescaled(x, p, training=True):
    """The mean shrinks in training."""
    guard(p)
    return x * (torch.rand(x.shape) >= p) if training else x


def drop_scaled_in_evaluation(x, p, training=True):
    """The form of the first paper: scales in evaluation."""
    guard(p)
    return x * (torch.rand(x.shape) >= p) if training else x * (1 - p)


def drop_always(x, p, training=True):
    """Ignores `training`."""
    guard(p)
    return x * (torch.rand(x.shape) >= p) / (1 - p)


def drop_keeps_p(x, p, training=True):
    """p as the share to keep: the same for p = 0.5."""
    guard(p)
    return x * (torch.rand(x.shape) < p) / p if training and p else x


def drop_divides_by_p(x, p, training=True):
    """Rescales by p: the same for p = 0.5."""
    guard(p)
    return x * (torch.rand(x.shape) >= p) / p if training and p else x


def drop_multiplies(x, p, training=True):
    """Multiplies by 1 - p."""
    guard(p)
    return x * (torch.rand(x.shape) >= p) * (1 - p) if training and p else x


def drop_whole_features(x, p, training=True):
    """One draw for each feature, the same at all positions."""
    guard(p)
    return x * (torch.rand(x.shape[-1]) >= p) / (1 - p) if training else x


def drop_same_in_batch(x, p, training=True):
    """One mask for all sequences of the batch."""
    guard(p)
    return x * (torch.rand(x.shape[1:]) >= p) / (1 - p) if training else x


def drop_positions(x, p, training=True):
    """Drops whole positions."""
    guard(p)
    return x * (torch.rand(*x.shape[:-1], 1) >= p) / (1 - p) if training else x


def drop_seeded(x, p, training=True):
    """A seed inside: the same numbers are lost at every step."""
    guard(p)
    torch.manual_seed(0)
    return x * (torch.rand(x.shape) >= p) / (1 - p) if training else x


def drop_normal(x, p, training=True):
    """randn for rand: another share."""
    guard(p)
    return x * (torch.randn(x.shape) >= p) / (1 - p) if training and p else x


def drop_sample_share(x, p, training=True):
    """Rescales by the share that happened to be kept."""
    guard(p)
    if not training or p == 0:
        return x
    keep = torch.rand(x.shape) >= p
    return x * keep / keep.float().mean()


def drop_no_gradient(x, p, training=True):
    """Right values without a gradient."""
    guard(p)
    return x.detach() * (torch.rand(x.shape) >= p) / (1 - p) if training and p else x


def drop_no_error(x, p, training=True):
    """p = 1.5 goes unnoticed."""
    return x * (torch.rand(x.shape) >= p) / (1 - p) if training and p else x


def drop_scales_all(x, p, training=True):
    """Rescales in evaluation as well."""
    guard(p)
    return (x * (torch.rand(x.shape) >= p) if training and p else x) / (1 - p)


# --- sinusoidal_positions --------------------------------------------------------------------------------------------


def paired(d_model):
    if d_model % 2:
        raise ValueError(d_model)


def rates(d_model, base):
    return base ** (-torch.arange(0, d_model, 2, dtype=torch.float64) / d_model)


def interleave(angles):
    return torch.stack([angles.sin(), angles.cos()], -1).flatten(-2).float()


def sin_halves(T, d_model, base=10_000.0):
    """All sines, then all cosines."""
    paired(d_model)
    angles = torch.outer(torch.arange(T).double(), rates(d_model, base))
    return torch.cat([angles.sin(), angles.cos()], -1).float()


def sin_swapped(T, d_model, base=10_000.0):
    """Cosines first."""
    paired(d_model)
    angles = torch.outer(torch.arange(T).double(), rates(d_model, base))
    return torch.stack([angles.cos(), angles.sin()], -1).flatten(-2).float()


def sin_exponent_i(T, d_model, base=10_000.0):
    """i / d for the i-th pair: the longest wave is √base."""
    paired(d_model)
    return interleave(torch.outer(torch.arange(T).double(), base ** (-torch.arange(d_model // 2).double() / d_model)))


def sin_exponent_j(T, d_model, base=10_000.0):
    """The index of the feature as the exponent, so sine and cosine differ in rate."""
    paired(d_model)
    j = torch.arange(d_model).double()
    angles = torch.outer(torch.arange(T).double(), base ** (-j / d_model))
    return torch.where(j % 2 == 0, angles.sin(), angles.cos()).float()


def sin_exponent_double(T, d_model, base=10_000.0):
    """2i of an index that goes in steps of two already."""
    paired(d_model)
    return interleave(torch.outer(torch.arange(T).double(), rates(d_model, base) ** 2))


def sin_last_is_base(T, d_model, base=10_000.0):
    """i / (d/2 - 1), as in an early implementation."""
    paired(d_model)
    exponent = torch.arange(d_model // 2).double() / max(d_model // 2 - 1, 1)
    return interleave(torch.outer(torch.arange(T).double(), base**-exponent))


def sin_base_1000(T, d_model, base=1_000.0):
    """Another base by default."""
    paired(d_model)
    return interleave(torch.outer(torch.arange(T).double(), rates(d_model, base)))


def sin_fixed_base(T, d_model, base=10_000.0):
    """Ignores the base."""
    paired(d_model)
    return interleave(torch.outer(torch.arange(T).double(), rates(d_model, 10_000.0)))


def sin_from_one(T, d_model, base=10_000.0):
    """Positions 1 to T."""
    paired(d_model)
    return interleave(torch.outer(torch.arange(1, T + 1).double(), rates(d_model, base)))


def sin_growing(T, d_model, base=10_000.0):
    """The minus is lost: rates grow."""
    paired(d_model)
    return interleave(torch.outer(torch.arange(T).double(), 1 / rates(d_model, base)))


def sin_transposed(T, d_model, base=10_000.0):
    """Features down, positions across."""
    paired(d_model)
    return interleave(torch.outer(torch.arange(T).double(), rates(d_model, base))).T


def sin_double(T, d_model, base=10_000.0):
    """float64 all the way out."""
    paired(d_model)
    angles = torch.outer(torch.arange(T).double(), rates(d_model, base))
    return torch.stack([angles.sin(), angles.cos()], -1).flatten(-2)


def sin_odd_is_fine(T, d_model, base=10_000.0):
    """Says nothing about an odd d_model."""
    return interleave(torch.outer(torch.arange(T).double(), rates(d_model, base)))[:, :d_model]


def sin_bfloat_angles(T, d_model, base=10_000.0):
    """Angles in half precision: right near the start only."""
    paired(d_model)
    return interleave(torch.outer(torch.arange(T).float(), rates(d_model, base).float()).bfloat16().float())


# --- rotary ----------------------------------------------------------------------------------------------------------


def cos_sin(x, base=10_000.0, first=0, power=1.0):
    T, d = x.shape[-2:]
    paired(d)
    angles = torch.outer(torch.arange(first, first + T).double(), rates(d, base) ** power)
    return angles.cos().to(x.dtype), angles.sin().to(x.dtype)


def turned(x, cos, sin):
    even, odd = x[..., 0::2], x[..., 1::2]
    return torch.stack([even * cos - odd * sin, even * sin + odd * cos], -1).flatten(-2)


def rot_halves(x, base=10_000.0):
    """Pairs i and i + d/2, as in Llama: the same for d = 2."""
    cos, sin = cos_sin(x, base)
    a, b = x.chunk(2, -1)
    return torch.cat([a * cos - b * sin, a * sin + b * cos], -1)


def rot_backwards(x, base=10_000.0):
    """Turns the other way; distances still work."""
    cos, sin = cos_sin(x, base)
    return turned(x, cos, -sin)


def rot_no_minus(x, base=10_000.0):
    """No rotation: lengths change."""
    cos, sin = cos_sin(x, base)
    even, odd = x[..., 0::2], x[..., 1::2]
    return torch.stack([even * cos + odd * sin, even * sin + odd * cos], -1).flatten(-2)


def rot_concatenated(x, base=10_000.0):
    """Reads neighbours, writes halves."""
    cos, sin = cos_sin(x, base)
    even, odd = x[..., 0::2], x[..., 1::2]
    return torch.cat([even * cos - odd * sin, even * sin + odd * cos], -1)


def rot_from_one(x, base=10_000.0):
    """Positions from 1: distances still work."""
    return turned(x, *cos_sin(x, base, first=1))


def rot_half_exponent(x, base=10_000.0):
    """-i / d."""
    return turned(x, *cos_sin(x, base, power=0.5))


def rot_double_exponent(x, base=10_000.0):
    """-4i / d."""
    return turned(x, *cos_sin(x, base, power=2.0))


def rot_base_1000(x, base=1_000.0):
    """Another base by default."""
    return turned(x, *cos_sin(x, base))


def rot_fixed_base(x, base=10_000.0):
    """Ignores the base."""
    return turned(x, *cos_sin(x))


def rot_one_rate(x, base=10_000.0):
    """All pairs at one rate."""
    return turned(x, *cos_sin(x, 1.0))


def rot_wrong_axis(x, base=10_000.0):
    """Counts positions along the heads."""
    if x.ndim < 3:
        return turned(x, *cos_sin(x, base))
    y = x.transpose(-2, -3)
    return turned(y, *cos_sin(y, base)).transpose(-2, -3)


def rot_adds(x, base=10_000.0):
    """Adds the sinusoids."""
    cos, sin = cos_sin(x, base)
    return x + torch.stack([sin, cos], -1).flatten(-2)


def rot_overwrites(x, base=10_000.0):
    """Updates the even features first and turns the odd ones with the new values."""
    cos, sin = cos_sin(x, base)
    y = x.clone()
    y[..., 0::2] = y[..., 0::2] * cos - y[..., 1::2] * sin
    y[..., 1::2] = y[..., 0::2] * sin + y[..., 1::2] * cos
    return y


def rot_promotes(x, base=10_000.0):
    """bfloat16 in, float32 out."""
    cos, sin = cos_sin(x.float(), base)
    return turned(x, cos, sin)


def rot_odd_is_fine(x, base=10_000.0):
    """Leaves the last of an odd number of features out without a word."""
    d = x.shape[-1] // 2 * 2
    return turned(x[..., :d], *cos_sin(x[..., :d], base))


# --- pre_norm_block --------------------------------------------------------------------------------------------------


def block_post_norm(x, attn, mlp, ln_1, ln_2):
    """The first transformer's order."""
    x = ln_1(x + attn(x))
    return ln_2(x + mlp(x))


def block_parallel_post(x, attn, mlp, ln_1, ln_2):
    """The textbook formula."""
    return ln_1(x + attn(x) + mlp(x))


def block_parallel(x, attn, mlp, ln_1, ln_2):
    """The MLP does not see the attention."""
    return x + attn(ln_1(x)) + mlp(ln_2(x))


def block_no_residual(x, attn, mlp, ln_1, ln_2):
    """Replaces instead of adding."""
    return mlp(ln_2(attn(ln_1(x))))


def block_no_second_residual(x, attn, mlp, ln_1, ln_2):
    """The MLP replaces the stream."""
    x = x + attn(ln_1(x))
    return mlp(ln_2(x))


def block_no_first_residual(x, attn, mlp, ln_1, ln_2):
    """The attention replaces the stream."""
    x = attn(ln_1(x))
    return x + mlp(ln_2(x))


def block_residual_twice(x, attn, mlp, ln_1, ln_2):
    """x comes in once more at the end."""
    h = x + attn(ln_1(x))
    return x + h + mlp(ln_2(h))


def block_old_residual(x, attn, mlp, ln_1, ln_2):
    """The second residual is the old x, so the attention's write is lost."""
    h = x + attn(ln_1(x))
    return x + mlp(ln_2(h))


def block_normalised_residual(x, attn, mlp, ln_1, ln_2):
    """Overwrites x with its normalised copy before the sum."""
    x = ln_1(x)
    x = x + attn(x)
    x = ln_2(x)
    return x + mlp(x)


def block_swapped_norms(x, attn, mlp, ln_1, ln_2):
    """ln_1 and ln_2 swapped: the same at the start of training, where both are equal."""
    x = x + attn(ln_2(x))
    return x + mlp(ln_1(x))


def block_one_norm(x, attn, mlp, ln_1, ln_2):
    """ln_1 for both parts."""
    x = x + attn(ln_1(x))
    return x + mlp(ln_1(x))


def block_mlp_first(x, attn, mlp, ln_1, ln_2):
    """The parts in the wrong order."""
    x = x + mlp(ln_2(x))
    return x + attn(ln_1(x))


def block_no_second_norm(x, attn, mlp, ln_1, ln_2):
    """The MLP reads the raw stream."""
    x = x + attn(ln_1(x))
    return x + mlp(x)


def block_norm_of_writes(x, attn, mlp, ln_1, ln_2):
    """Normalises the answers."""
    x = x + ln_1(attn(x))
    return x + ln_2(mlp(x))


def block_last_norm(x, attn, mlp, ln_1, ln_2):
    """A LayerNorm too many at the end."""
    x = x + attn(ln_1(x))
    return ln_2(x + mlp(ln_2(x)))


def block_calls_twice(x, attn, mlp, ln_1, ln_2):
    """Right values, but the attention is computed twice."""
    return x + attn(ln_1(x)) + mlp(ln_2(x + attn(ln_1(x))))


def block_in_place(x, attn, mlp, ln_1, ln_2):
    """Changes the caller's stream."""
    x += attn(ln_1(x))
    x += mlp(ln_2(x))
    return x


def block_detached(x, attn, mlp, ln_1, ln_2):
    """Cuts the gradient at the residual."""
    x = x.detach() + attn(ln_1(x))
    return x + mlp(ln_2(x))


# --- frozen_layer_norm -----------------------------------------------------------------------------------------------


def centre(writes):
    return writes - writes.mean(-1, keepdim=True)


def variance(writes, correction=0):
    return writes.sum(0).var(-1, correction=correction, keepdim=True)


def frozen_own_scale(writes, weight, eps=1e-5):
    """LayerNorm of each write: right for one write."""
    return F.layer_norm(writes, writes.shape[-1:], weight, None, eps)


def frozen_not_centred(writes, weight, eps=1e-5):
    """No centring."""
    return writes / torch.sqrt(variance(writes) + eps) * weight


def frozen_common_mean(writes, weight, eps=1e-5):
    """The sum's mean from every write."""
    return (writes - writes.sum(0).mean(-1, keepdim=True)) / torch.sqrt(variance(writes) + eps) * weight


def frozen_shared_mean(writes, weight, eps=1e-5):
    """The sum's mean in equal parts: the total is right, the parts are not."""
    return (writes - writes.mean(0).mean(-1, keepdim=True)) / torch.sqrt(variance(writes) + eps) * weight


def frozen_sum_of_variances(writes, weight, eps=1e-5):
    """As if the writes were independent."""
    return centre(writes) / torch.sqrt(writes.var(-1, correction=0, keepdim=True).sum(0) + eps) * weight


def frozen_mean_scale(writes, weight, eps=1e-5):
    """The scale of the mean of the writes."""
    return centre(writes) / torch.sqrt(writes.mean(0).var(-1, correction=0, keepdim=True) + eps) * weight


def frozen_last_scale(writes, weight, eps=1e-5):
    """The scale of the last write only."""
    return centre(writes) / torch.sqrt(writes[-1].var(-1, correction=0, keepdim=True) + eps) * weight


def frozen_unbiased(writes, weight, eps=1e-5):
    """d - 1."""
    return centre(writes) / torch.sqrt(variance(writes, correction=1) + eps) * weight


def frozen_no_gain(writes, weight, eps=1e-5):
    """Forgets the gain."""
    return centre(writes) / torch.sqrt(variance(writes) + eps)


def frozen_eps_outside(writes, weight, eps=1e-5):
    """eps beside the root."""
    return centre(writes) / (torch.sqrt(variance(writes)) + eps) * weight


def frozen_own_eps(writes, weight, eps=1e-5):
    """Ignores eps."""
    return centre(writes) / torch.sqrt(variance(writes) + 1e-5) * weight


def frozen_total(writes, weight, eps=1e-5):
    """One tensor for the sum."""
    return F.layer_norm(writes.sum(0), writes.shape[-1:], weight, None, eps)


def frozen_over_writes(writes, weight, eps=1e-5):
    """Centres over the writes instead of the features."""
    return (writes - writes.mean(0)) / torch.sqrt(variance(writes) + eps) * weight


MUTANTS = {
    "layer_norm": [ln_over_batch, ln_over_positions, ln_over_sequence, ln_over_everything, ln_unbiased, ln_eps_outside,
                   ln_std_plus_eps, ln_no_eps, ln_own_eps, ln_no_gain, ln_no_gain_no_shift, ln_shift_before_gain, ln_rms,
                   ln_by_variance, ln_cancellation, ln_constant_statistics, ln_no_keepdim, ln_in_place],
    "gelu_tanh": [gelu_exact, gelu_sigmoid, gelu_relu, gelu_no_root, gelu_root_of_two_only, gelu_square, gelu_no_cubic,
                  gelu_digit, gelu_factor_outside, gelu_no_one, gelu_no_half, gelu_by_exp, gelu_numpy],
    "dropout": [drop_not_rescaled, drop_scaled_in_evaluation, drop_always, drop_keeps_p, drop_divides_by_p, drop_multiplies,
                drop_whole_features, drop_same_in_batch, drop_positions, drop_seeded, drop_normal, drop_sample_share,
                drop_no_gradient, drop_no_error, drop_scales_all],
    "sinusoidal_positions": [sin_halves, sin_swapped, sin_exponent_i, sin_exponent_j, sin_exponent_double, sin_last_is_base,
                             sin_base_1000, sin_fixed_base, sin_from_one, sin_growing, sin_transposed, sin_double,
                             sin_odd_is_fine, sin_bfloat_angles],
    "rotary": [rot_halves, rot_backwards, rot_no_minus, rot_concatenated, rot_from_one, rot_half_exponent,
               rot_double_exponent, rot_base_1000, rot_fixed_base, rot_one_rate, rot_wrong_axis, rot_adds, rot_overwrites,
               rot_promotes, rot_odd_is_fine],
    "pre_norm_block": [block_post_norm, block_parallel_post, block_parallel, block_no_residual, block_no_second_residual,
                       block_no_first_residual, block_residual_twice, block_old_residual, block_normalised_residual,
                       block_swapped_norms, block_one_norm, block_mlp_first, block_no_second_norm, block_norm_of_writes,
                       block_last_norm, block_calls_twice, block_in_place, block_detached],
    "frozen_layer_norm": [frozen_own_scale, frozen_not_centred, frozen_common_mean, frozen_shared_mean,
                          frozen_sum_of_variances, frozen_mean_scale, frozen_last_scale, frozen_unbiased, frozen_no_gain,
                          frozen_eps_outside, frozen_own_eps, frozen_total, frozen_over_writes],
}  # fmt: skip
