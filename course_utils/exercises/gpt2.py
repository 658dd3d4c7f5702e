"""Exercises of notebook 04. The right values come from counting real tensors, from torch's FLOP counter and from transformers."""

import math
import random
from collections.abc import Callable
from dataclasses import replace
from functools import cache

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from course_utils.checking.compare import Wrong
from course_utils.checking.engine import Exercise, expect
from course_utils.exercises.attention import normal
from course_utils.exercises.transformer_block import must_raise
from course_utils.gpt2 import model as gp
from course_utils.model_budget import census
from course_utils.sampling import decoding as sampling

NO_IDS = torch.zeros(1, 1, dtype=torch.long)


def some_config(rng: random.Random, **changes) -> gp.GPTConfig:
    """Sizes that are all different, so that one cannot pass for another."""
    d = rng.choice((12, 20, 28))
    sizes = dict(
        n_layer=rng.choice((2, 3)), n_head=4, n_embd=d, vocab_size=rng.randint(50, 90), n_positions=rng.randint(30, 48)
    )
    return gp.GPTConfig(**(sizes | changes))


# --- count_parameters ------------------------------------------------------------------------------------------------


@cache
def really(config: gp.GPTConfig) -> int:
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in gp.GPT(config).parameters())


def parameter_mistakes(config: gp.GPTConfig, want: int) -> dict[str, int]:
    d, V, P, L, tied = config.n_embd, config.vocab_size, config.n_positions, config.n_layer, config.tie_word_embeddings
    f = config.n_inner or 4 * d
    biases = L * (4 * d + f + d) + (2 * L + 1) * d
    if tied:
        mistakes = {"the tied head is the token embedding once more: count it once": want + V * d}
    else:
        mistakes = {"tie_word_embeddings is False here, so the head has a matrix of its own": want - V * d}
    mistakes |= {
        "you left out all biases": want - biases,
        "you left out the biases of the matrices": want - L * (5 * d + f),
        "you left out the LayerNorms": want - (4 * L + 2) * d,
        "a LayerNorm has a gain and a shift, so 2·d": want - (2 * L + 1) * d,
        "the last LayerNorm (ln_f, after the blocks) is missing": want - 2 * d,
        "the position embedding is missing": want - P * d,
        "the output matrix c_proj of the attention is missing": want - L * d**2,
        "the head has no bias": want + V,
        "one of the two MLP matrices is missing": want - L * d * f,
        "n_layer blocks, but you counted one": want - (L - 1) * (4 * d**2 + 9 * d + 2 * d * f + f),
        "the token embedding is missing": want - V * d,
    }
    if config.n_inner:
        mistakes["the MLP is n_inner wide here, not 4·n_embd"] = want - L * (2 * d + 1) * (f - 4 * d)
    return mistakes


def check_count_parameters(student: Callable, rng: random.Random) -> None:
    plain = some_config(rng)
    variants = [plain, replace(plain, tie_word_embeddings=False), replace(plain, n_inner=rng.randint(30, 40)),
                replace(plain, n_layer=0), gp.GPTConfig.preset(rng.choice(list(gp.SIZES)))]  # fmt: skip
    for config in variants:
        want = really(config)
        fields = "n_layer n_embd vocab_size n_positions n_inner tie_word_embeddings"
        call = f"count_parameters of {', '.join(f'{name}={getattr(config, name)}' for name in fields.split())}"
        got = student(config)
        if isinstance(got, float) and got == want:
            raise Wrong(f"{call}: the number is right, but a count is an int: use // or no division at all.")
        expect(got, want, call, mistakes=parameter_mistakes(config, want))


# --- flops_per_token -------------------------------------------------------------------------------------------------


@cache
def measured_flops(config: gp.GPTConfig, T: int) -> int:
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        gp.GPT(config).set_attention("explicit")(torch.zeros(1, T, dtype=torch.long))
    return counter.get_total_flops() // T


