"""Wrong answers to the exercises of lesson 15: mistakes that people make. Every checker must reject
every one.
"""

import numpy as np
import torch
from answers import WrongAnswers

wrong = WrongAnswers()


# --- induction_score ------------------------------------------------------------------------------


def copies_of(ids):
    copies = (ids[:, :, None] == ids[:, None, :]).tril(-1)
    if not copies.any():
        raise ValueError("no token comes twice")
    return copies


def score(pattern, marks, rows):
    return torch.einsum("b...ts,bts->...", pattern, marks.to(pattern)) / rows


@wrong(
    "induction_score",
    says="you scored attention to the earlier copy itself; an induction head looks at what came after it",
)
def induction_duplicate(pattern, ids):
    """Scores the copy itself."""
    copies = copies_of(ids)
    return score(pattern, copies, copies.any(-1).sum())


@wrong(
    "induction_score", says="you went one column the wrong way: what came after s stands at s + 1"
)
def induction_before(pattern, ids):
    """What came before the copy: off by two."""
    copies = copies_of(ids)
    return score(pattern, copies.roll(-1, -1), copies.any(-1).sum())


@wrong(
    "induction_score",
    says="the row looks, the column is looked at: you read the pattern transposed",
)
def induction_transposed(pattern, ids):
    """Rows for columns."""
    copies = copies_of(ids)
    return score(pattern.mT, copies.roll(1, -1), copies.any(-1).sum())


@wrong(
    "induction_score", says="you moved the marks one row down; move them one column to the right"
)
def induction_moved_rows(pattern, ids):
    """Moves the marks one row down instead of one column on."""
    copies = copies_of(ids)
    return score(pattern, copies.roll(1, -2), copies.any(-1).sum())


@wrong("induction_score", says="average over the positions whose token came before, not over all")
def induction_all_rows(pattern, ids):
    """Divides by all positions: the right order of heads, the wrong size."""
    return score(pattern, copies_of(ids).roll(1, -1), ids.numel())


@wrong(
    "induction_score", says="average over the positions whose token came before; you added them up"
)
def induction_sum(pattern, ids):
    """Divides by nothing."""
    return score(pattern, copies_of(ids).roll(1, -1), 1)


@wrong(
    "induction_score", says="add up over the earlier copies of one position; you averaged over them"
)
def induction_pairs(pattern, ids):
    """Averages over copies: right where each token has one copy."""
    copies = copies_of(ids)
    return score(pattern, copies.roll(1, -1), copies.sum())


@wrong("induction_score", says="add up over all earlier copies; you took the last only")
def induction_most_recent(pattern, ids):
    """The most recent copy only: right on text that is repeated once."""
    copies = copies_of(ids)
    latest = copies & (copies.flip(-1).cumsum(-1).flip(-1) == 1)
    return score(pattern, latest.roll(1, -1), copies.any(-1).sum())


@wrong("induction_score", says="add up over all earlier copies; you took the first only")
def induction_first(pattern, ids):
    """The first copy only."""
    copies = copies_of(ids)
    return score(pattern, (copies & (copies.cumsum(-1) == 1)).roll(1, -1), copies.any(-1).sum())


@wrong("induction_score", says="you took each token for a copy of itself as well")
def induction_self(pattern, ids):
    """Takes the token for a copy of itself."""
    same = (ids[:, :, None] == ids[:, None, :]).tril()
    if not same.tril(-1).any():
        raise ValueError("no token comes twice")
    return score(pattern, same.roll(1, -1), same.any(-1).sum())


@wrong(
    "induction_score",
    says="average over all positions of the batch at once; you averaged text by text",
)
def induction_by_text(pattern, ids):
    """Averages text by text: right where all have as many copies."""
    return torch.stack(
        [induction_right(p[None], i[None]) for p, i in zip(pattern, ids, strict=True)]
    ).mean(0)


def induction_right(pattern, ids):
    copies = copies_of(ids)
    return score(pattern, copies.roll(1, -1), copies.any(-1).sum())


@wrong(
    "induction_score",
    says="one score for each head: keep the dimensions between batch and positions",
)
def induction_one_number(pattern, ids):
    """One number for all heads."""
    return induction_right(pattern, ids).mean()


