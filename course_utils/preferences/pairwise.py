"""Learning from comparisons, as lesson 20 builds it: pairs of answers, a reward model, DPO.

A pair is two answers to one prompt, one preferred. B pairs or texts, T positions. Log-probabilities
are in nats and belong to an answer as a whole: the sum over its tokens, given the prompt. "Policy"
is the model in training, "reference" the fixed model that it started from. Who says which answer is
better? In RLHF people, in RLAIF another model; in this course a program that knows the truth, which
is neither.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from course_utils.gpt2.model import GPT
from course_utils.machine.devices import device_of, wide

# --- Log-probabilities of answers -----------------------------------------------------------------


def sequence_log_prob(model: nn.Module, ids: Tensor, mask: Tensor) -> Tensor:
    """The log-probability of each answer, in nats: summed over the tokens that the mask marks, each
    given all before it.

    Shapes: ids (B, T), mask (B, T), True at the answer's tokens -> (B,). What stands behind an
    answer does not matter, so texts of different lengths are filled up at their ends.
    Raises: ValueError for a mask of another shape, or one that marks the first token, which nothing
    predicts.

    >>> uniform = lambda ids: torch.zeros(*ids.shape, 10)
    >>> # -2 log 10
    >>> sequence_log_prob(uniform, torch.tensor([[3, 1, 4]]), torch.tensor([[False, True, True]]))
    tensor([-4.6052])
    """
    if mask.shape != ids.shape:
        raise ValueError(
            f"ids {tuple(ids.shape)} and mask {tuple(mask.shape)}: the mask needs one entry for each token"
        )
    if mask[:, 0].any():
        raise ValueError(
            "the mask marks a text's first token, and nothing before it predicts it: begin with a prompt"
        )
    logits = model(ids[:, :-1])  # (B, T - 1, V): row t is about token t + 1
    each = -F.cross_entropy(logits.transpose(1, 2), ids[:, 1:], reduction="none")  # (B, T - 1)
    return (each * mask[:, 1:]).sum(1)  # (B,)


# --- Pairs ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Pairs:
    """Preferred and rejected answers with their prompts: ids (B, T) each, and masks (B, T) that
    mark the answers.

    >>> # one prompt of two tokens; 0 ends an answer
    >>> pairs = Pairs.of([([5, 6], [7, 0], [8, 9, 0])])
    >>> pairs.chosen.tolist(), pairs.chosen_mask.int().tolist()
    ([[5, 6, 7, 0, 0]], [[0, 0, 1, 1, 0]])
    """

    chosen: Tensor
    chosen_mask: Tensor
    rejected: Tensor
    rejected_mask: Tensor

    @classmethod
    def of(
        cls, rows: Sequence[tuple[Sequence[int], Sequence[int], Sequence[int]]], fill: int = 0
    ) -> Pairs:
        """Pairs from (prompt, preferred answer, other answer), each a list of ids; shorter texts
        are filled up.
        """
        if not rows:
            raise ValueError(
                "there is no pair: give at least one (prompt, preferred answer, other answer)"
            )
        length = max(len(prompt) + max(len(good), len(bad)) for prompt, good, bad in rows)

        def side(which: int) -> tuple[Tensor, Tensor]:
            ids = torch.full((len(rows), length), fill)
            mask = torch.zeros(len(rows), length, dtype=torch.bool)
            for i, row in enumerate(rows):
                start = len(row[0])
                answer = row[which]
                ids[i, : start + len(answer)] = torch.tensor([*row[0], *answer])
                mask[i, start : start + len(answer)] = True
            return ids, mask

        return cls(*side(1), *side(2))

    def __len__(self) -> int:
        return len(self.chosen)

    def __getitem__(self, rows: slice | Tensor) -> Pairs:
        return Pairs(
            self.chosen[rows], self.chosen_mask[rows], self.rejected[rows], self.rejected_mask[rows]
        )

    def to(self, device: torch.device | str) -> Pairs:
        """The same pairs on a device."""
        tensors = (self.chosen, self.chosen_mask, self.rejected, self.rejected_mask)
        return Pairs(*(x.to(device) for x in tensors))

    def log_probs(self, model: nn.Module, batch: int = 64) -> tuple[Tensor, Tensor]:
        """The log-probabilities of the preferred and of the rejected answers, (B,) each, without
        gradients.

        They lie where the pairs do, wherever the model is.
        """
        home = self.chosen.device
        there = device_of(model)
        with torch.no_grad():
            parts = [
                pair_log_probs(model, self[i : i + batch].to(there))
                for i in range(0, len(self), batch)
            ]
        return tuple(torch.cat(side).to(home) for side in zip(*parts, strict=True))

    def batches(self, size: int, *more: Tensor) -> Callable[[torch.Generator], tuple[Tensor, ...]]:
        """Draw random pairs for `training.train`: the four tensors, and the rows of `more` that
        belong to them.
        """
        tensors = (self.chosen, self.chosen_mask, self.rejected, self.rejected_mask, *more)

        def draw(generator: torch.Generator) -> tuple[Tensor, ...]:
            rows = torch.randint(len(self), (size,), generator=generator)
            return tuple(x[rows] for x in tensors)

        return draw


def pair_log_probs(model: nn.Module, pairs: Pairs) -> tuple[Tensor, Tensor]:
    """The log-probabilities (B,) of both answers of each pair, from one pass over 2 B texts.

    >>> uniform = lambda ids: torch.zeros(*ids.shape, 10)
    >>> pair_log_probs(uniform, Pairs.of([([5, 6], [7, 0], [8, 9, 0])]))
    (tensor([-4.6052]), tensor([-6.9078]))
    """
    ids = torch.cat([pairs.chosen, pairs.rejected])
    mask = torch.cat([pairs.chosen_mask, pairs.rejected_mask])
    return sequence_log_prob(model, ids, mask).chunk(2)


# --- A reward model -------------------------------------------------------------------------------


def bradley_terry_loss(chosen: Tensor, rejected: Tensor) -> Tensor:
    """Minus the log-probability of all preferences, if P(a is preferred to b) = sigmoid(r(a) -
    r(b)); the mean, in nats.

    Only differences count: adding a number to all rewards changes nothing.
    Shapes: rewards of the preferred and of the rejected answers, (B,) each -> ().
    Source: Bradley & Terry 1952; Ouyang et al. 2022 (InstructGPT), equation 1.

    >>> bradley_terry_loss(torch.tensor([2.0, 1.0]), torch.tensor([2.0, -500.0]))  # log 2 and 0
    tensor(0.3466)
    """
    return -F.logsigmoid(chosen - rejected).mean()


class RewardModel(nn.Module):
    """A GPT with a head that gives one number, the reward, read at the last token of the answer.

    Shapes: ids (B, T), mask (B, T) as for `sequence_log_prob` -> (B,). It begins as a copy of the
    model whose answers it will judge, with a head of zeros, so every answer gets 0. Source: Ouyang
    et al. 2022, section 3.5.

    >>> from course_utils.gpt2 import GPTConfig
    >>> model = RewardModel(
    ...     GPT(GPTConfig(n_layer=1, n_head=2, n_embd=8, vocab_size=10, n_positions=8))
    ... )
    >>> model(torch.tensor([[3, 1, 4, 0]]), torch.tensor([[False, False, True, False]]))
    tensor([0.], grad_fn=<SqueezeBackward1>)
    """

    def __init__(self, model: GPT) -> None:
        super().__init__()
        self.body = copy.deepcopy(model)
        self.head = nn.utils.skip_init(
            nn.Linear, model.config.n_embd, 1, bias=False, device=device_of(model)
        )
        nn.init.zeros_(self.head.weight)

    def features(self, ids: Tensor, mask: Tensor) -> Tensor:
        """What the body makes of each answer's last token: (B, T), (B, T) -> (B, d_model)."""
        # (B,): where the answer ends
        last = (mask * torch.arange(ids.size(1), device=ids.device)).amax(1)
        return self.body.ln_f(
            self.body.streams(ids)[-1][torch.arange(len(ids), device=ids.device), last]
        )

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        return self.head(self.features(ids, mask)).squeeze(1)  # (B,)


