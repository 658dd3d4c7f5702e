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
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/OWNER--SET-ME/llm-inside/blob/main/notebooks/02_attention.ipynb) · [open this lesson in Colab](https://colab.research.google.com/github/OWNER--SET-ME/llm-inside/blob/main/notebooks/02_attention.ipynb)
#
# **A small trained model reads: *Mia hid the kite under the bed. She looked under the …* and writes *bed*. How does it
# find that word?** Below you see one part of the model, a *head*, at work on this text. You build every piece of it, and
# at the end the same picture is drawn by your own code.
#
# **Time.** Running: about half a minute on CPU; no GPU is used. About 85 minutes to read and do.
#
# **What you will be able to do**
# - write causal attention with many heads, and get the numbers of PyTorch's own;
# - say why there is a softmax in it, why a square root, and why the mask comes first;
# - find out whether a layer looks into the future;
# - read an attention map, and test whether what you read in it matters.
#
# **Prerequisites.** The last section of lesson 01 (ids become vectors). Python, what a product of two matrices is, and
# what a gradient is.
#
# <!-- speaker: Let the room guess which word the head looks at before you press anything. Then click other words and other heads. -->

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
import math
from collections.abc import Callable

import ipywidgets as widgets
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from course_utils import attention, exercises, pretrained
from course_utils.attention.inside import hidden_things, inside, replaced
from course_utils.classroom import (
    COLORS, Claims, Diagram, Picture, Source, explore, generator, predict, reveal, show, subplots,
)
from course_utils.exercises import check, hint, solution
from course_utils.intervals import mean_interval

NOTES = "Kiến trúc mô hình ngôn ngữ lớn (lecture notes)"
PAPER = "Vaswani et al. 2017, Attention Is All You Need"
LINK = "https://arxiv.org/abs/1706.03762"
talker = pretrained.trained(n_windows=1)  # the course's storyteller, trained on small stories
claims = Claims("02")

# %% [markdown]
# **Click a word, and choose a head.** The model has four layers of four heads. Head 0 of layer 3 (3.0) is shown first, at the
# last word: the model is about to write *bed*. What does this head look at?

# %% tags=["display"]
# @title A head of a trained model at work
text = "Her best friend was Leo. Mia hid the kite under the bed. She looked under the"
ids = talker.encode(text)  # (T,)
words = [talker.words[i] for i in ids]


def draw_head(head, t, weigh, title="weight"):
    """The query at word t above all keys up to t, scores, weights, values and their mixture."""
    T, d = head.q.shape
    weights = weigh(head.q, head.k, attention.causal_mask(T))[t, : t + 1].detach()  # (S,)
    scores = head.k[: t + 1] @ head.q[t] / d**0.5  # (S,)
    gap = torch.full((1, d), torch.nan)
    keys = torch.cat([head.q[t : t + 1], gap, head.k[: t + 1]])  # (S + 2, d)
    mixture = weights[None] @ head.v[: t + 1]  # (1, d)
    values = torch.cat([head.v[: t + 1], gap, mixture])  # (S + 2, d)

    words = head.words[: t + 1]
    rows = range(2, t + 3)
    fig, axes = subplots(1, 4, figsize=(11, 1.3 + 0.25 * (t + 4)), width_ratios=(3, 2, 2, 3))
    strips(axes[0], keys, 0, [f"query of “{words[-1]}”", "", *words], "query, and keys")
    bars(axes[1], rows, scores, "score q·k / √d", COLORS["orange"])
    bars(axes[2], rows, weights, title, COLORS["blue"])
    for row, weight in zip(rows, weights.tolist(), strict=True):
        if weight >= 0.05:
            axes[2].text(weight + 0.02, row, f"{weight:.2f}", va="center", fontsize=12)
    axes[2].set(xlim=(0, 1.25), xticks=(0, 0.5, 1))
    strips(axes[3], values, 2, [*words, "", "mixture"], "values, mixture")
    for ax in axes:
        ax.set_ylim(t + 4.5, -0.5)
    best = int(weights.argmax())
    alt = (
        f"Word {t}, “{words[-1]}”, looks most at word {best}, “{words[best]}”, with weight "
        f"{weights[best]:.2f}: "
        "its query, the keys, the scores, the weights, and the mixture of the values."
    )
    return Picture(fig, alt)


def strips(ax, table, first, names, title):
    """Each row of a table (rows, d) as a strip of colours, named on the left."""
    most = table.nan_to_num().abs().max()
    last = first + len(table)
    extent = (0, table.size(1), last - 0.5, first - 0.5)
    ax.imshow(table, cmap="RdBu_r", vmin=-most, vmax=most, aspect="auto", extent=extent)
    ax.set(xticks=(), yticks=range(first, last), yticklabels=names, title=title)
    ax.tick_params(axis="y", length=0)
    ax.grid(False)


def bars(ax, rows, lengths, title, color):
    ax.barh(rows, lengths, color=color)
    ax.axvline(0, color="black", linewidth=0.8)
    ax.set(yticks=(), title=title)


def look_inside(layer, head, word):
    seen = inside(talker.model, ids, words, layer, head)
    return draw_head(seen, word, attention.attention_weights)


explore(
    look_inside,
    grid={"word": [4, 8, 9, 12, 15, 17]},
    layer=widgets.ToggleButtons(options=range(4), value=3, description="layer"),
    head=widgets.ToggleButtons(options=range(4), value=0, description="head"),
    word=widgets.ToggleButtons(options=list(zip(words, range(18))), value=17, description="word"),
)

# %% tags=["display"]
# @title What will count, set before anything is measured
claims.expect(
    "A3", "averaging the past is multiplication by a lower-triangular matrix",
    source=Source(NOTES, "list of lessons: averaging the past"), published=0, tolerance=1e-6,
)
claims.expect(
    "A1",
    "softmax gives positive weights that sum to 1, and a score of minus infinity removes the future",
    source=Source(NOTES, "section on softmax"), published="sums of 1, nothing left of the future",
    criterion="in 1000 tables of scores with standard deviation 5 every sum is within 1e-6 of 1, "
              "the future has exactly 0 and the past more than 0",
    holds=lambda m: m[0] < 1e-6 and m[1] == 0 and m[2] > 0,
)
claims.expect(
    "A2", "softmax amplifies the largest score and squeezes the rest to nearly 0 (sparsity)",
    source=Source(NOTES, "section on softmax"), published="decides instead of wavering",
    criterion="of ten positions with evenly spaced scores at most 2 take part, "
              "whether the scores span 1, 5 or 20; partly where some do",
    holds=lambda m: max(m) <= 2, partly=lambda m: min(m) <= 2,
)
claims.expect(
    "A7", "for independent features of mean 0 and variance 1, the variance of q·k is d",
    source=Source(PAPER, "section 3.2.1, footnote 4", LINK), published=1, tolerance=0.06,
)
claims.criteria()

# %% [markdown]
# Read the blue bars first: this head gives most of its *weight* to *bed*. Where do the orange *scores* come from, how do
# they become weights, and what are the stripes?
#
# ## Averaging the past
#
# **Question.** So far each position knows its own token and nothing else. What is the crudest way to let it know what
# stood before it?
#
# Take the average: each position becomes the mean of itself and all positions before it. A model that could
# see the next token would have nothing to predict. A model that only looks back is **autoregressive**.

# %%
x = torch.tensor([[2.0], [4.0], [9.0], [1.0], [4.0]])  # (T, d): 5 positions, 1 feature
for t in range(5):
    print(f"position {t}: the mean of {x[: t + 1].flatten().tolist()} is {x[: t + 1].mean():g}")


# %% [markdown]
# A loop does one position after the other, and hardware is good at multiplying large matrices. Can a single product do
# all positions at once? First you need to say who may look at whom.
#
# ### Exercise 1 · the causal mask
#
# *Difficulty 1 of 3 · 3 minutes*
#
# In every such matrix of this course *the row asks and the column is looked at*. Row 2 holds what position 2 may see.
# The table of what each position may see, itself and the past, is the **causal mask**.

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

# %% tags=["display"]
# @title Is the product the loop? On random vectors, in a batch
x = torch.randn(2, 6, 4, generator=generator(5))  # (B, T, d)
apart_past = (attention.average_past_loop(x) - average_past_matrix(x)).abs().max().item()
print("largest difference between loop and product:", round(apart_past, 5))

# %% [markdown]
# Every way to mix positions in this lesson will be such a product: *a matrix of weights, times the
# vectors*. Only the weights will get better.
#
# ## Softmax: from scores to weights
#
# **Question.** The average treats a comma like the word that matters. Let a position give each other one a *score*, any
# number, high for what matters. How do scores become the weights of an average?
#
# A higher score must give a higher weight. The **softmax** makes positive weights that sum to 1 out of any scores, with
# $s_i$ for the score of position $i$ and $w_i$ for its weight:
#
# $$w_i = \frac{e^{s_i}}{\sum_j e^{s_j}}$$
#
# The exponential makes every number positive. The division makes them sum to 1. What does `exp` do with large scores?

# %%
print(torch.exp(torch.tensor([10.0, 88.0, 89.0])))


# %% [markdown]
# Above 88 a 32-bit number is full, and `inf / inf` is not a number. The cure: take the same number away from all scores.
# Both sides of the fraction shrink by the same factor. Which number makes every exponent 0 or less?
#
# ### Exercise 3 · softmax
#
# *Difficulty 1 of 3 · 8 minutes*
#
# The **temperature** divides all scores before the softmax. `dim` says along which dimension the weights sum to 1.

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
# is how the mask will work; the lecture notes call it "erasing the future completely". A thousand tables of random
# scores, with the future masked:

# %%
T = 8
may = causal_mask(T)
scores = 5 * torch.randn(1000, T, T, generator=generator(6))  # 1000 tables of scores (T, T)
weights = softmax(scores.masked_fill(~may, -math.inf))  # (1000, T, T)
off, left, least = (weights.sum(-1) - 1).abs().max(), weights[:, ~may].max(), weights[:, may].min()
print("largest weight on the future:", left.item())


# %% [markdown]
# **How sharp is a softmax?** The notes say that it *amplifies the largest values and squeezes the small ones to nearly 0,
# so that the model decides instead of wavering* (sparsity). Is it so?
#
# To measure sharpness you need one number. The **entropy** $H = -\sum w \ln w$ says how evenly the weights $w$ are spread.
# It is 0 when one weight has everything and $\ln n$ when all $n$ are equal. With natural logarithms the unit of entropy is
# the **nat**. Easier to picture is $e^H$, the number of positions that *take part*.

# %%
def taking_part(weights):
    return (-torch.special.xlogy(weights, weights).sum(-1)).exp()  # 0 log 0 counts as 0


print("ten equal weights:", round(taking_part(torch.full((10,), 0.1)).item(), 2))

# %% [markdown]
# A score twice as large: how many times the weight? Guess for 2 and 1, for 0.2 and 0.1, for 102 and 101.

# %%
for scores in ([2.0, 1.0], [0.2, 0.1], [102.0, 101.0]):
    first, second = softmax(torch.tensor(scores))
    print(scores, "->", f"{first / second:.2f} times")


# %% [markdown]
# The *ratio* of two weights is e to the power of the *difference* of their scores. Whether one score is twice another does
# not matter, nor does their size: the last pair, 100 higher, has the weights of the first.
#
# **Move both sliders.** Ten positions, their scores evenly spaced: how far apart, says one slider; the other is the
# temperature. Can you undo one with the other?

# %% tags=["display"]
# @title Ten weights, by the range of their scores and the temperature
def sharpness(spread, temperature):
    w = softmax(torch.linspace(-spread / 2, spread / 2, 10), temperature=temperature)
    ranges = torch.logspace(-1, 3, 100)
    curve = taking_part(softmax(torch.linspace(-0.5, 0.5, 10) * ranges[:, None]))
    fig, (left, right) = subplots(1, 2, figsize=(9.5, 3.6))
    left.bar(range(10), w)
    left.set(ylim=(0, 1), xlabel="position, by its score", ylabel="weight")
    right.semilogx(ranges, curve)
    right.plot(max(spread / temperature, 0.1), count := taking_part(w), "o", markersize=14)
    right.set(xlabel="range of the scores / temperature", ylabel="positions taking part", ylim=(0, 10.5))
    assert abs(w.sum() - 1) < 1e-5
    return Picture(fig, f"Ten weights, the largest {w.max():.2f}: {count:.1f} positions take part.")


explore(
    sharpness,
    spread=widgets.FloatSlider(value=5, min=0, max=20, step=0.5, description="range of the scores"),
    temperature=widgets.FloatLogSlider(value=1, min=-1, max=1, step=0.05, description="temperature"),
)

# %%
part = [taking_part(softmax(torch.linspace(0, span, 10))).item() for span in (1.0, 5.0, 20.0)]
print("of ten, taking part at a range of 1, 5, 20:", [round(n, 1) for n in part])

# %% tags=["display"]
# @title Measured so far: averaging, the mask, sparsity
assert part[0] > 9 and part[1] > part[2] and part[2] < 2
claims.measure("A3", apart_past, shown="less than a millionth apart")
claims.measure(
    "A1", [off.item(), left.item(), least.item()],
    shown="sums within a millionth of 1; 0 on the future; above 0 on the past",
)
claims.measure(
    "A2", part, shown=" / ".join(f"{n:.1f}" for n in part),
    reason="Only differences count. Scores that are far apart are amplified, scores that are close are "
           "flattened, and for evenly spaced scores the range divided by the temperature decides.",
)

# %% [markdown]
# For evenly spaced scores *range divided by temperature* decides: a small one gives nearly an average, a large one a single
# winner. Two scores that are equally high share, however far the rest. A learned layer can have any of these.
#
# ## Queries, keys and values
#
# **Question.** Where do the scores come from?
#
# Think of a library: you come with a question, each book has a card that says what it is about, and a text to
# take home. Each position has three vectors:
#
# - the **query** q, what a position looks for;
# - the **key** k, what a position offers to others;
# - the **value** v, what a position hands over when found.
#
# The score is the *dot product* of query and key, large when both are long and point the same way. Softmax makes them
# weights. An average of values, weighted by how well their keys match a query of the same text, is **self-attention**.

# %% tags=["display"]
# @title One head, as a diagram
d = Diagram()
x_box = d.box("x  (T, d_model)", 0, 0, width=3.0)
q_box, k_box = d.box("queries", -3.2, 2, color="vermillion"), d.box("keys", 0, 2, color="orange")
v_box = d.box("values", 3.2, 2, color="green")
for target, name in ((q_box, "W_q"), (k_box, "W_k"), (v_box, "W_v")):
    d.arrow(x_box, target, name)
scores_box = d.box("scores  q·k / √d", -1.6, 4, width=3.2, color="yellow")
weights_box = d.box("mask, then softmax", -1.6, 5.8, width=3.6, color="blue")
mixture_box = d.box("mixture of values", 1.6, 7.6, width=3.4, color="green")
for start, end, name in (
    (q_box, scores_box, ""), (k_box, scores_box, ""),
    (scores_box, weights_box, "(T, T)"), (weights_box, mixture_box, "weights"),
):
    d.arrow(start, end, name)
d.arrow(v_box, mixture_box, bend=0.15)
d.picture(
    "One head: x goes through W_q, W_k and W_v to queries, keys and values. Queries and keys give "
    "scores, divided by the square root of d; they are masked, then softmax makes weights, and the "
    "weights mix the values."
)

# %% [markdown]
# Five words with keys of two features that we made up. To the right: it is a thing. Upwards: it is alive, or something
# happens. The word *it* asks for a thing that is alive.

# %%
five = ["cat", "mat", "sat", "was", "because"]
keys = torch.tensor([[1.9, 0.9], [1.9, -0.9], [-0.2, 1.9], [-1.5, 1.0], [-1.3, -1.2]])  # (S, d)
values = torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.6, 0.0], [0.0, -1.6]])  # (S, d_v)
weights = softmax(keys @ torch.tensor([1.3, 0.75]))  # (S,): the query of "it" with each key
print({word: round(w, 2) for word, w in zip(five, weights.tolist(), strict=True)})
print("the output:", [round(v, 2) for v in (weights @ values).tolist()])


