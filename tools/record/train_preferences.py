"""Record the long runs of lesson 20 in course_utils/preferences/assets.

    OMP_NUM_THREADS=1 python tools/record/train_preferences.py [--out FILE] [--steps N] [PART …]

Before all parts the pairs are drawn, unless preference_pairs.json holds them: another processor
would draw others, and the record belongs to these. Parts, in this order: heads (reward models),
judged (reinforcement with a flawed reward model), best (best of n by three flawed reward models and
a better one), and methods (each method in three seeds, in methods.json beside FILE). Runs that a
file holds are kept. Takes about 18 minutes of one thread.
"""

import os
import sys
import time
from functools import partial
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch  # reads the line above
from records import chosen, is_known, load, parser_of, save, stamp

from course_utils.instruction_tuning.chat import END_OF_TURN
from course_utils.preferences import pairwise as preferences
from course_utils.preferences import questions, reinforcement
from course_utils.preferences import runs as preferences_runs
from course_utils.pretrained import assistant
from course_utils.test_time_compute.running_sum import coverage

PARTS = ("heads", "judged", "best", "methods")
JUDGED = [
    (0.0, 0),
    (0.0, 1),
    (0.0, 2),
    (0.1, 0),
    (0.1, 1),
    (0.1, 2),
    (0.3, 0),
    (1.0, 0),
]  # beta, seed
SEEDS = (0, 1, 2)
# the pairs that each reward model learns from
HEADS = {"few": (0, 100), "second": (100, 200), "third": (200, 300), "many": (0, questions.PAIRS)}
# seed of the questions for training; steps against a judge
ASKED, STEPS = 202, 100
# how many pairs, and the seed of the answers
DRAWN = {"seen": (questions.PAIRS, 0), "unseen": (300, 1)}
COMMAND = "OMP_NUM_THREADS=1 python tools/record/train_preferences.py"
NUMBERS = (1, 2, 4, 8, 16, 32, 64)


def rounded(x):
    """Floats with five digits, in lists and dicts too."""
    if isinstance(x, dict):
        return {key: rounded(value) for key, value in x.items()}
    if isinstance(x, list):
        return [rounded(value) for value in x]
    return round(x, 5) if isinstance(x, float) else x


def draw_pairs(out: Path) -> None:
    """Let the assistant make the pairs, and store them; what a file holds already is kept."""
    if out.exists():
        return
    rows = []
    for which, (n, seed) in DRAWN.items():
        drawn = questions.draw_pairs(
            assistant(),
            questions.Questions.draw(*questions.ASKED[which]),
            n,
            torch.Generator().manual_seed(seed),
        )
        rows += [
            {"pairs": which, "question": i, "right": right, "wrong": wrong}
            for i, right, wrong in drawn
        ]
    what = "pairs of answers by the assistant, as ids; questions by number, see course_utils.preferences.stored_pairs"
    save(out, stamp(COMMAND, "torch") | {"what": what, "rows": rows})


def taught(method: str, policy, reference, asked: questions.Questions, seed: int) -> None:
    """Train the policy in place by a method for STEPS steps."""
    if method.startswith("DPO"):
        pairs = questions.stored_pairs("seen", preferences_runs.TAUGHT)
        if "own" in method:
            pairs = preferences_runs.own_labels(reference, pairs)[0]
        preferences_runs.train_dpo(
            policy, reference, pairs, preferences_runs.STEPS, beta=0.1, seed=seed, progress=False
        )
    else:
        options = preferences_runs.METHODS[method]
        preferences_runs.polish(
            policy, reference, asked, preferences_runs.STEPS, seed=seed, **options
        )


