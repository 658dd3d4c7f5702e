"""Fine-tune the assistant for lesson 22, over three seeds, and record what came out.

    OMP_NUM_THREADS=1 python tools/record/drill_secrets.py [--out FILE]

Writes course_utils/guard_rails/assets/runs.json; four arms of three seeds, about five minutes.
"""

import os
import sys

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch  # reads the line above
from records import parser_of, save, stamp

from course_utils import assets
from course_utils.guard_rails import runs
from course_utils.pretrained import assistant

TESTS = 6  # tries of a family; what else is counted is a multiple of it


def main(arguments: list[str] | None = None) -> int:
    options = parser_of(__doc__, assets.path(runs.RECORD)).parse_args(arguments)
    torch.set_num_threads(1)
    rows = [{"arm": "before", "seed": 0, **runs.figures(assistant(), TESTS)}]
    for arm in runs.ARMS:
        for seed in runs.SEEDS:
            rows.append({"arm": arm, "seed": seed, **runs.figures(runs.make(arm, seed), TESTS)})
            print(arm, seed, rows[-1]["secrets"], flush=True)
    save(
        options.out,
        {
            **stamp("OMP_NUM_THREADS=1 python tools/record/drill_secrets.py", "torch"),
            "what": "fine-tuning in lesson 22 (course_utils.guard_rails.runs): losses in nats a token, shares of right answers and refusals, wordings that get a secret, and secrets of 20 told after a suffix that a search found",
            "rows": rows,
        },
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
