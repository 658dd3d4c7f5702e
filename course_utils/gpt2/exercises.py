"""Exercises of lesson 04. The right values come from loops over single numbers, from transformers,
and from a machine with a queue and a clock of its own.
"""

import math
import random
from collections.abc import Callable, Sequence
from functools import cache, partial

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
)

from course_utils.checking import Exercises, Wrong, expect
from course_utils.checking.draws import must_have_share
from course_utils.checking.inputs import dice, normal
from course_utils.gpt2 import building
from course_utils.gpt2 import model as gpt2
from course_utils.training import learning_rate

EXERCISES = Exercises()


def some_config(rng: random.Random, **changes) -> gpt2.GPTConfig:
    """Sizes that are all different, so that one cannot pass for another."""
    d = rng.choice((12, 20, 28))
    sizes = dict(
        n_layer=rng.choice((2, 3)),
        n_head=4,
        n_embd=d,
        vocab_size=rng.randint(50, 90),
        n_positions=rng.randint(30, 48),
    )
    return gpt2.GPTConfig(**(sizes | changes))


# --- convert_weights ------------------------------------------------------------------------------


class Weights(dict):
    """A state_dict with a short name for messages: to print hundreds of numbers takes long and
    tells nothing.
    """

    def __repr__(self) -> str:
        return "state"


@cache
def random_model(config: gpt2.GPTConfig) -> GPT2LMHeadModel:
    """transformers' model of this shape; nothing in it is 0 or 1."""
    sizes = {
        name: getattr(config, name)
        for name in (
            "n_layer",
            "n_head",
            "n_embd",
            "vocab_size",
            "n_positions",
            "tie_word_embeddings",
        )
    }
    model = GPT2LMHeadModel(GPT2Config(**sizes, bos_token_id=0, eos_token_id=0)).eval()
    rng = random.Random(repr(config))
    for parameter in model.parameters():
        parameter.data = normal(rng, *parameter.shape) * 0.3
    return model


@EXERCISES.add(
    gpt2.convert_weights,
    difficulty=2,
    minutes=10,
    gradients=False,  # a file is read, nothing is trained
    hints=[
        'Three things differ: the names begin with "transformer.", stored masks lie among the weights, and OpenAI\'s matrices are '
        "(in, out). Go through the dict once and treat each.",
        'name.removeprefix("transformer.") shortens; name.endswith((".attn.bias", ".attn.masked_bias")) finds the masks. '
        "Mind that c_attn.bias is no mask.",
        "The matrices to transpose end with c_attn.weight, c_proj.weight or c_fc.weight. Embeddings and LayerNorms stay as they are. "
        "The square c_proj of the attention has the same shape either way: transpose it, too.",
    ],
)
def check_convert_weights(student: Callable, rng: random.Random) -> None:
    for tied in (True, False):
        config = some_config(rng, tie_word_embeddings=tied)
        theirs = random_model(config)
        state = {name: x.detach() for name, x in theirs.state_dict().items()}
        masks = {f"h.{n}.attn.bias": torch.ones(1, 1, 4, 4).tril() for n in range(config.n_layer)}
        masks |= {f"h.{n}.attn.masked_bias": torch.tensor(-1e4) for n in range(config.n_layer)}
        published = {
            name.removeprefix("transformer."): x
            for name, x in state.items()
            if not (tied and name == "lm_head.weight")
        }
        for given, what in (
            (state, "transformers' state_dict()"),
            (published | masks, "the published file, with masks and without prefix"),
        ):
            want = {
                name.removeprefix("transformer."): x
                for name, x in given.items()
                if name not in masks
            }
            want = {name: x.mT if ".c_" in name and x.ndim == 2 else x for name, x in want.items()}
            got = student(Weights(given))
            call = f"convert_weights(state) of {what}"
            if isinstance(got, dict):
                name_checks(got, given, want, call)
            expect(got, want, call)
        model = gpt2.GPT.from_state(config, {name: x.clone() for name, x in got.items()}).eval()
        ids = torch.tensor([[rng.randrange(config.vocab_size) for _ in range(9)]])
        with torch.no_grad():
            expect(
                model(ids),
                theirs(ids).logits,
                "the logits of GPT with your weights, beside transformers'",
                tol=1e-3,
            )