@torch.no_grad()
def reward_accuracy(model: nn.Module, pairs: Pairs) -> float:
    """The share of pairs in which the preferred answer gets the higher reward; equal rewards count
    half.

    >>> pairs = Pairs.of([([5, 6], [7, 0], [8, 9, 0]), ([5, 6], [7, 8, 0], [9, 0])])
    >>> reward_accuracy(lambda ids, mask: mask.sum(1).float(), pairs)
    0.5
    """
    pairs = pairs.to(device_of(model))
    chosen = model(pairs.chosen, pairs.chosen_mask)
    rejected = model(pairs.rejected, pairs.rejected_mask)
    return (wide(chosen > rejected) + wide(chosen == rejected) / 2).mean().item()


# --- Without a reward model -----------------------------------------------------------------------


def dpo_loss(
    policy_chosen: Tensor,
    policy_rejected: Tensor,
    reference_chosen: Tensor,
    reference_rejected: Tensor,
    beta: float,
) -> Tensor:
    """The loss of direct preference optimisation: minus the log-probability of the preferences.

    It is the Bradley–Terry loss of the implicit reward beta · log(policy / reference).
    Log-probabilities of whole answers go in, (B,) each; the mean over pairs comes out, (), in nats.
    beta > 0 is the strength of the leash: the policy that is best for a reward is
    reference · exp(reward / beta), rescaled to sum to 1.
    Raises: ValueError for unlike shapes, or beta <= 0. Source: Rafailov et al. 2023, equation 7.

    >>> a, b = torch.tensor([-2.0, -3.0]), torch.tensor([-4.0, -4.0])
    >>> dpo_loss(a, b, a, b, beta=0.1), dpo_loss(a, b, b, b, beta=0.5)  # log 2 at the start
    (tensor(0.6931), tensor(0.3937))
    """
    shapes = [
        tuple(x.shape)
        for x in (policy_chosen, policy_rejected, reference_chosen, reference_rejected)
    ]
    if len(set(shapes)) > 1 or not beta > 0:
        raise ValueError(
            f"shapes {shapes}, beta {beta}: give four of one shape (B,), and beta above 0"
        )
    chosen = beta * (policy_chosen - reference_chosen)  # (B,): the implicit rewards
    rejected = beta * (policy_rejected - reference_rejected)  # (B,)
    return -F.logsigmoid(chosen - rejected).mean()


