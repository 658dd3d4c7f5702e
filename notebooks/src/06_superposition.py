# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 06 · Superposition: more features than dimensions
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/OWNER--SET-ME/llm-inside/blob/main/notebooks/06_superposition.ipynb) · [open this lesson in Colab](https://colab.research.google.com/github/OWNER--SET-ME/llm-inside/blob/main/notebooks/06_superposition.ipynb)
#
# **How can a layer of 100 numbers hold more than 100 properties of its input?** You train toy models that must squeeze many
# features into few dimensions, predict with two formulas when they do it, and see what it costs.
#
# **Time.** Running: about two minutes on CPU; about three minutes on a GPU, with larger models. Reading and exercises: about an hour.
#
# **What you will be able to do**
# - train a model that keeps five features in two dimensions, and say when it does and when it does not;
# - predict the phase diagram of superposition with two formulas, and count where training disagrees;
# - measure how much of a dimension each feature owns, and what happens to the others when you edit one.
#
# **Prerequisites.** Lesson 03 (the residual stream; ReLU). Dot products, length and angle of vectors; the mean of a uniform number.

# %% [markdown]
# On Colab, first choose *File → Save a copy in Drive*: without a copy, what you write is lost when you close the page.
# Then run this cell. On Colab it installs the course's small package; on your own machine it does nothing.

# %% tags=["setup"]
# @title Set-up: run this first
from importlib.util import find_spec
if not find_spec("course_utils"):  # on Colab: install it, leave torch as it is
    # %pip install -q "course-utils @ git+https://github.com/OWNER--SET-ME/llm-inside@main"
assert find_spec("course_utils") and __import__("course_utils").__version__.startswith("2."), "Edition 2 of the course is not installed. If pip failed, it says above why: most often there is no network, or Python is older than 3.11. If another edition is in the way, run %pip uninstall -y course-utils. Then restart the kernel and begin again."

# %% [markdown]
# What this lesson builds stands finished in `course_utils.superposition`. You build the main pieces here.

# %% tags=["imports"]
import math
from functools import partial

import ipywidgets as widgets
import torch
from matplotlib.colors import ListedColormap
from torch import Tensor
from torch.nn.functional import normalize

from course_utils import exercises, superposition
from course_utils.classroom import (
    COLORS, Claims, Picture, device, explore, generator, pick, progress, show, subplots,
)
from course_utils.exercises import check, hint, solution

claims = Claims("06")


# %% [markdown]
# ## Features that are seldom there
#
# **Question.** What is a *feature*? And what is special about the features of language?
#
# Say: a property of the input that the model may want to know, such as "this is about music" or "we are inside a quotation". Most of them are *absent* most of the time:
# few sentences are about music. We call that *sparse*. Our toy world has *n* features. Feature *i* is a number x_i: it is 0 with probability **S** (the *sparsity*), and else uniform between 0 and 1.
# The probability that it is there, *p* = 1 − S, is its *density*.
#
# ### Exercise 1 · a batch of features
#
# *Difficulty 2 of 3 · 10 minutes*
#
# We will train many models at once, each with a sparsity of its own: **N** models, called *instances*, live in one tensor. So `S` holds N numbers. B is the number of examples (`batch`). An S that is no probability below 1 is an error (`ValueError`).

# %% tags=["exercise"]
def feature_batch(S: Tensor, batch: int, n_features: int, generator: torch.Generator) -> Tensor:
    """Draw sparse features: each is 0 with probability S, else uniform between 0 and 1.

    Shapes: S (N,), one sparsity for each instance -> (N, batch, n_features), on S's device.
    The instances share their dice: they differ in sparsity only, which makes them easy to compare.
    Raises: ValueError unless 0 <= S < 1. Source: Elhage et al. 2022, section 2.

    >>> x = feature_batch(torch.tensor([0.0, 0.9]), 10_000, 5, torch.Generator().manual_seed(0))
    >>> x.shape, [round(share, 2) for share in (x == 0).float().mean((1, 2)).tolist()]
    (torch.Size([2, 10000, 5]), [0.0, 0.9])
    """
    ...


# %% tags=["check"]
feature_batch = check("superposition.feature_batch", feature_batch)
# hint("superposition.feature_batch")
# solution("superposition.feature_batch")

# %% [markdown]
# Whatever you wrote, the lesson goes on with ours, `superposition.feature_batch`. Three sparsities, forty examples each. **Predict**: how often do two features meet in one example, in the last picture?

# %%
x = feature_batch(torch.tensor([0.0, 0.7, 0.95]), 40, 10, generator(0))  # (N, B, n)
fig, axes = subplots(1, 3, figsize=(9.5, 3.2), sharey=True)
for ax, rows, S in zip(axes, x, (0, 0.7, 0.95), strict=True):
    image = ax.imshow(rows.T, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    ax.set(title=f"S = {S}", xlabel="example")
    ax.grid(False)
axes[0].set_ylabel("feature")
fig.colorbar(image, ax=axes, label="size")
assert (x[0] > 0).all() and (x[2] > 0).float().mean() < 0.1
show(fig, "Ten features in forty examples: all there, then three in ten, then one in twenty.")

# %% [markdown]
# In the last picture a feature is seldom there. And two at once? We count.

# %%
meetings = ((x > 0).sum(-1) > 1).float().mean(-1)  # (N,)
print("share of examples with two features or more:", [round(v, 1) for v in meetings.tolist()])


# %% [markdown]
# Rare features seldom meet. Remember that: it is the whole secret.
#
# ## The toy model
#
# **Question.** A model has to pass *n* features through *m* < *n* numbers and give them back. What will it do?
#
# The matrix *W*, of shape (*m*, *n*), squeezes: the hidden vector is *Wx*. The same matrix, transposed, reads it back. Then come a bias *b* and a ReLU:
#
# > x′ = ReLU(WᵀWx + b)
#
# Column *i* of *W*, written W_i, is the *direction* in which feature *i* is kept. If W_i = 0, it is not kept at all.
#
# ### Exercise 2 · through the hidden space and back
#
# *Difficulty 1 of 3 · 6 minutes*
#
# In the code the examples are rows, so *Wx* becomes `x @ W.mT`; `.mT` transposes the last two dimensions. With `linear=True` there is no ReLU.

# %% tags=["exercise"]
def reconstruct(x: Tensor, W: Tensor, b: Tensor, linear: bool = False) -> Tensor:
    """Squeeze features into the hidden space and read them back: x' = ReLU(WᵀWx + b).

    With `linear`, there is no ReLU.

    Shapes: x (..., B, n), W (..., m, n), b (..., n) -> (..., B, n). Source: Elhage et al. 2022.

    >>> W, b = torch.tensor([[1.0, -1.0]]), torch.zeros(2)  # two features in one dimension
    >>> reconstruct(torch.tensor([[0.5, 0.0], [0.0, 0.5], [0.5, 0.5]]), W, b)
    tensor([[0.5000, 0.0000],
            [0.0000, 0.5000],
            [0.0000, 0.0000]])
    """
    ...


# %% tags=["check"]
reconstruct = check("superposition.reconstruct", reconstruct)
# hint("superposition.reconstruct")
# solution("superposition.reconstruct")

# %% [markdown]
# Look at the worked example in the docstring. Two features share *one* number, in opposite directions. Each comes back whole when it is alone: the ReLU cuts off the negative answer of the other. Only when both
# are there, they cancel. If they seldom meet, that is a good bargain.
#
# ### Exercise 3 · the loss
#
# *Difficulty 1 of 3 · 5 minutes*
#
# Not all features matter alike. Feature *i* has an *importance* I_i, and the loss is the mean over the examples of Σ_i I_i (x_i − x′_i)².

# %% tags=["exercise"]
def weighted_loss(x: Tensor, y: Tensor, importance: Tensor) -> Tensor:
    """Return Σ_i I_i (x_i - y_i)² for each instance, averaged over its examples.

    Shapes: x and y (..., B, n), importance (n,) or (..., n) -> (...).
    Source: Elhage et al. 2022, section 2.

    >>> x, y = torch.tensor([[1.0, 0.0], [1.0, 1.0]]), torch.tensor([[1.0, 1.0], [0.0, 0.0]])
    >>> weighted_loss(x, y, importance=torch.tensor([1.0, 0.5]))
    tensor(1.)
    """
    ...


# %% tags=["check"]
weighted_loss = check("superposition.weighted_loss", weighted_loss)
# hint("superposition.weighted_loss")
# solution("superposition.weighted_loss")

# %% [markdown]
# `superposition.ToyModel` holds N such models in one tensor, and `superposition.train_toy` trains them all at once. They do not disturb each other: each has its own loss, and the sum of the losses is what is minimised. One hundred
# models so take little more time than one.
#
# **First, enough room**: five features, five dimensions. **Predict** WᵀW.

# %%
roomy = superposition.ToyModel(1, n_features=5, n_hidden=5, generator=generator(0))
superposition.train_toy(roomy, S=torch.tensor([0.7]), steps=1000, lr=0.02, generator=generator(1))
gram = (roomy.W.mT @ roomy.W)[0].detach()  # (n, n): the dot products of all pairs
print("largest overlap of two features:", round((gram - gram.diag().diag()).abs().max().item(), 1))
print("squared lengths:", [round(value, 1) for value in gram.diag().tolist()])

# %% [markdown]
# With enough room every feature has a direction of its own, orthogonal to all others. WᵀW is the identity, nothing is lost.
#
# ## Without the ReLU there is no superposition
#
# **Question.** Now two dimensions for the five features. What does the *linear* model do, at any sparsity?
#
# We give the features falling importance, 1, 0.8, 0.8², …, train six sparsities, and look at the lengths of the five directions. About 3 seconds.

# %%
sparsities = torch.tensor([0.0, 0.3, 0.6, 0.8, 0.9, 0.97])
falling = 0.8 ** torch.arange(5)
lengths = {}
for linear in (True, False):
    model = superposition.ToyModel(6, 5, 2, linear=linear, generator=generator(0))
    superposition.train_toy(model, sparsities, falling, steps=1500, lr=0.02, generator=generator(1))
    lengths[linear] = model.W.detach().norm(dim=-2)  # (N, n)

# %% [markdown]
# **Predict** both pictures: which features are kept, at which sparsity?

# %%
fig, axes = subplots(1, 2, figsize=(9.5, 3.4), sharey=True)
for ax, (linear, values) in zip(axes, lengths.items(), strict=True):
    image = ax.imshow(values.T, cmap="Blues", vmin=0, vmax=1.2, aspect="auto")
    ax.set(title="linear" if linear else "with ReLU", xlabel="sparsity S")
    ax.set(xticks=range(6), xticklabels=[f"{S:.2g}" for S in sparsities.tolist()])
    ax.grid(False)
axes[0].set_ylabel("feature, by importance")
fig.colorbar(image, ax=axes, label="length of W_i")
kept = {linear: (values > 0.5).sum(-1).tolist() for linear, values in lengths.items()}
assert kept[True] == [2] * 6 and kept[False][0] == 2 and kept[False][-1] == 5
show(fig, "Lengths: the linear model keeps two features at any sparsity, the ReLU model more and more.")

# %% [markdown]
# The linear model keeps the two most important features and forgets the rest, whatever the sparsity: it does what principal component analysis does. A linear model can never keep a third feature
# without paying for the interference at once. The ReLU model starts the same, but where features are rare it keeps four, and at last all five.

# %%
print("features kept, linear:   ", kept[True])
print("features kept, with ReLU:", kept[False])


# %% [markdown]
# ## Five features in a plane
#
# **Question.** How do five arrows share a plane?
#
# We take the paper's setting (importance 0.9^*i*), and two others for comparison: steeper, and all alike. Training can get stuck, so each setting gets six restarts, and the one with the lowest loss counts.

# %%
def best_of(losses, restarts):
    """Of each group of restarts the index of the one whose loss was lowest at the end."""
    last = losses[-200:].mean(0).view(-1, restarts)
    return last.argmin(-1) + restarts * torch.arange(len(last))


DENSITIES, DECAYS, RESTARTS = (1.0, 0.7, 0.5, 0.37, 0.26, 0.19, 0.1, 0.05), (0.7, 0.9, 1.0), 6

# %% [markdown]
# 144 models of 1500 steps take about 10 seconds.

# %%
plane = {}
S = (1 - torch.tensor(DENSITIES)).repeat_interleave(RESTARTS)  # (N,)
for decay in DECAYS:
    model = superposition.ToyModel(len(S), n_features=5, n_hidden=2, generator=generator(0))
    bar = partial(progress, desc=f"importance {decay}^i")
    importance = decay ** torch.arange(5)
    settings = dict(steps=1500, batch=128, lr=0.01, generator=generator(1), bar=bar)
    losses = superposition.train_toy(model, S, importance, **settings)
    best = best_of(losses, RESTARTS)
    plane[decay] = model.W.detach()[best], model.b.detach()[best]  # (8, 2, 5) and (8, 5)

# %% [markdown]
# Each arrow will be a feature, dark for important ones.

# %%
SHADES = ("#08306B", "#2171B5", "#4292C6", "#6BAED6", "#9ECAE1")


def arrows(ax, W):
    for w, shade in zip(W.T.tolist(), SHADES, strict=True):
        ax.plot([0, w[0]], [0, w[1]], "o-", color=shade, markevery=[1], linewidth=2.5)
    ax.set(xlim=(-1.35, 1.35), ylim=(-1.35, 1.35), xticks=(), yticks=(), aspect="equal")


# %% [markdown]
# From the left, features get rarer. **Predict** the last picture first.

# %%
fig, axes = subplots(1, 8, figsize=(12, 2.1))
for ax, W, p in zip(axes, plane[0.9][0], DENSITIES, strict=True):
    arrows(ax, W)
    ax.set_title(f"p = {p}", fontsize=12)
counts = [(W.norm(dim=0) > 0.5).sum().item() for W in plane[0.9][0]]
assert counts[0] == 2 and counts[4] == 4 and counts[-1] == 5
show(fig, f"Arrows of the features kept, from dense to sparse: {counts}, at last a regular pentagon.")


# %% [markdown]
# Three phases. Dense features: two are kept, at a right angle. Rarer ones: four, as two pairs of opposite arrows (the paper calls such a pair a *digon*). Very rare ones: all five, as a pentagon.
#
# ### A view of the plane
#
# <!-- speaker: Let somebody move the density alone, at importance 0.7, and say when the next feature will appear. Then do the same with all features alike. -->
# **Move both.** How must the importance change so that the pentagon comes earlier? On the right is WᵀW: its diagonal says how well a feature is kept, the rest says who disturbs whom (violet: same side, orange: opposite).

# %%
def plane_view(density, decay):
    W = plane[decay][0][DENSITIES.index(density)]
    gram, fractions = W.T @ W, superposition.feature_dimensionality(W)
    fig, (left, right) = subplots(1, 2, figsize=(8.5, 3.8))
    arrows(left, W)
    left.set_title(f"density {density}, importance {decay}^i")
    image = right.imshow(gram, cmap="PuOr", vmin=-1.3, vmax=1.3)
    right.set(title="WᵀW", xlabel="feature", ylabel="feature")
    right.grid(False)
    fig.colorbar(image, ax=right)
    kept = gram.diag() > 0.25
    alt = f"{kept.sum()} of 5 features kept in the plane; the largest |cosine| of two is "
    alt += f"{superposition.overlap(W[:, kept]):.1f}, each has {fractions[kept].mean():.1f} dimensions."
    return Picture(fig, alt)


explore(
    plane_view,
    density=widgets.SelectionSlider(options=DENSITIES, value=0.05, description="density p"),
    decay=widgets.SelectionSlider(options=DECAYS, value=0.9, description="importance, base"),
)

# %% [markdown]
# Importance decides who is kept first. Sparsity decides how many.

# %%
W = plane[0.9][0]
share = [
    sorted((round(v, 1) for v in superposition.feature_dimensionality(w).tolist()), reverse=True)
    for w in W
]
for p, values in zip(DENSITIES, share, strict=True):
    if p not in (0.7, 0.5):  # close to the borders between the phases
        print(f"p = {p:<5} dimensions for each feature: {values}")

# %% [markdown]
# (What these numbers mean, we come to in a moment: a digon's half is 0.5, a pentagon's fifth of two dimensions is 0.4.)

# %%
cosine = superposition.overlap(W[-1]).item()
claims.add(
    "P1", "sparse features let m dimensions hold n > m features, non-orthogonally",
    source="lecture; Elhage et al. 2022", published="n > m, not orthogonal",
    measured=f"{counts[-1]} features in 2 dimensions, largest cosine {cosine:.1f}; a linear model: 2",
    holds=counts[-1] == 5 and cosine > 0.5 and kept[True] == [2] * 6,
)

# %% [markdown]
# And the order in which the shapes come:

# %%
wanted = {1.0: [1, 1, 0, 0, 0], 0.26: [0.5, 0.5, 0.5, 0.5, 0], 0.05: [0.4] * 5}
found = {p: values for p, values in zip(DENSITIES, share, strict=True) if p in wanted}
claims.add(
    "P2", "n = 5, m = 2: antipodal pairs, then a pentagon, as sparsity grows",
    source="Elhage et al. 2022", published="pairs, then a pentagon",
    measured="; ".join(f"p = {p}: {values}" for p, values in found.items()),
    holds=all(abs(a - b) < 0.11 for p in wanted for a, b in zip(found[p], wanted[p], strict=True)),
)

# %% [markdown]
# ## A phase diagram, and its formula
#
# **Question.** When *exactly* is superposition worth it?
#
# Take the smallest case: two features, one dimension. Feature 0 has importance 1, feature 1 has importance I. There are three plain things to do:
#
# - keep feature 0 and answer the mean for feature 1. The price is I times the variance, and that is I (*p*/3 − *p*²/4);
# - the other way round: price *p*/3 − *p*²/4;
# - keep both, in opposite directions. That costs something only when both are there, with probability *p*²: price (1 + I) *p*²/6.
#
# The first two prices fall like *p*, the last one like *p*². So for small *p* superposition must win. Where is the border? Set the first price equal to the last: for I up to 1 it is at *p* = 4 I / (2 + 5 I). `superposition.ideal_losses` has the three formulas.

# %%
for S, I in ((0.5, 0.2), (0.2, 0.2), (0.5, 1.0)):
    names, prices = superposition.ideal_losses(torch.tensor(S), torch.tensor([1, I]))
    print(f"S = {S}, I = {I}:", dict(zip(names, [round(v, 3) for v in prices.tolist()], strict=True)))

# %% [markdown]
# **Does training find the cheapest?** A grid of 20 densities and 20 importances, with four restarts each: 1600 models. They are trained without any dice: the mean over all inputs is computed
# as a sum over well-chosen points (`sp.quadrature`). Here is how well that agrees with a million random examples.

# %%
W, b = plane[0.9][0][3], plane[0.9][1][3]
S, I = torch.tensor(1 - DENSITIES[3]), 0.9 ** torch.arange(5)
x = feature_batch(S[None], 1_000_000, 5, generator(7))[0]  # (B, n)
sampled = weighted_loss(x, reconstruct(x, W, b), I)
error = abs(superposition.expected_loss(W, b, S, I) / sampled - 1)
print(f"by points and by dice, the losses differ by less than 2 %: {error < 0.02}")


# %% [markdown]
# Now the diagrams: two features in one dimension, and three in two (there, the last feature's importance varies). It takes about 15 seconds.

# %%
def phase_diagram(n, cells, restarts):
    p = torch.linspace(0.05, 1, cells).repeat_interleave(cells)  # (cells²,)
    importance = torch.ones(cells**2, n)
    importance[:, -1] = torch.logspace(-1, 1, cells).repeat(cells)
    model = superposition.ToyModel(cells**2 * restarts, n, n - 1, generator=generator(0))
    S, I = (t.repeat_interleave(restarts, dim=0) for t in (1 - p, importance))
    bar = partial(progress, desc=f"n = {n}")
    losses = superposition.train_toy(model, S, I, steps=400, batch=None, lr=0.05, bar=bar)
    best = losses[-1].view(-1, restarts).argmin(-1) + restarts * torch.arange(cells**2)
    names, ideal = superposition.ideal_losses(1 - p, importance)
    return model.W.detach()[best], losses[-1][best], names, ideal


# %% [markdown]
# For each cell we keep the best restart and the prices of the formulas.

# %%
phases = {2: phase_diagram(2, cells=20, restarts=4), 3: phase_diagram(3, cells=12, restarts=8)}

# %% [markdown]
# We name each result by what happens to the *last* feature, whose importance varies: alone dropped, kept while another is dropped, paired with another, or alone while two others are paired.

# %%
KINDS = {"last dropped": ("drop", True), "another dropped": ("drop", False),
         "last in a pair": ("pair", True), "others in a pair": ("pair", False)}
COLORMAP = ListedColormap([COLORS[c] for c in ("sky", "orange", "vermillion", "purple")])


def kinds(n, names):
    """The kind of each name, as its place in KINDS, in a square grid."""
    keys = [(name.split()[0], str(n - 1) in name.split()) for name in names]
    side = math.isqrt(len(keys))
    return torch.tensor([list(KINDS.values()).index(key) for key in keys]).view(side, side)


# %% [markdown]
# In how many cells do the formulas and training name the same kind?

# %%
trained, predicted, agreement = {}, {}, {}
for n, (W, _, names, ideal) in phases.items():
    trained[n] = kinds(n, [superposition.geometry(w) for w in W])
    predicted[n] = kinds(n, [names[i] for i in ideal.argmin(-1)])
    agreement[n] = (trained[n] == predicted[n]).float().mean().item()
for n, share in agreement.items():
    print(f"n = {n}: formula and training agree in over {math.floor(20 * share) * 5} % of the cells")


# %% [markdown]
# Density goes upwards, importance to the right.

# %%
def draw_phases(ax, grid):
    ax.imshow(grid, cmap=COLORMAP, vmin=0, vmax=3, origin="lower", aspect="auto",
              extent=(-1, 1, 0.025, 1.025))
    ax.set(xlabel="importance of the last feature", ylabel="density p")
    ax.set(xticks=(-1, 0, 1), xticklabels=("0.1", "1", "10"))
    ax.grid(False)


# %% [markdown]
# Left what the formulas say, right what training found.

# %%
fig, axes = subplots(2, 2, figsize=(9, 7.4))
for row, n in zip(axes, phases, strict=True):
    for ax, grid, title in zip(row, (predicted[n], trained[n]), ("formula", "trained"), strict=True):
        draw_phases(ax, grid)
        ax.set(title=f"n = {n}, m = {n - 1}: {title}")
handles = [axes[0, 0].plot([], [], "s", color=COLORMAP(i), markersize=12)[0] for i in range(4)]
fig.legend(handles, list(KINDS), loc="outside lower center", ncols=4)
assert min(agreement.values()) > 0.85
show(fig, "Phase diagrams by formula and by training: the same regions; pairs where density is low.")

# %% [markdown]
# The regions are the same, with sharp borders: superposition does not fade in, it sets in. Along the borders the two differ. Why? The formulas allow lengths of 1 and 0 only. Training may choose any length and bias, and so finds losses
# that are *lower* than the formulas' best.

# %%
for n, (_, losses, _, ideal) in phases.items():
    gain, differ = losses / ideal.min(-1).values - 1, (trained[n] != predicted[n]).flatten()
    print(f"n = {n}: below the formulas by over 2 % somewhere: {gain.min() < -0.02}; "
          f"above them by 5 % anywhere: {gain.max() > 0.05}")
    print(f"       where the two disagree, above the formulas anywhere: {gain[differ].max() > 1e-3}")

# %% [markdown]
# So the disagreement is not a failure of training.

# %%
claims.add(
    "P4", "a phase change in the plane of sparsity and importance, n = 2 and m = 1",
    source="Elhage et al. 2022", published="sharp regions, as the best of three formulas",
    measured=f"over {math.floor(20 * agreement[2]) * 5} % of 400 cells agree; n = 3: over "
             f"{math.floor(20 * agreement[3]) * 5} % of 144",
    holds=agreement[2] > 0.9 and agreement[3] > 0.85,
    reason="Where they disagree, at the borders, training's loss is not above the formulas' best.",
)


# %% [markdown]
# ### A view of one cell
#
# **Choose a cell** and see what its model does, and what each of the three choices would have cost. Go along a border: how close are the prices there?

# %%
def cell_view(density, importance):
    W, losses, names, ideal = phases[2]
    k = 20 * round((density - 0.05) / 0.05) + round((importance + 1) * 19 / 2)
    fig, (left, middle, right) = subplots(1, 3, figsize=(11, 3.6))
    draw_phases(left, trained[2])
    left.plot(importance, density, "o", color="black", markersize=10, markerfacecolor="white")
    middle.axvline(0, color="black", linewidth=1)
    middle.barh(["feature 0", "feature 1"], W[k, 0], color=COLORS["blue"], height=0.4)
    middle.set(xlim=(-1.3, 1.3), xlabel="W", title=superposition.geometry(W[k]))
    prices = [*ideal[k].tolist(), losses[k].item()]
    right.barh([*names, "trained"], prices, color=COLORS["sky"], height=0.5)
    right.set(xlabel="loss")
    best = names[ideal[k].argmin()]
    found = superposition.geometry(W[k])
    alt = f"At density {density:.2f} training gives “{found}”; the cheapest is “{best}”."
    return Picture(fig, alt)


explore(
    cell_view,
    density=widgets.FloatSlider(0.3, min=0.05, max=1, step=0.05, description="density p"),
    importance=widgets.FloatSlider(
        0.0, min=-1, max=1, step=0.1, description="importance (power of 10)"
    ),
)


# %% [markdown]
# ## How much of a dimension does a feature own?
#
# **Question.** Two features in a digon share one dimension: half for each. Five in a pentagon share two: 2/5 for each. What about a feature in a crowd?
#
# For all features together there is D* = *m* / ‖W‖², where ‖W‖² sums all squared numbers of *W* and so counts the features that are kept. For a single one, Elhage and others define
#
# > D_i = ‖W_i‖² / Σ_j (Ŵ_i · W_j)²
#
# where Ŵ_i is W_i brought to length 1. Above stands how well feature *i* is kept; below stands everybody who has a part in its direction, itself included.
#
# ### Exercise 4 · feature dimensionality
#
# *Difficulty 2 of 3 · 10 minutes*
#
# A feature that is not kept has length 0 and dimensionality 0 (not nan).

# %% tags=["exercise"]
def feature_dimensionality(W: Tensor) -> Tensor:
    """Return D_i = ‖W_i‖² / Σ_j (Ŵ_i · W_j)²: the share of a dimension that each feature has for
    itself.

    Ŵ_i is W_i at length 1; j runs over all features, i too. A feature of length 0 has 0.
    Shapes: (..., m, n) -> (..., n). Source: Elhage et al. 2022, section "Feature dimensionality".

    >>> feature_dimensionality(torch.tensor([[1.0, -1.0, 0.0, 0.0], [0.0, 0.0, 2.0, 0.0]]))
    tensor([0.5000, 0.5000, 1.0000, 0.0000])
    """
    ...


# %% tags=["check"]
feature_dimensionality = check("superposition.feature_dimensionality", feature_dimensionality)
# hint("superposition.feature_dimensionality")
# solution("superposition.feature_dimensionality")

# %% [markdown]
# Now a larger world: 80 features of equal importance, 16 dimensions, 14 densities. (On a GPU: 400 features and 30 dimensions, as in the paper.) On a CPU it takes about 20 seconds.
#
# **Predict.** As features get rarer, D* falls from 1. Will it fall smoothly?

# %%
n, m = pick(cpu=(80, 16), gpu=(400, 30))
rarity = torch.logspace(0, 1.1, pick(cpu=14, gpu=30))  # 1 / p
S = (1 - 1 / rarity).to(device())
crowd = superposition.ToyModel(len(S), n, m, generator=generator(0, device()))
sizes = pick(cpu=(3000, 256), gpu=(10_000, 1024))
settings = dict(zip(("steps", "batch"), sizes, strict=True), lr=3e-3)
bar = partial(progress, desc=f"{n} features")
losses = superposition.train_toy(crowd, S, generator=generator(1, device()), bar=bar, **settings)

# %% [markdown]
# For each density: the dimensionality of each feature, and whether it is kept at all.

# %%
W = crowd.W.detach().cpu()  # (densities, m, n)
D, kept = feature_dimensionality(W), W.norm(dim=-2) > 0.5  # (densities, n) each
for world, i in (("densest", 0), ("rarest", -1)):
    share = kept[i].float().mean().item()
    said = "under half" if share < 0.5 else "over nine in ten" if share > 0.9 else f"{share:.0%}"
    print(f"of {n} features, the {world} world keeps {said}")

# %% [markdown]
# Each dot is a feature; the dotted lines are the fractions that the paper names. We call a fraction a *step* if over half of the features lie within 0.02 of it, at two densities or more.

# %%
FRACTIONS = {"3/4": 3 / 4, "2/3": 2 / 3, "1/2": 1 / 2, "2/5": 2 / 5, "3/8": 3 / 8}
ratios = {"width_ratios": (2.2, 1)}
fig, (left, right) = subplots(1, 2, figsize=(10.5, 4.4), sharey=True, gridspec_kw=ratios)
left.plot(rarity[:, None].expand_as(D)[kept], D[kept], ".", color=COLORS["blue"], alpha=0.35)
left.plot(rarity, superposition.dimensions_per_feature(W), color=COLORS["orange"], label="D*")
left.set(xscale="log", xlabel="1 / (1 − S)", ylabel="dimensions for a feature", ylim=(0, 1.05))
left.set(xticks=(1, 2, 5, 10), xticklabels=("1", "2", "5", "10"))
left.legend(loc="upper right")
right.hist(D[kept], bins=80, range=(0, 1), orientation="horizontal", color=COLORS["blue"])
right.set_xlabel("features")
for name, value in FRACTIONS.items():
    for ax in (left, right):
        ax.axhline(value, color="black", linestyle=":", linewidth=1)
    align = {"2/5": "bottom", "3/8": "top"}.get(name, "center")
    right.text(1.02, value, name, transform=right.get_yaxis_transform(), va=align)
near = {name: ((D - value).abs() < 0.02) & kept for name, value in FRACTIONS.items()}
steps = [name for name, close in near.items() if (close.sum(-1) > 0.5 * kept.sum(-1)).sum() > 1]
three = (rarity - 3).abs().argmin()
digons = (near["1/2"][three].sum() / kept[three].sum()).item()  # share of what is kept there
assert pick(cpu=digons > 0.6, gpu=True)
seen = "a flat step at 1/2, then a slope; the histogram has a peak at 1/2"
show(fig, f"Features over rarity: {seen if '1/2' in steps else 'no lasting step at 1/2'}.")

# %% [markdown]
# Does it fall smoothly? At 1 / (1 − *S*) = 3, count the features that sit at 1/2, in digons.

# %%
print("sitting at 1/2:", "most" if digons > 0.5 else "not most", "of the features that are kept there")
print("steps of the large run:", ", ".join(steps) or "none")

# %% [markdown]
# With 80 features there is a flat step between about 2 and 4. Below, the steps get short or are missing.
#
# **Do the shares add up to the number of dimensions?** In this trained model, nearly. It is no law: three arrows of length 1 at 0°, 45° and 90° fill the plane, and their shares add up to less than 2. Training finds *tight* arrangements, which leave no direction less used than another.

# %%
print(f"trained: Σ D_i is m, up to {(D.sum(-1) / m - 1).abs().max().item():.0%}")
fan = torch.tensor([[1.0, 0.5**0.5, 0.0], [0.0, 0.5**0.5, 1.0]])
print(f"0°, 45°, 90°: Σ D_i is {feature_dimensionality(fan).sum().item():.2f}, not 2")

# %% [markdown]
# **Where do the fractions come from?** Each belongs to a shape: points on a sphere that keep away from each other. So train one model for each shape: the number of corners, the dimensions it lives in, and a density at which it is best. It takes about 10 seconds.

# %%
SHAPES = {"tetrahedron": (4, 3, 0.56, "3/4"), "triangle": (3, 2, 0.6, "2/3"),
          "digon": (2, 1, 0.1, "1/2"), "pentagon": (5, 2, 0.05, "2/5"),
          "square antiprism": (8, 3, 0.05, "3/8")}
exactly, sampling = dict(batch=None, steps=1000, lr=0.03), dict(batch=256, steps=1500, lr=0.01)
found, spread, means, names = {}, {}, {}, {}
for shape, (n, m, p, fraction) in progress(SHAPES.items(), "shapes"):
    model = superposition.ToyModel(16, n, m, generator=generator(0))  # 16 restarts
    losses = superposition.train_toy(model, torch.full((16,), 1 - p), **(exactly if n < 5 else sampling))
    best = best_of(losses, 16)[0]
    W_shape = model.W.detach()
    found[shape] = superposition.arrangement(W_shape[best])
    spread[shape] = feature_dimensionality(W_shape[best])
    means[shape] = feature_dimensionality(W_shape).mean(-1)
    names[shape] = [superposition.arrangement(w) for w in W_shape]

# %% [markdown]
# The mean of the D_i cannot tell shapes apart: a digon and a lone feature have the mean 2/3 too. So the best model's shape is named by *each* D_i and by the Gram matrix. Beside it: how many of the 16 restarts have that shape, and the means of all 16.

# %%
for shape, (*_, fraction) in SHAPES.items():
    low, top = spread[shape].min().item(), spread[shape].max().item()
    print(f"{fraction} = {FRACTIONS[fraction]:.3f}: {found[shape]:<17} each D_i {low:.2f} to {top:.2f};",
          f"{names[shape].count(shape)} of 16;",
          f"means {means[shape].min():.2f} to {means[shape].max():.2f}")

# %% [markdown]
# The best of 16 has the shape in each case, with its fraction. Of the tetrahedron, the triangle and the digon, most or half of the restarts have the same mean and another shape. (The antiprism that is best for the loss is not exactly the one with 3/8.) Triangle and tetrahedron are best only in a narrow range of densities. For rarer features, one feature alone and a digon are cheaper.

# %%
shapes_found = all(found[s] == s and (spread[s] - FRACTIONS[f]).abs().max() < 0.03
                   for s, (*_, f) in SHAPES.items())
claims.add(
    "P3", "feature dimensionality sticks at 3/4, 2/3, 1/2, 2/5, 3/8",
    source="Elhage et al. 2022", published=", ".join(FRACTIONS),
    measured=f"large run: {', '.join(steps) or 'none'}; one small model for each shape: "
             + ("all five, each D_i within 0.03" if shapes_found else "not all five"),
    holds=set(steps) == set(FRACTIONS) and shapes_found,
    reason=f"The large run has {D.shape[-1]} features in {W.shape[-2]} dimensions and no other lasting "
           f"steps; the paper's has {'as many' if D.shape[-1] == 400 else '400 in 30'}. The shapes and "
           "their fractions are as published.",
)

# %% [markdown]
# ## Features that come together
#
# **Question.** So far the features knew nothing of each other. Real ones do: "music" and "concert" come together, "music" and "silence" do not. Who will share a dimension with whom?
#
# Four features, two dimensions, two pairs: 0 with 1, and 2 with 3. In one world the two of a pair always come together, in another never. The density *p* in a world's name is that of each feature alone. **Predict** who is opposite to whom. About 5 seconds.

# %%
together, never = superposition.paired_batch(True), superposition.paired_batch(False)
WORLDS = {
    "independent, p = 0.2": (feature_batch, 0.2),
    "together, p = 0.1": (together, 0.1),
    "together, p = 0.3": (together, 0.3),
    "never, p = 0.2": (never, 0.2),
}
grams, last = {}, {}
for world, (draw, p) in progress(WORLDS.items(), "worlds"):
    model, S = superposition.ToyModel(16, 4, 2, generator=generator(0)), torch.full((16,), 1 - p)
    losses = superposition.train_toy(
        model, S, steps=1000, lr=0.01, generator=generator(1), draw=draw
    )
    W = model.W.detach()[best_of(losses, 16)[0]]
    grams[world], last[world] = W.T @ W, losses[-200:].mean(0).min().item()

# %% [markdown]
# The picture shows WᵀW of the best model in each world. Violet means the same direction, orange the opposite one, as before.

# %%
fig, axes = subplots(1, 4, figsize=(12, 3.6), sharey=True)
for ax, (world, gram) in zip(axes, grams.items(), strict=True):
    image = ax.imshow(gram, cmap="PuOr", vmin=-1, vmax=1)
    ax.set(xlabel="feature", xticks=range(4), yticks=range(4))
    ax.set_title(world, fontsize=13)
    ax.grid(False)
axes[0].set_ylabel("feature")
fig.colorbar(image, ax=axes)
seldom, often, apart = (grams[w][0, 1].item() for w in list(WORLDS)[1:])
assert abs(seldom) < 0.3 and often > 0.3 and apart < -0.9
show(fig, "Features that never meet are opposite; those that come together are orthogonal, or merge.")

# %% [markdown]
# Independent features pair up with anybody: any partner is as good. Features that never meet share a dimension at no price at all: the loss is 0. Features that come together are put at a right angle, and their opposites are taken from the other pair. If they come often, they *merge*: one direction for both, which keeps their sum.

# %%
print("loss where pairs never meet, below 0.0001:", last["never, p = 0.2"] < 1e-4)
print("loss of independent features, above 0.01: ", last["independent, p = 0.2"] > 0.01)

# %% [markdown]
# ## How many directions fit?
#
# **Question.** The lecture says that in *N* dimensions there is room for far more than *N* nearly orthogonal directions. How many, and how nearly?
#
# Take *n* directions in *m* dimensions. Their *overlap* (or coherence) is the largest |cosine| between two of them. Welch (1974) proved that no arrangement is better than √((*n* − *m*) / (*m* (*n* − 1))). We compare with random directions, and with directions pushed apart by gradient descent.
# **Predict**: four times as many directions as dimensions. Which overlap have random ones, in 8 dimensions and in 64?

# %%
dims = (4, 8, 16, 32, 64)
overlaps = {"random": [], "pushed apart": [], "Welch bound": []}
for m in progress(dims, "pushing directions apart"):
    chance = torch.randn(m, 4 * m, generator=generator(m))
    pushed = superposition.spread_directions(4 * m, m, generator=generator(0))
    values = (
        superposition.overlap(chance).item(),
        superposition.overlap(pushed).item(),
        superposition.welch_bound(4 * m, m),
    )
    for name, value in zip(overlaps, values, strict=True):
        overlaps[name].append(value)

# %% [markdown]
# In angles: a cosine of 0.5 is 60°, of 0.2 it is 78°, of 0.1 it is 84°.

# %%
fig, ax = subplots(figsize=(8, 4))
for (name, values), mark in zip(overlaps.items(), "os^", strict=True):
    ax.plot(dims, values, f"{mark}-", label=name)
ax.set(xscale="log", xlabel="dimensions m", ylabel="overlap of 4 m directions", ylim=(0, 1))
ax.set(xticks=dims, xticklabels=dims)
ax.minorticks_off()
ax.legend()
for random, pushed, bound in zip(*overlaps.values(), strict=True):
    assert bound - 1e-4 <= pushed < random and pushed < 1.5 * bound
show(fig, "Overlap over dimensions: random directions far above the bound, pushed ones close; all fall.")

# %% [markdown]
# Gradient descent comes close to what is possible; random directions do not. But all curves fall with *m*: large spaces are generous. In 1000 dimensions, even 4000 *random* directions have a small overlap.

# %%
many = torch.randn(1000, 4000, generator=generator(0))
largest = superposition.overlap(many).item()
print(f"4000 random directions in 1000 dimensions: no cosine above 0.2: {largest < 0.2}")

# %% [markdown]
# So the lecture is right, with a footnote on the word "nearly".

# %%
near_enough = (overlaps["pushed apart"][1], 0.4), (overlaps["pushed apart"][4], 0.2), (largest, 0.2)
claims.add(
    "P7", "M much larger than N nearly orthogonal directions fit in N dimensions",
    source="lecture", published="M ≫ N",
    measured="M = 4 N: all cosines {} 0.4 in 8, {} 0.2 in 64 dimensions; 4000 in 1000, random: {} 0.2"
             .format(*("below" if value < most else "not below" for value, most in near_enough)),
    holds=all(value < most for value, most in near_enough),
    reason="True of large N. In few dimensions “nearly” is generous: at N = 8 angles of about 70°.",
)


# %% [markdown]
# ## Interference: you cannot touch one feature alone
#
# **Question.** Suppose a model has a dangerous feature, and you know its direction. You erase that direction from the hidden space. What happens to the other features?
#
# ### Exercise 5 · erase a direction
#
# *Difficulty 2 of 3 · 8 minutes*
#
# Take away from each hidden vector the part that lies along W_feature. W_feature need not have length 1. (Such an intervention is called an *ablation*.)

# %% tags=["exercise"]
def ablate(hidden: Tensor, W: Tensor, feature: int) -> Tensor:
    """Erase a feature's direction: take the part along W_feature away from each hidden vector.

    Shapes: hidden (..., B, m), W (..., m, n) -> (..., B, m).
    A feature of length 0 has no direction: nothing changes.

    >>> ablate(torch.tensor([[3.0, 4.0]]), torch.tensor([[0.0, 1.0], [2.0, 1.0]]), feature=0)
    tensor([[3., 0.]])
    """
    ...


# %% tags=["check"]
ablate = check("superposition.ablate", ablate)
# hint("superposition.ablate")
# solution("superposition.ablate")

# %% [markdown]
# We need a model with many features: 64 in 16 dimensions, each there in 3 % of the examples. It takes about 3 seconds. The last section will use it again.

# %%
toy = superposition.ToyModel(1, n_features=64, n_hidden=16, generator=generator(0))
rare = torch.tensor([0.97])
bar = partial(progress, desc="64 in 16")
superposition.train_toy(toy, rare, steps=1500, batch=512, lr=0.01, generator=generator(1), bar=bar)
W, b = toy.W.detach()[0], toy.b.detach()[0]  # (m, n), (n,)
x = feature_batch(rare, 50_000, 64, generator(2))[0]  # (B, n)
hidden = x @ W.T  # (B, m): what a model would show us
print("all 64 features are kept:", bool((W.norm(dim=0) > 0.8).all()))

# %% [markdown]
# Now erase each feature in turn. For every *other* feature *j* we take the root mean square of how much its output moved, over all examples. **Predict**: is that the same for all, or does the angle between the two matter?

# %%
plain = torch.relu(hidden[:4000] @ W + b)  # (B, n)
moved = torch.empty(64, 64)
for i in range(64):
    after = torch.relu(ablate(hidden[:4000], W, i) @ W + b)
    moved[i] = (after - plain).square().mean(0).sqrt()

# %% [markdown]
# Each dot is a pair: the feature that was erased, and another one that nobody wanted to touch.

# %%
unit, others = normalize(W, dim=0), ~torch.eye(64, dtype=torch.bool)
cosines, moves = (unit.T @ unit).abs()[others], moved[others]  # (64 · 63,) each
correlation = torch.corrcoef(torch.stack([cosines, moves]))[0, 1].item()
fig, ax = subplots(figsize=(7.5, 4))
ax.plot(cosines, moves, ".", alpha=0.25)
ax.set(xlabel="overlap with the erased feature (|cosine|)", ylabel="how far the output moved")
assert correlation > 0.8
show(fig, "Four thousand pairs: the greater the overlap, the more the untouched feature's output moves.")


# %% [markdown]
# The overlap tells how much a feature suffers. A feature at a right angle to the erased one is safe.
#
# **How bad is it in all?** We compare the error on the other 63 features before and after, and do the same in a model that has room for all its features.

# %%
def error_on_others(W, b, x, feature):
    """The squared error on all other features, before and after one feature's direction is erased."""
    hidden, rest = x @ W.T, torch.arange(x.shape[1]) != feature
    answers = [torch.relu(h @ W + b) for h in (hidden, ablate(hidden, W, feature))]
    return [(y - x)[:, rest].square().sum(-1).mean().item() for y in answers]


# %% [markdown]
# The first line is about superposition, the second about a model with 64 dimensions, one for each feature.

# %%
before, after = torch.tensor([error_on_others(W, b, x[:4000], i) for i in range(0, 64, 4)]).mean(0)
growth = (after / before - 1).item()
roomy_error = error_on_others(torch.eye(64), torch.zeros(64), x[:4000], 0)[1]
print(f"erasing one feature of 64: the error on the others grows by about {round(growth * 10) * 10} %")
print(f"with a dimension for each, their error is {roomy_error:.1f}")

# %% [markdown]
# This is a safety argument with a number. In superposition, an edit aimed at one feature hits all that overlap with it. You cannot know whom, unless you know the directions.

# %%
claims.add(
    "P5", "interference is the price: editing one feature disturbs others",
    source="lecture", published="others are disturbed",
    measured=f"overlap and effect: correlation over {math.floor(correlation * 10) / 10}; "
             f"erasing one feature of 64: others' error up by about {round(growth * 10) * 10} %",
    holds=correlation > 0.8 and growth > 0.1,
    reason="In proportion to the overlap: features at a right angle to the edited one do not notice.",
)


# %% [markdown]
# ### A view of an edit
#
# Here is the pentagon again. Feature 0 is there, with the size 0.8. **Add some of another feature** to the hidden vector, or take some away, and watch all five answers. Can you add feature 2 and touch nothing else?

# %%
def edit_view(feature, size):
    (W, b), x = (t[-1] for t in plane[0.9]), torch.tensor([[0.8, 0, 0, 0, 0]])
    hidden = x @ W.T  # (1, 2)
    edited = hidden + size * W[:, feature]
    before, after = (torch.relu(h @ W + b)[0] for h in (hidden, edited))
    fig, (left, right) = subplots(1, 2, figsize=(9.5, 3.8), gridspec_kw=dict(width_ratios=(1, 1.5)))
    arrows(left, W)
    for i, (a, c) in enumerate(W.T.tolist()):
        left.text(1.12 * a, 1.12 * c, str(i), ha="center", va="center")
    style = dict(color=COLORS["vermillion"], width=2)
    left.annotate("", edited[0].tolist(), hidden[0].tolist(), arrowprops=style)
    left.set(title="the hidden vector", xlim=(-1.5, 1.5), ylim=(-1.5, 1.5))
    places = torch.arange(5)
    right.bar(places - 0.2, before, width=0.38, color=COLORS["sky"], label="before")
    right.bar(places + 0.2, after, width=0.38, color=COLORS["vermillion"], label="after")
    right.set(title="what is read", xlabel="feature", ylim=(0, 2.2))
    right.legend()
    others = [i for i in range(5) if i != feature and abs(after[i] - before[i]) > 0.05]
    alt = f"{size:+.1f} of feature {feature}: its answer goes from {before[feature]:.1f} to "
    alt += f"{after[feature]:.1f}; untouched features that moved, too: {others or 'none'}."
    return Picture(fig, alt)


explore(
    edit_view,
    feature=widgets.IntSlider(2, 0, 4, description="feature"),
    size=widgets.FloatSlider(0.8, min=-1, max=1, step=0.1, description="size"),
)

# %% [markdown]
# In a pentagon, two features that are not neighbours add up to the one between them. So you add one, and the model reads a third, which nobody added.
#
# ## What we verified
#
# Each claim with its source, what was published, and what you measured.

# %%
claims.show()

# %% [markdown]
# Your exercises: which pass, and which are still open.

# %% tags=["progress"] slideshow={"slide_type": "skip"}
exercises.progress("superposition")

# %% [markdown]
# **What this lesson leaves out.** Our features are independent numbers that somebody chose; what the features of a language model are is an open question. Toy models also compute *in* superposition (Elhage and others, section on absolute values).
# Whether superposition is why neurons of large models are hard to read is a good hypothesis, not a fact.
#
# ## Further reading
#
# - Elhage and others 2022, [Toy Models of Superposition](https://transformer-circuits.pub/2022/toy_model/index.html).
# - Scherlis and others 2022, [Polysemanticity and Capacity in Neural Networks](https://arxiv.org/abs/2210.01892): who owns how much of a dimension.
# - Welch 1974, [Lower bounds on the maximum cross correlation of signals](https://doi.org/10.1109/TIT.1974.1055219).
