"""Wrong answers to the exercises of lesson 13: mistakes that people make. Every checker must reject
every one.
"""

import torch
import torch.nn.functional as F
from answers import WrongAnswers

from course_utils.sparse_autoencoders import autoencoder, scores
from course_utils.stories.corpus import ID

wrong = WrongAnswers()


# --- encode ---------------------------------------------------------------------------------------


def largest(f, top_k):
    if top_k is None:
        return f
    top = f.topk(top_k, dim=-1)
    return torch.zeros_like(f).scatter(-1, top.indices, top.values)


@wrong("encode", says="you left out both biases")
def enc_no_biases(x, encoder, encoder_bias, decoder_bias, top_k=None):
    """Leaves out both biases."""
    return largest(torch.relu(x @ encoder), top_k)


@wrong("encode", says="you left out decoder_bias: subtract it from x first")
def enc_no_decoder_bias(x, encoder, encoder_bias, decoder_bias, top_k=None):
    """Does not centre x."""
    return largest(torch.relu(x @ encoder + encoder_bias.unsqueeze(-2)), top_k)


@wrong("encode", says="you left out encoder_bias")
def enc_no_encoder_bias(x, encoder, encoder_bias, decoder_bias, top_k=None):
    """No threshold."""
    return largest(torch.relu((x - decoder_bias.unsqueeze(-2)) @ encoder), top_k)


@wrong("encode", says="decoder_bias is subtracted from x; you added it")
def enc_adds_decoder_bias(x, encoder, encoder_bias, decoder_bias, top_k=None):
    """The wrong sign."""
    return largest(
        torch.relu((x + decoder_bias.unsqueeze(-2)) @ encoder + encoder_bias.unsqueeze(-2)), top_k
    )


@wrong("encode", says="encoder_bias is added; you subtracted it")
def enc_subtracts_both(x, encoder, encoder_bias, decoder_bias, top_k=None):
    """A threshold that is subtracted, as b > 0 would be."""
    return autoencoder.encode(x, encoder, -encoder_bias, decoder_bias, top_k)


@wrong("encode", says="you left out the ReLU")
def enc_no_relu(x, encoder, encoder_bias, decoder_bias, top_k=None):
    """Codes below 0."""
    return largest((x - decoder_bias.unsqueeze(-2)) @ encoder + encoder_bias.unsqueeze(-2), top_k)


@wrong("encode", says="the bias comes before the ReLU")
def enc_bias_after(x, encoder, encoder_bias, decoder_bias, top_k=None):
    """The bias after the ReLU."""
    return largest(
        torch.relu((x - decoder_bias.unsqueeze(-2)) @ encoder) + encoder_bias.unsqueeze(-2), top_k
    )


@wrong("encode", says="you ignored top_k")
def enc_ignores_top_k(x, encoder, encoder_bias, decoder_bias, top_k=None):
    """All units may fire."""
    return torch.relu((x - decoder_bias.unsqueeze(-2)) @ encoder + encoder_bias.unsqueeze(-2))


@wrong("encode", says="top_k keeps the largest; you kept the smallest")
def enc_smallest(x, encoder, encoder_bias, decoder_bias, top_k=None):
    """The smallest instead of the largest."""
    f = enc_ignores_top_k(x, encoder, encoder_bias, decoder_bias)
    if top_k is None:
        return f
    low = f.topk(top_k, dim=-1, largest=False)
    return torch.zeros_like(f).scatter(-1, low.indices, low.values)


@wrong("encode", says="top_k chooses among the units; you chose among the examples")
def enc_over_examples(x, encoder, encoder_bias, decoder_bias, top_k=None):
    """top-k down the batch instead of across the units."""
    f = enc_ignores_top_k(x, encoder, encoder_bias, decoder_bias)
    return f if top_k is None else largest(f.mT, min(top_k, f.shape[-2])).mT


@wrong("encode", says="top_k chooses among the units of each example; you chose among all examples")
def enc_whole_batch(x, encoder, encoder_bias, decoder_bias, top_k=None):
    """The largest of the whole batch: some examples get none."""
    f = enc_ignores_top_k(x, encoder, encoder_bias, decoder_bias)
    return f if top_k is None else largest(f.flatten(-2), top_k).unflatten(-1, f.shape[-2:])


