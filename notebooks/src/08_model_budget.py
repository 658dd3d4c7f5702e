# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 08 · The budget of a model: parameters, memory, arithmetic
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/OWNER--SET-ME/llm-inside/blob/main/notebooks/08_model_budget.ipynb) · [open this lesson in Colab](https://colab.research.google.com/github/OWNER--SET-ME/llm-inside/blob/main/notebooks/08_model_budget.ipynb)
#
# **What does a GPT-2 cost before it has learnt anything?** From five numbers in a configuration you compute its parameters, the memory that
# training takes, and the arithmetic of a token; and you hold every formula against real tensors and a counter of operations.
#
# **Time.** Running: about half a minute on CPU; no GPU is needed. Reading and exercises: about an hour.
#
# **What you will be able to do**
# - say from the configuration alone how many parameters a model has, and where they are;
# - predict how much memory its training takes, and what each part of it is;
# - count the arithmetic of a token, and turn it into a bill.
#
# **Prerequisites.** Lessons 03 (the block) and 04 (GPT-2).

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
# What this lesson builds stands finished in `course_utils.model_budget`. You build the main pieces here.

# %% tags=["imports"]
from dataclasses import replace

import ipywidgets as widgets
import torch
from torch import nn

from course_utils import exercises, model_budget
from course_utils.classroom import (
    COLORS, Claims, Picture, device, explore, generator, pick, show, subplots,
)
from course_utils.exercises import check, hint, solution
from course_utils.gpt2 import GPT, GPTConfig, SIZES
from course_utils.model_budget import if_it_fits, step_peak

claims = Claims("08")

# %% [markdown]
# Sizes of a small GPT, all different, to try formulas on:

# %%
sizes = dict(vocab_size=100, n_positions=32, n_embd=48, n_layer=3, n_head=4)
print(GPTConfig(**sizes))

# %% [markdown]
# ## Weigh it
#
# **Question.** GPT-2 came in four sizes. "GPT-2 small has 124 million parameters": where are they?
#
# **Predict.** Is more of GPT-2 small in the attention, in the MLPs, or in the tables?
#
# The shapes are enough to know. With *L* blocks, *d* features, *V* tokens and *P* positions, each tensor's size can be written down. To check, we make the
# models on the *meta device*, where tensors have a shape and no memory, and count what is there.

# %%
small = GPTConfig.preset("gpt2")
expected, found = model_budget.predicted(small), model_budget.counted(model_budget.on_meta(small))
for part, formula in model_budget.FORMULAS.items():
    print(f"{part:<20} {formula:<21} {expected[part]:>12,} {found[part]:>12,}")
print(f"{'together':<42} {sum(expected.values()):>12,} {sum(found.values()):>12,}")
assert expected == found


# %% [markdown]
# The left column is the formula, the right one was counted. The head counts 0: its weights are the token table's, and a tensor counts once.
#
# ### Exercise 1 · count without a model
#
# *Difficulty 2 of 3 · 10 minutes*
#
# The configuration is enough. All fields that you need are in its signature: `vocab_size`, `n_positions`, `n_embd`, `n_layer`.

# %% tags=["exercise"]
def count_parameters(config: GPTConfig) -> int:
    """Say how many parameters a GPT-2 has, from its configuration alone.

    They are the two embeddings, all matrices and biases of the blocks, all LayerNorms, and the
    head unless it is tied. The MLP is config.n_inner wide, or 4 * n_embd where that is None.
    Source: Radford et al. 2019, section 2.3; the counts are those of the released weights.

    >>> count_parameters(GPTConfig.preset("gpt2"))
    124439808
    """
    ...


# %% tags=["check"]
count_parameters = check("model_budget.count_parameters", count_parameters)
# hint("model_budget.count_parameters")
# solution("model_budget.count_parameters")

# %% [markdown]
# Now all four sizes, and the shares.

# %%
counts = {name: model_budget.counted(model_budget.on_meta(GPTConfig.preset(name))) for name in SIZES}
total = {name: sum(parts.values()) for name, parts in counts.items()}
for name, parts in counts.items():
    assert total[name] == count_parameters(GPTConfig.preset(name))
    attention, mlp = (parts[f"{kind} weights"] / total[name] for kind in ("attention", "MLP"))
    print(f"{name:<12} {SIZES[name][0]} blocks {total[name]:>14,}  ", end="")
    print(f"attention {attention:.2%}, MLP {mlp:.2%}")

# %% [markdown]
# Two claims are decided: the sizes, and the number of blocks.

# %%
claims.add(
    "G1", "the four sizes of GPT-2", source="GPT-2's published weights", measured=list(total.values()),
    published=[124_439_808, 354_823_168, 774_030_080, 1_557_611_200],
)
claims.add(
    "G4", "GPT-2 large has 48 blocks", source="lecture", published=48, measured=SIZES["gpt2-large"][0],
    reason="That is the number of gpt2-xl. GPT-2 large has 36, GPT-2 small 12, GPT-3 96.",
)

# %% [markdown]
# Now in shares. The smallest parts are not drawn.

# %%
shares = {name: {part: n / total[name] for part, n in parts.items()} for name, parts in counts.items()}
groups = {
    "token table": ["token embedding"], "positions": ["position embedding"],
    "attention": ["attention weights", "attention biases"], "MLP": ["MLP weights", "MLP biases"],
}

# %% [markdown]
# **Look** at what grows with the size, and what shrinks.

# %%
fig, ax = subplots(figsize=(9, 3.4))
left = [0.0] * 4
for group, color in zip(groups, ("sky", "yellow", "blue", "orange"), strict=True):
    width = [sum(shares[name][part] for part in groups[group]) for name in SIZES]
    ax.barh(list(SIZES), width, left=left, color=COLORS[color], label=group)
    left = [a + b for a, b in zip(left, width, strict=True)]
ax.set(xlabel="share of the parameters", xlim=(0, 1))
ax.invert_yaxis()
fig.legend(*ax.get_legend_handles_labels(), loc="outside upper center", ncols=4)
tables = [shares[name]["token embedding"] for name in SIZES]
assert min(left) > 0.999 and tables == sorted(tables, reverse=True)
show(fig, f"Shares: the token table falls from {tables[0]:.0%} to {tables[-1]:.0%}, the MLPs grow most.")

# %% [markdown]
# In the small model the table of tokens is nearly a third. It grows like *d*, the blocks grow like *L·d²*: in the largest the blocks are nearly everything, and most of that is MLP.
#
# A public course gives the shares of the weights in attention and MLP, for the smallest and the largest.

# %%
wanted = [(name, part) for name in ("gpt2", "gpt2-xl") for part in ("attention weights", "MLP weights")]
claims.add(
    "G2", "share of attention and MLP weights, small and xl, in percent",
    source="public course (M. X. Cohen)", published=[22.75, 45.5, 31.56, 63.11],
    measured=[100 * shares[name][part] for name, part in wanted], tolerance=0.01,
)

# %% [markdown]
# And LayerNorm? "Less than 0.01 %", says the lecture.

# %%
norms = [100 * shares[name]["LayerNorm"] for name in SIZES]
print("LayerNorm:", ", ".join(f"{share:.3f} %" for share in norms))
claims.add(
    "G3", "LayerNorm is less than 0.01 % of the parameters", source="lecture", published="< 0.01 %",
    measured=" / ".join(f"{share:.3f} %" for share in norms), holds=max(norms) < 0.01,
    reason="Two to three times as much. Still nothing: the message holds, the figure does not.",
)


# %% [markdown]
# ### The tying trap
#
# **Question.** A public course counts 163,037,184 parameters for the same small GPT-2. Who is right?
#
# There are two ways to tie a head, and they look alike:
#
# - `lm_head.weight = wte.weight` — one parameter with two names;
# - `lm_head.weight = nn.Parameter(wte.weight)` — a *second* parameter that, for now, sits on the same memory.
#
# **Predict.** Which of the two is still tied after the model was moved, to a GPU say, or to another number format?

# %%
def tied(how):
    model = nn.ModuleDict({"wte": nn.Embedding(50, 8), "lm_head": nn.Linear(8, 50, bias=False)})
    model.lm_head.weight = how(model.wte.weight)
    return model


def same_memory(model):
    return model.lm_head.weight.data_ptr() == model.wte.weight.data_ptr()


for name, how in (("wte.weight", lambda weight: weight), ("nn.Parameter(wte.weight)", nn.Parameter)):
    model = tied(how)
    before, after = same_memory(model), same_memory(model.to(torch.float64))  # a move, as .to("cuda") is
    print(f"lm_head.weight = {name:<25} tied: {before}, after the move: {after}")

# %% [markdown]
# The second way is tied until the first move, and from then on it is two tables that are trained apart. Nobody is told. The count shows it at once.

# %%
with torch.device("meta"):
    trap = GPT(small)
    trap.lm_head.weight = nn.Parameter(trap.wte.weight)
untied = sum(p.numel() for p in trap.parameters())
print(f"with the trap {untied:,}, tied {total['gpt2']:,}")
print(f"the difference is V·d = {untied - total['gpt2']:,}")

# %% [markdown]
# Our `GPT` ties again after every move, whatever the move did.

# %%
moved = GPT(GPTConfig(**sizes), generator(0)).to(torch.float64)
print("ours is still tied after a move:", moved.lm_head.weight is moved.wte.weight)
claims.add(
    "G5", "GPT-2 small has 163,037,184 parameters", source="public course (M. X. Cohen)",
    published=163_037_184, measured=total["gpt2"],
    reason=f"That counts the tied table twice ({untied:,}): nn.Parameter(wte.weight) is a second "
           "parameter, and with the first .to(device) the two part.",
)

# %% [markdown]
# ### What it takes in memory
#
# **Question.** GPT-2 small has 124 million numbers of 4 bytes, half a gigabyte. Why does training it not fit into 2 GB?
#
# Training keeps, besides the weights: a gradient for each, two running means for each (that is *Adam*, the optimizer), and the *activations*: what the layers computed on the way up, because the way
# down needs it. The first three depend on the model only. Activations grow with the number of tokens in the batch, and the logits with *V* for each of them. Where the way down begins, there are three such tables at once: the log-probabilities, their gradient, and the gradient of the logits.

# %%
lengths, colors = (128, 256, 512, 1024), ("blue", "sky", "green", "orange", "yellow")
memory = {
    (B, T): model_budget.training_memory(small, B, T) for B in (1, 8) for T in lengths
}  # bytes by kind
for (B, T), kinds in memory.items():
    if T == 1024:
        print(f"{B} × {T} tokens, GiB:", {kind: round(n / 2**30, 1) for kind, n in kinds.items()})

# %% [markdown]
# Not all of it is there at the same time: on the way down the gradients come while the activations go. `model_budget.training_peak` says what is needed at most. In the picture that is the black line; the bars are what each kind takes at its own fullest moment.
#
# **Predict** from the two lines above how the bars for shorter texts look.

# %%
fig, axes = subplots(1, 2, figsize=(10, 3.8), sharey=True)
peak = {(B, T): model_budget.training_peak(small, B, T) / 2**30 for B, T in memory}
for ax, B in zip(axes, (1, 8), strict=True):
    bottom = [0.0] * len(lengths)
    for key, color in zip(memory[1, 128], colors, strict=True):
        height = [memory[B, T][key] / 2**30 for T in lengths]
        ax.bar([str(T) for T in lengths], height, bottom=bottom, color=COLORS[color], label=key)
        bottom = [a + b for a, b in zip(bottom, height, strict=True)]
    ax.plot([peak[B, T] for T in lengths], "_-", color="black", markersize=16, label="at most at once")
    ax.set(title=f"batch of {B}", xlabel="tokens in each text")
axes[0].set_ylabel("memory (GiB)")
axes[0].legend()
one, eight = peak[1, 1024], peak[8, 1024]
assert eight > 2 * one
show(fig, f"Memory against length: {one:.1f} GiB for one text of 1024, {eight:.1f} GiB for eight.")

# %% [markdown]
# Those are predictions from shapes. **Do they hold?** PyTorch can tell what it keeps for the way down: a hook sees each tensor that is saved. We ask it, for a model that is small enough to run.

# %%
middle = GPTConfig(n_layer=4, n_head=4, n_embd=128, vocab_size=1000, n_positions=256)
gpt, rows = GPT(middle, generator(0)), torch.randint(1000, (4, 128), generator=generator(1))
kept, predicted = (
    model_budget.saved_activations(gpt, rows),
    model_budget.training_memory(middle, B=4, T=128),
)
predicted["logits"] //= 3  # before the way down: the log-probabilities alone
for key, n_bytes in kept.items():
    print(f"{key:<12} kept {n_bytes / 2**20:6.1f} MiB, predicted {predicted[key] / 2**20:6.1f}")
    assert abs(predicted[key] / n_bytes - 1) < 0.05

# %% [markdown]
# And the whole step? A GPU's allocator counts what it has given out. On a CPU we count ourselves: `step_peak` notes the result of every operator for as long as it lives, and says how much was alive at most.

# %%
counted = step_peak(GPT(middle, generator(0)), rows)
expected_peak = model_budget.training_peak(middle, B=4, T=128)
print(f"predicted {expected_peak / 2**20:.1f} MiB, counted {counted / 2**20:.1f}")
assert abs(expected_peak / counted - 1) < 0.03

# %% [markdown]
# GPT-2 small, eight texts, two lengths. This cell needs a GPU; one with little memory has no room for the longer one.

# %%
CUDA = device().type == "cuda"
on_gpu, sizes_there = pick(cpu=(middle, ((4, 128),)), gpu=(small, ((8, 256), (8, 1024))))
for B, T in sizes_there if CUDA else ():
    expected_peak = model_budget.training_peak(on_gpu, B, T)
    rows_there = torch.zeros(B, T, dtype=torch.long, device="cuda")
    counted = if_it_fits(lambda x=rows_there: step_peak(GPT(on_gpu, generator(0)).to("cuda"), x))
    said = f"counted {counted / 2**30:.2f}" if counted else "more than there is room for"
    print(f"{B} × {T}: predicted {expected_peak / 2**30:.2f} GiB, {said}")
if not CUDA:
    print("No CUDA device here: the prediction stands alone.")

# %% [markdown]
# If memory is short, there are three ways out. *Checkpointing* throws the activations of a block away and computes them again on the way down. *bfloat16* is a format that keeps a number in 2 bytes instead of 4.
# A smaller batch, with the gradients of several added up, is the third.

# %%
for name, options in {"plain": {}, "checkpointing": dict(checkpointing=True)}.items():
    kept = model_budget.training_memory(small, B=8, T=1024, **options)["activations"]
    print(f"{name:<14} activations {kept / 2**30:.1f} GiB")

# %% [markdown]
# The price is one more forward pass. The result is the same.

# %%
gradient = {}
for gpt.checkpointing in (False, True):
    gpt.zero_grad()
    gpt(rows).logsumexp(-1).mean().backward()
    gradient[gpt.checkpointing] = gpt.h[0].mlp.c_fc.weight.grad.clone()
torch.testing.assert_close(gradient[True], gradient[False])
print("checkpointing gives the same gradients")


# %% [markdown]
# ### What it takes in arithmetic
#
# **Question.** How much work is one token?
#
# A matrix of *m* × *n* times a vector is *m·n* multiplications and as many additions: 2·*m·n* floating-point operations (*FLOP*). So each weight of a matrix costs 2 FLOP a token.
# On the way down there are two such products for each one on the way up (one for the input, one for the weights). Together 6 FLOP for each parameter and token: the rule of thumb **6*N***.
#
#
# ### Exercise 2 · count the work
#
# *Difficulty 3 of 3 · 12 minutes*
#
# Count the matrix products: those with weights, in the blocks and in the head, and the two that make attention, queries with keys and weights with values. For the latter, each position meets *T* others.

# %% tags=["exercise"]
def flops_per_token(config: GPTConfig, T: int) -> int:
    """Count the FLOPs of all matrix products in a forward pass over T tokens, for each token.

    A weight of a matrix takes 2, in the blocks and in the head, tied or not; embeddings are looked
    up and take none. Each block's attention adds 2·d for the scores and 2·d for the average, for
    each of the T positions, causal or not. A training step takes 3 times as many.
    Raises: ValueError for T < 1 or T > n_positions.
    Source: Kaplan et al. 2020, table 1; Chowdhery et al. 2022 (PaLM), appendix B.

    >>> flops_per_token(GPTConfig.preset("gpt2"), T=1024)
    284812800
    """
    ...


# %% tags=["check"]
flops_per_token = check("model_budget.flops_per_token", flops_per_token)
# hint("model_budget.flops_per_token")
# solution("model_budget.flops_per_token")

# %% [markdown]
# **How good is the thumb?** What it leaves out is the attention maps, which cost more the longer the text is. What it counts too much are the positions and biases.

# %%
for name in ("gpt2", "gpt2-xl"):
    for T in (64, 1024):
        exact = 3 * flops_per_token(GPTConfig.preset(name), T)  # once up, twice down
        print(f"{name:<8} T = {T:<5} exact / 6N = {exact / (6 * total[name]):.3f}")

# %% [markdown]
# Right to a percent for short texts, too low by a tenth or more for long ones. Good enough to plan with.
#
# ### What GPT-3 cost
#
# **Question.** The lecture says that training GPT-3 cost about 10 million dollars. Is that so?
#
# GPT-3 has the same architecture as GPT-2 (Brown and others 2020), with 96 blocks of width 12,288, and was trained on 300 billion tokens. **Predict** the number of FLOP: 6 times parameters times tokens.

# %%
n_gpt3 = count_parameters(model_budget.GPT3)
flops = model_budget.training_flops(n_gpt3, model_budget.GPT3_TOKENS)
print(f"{n_gpt3 / 1e9:.1f} billion parameters, {model_budget.GPT3_TOKENS / 1e9:.0f} billion tokens")
print(f"{flops:.2e} FLOP")

# %% [markdown]
# FLOP have no price of their own. You rent a machine by the hour; it has a *peak* (FLOP a second at best), and a training run gets a part of it, the *utilisation*. Here are machines with the figures and where they come from.

# %%
cost = {machine.name: model_budget.training_cost(flops, machine) for machine in model_budget.MACHINES}
for machine in model_budget.MACHINES:
    rate = machine.peak * machine.utilisation
    print(f"{machine.name}: {machine.peak / 1e12:.0f} TFLOP/s at {machine.utilisation:.0%}, "
          f"${machine.price:.2f} an hour -> {flops / rate / 3600 / 8760:.0f} machine years, "
          f"{cost[machine.name] / 1e6:.1f} million dollars\n    {machine.source}")

# %% [markdown]
# The same FLOP, very different bills. Let us vary the two numbers that nobody publishes: price and utilisation.

# %%
prices, used = torch.linspace(0.5, 4, 36), torch.linspace(0.1, 0.6, 26)
machine = model_budget.MACHINES[0]
bill = torch.tensor([[model_budget.training_cost(flops, replace(machine, utilisation=u, price=p)) / 1e6
                      for p in prices.tolist()] for u in used.tolist()])

# %% [markdown]
# Each line joins what costs the same. **Predict** how the lines bend.

# %%
fig, ax = subplots(figsize=(8, 4))
lines = ax.contour(prices, used, bill, levels=[1, 2, 3, 5, 10, 20], colors="black", linewidths=1.2)
ax.clabel(lines, fmt="%g million")
ax.set(title="GPT-3 on V100s, in dollars", xlabel="price (dollars an hour)", ylabel="utilisation")
assert bill.min() < 2 and bill.max() > 20
show(fig, "The cost of GPT-3 against price and utilisation: from under 2 to over 20 million dollars.")

# %% [markdown]
# "About 10 million" is one line in that picture. It is right for the prices and utilisations on that line, and nobody outside knows the real ones.

# %%
low, high = min(cost.values()) / 1e6, max(cost.values()) / 1e6
near = [name for name, dollars in cost.items() if abs(dollars / 1e7 - 1) < 0.2]
claims.add(
    "G9", "training GPT-3 cost about 10 million dollars", source="lecture", published="about 10 million",
    measured=f"{low:.1f} to {high:.1f} million for one run, depending on the machine",
    holds=bool(near),
    reason=f"True for {', '.join(near) or 'none of these machines'}. {flops:.1e} FLOP follow from "
           "published sizes; price and utilisation are assumptions. Failed runs, experiments, people "
           "and data are not in it.",
)


# %% [markdown]
# ### A view of all sizes
#
# <!-- speaker: Let them set GPT-2 small first, then ask which single slider makes the bill ten times as high. -->
# **Move the sliders.** Heads are 64 wide, as in all sizes of GPT-2. Try to find a model that fits into 16 GiB of memory for training, a common GPU. Which slider changes memory, but not the parameters? Which changes
# parameters, but hardly the FLOP?

# %%
def bars(ax, values, unit, color, title):
    ax.barh(list(values), list(values.values()), color=COLORS[color])
    ax.set(title=title, xlabel=unit)
    ax.invert_yaxis()
    ax.grid(axis="y", visible=False)


# %% [markdown]
# Those were the bars. The view puts three of them side by side.

# %%
def sized(layers, width, vocabulary, context, batch):
    config = GPTConfig(vocab_size=vocabulary, n_positions=context,
                       n_embd=width, n_layer=layers, n_head=width // 64)
    parts = model_budget.predicted(config)
    weights = {group: sum(parts[part] for part in names) / 1e6 for group, names in groups.items()}
    room = {key: n / 2**30 for key, n in model_budget.training_memory(config, batch, context).items()}
    at_once = model_budget.training_peak(config, batch, context) / 2**30
    work = flops_per_token(config, context) / 1e9
    maps, head = 4 * layers * context * width / 1e9, 2 * vocabulary * width / 1e9
    work = {"blocks": work - maps - head, "attention maps": maps, "head": head}
    fig, (left, centre, right) = subplots(1, 3, figsize=(11.5, 3.8))
    n = count_parameters(config) / 1e6
    bars(left, weights, "million", "blue", f"{n:,.0f} M parameters")
    bars(centre, room, "GiB", "orange", f"{at_once:,.1f} GiB to train")
    bars(right, work, "GFLOP a token", "green", f"{sum(work.values()):,.2f} GFLOP a token")
    alt = f"{layers} layers, width {width}: {n:,.0f} million parameters, "
    alt += f"{at_once:,.1f} GiB to train, {sum(work.values()):,.2f} GFLOP a token."
    return Picture(fig, alt)


explore(
    sized,
    layers=widgets.IntSlider(12, 1, 96, description="layers"),
    width=widgets.IntSlider(768, 64, 12_288, step=64, description="width"),
    vocabulary=widgets.IntSlider(50_257, 257, 200_000, step=1000, description="vocabulary"),
    context=widgets.IntSlider(1024, 64, 8192, step=64, description="context"),
    batch=widgets.IntSlider(8, 1, 64, description="batch"),
)

# %% [markdown]
# Width counts twice (squared), layers once. Batch and context change the activations and leave the weights alone. A large vocabulary costs a table and, for each token, a row of logits: in a small model those are the largest thing in memory.
#
# ## What we verified
#
# Each claim with its source, what was published, and what you measured.

# %%
claims.show()

# %% [markdown]
# Your exercises: which pass, and which are still open.

# %% tags=["progress"] slideshow={"slide_type": "skip"}
exercises.progress("model_budget")

# %% [markdown]
# **What this lesson leaves out.** Prices and the use that real hardware makes of its peak are assumptions here, said where they stand. Models with experts, with fewer key heads or with weights in 8 bits count otherwise.
#
# ## Further reading
#
# - Brown and others 2020, [Language Models are Few-Shot Learners](https://arxiv.org/abs/2005.14165) (GPT-3), table 2.1 and appendix D: sizes and FLOP.
# - Kaplan and others 2020, [Scaling Laws for Neural Language Models](https://arxiv.org/abs/2001.08361), section 2.1: the count of FLOP.
# - Press and Wolf 2017, [Using the Output Embedding to Improve Language Models](https://arxiv.org/abs/1608.05859): the tied head.
# - Korthikanti and others 2022, [Reducing Activation Recomputation in Large Transformer Models](https://arxiv.org/abs/2205.05198): what training keeps in memory.
# - Chen and others 2016, [Training Deep Nets with Sublinear Memory Cost](https://arxiv.org/abs/1604.06174): checkpointing.
