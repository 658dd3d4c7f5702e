"""Wrong answers to the exercises of lesson 03: mistakes that people make. Every checker must reject
every one.
"""

import math

import numpy as np
import torch
import torch.nn.functional as F
from answers import DIFFERS, WrongAnswers

from course_utils.transformer_block import block

wrong = WrongAnswers()


# --- layer_norm -----------------------------------------------------------------------------------


@wrong(
    "layer_norm",
    says="you normalised over the batch (that is BatchNorm); normalise the features of each position, dim=-1",
)
def ln_over_batch(x, weight, bias, eps=1e-5):
    """BatchNorm's direction."""
    return (x - x.mean(0)) / torch.sqrt(x.var(0, correction=0) + eps) * weight + bias


@wrong(
    "layer_norm",
    says="you normalised over the positions; normalise the features of each position, dim=-1",
)
def ln_over_positions(x, weight, bias, eps=1e-5):
    """Statistics over time: the future leaks."""
    dim = -2 if x.ndim > 1 else -1
    return (x - x.mean(dim, keepdim=True)) / torch.sqrt(
        x.var(dim, correction=0, keepdim=True) + eps
    ) * weight + bias


@wrong(
    "layer_norm", says="one mean and one variance for a whole sequence; each position needs its own"
)
def ln_over_sequence(x, weight, bias, eps=1e-5):
    """One mean and variance for all positions of a sequence."""
    dim = (-2, -1) if x.ndim > 1 else (-1,)
    return (x - x.mean(dim, keepdim=True)) / torch.sqrt(
        x.var(dim, correction=0, keepdim=True) + eps
    ) * weight + bias


@wrong("layer_norm", says="one mean and one variance for everything; each position needs its own")
def ln_over_everything(x, weight, bias, eps=1e-5):
    """One mean and variance for the whole tensor: right for a single position."""
    return (x - x.mean()) / torch.sqrt(x.var(correction=0) + eps) * weight + bias


@wrong(
    "layer_norm",
    says="the variance divides by d_model - 1; LayerNorm divides by d_model (correction=0, or the mean of the squares)",
)
def ln_unbiased(x, weight, bias, eps=1e-5):
    """torch's default variance divides by d - 1: hard to see for many features."""
    return (x - x.mean(-1, keepdim=True)) / torch.sqrt(
        x.var(-1, keepdim=True) + eps
    ) * weight + bias


@wrong(
    "layer_norm",
    says="eps stands outside the root: it belongs to the variance, sqrt(variance + eps)",
)
def ln_eps_outside(x, weight, bias, eps=1e-5):
    """eps beside the root instead of under it: no difference to see while eps is small."""
    return (x - x.mean(-1, keepdim=True)) / (
        x.std(-1, correction=0, keepdim=True) + eps
    ) * weight + bias


@wrong(
    "layer_norm",
    says="x.std(…) + eps is not LayerNorm: std divides by d_model - 1, and eps belongs inside the root",
)
def ln_std_plus_eps(x, weight, bias, eps=1e-5):
    """x.std() + eps, as in a well-known tutorial."""
    return weight * (x - x.mean(-1, keepdim=True)) / (x.std(-1, keepdim=True) + eps) + bias


@wrong("layer_norm", says="you left out eps: add it to the variance")
def ln_no_eps(x, weight, bias, eps=1e-5):
    """nan where all features are the same."""
    return (x - x.mean(-1, keepdim=True)) / x.std(-1, correction=0, keepdim=True) * weight + bias


@wrong("layer_norm", says="you took 1e-5 for eps, whatever was given")
def ln_own_eps(x, weight, bias, eps=1e-5):
    """Ignores the eps that was given."""
    return F.layer_norm(x, x.shape[-1:], weight, bias)


@wrong("layer_norm", says="you forgot the gain: multiply by weight")
def ln_no_gain(x, weight, bias, eps=1e-5):
    """Forgets the gain."""
    return F.layer_norm(x, x.shape[-1:], None, bias, eps)


@wrong("layer_norm", says="you forgot the gain and the shift")
def ln_no_gain_no_shift(x, weight, bias, eps=1e-5):
    """Normalises only."""
    return F.layer_norm(x, x.shape[-1:], None, None, eps)


@wrong("layer_norm", says="you forgot the shift: add bias")
def ln_no_shift(x, weight, bias, eps=1e-5):
    """Forgets the shift."""
    return F.layer_norm(x, x.shape[-1:], weight, None, eps)


@wrong("layer_norm", says="you only subtracted the mean; divide by the standard deviation")
def ln_only_centred(x, weight, bias, eps=1e-5):
    """Centres, and forgets to divide."""
    return (x - x.mean(-1, keepdim=True)) * weight + bias


