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
# **A network knows its training examples by heart, and only long after learns the rule. What happens in between?** You
# train one that adds on a clock, find out what grows in it before it can add, and ask whether the jump is real.
#
# **Time.** Running: about one minute on CPU; no GPU is needed. About 68 minutes to read and do.
#
# **What you will be able to do**
# - find a leak between training and test, and say how sudden a rise is, whatever the length of the run;
# - say what a network that adds modulo 53 has learned, and test it by keeping only that;
# - tell a jump in the model from a jump in the metric.
#
# **Prerequisites.** Lesson 03 (the block). What a cosine is.
#
# <!-- speaker: Ask when they would have stopped this training. Move the slider once quickly, once slowly around step 1,200. -->

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
from functools import partial

import ipywidgets as widgets
import torch
from torch import Tensor

from course_utils import exercises, grokking
from course_utils.classroom import (
    COLORS, Claims, Diagram, Picture, Source, explore, generator, predict, progress, reveal, show,
    subplots,
)
from course_utils.exercises import check, hint, solution

NANDA = "Nanda et al. 2023, Progress Measures for Grokking via Mechanistic Interpretability"
claims = Claims("17")
film = grokking.recorded_film()  # 33 snapshots of a run like the one below
alone = grokking.recorded(weight_decay=1.0)  # recorded runs from four seeds
free = grokking.recorded(weight_decay=0.0)


# %% [markdown]
# **Move the slider.** A small network learns to add modulo 53 (the remainder after division by 53), from 35 % of all
# pairs. Left are its answers: a colour for each sum, a row for a, a column for b. Right is each number as a point, seen
# from a direction in which they form a circle at the end; a line leads some of them to their final place. When do you see
# the rule?

# %% tags=["display"]
# @title A network learns to add
def draw_film(step):
    i = film["steps"].tolist().index(step)
    fig, axes = subplots(1, 3, figsize=(12, 3.9))
    answers = film["answers"][i]
    axes[0].imshow(answers, cmap="twilight", vmin=0, vmax=52)
    axes[0].set(title=f"its answers, step {step}", xlabel="b", ylabel="a")
    axes[1].bar(range(1, 27), film["power"][i], color=COLORS["blue"])
    axes[1].set(title="waves in the embedding", xlabel="frequency", ylabel="share", ylim=(0, 0.45))
    points, k = film["clock"][i], film["frequency"].item()
    turned = k * torch.arange(53) % 53  # how far around each number is, in 53rds of a turn
    axes[2].scatter(*points.T, c=turned, cmap="twilight", s=60, edgecolor="grey", linewidth=0.5)
    reach = 1.5 * film["clock"].abs().max().item()
    for a in range(53):
        if turned[a] % 6 == 0 and turned[a] < 50:  # its place on the dial
            angle = 2 * math.pi * turned[a].item() / 53
            x, y = 0.88 * reach * math.cos(angle), 0.88 * reach * math.sin(angle)
            axes[2].text(x, y, str(a), ha="center", va="center", fontsize=12)
            line = [points[a, 0], 0.9 * x], [points[a, 1], 0.9 * y]
            axes[2].plot(*line, color="grey", linewidth=1, zorder=0)
    axes[2].set(title=f"numbers, frequency {k}", xlim=(-reach, reach), ylim=(-reach, reach))
    axes[2].set(xticks=(), yticks=(), aspect="equal")
    for ax in (axes[0], axes[2]):
        ax.grid(False)
    truth = (torch.arange(53)[:, None] + torch.arange(53)) % 53
    share = (answers == truth).float().mean()
    return Picture(fig, f"Step {step}: {share:.0%} of all answers are right. Left the answers, then the "
                        "waves in the embedding, and the numbers in the plane of one wave.")


assert film["power"][0].max() < 0.15 and film["power"][-1].max() > 0.15
explore(
    draw_film,
    step=widgets.SelectionSlider(options=film["steps"].tolist(), value=1200, description="step"),
)

