"""Grow the two-layer model of lesson 15 from five seeds, and store what the lesson compares.

    OMP_NUM_THREADS=1 python tools/record/grow_induction.py [--out FILE]

Rows that the file holds already are kept. A seed takes about half a minute.
"""

import os
import sys

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch  # reads the line above
from records import is_known, load, parser_of, save, stamp

from course_utils import assets
from course_utils.induction import study

SEEDS = (0, 1, 2, 3, 4)


def main(arguments: list[str] | None = None) -> int:
    options = parser_of(__doc__, assets.path(study.ASSET)).parse_args(arguments)
    torch.set_num_threads(1)
    rows = load(options.out).get("rows", [])
    for seed in SEEDS:
        if is_known(rows, {"seed": seed}):
            continue
        rows.append(study.measure_seed(seed))
        record = {
            **stamp("OMP_NUM_THREADS=1 python tools/record/grow_induction.py", "torch"),
            "what": "two layers of attention alone, periods 8 to 24, 700 steps (course_utils.induction.study.measure_seed)",
            "rows": rows,
        }  # fmt: skip
        save(options.out, record)
        print(seed, rows[-1]["summary"], rows[-1]["R2"], flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
