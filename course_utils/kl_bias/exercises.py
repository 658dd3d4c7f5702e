"""Exercises of lesson 07. The right values come from plain Python arithmetic, numpy and scipy, not
from torch's losses.
"""

import math
import random
import re
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from scipy.special import rel_entr
from torch import Tensor

from course_utils.checking import Exercises, Wrong, expect
from course_utils.checking.inputs import check_gradient, must_raise, normal
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


# --- token_mask -----------------------------------------------------------------------------------

SYLLABLES = "xa ox bi Xu ta ex no re qi".split()


class Toy:
    """A tokenizer as transformers has them: ids in any order in its vocabulary, where a space is
    written Ġ.
    """

    def __init__(self, pieces: list[str]) -> None:
        self.pieces = pieces

    def __len__(self) -> int:
        return len(self.pieces)

    @property
    def vocab_size(self) -> int:
        return len(self.pieces) - 1  # without the special token, as transformers counts

    def decode(self, ids) -> str:
        return "".join(self.pieces[i] for i in ([ids] if isinstance(ids, int) else ids))

    def convert_ids_to_tokens(self, ids):
        raw = [self.pieces[i].replace(" ", "Ġ") for i in ([ids] if isinstance(ids, int) else ids)]
        return raw[0] if isinstance(ids, int) else raw

    def get_vocab(self) -> dict[str, int]:
        order = sorted(range(len(self.pieces)), key=lambda i: self.pieces[i])
        return {self.pieces[i].replace(" ", "Ġ"): i for i in order}

    def __deepcopy__(self, memo):
        return self

    def __repr__(self) -> str:
        return "a tokenizer"


def asking(change: Callable[[str], str]) -> Callable:
    """token_mask, where the predicate sees every piece changed."""
    return lambda tokenizer, predicate: kl_bias.token_mask(
        tokenizer, lambda piece: predicate(change(piece))
    )


def reading(read: Callable) -> Callable:
    """token_mask, which takes the pieces of a tokenizer, but not of a list, by `read`."""
    return lambda tokenizer, predicate: kl_bias.token_mask(
        read(tokenizer) if isinstance(tokenizer, Toy) else tokenizer, predicate
    )


@EXERCISES.add(
    kl_bias.token_mask,
    difficulty=1,
    minutes=6,
    hints=[
        "A list of words has one piece for each id already. A tokenizer gives a piece by tokenizer.decode([i]), for i from 0 to "
        "len(tokenizer) - 1.",
        "isinstance(tokenizer, Sequence) tells the two apart. Then one list comprehension asks the predicate about each piece.",
        "torch.tensor([bool(predicate(piece)) for piece in pieces]): bool(…), because a predicate may return a number or a match.",
    ],
    refuses=[(None, "x")],
    mistakes={
        "capitals count, too: pass the piece to the predicate as it is": asking(str.lower),
        "the predicate saw pieces without their space; pass them as they decode": asking(str.strip),
        "the predicate saw the raw vocabulary, where a space is written Ġ; decode each id": reading(
            lambda toy: toy.convert_ids_to_tokens(range(len(toy)))
        ),
        "you went through get_vocab(), which has another order than the ids, and Ġ for a space; decode each id": (
            reading(lambda toy: [*toy.get_vocab()])
        ),
        "the last token is missing: len(tokenizer) counts them all, vocab_size does not": reading(
            lambda toy: toy.pieces[: toy.vocab_size]
        ),
        "you decoded all ids at once and cut the text at the spaces; decode each id by itself": (
            reading(lambda toy: toy.decode(range(len(toy))).split(" "))
        ),
        "you asked whether the answer `is True`; a predicate may return a number or a match: use bool(…)": (
            lambda tokenizer, predicate: kl_bias.token_mask(
                tokenizer, lambda piece: predicate(piece) is True
            )
        ),
        "the mask is the wrong way round": lambda *given: ~kl_bias.token_mask(*given),
        "a mask is bool, one for each token: turn the answers into True and False": (
            lambda *given: kl_bias.token_mask(*given).float()
        ),
        "that are the ids of the tokens; a mask has True or False for each token of the vocabulary": (
            lambda *given: kl_bias.token_mask(*given).nonzero().flatten()
        ),
        "you returned a list; make a tensor of it": lambda *given: kl_bias.token_mask(
            *given
        ).tolist(),
    },
)
def check_token_mask(student: Callable, rng: random.Random) -> None:
    pieces = list(
        dict.fromkeys(
            rng.choice(("", " ")) + rng.choice(SYLLABLES) + rng.choice(SYLLABLES) for _ in range(30)
        )
    )
    pieces += ["<|endoftext|>"]
    tests = {
        '"x" in piece': lambda piece: "x" in piece,
        'piece.startswith(" ")': lambda piece: piece.startswith(" "),
        're.search("x[ai]", piece)': lambda piece: re.search("x[ai]", piece),
        'piece.count("x")': lambda piece: piece.count("x"),
        "len(piece)%2": lambda piece: len(piece) % 2,
    }
    for name, predicate in tests.items():
        predicate.__name__ = f"lambda piece: {name}"
        want = torch.tensor([bool(predicate(piece)) for piece in pieces])
        for kind, tokenizer in (("the list of words", pieces), ("a tokenizer", Toy(pieces))):
            call = f"token_mask({kind}, lambda piece: {name})"
            got = asked(student, tokenizer, predicate, call)
            if isinstance(got, Tensor) and got.dtype == torch.long and got.shape == want.shape:
                raise Wrong(
                    f"{call}: the result is int64; a mask is bool: wrap each answer in bool(…)."
                )
            expect(got, want, call)
    expect(
        student(tuple(pieces), lambda piece: False),
        torch.zeros(len(pieces), dtype=torch.bool),
        "token_mask(a tuple of words, lambda piece: False)",
    )


