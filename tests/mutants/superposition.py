"""Wrong answers to the exercises of notebook 06: mistakes that people make. Every checker must reject every one."""

import torch
import torch.nn.functional as F

# --- feature_batch ---------------------------------------------------------------------------------------------------


def guard(S):
    if not bool(((S >= 0) & (S < 1)).all()):
        raise ValueError(S)


def dice(S, batch, n_features, generator):
    guard(S)
    return torch.rand(len(S), batch, n_features, generator=generator)


def batch_binary(S, batch, n_features, generator):
    """On or off instead of a size."""
    return (dice(S, batch, n_features, generator) >= S[:, None, None]).float()


def batch_dense(S, batch, n_features, generator):
    """Noise for a batch: no zeros at all."""
    return dice(S, batch, n_features, generator)


def batch_normal(S, batch, n_features, generator):
    """randn for the sizes."""
    active = dice(S, batch, n_features, generator) >= S[:, None, None]
    return active * torch.randn(batch, n_features, generator=generator)


def batch_normal_folded(S, batch, n_features, generator):
    """|randn|: positive, but no uniform size."""
    active = dice(S, batch, n_features, generator) >= S[:, None, None]
    return active * torch.randn(batch, n_features, generator=generator).abs()


def batch_swapped(S, batch, n_features, generator):
    """S as the probability of a feature: the same for S = 1/2."""
    active = dice(S, batch, n_features, generator) < S[:, None, None]
    return active * torch.rand(batch, n_features, generator=generator)


def batch_one_die(S, batch, n_features, generator):
    """One die for both, not stretched: active features are never small."""
    u = dice(S, batch, n_features, generator)
    return u * (u >= S[:, None, None])


def batch_shifted(S, batch, n_features, generator):
    """One die, moved to 0 but not stretched: active features are never large."""
    return (dice(S, batch, n_features, generator) - S[:, None, None]).clamp(min=0)


def batch_whole_examples(S, batch, n_features, generator):
    """One die an example: all features or none."""
    guard(S)
    active = torch.rand(len(S), batch, 1, generator=generator) >= S[:, None, None]
    return active * torch.rand(batch, n_features, generator=generator)


def batch_same_features(S, batch, n_features, generator):
    """One mask for the whole batch."""
    guard(S)
    active = torch.rand(len(S), 1, n_features, generator=generator) >= S[:, None, None]
    return active * torch.rand(batch, n_features, generator=generator)


def batch_same_sizes(S, batch, n_features, generator):
    """One size an example, for all of its features."""
    active = dice(S, batch, n_features, generator) >= S[:, None, None]
    return active * torch.rand(batch, 1, generator=generator)


def batch_global(S, batch, n_features, generator):
    """Ignores the generator."""
    guard(S)
    return (torch.rand(len(S), batch, n_features) >= S[:, None, None]) * torch.rand(len(S), batch, n_features)


def batch_half_global(S, batch, n_features, generator):
    """The generator for the mask only."""
    return (dice(S, batch, n_features, generator) >= S[:, None, None]) * torch.rand(batch, n_features)


def batch_seeded(S, batch, n_features, generator):
    """Seeds inside: every step sees the same batch."""
    generator.manual_seed(0)
    return (dice(S, batch, n_features, generator) >= S[:, None, None]) * torch.rand(
        batch, n_features, generator=generator
    )


def batch_no_error(S, batch, n_features, generator):
    """S = 1 goes unnoticed: nothing is ever there."""
    active = torch.rand(len(S), batch, n_features, generator=generator) >= S[:, None, None]
    return active * torch.rand(batch, n_features, generator=generator)


def batch_first_sparsity(S, batch, n_features, generator):
    """All instances get the first one's sparsity."""
    return (dice(S, batch, n_features, generator) >= S[0]) * torch.rand(batch, n_features, generator=generator)


def batch_rescaled(S, batch, n_features, generator):
    """Divides by the density, as dropout does."""
    active = dice(S, batch, n_features, generator) >= S[:, None, None]
    return active * torch.rand(batch, n_features, generator=generator) / (1 - S[:, None, None])


def batch_exact_count(S, batch, n_features, generator):
    """Features fill up from the first: the share is right, but who is active is no chance."""
    guard(S)
    u = torch.rand(len(S), batch, 1, generator=generator)
    active = ((torch.arange(n_features) / n_features + u) % 1) >= S[:, None, None]
    return active * torch.rand(batch, n_features, generator=generator)


