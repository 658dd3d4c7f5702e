"""What the engine does for every exercise, whatever its checker thinks of: kinds of wrong answers
that cannot pass, what is put back after a check, and what is said.
"""

import builtins
import inspect
import os
import random
import re
import sys
import warnings
from collections import Counter

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from kernels import Kernel, error_of
from torch import nn

from conftest import ROOT
from course_utils.checking import Exercises, Wrong, expect, inputs
from course_utils.checking.compare import apart, difference
from course_utils.checking.examples import example_fault
from course_utils.checking.guard import guarded_class
from course_utils.exercises import catalog

FUNCTIONS = [name for name in catalog.names() if not inspect.isclass(catalog.find(name).reference)]

# --- Kinds of wrong answers, for every exercise ---------------------------------------------------


def outline(value):
    """Shape and dtype of arrays, types of all else."""
    if isinstance(value, (torch.Tensor, np.ndarray)):
        return tuple(value.shape), str(value.dtype)
    if isinstance(value, (list, tuple)):
        return (type(value).__name__, *map(outline, value))
    return type(value).__name__


def remembering(reference):
    """Gives again what it gave to other numbers of the same shapes."""
    known = {}

    def answer(*args, **kwargs):
        key = repr([outline(x) for x in (*args, *kwargs.values())])
        if key not in known:
            known[key] = reference(*args, **kwargs)
        return known[key]

    return answer


def squeezing(reference):
    """Drops dimensions of size 1."""

    def answer(*args, **kwargs):
        got = reference(*args, **kwargs)
        if isinstance(got, (torch.Tensor, np.ndarray)):
            return got.squeeze()
        many = type(got) in (list, tuple)
        return type(got)(map(squeezed, got)) if many else got

    return answer


def squeezed(x):
    return x.squeeze() if isinstance(x, (torch.Tensor, np.ndarray)) else x


def viewing(reference):
    """Uses .view where the memory may lie in pieces."""

    def answer(*args, **kwargs):
        for x in (*args, *kwargs.values()):
            if isinstance(x, torch.Tensor) and not x.is_contiguous():
                raise RuntimeError(
                    "view size is not compatible with input tensor's size and stride"
                )
        return reference(*args, **kwargs)

    return answer


def polite(reference):
    """Never raises an error."""

    def answer(*args, **kwargs):
        try:
            return reference(*args, **kwargs)
        except Exception:
            return torch.zeros(())

    return answer


def applies(cheat, exercise):
    """Whether the cheat is another function than the reference: decided by what the reference is
    given and gives where the engine checks it.
    """
    seen = []

    def watching(*args, **kwargs):
        got = exercise.reference(*args, **kwargs)
        seen.append(([*args, *kwargs.values()], got))
        return got

    assert exercise.grade(watching).passed
    if cheat is squeezing:
        results = [x for _, got in seen for x in (got if type(got) in (list, tuple) else [got])]
        return any(isinstance(x, (torch.Tensor, np.ndarray)) and x.ndim for x in results)
    return any(isinstance(x, torch.Tensor) and x.ndim > 1 for given, _ in seen for x in given)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_what_is_kept_from_an_earlier_call_does_not_pass(name):
    exercise = catalog.find(name)
    result = exercise.grade(remembering(exercise.reference), 1)
    assert result.passed is False, result


# Where the reference is told all sizes by the exercise, or only ever gives one size.
ONE_SIZE = {
    "kl_bias.matched_control", "scaling_laws.power_law_line", "sparse_autoencoders.steering_vector",
}  # fmt: skip


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_dimension_of_size_1_stays(name):
    exercise = catalog.find(name)
    if not applies(squeezing, exercise) or name in ONE_SIZE:
        pytest.skip("its results have no dimension that could be lost")
    assert exercise.grade(squeezing(exercise.reference), 1).passed is False


@pytest.mark.parametrize("name", FUNCTIONS)
def test_what_does_not_lie_in_one_piece_is_taken_too(name):
    exercise = catalog.find(name)
    if not applies(viewing, exercise):
        pytest.skip("it is given no tensor of two dimensions")
    assert exercise.grade(viewing(exercise.reference), 1).passed is False


