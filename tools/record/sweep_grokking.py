"""Train the adder of lesson 17 with and without weight decay from four seeds, and store the curves;
of the first run also what the lesson's first view shows.

    OMP_NUM_THREADS=1 python tools/record/sweep_grokking.py [--out FILE]

Rows that the file holds already are kept. A run of 3,000 steps takes about half a minute.
"""

import os
import sys

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch  # reads the line above
from records import is_known, load, parser_of, save, stamp
from safetensors.torch import save_file

from course_utils import assets
from course_utils.grokking import measures

SEEDS = (0, 1, 2, 3)
DECAYS = (1.0, 0.0)


def main(arguments: list[str] | None = None) -> int:
    options = parser_of(__doc__, assets.path(measures.ASSET)).parse_args(arguments)
    torch.set_num_threads(1)
    if not (file := options.out.with_name(assets.path(measures.FILM).name)).exists():
        save_file(measures.film(*measures.train_from(0, 1.0, 1600)), file)
    rows = load(options.out).get("rows", [])
    for seed in SEEDS:
        for decay in DECAYS:
            if is_known(rows, {"seed": seed, "weight decay": decay}):
                continue
            rows.append(measures.measure_run(seed, decay))
            record = {
                **stamp("OMP_NUM_THREADS=1 python tools/record/sweep_grokking.py", "torch"),
                "what": "a + b modulo 53, 35 % of the pairs trained on, 3,000 full batches (course_utils.grokking.measures.measure_run)",
                "rows": rows,
            }  # fmt: skip
            save(options.out, record)
            print(seed, decay, rows[-1]["frequencies"], rows[-1]["curves"]["new pairs"][::10], flush=True)  # fmt: skip
    return 0


if __name__ == "__main__":
    sys.exit(main())
