"""The family of small GPTs that lesson 05 measures: one recipe and two texts.

A run has N parameters, all of them, embeddings too, and reads D tokens; it costs C = 6·N·D
floating-point operations (FLOP). Everything but width, tokens, seed and text is the same for all
runs.
"""

import json
import time
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor

from course_utils import assets
from course_utils.stories.corpus import stories
from course_utils.stories.english import documentation
from course_utils.stories.grammar import VOCAB
from course_utils.training import evaluate, token_batches, train
from course_utils.transformer_block.transformer import Transformer, ladder

BATCH, T = 8, 64  # sequences in a batch, tokens in a sequence
VOCABULARY = {"text": 256, "stories": len(VOCAB)}
BLOCK = 2048  # bytes: the text is cut into blocks and shuffled, so that all of it is alike
HELD_OUT = 32  # blocks of text for the evaluation
WINDOWS = 1024  # windows of T tokens that a loss is measured on


@dataclass(frozen=True)
class TrainingRun:
    """One model to train: `width` features, `tokens` to read, out of the first `unique` tokens
    (None: as many as there are), with a warm-up over `warm_up` tokens (None: over a tenth).

    corpus "text" is the documentation of Python's standard library, in bytes; "stories" are the
    generated stories, in words, each window from a story's start, so that a perfect model's loss is
    known. The start and the order of the batches follow from the seed. Raises: ValueError for a
    corpus, a width or a number of tokens that cannot be.

    >>> TrainingRun("text", width=32, tokens=1_000_000).steps
    1953
    """

    corpus: str
    width: int
    tokens: int
    seed: int = 0
    unique: int | None = None
    warm_up: int | None = None

    def __post_init__(self) -> None:
        if self.corpus not in VOCABULARY:
            raise ValueError(
                f"corpus={self.corpus!r} is unknown: choose one of {', '.join(VOCABULARY)}"
            )
        if self.width < 1 or self.width % self.heads:
            raise ValueError(
                f"width={self.width} must be at least 1, and a multiple of 16 from 32 on"
            )
        if self.tokens < BATCH * T:
            raise ValueError(f"tokens={self.tokens} is less than one batch of {BATCH * T}")

    @property
    def heads(self) -> int:
        return max(1, self.width // 16)

    @property
    def steps(self) -> int:
        return round(self.tokens / (BATCH * T))


@lru_cache(maxsize=2)
def corpus(name: str, n_tokens: int) -> tuple[Tensor, Tensor | None, Tensor, Tensor, float | None]:
    """What a run reads: tokens (n,), where windows may start, held-out inputs and targets, a
    perfect model's loss there.

    Shapes: held-out inputs and targets (WINDOWS, T). Of "stories" there are n_tokens; "text" is all
    of it, whatever n_tokens, may start anywhere, and nobody knows a perfect model's loss: those two
    are None.

    >>> tokens, starts, inputs, targets, floor = corpus("stories", 1000)
    >>> len(tokens), inputs.shape, round(floor, 2)
    (1000, torch.Size([1024, 64]), 0.78)
    """
    if name == "text":
        data = torch.tensor(list(documentation().encode()), dtype=torch.uint8)
        n = len(data) // BLOCK
        blocks = (
            data[: n * BLOCK]
            .view(n, BLOCK)[torch.randperm(n, generator=torch.Generator().manual_seed(0))]
            .long()
        )
        held = blocks[:HELD_OUT].flatten()
        starts = None
        # (WINDOWS, T + 1)
        at = torch.arange(WINDOWS)[:, None] * T % (len(held) - T) + torch.arange(T + 1)
        return blocks[HELD_OUT:].flatten(), starts, held[at][:, :-1], held[at][:, 1:], None
    text = stories(seed=0, n_tokens=n_tokens)
    held, nats = stories(seed=1, n_tokens=220_000).windows(T, WINDOWS)
    return text.tokens, text.starts, held[:, :-1], held[:, 1:], nats[:, 1:].mean().item()


def model_for(run: TrainingRun) -> Transformer:
    """The untrained model of a run: two blocks, a head for 16 features, tied embeddings.

    >>> sum(p.numel() for p in model_for(TrainingRun("text", width=32, tokens=10_000)).parameters())
    35712
    """
    config = ladder(
        5,
        vocab_size=VOCABULARY[run.corpus],
        n_positions=T,
        n_embd=run.width,
        n_layer=2,
        n_head=run.heads,
        initializer_range=0.12,
    )
    return Transformer(config, torch.Generator().manual_seed(run.seed))


def measure_run(run: TrainingRun) -> dict:
    """Train the model of a run and return its row: the fields of the run, N, D, C in FLOP, the loss
    in nats, seconds.

    Where a perfect model's loss on the held-out tokens is known, it is there as "floor".

    >>> row = measure_run(TrainingRun("stories", width=8, tokens=50_000))
    >>> row["N"], row["D"], round(row["floor"], 2), row["floor"] < row["loss"] < 6.5
    (7864, 50176, 0.78, True)
    """
    begun = time.process_time()
    model = model_for(run)
    tokens, starts, inputs, targets, floor = corpus(
        run.corpus, 3 * run.tokens if run.corpus == "stories" else 0
    )
    batches = token_batches(tokens[: run.unique], BATCH, T, starts)
    train(
        model,
        batches,
        run.steps,
        lr=min(0.04, 0.16 / run.width),
        warmup=0.1 if run.warm_up is None else run.warm_up / run.tokens,
        final=0.0,
        weight_decay=0.0,
        seed=run.seed,
        progress=False,
    )
    loss = evaluate(model, [(inputs, targets)])
    N = sum(p.numel() for p in model.parameters())
    D = run.steps * BATCH * T
    row = asdict(run) | dict(
        N=N, D=D, C=6 * N * D, loss=round(loss, 5), seconds=round(time.process_time() - begun, 1)
    )
    return row if floor is None else row | dict(floor=round(floor, 5))


ASSET = assets.path("scaling_laws/sweep.json")


@lru_cache(maxsize=1)
def recorded(file: Path = ASSET) -> tuple[dict, ...]:
    """The rows that `tools/record/sweep_scaling.py` measured: dicts as `measure` returns them.

    Units: C in FLOP, loss and floor in nats a token, seconds of one thread. `file`: another record
    of the same kind.

    >>> rows = recorded()
    >>> (
    ...     sorted({row["corpus"] for row in rows}),
    ...     all(row["C"] == 6 * row["N"] * row["D"] for row in rows),
    ... )
    (['stories', 'text'], True)
    """
    return tuple(json.loads(file.read_text(encoding="utf-8"))["rows"])