# %% tags=["display"]
# @title What will count, set before anything is measured
claims.expect(
    "I8", "grokking has progress measures that rise before the test accuracy",
    source=Source(NANDA, "section 5 and figure 7", "https://arxiv.org/abs/2301.05217"),
    published="restricted and excluded loss move before the jump",
    criterion="with every seed the restricted loss has fallen below half of log 53, and the excluded "
              "loss risen above it, before half of the new pairs are right; partly if only the first",
    holds=lambda m: max(m) < 1, partly=lambda m: m[0] < 1,
)
claims.expect(
    "I12", "the accuracy on pairs that were not trained on jumps late, and suddenly",
    source=Source("Power et al. 2022, Grokking", "section 3.1 and figure 1",
                  "https://arxiv.org/abs/2201.02177"),
    published="from chance to perfect, long after the training pairs are known",
    criterion="with every seed the step of accuracy 0.8 is less than twice that of 0.2, on new pairs "
              "(steady growth: 4 times), and that of 0.2 over 5 times that at which 99 % of the "
              "training pairs are known",
    holds=lambda m: m[0] < 2 and m[1] > 5,
)
claims.expect(
    "I13", "a jump is the metric's doing: the same outputs, judged softly, change smoothly",
    source=Source("Schaeffer et al. 2023, Are Emergent Abilities of Large Language Models a Mirage?",
                  "section 2", "https://arxiv.org/abs/2304.15004"),
    published="exact match is sudden, a soft metric is not",
    criterion="with every seed exact match of 16 steps rises more suddenly than that of one, and the "
              "probability of the right answer takes at least twice as many steps to 0.8 as to 0.2; "
              "partly if only the first",
    holds=lambda m: m[0] < 1 and m[1] >= 2, partly=lambda m: m[0] < 1,
)
claims.criteria()

# %% [markdown]
# ## Late
#
# **Question.** A model knows all of its training examples and fails on all others. You train on, and for a long time
# nothing seems to change. Then it can do them all. To learn the rule long after the examples is called **grokking** (Power and
# others 2022). Is there really nothing going on before it?
#
# The model is one transformer layer that reads a, b and "=". At every step it sees all training pairs. With
# **weight decay** each step also makes all weights a little smaller, which favours solutions with small weights. Here it
# is strong.

# %% tags=["display"]
# @title Predict: how late?
predict(
    "grokking.delay",
    "The training pairs are known after about 100 steps. Most of the other pairs are right after …",
    ["about 100 steps, too", "some hundred", "over a thousand", "they never are"],
)

# %% [markdown]
# You train it: about 15 seconds.

# %%
dice = generator(0)
model = grokking.ModularAdder(p=53, generator=dice)
train = grokking.split(53, 0.35, dice)  # (p, p), True = training pair
bar = partial(progress, desc="a + b mod 53")
run = grokking.train_adder(model, train, steps=1600, lr=6e-3, bar=bar)

# %% tags=["display"]
# @title Measured: accuracy and loss
known, test = (grokking.loss_and_accuracy(run.logits, pairs) for pairs in (train, ~train))
fig, (left, right) = subplots(1, 2, figsize=(10.5, 3.6))
for (loss, accuracy), name, mark in ((known, "training pairs", "-"), (test, "other pairs", "--")):
    left.plot(run.steps, accuracy, mark, label=name)
    right.plot(run.steps, loss.clamp(min=1e-8), mark, label=name)
left.set(xlabel="step", ylabel="accuracy")
right.set(xlabel="step", ylabel="loss (nats)", yscale="log")
left.legend(loc=(0.1, 0.6))
most = grokking.reaches(run.steps, test[1], 0.5)
assert known[1][2:].min() > 0.99 and test[1][8] < 0.3 and test[1][-1] > 0.98 and most > 1000
assert test[0][1:17].min() > 2 * math.log(53)  # worse than guessing in the first half
show(fig, "The training pairs are known almost at once, the others only after over a thousand steps.")
reveal("grokking.delay", "over a thousand" if most > 1000 else "some hundred")


# %% [markdown]
# In the first half the *loss* on the other pairs is more than twice that of guessing, log 53, about 4 nats: the model is
# sure of wrong answers. Their accuracy creeps up all the same. Who creeps?
#
# ### Exercise 1 · a leak
#
# *Difficulty 1 of 3 · 4 minutes*

# %% tags=["exercise"]
def new_pairs(train: Tensor) -> Tensor:
    """Find the test pairs that are really new: neither (a, b) nor its mirror (b, a) was trained on.

    a + b = b + a, so whoever has learned that the order does not matter knows the mirrors, too.
    Shapes: train (p, p), bool, row a, column b, True = training pair -> the same, True = new pair.

    >>> train = torch.tensor([[True, True, False], [False, False, False], [False, True, False]])
    >>> new_pairs(train).int()
    tensor([[0, 0, 1],
            [0, 1, 0],
            [1, 0, 1]], dtype=torch.int32)
    """
    ...


# %% tags=["check"]
new_pairs = check("grokking.new_pairs", new_pairs)
# hint("grokking.new_pairs")
# solution("grokking.new_pairs")

# %% [markdown]
# So the test has two parts: pairs whose mirror was trained on, and pairs that are really new. Something of the test
# that is already in the training is called a **leak**.

