"""Exercises of lesson 09. The right values come from transformers, from numpy, and from loops over all
texts that there could be.
"""

import math
import random
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import (
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from course_utils.checking import Exercises, Wrong, expect
from course_utils.checking.inputs import normal
from course_utils.gpt2 import model as gpt2
from course_utils.sampling import cost, search
from course_utils.sampling import decoding as sampling

EXERCISES = Exercises()


NO_IDS = torch.zeros(1, 1, dtype=torch.long)


# --- What changes the distribution ----------------------------------------------------------------


def rows(rng: random.Random, *shape: int) -> Tensor:
    """Logits of which no two are close."""
    V = shape[-1]
    n = math.prod(shape[:-1])
    picked = [
        [
            x + rng.uniform(-0.05, 0.05)
            for x in rng.sample([0.25 * i - 0.12 * V for i in range(V)], V)
        ]
        for _ in range(n)
    ]
    return torch.tensor(picked).reshape(shape)


def cut(logits: Tensor, keep: Tensor) -> Tensor:
    return logits.masked_fill(~keep, -math.inf)


def by_transformers(processor: Callable, logits: Tensor) -> Tensor:
    flat = logits.reshape(-1, logits.size(-1))
    return processor(NO_IDS.expand(len(flat), 1), flat.clone()).reshape(logits.shape)


def check_cut(
    student: Callable,
    call: str,
    logits: Tensor,
    value: float,
    want: Tensor,
    mistakes: dict[str, Tensor],
) -> None:
    """`expect`, and a sentence of its own for an answer that cuts the right tokens in another
    way.
    """
    got = student(logits, value)
    if isinstance(got, Tensor) and got.shape == want.shape:
        kept = want.isfinite()
        instead = got[~kept].unique()  # no two logits are equal: a single number was put there
        right = torch.allclose(got[kept], want[kept])
        if right and len(instead) == 1 < int((~kept).sum()) and bool(instead.isfinite()):
            raise Wrong(
                f"{call}: the right tokens are cut, but with the logit {float(instead):g}; use -inf, whose exp() is 0 "
                "whatever the other logits are"
            )
    expect(
        got,
        want,
        call,
        mistakes={text: wrong for text, wrong in mistakes.items() if not torch.equal(wrong, want)},
    )


def as_probabilities(rule: Callable) -> dict[str, Callable]:
    """The mistakes of an answer that cuts the right tokens and returns probabilities."""
    return {
        "you returned probabilities; return logits, with -inf where a token is cut": lambda logits, value: (
            rule(logits, value).softmax(-1)
        ),
        "you returned probabilities that no longer sum to 1; return logits, with -inf where a token is cut": lambda logits, value: (
            logits.softmax(-1).where(rule(logits, value).isfinite(), 0.0)
        ),
    }  # fmt: skip


@EXERCISES.add(
    sampling.top_k,
    difficulty=1,
    minutes=5,
    gradients=False,  # nobody trains through a choice of tokens
    hints=[
        "You need one number for each row: its k-th largest logit. Everything below it goes to -inf.",
        "logits.topk(k).values is sorted, the k-th largest is its last column; keep the dimension with [..., -1:]. What if k is "
        "larger than the vocabulary?",
        "least = logits.topk(min(k, logits.size(-1))).values[..., -1:]; then logits.masked_fill(logits < least, -torch.inf). A k "
        "below 1 raises a ValueError.",
    ],
    refuses=[(torch.ones(3), 0), (torch.ones(3), -1), (torch.ones(3), 1.5)],
    mistakes=as_probabilities(sampling.top_k)
    | {
        "a k above the vocabulary cuts nothing: take min(k, logits.size(-1))": lambda logits, k: (
            sampling.top_k(logits, logits.topk(k).values.size(-1))
        ),
        "you took the limit of the first row for all rows; each row has a k-th largest of its own": lambda logits, k: (
            cut(logits, logits >= logits.flatten(0, -2)[0].topk(min(k, logits.size(-1))).values[-1])
            if logits.ndim > 1
            else sampling.top_k(logits, k)
        ),
        "you returned the k largest alone; keep all V places, with -inf where a token is cut": lambda logits, k: (
            logits.topk(min(k, logits.size(-1))).values
        ),
        "you went along the first dimension; the tokens stand along the last": lambda logits, k: (
            sampling.top_k(logits.movedim(0, -1), k).movedim(-1, 0)
        ),
    },
)
def check_top_k(student: Callable, rng: random.Random) -> None:
    for shape in ((8,), (3, 11), (4, 4), (2, 3, 7)):
        logits = rows(rng, *shape)
        V = shape[-1]
        for k in (1, 2, V - 1, V, V + 5):
            want = by_transformers(TopKLogitsWarper(k), logits)
            ranked = logits.sort(dim=-1).values
            mistakes = {
                "you kept the k smallest": cut(logits, logits <= ranked[..., min(k, V) - 1 : min(k, V)]),
                "one token too few": cut(logits, logits > ranked[..., -min(k, V)].unsqueeze(-1)),
                "one token too many": cut(logits, logits >= ranked[..., -min(k + 1, V)].unsqueeze(-1)),
                "you cut the k largest and kept the rest": cut(logits, ~want.isfinite()),
            }  # fmt: skip
            if k <= V:
                together = logits.flatten().topk(k).values[-1]
                mistakes[
                    "you kept the k largest of all rows together; each row has k of its own"
                ] = cut(logits, logits >= together)
            check_cut(
                student,
                f"top_k(logits, k={k}) with logits of shape {shape}",
                logits,
                k,
                want,
                mistakes,
            )
    logits = torch.tensor([0.0, 2.0, 1.0, 1.0, -1.0, 1.0]) + rng.uniform(-3, 3)
    place = torch.arange(6)
    expect(
        student(logits, 2),
        by_transformers(TopKLogitsWarper(2), logits),
        "top_k(logits, k=2) where three tokens share the second place",
        mistakes={
            f"what ties with the k-th largest stays, too; of those that tie you kept only the one at {i}": cut(
                logits, (place == 1) | (place == i)
            )
            for i in (2, 3, 5)
        },
    )
    expect(
        student(logits, 4),
        by_transformers(TopKLogitsWarper(4), logits),
        "top_k(logits, k=4) where three tokens share the second place",
        mistakes={
            "you counted values that differ; tokens that tie are counted one by one": cut(
                logits, logits >= logits.unique()[-4]
            ),
        },
    )
    logits = rows(rng, 2, 6)
    close = logits.topk(2).values[:, 1:] - 2e-3  # a third logit just below the second
    logits = logits.scatter(1, logits.topk(3).indices[:, 2:], close)
    expect(
        student(logits, 2),
        by_transformers(TopKLogitsWarper(2), logits),
        "top_k(logits, k=2) where the third logit is just below the second",
        mistakes={
            "the third logit is a little below the second, and no tie; compare without a tolerance": cut(
                logits, logits >= close
            ),
        },
    )
    logits = cut(rows(rng, 2, 6), torch.arange(6) < 3)
    expect(
        student(logits, 2),
        by_transformers(TopKLogitsWarper(2), logits),
        "top_k(logits, k=2) where some logits are -inf already",
    )
    expect(
        student(rows(rng, 2, 5).double(), 2).dtype,
        torch.float64,
        "top_k(…).dtype for logits in torch.float64",
    )


def _nucleus_mistakes(logits: Tensor, p: float) -> dict[str, Tensor]:
    """What the usual slips make of these logits."""
    probability = logits.softmax(-1)
    descending, order = probability.sort(dim=-1, descending=True)
    sums = descending.cumsum(-1)
    back = order.argsort(-1)
    short = (sums <= p).gather(-1, back)
    ascending = probability.sort(dim=-1)
    wrong_end = (ascending.values.cumsum(-1) - ascending.values < p).gather(
        -1, ascending.indices.argsort(-1)
    )
    return {
        "the token that carries the sum over p belongs to the nucleus, too": cut(logits, short),
        "the token that carries the sum over p belongs to the nucleus, and the likeliest token always stays":
            cut(logits, short | (back == 0)),
        "you kept the least likely tokens; sort in descending order": cut(logits, wrong_end),
        "you kept the tokens whose own probability is at least p; add the probabilities up": cut(logits, probability >= p),
        "the mask is in the order of the ranks; bring it back to the order of the tokens": cut(logits, sums - descending < p),
        "the mask went to the wrong tokens: scatter it to `order`, or gather it with order.argsort(-1)":
            cut(logits, (sums - descending < p).gather(-1, order)),
        "one token too many": cut(logits, ((sums - descending).roll(1, -1) < p).gather(-1, back) | (back == 0)),
    }  # fmt: skip


def _logits_added_up(logits: Tensor, p: float) -> Tensor:
    descending, order = logits.sort(dim=-1, descending=True, stable=True)
    kept = descending.cumsum(-1) - descending < p
    return cut(logits, kept.scatter(-1, order, kept))


@EXERCISES.add(
    sampling.top_p,
    difficulty=3,
    minutes=10,
    gradients=False,  # nobody trains through a choice of tokens
    hints=[
        "Sort the probabilities in descending order and add them up. A token stays while the likelier ones together have not "
        "reached p: what counts is the sum before it.",
        "probability, order = softmax(logits).sort(dim=-1, descending=True); the sum before each is probability.cumsum(-1) - "
        "probability. The mask you get is in the order of the ranks.",
        "mask.scatter(-1, order, mask) brings it back to the order of the tokens; then masked_fill. The likeliest token has 0 before "
        "it, so it always stays. A p outside (0, 1] raises a ValueError.",
    ],
    refuses=[(torch.ones(3), 0.0), (torch.ones(3), 1.01), (torch.ones(3), -0.1)],
    mistakes=as_probabilities(sampling.top_p)
    | {
        "you returned the logits in the order of the ranks; return them in the order of the tokens": lambda logits, p: (
            sampling.top_p(logits, p).sort(dim=-1, descending=True).values
        ),
        "you kept a share of 1 - p; p is the share to keep": lambda logits, p: sampling.top_p(
            logits, max(1 - p, 1e-9)
        ),
        "you added up the logits; add up the probabilities, softmax(logits)": _logits_added_up,
        "one nucleus for all rows together; each row has a nucleus of its own": lambda logits, p: (
            sampling.top_p(logits.flatten(), p).view_as(logits)
        ),
    },
)
def check_top_p(student: Callable, rng: random.Random) -> None:
    for shape in ((8,), (3, 11), (4, 4), (2, 3, 7)):
        logits = rows(rng, *shape) * rng.uniform(0.5, 1.5)
        for p in (rng.uniform(0.02, 0.1), rng.uniform(0.3, 0.6), rng.uniform(0.8, 0.95), 1.0):
            sums = logits.softmax(-1).sort(dim=-1, descending=True).values.cumsum(-1)
            # a tie of rounding errors decides nothing here
            if bool(((sums - p).abs() < 1e-4).any() and p < 1):
                continue
            want = by_transformers(TopPLogitsWarper(p), logits) if p < 1 else logits
            mistakes = _nucleus_mistakes(logits, p)
            check_cut(
                student,
                f"top_p(logits, p={p:.3g}) with logits of shape {shape}",
                logits,
                p,
                want,
                mistakes,
            )
    logits = torch.zeros(3, 1).expand(3, 5) + rng.uniform(-2, 2)
    got = student(logits, 0.5)
    kept = (
        got.isfinite().sum(-1).tolist()
        if isinstance(got, Tensor) and got.shape == logits.shape
        else None
    )
    if kept != [3, 3, 3]:
        raise Wrong(
            f"top_p(logits, p=0.5) of 5 equal tokens must keep 3 of them (any 3) in each row, you kept {kept}."
        )
    got = student(logits[:, :4], 0.5)
    kept = got.isfinite().sum(-1).tolist() if isinstance(got, Tensor) else None
    if kept != [2, 2, 2]:
        raise Wrong(
            f"top_p(logits, p=0.5) of 4 equal tokens must keep 2 of them (any 2) in each row, you kept {kept}: where the "
            "sum is exactly p, the nucleus is complete."
        )
    expect(
        student(rows(rng, 2, 5).double(), 0.5).dtype,
        torch.float64,
        "top_p(…).dtype for logits in torch.float64",
    )


@EXERCISES.add(
    sampling.min_p,
    difficulty=1,
    minutes=4,
    gradients=False,  # nobody trains through a choice of tokens
    hints=[
        "The limit follows the likeliest token: p times its probability. Where the model is sure, the limit is high.",
        "softmax(logits) gives the probabilities; .amax(-1, keepdim=True) the largest of each row.",
        "logits.masked_fill(probability < p * probability.amax(-1, keepdim=True), -torch.inf). A p outside [0, 1] raises a "
        "ValueError.",
    ],
    refuses=[(torch.ones(3), -0.1), (torch.ones(3), 1.01)],
    mistakes=as_probabilities(sampling.min_p)
    | {
        "you compared with p times the mean probability; compare with p times the largest": lambda logits, p: (
            cut(logits, logits.softmax(-1) >= p * logits.softmax(-1).mean(-1, keepdim=True))
        ),
        "nothing was cut, whatever p is": lambda logits, p: logits,
        "only the likeliest token stayed, whatever p is": lambda logits, p: cut(
            logits, logits == logits.amax(-1, keepdim=True)
        ),
    },
)
def check_min_p(student: Callable, rng: random.Random) -> None:
    for shape in ((8,), (3, 11), (4, 4), (2, 3, 7)):
        row = torch.linspace(0, 3, math.prod(shape[:-1])).reshape(*shape[:-1], 1)
        # another height and another sharpness in each row: softmax takes no notice of the height
        logits = rows(rng, *shape) * (1 + row) + row
        for p in (rng.uniform(0.05, 0.12), rng.uniform(0.3, 0.7), 0.0, 1.0):
            probability = logits.softmax(-1)
            top = probability.amax(-1, keepdim=True)
            if bool(((probability / top - p).abs() < 1e-3).any() and p < 1):
                continue
            want = (
                by_transformers(MinPLogitsWarper(p), logits)
                if 0 < p < 1
                else cut(logits, probability >= p * top)
            )
            mistakes = {
                "you compared with p itself; compare with p times the largest probability": cut(logits, probability >= p),
                "you compared logits; compare probabilities": cut(logits, logits >= p * logits.amax(-1, keepdim=True)),
                "one largest probability for all rows; each row has its own": cut(logits, probability >= p * probability.max()),
                "you cut the likely tokens and kept the others": cut(logits, probability < p * top),
                "this is top_p: here no probabilities are added up": sampling.top_p(logits, max(p, 1e-6)),
                "the limit is p times the largest, not the largest minus p": cut(logits, probability >= top - p),
                "the softmax runs over the wrong axis": cut(logits, logits.softmax(0) >= p * logits.softmax(0).amax(-1, keepdim=True)),
            }  # fmt: skip
            check_cut(
                student,
                f"min_p(logits, p={p:.3g}) with logits of shape {shape}",
                logits,
                p,
                want,
                mistakes if 0 < p < 1 else {},
            )
    logits = rows(rng, 2, 6)
    logits = logits.scatter(1, logits.argmin(-1, keepdim=True), logits.amax(-1, keepdim=True))
    best = logits == logits.amax(-1, keepdim=True)
    expect(
        student(logits, 1.0),
        cut(logits, best),
        "min_p(logits, p=1.0) where two tokens are the likeliest",
        mistakes={
            "two tokens are the likeliest, and you kept only one of them": cut(
                logits, best & (best.cumsum(-1) == 1)
            )
        },
    )
    expect(
        student(rows(rng, 2, 5).double(), 0.5).dtype,
        torch.float64,
        "min_p(…).dtype for logits in torch.float64",
    )


@EXERCISES.add(
    sampling.repetition_penalty,
    difficulty=2,
    minutes=7,
    gradients=False,  # nobody trains through a choice of tokens
    hints=[
        "First find out which tokens occurred: a table (B, V) of True and False. It counts each token once.",
        "torch.zeros_like(logits, dtype=torch.bool).scatter(-1, ids, True) is that table. Dividing a negative logit would make the "
        "token likelier, so there are two cases.",
        "torch.where(logits > 0, logits / penalty, logits * penalty) is what a token that occurred gets; a second torch.where "
        "picks between that and the old logits. A penalty of 0 or less raises a ValueError.",
    ],
    refuses=[
        (torch.ones(1, 3), torch.tensor([[0]]), 0.0),
        (torch.ones(1, 3), torch.tensor([[0]]), -1.0),
    ],
    mistakes={
        "you took the tokens of the first text for all texts; each text has its own": lambda logits, ids, penalty: (
            sampling.repetition_penalty(logits, ids[:1].expand_as(ids), penalty)
        ),
        "you turned the logits into probabilities; the penalty changes logits": lambda logits, ids, penalty: (
            sampling.repetition_penalty(logits.softmax(-1), ids, penalty)
        ),
    },
)
def check_repetition_penalty(student: Callable, rng: random.Random) -> None:
    for B, T, V in ((1, 3, 8), (3, 5, 9), (2, 1, 6), (4, 12, 7)):
        logits = rows(rng, B, V)
        ids = torch.tensor([[rng.randrange(V) for _ in range(T)] for _ in range(B)])
        ids[:, -1] = ids[:, 0]  # at least one token twice
        ids[0, 0] = int(logits[0].argmin())
        for penalty in (rng.uniform(1.1, 3.0), rng.uniform(0.3, 0.9), 1.0):
            want = RepetitionPenaltyLogitsProcessor(penalty)(ids, logits.clone())
            seen = torch.zeros(B, V).scatter(1, ids, 1.0) > 0
            counts = torch.zeros(B, V).scatter_add(1, ids, torch.ones(B, T))
            everywhere = torch.where(logits > 0, logits / penalty, logits * penalty)
            mistakes = {
                "dividing a negative logit makes the token likelier: multiply those": logits.where(~seen, logits / penalty),
                "multiplying a positive logit makes the token likelier: divide those": logits.where(~seen, logits * penalty),
                "you subtracted the penalty; divide by it, or multiply": logits - penalty * seen,
                "the penalty hits tokens that never occurred": everywhere,
                "the penalty hits the tokens that did not occur": logits.where(seen, everywhere),
                "a token counts once, however often it occurred": torch.where(logits > 0, logits / penalty**counts, logits * penalty**counts),
                "each text has its own tokens; you put those of all texts together": logits.where(~seen.any(0), everywhere),
                "only the last token was made less likely; all tokens of ids count":
                    logits.where(torch.zeros(B, V).scatter(1, ids[:, -1:], 1.0) == 0, everywhere),
                "the two cases are swapped: divide positive logits, multiply negative ones":
                    logits.where(~seen, torch.where(logits > 0, logits * penalty, logits / penalty)),
            }  # fmt: skip
            expect(
                student(logits, ids, penalty),
                want,
                f"repetition_penalty(logits, ids, penalty={penalty:.3g}) with logits of "
                f"shape {(B, V)} and ids of shape {(B, T)}",
                mistakes={
                    text: wrong
                    for text, wrong in mistakes.items()
                    if not torch.allclose(wrong, want)
                },
            )


# --- greedy ---------------------------------------------------------------------------------------


class Listener:
    """A model whose next token depends on all tokens so far, and which remembers what it was
    asked.
    """

    def __init__(self, rng: random.Random, V: int) -> None:
        self.V = V
        self.asked = []
        self.table = normal(rng, 40, V, V)

    def __deepcopy__(self, memo: dict) -> "Listener":
        return self

    def __repr__(self) -> str:
        return "model"

    def __call__(self, ids: Tensor) -> Tensor:
        if not isinstance(ids, Tensor) or ids.ndim != 2 or ids.dtype != torch.int64:
            what = (
                f"{tuple(ids.shape)} {ids.dtype}" if isinstance(ids, Tensor) else type(ids).__name__
            )
            raise Wrong(
                f"greedy: the model was called with {what}; it takes ids (B, T) of torch.int64."
            )
        self.asked.append(tuple(ids.shape))
        T = ids.size(1)
        steps = torch.stack([self.table[t % 40][ids[:, t]] for t in range(T)], dim=1)  # (B, T, V)
        return steps.cumsum(1) + 0.01 * self.table[-1, 0]


def continued(model: Listener, ids: Tensor, n_new: int) -> Tensor:
    """One text at a time, from Python lists."""
    texts = [list(row) for row in ids.tolist()]
    for text in texts:
        for _ in range(n_new):
            scores = model(torch.tensor([text]))[0, -1].tolist()
            text.append(scores.index(max(scores)))
    return torch.tensor(texts).reshape(len(texts), -1)


def looped(step: Callable) -> Callable:
    """greedy, of which each round makes `step(ids, logits)`."""

    def loop(model: Callable, ids: Tensor, n_new: int) -> Tensor:
        for _ in range(n_new):
            ids = step(ids, model(ids))
        return ids

    return loop


@EXERCISES.add(
    sampling.greedy,
    difficulty=1,
    minutes=4,
    hints=[
        "A loop of n_new rounds. In each the model reads the whole text; its answer at the last position is about the next token.",
        "model(ids)[:, -1] is (B, V). argmax(-1, keepdim=True) makes it (B, 1), so that it fits behind ids.",
        "ids = torch.cat([ids, …], dim=1) in each round; return ids after the loop.",
    ],
    mistakes={
        "you took n_new for the length of the whole text; it counts the new tokens": lambda model, ids, n_new: (
            sampling.greedy(model, ids, max(0, n_new - ids.size(1)))
        ),
        "you gave all texts the new token of the first one; each has its own": looped(
            lambda ids, logits: F.pad(ids, (0, 1), value=int(logits[0, -1].argmax()))
        ),
        "you replaced the text by the predictions after each of its tokens; only the last one is new": looped(
            lambda ids, logits: torch.cat([ids[:, :1], logits.argmax(-1)], 1)
        ),
        "you put the new tokens in front of the text; they go behind it": looped(
            lambda ids, logits: torch.cat([logits[:, -1:].argmax(-1), ids], 1)
        ),
        "you joined the new token along dim=0, as if it was another text; a text grows along dim=1": looped(
            lambda ids, logits: torch.cat([ids, logits[:, -1:].argmax(-1)], 0)
        ),
        "that is a list; return a tensor": lambda model, ids, n_new: sampling.greedy(
            model, ids, n_new
        ).tolist(),
    },
)
def check_greedy(student: Callable, rng: random.Random) -> None:
    for B, T, n_new in ((1, 1, 4), (1, 5, 3), (3, 4, 6), (2, 2, 1), (2, 3, 0)):
        V = rng.randint(11, 17)
        model = Listener(rng, V)
        ids = torch.tensor([[rng.randrange(V) for _ in range(T)] for _ in range(B)])
        want = continued(model, ids, n_new)
        model.asked = []
        got = student(model, ids, n_new)
        call = f"greedy(model, ids, n_new={n_new}) with ids of shape {(B, T)}"
        with torch.no_grad():
            mistakes = {
                "return the prompt and what follows, in one tensor": want[:, T:],
                "one token too few": want[:, :-1],
                "one token too many": continued(model, ids, n_new + 1),
                "the prediction after the first position was used; take that after the last one, [:, -1]": follow(model, ids, n_new, first=True),
                "each new token was predicted from the last token alone; give the model the whole text": follow(model, ids, n_new, last=True),
                "the new tokens all come from the prompt; read the text again after each new token":
                    torch.cat([ids, model(ids)[:, -1:].argmax(-1).expand(B, n_new)], 1),
                "you took the least probable token": follow(model, ids, n_new, sign=-1),
            }  # fmt: skip
        expect(
            got,
            want,
            call,
            mistakes={
                text: wrong for text, wrong in mistakes.items() if not torch.equal(wrong, want)
            },
        )
    small = gpt2.GPT(
        gpt2.GPTConfig(n_layer=1, n_head=2, n_embd=8, vocab_size=9, n_positions=8),
        torch.Generator().manual_seed(rng.randrange(1000)),
    )
    ids = torch.tensor([[rng.randrange(9) for _ in range(3)]])
    got = student(small.eval(), ids, 2)
    expect(
        got.shape,
        torch.Size([1, 5]),
        "greedy(model, ids, n_new=2).shape with a real GPT and 3 tokens",
    )


def follow(
    model: Listener, ids: Tensor, n_new: int, first: bool = False, last: bool = False, sign: int = 1
) -> Tensor:
    for _ in range(n_new):
        logits = model(ids[:, -1:] if last else ids)[:, 0 if first else -1]
        ids = torch.cat([ids, (sign * logits).argmax(-1, keepdim=True)], 1)
    return ids


# --- token_at -------------------------------------------------------------------------------------


def inside(p: Tensor, points: Tensor) -> Tensor:
    """Whose interval a point lies in, by numpy, row by row."""
    found = [
        np.digitize(u.double().numpy(), row.double().numpy().cumsum())
        for row, u in zip(p, points, strict=True)
    ]
    return torch.from_numpy(np.stack(found)).clamp(max=p.size(-1) - 1)


def _ends(p: Tensor) -> Tensor:
    return p.double().cumsum(-1)


def _sought(ends: Tensor, u: Tensor, right: bool = True) -> Tensor:
    return torch.searchsorted(ends.contiguous(), u.double().contiguous(), right=right)


def _kept(place: Tensor, p: Tensor) -> Tensor:
    return place.clamp(0, p.size(-1) - 1)


@EXERCISES.add(
    sampling.token_at,
    difficulty=2,
    minutes=7,
    sizes=False,  # a row without probability is no input
    gradients=False,  # nobody trains through a choice of tokens
    hints=[
        "Where does the interval of token i end? At the sum of the probabilities of the tokens 0 to i.",
        "ends = p.cumsum(-1). A point u lies in the interval of the first token whose end is above u: count the ends that are not.",
        "(ends[:, None, :] <= u[:, :, None]).sum(-1) counts them, (B, n). Where rounding leaves the last end below u, it counts V: "
        "clamp(max=V - 1).",
    ],
    mistakes={
        "a point on a border belongs to the token that begins there": (
            lambda p, u: _kept(_sought(_ends(p), u, right=False), p)
        ),
        "you took the likeliest token; the point decides": (
            lambda p, u: p.argmax(-1, keepdim=True).expand(u.shape)
        ),
        "all rows got the points of the first row; each row has points of its own": (
            lambda p, u: _kept(_sought(_ends(p), u[:1].expand(u.shape)), p)
        ),
        "all rows got the probabilities of the first row": (
            lambda p, u: _kept(_sought(_ends(p[:1].expand(p.shape)), u), p)
        ),
        "a point behind the last end belongs to the last token; you gave a token that is not there": (
            lambda p, u: _sought(_ends(p), u)
        ),
        "you sorted the tokens; their intervals lie in the order of the ids": (
            lambda p, u: _kept(_sought(_ends(p.sort(-1, descending=True).values), u), p)
        ),
        "you put the likeliest tokens first; the intervals lie in the order of the ids": (
            lambda p, u: p.sort(-1, descending=True, stable=True).indices.gather(
                -1, _kept(_sought(_ends(p.sort(-1, descending=True, stable=True).values), u), p)
            )
        ),
        "you compared the point with the probabilities; compare it with their sums": (
            lambda p, u: (p[:, None, :] > u[:, :, None]).int().argmax(-1)
        ),
        "one token too far": lambda p, u: _kept(_sought(_ends(p), u) + 1, p),
        "you counted the ends above the point; count those that are not": (
            lambda p, u: _kept((_ends(p)[:, None, :] > u[:, :, None]).sum(-1), p)
        ),
        "all tokens got intervals of one length; each has its probability": (
            lambda p, u: (u * p.size(-1)).long()
        ),
    },
)
def check_token_at(student: Callable, rng: random.Random) -> None:
    for B, V, n in ((1, 6, 7), (3, 5, 4), (4, 4, 4), (2, 9, 1)):
        parts = torch.tensor([[rng.randint(1, 9) for _ in range(V)] for _ in range(B)])
        parts[:, rng.randrange(1, V - 1)] = 0
        parts[:, 0] += rng.randint(0, 4)
        p = parts / parts.sum(-1, keepdim=True)
        middles = _ends(p)[:, None, :]
        u = torch.tensor([[rng.random() for _ in range(n)] for _ in range(B)])
        # a point near a border may fall to either side by rounding
        near = ((u[:, :, None] - middles).abs() < 1e-4).any(-1)
        u = torch.where(near, (u + 3e-4) % 0.999, u)
        call = f"token_at(p, u) with p of shape {(B, V)} and u of shape {(B, n)}"
        expect(student(p, u), inside(p, u), call)
    for B in (2, 3):
        # eighths add up exactly, so that points can lie on the borders
        p = torch.tensor([rng.sample([0.0, 0.125, 0.25, 0.5, 0.125], 5) for _ in range(B)])
        u = torch.tensor([[0.0, *(rng.randrange(8) / 8 for _ in range(3))] for _ in range(B)])
        said = f"token_at(p, u) with {B} rows and points on the borders of the intervals"
        expect(student(p, u), inside(p, u), said)
    # rare tokens beside likely ones, in parts of 65536: exact in float32, not in 16 bits
    parts = torch.tensor(
        [[rng.randrange(20001, 28001, 2), *[1] * 4, rng.randrange(9001, 17001, 2), 1, 1, 0]]
    )
    parts[:, -1] = 2**16 - parts.sum()
    p = parts / 2**16
    u = (parts.cumsum(-1) - 0.5) / 2**16  # the last point of each interval, nearly
    said = "token_at(p, u) with tokens of probability 1 / 65536 and a point in the interval of each"
    expect(
        student(p, u),
        inside(p, u),
        said,
        mistakes={
            "a rare token lost its interval to rounding; add up in float32 at least": _kept(
                _sought(_ends(p.half()), u), p
            )
        },
    )
    for V in (3, 5):
        p = torch.full((1, V), 1 / V) * 0.999
        u = torch.tensor([[0.9995, 0.1 + 0.2 * rng.random()]])
        said = f"token_at(p, u) where the {V} probabilities sum to 0.999 and a point lies at 0.9995"
        got = student(p, u)
        if isinstance(got, Tensor) and got.shape == u.shape:
            got = torch.stack([got[0, 0], _kept(got, p)[0, 0]])  # the point behind the end
        expect(got, torch.tensor([V - 1, V - 1]), said)


# --- beam_step ------------------------------------------------------------------------------------


def all_extensions(texts: Tensor, scores: Tensor, log_p: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Every extension of every text, written out, and the k likeliest of them."""
    found = [
        (scores[i].item() + log_p[i, token].item(), [*text, token])
        for i, text in enumerate(texts.tolist())
        for token in range(log_p.size(-1))
    ]
    best = sorted(found, reverse=True)[:k]
    return torch.tensor([text for _, text in best]), torch.tensor([score for score, _ in best])


def _extended(
    texts: Tensor,
    scores: Tensor,
    log_p: Tensor,
    k: int,
    *,
    rank: Callable = lambda s, q: s + q,
    keep: Callable | None = None,
    parent: Callable = lambda place, V: place // V,
    token: Callable = lambda place, V: place % V,
    largest: bool = True,
    front: bool = False,
) -> tuple[Tensor, Tensor]:
    """A step of beam search with one part of it exchanged."""
    V = log_p.size(-1)
    total = rank(scores[:, None], log_p).expand(log_p.shape).flatten()
    best, place = total.topk(min(k, total.numel()), largest=largest)
    parts = [texts[parent(place, V) % len(texts)], token(place, V)[:, None] % V]
    new = torch.cat(parts[::-1] if front else parts, dim=1)
    return new, best if keep is None else keep(scores[:, None], log_p).flatten()[place]


def _each_its_own(texts: Tensor, scores: Tensor, log_p: Tensor, k: int) -> tuple[Tensor, Tensor]:
    best, token = log_p.max(-1, keepdim=True)
    total, order = (scores + best[:, 0]).sort(descending=True)
    return torch.cat([texts, token], dim=1)[order][:k], total[:k]


@EXERCISES.add(
    search.beam_step,
    difficulty=3,
    minutes=12,
    sizes=False,
    gradients=False,  # nobody trains through a choice of tokens
    hints=[
        "The log-probability of a longer text is that of the text so far plus that of the new token: a table (K, V) of sums.",
        "Lay the table out in one row, .flatten(), and take its topk. The place in that row says which text and which token: "
        "place // V and place % V.",
        "best, place = total.topk(min(k, total.numel())); torch.cat([texts[place // V], (place % V)[:, None]], dim=1) are the new "
        "texts, best their scores.",
    ],
    mistakes={
        "you ranked the new tokens by themselves; add the score of the text so far": (
            lambda t, s, q, k: _extended(t, s, q, k, rank=lambda s, q: q)
        ),
        "you ranked by the sum, and returned the log-probability of the new token alone": (
            lambda t, s, q, k: _extended(t, s, q, k, keep=lambda s, q: q)
        ),
        "you ranked by the sum, and returned the scores of the texts before this step": (
            lambda t, s, q, k: _extended(t, s, q, k, keep=lambda s, q: s.expand(q.shape))
        ),
        "each text kept its own best token; the extensions of all texts compete": _each_its_own,
        "the new tokens went behind other texts than those that they continue: the text is place // V": (
            lambda t, s, q, k: _extended(t, s, q, k, parent=lambda i, V: torch.arange(len(i)))
        ),
        "you swapped place // V and place % V": (
            lambda t, s, q, k: _extended(
                t, s, q, k, parent=lambda i, V: i % V, token=lambda i, V: i // V
            )
        ),
        "you kept the least likely texts": (
            lambda t, s, q, k: _extended(t, s, q, k, largest=False)
        ),
        "you multiplied log-probabilities; their sum is the log of the product": (
            lambda t, s, q, k: _extended(t, s, q, k, rank=lambda s, q: s * q)
        ),
        "you added probabilities; add log-probabilities": (
            lambda t, s, q, k: _extended(t, s, q, k, rank=lambda s, q: s.exp() + q.exp())
        ),
        "you returned probabilities; scores are log-probabilities": (
            lambda t, s, q, k: _extended(t, s, q, k, keep=lambda s, q: (s + q).exp())
        ),
        "you divided by the length; a score is a sum": (
            lambda t, s, q, k: _extended(t, s, q, k, keep=lambda s, q: (s + q) / (t.size(1) + 1))
        ),
        "the new token was put in front; append it": (
            lambda t, s, q, k: _extended(t, s, q, k, front=True)
        ),
        "the likeliest text comes first": (
            lambda t, s, q, k: tuple(x.flip(0) for x in _extended(t, s, q, k))
        ),
        "one text too few": lambda t, s, q, k: tuple(x[:-1] for x in _extended(t, s, q, k)),
    },
)
def check_beam_step(student: Callable, rng: random.Random) -> None:
    for K, T, V, k in (
        (3, 2, 5, 3),
        (4, 3, 4, 4),
        (1, 1, 7, 3),
        (2, 4, 3, 4),
        (3, 1, 8, 2),
        (1, 2, 3, 9),
    ):
        texts = torch.tensor([rng.sample(range(V), 1) * T for _ in range(K)])
        for i, text in enumerate(texts):
            text[0] = i % V
            text[1:] = torch.tensor([rng.randrange(V) for _ in range(T - 1)])
        scores = torch.tensor(sorted((-rng.uniform(0.5, 3.0) for _ in range(K)), reverse=True))
        log_p = (1.5 * normal(rng, K, V)).log_softmax(-1)
        want = all_extensions(texts, scores, log_p, k)
        call = f"beam_step(texts {(K, T)}, scores {(K,)}, log_p {(K, V)}, k={k})"
        expect(student(texts, scores, log_p, k), want, call)


# --- fetched_per_token ----------------------------------------------------------------------------


def read_list(weights: int, per_position: int, B: int, T: int) -> float:
    """Everything that a step reads, one entry each, shared among the tokens that it writes."""
    fetched = [weights, *(per_position for _text in range(B) for _position in range(T))]
    return sum(fetched) / B


@EXERCISES.add(
    cost.fetched_per_token,
    difficulty=2,
    minutes=6,
    hints=[
        "First count what one step fetches in all, for B texts. Then ask how many tokens that step writes.",
        "A step reads all weights once, and for each of the B texts T positions of its own cache. It writes B tokens.",
        "(weights + B * T * per_position) / B.",
    ],
    mistakes={
        "you counted a whole step; it writes B tokens": lambda w, c, B, T: w + B * T * c,
        "each token paid for all weights; the B texts share them": lambda w, c, B, T: w + T * c,
        "the texts shared one cache; each text has its own": lambda w, c, B, T: (w + T * c) / B,
        "you left out the cache": lambda w, c, B, T: w / B,
        "you left out the weights": lambda w, c, B, T: float(T * c),
        "one position of the cache is not enough: a new token looks at all T": (
            lambda w, c, B, T: w / B + c
        ),
        "the weights are not read again for each position; the cache is there for that": (
            lambda w, c, B, T: T * w / B + T * c
        ),
        "the cache of all texts was charged to each token": lambda w, c, B, T: w / B + B * T * c,
    },
)
def check_fetched_per_token(student: Callable, rng: random.Random) -> None:
    for B, T in ((1, 6), (4, 9), (3, 1), (5, 5), (16, 40)):
        weights = rng.randrange(1000, 9000)
        per_position = rng.randrange(10, 90)
        call = f"fetched_per_token(weights={weights}, per_position={per_position}, B={B}, T={T})"
        expect(student(weights, per_position, B, T), read_list(weights, per_position, B, T), call)
