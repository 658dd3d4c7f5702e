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
# **How do more features fit than there are dimensions?** You train toy models that squeeze many features into few numbers,
# derive when that pays, and measure what it costs to touch one of them.
#
# **Time.** Running: about one minute on CPU; no GPU is needed. About 76 minutes to read and do.
#
# **What you will be able to do**
# - train a model that keeps five features in two dimensions, and derive when it does;
# - tell shapes apart by each feature's share of a dimension, and say how many directions fit;
# - say what scale does to superposition, and whom it harms when you erase one feature.
#
# **Prerequisites.** Lesson 03 (the residual stream; ReLU). Dot products, length and angle of vectors; the mean of a uniform number.

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

import ipywidgets as widgets
import torch
from matplotlib.colors import ListedColormap
from torch import Tensor
from torch.nn.functional import normalize

from course_utils import exercises, superposition
from course_utils.classroom import (
    COLORS, Claims, Diagram, Picture, Source, explore, generator, predict, reveal, show, subplots,
)
from course_utils.exercises import check, hint, solution
from course_utils.intervals import mean_interval
from course_utils.superposition import ToyModel, train_toy

claims = Claims("06")

# %% [markdown]
# **Move both.** Five arrows in a plane: each is a property that a small model must remember, and it has two numbers to do so.
# How rare must the properties be until all five are kept?

# %% tags=["display"]
# @title Five features in two dimensions: how rare, how unequal?
RARE = (1.0, 0.5, 0.37, 0.26, 0.19, 0.1, 0.05)
UNEQUAL = (0.7, 0.9, 1.0)
TINTS = ("blue", "orange", "green", "purple", "vermillion")
shown_W = {}
for decay in UNEQUAL:
    shown = ToyModel(4 * len(RARE), n_features=5, n_hidden=2, generator=generator(3))
    S = (1 - torch.tensor(RARE)).repeat_interleave(4)
    losses = train_toy(
        shown, S, decay ** torch.arange(5), steps=1000, batch=128, lr=0.015, generator=generator(1)
    )
    least = losses[-200:].mean(0).view(-1, 4).argmin(-1) + 4 * torch.arange(len(RARE))
    shown_W[decay] = shown.W.detach()[least]


def arrows(ax, W):
    for i, (a, c) in enumerate(W.T.tolist()):
        ax.plot([0, a], [0, c], "o-", color=COLORS[TINTS[i]], markevery=[1], linewidth=2.5)
        if math.hypot(a, c) > 0.3:
            ax.text(1.22 * a, 1.22 * c, str(i), ha="center", va="center", fontsize=12)
    ax.set(xlim=(-1.6, 1.6), ylim=(-1.6, 1.6), xticks=(), yticks=(), aspect="equal")


def draw_plane(density, decay):
    W = shown_W[decay][RARE.index(density)]
    fig, (left, right) = subplots(1, 2, figsize=(8.5, 3.8))
    arrows(left, W)
    left.set_title(f"each there in {density:.0%} of the examples")
    image = right.imshow(W.T @ W, cmap="PuOr", vmin=-1.3, vmax=1.3)
    right.set(title="dot products WᵀW", xlabel="feature", ylabel="feature")
    right.set(xticks=range(5), yticks=range(5))
    right.grid(False)
    fig.colorbar(image, ax=right)
    kept = int((W.norm(dim=0) > 0.5).sum())
    return Picture(
        fig, f"{kept} of 5 features are kept in the plane: {superposition.arrangement(W)}."
    )


explore(
    draw_plane,
    density=widgets.SelectionSlider(options=RARE, value=0.05, description="density p"),
    decay=widgets.SelectionSlider(options=UNEQUAL, value=0.9, description="importance, base"),
)

# %% tags=["display"]
# @title What will count, set before anything is measured
ELHAGE = "https://transformer-circuits.pub/2022/toy_model/index.html"
NOTES = "Scaling laws and AI safety (lecture notes)"


def elhage(section):
    return Source("Elhage et al. 2022, Toy Models of Superposition", section, ELHAGE)