# %% [markdown]
# **Turn the query, and make it longer.** Where can the star go, and where can it never go?

# %% tags=["display"]
# @title A query among five keys
def draw_vectors(ax, query):
    arrow = {"arrowstyle": "->", "lw": 2.5, "shrinkA": 0, "shrinkB": 0}
    for word, (right, up) in zip(five, keys.tolist(), strict=True):
        ax.annotate("", (right, up), (0, 0), arrowprops=arrow | {"color": COLORS["blue"]})
        ax.text(1.15 * right, 1.15 * up, word, ha="center", va="bottom" if up > 0 else "top")
    ax.annotate("", query.tolist(), (0, 0), arrowprops=arrow | {"color": COLORS["vermillion"], "lw": 4})
    ax.set(xlim=(-3.2, 3.2), ylim=(-3.2, 3.2), title="keys, and the query (thick)", aspect="equal")


def look_around(angle, length):
    query = length * torch.tensor([math.cos(math.radians(angle)), math.sin(math.radians(angle))])
    scores = keys @ query  # (S,)
    weights = softmax(scores)
    output = weights @ values  # (d_v,)
    assert abs(weights.sum() - 1) < 1e-5 and (output.abs() <= values.abs().amax(0) + 1e-5).all()
    fig, (left, middle, right) = subplots(1, 3, figsize=(11, 3.8))
    draw_vectors(left, query)
    middle.barh(five, weights)
    for row, (score, weight) in enumerate(zip(scores, weights, strict=True)):
        middle.text(weight + 0.03, row, f"{score:+.1f} → {weight:.2f}", va="center", fontsize=12)
    middle.set(xlim=(0, 1.6), xticks=(0, 0.5, 1), title="score → weight")
    middle.invert_yaxis()
    right.scatter(*values.T, s=40 + 900 * weights, color=COLORS["sky"], edgecolor="black")
    for word, (x, y) in zip(five, values.tolist(), strict=True):
        right.text(x, y + 0.45, word, ha="center")
    right.plot(*output, "*", markersize=22, color=COLORS["vermillion"], markeredgecolor="black")
    right.set(xlim=(-2.5, 2.5), ylim=(-2.5, 2.5), title="values, and the output (star)", aspect="equal")
    top = five[weights.argmax()]
    return Picture(fig, f"The query looks most at {top}, with weight {weights.max():.2f}.")


