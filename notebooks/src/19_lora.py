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
# **Fine-tuning moves every weight a little. Is all of that freedom needed?** Two thin matrices beside each frozen one do nearly as well. You write them and
# their merge, show that they equal the library's, and measure what they save and what they cost.
#
# **Time.** Running: about one minute on CPU; no GPU is needed. Reading and exercises: about an hour.
#
# **What you will be able to do**
# - write LoRA and its merging, and show that they equal the library's;
# - say what rank, rate and α each do;
# - compare methods by what they forget at equal accuracy.
#
# **Prerequisites.** Lesson 18 (instruction tuning).

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
# What this lesson builds stands finished in `course_utils.lora`. You build the main pieces here.

# %% tags=["imports"]
import copy
import time

import ipywidgets as widgets
import torch
from torch import Tensor

from course_utils import exercises, instruction_tuning, lora as lora_room
from course_utils.classroom import COLORS, Claims, Picture, explore, generator, pick, show, subplots
from course_utils.exercises import check, hint, solution
from course_utils.instruction_tuning import instructions

claims = Claims("19")

# %% [markdown]
# The base model and a set of tasks, as in lesson 18:

# %%
base = instruction_tuning.base_with_chat().eval()
draw_tasks = instruction_tuning.task_batches(instructions(seed=0, n=2000), batch=16)
inputs, targets, mask = draw_tasks(generator(0))
print(f"{tuple(inputs.shape)} tokens a batch")


# %% [markdown]
# Full fine-tuning, to compare with: the run of lesson 18 once more.

# %%
def watch(run, every=10):
    """Do a run, and note the loss on unseen stories on the way."""
    stories_now = [instruction_tuning.story_loss(base)]

    def look(trained, history):
        stories_now.append(instruction_tuning.story_loss(trained.eval()))
        trained.train()

    tuned, history = lora_room.fine_tune(run, look, every)
    return tuned, history, stories_now


STEPS = pick(cpu=60, gpu=300)
short_run = lora_room.FineTuningRun(lr=2e-3, steps=STEPS)
tuned, sft_history, forgotten = watch(short_run)

# %% [markdown]
# And the record of the long runs:

# %%
record = lora_room.recorded()
methods = {(row["rank"], row["lr"]): row for row in record["parts"]["methods"]}
full_run = methods[0, 2e-3]
same = lora_room.find(short_run)
print("recorded", record["date"], "· as yours:", abs(same["story_loss"] - forgotten[-1]) < 0.3)
for mark in full_run["curve"]:
    print(f"after {mark['step']} steps {mark['accuracy']:.1f} of the answers are right")


# %% [markdown]
# ## LoRA
#
# **Question.** Fine-tuning moves every weight a little. Is all of that freedom needed?
#
# Hu and others (2021) leave the matrix *W* as it is and put two thin matrices beside it. *A* takes the input down to *r* numbers, *B* takes them up again:
#
# > y = W x + b + (α / r) · B A x
#
# Only *A* and *B* are trained. The *rank* r is small, such as 4. The factor α / r keeps the size of the change about the same when you try another rank. *B* starts at 0, so that at first nothing changes.
#
# ### Exercise 1 · the forward pass
#
# *Difficulty 1 of 3 · 8 minutes*
#
# The examples are rows, so *W x* becomes `x @ W.T`. Go the thin way step by step: first *A*, then *B*.

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
# ### Exercise 2 · merge
#
# *Difficulty 1 of 3 · 5 minutes*
#
# After training, the thin matrices can be added into *W*. Then the model has its old shape, and costs nothing extra when it runs.

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
# `lora_room.LoRALinear` wraps a layer with these two functions. `lora_room.add_lora` puts one in the place of each matrix of the blocks, 16 here. The rows of the new words are trained as well, since nobody has learnt them yet.

# %%
lora = lora_room.add_lora(base, rank=8, new_tokens=lora_room.NEW)
for name, part in lora.h[0].mlp.named_modules():
    if isinstance(part, lora_room.LoRALinear):
        shapes = (tuple(matrix.shape) for matrix in (part.A, part.B, part.linear.weight))
        print(name.ljust(7) + "A {}, B {}, beside W {}".format(*shapes))
