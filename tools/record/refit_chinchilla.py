"""Fit the Chinchilla law to the published points and record the result, not the points, in
course_utils/scaling_laws/assets.

    OMP_NUM_THREADS=1 python tools/record/refit_chinchilla.py [CSV] [--out FILE]

CSV holds parameters, training FLOP and loss of the 245 runs that Besiroglu et al. 2024 read off
Hoffmann et al. 2022, figure 4; without it they are downloaded (a pinned commit, checked by
SHA-256).
"""

import argparse
import hashlib
import json
import os
import sys
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np  # reads the line above
from records import save, stamp
from scipy import stats

from course_utils.scaling_laws import laws as scaling_laws
from course_utils.scaling_laws import (
    points,
    power_laws,
)

BUDGET = 5.76e23  # FLOP: what Gopher cost, and Chinchilla


def fields(law: scaling_laws.Chinchilla) -> dict:
    return {name: float(f"{value:.6g}") for name, value in vars(law).items()}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("csv", nargs="?", type=Path)
    parser.add_argument("--refits", type=int, default=1000)
    parser.add_argument("--out", type=Path, default=points.RECORD)
    options = parser.parse_args(arguments)
    everything = (
        points.read_points(options.csv.read_text(encoding="utf-8"))
        if options.csv
        else points.download_points()
    )
    N, D, L = points.without_largest(*everything)
    begun = time.process_time()
    law = scaling_laws.fit_chinchilla(N, D, L)
    all_law = scaling_laws.fit_chinchilla(*everything)
    refits = scaling_laws.bootstrap_chinchilla(N, D, L, options.refits)
    seconds = time.process_time() - begun
    residual = np.log(L) - np.log(law.loss(N, D))
    tails, _, scale = stats.t.fit(residual, floc=0)

    def ends(values: list[float]) -> list[float]:
        return [float(f"{end:.6g}") for end in power_laws.percentile_interval(np.array(values))]

    names = ("E", "A", "B", "alpha", "beta", "a")
    budgets = [10.0**power for power in np.arange(18, 27.01, 0.25)]
    record = {
        "what": "the law of Hoffmann et al. 2022, approach 3, fitted again to the points of their figure 4",
        "source": points.ADDRESS, **stamp("OMP_NUM_THREADS=1 python tools/record/refit_chinchilla.py CSV", "numpy", "scipy"),
        "seconds": round(seconds, 1),
        "points_sha256": hashlib.sha256(np.stack(everything).round(3).tobytes()).hexdigest(),
        "points": len(everything[0]), "used": len(N), "refits": options.refits,
        "N": [float(f"{N.min():.3g}"), float(f"{N.max():.3g}")], "C": [float(f"{c:.3g}") for c in ((6 * N * D).min(), (6 * N * D).max())],
        "law": fields(law), "all_points": fields(all_law),
        "intervals": {name: ends([getattr(refit, name) for refit in refits]) for name in names},
        "objective": {name: float(f"{scaling_laws.chinchilla_objective(other.theta, N, D, L):.6g}") for name, other in
                      (("Hoffmann, unrounded", scaling_laws.HOFFMANN), ("Hoffmann, as printed", scaling_laws.HOFFMANN_PRINTED), ("Besiroglu", scaling_laws.BESIROGLU))},
        "residual": {"standard_deviation": round(float(residual.std()), 5), "student_t_scale": round(float(scale), 5),
                     "student_t_degrees": round(float(tails), 2)},
        "budget": {"C": BUDGET, "N": float(f"{law.optimal(BUDGET)[0]:.5g}"), "tokens_per_parameter": round(law.tokens_per_parameter(BUDGET), 2),
                   "N_interval": ends([refit.optimal(BUDGET)[0] for refit in refits]),
                   "tokens_per_parameter_interval": ends([refit.tokens_per_parameter(BUDGET) for refit in refits])},
        "by_budget": [{"C": float(f"{C:.4g}"), "N": ends([r.optimal(C)[0] for r in refits]), "D": ends([r.optimal(C)[1] for r in refits]),
                       "tokens_per_parameter": ends([r.tokens_per_parameter(C) for r in refits])} for C in budgets],
    }  # fmt: skip
    save(options.out, record)
    print(
        json.dumps(
            {
                key: record[key]
                for key in ("law", "intervals", "objective", "residual", "budget", "seconds")
            },
            indent=1,
        )
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
