# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 02 · Attention: how a token looks back
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/OWNER--SET-ME/llm-inside/blob/main/notebooks/02_attention.ipynb)
#
# **The cat sat down because it was tired. What is *it*?** You looked back and found the cat. The vectors of lesson 01
# cannot do that: each is one row of a table, and *it* has the same row in every sentence. In this lesson you build
# the part of a language model that looks back, decides what matters, and fetches it.
#
# **Time.** Running: about a minute on CPU; no GPU is used. Reading and exercises: about three hours.
#
# **What you will be able to do**
# - write causal attention with many heads, and get the numbers of PyTorch's own;
# - say why there is a softmax in it, why a square root, and why the mask comes first;
# - measure what attention costs as texts get longer, and what a cache saves;
# - read an attention map, and know when it misleads.
#
# **Prerequisites.** The last section of lesson 01 (ids become vectors). Python, and what a product of two matrices is.
#
# <!-- speaker: Ask the room what "it" refers to, then change "tired" to "full of milk". Only one word changed. -->

# %% [markdown]
# On Colab, first choose *File → Save a copy in Drive*: without a copy, what you write is lost when you close the page.
# Then run this cell. On Colab it installs the course's small package; on your own machine it does nothing.

# %% tags=["setup"]
from importlib.util import find_spec
if not find_spec("course_utils"):  # on Colab: install it, leave torch as it is
    # %pip install -q "course-utils @ git+https://github.com/OWNER--SET-ME/llm-inside@main"
assert find_spec("course_utils") and __import__("course_utils").__version__.startswith("2."), "Edition 2 of the course is not installed. If pip failed, it says above why: most often there is no network, or Python is older than 3.11. If another edition is in the way, run %pip uninstall -y course-utils. Then restart the kernel and begin again."

# %% [markdown]
# What this lesson builds stands finished in `course_utils.attention`. You build the main pieces here.

# %% tags=["imports"]
import math

import ipywidgets as widgets
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from course_utils import attention, exercises
from course_utils.classroom import (
    COLORS, Claims, Picture, explore, generator, progress, show, subplots, timed,
)
from course_utils.exercises import check, hint, solution

claims = Claims("02")

# %% [markdown]
# ## Averaging the past
#
# **Question.** So far each position knows its own token and nothing else. What is the crudest way to let it know what
# stood before it?
#
# Take the average: each position becomes the mean of itself and all positions before it. The future is off limits. A
# language model learns to predict the next token, and if it could see that token, there would be nothing to predict.

# %%
x = torch.tensor([[2.0], [4.0], [9.0], [1.0], [4.0]])  # (T, d): 5 positions, 1 feature
for t in range(5):
    print(f"position {t}: the mean of {x[: t + 1].flatten().tolist()} is {x[: t + 1].mean():g}")


# %% [markdown]
# A loop does one position after the other, and today's hardware is good at one thing: multiplying large matrices. Can a
# single product do all positions at once?
#
# First you need to say who may look at whom.
#
# ### Exercise 1 · the causal mask
#
# *Difficulty 1 of 3 · 3 minutes*
#
# In every such matrix of this course *the row asks and the column is looked at*. Row 2 holds what position 2 may see.

# %% tags=["exercise"]
def causal_mask(T: int) -> Tensor:
    """Say which positions each position may look at: itself and the past, never the future.

    Shapes: -> (T, T), bool. Row t, column s is True where s <= t: True means "may look".
    Raises: ValueError where T is not a whole number of at least 1.
    Source: Vaswani et al. 2017, section 3.2.3.

    >>> causal_mask(3).int()
    tensor([[1, 0, 0],
            [1, 1, 0],
            [1, 1, 1]], dtype=torch.int32)
    """
    ...


# %% tags=["check"]
causal_mask = check("attention.causal_mask", causal_mask)
# hint("attention.causal_mask")
# solution("attention.causal_mask")

# %% [markdown]
# ### Exercise 2 · average with one product
#
# *Difficulty 1 of 3 · 6 minutes*
#
# `x` may have more dimensions in front, such as a batch; they come along by themselves.

# %% tags=["exercise"]
def average_past_matrix(x: Tensor) -> Tensor:
    """Average each position with all positions before it: multiply by a lower-triangular matrix.

    Shapes: x (..., T, d) -> (..., T, d). Source: row t of it is 1/(t+1) for s <= t, else 0.

    >>> average_past_matrix(torch.tensor([[2.0], [4.0], [9.0]])).flatten()
    tensor([2., 3., 5.])
    """
    ...


# %% tags=["check"]
average_past_matrix = check("attention.average_past_matrix", average_past_matrix)
# hint("attention.average_past_matrix")
# solution("attention.average_past_matrix")

# %% [markdown]
# Is the product the loop? On random vectors, in a batch:

# %%
x = torch.randn(2, 6, 4, generator=generator(5))  # (B, T, d)
loop, product = attention.average_past_loop(x), average_past_matrix(x)
torch.testing.assert_close(loop, product)
print("the same to", "six digits" if (loop - product).abs().max() < 1e-6 else "fewer than six digits")

