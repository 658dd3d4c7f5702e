# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 17 · Grokking: when does understanding come before the jump?
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/OWNER--SET-ME/llm-inside/blob/main/notebooks/17_grokking.ipynb) · [open this lesson in Colab](https://colab.research.google.com/github/OWNER--SET-ME/llm-inside/blob/main/notebooks/17_grokking.ipynb)
#
# **A network knows its training examples by heart, and only long after learns the rule. What happens in between?** You open a network that adds on a
# clock, watch what grows before the accuracy does, and see how a metric can make a jump of a smooth curve.
#
# **Time.** Running: about one minute on CPU; no GPU is needed. Reading and exercises: about an hour.
#
# **What you will be able to do**
# - say what a network that adds modulo 53 has learnt, and test it by keeping only that;
# - measure progress that the accuracy does not show;
# - tell a jump in the model from a jump in the metric.
#
# **Prerequisites.** Lesson 03 (the block). What a cosine is.

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
# What this lesson builds stands finished in `course_utils.grokking`. You build the main pieces here.

# %% tags=["imports"]
import math
from collections.abc import Sequence
from functools import partial

import ipywidgets as widgets
import torch
from torch import Tensor

from course_utils import exercises, grokking, induction
from course_utils.classroom import (
    COLORS, Claims, Picture, explore, generator, progress, show, subplots,
)
from course_utils.exercises import check, hint, solution

claims = Claims("17")

# %% [markdown]
# ## Grokking: understanding arrives late
#
# <!-- speaker: Ask when they would have stopped this training. With early stopping on the test loss nobody would ever have seen grokking. -->
# **Question.** A model has learned all of its training examples by heart, and fails on all others. You train on, and for a long time nothing changes. Then, suddenly, it understands (Power and others 2022 called it *grokking*). Is there really nothing
# going on in between? Can we *see* it coming?
#
# The task: a + b modulo 53 (the remainder after division by 53). There are 53 · 53 pairs; we train on 35 % of them. The model is one transformer layer which reads a, b and "=". At every step it sees all training pairs. The *weight decay* is strong: each step makes all weights a little smaller.
#
# **Predict** both accuracies over the steps. It takes about 15 seconds.

# %%
gr_dice, GR_STEPS = generator(0), 1600
gr_model = grokking.ModularAdder(p=53, generator=gr_dice)
gr_train = grokking.split(53, 0.35, gr_dice)  # (p, p), True = training pair
gr_bar = partial(progress, desc="a + b mod 53")
gr_run = grokking.train_adder(gr_model, gr_train, GR_STEPS, lr=6e-3, bar=gr_bar)
gr_known, gr_test = (grokking.loss_and_accuracy(gr_run.logits, pairs) for pairs in (gr_train, ~gr_train))

# %% [markdown]
# Left the accuracies, right the losses, on a logarithmic axis.

# %%
fig, (left, right) = subplots(1, 2, figsize=(10, 3.5))
for (loss, accuracy), name in zip((gr_known, gr_test), ("training pairs", "other pairs"), strict=True):
    left.plot(gr_run.steps, accuracy, label=name)
    right.plot(gr_run.steps, loss.clamp(min=1e-8), label=name)
left.set(xlabel="step", ylabel="accuracy")
right.set(xlabel="step", ylabel="loss (nats)", yscale="log")
left.legend(loc=(0.12, 0.62))
assert gr_known[1][2:].min() > 0.99 and gr_test[1][8] < 0.3 and gr_test[1][-1] > 0.98
show(fig, "The training pairs are known almost at once; the others only after many times as many steps.")

# %% [markdown]
# The accuracy on the other pairs creeps, then jumps. Their *loss* gets worse at first: the model is sure of wrong answers.

# %%
gr_learned = next(s for s, a in zip(gr_run.steps, gr_known[1], strict=True) if a > 0.99)
gr_understood = next(s for s, a in zip(gr_run.steps, gr_test[1], strict=True) if a > 0.95)
print("it knows the training pairs within 100 steps:", gr_learned <= 100)
print("it knows the others over ten times as late:  ", gr_understood > 10 * gr_learned)

# %% [markdown]
# ## What has it learned?
#
# **Question.** Look at the embedding: one vector for each number 0 to 52. What would you do with them, to add modulo 53?
#
# Put the numbers on a circle, like the hours on a clock, and turn. A *wave* of frequency k goes k times up and down while the number goes once from 0 to 52: cos(2πk·a/53) and sin(2πk·a/53). The *Fourier transform* says how much of each wave is in a table of numbers. **Predict** how
# many of the 26 frequencies the embedding uses in the end.

# %%
gr_power = grokking.frequency_power(gr_run.embeddings)  # (S, 26), the shares of all frequencies
gr_key = grokking.key_frequencies(gr_run.logits[-1])
gr_used = gr_power[-1][torch.tensor(gr_key) - 1].sum().item()

# %% [markdown]
# The power of a frequency is how much of its wave there is.

# %%
fig, (left, right) = subplots(1, 2, figsize=(10, 3.2), sharey=True)
for ax, k in ((left, 0), (right, -1)):
    ax.bar(range(1, 27), gr_power[k], color=COLORS["blue"])
    ax.set(title=f"embedding at step {gr_run.steps[k]}", xlabel="frequency")
left.set_ylabel("share of the power")
assert len(gr_key) <= 6 and gr_used > 0.8 and gr_power[0].max() < 0.15
show(fig, "At the start all frequencies are in the embedding, in the end a few hold nearly all of it.")

# %% [markdown]
# A few *key frequencies* hold nearly everything; which ones is decided by chance, at the start. With waves one can add: cos(w(a + b)) is a product of waves of a and waves of b, and for the right answer c the wave cos(w(a + b − c)) is at its top. Nanda and others (2023) showed that this is what the network does.

# %% tags=["nbval-ignore-output"]
print("frequencies that hold 95 % of what the logits know about a + b:", sorted(gr_key))
print(f"they hold over {math.floor(gr_used * 10) * 10} % of the embedding's power")


# %% [markdown]
# ## Progress that the accuracy does not show
#
# **Question.** When did these waves come: all at once, with the jump, or before it?
#
# Nanda and others propose two measures. The **restricted loss** keeps of the logits only the key waves of a + b and deletes all else: how good would the model be if it did nothing but the clever thing? The **excluded loss** deletes just these waves: how well would it do on the training pairs without the clever thing?
#
# ### Exercise 1 · keep only some waves
#
# *Difficulty 3 of 3 · 15 minutes*
#
# Each logit is a table over a and b. `torch.fft.fft2` writes a table as a sum of waves: entry (i, j) belongs to the wave that turns i times with a and j times with b. Waves of a + b turn equally fast in both. In this transform each real wave has two entries, for k and for −k.

# %% tags=["exercise"]
def restricted_logits(logits: Tensor, frequencies: Sequence[int]) -> Tensor:
    """Keep of the logits only the constant and the waves of a + b with these frequencies.

    As a function of the pair, each logit is a sum of waves. Those that go with cos(w (a + b))
    and sin(w (a + b)), w = 2πk / p, stay for k in `frequencies`; all others are deleted.
    Shapes: logits (p, p, V): row a, column b -> the same. Raises: ValueError for a frequency
    that is not from 1 to p // 2. Source: Nanda et al. 2023, section 5 (restricted loss).

    >>> angle = 2 * math.pi * sum_table(5) / 5  # (5, 5)
    >>> logits = torch.stack([3 + angle.cos(), (2 * angle).sin()], dim=-1)  # (5, 5, 2)
    >>> kept = restricted_logits(logits, [1])
    >>> torch.allclose(kept[..., 0], logits[..., 0]), kept[..., 1].abs().max() < 1e-6
    (True, tensor(True))
    """
    ...


# %% tags=["check"]
restricted_logits = check("grokking.restricted_logits", restricted_logits)
# hint("grokking.restricted_logits")
# solution("grokking.restricted_logits")

# %% [markdown]
# `grokking.excluded_logits` is the rest. What depends on a + b alone is the same for all pairs with that sum, so `grokking.by_sum` keeps one row a sum, and `grokking.restricted_loss` works on these small tables. **Predict** both curves while the accuracy on the test pairs stands still.

# %%
gr_sums = grokking.by_sum(gr_run.logits)  # (S, p, p)
gr_restricted = grokking.restricted_loss(gr_sums, gr_key)  # (S,)
gr_excluded = torch.stack([grokking.loss_and_accuracy(grokking.excluded_logits(x, gr_key), gr_train)[0]
                           for x in gr_run.logits])

# %% [markdown]
# Left what can be seen from outside, and the size of the weights (the sum of their squares, as a share). Right the losses.

# %%
fig, (left, right) = subplots(1, 2, figsize=(10.5, 3.6))
left.plot(gr_run.steps, gr_test[1], color=COLORS["black"], label="accuracy, other pairs")
left.plot(gr_run.steps, gr_run.norms / gr_run.norms.max(), ":", label="size of the weights")
right.plot(gr_run.steps, gr_restricted, label="restricted loss, all pairs")
right.plot(gr_run.steps, gr_excluded, "--", label="excluded loss, training pairs")
right.plot(gr_run.steps, gr_test[0], ":", color=COLORS["black"], label="loss, other pairs")
for ax, top in ((left, 1.45), (right, 22)):
    ax.set(xlabel="step", ylim=(-top / 30, top))
    ax.legend(loc="upper left")
right.set_ylabel("nats")
assert gr_restricted[12] < 0.6 * gr_restricted[0] and gr_excluded[20] > 2 * gr_excluded[4]
assert gr_test[0][1:17].min() > 2 * math.log(53) and gr_test[1][:17].max() < 0.5
show(fig, "The restricted loss falls and the excluded loss rises, long before the accuracy jumps.")

# %% [markdown]
# The restricted loss falls steadily, almost from the beginning. In the first half of the run the loss on the other pairs stays more than twice as high as that of guessing (log 53, about 4 nats), and their accuracy only creeps. Under the surface the clever solution grows next to the memory, and the model leans on it more and more: without it, it would
# do worse and worse even on what it knows by heart (excluded loss).
#
# Then the weights begin to shrink: weight decay clears away the memory that is no longer needed, and during this *clean-up* comes the jump.
#
# When is each of them half-way, counted from the moment when the training pairs are known?

# %%
gr_from = gr_run.steps.index(gr_learned)
gr_curves = {"restricted": gr_restricted, "excluded": gr_excluded, "accuracy": gr_test[1]}
gr_half = {name: induction.rise(gr_run.steps[gr_from:], values[gr_from:], low=0.5)[0]
           for name, values in gr_curves.items()}
gr_lead = {name: gr_half[name] / gr_half["accuracy"] for name in gr_half}
print("the restricted loss is half-way in half of the steps that the accuracy needs:",
      gr_lead["restricted"] < 0.5)
print("the excluded loss is half-way in 85 % of them:", gr_lead["excluded"] < 0.85)

# %% [markdown]
# **The test of the test.** We chose the key frequencies *after* the run, because we knew the end. Would the restricted loss of any memorising model fall? The same start and the same pairs, without weight decay, so that it never groks. About 6 seconds.

# %%
gr_dice = generator(0)
gr_plain = grokking.ModularAdder(p=53, generator=gr_dice)
gr_pairs = grokking.split(53, 0.35, gr_dice)  # the same pairs
gr_never = grokking.train_adder(gr_plain, gr_pairs, 600, lr=6e-3, weight_decay=0.0, bar=gr_bar)
gr_own = grokking.frequency_power(grokking.by_sum(gr_never.logits[-1])).topk(len(gr_key)).indices + 1
gr_memory = grokking.restricted_loss(grokking.by_sum(gr_never.logits), gr_own.tolist())
gr_guess = math.log(53)

# %% [markdown]
# **Predict** the dashed curve.

# %%
fig, ax = subplots(figsize=(7, 3.2))
ax.plot(gr_run.steps, gr_restricted, label="with weight decay: groks")
ax.plot(gr_never.steps, gr_memory, "--", label="without: memorises only")
ax.axhline(gr_guess, color=COLORS["black"], linewidth=1, linestyle=":", label="guessing")
ax.set(xlabel="step", ylabel="restricted loss (nats)", xlim=(0, 1200))
ax.legend()
assert gr_memory[-1] > gr_guess > gr_restricted[12] / 0.6
gr_both = gr_test[1][12], grokking.loss_and_accuracy(gr_never.logits[12], ~gr_train)[1]  # at step 600
assert max(gr_both) < 0.4
show(fig, "Only the model that groks has a falling restricted loss; in the memorising one it rises.")

# %% [markdown]
# It does not fall, even though this model gets its own best frequencies. So the measure tells the two apart at a time when both know all training pairs, and fail on most others.

# %%
gr_same = gr_known[1][12].item(), grokking.loss_and_accuracy(gr_never.logits[12], gr_train)[1].item()
claims.add(
    "I8", "grokking has progress measures that rise before the test accuracy",
    source="Nanda et al. 2023", published="restricted and excluded loss move before the jump",
    measured=f"half-way before the accuracy: restricted loss in half of its steps: "
             f"{gr_lead['restricted'] < 0.5}, excluded in 85 %: {gr_lead['excluded'] < 0.85}; "
             "no fall without weight decay",
    holds=gr_lead["restricted"] < 0.5 and gr_lead["excluded"] < 0.85
    and bool(gr_memory[-1] > gr_guess) and min(gr_same) > 0.99,
    reason="The frequencies are known only afterwards, so it explains the jump rather than predicts it.",
)


# %% [markdown]
# ### A view: one frequency, and the loss
#
# **Move the frequency.** If it is a key frequency, it is taken out of those that are kept; if not, it is added. Which ones can the model not do without? And the step: when does a frequency begin to matter?

# %%
def frequency_view(k, step):
    i = gr_run.steps.index(step)
    changed = [f for f in gr_key if f != k] if k in gr_key else [*gr_key, k]
    fig, (left, right) = subplots(1, 2, figsize=(10.5, 3.6))
    left.bar(range(1, 27), gr_power[i], color=COLORS["sky"])[k - 1].set_color(COLORS["vermillion"])
    left.set(xlabel="frequency", ylabel="share of power", ylim=(0, 0.45), title=f"step {step}")
    what = "without" if k in gr_key else "with"
    loss = grokking.restricted_loss(gr_sums, changed)
    right.plot(gr_run.steps, gr_restricted, color=COLORS["blue"], label="the key frequencies")
    right.plot(gr_run.steps, loss, "--", color=COLORS["vermillion"], label=f"{what} frequency {k}")
    right.axvline(step, color=COLORS["black"], linewidth=1)
    right.set(xlabel="step", ylabel="restricted loss (nats)", ylim=(0, 11))
    right.legend(loc="upper left")
    alt = f"Frequency {k} {'is' if k in gr_key else 'is not'} a key frequency. Restricted loss at step "
    return Picture(fig, alt + f"{step}: {gr_restricted[i]:.0f} nats, {what} it {loss[i]:.0f}.")


explore(
    frequency_view,
    k=widgets.IntSlider(min(gr_key), min=1, max=26, description="frequency"),
    step=widgets.SelectionSlider(options=gr_run.steps, value=gr_run.steps[12], description="step"),
)

# %% [markdown]
# **What the toy leaves out.** In a language model nobody tells you which waves to keep. And grokking needs its recipe: few examples, strong weight decay. We took a rate six times that of Nanda and others, to have it in 15 seconds; and another seed can take half as many steps again, or more.
#
# ## What we verified
#
# Each claim with its source, what was published, and what you measured.

# %%
claims.show()

# %% [markdown]
# Your exercises: which pass, and which are still open.

# %% tags=["progress"] slideshow={"slide_type": "skip"}
exercises.progress("grokking")

# %% [markdown]
# **What this lesson leaves out.** One task, one size, full batches. Whether large models learn like this is an open question.
#
# ## Further reading
#
# - Power and others 2022, [Grokking: Generalization Beyond Overfitting on Small Algorithmic Datasets](https://arxiv.org/abs/2201.02177).
# - Nanda and others 2023, [Progress Measures for Grokking via Mechanistic Interpretability](https://arxiv.org/abs/2301.05217).
# - Schaeffer, Miranda and Koyejo 2023, [Are Emergent Abilities of Large Language Models a Mirage?](https://arxiv.org/abs/2304.15004).
