"""Gradients that nobody has to ask for: where the reference's result can be differentiated, the
answer's must give the same gradient to every input and every parameter.
"""

import inspect
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from .compare import Wrong, difference
from .guard import Guarded, Played
from .variants import anew, has_nan, is_known, leaves, mapped

NEAR = 1e-3  # of the largest value of a gradient
LEAST = 1e-4  # of the largest of all gradients of a call: below are only rounding errors
STEP = 1e-3  # how far away one looks whether a difference is only that of a tie or a kink
LARGE = 3.0  # nothing there is larger
PRECISE = (torch.float32, torch.float64)
LOST = (
    "Stay with the tensors that you were given: no .detach(), .data, .item(), .tolist(), numpy, "
    "torch.no_grad or torch.tensor(…) on the way"
)

OVERWRITTEN = (
    "overwrites in place what the way back needs, such as by e /= s, so that no gradient can be "
    "computed. Write e = e / s"
)


def try_gradients(
    student: Guarded | Played, reference: Callable, asked: bool | Sequence[str] = True
) -> None:
    """Call the student's function again with what it was called with, its float tensors as
    parameters, and raise Wrong where another gradient reaches one of them, a parameter of a model
    among the arguments or a parameter of an instance.

    Nothing is asked where the reference's result does not require a gradient, and where the two
    results differ (they draw in another order). asked: True, or the names of the arguments that
    count. A gradient that is None counts as 0. Where it differs it must differ at a point nearby,
    too: at a tie or a kink there are several right ones.
    """
    compare = _Comparison(student, reference, None if asked is True else asked)
    for args, kwargs in list(student.calls):
        inside = list(leaves((args, kwargs)))
        learns = isinstance(student, Played) or any(map(_can_learn, inside))
        if not learns or not all(map(is_known, inside)):
            continue
        fault = compare.fault(args, kwargs)
        if fault is not None and (fault.anywhere or compare.fault(*_nearby(args, kwargs), fault)):
            raise Wrong(f"{student.call} {fault.what}.")


@dataclass(frozen=True)
class _Fault:
    what: str
    anywhere: bool = False  # no tie or kink explains it


@dataclass(frozen=True)
class _Pulled:
    """A result and the gradients that reach what can learn, by its name."""

    result: Any
    gradients: dict[str, Tensor]
    connected: bool


@dataclass(frozen=True)
class _Comparison:
    student: Guarded | Played
    reference: Callable
    asked: Sequence[str] | None

    def fault(self, args: tuple, kwargs: dict, refused: _Fault | None = None) -> _Fault | None:
        """What is wrong with the answer's gradients; None where nothing is, or where nothing can be
        asked; `refused` where the reference refuses these arguments.
        """
        try:
            want = self._pulled(self.reference, args, kwargs)
        except Exception:
            return refused
        if not want.connected or any(map(has_nan, leaves(want.result))):
            return None
        call = self.student.call.partition("(")[0]
        self.student.call = f"{call}(…) with tensors that require a gradient"
        try:
            student = self.student
            inner = student if isinstance(student, Played) else student.function  # takes no copies
            got = self._pulled(inner, args, kwargs)
        except RuntimeError as error:
            if "inplace operation" in str(error):
                return _Fault(OVERWRITTEN, anywhere=True)
            if "requires grad" not in str(error):
                raise
            return _Fault(f"leaves torch ({str(error).partition('.')[0]}). {LOST}", anywhere=True)
        if difference(got.result, want.result, NEAR) is not None:
            return None
        sizes = [float(g.abs().max()) for g in want.gradients.values() if g.numel()]
        least = LEAST * max([1.0, *sizes])
        for name, right in want.gradients.items():
            given = got.gradients.get(name)
            if bool(torch.isfinite(right).all()) and not _same(given, right, least):
                return _Fault(_said(name, given, right, got.connected))
        return None

    def _pulled(self, function: Callable, args: tuple, kwargs: dict) -> _Pulled:
        """The function's result for copies of the arguments that can learn, and the gradients
        there.
        """
        names = list(inspect.signature(self.reference).parameters)
        asked = getattr(self.reference, "learning", self.asked)
        given = {names[min(i, len(names) - 1)]: anew(x) for i, x in enumerate(args)}
        named = {name: anew(x) for name, x in kwargs.items()}
        for values in (given, named):
            for name in values:
                if asked is None or name in asked:
                    values[name] = mapped(values[name], _learning)
        torch.manual_seed(0)
        with torch.enable_grad():
            result = function(*given.values(), **named)
        inputs = dict(_learners(given | named))
        if isinstance(function, Played):
            inputs |= {f"its parameter {n}": x for n, x in function.parameters.items()}
        numbered = enumerate(filter(_is_float, leaves(result)))
        outputs = {i: y for i, y in numbered if y.requires_grad}
        found: Sequence = [None] * len(inputs)
        if outputs and inputs:
            found = torch.autograd.grad(
                list(outputs.values()),
                list(inputs.values()),
                [_pull(y, i) for i, y in outputs.items()],
                allow_unused=True,
            )
        parts = (_free(x, part) for x, part in zip(inputs.values(), found, strict=True))
        return _Pulled(result, dict(zip(inputs, parts, strict=True)), bool(outputs and inputs))


