"""Distillation, as lesson 21 does it: a small student learns a teacher's probabilities instead of
the text's words.

Shapes: B rows, T positions, V tokens in the vocabulary. A teacher is anything that maps ids (B, T)
to logits (B, T, V). Losses are in nats. Source: Hinton, Vinyals & Dean 2015, "Distilling the
Knowledge in a Neural Network".
"""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from course_utils import assets
from course_utils.gpt2.model import GPT, GPTConfig
from course_utils.machine.devices import device_of
from course_utils.pretrained import storyteller
from course_utils.stories.corpus import stories
from course_utils.stories.grammar import VOCAB
from course_utils.training import Batch, History, language_loss, token_batches, train

STUDENT = assets.path("compression/student.safetensors")
Teacher = Callable[[Tensor], Tensor]


def distillation_loss(
    student_logits: Tensor, teacher_logits: Tensor, temperature: float = 1.0
) -> Tensor:
    """Return T² · KL(teacher‖student), both softened by the temperature T, averaged over the rows.

    Softened: softmax(logits / T). Gradients shrink as 1/T²; the factor undoes it. The teacher gets
    none.
    Shapes: both (..., V) -> (), in nats. Raises: ValueError for other shapes or temperature <= 0.
    Source: Hinton, Vinyals & Dean 2015, "Distilling the Knowledge in a Neural Network", section 2.

    >>> student, teacher = torch.tensor([[0.0, 0.0]]), torch.tensor([[2.0, 0.0]])
    >>> distillation_loss(student, teacher), distillation_loss(student, teacher, temperature=2.0)
    (tensor(0.3278), tensor(0.4438))
    """
    if student_logits.shape != teacher_logits.shape or not temperature > 0:
        raise ValueError(
            f"logits {tuple(student_logits.shape)} and {tuple(teacher_logits.shape)}, temperature "
            f"{temperature}: give equal shapes (..., V) and a temperature above 0"
        )
    log_p = (student_logits / temperature).log_softmax(-1)  # (..., V)
    q = (teacher_logits.detach() / temperature).softmax(-1)  # (..., V)
    return temperature**2 * F.kl_div(log_p, q, reduction="sum") / math.prod(q.shape[:-1])


def distilled(
    teacher: Teacher,
    temperature: float = 1.0,
    loss_fn: Callable[[Tensor, Tensor, float], Tensor] = distillation_loss,
) -> Callable[[nn.Module, Batch], Tensor]:
    """Return a loss for `training.train` which reads a batch's inputs and never its labels: the
    teacher answers, and loss_fn(student's logits, teacher's logits, temperature) compares.

    The teacher stays on the CPU, wherever the student learns.

    >>> uniform = lambda ids: torch.zeros(*ids.shape, 3)
    >>> distilled(uniform)(uniform, (torch.zeros(1, 2, dtype=torch.long), None)).item()
    0.0
    """

    def loss(model: nn.Module, batch: Batch) -> Tensor:
        with torch.no_grad():
            taught = teacher(batch[0].to(device_of(teacher))).to(batch[0].device)  # (B, T, V)
        return loss_fn(model(batch[0]), taught, temperature)

    return loss


def remembered(teacher: Teacher) -> Teacher:
    """A teacher that is asked once for each row of ids, and read from memory afterwards.

    >>> asked = []
    >>> teacher = remembered(lambda ids: asked.append(len(ids)) or torch.zeros(*ids.shape, 3))
    >>> rows = torch.tensor([[0, 1], [1, 0]])
    >>> teacher(rows).shape, teacher(rows.flip(0)).shape, asked
    (torch.Size([2, 2, 3]), torch.Size([2, 2, 3]), [2])
    """
    memory: dict[tuple, Tensor] = {}

    def answer(ids: Tensor) -> Tensor:
        keys = [tuple(row) for row in ids.tolist()]
        if new := [i for i, key in enumerate(keys) if key not in memory]:
            memory.update(
                (keys[i], logits)
                for i, logits in zip(new, teacher(ids[new].to(device_of(teacher))), strict=True)
            )
        return torch.stack([memory[key] for key in keys])  # (B, T, V)

    return answer


# --- The students of lesson 21 --------------------------------------------------------------------

# seed and tokens: a text read many times, or nearly never twice
TEXTS = {"few": (6, 20_000), "fresh": (5, 2_500_000)}
T_STUDENT = 128  # tokens of a window


def student(seed: int) -> GPT:
    """An untrained student: 2 layers of 64 dimensions, about a sixth of the storyteller's
    parameters.

    >>> sum(p.numel() for p in student(0).parameters())
    161216
    """
    sizes = GPTConfig(n_layer=2, n_head=2, n_embd=64, vocab_size=len(VOCAB), n_positions=256)
    return GPT(sizes, torch.Generator().manual_seed(seed))


class School:
    """What the students share: a text's batches, and the storyteller as their teacher.

    text: "few" (20,000 tokens, read again and again; the teacher answers from memory) or "fresh".
    Raises: ValueError for another text.

    >>> inputs, targets = School("few").batches(torch.Generator().manual_seed(0))
    >>> inputs.shape
    torch.Size([8, 128])
    """

    def __init__(self, text: str = "few") -> None:
        if text not in TEXTS:
            raise ValueError(f"text {text!r}: choose from {', '.join(TEXTS)}")
        seed, n_tokens = TEXTS[text]
        told = stories(seed, n_tokens)
        self.batches = token_batches(told.tokens, 8, T_STUDENT, told.starts)
        self.teacher: Teacher = storyteller()
        if text == "few":
            self.teacher = remembered(self.teacher)

    def teach(
        self,
        T: float,
        lr: float,
        steps: int,
        seed: int = 0,
        loss_fn: Callable[..., Tensor] = distillation_loss,
        **options,
    ) -> tuple[GPT, History]:
        """Train a new student: at the temperature T by the teacher's probabilities, at 0 by the
        words of the text.

        Equal steps and seeds see the same batches. loss_fn: called as `distillation_loss`.
        """
        loss = distilled(self.teacher, T, loss_fn) if T else language_loss
        model = student(seed)
        return model, train(model, self.batches, steps, lr=lr, seed=seed, loss_fn=loss, **options)