@wrong("encode", says="the largest stay at their place; you returned them alone")
def enc_values_only(x, encoder, encoder_bias, decoder_bias, top_k=None):
    """Forgets which units they were."""
    f = enc_ignores_top_k(x, encoder, encoder_bias, decoder_bias)
    return f if top_k is None else f.topk(top_k, dim=-1).values


@wrong("encode", says="top_k keeps the sizes; you replaced them by 1")
def enc_mask(x, encoder, encoder_bias, decoder_bias, top_k=None):
    """Ones at the largest."""
    f = enc_ignores_top_k(x, encoder, encoder_bias, decoder_bias)
    return (
        f if top_k is None else torch.zeros_like(f).scatter(-1, f.topk(top_k, dim=-1).indices, 1.0)
    )


@wrong("encode", says="you kept the first units; top_k keeps the largest")
def enc_first_units(x, encoder, encoder_bias, decoder_bias, top_k=None):
    """The first units, not the largest."""
    f = enc_ignores_top_k(x, encoder, encoder_bias, decoder_bias)
    return f if top_k is None else torch.cat([f[..., :top_k], torch.zeros_like(f[..., top_k:])], -1)


@wrong("encode", says="the k-th largest belongs to them: a strict > loses it")
def enc_below_largest(x, encoder, encoder_bias, decoder_bias, top_k=None):
    """A strict comparison with the k-th: one too few."""
    f = enc_ignores_top_k(x, encoder, encoder_bias, decoder_bias)
    return f if top_k is None else f * (f > f.topk(top_k, dim=-1).values[..., -1:])


@wrong("encode", says="you chose by the size before the ReLU, where numbers below 0 take places")
def enc_by_size(x, encoder, encoder_bias, decoder_bias, top_k=None):
    """Chooses the largest |z| before the bend, so that negative ones take places."""
    z = (x - decoder_bias.unsqueeze(-2)) @ encoder + encoder_bias.unsqueeze(-2)
    if top_k is None:
        return torch.relu(z)
    return (
        torch.zeros_like(z)
        .scatter(-1, (i := z.abs().topk(top_k, dim=-1).indices), z.gather(-1, i))
        .relu()
    )


@wrong("encode", says="each instance has its own biases: .unsqueeze(-2)")
def enc_no_unsqueeze(x, encoder, encoder_bias, decoder_bias, top_k=None):
    """Biases without a dimension for the examples: right for one instance."""
    return largest(torch.relu((x - decoder_bias) @ encoder + encoder_bias), top_k)


@wrong("encode", says="each instance has its own decoder_bias: .unsqueeze(-2)")
def enc_no_unsqueeze_before(x, encoder, encoder_bias, decoder_bias, top_k=None):
    """Only one of the two has a dimension for the examples."""
    return largest(torch.relu((x - decoder_bias) @ encoder + encoder_bias.unsqueeze(-2)), top_k)


@wrong(
    "encode",
    says=": no gradient flows back, so nothing could be trained through this. Stay with tensors: no .detach(), .item(), .tolist() or numpy on the way",
)
def enc_detached(x, encoder, encoder_bias, decoder_bias, top_k=None):
    """Right values, no gradient."""
    return largest(enc_ignores_top_k(x, encoder, encoder_bias, decoder_bias), top_k).detach()


# --- sae_loss -------------------------------------------------------------------------------------


def missed(x, f, directions, decoder_bias):
    return x - f @ directions - decoder_bias.unsqueeze(-2)


@wrong("sae_loss", says="you left out decoder_bias")
def sae_no_bias(x, f, directions, decoder_bias, penalty):
    """Leaves the bias out: right while it is 0."""
    return (x - f @ directions).square().sum(-1).mean(-1) + penalty * f.abs().sum(-1).mean(-1)


@wrong("sae_loss", says="decoder_bias is added to Σ f_i d_i; you subtracted it")
def sae_without_brackets(x, f, directions, decoder_bias, penalty):
    """x - f @ directions + decoder_bias: the brackets are missing."""
    return autoencoder.sae_loss(x, f, directions, -decoder_bias, penalty)


