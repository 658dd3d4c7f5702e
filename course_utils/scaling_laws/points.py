"""The points behind the Chinchilla law: read off a published figure, downloaded where a network is
there, never stored here.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import urllib.request
from functools import lru_cache
from pathlib import Path

import numpy as np

from course_utils import assets

Array = np.ndarray
ADDRESS = (
    "https://raw.githubusercontent.com/epoch-research/analyzing-chinchilla/"
    "92258837425e1b5f2851d624287f0120583a3d0e/data/svg_extracted_data.csv"
)
SHA256 = "193478df4e90f040016431996c45682659306840ecdadf83cfb9cd5ca0aa1b30"
COLUMNS = (("Model Size", "Training FLOP", "loss"), ("params", "flops", "loss"))
RECORD = assets.path("scaling_laws/chinchilla.json")
EXCLUDED = 5  # the largest losses, which the replication leaves out


def read_points(text: str) -> tuple[Array, Array, Array]:
    """Parameters N, tokens D = FLOP / (6 N) and losses L, (n,) each, from CSV with these columns,
    in any order.

    Raises: ValueError where a column is missing or a value is no number.

    >>> N, D, L = read_points("params,flops,loss\\n1e8,6e18,3.1\\n")
    >>> print(N[0], D[0], L[0])
    100000000.0 10000000000.0 3.1
    """
    rows = list(csv.DictReader(io.StringIO(text)))
    names = next((names for names in COLUMNS if rows and set(names) <= set(rows[0])), None)
    if names is None:
        raise ValueError(
            f"the table needs the columns {', '.join(COLUMNS[0])}, or {', '.join(COLUMNS[1])}, and a row"
        )
    N, C, L = np.array([[float(row[name]) for name in names] for row in rows]).T
    return N, C / (6 * N), L


def without_largest(N: Array, D: Array, L: Array, n: int = EXCLUDED) -> tuple[Array, Array, Array]:
    """The points but those of the n largest losses: (m,) -> (m - n,), where no two losses are
    equal.

    Source: Besiroglu et al. 2024, section 3: five runs of very little data, for which the law was
    not meant.

    >>> without_largest(*(np.array([1.0, 2.0, 3.0]),) * 3, n=1)[2]
    array([1., 2.])
    """
    keep = np.sort(np.argsort(L)[: len(L) - n])
    return N[keep], D[keep], L[keep]


def download_points(timeout: float = 10.0) -> tuple[Array, Array, Array]:
    """Fetch the 245 points (N, D, L) that Besiroglu et al. read off figure 4 of Hoffmann et al.
    2022.

    One commit of their repository, checked by SHA-256. timeout: seconds to wait.
    Raises: ConnectionError where there is no network, or where the file is not the one that was
    expected.

    >>> download_points(timeout=0)
    Traceback (most recent call last):
    ValueError: timeout=0 seconds: give more than 0
    """
    if not timeout > 0:
        raise ValueError(f"timeout={timeout} seconds: give more than 0")
    try:
        with urllib.request.urlopen(ADDRESS, timeout=timeout) as answer:
            data = answer.read(1_000_000)
    except OSError as error:
        raise ConnectionError(
            f"the points could not be fetched ({error}): go on with the recorded fit"
        ) from error
    if hashlib.sha256(data).hexdigest() != SHA256:
        raise ConnectionError(
            "what came is not the file of that commit: a proxy may stand between; go on without it"
        )
    return read_points(data.decode("utf-8"))


@lru_cache(maxsize=1)
def recorded_refit(file: Path = RECORD) -> dict:
    """What `tools/record/refit_chinchilla.py` found on these points: date, command, laws,
    intervals, spread of the residuals.

    >>> round(recorded_refit()["law"]["alpha"], 2)
    0.35
    """
    return json.loads(file.read_text(encoding="utf-8"))
