"""Wrong answers to the exercises of lesson 16: mistakes that people make. Every checker must reject
every one.
"""

import random

import torch
import torch.nn.functional as F
from answers import WrongAnswers

from course_utils.probes import linear as probes

wrong = WrongAnswers()


# --- control_labels -------------------------------------------------------------------------------


def types_of(ids):
    types, which = ids.unique(return_inverse=True)
    return len(types), which


@wrong(
    "control_labels",
    says=": one word type has two labels. A type gets one label, wherever the word stands.",
)
def control_each_token(ids, y, generator):
    """A label for each token: nothing to learn, so any probe looks good beside it."""
    return y[torch.randint(len(y), ids.shape, generator=generator)]


@wrong(
    "control_labels",
    says=": one word type has two labels. A type gets one label, wherever the word stands.",
)
def control_shuffled(ids, y, generator):
    """Shuffles y: the same word has many labels."""
    return y[torch.randperm(len(y), generator=generator)]


@wrong("control_labels", says=". Draw each type's label from y itself.")
def control_uniform(ids, y, generator):
    """All classes alike: an easier or harder task than the real one."""
    n, which = types_of(ids)
    return torch.randint(int(y.max()) + 1, (n,), generator=generator)[which]


@wrong("control_labels", says=". Draw each type's label from y itself.")
def control_uniform_values(ids, y, generator):
    """Draws from the different values of y."""
    n, which = types_of(ids)
    values = y.unique()
    return values[torch.randint(len(values), (n,), generator=generator)][which]


@wrong("control_labels", says="all types have the same label. Draw one for each type")
def control_modulo(ids, y, generator):
    """Nothing random at all."""
    torch.rand(1, generator=generator)
    return ids % (int(y.max()) + 1)


@wrong(
    "control_labels",
    says="two calls in a row gave the same labels",
)
def control_majority(ids, y, generator):
    """Each type's most frequent true label: not random, but the answer."""
    n, which = types_of(ids)
    torch.rand(1, generator=generator)
    table = torch.zeros(n, int(y.max()) + 1).index_put(
        (which, y), torch.ones(len(y)), accumulate=True
    )
    return table.argmax(-1)[which]


@wrong(
    "control_labels",
    says="the labels know y",
)
def control_first_seen(ids, y, generator):
    """The true label of a token of the type: it leaks y."""
    n, which = types_of(ids)
    order = torch.randperm(len(y), generator=generator)
    return torch.zeros(n, dtype=y.dtype).scatter(0, which[order], y[order])[which]


@wrong(
    "control_labels",
    says=": you used torch's global dice. Pass generator=generator, so that a run can be repeated.",
)
def control_global(ids, y, generator):
    """torch's global dice."""
    n, which = types_of(ids)
    return y[torch.randint(len(y), (n,))][which]


@wrong(
    "control_labels",
    says="two calls in a row gave the same labels",
)
def control_seeded(ids, y, generator):
    """Seeds inside."""
    n, which = types_of(ids)
    return y[torch.randint(len(y), (n,), generator=generator.manual_seed(0))][which]


@wrong("control_labels", says=": return one label for each token, a tensor of shape (")
def control_types_only(ids, y, generator):
    """A label for each type, not for each token."""
    n, _ = types_of(ids)
    return y[torch.randint(len(y), (n,), generator=generator)]


@wrong("control_labels", says=": the labels follow the order of the ids. Draw each at random.")
def control_sorted(ids, y, generator):
    """Cuts the types into blocks: neighbours get the same label."""
    n, which = types_of(ids)
    return y[torch.randint(len(y), (n,), generator=generator)].sort().values[which]


@wrong("control_labels", says=". Draw each type's label from y itself.")
def control_most_frequent_shuffled(ids, y, generator):
    """Takes each type's most frequent label, and shuffles these: rare classes get rarer."""
    types, which = ids.unique(return_inverse=True)
    most = torch.stack(
        [torch.bincount(y[which == k], minlength=3).argmax() for k in range(len(types))]
    )
    return most[torch.randperm(len(types), generator=generator)][which]


@wrong("control_labels", says="all types have the same label. Draw one for each type")
def control_one_label(ids, y, generator):
    """One label for all: every probe solves it."""
    return y[torch.randint(len(y), (1,), generator=generator)].expand_as(y).clone()


@wrong("control_labels", says=": the labels should be taken from y: 0, 1 or 2.")
def control_float(ids, y, generator):
    """Labels as floats, which no probe takes."""
    n, which = types_of(ids)
    return y[torch.randint(len(y), (n,), generator=generator)][which].float()


