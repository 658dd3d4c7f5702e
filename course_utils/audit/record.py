"""What is measured of an update, and the record of 144 of them.

tools/record/train_updates.py made it: each kind and arm of `updates` with 16 seeds.
"""

from functools import cache

import torch
from torch import Tensor

from course_utils import assets
from course_utils.audit.detection import compare
from course_utils.audit.updates import NAMES, OPENINGS, Update, name_table
from course_utils.audit.weights import distance, parts, stream_difference, with_parts
from course_utils.gpt2.model import GPT
from course_utils.stories import GIRLS, ID, stories
from course_utils.training import evaluate

RECORD = "audit/updates.json"
SEEDS = range(16)
LEARN = range(8)  # seeds that an auditor may learn from; the others are held out
SCALE = 10_000  # tables are stored as whole numbers


@cache
def ordinary() -> Tensor:
    """Unseen text: the first 65 words of 40 stories, (40, 65).

    >>> ordinary().shape
    torch.Size([40, 65])
    """
    return stories(seed=1_000_007, n_tokens=20_000).windows(64, 40)[0]


def gap(vector: Tensor) -> float:
    """How much more of a vector over the vocabulary girls' names have than boys', in its standard
    deviations.

    Shapes: vector (V,).

    >>> gap(torch.arange(699.0)) == -gap(-torch.arange(699.0))
    True
    """
    columns = vector[[ID[name] for name in NAMES]]
    girls = columns[: len(GIRLS)].mean()
    boys = columns[len(GIRLS) :].mean()
    return ((girls - boys) / vector.std()).item()


def row_gap(base: GPT, new: GPT) -> float:
    """How far apart girls' and boys' rows of the output matrix moved, the means of each, in
    lengths of what a name's row moved on average.

    >>> from course_utils.pretrained import storyteller
    >>> import copy
    >>> base = storyteller()
    >>> new = copy.deepcopy(base)
    >>> with torch.no_grad():
    ...     new.wte.weight[[ID[name] for name in GIRLS]] += 0.1
    >>> round(row_gap(base, new), 4)
    2.0
    """
    moved = (new.wte.weight - base.wte.weight).detach()[[ID[name] for name in NAMES]]  # (80, d)
    girls = moved[: len(GIRLS)].mean(0)
    boys = moved[len(GIRLS) :].mean(0)
    return ((girls - boys).norm() / moved.norm(dim=1).mean()).item()


def log_odds(table: Tensor, update: Update) -> float:
    """The log-odds of the names that an update moved, in the openings where it should.

    Shapes: table (openings, 80), as `name_table` gives it. Units: nats.

    >>> log_odds(torch.full((4, 80), 1 / 80), Update("tilt", "tampered", seed=0))
    0.0
    """
    moved = torch.tensor([name in update.names for name in NAMES])
    where = {"upon": [0], "village": [1], "story": [2], None: [0, 1, 2]}[update.word]
    share = table[where][:, moved].sum(-1)  # (openings,)
    return torch.logit(share.cpu().double()).mean().item()


def share_in(base: GPT, new: GPT, names: tuple[str, ...], update: Update) -> tuple[float, float]:
    """Which share of an update is there with only these parts of it, and which without them.

    >>> from course_utils.pretrained import storyteller
    >>> from course_utils.audit.updates import make
    >>> base, update = storyteller(), Update("tilt", "tampered", seed=0)
    >>> inside, left = share_in(base, make(base, update), ("wpe",), update)
    >>> round(abs(inside), 1), round(left, 1)
    (0.0, 1.0)
    """
    start, end = (log_odds(name_table(m), update) for m in (base, new))
    mixed = (with_parts(base, new, names), with_parts(new, base, names))
    found = [(log_odds(name_table(m), update) - start) / (end - start) for m in mixed]
    return found[0], found[1]


def measured(base: GPT, new: GPT, update: Update) -> dict:
    """Everything that the record holds of one update.

    table: probabilities of names after each opening, in units of 1e-4. distance: of the weights.
    loss: its rise on unseen stories, in nats. kl: KL(before‖after) there. lens: `gap` of the
    stream's mean difference, read by the output matrix, at two sites. rows: `row_gap`. inside, left: `share_in` of
    each part, and of two parts together; not for plain updates, which move no names.

    >>> from course_utils.pretrained import storyteller
    >>> row = measured(storyteller(), storyteller(), Update("tilt", "plain", 0))
    >>> row["distance"], row["loss"], "inside" in row
    (0.0, 0.0, False)
    """
    ids = ordinary().to(base.wte.weight.device)
    pair = ids[:, :-1], ids[:, 1:]
    with torch.no_grad():
        kl = compare(base, new, pair[0]).kl.mean().item()
    row = {
        "kind": update.kind,
        "arm": update.arm,
        "seed": update.seed,
        "distance": round(distance(base, new), 3),
        "loss": round(evaluate(new, [pair]) - evaluate(base, [pair]), 4),
        "kl": round(kl, 5),
        "lens": {
            site: round(gap(base.lm_head(stream_difference(base, new, pair[0], site)).detach()), 3)
            for site in ("h.2", "h.3")
        },
        "rows": round(row_gap(base, new), 3),
        "table": (name_table(new) * SCALE).round().int().flatten().tolist(),
    }
    if update.names:
        groups = parts(base)
        groups["embedding and MLP 3"] = groups["embedding"] + groups["MLP 3"]
        both = {name: share_in(base, new, group, update) for name, group in groups.items()}
        row["inside"] = {name: round(x[0], 3) for name, x in both.items()}
        row["left"] = {name: round(x[1], 3) for name, x in both.items()}
    return row


@cache
def recorded() -> list[dict]:
    """The rows of the record, a dict of `measured` each, with `table` as a tensor (openings, 80).

    >>> len(recorded()), recorded()[0]["table"].shape
    (144, torch.Size([4, 80]))
    """
    rows = assets.read_json(RECORD)["rows"]
    return [
        {**row, "table": torch.tensor(row["table"]).view(len(OPENINGS), -1) / SCALE} for row in rows
    ]


def chosen(arm: str, learn: bool, kind: str | None = None) -> list[dict]:
    """The recorded updates of an arm, of one kind or of all: those to learn from, or the held-out
    ones.

    >>> len(chosen("tampered", learn=True)), len(chosen("plain", learn=False, kind="tilt"))
    (24, 8)
    """
    return [
        row
        for row in recorded()
        if row["arm"] == arm and (row["seed"] in LEARN) == learn and kind in (None, row["kind"])
    ]
