"""Right answers of another style to the exercises on grokking."""

import cmath
import math

import numpy as np
import torch
from answers import Answers

right = Answers()


def checked(logits, frequencies):
    p = len(logits)
    for k in frequencies:
        if k < 1 or k > p // 2:
            raise ValueError(f"{k} is no frequency of {p} numbers")
    return p


@right("restricted_logits")
def by_the_sum_of_the_pair(logits, frequencies):
    """These waves are the same for all pairs with one a + b: filter the means of those."""
    p = checked(logits, frequencies)
    a = torch.arange(p)
    means = logits[a[:, None], (a - a[:, None]) % p].mean(0)  # (p, V): of each sum
    spectrum = torch.fft.rfft(means, dim=0)
    kept = torch.zeros_like(spectrum)
    for k in (0, *frequencies):
        kept[k] = spectrum[k]
    return torch.fft.irfft(kept, n=p, dim=0)[(a[:, None] + a) % p]


@right("restricted_logits")
def wave_by_wave(logits, frequencies):
    p = checked(logits, frequencies)
    x = logits.double()
    a = torch.arange(p, dtype=torch.float64)
    kept = x.mean(dim=(0, 1)).expand_as(x).clone()
    for k in set(frequencies):
        angle = 2 * math.pi * k * (a[:, None] + a) / p
        waves = [angle.cos()] if 2 * k == p else [angle.cos(), angle.sin()]
        for wave in waves:
            size = torch.einsum("ab,abv->v", wave, x) / wave.square().sum()
            kept += wave[..., None] * size
    return kept.to(logits.dtype)


@right("restricted_logits")
def through_numpy(logits, frequencies):
    p = checked(logits, frequencies)
    spectrum = np.fft.fft(np.fft.fft(logits.double().numpy(), axis=0), axis=1)
    stay = {0} | {k % p for k in frequencies} | {-k % p for k in frequencies}
    for i in range(p):
        for j in range(p):
            if i != j or i not in stay:
                spectrum[i, j] = 0
    kept = np.fft.ifft(np.fft.ifft(spectrum, axis=0), axis=1).real
    return torch.from_numpy(kept).to(logits.dtype)


@right("restricted_logits")
def as_a_projection(logits, frequencies):
    """An orthonormal basis of all that stays, and the shadow on it."""
    p = checked(logits, frequencies)
    total = (torch.arange(p)[:, None] + torch.arange(p)).flatten().double()
    columns = [torch.ones(p * p, dtype=torch.float64)]
    for k in sorted(set(frequencies)):
        columns.append(torch.cos(2 * torch.pi * k / p * total))
        if 2 * k < p:
            columns.append(torch.sin(2 * torch.pi * k / p * total))
    basis, _ = torch.linalg.qr(torch.stack(columns, dim=1))
    flat = logits.reshape(p * p, -1).double()
    return (basis @ (basis.T @ flat)).reshape(logits.shape).to(logits.dtype)


@right("restricted_logits")
def with_complex_turns(logits, frequencies):
    p = checked(logits, frequencies)
    kinds = {0} | {sign * k % p for k in frequencies for sign in (1, -1)}
    turns = [cmath.exp(2j * math.pi * s / p) for s in range(p)]
    kernel = [sum(turns[k * s % p] for k in kinds).real / p**2 for s in range(p)]
    s = (torch.arange(p)[:, None] + torch.arange(p)) % p
    weight = torch.tensor(kernel, dtype=torch.float64)[(s[:, :, None, None] - s) % p]
    return torch.tensordot(weight, logits.double(), dims=2).to(logits.dtype)


@right("new_pairs")
def by_hand(train):
    out = torch.zeros_like(train)
    for a in range(len(train)):
        for b in range(len(train)):
            out[a, b] = not (train[a, b] or train[b, a])
    return out


@right("new_pairs")
def by_counting(train):
    count = train.int() + train.int().t()
    return count == 0


@right("new_pairs")
def both_are_untrained(train):
    return torch.logical_and(~train, ~train.transpose(0, 1))


@right("frequency_power")
def with_explicit_waves(x):
    p = x.size(-2)
    a = torch.arange(p, dtype=torch.float64)
    powers = []
    for k in range(1, p // 2 + 1):
        turns = torch.polar(torch.ones(p, dtype=torch.float64), -2 * math.pi * k * a / p)
        f = torch.einsum("p,...pd->...d", turns, x.to(torch.complex128))
        powers.append((1 if 2 * k == p else 2) * f.abs().square().sum(-1))
    power = torch.stack(powers, dim=-1)
    return (power / power.sum(-1, keepdim=True)).to(x.dtype)


@right("frequency_power")
def with_the_full_transform(x):
    p = x.size(-2)
    full = torch.fft.fft(x, dim=-2).abs().pow(2).sum(-1)
    power = torch.stack(
        [full[..., sorted({k, p - k})].sum(-1) for k in range(1, p // 2 + 1)], dim=-1
    )
    return power / power.sum(-1)[..., None]


@right("frequency_power")
def power_through_numpy(x):
    f = np.fft.rfft(x.double().numpy(), axis=-2)[..., 1:, :]
    weight = np.full(f.shape[-2], 2.0)
    if x.shape[-2] % 2 == 0:
        weight[-1] = 1.0
    power = (np.abs(f) ** 2).sum(-1) * weight
    return torch.from_numpy(power / power.sum(-1, keepdims=True)).to(x.dtype)


@right("exact_sequences")
def by_counting_mistakes(right, lengths):
    counted = torch.arange(right.shape[-1]) < lengths.unsqueeze(-1)
    mistakes = (~right & counted).sum(-1)
    return (mistakes == 0).to(torch.float32).mean(-1)


@right("exact_sequences")
def sequence_by_sequence(right, lengths):
    judged = [right[..., n, : int(k)].all(-1) for n, k in enumerate(lengths)]
    return torch.stack(judged, dim=-1).float().mean(-1)


@right("exact_sequences")
def by_running_products(right, lengths):
    so_far = right.int().cumprod(-1)
    where = (lengths - 1).expand(right.shape[:-1]).unsqueeze(-1)
    return so_far.gather(-1, where).squeeze(-1).float().mean(-1)


@right("suddenness")
def in_one_loop(steps, values, low=0.2, high=0.8):
    found = {}
    for level in (low, high):
        if values[0] >= level:
            raise ValueError("too high at first")
        for (s, v), (t, w) in zip(
            zip(steps, values, strict=True),
            zip(steps[1:], values[1:], strict=True),
            strict=False,
        ):
            if w >= level:
                found[level] = s + (t - s) * (level - v) / (w - v)
                break
        else:
            raise ValueError("never")
    return found[high] / found[low]


@right("suddenness")
def with_numpy(steps, values, low=0.2, high=0.8):
    v = np.maximum.accumulate(np.asarray(values, dtype=float))
    if v[0] >= low or v[-1] < high:
        raise ValueError("no rise")
    at = []
    for level in (low, high):
        i = int(np.argmax(v >= level))
        piece = [float(values[i - 1]), float(values[i])]
        at.append(np.interp(level, piece, [steps[i - 1], steps[i]]))
    return float(at[1] / at[0])


@right("suddenness")
def with_a_helper(steps, values, low=0.2, high=0.8):
    def step_of(level):
        above = [i for i, value in enumerate(values) if value >= level]
        if not above or above[0] == 0:
            raise ValueError(f"no step reaches {level} from below")
        i = above[0]
        slope = (values[i] - values[i - 1]) / (steps[i] - steps[i - 1])
        return steps[i - 1] + (level - values[i - 1]) / slope

    return step_of(high) / step_of(low)
