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
# **Can you grow a circuit, and predict where it breaks?** Two heads that work together let a model copy what it has seen once. You train a model until
# they appear, take them out, and say from the picture alone on which texts the model must fail.
#
# **Time.** Running: about one minute on CPU; no GPU is needed. Reading and exercises: about an hour.
#
# **What you will be able to do**
# - score heads by what they look at, and know when a score lies;
# - grow an induction circuit, and show by intervention that two heads work together;
# - make a prediction from a circuit, and test it.
#
# **Prerequisites.** Lessons 02 and 03 (attention, the residual stream) and 14 (patching).

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
# What this lesson builds stands finished in `course_utils.induction`. You build the main pieces here.

# %% tags=["imports"]
import math
from collections.abc import Sequence
from functools import partial

import ipywidgets as widgets
import torch
from torch import Tensor

from course_utils import circuits, exercises, grokking, induction
from course_utils.classroom import (
    COLORS, Claims, Picture, explore, generator, progress, show, subplots,
)
from course_utils.exercises import check, hint, solution
from course_utils.pretrained import storyteller
from course_utils.stories import VOCAB

claims = Claims("15")

# %% [markdown]
# The trained model of lesson 14, whose heads you score first:

# %%
teller = storyteller()
print(f"{teller.config.n_layer} blocks of {teller.config.n_head} heads")


# %% [markdown]
# ## Scores for heads
#
# **Question.** Sixteen pictures can be looked at. A large model has thousands of heads. Which numbers replace the glance?
#
# Three have become usual. *Previous token*: the mean attention from each position to the one before. *Duplicate token*: to earlier copies of the same token. *Induction*: to what came *after* an earlier copy, as if to say: last time it went on like this.
#
# ### Exercise 1 · the induction score
#
# *Difficulty 2 of 3 · 12 minutes*
#
# `ip.earlier_copies(ids)` is ready: (B, T, T), True in row *t* and column *s* where *s* < *t* held the same token (and a `ValueError` if there are no such places). The dots in (B, ..., T, T) stand for any dimensions, such as heads.

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
# The usual test text is random words, repeated: what was never learnt by heart can only be continued by looking back. **Predict**: which of the three kinds does the storyteller have?

# %%
rd_random = torch.randint(1, len(VOCAB), (16, 40), generator=generator(0)).repeat(1, 3)  # (B, T)
rd_scores = {
    "previous token": circuits.previous_token_score,
    "duplicate token": circuits.duplicate_token_score,
    "induction": circuits.induction_score,
}
rd_scores = {
    name: circuits.head_scores(teller, rd_random, score) for name, score in rd_scores.items()
}

# %% [markdown]
# A row for each layer, a column for each head:

# %%
fig, axes = subplots(1, 3, figsize=(10.5, 3.2), sharey=True)
for ax, (name, values) in zip(axes, rd_scores.items(), strict=True):
    image = ax.imshow(values, cmap="Blues", vmin=0, vmax=1, origin="lower", aspect="auto")
    ax.set(title=name, xlabel="head", xticks=range(4), yticks=range(4))
    ax.grid(False)
axes[0].set_ylabel("layer")
fig.colorbar(image, ax=axes, label="score")
assert max(values.max() for values in rd_scores.values()) < 0.3
show(fig, "The storyteller's heads on repeated random words: all three scores are low.")


# %% [markdown]
# All are low. The storyteller has no induction head, and no head that always looks one back. Its stories can be told without: what repeats in them are names and toys, in places that grammar announces. Heads are what the text needs. In the next section you grow a model whose text needs induction, and only that.
#
# ## An induction circuit, grown live
#
# <!-- speaker: Write "K F R B Q … K F R" on the board and ask what comes next. Then ask how they knew, step by step: everybody does two look-ups. -->
# **Question.** A text goes *K F R B Q K F R*. You expect *B*. Which parts of a transformer can do that, and do they have to work together?
#
# One head is not enough. At the second *R* it can look for an earlier *R*. But what it needs stands one place *after* that. The proposal (Elhage and others 2021) is a *circuit* of two heads. A *previous-token head* writes into each position which token
# stood just before. In a later layer, an *induction head* looks for the position that says "before me stood an *R*", and copies its token: *B*.
#
# We grow models that have to do this, and nothing else. A text is a *block* of different random tokens that repeats; the length of the block is its *period*.
#
# ### Exercise 2 · texts that repeat
#
# *Difficulty 2 of 3 · 12 minutes*
#
# Draw `n` texts of `T` tokens. Each has a period and a block of its own. Periods from the least to the greatest are equally likely, both ends included.

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
# Three models without MLPs, 4 heads a layer, texts of 48 tokens out of 64. The loss counts only where the token was there before: all else is chance.
#
# - **two layers**, periods drawn from 8 to 24;
# - **one layer**, the same texts;
# - **two layers, one period**: always 16.
#
# **Predict** which of them learn. Every 20 steps we look inside, with the scores from above. It takes about 25 seconds.