def name_checks(got: dict, given: dict, want: dict, call: str) -> None:
    """The mistakes that a comparison of dicts would not explain."""
    for name in map(str, got):
        if name.endswith((".attn.bias", ".attn.masked_bias")):
            raise Wrong(f"{call}: {name} is the stored causal mask, not a weight: leave it out.")
        if name.startswith("transformer."):
            raise Wrong(f'{call}: {name} still begins with "transformer.": our names do not.')
    for name, x in want.items():
        if name not in got:
            raise Wrong(f"{call}: {name} is missing. {_why_missing(name, given)}.")
        if x.ndim == 2 and isinstance(got[name], Tensor) and (why := _turned(name, got[name], x)):
            raise Wrong(f"{call}: {name} {why}.")


def _why_missing(name: str, given: dict) -> str:
    if name == "lm_head.weight":
        return "Keep what there is: where the head is not tied to the embedding, it has weights of its own"
    if name.endswith(".c_attn.bias"):
        return 'It ends with "attn.bias", as a mask does, but is learned: a mask ends with ".attn.bias", with a dot'
    if name.endswith(".bias"):
        return 'It is learned, and no mask: a mask ends with ".attn.bias" or ".attn.masked_bias"'
    return (
        'In this file its name has no "transformer." in front: keep such names as they are'
        if name in given
        else "It is a weight: keep it"
    )


def _turned(name: str, got: Tensor, x: Tensor) -> str | None:
    """What was done to a matrix instead of what should be done to it."""
    conv = ".c_" in name
    theirs = x.mT
    if got.shape == theirs.shape != x.shape:
        turned = (
            "not transposed: Conv1D keeps (in, out)" if conv else "transposed, but is no Conv1D"
        )
        return f"is {tuple(got.shape)} and should be {tuple(x.shape)}. It is {turned}"
    if got.shape != x.shape or torch.equal(got, x) or not conv:
        return None
    if torch.equal(got, theirs.reshape(x.shape)) and theirs.shape != x.shape:
        return "has the right shape, but its values are in the old order: reshape and view only cut the rows anew. Use .t()"
    if torch.equal(got, theirs):
        return "has the right shape because it is square, but its values must be transposed, too"
    if torch.equal(got, x.flip(0)):
        return "is turned by a quarter, as rot90 does, so its rows are in the reverse order. Use .t(), which only swaps rows and columns"
    return None


# --- embed ----------------------------------------------------------------------------------------


def tables(rng: random.Random, V: int, n_positions: int, d: int) -> tuple[Tensor, Tensor]:
    return normal(rng, V, d), normal(rng, n_positions, d)


def draw_ids(rng: random.Random, B: int, T: int, V: int) -> Tensor:
    """Ids among which one stands at two places at least."""
    ids = torch.tensor([[rng.randrange(V) for _ in range(T)] for _ in range(B)])
    ids[-1, -1] = ids[0, 0]
    return ids


SIZES = (
    (2, 5, 11, 7, 3),
    (4, 4, 9, 4, 6),
    (1, 1, 5, 3, 2),
    (3, 6, 4, 8, 1),
)  # B, T, V, n_positions, d


def places(wpe: Tensor, *rows: Tensor) -> Tensor:
    return wpe[torch.stack(rows) % len(wpe)]


@EXERCISES.add(
    building.embed,
    difficulty=1,
    minutes=4,
    sizes=False,  # a table of one row, beside longer texts, is no input
    hints=[
        "Both tables hold rows. The row of a token is wte[id], and the row of place t is wpe[t].",
        "wte[ids] looks all tokens up at once, (B, T, d_model). The places 0 to T - 1 are the first T rows of wpe.",
        "Add them: (B, T, d_model) + (T, d_model) repeats the places for each text by itself.",
    ],
    mistakes={
        "you took the place's vector by the token's id; place t has row t, whatever stands there": (
            lambda ids, wte, wpe: wte[ids] + wpe[ids % len(wpe)]
        ),
        "you left out the places": lambda ids, wte, wpe: wte[ids],
        "you left out the tokens": lambda ids, wte, wpe: wpe[: ids.size(1)].expand(*ids.shape, -1),
        "you multiplied the two vectors; add them": (
            lambda ids, wte, wpe: wte[ids] * wpe[: ids.size(1)]
        ),
        "you put the two vectors behind each other; add them": (
            lambda ids, wte, wpe: torch.cat(
                [wte[ids], wpe[: ids.size(1)].expand(*ids.shape, -1)], dim=-1
            )
        ),
        "you counted the places from 1; the first is place 0": (
            lambda ids, wte, wpe: wte[ids] + wpe[1 : ids.size(1) + 1]
        ),
        "you took the last rows of wpe; the places begin with row 0": (
            lambda ids, wte, wpe: wte[ids] + wpe[-ids.size(1) :]
        ),
        "you counted the places on from text to text; each text begins at place 0": (
            lambda ids, wte, wpe: (
                wte[ids] + wpe[torch.arange(ids.numel()).view(ids.shape) % len(wpe)]
            )
        ),
        "all positions got the vector of place 0": lambda ids, wte, wpe: wte[ids] + wpe[0],
        "all positions of a text got one place; each has a place of its own": (
            lambda ids, wte, wpe: wte[ids] + wpe[torch.arange(len(ids)) % len(wpe)][:, None]
        ),
        "you took the mean of the two vectors; add them": (
            lambda ids, wte, wpe: (wte[ids] + wpe[: ids.size(1)]) / 2
        ),
    },
)
def check_embed(student: Callable, rng: random.Random) -> None:
    for B, T, V, n_positions, d in SIZES:
        ids = draw_ids(rng, B, T, V)
        wte, wpe = tables(rng, V, n_positions, d)
        want = torch.stack(
            [torch.stack([wte[int(i)] + wpe[t] for t, i in enumerate(row)]) for row in ids]
        )
        expect(student(ids, wte, wpe), want, f"embed(ids, wte, wpe) with ids {(B, T)}")