explore(
    look_around,
    angle=widgets.IntSlider(value=30, min=-180, max=180, step=6, description="angle of the query"),
    length=widgets.FloatSlider(value=1.4, min=0, max=3, step=0.2, description="length of the query"),
)

# %% [markdown]
# The star never leaves the area between the values: attention *averages*. With length 0 all scores are 0, and you have
# the plain average. A long query ends near one value, unless two keys match it equally well.
#
# ## Why divide by the square root of d?
#
# **Question.** The paper that made attention famous (Vaswani and others, 2017) divides each score by √d, where d is the
# number of features of a query. What is that good for?

# %% tags=["display"]
# @title Predict: four times as many features
predict(
    "attention.root",
    "All features are random numbers of mean 0 and variance 1. "
    "From d = 64 to d = 256 the typical size of a score …",
    ["stays", "doubles", "grows fourfold"],
)

# %%
g, spread = generator(7), {}
for d in (1, 4, 16, 64, 256, 1024):
    q, k = torch.randn(2, 20_000, d, generator=g)
    spread[d] = (q * k).sum(-1).var().item()
    print(f"d = {d:4}  variance of q·k: {spread[d]:7.1f}  divided by d: {spread[d] / d:.2f}")

# %% tags=["display"]
# @title Measured: the typical size of a score
growth = math.sqrt(spread[256] / spread[64])
assert abs(growth - 2) < 0.1
worst = max((variance / d for d, variance in spread.items()), key=lambda ratio: abs(ratio - 1))
claims.measure("A7", worst, shown=f"variance / d is {worst:.2f} where it is furthest from 1")
reveal("attention.root", {1: "stays", 2: "doubles", 4: "grows fourfold"}[round(growth)])


