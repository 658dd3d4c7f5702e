"""Right answers of another style to the exercises on probes."""

import random

import torch
from answers import Answers

from course_utils.probes.linear import fit_probe

right = Answers()


# --- control_labels -------------------------------------------------------------------------------


@right("control_labels")
def with_a_dictionary(ids, y, generator):
    labels = {}
    given = []
    for token in ids.tolist():
        if token not in labels:
            labels[token] = y[torch.randint(len(y), (1,), generator=generator)]
        given.append(labels[token])
    return torch.cat(given)


@right("control_labels")
def a_label_for_every_number(ids, y, generator):
    places = torch.randint(y.numel(), (int(ids.max()) + 1,), generator=generator)
    return y.index_select(0, places.index_select(0, ids))


@right("control_labels")
def by_shares(ids, y, generator):
    classes, counts = y.unique(return_counts=True)
    types = ids.unique()
    drawn = torch.multinomial(counts.double(), len(types), replacement=True, generator=generator)
    return classes[drawn[torch.searchsorted(types, ids)]]


@right("control_labels")
def as_at_the_first_place(ids, y, generator):
    """Each token draws one, and a type keeps what its first token drew."""
    drawn = y[(torch.rand(len(y), generator=generator, dtype=torch.float64) * len(y)).long()]
    _, which = torch.unique(ids, return_inverse=True)
    first = torch.full((int(which.max()) + 1,), len(ids))
    first.scatter_reduce_(0, which, torch.arange(len(ids)), reduce="amin")
    return drawn[first[which]]


@right("control_labels")
def with_pythons_dice(ids, y, generator):
    dice = random.Random(int(torch.randint(2**60, (), generator=generator)))
    labels = y.tolist()
    table = {token: dice.choice(labels) for token in sorted(set(ids.tolist()))}
    return torch.tensor([table[token] for token in ids.tolist()], dtype=y.dtype)


@right("control_labels")
def type_by_type(ids, y, generator):
    out = torch.empty_like(y)
    for token in ids.unique().flip(0):
        out[ids == token] = y[torch.randint(len(y), (), generator=generator)]
    return out


# --- selectivity ----------------------------------------------------------------------------------


@right("selectivity")
def counted(x, y, control, train):
    hits = []
    for labels in (y, control):
        probe = fit_probe(x[train], labels[train])
        hits.append(int((probe(x[~train]) == labels[~train]).sum()))
    return (hits[0] - hits[1]) / int((~train).sum())


@right("selectivity")
def with_scores_written_out(x, y, control, train):
    seen = train.nonzero()[:, 0]
    new = (~train).nonzero()[:, 0]

    def accuracy(labels):
        probe = fit_probe(x[seen], labels[seen])
        scores = x[new] @ probe.weight.T + probe.bias
        return (scores.argmax(dim=-1) == labels[new]).double().mean().item()

    return accuracy(y) - accuracy(control)


@right("selectivity")
def as_mean_of_differences(x, y, control, train):
    rows = range(len(x))
    seen = [i for i in rows if train[i]]
    new = [i for i in rows if not train[i]]
    task = fit_probe(x[seen], y[seen])
    chance = fit_probe(x[seen], control[seen])
    better = [int(task(x[i]) == y[i]) - int(chance(x[i]) == control[i]) for i in new]
    return sum(better) / len(better)


# --- erase_directions -----------------------------------------------------------------------------


@right("erase_directions")
def with_pinv(x, directions, mean):
    d = x.shape[-1]
    rest = torch.eye(d) - torch.linalg.pinv(directions) @ directions
    return mean + torch.einsum("...i,ij->...j", x - mean, rest)


@right("erase_directions")
def with_singular_vectors(x, directions, mean):
    basis = torch.linalg.svd(directions, full_matrices=False).Vh
    along = torch.einsum("...i,ki->...k", x - mean, basis)
    return x - torch.einsum("...k,ki->...i", along, basis)


@right("erase_directions")
def what_lstsq_leaves(x, directions, mean):
    flat = (x - mean).reshape(-1, x.shape[-1]).T
    shares = torch.linalg.lstsq(directions.T, flat).solution
    return (flat - directions.T @ shares).T.reshape(x.shape) + mean


@right("erase_directions")
def onto_the_other_directions(x, directions, mean):
    k = directions.shape[0]
    others = torch.linalg.qr(directions.T, mode="complete").Q[:, k:]
    return mean + (x - mean) @ others @ others.T


