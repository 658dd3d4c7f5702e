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
# <!-- speaker: Ask what happens to a number that is multiplied by 0.8 forty-eight times. Write down the guesses; the third code cell answers. -->
# **Stack attention forty-eight times, and nothing arrives at the top. What has to stand around it?** Attention lets the
# tokens look at each other; that was lesson 02. A model that speaks needs many layers of it, and such a stack does not
# learn by itself. Three plain parts make it work: a normalisation, a small network, and a sum. In this lesson you build
# them, take each of them away, and see what breaks.
#
# **Time.** Running: under two minutes on CPU; no GPU is needed. Reading and exercises: about two and a half hours.
#
# **What you will be able to do**
# - build GPT-2's block, and prove that it is GPT-2's;
# - say what LayerNorm, the residual and the MLP are each for, from an experiment in which they are missing;
# - take a prediction apart into what the embedding, each head and each MLP added to it;
# - climb the ladder from a table of pairs to a small GPT, and compare each step with the best loss possible.
#
# **Prerequisites.** Lesson 02 (attention). Matrices, mean and variance; what a gradient is.

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
# What this lesson builds stands finished in `course_utils.transformer_block`. You build the main pieces here.

# %% tags=["imports"]
import math
from dataclasses import replace

import ipywidgets as widgets
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from course_utils import exercises, transformer_block
from course_utils.attention import MultiHeadAttention
from course_utils.classroom import (
    COLORS, Claims, Picture, explore, generator, progress, show, subplots,
)
from course_utils.exercises import check, hint, solution
from course_utils.stories import VOCAB, decode_words, ngram_entropy, stories
from course_utils.training import evaluate, token_batches, train
from course_utils.transformer_block import Part

claims = Claims("03")

# %% [markdown]
# ## A text whose difficulty is known
#
# **Question.** You will train many small models here. How do you know whether a loss is good?
#
# The *loss* is the mean of −log *p*, where *p* is the probability that the model gave to the token that really came. Its
# unit is the nat (the logarithm is natural). Our text is generated: small stories, told by dice whose chances we know. So we
# can compute the loss of a perfect model on it, which is the text's *entropy*. No model does better.

# %%
text, unseen = stories(seed=0, n_tokens=300_000), stories(seed=1, n_tokens=20_481)
print(decode_words(unseen.tokens[unseen.starts[3] : unseen.starts[3] + 59]))

# %% [markdown]
# **Predict.** The vocabulary has about 700 words and signs. Which loss has a model that guesses blindly? One that knows how
# frequent each word is? One that also knows the word before, or the two words before?

# %%
unigram, bigram, trigram = (ngram_entropy(text.tokens, n) for n in (1, 2, 3))
best = unseen.surprisal[1:].mean().item()  # what a perfect model has on the unseen stories
print(f"blind            {math.log(len(VOCAB)):.2f} nats, of {len(VOCAB)} words and signs")
print(f"frequencies      {unigram:.2f}")
print(f"one word back    {bigram:.2f}")
print(f"two words back   {trigram:.2f}")
print(f"best possible    {best:.2f}")

# %% [markdown]
# These numbers are the yardstick of the whole notebook. A *unigram* model knows frequencies, a *bigram* model knows pairs of
# words. Between them and the best lies what has to be learned from further back.
#
# ## LayerNorm: keep the numbers in range
#
# **Question.** A deep network multiplies by one matrix after the other. What becomes of the size of the numbers?
#
# **Predict.** Each matrix makes a vector 0.8 times as long, or 1.2 times. There are 48 of them.

# %%
for scale in (0.8, 1.0, 1.2):
    x, g = torch.randn(64, generator=generator(0)), generator(1)  # (d_model,)
    for layer in range(48):
        x = scale * torch.randn(64, 64, generator=g) / math.sqrt(64) @ x
    print(f"times {scale}: the typical number is now {x.square().mean().sqrt():.0e}")


# %% [markdown]
# A little less than 1 dies out, a little more explodes. The gradients, on their way back, meet the same matrices.
#
# *LayerNorm* sets the size right again. Let *x* be the `d_model` numbers, the *features*, of one position. Subtract their mean,
# divide by their standard deviation, and let the model choose a gain (`weight`) and a shift (`bias`) for each feature:
#
# > LayerNorm(*x*) = (*x* − mean) / √(variance + *ε*) · weight + bias
#
# The tiny number *ε* (`eps`) only prevents a division by zero.
#
# ### Exercise 1 · LayerNorm
#
# *Difficulty 1 of 3 · 8 minutes*
#
# In a comment such as `(..., d_model)` the dots stand for any dimensions in front: batch, positions. Each position is normalised by itself.

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
# Whatever you wrote, the lesson goes on with ours, `transformer_block.layer_norm`. Here are six positions whose numbers are of very
# different size, before and after. **B**, **T** and `d_model` are the number of sequences, positions and features from now on.

# %%
sizes = torch.tensor([0.1, 0.3, 1.0, 2.0, 4.0, 8.0])[:, None]
x = sizes * torch.randn(6, 24, generator=generator(0)) + sizes  # (T, d_model)
y = layer_norm(x, weight=torch.ones(24), bias=torch.zeros(24))  # (T, d_model)
torch.testing.assert_close(y, nn.LayerNorm(24)(x).detach())  # torch's own

# %% [markdown]
# **Predict.** What will be left of the differences between the rows?

# %%
fig, axes = subplots(1, 2, figsize=(9.5, 3.2), sharey=True)
for ax, rows, name in zip(axes, (x, y), ("before", "after LayerNorm"), strict=True):
    image = ax.imshow(rows, vmin=-8, vmax=8, cmap="PuOr", aspect="auto")
    ax.set(title=name, xlabel="feature")
    ax.grid(False)
axes[0].set_ylabel("position")
fig.colorbar(image, ax=axes, label="value")
before, after = (rows.std(-1).max() / rows.std(-1).min() for rows in (x, y))
assert after < 1.1
show(fig, f"Two heat maps. Before, rows differ {before:.0f}-fold in size; after LayerNorm not at all.")


# %% [markdown]
# The size is gone, and so is the mean: LayerNorm gives the same for *x* and for 3*x* + 5. What is left is the *direction*.
#
# **Why over the features?** You could also take mean and variance over the positions of a text, or over the texts of a batch (that
# is BatchNorm, which image models use). Let us change the last two positions, then the other texts, and see who notices.

