"""Wrong answers to the exercises of lesson 10: mistakes that people make. Every checker must reject
every one.
"""

import torch
import torch.nn.functional as F
from answers import WrongAnswers

wrong = WrongAnswers()


# --- participation_ratio --------------------------------------------------------------------------


def energies(weight):
    s = torch.linalg.svdvals(weight)
    return s * s


@wrong("participation_ratio", says="you took the singular values for energies; square them first")
def ratio_of_values(weight):
    s = torch.linalg.svdvals(weight)
    return float(s.sum() ** 2 / (s**2).sum())


@wrong("participation_ratio", says="the ratio is 1 over it")
def ratio_upside_down(weight):
    e = energies(weight)
    return float((e**2).sum() / e.sum() ** 2)


@wrong("participation_ratio", says="they sum to 1 for every matrix")
def ratio_of_plain_shares(weight):
    e = energies(weight)
    return round(float((e / e.sum()).sum()), 4)


@wrong("participation_ratio", says="which is the stable rank")
def ratio_stable_rank(weight):
    return float(weight.norm() ** 2 / torch.linalg.matrix_norm(weight, 2) ** 2)


@wrong("participation_ratio", says="you took e to the entropy of the shares")
def ratio_entropy(weight):
    e = energies(weight)
    p = e / e.sum()
    return float(torch.exp(-(p * p.log()).sum()))


@wrong("participation_ratio", says="weak ones count less than strong ones")
def ratio_rank(weight):
    return float((energies(weight) > 1e-8).sum())


@wrong("participation_ratio", says="you used the numbers of the matrix; use its singular values")
def ratio_of_entries(weight):
    p = weight.pow(2) / weight.pow(2).sum()
    return float(1 / p.pow(2).sum())


# --- neighbours -----------------------------------------------------------------------------------


def best(score, i, k):
    score = score.clone()
    score[i] = -torch.inf
    return torch.argsort(score, descending=True)[:k]


@wrong("neighbours", says="you took dot products; divide by the lengths first")
def near_by_dot(table, i, k):
    return best(table @ table[i], i, k)


@wrong("neighbours", says="you took dot products; divide by the lengths first")
def near_by_half_a_cosine(table, i, k):
    """Only the one vector has length 1: the order stays that of the dot products."""
    return best(table @ F.normalize(table[i], dim=0), i, k)


@wrong("neighbours", says="token i itself is among its neighbours")
def near_with_itself(table, i, k):
    unit = F.normalize(table, dim=1)
    return (unit @ unit[i]).argsort(descending=True)[:k]


@wrong("neighbours", says="you returned those that are least alike")
def near_the_farthest(table, i, k):
    unit = F.normalize(table, dim=1)
    return (unit @ unit[i]).argsort()[:k]


@wrong("neighbours", says="you took the distance; the lengths do not count, only the directions")
def near_by_distance(table, i, k):
    return best(-torch.cdist(table, table[i : i + 1])[:, 0], i, k)


@wrong("neighbours", says="the nearest comes first")
def near_turned_round(table, i, k):
    unit = F.normalize(table, dim=1)
    return best(unit @ unit[i], i, k).flip(0)


@wrong("neighbours", says="a vector of the opposite direction is no neighbour")
def near_without_sign(table, i, k):
    unit = F.normalize(table, dim=1)
    return best((unit @ unit[i]).abs(), i, k)


@wrong("neighbours", says="you normalised the columns; each row, a token, gets length 1")
def near_by_columns(table, i, k):
    unit = table / table.norm(dim=0)
    return best(unit @ unit[i], i, k)


# --- lesion ---------------------------------------------------------------------------------------


@wrong("lesion", says="you replaced the whole matrix; only n numbers are hit")
def lesion_everything(weight, noise, order, n):
    return noise * 1


@wrong("lesion", says="you hit the first n places of the matrix; order says which")
def lesion_the_beginning(weight, noise, order, n):
    flat = weight.flatten().clone()
    flat[:n] = noise.flatten()[:n]
    return flat.view(weight.shape)


@wrong("lesion", says="you hit the last n of order; take the first n")
def lesion_the_end_of_order(weight, noise, order, n):
    flat = weight.flatten().clone()
    places = order.flip(0)[:n]
    flat[places] = noise.flatten()[places]
    return flat.view(weight.shape)


@wrong("lesion", says="you set the places to 0; they get the numbers of the noise")
def lesion_to_zero(weight, noise, order, n):
    flat = weight.flatten().clone()
    flat[order[:n]] = 0
    return flat.view(weight.shape)


@wrong("lesion", says="you added the noise; it takes the place of what was there")
def lesion_adds(weight, noise, order, n):
    flat = weight.flatten().clone()
    flat[order[:n]] += noise.flatten()[order[:n]]
    return flat.view(weight.shape)


@wrong("lesion", says="you kept n numbers and hit all others")
def lesion_all_but_n(weight, noise, order, n):
    flat = noise.flatten().clone()
    flat[order[:n]] = weight.flatten()[order[:n]]
    return flat.view(weight.shape)


@wrong("lesion", says="you counted down the columns; the places go row after row")
def lesion_by_columns(weight, noise, order, n):
    flat = weight.T.flatten().clone()
    flat[order[:n]] = noise.T.flatten()[order[:n]]
    return flat.view(weight.shape[::-1]).T


# --- first_broken ---------------------------------------------------------------------------------


def sizes(before, after):
    return {
        (b, name): float((after[b][name] - before[b][name]).abs().max())
        for b in range(len(before))
        for name in before[b]
    }


@wrong("first_broken", says="you took the largest difference; a fault may grow on its way")
def broken_most(before, after):
    size = sizes(before, after)
    most = max(size, key=size.get)
    return most if size[most] > 1e-4 else None


@wrong("first_broken", says="you took the last difference; the fault comes before all it reaches")
def broken_last(before, after):
    found = None
    for at, size in sizes(before, after).items():
        if size > 1e-4:
            found = at
    return found


@wrong("first_broken", says="you counted the blocks from 1; the first is block 0")
def broken_from_one(before, after):
    for (b, name), size in sizes(before, after).items():
        if size > 1e-4:
            return b + 1, name
    return None


@wrong("first_broken", says="you took what rounding changes for a fault; more than 1e-4 counts")
def broken_at_all(before, after):
    for b, old in enumerate(before):
        for name in old:
            if not torch.equal(old[name], after[b][name]):
                return b, name
    return None


@wrong("first_broken", says="you looked at increases only; a number that falls has changed, too")
def broken_without_abs(before, after):
    for b, old in enumerate(before):
        for name in old:
            if (after[b][name] - old[name]).max() > 1e-4:
                return b, name
    return None


@wrong("first_broken", says="you went through the names first; go through the blocks")
def broken_by_names(before, after):
    for name in before[0]:
        for b in range(len(before)):
            if (after[b][name] - before[b][name]).abs().max() > 1e-4:
                return b, name
    return None
