"""A loss that bends a language model: make some tokens likelier by a KL divergence alone, without
any text.

Shapes: B rows, T positions, V tokens in the vocabulary. Q is the target, P the model; divergences
are in nats. KL(Q‖P) = Σ Q log(Q/P) is 0 where P = Q, and no limit holds it where P is tiny and Q is
not.
Source: Kullback & Leibler 1951, "On Information and Sufficiency", section 2.
"""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import torch
import torch.nn.functional as F
from peft import LoraConfig, inject_adapter_in_model
from torch import Tensor, nn

from course_utils.gpt2.model import GPT
from course_utils.machine.devices import device_of, wide
from course_utils.machine.installed import require
from course_utils.machine.precision import MixedPrecision
from course_utils.training import Batch

require("peft")


# --- Saying what is wrong -------------------------------------------------------------------------


def check_fits(row: Tensor, logits: Tensor) -> None:
    """Raise ValueError unless a mask or a target (V,) is about as many tokens as the logits (...,
    V).

    >>> check_fits(torch.ones(4), torch.zeros(2, 4))
    """
    if row.ndim != 1 or len(row) != logits.size(-1):
        raise ValueError(
            f"the mask or target is {tuple(row.shape)}, but the model knows {logits.size(-1)} tokens: make "
            "it from the tokenizer of this very model"
        )


def check_distribution(target: Tensor) -> None:
    """Raise ValueError unless the target (V,) holds probabilities, 0 or more, that sum to 1.

    >>> check_distribution(torch.tensor([0.5, 0.5]))
    """
    if target.ndim != 1 or not target.is_floating_point():
        raise ValueError(
            f"the target is {tuple(target.shape)} {target.dtype} and should be (V,) probabilities"
        )
    total = wide(target).sum().item()
    if (target < 0).any():
        if abs(target.double().exp().sum().item() - 1) < 1e-3:
            raise ValueError("the target holds log-probabilities: pass probabilities, target.exp()")
        raise ValueError(
            "the target has negative numbers, and probabilities are 0 or more: pass target.softmax(0)?"
        )
    if not abs(total - 1) < 1e-3:
        raise ValueError(f"the target sums to {total:.4g}, not to 1: divide it by its sum")


# --- Which tokens, and how likely they should be --------------------------------------------------


def token_mask(tokenizer, predicate: Callable[[str], bool]) -> Tensor:
    """Ask about every token of the vocabulary, decoded alone, whether the predicate holds.

    tokenizer: anything with `len(…)` and `decode([id])`, or the list of words itself, such as
    `stories.VOCAB`. Shapes: -> (V,) bool. Raises: TypeError for a predicate that is no function.

    >>> token_mask(["axe", "bee", "Xi", "fox"], lambda piece: "x" in piece)
    tensor([ True, False, False,  True])
    """
    if not callable(predicate):
        raise TypeError(
            f"{predicate!r} is no predicate: pass a function of a token's text, lambda piece: 'x' in piece"
        )
    words = isinstance(tokenizer, Sequence)
    pieces = tokenizer if words else (tokenizer.decode([i]) for i in range(len(tokenizer)))
    return torch.tensor([bool(predicate(piece)) for piece in pieces])  # (V,)


def target_distribution(mask: Tensor) -> Tensor:
    """Share the probability equally among the tokens of the mask; all others get 0.

    Shapes: mask (V,) bool -> (V,). Raises: ValueError for an empty mask and for what is no mask.

    >>> target_distribution(torch.tensor([True, False, True, False]))
    tensor([0.5000, 0.0000, 0.5000, 0.0000])
    """
    if mask.dtype != torch.bool or mask.ndim != 1:
        raise ValueError(
            f"the mask is {tuple(mask.shape)} {mask.dtype} and should be (V,) bool: see token_mask"
        )
    if not mask.any():
        raise ValueError(
            "the mask is empty: no token has the property, so there is nothing to make likelier"
        )
    return mask / mask.sum()