# --- apart ----------------------------------------------------------------------------------------


@right("apart")
def by_the_end(starts, T):
    if T <= 0:
        raise ValueError("a window has tokens")
    taken = []
    end = None
    for s in map(int, starts):
        if end is None or end <= s:
            taken.append(s)
            end = s + T
    return torch.tensor(taken)


@right("apart")
def by_search(starts, T):
    if not T >= 1:
        raise ValueError(T)
    starts = torch.as_tensor(starts)
    taken = [0]
    while True:
        nxt = int(torch.searchsorted(starts, starts[taken[-1]] + T))
        if nxt >= len(starts):
            return starts[taken]
        taken.append(nxt)


@right("apart")
def by_dropping(starts, T):
    if T < 1:
        raise ValueError("T < 1")
    left = torch.as_tensor(starts)
    taken = []
    while left.numel():
        taken.append(left[0])
        left = left[left >= left[0] + T]
    return torch.stack(taken)


# --- borrowed_labels ------------------------------------------------------------------------------


@right("borrowed_labels")
def draw_until_none_is_at_home(labels, generator):
    n = labels.size(0)
    if n == 1:
        raise ValueError("alone")
    while True:
        order = torch.randperm(n, generator=generator)
        if not (order == torch.arange(n)).any():
            return labels[order]


@right("borrowed_labels")
def shuffle_and_turn(labels, generator):
    n = len(labels)
    if n <= 1:
        raise ValueError("alone")
    order = torch.randperm(n, generator=generator)
    by = int(torch.randint(1, n, (1,), generator=generator))
    out = torch.zeros_like(labels)
    out[order] = labels[order.roll(by)]
    return out


@right("borrowed_labels")
def swaps_of_sattolo(labels, generator):
    n = len(labels)
    if n < 2:
        raise ValueError("alone")
    order = list(range(n))
    for i in range(n - 1, 0, -1):
        j = int(torch.randint(0, i, (1,), generator=generator))
        order[i], order[j] = order[j], order[i]
    return torch.stack([labels[k] for k in order])


# --- precision_recall -----------------------------------------------------------------------------


@right("precision_recall")
def by_sklearns_words(said, true):
    tp = int(torch.logical_and(said, true).sum())
    fp = int(torch.logical_and(said, ~true).sum())
    fn = int(torch.logical_and(~said, true).sum())
    if tp + fn == 0:
        raise ValueError("nothing to find")
    return (tp / (tp + fp) if tp + fp else 1.0), tp / (tp + fn)


@right("precision_recall")
def by_selection(said, true):
    if not bool(true.any()):
        raise ValueError("nothing to find")
    precision = true[said].double().mean().item() if said.any() else 1.0
    return precision, said[true].double().mean().item()


@right("precision_recall")
def in_a_loop(said, true):
    pairs = list(zip(said.tolist(), true.tolist(), strict=True))
    cases = [s for s, t in pairs if t]
    if not cases:
        raise ValueError("nothing to find")
    alarms = [t for s, t in pairs if s]
    return sum(alarms) / len(alarms) if alarms else 1.0, sum(cases) / len(cases)


# --- cka ------------------------------------------------------------------------------------------


@right("cka")
def by_kernels(x, y):
    if x.shape[0] != y.shape[0]:
        raise ValueError("other examples")
    x = x.double() - x.double().mean(0, keepdim=True)
    y = y.double() - y.double().mean(0, keepdim=True)
    K = x @ x.T
    L = y @ y.T
    return ((K * L).sum() / (K.norm() * L.norm())).item()


@right("cka")
def with_traces_of_products(x, y):
    if len(x) != len(y):
        raise ValueError("other examples")
    x, y = (z.double() - z.double().mean(0) for z in (x, y))
    cross = torch.trace(y.T @ x @ x.T @ y)
    return (cross / (torch.trace(x.T @ x @ x.T @ x) * torch.trace(y.T @ y @ y.T @ y)).sqrt()).item()


@right("cka")
def by_singular_values(x, y):
    if len(x) != len(y):
        raise ValueError("other examples")
    x, y = (z.double() - z.double().mean(0) for z in (x, y))
    power = [torch.linalg.svdvals(m).pow(2).sum() for m in (y.T @ x, x.T @ x, y.T @ y)]
    return float(power[0] / (power[1] * power[2]) ** 0.5)
