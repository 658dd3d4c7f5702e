"""Wrong answers to the exercises of lesson 11: mistakes that people make. Every checker must reject
every one.
"""

import torch
from answers import WrongAnswers

from course_utils.transformer_block import block

wrong = WrongAnswers()


# --- repeat_kv ------------------------------------------------------------------------------------


@wrong(
    "repeat_kv",
    says="the order is head 0, 1, 2, 0, 1, 2 …; neighbours share a head: 0, 0, 1, 1, 2, 2",
)
def repeat_tiles(x, n_rep):
    """0, 1, 0, 1 instead of 0, 0, 1, 1: right for one head."""
    return x.repeat(1, n_rep, 1, 1)


@wrong(
    "repeat_kv",
    says="the order is head 0, 1, 2, 0, 1, 2 …; neighbours share a head: 0, 0, 1, 1, 2, 2",
)
def repeat_cat(x, n_rep):
    """The same with cat."""
    return torch.cat([x] * n_rep, dim=1)


@wrong("repeat_kv", says="you repeated the sequences of the batch; repeat the heads")
def repeat_batch(x, n_rep):
    """Repeats the batch."""
    return x.repeat_interleave(n_rep, dim=0)


@wrong("repeat_kv", says="you repeated the positions; repeat the heads")
def repeat_positions(x, n_rep):
    """Repeats the positions."""
    return x.repeat_interleave(n_rep, dim=2)


@wrong("repeat_kv", says="you repeated the features; repeat the heads")
def repeat_features(x, n_rep):
    """Repeats the features."""
    return x.repeat_interleave(n_rep, dim=3)


@wrong("repeat_kv", says="without dim=… repeat_interleave flattens x and repeats every number")
def repeat_everything(x, n_rep):
    """repeat_interleave without dim flattens."""
    return x.repeat_interleave(n_rep)


@wrong(
    "repeat_kv", says="n_rep counts the copies of each head in the result, the original among them"
)
def repeat_once_more(x, n_rep):
    """n_rep copies on top of the original."""
    return x.repeat_interleave(n_rep + 1, dim=1)


