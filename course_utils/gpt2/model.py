"""GPT-2, as lesson 04 puts it together: Model 5 of the ladder with OpenAI's names, sizes and
weights.

Shapes: B sequences, T positions, V tokens in the vocabulary. Weights are read from safetensors
only.
Source: Radford et al. 2019, "Language Models are Unsupervised Multitask Learners", section 2.3 and
table 2.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from course_utils.attention.heads import KVCache
from course_utils.stories.english import hub_file
from course_utils.transformer_block.block import Block, TransformerConfig
from course_utils.transformer_block.transformer import Transformer

if TYPE_CHECKING:
    from transformers import GPT2LMHeadModel

# n_layer, n_head, n_embd
SIZES = {
    "gpt2": (12, 12, 768),
    "gpt2-medium": (24, 16, 1024),
    "gpt2-large": (36, 20, 1280),
    "gpt2-xl": (48, 25, 1600),
}
# Commits of the hub's repositories: a name alone may stand for other weights tomorrow.
REVISIONS = {
    "gpt2": "607a30d783dfa663caf39e06633721c8d4cfcd7e",
    "gpt2-medium": "6dcaa7a952f72f9298047fd5137cd6e4f05f41da",
    "gpt2-large": "32b71b12589c2f8d625668d2335a01cac3249519",
    "gpt2-xl": "15ea56dee5df4983c59b2538573817e1667135e2",
}


@dataclass(frozen=True)
class GPTConfig(TransformerConfig):
    """The sizes of a GPT-2, with the field names of transformers' GPT2Config; the default is GPT-2
    small.

    Raises: ValueError which names the field that does not fit.

    >>> GPTConfig(n_layer=2, n_head=2, n_embd=64, vocab_size=100, n_positions=32).n_embd
    64
    """

    @classmethod
    def preset(cls, name: str, **changes) -> GPTConfig:
        """The configuration of a published size, with some fields changed: "gpt2", or gpt2-medium,
        -large, -xl.

        Raises: ValueError for another name. Source: Radford et al. 2019, table 2 (with 25 heads for
        the largest).

        >>> GPTConfig.preset("gpt2-xl").n_layer, GPTConfig.preset("gpt2-xl", n_layer=1).n_embd
        (48, 1600)
        """
        if name not in SIZES:
            raise ValueError(f"there is no preset {name!r}: choose one of {', '.join(SIZES)}")
        n_layer, n_head, n_embd = SIZES[name]
        return cls(**{"n_layer": n_layer, "n_head": n_head, "n_embd": n_embd} | changes)


def convert_weights(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rename and turn the tensors of transformers' GPT-2, so that they fit into `GPT`.

    "transformer." is left out of the names, and so are the stored causal masks, "….attn.bias" and
    "….attn.masked_bias". OpenAI's Conv1D keeps its matrices as (in, out), nn.Linear as (out, in):
    the "….weight" of every c_attn, c_proj and c_fc is transposed. Source: transformers,
    GPT2LMHeadModel.

    >>> state = {"transformer.h.0.mlp.c_fc.weight": torch.zeros(2, 8)}
    >>> {name: tuple(x.shape) for name, x in convert_weights(state).items()}
    {'h.0.mlp.c_fc.weight': (8, 2)}
    """
    ours = {}
    for name, x in state.items():
        name = name.removeprefix("transformer.")
        if not name.endswith((".attn.bias", ".attn.masked_bias")):
            ours[name] = (
                x.t() if name.endswith(("c_attn.weight", "c_proj.weight", "c_fc.weight")) else x
            )
    return ours


