# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 03 · The transformer block: what stands around attention
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/OWNER--SET-ME/llm-inside/blob/main/notebooks/03_transformer_block.ipynb) · [open this lesson in Colab](https://colab.research.google.com/github/OWNER--SET-ME/llm-inside/blob/main/notebooks/03_transformer_block.ipynb)
#
# **What does a block compute?** Attention lets tokens look at each other. A model that speaks stacks many layers of it, and
# such a stack does not learn by itself. Three plain parts make it work: a norm, a small network and a sum. You build
# them, train *your* block, take each part away, and see what breaks.
#
# **Time.** Running: about a minute and a half on CPU; no GPU is needed. About 66 minutes to read and do.
#
# **What you will be able to do**
# - build GPT-2's block, and prove that it is GPT-2's;
# - say what the norm, the sum and the small network are each for, from an experiment without them;
# - show on which text depth pays, and on which comparison it does not;
# - take a prediction apart into what each part wrote, and tell who speaks from who is heard.
#
# **Prerequisites.** Lesson 02 (attention). Mean and variance; what a gradient is.

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
import statistics
from collections.abc import Callable
from dataclasses import replace

import ipywidgets as widgets
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from course_utils import exercises, transformer_block
from course_utils.attention import MultiHeadAttention
from course_utils.classroom import (
    COLORS, Claims, Diagram, Picture, Source, explore, generator, predict, progress, reveal, show,
    subplots,
)
from course_utils.exercises import check, hint, solution
from course_utils.stories import VOCAB, decode_words, ngram_entropy
from course_utils.training import evaluate
from course_utils.transformer_block import Part, Transformer, runs

NOTES = "Kiến trúc mô hình ngôn ngữ lớn (lecture notes)"
claims = Claims("03")
record = runs.recorded()  # what longer runs with three seeds gave: tools/record/train_blocks.py
text, unseen = runs.texts()  # stories to train on, and stories that no model here trains on


# %% [markdown]
# **Choose the sizes, and follow the shapes.** **B** is the number of texts, **T** the number of positions, `d_model` the
# number of features of a position. Read from below.

# %% tags=["display"]
# @title The block, with live shapes
def draw_block(B, T, d_model, heads):
    x, d = f"({B}, {T}, {d_model})", Diagram()
    start = d.box(f"x  {x}", 0, 0, width=4.2, color="yellow")
    ln_1 = d.box(f"LayerNorm 1  {x}", 5.6, 1.4, width=5.0, color="green")
    attn = d.box(f"attention  {x}", 5.6, 3.2, width=5.0, color="orange")
    plus = d.box(f"x + attention  {x}", 0, 4.6, width=5.0, color="yellow")
    ln_2 = d.box(f"LayerNorm 2  {x}", 5.6, 6.0, width=5.0, color="green")
    inner = d.box(f"activation  ({B}, {T}, {4 * d_model})", 5.6, 7.8, width=5.4, color="blue")
    down = d.box(f"feed-forward  {x}", 5.6, 9.6, width=5.0, color="blue")
    end = d.box(f"+ feed-forward  {x}", 0, 11.0, width=5.0, color="yellow")
    for a, b in ((start, plus), (plus, end), (start, ln_1), (ln_1, attn), (attn, plus),
                 (plus, ln_2), (ln_2, inner), (inner, down), (down, end)):
        d.arrow(a, b)
    part = d_model // heads
    for label, y in (
        (f"queries, keys, values ({B}, {heads}, {T}, {part})", 3.9),
        (f"weights ({B}, {heads}, {T}, {T})", 2.8),
        (f"{4 * d_model**2 + 4 * d_model:,} parameters", 1.7),
        (f"{8 * d_model**2 + 5 * d_model:,} parameters", 7.8),
    ):
        d.box(label, 12.0, y, width=6.8, color="sky")
    return d.picture(
        f"A block, from below: x of shape {x} goes up a line. Attention reads a normalised copy, with "
        f"weights ({B}, {heads}, {T}, {T}), and is added; then the feed-forward network reads one, is "
        f"{4 * d_model} wide inside, and is added."
    )


explore(
    draw_block,
    B=widgets.ToggleButtons(options=[1, 2, 8], value=2, description="B"),
    T=widgets.SelectionSlider(options=[1, 8, 64, 1024], value=8, description="T"),
    d_model=widgets.ToggleButtons(options=[48, 192, 768], value=768, description="d_model"),
    heads=widgets.ToggleButtons(options=[1, 4, 12], value=12, description="heads"),
)

# %% tags=["display"]
# @title What will count, set before anything is measured
claims.expect(
    "B1", "a block is attention + an MLP that widens 4 times",
    source=Source(NOTES, "Transformer"), published=4, tolerance=0,
)
claims.expect(
    "B2", "information is added to a residual stream, never replaced",
    source=Source(NOTES, "Transformer: residual stream"), published=0, tolerance=1e-4,
)
claims.expect(
    "B3", "GPT's block is x_out = LayerNorm(x_in + Attention(x_in) + MLP(x_in))",
    source=Source("Lecture notes, module 15: interpretability", "from arithmetic to language models"),
    published="yes",
    criterion="a pre-norm model's weights, run by this formula, lose at most 0.1 nats",
    holds=lambda loss: loss <= 0.1,
)
claims.expect(
    "B4", "residuals keep the signal alive in deep stacks",
    source=Source(NOTES, "Transformer: residual stream"), published="alive only with them",
    criterion="12 layers without the sum end within 0.1 nats of word frequencies, "
              "with it half a nat below",
    holds=lambda m: abs(m[0]) < 0.1 and m[1] > 0.5,
)
claims.expect(
    "B5", "GELU beats ReLU",
    source=Source("Hendrycks & Gimpel 2016", "experiments", "https://arxiv.org/abs/1606.08415"),
    published="in all their tasks",
    criterion="the 95 % interval of three seeds of ReLU's loss minus GELU's lies above 0 at each of "
              "three settings; partly where it does at the best setting",
    holds=lambda low: min(low) > 0, partly=lambda low: low[0] > 0,
)
claims.expect(
    "B6", "pre-norm trains where post-norm needs warm-up",
    source=Source("Xiong et al. 2020", "experiments", "https://arxiv.org/abs/2002.04745"),
    published="post-norm fails without warm-up",
    criterion="with each of three seeds, post-norm without warm-up ends 0.3 nats or more behind "
              "pre-norm without and post-norm with one",
    holds=lambda behind: min(behind) >= 0.3,
)
claims.criteria()

# %% [markdown]
# The same shape goes in and comes out, so blocks can be stacked. The straight line on the left is never interrupted. Two
# parts stand beside it, and each is added. You now build them from the bottom.
#
# ## The norm: keep the numbers in range
#
# **Question.** A deep network multiplies by one matrix after the other. What becomes of the size of the numbers?

# %% tags=["display"]
# @title Predict: forty-eight matrices
predict(
    "block.fade",
    "Each of 48 matrices makes a vector 0.8 times as long. The typical number of a vector, 1 at "
    "first, ends near …",
    ["0.8", "0.01", "0.00002"],
)

# %%
typical = {}
for scale in (0.8, 1.0, 1.2):
    x, g = torch.randn(64, generator=generator(0)), generator(1)  # (d_model,)
    for layer in range(48):
        x = scale * torch.randn(64, 64, generator=g) / math.sqrt(64) @ x
    typical[scale] = x.square().mean().sqrt().item()
    print(f"times {scale}: the typical number is now {typical[scale]:.0e}")

# %% tags=["display"]
# @title Measured: forty-eight matrices
assert 3e-6 < typical[0.8] < 1e-4 and typical[1.2] > 1000
reveal("block.fade", "0.00002")


# %% [markdown]
# A little below 1 fades, a little above explodes, and gradients meet the same matrices on their way back. To give the features of each
# position mean 0 and variance 1, and then a learned gain and shift each, is called **layer normalization**. It sets the size right again.
#
# ### Exercise 1 · LayerNorm
#
# *Difficulty 1 of 3 · 8 minutes*

# %% tags=["exercise"]
def layer_norm(x: Tensor, weight: Tensor, bias: Tensor, eps: float = 1e-5) -> Tensor:
    """Give each position's features mean 0 and variance 1, then a learned gain and shift each.

    Shapes: x (..., d_model), weight and bias (d_model,) -> (..., d_model).
    The variance divides by d_model; eps keeps the root away from 0.
    Source: Ba et al. 2016, "Layer Normalization", section 3.

    >>> layer_norm(torch.tensor([[1.0, 3.0], [10.0, 30.0]]), torch.ones(2), torch.zeros(2))
    tensor([[-1.0000,  1.0000],
            [-1.0000,  1.0000]])
    """
    ...


# %% tags=["check"]
layer_norm = check("transformer_block.layer_norm", layer_norm)
# hint("transformer_block.layer_norm")
# solution("transformer_block.layer_norm")

# %% [markdown]
# **Why over the features?** You could also take mean and variance over the positions, or over the texts of a batch (that is
# BatchNorm, which image models use). Change the last two positions of every text, then all texts but the first: who notices?

# %%
x = torch.randn(4, 6, 8, generator=generator(0))  # (B, T, d_model)
future, others = x.clone(), x.clone()
future[:, 4:] += 1
others[1:] += torch.randn(3, 6, 8, generator=generator(2))
for name, dim in (("features", -1), ("positions", 1), ("texts", 0)):

    def over(x, dim=dim):
        turned = x.transpose(dim, -1)
        return layer_norm(turned, torch.ones(()), torch.zeros(())).transpose(dim, -1)

    past = (over(future) - over(x))[:, :4].abs().max()
    first = (over(others) - over(x))[0].abs().max()
    print(f"over {name:<10} the past moves by {past:.1f}, the first text by {first:.1f}")


# %% [markdown]
# Over positions, the past changes when the future does: the model would see what it has to predict. Over texts, your answer
# depends on who else asks. Only over features is each position left to itself.
#
# ## The feed-forward network: think about what was seen
#
# **Question.** Attention takes weighted averages. What can averages not do?
#
# They are linear in what is averaged, and linear maps on top of each other are no more than one. Something has to bend. A function
# that is applied to each number alone, so that the whole is not linear, is an **activation function**. A **feed-forward network**
# widens the features of each position (4 times in GPT-2), bends each number, and narrows them again. It is also called MLP, for
# multi-layer perceptron.
#
# ### Exercise 2 · the feed-forward network
#
# *Difficulty 1 of 3 · 6 minutes*

# %% tags=["exercise"]
def feed_forward(
    x: Tensor,
    w_in: Tensor,
    b_in: Tensor,
    w_out: Tensor,
    b_out: Tensor,
    activation: Callable[[Tensor], Tensor],
) -> Tensor:
    """Widen the features of each position, let the activation bend each number, narrow them again.

    Shapes: x (..., d_model); w_in (d_inner, d_model), b_in (d_inner,); w_out (d_model, d_inner),
    b_out (d_model,): the matrices lie as nn.Linear keeps them, (out, in) -> (..., d_model).
    activation works on each number alone. No sum with x: that is the block's.
    Source: Vaswani et al. 2017, section 3.3.

    >>> w_in, w_out = torch.tensor([[1.0], [-1.0]]), torch.tensor([[1.0, 10.0]])
    >>> x = torch.tensor([[2.0], [-2.0]])
    >>> feed_forward(x, w_in, torch.zeros(2), w_out, torch.ones(1), torch.relu)
    tensor([[ 3.],
            [21.]])
    """
    ...


# %% tags=["check"]
feed_forward = check("transformer_block.feed_forward", feed_forward)
# hint("transformer_block.feed_forward")
# solution("transformer_block.feed_forward")

# %% [markdown]
# **What can it keep?** Give it 512 facts: each a random question of 32 numbers, and one of 64 answers. It learns them by heart. The *inner width*
# is the number of features between the two maps.

# %%
def facts_kept(d_inner, activation, seed):
    """The share of 512 random facts that your network knows after 200 steps."""
    g = generator(seed)
    x, table = torch.randn(512, 32, generator=g), torch.randn(64, 32, generator=g)
    answers = torch.randint(64, (512,), generator=g)
    sizes = (d_inner, 32), (d_inner,), (32, d_inner), (32,)
    weights = [nn.Parameter(torch.randn(*size, generator=g) / 6) for size in sizes]
    optimizer = torch.optim.Adam(weights, lr=0.01)
    for _ in range(200):
        scores = feed_forward(x, *weights, activation) @ table.T  # (512, 64)
        optimizer.zero_grad()
        F.cross_entropy(scores, answers).backward()
        optimizer.step()
    return (scores.argmax(-1) == answers).float().mean().item()


# %% tags=["display"]
# @title Predict: facts without an activation
predict(
    "block.facts",
    "With an inner width of 32 and GELU the network keeps nearly all 512 facts. The same network "
    "without an activation function keeps …",
    ["nearly all, too", "about half", "less than a third"],
)

# %%
widths = (4, 8, 16, 32)
kept = {
    (name, width): [facts_kept(width, function, seed) for seed in range(3)]
    for name, function in (("GELU", F.gelu), ("none", nn.Identity()))
    for width in progress(widths, name)
}

# %% tags=["display"]
# @title Measured: facts against width
fig, ax = subplots(figsize=(8, 3.6))
for name, color, mark in (("GELU", "blue", "o-"), ("none", "orange", "s--")):
    runs_of = [kept[name, width] for width in widths]
    ax.plot(widths, [statistics.mean(r) for r in runs_of], mark, color=COLORS[color], label=name)
    for width, values in zip(widths, runs_of, strict=True):
        ax.plot([width] * 3, values, ".", color=COLORS[color])
ax.set(xscale="log", xticks=widths, xticklabels=widths, ylim=(0, 1.05))
ax.set(xlabel="inner width", ylabel="share of facts kept")
ax.minorticks_off()
ax.legend(title="activation")
linear = max(kept["none", 32])
assert linear < 0.33 and min(kept["GELU", 32]) > max(0.9, max(kept["GELU", 4]) + 0.3)
show(fig, f"With GELU the facts kept grow with the width; without, they stay below {linear + 0.05:.1f}.")
reveal("block.facts", "less than a third" if linear < 1 / 3 else "about half")

# %% [markdown]
# Each point is one seed. With an activation, what is kept grows with the width; without one, width buys nothing. This is why the feed-forward
# network is called the memory of a block. One inner feature is a pair: a row of `w_in` is a *key*, which says what to react to, and a column of `w_out`
# is a *value*, which says what to write then (Geva and others 2021). You will look at such pairs below.

# %%
attention, memory = MultiHeadAttention(768, 12), transformer_block.MLP(768)
for name, part in (("attention", attention), ("feed-forward", memory)):
    print(f"{name:<13} {sum(p.numel() for p in part.parameters()):>9,} parameters at GPT-2's width")


# %% [markdown]
# Two thirds of a block are memory.
#
# ## The block: write beside, and add
#
# **Question.** How do the parts go together?
#
# No part stands *in* the line of the diagram. Each part of a block reads a copy of the line, and what it says is added to the line: this sum is the **residual connection**. GPT-2 normalises
# the copy that a part reads and leaves the line as it is, which is called **pre-norm**.
#
# ### Exercise 3 · the block
#
# *Difficulty 1 of 3 · 5 minutes*

# %% tags=["exercise"]
def pre_norm_block(x: Tensor, attn: Part, mlp: Part, ln_1: Part, ln_2: Part) -> Tensor:
    """One block in GPT-2's order: attention, then the MLP; each reads a normalised copy and adds.

    Shapes: x (B, T, d_model) -> (B, T, d_model); so for each of the four parts.
    Source: Radford et al. 2019 (GPT-2), section 2.3; Xiong et al. 2020, figure 1 (b).

    >>> same, tenfold = lambda x: x, lambda x: 10 * x
    >>> pre_norm_block(torch.tensor([1.0]), attn=tenfold, mlp=tenfold, ln_1=same, ln_2=same)
    tensor([121.])
    """
    ...


# %% tags=["check"]
pre_norm_block = check("transformer_block.pre_norm_block", pre_norm_block)
# hint("transformer_block.pre_norm_block")
# solution("transformer_block.pre_norm_block")

# %% [markdown]
# Now a model whose blocks run *your* three functions. The embedding, the attention of lesson 02 and the scores come from the course; so does each
# block's storage of weights.

# %%
class Yours(Transformer):
    order = staticmethod(pre_norm_block)

    def run_block(self, block, x, kv_cache=None, mask=None):
        def norm(part):
            return lambda z: layer_norm(z, part.weight, part.bias)

        def mlp(z):
            up, down = block.mlp.c_fc, block.mlp.c_proj
            return feed_forward(z, up.weight, up.bias, down.weight, down.bias, block.mlp.act)

        def attn(z):
            return block.attn(z, kv_cache, mask)

        return self.order(x, attn, mlp, norm(block.ln_1), norm(block.ln_2))


# %% [markdown]
# **Is this GPT-2's block?** The library `transformers` has the original. We copy its random weights into yours; it stores its matrices the other way
# round, hence `.mT`.

# %%
from transformers import GPT2Config
from transformers.models.gpt2.modeling_gpt2 import GPT2Block

theirs = GPT2Block(GPT2Config(attn_implementation="sdpa"), layer_idx=0).eval()
for weight in (w for w in theirs.parameters() if w.ndim == 2):  # the matrices, from a seed of ours
    torch.nn.init.normal_(weight, std=0.02, generator=generator(0))
config = transformer_block.TransformerConfig(vocab_size=10, n_layer=1)
yours = Yours(config, generator(0)).eval()
weights = {name: w.mT if w.ndim == 2 else w for name, w in theirs.state_dict().items()}
yours.h[0].load_state_dict(weights)
x = torch.randn(2, 10, 768, generator=generator(0))  # (B, T, d_model)
gap = (yours.run_block(yours.h[0], x) - theirs(x)).abs().max().item()
print(f"largest difference: {gap:.3f}; the numbers go up to {theirs(x).abs().max():.1f}")

# %% tags=["display"]
# @title Measured: the width of GPT-2's network
assert gap < 1e-4
width, wide = theirs.mlp.c_fc.weight.shape
claims.measure("B1", wide / width)
print(f"GPT-2's network goes from {width} features to {wide}")

# %% [markdown]
# ## Why add?
#
# **Question.** Could each part not replace what it read, as layers of other networks do?
#
# Take deep models that nobody has trained, send some text through, and look at each layer: how large are the numbers, how large the
# gradients of its weights, and how *alike* are the positions? Alike is the mean cosine between any two: at 1 all say the same.

# %%
deep = replace(runs.NARROW, n_embd=64, initializer_range=0.07, n_layer=24)
sample = text.tokens[: 8 * 33].view(8, 33)  # (B, T + 1)


def by_depth(config):
    model = Transformer(config, generator(0))
    streams = model.streams(sample[:, :-1])  # n_layer + 1 tensors (B, T, d_model)
    logits = model.lm_head(model.ln_f(streams[-1]))  # (B, T, V)
    F.cross_entropy(logits.flatten(0, 1), sample[:, 1:].flatten()).backward()
    gradient = [sum(p.grad.square().sum() for p in b.parameters()).sqrt().item() for b in model.h]
    size = [s.square().mean().sqrt().item() for s in streams]
    unit = [F.normalize((s - s.mean(-1, keepdim=True)).detach(), dim=-1) for s in streams]
    return size, gradient, [(u @ u.mT).mean().item() for u in unit]


# %% [markdown]
# **Take the sum away, then the norm too.** The grey line has everything on. Which of the three panels tells you that the model is dead?

# %% tags=["display"]
# @title A deep stack before training
def draw_depth(residual, norm, layers):
    whole = replace(deep, n_layer=layers)
    chosen = by_depth(replace(whole, residual=residual, norm=norm))
    fig, axes = subplots(1, 3, figsize=(10.5, 3.6))
    lines = ((by_depth(whole), "#888888", 4, "all on"), (chosen, COLORS["vermillion"], 1.6, "yours"))
    for values, color, width, label in lines:
        for ax, y in zip(axes, values, strict=True):
            floor = -1 if ax is axes[2] else 1e-12
            ax.plot([max(v, floor) for v in y], color=color, linewidth=width, label=label)
            ax.set_xlabel("layer")
    axes[0].set(title="size of the numbers", yscale="log")
    axes[1].set(title="gradient", yscale="log")
    axes[2].set(title="positions alike (cosine)", ylim=(-0.1, 1.1))
    axes[0].legend()
    off = [name for name, on in (("sum", residual), ("norm", norm)) if not on]
    alt = (f"{layers} layers, off: {', '.join(off) or 'nothing'}. Gradient {chosen[1][0]:.0e} in the "
           f"first layer, {chosen[1][-1]:.0e} in the last; positions alike {chosen[2][-1]:.1f}.")
    return Picture(fig, alt)


explore(
    draw_depth,
    residual=widgets.Checkbox(True, description="sum"),
    norm=widgets.Checkbox(True, description="norm"),
    layers=widgets.SelectionSlider(options=[6, 12, 24, 48], value=24, description="layers"),
)

# %% tags=["display"]
# @title Predict: twelve layers, trained
predict(
    "block.sum",
    "Twelve narrow layers train for 110 steps: with everything, without the norm, without the sum. "
    "Which stays at what word frequencies alone give?",
    ["without the norm", "without the sum", "both of these", "none"],
)

# %%
frequencies = ngram_entropy(text.tokens, 1)
pairs = ngram_entropy(text.tokens, 2)
narrow = replace(runs.NARROW, n_layer=12)
learned = {}
switches = {"everything": {}, "no norm": {"norm": False}, "no sum": {"residual": False}}
for name, off in progress(list(switches.items()), "twelve layers"):
    model = Transformer(replace(narrow, **off), generator(0))
    learned[name] = runs.on_stories(model, text, unseen, steps=110, lr=3e-3)[1]
print(f"frequencies alone {frequencies:.1f} nats, without the sum {learned['no sum']:.1f}")

# %% tags=["display"]
# @title Measured: twelve layers, trained
best = unseen.surprisal[1:].mean().item()  # a perfect model's loss on the unseen stories
fig, ax = subplots(figsize=(8.5, 3))
ax.barh(list(learned), list(learned.values()), color=COLORS["sky"])
for name, nats in {"best possible": best, "pairs": pairs, "frequencies": frequencies}.items():
    ax.axvline(nats, color="black", linestyle=":")
    ax.text(nats, -0.75, name, ha="center", va="center", fontsize=11, backgroundcolor="white")
ax.invert_yaxis()
ax.set(xlabel="loss on unseen stories (nats)", xlim=(0, 6), ylim=(2.5, -1))
gain = frequencies - max(learned["everything"], learned["no norm"])
_, fades, alike = by_depth(replace(deep, n_layer=12, residual=False))
assert gain > 0.5 and abs(learned["no sum"] - frequencies) < 0.1 and alike[-1] > 0.95 and fades[0] > 1e-3
claims.measure(
    "B4", (learned["no sum"] - frequencies, gain),
    shown=f"12 layers without: loss {learned['no sum']:.1f}, positions alike {alike[-1]:.1f}; "
          f"frequencies: {frequencies:.1f}",
    reason="With the norm on, the gradient lives; what dies is the difference between positions.",
)
show(fig, "Without the sum the loss stays at word frequencies; with it, norm or not, it is lower.")
reveal("block.sum", "without the sum")

# %% [markdown]
# *Frequencies* is the loss of a model that knows how often each word comes, *pairs* of one that also knows the word before. Without the sum, the gradient arrives and has
# nothing to tell: each layer averages over positions, and averages of averages forget who was who (Dong and others 2021). Without the norm this
# model learned, too. What a norm buys is tolerance: of larger steps, and of depth.
#
# ## Where does the norm stand?
#
# **Question.** The order of the first transformer, which normalises the line itself after each sum, is called **post-norm**. The lecture's formula does so, too, and lets both
# parts read the same *x*:
#
# | order | first | then |
# |---|---|---|
# | pre-norm (GPT-2) | *x* + attention(LN₁(*x*)) | *x* + MLP(LN₂(*x*)) |
# | post-norm (Vaswani 2017) | LN₁(*x* + attention(*x*)) | LN₂(*x* + MLP(*x*)) |
# | the lecture's | LN₁(*x* + attention(*x*) + MLP(*x*)) | – |
#
# Is it a detail? Train a model of six layers in the pre-norm order, then run the very same weights by the lecture's formula.

# %%
six = runs.NARROW
model = Yours(six, generator(0))
high = dict(steps=200, lr=7e-3, clip=math.inf, warmup=0.0)
history, loss_pre = runs.on_stories(model, text, unseen, **high)
other = Transformer(replace(six, order="parallel"))
other.load_state_dict(model.state_dict(), strict=False)  # it has no second norm
loss_by_formula = evaluate(other, runs.unseen_batches(unseen, 32))
print(f"by the lecture's formula, worse by over {int(loss_by_formula - loss_pre)} nat")

# %% [markdown]
# Another function. So a checkpoint belongs to its order; that says nothing yet about which order learns better.
#
# Xiong and others (2020) found that post-norm needs a **warm-up**: the first steps are made small, and grow to their full size. Here are all orders with three
# seeds, recorded, at one high rate.

# %% tags=["display"]
# @title Measured: orders and warm-up
CASES = {("pre", 0.0): ("blue", "-"), ("post", 0.0): ("vermillion", "-"),
         ("post", 0.3): ("orange", "--"), ("parallel", 0.3): ("green", ":")}
of = {case: [r for r in record["orders"] if (r["order"], r["warmup"]) == case] for case in CASES}
fig, ax = subplots(figsize=(8.5, 3.8))
for (order, warmup), (color, line) in CASES.items():
    for row in of[order, warmup]:
        name = "lecture's" if order == "parallel" else f"{order}-norm"
        label = f"{name}, {'with' if warmup else 'no'} warm-up" if row["seed"] == 0 else None
        ax.plot(range(10, 201, 10), row["curve"], line, color=COLORS[color], label=label)
ax.axhline(frequencies, color="black", linestyle=":", linewidth=1.2)
ax.set(xlabel="step", ylabel="training loss (nats)")
ax.legend()
late = {case: [statistics.mean(r["curve"][-2:]) for r in rows] for case, rows in of.items()}
behind = [late["post", 0.0][n] - max(late["pre", 0.0][n], late["post", 0.3][n]) for n in range(3)]
trained = [max(late["parallel", 0.3]), max(late["post", 0.3]), max(late["pre", 0.0])]
assert max(trained) < frequencies - 0.4 and min(behind) > 0.3
assert 2.7 < loss_pre < 4.6  # recorded with three seeds: 3.3 to 4.1
claims.measure("B6", behind, shown=f"behind by {', '.join(f'{b:.1f}' for b in behind)} nats")
claims.measure(
    "B3", loss_by_formula - loss_pre, shown=f"worse by over {int(loss_by_formula - loss_pre)} nat",
    reason="That block is parallel and post-norm; GPT-2's is sequential and pre-norm. It trains, too.",
)
show(fig, "Post-norm without warm-up stays longest at the word frequencies; the others fall.")

# %% [markdown]
# The red runs stay long at the dotted line of word frequencies: their first steps were too large. With a warm-up post-norm learns, and so does the lecture's
# formula. At a lower rate the differences can vanish: this is one rate.
#
# ## Depth: which text needs it?
#
# **Question.** GPT-2 small has 12 blocks. Why not one, with the same number of parameters?
#
# On a text where two words predict the third, one block does. Here is a text that asks for more. A note gives somebody a number, or says whose number it is:
#
# > Mia = 3, Leo = 1, Ann = Mia, Tom = Ann, Zoe = Leo, …
#
# After each note the model says the number. *Tom* asks for two *hops*: to Ann, and on to Mia. There are three chains in a text, and four possible numbers.

# %%
task = runs.TASK
ids, numbers, hops = task.draw(1, generator(0))  # (1, T) each
for note, number, far in list(zip(ids[0], numbers[0], hops[0], strict=True))[:6]:
    name, says = divmod(int(note), task.names + task.numbers)
    said = f"number {says - task.names}" if says >= task.names else f"name {says}"
    print(f"name {name} = {said:<9} to be said: {number}, hops: {far}")

# %% tags=["display"]
# @title Predict: hops and blocks
predict(
    "block.hops",
    "One block, one block as wide as four together, and four blocks train equally long. "
    "Which follows four hops?",
    ["all three", "the wide one and the four", "the four only", "none"],
)

# %% [markdown]
# Your block, alone, live, for a quarter of the steps that the recorded runs below have:

# %%
single = Yours(runs.hop_config(1), generator(0))
mine = runs.on_hops(single, seed=0, steps=1000)  # the share of right numbers for 0, 1, … 5 hops
print("right, for 0 to 5 hops:", [round(share, 1) for share in mine])

# %% tags=["display"]
# @title Measured: the ladder of depth, three seeds each
KINDS = {"1 block": (1, False, "orange", "o"), "1 wide block": (1, True, "purple", "D"),
         "2 blocks": (2, False, "sky", "s"), "4 blocks": (4, False, "blue", "^")}
shares = {
    name: torch.tensor([r["accuracy"] for r in record["hops"] if (r["blocks"], r["wide"]) == (n, wide)])
    for name, (n, wide, _, _) in KINDS.items()
}  # (seeds, hops) each
fig, ax = subplots(figsize=(8.5, 4))
for offset, (name, (_, _, color, mark)) in zip((-0.12, -0.04, 0.04, 0.12), KINDS.items(), strict=True):
    low, mean, high = shares[name].amin(0), shares[name].mean(0), shares[name].amax(0)
    at = torch.arange(6) + offset
    ax.errorbar(at, mean, torch.stack([mean - low, high - mean]), color=COLORS[color], marker=mark,
                capsize=4, label=name)
ax.axhline(1 / 4, color="black", linestyle=":")
ax.text(5.2, 0.27, "guessing", ha="right")
ax.set(xlabel="hops", ylabel="share of right numbers", ylim=(0, 1.05))
ax.legend(loc="center left")
one, broad, two, four = shares.values()
assert four[:, 4].min() > two[:, 4].max() + 0.05 and four.min() > 0.95
assert two[:, 2].min() > max(one[:, 2].max(), broad[:, 2].max()) + 0.1
assert broad[:, 3:].mean() < one[:, 3:].mean() + 0.05
assert all(x[:, :2].min() > 0.98 for x in shares.values())
assert min(mine[:2]) > 0.95 and max(mine[3:]) < one[:, 3:].max() + 0.1
show(fig, "All follow one hop. From two hops on single blocks fall behind; four blocks follow all.")
able = [name for name, x in shares.items() if x[:, 4].mean() > 0.95]
reveal("block.hops", {1: "the four only", 0: "none"}.get(len(able), "all three"))

# %% [markdown]
# The bars go from the worst to the best of three seeds. Everybody follows one hop. Two hops need two blocks, and four blocks follow all five. **Width is no replacement**: the wide block has as many parameters as the four, and does no better than the single one beyond two hops.
# Each block can look up what the block before has found. That single blocks stand above the dotted line of guessing is the use of three chains: whoever names the number of any chain is right more often.
#
# ## Train yours, and compare two activations
#
# **Question.** Back to the stories. ReLU is max(0, *x*). GELU is *x* times the probability that a standard normal number is below *x*: round where ReLU has a corner.
# Hendrycks and Gimpel found GELU better in all their tasks. Do you?

# %% tags=["display"]
# @title ReLU and GELU, and their slopes
z = torch.linspace(-4, 4, 401).requires_grad_()
fig, axes = subplots(1, 2, figsize=(10, 3.2))
for name, function, color, line in (
    ("ReLU", F.relu, "orange", "--"), ("GELU", transformer_block.gelu, "blue", "-"),
):
    slope = torch.autograd.grad(function(z).sum(), z)[0]
    for ax, y in zip(axes, (function(z).detach(), slope), strict=True):
        ax.plot(z.detach(), y, line, color=COLORS[color], label=name)
axes[0].set(title="value", xlabel="x")
axes[1].set(title="slope", xlabel="x")
axes[0].legend()
assert slope.min() < -0.1
show(fig, "ReLU has a corner at 0 and slope 0 below; GELU is round, its slope negative for a while.")

# %% tags=["display"]
# @title Predict: GELU or ReLU
predict(
    "block.gelu",
    "Three settings (start of the weights, learning rate) with three seeds each, 600 steps. GELU has "
    "the lower loss …",
    ["in all nine pairs", "in some pairs", "in no pair"],
)

# %% [markdown]
# How the weights are drawn before training is the **initialization**: here normal, with a standard deviation of 0.07 (GPT-2's 0.02 is for wider models). This is the model that you will read afterwards.

# %%
gpt = Yours(runs.STORY, generator(0))  # two blocks of four heads, GELU
history, loss = runs.on_stories(gpt, text, unseen, steps=600, lr=6e-3)
gpt.eval()
print(f"your model {loss:.1f} nats; pairs {pairs:.1f}, best possible {unseen.surprisal[1:].mean():.1f}")

# %% tags=["display"]
# @title Measured: GELU against ReLU
settings = [(0.07, 6e-3), (0.07, 3e-3), (0.02, 6e-3)]  # the first has the lowest losses
found = {(r["start"], r["rate"], r["activation"], r["seed"]): r["loss"] for r in record["activations"]}
fig, ax = subplots(figsize=(8.5, 3.4))
for row, (start, rate) in enumerate(settings):
    for name, shift, color, mark in (("relu", -0.12, "orange", "o"), ("gelu_new", 0.12, "blue", "s")):
        values = [found[start, rate, name, seed] for seed in range(3)]
        label = {"relu": "ReLU", "gelu_new": "GELU"}[name] if row == 0 else None
        ax.plot(values, [row + shift] * 3, mark, color=COLORS[color], label=label, markersize=8)
ax.set(yticks=range(3), yticklabels=[f"start {s}, rate {r}" for s, r in settings], ylim=(-0.5, 2.5))
ax.set(xlabel="loss on unseen stories (nats)")
ax.legend()
gains = [[found[s, r, "relu", n] - found[s, r, "gelu_new", n] for n in range(3)] for s, r in settings]
ahead = sum(g > 0 for group in gains for g in group)
spread = [found[0.07, 6e-3, "gelu_new", n] for n in range(3)]
assert min(spread) - 0.04 < loss < max(spread) + 0.04 and max(gains[2]) < 0 and abs(gains[0][0]) < 0.01
middle = [statistics.mean(group) for group in gains]
half = [4.30 * statistics.stdev(group) / math.sqrt(3) for group in gains]  # t, 2 degrees of freedom
claims.measure(
    "B5", [m - h for m, h in zip(middle, half, strict=True)],
    shown="; ".join(f"start {s}, rate {r}: {m:+.3f} ± {h:.3f}"
                    for (s, r), m, h in zip(settings, middle, half, strict=True)),
    reason="The start and the rate matter more than the activation; at the best setting the "
           "interval holds 0.",
)
show(fig, "Losses of 18 runs: the activations lie together; only from the start 0.02 ReLU is lower.")
reveal("block.gelu", "in some pairs" if 0 < ahead < 9 else "in all nine pairs")

# %% [markdown]
# At the best setting you cannot tell them apart; from the small start ReLU is ahead with all seeds. Stopped early, such a comparison gives almost any answer. GELU is what GPT-2 uses; that it is better, these runs do not show.
#
# ### One table or two?
#
# GPT-2's scores use the embedding's table a second time, and save a table. What does it cost? Untying alone would also double the table, so the untied model gets fewer features instead: both have about the same number of parameters.

# %% tags=["display"]
# @title Predict: one table or two
predict(
    "block.tied",
    "At an equal number of parameters, one table instead of two gives the lower loss …",
    ["with and without blocks", "only with blocks", "only without blocks", "never"],
)

# %% tags=["display"]
# @title Measured: one table or two, three seeds each
tied = {(r["level"], r["tied"], r["seed"]): r["loss"] for r in record["tying"]}
fig, ax = subplots(figsize=(8.5, 2.8))
for row, level in enumerate((2, 5)):
    for kind, name, color in ((True, "one table", "blue"), (False, "two tables", "orange")):
        values = [tied[level, kind, seed] for seed in range(3)]
        label = name if row == 0 else None
        ax.plot(values, [row] * 3, "s" if kind else "o", color=COLORS[color], label=label, markersize=9)
ax.set(yticks=(0, 1), yticklabels=("no block", "two blocks"), ylim=(-0.5, 1.5))
ax.set(xlabel="loss on unseen stories (nats)")
ax.legend()
cost = {level: [tied[level, True, n] - tied[level, False, n] for n in range(3)] for level in (2, 5)}
assert min(cost[2]) > 1 and max(cost[5]) < -0.05
show(fig, "Without a block one table is far worse than two; with two blocks it is a little better.")
reveal("block.tied", "only with blocks")

# %% [markdown]
# Without a block, the score of *b* after *a* is the product of their two vectors, and so it is the score of *a* after *b*: *once upon* and *upon once* are equal. Blocks turn "what this token is" into "what comes next". Then one table is enough, and the features that it saves are worth more.
#
# ## Reading what was written
#
# **Question.** Everything was added, nothing replaced. Can you say *who* made a prediction?
#
# `residual_writes` collects all that was ever added: the embedding, the position, and what each head and each network wrote. "bias 1" is a constant of block 1's attention.

# %%
ids = unseen.tokens[unseen.starts[3] : unseen.starts[3] + 40][None]  # (B, T) = (1, 40)
writes = transformer_block.residual_writes(gpt, ids)
stream = gpt.streams(ids)[-1].detach()
gap = (sum(writes.values()) - stream).abs().max().item()
print(f"{len(writes)} writes add up to the stream, to {gap:.3f}")


# %% [markdown]
# ### Exercise 4 · through the last LayerNorm
#
# *Difficulty 2 of 3 · 10 minutes*
#
# Between the stream and the scores stands one more norm, and the standard deviation of a sum is not a sum. Freeze it: then the rest is linear.

# %% tags=["exercise"]
def frozen_layer_norm(writes: Tensor, weight: Tensor, eps: float = 1e-5) -> Tensor:
    """Share out the LayerNorm of a sum: centre each write, divide by the sum's standard deviation.

    The shares plus the bias add up to layer_norm(writes.sum(0), weight, bias).
    Shapes: writes (N, ..., d_model), the N parts of the sum, weight (d_model,) -> the same.
    Source: Elhage et al. 2021, "A Mathematical Framework for Transformer Circuits".

    >>> frozen_layer_norm(torch.tensor([[4.0, 0.0], [0.0, 2.0]]), weight=torch.ones(2))
    tensor([[ 2.0000, -2.0000],
            [-1.0000,  1.0000]])
    """
    ...


# %% tags=["check"]
frozen_layer_norm = check("transformer_block.frozen_layer_norm", frozen_layer_norm)
# hint("transformer_block.frozen_layer_norm")
# solution("transformer_block.frozen_layer_norm")

# %% [markdown]
# With your function, each write has its share in a token's score. Do the shares add up?

# %%
@torch.no_grad()
def shares_of(ids, token):
    """What each write adds to a token's score, (B, T) each."""
    writes = transformer_block.residual_writes(gpt, ids)
    parts = frozen_layer_norm(torch.stack(list(writes.values())), gpt.ln_f.weight)
    return dict(zip(writes, parts @ gpt.lm_head.weight[token], strict=True))


constant = gpt.ln_f.bias @ gpt.lm_head.weight[7]  # the last norm's shift
off = (sum(shares_of(ids, 7).values()) + constant - gpt(ids)[..., 7]).abs().max().item()
print(f"the shares add up to the score, to {off:.3f}")


# %% [markdown]
# **Choose a story and a position.** Left: what the model would say if it stopped after a part. Right: which write speaks for its word *against the second-best*.

# %% tags=["display"]
# @title Follow one token
def draw_stream(story, position):
    start = int(unseen.starts[story])
    row = unseen.tokens[start : start + 64][None]
    said, x = {}, 0
    for name, write in transformer_block.residual_writes(gpt, row).items():
        x = x + write[0, position]
        said[name] = gpt.lm_head(gpt.ln_f(x)).softmax(-1).detach()  # (V,)
    first, second = said["mlp 1"].topk(2).indices.tolist()
    one, two = shares_of(row, first), shares_of(row, second)
    share = {name: (one[name] - two[name])[0, position].item() for name in one}
    stages = ["position", "bias 0", "mlp 0", "bias 1", "mlp 1"]
    names = ["token + place", "+ attention 0", "+ MLP 0", "+ attention 1", "+ MLP 1"]
    fig, (left, right) = subplots(1, 2, figsize=(10.5, 4.8))
    left.barh(names, [said[stage][first].item() for stage in stages], color=COLORS["sky"])
    for n, stage in enumerate(stages):
        left.text(0.02, n, f"says “{VOCAB[said[stage].argmax()]}”", va="center")
    left.set(xlim=(0, 1), xlabel=f"probability of “{VOCAB[first]}”", title="if it stopped there")
    colors = [COLORS["blue" if value > 0 else "orange"] for value in share.values()]
    right.barh(list(share), list(share.values()), color=colors)
    right.axvline(0, color="black", linewidth=1)
    right.set(title=f"“{VOCAB[first]}” against “{VOCAB[second]}”", xlabel="score (nats)")
    for ax in (left, right):
        ax.invert_yaxis()
    prompt = decode_words(row[0, : position + 1])
    fig.suptitle(f"… {prompt[-64:]}", fontsize=13, fontstyle="italic")
    guesses = ", ".join(VOCAB[said[stage].argmax()] for stage in stages)
    return Picture(fig, f"After “{prompt[-40:]}” the guess after each part is: {guesses}")


claims.measure("B2", gap, shown=f"{len(writes)} writes add up to the stream, to {gap:.4f}",
               reason="Exactly so in a pre-norm model; post-norm rescales what was written before.")
assert gap < 1e-4 and off < 1e-3
explore(
    draw_stream,
    story=widgets.IntSlider(3, 0, 20, description="story"),
    position=widgets.IntSlider(17, 0, 63, description="position"),
)

# %% [markdown]
# **And the memory?** Choose one inner feature of a block. Left: where in the unseen stories its key fits best. Right: the words whose scores its value raises most. Try several; not each can be read.

# %% tags=["display"]
# @title One key and its value
rows = unseen.tokens[: 64 * 64].view(64, 64)
with torch.no_grad():
    streams = gpt.streams(rows)
    reads = []
    for block, x in zip(gpt.h, streams, strict=False):
        middle = x + block.attn(block.ln_1(x))
        reads.append(block.mlp.act(block.mlp.c_fc(block.ln_2(middle))))  # (64, 64, 4 · d_model)


def draw_memory(block, feature):
    value = gpt.h[block].mlp.c_proj.weight[:, feature].detach()  # (d_model,)
    fits, where = reads[block][..., feature].flatten().topk(6)
    texts = []
    for at in where.tolist():
        row, t = divmod(at, 64)
        texts.append("… " + decode_words(rows[row, max(0, t - 3) : t + 1]))
    raised = (value - value.mean()) * gpt.ln_f.weight.detach() @ gpt.lm_head.weight.detach().T
    up, words = raised.topk(6)
    fig, (left, right) = subplots(1, 2, figsize=(10.5, 3.4), width_ratios=(1, 1))
    left.barh(range(6), fits, color=COLORS["sky"])
    for n, line in enumerate(texts):
        left.text(0.05 * fits[0].item(), n, line[:34], va="center")
    left.set(yticks=(), title="the key fits after", xlabel="inner feature")
    right.barh([VOCAB[i] for i in words], up, color=COLORS["orange"])
    right.set(title="the value speaks for", xlabel="direction of the score")
    for ax in (left, right):
        ax.invert_yaxis()
    alt = f"Feature {feature} of block {block} fits best after “{texts[0]}”"
    return Picture(fig, f"{alt}, and speaks for “{VOCAB[words[0]]}”.")


explore(
    draw_memory,
    block=widgets.ToggleButtons(options=[0, 1], value=1, description="block"),
    feature=widgets.IntSlider(155, 0, 255, description="feature"),
)

# %% [markdown]
# ## Who speaks, and who is heard?
#
# **Question.** The bars of block 0's attention are short. Is it useless? Silence each part in turn, and see how much the loss rises.

# %%
unseen_64 = runs.unseen_batches(unseen, 64)


def silenced(part):
    with part.register_forward_hook(lambda module, inputs, output: torch.zeros_like(output)):
        return evaluate(gpt, unseen_64) - loss


rise = {f"attention {n}": silenced(block.attn) for n, block in enumerate(gpt.h)}
print({name: round(nats, 1) for name, nats in rise.items()}, "nats")


# %% [markdown]
# The model needs what it wrote. But who reads it: the network of its own block, or everything behind?
#
# ### Exercise 5 · a deaf network
#
# *Difficulty 2 of 3 · 6 minutes*

# %% tags=["exercise"]
def deaf_block(x: Tensor, attn: Part, mlp: Part, ln_1: Part, ln_2: Part) -> Tensor:
    """A pre-norm block whose MLP does not hear its attention: everything behind the block does.

    Nothing else changes: both parts read a normalised copy, each is called once, and both write
    into the stream that leaves the block. Shapes: x (B, T, d_model) -> (B, T, d_model); so for each
    of the four parts.

    >>> same, tenfold = lambda x: x, lambda x: 10 * x
    >>> deaf_block(torch.tensor([1.0]), attn=tenfold, mlp=tenfold, ln_1=same, ln_2=same)
    tensor([21.])
    """
    ...


# %% tags=["check"]
deaf_block = check("transformer_block.deaf_block", deaf_block)
# hint("transformer_block.deaf_block")
# solution("transformer_block.deaf_block")

# %% tags=["display"]
# @title Predict: who reads attention 0?
predict(
    "block.hidden",
    "Hide what attention 0 wrote from network 0 alone; all else still reads it. Of the loss that "
    "silencing costs, this costs …",
    ["nearly nothing", "about half", "nearly all"],
)


# %%
def mute_block(x, attn, mlp, ln_1, ln_2):
    """The other way round: only the network hears the attention."""
    return x + mlp(ln_2(x + attn(ln_1(x))))


class Hiding(Yours):
    def run_block(self, block, x, kv_cache=None, mask=None):
        self.order = self.first if block is self.h[0] else pre_norm_block
        return super().run_block(block, x, kv_cache, mask)


costs = {}
for name, order in (("hidden from network 0", deaf_block), ("hidden from all else", mute_block)):
    hiding = Hiding(runs.STORY)
    hiding.first = order
    hiding.load_state_dict(gpt.state_dict())
    costs[name] = evaluate(hiding, unseen_64) - loss
    print(f"{name}: the loss rises by {costs[name]:.1f} nats")

# %% tags=["display"]
# @title Measured: who reads attention 0
deaf, mute = costs.values()
share = deaf / rise["attention 0"]
assert share > 0.8 and mute < 0.2 * deaf and rise["attention 0"] > 0.5
reveal("block.hidden", "nearly all" if share > 0.8 else "about half")

# %% [markdown]
# Nearly the whole loss comes from one reader. Attention 0 fetches, network 0 reads it and speaks. Shares in a score show the speaker, not the source. Lesson 14 follows such paths.
#
# ## A box: dropout
#
# In training, **dropout** sets each number to 0 with probability *p* and divides the others by 1 − *p*; in evaluation nothing happens. So no part relies on a single number. If a model gives two answers to one question, look for a missing `model.eval()`. It helps where
# a text is read many times. Our models read theirs about once, and have none.
#
# ## What we verified

# %% tags=["display"]
# @title Each claim with its source
claims.show()

# %% [markdown]
# Your predictions and exercises at a glance:

# %% tags=["progress"] slideshow={"slide_type": "skip"}
exercises.progress("transformer_block")

# %% [markdown]
# **What this lesson leaves out.** Our models have 32 to 64 features and read a third of a million generated words; which part wins by how much can change with size. How a model knows positions, and the RMSNorm, SwiGLU and rotary
# positions of newer models, are lesson 11. Lesson 04 makes a whole GPT-2 of your block.
#
# ## Further reading
#
# - Vaswani and others 2017, [Attention Is All You Need](https://arxiv.org/abs/1706.03762).
# - Ba, Kiros and Hinton 2016, [Layer Normalization](https://arxiv.org/abs/1607.06450).
# - Hendrycks and Gimpel 2016, [Gaussian Error Linear Units](https://arxiv.org/abs/1606.08415).
# - He and others 2016, [Identity Mappings in Deep Residual Networks](https://arxiv.org/abs/1603.05027).
# - Xiong and others 2020, [On Layer Normalization in the Transformer Architecture](https://arxiv.org/abs/2002.04745).
# - Dong, Cordonnier and Loukas 2021, [Attention is Not All You Need](https://arxiv.org/abs/2103.03404).
# - Geva and others 2021, [Transformer Feed-Forward Layers Are Key-Value Memories](https://arxiv.org/abs/2012.14913).
# - Press and Wolf 2017, [Using the Output Embedding to Improve Language Models](https://arxiv.org/abs/1608.05859): one table.
# - Elhage and others 2021, [A Mathematical Framework for Transformer Circuits](https://transformer-circuits.pub/2021/framework/index.html).
# - Srivastava and others 2014, [Dropout](https://jmlr.org/papers/v15/srivastava14a.html).