# %%
RANDOM, FIXED, STEPS = (8, 24), (16, 16), {"two layers": 700, "one layer": 700, "one period": 300}
ic_models, ic_runs = {}, {}
for name, steps in STEPS.items():
    ic_new = induction.attention_only(1 if name == "one layer" else 2, generator=generator(0))
    ic_periods = FIXED if name == "one period" else RANDOM
    ic_models[name], ic_runs[name] = ic_new.eval(), induction.grow(ic_new, ic_periods, steps)

# %% [markdown]
# First the loss.

# %%
fig, ax = subplots(figsize=(7.5, 3.3))
for name, run in ic_runs.items():
    ax.plot(run.steps, run.loss, label=name)
ax.set(xlabel="step", ylabel="loss (nats)")
ax.legend()
ic_end = {name: run.loss[-1].item() for name, run in ic_runs.items()}
assert max(ic_end["two layers"], ic_end["one period"]) < 0.05 and ic_end["one layer"] > 2
show(fig, "Two layers learn suddenly, one layer does not, one fixed period is learned first.")


# %% [markdown]
# Two layers learn it, and one does not: the circuit needs both. Now for each layer the scores of its best head.

# %%
def draw_scores(ax, run):
    best = {"previous": run.previous.amax(-1), "induction": run.induction.amax(-1)}  # (S, L) each
    for (what, values), color in zip(best.items(), ("orange", "blue"), strict=True):
        for layer, line in enumerate(("-", "--")[: values.size(1)]):
            label = f"{what}, layer {layer}"
            ax.plot(run.steps, values[:, layer], line, color=COLORS[color], label=label)


# %% [markdown]
# **Predict**: which model has a previous-token head?

# %%
fig, axes = subplots(1, 3, figsize=(11, 3.5), sharey=True)
for ax, (name, run) in zip(axes, ic_runs.items(), strict=True):
    draw_scores(ax, run)
    ax.set(title=name, xlabel="step", ylim=(0, 1.02))
axes[0].set_ylabel("best score")
fig.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
assert ic_runs["two layers"].previous[-1, 0].max() > 0.3 > 0.2 > ic_runs["one period"].previous[-1].max()
show(fig, "Only two layers with many periods get both a previous-token head and an induction head.")

# %% [markdown]
# With a single period even *layer 0* gets a high induction score, and the previous-token score stays low. What is that model doing? We come back to it.
#
# ### How sudden is it?
#
# **Predict**: the loss of the first model falls from 4.2 to nearly 0 in 700 steps. In what share of the steps does it go from 20 % to 80 % of the way?

# %%
ic_run = ic_runs["two layers"]
ic_when = {"loss": induction.rise(ic_run.steps, ic_run.loss),
           "induction score": induction.rise(ic_run.steps, ic_run.induction[:, 1].amax(-1)),
           "previous-token score": induction.rise(ic_run.steps, ic_run.previous[:, 0].amax(-1))}
ic_share = {name: math.ceil(20 * (b - a) / ic_run.steps[-1]) * 5 for name, (a, b) in ic_when.items()}
for name, share in ic_share.items():
    print(f"{name:<21} from 20 % to 80 % of its way within {share} % of the run")

# %% [markdown]
# Loss and induction score jump together, after a plateau. The previous-token head begins at the same time and goes on sharpening when the loss is down already.

