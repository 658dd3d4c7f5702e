"""The experiments of lesson 20: what tools/record/train_preferences.py records, and what the lesson
repeats live.

B prompts of one length P, k answers each.
"""

from __future__ import annotations

import copy
import json
from collections import defaultdict
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor

from course_utils import assets
from course_utils.gpt2.model import GPT, GPTConfig
from course_utils.instruction_tuning.chat import END_OF_TURN
from course_utils.instruction_tuning.fine_tuning import answer_loss
from course_utils.machine.devices import device_of
from course_utils.model_budget.census import flops_per_token
from course_utils.preferences import pairwise as preferences
from course_utils.preferences import reinforcement
from course_utils.preferences.questions import N_NEW, PAIRS, Questions, text_of
from course_utils.training import History, train

ASSET = assets.path("preferences/preferences.json")
RATE = 3e-4  # learning rate of all runs
FEW = 100  # pairs of the flawed reward model


# --- Reward models --------------------------------------------------------------------------------


@torch.no_grad()
def features(
    model: preferences.RewardModel, pairs: preferences.Pairs, batch: int = 64
) -> tuple[Tensor, Tensor]:
    """What the head of a reward model gets to see of both answers of each pair, (B, d_model) each,
    on its device.

    The body is frozen in `fit_head`, so these are computed once, `batch` answers at a time, without
    gradients.

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
    model: preferences.RewardModel, chosen: Tensor, rejected: Tensor, l2: float = 0.01
) -> preferences.RewardModel:
    """Fit the head alone, with the body frozen, on features (B, d_model) of pairs; then scale it.

    The Bradley–Terry loss plus l2 · |weights|² has one minimum, which L-BFGS finds. The scale of
    the result: among these answers the reward has the spread 1, so that rewards of different models
    can be compared.
    Shapes: chosen and rejected (B, d_model); the model is changed in place and returned.

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
        value = (
            preferences.bradley_terry_loss(chosen @ weight, rejected @ weight)
            + l2 * weight.square().sum()
        )
        value.backward()
        return value

    optimizer.step(loss)
    spread = (torch.cat([chosen, rejected]) @ weight.detach()).std()
    return set_head(model, weight.detach() / spread)


def set_head(model: preferences.RewardModel, weight: Tensor) -> preferences.RewardModel:
    """Put weights (d_model,) into the head, in place, and return the model.

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
    beta: float = 0.0,
    seed: int = 0,
    on_step: Callable[[dict], object] | None = None,
) -> dict[str, list[float]]:
    """Train the policy in place by REINFORCE: rewarded by the judge, or without one by the truth.

    Returns what each step measured on its 64 fresh answers before it changed the policy: "reward",
    "truth" (share of right answers), "kl" (nats an answer), "distinct" (share of different texts);
    a list of `steps` numbers each. on_step(row) is called after each step, and stops training by
    returning True.

    >>> questions = Questions.draw(seed=1, n=24, batch=2)
    >>> untrained = GPT(GPTConfig(n_layer=1, n_head=2, n_embd=8, vocab_size=734, n_positions=128))
    >>> seen = polish(copy_of(untrained), untrained, questions, steps=1)
    >>> # the policy is the reference yet, and its words make no sentence
    >>> (sorted(seen), seen["kl"], seen["truth"])
    (['distinct', 'kl', 'reward', 'truth'], [0.0], [0.0])
    """
    seen = []

    def reward(i: int, answers: Tensor) -> Tensor:
        truth = questions.grades(i, answers)
        texts = {text_of(answer) for answer in answers.flatten(0, 1)}
        seen.append({"truth": truth.mean().item(), "distinct": len(texts) / truth.numel()})
        return (
            truth
            if judge is None
            else reinforcement.answer_reward(judge, questions.prompts[i], answers, END_OF_TURN)
        )

    rows = reinforcement.reinforce(
        policy,
        reference,
        questions.prompts,
        reward,
        steps,
        stop=END_OF_TURN,
        n_new=N_NEW,
        beta=beta,
        lr=RATE,
        generator=torch.Generator().manual_seed(seed),
        on_step=on_step,
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
    **options,
) -> History:
    """Train the policy in place by DPO on batches of 16 pairs; options go to `training.train`.

    Returns the history; its losses, in nats, begin at log 2, a coin's. beta > 0 is the leash, see
    `dpo_loss`.
    Source: Rafailov et al. 2023, section 4.

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
        loss_fn=preferences.dpo_objective(beta),
        **options,
    )


def train_on_own(
    policy: GPT, pairs: preferences.Pairs, steps: int, seed: int = 0, **options
) -> History:
    """Fine-tune the policy in place on the preferred answers alone: texts that a model wrote and a
    program checked.

    Returns the history, losses in nats a token; batches are of 32 answers, options go to
    `training.train`.
    Source: Zelikman et al. 2022 (STaR), section 3; "rejection sampling fine-tuning".

    >>> from course_utils.preferences.pairwise import Pairs
    >>> tiny = GPTConfig(n_layer=1, n_head=2, n_embd=8, vocab_size=10, n_positions=8)
    >>> policy = GPT(tiny, torch.Generator().manual_seed(0))
    >>> history = train_on_own(
    ...     policy, Pairs.of([([5, 6], [7, 0], [8, 9, 0])]), steps=30, progress=False
    ... )
    >>> history.losses[-1] < history.losses[0]
    True
    """

    def draw(generator: torch.Generator) -> tuple[Tensor, ...]:
        rows = torch.randint(len(pairs), (32,), generator=generator)
        return pairs.chosen[rows, :-1], pairs.chosen[rows, 1:], pairs.chosen_mask[rows, 1:]

    return train(
        policy, draw, steps, lr=RATE, weight_decay=0.0, seed=seed, loss_fn=answer_loss, **options
    )


