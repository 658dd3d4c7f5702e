"""Wrong answers to the exercises of lesson 19: mistakes that people make. Every checker must reject
every one.
"""

import torch.nn.functional as F
from answers import WrongAnswers

from course_utils.lora import adapters

wrong = WrongAnswers()


# --- lora_forward and lora_merge ------------------------------------------------------------------


def lora_with(scale=lambda alpha, r: alpha / r, old=True, bias=1, minus=False):
    def forward(x, W, b, A, B, alpha):
        thin = scale(alpha, len(A)) * x @ A.T @ B.T * (-1 if minus else 1)
        return thin + (x @ W.T if old else 0) + (bias * b if b is not None else 0)

    return forward


@wrong("lora_forward", says="the factor α / r is missing")
def lora_no_scale(x, W, b, A, B, alpha):
    """α / r forgotten."""
    return lora_with(lambda alpha, r: 1)(x, W, b, A, B, alpha)


@wrong("lora_forward", says="the factor is α / r; the division by the rank is missing")
def lora_alpha_only(x, W, b, A, B, alpha):
    """Not divided by the rank: right for rank 1."""
    return lora_with(lambda alpha, r: alpha)(x, W, b, A, B, alpha)


@wrong("lora_forward", says="the factor is α / r; you multiplied by the rank")
def lora_times_rank(x, W, b, A, B, alpha):
    """r · α."""
    return lora_with(lambda alpha, r: alpha * r)(x, W, b, A, B, alpha)


@wrong("lora_forward", says="the factor is α / r, not r / α")
def lora_upside_down(x, W, b, A, B, alpha):
    """r / α."""
    return lora_with(lambda alpha, r: r / alpha)(x, W, b, A, B, alpha)


@wrong("lora_forward", says="the factor is α / r; that is α / √r, which another method uses")
def lora_root(x, W, b, A, B, alpha):
    """α / √r, as rank-stabilised LoRA has it."""
    return lora_with(lambda alpha, r: alpha / r**0.5)(x, W, b, A, B, alpha)


@wrong("lora_forward", says="you took the number of outputs for the rank r")
def lora_rank_of_b(x, W, b, A, B, alpha):
    """Takes the number of outputs for the rank."""
    return lora_with(lambda alpha, r: alpha / len(B))(x, W, b, A, B, alpha)


@wrong("lora_forward", says="you took the number of inputs for the rank r")
def lora_rank_of_inputs(x, W, b, A, B, alpha):
    """Takes the number of inputs for the rank."""
    return lora_with(lambda alpha, r: alpha / A.size(1))(x, W, b, A, B, alpha)


@wrong("lora_forward", says="the bias b is lost")
def lora_no_bias(x, W, b, A, B, alpha):
    """The bias is lost: right where there is none."""
    return lora_with(bias=0)(x, W, b, A, B, alpha)


@wrong("lora_forward", says="the bias is there twice")
def lora_bias_twice(x, W, b, A, B, alpha):
    """The bias in both ways."""
    return lora_with(bias=2)(x, W, b, A, B, alpha)


@wrong("lora_forward", says="b may be None: add it only where there is one")
def lora_bias_needed(x, W, b, A, B, alpha):
    """Falls over where there is no bias."""
    return x @ W.T + b + alpha / len(A) * x @ A.T @ B.T


@wrong("lora_forward", says="W x is missing; only b and the thin part are there")
def lora_no_old(x, W, b, A, B, alpha):
    """Only the thin part."""
    return lora_with(old=False)(x, W, b, A, B, alpha)


@wrong("lora_forward", says="the factor is α / r; α is missing")
def lora_rank_only(x, W, b, A, B, alpha):
    """Divides by the rank and forgets α."""
    return lora_with(lambda alpha, r: 1 / r)(x, W, b, A, B, alpha)


@wrong("lora_forward", says="the bias is part of W x + b only; α / r must not touch it")
def lora_scales_bias(x, W, b, A, B, alpha):
    """The bias in the thin part, so that α / r scales it, too."""
    return x @ W.T + alpha / len(A) * F.linear(x @ A.T, B, b)


@wrong("lora_forward", says="only the thin part is there: add W x + b")
def lora_thin_only(x, W, b, A, B, alpha):
    """What the thin matrices add, and nothing else."""
    return alpha / len(A) * x @ A.T @ B.T


@wrong("lora_forward", says="the thin matrices are not in it")
def lora_only_old(x, W, b, A, B, alpha):
    """The old layer alone: right at the start, where B is 0."""
    return F.linear(x, W, b)


@wrong("lora_forward", says="the thin part is added, not subtracted")
def lora_minus(x, W, b, A, B, alpha):
    """Subtracts."""
    return lora_with(minus=True)(x, W, b, A, B, alpha)


@wrong("lora_forward", says="W is the wrong way round: a linear layer keeps (out, in), so x @ W.T")
def lora_w_turned(x, W, b, A, B, alpha):
    """x @ W: only where W is square does that not fall over."""
    return x @ W + (b if b is not None else 0) + alpha / len(A) * x @ A.T @ B.T


@wrong("lora_forward", says="α / r scales the thin part only")
def lora_scales_all(x, W, b, A, B, alpha):
    """α / r before everything."""
    return alpha / len(A) * lora_with(lambda alpha, r: 1)(x, W, b, A, B, alpha)