assert torch.equal(lora(inputs), base(inputs))

# %% [markdown]
# ### The same as the library
#
# `peft` is the library that most people use for this. We give it our numbers, *B* filled with noise, and compare the outputs. Both models get double precision: equal is to mean equal to 1e-6.

# %%
from peft import LoraConfig, inject_adapter_in_model

theirs = inject_adapter_in_model(LoraConfig(r=8, lora_alpha=16, target_modules=list(lora_room.MATRICES)),
                                 copy.deepcopy(base)).double()
ours = copy.deepcopy(lora).double()  # in double precision, so that rounding hides nothing

# %% [markdown]
# Now our numbers into theirs, and both models on the same batch:

# %%
places = dict(theirs.named_parameters())
with torch.no_grad():
    for name, part in ours.named_modules():
        if isinstance(part, lora_room.LoRALinear):
            part.B.normal_(generator=generator(1), std=0.05)
            places[f"{name}.lora_A.default.weight"].copy_(part.A)
            places[f"{name}.lora_B.default.weight"].copy_(part.B)
    logits = ours(inputs)
    apart, merged_apart = ((other(inputs) - logits).abs().max().item()
                           for other in (theirs, lora_room.merge_lora(ours)))
moved = (logits - base(inputs)).abs().max().item()
print(f"logits apart by less than 1e-6: peft {apart < 1e-6}, merged {merged_apart < 1e-6}")
print(f"and the noise itself moves them by up to {moved:.0f}")
assert max(apart, merged_apart) < 1e-6 < moved

# %% [markdown]
# ### How much is trained, and what it saves
#
# **Question.** LoRA is advertised as training less than one percent of the parameters. For one matrix from *n* to *m* it is r (n + m) numbers instead of n m. **Predict**: is it less than a percent for our model? For GPT-2?

# %%
ours, gpt2 = sum(p.numel() for p in base.parameters()), 124_439_808
print("rank  ours  GPT-2  GPT-2, attention's inputs only")
for rank in (1, 2, 4, 8, 16):
    own, large = lora_room.lora_size(128, 4, rank), lora_room.lora_size(768, 12, rank)
    inputs_only = lora_room.lora_size(768, 12, rank, ["c_attn"])
    print(f"{rank:>4}{own / ours:>6.1%}{large / gpt2:>7.2%}{inputs_only / gpt2:>7.2%}")

# %% [markdown]
# Whether the slogan is true depends on the size of the model and on the rank:

# %%
shares = lora_room.lora_size(128, 4, 4) / ours, lora_room.lora_size(768, 12, 4) / gpt2
claims.add(
    "F3",
    "LoRA trains less than 1 % of the parameters",
    source="lecture",
    published="< 1 %",
    measured=f"rank 4 beside all matrices: {shares[0]:.1%} of ours, {shares[1]:.2%} of GPT-2's",
    holds=shares[1] < 0.01,
    reason=f"True of GPT-2 at rank 4, not of ours ({shares[0]:.1%}), and at rank 16 not of GPT-2 either "
    f"({lora_room.lora_size(768, 12, 16) / gpt2:.1%}). The share grows with the rank and falls with "
    "the width.",
)


# %% [markdown]
# What does it save? A training step keeps four numbers for each parameter that it trains: weight, gradient, and the two averages of Adam. A frozen one needs its weight only. Time is another matter: the gradient still has to flow through the whole model, and only the gradients of the frozen matrices themselves are left out.

# %%
def numbers_kept(model):
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    return sum(p.numel() for p in model.parameters()) + 3 * trained


thin = lora_room.add_lora(base, rank=4)
print(f"ours:  {numbers_kept(thin) / (4 * ours):.2f} of the memory for weights, gradients and averages")
print(f"GPT-2: {(gpt2 + 4 * lora_room.lora_size(768, 12, 4)) / (4 * gpt2):.2f}")


# %% [markdown]
# And a step's time, as a ratio: the median of five steps each, forward and backward, on the same batch.