# --- forward --------------------------------------------------------------------------------------


def some_blocks(rng: random.Random, n: int, d: int) -> list[Callable[[Tensor], Tensor]]:
    """Blocks of which no two do the same, and which must not be exchanged."""

    def block(turn: Tensor) -> Callable[[Tensor], Tensor]:
        return lambda x: x + torch.tanh(x @ turn)

    return [block(normal(rng, d, d)) for _ in range(n)]


def last_norm(x: Tensor) -> Tensor:
    return F.layer_norm(x, x.shape[-1:])


def run(x: Tensor, parts: Sequence[Callable[[Tensor], Tensor]]) -> Tensor:
    for part in parts:
        x = part(x)
    return x


def by_parts(
    ids: Tensor,
    wte: Tensor,
    wpe: Tensor,
    blocks: list[Callable[[Tensor], Tensor]],
    ln_f: Callable[[Tensor], Tensor],
    *,
    start: Callable = building.embed,
    order: Callable = lambda blocks, ln_f: [*blocks, ln_f],
    head: Callable = lambda x, wte: x @ wte.T,
) -> Tensor:
    """GPT-2, put together from its parts, of which a mistake turns one."""
    return head(run(start(ids, wte, wpe), order(blocks, ln_f)), wte)


@EXERCISES.add(
    building.forward,
    difficulty=2,
    minutes=8,
    sizes=False,
    hints=[
        "Three steps: the first vectors (your embed), the blocks one after the other, and a score for each token.",
        "Each block takes what the block before it returned. After the last one comes ln_f.",
        "x has (B, T, d_model) and wte (V, d_model): x @ wte.T has a dot product for each token, (B, T, V).",
    ],
    mistakes={
        "you left out the blocks": partial(by_parts, order=lambda blocks, ln_f: [ln_f]),
        "you ran the blocks from the last to the first": partial(
            by_parts, order=lambda blocks, ln_f: [*blocks[::-1], ln_f]
        ),
        "only the first block ran; run all of them": partial(
            by_parts, order=lambda blocks, ln_f: [blocks[0], ln_f]
        ),
        "the last block did not run": partial(
            by_parts, order=lambda blocks, ln_f: [*blocks[:-1], ln_f]
        ),
        "each block got the first vectors; give it what the block before it returned": partial(
            by_parts, order=lambda blocks, ln_f: [blocks[-1], ln_f]
        ),
        "you added what a block returns; a block adds by itself": partial(
            by_parts,
            order=lambda blocks, ln_f: [*(lambda x, b=b: x + b(x) for b in blocks), ln_f],
        ),
        "you left out ln_f, the last LayerNorm": partial(
            by_parts, order=lambda blocks, ln_f: blocks
        ),
        "ln_f ran before the blocks; it comes once, after the last": partial(
            by_parts, order=lambda blocks, ln_f: [ln_f, *blocks]
        ),
        "ln_f ran after each block; it comes once, after the last": partial(
            by_parts, order=lambda blocks, ln_f: [part for b in blocks for part in (b, ln_f)]
        ),
        "you returned the vectors; score them with the rows of wte": partial(
            by_parts, head=lambda x, wte: x
        ),
        "you returned probabilities; return the scores": partial(
            by_parts, head=lambda x, wte: (x @ wte.T).softmax(-1)
        ),
        "you left out the places; begin with embed(ids, wte, wpe)": partial(
            by_parts, start=lambda ids, wte, wpe: wte[ids]
        ),
        "only the last position was scored; score all": partial(
            by_parts, head=lambda x, wte: (x @ wte.T)[:, -1:]
        ),
        "you multiplied with wte; the rows are the tokens, so turn it: wte.T": partial(
            by_parts, head=lambda x, wte: x @ wte
        ),
    },
)
def check_forward(student: Callable, rng: random.Random) -> None:
    for (B, T, V, n_positions, d), n_layer in zip(SIZES[:3], (3, 2, 4), strict=True):
        d = max(d, 3)
        ids = draw_ids(rng, B, T, V)
        wte, wpe = tables(rng, V, n_positions, d)
        blocks = some_blocks(rng, n_layer, d)
        x = torch.stack([wte[row] + wpe[: len(row)] for row in ids])
        want = torch.einsum("btd,vd->btv", last_norm(run(x, blocks)), wte)
        call = f"forward(ids, …) with ids {(B, T)} and {n_layer} blocks"
        expect(student(ids, wte, wpe, blocks, last_norm), want, call)