# %%
def normalised(x, dims):
    return (x - x.mean(dims, keepdim=True)) / (x.var(dims, correction=0, keepdim=True) + 1e-5).sqrt()


x = torch.randn(4, 6, 8, generator=generator(0))  # (B, T, d_model)
future, others = x.clone(), x.clone()
future[:, 4:] += 1
others[1:] += torch.randn(3, 6, 8, generator=generator(2))
for name, dims in (("features", -1), ("positions", 1), ("texts", 0)):
    y = normalised(x, dims)
    early = torch.equal(normalised(future, dims)[:, :4], y[:, :4])
    first = torch.equal(normalised(others, dims)[0], y[0])
    print(f"over {name:<10} the past stays: {early!s:<6} the first text stays: {first}")

# %% [markdown]
# Over positions, the past changes when the future does: the model would see what it has to predict. Over texts, your answer
# depends on who else is asking. Only over features is a position left to itself. That also works for a single token, which is what a
# model has when it writes.
#
# ## The MLP: think about what you have seen
#
# **Question.** Attention averages. What can averages not do?
#
# The weights of an average depend on the tokens, but what is averaged is a linear map of them. And linear maps on top of each
# other are no more than one.

# %%
g = generator(0)
x, up, down = (torch.randn(*shape, generator=g) for shape in ((5, 8), (8, 32), (32, 8)))
torch.testing.assert_close(x @ up @ down, x @ (up @ down), rtol=1e-3, atol=1e-3)
print("two linear maps in a row are one map, of shape", tuple((up @ down).shape))


# %% [markdown]
# So a bend has to come between them. The *MLP* (multi-layer perceptron) of a block widens the features 4 times, bends each number, and narrows again.
#
# The oldest bend is *ReLU*, max(0, *x*). GPT-2 uses *GELU*: *x* times the probability that a standard normal number is below *x*. For a large *x*
# that is *x*, for a very negative one 0, and round in between.
#
# ### Exercise 2 · GELU, as GPT-2 computes it
#
# *Difficulty 1 of 3 · 4 minutes*
#
# That probability was slow to compute in 2016. So the authors also gave a formula with tanh that comes close:
#
# > GELU(*x*) ≈ *x*/2 · (1 + tanh(√(2/π) · (*x* + 0.044715 *x*³)))

# %% tags=["exercise"]
def gelu_tanh(x: Tensor) -> Tensor:
    """Approximate the GELU, as GPT-2 does: x/2 · (1 + tanh(√(2/π) · (x + 0.044715 x³))).

    Shapes: any -> the same. Source: Hendrycks & Gimpel 2016, section 2.

    >>> x = torch.linspace(-5, 5, 1001)
    >>> print(f"at most {(gelu_tanh(x) - gelu(x)).abs().max():.4f} away from the exact form")
    at most 0.0005 away from the exact form
    """
    ...


# %% tags=["check"]
gelu_tanh = check("transformer_block.gelu_tanh", gelu_tanh)
# hint("transformer_block.gelu_tanh")
# solution("transformer_block.gelu_tanh")

# %% [markdown]
# **How close is it?** We compare with the exact form, and with the one in torch.

# %%
z = torch.linspace(-5, 5, 2001)
torch.testing.assert_close(transformer_block.gelu(z), F.gelu(z))
torch.testing.assert_close(gelu_tanh(z), F.gelu(z, approximate="tanh"))
print(
    f"largest difference between the two forms: "
    f"{(transformer_block.gelu(z) - gelu_tanh(z)).abs().max():.4f}"
)

# %% [markdown]
# ### A view of the bends
#
# Both forms are the same to the eye. **Move *x*** and look at the slope on the right: it is what the gradient is multiplied by.
# Where does ReLU stop learning, and where does GELU?

# %%
BENDS = {"ReLU": F.relu, "GELU": transformer_block.gelu, "GELU (tanh)": gelu_tanh}


def bend(function, x):
    z = torch.linspace(-4, 4, 401).requires_grad_()
    at, said, (fig, axes) = round((x + 4) * 50), [], subplots(1, 2, figsize=(9.5, 3.8))
    for name, f in BENDS.items():
        slope = torch.autograd.grad(f(z).sum(), z)[0]
        color = COLORS["orange" if name == "ReLU" else "blue" if name == "GELU" else "purple"]
        for ax, y, what in zip(axes, (f(z).detach(), slope), (name, "slope"), strict=True):
            ax.plot(z.detach(), y, color=color, linewidth=4 if name == function else 1.5, label=name)
            if name == function:
                ax.plot(x, y[at], "o", color="black", zorder=9)
                said.append(f"{what} at {x:.2f} is {y[at]:.2f}")
                ax.set(title=said[-1], xlabel="x")
    axes[0].legend()
    return Picture(fig, f"ReLU and GELU, and their slopes. {said[0]}, {said[1]}.")


explore(
    bend,
    function=widgets.ToggleButtons(options=list(BENDS), value="GELU", description="function"),
    x=widgets.FloatSlider(-1.5, min=-4, max=4, step=0.05, description="x"),
)

# %% [markdown]
# Left of zero ReLU's slope is exactly 0: a feature that is negative for every token never learns again. GELU's slope is small
# there, but seldom 0. It is even negative for a while: GELU dips below zero.
#
# **What does an MLP see?** We change one position and look at which outputs change, for attention and for an MLP.

# %%
with torch.random.fork_rng():
    torch.manual_seed(0)
    attention, mlp = MultiHeadAttention(d_model=64, n_head=4), transformer_block.MLP(64)
x = torch.randn(1, 6, 64, generator=generator(0))  # (B, T, d_model)
changed = x.clone()
changed[:, 2] += 1
for name, part in (("attention", attention), ("MLP", mlp)):
    moved = (part(changed) - part(x)).abs().amax(-1)[0] > 1e-6  # (T,)
    print(f"{name:<10} a change at position 2 reaches positions {moved.nonzero().flatten().tolist()}")

# %% [markdown]
# Attention moves information between positions. The MLP works on each position alone: it thinks about what attention brought.
#
# **Where are the weights?** GPT-2 has 768 features. **Predict**: is attention or the MLP larger?

# %%
parts = {"attention": MultiHeadAttention(768, 12), "MLP": transformer_block.MLP(768)}
for name, part in parts.items():
    print(f"{name:<10} {sum(p.numel() for p in part.parameters()):>9,} parameters")

