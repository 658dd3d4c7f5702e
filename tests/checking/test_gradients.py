"""Whatever a checker asks for: the gradients of an answer are those of the reference, for every
input and every parameter, and no right answer is refused for a tie, a kink or an overflow.
"""

import contextlib
import inspect
import random

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from course_utils.checking import Exercises, expect
from course_utils.checking.guard import Guarded
from course_utils.checking.inputs import normal
from course_utils.exercises import catalog


def detached(value):
    """The same numbers, without a way back."""
    if isinstance(value, torch.Tensor):
        return value.detach().clone()
    if type(value) in (list, tuple):
        return type(value)(map(detached, value))
    return value


def losing(reference, name):
    """The reference, with one argument taken out of the graph."""
    signature = inspect.signature(reference)

    def answer(*args, **kwargs):
        bound = signature.bind(*args, **kwargs)
        if name in bound.arguments:
            bound.arguments[name] = detached(bound.arguments[name])
        return reference(*bound.args, **bound.kwargs)

    return answer


def asked_for(exercise):
    """The float arguments through which the reference's result can be differentiated, of those that
    the exercise asks for.
    """
    reference = exercise.reference
    if inspect.isclass(reference):
        return set()
    guarded = Guarded(reference, exercise.name)
    exercise.check(guarded, random.Random(0))
    found = set()
    for args, kwargs in guarded.calls:
        given = inspect.signature(reference).bind(*args, **kwargs).arguments
        for name, x in given.items():
            if isinstance(x, torch.Tensor) and x.dtype == torch.float32:
                inner = x.detach().clone().requires_grad_()
                result = None
                with contextlib.suppress(RuntimeError):  # it trains something, and needs plain data
                    result = reference(**{n: detached(v) for n, v in given.items()} | {name: inner})
                if not isinstance(result, torch.Tensor) or not result.requires_grad:
                    continue
                pull = torch.cos(torch.arange(result.numel()) + 1.0).reshape(result.shape)
                (slope,) = torch.autograd.grad(result, inner, pull.to(result), allow_unused=True)
                if slope is not None and slope.numel() and slope.abs().max() > 0.01:
                    found.add(name)
    chosen = exercise.gradients
    return found if chosen is True else {n for n in found if chosen and n in chosen}


def test_no_argument_may_lose_its_gradient(exercise):
    asked = catalog.find(exercise)
    for argument in asked_for(asked):
        result = asked.grade(losing(asked.reference, argument))
        assert result.passed is False and "gradient" in result.message, (argument, result)


def test_many_exercises_are_asked_for_gradients():
    found = [asked_for(catalog.find(name)) for name in catalog.names()]
    assert len(list(filter(None, found))) >= 15 and sum(map(len, found)) >= 35


def test_whoever_leaves_torch_is_told_how_to_stay():
    def answer(x):
        return torch.from_numpy(x.numpy() ** 2)

    assert "leaves torch" in comparing(square).grade(answer).message


# --- Exercises whose checkers look at values only -------------------------------------------------


def square(x):
    return x**2


def affine(x, w, b):
    return {"out": (x @ w + b, w.sum())}


def bent(x):
    return torch.relu(x)


def largest(x):
    return x.amax(-1)


def logs(x):
    return F.softplus(x)


def shares(p):
    return p / p.sum(-1, keepdim=True) * 2


def comparing(reference, *inputs, **more):
    """An exercise that compares with the reference on these inputs, or on (3, 4) numbers."""
    exercises = Exercises()

    @exercises.add(reference, hints=["a", "b"], difficulty=1, minutes=1, **more)
    def check(student, rng):
        given = inputs or (normal(rng, 3, 4),)
        expect(student(*given), reference(*given), reference.__name__)

    return exercises[0]


@pytest.mark.parametrize("argument", ["x", "w", "b"])
def test_results_in_dictionaries_and_tuples_are_looked_at(argument):
    asked = comparing(affine, torch.randn(3, 4), torch.randn(4, 2), torch.randn(2))
    assert asked.grade(affine).passed
    message = asked.grade(losing(affine, argument)).message
    assert f"lets no gradient reach `{argument}`" in message


def test_only_what_is_asked_for_counts():
    given = torch.randn(3, 4), torch.randn(4, 2), torch.randn(2)
    asked = comparing(affine, *given, gradients=["w"])
    assert asked.grade(losing(affine, "x")).passed
    assert not asked.grade(losing(affine, "w")).passed
    assert comparing(affine, *given, gradients=False).grade(losing(affine, "w")).passed


def kinked(x):
    """Another slope where x is 0."""
    return x * (x >= 0)


def kept_when_above(x):
    return torch.where(x > 0, x, torch.zeros_like(x))


