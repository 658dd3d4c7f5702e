"""Measure the family of small GPTs of lesson 05 and store the rows, after each run, in
course_utils/scaling_laws/assets.

    OMP_NUM_THREADS=1 python tools/record/sweep_scaling.py [--jobs N] [--out FILE] [PART …]

Parts: isoflop, size, data, wall, stories, warm-up. Rows that the file holds already are kept. With --dask
ADDRESS the runs go to that Dask cluster ("local": one on this machine, of --jobs processes of one
thread each); each worker needs this package.
"""

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch  # reads the line above
from joblib import Parallel, delayed
from records import chosen, is_known, load, parser_of, save, stamp

from course_utils.scaling_laws.runs import ASSET, TrainingRun, measure_run, model_for

SEEDS = (0, 1, 2)
BUDGETS = {1e10: (6, 8, 12, 16, 24), 3.16e10: (6, 8, 12, 16, 24, 32), 1e11: (8, 12, 16, 24, 32, 48),
           3.16e11: (16, 24, 32, 48, 64)}  # FLOP: widths  # fmt: skip
UNIQUE = 62_500  # tokens of the data wall's text
WARM_UP = 400_000  # tokens, whatever the run: more than the shortest runs have


def isoflop(seed: int, n_budgets: int = 4) -> list[TrainingRun]:
    """All sizes at each of the n_budgets smallest budgets: D = C / (6 N)."""
    runs = []
    for budget, widths in list(BUDGETS.items())[:n_budgets]:
        for width in widths:
            N = sum(p.numel() for p in model_for(TrainingRun("text", width, 10_000)).parameters())
            runs.append(TrainingRun("text", width, round(budget / (6 * N)), seed))
    return runs


def long_warm_up(seed: int) -> list[TrainingRun]:
    """The sizes of the three smaller budgets, with one warm-up for all, as Kaplan and others had."""
    return [replace(run, warm_up=WARM_UP) for run in isoflop(seed, n_budgets=3)]


PARTS = {
    "isoflop": isoflop,
    "warm-up": long_warm_up,
    "stories": lambda seed: [TrainingRun("stories", width, 125_000 * 2**k, seed) for k in range(5 if seed == 0 else 3)
                             for width in (8, 16, 32, 64)],
    "data": lambda seed: [TrainingRun("text", 48, UNIQUE * 2**k, seed) for k in range(6 if seed == 0 else 4)],
    "wall": lambda seed: [TrainingRun("text", 48, UNIQUE * 2**k, seed, UNIQUE) for k in range(1, 6 if seed == 0 else 4)],
    "size": lambda seed: [TrainingRun("text", width, 500_000, seed) for width in (6, 8, 12, 16, 24, 32, 48, 64)],
}  # fmt: skip


def sweep(
    runs: Iterable[TrainingRun],
    jobs: int = 1,
    known: Sequence[dict] = (),
    on_row: Callable[[list[dict]], None] | None = None,
    work: Callable[[TrainingRun], dict] = measure_run,
) -> list[dict]:
    """Measure runs on `jobs` processes and return their rows; runs that are among the `known` rows
    are not done again.

    on_row(rows so far) is called after each run. The processes are joblib's: inside
    `joblib.parallel_config("dask")` or `("ray")` the same call spreads over that cluster.
    """
    rows = list(known)
    todo = [run for run in runs if not is_known(known, asdict(run))]
    for row in Parallel(n_jobs=jobs, return_as="generator")(delayed(work)(run) for run in todo):
        rows.append(row)
        if on_row:
            on_row(rows)
    return rows


def main(arguments: list[str] | None = None) -> int:
    parser = parser_of(__doc__, ASSET, PARTS)
    parser.add_argument(
        "--jobs", type=int, default=1, help="processes, of one thread each (default 1)"
    )
    parser.add_argument("--dask", metavar="ADDRESS", help='a Dask scheduler, or "local"')
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS)
    options = parser.parse_args(arguments)
    parts = chosen(parser, options.parts, PARTS)
    wanted = [(part, run) for seed in options.seeds for part in parts for run in PARTS[part](seed)]
    part_of = {}
    for part, run in wanted:
        part_of.setdefault(run, []).append(part)
    torch.set_num_threads(1)
    known = load(options.out).get("rows", [])

    def store(rows: list[dict]) -> None:
        record = {
            **stamp("OMP_NUM_THREADS=1 python tools/record/sweep_scaling.py", "torch", "numpy"),
            "what": "small GPTs (course_utils.scaling_laws.runs): N parameters, D tokens read, C = 6ND FLOP, held-out loss in nats",
            "seconds": round(sum(row["seconds"] for row in rows)), "rows": rows,
        }  # fmt: skip
        save(options.out, record)
        print(len(rows), rows[-1], flush=True)

    with cluster(options.dask, options.jobs):
        sweep(list(part_of), -1 if options.dask else options.jobs, known, store)
    return 0


@contextmanager
def cluster(address: str | None, jobs: int = 1) -> Iterator[None]:
    """Inside, joblib's work goes to the Dask scheduler at this address; "local" starts one with
    `jobs` processes.
    """
    if address is None:
        yield
        return
    from distributed import Client
    from joblib import parallel_config

    local = dict(n_workers=max(2, jobs), threads_per_worker=1, dashboard_address="127.0.0.1:0")
    with Client(**local) if address == "local" else Client(address), parallel_config("dask"):
        yield


if __name__ == "__main__":
    sys.exit(main())