@wrong(
    "control_labels",
    says=": one word type has two labels. A type gets one label, wherever the word stands.",
)
def control_relabelled(ids, y, generator):
    """Renames the classes of y: the same task under other names."""
    names = torch.randperm(int(y.max()) + 1, generator=generator)
    return names[y]


@wrong(
    "control_labels",
    says=": one word type has two labels. A type gets one label, wherever the word stands.",
)
def control_by_position(ids, y, generator):
    """The label belongs to the place, not to the word."""
    block = y[torch.randint(len(y), (len(y) // 10 + 1,), generator=generator)]
    return block.repeat_interleave(10)[: len(y)]


@wrong("control_labels", says="the same seed gave other labels")
def control_python_dice(ids, y, generator):
    """Python's dice: another control at each run."""
    n, which = types_of(ids)
    return torch.tensor(random.choices(y.tolist(), k=n))[which]


# --- selectivity ----------------------------------------------------------------------------------


def reach(x, labels, fit, judge, truth=None):
    return probes.fit_probe(x[fit], labels[fit]).accuracy(
        x[judge], (labels if truth is None else truth)[judge]
    )


@wrong("selectivity", says="judge on examples that the probes have not seen: on ~train")
def selectivity_on_train(x, y, control, train):
    """Judges where it was fitted."""
    return reach(x, y, train, train) - reach(x, control, train, train)


@wrong("selectivity", says="fit where train is True; you used the test examples, too")
def selectivity_fit_on_all(x, y, control, train):
    """The probe has seen the test."""
    every = torch.ones_like(train)
    return reach(x, y, every, ~train) - reach(x, control, every, ~train)


@wrong(
    "selectivity", says="fit where train is True, judge on the others; yours is the other way round"
)
def selectivity_swapped(x, y, control, train):
    """Fits on the test, judges on the training examples."""
    return reach(x, y, ~train, train) - reach(x, control, ~train, train)


@wrong("selectivity", says="fit and judge on different examples; you did both on ~train")
def selectivity_test_only(x, y, control, train):
    """Both on the test."""
    return reach(x, y, ~train, ~train) - reach(x, control, ~train, ~train)


@wrong("selectivity", says="judge on ~train only, not on all examples")
def selectivity_judged_on_all(x, y, control, train):
    """The training examples count, too."""
    every = torch.ones_like(train)
    return reach(x, y, train, every) - reach(x, control, train, every)


@wrong("selectivity", says="task less control, not control less task")
def selectivity_minus(x, y, control, train):
    """The other sign."""
    return reach(x, control, train, ~train) - reach(x, y, train, ~train)


@wrong("selectivity", says="take away what the control reaches")
def selectivity_accuracy(x, y, control, train):
    """Accuracy without a control."""
    return reach(x, y, train, ~train)


@wrong(
    "selectivity",
    says="the control needs a probe of its own; you judged the task's probe on its labels",
)
def selectivity_one_probe(x, y, control, train):
    """The task's probe for both."""
    return reach(x, y, train, ~train) - reach(x, y, train, ~train, truth=control)


@wrong("selectivity", says="you took the size of the difference; keep its sign")
def selectivity_size(x, y, control, train):
    """Loses the sign."""
    return abs(reach(x, y, train, ~train) - reach(x, control, train, ~train))


@wrong("selectivity", says="take the difference, not the ratio")
def selectivity_ratio(x, y, control, train):
    """A ratio."""
    return reach(x, y, train, ~train) / reach(x, control, train, ~train)


@wrong("selectivity", says="the control's accuracy was measured on the training examples")
def selectivity_control_on_train(x, y, control, train):
    """Only the control is judged where it was fitted."""
    return reach(x, y, train, ~train) - reach(x, control, train, train)


@wrong("selectivity", says="the task's accuracy was measured on the training examples")
def selectivity_task_on_train(x, y, control, train):
    """Only the task is judged where it was fitted."""
    return reach(x, y, train, train) - reach(x, control, train, ~train)


@wrong("selectivity", says="take away the control's accuracy, not a guess's")
def selectivity_guess(x, y, control, train):
    """Above a guess, instead of above the control."""
    return reach(x, y, train, ~train) - 1 / (int(y.max()) + 1)


@wrong("selectivity", says=": return one number, not")
def selectivity_pair(x, y, control, train):
    """Two numbers."""
    return reach(x, y, train, ~train), reach(x, control, train, ~train)


# --- erase_directions -----------------------------------------------------------------------------


def unit(directions):
    return F.normalize(directions, dim=-1)


@wrong(
    "erase_directions",
    says="the directions are not orthogonal: taking each one's part away counts what they share twice",
)
def erase_all_at_once(x, directions, mean):
    """Takes each one's part away: right for orthogonal directions."""
    u = unit(directions)
    return x - ((x - mean) @ u.T) @ u


@wrong(
    "erase_directions",
    says="the directions are not orthogonal: after the second, something along the first is back",
)
def erase_one_by_one(x, directions, mean):
    """One after the other: the last is gone, the first is back."""
    for u in unit(directions):
        x = x - ((x - mean) @ u)[..., None] * u
    return x


@wrong("erase_directions", says="bring the directions to length 1, and make them orthogonal")
def erase_not_normalised(x, directions, mean):
    """Forgets the lengths."""
    return x - ((x - mean) @ directions.T) @ directions


@wrong("erase_directions", says="bring the directions to length 1, and make them orthogonal")
def erase_rows(x, directions, mean):
    """QR of the rows: another space."""
    basis = torch.linalg.qr(directions).R.T
    return x - ((x - mean) @ basis) @ basis.T


@wrong("erase_directions", says="what is left along the directions is the mean, not 0")
def erase_no_mean(x, directions, mean):
    """To 0 instead of to the mean."""
    basis = torch.linalg.qr(directions.T).Q
    return x - (x @ basis) @ basis.T


@wrong("erase_directions", says="put the mean back")
def erase_mean_lost(x, directions, mean):
    """Centres, and does not put the mean back."""
    basis = torch.linalg.qr(directions.T).Q
    return (x - mean) - ((x - mean) @ basis) @ basis.T


@wrong("erase_directions", says="take the part along the directions away; you kept nothing else")
def erase_the_part_alone(x, directions, mean):
    """Returns what should be taken away."""
    basis = torch.linalg.qr(directions.T).Q
    return ((x - mean) @ basis) @ basis.T


@wrong("erase_directions", says="take the part along the directions away; you kept it")
def erase_kept(x, directions, mean):
    """Keeps what should go."""
    basis = torch.linalg.qr(directions.T).Q
    return mean + ((x - mean) @ basis) @ basis.T


@wrong("erase_directions", says="you went twice as far as the mean")
def erase_reflected(x, directions, mean):
    """Twice too far: a mirror."""
    basis = torch.linalg.qr(directions.T).Q
    return x - 2 * ((x - mean) @ basis) @ basis.T


@wrong("erase_directions", says="you added the part along the directions")
def erase_added(x, directions, mean):
    """The wrong sign."""
    basis = torch.linalg.qr(directions.T).Q
    return x + ((x - mean) @ basis) @ basis.T


@wrong("erase_directions", says="only the first direction was erased")
def erase_first(x, directions, mean):
    """One direction only."""
    u = unit(directions[:1])
    return x - ((x - mean) @ u.T) @ u


@wrong("erase_directions", says="you erased one direction, the sum of them")
def erase_sum(x, directions, mean):
    """The sum of the directions as the one direction."""
    u = unit(directions.sum(0, keepdim=True))
    return x - ((x - mean) @ u.T) @ u


@wrong("erase_directions", says="use the mean that you are given; you took the mean of x")
def erase_own_mean(x, directions, mean):
    """The mean of what it is given, instead of the mean that it was told."""
    basis = torch.linalg.qr(directions.T).Q
    return x - ((x - x.flatten(0, -2).mean(0)) @ basis) @ basis.T


@wrong("erase_directions", says="nothing was erased")
def erase_nothing(x, directions, mean):
    """Does nothing."""
    return x.clone()


@wrong("control_labels", says="each class comes equally often each time, which chance does not do")
def control_exact_shares(ids, y, generator):
    """Exactly the shares of y among the types, shuffled."""
    n, which = types_of(ids)
    places = ((torch.arange(n) + 0.5) * len(y) / n).long()
    deck = y.sort().values[places]
    return deck[torch.randperm(n, generator=generator)][which]


@wrong("control_labels", says="the classes have shares of")
def control_without_the_last_class(ids, y, generator):
    """torch.randint leaves its upper end out already: the last of the sorted labels is cut off."""
    n, which = types_of(ids)
    rest = y.sort().values[: int(0.9 * len(y))]
    return rest[torch.randint(len(rest), (n,), generator=generator)][which]


@wrong("control_labels", says="the labels know y")
def control_a_little_leak(ids, y, generator):
    """Every fifth type has the label of one of its own tokens."""
    n, which = types_of(ids)
    own = torch.zeros(n, dtype=y.dtype).scatter(0, which, y)
    drawn = y[torch.randint(len(y), (n,), generator=generator)]
    return torch.where(torch.rand(n, generator=generator) < 0.4, own, drawn)[which]


@wrong("erase_directions", says="lets no gradient reach")
def erase_frozen_x(x, directions, mean):
    """The rest of a model behind it sends nothing back."""
    return probes.erase_directions(x.detach(), directions, mean)


@wrong("erase_directions", says="gives another gradient for")
def erase_lets_all_through(x, directions, mean):
    """The right values, but the gradient comes back along the erased directions, too."""
    return x + (probes.erase_directions(x, directions, mean) - x).detach()


@wrong("erase_directions", says="lets no gradient reach")
def erase_frozen_mean(x, directions, mean):
    """The mean is taken out of the graph."""
    return probes.erase_directions(x, directions, mean.detach())


# --- apart ----------------------------------------------------------------------------------------


def at_least_one(T):
    if T < 1:
        raise ValueError("T counts tokens: 1 at least")


@wrong("apart", says="you took a start one token too late")
def apart_strictly(starts, T):
    """> for >=."""
    at_least_one(T)
    taken = []
    for s in torch.as_tensor(starts).tolist():
        if len(taken) == 0 or s > taken[-1] + T:
            taken.append(s)
    return torch.tensor(taken)


@wrong("apart", says="the last token of a window is the first of the next")
def apart_by_one_less(starts, T):
    """The window ends at s + T - 1, and is said to end there."""
    at_least_one(T)
    taken = []
    end = -1
    for s in torch.as_tensor(starts).tolist():
        if not taken or s >= end:
            taken.append(s)
            end = s + T - 1
    return torch.tensor(taken)


@wrong("apart", says="you compared with the start just before")
def apart_by_gaps(starts, T):
    """A start that was left out blocks the next one."""
    at_least_one(T)
    starts = torch.as_tensor(starts)
    return torch.stack([s for i, s in enumerate(starts) if i == 0 or s - starts[i - 1] >= T])


@wrong("apart", says="you took every start")
def apart_all(starts, T):
    """As the first edition did."""
    at_least_one(T)
    return torch.as_tensor(starts).clone()


@wrong("apart", says="the first start is missing")
def apart_without_the_first(starts, T):
    """Begins with the first that is far enough from the first."""
    at_least_one(T)
    taken = []
    last = torch.as_tensor(starts)[0].item()
    for s in torch.as_tensor(starts).tolist():
        if s >= last + T:
            taken.append(s)
            last = s
    return torch.tensor(taken, dtype=torch.long)


@wrong("apart", says="those are places in the list; return the starts themselves")
def apart_places(starts, T):
    """Indices."""
    at_least_one(T)
    taken = []
    last = None
    for i, s in enumerate(torch.as_tensor(starts).tolist()):
        if last is None or s >= last + T:
            taken.append(i)
            last = s
    return torch.tensor(taken)


# --- borrowed_labels ------------------------------------------------------------------------------


def two_stories(labels):
    if labels.shape[0] < 2:
        raise ValueError("there is nobody to borrow from")


@wrong("borrowed_labels", says="got its own labels back; each row gets another's")
def borrowed_by_chance(labels, generator):
    """A permutation may leave a row where it was."""
    two_stories(labels)
    return labels[torch.randperm(len(labels), generator=generator)]


@wrong(
    "borrowed_labels",
    says="borrows far more often from some rows than from others. Draw with the generator.",
)
def borrowed_from_the_next(labels, generator):
    """Always the neighbour."""
    two_stories(labels)
    return labels.roll(1, 0)


@wrong("borrowed_labels", says="each row's labels are shuffled along the story; move whole rows")
def borrowed_along_the_story(labels, generator):
    """Positions are lost."""
    two_stories(labels)
    return labels[:, torch.randperm(labels.shape[1], generator=generator)]


@wrong("borrowed_labels", says="all labels are shuffled; move whole rows")
def borrowed_all_mixed(labels, generator):
    """No story at all."""
    two_stories(labels)
    order = torch.randperm(labels.numel(), generator=generator)
    return labels.reshape(-1)[order].reshape(labels.shape)


@wrong("borrowed_labels", says="one row is lent to several; lend each once")
def borrowed_from_the_first(labels, generator):
    """All get the same."""
    two_stories(labels)
    return labels[[0] * len(labels)]


@wrong("borrowed_labels", says="these are not the rows of labels, each once. Move whole rows.")
def borrowed_at_each_position(labels, generator):
    """Each position gets a permutation of its own: the sums are right, no row is a story."""
    two_stories(labels)
    columns = [
        labels[torch.randperm(len(labels), generator=generator), t] for t in range(labels.size(1))
    ]
    return torch.stack(columns, 1)


# --- precision_recall -----------------------------------------------------------------------------


def something_is_true(true):
    if true.sum() == 0:
        raise ValueError("there is nothing to find")


@wrong("precision_recall", says="precision and recall have changed places")
def recall_first(said, true):
    """The other order."""
    something_is_true(true)
    hits = (said & true).sum().item()
    return hits / true.sum().item(), hits / said.sum().item() if said.any() else 1.0


@wrong("precision_recall", says="that precision is an accuracy")
def accuracy_for_precision(said, true):
    """Counts the quiet ones."""
    something_is_true(true)
    return (said == true).float().mean().item(), said[true].float().mean().item()


@wrong("precision_recall", says="both are divided by all examples")
def of_all_examples(said, true):
    """Means over everything."""
    something_is_true(true)
    share = (said & true).float().mean().item()
    return share, share


@wrong("precision_recall", says="where it never says yes its precision is 1")
def silent_is_wrong(said, true):
    """0 for no alarm."""
    something_is_true(true)
    hits = (said & true).sum().item()
    return hits / said.sum().item() if said.any() else 0.0, hits / true.sum().item()


@wrong("precision_recall", says="you counted examples where it says yes or they are so")
def either_or(said, true):
    """| for &."""
    something_is_true(true)
    hits = (said & true).sum().item()
    return (said | true).sum().item() / max(1, said.sum().item()), hits / true.sum().item()


@wrong("precision_recall", says="your recall is that of the others")
def specificity(said, true):
    """Of what is not so, the share left alone."""
    something_is_true(true)
    hits = (said & true).sum().item()
    precision = hits / said.sum().item() if said.any() else 1.0
    return precision, (~said & ~true).sum().item() / max(1, (~true).sum().item())


# --- cka ------------------------------------------------------------------------------------------


def of_the_same(x, y):
    if x.shape[0] != y.shape[0]:
        raise ValueError("other examples")


@wrong("cka", says="the means of the features are still there")
def cka_not_centred(x, y):
    """Means count."""
    of_the_same(x, y)
    return ((y.T @ x).pow(2).sum() / ((x.T @ x).norm() * (y.T @ y).norm())).item()


@wrong("cka", says="that is the root of it")
def cka_of_norms(x, y):
    """The norm above is not squared, nor is the rest."""
    of_the_same(x, y)
    x = x - x.mean(0)
    y = y - y.mean(0)
    return ((y.T @ x).pow(2).sum() / ((x.T @ x).norm() * (y.T @ y).norm())).sqrt().item()


@wrong("cka", says="the root below is missing")
def cka_squared_below(x, y):
    """Squares of the norms."""
    of_the_same(x, y)
    x = x - x.mean(0)
    y = y - y.mean(0)
    return ((y.T @ x).pow(2).sum() / ((x.T @ x).pow(2).sum() * (y.T @ y).pow(2).sum())).item()


@wrong("cka", says="you centred each example; centre each feature")
def cka_of_rows(x, y):
    """mean(1)."""
    of_the_same(x, y)
    x = x - x.mean(1, keepdim=True)
    y = y - y.mean(1, keepdim=True)
    return ((y.T @ x).pow(2).sum() / ((x.T @ x).norm() * (y.T @ y).norm())).item()


@wrong("cka", says="you took the traces of xᵀx and yᵀy")
def cka_by_traces(x, y):
    """The RV coefficient's cousin."""
    of_the_same(x, y)
    x = x - x.mean(0)
    y = y - y.mean(0)
    return ((y.T @ x).pow(2).sum() / (x.pow(2).sum() * y.pow(2).sum())).item()


@wrong("cka", says="that compares feature by feature")
def cka_as_a_cosine(x, y):
    """One long vector each."""
    of_the_same(x, y)
    k = min(x.shape[1], y.shape[1])
    x = x - x.mean(0)
    y = y - y.mean(0)
    return F.cosine_similarity(x[:, :k].flatten(), y[:, :k].flatten(), dim=0).item()