def by_sorting(x):
    return x.sort(-1).values[..., -1]


def overflowing(x):
    return torch.where(x > 30, x, torch.log1p(torch.exp(x)))


def projected(p):
    """Right where the shares sum to 1, with another slope beside."""
    return p * 2


def in_float64(x):
    out = torch.empty(x.shape, dtype=torch.float64)
    for i, row in enumerate(x):
        out[i] = row.double() ** 2
    return out.to(x.dtype)


RIGHT = [
    (bent, kinked, torch.tensor([[0.0, 1.0], [-1.0, 0.0]])),
    (bent, kept_when_above, torch.zeros(2, 2)),
    (largest, by_sorting, torch.tensor([[1.0, 1.0, 0.0], [2.0, 2.0, 2.0]])),
    (logs, overflowing, torch.tensor([[-5.0, 500.0, 3.0]])),
    (shares, projected, torch.tensor([[0.5, 0.5, 0.0], [0.2, 0.3, 0.5]])),
    (square, in_float64, torch.randn(3, 4)),
]


@pytest.mark.parametrize(("reference", "answer", "x"), RIGHT)
def test_a_tie_a_kink_and_an_overflow_are_no_mistakes(reference, answer, x):
    result = comparing(reference, x).grade(answer)
    assert result.passed, result


def straight_through(x):
    return x + (torch.relu(x) - x).detach()


def test_a_gradient_where_none_belongs_is_found():
    result = comparing(bent, -torch.ones(2, 3) - torch.rand(2, 3)).grade(straight_through)
    assert "where none belongs" in result.message


def doubled_exp(x):
    return x.exp() * 2


def overwriting(x):
    e = x.exp()
    e *= 2
    return e


def test_an_overwritten_way_back_is_named():
    assert "overwrites in place" in comparing(doubled_exp).grade(overwriting).message


# --- Models and classes ---------------------------------------------------------------------------


def answers_of(model, x):
    return model(x) + 1


def test_the_parameters_of_a_model_learn_too():
    model = nn.Linear(4, 2)

    def frozen(model, x):
        return F.linear(x, model.weight, model.bias.detach()) + 1

    asked = comparing(answers_of, model, torch.randn(3, 4))
    assert asked.grade(lambda model, x: 1 + model(x)).passed
    assert "the parameter bias of `model`" in asked.grade(frozen).message


class Layer(nn.Module):
    """A layer with a gain and a shift."""

    def __init__(self, width):
        super().__init__()
        self.gain = nn.Parameter(torch.randn(width))
        self.shift = nn.Parameter(torch.randn(width))

    def forward(self, x):
        return x * self.gain + self.shift


class FrozenShift(Layer):
    def forward(self, x):
        return x * self.gain + self.shift.detach()


class OtherOrder(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.shift = nn.Parameter(torch.zeros(width))
        self.gain = nn.Parameter(torch.ones(width))

    def forward(self, x):
        return torch.addcmul(self.shift, x, self.gain)


class InOnePiece(Layer):
    def forward(self, x):
        return x.view(-1, x.shape[-1]).mul(self.gain).add(self.shift).view(x.shape)


def of_a_class():
    exercises = Exercises()

    @exercises.add(Layer, hints=["a", "b"], difficulty=1, minutes=1)
    def check(student, rng):
        layer = student(4)
        expect(layer(torch.zeros(2, 3, 4)).shape, torch.Size((2, 3, 4)), "Layer(4)(x)")

    return exercises[0]


def test_the_parameters_of_an_instance_get_the_references_gradients():
    asked = of_a_class()
    assert asked.grade(Layer).passed
    assert asked.grade(OtherOrder).passed  # the reference's weights are put in by name
    assert "its parameter shift" in asked.grade(FrozenShift).message


def test_methods_are_called_with_tensors_that_do_not_lie_in_one_piece():
    assert "view size is not compatible" in of_a_class().grade(InOnePiece).message


class Embedding(nn.Module):
    """Rows of a table, by their numbers."""

    def __init__(self, n):
        super().__init__()
        self.table = nn.Parameter(torch.randn(n, 2))

    def forward(self, ids):
        return self.table[ids]


class Lookup(Embedding):
    def forward(self, ids):
        return self.table.data[ids]


def test_parameters_learn_where_no_input_does():
    exercises = Exercises()

    @exercises.add(Embedding, hints=["a", "b"], difficulty=1, minutes=1)
    def check(student, rng):
        expect(student(5)(torch.tensor([1, 3])).shape, torch.Size((2, 2)), "Embedding(5)(ids)")

    assert exercises[0].grade(Embedding).passed
    assert "lets no gradient flow back" in exercises[0].grade(Lookup).message
