"""Measure the fine-tuning runs of lesson 19 and store the rows, after each run, in
course_utils/lora/assets.

    OMP_NUM_THREADS=1 python tools/record/sweep_fine_tuning.py [--out FILE] [ARM …]

Arms: those of course_utils.lora.runs.ARMS; each with three seeds. Rows that the file holds already
are kept.
"""

import os
import sys

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch  # reads the line above
from records import chosen, is_known, load, parser_of, save, stamp

from course_utils import assets
from course_utils.lora.runs import ARMS, RECORD, SEEDS, measure_run


def main(arguments: list[str] | None = None) -> int:
    parser = parser_of(__doc__, assets.path(RECORD), ARMS)
    options = parser.parse_args(arguments)
    wanted = chosen(parser, options.parts, ARMS)
    torch.set_num_threads(1)
    rows = load(options.out).get("rows", [])
    for seed in SEEDS:
        for arm in wanted:
            if is_known(rows, {"arm": arm, "seed": seed}):
                continue
            rows.append(measure_run(arm, seed))
            record = {
                **stamp("OMP_NUM_THREADS=1 python tools/record/sweep_fine_tuning.py", "torch"),
                "what": "fine-tuning of the storyteller in lesson 19 (course_utils.lora.runs): shares of right answers, "
                "variety, and loss on unseen stories in nats a token",
                "rows": rows,
            }
            save(options.out, record)
            print(arm, seed, rows[-1]["curve"][-1], flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
