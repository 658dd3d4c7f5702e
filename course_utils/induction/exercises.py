"""Exercises of lesson 15. The right values come from plain loops, the model's parts run one by one,
and scipy.
"""

import itertools
import random
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from course_utils.checking import Exercises, Wrong, draws, expect, show_value
from course_utils.checking.inputs import dice, different, normal
from course_utils.circuits import reading as circuits
from course_utils.circuits.exercises import whole
from course_utils.induction import ablation as induction
from course_utils.induction import heads as induction_heads
from course_utils.induction import weights

EXERCISES = Exercises()


# --- induction_score ------------------------------------------------------------------------------


def looked_at(
    pattern: Tensor, ids: Tensor, columns: Callable[[list[int], int, int], list[int]]
) -> tuple[Tensor, int]:
    """By plain loops: the attention (B, ...) on some columns of each row t whose token came before,
    and how many rows.
    """
    total = torch.zeros(pattern.shape[1:-2], dtype=torch.float64)
    rows = 0
    for b, row in enumerate(ids.tolist()):
        for t, token in enumerate(row):
            earlier = [s for s in range(t) if row[s] == token]
            if earlier:
                rows += 1
                for column in columns(earlier, t, len(row)):
                    total += pattern[b, ..., t, column].double()
    return total, rows


def _score_inputs(
    rng: random.Random, lead: tuple[int, ...], T: int, most: int
) -> tuple[Tensor, Tensor]:
    """Three random patterns, each row of which looks at the past, and texts of few tokens."""
    B = 3
    pattern = (
        normal(rng, B, *lead, T, T, dtype=torch.float64)
        .mul(1.5)
        .masked_fill(torch.ones(T, T).triu(1).bool(), -1e9)
        .softmax(-1)
        .float()
    )
    ids = whole(rng, B, T, most)
    # a repeat in any case, and not the same number in each text
    ids[:, :2] = torch.tensor([1, 2])
    ids[0, 4] = 1
    ids[0, 2] = 1
    return pattern, ids


def _following(earlier: list[int], t: int, n: int) -> list[int]:
    """The columns that an induction head looks at: those after the earlier copies."""
    return [s + 1 for s in earlier]


def _mean_attention(pattern: Tensor, ids: Tensor, columns: Callable) -> Tensor:
    """The attention on these columns, over the number of rows."""
    total, rows = looked_at(pattern, ids, columns)
    return (total / rows).float()


def _score_mistakes(pattern: Tensor, ids: Tensor) -> dict[str, Tensor]:
    """What the usual slips make of these patterns, by what they are."""
    B, T = ids.shape
    total, rows = looked_at(pattern, ids, _following)
    want = (total / rows).float()
    each = [looked_at(pattern[b : b + 1], ids[b : b + 1], _following) for b in range(B)]
    mistakes = {
        "you scored attention to the earlier copy itself; an induction head looks at what came after it": _mean_attention(
            pattern, ids, lambda e, t, n: e
        ),
        "you went one column the wrong way: what came after s stands at s + 1": _mean_attention(
            pattern, ids, lambda e, t, n: [(s - 1) % n for s in e]
        ),
        "the row looks, the column is looked at: you read the pattern transposed": _mean_attention(
            pattern.transpose(-1, -2), ids, _following
        ),
        "average over the positions whose token came before, not over all": (
            total / (B * T)
        ).float(),
        "average over the positions whose token came before; you added them up": total.float(),
        "add up over all earlier copies; you took the last only": _mean_attention(
            pattern, ids, lambda e, t, n: [e[-1] + 1]
        ),
        "add up over all earlier copies; you took the first only": _mean_attention(
            pattern, ids, lambda e, t, n: [e[0] + 1]
        ),
        "add up over the earlier copies of one position; you averaged over them": (
            total / earlier_pairs(ids)
        ).float(),
        "average over all positions of the batch at once; you averaged text by text": sum(
            x / r for x, r in each
        )
        .div(B)
        .float(),
    }
    for k in sorted(range(T), key=lambda k: k != 1):  # the most common one first
        mistakes[
            f"you took the column {k} before each position, whatever the tokens are; take those after earlier copies of the token"
        ] = pattern.diagonal(-k, dim1=-2, dim2=-1).mean(-1).mean(0)
    if pattern.ndim > 3:
        mistakes["one score for each head: keep the dimensions between batch and positions"] = (
            want.mean()
        )
        mistakes[
            "one score for each head of each layer; you averaged over the last of these dimensions"
        ] = want.mean(-1)
    return mistakes


