"""Smaller models at work: a GPT-2 with its weights in 8 bits (torch's dynamic int8) beside the same
in floats.
"""

import warnings
from collections.abc import Iterator

from races import OURS, Race


def races(n_embd: int = 768, n_layer: int = 4, T: int = 128) -> Iterator[Race]:
    import torch
    from torch import nn

    from course_utils.gpt2.model import GPT, GPTConfig
    from course_utils.pretrained import storyteller

    torch.set_num_threads(1)
    dice = torch.Generator().manual_seed(0)
    sizes = GPTConfig(
        n_layer=n_layer, n_head=n_embd // 64, n_embd=n_embd, vocab_size=5000, n_positions=256
    )
    for title, model in (
        ("the storyteller", storyteller()),
        (f"a GPT-2 of width {n_embd}", GPT(sizes, dice).eval()),
    ):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # deprecated
            int8 = torch.ao.quantization.quantize_dynamic(model, {nn.Linear}, dtype=torch.qint8)
        for length in (1, T):
            ids = torch.randint(model.config.vocab_size, (1, length), generator=dice)

            def forward(net: nn.Module, ids: torch.Tensor = ids) -> torch.Tensor:
                with torch.inference_mode():
                    for _ in range(10):
                        logits = net(ids)
                return logits

            yield Race(
                f"{title}, forward of {length} token{'s' * (length > 1)}, ten times: floats, and torch's int8",
                {
                    OURS: lambda f=forward, m=model: f(m),
                    "torch int8": lambda f=forward, m=int8: f(m),
                },
                same=frozenset({"torch int8"}),
                equal=lambda a, b: bool((a - b).norm() < 0.2 * b.norm()),
            )
