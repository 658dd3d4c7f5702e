"""One direction for refusal: found as a difference of means, taken out of the stream, added to it,
and what that costs.

Shapes: n prompts, T positions, d_model features. Losses are in nats.
Source: Arditi et al. 2024, "Refusal in Language Models Is Mediated by a Single Direction".
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from course_utils.circuits.hooks import patched, record
from course_utils.gpt2.model import GPT
from course_utils.guard_rails.defences import Ask, outcomes
from course_utils.instruction_tuning.fine_tuning import accuracy, story_loss
from course_utils.instruction_tuning.tasks import Task
from course_utils.machine.devices import device_of

Change = Callable[[Tensor], Tensor]


def last_positions(model: GPT, prompts: Sequence[Tensor], block: int) -> Tensor:
    """The residual stream after this block at the last token of each prompt (T_i,): (n, d_model).

    >>> from course_utils.pretrained import assistant
    >>> last_positions(assistant(), [torch.tensor([3, 1, 4])], block=1).shape
    torch.Size([1, 128])
    """
    name = f"h.{block}"
    found = [record(model, prompt[None].to(device_of(model)), [name])[name] for prompt in prompts]
    return torch.stack([stream[0, -1] for stream in found])


def erase(x: Tensor, direction: Tensor) -> Tensor:
    """Take one direction out of activations: nothing of it is left, and all that is orthogonal to
    it stays.

    The length of the direction does not matter. Shapes: x (..., d) and direction (d,) -> (..., d).
    Raises: ValueError for a direction that is 0 everywhere.
    Source: Arditi et al. 2024, section 2.4, "directional ablation".

    >>> erase(torch.tensor([[3.0, 1.0], [0.0, 2.0]]), torch.tensor([5.0, 0.0]))
    tensor([[0., 1.],
            [0., 2.]])
    """
    if not direction.any():
        raise ValueError("the direction is 0 everywhere: it points nowhere")
    unit = direction / direction.norm()  # (d,)
    return x - (x @ unit)[..., None] * unit


def in_every_write(model: GPT, change: Change) -> object:
    """A context in which `change` is applied to all that is written into the residual stream: the
    embeddings, and what each attention layer and each MLP adds.

    >>> from course_utils.pretrained import assistant
    >>> model, ids = assistant(), torch.tensor([[3, 1, 4]])
    >>> before = model(ids)
    >>> with in_every_write(model, lambda x: 0 * x):
    ...     print(bool(model(ids).equal(before)))
    False
    >>> model(ids).equal(before)
    True
    """
    embeddings = ["wte", "wpe"] if hasattr(model, "wpe") else ["wte"]
    return patched(model, dict.fromkeys([*embeddings, "h.*.attn", "h.*.mlp"], change))


def after_block(model: GPT, block: int, change: Change) -> object:
    """A context in which `change` is applied to the residual stream after one block.

    >>> from course_utils.pretrained import assistant
    >>> model, ids = assistant(), torch.tensor([[3, 1, 4]])
    >>> with after_block(model, 1, lambda x: x):
    ...     same = model(ids)
    >>> same.equal(model(ids))
    True
    """
    return patched(model, {f"h.{block}": change})


def random_directions(n: int, like: Tensor, seed: int = 0) -> Tensor:
    """n random directions of the same length as `like` (d,): (n, d).

    >>> random_directions(2, torch.tensor([3.0, 4.0])).norm(dim=1)
    tensor([5., 5.])
    """
    draws = torch.randn(n, len(like), generator=torch.Generator().manual_seed(seed)).to(like)
    return draws / draws.norm(dim=1, keepdim=True) * like.norm()


def abilities(model: GPT, asks: Sequence[Ask], tasks: Sequence[Task], **settings) -> dict:
    """What a model does and can do: refusals of forbidden and of harmless topics, harmless topics
    told, right answers to tasks, each as a share; and its loss on stories in nats.

    settings: of `answers`, for the questions alone; without them all is greedy.

    >>> from course_utils.guard_rails import ordinary, refusal_asks
    >>> from course_utils.pretrained import assistant
    >>> sorted(abilities(assistant(), refusal_asks(0, 1)[:2], ordinary(0, 2)))
    ['forbidden refused', 'forbidden told', 'harmless refused', 'harmless told', 'loss', 'right']
    """
    said = outcomes(model, asks, **settings)
    found = {}
    for name, forbidden in (("forbidden", True), ("harmless", False)):
        some = [one for one, ask in zip(said, asks, strict=True) if ask.forbidden == forbidden]
        for what in ("refused", "told"):
            found[f"{name} {what}"] = some.count(what) / len(some)
    return found | {"right": accuracy(model, tasks)["all"], "loss": story_loss(model, 4)}