@wrong(
    "repeat_kv",
    says="n_rep is the number of copies of each head, not the number of heads in the end",
)
def repeat_to_n_rep(x, n_rep):
    """n_rep taken as the number of heads in the end."""
    return x.repeat_interleave(max(1, n_rep // x.size(1)), dim=1)


@wrong("repeat_kv", says="the copies have a dimension of their own: join it with the heads")
def repeat_expand_only(x, n_rep):
    """A fifth dimension is left."""
    B, H, S, d = x.shape
    return x[:, :, None].expand(B, H, n_rep, S, d)


@wrong(
    "repeat_kv",
    says="the order is head 0, 1, 2, 0, 1, 2 …; neighbours share a head: 0, 0, 1, 1, 2, 2",
)
def repeat_expand_first(x, n_rep):
    """The new dimension stands before the heads: tiles after the reshape."""
    B, H, S, d = x.shape
    return x[:, None].expand(B, n_rep, H, S, d).reshape(B, n_rep * H, S, d)


@wrong("repeat_kv", says="the copies stand behind the positions, so that a reshape mixes both")
def repeat_reshape_mixes(x, n_rep):
    """The new dimension stands behind the positions: the reshape mixes."""
    B, H, S, d = x.shape
    return x[:, :, :, None].expand(B, H, S, n_rep, d).reshape(B, H * n_rep, S, d)


@wrong("repeat_kv", says="only the first head of each group is filled; the others are 0")
def repeat_zeros(x, n_rep):
    """Copies into the first of each group and leaves the others 0."""
    out = torch.zeros(x.size(0), x.size(1) * n_rep, *x.shape[2:], dtype=x.dtype)
    out[:, ::n_rep] = x
    return out


@wrong("repeat_kv", says="you divided by n_rep; a copy has the numbers of its head")
def repeat_shares(x, n_rep):
    """Divides by n_rep so that the sum stays the same."""
    return (x / n_rep).to(x.dtype).repeat_interleave(n_rep, dim=1)


@wrong("repeat_kv", says="nothing was repeated")
def repeat_not(x, n_rep):
    """Relies on broadcasting: returns x."""
    return x


# --- sinusoidal_positions -------------------------------------------------------------------------


def paired(d_model):
    if d_model % 2:
        raise ValueError(d_model)


def rates(d_model, base):
    return base ** (-torch.arange(0, d_model, 2, dtype=torch.float64) / d_model)


# --- rotary ---------------------------------------------------------------------------------------


def cos_sin(x, base=10_000.0, first=0, power=1.0):
    T, d = x.shape[-2:]
    paired(d)
    angles = torch.outer(torch.arange(first, first + T).double(), rates(d, base) ** power)
    return angles.cos().to(x.dtype), angles.sin().to(x.dtype)


def turned(x, cos, sin):
    even = x[..., 0::2]
    odd = x[..., 1::2]
    return torch.stack([even * cos - odd * sin, even * sin + odd * cos], -1).flatten(-2)


@wrong(
    "rotary",
    says="feature i is paired with i + d/2 (as in Llama); here neighbours 2i and 2i + 1 are a pair",
)
def rot_halves(x, base=10_000.0):
    """Pairs i and i + d/2, as in Llama: the same for d = 2."""
    cos, sin = cos_sin(x, base)
    a, b = x.chunk(2, -1)
    return torch.cat([a * cos - b * sin, a * sin + b * cos], -1)


@wrong(
    "rotary", says="you turned the other way: even' = even·cos - odd·sin, odd' = even·sin + odd·cos"
)
def rot_backwards(x, base=10_000.0):
    """Turns the other way; distances still work."""
    cos, sin = cos_sin(x, base)
    return turned(x, cos, -sin)


@wrong("rotary", says="both halves of a pair have the same sign; a rotation has one minus")
def rot_no_minus(x, base=10_000.0):
    """No rotation: lengths change."""
    cos, sin = cos_sin(x, base)
    even = x[..., 0::2]
    odd = x[..., 1::2]
    return torch.stack([even * cos + odd * sin, even * sin + odd * cos], -1).flatten(-2)


@wrong(
    "rotary",
    says="the turned features are side by side, all even ones first; put them back in turns",
)
def rot_concatenated(x, base=10_000.0):
    """Reads neighbours, writes halves."""
    cos, sin = cos_sin(x, base)
    even = x[..., 0::2]
    odd = x[..., 1::2]
    return torch.cat([even * cos - odd * sin, even * sin + odd * cos], -1)


@wrong("rotary", says="the first position is turned by 0: count positions from 0")
def rot_from_one(x, base=10_000.0):
    """Positions from 1: distances still work."""
    return turned(x, *cos_sin(x, base, first=1))


@wrong("rotary", says="the exponent is -2i / d for the i-th pair; yours is -i / d")
def rot_half_exponent(x, base=10_000.0):
    """-i / d."""
    return turned(x, *cos_sin(x, base, power=0.5))


@wrong("rotary", says="the exponent is -2i / d; yours is -4i / d")
def rot_double_exponent(x, base=10_000.0):
    """-4i / d."""
    return turned(x, *cos_sin(x, base, power=2.0))


@wrong("rotary", says="your base is 1000 where none is given; it must be 10000")
def rot_base_1000(x, base=1_000.0):
    """Another base by default."""
    return turned(x, *cos_sin(x, base))


@wrong("rotary", says="you ignored the base that was given")
def rot_fixed_base(x, base=10_000.0):
    """Ignores the base."""
    return turned(x, *cos_sin(x))


@wrong("rotary", says="all pairs turn at the same rate")
def rot_one_rate(x, base=10_000.0):
    """All pairs at one rate."""
    return turned(x, *cos_sin(x, 1.0))


@wrong(
    "rotary", says="the positions are the second to last dimension; you counted along another one"
)
def rot_wrong_axis(x, base=10_000.0):
    """Counts positions along the heads."""
    if x.ndim < 3:
        return turned(x, *cos_sin(x, base))
    y = x.transpose(-2, -3)
    return turned(y, *cos_sin(y, base)).transpose(-2, -3)


@wrong("rotary", says="you added the positions; rotary turns x and adds nothing")
def rot_adds(x, base=10_000.0):
    """Adds the sinusoids."""
    cos, sin = cos_sin(x, base)
    return x + torch.stack([sin, cos], -1).flatten(-2)


@wrong("rotary", says="you turned the odd features with even ones that were turned before")
def rot_overwrites(x, base=10_000.0):
    """Updates the even features first and turns the odd ones with the new values."""
    cos, sin = cos_sin(x, base)
    y = x.clone()
    y[..., 0::2] = y[..., 0::2] * cos - y[..., 1::2] * sin
    y[..., 1::2] = y[..., 0::2] * sin + y[..., 1::2] * cos
    return y


@wrong("rotary", says="the result has the dtype of cos and sin, float32; bring them to x.dtype")
def rot_promotes(x, base=10_000.0):
    """bfloat16 in, float32 out."""
    cos, sin = cos_sin(x.float(), base)
    return turned(x, cos, sin)


@wrong("rotary", says="must raise ValueError: x has 3 features: they are turned in pairs")
def rot_odd_is_fine(x, base=10_000.0):
    """Leaves the last of an odd number of features out without a word."""
    d = x.shape[-1] // 2 * 2
    return turned(x[..., :d], *cos_sin(x[..., :d], base))


@wrong("repeat_kv", says="the gradient of repeat_kv(x, n_rep=3): 48 of 48 values differ")
def repeat_first_learns(x, n_rep):
    """Only the first of the copies sends a gradient back."""
    right = x.repeat_interleave(n_rep, dim=1)
    first = torch.arange(right.shape[1]) % n_rep == 0
    return torch.where(first[:, None, None], right, right.detach())


@wrong(
    "repeat_kv",
    says=": no gradient flows back, so nothing could be trained through this. Stay with tensors: no .detach(), .item(), .tolist() or numpy on the way",
)
def repeat_of_numbers(x, n_rep):
    """.data: the numbers without their way back."""
    return x.data.repeat_interleave(n_rep, dim=1)


@wrong(
    "rotary",
    says=": no gradient flows back, so nothing could be trained through this. Stay with tensors: no .detach(), .item(), .tolist() or numpy on the way",
)
def rotary_without_grad(x, base=10000.0):
    """All under no_grad."""
    with torch.no_grad():
        return block.rotary(x, base)


@wrong("rotary", says="the gradient of rotary(x): ")
def rotary_straight_through(x, base=10000.0):
    """The gradient is not turned."""
    return x + (block.rotary(x, base) - x).detach()
