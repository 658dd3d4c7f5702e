# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 15 · Induction: grow a circuit, and predict where it breaks
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/OWNER--SET-ME/llm-inside/blob/main/notebooks/15_induction.ipynb) · [open this lesson in Colab](https://colab.research.google.com/github/OWNER--SET-ME/llm-inside/blob/main/notebooks/15_induction.ipynb)
#
# **Can you grow a circuit, cut it, and say beforehand where it breaks?** Heads that work together let a model copy what it
# has seen once. You train a model until they appear, read them from the weights, cut every link, and mend a failure.
#
# **Time.** Running: about one minute on CPU; no GPU is needed. About 73 minutes to read and do.
#
# **What you will be able to do**
# - score heads by what they look at, read their circuits from the weights, and know what each score cannot tell;
# - show by interventions with controls that heads work together;
# - predict from a picture where a model fails, and test the prediction by a rescue.
#
# **Prerequisites.** Lessons 02 and 03 (attention, the residual stream) and 14 (patching).

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
from collections.abc import Sequence

import ipywidgets as widgets
import torch
from torch import Tensor

from course_utils import circuits, exercises, grokking, induction
from course_utils.classroom import (
    COLORS, Claims, Diagram, Picture, Source, explore, generator, predict, progress, reveal, show,
    subplots,
)
from course_utils.exercises import check, hint, solution
from course_utils.pretrained import storyteller

claims = Claims("15")
seeds = induction.recorded()  # five models that were grown before, each from a seed of its own


# %% [markdown]
# **How do you continue a text that repeats?** Move the position. You do two look-ups: where was this letter before
# (blue), and what came after it (green)?

# %% tags=["display"]
# @title Two look-ups
def lookup_view(period, position):
    letters = [chr(ord("A") + (7 * t) % 23) for t in range(period)]
    text = [letters[t % period] for t in range(24)]
    earlier = position - period
    marks = {position: "orange"} | ({earlier: "sky", earlier + 1: "green"} if earlier >= 0 else {})
    fig, ax = subplots(figsize=(10, 1.6))
    for t, letter in enumerate(text[: position + 1]):
        color = COLORS[marks[t]] if t in marks else "none"
        ax.text(t, 0, letter, ha="center", va="center", fontsize=16,
                bbox=dict(facecolor=color, edgecolor="none", alpha=0.6))
    ax.set(xlim=(-1, 24), ylim=(-1, 1), xlabel="position", yticks=[], xticks=range(0, 24, 2))
    ax.grid(False)
    answer = f"the next is {letters[(position + 1) % period]}" if earlier >= 0 else "nobody can know"
    ax.set_title(answer)
    return Picture(fig, f"At position {position} stands {text[position]}; {answer}.")


assert "the next is" in lookup_view(7, 12).text
explore(
    lookup_view,
    period=widgets.IntSlider(7, min=3, max=12, description="period"),
    position=widgets.IntSlider(12, min=1, max=23, description="position"),
)

# %% tags=["display"]
# @title What will count, set before anything is measured
THREADS = "https://transformer-circuits.pub"
FRAMEWORK = f"{THREADS}/2021/framework/index.html"
IN_CONTEXT = f"{THREADS}/2022/in-context-learning-and-induction-heads/index.html"
claims.expect(
    "I2", "interpretability maps behaviour onto circuits",
    source=Source("Elhage et al. 2021, A Mathematical Framework for Transformer Circuits",
                  "induction heads", FRAMEWORK),
    published="previous-token head → keys → induction head → output",
    criterion="with each of five seeds every arrow, cut, costs over 4 nats and its control under 0.2, "
              "and so does taking out the two best previous-token heads; partly: the arrows only",
    holds=lambda x: min(x[0], x[2]) > 4 and x[1] < 0.2,
    partly=lambda x: x[0] > 4 and x[1] < 0.2,
)
claims.expect(
    "I7", "induction heads appear suddenly",
    source=Source("Olsson et al. 2022, In-context Learning and Induction Heads",
                  "the phase change", IN_CONTEXT),
    published="suddenly, together with a drop of the loss",
    criterion="with each of five seeds score and loss need under 2 times the steps for 80 % of the way "
              "that they need for 20 % (steady growth: 4), and are half-way within 20 % of each other",
    holds=lambda x: max(x[0], x[1]) < 2 and x[2] < 0.2,
)
claims.expect(
    "I5", "understanding parts does not give the whole (emergence)",
    source=Source("Olah et al. 2020, Zoom In; Schaeffer et al. 2023, Are Emergent Abilities … a Mirage?",
                  "circuits; metrics", "https://arxiv.org/abs/2304.15004"),
    published="parts do not add up; a harsh metric can make a jump",
    criterion="with each of five seeds a sum over heads explains under 0.5 of the harm of other sets, "
              "read from the intact model and fitted, too; measured exact match is p to the 16 within "
              "0.1; partly: only the sum from the intact model fails",
    holds=lambda x: max(x[0], x[1]) < 0.5 and x[2] < 0.1,
    partly=lambda x: x[0] < 0.5 and x[2] < 0.1,
)
claims.criteria()


# %% [markdown]
# ## Scores for heads
#
# **Question.** A large model has thousands of heads. Which number replaces a look at each picture?
#
# A head does **prefix matching** if it looks at the token that came after an earlier copy of the current one, as if to say: last
# time it went on like this. The **induction-head score** of a head is the share of its attention that goes to such tokens.
#
# ### Exercise 1 · the induction-head score
#
# *Difficulty 2 of 3 · 12 minutes*
#
# `circuits.reading.earlier_copies(ids)` is ready: (B, T, T), True in row *t* and column *s* where *s* < *t* held the same
# token; it raises the `ValueError`. The dots in (B, ..., T, T) are any dimensions, such as heads.

# %% tags=["exercise"]
def induction_score(pattern: Tensor, ids: Tensor) -> Tensor:
    """How much a head looks at what came next the last times its token was there.

    That is from t to s + 1, where s < t had t's token. The attention is summed over these s,
    and averaged over all t whose token came before.
    Shapes: pattern (B, ..., T, T), ids (B, T) -> (...), over all of the batch.
    Raises: ValueError where no token comes twice.
    Source: Olsson et al. 2022, "In-context Learning and Induction Heads", prefix matching.

    >>> pattern = torch.tensor([[[1.0, 0.0, 0.0], [0.5, 0.5, 0.0], [0.1, 0.9, 0.0]]])
    >>> induction_score(pattern, torch.tensor([[7, 5, 7]]))  # the second 7 looks at the 5
    tensor(0.9000)
    """
    ...


# %% tags=["check"]
induction_score = check("induction.induction_score", induction_score)
# hint("induction.induction_score")
# solution("induction.induction_score")

# %% [markdown]
# Random words, repeated three times, can only be continued by looking back. The storyteller of lesson 14 has 16 heads.

# %% tags=["display"]
# @title Predict: the storyteller's heads
predict(
    "induction.teller",
    "On repeated random words, how many of the storyteller's 16 heads give over 0.3 of their attention "
    "to what came after an earlier copy?",
    ["none", "one or two", "most"],
)

# %%
teller = storyteller()
words = torch.randint(1, 400, (16, 40), generator=generator(0)).repeat(1, 3)  # (B, T)
teller_scores = circuits.head_scores(teller, words, induction_score)  # (L, H)
print(f"highest of {teller_scores.numel()} scores: {teller_scores.max():.2f}")

# %% tags=["display"]
# @title Measured: the storyteller's heads
assert teller_scores.max() < 0.25
reveal("induction.teller", "none")

# %% [markdown]
# Its stories can be told without: names repeat in places that grammar announces. So you grow a model whose texts need
# induction, and only that.
#
# ## Grow it
#
# **Question.** What must work together? One head is not enough: it can find the earlier copy, but the answer stands one
# place *after* that. Here is the proposal of Elhage and others (2021).

# %% tags=["display"]
# @title The circuit, as proposed
d = Diagram()
before = d.box("the token before", -4.8, 0, width=3.4, color="yellow")
current = d.box("the current token", 0, 0, width=3.4, color="yellow")
looked_at = d.box("the token looked at", 4.8, 0, width=3.8, color="yellow")
previous = d.box("layer 0: previous-token head", -4.8, 2.2, width=5.4, color="sky")
match = d.box("layer 1: does a key match?", 0, 4.4, width=5.0, color="orange")
copy = d.box("layer 1: copy", 2.4, 6.6, width=3.4, color="orange")
out = d.box("next token", 2.4, 8.6, width=3.4, color="green")
d.arrow(before, previous)
d.arrow(previous, match, "1 · keys")
d.arrow(current, match, "2 · queries")
d.arrow(looked_at, copy, "3 · values")
d.arrow(match, copy, "where")
d.arrow(copy, out)
d.picture(
    "A previous-token head of layer 0 writes into each position which token stood before. Arrow 1: the "
    "keys of layer 1 read this. Arrow 2: the queries read the current token. Arrow 3: where they match, "
    "the values carry the token there to the output."
)


# %% [markdown]
# A text is a block of different random tokens that repeats; the length of the block is its *period*.
#
# ### Exercise 2 · texts that repeat
#
# *Difficulty 2 of 3 · 12 minutes*

# %% tags=["exercise"]
def repeated_sequences(
    n: int, T: int, vocab_size: int, periods: tuple[int, int], generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Draw sequences that repeat: a block of different random tokens, again and again, up to T
    tokens.

    Each sequence has a block and a period (the block's length) of its own; the period is drawn
    evenly from periods[0] to periods[1], both included.
    Shapes: -> ids (n, T) and periods (n,), whole numbers.
    Raises: ValueError unless 1 <= periods[0] <= periods[1] <= vocab_size.

    >>> ids, period = repeated_sequences(2, 7, 10, (3, 3), torch.Generator().manual_seed(0))
    >>> period, torch.equal(ids[:, :4], ids[:, 3:])
    (tensor([3, 3]), True)
    """
    ...


# %% tags=["check"]
repeated_sequences = check("induction.repeated_sequences", repeated_sequences)
# hint("induction.repeated_sequences")
# solution("induction.repeated_sequences")

# %% [markdown]
# Three models without MLPs, on your texts of 48 tokens out of 64. The loss counts where a token was there before.
# `periods` are the least and the greatest.

# %% tags=["display"]
# @title Predict: who learns?
predict(
    "induction.learns",
    "Two layers with periods 8 to 24, one layer with the same, and two layers with the period 16 alone. "
    "Which get a loss under 0.1 nats?",
    ["all three", "both with two layers", "only two layers with many periods", "only the fixed period"],
)


# %%
def grow(n_layer, periods, steps):
    model = induction.attention_only(n_layer, generator=generator(0)).eval()
    return model, induction.grow(model, periods, steps, texts=repeated_sequences)


model, run = grow(2, (8, 24), 700)
one_layer, one_run = grow(1, (8, 24), 400)
fixed, fixed_run = grow(2, (16, 16), 300)

# %% tags=["display"]
# @title Measured: loss and scores
runs = {"two layers": run, "one layer": one_run, "one period": fixed_run}
fig, axes = subplots(1, 3, figsize=(11, 3.8), sharey=True)
for ax, (name, r) in zip(axes, runs.items(), strict=True):
    ax.plot(r.steps, r.loss / r.loss[0], color=COLORS["black"], label="loss, as a share")
    scores = r.previous.flatten(1).amax(-1), r.induction.flatten(1).amax(-1)  # (S,) each
    ax.plot(r.steps, scores[0], "--", color=COLORS["orange"], label="best previous-token score")
    ax.plot(r.steps, scores[1], "-.", color=COLORS["blue"], label="best induction-head score")
    ax.set(title=name, xlabel="step", ylim=(0, 1.05))
axes[0].set_ylabel("share, or score")
fig.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
end = {name: r.loss[-1].item() for name, r in runs.items()}
assert max(end["two layers"], end["one period"]) < 0.05 and end["one layer"] > 2
assert run.previous[-1, 0].max() > 0.3 > 0.2 > fixed_run.previous[-1].max()
assert fixed_run.induction[-1, 0].max() > 0.5
show(fig, "Two layers learn, one does not; only many periods give a previous-token head.")
reveal("induction.learns", "both with two layers")


# %% [markdown]
# One layer fails. With a single period two layers succeed *without* a previous-token head: we come back to that model.
#
# **Move the step** for the heads of both layers. Where does the stripe of a head of layer 0 *end*?

# %% tags=["display"]
# @title The attention of a head, over training
def emergence_view(step, head):
    k = run.steps.index(step)
    layer, h = map(int, head.split("."))
    fig, (left, right) = subplots(1, 2, figsize=(10, 4.2))
    left.imshow(run.patterns[k, layer, h], cmap="Blues", vmin=0, vmax=1)
    left.set(title=f"head {head} at step {step}", xlabel="is looked at", ylabel="looks")
    left.grid(False)
    curves = run.previous[:, layer, h], run.induction[:, layer, h]
    right.plot(run.steps, curves[0], "--", color=COLORS["orange"], label="previous token")
    right.plot(run.steps, curves[1], "-.", color=COLORS["blue"], label="induction")
    right.axvline(step, color=COLORS["vermillion"], linewidth=1)
    right.set(xlabel="step", ylabel="score", ylim=(0, 1.05))
    right.legend()
    alt = f"Head {head} at step {step}: previous-token score {curves[0][k]:.1f}, induction score "
    return Picture(fig, alt + f"{curves[1][k]:.1f}; on the right the scores over training.")


heads = [f"{layer}.{h}" for layer, h in induction.all_heads(model)]
best = f"0.{induction.previous_heads(run)[0][1]}"
explore(
    emergence_view,
    step=widgets.SelectionSlider(options=run.steps, value=200, description="step"),
    head=widgets.Dropdown(options=heads, value=best, description="head"),
)


# %% [markdown]
# ## Read it from the weights
#
# **Question.** Patterns show where a head looks on *these* texts. What do its weights say, without any text?
#
# The **query-key circuit** (QK circuit) of a head is the table that says, for each pair of tokens, how strongly the one looks for the other. The **output-value circuit** (OV circuit)
# of a head is the table that says which tokens it raises where it looks at a token. Where a later head reads what an earlier
# one wrote, that is **composition**. For arrow 1 the token goes through the earlier head's OV circuit into the keys.
#
# Copying means: a token raises itself. An eigenvector of a table is a mix of tokens which the table gives back, scaled by
# its eigenvalue; if that is positive, the mix is raised.
#
# ### Exercise 3 · the copying score
#
# *Difficulty 2 of 3 · 6 minutes*

# %% tags=["exercise"]
def copying_score(circuit: Tensor) -> Tensor:
    """Say how much a circuit raises a token itself: the sum of its eigenvalues over the sum of their
    sizes.

    It is 1 where every eigenvalue is positive, near 0 for a random matrix, and -1 where all are
    negative. Eigenvalues may be complex; the sum is real, and a size is an absolute value.
    Shapes: circuit (V, V) -> a number, a tensor without dimensions.
    Raises: ValueError unless the circuit is square. Source: Elhage et al. 2021, "Summarizing OV/QK
    Matrices".

    >>> copying_score(torch.tensor([[2.0, 5.0], [0.0, 2.0]]))
    tensor(1.)
    >>> copying_score(torch.tensor([[0.0, 1.0], [1.0, 0.0]]))  # 1 and -1
    tensor(0.)
    """
    ...


# %% tags=["check"]
copying_score = check("induction.copying_score", copying_score)
# hint("induction.copying_score")
# solution("induction.copying_score")

# %% [markdown]
# The mean over the four heads of layer 1. The `pair` are the two heads of layer 0 with the best previous-token score, the
# `others` the two which are left.

# %%
order = induction.previous_heads(run)
pair, others = order[:2], order[2:]
layer1 = [(1, h) for h in range(4)]
untrained = induction.attention_only(2, generator=generator(0))


def mean_score(tables):
    return torch.stack([copying_score(table) for table in tables]).mean().item()


for name, m in (("trained", model), ("untrained", untrained)):
    ov = mean_score(induction.ov_circuit(m, head) for head in layer1)
    qk = mean_score(induction.qk_circuit(m, head, pair) for head in layer1)
    print(f"{name}: OV {ov:.1f}, QK through the pair {qk:.1f}")

# %% [markdown]
# The OV circuits copy, and the QK circuits match equal tokens. Now the control: the QK circuits through the `others`.

# %% tags=["display"]
# @title Predict: the control
predict(
    "induction.control",
    "The copying score of the QK circuits through the `others`, which hardly look at the token before, "
    "is …",
    {"below 0.3, as untrained": (-1, 0.3), "in between": (0.3, 0.9),
     "above 0.9, as through the pair": (0.9, 1.01)},
)

# %%
through_others = mean_score(induction.qk_circuit(model, head, others) for head in layer1)

# %% tags=["display"]
# @title Measured: circuits of one head, and the control
tables = {
    "OV": induction.ov_circuit(model, (1, 0)),
    "QK through the pair": induction.qk_circuit(model, (1, 0), pair),
    "QK through the others": induction.qk_circuit(model, (1, 0), others),
}
fig, axes = subplots(1, 3, figsize=(11, 3.9))
for ax, (name, table) in zip(axes, tables.items(), strict=True):
    most = (tables["OV"] if name == "OV" else tables["QK through the pair"]).abs().max()
    ax.imshow(table, cmap="RdBu", vmin=-most, vmax=most)
    labels = ("is raised", "is looked at") if name == "OV" else ("was written", "looks")
    ax.set(title=name, xlabel=f"token that {labels[0]}", ylabel=f"token that {labels[1]}")
    ax.grid(False)
of_seeds = [r["summary"]["QK, others"] for r in seeds]
strength = [(r["summary"]["QK strength"], r["summary"]["QK strength, others"]) for r in seeds]
ratio = [a / b for a, b in strength]
assert min(of_seeds) > 0.9 and through_others > 0.9 and min(ratio) > 2
show(fig, "The diagonal stands out in OV and in QK through the pair, and hardly through the others.")
display(reveal("induction.control", through_others, ".1f"))
print(f"five seeds: through the others at least {min(of_seeds):.2f}")
print(f"the diagonal through the pair is {min(ratio):.1f} to {max(ratio):.1f} times as strong")


# %% [markdown]
# The control *fails*: this score does not tell the heads apart. It forgets strength, and a table of tokens knows nothing of
# positions. Through the pair the diagonal is stronger; but that a head looks one place back is in its attention, not here.
# Weights propose a circuit. Only interventions tell.
#
# ## Cut it
#
# **Question.** Does the model *use* what these heads write?
#
# An **ablation** takes a part out, to see what is lost. A 0 in its place may be new to later layers. With **mean ablation** the part says what it
# says on average over many texts, so that it tells nothing about *this* text.
#
# ### Exercise 4 · mean ablation
#
# *Difficulty 1 of 3 · 6 minutes*
#
# `z` is what all heads of a layer give, before they are merged.

# %% tags=["exercise"]
def mean_ablate(z: Tensor, heads: Sequence[int]) -> Tensor:
    """Replace what some heads give by their mean over the sequences, position by position.

    The heads then say the same whatever the sequence is: what they say on average stays.
    Shapes: z (B, H, T, d), heads: their numbers from 0 -> (B, H, T, d); z stays as it is.
    Raises: ValueError for a head that is not there. Source: Wang et al. 2022, section 2.1.

    >>> z = torch.tensor([[[[1.0]], [[2.0]]], [[[5.0]], [[8.0]]]])  # two sequences, two heads
    >>> mean_ablate(z, [1]).flatten().tolist()
    [1.0, 5.0, 5.0, 5.0]
    """
    ...


# %% tags=["check"]
mean_ablate = check("induction.mean_ablate", mean_ablate)
# hint("induction.mean_ablate")
# solution("induction.mean_ablate")

# %% [markdown]
# `induction.harm` is the rise of the loss when heads are taken out together.

# %% tags=["display"]
# @title Predict: one head of layer 1
predict(
    "induction.alone",
    "You take out one head of layer 1, alone. The loss rises at most by …",
    {"under 0.1 nats": (-1, 0.1), "0.1 to 2 nats": (0.1, 2), "over 2 nats": (2, 50)},
)

# %%
test = induction.repeat_batches(64, 48, 64, (8, 24), repeated_sequences)(generator(5))
alone = [induction.harm(model, test, [head], mean_ablate) for head in layer1]
groups = {"pair": pair, "others": others, "three best": order[:3], "layer 1": layer1}
harms = {name: induction.harm(model, test, group, mean_ablate) for name, group in groups.items()}

# %% tags=["display"]
# @title Measured: heads taken out
KEYS = {"pair": "two out", "others": "others out", "three best": "three out", "layer 1": "layer 1 out"}
fig, ax = subplots(figsize=(9, 3.6))
marks = "osD^v"
for r, mark in zip(seeds, marks, strict=True):
    values = [r["summary"][k] for k in KEYS.values()]
    ax.plot(values, range(4), mark, markersize=9, label=f"seed {r['seed']}")
ax.plot(harms.values(), range(4), "x", color=COLORS["black"], markersize=11, label="yours")
ax.set(yticks=range(4), yticklabels=KEYS, xlabel="rise of the loss (nats)", ylim=(3.5, -0.5))
fig.legend(loc="outside right upper")
spread = {name: [r["summary"][k] for r in seeds] for name, k in KEYS.items()}
for name, values in spread.items():  # the live run lies among the recorded ones, widened by half
    assert min(values) / 2 - 0.1 <= harms[name] <= 1.5 * max(values) + 0.1
assert max(alone) < 0.1 and max(spread["others"]) < 0.1 and min(spread["three best"]) > 4
assert spread["pair"][3] < 3 < 4 < min(spread["pair"][:3])
show(fig, "The pair is vital with four seeds; seed 3 loses much only when three heads go.")
display(reveal("induction.alone", max(alone), ".1f"))
print("previous-token scores of layer 0, sorted:")
for r in seeds:
    print(f"seed {r['seed']}: " + ", ".join(f"{x:.2f}" for x in r["summary"]["previous"]))

# %% [markdown]
# No single head of layer 1 is missed: the four stand in for each other. And seed 3 grew *another circuit*: three heads of
# its layer 0 look back, so that the loss of two is partly made good by the third. "Two heads" is one way to build it.
#
# **Now every arrow.** *Arrow 1*: one of queries, keys and values of layer 1 is computed as if layer 0 were mean-ablated. The
# keys are the cut, the other two its control. *Arrows 2 and 3*: the queries, or the values, come from another text. Their control: the same
# queries, or values, without layer 0, so that only the token remains.

# %% tags=["display"]
# @title Predict: which arrow needs layer 0?
predict(
    "induction.reads",
    "Layer 0 is missed by only one reader in layer 1. When does the loss rise by over 1 nat?",
    ["missed by the queries", "missed by the keys", "missed by the values", "by each of them"],
)

# %%
missed = {x: induction.harm_through(model, test, order, x) for x in "qkv"}
swapped = {x: induction.harm_swapped(model, test, x) for x in "qkv"}

# %% tags=["display"]
# @title Measured: each arrow and its control
rows = {"layer 0 missed": ("layer 0 through", missed), "of another text": ("swapped", swapped)}
print(f"{'nats, five seeds':18}{'queries':>16}{'keys':>16}{'values':>16}")
for name, (key, live) in rows.items():
    of = {x: [r["summary"][f"{key} {x}"] for r in seeds] for x in "qkv"}
    assert all(min(v) / 2 - 0.2 < live[x] < 1.5 * max(v) + 0.2 for x, v in of.items())
    shown = [f"{abs(min(v)):.1f} to {abs(max(v)):.1f}" for v in of.values()]
    print(f"{name:18}" + "".join(f"{text:>16}" for text in shown))
arrows = [r["summary"][k] for r in seeds for k in ("layer 0 through k", "swapped q", "swapped v")]
controls = [abs(r["summary"][k]) for r in seeds
            for k in ("layer 0 through q", "layer 0 through v", "others through k")]
claims.measure(
    "I2", [min(arrows), max(controls), min(spread["pair"])],
    shown=f"each arrow cut: at least {min(arrows):.1f} nats; each control: at most {max(controls):.1f}; "
          f"the best two heads out: {min(spread['pair']):.1f} to {max(spread['pair']):.1f}",
    reason="The arrows hold with every seed, the number of heads does not: with one of five seeds three "
           "heads share the first arrow.",
)
assert missed["k"] > 4 and max(missed["q"], missed["v"]) < 0.2
reveal("induction.reads", "missed by the keys")

# %% [markdown]
# Layer 0 matters through the keys alone (*K-composition*). Queries and values read the tokens: another text's are ruinous,
# and without layer 0 they are as good as ever. Does arrow 3 *copy*? If the values come from another text, the model should say what
# stands in *that* text at the place where it looks.

# %%
texts, _ = repeated_sequences(64, 48, 64, (12, 12), generator(6))  # one period: places agree
with circuits.patched(model, {"h.1.attn.c_attn": lambda x: induction.swapped(x, "v")}):
    said = model(texts).argmax(-1)[:, 12:]  # (B, 36)
other = texts.roll(1, 0)
copied = (said == other[:, 1:-11]).float().mean().item()
own = (said == texts[:, 1:-11]).float().mean().item()
print(f"share of the other text's token: {copied:.1f}; of its own: {own:.1f}")

# %% tags=["display"]
# @title Copied from the other text
fig, ax = subplots(figsize=(6, 1.9))
names = ["the other text's token", "its own text's token"]
ax.barh(names, [copied, own], color=COLORS["blue"], height=0.5)
ax.set(xlabel="share of positions", xlim=(0, 1))
assert copied > 0.9 and own < 0.2
show(fig, "With another text's values the model says the other text's token.")

# %% [markdown]
# ## A score can lie
#
# **Question.** The model with one period has a high induction-head score even in layer 0. Has it a shorter circuit?

# %%
always_16, _ = repeated_sequences(64, 48, 64, (16, 16), generator(6))
lying = circuits.head_scores(fixed, always_16, induction_score)[0].max()
print(f"best score in layer 0 of the model with one period: {lying:.1f}")

PERIODS = (4, 8, 12, 16, 20, 24, 32)
right = {"8 to 24": [], "16 alone": []}
for p in PERIODS:
    batch = induction.repeat_batches(64, 48, 64, (p, p), repeated_sequences)(generator(6))
    for grown, found in zip((model, fixed), right.values(), strict=True):
        found.append(induction.look(grown, batch)["accuracy"].item())

# %% tags=["display"]
# @title Measured: other periods
fig, ax = subplots(figsize=(8, 3.4))
for (name, values), style in zip(right.items(), ("o-", "s--"), strict=True):
    ax.plot(PERIODS, values, style, label=f"trained on {name}")
ax.set(xlabel="period", ylabel="accuracy", ylim=(-0.03, 1.05), xticks=PERIODS)
fig.legend(loc="outside upper center", ncols=2)
assert min(right["8 to 24"]) > 0.95 and right["16 alone"][3] > 0.95
assert max(right["16 alone"][i] for i in (2, 4, 5)) < 0.5
show(fig, "The first model is right at every period tried, the second not at 12, 20 and 24.")

# %% [markdown]
# The second model looks a fixed number of places back, whatever stands there. With the period 16 that *is* the place after
# the earlier copy. A score says what a head looks at on *some* texts, not why.
#
# ## Predict where it breaks
#
# **Question.** In the view the stripe of the previous-token head ended. Here is its height for both heads of the pair.

# %%
where = "h.0.attn.pattern"
pattern = circuits.activations(model, test[0], [where])[where]  # (B, H, T, T)
stripe = pattern.diagonal(-1, dim1=-2, dim2=-1).mean(0)  # (H, T - 1)

# %% tags=["display"]
# @title The stripe ends
fig, ax = subplots(figsize=(8, 3.2))
for (_, h), style in zip(pair, ("-", "--"), strict=True):
    ax.plot(range(1, 48), stripe[h], style, label=f"head 0.{h}")
ax.axvline(24, color=COLORS["vermillion"], linewidth=1)
ax.set(xlabel="position that looks", ylabel="attention one back", ylim=(0, 1.05))
ax.legend()
assert stripe[pair[0][1], :20].mean() > 0.8 and stripe[pair[0][1], 30:].mean() < 0.3
show(fig, "The pair looks at the token before up to about position 24, the line, and not later.")
predict(
    "induction.late",
    "A block of 12 begins at position 24, after other tokens, and repeats. The loss is …",
    {"near 0": (-1, 1), "about 4.2, as guessing": (1, 6), "far above guessing": (6, 100)},
)


# %% [markdown]
# In training no block was longer than 24, so that all first copies lay before that. The circuit diagram does not say that
# the model stops there; the picture does. If this is the *cause*, then making the pair look back late, too, must mend it.
#
# ### Exercise 5 · the rescue
#
# *Difficulty 2 of 3 · 8 minutes*

# %% tags=["exercise"]
def look_back(pattern: Tensor, heads: Sequence[int], start: int) -> Tensor:
    """Force some heads to look at the token before, from a position on.

    Their rows from `start` on have 1 at the column before and 0 elsewhere; all else stays.
    Shapes: pattern (B, H, T, T), the row looks -> (B, H, T, T); the pattern stays as it is.
    Raises: ValueError for a head that is not there, and for a start below 1: position 0 has nothing
    before it.

    >>> pattern = torch.full((1, 1, 3, 3), 1 / 3).tril()
    >>> look_back(pattern, [0], 2)[0, 0, 2]
    tensor([0., 1., 0.])
    """
    ...


# %% tags=["check"]
look_back = check("induction.look_back", look_back)
# hint("induction.look_back")
# solution("induction.look_back")

# %% [markdown]
# Your function at work: from position 24 on, the pair must look back. The control forces the `others`.

# %%
def late(which=()):
    forced = [h for _, h in which]
    change = {where: lambda x: look_back(x, forced, 24)} if forced else {}
    return induction.late_losses(model, change)


broken, rescued, control = late(), late(pair), late(others)
for row in zip(induction.STARTS, broken, rescued, control, strict=True):
    print("start {}: {:.0f} nats, pair forced {:.0f}, others forced {:.0f}".format(*row))

# %% tags=["display"]
# @title Measured: broken, and rescued
fig, axes = subplots(1, 3, figsize=(11, 3.5), sharey=True)
parts = {"as it is": ("late", broken), "pair looks back": ("late, rescued", rescued),
         "others look back": ("late, others forced", control)}
for ax, (name, (key, live)) in zip(axes, parts.items(), strict=True):
    for r, mark in zip(seeds, marks, strict=True):
        ax.plot(induction.STARTS, r["summary"][key], f"{mark}:", label=f"seed {r['seed']}")
    ax.plot(induction.STARTS, live, "x-", color=COLORS["black"], label="yours")
    ax.axhline(math.log(64), color=COLORS["black"], linewidth=1, linestyle=":")
    ax.set(title=name, xlabel="start of the block", xticks=induction.STARTS)
axes[0].set_ylabel("loss (nats)")
fig.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=6)
at = {key: [r["summary"][key][-1] for r in seeds] for key, _ in parts.values()}
assert min(at["late"]) > 10 and max(at["late, rescued"]) < 0.5
assert min(at["late, others forced"]) > 4 and broken[-1] > 6 and rescued[-1] < 0.5 and control[-1] > 4
show(fig, "Late blocks fail with every seed; forcing the pair mends it, forcing the others does not.")
display(reveal("induction.late", broken[-1], ".0f"))
for key, values in parts.items():
    early_start, last = ([r["summary"][values[0]][k] for r in seeds] for k in (3, 4))
    print(f"{key}: start 18 {min(early_start):.2f} to {max(early_start):.2f} nats, "
          f"start 24 {min(last):.2f} to {max(last):.2f}")

# %% [markdown]
# The model is then not ignorant but *sure of something false*: the loss is far above guessing (the dotted line). The rescue is the decisive test: a
# change in one thing restores everything else. With seed 3 the `others` help in part, as one of them does the same job.
#
# ## Sudden or not?
#
# **Question.** The loss falls within a part of the run. A longer run makes that part smaller, so it measures nothing.
# `grokking.suddenness` divides the step at which a curve has made 0.8 of its way by the step for 0.2. A jump has 1, steady growth 4.

# %% tags=["display"]
# @title Predict: how sudden?
predict(
    "induction.sudden",
    "For the induction-head score, over five seeds, the largest ratio is …",
    {"under 1.3": (1, 1.3), "1.3 to 2": (1.3, 2), "2 to 4": (2, 4), "4 or more": (4, 100)},
)


# %%
def timing(row):
    """Suddenness, and the step of half of the way, for score and loss."""
    loss = row["curves"]["loss"]
    curves = row["curves"]["induction"], [1 - x / loss[0] for x in loss]
    ratio = [grokking.suddenness(row["steps"], c) for c in curves]
    return ratio, [grokking.reaches(row["steps"], c, 0.5) for c in curves]


for row in seeds:
    (score, loss), half = timing(row)
    steps = " and ".join(f"{x:.0f}" for x in half)
    print(f"seed {row['seed']}: score {score:.2f}, loss {loss:.2f}; half-way at {steps}")
for row in grokking.recorded(1.0):
    ratio = grokking.suddenness(row["steps"], row["curves"]["new pairs"])
    print(f"grokking, seed {row['seed']}: {ratio:.2f}")

# %% tags=["display"]
# @title Measured: how sudden
ratios, halves = zip(*map(timing, seeds), strict=True)
worst = [max(r[0] for r in ratios), max(r[1] for r in ratios)]
apart = max(abs(a / b - 1) for a, b in halves)
mine = timing({"steps": run.steps, "curves": {"induction": run.induction[:, 1].amax(-1).tolist(),
                                              "loss": run.loss.tolist()}})[0]
grok = [grokking.suddenness(r["steps"], r["curves"]["new pairs"]) for r in grokking.recorded(1.0)]
of_kind = zip(zip(*ratios, strict=True), mine, strict=True)
assert all(min(x) - 0.25 < y < max(x) + 0.25 for x, y in of_kind)
assert max(grok) < min(r[0] for r in ratios)
claims.measure(
    "I7", [*worst, apart],
    shown=f"with five seeds 0.8 after at most {worst[0]:.2f} (score) and {worst[1]:.2f} (loss) times "
          f"the steps of 0.2; half-way at most {apart:.0%} apart",
)
reveal("induction.sudden", worst[0])

# %% [markdown]
# Faster than steady growth, together with the loss: sudden by the criterion. Grokking (lesson 17) is more sudden with each of its seeds.
#
# ## From the parts to the whole
#
# <!-- speaker: This is the lecture's second hard point: reductionism. Let the class bet before the figure: do they trust single ablations? -->
# **Question.** Each head's harm alone is known. What happens when *several* go?
#
# A theory that is **additive** sums an effect for each head; a richer one adds an effect for each pair. The effects can come from the intact
# model (take out one, take out two), or be *fitted* to half of all 2⁸ = 256 sets of heads. Both are tested on the other
# half. R² is the share of the differences explained: 1 is perfect, below 0 is worse than the plain mean.

# %% tags=["display"]
# @title Predict: adding up
predict(
    "induction.additive",
    "R² of adding up the harms of single heads, read from the intact model:",
    {"below 0": (-100, 0), "0 to 0.5": (0, 0.5), "0.5 to 0.8": (0.5, 0.8), "above 0.8": (0.8, 1.01)},
)

# %%
small = induction.repeat_batches(32, 48, 64, (8, 24), repeated_sequences)(generator(8))
found, told = induction.theories(model, small)  # the 128 sets that nothing was fitted to
scores = {name: induction.explained(found, values) for name, values in told.items()}

# %% tags=["display"]
# @title Measured: four theories
fig, axes = subplots(2, 2, figsize=(10.5, 6.8), sharex=True, sharey=True)
for ax, (name, values) in zip(axes.flat, told.items(), strict=True):
    ax.plot(values, found, "o", color=COLORS["blue"], alpha=0.35, markersize=5)
    ax.plot([0, 14], [0, 14], color=COLORS["black"], linewidth=1)
    ax.set(title=name.replace(", ", ",\n"))
for ax in axes[1]:
    ax.set_xlabel("predicted harm (nats)")
for ax in axes[:, 0]:
    ax.set_ylabel("measured (nats)")
r2 = {name: [r["R2"][name] for r in seeds] for name in told}
naive, fitted, naive_pairs, fitted_pairs = r2.values()
assert all(min(v) - 0.3 < scores[name] < max(v) + 0.3 for name, v in r2.items())
assert max(naive) < 0.3 and min(fitted) > 0.5 and min(fitted_pairs) > 0.8
assert all(a < b < c for a, b, c in zip(naive, fitted, fitted_pairs, strict=True))
show(fig, "Sums from single ablations miss; fitted sums come nearer, and with pairs near the line.")
for name, values in r2.items():
    print(f"{name:40} R² {min(values):5.2f} to {max(values):.2f} with five seeds")
reveal("induction.additive", naive[0], ".1f")

# %% [markdown]
# Adding up what single ablations cost explains next to nothing: in the intact model the heads stand in for each other. But
# an additive theory is not as poor as that: *fitted*, it explains more than half, and with pairs most. What failed is
# reading the effects from the intact model alone.
#
# ## The metric, or the model?
#
# **Question.** An answer of 16 tokens is an exact match if all are right: p to the 16 if each is right with chance p,
# independently. Schaeffer and others (2023): this alone can make a jump of something smooth. Does it here? First 16 models that only learn facts by heart, of growing width; their lists of 16 facts are fixed.

# %%
widths = list(range(2, 34, 2))
log_p = grokking.memorise(widths, generator=generator(0))  # (M, 256, V), right answers first
known = log_p.argmax(-1) == 0  # (M, 256)
soft = 1 + log_p[..., 0].mean(-1) / math.log(64)  # 0 for guessing, 1 for certainty
lists = known.view(-1, 16, 16).all(-1).float().mean(-1)  # (M,), 16 lists of 16 facts each
for name, values in (("log-likelihood", soft), ("exact match of 16", lists)):
    print(f"over widths, {name}: {grokking.suddenness(widths, values):.1f}")

# %% [markdown]
# Smooth in one metric, a jump in the other: there it was the metric. Now our grown models over training. Exact match is
# of each text's first 16 known tokens, *measured*; p is the accuracy on the same tokens, or on all.

# %% tags=["display"]
# @title Predict: exact match in training
predict(
    "induction.exact",
    "With five seeds, how far is measured exact match from p to the 16, where p is the accuracy on the "
    "same tokens?",
    {"under 0.1": (0, 0.1), "0.1 to 0.3": (0.1, 0.3), "over 0.3": (0.3, 1)},
)


# %%
def gaps(curves):
    names = ("exact match", "early accuracy", "accuracy")
    exact, same, every = (torch.tensor(curves[k]) for k in names)
    return [(exact - p**16).abs().max().item() for p in (same, every)]


for row in seeds:
    same, every = gaps(row["curves"])
    ratio = grokking.suddenness(row["steps"], row["curves"]["exact match"])
    print(f"seed {row['seed']}: off by {same:.2f} (all tokens: {every:.2f}); suddenness {ratio:.1f}")

# %% tags=["display"]
# @title Measured: exact match, and p to the 16
fig, ax = subplots(figsize=(8.5, 3.6))
exact = (run.streaks >= 16).double().mean(-1)
ax.plot(run.steps, exact, "o", color=COLORS["vermillion"], label="exact match, measured")
ax.plot(run.steps, run.early**16, color=COLORS["blue"], label="p to the 16, same tokens")
ax.plot(run.steps, run.accuracy**16, "--", color=COLORS["orange"], label="p to the 16, all tokens")
ax.plot(run.steps, 1 - run.loss / run.loss[0], ":", color=COLORS["black"], label="log-likelihood, share")
ax.set(xlabel="step", ylabel="share", xlim=(0, 400))
ax.legend()
off, off_all = zip(*(gaps(r["curves"]) for r in seeds), strict=True)
mine_off = (exact - run.early**16).abs().max().item()
sharp = [grokking.suddenness(r["steps"], r["curves"]["exact match"]) for r in seeds]
assert max(off) < 0.1 and mine_off < 0.15 and min(off_all) > 0.15
assert all(a < r[1] < 2 for a, r in zip(sharp, ratios, strict=True))
claims.measure(
    "I5", [max(naive), max(fitted), max(off)],
    shown=f"R² of summed heads, five seeds: from the intact model {min(naive):.1f} to {max(naive):.1f}, "
          f"fitted {min(fitted):.1f} to {max(fitted):.1f}, with pairs {min(fitted_pairs):.1f} or more; "
          f"measured exact match is off p to the 16 by at most {max(off):.2f}",
    reason="The sum of single ablations fails, and a fitted sum explains over half: the parts say more "
           "than they show one at a time. The jump in training is there in a soft metric, too.",
)
show(fig, "Measured exact match follows p to the 16 of the same tokens, and all curves jump.")
reveal("induction.exact", max(off), ".2f")

# %% [markdown]
# On the same tokens the formula fits; with the accuracy on *all* tokens it does not, as late tokens are learned later. Exact match is the more sudden curve with
# every seed, and the log-likelihood jumps, too: a part is the metric's, a part is the model's.
#
# ### Exercise 6 · open: your own prediction
#
# Choose a change: three layers, periods from 8 to 12, or another seed. Before you run `grow`, write down which heads will be
# vital, where the stripe will end, and at which start the loss will leave 0. Name a result that would prove you wrong, and a control. Then
# measure with your own functions. There is no checker: compare with a neighbour.
#
# ## What we verified

# %% tags=["display"]
# @title Each claim with its source
claims.show()

# %% [markdown]
# Your predictions and exercises at a glance:

# %% tags=["progress"] slideshow={"slide_type": "skip"}
exercises.progress("induction")

# %% [markdown]
# **What this lesson leaves out.** With 8 heads all sets can be tried. Large models have thousands of heads, and MLPs between them; texts there do not
# repeat word by word, and induction heads match what is only similar. The circuits leave out the LayerNorm's division, biases and positions.
#
# ## Further reading
#
# - Olah and others 2020, [Zoom In: An Introduction to Circuits](https://distill.pub/2020/circuits/zoom-in/).
# - Elhage and others 2021, [A Mathematical Framework for Transformer Circuits](https://transformer-circuits.pub/2021/framework/index.html).
# - Olsson and others 2022, [In-context Learning and Induction Heads](https://transformer-circuits.pub/2022/in-context-learning-and-induction-heads/index.html).
# - Wang and others 2022, [Interpretability in the Wild](https://arxiv.org/abs/2211.00593): circuits in GPT-2 small.