# --- next_token_loss ------------------------------------------------------------------------------


def mean_loss(logits: Tensor, targets: Tensor, **how: str) -> Tensor:
    return F.cross_entropy(logits.flatten(0, 1), targets.flatten(), **how)


@EXERCISES.add(
    building.next_token_loss,
    difficulty=2,
    minutes=6,
    hints=[
        "What the model said after position t is judged by the token at position t + 1. Which positions have a judge?",
        "Take logits[:, :-1] and ids[:, 1:]. F.cross_entropy wants (positions, V) and (positions,): flatten texts and "
        "positions into one dimension.",
        "F.cross_entropy(said.flatten(0, 1), targets.flatten()) takes the softmax, the logarithm, the minus and the mean.",
    ],
    mistakes={
        "you compared with the token that was just read; compare with the next one": (
            lambda logits, ids: mean_loss(logits, ids)
        ),
        "you shifted the wrong way: what was said at t is judged by the token at t + 1": (
            lambda logits, ids: mean_loss(logits[:, 1:], ids[:, :-1])
        ),
        "the last position was judged by the first token of the text; it has no next token": (
            lambda logits, ids: mean_loss(logits, ids.roll(-1, dims=1))
        ),
        "you added up; take the mean": (
            lambda logits, ids: mean_loss(logits[:, :-1], ids[:, 1:], reduction="sum")
        ),
        "you divided by the number of texts only; take the mean over all positions": (
            lambda logits, ids: mean_loss(logits[:, :-1], ids[:, 1:], reduction="sum") / ids.size(0)
        ),
        "you divided by T; only T - 1 positions of each text count": (
            lambda logits, ids: mean_loss(logits[:, :-1], ids[:, 1:], reduction="sum") / ids.numel()
        ),
        "the sign is wrong: the loss is minus the logarithm": (
            lambda logits, ids: -building.next_token_loss(logits, ids)
        ),
        "these are bits; give nats, with the natural logarithm": (
            lambda logits, ids: building.next_token_loss(logits, ids) / math.log(2)
        ),
        "you took the scores for logarithms of probabilities; they need a log_softmax first": (
            lambda logits, ids: -logits[:, :-1].gather(-1, ids[:, 1:, None]).mean()
        ),
        "the softmax was taken twice: F.cross_entropy takes one by itself": (
            lambda logits, ids: building.next_token_loss(logits.softmax(-1), ids)
        ),
        "you gave the perplexity; the loss is its logarithm": (
            lambda logits, ids: building.next_token_loss(logits, ids).exp()
        ),
        "you averaged probabilities and then took the logarithm; take the mean of the logarithms": (
            lambda logits, ids: (
                -logits.softmax(-1)[:, :-1].gather(-1, ids[:, 1:, None]).mean().log()
            )
        ),
        "only the last token was judged; judge each token that has one before it": (
            lambda logits, ids: mean_loss(logits[:, -2:-1], ids[:, -1:])
        ),
        "one number for each text; take the mean over all": (
            lambda logits, ids: torch.stack(
                [F.cross_entropy(said[:-1], row[1:]) for said, row in zip(logits, ids, strict=True)]
            )
        ),
        "one number for each position; take the mean over all": (
            lambda logits, ids: mean_loss(logits[:, :-1], ids[:, 1:], reduction="none")
        ),
        "the probability of a token as small as exp(-1000) is 0, and its logarithm infinite: use log_softmax": (
            lambda logits, ids: (
                -logits.softmax(-1)[:, :-1].gather(-1, ids[:, 1:, None]).log().mean()
            )
        ),
    },
)
def check_next_token_loss(student: Callable, rng: random.Random) -> None:
    for B, T, V in ((2, 5, 7), (3, 4, 4), (1, 2, 3), (4, 9, 6)):
        ids = torch.tensor([[rng.randrange(V) for _ in range(T)] for _ in range(B)])
        for scale in (2.0, 400.0):
            logits = scale * normal(rng, B, T, V)
            nats = [
                -float(logits[b, t].double().log_softmax(-1)[ids[b, t + 1]])
                for b in range(B)
                for t in range(T - 1)
            ]
            want = torch.tensor(sum(nats) / len(nats), dtype=torch.float32)
            call = f"next_token_loss(logits {(B, T, V)}, ids {(B, T)})"
            expect(student(logits, ids), want, call)