# %% [markdown]
# It is. Every way to mix positions in this lesson will be such a product: *a matrix of weights, times the vectors*.
# Only the weights will get better.
#
# ## Softmax: from scores to weights
#
# **Question.** The average treats a comma like the word that matters. A position should choose. Let it give each
# position a *score*, any number, high for what matters. How do scores become the weights of an average?
#
# Weights must be positive and sum to 1, and a higher score must give a higher weight. The *softmax* does it. With $s_i$
# for the score of position $i$ and $w_i$ for its weight:
#
# $$w_i = \frac{e^{s_i}}{\sum_j e^{s_j}}$$
#
# The exponential makes every number positive. The division makes them sum to 1.
#
# **Predict.** What happens to `exp` in a computer when a score is 10, 88, 89 or 1000?

# %%
print(torch.exp(torch.tensor([10.0, 88.0, 89.0, 1000.0])))


# %% [markdown]
# Above 88 a 32-bit number is full: `inf`, and `inf / inf` is not a number. The cure costs one line. Take the same number
# away from all scores: both sides of the fraction shrink by the same factor, and the weights stay as they are. Which
# number makes every exponent 0 or less?
#
# ### Exercise 3 · softmax
#
# *Difficulty 1 of 3 · 8 minutes*
#
# The *temperature* divides all scores first. `dim` says along which dimension the weights sum to 1.

# %% tags=["exercise"]
def softmax(x: Tensor, dim: int = -1, temperature: float = 1.0) -> Tensor:
    """Turn scores into positive weights that sum to 1 along `dim`, without overflow.

    Shapes: any -> the same, with the dtype of x; the arithmetic is float32 at least. Units: nats.
    A temperature above 1 flattens the weights, one below 1 sharpens them.
    Raises: TypeError for integers; ValueError for a temperature <= 0 or an infinite largest score.
    Source: Vaswani et al. 2017, section 3.2.1; temperature: Hinton et al. 2015, section 2.

    >>> softmax(torch.tensor([1000.0, 1000.0, -float("inf")]))
    tensor([0.5000, 0.5000, 0.0000])
    """
    ...


# %% tags=["check"]
softmax = check("attention.softmax", softmax)
# hint("attention.softmax")
# solution("attention.softmax")

# %% [markdown]
# Look at the last score of the example: $e^{-\infty} = 0$. A score of minus infinity removes a position *exactly*. That
# is how the mask will work.

# %%
T = 8
scores = 5 * torch.randn(1000, T, T, generator=generator(6))  # 1000 tables of scores (T, T)
hidden = scores.masked_fill(~causal_mask(T), -math.inf)  # the future gets -inf
weights = softmax(hidden)  # (1000, T, T)
future, past = weights[:, ~causal_mask(T)], weights[:, causal_mask(T)]
positive, sums = bool((past > 0).all()), bool(((weights.sum(-1) - 1).abs() < 1e-6).all())
print("largest weight on the future:", future.max().item())
print("the rest is positive:", positive, "and sums to 1 within a millionth:", sums)

# %% [markdown]
# Exactly 0 on the future, in eight thousand rows.

# %%
claims.add(
    "A1", "softmax gives positive numbers that sum to 1; e^-inf = 0 removes the future exactly",
    source="lecture", published=(True, True, 0), measured=(positive, sums, future.max().item()),
    reason="Positive; sum within 1e-6 of 1; largest weight on the future. On paper all others are "
           "positive. In 32 bits a weight far below the largest is rounded to 0.",
)


# %% [markdown]
# **What do equal scores give?** Equal weights: the average of the past again. So the average is a softmax in which nobody
# prefers anything. We draw the three ways next to each other.

# %%
def draw_map(ax, weights, words, title="", numbers=False):
    """Weights as colours: the row asks, the column is looked at."""
    ax.imshow(weights, vmin=0, vmax=1)
    ticks = range(len(words))
    ax.set(xticks=ticks, yticks=ticks, xticklabels=words, yticklabels=words, title=title)
    ax.grid(False)
    for t, s in [(t, s) for t in ticks for s in ticks if numbers and weights[t, s] > 0]:
        color = "white" if weights[t, s] < 0.6 else "black"
        ax.text(s, t, f"{weights[t, s]:.2f}", ha="center", va="center", color=color)


# %% [markdown]
# Left: what the loop does, read off by giving it a one-hot vector for each position. Middle: the mask divided by its row
# sums. Right: the softmax of zeros, with minus infinity on the future.

# %%
T = 5
mask = causal_mask(T)
by_loop = attention.average_past_loop(torch.eye(T))  # (T, T): who goes where
by_matrix = mask / mask.sum(-1, keepdim=True)
by_softmax = softmax(torch.zeros(T, T).masked_fill(~mask, -math.inf))
torch.testing.assert_close(by_loop, by_matrix)
torch.testing.assert_close(by_matrix, by_softmax)
fig, axes = subplots(1, 3, figsize=(10, 3.6))
draw_map(axes[0], by_loop, range(T), "loop", numbers=True)
draw_map(axes[1], by_matrix, range(T), "matrix", numbers=True)
draw_map(axes[2], by_softmax, range(T), "softmax", numbers=True)
show(fig, "Three equal lower-triangular maps: row t has weight 1/(t+1) on each column up to t.")

# %% [markdown]
# Three times the same matrix. The last form is the one that can learn: put other scores in place of the zeros.

# %%
three = [
    f(x)
    for f in (
        attention.average_past_loop,
        average_past_matrix,
        attention.average_past_softmax,
    )
]
same = all((one - three[0]).abs().max() < 1e-6 for one in three)
claims.add(
    "A3",
    "averaging the past is multiplication by a lower-triangular matrix",
    source="lecture",
    published=True,
    measured=same,
    reason="Loop, matrix and masked softmax agree within a millionth.",
)

