"""Benchmarks: contenders do the same work side by side in one run, so that what counts is a ratio,
not a machine.

    python tools/bench.py [TOPIC …] [--repeats N] [--json FILE]

Prints a table for each race; exits with 1 where ours misses a required minimum or where two answers
disagree. The races of a topic are in tools/races/TOPIC.py; to add a topic, write its module with
`races()`.
"""

import argparse
import json
import os
import platform
import statistics
import sys
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # one thread each
os.environ.setdefault("RAYON_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

from races import OURS, TOPICS, Race  # noqa: E402 (they import torch, which reads the lines above)


@dataclass(frozen=True)
class Row:
    """One contender of one race. `ratio` is its time divided by ours; `met` is None where nothing
    is required.
    """

    race: str
    contender: str
    seconds: float
    ratio: float
    required: float | None
    met: bool | None
    agrees: bool | None


def run(race: Race, repeats: int) -> list[Row]:
    """Runs everyone once to warm up, then `repeats` rounds of all in turn; the median of each
    counts.
    """
    if OURS not in race.contenders or repeats < 1:
        raise ValueError(
            f"a race needs {OURS} among its contenders and at least one round; got {repeats} rounds."
        )
    answers = {name: work() for name, work in race.contenders.items()}
    seconds = {name: [] for name in race.contenders}
    for _ in range(repeats):
        for name, work in race.contenders.items():
            start = race.clock()
            work()
            seconds[name].append(race.clock() - start)
    median = {name: statistics.median(times) for name, times in seconds.items()}
    rows = []
    for name in race.contenders:
        ratio = median[name] / median[OURS]
        required = race.required.get(name)
        agrees = race.equal(answers[name], answers[OURS]) if name in race.same else None
        met = None if required is None else ratio >= required
        rows.append(Row(race.title, name, median[name], ratio, required, met, agrees))
    return rows


def table(rows: list[Row]) -> str:
    """The rows of one race, as text."""
    lines = [rows[0].race, f"  {'':<16} {'seconds':>9} {'x ours':>9}  required"]
    for row in rows:
        verdict = (
            "" if row.met is None else f">= {row.required:g}: {'met' if row.met else 'NOT MET'}"
        )
        verdict += "" if row.agrees is not False else "  ANSWERS DISAGREE"
        lines.append(
            f"  {row.contender:<16} {row.seconds:>9.4f} {row.ratio:>9.2f}  {verdict}".rstrip()
        )
    return "\n".join(lines)


def failed(rows: list[Row]) -> bool:
    """True where a minimum is missed or an answer differs."""
    return any(row.met is False or row.agrees is False for row in rows)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "topics", nargs="*", metavar="TOPIC", help=f"any of: {', '.join(TOPICS)} (default: all)"
    )
    parser.add_argument(
        "--repeats", type=int, default=3, help="rounds after the warm-up (default 3)"
    )
    parser.add_argument("--json", type=Path, help="write the rows to this file, too")
    options = parser.parse_args(arguments)
    if unknown := sorted(set(options.topics) - set(TOPICS)):
        parser.error(
            f"no benchmarks for {', '.join(unknown)}; there are benchmarks for {', '.join(TOPICS)}"
        )
    if options.repeats < 1:
        parser.error("--repeats needs at least 1")
    rows: list[Row] = []
    for name in options.topics or TOPICS:
        for race in import_module(f"races.{name}").races():
            result = run(race, options.repeats)
            print(f"{name}: {table(result)}\n", flush=True)
            rows += result
    if options.json:
        machine = {
            "python": platform.python_version(),
            "machine": platform.machine(),
            "cores": os.cpu_count(),
        }
        machine |= {
            package: version(package)
            for package in ("tokenizers", "tiktoken", "torch", "transformers")
        }
        rows_as_json = [vars(row) for row in rows]
        options.json.write_text(
            json.dumps({"versions": machine, "rows": rows_as_json}, indent=1) + "\n"
        )
    return int(failed(rows))


if __name__ == "__main__":
    sys.exit(main())