@wrong("layer_norm", says="you forgot to subtract the mean.")
def ln_not_centred(x, weight, bias, eps=1e-5):
    """Divides only."""
    return x / torch.sqrt(x.var(-1, correction=0, keepdim=True) + eps) * weight + bias


@wrong("layer_norm", says="the shift comes last: multiply by the gain first")
def ln_shift_before_gain(x, weight, bias, eps=1e-5):
    """Gain and shift in the wrong order."""
    return (F.layer_norm(x, x.shape[-1:], None, None, eps) + bias) * weight


@wrong("layer_norm", says="you forgot to subtract the mean (that is RMSNorm)")
def ln_rms(x, weight, bias, eps=1e-5):
    """RMSNorm: no centring."""
    return x / torch.sqrt(x.square().mean(-1, keepdim=True) + eps) * weight + bias


@wrong("layer_norm", says="you divided by the variance; divide by its root")
def ln_by_variance(x, weight, bias, eps=1e-5):
    """Forgets the root."""
    return (x - x.mean(-1, keepdim=True)) / (
        x.var(-1, correction=0, keepdim=True) + eps
    ) * weight + bias


@wrong("layer_norm", says="where x is 5000 plus small differences: they got lost")
def ln_cancellation(x, weight, bias, eps=1e-5):
    """E[x²] - E[x]²: loses all digits where the mean is large."""
    mean = x.mean(-1, keepdim=True)
    variance = (x.square().mean(-1, keepdim=True) - mean.square()).clamp(min=0)
    return (x - mean) / torch.sqrt(variance + eps) * weight + bias


@wrong("layer_norm", says="it takes the mean and the variance for constants")
def ln_constant_statistics(x, weight, bias, eps=1e-5):
    """Right values, but the gradient takes mean and variance for constants."""
    mean = x.mean(-1, keepdim=True).detach()
    variance = x.var(-1, correction=0, keepdim=True).detach()
    return (x - mean) / torch.sqrt(variance + eps) * weight + bias


@wrong("layer_norm", says="the mean and the variance lost the last dimension")
def ln_no_keepdim(x, weight, bias, eps=1e-5):
    """Only square inputs run, and there each row gets another row's statistics."""
    return (x - x.mean(-1)) / torch.sqrt(x.var(-1, correction=0) + eps) * weight + bias


@wrong("layer_norm", says="changed its argument in place")
def ln_in_place(x, weight, bias, eps=1e-5):
    """Changes its input, which the residual still needs."""
    x -= x.mean(-1, keepdim=True)
    return x / torch.sqrt(x.square().mean(-1, keepdim=True) + eps) * weight + bias


# --- gelu_tanh ------------------------------------------------------------------------------------

C = math.sqrt(2 / math.pi)


@wrong("gelu_tanh", says="that is the exact GELU; this exercise asks for the tanh form")
def gelu_exact(x):
    """The other form."""
    return F.gelu(x)


@wrong("gelu_tanh", says="that is the sigmoid form x · sigmoid(1.702 x)")
def gelu_sigmoid(x):
    """The paper's second approximation."""
    return x * torch.sigmoid(1.702 * x)


@wrong("gelu_tanh", says="that is ReLU")
def gelu_relu(x):
    """Not even smooth."""
    return F.relu(x)


@wrong("gelu_tanh", says="that is SiLU, x · sigmoid(x)")
def gelu_silu(x):
    """Another smooth form of ReLU."""
    return F.silu(x)


@wrong("gelu_tanh", says="you forgot the root: the factor inside is sqrt(2 / π)")
def gelu_no_root(x):
    """2 / π without its root."""
    return 0.5 * x * (1 + torch.tanh(2 / math.pi * (x + 0.044715 * x**3)))


@wrong("gelu_tanh", says="the factor is sqrt(2 / π), not sqrt(2) / π")
def gelu_root_of_two_only(x):
    """√2 / π."""
    return 0.5 * x * (1 + torch.tanh(math.sqrt(2) / math.pi * (x + 0.044715 * x**3)))


@wrong("gelu_tanh", says="the factor is sqrt(2 / π), not sqrt(2 · π)")
def gelu_root_of_two_pi(x):
    """√(2π), as in the density of the normal distribution."""
    return 0.5 * x * (1 + torch.tanh(math.sqrt(2 * math.pi) * (x + 0.044715 * x**3)))


@wrong("gelu_tanh", says="the last term is x³, not x²")
def gelu_square(x):
    """x² in place of x³."""
    return 0.5 * x * (1 + torch.tanh(C * (x + 0.044715 * x**2)))