@wrong(
    "induction_score",
    says="must raise ValueError: no token comes twice",
)
def induction_no_error(pattern, ids):
    """0/0 instead of an error."""
    copies = (ids[:, :, None] == ids[:, None, :]).tril(-1)
    return score(pattern, copies.roll(1, -1), copies.any(-1).sum().clamp(min=1))


@wrong(
    "induction_score",
    says="before each position, whatever the tokens are; take those after earlier copies",
)
def induction_fixed_period(pattern, ids):
    """The stripe of a fixed period: right on a text that repeats with it, says nothing on
    others.
    """
    copies_of(ids)
    period = next((p for p in range(1, ids.size(1)) if (ids[:, p:] == ids[:, :-p]).any()), 1)
    stripe = pattern.diagonal(1 - period, dim1=-2, dim2=-1)
    return stripe.mean(-1).mean(0)


@wrong(
    "induction_score", says="you took the column 1 before each position, whatever the tokens are"
)
def induction_previous(pattern, ids):
    """The previous-token score."""
    copies_of(ids)
    return pattern.diagonal(-1, dim1=-2, dim2=-1).mean(-1).mean(0)


@wrong("induction_score", says="you used the copies of the first text for all texts")
def induction_first_text(pattern, ids):
    """The first text's copies for the whole batch."""
    return induction_right(pattern, ids[:1].expand_as(ids))


@wrong("induction_score", says="you averaged over the last of these dimensions")
def induction_by_layer(pattern, ids):
    """One score for each layer: the heads are averaged first."""
    return induction_right(pattern.mean(-3) if pattern.ndim > 3 else pattern, ids)


# --- repeated_sequences ---------------------------------------------------------------------------


def blocks_of(n, T, V, periods, generator, high=None):
    low, top = periods
    if not 1 <= low <= top <= V:
        raise ValueError(periods)
    period = torch.randint(low, (top if high is None else high) + 1, (n,), generator=generator)
    return period, torch.rand(n, V, generator=generator).argsort(-1)


@wrong("repeated_sequences", says=". torch.randint leaves its upper end out: add 1.")
def repeats_high_excluded(n, T, vocab_size, periods, generator):
    """randint's upper end is not included."""
    period, blocks = blocks_of(
        n, T, vocab_size, periods, generator, max(periods[0], periods[1] - 1)
    )
    return blocks.gather(1, torch.arange(T) % period[:, None]), period


@wrong("repeated_sequences", says=". Each needs one of its own: draw n of them.")
def repeats_one_period(n, T, vocab_size, periods, generator):
    """One period for the whole batch: it changes from batch to batch, so training looks fine."""
    period, blocks = blocks_of(n, T, vocab_size, periods, generator)
    period = period[:1].expand(n).clone()
    return blocks.gather(1, torch.arange(T) % period[:, None]), period


@wrong("repeated_sequences", says="have the same block. Draw one for each text.")
def repeats_one_block(n, T, vocab_size, periods, generator):
    """One block for the whole batch."""
    period, blocks = blocks_of(n, T, vocab_size, periods, generator)
    return blocks[:1].expand(n, -1).gather(1, torch.arange(T) % period[:, None]), period


@wrong(
    "repeated_sequences",
    says=". A block's tokens are all different: take the beginning of a random order of the vocabulary.",
)
def repeats_same_tokens(n, T, vocab_size, periods, generator):
    """Tokens with replacement: some blocks hold one twice, and what comes next is then not
    certain.
    """
    period, blocks = blocks_of(n, T, vocab_size, periods, generator)
    blocks = torch.randint(vocab_size, blocks.shape, generator=generator)
    return blocks.gather(1, torch.arange(T) % period[:, None]), period


@wrong("repeated_sequences", says="; every token should be equally likely at every place,")
def repeats_few_tokens(n, T, vocab_size, periods, generator):
    """randperm(period): the block's tokens are 0 to period - 1, so the period can be read off
    them.
    """
    period, _ = blocks_of(n, T, vocab_size, periods, generator)
    rows = []
    for p in period.tolist():
        block = torch.randperm(p, generator=generator)
        rows.append(block[torch.arange(T) % p])
    return torch.stack(rows), period