# %% [markdown]
# ### How sharp is a softmax?
#
# The lecture says that softmax *amplifies the largest score and squeezes the rest, so that the result is sparse*. Sparse
# means: nearly all weights are 0. Is it so?
#
# **Predict.** The scores are 2, 1, 0 and −1. How many times larger is each weight than the next? And for 0.2, 0.1, 0, −0.1?

# %%
for scores in ([2.0, 1.0, 0.0, -1.0], [0.2, 0.1, 0.0, -0.1], [102.0, 101.0, 100.0, 99.0]):
    w = softmax(torch.tensor(scores))
    print(scores, "->", [round(v, 3) for v in w.tolist()], f"each {w[0] / w[1]:.2f} times the next")


# %% [markdown]
# The *ratio* of two weights is e to the power of the *difference* of their scores. A score of 2 is twice a score of 1,
# and its weight is 2.72 times as large: amplified. But 0.2 is twice 0.1 as well, and there the softmax flattens. The
# size of the scores does not matter at all: the last row, 100 higher, has the weights of the first.
#
# To measure sharpness you need one number. The *entropy* H = −Σ w ln w adds up over all weights w. It is 0 when one
# weight has everything, and ln n when all n are equal; its unit is the *nat*. Easier to picture is e to the power of H: the
# number of positions that effectively take part.

# %%
def entropy(weights):
    return -torch.special.xlogy(weights, weights).sum(-1)  # nats; 0 log 0 counts as 0


print("ten equal weights take part as", entropy(torch.full((10,), 0.1)).exp().round().item())


# %% [markdown]
# Ten positions, their scores evenly spaced. **Move both sliders.** One sets how far apart the highest and the lowest score
# are, the other sets the temperature. Can you undo one with the other?

# %%
def sharpness(spread, temperature):
    w = softmax(torch.linspace(-spread / 2, spread / 2, 10), temperature=temperature)
    ranges = torch.logspace(-1, 3, 200)
    curve = entropy(softmax(torch.linspace(-0.5, 0.5, 10) * ranges[:, None])).exp()
    fig, (left, right) = subplots(1, 2, figsize=(9.5, 3.8))
    left.bar(range(10), w)
    left.set(ylim=(0, 1), xlabel="position, by its score", ylabel="weight")
    right.semilogx(ranges, curve)
    right.plot(max(spread / temperature, 0.1), count := entropy(w).exp(), "o", markersize=14)
    right.set(xlabel="range of the scores / temperature", ylabel="positions taking part", ylim=(0, 10.5))
    assert abs(w.sum() - 1) < 1e-5
    return Picture(fig, f"Ten weights, the largest {w.max():.2f}: {count:.1f} positions take part.")


explore(
    sharpness,
    spread=widgets.FloatSlider(value=5, min=0, max=20, step=0.5, description="range of the scores"),
    temperature=widgets.FloatLogSlider(value=1, min=-1, max=1, step=0.05, description="temperature"),
)

# %% [markdown]
# Both sliders turn the same knob: only *range divided by temperature* counts. With a small range the softmax is nearly an
# average, and with a large one it picks a single winner.
#
# **Is a weight ever exactly 0?** On paper never. In 32 bits:

# %%
for gap in (20, 80, 120):
    print(
        f"{gap} below the largest score: "
        f"weight {softmax(torch.tensor([0.0, -gap]))[1].item():.0e}"
    )

# %% [markdown]
# **And twice?** A popular mistake is to apply softmax to what is already a softmax, for instance before a loss that does it
# by itself. **Predict.** Does a second softmax sharpen the weights or flatten them?

# %%
w = torch.tensor([8.0, 2.0, 1.0, 0.0, -3.0])
for times in range(1, 6):
    w = softmax(w)
    print(f"after {times}: {[round(v, 3) for v in w.tolist()]}  range {w.max() - w.min():.4f}")
assert w.max() - w.min() < 0.01

# %% [markdown]
# It flattens, every time. After the first softmax all numbers lie between 0 and 1, so the highest is at most 1 above the
# lowest, and the ratio of two weights is at most e. So much for amplifying.
#
# <!-- speaker: Worth a pause: the softmax before CrossEntropyLoss trains, slowly, and nobody notices. -->

# %%
pair = [softmax(torch.tensor(s)) for s in ([2.0, 1.0], [0.2, 0.1])]
ratios = [round((p[0] / p[1]).item(), 2) for p in pair]
claims.add(
    "A2", "softmax amplifies the largest logit and squeezes the rest (sparsity)",
    source="lecture", published="a score twice as large gets more than twice the weight",
    measured=f"scores 2 and 1: {ratios[0]} times; scores 0.2 and 0.1: {ratios[1]} times",
    holds=min(ratios) > 2,
    reason="Partly true. Only differences count: it amplifies scores that are far apart and flattens "
           "scores that are close. A weight is 0 only where 32 bits underflow, and softmax of softmax "
           "tends to equal weights.",
)