@wrong("gelu_tanh", says="you forgot the cubic term")
def gelu_no_cubic(x):
    """No cubic term: 0.02 off at most."""
    return 0.5 * x * (1 + torch.tanh(C * x))


@wrong("gelu_tanh", says="the constant is 0.044715; yours is 0.0447.")
def gelu_digit(x):
    """0.0447 for 0.044715: 4e-6 off at x = 1, a little more further out."""
    return 0.5 * x * (1 + torch.tanh(C * (x + 0.0447 * x**3)))


@wrong("gelu_tanh", says="0.044715 multiplies x³ only")
def gelu_factor_outside(x):
    """0.044715 times everything."""
    return 0.5 * x * (1 + torch.tanh(C * 0.044715 * (x + x**3)))


@wrong("gelu_tanh", says="sqrt(2 / π) multiplies x and x³")
def gelu_factor_of_x(x):
    """The factor for x alone: a bracket is missing."""
    return 0.5 * x * (1 + torch.tanh(C * x + 0.044715 * x**3))


@wrong("gelu_tanh", says="the constant is 0.044715; yours is 0.44715")
def gelu_comma(x):
    """A zero is missing."""
    return 0.5 * x * (1 + torch.tanh(C * (x + 0.44715 * x**3)))


@wrong("gelu_tanh", says="you forgot the 1 inside the bracket")
def gelu_no_one(x):
    """The 1 is missing: even instead of one-sided."""
    return 0.5 * x * torch.tanh(C * (x + 0.044715 * x**3))


@wrong("gelu_tanh", says="you forgot the factor 0.5")
def gelu_no_half(x):
    """Twice as large."""
    return x * (1 + torch.tanh(C * (x + 0.044715 * x**3)))


@wrong("gelu_tanh", says="you forgot the factor x in front")
def gelu_no_x(x):
    """The share that passes, without x."""
    return 0.5 * (1 + torch.tanh(C * (x + 0.044715 * x**3)))


@wrong(
    "gelu_tanh",
    says="gelu_tanh(x) with large x: there is nan or inf in the result. A tanh made of exponentials overflows: use torch.tanh.",
)
def gelu_by_exp(x):
    """tanh from exponentials: nan for large x."""
    z = C * (x + 0.044715 * x**3)
    return 0.5 * x * (1 + (torch.exp(z) - torch.exp(-z)) / (torch.exp(z) + torch.exp(-z)))


@wrong(
    "gelu_tanh",
    says=": no gradient flows back, so nothing could be trained through this. Stay with tensors: no .detach(), .item(), .tolist() or numpy on the way",
)
def gelu_numpy(x):
    """Right values, no gradient."""
    z = x.detach().numpy()
    return torch.from_numpy(0.5 * z * (1 + np.tanh(C * (z + 0.044715 * z**3)))).to(x.dtype)


# --- dropout --------------------------------------------------------------------------------------


def guard(p):
    if not 0 <= p < 1:
        raise ValueError(p)


@wrong("dropout", says="the kept numbers must grow by 1 / (1 - p) in training")
def drop_not_rescaled(x, p, training=True):
    """The mean shrinks in training."""
    guard(p)
    return x * (torch.rand(x.shape) >= p) if training else x


@wrong("dropout", says="you multiply by 1 - p in evaluation; divide by it in training instead")
def drop_scaled_in_evaluation(x, p, training=True):
    """The form of the first paper: scales in evaluation."""
    guard(p)
    return x * (torch.rand(x.shape) >= p) if training else x * (1 - p)


@wrong("dropout", says=": numbers were set to 0. In evaluation nothing is dropped.")
def drop_always(x, p, training=True):
    """Ignores `training`."""
    guard(p)
    return x * (torch.rand(x.shape) >= p) / (1 - p)


@wrong("dropout", says="p is the share to drop, not to keep")
def drop_keeps_p(x, p, training=True):
    """p as the share to keep: the same for p = 0.5."""
    guard(p)
    return x * (torch.rand(x.shape) < p) / p if training and p else x


@wrong("dropout", says="you divided by p; divide by the share that is kept, 1 - p")
def drop_divides_by_p(x, p, training=True):
    """Rescales by p: the same for p = 0.5."""
    guard(p)
    return x * (torch.rand(x.shape) >= p) / p if training and p else x


@wrong("dropout", says="you multiplied by 1 - p; divide by it")
def drop_multiplies(x, p, training=True):
    """Multiplies by 1 - p."""
    guard(p)
    return x * (torch.rand(x.shape) >= p) * (1 - p) if training and p else x


@wrong("dropout", says="each sequence lost the same places; draw one random number")
def drop_whole_features(x, p, training=True):
    """One draw for each feature, the same at all positions."""
    guard(p)
    return x * (torch.rand(x.shape[-1]) >= p) / (1 - p) if training else x


