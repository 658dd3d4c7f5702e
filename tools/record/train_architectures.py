"""Train the models of lesson 11, architectures, with three seeds each: newer parts against Model 5
on stories, experts on facts and on stories, one text into another.

    OMP_NUM_THREADS=1 python tools/record/train_architectures.py [--out FOLDER] [PART ...]

Writes architectures.json into course_utils/architectures/assets; six minutes. A PART is one of
parts, mixtures, facts, families; the others stay as they are.
"""

import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch  # reads the line above
from records import chosen, gathered, load, parser_of, save, stamp

from course_utils.architectures import runs, translation

FOLDER = Path(runs.__file__).parent / "assets"
FILE = Path(runs.RECORD).name
SEEDS = (0, 1, 2)
RATE_OF_FAMILIES = 3e-3
STEPS_OF_FAMILIES = 500


def best_rate(
    rates: tuple[float, ...], measure: Callable[[float], dict], key: str, sign: int
) -> tuple[list[dict], float]:
    """Run every rate with the first seed; return the rows, and the rate that was best."""
    rows = [measure(lr) for lr in rates]
    return rows, min(rows, key=lambda row: sign * row[key])["lr"]


def on_stories(name: str, config, steps: int, lr: float, seed: int, balance: float = 0.01) -> dict:
    """One model on stories."""
    model, loss = runs.learn_stories(config, steps, lr, seed, balance=balance)
    row = dict(name=name, seed=seed, lr=lr, steps=steps, loss=round(loss, 4))
    row["parameters"] = sum(p.numel() for p in model.parameters())
    row["flop"] = runs.flop(model, torch.zeros(1, runs.T, dtype=torch.long))
    if config.n_expert:
        row["balance"] = balance
        row["largest_share"] = round(runs.most_used(model), 3)
    return row


def race(models: dict, steps: int | None) -> Iterator[dict]:
    """Each model at each rate with one seed, then the other seeds at its best rate."""
    for name, config in models.items():
        n = steps or runs.equal_steps(config)
        rows, lr = best_rate(
            runs.RATES,
            lambda lr, c=config, n=n, name=name: on_stories(name, c, n, lr, 0),
            "loss",
            1,
        )
        yield from rows
        for seed in SEEDS[1:]:
            yield on_stories(name, config, n, lr, seed)


def parts() -> Iterator[dict]:
    """Newer parts against Model 5, at equal arithmetic."""
    yield from race(runs.ON_STORIES, None)


def mixtures() -> Iterator[dict]:
    """Experts on stories, beside Model 5, and what they do without the balance."""
    yield from race(runs.MIXTURES, runs.STEPS)
    for seed in SEEDS:
        name = "8 experts, no balance"
        config = runs.MIXTURES["8 experts"]
        yield on_stories(name, config, runs.STEPS, runs.RATES[0], seed, balance=0.0)


def facts() -> Iterator[dict]:
    """Experts on facts."""

    def known(name: str, lr: float, seed: int) -> dict:
        model, share = runs.learn_facts_with(name, lr, seed)
        n = sum(p.numel() for p in model.mix.parameters())
        return dict(name=name, seed=seed, lr=lr, known=round(share, 4), parameters=n)

    for name in runs.ON_FACTS:
        rows, lr = best_rate(runs.FACT_RATES, lambda lr, name=name: known(name, lr, 0), "known", -1)
        yield from rows
        for seed in SEEDS[1:]:
            yield known(name, lr, seed)


def families() -> Iterator[dict]:
    """One text into another."""
    for name in translation.FAMILIES:
        for seed in SEEDS:
            model = translation.learn_orders(name, STEPS_OF_FAMILIES, RATE_OF_FAMILIES, seed)
            right = translation.right_letters(model)
            n = sum(p.numel() for p in model.parameters())
            yield dict(
                name=name, seed=seed, lr=RATE_OF_FAMILIES, right=round(right, 4), parameters=n
            )


PARTS = {f.__name__: f for f in (parts, mixtures, facts, families)}


def main(arguments: list[str] | None = None) -> int:
    parser = parser_of(__doc__, FOLDER, PARTS)
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    for part in chosen(parser, options.parts, PARTS):
        begun = time.process_time()
        rows = gathered(part, PARTS[part]())
        seconds = round(time.process_time() - begun)
        file = options.out / FILE
        out = {
            **stamp("OMP_NUM_THREADS=1 python tools/record/train_architectures.py", "torch"),
            "what": "lesson 11: newer parts, experts and families, three seeds each",
        }
        old = load(file)
        save(file, old | out | {part: rows, f"seconds_{part}": seconds})
    return 0


if __name__ == "__main__":
    sys.exit(main())