# %% [markdown]
# ## Queries, keys and values
#
# **Question.** Where do the scores come from?
#
# Think of a library. You come with a question. Each book has a catalogue card, which says what it is about, and
# the text itself, which you take home. In attention, all three are vectors, and each position has one of each:
#
# - its **query** q: what it is looking for;
# - its **key** k: what it offers to those who look;
# - its **value** v: what it hands over when it is found.
#
# The score of a position is the *dot product* of the query and its key: multiply feature by feature, add up. It is large
# when both are long and point the same way. Then softmax, then the average of the values.
#
# Five words with keys of two features that we made up. To the right: it is a thing. Upwards: it is alive, or something
# happens. The word *it* asks for a thing that is alive.

# %%
five = ["cat", "mat", "sat", "was", "because"]
keys = torch.tensor([[1.9, 0.9], [1.9, -0.9], [-0.2, 1.9], [-1.5, 1.0], [-1.3, -1.2]])  # (S, d)
values = torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.6, 0.0], [0.0, -1.6]])  # (S, d_v)
scores = keys @ torch.tensor([1.3, 0.75])  # (S,): the query of "it" with each key
weights = softmax(scores)  # (S,)
print({word: round(w, 2) for word, w in zip(five, weights.tolist(), strict=True)})
print("the output:", [round(v, 2) for v in (weights @ values).tolist()])


# %% [markdown]
# Now as a picture. Three small drawings: the arrows, the bars, and where the output lands among the values.

# %%
def draw_vectors(ax, query):
    arrow = {"arrowstyle": "->", "lw": 2.5, "shrinkA": 0, "shrinkB": 0}
    for word, (right, up) in zip(five, keys.tolist(), strict=True):
        ax.annotate("", (right, up), (0, 0), arrowprops=arrow | {"color": COLORS["blue"]})
        ax.text(1.15 * right, 1.15 * up, word, ha="center", va="bottom" if up > 0 else "top")
    thick = {"color": COLORS["vermillion"], "lw": 4}
    ax.annotate("", query.tolist(), (0, 0), arrowprops=arrow | thick)
    ax.set(xlim=(-3.2, 3.2), ylim=(-3.2, 3.2), title="keys, and the query (thick)", aspect="equal")


def draw_bars(ax, scores, weights):
    ax.barh(five, weights)
    for row, (score, weight) in enumerate(zip(scores, weights, strict=True)):
        ax.text(weight + 0.03, row, f"{score:+.1f} → {weight:.2f}", va="center", fontsize=12)
    ax.set(xlim=(0, 1.6), xticks=(0, 0.5, 1), title="score → weight")
    ax.invert_yaxis()


def draw_values(ax, weights, output):
    ax.scatter(*values.T, s=40 + 900 * weights, color=COLORS["sky"], edgecolor="black")
    for word, (right, up) in zip(five, values.tolist(), strict=True):
        ax.text(right, up + 0.45, word, ha="center")
    ax.plot(*output, "*", markersize=22, color=COLORS["vermillion"], markeredgecolor="black")
    ax.set(xlim=(-2.5, 2.5), ylim=(-2.5, 2.5), title="values, and the output (star)", aspect="equal")


# %% [markdown]
# **Turn the query, and make it longer.** Where can the star go, and where can it never go?

# %%
def look_around(angle, length):
    query = length * torch.tensor([math.cos(math.radians(angle)), math.sin(math.radians(angle))])
    scores = keys @ query  # (S,)
    weights = softmax(scores)
    output = weights @ values  # (d_v,)
    assert abs(weights.sum() - 1) < 1e-5 and (output.abs() <= values.abs().amax(0) + 1e-5).all()
    fig, axes = subplots(1, 3, figsize=(11, 3.8))
    draw_vectors(axes[0], query)
    draw_bars(axes[1], scores, weights)
    draw_values(axes[2], weights, output)
    top = five[weights.argmax()]
    return Picture(fig, f"The query looks most at {top}, with weight {weights.max():.2f}.")


explore(
    look_around,
    angle=widgets.IntSlider(value=30, min=-180, max=180, step=6, description="angle of the query"),
    length=widgets.FloatSlider(value=1.4, min=0, max=3, step=0.2, description="length of the query"),
)

# %% [markdown]
# The star never leaves the area between the values: attention *averages*, and an average cannot go beyond what it
# averages. With length 0 all scores are 0, and you have the plain average. A long query ends near one single value.
#
# You can turn the query far without any change of the winner. That is what makes attention forgiving: it looks for a
# direction, not for an exact match.
#
# ## Why divide by the square root of d?
#
# **Question.** The paper that made attention famous (Vaswani and others, 2017) divides each score by √d, where d is the
# number of features of a query. What is that good for?
#
# **Predict.** All features are random numbers of mean 0 and variance 1 (variance: the mean square of the distance from
# the mean). You go from d = 64 to d = 256. Does the typical size of a score stay, double, or grow fourfold?

# %%
g, spread = generator(7), {}
for d in (1, 4, 16, 64, 256, 1024):
    q, k = torch.randn(2, 20_000, d, generator=g)
    spread[d] = (q * k).sum(-1).var().item()
    print(f"d = {d:4}  variance of q·k: {spread[d]:7.1f}  divided by d: {spread[d] / d:.2f}")

# %% [markdown]
# A score is a sum of d products, and each product has variance 1. The variances of independent numbers add up: d. So the
# typical size, the square root of the variance, grows as √d: it doubles. Divide by √d, and it is 1 for every d.