# %% tags=["display"]
# @title Predict: who creeps?
predict(
    "grokking.creep",
    "At step 800 some of the test pairs are right. How much more often are mirrors right than new "
    "pairs?",
    ["equally often", "twice as often", "over ten times as often"],
)

# %%
new = new_pairs(train)
mirrors = ~train & ~new
accuracy = {
    "mirrors": grokking.loss_and_accuracy(run.logits, mirrors)[1],  # (S,)
    "new pairs": grokking.loss_and_accuracy(run.logits, new)[1],
}
print(f"{mirrors.sum()} mirrors and {new.sum()} new pairs")

# %% tags=["display"]
# @title Measured: mirrors and new pairs
fig, ax = subplots(figsize=(9.5, 3.8))
for (name, values), mark in zip(accuracy.items(), ("o-", "s--"), strict=True):
    ax.plot(run.steps, values, mark, label=f"{name}, this run", markersize=4)
for row in alone[1:]:
    ax.plot(row["steps"], row["curves"]["new pairs"], color="grey", linewidth=1,
            label="new pairs, other seeds" if row is alone[1] else None)
ax.set(xlabel="step", ylabel="accuracy", xlim=(0, 3000), ylim=(-0.05, 1.25))
ax.legend(loc="upper left", ncols=3)
at = run.steps.index(800)
for curves in (accuracy, *(r["curves"] for r in alone)):
    assert curves["mirrors"][at] > 0.15 and curves["new pairs"][at] < 0.15
    assert curves["mirrors"][at] > 4 * curves["new pairs"][at]
assert accuracy["mirrors"][at] > 10 * accuracy["new pairs"][at]
show(fig, "Mirrors are learned slowly from the beginning; new pairs stay near 0 for long and then jump.")
reveal("grokking.creep", "over ten times as often")


# %% [markdown]
# The creep was the leak: that the order does not matter is learned early and slowly. On new pairs, which need the rule,
# hardly anything changes for a long time. From here on, new pairs are the test.
#
# ## Sudden?
#
# **Question.** Is that a jump? Every curve looks sudden in a picture of a run that is long enough. A measure of
# suddenness must not depend on how long you went on training.
#
# ### Exercise 2 · how sudden
#
# *Difficulty 2 of 3 · 10 minutes*

# %% tags=["exercise"]
def suddenness(
    steps: Sequence[float], values: Sequence[float], low: float = 0.2, high: float = 0.8
) -> float:
    """Measure how sudden a rise is: the step at which a curve reaches `high`, divided by the step at
    which it reaches `low`.

    Only the first time counts, and between two measurements the curve is a straight line. 1 is a
    jump. What comes after `high` is reached changes nothing, so the number does not depend on the
    length of the run.
    Shapes: S steps, growing, and S values -> a float. Raises: ValueError for a curve that never
    reaches `high`, or that has reached `low` at its first step.

    >>> suddenness([0, 10, 20], [0.0, 0.5, 1.0])  # steady growth from step 0: high / low
    4.0
    >>> suddenness([0, 10, 20, 30, 40], [0.0, 0.0, 0.0, 1.0, 0.9])
    1.2727272727272727
    """
    ...


# %% tags=["check"]
suddenness = check("grokking.suddenness", suddenness)
# hint("grokking.suddenness")
# solution("grokking.suddenness")

# %% [markdown]
# Steady growth from the first step on has 4, a jump has 1. The recorded runs from four seeds (the first is the seed of
# your run), all 3,000 steps and cut where the test is done:

# %%
for row in alone:
    steps, values = row["steps"], row["curves"]["new pairs"]
    done = next(i for i, v in enumerate(values) if v > 0.9) + 1
    whole, cut = suddenness(steps, values), suddenness(steps[:done], values[:done])
    mirror = suddenness(steps, row["curves"]["mirrors"])
    print(f"seed {row['seed']}: new pairs {whole:.2f}, cut {cut:.2f}; mirrors {mirror:.1f}")

# %% tags=["display"]
# @title Measured: late and sudden
sudden = [suddenness(r["steps"], r["curves"]["new pairs"]) for r in alone]
of_mirrors = [suddenness(r["steps"], r["curves"]["mirrors"]) for r in alone]
live = suddenness(run.steps, accuracy["new pairs"])
late = [
    grokking.reaches(r["steps"], r["curves"]["new pairs"], 0.2)
    / grokking.reaches(r["steps"], r["curves"]["training pairs"], 0.99) for r in alone
]
assert max(sudden) < 2 < min(of_mirrors) and abs(live - sudden[0]) < 0.15
claims.measure(
    "I12", [max(sudden), min(late)],
    shown=f"0.8 after {min(sudden):.2f} to {max(sudden):.2f} times the steps of 0.2 with "
          f"{len(alone)} seeds; at least {min(late):.0f} times as late as the training pairs",
)
print(f"new pairs: {min(sudden):.2f} to {max(sudden):.2f}")
print(f"mirrors: {min(of_mirrors):.1f} to {max(of_mirrors):.1f}")

