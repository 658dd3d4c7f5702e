"""The experiments of notebook 09 with preferences and rewards: what tools/train_preferences.py records, what a notebook repeats.

The task is `continue`: write a sentence that may follow in the story. Its grader accepts every sentence that the stories'
grammar allows, so there are many right answers and more wrong ones. B prompts of one length P, k answers each.
"""

from __future__ import annotations

import copy
import json
import random
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor

from course_utils import preferences as pf
from course_utils import reinforcement as rl
from course_utils.census import flops_per_token
from course_utils.chat import END_OF_TURN, decode_chat
from course_utils.devices import device_of
from course_utils.fine_tuning import answer_loss
from course_utils.gpt2 import GPT, GPTConfig
from course_utils.instructions import Task, grade, instructions
from course_utils.training import History, train

ASSET = Path(__file__).parent / "assets" / "preferences.json"
PAIRS_ASSET = ASSET.with_name("preference_pairs.json")
N_NEW = 16  # tokens of an answer, its <end of turn> included
RATE = 3e-4  # learning rate of all runs
PAIRS, MADE_FROM = 600, 101  # how many pairs there are, and the seed of the tasks that they are made from
FEW = 100  # pairs of the flawed reward model
ASKED = {"seen": (MADE_FROM, 1200), "unseen": (304, 800)}  # the stored pairs: seed and number of their tasks


def text_of(answer: Tensor) -> str:
    """The answer's words (A,) up to its <end of turn>, as text.

    >>> text_of(torch.tensor([END_OF_TURN, END_OF_TURN]))
    ''
    """
    ids = answer.tolist()
    return decode_chat(ids[: ids.index(END_OF_TURN)] if END_OF_TURN in ids else ids)


@dataclass(frozen=True)
class Questions:
    """Tasks in batches whose prompts have one length, so that they can be read side by side.

    >>> questions = Questions.draw(seed=1, n=100, batch=2)
    >>> len(questions.tasks[0]), questions.prompts[0].shape[0]
    (2, 2)
    """

    tasks: list[list[Task]]
    prompts: list[Tensor]  # (batch, P) each

    @classmethod
    def draw(cls, seed: int, n: int, batch: int = 8, kind: str = "continue", split: str = "train") -> Questions:
        """Make n tasks of a kind and put those of equal length into batches; what is left over is dropped."""
        by_length = defaultdict(list)
        for task in instructions(seed, n, split, tasks=[kind]):
            by_length[len(task.prompt)].append(task)
        batches = [
            group[i : i + batch] for group in by_length.values() for i in range(0, len(group) - batch + 1, batch)
        ]
        random.Random(seed).shuffle(batches)
        return cls(batches, [torch.stack([task.prompt for task in group]) for group in batches])

    def grades(self, i: int, answers: Tensor) -> Tensor:
        """The truth about the answers (B, k, A) to batch i: 1.0 where `grade` accepts, else 0.0; (B, k)."""
        rows = []
        for task, some in zip(self.tasks[i], answers, strict=True):
            texts = [text_of(answer) for answer in some]
            known = {text: float(grade(task, text)) for text in set(texts)}
            rows.append([known[text] for text in texts])
        return torch.tensor(rows)


# --- Pairs, and reward models ----------------------------------------------------------------------------------------


def make_pairs(model: GPT, questions: Questions, n: int, generator: torch.Generator, k: int = 4) -> pf.Pairs:
    """Let the model answer each question k times, and take one right and one wrong answer where there are both.

    What is drawn depends on the last digits of the model's probabilities, and so on the processor: what must be the
    same everywhere is read with `stored_pairs`.
    Raises: ValueError where the questions do not suffice for n pairs.
    """
    return _with_prompts(questions, draw_pairs(model, questions, n, generator, k))


def draw_pairs(
    model: GPT, questions: Questions, n: int, generator: torch.Generator, k: int = 4
) -> list[tuple[int, list[int], list[int]]]:
    """The pairs as `make_pairs` draws them, each as (number of the question, ids of the right answer, of the wrong one).

    Questions are numbered as they come, batch by batch. Raises: ValueError as `make_pairs`.
    """
    rows, number = [], 0
    for i, prompts in enumerate(questions.prompts):
        answers = rl.sample_answers(model, prompts, k, N_NEW, END_OF_TURN, generator).cpu()  # (B, k, A)
        for some, right in zip(answers, questions.grades(i, answers).bool(), strict=True):
            if right.any() and not right.all():
                rows.append((number, _cut(some[right][0]), _cut(some[~right][0])))
            number += 1
        if len(rows) >= n:
            return rows[:n]
    raise ValueError(f"these questions made {len(rows)} of {n} pairs: draw more of them")


