"""Record the long runs of lesson 20 with preferences and rewards in
course_utils/preferences/assets/preferences.json.

    OMP_NUM_THREADS=1 python tools/record/train_preferences.py [--out FILE] [--steps N] [PART …]

Before all parts the pairs are drawn, unless course_utils/assets/preference_pairs.json holds them:
another processor would draw others, and the record belongs to these. Parts, in this order: heads
(reward models), judged (reinforcement with a flawed reward model), verified (with the grader as
reward), dpo, own (fine-tuning on own right answers), best (best of n). Runs that the file holds are
kept. Takes about 12 minutes of one thread.
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

PARTS = ("heads", "judged", "verified", "dpo", "own", "best")
JUDGED = [("few", 0.0, 0), ("few", 0.1, 0), ("few", 0.3, 0), ("few", 1.0, 0), ("few", 0.0, 1), ("few", 0.0, 2),
          ("many", 0.0, 0)]  # judge, beta, seed  # fmt: skip
VERIFIED = [(0.0, 0), (0.05, 0), (0.2, 0)]  # beta, seed
DPO = [(0.1, 0), (0.5, 0)]
# seeds of the questions for measuring and for training; steps against a judge
TEST, ASKED, STEPS = 303, 202, 100
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


class Recorder:
    """Keeps the record, and writes it after every run."""

    def __init__(self, out: Path, steps: int) -> None:
        self.out = out
        self.steps = steps
        self.model = assistant().requires_grad_(False)
        self.record = {"runs": []} | load(out)
        self.asked = questions.Questions.draw(ASKED, 1500)
        test = questions.Questions.draw(TEST, 1500, batch=32)
        self.test = questions.Questions(test.tasks[:4], test.prompts[:4])

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

    def after(self, policy) -> dict:
        """What a trained policy does on the questions for measuring, and some of its words."""
        generator = torch.Generator().manual_seed(1)
        answers = reinforcement.sample_answers(
            policy, self.test.prompts[0][:4], 2, questions.N_NEW, END_OF_TURN, generator
        )
        texts = [questions.text_of(answer) for answer in answers.flatten(0, 1)]
        return {
            "after": preferences_runs.measure_policy(policy, self.model, self.test),
            "texts": texts,
        }

    def judge(self, name: str) -> preferences.RewardModel:
        return preferences_runs.set_head(
            preferences.RewardModel(self.model), torch.tensor(self.record["heads"][name])
        )

    def reinforced(self, steps: int, judge: str | None, beta: float, seed: int) -> dict:
        policy = preferences_runs.copy_of(self.model)
        rows = preferences_runs.polish(
            policy,
            self.model,
            self.asked,
            steps,
            judge=judge and self.judge(judge),
            beta=beta,
            seed=seed,
        )
        return rows | self.after(policy)

    # --- Parts ------------------------------------------------------------------------------------

    def heads(self) -> None:
        if "heads" in self.record:
            return
        train = questions.stored_pairs("seen")
        held = questions.stored_pairs("unseen")
        model = preferences.RewardModel(self.model)
        heads = {}
        right = {}
        seen = preferences_runs.features(model, train)
        unseen = preferences_runs.features(model, held)
        for name, n in (("few", preferences_runs.FEW), ("many", questions.PAIRS)):
            preferences_runs.fit_head(model, *(x[:n] for x in seen))
            heads[name] = model.head.weight[0].tolist()
            gaps = [
                ((a - b) @ model.head.weight[0]) for a, b in ((seen[0][:n], seen[1][:n]), unseen)
            ]
            right[name] = {
                "pairs": n,
                "seen": (gaps[0] > 0).float().mean().item(),
                "unseen": (gaps[1] > 0).float().mean().item(),
            }
        lengths = {
            "prompt": sum(p.numel() for p in self.test.prompts) / 128,
            "answer": train.chosen_mask.sum(1).float().mean().item(),
        }
        self.save(
            what="continue a story: REINFORCE, DPO, own answers, best of n; see course_utils/preferences/runs.py",
            heads=heads,
            accuracy=right,
            tokens=lengths,
            before=preferences_runs.measure_policy(self.model, self.model, self.test),
        )
        print(rounded(right), rounded(self.record["before"]), lengths, flush=True)

    def judged(self) -> None:
        for judge, beta, seed in JUDGED:
            work = partial(self.reinforced, self.steps, judge, beta, seed)
            self.run(work, method="judged", judge=judge, beta=beta, seed=seed)

    def verified(self) -> None:
        for beta, seed in VERIFIED:
            self.run(
                partial(self.reinforced, self.steps // 2, None, beta, seed),
                method="verified",
                beta=beta,
                seed=seed,
            )

    def offline(self, method: str, train, **key) -> None:
        """A method that learns from the pairs; the policy is measured four times on the way."""

        def work() -> dict:
            policy = preferences_runs.copy_of(self.model)
            checks = []
            steps = self.steps // 3

            def look(history) -> None:
                if len(history.losses) % (steps // 4) == 0:
                    checks.append(
                        {"step": len(history.losses)}
                        | preferences_runs.measure_policy(policy.eval(), self.model, self.test, k=2)
                    )
                    policy.train()

            history = train(
                policy,
                pairs=self.train_pairs,
                steps=steps,
                on_steps=look,
                every=steps // 4,
                progress=False,
            )
            gaps = [
                a - b
                for a, b in zip(
                    self.train_pairs[:200].log_probs(policy),
                    self.train_pairs[:200].log_probs(self.model),
                    strict=True,
                )
            ]
            moved = {"chosen": gaps[0].mean().item(), "rejected": gaps[1].mean().item()}  # nats
            return {"losses": history.losses, "checks": checks, "moved": moved} | self.after(policy)

        if not hasattr(self, "train_pairs"):
            self.train_pairs = questions.stored_pairs("seen")
        self.run(work, method=method, **key)

    def dpo(self) -> None:
        for beta, seed in DPO:
            self.offline(
                "dpo",
                partial(preferences_runs.train_dpo, reference=self.model, beta=beta, seed=seed),
                beta=beta,
                seed=seed,
            )

    def own(self) -> None:
        self.offline("own answers", preferences_runs.train_on_own, seed=0)

    def best(self) -> None:
        """64 answers to each question for measuring: what the best of n by each judge is worth, and
        coverage.
        """

        def work() -> dict:
            generator = torch.Generator().manual_seed(2)
            truth = []
            proxy = {"few": [], "many": []}
            for i, prompts in enumerate(self.test.prompts):
                answers = reinforcement.sample_answers(
                    self.model, prompts, NUMBERS[-1], questions.N_NEW, END_OF_TURN, generator
                )
                truth.append(self.test.grades(i, answers))
                for name, rows in proxy.items():
                    rows.append(
                        reinforcement.answer_reward(self.judge(name), prompts, answers, END_OF_TURN)
                    )
            truth = torch.cat(truth)  # (128, 64)
            row = {"n": list(NUMBERS), "coverage": [coverage(truth.bool(), n) for n in NUMBERS]}
            for name, rows in proxy.items():
                scores = torch.cat(rows)
                for key, value in (("proxy", scores), ("truth", truth)):
                    row[f"{name} {key}"] = [
                        reinforcement.best_of_n_mean(scores, value, n).mean().item()
                        for n in NUMBERS
                    ]
            return row

        self.run(work, method="best of n")


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
    work = {
        "heads": recorder.heads,
        "judged": recorder.judged,
        "verified": recorder.verified,
        "dpo": recorder.dpo,
        "own": recorder.own,
        "best": recorder.best,
    }
    for part in parts:
        work[part]()
    return 0


if __name__ == "__main__":
    sys.exit(main())