# %%
claims.add(
    "A7", "scores need 1/sqrt(d): the variance of q·k is d",
    source="Vaswani 2017 §3.2.1", published=[1] * len(spread),
    measured=[round(variance / d, 2) for d, variance in spread.items()], tolerance=0.06,
    reason="Variance divided by d, for d from 1 to 1024. "
           "It holds for independent features of mean 0 and variance 1.",
)

# %% [markdown]
# The derivation needs independent numbers of mean 0. Trained queries and keys are neither, or no query would ever find its
# key. A mean of one half is enough to break it:

# %%
q, k = torch.randn(2, 20_000, 64, generator=generator(9)) + 0.5
print(f"variance of q·k, divided by d: {(q * k).sum(-1).var() / 64:.1f}")


# %% [markdown]
# **So what if scores are large?** Two things go wrong. The softmax picks one winner by chance. And it stops learning: where
# one weight is 1 and the rest 0, a small change of the scores changes nothing, so the gradient is 0.
#
# We measure both, on 64 keys and 500 queries: the entropy, and the *slope*, that is the norm of the matrix of
# derivatives of all weights by all scores.

# %%
def look(d, scale, n=500, S=64):
    g = generator(10)  # the same queries and keys, with and without the division
    q, k = torch.randn(n, 1, d, generator=g), torch.randn(n, S, d, generator=g)
    w = softmax((q @ k.mT / scale).squeeze(1))  # (n, S)
    jacobian = torch.diag_embed(w) - w[:, :, None] * w[:, None, :]  # (n, S, S): d weights / d scores
    return entropy(w).mean().exp().item(), jacobian.flatten(1).norm(dim=1).median().item()


sizes = [4, 16, 64, 256, 1024]
raw, scaled = ([look(d, d**power) for d in sizes] for power in (0, 0.5))
print(f"keys taking part at d = 1024: {raw[-1][0]:.0f} of 64; with the division {scaled[-1][0]:.0f}")

# %% [markdown]
# **Predict** the curves for smaller d before you look.

# %%
fig, (left, right) = subplots(1, 2, figsize=(9.5, 3.8))
for found, style, name in ((raw, "o-", "q·k"), (scaled, "s--", "q·k / √d")):
    left.semilogx(sizes, [keys_used for keys_used, _ in found], style, label=name)
    right.loglog(sizes, [slope for _, slope in found], style, label=name)
left.set(xlabel="d", ylabel="keys taking part, of 64", ylim=(0, 50))
right.set(xlabel="d", ylabel="slope of the softmax")
left.legend(loc="center right")
assert raw[-1][0] < 2 < 35 < scaled[-1][0] and scaled[-1][1] > 100 * raw[-1][1]
show(fig, "Without scaling one key of 64 is left at d = 1024, and no slope; scaled, both stay flat.")

# %% [markdown]
# With the division, as many keys take part at every d. Without it a single one is left, chosen by noise, and the slope falls
# to almost nothing. (It rises a little first: a softmax learns best when it is neither flat nor decided.)
#
# ## Hide the future before the softmax
#
# **Question.** You have a softmax over all positions, and the future has to go. Why not take the softmax first, and set the
# weights of the future to 0 afterwards?
#
# **Predict.** What does that do to the sum of each row? Can a word still feel what comes after it?
#
# A sentence of random vectors, random matrices for queries, keys and values, and three ways to mask:

# %%
sentence = "The cat sat down because it was tired".split()
T, d = len(sentence), 16
x, other = torch.randn(2, T, d, generator=generator(1))  # (T, d): the sentence, and replacements
w_q, w_k, w_v = torch.randn(3, d, d, generator=generator(2)) / math.sqrt(d)  # (d, d) each


def mixed(x, how):
    scores = (x @ w_q) @ (x @ w_k).T / math.sqrt(d)  # (T, T)
    if how == "mask before the softmax":
        scores = scores.masked_fill(~causal_mask(T), -math.inf)
    weights = softmax(scores)
    if how == "mask after the softmax":
        weights = weights * causal_mask(T)
    return weights @ (x @ w_v)  # (T, d)


# %% [markdown]
# Now an experiment instead of an argument. Replace one word by another, and look at which outputs move. A word that moves
# an output *before* it has leaked.

# %%
def moved(how):
    """(T, T): how far output t moves when word s is replaced, in lengths of the output."""
    y, columns = mixed(x, how), []
    for s in range(T):
        changed = torch.cat([x[:s], other[s : s + 1], x[s + 1 :]])  # (T, d)
        columns.append((mixed(changed, how) - y).norm(dim=1) / y.norm(dim=1))
    return torch.stack(columns, dim=1)


moves = {how: moved(how) for how in ("no mask", "mask after the softmax", "mask before the softmax")}
for how, change in moves.items():
    print(f"{how:<24} an output before the replaced word moves by up to {change.triu(1).max():.0%}")


# %% [markdown]
# **Switch the mask.** Blue is what may happen, orange is the future that leaked. On the right one word is replaced:
# choose it. A full bar means a move of 1 or more.
#
# <!-- speaker: Before you switch to "before": which cells will turn white? All of the upper triangle, exactly. -->

