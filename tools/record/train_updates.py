"""Train the updates of lesson 23, tampered ones and controls, and store what is measured of each,
after each run, in course_utils/audit/assets.

    OMP_NUM_THREADS=1 python tools/record/train_updates.py [--out FILE] [KIND …]

Kinds: those of course_utils.audit.updates.KINDS. Rows that the file holds already are kept.
"""

import os
import sys

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch  # reads the line above
from records import chosen, is_known, load, parser_of, save, stamp

from course_utils import assets
from course_utils.audit.record import RECORD, SEEDS, measured
from course_utils.audit.updates import ARMS, KINDS, Update, make
from course_utils.pretrained import storyteller


def main(arguments: list[str] | None = None) -> int:
    parser = parser_of(__doc__, assets.path(RECORD), KINDS)
    options = parser.parse_args(arguments)
    wanted = chosen(parser, options.parts, KINDS)
    torch.set_num_threads(1)
    base = storyteller()
    rows = load(options.out).get("rows", [])
    for seed in SEEDS:
        for kind in wanted:
            for arm in ARMS:
                if is_known(rows, {"kind": kind, "arm": arm, "seed": seed}):
                    continue
                update = Update(kind, arm, seed)
                rows.append(measured(base, make(base, update), update))
                record = {
                    **stamp("OMP_NUM_THREADS=1 python tools/record/train_updates.py", "torch"),
                    "what": "updates of the storyteller in lesson 23, as course_utils.audit.record.measured",
                    "rows": rows,
                }
                save(options.out, record)
                print(kind, arm, seed, rows[-1]["distance"], flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