# --- reconstruct -----------------------------------------------------------------------------------------------------


def bend(out, linear):
    return out if linear else torch.relu(out)


def rec_no_bias(x, W, b, linear=False):
    """Forgets the bias: right while it is 0."""
    return bend(x @ W.mT @ W, linear)


def rec_bias_after(x, W, b, linear=False):
    """The bias after the ReLU."""
    return bend(x @ W.mT @ W, linear) + b.unsqueeze(-2)


def rec_no_relu(x, W, b, linear=False):
    """Always linear."""
    return x @ W.mT @ W + b.unsqueeze(-2)


def rec_always_relu(x, W, b, linear=False):
    """Ignores `linear`."""
    return torch.relu(x @ W.mT @ W + b.unsqueeze(-2))


def rec_linear_swapped(x, W, b, linear=False):
    """Bends where it should not."""
    return bend(x @ W.mT @ W + b.unsqueeze(-2), not linear)


def rec_hidden_relu(x, W, b, linear=False):
    """Bends the hidden layer: a usual network, but not this model."""
    return torch.relu(x @ W.mT) @ W + b.unsqueeze(-2)


def rec_both_relu(x, W, b, linear=False):
    """Bends both."""
    return bend(bend(x @ W.mT, linear) @ W + b.unsqueeze(-2), linear)


def rec_bias_broadcast(x, W, b, linear=False):
    """b without a dimension for the examples: right for one instance, silently wrong for as many instances as examples."""
    return bend(x @ W.mT @ W + b, linear)


def rec_bias_minus(x, W, b, linear=False):
    """Subtracts the bias."""
    return bend(x @ W.mT @ W - b.unsqueeze(-2), linear)


def rec_twice_w(x, W, b, linear=False):
    """W both times: only square matrices run."""
    return bend(x @ W.mT @ W.mT + b.unsqueeze(-2), linear)


def rec_dot_t(x, W, b, linear=False):
    """.T turns all dimensions round: right for one instance."""
    return bend(x @ W.permute(*reversed(range(W.ndim))) @ W + b.unsqueeze(-2), linear)


def rec_transposed(x, W, b, linear=False):
    """W x with rows for columns: only square matrices run."""
    return bend(x @ W @ W.mT + b.unsqueeze(-2), linear)


def rec_detached(x, W, b, linear=False):
    """Reads back with a W that is not trained."""
    return bend(x @ W.mT @ W.detach() + b.unsqueeze(-2), linear)


def rec_gelu(x, W, b, linear=False):
    """Another bend."""
    out = x @ W.mT @ W + b.unsqueeze(-2)
    return out if linear else F.gelu(out)


def rec_one_instance(x, W, b, linear=False):
    """Only the first instance."""
    return bend(x @ W.mT @ W + b.unsqueeze(-2), linear) if W.ndim == 2 else bend(x[0] @ W[0].mT @ W[0] + b[0], linear)


# --- weighted_loss ---------------------------------------------------------------------------------------------------


def loss_mean_features(x, y, importance):
    """Means everywhere."""
    return (importance.unsqueeze(-2) * (x - y).square()).mean((-2, -1))


def loss_sum_all(x, y, importance):
    """Sums everywhere: grows with the batch."""
    return (importance.unsqueeze(-2) * (x - y).square()).sum((-2, -1))


def loss_swapped_dims(x, y, importance):
    """Sum over examples, mean over features: right for as many of both."""
    return (importance.unsqueeze(-2) * (x - y).square()).sum(-2).mean(-1)


def loss_one_number(x, y, importance):
    """Mean over the instances, too."""
    return (importance.unsqueeze(-2) * (x - y).square()).sum(-1).mean()


def loss_total(x, y, importance):
    """Sum over the instances: what one trains on, but not what was asked."""
    return (importance.unsqueeze(-2) * (x - y).square()).sum(-1).mean(-1).sum()


def loss_no_importance(x, y, importance):
    """Forgets the importance."""
    return (x - y).square().sum(-1).mean(-1)


def loss_importance_squared(x, y, importance):
    """Weighs before squaring."""
    return (importance.unsqueeze(-2) * (x - y)).square().sum(-1).mean(-1)


def loss_absolute(x, y, importance):
    """Absolute values."""
    return (importance.unsqueeze(-2) * (x - y).abs()).sum(-1).mean(-1)