def stored_pairs(which: str, n: int | None = None) -> pf.Pairs:
    """The first n pairs (or all) that the assistant made once: "seen", to learn from, or "unseen", to test on.

    tools/train_preferences.py drew them, and they are stored, so that everybody's reward model learns the same.
    Raises: ValueError for another name, or where fewer than n are stored.

    >>> len(stored_pairs("seen", 3))
    3
    """
    if which not in ASKED:
        raise ValueError(f"pairs {which!r} are unknown: choose {' or '.join(map(repr, ASKED))}")
    record = json.loads(PAIRS_ASSET.read_text(encoding="utf-8"))
    rows = [(row["question"], row["right"], row["wrong"]) for row in record["rows"] if row["pairs"] == which]
    if n is not None and n > len(rows):
        raise ValueError(f"{n} pairs wanted, and {len(rows)} are stored as {which!r}: make more with make_pairs")
    return _with_prompts(_asked(which), rows[:n])


@lru_cache(maxsize=2)
def _asked(which: str) -> Questions:
    return Questions.draw(*ASKED[which])


def _with_prompts(questions: Questions, rows: list[tuple[int, list[int], list[int]]]) -> pf.Pairs:
    """Pairs of drawn rows, with the prompts of the questions that they name by number."""
    prompts = [prompt for batch in questions.prompts for prompt in batch.tolist()]
    return pf.Pairs.of([(prompts[number], right, wrong) for number, right, wrong in rows], fill=END_OF_TURN)


def _cut(answer: Tensor) -> list[int]:
    """The answer with its first <end of turn>, if it has one."""
    ids = answer.tolist()
    return ids[: ids.index(END_OF_TURN) + 1] if END_OF_TURN in ids else ids


@torch.no_grad()
def features(model: pf.RewardModel, pairs: pf.Pairs, batch: int = 64) -> tuple[Tensor, Tensor]:
    """What the head of a reward model gets to see of both answers of each pair, (B, d_model) each, on its device."""
    pairs = pairs.to(device_of(model))
    sides = ((pairs.chosen, pairs.chosen_mask), (pairs.rejected, pairs.rejected_mask))
    return tuple(torch.cat([model.features(ids[i : i + batch], mask[i : i + batch]) for i in range(0, len(ids), batch)])
                 for ids, mask in sides)  # fmt: skip