@wrong("dropout", says="each sequence lost the same places; draw one random number")
def drop_same_in_batch(x, p, training=True):
    """One mask for all sequences of the batch."""
    guard(p)
    return x * (torch.rand(x.shape[1:]) >= p) / (1 - p) if training else x


@wrong("dropout", says="each feature lost the same places; draw one random number")
def drop_positions(x, p, training=True):
    """Drops whole positions."""
    guard(p)
    return x * (torch.rand(*x.shape[:-1], 1) >= p) / (1 - p) if training else x


@wrong(
    "dropout",
    says=": two calls dropped the same numbers. Draw anew each time, and set no seed inside.",
)
def drop_seeded(x, p, training=True):
    """A seed inside: the same numbers are lost at every step."""
    guard(p)
    torch.manual_seed(0)
    return x * (torch.rand(x.shape) >= p) / (1 - p) if training else x


@wrong("dropout", says="the share of zeros should be p")
def drop_normal(x, p, training=True):
    """randn for rand: another share."""
    guard(p)
    return x * (torch.randn(x.shape) >= p) / (1 - p) if training and p else x


@wrong("dropout", says="you divided by the share that happened to be kept; divide by 1 - p")
def drop_sample_share(x, p, training=True):
    """Rescales by the share that happened to be kept."""
    guard(p)
    if not training or p == 0:
        return x
    keep = torch.rand(x.shape) >= p
    return x * keep / keep.float().mean()


@wrong(
    "dropout",
    says=": no gradient flows back. Stay with tensors: no .detach(), .data or numpy on the way.",
)
def drop_no_gradient(x, p, training=True):
    """Right values without a gradient."""
    guard(p)
    return x.detach() * (torch.rand(x.shape) >= p) / (1 - p) if training and p else x


@wrong("dropout", says="must be at least 0 and below 1: it is the share of the numbers to drop")
def drop_no_error(x, p, training=True):
    """p = 1.5 goes unnoticed."""
    return x * (torch.rand(x.shape) >= p) / (1 - p) if training and p else x


@wrong("dropout", says="you divide by 1 - p in evaluation, too")
def drop_scales_all(x, p, training=True):
    """Rescales in evaluation as well."""
    guard(p)
    return (x * (torch.rand(x.shape) >= p) if training and p else x) / (1 - p)


@wrong("dropout", says="you divide by 1 - p in training, so do not multiply by it in evaluation")
def drop_scales_twice(x, p, training=True):
    """Both forms at once."""
    guard(p)
    return x * (torch.rand(x.shape) >= p) / (1 - p) if training and p else x * (1 - p)


@wrong("dropout", says="nothing was set to 0, although training is True by default")
def drop_off_by_default(x, p, training=False):
    """Another default."""
    guard(p)
    return x * (torch.rand(x.shape) >= p) / (1 - p) if training and p else x


@wrong("dropout", says="with x in torch.float64: the result has dtype torch.float32")
def drop_float32(x, p, training=True):
    """float32, whatever came."""
    guard(p)
    return (x * (torch.rand(x.shape) >= p) / (1 - p)).float() if training and p else x


# --- sinusoidal_positions -------------------------------------------------------------------------


def paired(d_model):
    if d_model % 2:
        raise ValueError(d_model)


def rates(d_model, base):
    return base ** (-torch.arange(0, d_model, 2, dtype=torch.float64) / d_model)


def interleave(angles):
    return torch.stack([angles.sin(), angles.cos()], -1).flatten(-2).float()


@wrong(
    "sinusoidal_positions",
    says="all sines come first, then all cosines; they take turns: even features sines, odd ones cosines",
)
def sin_halves(T, d_model, base=10_000.0):
    """All sines, then all cosines."""
    paired(d_model)
    angles = torch.outer(torch.arange(T).double(), rates(d_model, base))
    return torch.cat([angles.sin(), angles.cos()], -1).float()


@wrong("sinusoidal_positions", says="sines and cosines are swapped: even features are sines")
def sin_swapped(T, d_model, base=10_000.0):
    """Cosines first."""
    paired(d_model)
    angles = torch.outer(torch.arange(T).double(), rates(d_model, base))
    return torch.stack([angles.cos(), angles.sin()], -1).flatten(-2).float()