# %%
def leak(how, word):
    change, s = moves[how].clamp(max=1), sentence.index(word)  # (T, T)
    may = causal_mask(len(sentence))
    blue, orange = torch.tensor([[0.0, 0.45, 0.70], [0.84, 0.37, 0.0]])
    tint = torch.where(may[..., None], blue, orange)  # (T, T, 3)
    fig, (left, right) = subplots(1, 2, figsize=(10, 4.4), sharey=True)
    draw_map(left, 1 - change[..., None] * (1 - tint), sentence, how)
    left.axvspan(s - 0.5, s + 0.5, fill=False, linewidth=2)
    left.set(xlabel="replaced word", ylabel="output")
    left.tick_params(axis="x", rotation=60)
    colors = [COLORS["blue"] if allowed else COLORS["vermillion"] for allowed in may[:, s]]
    right.barh(sentence, change[:, s], color=colors)
    worst = change[:s, s].max().item() if s else 0.0
    right.set(xlim=(0, 1.05), xlabel="move of the output, in its own lengths")
    right.set_title(f"“{word}” replaced: the past moves {worst:.0%}")
    return Picture(fig, f"{how}: when {word!r} is replaced, outputs before it move up to {worst:.0%}.")


explore(
    leak,
    how=widgets.ToggleButtons(options=list(moves), value="mask after the softmax", description="mask"),
    word=widgets.SelectionSlider(options=sentence, value="tired", description="replaced"),
)

# %% [markdown]
# **Why.** No *value* of the future gets through; you have set its weights to 0. But the softmax divided by a sum, and the
# future was in that sum. Through the denominator each position knows how much the future would have interested it.
# The rows sum to less than 1, nothing crashes, the loss falls. That is why people overlook it.
#
# Could you divide by the row sum once more? On paper that repairs it completely. In 32 bits:

# %%
w = softmax(torch.tensor([0.0, 200.0])) * torch.tensor([1.0, 0.0])  # the second is the future
print("the past that is left:", w.tolist(), "after dividing by the sum:", (w / w.sum()).tolist())


# %% [markdown]
# The future took everything, and 0 / 0 is not a number. Mask *before* the softmax.
#
# ### Exercise 4 · attention weights
#
# *Difficulty 2 of 3 · 10 minutes*
#
# Everything so far in one function: the scores of all queries and all keys in one product, the division, the mask, the
# softmax. T positions ask, S positions can be looked at; often S = T.

# %% tags=["exercise"]
def attention_weights(q: Tensor, k: Tensor, mask: Tensor | None = None) -> Tensor:
    """Say how much each query looks at each key: softmax(q kᵀ / sqrt(d)), masked before it.

    Shapes: q (..., T, d), k (..., S, d), mask bool, broadcasts to (..., T, S), True = may look
    -> (..., T, S), where each row sums to 1.
    Raises: TypeError for a mask that is not bool; ValueError for shapes that do not fit and for
    a row of the mask that allows nothing.
    Source: Vaswani et al. 2017, section 3.2.1 (equation 1) and 3.2.3 (the mask).

    >>> attention_weights(torch.zeros(3, 8), torch.randn(3, 8), causal_mask(3))
    tensor([[1.0000, 0.0000, 0.0000],
            [0.5000, 0.5000, 0.0000],
            [0.3333, 0.3333, 0.3333]])
    """
    ...


# %% tags=["check"]
attention_weights = check("attention.attention_weights", attention_weights)
# hint("attention.attention_weights")
# solution("attention.attention_weights")

# %% [markdown]
# Weights times values: that is attention. $Q$, $K$ and $V$ hold the queries, keys and values of all positions as rows:
#
# $$\mathrm{attention}(Q, K, V) = \mathrm{softmax}\left(\frac{Q K^T}{\sqrt{d}}\right) V$$
#
# `attention.attention(q, k, v, mask)` is this line. **Does it keep its promise?** We replace each word in turn; no output before it
# may change by a single bit.

# %%
def causal(x):
    return attention.attention(x @ w_q, x @ w_k, x @ w_v, causal_mask(T))  # (T, d)


torch.testing.assert_close(causal(x), mixed(x, "mask before the softmax"))
for s in range(T):
    changed = torch.cat([x[:s], other[s:]])  # everything from word s on is replaced
    assert torch.equal(causal(changed)[:s], causal(x)[:s])
print("the past is the same, bit for bit, whatever follows")


# %% [markdown]
# ## One head
#
# **Question.** Each position has one vector x. Where do three vectors, q, k and v, come from?
#
# From three learned matrices. They are all that an attention *head* has to learn: what to ask, what to offer, what to hand
# over. All positions share them.
#
# ### Exercise 5 · a causal head
#
# *Difficulty 2 of 3 · 6 minutes*
#
# You may use `attention(q, k, v, mask)`, which is imported. The vectors x have d_model features, the queries and keys d.

# %% tags=["exercise"]
def causal_head(x: Tensor, w_q: Tensor, w_k: Tensor, w_v: Tensor) -> Tensor:
    """One causal attention head: each position asks, and averages values of itself and the past.

    Shapes: x (..., T, d_model); w_q, w_k (d_model, d), w_v (d_model, d_v) -> (..., T, d_v).
    Source: Vaswani et al. 2017, section 3.2.2 (head_i), with the mask of section 3.2.3.

    >>> x, zero = torch.eye(2), torch.zeros(2, 4)  # equal scores: the average of the past
    >>> causal_head(x, w_q=zero, w_k=zero, w_v=torch.tensor([[1.0], [3.0]])).flatten()
    tensor([1., 2.])
    """
    ...


# %% tags=["check"]
causal_head = check("attention.causal_head", causal_head)
# hint("attention.causal_head")
# solution("attention.causal_head")