# --- clip_gradients -------------------------------------------------------------------------------


def length(gradients: Sequence[Tensor]) -> float:
    return math.sqrt(math.fsum(x * x for g in gradients for x in g.flatten().tolist()))


def factor(norm: float, most: float) -> float:
    """By what a step of this length is shrunk."""
    return min(1.0, most / norm) if norm > 0 else 1.0


@EXERCISES.add(
    building.clip_gradients,
    difficulty=2,
    minutes=5,
    gradients=False,  # nobody trains through the gradients of a step
    hints=[
        "How long is the step? All numbers of all tensors together are one long vector: the root of the sum of all squares.",
        "One factor for all tensors keeps the direction. It is most / norm where the norm is larger than most, and 1 otherwise.",
        "factor = min(1.0, most / norm); then [factor * g for g in gradients]. Mind a norm of 0.",
    ],
    mistakes={
        "you shrank each tensor by its own norm; the norm is that of all numbers together": (
            lambda gradients, most: [g * factor(length([g]), most) for g in gradients]
        ),
        "you cut single numbers, which turns the direction; shrink all by one factor": (
            lambda gradients, most: [g.clamp(-most, most) for g in gradients]
        ),
        "a step that is short enough was made longer; leave it as it is": (
            lambda gradients, most: [g * (most / (length(gradients) or most)) for g in gradients]
        ),
        "the norm is the root of the sum of squares; you left out the root": (
            lambda gradients, most: [g * factor(length(gradients) ** 2, most) for g in gradients]
        ),
        "you added up absolute values; the norm is the root of the sum of squares": (
            lambda gradients, most: [
                g * factor(sum(float(x.abs().sum()) for x in gradients), most) for g in gradients
            ]
        ),
        "you took the largest number for the norm; it is the root of the sum of squares": (
            lambda gradients, most: [
                g * factor(max(float(x.abs().max()) for x in gradients), most) for g in gradients
            ]
        ),
        "you added up the norms of the tensors; take the root of the sum of all squares": (
            lambda gradients, most: [
                g * factor(sum(length([x]) for x in gradients), most) for g in gradients
            ]
        ),
        "you multiplied by most; the factor is most / norm": (
            lambda gradients, most: [
                g * (most if length(gradients) > most else 1.0) for g in gradients
            ]
        ),
        "you divided by the norm, so that the new norm is 1; it should be most": (
            lambda gradients, most: [
                g / length(gradients) if length(gradients) > most else g for g in gradients
            ]
        ),
        "nothing was shrunk": lambda gradients, most: [g * 1 for g in gradients],
        "you divided by a norm of 0; where there is no step, there is nothing to shrink": (
            lambda gradients, most: [
                g * (factor(length(gradients), most) if length(gradients) else math.nan)
                for g in gradients
            ]
        ),
    },
)
def check_clip_gradients(student: Callable, rng: random.Random) -> None:
    for shapes in (((3, 2), (4,)), ((2,), (2, 3), (1, 2, 2)), ((5,),)):
        gradients = [normal(rng, *shape) * rng.uniform(0.5, 2) for shape in shapes]
        norm = length(gradients)
        for most in (norm * rng.uniform(0.2, 0.8), norm * rng.uniform(1.2, 3), 0.3 * norm):
            want = [g * min(1.0, most / norm) for g in gradients]
            call = f"clip_gradients({len(shapes)} tensors of norm {norm:.2f}, most={most:.2f})"
            expect(student([g.clone() for g in gradients], most), want, call)
    for shape in ((2, 3), (4,)):
        still = [torch.zeros(shape), torch.zeros(4)]
        call = "clip_gradients(all zeros, most=1.0)"
        expect(student([g.clone() for g in still], 1.0), still, call)


