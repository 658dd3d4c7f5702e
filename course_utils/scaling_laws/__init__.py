"""How loss falls with size, data and compute: the fits and runs of lesson 05."""

from course_utils.scaling_laws.collapse import bigram_loss, next_generation, words_left
from course_utils.scaling_laws.history import APPROACHES, TRAININGS, TRANSISTORS, doubling_time
from course_utils.scaling_laws.laws import (
    BESIROGLU,
    HOFFMANN,
    HOFFMANN_PRINTED,
    KAPLAN,
    Chinchilla,
    bootstrap_chinchilla,
    cheapest_model,
    chinchilla_objective,
    fit_chinchilla,
    fit_isoflop,
    optimal_allocation,
    simulate,
)
from course_utils.scaling_laws.points import download_points, recorded_refit, without_largest
from course_utils.scaling_laws.power_laws import (
    Array,
    bootstrap,
    broken_power_law,
    extrapolate,
    fit_power_law,
    fit_saturating,
    percentile_interval,
    power_law_line,
)
from course_utils.scaling_laws.runs import (
    BATCH,
    T,
    TrainingRun,
    corpus,
    measure_run,
    model_for,
    recorded,
)

__all__ = [
    "APPROACHES",
    "TRAININGS",
    "TRANSISTORS",
    "bigram_loss",
    "cheapest_model",
    "doubling_time",
    "extrapolate",
    "next_generation",
    "words_left",
    "Array",
    "BATCH",
    "BESIROGLU",
    "Chinchilla",
    "HOFFMANN",
    "HOFFMANN_PRINTED",
    "KAPLAN",
    "TrainingRun",
    "T",
    "bootstrap",
    "bootstrap_chinchilla",
    "broken_power_law",
    "chinchilla_objective",
    "corpus",
    "download_points",
    "fit_chinchilla",
    "fit_isoflop",
    "fit_power_law",
    "fit_saturating",
    "percentile_interval",
    "measure_run",
    "model_for",
    "optimal_allocation",
    "power_law_line",
    "recorded",
    "recorded_refit",
    "simulate",
    "without_largest",
]

LESSON = "05"