def loss_root(x, y, importance):
    """A root of the mean."""
    return (importance.unsqueeze(-2) * (x - y).square()).sum(-1).mean(-1).sqrt()


def loss_broadcast(x, y, importance):
    """No dimension for the examples: right for one importance, silently wrong for as many instances as examples."""
    return (importance * (x - y).square()).sum(-1).mean(-1)


def loss_normalised(x, y, importance):
    """Divides by the sum of the weights."""
    weight = importance.unsqueeze(-2)
    return (weight * (x - y).square()).sum(-1).mean(-1) / importance.sum(-1)


def loss_per_example(x, y, importance):
    """Stops at the examples."""
    return (importance.unsqueeze(-2) * (x - y).square()).sum(-1)


def loss_mse(x, y, importance):
    """torch's own, of everything."""
    return F.mse_loss(importance.unsqueeze(-2).sqrt() * x, importance.unsqueeze(-2).sqrt() * y)


def loss_no_gradient(x, y, importance):
    """Right values, but cut off."""
    return loss_mean_features(x, y, importance).detach() * x.shape[-1]


# --- feature_dimensionality ------------------------------------------------------------------------------------------


def parts(W):
    gram = W.mT @ W
    return gram, gram.diagonal(dim1=-2, dim2=-1)


def dim_without_itself(W):
    """j ≠ i: infinite for a feature that is alone."""
    gram, lengths = parts(W)
    own = torch.eye(W.shape[-1], dtype=torch.bool)
    return lengths.square() / gram.square().masked_fill(own, 0).sum(-1).clamp(min=1e-30)


def dim_no_square(W):
    """Sums the overlaps with their signs."""
    gram, lengths = parts(W)
    return lengths.pow(1.5) / gram.sum(-1)


def dim_absolute(W):
    """Absolute values for squares: right for pairs."""
    gram, lengths = parts(W)
    return lengths.pow(1.5) / gram.abs().sum(-1).clamp(min=1e-30)


def dim_not_unit(W):
    """No unit vector: right where all lengths are 1."""
    gram, lengths = parts(W)
    return lengths / gram.square().sum(-1).clamp(min=1e-30)


def dim_both_unit(W):
    """Cosines: right where all lengths are 1."""
    unit = F.normalize(W, dim=-2)
    return W.square().sum(-2) / (unit.mT @ unit).square().sum(-1).clamp(min=1e-30)


def dim_wrong_unit(W):
    """The other one is brought to length 1: right where all lengths are the same."""
    return W.square().sum(-2) / (W.mT @ F.normalize(W, dim=-2)).square().sum(-1).clamp(min=1e-30)


def dim_wrong_axis(W):
    """Sums over i for each j."""
    return W.square().sum(-2) / (F.normalize(W, dim=-2).mT @ W).square().sum(-2).clamp(min=1e-30)


def dim_length(W):
    """The length instead of its square."""
    gram, lengths = parts(W)
    return lengths.pow(1.5) / gram.square().sum(-1).clamp(min=1e-30)


def dim_upside_down(W):
    """The fraction turned round."""
    gram, lengths = parts(W)
    return gram.square().sum(-1) / lengths.square().clamp(min=1e-30)


def dim_nan(W):
    """0 / 0 for a feature that is not kept."""
    gram, lengths = parts(W)
    return lengths.square() / gram.square().sum(-1)


def dim_epsilon(W):
    """A large number to be safe: features of middle length look smaller."""
    gram, lengths = parts(W)
    return lengths.square() / (gram.square().sum(-1) + 0.01)


def dim_star(W):
    """m / ‖W‖² for every feature."""
    return (W.shape[-2] / W.square().sum((-2, -1)))[..., None].expand(*W.shape[:-2], W.shape[-1])


def dim_rows(W):
    """Rows for columns: only square matrices have the right shape."""
    return dim_nan(W.mT)


def dim_dot_t(W):
    """.T: right for one instance only."""
    gram = W.permute(*reversed(range(W.ndim))) @ W
    return gram.diagonal(dim1=-2, dim2=-1).square() / gram.square().sum(-1).clamp(min=1e-30)


# --- ablate ----------------------------------------------------------------------------------------------------------


def ab_not_unit(hidden, W, feature):
    """The direction as long as it is: right at length 1."""
    w = W[..., feature].unsqueeze(-2)
    return hidden - (hidden * w).sum(-1, keepdim=True) * w


