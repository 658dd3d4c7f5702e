"""Wrong answers to the exercises of lesson 17: mistakes that people make. Every checker must reject
every one.
"""

import math

import torch
from answers import WrongAnswers

wrong = WrongAnswers()


def ends(model, clean, corrupt, metric):
    with torch.no_grad():
        return metric(model(clean))[0], metric(model(corrupt))[0]


# --- restricted_logits ----------------------------------------------------------------------------


def waves_kept(logits, frequencies, places, constant=True, ends=(0, 1), part="real"):
    p = logits.size(0)
    if any(not 1 <= k <= p // 2 for k in frequencies):
        raise ValueError(frequencies)
    keep = torch.zeros(p, p, 1)
    if constant:
        keep[0, 0] = 1
    for k in frequencies:
        for i, j in places(k):
            keep[i % p, j % p] = 1
    return getattr(torch.fft.ifft2(torch.fft.fft2(logits, dim=ends) * keep, dim=ends), part)


def both(k):
    return [(k, k), (-k, -k)]


@wrong("restricted_logits", says="the constant is missing: frequency 0 stays, too")
def restricted_no_constant(logits, frequencies):
    """Without the constant: each logit loses its mean."""
    return waves_kept(logits, frequencies, both, constant=False)


@wrong("restricted_logits", says="half of each wave is missing: keep both [k, k] and [-k, -k]")
def restricted_half(logits, frequencies):
    """k without -k: half of each wave, and its other half as an imaginary part."""
    return waves_kept(logits, frequencies, lambda k: [(k, k)])


@wrong("restricted_logits", says="those are the waves of a - b; keep the waves of a + b")
def restricted_difference(logits, frequencies):
    """The waves of a - b."""
    return waves_kept(logits, frequencies, lambda k: [(k, -k), (-k, k)])


@wrong("restricted_logits", says="you kept the waves of a - b, too; keep only those of a + b")
def restricted_four(logits, frequencies):
    """The waves of a + b and of a - b: all four corners."""
    return waves_kept(logits, frequencies, lambda k: [(i, j) for i in (k, -k) for j in (k, -k)])


@wrong("restricted_logits", says="you kept all waves that turn k times with a")
def restricted_all_rows(logits, frequencies):
    """Every wave in which a turns with k, whatever b does."""
    p = logits.size(0)
    return waves_kept(logits, frequencies, lambda k: [(i, j) for i in (k, -k) for j in range(p)])


@wrong("restricted_logits", says="those are waves of a alone and waves of b alone")
def restricted_either(logits, frequencies):
    """Waves of a alone and of b alone."""
    return waves_kept(logits, frequencies, lambda k: [(k, 0), (-k, 0), (0, k), (0, -k)])


@wrong("restricted_logits", says="you kept each frequency of a with each frequency of b")
def restricted_pairs(logits, frequencies):
    """All combinations of the frequencies: right for a single one, but for a - b."""
    return waves_kept(
        logits, frequencies, lambda k: [x for j in frequencies for x in ((k, j), (-k, -j))]
    )


@wrong("restricted_logits", says="that is what should be deleted")
def restricted_deleted(logits, frequencies):
    """What should go stays."""
    return logits - waves_kept(logits, frequencies, both) + logits.mean((0, 1))


@wrong("restricted_logits", says="that is what should be deleted; and the constant is missing")
def restricted_deleted_all(logits, frequencies):
    """What should go stays, and the constant goes."""
    return logits - waves_kept(logits, frequencies, both)


@wrong(
    "restricted_logits",
    says="you kept all frequencies up to the largest; only those of the list stay",
)
def restricted_up_to(logits, frequencies):
    """A low-pass: all frequencies up to the highest."""
    return waves_kept(logits, list(range(1, max(frequencies, default=0) + 1)), both)


@wrong("restricted_logits", says="your frequencies are one too low")
def restricted_off_by_one(logits, frequencies):
    """Frequencies count from 0."""
    if any(not 1 <= k <= logits.size(0) // 2 for k in frequencies):
        raise ValueError(frequencies)
    return waves_kept(logits, [k - 1 for k in frequencies if k > 1], both)


@wrong(
    "restricted_logits", says="you took the waves along b and the answers, the last two dimensions"
)
def restricted_last_axes(logits, frequencies):
    """fft2's default dimensions, the last two: b and the answer."""
    return waves_kept(logits, frequencies, both, ends=(-2, -1))


@wrong("restricted_logits", says="those are waves of a alone; a wave of a + b")
def restricted_a_alone(logits, frequencies):
    """Only the first column of the spectrum."""
    return waves_kept(logits, frequencies, lambda k: [(k, 0), (-k, 0)])


@wrong("restricted_logits", says="nothing was deleted")
def restricted_nothing(logits, frequencies):
    """To the spectrum and back: the mask was never used."""
    waves_kept(logits, frequencies, both)
    return torch.fft.ifft2(torch.fft.fft2(logits, dim=(0, 1)), dim=(0, 1)).real


@wrong("restricted_logits", says="you took the absolute value; take the real part")
def restricted_absolute(logits, frequencies):
    """The absolute value of what comes back: right where all is positive."""
    return waves_kept(logits, frequencies, both, part="real").abs()


@wrong("restricted_logits", says="you kept only the first frequency of the list")
def restricted_first(logits, frequencies):
    """The first frequency only."""
    kept = waves_kept(logits, frequencies[:1], both)
    return waves_kept(logits, frequencies, both) if len(frequencies) < 2 else kept


@wrong("restricted_logits", says="you kept the cosines alone; the sines stay, too")
def restricted_cosines(logits, frequencies):
    """Without the sines."""
    waves_kept(logits, frequencies, both)
    p = logits.size(0)
    total = (torch.arange(p)[:, None] + torch.arange(p)) % p
    out = logits.mean((0, 1)).expand_as(logits).clone()
    for k in frequencies:
        wave = torch.cos(2 * math.pi * k * total / p)
        out += wave[..., None] * torch.einsum("ab,abv->v", wave, logits) / wave.square().sum()
    return out


@wrong("restricted_logits", says="the wave of frequency p / 2 is twice as large as it should be")
def restricted_unnormalised(logits, frequencies):
    """Projects on the waves by hand, and counts the frequency p / 2 twice: right for an odd p."""
    waves_kept(logits, frequencies, both)
    p = logits.size(0)
    total = (torch.arange(p)[:, None] + torch.arange(p)) % p
    out = logits.mean((0, 1)).expand_as(logits).clone()
    for k in frequencies:
        for turn in (torch.cos, torch.sin):
            wave = turn(2 * math.pi * k * total / p)
            out += wave[..., None] * torch.einsum("ab,abv->v", wave, logits) * 2 / p**2
    return out


@wrong("restricted_logits", says="you kept all frequencies; only those of the list stay")
def restricted_by_sum(logits, frequencies):
    """All waves of a + b: the mean over pairs with the same sum."""
    waves_kept(logits, frequencies, both)
    p = logits.size(0)
    total = (torch.arange(p)[:, None] + torch.arange(p)) % p
    return torch.stack([logits[total == s].mean(0) for s in range(p)])[total]


@wrong(
    "restricted_logits", says="are no frequencies of 5 numbers: choose whole numbers from 1 to 2"
)
def restricted_unchecked(logits, frequencies):
    """Frequencies that are none go through."""
    p = logits.size(0)
    keep = torch.zeros(p, p, 1)
    keep[0, 0] = 1
    for k in frequencies:
        keep[k % p, k % p] = keep[-k % p, -k % p] = 1
    return torch.fft.ifft2(torch.fft.fft2(logits, dim=(0, 1)) * keep, dim=(0, 1)).real


@wrong("restricted_logits", says="that is complex; its real part, .real, is the answer")
def restricted_complex(logits, frequencies):
    """Forgets .real."""
    keep = waves_kept(logits, frequencies, both)
    return keep.to(torch.complex64)


@wrong("restricted_logits", says="you took the waves along the answers; they run along a and b")
def restricted_answers(logits, frequencies):
    """Waves over the answers instead of the pairs."""
    waves_kept(logits, frequencies, both)
    spectrum = torch.fft.fft(logits, dim=-1)
    keep = torch.zeros(logits.size(-1))
    keep[0] = 1
    for k in frequencies:
        keep[k % len(keep)] = keep[-k % len(keep)] = 1
    return torch.fft.ifft(spectrum * keep, dim=-1).real
