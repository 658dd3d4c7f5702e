"""The induction circuit: grown from scratch, read, cut and rescued in lesson 15."""

from course_utils.induction.ablation import (
    ablated,
    all_heads,
    explained,
    fitted_harm,
    harm,
    harm_swapped,
    harm_through,
    interactions,
    look_back,
    mean_ablate,
    predicted_harm,
    swapped,
    zero_ablate,
)
from course_utils.induction.heads import (
    attention_only,
    grow,
    late_repeats,
    look,
    repeat_batches,
    repeated_sequences,
    rise,
    token_losses,
)
from course_utils.induction.study import (
    STARTS,
    late_losses,
    measure_seed,
    previous_heads,
    recorded,
    summary,
    theories,
)
from course_utils.induction.weights import copying_score, ov_circuit, qk_circuit

__all__ = [
    "STARTS",
    "ablated",
    "all_heads",
    "attention_only",
    "copying_score",
    "explained",
    "fitted_harm",
    "grow",
    "harm",
    "harm_swapped",
    "harm_through",
    "interactions",
    "late_losses",
    "late_repeats",
    "look",
    "look_back",
    "mean_ablate",
    "measure_seed",
    "ov_circuit",
    "predicted_harm",
    "previous_heads",
    "qk_circuit",
    "recorded",
    "repeat_batches",
    "repeated_sequences",
    "rise",
    "summary",
    "swapped",
    "theories",
    "token_losses",
    "zero_ablate",
]

LESSON = "15"
