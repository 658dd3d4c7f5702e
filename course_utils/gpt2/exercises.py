"""Exercises of lesson 04. The right values come from counting real tensors, from torch's FLOP
counter and from transformers.
"""

import random
from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
)

from course_utils.checking import Exercises, Wrong, expect
from course_utils.checking.inputs import normal
from course_utils.gpt2 import model as gpt2

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