@wrong("sae_loss", says="the penalty is averaged over the examples, too")
def sae_sum_of_codes(x, f, directions, decoder_bias, penalty):
    """The codes of all examples are added up."""
    return missed(x, f, directions, decoder_bias).square().sum(-1).mean(-1) + penalty * f.abs().sum(
        (-2, -1)
    )


@wrong("sae_loss", says="the error is squared; you took absolute values")
def sae_absolute_error(x, f, directions, decoder_bias, penalty):
    """Absolute values in both terms."""
    return missed(x, f, directions, decoder_bias).abs().sum(-1).mean(-1) + penalty * f.abs().sum(
        -1
    ).mean(-1)


@wrong("sae_loss", says="‖…‖² sums over the activations; you took their mean")
def sae_mse(x, f, directions, decoder_bias, penalty):
    """A mean over the activations: λ then means something else."""
    return missed(x, f, directions, decoder_bias).square().mean((-2, -1)) + penalty * f.abs().sum(
        -1
    ).mean(-1)


@wrong("sae_loss", says="Σ |f_i| sums over the units; you took their mean")
def sae_mean_codes(x, f, directions, decoder_bias, penalty):
    """A mean over the units: λ gets weaker with the width."""
    return missed(x, f, directions, decoder_bias).square().sum(-1).mean(
        -1
    ) + penalty * f.abs().mean((-2, -1))


@wrong(
    "sae_loss",
    says="both are sums over activations or units, then means over the examples; you took means of everything",
)
def sae_all_means(x, f, directions, decoder_bias, penalty):
    """Means everywhere."""
    return missed(x, f, directions, decoder_bias).square().mean((-2, -1)) + penalty * f.abs().mean(
        (-2, -1)
    )


@wrong("sae_loss", says="take the mean over the examples; you added them up")
def sae_sums(x, f, directions, decoder_bias, penalty):
    """Sums over the batch."""
    return missed(x, f, directions, decoder_bias).square().sum((-2, -1)) + penalty * f.abs().sum(
        (-2, -1)
    )


@wrong("sae_loss", says="you took the sum of the codes without |…|")
def sae_no_absolute(x, f, directions, decoder_bias, penalty):
    """Right for codes that came out of a ReLU."""
    return missed(x, f, directions, decoder_bias).square().sum(-1).mean(-1) + penalty * f.sum(
        -1
    ).mean(-1)


@wrong("sae_loss", says="the penalty is Σ |f_i|, not the sum of squares")
def sae_l2(x, f, directions, decoder_bias, penalty):
    """Squares do not make codes sparse."""
    return missed(x, f, directions, decoder_bias).square().sum(-1).mean(
        -1
    ) + penalty * f.square().sum(-1).mean(-1)


@wrong("sae_loss", says="the penalty is Σ |f_i|, not the number of active units")
def sae_l0(x, f, directions, decoder_bias, penalty):
    """Counts: no gradient."""
    return missed(x, f, directions, decoder_bias).square().sum(-1).mean(-1) + penalty * (
        f != 0
    ).float().sum(-1).mean(-1)


@wrong("sae_loss", says="you forgot the penalty")
def sae_no_penalty(x, f, directions, decoder_bias, penalty):
    """An ordinary autoencoder."""
    return missed(x, f, directions, decoder_bias).square().sum(-1).mean(-1)


@wrong("sae_loss", says="you forgot to multiply by the penalty")
def sae_penalty_one(x, f, directions, decoder_bias, penalty):
    """Ignores λ: right for λ = 1."""
    return missed(x, f, directions, decoder_bias).square().sum(-1).mean(-1) + f.abs().sum(-1).mean(
        -1
    )


@wrong("sae_loss", says="you subtracted the penalty")
def sae_minus(x, f, directions, decoder_bias, penalty):
    """Rewards activity."""
    return missed(x, f, directions, decoder_bias).square().sum(-1).mean(-1) - penalty * f.abs().sum(
        -1
    ).mean(-1)