# --- learning_rate --------------------------------------------------------------------------------


def fall(done: float, final: float) -> float:
    """The share of the rate that is left when this share of the way down is done."""
    return final + (1 - final) * (1 + math.cos(math.pi * done)) / 2


def by_share(
    step: int,
    steps: int,
    lr: float,
    warmup: float = 0.1,
    final: float = 0.1,
    *,
    rise: Callable[[int, int], float] = lambda step, warm: (step + 1) / warm,
    left: Callable[[float, float], float] = fall,
    last: int = 1,
) -> float:
    """The rate, put together from its parts, of which a mistake turns one."""
    warm = round(warmup * steps)
    if step < warm:
        return lr * rise(step, warm)
    return lr * left((step - warm) / max(1, steps - last - warm), final)


@EXERCISES.add(
    learning_rate,
    difficulty=2,
    minutes=7,
    sizes=False,
    gradients=False,  # a number, not a tensor
    hints=[
        "Two parts. warm = round(warmup * steps) steps go up: the first of them has lr / warm, the last one lr.",
        "After them, the share of the way down is done = (step - warm) / (steps - 1 - warm): 0 at first, 1 at the last step.",
        "(1 + math.cos(math.pi * done)) / 2 falls from 1 to 0 along a cosine; let it go from lr to final * lr. Where only "
        "one step is left, do not divide by 0.",
    ],
    mistakes={
        "there is no warm-up": (
            lambda step, steps, lr, warmup=0.1, final=0.1: (
                lr * fall(step / max(1, steps - 1), final)
            )
        ),
        "the first step has the rate 0, so it is lost; begin with lr / warm": partial(
            by_share, rise=lambda step, warm: step / warm
        ),
        "it falls along a straight line; let it fall along a cosine": partial(
            by_share, left=lambda done, final: 1 - (1 - final) * done
        ),
        "it falls to 0; the last rate is final * lr": partial(
            by_share, left=lambda done, final: fall(done, 0.0)
        ),
        "the last step does not reach final * lr; the steps count from 0 to steps - 1": partial(
            by_share, last=0
        ),
        "1 + cos goes from 2 to 0; halve it": partial(
            by_share, left=lambda done, final: 2 * fall(done, final) - final
        ),
        "final is added to the whole cosine, so that it begins above lr; fall from lr to final * lr": partial(
            by_share, left=lambda done, final: final + fall(done, 0.0)
        ),
        "the cosine began at the first step; it begins after the warm-up": (
            lambda step, steps, lr, warmup=0.1, final=0.1: (
                by_share(step, steps, lr, warmup, final)
                if step < round(warmup * steps)
                else lr * fall(step / max(1, steps - 1), final)
            )
        ),
        "the rate is the share alone; multiply it by lr": (
            lambda step, steps, lr, warmup=0.1, final=0.1: by_share(step, steps, 1.0, warmup, final)
        ),
        "warmup is a share of the steps, not their number": (
            lambda step, steps, lr, warmup=0.1, final=0.1: (
                lr * (step + 1) / warmup
                if step < warmup
                else lr * fall((step - warmup) / max(1, steps - 1 - warmup), final)
            )
        ),
    },
)
def check_learning_rate(student: Callable, rng: random.Random) -> None:
    for steps, warmup in ((20, 0.2), (11, 0.0), (50, 0.1), (30, 0.3)):
        lr = rng.uniform(1e-3, 0.5)
        final = rng.uniform(0.05, 0.4)
        warm = round(warmup * steps)
        ups = [lr * (n + 1) / warm for n in range(warm)]
        angles = [math.pi * n / (steps - 1 - warm) for n in range(steps - warm)]
        downs = [lr * ((1 + final) / 2 + (1 - final) / 2 * math.cos(a)) for a in angles]
        for step, want in enumerate([*ups, *downs]):
            call = (
                f"learning_rate({step}, {steps}, lr={lr:.3g}, warmup={warmup}, final={final:.3g})"
            )
            expect(student(step, steps, lr, warmup, final), want, call)
    expect(student(0, 1, 0.5, 0.0, 0.1), 0.5, "learning_rate(0, 1, lr=0.5, warmup=0.0, final=0.1)")