# %% [markdown]
# A score is a sum of d products of variance 1, and variances of independent numbers add up: d. So the typical size, the
# square root, grows as √d. Divide by √d, and it is 1 for every d. Trained queries and keys are not independent, or no
# query would find its key: the division is for the start of training.
#
# **So what if scores are large?** The softmax picks one winner by chance, and it stops learning: where one weight is 1
# and the rest 0, the gradient is 0. We measure both, on 64 keys and 500 queries. The *slope* is the norm of the matrix of
# derivatives of all weights by all scores.

# %%
def look(d, scale, n=500, S=64):
    g = generator(10)  # the same queries and keys, with and without the division
    q, k = torch.randn(n, 1, d, generator=g), torch.randn(n, S, d, generator=g)
    w = softmax((q @ k.mT / scale).squeeze(1))  # (n, S)
    jacobian = torch.diag_embed(w) - w[:, :, None] * w[:, None, :]  # (n, S, S): d weights / d scores
    return taking_part(w).mean().item(), jacobian.flatten(1).norm(dim=1).median().item()


sizes = [4, 16, 64, 256, 1024]
raw, scaled = ([look(d, d**power) for d in sizes] for power in (0, 0.5))
print(f"keys taking part at d = 1024: {raw[-1][0]:.0f} of 64; with the division {scaled[-1][0]:.0f}")

