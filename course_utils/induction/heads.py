"""An induction circuit, grown live: models without MLPs learn to continue sequences that repeat.

Shapes: B sequences, T positions, L layers, H heads, d features a head, V tokens. A sequence is a
block of different tokens, repeated; its period is the length of the block. To continue it, a model
must find the last time it was at this token, and copy what came next. Losses are in nats for each
token that can be known.
Sources: Elhage et al. 2021, "A Mathematical Framework for Transformer Circuits"; Olsson et al.
2022, "In-context Learning and Induction Heads".
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

from course_utils.circuits.hooks import activations
from course_utils.circuits.reading import induction_score, previous_token_score
from course_utils.machine.devices import device_of
from course_utils.training import Batch, History, train
from course_utils.transformer_block.block import TransformerConfig
from course_utils.transformer_block.transformer import Transformer

UNKNOWN = -100  # the target that torch's cross_entropy leaves out


def repeated_sequences(
    n: int, T: int, vocab_size: int, periods: tuple[int, int], generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Draw sequences that repeat: a block of different random tokens, again and again, up to T
    tokens.

    Each sequence has a block and a period (the block's length) of its own; the period is drawn
    evenly from periods[0] to periods[1], both included.
    Shapes: -> ids (n, T) and periods (n,), whole numbers.
    Raises: ValueError unless 1 <= periods[0] <= periods[1] <= vocab_size.

    >>> ids, period = repeated_sequences(2, 7, 10, (3, 3), torch.Generator().manual_seed(0))
    >>> period, torch.equal(ids[:, :4], ids[:, 3:])
    (tensor([3, 3]), True)
    """
    low, high = periods
    if not 1 <= low <= high <= vocab_size:
        raise ValueError(
            f"periods={periods}: give the least and the greatest, from 1 to vocab_size={vocab_size}"
        )
    period = torch.randint(low, high + 1, (n,), generator=generator)  # (n,)
    # Sorted random numbers give a random order of all tokens: none comes twice in a block, or it
    # would have two continuations, and the last token alone would not tell which comes next. (n,
    # V): each row an order of all tokens
    blocks = torch.rand(n, vocab_size, generator=generator).argsort(-1)
    where = torch.arange(T) % period[:, None]  # (n, T): the place in the block
    return blocks.gather(1, where), period


def repeat_batches(
    B: int,
    T: int,
    vocab_size: int,
    periods: tuple[int, int],
    texts: Callable[..., tuple[Tensor, Tensor]] = repeated_sequences,
) -> Callable[[torch.Generator], Batch]:
    """Return a function that draws batches for `training.train`: inputs and targets, (B, T) each.

    A target counts where the input token was there before; all others are UNKNOWN, and no loss is
    taken. texts: what draws sequences and periods, as `repeated_sequences` does.

    >>> inputs, targets = repeat_batches(1, 6, 10, (3, 3))(torch.Generator().manual_seed(0))
    >>> (targets != UNKNOWN).int().tolist(), torch.equal(targets[0, 3:-1], inputs[0, 4:])
    ([[0, 0, 0, 1, 1, 1]], True)
    """

    def draw(generator: torch.Generator) -> Batch:
        ids, period = texts(B, T + 1, vocab_size, periods, generator)
        # (B, T): the input token was there one period before
        known = torch.arange(T) >= period[:, None]
        return ids[:, :-1], ids[:, 1:].masked_fill(~known, UNKNOWN)

    return draw


def attention_only(
    n_layer: int,
    T: int = 48,
    vocab_size: int = 64,
    d_model: int = 64,
    n_head: int = 4,
    generator: torch.Generator | None = None,
) -> Transformer:
    """A transformer whose blocks are attention alone, with learned positions and a head that is not
    tied.

    Source: Elhage et al. 2021, section "Model simplifications" (there without LayerNorm and
    biases).

    >>> model = attention_only(2)
    >>> sum(p.numel() for p in model.parameters()), model.h[0].mlp
    (44928, None)
    """
    config = TransformerConfig(
        vocab_size=vocab_size,
        n_positions=T,
        n_embd=d_model,
        n_layer=n_layer,
        n_head=n_head,
        mlp=False,
        tie_word_embeddings=False,
    )
    return Transformer(config, generator)