# %% [markdown]
# With every seed new pairs jump, and mirrors do not.
#
# ## Who would have seen it?
#
# **Question.** With **early stopping** a training ends when the loss on held-out data has not become better for some
# time, and the model with the best one is taken. What would it have given here? And is weight decay needed?

# %% tags=["display"]
# @title Predict: four ways to train
predict(
    "grokking.stop",
    "Which of these can add new pairs, with every seed?",
    ["all", "weight decay, stopped early or not", "only weight decay, not stopped early", "none"],
)

# %%
for name, rows in (("weight decay", alone), ("no decay", free)):
    for row in rows:
        curves = row["curves"]
        best = grokking.early_stop(curves["loss"], patience=10)  # 10 snapshots, 500 steps
        stopped, to_the_end = curves["new pairs"][best], curves["new pairs"][-1]
        print(f"{name}, seed {row['seed']}: best loss at step {row['steps'][best]}, "
              f"accuracy {stopped:.2f}; after 3,000 steps {to_the_end:.2f}")


# %% tags=["display"]
# @title Measured: the baselines
def ends_of(rows):
    """Accuracy on new pairs: stopped early, and at the end."""
    best = [grokking.early_stop(r["curves"]["loss"], 10) for r in rows]
    return ([r["curves"]["new pairs"][i] for r, i in zip(rows, best, strict=True)],
            [r["curves"]["new pairs"][-1] for r in rows])


table = {"weight decay": ends_of(alone), "no weight decay": ends_of(free)}
fig, ax = subplots(figsize=(8, 3.2))
for place, ((name, ends), mark) in enumerate(zip(table.items(), "os", strict=True)):
    for x, values in zip((0, 1), ends, strict=True):
        shift = [x + 0.16 * (place - 0.5) + 0.02 * i for i in range(len(values))]
        color = COLORS[("blue", "vermillion")[place]]
        ax.plot(shift, values, mark, label=None if x else name, markersize=8, color=color)
ax.set(xticks=(0, 1), xticklabels=("stopped early", "all 3,000 steps"), ylabel="accuracy, new pairs")
ax.set(ylim=(-0.05, 1.1), xlim=(-0.5, 1.5))
ax.legend(loc="center left")
assert min(table["weight decay"][1]) > 0.95 and max(table["no weight decay"][1]) < 0.1
assert max(table["weight decay"][0] + table["no weight decay"][0]) < 0.1
show(fig, "Only the runs with weight decay that went on to the end can add new pairs, with all seeds.")
reveal("grokking.stop", "only weight decay, not stopped early")

# %% [markdown]
# The held-out loss gets worse from the first steps on and does not come back for 500 steps, so early stopping keeps the
# untrained model. Without weight decay 3,000 steps bring nothing; whether more would, these runs do not say.
#
# ## What has it learned?
#
# **Question.** The embedding has a vector for each number from 0 to 52. What would you do with these vectors, to add
# modulo 53?
#
# Put the numbers on a circle, like the hours on a clock, and turn. A wave of **frequency** k goes k times up and down
# while the number goes once around: cos(2πk·a/53) and sin(2πk·a/53). The **discrete Fourier transform** writes any table of numbers
# as a sum of waves, and says how much of each is in it. The **power** of a frequency is the squared size of its waves.

# %% tags=["display"]
# @title Addition by turning, as a diagram
d = Diagram()
a_box = d.box("a:  cos wa, sin wa", 0, 1.2, width=4.0, color="yellow")
b_box = d.box("b:  cos wb, sin wb", 0, -1.2, width=4.0, color="yellow")
turn_box = d.box("cos w(a+b), sin w(a+b)", 6.4, 0, width=4.8, color="orange")
score_box = d.box("score of c:  cos w(a+b−c)", 13.2, 0, width=5.2, color="green")
best_box = d.box("largest at c = a+b", 20.4, 0, width=4.0, color="blue")
d.arrow(a_box, turn_box)
d.arrow(b_box, turn_box, "multiply")
d.arrow(turn_box, score_box, "read out")
d.arrow(score_box, best_box, "add all k")
d.picture(
    "The waves of a and of b, with w = 2πk/53, are multiplied to waves of a + b; from these each "
    "answer c gets the score cos w(a + b − c), which is largest at the right sum."
)

