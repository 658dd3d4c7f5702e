"""Exercises of lesson 07. The right values come from plain Python arithmetic, numpy and scipy, not
from torch's losses.
"""

import math
import random
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from scipy.special import rel_entr
from torch import Tensor

from course_utils.checking import Exercises, Wrong, expect
from course_utils.checking.inputs import check_gradient, different, must_raise, normal
from course_utils.kl_bias import bias as kl_bias

EXERCISES = Exercises()


def some_mask(rng: random.Random, V: int, k: int) -> Tensor:
    """(V,) bool: k of V, never the first k."""
    chosen = set(rng.sample(range(1, V), k))
    return torch.tensor([i in chosen for i in range(V)])


def chances(rng: random.Random, *shape: int, zeros: int = 0) -> Tensor:
    """Rows that sum to 1; `zeros` of each row are exactly 0."""
    rows = []
    for _ in range(math.prod(shape[:-1])):
        weights = [rng.uniform(0.2, 3.0) for _ in range(shape[-1])]
        for i in rng.sample(range(shape[-1]), zeros):
            weights[i] = 0.0
        rows.append([w / sum(weights) for w in weights])
    return torch.tensor(rows).view(shape)


def softmax_oracle(logits: Tensor) -> np.ndarray:
    x = logits.double().numpy()
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def as_float(x) -> Tensor:
    return torch.tensor(np.asarray(x, dtype=np.float64), dtype=torch.float32)


# --- target_distribution --------------------------------------------------------------------------


@EXERCISES.add(
    kl_bias.target_distribution,
    difficulty=1,
    minutes=5,
    hints=[
        "How many tokens are chosen? mask.sum() counts the True.",
        "Each chosen token gets 1 / mask.sum(), each other one 0: a division of the mask does both.",
        "Before that: raise ValueError if mask.dtype is not torch.bool, mask.ndim is not 1, or not mask.any().",
    ],
    refuses=[
        (torch.tensor([False, False]),),
        (torch.tensor([3, 1, 4]),),
        (torch.tensor([0.5, 0.5]),),
    ],
)
def check_target_distribution(student: Callable, rng: random.Random) -> None:
    for V, k in ((rng.randrange(8, 12), 3), (6, 1), (5, 4), (rng.randrange(300, 400), 97)):
        mask = some_mask(rng, V, k)
        want = torch.tensor([1 / k if chosen else 0.0 for chosen in mask.tolist()])
        e = torch.tensor([math.e if chosen else 1.0 for chosen in mask.tolist()])
        mistakes = {
            "each chosen token has 1; together they must have 1": mask.float(),
            "you divided by V; divide by the number of chosen tokens": mask / V,
            "that is the uniform distribution over all tokens": torch.full((V,), 1 / V),
            "softmax gives the others probability, too; they must have 0": e / e.sum(),
            "those that are not chosen have the probability": ~mask / (~mask).sum(),
            "you returned log-probabilities; return probabilities": want.log(),
            "you returned only the chosen tokens; the target has a number for every token": want[mask],
            **{
                f"you added a small number, such as {small}, to every token; the others must have exactly 0":
                (mask + small) / (mask + small).sum()
                for small in (0.1, 0.01, 0.001)
            },
        }  # fmt: skip
        got = student(mask)
        if isinstance(got, Tensor) and got.dtype == torch.float64:
            raise Wrong(
                f"target_distribution(mask) with {k} of {V}: the result is float64; logits are float32."
            )
        expect(
            got,
            want,
            f"target_distribution(mask) with {k} of {V} tokens chosen",
            mistakes=mistakes,
            tol=1e-6,
        )
    mask = torch.ones(4, dtype=torch.bool)
    expect(
        student(mask),
        torch.full((4,), 0.25),
        "target_distribution(mask) with all tokens chosen",
        tol=1e-6,
    )


# --- kl_divergence --------------------------------------------------------------------------------


def _divergence_mistakes(q: Tensor, p: Tensor, want: Tensor) -> dict[str, Tensor]:
    """What the usual slips make of q and p."""
    log_ratio = torch.where(q > 0, (q / p).log(), 0.0)
    cross = -(q * p.log()).sum(-1)
    return {
        "that is KL(p‖q): the average is taken under q, and q stands on top of the fraction":
            as_float(rel_entr(p.double().numpy(), q.double().numpy()).sum(-1)),
        "that is the cross-entropy -Σ q log p; subtract the entropy of q": cross,
        "the sign is wrong: a divergence is never negative": -want,
        "you took the mean over the tokens; the sum is weighted by q already": want / q.size(-1),
        "you summed over everything; each row has its own divergence": want.sum(),
        "you averaged over the rows; each row has its own divergence": want.mean(),
        "you used log2; the unit is the nat, the natural logarithm": want / math.log(2),
        "you summed over the rows; sum over the tokens, the last dimension": (q * log_ratio).sum(0),
    }  # fmt: skip