@torch.no_grad()
def token_losses(model: Transformer, batch: Batch) -> Tensor:
    """The loss of each target, in nats; nan where it is UNKNOWN. Shapes: inputs and targets (B, T)
    -> (B, T).

    >>> batch = repeat_batches(4, 12, 64, (3, 5))(torch.Generator().manual_seed(0))
    >>> losses = token_losses(attention_only(1, generator=torch.Generator().manual_seed(0)), batch)
    >>> round(losses.nanmean().item(), 1), bool(losses[:, 0].isnan().all())  # log 64 = 4.2
    (4.2, True)
    """
    inputs, targets = batch
    losses = F.cross_entropy(model(inputs).flatten(0, 1), targets.flatten(), reduction="none").view(
        targets.shape
    )
    return losses.masked_fill(targets == UNKNOWN, torch.nan)


@dataclass
class Growth:
    """What `grow` recorded at S steps, from step 0, before training, on.

    steps                S whole numbers
    loss, accuracy       (S,)             over the targets that can be known; the loss in nats
    previous, induction  (S, L, H)        scores of each head, as in `circuits.reading`
    patterns             (S, L, H, T, T)  the attention of all heads to the first sequence
    early                (S,)             accuracy over each text's first 16 known targets
    streaks              (S, B)           known targets that were right in a row, from the first on

    >>> growth = Growth()
    >>> growth.add(0, loss=torch.tensor(4.2), streaks=torch.tensor([0, 1]))
    >>> growth.add(20, loss=torch.tensor(0.5), streaks=torch.tensor([3, 4]))
    >>> growth.steps, growth.loss, growth.streaks.shape
    ([0, 20], tensor([4.2000, 0.5000]), torch.Size([2, 2]))
    """

    steps: list[int] = field(default_factory=list)
    loss: Tensor = field(default_factory=lambda: torch.empty(0))
    accuracy: Tensor = field(default_factory=lambda: torch.empty(0))
    previous: Tensor = field(default_factory=lambda: torch.empty(0))
    induction: Tensor = field(default_factory=lambda: torch.empty(0))
    patterns: Tensor = field(default_factory=lambda: torch.empty(0))
    early: Tensor = field(default_factory=lambda: torch.empty(0))
    streaks: Tensor = field(default_factory=lambda: torch.empty(0))

    def add(self, step: int, **values: Tensor) -> None:
        """Append one entry to each record."""
        self.steps.append(step)
        for name, value in values.items():
            setattr(self, name, torch.cat([getattr(self, name), value[None].cpu()]))


@torch.no_grad()
def look(model: Transformer, batch: Batch) -> dict[str, Tensor]:
    """What there is to see in a model: one entry of each record in `Growth`.

    >>> model = attention_only(2, T=12, generator=torch.Generator().manual_seed(0))
    >>> seen = look(model, repeat_batches(4, 12, 64, (3, 5))(torch.Generator().manual_seed(0)))
    >>> {name: tuple(value.shape) for name, value in seen.items() if value.ndim}
    {'previous': (2, 4), 'induction': (2, 4), 'patterns': (2, 4, 12, 12), 'streaks': (4,)}
    """
    inputs, targets = batch
    logits = model(inputs)
    known = targets != UNKNOWN
    # What cannot be known counts as right here, so that it breaks no streak.
    right = (logits.argmax(-1) == targets) | ~known  # (B, T)
    patterns = activations(model, inputs, ["h.*.attn.pattern"]).values()  # L times (B, H, T, T)
    return dict(
        loss=F.cross_entropy(logits[known], targets[known]),
        accuracy=right[known].float().mean(),
        early=right[known & (known.cumsum(-1) <= 16)].float().mean(),
        previous=torch.stack([previous_token_score(pattern).mean(0) for pattern in patterns]),
        induction=torch.stack([induction_score(pattern, inputs) for pattern in patterns]),
        patterns=torch.stack([pattern[0] for pattern in patterns]),
        # A product of ones is 1 up to the first miss and 0 from there on.
        streaks=(right.cumprod(-1) * known).sum(-1),
    )