# %% [markdown]
# Two thirds of a block are MLP: attention has four matrices of `d_model` × `d_model`, the MLP two that are 4 times as large.
#
# ### GELU against ReLU
#
# **Question.** Does the bend matter for the loss? Hendrycks and Gimpel, who invented GELU, found it better than ReLU in all their
# tasks. We train a model of two blocks with each.
#
# From here on you will train often, so here is a function for it. `evaluate` measures the loss on stories that the model has never seen.

# %%
small = transformer_block.TransformerConfig(
    vocab_size=len(VOCAB), n_positions=64, n_embd=64, n_layer=2, n_head=4
)


def unseen_batches(T):
    n = 20_480 // T
    return [(unseen.tokens[: n * T].view(n, T), unseen.tokens[1 : n * T + 1].view(n, T))]


def trained(config, steps, lr=6e-3, seed=0, batch=8, **more):
    model, T = transformer_block.Transformer(config, generator(seed)), config.n_positions
    batches = token_batches(text.tokens, batch, T)
    history = train(model, batches, steps, lr=lr, seed=seed, progress=False, **more)
    return model, history, evaluate(model, unseen_batches(T))


# %% [markdown]
# The comparison has a trap: it can depend on everything else. So we do it from two different starts. `initializer_range` is the standard
# deviation of the random weights at the start: 0.02 is GPT-2's choice, 0.07 gives our narrow model's sums the same size.
#
# **Predict** the winner, then run. Eight short runs take 20 seconds.

# %%
starts = (0.02, 0.07)
runs = [(start, name, seed) for start in starts for name in ("relu", "gelu_new") for seed in (0, 1)]
loss = {}
for start, name, seed in progress(runs, "GELU against ReLU"):
    config = replace(small, initializer_range=start, activation_function=name)
    loss[start, name, seed] = trained(config, steps=120, seed=seed)[2]
gain = {start: [loss[start, "relu", s] - loss[start, "gelu_new", s] for s in (0, 1)] for start in starts}
ahead = {s: "GELU" if min(d) > 0 else "ReLU" if max(d) < 0 else "neither" for s, d in gain.items()}
print("ahead with both seeds, by start:", ahead)

# %% [markdown]
# Did you expect that? Here are the eight losses, in pairs that differ in the bend only.

# %%
pairs = [(start, seed) for start in starts for seed in (0, 1)]
rows = [f"start {start}, seed {seed}" for start, seed in pairs]
fig, ax = subplots(figsize=(8, 3.6))
for name, mark, label in (("relu", "o", "ReLU"), ("gelu_new", "s", "GELU")):
    ax.plot([loss[start, name, seed] for start, seed in pairs], rows, mark, markersize=10, label=label)
ax.set(xlabel="loss on unseen stories after 120 steps (nats)", ylim=(-0.5, 3.5))
ax.legend(loc="upper right")
assert ahead == {0.02: "ReLU", 0.07: "GELU"}
show(fig, "Losses of eight runs. From the start 0.02 ReLU is lower with both seeds, from 0.07 GELU is.")

# %% [markdown]
# The order turns round with the start, and the start matters more than the bend. GELU is what GPT-2 uses; that it is always
# better, this experiment does not show. A comparison with one setting would have fooled you.

# %%
claims.add(
    "B5", "GELU beats ReLU", source="Hendrycks & Gimpel 2016", published="in all their tasks",
    measured=", ".join(f"start {s}: {name} ahead" for s, name in ahead.items()),
    holds=set(ahead.values()) == {"GELU"},
    reason="At this size and after 120 steps the order depends on the start: its gain is not general.",
)


# %% [markdown]
# ## The block
#
# **Question.** You have attention, an MLP and LayerNorm. How do they go together?
#
# <!-- speaker: Draw one vertical line, and two boxes beside it that read from the line and write back into it. Keep the drawing on the board. -->
# Think of one line that runs upwards through the whole model: the *residual stream*, with `d_model` numbers for each position. No part ever stands *in*
# the line. Each part stands beside it: it reads a copy, and what it has to say is *added*. GPT-2 normalises the copy that a part reads, and leaves the stream as it is:
# this is called *pre-norm*.
#
# - *x* ← *x* + attention(LayerNorm₁(*x*))
# - *x* ← *x* + MLP(LayerNorm₂(*x*))
#
# ### Exercise 3 · the block
#
# *Difficulty 1 of 3 · 5 minutes*
#
# The four parts come as functions. Two lines are enough.

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
# **Is this GPT-2's block?** The library `transformers` has the original. We copy its random weights into ours (it stores its
# matrices the other way round, hence `.mT`), and compare the outputs. Loading the library takes a few seconds.

# %%
from transformers import GPT2Config
from transformers.models.gpt2.modeling_gpt2 import GPT2Block

config = GPT2Config(attn_implementation="sdpa")
theirs, ours = (
    GPT2Block(config, layer_idx=0).eval(),
    transformer_block.Block(transformer_block.TransformerConfig()),
)
weights = {name: w.mT if w.ndim == 2 else w for name, w in theirs.state_dict().items()}
ours.load_state_dict(weights)
x = torch.randn(2, 10, 768, generator=generator(0))  # (B, T, d_model)
torch.testing.assert_close(ours(x), theirs(x), rtol=1e-4, atol=1e-5)
print("the same output; the parts:", [name for name, _ in theirs.named_children()])

# %% [markdown]
# It is. And the lecture's first claim can be read off: attention, then an MLP that widens.

# %%
width, wide = theirs.mlp.c_fc.weight.shape
claims.add(
    "B1", "a block is attention + an MLP that widens 4 times",
    source="lecture", published=4, measured=wide / width,
)

# %% [markdown]
# ## Why add? A stack without the sum
#
# **Question.** What is the sum good for? Could each part not replace what it read, as layers in other networks do?
#
# We build deep models that have not been trained yet, send some text through, and look at three things for each layer:
# how large the numbers of the stream are; how large the gradients of the block's weights are; and how *alike* the positions have become: the mean cosine
# between any two of them. A cosine of 1 means that all positions say the same.

# %%
deep = transformer_block.TransformerConfig(
    vocab_size=len(VOCAB), n_positions=32, n_embd=64, n_head=4,
    initializer_range=0.07, depth_scaled_init=False,
)
sample = text.tokens[: 8 * 33].view(8, 33)