def _learners(arguments: dict[str, Any]) -> Iterator[tuple[str, Tensor]]:
    """(name, tensor) of all that can learn among the arguments."""
    for name, value in arguments.items():
        for i, x in enumerate(leaves(value)):
            place = f"`{name}`" if x is value else f"number {i + 1} in `{name}`"
            if isinstance(x, nn.Module):
                for inner, parameter in x.named_parameters():
                    if parameter.requires_grad:
                        yield f"the parameter {inner} of {place}", parameter
            elif _is_float(x) and x.requires_grad:
                yield place, x


def _free(x: Tensor, gradient: Tensor | None) -> Tensor:
    """The part of a gradient that shows: for probabilities, without what would change their sum."""
    if gradient is None:
        return torch.zeros_like(x)
    return gradient - gradient.mean(-1, keepdim=True) if _are_shares(x) else gradient


def _are_shares(x: Tensor) -> bool:
    if x.ndim == 0 or x.numel() == 0:
        return False
    return bool((x >= 0).all()) and bool(((x.sum(-1) - 1).abs() < 1e-4).all())


def _pull(y: Tensor, number: int) -> Tensor:
    """What is sent back through a result: another number at each place, the same each time, and
    nothing through what is not finite, such as the logits that a mask took out.
    """
    places = torch.arange(y.numel(), dtype=y.dtype).reshape(y.shape)
    return torch.where(torch.isfinite(y), torch.cos(1.7 * places + 1 + number), 0.0)


def _same(got: Tensor | None, want: Tensor, least: float) -> bool:
    if want.numel() == 0:
        return True
    got = torch.zeros_like(want) if got is None else got.to(want.dtype)
    slack = max(NEAR * float(want.abs().max()), least)
    return bool(((got - want).abs() <= slack).all())


def _said(name: str, got: Tensor | None, want: Tensor, connected: bool) -> str:
    if not connected:
        return f"lets no gradient flow back, so nothing could be trained through this. {LOST}"
    if got is None or not bool(got.any()):
        return f"lets no gradient reach {name}. {LOST}"
    if not bool(want.any()):
        return f"lets a gradient reach {name}, where none belongs"
    what = difference(got, want, NEAR * min(1.0, float(want.abs().max())))
    return f"gives another gradient for {name}: {what}. {LOST}"


def _is_float(x: Any) -> bool:
    return isinstance(x, Tensor) and x.dtype in PRECISE


def _can_learn(x: Any) -> bool:
    return _is_float(x) or isinstance(x, nn.Module)


def _learning(x: Any) -> Any:
    return nn.Parameter(x.detach()) if _is_float(x) else x


def _nearby(args: tuple, kwargs: dict) -> tuple[tuple, dict]:
    """A point nearby, in a direction in which no two numbers go alike; large numbers, with which
    one formula overflows and another does not, are made small.
    """
    phase = itertools.count(1)

    def moved(x: Any) -> Any:
        if not _is_float(x) or x.numel() == 0:
            return x
        places = torch.arange(x.numel(), dtype=x.dtype).reshape(x.shape)
        step = STEP * torch.sin(2.3 * places + next(phase))
        if _are_shares(x):
            inside = x + STEP + step / 2  # none is 0
            return inside / inside.sum(-1, keepdim=True)
        largest = float(torch.where(torch.isfinite(x), x, 0.0).abs().max())
        return x * min(1.0, LARGE / max(largest, LARGE)) + step

    return mapped(args, moved), mapped(kwargs, moved)
