# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 13 · Sparse autoencoders: out of superposition
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/OWNER--SET-ME/llm-inside/blob/main/notebooks/13_sparse_autoencoders.ipynb) · [open this lesson in Colab](https://colab.research.google.com/github/OWNER--SET-ME/llm-inside/blob/main/notebooks/13_sparse_autoencoders.ipynb)
#
# **You see 16 numbers, and there are 64 features in them. Can you find their directions?** Sparsity made superposition possible, and sparsity
# undoes it. You write the loss of a sparse autoencoder, judge it against baselines, and try it on a trained language model.
#
# **Time.** Running: about one minute on CPU; no GPU is needed. Reading and exercises: about an hour.
#
# **What you will be able to do**
# - train a sparse autoencoder that finds the features again, and judge it against baselines;
# - say why the lowest reconstruction error may have the worst features;
# - look at the units of a trained language model, and say what you do not know about them.
#
# **Prerequisites.** Lessons 06 (superposition) and 04 (GPT-2).

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
# What this lesson builds stands finished in `course_utils.sparse_autoencoders`. You build the main pieces here.

# %% tags=["imports"]
import math
from collections import Counter
from functools import partial

import ipywidgets as widgets
import torch
from torch import Tensor
from torch.nn.functional import normalize

from course_utils import exercises, sparse_autoencoders, superposition
from course_utils.classroom import COLORS, Claims, Picture, explore, generator, progress, subplots
from course_utils.exercises import check, hint, solution
from course_utils.pretrained import storyteller
from course_utils.stories import VOCAB, decode_words, stories

claims = Claims("13")

# %% [markdown]
# The hidden vectors come from a toy model of lesson 06, with 64 features in 16 dimensions:

# %%
toy = superposition.ToyModel(1, n_features=64, n_hidden=16, generator=generator(0))
rare = torch.tensor([0.97])
bar = partial(progress, desc="64 in 16")
superposition.train_toy(toy, rare, steps=1500, batch=512, lr=0.01, generator=generator(1), bar=bar)
W, b = toy.W.detach()[0], toy.b.detach()[0]  # (m, n), (n,)
x = superposition.feature_batch(rare, 50_000, 64, generator(2))[0]  # (B, n)
hidden = x @ W.T  # (B, m): what a model would show us
print("all 64 features are kept:", bool((W.norm(dim=0) > 0.8).all()))


# %% [markdown]
# ## Out of superposition: sparse autoencoders
#
# **Question.** You see only hidden vectors: 16 numbers. There are 64 features in them, but nobody tells you their directions. Can you find them?
#
# Sparsity made superposition possible, and sparsity undoes it. A *sparse autoencoder* has *k* units, more than there are dimensions. Unit *i* fires with a strength f_i ≥ 0, and writes f_i times its direction d_i. It must explain the hidden
# vector *x* by *few* units (the lecture's formula):
#
# > L = E‖x − Σ_i f_i d_i‖² + λ Σ_i |f_i|
#
# E is the mean over the examples, and λ (lambda, in the code `penalty`) is the price of firing.
#
# ### Exercise 1 · who fires?
#
# *Difficulty 2 of 3 · 10 minutes*
#
# The codes are f = ReLU((x − decoder_bias) · encoder + encoder_bias). Instead of a price, one can allow only the `top_k` strongest units of each example to fire; all others are set to 0.

# %% tags=["exercise"]
def encode(
    x: Tensor, encoder: Tensor, encoder_bias: Tensor, decoder_bias: Tensor, top_k: int | None = None
) -> Tensor:
    """Compute the codes f = ReLU((x - decoder_bias) · encoder + encoder_bias), or the largest.

    With `top_k`, all but the k largest of each example are 0. Shapes: x (..., B, d), encoder
    (..., d, k), encoder_bias (..., k), decoder_bias (..., d) -> (..., B, k).
    Source: Bricken et al. 2023, appendix; Gao et al. 2024, section 2.3, for top-k.

    >>> b, c = torch.tensor([0.5, -5.0]), torch.tensor([1.0, 0.0])
    >>> encode(torch.tensor([[2.0, 1.0]]), torch.eye(2), encoder_bias=b, decoder_bias=c)
    tensor([[1.5000, 0.0000]])
    """
    ...


# %% tags=["check"]
encode = check("sparse_autoencoders.encode", encode)
# hint("sparse_autoencoders.encode")
# solution("sparse_autoencoders.encode")

# %% [markdown]
# The encoder's bias is negative after training: a unit stays silent unless its feature is clearly there. That is how interference is filtered out.
#
# ### Exercise 2 · the loss of a sparse autoencoder
#
# *Difficulty 2 of 3 · 8 minutes*
#
# As in the formula, plus one bias: what is added to Σ f_i d_i.

# %% tags=["exercise"]
def sae_loss(
    x: Tensor, f: Tensor, directions: Tensor, decoder_bias: Tensor, penalty: float | Tensor
) -> Tensor:
    """Return L = E‖x - Σ_i f_i d_i - decoder_bias‖² + penalty · E Σ_i |f_i|.

    E is the mean over the examples. Shapes: x (..., B, d), f (..., B, k), directions (..., k, d),
    decoder_bias (..., d), penalty a number or (...) -> (...).

    >>> x, f = torch.tensor([[1.0, 1.0], [0.0, 2.0]]), torch.tensor([[1.0, 0.0], [0.0, 2.0]])
    >>> sae_loss(x, f, torch.eye(2), torch.zeros(2), penalty=0.1)  # 1/2 + 0.1 · 3/2
    tensor(0.6500)
    """
    ...


# %% tags=["check"]
sae_loss = check("sparse_autoencoders.sae_loss", sae_loss)
# hint("sparse_autoencoders.sae_loss")
# solution("sparse_autoencoders.sae_loss")

# %% [markdown]
# ### Exercise 3 · how well were the features found?
#
# *Difficulty 1 of 3 · 6 minutes*
#
# Here we know the truth: the columns of *W*. For each true direction take the best cosine with any direction that was found, then average. (In a real model nobody knows the truth. That is why one practises on toys.)

# %% tags=["exercise"]
def mean_max_cosine(truth: Tensor, found: Tensor) -> Tensor:
    """Return how well directions were found again: the best cosine for each true one, averaged.

    The sign counts: a feature and its opposite are two features.
    Shapes: truth (n, d), found (..., k, d) -> (...). Source: Sharkey et al. 2022.

    >>> truth, found = torch.eye(2), torch.tensor([[0.0, 5.0], [-1.0, 0.0], [3.0, 4.0]])
    >>> mean_max_cosine(truth, found)  # the best cosines are 0.6 and 1
    tensor(0.8000)
    """
    ...


# %% tags=["check"]
mean_max_cosine = check("sparse_autoencoders.mean_max_cosine", mean_max_cosine)
# hint("sparse_autoencoders.mean_max_cosine")
# solution("sparse_autoencoders.mean_max_cosine")

# %% [markdown]
# **A score needs baselines.** What do 128 random directions score? What do the principal components, in both directions? **Predict** both before you run: with 128 tries in 16 dimensions, luck goes far.

# %%
truth = toy.W.detach()[0].T  # (n, m): one row for each feature
guess = torch.randn(128, 16, generator=generator(3))
baselines = {
    "random": mean_max_cosine(truth, guess).item(),
    "PCA": mean_max_cosine(
        truth, sparse_autoencoders.principal_directions(hidden)
    ).item(),
}
print({name: round(value, 1) for name, value in baselines.items()})

# %% [markdown]
# A score of 0.6 means nothing. Now train: three widths, six prices of firing, and top-k with 1, 2 and 4. All prices of one width are trained at once, as one tensor. It takes about 20 seconds.

# %%
WIDTHS, PENALTIES, TOP_K = (32, 64, 128), (0.01, 0.03, 0.1, 0.2, 0.3, 0.5), (1, 2, 4)
sae_runs = {}
for width in progress(WIDTHS, "sparse autoencoders"):
    sae = sparse_autoencoders.train_sae(
        hidden, width, torch.tensor(PENALTIES), steps=1500, generator=generator(4)
    )
    for i, value in enumerate(PENALTIES):
        sae_runs[width, "λ", value] = sae, i
    for k in TOP_K:
        sae_runs[width, "top-k", k] = (
            sparse_autoencoders.train_sae(
                hidden, width, top_k=k, steps=800, generator=generator(4)
            ),
            0,
        )

# %% [markdown]
# For each run: the score; the share of the variance of the hidden vectors that it explains; the number of units that fire on an example; and how many units never fire (*dead* units).

# %%
table = {}
for key, (sae, i) in sae_runs.items():
    with torch.no_grad():
        f = sae(hidden[:8000])
        explained = sparse_autoencoders.fraction_explained(hidden[:8000], sae.decode(f))[i].item()
        score, rate = (
            mean_max_cosine(truth, sae.directions)[i].item(),
            sparse_autoencoders.firing_rate(f[i]),
        )
    table[key] = score, explained, rate.sum().item(), int((rate == 0).sum())

# %% [markdown]
# With 128 units, twice as many as there are features:

# %% tags=["nbval-ignore-output"]
print("                    score  explained  fire")
for (width, kind, value), (score, explained, fire, dead) in table.items():
    if width == 128:
        print(f"{kind + ' = ' + str(value):<18} {score:6.2f} {explained:9.2f} {fire:6.0f}")
low, right_price = table[128, "λ", 0.01], table[128, "λ", 0.3]
assert low[0] < 0.75 < 0.93 < right_price[0] and low[1] > right_price[1]


# %% [markdown]
# Read the λ rows from the top: the run that explains *most* has the *worst* directions. A good reconstruction is no proof of good features.
#
# ### A view of width and price
#
# **Move both.** On the left, each true feature's best cosine, sorted. On the right, all runs: what they explain and how well they found the features. Which price is too low, which too high? What if there are fewer units than features?

# %%
def best_cosines(directions):
    """For each true feature the best cosine, from the feature found best to the one found worst."""
    table = normalize(truth, dim=-1) @ normalize(directions.detach(), dim=-1).T
    return table.amax(-1).sort(descending=True).values


def draw_runs(ax):
    """Score over explained variance, a line for each width and kind."""
    for width, mark in zip(WIDTHS, "^so", strict=True):
        for kind, color in (("λ", COLORS["blue"]), ("top-k", COLORS["green"])):
            rows = [row for key, row in table.items() if key[:2] == (width, kind)]
            score, explained, *_ = zip(*rows, strict=True)
            style = dict(color=color, alpha=0.6, linewidth=1, label=f"{kind}, {width} units")
            ax.plot(explained, score, f"{mark}-", **style)
    ax.set(xlabel="variance explained", ylabel="score", xlim=(0.3, 1.02), ylim=(0.45, 1.03))
    ax.legend(fontsize=10)


# %% [markdown]
# Try the lowest price at 128 units, then the highest.

# %%
def sae_view(width, run):
    kind, value = run.split(" = ")
    chosen = width, kind, float(value) if kind == "λ" else int(value)
    sae, i = sae_runs[chosen]
    score, explained, fire, dead = table[chosen]
    cosines = best_cosines(sae.directions[i])
    fig, (left, right) = subplots(1, 2, figsize=(10.5, 4))
    left.plot(cosines, color=COLORS["vermillion"], label="found")
    left.plot(best_cosines(guess), ":", color="black", label="random directions")
    left.set(ylim=(0, 1.05), xlabel="true features, sorted", ylabel="best cosine")
    left.legend(loc="lower left")
    draw_runs(right)
    right.plot(explained, score, "o", markersize=16, markeredgewidth=3, fillstyle="none",
               color=COLORS["vermillion"], zorder=9)
    most = "most" if (cosines > 0.95).float().mean() > 0.6 else "less than most"
    alt = f"{width} units, {run}: a score {'above' if score > 0.9 else 'below'} 0.9; "
    return Picture(fig, alt + f"{most} of the features are found with a cosine above 0.95.")


RUNS = [f"λ = {v}" for v in PENALTIES] + [f"top-k = {v}" for v in TOP_K]
explore(
    sae_view,
    width=widgets.SelectionSlider(options=WIDTHS, value=128, description="units"),
    run=widgets.SelectionSlider(options=RUNS, value="λ = 0.3", description="price or top-k"),
)

# %% [markdown]
# With 32 units for 64 features, no price helps: two features have to share a unit. With enough units and the right price, nearly all features come back. Too low a price gives directions that are hardly better than chance.
#
# The price has a side effect: it makes all codes too small (*shrinkage*), so the run explains less. Top-k has no price, and with 128 units it is better at both. But one feature at a time is too few (*k* = 1 explains least), and more of its units are dead:

# %%
narrow = max(row[0] for (width, *_), row in table.items() if width == 32)
print("best score with 32 units, below 0.8:", narrow < 0.8)
dead = {kind: max(row[3] for key, row in table.items() if key[:2] == (128, kind))
        for kind in ("λ", "top-k")}
print("over 30 of 128 units dead with some top-k:", dead["top-k"] > 30)
print("and with some price:", dead["λ"] > 30)

# %% [markdown]
# The best scores, to be entered into the table at the end:

# %%
top = {kind: max(row[0] for key, row in table.items() if key[1] == kind) for kind in ("λ", "top-k")}
low = {kind: math.floor(score * 20) / 20 for kind, score in top.items()}
claims.add(
    "P6", "a sparse autoencoder, L = E‖x − Σ f_i d_i‖² + λ Σ|f_i|, finds the features again",
    source="lecture", published="finds them",
    measured=f"score over {low['λ']} with the price, over {low['top-k']} with top-k; random "
             f"{baselines['random']:.1f}, PCA {baselines['PCA']:.1f}",
    holds=min(top.values()) > 0.93 and max(baselines.values()) < 0.7,
    reason="With enough units and the right λ. With λ too low it reconstructs best, finds worst.",
)

# %% [markdown]
# ## A trained language model
#
# **Question.** Does it work where nobody knows the truth?
#
# The course has a small GPT-2 that was trained on our generated stories: four blocks, 128 numbers a position (lesson 04). We take its residual stream after two of its blocks, for 16,384 tokens of stories that it has not seen, and train a sparse autoencoder of 256 units with top-k 8. It takes about 5 seconds.

# %%
gpt = storyteller()
rows = stories(seed=5, n_tokens=256 * 64).tokens.view(256, 64)  # (B, T)
with torch.no_grad():
    stream = gpt.streams(rows)[2].flatten(0, 1)  # (B * T, d_model)
stream = stream - stream.mean(0)
stream = stream / stream.square().sum(-1).mean().sqrt()  # mean squared length 1

# %% [markdown]
# `train_sae` takes any matrix of activations, one row for each example.

# %%
bar = partial(progress, desc="GPT-2")
gpt_sae = sparse_autoencoders.train_sae(stream, 256, top_k=8, steps=800, generator=generator(0), bar=bar)
with torch.no_grad():
    codes = gpt_sae(stream)[0]  # (B * T, k)


# %% [markdown]
# We look at a handful of units, not chosen by hand: every twentieth of those that fire on 0.3 % to 5 % of the tokens. For each, the three places where it fires most. The token on which it fires stands in brackets.

# %%
def places(unit, n=3):
    """The strongest examples of a unit: some words before, then the token in brackets."""
    found = {}
    for index in codes[:, unit].topk(40).indices.tolist():
        row, at = divmod(index, 64)
        words = decode_words(rows[row, :at]).split("\n")[-1][-45:]
        found.setdefault(words, f"{words} [{VOCAB[rows[row, at]]}]")
    return list(found.values())[:n]


# %% [markdown]
# How often does each unit fire? That decides which we look at.

# %%
rate = sparse_autoencoders.firing_rate(codes)
rare_units = ((rate > 0.003) & (rate < 0.05)).nonzero().flatten()[::20].tolist()

# %% [markdown]
# Training ends a little differently on another machine, so your units may be others.

# %% tags=["nbval-ignore-output"]
for unit in rare_units:
    print(f"unit {unit}")
    for line in places(unit):
        print("     …", line)
assert len(rare_units) >= 3


# %% [markdown]
# Some units are clear at a glance: one word after one phrase, one place in the story, one kind of word. Others are not.
#
# **A number beside the glance.** Take the 50 strongest examples of each unit. How many are the same token? We ask the same of the 128 coordinates of the stream itself ("neurons"), of random directions and of the principal components.

# %%
def purity(codes):
    """Of the 50 strongest examples of a column: the share of the most frequent token, averaged."""
    enough = codes[:, (codes > 0).sum(0) >= 50]
    top = rows.flatten()[enough.topk(50, dim=0).indices]  # (50, k)
    return sum(Counter(column).most_common(1)[0][1] for column in top.T.tolist()) / top.numel()


# %% [markdown]
# **Predict** the four numbers. For comparison: the share of the most frequent token in all of the text.

# %%
scores = {
    "sparse autoencoder": purity(codes), "coordinates": purity(stream),
    "random directions": purity(stream @ torch.randn(128, 256, generator=generator(1))),
    "principal components": purity(stream @ sparse_autoencoders.principal_directions(stream).T),
}
for name, value in scores.items():
    print(f"{name:<22} {value:.1f}")
print(f"{'all of the text':<22} {rows.flatten().bincount().max().item() / rows.numel():.1f}")

# %% [markdown]
# The units are purer than all baselines. But look at the others: random directions are at 0.4, far above the 0.1 that frequency alone would give. The stream still holds the vector of the token that is read, so any direction sorts the tokens a little.
#
# **What this does not show.** A unit that looks clear on its strongest examples may do other things on weak ones. We did not test whether the *model uses* these directions: that takes interventions (lesson 14). The 256 units
# are not "the" features: another width, another seed, other units. And a score as in the toy does not exist here, because nobody knows the truth.

# %%
explained = sparse_autoencoders.fraction_explained(stream, gpt_sae.decode(codes[None]))[0].item()
silent = (rate == 0).float().mean().item()
print(f"8 units of 256 explain over three quarters of the variance: {explained > 0.75}")
print(f"over a tenth of the units never fire: {silent > 0.1}")
assert scores["sparse autoencoder"] > 1.2 * max(list(scores.values())[1:])

# %% [markdown]
# ## What we verified
#
# Each claim with its source, what was published, and what you measured.

# %%
claims.show()

# %% [markdown]
# Your exercises: which pass, and which are still open.

# %% tags=["progress"] slideshow={"slide_type": "skip"}
exercises.progress("sparse_autoencoders")

# %% [markdown]
# **What this lesson leaves out.** Real sparse autoencoders have millions of units, tricks against dead ones, and critics.
#
# ## Further reading
#
# - Elhage and others 2022, [Toy Models of Superposition](https://transformer-circuits.pub/2022/toy_model/index.html).
# - Sharkey, Braun and Millidge 2022, [Taking features out of superposition with sparse autoencoders](https://www.alignmentforum.org/posts/z6QQJbtpkEAX3Aojj/interim-research-report-taking-features-out-of-superposition).
# - Cunningham and others 2023, [Sparse Autoencoders Find Highly Interpretable Features in Language Models](https://arxiv.org/abs/2309.08600).
# - Bricken and others 2023, [Towards Monosemanticity](https://transformer-circuits.pub/2023/monosemantic-features/index.html).
# - Gao and others 2024, [Scaling and evaluating sparse autoencoders](https://arxiv.org/abs/2406.04093) (top-k).