def flop_mistakes(config: gp.GPTConfig, T: int, want: int) -> dict[str, int]:
    d, V, P, L, H = config.n_embd, config.vocab_size, config.n_positions, config.n_layer, config.n_head
    f = config.n_inner or 4 * d
    weights = L * (4 * d**2 + 2 * d * f) + V * d
    return {
        "a multiplication and an addition are 2 FLOPs; you counted 1": want // 2,
        "you left out the attention maps: scores and average, each 2·d for each of T positions": 2 * weights,
        "you left out the head: it is a product with (V, d), tied or not": want - 2 * V * d,
        "the head is there once; the embedding is looked up and takes nothing": want + 2 * V * d,
        "looking a position up takes no product": want + 2 * P * d,
        "this is the number for all T tokens; divide by T": want * T,
        "the attention maps take 4·d for each position: 2·d for the scores, and 2·d for the average": want
        - L * 2 * T * d,
        "torch computes the whole map, also what the mask hides: T positions, not half of them": 2 * weights
        + L * 2 * T * d,
        "each head has d / n_head features, so all heads together take d; you multiplied by the heads": 2 * weights
        + L * 4 * T * d * H,
        "T is the length of the text, not n_positions": 2 * weights + L * 4 * P * d,
        "this is a training step; a forward pass takes a third of it": 3 * want,
        "6 FLOPs a parameter is the rule for training; count the products of the forward pass": 6
        * census.count_parameters(config),
        "2 FLOPs a parameter is the rule of thumb; embeddings and biases are no products, and attention maps are missing": 2
        * census.count_parameters(config),
        "the MLP is n_inner wide here, not 4·n_embd": want - 4 * L * d * (f - 4 * d),
    }


def check_flops_per_token(student: Callable, rng: random.Random) -> None:
    plain = some_config(rng)
    for config in (
        plain,
        replace(plain, tie_word_embeddings=False),
        replace(plain, n_inner=rng.randint(30, 40)),
        replace(plain, n_head=2),
    ):
        for T in (1, rng.randint(5, 20)):
            fields = "n_layer n_head n_embd vocab_size n_inner tie_word_embeddings"
            call = f"flops_per_token(config, T={T}) with {', '.join(f'{name}={getattr(config, name)}' for name in fields.split())}"
            want = measured_flops(config, T)
            got = student(config, T)
            if isinstance(got, float) and got == want:
                raise Wrong(f"{call}: the number is right, but a count is an int: use // or no division at all.")
            mistakes = flop_mistakes(config, T, want)
            expect(got, want, call, mistakes={text: wrong for text, wrong in mistakes.items() if wrong != want})
    for T in (0, plain.n_positions + 1):
        must_raise(lambda T=T: student(plain, T), f"flops_per_token(config, T={T}) with n_positions={plain.n_positions}",
                   "there are 1 to n_positions tokens")  # fmt: skip


# --- convert_weights -------------------------------------------------------------------------------------------------


class Weights(dict):
    """A state_dict with a short name for messages: to print hundreds of numbers takes long and tells nothing."""

    def __repr__(self) -> str:
        return "state"


@cache
def random_model(config: gp.GPTConfig) -> GPT2LMHeadModel:
    """transformers' model of this shape; nothing in it is 0 or 1."""
    sizes = {
        name: getattr(config, name)
        for name in ("n_layer", "n_head", "n_embd", "vocab_size", "n_positions", "tie_word_embeddings")
    }
    model = GPT2LMHeadModel(GPT2Config(**sizes, bos_token_id=0, eos_token_id=0)).eval()
    rng = random.Random(repr(config))
    for parameter in model.parameters():
        parameter.data = normal(rng, *parameter.shape) * 0.3
    return model


def check_convert_weights(student: Callable, rng: random.Random) -> None:
    for tied in (True, False):
        config = some_config(rng, tie_word_embeddings=tied)
        theirs = random_model(config)
        state = {name: x.detach() for name, x in theirs.state_dict().items()}
        masks = {f"h.{n}.attn.bias": torch.ones(1, 1, 4, 4).tril() for n in range(config.n_layer)}
        masks |= {f"h.{n}.attn.masked_bias": torch.tensor(-1e4) for n in range(config.n_layer)}
        published = {
            name.removeprefix("transformer."): x for name, x in state.items() if not (tied and name == "lm_head.weight")
        }
        for given, what in (
            (state, "transformers' state_dict()"),
            (published | masks, "the published file, with masks and without prefix"),
        ):
            want = {name.removeprefix("transformer."): x for name, x in given.items() if name not in masks}
            want = {name: x.mT if ".c_" in name and x.ndim == 2 else x for name, x in want.items()}
            got, call = student(Weights(given)), f"convert_weights(state) of {what}"
            if isinstance(got, dict):
                name_checks(got, want, call)
            expect(got, want, call)
        model = gp.GPT.from_state(config, {name: x.clone() for name, x in got.items()}).eval()
        ids = torch.tensor([[rng.randrange(config.vocab_size) for _ in range(9)]])
        with torch.no_grad():
            expect(
                model(ids), theirs(ids).logits, "the logits of GPT with your weights, beside transformers'", tol=1e-3
            )