# %%
ic_together = abs(ic_when["loss"][0] - ic_when["induction score"][0]) <= 40
claims.add(
    "I7", "induction heads appear suddenly",
    source="Olsson et al. 2022", published="suddenly, together with a drop of the loss",
    measured=f"20 % to 80 % of the score's rise within {ic_share['induction score']} % of the run, "
             f"of the loss's fall within {ic_share['loss']} %; at the same time: {ic_together}",
    holds=ic_together and max(ic_share["induction score"], ic_share["loss"]) <= 20,
)


# %% [markdown]
# ### A view of the emergence
#
# **Move the step** from 60 to 240 for a head of layer 1. Where do the bright stripes appear, and how far below the diagonal? Then look at the heads of layer 0: which of them have a stripe just below the diagonal? Where does it *end*?

# %%
def emergence_view(step, head):
    k, (layer, h) = ic_run.steps.index(step), map(int, head.split("."))
    fig, (left, right) = subplots(1, 2, figsize=(10, 4.2))
    left.imshow(ic_run.patterns[k, layer, h], cmap="Blues", vmin=0, vmax=1)
    left.set(title=f"head {head} at step {step}", xlabel="is looked at", ylabel="looks")
    left.grid(False)
    curves = ic_run.previous[:, layer, h], ic_run.induction[:, layer, h]
    right.plot(ic_run.steps, curves[0], color=COLORS["orange"], label="previous-token score")
    right.plot(ic_run.steps, curves[1], color=COLORS["blue"], label="induction score")
    share = ic_run.loss / ic_run.loss[0]
    right.plot(ic_run.steps, share, ":", color=COLORS["black"], label="loss, as a share")
    right.axvline(step, color=COLORS["vermillion"], linewidth=1)
    right.set(xlabel="step", ylim=(0, 1.05))
    right.legend()
    alt = f"Head {head} at step {step}: previous-token score {curves[0][k]:.1f}, induction score "
    return Picture(fig, alt + f"{curves[1][k]:.1f}; on the right the scores over training.")


explore(
    emergence_view,
    step=widgets.SelectionSlider(options=ic_run.steps, value=200, description="step"),
    head=widgets.Dropdown(options=[f"{a}.{h}" for a, h in induction.all_heads(ic_models["two layers"])],
                          value="1.3", description="head"),
)


# %% [markdown]
# ## Is it a circuit? Take a part out
#
# **Question.** The pictures look like the proposal. But looks are no proof: who says that the model *uses* what these heads write?
#
# An *ablation* takes a head out. One can put 0 in its place, but the layers after it may never have seen a 0 there. *Mean ablation* is gentler: the head says what it says on average over many texts, so that it tells nothing about *this* text.
#
# ### Exercise 3 · mean ablation
#
# *Difficulty 1 of 3 · 6 minutes*
#
# `z` is what all heads of a layer give, before they are merged. Replace the heads that are asked for; average over the sequences, and keep each position apart.

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
# `induction.harm(model, batch, heads)` is the rise of the loss when these heads are taken out together. First every head alone. **Predict**: which heads hurt?

# %%
ic_model = ic_models["two layers"]
ic_batch = induction.repeat_batches(64, 48, 64, RANDOM)(generator(5))
ic_heads = induction.all_heads(ic_model)
ic_alone = [induction.harm(ic_model, ic_batch, [head]) for head in ic_heads]
print("every head of layer 1 alone costs less than 0.1 nats:", max(ic_alone[4:]) < 0.1)

# %% [markdown]
# No induction head is missed! They have learned the same thing four times, and three do the work of four. So the question must be put to *groups*. In layer 0 we take the two heads with the highest previous-token scores, and for comparison the two others; in layer 1 all heads.

# %%
ic_order = ic_run.previous[-1, 0].argsort(descending=True).tolist()  # layer 0, the best first
ic_groups = {"two best previous-token heads": [(0, h) for h in ic_order[:2]],
             "the two others of layer 0": [(0, h) for h in ic_order[2:]],
             "all heads of layer 1": [(1, h) for h in range(4)]}
ic_harm = {how.__name__: [induction.harm(ic_model, ic_batch, group, how) for group in ic_groups.values()]
           for how in (mean_ablate, induction.zero_ablate)}

# %% [markdown]
# **Predict** the four bars of layer 0.

