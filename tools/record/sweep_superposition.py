"""Train lesson 06's toy model at the paper's size, 400 features in 30 dimensions, for fourteen
densities, and store what share of a dimension each feature has; and models of five sizes in a world
of 256 features, with and without lengths held at 1.

    OMP_NUM_THREADS=1 python tools/record/sweep_superposition.py [--out FILE] [crowd] [scaling]

It takes about six minutes on one core. The scaling goes into a file beside the other.
"""

import os
import sys

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch  # reads the line above
from records import chosen, gathered, parser_of, save, stamp

from course_utils import assets
from course_utils.superposition import records

SIZE = {"n": 400, "m": 30, "steps": 6000, "batch": 512}
DENSITIES = 1 / torch.logspace(0, 1.1, 14)
WIDTHS = (4, 8, 16, 32, 64)
PARTS = ("crowd", "scaling")


def main(arguments: list[str] | None = None) -> int:
    parser = parser_of(__doc__, assets.path(records.ASSET), PARTS)
    options = parser.parse_args(arguments)
    asked = chosen(parser, options.parts, PARTS)
    torch.set_num_threads(1)
    head = stamp("OMP_NUM_THREADS=1 python tools/record/sweep_superposition.py", "torch")
    if "crowd" in asked:
        what = "D_i of the features kept, equal importance, lr 3e-3 (course_utils.superposition.records.measure_crowd)"
        rows = records.measure_crowd(densities=DENSITIES, **SIZE)
        save(options.out, {**head, "what": what, **SIZE, "rows": rows})
    if "scaling" in asked:
        what = "three seeds each, 1000 steps (course_utils.superposition.records.measure_scaling)"
        sizes = ((m, unit) for unit in (False, True) for m in WIDTHS)
        rows = gathered("scaling", (records.measure_scaling(256, m, unit) for m, unit in sizes))
        save(options.out.with_name("scaling.json"), {**head, "what": what, "rows": rows})
    return 0


if __name__ == "__main__":
    sys.exit(main())
