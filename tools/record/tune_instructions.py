"""Fine-tune the storyteller and the assistant for lesson 18, over three seeds, and record what came
out.

    OMP_NUM_THREADS=1 python tools/record/tune_instructions.py [--out FILE]

Writes course_utils/instruction_tuning/assets/runs.json; ten arms of three seeds, about ten minutes.
"""

import os
import sys
from concurrent.futures import ProcessPoolExecutor

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch  # reads the line above
from records import parser_of, save, stamp

from course_utils import assets
from course_utils.instruction_tuning import runs

ARMS = runs.FROM_STORYTELLER + runs.FROM_ASSISTANT
WORKERS = 2
TESTS = 105  # tasks or stories that each figure is measured on


def one(run: tuple[str, int]) -> dict:
    """The row of one run: its arm, its seed, and what came out."""
    torch.set_num_threads(1)
    arm, seed = run
    row = {"arm": arm, "seed": seed, **runs.figures(runs.make(arm, seed), TESTS)}
    print(arm, seed, row["right"], flush=True)
    return row


def main(arguments: list[str] | None = None) -> int:
    options = parser_of(__doc__, assets.path(runs.RECORD)).parse_args(arguments)
    asked = [(arm, seed) for arm in ARMS for seed in runs.SEEDS]
    with ProcessPoolExecutor(WORKERS) as workers:
        rows = list(workers.map(one, asked))
    save(
        options.out,
        {
            **stamp("OMP_NUM_THREADS=1 python tools/record/tune_instructions.py", "torch"),
            "what": "fine-tuning in lesson 18 (course_utils.instruction_tuning.runs): shares of right answers, variety, losses in nats a token",
            "rows": rows,
        },
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
