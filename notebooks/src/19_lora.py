# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 19 · LoRA: how little can you train?
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/OWNER--SET-ME/llm-inside/blob/main/notebooks/19_lora.ipynb) · [open this lesson in Colab](https://colab.research.google.com/github/OWNER--SET-ME/llm-inside/blob/main/notebooks/19_lora.ipynb)
#
# **Fine-tuning moves every weight a little. Is all of that freedom needed?** Two thin matrices are put beside each frozen one. You write
# them and their merge, train a model with your own, and measure what they save, what they cost, and what the model forgets.
#
# **Time.** Running: about one minute on CPU; no GPU is needed. About 64 minutes to read and do.
#
# **What you will be able to do**
# - write LoRA and its merge, equal to the library's;
# - say what rank, rate and α each do, and choose α for another rank;
# - compare two methods by what they forget at *equal* accuracy.
#
# **Prerequisites.** Lessons 08 (what a step keeps) and 18 (instruction tuning).

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
import copy
import time
from collections.abc import Sequence

import ipywidgets as widgets
import torch
from torch import Tensor

from course_utils import exercises, instruction_tuning, lora, pretrained
from course_utils.classroom import (
    COLORS, Claims, Diagram, Picture, Source, explore, generator, predict, reveal, show, subplots,
)
from course_utils.exercises import check, hint, solution
from course_utils.intervals import mean_interval
from course_utils.model_budget import saved_activations

claims = Claims("19")

# %% [markdown]
# **Choose a way to train.** The storyteller of lesson 18 learns to answer, three times with each way. On the left is what it learns, on
# the right what it forgets: its loss on stories that it has never read.

# %% tags=["display"]
# @title Ways to fine-tune: what is learnt, and what is forgotten
record = lora.recorded()
before = instruction_tuning.story_loss(instruction_tuning.base_with_chat())


def draw_way(way, beside):
    fig, axes = subplots(1, 2, figsize=(10, 3.9))
    for arm, color, mark in ((beside, "blue", "s"), (way, "orange", "o")):
        for n, row in enumerate(lora.rows_of_arm(arm)):
            steps = [point["step"] for point in row["curve"]]
            for ax, key in zip(axes, ("accuracy", "story_loss"), strict=True):
                ax.plot(steps, [point[key] for point in row["curve"]], f"{mark}-",
                        color=COLORS[color], label=arm if n == 0 else None)
    axes[0].set(xlabel="step", ylabel="share of right answers, greedy", ylim=(0, 1))
    axes[1].set(xlabel="step", ylabel="loss on stories, nats a token", ylim=(0.6, 4))
    axes[1].axhline(before, color="black", linestyle=":", label="before")
    axes[1].legend()
    numbers = lora.rows_of_arm(way)[0]["trained"]
    fig.suptitle(f"{way}: {numbers:,} numbers are trained", fontsize=13)
    ends = [row["curve"][-1] for row in lora.rows_of_arm(way)]
    right, nats = (sum(end[key] for end in ends) / len(ends) for key in ("accuracy", "story_loss"))
    alt = f"{way}: {numbers:,} numbers trained, at the end {right:.2f} right and {nats:.2f} nats."
    return Picture(fig, alt)


ways = list(lora.ARMS)
explore(
    draw_way,
    way=widgets.Dropdown(options=ways, value="LoRA 8, 0.01", description="way"),
    beside=widgets.Dropdown(options=ways[:3], value="all weights, 0.001", description="beside"),
)

# %% tags=["display"]
# @title What will count, set before anything is measured
NOTES = Source("Kiến trúc mô hình ngôn ngữ lớn (lecture notes)", "section on fine-tuning")
claims.expect(
    "F3", "LoRA trains less than 1 % of the parameters", source=NOTES, published="< 1 %",
    criterion="beside all matrices of the blocks, at ranks 1, 4 and 16, the share is below 1 % of our "
              "model's and of GPT-2's numbers; partly if at some of them",
    holds=lambda shares: max(shares) < 0.01, partly=lambda shares: min(shares) < 0.01,
)
claims.expect(
    "F14", "LoRA saves hardware", source=NOTES, published="saves",
    criterion="what a training step keeps (weights, gradients, Adam's two means, and what backward "
              "needs) is at most half of what it keeps with all weights, for our model at rank 4; "
              "partly if only without what backward needs",
    holds=lambda m: m["all"] <= 0.5, partly=lambda m: m["state"] <= 0.5,
)
claims.expect(
    "F15", "LoRA is faster", source=NOTES, published="faster",
    criterion="a step at rank 8 needs at most 0.9 of the FLOP, and at the best rate of each a share of "
              "0.25 right is reached after no more steps in the mean of three seeds; partly if only "
              "one of the two",
    holds=lambda m: m["flop"] <= 0.9 and m["steps"] <= 1,
    partly=lambda m: m["flop"] <= 0.9 or m["steps"] <= 1,
)
claims.expect(
    "F16", "dividing α by the rank keeps the size of the change when the rank changes",
    source=Source("Hu et al. 2021, LoRA", "section 4.1", "https://arxiv.org/abs/2106.09685"),
    published="less need to tune again when r varies",
    criterion="with one α the change after three steps at ranks 1 and 16 differs by less than 1.5 "
              "times; partly if by less than 2 times",
    holds=lambda ratio: ratio < 1.5, partly=lambda ratio: ratio < 2,
)
claims.expect(
    "F2", "full fine-tuning forgets; LoRA forgets less", source=NOTES, published="forgets less",
    criterion="at a share of 0.25 right, each method at its best rate, the loss on stories has risen by "
              "at least 0.1 nats with all weights, and with LoRA by less, the interval over three seeds "
              "without 0; partly if LoRA forgets less only at equal steps (rates 0.002 and 0.01)",
    holds=lambda m: m["rise"] >= 0.1 and m["gap"] > m["half"],
    partly=lambda m: m["rise"] >= 0.1 and m["equal steps"] > m["half of that"],
)
claims.expect(
    "F17", "the update that fine-tuning makes has a low rank",
    source=Source("Hu et al. 2021, LoRA", "abstract and section 1", "https://arxiv.org/abs/2106.09685"),
    published="low intrinsic rank",
    criterion="cut to rank 8, the update of all weights (rate 0.002) keeps 0.9 of the right answers in "
              "the mean of three seeds; partly if it does not, but LoRA trained at rank 8 gets as many",
    holds=lambda m: m["cut"] >= 0.9, partly=lambda m: m["trained"] >= 0.9,
)
claims.criteria()

# %% [markdown]
# ## Two thin matrices
#
# **Question.** A matrix *W* of a trained model has *m* rows and *n* columns. Fine-tuning adds some update to it. Must the update have
# *m n* free numbers?
#
# A **low-rank adaptation**, LoRA for short, adds a product of two thin trained matrices to a frozen one. *A* takes the input down to *r* numbers, *B* takes them up
# again (Hu and others 2021):
#
# $$y = W x + b + \frac{\alpha}{r}\, B A x$$
#
# *x* is the input with *n* numbers, *y* the output with *m*, *b* the layer's bias. Only *A* (*r* rows, *n* columns) and *B* (*m* rows, *r* columns) are trained. *r* is the rank, such as 8. α is a
# number that you choose; what it does, you will measure.

# %% tags=["display"]
# @title LoRA beside one matrix, as a diagram
d = Diagram()
x_box = d.box("x: n numbers", 0, 0, width=3.2, color="yellow")
w_box = d.box("W: m × n, frozen", -3, 2.6, width=3.6, color="sky")
a_box = d.box("A: r × n", 3, 2.0, width=2.4, color="orange")
b_box = d.box("B: m × r, starts at 0", 3, 3.9, width=4.4, color="orange")
y_box = d.box("sum: y, m numbers", 0, 5.8, width=3.6, color="green")
d.arrow(x_box, w_box)
d.arrow(x_box, a_box)
d.arrow(a_box, b_box, "r numbers")
d.arrow(w_box, y_box)
d.arrow(b_box, y_box, "times α / r")
d.picture(
    "The input x goes through the frozen matrix W, and beside it through the thin matrices A and B. "
    "The way through B is multiplied by α / r, and both are added to y."
)


# %% [markdown]
# *B* starts at 0: at first nothing changes. *A* starts with random numbers: if both were 0, no gradient would reach either.
#
# ### Exercise · the forward pass
#
# The examples are rows, so *W x* becomes `x @ W.T`.
#
# *Difficulty 1 of 3 · 8 minutes*

# %% tags=["exercise"]
def lora_forward(
    x: Tensor, W: Tensor, b: Tensor | None, A: Tensor, B: Tensor, alpha: float
) -> Tensor:
    """Return W x + b + (α / r) B A x for rows x, where r is the rank; b may be None.

    The thin way is taken step by step, so that no matrix of W's size is made.
    Shapes: x (..., n), W (m, n), b (m,), A (r, n), B (m, r) -> (..., m).
    Source: Hu et al. 2021, "LoRA", section 4.1.

    >>> x, W = torch.tensor([[1.0, 2.0]]), torch.eye(2)
    >>> lora_forward(
    ...     x, W, None, A=torch.tensor([[1.0, 1.0]]), B=torch.tensor([[1.0], [0.0]]), alpha=2.0
    ... )
    tensor([[7., 2.]])
    """
    ...


# %% tags=["check"]
lora_forward = check("lora.lora_forward", lora_forward)
# hint("lora.lora_forward")
# solution("lora.lora_forward")

# %% [markdown]
# ### Exercise · merge
#
# To **merge** an adapter is to add its thin matrices into the frozen one, so that the model has its old shape and costs nothing extra.
#
# *Difficulty 1 of 3 · 5 minutes*

# %% tags=["exercise"]
def lora_merge(W: Tensor, A: Tensor, B: Tensor, alpha: float) -> Tensor:
    """Return the one matrix that does the same as W and the two thin ones; W itself stays as it is.

    Shapes: W (m, n), A (r, n), B (m, r) -> (m, n). Source: Hu et al. 2021, "LoRA", section 4.1.

    >>> W = torch.eye(2)
    >>> lora_merge(W, A=torch.tensor([[1.0, 1.0]]), B=torch.tensor([[1.0], [0.0]]), alpha=2.0), W
    (tensor([[3., 2.],
            [0., 1.]]), tensor([[1., 0.],
            [0., 1.]]))
    """
    ...


# %% tags=["check"]
lora_merge = check("lora.lora_merge", lora_merge)
# hint("lora.lora_merge")
# solution("lora.lora_merge")

# %% [markdown]
# A layer with your two functions. `add_lora` puts one in the place of each of the 16 matrices of the blocks. The rows of the chat's new words are
# trained as well: nobody has learnt them yet.

# %%
class YourLoRA(lora.LoRALinear):
    compute = staticmethod(lora_forward)
    merged = staticmethod(lora_merge)


base = instruction_tuning.base_with_chat()
model = lora.add_lora(base, rank=8, new_tokens=lora.NEW, layer=YourLoRA)
up = model.h[0].mlp.c_fc
print("W", tuple(up.linear.weight.shape), "A", tuple(up.A.shape), "B", tuple(up.B.shape))

# %% [markdown]
# **Is this what people use?** The library `peft` is. It gets your numbers, with noise in *B*, and the same tasks. Both models get double precision, so
# that equal can mean equal to a millionth.

# %%
from peft import LoraConfig, inject_adapter_in_model

settings = LoraConfig(r=8, lora_alpha=16, target_modules=list(lora.MATRICES))
theirs = inject_adapter_in_model(settings, copy.deepcopy(base)).double()
yours = copy.deepcopy(model).double()
places = dict(theirs.named_parameters())
with torch.no_grad():
    for name, part in yours.named_modules():
        if isinstance(part, YourLoRA):
            part.B.normal_(std=0.05, generator=generator(1))
            places[f"{name}.lora_A.default.weight"].copy_(part.A)
            places[f"{name}.lora_B.default.weight"].copy_(part.B)

# %% [markdown]
# Now the same batch through the library's model, through your merged one, and, so that the test can fail, through the base:

# %%
tasks = instruction_tuning.instructions(seed=0, n=16)
batch = instruction_tuning.task_batches(tasks, batch=16)(generator(0))  # inputs, targets, mask
with torch.no_grad():
    logits = yours(batch[0])
    for name, other in (("peft", theirs), ("merged", lora.merge_lora(yours)), ("the base", base)):
        apart = (other(batch[0]) - logits).abs().max().item()
        print(f"{name:<8} largest difference of a logit: {apart:.3f}")
        assert (apart < 1e-6) == (name != "the base")

# %% [markdown]
# ## How much is trained?
#
# Beside one matrix LoRA trains *r (n + m)* numbers instead of *n m*.

# %% tags=["display"]
# @title Predict: less than one percent?
predict(
    "lora.share",
    "Rank 4, beside all matrices of the blocks. Of a model with 0.9 million numbers (width 128), "
    "LoRA trains …",
    {"under 1 %": (0, 0.01), "1 % to 10 %": (0.01, 0.1), "over 10 %": (0.1, 1.01)},
)

# %%
sizes = {"ours": (128, 4, 920_064), "GPT-2": (768, 12, 124_439_808)}  # width, blocks, numbers
share = {}
for rank in (1, 4, 16):
    for name, (width, blocks, numbers) in sizes.items():
        share[name, rank] = lora.lora_size(width, blocks, rank) / numbers
    print(f"rank {rank:>2}: {share['ours', rank]:.1%} of ours, {share['GPT-2', rank]:.2%} of GPT-2")

# %% tags=["display"]
# @title Measured: the share that is trained
assert share["ours", 4] > share["GPT-2", 4] and share["GPT-2", 16] > 0.01
claims.measure(
    "F3", list(share.values()),
    shown=f"rank 4: {share['ours', 4]:.1%} of ours, {share['GPT-2', 4]:.2%} of GPT-2's; "
          f"rank 16: {share['GPT-2', 16]:.1%} of GPT-2's",
    reason="The share grows with the rank and falls with the width.",
)
reveal("lora.share", share["ours", 4], ".1%")

# %% [markdown]
# ## What does it save?
#
# A training step keeps, for each number that it trains, four: the weight, its gradient, and Adam's two means. A frozen number needs one. And backward needs what forward computed: the activations.

# %% tags=["display"]
# @title Predict: what a step keeps
predict(
    "lora.memory",
    "Weights, gradients, means and activations of a batch of 16 tasks, at rank 4. "
    "Of what a step of our model keeps with all weights, LoRA keeps …",
    {"under a third": (0, 1 / 3), "a third to two thirds": (1 / 3, 2 / 3), "more": (2 / 3, 2)},
)


# %%
def kept_bytes(model):
    numbers = sum(p.numel() for p in model.parameters())
    state = 4 * (numbers + 3 * lora.trained_numbers(model))  # 4 bytes each
    return state, state + sum(saved_activations(model, batch[0]).values())


thin = lora.add_lora(base, rank=4, new_tokens=lora.NEW, layer=YourLoRA)
whole_state, whole = kept_bytes(base)
thin_state, thin_all = kept_bytes(thin)
print(f"weights, gradients, means: {whole_state / 2**20:.1f} and {thin_state / 2**20:.1f} MiB")
print(f"and activations:           {whole / 2**20:.0f} and {thin_all / 2**20:.0f} MiB")

# %% tags=["display"]
# @title Measured: what a step keeps
kept = {"state": thin_state / whole_state, "all": thin_all / whole}
assert kept["state"] < 0.4 < kept["all"]
claims.measure(
    "F14", kept, shown=f"{kept['state']:.2f} without activations, {kept['all']:.2f} with them",
    reason="With a small model and 16 long tasks the activations are most of it, and backward needs "
           "them in any case. For a large model and few tokens the weights decide.",
)
reveal("lora.memory", kept["all"], ".2f")

# %% [markdown]
# Activations remain, as the gradient flows through the whole model on its way down. In the GPT-3 of Hu and others, with 175 billion weights, weights and means decide: they report a third of the memory.
#
# And the time? A product on the way down has two parts: the gradient of the input, and that of the weights. For a frozen matrix the second is left out.

# %%
from torch.utils.flop_counter import FlopCounterMode

flop = {}
for name, one in (("all weights", base), ("LoRA, rank 8", model)):
    with FlopCounterMode(display=False) as counter:
        instruction_tuning.answer_loss(one, batch).backward()
    flop[name] = counter.get_total_flops()
    one.zero_grad()
    print(f"{name:<13} {flop[name] / 1e9:.1f} GFLOP a step")


# %% [markdown]
# By the clock it can come out otherwise: small products cost a call each, however few numbers they have. Your machine's ratio, the median of five steps each:

# %% tags=["nbval-ignore-output"]
def step_seconds(one, n=5):
    found = []
    for _ in range(n):
        begun = time.perf_counter()
        instruction_tuning.answer_loss(one, batch).backward()
        found.append(time.perf_counter() - begun)
        one.zero_grad()
    return sorted(found)[n // 2]


print(f"LoRA / all weights: {step_seconds(model) / step_seconds(base):.2f} of the time a step")

# %% [markdown]
# ## What does α do?
#
# **Question.** Hu and others keep α and divide it by *r*, so that a new rank needs less tuning. Libraries often take α = 2 r, and then the factor α / r is always 2. Which of them keeps the
# change of *W* as large when the rank is raised?

# %% tags=["display"]
# @title Predict: one α, sixteen times the rank
predict(
    "lora.alpha",
    "α = 16 for both. After three steps with Adam, the change of the matrices at rank 16 is, "
    "beside that at rank 1, …",
    {"about a sixteenth": (0, 0.12), "about a quarter": (0.12, 0.5), "about as large": (0.5, 2),
     "larger": (2, 100)},
)

# %%
ranks = (1, 4, 16)
rules = {"α = 2 r": lambda r: 2.0 * r, "α = 16": lambda r: 16.0}
change = {name: [lora.first_steps(r, rule(r)) for r in ranks] for name, rule in rules.items()}
for name, (one, four, sixteen) in change.items():
    print(f"{name:<8} rank 4: {four / one:.1f}, rank 16: {sixteen / one:.1f} times that of rank 1")

# %% tags=["display"]
# @title Measured: the change after three steps, by rank
fig, ax = subplots(figsize=(7, 3.8))
for (name, sizes_of), color, mark in zip(change.items(), ("orange", "blue"), "os", strict=True):
    ax.plot(ranks, [1e3 * size for size in sizes_of], f"{mark}-", color=COLORS[color], label=name)
ax.set(xscale="log", yscale="log", xlabel="rank r", ylabel="change of W, thousandths")
ax.set_xticks(ranks, labels=ranks)
ax.set_xticks([], minor=True)
ax.legend()
fixed, scaled = (change[name][-1] / change[name][0] for name in ("α = 16", "α = 2 r"))
assert 0.2 < fixed < 0.33 and 3 < scaled < 5
claims.measure(
    "F16", 1 / fixed, shown=f"rank 1 moves W {1 / fixed:.1f} times as far as rank 16",
    reason="Adam makes steps of one size for each number; r of them add up like random numbers, as √r. "
           "Divided by r, the change falls as 1 / √r.",
)
show(fig, "With α = 2 r the change grows with the rank, with α = 16 it falls, both on straight lines.")
reveal("lora.alpha", fixed, ".2f")


# %% [markdown]
# Adam moves each number by about the rate, whatever its gradient. So α acts like the rate; and "a higher rank forgets more", at α = 2 r, may be nothing but larger steps.
#
# ### Exercise · read the figure
#
# Which α moves the matrices as far at any rank?
#
# *Difficulty 2 of 3 · 8 minutes*

# %% tags=["exercise"]
def alpha_for(rank: int, known_rank: int, known_alpha: float) -> float:
    """Say which α moves the matrices at this rank as far, in the first steps, as a known α did at
    a known rank.

    The thin part is multiplied by α / rank. Raises: ValueError for a rank below 1.
    Source: Kalajdzievski 2023, "A Rank Stabilization Scaling Factor for Fine-Tuning with LoRA".

    >>> alpha_for(8, known_rank=8, known_alpha=16.0)
    16.0
    """
    ...


# %% tags=["check"]
alpha_for = check("lora.alpha_for", alpha_for)
# hint("lora.alpha_for")
# solution("lora.alpha_for")

# %% [markdown]
# Your α at work: the change should no longer depend on the rank.

# %%
for r in ranks:
    alpha = alpha_for(r, known_rank=4, known_alpha=8.0)
    moved = lora.first_steps(r, alpha) / change["α = 2 r"][1]
    print(f"rank {r:>2}, α {alpha:4.1f}: {moved:.1f} times the change at rank 4, α 8")
    assert abs(moved - 1) < 0.1

# %% [markdown]
# This is rank-stabilised LoRA (Kalajdzievski 2023).
#
# ## Train it
#
# Your layers learn to answer: 120 steps of 16 tasks, with a seed that the record does not have.

# %% tags=["nbval-ignore-output"]
run = lora.FineTuningRun(rank=8, lr=1e-2, seed=3)
tuned, curve = lora.fine_tune(run, layer=YourLoRA, every=40)
for mark in curve:
    print(f"step {mark['step']:>3}: {mark['accuracy']:.2f} right, stories {mark['story_loss']:.2f}")

# %% tags=["display"]
# @title Yours beside the three recorded runs
fig, axes = subplots(1, 2, figsize=(10, 3.7))
recorded_runs = [row["curve"] for row in lora.rows_of_arm("LoRA 8, 0.01")]
for n, (points, color, name) in enumerate(
    [(points, "sky", "recorded") for points in recorded_runs] + [(curve, "orange", "yours")]
):
    for ax, key in zip(axes, ("accuracy", "story_loss"), strict=True):
        ax.plot([point["step"] for point in points], [point[key] for point in points],
                "o-" if name == "yours" else "s--", color=COLORS[color],
                label=name if n in (0, 3) else None)
axes[0].set(xlabel="step", ylabel="share right, greedy", ylim=(0, 1))
axes[1].set(xlabel="step", ylabel="loss on stories, nats", ylim=(0.6, None))
axes[0].legend()
for key, room in (("accuracy", 0.15), ("story_loss", 0.4)):
    ends = [points[-1][key] for points in recorded_runs]
    assert min(ends) - room < curve[-1][key] < max(ends) + room, (key, ends, curve[-1][key])
show(fig, "Your run's two curves lie among those of the three recorded runs.")

# %% [markdown]
# ## Does LoRA forget less?
#
# Fine-tuning brings catastrophic forgetting, as lesson 18 measured. LoRA is said to forget less. But a run that has learnt less has also forgotten less, and a smaller rate does both. So compare at *equal accuracy*, and give each method its best rate.

# %% tags=["display"]
# @title Predict: at equal accuracy
predict(
    "lora.forgets",
    "When 0.25 of the answers are right, each method at its best rate, LoRA's loss on stories is, "
    "beside that of all weights, …",
    ["lower", "the same within the interval", "higher"],
)


# %% [markdown]
# ### Exercise · the fair comparison
#
# A run is marked every 20 steps. How large was its loss on stories when it first got the wanted share right?
#
# *Difficulty 2 of 3 · 12 minutes*

# %% tags=["exercise"]
def loss_at(curve: Sequence[dict], goal: float) -> float:
    """The loss on stories at which a run first reaches a share of right answers: on the straight
    line between the last mark below the goal and the first one that reaches it.

    curve: marks {accuracy, story_loss} in the order of the steps; nan where no mark reaches the
    goal. Where the first mark reaches it, that mark's loss. Raises: ValueError for an empty curve.

    >>> curve = [dict(accuracy=0.2, story_loss=1.0), dict(accuracy=0.6, story_loss=2.0)]
    >>> loss_at(curve, 0.5), loss_at(curve, 0.1), loss_at(curve, 0.7)
    (1.75, 1.0, nan)
    """
    ...


# %% tags=["check"]
loss_at = check("lora.loss_at", loss_at)
# hint("lora.loss_at")
# solution("lora.loss_at")

# %% [markdown]
# Your function on all runs of the record: a mean over three seeds, with its interval. *nan* means that a seed never got there.

# %%
goal = 0.25
at_goal = {}
for arm in lora.ARMS:
    values = torch.tensor([loss_at(row["curve"], goal) for row in lora.rows_of_arm(arm)])
    at_goal[arm] = values
    mean, half = mean_interval(values)
    print(f"{arm:<31} {mean:.2f} ± {half:.2f} nats on stories at {goal} right")


# %% [markdown]
# **Move the goal.** Each dot is a way, with its interval over three seeds. The dotted line is the loss before.

# %% tags=["display"]
# @title Forgetting at equal accuracy: choose the goal
def draw_goal(goal):
    fig, ax = subplots(figsize=(9, 4.4))
    rows = list(lora.ARMS)[::-1]
    reached = 0
    for y, arm in enumerate(rows):
        nats = torch.tensor([loss_at(row["curve"], goal) for row in lora.rows_of_arm(arm)])
        color, mark = ("orange", "o") if arm.startswith("LoRA") else ("blue", "s")
        if nats.isnan().any():
            ax.text(before, y, "  not reached by all three seeds", va="center", fontsize=11)
            continue
        mean, half = mean_interval(nats)
        reached += 1
        ax.errorbar(mean, y, xerr=half, fmt=mark, color=COLORS[color], capsize=4, markersize=8)
    ax.axvline(before, color="black", linestyle=":")
    ax.set_yticks(range(len(rows)), labels=rows)
    ax.set(xlabel=f"loss on stories, nats, when {goal} are right", xlim=(0.7, 3.2))
    return Picture(fig, f"At {goal} right: {reached} of {len(rows)} ways get there with all seeds.")


explore(
    draw_goal,
    goal=widgets.SelectionSlider(options=[0.2, 0.25, 0.3, 0.4, 0.5], value=0.25, description="goal"),
)

# %% [markdown]
# Take each method's best rate at this goal, and compare seed by seed. Beside it the usual comparison: at the common rates, after equal steps.

# %%
best = {
    name: min(arms, key=lambda arm: at_goal[arm].nan_to_num(9.0).mean().item())
    for name, arms in lora.METHODS.items()
}
full, thin_best = (at_goal[best[name]] for name in ("all weights", "LoRA, rank 8"))
gap, half = mean_interval(full - thin_best)
ends = [
    torch.tensor([row["curve"][-1]["story_loss"] for row in lora.rows_of_arm(arm)])
    for arm in ("all weights, 0.002", "LoRA 8, 0.01")
]
at_end, half_end = mean_interval(ends[0] - ends[1])
print("best:", *best.values(), sep="  ")
print(f"all weights minus LoRA at {goal} right: {gap:+.2f} ± {half:.2f} nats")
print(f"after 120 steps, rates 0.002 and 0.01:  {at_end:+.2f} ± {half_end:.2f} nats")

# %% tags=["display"]
# @title Measured: forgetting, and the way to an accuracy
rise = full.mean().item() - before
replay = at_goal["all weights and stories, 0.001"]
assert at_end > 0.3 > 0.2 > gap and replay.max() < thin_best.min()
claims.measure(
    "F2",
    {"rise": rise, "gap": gap, "half": half, "equal steps": at_end, "half of that": half_end},
    shown=f"at {goal} right stories have lost {rise:.2f} nats with all weights; LoRA is {gap:+.2f} ± "
          f"{half:.2f} nats better at equal accuracy, {at_end:+.2f} ± {half_end:.2f} at equal steps",
    reason="What counts is how far the model is moved; the rate decides that more than the method.",
)


def steps_to(arm):
    marks = [
        [{"accuracy": m["accuracy"], "story_loss": m["step"]} for m in row["curve"]]
        for row in lora.rows_of_arm(arm)
    ]
    return sum(loss_at(curve, goal) for curve in marks) / len(marks)


fastest = {
    name: min(value for value in map(steps_to, arms) if value == value)
    for name, arms in lora.METHODS.items()
}
ratio = fastest["LoRA, rank 8"] / fastest["all weights"]
work = flop["LoRA, rank 8"] / flop["all weights"]
claims.measure(
    "F15", {"flop": work, "steps": ratio},
    shown=f"{work:.2f} of the FLOP a step; {ratio:.1f} times the steps to {goal} right",
    reason="The gradients of the frozen matrices are left out; the way down through the model is not.",
)
same = "the same within the interval"
reveal("lora.forgets", "lower" if gap > half else "higher" if gap < -half else same)


# %% [markdown]
# At equal steps LoRA looks half a nat better. At equal accuracy, each at its best rate, a tenth of a nat is left. Stories mixed into the
# batches, the cure of lesson 18, keep more than either, with all weights. So the sentence holds here, and most of its usual size is the learning rate.
#
# ## What kind of update does full fine-tuning make?
#
# **Question.** If the update that training makes by itself had a low rank, LoRA would lose nothing. Train all weights, and cut the update afterwards.
#
# ### Exercise · the nearest matrix of a low rank
#
# *Difficulty 2 of 3 · 8 minutes*

# %% tags=["exercise"]
def low_rank(update: Tensor, rank: int) -> Tensor:
    """Return the matrix of this rank that lies nearest to the update, by the sum of squared
    differences.

    The largest `rank` singular values stay with their vectors, the others become 0. A rank above
    the smaller side changes nothing. Shapes: update (m, n) -> (m, n). Raises: ValueError for a rank
    below 1.
    Source: Eckart & Young 1936, "The approximation of one matrix by another of lower rank".

    >>> low_rank(torch.diag(torch.tensor([3.0, 2.0, 1.0])), rank=2)
    tensor([[3., 0., 0.],
            [0., 2., 0.],
            [0., 0., 0.]])
    """
    ...


# %% tags=["check"]
low_rank = check("lora.low_rank", low_rank)
# hint("lora.low_rank")
# solution("lora.low_rank")

# %% [markdown]
# Cut the update of the stored assistant of lesson 18, all of whose weights were trained for long.

# %% tags=["display"]
# @title Predict: cut to rank 8
predict(
    "lora.cut",
    "Each matrix's update is cut to rank 8 of at most 128. Of the answers that the whole update of "
    "the matrices gets right, the cut one keeps …",
    {"under a quarter": (0, 0.25), "a quarter to two thirds": (0.25, 2 / 3), "more": (2 / 3, 9)},
)

# %% tags=["nbval-ignore-output"]
assistant = pretrained.assistant()
marks = {}
for rank in (1, 8, 32, 128):
    cut = lora.cut_update(assistant, base, rank, lora.NEW, cut=low_rank)
    marks[rank] = lora.marks_of(cut)
    print(f"rank {rank:>3}: {marks[rank][0]:.1f} right, stories {marks[rank][1]:.1f}")
right, nats = lora.marks_of(assistant)
print(f"uncut:    {right:.1f} right, stories {nats:.1f}")

# %% tags=["display"]
# @title Cut afterwards, beside trained thin: three recorded seeds
fig, axes = subplots(1, 2, figsize=(10, 3.8))
arms = (("all weights, 0.002", "blue", "s"), ("all weights, 0.0005", "purple", "v"))
for arm, color, mark in arms:
    rows = lora.rows_of_arm(arm)
    for n, ax in enumerate(axes):
        means = [sum(row["cuts"][str(r)][n] for row in rows) / len(rows) for r in lora.CUTS]
        ax.plot(lora.CUTS, means, f"{mark}-", color=COLORS[color], label=f"{arm}, cut")
for n, (ax, key) in enumerate(zip(axes, ("accuracy", "story_loss"), strict=True)):
    means = [
        sum(row["curve"][-1][key] for row in lora.rows_of_arm(f"LoRA {r}, 0.01")) / 3
        for r in (1, 8, 16)
    ]
    ax.plot((1, 8, 16), means, "o-", color=COLORS["orange"], label="LoRA, rate 0.01")
    ax.set(xscale="log", xlabel="rank")
    ax.set_xticks(lora.CUTS, labels=lora.CUTS)
    ax.set_xticks([], minor=True)
axes[0].set(ylabel="share right, greedy", ylim=(0, 1))
axes[1].set(ylabel="loss on stories, nats")
axes[0].legend()
kept_share = marks[8][0] / marks[128][0]


def ends_of(arm):
    return sum(row["curve"][-1]["accuracy"] for row in lora.rows_of_arm(arm))


whole_right = ends_of("all weights, 0.002")
cut_right = sum(row["cuts"]["8"][0] for row in lora.rows_of_arm("all weights, 0.002"))
m = {"cut": cut_right / whole_right, "trained": ends_of("LoRA 8, 0.01") / whole_right}
assert m["cut"] < 0.5 and kept_share < 0.6 and marks[32][0] > marks[8][0] + 0.1
claims.measure(
    "F17", m, shown=f"cut to rank 8 it keeps {m['cut']:.2f} of the right answers; LoRA trained at "
                    f"rank 8 gets {m['trained']:.2f} of them",
    reason="An update of a low rank exists that does it. Training all weights does not find that one.",
)
show(fig, "By rank: an update that was cut keeps few answers, LoRA trained at this rank gets many.")
reveal("lora.cut", kept_share, ".2f")

# %% [markdown]
# *Uncut* has, besides the matrices, biases and embeddings of its own. What full training finds is spread over many directions, and cutting it loses most answers. LoRA of the same rank was *trained* to do without
# the others. So "the update has a low rank" is the wrong reading; "an update of a low rank is enough" is the right one, for these tasks.
#
# ## And decoding?
#
# Every accuracy above is that of greedy answers. Drawn at a temperature, the same models do otherwise. Variety is the share of second answers that differ from the first.

# %%
drawn = {}
for arm in ("all weights, 0.002", "LoRA 8, 0.01", "LoRA 8, 0.0025", "all weights and stories, 0.001"):
    rows = lora.rows_of_arm(arm)
    for what in ("right", "variety"):
        drawn[arm, what] = [sum(row[what][t] for row in rows) / 3 for t in ("1.0", "0.7", "0.5", "0.0")]
        print(f"{arm:<31}{what:<8}", *(f"{x:.2f}" for x in drawn[arm, what]))

# %% [markdown]
# The columns are temperature 1, 0.7, 0.5 and greedy. A table at temperature 1 would rank methods by how sharp their answers are as
# well as by what they know. At equal decoding LoRA at 0.01 and all weights at 0.002 are alike here, in right answers and in variety.
#
# ## What we verified

# %% tags=["display"]
# @title The claims of this lesson
claims.show()

# %% tags=["progress"] slideshow={"slide_type": "skip"}
exercises.progress("lora")

# %% [markdown]
# **What this lesson leaves out.** One small base model, one set of tasks, one optimizer, 120 steps. On large models and long training the comparison can come out otherwise. Where to put
# the thin matrices, other adapters, and a quantized base: lesson 21 has the last.
#
# ## Further reading
#
# - Hu and others 2021, [LoRA: Low-Rank Adaptation of Large Language Models](https://arxiv.org/abs/2106.09685), section 4.
# - Kalajdzievski 2023, [A Rank Stabilization Scaling Factor for Fine-Tuning with LoRA](https://arxiv.org/abs/2312.03732).
# - Biderman and others 2024, [LoRA Learns Less and Forgets Less](https://arxiv.org/abs/2405.09673): this comparison on large models.
# - Ben Zaken and others 2022, [BitFit](https://arxiv.org/abs/2106.10199): training only the biases.