@wrong("sae_loss", says="‖…‖² is squared; you took the root")
def sae_root(x, f, directions, decoder_bias, penalty):
    """A length instead of its square."""
    return missed(x, f, directions, decoder_bias).norm(dim=-1).mean(-1) + penalty * f.abs().sum(
        -1
    ).mean(-1)


@wrong("sae_loss", says="one number for each instance, not their mean")
def sae_one_number(x, f, directions, decoder_bias, penalty):
    """Mean over the instances, too."""
    return sae_no_bias(x - decoder_bias.unsqueeze(-2), f, directions, decoder_bias, penalty).mean()


@wrong("sae_loss", says="the directions are the rows of `directions`: f @ directions")
def sae_transposed(x, f, directions, decoder_bias, penalty):
    """Columns for rows: only as many units as activations run."""
    return (x - f @ directions.mT - decoder_bias.unsqueeze(-2)).square().sum(-1).mean(
        -1
    ) + penalty * f.abs().sum(-1).mean(-1)


@wrong("sae_loss", says="the penalty is on the codes f, not on the directions")
def sae_penalises_directions(x, f, directions, decoder_bias, penalty):
    """The weights' size instead of the codes'."""
    return missed(x, f, directions, decoder_bias).square().sum(-1).mean(
        -1
    ) + penalty * directions.abs().sum((-2, -1))


@wrong("sae_loss", says="each instance has its own decoder_bias: decoder_bias.unsqueeze(-2)")
def sae_bias_broadcast(x, f, directions, decoder_bias, penalty):
    """No dimension for the examples: right for one instance."""
    return (x - f @ directions - decoder_bias).square().sum(-1).mean(-1) + penalty * f.abs().sum(
        -1
    ).mean(-1)


# --- mean_max_cosine ------------------------------------------------------------------------------


def table(truth, found):
    return F.normalize(truth, dim=-1) @ F.normalize(found, dim=-1).mT


@wrong(
    "mean_max_cosine",
    says="each true direction looks for its best found one; yours goes the other way, so a missed feature costs nothing",
)
def mmc_other_way(truth, found):
    """For each found one its best true one: ten copies of one feature look perfect."""
    return table(truth, found).amax(-2).mean(-1)


@wrong(
    "mean_max_cosine",
    says="the sign counts: a direction and its opposite are two features, so take no absolute value",
)
def mmc_absolute(truth, found):
    """The opposite of a feature counts as the feature."""
    return table(truth, found).abs().amax(-1).mean(-1)


@wrong("mean_max_cosine", says="bring both to length 1: a cosine knows no lengths")
def mmc_dot(truth, found):
    """Dot products: right for lengths of 1."""
    return (truth @ found.mT).amax(-1).mean(-1)


@wrong("mean_max_cosine", says="bring `truth` to length 1, too")
def mmc_truth_not_unit(truth, found):
    """Only one of the two at length 1."""
    return (truth @ F.normalize(found, dim=-1).mT).amax(-1).mean(-1)


@wrong("mean_max_cosine", says="bring `found` to length 1, too")
def mmc_found_not_unit(truth, found):
    """Only the other at length 1."""
    return (F.normalize(truth, dim=-1) @ found.mT).amax(-1).mean(-1)


@wrong("mean_max_cosine", says="you brought the columns to length 1; a direction is a row")
def mmc_normalised_columns(truth, found):
    """The wrong dimension at length 1."""
    return (F.normalize(truth, dim=-2) @ F.normalize(found, dim=-2).mT).amax(-1).mean(-1)


@wrong("mean_max_cosine", says="take the largest cosine for each true direction; you averaged all")
def mmc_mean_all(truth, found):
    """No best."""
    return table(truth, found).mean((-2, -1))


@wrong("mean_max_cosine", says="average over the true directions; you took the single best pair")
def mmc_best_pair(truth, found):
    """The one best pair."""
    return table(truth, found).amax((-2, -1))


@wrong("mean_max_cosine", says="average over the true directions; you took the worst")
def mmc_worst(truth, found):
    """The feature that was found worst."""
    return table(truth, found).amax(-1).amin(-1)


