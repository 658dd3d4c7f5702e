"""Wrong answers to the exercises of lesson 06: mistakes that people make. Every checker must reject
every one.
"""

import numpy as np
import torch
import torch.nn.functional as F
from answers import DIFFERS, WrongAnswers

from course_utils.superposition import toy_model

wrong = WrongAnswers()


# --- feature_batch --------------------------------------------------------------------------------


def guard(S):
    if not bool(((S >= 0) & (S < 1)).all()):
        raise ValueError(S)


def dice(S, batch, n_features, generator):
    guard(S)
    return torch.rand(len(S), batch, n_features, generator=generator)


@wrong("feature_batch", says=". It must be uniform between 0 and 1, not on or off.")
def batch_binary(S, batch, n_features, generator):
    """On or off instead of a size."""
    return (dice(S, batch, n_features, generator) >= S[:, None, None]).float()


@wrong("feature_batch", says="the share of zeros should be S")
def batch_dense(S, batch, n_features, generator):
    """Noise for a batch: no zeros at all."""
    return dice(S, batch, n_features, generator)


@wrong(
    "feature_batch",
    says=": there are negative features. The sizes are uniform between 0 and 1: torch.rand, not torch.randn.",
)
def batch_normal(S, batch, n_features, generator):
    """randn for the sizes."""
    active = dice(S, batch, n_features, generator) >= S[:, None, None]
    return active * torch.randn(batch, n_features, generator=generator)


@wrong(
    "feature_batch",
    says=": there are features above 1. The sizes are uniform between 0 and 1, and are not rescaled.",
)
def batch_normal_folded(S, batch, n_features, generator):
    """|randn|: positive, but no uniform size."""
    active = dice(S, batch, n_features, generator) >= S[:, None, None]
    return active * torch.randn(batch, n_features, generator=generator).abs()


@wrong("feature_batch", says="S is the probability of a 0, not of a feature")
def batch_swapped(S, batch, n_features, generator):
    """S as the probability of a feature: the same for S = 1/2."""
    active = dice(S, batch, n_features, generator) < S[:, None, None]
    return active * torch.rand(batch, n_features, generator=generator)


@wrong(
    "feature_batch",
    says="the active features lie between S and 1: one die decided both. Stretch them back, or throw twice.",
)
def batch_one_die(S, batch, n_features, generator):
    """One die for both, not stretched: active features are never small."""
    u = dice(S, batch, n_features, generator)
    return u * (u >= S[:, None, None])


@wrong("feature_batch", says="; uniform between 0 and 1 means 0.50 and 0.33.")
def batch_shifted(S, batch, n_features, generator):
    """One die, moved to 0 but not stretched: active features are never large."""
    return (dice(S, batch, n_features, generator) - S[:, None, None]).clamp(min=0)


@wrong(
    "feature_batch",
    says="in each example all features are active, or none is",
)
def batch_whole_examples(S, batch, n_features, generator):
    """One die an example: all features or none."""
    guard(S)
    active = torch.rand(batch, 1, generator=generator) >= S[:, None, None]
    return active * torch.rand(batch, n_features, generator=generator)


@wrong("feature_batch", says="all examples have the same features")
def batch_same_features(S, batch, n_features, generator):
    """One mask for the whole batch."""
    guard(S)
    active = torch.rand(len(S), 1, n_features, generator=generator) >= S[:, None, None]
    return active * torch.rand(batch, n_features, generator=generator)


@wrong("feature_batch", says="in each example all features have the same size")
def batch_same_sizes(S, batch, n_features, generator):
    """One size an example, for all of its features."""
    active = dice(S, batch, n_features, generator) >= S[:, None, None]
    return active * torch.rand(batch, 1, generator=generator)


@wrong(
    "feature_batch",
    says=": you used torch's global dice. Pass generator=generator to torch.rand, so that a run can be repeated.",
)
def batch_global(S, batch, n_features, generator):
    """Ignores the generator."""
    guard(S)
    return (torch.rand(len(S), batch, n_features) >= S[:, None, None]) * torch.rand(
        len(S), batch, n_features
    )


