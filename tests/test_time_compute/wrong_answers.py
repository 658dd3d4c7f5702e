"""Wrong answers to the exercises of lesson 12: mistakes that people make. Every checker must reject
every one.
"""

import math

import torch
from answers import WrongAnswers

wrong = WrongAnswers()


# --- pass_at_k ------------------------------------------------------------------------------------


def guard(n, c, k):
    if not (0 <= c <= n and 1 <= k <= n):
        raise ValueError(f"{n}, {c}, {k}")


@wrong(
    "pass_at_k",
    says="1 - (1 - c/n)^k draws with replacement and is too low; here k different samples of the n are taken",
)
def pass_plugged_in(n, c, k):
    """1 - (1 - c/n)^k: biased; right for k = 1."""
    guard(n, c, k)
    return 1 - (1 - c / n) ** k


@wrong("pass_at_k", says="that is c / n, whatever k is")
def pass_share(n, c, k):
    """c / n."""
    guard(n, c, k)
    return c / n


@wrong("pass_at_k", says="that is the chance that all k are right")
def pass_all(n, c, k):
    """All k right."""
    guard(n, c, k)
    return math.comb(c, k) / math.comb(n, k)


@wrong("pass_at_k", says="that is the chance that none is right; subtract it from 1")
def pass_none(n, c, k):
    """The chance to miss."""
    guard(n, c, k)
    return math.comb(n - c, k) / math.comb(n, k)


@wrong("pass_at_k", says="that is k · c / n, which counts a choice with two right ones twice")
def pass_union_bound(n, c, k):
    """k · c / n, capped: right for k = 1."""
    guard(n, c, k)
    return min(1.0, k * c / n)


@wrong("pass_at_k", says="the product begins one factor too early and ends one too early")
def pass_off_by_one(n, c, k):
    """The product one too low."""
    guard(n, c, k)
    return 1 - math.prod(1 - k / i for i in range(n - c, n) if i)


@wrong("pass_at_k", says="the last factor of the product is missing; range(a, b) ends before b")
def pass_short_range(n, c, k):
    """range(n - c + 1, n): the last factor is missing."""
    guard(n, c, k)
    return 1 - math.prod(1 - k / i for i in range(n - c + 1, n))


@wrong("pass_at_k", says="of the wrong samples, too, there is one less after each draw")
def pass_over_k(n, c, k):
    """A product over the k samples, but with replacement of the right ones."""
    guard(n, c, k)
    return 1 - math.prod((n - c) / (n - i) for i in range(k))


@wrong("pass_at_k", says="a number on the way is too large for a float")
def pass_factorials(n, c, k):
    """Factorials as floats: overflow for large n."""
    guard(n, c, k)
    if n - c < k:
        return 1.0
    f = math.gamma
    return 1 - f(n - c + 1) * f(n - k + 1) / (f(n - c - k + 1) * f(n + 1))


@wrong("pass_at_k", says="must raise ValueError, and raised ZeroDivisionError")
def pass_no_errors(n, c, k):
    """Says nothing about c > n."""
    return 1.0 - math.prod(1 - k / i for i in range(n - c + 1, n + 1))


@wrong("pass_at_k", says="that is the chance of exactly one right sample")
def pass_one_exactly(n, c, k):
    """Exactly one right sample."""
    guard(n, c, k)
    return c * math.comb(n - c, k - 1) / math.comb(n, k)


@wrong(
    "pass_at_k",
    says="that is 1 as soon as there is a right sample; a choice of k may still miss it",
)
def pass_any(n, c, k):
    """1 as soon as one is right: the observed, not the expected."""
    guard(n, c, k)
    return float(c > 0)


@wrong(
    "pass_at_k",
    says="where n - c < k no choice can miss every right one: the chance is 1, and you gave 0",
)
def pass_zero_when_sure(n, c, k):
    """Forgets that n - c < k is sure to hold a right one."""
    guard(n, c, k)
    return 0.0 if n - c < k else 1 - math.comb(n - c, k) / math.comb(n, k)


@wrong("pass_at_k", says="do not round the chance; you kept")
def pass_rounded(n, c, k):
    """Rounded to a percent."""
    guard(n, c, k)
    return round(1.0 - math.prod(1 - k / i for i in range(n - c + 1, n + 1)), 2)


# --- majority_vote --------------------------------------------------------------------------------


@wrong("majority_vote", says="of several as frequent you took the smallest, as torch.mode does")
def vote_mode(answers):
    """torch.mode: the smallest of several as frequent."""
    return answers.mode(dim=1).values