# --- generate -------------------------------------------------------------------------------------


def counting(ids: Tensor, V: int) -> Tensor:
    """Surely the sum of all that it was shown up to there, so it needs the whole text."""
    return 200.0 * F.one_hot(ids.cumsum(1) % V, V).float()  # (B, T, V)


def written(
    prompt: Tensor,
    n_new: int,
    shown: Callable[[Tensor], Tensor],
    V: int,
    place: int = -1,
    joined: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]] = lambda ids, token: (ids, token),
) -> Tensor:
    """The text of the counting model where it is shown a part of the text and read at a place, and
    where the new token is joined to the text in this order.
    """
    ids = prompt
    for _ in range(n_new):
        token = counting(shown(ids), V)[:, place].argmax(-1, keepdim=True)
        ids = torch.cat(joined(ids, token), dim=1)
    return ids


def _check_text(student: Callable, rng: random.Random) -> None:
    for B, T, n_new, room in (
        (2, 3, 4, 20),
        (1, 2, 6, 5),
        (3, 6, 3, 4),
        (2, 4, 1, 4),
        (2, 3, 0, 9),
    ):
        V = rng.randint(5, 9)
        prompt = torch.tensor([[rng.randrange(1, V) for _ in range(T)] for _ in range(B)])
        shown: list[int] = []

        def model(ids: Tensor) -> Tensor:
            shown.append(ids.size(1))  # noqa: B023
            return counting(ids, V)  # noqa: B023

        call = f"generate(model, ids {(B, T)}, n_new={n_new}, n_positions={room}, generator)"
        got = student(model, prompt, n_new, room, dice(rng.randrange(1000)))
        if shown and max(shown) > room:
            raise Wrong(
                f"{call}: the model was shown {max(shown)} tokens, and it can read {room}: show it the last ones"
            )

        def last(ids: Tensor) -> Tensor:
            return ids[:, -room:]  # noqa: B023

        want = written(prompt, n_new, last, V)
        mistakes = {
            "you showed the first n_positions tokens; show the last ones": written(prompt, n_new, lambda ids: ids[:, :room], V),  # noqa: B023
            "you showed only the last token; show the whole text, up to n_positions tokens": written(prompt, n_new, lambda ids: ids[:, -1:], V),
            "you showed only the prompt; show what was written, too": written(prompt, n_new, lambda ids: last(ids[:, :T]), V),  # noqa: B023
            "you returned only what is new; return the whole text": want[:, T:],
            "the new token was put in front; append it": written(prompt, n_new, last, V, joined=lambda ids, token: (token, ids)),
            "one token too many": written(prompt, n_new + 1, last, V),
            "one token too few": want[:, :-1],
            "nothing was written": prompt,
            "you read what the model said at the first position; take the last": written(prompt, n_new, last, V, place=0),
        }  # fmt: skip
        expect(got, want, call, mistakes={s: x for s, x in mistakes.items() if n_new})


def _check_draws(student: Callable, rng: random.Random) -> None:
    logits = torch.tensor([3.0, 1.0, 0.5])
    share = logits.softmax(-1).tolist()  # 0.82, 0.11, 0.07

    def model(ids: Tensor) -> Tensor:
        return logits.expand(*ids.shape, -1)

    prompt = torch.zeros(40, 1, dtype=torch.long)
    call = "generate(model, …), where the model says the same at each position"
    seed = rng.randrange(1000)
    came = student(model, prompt, 50, 99, dice(seed))[:, 1:]  # (40, 50)
    torch.rand(1 + rng.randrange(3))  # whoever draws from the global source gets other numbers now
    again = student(model, prompt, 50, 99, dice(seed))[:, 1:]
    if not torch.equal(came, again):
        raise Wrong(
            f"{call}: the same seed gives another text; draw with the generator that you are given"
        )
    if torch.equal(came, student(model, prompt, 50, 99, dice(seed + 1))[:, 1:]):
        most_likely = bool((came == 0).all())
        raise Wrong(
            f"{call}: "
            + (
                "you always took the most likely token; draw one, with the probabilities of softmax"
                if most_likely
                else "another seed gives the same text; draw with the generator that you are given"
            )
        )
    if bool((came == came[:1]).all()):
        raise Wrong(f"{call}: all texts got the same tokens; draw for each text by itself")
    shares = {
        f"{call}: all tokens came equally often; draw with the probabilities of softmax": 1 / 3,
        f"{call}: you drew in proportion to the scores; take their softmax first": 3 / 4.5,
    }
    _check_share(call, came, 0, share[0], shares)
    _check_share(call, came, 1, share[1])
    _check_share(call, came, 2, share[2])
    _check_share(call, came[:, 0], 0, share[0])