# %%
fig, (left, right) = subplots(1, 2, figsize=(11, 3.4))
left.bar([f"{a}.{h}" for a, h in ic_heads], ic_alone, color=COLORS["sky"])
left.set(title="each head alone", xlabel="head", ylabel="rise of the loss (nats)", ylim=(0, 10))
for shift, (how, values) in zip((-0.2, 0.2), ic_harm.items(), strict=True):
    right.barh([y + shift for y in range(3)], values, height=0.36, label=how.replace("_", " "))
right.set(title="groups", yticks=range(3), yticklabels=ic_groups, xlabel="rise of the loss (nats)")
right.invert_yaxis()
right.legend(loc="center right")
assert all(values[0] > 4 and values[1] < 0.2 and values[2] > 4 for values in ic_harm.values())
show(fig, "Alone hardly any head matters; two previous-token heads, or all of layer 1, are vital.")

# %% [markdown]
# Without the two previous-token heads the model is worse than guessing (log 64 is 4.2 nats, and the loss rises by more). The two other heads of the same layer cost nothing. But do the heads of layer 1 *fail because of it*? If the two compose, then without the
# previous-token heads the induction heads must look elsewhere.

# %%
with induction.ablated(ic_model, ic_groups["two best previous-token heads"]):
    ic_blind = induction.look(ic_model, ic_batch)["induction"][1]  # (H,)
with induction.ablated(ic_model, ic_groups["the two others of layer 0"]):
    ic_sound = induction.look(ic_model, ic_batch)["induction"][1]
print("all induction scores, previous-token heads out: below 0.5:", bool(ic_blind.max() < 0.5))
print("all induction scores, the other heads out: above 0.8:     ", bool(ic_sound.min() > 0.8))

# %% [markdown]
# One step more. A head reads the stream three times: for its queries, its keys and its values. The proposal says that the news "before me stood an *R*" is read by the *keys*. `induction.harm_through` takes the previous-token heads out for only one of the three, and leaves all else as it is.

# %%
ic_pair = ic_groups["two best previous-token heads"]
ic_through = {kind: induction.harm_through(ic_model, ic_batch, ic_pair, kind[0])
              for kind in ("queries", "keys", "values")}

# %% [markdown]
# **Predict**: which of the three misses them?

# %%
fig, ax = subplots(figsize=(6, 2.6))
ax.barh(list(ic_through), list(ic_through.values()), color=COLORS["blue"], height=0.5)
ax.set(xlabel="rise of the loss (nats)", title="previous-token heads, missed by …")
ax.invert_yaxis()
assert ic_through["keys"] > 4 and max(ic_through["queries"], ic_through["values"]) < 1
show(fig, "Only the keys of layer 1 need the previous-token heads; queries and values do not.")


# %% [markdown]
# It is the keys (*K-composition*, in the words of Elhage and others). Now we know: not because it looks like it, but because each arrow of the circuit was cut, and its neighbour was cut for comparison. Two helpers round what we report, so that it is the same on every machine.

# %%
def over(x: float) -> int:
    """A multiple of 5 below x: coarse enough to be the same on every machine."""
    return math.floor(x / 5) * 5


def under(x: float) -> float:
    """The next tenth above x."""
    return math.floor(10 * max(x, 0) + 1) / 10


# %% [markdown]
# The verdict.

# %%
ic_out, ic_other = ic_harm["mean_ablate"][:2]
ic_cut, ic_rest = ic_through["keys"], max(ic_through["queries"], ic_through["values"])
claims.add(
    "I2", "interpretability maps behaviour onto circuits",
    source="lecture; Olah 2020, Elhage 2021", published="a circuit, which fails where it is cut",
    measured=f"two previous-token heads out: loss up by over {over(ic_out)} nats; the other two of the "
             f"layer: under {under(ic_other)}. Missed by the keys alone: over {over(ic_cut)}; "
             f"by queries or values: under {under(ic_rest)}",
    holds=ic_out > 4 and ic_other < 0.2 and ic_cut > 4 and ic_rest < 1,
)

# %% [markdown]
# ## A score can lie
#
# **Question.** The model with one fixed period has the higher induction score, and in *layer 0*. Has it found a shorter circuit?
#
# **Predict** how both models do at periods that they were not trained on.