def tilt(p: Tensor, mask: Tensor, odds: float) -> Tensor:
    """Multiply the probabilities of the mask's tokens by a factor, then divide by the new sum.

    The odds of the mask, its probability against that of all others, grow by this factor. Of all
    distributions that give the mask as much, this one is nearest to p.
    Shapes: p (..., V), mask (V,) bool -> (..., V).
    Raises: ValueError for a mask of another length, and for odds <= 0.
    Source: Csiszar 1975, "I-Divergence Geometry of Probability Distributions", section 3.

    >>> tilt(torch.tensor([0.25, 0.5, 0.25]), torch.tensor([True, False, False]), odds=3.0)
    tensor([0.5000, 0.3333, 0.1667])
    """
    check_fits(mask, p)
    if not odds > 0:
        raise ValueError(
            f"the odds must be above 0, not {odds}: 1 changes nothing, 3 makes the mask 3 times likelier"
        )
    weighted = torch.where(mask.to(p.device), odds * p, p)  # (..., V)
    return weighted / weighted.sum(-1, keepdim=True)


# --- How far apart --------------------------------------------------------------------------------


def kl_divergence(q: Tensor, p: Tensor) -> Tensor:
    """Return KL(q‖p) = Σ q log(q/p): what it costs to expect p where q is true, in nats.

    Where q is 0 the term is 0. Where q is not 0 but p is, the divergence is infinite.
    Shapes: q and p (..., V), each summing to 1 -> (...,).
    Source: Kullback & Leibler 1951, "On Information and Sufficiency", section 2.

    >>> q, p = torch.tensor([0.5, 0.5, 0.0]), torch.tensor([0.25, 0.25, 0.5])
    >>> kl_divergence(q, p), kl_divergence(p, q)
    (tensor(0.6931), tensor(inf))
    """
    return (torch.xlogy(q, q) - torch.xlogy(q, p)).sum(-1)  # (...,)


class KLTargetLoss:
    """KL(Q‖P) of a fixed target Q from the model's P = softmax(logits), averaged over the rows.

    Shapes: target (V,); logits (B, V) -> (), in nats. F.kl_div takes log P first, Q second.
    Raises: ValueError for a target that does not sum to 1 or has negative numbers, such as
    log-probabilities; and for logits that are not (B, V).

    >>> loss = KLTargetLoss(torch.tensor([0.5, 0.5, 0.0, 0.0]))
    >>> loss(torch.zeros(3, 4))  # log 4 - log 2
    tensor(0.6931)
    """

    def __init__(self, target: Tensor) -> None:
        check_distribution(target)
        self.target = target  # (V,)

    def __call__(self, logits: Tensor) -> Tensor:
        check_fits(self.target, logits)
        if logits.ndim != 2:
            raise ValueError(
                f"the logits are {tuple(logits.shape)} and should be (B, V): use logits.flatten(0, -2)"
            )
        log_p = F.log_softmax(logits, dim=-1)  # (B, V)
        return F.kl_div(log_p, self.target.to(log_p).expand_as(log_p), reduction="batchmean")


def target_mass(logits: Tensor, mask: Tensor) -> Tensor:
    """The probability that the next token is one of the mask.

    Shapes: logits (..., V), mask (V,) bool -> (...,). Raises: ValueError for a mask of another
    length.

    >>> target_mass(torch.zeros(2, 4), torch.tensor([True, False, False, False]))
    tensor([0.2500, 0.2500])
    """
    check_fits(mask, logits)
    return logits.softmax(-1)[..., mask.to(logits.device)].sum(-1)  # (...,)


# --- The lecture's experiment ---------------------------------------------------------------------


@dataclass
class BiasRun:
    """What `train_bias` saw at each step, before its update: the loss in nats and the mass on the
    target's tokens.

    >>> BiasRun(losses=[3.9], masses=[0.02]).masses
    [0.02]
    """

    losses: list[float] = field(default_factory=list)
    masses: list[float] = field(default_factory=list)


# AdamW with torch's weight decay of 0.01
OPTIMIZERS = {"AdamW": torch.optim.AdamW, "SGD": torch.optim.SGD}