# %% [markdown]
# Nanda and others (2023) showed that such a network adds like this: products of waves are waves of the sum. One wave is enough
# in principle. How far ahead is the right answer with one, and with three?

# %%
s, c = torch.arange(53)[:, None], torch.arange(53)
for frequencies in ([10], [10, 3], [10, 3, 12]):
    score = sum(torch.cos(2 * math.pi * k * (s - c) / 53) for k in frequencies)  # (p, p)
    first, second = score.topk(2).values.unbind(-1)
    print(frequencies, f"ahead by {(first - second).min():.3f}")


# %% [markdown]
# ### Exercise 3 · which waves are in a table
#
# *Difficulty 2 of 3 · 10 minutes*

# %% tags=["exercise"]
def frequency_power(x: Tensor) -> Tensor:
    """Measure which waves are in a table: the power of each frequency 1 to p // 2, as shares that
    sum to 1.

    Row a belongs to the number a. The power is the squared absolute value of the discrete Fourier
    transform along the rows, added up over all columns; frequency 0, the mean, is left out. A wave
    counts with all of its entries in the full transform: two, k and p - k, or one where k = p / 2.
    Shapes: x (..., p, d) -> (..., p // 2).

    >>> angle = 2 * math.pi * 3 * torch.arange(11) / 11
    >>> frequency_power(torch.stack([angle.cos(), angle.sin()], dim=-1)).round(decimals=3)
    tensor([0., 0., 1., 0., 0.])
    """
    ...


# %% tags=["check"]
frequency_power = check("grokking.frequency_power", frequency_power)
# hint("grokking.frequency_power")
# solution("grokking.frequency_power")

# %% tags=["display"]
# @title Predict: how many frequencies?
predict(
    "grokking.frequencies",
    "How many of the 26 frequencies does the network use at the end? (The fewest that hold 95 % of "
    "the power of a + b in its logits.)",
    ["1", "2 to 5", "6 to 15", "nearly all"],
)

# %%
power = frequency_power(run.embeddings)  # (S, 26)
keys = grokking.key_frequencies(run.logits[-1])
held = power[-1][torch.tensor(keys) - 1].sum().item()

# %% tags=["display"]
# @title Measured: the waves in the embedding
fig, axes = subplots(1, 2, figsize=(10, 3.2), sharey=True)
for ax, k in ((axes[0], 0), (axes[1], -1)):
    bars = ax.bar(range(1, 27), power[k], color=COLORS["sky"])
    for frequency in keys if k else ():
        bars[frequency - 1].set_color(COLORS["vermillion"])
    ax.set(title=f"embedding at step {run.steps[k]}", xlabel="frequency")
axes[0].set_ylabel("share of the power")
counts = [len(r["frequencies"]) for r in alone]
assert 2 <= len(keys) <= 5 and held > 0.8 and power[0].max() < 0.15
assert 2 <= min(counts) and max(counts) <= 5
show(fig, "At the start all frequencies are in the embedding; at the end a few hold nearly all power.")
print("key frequencies of the recorded seeds:", [sorted(r["frequencies"]) for r in alone])
reveal("grokking.frequencies", "2 to 5")


# %% [markdown]
# These few are the *key frequencies*. Which they are differs from seed to seed.
#
# ## Progress that the accuracy does not show
#
# **Question.** When did these waves come: with the jump, or before it?
#
# A number that grows steadily towards a jump that other numbers do not announce is a **progress measure**. Nanda and others
# propose two. The **restricted loss** is the loss when of the logits only the key waves of a + b are kept: it says how
# good the rule is alone. The **excluded loss** is the loss on the training pairs when the key waves of a + b are deleted: it
# says how good all the rest is.
#
# ### Exercise 4 · keep only some waves
#
# *Difficulty 3 of 3 · 15 minutes*

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

# %% tags=["display"]
# @title Predict: the restricted loss
predict(
    "grokking.restricted",
    "At step 600 hardly any new pair is right. Guessing has a loss of 4 nats. The restricted loss is …",
    ["about 4 nats", "about 1 nat", "nearly 0"],
)

# %%
everything = torch.ones(53, 53, dtype=torch.bool)
rule = [restricted_logits(x, keys) for x in run.logits]
rest = [x - kept + x.mean((0, 1)) for x, kept in zip(run.logits, rule, strict=True)]
restricted = grokking.loss_and_accuracy(torch.stack(rule), everything)[0]  # (S,)
excluded = grokking.loss_and_accuracy(torch.stack(rest), train)[0]

