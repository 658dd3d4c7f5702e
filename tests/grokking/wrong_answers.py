"""Wrong answers to the exercises of lesson 17: mistakes that people make. Every checker must reject
every one.
"""

import math

import torch
from answers import DIFFERS, WrongAnswers

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


# --- new_pairs ------------------------------------------------------------------------------------


@wrong("new_pairs", says="the mirrors are still among them")
def new_untrained(train):
    """The usual test set."""
    return torch.logical_not(train)


@wrong("new_pairs", says="turn it round")
def new_known(train):
    return train + train.T


@wrong("new_pairs", says="both must be")
def new_either(train):
    """One of the two is missing."""
    return ~train | ~train.T


@wrong("new_pairs", says="those are the leaks")
def new_leaks(train):
    return train.T & ~train


@wrong("new_pairs", says="(a, a) is its own mirror")
def new_without_diagonal(train):
    return ~(train | train.T | torch.eye(train.size(0), dtype=torch.bool))


@wrong("new_pairs", says="you kept one half of the table")
def new_once(train):
    """Each unordered pair once."""
    a = torch.arange(train.size(0))
    return ~train & ~train.T & (a[:, None] <= a)


@wrong(
    "new_pairs",
    says="you turned the rows round; the mirror of (a, b) is (b, a): turn the table, train.T",
)
def new_by_flip(train):
    """Turns the rows round instead of the table."""
    return ~(train | train.flip(0))


@wrong("new_pairs", says="expected dtype torch.bool")
def new_numbers(train):
    return ((~train) & (~train.T)).float()


# --- frequency_power ------------------------------------------------------------------------------


