"""The training runs of lesson 03: one function for each text, for the lesson and for its recorder."""

from torch import Tensor

from course_utils import assets
from course_utils.stories import VOCAB, stories
from course_utils.stories.corpus import Stories
from course_utils.training import History, evaluate, token_batches, train
from course_utils.transformer_block.block import TransformerConfig
from course_utils.transformer_block.hops import Hops
from course_utils.transformer_block.transformer import Transformer

RECORD = "transformer_block/runs.json"
SIZES = dict(vocab_size=len(VOCAB), n_positions=64, n_embd=64, n_layer=2, n_head=4)
STORY = TransformerConfig(**SIZES, initializer_range=0.07)  # the model that the lesson reads
NARROW = TransformerConfig(
    vocab_size=len(VOCAB), n_positions=32, n_embd=32, n_layer=6, n_head=4,
    initializer_range=0.1, depth_scaled_init=False,
)  # fmt: skip
TASK = Hops(names=10, numbers=4, roots=3)
HOP_STEPS = 4000


def recorded() -> dict:
    """What `tools/record/train_blocks.py` measured.

    >>> sorted({row["blocks"] for row in recorded()["hops"]})
    [1, 2, 4]
    """
    return assets.read_json(RECORD)


def texts() -> tuple[Stories, Stories]:
    """The stories to train on, and others, which no model of lesson 03 sees in training.

    >>> [len(part.tokens) for part in texts()]
    [300000, 20481]
    """
    return stories(seed=0, n_tokens=300_000), stories(seed=1, n_tokens=20_481)


def unseen_batches(unseen: Stories, T: int) -> list[tuple[Tensor, Tensor]]:
    """All windows of T tokens of the unseen stories, and the tokens that come next, in one batch.

    >>> inputs, targets = unseen_batches(stories(seed=1, n_tokens=65), T=16)[0]
    >>> inputs.shape, targets.shape
    (torch.Size([4, 16]), torch.Size([4, 16]))
    """
    n = (len(unseen.tokens) - 1) // T
    return [(unseen.tokens[: n * T].view(n, T), unseen.tokens[1 : n * T + 1].view(n, T))]


def on_stories(
    model: Transformer, text: Stories, unseen: Stories, steps: int, lr: float, seed: int = 0, **more
) -> tuple[History, float]:
    """Train a model on the stories, 8 windows a step; the history, and the loss on unseen ones in
    nats.

    >>> model = Transformer(STORY)
    >>> history, loss = on_stories(model, *texts(), steps=10, lr=1e-3)
    >>> len(history.losses), loss < 7
    (10, True)
    """
    T = model.config.n_positions
    draw = token_batches(text.tokens, 8, T)
    history = train(model, draw, steps, lr=lr, seed=seed, progress=False, **more)
    return history, evaluate(model, unseen_batches(unseen, T))


def hop_config(blocks: int, n_inner: int | None = None) -> TransformerConfig:
    """The model that reads the notes, so many blocks high; n_inner: how wide its MLPs are.

    >>> hop_config(4).n_layer
    4
    """
    return TransformerConfig(
        vocab_size=TASK.vocab_size, n_positions=TASK.names, n_embd=48, n_layer=blocks, n_head=2,
        n_inner=n_inner, initializer_range=0.07, tie_word_embeddings=False,
    )  # fmt: skip


def wide_config(blocks: int) -> TransformerConfig:
    """One block whose MLP is so wide that it has the parameters of so many blocks, or a few more.

    >>> [
    ...     sum(p.numel() for p in Transformer(config).parameters())
    ...     for config in (hop_config(4), wide_config(4))
    ... ]
    [127104, 127163]
    """
    extra = (blocks - 1) * (12 * 48 * 48 + 13 * 48)
    return hop_config(1, 4 * 48 + -(-extra // (2 * 48 + 1)))


def on_hops(model: Transformer, seed: int = 0, steps: int = HOP_STEPS) -> list[float]:
    """Train a model on notes, 64 texts a step; its accuracy on new ones that ask for 0, 1, … 5
    hops.

    >>> model = Transformer(hop_config(1))
    >>> len(on_hops(model, steps=2))
    6
    """
    draw = TASK.batches(64)
    train(model, draw, steps, lr=3e-3, weight_decay=0.0, seed=seed, progress=False)
    return [TASK.accuracy(model, hops) for hops in range(6)]