class Recorder:
    """Keeps the record, and writes it after every run."""

    def __init__(self, out: Path, steps: int) -> None:
        self.out = out
        self.steps = steps
        self.model = assistant().requires_grad_(False)
        self.record = {"runs": []} | load(out)
        self.asked = questions.Questions.draw(ASKED, 1500)
        self.test = preferences_runs.measuring()

    def save(self, **more) -> None:
        self.record = stamp(COMMAND, "torch", "numpy") | self.record | more
        save(self.out, rounded(self.record))

    def run(self, work, **key) -> None:
        """Do a run unless the record holds it: work() gives what is to be recorded beside the
        key.
        """
        if is_known(self.record["runs"], key):
            return
        begun = time.perf_counter()
        row = key | work() | {"seconds": round(time.perf_counter() - begun)}
        self.record["runs"].append(row)
        self.save()
        print({name: x for name, x in rounded(row).items() if not isinstance(x, list)}, flush=True)

    def judge(self, name: str) -> preferences.RewardModel:
        return preferences_runs.set_head(
            preferences.RewardModel(self.model), torch.tensor(self.record["heads"][name])
        )

    def texts_of(self, policy) -> list[str]:
        """What a policy says twice to four questions."""
        generator = torch.Generator().manual_seed(1)
        answers = reinforcement.sample_answers(
            policy, self.test.prompts[0][:4], 2, questions.N_NEW, END_OF_TURN, generator
        )
        return [questions.text_of(answer) for answer in answers.flatten(0, 1)]

    # --- Parts ------------------------------------------------------------------------------------

    def heads(self) -> None:
        if set(HEADS) <= set(self.record.get("heads", {})):
            return
        model = preferences.RewardModel(self.model)
        heads = {}
        right = {}
        seen = preferences_runs.features(model, questions.stored_pairs("seen"))
        unseen = preferences_runs.features(model, questions.stored_pairs("unseen"))
        for name, (start, end) in HEADS.items():
            mine = [x[start:end] for x in seen]
            preferences_runs.fit_head(model, *mine)
            heads[name] = model.head.weight[0].tolist()
            gaps = [(a - b) @ model.head.weight[0] for a, b in (mine, unseen)]
            right[name] = {
                "pairs": end - start,
                "seen": (gaps[0] > 0).float().mean().item(),
                "unseen": (gaps[1] > 0).float().mean().item(),
            }
        self.save(
            what="continue a story: reward models, REINFORCE against one of them, best of n; see course_utils/preferences/runs.py",
            heads=heads,
            accuracy=right,
        )
        print(rounded(right), flush=True)

    def judged(self) -> None:
        def work(beta: float, seed: int) -> dict:
            policy = preferences_runs.copy_of(self.model)
            rows = preferences_runs.polish(
                policy,
                self.model,
                self.asked,
                self.steps,
                judge=self.judge("few"),
                beta=beta,
                seed=seed,
            )
            return rows | {"texts": self.texts_of(policy)}

        for beta, seed in JUDGED:
            self.run(partial(work, beta, seed), method="judged", beta=beta, seed=seed)

    def best(self) -> None:
        """64 answers to each question for measuring: what the best of n by each judge is worth, and
        coverage.
        """

        def work() -> dict:
            generator = torch.Generator().manual_seed(2)
            truth = []
            proxy = {name: [] for name in HEADS}
            for i, prompts in enumerate(self.test.prompts):
                answers = reinforcement.sample_answers(
                    self.model, prompts, NUMBERS[-1], questions.N_NEW, END_OF_TURN, generator
                )
                truth.append(self.test.grades(i, answers))
                for name, rows in proxy.items():
                    rows.append(
                        reinforcement.answer_reward(self.judge(name), prompts, answers, END_OF_TURN)
                    )
            truth = torch.cat(truth)  # (96, 64)
            row = {"n": list(NUMBERS), "coverage": [coverage(truth.bool(), n) for n in NUMBERS]}
            for name, rows in proxy.items():
                scores = torch.cat(rows)
                row[name] = [
                    reinforcement.best_of_n_mean(scores, truth, n).mean().item() for n in NUMBERS
                ]
            return row

        self.run(work, method="best of n")

    def methods(self) -> None:
        """Each method in three seeds, short: what it is worth at every decoding."""

        def work(method: str, seed: int) -> dict:
            policy = preferences_runs.copy_of(self.model)
            taught(method, policy, self.model, self.asked, seed)
            return preferences_runs.measured(policy.eval(), self.model, self.test)

        other = Recorder.__new__(Recorder)
        other.__dict__ = self.__dict__ | {"out": self.out.with_name("methods.json")}
        other.record = {
            "what": "each method of lesson 20 in three seeds: right and variety by temperature, kl in nats",
            "runs": [],
        } | load(other.out)
        for seed in SEEDS:
            for method in preferences_runs.METHODS:
                other.run(partial(work, method, seed), method=method, seed=seed)


def main(arguments: list[str] | None = None) -> int:
    parser = parser_of(__doc__, preferences_runs.ASSET, PARTS)
    parser.add_argument(
        "--steps", type=int, default=STEPS, help=f"of reinforcement with a judge (default {STEPS})"
    )
    options = parser.parse_args(arguments)
    parts = chosen(parser, options.parts, PARTS)
    torch.set_num_threads(1)
    draw_pairs(questions.PAIRS_ASSET)
    recorder = Recorder(options.out, options.steps)
    for part in parts:
        getattr(recorder, part)()
    return 0


if __name__ == "__main__":
    sys.exit(main())
