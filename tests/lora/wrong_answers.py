"""Wrong answers to the exercises of lesson 19: mistakes that people make. Every checker must reject
every one.
"""

import torch
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


# --- alpha_for ------------------------------------------------------------------------------------


@wrong("alpha_for", says="a constant α / r moves more at a higher rank")
def alpha_in_proportion(rank, known_rank, known_alpha):
    """Keeps α / r, as libraries do."""
    if min(rank, known_rank) < 1:
        raise ValueError("ranks are 1 or more")
    return known_alpha / known_rank * rank


@wrong("alpha_for", says="a constant α moves less at a higher rank")
def alpha_as_it_is(rank, known_rank, known_alpha):
    """Keeps α, as the paper does."""
    if min(rank, known_rank) < 1:
        raise ValueError("ranks are 1 or more")
    return known_alpha * 1.0


@wrong("alpha_for", says="it is the wrong way round: at a higher rank α must be higher")
def alpha_upside_down(rank, known_rank, known_alpha):
    """The root of the inverse."""
    if min(rank, known_rank) < 1:
        raise ValueError("ranks are 1 or more")
    return known_alpha / (rank / known_rank) ** 0.5


@wrong("alpha_for", says="that is 2 √r; the known α at the known rank must come out again")
def alpha_of_the_rank_alone(rank, known_rank, known_alpha):
    """Forgets what is known."""
    if min(rank, known_rank) < 1:
        raise ValueError("ranks are 1 or more")
    return 2 * rank**0.5


@wrong("alpha_for", says="that is the factor α / r; return α itself")
def alpha_over_rank(rank, known_rank, known_alpha):
    """Returns the factor."""
    if min(rank, known_rank) < 1:
        raise ValueError("ranks are 1 or more")
    return known_alpha * (rank / known_rank) ** 0.5 / rank


@wrong("alpha_for", says="the root belongs around the ranks only, not around α")
def alpha_in_the_root(rank, known_rank, known_alpha):
    """√(α r / known)."""
    if min(rank, known_rank) < 1:
        raise ValueError("ranks are 1 or more")
    return (known_alpha * rank / known_rank) ** 0.5


# --- low_rank -------------------------------------------------------------------------------------


def parts_of(update, rank):
    if rank < 1:
        raise ValueError("a rank is 1 or more")
    return torch.linalg.svd(update, full_matrices=False)


@wrong("low_rank", says="you kept the smallest singular values; keep the largest")
def the_smallest(update, rank):
    """Singular values come largest first."""
    U, S, Vh = parts_of(update, rank)
    return U[:, -rank:] @ S[-rank:].diag() @ Vh[-rank:]


@wrong("low_rank", says="you kept some columns of the update")
def some_columns(update, rank):
    """Has that rank, and is not the nearest."""
    parts_of(update, rank)
    kept = update.clone()
    kept[:, rank:] = 0
    return kept


@wrong("low_rank", says="the singular values themselves are missing")
def no_values(update, rank):
    """U @ Vh."""
    U, _, Vh = parts_of(update, rank)
    return U[:, :rank] @ Vh[:rank]


@wrong("low_rank", says="you squared the singular values; each counts once")
def values_twice(update, rank):
    """S on both sides."""
    U, S, Vh = parts_of(update, rank)
    return (U[:, :rank] * S[:rank]) @ (S[:rank, None] * Vh[:rank])


@wrong("low_rank", says="you kept one singular value alone; keep the first `rank` of them")
def one_value(update, rank):
    """The one at place rank."""
    U, S, Vh = parts_of(update, rank)
    k = min(rank, S.numel()) - 1
    return U[:, k : k + 1] * S[k] @ Vh[k : k + 1]


@wrong("low_rank", says="you kept the largest numbers, and the rank stays high")
def largest_numbers(update, rank):
    """As many numbers as LoRA trains, wherever they stand."""
    parts_of(update, rank)
    n = min(update.numel(), rank * (update.size(0) + update.size(1)))
    kept = torch.zeros(update.numel())
    where = update.abs().flatten().topk(n).indices
    kept[where] = update.flatten()[where]
    return kept.view_as(update)


