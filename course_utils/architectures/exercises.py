"""Exercises of lesson 11. The right values come from torch's own RMSNorm, softmax and
scaled_dot_product_attention, from complex numbers, and from loops over tokens.
"""

import random
from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from course_utils.architectures import parts
from course_utils.attention import heads as attention
from course_utils.checking import Exercises, expect
from course_utils.checking.inputs import check_gradient, distinct, normal
from course_utils.transformer_block import block as transformer_block
from course_utils.transformer_block.exercises import table

EXERCISES = Exercises()


@EXERCISES.add(
    attention.repeat_kv,
    difficulty=2,
    minutes=5,
    hints=[
        "Query heads 0 to n_rep - 1 read key head 0, the next n_rep read key head 1. Write the list of key heads for "
        "H_kv = 2 and n_rep = 3.",
        "0, 0, 0, 1, 1, 1: each head is repeated before the next one comes. torch has two functions that repeat; they differ "
        "in just this order.",
        "x.repeat_interleave(n_rep, dim=…): which dimension holds the heads?",
    ],
    refuses=[(torch.ones(1, 2, 3, 4), 0), (torch.ones(1, 2, 3, 4), -1)],
    mistakes={
        "without dim=… repeat_interleave flattens x and repeats every number; name the dimension of the heads": (
            lambda x, n_rep: x.repeat_interleave(n_rep)
        ),
        "n_rep is the number of copies of each head, not the number of heads in the end": (
            lambda x, n_rep: attention.repeat_kv(x, max(1, n_rep // x.size(1)))
        ),
        "the copies stand behind the positions, so that a reshape mixes both; put them behind their head": (
            lambda x, n_rep: x.repeat_interleave(n_rep, 2).reshape(len(x), -1, *x.shape[2:])
        ),
        "only the first head of each group is filled; the others are 0": lambda x, n_rep: (
            attention.repeat_kv(x, n_rep)
            * (torch.arange(n_rep * x.size(1)) % n_rep == 0)[:, None, None]
        ),
        "you divided by n_rep; a copy has the numbers of its head": lambda x, n_rep: (
            attention.repeat_kv((x / n_rep).to(x.dtype), n_rep)
        ),
        "nothing was repeated": lambda x, n_rep: x,
    },
)
def check_repeat_kv(student: Callable, rng: random.Random) -> None:
    for B, H, S, d in ((2, 3, 5, 4), (1, 2, 3, 2), (3, 3, 3, 3), (2, 1, 4, 3), (2, 4, 1, 2)):
        for n_rep in (rng.randrange(2, 5), 1, H):
            for x in (distinct(rng, B, H, S, d), normal(rng, B, H, S, d)):
                want = torch.stack([x[:, h // n_rep] for h in range(H * n_rep)], dim=1)
                mistakes = {
                    "the order is head 0, 1, 2, 0, 1, 2 …; neighbours share a head: 0, 0, 1, 1, 2, 2":
                        x.repeat(1, n_rep, 1, 1),
                    "you repeated the sequences of the batch; repeat the heads": x.repeat_interleave(n_rep, 0),
                    "you repeated the positions; repeat the heads": x.repeat_interleave(n_rep, 2),
                    "you repeated the features; repeat the heads": x.repeat_interleave(n_rep, 3),
                    "n_rep counts the copies of each head in the result, the original among them":
                        x.repeat_interleave(n_rep + 1, 1),
                    "the copies have a dimension of their own: join it with the heads": x[:, :, None].expand(
                        B, H, n_rep, S, d),
                }  # fmt: skip
                call = f"repeat_kv(x, n_rep={n_rep}) with x of shape {tuple(x.shape)}"
                expect(student(x, n_rep), want, call, mistakes=mistakes)
    x = normal(rng, 2, 2, 3, 4)
    check_gradient(
        lambda x: student(x, 3), lambda x: x.repeat_interleave(3, 1), x, "repeat_kv(x, n_rep=3)"
    )


# --- rotary ---------------------------------------------------------------------------------------


def turn(
    x: Tensor, base: float = 10_000.0, first: int = 0, sign: int = 1, step: float = 2.0
) -> Tensor:
    """Pairs of features as complex numbers, times e^(i · angle)."""
    T, d = x.shape[-2:]
    rates = torch.tensor([base ** (-step * i / d) for i in range(d // 2)], dtype=torch.float64)
    angles = sign * torch.outer(torch.arange(first, first + T, dtype=torch.float64), rates)
    pairs = torch.view_as_complex(x.double().unflatten(-1, (-1, 2)).contiguous())
    return (
        torch.view_as_real(pairs * torch.polar(torch.ones_like(angles), angles))
        .flatten(-2)
        .to(x.dtype)
    )


def halves(x: Tensor) -> Tensor:
    """Features 0, d/2, 1, d/2 + 1, … : the pairs of the other convention next to each other."""
    return x.unflatten(-1, (2, -1)).mT.flatten(-2)


def unhalves(x: Tensor) -> Tensor:
    return x.unflatten(-1, (-1, 2)).mT.flatten(-2)


def _rotary_mistakes(x: Tensor, base: float, want: Tensor) -> dict[str, Tensor]:
    """What the usual slips make of x, turned with this base."""
    T = x.size(-2)
    d = x.size(-1)
    even = x[..., 0::2]
    odd = x[..., 1::2]
    cos = table(T, d, base)[..., 1]
    sin = table(T, d, base)[..., 0]
    mistakes = {
        "feature i is paired with i + d/2 (as in Llama); here neighbours 2i and 2i + 1 are a pair":
            unhalves(turn(halves(x), base)),
        "you turned the other way: even' = even·cos - odd·sin, odd' = even·sin + odd·cos": turn(x, base, sign=-1),
        "both halves of a pair have the same sign; a rotation has one minus":
            torch.stack([even * cos + odd * sin, even * sin + odd * cos], -1).flatten(-2),
        "the turned features are side by side, all even ones first; put them back in turns":
            unhalves(want),
        "the first position is turned by 0: count positions from 0": turn(x, base, first=1),
        "the exponent is -2i / d for the i-th pair; yours is -i / d": turn(x, base, step=1.0),
        "the exponent is -2i / d; yours is -4i / d": turn(x, base, step=4.0),
        "you ignored the base that was given": turn(x),
        "all pairs turn at the same rate": turn(x, 1.0),
        "you added the positions; rotary turns x and adds nothing": x + table(T, d, base).flatten(1),
    }  # fmt: skip
    if x.ndim > 2 and x.size(-3) > 1:
        mistakes[
            "the positions are the second to last dimension; you counted along another one"
        ] = turn(x.transpose(-2, -3), base).transpose(-2, -3)
    return mistakes


def _overwritten(x: Tensor, base: float = 10_000.0) -> Tensor:
    """The odd features are turned with even ones that were turned before."""
    even = transformer_block.rotary(x, base)[..., 0::2]
    half = torch.stack([even, x[..., 1::2]], -1).flatten(-2)
    odd = transformer_block.rotary(half, base)[..., 1::2]
    return torch.stack([even, odd], -1).flatten(-2)


@EXERCISES.add(
    transformer_block.rotary,
    difficulty=3,
    minutes=12,
    hints=[
        "The angles are those of the sinusoidal table: position times rate, (T, d / 2). Here they turn the features instead of "
        "being added to them.",
        "x[..., 0::2] are the even features, x[..., 1::2] the odd ones. To turn the point (a, b) by an angle: (a·cos - b·sin, "
        "a·sin + b·cos).",
        "Make the two turned halves, then torch.stack([…, …], dim=-1).flatten(-2) puts neighbours next to each other again. Bring "
        "cos and sin to x.dtype first. An odd d raises a ValueError.",
    ],
    refuses=[(torch.ones(2, 3),)],
    mistakes={
        "you turned the odd features with even ones that were turned before; both need the old ones": _overwritten,
        "the result has the dtype of cos and sin, float32; bring them to x.dtype": (
            lambda x, base=10_000.0: transformer_block.rotary(
                x.float() if x.dtype == torch.bfloat16 else x, base
            )
        ),
    },
)
def check_rotary(student: Callable, rng: random.Random) -> None:
    for shape in ((7, 6), (2, 3, 5, 8), (2, 4, 4, 6), (4, 4), (3, 2, 2), (2, 1, 4)):
        for base in (None, rng.uniform(20.0, 500.0)):
            b = 10_000.0 if base is None else base
            x = normal(rng, *shape)
            want = turn(x, b)
            mistakes = _rotary_mistakes(x, b, want)
            if base is None:
                mistakes.pop("you ignored the base that was given")
                mistakes |= {
                    f"your base is {other} where none is given; it must be 10000": turn(x, other)
                    for other in (1000, 100_000, 500_000)
                }
            mistakes = {s: v for s, v in mistakes.items() if not torch.allclose(v, want)}
            call = (
                f"rotary(x{'' if base is None else f', base={base:.4g}'}) with x of shape {shape}"
            )
            expect(
                student(x) if base is None else student(x, base=base),
                want,
                call,
                mistakes=mistakes,
                tol=2e-5,
            )
    x = normal(rng, 5, 4, dtype=torch.float64)
    expect(student(x), turn(x), "rotary(x) with x in torch.float64", tol=1e-5)
    x = normal(rng, 5, 4).bfloat16()
    expect(student(x), turn(x), "rotary(x) with x in torch.bfloat16", tol=0.05)
    check_gradient(student, turn, normal(rng, 5, 4), "rotary(x)")


# --- rms_norm -------------------------------------------------------------------------------------


def norm_by_parts(
    x: Tensor,
    weight: Tensor,
    eps: float = 1e-6,
    *,
    dim: int | tuple[int, ...] = -1,
    start: Callable[[Tensor], Tensor] = lambda x: x,
    size: Callable = lambda x, dim, eps: (x.square().mean(dim, keepdim=True) + eps).sqrt(),
    end: Callable[[Tensor, Tensor], Tensor] = torch.mul,
) -> Tensor:
    """RMSNorm, put together from its parts, of which a mistake turns one."""
    x = start(x)
    return end(x / size(x, dim, eps), weight)


def centred(x: Tensor) -> Tensor:
    return x - x.mean(-1, keepdim=True)


@EXERCISES.add(
    parts.rms_norm,
    difficulty=1,
    minutes=5,
    hints=[
        "Square, mean, root: the name read from right to left. Which dimension holds the features?",
        "x.square().mean(-1, keepdim=True) is (…, 1), so that it divides each position by its own number.",
        "x * torch.rsqrt(mean square + eps) * weight; rsqrt is one over the root.",
    ],
    mistakes={
        "you took the mean away, as LayerNorm does; here it stays": partial(
            norm_by_parts, start=centred
        ),
        "you divided by the standard deviation, which takes the mean away; take the root of the mean square": (
            lambda x, weight, eps=1e-6: (
                x / (centred(x).square().mean(-1, keepdim=True) + eps).sqrt() * weight
            )
        ),
        "you left out the root": partial(
            norm_by_parts, size=lambda x, dim, eps: x.square().mean(dim, keepdim=True) + eps
        ),
        "you divided by the length; the mean of the squares, not their sum, becomes 1": partial(
            norm_by_parts, size=lambda x, dim, eps: (x.square().sum(dim, keepdim=True) + eps).sqrt()
        ),
        "you left out the gain": partial(norm_by_parts, end=lambda x, weight: x),
        "the gain multiplies; you added it": partial(norm_by_parts, end=torch.add),
        "you left out eps, so that a position of zeros gives 0 / 0": partial(
            norm_by_parts, size=lambda x, dim, eps: x.square().mean(dim, keepdim=True).sqrt()
        ),
        "eps is added to the mean square, under the root; yours stands outside": partial(
            norm_by_parts, size=lambda x, dim, eps: x.square().mean(dim, keepdim=True).sqrt() + eps
        ),
        "one number for the whole tensor; each position has a mean square of its own": (
            lambda x, weight, eps=1e-6: x / (x.square().mean() + eps).sqrt() * weight
        ),
        "you took the mean over the positions; take it over the features": partial(
            norm_by_parts, dim=-2
        ),
        "you took absolute values instead of squares": partial(
            norm_by_parts, size=lambda x, dim, eps: x.abs().mean(dim, keepdim=True) + eps
        ),
        "you ignored the eps that was given": (
            lambda x, weight, eps=1e-6: norm_by_parts(x, weight, 1e-6)
        ),
        "you multiplied by the root; divide by it": (
            lambda x, weight, eps=1e-6: (
                x * (x.square().mean(-1, keepdim=True) + eps).sqrt() * weight
            )
        ),
    },
)
def check_rms_norm(student: Callable, rng: random.Random) -> None:
    for shape in ((2, 3, 4), (5, 7), (3, 3, 3), (2, 2, 3, 5)):
        for scale, eps in ((1.0, None), (3.0, rng.uniform(0.1, 0.5)), (1e-3, None)):
            x = scale * (normal(rng, *shape) + rng.uniform(0.5, 1.5))
            weight = normal(rng, shape[-1])
            more = {} if eps is None else {"eps": eps}
            want = F.rms_norm(x, shape[-1:], weight, 1e-6 if eps is None else eps)
            call = f"rms_norm(x, weight{'' if eps is None else f', eps={eps:.2f}'}) with x of shape {shape}"
            expect(student(x, weight, **more), want, call)
    still = torch.zeros(2, 4)
    expect(student(still, torch.ones(4)), still.clone(), "rms_norm(zeros, ones)")


# --- swiglu ---------------------------------------------------------------------------------------


def gated(
    x: Tensor,
    w_gate: Tensor,
    w_up: Tensor,
    w_down: Tensor,
    *,
    act: Callable[[Tensor], Tensor] = lambda z: z / (1 + (-z).exp()),
    join: Callable[[Tensor, Tensor], Tensor] = torch.mul,
    up: Callable[[Tensor], Tensor] = lambda z: z,
    end: Callable[[Tensor], Tensor] = lambda z: z,
) -> Tensor:
    """SwiGLU, put together from its parts, of which a mistake turns one."""
    return end(join(act(x @ w_gate), up(x @ w_up)) @ w_down)


@EXERCISES.add(
    parts.swiglu,
    difficulty=2,
    minutes=6,
    hints=[
        "Three products with matrices: two widen x, one narrows. What happens between them?",
        "z · sigmoid(z) of the gate, times the other one, number by number; then w_down.",
        "F.silu(z) is z · sigmoid(z). (F.silu(x @ …) * (x @ …)) @ w_down",
    ],
    mistakes={
        "you used a sigmoid alone; SiLU is z · sigmoid(z)": partial(gated, act=torch.sigmoid),
        "you used a GELU; the gate goes through SiLU": partial(gated, act=F.gelu),
        "you used a ReLU; the gate goes through SiLU": partial(gated, act=F.relu),
        "the gate was not bent: it needs SiLU": partial(gated, act=lambda z: z),
        "SiLU belongs to the gate; you applied it to the other one": lambda x, w_gate, w_up, w_down: (
            gated(x, w_up, w_gate, w_down)
        ),
        "both went through SiLU; only the gate does": partial(gated, up=F.silu),
        "you added the two; multiply them": partial(gated, join=torch.add),
        "you left out the gate": partial(gated, act=torch.ones_like),
        "you left out w_up: two products widen x": partial(gated, up=torch.ones_like),
        "the product of the two went through SiLU; only the gate does": partial(
            gated, act=lambda z: z, join=lambda a, b: F.silu(a * b)
        ),
        "you added x at the end; the block does that": lambda x, w_gate, w_up, w_down: (
            x + parts.swiglu(x, w_gate, w_up, w_down)
        ),
        "the result went through SiLU once more": partial(gated, end=F.silu),
    },
)
def check_swiglu(student: Callable, rng: random.Random) -> None:
    for shape, wide in (((2, 3, 4), 6), ((5, 3), 3), ((3, 3), 5), ((1, 2, 2, 3), 4)):
        x = normal(rng, *shape)
        gate = normal(rng, shape[-1], wide)
        up = normal(rng, shape[-1], wide)
        down = normal(rng, wide, shape[-1])
        z = torch.einsum("...i,ij->...j", x, gate)
        want = torch.einsum("...j,jo->...o", F.silu(z) * torch.einsum("...i,ij->...j", x, up), down)
        call = f"swiglu(x {shape}, w_gate, w_up ({shape[-1]}, {wide}), w_down)"
        expect(student(x, gate, up, down), want, call, tol=1e-4)


# --- route ----------------------------------------------------------------------------------------


def routed(
    logits: Tensor,
    k: int,
    *,
    score: Callable[[Tensor], Tensor] = lambda logits: logits.softmax(-1),
    pick: Callable[[Tensor, int], Tensor] = lambda p, k: p.argsort(-1, descending=True)[:, :k],
    end: Callable[[Tensor], Tensor] = lambda w: w,
) -> tuple[Tensor, Tensor]:
    """The router, put together from its parts, of which a mistake turns one."""
    p = score(logits)
    experts = pick(p, k)
    return end(p.gather(-1, experts)), experts


@EXERCISES.add(
    parts.route,
    difficulty=2,
    minutes=8,
    sizes=False,
    refuses=[(torch.zeros(2, 3), 0), (torch.zeros(2, 3), 4)],
    hints=[
        "Two steps: probabilities of all experts, then the k largest of each token with their places.",
        "logits.softmax(-1) is (n, E). torch.topk gives both values and places, the largest first.",
        "weights, experts = probabilities.topk(k, dim=-1); before it, raise a ValueError unless 1 <= k <= E.",
    ],
    mistakes={
        "your weights sum to 1 over the chosen ones, so that a single one always counts 1; "
        "each counts with its probability among all E": partial(
            routed, score=lambda logits: logits, end=lambda w: w.softmax(-1)
        ),
        "the weights are the scores; they should be probabilities": partial(
            routed, score=lambda logits: logits
        ),
        "you chose the least probable experts": partial(
            routed, pick=lambda p, k: p.argsort(-1)[:, :k]
        ),
        "the likeliest expert stands first; yours stand the other way round": partial(
            routed, pick=lambda p, k: p.argsort(-1, descending=True)[:, :k].flip(-1)
        ),
        "your experts are sorted by number; sort them by probability": partial(
            routed, pick=lambda p, k: p.argsort(-1, descending=True)[:, :k].sort(-1).values
        ),
        "you took the softmax over the tokens; take it over the experts": partial(
            routed, score=lambda logits: logits.softmax(0)
        ),
        "sigmoids were taken; the probabilities of one token sum to 1 over all experts": partial(
            routed, score=torch.sigmoid
        ),
        "you returned experts, weights; first the weights, then the experts": lambda logits, k: (
            routed(logits, k)[::-1]
        ),
        "all chosen experts count the same; each counts with its probability": partial(
            routed, end=lambda w: torch.full_like(w, 1 / w.size(-1)) + 0 * w
        ),
    },
)
def check_route(student: Callable, rng: random.Random) -> None:
    for n, E, k in ((4, 5, 2), (3, 3, 1), (6, 4, 4), (2, 8, 3)):
        logits = 2 * normal(rng, n, E)
        rows = [sorted(range(E), key=lambda e, row=row: -float(row[e]))[:k] for row in logits]
        experts = torch.tensor(rows)
        chances = logits.exp() / logits.exp().sum(1, keepdim=True)
        weights = torch.stack([chances[i][row] for i, row in enumerate(experts)])
        expect(student(logits, k), (weights, experts), f"route(logits {(n, E)}, k={k})")


# --- load_balance ---------------------------------------------------------------------------------


def balanced(
    logits: Tensor,
    experts: Tensor,
    *,
    f: Callable[[Tensor, int], Tensor] = lambda experts, E: (
        F.one_hot(experts, E).float().mean((0, 1))
    ),
    p: Callable[[Tensor], Tensor] = lambda logits: logits.softmax(-1).mean(0),
    end: Callable[[Tensor, int], Tensor] = lambda shares, E: E * shares.sum(),
) -> Tensor:
    """The balance, put together from its parts, of which a mistake turns one."""
    E = logits.size(-1)
    return end(f(experts, E) * p(logits), E)


@EXERCISES.add(
    parts.load_balance,
    difficulty=3,
    minutes=10,
    sizes=False,
    gradients=["logits"],
    hints=[
        "Two lists of E numbers: f, the share of the choices that each expert got, and p, the mean of its probabilities.",
        "F.one_hot(experts.flatten(), E) has a row with a single 1 for each choice; the mean over the rows is f. "
        "p is logits.softmax(-1).mean(0).",
        "E * (f * p).sum(); one_hot gives whole numbers, so turn them into decimals before the mean.",
    ],
    mistakes={
        "you left out the factor E": partial(balanced, end=lambda shares, E: shares.sum()),
        "f counts choices; divide by their number, so that the shares sum to 1": partial(
            balanced, f=lambda experts, E: F.one_hot(experts, E).float().sum((0, 1))
        ),
        "you divided by the number of tokens; f is the share of all choices, k for each token": partial(
            balanced, f=lambda experts, E: F.one_hot(experts, E).float().sum(1).mean(0)
        ),
        "you took the mean over the experts; add them up and multiply by E": partial(
            balanced, end=lambda shares, E: shares.mean()
        ),
        "you squared the shares f; multiply f by p, so that a gradient reaches the router": (
            lambda logits, experts: balanced(
                logits,
                experts,
                p=lambda z: F.one_hot(experts, z.size(-1)).float().mean((0, 1)) + 0 * z.mean(0),
            )
        ),
        "you squared the probabilities p; multiply f by p": (
            lambda logits, experts: logits.size(-1) * logits.softmax(-1).mean(0).square().sum()
        ),
        "only the first choice of each token was counted; count all k": lambda logits, experts: (
            balanced(logits, experts[:, :1])
        ),
        "p is a mean of probabilities; you took the scores": partial(
            balanced, p=lambda logits: logits.mean(0)
        ),
        "p is the mean of the probabilities; you took the softmax of the mean scores": partial(
            balanced, p=lambda logits: logits.mean(0).softmax(-1)
        ),
        "the softmax goes over the experts; yours goes over the tokens": partial(
            balanced, p=lambda logits: logits.softmax(0).mean(0)
        ),
        "one number for each expert; add them up": partial(
            balanced, end=lambda shares, E: E * shares
        ),
        "p counts all tokens; you averaged only over those that chose the expert": lambda logits, experts: (
            logits.size(-1)
            * sum(
                (experts == e).float().mean() * logits.softmax(-1)[(experts == e).any(1), e].mean()
                for e in range(logits.size(-1))
                if (experts == e).any()
            )
        ),
    },
)
def check_load_balance(student: Callable, rng: random.Random) -> None:
    for n, E, k in ((6, 4, 2), (5, 3, 1), (9, 5, 3), (4, 6, 1)):
        logits = 2 * normal(rng, n, E)
        experts = torch.tensor([rng.sample(range(E), k) for _ in range(n)])
        total = 0.0
        chances = logits.double().softmax(-1)
        for e in range(E):
            share = sum(int(x) == e for row in experts for x in row) / (n * k)
            total += share * float(chances[:, e].sum()) / n
        call = f"load_balance(logits {(n, E)}, experts {(n, k)})"
        expect(student(logits, experts), torch.tensor(E * total, dtype=torch.float32), call)


# --- cross_attention ------------------------------------------------------------------------------


def crossed(
    x: Tensor,
    source: Tensor,
    w_q: Tensor,
    w_k: Tensor,
    w_v: Tensor,
    *,
    ask: Callable[[Tensor, Tensor], Tensor] = lambda x, source: x,
    offer: Callable[[Tensor, Tensor], Tensor] = lambda x, source: source,
    hand: Callable[[Tensor, Tensor], Tensor] = lambda x, source: source,
    scale: Callable[[int], float] = lambda d: d**-0.5,
    weigh: Callable[[Tensor], Tensor] = lambda scores: scores.softmax(-1),
) -> Tensor:
    """Cross-attention, put together from its parts, of which a mistake turns one."""
    q = ask(x, source) @ w_q
    k = offer(x, source) @ w_k
    return weigh(q @ k.mT * scale(q.size(-1))) @ (hand(x, source) @ w_v)


def _causally(scores: Tensor) -> Tensor:
    hidden = torch.ones(scores.shape[-2:], dtype=torch.bool).triu(1)
    return scores.masked_fill(hidden, -torch.inf).softmax(-1)


@EXERCISES.add(
    parts.cross_attention,
    difficulty=2,
    minutes=6,
    sizes=False,
    hints=[
        "Who asks, and who is looked at? Three products first: one of x, two of the source.",
        "attention.attention(q, k, v) of lesson 02 takes q (…, T, d), k (…, S, d) and v (…, S, d_v). Does it need a mask?",
        "q = x @ w_q, k = source @ w_k, v = source @ w_v, and no mask: the source is known as a whole.",
    ],
    mistakes={
        "you looked at x itself: keys and values come from the source": partial(
            crossed, offer=lambda x, source: x, hand=lambda x, source: x
        ),
        "the source asks and x is looked at; it is the other way round": lambda x, source, w_q, w_k, w_v: (
            crossed(source, x, w_q, w_k, w_v)
        ),
        "all three come from the source; the queries come from x": partial(
            crossed, ask=lambda x, source: source
        ),
        "a causal mask hides part of the source; all of it may be looked at": partial(
            crossed, weigh=_causally
        ),
        "the scores are divided by the root of d; yours are not": partial(
            crossed, scale=lambda d: 1.0
        ),
        "the scores are divided by the root of d; you divided by d": partial(
            crossed, scale=lambda d: 1 / d
        ),
        "the softmax went over the positions of x; it goes over the source": partial(
            crossed, weigh=lambda scores: scores.softmax(-2)
        ),
        "there was no softmax": partial(crossed, weigh=lambda scores: scores),
        "w_q and w_k were exchanged": lambda x, source, w_q, w_k, w_v: crossed(
            x, source, w_k, w_q, w_v
        ),
        "you added x at the end; the block does that": lambda x, source, w_q, w_k, w_v: (
            crossed(x, source, w_q, w_k, w_v) + x
        ),
    },
)
def check_cross_attention(student: Callable, rng: random.Random) -> None:
    sizes = (
        ((), 4, 6, 5, 3, 5),
        ((2,), 3, 5, 4, 2, 4),
        ((2, 3), 5, 5, 4, 4, 4),
        ((1,), 3, 1, 2, 2, 3),
    )
    for front, T, S, d_model, d, d_v in sizes:
        x = normal(rng, *front, T, d_model)
        source = normal(rng, *front, S, d_model)
        w_q, w_k = normal(rng, 2, d_model, d)
        w_v = normal(rng, d_model, d_v)
        want = F.scaled_dot_product_attention(x @ w_q, source @ w_k, source @ w_v)
        call = f"cross_attention(x {(*front, T, d_model)}, source {(*front, S, d_model)}, …)"
        expect(student(x, source, w_q, w_k, w_v), want, call, tol=1e-4)
    x = normal(rng, 2, 1, 4, 6)
    source = normal(rng, 2, 1, 5, 6)
    w_q, w_k, w_v = normal(rng, 3, 3, 6, 2)
    want = F.scaled_dot_product_attention(x @ w_q, source @ w_k, source @ w_v)
    call = "cross_attention with matrices of three heads, (3, 6, 2)"
    expect(student(x, source, w_q, w_k, w_v), want, call, tol=1e-4)