claims.expect(
    "P1",
    "sparse features let m dimensions hold n > m features, non-orthogonally",
    source=Source(NOTES, "3.1 dimensions"),
    published="n > m, not orthogonal",
    criterion="at the lowest density a ReLU model keeps all five features in two dimensions "
    "with a largest "
    "|cosine| above 0.5, and a linear model keeps two at each of six sparsities",
    holds=lambda m: m["kept"] == 5 and m["cosine"] > 0.5 and m["linear"] == 2,
)
claims.expect(
    "P2",
    "n = 5, m = 2: antipodal pairs, then a pentagon, as sparsity grows",
    source=elhage("introduction"),
    published="pairs, then a pentagon",
    criterion="of six restarts the best is called “digon + digon + 1 dropped” at p = 0.26 and "
    "“pentagon” at "
    "p = 0.05, by each D_i and the Gram matrix",
    holds=lambda m: m == ["digon + digon + 1 dropped", "pentagon"],
)
claims.expect(
    "P3",
    "feature dimensionality sticks at 3/4, 2/3, 1/2, 2/5, 3/8",
    source=elhage("Feature dimensionality"),
    published="3/4, 2/3, 1/2, 2/5, 3/8",
    criterion="at the paper's size, 400 features in 30 dimensions, over half of the features "
    "kept lie within "
    "0.01 of each fraction, at two of fourteen densities or more; partly if that holds for one "
    "fraction, and the "
    "best of 16 small models has the shape of each of the five",
    holds=lambda m: m["steps"] == 5,
    partly=lambda m: m["steps"] >= 1 and m["shapes"] == 5,
)
claims.expect(
    "P4",
    "a phase change in the plane of sparsity and importance, n = 2 and m = 1",
    source=elhage("Superposition as a phase change"),
    published="sharp regions, as the best of three formulas",
    criterion="the cheapest of three formulas and the trained model agree in over 0.9 of 256 cells",
    holds=lambda m: m > 0.9,
)
claims.expect(
    "P7",
    "M much larger than N nearly orthogonal directions fit in N dimensions",
    source=Source(NOTES, "3.1 dimensions"),
    published="M ≫ N",
    criterion="with all |cosines| up to 0.5, over 10 N directions are found for N = 32, in each "
    "of three seeds, "
    "and log M is linear in N (R² above 0.98); partly if only the first",
    holds=lambda m: m["times"] > 10 and m["fit"] > 0.98,
    partly=lambda m: m["times"] > 10,
)
claims.expect(
    "P10",
    "a ReLU on the hidden layer makes neurons monosemantic where features are common, "
    "polysemantic where they are rare",
    source=elhage("Superposition in a privileged basis"),
    published="one feature a neuron, then several",
    criterion="in the median of six starts, features per neuron at most 1.2 at p = 0.5 and at least "
    "3 at p = 0.05 with the ReLU, and at least 2 at p = 0.5 without it; partly if only with the ReLU",
    holds=lambda m: m["common"] <= 1.2 and m["rare"] >= 3 and m["without"] >= 2,
    partly=lambda m: m["common"] <= 1.2 and m["rare"] >= 3,
)
claims.expect(
    "P8",
    "in strong superposition the loss falls like 1/m",
    source=Source(
        "Liu, Liu & Gore 2025, Superposition Yields Robust Neural Scaling",
        "abstract",
        "https://arxiv.org/abs/2505.10465",
    ),
    published="loss ∝ 1/m",
    criterion="with 256 features, all kept, in each of three starts the slope of log loss over "
    "log m is within 0.25 of "
    "−1 from m = 4 to 16, where there are 16 times more features than dimensions or more, and "
    "from 16 to 64; "
    "partly if only the first",
    holds=lambda m: m["far"] <= 0.25 and m["near"] <= 0.25,
    partly=lambda m: m["far"] <= 0.25,
)
claims.expect(
    "P9",
    "scale raises superposition",
    source=Source(NOTES, "3.2 sparse coding and 4 conclusion"),
    published="grows with size",
    criterion="from m = 4 to m = 16, in each of three starts, both the features kept per "
    "dimension and the mean "
    "squared cosine of two of them grow; partly if only the first",
    holds=lambda m: m["crowd"] > 1 and m["cosine"] > 1,
    partly=lambda m: m["crowd"] > 1,
)
claims.expect(
    "P5",
    "interference is the price: removing one feature harms others",
    source=Source(NOTES, "3.2 sparse coding"),
    published="others are disturbed",
    criterion="in each of three models of 64 features in 16 dimensions, the error on the other "
    "features grows by over "
    "0.1 of itself when one is erased, and harm and overlap correlate above 0.8; partly if only "
    "the first",
    holds=lambda m: m["growth"] > 0.1 and m["correlation"] > 0.8,
    partly=lambda m: m["growth"] > 0.1,
)
claims.criteria()


# %% [markdown]
# ## Features that are seldom there
#
# **Question.** What is special about the properties that language has?
#
# A **feature** is a property of the input that a model may want to know, such as "this is about music". Most features are absent most of the time: few sentences are about music.
# In our toy world feature *i* is a number x_i. The **sparsity** *S* of a feature is the probability that it is 0; else it is uniform between 0 and 1. The probability that it is there, *p* = 1 − *S*, is its density.
#
# ### Exercise 1 · a batch of features
#
# We will train many models at once, each with a sparsity of its own: N models, called instances, live in one tensor, and `S` holds N numbers.
#
# *Difficulty 2 of 3 · 10 minutes*

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

# %% tags=["display"]
# @title Predict: two at once
predict(
    "superposition.meetings",
    "Ten features, each there in one example of twenty. In which share of the examples are two "
    "or more there at once?",
    {"about 0.1": (0, 0.2), "about 0.3": (0.2, 0.4), "about 0.5": (0.4, 0.6)},
)

# %%
x = feature_batch(torch.tensor([0.0, 0.7, 0.95]), 4000, 10, generator(0))  # (N, B, n)
meetings = ((x > 0).sum(-1) > 1).float().mean(-1)  # (N,)
print("two or more, for p = 1, 0.3, 0.05:", [f"{share:.1f}" for share in meetings.tolist()])

