"""Right answers of another style to the exercises on induction heads."""

import math
import random

import numpy as np
import torch
from answers import Answers

right = Answers()


# --- induction_score ------------------------------------------------------------------------------


@right("induction_score")
def in_loops(pattern, ids):
    total = torch.zeros(pattern.shape[1:-2], dtype=pattern.dtype)
    rows = 0
    for b in range(ids.shape[0]):
        for t in range(ids.shape[1]):
            earlier = [s for s in range(t) if ids[b, s] == ids[b, t]]
            rows += bool(earlier)
            for s in earlier:
                total = total + pattern[b, ..., t, s + 1]
    if rows == 0:
        raise ValueError("no token comes twice")
    return total / rows


@right("induction_score")
def columns_from_the_second(pattern, ids):
    T = ids.shape[-1]
    earlier = torch.ones(T, T, dtype=torch.bool).tril(-1)
    same = (ids.unsqueeze(-1) == ids.unsqueeze(-2)) & earlier
    if not same.any():
        raise ValueError("no token comes twice")
    marks = same[:, :, :-1].reshape(len(ids), *[1] * (pattern.ndim - 3), T, T - 1)
    looked = torch.where(marks, pattern[..., 1:], 0.0).sum(dim=(-2, -1)).sum(dim=0)
    return looked / same.any(dim=-1).sum()


@right("induction_score")
def with_positions_that_last(pattern, ids):
    """Goes through the text with a list of places for each token."""
    looked = []
    for attention, text in zip(pattern, ids.tolist(), strict=True):
        places = {}
        for t, token in enumerate(text):
            if token in places:
                looked.append(attention[..., t, places[token]].sum(-1))
            places.setdefault(token, []).append(t + 1)
    if not looked:
        raise ValueError("each token comes once only")
    return torch.stack(looked).mean(dim=0)


@right("induction_score")
def through_numpy(pattern, ids):
    a = pattern.double().numpy()
    text, t, s = np.nonzero(np.tril(ids.numpy()[:, :, None] == ids.numpy()[:, None, :], -1))
    if len(t) == 0:
        raise ValueError("no token comes twice")
    looked = np.moveaxis(a, 0, -3)[..., text, t, s + 1].sum(-1)
    rows = len(set(zip(text.tolist(), t.tolist(), strict=True)))
    return torch.as_tensor(looked / rows).to(pattern.dtype)


@right("induction_score")
def with_one_hot(pattern, ids):
    """What each row attends to, as a sum of the tokens that stand just before."""
    _, numbers = ids.unique(return_inverse=True)
    hot = torch.nn.functional.one_hot(numbers).to(pattern.dtype)
    before = torch.cat([torch.zeros_like(hot[:, :1]), hot[:, :-1]], dim=1)
    seen = (hot.cumsum(1) - hot).gather(2, numbers[..., None])[..., 0] > 0
    if not seen.any():
        raise ValueError("no token comes twice")
    reach = torch.ones(pattern.shape[-2:]).tril().to(pattern.dtype)
    looked = torch.einsum("b...ts,ts,bsv,btv->...", pattern, reach, before, hot)
    return looked / seen.sum()


# --- repeated_sequences ---------------------------------------------------------------------------


def checked(periods, vocab_size):
    least, most = periods
    if least < 1 or most < least or vocab_size < most:
        raise ValueError(f"bad periods: {periods}")
    return least, most


@right("repeated_sequences")
def one_after_another(n, T, vocab_size, periods, generator):
    least, most = checked(periods, vocab_size)
    ids = torch.empty(n, T, dtype=torch.int64)
    period = torch.empty(n, dtype=torch.int64)
    for i in range(n):
        p = int(torch.randint(least, most + 1, (), generator=generator))
        block = torch.randperm(vocab_size, generator=generator)[:p]
        ids[i] = block.repeat(math.ceil(T / p))[:T]
        period[i] = p
    return ids, period


@right("repeated_sequences")
def with_multinomial(n, T, vocab_size, periods, generator):
    least, most = checked(periods, vocab_size)
    same = torch.ones(n, vocab_size)
    blocks = torch.multinomial(same, most, replacement=False, generator=generator)
    period = torch.randint(most - least + 1, (n,), generator=generator) + least
    place = torch.remainder(torch.arange(T).expand(n, T), period.unsqueeze(1))
    return torch.take_along_dim(blocks, place, dim=1), period


@right("repeated_sequences")
def copied_from_a_period_ago(n, T, vocab_size, periods, generator):
    least, most = checked(periods, vocab_size)
    share = torch.rand(n, generator=generator, dtype=torch.float64)
    period = least + (share * (most - least + 1)).long()
    orders = [torch.randperm(vocab_size, generator=generator) for _ in range(n)]
    ids = torch.stack(orders)[:, : min(T, vocab_size)]
    ids = torch.cat([ids, ids.new_zeros(n, T - ids.shape[1])], dim=1)
    row = torch.arange(n)
    for t in range(1, T):
        ids[:, t] = torch.where(t >= period, ids[row, (t - period).clamp(min=0)], ids[:, t])
    return ids, period