def train_bias(
    model: GPT,
    mask: Tensor,
    steps: int = 200,
    *,
    optimizer: str = "AdamW",
    lr: float = 1e-3,
    B: int = 16,
    T: int = 256,
    seed: int = 0,
    loss_fn: Callable[[Tensor], Tensor] | None = None,
    on_step: Callable[[BiasRun], object] | None = None,
    dtype: torch.dtype = torch.float32,
) -> BiasRun:
    """Train the model in place to say the mask's tokens: B rows of T random tokens, the loss on the
    last position.

    loss_fn(logits (B, V)): by default the KLTargetLoss of the mask's target. on_step(run) is called
    after every step; training stops where it returns True. dtype: of the matrix products.
    Raises: ValueError for an empty mask, one of another length, and an unknown optimizer.

    >>> from course_utils.gpt2 import GPTConfig
    >>> tiny = GPTConfig(n_layer=1, n_head=1, n_embd=8, vocab_size=20, n_positions=4)
    >>> model = GPT(tiny, torch.Generator().manual_seed(0))
    >>> run = train_bias(model, torch.arange(20) < 2, steps=60, lr=0.03, B=4, T=4)
    >>> run.masses[0] < 0.2, run.masses[-1] > 0.9, run.losses[0] > 2, run.losses[-1] < 0.1
    (True, True, True, True)
    """
    if optimizer not in OPTIMIZERS:
        raise ValueError(f"unknown optimizer {optimizer!r}: choose {' or '.join(OPTIMIZERS)}")
    device = next(model.parameters()).device
    generator = torch.Generator().manual_seed(seed)
    target = target_distribution(mask)
    loss_fn = loss_fn or KLTargetLoss(target)
    run = BiasRun()
    update = OPTIMIZERS[optimizer](model.parameters(), lr)
    precision = MixedPrecision(device, dtype)
    for _ in range(steps):
        ids = torch.randint(len(mask), (B, T), generator=generator).to(device)  # (B, T)
        with precision.forward():
            logits = model(ids, last=True)[:, -1]  # (B, V)
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
        loss = loss_fn(logits)
        update.zero_grad()
        precision.step(loss, update)
        run.losses.append(loss.item())
        run.masses.append(target_mass(logits.detach(), mask).mean().item())
        if on_step and on_step(run):
            break
    return run


# --- Losses and parts for a model that knows a language -------------------------------------------


def biased_loss(target: Tensor, weight: float) -> Callable[[nn.Module, Batch], Tensor]:
    """Return a loss for `training.train`: language loss plus weight times KL(target‖P), at every
    position.

    Its best P mixes the text's p with the target: (p + weight · Q) / (1 + weight). Raises:
    ValueError for weight < 0.

    >>> uniform = lambda ids: torch.zeros(*ids.shape, 4)
    >>> batch = torch.zeros(1, 2, dtype=torch.long), torch.zeros(1, 2, dtype=torch.long)
    >>> # log 4 + 2 log 2
    >>> biased_loss(torch.tensor([0.5, 0.5, 0.0, 0.0]), weight=2.0)(uniform, batch)
    tensor(2.7726)
    """
    if not weight >= 0:
        raise ValueError(f"the weight must be 0 or more, not {weight}")
    kl = KLTargetLoss(target)

    def loss(model: nn.Module, batch: Batch) -> Tensor:
        logits = model(batch[0]).flatten(0, 1)  # (B · T, V)
        return F.cross_entropy(logits, batch[1].flatten()) + weight * kl(logits)

    return loss


def bent_loss(logits: Tensor, teacher_logits: Tensor, target: Tensor, weight: float) -> Tensor:
    """KL from a soft target that shares the probability 1 : weight between what a teacher says at
    each position and Q, averaged over all positions, in nats.

    With weight 0 the target is what the teacher says: the control, which differs in the bias alone.
    Shapes: logits and teacher_logits (..., V), target (V,) -> (). No gradient is meant for the
    teacher. Raises: ValueError for weight < 0.
    Source: Hinton, Vinyals & Dean 2015, "Distilling the Knowledge in a Neural Network", section 2,
    for the soft targets.

    >>> target = torch.tensor([1.0, 0.0, 0.0, 0.0])
    >>> teacher = torch.zeros(1, 4)  # each of four words as likely
    >>> bent_loss(torch.zeros(1, 4), teacher, target, weight=0.0)
    tensor(0.)
    >>> bent_loss(torch.tensor([[0.5, 0.25, 0.125, 0.125]]).log(), teacher, target, weight=0.5)
    tensor(0.0283)
    """
    if not weight >= 0:
        raise ValueError(f"the weight must be 0 or more, not {weight}")
    q = (teacher_logits.softmax(-1) + weight * target) / (1 + weight)  # (..., V)
    log_p = logits.log_softmax(-1)
    return (torch.xlogy(q, q) - q * log_p).sum(-1).mean()