# %% tags=["nbval-ignore-output"]
def step_time(model, n=5):
    """The median time of a step, forward and backward, in seconds of this process."""
    seconds = []
    for _ in range(n):
        begun = time.process_time()
        instruction_tuning.answer_loss(model, (inputs, targets, mask)).backward()
        seconds.append(time.process_time() - begun)
        model.zero_grad()
    return sorted(seconds)[n // 2]


ratio = step_time(thin) / step_time(instruction_tuning.base_with_chat())
print(f"here a step with LoRA takes {ratio:.1f} times as long as one with all weights")

# %% [markdown]
# On a large model the saved memory decides whether it fits on your GPU at all. And many adapters can share one base: each is a small file.
#
# ### Does LoRA forget less?
#
# **Question.** The lecture says: full fine-tuning forgets, LoRA forgets less. Compare fairly: at *equal task accuracy*. Somebody who has learnt less has also forgotten less.
#
# First a run of your own, 60 steps as before, with rank 8. LoRA is usually given a higher rate, here five times as high. Some 20 seconds. **Predict** where its two curves will run.

# %%
lora_run = lora_room.FineTuningRun(rank=8, lr=1e-2, steps=STEPS)
lora_tuned, lora_history, lora_forgotten = watch(lora_run)

# %% [markdown]
# Both runs side by side:

# %%
fig, (left, right) = subplots(1, 2, figsize=(9, 3.2))
for history, kept, name, color in ((sft_history, forgotten, "all weights", "blue"),
                                   (lora_history, lora_forgotten, "LoRA, rank 8", "orange")):
    left.plot(history.steps, history.losses, color=COLORS[color], label=name)
    right.plot(range(0, STEPS + 1, 10), kept, "o-", color=COLORS[color], label=name)
left.set(xlabel="step", ylabel="nats a token", title="loss on the answers", ylim=(0, None))
right.set(xlabel="step", ylabel="nats a token", title="loss on unseen stories", ylim=(0, None))
left.legend()
assert forgotten[-1] > lora_forgotten[-1] > lora_forgotten[0] and lora_history.losses[-1] < 1.5
show(fig, "Both learn the answers; both forget stories, and LoRA at these rates forgets less of them.")


# %% [markdown]
# In this pair LoRA forgets less, clearly. But is it LoRA, or the choice of the learning rates? The record has all weights at three rates, and LoRA at five ranks and three rates, each measured after 100, 200 and 300 steps. A dot is one of these models. **Predict** where LoRA's dots lie.

# %%
def marks(low, high, lr=None):
    """(accuracy, story loss) on the way, of the runs with these ranks (and this rate)."""
    return [(mark["accuracy"], mark["story_loss"]) for row in record["parts"]["methods"]
            if low <= row["rank"] <= high and lr in (None, row["lr"]) for mark in row["curve"]]


fig, ax = subplots(figsize=(7, 3.9))
for rate, color in ((2e-3, "blue"), (1e-3, "sky"), (5e-4, "purple")):
    points = zip(*marks(0, 0, rate), strict=True)
    ax.plot(*points, "s-", color=COLORS[color], label=f"all weights, rate {rate:g}")
ax.scatter(*zip(*marks(1, 16), strict=True), color=COLORS["orange"], label="LoRA", zorder=3)
ax.axhline(forgotten[0], color="black", linestyle=":", label="before")
ax.set(xlabel="share of right answers", ylabel="loss on unseen stories, nats", ylim=(0.6, 2.8))
ax.legend(fontsize=9, loc="upper left", bbox_to_anchor=(1.0, 1.0))
assert len(marks(0, 0)) == 9 and len(marks(1, 16)) == 21
show(fig, "Story loss against right answers: LoRA lies far below all weights at the high rate, and near "
          "them at the two lower rates. None of LoRA's dots gets as far to the right.")

# %% [markdown]
# To put it in numbers, take every pair of a LoRA dot and another one whose accuracies differ by at most 0.05. How often has LoRA forgotten less?

# %%
wins = {}
for rate in (2e-3, 1e-3, 5e-4, None):
    pairs = [a[1] > b[1] for a in marks(0, 0, rate) for b in marks(1, 16) if abs(a[0] - b[0]) <= 0.05]
    wins[rate] = sum(pairs) / len(pairs)
    named = f"rate {rate:g}" if rate else "any rate"
    print(f"against all weights at {named:<12} in {wins[rate]:>4.0%} of {len(pairs)} pairs")

# %% [markdown]
# Or compare the best with the best: of all models that get a share right, how little has the best one forgotten?

# %%
for goal in (0.4, 0.5, 0.6, 0.7, 0.8):
    best = [min((kept for right, kept in dots if right >= goal), default=None)
            for dots in (marks(0, 0), marks(1, 16))]
    print(f"{goal} right:", *(f"{name} {kept:.2f}" if kept else f"{name} never" for name, kept in
                             zip(("all weights", "LoRA"), best, strict=True)), sep="   ")

# %% [markdown]
# The rate decides most. At the highest, all weights forget most, and LoRA wins every time. At the lowest they forget little, and have learnt less in 300 steps. Best against best, LoRA is ahead by a little, with one seed and 140 questions a dot. "LoRA forgets less" is true of common settings; what counts is how far the model is moved.

# %%
claims.add(
    "F2", "full fine-tuning forgets; LoRA forgets less", source="lecture", published="forgets less",
    measured=f"stories from {forgotten[0]:.2f} to {full_run['story_loss']:.2f} nats with all weights; "
             f"LoRA forgot less in {wins[None]:.0%} of the pairs of equal accuracy",
    holds=full_run["story_loss"] > forgotten[0] + 0.5 and wins[None] > 0.8,
    reason=f"Forgetting: yes. LoRA: in {wins[2e-3]:.0%} of the pairs against all weights at the rate "
           f"0.002, in {wins[5e-4]:.0%} at 0.0005. The rate matters more; replay beats both.",
)


# %% [markdown]
# ### A view of the rank
#
# **Move it.** How much does a higher rank buy, in right answers, and what does it cost, in parameters and in stories?

# %%
def rank_view(rank):
    row = next(row for row in record["parts"]["methods"] if row["rank"] == rank)
    fig, axes = subplots(1, 2, figsize=(9, 3.7))
    for ax, key, best in zip(axes, ("accuracy", "story_loss"), (1.0, forgotten[0]), strict=True):
        both = (full_run, "blue", "all weights"), (row, "orange", f"LoRA, rank {rank}")
        for each, color, name in both:
            steps = [mark["step"] for mark in each["curve"]]
            ax.plot(steps, [mark[key] for mark in each["curve"]], "o-", color=COLORS[color], label=name)
        ax.axhline(best, color="black", linestyle=":")
        ax.set_xlabel("step")
    axes[0].set(ylim=(0, 1.05), ylabel="share of right answers")
    axes[1].set(ylim=(0.5, 2.8), ylabel="stories' loss, nats")
    axes[0].legend()
    part = row["trained"] / full_run["trained"]
    fig.suptitle(f"{row['trained']:,} numbers are trained, {part:.0%} of all", fontsize=12)
    alt = f"Rank {rank}: {row['shares']['train']['all']:.2f} right at the end, "
    alt += f"{row['story_loss']:.2f} nats a word of a story, {part:.0%} of the parameters trained."
    return Picture(fig, alt)


# %% [markdown]
# The dotted lines are the best possible on the left and the stories' loss before on the right.

# %%
explore(rank_view, rank=widgets.SelectionSlider(options=[1, 2, 4, 8, 16], value=4, description="rank r"))

# %% [markdown]
# Rank 2 does nearly all that rank 16 does. From there on a higher rank hardly helps these tasks, and forgets more. And all weights, at the high rate, learn more in these 300 steps than any rank: here, "LoRA learns less and forgets less" (Biderman and others 2024).
#
# ## What we verified
#
# Each claim with its source, what was published, and what you measured.

# %%
claims.show()

# %% [markdown]
# Your exercises: which pass, and which are still open.

# %% tags=["progress"] slideshow={"slide_type": "skip"}
exercises.progress("lora")

# %% [markdown]
# **What this lesson leaves out.** One base model and one set of tasks; on large models the same comparison can come out otherwise.
#
# ## Further reading
#
# - Hu and others 2021, [LoRA: Low-Rank Adaptation of Large Language Models](https://arxiv.org/abs/2106.09685), section 4.
# - Biderman and others 2024, [LoRA Learns Less and Forgets Less](https://arxiv.org/abs/2405.09673): the same comparison on large models.