def name_checks(got: dict, want: dict, call: str) -> None:
    """The mistakes that a comparison of dicts would not explain."""
    for name in got:
        if str(name).endswith((".attn.bias", ".attn.masked_bias")):
            raise Wrong(f"{call}: {name} is the stored causal mask, not a weight: leave it out.")
        if str(name).startswith("transformer."):
            raise Wrong(f'{call}: {name} still begins with "transformer.": our names do not.')
    for name, x in want.items():
        if x.ndim != 2 or not isinstance(got.get(name), Tensor):
            continue
        if got[name].shape == x.mT.shape != x.shape:
            turned = "is not transposed: Conv1D keeps (in, out)" if ".c_" in name else "is transposed, but is no Conv1D"
            raise Wrong(f"{call}: {name} is {tuple(got[name].shape)} and should be {tuple(x.shape)}. It {turned}.")
        if x.size(0) == x.size(1) and not torch.equal(x, x.mT) and torch.equal(got[name], x.mT):
            raise Wrong(
                f"{call}: {name} has the right shape because it is square, but its values must be transposed, too."
            )


# --- What changes the distribution -----------------------------------------------------------------------------------


def rows(rng: random.Random, *shape: int) -> Tensor:
    """Logits of which no two are close."""
    V = shape[-1]
    n = math.prod(shape[:-1])
    picked = [
        [x + rng.uniform(-0.05, 0.05) for x in rng.sample([0.25 * i - 0.12 * V for i in range(V)], V)] for _ in range(n)
    ]
    return torch.tensor(picked).reshape(shape)


def cut(logits: Tensor, keep: Tensor) -> Tensor:
    return logits.masked_fill(~keep, -math.inf)


def by_transformers(processor: Callable, logits: Tensor) -> Tensor:
    flat = logits.reshape(-1, logits.size(-1))
    return processor(NO_IDS.expand(len(flat), 1), flat.clone()).reshape(logits.shape)


def check_cut(
    student: Callable, call: str, logits: Tensor, value: float, want: Tensor, mistakes: dict[str, Tensor]
) -> None:
    """`expect`, and a sentence of its own for an answer that cuts the right tokens in another way."""
    got = student(logits, value)
    if isinstance(got, Tensor) and got.shape == want.shape and not torch.equal(got, want):
        kept = want.isfinite()
        if bool((got == 0).eq(~kept).all()) and torch.allclose(got[kept], want[kept]):
            raise Wrong(
                f"{call}: the right tokens are cut, but with the logit 0, which leaves them exp(0) = 1: use -inf."
            )
        if torch.allclose(got.nan_to_num(), want.softmax(-1), atol=1e-5):
            raise Wrong(f"{call}: you returned probabilities; return logits, with -inf where a token is cut.")
        if torch.allclose(got.nan_to_num(), logits.softmax(-1).where(kept, 0.0), atol=1e-5):
            raise Wrong(f"{call}: you returned probabilities; return logits, with -inf where a token is cut.")
    expect(got, want, call, mistakes={text: wrong for text, wrong in mistakes.items() if not torch.equal(wrong, want)})


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
                "one limit for all rows; each row has a k-th largest of its own": cut(logits, logits >= logits.flatten().sort().values[-min(k, logits.numel())]),
                "you cut the k largest and kept the rest": cut(logits, ~want.isfinite()),
            }  # fmt: skip
            check_cut(student, f"top_k(logits, k={k}) with logits of shape {shape}", logits, k, want, mistakes)
    logits = torch.tensor([0.0, 2.0, 1.0, 1.0, -1.0, 1.0]) + rng.randint(-3, 3)
    expect(student(logits, 2), by_transformers(TopKLogitsWarper(2), logits), "top_k(logits, k=2) where three tokens share the "
           "second place: what ties with the k-th stays")  # fmt: skip
    logits = cut(rows(rng, 2, 6), torch.arange(6) < 3)
    expect(
        student(logits, 2),
        by_transformers(TopKLogitsWarper(2), logits),
        "top_k(logits, k=2) where some logits are -inf already",
    )
    expect(student(rows(rng, 2, 5).double(), 2).dtype, torch.float64, "top_k(…).dtype for logits in torch.float64")
    for k in (0, -1):
        must_raise(lambda k=k: student(rows(rng, 5), k), f"top_k(logits, k={k})", "at least one token must be kept")