def by_depth(config):
    model = transformer_block.Transformer(config, generator(0))
    streams = model.streams(sample[:, :-1])  # n_layer + 1 tensors (B, T, d_model)
    logits = model.lm_head(model.ln_f(streams[-1]))  # (B, T, V)
    F.cross_entropy(logits.flatten(0, 1), sample[:, 1:].flatten()).backward()
    gradient = [sum(p.grad.square().sum() for p in b.parameters()).sqrt().item() for b in model.h]
    size = [s.square().mean().sqrt().item() for s in streams]
    unit = [F.normalize((s - s.mean(-1, keepdim=True)).detach(), dim=-1) for s in streams]
    alike = [(u @ u.mT).mean().item() for u in unit]
    return size, gradient, alike


# %% [markdown]
# ### A view of the depth
#
# <!-- speaker: Take both ticks away first: everybody expects the vanishing gradient. Then give LayerNorm back, and ask why that is still no good. -->
# The grey line has everything on. **Predict, then switch**: first take the residual away, then LayerNorm too. Which of
# the three panels tells you that the model is dead?

# %%
def depth(residual, norm, mlp, layers):
    whole = replace(deep, n_layer=layers)
    chosen = by_depth(replace(whole, residual=residual, norm=norm, mlp=mlp))
    fig, axes = subplots(1, 3, figsize=(10, 3.8))
    lines = ((by_depth(whole), "#888888", "all on"), (chosen, COLORS["vermillion"], "your choice"))
    for values, color, label in lines:
        for ax, y in zip(axes, values, strict=True):
            ax.plot([max(v, 1e-16) if ax is not axes[2] else v for v in y], color=color, label=label)
            ax.set_xlabel("layer")
    axes[0].set(title="size of the stream", yscale="log", ylim=(1e-16, 1e4))
    axes[1].set(title="gradient", yscale="log", ylim=(1e-16, 1e4))
    axes[2].set(title="positions alike (cosine)", ylim=(-0.1, 1.1))
    axes[0].legend(loc="lower left")
    switches = (("residual", residual), ("LayerNorm", norm), ("MLP", mlp))
    alt = f"{layers} layers, off: {', '.join(name for name, on in switches if not on) or 'nothing'}. "
    alt += f"Gradient {chosen[1][0]:.0e} in the first layer, {chosen[1][-1]:.0e} in the last; "
    return Picture(fig, alt + f"positions alike {chosen[2][-1]:.1f} at the end.")


explore(
    depth,
    residual=widgets.Checkbox(False, description="residual"),
    norm=widgets.Checkbox(True, description="LayerNorm"),
    mlp=widgets.Checkbox(True, description="MLP"),
    layers=widgets.SelectionSlider(options=[6, 12, 24, 48], value=24, description="layers"),
)

# %% [markdown]
# Without the sum, but with LayerNorm, size and gradient look healthy. But after some ten layers all positions say the same. Each layer averages
# over positions, and averages of averages forget who was who (Dong, Cordonnier and Loukas 2021). The gradient arrives, and has nothing to tell.
#
# Here are all four combinations in numbers, for the depths from 12 to 48.

# %%
print("layers residual LayerNorm   gradient first, last   positions alike")
table = {}
for n in (12, 24, 48):
    for residual, norm in ((True, True), (True, False), (False, True), (False, False)):
        _, grad, alike = by_depth(replace(deep, n_layer=n, residual=residual, norm=norm))
        table[n, residual, norm] = grad[0], grad[-1], alike[-1]
        print(f"{n:<6} {residual!s:<8} {norm!s:<9} {grad[0]:14.0e} {grad[-1]:7.0e} {alike[-1]:14.1f}")

# %% [markdown]
# Without both, the gradient of the first layer is smaller than a float can hold, from 24 layers on: it is 0. With the sum but no LayerNorm, it *grows* with depth. Only
# with both do size, gradient and differences all stay in range.
#
# **Does it show in training?** We train 12 narrow layers: with both, without LayerNorm, without the sum. It takes about
# 10 seconds. **Predict** the three losses; the yardstick helps.

# %%
narrow = replace(deep, n_embd=32, n_layer=12, initializer_range=0.1)
learned = {}
for residual, norm in progress([(True, True), (True, False), (False, True)], "what learns?"):
    config = replace(narrow, residual=residual, norm=norm)
    learned[residual, norm] = trained(config, steps=110, lr=3e-3)[2]
both, no_norm, no_sum = learned.values()
print(f"without the sum: {no_sum:.1f} nats; word frequencies alone: {unigram:.1f}")
print(f"with it, half a nat lower: {max(both, no_norm) < unigram - 0.5}")
print("ahead without LayerNorm:", no_norm < both)

# %% [markdown]
# Without the sum, the model learned how frequent the words are, and nothing else. It cannot tell which position it stands at.
#
# **And LayerNorm?** At this depth, with this start and this rate, the model learned *faster* without it. So what does
# LayerNorm buy? Try a deeper model and larger steps. It takes about 4 seconds.

# %%
for norm in progress((True, False), "24 layers, large steps"):
    config = replace(narrow, n_layer=24, norm=norm)
    try:
        trained(config, steps=40, lr=5e-2, clip=math.inf)
        print(f"LayerNorm {norm}: the loss stays finite")
    except FloatingPointError as error:
        print(f"LayerNorm {norm}: {str(error).split()[0]} loss is no number any more")

# %% [markdown]
# LayerNorm buys tolerance: of depth, of large steps. It does not buy a lower loss in every run.

# %%
first = {n: table[n, False, False][0] for n in (12, 24, 48)}
dead = table[12, False, True][2] > 0.95 and first[12] < 1e-6 and learned[False, True] > unigram - 0.1
claims.add(
    "B4", "residuals keep the signal alive in deep stacks",
    source="lecture", published="alive only with them",
    measured=f"12 layers without: positions alike {table[12, False, True][2]:.1f}, "
             f"loss {learned[False, True]:.1f} (frequencies: {unigram:.1f})",
    holds=dead and table[48, True, True][2] < 0.9 and learned[True, True] < unigram - 0.5,
    reason="Without LayerNorm too, the gradient vanishes. With it, the gradient lives on: what dies "
           "is the difference between positions.",
)

# %% [markdown]
# ## Start smaller where you write
#
# **Question.** In the view, the stream grew with depth even with everything on. Why, and does GPT-2 accept that?
#
# Two parts of each of *L* blocks add something to the stream: 2*L* writes. Random writes of equal size add up like steps of a random walk: the sum grows with the *root* of their
# number. GPT-2 therefore starts the matrices that write with weights 1/√(2*L*) as large.
#
# **Predict.** How large will the stream be after 48 layers, plain and scaled?