def asked(student: Callable, tokenizer: list[str] | Toy, predicate: Callable, call: str) -> Tensor:
    """What the answer gives; raises Wrong where it takes one kind of tokenizer for the other."""
    try:
        return student(tokenizer, predicate)
    except AttributeError as error:
        if isinstance(tokenizer, Toy) or not hasattr(Toy, error.name or ""):
            raise
        raise Wrong(
            f"{call}: a list of words has no {error.name}: there each word is a piece already"
        ) from None
    except TypeError as error:
        if not str(error).startswith("'Toy' object is not"):
            raise
        raise Wrong(
            f"{call}: a tokenizer is no list of words: take tokenizer.decode([i]) for each id i"
        ) from None


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


# --- target_mass ----------------------------------------------------------------------------------


def _mass_mistakes(logits: Tensor, mask: Tensor, want: Tensor) -> dict[str, Tensor]:
    """What the usual slips make of these logits."""
    p = softmax_oracle(logits)
    e = logits.exp()
    return {
        "you took the mean of the chosen probabilities; the mass is their sum": want / 2,
        "that is the mass of all the others": 1 - want,
        "you averaged over the rows; each has its own mass": want.mean(),
        "you added up the logits; turn them into probabilities first": logits[..., mask].sum(-1),
        "softmax over the chosen tokens only always sums to 1; take it over all tokens": torch.ones_like(want),
        "you forgot to divide by the sum of all exponentials": e[..., mask].sum(-1),
        "you compared the chosen with the others; the mass is their share of everything":
            e[..., mask].sum(-1) / e[..., ~mask].sum(-1),
        "you asked whether the likeliest token is chosen; ask how much probability the chosen have":
            mask[logits.argmax(-1)].float(),
        "softmax runs over the rows; the probabilities of one row sum to 1, dim=-1":
            logits.softmax(0)[..., mask].sum(-1),
        "softmax came twice: the argument holds logits": logits.softmax(-1).softmax(-1)[..., mask].sum(-1),
        "you forgot the sum over the chosen tokens": as_float(p[..., mask.numpy()]),
    }  # fmt: skip


@EXERCISES.add(
    kl_bias.target_mass,
    difficulty=1,
    minutes=5,
    gradients=False,  # a measurement
    hints=[
        "Logits to probabilities first: softmax over the last dimension, over all tokens.",
        "p[..., mask] takes the chosen tokens, whatever dimensions stand in front.",
        "Sum those over the last dimension. check_fits(mask, logits) in the first line complains about another vocabulary.",
    ],
    refuses=[
        (torch.zeros(2, 3), torch.tensor([True, False])),
        (torch.zeros(2, 5), torch.tensor([True])),
        (torch.zeros(2, 3), torch.ones(5, dtype=torch.bool)),
    ],
    mistakes={
        "exponentials of large logits overflow; use softmax, or subtract the largest logit first": (
            lambda logits, mask: logits.exp()[..., mask].sum(-1) / logits.exp().sum(-1)
        ),
        "it works for two dimensions only; count from the end: [..., mask] and dim=-1": (
            lambda logits, mask: logits.softmax(-1)[:, mask].sum(1)
        ),
        "you returned a number of Python; return a tensor, with one mass for each row": (
            lambda logits, mask: kl_bias.target_mass(logits, mask).sum().item()
        ),
    },
)
def check_target_mass(student: Callable, rng: random.Random) -> None:
    for shape in ((3, 5), (6,), (5, 5), (2, 3, 7)):
        V = shape[-1]
        logits = normal(rng, *shape) * 2
        mask = some_mask(rng, V, 2)
        p = softmax_oracle(logits)
        want = as_float(p[..., mask.numpy()].sum(-1))
        mistakes = _mass_mistakes(logits, mask, want)
        mistakes = {
            s: v
            for s, v in mistakes.items()
            if v.shape != want.shape or not torch.allclose(v, want, atol=1e-4)
        }
        expect(
            student(logits, mask),
            want,
            f"target_mass(logits, mask) with logits of shape {shape}",
            mistakes=mistakes,
        )
    logits = normal(rng, 3, 6) + torch.linspace(0, 900, 6)
    mask = some_mask(rng, 6, 3)
    expect(
        student(logits, mask),
        as_float(softmax_oracle(logits)[:, mask.numpy()].sum(-1)),
        "target_mass(logits, mask) with logits up to 900, whose exponentials overflow",
    )
    logits = normal(rng, 2, 5)
    expect(
        student(logits, torch.zeros(5, dtype=torch.bool)),
        torch.zeros(2),
        "target_mass(logits, an empty mask)",
    )