def _scored(pattern: Tensor, copies: Tensor, rows: Tensor | int) -> Tensor:
    """The score by these marks (B, T, T) of copies, over so many rows."""
    return torch.einsum("b...ts,bts->...", pattern, copies.roll(1, -1).to(pattern)) / rows


@EXERCISES.add(
    circuits.induction_score,
    difficulty=2,
    minutes=12,
    gradients=False,  # a measurement
    hints=[
        "earlier_copies(ids) marks, in row t, the columns s that hold the same token. Which column should an induction head look at?",
        "s + 1: move the marks one column to the right, copies.roll(1, dims=-1). Then add up the attention on marked places.",
        'torch.einsum("b...ts,bts->...", pattern, marks.to(pattern)) adds up over texts, rows and columns; divide by the number of rows with '
        "a copy, copies.any(-1).sum().",
    ],
    refuses=[(torch.full((1, 3, 3), 1 / 3), torch.tensor([[0, 1, 2]]))],
    mistakes={
        "only earlier copies count; you took each token for a copy of itself as well": (
            lambda pattern, ids: _scored(
                pattern, (ids[:, :, None] == ids[:, None, :]).tril(), ids.numel()
            )
        ),
        "you moved the marks one row down; move them one column to the right": (
            lambda pattern, ids: _scored(
                pattern,
                (copies := circuits.earlier_copies(ids)).roll((1, -1), (-2, -1)),
                copies.any(-1).sum(),
            )
        ),
        "you used the copies of the first text for all texts; each text has its own": (
            lambda pattern, ids: circuits.induction_score(pattern, ids[:1].expand_as(ids))
        ),
    },
)
def check_induction_score(student: Callable, rng: random.Random) -> None:
    for lead, T, most in (((), 9, 4), ((3,), 12, 5), ((2, 3), 10, 3), ((2,), 14, 9)):
        pattern, ids = _score_inputs(rng, lead, T, most)
        want = _mean_attention(pattern, ids, _following)
        mistakes = _score_mistakes(pattern, ids)
        call = f"induction_score(pattern, ids) with a pattern of shape {tuple(pattern.shape)}"
        expect(student(pattern, ids), want, call, mistakes=different(mistakes, want))


def earlier_pairs(ids: Tensor) -> int:
    return sum(row[s] == row[t] for row in ids.tolist() for t in range(len(row)) for s in range(t))


# --- repeated_sequences ---------------------------------------------------------------------------


@EXERCISES.add(
    induction_heads.repeated_sequences,
    difficulty=2,
    minutes=12,
    hints=[
        "Three steps: a period for each text, a block for each text, then the place in the block for each position.",
        "torch.rand(n, vocab_size, generator=generator).argsort(-1) gives n random orders of all tokens. The beginning of one is a block "
        "whose tokens are all different. torch.randint leaves its upper end out.",
        "The place is torch.arange(T) % period[:, None], of shape (n, T); blocks.gather(1, place) looks it up.",
    ],
    refuses=[
        (2, 8, 10, (0, 3), torch.Generator()),
        (2, 8, 10, (4, 3), torch.Generator()),
        (2, 8, 10, (2, 11), torch.Generator()),
    ],
)
def check_repeated_sequences(student: Callable, rng: random.Random) -> None:
    with torch.random.fork_rng(devices=[]):  # the student's draws are the same at every check
        torch.manual_seed(rng.randrange(2**31))
        for n, T, V, low, high in (
            (3000, 11, 9, 3, 5),
            (400, 4, 7, 5, 7),
            (200, 9, 3, 1, 3),
            (40, 12, 8, 4, 4),
        ):
            seed = rng.randrange(2**31)
            call = f"repeated_sequences({n}, T={T}, vocab_size={V}, periods=({low}, {high}), generator)"
            generator = dice(seed)
            before = torch.get_rng_state()
            got = student(n, T, V, (low, high), generator)
            again = student(n, T, V, (low, high), generator)
            if (
                not isinstance(got, tuple)
                or len(got) != 2
                or not all(isinstance(x, Tensor) for x in got)
            ):
                raise Wrong(
                    f"{call}: return two tensors, ids (n, T) and periods (n,); yours is {show_value(got)}."
                )
            shapes = [(tuple(x.shape), x.dtype) for x in got]
            if shapes != [((n, T), torch.int64), ((n,), torch.int64)]:
                raise Wrong(
                    f"{call}: ids must be ({n}, {T}) and periods ({n},), whole numbers; yours are {shapes}."
                )
            if not torch.equal(before, torch.get_rng_state()):
                raise Wrong(
                    f"{call}: you used torch's global dice. Pass generator=generator, so that a run can be repeated."
                )
            if n > 100 and torch.equal(got[0], again[0]):
                raise Wrong(
                    f"{call}: two calls in a row gave the same texts. Draw from the generator, and do not seed it inside."
                )
            if not torch.equal(got[0], student(n, T, V, (low, high), dice(seed))[0]):
                raise Wrong(
                    f"{call}: the same seed gave other texts. All dice must come from the generator."
                )
            judge_periods(got[1], low, high, call)
            if n > 100 and low < high:
                more = [student(n, T, V, (low, high), generator)[1] for _ in range(8)]
                judge_many_periods([got[1], again[1], *more], low, high, call)
            judge_texts(*got, V, call)


