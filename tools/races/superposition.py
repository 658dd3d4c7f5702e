"""Training many toy models: as one tensor, and one after the other in a loop."""

from collections.abc import Callable, Iterator

from races import OURS, Race


def races(n_instances: int = 100, steps: int = 100, batch: int = 64) -> Iterator[Race]:
    import torch

    from course_utils.superposition import toy_model as superposition

    S = torch.linspace(0, 0.98, n_instances)
    importance = 0.9 ** torch.arange(5)
    start = superposition.ToyModel(
        n_instances, 5, 2, generator=torch.Generator().manual_seed(0)
    ).W.detach()

    def trained(rows: slice) -> torch.Tensor:
        model = superposition.ToyModel(len(S[rows]), 5, 2)
        with torch.no_grad():
            model.W.copy_(start[rows])
        superposition.train_toy(
            model,
            S[rows],
            importance,
            steps,
            batch,
            lr=5e-3,
            generator=torch.Generator().manual_seed(1),
        )
        return model.W.detach()

    def loop() -> torch.Tensor:
        return torch.cat([trained(slice(k, k + 1)) for k in range(n_instances)])

    def close(a: torch.Tensor, b: torch.Tensor) -> bool:
        # sums in another order, and Adam's steps of 5e-3
        return torch.allclose(a, b, rtol=0, atol=1e-3)

    contenders: dict[str, Callable[[], torch.Tensor]] = {
        OURS: lambda: trained(slice(None)),
        "loop": loop,
    }
    yield Race(
        f"training {n_instances} toy models (5 features, 2 dimensions, {steps} steps of {batch})",
        contenders,
        required={"loop": 10},
        same=frozenset({"loop"}),
        equal=close,
    )
