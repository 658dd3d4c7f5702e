"""One training loop for all lessons: the same call runs on a CPU, one GPU or several (`accelerate
launch`).
"""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
import torch.nn.functional as F
from accelerate import Accelerator
from torch import Tensor, nn
from tqdm import tqdm

from course_utils.machine.checkpoints import load_checkpoint, save_checkpoint

Batch = tuple[Tensor, ...]


@dataclass
class History:
    """What a run recorded: an entry for each step, and for each evaluation in eval_*; steps count
    from 1.

    >>> history = History(losses=[2.0, 1.5, 1.2], eval_steps=[3], eval_losses=[1.4])
    >>> history.steps, dict(zip(history.eval_steps, history.eval_losses))
    ([1, 2, 3], {3: 1.4})
    """

    losses: list[float] = field(default_factory=list)  # in nats
    grad_norms: list[float] = field(default_factory=list)  # before clipping
    rates: list[float] = field(default_factory=list)  # learning rates
    tokens: list[int] = field(default_factory=list)  # targets seen since the start
    seconds: list[float] = field(default_factory=list)  # since the start
    eval_steps: list[int] = field(default_factory=list)
    eval_losses: list[float] = field(default_factory=list)

    @property
    def steps(self) -> list[int]:
        return list(range(1, len(self.losses) + 1))


def language_loss(model: nn.Module, batch: Batch) -> Tensor:
    """Return the mean cross-entropy in nats of the next tokens: inputs (B, T) and targets (B, T),
    logits (B, T, V).

    >>> uniform = lambda inputs: torch.zeros(*inputs.shape, 10)
    >>> # log 10
    >>> round(language_loss(uniform, (torch.zeros(2, 3).long(), torch.ones(2, 3).long())).item(), 4)
    2.3026
    """
    inputs, targets = batch
    return F.cross_entropy(model(inputs).flatten(0, 1), targets.flatten())


def token_batches(
    tokens: Tensor, batch: int, T: int, starts: Tensor | None = None
) -> Callable[[torch.Generator], Batch]:
    """Return a function that draws windows of tokens (n,) with a generator: inputs and targets,
    (batch, T) each.

    starts: where windows may begin, such as Stories.starts; by default anywhere. Raises ValueError
    where no window fits.

    >>> inputs, targets = token_batches(torch.arange(100), batch=2, T=4)(
    ...     torch.Generator().manual_seed(0)
    ... )
    >>> inputs.shape, bool((targets == inputs + 1).all())
    (torch.Size([2, 4]), True)
    """
    # T tokens to read need one more behind them: the last one's target.
    fits = torch.arange(len(tokens) - T) if starts is None else starts[starts < len(tokens) - T]
    if len(fits) == 0:
        raise ValueError(
            f"no window of {T} + 1 tokens fits in {len(tokens)}: give more tokens, or a smaller T"
        )

    def draw(generator: torch.Generator) -> Batch:
        begin = fits[torch.randint(len(fits), (batch, 1), generator=generator)]  # (batch, 1)
        window = tokens[begin + torch.arange(T + 1)]  # (batch, T + 1)
        return window[:, :-1], window[:, 1:]

    return draw


def learning_rate(
    step: int, steps: int, lr: float, warmup: float = 0.1, final: float = 0.1
) -> float:
    """Return the rate at a step, from 0: a line up to lr over the share `warmup` of steps, a cosine
    down to final * lr.

    Source: Loshchilov & Hutter 2017, equation 5, with the warm-up of Vaswani et al. 2017, section
    5.3.

    >>> [
    ...     round(learning_rate(step, 11, lr=1.0, warmup=0.19, final=0.0), 2)
    ...     for step in (0, 1, 2, 6, 10)
    ... ]
    [0.5, 1.0, 1.0, 0.5, 0.0]
    """
    # Adam divides by how large gradients have been so far. In the first steps it hardly knows, so
    # these are small.
    warm = round(warmup * steps)
    if step < warm:
        return lr * (step + 1) / warm
    done = (step - warm) / max(1, steps - 1 - warm)
    return lr * (final + (1 - final) * (1 + math.cos(math.pi * done)) / 2)