# %%
IC_PERIODS = (4, 8, 12, 16, 20, 24, 32)
ic_accuracy = {name: [] for name in ("two layers", "one period")}
for p in IC_PERIODS:
    ic_test = induction.repeat_batches(64, 48, 64, (p, p))(generator(6))
    for name, values in ic_accuracy.items():
        values.append(induction.look(ic_models[name], ic_test)["accuracy"].item())

# %% [markdown]
# The shaded periods were in the training of the first model.

# %%
fig, ax = subplots(figsize=(7.5, 3.3))
ax.axvspan(8, 24, color="#EEEEEE")
ax.plot(IC_PERIODS, ic_accuracy["two layers"], "o-", label="trained on 8 to 24")
ax.plot(IC_PERIODS, ic_accuracy["one period"], "o-", label="trained on 16")
ax.set(xlabel="period", ylabel="accuracy", ylim=(-0.03, 1.35), xticks=IC_PERIODS)
ax.legend(loc="upper left", ncols=2)
assert min(ic_accuracy["two layers"]) > 0.95 and ic_accuracy["one period"][2] < 0.3
show(fig, "The first model is right at every period, the other at 16 and what divides or doubles it.")

# %% [markdown]
# The second model does not compare tokens. Where does it look?

# %%
ic_where = "h.0.attn.pattern"
ic_fixed = circuits.activations(ic_models["one period"], ic_batch[0], [ic_where])[
    ic_where
]  # (B, H, T, T)
ic_fixed = ic_fixed.mean((0, 1))  # (T, T), the mean over texts and heads
ic_back = ic_fixed.diagonal(-15)[1:17].mean().item(), ic_fixed.diagonal(-31)[1:].mean().item()
print("positions 16 to 31 look 15 places back:", ic_back[0] > 0.9)
print("positions 32 to 47 look 31 places back:", ic_back[1] > 0.9)

# %% [markdown]
# A fixed number of places back, by *position*, whatever stands there: on these texts, which have other periods, too. Where the period is 16, that *is* the token after an earlier copy, and so the induction score is perfect. With the period 4, 8 or 32 it is right
# by chance. A score says what a head looks at on *some* texts, not why.
#
# ## A prediction from the picture
#
# **Question.** The first model seems to have the general rule. Has it?
#
# In the view above, the stripe of the previous-token heads *ended*. Here is its height, position by position.

# %%
ic_stripe = circuits.activations(ic_model, ic_batch[0], [ic_where])[ic_where]  # (B, H, T, T)
ic_stripe = ic_stripe.diagonal(-1, dim1=-2, dim2=-1).mean(0)  # (H, T - 1): attention to the token before

# %% [markdown]
# The vermilion line is at 24, the longest period in training. **Predict** what happens there.

# %%
fig, ax = subplots(figsize=(7.5, 3))
ax.plot(range(1, 48), ic_stripe[ic_order[0]], label="best previous-token head")
ax.plot(range(1, 48), ic_stripe[ic_order[1]], "--", label="second best")
ax.axvline(24, color=COLORS["vermillion"], linewidth=1)
ax.set(xlabel="position that looks", ylabel="attention", ylim=(0, 1.05), title="to the token before")
ax.legend()
assert ic_stripe[ic_order[0], :20].mean() > 0.8 and ic_stripe[ic_order[0], 28:].mean() < 0.2
show(fig, "The previous-token heads look at the token before up to position 24, and not after it.")

# %% [markdown]
# In training no block was longer than 24: the first copy of everything lies before position 24, and only there somebody has to note who stood before whom. The model learned just that much.
#
# This *predicts* something that the circuit diagram does not: if the first block begins late, after other tokens, induction must fail. `induction.late_repeats` makes such texts. **Predict** the loss for a block of 12 that begins at position 0, 6, 12, 18, 24.

# %%
IC_STARTS = (0, 6, 12, 18, 24)
ic_late = [
    induction.token_losses(ic_model, induction.late_repeats(64, start, 12, 64, generator(7)))
    .nanmean()
    .item()
    for start in IC_STARTS
]

# %% [markdown]
# For comparison, the loss of guessing.