# %% tags=["display"]
# @title Keys that take part, and the slope, by d
fig, (left, right) = subplots(1, 2, figsize=(9.5, 3.6))
for found, style, name in ((raw, "o-", "q·k"), (scaled, "s--", "q·k / √d")):
    left.semilogx(sizes, [keys_used for keys_used, _ in found], style, label=name)
    right.loglog(sizes, [slope for _, slope in found], style, label=name)
left.set(xlabel="d", ylabel="keys taking part, of 64", ylim=(0, 50))
right.set(xlabel="d", ylabel="slope of the softmax")
left.legend(loc="center right")
assert raw[-1][0] < 2 < 30 < scaled[-1][0] and scaled[-1][1] > 100 * raw[-1][1]
show(fig, "Without scaling one key of 64 is left at d = 1024, and no slope; scaled, both stay flat.")

# %% [markdown]
# With the division, as many keys take part at every d. Without it one is left, chosen by noise, and for most queries
# hardly any slope.
#
# ## Where does the mask go?
#
# **Question.** You have a softmax over all positions, and the future has to go. Why not take the softmax first, and set the
# weights of the future to 0 afterwards?

# %% tags=["display"]
# @title Predict: masking after the softmax
predict(
    "attention.after",
    "The weights of the future are set to 0 after the softmax. A later word is replaced. "
    "The outputs before it …",
    ["stay as they are", "move"],
)

# %% [markdown]
# Random vectors, and three ways to mask:

