"""Exercises of lesson 16. The right values come from plain loops, the model's parts run one by one,
and scipy.
"""

import random
from collections.abc import Callable
from functools import cache

import numpy as np
import torch
from scipy.optimize import minimize
from scipy.special import logsumexp
from torch import Tensor

from course_utils.checking import Exercises, Wrong, draws, expect, show_value
from course_utils.checking.inputs import dice, different, normal
from course_utils.circuits.exercises import whole
from course_utils.probes import controls
from course_utils.probes import linear as probes

EXERCISES = Exercises()


# --- control_labels -------------------------------------------------------------------------------


def _labelled_tokens(
    rng: random.Random, seed: int, n: int, types: int
) -> tuple[Tensor, Tensor, Tensor]:
    """ids (n,), the label that each of the word types tends to have, and labels y (n,)."""
    ids = (
        torch.cat([torch.arange(types), whole(rng, 1, n - types, types)[0]])[
            torch.randperm(n, generator=dice(seed))
        ]
        * 3
        + 7
    )
    share = torch.tensor([0.7, 0.2, 0.1])
    # what a type tends to be
    kind = torch.multinomial(share, types, replacement=True, generator=dice(seed + 1))
    y = torch.where(
        torch.rand(n, generator=dice(seed + 2)) < 0.6,
        kind[(ids - 7) // 3],
        # so the classes of tokens and of types differ in size
        torch.randint(3, (n,), generator=dice(seed + 3)),
    )
    return ids, kind, y


@EXERCISES.add(
    probes.control_labels,
    difficulty=2,
    minutes=8,
    hints=[
        "Two steps: a label for each word type, then each token looks up its type's. How do you number the types from 0?",
        "types, which = ids.unique(return_inverse=True): which[i] is the number of token i's type.",
        "Drawing from y: y[torch.randint(len(y), types.shape, generator=generator)] is (types,). Index it with `which`.",
    ],
)
def check_control_labels(student: Callable, rng: random.Random) -> None:
    with torch.random.fork_rng(devices=[]):  # the student's draws are the same at every check
        torch.manual_seed(rng.randrange(2**31))
        seed = rng.randrange(2**31)
        n = 9000
        types = 1500
        ids, kind, y = _labelled_tokens(rng, seed, n, types)
        call = f"control_labels(ids, y, generator) with {types} word types among {n} tokens"
        before = torch.get_rng_state()
        generator = dice(seed + 4)
        got = student(ids, y, generator)
        if not isinstance(got, Tensor) or got.shape != y.shape:
            raise Wrong(
                f"{call}: return one label for each token, a tensor of shape ({n},); you returned {show_value(got)}."
            )
        if got.is_floating_point() or not bool(torch.isin(got, torch.arange(3)).all()):
            raise Wrong(f"{call}: the labels should be taken from y: 0, 1 or 2.")
        if not torch.equal(before, torch.get_rng_state()):
            raise Wrong(
                f"{call}: you used torch's global dice. Pass generator=generator, so that a run can be repeated."
            )
        # some label of each type
        table = torch.full((int(ids.max()) + 1,), -1).scatter(0, ids, got)
        if not torch.equal(table[ids], got):
            raise Wrong(
                f"{call}: one word type has two labels. A type gets one label, wherever the word stands."
            )
        if len(got.unique()) == 1:
            raise Wrong(f"{call}: all types have the same label. Draw one for each type.")
        if torch.equal(got, student(ids, y, generator)):
            raise Wrong(
                f"{call}: two calls in a row gave the same labels. Draw each type's label from the generator, and do not seed it inside."
            )
        if not torch.equal(got, student(ids, y, dice(seed + 4))):
            raise Wrong(
                f"{call}: the same seed gave other labels. All dice must come from the generator."
            )
        check_control_chances(table[ids.unique()], kind, y, call)
        few = ids < 307  # 100 of the types
        many = []
        for _ in range(10):
            again = student(ids[few], y[few], generator)
            many.append(torch.zeros_like(table).scatter(0, ids[few], again)[ids[few].unique()])
        check_control_counts(many, y[few], call)


def check_control_chances(labels: Tensor, kind: Tensor, y: Tensor, call: str) -> None:
    """labels and kind (types,): what each type got, and what it tends to be in y."""
    shares = labels.bincount(minlength=3) / len(labels)
    wanted = y.bincount(minlength=3) / len(y)
    n = len(labels)
    p = wanted.tolist()
    counts = labels.bincount(minlength=3).tolist()
    for count, chance in zip(counts, p, strict=True):
        draws.must_have_share(
            count,
            n,
            chance,
            f"{call}: the classes have shares of {[round(s, 2) for s in shares.tolist()]} among the types, in y "
            f"{[round(s, 2) for s in wanted.tolist()]}. Draw each type's label from y itself.",
        )
    for c, chance in enumerate(p):
        among = labels[kind == c]
        draws.must_have_share(
            int((among == c).sum()),
            len(among),
            chance,
            f"{call}: the labels know y: of the types that are mostly {c} in y {(among == c).float().mean():.0%} have this label, "
            f"by chance it would be {chance:.0%}. A control means nothing: draw at random.",
        )
    follow = f"{call}: the labels follow the order of the ids. Draw each at random."
    draws.must_not_agree(*draws.pairs(labels), draws.agreement(p), follow)
    draws.must_not_agree(*draws.pairs(labels[1:]), draws.agreement(p), follow)


def check_control_counts(many: list[Tensor], y: Tensor, call: str) -> None:
    """many: the labels of the types, drawn again and again. No class comes equally often."""
    draws.must_vary_together(
        [labels.bincount(minlength=3).tolist() for labels in many],
        (y.bincount(minlength=3) / len(y)).tolist(),
        f"{call}: each class comes equally often each time, which chance does not do. Draw each type's label by itself.",
        f"{call}: a class comes far more often in one call than in the next. Draw each type's label by itself.",
    )


# --- selectivity ----------------------------------------------------------------------------------


def fit_by_scipy(x: Tensor, y: Tensor, decay: float = 1e-3) -> Callable[[Tensor], Tensor]:
    """Softmax regression on standardised features by another library."""
    X = x.double().numpy()
    k = int(y.max()) + 1
    mean = X.mean(0)
    scale = X.std(0)
    Z = (X - mean) / scale
    Y = np.eye(k)[y.numpy()]

    def loss(w: np.ndarray) -> tuple[float, np.ndarray]:
        W = w[:-k].reshape(-1, k)
        b = w[-k:]
        scores = Z @ W + b
        logs = scores - logsumexp(scores, axis=1, keepdims=True)
        error = (np.exp(logs) - Y) / len(Z)
        return -(Y * logs).sum() / len(Z) + decay / 2 * (W**2).sum(), np.concatenate(
            [(Z.T @ error + decay * W).ravel(), error.sum(0)]
        )

    w = minimize(
        loss, np.zeros((X.shape[1] + 1) * k), jac=True, method="L-BFGS-B", options={"maxiter": 200}
    ).x
    return lambda z: torch.tensor(
        (((z.double().numpy() - mean) / scale) @ w[:-k].reshape(-1, k) + w[-k:]).argmax(1)
    )


@EXERCISES.add(
    probes.selectivity,
    difficulty=1,
    minutes=6,
    hints=[
        "Two probes, one for y and one for control, on the same examples. Which examples may they see, and on which are they judged?",
        "fit_probe(x[train], y[train]) returns a probe; probe.accuracy(x[~train], y[~train]) judges it.",
        "The accuracy for y less the accuracy for control, both on ~train.",
    ],
)
def check_selectivity(student: Callable, rng: random.Random) -> None:
    for k, d, n, clear, hidden in (
        (2, 10, 200, 1.2, 1.0),
        (2, 10, 200, 0.3, 1.6),
        (2, 60, 240, 3.0, 0.0),
        (3, 12, 240, 1.2, 0.6),
    ):
        y = whole(rng, 1, n, k)[0]
        control = whole(rng, 1, n, k)[0]
        x = normal(rng, n, d)
        x[:, :k] += clear * torch.eye(k)[y]
        x[:, k : 2 * k] += hidden * torch.eye(k)[control]
        train = torch.zeros(n, dtype=torch.bool)
        train[rng.sample(range(n), n // 4)] = True
        call = f"selectivity(x, y, control, train) with {k} classes and {n // 4} of {n} examples to train on"
        got = student(x, y, control, train)
        if isinstance(got, Tensor) and got.numel() == 1:
            got = float(got)
        if isinstance(got, bool) or not isinstance(got, (int, float)):
            raise Wrong(f"{call}: return one number, not {show_value(got)}.")
        judge_selectivity(float(got), x, y, control, train, call)


def _accuracy_of_probes(
    x: Tensor, y: Tensor, control: Tensor, train: Tensor, fit: Callable
) -> Callable[..., float]:
    """A function of (labels, fitted_on, judged_on, truth): how often a probe for these labels is
    right. It fits each probe once.
    """
    places = {"train": train, "test": ~train, "all": torch.ones_like(train)}
    labels = {"y": y, "control": control}

    @cache
    def guesses(of: str, fitted_on: str) -> Tensor:
        where = places[fitted_on]
        return fit(x[where], labels[of][where])(x)

    def share(of: str, fitted_on: str = "train", judged_on: str = "test", truth: str = "") -> float:
        right = guesses(of, fitted_on) == labels[truth or of]
        return right[places[judged_on]].double().mean().item()

    return share


def judge_selectivity(
    got: float, x: Tensor, y: Tensor, control: Tensor, train: Tensor, call: str
) -> None:
    right = _accuracy_of_probes(x, y, control, train, fit_by_scipy)
    want = right("y") - right("control")
    near = abs(got - want) <= 2.5 / int((~train).sum())
    want = got if near else want  # solvers may differ on an example or two
    share = _accuracy_of_probes(x, y, control, train, probes.fit_probe)

    def both(*how: str) -> float:
        return share("y", *how) - share("control", *how)

    task = share("y")
    chance = share("control")
    mistakes = {
        "judge on examples that the probes have not seen: on ~train": both("train", "train"),
        "judge on ~train only, not on all examples": both("train", "all"),
        "task less control, not control less task": chance - task,
        "you took the size of the difference; keep its sign: the control may be easier than the task": abs(
            task - chance
        ),
        "take away what the control reaches": task,
        "the control needs a probe of its own; you judged the task's probe on its labels": task
        - share("y", truth="control"),
        "take the difference, not the ratio": task / chance,
        "the control's accuracy was measured on the training examples": task
        - share("control", "train", "train"),
        "the task's accuracy was measured on the training examples": share("y", "train", "train")
        - chance,
        "take away the control's accuracy, not a guess's": task - 1 / (int(y.max()) + 1),
    }
    if not near:  # these need more probes
        mistakes |= {
            "fit where train is True; you used the test examples, too": both("all"),
            "fit where train is True, judge on the others; yours is the other way round": both(
                "test", "train"
            ),
            "fit and judge on different examples; you did both on ~train": both("test"),
        }
    expect(got, want, call, mistakes=mistakes, tol=1e-3)


# --- erase_directions -----------------------------------------------------------------------------


@EXERCISES.add(
    probes.erase_directions,
    difficulty=2,
    minutes=8,
    gradients=["x", "mean"],  # the directions are found before, and a QR may have no slope
    hints=[
        "For one direction u of length 1: take ((x - mean) · u) u away. With two that are not orthogonal, doing it one after the other goes wrong: "
        "draw it in the plane.",
        "torch.linalg.qr(directions.T).Q, of shape (d, k), has orthonormal columns that span the same space.",
        "x - ((x - mean) @ basis) @ basis.T",
    ],
    sizes=False,  # several directions in one dimension are not independent
)
def check_erase_directions(student: Callable, rng: random.Random) -> None:
    for shape, d, k in (((4,), 5, 1), ((3, 2), 6, 2), ((5,), 7, 3), ((3,), 3, 2), ((2, 3), 8, 4)):
        x = normal(rng, *shape, d)
        directions = normal(rng, k, d) * 2
        mean = normal(rng, d)
        directions[-1] += 1.5 * directions[0] if k > 1 else 0  # slanted
        D = directions.double()
        P = D.T @ torch.linalg.inv(D @ D.T) @ D  # onto the span, by the normal equations
        centred = (x - mean).double()
        along = torch.einsum("...i,ij->...j", centred, P)
        unit = D / D.norm(dim=-1, keepdim=True)
        once = torch.einsum("...i,ki,kj->...j", centred, unit, unit)
        after = x.double()
        for u in unit:
            after = after - ((after - mean.double()) @ u)[..., None] * u
        whole_sum = D.sum(0) / D.sum(0).norm()
        want = (x.double() - along).float()
        mistakes = {
            "the directions are not orthogonal: taking each one's part away counts what they share twice": x
            - once,
            "the directions are not orthogonal: after the second, something along the first is back": after,
            "bring the directions to length 1, and make them orthogonal": x
            - torch.einsum("...i,ki,kj->...j", centred, D, D),
            "what is left along the directions is the mean, not 0": x
            - torch.einsum("...i,ij->...j", x.double(), P),
            "put the mean back": centred - along,
            "take the part along the directions away; you kept it": mean + along,
            "take the part along the directions away; you kept nothing else": along,
            "you added the part along the directions": x + along,
            "only the first direction was erased": x - (centred @ unit[0])[..., None] * unit[0],
            "nothing was erased": x,
            "you went twice as far as the mean; take the part along the directions away once": x
            - 2 * along,
            "you erased one direction, the sum of them; each of them must be erased": x
            - (centred @ whole_sum)[..., None] * whole_sum,
            "use the mean that you are given; you took the mean of x": x
            - (x - x.flatten(0, -2).mean(0)).double() @ P,
        }
        mistakes = different({s: v.float() for s, v in mistakes.items()}, want)
        call = f"erase_directions(x, directions, mean) with x of shape {tuple(x.shape)} and directions of shape {tuple(directions.shape)}"
        expect(student(x, directions, mean), want, call, mistakes=mistakes, tol=1e-3)


# --- apart ----------------------------------------------------------------------------------------


def _walk(starts: Tensor, T: int, fits: Callable[[int, int], bool]) -> Tensor:
    chosen = []
    for start in torch.as_tensor(starts).tolist():
        if not chosen or fits(start, chosen[-1]):
            chosen.append(start)
    return torch.tensor(chosen)


def _against_the_one_before(starts: Tensor, T: int) -> Tensor:
    starts = torch.as_tensor(starts)
    gaps = torch.cat([torch.tensor([T]), starts.diff()])
    return starts[gaps >= T]


def _refusing(function: Callable) -> Callable:
    """The function, which refuses what the reference refuses."""

    def refuses(starts: Tensor, T: int) -> Tensor:
        controls.apart([0], T)
        return function(starts, T)

    return refuses


@EXERCISES.add(
    controls.apart,
    difficulty=1,
    minutes=7,
    gradients=False,
    hints=[
        "Go through the starts in order, and remember the last one that you took.",
        "A window from `last` ends before last + T: the next start may be last + T itself.",
        "Collect them in a list; torch.tensor(list) at the end, and ValueError for T below 1 at the beginning.",
    ],
    refuses=[([0, 3], 0), ([0, 3], -2)],
    mistakes={
        "you took a start one token too late: a window may begin where the one before has ended": _refusing(
            lambda starts, T: _walk(starts, T, lambda start, last: start > last + T)
        ),
        "the last token of a window is the first of the next: they still share it": _refusing(
            lambda starts, T: _walk(starts, T, lambda start, last: start >= last + T - 1)
        ),
        "you compared with the start just before, also where you left that one out; compare with the last that you took": _refusing(
            _against_the_one_before
        ),
        "you took every start; windows that begin within T tokens overlap": _refusing(
            lambda starts, T: torch.as_tensor(starts)
        ),
        "the first start is missing": _refusing(lambda starts, T: controls.apart(starts, T)[1:]),
        "those are places in the list; return the starts themselves": _refusing(
            lambda starts, T: torch.tensor(
                [
                    torch.as_tensor(starts).tolist().index(s)
                    for s in controls.apart(starts, T).tolist()
                ]
            )
        ),
    },
)
def check_apart(student: Callable, rng: random.Random) -> None:
    for T in (5, 8, 12):
        steps = [rng.randrange(1, T), T, T - 1, rng.randrange(1, T - 2), 2, T + 1, T - 2, 3]
        starts = [rng.randrange(3, 9)]
        for step in [*steps, *rng.sample(steps, 5)]:
            starts.append(starts[-1] + step)
        want = []
        for start in starts:
            if not want or start - want[-1] >= T:
                want.append(start)
        expect(student(torch.tensor(starts), T), torch.tensor(want), f"apart({starts}, T={T})")
    expect(student(torch.tensor([4]), 3), torch.tensor([4]), "apart([4], T=3)")


# --- borrowed_labels ------------------------------------------------------------------------------

FIXED = "row {row} got its own labels back; each row gets another's"


@EXERCISES.add(
    controls.borrowed_labels,
    difficulty=3,
    minutes=10,
    gradients=False,
    hints=[
        "What must stay: which labels stand at which position, over all stories. What must go: whose they are. Move whole rows.",
        "torch.randperm alone may give a row back to itself. Put the rows in a random ring, and let each take from the next.",
        "order = torch.randperm(n, generator=generator); taken[order] = order.roll(-1); labels[taken].",
    ],
    refuses=[(torch.zeros(1, 4).long(), torch.Generator())],
)
def check_borrowed_labels(student: Callable, rng: random.Random) -> None:
    for n, T in ((9, 12), (3, 7), (2, 6)):
        # each row is told from the others by its first number
        labels = torch.cat([torch.arange(n)[:, None] + 2, whole(rng, n, T - 1, 2)], 1)
        call = f"borrowed_labels(labels ({n}, {T}), generator)"
        for seed in range(12):
            got = student(labels.clone(), dice(seed))
            expect(getattr(got, "shape", got), labels.shape, f"the shape of {call}")
            lent = (got[:, :1] - 2).flatten().tolist()
            if len(set(lent)) < n and all(0 <= row < n for row in lent):
                raise Wrong(f"{call}: one row is lent to several; lend each once.")
            if not torch.equal(got.sum(0), labels.sum(0)):
                along = torch.equal(got.sort(1).values, labels.sort(1).values)
                mixed = torch.equal(got.flatten().sort().values, labels.flatten().sort().values)
                what = (
                    "each row's labels are shuffled along the story"
                    if along
                    else "all labels are shuffled"
                )
                if along or mixed:
                    raise Wrong(f"{call}: {what}; move whole rows, so that positions stay.")
            if sorted(lent) != list(range(n)) or not torch.equal(got, labels[lent]):
                raise Wrong(
                    f"{call}: these are not the rows of labels, each once. Move whole rows."
                )
            for row in range(n):
                if lent[row] == row:
                    raise Wrong(f"{call}: {FIXED.format(row=row)}.")
        again = student(labels.clone(), dice(0))
        expect(again, student(labels.clone(), dice(0)), f"{call} with one seed, twice")
    _check_lenders(student)


def _check_lenders(student: Callable) -> None:
    """Each row borrows from every other one about as often."""
    labels = torch.arange(5)[:, None].expand(5, 4).contiguous()
    lent = torch.stack([student(labels.clone(), dice(seed))[:, 0] for seed in range(60)])  # (60, 5)
    for row in range(5):
        counts = lent[:, row].bincount(minlength=5).tolist()
        draws.must_be_uniform(
            counts[:row] + counts[row + 1 :],
            f"borrowed_labels, 60 times: row {row} borrows far more often from some rows than from others. "
            "Draw with the generator.",
        )


# --- precision_recall -----------------------------------------------------------------------------


def _rate(part: Tensor, of: Tensor) -> float:
    return part.sum().item() / max(1, of.sum().item())


@EXERCISES.add(
    controls.precision_recall,
    difficulty=1,
    minutes=6,
    gradients=False,
    hints=[
        "said & true marks the alarms that are right.",
        "Precision divides their number by that of all alarms, recall by that of all cases.",
        "Mind the two empty cases: no alarm (precision 1), and nothing true (ValueError).",
    ],
    refuses=[(torch.tensor([True, False]), torch.tensor([False, False]))],
    mistakes={
        "precision and recall have changed places": lambda said, true: controls.precision_recall(
            said, true
        )[::-1],
        "that precision is an accuracy: it counts what it rightly left alone, too": lambda said, true: (
            (said == true).float().mean().item(),
            controls.precision_recall(said, true)[1],
        ),
        "both are divided by all examples; divide by the alarms, and by the cases": lambda said, true: (
            (said & true).float().mean().item() + 0 * controls.precision_recall(said, true)[0],
            (said & true).float().mean().item(),
        ),
        "you counted examples where it says yes or they are so; count where both hold": lambda said, true: (
            (said | true).sum().item() / max(1, said.sum().item()),
            controls.precision_recall(said, true)[1],
        ),
        "your recall is that of the others: cases that it rightly left alone": lambda said, true: (
            controls.precision_recall(said, true)[0],
            _rate(~said & ~true, ~true),
        ),
    },
)
def check_precision_recall(student: Callable, rng: random.Random) -> None:
    for n, right, alarms, misses in ((20, 6, 3, 2), (30, 4, 9, 7), (12, 5, 0, 4), (15, 0, 4, 3)):
        kinds = [(True, True)] * right + [(True, False)] * alarms + [(False, True)] * misses
        kinds += [(False, False)] * (n - len(kinds))
        rng.shuffle(kinds)
        said, true = torch.tensor(kinds).unbind(1)
        want = right / (right + alarms), right / (right + misses)
        call = f"precision_recall: {right} right alarms, {alarms} false ones, {misses} cases missed, of {n}"
        expect(student(said, true), want, call)
    true = torch.tensor([True, False, True, False, False])
    silent = student(torch.zeros(5).bool(), true)
    if isinstance(silent, tuple) and silent[0] == 0:
        raise Wrong(
            "precision_recall: where it never says yes its precision is 1: no alarm was false."
        )
    expect(silent, (1.0, 0.0), "precision_recall that never says yes")


# --- cka ------------------------------------------------------------------------------------------


def _kernels(x: Tensor, y: Tensor) -> float:
    """By its other formula: the n x n kernels, centred, as long vectors."""
    n = len(x)
    centre = np.eye(n) - 1 / n
    K, L = (centre @ z.double().numpy() @ z.double().numpy().T @ centre for z in (x, y))
    return float((K * L).sum() / np.sqrt((K * K).sum() * (L * L).sum()))


def _parts(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    x = x.double() - x.double().mean(0)
    y = y.double() - y.double().mean(0)
    return y.T @ x, x.T @ x, y.T @ y


def _same_length(x: Tensor, y: Tensor) -> None:
    controls.cka(x, y)


def _without_centring(x: Tensor, y: Tensor) -> float:
    _same_length(x, y)
    x = x.double()
    y = y.double()
    return ((y.T @ x).square().sum() / ((x.T @ x).norm() * (y.T @ y).norm())).item()


def _not_squared(x: Tensor, y: Tensor) -> float:
    _same_length(x, y)
    both, xx, yy = _parts(x, y)
    return (both.norm() / (xx.norm() * yy.norm()).sqrt()).item()


def _no_root(x: Tensor, y: Tensor) -> float:
    _same_length(x, y)
    both, xx, yy = _parts(x, y)
    return (both.square().sum() / (xx.square().sum() * yy.square().sum())).item()


def _centred_rows(x: Tensor, y: Tensor) -> float:
    _same_length(x, y)
    x, y = (z.double() - z.double().mean(1, keepdim=True) for z in (x, y))
    return ((y.T @ x).square().sum() / ((x.T @ x).norm() * (y.T @ y).norm())).item()


def _trace(x: Tensor, y: Tensor) -> float:
    _same_length(x, y)
    both, xx, yy = _parts(x, y)
    return (both.square().sum() / (xx.trace() * yy.trace())).item()


def _cosine(x: Tensor, y: Tensor) -> float:
    _same_length(x, y)
    k = min(x.size(1), y.size(1))
    a, b = (z.double()[:, :k] - z.double()[:, :k].mean(0) for z in (x, y))
    return ((a * b).sum() / (a.norm() * b.norm())).item()


@EXERCISES.add(
    controls.cka,
    difficulty=2,
    minutes=10,
    gradients=False,
    hints=[
        "First x = x - x.mean(0) and the same for y: each feature's mean over the examples goes.",
        "Three matrices: y.T @ x, x.T @ x and y.T @ y. Of the first the sum of squares, of the others the Frobenius norm.",
        "(y.T @ x).square().sum() / ((x.T @ x).norm() * (y.T @ y).norm()), as a number with .item().",
    ],
    refuses=[(torch.ones(4, 2), torch.ones(5, 2))],
    mistakes={
        "the means of the features are still there: centre x and y first": _without_centring,
        "that is the root of it: the sum of squares of yᵀx belongs above": _not_squared,
        "the root below is missing: two norms, not their squares": _no_root,
        "you centred each example; centre each feature, over the examples": _centred_rows,
        "you took the traces of xᵀx and yᵀy; take their Frobenius norms": _trace,
        "that compares feature by feature; CKA must not change where y is rotated": _cosine,
    },
)
def check_cka(student: Callable, rng: random.Random) -> None:
    for n, d, e in ((7, 3, 3), (12, 5, 2), (9, 4, 6)):
        x = normal(rng, n, d) + 3
        y = normal(rng, n, e) * 2 - 1
        y[:, 0] += x[:, 0]
        expect(student(x, y), _kernels(x, y), f"cka(x ({n}, {d}), y ({n}, {e}))", tol=1e-4)
    turn = torch.linalg.qr(normal(rng, d, d)).Q
    expect(
        student(x, 3 * x @ turn + 5),
        1.0,
        "cka(x, a rotated, larger and shifted copy of x)",
        tol=1e-4,
    )
