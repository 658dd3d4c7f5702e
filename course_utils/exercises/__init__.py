"""The exercises of all notebooks: `check`, `hint` and `solution` by `topic.name`."""

from collections.abc import Sequence
from functools import cache
from importlib import import_module

from course_utils.checking.engine import Catalog, Exercise

# In course order; one module each.
TOPICS = ("tokenization", "attention", "transformer_block", "gpt2", "scaling_laws", "superposition", "kl_bias",
          "interpretability", "post_training")  # fmt: skip


@cache
def _load(topic: str) -> Sequence[Exercise]:
    return import_module(f"{__name__}.{topic}").EXERCISES


catalog = Catalog(_load, TOPICS)
check, hint, solution = catalog.check, catalog.hint, catalog.solution