@wrong("majority_vote", says="of several as frequent you took the one that came last")
def vote_last_of_ties(answers):
    """The last of several as frequent."""
    votes = (answers[:, :, None] == answers[:, None, :]).sum(-1).flip(1)
    return answers.flip(1).gather(1, votes.argmax(1, keepdim=True))[:, 0]


@wrong("majority_vote", says="that is the mean; answers are names here, not sizes")
def vote_mean(answers):
    """The rounded mean."""
    return answers.float().mean(1).round().long()


@wrong("majority_vote", says="that is the median; answers are names here, not sizes")
def vote_median(answers):
    """The median."""
    return answers.median(dim=1).values


@wrong("majority_vote", says="that is the largest answer; take the most frequent")
def vote_max(answers):
    """The largest answer."""
    return answers.amax(1)


@wrong("majority_vote", says="that is the first answer of each row; count")
def vote_first(answers):
    """The first answer."""
    return answers[:, 0]


@wrong("majority_vote", says="you counted over all problems together; each row votes by itself")
def vote_all_rows(answers):
    """One winner for all problems."""
    return answers.flatten().mode().values.expand(len(answers)).clone()


@wrong("majority_vote", says="you counted down the columns; each row votes by itself")
def vote_columns(answers):
    """Counts down the columns."""
    return answers.mode(dim=0).values[: len(answers)]


@wrong("majority_vote", says="that is how many votes the winner got; return the answer itself")
def vote_counts(answers):
    """The number of votes, not the answer."""
    return (answers[:, :, None] == answers[:, None, :]).sum(-1).amax(1)


@wrong(
    "majority_vote",
    says="that is the place of the winner in its row; return the answer that stands there",
)
def vote_index(answers):
    """The index of the winner."""
    return (answers[:, :, None] == answers[:, None, :]).sum(-1).argmax(1)


@wrong("majority_vote", says="answers above 9 were taken for 9; an answer is any whole number")
def vote_bincount_ten(answers):
    """Answers below 10 only."""
    return torch.stack([torch.bincount(row.clamp(max=9), minlength=10).argmax() for row in answers])


@wrong("majority_vote", says="of several as frequent you took the largest")
def vote_largest_of_ties(answers):
    """The largest of several as frequent."""
    return -(-answers).mode(dim=1).values


@wrong("majority_vote", says="you counted equal neighbours only")
def vote_neighbours(answers):
    """Counts only neighbours that agree."""
    votes = torch.nn.functional.pad((answers[:, 1:] == answers[:, :-1]).long(), (0, 1))
    return answers.gather(1, votes.argmax(1, keepdim=True))[:, 0]


@wrong("majority_vote", says="that is a list of numbers; return a tensor")
def vote_list(answers):
    """A list of numbers."""
    return [int(max(row.tolist(), key=row.tolist().count)) for row in answers]


# --- best_of --------------------------------------------------------------------------------------


def same_shape(answers, scores):
    if answers.shape != scores.shape:
        raise ValueError("shapes differ")


@wrong("best_of", says="of several scores as high you took the last answer; the first wins")
def best_last(answers, scores):
    """The last of equals, as a loop with >= has it."""
    same_shape(answers, scores)
    winners = []
    for row, points in zip(answers.tolist(), scores.tolist(), strict=True):
        place = 0
        for i, s in enumerate(points):
            if s >= points[place]:
                place = i
        winners.append(row[place])
    return torch.tensor(winners)


@wrong("best_of", says="that is the answer with the lowest score")
def best_lowest(answers, scores):
    """Scores taken for losses."""
    same_shape(answers, scores)
    return answers.gather(1, scores.argmin(1, keepdim=True))[:, 0]


@wrong("best_of", says="that is the place of the best in its row")
def best_place(answers, scores):
    """argmax itself."""
    same_shape(answers, scores)
    return scores.max(1).indices


@wrong("best_of", says="that is the highest score; return the answer that has it")
def best_score(answers, scores):
    """The score itself."""
    same_shape(answers, scores)
    return scores.max(1).values


@wrong("best_of", says="that is the first answer of each row; look at the scores")
def best_first(answers, scores):
    """No choice at all."""
    same_shape(answers, scores)
    return answers[:, 0]


@wrong("best_of", says="that is the largest answer; look at the scores")
def best_largest(answers, scores):
    """The largest answer."""
    same_shape(answers, scores)
    return answers.max(1).values


@wrong("best_of", says="you took one place for all rows")
def best_one_place(answers, scores):
    """One argmax over the whole table."""
    same_shape(answers, scores)
    return answers[:, int(scores.argmax()) % scores.size(1)]


