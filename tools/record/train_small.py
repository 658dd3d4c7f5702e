"""Train what lesson 21 compares and store the losses, row by row, in
course_utils/compression/assets: students, pruned models that heal, adapters on quantized bases.

    OMP_NUM_THREADS=1 python tools/record/train_small.py [--out FILE] [PART …]

Rows that the file holds already are kept. Learning rates are chosen with seed 0 and by stories of
their own. The part "student" writes student.safetensors instead of rows. About 30 minutes on one
thread.
"""

import os
import sys

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("COURSE_QUIET", "1")

from collections.abc import Iterator
from functools import lru_cache

import torch  # reads the line above
from records import chosen, is_known, load, parser_of, save, stamp

from course_utils.compression import runs
from course_utils.compression.distillation import STUDENT, School
from course_utils.lora.adapters import merge_lora

STEPS, LONG = 200, 2000
STUDENT_RATE = 5e-3
RATES = (2.5e-3, 5e-3, 1e-2, 2e-2)
LONG_RATES = (5e-3, 1e-2)  # of the baseline
LITTLE = (3e-4, 1e-3, 3e-3)  # rates, by how much there is to heal
MUCH = (1e-3, 3e-3, 1e-2)
ARMS = [
    ("magnitude", 0.0, LITTLE),
    ("magnitude", 0.5, LITTLE),
    ("magnitude", 0.8, MUCH),
    ("magnitude", 0.9, MUCH),
    ("random", 0.8, MUCH),
]


def marks(model) -> dict:
    return {
        "choosing": round(runs.story_losses(model, runs.choosing()).mean().item(), 4),
        "loss": round(runs.story_losses(model).mean().item(), 4),
    }


def cooled_marks(model) -> dict:
    """Marks of a student, who is read at the best temperature by `choosing`: a student of softened
    answers is too sure of itself. "loss" is at temperature 1.
    """
    at = runs.own_temperature(model)
    losses = {
        "choosing": runs.story_losses(model, runs.choosing(), at),
        "loss": runs.story_losses(model),
        "cooled": runs.story_losses(model, temperature=at),
    }
    return {"read at": at} | {name: round(some.mean().item(), 4) for name, some in losses.items()}


school = lru_cache(maxsize=2)(School)


def taught(key: dict) -> dict:
    """Train the student of a row, and mark it."""
    pupil, _ = school(key["text"]).teach(
        key["T"], key["lr"], key["steps"], key["seed"], progress=False
    )
    return cooled_marks(pupil)


def with_best(rows: list[dict], key: dict, name: str, values: tuple) -> Iterator[dict]:
    """What is still to do for an arm: seed 0 at each value, then the other seeds at the best."""
    best = values[0]
    if len(values) > 1:
        for value in values:
            yield key | {name: value, "seed": 0}
        first = [r for r in rows if r["seed"] == 0 and all(r.get(k) == v for k, v in key.items())]
        best = min(first, key=lambda row: row["choosing"])[name]
    for seed in runs.SEEDS:
        yield key | {name: best, "seed": seed}


def distil(rows):
    for text, temperatures in (("few", (0.0, 1.0, 2.0, 4.0)), ("fresh", (0.0, 1.0))):
        for T in temperatures:
            arm = {"part": "distil", "text": text, "T": T, "steps": STEPS}
            for key in with_best(rows, arm, "lr", RATES):
                yield key, lambda k=key: taught(k)


def heal(rows):
    for way, sparsity, rates in ARMS:
        arm = {"part": "heal", "way": way, "sparsity": sparsity, "steps": runs.HEALING}
        for key in with_best(rows, arm, "lr", rates):

            def measure(k=key):
                before, after = runs.heal(k["way"], k["sparsity"], k["lr"], seed=k["seed"])
                return {"before": marks(before)["loss"]} | marks(after)

            yield key, measure


def stories(rows):
    arm = {"part": "stories", "bits": 2, "steps": runs.ADAPTING}
    for key in with_best(rows, arm, "lr", (3e-3, 1e-2, 2e-2)):
        yield key, lambda k=key: marks(runs.story_adapter(2, k["lr"], k["seed"]))


def adapter(rows):
    for seed in (0, 1, 2):
        for bits in runs.BASES:
            key = {"part": "adapter", "base": bits, "learnt on": bits, "seed": seed}
            others = [
                {"part": "adapter", "base": b, "learnt on": how, "seed": seed}
                for b in ("2 bits",)
                for how in ("float", "float, then merged and rounded")
            ]
            if bits == "float" and all(is_known(rows, other) for other in (key, *others)):
                continue
            if is_known(rows, key) and bits != "float":
                continue
            model, mark = runs.adapted(bits, seed)
            yield key, lambda m=model, end=mark: {"end": end} | runs.adapter_marks(m)
            if bits == "float":
                for other in others:
                    if other["learnt on"] == "float":
                        small = runs.moved(model, runs.chat_base(other["base"]))
                    else:
                        small = runs.chat_base(other["base"], merge_lora(model))
                    yield other, lambda m=small: runs.adapter_marks(m)


def rates(rows):
    """The adapter on floats at twice the rate, so that the base in floats has its better one."""
    for seed in (0, 1, 2):
        key = {"part": "rates", "base": "float", "lr": 2e-2, "seed": seed}
        yield key, lambda k=key: runs.adapter_marks(runs.adapted("float", k["seed"], lr=2e-2)[0])


def long(rows):
    """As many steps on fresh words as the student of the file has, on the words alone: its
    baseline.
    """
    arm = {"part": "distil", "text": "fresh", "T": 0.0, "steps": LONG}
    for key in with_best(rows, arm, "lr", LONG_RATES):
        yield key, lambda k=key: taught(k)


PARTS = {
    "distil": distil,
    "heal": heal,
    "stories": stories,
    "adapter": adapter,
    "rates": rates,
    "long": long,
}


def main(arguments: list[str] | None = None) -> int:
    parser = parser_of(__doc__, runs.RECORD, (*PARTS, "student"))
    options = parser.parse_args(arguments)
    wanted = chosen(parser, options.parts, (*PARTS, "student"))
    torch.set_num_threads(1)
    rows = load(options.out).get("rows", [])
    for part in wanted:
        if part == "student":
            model, _ = School("fresh").teach(1.0, STUDENT_RATE, LONG, progress=False)
            model.save(
                options.out.parent / STUDENT.name,
                what=f"distilled from the storyteller in {LONG} steps",
            )
            continue
        for key, measure in PARTS[part](rows):
            if is_known(rows, key):
                continue
            rows.append(key | measure())
            print(rows[-1], flush=True)
            record = stamp("OMP_NUM_THREADS=1 python tools/record/train_small.py", "torch") | {
                "what": "lesson 21: losses in nats a word on windows of 128 words of unseen stories "
                "(course_utils.compression.runs); shares of right answers and variety by temperature",
                "rows": rows,
            }
            save(options.out, record)
    return 0


if __name__ == "__main__":
    sys.exit(main())
