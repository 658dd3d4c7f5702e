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
# **What does a GPT-2 cost before it has learnt anything?** From five numbers in a configuration you compute its parameters,
# the memory that training takes, and the arithmetic of a token; and you hold every formula against real tensors.
#
# **Time.** Running: about half a minute on CPU; no GPU is needed, and one is used where there is one. About 72 minutes to read and do.
#
# **What you will be able to do**
# - say from the configuration alone how many parameters a model has, and where they are;
# - predict how much memory its training takes, and find the largest batch that fits;
# - count the arithmetic of a token, and turn it into a bill whose every number has a source.
#
# **Prerequisites.** Lessons 03 (the block) and 04 (GPT-2).

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
from dataclasses import replace

import ipywidgets as widgets
import torch
from torch import nn

from course_utils import exercises, model_budget
from course_utils.classroom import (
    COLORS, Claims, Diagram, Picture, Source, device, explore, generator, pick, predict, reveal, show,
    subplots,
)
from course_utils.exercises import check, hint, solution
from course_utils.gpt2 import GPT, GPTConfig, SIZES
from course_utils.machine.memory import peak_bytes
from course_utils.model_budget import (
    GPT3, GPT3_TOKENS, PEAKS, TRAININGS, if_it_fits, step_peak, training_memory, training_peak,
)

NOTES = "Kiến trúc mô hình ngôn ngữ lớn (lecture notes)"
COHEN = "M. X. Cohen, public course on language models"
GIB = 2**30
claims = Claims("08")
small = GPTConfig.preset("gpt2")  # GPT-2 small: 12 blocks of width 768
presets = {name: GPTConfig.preset(name) for name in SIZES}

# %% [markdown]
# **Move the sliders.** They begin at GPT-2 small, which trains on 8 texts of 1024 tokens. Heads are 64 wide, as in all
# sizes of GPT-2; numbers have 4 bytes.

# %% tags=["display"]
# @title Parameters, memory and arithmetic of a GPT-2 of any size
GROUPS = {
    "token table": ["token embedding"], "positions": ["position embedding"],
    "attention": ["attention weights", "attention biases"], "MLP": ["MLP weights", "MLP biases"],
}


UNITS = {
    "parameters": {"thousand": 1e3, "million": 1e6, "billion": 1e9},
    "to train": {"MiB": 2**20, "GiB": GIB, "TiB": 2**40},
    "a token": {"MFLOP": 1e6, "GFLOP": 1e9},
}


def bars(ax, values, total, what, color):
    """The values in a unit that suits their total; returns the total in words."""
    units = UNITS[what]
    unit = max((u for u in units if units[u] <= total), key=units.get, default=next(iter(units)))
    ax.barh(list(values), [n / units[unit] for n in values.values()], color=COLORS[color])
    said = f"{total / units[unit]:,.3g} {unit} {what}"
    ax.set(title=said, xlabel=unit)
    ax.invert_yaxis()
    ax.locator_params(axis="x", nbins=4)
    ax.grid(axis="y", visible=False)
    return said


