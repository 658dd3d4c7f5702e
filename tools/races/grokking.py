"""The restricted loss of a grokking run: from tables with one row a sum, and from the Fourier
transform of all pairs.
"""

from collections.abc import Callable, Iterator

from races import OURS, Race


def races(p: int = 53, snapshots: int = 20) -> Iterator[Race]:
    import torch

    from course_utils.grokking import modular_addition as grokking

    logits = torch.randn(snapshots, p, p, p, generator=torch.Generator().manual_seed(0))
    # a view computes the sums once
    sums = grokking.by_sum(logits)
    everything = torch.ones(p, p, dtype=torch.bool)

    def transform() -> torch.Tensor:
        kept = (grokking.restricted_logits(x, [3, 10, 12]) for x in logits)
        return torch.stack([grokking.loss_and_accuracy(x, everything)[0] for x in kept])

    def close(a: torch.Tensor, b: torch.Tensor) -> bool:
        return torch.allclose(a, b, rtol=1e-4, atol=0)

    contenders: dict[str, Callable[[], torch.Tensor]] = {
        OURS: lambda: grokking.restricted_loss(sums, [3, 10, 12]),
        "transform": transform,
    }
    yield Race(
        f"the restricted loss of {snapshots} snapshots (p = {p}), once their means by sum are known",
        contenders,
        required={"transform": 10},
        same=frozenset({"transform"}),
        equal=close,
    )