def dpo_objective(
    beta: float, loss_fn: Callable[..., Tensor] = dpo_loss
) -> Callable[[nn.Module, tuple[Tensor, ...]], Tensor]:
    """The DPO loss of a model for `training.train`, on batches `pairs.batches(size,
    *pairs.log_probs(reference))`; loss_fn: as `dpo_loss`, which it is unless you give another.

    >>> pairs = Pairs.of([([5, 6], [7, 0], [8, 9, 0])])
    >>> reference = lambda ids: torch.zeros(*ids.shape, 10)
    >>> batch = pairs.batches(2, *pairs.log_probs(reference))(torch.Generator().manual_seed(0))
    >>> dpo_objective(beta=0.1)(reference, batch)  # log 2: nothing has been learnt yet
    tensor(0.6931)
    """

    def loss(model: nn.Module, batch: tuple[Tensor, ...]) -> Tensor:
        *tensors, reference_chosen, reference_rejected = batch
        policy_chosen, policy_rejected = pair_log_probs(model, Pairs(*tensors))
        return loss_fn(policy_chosen, policy_rejected, reference_chosen, reference_rejected, beta)

    return loss


def margin(model: nn.Module, reference: nn.Module, pairs: Pairs, beta: float) -> Tensor:
    """The implicit reward of the preferred answer minus that of the other, (B,), in units of beta ·
    nats.

    >>> pairs = Pairs.of([([5, 6], [7, 0], [8, 9, 0])])
    >>> uniform = lambda ids: torch.zeros(*ids.shape, 10)
    >>> margin(uniform, uniform, pairs, beta=0.1)
    tensor([0.])
    """
    chosen, rejected = pairs.log_probs(model)
    chosen_before, rejected_before = pairs.log_probs(reference)
    return beta * ((chosen - chosen_before) - (rejected - rejected_before))