@wrong(
    "feature_batch",
    says=": you used torch's global dice. Pass generator=generator to torch.rand, so that a run can be repeated.",
)
def batch_half_global(S, batch, n_features, generator):
    """The generator for the mask only."""
    return (dice(S, batch, n_features, generator) >= S[:, None, None]) * torch.rand(
        batch, n_features
    )


@wrong(
    "feature_batch",
    says=": two calls in a row gave the same batch. Draw from the generator, and do not seed it inside.",
)
def batch_seeded(S, batch, n_features, generator):
    """Seeds inside: every step sees the same batch."""
    generator.manual_seed(0)
    return (dice(S, batch, n_features, generator) >= S[:, None, None]) * torch.rand(
        batch, n_features, generator=generator
    )


@wrong("feature_batch", says="must raise ValueError: a sparsity S must be at least 0 and below 1")
def batch_no_error(S, batch, n_features, generator):
    """S = 1 goes unnoticed: nothing is ever there."""
    active = torch.rand(batch, n_features, generator=generator) >= S[:, None, None]
    return active * torch.rand(batch, n_features, generator=generator)


@wrong("feature_batch", says="the share of zeros should be S")
def batch_first_sparsity(S, batch, n_features, generator):
    """All instances get the first one's sparsity."""
    return (dice(S, batch, n_features, generator) >= S[0]) * torch.rand(
        batch, n_features, generator=generator
    )


@wrong(
    "feature_batch",
    says=": there are features above 1. The sizes are uniform between 0 and 1, and are not rescaled.",
)
def batch_rescaled(S, batch, n_features, generator):
    """Divides by the density, as dropout does."""
    active = dice(S, batch, n_features, generator) >= S[:, None, None]
    return active * torch.rand(batch, n_features, generator=generator) / (1 - S[:, None, None])


@wrong("feature_batch", says="the count is nearly the same for each example")
def batch_exact_count(S, batch, n_features, generator):
    """Features fill up from the first: the share is right, but who is active is no chance."""
    guard(S)
    u = torch.rand(batch, 1, generator=generator)
    active = ((torch.arange(n_features) / n_features + u) % 1) >= S[:, None, None]
    return active * torch.rand(batch, n_features, generator=generator)


@wrong("feature_batch", says="all examples have the same sizes")
def batch_fixed_sizes(S, batch, n_features, generator):
    """One size a feature, for all examples."""
    active = dice(S, batch, n_features, generator) >= S[:, None, None]
    return active * torch.rand(n_features, generator=generator)


@wrong(
    "feature_batch", says="the same seed gave another batch. All dice must come from the generator"
)
def batch_numpy_sizes(S, batch, n_features, generator):
    """numpy's dice for the sizes."""
    active = dice(S, batch, n_features, generator) >= S[:, None, None]
    return active * torch.from_numpy(np.random.random((batch, n_features))).float()