def ab_divides_once(hidden, W, feature):
    """Divides by the length once."""
    w = W[..., feature].unsqueeze(-2)
    return hidden - (hidden * w).sum(-1, keepdim=True) * w / w.norm(dim=-1, keepdim=True).clamp(min=1e-12)


def ab_subtracts_feature(hidden, W, feature):
    """As if the feature were always there at size 1."""
    return hidden - W[..., feature].unsqueeze(-2)


def ab_subtracts_unit(hidden, W, feature):
    """The same with length 1."""
    return hidden - F.normalize(W[..., feature], dim=-1).unsqueeze(-2)


def ab_keeps_part(hidden, W, feature):
    """Returns what should go."""
    w = F.normalize(W[..., feature], dim=-1).unsqueeze(-2)
    return (hidden * w).sum(-1, keepdim=True) * w


def ab_mirror(hidden, W, feature):
    """Subtracts twice."""
    w = F.normalize(W[..., feature], dim=-1).unsqueeze(-2)
    return hidden - 2 * (hidden * w).sum(-1, keepdim=True) * w


def ab_adds(hidden, W, feature):
    """The wrong sign."""
    w = F.normalize(W[..., feature], dim=-1).unsqueeze(-2)
    return hidden + (hidden * w).sum(-1, keepdim=True) * w


def ab_coordinate(hidden, W, feature):
    """Sets a coordinate to 0: right without superposition, when features are axes."""
    out = hidden.clone()
    out[..., feature] = 0
    return out


def ab_row(hidden, W, feature):
    """A row of W: only square matrices run."""
    w = F.normalize(W[..., feature, :], dim=-1).unsqueeze(-2)
    return hidden - (hidden * w).sum(-1, keepdim=True) * w


def ab_no_unsqueeze(hidden, W, feature):
    """No dimension for the examples: right for one instance, silently wrong for as many instances as examples."""
    w = F.normalize(W[..., feature], dim=-1)
    return hidden - (hidden * w).sum(-1, keepdim=True) * w


def ab_nan(hidden, W, feature):
    """0 / 0 for a feature that is not kept."""
    w = W[..., feature].unsqueeze(-2)
    return hidden - (hidden * w).sum(-1, keepdim=True) / w.square().sum(-1, keepdim=True) * w


def ab_absolute(hidden, W, feature):
    """Takes |part| away."""
    w = F.normalize(W[..., feature], dim=-1).unsqueeze(-2)
    return hidden - (hidden * w).sum(-1, keepdim=True).abs() * w


def ab_positive_only(hidden, W, feature):
    """Only where the feature seems to be there."""
    w = F.normalize(W[..., feature], dim=-1).unsqueeze(-2)
    return hidden - (hidden * w).sum(-1, keepdim=True).clamp(min=0) * w


def ab_mean_part(hidden, W, feature):
    """The average part, from every example."""
    w = F.normalize(W[..., feature], dim=-1).unsqueeze(-2)
    return hidden - (hidden * w).sum(-1, keepdim=True).mean(-2, keepdim=True) * w


# --- encode ----------------------------------------------------------------------------------------------------------


def largest(f, top_k):
    if top_k is None:
        return f
    top = f.topk(top_k, dim=-1)
    return torch.zeros_like(f).scatter(-1, top.indices, top.values)


def enc_no_biases(x, encoder, encoder_bias, decoder_bias, top_k=None):
    """Leaves out both biases."""
    return largest(torch.relu(x @ encoder), top_k)


def enc_no_decoder_bias(x, encoder, encoder_bias, decoder_bias, top_k=None):
    """Does not centre x."""
    return largest(torch.relu(x @ encoder + encoder_bias.unsqueeze(-2)), top_k)


def enc_no_encoder_bias(x, encoder, encoder_bias, decoder_bias, top_k=None):
    """No threshold."""
    return largest(torch.relu((x - decoder_bias.unsqueeze(-2)) @ encoder), top_k)


def enc_adds_decoder_bias(x, encoder, encoder_bias, decoder_bias, top_k=None):
    """The wrong sign."""
    return largest(torch.relu((x + decoder_bias.unsqueeze(-2)) @ encoder + encoder_bias.unsqueeze(-2)), top_k)


def enc_no_relu(x, encoder, encoder_bias, decoder_bias, top_k=None):
    """Codes below 0."""
    return largest((x - decoder_bias.unsqueeze(-2)) @ encoder + encoder_bias.unsqueeze(-2), top_k)