# %%
size = {s: by_depth(replace(deep, n_layer=48, depth_scaled_init=s))[0] for s in (False, True)}
fig, ax = subplots(figsize=(8, 3.6))
for scaled, name in ((False, "all matrices alike"), (True, "writing matrices / √(2L)")):
    ax.plot(size[scaled], label=f"{name}: {size[scaled][-1]:.1f} at the end")
ax.set(xlabel="layer", ylabel="typical number of the stream", ylim=(0, None))
ax.legend()
assert size[False][-1] > 5 * size[True][-1]
ends = f"{size[False][-1]:.1f}, or to {size[True][-1]:.1f} if scaled"
show(fig, f"The stream's size over 48 layers: it grows to {ends}.")

# %% [markdown]
# Scaled, all writes together are about as large as one would be alone, whatever the depth.
#
# ## Where does LayerNorm stand?
#
# **Question.** The lecture writes the block in one line: *x*_out = LayerNorm(*x*_in + Attention(*x*_in) + MLP(*x*_in)). Is that what you built?
#
# Compare with the first transformer and with yours:
#
# | order | first | then |
# |---|---|---|
# | pre-norm (GPT-2) | *x* + attention(LN₁(*x*)) | *x* + MLP(LN₂(*x*)) |
# | post-norm (Vaswani 2017) | LN₁(*x* + attention(*x*)) | LN₂(*x* + MLP(*x*)) |
# | the lecture's | LN₁(*x* + attention(*x*) + MLP(*x*)) | – |
#
# The lecture's form normalises the stream itself, as post-norm does. And its two parts work *in parallel*: the MLP does not see what attention found. (GPT-J
# and PaLM do have parallel parts; there LayerNorm stands before them.)
#
# **Does the order matter when the weights are the same?** We train a model in the pre-norm order, and then run the very same weights in the other two. It takes about 5 seconds.

# %%
six = replace(narrow, n_layer=6)
model, _, loss_pre = trained(six, steps=200, lr=5e-3, warmup=0.3)
other_loss = {}
for order in ("post", "parallel"):
    other = transformer_block.Transformer(replace(six, order=order))
    other.load_state_dict(model.state_dict(), strict=False)  # what an order does not use is left out
    other_loss[order] = evaluate(other, unseen_batches(32))
print({order: f"worse by over {int(value - loss_pre)} nat" for order, value in other_loss.items()})

# %% [markdown]
# More than a nat worse: the same numbers, another function. A checkpoint belongs to its order.
#
# **Is the lecture's order bad, then?** No: it can be trained just as well. It takes about 3 seconds.

# %%
loss_parallel = trained(replace(six, order="parallel"), steps=200, lr=5e-3, warmup=0.3)[2]
print("trained in its own order, it is as good to half a nat:", abs(loss_parallel - loss_pre) < 0.5)
claims.add(
    "B3", "x_out = LayerNorm(x_in + Attention(x_in) + MLP(x_in))",
    source="lecture", published="GPT's block",
    measured=f"pre-norm weights run so: worse by over {int(other_loss['parallel'] - loss_pre)} nat",
    holds=other_loss["parallel"] - loss_pre < 0.1,
    reason="That is a parallel, post-norm block. GPT-2's is sequential and pre-norm. "
           "The lecture's form can be trained too; it is another function.",
)

# %% [markdown]
# ### Pre-norm, post-norm and the warm-up
#
# **Question.** Why did GPT-2 leave the order of the first transformer?
#
# Xiong and others (2020) found: post-norm needs a *warm-up*, a learning rate that starts near zero and grows. Pre-norm does not. At the start post-norm's gradients near the top are large, and the first steps go too far.
#
# **Predict**, for six layers: which of the three will be stuck? Nine runs take about 30 seconds.

# %%
cases = [("pre", 0.0), ("post", 0.0), ("post", 0.3)]  # order, share of the steps that warm up
reached = {case: [] for case in cases}
for case in progress(cases * 3, "pre-norm and post-norm"):
    config, seed = replace(six, order=case[0]), len(reached[case])
    run = trained(config, steps=200, lr=7e-3, seed=seed, warmup=case[1], clip=math.inf)
    reached[case].append(run[1])
last = {case: [sum(run.losses[-20:]) / 20 for run in runs] for case, runs in reached.items()}
for (order, warmup), values in last.items():
    stuck = sum(value > unigram - 0.2 for value in values)
    print(f"{order}-norm, warm-up {warmup:.0%}: {stuck} of {len(values)} runs stuck at the frequencies")
behind = [min(last["post", 0.0][n] - last[case][n] for case in (cases[0], cases[2])) for n in range(3)]
far = sum(gap > 0.3 for gap in behind)
print(f"post-norm without warm-up is more than 0.3 nats behind both others with {far} of 3 seeds")

# %% [markdown]
# The curves tell when it happens. Each is the mean of 10 steps; the dashed line is what word frequencies alone reach.

# %%
fig, ax = subplots(figsize=(8, 3.8))
for (order, warmup), color in zip(cases, ("blue", "vermillion", "orange"), strict=True):
    for n, run in enumerate(reached[order, warmup]):
        curve = torch.tensor(run.losses).view(-1, 10).mean(-1)
        label = f"{order}-norm, {'with' if warmup else 'no'} warm-up" if n == 0 else None
        ax.plot(
            range(10, 201, 10), curve, "--" if warmup else "-", color=COLORS[color], label=label
        )
ax.axhline(unigram, color="black", linestyle=":", linewidth=1.2)
ax.set(xlabel="step", ylabel="training loss (nats)")
ax.legend()
assert min(behind) > 0.3 and max(last["pre", 0.0] + last["post", 0.3]) < unigram - 0.4
show(
    fig,
    "Loss over 200 steps: post-norm without warm-up stays long at the frequencies, the others fall.",
)

# %% [markdown]
# The red runs stay at the dotted line when all others have left it. Their first steps were too large. Some recover late, some not within this run: that is chance, and another
# seed shows another number of them. We measured this at one learning rate: try others.