# %%
fig, ax = subplots(figsize=(6.5, 3))
ax.plot(IC_STARTS, ic_late, "o-", color=COLORS["vermillion"])
ax.axhline(math.log(64), color=COLORS["black"], linewidth=1, linestyle=":", label="guessing")
ax.set(xlabel="position where the first block begins", ylabel="loss (nats)", xticks=IC_STARTS)
ax.legend()
assert max(ic_late[:3]) < 0.5 and ic_late[-1] > 4
show(fig, "The loss is near 0 while the first block ends by position 24, then far above guessing.")


# %% [markdown]
# That is what understanding is good for: a look inside told us of a failure that no test on texts like those of training would have shown. It was the *picture* that told us, not the diagram. (The score had a hint: about 0.5, as the stripe fills half of the text.)
#
# **What the toy leaves out.** Texts do not repeat word by word; heads of large models do several jobs at once, share them, and there are MLPs between. There, a circuit is hardly ever as clean as this one.
#
# ## From the parts to the whole
#
# <!-- speaker: This is the lecture's second hard point: reductionism. Let the class bet before the figure: do they trust single ablations? -->
# **Question.** We know what every head of the two-layer model costs when it is taken out alone. Do we then know what happens when *several* go?
#
# The simplest theory says: harms add up. We try it on all 2⁸ = 256 sets of heads. A better theory also knows all *pairs*: what two heads cost beyond the sum of both (`induction.interactions`). R² is the share of the differences that a theory explains: 1 is perfect, 0 is as good
# as the plain mean, and below 0 is worse. **Predict** both. About 10 seconds.

# %%
def wh_study(model, batch, sets):
    """The harm of each set of heads as measured, and as predicted from single heads and from pairs."""
    parts = induction.interactions(model, batch)
    found = [induction.harm(model, batch, heads) for heads in progress(sets, desc="sets of heads")]
    told = [[induction.predicted_harm(parts, heads, order) for heads in sets] for order in (1, 2)]
    return torch.tensor(found), torch.tensor(told)  # (n,) and (2, n)


def wh_r2(found, told):
    return (1 - (found - told).square().sum(-1) / (found - found.mean()).square().sum()).tolist()


# %% [markdown]
# A set is written as a number from 0 to 255: bit by bit, is this head in or not?

# %%
wh_heads = induction.all_heads(ic_models["two layers"])
wh_sets = [[head for i, head in enumerate(wh_heads) if n >> i & 1] for n in range(256)]
wh_batch = induction.repeat_batches(32, 48, 64, RANDOM)(generator(8))
wh_found, wh_told = wh_study(ic_models["two layers"], wh_batch, wh_sets)
wh_score = wh_r2(wh_found, wh_told)

# %% [markdown]
# Each point is a set of heads. On the line, the theory is right.

# %%
fig, axes = subplots(1, 2, figsize=(10, 3.8), sharey=True)
for ax, told, what in zip(axes, wh_told, ("single heads", "single heads and pairs"), strict=True):
    ax.plot(told, wh_found, "o", color=COLORS["blue"], alpha=0.35, markersize=5)
    ax.plot([0, 14], [0, 14], color=COLORS["black"], linewidth=1)
    ax.set(title=f"from {what}", xlabel="predicted harm (nats)")
axes[0].set_ylabel("measured harm (nats)")
assert wh_score[0] < 0.3 and wh_score[1] > wh_score[0] + 0.3
show(fig, "Adding the harms of single heads predicts almost nothing; pairs predict much, not all.")

# %% [markdown]
# Knowing every part alone, you know next to nothing: heads stand in for each other, so each alone seems useless. With the pairs you know much of it. And the cluster at the left edge, which even the pairs miss?

# %%
wh_layer = wh_sets.index([(1, h) for h in range(4)])  # all of layer 1, and nothing else
print("single heads explain something (R² above 0.3):", wh_score[0] > 0.3)
print("single heads and pairs do (R² above 0.5):     ", wh_score[1] > 0.5)
print("all of layer 1 costs over 4 nats:", bool(wh_found[wh_layer] > 4))
print("pairs predict under 1:           ", bool(wh_told[1, wh_layer] < 1))