def check_top_p(student: Callable, rng: random.Random) -> None:
    for shape in ((8,), (3, 11), (4, 4), (2, 3, 7)):
        logits = rows(rng, *shape) * rng.uniform(0.5, 1.5)
        for p in (rng.uniform(0.02, 0.1), rng.uniform(0.3, 0.6), rng.uniform(0.8, 0.95), 1.0):
            probability = logits.softmax(-1)
            descending, order = probability.sort(dim=-1, descending=True)
            sums = descending.cumsum(-1)
            if bool(((sums - p).abs() < 1e-4).any() and p < 1):  # a tie of rounding errors decides nothing here
                continue
            back = order.argsort(-1)
            want = by_transformers(TopPLogitsWarper(p), logits) if p < 1 else logits
            short = (sums <= p).gather(-1, back)
            ascending = probability.sort(dim=-1)
            wrong_end = (ascending.values.cumsum(-1) - ascending.values < p).gather(-1, ascending.indices.argsort(-1))
            mistakes = {
                "the token that carries the sum over p belongs to the nucleus, too": cut(logits, short),
                "the token that carries the sum over p belongs to the nucleus, and the likeliest token always stays":
                    cut(logits, short | (back == 0)),
                "you kept the least likely tokens; sort in descending order": cut(logits, wrong_end),
                "you kept the tokens whose own probability is at least p; add the probabilities up": cut(logits, probability >= p),
                "you kept the tokens whose own probability is at least 1 - p; add the probabilities up": cut(logits, probability >= 1 - p),
                "the mask is in the order of the ranks; bring it back to the order of the tokens": cut(logits, sums - descending < p),
                "the mask went to the wrong tokens: scatter it to `order`, or gather it with order.argsort(-1)":
                    cut(logits, (sums - descending < p).gather(-1, order)),
                "one token too many": cut(logits, (sums - 2 * descending < p).gather(-1, back)),
            }  # fmt: skip
            check_cut(student, f"top_p(logits, p={p:.3g}) with logits of shape {shape}", logits, p, want, mistakes)
    logits = torch.zeros(3, 1).expand(3, 5) + rng.uniform(-2, 2)
    got = student(logits, 0.5)
    kept = got.isfinite().sum(-1).tolist() if isinstance(got, Tensor) and got.shape == logits.shape else None
    if kept != [3, 3, 3]:
        raise Wrong(f"top_p(logits, p=0.5) of 5 equal tokens must keep 3 of them (any 3) in each row, you kept {kept}.")
    expect(student(rows(rng, 2, 5).double(), 0.5).dtype, torch.float64, "top_p(…).dtype for logits in torch.float64")
    for p in (0.0, -0.1, 1.01):
        must_raise(lambda p=p: student(rows(rng, 5), p), f"top_p(logits, p={p})", "p is a share above 0 and at most 1")


