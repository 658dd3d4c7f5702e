"""Shared code of the course: what a notebook builds stands here once, and later notebooks import it.

    01  tokenization; tokenizer_files
    02  attention
    03  transformer_block; transformer
    04  gpt2; sampling, census, memory, precision, lesion, trained
    05  scaling_laws; power_laws, scaling_points, scaling_runs, test_time, real_model
    06  superposition; sparse_autoencoder
    07  kl_bias; audit
    08  interpretability; hooks, probes, induction, ablation, grokking, emergence, linear_reading
    09  post_training; chat, instructions, grading, fine_tuning, fine_tuning_runs, preferences, reinforcement,
        preference_runs, compression, distillation, guard_rails, leakage
    all corpus, storyteller, texts, training, devices, installed

`classroom` is what a notebook shows and asks, `exercises` holds the checkers, `assets` what was trained and recorded.
"""

from . import installed

__version__ = "2.0.0.dev0"  # the first number is the edition: the set-up cell of every notebook asks for it

installed.warn()
