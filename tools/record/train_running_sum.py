"""Train the models of lesson 12, test-time compute: store one stopped half-way, and what all of
them reached.

    OMP_NUM_THREADS=1 python tools/record/train_running_sum.py [--out FOLDER]

Writes running_sum.safetensors (32 kB), early.safetensors (90 kB), test_time.json and trade.json into
course_utils/test_time_compute/assets; four minutes.
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
    best_of,
    majority_vote,
    sum_loss,
)
from course_utils.test_time_compute.search import EARLY, TRADE, flop_a_token
from course_utils.training import train

TASK = RunningSum(p=10, n=8)
TOKENS = 1_000_000
WIDTH = 32
SEEDS = (0, 1, 2)
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


EARLY_STOP = dict(width=16, steps=1500, greedy=0.5, every=10, problems=300)
LOUD = 1.6  # above this loss nothing is right yet, and nothing is measured


def dice(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def greedy(model, digits) -> float:
    said = TASK.sample(model, digits, "steps", 1, 0, None)[:, 0, -1]
    return (said == TASK.sums(digits)[:, -1]).float().mean().item()


def ways(model, digits, seed: int) -> list[tuple[str, int, float]]:
    """Each way to answer: its name, the tokens that it writes, and its accuracy."""
    want = TASK.sums(digits)[:, -1]
    written = TASK.sample(model, digits, "steps", 16, 0.8, dice(seed))
    passed = TASK.verify(digits, written).float()
    found = [("greedy", TASK.n, greedy(model, digits))]
    for k in (4, 16):
        answers = written[:, :k, -1]
        found += [
            (f"vote of {k}", k * TASK.n, (majority_vote(answers) == want).float().mean().item()),
            (
                f"checker, {k}",
                k * TASK.n,
                (best_of(answers, passed[:, :k]) == want).float().mean().item(),
            ),
        ]
    return found


def along(seed: int) -> tuple[dict, int, list[dict]]:
    """One training: the weights where greedy first reaches EARLY_STOP, its step, and what each way
    reaches on the way until greedy is perfect.
    """
    model = TASK.model(EARLY_STOP["width"], seed)
    test = TASK.problems(500, dice(2000 + seed))
    stop = TASK.problems(EARLY_STOP["problems"], dice(3000 + seed))
    kept = {}
    rows = []

    def on_steps(history) -> bool:
        steps = len(history.losses)
        if steps % EARLY_STOP["every"] or sum(history.losses[-10:]) / 10 > LOUD:
            return False
        model.eval()
        if not kept and greedy(model, stop) >= EARLY_STOP["greedy"]:
            kept.update(
                steps=steps, weights={n: p.detach().clone() for n, p in model.named_parameters()}
            )
        spent = 3 * flop_a_token(model) * steps * BATCH * 2 * TASK.n  # 6 a weight and token
        for way, tokens, score in ways(model, test, seed):
            price = flop_a_token(model) * (TASK.n + 1 + tokens)  # the problem is read once
            row = dict(seed=seed, steps=steps, training=spent, way=way, answer=price)
            rows.append(row | dict(accuracy=round(score, 3)))
        model.train()
        return len(rows) > 0 and rows[-5]["accuracy"] > 0.995

    train(
        model,
        TASK.batches("steps", BATCH),
        EARLY_STOP["steps"],
        lr=3e-3,
        final=0.0,
        weight_decay=0.0,
        seed=seed,
        loss_fn=sum_loss,
        progress=False,
        on_steps=on_steps,
    )
    return kept["weights"], kept["steps"], rows


def full(style: str, seed: int) -> dict:
    """One style, trained on TOKENS tokens; its accuracy on 1000 problems, taking the likeliest
    token.
    """
    model = TASK.model(WIDTH, seed)
    m = 1 if style == "direct" else TASK.n  # tokens of an answer
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
    model.eval()
    if style == "told":
        written = TASK.answer_silently(model, digits)
    else:
        written = TASK.sample(model, digits, style, 1, 0, generator)[:, 0]
    right = written[:, -1] == TASK.sums(digits)[:, -1]
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
    early = {}
    stops = []
    trade = []
    for seed in SEEDS:
        kept, stopped, points = along(seed)
        early |= {f"{seed}.{name}": w.contiguous() for name, w in kept.items()}
        stops.append(stopped)
        trade += points
        print(f"seed {seed}: stopped early at step {stopped}, {len(points)} points", flush=True)
    early_record = {"p": TASK.p, "n": TASK.n, **EARLY_STOP, "stopped": stops}
    save_file(early, options.out / EARLY.name, metadata={"record": json.dumps(early_record)})
    made = stamp("OMP_NUM_THREADS=1 python tools/record/train_running_sum.py", "torch")
    what = "accuracy of each way to answer along three trainings, and its FLOP"
    save(options.out / TRADE.name, {**made, "what": what, "early": early_record, "rows": trade})
    rows = []
    for seed in SEEDS:
        for style in (*STYLES, "told"):
            rows.append(full(style, seed))
            print(rows[-1], flush=True)
    out = {
        **made, "what": f"sums of {TASK.n} digits modulo {TASK.p}: accuracy after equal training tokens, by style of the answer",
        "half_way": record, "rows": rows,
    }  # fmt: skip
    save(options.out / RECORD.name, out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
