"""Around a student's function or class: arguments stay as they were, and calls are remembered."""

import copy
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from .compare import Wrong, difference, show_value

WATCHED = (list, dict, set, torch.Tensor, np.ndarray)
KEPT = 24  # calls that are remembered, each of another shape
LOGGED = 100  # calls that are written down


@dataclass(frozen=True)
class Raised:
    """In the place of a result, where a call raised an error."""

    kind: str

    def __repr__(self) -> str:
        return self.kind


@dataclass(frozen=True)
class Call:
    """A call and what came of it. text: how it is written."""

    text: str
    args: tuple
    kwargs: dict
    came: Any


class Calls(list[tuple[tuple, dict]]):
    """(args, kwargs) of some calls, no two of the same kinds, shapes and switches."""

    def __init__(self) -> None:
        super().__init__()
        self._shapes: set[str] = set()

    def remember(self, args: tuple, kwargs: dict, of: str = "") -> None:
        """Keep a call (of a method), unless enough are kept or one like it."""
        if len(self) == KEPT:
            return
        shape = repr((of, tuple(kwargs), outline((args, tuple(kwargs.values())))))
        if shape not in self._shapes:
            self._shapes.add(shape)
            self.append((args, kwargs))


class Guarded:
    """The student's function, called with copies of its arguments; remembers its calls.

    call: the last one, as text, for the messages. last: its (args, kwargs). calls: those of some,
    each of another shape. log: every call with what came of it, where somebody asks for that.
    """

    def __init__(self, function: Callable, name: str):
        self.function = function
        self.call = name
        self.last: tuple[tuple, dict] | None = None
        self.calls = Calls()
        self.log: list[Call] | None = None

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        shown = [show_value(a) for a in args] + [f"{k}={show_value(v)}" for k, v in kwargs.items()]
        self.call = f"{self.call.split('(')[0]}({', '.join(shown)})"
        self.last = (args, kwargs)
        given = [copied(a) for a in args]
        named = {k: copied(v) for k, v in kwargs.items()}
        models = [(x, _state(x)) for x in (*given, *named.values()) if isinstance(x, nn.Module)]
        try:
            with torch.set_grad_enabled(torch.is_grad_enabled()):
                got = self.function(*given, **named)
        except Exception as error:
            self._write_down(Raised(type(error).__name__))
            raise
        self._write_down(got)
        _must_stay(self.call, (*args, *kwargs.values()), (*given, *named.values()))
        for model, before in models:
            if left := _left(before, _state(model)):
                raise Wrong(f"{self.call} leaves the model changed: {left}. Leave it as it was.")
        self.calls.remember(tuple(given), named)
        return got

    def _write_down(self, came: Any) -> None:
        if self.log is not None and len(self.log) < LOGGED:
            self.log.append(Call(self.call, *self.last, came))


def _must_stay(call: str, before: Sequence, after: Sequence) -> None:
    """Raises Wrong where one of the values is not what it was before the call."""
    for old, new in zip(before, after, strict=True):
        if isinstance(old, WATCHED) and difference(new, old, 0) is not None:
            raise Wrong(
                f"{call} changed its argument in place. "
                "Build a new one and leave what you were given as it is."
            )


def copied(value: Any) -> Any:
    """A deep copy, or the value itself where there is none, such as of a random generator."""
    try:
        return copy.deepcopy(value)
    except Exception:
        return value


def outline(value: Any) -> Any:
    """Shapes and dtypes of arrays, types of all else."""
    if isinstance(value, (torch.Tensor, np.ndarray)):
        return tuple(value.shape), str(value.dtype)
    if type(value) is tuple:
        return tuple(map(outline, value))
    return value if isinstance(value, bool) else type(value).__name__


def _state(model: nn.Module) -> dict[str, list]:
    """What an answer may leave behind in a model."""
    parts = list(model.modules())
    hooks = (
        len(part._forward_hooks) + len(part._forward_pre_hooks) + len(part._backward_hooks)
        for part in parts
    )
    return {
        "it is in another mode (train or eval)": [part.training for part in parts],
        "there are hooks on it": list(hooks),
        "its forward is another one": [vars(part).get("forward") for part in parts],
        "requires_grad is another": [p.requires_grad for p in model.parameters()],
    }


def _left(before: dict[str, list], after: dict[str, list]) -> str:
    return next((what for what in before if before[what] != after[what]), "")


def guarded_class(answer: type, calls: Calls | None = None) -> type:
    """The student's class with methods that complain where they change an argument in place; the
    class itself where it cannot be the base of another.

    calls: here each is remembered as (method, arguments of the class, named ones, arguments of the
    method, named ones).
    """
    calls = Calls() if calls is None else calls
    made: dict[int, tuple[tuple, dict]] = {}  # the arguments that an instance was made with

    def making(self: Any, *args: Any, **kwargs: Any) -> None:
        made[id(self)] = copied((args, kwargs))
        answer.__init__(self, *args, **kwargs)

    def remember(instance: Any, name: str, args: tuple, kwargs: dict) -> None:
        if id(instance) in made:
            calls.remember((name, *made[id(instance)], *copied((args, kwargs))), {}, name)

    methods = {"__init__": making}
    for base in inspect.getmro(answer):
        if base.__module__.split(".")[0] in ("builtins", "torch", "abc", "typing"):
            continue
        for name, method in vars(base).items():
            public = not name.startswith("_") or name == "__call__"
            if public and inspect.isfunction(method) and name not in methods:
                methods[name] = _watching(method, name, answer.__name__, remember)
    methods["__module__"] = answer.__module__
    methods["__doc__"] = answer.__doc__
    try:
        return type(answer)(answer.__name__, (answer,), methods)
    except TypeError:
        return answer


def _watching(method: Callable, name: str, owner: str, remember: Callable) -> Callable:
    def watching(self: Any, *args: Any, **kwargs: Any) -> Any:
        values = [x for x in (*args, *kwargs.values()) if isinstance(x, WATCHED)]
        before = [_snapshot(x) for x in values]
        remember(self, name, args, kwargs)
        got = method(self, *args, **kwargs)
        _must_stay(f"{owner}.{name}", before, values)
        return got

    return watching


class Played:
    """A class as a function: makes an instance and calls one of its methods.

    Where both are modules an instance gets the weights of `model`, made with the same arguments, as
    far as they have the same names and shapes. parameters: those of the last instance.
    """

    learning = ("args", "kwargs")  # not what the class is made with

    def __init__(self, owner: type, model: type, calls: Calls):
        self.owner = owner
        self.model = model
        self.call = owner.__name__
        self.calls = calls
        self.parameters: dict[str, nn.Parameter] = {}

    def function(self, name: str, made: tuple, named: dict, args: tuple, kwargs: dict) -> Any:
        """What the method gives, of an instance made with these arguments."""
        self.call = f"{self.owner.__name__}(…).{name}(…)"
        torch.manual_seed(0)
        instance = self.owner(*made, **named)
        if isinstance(instance, nn.Module) and issubclass(self.model, nn.Module):
            torch.manual_seed(0)
            _take_weights(instance, self.model(*copied(made), **copied(named)))
            self.parameters = dict(instance.named_parameters())
        return getattr(instance, name)(*args, **kwargs)

    __call__ = function


def _take_weights(instance: nn.Module, model: nn.Module) -> None:
    own = instance.state_dict()
    same = {k: v for k, v in model.state_dict().items() if k in own and own[k].shape == v.shape}
    instance.load_state_dict(same, strict=False)


def _snapshot(value: Any) -> Any:
    return value.detach().clone() if isinstance(value, torch.Tensor) else copied(value)
