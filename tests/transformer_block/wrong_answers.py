"""Wrong answers to the exercises of lesson 03: mistakes that people make. Every checker must reject
every one.
"""

import torch
import torch.nn.functional as F
from answers import WrongAnswers

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


# --- feed_forward ---------------------------------------------------------------------------------


@wrong("feed_forward", says="the activation is missing: without it two linear maps are one")
def ff_linear(x, w_in, b_in, w_out, b_out, activation):
    """Two linear maps in a row."""
    return (x @ w_in.mT + b_in) @ w_out.mT + b_out


@wrong("feed_forward", says="the activation came twice")
def ff_bends_twice(x, w_in, b_in, w_out, b_out, activation):
    """As in a stack where every layer ends with an activation."""
    for w, b in ((w_in, b_in), (w_out, b_out)):
        x = activation(F.linear(x, w, b))
    return x


@wrong("feed_forward", says="the activation stands behind the second map")
def ff_bends_at_the_end(x, w_in, b_in, w_out, b_out, activation):
    """At the wrong place."""
    return activation(F.linear(F.linear(x, w_in, b_in), w_out, b_out))


@wrong("feed_forward", says="the activation bent x; it bends what comes out of the first map")
def ff_bends_the_input(x, w_in, b_in, w_out, b_out, activation):
    """Before the first map."""
    return F.linear(F.linear(activation(x), w_in, b_in), w_out, b_out)


@wrong("feed_forward", says="you forgot b_in: add it before the activation")
def ff_no_first_bias(x, w_in, b_in, w_out, b_out, activation):
    """One bias only."""
    return activation(x @ w_in.T) @ w_out.T + b_out


@wrong("feed_forward", says="b_in comes before the activation, and not behind it")
def ff_late_bias(x, w_in, b_in, w_out, b_out, activation):
    """A bracket at the wrong place."""
    return (activation(x @ w_in.T) + b_in) @ w_out.T + b_out


@wrong("feed_forward", says="you forgot b_out")
def ff_no_last_bias(x, w_in, b_in, w_out, b_out, activation):
    """The other bias."""
    return activation(x @ w_in.T + b_in) @ w_out.T


@wrong("feed_forward", says="you forgot both biases")
def ff_no_biases(x, w_in, b_in, w_out, b_out, activation):
    """Matrices only."""
    return activation(x @ w_in.T) @ w_out.T


@wrong("feed_forward", says="x was added: the sum is the block's, and comes later")
def ff_with_residual(x, w_in, b_in, w_out, b_out, activation):
    """The block's sum inside the part."""
    return x + activation(x @ w_in.T + b_in) @ w_out.T + b_out


@wrong("feed_forward", says="you took ReLU, whatever was given; call activation")
def ff_relu(x, w_in, b_in, w_out, b_out, activation):
    """Hard-wired."""
    return F.linear(F.linear(x, w_in, b_in).clamp(min=0), w_out, b_out)


@wrong("feed_forward", says="you took GELU, whatever was given; call activation")
def ff_gelu(x, w_in, b_in, w_out, b_out, activation):
    """Hard-wired, too."""
    return F.linear(F.gelu(F.linear(x, w_in, b_in)), w_out, b_out)


@wrong("feed_forward", says="the matrices are (out, in), as nn.Linear keeps them")
def ff_turned(x, w_in, b_in, w_out, b_out, activation):
    """Fits where d_inner is d_model."""
    return activation(x @ w_in + b_in) @ w_out + b_out


@wrong("feed_forward", says="no gradient reaches the input")
def ff_detached_bias(x, w_in, b_in, w_out, b_out, activation):
    """The first bias learns nothing."""
    return activation(x @ w_in.T + b_in.detach()) @ w_out.T + b_out


# --- deaf_block -----------------------------------------------------------------------------------


@wrong("deaf_block", says="that is the block as it was")
def deaf_not_at_all(x, attn, mlp, ln_1, ln_2):
    """Changes nothing."""
    return block.pre_norm_block(x, attn, mlp, ln_1, ln_2)


@wrong(
    "deaf_block", says="what the attention wrote is hidden from everything behind the block, too"
)
def deaf_without_attention(x, attn, mlp, ln_1, ln_2):
    """The attention is taken out."""
    return x + mlp(ln_2(x))


@wrong("deaf_block", says="the attention is hidden from all but the MLP")
def deaf_the_wrong_way(x, attn, mlp, ln_1, ln_2):
    """Only the MLP hears."""
    return x + mlp(ln_2(x + attn(ln_1(x))))


@wrong("deaf_block", says="the MLP is gone: it still reads x and writes")
def deaf_without_mlp(x, attn, mlp, ln_1, ln_2):
    """Takes the MLP out."""
    return x + attn(ln_1(x))


@wrong("deaf_block", says="the sum with x is missing")
def deaf_no_residual(x, attn, mlp, ln_1, ln_2):
    """The parts alone."""
    return attn(ln_1(x)) + mlp(ln_2(x))


@wrong("deaf_block", says="x was added twice")
def deaf_twice(x, attn, mlp, ln_1, ln_2):
    """Each part brings its x."""
    return (x + attn(ln_1(x))) + (x + mlp(ln_2(x)))


@wrong("deaf_block", says="that is the parallel post-norm formula")
def deaf_post_norm(x, attn, mlp, ln_1, ln_2):
    """The formula of the notes."""
    return ln_1(x + attn(x) + mlp(x))


@wrong("deaf_block", says="ln_1 and ln_2 are swapped")
def deaf_swapped(x, attn, mlp, ln_1, ln_2):
    """The norms change places."""
    return x + attn(ln_2(x)) + mlp(ln_1(x))


@wrong("deaf_block", says="ln_1 was used twice; the MLP has ln_2")
def deaf_one_norm(x, attn, mlp, ln_1, ln_2):
    """As in GPT-J, which has one norm for both."""
    copy = ln_1(x)
    return x + attn(copy) + mlp(copy)


@wrong("deaf_block", says="attn and mlp read x without LayerNorm")
def deaf_raw(x, attn, mlp, ln_1, ln_2):
    """No norms."""
    return x + attn(x) + mlp(x)


@wrong("deaf_block", says="the MLP reads x without ln_2")
def deaf_raw_mlp(x, attn, mlp, ln_1, ln_2):
    """One norm is missing."""
    return x + attn(ln_1(x)) + mlp(x)


@wrong("deaf_block", says="the MLP hears nothing but the attention; it reads x")
def deaf_chain(x, attn, mlp, ln_1, ln_2):
    """The MLP reads the write alone."""
    write = attn(ln_1(x))
    return x + write + mlp(ln_2(write))


@wrong("deaf_block", says="now the attention does not hear x but the MLP")
def deaf_turned_round(x, attn, mlp, ln_1, ln_2):
    """MLP first."""
    x = x + mlp(ln_2(x))
    return x + attn(ln_1(x))


@wrong("deaf_block", says="times. Keep its answer: the work is dear")
def deaf_calls_twice(x, attn, mlp, ln_1, ln_2):
    """Hears first, and then takes it away again."""
    return block.pre_norm_block(x, attn, lambda z: 0 * mlp(z), ln_1, ln_2) + mlp(ln_2(x))


@wrong("deaf_block", says="it does not flow through x itself")
def deaf_detached(x, attn, mlp, ln_1, ln_2):
    """The stream is cut."""
    return x.detach() + attn(ln_1(x)) + mlp(ln_2(x))