@wrong("repeated_sequences", says="; every token should be equally likely at every place,")
def repeats_longest_tokens(n, T, vocab_size, periods, generator):
    """An order of the longest period's tokens, not of the whole vocabulary."""
    period, _ = blocks_of(n, T, vocab_size, periods, generator)
    blocks = torch.rand(n, max(periods[1], T), generator=generator)[:, : periods[1]].argsort(-1)
    return blocks.gather(1, torch.arange(T) % period[:, None]), period


@wrong("repeated_sequences", says="does not repeat with its period")
def repeats_off_by_one(n, T, vocab_size, periods, generator):
    """The period is one less than what is told."""
    period, blocks = blocks_of(n, T, vocab_size, periods, generator)
    return blocks.gather(1, torch.arange(T) % (period[:, None] - 1).clamp(min=1)), period


@wrong("repeated_sequences", says="does not repeat with its period")
def repeats_each_token(n, T, vocab_size, periods, generator):
    """a a b b, as repeat_interleave does, instead of a b a b."""
    period, blocks = blocks_of(n, T, vocab_size, periods, generator)
    return blocks.gather(1, (torch.arange(T) * period[:, None]) // T), period


@wrong("repeated_sequences", says="does not repeat with its period")
def repeats_mirrored(n, T, vocab_size, periods, generator):
    """Every second block backwards."""
    period, blocks = blocks_of(n, T, vocab_size, periods, generator)
    t = torch.arange(T)
    p = period[:, None]
    place = torch.where(t // p % 2 == 0, t % p, p - 1 - t % p)
    return blocks.gather(1, place), period


@wrong("repeated_sequences", says="does not repeat with its period")
def repeats_twice_only(n, T, vocab_size, periods, generator):
    """A third block would be new: right for texts that are short."""
    period, blocks = blocks_of(n, T, vocab_size, periods, generator)
    other = torch.rand(n, vocab_size, generator=generator).argsort(-1)
    t = torch.arange(T)
    p = period[:, None]
    return torch.where(t < 2 * p, blocks.gather(1, t % p), other.gather(1, t % p)), period


@wrong(
    "repeated_sequences",
    says=": you used torch's global dice. Pass generator=generator, so that a run can be repeated.",
)
def repeats_global(n, T, vocab_size, periods, generator):
    """torch's global dice for the blocks."""
    period, _ = blocks_of(n, T, vocab_size, periods, generator)
    return torch.rand(n, vocab_size).argsort(-1).gather(
        1, torch.arange(T) % period[:, None]
    ), period


@wrong(
    "repeated_sequences",
    says=": two calls in a row gave the same texts. Draw from the generator, and do not seed it inside.",
)
def repeats_seeded(n, T, vocab_size, periods, generator):
    """Every batch is the first one."""
    generator.manual_seed(0)
    period, blocks = blocks_of(n, T, vocab_size, periods, generator)
    return blocks.gather(1, torch.arange(T) % period[:, None]), period


@wrong("repeated_sequences", says="must raise ValueError: ")
def repeats_unchecked(n, T, vocab_size, periods, generator):
    """periods that do not fit go through."""
    period = torch.randint(min(periods), max(periods) + 1, (n,), generator=generator).clamp(
        min=1, max=vocab_size
    )
    blocks = torch.rand(n, vocab_size, generator=generator).argsort(-1)
    return blocks.gather(1, torch.arange(T) % period[:, None]), period


@wrong("repeated_sequences", says="; all should be equally likely.")
def repeats_rounded(n, T, vocab_size, periods, generator):
    """round() of a uniform number: the two ends come half as often."""
    _, blocks = blocks_of(n, T, vocab_size, periods, generator)
    low, high = periods
    period = (low + (high - low) * torch.rand(n, generator=generator)).round().long()
    return blocks.gather(1, torch.arange(T) % period[:, None]), period


@wrong("repeated_sequences", says="; every token should be equally likely at every place,")
def repeats_sorted(n, T, vocab_size, periods, generator):
    """Blocks in rising order: the next token can be guessed without looking back."""
    period, blocks = blocks_of(n, T, vocab_size, periods, generator)
    rows = [
        torch.cat([row[:p].sort().values, row[p:]])
        for row, p in zip(blocks, period.tolist(), strict=True)
    ]
    return torch.stack(rows).gather(1, torch.arange(T) % period[:, None]), period


@wrong(
    "repeated_sequences",
    says="neighbouring texts have the same period more often or less often than by chance",
)
def repeats_in_turn(n, T, vocab_size, periods, generator):
    """Deals out the periods one after the other instead of drawing them."""
    low, high = periods
    if not 1 <= low <= high <= vocab_size:
        raise ValueError("periods")
    period = low + torch.arange(n) % (high - low + 1)
    blocks = torch.rand(n, vocab_size, generator=generator).argsort(-1)
    return blocks.gather(1, torch.arange(T) % period[:, None]), period


@wrong(
    "repeated_sequences",
    says=": a block's second token hangs on its first. A block is the beginning of a random order, drawn for each text.",
)
def repeats_counting(n, T, vocab_size, periods, generator):
    """A block counts up from a random token: its tokens are different, but each tells the next."""
    low, high = periods
    if not 1 <= low <= high <= vocab_size:
        raise ValueError("periods")
    period = torch.randint(low, high + 1, (n,), generator=generator)
    start = torch.randint(vocab_size, (n, 1), generator=generator)
    return (start + torch.arange(T) % period[:, None]) % vocab_size, period


@wrong(
    "repeated_sequences",
    says=": a block's second token hangs on its first. A block is the beginning of a random order, drawn for each text.",
)
def repeats_one_order(n, T, vocab_size, periods, generator):
    """One random order for all texts, entered at a random place."""
    low, high = periods
    if not 1 <= low <= high <= vocab_size:
        raise ValueError("periods")
    period = torch.randint(low, high + 1, (n,), generator=generator)
    order = torch.randperm(vocab_size, generator=generator)
    start = torch.randint(vocab_size, (n, 1), generator=generator)
    return order[(start + torch.arange(T) % period[:, None]) % vocab_size], period


@wrong("repeated_sequences", says=": return two tensors, ids (n, T) and periods (n,); yours is")
def repeats_no_period(n, T, vocab_size, periods, generator):
    """The ids alone."""
    period, blocks = blocks_of(n, T, vocab_size, periods, generator)
    return blocks.gather(1, torch.arange(T) % period[:, None])


@wrong("repeated_sequences", says="; every token should be equally likely at every place,")
def repeats_no_zero(n, T, vocab_size, periods, generator):
    """Tokens from 1: token 0 never comes where there is room for the others."""
    period, blocks = blocks_of(n, T, vocab_size, periods, generator)
    last = vocab_size - 1
    if periods[1] <= last:
        blocks = 1 + torch.rand(n, last, generator=generator).argsort(-1)
    return blocks.gather(1, torch.arange(T) % period[:, None]), period


@wrong("repeated_sequences", says="there are periods from 1 to 5; they go from 3 to 5")
def repeats_from_period_1(n, T, vocab_size, periods, generator):
    """Leaves the least period out of account."""
    period, blocks = blocks_of(n, T, vocab_size, (1, periods[1]), generator)
    return blocks.gather(1, torch.arange(T) % period[:, None]), period


@wrong("repeated_sequences", says="there are tokens from 1 to 9; they go from 0 to 8")
def repeats_from_token_1(n, T, vocab_size, periods, generator):
    """Counts the tokens from 1."""
    period, blocks = blocks_of(n, T, vocab_size, periods, generator)
    return 1 + blocks.gather(1, torch.arange(T) % period[:, None]), period


@wrong("repeated_sequences", says="ids must be (3000, 11) and periods (3000,), whole numbers")
def repeats_column_of_periods(n, T, vocab_size, periods, generator):
    """The periods with the dimension that broadcasting needed."""
    period, blocks = blocks_of(n, T, vocab_size, periods, generator)
    period = period[:, None]
    return blocks.gather(1, torch.arange(T) % period), period


@wrong("repeated_sequences", says="the same seed gave other texts")
def repeats_numpy_dice(n, T, vocab_size, periods, generator):
    """numpy's dice for the blocks: no run can be repeated."""
    period, _ = blocks_of(n, T, vocab_size, periods, generator)
    orders = np.random.default_rng().random((n, vocab_size)).argsort(-1)
    return torch.from_numpy(orders).gather(1, torch.arange(T) % period[:, None]), period


# --- mean_ablate ----------------------------------------------------------------------------------


def there(z, heads):
    if any(not 0 <= h < z.size(1) for h in heads):
        raise ValueError(heads)
    return z.clone(), list(heads)


@wrong(
    "mean_ablate", says="you put 0 there; that is zero ablation. Put the mean over the sequences"
)
def mean_zero(z, heads):
    """Zero ablation."""
    out, heads = there(z, heads)
    out[:, heads] = 0
    return out


@wrong("mean_ablate", says="average over the sequences; yours is over the positions")
def mean_over_time(z, heads):
    """The mean over the positions: each sequence still tells itself apart."""
    out, heads = there(z, heads)
    out[:, heads] = z[:, heads].mean(2, keepdim=True)
    return out


@wrong("mean_ablate", says="average over the sequences only; each position keeps its own mean")
def mean_over_both(z, heads):
    """The mean over sequences and positions: the head forgets where it is, too."""
    out, heads = there(z, heads)
    out[:, heads] = z[:, heads].mean((0, 2), keepdim=True)
    return out


@wrong("mean_ablate", says="average over the sequences; yours is over the heads")
def mean_over_heads(z, heads):
    """The mean over all heads."""
    out, heads = there(z, heads)
    out[:, heads] = z.mean(1, keepdim=True)
    return out


@wrong("mean_ablate", says="each head has its own mean; you pooled the heads")
def mean_pooled(z, heads):
    """One mean for all heads that are taken out: right for a single one."""
    out, heads = there(z, heads)
    if heads:
        out[:, heads] = z[:, heads].mean((0, 1), keepdim=True)
    return out


@wrong("mean_ablate", says="average over the sequences; yours is over a head's features")
def mean_over_features(z, heads):
    """The mean over a head's features."""
    out, heads = there(z, heads)
    out[:, heads] = z[:, heads].mean(3, keepdim=True)
    return out


@wrong("mean_ablate", says="average over the sequences only; yours is one number for each head")
def mean_one_number(z, heads):
    """One number for each head."""
    out, heads = there(z, heads)
    out[:, heads] = z[:, heads].mean((0, 2, 3), keepdim=True)
    return out


@wrong("mean_ablate", says="changed its argument in place")
def mean_in_place(z, heads):
    """Changes what it was given."""
    there(z, heads)
    for h in heads:
        z[:, h] = z[:, h].mean(0)
    return z


@wrong("mean_ablate", says="so a head is z[:, h]; you took a position, z[:, :, h]")
def mean_wrong_axis(z, heads):
    """Positions instead of heads: the shape is the same."""
    out, heads = there(z, heads)
    for h in heads:
        if h < z.size(2):
            out[:, :, h] = z[:, :, h].mean(0)
    return out


@wrong("mean_ablate", says="so a head is z[:, h]; you took a position, z[:, :, h]")
def mean_transposed(z, heads):
    """Takes z for (B, T, H, d): the head is the third index."""
    out, heads = there(z, heads)
    for h in heads:
        out[:, :, h % z.size(2)] = z[:, :, h % z.size(2)].mean(0)
    return out


@wrong("mean_ablate", says="only the first of these heads was taken out")
def mean_first_head(z, heads):
    """The first head only."""
    out, heads = there(z, heads)
    for h in heads:
        out[:, h] = z[:, h].mean(0)
        return out
    return out


@wrong("mean_ablate", says="only the last of these heads was taken out")
def mean_last_head(z, heads):
    """Starts from z again for each head: only the last is taken out."""
    out, heads = there(z, heads)
    for h in heads:
        out = z.clone()
        out[:, h] = z[:, h].mean(0)
    return out


@wrong("mean_ablate", says="those heads stay, and the others were taken out")
def mean_others(z, heads):
    """Keeps those heads, takes the others out."""
    out, heads = there(z, heads)
    for h in set(range(z.size(1))) - set(heads):
        out[:, h] = z[:, h].mean(0)
    return out


@wrong("mean_ablate", says="all heads were taken out, not only the ones that were asked for")
def mean_all_heads(z, heads):
    """All heads."""
    there(z, heads)
    return z.mean(0, keepdim=True).expand_as(z).clone()


@wrong("mean_ablate", says="you put the first sequence's values there")
def mean_first_text(z, heads):
    """The first sequence in place of the mean."""
    out, heads = there(z, heads)
    out[:, heads] = z[:1, heads]
    return out


@wrong("mean_ablate", says="you put another sequence's values there")
def mean_resampled(z, heads):
    """Another sequence's head in place of the mean."""
    out, heads = there(z, heads)
    out[:, heads] = z.roll(1, 0)[:, heads]
    return out


@wrong("mean_ablate", says="you left out the one that is replaced")
def mean_of_others(z, heads):
    """The mean of the other sequences: it depends on which one is left out."""
    out, heads = there(z, heads)
    out[:, heads] = (z.sum(0, keepdim=True) - z)[:, heads] / (z.size(0) - 1)
    return out


@wrong("mean_ablate", says="nothing was taken out")
def mean_of_a_copy(z, heads):
    """Changes one copy and returns another."""
    out, heads = there(z, heads)
    for h in heads:
        out.clone()[:, h] = z[:, h].mean(0)
    return out


@wrong("mean_ablate", says="you put the median over the sequences there")
def mean_median(z, heads):
    """The median."""
    out, heads = there(z, heads)
    out[:, heads] = z[:, heads].median(0, keepdim=True).values
    return out


@wrong(
    "mean_ablate",
    says="must raise ValueError: no heads",
)
def mean_unchecked(z, heads):
    """Python's -1 goes through, and takes the last head."""
    out = z.clone()
    for h in heads:
        if h < z.size(1):
            out[:, h] = z[:, h].mean(0)
    return out


@wrong("mean_ablate", says="you returned only the heads that were taken out")
def mean_part(z, heads):
    """Returns only the heads that were taken out."""
    out, heads = there(z, heads)
    return z[:, heads].mean(0, keepdim=True).expand(z.size(0), -1, -1, -1)


@wrong("mean_ablate", says="you took the mean away; put it in the place")
def mean_subtracted(z, heads):
    """Takes the mean away instead of keeping it."""
    out, heads = there(z, heads)
    out[:, heads] = z[:, heads] - z[:, heads].mean(0, keepdim=True)
    return out


@wrong(
    "repeated_sequences",
    says="each period comes equally often in each batch, which chance does not do",
)
def repeats_balanced_periods(n, T, vocab_size, periods, generator):
    """Each period equally often, shuffled."""
    low, high = periods
    if not 1 <= low <= high <= vocab_size:
        raise ValueError("periods")
    deck = torch.arange(n) % (high - low + 1) + low
    period = deck[torch.randperm(n, generator=generator)]
    blocks = torch.rand(n, vocab_size, generator=generator).argsort(-1)
    return blocks.gather(1, torch.arange(T) % period[:, None]), period


@wrong("repeated_sequences", says="every token comes equally often, which chance does not do")
def repeats_balanced_tokens(n, T, vocab_size, periods, generator):
    """Each token begins equally many texts: orders that are turned one further for each text."""
    low, high = periods
    if not 1 <= low <= high <= vocab_size:
        raise ValueError("periods")
    period = torch.randint(low, high + 1, (n,), generator=generator)
    turn = (torch.arange(n) % vocab_size)[torch.randperm(n, generator=generator)]
    orders = torch.rand(n, vocab_size, generator=generator).argsort(-1)
    blocks = (orders - orders[:, :1] + turn[:, None]) % vocab_size
    return blocks.gather(1, torch.arange(T) % period[:, None]), period


@wrong("repeated_sequences", says=", which is the least. Draw from it on.")
def repeats_low_excluded(n, T, vocab_size, periods, generator):
    """The least period never comes."""
    low, high = periods
    if not 1 <= low <= high <= vocab_size:
        raise ValueError("periods")
    period = torch.randint(min(low + 1, high), high + 1, (n,), generator=generator)
    blocks = torch.rand(n, vocab_size, generator=generator).argsort(-1)
    return blocks.gather(1, torch.arange(T) % period[:, None]), period


@wrong("repeated_sequences", says="come with the shares")
def repeats_ends_half(n, T, vocab_size, periods, generator):
    """Draws between the ends and rounds, so that both ends get half of a chance."""
    low, high = periods
    if not 1 <= low <= high <= vocab_size:
        raise ValueError("periods")
    period = (low + torch.rand(n, generator=generator) * (high - low)).round().long()
    blocks = torch.rand(n, vocab_size, generator=generator).argsort(-1)
    return blocks.gather(1, torch.arange(T) % period[:, None]), period


# --- copying_score --------------------------------------------------------------------------------


def square(circuit):
    if circuit.ndim != 2 or circuit.size(0) != circuit.size(1):
        raise ValueError("not square")
    return circuit.double()


@wrong("copying_score", says="divide by the sum of the sizes of the eigenvalues")
def copying_trace(circuit):
    """The sum alone: it grows with the weights."""
    return square(circuit).trace().float()


@wrong("copying_score", says="you dropped the imaginary part")
def copying_real_parts(circuit):
    """Sizes of the real parts."""
    values = torch.linalg.eigvals(square(circuit)).real
    return (values.sum() / values.abs().sum()).float()


@wrong("copying_score", says="you divided by the singular values")
def copying_singular(circuit):
    """Singular values below the line."""
    x = square(circuit)
    return (x.trace() / torch.linalg.svdvals(x).sum()).float()


@wrong("copying_score", says="eigvalsh is for symmetric matrices")
def copying_symmetric(circuit):
    """The function for symmetric matrices, which reads one half only."""
    values = torch.linalg.eigvalsh(square(circuit))
    return (values.sum() / values.abs().sum()).float()


@wrong("copying_score", says="you used the diagonal in place of the eigenvalues")
def copying_diagonal(circuit):
    """The diagonal for the eigenvalues."""
    own = square(circuit).diagonal()
    return (own.sum() / own.abs().sum()).float()


@wrong("copying_score", says="that is the share of tokens that raise themselves most")
def copying_largest(circuit):
    """How often the token itself gets the most."""
    return (square(circuit).argmax(-1) == torch.arange(len(circuit))).float().mean()


@wrong("copying_score", says="you lost the signs")
def copying_no_signs(circuit):
    """Sizes above the line, too."""
    sizes = torch.linalg.eigvals(square(circuit)).abs()
    return (sizes.sum() / sizes.sum()).float()


@wrong("copying_score", says="you counted the eigenvalues")
def copying_count(circuit):
    """The share of positive eigenvalues."""
    return (torch.linalg.eigvals(square(circuit)).real > 0).float().mean()


@wrong("copying_score", says="divide by the sum of the sizes, not by the size of the sum")
def copying_size_of_sum(circuit):
    """The size of the sum."""
    total = square(circuit).trace()
    return (total / total.abs()).float()


@wrong("copying_score", says="must raise ValueError")
def copying_unchecked(circuit):
    """Cuts what is not square."""
    if circuit.ndim < 2:
        circuit = circuit[:, None]
    n = min(circuit.shape)
    values = torch.linalg.eigvals(circuit[:n, :n].double())
    return (values.real.sum() / values.abs().sum()).float()


# --- look_back ------------------------------------------------------------------------------------


def parts_of(pattern, heads, start):
    if start < 1 or any(not 0 <= h < pattern.size(1) for h in heads):
        raise ValueError((heads, start))
    return pattern.clone(), torch.arange(start, pattern.size(-1))


@wrong("look_back", says="the heads look at their own position")
def back_self(pattern, heads, start):
    """The diagonal."""
    out, t = parts_of(pattern, heads, start)
    for h in heads:
        out[:, h, start:] = 0
        out[:, h, t, t] = 1
    return out


@wrong("look_back", says="the heads look at the next token")
def back_next(pattern, heads, start):
    """The wrong way."""
    out, t = parts_of(pattern, heads, start)
    for h in heads:
        out[:, h, start:] = 0
        out[:, h, t, (t + 1) % pattern.size(-1)] = 1
    return out


@wrong("look_back", says="the change begins one position too late")
def back_late(pattern, heads, start):
    """After start only."""
    out, t = parts_of(pattern, heads, start)
    for h in heads:
        out[:, h, start + 1 :] = 0
        out[:, h, t[1:], t[1:] - 1] = 1
    return out


@wrong("look_back", says="you changed all rows from 1 on")
def back_all_rows(pattern, heads, start):
    """All rows."""
    out, _ = parts_of(pattern, heads, start)
    t = torch.arange(1, pattern.size(-1))
    for h in heads:
        out[:, h, 1:] = 0
        out[:, h, t, t - 1] = 1
    return out


@wrong("look_back", says="you changed the rows before start")
def back_before(pattern, heads, start):
    """The other rows."""
    out, _ = parts_of(pattern, heads, start)
    t = torch.arange(1, start)
    for h in heads:
        out[:, h, 1:start] = 0
        out[:, h, t, t - 1] = 1
    return out


@wrong("look_back", says="all heads look back")
def back_all_heads(pattern, heads, start):
    """All heads."""
    out, t = parts_of(pattern, heads, start)
    out[:, :, start:] = 0
    out[:, :, t, t - 1] = 1
    return out


@wrong("look_back", says="the heads that were asked for stay")
def back_others(pattern, heads, start):
    """The other heads."""
    out, t = parts_of(pattern, heads, start)
    for h in set(range(pattern.size(1))) - set(heads):
        out[:, h, start:] = 0
        out[:, h, t, t - 1] = 1
    return out


@wrong("look_back", says="a row must sum to 1")
def back_kept(pattern, heads, start):
    """Leaves the rest of the row."""
    out, t = parts_of(pattern, heads, start)
    for h in heads:
        out[:, h, t, t - 1] = 1
    return out


@wrong("look_back", says="you added the new attention to the old")
def back_added(pattern, heads, start):
    """Adds."""
    out, t = parts_of(pattern, heads, start)
    for h in heads:
        out[:, h, t, t - 1] += 1
    return out


@wrong("look_back", says="you changed columns")
def back_columns(pattern, heads, start):
    """Columns for rows."""
    out, t = parts_of(pattern, heads, start)
    T = pattern.size(-1)
    for h in heads:
        out[:, h, :, start:] = torch.eye(T).roll(-1, -1)[:, start:]
    return out


@wrong("look_back", says="only the first of these heads looks back")
def back_first_head(pattern, heads, start):
    """Returns from inside of the loop."""
    out, t = parts_of(pattern, heads, start)
    for h in heads:
        out[:, h, start:] = 0
        out[:, h, t, t - 1] = 1
        return out


@wrong("look_back", says="nothing was changed")
def back_of_a_copy(pattern, heads, start):
    """Changes a copy and returns another."""
    out, t = parts_of(pattern, heads, start)
    out.clone()[:, list(heads), start:] = 0
    return out


@wrong("look_back", says="you changed the first text only")
def back_first_text(pattern, heads, start):
    """The first text."""
    out, t = parts_of(pattern, heads, start)
    for h in heads:
        out[0, h, start:] = 0
        out[0, h, t, t - 1] = 1
    return out


@wrong("look_back", says="changed its argument in place")
def back_in_place(pattern, heads, start):
    """Changes what it was given."""
    _, t = parts_of(pattern, heads, start)
    for h in heads:
        pattern[:, h, start:] = 0
        pattern[:, h, t, t - 1] = 1
    return pattern


@wrong("look_back", says="must raise ValueError")
def back_unchecked(pattern, heads, start):
    """No head and no start is refused."""
    out = pattern.clone()
    t = torch.arange(start, pattern.size(-1))
    for h in heads:
        if h < pattern.size(1):
            out[:, h, start:] = 0
            out[:, h, t, t - 1] = 1
    return out
