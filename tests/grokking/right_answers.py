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
