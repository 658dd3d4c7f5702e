"""Right answers to the exercises of lesson 19, each of another style than the reference."""

import numpy as np
import torch
import torch.nn.functional as F
from answers import Answers

right = Answers()


# --- lora_forward ---------------------------------------------------------------------------------


@right("lora_forward")
def with_einsum(x, W, b, A, B, alpha):
    thin = torch.einsum("...n,rn->...r", x, A)
    out = torch.einsum("...n,mn->...m", x, W) + alpha / A.shape[0] * torch.einsum(
        "...r,mr->...m", thin, B
    )
    return out if b is None else out + b


@right("lora_forward")
def with_three_linears(x, W, b, A, B, alpha):
    r = B.size(1)
    return F.linear(x, W, b) + F.linear(F.linear(x, A), B) * (alpha / r)


@right("lora_forward")
def rank_by_rank(x, W, b, A, B, alpha):
    r = A.size(0)
    out = x @ W.mT
    for a, column in zip(A, B.unbind(1), strict=True):
        out = out + (alpha / r) * (x @ a)[..., None] * column
    if b is not None:
        out = out + b
    return out


@right("lora_forward")
def with_flat_rows_and_addmm(x, W, b, A, B, alpha):
    rows = x.reshape(-1, x.shape[-1])
    old = rows @ W.t() if b is None else torch.addmm(b, rows, W.t())
    out = torch.addmm(old, rows @ A.t(), B.t(), alpha=alpha / len(A))
    return out.reshape(*x.shape[:-1], len(W))


@right("lora_forward")
def thin_way_in_float64(x, W, b, A, B, alpha):
    thin = (x.double() @ A.double().T) @ B.double().T
    return F.linear(x, W, b) + (alpha * thin / len(A)).to(x.dtype)


@right("lora_forward")
def with_columns(x, W, b, A, B, alpha):
    column = x.unsqueeze(-1)
    scale = alpha / len(A)
    out = (W @ column + B @ (scale * (A @ column))).squeeze(-1)
    return out if b is None else b + out


# --- lora_merge -----------------------------------------------------------------------------------


@right("lora_merge")
def merge_with_einsum(W, A, B, alpha):
    return W + torch.einsum("mr,rn->mn", B, A) * (alpha / B.shape[1])


@right("lora_merge")
def in_loops(W, A, B, alpha):
    merged = W.clone()
    r = len(A)
    for i in range(W.size(0)):
        for j in range(W.size(1)):
            merged[i, j] += alpha / r * sum(B[i, k] * A[k, j] for k in range(r))
    return merged


@right("lora_merge")
def as_a_sum_of_outer_products(W, A, B, alpha):
    merged = W.clone()
    for k in range(A.size(0)):
        merged = merged + torch.outer(B[:, k], A[k]).mul(alpha).div(A.size(0))
    return merged


@right("lora_merge")
def with_addmm(W, A, B, alpha):
    return torch.addmm(W, B, A, beta=1, alpha=alpha / A.shape[0])


@right("lora_merge")
def by_broadcasting(W, A, B, alpha):
    return W + alpha * (B[:, :, None] * A[None]).mean(1)


@right("lora_merge")
def through_the_layer(W, A, B, alpha):
    """The columns of a matrix are what it makes of the unit vectors."""
    return with_three_linears(torch.eye(W.size(1)).to(W), W, None, A, B, alpha).T


@right("lora_merge")
def through_numpy_in_float64(W, A, B, alpha):
    thin = B.numpy().astype(np.float64) @ A.numpy().astype(np.float64)
    return torch.from_numpy(W.numpy() + alpha / len(A) * thin).to(W.dtype)


# --- alpha_for ------------------------------------------------------------------------------------


@right("alpha_for")
def by_powers(rank, known_rank, known_alpha):
    if not (rank >= 1 and known_rank >= 1):
        raise ValueError("a rank is at least 1")
    return known_alpha * rank**0.5 * known_rank**-0.5


@right("alpha_for")
def by_logarithms(rank, known_rank, known_alpha):
    if rank < 1 or known_rank < 1:
        raise ValueError("a rank is at least 1")
    return known_alpha * np.exp((np.log(rank) - np.log(known_rank)) / 2)


@right("alpha_for")
def as_a_tensor(rank, known_rank, known_alpha):
    if min(rank, known_rank) <= 0:
        raise ValueError(f"{rank}, {known_rank}")
    constant = known_alpha / torch.tensor(float(known_rank), dtype=torch.float64).sqrt()
    return (constant * torch.tensor(float(rank), dtype=torch.float64).sqrt()).item()


# --- low_rank -------------------------------------------------------------------------------------


@right("low_rank")
def zeros_in_the_middle(update, rank):
    if rank < 1:
        raise ValueError("at least one")
    U, S, Vh = torch.linalg.svd(update, full_matrices=False)
    S[rank:] = 0
    return U @ torch.diag(S) @ Vh


@right("low_rank")
def by_projection(update, rank):
    if rank <= 0:
        raise ValueError("at least one")
    values, vectors = torch.linalg.eigh(update @ update.T)
    basis = vectors[:, values.argsort(descending=True)[:rank]]
    return basis @ (basis.T @ update)


@right("low_rank")
def a_sum_of_products(update, rank):
    if rank < 1:
        raise ValueError("at least one")
    left, sizes, right_side = torch.linalg.svd(update)
    parts = range(min(rank, *update.shape))
    return sum(sizes[k] * torch.outer(left[:, k], right_side[k]) for k in parts)


# --- loss_at --------------------------------------------------------------------------------------


@right("loss_at")
def by_interp(curve, goal):
    if len(curve) == 0:
        raise ValueError("no marks")
    reached = [n for n, mark in enumerate(curve) if mark["accuracy"] >= goal]
    if not reached:
        return float("nan")
    ends = curve[max(0, reached[0] - 1) : reached[0] + 1]
    return float(np.interp(goal, [m["accuracy"] for m in ends], [m["story_loss"] for m in ends]))


@right("loss_at")
def by_pairs(curve, goal):
    if not curve:
        raise ValueError("no marks")
    if curve[0]["accuracy"] >= goal:
        return curve[0]["story_loss"]
    for a, b in zip(curve[:-1], curve[1:], strict=True):
        if b["accuracy"] >= goal:
            slope = (b["story_loss"] - a["story_loss"]) / (b["accuracy"] - a["accuracy"])
            return a["story_loss"] + slope * (goal - a["accuracy"])
    return np.nan


@right("loss_at")
def with_an_index(curve, goal):
    if not curve:
        raise ValueError("no marks")
    right_shares = torch.tensor([mark["accuracy"] for mark in curve], dtype=torch.float64)
    nats = torch.tensor([mark["story_loss"] for mark in curve], dtype=torch.float64)
    above = (right_shares >= goal).nonzero().flatten()
    if len(above) == 0:
        return float("nan")
    i = int(above[0])
    if i == 0:
        return nats[0].item()
    part = (goal - right_shares[i - 1]) / (right_shares[i] - right_shares[i - 1])
    return torch.lerp(nats[i - 1], nats[i], part).item()