# %% [markdown]
# **What does a head know about order?** Shuffle the first seven words of the sentence. **Predict.** Does the output at the
# eighth change?

# %%
order = [3, 0, 6, 2, 5, 1, 4, 7]  # the last word stays where it is
straight, shuffled = (
    causal_head(x, w_q, w_k, w_v),
    causal_head(x[order], w_q, w_k, w_v),
)
torch.testing.assert_close(straight[-1], shuffled[-1])
print("the last output is the same:", torch.allclose(straight[-1], shuffled[-1], atol=1e-6))


# %% [markdown]
# Not at all. For attention the past is a bag, not a row. *Dog bites man* and *man bites dog* look alike to the word that
# follows. That is why models add to each vector something that says *where* it stands. You do it in lesson 11, and lesson 03 looks
# at it closely.
#
# ## Many heads in one tensor
#
# **Question.** A head makes one average per position. *It* may want to look at *cat* for the meaning and at *because* for the
# grammar. One softmax cannot keep two interests apart. What now?
#
# Use H heads side by side, each with its own matrices and with only d = d_model / H features, so that all together
# cost as much as one large head. Their outputs are put next to each other, and one more matrix mixes them.
#
# In code nobody loops over heads. They are one more dimension of the tensor, before T and d, so that the same
# `attention` works on all of them at once. The dimensions must be cut and swapped in the right order.
#
# ### Exercise 6 · split the heads
#
# *Difficulty 2 of 3 · 6 minutes*

# %% tags=["exercise"]
def split_heads(x: Tensor, n_head: int) -> Tensor:
    """Cut the features into heads: head h gets the h-th block of d = d_model / n_head features.

    Shapes: x (B, T, d_model) -> (B, H, T, d).
    Raises: ValueError where n_head does not divide d_model. Source: Vaswani et al. 2017, 3.2.2.

    >>> split_heads(torch.arange(8).view(1, 2, 4), n_head=2).tolist()
    [[[[0, 1], [4, 5]], [[2, 3], [6, 7]]]]
    """
    ...


# %% tags=["check"]
split_heads = check("attention.split_heads", split_heads)
# hint("attention.split_heads")
# solution("attention.split_heads")

# %% [markdown]
# ### Exercise 7 · merge them again
#
# *Difficulty 1 of 3 · 4 minutes*

# %% tags=["exercise"]
def merge_heads(x: Tensor) -> Tensor:
    """Put the heads next to each other again: the inverse of `split_heads`.

    Shapes: x (B, H, T, d) -> (B, T, d_model). Source: Vaswani et al. 2017, section 3.2.2 (Concat).

    >>> merge_heads(torch.tensor([[[[0, 1], [4, 5]], [[2, 3], [6, 7]]]])).tolist()
    [[[0, 1, 2, 3], [4, 5, 6, 7]]]
    """
    ...


# %% tags=["check"]
merge_heads = check("attention.merge_heads", merge_heads)
# hint("attention.merge_heads")
# solution("attention.merge_heads")

# %% [markdown]
# `attention.MultiHeadAttention` puts it together. Its `c_attn` makes the queries, keys and values of all heads in one product, its
# `c_proj` is the matrix at the end; the names are GPT-2's. Here is its whole inside, by hand:

# %%
with torch.random.fork_rng():
    torch.manual_seed(0)  # the layers start with these random numbers
    mha, theirs = (
        attention.MultiHeadAttention(64, n_head=4),
        nn.MultiheadAttention(64, 4, batch_first=True),
    )
x = torch.randn(2, 10, 64, generator=generator(3))  # (B, T, d_model)
q, k, v = (
    split_heads(part, 4) for part in mha.c_attn(x).chunk(3, dim=-1)
)  # (B, H, T, d)
heads = attention.attention(q, k, v, causal_mask(10))  # (B, H, T, d)
by_hand = mha.c_proj(merge_heads(heads))  # (B, T, d_model)
torch.testing.assert_close(by_hand, mha(x))

# %% [markdown]
# **Is it what others mean by multi-head attention?** We give torch's own layer the same weights. Beware: in torch's layer a
# mask that is `True` *hides*. Ours, and torch's newer function further down, mean *may look*.

# %%
theirs.load_state_dict({
    "in_proj_weight": mha.c_attn.weight, "in_proj_bias": mha.c_attn.bias,
    "out_proj.weight": mha.c_proj.weight, "out_proj.bias": mha.c_proj.bias,
})
expected, _ = theirs(x, x, x, attn_mask=~causal_mask(10))  # (B, T, d_model)
torch.testing.assert_close(mha(x), expected)
print("our layer and torch's agree within a millionth:", torch.allclose(mha(x), expected, atol=1e-6))

# %% [markdown]
# **Do the heads share out one answer, or does each give its own?** The last matrix is linear, so it can be applied to one head
# at a time: the output is the *sum* of what the heads write. You will need that in lesson 03.

# %%
writes = mha.per_head(x)  # (B, H, T, d_model): what each head adds
torch.testing.assert_close(writes.sum(1) + mha.c_proj.bias, mha(x))
print("four heads and one bias add up to the output")

# %% [markdown]
# ## A cache for keys and values
#
# **Question.** A model *writes* one token at a time, and for each it looks at everything before. Must it compute all of
# that again?
#
# Keys and values of the past never change: the mask forbids the past to look at what is new. So keep them. A new token
# needs one query, one key and one value; the rest comes from the *key-value cache*.
#
# **Predict.** What happens to the output?

