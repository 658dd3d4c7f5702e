"""Wrong answers to the exercises of lesson 04: mistakes that people make. Every checker must reject
every one.
"""

from answers import WrongAnswers

wrong = WrongAnswers()


# --- convert_weights ------------------------------------------------------------------------------

MASKS = (".attn.bias", ".attn.masked_bias")


TURNED = ("c_attn.weight", "c_proj.weight", "c_fc.weight")


def plain_name(name):
    return name.removeprefix("transformer.")


@wrong("convert_weights", says="It is not transposed: Conv1D keeps (in, out)")
def convert_names_only(state):
    """Transposes nothing."""
    return {plain_name(n): x for n, x in state.items() if not n.endswith(MASKS)}


@wrong("convert_weights", says="It is transposed, but is no Conv1D")
def convert_all_matrices(state):
    """Transposes embeddings and head, too."""
    return {
        plain_name(n): x.t() if x.ndim == 2 else x
        for n, x in state.items()
        if not n.endswith(MASKS)
    }


@wrong(
    "convert_weights",
    says="has the right shape because it is square, but its values must be transposed, too.",
)
def convert_by_shape(state):
    """Leaves square matrices as they are: no error, and a model that talks nonsense."""
    return {
        plain_name(n): x.t() if n.endswith(TURNED) and x.size(0) != x.size(1) else x
        for n, x in state.items()
        if not n.endswith(MASKS)
    }


@wrong(
    "convert_weights",
    says="has the right shape because it is square, but its values must be transposed, too.",
)
def convert_no_projection(state):
    """Forgets c_proj."""
    return {
        plain_name(n): x.t() if n.endswith(("c_attn.weight", "c_fc.weight")) else x
        for n, x in state.items()
        if not n.endswith(MASKS)
    }


@wrong("convert_weights", says="It is not transposed: Conv1D keeps (in, out)")
def convert_attention_only(state):
    return {
        plain_name(n): x.t() if ".attn." in n and n.endswith(TURNED) else x
        for n, x in state.items()
        if not n.endswith(MASKS)
    }


@wrong("convert_weights", says="is the stored causal mask, not a weight: leave it out.")
def convert_keeps_masks(state):
    """Right for today's state_dict(), wrong for the published file."""
    return {plain_name(n): x.t() if n.endswith(TURNED) else x for n, x in state.items()}


@wrong("convert_weights", says='still begins with "transformer.": our names do not.')
def convert_keeps_prefix(state):
    return {
        n: x.t() if n.endswith(TURNED) else x for n, x in state.items() if not n.endswith(MASKS)
    }


@wrong("convert_weights", says='It is learned, and no mask: a mask ends with ".attn.bias" or')
def convert_drops_biases(state):
    """`.bias` finds masks and biases."""
    return {
        plain_name(n): x.t() if n.endswith(TURNED) else x
        for n, x in state.items()
        if not n.endswith("bias")
    }


@wrong(
    "convert_weights",
    says='as a mask does, but is learned: a mask ends with ".attn.bias", with a dot',
)
def convert_drops_attention_biases(state):
    """ "attn.bias" without its dot also finds c_attn.bias."""
    return {
        plain_name(n): x.t() if n.endswith(TURNED) else x
        for n, x in state.items()
        if not n.endswith(("attn.bias", "masked_bias"))
    }


@wrong(
    "convert_weights",
    says="its values are in the old order: reshape and view only cut the rows anew",
)
def convert_reshapes(state):
    """reshape instead of a transpose: right shapes, shuffled values."""
    return {
        plain_name(n): x.reshape(x.shape[::-1]) if n.endswith(TURNED) else x
        for n, x in state.items()
        if not n.endswith(MASKS)
    }


@wrong("convert_weights", says="is turned by a quarter, as rot90 does")
def convert_flips(state):
    return {
        plain_name(n): x.t().flip(0) if n.endswith(TURNED) else x
        for n, x in state.items()
        if not n.endswith(MASKS)
    }


@wrong(
    "convert_weights", says="where the head is not tied to the embedding, it has weights of its own"
)
def convert_drops_head(state):
    """Leaves the head out: right as long as it is tied."""
    return {
        plain_name(n): x.t() if n.endswith(TURNED) else x
        for n, x in state.items()
        if not n.endswith(MASKS) and "lm_head" not in n
    }


@wrong(
    "convert_weights",
    says='In this file its name has no "transformer." in front: keep such names as they are',
)
def convert_drops_short(state):
    """Skips names without the prefix: the published file has none."""
    return {
        plain_name(n): x.t() if n.endswith(TURNED) else x
        for n, x in state.items()
        if n.startswith(("transformer.", "lm_head")) and not n.endswith(MASKS)
    }


@wrong("convert_weights", says="is missing. It is a weight: keep it")
def convert_blocks_only(state):
    """Only what is in the blocks: no embeddings, no last LayerNorm."""
    return {
        plain_name(n): x.t() if n.endswith(TURNED) else x
        for n, x in state.items()
        if ".h." in n and not n.endswith(MASKS)
    }