def judge_periods(period: Tensor, low: int, high: int, call: str) -> None:
    if period.min() < low or period.max() > high:
        raise Wrong(
            f"{call}: there are periods from {period.min()} to {period.max()}; they go from {low} to {high}."
        )
    if len(period) < 100 or low == high:
        return
    shares = (period[:, None] == torch.arange(low, high + 1)).double().mean(0)  # of each period
    if shares.max() == 1:
        raise Wrong(
            f"{call}: all texts have the period {period[0]}. Each needs one of its own: draw n of them."
        )
    counts = (period - low).bincount(minlength=high - low + 1).tolist()
    if counts[-1] == 0:
        raise Wrong(
            f"{call}: no text has the period {high}. torch.randint leaves its upper end out: add 1."
        )
    if counts[0] == 0:
        raise Wrong(f"{call}: no text has the period {low}, which is the least. Draw from it on.")
    draws.must_not_agree(
        *draws.pairs(period),
        1 / len(shares),
        f"{call}: neighbouring texts have the same period more often or less often than by chance, "
        f"{1 / len(shares):.2f}. Draw each text's period from the generator.",
    )
    draws.must_be_uniform(
        counts,
        f"{call}: the periods {low} to {high} come with the shares {[round(s, 2) for s in shares.tolist()]}; "
        "all should be equally likely.",
    )


def judge_many_periods(periods: list[Tensor], low: int, high: int, call: str) -> None:
    """No period comes equally often in each of many batches."""
    k = high - low + 1
    draws.must_vary_together(
        [(period - low).bincount(minlength=k).tolist() for period in periods],
        [1 / k] * k,
        f"{call}: each period comes equally often in each batch, which chance does not do. Draw each text's period by itself.",
        f"{call}: some batches have far more of a period than others. Draw each text's period by itself.",
    )


def judge_texts(ids: Tensor, period: Tensor, V: int, call: str) -> None:
    n, T = ids.shape
    if ids.min() < 0 or ids.max() >= V:
        raise Wrong(
            f"{call}: there are tokens from {ids.min()} to {ids.max()}; they go from 0 to {V - 1}."
        )
    for row, p in zip(ids[:200].tolist(), period[:200].tolist(), strict=True):
        if any(row[t] != row[t - p] for t in range(p, T)):
            raise Wrong(
                f"{call}: {row} does not repeat with its period {p}: ids[t] must be ids[t - {p}] from t = {p} on."
            )
        if len(set(row[:p])) != len(row[:p]):
            raise Wrong(
                f"{call}: {row} has the period {p}, but a token comes twice in its first {p}. A block's tokens are all "
                "different: take the beginning of a random order of the vocabulary."
            )
    if n < 100:
        return
    for p in set(period.tolist()):
        blocks = ids[period == p][:, : min(p, T)]  # (m, p)
        if len(blocks) < 60:
            continue
        if (blocks == blocks[:1]).all():
            raise Wrong(
                f"{call}: all texts of period {p} have the same block. Draw one for each text."
            )
        for t in range(blocks.shape[1]):
            counts = blocks[:, t].bincount(minlength=V)
            token = int((counts / len(blocks) - 1 / V).abs().argmax())
            said = (
                f"{call}: in texts of period {p} the token {token} stands at place {t} in a share of "
                f"{counts[token] / len(blocks):.2f}; every token should be equally likely at every place, {1 / V:.2f}."
            )
            draws.must_be_uniform(counts.tolist(), said)
            draws.must_vary_together(
                [counts.tolist()],
                [1 / V] * V,
                f"{call}: at place {t} every token comes equally often, which chance does not do. Draw each block by itself.",
                said,
            )
    where = period > 1
    pairs = torch.zeros(V, V).index_put_(
        (ids[where, 0], ids[where, 1]), torch.ones(int(where.sum())), accumulate=True
    )
    if n > 1000:
        for t in range(int(period.min())):
            draws.must_vary_together(
                [ids[:, t].bincount(minlength=V).tolist()],
                [1 / V] * V,
                f"{call}: at place {t} every token comes equally often, which chance does not do. Draw each block by itself.",
                f"{call}: at place {t} some tokens come far more often than others. A block is a random order.",
            )
        off = ~torch.eye(V, dtype=torch.bool)  # different tokens, at the first two places
        draws.must_be_uniform(
            pairs[off].int().tolist(),
            f"{call}: a block's second token hangs on its first. A block is the beginning of a random order, drawn for "
            "each text.",
        )
        draws.must_not_agree(
            *draws.pairs(ids[:, 0]),
            1 / V,
            f"{call}: neighbouring texts hang together. Each needs a block of its own.",
        )