# %%
T, d = 8, 16
x = torch.randn(T, d, generator=generator(1))  # (T, d)
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
# Do not argue, test. Which of the three lets a position feel what comes after it?
#
# ### Exercise 4 · a test for leaks
#
# *Difficulty 2 of 3 · 8 minutes*
#
# You are given a layer as a function. You cannot look inside, you can only feed it.

# %% tags=["exercise"]
def leaks(attend: Callable[[Tensor], Tensor], x: Tensor) -> bool:
    """Find out whether a layer lets a position feel what comes after it.

    Shapes: x (T, d), random numbers; attend maps (T, d) to (T, any). True means: it leaks.

    >>> x = torch.tensor([[1.0], [2.0], [4.0]])
    >>> leaks(lambda x: x.cumsum(0), x), leaks(lambda x: x.flip(0), x)
    (False, True)
    """
    ...


# %% tags=["check"]
leaks = check("attention.leaks", leaks)
# hint("attention.leaks")
# solution("attention.leaks")

# %% [markdown]
# Your test on the three layers:

# %%
verdicts = {}
for how in ("no mask", "mask after the softmax", "mask before the softmax"):
    verdicts[how] = leaks(lambda x, how=how: mixed(x, how), x)
    print(f"{how:<24}", "leaks" if verdicts[how] else "keeps the future out")

# %% tags=["display"]
# @title Measured: masking after the softmax
assert list(verdicts.values()) == [True, True, False]
reveal("attention.after", "move" if verdicts["mask after the softmax"] else "stay as they are")


# %% [markdown]
# **Why.** With the mask after the softmax no *value* of the future gets through. But the softmax divided by a sum, and
# the future was in that sum: through the denominator each position knows how high the future's scores were.
# The rows sum to less than 1, nothing crashes, the loss falls. That is why people overlook it.
#
# ### Exercise 5 · attention weights
#
# *Difficulty 2 of 3 · 10 minutes*
#
# Everything so far in one function. T positions ask, S can be looked at. Dot products, divided by √d, masked, and then a
# softmax: that is **scaled dot-product attention**.

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
# ## One head
#
# **Question.** Each position has one vector x. Where do three vectors, q, k and v, come from?
#
# An **attention head** has three learned matrices, which all positions share: one makes q of x, one k, one v.
#
# ### Exercise 6 · a causal head
#
# *Difficulty 2 of 3 · 6 minutes*
#
# The vectors x have d_model features, the queries and keys d. Your functions of the exercises before are at hand.

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

# %% tags=["display"]
# @title Predict: another order
predict(
    "attention.order",
    "The first seven of eight words are shuffled. The output of your head at the eighth word …",
    ["stays as it is", "changes"],
)

# %%
order = [3, 0, 6, 2, 5, 1, 4, 7]  # the last word stays where it is
straight, shuffled = causal_head(x, w_q, w_k, w_v), causal_head(x[order], w_q, w_k, w_v)
print("the last output moves by", round((straight[-1] - shuffled[-1]).abs().max().item(), 4))

# %% tags=["display"]
# @title Measured: another order
same_last = torch.allclose(straight[-1], shuffled[-1], atol=1e-5)
assert same_last and not torch.allclose(straight[-2], shuffled[-2], atol=0.01)
reveal("attention.order", "stays as it is" if same_last else "changes")


# %% [markdown]
# For one head the past is a bag: *dog bites man* and *man bites dog* look alike to the word that follows. So models add
# to each vector something that says *where* it stands (lessons 03 and 11).
#
# ## Many heads in one tensor
#
# **Question.** A head makes one average per position, and one softmax cannot keep two interests apart. What now?
#
# Give each head only d = d_model / H features, so that together they cost as much as one. H heads side by side, and a
# matrix that mixes their outputs, are **multi-head attention**. In code the heads are one more dimension,
# before T and d.
#
# ### Exercise 7 · split the heads
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
# ### Exercise 8 · merge them again
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
# Now all of it together, out of your own pieces. `c_attn` makes the queries, keys and values of all heads in one product,
# `c_proj` is the matrix at the end; the names are GPT-2's.

# %%
def multi_head(x, c_attn, c_proj, n_head):
    q, k, v = (split_heads(part, n_head) for part in c_attn(x).chunk(3, dim=-1))  # (B, H, T, d)
    weights = attention_weights(q, k, causal_mask(x.size(1)))  # (B, H, T, T)
    return c_proj(merge_heads(weights @ v))  # (B, T, d_model)


# %% [markdown]
# **Is it what others mean by multi-head attention?** We give torch's own layer the same weights. Beware: in torch's layer a
# mask that is `True` *hides*. Yours means *may look*.