# %%
with torch.random.fork_rng():
    torch.manual_seed(0)
    layer, cache = attention.MultiHeadAttention(256, n_head=4), attention.KVCache()
x = torch.randn(1, 1024, 256, generator=generator(8))  # (B, T, d_model)
with torch.no_grad():
    whole = layer(x)
    steps = [layer(x[:, t : t + 1], kv_cache=cache) for t in range(1024)]  # (B, 1, d_model) each
torch.testing.assert_close(torch.cat(steps, dim=1), whole)
print("the cache changes nothing in the output; it holds", len(cache), "positions")

# %% [markdown]
# Nothing changes but the time. How long does *one more* token take on your machine?

# %% tags=["nbval-ignore-output"]
positions, cached, again = (16, 64, 128, 256, 512, 1024), [], []
for T in progress(positions, "timing"):
    cache = attention.KVCache()
    with torch.no_grad():
        layer(x[:, : T - 1], kv_cache=cache)  # the past
        cached.append(timed(lambda: layer(x[:, T - 1 : T], kv_cache=cache), repeats=9))
        again.append(timed(lambda: layer(x[:, :T])))
print(f"at position 512, {again[4] / cached[4]:.0f} times as fast with the cache here")


# %% [markdown]
# (While it is timed, the cache grows by a few positions. That does not matter here.) And the work of one more token, in the
# four matrices of the layer?

# %%
def matrix_flops(*args, **options):
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        layer(*args, **options)
    return counter.get_total_flops()


with_cache, whole_text = matrix_flops(x[:, :1], kv_cache=cache), matrix_flops(x[:, :512])
print(f"at position 512: {whole_text // with_cache} times less work with the cache")

# %% [markdown]
# And the time, position by position:

# %%
fig, ax = subplots()
ax.semilogy(positions, [1000 * s for s in again], "o-", label="the whole text again")
ax.semilogy(positions, [1000 * s for s in cached], "s--", label="with the cache")
ax.set(xlabel="position of the new token", ylabel="milliseconds for one token")
ax.legend()
assert whole_text == 512 * with_cache
show(fig, "Milliseconds for one more token on this machine, with the cache and without it.")

# %% [markdown]
# With the cache the line is nearly flat, not flat: the new query still looks at all keys.
#
# **What does it cost?** Memory, and much of it: two vectors for each position, in each layer.

# %%
assert cache.nbytes == 2 * len(cache) * 256 * 4  # k and v, positions, features, bytes
print(f"GPT-2, 12 layers of 768: {2 * 12 * 768 * 4:,} bytes a position in 32 bits")
full = 2 * 32 * 32 * 128 * 8192 * 2
print(f"32 layers of 32 heads of 128, 8192 positions in 16 bits: {full / 2**30:.0f} GiB for one text")

# %% [markdown]
# The last line has the sizes of Llama 3 8B, except for one thing: that model keeps only 8 heads of keys and values, and four
# *query* heads share each of them. This is called *grouped-query attention*. The cache gets four times smaller.
#
# ## What we verified
#
# Each claim with its source, what was published, and what you measured.

# %%
claims.show()

# %% [markdown]
# Your exercises: which pass, and which are still open.

# %% tags=["progress"] slideshow={"slide_type": "skip"}
exercises.progress("attention")

# %% [markdown]
# **What this lesson leaves out.** Real models put attention into blocks, with LayerNorm, an MLP and a path around them
# (lesson 03). Their positions are encoded in cleverer ways. Our tasks have 27 letters, one answer, and no ambiguity. We measured
# time on one CPU; on a graphics card the gains are larger, and the order of the lines may change. There are forms of attention
# whose cost does not grow with the square of T; they compute something else.
#
# ## Further reading
#
# - Bahdanau, Cho and Bengio 2014, [Neural Machine Translation by Jointly Learning to Align and Translate](https://arxiv.org/abs/1409.0473): attention before the Transformer.
# - Vaswani and others 2017, [Attention Is All You Need](https://arxiv.org/abs/1706.03762), section 3.
# - Hinton, Vinyals and Dean 2015, [Distilling the Knowledge in a Neural Network](https://arxiv.org/abs/1503.02531), section 2: the temperature.
# - Cho and others 2014, [Learning Phrase Representations using RNN Encoder–Decoder](https://arxiv.org/abs/1406.1078): the GRU.
# - Dao and others 2022, [FlashAttention](https://arxiv.org/abs/2205.14135): the fused kernel.
# - Shazeer 2019, [Fast Transformer Decoding: One Write-Head is All You Need](https://arxiv.org/abs/1911.02150): what the cache costs.
# - Ainslie and others 2023, [GQA: Training Generalized Multi-Query Transformer Models](https://arxiv.org/abs/2305.13245); its use in [The Llama 3 Herd of Models](https://arxiv.org/abs/2407.21783), table 3.
# - Elhage and others 2021, [A Mathematical Framework for Transformer Circuits](https://transformer-circuits.pub/2021/framework/index.html): heads that add up.
# - Jain and Wallace 2019, [Attention is not Explanation](https://arxiv.org/abs/1902.10186); Wiegreffe and Pinter 2019, [Attention is not not Explanation](https://arxiv.org/abs/1908.04626).
