"""Right answers of another style to the exercises on sparse autoencoders."""

import numpy as np
import torch
import torch.nn.functional as F
from answers import Answers

from course_utils.sparse_autoencoders import agreement, best_cut
from course_utils.stories.corpus import ID

right = Answers()


# --- encode ---------------------------------------------------------------------------------------


@right("encode")
def with_einsum(x, encoder, encoder_bias, decoder_bias, top_k=None):
    centred = x - decoder_bias[..., None, :]
    z = torch.einsum("...bd,...dk->...bk", centred, encoder) + encoder_bias[..., None, :]
    f = z.clamp(min=0)
    if top_k is not None:
        least = f.topk(top_k, dim=-1).values[..., -1:]
        f = torch.where(f >= least, f, 0.0)
    return f


@right("encode")
def instance_by_instance(x, encoder, encoder_bias, decoder_bias, top_k=None):
    if x.ndim > 2:
        parts = zip(x, encoder, encoder_bias, decoder_bias, strict=True)
        return torch.stack([instance_by_instance(*part, top_k) for part in parts])
    rows = []
    for example in x:
        codes = F.relu((example - decoder_bias) @ encoder + encoder_bias)
        if top_k is not None:
            kept = torch.zeros_like(codes, dtype=torch.bool)
            kept[codes.argsort(descending=True)[:top_k]] = True
            codes = codes * kept
        rows.append(codes)
    return torch.stack(rows)


@right("encode")
def one_bias_for_both(x, encoder, encoder_bias, decoder_bias, top_k=None):
    """(x - b) A + e is x A + (e - b A)."""
    bias = encoder_bias.unsqueeze(-2) - decoder_bias.unsqueeze(-2).matmul(encoder)
    f = torch.matmul(x, encoder).add(bias).relu()
    if top_k is None:
        return f
    rank = f.argsort(dim=-1, descending=True).argsort(dim=-1)
    return f.masked_fill(rank >= top_k, 0.0)


@right("encode")
def bent_after_the_choice(x, encoder, encoder_bias, decoder_bias, top_k=None):
    z = (x - decoder_bias[..., None, :]) @ encoder + encoder_bias[..., None, :]
    if top_k is not None:
        order = z.sort(dim=-1, descending=True).indices
        z = z.scatter(-1, order[..., top_k:], 0.0)
    return z.maximum(torch.zeros_like(z))


@right("encode")
def with_functional_linear(x, encoder, encoder_bias, decoder_bias, top_k=None):
    flat = x.reshape(-1, *x.shape[-2:])
    matrices = encoder.reshape(-1, *encoder.shape[-2:])
    out = []
    for i in range(len(flat)):
        out.append(
            F.linear(
                flat[i] - decoder_bias.reshape(len(flat), -1)[i],
                matrices[i].T,
                encoder_bias.reshape(len(flat), -1)[i],
            )
        )
    f = torch.stack(out).relu().reshape(*x.shape[:-1], encoder.shape[-1])
    if top_k is None:
        return f
    places = torch.topk(f, top_k, dim=-1).indices
    return f * F.one_hot(places, f.shape[-1]).sum(-2)


# --- sae_loss -------------------------------------------------------------------------------------


@right("sae_loss")
def with_einsum_and_sizes(x, f, directions, decoder_bias, penalty):
    rebuilt = torch.einsum("...bk,...kd->...bd", f, directions) + decoder_bias[..., None, :]
    n = x.shape[-2]
    missed = ((x - rebuilt) ** 2).sum(dim=(-2, -1)) / n
    return missed + penalty * torch.abs(f).sum(dim=(-2, -1)) / n


@right("sae_loss")
def with_vector_norms(x, f, directions, decoder_bias, penalty):
    missed = x - torch.matmul(f, directions) - decoder_bias.unsqueeze(-2)
    lengths = torch.linalg.vector_norm(missed, dim=-1)
    return (lengths**2 + f.norm(p=1, dim=-1) * torch.as_tensor(penalty)[..., None]).mean(dim=-1)


@right("sae_loss")
def loss_instance_by_instance(x, f, directions, decoder_bias, penalty):
    if x.ndim > 2:
        penalty = torch.as_tensor(penalty).expand(x.shape[0])
        parts = zip(x, f, directions, decoder_bias, penalty, strict=True)
        return torch.stack([loss_instance_by_instance(*part) for part in parts])
    total = 0.0
    for example, codes in zip(x, f, strict=True):
        missed = example - decoder_bias
        for code, direction in zip(codes, directions, strict=True):
            missed = missed - code * direction
        total = total + missed.dot(missed) + penalty * codes.abs().sum()
    return total / len(x)


