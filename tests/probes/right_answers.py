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