def config_of(layers, width, vocabulary, context):
    return GPTConfig(vocab_size=vocabulary, n_positions=context, n_embd=width, n_layer=layers,
                     n_head=width // 64)


def sized(layers, width, vocabulary, context, batch):
    config = config_of(layers, width, vocabulary, context)
    parts = model_budget.predicted(config)
    weights = {group: sum(parts[part] for part in names) for group, names in GROUPS.items()}
    room = training_memory(config, batch, context)
    total = model_budget.flops_per_token(config, context)
    maps, head = 4 * layers * context * width, 2 * vocabulary * width
    work = {"blocks": total - maps - head, "attention maps": maps, "head": head}
    fig, (left, centre, right) = subplots(1, 3, figsize=(11.5, 3.4))
    said = (
        bars(left, weights, sum(parts.values()), "parameters", "blue"),
        bars(centre, room, training_peak(config, batch, context), "to train", "orange"),
        bars(right, work, total, "a token", "green"),
    )
    return Picture(fig, f"{layers} layers, width {width}: {', '.join(said)}.")


explore(
    sized,
    layers=widgets.IntSlider(12, 1, 96, description="layers"),
    width=widgets.IntSlider(768, 64, 12_288, step=64, description="width"),
    vocabulary=widgets.IntSlider(50_257, 257, 200_257, step=1000, description="vocabulary"),
    context=widgets.IntSlider(1024, 64, 8192, step=64, description="context"),
    batch=widgets.IntSlider(8, 1, 64, description="batch"),
)

# %% [markdown]
# <!-- speaker: Let them write the four answers down before anybody touches a slider. Then ask which single slider makes the
# training ten times as large. -->
# Four questions that the sliders answer. Note your answers; the end of the lesson measures them.
#
# 1. Which slider changes the memory, but no parameter?
# 2. Double the width. Do the parameters double?
# 3. Make the vocabulary as small and as large as it goes. What is the largest part of the memory at either end?
# 4. Double the context. What happens to the arithmetic of a token, and what to that of a whole text?
#
# The rest of the lesson builds what this view computes.

# %% tags=["display"]
# @title What will count, set before anything is measured
claims.expect(
    "G1", "the four sizes of GPT-2", source=Source("OpenAI, GPT-2's released weights", "shapes"),
    published=[124_439_808, 354_823_168, 774_030_080, 1_557_611_200], tolerance=0,
)
claims.expect(
    "G2", "share of attention and MLP weights, small and xl, in percent",
    source=Source(COHEN, "where GPT-2's parameters are"), published=[22.75, 45.5, 31.56, 63.11],
    tolerance=0.01,
)
claims.expect(
    "G3", "LayerNorm is less than 0.01 % of the parameters", source=Source(NOTES, "GPT-2 from scratch"),
    published="< 0.01 %", criterion="in each of the four sizes the share is below 0.01 %",
    holds=lambda percent: max(percent) < 0.01,
)
claims.expect(
    "G4", "GPT-2 large has 48 blocks", source=Source(NOTES, "GPT-2 from scratch"), published=48,
    tolerance=0,
)
claims.expect(
    "G5", "GPT-2 small has 163,037,184 parameters", source=Source(COHEN, "GPT-2 from scratch"),
    published=163_037_184, tolerance=0,
)
claims.expect(
    "G9", "training GPT-3 cost about 10 million dollars", source=Source(NOTES, "Pre-training"),
    published="about 10 million",
    criterion="8 to 12 million at the utilisation that was published for GPT-3, and at a list price of "
              "its year; partly, if only other published terms come there",
    holds=lambda dollars: 8e6 <= dollars[0] <= 12e6,
    partly=lambda dollars: any(8e6 <= d <= 12e6 for d in dollars),
)
claims.criteria()


# %% [markdown]
# ## Weigh it
#
# **Question.** "GPT-2 small has 124 million parameters": where are they? The **parameters** of a model are the numbers that
# training changes: all matrices, all biases, all gains and shifts.
#
# ### Exercise 1 · count without a model
#
# *Difficulty 2 of 3 · 10 minutes*
#
# The configuration is enough: `vocab_size`, `n_positions`, `n_embd`, `n_layer`, `n_inner` and `tie_word_embeddings`.

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
# GPT-2 came in four sizes. Your count of each:

# %%
total = {name: count_parameters(config) for name, config in presets.items()}
for name, config in presets.items():
    print(f"{name:<12} {config.n_layer} blocks of width {config.n_embd:<5} {total[name]:>14,}")

# %% [markdown]
# A lecture says that LayerNorm is next to nothing. How little is that?

# %% tags=["display"]
# @title Predict: LayerNorm's share
predict(
    "model_budget.norms",
    "All LayerNorms of GPT-2 small together are … of its parameters.",
    {"under 0.01 %": (0, 0.01), "0.01 to 0.1 %": (0.01, 0.1), "0.1 to 1 %": (0.1, 1),
     "over 1 %": (1, 100)},
)

# %% [markdown]
# To check a count, make the model on the **meta device**, where a tensor has a shape and no memory: even GPT-3 fits there.
# With *L* blocks, *d* features, *V* tokens, *P* positions and *f* features inside the MLP:

# %%
found = {name: model_budget.counted(model_budget.on_meta(config)) for name, config in presets.items()}
for part, formula in model_budget.FORMULAS.items():
    print(f"{part:<20} {formula:<21} {found['gpt2'][part]:>12,}")
assert all(sum(parts.values()) == total[name] for name, parts in found.items())

# %% [markdown]
# The head counts 0: it is tied, its weights are the token table's, and a tensor counts once. Now the shares.

# %% tags=["display"]
# @title Measured: where the parameters are, in four sizes
shares = {name: {part: n / total[name] for part, n in parts.items()} for name, parts in found.items()}
fig, ax = subplots(figsize=(9, 3.4))
left = [0.0] * 4
drawn = {}
for group, color in zip(GROUPS, ("sky", "yellow", "blue", "orange"), strict=True):
    drawn[group] = [sum(shares[name][part] for part in GROUPS[group]) for name in SIZES]
    ax.barh(list(SIZES), drawn[group], left=left, color=COLORS[color], label=group)
    left = [a + b for a, b in zip(left, drawn[group], strict=True)]
ax.set(xlabel="share of the parameters", xlim=(0, 1))
ax.invert_yaxis()
ax.grid(axis="y", visible=False)
fig.legend(*ax.get_legend_handles_labels(), loc="outside upper center", ncols=4)
tables = drawn["token table"]
assert min(left) > 0.999 and tables == sorted(tables, reverse=True)
ratios = [m / a for m, a in zip(drawn["MLP"], drawn["attention"], strict=True)]
assert drawn["MLP"] == sorted(drawn["MLP"]) and all(abs(ratio - 2) < 0.01 for ratio in ratios)
show(fig, f"Shares: the token table falls from {tables[0]:.0%} to {tables[-1]:.0%}, the MLPs grow.")
wanted = [(name, part) for name in ("gpt2", "gpt2-xl") for part in ("attention weights", "MLP weights")]
norms = [100 * shares[name]["LayerNorm"] for name in SIZES]
claims.measure("G1", list(total.values()))
claims.measure("G2", [100 * shares[name][part] for name, part in wanted])
claims.measure(
    "G3", norms, shown=" / ".join(f"{percent:.3f} %" for percent in norms),
    reason="Two to three times as much. It is still very little.",
)
claims.measure(
    "G4", SIZES["gpt2-large"][0],
    reason="48 is the number of gpt2-xl. GPT-2 large has 36, GPT-2 small 12, GPT-3 96.",
)
reveal("model_budget.norms", norms[0], ".2g")

# %% [markdown]
# In the small model the token table is nearly a third. It grows like *d*; the blocks grow like *L·d²*. In each block the MLP
# has twice the weights of the attention, 8*d*² beside 4*d*².
#
# ### The tying trap
#
# **Question.** A public course counts 163,037,184 parameters for the same GPT-2 small. Who is right? There are two ways to tie
# a head, and they look alike:
#
# - `lm_head.weight = wte.weight`: one parameter with two names;
# - `lm_head.weight = nn.Parameter(wte.weight)`: a second parameter that, for now, lies on the same memory.

# %% tags=["display"]
# @title Predict: after the move
predict(
    "model_budget.tying",
    "The model is moved, to a GPU or to another number format. How many tables are there afterwards, "
    "the first way and the second?",
    ["1 and 1", "1 and 2", "2 and 2"],
)


# %%
def tables_in_memory(model):
    return len({model.lm_head.weight.data_ptr(), model.wte.weight.data_ptr()})


counts = {}
for name, tie in {"wte.weight": lambda w: w, "nn.Parameter(wte.weight)": nn.Parameter}.items():
    model = nn.ModuleDict({"wte": nn.Embedding(50, 8), "lm_head": nn.Linear(8, 50, bias=False)})
    model.lm_head.weight = tie(model.wte.weight)
    before, after = tables_in_memory(model), tables_in_memory(model.to(torch.float64))
    counts[name] = after
    print(f"lm_head.weight = {name:<25} tables before the move {before}, after it {after}")


# %% [markdown]
# From the move on, the second way has two tables that are trained apart. There is no error and no warning.
#
# ### Exercise 2 · find the trap
#
# *Difficulty 2 of 3 · 4 minutes*
#
# Somebody hands you a model that has not been moved yet.

# %% tags=["exercise"]
def stays_tied(model: nn.Module) -> bool:
    """Say whether a model's head is tied to its token table in such a way that it still is after the
    model was moved to another device or number format.

    model.wte is an nn.Embedding, model.lm_head an nn.Linear. The model is not moved and not changed.

    >>> model = nn.ModuleDict({"wte": nn.Embedding(5, 2), "lm_head": nn.Linear(2, 5, bias=False)})
    >>> stays_tied(model)
    False
    >>> model.lm_head.weight = model.wte.weight
    >>> stays_tied(model)
    True
    """
    ...


# %% tags=["check"]
stays_tied = check("model_budget.stays_tied", stays_tied)
# hint("model_budget.stays_tied")
# solution("model_budget.stays_tied")

# %% [markdown]
# Your test, on GPT-2 small and on its twin with the trap. The number of parameters shows it, too:

# %%
with torch.device("meta"):
    trap = GPT(small)
    trap.lm_head.weight = nn.Parameter(trap.wte.weight)
    plain = GPT(small)
for name, model in {"plain": plain, "trap": trap}.items():
    found_it = "stays tied" if stays_tied(model) else "parts at the first move"
    print(f"{name:<6} {sum(p.numel() for p in model.parameters()):>12,} parameters, {found_it}")
untied = sum(p.numel() for p in trap.parameters())

# %% tags=["display"]
# @title Measured: the tying trap
first_way, second_way = counts.values()
moved = GPT(config_of(2, 64, 100, 32), generator(0)).to(torch.float64)
assert tables_in_memory(moved) == 1 and untied - total["gpt2"] == small.vocab_size * small.n_embd
claims.measure(
    "G5", total["gpt2"],
    reason=f"{untied:,} is V·d more: the tied table is counted twice. nn.Parameter(wte.weight) is a "
           "second parameter, and with the first .to(device) the two part.",
)
reveal("model_budget.tying", f"{first_way} and {second_way}")

# %% [markdown]
# The course's `GPT` ties its head again after each move.
#
# ## What training keeps in memory
#
# **Question.** GPT-2 small has 124 million numbers of 4 bytes: half a gigabyte. Why does its training not fit into 2 GB?
#
# Beside the weights there is a gradient for each. The optimizer Adam keeps two averages for each, of the gradient and of its
# square. The **activations** of a model are the results of its layers, kept on the way up because the way down needs them.
#
# Weights, gradients and averages depend on the model only. Activations and logits grow with the batch: B texts of T tokens. For the logits
# the vocabulary counts too: 50,257 scores for each token.

# %% tags=["display"]
# @title Predict: tables of logits
predict(
    "model_budget.copies",
    "At the fullest moment of a training step, how many tables of B × T × V numbers lie in memory at "
    "once?",
    ["1", "2", "3", "4"],
)


# %% [markdown]
# `step_peak` makes a training step and counts the bytes at its fullest moment. Give it a thousand more tokens, and see by how
# many tables it grows. Their rows in `wte`, and Adam's two averages, are taken off.

# %%
def peak_with(V):
    config = GPTConfig(vocab_size=V, n_positions=64, n_embd=16, n_layer=1, n_head=1)
    return step_peak(GPT(config, generator(0)), torch.zeros(8, 64, dtype=torch.long))


table = 4 * 8 * 64 * 1000  # bytes of the logits of 1,000 tokens, for 8 texts of 64 tokens
rows = 3 * 4 * 16 * 1000  # bytes of their weights, and of Adam's averages
copies = (peak_with(3000) - peak_with(2000) - rows) / table
print(f"{copies:.2f} tables at once")


# %% tags=["display"]
# @title Measured: tables of logits, and with a loop that keeps them
def peak_with_name(V):
    """The same step without an optimizer; the name `logits` lives until the way down is done."""
    config = GPTConfig(vocab_size=V, n_positions=64, n_embd=16, n_layer=1, n_head=1)
    model, ids = GPT(config, generator(0)), torch.zeros(8, 64, dtype=torch.long)

    def step():
        logits = model(ids)
        nn.functional.cross_entropy(logits.flatten(0, 1), ids.flatten()).backward()

    return peak_bytes(step, held=[*model.parameters()])


with_name = (peak_with_name(3000) - peak_with_name(2000) - rows / 3) / table
assert abs(copies - 3) < 0.05 and abs(with_name - 4) < 0.05
print(f"where the loop says `logits = model(ids)`: {with_name:.2f} tables")
reveal("model_budget.copies", f"{copies:.0f}")

# %% [markdown]
# Where the way down begins there are the log-probabilities, their gradient, and the gradient of the logits. The logits
# themselves are gone by then, unless your loop gave them a name: then a fourth table stays.

# %% tags=["display"]
# @title A training step, and what it keeps
d = Diagram()
weights = d.box("weights: N", 0, 6, width=3.4)
stack = d.box("activations of L blocks", 6.4, 6, width=5.0, color="orange")
logits = d.box("logits", 13, 6, width=5.6, color="yellow")
log_p = d.box("1  log-probabilities", 13, 4, width=5.6, color="yellow")
back = d.box("2  their gradient", 13, 2, width=5.6, color="yellow")
back_logits = d.box("3  gradient of the logits", 13, 0, width=5.6, color="yellow")
gradients = d.box("gradients: N", 6.4, 0, width=3.4, color="green")
adam = d.box("Adam's averages: 2·N", 0, 0, width=4.4, color="green")
for start, end, label in (
    (weights, stack, ""), (stack, logits, ""), (logits, log_p, ""), (log_p, back, "loss"),
    (back, back_logits, ""), (back_logits, gradients, ""), (stack, gradients, "needed again"),
    (gradients, adam, ""), (adam, weights, "step"),
):
    d.arrow(start, end, label)
d.note("way up", 3.2, 6.7)
d.note("way down", 9.2, -0.8)
d.note("each B·T·V numbers", 13, 6.9)
d.picture(
    "A training step: weights make activations and logits, the logits make log-probabilities; from "
    "the loss come their gradient, the gradient of the logits and, with the activations, a gradient for "
    "each weight; Adam's two averages turn it into a step. N is the number of parameters."
)

# %% [markdown]
# `training_memory` says from the shapes what each kind takes; `training_peak` what is needed at one time: the gradients come
# while the activations go. **Do they hold?** A small model can be asked.

# %%
middle = GPTConfig(n_layer=4, n_head=4, n_embd=128, vocab_size=1000, n_positions=256)
gpt, ids = GPT(middle, generator(0)), torch.randint(1000, (4, 128), generator=generator(1))
kept = model_budget.saved_activations(gpt, ids)["activations"]  # what autograd really keeps
predicted = training_memory(middle, B=4, T=128)["activations"]
print(f"activations: predicted {predicted / 2**20:.1f} MiB, kept {kept / 2**20:.1f} MiB")
counted, expected = step_peak(gpt, ids), training_peak(middle, B=4, T=128)
print(f"whole step:  predicted {expected / 2**20:.1f} MiB, counted {counted / 2**20:.1f} MiB")
assert abs(predicted / kept - 1) < 0.05 and abs(expected / counted - 1) < 0.03

# %% [markdown]
# With formulas that hold, look at GPT-2 small, which you need not run.

# %% tags=["display"]
# @title Memory of a training step of GPT-2 small, by kind
lengths, colors = (128, 256, 512, 1024), ("blue", "sky", "green", "orange", "yellow")
fig, axes = subplots(1, 2, figsize=(10, 3.8), sharey=True)
peaks, logits_share = {}, {}
for ax, B in zip(axes, (1, 8), strict=True):
    memory = [training_memory(small, B, T) for T in lengths]
    peaks[B] = [training_peak(small, B, T) / GIB for T in lengths]
    bottom = [0.0] * len(lengths)
    for kind, color in zip(memory[0], colors, strict=True):
        height = [m[kind] / GIB for m in memory]
        ax.bar([f"{T:,}" for T in lengths], height, bottom=bottom, color=COLORS[color], label=kind)
        bottom = [a + b for a, b in zip(bottom, height, strict=True)]
    ax.plot(peaks[B], "_", color="black", markersize=28, markeredgewidth=2.5, label="at one time")
    ax.set(title=f"batch of {B}", xlabel="tokens in each text")
    logits_share[B] = memory[-1]["logits"] / GIB / peaks[B][-1]
    above = [peak > b for peak, b in zip(peaks[B], bottom, strict=True)]
    assert above[0] == (B == 1) and not any(above[2:])
axes[0].set_ylabel("memory (GiB)")
axes[0].legend()
assert peaks[8][-1] > 2 * peaks[1][-1] and peaks[8][-1] < 8 * peaks[1][-1]
assert 2 < peaks[1][0] < 2.2 and 0.4 < logits_share[8] < 0.5
show(fig, f"Memory: {peaks[1][-1]:.1f} GiB for a text of 1024 tokens, {peaks[8][-1]:.1f} GiB for eight.")


# %% [markdown]
# Even one short text takes more than 2 GiB: weights, gradients and averages are there whatever the batch. (There the line is
# above the bar: the tied table gets two gradients, as table and as head, and for a moment both are there.) For eight texts of
# 1024 tokens the logits alone take over two fifths of the memory.
#
# ### Exercise 3 · the largest batch
#
# *Difficulty 2 of 3 · 8 minutes*
#
# A common GPU has 16 GiB. `training_peak(config, B, T)` is there for you to call.

# %% tags=["exercise"]
def largest_batch(config: GPTConfig, T: int, room: int) -> int:
    """Find how many texts of T tokens a training step can take at once in `room` bytes: the largest
    B whose `training_peak` is not above it, and 0 where not even one text fits.

    All numbers are float32, attention is fused, and nothing is computed twice: training_peak(config,
    B, T) as it is. Raises: ValueError for T < 1 or T > n_positions.

    >>> config = GPTConfig(n_layer=2, n_head=2, n_embd=16, vocab_size=500, n_positions=32)
    >>> training_peak(config, B=7, T=32), training_peak(config, B=8, T=32)
    (2025216, 2288640)
    >>> largest_batch(config, T=32, room=2_100_000)
    7
    """
    ...


# %% tags=["check"]
largest_batch = check("model_budget.largest_batch", largest_batch)
# hint("model_budget.largest_batch")
# solution("model_budget.largest_batch")

# %% [markdown]
# **Question.** Two texts of 1024 tokens do not take twice the memory of one. How much does that matter?

# %%
for name in ("gpt2", "gpt2-medium"):
    one = training_peak(presets[name], B=1, T=1024)
    fits = largest_batch(presets[name], T=1024, room=16 * GIB)
    print(f"{name:<12} one text {one / GIB:.1f} GiB; 16 GiB hold {fits} texts, not {16 * GIB // one}")

# %% [markdown]
# **And on a real GPU?** Where there is one, this cell trains GPT-2 small on eight texts of two lengths. A GPU with little
# memory has no room for the longer ones.

# %% tags=["display"]
# @title Predicted and counted on a GPU
there = ((8, 256), (8, 1024)) if device().type == "cuda" else ()
on_gpu = pick(cpu=middle, gpu=small)
for B, T in there:
    T = min(T, on_gpu.n_positions)
    zeros = torch.zeros(B, T, dtype=torch.long, device="cuda")
    peak = if_it_fits(lambda x=zeros: step_peak(GPT(on_gpu, generator(0)).to("cuda"), x))
    said = f"counted {peak / GIB:.2f}" if peak else "more than there is room for"
    print(f"{B} × {T}: predicted {training_peak(on_gpu, B, T) / GIB:.2f} GiB, {said}")
if not there:
    print("No CUDA device here: the prediction stands alone.")

# %% [markdown]
# **Where memory is short**, there are three ways out:
#
# - **checkpointing** throws the activations inside a block away and computes them again on the way down;
# - **gradient accumulation** adds up the gradients of several small batches before one step of the optimizer;
# - **mixed precision** computes in 2-byte numbers and keeps a 4-byte copy of the weights for the optimizer.
#
# The last one saves activations and logits. A parameter needs 16 bytes either way: 4 + 4 + 8 for weight, gradient and averages,
# or 2 + 2 + 8 and 4 for the copy (Rajbhandari and others 2020).

# %%
for name, options in {"plain": {}, "checkpointing": dict(checkpointing=True)}.items():
    bytes_of = training_memory(small, B=8, T=1024, **options)["activations"]
    print(f"{name:<14} activations {bytes_of / GIB:.1f} GiB")


# %% [markdown]
# Checkpointing costs one more forward pass. Does it change the gradients?

# %%
def gradient_of(checkpointing):
    model = GPT(middle, generator(0))
    model.checkpointing = checkpointing
    model(ids).logsumexp(-1).mean().backward()
    return model.h[0].mlp.c_fc.weight.grad


with_it, without = gradient_of(True), gradient_of(False)
torch.testing.assert_close(with_it, without)
print(f"largest relative difference: {(with_it - without).abs().max() / without.abs().max():.4f}")


# %% [markdown]
# ## The arithmetic of a token
#
# **Question.** How much work is one token? Additions and multiplications of decimal numbers are **floating-point
# operations**, FLOP for short. A matrix of *m* × *n* times a vector is *m·n* multiplications and as many additions.
#
# ### Exercise 4 · count the work
#
# *Difficulty 3 of 3 · 12 minutes*

# %% tags=["exercise"]
def flops_per_token(config: GPTConfig, T: int) -> int:
    """Count the FLOPs of all matrix products in a forward pass over T tokens, for each token.

    A multiplication is one and an addition is one. What counts: each weight of a matrix in the
    blocks and in the head, tied or not; and in every block the products of queries with keys and of
    attention weights with values, where each position meets all T, causal or not. Embeddings are
    looked up and take none.
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
# **Is it what a processor does?** torch can count: it looks at each product while the model runs, on the way up and on the way
# down.

# %%
from torch.utils.flop_counter import FlopCounterMode

counted_model = GPT(middle, generator(0)).set_attention("explicit")
with FlopCounterMode(display=False) as counter:
    logits = counted_model(ids)  # (4, 128, V)
    up = counter.get_total_flops()
    logits.sum().backward()
print(f"yours {flops_per_token(middle, T=128):,}, torch's {up // ids.numel():,} FLOP a token")
print(f"with the way down: {counter.get_total_flops() / up:.2f} times as many")

# %% [markdown]
# For each product on the way up there are two on the way down: one for the input, one for the weights.
#
# The attention maps, scores and averages, are the part that grows with the text. When do they overtake the rest?

# %% tags=["display"]
# @title Predict: when attention is the most
predict(
    "model_budget.overtakes",
    "In GPT-2 small, the attention maps cost more than all matrices of weights together, for texts "
    "longer than …",
    {"100 to 1,000 tokens": (100, 1000), "1,000 to 5,000": (1000, 5000),
     "5,000 to 20,000": (5000, 20_000), "over 20,000": (20_000, 1e9)},
)

# %%
longer = replace(small, n_positions=100_000)  # GPT-2 small with room for long texts
for_maps = flops_per_token(longer, 2) - flops_per_token(longer, 1)  # of one more position
of_weights = flops_per_token(longer, 1) - for_maps
overtakes = of_weights / for_maps
print(f"each position costs {for_maps:,} FLOP a token, the weights {of_weights:,}")
print(f"equal at T = {overtakes:,.0f}")

# %% tags=["display"]
# @title Measured: the share of the attention maps
fig, ax = subplots(figsize=(8.5, 3.6))
positions = [2**n for n in range(6, 17)]
curves = {}
for (name, config), mark in zip({"gpt2": small, "gpt2-xl": presets["gpt2-xl"], "GPT-3": GPT3}.items(),
                                "osD", strict=True):
    roomy = replace(config, n_positions=100_000)
    a_map = flops_per_token(roomy, 2) - flops_per_token(roomy, 1)
    curves[name] = [T * a_map / flops_per_token(roomy, T) for T in positions]
    ax.plot(positions, curves[name], f"{mark}-", label=name)
ax.axhline(0.5, color="black", linewidth=1)
ax.set_xscale("log", base=2)
ax.set(xlabel="tokens in the text", ylabel="share of the FLOP", ylim=(0, 1))
ax.legend()
assert all(a > b > c for a, b, c in zip(*curves.values(), strict=True))
assert abs(overtakes / 6702 - 1) < 0.01 and round(curves["gpt2"][4], 2) == 0.13
show(fig, "The share of the attention maps grows with the text, and is smaller in wider models.")
reveal("model_budget.overtakes", overtakes, ",.0f")

# %% [markdown]
# At 1024 tokens it is 13 %. In a wider model the maps matter less: they grow like *d*, the matrices like *d*².
#
# **The rule of thumb.** A weight is used once a token, for 2 FLOP; training takes 3 times as many. So it is 6*N* FLOP a token for
# *N* parameters (Kaplan and others 2020). How good is that?

# %%
for name in ("gpt2", "gpt2-xl"):
    for T in (64, 1024):
        exact = 3 * flops_per_token(presets[name], T)  # once up, twice down
        print(f"{name:<8} T = {T:<5} exact / 6N = {exact / (6 * total[name]):.3f}")


# %% [markdown]
# Within a percent for short texts; for long ones the exact count is 10 to 14 % higher, because *N* counts no maps. Good enough
# to plan with.
#
# ## The memory of writing
#
# **Question.** Writing needs no gradients and no averages. What does it keep? The key-value cache (lesson 02).
#
# ### Exercise 5 · the cache
#
# *Difficulty 2 of 3 · 5 minutes*

# %% tags=["exercise"]
def kv_cache_bytes(config: GPTConfig, B: int, T: int, n_bytes: int = 4) -> int:
    """Say how many bytes a model's key-value cache takes, once B texts have T tokens each.

    n_bytes: the bytes of one number, 4 in float32, 2 in float16. Everything that a GPT-2 keeps to
    write the next token counts, in the whole model. Raises: ValueError for B < 1, T < 1 and
    T > n_positions. Source: Pope et al. 2022, section 2.

    >>> kv_cache_bytes(GPTConfig.preset("gpt2"), B=1, T=1024) / 2**20  # MiB
    72.0
    """
    ...


# %% tags=["check"]
kv_cache_bytes = check("model_budget.kv_cache_bytes", kv_cache_bytes)
# hint("model_budget.kv_cache_bytes")
# solution("model_budget.kv_cache_bytes")

# %% [markdown]
# GPT-3 has GPT-2's architecture, with 96 blocks of width 12,288 and room for 2048 tokens (Brown and others 2020).

# %% tags=["display"]
# @title Predict: GPT-3's cache
predict(
    "model_budget.cache",
    "One text of 2048 tokens in GPT-3, in numbers of 2 bytes: its cache takes …",
    {"under 0.1 GiB": (0, 0.1), "0.1 to 1 GiB": (0.1, 1), "1 to 20 GiB": (1, 20),
     "over 20 GiB": (20, 1e4)},
)

# %%
for name, config in (presets | {"GPT-3": GPT3}).items():
    weights_in = 2 * count_parameters(config) / GIB
    cache_in = kv_cache_bytes(config, B=1, T=config.n_positions, n_bytes=2) / GIB
    print(f"{name:<12} weights {weights_in:7.2f} GiB, cache of one full text {cache_in:.3f} GiB")

# %% tags=["display"]
# @title Measured: GPT-3's cache
assert 36 < weights_in / cache_in < 37
reveal("model_budget.cache", cache_in, ".1f")

# %% [markdown]
# Each reader takes 9 GiB, so 36 readers of full texts take as much as all the weights. That is why newer models keep fewer
# keys (lesson 11).
#
# ## What GPT-3 cost
#
# **Question.** A lecture says that training GPT-3 cost about 10 million dollars. Is that so?

# %%
N = count_parameters(GPT3)
flops = 6 * N * GPT3_TOKENS
print(f"{N / 1e9:.1f} billion parameters, {GPT3_TOKENS / 1e9:.0f} billion tokens: {flops:.2e} FLOP")


# %% [markdown]
# The paper's table D.1 says 3.14 · 10²³. But FLOP have no price. You rent a GPU by the hour; a data sheet says its peak, the
# FLOP a second at best; and a training reaches a share of it, its model FLOP utilization (lesson 04).
#
# ### Exercise 6 · the share of the peak
#
# *Difficulty 2 of 3 · 5 minutes*

# %% tags=["exercise"]
def flop_utilization(n_parameters: float, n_tokens: float, gpu_hours: float, peak: float) -> float:
    """Say which share of their peak the GPUs of a whole training reached, a number between 0 and 1,
    from what was published about it.

    gpu_hours: the hours of all GPUs together. peak: FLOP that one GPU could do in a second. The work
    is what the rule of thumb says of a training, for all its tokens. Raises: ValueError unless
    gpu_hours and peak are above 0. Source: Chowdhery et al. 2022 (PaLM), section 4.1.

    >>> round(flop_utilization(n_parameters=2e9, n_tokens=3e9, gpu_hours=100, peak=1e14), 6)
    1.0
    """
    ...


# %% tags=["check"]
flop_utilization = check("model_budget.flop_utilization", flop_utilization)
# hint("model_budget.flop_utilization")
# solution("model_budget.flop_utilization")

# %% [markdown]
# GPT-3 was trained on 10,000 GPUs of the kind V100. Their number and their days are published.

# %% tags=["display"]
# @title Predict: GPT-3's utilisation
predict(
    "model_budget.utilisation",
    "Which share of their peak did the GPUs reach while GPT-3 was trained?",
    {"under 10 %": (0, 10), "10 to 30 %": (10, 30), "30 to 60 %": (30, 60), "over 60 %": (60, 101)},
)

# %%
share = {}
for t in TRAININGS:
    share[t.name] = flop_utilization(t.n_parameters, t.n_tokens, t.gpu_hours, PEAKS[t.gpu])
    print(f"{t.name:<24} {t.gpu_hours / 1e6:5.2f} M hours of {t.gpu}: {share[t.name]:.1%}")
    print(f"    {t.source}")

# %% tags=["display"]
# @title Measured: published utilisation
with_recomputation = share["GPT-3's shape, Megatron"] * 8 / 6
assert abs(with_recomputation - 140 / 312) < 0.01 and abs(share["GPT-3"] - 24.6 / 125) < 0.005
reveal("model_budget.utilisation", 100 * share["GPT-3"], ".0f")

# %% [markdown]
# A fifth. Published shares need a second look: where you find 33.5 %, Narayanan and others count 140 TFLOP a second, 45 % of the
# peak. They use checkpointing, and count the second forward pass as work: 8 FLOP for each parameter and token, not 6.
#
# Now prices, each with its date and source:

# %%
cost = {}
for machine in model_budget.MACHINES:
    cost[machine.name] = model_budget.training_cost(flops, machine)
    print(f"{machine.name:<22} ${machine.price:.2f} an hour at {machine.utilisation:.1%} of the peak: "
          f"{cost[machine.name] / 1e6:4.1f} million dollars")
    print(f"    {machine.source}")

# %% [markdown]
# The same FLOP, and bills that differ by a factor of twenty. **Move the sliders**: which utilisation and which price make
# GPT-3 cost 10 million? Each line joins what costs the same.

# %% tags=["display"]
# @title The bill of GPT-3
prices, used = torch.linspace(0.5, 5, 46), torch.linspace(0.05, 0.6, 56)


def bill(gpu, price, percent):
    hours = flops / (used * PEAKS[gpu]) / 3600
    millions = hours[:, None] * prices / 1e6
    yours = flops / (percent / 100 * PEAKS[gpu]) / 3600 * price / 1e6
    fig, ax = subplots(figsize=(8.5, 4))
    lines = ax.contour(prices, 100 * used, millions, levels=[0.1, 0.3, 1, 3, 10, 30],
                       colors="black", linewidths=1.2)
    ax.clabel(lines, fmt="%g M")
    ax.plot(price, percent, "o", markersize=13, color=COLORS["vermillion"], clip_on=False, zorder=5)
    ax.set(xlabel="price (dollars an hour)", ylabel="utilisation (%)", xlim=(0.5, 5.05), ylim=(5, 60))
    ax.set_title(f"GPT-3 on {gpu}s: {yours:.1f} million dollars")
    terms = f"at {price} dollars an hour and {percent} % of the peak"
    return Picture(fig, f"GPT-3 on {gpu}s {terms}: {yours:.1f} million dollars.")


explore(
    bill,
    gpu=widgets.ToggleButtons(options=list(PEAKS), description="GPU"),
    price=widgets.FloatSlider(3.06, min=0.5, max=5, step=0.01, description="$ an hour"),
    percent=widgets.IntSlider(20, 5, 60, description="% of peak"),
)

# %% tags=["display"]
# @title Measured: what GPT-3 cost
dollars = list(cost.values())
assert dollars[0] == max(dollars) and 15 < max(dollars) / min(dollars) < 25
claims.measure(
    "G9", dollars,
    shown=f"{dollars[0] / 1e6:.1f} million at the list price of 2020; "
          f"{min(dollars) / 1e6:.1f} to {dollars[1] / 1e6:.1f} million on the other terms",
    reason="What OpenAI paid is not public. Failed runs, experiments, people and data are not in it.",
)
print(f"at a list price of 2020: {dollars[0] / 1e6:.1f} million dollars")

# %% [markdown]
# "About 10 million" is right at the list price of its year, for the one run that worked. For reserved GPUs, Li's estimate is
# less than half of it; on the terms of 2024 the same FLOP cost about half a million.
#
# ## Your sliders' answers
#
# The four questions of the beginning, measured with what you built:

# %% tags=["display"]
# @title The four answers
wide = replace(small, n_embd=2 * small.n_embd, n_head=2 * small.n_head)
doubled = count_parameters(wide) / total["gpt2"]
kinds_at = {V: training_memory(replace(small, vocab_size=V), 8, 1024) for V in (257, 50_257, 200_257)}
largest = {V: max(kinds, key=kinds.get) for V, kinds in kinds_at.items()}
twice = replace(small, n_positions=2048)
a_token = flops_per_token(twice, 2048) / flops_per_token(small, 1024)
assert 2 < doubled < 4 and largest[200_257] == "logits" and largest[257] == "activations" and a_token > 1
print("1. the batch; every other slider changes the shape of a weight")
print(f"2. {doubled:.2f} times as many parameters: tables double, blocks become four times as large")
print("3. with 8 texts of 1024 tokens, the largest part is:")
for V, kind in largest.items():
    print(f"      {kind} for {V:,} tokens, {kinds_at[V][kind] / GIB:.1f} GiB")
print(f"4. a token takes {a_token:.2f} times the FLOP, the whole text {2 * a_token:.2f} times")

# %% [markdown]
# ## What we verified

# %% tags=["display"]
# @title Each claim with its source
claims.show()

# %% [markdown]
# Your predictions and exercises at a glance:

# %% tags=["progress"] slideshow={"slide_type": "skip"}
exercises.progress("model_budget")

# %% [markdown]
# **What this lesson leaves out.** Models with experts, with fewer key heads or with weights of 8 bits count otherwise. Several
# GPUs share weights, averages and activations among them, and wait for each other. Electricity, people, data and failed runs
# are in no bill here.
#
# ## Further reading
#
# - Brown and others 2020, [Language Models are Few-Shot Learners](https://arxiv.org/abs/2005.14165) (GPT-3), table 2.1 and appendix D: sizes and FLOP.
# - Kaplan and others 2020, [Scaling Laws for Neural Language Models](https://arxiv.org/abs/2001.08361), section 2.1: the count of FLOP.
# - Patterson and others 2021, [Carbon Emissions and Large Neural Network Training](https://arxiv.org/abs/2104.10350), table 4: GPT-3's GPUs, days and rate.
# - Narayanan and others 2021, [Efficient Large-Scale Language Model Training on GPU Clusters](https://arxiv.org/abs/2104.04473), section 5.
# - Li 2020, [OpenAI's GPT-3 Language Model: A Technical Overview](https://lambda.ai/blog/demystifying-gpt-3): an estimate of the price.
# - DeepSeek-AI 2024, [DeepSeek-V3 Technical Report](https://arxiv.org/abs/2412.19437), section 1: GPU hours, and a price for them.
# - Press and Wolf 2017, [Using the Output Embedding to Improve Language Models](https://arxiv.org/abs/1608.05859): the tied head.
# - Korthikanti and others 2022, [Reducing Activation Recomputation in Large Transformer Models](https://arxiv.org/abs/2205.05198): what training keeps.
# - Chen and others 2016, [Training Deep Nets with Sublinear Memory Cost](https://arxiv.org/abs/1604.06174): checkpointing.
# - Rajbhandari and others 2020, [ZeRO](https://arxiv.org/abs/1910.02054): memory of mixed precision, and how to share it.
