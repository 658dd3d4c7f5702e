"""How much memory a step of training really takes, beside what `census` predicts."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from course_utils.machine.memory import peak_bytes


def step_peak(model: nn.Module, ids: Tensor) -> int:
    """The bytes at the fullest moment of a training step with AdamW, as `census.training_peak`
    predicts them.

    Shapes: ids (B, T), on the model's device. It changes the weights: two steps are made, and the
    second one is measured, when Adam's means exist.

    >>> from course_utils import model_budget as census
    >>> from course_utils.gpt2 import GPT, GPTConfig
    >>> config = GPTConfig(n_layer=2, n_head=2, n_embd=16, vocab_size=500, n_positions=32)
    >>> measured = step_peak(GPT(config), torch.zeros(4, 32, dtype=torch.long))
    >>> round(census.training_peak(config, B=4, T=32) / measured, 2)
    1.0
    """
    optimizer = torch.optim.AdamW(model.parameters(), fused=ids.device.type in ("cpu", "cuda"))

    def step() -> None:
        F.cross_entropy(model(ids).flatten(0, 1), ids.flatten()).backward()
        optimizer.step()
        optimizer.zero_grad()

    step()
    adam = [x for state in optimizer.state.values() for x in state.values()]
    return peak_bytes(step, held=[*model.parameters(), *adam], device=ids.device)