@pytest.mark.parametrize("name", catalog.names())
def test_what_the_stub_promises_to_raise_must_be_raised(name):
    """Every kind of error after "Raises:" has a bad input that brings it."""
    exercise = catalog.find(name)
    promised = (exercise.reference.__doc__ or "").partition("Raises")[2].partition(">>>")[0]
    raised = set()
    for arguments in exercise.refuses:
        with pytest.raises((ValueError, TypeError, AttributeError)) as caught:
            exercise.reference(*arguments)
        raised.add(caught.type.__name__)
    assert raised >= set(re.findall(r"\w+Error", promised))
    if exercise.refuses and name in FUNCTIONS:
        assert exercise.grade(polite(exercise.reference), 1).passed is False


# --- The engine on a toy --------------------------------------------------------------------------


def double(x: torch.Tensor) -> torch.Tensor:
    """Twice the numbers. Raises: ValueError for whole numbers.

    >>> double(torch.tensor([0.1234]))
    tensor([0.2468])
    """
    if not x.is_floating_point():
        raise ValueError("give real numbers, not whole ones")
    return 2 * x


EXERCISES = Exercises()


@EXERCISES.add(double, difficulty=1, minutes=1, hints=["2 * x"], refuses=[(torch.tensor([1]),)])
def check_double(student, rng):
    x = torch.tensor([[rng.random(), 2.0, 3.0]] * 2)
    expect(student(x), 2 * x, "double(x)")


def graded(answer, seed=0):
    return EXERCISES[0].grade(answer, seed)


def generates(x):
    yield 2 * x


async def waits(x):
    return 2 * x


def shown_another(x):
    return torch.where(x == 0.1234, 3 * x, 2 * x)


SAID = {
    "a generator": (generates, "`yield`"),
    "an async function": (waits, "`async`"),
    "no error": (lambda x: 2 * x, "must raise ValueError: give real numbers"),
    "the wrong error": (lambda x: 2 * x if x.is_floating_point() else {}["x"], "and raised KeyError"),
    "its own example": (lambda x: _but(x, shown_another), "the example in the docstring fails"),
    "a sparse tensor": (lambda x: _but(x, lambda x: (2 * x).to_sparse()), "sparse"),
    "a meta tensor": (lambda x: _but(x, lambda x: (2 * x).to("meta")), "no values"),
    "a nested tensor": (lambda x: _but(x, lambda x: torch.nested.nested_tensor(list(2 * x))), "nested"),
    "complex numbers": (lambda x: _but(x, lambda x: 2 * x + 0j), "expected dtype torch.float32, got torch.complex64"),
    "another shape and dtype": (lambda x: _but(x, lambda x: (2 * x.double()).flatten()), "of torch.float64"),
    "exit()": (lambda x: _but(x, lambda x: exit()), "SystemExit"),
    "quit()": (lambda x: _but(x, lambda x: quit()), "SystemExit"),
}  # fmt: skip


def _but(x, change):
    """The reference's error, and otherwise something else."""
    double(x)
    return change(x)


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
@pytest.mark.parametrize("kind", SAID)
def test_an_odd_answer_hears_what_is_odd(kind):
    answer, words = SAID[kind]
    result = graded(answer)
    assert result.passed is False and words in result.message, result
    assert graded(double).passed


def endless(x):
    sys.setrecursionlimit(10**9)
    return endless(x)


def test_endless_recursion_ends_whatever_the_limit_was_set_to():
    limit = sys.getrecursionlimit()
    assert "RecursionError" in graded(endless).message
    assert sys.getrecursionlimit() == limit


@pytest.mark.parametrize(("want", "got"), [(0.6415671, 0.6415673), (1.0, 1.0 + 1e-9)])
def test_two_numbers_are_shown_until_they_differ(want, got):
    one, two = apart(want, got)
    assert one != two and abs(float(one) - want) < 1e-6
    said = difference(
        torch.tensor([got], dtype=torch.float64), torch.tensor([want], dtype=torch.float64), 1e-12
    )
    assert one in said and two in said


