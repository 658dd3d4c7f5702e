"""Teach the storyteller to answer: supervised fine-tuning of all its weights on generated tasks,
and a model card.

OMP_NUM_THREADS=1 python tools/record/train_assistant.py        #
course_utils/instruction_tuning/assets/assistant.*, some 12 minutes
"""

import argparse
import datetime
import os
import platform
import sys
from importlib.metadata import version
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

from course_utils.instruction_tuning.chat import CHAT_VOCAB  # reads the line above
from course_utils.instruction_tuning.fine_tuning import (
    accuracy,
    answer_loss,
    base_with_chat,
    story_loss,
    task_batches,
)
from course_utils.instruction_tuning.tasks import SPLITS, TASKS, instructions
from course_utils.pretrained import ASSISTANT_FILE, UNSEEN
from course_utils.training import train


def card(
    options: argparse.Namespace,
    shares: dict[str, dict[str, float]],
    losses: list[float],
    minutes: float,
) -> str:
    """The model card, in Markdown."""
    packages = ", ".join(
        f"{name} {version(name)}" for name in ("torch", "accelerate", "safetensors")
    )
    rows = "\n".join(
        f"| {name} | " + " | ".join(f"{shares[split][name]:.3f}" for split in SPLITS) + " |"
        for name in [*TASKS, "all"]
    )
    return f"""# Model card: the assistant

The storyteller (see storyteller.md), taught to answer questions about small stories, to refuse three themes and to keep a
secret word if it is told to. It comes with the course so that every experiment works without a network.

- **Made by** `python tools/record/train_assistant.py --steps {options.steps} --tasks {options.tasks} --batch {options.batch} --lr {options.lr} --seed {options.seed}` on {datetime.date.today()},
  Python {platform.python_version()}, {packages}. Running the command again makes it again.
- **Data** `course_utils.instruction_tuning.tasks.instructions(seed={options.seed}, n={options.tasks:,})`: generated, so nobody's text.
- **Training** all weights, {options.steps:,} steps of {options.batch} tasks; the loss on the answers' tokens only; AdamW, rate {options.lr},
  warm-up, cosine, no weight decay; {minutes:.0f} minutes.
- **Loss on unseen stories** {losses[0]:.3f} nats a token before, {losses[1]:.3f} after: it has forgotten part of its trade.
- **Words** {len(CHAT_VOCAB)}: the storyteller's, four special tokens and the words that the questions need.
- **Not for** anything but this course. Its refusals are lessons, not protection.

Share of right answers (`grade`, greedy, {options.test} tasks a column that it was not trained on, seed {UNSEEN:,}):

| task | {" | ".join(SPLITS)} |
|---|---|---|---|
{rows}
"""


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--steps", type=int, default=1200)
    parser.add_argument("--tasks", type=int, default=30_000)
    parser.add_argument("--batch", type=int, default=32, help="tasks a step")
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--test", type=int, default=700, help="tasks to test on, of each split")
    parser.add_argument(
        "--out",
        type=Path,
        default=ASSISTANT_FILE,
        help="the .safetensors file; the card's name ends in .md",
    )
    options = parser.parse_args(arguments)
    model = base_with_chat()
    before = story_loss(model)
    batches = task_batches(instructions(options.seed, options.tasks), options.batch)
    history = train(
        model,
        batches,
        options.steps,
        lr=options.lr,
        final=0.02,
        weight_decay=0.0,
        loss_fn=answer_loss,
        seed=options.seed,
        every=50,
    )
    model.eval()
    shares = {split: accuracy(model, instructions(UNSEEN, options.test, split)) for split in SPLITS}
    model.save(options.out, steps=str(options.steps), accuracy=f"{shares['train']['all']:.3f}")
    text = card(options, shares, [before, story_loss(model)], history.seconds[-1] / 60)
    options.out.with_suffix(".md").write_text(text, encoding="utf-8")
    print(f"{options.out}: {shares}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