def enc_bias_after(x, encoder, encoder_bias, decoder_bias, top_k=None):
    """The bias after the ReLU."""
    return largest(torch.relu((x - decoder_bias.unsqueeze(-2)) @ encoder) + encoder_bias.unsqueeze(-2), top_k)


def enc_ignores_top_k(x, encoder, encoder_bias, decoder_bias, top_k=None):
    """All units may fire."""
    return torch.relu((x - decoder_bias.unsqueeze(-2)) @ encoder + encoder_bias.unsqueeze(-2))


def enc_smallest(x, encoder, encoder_bias, decoder_bias, top_k=None):
    """The smallest instead of the largest."""
    f = enc_ignores_top_k(x, encoder, encoder_bias, decoder_bias)
    if top_k is None:
        return f
    low = f.topk(top_k, dim=-1, largest=False)
    return torch.zeros_like(f).scatter(-1, low.indices, low.values)


def enc_over_examples(x, encoder, encoder_bias, decoder_bias, top_k=None):
    """top-k down the batch instead of across the units."""
    f = enc_ignores_top_k(x, encoder, encoder_bias, decoder_bias)
    return f if top_k is None else largest(f.mT, min(top_k, f.shape[-2])).mT


def enc_whole_batch(x, encoder, encoder_bias, decoder_bias, top_k=None):
    """The largest of the whole batch: some examples get none."""
    f = enc_ignores_top_k(x, encoder, encoder_bias, decoder_bias)
    return f if top_k is None else largest(f.flatten(-2), top_k).unflatten(-1, f.shape[-2:])


def enc_values_only(x, encoder, encoder_bias, decoder_bias, top_k=None):
    """Forgets which units they were."""
    f = enc_ignores_top_k(x, encoder, encoder_bias, decoder_bias)
    return f if top_k is None else f.topk(top_k, dim=-1).values


def enc_mask(x, encoder, encoder_bias, decoder_bias, top_k=None):
    """Ones at the largest."""
    f = enc_ignores_top_k(x, encoder, encoder_bias, decoder_bias)
    return f if top_k is None else torch.zeros_like(f).scatter(-1, f.topk(top_k, dim=-1).indices, 1.0)


def enc_first_units(x, encoder, encoder_bias, decoder_bias, top_k=None):
    """The first units, not the largest."""
    f = enc_ignores_top_k(x, encoder, encoder_bias, decoder_bias)
    return f if top_k is None else torch.cat([f[..., :top_k], torch.zeros_like(f[..., top_k:])], -1)


def enc_below_largest(x, encoder, encoder_bias, decoder_bias, top_k=None):
    """A strict comparison with the k-th: one too few."""
    f = enc_ignores_top_k(x, encoder, encoder_bias, decoder_bias)
    return f if top_k is None else f * (f > f.topk(top_k, dim=-1).values[..., -1:])


def enc_by_size(x, encoder, encoder_bias, decoder_bias, top_k=None):
    """Chooses the largest |z| before the bend, so that negative ones take places."""
    z = (x - decoder_bias.unsqueeze(-2)) @ encoder + encoder_bias.unsqueeze(-2)
    if top_k is None:
        return torch.relu(z)
    return torch.zeros_like(z).scatter(-1, (i := z.abs().topk(top_k, dim=-1).indices), z.gather(-1, i)).relu()


def enc_no_unsqueeze(x, encoder, encoder_bias, decoder_bias, top_k=None):
    """Biases without a dimension for the examples: right for one instance."""
    return largest(torch.relu((x - decoder_bias) @ encoder + encoder_bias), top_k)


def enc_detached(x, encoder, encoder_bias, decoder_bias, top_k=None):
    """Right values, no gradient."""
    return largest(enc_ignores_top_k(x, encoder, encoder_bias, decoder_bias), top_k).detach()


# --- sae_loss --------------------------------------------------------------------------------------------------------


def missed(x, f, directions, decoder_bias):
    return x - f @ directions - decoder_bias.unsqueeze(-2)


def sae_no_bias(x, f, directions, decoder_bias, penalty):
    """Leaves the bias out: right while it is 0."""
    return (x - f @ directions).square().sum(-1).mean(-1) + penalty * f.abs().sum(-1).mean(-1)


def sae_mse(x, f, directions, decoder_bias, penalty):
    """A mean over the activations: λ then means something else."""
    return missed(x, f, directions, decoder_bias).square().mean((-2, -1)) + penalty * f.abs().sum(-1).mean(-1)


