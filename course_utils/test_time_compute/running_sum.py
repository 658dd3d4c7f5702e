"""Compute at test time, as lesson 12 builds it: many samples, a vote, a verifier, and written-out
steps.

B is the number of problems, k the samples of each, m the tokens of an answer. A coverage is the
chance that at least one of k samples is right; nothing yet says which one.
"""

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import safe_open
from torch import Tensor, nn

from course_utils import assets
from course_utils.attention.heads import KVCache
from course_utils.machine.devices import device_of
from course_utils.transformer_block.transformer import Transformer, ladder

STYLES = ("direct", "filler", "steps")


def pass_at_k(n: int, c: int, k: int) -> float:
    """Estimate, without bias, the chance that k samples hold a right one, from c right ones among
    n.

    It is 1 minus the share of all choices of k out of the n that miss every right one.
    Raises: ValueError unless 0 <= c <= n and 1 <= k <= n.
    Source: Chen et al. 2021, "Evaluating Large Language Models Trained on Code", section 2.1.

    >>> [pass_at_k(n=4, c=1, k=k) for k in (1, 2, 4)]
    [0.25, 0.5, 1.0]
    """
    if not (0 <= c <= n and 1 <= k <= n):
        raise ValueError(f"n={n}, c={c}, k={k}: c is between 0 and n, k between 1 and n")
    return 1.0 - math.prod(1.0 - k / i for i in range(n - c + 1, n + 1))


def majority_vote(answers: Tensor) -> Tensor:
    """The most frequent answer of each row; of several as frequent, the one that was given first.

    Shapes: answers (B, k), whole numbers -> (B,).
    Source: Wang et al. 2022, "Self-Consistency Improves Chain of Thought Reasoning", section 2.

    >>> majority_vote(torch.tensor([[7, 3, 3], [9, 1, 5]]))
    tensor([3, 9])
    """
    votes = (answers[:, :, None] == answers[:, None, :]).sum(-1)  # (B, k): how many agree with each
    first = votes.argmax(dim=1, keepdim=True)  # argmax takes the first of equals
    return answers.gather(1, first)[:, 0]


def best_of(answers: Tensor, scores: Tensor) -> Tensor:
    """The answer with the highest score in each row; of several as high, the first.

    Shapes: answers (B, k), scores (B, k) -> (B,). Raises: ValueError where the shapes differ.
    Source: Cobbe et al. 2021, "Training Verifiers to Solve Math Word Problems", section 4.

    >>> best_of(torch.tensor([[7, 3, 5]]), scores=torch.tensor([[0.1, 0.9, 0.2]]))
    tensor([3])
    """
    if answers.shape != scores.shape:
        raise ValueError(
            f"answers {tuple(answers.shape)} and scores {tuple(scores.shape)}: each answer needs one score"
        )
    return answers.gather(1, scores.argmax(dim=1, keepdim=True))[:, 0]