@wrong(
    "lora_forward",
    says="lora_forward(…, B, …): no gradient flows back",
)
def lora_no_gradient(x, W, b, A, B, alpha):
    """Cuts the graph: right numbers, nothing to learn from."""
    return lora_with()(x, W, b, A, B.detach(), alpha)


@wrong("lora_merge", says="the factor α / r is missing")
def merge_no_scale(W, A, B, alpha):
    """α / r forgotten."""
    return W + B @ A


@wrong("lora_merge", says="the factor is α / r; the division by the rank is missing")
def merge_alpha_only(W, A, B, alpha):
    """Not divided by the rank."""
    return W + alpha * B @ A


@wrong("lora_merge", says="the factor is α / r; you multiplied by the rank")
def merge_times_rank(W, A, B, alpha):
    """r · α."""
    return W + alpha * len(A) * B @ A


@wrong("lora_merge", says="the factor is α / r, not r / α")
def merge_upside_down(W, A, B, alpha):
    """r / α."""
    return W + len(A) / alpha * B @ A


@wrong("lora_merge", says="the factor is α / r; that is α / √r, which another method uses")
def merge_root(W, A, B, alpha):
    """α / √r."""
    return W + alpha / len(A) ** 0.5 * B @ A


@wrong("lora_merge", says="the product is the wrong way round: B A, as the layer applies A first")
def merge_turned(W, A, B, alpha):
    """The product transposed: right shape where W is square."""
    thin = alpha / len(A) * (B @ A).T
    return W + (thin if thin.shape == W.shape else thin.T)


@wrong("lora_merge", says="the product is the wrong way round: B A, as the layer applies A first")
def merge_transposes(W, A, B, alpha):
    """A.T @ B.T, as a batch of rows needs it: fits where W is square."""
    return W + alpha / len(A) * A.T @ B.T


@wrong("lora_merge", says="changed its argument in place")
def merge_in_place(W, A, B, alpha):
    """Changes the layer that it was given: the second time the update is there twice."""
    W += alpha / len(A) * B @ A
    return W


@wrong("lora_merge", says="the thin part is added twice")
def merge_twice(W, A, B, alpha):
    """Adds the update twice."""
    return W + 2 * alpha / len(A) * B @ A


@wrong("lora_merge", says="only the thin matrices are in it: add W")
def merge_only_thin(W, A, B, alpha):
    """Forgets W."""
    return alpha / len(A) * B @ A


@wrong("lora_merge", says="the thin part is added, not subtracted")
def merge_minus(W, A, B, alpha):
    """That is how to take the update out again."""
    return W - alpha / len(A) * B @ A


@wrong("lora_merge", says="α / r scales the thin part only")
def merge_scales_all(W, A, B, alpha):
    """α / r before everything."""
    return alpha / len(A) * (W + B @ A)


@wrong("lora_merge", says="W is the wrong way round: it stays (out, in)")
def merge_w_turned(W, A, B, alpha):
    """W the other way round, where that fits."""
    return (W.T if W.size(0) == W.size(1) else W) + alpha / len(A) * B @ A


@wrong("lora_merge", says="the thin matrices are not in it")
def merge_nothing(W, A, B, alpha):
    """Right at the start, where B is 0."""
    return W.clone()


@wrong("lora_merge", says="you took the number of outputs for the rank r")
def merge_rank_of_w(W, A, B, alpha):
    """Divides by the width instead of the rank."""
    return W + alpha / len(W) * B @ A


@wrong("lora_forward", says="lora_forward(…, A, …): no gradient reaches the input")
def lora_frozen_a(x, W, b, A, B, alpha):
    """Only B learns."""
    return F.linear(x, W, b) + alpha / len(A) * (x @ A.detach().T) @ B.T


@wrong("lora_forward", says="the gradient of lora_forward(x, …): ")
def lora_frozen_input(x, W, b, A, B, alpha):
    """No gradient goes through the thin way to the layers below."""
    return F.linear(x, W, b) + alpha / len(A) * (x.detach() @ A.T) @ B.T


@wrong("lora_forward", says="you divided α by r with //, which drops the remainder")
def lora_whole_division(x, W, b, A, B, alpha):
    """Divides without the remainder: right for 6 / 2."""
    return F.linear(x, W, b) + alpha // len(A) * (x @ A.T) @ B.T


@wrong("lora_merge", says="you divided α by r with //, which drops the remainder")
def merge_whole_division(W, A, B, alpha):
    """Divides without the remainder: right for 6 / 2."""
    return W + alpha // len(A) * B @ A


# --- Values right, gradients wrong ----------------------------------------------------------------


@wrong("lora_forward", says="lets no gradient reach")
def lora_frozen_bias(x, W, b, A, B, alpha):
    """The bias learns nothing."""
    return adapters.lora_forward(x, W, None if b is None else b.detach(), A, B, alpha)


@wrong("lora_forward", says="the gradient of")
def lora_frozen_start(x, W, b, A, B, alpha):
    """The thin way sends nothing back to x."""
    return F.linear(x, W, b) + alpha / len(A) * (x.detach() @ A.T) @ B.T


@wrong("lora_forward", says=": no gradient reaches the input. Use the tensors that you were given")
def lora_half_trained(x, W, b, A, B, alpha):
    """B learns, A does not."""
    return adapters.lora_forward(x, W, b, A.detach(), B, alpha)
