"""Reading a transformer from inside, as lesson 14 does: score heads, decode the stream, attribute,
patch.

Shapes: B sequences, T positions, H heads, d features a head, d_model features, V tokens.
Activations are recorded and replaced by `circuits.hooks`, where their names are explained; linear
probes are in `probes.linear`.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from course_utils.circuits.hooks import activations, only, patched
from course_utils.transformer_block.transformer import Transformer, logit_contributions

# --- Scores of attention heads --------------------------------------------------------------------


def previous_token_score(pattern: Tensor) -> Tensor:
    """How much a head looks at the position just before: the mean attention from t to t - 1, over t
    >= 1.

    Shapes: pattern (..., T, T) -> (...). Raises: ValueError where T is 1.
    Source: Olsson et al. 2022, "In-context Learning and Induction Heads".

    >>> previous_token_score(torch.tensor([[1.0, 0.0, 0.0], [0.9, 0.1, 0.0], [0.0, 0.5, 0.5]]))
    tensor(0.7000)
    """
    if pattern.size(-1) < 2:
        raise ValueError("the text has one position only, and so none before it: take a longer one")
    return pattern.diagonal(-1, dim1=-2, dim2=-1).mean(-1)


def earlier_copies(ids: Tensor) -> Tensor:
    """Say for each position t which earlier positions s hold the same token.

    Shapes: ids (B, T) -> (B, T, T), bool, row t and column s < t. Raises: ValueError where no token
    comes twice.

    >>> earlier_copies(torch.tensor([[7, 5, 7]]))[0].int().tolist()
    [[0, 0, 0], [0, 0, 0], [1, 0, 0]]
    """
    if ids.ndim != 2:
        raise ValueError(
            f"ids are {tuple(ids.shape)} but must be (B, T): for one text pass ids[None]"
        )
    copies = (ids[:, :, None] == ids[:, None, :]).tril(-1)  # (B, T, T)
    if not copies.any():
        raise ValueError(
            "no token comes twice in these ids, so there is nothing to score: repeat the text"
        )
    return copies


def duplicate_token_score(pattern: Tensor, ids: Tensor) -> Tensor:
    """How much a head looks at earlier copies of the token that it is at: their sum, averaged over
    positions with one.

    Shapes: pattern (B, ..., T, T), ids (B, T) -> (...), over all of the batch.
    Raises: as `earlier_copies`. Source: Wang et al. 2022, "Interpretability in the Wild", section
    3.

    >>> pattern = torch.tensor([[[1.0, 0.0, 0.0], [0.5, 0.5, 0.0], [0.9, 0.1, 0.0]]])
    >>> duplicate_token_score(pattern, torch.tensor([[7, 5, 7]]))  # the second 7 looks at the first
    tensor(0.9000)
    """
    copies = earlier_copies(ids)  # (B, T, T)
    looked = torch.einsum("b...ts,bts->...", pattern, copies.to(pattern))
    return looked / copies.any(-1).sum()


def induction_score(pattern: Tensor, ids: Tensor) -> Tensor:
    """How much a head looks at what came next the last times its token was there.

    That is from t to s + 1, where s < t had t's token. The attention is summed over these s,
    and averaged over all t whose token came before.
    Shapes: pattern (B, ..., T, T), ids (B, T) -> (...), over all of the batch.
    Raises: ValueError where no token comes twice.
    Source: Olsson et al. 2022, "In-context Learning and Induction Heads", prefix matching.

    >>> pattern = torch.tensor([[[1.0, 0.0, 0.0], [0.5, 0.5, 0.0], [0.1, 0.9, 0.0]]])
    >>> induction_score(pattern, torch.tensor([[7, 5, 7]]))  # the second 7 looks at the 5
    tensor(0.9000)
    """
    copies = earlier_copies(ids)  # (B, T, T): at row t, column s
    after = copies.roll(1, dims=-1)  # at row t, column s + 1
    looked = torch.einsum("b...ts,bts->...", pattern, after.to(pattern))
    return looked / copies.any(-1).sum()


@torch.no_grad()
def head_scores(
    model: Transformer, ids: Tensor, score: Callable[..., Tensor] = induction_score
) -> Tensor:
    """One of the scores above for every head of one of our models.

    Shapes: ids (B, T) -> (n_layer, H).

    >>> from course_utils.pretrained import storyteller
    >>> head_scores(storyteller(), torch.arange(1, 9)[None], previous_token_score).shape
    torch.Size([4, 4])
    """
    cache = activations(model, ids, ["h.*.attn.pattern"])
    if score is previous_token_score:
        return torch.stack([score(pattern).mean(0) for pattern in cache.values()])
    return torch.stack([score(pattern, ids) for pattern in cache.values()])


# --- Reading what is written ----------------------------------------------------------------------


def logit_lens(model: Transformer, ids: Tensor) -> Tensor:
    """Decode the residual stream before the first block and after each, as if the model ended
    there.

    The last row is the model's own answer.
    Shapes: ids (B, T) -> logits (n_layer + 1, B, T, V).
    Source: nostalgebraist 2020, "interpreting GPT: the logit lens".

    >>> from course_utils.pretrained import storyteller
    >>> model, ids = storyteller(), torch.tensor([[3, 1, 4]])
    >>> lens = logit_lens(model, ids)
    >>> tuple(lens.shape), torch.allclose(lens[-1], model(ids), atol=1e-5)
    ((5, 1, 3, 699), True)
    """
    with torch.no_grad():
        return torch.stack([model.lm_head(model.ln_f(stream)) for stream in model.streams(ids)])


class Attribution(NamedTuple):
    """What each part adds to a logit, or to the difference of two, in nats; the sum of all is the
    logit.

    heads (n_layer, H, B, T), mlps (n_layer, B, T), rest (B, T): embedding, position and all biases.

    >>> one = torch.ones(1, 1)
    >>> Attribution(heads=one.expand(2, 4, 1, 1), mlps=one.expand(2, 1, 1), rest=one).total
    tensor([[11.]])
    """

    heads: Tensor
    mlps: Tensor
    rest: Tensor

    @property
    def total(self) -> Tensor:
        """The logit (B, T)."""
        return self.heads.sum((0, 1)) + self.mlps.sum(0) + self.rest


def attribution(
    model: Transformer, ids: Tensor, token: int, other: int | None = None
) -> Attribution:
    """Share out the logit of a token, less that of `other`, among heads and MLPs, the last
    LayerNorm's scale frozen.

    Shapes: ids (B, T) -> as in Attribution; row t is about token t + 1.
    Raises: as `transformer_block.residual_writes`.
    Source: Elhage et al. 2021, "A Mathematical Framework for Transformer Circuits" (direct logit
    attribution).

    >>> from course_utils.pretrained import storyteller
    >>> model, ids = storyteller(), torch.tensor([[3, 1, 4]])
    >>> parts = attribution(model, ids, token=5, other=9)
    >>> logits = model(ids)
    >>> (
    ...     tuple(parts.heads.shape),
    ...     torch.allclose(parts.total, logits[..., 5] - logits[..., 9], atol=1e-4),
    ... )
    ((4, 4, 1, 3), True)
    """
    writes = logit_contributions(model, ids, token)
    if other is not None:
        writes = {
            name: write - less
            for (name, write), less in zip(
                writes.items(), logit_contributions(model, ids, other).values(), strict=True
            )
        }
    n_layer = model.config.n_layer
    n_head = model.config.n_head
    zero = torch.zeros(ids.shape, device=ids.device)
    heads = [
        [writes.pop(f"head {layer}.{head}") for head in range(n_head)] for layer in range(n_layer)
    ]
    mlps = [writes.pop(f"mlp {layer}", zero) for layer in range(n_layer)]
    return Attribution(
        torch.stack([torch.stack(row) for row in heads]), torch.stack(mlps), sum(writes.values())
    )


# --- Intervening ----------------------------------------------------------------------------------


def patching_map(
    model: Transformer, clean: Tensor, corrupt: Tensor, metric: Callable, names: Sequence[str]
) -> Tensor:
    """Run the corrupt text with one activation of the clean run at one position: does it repair?

    Each entry is (metric with the patch - corrupt) / (clean - corrupt): 1 where it repairs all.
    Shapes: clean and corrupt (1, T), metric: logits (B, T, V) -> (B,), names: activations
    (B, T, d), such as "h.0.in" -> (len(names), T).
    Source: Meng et al. 2022, "Locating and Editing Factual Associations in GPT", section 2.

    >>> from course_utils.pretrained import storyteller
    >>> clean, corrupt = torch.tensor([[3, 1, 4]]), torch.tensor([[2, 1, 4]])
    >>> answer = lambda logits: logits[:, -1, 5]
    >>> patching_map(storyteller(), clean, corrupt, answer, ["h.0.in"]).round(decimals=3).abs()
    tensor([[1., 0., 0.]])
    """
    cache = activations(model, clean, names)
    T = clean.size(1)
    rows = []
    t = torch.arange(T, device=clean.device)
    with torch.no_grad():
        good = metric(model(clean))
        bad = metric(model(corrupt))
        for name in names:
            source = cache[name].expand(T, -1, -1)  # text t of the batch is patched at position t
            with patched(model, {name: only(source, t, t)}):
                rows.append((metric(model(corrupt.expand(T, -1))) - bad) / (good - bad))
    return torch.stack(rows)  # (len(names), T)


@torch.no_grad()
def path_patch(
    model: Transformer,
    clean: Tensor,
    corrupt: Tensor,
    sender: tuple[int, int],
    receiver: tuple[int, int],
    reads: str = "qkv",
    mlps: bool = True,
) -> Tensor:
    """Run the corrupt text, but let one head's clean output reach one later head, past all other
    heads.

    Heads are (layer, head). `reads` says where it arrives: in the receiver's queries, keys, values,
    or several. The way leads through the residual stream and, with `mlps`, through the MLPs between
    the two.
    Shapes: clean and corrupt (B, T) -> logits (B, T, V). Raises: ValueError where the sender is not
    in an earlier layer, or the texts are not of one length.
    Source: Wang et al. 2022, "Interpretability in the Wild", section 3.1 (path patching).

    >>> from course_utils.pretrained import storyteller
    >>> clean, corrupt = torch.tensor([[3, 1, 4]]), torch.tensor([[2, 1, 4]])
    >>> path_patch(storyteller(), clean, corrupt, sender=(0, 1), receiver=(2, 3), reads="k").shape
    torch.Size([1, 3, 699])
    """
    a, i = sender
    b, j = receiver
    H = model.config.n_head
    if clean.shape != corrupt.shape:
        raise ValueError(
            f"clean {tuple(clean.shape)} and corrupt {tuple(corrupt.shape)} must be of one length"
        )
    if not (0 <= a < b < model.config.n_layer and 0 <= i < H and 0 <= j < H):
        raise ValueError(
            f"no path from head {a}.{i} to head {b}.{j}: the model has {model.config.n_layer} layers of {H} "
            "heads, and the sender must be in an earlier layer"
        )
    if not reads or set(reads) - set("qkv"):
        raise ValueError(f"reads={reads!r}: choose from the letters q, k and v")
    kinds = ["attn"] if mlps or not model.config.mlp else ["attn", "mlp"]
    heads = f"h.{a}.attn.heads"
    qkv = f"h.{b}.attn.c_attn"
    good = activations(model, clean, [heads])
    bad = activations(
        model, corrupt, [heads] + [f"h.{layer}.{kind}" for layer in range(a, b) for kind in kinds]
    )
    w_o = model.h[a].attn.c_proj.weight.unflatten(1, (H, -1))[:, i]  # (d_model, d)
    frozen = {name: x for name, x in bad.items() if name != heads}
    # (B, T, d_model)
    frozen[f"h.{a}.attn"] = bad[f"h.{a}.attn"] + (good[heads] - bad[heads])[:, i] @ w_o.T
    with patched(model, frozen):
        read = activations(model, corrupt, [qkv])[qkv].unflatten(-1, (3, H, -1))  # (B, T, 3, H, d)

    def receive(x: Tensor) -> Tensor:
        x = x.unflatten(-1, (3, H, -1)).clone()  # (B, T, 3, H, d): queries, keys, values
        for letter in reads:
            x[:, :, "qkv".index(letter), j] = read[:, :, "qkv".index(letter), j]
        return x.flatten(-3)

    with patched(model, {qkv: receive}):
        return model(corrupt)