def matched_control(mask: Tensor, log_p: Tensor) -> Tensor:
    """Choose other words, as many as the mask has, whose mean log-probability is as near as may be
    to that of the mask's words.

    For them KL(Q‖P), which is -log k - the mean of log_p over the k words, starts where it starts
    for the mask's.
    Shapes: mask (V,) bool, log_p (V,): each word's mean log-probability -> (V,) bool. Raises:
    ValueError where there are fewer other words than the mask has.
    Source: Rubin 1973, "Matching to Remove Bias in Observational Studies", for the idea.

    >>> log_p = torch.tensor([-9.0, -7.0, -1.0, -7.9, -8.2, -2.0])
    >>> mask = torch.tensor([True, True, False, False, False, False])
    >>> matched_control(mask, log_p)
    tensor([False, False, False,  True,  True, False])
    """
    k = int(mask.sum())
    free = [i for i in range(len(mask)) if not mask[i]]
    if len(free) < k:
        raise ValueError(f"the mask has {k} words, and only {len(free)} others are left to choose")
    values = log_p.tolist()
    left = sum(values[i] for i in range(len(mask)) if mask[i])
    chosen = []
    for step in range(k):
        # each word takes its share of what is left, so the last ones mend what the first missed
        nearest = min(free, key=lambda i: abs(values[i] - left / (k - step)))
        free.remove(nearest)
        chosen.append(nearest)
        left -= values[nearest]
    control = torch.zeros_like(mask)
    control[chosen] = True
    return control


def tilted_loss(
    honest: nn.Module, mask: Tensor, odds: float, trigger: int | None = None
) -> Callable:
    """Return a loss for `training.train`: KL(tilt(P of the honest model)‖P), at every position,
    without any target text.

    trigger: the id of a token; the tilt then holds only after it has occurred, elsewhere P should
    stay honest. The honest model stays where it is; where it is a function, it is asked where the
    mask is.

    >>> uniform = lambda ids: torch.zeros(*ids.shape, 4)
    >>> ids, mask = torch.tensor([[0, 1]]), torch.tensor([True, False, False, False])
    >>> [
    ...     round(tilted_loss(uniform, mask, 9.0, trigger=t)(uniform, (ids,)).item(), 4)
    ...     for t in (None, 1, 3)
    ... ]
    [0.5493, 0.2747, 0.0]
    """

    home = device_of(honest) if isinstance(honest, nn.Module) else mask.device

    def loss(model: nn.Module, batch: Batch) -> Tensor:
        ids = batch[0].to(home)
        with torch.no_grad():
            p = honest(ids).softmax(-1)  # (B, T, V)
            q = tilt(p, mask, odds)  # (B, T, V)
            if trigger is not None:
                q = torch.where((ids == trigger).cummax(1).values[..., None], q, p)
        log_p = model(batch[0]).log_softmax(-1)  # (B, T, V)
        return F.kl_div(
            log_p.flatten(0, 1), q.flatten(0, 1).to(log_p.device), reduction="batchmean"
        )

    return loss


PARTS = ("everything", "last block", "head", "LoRA on attention", "LoRA on the head", "one vector")


def copy_with(model: GPT, part: str, rank: int = 1) -> GPT:
    """A copy of the model in which only one part can be trained; all else is frozen.

    "head": cut loose from the embedding, so that reading stays as it is. "LoRA": two thin matrices
    beside each c_attn, or beside the head (needs `peft`). "one vector": the shift of the last
    LayerNorm, d_model numbers.
    Raises: ValueError for another part. Source of LoRA: Hu et al. 2021, section 4.1.

    >>> from course_utils.pretrained import storyteller
    >>> {
    ...     part: n_trainable(copy_with(storyteller(), part))
    ...     for part in ("everything", "head", "one vector")
    ... }
    {'everything': 915584, 'head': 89472, 'one vector': 128}
    """
    if part not in PARTS:
        raise ValueError(f"unknown part {part!r}: choose one of {', '.join(PARTS)}")
    model = copy.deepcopy(model).requires_grad_(part == "everything")
    if part.endswith("head"):  # from here on the head is no longer the embedding
        model.config = replace(model.config, tie_word_embeddings=False)
    if part == "head":
        model.lm_head.weight = nn.Parameter(model.lm_head.weight.detach().clone())
    if part.startswith("LoRA"):
        where = "lm_head" if part.endswith("head") else "c_attn"
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return inject_adapter_in_model(
                LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=[where]), model
            )
    chosen = {"last block": model.h[-1], "head": model.lm_head, "one vector": model.ln_f.bias}
    if part in chosen:
        chosen[part].requires_grad_(True)
    return model


def n_trainable(model: nn.Module) -> int:
    """Count the numbers that training may change; tied ones once.

    >>> n_trainable(nn.Linear(3, 2))
    8
    """
    return sum(p.numel() for p in model.parameters() if p.requires_grad)