class Cache(KVCache):
    """A `KVCache` with room for n positions from the start: a new token is written in place,
    nothing is copied.

    Shapes: keys and values (B, H, S, d), S = len(cache) <= n_positions. Raises: ValueError where
    the room is used up.

    >>> cache = Cache(n_positions=8)
    >>> keys, values = cache.append(torch.zeros(1, 2, 5, 4), torch.zeros(1, 2, 5, 4))
    >>> keys, values = cache.append(torch.ones(1, 2, 1, 4), torch.ones(1, 2, 1, 4))
    >>> len(cache), tuple(keys.shape), keys[0, 0, :, 0].tolist()
    (6, (1, 2, 6, 4), [0.0, 0.0, 0.0, 0.0, 0.0, 1.0])
    """

    def __init__(self, n_positions: int) -> None:
        super().__init__()
        self.n_positions = n_positions
        self.room = None

    def append(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Write the new positions behind the others and return all; ValueError for another batch or
        no room.
        """
        B, H, T, d = keys.shape
        S = len(self)
        if S + T > self.n_positions:
            raise ValueError(
                f"{S + T} positions, but the cache has room for {self.n_positions}: make a larger one"
            )
        # Only the first keys say how many rows, heads and features there are, in which format, on
        # which device.
        if self.room is None:
            self.room = keys.new_empty(2, B, H, self.n_positions, d)  # keys and values
        elif self.room.shape[1:3] + self.room.shape[4:] != (B, H, d):
            raise ValueError(
                f"the cache holds {tuple(self.keys.shape)}, which {tuple(keys.shape)} cannot continue: "
                "use a fresh cache for each layer and each batch"
            )
        self.room[0, :, :, S : S + T] = keys
        self.room[1, :, :, S : S + T] = values
        self.keys, self.values = self.room[:, :, :, : S + T]  # (B, H, S + T, d), views
        return self.keys, self.values


class GPT(Transformer):
    """GPT-2: token and position embeddings, n_layer pre-norm blocks, a last LayerNorm, a head tied
    to the embedding.

    Shapes: ids (B, T), whole numbers -> logits (B, T, V); with `last`, only the last position's,
    (B, 1, V). `model.checkpointing = True` saves memory in training: blocks are computed again on
    the way back.
    Raises: ValueError or TypeError for ids that are not (B, T), too long, too large, or not whole
    numbers.
    Source: Radford et al. 2019, section 2.3; checkpointing: Chen et al. 2016, section 3.

    >>> model = GPT(GPTConfig(n_layer=2, n_head=2, n_embd=8, vocab_size=10, n_positions=8))
    >>> ids = torch.tensor([[3, 1, 4, 1, 5]])
    >>> logits, cache = model(ids), model.cache()
    >>> steps = [model(ids[:, t : t + 1], cache) for t in range(5)]  # the same, one token at a time
    >>> logits.shape, torch.allclose(torch.cat(steps, dim=1), logits, atol=1e-6)
    (torch.Size([1, 5, 10]), True)
    """

    def __init__(self, config: GPTConfig, generator: torch.Generator | None = None) -> None:
        super().__init__(config, generator)
        self.checkpointing = False

    def run_block(
        self, block: Block, x: Tensor, kv_cache: KVCache | None, mask: Tensor | None
    ) -> Tensor:
        """One block of the stack, with `checkpointing` in a way that keeps nothing but its
        input.
        """
        # On the way back the block runs a second time; with a cache it would append its keys and
        # values twice.
        if self.checkpointing and self.training and kv_cache is None:
            return checkpoint(block, x, None, mask, use_reentrant=False)
        return super().run_block(block, x, kv_cache, mask)

    def cache(self, n_positions: int | None = None) -> list[Cache]:
        """One empty cache a layer, with room for n positions (by default as many as the model
        has).
        """
        return [Cache(n_positions or self.config.n_positions) for _ in self.h]

    def set_attention(self, kind: str) -> GPT:
        """Choose how attention is computed, "explicit" (`attention`, as in lesson 02) or "fused"
        (torch's kernel).
        """
        if kind not in ("explicit", "fused"):
            raise ValueError(f'attention {kind!r} is unknown: choose "explicit" or "fused"')
        for block in self.h:
            block.attn.fused = kind == "fused"
        return self

    def _apply(self, fn: Callable, recurse: bool = True) -> GPT:
        """What `.to()`, `.half()` and the like call: moving may make two tensors of one, so tie
        them again.
        """
        super()._apply(fn, recurse)
        return self._tie()

    def _tie(self) -> GPT:
        # One matrix (V, d_model) reads tokens and scores them. In GPT-2 small a second one would
        # add 39 to 124 million.
        if self.config.tie_word_embeddings:
            self.lm_head.weight = self.wte.weight
        return self

    # --- Weights from elsewhere -------------------------------------------------------------------

    @classmethod
    def from_state(cls, config: GPTConfig, state: dict[str, Tensor]) -> GPT:
        """The model with these tensors, named and shaped as its own state_dict(); a tied head may
        be left out.

        Raises: ValueError which names the tensors that are missing, unknown or of another shape.
        """
        # shapes without memory: no random numbers that would be overwritten
        with torch.device("meta"):
            model = cls(config)
        if config.tie_word_embeddings and "wte.weight" in state:
            state = state | {"lm_head.weight": state["wte.weight"]}
        shapes = {name: tuple(x.shape) for name, x in model.state_dict().items()}
        given = {name: tuple(x.shape) for name, x in state.items()}
        if odd := [name for name in {**shapes, **given} if shapes.get(name) != given.get(name)]:
            one = f"{odd[0]} is {given.get(odd[0], 'missing')} and should be {shapes.get(odd[0], 'absent')}"
            raise ValueError(
                f"these weights are not of this model: {len(odd)} tensors differ, the first: {one}. "
                "Give the configuration that the weights were made with"
            )
        # assign: a meta tensor has no memory to copy into, so the given tensors become the weights,
        # each a parameter.
        model.load_state_dict(state, assign=True)
        return model._tie()

    @classmethod
    def from_hf(cls, model: GPT2LMHeadModel) -> GPT:
        """Our model with a copy of the weights of a GPT2LMHeadModel of transformers; its dropout is
        left out.

        Raises: ValueError for a variant of GPT-2 that this model does not have, and for another
        kind of model.
        """
        return cls._from_openai(model.config.to_dict(), model.state_dict())

    @classmethod
    def from_pretrained(
        cls, name: str = "gpt2", revision: str | None = None, timeout: float = 10.0
    ) -> GPT:
        """A published GPT-2 from the Hugging Face hub: a preset's name, or "owner/repository" with
        its revision.

        revision: the full commit hash; for the presets it is known. timeout: seconds to wait for
        the hub.
        Raises: ValueError for an unknown name without a revision, and for one that may move;
        ConnectionError, with what to do, where the hub cannot be reached.
        """
        if revision is None and name not in REVISIONS:
            raise ValueError(
                f"which revision of {name!r}? Give revision=, the full commit hash; it is known "
                f"for {', '.join(REVISIONS)}"
            )
        where = f"openai-community/{name}" if name in SIZES else name
        files = [
            hub_file(where, revision or REVISIONS[name], file, "model", timeout)
            for file in ("config.json", "model.safetensors")
        ]
        return cls._from_openai(
            json.loads(files[0].read_text(encoding="utf-8")), load_file(files[1])
        )

    @classmethod
    def _from_openai(cls, config: dict, state: dict[str, Tensor]) -> GPT:
        if config.get("model_type") != "gpt2":
            raise ValueError(
                f"a GPT-2 is needed, not {config.get('model_type')!r}: its blocks are built differently"
            )
        # Switches of transformers' GPT2Config that change what is computed; published GPT-2s leave
        # them as they are.
        plain = dict(
            scale_attn_weights=True,
            scale_attn_by_inverse_layer_idx=False,
            add_cross_attention=False,
        )
        if odd := {
            key: config[key] for key, value in plain.items() if config.get(key, value) != value
        }:
            raise ValueError(f"this GPT-2 has {odd}, which GPT does not: only {plain} is supported")
        # Dropout was for OpenAI's own training: without these two fields it stays at 0 here.
        names = {field.name for field in fields(GPTConfig)} - {"embd_pdrop", "resid_pdrop"}
        ours = GPTConfig(**{name: config[name] for name in names if name in config})
        return cls.from_state(
            ours,
            {
                name: x.detach().clone(memory_format=torch.contiguous_format)
                for name, x in convert_weights(state).items()
            },
        )

    def save(self, file: str | Path, **notes: str) -> None:
        """Write the weights (a tied head once) and the configuration to a safetensors file, with
        notes of your own.
        """
        # safetensors refuses two names for one memory; named_parameters lists a tied head once, as
        # wte.weight.
        tensors = {name: x.detach().contiguous() for name, x in self.named_parameters()}
        save_file(tensors, Path(file), metadata={"config": json.dumps(asdict(self.config))} | notes)

    @classmethod
    def load(cls, file: str | Path) -> GPT:
        """The model that `save` wrote. Raises: FileNotFoundError; ValueError for a file without a
        configuration.
        """
        with safe_open(file, framework="pt") as stored:
            notes = stored.metadata() or {}
        if "config" not in notes:
            raise ValueError(f"{file} holds no configuration: it was not written by GPT.save")
        return cls.from_state(GPTConfig(**json.loads(notes["config"])), load_file(file))