@wrong("feature_batch", says="examples hang together with their neighbours")
def batch_doubled(S, batch, n_features, generator):
    """Half of the throws, each of them used twice."""
    guard(S)
    u = torch.rand((batch + 1) // 2, n_features, generator=generator)
    active = u.repeat_interleave(2, dim=0)[:batch] >= S[:, None, None]
    return active * torch.rand(batch, n_features, generator=generator)


# --- reconstruct ----------------------------------------------------------------------------------


def bend(out, linear):
    return out if linear else torch.relu(out)


@wrong("reconstruct", says="you forgot the bias b")
def rec_no_bias(x, W, b, linear=False):
    """Forgets the bias: right while it is 0."""
    return bend(x @ W.mT @ W, linear)


@wrong("reconstruct", says="the bias comes before the ReLU: add it first, then bend")
def rec_bias_after(x, W, b, linear=False):
    """The bias after the ReLU."""
    return bend(x @ W.mT @ W, linear) + b.unsqueeze(-2)


@wrong("reconstruct", says="you left out the ReLU")
def rec_no_relu(x, W, b, linear=False):
    """Always linear."""
    return x @ W.mT @ W + b.unsqueeze(-2)


@wrong("reconstruct", says=": linear=True leaves the ReLU out")
def rec_always_relu(x, W, b, linear=False):
    """Ignores `linear`."""
    return torch.relu(x @ W.mT @ W + b.unsqueeze(-2))


@wrong("reconstruct", says="linear is turned round: only linear=True leaves the ReLU out")
def rec_linear_swapped(x, W, b, linear=False):
    """Bends where it should not."""
    return bend(x @ W.mT @ W + b.unsqueeze(-2), not linear)


@wrong("reconstruct", says="the hidden layer has no ReLU; only the output is bent")
def rec_hidden_relu(x, W, b, linear=False):
    """Bends the hidden layer: a usual network, but not this model."""
    return torch.relu(x @ W.mT) @ W + b.unsqueeze(-2)


@wrong("reconstruct", says="both layers are bent; only the output is")
def rec_both_relu(x, W, b, linear=False):
    """Bends both."""
    return bend(bend(x @ W.mT, linear) @ W + b.unsqueeze(-2), linear)


@wrong(
    "reconstruct",
    says="each instance has its own bias, the same for all its examples: b.unsqueeze(-2)",
)
def rec_bias_broadcast(x, W, b, linear=False):
    """b without a dimension for the examples: right for one instance, silently wrong for as many
    instances as examples.
    """
    return bend(x @ W.mT @ W + b, linear)


@wrong("reconstruct", says="you subtracted the bias")
def rec_bias_minus(x, W, b, linear=False):
    """Subtracts the bias."""
    return bend(x @ W.mT @ W - b.unsqueeze(-2), linear)


@wrong("reconstruct", says="you applied W twice; the second time it is Wᵀ")
def rec_twice_w(x, W, b, linear=False):
    """W both times: only square matrices run."""
    return bend(x @ W.mT @ W.mT + b.unsqueeze(-2), linear)


@wrong("reconstruct", says=".T turns all dimensions round")
def rec_dot_t(x, W, b, linear=False):
    """.T turns all dimensions round: right for one instance."""
    return bend(x @ W.permute(*reversed(range(W.ndim))) @ W + b.unsqueeze(-2), linear)


@wrong(
    "reconstruct", says="hidden is W x, then Wᵀ reads back; yours has the two the other way round"
)
def rec_transposed(x, W, b, linear=False):
    """W x with rows for columns: only square matrices run."""
    return bend(x @ W @ W.mT + b.unsqueeze(-2), linear)


@wrong("reconstruct", says="the gradient does not reach the W that reads back")
def rec_detached(x, W, b, linear=False):
    """Reads back with a W that is not trained."""
    return bend(x @ W.mT @ W.detach() + b.unsqueeze(-2), linear)


@wrong("reconstruct", says="you used GELU; the output is bent by a ReLU")
def rec_gelu(x, W, b, linear=False):
    """Another bend."""
    out = x @ W.mT @ W + b.unsqueeze(-2)
    return out if linear else F.gelu(out)


@wrong("reconstruct", says="you used a sigmoid; the output is bent by a ReLU")
def rec_sigmoid(x, W, b, linear=False):
    """A probability for each feature."""
    out = x @ W.mT @ W + b.unsqueeze(-2)
    return out if linear else torch.sigmoid(out)


@wrong("reconstruct", says="the gradient does not reach the W that makes the hidden layer")
def rec_detached_hidden(x, W, b, linear=False):
    """Trains only what reads back."""
    return bend((x @ W.mT).detach() @ W + b.unsqueeze(-2), linear)


@wrong("reconstruct", says="you gave back the first instance only")
def rec_one_instance(x, W, b, linear=False):
    """Only the first instance."""
    return (
        bend(x @ W.mT @ W + b.unsqueeze(-2), linear)
        if W.ndim == 2
        else bend(x[0] @ W[0].mT @ W[0] + b[0], linear)
    )


# --- feature_dimensionality -----------------------------------------------------------------------


def parts(W):
    gram = W.mT @ W
    return gram, gram.diagonal(dim1=-2, dim2=-1)


@wrong("feature_dimensionality", says="j runs over all features, i itself too")
def dim_without_itself(W):
    """j ≠ i: infinite for a feature that is alone."""
    gram, lengths = parts(W)
    own = torch.eye(W.shape[-1], dtype=torch.bool)
    return lengths.square() / gram.square().masked_fill(own, 0).sum(-1).clamp(min=1e-30)


@wrong(
    "feature_dimensionality", says="divide by the sum of the squares; you did not square Ŵ_i · W_j"
)
def dim_no_square(W):
    """Sums the overlaps with their signs."""
    gram, lengths = parts(W)
    return lengths.pow(1.5) / gram.sum(-1)


@wrong("feature_dimensionality", says="divide by the sum of the squares; you took absolute values")
def dim_absolute(W):
    """Absolute values for squares: right for pairs."""
    gram, lengths = parts(W)
    return lengths.pow(1.5) / gram.abs().sum(-1).clamp(min=1e-30)


@wrong("feature_dimensionality", says="W_i has length 1 in the sum; you left it as it is")
def dim_not_unit(W):
    """No unit vector: right where all lengths are 1."""
    gram, lengths = parts(W)
    return lengths / gram.square().sum(-1).clamp(min=1e-30)


@wrong(
    "feature_dimensionality", says="both were brought to length 1; in the sum W_j keeps its length"
)
def dim_both_unit(W):
    """Cosines: right where all lengths are 1."""
    unit = F.normalize(W, dim=-2)
    return W.square().sum(-2) / (unit.mT @ unit).square().sum(-1).clamp(min=1e-30)


@wrong(
    "feature_dimensionality", says="the wrong one of the two has length 1, or the sum runs over it"
)
def dim_wrong_unit(W):
    """The other one is brought to length 1: right where all lengths are the same."""
    return W.square().sum(-2) / (W.mT @ F.normalize(W, dim=-2)).square().sum(-1).clamp(min=1e-30)


@wrong(
    "feature_dimensionality", says="the wrong one of the two has length 1, or the sum runs over it"
)
def dim_wrong_axis(W):
    """Sums over i for each j."""
    return W.square().sum(-2) / (F.normalize(W, dim=-2).mT @ W).square().sum(-2).clamp(min=1e-30)


@wrong("feature_dimensionality", says="the numerator is the squared length ‖W_i‖²")
def dim_length(W):
    """The length instead of its square."""
    gram, lengths = parts(W)
    return lengths.pow(1.5) / gram.square().sum(-1).clamp(min=1e-30)


@wrong("feature_dimensionality", says="that is the fraction turned round: ‖W_i‖² stands above")
def dim_upside_down(W):
    """The fraction turned round."""
    gram, lengths = parts(W)
    return gram.square().sum(-1) / lengths.square().clamp(min=1e-30)


@wrong("feature_dimensionality", says="you returned the sum alone: divide ‖W_i‖² by it")
def dim_sum_alone(W):
    """The denominator."""
    gram, lengths = parts(W)
    return gram.square().sum(-1) / lengths.clamp(min=1e-30)


@wrong(
    "feature_dimensionality",
    says="you returned the sum over the features; each has its own dimensionality",
)
def dim_total(W):
    """The dimensions that are used up by all features together."""
    gram, lengths = parts(W)
    return (lengths.square() / gram.square().sum(-1).clamp(min=1e-30)).sum(-1)


@wrong(
    "feature_dimensionality",
    says=": there is nan in the result. Such a feature has the dimensionality 0: keep the denominator above 0.",
)
def dim_nan(W):
    """0 / 0 for a feature that is not kept."""
    gram, lengths = parts(W)
    return lengths.square() / gram.square().sum(-1)


@wrong("feature_dimensionality", says=DIFFERS)
def dim_epsilon(W):
    """A large number to be safe: features of middle length look smaller."""
    gram, lengths = parts(W)
    return lengths.square() / (gram.square().sum(-1) + 0.01)


@wrong("feature_dimensionality", says="that is D* = m / ‖W‖², one number for all features")
def dim_star(W):
    """m / ‖W‖² for every feature."""
    return (W.shape[-2] / W.square().sum((-2, -1)))[..., None].expand(*W.shape[:-2], W.shape[-1])


@wrong("feature_dimensionality", says="features are the columns of W; you took the rows")
def dim_rows(W):
    """Rows for columns: only square matrices have the right shape."""
    return dim_nan(W.mT)


@wrong("feature_dimensionality", says=".T turns all dimensions round")
def dim_dot_t(W):
    """.T: right for one instance only."""
    gram = W.permute(*reversed(range(W.ndim))) @ W
    return gram.diagonal(dim1=-2, dim2=-1).square() / gram.square().sum(-1).clamp(min=1e-30)


# --- ablate ---------------------------------------------------------------------------------------


@wrong("ablate", says="the direction must have length 1: divide W_feature by its length first")
def ab_not_unit(hidden, W, feature):
    """The direction as long as it is: right at length 1."""
    w = W[..., feature].unsqueeze(-2)
    return hidden - (hidden * w).sum(-1, keepdim=True) * w


@wrong(
    "ablate",
    says="divide by the squared length ‖W‖² once, or normalise first; you divided by the length only",
)
def ab_divides_once(hidden, W, feature):
    """Divides by the length once."""
    w = W[..., feature].unsqueeze(-2)
    return hidden - (hidden * w).sum(-1, keepdim=True) * w / w.norm(dim=-1, keepdim=True).clamp(
        min=1e-12
    )


@wrong(
    "ablate",
    says="you took W_feature away as it is; take away the part of hidden that lies along it",
)
def ab_subtracts_feature(hidden, W, feature):
    """As if the feature were always there at size 1."""
    return hidden - W[..., feature].unsqueeze(-2)


@wrong(
    "ablate",
    says="you took the unit direction away; take away the part of hidden that lies along it",
)
def ab_subtracts_unit(hidden, W, feature):
    """The same with length 1."""
    return hidden - F.normalize(W[..., feature], dim=-1).unsqueeze(-2)


@wrong("ablate", says="that is the part along the feature; return what is left without it")
def ab_keeps_part(hidden, W, feature):
    """Returns what should go."""
    w = F.normalize(W[..., feature], dim=-1).unsqueeze(-2)
    return (hidden * w).sum(-1, keepdim=True) * w


@wrong("ablate", says="that mirrors hidden; subtract the part once, not twice")
def ab_mirror(hidden, W, feature):
    """Subtracts twice."""
    w = F.normalize(W[..., feature], dim=-1).unsqueeze(-2)
    return hidden - 2 * (hidden * w).sum(-1, keepdim=True) * w


@wrong("ablate", says="you added the part along the feature; subtract it")
def ab_adds(hidden, W, feature):
    """The wrong sign."""
    w = F.normalize(W[..., feature], dim=-1).unsqueeze(-2)
    return hidden + (hidden * w).sum(-1, keepdim=True) * w


@wrong("ablate", says="a feature is a direction, not a coordinate of the hidden space")
def ab_coordinate(hidden, W, feature):
    """Sets a coordinate to 0: right without superposition, when features are axes."""
    out = hidden.clone()
    out[..., feature] = 0
    return out


@wrong("ablate", says="nothing was taken away: hidden came back as it was")
def ab_changes_W(hidden, W, feature):
    """Erases the feature in W, where nothing reads it any more."""
    W = W.clone()
    W[..., feature] = 0
    return hidden


@wrong("ablate", says="features are the columns of W; you took a row")
def ab_row(hidden, W, feature):
    """A row of W: only square matrices run."""
    w = F.normalize(W[..., feature, :], dim=-1).unsqueeze(-2)
    return hidden - (hidden * w).sum(-1, keepdim=True) * w


@wrong("ablate", says="each instance has its own direction: keep a dimension for the examples")
def ab_no_unsqueeze(hidden, W, feature):
    """No dimension for the examples: right for one instance, silently wrong for as many instances
    as examples.
    """
    w = F.normalize(W[..., feature], dim=-1)
    return hidden - (hidden * w).sum(-1, keepdim=True) * w


@wrong("ablate", says="where that feature has length 0: there is nan in the result")
def ab_nan(hidden, W, feature):
    """0 / 0 for a feature that is not kept."""
    w = W[..., feature].unsqueeze(-2)
    return hidden - (hidden * w).sum(-1, keepdim=True) / w.square().sum(-1, keepdim=True) * w


@wrong("ablate", says="you took away the absolute value of the part")
def ab_absolute(hidden, W, feature):
    """Takes |part| away."""
    w = F.normalize(W[..., feature], dim=-1).unsqueeze(-2)
    return hidden - (hidden * w).sum(-1, keepdim=True).abs() * w


@wrong("ablate", says="you took away positive parts only")
def ab_positive_only(hidden, W, feature):
    """Only where the feature seems to be there."""
    w = F.normalize(W[..., feature], dim=-1).unsqueeze(-2)
    return hidden - (hidden * w).sum(-1, keepdim=True).clamp(min=0) * w


@wrong("ablate", says="each example has a part of its own; you took their mean")
def ab_mean_part(hidden, W, feature):
    """The average part, from every example."""
    w = F.normalize(W[..., feature], dim=-1).unsqueeze(-2)
    return hidden - (hidden * w).sum(-1, keepdim=True).mean(-2, keepdim=True) * w


# --- Values right, gradients wrong ----------------------------------------------------------------


@wrong("reconstruct", says=": no gradient reaches the input. Use the tensors that you were given")
def rec_frozen_bias(x, W, b, linear=False):
    """The bias learns nothing."""
    return toy_model.reconstruct(x, W, b.detach(), linear)


@wrong("reconstruct", says="the gradient of")
def rec_frozen_way_in(x, W, b, linear=False):
    """W learns on the way back only."""
    out = (x @ W.detach().mT) @ W + b.unsqueeze(-2)
    return out if linear else torch.relu(out)


@wrong("reconstruct", says="the gradient of")
def rec_straight_through(x, W, b, linear=False):
    """The ReLU lets all gradients through."""
    out = (x @ W.mT) @ W + b.unsqueeze(-2)
    return out if linear else out + (torch.relu(out) - out).detach()


@wrong("reconstruct", says="lets no gradient flow back")
def rec_linear_without_gradient(x, W, b, linear=False):
    """Without a ReLU nothing flows back."""
    out = toy_model.reconstruct(x, W, b, linear)
    return out.detach() if linear else out


# --- Dice that are none ---------------------------------------------------------------------------


def batch_of(S, batch, n_features, generator, active, size=None):
    if not bool(((S >= 0) & (S < 1)).all()):
        raise ValueError("sparsity")
    die = active(batch, n_features, generator)
    size = torch.rand(batch, n_features, generator=generator) if size is None else size
    return (die >= S[:, None, None]) * size


@wrong("feature_batch", says="the count is nearly the same for each batch")
def batch_exact_share(S, batch, n_features, generator):
    """Exactly the share 1 - S of all numbers."""

    def active(B, n, generator):
        order = torch.randperm(B * n, generator=generator).view(B, n)
        return (order + 0.5) / (B * n)

    return batch_of(S, batch, n_features, generator, active)


@wrong("feature_batch", says="the count is nearly the same for each feature")
def batch_exact_share_of_a_feature(S, batch, n_features, generator):
    """Each feature in exactly the share 1 - S of the examples."""

    def active(B, n, generator):
        return (torch.rand(B, n, generator=generator).argsort(0).argsort(0) + 0.5) / B

    return batch_of(S, batch, n_features, generator, active)


@wrong("feature_batch", says="the share of zeros should be")
def batch_a_little_denser(S, batch, n_features, generator):
    """A share of zeros that is a twentieth too small."""
    return batch_of(
        S, batch, n_features, generator, lambda B, n, g: torch.rand(B, n, generator=g) * 0.95 + 0.05
    )


@wrong("feature_batch", says="sizes are different. Draw them by torch.rand, not from a few values.")
def batch_in_hundredths(S, batch, n_features, generator):
    """Sizes from a hundred values."""
    size = torch.randint(1, 101, (batch, n_features), generator=generator) / 100
    return batch_of(
        S, batch, n_features, generator, lambda B, n, g: torch.rand(B, n, generator=g), size
    )


@wrong("feature_batch", says="between 0 and 1")
def batch_sizes_from_a_tenth(S, batch, n_features, generator):
    """No size below 0.03: the range begins too late."""
    size = torch.rand(batch, n_features, generator=generator) * 0.97 + 0.03
    return batch_of(
        S, batch, n_features, generator, lambda B, n, g: torch.rand(B, n, generator=g), size
    )


@wrong(
    "feature_batch",
    says=". The instances share their dice: throw (batch, n_features) of them, and compare them with each S.",
)
def batch_dice_of_each_instance(S, batch, n_features, generator):
    """Each instance has dice of its own."""
    if not bool(((S >= 0) & (S < 1)).all()):
        raise ValueError("sparsity")
    shape = (len(S), batch, n_features)
    active = torch.rand(shape, generator=generator) >= S[:, None, None]
    return active * torch.rand(shape, generator=generator)


# --- border ---------------------------------------------------------------------------------------


def known(importance):
    if importance <= 0:
        raise ValueError("an importance is above 0")
    return min(1, importance)


@wrong("border", says="above importance 1 it is feature 0 that would be dropped")
def border_one_side(importance):
    """The formula for I up to 1, everywhere."""
    known(importance)
    return 4 * importance / (2 + 5 * importance)


@wrong("border", says="yours is answered by 0")
def border_answers_zero(importance):
    """The mean square in place of the variance."""
    return 2 * known(importance) / (1 + importance)


@wrong("border", says="you left the importance out")
def border_without_importance(importance):
    """Each dropped feature costs its variance."""
    known(importance)
    return 4 / (5 + 2 * importance)


@wrong("border", says="both features are wrong when they meet")
def border_one_pays(importance):
    """Only feature 0 pays at a meeting."""
    least = known(importance)
    return least / 3 / (least / 4 + 1 / 6)


@wrong("border", says="whose mean square is 1/6; yours is 1/3")
def border_whole_size(importance):
    """As if both answers were 0 at each meeting."""
    least = known(importance)
    return least / 3 / (least / 4 + (1 + importance) / 3)


@wrong("border", says="the less important feature is the one to drop")
def border_drops_the_other(importance):
    """Drops the more important one."""
    most = max(known(importance), importance, 1)
    return most / 3 / (most / 4 + (1 + importance) / 6)


@wrong("border", says="1/12 is the variance of its size alone")
def border_of_a_uniform_number(importance):
    """Var of a uniform number, times p."""
    return known(importance) / 12 / ((1 + importance) / 6)


@wrong("border", says="that is the sparsity S")
def border_as_sparsity(importance):
    """Gives back 1 - p."""
    known(importance)
    return 1 - toy_model.border(importance)


@wrong("border", says="must raise ValueError")
def border_refuses_nothing(importance):
    """An importance of 0 or below goes through."""
    least = min(1, importance)
    return 4 * least / (3 * least + 2 * (1 + importance) + 1e-30)