@wrong(
    "mean_max_cosine", says="you compared row with row; each true direction may be found in any row"
)
def mmc_same_row(truth, found):
    """Row against row: right where nothing was shuffled."""
    n = min(truth.shape[-2], found.shape[-2])
    return F.cosine_similarity(truth[..., :n, :], found[..., :n, :], dim=-1).mean(-1)


@wrong("mean_max_cosine", says="you added them up; average over the true directions")
def mmc_sum(truth, found):
    """No average."""
    return table(truth, found).amax(-1).sum(-1)


@wrong("mean_max_cosine", says="one number for each instance: keep the leading dimensions")
def mmc_one_number(truth, found):
    """Averages the instances, too."""
    return table(truth, found).amax(-1).mean()


@wrong("mean_max_cosine", says="you returned one number for each true direction; average them")
def mmc_not_averaged(truth, found):
    """One number a feature."""
    return table(truth, found).amax(-1)


@wrong(
    "mean_max_cosine",
    says="normalise before you choose the best; yours chose the largest dot product",
)
def mmc_longest(truth, found):
    """Takes the largest dot product, then its cosine."""
    best = (truth @ found.mT).argmax(-1, keepdim=True)
    return table(truth, found).gather(-1, best).mean((-2, -1))


@wrong("mean_max_cosine", says="you squared the cosines; take them as they are")
def mmc_squared(truth, found):
    """Squared cosines."""
    return table(truth, found).square().amax(-1).mean(-1)


# --- held_out_score -------------------------------------------------------------------------------


@wrong("held_out_score", says="that is the score on the training texts: judge where train is False")
def held_training_score(z, true, train):
    """The score of the choice itself."""
    return scores.best_cut(z[train], true[train])[1].max().item()


@wrong(
    "held_out_score",
    says="choose the unit and the cut where train is True; you chose and judged on the new texts",
)
def held_judged_where_chosen(z, true, train):
    """Chooses on the new texts."""
    return scores.best_cut(z[~train], true[~train])[1].max().item()


@wrong("held_out_score", says="choose where train is True; you chose on all texts")
def held_chosen_on_all(z, true, train):
    """The new texts have a say in the choice."""
    cut, score = scores.best_cut(z, true)
    unit = score.argmax()
    return scores.agreement(z[~train, unit] >= cut[unit], true[~train]).item()


@wrong("held_out_score", says="judge where train is False alone; you judged on all texts")
def held_judged_on_all(z, true, train):
    """The texts of the choice are judged, too."""
    cut, score = scores.best_cut(z[train], true[train])
    unit = score.argmax()
    return scores.agreement(z[:, unit] >= cut[unit], true).item()


@wrong(
    "held_out_score",
    says="keep the cut that was chosen in the training; you chose a new one on the new texts",
)
def held_new_cut(z, true, train):
    """The unit is kept, its cut is not."""
    unit = scores.best_cut(z[train], true[train])[1].argmax()
    return scores.best_cut(z[~train][:, unit, None], true[~train])[1].item()


@wrong(
    "held_out_score",
    says="one unit is chosen, in the training; you took the unit that is best on the new texts",
)
def held_best_of_the_new(z, true, train):
    """The cuts are kept, and the luckiest unit wins."""
    cut, _ = scores.best_cut(z[train], true[train])
    return scores.agreement(z[~train] >= cut, true[~train]).max().item()


@wrong("held_out_score", says="the detector says yes at its cut, too: >= and not >")
def held_strict(z, true, train):
    """> for >=."""
    cut, score = scores.best_cut(z[train], true[train])
    unit = score.argmax()
    return scores.agreement(z[~train, unit] > cut[unit], true[~train]).item()


@wrong("held_out_score", says="that is the share of right answers; use agreement")
def held_accuracy(z, true, train):
    """Accuracy for agreement."""
    cut, score = scores.best_cut(z[train], true[train])
    unit = score.argmax()
    return ((z[~train, unit] >= cut[unit]) == true[~train]).float().mean().item()


@wrong("held_out_score", says="you judged by whether the unit fires; use its cut")
def held_fires(z, true, train):
    """The cut is forgotten."""
    unit = scores.best_cut(z[train], true[train])[1].argmax()
    return scores.agreement(z[~train, unit] > 0, true[~train]).item()