def adamw(
    model: nn.Module, lr: float, weight_decay: float, betas: tuple[float, float]
) -> torch.optim.AdamW:
    """Return AdamW over the parameters that are not frozen; only matrices decay, not biases and
    LayerNorm's gains.

    Raises ValueError where every parameter is frozen. Source: Loshchilov & Hutter 2019, algorithm
    2.

    >>> model = nn.Sequential(nn.Embedding(5, 4), nn.LayerNorm(4), nn.Linear(4, 5))
    >>> groups = adamw(model, lr=1e-3, weight_decay=0.1, betas=(0.9, 0.95)).param_groups
    >>> # 20 + 20; 4 + 4 + 5
    >>> [(group["weight_decay"], sum(p.numel() for p in group["params"])) for group in groups]
    [(0.1, 40), (0.0, 13)]
    """
    learnt = [p for p in model.parameters() if p.requires_grad]
    if not learnt:
        raise ValueError(
            "every parameter is frozen: set requires_grad_(True) on what is to be trained"
        )
    # Decay pulls towards 0. For a matrix that means a simpler function; a LayerNorm's gain should
    # stay near 1.
    decayed = [p for p in learnt if p.dim() >= 2]
    others = [p for p in learnt if p.dim() < 2]
    groups = [
        {"params": decayed, "weight_decay": weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    fused = learnt[0].device.type in ("cpu", "cuda")  # one kernel for all parameters
    return torch.optim.AdamW([group for group in groups if group["params"]], lr, betas, fused=fused)


@torch.no_grad()
def evaluate(
    model: nn.Module, batches: Iterable[Batch], loss_fn: Callable = language_loss
) -> float:
    """Return the mean loss over batches, weighted by their targets, in eval mode; the mode is put
    back afterwards.

    batches: (inputs, targets), (B, T) each, or what loss_fn reads, the targets last. Units: nats.
    Raises ValueError where there is no batch.

    >>> # all 10 tokens are equally likely next
    >>> model = nn.Embedding.from_pretrained(torch.zeros(10, 10))
    >>> round(evaluate(model, [(torch.zeros(2, 3).long(), torch.ones(2, 3).long())]), 4)  # log 10
    2.3026
    """
    device = next(model.parameters()).device
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    total = count = 0.0
    try:
        for batch in batches:
            # Weighted, since the last batch may be smaller: in a plain mean over batches its tokens
            # would count for more.
            total += loss_fn(model, tuple(x.to(device) for x in batch)).item() * batch[-1].numel()
            count += batch[-1].numel()
    finally:  # also where somebody presses Stop
        for module, mode in modes:
            module.training = mode
    if not count:
        raise ValueError("no batch to evaluate on")
    return total / count


def train(
    model: nn.Module,
    batches: Callable[[torch.Generator], Batch],
    steps: int,
    *,
    lr: float = 3e-3,
    warmup: float = 0.1,
    final: float = 0.1,
    weight_decay: float = 0.1,
    betas: tuple[float, float] = (0.9, 0.95),
    clip: float = 1.0,
    seed: int = 0,
    loss_fn: Callable[[nn.Module, Batch], Tensor] = language_loss,
    eval_batches: list[Batch] | None = None,
    eval_every: int = 100,
    on_steps: Callable[[History], object] | None = None,
    every: int = 10,
    checkpoint: str | Path | None = None,
    checkpoint_every: int = 500,
    progress: bool = True,
    accelerator: Accelerator | None = None,
) -> History:
    """Train the model in place for a number of steps and return what happened.

    batches(generator) gives one batch of tensors, the same on every process; each takes its share
    of the rows, so the loss curve does not depend on their number. A step's batch and dropout
    depend on the seed and the step alone. on_steps(history) is called every `every` steps; training
    stops where it returns True. checkpoint: a .safetensors file, written every checkpoint_every
    steps and at the end; where there is one, training goes on from it. In float16
    (mixed_precision="fp16") the loss is scaled, so that small gradients do not become 0. One
    process trains where the model is; several, or an accelerator that is passed, train on the
    accelerator's device. Raises FloatingPointError where the loss is not finite, ValueError for
    arguments that do not fit, torch.OutOfMemoryError, with the remedy, where the device is too
    small.

    >>> model, text = nn.Sequential(nn.Embedding(3, 8), nn.Linear(8, 3)), torch.arange(300) % 3
    >>> history = train(model, token_batches(text, batch=8, T=4), steps=60, lr=0.1, progress=False)
    >>> history.losses[0] > 0.5, history.losses[-1] < 0.1, history.tokens[-1]
    (True, True, 1920)
    """
    if min(steps, every, eval_every, checkpoint_every) < 1:
        raise ValueError(
            "steps, every, eval_every and checkpoint_every count steps: each must be 1 or more"
        )
    given = accelerator is not None
    accelerator = accelerator or Accelerator()
    home = next(model.parameters()).device
    modes = [(module, module.training) for module in model.modules()]
    device = accelerator.device if given or accelerator.num_processes > 1 else home
    model.to(device)
    optimizer = adamw(model, lr, weight_decay, betas)
    optimizer.zero_grad()  # gradients that lie about from before are not of this run
    settings = dict(
        steps=steps,
        lr=lr,
        warmup=warmup,
        final=final,
        weight_decay=weight_decay,
        clip=clip,
        seed=seed,
    )
    history = History()
    if checkpoint and Path(checkpoint).exists():
        history = History(**load_checkpoint(checkpoint, model, optimizer, settings))
    # Several processes: gradients are averaged.
    wrapped = accelerator.prepare_model(model, device_placement=False)
    update = _Update(wrapped, optimizer, loss_fn, clip, accelerator.mixed_precision == "fp16")
    chance = _Chance(seed, device, accelerator.process_index)
    begun = time.perf_counter() - (history.seconds[-1] if history.seconds else 0.0)
    quiet = not progress or os.environ.get("COURSE_QUIET") == "1" or not accelerator.is_main_process
    bar = _bar(total=steps, initial=len(history.losses), disable=quiet)
    # Losses wait in `pending`: reading one makes the program wait for the GPU, so they are read
    # together, now and then.
    pending = []
    try:
        with chance.kept(), bar:
            model.train()
            for step in range(len(history.losses), steps):
                batch = batches(chance.at(step))
                rate = learning_rate(step, steps, lr, warmup, final)
                pending.append(update(_share(batch, accelerator, device), rate))
                history.rates.append(rate)
                seen = history.tokens[-1] if history.tokens else 0
                history.tokens.append(seen + batch[-1].numel())
                history.seconds.append(time.perf_counter() - begun)
                done = step + 1
                test = done % eval_every == 0 or done == steps
                save = done % checkpoint_every == 0 or done == steps
                if done % every and not test and not save:
                    continue
                _record(history, accelerator.reduce(torch.stack(pending), "mean").tolist())
                pending.clear()
                bar.set_postfix_str(f"loss {history.losses[-1]:.3f}", refresh=False)
                bar.update(done - bar.n)
                if test and eval_batches:
                    history.eval_steps.append(done)
                    history.eval_losses.append(evaluate(model, eval_batches, loss_fn))
                if checkpoint and save and accelerator.is_main_process:
                    save_checkpoint(checkpoint, model, optimizer, asdict(history), settings)
                if on_steps and on_steps(history):
                    break
        accelerator.wait_for_everyone()
    except RuntimeError as error:
        if "out of memory" not in str(error):
            raise
        raise _too_large(error, batch, len(history.rates) + 1, device) from None
    finally:
        optimizer.zero_grad()
        accelerator.unwrap_model(wrapped, keep_fp32_wrapper=False).to(home)
        for module, mode in modes:
            module.training = mode
    return history


class _Update:
    """One step of the weights: forward, backward, a gradient that is not too long, AdamW."""

    def __init__(
        self,
        model: nn.Module,
        optimizer: torch.optim.AdamW,
        loss_fn: Callable,
        clip: float,
        fp16: bool,
    ) -> None:
        self.model = model
        self.optimizer = optimizer
        self.loss_fn = loss_fn
        self.clip = clip
        self.learnt = [p for p in model.parameters() if p.requires_grad]
        # Small gradients are 0 in float16, so the loss is scaled up; otherwise this does nothing.
        self.scaler = torch.amp.GradScaler(self.learnt[0].device.type, enabled=fp16)

    def __call__(self, batch: Batch, rate: float) -> Tensor:
        """Change the weights and return (2,): loss and length of the gradient, still on the device."""
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        loss = self.loss_fn(self.model, batch)
        self.scaler.scale(loss).backward()
        self.scaler.unscale_(self.optimizer)
        # One odd batch must not throw the weights far away: a gradient longer than clip is
        # shortened to it.
        norm = nn.utils.clip_grad_norm_(self.learnt, self.clip)
        # float16: left out where a gradient overflowed, as it does in the first steps
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad()
        return torch.stack([loss.detach().float(), norm.float()])


class _Chance:
    """The sources of random numbers of a run: batches have their own, dropout uses torch's."""

    def __init__(self, seed: int, device: torch.device, rank: int) -> None:
        self.seed = seed
        self.rank = rank
        self.device = device
        self.batches = torch.Generator()
        self.of_device = {"cuda": torch.cuda.manual_seed, "mps": torch.mps.manual_seed}.get(
            device.type
        )

    def at(self, step: int) -> torch.Generator:
        """Seed all of them and return that of the batches. A run that goes on from a checkpoint
        draws so what it would have drawn anyway.
        """
        number = self.seed * 1_000_003 + step
        dropout = number * 1009 + self.rank + 1
        torch.default_generator.manual_seed(dropout)
        if self.of_device:
            self.of_device(dropout)
        return self.batches.manual_seed(number)

    def kept(self) -> AbstractContextManager:
        """Inside, torch's own sources may be seeded; afterwards they are what they were."""
        if self.of_device:
            return torch.random.fork_rng([self.device], device_type=self.device.type)
        return torch.random.fork_rng([])


def _too_large(
    error: RuntimeError, batch: Batch, step: int, device: torch.device
) -> torch.OutOfMemoryError:
    """A card that is too small says so in words for those who write kernels; this is for others."""
    rows = len(batch[0])
    longest = max(x.shape[1] if x.ndim > 1 else 1 for x in batch)
    return torch.OutOfMemoryError(
        f"step {step} needs more memory than {device} has, with {rows} rows of {longest} in a "
        "batch: take fewer rows, shorter ones or a smaller model. "
        f"It said: {str(error).splitlines()[0]}"
    )


def _bar(**settings):
    """tqdm's line; in a notebook, which has imported the classroom, the classroom's bar, which the
    file does not keep.
    """
    # not imported here: a cluster needs no notebook to train
    notebook = sys.modules.get("course_utils.classroom.bars")
    return notebook.Bar(**settings) if notebook else tqdm(**settings)


def _share(batch: Batch, accelerator: Accelerator, device: torch.device) -> Batch:
    """This process's rows of a batch, on the device."""
    rank = accelerator.process_index
    world = accelerator.num_processes
    if world > 1 and any(len(x) % world for x in batch):
        raise ValueError(
            f"{len(batch[-1])} rows do not split evenly over {world} processes: use a multiple of {world}"
        )
    return tuple(x[rank::world].to(device, non_blocking=True) for x in batch)


def _record(history: History, rows: list[list[float]]) -> None:
    """Add (loss, gradient norm) of the last steps; raise FloatingPointError at the first loss that
    is not finite.
    """
    for loss, norm in rows:
        if not math.isfinite(loss):
            step = len(history.losses)
            before = f"{history.losses[-1]:.4g}" if history.losses else "none"
            raise FloatingPointError(
                f"the loss of step {step + 1} is {loss} (learning rate {history.rates[step]:.3g}; the loss before: "
                f"{before}). The weights are spoilt: build the model again, then try a rate 3 to 10 times lower, "
                "a longer warm-up or a lower clip. At step 1 suspect the data: a nan, or a mask that hides a whole row."
            )
        history.losses.append(loss)
        history.grad_norms.append(norm)