# --- mean_ablate ----------------------------------------------------------------------------------


def mean_ablate_oracle(z: Tensor, heads: list[int]) -> Tensor:
    B, H, T, d = z.shape
    out = z.double().numpy().copy()
    for h, t, i in itertools.product(set(heads), range(T), range(d)):
        out[:, h, t, i] = sum(z[b, h, t, i].item() for b in range(B)) / B
    return torch.from_numpy(out).to(z.dtype)


def _put(z: Tensor, heads: Sequence[int], new: Tensor) -> Tensor:
    """z with other values in these heads."""
    out = z.clone()
    out[:, list(heads)] = new[:, list(heads)]
    return out


def _ablation_mistakes(z: Tensor, heads: list[int], want: Tensor) -> dict[str, Tensor]:
    """What the usual slips make of z, where it shows."""
    chosen = torch.zeros(z.size(1), dtype=torch.bool)
    chosen[heads] = True
    mark = chosen[:, None, None]  # (H, 1, 1)
    mistakes = {
        "you put 0 there; that is zero ablation. Put the mean over the sequences": torch.where(
            mark, 0.0, z
        ),
        "average over the sequences only; each position keeps its own mean": torch.where(
            mark, z.mean((0, 2), keepdim=True), z
        ),
        "average over the sequences; yours is over the positions": torch.where(
            mark, z.mean(2, keepdim=True), z
        ),
        "average over the sequences; yours is over the heads": torch.where(
            mark, z.mean(1, keepdim=True), z
        ),
        "average over the sequences; yours is over a head's features": torch.where(
            mark, z.mean(3, keepdim=True), z
        ),
        "average over the sequences only; yours is one number for each head": torch.where(
            mark, z.mean((0, 2, 3), keepdim=True), z
        ),
        "those heads stay, and the others were taken out": torch.where(
            mark, z, z.mean(0, keepdim=True)
        ),
        "all heads were taken out, not only the ones that were asked for": z.mean(
            0, keepdim=True
        ).expand_as(z),
        "nothing was taken out": z.clone(),
    }
    if len(heads) > 1:
        mistakes["each head has its own mean; you pooled the heads"] = torch.where(
            mark, z[:, heads].mean((0, 1)), z
        )
        for what, few in (("first", heads[:1]), ("last", heads[-1:])):
            mistakes[f"only the {what} of these heads was taken out"] = mean_ablate_oracle(z, few)
    return {s: v for s, v in mistakes.items() if not torch.allclose(v, want)}