def check_min_p(student: Callable, rng: random.Random) -> None:
    for shape in ((8,), (3, 11), (4, 4), (2, 3, 7)):
        logits = rows(rng, *shape) + torch.linspace(0, 3, math.prod(shape[:-1])).reshape(*shape[:-1], 1)
        for p in (rng.uniform(0.05, 0.12), rng.uniform(0.3, 0.7), 0.0, 1.0):
            probability = logits.softmax(-1)
            top = probability.amax(-1, keepdim=True)
            if bool(((probability / top - p).abs() < 1e-3).any() and p < 1):
                continue
            want = by_transformers(MinPLogitsWarper(p), logits) if 0 < p < 1 else cut(logits, probability >= p * top)
            mistakes = {
                "you compared with p itself; compare with p times the largest probability": cut(logits, probability >= p),
                "you compared logits; compare probabilities": cut(logits, logits >= p * logits.amax(-1, keepdim=True)),
                "one largest probability for all rows; each row has its own": cut(logits, probability >= p * probability.max()),
                "you divided by the smallest; the limit is p times the largest probability": cut(logits, probability * p >= probability.amin(-1, keepdim=True)),
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
    expect(student(rows(rng, 2, 5).double(), 0.5).dtype, torch.float64, "min_p(…).dtype for logits in torch.float64")
    for p in (-0.1, 1.01):
        must_raise(lambda p=p: student(rows(rng, 5), p), f"min_p(logits, p={p})", "p is a share from 0 to 1")


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
                "you subtracted the penalty; CTRL divides and multiplies": logits - penalty * seen,
                "the penalty hits tokens that never occurred": everywhere,
                "the penalty hits the tokens that did not occur": logits.where(seen, everywhere),
                "a token counts once, however often it occurred": torch.where(logits > 0, logits / penalty**counts, logits * penalty**counts),
                "each text has its own tokens; you put those of all texts together": logits.where(~seen.any(0), everywhere),
                "only the last token was made less likely; all tokens of ids count":
                    logits.where(torch.zeros(B, V).scatter(1, ids[:, -1:], 1.0) == 0, everywhere),
                "the two cases are swapped: divide positive logits, multiply negative ones":
                    logits.where(~seen, torch.where(logits > 0, logits * penalty, logits / penalty)),
            }  # fmt: skip
            expect(student(logits, ids, penalty), want, f"repetition_penalty(logits, ids, penalty={penalty:.3g}) with logits of "
                   f"shape {(B, V)} and ids of shape {(B, T)}",
                   mistakes={text: wrong for text, wrong in mistakes.items() if not torch.allclose(wrong, want)})  # fmt: skip
    for penalty in (0.0, -1.0):
        must_raise(lambda penalty=penalty: student(rows(rng, 1, 5), NO_IDS, penalty),
                   f"repetition_penalty(logits, ids, penalty={penalty})", "dividing by it would turn the order round")  # fmt: skip


# --- greedy ----------------------------------------------------------------------------------------------------------


class Listener:
    """A model whose next token depends on all tokens so far, and which remembers what it was asked."""

    def __init__(self, rng: random.Random, V: int) -> None:
        self.V, self.asked, self.table = V, [], normal(rng, 40, V, V)

    def __deepcopy__(self, memo: dict) -> "Listener":
        return self

    def __repr__(self) -> str:
        return "model"

    def __call__(self, ids: Tensor) -> Tensor:
        if not isinstance(ids, Tensor) or ids.ndim != 2 or ids.dtype != torch.int64:
            what = f"{tuple(ids.shape)} {ids.dtype}" if isinstance(ids, Tensor) else type(ids).__name__
            raise Wrong(f"greedy: the model was called with {what}; it takes ids (B, T) of torch.int64.")
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
            got, want, call, mistakes={text: wrong for text, wrong in mistakes.items() if not torch.equal(wrong, want)}
        )
    small = gp.GPT(
        gp.GPTConfig(n_layer=1, n_head=2, n_embd=8, vocab_size=9, n_positions=8),
        torch.Generator().manual_seed(rng.randrange(1000)),
    )
    ids = torch.tensor([[rng.randrange(9) for _ in range(3)]])
    got = student(small.eval(), ids, 2)
    expect(got.shape, torch.Size([1, 5]), "greedy(model, ids, n_new=2).shape with a real GPT and 3 tokens")


def follow(model: Listener, ids: Tensor, n_new: int, first: bool = False, last: bool = False, sign: int = 1) -> Tensor:
    for _ in range(n_new):
        logits = model(ids[:, -1:] if last else ids)[:, 0 if first else -1]
        ids = torch.cat([ids, (sign * logits).argmax(-1, keepdim=True)], 1)
    return ids