# %%
claims.add(
    "B6", "pre-norm trains where post-norm needs warm-up", source="Xiong et al. 2020",
    published="post-norm fails without warm-up",
    measured=f"post-norm without warm-up is behind both others with {far} of 3 seeds; some of its runs "
             "are stuck at word frequencies",
    holds=min(behind) > 0.3 and max(last["pre", 0.0]) < unigram - 0.4,
)


# %% [markdown]
# ## Dropout: two ways to run
#
# **Question.** GPT-2's configuration has a number 0.1 for *dropout*. What does it do, and when?
#
# In training, each number is set to 0 with probability *p*; no part can rely on one number alone. The rest is divided by 1 − *p*, so that the mean stays. In evaluation, nothing happens.
#
# ### Exercise 4 · dropout
#
# *Difficulty 2 of 3 · 8 minutes*
#
# *p* is at least 0 and less than 1; anything else is an error (`ValueError`).

# %% tags=["exercise"]
def dropout(x: Tensor, p: float, training: bool = True) -> Tensor:
    """In training, set each number to 0 with probability p and divide the others by 1 - p.

    Shapes: any -> the same; in evaluation x itself. Raises: ValueError unless 0 <= p < 1.
    Source: Srivastava et al. 2014, "Dropout", section 10 (there: scaling at training time).

    >>> set(dropout(torch.ones(1000), p=0.5).tolist()) == {0.0, 2.0}
    True
    """
    ...


# %% tags=["check"]
dropout = check("transformer_block.dropout", dropout)
# hint("transformer_block.dropout")
# solution("transformer_block.dropout")

# %% [markdown]
# **Predict.** You ask a model with dropout the same question twice, in training mode and in evaluation mode. Which answers agree?

# %%
model = transformer_block.Transformer(replace(small, resid_pdrop=0.1), generator(0))
for mode in ("training", "evaluation"):
    model.train(mode == "training")
    print(f"{mode:<11} same answer twice: {torch.equal(model(sample), model(sample))}")
kept = dropout(torch.ones(100_000), p=0.1)
print(f"mean of a hundred thousand ones after dropout: {kept.mean():.1f}")

# %% [markdown]
# If a model gives two answers to one question, look for a missing `model.eval()`. Dropout helps where a model sees the same text many
# times. Our runs read their text about once, and large models read most of
# theirs once: all models that you train here have dropout 0.
#
# ## Positions
#
# **Question.** Attention sees a set of keys and values. How does a model know their order?
#
# We take an untrained model without positions, shuffle all tokens but the last, and look at whether the last output moves.
# "Encoder-only" has no mask, "decoder-only" has the causal one; more on these names below.

# %%
order = torch.tensor([3, 0, 6, 2, 5, 1, 4, 7])  # the last one stays
for layers, kind in ((1, "encoder-only"), (2, "encoder-only"), (1, "decoder-only"), (2, "decoder-only")):
    bag = transformer_block.Transformer(replace(small, n_layer=layers, positions="none"), generator(0))
    mask, row = transformer_block.architecture_mask(kind, 8), sample[:1, :8]
    moved = (bag(row, mask=mask) - bag(row[:, order], mask=mask))[0, -1].abs().max() > 1e-5
    print(f"layers: {layers}   {kind}   the last output moves: {moved.item()}")


# %% [markdown]
# Without a mask the order is invisible, at any depth. With a causal mask it shows from the second layer on: the token in front sees one position, the next sees two, and so
# the first layer's answers already differ. A causal model can learn positions without being told (Haviv and others 2022). It is easier for the model if we tell it.
#
# GPT-2 learns a vector for each position, like one for each token, and adds it. The first transformer used fixed waves instead.
#
# ### Exercise 5 · waves
#
# *Difficulty 2 of 3 · 10 minutes*
#
# Each pair of features is a hand of a clock. The first one turns 1 radian a position, the last ones hardly at all: rate *i* is base^(−2*i*/`d_model`).

# %% tags=["exercise"]
def sinusoidal_positions(T: int, d_model: int, base: float = 10_000.0) -> Tensor:
    """Write position t as pairs sin(t·r_i), cos(t·r_i) with the rates r_i = base^(-2i / d_model).

    Shapes: -> (T, d_model), float32, sines in even features. Raises: ValueError for an odd d_model.
    Source: Vaswani et al. 2017, section 3.5.

    >>> sinusoidal_positions(T=3, d_model=4)
    tensor([[ 0.0000,  1.0000,  0.0000,  1.0000],
            [ 0.8415,  0.5403,  0.0100,  0.9999],
            [ 0.9093, -0.4161,  0.0200,  0.9998]])
    """
    ...


# %% tags=["check"]
sinusoidal_positions = check("transformer_block.sinusoidal_positions", sinusoidal_positions)
# hint("transformer_block.sinusoidal_positions")
# solution("transformer_block.sinusoidal_positions")

# %% [markdown]
# **Predict.** Take the dot product of two positions' vectors. Will it depend on where they are, or on how far apart?

# %%
waves = sinusoidal_positions(T=96, d_model=32)  # (T, d_model)
apart = {a: [(waves[a] @ waves[a + k]).item() for k in range(41)] for a in (0, 20, 50)}
assert all(abs(x - y) < 1e-3 for a in (20, 50) for x, y in zip(apart[0], apart[a], strict=True))
fig, (left, right) = subplots(1, 2, figsize=(9.5, 3.8))
left.imshow(waves.T, cmap="PuOr", aspect="auto")
left.set(title="one column for each position", xlabel="position", ylabel="feature")
left.grid(False)
for (a, values), width in zip(apart.items(), (8, 4.5, 1.5), strict=True):
    right.plot(values, linewidth=width, label=f"from position {a}")
right.set(title="dot product of two", xlabel="positions apart")
right.legend()
show(fig, "Left: waves, fast to slow. Right: dot products from three positions, one curve on the other.")

# %% [markdown]
# The three curves lie on each other: only the distance counts. That is useful, but the waves are added to what the token says, and the two mix.
#
# ## The ladder
#
# **Question.** What does each part bring? The lecture builds five models, each with one thing more:
#
# 1. a token embedding and a head: the next token from this token alone;
# 2. and positions, LayerNorm, and *tied* weights: the head uses the embedding's matrix;
# 3. and one attention head;
# 4. and blocks, each with an MLP: here two;
# 5. and many heads: a small GPT-2.