def fit_head(model: pf.RewardModel, chosen: Tensor, rejected: Tensor, l2: float = 0.01) -> pf.RewardModel:
    """Fit the head alone, with the body frozen, on features (B, d_model) of pairs; then scale it.

    The Bradley–Terry loss plus l2 · |weights|² has one minimum, which L-BFGS finds. The scale of the result: among
    these answers the reward has the spread 1, so that rewards of different models can be compared.
    """
    model.body.requires_grad_(False)
    weight = torch.zeros(chosen.size(1), device=chosen.device, requires_grad=True)
    optimizer = torch.optim.LBFGS([weight], max_iter=200, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        value = pf.bradley_terry_loss(chosen @ weight, rejected @ weight) + l2 * weight.square().sum()
        value.backward()
        return value

    optimizer.step(loss)
    spread = (torch.cat([chosen, rejected]) @ weight.detach()).std()
    return set_head(model, weight.detach() / spread)


def set_head(model: pf.RewardModel, weight: Tensor) -> pf.RewardModel:
    """Put weights (d_model,) into the head, in place."""
    with torch.no_grad():
        model.head.weight.copy_(weight[None])
    return model


# --- Policies --------------------------------------------------------------------------------------------------------


def polish(policy: GPT, reference: GPT, questions: Questions, steps: int, *, judge: pf.RewardModel | None = None,
           beta: float = 0.0, seed: int = 0, on_step: Callable[[dict], object] | None = None) -> dict[str, list[float]]:  # fmt: skip
    """Train the policy in place by REINFORCE: rewarded by the judge, or without one by the truth.

    Returns what each step measured on its 64 fresh answers before it changed the policy: "reward", "truth" (share of
    right answers), "kl" (nats an answer), "distinct" (share of different texts).
    """
    seen = []

    def reward(i: int, answers: Tensor) -> Tensor:
        truth, texts = questions.grades(i, answers), {text_of(answer) for answer in answers.flatten(0, 1)}
        seen.append({"truth": truth.mean().item(), "distinct": len(texts) / truth.numel()})
        return truth if judge is None else rl.answer_reward(judge, questions.prompts[i], answers, END_OF_TURN)

    rows = rl.reinforce(policy, reference, questions.prompts, reward, steps, stop=END_OF_TURN, n_new=N_NEW, beta=beta,
                        lr=RATE, generator=torch.Generator().manual_seed(seed), on_step=on_step)  # fmt: skip
    return {key: [row[key] for row in rows] for key in ("reward", "kl")} | {
        key: [row[key] for row in seen] for key in ("truth", "distinct")
    }


def train_dpo(
    policy: GPT, reference: GPT, pairs: pf.Pairs, steps: int, beta: float, seed: int = 0, **options
) -> History:
    """Train the policy in place by DPO on batches of 16 pairs; options go to `training.train`."""
    batches = pairs.batches(16, *pairs.log_probs(reference))
    return train(
        policy, batches, steps, lr=RATE, weight_decay=0.0, seed=seed, loss_fn=pf.dpo_objective(beta), **options
    )


def train_on_own(policy: GPT, pairs: pf.Pairs, steps: int, seed: int = 0, **options) -> History:
    """Fine-tune the policy in place on the preferred answers alone: texts that a model wrote and a program checked.

    Source: Zelikman et al. 2022 (STaR), section 3; "rejection sampling fine-tuning".
    """

    def draw(generator: torch.Generator) -> tuple[Tensor, ...]:
        rows = torch.randint(len(pairs), (32,), generator=generator)
        return pairs.chosen[rows, :-1], pairs.chosen[rows, 1:], pairs.chosen_mask[rows, 1:]

    return train(policy, draw, steps, lr=RATE, weight_decay=0.0, seed=seed, loss_fn=answer_loss, **options)


def measure(policy: GPT, reference: GPT, questions: Questions, k: int = 4, seed: int = 0) -> dict[str, float]:
    """How a policy answers: "truth" of drawn answers, "greedy" truth, "kl" in nats, "distinct" share of texts."""
    generator, rows, texts = torch.Generator().manual_seed(seed), defaultdict(list), set()
    for i, prompts in enumerate(questions.prompts):
        answers = rl.sample_answers(policy, prompts, k, N_NEW, END_OF_TURN, generator)  # (B, k, A)
        best = rl.sample_answers(policy, prompts, 1, N_NEW, END_OF_TURN, generator, temperature=0)
        with torch.no_grad():
            log_probs = [rl.answer_log_prob(model, prompts, answers, END_OF_TURN) for model in (policy, reference)]
        rows["truth"].append(questions.grades(i, answers))
        rows["greedy"].append(questions.grades(i, best))
        rows["kl"].append(log_probs[0] - log_probs[1].to(log_probs[0]))
        texts |= {text_of(answer) for answer in answers.flatten(0, 1)}
    n = sum(x.numel() for x in rows["truth"])
    return {key: torch.cat(x).mean().item() for key, x in rows.items()} | {"distinct": len(texts) / n}


def copy_of(model: GPT) -> GPT:
    """A copy of the model all of whose weights learn."""
    return copy.deepcopy(model).requires_grad_(True)


# --- What it costs ---------------------------------------------------------------------------------------------------


def answer_flops(config: GPTConfig, P: int, A: int, k: int = 1) -> float:
    """FLOP of k answers of A tokens to one prompt of P tokens that is read once.

    >>> config = GPTConfig(n_layer=4, n_head=4, n_embd=128, vocab_size=734, n_positions=256)
    >>> answer_flops(config, P=70, A=8, k=16) / answer_flops(config, P=70, A=8, k=1)
    2.5384615384615383
    """
    return (P + k * A) * flops_per_token(config, P + A)


def training_flops(config: GPTConfig, P: int, A: int, method: str, steps: int, n_pairs: int = PAIRS) -> float:
    """FLOP of a whole post-training: a step forward and back costs three times a forward pass.

    method: "reinforcement" (8 prompts, 8 answers each, in a step: draw, reference, policy forth and back), "dpo" (16
    pairs a step; before, making the pairs and the reference's pass over them), "own answers" (32 a step; making them),
    "judge" (making the pairs and reading them once; fitting the head costs next to nothing).
    Raises: ValueError for another method.
    """
    text = (P + A) * flops_per_token(config, P + A)  # reading one prompt and one answer
    made = n_pairs * 1.2 * answer_flops(config, P, A, k=4)  # about 1.2 questions are asked for each pair
    if method == "reinforcement":
        return steps * 8 * answer_flops(config, P, A, k=8) * (1 + 1 + 3)
    if method == "dpo":
        return made + 2 * n_pairs * text + steps * 16 * 2 * text * 3
    if method == "own answers":
        return made + steps * 32 * text * 3
    if method == "judge":
        return made + 2 * n_pairs * text
    raise ValueError(f'method {method!r} is unknown: choose "reinforcement", "dpo", "own answers" or "judge"')


@lru_cache(maxsize=1)
def recorded(file: Path = ASSET) -> dict:
    """What tools/train_preferences.py measured, with the date, the machine and the command.

    >>> sorted(recorded()["heads"])
    ['few', 'many']
    """
    return json.loads(file.read_text(encoding="utf-8"))