@EXERCISES.add(
    kl_bias.kl_divergence,
    difficulty=2,
    minutes=10,
    gradients=False,  # a measurement; the loss is KLTargetLoss
    hints=[
        "log(q/p) = log q - log p. Write the sum as Σ q log q - Σ q log p, over the last dimension.",
        "0 · log 0 is nan in floating point. torch.xlogy(a, b) is a · log b, but 0 where a is 0.",
        "(torch.xlogy(q, q) - torch.xlogy(q, p)).sum(-1); no small number is added anywhere.",
    ],
    mistakes={
        "you forgot the weights: q multiplies each logarithm": lambda q, p: (q / p).log().sum(-1),
        "you forgot the sum over the tokens": lambda q, p: torch.xlogy(q, q) - torch.xlogy(q, p),
        "that is the mean of KL(q‖p) and KL(p‖q); return KL(q‖p) alone": lambda q, p: (
            (kl_bias.kl_divergence(q, p) + kl_bias.kl_divergence(p, q)) / 2
        ),
        "you left out the tokens whose p is 0; where q is above 0 there, the divergence is infinite": (
            lambda q, p: kl_bias.kl_divergence(q * (p > 0), p)
        ),
    },
)
def check_kl_divergence(student: Callable, rng: random.Random) -> None:
    for shape in ((5,), (3, 4), (4, 4), (2, 3, 6), (1, 3)):
        for zeros in (0, 2):
            q = chances(rng, *shape, zeros=zeros)
            p = chances(rng, *shape)
            want = as_float(rel_entr(q.double().numpy(), p.double().numpy()).sum(-1))
            mistakes = _divergence_mistakes(q, p, want)
            mistakes = {
                s: v
                for s, v in mistakes.items()
                if v.shape != want.shape or not torch.allclose(v, want, atol=1e-3)
            }
            call = f"kl_divergence(q, p) of shape {shape}" + (
                ", where q has zeros" if zeros else ""
            )
            got = student(q, p)
            if zeros and isinstance(got, Tensor) and got.shape == want.shape and got.isnan().any():
                raise Wrong(
                    f"{call}: there is nan, from 0 · log 0. A term whose q is 0 is 0: torch.xlogy does that."
                )
            expect(got, want, call, mistakes=mistakes, tol=2e-5)
    q = chances(rng, 4, 6)
    p = chances(rng, 4, 6, zeros=1)
    call = "kl_divergence(q, p) where q > 0 but p is 0 somewhere"
    got = student(q, p)
    left_out = kl_bias.kl_divergence(q * (p > 0), p)
    if isinstance(got, Tensor) and got.shape == (4,) and bool((got > left_out + 1e-3).any()):
        if got.isfinite().any():
            raise Wrong(
                f"{call}: it is infinite. p says that something cannot happen, and under q it does; do not hide "
                "that with a small number."
            )
    expect(got, torch.full((4,), torch.inf), call)
    q = chances(rng, 3, 6, zeros=3)
    expect(student(q, q), torch.zeros(3), "kl_divergence(q, q) where q has zeros", tol=1e-6)
    q = chances(rng, 2, 5, zeros=1).double()
    p = chances(rng, 2, 5).double()
    q = q / q.sum(-1, keepdim=True)  # they sum to 1 in float64, too
    p = p / p.sum(-1, keepdim=True)
    expect(
        student(q, p),
        torch.tensor(rel_entr(q.numpy(), p.numpy()).sum(-1)),
        "kl_divergence in torch.float64",
        tol=1e-10,
    )


# --- KLTargetLoss ---------------------------------------------------------------------------------


def loss_oracle(target: Tensor, logits: Tensor) -> float:
    x = logits.double().numpy()
    q = target.double().numpy()
    top = x.max(-1, keepdims=True)
    log_p = x - top - np.log(np.exp(x - top).sum(-1, keepdims=True))
    terms = [qi * (math.log(qi) - row[i]) for row in log_p for i, qi in enumerate(q) if qi > 0]
    return float(np.float32(sum(terms) / len(log_p)))