# %%
with torch.random.fork_rng():
    torch.manual_seed(0)  # the layers start with these random numbers
    c_attn, c_proj = nn.Linear(64, 192), nn.Linear(64, 64)
    theirs = nn.MultiheadAttention(64, 4, batch_first=True)
theirs.load_state_dict({
    "in_proj_weight": c_attn.weight, "in_proj_bias": c_attn.bias,
    "out_proj.weight": c_proj.weight, "out_proj.bias": c_proj.bias,
})
x = torch.randn(2, 10, 64, generator=generator(3))  # (B, T, d_model)
expected, _ = theirs(x, x, x, attn_mask=~causal_mask(10))  # (B, T, d_model)
apart = (multi_head(x, c_attn, c_proj, 4) - expected).abs().max().item()
print("largest difference between yours and torch's:", round(apart, 5))
assert apart < 1e-5


# %% [markdown]
# ## A cache for keys and values
#
# **Question.** A model *writes* one token at a time, and for each it looks at everything before. Must it compute all of
# that again?
#
# Keys and values of the past never change, since the past may not look at what is new. A new token needs only its own
# query, key and value; all earlier keys and values are kept in the **key-value cache**.
#
# ### Exercise 9 · one step with a cache
#
# *Difficulty 2 of 3 · 6 minutes*