def majority_of_two(p: float, k: int) -> float:
    """The chance that the majority of k samples is right where there are two answers, and each is
    right with chance p.

    A draw counts half. Source: Condorcet 1785: it rises with k for p > 1/2 and falls for p < 1/2.

    >>> [round(majority_of_two(p, k=101), 3) for p in (0.4, 0.5, 0.6)]
    [0.021, 0.5, 0.979]
    """
    chance = [math.comb(k, c) * p**c * (1 - p) ** (k - c) for c in range(k + 1)]
    return sum(chance[k // 2 + 1 :]) + (chance[k // 2] / 2 if k % 2 == 0 else 0.0)


@dataclass(frozen=True)
class RunningSum:
    """Problems: n digits below p and an equals sign; the answer is their sum modulo p.

    The three styles of an answer: "direct" is the answer alone; "steps" are the sums of the first
    1, 2, …, n digits, the last of which is the answer; "filler" is as long as "steps", but says
    nothing until the answer. Each new sum is the one before plus `weight` times the digit. Tokens:
    the digits 0 to p - 1, then p for "=", p + 1 for a filler.

    >>> task = RunningSum(p=10, n=4)
    >>> digits = torch.tensor([[3, 9, 1, 5]])
    >>> [task.rows(digits, style).tolist()[0][5:] for style in STYLES]
    [[8], [11, 11, 11, 8], [3, 2, 3, 8]]
    """

    p: int = 10
    n: int = 8
    weight: int = 1

    def problems(self, B: int, generator: torch.Generator) -> Tensor:
        """B problems: their digits (B, n), each drawn with equal chances."""
        return torch.randint(self.p, (B, self.n), generator=generator)

    def sums(self, digits: Tensor) -> Tensor:
        """The sums after each digit, modulo p: (B, n) -> (B, n); the last column is the answer."""
        return (self.weight * digits).cumsum(1) % self.p

    def prompt(self, digits: Tensor) -> Tensor:
        """The digits and the equals sign: (B, n) -> (B, n + 1)."""
        return F.pad(digits, (0, 1), value=self.p)

    def rows(self, digits: Tensor, style: str) -> Tensor:
        """Prompt and right answer as a model is to write it: (B, n) -> (B, n + 1 + m)."""
        if style not in STYLES:
            raise ValueError(f"style={style!r} is unknown: choose one of {', '.join(STYLES)}")
        written = self.sums(digits)
        if style != "steps":
            silent = torch.full_like(written[:, 1:], self.p + 1)[
                :, : None if style == "filler" else 0
            ]
            written = torch.cat([silent, written[:, -1:]], dim=1)
        return torch.cat([self.prompt(digits), written], dim=1)

    def batches(
        self, style: str, batch: int = 64
    ) -> Callable[[torch.Generator], tuple[Tensor, Tensor]]:
        """For `training.train`: draws inputs and targets (batch, n + m); targets before the answer
        are -100.

        The style "told" is the control of "steps": the same targets, and fillers to read. The model
        is told every sum, and never reads one.
        """

        def draw(generator: torch.Generator) -> tuple[Tensor, Tensor]:
            digits = self.problems(batch, generator)
            rows = self.rows(digits, "steps" if style == "told" else style)
            targets = rows[:, 1:].clone()
            targets[:, : self.n] = -100
            inputs = self.rows(digits, "filler") if style == "told" else rows
            return inputs[:, :-1], targets

        return draw

    def model(self, width: int, seed: int = 0, heads: int = 4) -> Transformer:
        """An untrained GPT of two blocks for these problems."""
        config = ladder(
            5,
            vocab_size=self.p + 2,
            n_positions=2 * self.n + 1,
            n_embd=width,
            n_layer=2,
            n_head=heads,
            initializer_range=0.07,
        )
        return Transformer(config, torch.Generator().manual_seed(seed))

    @torch.no_grad()
    def answer_silently(self, model: Transformer, digits: Tensor) -> Tensor:
        """The likeliest sums of a model that reads fillers where its steps would stand: (B, n) ->
        (B, n).
        """
        rows = self.rows(digits, "filler")[:, :-1].to(device_of(model))
        return model(rows)[:, self.n :].argmax(-1)

    @torch.no_grad()
    def sample(
        self,
        model: Transformer,
        digits: Tensor,
        style: str,
        k: int,
        temperature: float,
        generator: torch.Generator,
    ) -> Tensor:
        """Let the model write k answers to each problem: (B, n) -> (B, k, m); temperature 0 takes
        the likeliest token.
        """
        row = self.prompt(digits).repeat_interleave(k, dim=0).to(device_of(model))  # (B · k, n + 1)
        caches = [KVCache() for _ in model.h]
        written = []
        m = 1 if style == "direct" else self.n
        for _ in range(m):
            logits = model(row, caches)[:, -1]  # (B · k, V)
            if temperature == 0:
                row = logits.argmax(-1, keepdim=True)
            else:
                # the dice are thrown where they are
                p = (logits / temperature).softmax(-1).to(generator.device)
                row = torch.multinomial(p, 1, generator=generator).to(logits.device)
            written.append(row)
        return torch.cat(written, dim=1).view(len(digits), k, m)

    def verify(self, digits: Tensor, written: Tensor) -> Tensor:
        """Does every written step follow from the one before? (B, n), (B, k, n) -> (B, k), bool. It
        knows no answer.
        """
        before = F.pad(written[:, :, :-1], (1, 0))  # (B, k, n)
        return (
            (before + self.weight * digits[:, None].to(written.device)) % self.p == written
        ).all(-1)


def sum_loss(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    """The mean cross-entropy in nats of the answer's tokens; those of the problem (target -100) do
    not count.

    >>> task = RunningSum(p=10, n=4)
    >>> batch = task.batches("steps")(torch.Generator().manual_seed(0))
    >>> round(sum_loss(lambda inputs: torch.zeros(*inputs.shape, 12), batch).item(), 4)  # log 12
    2.4849
    """
    return F.cross_entropy(model(batch[0]).flatten(0, 1), batch[1].flatten(), ignore_index=-100)


def coverage(right: Tensor, k: int) -> float:
    """The mean of `pass_at_k` over problems: right (B, n), bool, says which of n samples are right.

    >>> round(coverage(torch.tensor([[True, False], [False, False]]), k=1), 2)
    0.25
    """
    n = right.size(1)
    return sum(pass_at_k(n, int(c), k) for c in right.sum(1)) / len(right)


HALF_TRAINED = assets.path("test_time_compute/running_sum.safetensors")
RECORD = assets.path("test_time_compute/test_time.json")


@lru_cache(maxsize=1)
def half_trained(file: Path = HALF_TRAINED) -> tuple[RunningSum, Transformer]:
    """A task and a small model stopped half-way: it mostly knows how to write the steps, and errs
    now and then.

    `tools/record/train_running_sum.py` makes it again.

    >>> task, model = half_trained()
    >>> digits = torch.tensor([[1, 2, 3, 4, 1, 2, 3, 4]])
    >>> task.sample(model, digits, "steps", 1, temperature=0, generator=None)[0, 0].tolist()
    [1, 3, 6, 0, 1, 3, 6, 0]
    """
    with safe_open(file, framework="pt") as stored:
        record = json.loads(stored.metadata()["record"])
        weights = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118 (not a dict)
    task = RunningSum(record["p"], record["n"])
    model = task.model(record["width"])
    model.load_state_dict(weights, strict=False)  # the head is the embedding
    return task, model.eval()


@lru_cache(maxsize=1)
def recorded(file: Path = RECORD) -> dict:
    """What `tools/record/train_running_sum.py` measured: "rows" of style, seed, tokens read and
    accuracy, date, command.

    >>> sorted({row["style"] for row in recorded()["rows"]})
    ['direct', 'filler', 'steps', 'told']
    """
    return json.loads(file.read_text(encoding="utf-8"))