@right("sae_loss")
def with_torchs_losses(x, f, directions, decoder_bias, penalty):
    y = f @ directions + decoder_bias.unsqueeze(-2)
    missed = F.mse_loss(y, x, reduction="none").mean(dim=(-2, -1)) * x.shape[-1]
    cost = F.l1_loss(f, torch.zeros_like(f), reduction="none").mean(dim=(-2, -1)) * f.shape[-1]
    return missed + penalty * cost


# --- mean_max_cosine ------------------------------------------------------------------------------


@right("mean_max_cosine")
def with_cosine_similarity(truth, found):
    return F.cosine_similarity(truth[:, None, :], found[..., None, :, :], dim=-1).amax(-1).mean(-1)


@right("mean_max_cosine")
def divided_afterwards(truth, found):
    dots = torch.einsum("nd,...kd->...nk", truth, found)
    lengths = truth.norm(dim=-1)[:, None] * found.norm(dim=-1)[..., None, :]
    return (dots / lengths.clamp(min=1e-8)).max(dim=-1).values.mean(dim=-1)


@right("mean_max_cosine")
def by_distances(truth, found):
    """Two directions of length 1 have the distance² 2 - 2 · cosine."""
    a = truth / truth.square().sum(-1, keepdim=True).sqrt().clamp(min=1e-8)
    b = found / found.square().sum(-1, keepdim=True).sqrt().clamp(min=1e-8)
    apart = (a[:, None, :] - b[..., None, :, :]).square().sum(-1)
    return 1 - apart.amin(-1).mean(-1) / 2


@right("mean_max_cosine")
def cosines_in_loops(truth, found):
    if found.ndim > 2:
        return torch.stack([cosines_in_loops(truth, each) for each in found])
    best = []
    for a in truth:
        best.append(max((a @ b / (a.norm() * b.norm() + 1e-12) for b in found), key=float))
    return sum(best) / len(best)


@right("mean_max_cosine")
def through_numpy(truth, found):
    a = truth.double().numpy()
    b = found.double().numpy()
    a = a / np.maximum(np.linalg.norm(a, axis=-1, keepdims=True), 1e-12)
    b = b / np.maximum(np.linalg.norm(b, axis=-1, keepdims=True), 1e-12)
    best = (a @ np.swapaxes(b, -1, -2)).max(axis=-1).mean(axis=-1)
    return torch.tensor(best, dtype=truth.dtype)


# --- held_out_score -------------------------------------------------------------------------------


@right("held_out_score")
def by_correlation(z, true, train):
    cut, score = best_cut(z[train], true[train])
    best = int(torch.argmax(score))
    said = (z[~train][:, best] >= cut[best]).double()
    pair = torch.stack([said, true[~train].double()])
    if (pair.min(1).values == pair.max(1).values).any():
        return 0.0
    return float(torch.corrcoef(pair)[0, 1])


@right("held_out_score")
def every_unit_judged_one_kept(z, true, train):
    cut, score = best_cut(z[train], true[train])
    return agreement(z[~train] >= cut, true[~train])[score.argmax()].item()


@right("held_out_score")
def cut_by_cut(z, true, train):
    best = (-2.0, None, None)
    for unit in range(z.shape[1]):
        cuts = z[train, unit].unique()
        found = agreement(z[train, unit][:, None] >= cuts, true[train])
        if found.max() > best[0]:
            best = (found.max().item(), unit, cuts[found.argmax()])
    _, unit, cut = best
    return agreement(z[~train, unit] >= cut, true[~train]).item()


# --- steering_vector ------------------------------------------------------------------------------


@right("steering_vector")
def at_a_given_length(x, ids, head, away, towards):
    way = head[towards] - head[away]
    return 13.9 * way / way.norm()


@right("steering_vector")
def two_pairs_of_words(x, ids, head, away, towards):
    """The objects of the two pronouns lend a hand."""
    sign = 1 if towards == ID["she"] else -1
    pairs = ((3, "she", "he"), (1, "her", "him"))
    way = sum(weight * (head[ID[a]] - head[ID[b]]) for weight, a, b in pairs)
    return 12.3 * sign * F.normalize(way, dim=0)


@right("steering_vector")
def without_what_other_words_read(x, ids, head, away, towards):
    """What the commonest words read is taken out of the direction."""
    way = head[towards] - head[away]
    common = ids.flatten().bincount(minlength=len(head)).topk(8).indices
    common = [t for t in common.tolist() if t not in (away, towards)]
    basis = torch.linalg.qr(head[common].T).Q
    way = way - basis @ (basis.T @ way)
    return 14.3 * F.normalize(way, dim=0)