# %% tags=["display"]
# @title Measured: both losses, and what can be seen from outside
fig, (left, right) = subplots(1, 2, figsize=(11, 3.8))
left.plot(run.steps, accuracy["new pairs"], color=COLORS["black"], label="accuracy, new pairs")
left.plot(run.steps, run.norms / run.norms.max(), ":", label="squared size of the weights")
right.plot(run.steps, restricted, "o-", markersize=4, label="restricted loss, all pairs")
right.plot(run.steps, excluded, "s--", markersize=4, label="excluded loss, training pairs")
right.axhline(math.log(53), color=COLORS["black"], linewidth=1, linestyle=":", label="guessing")
for ax, top in ((left, 1.5), (right, 15)):
    ax.set(xlabel="step", ylim=(-top / 30, top))
    ax.legend(loc="upper left")
left.set_ylabel("share")
right.set_ylabel("nats")
now = run.steps.index(600)
assert restricted[now] < 0.6 * restricted[0] and 0.5 < restricted[now] < 2
assert excluded[20] > 2 * excluded[4] and accuracy["new pairs"][now] < 0.05
assert run.norms[now:].argmax() < 8 and run.norms[-1] < 0.6 * run.norms.max()
show(fig, "The restricted loss falls and the excluded loss rises, long before new pairs are right.")
reveal("grokking.restricted", "about 1 nat")

# %% [markdown]
# The rule grows next to the memory from the beginning, and the model leans on it more and more: without it, it would do
# worse and worse even on what it knows by heart. Then the weights shrink, while the jump comes. Nanda and others read this
# as a *clean-up*: the rule needs smaller weights than the memory, and weight decay clears away what is no longer needed.
#
# **Is that so with every seed?** When has each measure gone half of its way? For the losses, half of guessing's loss; for the
# accuracy, one half. Their steps, as a share of the accuracy's:

# %%
half = math.log(53) / 2
leads = []
for row in alone:
    steps, curves = row["steps"][2:], row["curves"]  # from step 100, where the training pairs are known
    falls = grokking.reaches(steps, [-x for x in curves["restricted"][2:]], -half)
    rises = grokking.reaches(steps, curves["excluded"][2:], half)
    jump = grokking.reaches(steps, curves["new pairs"][2:], 0.5)
    leads.append((falls / jump, rises / jump))
    print(f"seed {row['seed']}: {falls / jump:.2f} and {rises / jump:.2f} of {jump:.0f} steps")

# %% tags=["display"]
# @title Measured: which comes first
jump = grokking.reaches(run.steps, accuracy["new pairs"], 0.5)
live = (grokking.reaches(run.steps, -restricted, -half) / jump,
        grokking.reaches(run.steps[2:], excluded[2:], half) / jump)
assert all(abs(x - y) < 0.12 for x, y in zip(live, leads[0], strict=True))
worst = [max(x) for x in zip(*leads, strict=True)]
claims.measure(
    "I8", worst,
    shown=f"half-way after at most {worst[0]:.2f} (restricted) and {worst[1]:.2f} (excluded) of the "
          f"accuracy's steps, with {len(leads)} seeds; no such fall without weight decay",
    reason="The key frequencies are known only afterwards, so the measures explain the jump rather "
           "than predict it.",
)
print(f"at most {worst[0]:.2f} and {worst[1]:.2f} of the accuracy's steps")

# %% [markdown]
# **The test of the test.** The key frequencies were chosen *after* the run, when the end was known. Would any three do?
# And would the loss of a model that only memorises fall, too, with *its* three strongest frequencies?

# %% tags=["display"]
# @title Measured: other frequencies, other models
sums = grokking.by_sum(run.logits)  # (S, p, p)
others = torch.tensor([k for k in range(1, 27) if k not in keys])
orders = [torch.randperm(len(others), generator=generator(i)) for i in range(20)]
draws = [others[order[: len(keys)]].tolist() for order in orders]
random_sets = torch.stack([grokking.restricted_loss(sums, ks) for ks in draws])  # (20, S)
fig, ax = subplots(figsize=(8.5, 3.8))
for row in alone:
    ax.plot(row["steps"], row["curves"]["restricted"], color=COLORS["blue"],
            label="weight decay, key frequencies" if row is alone[0] else None)
for row in free:
    ax.plot(row["steps"], row["curves"]["restricted"], "--", color=COLORS["vermillion"],
            label="no weight decay, its strongest" if row is free[0] else None)
ax.plot(run.steps, random_sets.mean(0), "-.", color=COLORS["black"],
        label="weight decay, random frequencies (your run)")