def _target_loss_mistakes(target: Tensor, logits: Tensor, want: Tensor) -> dict[str, Tensor]:
    """What the usual slips make of the loss, where it shows."""
    B, V = logits.shape
    q = target.expand(B, V)
    log_p = logits.log_softmax(-1)
    p = log_p.exp()
    cross = -(q * log_p).sum(-1).mean()
    mistakes = {
        "F.kl_div wants log-probabilities first; you gave it probabilities": (torch.xlogy(q, q) - q * p).sum() / B,
        "F.kl_div wants log-probabilities first; you gave it the raw logits": (torch.xlogy(q, q) - q * logits).sum() / B,
        'reduction="mean" divides by B · V; the divergence divides by B only ("batchmean")': want / V,
        'reduction="sum" adds up the rows; divide by their number ("batchmean")': want * B,
        "that is the cross-entropy; KL(Q‖P) subtracts the entropy of Q": cross,
        "the sign is wrong: a divergence is never negative": -want,
        "softmax runs over the rows; the probabilities of one row sum to 1, dim=-1":
            (torch.xlogy(q, q) - q * logits.log_softmax(0)).sum() / B,
        "that is KL(P‖Q), where the model P stands on top; Q, the target, is the second argument of F.kl_div":
            (p * (log_p - q.log())).sum() / B,
        "you took only the first row; the loss is the mean over all rows": torch.tensor(loss_oracle(target, logits[:1])),
        "log_target=True is for a target of log-probabilities; this one holds probabilities":
            (q.exp() * (q - log_p)).sum() / B,
    }  # fmt: skip
    if B == 1:
        mistakes.pop('reduction="sum" adds up the rows; divide by their number ("batchmean")')
    return {s: v for s, v in mistakes.items() if not torch.allclose(v, want, atol=1e-4)}


@EXERCISES.add(
    kl_bias.KLTargetLoss,
    difficulty=2,
    minutes=12,
    hints=[
        "__init__ checks the target with check_distribution and keeps it. __call__ turns logits into log-probabilities.",
        'F.kl_div(log_p, q, reduction="batchmean"): log-probabilities first, probabilities second, and q needs the shape of log_p.',
        "F.log_softmax(logits, dim=-1) is exact where log(softmax(…)) gives -inf. self.target.to(log_p).expand_as(log_p) repeats "
        "the target for each row. check_fits(self.target, logits), and a ValueError unless logits.ndim is 2.",
    ],
    refuses=[
        (torch.tensor([0.5, 0.1]),),
        (torch.tensor([1.5, -0.5]),),
        (torch.tensor([0.5, 0.5]).log(),),
    ],
)
def check_kl_target_loss(student: Callable, rng: random.Random) -> None:
    for B, V, zeros in ((3, 7, 0), (1, 5, 1), (4, 4, 1), (2, 9, 3)):
        target = chances(rng, V, zeros=zeros)
        logits = normal(rng, B, V) * 2
        want = torch.tensor(loss_oracle(target, logits))
        mistakes = _target_loss_mistakes(target, logits, want)
        call = f"KLTargetLoss(target)(logits) with logits of shape {(B, V)}"
        loss = student(target)
        got = loss(logits)
        if isinstance(got, Tensor) and got.shape == () and got.isnan():
            raise Wrong(
                f"{call}: the loss is nan, from 0 · log 0 where the target is 0. There the term is 0, as F.kl_div and "
                "torch.xlogy have it."
                if (target == 0).any()
                else f"{call}: the loss is nan, though no probability is 0. F.kl_div takes log P first and Q second: "
                "with a logarithm in the place of Q, or of a number below 0, comes nan."
            )
        expect(got, want, call, mistakes=mistakes, tol=2e-5)
        expect(loss(logits), want, f"{call}, called a second time", tol=2e-5)
    target = chances(rng, 6, zeros=2)
    logits = normal(rng, 3, 6) * 300
    call = "KLTargetLoss with logits of some hundreds"
    got = student(target)(logits)
    if isinstance(got, Tensor) and got.shape == () and not got.isfinite():
        raise Wrong(
            f"{call}: the loss is {got.item()}. There exponentials overflow, and softmax rounds to 0, whose logarithm "
            "is -inf; F.log_softmax does neither."
        )
    p = logits.softmax(-1)
    mistakes = {
        f"a small number, such as {small}, stands in the logarithm, where softmax rounds to 0; use F.log_softmax": (
            (torch.xlogy(target, target) - target * (p + small).log()).sum() / 3
        )
        for small in (1e-6, 1e-7, 1e-8, 1e-9, 1e-10, 1e-12)
    }
    expect(got, torch.tensor(loss_oracle(target, logits)), call, mistakes=mistakes, tol=1e-4)
    target = chances(rng, 5, zeros=1).double()
    logits = normal(rng, 3, 5, dtype=torch.float64)
    check_gradient(
        lambda x: student(target)(x),
        lambda x: F.cross_entropy(x, target.expand(3, 5)),
        logits,
        "KLTargetLoss(target)(logits)",
    )
    _check_target_loss_refuses(student, rng)