# %% tags=["exercise"]
def cached_step(
    x: Tensor, w_q: Tensor, w_k: Tensor, w_v: Tensor, keys: Tensor, values: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Let a head read one more token: keep its key and its value, ask with its query.

    Shapes: x (1, d_model); w_q, w_k (d_model, d), w_v (d_model, d_v); keys (S, d) and values
    (S, d_v) of the S tokens before, S may be 0 -> output (1, d_v), keys (S + 1, d), values
    (S + 1, d_v). Source: Shazeer 2019, section 2.4.

    >>> x = torch.tensor([[1.0], [2.0]])
    >>> one, two = torch.ones(1, 1), torch.tensor([[2.0]])
    >>> y, keys, values = cached_step(x[:1], one, one, two, torch.zeros(0, 1), torch.zeros(0, 1))
    >>> y.item(), keys.tolist(), values.tolist()
    (2.0, [[1.0]], [[2.0]])
    """
    ...


# %% tags=["check"]
cached_step = check("attention.cached_step", cached_step)
# hint("attention.cached_step")
# solution("attention.cached_step")

# %% [markdown]
# Word by word through the cache, and all words at once through your head: is there a difference? And how much less work is
# the last word?

# %%
x = torch.randn(256, 64, generator=generator(8))  # (T, d_model)
w = [torch.randn(64, 16, generator=generator(seed)) / 8 for seed in (11, 12, 13)]  # (d_model, d) each
past_keys, past_values, rows = torch.zeros(0, 16), torch.zeros(0, 16), []
for t in range(256):
    y, past_keys, past_values = cached_step(x[t : t + 1], *w, past_keys, past_values)
    rows.append(y)
with FlopCounterMode(display=False) as again:
    whole = causal_head(x, *w)
with FlopCounterMode(display=False) as step:
    cached_step(x[-1:], *w, past_keys[:-1], past_values[:-1])
print("largest difference:", round((torch.cat(rows) - whole).abs().max().item(), 3))
print("times less work for the last word:", again.get_total_flops() // step.get_total_flops())


# %% [markdown]
# The outputs are the same, for the work of one position instead of all. What it costs is memory: two vectors for
# each position, in each head of each layer. Lesson 09 measures the time, lesson 11 makes the cache smaller.
#
# ## Back to the head that knew
#
# **Question.** You have built every piece. Is it the thing that you saw in the first picture?
#
# The picture again, and now the scores, the mask and the softmax in it are *yours*:

# %% tags=["display"]
# @title The same head, drawn by your functions
def look_again(layer, head, word):
    found = inside(talker.model, ids, words, layer, head)
    return draw_head(found, word, attention_weights, "weight, by your code")


explore(
    look_again,
    grid={"word": [4, 8, 9, 12, 15, 17]},
    layer=widgets.ToggleButtons(options=range(4), value=3, description="layer"),
    head=widgets.ToggleButtons(options=range(4), value=0, description="head"),
    word=widgets.ToggleButtons(options=list(zip(words, range(18))), value=17, description="word"),
)

# %% [markdown]
# **Does what you read in it matter?** A map of weights shows where a head *looks*. It does not show that the model *uses*
# it (Jain and Wallace 2019). So let a head average its past instead, and ask what the model then says: on forty texts like
# the first one, with other names, things and places, and for every head in turn.

# %% tags=["display"]
# @title Predict: the head without its look
predict(
    "attention.cut",
    "With every head as it is, the model gives the right place a probability of about 0.8. "
    "With head 3.0 averaging, it is …",
    {"above 0.6": (0.6, 1.01), "0.3 to 0.6": (0.3, 0.6), "below 0.3": (0.0, 0.3)},
)

# %%
asked = hidden_things(40)
texts = torch.stack([talker.encode(text) for text, _ in asked])  # (n, T)
places = torch.tensor([talker.words.index(place) for _, place in asked])  # (n,)


def chance_of_place():
    with torch.no_grad():
        return talker.model(texts)[:, -1].softmax(-1)[torch.arange(len(asked)), places]  # (n,)


whole = chance_of_place()
def weight_on_place(text, place):
    text_ids = talker.encode(text)
    text_words = [talker.words[i] for i in text_ids]
    head = inside(talker.model, text_ids, text_words, 3, 0)
    weights = attention_weights(head.q, head.k, causal_mask(len(text_ids)))  # (T, T)
    return weights[-1, text_words.index(place)].item()


with replaced(talker.model, 3, 0, attention_weights):
    yours = chance_of_place()
print("with your weights:", round((whole - yours).abs().max().item(), 4), "difference")
for name, start in (("whole texts", 0), ("without their first sentence", 1)):
    found = [weight_on_place(text.split(". ", start)[-1], place) for text, place in asked]
    print(f"weight on the place, {name}: {sum(found) / len(found):.2f}")


# %% [markdown]
# With *your* attention weights the model says the same. And the head looks for a place, not for word 12: without the first
# sentence the place is word 7. Now each head in turn averages its past.

# %%
def average(q, k, mask):
    return mask / mask.sum(-1, keepdim=True)


cost = {}
for layer in range(4):
    for head in range(4):
        with replaced(talker.model, layer, head, average):
            cost[f"{layer}.{head}"] = whole - chance_of_place()  # (n,)
print(f"as it is {whole.mean():.2f}; head 3.0 averages {(whole - cost['3.0']).mean():.2f}")

# %% tags=["display"]
# @title What each head is worth for the place
found = {name: mean_interval(values) for name, values in cost.items()}
fig, ax = subplots(figsize=(9, 3.6))
means, halves = zip(*found.values())
ax.bar(list(found), means, yerr=halves, capsize=4)
ax.axhline(0, color="black", linewidth=0.8)
ax.set(xlabel="layer.head that averages its past", ylabel="probability lost")
others = max(mean for name, (mean, _) in found.items() if name != "3.0")
assert abs(whole.mean() - 0.8) < 0.05 and (whole - yours).abs().max() < 1e-4
assert found["3.0"][0] - found["3.0"][1] > 0.3 > 3 * others
show(fig, "Probability of the right place lost when a head averages: much for 3.0, little for others.")
reveal("attention.cut", (whole - cost["3.0"]).mean().item(), ".2f")

# %% [markdown]
# Averaged, head 3.0 costs most of the probability; averaging another costs less than a third of that, on these texts. (A
# head that averages already, such as 0.1, can cost nothing here.) Lesson 14 asks how the query came to ask for a place.
#
# ## What we verified
#
# Each claim with its source.

# %% tags=["display"]
# @title The claims
claims.show()

# %% tags=["display", "progress"] slideshow={"slide_type": "skip"}
# @title Your exercises
exercises.progress("attention")

# %% [markdown]
# **What this lesson leaves out.** Real models put attention into blocks, with LayerNorm, an MLP and a path around them
# (lesson 03), and encode positions in cleverer ways (lesson 11). Our model has 699 words and reads stories of one kind; the
# heads of large models are less easy to read.
#
# ## Further reading
#
# - Bahdanau, Cho and Bengio 2014, [Neural Machine Translation by Jointly Learning to Align and Translate](https://arxiv.org/abs/1409.0473): attention before the Transformer.
# - Vaswani and others 2017, [Attention Is All You Need](https://arxiv.org/abs/1706.03762), section 3.
# - Hinton, Vinyals and Dean 2015, [Distilling the Knowledge in a Neural Network](https://arxiv.org/abs/1503.02531), section 2: the temperature.
# - Shazeer 2019, [Fast Transformer Decoding: One Write-Head is All You Need](https://arxiv.org/abs/1911.02150): what the cache costs.
# - Elhage and others 2021, [A Mathematical Framework for Transformer Circuits](https://transformer-circuits.pub/2021/framework/index.html): heads that add up.
# - Jain and Wallace 2019, [Attention is not Explanation](https://arxiv.org/abs/1902.10186); Wiegreffe and Pinter 2019, [Attention is not not Explanation](https://arxiv.org/abs/1908.04626).
