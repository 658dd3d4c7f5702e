"""Train the small GPT-2 that comes with the course, on stories whose entropy is known, and write
its model card.

    python tools/record/train_storyteller.py                                   # one process: course_utils/gpt2/assets/storyteller.*
    accelerate launch tools/record/train_storyteller.py                        # as `accelerate config` says: one GPU, several, …
    ACCELERATE_USE_CPU=1 accelerate launch --multi_gpu --num_processes 2 tools/record/train_storyteller.py     # two processes on a CPU

The batches depend on the seed alone and are shared out, so the loss curve does not depend on the
number of processes. An interrupted run goes on where it stopped: its state is in
build/storyteller.safetensors until it is finished.
"""

import argparse
import datetime
import json
import platform
import sys
from importlib.metadata import version
from pathlib import Path

import torch
from accelerate import Accelerator

from course_utils.gpt2.model import GPT, GPTConfig
from course_utils.pretrained import STORYTELLER, UNSEEN
from course_utils.stories.corpus import Stories, entropy_per_token, stories
from course_utils.stories.grammar import VOCAB
from course_utils.training import History, evaluate, token_batches, train

ROOT = Path(__file__).resolve().parents[2]
CONFIG = dict(
    vocab_size=len(VOCAB), n_positions=256, n_embd=128, n_layer=4, n_head=4, initializer_range=0.05
)


def held_out(n_tokens: int, T: int) -> tuple[list[tuple[torch.Tensor, torch.Tensor]], float]:
    """Batches of whole windows of unseen stories, and the loss of a perfect model on the same
    tokens, in nats.
    """
    windows, nats = stories(UNSEEN, n_tokens).windows(T)
    return [(w[:, :-1], w[:, 1:]) for w in windows.split(16)], nats[:, 1:].mean().item()


def run(
    text: Stories, steps: int, batch: int, lr: float, seed: int, checkpoint: Path | None
) -> tuple[GPT, History]:
    config = GPTConfig(**CONFIG)
    model = GPT(config, torch.Generator().manual_seed(seed))
    batches = token_batches(text.tokens, batch, config.n_positions, text.starts)
    history = train(
        model,
        batches,
        steps,
        lr=lr,
        final=0.02,
        weight_decay=0.1,
        seed=seed,
        every=50,
        checkpoint=checkpoint,
        checkpoint_every=200,
        accelerator=Accelerator(),
    )
    return model, history


def card(
    options: argparse.Namespace, model: GPT, history: History, loss: float, best: float
) -> str:
    """The model card, in Markdown."""
    size = sum(p.numel() for p in model.parameters())
    rows = "\n".join(f"| {key} | {value} |" for key, value in CONFIG.items())
    curve = "\n".join(
        f"| {step} | {history.losses[step - 1]:.3f} |" for step in curve_steps(len(history.losses))
    )
    packages = ", ".join(
        f"{name} {version(name)}" for name in ("torch", "accelerate", "safetensors")
    )
    return f"""# Model card: the storyteller

A GPT-2 of {size:,} parameters that continues small generated stories, word by word. It comes with the course so that
every experiment works without a network. It knows {len(VOCAB)} words and nothing about the world.

- **Made by** `python tools/record/train_storyteller.py --steps {options.steps} --tokens {options.tokens} --batch {options.batch} --lr {options.lr} --seed {options.seed}` on {datetime.date.today()},
  Python {platform.python_version()}, {packages}. Running the command again makes it again.
- **Data** `course_utils.stories.corpus.stories(seed={options.seed}, n_tokens={options.tokens:,})`: generated, so nobody's text.
  Tested on stories of seed {UNSEEN:,}.
- **Training** {len(history.losses):,} steps of {options.batch} windows of {CONFIG["n_positions"]} tokens ({history.tokens[-1]:,} tokens seen),
  each window from a story's first token; AdamW, rate {options.lr}, warm-up, cosine; {history.seconds[-1] / 60:.0f} minutes.
- **Loss on unseen stories** {loss:.4f} nats a token. A perfect model has {best:.4f} on the same tokens: the
  generator knows the probability of every word (over all stories the entropy is {entropy_per_token():.4f}).
- **Not for** anything but this course. It was trained on positions up to {CONFIG["n_positions"]} only.

| configuration | |
|---|---|
{rows}

| step | training loss, nats a token |
|---|---|
{curve}
"""


def curve_steps(n: int) -> list[int]:
    """1, 2, 5, 10, 20, 50, … and the last."""
    return [s for s in (m * 10**e for e in range(9) for m in (1, 2, 5)) if s < n] + [n]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument(
        "--tokens", type=int, default=10_000_000, help="length of the text to train on"
    )
    parser.add_argument("--batch", type=int, default=16, help="windows a step")
    parser.add_argument("--lr", type=float, default=4e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--test-tokens", type=int, default=60_000)
    parser.add_argument(
        "--out",
        type=Path,
        default=STORYTELLER,
        help="the .safetensors file; the card gets its name with .md",
    )
    parser.add_argument(
        "--history", type=Path, help="write the training losses to this file, too (JSON)"
    )
    options = parser.parse_args(arguments)
    state = ROOT / "build" / f"{options.out.stem}.state.safetensors"
    model, history = run(
        stories(options.seed, options.tokens),
        options.steps,
        options.batch,
        options.lr,
        options.seed,
        state,
    )
    accelerator = Accelerator()
    if accelerator.is_main_process:
        batches, best = held_out(options.test_tokens, CONFIG["n_positions"])
        loss = evaluate(model, batches)
        model.save(
            options.out, loss=f"{loss:.4f}", best=f"{best:.4f}", steps=str(len(history.losses))
        )
        options.out.with_suffix(".md").write_text(
            card(options, model, history, loss, best), encoding="utf-8"
        )
        if options.history:
            options.history.write_text(json.dumps(history.losses))
        state.unlink(missing_ok=True)
        print(
            f"{options.out}: {loss:.4f} nats a token on unseen stories; a perfect model has {best:.4f}"
        )
    accelerator.wait_for_everyone()  # who leaves early takes the others' connections along
    accelerator.end_training()
    return 0


if __name__ == "__main__":
    sys.exit(main())
