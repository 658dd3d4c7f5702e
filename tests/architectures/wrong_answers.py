"""Wrong answers to the exercises of lesson 11: mistakes that people make. Every checker must reject
every one.
"""

import torch
import torch.nn.functional as F
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


# --- rms_norm -------------------------------------------------------------------------------------


@wrong("rms_norm", says="you took the mean away, as LayerNorm does; here it stays")
def norm_of_layer(x, weight, eps=1e-6):
    """LayerNorm without its shift."""
    return F.layer_norm(x, x.shape[-1:], weight, eps=eps)


@wrong("rms_norm", says="you divided by the standard deviation, which takes the mean away")
def norm_by_std(x, weight, eps=1e-6):
    return x / torch.sqrt(x.var(-1, keepdim=True, unbiased=False) + eps) * weight


@wrong("rms_norm", says="you left out the root")
def norm_without_root(x, weight, eps=1e-6):
    return x / (x.pow(2).mean(-1, keepdim=True) + eps) * weight


@wrong("rms_norm", says="you divided by the length; the mean of the squares, not their sum")
def norm_by_length(x, weight, eps=1e-6):
    return x / torch.sqrt(x.pow(2).sum(-1, keepdim=True) + eps) * weight


@wrong("rms_norm", says="you left out the gain")
def norm_without_gain(x, weight, eps=1e-6):
    return F.rms_norm(x, x.shape[-1:], eps=eps)


@wrong("rms_norm", says="the gain multiplies; you added it")
def norm_adds_gain(x, weight, eps=1e-6):
    return F.rms_norm(x, x.shape[-1:], eps=eps) + weight


@wrong("rms_norm", says="you left out eps, so that a position of zeros gives 0 / 0")
def norm_without_eps(x, weight, eps=1e-6):
    return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True)) * weight


@wrong("rms_norm", says="eps is added to the mean square, under the root; yours stands outside")
def norm_eps_outside(x, weight, eps=1e-6):
    return x / (x.pow(2).mean(-1, keepdim=True).sqrt() + eps) * weight


@wrong("rms_norm", says="one number for the whole tensor")
def norm_of_everything(x, weight, eps=1e-6):
    return x * torch.rsqrt(x.pow(2).mean() + eps) * weight


@wrong("rms_norm", says="you took the mean over the positions; take it over the features")
def norm_over_positions(x, weight, eps=1e-6):
    return x * torch.rsqrt(x.pow(2).mean(-2, keepdim=True) + eps) * weight


@wrong("rms_norm", says="you took absolute values instead of squares")
def norm_of_absolute(x, weight, eps=1e-6):
    return x / (x.abs().mean(-1, keepdim=True) + eps) * weight


@wrong("rms_norm", says="you ignored the eps that was given")
def norm_fixed_eps(x, weight, eps=1e-6):
    return F.rms_norm(x, x.shape[-1:], weight, 1e-6)


@wrong("rms_norm", says="you multiplied by the root; divide by it")
def norm_multiplies(x, weight, eps=1e-6):
    return x * torch.sqrt(x.pow(2).mean(-1, keepdim=True) + eps) * weight


# --- swiglu ---------------------------------------------------------------------------------------


@wrong("swiglu", says="you used a sigmoid alone; SiLU is z · sigmoid(z)")
def glu_alone(x, w_gate, w_up, w_down):
    return ((x @ w_gate).sigmoid() * (x @ w_up)) @ w_down


@wrong("swiglu", says="you used a GELU; the gate goes through SiLU")
def geglu(x, w_gate, w_up, w_down):
    return (F.gelu(x @ w_gate) * (x @ w_up)) @ w_down


@wrong("swiglu", says="you used a ReLU; the gate goes through SiLU")
def reglu(x, w_gate, w_up, w_down):
    return ((x @ w_gate).relu() * (x @ w_up)) @ w_down


@wrong("swiglu", says="the gate was not bent: it needs SiLU")
def bilinear(x, w_gate, w_up, w_down):
    return ((x @ w_gate) * (x @ w_up)) @ w_down


@wrong("swiglu", says="SiLU belongs to the gate; you applied it to the other one")
def bends_the_other(x, w_gate, w_up, w_down):
    return ((x @ w_gate) * F.silu(x @ w_up)) @ w_down


@wrong("swiglu", says="both went through SiLU; only the gate does")
def bends_both(x, w_gate, w_up, w_down):
    return (F.silu(x @ w_gate) * F.silu(x @ w_up)) @ w_down


@wrong("swiglu", says="you added the two; multiply them")
def adds_gate(x, w_gate, w_up, w_down):
    return (F.silu(x @ w_gate) + x @ w_up) @ w_down


