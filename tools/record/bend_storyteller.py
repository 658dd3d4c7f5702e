"""Make the runs of lesson 07 for several seeds and store what they measured in
course_utils/kl_bias/assets.

    OMP_NUM_THREADS=1 python tools/record/bend_storyteller.py [--out FILE] [PART …]

Parts: letter, bent, seen, data, cleaned. A part that was not asked for is kept as the file holds
it. All take about ten minutes on one core.
"""

import os
import sys

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch  # reads the line above
from records import chosen, gathered, load, parser_of, save, stamp

from course_utils import assets
from course_utils.kl_bias import bending, girls, letter, runs

PARTS = {
    "letter": (letter.measure_letter, range(5)),
    "bent": (bending.measure_bent, runs.SEEDS),
    "data": (girls.measure_data, runs.SEEDS),
    "cleaned": (bending.measure_cleaned, runs.SEEDS),
    "seen": (girls.measure_seen, runs.SEEDS),
}


def main(arguments: list[str] | None = None) -> int:
    parser = parser_of(__doc__, assets.path(runs.RECORD), PARTS)
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    record = load(options.out)
    for part in chosen(parser, options.parts, PARTS):
        measure, seeds = PARTS[part]
        rows = gathered(part, (measure(seed) for seed in seeds))
        head = stamp("OMP_NUM_THREADS=1 python tools/record/bend_storyteller.py", "torch")
        what = "runs of lesson 07 (course_utils.kl_bias): losses in nats a token, shares, counts of 200"
        record = {**record, **head, "what": what, part: rows}
        save(options.out, record)
    return 0


if __name__ == "__main__":
    sys.exit(main())
