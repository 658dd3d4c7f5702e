"""What lesson 21 trains: students of a teacher, pruned models that heal, adapters on a quantized
base; and their record.

Every learning rate is chosen on stories of its own (`choosing`), with a seed of its own; what is
compared is measured on other stories (`unseen`) and with other seeds. Losses are in nats a word.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from course_utils import assets
from course_utils.compression.distillation import T_STUDENT
from course_utils.compression.shrinking import magnitude_masks, pruned, quantized, random_masks
from course_utils.gpt2.model import GPT
from course_utils.instruction_tuning.fine_tuning import answers, base_with_chat, story_loss
from course_utils.instruction_tuning.measures import decodings
from course_utils.lora.adapters import add_lora
from course_utils.lora.runs import NEW, FineTuningRun, exam, fine_tune
from course_utils.machine.devices import device_of
from course_utils.pretrained import UNSEEN, storyteller
from course_utils.stories.corpus import stories
from course_utils.training import token_batches, train

RECORD = assets.path("compression/compression.json")
N_UNSEEN, N_CHOOSING = 40, 16  # windows
SEEDS = (1, 2, 3)  # of what is compared; the rates are chosen with seed 0
HEALING = 50  # steps
RANK, ADAPTING = 8, 60  # steps
TEMPERATURES = (0.8, 1.0, 1.25, 1.5, 2.0, 3.0, 4.0)


# --- Stories to measure on ------------------------------------------------------------------------


@lru_cache(maxsize=1)
def _windows() -> tuple[Tensor, Tensor]:
    """Windows of stories that nothing was trained on, from a story's first word, none of which
    reaches into another, and the nats of their words by the generator: (n, T + 1) each.
    """
    n = N_UNSEEN + N_CHOOSING
    told = stories(UNSEEN, 400 * n)
    starts = []
    for start in told.starts.tolist():
        if not starts or start > starts[-1] + T_STUDENT:
            starts.append(start)
    index = torch.tensor(starts[:n])[:, None] + torch.arange(T_STUDENT + 1)
    return told.tokens[index], told.surprisal[index]


def unseen(n: int = N_UNSEEN) -> Tensor:
    """n windows of unseen stories to measure on, of which none overlaps another: (n, 129).

    >>> unseen(3).shape
    torch.Size([3, 129])
    """
    return _windows()[0][:N_UNSEEN][:n]


def choosing() -> Tensor:
    """16 windows of other unseen stories: to choose learning rates, temperatures and bits by.

    >>> choosing().shape
    torch.Size([16, 129])
    """
    return _windows()[0][N_UNSEEN:]


def best_possible(n: int = N_UNSEEN) -> float:
    """The loss on `unseen` of the generator itself, which knows its own chances.

    >>> 0.7 < best_possible() < 0.9
    True
    """
    return _windows()[1][:n, 1:].mean().item()


@torch.no_grad()
def story_losses(
    model: nn.Module, windows: Tensor | None = None, temperature: float = 1.0
) -> Tensor:
    """The loss on each window by itself, `unseen()` by default: (n,). Two models on the same
    windows are compared pair by pair. temperature: what the logits are divided by.

    >>> story_losses(storyteller(), unseen(2)).shape
    torch.Size([2])
    """
    windows = (unseen() if windows is None else windows).to(device_of(model))
    return _losses(model(windows[:, :-1]), windows[:, 1:], temperature)


def _losses(logits: Tensor, words: Tensor, temperature: float) -> Tensor:
    """The mean loss of each row: logits (n, T, V) and words (n, T) -> (n,)."""
    softened = (logits / temperature).transpose(1, 2)  # (n, V, T)
    return F.cross_entropy(softened, words, reduction="none").mean(1).cpu()


@torch.no_grad()
def own_temperature(model: nn.Module) -> float:
    """The temperature of TEMPERATURES at which a model's loss on `choosing` is least: the baseline
    of everything that mends a model that is too sure of itself.

    >>> own_temperature(storyteller())
    1.0
    """
    windows = choosing().to(device_of(model))
    logits = model(windows[:, :-1])  # (n, T, V)
    return min(TEMPERATURES, key=lambda T: _losses(logits, windows[:, 1:], T).mean().item())


# --- Runs -----------------------------------------------------------------------------------------


def heal(
    way: str,
    sparsity: float,
    lr: float,
    steps: int = HEALING,
    seed: int = 0,
    masks_of: Callable[..., dict[str, Tensor]] = magnitude_masks,
) -> tuple[nn.Module, nn.Module]:
    """Prune the storyteller and train it on for some steps while the zeros stay: the model before
    and after. way: "magnitude" or "random".

    >>> before, after = heal("magnitude", 0.5, 1e-3, steps=1)
    >>> (before.wte.weight == 0).equal(after.wte.weight == 0)
    True
    """
    whole = storyteller()
    if way == "random":
        masks = random_masks(whole, sparsity, torch.Generator().manual_seed(seed))
    else:
        masks = masks_of(whole, sparsity)
    before = pruned(whole, masks)
    after = pruned(whole, masks)
    told = stories(5, 400_000)
    train(
        after,
        token_batches(told.tokens, 8, T_STUDENT, told.starts),
        steps,
        lr=lr,
        seed=seed,
        progress=False,
    )
    return before, after.eval()


def story_adapter(bits: int, lr: float, seed: int, steps: int = ADAPTING, **ways) -> nn.Module:
    """The storyteller rounded to so many bits, in groups with a zero point, and an adapter of rank
    RANK that learns the stories again. ways: `rounded`'s absmax and groups.

    >>> model = story_adapter(2, 1e-3, seed=0, steps=1)
    >>> sum(p.numel() for p in model.parameters() if p.requires_grad)
    65536
    """
    model = add_lora(quantized(storyteller(), bits, "group", True, **ways), RANK)
    told = stories(5, 400_000)
    draw = token_batches(told.tokens, 8, T_STUDENT, told.starts)
    train(model, draw, steps, lr=lr, weight_decay=0.0, seed=seed, progress=False)
    return model.eval()


BASES = {"float": None, "4 bits": (4, "group", True), "2 bits": (2, "group", True)}


def chat_base(bits: str, base: GPT | None = None, **ways) -> GPT:
    """Where an adapter is put: the storyteller with rows for the chat's words, or another model
    with such rows, its matrices rounded as BASES says, by `rounded`'s ways. The new rows stay in
    floats, for they are trained.

    >>> chat_base("2 bits").h[0].mlp.c_fc.weight[0, :32].unique().numel() <= 4
    True
    """
    base = base or base_with_chat()
    if BASES[bits] is None:
        return base
    small = quantized(base, *BASES[bits], **ways)
    small.wte.weight.data[-NEW:] = base.wte.weight.data[-NEW:]
    return small


def adapted(
    bits: str, seed: int, base: GPT | None = None, steps: int = ADAPTING, lr: float = 1e-2
) -> tuple[GPT, dict]:
    """An adapter that learns the tasks of lesson 19 on a base of so many bits: the model, and its
    last mark, as `lora.fine_tune` makes it. base: another such base.

    >>> adapted("4 bits", seed=0, steps=1)[1]["step"]
    1
    """
    run = FineTuningRun(rank=RANK, lr=lr, seed=seed, steps=steps)
    model, curve = fine_tune(run, every=steps, base=base or chat_base(bits))
    return model, curve[-1]


def moved(tuned: GPT, base: GPT) -> GPT:
    """A copy of the base with another model's adapters and new rows in it.

    >>> tuned = add_lora(chat_base("float"), RANK, new_tokens=NEW)
    >>> moved(tuned, chat_base("2 bits")).wte.weight[-NEW:].equal(tuned.wte.weight[-NEW:])
    True
    """
    model = add_lora(base, RANK, new_tokens=NEW)
    there = dict(tuned.named_parameters())
    with torch.no_grad():
        for name, p in model.named_parameters():
            if name.endswith((".A", ".B")):
                p.copy_(there[name])
        model.wte.weight[-NEW:] = there["wte.weight"][-NEW:]
    return model.eval()


def adapter_marks(model: GPT, n: int = 48) -> dict:
    """Right answers and variety of a model at four decodings, and its loss on stories.

    >>> list(adapter_marks(chat_base("float"), n=2))
    ['right', 'variety', 'stories']
    """
    tasks = exam()[:n]
    found = decodings(lambda **settings: answers(model, tasks, **settings), tasks)
    return {
        "right": {str(t): round(right.mean().item(), 3) for t, (right, _) in found.items()},
        "variety": {str(t): round(new.float().mean().item(), 3) for t, (_, new) in found.items()},
        "stories": round(story_loss(model), 3),
    }


def recorded(part: str) -> list[dict]:
    """The rows of a part of what tools/record/train_small.py measured: "distil", "heal", "stories"
    or "adapter".

    >>> {row["text"] for row in recorded("distil")} <= {"few", "fresh"}
    True
    """
    return [
        row
        for row in assets.read_json("compression/compression.json")["rows"]
        if row["part"] == part
    ]