def grow(
    model: Transformer,
    periods: tuple[int, int],
    steps: int,
    B: int = 32,
    lr: float = 3e-3,
    every: int = 20,
    seed: int = 0,
    progress: bool = True,
    texts: Callable[..., tuple[Tensor, Tensor]] = repeated_sequences,
) -> Growth:
    """Train a model in place on repeated sequences, and look inside every `every` steps.

    It is looked at on 64 sequences that are the same each time. Source: the recipe is ours.

    >>> model = attention_only(
    ...     1, T=12, vocab_size=8, d_model=16, n_head=2, generator=torch.Generator().manual_seed(0)
    ... )
    >>> growth = grow(model, (3, 3), steps=40, progress=False)
    >>> growth.steps, growth.induction.shape, growth.patterns.shape
    ([0, 20, 40], torch.Size([3, 1, 2]), torch.Size([3, 1, 2, 12, 12]))
    """
    # No step of a run with seed 0 draws from this seed, so these sequences were not trained on.
    T = model.config.n_positions
    V = model.config.vocab_size
    seen = repeat_batches(64, T, V, periods)(torch.Generator().manual_seed(1_000_003))
    growth = Growth()
    seen = tuple(x.to(device_of(model)) for x in seen)
    growth.add(0, **look(model, seen))

    def on_steps(history: History) -> None:
        growth.add(len(history.losses), **look(model, seen))

    train(
        model,
        repeat_batches(B, T, V, periods, texts),
        steps,
        lr=lr,
        warmup=0.05,
        seed=seed,
        weight_decay=0.01,
        betas=(0.9, 0.98),
        on_steps=on_steps,
        every=every,
        eval_every=every,
        progress=progress,
    )
    return growth


def rise(
    steps: Sequence[int], values: Tensor, low: float = 0.2, high: float = 0.8
) -> tuple[int, int]:
    """The first steps at which a curve has gone `low` and `high` of its way from its first to its
    last value.

    Shapes: values (S,). Raises: ValueError for a curve that ends where it began.

    >>> rise([0, 10, 20, 30, 40], torch.tensor([0.0, 0.1, 0.5, 0.9, 1.0]))
    (20, 30)
    """
    if values[0] == values[-1]:
        raise ValueError("the curve ends where it began: there is no rise to date")
    way = (values - values[0]) / (values[-1] - values[0])  # (S,), 0 at first and 1 at last
    return tuple(steps[int((way >= part).int().argmax())] for part in (low, high))


def late_repeats(
    n: int, start: int, period: int, vocab_size: int, generator: torch.Generator
) -> Batch:
    """Draw texts whose repetition begins late: `start` other tokens, then a block of `period`
    tokens, twice.

    All tokens but the second block's are different. Shapes: -> inputs and targets, (n, start + 2 ·
    period - 1) each.
    Raises: ValueError where there are not enough tokens.

    >>> inputs, targets = late_repeats(
    ...     1, start=2, period=3, vocab_size=9, generator=torch.Generator().manual_seed(0)
    ... )
    >>> (targets != UNKNOWN).int().tolist(), torch.equal(inputs[0, 2:4], inputs[0, 5:])
    ([[0, 0, 0, 0, 0, 1, 1]], True)
    """
    if start + period > vocab_size:
        raise ValueError(
            f"{start} + {period} different tokens are needed, but vocab_size={vocab_size}: shorten one"
        )
    # All different, so the one place where the last token stood before is in the first block.
    # (n, start + period)
    tokens = torch.rand(n, vocab_size, generator=generator).argsort(-1)[:, : start + period]
    ids = torch.cat([tokens, tokens[:, start:]], dim=-1)  # (n, start + 2 * period)
    known = torch.arange(ids.size(1) - 1) >= start + period
    return ids[:, :-1], ids[:, 1:].masked_fill(~known, UNKNOWN)
