# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 12 · Compute at test time: when does thinking longer pay?
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/OWNER--SET-ME/llm-inside/blob/main/notebooks/12_test_time_compute.ipynb) · [open this lesson in Colab](https://colab.research.google.com/github/OWNER--SET-ME/llm-inside/blob/main/notebooks/12_test_time_compute.ipynb)
#
# **A trained model may think as long as you let it. What does that buy, beyond its single best answer?** You let it write steps,
# vote, be checked and search, write down the price of each, and set all of it against training longer.
#
# **Time.** Running: about one minute on CPU; no GPU is needed. About 73 minutes to read and do.
#
# **What you will be able to do**
# - estimate pass@k without bias, write a vote, a best-of-n and a search over steps;
# - say what each gains over greedy decoding, and what it costs in FLOP;
# - say when a vote cannot help, how far a verifier that errs can take you, and when training is the cheaper way.
#
# **Prerequisites.** Lessons 03 (the block), 05 (scaling laws) and 09 (sampling).

# %% [markdown]
# On Colab, first choose *File → Save a copy in Drive*: without a copy, what you write is lost when you close the page.
# Then run these two cells. On Colab the first installs the course's small package; on your own machine it does nothing.

# %% tags=["setup"]
# @title Set-up: run this first
from importlib.util import find_spec
if not find_spec("course_utils"):  # on Colab: install it, leave torch as it is
    # %pip install -q "course-utils @ git+https://github.com/OWNER--SET-ME/llm-inside@main"
assert find_spec("course_utils") and __import__("course_utils").__version__.startswith("2."), "Edition 2 of the course is not installed. If pip failed, it says above why: most often there is no network, or Python is older than 3.11. If another edition is in the way, run %pip uninstall -y course-utils. Then restart the kernel and begin again."

# %% tags=["imports"]
# @title Imports
import copy
import math
from collections.abc import Callable, Sequence

import ipywidgets as widgets
import numpy as np
import torch
from torch import Tensor

from course_utils import exercises, test_time_compute
from course_utils.classroom import (
    COLORS, Claims, Diagram, Picture, Source, explore, generator, predict, reveal, show, subplots,
)
from course_utils.exercises import check, hint, solution
from course_utils.test_time_compute import coverage, flop_a_token
from course_utils.training import train

claims = Claims("12")
task, models = test_time_compute.early_models()  # three seeds, each stopped early: they err

# %% [markdown]
# **Choose how many samples and how wild.** A small model that was stopped early adds eight digits and errs. The dashed line is
# its single best answer, greedy. Which line gets above it?

# %% tags=["display"]
# @title Samples, votes and a checker, beside greedy
KS = (1, 2, 4, 8, 16, 32, 64)
shown_digits = task.problems(300, generator(100))
shown_want = task.sums(shown_digits)[:, -1:]  # (B, 1)
shown_greedy = task.sample(models[0], shown_digits, "steps", 1, 0, None)[:, :, -1] == shown_want
shown = {
    t: task.sample(models[0], shown_digits, "steps", 64, t, generator(1)) for t in (0.4, 0.8, 1.2)
}  # (B, 64, 8)


def of_samples(t, k):
    answers = shown[t][:, :k, -1]
    passed = task.verify(shown_digits, shown[t][:, :k]).float()
    by = (test_time_compute.majority_vote(answers), test_time_compute.best_of(answers, passed))
    return [(chosen == shown_want[:, 0]).float().mean().item() for chosen in by]


def draw_samples(k, temperature):
    lines = np.array([of_samples(temperature, n) for n in KS]).T  # (2, 7)
    base = shown_greedy.float().mean().item()
    fig, ax = subplots(figsize=(8.5, 3.8))
    ax.axhline(base, ls="--", color="black", label="greedy, one answer")
    for y, name, color, mark in zip(
        lines, ("vote", "checker chooses"), ("orange", "green"), "os", strict=True
    ):
        ax.plot(KS, y, f"{mark}-", color=COLORS[color], label=name)
    ax.axvline(k, color="#888888", linewidth=1)
    ax.set(xscale="log", xlabel="samples k", ylabel="share of problems", ylim=(0, 1.03))
    ax.set_xticks(KS, labels=KS)
    ax.set_xticks([], minor=True)
    vote, best = lines[:, KS.index(k)]
    ax.set_title(f"{k} samples at temperature {temperature}: vote {vote:.2f}, checker {best:.2f}")
    ax.legend(loc="lower right")
    return Picture(fig, f"{k} samples: vote {vote:.2f}, checker {best:.2f}, greedy {base:.2f}.")


explore(
    draw_samples,
    k=widgets.SelectionSlider(options=KS, value=16, description="k"),
    temperature=widgets.ToggleButtons(options=list(shown), value=0.8, description="temperature"),
)

# %% tags=["display"]
# @title What will count, set before anything is measured
claims.expect(
    "S14",
    "writing the steps makes a model right where answering directly fails",
    source=Source(
        "Wei et al. 2022, Chain-of-Thought Prompting",
        "abstract",
        "https://arxiv.org/abs/2201.11903",
    ),
    published="right where direct answers fail",
    criterion="after equal training tokens, in each of three seeds, steps are right at "
    "least 0.5 more often "
    "than direct answers, fillers, and a model that was told the steps and never reads them; "
    "partly if only more often than direct answers",
    holds=lambda m: m["steps"] - max(m["direct"], m["filler"], m["told"]) > 0.5,
    partly=lambda m: m["steps"] - m["direct"] > 0.5,
)
claims.expect(
    "S7",
    "best-of-n and majority voting raise accuracy without changing weights",
    source=Source("a vendor's article on scaling", "test-time scaling"),
    published="raise",
    criterion="in each of three models, at their best temperature, both a vote of 64 and "
    "the best of 64 by a "
    "checker are right at least 0.02 more often than greedy; partly if only one of the two",
    holds=lambda m: min(m["vote"], m["checker"]) > 0.02,
    partly=lambda m: max(m["vote"], m["checker"]) > 0.02,
)
claims.expect(
    "S6",
    "hard queries can take more than 100 times the compute of one pass",
    source=Source("a vendor's article on scaling", "test-time scaling"),
    published="> 100 times",
    criterion="on the problems that greedy fails, best-of-256 (over 100 times the FLOP "
    "of a greedy answer) is "
    "right at least 0.02 more often than best-of-64, in each of three models, and no "
    "step search with "
    "the same checker does as well for less; partly if only the first",
    holds=lambda m: m["gain"] > 0.02 and m["cheaper"] < 0,
    partly=lambda m: m["gain"] > 0.02,
)
claims.expect(
    "S15",
    "searching over steps beats choosing among whole answers at equal tokens",
    source=Source(
        "Yao et al. 2023, Tree of Thoughts", "experiments", "https://arxiv.org/abs/2305.10601"
    ),
    published="beats",
    criterion="with the same checker, 4 tries a step are right more often than the best "
    "of 4 whole answers and "
    "write fewer tokens, in each of three models",
    holds=lambda m: m["gain"] > 0 and m["tokens"] < 32,
)
claims.expect(
    "S16",
    "coverage follows a power law in k because few problems have tiny chances, in the "
    "shape of a power law",
    source=Source(
        "Schaeffer et al. 2025, How Do Large Language Monkeys Get Their Power (Laws)?",
        "abstract",
        "https://arxiv.org/abs/2502.17578",
    ),
    published="same exponent",
    criterion="for SmolLM2's sums of 1, 2 and 3 digits, the exponent of the small chances "
    "in one half of the problems is within 0.3 of the slope of −log(coverage) in the "
    "other half (median of 40 halvings)",
    holds=lambda m: m < 0.3,
)
claims.expect(
    "S5",
    "derivatives of a model can use about 30 times the compute of its pretraining",
    source=Source("a vendor's article on scaling", "post-training scaling"),
    published="about 30",
    criterion="an account of the compute of a model and all its derivatives; no "
    "experiment here can give one",
    holds=lambda m: m is not None,
)
claims.criteria()

# %% [markdown]
# ## Write the steps
#
# **Question.** Eight digits are given; the answer is the last digit of their sum. A model can answer at once, or write the sum
# after each digit. It has the same weights either way. Does writing help, and what about it?

# %%
digits = task.problems(1, generator(0))
for style in ("direct", "filler", "steps"):
    print(f"{style:<7}", digits[0].tolist(), "=", task.rows(digits, style)[0, 9:].tolist())

# %% [markdown]
# Token 10 is the equals sign and 11 a filler, which says nothing. Written steps that lead to an answer are called **chain of
# thought** (Wei and others 2022). They differ from a direct answer in three things: there are *more tokens*, the model is
# *told* eight sums in training and not one, and it *reads* each sum before it writes the next. So you need two controls. "Filler" has the tokens.
# "Told" has fillers to read, and all eight sums as targets.

# %% tags=["display"]
# @title Predict: which part helps?
predict(
    "test_time_compute.steps",
    "After 600 steps of training each, which models give the right last sum in most problems?",
    ["steps only", "steps and told", "steps, told and filler", "all four"],
)


# %%
def score_of(style, steps=600):
    """The share of right answers, greedy, after so many training steps."""
    pupil = task.model(32)
    train(pupil, task.batches(style), steps, lr=3e-3, final=0.0, weight_decay=0.0,
          loss_fn=test_time_compute.sum_loss, progress=False)
    problems = task.problems(500, generator(7))
    if style == "told":
        said = task.answer_silently(pupil, problems)
    else:
        said = task.sample(pupil, problems, style, 1, 0, None)[:, 0]
    return (said[:, -1] == task.sums(problems)[:, -1]).float().mean().item()


by_style = {style: score_of(style) for style in ("direct", "told", "steps")}
print({style: f"{score:.1f}" for style, score in by_style.items()}, "(guessing: 0.1)")

# %% tags=["display"]
# @title Measured: three seeds from the record, the live run among them
long_runs = test_time_compute.recorded()["rows"]
fig, ax = subplots(figsize=(8.5, 3.0))
spread = {}
for y, style in enumerate(("direct", "filler", "told", "steps")):
    spread[style] = [r["accuracy"] for r in long_runs if r["style"] == style]
    flop = 6 * long_runs[0]["N"] * long_runs[0]["tokens"]
    ax.plot(spread[style], [y] * 3, "o", markersize=9, color=COLORS["blue"])
    if style in by_style:
        ax.plot(by_style[style], y, "D", markersize=9, color=COLORS["orange"])
ax.plot([], [], "o", color=COLORS["blue"], label=f"recorded, 3 seeds, {flop / 1e9:.0f} GFLOP each")
ax.plot([], [], "D", color=COLORS["orange"], label="live, 600 steps")
ax.axvline(0.1, ls=":", color="black")
ax.set(
    yticks=range(4),
    yticklabels=list(spread),
    xlabel="right answers (dotted: guessing)",
    xlim=(-0.02, 1.05),
)
ax.legend(loc="center right")
worst = {style: max(s) if style != "steps" else min(s) for style, s in spread.items()}
claims.measure(
    "S14",
    worst,
    shown=", ".join(f"{style} {x:.2f}" for style, x in worst.items()),
    reason="The worst seed of the steps, the best seed of the others.",
)
assert all(abs(by_style[s] - np.mean(spread[s])) < 0.12 for s in by_style), by_style
show(
    fig,
    f"Steps: {worst['steps']:.2f} in the worst seed. The best of the others: "
    f"{max(worst['told'], worst['direct']):.2f}.",
)
reveal("test_time_compute.steps", "steps only")

# %% [markdown]
# Not the length, and not the telling: the *reading* helps. Each written sum becomes input of the next, so that a model of two layers does eight
# things one after the other. The model that was told all sums can only use its two layers for each of them.
#
# Written steps cost: 8 tokens for an answer and not 1. Here is the price of everything that follows. A token that a model reads or writes costs it
# about 2 FLOP for each weight (lesson 08).

# %%
B = 500
problems = task.problems(B, generator(0))
want = task.sums(problems)[:, -1]  # (B,)
token = flop_a_token(models[0])


def accuracy(answers):
    return (answers == want).float().mean().item()


def price(written):
    """FLOP for one answer: the problem is read once, then so many tokens are written."""
    return token * (task.n + 1 + written)


print(f"a token: {token:,} FLOP; a greedy answer in steps: {price(8):,} FLOP")

# %% [markdown]
# ## Greedy first
#
# **Question.** You sample answers from a model that errs. What is the baseline? The single likeliest token each time: it costs one answer. What more samples gain must be counted from *there*.

# %% tags=["display"]
# @title Predict: the best single answer
predict(
    "test_time_compute.single",
    "One answer each. Which is right most often?",
    ["temperature 1", "temperature 0.8", "temperature 0.4", "greedy"],
)

# %%
TEMPERATURES = (0.4, 0.8, 1.0)
greedy = [accuracy(task.sample(m, problems, "steps", 1, 0, None)[:, 0, -1]) for m in models]
written = {(s, t): task.sample(m, problems, "steps", 64, t, generator(s))
           for s, m in enumerate(models) for t in TEMPERATURES}  # (B, 64, 8) each
one = {t: [accuracy(written[s, t][:, 0, -1]) for s in range(3)] for t in TEMPERATURES}
print(f"greedy           {[f'{x:.2f}' for x in greedy]}   {price(8):,} FLOP an answer")
for t in TEMPERATURES:
    print(f"temperature {t}  {[f'{x:.2f}' for x in one[t]]}   {price(8):,} FLOP an answer")

# %% tags=["display"]
# @title Measured: the single answer
assert all(greedy[s] > max(one[t][s] for t in TEMPERATURES) for s in range(3))
reveal("test_time_compute.single", "greedy")


# %% [markdown]
# In all three models greedy is best. A story that begins at temperature 1 and ends at greedy's level has gained nothing; it has only paid for the temperature.
#
# ## Many samples
#
# **Question.** Sixteen answers are there. Is a right one among them? The **coverage**, or pass@k, is the chance that at least one of *k* samples is right (Chen and others 2021).

# %% [markdown]
# ### Exercise 1 · pass@k
#
# *Difficulty 2 of 3 · 8 minutes*
#
# You have *n* samples, *c* of them right. The obvious estimate 1 − (1 − *c*/*n*)<sup>*k*</sup> is biased. Count instead: of all ways
# to choose *k* of the *n* samples, which share misses every right one?

# %% tags=["exercise"]
def pass_at_k(n: int, c: int, k: int) -> float:
    """Estimate, without bias, the chance that k samples hold a right one, from c right ones among
    n.

    It is 1 minus the share of all choices of k out of the n that miss every right one.
    Raises: ValueError unless 0 <= c <= n and 1 <= k <= n.
    Source: Chen et al. 2021, "Evaluating Large Language Models Trained on Code", section 2.1.

    >>> [pass_at_k(n=4, c=1, k=k) for k in (1, 2, 4)]
    [0.25, 0.5, 1.0]
    """
    ...


# %% tags=["check"]
pass_at_k = check("test_time_compute.pass_at_k", pass_at_k)
# hint("test_time_compute.pass_at_k")
# solution("test_time_compute.pass_at_k")

# %% [markdown]
# Who only guesses among ten answers covers them, too: 1 − 0.9<sup>*k*</sup>. Set that beside.

# %% tags=["display"]
# @title Problems that k samples cover
for k in (1, 4, 16):
    covered = []
    for s in range(3):
        right = (written[s, 0.8][:, :, -1] == want[:, None]).sum(1).tolist()
        covered.append(np.mean([pass_at_k(64, c, k) for c in right]))
    print(f"k = {k:>2}: {[f'{c:.2f}' for c in covered]}  guessing {1 - 0.9**k:.2f}",
          f"{price(8 * k):>9,} FLOP")


# %% [markdown]
# Coverage says that a right answer is *there*, not which it is. Somebody must choose. In **self-consistency** the samples vote, and the most frequent answer wins (Wang and others 2022).

# %% [markdown]
# ### Exercise 2 · the vote
#
# *Difficulty 1 of 3 · 6 minutes*

# %% tags=["exercise"]
def majority_vote(answers: Tensor) -> Tensor:
    """The most frequent answer of each row; of several as frequent, the one that was given first.

    Shapes: answers (B, k), whole numbers -> (B,).
    Source: Wang et al. 2022, "Self-Consistency Improves Chain of Thought Reasoning", section 2.

    >>> majority_vote(torch.tensor([[7, 3, 3], [9, 1, 5]]))
    tensor([3, 9])
    """
    ...


# %% tags=["check"]
majority_vote = check("test_time_compute.majority_vote", majority_vote)
# hint("test_time_compute.majority_vote")
# solution("test_time_compute.majority_vote")

# %% tags=["display"]
# @title Predict: vote against greedy
predict(
    "test_time_compute.vote",
    "64 samples vote, at the best of three temperatures. Greedy costs a thirtieth. Compared "
    "with it, the vote is right …",
    ["at least 0.1 more often", "about as often", "at least 0.1 less often"],
)

# %%
vote = {t: [accuracy(majority_vote(written[s, t][:, :, -1])) for s in range(3)] for t in TEMPERATURES}
print(f"greedy              {[f'{x:.2f}' for x in greedy]}  {price(8):>9,} FLOP")
for t in TEMPERATURES:
    print(f"vote of 64 at {t}   {[f'{x:.2f}' for x in vote[t]]}  {price(8 * 64):>9,} FLOP")

# %% tags=["display"]
# @title Measured: vote against greedy
gain = [max(vote[t][s] for t in TEMPERATURES) - greedy[s] for s in range(3)]
assert all(abs(g) < 0.1 for g in gain), gain
print("the best vote minus greedy:", [f"{g:+.2f}" for g in gain])
reveal("test_time_compute.vote", "about as often")

# %% [markdown]
# The vote climbs from one sample's level to greedy's, and stays near it. On real benchmarks it gains more: there one answer can be reached by many chains, and the likeliest single chain need not lead to the likeliest answer.
#
# ### Where voting harms
#
# **Question.** Does a vote get better with every voter? For two answers the theory is from 1785 (Condorcet): let each vote be right with chance *p*.

# %%
for p in (0.4, 0.5, 0.6):
    chances = [f"{test_time_compute.majority_of_two(p, k):.2f}" for k in (1, 11, 101)]
    print(f"p = {p}: with 1, 11 and 101 votes", ", ".join(chances))


# %% [markdown]
# A vote amplifies what is most frequent, right or wrong. With more answers the border is not one half: the right one must be more frequent than *each* wrong one.
#
# When is it not? When most people err in the same way. We go on training the first model on texts of which 60 % forget the last digit.

# %%
def careless(generator, batch=64):
    digits = task.problems(batch, generator)
    rows = task.rows(digits, "steps")
    forget = torch.rand(batch, generator=generator) < 0.6
    rows[forget, -1] = rows[forget, -2]
    targets = rows[:, 1:].clone()
    targets[:, : task.n] = -100  # the problem does not count
    return rows[:, :-1], targets


crowd = copy.deepcopy(models[0]).train()
train(crowd, careless, 400, lr=3e-3, final=0.1, weight_decay=0.0,
      loss_fn=test_time_compute.sum_loss, progress=False)
crowd = crowd.eval()

# %% tags=["display"]
# @title Predict: the crowd
predict(
    "test_time_compute.crowd",
    "One sample of this model at temperature 1 is right in about 0.4 of the problems. And a vote of 64?",
    {"over 0.9": (0.9, 1.01), "about 0.4": (0.3, 0.5), "under 0.3": (0.0, 0.3)},
)

# %%
said = task.sample(crowd, problems, "steps", 64, 1.0, generator(3))
crowd_scores = {
    "greedy": accuracy(task.sample(crowd, problems, "steps", 1, 0, None)[:, 0, -1]),
    "1 sample": accuracy(said[:, 0, -1]),
    "vote of 64": accuracy(majority_vote(said[:, :, -1])),
}
for name, share in crowd_scores.items():
    print(f"{name:<11} {share:.2f}   {price(8 * 64 if '64' in name else 8):>9,} FLOP")

# %% tags=["display"]
# @title Measured: the crowd
assert crowd_scores["1 sample"] > crowd_scores["vote of 64"] + 0.1
assert crowd_scores["greedy"] < crowd_scores["1 sample"] - 0.1
reveal("test_time_compute.crowd", crowd_scores["vote of 64"], ".2f")


# %% [markdown]
# More votes made it worse, and greedy is as wrong: both ask for the most frequent answer. One right sample among many would be enough, if somebody recognised it.
#
# ## Who chooses?
#
# **Question.** A **verifier** gives every sample a score, and **best-of-n** takes the sample with the highest (Cobbe and others 2021).

# %% [markdown]
# ### Exercise 3 · the best of n
#
# *Difficulty 1 of 3 · 5 minutes*

# %% tags=["exercise"]
def best_of(answers: Tensor, scores: Tensor) -> Tensor:
    """The answer with the highest score in each row; of several as high, the first.

    Shapes: answers (B, k), scores (B, k) -> (B,). Raises: ValueError where the shapes differ.
    Source: Cobbe et al. 2021, "Training Verifiers to Solve Math Word Problems", section 4.

    >>> best_of(torch.tensor([[7, 3, 5]]), scores=torch.tensor([[0.1, 0.9, 0.2]]))
    tensor([3])
    """
    ...


# %% tags=["check"]
best_of = check("test_time_compute.best_of", best_of)
# hint("test_time_compute.best_of")
# solution("test_time_compute.best_of")

# %% [markdown]
# Three verifiers. The *checker* is a program that recomputes each step, 3 operations a step. It is never wrong, but then it could solve the problem itself: a luxury, as unit tests are for code. The *noisy* one is the checker with one verdict in ten
# turned round. The *learnt* one is a second model, of another seed and as early: it reads the steps, and its score is the probability that it would have written them.

# %%
def best(s, k, kind, t=0.8):
    """The accuracy of best-of-k for model s, by one kind of verifier."""
    steps = written[s, t][:, :k]  # (B, k, 8)
    passed = task.verify(problems, steps)  # (B, k)
    if kind == "noisy":
        passed = test_time_compute.noisy(passed, 0.1, generator(s))
    if kind == "learnt":
        second = models[(s + 1) % 3]
        scores = test_time_compute.step_chances(task, second, problems, steps).log().sum(-1)
        return accuracy(best_of(steps[:, :, -1], scores))
    return accuracy(best_of(steps[:, :, -1], passed.float()))


# %% [markdown]
# All three, with their prices and greedy:

# %%
CHECK = 3 * 8  # operations of the program for one answer
extra = {"checker": lambda k: CHECK * k, "noisy": lambda k: CHECK * k, "learnt": lambda k: price(8 * k)}
for kind, cost in extra.items():
    for k in (4, 16, 64):
        row = [f"{best(s, k, kind):.2f}" for s in range(3)]
        print(f"{kind:<8} best of {k:>2} {row} {price(8 * k) + cost(k):>10,} FLOP")
print(f"greedy              {[f'{x:.2f}' for x in greedy]} {price(8):>10,} FLOP")

# %% [markdown]
# The checker goes on rising. The noisy one stops. Why? Where a sample is right with chance *p*, the ones that pass are right with the chance of Bayes' rule, *however many there are*:

# %%
for p in (0.5, 0.1, 0.01):
    print(f"p = {p:<4}: of those that pass, {test_time_compute.right_if_passed(p, 0.1):.2f} are right")

# %% tags=["display"]
# @title Measured: the noisy verifier's limit, by Bayes and by sampling
fig, ax = subplots(figsize=(8.5, 3.6))
sizes = (1, 4, 16, 64)
limits, ends = [], []
for s, (color, mark) in enumerate(zip(("blue", "orange", "green"), "os^", strict=True)):
    chance = (written[s, 0.8][:, :, -1] == want[:, None]).float().mean(1).tolist()
    limits.append(np.mean([test_time_compute.right_if_passed(p, 0.1) for p in chance]))
    curve = [best(s, k, "noisy") for k in sizes]
    ends.append(curve[-1])
    ax.plot(sizes, curve, f"{mark}-", color=COLORS[color], label=f"model {s}, noisy verifier")
    ax.axhline(limits[-1], ls=":", color=COLORS[color])
ax.set(xscale="log", xlabel="samples", ylabel="right answers", ylim=(0, 1.03))
ax.set_xticks(sizes, labels=sizes)
ax.set_xticks([], minor=True)
ax.legend(loc="lower right")
assert all(abs(end - limit) < 0.06 for end, limit in zip(ends, limits, strict=True)), (ends, limits)
perfect = [best(s, 64, "checker") for s in range(3)]
assert all(p > e + 0.05 for p, e in zip(perfect, ends, strict=True))
show(fig, "The curves rise and end on their dotted limits: " + ", ".join(f"{x:.2f}" for x in limits))

# %% [markdown]
# Dotted is the limit. The more samples you draw for a hard problem, the more of those that pass do so by error. So a verifier is worth what it is worth on *hard* problems, where nearly all samples are wrong.
#
# And the learnt one? It reads everything again, which doubles the price. Set it beside greedy.

# %% tags=["display"]
# @title Recorded: S7, with greedy
best_checked = [max(best(s, 64, "checker", t) for t in TEMPERATURES) for s in range(3)]
learnt = [best(s, 64, "learnt") for s in range(3)]
measured = {
    "vote": min(gain),
    "checker": min(b - g for b, g in zip(best_checked, greedy, strict=True)),
}
claims.measure(
    "S7",
    measured,
    shown=f"least gain over greedy: vote {measured['vote']:+.2f}, checker "
    f"{measured['checker']:+.2f}",
    reason="Over temperature 1 both gain much. Over greedy only a verifier gains.",
)
print(
    "learnt, best of 64, minus greedy:",
    [f"{a - g:+.2f}" for a, g in zip(learnt, greedy, strict=True)],
)

# %% [markdown]
# ## Search over steps
#
# **Question.** A sample with one wrong step is lost, and seven right ones with it. Why wait until the end to check?

# %% tags=["display"]
# @title Three ways to spend samples
d = Diagram()
for y, (name, marks) in enumerate((
    ("step search", ("3", "5 no, 2", "4", "9")), ("best of 3: sample 3", ("3", "2", "4", "9")),
    ("best of 3: sample 2", ("3", "5 no", "7", "2")), ("best of 3: sample 1", ("3", "2", "8 no", "3")),
)):
    row = [d.box(name, 0, 1.2 * y, width=3.6)]
    row += [d.box(mark, 3.2 + 2.2 * x, 1.2 * y, width=1.7,
                  color="orange" if "no" in mark else "green") for x, mark in enumerate(marks)]
    for start, end in zip(row, row[1:], strict=False):
        d.arrow(start, end)
d.picture(
    "Best of three writes three whole answers and throws two away. "
    "Step search draws again only the step that is wrong."
)


# %% [markdown]
# A **step search** checks each step as it is written and draws only a rejected one again.

# %% [markdown]
# ### Exercise 4 · step search
#
# *Difficulty 3 of 3 · 14 minutes*

# %% tags=["exercise"]
def step_search(
    propose: Callable[[Tensor], Tensor],
    follows: Callable[[Tensor, Tensor], Tensor],
    B: int,
    steps: int,
    tries: int,
) -> tuple[Tensor, float]:
    """Write one step after the other; a step that the checker rejects is drawn again, up to `tries`
    times in all, and the last try stays.

    propose(written) draws a next step for each of the B problems, (B, i) -> (B,);
    follows(written, step) says which are accepted, (B, i), (B,) -> (B,), bool. written begins with
    i = 0 steps, whole numbers. Returns what was written (B, steps), and how many draws a problem
    took on average: only the draws of problems whose step was still open count.
    Raises: ValueError where tries is below 1.

    >>> draws = iter(torch.tensor([[5, 0], [1, 9], [2, 2], [3, 3]]))
    >>> step_search(lambda w: next(draws), lambda w, step: step < 5, B=2, steps=2, tries=2)
    (tensor([[1, 2],
            [0, 2]]), 2.5)
    """
    ...


# %% tags=["check"]
step_search = check("test_time_compute.step_search", step_search)
# hint("test_time_compute.step_search")
# solution("test_time_compute.step_search")

# %% tags=["display"]
# @title Predict: tokens of a step search
predict(
    "test_time_compute.tokens",
    "Up to 4 tries for each of 8 steps. How many tokens does an answer take on average?",
    {"8 to 12": (8, 12), "12 to 24": (12, 24), "24 to 32": (24, 32.1)},
)


# %%
def program(steps, step):
    """The checker: is this the sum before, plus the digit? (B, i), (B,) -> (B,)"""
    before = steps[:, -1] if steps.size(1) else 0
    return (before + problems[:, steps.size(1)]) % task.p == step


def second_model(s):
    """A learnt judge: does another model give this step a chance above 0.3?"""
    def likes(steps, step):
        longer = torch.cat([steps, step[:, None]], 1)[:, None]  # (B, 1, i + 1)
        judge = models[(s + 1) % 3]
        return test_time_compute.step_chances(task, judge, problems, longer)[:, 0, -1] > 0.3
    return likes


# %% [markdown]
# Your search, with one of the three models as the writer:

# %%
def search(s, tries, follows=program, t=0.8):
    """Accuracy and tokens of a step search with model s."""
    dice = generator(10 + s)

    def propose(steps):
        rows = torch.cat([task.prompt(problems), steps], 1)
        with torch.no_grad():
            p = (models[s](rows)[:, -1] / t).softmax(-1)  # (B, V)
        return torch.multinomial(p, 1, generator=dice)[:, 0]

    steps, tokens = step_search(propose, follows, B, task.n, tries)
    return accuracy(steps[:, -1]), tokens


found = [search(s, 4) for s in range(3)]
print("accuracy", [f"{a:.2f}" for a, _ in found], "tokens", [f"{n:.1f}" for _, n in found])

# %% tags=["display"]
# @title Measured: step search against best-of-n
tokens = np.mean([n for _, n in found])
least = min(found[s][0] - best(s, 4, "checker") for s in range(3))
most = max(n for _, n in found)
claims.measure("S15", {"gain": least, "tokens": most},
               shown=f"at least {least:+.2f}, with at most {most:.0f} tokens against 32",
               reason="Where the checker can judge a single step.")
assert least > 0 and all(found[s][0] > greedy[s] for s in range(3))
reveal("test_time_compute.tokens", tokens, ".1f")


# %% [markdown]
# Nearly every step is right at the first or second try, and an error is mended before anything is built on it. With *n* steps that are each right with chance *q*, whole answers are right with chance *q*<sup>*n*</sup>; a search needs about 1/*q* tries a step.
#
# Beam search (lesson 09) over steps keeps several beginnings and lengthens each. The model may judge by its own probabilities, or ask the second model. Now everything in one table, and the tool that reads it.

# %% [markdown]
# ### Exercise 5 · what is worth its price?
#
# *Difficulty 2 of 3 · 10 minutes*
#
# A comparison needs its baseline, and every way its price. Which ways are left when all that cost more and give less are gone?
# The ways that no other beats in price and accuracy together are the **frontier**.

# %% tags=["exercise"]
def frontier(rows: Sequence[tuple[str, float, float]]) -> list[str]:
    """The ways that no other way beats, the cheapest first.

    rows: (name, FLOP for an answer, accuracy). A way is beaten by another that costs no more and is
    right at least as often, and is better in one of the two. Raises: ValueError where no row is
    named "greedy", for then nobody knows what the others gain, and where a price is not above 0.

    >>> frontier([("greedy", 1, 0.7), ("vote", 16, 0.7), ("search", 2, 0.9)])
    ['greedy', 'search']
    """
    ...


# %% tags=["check"]
frontier = check("test_time_compute.frontier", frontier)
# hint("test_time_compute.frontier")
# solution("test_time_compute.frontier")

# %% [markdown]
# First the samples, with greedy.

# %%
sampled_ways = [("greedy", price(8), np.mean(greedy))]
for k in (4, 16, 64):
    votes = [accuracy(majority_vote(written[s, 0.8][:, :k, -1])) for s in range(3)]
    sampled_ways.append((f"vote of {k}", price(8 * k), np.mean(votes)))
    for kind, cost in extra.items():
        scores = [best(s, k, kind) for s in range(3)]
        sampled_ways.append((f"best of {k}, {kind}", price(8 * k) + cost(k), np.mean(scores)))

# %% [markdown]
# The searches: 2, 4 and 8 tries with the program, and 4 judged by the second model. Then beams: one that trusts its own probabilities, and two that add the log-probabilities of both models. What a second model reads is paid again.

# %%
searches = []
for tries in (2, 4, 8):
    runs = [search(s, tries) for s in range(3)]
    n = np.mean([tokens for _, tokens in runs])
    searches.append((f"steps, {tries} tries, checker", price(n) + 3 * n, np.mean([a for a, _ in runs])))
runs = [search(s, 4, second_model(s)) for s in range(3)]
n = np.mean([tokens for _, tokens in runs])
searches.append(("steps, 4 tries, learnt", 2 * price(n), np.mean([a for a, _ in runs])))

beams = []
for name, width, other in (("own", 4, 0), ("both models", 1, 1), ("both models", 4, 1)):
    found_by = [
        test_time_compute.beam_over_steps(task, models[s], problems, width, models[(s + other) % 3])
        for s in range(3)
    ]
    flop = (1 + other) * price(8 * width)
    beams.append((f"beam of {width}, {name}", flop, np.mean([accuracy(b[:, -1]) for b in found_by])))
table = sampled_ways + searches + beams
unbeaten = frontier(table)
for name, flop, score in sorted(table, key=lambda row: row[1]):
    print(f"{name:<26} {flop:>11,.0f} FLOP  {score:.2f}{'  unbeaten' if name in unbeaten else ''}")

# %% tags=["display"]
# @title The frontier
fig, ax = subplots(figsize=(9.5, 4.6))
KINDS = {
    "greedy": ("black", "*"),
    "vote": ("orange", "o"),
    "checker": ("green", "s"),
    "noisy": ("purple", "D"),
    "learnt": ("sky", "^"),
    "own": ("vermillion", "v"),
    "both models": ("blue", "P"),
}
for kind, (color, mark) in KINDS.items():
    for whole, fill in ((True, "full"), (False, "none")):
        points = [
            (f, a) for n, f, a in table if kind in n and n.startswith(("steps", "beam")) != whole
        ]
        if points:
            x, y = zip(*points, strict=True)
            ax.plot(
                x,
                y,
                mark,
                color=COLORS.get(color, color),
                markersize=10,
                fillstyle=fill,
                label=kind if whole else f"{kind}, over steps",
            )
prices = {name: (f, a) for name, f, a in table}
ax.step(
    *zip(*(prices[name] for name in unbeaten), strict=True), where="post", color="#888888", zorder=0
)
ax.set(
    xscale="log",
    xlabel="FLOP for an answer, the verifier's included",
    ylabel="right answers",
    ylim=(0, 1.03),
)
ax.legend(loc="center left", bbox_to_anchor=(1, 0.5))
assert any("tries, checker" in name for name in unbeaten)
assert not any("vote" in name for name in unbeaten), unbeaten
assert prices["steps, 4 tries, checker"][1] > prices["best of 4, checker"][1] > prices["greedy"][1]
assert prices["beam of 1, both models"][1] > prices["greedy"][1] + 0.05
show(fig, "Right answers against FLOP. On the frontier: " + ", ".join(unbeaten))

# %% [markdown]
# The mean of three models. No vote is on the grey line. The step search with the checker beats the best of 4 for less than half of its price. Without any checker, two early models that decide each step together ("beam of 1, both models", an ensemble) beat
# greedy at twice its price; but the second one had to be trained, which this axis does not show.
#
# ### More than a hundred times
#
# **Question.** A vendor's article says that hard questions can take more than 100 times the compute of one pass. We take the problems that greedy fails.

# %% tags=["display"]
# @title Measured: 64 and 256 samples for the problems that greedy fails
hard_scores = {64: [], 256: []}
for s, m in enumerate(models):
    failed = task.sample(m, problems, "steps", 1, 0, None)[:, 0, -1] != want
    steps = task.sample(m, problems[failed], "steps", 256, 0.8, generator(20 + s))
    passed = task.verify(problems[failed], steps).float()
    for k, scores in hard_scores.items():
        chosen = best_of(steps[:, :k, -1], passed[:, :k])
        scores.append((chosen == want[failed]).float().mean().item())
for k, scores in hard_scores.items():
    print(f"best of {k:>3}: {[f'{x:.2f}' for x in scores]}",
          f"{price(8 * k) / price(8):.0f} times greedy's FLOP")

# %% tags=["display"]
# @title Measured: S6
cheap = []
for s, m in enumerate(models):
    failed = task.sample(m, problems, "steps", 1, 0, None)[:, 0, -1] != want
    # of the problems that greedy fails, at least this share is solved by a patient search
    solved, patient = search(s, 64)
    cheap.append(1 - (1 - solved) / failed.float().mean().item())
more = min(b - a for a, b in zip(*hard_scores.values(), strict=True))
cheaper = max(c - h for c, h in zip(cheap, hard_scores[256], strict=True))
claims.measure(
    "S6",
    {"gain": more, "cheaper": cheaper},
    shown=f"from 30 to 121 times: at least {more:+.2f} on hard problems; a search of up "
    f"to 64 tries a step, "
    f"{price(patient) / price(8):.1f} times: {min(cheap):.2f} to {max(cheap):.2f}",
    reason="They can, and gain from it. But a search over steps needs a small multiple "
    "of one pass.",
)
print(
    f"step search, up to 64 tries, at most {price(patient) / price(8):.1f} times greedy's "
    f"FLOP, on these problems at least:",
    [f"{c:.2f}" for c in cheap],
)

# %% [markdown]
# ## Train longer instead?
#
# **Question.** Here is the other use of a FLOP: training. It is paid once, and samples are paid for each question. Which is cheaper, for *Q* questions (Snell and others 2024)? The record holds three trainings, and what each way reaches along them.

# %% tags=["display"]
# @title Predict: when does training pay?
predict(
    "test_time_compute.trade",
    "You can train on until greedy is as good as the best of 16 by the checker is now. "
    "From how many questions on is that cheaper?",
    {"under 100": (0, 100), "100 to 100,000": (100, 1e5), "over 100,000": (1e5, 1e12)},
)

# %% tags=["display"]
# @title Measured: how many questions make longer training the cheaper way
trade = test_time_compute.recorded_trade()["rows"]
at = {(r["seed"], r["steps"], r["way"]): r for r in trade}
breaks = []
for s in range(3):
    path = [r for r in trade if r["seed"] == s and r["way"] == "greedy"]
    now = next(r for r in path if r["accuracy"] > 0.3)
    sampled = at[s, now["steps"], "checker, 16"]
    later = next(r for r in path if r["accuracy"] >= sampled["accuracy"])
    breaks.append((later["training"] - now["training"]) / (sampled["answer"] - now["answer"]))
    print(f"seed {s}: step {now['steps']} greedy {now['accuracy']:.2f}, "
          f"best of 16 {sampled['accuracy']:.2f}; greedy there at step {later['steps']}: "
          f"{breaks[-1]:,.0f} questions")

# %% tags=["display"]
# @title Measured: the trade, and a view: how many questions?
display(reveal("test_time_compute.trade", float(np.median(breaks)), ",.0f"))


def draw_trade(questions, seed):
    fig, ax = subplots(figsize=(9, 4.2))
    rows = []
    for way, color, mark in (
        ("greedy", "black", "*"),
        ("vote of 16", "orange", "o"),
        ("checker, 4", "sky", "^"),
        ("checker, 16", "green", "s"),
    ):
        points = [r for r in trade if r["seed"] == seed and r["way"] == way]
        total = [r["training"] + questions * r["answer"] for r in points]
        ax.plot(
            total,
            [r["accuracy"] for r in points],
            f"{mark}-",
            color=COLORS.get(color, color),
            label=way,
            markersize=9,
        )
        rows += [
            (f"{way}|{r['steps']}", t, r["accuracy"]) for r, t in zip(points, total, strict=True)
        ]
    # the frontier asks for its baseline by name: the last greedy point carries it
    last = max((r for r in rows if r[0].startswith("greedy")), key=lambda r: r[1])
    rows = [("greedy", *r[1:]) if r is last else r for r in rows]
    kept = [next(r for r in rows if r[0] == name) for name in frontier(rows)]
    ax.step(
        [r[1] for r in kept],
        [r[2] for r in kept],
        where="post",
        color="#888888",
        zorder=0,
        label="frontier",
    )
    ax.set(
        xscale="log",
        xlabel="FLOP: training, and all answers",
        ylabel="right answers",
        ylim=(0, 1.05),
    )
    ax.set_title(f"{questions:,} questions")
    ax.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    names = {r[0].split("|")[0] for r in kept if r[2] > 0.3}
    return Picture(
        fig, f"{questions} questions: above 0.3, on the frontier: {', '.join(sorted(names))}."
    )


def ways_above(questions, seed, level):
    """The way that first reaches a level, by total FLOP."""
    good = [r for r in trade if r["seed"] == seed and r["accuracy"] >= level]
    return min(good, key=lambda r: r["training"] + questions * r["answer"])["way"]


LEVELS = (0.3, 0.5, 0.7, 0.9)
assert all(any("checker" in ways_above(10, s, level) for level in LEVELS) for s in range(3))
assert all(ways_above(10**6, s, 0.9) == "greedy" for s in range(3))
explore(
    draw_trade,
    questions=widgets.SelectionSlider(
        options=[10, 1000, 10**5, 10**7], value=1000, description="questions"
    ),
    seed=widgets.ToggleButtons(options=[0, 1, 2], value=0, description="seed"),
)


# %% [markdown]
# **Move the number of questions.** For ten, every training has a level of accuracy that an early model and a checker reach for the least FLOP; for a million, the cheapest way to be right in 9 of 10 is greedy after longer training, in all three. The record measures every 10 steps, so the numbers of questions are rough. That is the trade: training is shared by all questions, thinking is paid each time. Snell and others find both ends in large models, too,
# and that thinking cannot replace training on the hardest questions.
#
# ## Is coverage a power law?
#
# **Question.** Brown and others (2024) found that −log(coverage) falls like a power of *k* over thousands of samples. But on *one* problem the chance to miss *k* times is (1 − *p*)<sup>*k*</sup>, an exponential. Where does the power come from?
#
# The answer of Schaeffer and others (2025): from the mixture. If the share of problems with a chance below *p* goes like *p*<sup>*b*</sup> for small *p*, then −log(coverage) goes like *k*<sup>−*b*</sup>. First with chances that we draw ourselves: all equal, and two mixtures.

# %%
def misses(p, ks):
    """−log(coverage) at each k, for problems with chances p."""
    return [-math.log(np.mean(1 - (1 - p) ** k)) for k in ks]


dice = np.random.default_rng(0)
KINDS_OF_P = {"all 0.05": np.full(10**5, 0.05), "b = 0.3": dice.beta(0.3, 5, 10**5),
              "b = 1": dice.beta(1, 5, 10**5)}
for name, p in KINDS_OF_P.items():
    m = misses(p, (16, 64, 256))
    slopes = [math.log(b / a) / math.log(4) for a, b in zip(m, m[1:], strict=False)]
    print(f"{name:<9} slopes {[f'{x:.1f}' for x in slopes]}")

# %% [markdown]
# One chance for all: no power at all, the slope runs away. A mixture: a steady slope of about −*b*.
#
# Now a model that learned from the web. *SmolLM2* has 135 million parameters and adds badly. The chance of the right answer was read off its logits, so nothing was sampled. Greedy is in the record, too: it stands on the left, at one sample's price.

# %% tags=["display"]
# @title Recorded: SmolLM2, coverage and the tail of the chances
smol = test_time_compute.recorded_model()
fig, axes = subplots(1, 2, figsize=(11, 4.0))
for row, mark, color in zip(smol["rows"], "os^", ("blue", "orange", "green"), strict=True):
    ks = np.array([int(k) for k in row["coverage"]])
    p = np.array(row["chances"])
    axes[0].plot(ks, list(row["coverage"].values()), f"{mark}-", color=COLORS[color])
    axes[0].axhline(row["greedy"], ls="--", color=COLORS[color], lw=1)
    grid = 4.0 ** np.arange(0, 10)
    axes[1].plot(
        grid, misses(p, grid), f"{mark}-", color=COLORS[color], label=f"{row['digits']}-digit sums"
    )
axes[0].set(
    xscale="log",
    xlabel="samples k",
    ylabel="coverage",
    ylim=(-0.02, 1.03),
    title="dashed: greedy, one answer",
)
axes[1].set(
    xscale="log", yscale="log", xlabel="samples k", ylabel="−log(coverage)", ylim=(1e-3, 10)
)
axes[1].legend()
for row in smol["rows"]:
    print(
        f"{row['digits']} digits: greedy {row['greedy']:.2f}, 1 sample "
        f"{row['coverage']['1']:.3f}, 0.27 GFLOP a token; "
        f"coverage of 4096 samples {row['coverage']['4096']:.2f}, 4096 times the FLOP"
    )
assert (
    smol["rows"][0]["greedy"] > smol["rows"][0]["coverage"]["1"]
    and smol["rows"][-1]["greedy"] < 0.05
)
show(
    fig,
    "Left: coverage rises far above greedy. Right: the miss falls along curves that straighten.",
)


# %% [markdown]
# The test: the exponent of the smallest quarter of the chances in one half of the problems (Hill's estimate), against the slope in the *other* half; the medians of forty halvings.

# %% tags=["display"]
# @title Hill's estimate beside the slope of coverage
def tail(p):
    """Hill's estimate of b from the smallest quarter of p, and where that quarter ends."""
    p = np.sort(p)
    m = len(p) // 4
    return 1 / np.mean(np.log(p[m] / p[:m])), p[m]


gaps = []
for row in test_time_compute.recorded_model()["rows"]:
    p = np.array(row["chances"])
    pairs = []
    for cut in range(40):
        order = np.random.default_rng(cut).permutation(len(p))
        b, edge = tail(p[order[:64]])
        m = misses(p[order[64:]], (1 / edge, 4 / edge))
        pairs.append((b, -math.log(m[1] / m[0]) / math.log(4)))
    b, slope = np.median(pairs, axis=0)
    gaps.append(abs(b - slope))
    print(f"{row['digits']} digits: tail exponent {b:.1f}, slope −{slope:.1f}")

# %% [markdown]
# The slope that coverage has at large *k* is the exponent of its hardest problems. At small *k* the curve bends: there easy problems are solved, fast. And mind what coverage is: a right answer is *among* the samples. For sums a program finds it; for most questions nobody does.
#
# ## What we verified
#
# The article's factor of 30 for the derivatives of a model stands in the table as not measurable: it is an estimate about a whole industry.

# %% tags=["display"]
# @title Each claim with its source
claims.measure(
    "S16",
    max(gaps),
    shown=f"exponents differ by at most {max(gaps):.2f}",
    reason="Tested beyond the k at which the quarter of hardest problems decides.",
)
assert max(gaps) < 0.3
claims.measure(
    "S5",
    None,
    reason="An estimate about an industry: a sum over many users' computers, of which no "
    "account is public.",
)
claims.show()

# %% [markdown]
# Your predictions and exercises at a glance:

# %% tags=["progress"] slideshow={"slide_type": "skip"}
exercises.progress("test_time_compute")

# %% [markdown]
# **What this lesson leaves out.** One task, whose steps a program can check, and models of 7,000 weights. FLOP are counted, not timed: samples run side by side, steps one after the other. A reward on steps, and training with it, is lesson 20's.
#
# ## Further reading
#
# - Chen and others 2021, [Evaluating Large Language Models Trained on Code](https://arxiv.org/abs/2107.03374) (pass@k).
# - Cobbe and others 2021, [Training Verifiers to Solve Math Word Problems](https://arxiv.org/abs/2110.14168).
# - Wang and others 2022, [Self-Consistency Improves Chain of Thought Reasoning](https://arxiv.org/abs/2203.11171).
# - Wei and others 2022, [Chain-of-Thought Prompting Elicits Reasoning](https://arxiv.org/abs/2201.11903).
# - Yao and others 2023, [Tree of Thoughts](https://arxiv.org/abs/2305.10601).
# - Brown and others 2024, [Large Language Monkeys](https://arxiv.org/abs/2407.21787).
# - Snell and others 2024, [Scaling LLM Test-Time Compute Optimally](https://arxiv.org/abs/2408.03314).
# - Schaeffer and others 2025, [How Do Large Language Monkeys Get Their Power (Laws)?](https://arxiv.org/abs/2502.17578).