# --- steering_vector ------------------------------------------------------------------------------


def way(head, away, towards):
    return F.normalize(head[towards] - head[away], dim=0)


@wrong("steering_vector", says="return one vector of 128 numbers, which is added at every position")
def steer_everywhere(x, ids, head, away, towards):
    """One vector for each position."""
    return (12 * way(head, away, towards)).expand_as(x)


@wrong("steering_vector", says="some numbers of your vector are not finite")
def steer_by_nothing(x, ids, head, away, towards):
    """0 / 0."""
    still = torch.zeros_like(head[0])
    return still / still.norm()


@wrong("steering_vector", says="Turn at least 0.75: a longer vector, or another direction.")
def steer_not(x, ids, head, away, towards):
    """A vector of length 0."""
    return torch.zeros_like(head[0])


@wrong("steering_vector", says="Turn at least 0.75: a longer vector, or another direction.")
def steer_at_length_one(x, ids, head, away, towards):
    """The direction, without a length."""
    return way(head, away, towards)


@wrong("steering_vector", says="Stay below 0.1: a shorter vector, or another direction.")
def steer_too_far(x, ids, head, away, towards):
    """All he turn, and the story breaks."""
    return 40 * way(head, away, towards)


@wrong("steering_vector", says="That is little, and dear: take another direction.")
def steer_back(x, ids, head, away, towards):
    """The other way."""
    return -40 * way(head, away, towards)


@wrong("steering_vector", says="That is little, and dear: take another direction.")
def steer_by_chance(x, ids, head, away, towards):
    """A random direction."""
    noise = torch.randn(head.shape[1], generator=torch.Generator().manual_seed(0))
    return 20 * F.normalize(noise, dim=0).to(head)


@wrong("steering_vector", says="of the places with a she 0.00 have turned")
def steer_one_way(x, ids, head, away, towards):
    """Always towards "she", whatever is asked."""
    return 14 * way(head, ID["he"], ID["she"])


@wrong("steering_vector", says="Stay below 0.1: a shorter vector, or another direction.")
def steer_between_the_means(x, ids, head, away, towards):
    """The difference of what is read before "she" and "he", at a length that turns enough."""
    before = x[:, :-1]
    after = ids[:, 1:]
    means = before[after == towards].mean(0) - before[after == away].mean(0)
    return 25 * F.normalize(means, dim=0)


# --- Values right, gradients wrong ----------------------------------------------------------------


@wrong("encode", says="lets no gradient reach `encoder_bias`")
def enc_frozen_bias(x, encoder, encoder_bias, decoder_bias, top_k=None):
    """The encoder's bias learns nothing."""
    return autoencoder.encode(x, encoder, encoder_bias.detach(), decoder_bias, top_k)


@wrong("encode", says="lets no gradient reach `decoder_bias`")
def enc_frozen_centre(x, encoder, encoder_bias, decoder_bias, top_k=None):
    """The decoder's bias learns nothing here."""
    return autoencoder.encode(x, encoder, encoder_bias, decoder_bias.data, top_k)


@wrong("encode", says="the gradient of encode(x, …) with respect to the encoder: ")
def enc_straight_through(x, encoder, encoder_bias, decoder_bias, top_k=None):
    """The ReLU lets all gradients through."""
    raw = (x - decoder_bias.unsqueeze(-2)) @ encoder + encoder_bias.unsqueeze(-2)
    return raw + (largest(torch.relu(raw), top_k) - raw).detach()


@wrong("sae_loss", says="lets no gradient reach `decoder_bias`")
def sae_frozen_bias(x, f, directions, decoder_bias, penalty):
    """The decoder's bias learns nothing."""
    return autoencoder.sae_loss(x, f, directions, decoder_bias.detach(), penalty)


@wrong("sae_loss", says="the gradient of sae_loss(…) with respect to the codes: ")
def sae_free_of_charge(x, f, directions, decoder_bias, penalty):
    """The price of the codes is a number without a way back."""
    price = penalty * f.detach().abs().sum(-1).mean(-1)
    return autoencoder.sae_loss(x, f, directions, decoder_bias, 0 * penalty) + price