@wrong("low_rank", says="one singular value too few is left")
def one_too_few(update, rank):
    """Up to rank - 1."""
    U, S, Vh = parts_of(update, rank)
    return U[:, : rank - 1] * S[: rank - 1] @ Vh[: rank - 1]


@wrong("low_rank", says="one singular value too many is left")
def one_too_many(update, rank):
    """Up to rank + 1."""
    U, S, Vh = parts_of(update, rank)
    return U[:, : rank + 1] * S[: rank + 1] @ Vh[: rank + 1]


# --- loss_at --------------------------------------------------------------------------------------


def steps_of(curve):
    if not curve:
        raise ValueError("the curve is empty")
    return [mark["accuracy"] for mark in curve], [mark["story_loss"] for mark in curve]


@wrong("loss_at", says="you took the first mark that reaches the goal")
def the_first_above(curve, goal):
    """Its loss as it is."""
    right, nats = steps_of(curve)
    return next((y for x, y in zip(right, nats, strict=True) if x >= goal), float("nan"))


@wrong("loss_at", says="you took the last mark below the goal")
def the_last_below(curve, goal):
    """The loss of the mark before."""
    right, nats = steps_of(curve)
    for n, x in enumerate(right):
        if x >= goal:
            return nats[max(0, n - 1)]
    return float("nan")


@wrong("loss_at", says="you took the mark nearest to the goal")
def the_nearest(curve, goal):
    """No line between two marks."""
    right, nats = steps_of(curve)
    if max(right) < goal:
        return float("nan")
    return nats[min(range(len(right)), key=lambda n: abs(right[n] - goal))]


@wrong("loss_at", says="you took the middle between two marks")
def the_middle(curve, goal):
    """Half-way, wherever the goal lies."""
    right, nats = steps_of(curve)
    for n, x in enumerate(right):
        if x >= goal:
            return (nats[n] + nats[n - 1]) / 2 if n else nats[0]
    return float("nan")


@wrong("loss_at", says="where the accuracy falls and rises again, the first time counts")
def the_last_time(curve, goal):
    """Walks from the end."""
    right, nats = steps_of(curve)
    for n in range(len(right) - 1, 0, -1):
        if right[n - 1] < goal <= right[n]:
            part = (goal - right[n - 1]) / (right[n] - right[n - 1])
            return nats[n - 1] + part * (nats[n] - nats[n - 1])
    return nats[0] if right[0] >= goal else float("nan")


@wrong("loss_at", says="a run that never reaches the goal has no such loss: return nan")
def never_is_the_end(curve, goal):
    """Gives the last loss where the goal is out of reach."""
    right, nats = steps_of(curve)
    for n, x in enumerate(right):
        if x >= goal:
            part = (goal - right[n - 1]) / (right[n] - right[n - 1]) if n else 1
            return nats[n - 1] + part * (nats[n] - nats[n - 1]) if n else nats[0]
    return nats[-1]


@wrong("loss_at", says="where the first mark reaches the goal, its loss is the answer")
def the_first_mark_has_none(curve, goal):
    """nan where there is no mark before."""
    right, nats = steps_of(curve)
    for n in range(1, len(right)):
        if right[n - 1] < goal <= right[n]:
            part = (goal - right[n - 1]) / (right[n] - right[n - 1])
            return nats[n - 1] + part * (nats[n] - nats[n - 1])
    return float("nan")


@wrong("loss_at", says="that is the step at which the goal is reached")
def the_step(curve, goal):
    """When, not how much."""
    right, _ = steps_of(curve)
    for n, x in enumerate(right):
        if x >= goal:
            if n == 0:
                return float(curve[0]["step"])
            part = (goal - right[n - 1]) / (right[n] - right[n - 1])
            return curve[n - 1]["step"] + part * (curve[n]["step"] - curve[n - 1]["step"])
    return float("nan")
