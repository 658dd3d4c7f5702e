"""Train sparse autoencoders of three kinds on the storyteller's stream, and their controls, three
seeds each, and store their scores.

    OMP_NUM_THREADS=1 python tools/record/sweep_autoencoders.py [--out FILE]

It takes about ten minutes on one core.
"""

import os
import sys
from itertools import product

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch  # reads the line above
from records import gathered, parser_of, save, stamp

from course_utils import assets
from course_utils.sparse_autoencoders import records

KINDS = {
    "L1": (0.03, 0.07, 0.12, 0.2),
    "top-k": (4, 8, 16, 32),
    "JumpReLU": (0.0006, 0.002, 0.005, 0.012),
}
RATES = (1e-2,)
SOURCES = (
    "trained", "untrained", "token + position", "random directions", "principal components", "axes",
)  # fmt: skip
DRAWN = SOURCES[:4]  # the others have no dice
WIDTHS = (64, 128, 256, 512)
SEEDS = range(3)


def main(arguments: list[str] | None = None) -> int:
    out = parser_of(__doc__, assets.path(records.ASSET)).parse_args(arguments).out
    torch.set_num_threads(1)
    head = stamp("OMP_NUM_THREADS=1 python tools/record/sweep_autoencoders.py", "torch")
    units = [(s, seed) for s in SOURCES for seed in (SEEDS if s in DRAWN else [0])]
    kinds = [(kind, value) for kind, values in KINDS.items() for value in values]
    record = {
        **head,
        "units": gathered("units", (records.measure_units(*one) for one in units)),
        "widths": gathered(
            "widths", (records.measure_width(*one) for one in product(WIDTHS, SEEDS))
        ),
        "kinds": gathered(
            "kinds",
            (records.measure_kind(*of, lr, n) for n, of, lr in product(SEEDS, kinds, RATES)),
        ),
    }
    save(out, record)
    return 0


if __name__ == "__main__":
    sys.exit(main())