@wrong("swiglu", says="you left out the gate")
def no_gate(x, w_gate, w_up, w_down):
    return x @ w_up @ w_down


@wrong("swiglu", says="you left out w_up: two products widen x")
def no_up(x, w_gate, w_up, w_down):
    return F.silu(x @ w_gate) @ w_down


@wrong("swiglu", says="the product of the two went through SiLU; only the gate does")
def bends_product(x, w_gate, w_up, w_down):
    return F.silu((x @ w_gate) * (x @ w_up)) @ w_down


@wrong("swiglu", says="you added x at the end; the block does that")
def swiglu_adds_x(x, w_gate, w_up, w_down):
    return x + (F.silu(x @ w_gate) * (x @ w_up)) @ w_down


@wrong("swiglu", says="the result went through SiLU once more")
def bends_result(x, w_gate, w_up, w_down):
    return F.silu((F.silu(x @ w_gate) * (x @ w_up)) @ w_down)


# --- route ----------------------------------------------------------------------------------------


def checked(logits, k):
    if not 1 <= k <= logits.shape[-1]:
        raise ValueError(k)


@wrong("route", says="your weights sum to 1 over the chosen ones")
def route_over_chosen(logits, k):
    """The softmax of the k largest scores, as in Mixtral."""
    checked(logits, k)
    best, experts = logits.topk(k)
    return best.softmax(-1), experts


@wrong("route", says="your weights sum to 1 over the chosen ones")
def route_renormalised(logits, k):
    checked(logits, k)
    weights, experts = logits.softmax(-1).topk(k)
    return weights / weights.sum(-1, keepdim=True), experts


@wrong("route", says="the weights are the scores; they should be probabilities")
def route_scores(logits, k):
    checked(logits, k)
    return tuple(logits.topk(k))


@wrong("route", says="you chose the least probable experts")
def route_least(logits, k):
    checked(logits, k)
    return tuple(logits.softmax(-1).topk(k, largest=False))


@wrong("route", says="the likeliest expert stands first; yours stand the other way round")
def route_reversed(logits, k):
    checked(logits, k)
    weights, experts = logits.softmax(-1).topk(k)
    return weights.flip(-1), experts.flip(-1)


@wrong("route", says="your experts are sorted by number; sort them by probability")
def route_by_number(logits, k):
    checked(logits, k)
    p = logits.softmax(-1)
    experts = p.topk(k).indices.sort(-1).values
    return p.gather(-1, experts), experts


@wrong("route", says="you took the softmax over the tokens; take it over the experts")
def route_over_tokens(logits, k):
    checked(logits, k)
    return tuple(logits.softmax(0).topk(k))


@wrong("route", says="sigmoids were taken; the probabilities of one token sum to 1")
def route_sigmoid(logits, k):
    checked(logits, k)
    return tuple(logits.sigmoid().topk(k))


@wrong("route", says="you returned experts, weights; first the weights, then the experts")
def route_swapped(logits, k):
    checked(logits, k)
    weights, experts = logits.softmax(-1).topk(k)
    return experts, weights


@wrong("route", says="all chosen experts count the same; each counts with its probability")
def route_equal(logits, k):
    checked(logits, k)
    weights, experts = logits.softmax(-1).topk(k)
    return 0 * weights + 1 / k, experts


@wrong("route", says="must raise")
def route_anything(logits, k):
    """No ValueError for a k that does not fit."""
    k = max(1, min(k, logits.shape[-1]))
    return tuple(logits.softmax(-1).topk(k))


# --- load_balance ---------------------------------------------------------------------------------


def shares_of(experts, E):
    return torch.bincount(experts.flatten(), minlength=E) / experts.numel()


@wrong("load_balance", says="you left out the factor E")
def balance_without_E(logits, experts):
    return (shares_of(experts, logits.shape[1]) * logits.softmax(-1).mean(0)).sum()


@wrong("load_balance", says="f counts choices; divide by their number")
def balance_of_counts(logits, experts):
    E = logits.shape[1]
    return E * (torch.bincount(experts.flatten(), minlength=E) * logits.softmax(-1).mean(0)).sum()


@wrong("load_balance", says="you divided by the number of tokens; f is the share of all choices")
def balance_per_token(logits, experts):
    """transformers' own: the least value is k."""
    E = logits.shape[1]
    counts = torch.bincount(experts.flatten(), minlength=E) / len(experts)
    return E * (counts * logits.softmax(-1).mean(0)).sum()


@wrong("load_balance", says="you took the mean over the experts; add them up and multiply by E")
def balance_mean(logits, experts):
    return (shares_of(experts, logits.shape[1]) * logits.softmax(-1).mean(0)).mean()


