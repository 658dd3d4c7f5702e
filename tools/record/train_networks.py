"""Train the networks of lesson 00 on its text from three seeds, for one and for five readings of
it: course_utils/language_models/assets/networks.json.

    OMP_NUM_THREADS=1 python tools/record/train_networks.py [--out FILE]

The learning rate of each network is the best of four on stories that are used for nothing else.
Rows that the file holds already are kept. All together it takes about eight minutes.
"""

import os
import sys

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch  # reads the line above
from records import is_known, load, parser_of, save, stamp

from course_utils import assets
from course_utils.gpt2 import GPT, GPTConfig
from course_utils.language_models import (
    GRUModel,
    WindowMLP,
    held_out,
    surprises,
    train_network,
)
from course_utils.stories import VOCAB, stories

ASSET = "language_models/networks.json"
N_TOKENS = 300_000  # the text that all models of the lesson read
RATES = (0.005, 0.01, 0.02, 0.04)
SEEDS = (0, 1, 2)
PASSES = (1, 5)
VALIDATION, TEST = 1, 2  # seeds of the stories
SHAPE = dict(n_layer=2, n_head=4, n_embd=64, n_positions=192, initializer_range=0.05)


def small_gpt(seed: int) -> GPT:
    """The lesson's small transformer: GPT-2's code, two blocks.

    >>> small_gpt(0).config.n_layer
    2
    """
    config = GPTConfig(vocab_size=len(VOCAB), **SHAPE)
    return GPT(config, torch.Generator().manual_seed(seed))


MODELS = {"window MLP": WindowMLP, "GRU": GRUModel, "transformer": small_gpt}


def measure(name: str, passes: float, rate: float, seed: int, text, judged: dict) -> dict:
    """One row: a network trained, and its mean surprise on each of the held-out texts, in nats."""
    model = MODELS[name](seed)
    train_network(model, text, passes, rate, seed)
    model.eval()
    nats = {
        what: round(torch.cat([surprises(model, story) for story in part]).mean().item(), 4)
        for what, part in judged.items()
    }
    return {"network": name, "passes": passes, "rate": rate, "seed": seed, **nats}


def main(arguments: list[str] | None = None, n_tokens: int = N_TOKENS, n: int = 100) -> int:
    options = parser_of(__doc__, assets.path(ASSET)).parse_args(arguments)
    torch.set_num_threads(1)
    text = stories(0, n_tokens)
    judged = {"validation": held_out(VALIDATION, n), "test": held_out(TEST, n)}
    rows = load(options.out).get("rows", [])

    def add(name: str, passes: float, rate: float, seed: int) -> None:
        known = {"network": name, "passes": passes, "rate": rate, "seed": seed}
        if is_known(rows, known):
            return
        rows.append(measure(name, passes, rate, seed, text, judged))
        record = {
            **stamp("OMP_NUM_THREADS=1 python tools/record/train_networks.py", "torch"),
            "what": f"{n_tokens:,} words of stories(0); mean surprise in nats on {n} stories of seed {VALIDATION} (validation) and of seed {TEST} (test)",
            "rows": rows,
        }
        save(options.out, record)
        print(rows[-1], flush=True)

    for name in MODELS:
        for rate in RATES:
            add(name, 1, rate, 0)
        tried = [row for row in rows if row["network"] == name and row["passes"] == 1]
        best = min((row for row in tried if row["seed"] == 0), key=lambda row: row["validation"])[
            "rate"
        ]
        for passes in PASSES:
            for seed in SEEDS:
                add(name, passes, best, seed)
    return 0


if __name__ == "__main__":
    sys.exit(main())
