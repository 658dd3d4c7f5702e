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
