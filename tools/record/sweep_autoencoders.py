"""Train sparse autoencoders of three kinds on the storyteller's stream, and their controls, three
seeds each, and store their scores.

    OMP_NUM_THREADS=1 python tools/record/sweep_autoencoders.py [--out FILE] [PART ...]

It takes about fifteen minutes on one core. The parts that are not named stay as they are.
"""

import os
import sys
from collections.abc import Iterator
from itertools import product

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch  # reads the line above
from records import chosen, gathered, load, parser_of, save, stamp

from course_utils import assets
from course_utils.sparse_autoencoders import records

KINDS = {
    "L1": (0.03, 0.07, 0.12, 0.2),
    "top-k": (4, 8, 16, 32),
    "JumpReLU": (0.0006, 0.002, 0.005, 0.012),
}
RATE = 1e-2
OTHER_RATES = (  # at two others, the settings that come nearest to 8 units a token
    ("L1", 0.3, 3e-3), ("L1", 0.12, 3e-2), ("top-k", 8, 3e-3), ("top-k", 8, 3e-2),
    ("JumpReLU", 0.03, 3e-3), ("JumpReLU", 0.005, 3e-2),
)  # fmt: skip
SOURCES = (
    "trained", "untrained", "random blocks", "token + position", "random directions",
    "principal components", "axes",
)  # fmt: skip
DRAWN = SOURCES[:5]  # the others have no dice
WIDTHS = (64, 128, 256, 512)
SEEDS = range(3)
VECTORS = (
    ("best unit", 3), ("minus the boy unit", 3), ("difference of means", 1), ("random", 10), ("aimed", 3),
)  # fmt: skip


def measured(part: str) -> Iterator[dict]:
    """The rows of a part, one after the other."""
    if part == "units":
        units = [(s, seed) for s in SOURCES for seed in (SEEDS if s in DRAWN else [0])]
        return (records.measure_units(*one) for one in units)
    if part == "widths":
        return (records.measure_width(*one) for one in product(WIDTHS, SEEDS))
    if part == "steering":
        return (records.measure_steering(what, n) for what, many in VECTORS for n in range(many))
    plain = [(kind, value, RATE) for kind, values in KINDS.items() for value in values]
    runs = plain if part == "kinds" else OTHER_RATES
    return (records.measure_kind(*run, n) for n, run in product(SEEDS, runs))


def main(arguments: list[str] | None = None) -> int:
    parser = parser_of(__doc__, assets.path(records.ASSET), records.PARTS)
    options = parser.parse_args(arguments)
    parts = chosen(parser, options.parts, records.PARTS)
    torch.set_num_threads(1)
    head = stamp("OMP_NUM_THREADS=1 python tools/record/sweep_autoencoders.py", "torch")
    known = load(options.out)
    found = {part: gathered(part, measured(part)) for part in parts}
    save(options.out, {**known, **head, **found})
    return 0


if __name__ == "__main__":
    sys.exit(main())
