"""Runs cases.py on the CPU and on the second device, in a process of its own; prints what failed
and what was reached.

PYTHONPATH=tests python -m second_device.walk [--card=t4] [CASE …]
"""

import ast
import inspect
import json
import pkgutil
import sys
import textwrap
import traceback
from importlib import import_module

WORDS = {"torch", "Tensor", "nn", "F"}  # who uses one of these takes or makes tensors
# they show and check; the lessons' tests run them
ROOMS_UPSTAIRS = ("classroom", "checking", "exercises")
DATA = {  # what only makes texts for others: on the CPU, wherever the model is
    "language_models.networks.GRUModel.forward": "torch has a GRU for CUDA and MPS, none for this",
    "stories.corpus.Stories.windows": "stories are told on the CPU",
    "preferences.pairwise.Pairs.batches": "train brings its batches to the model",
    "instruction_tuning.runs.rows_of": "train brings its batches to the model",
    "instruction_tuning.runs.with_replay": "train brings its batches to the model",
    "probes.controls.apart": "it chooses places in a text, which stands on the CPU",
    "kl_bias.bending.measure_bent": "it makes its models and brings them nowhere",
    "kl_bias.girls.measure_seen": "it makes its models and brings them nowhere",
    "kl_bias.girls.with_girls": "it draws whole stories, which stand on the CPU",
    "kl_bias.letter.measure_letter": "it makes its model and brings it nowhere",
    "lora.runs.first_steps": "it makes its model and brings it nowhere",
    "sparse_autoencoders.records.measure_kind": "it makes its stories and its model, and brings them nowhere",
    "sparse_autoencoders.records.measure_steering": "as measure_kind",
    "sparse_autoencoders.records.measure_units": "as measure_kind",
    "sparse_autoencoders.records.measure_width": "as measure_kind",
    "sparse_autoencoders.scores.windows": "stories are told on the CPU",
    "training.token_batches": "train brings its batches to the model",
}


def parts(module) -> dict[str, object]:
    """The module's public functions and the public methods of its classes, by name."""
    found = {}
    for name, value in vars(module).items():
        if name.startswith("_") or getattr(value, "__module__", None) != module.__name__:
            continue
        if inspect.isfunction(value):
            found[name] = value
        elif inspect.isclass(value):
            for inner, method in vars(value).items():
                method = getattr(method, "__func__", getattr(method, "fget", method))
                if inspect.isfunction(method) and (
                    not inner.startswith("_") or inner == "__call__"
                ):
                    found[f"{name}.{inner}"] = method
    return {name: inspect.unwrap(value) for name, value in found.items()}


def handles_tensors(function) -> bool:
    """Whether its source names torch; what it only hands on to others is seen there."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    return bool({node.id for node in ast.walk(tree) if isinstance(node, ast.Name)} & WORDS)


def everything() -> dict[str, object]:
    """Every public function of the package that handles tensors: "module.function" or
    "module.Class.method".
    """
    import course_utils

    found = {}
    for info in pkgutil.walk_packages(course_utils.__path__, "course_utils."):
        inner = info.name.removeprefix("course_utils.")
        if (
            inner.split(".")[0] not in ROOMS_UPSTAIRS
            and not inner.endswith("exercises")
            and not info.ispkg
        ):
            for name, function in parts(import_module(info.name)).items():
                if handles_tensors(function):
                    found[f"{inner}.{name}"] = function
    return found


class Reached:
    """Notes which functions are called with something on the device, or with nothing that could be
    on one.
    """

    def __init__(self, functions: dict[str, object]):
        self.names = {function.__code__: name for name, function in functions.items()}
        self.seen = set()

    def __call__(self, frame, event, _):
        if event == "call" and (name := self.names.get(frame.f_code)) and name not in self.seen:
            code = frame.f_code
            given = code.co_varnames[
                : code.co_argcount
                + code.co_kwonlyargcount
                + bool(code.co_flags & 4)
                + bool(code.co_flags & 8)
            ]
            kinds = set()
            for key in given:
                _devices(frame.f_locals.get(key), kinds)
            if not kinds or "second" in kinds:
                self.seen.add(name)


def _devices(value, kinds: set, depth: int = 0) -> None:
    import torch

    if isinstance(value, torch.Tensor):
        kinds.add(value.device.type)
    elif isinstance(value, torch.nn.Module):
        kinds |= {p.device.type for p in value.parameters()}
    elif depth < 2 and isinstance(value, (list, tuple, set, frozenset)):
        for item in list(value)[:8]:
            _devices(item, kinds, depth + 1)
    elif depth < 2 and isinstance(value, dict):
        _devices(list(value.values()), kinds, depth)
    elif (
        depth < 2
        and type(value).__module__.startswith("course_utils")
        and hasattr(value, "__dict__")
    ):
        _devices(list(vars(value).values()), kinds, depth)


def differences(a, b, where="") -> list[str]:
    """Where two results differ: tensors and numbers by tolerance, everything else exactly."""
    import torch

    if isinstance(a, torch.Tensor):
        x = a.detach().cpu()
        y = b.detach().cpu()
        if x.shape != y.shape or x.dtype != y.dtype:
            return [
                f"{where}: {tuple(x.shape)} {x.dtype} on the CPU, {tuple(y.shape)} {y.dtype} on the device"
            ]
        same = (
            torch.allclose(x, y, rtol=1e-3, atol=1e-4, equal_nan=True)
            if x.is_floating_point()
            else torch.equal(x, y)
        )
        return (
            []
            if same
            else [
                f"{where}: on the CPU {x.flatten()[:4].tolist()}, on the device {y.flatten()[:4].tolist()}"
            ]
        )
    if isinstance(a, dict):
        return differences(list(a.values()), list(b.values()), where)
    if isinstance(a, (list, tuple)):
        if len(a) != len(b):
            return [f"{where}: {len(a)} and {len(b)} entries"]
        return [
            line
            for i, (x, y) in enumerate(zip(a, b, strict=True))
            for line in differences(x, y, f"{where}[{i}]")
        ]
    if isinstance(a, float):
        return (
            []
            if abs(a - b) <= 1e-4 + 1e-3 * abs(a) or a != a and b != b
            else [f"{where}: {a} and {b}"]
        )
    return [] if a == b else [f"{where}: {a!r} and {b!r}"]


def main() -> None:
    from second_device import NAME, play

    options = {
        word.partition("=")[0]: word.partition("=")[2]
        for word in sys.argv[1:]
        if word.startswith("--")
    }
    play(options.get("--card", "cuda"), reads=True, cpu_sizes=True)
    import torch

    torch.set_num_threads(1)
    from second_device.cases import CASES

    functions = everything()
    reached = Reached(functions)
    report = {}
    for name in [word for word in sys.argv[1:] if not word.startswith("--")] or CASES:
        try:
            torch.manual_seed(0)
            expected = CASES[name]("cpu")
            torch.manual_seed(0)
            sys.setprofile(reached)
            try:
                got = CASES[name](NAME)
            finally:
                sys.setprofile(None)
            report[name] = "\n".join(differences(expected, got)[:9])
        except Exception:
            torch.ops.second_device.revive()
            report[name] = "".join(traceback.format_exc().splitlines(keepends=True)[-9:])
    missing = sorted(functions.keys() - reached.seen - DATA.keys())
    json.dump(
        {
            "cases": report,
            "handles": len(functions),
            "missing": missing,
            "stale": sorted(DATA.keys() - functions.keys()),
        },
        sys.stdout,
    )


if __name__ == "__main__":
    main()