@wrong("best_of", says="that is a vote among the answers; the scores decide")
def best_vote(answers, scores):
    """A vote."""
    same_shape(answers, scores)
    return torch.tensor([max(row, key=row.count) for row in answers.tolist()])


@wrong("best_of", says="the scores of equal answers were added up, which is a weighted vote")
def best_weighted(answers, scores):
    """A weighted vote."""
    same_shape(answers, scores)
    winners = []
    for row, points in zip(answers.tolist(), scores.tolist(), strict=True):
        total = {}
        for answer, s in zip(row, points, strict=True):
            total[answer] = total.get(answer, 0) + s
        winners.append(max(total, key=total.get))
    return torch.tensor(winners)


@wrong("best_of", says="must raise ValueError")
def best_any_shape(answers, scores):
    """Takes scores of any shape."""
    return answers.gather(1, scores.argmax(1, keepdim=True))[:, 0]


# --- step_search ----------------------------------------------------------------------------------


def search_with(redraw, cost, more=0, begin=1, stop=None, empty=(False, False)):
    """A search of which one line is wrong."""

    def step_search(propose, follows, B, steps, tries):
        if tries < 1:
            raise ValueError("tries")
        written = torch.zeros((B, 0), dtype=torch.int64)
        draws = 0
        for _ in range(steps):
            seen = written[:, :0] if empty[0] else written
            step = propose(seen)
            draws += begin * B
            for _ in range(tries - 1 + more):
                ok = follows(written[:, :0] if empty[1] else written, step)
                if (stop or torch.all)(ok):
                    break
                step = redraw(ok, propose(seen), step)
                draws += cost(ok)
            written = torch.cat((written, step.unsqueeze(1)), 1)
        return written, draws / B

    return step_search


def keep_accepted(ok, new, old):
    return torch.where(ok, old, new)


def still_open(ok):
    return int((~ok).sum())


def named(name, says, search):
    """Registers a search under a name of its own."""
    search.__name__ = name
    wrong("step_search", says=says)(search)


named("search_redraws_all", "a step that was accepted is drawn again",
      search_with(lambda ok, new, old: new, still_open))  # fmt: skip
named("search_turned", "the accepted steps were replaced and the rejected ones kept",
      search_with(lambda ok, new, old: torch.where(ok, new, old), still_open))  # fmt: skip
named("search_counts_all", "the count holds draws of problems whose step was accepted already",
      search_with(keep_accepted, lambda ok: ok.numel()))  # fmt: skip
named("search_forgets_first", "the first draw of each step is missing in the count",
      search_with(keep_accepted, still_open, begin=0))  # fmt: skip
named("search_forgets_later", "the draws after the first are missing in the count",
      search_with(keep_accepted, lambda ok: 0))  # fmt: skip
named("search_one_too_many", "that is one try too many",
      search_with(keep_accepted, still_open, more=1))  # fmt: skip
named("search_one_too_few", "that is one try too few",
      search_with(keep_accepted, still_open, more=-1))  # fmt: skip
named("search_blind_judge", "follows was asked without the steps before",
      search_with(keep_accepted, still_open, empty=(False, True)))  # fmt: skip
named("search_blind", "propose was asked without the steps before",
      search_with(keep_accepted, still_open, empty=(True, False)))  # fmt: skip
named("search_stops_early", "the tries ended as soon as one problem's step was accepted",
      search_with(keep_accepted, still_open, stop=torch.any))  # fmt: skip


@wrong("step_search", says="no step is drawn again: follows and tries have no effect")
def search_none(propose, follows, B, steps, tries):
    """Plain sampling."""
    if tries < 1:
        raise ValueError("tries")
    written = torch.zeros(B, 0, dtype=torch.long)
    for _ in range(steps):
        written = torch.cat([written, propose(written)[:, None]], 1)
    return written, float(steps)


@wrong("step_search", says="where every try is rejected the last one stays")
def search_first_stays(propose, follows, B, steps, tries):
    """Keeps the first try where all failed."""
    if tries < 1:
        raise ValueError("tries")
    written = torch.zeros(B, 0, dtype=torch.long)
    draws = 0
    for _ in range(steps):
        first = propose(written)
        step = first.clone()
        done = follows(written, first)
        draws += B
        for _ in range(tries - 1):
            if done.all():
                break
            draws += int((~done).sum())
            new = propose(written)
            take = ~done & follows(written, new)
            step[take] = new[take]
            done |= take
        written = torch.cat([written, step[:, None]], 1)
    return written, draws / B


RIGHT_SEARCH = search_with(keep_accepted, still_open)