# %% tags=["display"]
# @title Measured: forty examples of three worlds
fig, axes = subplots(1, 3, figsize=(9.5, 3.2), sharey=True)
for ax, rows, p in zip(axes, x[:, :40], (1, 0.3, 0.05), strict=True):
    image = ax.imshow(rows.T, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    ax.set(title=f"p = {p}", xlabel="example")
    ax.grid(False)
axes[0].set_ylabel("feature")
fig.colorbar(image, ax=axes, label="size")
assert (x[0] > 0).all() and (x[2] > 0).float().mean() < 0.1 < meetings[1]
show(fig, "Ten features in forty examples: all there, then three in ten, then one in twenty.")
reveal("superposition.meetings", meetings[2].item(), ".2f")

# %% [markdown]
# Rare features seldom meet: alone they come with chance *p*, two of them with *p*². That is the whole secret.
#
# ## The toy model
#
# **Question.** A model has to pass *n* features through *m* < *n* numbers and give them back. What will it do?

# %% tags=["display"]
# @title The toy model
d = Diagram()
boxes = [
    d.box("x: n features", 0, 0, width=3.0), d.box("W", 3.6, 0, width=1.4, color="orange"),
    d.box("m numbers", 6.8, 0, width=2.6), d.box("Wᵀ", 10.0, 0, width=1.4, color="orange"),
    d.box("+ b, ReLU", 12.9, 0, width=2.4, color="green"), d.box("x′: n answers", 16.4, 0, width=3.0),
]  # fmt: skip
for start, end in zip(boxes, boxes[1:], strict=False):
    d.arrow(start, end)
d.picture(
    "W squeezes n features into m numbers; its transpose reads them back, then a bias and a ReLU."
)


# %% [markdown]
# Column *i* of *W*, written W_i, is the *direction* in which feature *i* is kept. If W_i = 0, it is not kept at all. To keep more features than there are dimensions, in directions that are not orthogonal, is called **superposition**.
#
# ### Exercise 2 · through the hidden space and back
#
# In the code the examples are rows, so *Wx* becomes `x @ W.mT`; `.mT` transposes the last two dimensions.
#
# *Difficulty 1 of 3 · 6 minutes*

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
# Squeeze two features into *one* number, in opposite directions:

# %%
pair = torch.tensor([[1.0, -1.0]])  # two features, one dimension, opposite directions
world = torch.tensor([[0.5, 0.0], [0.0, 0.5], [0.5, 0.4]])  # one alone, the other alone, both
print(reconstruct(world, pair, torch.zeros(2)))

# %% [markdown]
# Alone, each comes back whole: the ReLU cuts off the negative answer of the other. Where both are there, they cancel. What one feature adds to the answer of another is called **interference**.
#
# `ToyModel` holds N such models in one tensor, and `train_toy` trains them all at once. Each has its own loss: the squared errors, each weighed by its feature's *importance*.
#
# ## Without the ReLU there is no superposition

# %% tags=["display"]
# @title Predict: without the ReLU
predict(
    "superposition.linear",
    "Five features, two dimensions, and no ReLU. Each feature is 0 in 97 of 100 examples. How "
    "many are kept?",
    {"two": (1.5, 2.5), "three or four": (2.5, 4.5), "all five": (4.5, 5.5)},
)

# %%
sparsities = torch.tensor([0.0, 0.3, 0.6, 0.8, 0.9, 0.97])
lengths = {}
for linear in (True, False):
    model = ToyModel(6, 5, 2, linear=linear, generator=generator(0))
    train_toy(model, sparsities, 0.8 ** torch.arange(5), 1500, lr=0.02, draw=feature_batch)
    lengths[linear] = model.W.detach().norm(dim=-2)  # (N, n)
kept = {linear: (values > 0.5).sum(-1).tolist() for linear, values in lengths.items()}
print("kept, linear:   ", kept[True])
print("kept, with ReLU:", kept[False])

# %% tags=["display"]
# @title Measured: the lengths of the directions
fig, axes = subplots(1, 2, figsize=(9.5, 3.4), sharey=True)
for ax, (linear, values) in zip(axes, lengths.items(), strict=True):
    image = ax.imshow(values.T, cmap="Blues", vmin=0, vmax=1.2, aspect="auto")
    ax.set(title="linear" if linear else "with ReLU", xlabel="sparsity S")
    ax.set(xticks=range(6), xticklabels=[f"{S:.2g}" for S in sparsities.tolist()])
    ax.grid(False)
axes[0].set_ylabel("feature, by importance")
fig.colorbar(image, ax=axes, label="length of W_i")
assert kept[True] == [2] * 6 and kept[False][0] == 2 and kept[False][-1] == 5
show(
    fig,
    "Lengths: the linear model keeps two features at any sparsity, the ReLU model more and more.",
)
reveal("superposition.linear", kept[True][-1], "d")


# %% [markdown]
# The linear model keeps the two most important features at every sparsity, as principal component analysis would. With the ReLU it keeps more, the rarer they are.
#
# ## How do five arrows share a plane?
#
# Training can get stuck, so each density gets six restarts, and the one with the lowest loss counts.

# %%
def best_of(losses, restarts):
    """Of each group of restarts the index of the one whose loss was lowest at the end."""
    last = losses[-200:].mean(0).view(-1, restarts)
    return last.argmin(-1) + restarts * torch.arange(len(last))


DENSITIES = (1.0, 0.5, 0.26, 0.1, 0.05)
S = (1 - torch.tensor(DENSITIES)).repeat_interleave(6)  # (N,)
plane = ToyModel(len(S), n_features=5, n_hidden=2, generator=generator(0))
losses = train_toy(plane, S, 0.9 ** torch.arange(5), 1500, 128, lr=0.01, draw=feature_batch)
best = best_of(losses, 6)
W_plane, b_plane = plane.W.detach()[best], plane.b.detach()[best]  # (5, m, n), (5, n)

# %% tags=["display"]
# @title Measured: from common to rare
fig, axes = subplots(1, 5, figsize=(11, 2.6))
for ax, W, p in zip(axes, W_plane, DENSITIES, strict=True):
    arrows(ax, W)
    ax.set_title(f"p = {p}", fontsize=13)
counts = [(W.norm(dim=0) > 0.5).sum().item() for W in W_plane]
names = {p: superposition.arrangement(W) for p, W in zip(DENSITIES, W_plane, strict=True)}
claims.measure(
    "P1",
    {
        "kept": counts[-1],
        "cosine": superposition.overlap(W_plane[-1]).item(),
        "linear": max(kept[True]),
    },
    shown=f"{counts[-1]} in 2 dimensions, largest |cosine| "
    f"{superposition.overlap(W_plane[-1]).item():.1f}; linear: {max(kept[True])}",
)
claims.measure(
    "P2", [names[0.26], names[0.05]], shown=f"p = 0.26: {names[0.26]}; p = 0.05: {names[0.05]}"
)
assert counts[0] == 2 and counts[2] == 4 and counts[-1] == 5
show(fig, f"Features kept, from common to rare: {counts}, at last a regular pentagon.")


# %% [markdown]
# Common features: two are kept, at a right angle. Rarer: four, as two pairs of opposite arrows; the paper calls a pair a *digon*. Rarest: all five, as a pentagon.
#
# ## How much of a dimension does a feature own?
#
# **Question.** Two features in a digon share one dimension: a half for each. Five in a pentagon share two: 2/5 each. And in a crowd? Elhage and others define the *dimensionality* D_i of a feature.
#
# ### Exercise 3 · feature dimensionality
#
# *Difficulty 2 of 3 · 10 minutes*

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

# %% tags=["display"]
# @title Predict: does the mean tell a shape?
predict(
    "superposition.shape",
    "Three features in two dimensions have D_i with the mean 2/3. Must they form a triangle?",
    ["yes", "no, a digon and a lone arrow have that mean, too"],
)

# %%
shapes = {"triangle": [[1.0, -0.5, -0.5], [0.0, 0.866, -0.866]],
          "digon + lone": [[1.0, -1.0, 0.0], [0.0, 0.0, 1.0]],
          "0°, 45°, 90°": [[1.0, 0.707, 0.0], [0.0, 0.707, 1.0]]}
for name, W in shapes.items():
    D = feature_dimensionality(torch.tensor(W))
    print(f"{name:<13} each {[f'{v:.2f}' for v in D.tolist()]}  mean {D.mean():.2f}  sum {D.sum():.2f}")

# %% tags=["display"]
# @title Measured: two shapes, one mean
assert feature_dimensionality(torch.tensor(shapes["digon + lone"])).mean().sub(2 / 3).abs() < 1e-3
assert feature_dimensionality(torch.tensor(shapes["0°, 45°, 90°"])).sum() < 1.9
reveal("superposition.shape", "no, a digon and a lone arrow have that mean, too")

# %% [markdown]
# So a shape is named by *each* D_i and by the Gram matrix WᵀW: `superposition.arrangement` does that. And the sum need not be *m*: the last three arrows fill the plane and add up to less than 2. Only *tight* arrangements, which use all directions alike, share out all dimensions.
#
# Now one setting for each shape of the paper, and 16 restarts.

# %%
SETTINGS = {"tetrahedron": (4, 3, 0.56), "triangle": (3, 2, 0.6), "digon": (2, 1, 0.1),
            "pentagon": (5, 2, 0.05), "square antiprism": (8, 3, 0.05)}
trained = {}
for shape, (n, m, p) in SETTINGS.items():
    model = ToyModel(16, n, m, generator=generator(0))
    how = dict(batch=None, steps=800, lr=0.03) if n < 5 else dict(steps=1500, batch=256, lr=0.01)
    losses = train_toy(model, torch.full((16,), 1 - p), **how)  # batch=None: the exact mean
    trained[shape] = model.W.detach(), best_of(losses, 16)[0]

# %% tags=["display", "nbval-ignore-output"]
# @title Measured: what 16 restarts became
found = {}
for shape, (W, best) in trained.items():
    each = [superposition.arrangement(w) for w in W]
    found[shape] = each[best]
    D = feature_dimensionality(W)
    others = sorted(set(each) - {shape})
    print(
        f"{shape:<16} best: {found[shape]}, each D_i {D[best].min():.2f} to {D[best].max():.2f}; "
        f"means {D.mean(-1).min():.2f} to {D.mean(-1).max():.2f}; others: {', '.join(others) or 'none'}"
    )
solid = trained["tetrahedron"][0]
assert (feature_dimensionality(solid).mean(-1) - 0.75).abs().max() < 0.01
assert len({superposition.arrangement(w) for w in solid} - {"tetrahedron"}) >= 1

# %% [markdown]
# Look at the tetrahedron: all 16 restarts have the mean 3/4, and not all have the shape. A mean near 3/4 shows no tetrahedron.
#
# Now a crowd: 400 features in 30 dimensions, the paper's size, from a record of one run. Live you train 80 in 16 beside it.

# %%
small = ToyModel(2, 80, 16, generator=generator(0))
train_toy(small, torch.tensor([0.67, 0.9]), steps=2000, lr=5e-3, draw=feature_batch)
at_half = {}
for p, W in zip((0.33, 0.1), small.W.detach(), strict=True):
    D = feature_dimensionality(W)[W.norm(dim=0) > 0.5]
    at_half[p] = ((D - 0.5).abs() < 0.02).float().mean().item()
    print(f"80 in 16, p = {p}: {at_half[p]:.0%} of those kept own half a dimension")

# %% tags=["display"]
# @title Recorded: 400 features in 30 dimensions
FRACTIONS = {"3/4": 3 / 4, "2/3": 2 / 3, "1/2": 1 / 2, "2/5": 2 / 5, "3/8": 3 / 8}
crowd = [
    (row["p"], torch.tensor(row["D"])) for row in superposition.recorded_crowd()["rows"] if row["D"]
]
fig, ax = subplots(figsize=(9.5, 4.2))
for p, D in crowd:
    ax.plot([1 / p] * len(D), D, ".", color=COLORS["blue"], alpha=0.3, markersize=9)
for name, value in FRACTIONS.items():
    ax.axhline(value, color="black", linestyle=":", linewidth=1)
    align = {"2/5": "bottom", "3/8": "top"}.get(name, "center")
    ax.text(1.01, value, name, transform=ax.get_yaxis_transform(), va=align, fontsize=12)
ax.set(xscale="log", xlabel="1 / p", ylabel="D_i of the features kept", ylim=(0, 1))
ax.set_xticks((1.5, 2, 3, 5, 8, 12), labels=("1.5", "2", "3", "5", "8", "12"))
ax.minorticks_off()
share_at = {
    f: [((D - v).abs() < 0.01).float().mean().item() for _, D in crowd]
    for f, v in FRACTIONS.items()
}
steps = [f for f, shares in share_at.items() if sum(s > 0.5 for s in shares) >= 2]
claims.measure(
    "P3",
    {"steps": len(steps), "shapes": sum(found[s] == s for s in SETTINGS)},
    shown=f"400 in 30: a lasting step at {', '.join(steps) or 'none'}; single shapes: "
    f"{sum(found[s] == s for s in SETTINGS)} of 5",
    reason="Each shape forms alone. In the crowd, after fewer steps than the paper's, only one "
    "fraction lasts.",
)
assert sum(s > 0.9 for s in share_at["1/2"]) == 4
for p, share in at_half.items():  # the live run, beside the record at the nearest density
    nearest = min(range(len(crowd)), key=lambda k, p=p: abs(crowd[k][0] - p))
    assert abs(share - share_at["1/2"][nearest]) < 0.1
assert max(max(shares) for f, shares in share_at.items() if f != "1/2") < 0.35
assert steps == ["1/2"] and crowd[0][1].sum() < 15 and crowd[-1][1].sum() > 29
show(fig, "The D_i of 400 features: a flat step at 1/2 from 1/p = 2 to 4, then a slope downwards.")


# %% [markdown]
# Between 1/*p* = 2 and 4 nearly all features that are kept sit in digons. Each other fraction holds a third of them at most. At the left few are kept, and their shares add up to less than half of the 30 dimensions: no conserved sum there.
#
# ## When exactly does it pay?
#
# **Question.** Two features, one dimension. Feature 0 has importance 1, feature 1 importance I. You may drop one, or keep both in opposite directions. Which is cheaper, and where is the border?
#
# ### Exercise 4 · derive the border
#
# Paper first: one price grows like *p*, the other like *p*².
#
# *Difficulty 3 of 3 · 14 minutes*

# %% tags=["exercise"]
def border(importance: float) -> float:
    """Return the density p below which it is cheaper that two features share one dimension, in
    opposite directions, than that the less important one is dropped.

    Feature 0 has the importance 1, feature 1 has `importance`; each is 0 with probability 1 - p, else
    uniform between 0 and 1, independently. A dropped feature is answered by its mean; a feature that
    is kept alone costs nothing. Sharing costs something only where both are there: each of the two is
    then answered ReLU(its own size - the other's). Raises: ValueError unless importance > 0.

    >>> round(border(1.0), 3)
    0.571
    """
    ...


# %% tags=["check"]
border = check("superposition.border", border)
# hint("superposition.border")
# solution("superposition.border")

# %% [markdown]
# **Does training find the cheapest?** A grid of 16 densities and 16 importances, six restarts each, trained on the exact mean over all inputs.

# %%
CELLS = 16
p = torch.linspace(0.05, 1, CELLS).repeat_interleave(CELLS)  # (cells²,)
importance = torch.ones(CELLS**2, 2)
importance[:, 1] = torch.logspace(-1, 1, CELLS).repeat(CELLS)
S, I = (t.repeat_interleave(6, dim=0) for t in (1 - p, importance))
model = ToyModel(len(S), 2, 1, generator=generator(0))
losses = train_toy(model, S, I, steps=400, batch=None, lr=0.05)
cells = losses[-1].view(-1, 6).argmin(-1) + 6 * torch.arange(CELLS**2)
W_cells, loss_cells = model.W.detach()[cells], losses[-1][cells]

# %% tags=["display"]
# @title Measured: your border on the trained models, and a view of one cell
options, prices = superposition.ideal_losses(1 - p, importance)  # (cells², 3)
KINDS = ["drop 0", "drop 1", "pair 0 1"]
kinds = torch.tensor([KINDS.index(superposition.geometry(w)) for w in W_cells]).view(CELLS, CELLS)
wanted = torch.tensor([KINDS.index(options[i]) for i in prices.argmin(-1)]).view(CELLS, CELLS)
agreement = (kinds == wanted).float().mean().item()
claims.measure("P4", agreement, shown=f"over {math.floor(20 * agreement) * 5} % of 256 cells agree")
side = torch.logspace(-1, 1, 200)
curve = [border(i) for i in side.tolist()]
MAP = ListedColormap([COLORS[c] for c in ("orange", "sky", "purple")])


def draw_cell(density, importance_of_1):
    k = CELLS * round((density - 0.05) * 15 / 0.95) + round(
        (math.log10(importance_of_1) + 1) * 15 / 2
    )
    fig, (left, right) = subplots(
        1, 2, figsize=(10.5, 4.2), gridspec_kw=dict(width_ratios=(1.3, 1))
    )
    left.imshow(
        kinds,
        cmap=MAP,
        vmin=0,
        vmax=2,
        origin="lower",
        aspect="auto",
        extent=(-1.067, 1.067, 0.018, 1.032),
    )
    left.plot(side.log10(), curve, color="black", linewidth=2.5)
    left.plot(
        importance[k, 1].log10(), p[k], "o", color="black", markersize=11, markerfacecolor="white"
    )
    left.set(
        xlabel="importance of feature 1",
        ylabel="density p",
        xlim=(-1.067, 1.067),
        ylim=(0.018, 1.032),
    )
    left.set_xticks((-1, 0, 1), labels=("0.1", "1", "10"))
    for at, y, text in (
        (-0.55, 0.8, "feature 1\ndropped"),
        (0.55, 0.8, "feature 0\ndropped"),
        (0, 0.2, "both kept"),
    ):
        left.text(at, y, text, ha="center", va="center", fontsize=12)
    left.grid(False)
    bars = dict(
        zip([*options, "trained"], [*prices[k].tolist(), loss_cells[k].item()], strict=True)
    )
    right.barh(
        list(bars),
        list(bars.values()),
        color=[COLORS["sky"]] * 3 + [COLORS["vermillion"]],
        height=0.5,
    )
    right.set(xlabel="loss in the marked cell")
    best = options[prices[k].argmin()]
    name = superposition.geometry(W_cells[k])
    return Picture(
        fig,
        f"Your border over the trained models. At p = {p[k]:.2f}, I = {importance[k, 1]:.1f} "
        f"training gives “{name}”, the cheapest formula is “{best}”.",
    )


above = loss_cells / prices.min(-1).values - 1
assert agreement > 0.9 and above.max() < 0.02 and above.min() < -0.02
explore(
    draw_cell,
    density=widgets.FloatSlider(0.3, min=0.05, max=1, step=0.05, description="density p"),
    importance_of_1=widgets.SelectionSlider(
        options=[0.1, 0.2, 0.5, 1, 2, 5, 10], value=1, description="importance"
    ),
)

# %% [markdown]
# The black line is yours. Superposition does not fade in: well below the line both features are kept, well above it one is dropped. **Go along the line**: how close are the prices? Training is nowhere more than 2 % above the cheapest formula, and often below it, because lengths need not be 0 or 1.
#
# ## How many directions fit?
#
# **Question.** In *N* dimensions at most *N* directions are orthogonal. How many are *nearly* so, with |cosines| up to a fixed ε?

# %% tags=["display"]
# @title Predict: 8 dimensions, 32 dimensions
predict(
    "superposition.directions",
    "In 8 dimensions about 18 random directions can be kept so that no |cosine| is above 0.5. "
    "In 32 dimensions?",
    {
        "about 70, four times as many": (0, 140),
        "about 300, sixteen times": (140, 600),
        "over 600": (600, 1e5),
    },
)

# %% tags=["nbval-ignore-output"]
DIMS = (4, 8, 16, 24, 32)
packed = {limit: [[superposition.pack_directions(N, limit, generator(seed)) for seed in range(3)]
                  for N in DIMS] for limit in (0.3, 0.5)}
for limit, rows in packed.items():
    print(f"|cosine| up to {limit}:", {N: row for N, row in zip(DIMS, rows, strict=True)})

# %% tags=["display"]
# @title Measured: nearly orthogonal directions over dimensions
fig, ax = subplots(figsize=(8.5, 4))
for (limit, rows), mark, color in zip(packed.items(), "os", ("blue", "vermillion"), strict=True):
    ax.plot(
        DIMS, [sum(r) / 3 for r in rows], f"{mark}-", color=COLORS[color], label=f"up to {limit}"
    )
    ax.plot(
        [N for N in DIMS for _ in range(3)],
        [v for r in rows for v in r],
        mark,
        color=COLORS[color],
        alpha=0.4,
    )
ax.plot(DIMS, DIMS, "^--", color="black", label="0: orthogonal, M = N")
ax.set(yscale="log", xlabel="dimensions N", ylabel="directions M", xticks=DIMS)
ax.legend(title="|cosine|")
wide = torch.tensor(packed[0.5], dtype=torch.float)  # (5, 3)
points = torch.stack([torch.tensor(DIMS[1:], dtype=torch.float), wide[1:].log().mean(1)])
fit = torch.corrcoef(points)[0, 1].square().item()
claims.measure(
    "P7",
    {"times": (wide[-1] / 32).min().item(), "fit": fit},
    shown=f"N = 32: over {(wide[-1] / 32).min().item() // 10 * 10:.0f} N directions up to 0.5; "
    f"log M against N: R² {fit:.2f}",
    reason="The count is a lower bound: random directions, none moved to a better place.",
)
assert all(
    superposition.welch_bound(min(r), N) <= 0.5 for N, r in zip(DIMS, packed[0.5], strict=True)
)
assert (wide[2:] > 5 * torch.tensor(DIMS[2:])[:, None]).all() and min(packed[0.3][-1]) < 0.1 * wide[
    -1
].min()
show(fig, "Directions over dimensions, on a log axis: nearly straight for 0.5, far above M = N.")
reveal("superposition.directions", wide[-1].mean().item(), ".0f")

# %% [markdown]
# On a log axis the curve is nearly straight: the count grows exponentially with *N*, as follows from Johnson and Lindenstrauss (1984). But ε decides the rate. For 0.3 the count at 32 dimensions is not a tenth of that for 0.5.
#
# ## Can you read a neuron?
#
# **Question.** A neuron is one axis of the hidden space. Does it mean something?
#
# A neuron that answers to one feature is **monosemantic**; one that answers to several is **polysemantic**. In our model, turn the whole hidden space: nothing changes in what it computes.

# %%
angle = torch.tensor(0.6)
turn = torch.stack([torch.stack([angle.cos(), -angle.sin()]), torch.stack([angle.sin(), angle.cos()])])
five = feature_batch(torch.tensor([0.8]), 500, 5, generator(4))[0]  # (B, n)
spaces = {"as trained": W_plane[-1], "turned": turn @ W_plane[-1]}
before, after = (reconstruct(five, W, b_plane[-1]) for W in spaces.values())
print(f"largest change of an answer: {(before - after).abs().max():.3f}")
for name, W in spaces.items():
    print(f"{name:<10} neuron 0 reads the features with", [f"{w:+.2f}" for w in W[0].tolist()])

# %% [markdown]
# All directions are as good as the axes, so no axis has a reason to mean anything. A ReLU *on the hidden numbers* changes that: it bends along the axes. A space whose axes the computation itself singles out has a **privileged basis**.

# %% tags=["display"]
# @title Predict: neurons
predict(
    "superposition.neurons",
    "Ten features, five neurons with a ReLU. How many features does a neuron answer to on "
    "average, where features are rare (p = 0.05)?",
    {"about one": (0, 2), "about two": (2, 3), "more than three": (3, 10)},
)

# %% tags=["nbval-ignore-output"]
S = 1 - torch.tensor([0.5, 0.2, 0.1, 0.05]).repeat_interleave(6)
readers = {}
for neurons in (True, False):
    model = ToyModel(24, 10, 5, generator=generator(0), neurons=neurons)
    train_toy(model, S, 0.75 ** torch.arange(10), 2500, lr=0.01, draw=feature_batch)
    answers = (model.W.detach().abs() > 0.3).sum(-1).float()  # (N, m): features of each neuron
    readers[neurons] = answers.mean(-1).view(4, 6)  # (densities, starts)
    shown = [f"{v:.1f}" for v in readers[neurons].median(1).values.tolist()]
    print("hidden ReLU:" if neurons else "no ReLU:    ", shown)

# %% tags=["display"]
# @title Measured: features per neuron, six starts
fig, ax = subplots(figsize=(8.5, 3.6))
for (neurons, rows), color, mark in zip(readers.items(), ("blue", "vermillion"), "os", strict=True):
    stats = [mean_interval(row) if row.std() > 0 else (row.mean().item(), 0) for row in rows]
    ax.errorbar(
        range(4),
        [m for m, _ in stats],
        [h for _, h in stats],
        fmt=f"{mark}-",
        color=COLORS[color],
        capsize=4,
        label="ReLU on the hidden layer" if neurons else "no hidden ReLU",
    )
ax.set(xlabel="density p", ylabel="features per neuron", ylim=(0, 10))
ax.set_xticks(range(4), labels=("0.5", "0.2", "0.1", "0.05"))
ax.legend(loc="upper left")
means = {k: v.median(1).values for k, v in readers.items()}
measured = {
    "common": means[True][0].item(),
    "rare": means[True][-1].item(),
    "without": means[False][0].item(),
}
claims.measure(
    "P10",
    measured,
    shown="features per neuron: " + ", ".join(f"{k} {v:.1f}" for k, v in measured.items()),
)
assert measured["common"] <= 1.2 < 3 <= measured["rare"] and measured["without"] >= 2
show(fig, "Features per neuron: with a hidden ReLU one where common, several where rare.")
reveal("superposition.neurons", measured["rare"], ".1f")

# %% [markdown]
# With the ReLU and common features, the typical neuron has one feature; without it, several. Where features are rare, all neurons are polysemantic: superposition pays more than tidy axes do. (Dots: means, bars: their 95 % intervals, of six starts.)
#
# ## Two matrices in place of one
#
# **Question.** The source writes x ≈ Σ c_i W_inᵀ W_out e_i: one matrix writes, another reads. Here both were one. Does a free reader choose another direction?

# %% tags=["nbval-ignore-output"]
ends = {}
for tied in (True, False):
    model = ToyModel(3, 64, 16, generator=generator(0), tied=tied)
    losses = train_toy(model, torch.full((3,), 0.95), steps=1500, lr=0.01, draw=feature_batch)
    ends[tied] = losses[-100:].mean(0)  # three starts
    print("tied:  " if tied else "untied:", "loss", [f"{v:.2f}" for v in ends[tied].tolist()])
assert ends[False].min() > ends[True].max()
alike = torch.cosine_similarity(model.W, model.V, dim=1).detach()  # (3, n): written against read
print("untied: median cosine between writing and reading", [f"{v:.1f}" for v in alike.median(1).values])

# %% [markdown]
# The reader's direction is not quite the writer's. The freedom has not paid after equal steps: all three untied losses are above the tied ones. When you ask where a feature "is", say whether you mean where it is written or where it is read.
#
# ## Does scale raise superposition?
#
# **Question.** The source says that growth forces more superposition. Take one world of 256 features, the *k*-th in proportion to 1/*k*, and models of *m* = 4 to 64 dimensions.

# %% tags=["display"]
# @title Predict: from 4 to 16 dimensions
predict(
    "superposition.scale",
    "A model of 4 dimensions keeps about 3 features a dimension. And one of 16?",
    {"fewer": (0, 2.7), "about 3": (2.7, 3.3), "more than 4": (4, 100)},
)

# %%
live = superposition.measure_scaling(256, 8, unit=False, seeds=1)
print(f"m = 8: loss {live['loss'][0]:.2f}, {live['kept'][0] / 8:.0f} features a dimension")

# %% tags=["display"]
# @title Recorded: five sizes, three starts each
recorded = superposition.recorded_scaling()
again = next(r for r in recorded if r["m"] == 8 and not r["unit"])
assert abs(live["loss"][0] / (sum(again["loss"]) / 3) - 1) < 0.05, "live and record differ"
sizes = [r["m"] for r in recorded if not r["unit"]]
fig, axes = subplots(1, 3, figsize=(12, 3.8))
for unit, color, mark in ((False, "blue", "o"), (True, "vermillion", "s")):
    rows = [r for r in recorded if r["unit"] == unit]
    lines = (
        [[k / r["m"] for k in r["kept"]] for r in rows],
        [r["overlap"] for r in rows],
        [r["loss"] for r in rows],
    )
    for ax, values in zip(axes, lines, strict=True):
        ax.plot(
            sizes,
            [sum(v) / 3 for v in values],
            f"{mark}-",
            color=COLORS[color],
            label="lengths held at 1" if unit else "free",
        )
axes[1].plot(sizes, [1 / m for m in sizes], "--", color="black", label="1 / m")
axes[2].plot(sizes, [2.6 / m for m in sizes], "--", color="black", label="∝ 1 / m")
for ax, title in zip(axes, ("features per dimension", "mean squared cosine", "loss"), strict=True):
    ax.set(xscale="log", yscale="log", xlabel="dimensions m", title=title)
    ax.set_xticks(sizes, labels=sizes)
    ax.minorticks_off()
for ax, ticks in zip(
    axes, ((4, 8, 16, 32, 64), (0.02, 0.05, 0.1, 0.2), (0.02, 0.05, 0.1, 0.2, 0.5)), strict=True
):
    ax.set_yticks(ticks, labels=ticks)
axes[1].legend(fontsize=11)
free, strong = ([r for r in recorded if r["unit"] == unit] for unit in (False, True))
small_m, large_m = (next(r for r in free if r["m"] == m) for m in (4, 16))
crowding = min((b / 16) / (a / 4) for a, b in zip(small_m["kept"], large_m["kept"], strict=True))
closer = min(b / a for a, b in zip(small_m["overlap"], large_m["overlap"], strict=True))
loss_of = {r["m"]: r["loss"] for r in strong}
slopes = [
    [math.log(b / a) / math.log(4) for a, b in zip(loss_of[m], loss_of[4 * m], strict=True)]
    for m in (4, 16)
]
off = [max(abs(v + 1) for v in row) for row in slopes]
claims.measure(
    "P9",
    {"crowd": crowding, "cosine": closer},
    shown=f"m = 4 to 16: features per dimension × {crowding:.1f}, mean squared cosine × "
    f"{closer:.1f} (at least)",
    reason="More features share each dimension, and each pair disturbs less.",
)
claims.measure(
    "P8",
    dict(zip(("far", "near"), off, strict=True)),
    shown=f"slope {sum(slopes[0]) / 3:.1f} from m = 4 to 16, {sum(slopes[1]) / 3:.1f} from 16 to 64",
    reason="Near −1 while there are far more features than dimensions; steeper as m nears n.",
)
assert crowding > 1.5 and closer < 0.5 and max(slopes[1]) < min(slopes[0]) - 0.4 and off[0] < 0.25
assert all(0.8 < v * r["m"] < 1.2 for r in strong for v in r["overlap"])
show(
    fig,
    "Features per dimension rise and then fall; squared cosines follow 1/m; the loss falls, "
    "faster at the end.",
)
reveal("superposition.scale", sum(large_m["kept"]) / 3 / 16, ".1f")


# %% [markdown]
# The source's sentence holds by half. A larger model crowds more features into each dimension, until the world's 256 run out. But it disturbs each pair less: the squared cosine falls like 1/*m*.
#
# That is a bridge to scaling laws (lesson 05). If all features are kept and what is left is interference, then the loss should fall like the squared cosine, like 1/*m* (Liu, Liu and Gore 2025). It does so between small sizes. Nearer to *m* = *n* it falls faster, so our 256 features show only a part of their law.
#
# ## You cannot touch one feature alone
#
# **Question.** Suppose a model has a dangerous feature, and you know its direction. You erase that direction from the hidden space. What happens to the other features?
#
# ### Exercise 5 · erase a direction
#
# *Difficulty 2 of 3 · 8 minutes*

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
# Three models keep 64 features in 16 dimensions, each there in 3 % of the examples. Erase each feature in turn: how much does every *other* answer move (root mean square), and how much does their error grow?

# %%
rare = torch.full((3,), 0.97)
toys = ToyModel(3, n_features=64, n_hidden=16, generator=generator(0))
train_toy(toys, rare, steps=1500, batch=512, lr=0.01, generator=generator(1), draw=feature_batch)
W3, b3 = toys.W.detach(), toys.b.detach()  # (3, m, n), (3, n)
x = feature_batch(rare[:1], 3000, 64, generator(2))[0]  # (B, n)


def erase(W, b, direction, i):
    """Answers before and after direction i of a list (m, k) is erased; each (B, n)."""
    hidden = x @ W.T
    return [torch.relu(h @ W + b) for h in (hidden, ablate(hidden, direction, i))]


# %% tags=["display"]
# @title Predict: a random direction
predict(
    "superposition.control",
    "Erase a random direction in place of a feature's. How large is the harm to the others, "
    "beside that of erasing a feature?",
    {"less than half": (0, 0.5), "half to the same": (0.5, 1.0), "larger": (1.0, 5.0)},
)


# %%
def harm(W, b, directions):
    """For each direction: by which share the error on the features other than i grows."""
    grown = []
    for i in range(64):
        rest = torch.arange(64) != i
        before, after = ((y - x)[:, rest].square().sum(-1).mean() for y in erase(W, b, directions, i))
        grown.append((after / before - 1).item())
    return sum(grown) / 64


chance = torch.randn(16, 64, generator=generator(5))
of_features = [harm(W, b, W) for W, b in zip(W3, b3, strict=True)]
of_chance = [harm(W, b, chance) for W, b in zip(W3, b3, strict=True)]
print("error of the others grows, a feature erased:  ", [f"{v:.1f}" for v in of_features])
print("error of the others grows, a random direction:", [f"{v:.1f}" for v in of_chance])

# %% tags=["display"]
# @title Measured: who is harmed
pairs = ~torch.eye(64, dtype=torch.bool)
cosines, moves, correlations = [], [], []
for W, b in zip(W3, b3, strict=True):
    unit = normalize(W, dim=0)
    moved = torch.stack(
        [
            (after - before).square().mean(0).sqrt()
            for before, after in (erase(W, b, W, i) for i in range(64))
        ]
    )
    cosines.append((unit.T @ unit).abs()[pairs])
    moves.append(moved[pairs])
    correlations.append(torch.corrcoef(torch.stack([cosines[-1], moves[-1]]))[0, 1].item())
fig, ax = subplots(figsize=(7.5, 4))
for c, m, color, mark in zip(cosines, moves, ("blue", "orange", "green"), ".x+", strict=True):
    ax.plot(c, m, mark, alpha=0.2, color=COLORS[color], markersize=5)
ax.set(xlabel="overlap with the erased feature (|cosine|)", ylabel="how far the output moved")
claims.measure(
    "P5",
    {"growth": min(of_features), "correlation": min(correlations)},
    shown=f"error on the others at least {min(of_features):+.0%}; harm and overlap correlate at "
    f"least {min(correlations):.2f}",
    reason="In proportion to the overlap: at a right angle a feature does not notice.",
)
roomy = [
    (y - x)[:, 1:].abs().max().item()
    for y in erase(torch.eye(64), torch.zeros(64), torch.eye(64), 0)
]
assert min(correlations) > 0.8 and max(roomy) < 1e-6
ratios = [c / f for c, f in zip(of_chance, of_features, strict=True)]
assert min(ratios) > 1.1
show(
    fig,
    "Twelve thousand pairs of three models: the greater the overlap, the more the other answer moves.",
)
reveal("superposition.control", sum(ratios) / 3, ".1f")


# %% [markdown]
# In superposition an edit aimed at one feature hits all that overlap with it, in proportion to the overlap; at a right angle nobody notices. A random direction does not spare them, it harms the others more: every direction is shared, and of this one nothing belongs to the feature that was meant. In a model with a dimension for each feature, the others do not move at all.
#
# ### A view of an edit
#
# The pentagon again; feature 0 is there, with the size 0.8. **Add some of another feature** to the hidden vector, or take some away. Can you add feature 2 and touch nothing else?

# %% tags=["display"]
# @title What an edit does to all five answers
def draw_edit(feature, size):
    W = W_plane[-1]
    hidden = W[:, :1].T * 0.8  # (1, 2): feature 0 alone
    edited = hidden + size * W[:, feature]
    before, after = (torch.relu(h @ W + b_plane[-1])[0] for h in (hidden, edited))
    fig, (left, right) = subplots(1, 2, figsize=(9.5, 3.8), gridspec_kw=dict(width_ratios=(1, 1.5)))
    arrows(left, W)
    style = dict(color="black", width=2, headwidth=9)
    left.annotate("", edited[0].tolist(), hidden[0].tolist(), arrowprops=style)
    left.set_title("the hidden vector moves")
    places = torch.arange(5)
    for shift, values, color, name in (
        (-0.2, before, "sky", "before"),
        (0.2, after, "vermillion", "after"),
    ):
        right.bar(places + shift, values, width=0.38, color=COLORS[color], label=name)
    right.set(title="what is read", xlabel="feature", ylim=(0, 2.4))
    right.legend()
    moved = [i for i in range(5) if i != feature and abs(after[i] - before[i]) > 0.05]
    return Picture(
        fig,
        f"{size:+.1f} of feature {feature}: its answer goes from {before[feature]:.1f} to "
        f"{after[feature]:.1f}; others that moved, too: {moved or 'none'}.",
    )


explore(
    draw_edit,
    feature=widgets.IntSlider(2, min=0, max=4, description="feature"),
    size=widgets.FloatSlider(0.8, min=-1, max=1, step=0.2, description="size"),
)

# %% [markdown]
# Two arrows of a pentagon that are not neighbours add up to the one between them: then the model reads a feature that nobody added.
#
# ## What we verified

# %% tags=["display"]
# @title Each claim with its source
claims.show()

# %% [markdown]
# Your exercises: which pass, and which are still open.

# %% tags=["progress"] slideshow={"slide_type": "skip"}
exercises.progress("superposition")

# %% [markdown]
# **What this lesson leaves out.** Our features are independent numbers that somebody chose; which features a language model has is an open question, and lesson 13 searches for them. Features that come together, and computing *in* superposition, are in Elhage and others.
# That superposition is why neurons of large models are hard to read is a good hypothesis, not a fact.
#
# ## Further reading
#
# - Elhage and others 2022, [Toy Models of Superposition](https://transformer-circuits.pub/2022/toy_model/index.html).
# - Liu, Liu and Gore 2025, [Superposition Yields Robust Neural Scaling](https://arxiv.org/abs/2505.10465).
# - Scherlis and others 2022, [Polysemanticity and Capacity in Neural Networks](https://arxiv.org/abs/2210.01892): who owns how much of a dimension.
# - Welch 1974, [Lower bounds on the maximum cross correlation of signals](https://doi.org/10.1109/TIT.1974.1055219).