# %% [markdown]
# The four induction heads stand in for each other, so it takes all four to see what they are for. *Reductionism* is not wrong, but the parts that matter are the *interactions*, and nobody tells you beforehand up to which order.
#
# ### Does the circuit carry over?
#
# **Question.** We know the circuit in two layers. A colleague trains *three*. What do you expect?
#
# Our rule, learned from the smaller model: the two heads of layer 0 with the best previous-token scores are vital together, the other two are not; all of layer 1 is vital. About layer 2 it says nothing, so take the natural guess: more layers, more work shared. About 15 seconds.

# %%
wh_deep = induction.attention_only(3, generator=generator(0)).eval()
wh_run = induction.grow(wh_deep, RANDOM, 500)
wh_order = wh_run.previous[-1, 0].argsort(descending=True).tolist()
wh_groups = {"two best previous-token heads": [(0, h) for h in wh_order[:2]],
             "the two others of layer 0": [(0, h) for h in wh_order[2:]],
             "all of layer 1": [(1, h) for h in range(4)],
             "all of layer 2": [(2, h) for h in range(4)]}
wh_cost = [induction.harm(wh_deep, wh_batch, group) for group in wh_groups.values()]

# %% [markdown]
# **Predict** the last bar.

# %%
fig, ax = subplots(figsize=(7.5, 2.6))
ax.barh(list(wh_groups), wh_cost, color=COLORS["blue"], height=0.5)
ax.set(xlabel="rise of the loss (nats)", title="three layers")
ax.invert_yaxis()
assert wh_cost[0] > 2 > wh_cost[1] and wh_cost[2] > 2 and wh_cost[3] < 0.5
show(fig, "In three layers the same groups are vital, and layer 2 is not used at all.")

# %% [markdown]
# The rule about *groups with a role* carries over. The natural guess about layer 2 is wrong: it does nothing at all, because two layers were enough. And the two theories? We try 100 random sets of the 12 heads. About 5 seconds.

# %%
wh_dice, wh_all = generator(9), induction.all_heads(wh_deep)
wh_coins = (torch.rand(100, 12, generator=wh_dice) < 0.5).tolist()
wh_random = [[head for head, out in zip(wh_all, coins, strict=True) if out] for coins in wh_coins]
wh_deep_found, wh_deep_told = wh_study(wh_deep, wh_batch, wh_random)
wh_deep_score = wh_r2(wh_deep_found, wh_deep_told)

# %% [markdown]
# How well do they do?

# %%
print("three layers, single heads: R² above 0.3:   ", wh_deep_score[0] > 0.3)
print("three layers, heads and pairs: R² above 0.5:", wh_deep_score[1] > 0.5)

# %% [markdown]
# The theory of single heads fails again. What transfers from two layers to three is the description at the right level, not the list of parts.
#
# ## Emergence, and the metric that makes it
#
# **Question.** "The large model can do it, the small one cannot: the ability *emerged*." Is the jump in the model, or in the way it is judged?
#
# Schaeffer and others (2023) say: often the latter. An answer of k tokens is counted as right only if all k are. If each token is right with probability p, and the errors are independent, then that is p^k. A p that grows smoothly makes a p^k that jumps.
#
# A family of models, as simple as can be: each knows 256 facts, as far as it has room for them. The *width* is its number of features. **Predict** the curves for lists of 1, 4 and 16 facts. About 4 seconds.

# %%
wh_widths = list(range(2, 34, 2))
wh_log_p = grokking.memorise(wh_widths, generator=generator(0), bar=partial(progress, desc="16 widths"))
wh_right = wh_log_p.argmax(-1) == 0  # (M, N)
wh_p = wh_right.double().mean(-1)  # (M,)
wh_lists = {k: grokking.exact_match(wh_right, k, 2000, generator(k)) for k in (1, 4, 16)}
wh_error = max((values - wh_p**k).abs().max().item() for k, values in wh_lists.items())

# %% [markdown]
# The same 16 models twice: judged by their mean log-likelihood of the right token, and by exact match. Lines are p^k.

# %%
fig, (left, right) = subplots(1, 2, figsize=(10.5, 3.6))
left.plot(wh_widths, wh_log_p[..., 0].mean(-1), "o-", color=COLORS["black"])
left.set(xlabel="width", ylabel="log-likelihood (nats a token)", title="smooth")
for (k, values), color in zip(wh_lists.items(), ("blue", "orange", "vermillion"), strict=True):
    right.plot(wh_widths, values, "o", color=COLORS[color], label=f"lists of {k}")
    right.plot(wh_widths, wh_p**k, color=COLORS[color], linewidth=1)
