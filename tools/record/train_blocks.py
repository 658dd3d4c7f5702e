"""Train the models of lesson 03, the transformer block, with three seeds each: how far models of
one, two and four blocks follow pointers, GELU against ReLU, orders of the block, and tied heads.

    OMP_NUM_THREADS=1 python tools/record/train_blocks.py [--out FOLDER] [hops activations orders tying]

Writes runs.json (some 20 kB) into course_utils/transformer_block/assets; about nine minutes.
"""

import os
import sys
from dataclasses import replace

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch  # reads the line above
from records import chosen, gathered, load, parser_of, save, stamp

from course_utils import assets
from course_utils.transformer_block import Transformer, ladder, runs

SEEDS = (0, 1, 2)
STEPS = {"hops": runs.HOP_STEPS, "activations": 600, "orders": 200, "tying": 300}


def model_of(config, seed: int) -> Transformer:
    """A new model, drawn with this seed."""
    return Transformer(config, torch.Generator().manual_seed(seed))


def parameters(model: torch.nn.Module) -> int:
    """How many numbers a model learns."""
    return sum(p.numel() for p in model.parameters())


def hops():
    """One, two and four blocks, and one block with the parameters of four."""
    shapes = [(4, False), (2, False), (1, False), (1, True)]
    for seed in SEEDS:
        for blocks, wide in shapes:
            model = model_of(runs.wide_config(4) if wide else runs.hop_config(blocks), seed)
            right = [round(share, 4) for share in runs.on_hops(model, seed, STEPS["hops"])]
            yield dict(
                blocks=blocks, wide=wide, seed=seed, parameters=parameters(model), accuracy=right
            )


def activations():
    """ReLU and GELU, from two starts and at two rates."""
    parts = runs.texts()
    for start, rate in ((0.07, 6e-3), (0.07, 3e-3), (0.02, 6e-3)):
        for seed in SEEDS:
            for name in ("relu", "gelu_new"):
                config = replace(runs.STORY, initializer_range=start, activation_function=name)
                model = model_of(config, seed)
                _, loss = runs.on_stories(model, *parts, STEPS["activations"], rate, seed)
                yield dict(activation=name, start=start, rate=rate, seed=seed, loss=round(loss, 4))


def orders():
    """Six layers, pre-norm, post-norm and parallel, with and without warm-up."""
    parts = runs.texts()
    for seed in SEEDS:
        for order, warmup in (("pre", 0.0), ("post", 0.0), ("post", 0.3), ("parallel", 0.3)):
            model = model_of(replace(runs.NARROW, order=order), seed)
            history, loss = runs.on_stories(
                model, *parts, STEPS["orders"], 7e-3, seed, warmup=warmup, clip=float("inf")
            )
            curve = torch.tensor(history.losses).view(-1, 10).mean(-1)
            yield dict(
                order=order, warmup=warmup, seed=seed, loss=round(loss, 4),
                curve=[round(value, 3) for value in curve.tolist()],
            )  # fmt: skip


def tying():
    """A tied head, and an untied one in a narrower model of as many parameters or fewer."""
    parts = runs.texts()
    sizes = runs.SIZES | dict(initializer_range=0.07)
    for level, width in ((2, 32), (5, 52)):
        for seed in SEEDS:
            for tied in (True, False):
                config = ladder(level, **sizes)
                narrow = replace(config, n_embd=width, tie_word_embeddings=False)
                model = model_of(config if tied else narrow, seed)
                _, loss = runs.on_stories(model, *parts, STEPS["tying"], 6e-3, seed)
                yield dict(
                    level=level, tied=tied, seed=seed, parameters=parameters(model),
                    loss=round(loss, 4),
                )  # fmt: skip


PARTS = {"hops": hops, "activations": activations, "orders": orders, "tying": tying}


def main(arguments: list[str] | None = None) -> int:
    parser = parser_of(__doc__, assets.path(runs.RECORD).parent, PARTS)
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    file = options.out / "runs.json"
    for part in chosen(parser, options.parts, PARTS):
        rows = gathered(part, PARTS[part]())
        known = load(file)
        out = {
            **stamp("OMP_NUM_THREADS=1 python tools/record/train_blocks.py", "torch"),
            "what": "lesson 03: models with three seeds; losses in nats on unseen stories",
            "steps": STEPS,
            **{name: known[name] for name in PARTS if name in known},
            part: rows,
        }
        save(file, out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