def sae_mean_codes(x, f, directions, decoder_bias, penalty):
    """A mean over the units: λ gets weaker with the width."""
    return missed(x, f, directions, decoder_bias).square().sum(-1).mean(-1) + penalty * f.abs().mean((-2, -1))


def sae_all_means(x, f, directions, decoder_bias, penalty):
    """Means everywhere."""
    return missed(x, f, directions, decoder_bias).square().mean((-2, -1)) + penalty * f.abs().mean((-2, -1))


def sae_sums(x, f, directions, decoder_bias, penalty):
    """Sums over the batch."""
    return missed(x, f, directions, decoder_bias).square().sum((-2, -1)) + penalty * f.abs().sum((-2, -1))


def sae_no_absolute(x, f, directions, decoder_bias, penalty):
    """Right for codes that came out of a ReLU."""
    return missed(x, f, directions, decoder_bias).square().sum(-1).mean(-1) + penalty * f.sum(-1).mean(-1)


def sae_l2(x, f, directions, decoder_bias, penalty):
    """Squares do not make codes sparse."""
    return missed(x, f, directions, decoder_bias).square().sum(-1).mean(-1) + penalty * f.square().sum(-1).mean(-1)


def sae_l0(x, f, directions, decoder_bias, penalty):
    """Counts: no gradient."""
    return missed(x, f, directions, decoder_bias).square().sum(-1).mean(-1) + penalty * (f != 0).float().sum(-1).mean(
        -1
    )


def sae_no_penalty(x, f, directions, decoder_bias, penalty):
    """An ordinary autoencoder."""
    return missed(x, f, directions, decoder_bias).square().sum(-1).mean(-1)


def sae_penalty_one(x, f, directions, decoder_bias, penalty):
    """Ignores λ: right for λ = 1."""
    return missed(x, f, directions, decoder_bias).square().sum(-1).mean(-1) + f.abs().sum(-1).mean(-1)


def sae_minus(x, f, directions, decoder_bias, penalty):
    """Rewards activity."""
    return missed(x, f, directions, decoder_bias).square().sum(-1).mean(-1) - penalty * f.abs().sum(-1).mean(-1)


def sae_root(x, f, directions, decoder_bias, penalty):
    """A length instead of its square."""
    return missed(x, f, directions, decoder_bias).norm(dim=-1).mean(-1) + penalty * f.abs().sum(-1).mean(-1)


def sae_one_number(x, f, directions, decoder_bias, penalty):
    """Mean over the instances, too."""
    return sae_no_bias(x - decoder_bias.unsqueeze(-2), f, directions, decoder_bias, penalty).mean()


def sae_transposed(x, f, directions, decoder_bias, penalty):
    """Columns for rows: only as many units as activations run."""
    return (x - f @ directions.mT - decoder_bias.unsqueeze(-2)).square().sum(-1).mean(-1) + penalty * f.abs().sum(
        -1
    ).mean(-1)


def sae_penalises_directions(x, f, directions, decoder_bias, penalty):
    """The weights' size instead of the codes'."""
    return missed(x, f, directions, decoder_bias).square().sum(-1).mean(-1) + penalty * directions.abs().sum((-2, -1))


def sae_bias_broadcast(x, f, directions, decoder_bias, penalty):
    """No dimension for the examples: right for one instance."""
    return (x - f @ directions - decoder_bias).square().sum(-1).mean(-1) + penalty * f.abs().sum(-1).mean(-1)


# --- mean_max_cosine -------------------------------------------------------------------------------------------------


def table(truth, found):
    return F.normalize(truth, dim=-1) @ F.normalize(found, dim=-1).mT


def mmc_other_way(truth, found):
    """For each found one its best true one: ten copies of one feature look perfect."""
    return table(truth, found).amax(-2).mean(-1)


def mmc_absolute(truth, found):
    """The opposite of a feature counts as the feature."""
    return table(truth, found).abs().amax(-1).mean(-1)


def mmc_dot(truth, found):
    """Dot products: right for lengths of 1."""
    return (truth @ found.mT).amax(-1).mean(-1)


def mmc_truth_not_unit(truth, found):
    """Only one of the two at length 1."""
    return (truth @ F.normalize(found, dim=-1).mT).amax(-1).mean(-1)


