"""The experiments of lesson 20: what tools/record/train_preferences.py records, and what the lesson
repeats live.

B prompts of one length P, k answers each.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor

from course_utils import assets
from course_utils.gpt2.model import GPT
from course_utils.instruction_tuning.chat import END_OF_TURN
from course_utils.instruction_tuning.measures import decodings
from course_utils.machine.devices import device_of
from course_utils.preferences import pairwise as preferences
from course_utils.preferences import reinforcement
from course_utils.preferences.questions import N_NEW, Questions, text_of
from course_utils.training import History, train

ASSET = assets.path("preferences/preferences.json")  # long runs against a flawed judge
SEEDS_ASSET = assets.path("preferences/methods.json")  # short runs of each method, three seeds
STEPS = 24  # of those short runs
TAUGHT = 300  # pairs that DPO learns from
RATE = 3e-4  # learning rate of all runs
FEW = 100  # pairs of a flawed reward model
TEST = 303  # seed of the questions that measure
GRPO = {
    "weigh": reinforcement.group_advantages,
    "objective": reinforcement.clipped_loss,
    "passes": 2,
}  # options of `reinforce`
METHODS = {
    "DPO": {},
    "DPO, own labels": {},
    "REINFORCE": {},
    "REINFORCE, leash": {"beta": 0.1},
    "GRPO": GRPO,
    "GRPO, variety": GRPO | {"reward": reinforcement.varied_reward},
}  # options of `polish`; none for DPO


# --- Reward models --------------------------------------------------------------------------------


@torch.no_grad()
def features(
    model: preferences.RewardModel, pairs: preferences.Pairs, batch: int = 64
) -> tuple[Tensor, Tensor]:
    """What the head of a reward model gets to see of both answers of each pair, (B, d_model) each,
    on its device.

    The body is frozen in `fit_head`, so these are computed once, `batch` answers at a time, without
    gradients.

    >>> from course_utils.gpt2.model import GPTConfig
    >>> from course_utils.preferences.pairwise import Pairs, RewardModel
    >>> judge = RewardModel(
    ...     GPT(GPTConfig(n_layer=1, n_head=2, n_embd=8, vocab_size=10, n_positions=8))
    ... )
    >>> [tuple(x.shape) for x in features(judge, Pairs.of([([5, 6], [7, 0], [8, 9, 0])]))]
    [(1, 8), (1, 8)]
    """
    pairs = pairs.to(device_of(model))
    sides = ((pairs.chosen, pairs.chosen_mask), (pairs.rejected, pairs.rejected_mask))
    return tuple(
        torch.cat(
            [
                model.features(ids[i : i + batch], mask[i : i + batch])
                for i in range(0, len(ids), batch)
            ]
        )
        for ids, mask in sides
    )


def fit_head(
    model: preferences.RewardModel,
    chosen: Tensor,
    rejected: Tensor,
    l2: float = 0.01,
    loss_fn: Callable[[Tensor, Tensor], Tensor] = preferences.bradley_terry_loss,
) -> preferences.RewardModel:
    """Fit the head alone, with the body frozen, on features (B, d_model) of pairs; then scale it.

    The Bradley–Terry loss plus l2 · |weights|² has one minimum, which L-BFGS finds. The scale of
    the result: among these answers the reward has the spread 1, so that rewards of different models
    can be compared.
    Shapes: chosen and rejected (B, d_model); the model is changed in place and returned.

    >>> from course_utils.gpt2.model import GPTConfig
    >>> from course_utils.preferences.pairwise import RewardModel
    >>> judge = RewardModel(
    ...     GPT(GPTConfig(n_layer=1, n_head=1, n_embd=2, vocab_size=10, n_positions=8))
    ... )
    >>> chosen = torch.tensor([[1.0, 0.0], [2.0, 1.0]])
    >>> rejected = torch.tensor([[0.0, 1.0], [1.0, 2.0]])
    >>> # likes feature 0, dislikes feature 1
    >>> fit_head(judge, chosen, rejected).head.weight.detach().round(decimals=2)
    tensor([[ 0.8700, -0.8700]])
    """
    model.body.requires_grad_(False)
    weight = torch.zeros(chosen.size(1), device=chosen.device, requires_grad=True)
    optimizer = torch.optim.LBFGS([weight], max_iter=200, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        value = loss_fn(chosen @ weight, rejected @ weight) + l2 * weight.square().sum()
        value.backward()
        return value

    optimizer.step(loss)
    spread = (torch.cat([chosen, rejected]) @ weight.detach()).std()
    return set_head(model, weight.detach() / spread)


def set_head(model: preferences.RewardModel, weight: Tensor) -> preferences.RewardModel:
    """Put weights (d_model,) into the head, in place, and return the model.

    >>> from course_utils.gpt2.model import GPTConfig
    >>> from course_utils.preferences.pairwise import RewardModel
    >>> judge = RewardModel(
    ...     GPT(GPTConfig(n_layer=1, n_head=1, n_embd=2, vocab_size=10, n_positions=8))
    ... )
    >>> set_head(judge, torch.tensor([1.0, -1.0])).head.weight.tolist()
    [[1.0, -1.0]]
    """
    with torch.no_grad():
        model.head.weight.copy_(weight[None])
    return model


# --- Policies -------------------------------------------------------------------------------------


def polish(
    policy: GPT,
    reference: GPT,
    questions: Questions,
    steps: int,
    *,
    judge: preferences.RewardModel | None = None,
    reward: Callable[[Tensor, list[list[str]]], Tensor] | None = None,
    seed: int = 0,
    **method,
) -> dict[str, list[float]]:
    """Train the policy in place by rewards: of the judge; or of `reward`, which gets what is right
    (B, k) and the texts; or else of the grader, 1 or 0. method: options of `reinforce`.

    Returns what each step measured on its 64 fresh answers before it changed the policy: "reward",
    "truth" (share of right answers), "kl" (nats an answer), "distinct" (share of different texts);
    a list of `steps` numbers each.

    >>> from course_utils.gpt2.model import GPTConfig
    >>> questions = Questions.draw(seed=1, n=24, batch=2)
    >>> untrained = GPT(GPTConfig(n_layer=1, n_head=2, n_embd=8, vocab_size=734, n_positions=128))
    >>> seen = polish(copy_of(untrained), untrained, questions, steps=1)
    >>> # the policy is the reference yet, and its words make no sentence
    >>> (sorted(seen), seen["kl"], seen["truth"])
    (['distinct', 'kl', 'reward', 'truth'], [0.0], [0.0])
    """
    seen = []

    def rewarded(i: int, answers: Tensor) -> Tensor:
        truth = questions.grades(i, answers)
        texts = [[text_of(answer) for answer in some] for some in answers]
        different = {text for row in texts for text in row}
        seen.append({"truth": truth.mean().item(), "distinct": len(different) / truth.numel()})
        if judge is not None:
            return reinforcement.answer_reward(judge, questions.prompts[i], answers, END_OF_TURN)
        return truth if reward is None else reward(truth, texts)

    rows = reinforcement.reinforce(
        policy,
        reference,
        questions.prompts,
        rewarded,
        steps,
        stop=END_OF_TURN,
        n_new=N_NEW,
        lr=RATE,
        generator=torch.Generator().manual_seed(seed),
        **method,
    )
    return {key: [row[key] for row in rows] for key in ("reward", "kl")} | {
        key: [row[key] for row in seen] for key in ("truth", "distinct")
    }


def train_dpo(
    policy: GPT,
    reference: GPT,
    pairs: preferences.Pairs,
    steps: int,
    beta: float,
    seed: int = 0,
    loss_fn: Callable[..., Tensor] = preferences.dpo_loss,
    **options,
) -> History:
    """Train the policy in place by DPO on batches of 16 pairs; options go to `training.train`.

    Returns the history; its losses, in nats, begin at log 2, a coin's. beta > 0 is the leash, see
    `dpo_loss`.
    Source: Rafailov et al. 2023, section 4.

    >>> from course_utils.gpt2.model import GPTConfig
    >>> from course_utils.preferences.pairwise import Pairs
    >>> tiny = GPTConfig(n_layer=1, n_head=2, n_embd=8, vocab_size=10, n_positions=8)
    >>> reference = GPT(tiny, torch.Generator().manual_seed(0))
    >>> pairs = Pairs.of([([5, 6], [7, 0], [8, 9, 0])])
    >>> history = train_dpo(
    ...     copy_of(reference), reference, pairs, steps=30, beta=1.0, progress=False
    ... )
    >>> round(history.losses[0], 3), history.losses[-1] < 0.6
    (0.693, True)
    """
    batches = pairs.batches(16, *pairs.log_probs(reference))
    return train(
        policy,
        batches,
        steps,
        lr=RATE,
        weight_decay=0.0,
        seed=seed,
        loss_fn=preferences.dpo_objective(beta, loss_fn),
        **options,
    )


def own_labels(model: GPT, pairs: preferences.Pairs) -> tuple[preferences.Pairs, Tensor]:
    """The same pairs, preferred by the model itself: the answer that it finds likelier comes first;
    and which of the labels agree with the old ones, (B,) bool.

    >>> from course_utils.gpt2.model import GPTConfig
    >>> from course_utils.preferences.pairwise import Pairs
    >>> model = GPT(GPTConfig(n_layer=1, n_head=2, n_embd=8, vocab_size=10, n_positions=8))
    >>> model.wte.weight.data.zero_()[
    ...     0, 0
    ... ].item()  # all tokens are equally likely: the shorter wins
    0.0
    >>> own_labels(model, Pairs.of([([5, 6], [7, 0], [8, 9, 0])]))[1].tolist()
    [True]
    """
    chosen, rejected = pairs.log_probs(model)
    agrees = chosen >= rejected  # (B,)
    first = agrees[:, None]  # (B, 1)
    sides = (
        (pairs.chosen, pairs.rejected),
        (pairs.chosen_mask, pairs.rejected_mask),
        (pairs.rejected, pairs.chosen),
        (pairs.rejected_mask, pairs.chosen_mask),
    )
    return preferences.Pairs(*(torch.where(first, a, b) for a, b in sides)), agrees


# --- Measuring ------------------------------------------------------------------------------------


def answerer(policy: GPT, questions: Questions) -> Callable[..., list[str]]:
    """One answer to each question, for `instruction_tuning.decodings`.

    >>> from course_utils.instruction_tuning import decodings
    >>> from course_utils.pretrained import assistant
    >>> questions = Questions.draw(seed=2, n=24, batch=4)
    >>> found = decodings(answerer(assistant(), questions), sum(questions.tasks, []))
    >>> bool(found[0.0][0].mean() > 0.5)
    True
    """

    def ask(generator: torch.Generator | None = None, temperature: float = 0.0) -> list[str]:
        answers = [
            reinforcement.sample_answers(
                policy, prompts, 1, N_NEW, END_OF_TURN, generator, temperature
            )
            for prompts in questions.prompts
        ]
        return [text_of(answer[0]) for some in answers for answer in some]

    return ask


def divergence(
    policy: GPT,
    reference: GPT,
    questions: Questions,
    temperature: float = 1.0,
    k: int = 2,
    seed: int = 0,
) -> float:
    """KL(policy at this temperature‖reference at 1) in nats an answer, estimated from k answers to
    each question.

    >>> from course_utils.pretrained import assistant
    >>> model, questions = assistant(), Questions.draw(seed=2, n=12, batch=2)
    >>> divergence(model, model, questions), divergence(model, model, questions, 0.5) > 0.5
    (0.0, True)
    """
    generator = torch.Generator().manual_seed(seed)
    found = []
    for prompts in questions.prompts:
        answers = reinforcement.sample_answers(
            policy, prompts, k, N_NEW, END_OF_TURN, generator, temperature
        )
        with torch.no_grad():
            near = reinforcement.answer_log_prob(policy, prompts, answers, END_OF_TURN, temperature)
            far = reinforcement.answer_log_prob(reference, prompts, answers, END_OF_TURN)
        found.append((near - far.to(near)).flatten())
    return torch.cat(found).mean().item()


def measured(policy: GPT, reference: GPT, questions: Questions, draws: int = 2) -> dict:
    """What a policy is worth, as a record holds it: "right" and "variety" at temperatures 1, 0.7,
    0.5 and greedily (0), and "kl" from the reference.

    >>> from course_utils.pretrained import assistant
    >>> model, questions = assistant(), Questions.draw(seed=2, n=24, batch=4)
    >>> found = measured(model, model, questions)
    >>> list(found), list(found["right"]), found["kl"]
    (['right', 'variety', 'kl'], ['1.0', '0.7', '0.5', '0.0'], 0.0)
    """
    tasks = [task for group in questions.tasks for task in group]
    found = decodings(answerer(policy, questions), tasks, draws)
    return {
        "right": {str(t): right.mean().item() for t, (right, _) in found.items()},
        "variety": {str(t): new.mean().item() for t, (_, new) in found.items()},
        "kl": divergence(policy, reference, questions),
    }


def measuring(batches: int = 3) -> Questions:
    """The questions that measure: `batches` groups of 32, and none of them was trained on.

    >>> [len(tasks) for tasks in measuring(2).tasks]
    [32, 32]
    """
    drawn = Questions.draw(TEST, 1500, batch=32)
    return Questions(drawn.tasks[:batches], drawn.prompts[:batches])


def copy_of(model: GPT) -> GPT:
    """A copy of the model all of whose weights learn.

    >>> from course_utils.gpt2.model import GPTConfig
    >>> frozen = GPT(
    ...     GPTConfig(n_layer=1, n_head=2, n_embd=8, vocab_size=10, n_positions=8)
    ... ).requires_grad_(False)
    >>> policy = copy_of(frozen)
    >>> (
    ...     all(p.requires_grad for p in policy.parameters()),
    ...     any(p.requires_grad for p in frozen.parameters()),
    ... )
    (True, False)
    """
    return copy.deepcopy(model).requires_grad_(True)


@lru_cache(maxsize=2)
def recorded(file: Path = ASSET) -> dict:
    """What tools/record/train_preferences.py measured, with the date, the machine and the command.

    >>> sorted(recorded()["heads"])
    ['few', 'many', 'second', 'third']
    >>> sorted({run["seed"] for run in recorded(SEEDS_ASSET)["runs"]})
    [0, 1, 2]
    """
    return json.loads(file.read_text(encoding="utf-8"))


def methods() -> dict[str, list[dict]]:
    """The record of each method's three short runs: "right", "variety" and "kl" as `measured`.

    >>> {name: len(runs) for name, runs in methods().items()}["GRPO"]
    3
    """
    runs = recorded(SEEDS_ASSET)["runs"]
    return {name: [run for run in runs if run["method"] == name] for name in METHODS}