def measure_policy(
    policy: GPT, reference: GPT, questions: Questions, k: int = 4, seed: int = 0
) -> dict[str, float]:
    """How a policy answers: "truth" of drawn answers, "greedy" truth, "kl" in nats, "distinct"
    share of texts.

    k answers are drawn to each question; truth is the share that the grader accepts, "kl" the
    estimate k1 of KL(policy‖reference) an answer.

    >>> from course_utils.pretrained import assistant
    >>> model, questions = assistant(), Questions.draw(seed=2, n=12, batch=2)
    >>> found = measure_policy(model, model, questions, k=2)
    >>> sorted(found), found["kl"], found["truth"] > 0.5
    (['distinct', 'greedy', 'kl', 'truth'], 0.0, True)
    """
    generator = torch.Generator().manual_seed(seed)
    rows = defaultdict(list)
    texts = set()
    for i, prompts in enumerate(questions.prompts):
        # (B, k, A)
        answers = reinforcement.sample_answers(policy, prompts, k, N_NEW, END_OF_TURN, generator)
        best = reinforcement.sample_answers(
            policy, prompts, 1, N_NEW, END_OF_TURN, generator, temperature=0
        )
        with torch.no_grad():
            log_probs = [
                reinforcement.answer_log_prob(model, prompts, answers, END_OF_TURN)
                for model in (policy, reference)
            ]
        rows["truth"].append(questions.grades(i, answers))
        rows["greedy"].append(questions.grades(i, best))
        rows["kl"].append(log_probs[0] - log_probs[1].to(log_probs[0]))
        texts |= {text_of(answer) for answer in answers.flatten(0, 1)}
    n = sum(x.numel() for x in rows["truth"])
    return {key: torch.cat(x).mean().item() for key, x in rows.items()} | {
        "distinct": len(texts) / n
    }


def copy_of(model: GPT) -> GPT:
    """A copy of the model all of whose weights learn.

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


# --- What it costs --------------------------------------------------------------------------------


def answer_flops(config: GPTConfig, P: int, A: int, k: int = 1) -> float:
    """FLOP of k answers of A tokens to one prompt of P tokens that is read once.

    >>> config = GPTConfig(n_layer=4, n_head=4, n_embd=128, vocab_size=734, n_positions=256)
    >>> answer_flops(config, P=70, A=8, k=16) / answer_flops(config, P=70, A=8, k=1)
    2.5384615384615383
    """
    return (P + k * A) * flops_per_token(config, P + A)


def post_training_flops(
    config: GPTConfig, P: int, A: int, method: str, steps: int, n_pairs: int = PAIRS
) -> float:
    """FLOP of a whole post-training: a step forward and back costs three times a forward pass.

    method: "reinforcement" (8 prompts, 8 answers each, in a step: draw, reference, policy forth and
    back), "dpo" (16 pairs a step; before, making the pairs and the reference's pass over them),
    "own answers" (32 a step; making them), "judge" (making the pairs and reading them once; fitting
    the head costs next to nothing). P and A are the tokens of a prompt and of an answer. Raises:
    ValueError for another method.

    >>> config = GPTConfig(n_layer=4, n_head=4, n_embd=128, vocab_size=734, n_positions=256)
    >>> for method in ("reinforcement", "dpo", "own answers", "judge"):
    ...     print(
    ...         f"{method}: {post_training_flops(config, P=70, A=8, method=method, steps=100) / 1e12:.1f} TFLOP"
    ...     )
    reinforcement: 1.0 TFLOP
    dpo: 1.8 TFLOP
    own answers: 1.6 TFLOP
    judge: 0.3 TFLOP
    """
    text = (P + A) * flops_per_token(config, P + A)  # reading one prompt and one answer
    # about 1.2 questions are asked for each pair
    made = n_pairs * 1.2 * answer_flops(config, P, A, k=4)
    if method == "reinforcement":
        return steps * 8 * answer_flops(config, P, A, k=8) * (1 + 1 + 3)
    if method == "dpo":
        return made + 2 * n_pairs * text + steps * 16 * 2 * text * 3
    if method == "own answers":
        return made + steps * 32 * text * 3
    if method == "judge":
        return made + 2 * n_pairs * text
    raise ValueError(
        f'method {method!r} is unknown: choose "reinforcement", "dpo", "own answers" or "judge"'
    )


@lru_cache(maxsize=1)
def recorded(file: Path = ASSET) -> dict:
    """What tools/record/train_preferences.py measured, with the date, the machine and the command.

    >>> sorted(recorded()["heads"])
    ['few', 'many']
    """
    return json.loads(file.read_text(encoding="utf-8"))
