"""Train the models of lesson 12, test-time compute: store one stopped half-way, and what all of
them reached.

    OMP_NUM_THREADS=1 python tools/record/train_running_sum.py [--out FOLDER]

Writes running_sum.safetensors (32 kB) and test_time.json into
course_utils/test_time_compute/assets; six minutes.
"""

import json
import os
import sys
import time

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch  # reads the line above
from records import parser_of, save, stamp
from safetensors.torch import save_file

from course_utils.test_time_compute.running_sum import (
    HALF_TRAINED,
    RECORD,
    STYLES,
    RunningSum,
    sum_loss,
)
from course_utils.training import train

TASK = RunningSum(p=10, n=8)
TOKENS = 3_000_000
WIDTH = 32
BATCH = 64
HALF = dict(width=16, steps=977, below=0.3)  # stop where the mean loss of 10 steps falls below


def half_way(seed: int = 0):
    """A narrow model on written-out steps, stopped where it errs in about half of its samples."""
    model = TASK.model(HALF["width"], seed)
    history = train(
        model,
        TASK.batches("steps", BATCH),
        HALF["steps"],
        lr=3e-3,
        final=0.0,
        weight_decay=0.0,
        seed=seed,
        loss_fn=sum_loss,
        progress=False,
        on_steps=lambda h: sum(h.losses[-10:]) / 10 < HALF["below"],
    )
    return model.eval(), len(history.losses)


def full(style: str, seed: int) -> dict:
    """One style, trained on TOKENS tokens; its accuracy on 1000 problems, taking the likeliest
    token.
    """
    model = TASK.model(WIDTH, seed)
    m = 1 if style == "direct" else TASK.n
    begun = time.process_time()
    steps = round(TOKENS / (BATCH * (TASK.n + 1 + m)))
    train(
        model,
        TASK.batches(style, BATCH),
        steps,
        lr=3e-3,
        final=0.0,
        weight_decay=0.0,
        seed=seed,
        loss_fn=sum_loss,
        progress=False,
    )
    generator = torch.Generator().manual_seed(1000 + seed)
    digits = TASK.problems(1000, generator)
    right = (
        TASK.sample(model.eval(), digits, style, 1, 0, generator)[:, 0, -1]
        == TASK.sums(digits)[:, -1]
    )
    N = sum(p.numel() for p in model.parameters())
    return dict(
        style=style,
        seed=seed,
        width=WIDTH,
        N=N,
        steps=steps,
        tokens=TOKENS,
        accuracy=round(right.float().mean().item(), 4),
        seconds=round(time.process_time() - begun, 1),
    )


def main(arguments: list[str] | None = None) -> int:
    options = parser_of(__doc__, RECORD.parent).parse_args(arguments)
    torch.set_num_threads(1)
    model, steps = half_way()
    record = {"p": TASK.p, "n": TASK.n, **HALF, "steps": steps}
    weights = {name: p.detach().contiguous() for name, p in model.named_parameters()}
    save_file(weights, options.out / HALF_TRAINED.name, metadata={"record": json.dumps(record)})
    print(record, flush=True)
    rows = []
    for seed in (0, 1):
        for style in STYLES:
            rows.append(full(style, seed))
            print(rows[-1], flush=True)
    out = {
        **stamp("OMP_NUM_THREADS=1 python tools/record/train_running_sum.py", "torch"),
        "what": f"sums of {TASK.n} digits modulo {TASK.p}: accuracy after equal training tokens, by style of the answer",
        "half_way": record, "rows": rows,
    }  # fmt: skip
    save(options.out / RECORD.name, out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
