"""Train the small students of lesson 21 and store their losses, and one of them, in
course_utils/compression/assets.

    OMP_NUM_THREADS=1 python tools/record/train_small.py [--out FOLDER]

Writes compression.json after each run and student.safetensors at the end; about 10 minutes on one
thread.
"""

import os
import sys
import time

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch  # reads the line above
from records import parser_of, save, stamp

from course_utils.compression.distillation import RECORD, School
from course_utils.pretrained import trained
from course_utils.training import evaluate

SEEDS = (0, 1, 2)
STEPS, LONG = 200, 2000


def plan() -> list[tuple[str, str, int, int]]:
    """(text, teacher, steps, seed) of every run: equal steps for all teachers, and labels for
    longer.
    """
    runs = [("few", arm, 100, 0) for arm in ("labels", "teacher")]
    for seed in SEEDS:
        runs += [
            ("few", arm, STEPS, seed) for arm in ("labels", "teacher", "teacher, T = 2", "perfect")
        ]
        runs += [("fresh", arm, STEPS, seed) for arm in ("labels", "teacher", "perfect")]
        runs += [
            ("fresh", "labels", steps, seed)
            for steps in (STEPS * 5 // 4, STEPS * 3 // 2, 2 * STEPS)
        ]
    return [*runs, ("fresh", "teacher", LONG, 0)]


def main(arguments: list[str] | None = None) -> int:
    options = parser_of(__doc__, RECORD.parent).parse_args(arguments)
    torch.set_num_threads(1)
    schools = {text: School(text) for text in ("few", "fresh")}
    rows = []
    teacher = round(evaluate(trained().model, schools["few"].test), 4)  # both schools have one test
    for text, arm, steps, seed in plan():
        school = schools[text]
        start = time.perf_counter()
        model, _ = school.teach(arm, steps, seed, progress=False)
        row = {
            "text": text,
            "arm": arm,
            "steps": steps,
            "seed": seed,
            "loss": round(evaluate(model, school.test), 4),
        }
        rows.append(row | {"seconds": round(time.perf_counter() - start, 1)})
        print(rows[-1], flush=True)
        record = stamp("OMP_NUM_THREADS=1 python tools/record/train_small.py", "torch") | {
            "what": "students of 2 layers and 64 dimensions: nats per word on 32 windows of 128 words of unseen stories",
            "best": round(school.best, 4), "teacher": teacher, "rows": rows,
        }  # fmt: skip
        save(options.out / "compression.json", record)
    model.save(
        options.out / "student.safetensors", what=f"distilled from the storyteller in {LONG} steps"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