ax.set(xlabel="step", ylabel="restricted loss (nats)", xlim=(0, 2200), ylim=(-0.3, 15))
ax.legend(loc="upper right")
ends = [[r["curves"]["restricted"][-1] for r in rows] for rows in (alone, free)]
assert max(ends[0]) < 0.1 and min(ends[1]) > math.log(53)
assert random_sets.mean(0)[now] > math.log(53)
show(fig, "Only with weight decay and the key frequencies does the restricted loss fall to 0.")


# %% [markdown]
# In your run random frequencies are worse than guessing at step 600, and without weight decay the loss rises above guessing. The
# measure tells the models apart at a time when all of them know the training pairs and fail on new ones.
#
# **Move the frequency.** A key frequency is taken out of those that are kept; another is added. Which can the model not do
# without, and from which step on?

# %% tags=["display"]
# @title One frequency, and the loss
def frequency_view(k, step):
    i = run.steps.index(step)
    changed = [f for f in keys if f != k] if k in keys else [*keys, k]
    fig, (left, right) = subplots(1, 2, figsize=(10.5, 3.6))
    left.bar(range(1, 27), power[i], color=COLORS["sky"])[k - 1].set_color(COLORS["vermillion"])
    left.set(xlabel="frequency", ylabel="share of power", ylim=(0, 0.45), title=f"step {step}")
    what = "without" if k in keys else "with"
    loss = grokking.restricted_loss(sums, changed)
    right.plot(run.steps, restricted, color=COLORS["blue"], label="the key frequencies")
    right.plot(run.steps, loss, "--", color=COLORS["vermillion"], label=f"{what} frequency {k}")
    right.axvline(step, color=COLORS["black"], linewidth=1)
    right.set(xlabel="step", ylabel="restricted loss (nats)", ylim=(0, 15))
    right.legend(loc="upper right", framealpha=1)
    alt = f"Frequency {k} {'is' if k in keys else 'is not'} a key frequency. Restricted loss at step "
    return Picture(fig, alt + f"{step}, in whole nats: {restricted[i]:.0f}, {what} it {loss[i]:.0f}.")


explore(
    frequency_view,
    k=widgets.IntSlider(min(keys), min=1, max=26, description="frequency"),
    step=widgets.SelectionSlider(options=run.steps, value=run.steps[12], description="step"),
)


# %% [markdown]
# ## Or is it the metric?
#
# **Question.** Large language models are said to show **emergence**: abilities that small ones lack, and that appear at once.
# Schaeffer and others (2023) answer that a harsh metric can make a jump of a smooth curve. The metric
# **exact match** counts an answer only if all of its tokens are right.
#
# Let the model add up lists: each step adds the next number to *what the model said before*, so that its mistakes go on.
#
# ### Exercise 5 · exact match
#
# *Difficulty 1 of 3 · 6 minutes*

# %% tags=["exercise"]
def exact_sequences(right: Tensor, lengths: Tensor) -> Tensor:
    """Judge whole sequences: the share of those whose outcomes are all right (exact match).

    Sequences have different lengths, at least 1; what stands after the end of one does not count.
    Shapes: right (..., N, K), bool, an outcome for each token; lengths (N,), from 1 to K -> (...).
    Source: Schaeffer et al. 2023, section 2 (accuracy on strings of L tokens).

    >>> right = torch.tensor([[True, True, False], [True, False, True], [True, True, True]])
    >>> exact_sequences(right, torch.tensor([2, 3, 3]))  # the first and the last
    tensor(0.6667)
    """
    ...


# %% tags=["check"]
exact_sequences = check("grokking.exact_sequences", exact_sequences)
# hint("grokking.exact_sequences")
# solution("grokking.exact_sequences")

# %% [markdown]
# If each step were right with probability p, and the steps were independent, all k would be right with probability
# pᵏ. That is a guess about the lists; the lists themselves can say.

# %% tags=["display"]
# @title Predict: the lists and the formula
predict(
    "grokking.sums",
    "16 steps in a row, on 2,000 lists, at each snapshot. Beside p¹⁶ the share of right lists is …",
    ["clearly lower", "about the same", "clearly higher"],
)

# %%
numbers = torch.randint(53, (2000, 17), generator=generator(1))
outcomes = grokking.running_sums(run.logits.argmax(-1), numbers)  # (S, N, 16)
match = {k: exact_sequences(outcomes, torch.full((2000,), k)) for k in (1, 4, 16)}
formula = match[1] ** 16
for row in alone:
    one, all_16 = (torch.tensor(row["curves"][f"sums of {k}"]) for k in (1, 16))
    print(f"seed {row['seed']}: at most {(all_16 - one**16).abs().max():.2f} from the formula")