@right("repeated_sequences")
def with_pythons_dice(n, T, vocab_size, periods, generator):
    least, most = checked(periods, vocab_size)
    dice = random.Random(int(torch.randint(2**62, (), generator=generator)))
    texts = []
    lengths = []
    for _ in range(n):
        p = dice.randint(least, most)
        block = dice.sample(range(vocab_size), p)
        texts.append([block[t % p] for t in range(T)])
        lengths.append(p)
    return torch.tensor(texts), torch.tensor(lengths)


@right("repeated_sequences")
def by_exchanges(n, T, vocab_size, periods, generator):
    """Fisher and Yates, all rows at once."""
    least, most = checked(periods, vocab_size)
    deck = torch.arange(vocab_size).repeat(n, 1)
    row = torch.arange(n)
    for i in range(most):
        other = torch.randint(i, vocab_size, (n,), generator=generator)
        taken = deck[row, other]
        deck[row, other] = deck[:, i]
        deck[:, i] = taken
    period = torch.randint(least, most + 1, (n,), generator=generator)
    return deck[row[:, None], torch.arange(T)[None, :].fmod(period[:, None])], period


# --- mean_ablate ----------------------------------------------------------------------------------


def there(z, heads):
    for head in heads:
        if head < 0 or head >= z.shape[1]:
            raise ValueError(f"there is no head {head}")


@right("mean_ablate")
def with_where(z, heads):
    there(z, heads)
    chosen = torch.tensor([h in heads for h in range(z.shape[1])]).reshape(1, -1, 1, 1)
    return torch.where(chosen, z.mean(dim=0, keepdim=True), z)


@right("mean_ablate")
def with_index_copy(z, heads):
    there(z, heads)
    index = torch.tensor(list(heads), dtype=torch.int64)
    means = z.index_select(1, index).mean(dim=0, keepdim=True).expand(len(z), -1, -1, -1)
    return z.index_copy(1, index, means)


@right("mean_ablate")
def head_by_head(z, heads):
    there(z, heads)
    given = []
    for h, one in enumerate(z.unbind(dim=1)):
        given.append((sum(one) / len(one)).expand_as(one) if h in heads else one)
    return torch.stack(given, dim=1)


@right("mean_ablate")
def through_numpy_ablated(z, heads):
    there(z, heads)
    out = z.numpy().astype(np.float64)
    for h in set(heads):
        out[:, h] = out[:, h].mean(axis=0, keepdims=True)
    return torch.from_numpy(out).to(z.dtype)


@right("mean_ablate")
def less_what_varies(z, heads):
    there(z, heads)
    mark = torch.zeros(z.shape[1], dtype=z.dtype)
    mark[list(heads)] = 1
    return z - torch.einsum("h,bhtd->bhtd", mark, z - z.mean(0))


# --- copying_score --------------------------------------------------------------------------------


@right("copying_score")
def copying_by_numpy(circuit):
    if circuit.ndim != 2 or circuit.shape[0] != circuit.shape[1]:
        raise ValueError("not square")
    values = np.linalg.eigvals(circuit.double().numpy())
    return torch.tensor(values.sum().real / np.abs(values).sum(), dtype=circuit.dtype)


@right("copying_score")
def copying_by_the_trace(circuit):
    if circuit.ndim != 2 or len(set(circuit.shape)) != 1:
        raise ValueError("not square")
    sizes = torch.linalg.eigvals(circuit.double()).abs()
    return (circuit.double().trace() / sizes.sum()).to(circuit.dtype)


@right("copying_score")
def copying_by_pythagoras(circuit):
    if circuit.ndim != 2 or circuit.size(0) != circuit.size(1):
        raise ValueError("not square")
    values = torch.view_as_real(torch.linalg.eig(circuit.double()).eigenvalues)
    return (values[:, 0].sum() / values.square().sum(-1).sqrt().sum()).to(circuit.dtype)


# --- look_back ------------------------------------------------------------------------------------


def refuse(pattern, heads, start):
    if start < 1 or any(h not in range(pattern.size(1)) for h in heads):
        raise ValueError((heads, start))


@right("look_back")
def back_by_index(pattern, heads, start):
    refuse(pattern, heads, start)
    out = pattern.clone()
    t = torch.arange(1, pattern.size(-1))
    t = t[t >= start]
    for h in heads:
        out[:, h, start:] = 0
        out[:, h, t, t - 1] = 1
    return out


@right("look_back")
def back_by_where(pattern, heads, start):
    refuse(pattern, heads, start)
    T = pattern.size(-1)
    chosen = torch.zeros(pattern.size(1), 1, 1, dtype=torch.bool)
    chosen[list(heads)] = True
    late = torch.arange(T)[:, None] >= start
    before = torch.diag(torch.ones(T - 1), -1).to(pattern)
    return torch.where(chosen & late, before, pattern)


@right("look_back")
def back_in_loops(pattern, heads, start):
    refuse(pattern, heads, start)
    out = pattern.detach().clone()
    for h in heads:
        for t in range(start, pattern.size(-1)):
            out[:, h, t] = 0
            out[:, h, t, t - 1] = 1
    return out
