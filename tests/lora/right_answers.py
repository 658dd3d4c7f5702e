"""Right answers of another style to the exercises on LoRA."""

import torch
from answers import Answers

right = Answers()


@right("lora_forward")
def with_einsum(x, W, b, A, B, alpha):
    thin = torch.einsum("...n,rn->...r", x, A)
    out = torch.einsum("...n,mn->...m", x, W) + torch.einsum("...r,mr->...m", thin, B) * (
        alpha / A.shape[0]
    )
    return out if b is None else out + b


@right("lora_forward")
def scaled_first(x, W, b, A, B, alpha):
    scaled = A * (alpha / A.size(0))
    y = x @ W.T + (x @ scaled.T) @ B.T
    return y if b is None else y + b


@right("lora_forward")
def rank_by_rank(x, W, b, A, B, alpha):
    y = torch.nn.functional.linear(x, W)
    for i in range(len(A)):
        y = y + alpha / len(A) * (x * A[i]).sum(-1, keepdim=True) * B[:, i]
    if b is not None:
        y = y + b
    return y


@right("lora_merge")
def added(W, A, B, alpha):
    return torch.add(W, B.matmul(A), alpha=alpha / A.shape[0])


@right("lora_merge")
def with_outer_products(W, A, B, alpha):
    return W + sum(torch.outer(B[:, i], A[i]) for i in range(len(A))) * alpha / len(A)


@right("lora_merge")
def on_a_copy(W, A, B, alpha):
    merged = W.clone()
    merged += (alpha / B.shape[1]) * torch.einsum("mr,rn->mn", B, A)
    return merged