def test_minus_infinity_where_it_belongs_is_no_fault():
    want = torch.tensor([0.0, -torch.inf])
    said = difference(torch.tensor([1.0, -torch.inf]), want, 1e-5)
    assert "not finite" not in said and "expected 0, got 1" in said
    assert "not finite" in difference(torch.tensor([torch.nan, -torch.inf]), want, 1e-5)


def test_an_example_may_come_about_otherwise():
    assert example_fault(double, lambda x: (x.double() * 2).float()) is None
    assert example_fault(double, lambda x: nn.Parameter(2 * x, requires_grad=False)) is not None
    assert example_fault(double, lambda x: x.requires_grad_() * 2) is None  # grad_fn=… is shown


def by_a_counter(ids):
    return Counter(zip(ids, ids[1:], strict=False))


def backwards(ids):
    counts = {}
    for pair in reversed(list(zip(ids, ids[1:], strict=False))):
        counts[pair] = counts.get(pair, 0) + 1
    return counts


def as_the_paper_has_it(n, c, k):
    if not (0 <= c <= n and 1 <= k <= n):
        raise ValueError("c is from 0 to n, k from 1 to n")
    return 1.0 if n - c < k else 1.0 - np.prod(1.0 - k / np.arange(n - c + 1, n + 1))


def for_distributions(q, p):
    """Right wherever both sum to 1, as the stub says they do."""
    return (torch.xlogy(q, q) - torch.xlogy(q, p) + p - q).sum(-1)


def by_polyfit(x, y):
    k, c = np.polyfit(np.log(x), np.log(y), 1)
    return float(np.exp(c)), float(k)


def by_norms(truth, found):
    a = truth / truth.norm(dim=-1, keepdim=True)
    b = found / found.norm(dim=-1, keepdim=True)
    return (a @ b.mT).amax(-1).mean(-1)


def by_normal_equations(x, directions, mean):
    gram = directions @ directions.T
    return x - (x - mean) @ directions.T @ torch.linalg.solve(gram, directions)


def without_float(theta, N, D, L, delta=1e-3):
    a, b, e, alpha, beta = theta
    law = np.logaddexp(np.logaddexp(a - alpha * np.log(N), b - beta * np.log(D)), e)
    r = np.abs(law - np.log(L))
    return np.where(r <= delta, r**2 / 2, delta * (r - delta / 2)).sum()


@pytest.mark.filterwarnings("ignore:Polyfit may be poorly conditioned")
@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("scaling_laws.power_law_line", by_polyfit),
        ("sparse_autoencoders.mean_max_cosine", by_norms),
        ("probes.erase_directions", by_normal_equations),
        ("scaling_laws.chinchilla_objective", without_float),
        ("tokenization.count_pairs", by_a_counter),
        ("tokenization.count_pairs", backwards),
        ("test_time_compute.pass_at_k", as_the_paper_has_it),
        ("kl_bias.kl_divergence", for_distributions),
    ],
)
def test_what_the_stub_allows_passes_the_engine(name, answer):
    for seed in range(20):
        result = catalog.find(name).grade(answer, seed)
        assert result.passed, result


# --- Classes and models ---------------------------------------------------------------------------


class Doubles:
    def forward(self, x):
        return x.mul_(2)

    def scaled(self, x):
        return self.forward(x.clone())


def test_a_method_that_changes_its_argument_is_noticed_and_others_go_on():
    guarded = guarded_class(Doubles)()
    assert isinstance(guarded, Doubles) and type(guarded).__name__ == "Doubles"
    with pytest.raises(Wrong, match="Doubles.forward changed its argument in place"):
        guarded.forward(torch.ones(2))
    with pytest.raises(Wrong):  # its own call of forward changes a copy, but in place all the same
        guarded.scaled(torch.ones(2))


def test_a_class_that_cannot_be_a_base_stays_what_it_is():
    assert guarded_class(bool) is bool


def left_in_training(model, x):
    model.train()
    return model(x)


def left_with_a_hook(model, x):
    model[0].register_forward_hook(lambda *call: None)
    return model(x)


def left_frozen(model, x):
    model.requires_grad_(False)
    return model(x)


def left_with_another_forward(model, x):
    model[0].forward = lambda x: x
    return model[1](F.linear(x, model[0].weight, model[0].bias))


