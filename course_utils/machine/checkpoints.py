"""A run's state in one safetensors file: weights, the optimizer's running means, what happened."""

import json
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn


def _tensors(model: nn.Module) -> dict[str, Tensor]:
    """The model's parameters (tied ones once) and the buffers that belong to its state, by name."""
    state = model.state_dict()
    return {
        name: x for name, x in [*model.named_parameters(), *model.named_buffers()] if name in state
    }


def save_checkpoint(
    file: str | Path, model: nn.Module, optimizer, history: dict, settings: dict
) -> None:
    """Write the model, the optimizer's state, the history and the settings to one safetensors file.

    history and settings: what JSON can hold; `load_checkpoint` must be given the same settings
    again. The folder is made where there is none.

    >>> import tempfile
    >>> model = nn.Linear(2, 1)
    >>> optimizer = torch.optim.AdamW(model.parameters())
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_checkpoint(f"{folder}/run.safetensors", model, optimizer, {}, {"steps": 9})
    ...     print([file.name for file in Path(folder).iterdir()])
    ['run.safetensors']
    """
    # Adam's running means go with the weights: without them a run would go on as if it had just
    # begun.
    tensors = {f"model.{name}": x for name, x in _tensors(model).items()}
    for i, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{i}.{key}": x for key, x in state.items()}
    file = Path(file)
    file.parent.mkdir(parents=True, exist_ok=True)
    record = {"history": json.dumps(history), "settings": json.dumps(settings)}
    save_file(
        {name: x.detach().contiguous() for name, x in tensors.items()},
        file.with_suffix(".part"),
        metadata=record,
    )
    file.with_suffix(".part").replace(file)  # so that an interruption leaves the old file whole


def load_checkpoint(file: str | Path, model: nn.Module, optimizer, settings: dict) -> dict:
    """Put a checkpoint's state into the model and the optimizer and return its history.

    Raises ValueError where its settings or its tensors' names and shapes are not those of this run.

    >>> import tempfile
    >>> first, second = nn.Linear(2, 1), nn.Linear(2, 1)
    >>> one, two = (torch.optim.AdamW(model.parameters()) for model in (first, second))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = f"{folder}/run.safetensors"
    ...     save_checkpoint(file, first, one, {"losses": [0.7]}, {"steps": 9})
    ...     history = load_checkpoint(file, second, two, {"steps": 9})
    >>> history, torch.equal(first.weight, second.weight)
    ({'losses': [0.7]}, True)
    """
    with safe_open(file, framework="pt") as stored:
        record = stored.metadata()
        saved = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118 (not a dict)
    weights = _under("model.", saved)
    own = _tensors(model)
    _check_same_run(file, json.loads(record["settings"]), settings)
    _check_same_model(file, weights, own)
    with torch.no_grad():
        for name, x in own.items():
            x.copy_(weights[name])
    state: dict[int, dict[str, Tensor]] = {}
    for name, x in _under("optimizer.", saved).items():
        i, key = name.split(".")
        state.setdefault(int(i), {})[key] = x
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": groups})
    return json.loads(record["history"])


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors whose names begin so, without that beginning."""
    return {name.removeprefix(prefix): x for name, x in tensors.items() if name.startswith(prefix)}


def _check_same_run(file: str | Path, before: dict, settings: dict) -> None:
    differ = {key: (before.get(key), x) for key, x in settings.items() if before.get(key) != x}
    if differ:
        raise ValueError(
            f"{file} is of another run, (there, here): {differ}. "
            "Use the same settings, or another file."
        )


def _check_same_model(file: str | Path, there: dict[str, Tensor], own: dict[str, Tensor]) -> None:
    shapes = {name: x.shape for name, x in there.items()}
    odd = [name for name in shapes | own if name not in own or shapes.get(name) != own[name].shape]
    if odd:
        raise ValueError(
            f"{file} holds another model: {odd[:5]} differ. "
            "Build the same model, or use another file."
        )