def mmc_found_not_unit(truth, found):
    """Only the other at length 1."""
    return (F.normalize(truth, dim=-1) @ found.mT).amax(-1).mean(-1)


def mmc_normalised_columns(truth, found):
    """The wrong dimension at length 1."""
    return (F.normalize(truth, dim=-2) @ F.normalize(found, dim=-2).mT).amax(-1).mean(-1)


def mmc_mean_all(truth, found):
    """No best."""
    return table(truth, found).mean((-2, -1))


def mmc_best_pair(truth, found):
    """The one best pair."""
    return table(truth, found).amax((-2, -1))


def mmc_worst(truth, found):
    """The feature that was found worst."""
    return table(truth, found).amax(-1).amin(-1)


def mmc_same_row(truth, found):
    """Row against row: right where nothing was shuffled."""
    n = min(truth.shape[-2], found.shape[-2])
    return F.cosine_similarity(truth[..., :n, :], found[..., :n, :], dim=-1).mean(-1)


def mmc_sum(truth, found):
    """No average."""
    return table(truth, found).amax(-1).sum(-1)


def mmc_one_number(truth, found):
    """Averages the instances, too."""
    return table(truth, found).amax(-1).mean()


def mmc_not_averaged(truth, found):
    """One number a feature."""
    return table(truth, found).amax(-1)


def mmc_longest(truth, found):
    """Takes the largest dot product, then its cosine."""
    best = (truth @ found.mT).argmax(-1, keepdim=True)
    return table(truth, found).gather(-1, best).mean((-2, -1))


def mmc_squared(truth, found):
    """Squared cosines."""
    return table(truth, found).square().amax(-1).mean(-1)


MUTANTS = {
    "feature_batch": [batch_binary, batch_dense, batch_normal, batch_normal_folded, batch_swapped, batch_one_die, batch_shifted,
                      batch_whole_examples, batch_same_features, batch_same_sizes, batch_global, batch_half_global, batch_seeded,
                      batch_no_error, batch_first_sparsity, batch_rescaled, batch_exact_count],
    "reconstruct": [rec_no_bias, rec_bias_after, rec_no_relu, rec_always_relu, rec_linear_swapped, rec_hidden_relu, rec_both_relu,
                    rec_bias_broadcast, rec_bias_minus, rec_twice_w, rec_dot_t, rec_transposed, rec_detached, rec_gelu,
                    rec_one_instance],
    "weighted_loss": [loss_mean_features, loss_sum_all, loss_swapped_dims, loss_one_number, loss_total, loss_no_importance,
                      loss_importance_squared, loss_absolute, loss_root, loss_broadcast, loss_normalised, loss_per_example,
                      loss_mse, loss_no_gradient],
    "feature_dimensionality": [dim_without_itself, dim_no_square, dim_absolute, dim_not_unit, dim_both_unit, dim_wrong_unit,
                               dim_wrong_axis, dim_length, dim_upside_down, dim_nan, dim_epsilon, dim_star, dim_rows, dim_dot_t],
    "ablate": [ab_not_unit, ab_divides_once, ab_subtracts_feature, ab_subtracts_unit, ab_keeps_part, ab_mirror, ab_adds,
               ab_coordinate, ab_row, ab_no_unsqueeze, ab_nan, ab_absolute, ab_positive_only, ab_mean_part],
    "encode": [enc_no_biases, enc_no_decoder_bias, enc_no_encoder_bias, enc_adds_decoder_bias, enc_no_relu, enc_bias_after,
               enc_ignores_top_k, enc_smallest, enc_over_examples, enc_whole_batch, enc_values_only, enc_mask, enc_first_units,
               enc_below_largest, enc_by_size, enc_no_unsqueeze, enc_detached],
    "sae_loss": [sae_no_bias, sae_mse, sae_mean_codes, sae_all_means, sae_sums, sae_no_absolute, sae_l2, sae_l0, sae_no_penalty,
                 sae_penalty_one, sae_minus, sae_root, sae_one_number, sae_transposed, sae_penalises_directions,
                 sae_bias_broadcast],
    "mean_max_cosine": [mmc_other_way, mmc_absolute, mmc_dot, mmc_truth_not_unit, mmc_found_not_unit, mmc_normalised_columns,
                        mmc_mean_all, mmc_best_pair, mmc_worst, mmc_same_row, mmc_sum, mmc_one_number, mmc_not_averaged,
                        mmc_longest, mmc_squared],
}  # fmt: skip
