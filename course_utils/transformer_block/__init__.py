"""The block of GPT-2 and the ladder of models that leads to it: lesson 03."""

from course_utils.transformer_block.block import (
    MLP,
    Block,
    LayerNorm,
    Part,
    TransformerConfig,
    deaf_block,
    dropout,
    feed_forward,
    frozen_layer_norm,
    gelu,
    gelu_tanh,
    layer_norm,
    pre_norm_block,
    rotary,
    sinusoidal_positions,
)
from course_utils.transformer_block.transformer import (
    Transformer,
    architecture_mask,
    init_weights,
    ladder,
    logit_contributions,
    residual_writes,
)

__all__ = [
    "Block",
    "LayerNorm",
    "MLP",
    "Part",
    "Transformer",
    "TransformerConfig",
    "architecture_mask",
    "deaf_block",
    "dropout",
    "feed_forward",
    "frozen_layer_norm",
    "gelu",
    "gelu_tanh",
    "init_weights",
    "ladder",
    "layer_norm",
    "logit_contributions",
    "pre_norm_block",
    "residual_writes",
    "rotary",
    "sinusoidal_positions",
]

LESSON = "03"