def spectrum(x):
    """|F|² of frequencies 0 to p // 2, each with all of its entries."""
    p = x.size(-2)
    full = torch.fft.fft(x, dim=-2).abs() ** 2
    power = full[..., : p // 2 + 1, :].clone()
    for k in range(1, (p + 1) // 2):
        power[..., k, :] += full[..., p - k, :]
    return power


@wrong("frequency_power", says="you left out the square")
def power_absolute(x):
    power = torch.fft.rfft(x, dim=-2).abs()
    if x.size(-2) % 2 == 0:
        power[..., -1, :] = power[..., -1, :] / 2
    power = power.sum(-1)[..., 1:]
    return power / power.sum(-1, keepdim=True)


@wrong("frequency_power", says="frequency 0, the mean, is left out")
def power_with_mean(x):
    power = spectrum(x).sum(-1)
    power[..., 0] /= 2
    power[..., 1:] /= 2
    power[..., 0] *= 2
    return power / power.sum(-1, keepdim=True)


@wrong("frequency_power", says="leave frequency 0 out before you divide, too")
def power_divided_early(x):
    return power_with_mean(x)[..., 1:]


@wrong("frequency_power", says="divide by the sum of all powers")
def power_unnormalised(x):
    power = torch.fft.rfft(x, dim=-2).abs().square().sum(-1)
    if x.size(-2) % 2 == 0:
        power[..., -1] /= 2
    return power[..., 1:]


@wrong("frequency_power", says="you took the real part alone")
def power_real(x):
    f = torch.fft.rfft(x, dim=-2).real ** 2
    if x.size(-2) % 2 == 0:
        f[..., -1, :] /= 2
    f = f[..., 1:, :].sum(-1)
    return f / f.sum(-1)[..., None]


@wrong("frequency_power", says="add up the powers of all features first")
def power_by_feature(x):
    power = spectrum(x)[..., 1:, :]
    return (power / power.sum(-2)[..., None, :]).mean(-1)


@wrong("frequency_power", says="you added up the features before the transform")
def power_of_the_sum(x):
    power = spectrum(x.sum(-1)[..., None])[..., 1:, 0]
    return power / power.sum(-1)[..., None]


@wrong("frequency_power", says="where p is even, the frequency p / 2 has one entry")
def power_of_rfft(x):
    """What rfft gives, with both kinds of entries alike: right for an odd p."""
    power = torch.fft.rfft(x, dim=-2).abs().square().sum(-1)[..., 1:]
    return power / power.sum(-1, keepdim=True)


@wrong(
    "frequency_power",
    says="the waves ran over the features; they run over the numbers, the dimension before",
)
def power_along_features(x):
    """rfft's default dimension, the last: waves over the features."""
    power = torch.fft.rfft(x).abs().square().sum(-2)[..., 1:]
    return power / power.sum(-1, keepdim=True)


# --- exact_sequences ------------------------------------------------------------------------------


def inside(right, lengths):
    return torch.arange(right.size(-1)).expand_as(right) < lengths[..., None]


@wrong("exact_sequences", says="that is the share of right tokens")
def exact_tokens(right, lengths):
    counted = inside(right, lengths)
    return (right * counted).float().sum((-2, -1)) / counted.float().sum((-2, -1))


@wrong("exact_sequences", says="as if outcomes were independent")
def exact_by_formula(right, lengths):
    p = exact_tokens(right, lengths)
    return sum(p ** int(k) for k in lengths) / len(lengths)


@wrong("exact_sequences", says="what stands after the end of a sequence counted, too")
def exact_whole_rows(right, lengths):
    return right.all(dim=-1).float().mean(dim=-1)


@wrong("exact_sequences", says="only the last token of each sequence counted")
def exact_last(right, lengths):
    return right[..., torch.arange(len(lengths)), lengths - 1].float().mean(-1)


@wrong("exact_sequences", says="one right token is not enough")
def exact_any(right, lengths):
    return (right * inside(right, lengths)).any(-1).float().mean(-1)


@wrong("exact_sequences", says="the last token of each sequence did not count")
def exact_one_less(right, lengths):
    return (right | ~inside(right, lengths - 1)).all(-1).float().mean(-1)


@wrong("exact_sequences", says="one token after the end of each sequence counted")
def exact_one_more(right, lengths):
    return (right | ~inside(right, lengths + 1)).all(-1).float().mean(-1)


@wrong("exact_sequences", says="that is how many sequences are right")
def exact_count(right, lengths):
    return (right | ~inside(right, lengths)).all(-1).sum(-1).float()


@wrong(
    "exact_sequences", says="what stands after the end counted as wrong; it does not count at all"
)
def exact_after_is_wrong(right, lengths):
    """What stands after the end counts as wrong: only full rows can be right."""
    return (right & inside(right, lengths)).all(-1).float().mean(-1)


# --- suddenness -----------------------------------------------------------------------------------


def crossing(steps, values, level, last=False, measured=False):
    places = [i for i in range(1, len(values)) if values[i - 1] < level <= values[i]]
    if not places or values[0] >= level:
        raise ValueError(level)
    i = places[-1 if last else 0]
    if measured:
        return steps[i]
    return steps[i] - (values[i] - level) * (steps[i] - steps[i - 1]) / (values[i] - values[i - 1])


@wrong("suddenness", says="you subtracted the two steps")
def sudden_difference(steps, values, low=0.2, high=0.8):
    return crossing(steps, values, high) - crossing(steps, values, low)


@wrong("suddenness", says="the wrong way round")
def sudden_inverse(steps, values, low=0.2, high=0.8):
    return crossing(steps, values, low) / crossing(steps, values, high)


@wrong("suddenness", says="you took measured steps")
def sudden_measured(steps, values, low=0.2, high=0.8):
    return crossing(steps, values, high, measured=True) / crossing(
        steps, values, low, measured=True
    )


@wrong("suddenness", says="you divided by the length of the run")
def sudden_share(steps, values, low=0.2, high=0.8):
    """The first edition's measure."""
    return (crossing(steps, values, high) - crossing(steps, values, low)) / steps[-1]


@wrong("suddenness", says="you measured from the first to the last value")
def sudden_of_the_way(steps, values, low=0.2, high=0.8):
    values = [(v - values[0]) / (values[-1] - values[0]) for v in values]
    return crossing(steps, values, high) / crossing(steps, values, low)


@wrong("suddenness", says="you measured from 0 to the highest value")
def sudden_of_the_highest(steps, values, low=0.2, high=0.8):
    top = max(values)
    return crossing(steps, values, high * top) / crossing(steps, values, low * top)


@wrong("suddenness", says="only the first time counts")
def sudden_last(steps, values, low=0.2, high=0.8):
    return crossing(steps, values, high, last=True) / crossing(steps, values, low, last=True)


@wrong("suddenness", says="not always 0.2 and 0.8")
def sudden_fixed(steps, values, low=0.2, high=0.8):
    return crossing(steps, values, 0.8) / crossing(steps, values, 0.2)


@wrong("suddenness", says="must raise a ValueError")
def sudden_unchecked(steps, values, low=0.2, high=0.8):
    """A curve that never gets there has 1."""
    try:
        return crossing(steps, values, high) / crossing(steps, values, low)
    except ValueError:
        return 1.0


@wrong("suddenness", says=DIFFERS)
def sudden_from_before(steps, values, low=0.2, high=0.8):
    """The last measured step below each level."""
    before = []
    for level in (low, high):
        crossing(steps, values, level)
        before.append(
            steps[next(i for i in range(1, len(values)) if values[i - 1] < level <= values[i]) - 1]
        )
    return before[1] / max(before[0], 1)
