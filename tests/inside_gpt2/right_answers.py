"""Right answers to the exercises of lesson 10, in other styles than the reference."""

import numpy as np
import torch
import torch.nn.functional as F
from answers import Answers

right = Answers()


@right("participation_ratio")
def ratio_by_traces(weight):
    gram = weight.T @ weight
    return float(gram.trace() ** 2 / (gram**2).sum())


@right("participation_ratio")
def ratio_by_numpy(weight):
    s = np.linalg.svd(weight.numpy(), compute_uv=False)
    p = s**2 / (s**2).sum()
    return float(1 / (p**2).sum())


@right("participation_ratio")
def ratio_in_one_line(weight):
    s = torch.linalg.svd(weight).S
    return (s.pow(2).sum().square() / s.pow(4).sum()).item()


@right("neighbours")
def near_by_argsort(table, i, k):
    ranked = F.cosine_similarity(table, table[i : i + 1]).argsort(descending=True)
    return ranked[ranked != i][:k]


@right("neighbours")
def near_by_sorting(table, i, k):
    unit = [row / row.norm() for row in table]
    others = [j for j in range(len(table)) if j != i]
    return torch.tensor(sorted(others, key=lambda j: -float(unit[j] @ unit[i]))[:k])


@right("neighbours")
def near_by_dropping_the_first(table, i, k):
    unit = table / table.norm(dim=-1, keepdim=True)
    return (unit @ unit.T)[i].topk(k + 1).indices[1:]


@right("lesion")
def lesion_by_mask(weight, noise, order, n):
    mask = torch.zeros(weight.numel(), dtype=torch.bool)
    mask[order[:n]] = True
    return torch.where(mask.view_as(weight), noise, weight)


@right("lesion")
def lesion_by_scatter(weight, noise, order, n):
    places = order[:n]
    return weight.flatten().scatter(0, places, noise.flatten()[places]).view_as(weight)


@right("lesion")
def lesion_by_loop(weight, noise, order, n):
    result = weight.clone()
    for place in order[:n].tolist():
        r, c = divmod(place, weight.shape[1])
        result[r, c] = noise[r, c]
    return result


@right("first_broken")
def broken_by_next(before, after):
    return next(
        (
            (b, name)
            for b, (x, y) in enumerate(zip(before, after, strict=True))
            for name in x
            if torch.any(torch.abs(x[name] - y[name]) > 1e-4)
        ),
        None,
    )


@right("first_broken")
def broken_by_allclose(before, after):
    for b in range(len(before)):
        for name, old in before[b].items():
            if not torch.allclose(after[b][name], old, rtol=0, atol=1e-4):
                return (b, name)


@right("first_broken")
def broken_by_list(before, after):
    found = []
    for b, old in enumerate(before):
        found += [(b, n) for n, x in old.items() if float((x - after[b][n]).abs().max()) > 1e-4]
    return found[0] if found else None