@EXERCISES.add(
    induction.mean_ablate,
    difficulty=1,
    minutes=6,
    gradients=False,  # an experiment on a trained model
    hints=[
        "z is (B, H, T, d). Which dimension counts the sequences, and which the heads?",
        "z[:, h].mean(0) is (T, d): for each position the mean over the sequences. Work on a copy, z.clone().",
        "For each head h: out[:, h] = z[:, h].mean(0), which is written into all B sequences. Before that, raise a ValueError where a head is below 0 or not "
        "below z.size(1).",
    ],
    refuses=[(torch.ones(2, 3, 4, 5), heads) for heads in ([3], [-1], [0, 5])],
    mistakes={
        "z is (B, H, T, d), so a head is z[:, h]; you took a position, z[:, :, h]": (
            lambda z, heads: induction.mean_ablate(z.transpose(1, 2), heads).transpose(1, 2)
        ),
        "you put the first sequence's values there; put the mean over the sequences": (
            lambda z, heads: _put(z, heads, z[:1].expand_as(z))
        ),
        "you put another sequence's values there; put the mean over the sequences": (
            lambda z, heads: _put(z, heads, z.roll(1, 0))
        ),
        "average over all sequences; you left out the one that is replaced": (
            lambda z, heads: _put(z, heads, (z.sum(0) - z) / (len(z) - 1))
        ),
        "you put the median over the sequences there; put the mean": (
            lambda z, heads: _put(z, heads, z.median(0).values.expand_as(z))
        ),
        "you took the mean away; put it in the place of the values": (
            lambda z, heads: _put(z, heads, z - z.mean(0))
        ),
        "you returned only the heads that were taken out; return all, the others as they were": (
            lambda z, heads: induction.mean_ablate(z, heads)[:, list(heads)]
        ),
    },
)
def check_mean_ablate(student: Callable, rng: random.Random) -> None:
    for (B, H, T, d), count in (
        ((3, 4, 5, 2), 1),
        ((3, 4, 5, 2), 2),
        ((4, 4, 4, 4), 1),
        ((4, 4, 4, 4), 3),
        ((2, 3, 6, 3), 3),
        ((5, 2, 3, 4), 0),
    ):
        z = normal(rng, B, H, T, d) + 1
        heads = rng.sample(range(H), count)
        want = mean_ablate_oracle(z, heads)
        mistakes = _ablation_mistakes(z, heads, want)
        expect(
            student(z, heads),
            want,
            f"mean_ablate(z, {heads}) with z of shape {(B, H, T, d)}",
            mistakes=mistakes,
        )
    z = normal(rng, 3, 2, 4, 3).double()
    expect(
        student(z, (1,)),
        mean_ablate_oracle(z, [1]),
        "mean_ablate(z, (1,)) in torch.float64",
        tol=1e-10,
    )


# --- copying_score --------------------------------------------------------------------------------


def _copying_mistakes(circuit: Tensor) -> dict[str, Tensor]:
    """What the usual slips make of a circuit, by what they are."""
    x = circuit.double()
    values = torch.linalg.eigvals(x)
    singular = torch.linalg.svdvals(x)
    symmetric = torch.linalg.eigvalsh(x)
    trace = x.diagonal().sum()
    own = (x.argmax(-1) == torch.arange(len(x))).double().mean()
    found = {
        "divide by the sum of the sizes of the eigenvalues": values.real.sum(),
        "the size of a complex eigenvalue is its absolute value; you dropped the imaginary part": (
            values.real.sum() / values.real.abs().sum()
        ),
        "you divided by the singular values; take the sizes of the eigenvalues": trace
        / singular.sum(),
        "eigvalsh is for symmetric matrices; a circuit is not symmetric, so take eigvals": (
            symmetric.sum() / symmetric.abs().sum()
        ),
        "you used the diagonal in place of the eigenvalues; divide by the sizes of the eigenvalues": (
            trace / x.diagonal().abs().sum()
        ),
        "that is the share of tokens that raise themselves most; use the eigenvalues": own,
        "you lost the signs: add the eigenvalues up as they are, above the line": torch.ones(()),
        "you counted the eigenvalues; weight each by its size": (values.real > 0).double().mean(),
        "divide by the sum of the sizes, not by the size of the sum": trace / trace.abs(),
    }
    return {sentence: value.to(circuit.dtype) for sentence, value in found.items()}


@EXERCISES.add(
    weights.copying_score,
    difficulty=2,
    minutes=6,
    gradients=False,  # a measurement
    hints=[
        "An eigenvector is a mix of tokens which the circuit gives back, scaled by its eigenvalue. Positive: it is raised.",
        "torch.linalg.eigvals gives the eigenvalues, which may be complex. Their imaginary parts come in pairs and cancel in the sum.",
        "values.real.sum() / values.abs().sum(), after a ValueError for a circuit that is not square.",
    ],
    refuses=[(torch.ones(2, 3),), (torch.ones(3),)],
)
def check_copying_score(student: Callable, rng: random.Random) -> None:
    for V, shift in ((6, 0.5), (9, -0.8), (12, 0.1), (5, 1.0)):
        circuit = normal(rng, V, V) + shift * torch.eye(V)
        values = np.linalg.eigvals(circuit.double().numpy())
        want = torch.tensor(values.sum().real / np.abs(values).sum()).float()
        mistakes = different(_copying_mistakes(circuit), want)
        expect(
            student(circuit),
            want,
            f"copying_score(circuit), {V} tokens",
            mistakes=mistakes,
            tol=1e-3,
        )