# %%
sizes = dict(
    vocab_size=len(VOCAB),
    n_positions=64,
    n_embd=64,
    n_layer=2,
    n_head=4,
    initializer_range=0.07,
)
for level in range(1, 6):
    n = sum(
        p.numel()
        for p in transformer_block.Transformer(
            transformer_block.ladder(level, **sizes)
        ).parameters()
    )
    print(f"Model {level}: {n:>7,} parameters")

# %% [markdown]
# All read the same text, in the same order, for the same number of tokens: 300 steps of 16 × 64. It takes about 30 seconds.
#
# <!-- speaker: Let everybody write down an order of the five losses first. Model 2 is the one that nobody gets right. -->
# **Predict** the five losses, with the yardstick: frequencies 5.0, one word back 2.3, two words back 1.5, best 0.8.

# %%
models, histories, losses = {}, {}, {}
for level in progress(range(1, 6), "the ladder"):
    config = transformer_block.ladder(level, **sizes)
    models[level], histories[level], losses[level] = trained(config, steps=300, batch=16)
print({f"Model {level}": round(value, 1) for level, value in losses.items()})

# %% [markdown]
# The picture has the loss in training over the tokens read, as means of 10 steps, and the yardstick as dotted lines.

# %%
fig, ax = subplots(figsize=(9, 5))
for level, history in histories.items():
    tokens = torch.tensor(history.tokens).view(-1, 10)[:, -1] / 1000
    curve = torch.tensor(history.losses).view(-1, 10).mean(-1)
    ax.plot(tokens, curve, label=f"Model {level}", linestyle="--" if level == 5 else "-")
yardstick = {"frequencies": unigram, "one word back": bigram, "two words back": trigram, "best": best}
for name, nats in yardstick.items():
    ax.axhline(nats, color="black", linestyle=":", linewidth=1.2)
    ax.text(315, nats, f"{name}: {nats:.2f}", va="center")
ax.set(xlabel="tokens read (thousands)", ylabel="loss (nats)", xlim=(0, 310), ylim=(0, 6.8))
ax.legend(ncols=2)
assert best < losses[5] < losses[3] < bigram < losses[1] < losses[2] < unigram
show(fig, "Model 2 ends above Model 1, Model 3 below it, Models 4 and 5 lowest, all above the best.")

# %% [markdown]
# Read it rung by rung.
#
# - **Model 1** sees one token, and ends near the line "one word back". It cannot go below it: pairs are all it can know.
# - **Model 3** can look back, and passes that line.
# - **Model 4** has MLPs and two layers, and gains most. It gets as far as two words back would bring it.
# - **Model 5** splits the same weights into four heads. At this size you see no difference.
# - **Nobody reaches the best.** Three hundred steps are few, and some facts of a story lie more than 64 tokens back.
#
# **But why is Model 2 worse than Model 1?** It has more parts. Look at what tying means for a model that sees one token only. The score of *b* after *a* is the
# dot product of their two vectors.

# %%
tied = transformer_block.Transformer(
    replace(transformer_block.ladder(1, **sizes), tie_word_embeddings=True), generator(0)
)
scores = tied(torch.arange(len(VOCAB))[:, None])[
    :, 0
]  # (V, V): row a, column b, the score of b after a
print("b after a scores as a after b, for all pairs:", torch.allclose(scores, scores.T, atol=1e-6))

# %% [markdown]
# *Once upon* and *upon once* get the same score! A tied head needs layers in between, which turn "what this token is" into "what comes next". Model 3 on has them.
# GPT-2 ties because that saves a second table of 50,257 × 768 weights. Here you see its price, and that a rung of a ladder can lead down.
#
# **Is it really the tying?** We untie Model 2 and train again, about 4 seconds.

# %%
untied = trained(
    replace(transformer_block.ladder(2, **sizes), tie_word_embeddings=False), steps=300, batch=16
)[2]
print(f"Model 2 tied {losses[2]:.1f}, untied {untied:.1f}, Model 1 {losses[1]:.1f}")

# %% [markdown]
# ## Reading the residual stream
#
# **Question.** Everything was added, nothing replaced. Can you then say *who* made a prediction?
#
# `transformer_block.residual_writes` collects all that was ever added: the embedding, the position, what each head and each MLP wrote.
# "head 1.2" is the head 2 of block 1, counted from 0. "bias 1" is the constant that the attention of block 1 adds.

# %%
gpt = models[5].eval()
ids = unseen.tokens[unseen.starts[3] : unseen.starts[3] + 40][None]  # (B, T) = (1, 40)
writes = transformer_block.residual_writes(gpt, ids)
stream = gpt.streams(ids)[-1].detach()
gap = (sum(writes.values()) - stream).abs().max().item()
print(len(writes), "writes:", ", ".join(writes))
print("they add up to the last stream, to 1e-4:", gap < 1e-4)

# %% [markdown]
# The sum is exact, up to rounding. **Is what was there first still there?** It was not replaced. But was it drowned? We compare the directions: a cosine of 1 is the same direction, 0 has nothing in common.

# %%
for name in ("embedding", "mlp 0", "mlp 1"):
    cosine = F.cosine_similarity(writes[name], stream, dim=-1).mean()
    length = writes[name].norm(dim=-1).mean() / stream.norm(dim=-1).mean()
    print(f"{name:<10} length {length:.1f} of the stream's, cosine with it {cosine:.1f}")

# %% [markdown]
# The embedding is a small part of what leaves the top. "Never replaced" does not mean "still heard": later writes can outweigh earlier ones.

# %%
claims.add(
    "B2", "information is added to a residual stream, never replaced",
    source="lecture", published="stream = sum of all writes",
    measured=f"{len(writes)} writes add up to the stream" if gap < 1e-4 else f"off by {gap:.4f}",
    holds=gap < 1e-4,
    reason="Exactly so in a pre-norm model. Post-norm rescales what was written before.",
)


# %% [markdown]
# ### Exercise 6 · through the last LayerNorm
#
# *Difficulty 2 of 3 · 10 minutes*
#
# One thing stands between the stream and the *logits*, the scores of all tokens: the last LayerNorm. It divides by a standard deviation, and that of a sum is not a sum.
# The remedy: compute the standard deviation once, of the whole stream, and divide each write by it. With this scale *frozen* the rest is linear.

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
# Now each write has its share in each logit. Do the shares add up to it? We test at every position, for many tokens.

# %%
with torch.no_grad():
    logits = gpt(ids)  # (B, T, V)