@wrong(
    "sinusoidal_positions",
    says="the exponent is 2i / d_model for the i-th pair; yours is i / d_model",
)
def sin_exponent_i(T, d_model, base=10_000.0):
    """i / d for the i-th pair: the longest wave is √base."""
    paired(d_model)
    return interleave(
        torch.outer(
            torch.arange(T).double(), base ** (-torch.arange(d_model // 2).double() / d_model)
        )
    )


@wrong(
    "sinusoidal_positions",
    says="the exponent differs between the sine and the cosine of a pair; a pair has one rate",
)
def sin_exponent_j(T, d_model, base=10_000.0):
    """The index of the feature as the exponent, so sine and cosine differ in rate."""
    paired(d_model)
    j = torch.arange(d_model).double()
    angles = torch.outer(torch.arange(T).double(), base ** (-j / d_model))
    return torch.where(j % 2 == 0, angles.sin(), angles.cos()).float()


@wrong(
    "sinusoidal_positions",
    says="the exponent is 2i / d_model for the i-th pair; yours is 4i / d_model",
)
def sin_exponent_double(T, d_model, base=10_000.0):
    """2i of an index that goes in steps of two already."""
    paired(d_model)
    return interleave(torch.outer(torch.arange(T).double(), rates(d_model, base) ** 2))


@wrong(
    "sinusoidal_positions", says="the exponent is 2i / d_model; yours reaches 1 at the last pair"
)
def sin_last_is_base(T, d_model, base=10_000.0):
    """i / (d/2 - 1), as in an early implementation."""
    paired(d_model)
    exponent = torch.arange(d_model // 2).double() / max(d_model // 2 - 1, 1)
    return interleave(torch.outer(torch.arange(T).double(), base**-exponent))


@wrong("sinusoidal_positions", says="without an argument base is 10000; yours is 1000")
def sin_base_1000(T, d_model, base=1_000.0):
    """Another base by default."""
    paired(d_model)
    return interleave(torch.outer(torch.arange(T).double(), rates(d_model, base)))


@wrong("sinusoidal_positions", says="you took 10000 for base, whatever was given")
def sin_fixed_base(T, d_model, base=10_000.0):
    """Ignores the base."""
    paired(d_model)
    return interleave(torch.outer(torch.arange(T).double(), rates(d_model, 10_000.0)))


@wrong("sinusoidal_positions", says="the first position is 0, not 1")
def sin_from_one(T, d_model, base=10_000.0):
    """Positions 1 to T."""
    paired(d_model)
    return interleave(torch.outer(torch.arange(1, T + 1).double(), rates(d_model, base)))


@wrong("sinusoidal_positions", says="the rates grow instead of falling: the exponent has a minus")
def sin_growing(T, d_model, base=10_000.0):
    """The minus is lost: rates grow."""
    paired(d_model)
    return interleave(torch.outer(torch.arange(T).double(), 1 / rates(d_model, base)))


@wrong(
    "sinusoidal_positions",
    says="you forgot the wavelengths: each pair has a rate of its own",
)
def sin_one_rate(T, d_model, base=10_000.0):
    """1 radian a position for all pairs."""
    paired(d_model)
    return interleave(torch.arange(T).double()[:, None].expand(T, d_model // 2))


@wrong(
    "sinusoidal_positions",
    says="rows are positions, columns are features: yours are the other way round",
)
def sin_transposed(T, d_model, base=10_000.0):
    """Features down, positions across."""
    paired(d_model)
    return interleave(torch.outer(torch.arange(T).double(), rates(d_model, base))).T


@wrong(
    "sinusoidal_positions",
    says=": the table is float64, which no model uses: finish with .float().",
)
def sin_double(T, d_model, base=10_000.0):
    """float64 all the way out."""
    paired(d_model)
    angles = torch.outer(torch.arange(T).double(), rates(d_model, base))
    return torch.stack([angles.sin(), angles.cos()], -1).flatten(-2)


@wrong(
    "sinusoidal_positions", says="is odd: sines and cosines come in pairs, so choose an even number"
)
def sin_odd_is_fine(T, d_model, base=10_000.0):
    """Says nothing about an odd d_model."""
    return interleave(torch.outer(torch.arange(T).double(), rates(d_model, base)))[:, :d_model]


@wrong("sinusoidal_positions", says=DIFFERS)
def sin_bfloat_angles(T, d_model, base=10_000.0):
    """Angles in half precision: right near the start only."""
    paired(d_model)
    return interleave(
        torch.outer(torch.arange(T).float(), rates(d_model, base).float()).bfloat16().float()
    )


# --- pre_norm_block -------------------------------------------------------------------------------


@wrong(
    "pre_norm_block",
    says="that is post-norm, which normalises after the sum; GPT-2 normalises what a part reads",
)
def block_post_norm(x, attn, mlp, ln_1, ln_2):
    """The first transformer's order."""
    x = ln_1(x + attn(x))
    return ln_2(x + mlp(x))


@wrong(
    "pre_norm_block",
    says="that is the parallel post-norm formula; here the MLP comes after the attention",
)
def block_parallel_post(x, attn, mlp, ln_1, ln_2):
    """The textbook formula."""
    return ln_1(x + attn(x) + mlp(x))


@wrong("pre_norm_block", says="the MLP did not see what the attention wrote: update x first")
def block_parallel(x, attn, mlp, ln_1, ln_2):
    """The MLP does not see the attention."""
    return x + attn(ln_1(x)) + mlp(ln_2(x))


@wrong("pre_norm_block", says="the residual is missing at both parts: add what a part says to x")
def block_no_residual(x, attn, mlp, ln_1, ln_2):
    """Replaces instead of adding."""
    return mlp(ln_2(attn(ln_1(x))))


@wrong("pre_norm_block", says="the residual is missing at the MLP")
def block_no_second_residual(x, attn, mlp, ln_1, ln_2):
    """The MLP replaces the stream."""
    x = x + attn(ln_1(x))
    return mlp(ln_2(x))


@wrong("pre_norm_block", says="the residual is missing at the attention")
def block_no_first_residual(x, attn, mlp, ln_1, ln_2):
    """The attention replaces the stream."""
    x = attn(ln_1(x))
    return x + mlp(ln_2(x))


@wrong("pre_norm_block", says="x was added once more at the end; it is in the stream already")
def block_residual_twice(x, attn, mlp, ln_1, ln_2):
    """x comes in once more at the end."""
    h = x + attn(ln_1(x))
    return x + h + mlp(ln_2(h))


@wrong("pre_norm_block", says="the residual was added twice at the MLP")
def block_twice_at_mlp(x, attn, mlp, ln_1, ln_2):
    """`+=` where `=` was meant."""
    x = x + attn(ln_1(x))
    x += x + mlp(ln_2(x))
    return x


@wrong("pre_norm_block", says="the residual was added twice at the attention")
def block_twice_at_attention(x, attn, mlp, ln_1, ln_2):
    """The same at the attention."""
    h = x + attn(ln_1(x))
    h = x + h
    return h + mlp(ln_2(h))


@wrong(
    "pre_norm_block",
    says="the second residual is the old x: add the MLP's answer to the stream that holds the attention's",
)
def block_old_residual(x, attn, mlp, ln_1, ln_2):
    """The second residual is the old x, so the attention's write is lost."""
    h = x + attn(ln_1(x))
    return x + mlp(ln_2(h))


@wrong(
    "pre_norm_block", says="the residual is the normalised copy; add to x itself, before LayerNorm"
)
def block_normalised_residual(x, attn, mlp, ln_1, ln_2):
    """Overwrites x with its normalised copy before the sum."""
    x = ln_1(x)
    x = x + attn(x)
    x = ln_2(x)
    return x + mlp(x)


@wrong(
    "pre_norm_block",
    says="the residual of the attention is the normalised copy; add to x itself",
)
def block_normalised_first_residual(x, attn, mlp, ln_1, ln_2):
    """Overwrites x before the attention only."""
    x = ln_1(x)
    x = x + attn(x)
    return x + mlp(ln_2(x))


@wrong("pre_norm_block", says="ln_1 and ln_2 are swapped")
def block_swapped_norms(x, attn, mlp, ln_1, ln_2):
    """ln_1 and ln_2 swapped: the same at the start of training, where both are equal."""
    x = x + attn(ln_2(x))
    return x + mlp(ln_1(x))


@wrong("pre_norm_block", says="ln_1 was used twice; the MLP has ln_2")
def block_one_norm(x, attn, mlp, ln_1, ln_2):
    """ln_1 for both parts."""
    x = x + attn(ln_1(x))
    return x + mlp(ln_1(x))


@wrong("pre_norm_block", says="the MLP comes second: attention first")
def block_mlp_first(x, attn, mlp, ln_1, ln_2):
    """The parts in the wrong order."""
    x = x + mlp(ln_2(x))
    return x + attn(ln_1(x))


@wrong("pre_norm_block", says="attn and mlp read x without LayerNorm")
def block_no_norms(x, attn, mlp, ln_1, ln_2):
    """No LayerNorm at all."""
    x = x + attn(x)
    return x + mlp(x)


@wrong("pre_norm_block", says="the attention reads the stream without ln_1")
def block_no_first_norm(x, attn, mlp, ln_1, ln_2):
    """The attention reads the raw stream."""
    x = x + attn(x)
    return x + mlp(ln_2(x))


@wrong("pre_norm_block", says="the MLP reads the stream without ln_2")
def block_no_second_norm(x, attn, mlp, ln_1, ln_2):
    """The MLP reads the raw stream."""
    x = x + attn(ln_1(x))
    return x + mlp(x)


@wrong("pre_norm_block", says="you normalised the answers; normalise what a part reads")
def block_norm_of_writes(x, attn, mlp, ln_1, ln_2):
    """Normalises the answers."""
    x = x + ln_1(attn(x))
    return x + ln_2(mlp(x))


@wrong(
    "pre_norm_block",
    says="a pre-norm block ends with the sum; the last LayerNorm of the model comes after all blocks",
)
def block_last_norm(x, attn, mlp, ln_1, ln_2):
    """A LayerNorm too many at the end."""
    x = x + attn(ln_1(x))
    return ln_2(x + mlp(ln_2(x)))


@wrong("pre_norm_block", says="times. Keep its answer: the work is dear")
def block_calls_twice(x, attn, mlp, ln_1, ln_2):
    """Right values, but the attention is computed twice."""
    return x + attn(ln_1(x)) + mlp(ln_2(x + attn(ln_1(x))))


@wrong("pre_norm_block", says="changed its argument in place")
def block_in_place(x, attn, mlp, ln_1, ln_2):
    """Changes the caller's stream."""
    x += attn(ln_1(x))
    x += mlp(ln_2(x))
    return x


@wrong("pre_norm_block", says="it does not flow through x itself")
def block_detached(x, attn, mlp, ln_1, ln_2):
    """Cuts the gradient at the residual."""
    x = x.detach() + attn(ln_1(x))
    return x + mlp(ln_2(x))


# --- frozen_layer_norm ----------------------------------------------------------------------------


def centre(writes):
    return writes - writes.mean(-1, keepdim=True)


def variance(writes, correction=0):
    return writes.sum(0).var(-1, correction=correction, keepdim=True)


@wrong(
    "frozen_layer_norm",
    says="each write was divided by its own standard deviation; all share the one of the sum",
)
def frozen_own_scale(writes, weight, eps=1e-5):
    """LayerNorm of each write: right for one write."""
    return F.layer_norm(writes, writes.shape[-1:], weight, None, eps)


@wrong(
    "frozen_layer_norm", says="the writes are not centred: subtract from each write its own mean"
)
def frozen_not_centred(writes, weight, eps=1e-5):
    """No centring."""
    return writes / torch.sqrt(variance(writes) + eps) * weight


@wrong(
    "frozen_layer_norm",
    says="you subtracted the mean of the sum from each write; each has a mean of its own",
)
def frozen_common_mean(writes, weight, eps=1e-5):
    """The sum's mean from every write."""
    return (
        (writes - writes.sum(0).mean(-1, keepdim=True))
        / torch.sqrt(variance(writes) + eps)
        * weight
    )


@wrong(
    "frozen_layer_norm",
    says="the parts add up, but the mean of the sum was shared out equally; each write has a mean of its own",
)
def frozen_shared_mean(writes, weight, eps=1e-5):
    """The sum's mean in equal parts: the total is right, the parts are not."""
    return (
        (writes - writes.mean(0).mean(-1, keepdim=True))
        / torch.sqrt(variance(writes) + eps)
        * weight
    )


@wrong(
    "frozen_layer_norm",
    says="you added up the variances of the writes; take the variance of their sum",
)
def frozen_sum_of_variances(writes, weight, eps=1e-5):
    """As if the writes were independent."""
    return (
        centre(writes)
        / torch.sqrt(writes.var(-1, correction=0, keepdim=True).sum(0) + eps)
        * weight
    )


@wrong("frozen_layer_norm", says="the scale is that of the mean of the writes; take their sum")
def frozen_mean_scale(writes, weight, eps=1e-5):
    """The scale of the mean of the writes."""
    return (
        centre(writes)
        / torch.sqrt(writes.mean(0).var(-1, correction=0, keepdim=True) + eps)
        * weight
    )


@wrong("frozen_layer_norm", says="the scale is that of the last write")
def frozen_last_scale(writes, weight, eps=1e-5):
    """The scale of the last write only."""
    return (
        centre(writes) / torch.sqrt(writes[-1].var(-1, correction=0, keepdim=True) + eps) * weight
    )


@wrong(
    "frozen_layer_norm", says="the variance divides by d_model - 1; LayerNorm divides by d_model"
)
def frozen_unbiased(writes, weight, eps=1e-5):
    """d - 1."""
    return centre(writes) / torch.sqrt(variance(writes, correction=1) + eps) * weight


@wrong("frozen_layer_norm", says="you forgot the gain: multiply by weight")
def frozen_no_gain(writes, weight, eps=1e-5):
    """Forgets the gain."""
    return centre(writes) / torch.sqrt(variance(writes) + eps)


@wrong("frozen_layer_norm", says="eps stands outside the root: it belongs to the variance")
def frozen_eps_outside(writes, weight, eps=1e-5):
    """eps beside the root."""
    return centre(writes) / (torch.sqrt(variance(writes)) + eps) * weight


@wrong("frozen_layer_norm", says="you took 1e-5 for eps, whatever was given")
def frozen_own_eps(writes, weight, eps=1e-5):
    """Ignores eps."""
    return centre(writes) / torch.sqrt(variance(writes) + 1e-5) * weight


@wrong(
    "frozen_layer_norm", says="you returned the LayerNorm of the sum; return the part of each write"
)
def frozen_total(writes, weight, eps=1e-5):
    """One tensor for the sum."""
    return F.layer_norm(writes.sum(0), writes.shape[-1:], weight, None, eps)


@wrong("frozen_layer_norm", says="you subtracted the mean over the writes, dim=0")
def frozen_over_writes(writes, weight, eps=1e-5):
    """Centres over the writes instead of the features."""
    return (writes - writes.mean(0)) / torch.sqrt(variance(writes) + eps) * weight


# --- Values right, gradients wrong ----------------------------------------------------------------


@wrong("layer_norm", says="lets no gradient reach")
def norm_frozen_bias(x, weight, bias, eps=1e-5):
    """The shift learns nothing."""
    return block.layer_norm(x, weight, bias.detach(), eps)


@wrong(
    "layer_norm",
    says=": no gradient flows back, so nothing could be trained through this. Stay with tensors: no .detach(), .item(), .tolist() or numpy on the way",
)
def norm_frozen_gain(x, weight, bias, eps=1e-5):
    """The gain learns nothing."""
    return block.layer_norm(x, weight.data, bias, eps)


@wrong("layer_norm", says="the gradient of")
def norm_fixed_statistics(x, weight, bias, eps=1e-5):
    """Mean and variance under no_grad, as if they were constants."""
    with torch.no_grad():
        mean = x.mean(-1, keepdim=True)
        scale = (x.var(-1, correction=0, keepdim=True) + eps).sqrt()
    return (x - mean) / scale * weight + bias


@wrong("gelu_tanh", says="the gradient of")
def gelu_fixed_gate(x):
    """The gate is a constant, and the slope is only that of x."""
    gate = (0.5 * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))).detach()
    return x * gate


@wrong("gelu_tanh", says="the gradient of")
def gelu_straight_through(x):
    """The right values with the slope 1."""
    return x + (block.gelu_tanh(x) - x).detach()


@wrong("pre_norm_block", says="the gradient of")
def block_detached_stream(x, attn, mlp, ln_1, ln_2):
    """The stream is cut behind the attention: the MLP's part sends nothing back through it."""
    x = x + attn(ln_1(x))
    return x + mlp(ln_2(x.detach()))


@wrong("pre_norm_block", says="the gradient of")
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


@wrong("dropout", says="the count is nearly the same for each call")
def drop_exact_count(x, p, training=True):
    """Exactly p of all numbers, at random places."""

    def draw():
        order = torch.randperm(x.numel())
        return (order < round(p * x.numel())).view(x.shape)

    return drop_where(x, p, training, draw)


@wrong("dropout", says="the count is nearly the same for each sequence")
def drop_exact_count_of_each_row(x, p, training=True):
    """The same number of features in each row."""

    def draw():
        return torch.rand(x.shape).argsort(-1) < round(p * x.shape[-1])

    return drop_where(x, p, training, draw)


@wrong("dropout", says="the share of zeros should be p")
def drop_places_with_replacement(x, p, training=True):
    """p · n places drawn with replacement: some twice, so fewer are dropped."""

    def draw():
        dropped = torch.zeros(x.numel(), dtype=torch.bool)
        dropped[torch.randint(x.numel(), (round(p * x.numel()),))] = True
        return dropped.view(x.shape)

    return drop_where(x, p, training, draw)


@wrong("dropout", says="the share of zeros should be p")
def drop_a_little_less(x, p, training=True):
    """A twentieth too few."""
    return drop_where(x, p, training, lambda: torch.rand(x.shape) < 0.95 * p)


@wrong("dropout", says="neighbours along the features go together")
def drop_half_of_them_mirrored(x, p, training=True):
    """Antithetic dice: one u for two neighbours, u and 1 - u."""

    def draw():
        u = torch.rand((x.numel() + 1) // 2)
        return torch.stack([u, 1 - u], 1).flatten()[: x.numel()].view(x.shape) < p

    return drop_where(x, p, training, draw)