def _check_target_loss_refuses(student: Callable, rng: random.Random) -> None:
    """Logits that do not fit the target raise a ValueError."""
    good = chances(rng, 5)
    must_raise(
        lambda: student(good)(torch.zeros(2, 1)),
        "KLTargetLoss(target of 5 tokens)(logits of 1 token)",
        "it would be stretched to 5 without a word",
    )
    must_raise(
        lambda: student(good)(torch.zeros(2, 3, 5)),
        "KLTargetLoss(target)(logits of shape (2, 3, 5))",
        "it would divide by 2 rows, though there are 6",
    )


# --- bent_loss ------------------------------------------------------------------------------------


def bent_oracle(logits: Tensor, teacher: Tensor, target: Tensor, weight: float) -> Tensor:
    said = softmax_oracle(teacher)
    q = (said + weight * target.double().numpy()) / (1 + weight)
    log_p = np.log(softmax_oracle(logits))
    return as_float(rel_entr(q, np.exp(log_p)).sum(-1).mean())


def _bent_mistakes(
    logits: Tensor, teacher: Tensor, target: Tensor, weight: float, want: Tensor
) -> dict[str, Tensor]:
    """What the usual slips make of these, where it shows."""
    said = teacher.softmax(-1)
    p = logits.softmax(-1)
    log_p = logits.log_softmax(-1)
    q = (said + weight * target) / (1 + weight)

    def kl(a: Tensor, b: Tensor) -> Tensor:
        return (torch.xlogy(a, a) - torch.xlogy(a, b)).sum(-1)

    mistakes = {
        "the soft target sums to 1 + weight; divide by that": kl(said + weight * target, p).mean(),
        "weight is no share: the target has weight / (1 + weight), the teacher the rest":
            kl((1 - weight) * said + weight * target, p).mean(),
        "that is KL(P‖target); the target stands on top": kl(p, q).mean(),
        "that is the cross-entropy; subtract the entropy of the soft target": -(q * log_p).sum(-1).mean(),
        "teacher and model are exchanged: the model learns, the teacher gives the target":
            kl((p + weight * target) / (1 + weight), said).mean(),
        "you averaged over the words, too; a divergence is a sum over words": want / logits.size(-1),
        "you added up the positions; the loss is their mean": want * (logits.numel() // logits.size(-1)),
        "you left the teacher out: that is KL(Q‖P)": kl(target.expand_as(p), p).mean(),
        "you left the bias out: that is the control": kl(said, p).mean(),
        "that is the sum of two divergences, KL(teacher‖P) + weight · KL(Q‖P); mix the targets first":
            (kl(said, p) + weight * kl(target.expand_as(p), p)).mean(),
        "the mixture has the shares the wrong way round: the teacher has 1, Q has the weight":
            kl((weight * said + target) / (1 + weight), p).mean(),
    }  # fmt: skip
    if logits.ndim == 3:
        mistakes["you divided by the rows only; average over all positions"] = want * logits.size(1)
    return different(mistakes, want)


@EXERCISES.add(
    kl_bias.bent_loss,
    difficulty=2,
    minutes=10,
    gradients=["logits"],
    hints=[
        "First make the soft target: at each position, the teacher's probabilities and the weight times Q, divided by their sum.",
        "Then KL(soft target‖P), a sum over the last dimension, and the mean over all positions. Use logits.log_softmax(-1).",
        "q = (teacher_logits.softmax(-1) + weight * target) / (1 + weight); (torch.xlogy(q, q) - q * log_p).sum(-1).mean().",
    ],
    refuses=[(torch.zeros(2, 3), torch.zeros(2, 3), torch.tensor([1.0, 0.0, 0.0]), -0.5)],
)
def check_bent_loss(student: Callable, rng: random.Random) -> None:
    for shape, weight in (
        ((3, 5), 0.5),
        ((2, 4, 6), 3.0),
        ((2, 3, 7), 0.0),
        ((1, 6), 1.0),
        ((4, 2, 5), 0.3),
    ):
        logits = normal(rng, *shape) * 2
        teacher = normal(rng, *shape) * 2
        target = chances(rng, shape[-1], zeros=2)
        want = bent_oracle(logits, teacher, target, weight)
        call = f"bent_loss(logits, teacher_logits, target, {weight}) with logits of shape {shape}"
        got = student(logits, teacher, target, weight)
        if isinstance(got, Tensor) and got.shape == () and got.isnan():
            raise Wrong(
                f"{call}: the loss is nan. With the target in F.kl_div's first place, or a logarithm of something "
                "that is no probability, comes nan."
            )
        mistakes = _bent_mistakes(logits, teacher, target, weight, want)
        expect(got, want, call, mistakes=mistakes, tol=2e-5)
    logits = normal(rng, 3, 6) * 300
    teacher = normal(rng, 3, 6)
    target = chances(rng, 6, zeros=3)
    call = "bent_loss with logits of some hundreds"
    got = student(logits, teacher, target, 1.0)
    if isinstance(got, Tensor) and got.shape == () and not got.isfinite():
        raise Wrong(
            f"{call}: the loss is {got.item()}. There softmax rounds to 0, whose logarithm is -inf; F.log_softmax "
            "does not."
        )
    q = (teacher.softmax(-1) + target) / 2
    want = (torch.xlogy(q, q) - q * logits.double().log_softmax(-1)).sum(-1).mean().float()
    expect(got, want, call, tol=1e-4)


# --- matched_control ------------------------------------------------------------------------------

GAP = 0.05  # nats that a control's start may lie away


def check_control(mask: Tensor, control: object, log_p: Tensor, call: str) -> None:
    """Raises Wrong unless the control is other words, as many, that start where the mask starts."""
    if not isinstance(control, Tensor) or control.dtype != torch.bool:
        kind = control.dtype if isinstance(control, Tensor) else type(control).__name__
        raise Wrong(f"{call}: return a mask, a tensor of bool, and not {kind}.")
    if control.shape != mask.shape:
        raise Wrong(
            f"{call}: the control is {tuple(control.shape)}; a mask has one value for each of the {len(mask)} words."
        )
    if (control & mask).any():
        raise Wrong(
            f"{call}: {int((control & mask).sum())} of your words are the mask's own, so your control carries the very "
            "bias that it should be free of."
        )
    k = int(mask.sum())
    if int(control.sum()) != k:
        raise Wrong(
            f"{call}: you chose {int(control.sum())} words and the mask has {k}; with another number the entropy of "
            "the target differs, too."
        )
    gap = (log_p[control].mean() - log_p[mask].mean()).item()
    if abs(gap) > GAP:
        words = "likelier" if gap > 0 else "rarer"
        raise Wrong(
            f"{call}: your words are {words} on average: KL(Q‖P) starts {abs(gap):.2f} nats "
            f"{'lower' if gap > 0 else 'higher'}, and {GAP} may be. A difference would then have two causes."
        )


@EXERCISES.add(
    kl_bias.matched_control,
    difficulty=3,
    minutes=15,
    gradients=False,
    sizes=False,
    hints=[
        "KL(Q‖P) starts at -log k - the mean of log_p over the k words. So you need k other words whose mean is that of the mask's.",
        "Words of nearly the same log_p, one for each word of the mask, come close. Or try many sets and keep the best.",
        "Choose word after word: the free one nearest to (the sum that is left) / (the number of words that is left). The last ones "
        "mend what the first ones missed.",
    ],
    refuses=[(torch.tensor([True, True, False]), torch.tensor([-1.0, -2.0, -3.0]))],
)
def check_matched_control(student: Callable, rng: random.Random) -> None:
    for V, k, kind in (
        (400, 7, "drawn"),
        (699, 7, "rare"),
        (400, 3, "drawn"),
        (1500, 1, "middle"),
        (400, 12, "common"),
        (800, 2, "ends"),
    ):
        log_p = normal(rng, V) * 3 - 12
        order = log_p.argsort().tolist()
        chosen = {
            "drawn": rng.sample(range(V), k),
            "rare": rng.sample(order[V // 20 : V // 3], k),
            "middle": [order[V // 2]],
            "common": rng.sample(order[V // 2 : -V // 20], k),
            "ends": [order[V // 10], order[-V // 10]],
        }[kind]
        mask = torch.zeros(V, dtype=torch.bool)
        mask[chosen] = True
        call = f"matched_control(mask of {k}, log_p) for {V} words"
        check_control(mask, student(mask, log_p), log_p, call)