errors = [
    (sum(transformer_block.logit_contributions(gpt, ids, token).values()) - logits[..., token])
    .abs()
    .max()
    for token in range(0, len(VOCAB), 7)
]
print("the shares add up to the logits, to 1e-4:", max(errors).item() < 1e-4)


# %% [markdown]
# ### Follow one token
#
# Choose a story and a position. On the left: what the model would say if it stopped there, after each part, with the probability of the word
# that it says in the end. On the right: which write speaks for that word *against the second-best*. Only differences between logits count; a
# number added to all of them changes nothing.

# %%
def follow(story, position):
    start = int(unseen.starts[story])
    row = unseen.tokens[start : start + 64][None]
    writes, said, x = transformer_block.residual_writes(gpt, row), {}, 0
    for name, write in writes.items():
        x = x + write[0, position]
        said[name] = gpt.lm_head(gpt.ln_f(x)).softmax(-1).detach()  # (V,)
    first, second = said["mlp 1"].topk(2).indices.tolist()
    one, two = (transformer_block.logit_contributions(gpt, row, token) for token in (first, second))
    share = {name: (one[name] - two[name])[0, position].item() for name in one}
    return decode_words(row[0, : position + 1]), first, second, said, share


# %% [markdown]
# `follow` collects the numbers; the second function draws them.

# %%
def stream_view(story, position):
    prompt, first, second, said, share = follow(story, position)
    stages = ["position", "bias 0", "mlp 0", "bias 1", "mlp 1"]
    names = ["token + position", "+ attention 0", "+ MLP 0", "+ attention 1", "+ MLP 1"]
    fig, (left, right) = subplots(1, 2, figsize=(10, 4.8), gridspec_kw=dict(width_ratios=(1, 1.1)))
    chance = [said[stage][first].item() for stage in stages]
    left.barh(names, chance, color=COLORS["sky"])
    for n, stage in enumerate(stages):
        left.text(0.02, n, f"says “{VOCAB[said[stage].argmax()]}”", va="center")
    left.set(xlim=(0, 1), xlabel=f"probability of “{VOCAB[first]}”", title="if it stopped there")
    colors = [COLORS["blue" if value > 0 else "orange"] for value in share.values()]
    right.barh(list(share), list(share.values()), color=colors)
    right.axvline(0, color="black", linewidth=1)
    right.set(title=f"for “{VOCAB[first]}”, against “{VOCAB[second]}”", xlabel="logits (nats)")
    for ax in (left, right):
        ax.invert_yaxis()
        ax.grid(axis="y", visible=False)
    fig.suptitle(f"… {prompt[-64:]}", fontsize=13, fontstyle="italic")
    guesses = ", ".join(VOCAB[said[stage].argmax()] for stage in stages)
    return Picture(fig, f"After “{prompt[-40:]}” the guess after each part is: {guesses}")


explore(
    stream_view,
    story=widgets.IntSlider(3, 0, 20, description="story"),
    position=widgets.IntSlider(17, 0, 63, description="position"),
)


# %% [markdown]
# At first the stream says the token itself: that is what tying does. Then each part turns it towards the next.
#
# **Are the heads as useless as their bars are short?** A share is what a write says *directly*. What if a later part reads it? We
# take each part out, one at a time, and see how much worse the model gets.

# %%
def silenced(part):
    with part.register_forward_hook(lambda module, inputs, output: torch.zeros_like(output)):
        return evaluate(gpt, unseen_batches(64)) - losses[5]


for layer, block in enumerate(gpt.h):
    for name, part in ((f"attention {layer}", block.attn), (f"MLP {layer}", block.mlp)):
        print(f"without {name:<12} the loss rises by {silenced(part):4.1f} nats")

# %% [markdown]
# Compare with the bars: attention 0 says almost nothing itself, but the model needs it. MLP 0 reads what it wrote, and speaks for
# it. Shares in a logit show the speaker, not the source. Lesson 14 follows such paths. (Attention 1 has hardly begun to matter in
# these 300 steps.)
#
# ## What we verified
#
# Each claim with its source, what was published, and what you measured.

# %%
claims.show()

# %% [markdown]
# Your exercises: which pass, and which are still open.

# %% tags=["progress"] slideshow={"slide_type": "skip"}
exercises.progress("transformer_block")

# %% [markdown]
# **What this lesson leaves out.** Our models have 32 or 64 features and read a third of a million generated tokens; GPT-2 small has 768 features and read gigabytes. Which part
# wins by how much can change with size; B5 showed how. Newer models differ in details: RMSNorm (LayerNorm without the mean), gated MLPs (SwiGLU), no biases. Lesson 04 puts
# twelve blocks together and loads GPT-2's own weights.
#
# ## Further reading
#
# - Vaswani and others 2017, [Attention Is All You Need](https://arxiv.org/abs/1706.03762), sections 3.1, 3.3 and 3.5.
# - Radford and others 2019, [Language Models are Unsupervised Multitask Learners](https://cdn.openai.com/better-language-models/language_models_are_unsupervised_multitask_learners.pdf) (GPT-2), section 2.3.
# - Ba, Kiros and Hinton 2016, [Layer Normalization](https://arxiv.org/abs/1607.06450).
# - Hendrycks and Gimpel 2016, [Gaussian Error Linear Units](https://arxiv.org/abs/1606.08415).
# - He and others 2016, [Identity Mappings in Deep Residual Networks](https://arxiv.org/abs/1603.05027).
# - Xiong and others 2020, [On Layer Normalization in the Transformer Architecture](https://arxiv.org/abs/2002.04745).
# - Dong, Cordonnier and Loukas 2021, [Attention is Not All You Need: Pure Attention Loses Rank Doubly Exponentially with Depth](https://arxiv.org/abs/2103.03404).
# - Srivastava and others 2014, [Dropout](https://jmlr.org/papers/v15/srivastava14a.html).
# - Su and others 2021, [RoFormer](https://arxiv.org/abs/2104.09864); Haviv and others 2022, [Transformer Language Models without Positional Encodings Still Learn Positional Information](https://arxiv.org/abs/2203.16634).
# - Press and Wolf 2017, [Using the Output Embedding to Improve Language Models](https://arxiv.org/abs/1608.05859) (tied weights).
# - Elhage and others 2021, [A Mathematical Framework for Transformer Circuits](https://transformer-circuits.pub/2021/framework/index.html).
# - Raffel and others 2020, [Exploring the Limits of Transfer Learning](https://arxiv.org/abs/1910.10683) (T5), section 3.2.1: the three masks.
