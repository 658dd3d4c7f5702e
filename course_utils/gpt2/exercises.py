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
                name_checks(got, want, call)
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
            turned = (
                "is not transposed: Conv1D keeps (in, out)"
                if ".c_" in name
                else "is transposed, but is no Conv1D"
            )
            raise Wrong(
                f"{call}: {name} is {tuple(got[name].shape)} and should be {tuple(x.shape)}. It {turned}."
            )
        if x.size(0) == x.size(1) and not torch.equal(x, x.mT) and torch.equal(got[name], x.mT):
            raise Wrong(
                f"{call}: {name} has the right shape because it is square, but its values must be transposed, too."
            )