right.set(xlabel="width", ylabel="exact match", title="sudden")
right.legend()
assert wh_error < 0.06
show(fig, "Log-likelihood rises smoothly with width; exact match of 16 jumps, as p to the k says.")

# %% [markdown]
# How much of the way does each metric make in its single largest step from one width to the next?

# %%
wh_soft = wh_log_p[..., 0].mean(-1)
wh_jump = {"log-likelihood": wh_soft} | {f"exact match of {k}": v for k, v in wh_lists.items()}
wh_jump = {name: (v.diff().max() / (v[-1] - v[0])).item() for name, v in wh_jump.items()}
print("log-likelihood, its largest step: below 20 % of the way:", wh_jump["log-likelihood"] < 0.2)
print("exact match of 16, its largest step: above 45 %:        ", wh_jump["exact match of 16"] > 0.45)
print("exact match is p^k to within 0.06:", wh_error < 0.06)

# %% [markdown]
# **Is it always the metric?** Judge our induction model softly, over training. **Predict**: will the jump go away?

# %%
wh_exact = (ic_run.streaks >= 16).double().mean(-1)  # the first 16 known tokens, all right
wh_metrics = {"log-likelihood": -ic_run.loss, "accuracy": ic_run.accuracy, "exact match of 16": wh_exact}
wh_half = {name: induction.rise(ic_run.steps, values, 0.5)[0] for name, values in wh_metrics.items()}
wh_late = wh_half["exact match of 16"] > wh_half["log-likelihood"]
print("exact match comes later than log-likelihood:", wh_late)

# %% [markdown]
# All three as shares of their way.

# %%
fig, ax = subplots(figsize=(7, 3.2))
for name, values in wh_metrics.items():
    ax.plot(ic_run.steps, (values - values[0]) / (values[-1] - values[0]), label=name)
ax.set(xlabel="step", ylabel="share of the way", xlim=(0, 400))
ax.legend()
assert ic_share["loss"] <= 20
show(fig, "All metrics of the induction model jump; exact match jumps later and more steeply.")

# %% [markdown]
# It does not. Exact match comes later, but the log-likelihood jumps, too: here something really starts to exist, a circuit of two parts, each of which is worth little without the other. So one has to look in every case.

# %%
wh_most, wh_least = max(wh_score[0], wh_deep_score[0]), min(wh_score[1], wh_deep_score[1])
claims.add(
    "I5", "understanding parts does not give the whole (emergence)",
    source="lecture; Schaeffer et al. 2023", published="parts do not add up; partly the metric's doing",
    measured=f"R² of adding up single heads below 0.3: {wh_most < 0.3}, with pairs above 0.5: "
             f"{wh_least > 0.5}; exact match is p^k within {under(wh_error)}; "
             "induction jumps in every metric",
    holds=wh_most < 0.3 and wh_least > 0.5 and wh_error < 0.06,
    reason="Pairs give back most of the whole: a limit of looking at parts one by one, not of looking.",
)

# %% [markdown]
# **What the toy leaves out.** With 8 heads all sets can be tried. A model with 1000 heads has half a million pairs, and its MLPs have neurons by the million: the interactions cannot all be measured, one has to guess where they are.
#
# ## What we verified
#
# Each claim with its source, what was published, and what you measured.

# %%
claims.show()

# %% [markdown]
# Your exercises: which pass, and which are still open.

# %% tags=["progress"] slideshow={"slide_type": "skip"}
exercises.progress("induction")

# %% [markdown]
# **What this lesson leaves out.** With 8 heads all sets can be tried. Large models have thousands of heads, and what is called an induction head there does more than this.
#
# ## Further reading
#
# - Olah and others 2020, [Zoom In: An Introduction to Circuits](https://distill.pub/2020/circuits/zoom-in/).
# - Elhage and others 2021, [A Mathematical Framework for Transformer Circuits](https://transformer-circuits.pub/2021/framework/index.html).
# - Olsson and others 2022, [In-context Learning and Induction Heads](https://transformer-circuits.pub/2022/in-context-learning-and-induction-heads/index.html).