# %% tags=["display"]
# @title Measured: exact match
fig, ax = subplots(figsize=(8.5, 3.6))
for (k, values), mark in zip(match.items(), ("o-", "s-", "D-"), strict=True):
    label = f"all of {k} right" if k > 1 else "one step right"
    ax.plot(run.steps, values, mark, markersize=4, label=label)
ax.plot(run.steps, formula, ":", color=COLORS["black"], linewidth=3, label="p to the 16")
ax.set(xlabel="step", ylabel="share of lists")
ax.legend(loc="upper left")
off = max(
    (torch.tensor(r["curves"]["sums of 16"]) - torch.tensor(r["curves"]["sums of 1"]) ** 16).abs().max()
    for r in alone
)
assert max(off, (match[16] - formula).abs().max()) < 0.1
show(fig, "The longer the list, the later and the steeper its exact match rises, as the formula says.")
reveal("grokking.sums", "about the same" if off < 0.1 else "clearly higher")

# %% [markdown]
# The formula is at most 0.07 off with any seed. Steps fail almost as if they were independent: a random next number leads
# anywhere in the table. In a text mistakes may come together, and then the formula says nothing.
#
# **How sudden is each curve?** By memory alone nearly half of the single steps are right, so for these curves the levels are
# 0.5 and 0.9. Beside them stands a soft metric, the mean probability of the right answer on new pairs, with 0.2 and 0.8:

# %%
for row in alone:
    steps, curves = row["steps"], row["curves"]
    sharp = [suddenness(steps, curves[f"sums of {k}"], 0.5, 0.9) for k in (1, 4, 16)]
    soft = suddenness(steps, curves["probability"])
    text = ", ".join(f"{x:.2f}" for x in sharp)
    print(f"seed {row['seed']}: 1, 4, 16 steps {text}; probability {soft:.2f}")

# %% tags=["display"]
# @title Measured: the metric and the model
by_length = [
    [suddenness(r["steps"], r["curves"][f"sums of {k}"], 0.5, 0.9) for k in (1, 4, 16)]
    for r in alone
]
soft = [suddenness(r["steps"], r["curves"]["probability"]) for r in alone]
rules = [
    suddenness(r["steps"], [1 - x / math.log(53) for x in r["curves"]["restricted"]]) for r in alone
]
assert all(a > b > c > 1 for a, b, c in by_length) and max(soft) < 2 and min(rules) > 4
sharper = max(c / a for a, _, c in by_length)
claims.measure(
    "I13", [sharper, min(soft)],
    shown=f"exact match of 16: at most {sharper:.2f} times the ratio of one step, with {len(alone)} "
          f"seeds; probability of the right answer: {min(soft):.2f} to {max(soft):.2f}",
    reason="They speak of models of growing size. Here it is one model in training: exact match "
           "sharpens the jump, and a soft metric has it, too.",
)
print(f"16 steps: at most {sharper:.2f} times the ratio of one step")
print(f"probability {min(soft):.2f} to {max(soft):.2f}")
print(f"progress of the restricted loss {min(rules):.1f} to {max(rules):.1f}")

# %% [markdown]
# Both are true here. A longer list makes the same run look more sudden: that part is the metric's. But the probability of
# the right answer jumps as well: that part is the model's. Its smooth side is inside: the restricted loss goes the same way,
# from 0.2 to 0.8 of guessing's loss, more slowly than steady growth would.
#
# ## What we verified

# %% tags=["display"]
# @title Each claim with its source
claims.show()

# %% [markdown]
# Your predictions and exercises at a glance:

# %% tags=["progress"] slideshow={"slide_type": "skip"}
exercises.progress("grokking")

# %% [markdown]
# **What this lesson leaves out.** One task, one size, full batches, and a rate six times that of Nanda and others, to have
# it in 15 seconds. In a language model nobody tells you which waves to keep, and whether large models learn like this is
# an open question. Emergence over sizes of models is in lesson 15.
#
# ## Further reading
#
# - Power and others 2022, [Grokking: Generalization Beyond Overfitting on Small Algorithmic Datasets](https://arxiv.org/abs/2201.02177).
# - Nanda and others 2023, [Progress Measures for Grokking via Mechanistic Interpretability](https://arxiv.org/abs/2301.05217).
# - Schaeffer, Miranda and Koyejo 2023, [Are Emergent Abilities of Large Language Models a Mirage?](https://arxiv.org/abs/2304.15004).
