"""The record of lesson 07: what tools/record/bend_storyteller.py measured for several seeds. The
lesson makes one run of each kind itself.
"""

from typing import Any

from course_utils import assets

RECORD = "kl_bias/runs.json"
SEEDS = (0, 1, 2)


def recorded() -> dict[str, Any]:
    """What tools/record/bend_storyteller.py measured: `letter`, `bent`, `data` and `cleaned`, a
    list of runs each.

    >>> len(recorded()["bent"])
    3
    """
    return assets.read_json(RECORD)
