"""Measure the fine-tuning runs of lesson 19 and store the rows, after each run, in
course_utils/lora/assets.

    OMP_NUM_THREADS=1 python tools/record/sweep_fine_tuning.py [--out FILE] [PART …]

Parts: short (what the lesson does live), methods (all weights and LoRA of rank 8 at three rates
each, LoRA of five ranks), loss (on everything; with plain stories mixed in), generalise (fewer
wordings, fewer examples, a kind of task left out). Rows that the file holds already are kept.
"""

import os
import sys
from dataclasses import asdict

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch  # reads the line above
from records import chosen, is_known, load, parser_of, save, stamp

from course_utils.instruction_tuning.tasks import SPLITS
from course_utils.lora.runs import ASSET, FineTuningRun, measure_run

RANKS = (1, 2, 4, 8, 16)
RATES = (2e-3, 1e-3, 5e-4)
PARTS = {
    "short": [FineTuningRun(steps=60), FineTuningRun(rank=8, lr=1e-2, steps=60)],
    "methods": [FineTuningRun(lr=lr) for lr in RATES] + [FineTuningRun(rank=rank, lr=1e-2) for rank in RANKS]
    + [FineTuningRun(rank=8, lr=lr) for lr in (5e-3, 2.5e-3)],
    "loss": [FineTuningRun(loss="everything"), FineTuningRun(loss="answer and stories")],
    "generalise": [FineTuningRun(templates=k) for k in (1, 2, 4)] + [FineTuningRun(n=n) for n in (70, 280, 1120)]
    + [FineTuningRun(without=name) for name in ("where", "happened")],
}  # fmt: skip


def main(arguments: list[str] | None = None) -> int:
    parser = parser_of(__doc__, ASSET, PARTS)
    options = parser.parse_args(arguments)
    wanted = chosen(parser, options.parts, PARTS)
    torch.set_num_threads(1)
    known = load(options.out).get("parts", {})
    parts = {name: known.get(name, []) for name in PARTS}
    for name in wanted:
        for run in PARTS[name]:
            if is_known(parts[name], asdict(run)):
                continue
            row = measure_run(run, SPLITS, every=min(100, run.steps))
            parts[name].append(row)
            record = {
                **stamp(
                    "OMP_NUM_THREADS=1 python tools/record/sweep_fine_tuning.py", "torch", "numpy"
                ),
                "what": "fine-tuning of the storyteller (course_utils.lora.runs): shares of right answers by split and "
                "task, loss on unseen stories in nats a token, and both on the way",
                "seconds": round(sum(row["seconds"] for rows in parts.values() for row in rows)),
                "parts": parts,
            }
            save(options.out, record)
            print(
                name,
                run,
                row["shares"]["train"]["all"],
                row["story_loss"],
                row["seconds"],
                flush=True,
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
