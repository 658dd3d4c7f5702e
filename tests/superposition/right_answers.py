"""Right answers to the exercises of lesson 06, in other styles than the reference."""

import math

import numpy as np
import torch
import torch.nn.functional as F
from answers import Answers

right = Answers()


# --- feature_batch --------------------------------------------------------------------------------


def refuse_sparsity(S):
    if any(not 0 <= s < 1 for s in S.tolist()):
        raise ValueError("a sparsity must be at least 0 and below 1")


@right("feature_batch")
def features_sizes_first(S, batch, n_features, generator):
    refuse_sparsity(S)
    size = torch.rand(batch, n_features, generator=generator)
    die = torch.rand(batch, n_features, generator=generator)
    return torch.stack([torch.where(die < s, 0.0, size) for s in S])


@right("feature_batch")
def features_with_one_draw(S, batch, n_features, generator):
    refuse_sparsity(S)
    die, size = torch.rand(2, batch, n_features, generator=generator)
    x = size.expand(len(S), batch, n_features).clone()
    x[die < S.reshape(-1, 1, 1)] = 0
    return x


@right("feature_batch")
def features_stretch_one_die(S, batch, n_features, generator):
    """What lies between S and 1 is stretched to the range between 0 and 1."""
    if (S < 0).any() or (S >= 1).any():
        raise ValueError("a sparsity must be at least 0 and below 1")
    u = torch.rand(batch, n_features, generator=generator)
    s = S.view(-1, 1, 1)
    return ((u - s) / (1 - s)).clamp(min=0)


@right("feature_batch")
def features_feature_by_feature(S, batch, n_features, generator):
    refuse_sparsity(S)
    x = torch.zeros(len(S), batch, n_features)
    for i in range(n_features):
        die = torch.rand(batch, generator=generator)
        size = torch.rand(batch, generator=generator)
        for k in range(len(S)):
            x[k, :, i] = size * (die >= S[k])
    return x


@right("feature_batch")
def features_through_numpy(S, batch, n_features, generator):
    refuse_sparsity(S)
    seed = torch.randint(2**31, (1,), generator=generator).item()
    dice = np.random.default_rng(seed)
    size = dice.random((batch, n_features))
    active = dice.random((batch, n_features)) >= S.numpy()[:, None, None]
    return torch.from_numpy(size * active).float()


@right("feature_batch")
def features_with_uniform(S, batch, n_features, generator):
    refuse_sparsity(S)
    die = torch.empty(1, batch, n_features).uniform_(generator=generator)
    size = torch.empty(1, batch, n_features).uniform_(0, 1, generator=generator)
    return torch.einsum("nbf,kbf->nbf", (die >= S[:, None, None]).float(), size)


# --- reconstruct ----------------------------------------------------------------------------------


@right("reconstruct")
def reconstruct_with_einsum(x, W, b, linear=False):
    hidden = torch.einsum("...mn,...bn->...bm", W, x)
    out = torch.einsum("...mn,...bm->...bn", W, hidden) + b[..., None, :]
    return out if linear else out.clamp(min=0)


@right("reconstruct")
def reconstruct_with_the_gram_matrix(x, W, b, linear=False):
    out = torch.matmul(x, W.transpose(-1, -2) @ W).add(b.unsqueeze(-2))
    if not linear:
        out = F.relu(out)
    return out


@right("reconstruct")
def reconstruct_instance_by_instance(x, W, b, linear=False):
    if W.ndim > 2:
        each = x if x.ndim == W.ndim else [x] * len(W)
        parts = zip(each, W, b, strict=True)
        return torch.stack([reconstruct_instance_by_instance(*part, linear) for part in parts])
    out = F.linear(F.linear(x, W), W.T, b)
    return out if linear else out.relu()


@right("reconstruct")
def reconstruct_adds_up_features(x, W, b, linear=False):
    hidden = sum(x[..., :, i, None] * W[..., None, :, i] for i in range(x.size(-1)))
    features = [(hidden * W[..., None, :, i]).sum(-1) + b[..., i, None] for i in range(W.size(-1))]
    out = torch.stack(features, dim=-1)
    return out if linear else torch.maximum(out, torch.zeros_like(out))


@right("reconstruct")
def reconstruct_with_columns(x, W, b, linear=False):
    """As in the paper: examples are columns."""
    out = (W.mT @ (W @ x.mT) + b[..., :, None]).mT
    return out if linear else torch.where(out > 0, out, 0)


@right("reconstruct")
def reconstruct_in_float64(x, W, b, linear=False):
    wide = (x.double() @ W.double().mT @ W.double() + b.double().unsqueeze(-2)).to(x.dtype)
    return wide if linear else wide.relu()


# --- feature_dimensionality -----------------------------------------------------------------------


@right("feature_dimensionality")
def dimensionality_by_the_formula(W):
    unit = F.normalize(W, dim=-2)
    crowd = (unit.mT @ W).square().sum(-1)
    length = W.square().sum(-2)
    return torch.where(length > 0, length / crowd, torch.zeros_like(length))


@right("feature_dimensionality")
def dimensionality_through_numpy(W):
    w = W.numpy().astype(np.float64)
    gram = np.swapaxes(w, -1, -2) @ w
    length = np.einsum("...ii->...i", gram)
    crowd = (gram**2).sum(-1)
    share = np.divide(length**2, crowd, out=np.zeros_like(length), where=crowd > 0)
    return torch.from_numpy(share).to(W.dtype)