# --- look_back ------------------------------------------------------------------------------------


def look_back_oracle(pattern: Tensor, heads: Sequence[int], start: int) -> Tensor:
    B, H, T, _ = pattern.shape
    out = pattern.clone()
    for b, h, t, s in itertools.product(range(B), heads, range(start, T), range(T)):
        out[b, h, t, s] = float(s == t - 1)
    return out


def _look_back_mistakes(pattern: Tensor, heads: Sequence[int], start: int) -> dict[str, Tensor]:
    """What the usual slips make of a pattern, by what they are."""
    H, T = pattern.shape[1:3]
    eye = torch.eye(T).to(pattern)
    right = look_back_oracle(pattern, heads, start)
    forced = eye.roll(-1, -1)

    def put(rows: Tensor, first: int, which: Sequence[int] = heads) -> Tensor:
        out = pattern.clone()
        for h in which:
            out[:, h, first:] = rows[first:]
        return out

    added = pattern.clone()
    columns = pattern.clone()
    for h in heads:
        added[:, h, start:] += forced[start:]
        columns[:, h, :, start:] = forced[:, start:]
    early = pattern.clone()
    for h in heads:
        early[:, h, 1:start] = forced[1:start]
    kept = pattern.clone()
    for h in heads:
        for t in range(start, T):
            kept[:, h, t, t - 1] = 1
    return {
        "the heads look at their own position; the token before stands at t - 1": put(eye, start),
        "the heads look at the next token; the token before stands at t - 1": put(
            eye.roll(1, -1), start
        ),
        "the change begins one position too late; start itself looks back, too": put(
            forced, start + 1
        ),
        "you changed all rows from 1 on; leave those before start": put(forced, 1),
        "you changed the rows before start; change those from start on": early,
        "all heads look back; change only the heads that were asked for": put(
            forced, start, range(H)
        ),
        "the heads that were asked for stay, and the others look back": put(
            forced, start, [h for h in range(H) if h not in heads]
        ),
        "a row must sum to 1: put 0 in its other columns": kept,
        "you added the new attention to the old; put it in its place": added,
        "the row looks, the column is looked at: you changed columns": columns,
        "only the first of these heads looks back": look_back_oracle(pattern, heads[:1], start),
        "nothing was changed": pattern.clone(),
        "you changed the first text only; change all texts": torch.cat([right[:1], pattern[1:]]),
    }


@EXERCISES.add(
    induction.look_back,
    difficulty=2,
    minutes=8,
    gradients=False,  # an experiment on a trained model
    hints=[
        "The row is the position that looks. Which rows change, and in which column does each get its 1?",
        "Row t gets its 1 at column t - 1. Work on a copy, pattern.clone(), and set the rows to 0 first.",
        "t = torch.arange(start, T); for each head h: out[:, h, start:] = 0, then out[:, h, t, t - 1] = 1. Before that, raise a ValueError for start < 1 "
        "and for a head that is not there.",
    ],
    refuses=[
        (torch.ones(2, 3, 4, 4), [0], 0),
        (torch.ones(2, 3, 4, 4), [3], 1),
        (torch.ones(2, 3, 4, 4), [-1], 2),
    ],
)
def check_look_back(student: Callable, rng: random.Random) -> None:
    for (B, H, T), count, start in (
        ((3, 4, 7), 2, 3),
        ((2, 5, 6), 1, 2),
        ((2, 3, 9), 2, 6),
        ((2, 2, 5), 1, 1),
        ((2, 2, 5), 1, 5),
    ):
        pattern = normal(rng, B, H, T, T).softmax(-1)
        heads = rng.sample(range(H), count)
        want = look_back_oracle(pattern, heads, start)
        mistakes = different(_look_back_mistakes(pattern, heads, start), want)
        call = f"look_back(pattern, {heads}, start={start}) with a pattern of shape {(B, H, T, T)}"
        expect(student(pattern, heads, start), want, call, mistakes=mistakes)