@wrong("step_search", says="the draws are those of all problems together")
def search_total(propose, follows, B, steps, tries):
    """The total."""
    written, draws = RIGHT_SEARCH(propose, follows, B, steps, tries)
    return written, draws * B


@wrong("step_search", says="the draws are those of one step; return the mean for a problem")
def search_a_step(propose, follows, B, steps, tries):
    """The mean for a step."""
    written, draws = RIGHT_SEARCH(propose, follows, B, steps, tries)
    return written, draws / steps


@wrong("step_search", says="must raise a ValueError: each step is drawn at least once")
def search_any_tries(propose, follows, B, steps, tries):
    """tries = 0 draws once."""
    return RIGHT_SEARCH(propose, follows, B, steps, max(tries, 1))


# --- frontier -------------------------------------------------------------------------------------


def needs(rows):
    if "greedy" not in [name for name, _, _ in rows] or min(price for _, price, _ in rows) <= 0:
        raise ValueError("no greedy, or no price")


def worse(q, r):
    """r is beaten by q."""
    return q[1] <= r[1] and q[2] >= r[2] and (q[1] < r[1] or q[2] > r[2])


def left_by(rows, beaten):
    needs(rows)
    return [r[0] for r in sorted(rows, key=lambda r: r[1]) if not any(beaten(q, r) for q in rows)]


@wrong("frontier", says="the names stand in the order of the rows; the cheapest comes first")
def frontier_unsorted(rows):
    """Not sorted."""
    needs(rows)
    return [r[0] for r in rows if not any(worse(q, r) for q in rows)]


@wrong("frontier", says="the dearest comes first; begin with the cheapest")
def frontier_backwards(rows):
    """Sorted the other way."""
    return left_by(rows, worse)[::-1]


@wrong("frontier", says="a way that is only as good as a cheaper one is beaten, and you kept it")
def frontier_keeps_equals(rows):
    """> for >=."""
    return left_by(rows, lambda q, r: q[1] <= r[1] and q[2] > r[2])


@wrong("frontier", says="of several ways with one price only the best is unbeaten")
def frontier_keeps_one_price(rows):
    """< for <=."""
    return left_by(rows, lambda q, r: q[1] < r[1] and q[2] >= r[2])


@wrong("frontier", says="two ways with the same price and accuracy do not beat each other")
def frontier_loses_twins(rows):
    """No strictness."""
    needs(rows)
    ordered = sorted(rows, key=lambda r: r[1])
    return [
        r[0]
        for r in ordered
        if not any(q[1] <= r[1] and q[2] >= r[2] for q in rows if q[0] != r[0])
    ]


@wrong("frontier", says="that is the most accurate way alone")
def frontier_best(rows):
    """The most accurate."""
    needs(rows)
    top = max(score for _, _, score in rows)
    return [name for name, _, score in rows if score == top]


@wrong("frontier", says="that is the cheapest way alone")
def frontier_cheapest(rows):
    """The cheapest."""
    needs(rows)
    least = min(price for _, price, _ in rows)
    return [name for name, price, _ in rows if price == least]


@wrong("frontier", says="you took a high price for an advantage")
def frontier_dear(rows):
    """Price as a virtue."""
    return left_by(
        rows, lambda q, r: q[1] >= r[1] and q[2] >= r[2] and (q[1] > r[1] or q[2] > r[2])
    )


@wrong("frontier", says="each way was compared with the next cheaper one only")
def frontier_neighbours(rows):
    """The next cheaper one only."""
    needs(rows)
    names = []
    last = None
    for name, _, score in sorted(rows, key=lambda r: r[1]):
        if last is None or score > last:
            names.append(name)
        last = score
    return names


@wrong("frontier", says="greedy stays only where no way beats it")
def frontier_spares_greedy(rows):
    """greedy is always kept."""
    return left_by(rows, lambda q, r: r[0] != "greedy" and worse(q, r))


@wrong("frontier", says="those are whole rows; return the names")
def frontier_rows(rows):
    """Rows."""
    needs(rows)
    ordered = sorted(rows, key=lambda r: r[1])
    return [r for r in ordered if not any(worse(q, r) for q in rows)]


@wrong("frontier", says="all rows are there; leave out those that another one beats")
def frontier_all(rows):
    """Only sorted."""
    return left_by(rows, lambda q, r: False)


@wrong("frontier", says="must raise ValueError")
def frontier_without_greedy(rows):
    """A comparison without its baseline passes."""
    if min(price for _, price, _ in rows) <= 0:
        raise ValueError("price")
    return [r[0] for r in sorted(rows, key=lambda r: r[1]) if not any(worse(q, r) for q in rows)]