@right("feature_dimensionality")
def dimensionality_in_loops(W):
    if W.ndim > 2:
        return torch.stack([dimensionality_in_loops(each) for each in W])
    columns = W.T.tolist()
    values = []
    for w in columns:
        length = math.sqrt(sum(a * a for a in w))
        if length == 0:
            values.append(0.0)
            continue
        unit = [a / length for a in w]
        crowd = sum(sum(a * b for a, b in zip(unit, other, strict=True)) ** 2 for other in columns)
        values.append(length**2 / crowd)
    return torch.tensor(values, dtype=W.dtype)


@right("feature_dimensionality")
def dimensionality_with_einsum(W):
    gram = torch.einsum("...mi,...mj->...ij", W, W)
    length = torch.einsum("...ii->...i", gram)
    return (length**2 / torch.einsum("...ij,...ij->...i", gram, gram)).nan_to_num(0.0)


@right("feature_dimensionality")
def dimensionality_of_cosines(W):
    """Divided by the squared length above and below: what is left are cosines and lengths."""
    norms = torch.linalg.norm(W, dim=-2)
    cosines = F.cosine_similarity(W.unsqueeze(-1), W.unsqueeze(-2), dim=-3)
    crowd = (cosines * norms.unsqueeze(-2)).square().sum(-1)
    return norms**2 / torch.where(crowd == 0, 1, crowd)


@right("feature_dimensionality")
def dimensionality_of_the_frame(W):
    """Σ_j (w · W_j)² = wᵀ (W Wᵀ) w, without the matrix of all pairs."""
    crowd = (W * (W @ W.mT @ W)).sum(-2)
    length = W.pow(2).sum(-2)
    return torch.where(length == 0, 0, length.square() / crowd)


# --- ablate ---------------------------------------------------------------------------------------


@right("ablate")
def ablate_by_the_squared_length(hidden, W, feature):
    w = W[..., feature].unsqueeze(-2)
    squared = (w * w).sum(-1, keepdim=True)
    along = (hidden * w).sum(-1, keepdim=True) / torch.where(squared > 0, squared, 1)
    return hidden - along * w


@right("ablate")
def ablate_with_a_projection(hidden, W, feature):
    w = F.normalize(W[..., feature : feature + 1], dim=-2)
    rest = torch.eye(W.size(-2), dtype=W.dtype) - w @ w.mT
    return hidden @ rest


@right("ablate")
def ablate_in_loops(hidden, W, feature):
    if hidden.ndim > 2:
        return torch.stack([ablate_in_loops(h, w, feature) for h, w in zip(hidden, W, strict=True)])
    w = W[:, feature].tolist()
    squared = sum(a * a for a in w)
    out = hidden.clone()
    for b, row in enumerate(hidden.tolist()):
        dot = sum(h * a for h, a in zip(row, w, strict=True))
        for j, (h, a) in enumerate(zip(row, w, strict=True)):
            out[b, j] = h - dot * a / squared if squared else h
    return out


@right("ablate")
def ablate_through_numpy(hidden, W, feature):
    h = hidden.numpy()
    w = W.numpy()[..., feature]
    length = np.linalg.norm(w, axis=-1, keepdims=True)
    unit = np.divide(w, length, out=np.zeros_like(w), where=length > 0)
    along = np.einsum("...bm,...m->...b", h, unit)
    return torch.from_numpy(h - np.einsum("...b,...m->...bm", along, unit))


@right("ablate")
def ablate_with_pinv(hidden, W, feature):
    """The pseudoinverse of no direction is 0, so that nothing changes."""
    w = W[..., [feature]]
    return hidden - hidden @ torch.linalg.pinv(w).mT @ w.mT


@right("ablate")
def ablate_in_float64(hidden, W, feature):
    w = W.double().select(-1, feature)
    length = torch.linalg.vector_norm(w, dim=-1, keepdim=True)
    unit = torch.where(length > 0, w / length, 0.0)
    along = torch.einsum("...bm,...m->...b", hidden.double(), unit)
    return (hidden - along[..., None] * unit[..., None, :]).to(hidden.dtype)


# --- border ---------------------------------------------------------------------------------------


@right("border")
def border_in_two_cases(importance):
    if importance <= 0:
        raise ValueError("an importance is above 0")
    if importance <= 1:
        return 4 * importance / (2 + 5 * importance)
    return 4 / (2 * importance + 5)


@right("border")
def border_by_halving(importance):
    if not importance > 0:
        raise ValueError("an importance is above 0")

    def sharing_pays(p):
        drop = min(p / 3 - p * p / 4, importance * (p / 3 - p * p / 4))
        return (1 + importance) * p * p / 6 < drop

    low, high = 0.0, 1.0
    while high - low > 1e-12:
        middle = (low + high) / 2
        low, high = (middle, high) if sharing_pays(middle) else (low, middle)
    return low


@right("border")
def border_through_numpy(importance):
    if importance <= 0:
        raise ValueError("an importance is above 0")
    weights = np.array([1.0, importance])
    slopes = np.array([weights.min() / 4 + weights.sum() / 6, -weights.min() / 3])
    return float(np.roots(slopes)[0])