@wrong("load_balance", says="you squared the shares f; multiply f by p")
def balance_of_shares(logits, experts):
    return logits.shape[1] * shares_of(experts, logits.shape[1]).square().sum() + 0 * logits.sum()


@wrong("load_balance", says="you squared the probabilities p; multiply f by p")
def balance_of_chances(logits, experts):
    return logits.shape[1] * logits.softmax(-1).mean(0).square().sum()


@wrong("load_balance", says="only the first choice of each token was counted; count all k")
def balance_of_first(logits, experts):
    E = logits.shape[1]
    return E * (shares_of(experts[:, 0], E) * logits.softmax(-1).mean(0)).sum()


@wrong("load_balance", says="p is a mean of probabilities; you took the scores")
def balance_of_scores(logits, experts):
    return logits.shape[1] * (shares_of(experts, logits.shape[1]) * logits.mean(0)).sum()


@wrong("load_balance", says="p is the mean of the probabilities; you took the softmax of the mean")
def balance_of_mean_scores(logits, experts):
    E = logits.shape[1]
    return E * (shares_of(experts, E) * logits.mean(0).softmax(-1)).sum()


@wrong("load_balance", says="the softmax goes over the experts; yours goes over the tokens")
def balance_over_tokens(logits, experts):
    return logits.shape[1] * (shares_of(experts, logits.shape[1]) * logits.softmax(0).mean(0)).sum()


@wrong("load_balance", says="one number for each expert; add them up")
def balance_each(logits, experts):
    return logits.shape[1] * shares_of(experts, logits.shape[1]) * logits.softmax(-1).mean(0)


@wrong("load_balance", says="p counts all tokens; you averaged only over those that chose")
def balance_of_choosers(logits, experts):
    E = logits.shape[1]
    p = logits.softmax(-1)
    total = 0
    for e in range(E):
        mine = (experts == e).any(-1)
        if mine.any():
            total = total + shares_of(experts, E)[e] * p[mine, e].mean()
    return E * total


# --- cross_attention ------------------------------------------------------------------------------


def looked(q, k, v):
    return (q @ k.mT / q.shape[-1] ** 0.5).softmax(-1) @ v


@wrong("cross_attention", says="you looked at x itself: keys and values come from the source")
def cross_self(x, source, w_q, w_k, w_v):
    return looked(x @ w_q, x @ w_k, x @ w_v)


@wrong("cross_attention", says="the source asks and x is looked at; it is the other way round")
def cross_swapped(x, source, w_q, w_k, w_v):
    return looked(source @ w_q, x @ w_k, x @ w_v)


@wrong("cross_attention", says="all three come from the source; the queries come from x")
def cross_source_only(x, source, w_q, w_k, w_v):
    return looked(source @ w_q, source @ w_k, source @ w_v)


@wrong("cross_attention", says="a causal mask hides part of the source; all of it may be looked at")
def cross_causal(x, source, w_q, w_k, w_v):
    q = x @ w_q
    k = source @ w_k
    past = torch.ones(q.shape[-2], k.shape[-2], dtype=torch.bool).tril()
    scores = (q @ k.mT / q.shape[-1] ** 0.5).masked_fill(~past, -torch.inf)
    return scores.softmax(-1) @ (source @ w_v)


@wrong("cross_attention", says="the scores are divided by the root of d; yours are not")
def cross_unscaled(x, source, w_q, w_k, w_v):
    return ((x @ w_q) @ (source @ w_k).mT).softmax(-1) @ (source @ w_v)


@wrong("cross_attention", says="the scores are divided by the root of d; you divided by d")
def cross_over_d(x, source, w_q, w_k, w_v):
    return ((x @ w_q) @ (source @ w_k).mT / w_q.shape[-1]).softmax(-1) @ (source @ w_v)


@wrong("cross_attention", says="the softmax went over the positions of x; it goes over the source")
def cross_other_softmax(x, source, w_q, w_k, w_v):
    scores = (x @ w_q) @ (source @ w_k).mT / w_q.shape[-1] ** 0.5
    return scores.softmax(-2) @ (source @ w_v)


@wrong("cross_attention", says="there was no softmax")
def cross_no_softmax(x, source, w_q, w_k, w_v):
    return (x @ w_q) @ (source @ w_k).mT / w_q.shape[-1] ** 0.5 @ (source @ w_v)


@wrong("cross_attention", says="w_q and w_k were exchanged")
def cross_exchanged(x, source, w_q, w_k, w_v):
    return looked(x @ w_k, source @ w_q, source @ w_v)


@wrong("cross_attention", says="you added x at the end; the block does that")
def cross_adds_x(x, source, w_q, w_k, w_v):
    found = looked(x @ w_q, source @ w_k, source @ w_v)
    return found + x