def _check_share(
    call: str, came: Tensor, token: int, share: float, mistakes: dict[str, float] | None = None
) -> None:
    n = came.numel()
    count = int((came == token).sum())
    said = f"{call}: token {token} came {count} times in {n}, its probability is {share:.2f}"
    must_have_share(count, n, share, said, mistakes)


@EXERCISES.add(
    building.generate,
    difficulty=2,
    minutes=8,
    sizes=False,
    gradients=False,  # nobody trains through a choice of tokens
    hints=[
        "A loop: show the model the text, look at the last position, draw one token for each text, append it.",
        "model(ids[:, -n_positions:])[:, -1] are the scores for the next token, (B, V). softmax makes probabilities of them.",
        "torch.multinomial(p, 1, generator=generator) draws (B, 1); torch.cat([ids, drawn], dim=1) appends.",
    ],
)
def check_generate(student: Callable, rng: random.Random) -> None:
    _check_text(student, rng)
    _check_draws(student, rng)


# --- seconds_per_call -----------------------------------------------------------------------------


class Queue:
    """A processor that works through a queue while its own clock goes on: no machine's speed is in
    it.
    """

    def __init__(self, cost: float, first: float, order: float = 1e-3):
        self.cost = cost
        self.first = first  # what the first call takes more
        self.order = order
        self.now = self.empty = 0.0

    def work(self) -> None:
        self.now += self.order
        self.empty = max(self.empty, self.now) + self.cost + self.first
        self.first = 0.0

    def wait(self) -> None:
        self.now = max(self.now, self.empty)

    def clock(self) -> float:
        return self.now

    def parts(self) -> tuple[Callable, Callable, Callable]:
        """work, wait and clock as functions, which nobody copies along with the queue."""
        return lambda: self.work(), lambda: self.wait(), lambda: self.clock()


def _timed(queue: Queue, repeats: int, order: str) -> float:
    """Seconds of a sloppy timer: w warms up, _ waits, [ and ] read the clock, = orders the work."""
    begun = ended = 0.0
    for step in order:
        if step == "w":
            queue.work()
        elif step == "_":
            queue.wait()
        elif step == "[":
            begun = queue.clock()
        elif step == "]":
            ended = queue.clock()
        else:
            for _ in range(repeats):
                queue.work()
    return ended - begun


@EXERCISES.add(
    building.seconds_per_call,
    difficulty=2,
    minutes=8,
    hints=[
        "Write down what is in the queue at the moment when you read the clock. It must be empty, both times.",
        "Before the first reading: work() once, so that it is prepared, and wait(). After the repeats: wait() again.",
        "begun = clock(), the loop, wait(), then (clock() - begun) / repeats.",
    ],
)
def check_seconds_per_call(student: Callable, rng: random.Random) -> None:
    for repeats in (5, 1, 8):
        cost = rng.uniform(2, 5)
        first = rng.uniform(20, 40)
        sloppy = {
            "the clock was read when the work was only ordered; wait() before you read it again": ("w_[=]", repeats),
            "the first call, which prepares, is in your time; call work() once before you begin": ("[=_]", repeats),
            "the call that prepares is in your time; wait() after it, and read the clock then": ("[w_=_]", repeats),
            "divide by repeats: how long does one call take?": ("w_[=_]", 1),
            "you divided by repeats + 1; the call that prepares does not count": ("w_[=_]", repeats + 1),
        }  # fmt: skip
        right = _timed(Queue(cost, first), repeats, "w_[=_]") / repeats
        mistakes = {
            sentence: _timed(Queue(cost, first), repeats, steps) / by
            for sentence, (steps, by) in sloppy.items()
        }
        queue = Queue(cost, first)
        call = f"seconds_per_call(…, repeats={repeats}) of a call that takes {cost:.2f} s"
        expect(
            student(*queue.parts(), repeats),
            right,
            call,
            mistakes={s: x for s, x in mistakes.items() if abs(x - right) > 0.1},
            tol=5e-3,
        )