EXERCISES = [
    Exercise("count_parameters", census.count_parameters, check_count_parameters, hints=[
        "Write the shape of each tensor beside its name: wte (V, d), wpe (P, d); in each block two LayerNorms, c_attn, c_proj, "
        "c_fc and c_proj; after the blocks one more LayerNorm.",
        "c_attn makes queries, keys and values at once: (3d, d) and 3d biases. A LayerNorm has a gain and a shift: 2d numbers. "
        "The MLP is f wide: config.n_inner, or 4d where that is None.",
        "A block has 4d² + 4d (attention) + 2df + f + d (MLP) + 4d (two LayerNorms). The head adds V·d only where "
        "config.tie_word_embeddings is False; it has no bias.",
    ], difficulty=2, minutes=10),
    Exercise("flops_per_token", census.flops_per_token, check_flops_per_token, hints=[
        "A vector of a numbers times a matrix (a, b) takes a·b multiplications and as many additions. So each weight of a matrix "
        "costs 2 FLOPs a token. Which matrices does a token meet?",
        "In each block: 4d² in the attention and 2df in the MLP. At the end V·d in the head. In between, each query meets T keys "
        "of d numbers (all heads together), and the average takes as much again.",
        "2 · (L·(4d² + 2df) + V·d) + L · 4·T·d. A T outside 1 … config.n_positions raises a ValueError.",
    ], difficulty=3, minutes=12),
    Exercise("convert_weights", gp.convert_weights, check_convert_weights, hints=[
        "Three things differ: the names begin with \"transformer.\", stored masks lie among the weights, and OpenAI's matrices are "
        "(in, out). Go through the dict once and treat each.",
        "name.removeprefix(\"transformer.\") shortens; name.endswith((\".attn.bias\", \".attn.masked_bias\")) finds the masks. "
        "Mind that c_attn.bias is no mask.",
        "The matrices to transpose end with c_attn.weight, c_proj.weight or c_fc.weight. Embeddings and LayerNorms stay as they are. "
        "The square c_proj of the attention has the same shape either way: transpose it, too.",
    ], difficulty=2, minutes=10),
    Exercise("repetition_penalty", sampling.repetition_penalty, check_repetition_penalty, hints=[
        "First find out which tokens occurred: a table (B, V) of True and False. It counts each token once.",
        "torch.zeros_like(logits, dtype=torch.bool).scatter(-1, ids, True) is that table. Dividing a negative logit would make the "
        "token likelier, so there are two cases.",
        "torch.where(logits > 0, logits / penalty, logits * penalty) is what a token that occurred gets; a second torch.where "
        "picks between that and the old logits. A penalty of 0 or less raises a ValueError.",
    ], difficulty=2, minutes=8),
    Exercise("top_k", sampling.top_k, check_top_k, hints=[
        "You need one number for each row: its k-th largest logit. Everything below it goes to -inf.",
        "logits.topk(k).values is sorted, the k-th largest is its last column; keep the dimension with [..., -1:]. What if k is "
        "larger than the vocabulary?",
        "least = logits.topk(min(k, logits.size(-1))).values[..., -1:]; then logits.masked_fill(logits < least, -torch.inf). A k "
        "below 1 raises a ValueError.",
    ], difficulty=1, minutes=5),
    Exercise("top_p", sampling.top_p, check_top_p, hints=[
        "Sort the probabilities in descending order and add them up. A token stays while the likelier ones together have not "
        "reached p: what counts is the sum before it.",
        "probability, order = softmax(logits).sort(dim=-1, descending=True); the sum before each is probability.cumsum(-1) - "
        "probability. The mask you get is in the order of the ranks.",
        "mask.scatter(-1, order, mask) brings it back to the order of the tokens; then masked_fill. The likeliest token has 0 before "
        "it, so it always stays. A p outside (0, 1] raises a ValueError.",
    ], difficulty=3, minutes=12),
    Exercise("min_p", sampling.min_p, check_min_p, hints=[
        "The limit follows the likeliest token: p times its probability. Where the model is sure, the limit is high.",
        "softmax(logits) gives the probabilities; .amax(-1, keepdim=True) the largest of each row.",
        "logits.masked_fill(probability < p * probability.amax(-1, keepdim=True), -torch.inf). A p outside [0, 1] raises a "
        "ValueError.",
    ], difficulty=1, minutes=5),
    Exercise("greedy", sampling.greedy, check_greedy, hints=[
        "A loop of n_new rounds. In each the model reads the whole text; its answer at the last position is about the next token.",
        "model(ids)[:, -1] is (B, V). argmax(-1, keepdim=True) makes it (B, 1), so that it fits behind ids.",
        "ids = torch.cat([ids, …], dim=1) in each round; return ids after the loop.",
    ], difficulty=1, minutes=6),
]  # fmt: skip