def applied(model, x):
    """What the model gives."""
    return model(x)


MODELS = Exercises()


@MODELS.add(applied, difficulty=1, minutes=1, hints=["model(x)"])
def check_applied(student, rng):
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2)).eval()
    x = torch.tensor([[rng.random(), 1.0]])
    expect(student(model, x), model(x), "applied(model, x)")


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (left_in_training, "another mode"),
        (left_with_a_hook, "hooks"),
        (left_frozen, "requires_grad"),
        (left_with_another_forward, "forward"),
    ],
)
def test_a_model_is_left_as_it_was(answer, words):
    assert MODELS[0].grade(applied).passed
    result = MODELS[0].grade(answer)
    assert result.passed is False and words in result.message


# --- What is put back -----------------------------------------------------------------------------

TURNS = {
    "default dtype": (lambda: torch.set_default_dtype(torch.float64), torch.get_default_dtype),
    "threads": (lambda: torch.set_num_threads(torch.get_num_threads() + 1), torch.get_num_threads),
    "deterministic": (lambda: torch.use_deterministic_algorithms(True), torch.are_deterministic_algorithms_enabled),
    "torch's numbers": (lambda: torch.rand(3), lambda: torch.get_rng_state().sum().item()),
    "numpy's numbers": (lambda: np.random.seed(7), lambda: np.random.get_state()[1].sum()),
    "python's numbers": (lambda: random.seed(7), lambda: hash(random.getstate())),
    "torch's printing": (lambda: torch.set_printoptions(precision=1), lambda: torch._tensor_str.PRINT_OPTS.precision),
    "numpy's printing": (lambda: np.set_printoptions(precision=1), lambda: np.get_printoptions()["precision"]),
    "numpy's errors": (lambda: np.seterr(all="raise"), lambda: np.geterr()["over"]),
    "recursion": (lambda: sys.setrecursionlimit(3000), sys.getrecursionlimit),
    "a function of torch": (lambda: setattr(torch, "softmax", None), lambda: torch.softmax),
    "a method of tensors": (lambda: setattr(torch.Tensor, "mean", None), lambda: torch.Tensor.mean),
    "a built-in": (lambda: setattr(builtins, "sum", None), lambda: builtins.sum),
    "warnings": (lambda: warnings.simplefilter("error"), lambda: list(warnings.filters)),
    "the environment": (lambda: os.environ.update(COURSE_TOY="1"), lambda: dict(os.environ)),
    "the folder": (lambda: os.chdir("/"), os.getcwd),
    "figures": (plt.figure, plt.get_fignums),
}  # fmt: skip


@pytest.mark.parametrize("what", TURNS)
def test_what_the_session_shares_is_put_back(what):
    turn, read = TURNS[what]
    before = read()

    def answer(x):
        got = double(x)
        turn()
        return got

    graded(answer)
    after = read()
    assert after == before


def test_gradients_are_on_again_after_each_call():
    def answer(x):
        got = double(x)
        torch.set_grad_enabled(False)
        return got

    assert torch.is_grad_enabled() and graded(answer).passed and torch.is_grad_enabled()


def test_nothing_is_displayed_and_exit_leaves_the_kernel_alive():
    """In a real kernel, where `exit` and `display` are IPython's."""
    define = (
        "from course_utils.exercises import check\n"
        "def bits(x, dim=-1, temperature=1.0):\n"
        "    display('shown')\n"
        "    import matplotlib.pyplot as plt\n"
        "    plt.plot([1, 2])\n"
        "    exit()\n"
    )
    with Kernel(ROOT) as kernel:
        assert kernel.run("%matplotlib inline\n" + define) == []
        outputs = kernel.run("check('attention.softmax', bits);")
        assert error_of(outputs) is None and len(outputs) == 1
        assert "raised SystemExit" in outputs[0].data["text/plain"]
        assert kernel.run("print('alive'); display('seen')")[0].text.strip() == "alive"


def test_no_number_that_a_checker_draws_is_0(monkeypatch):
    monkeypatch.setattr(torch, "randn", lambda shape, **_: torch.zeros(shape))
    assert bool((inputs.normal(random.Random(0), 3, 4) == 1).all())
