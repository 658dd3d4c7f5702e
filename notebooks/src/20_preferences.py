# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 20 · Preferences and rewards: what does a reward teach?
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/OWNER--SET-ME/llm-inside/blob/main/notebooks/20_preferences.ipynb) · [open this lesson in Colab](https://colab.research.google.com/github/OWNER--SET-ME/llm-inside/blob/main/notebooks/20_preferences.ipynb)
#
# **For many tasks nobody can write down the right answer, but people can say which of two they prefer. Can a model learn from that?** You learn from
# pairs and from rewards, compare it with plain resampling at equal compute, and catch a reward that is being gamed.
#
# **Time.** Running: about two minutes on CPU; about five minutes on a GPU, where the live runs are as long as the recorded ones. Reading and exercises: about an hour.
#
# **What you will be able to do**
# - write the loss of DPO, and say what its reference is for;
# - train by reward on a leash, and say what the leash costs;
# - catch a reward that is being gamed, and compare all methods at equal compute.
#
# **Prerequisites.** Lesson 18 (instruction tuning). From lesson 07, the KL divergence.

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
# What this lesson builds stands finished in `course_utils.preferences`. You build the main pieces here.

# %% tags=["imports"]
import math
from collections import Counter

import ipywidgets as widgets
import numpy as np
import torch
from torch import Tensor

from course_utils import exercises, preferences, pretrained
from course_utils.classroom import (
    COLORS, Claims, Picture, explore, generator, pick, progress, show, subplots,
)
from course_utils.exercises import check, hint, solution
from course_utils.instruction_tuning import END_OF_TURN, grade

claims = Claims("20")

# %% [markdown]
# The assistant of lesson 18:

# %%
helper = pretrained.assistant()
print(f"{helper.config.vocab_size} tokens")

# %% [markdown]
# ## Which answer is better?
#
# **Question.** For many tasks nobody can write down *the* right answer. But people can say which of two answers they prefer. Can a model learn from that?
#
# Our example is the task *continue*: write a sentence that may follow in the story. There are many right answers. We draw four from the assistant, at temperature 1. The mark is the grader's.

# %%
asked = preferences.Questions.draw(preferences.MADE_FROM, 1200)
shown = asked.tasks[0][0]
four = preferences.sample_answers(
    helper, asked.prompts[0][:1], 4, preferences.N_NEW, END_OF_TURN, generator(1)
)[0]
print("…", shown.user[-110:])
for text in map(preferences.text_of, four):
    print("   right" if grade(shown, text) else "   wrong", " ", text)

# %% [markdown]
# ### Pairs
#
# A **pair** is a prompt with two answers, one preferred. We let the assistant answer each question four times and keep a right and a wrong answer.
#
# Who prefers? If people do, the method is called **RLHF**, reinforcement learning from *human* feedback. If another model does, **RLAIF**. Here a program does that knows the truth. That is neither, and better than both: it does not err.

# %%
fresh = preferences.make_pairs(helper, preferences.Questions.draw(305, 400), 60, generator(1))
print(len(fresh), "pairs drawn here and now")

# %% [markdown]
# These are yours alone. Two processors round the last digit of a probability differently. Sooner or later that is another word, then another answer, another judge, another policy. So the pairs that we learn from were drawn once, in the same way, and are stored (`tools/train_preferences.py`). Yours are the test that the stored ones are like any others.

# %%
pairs, unseen = (
    preferences.stored_pairs("seen", preferences.FEW),
    preferences.stored_pairs("unseen"),
)
good, bad = (
    ids[0][mask[0]]
    for ids, mask in ((pairs.chosen, pairs.chosen_mask), (pairs.rejected, pairs.rejected_mask))
)
print(
    len(pairs),
    "pairs. The first: preferred",
    repr(preferences.text_of(good)),
    "to",
    repr(preferences.text_of(bad)),
)

# %% [markdown]
# ### A model of the one who prefers
#
# A **reward model** gives each answer *a* one number, its **reward** r(*a*). The Bradley–Terry model turns two rewards into the chance that *a* is preferred to *b*:
#
# > P(*a* is preferred to *b*) = σ(r(*a*) − r(*b*)), where σ(*x*) = 1 / (1 + e⁻ˣ) is the sigmoid
#
# Only the difference counts.
#
# Training makes the preferences that were observed likely: the loss is −log P, averaged over the pairs.
#
# Ours is cheap. It is the assistant itself, frozen, with a new head that reads one number off the last token of the answer: 128 weights to fit.

# %%
judge = preferences.RewardModel(helper)
features, held = preferences.features(judge, pairs), preferences.features(judge, unseen)
preferences.fit_head(judge, *features)
same = torch.cosine_similarity(
    judge.head.weight[0], torch.tensor(preferences.recorded()["heads"]["few"]), dim=0
)
print(f"cosine with the head in the record: {same:.2f}")
assert same > 0.999

# %% [markdown]
# **Predict.** On its 100 pairs it should do well. And on pairs that it has not seen? 50 % would be a coin.

# %%
gaps = {
    name: judge.head(right - wrong)[:, 0].detach()
    for name, (right, wrong) in (("seen", features), ("unseen", held))
}
fig, ax = subplots(figsize=(8, 3.4))
for name, color in (("seen", "sky"), ("unseen", "orange")):
    share = (gaps[name] > 0).float().mean().item()
    weights = np.full(len(gaps[name]), 1 / len(gaps[name]))
    ax.hist(
        gaps[name],
        bins=24,
        range=(-4, 4),
        weights=weights,
        alpha=0.6,
        color=COLORS[color],
        label=f"{name} pairs: right in {share:.0%}",
    )
ax.axvline(0, color="black", lw=1)
ax.set(xlabel="reward of the right answer minus reward of the wrong one", ylabel="share of pairs")
ax.legend(loc="upper left")
right_on = {name: (gap > 0).float().mean().item() for name, gap in gaps.items()}
assert right_on["seen"] > 0.9 and right_on["unseen"] < 0.7
assert abs(preferences.reward_accuracy(judge, fresh) - right_on["unseen"]) < 4 * math.sqrt(
    0.25 / len(fresh)
)
show(
    fig,
    "Reward differences: positive on nearly all seen pairs, on unseen pairs on both sides of 0.",
)

# %% [markdown]
# It knows its examples by heart and is little better than a coin on others. More pairs help. The record has the same head fitted to 600 pairs, and 300 unseen pairs to test both.

# %%
pref = preferences.recorded()
for row in pref["accuracy"].values():
    print(f"{row['pairs']} pairs: right on {row['seen']:.0%} of them, {row['unseen']:.0%} of new ones")


# %% [markdown]
# Keep both. The one from 100 pairs we call the **flawed judge**. You will see what happens to those who please it.
#
# ### Without a reward model: DPO
#
# **Question.** Do you need the reward model at all?
#
# Write π for the model in training, the **policy**, and π₀ for the **reference**, the fixed model that it starts from. Suppose you want much reward, but not far from π₀. The best policy is known:
#
# > π(*a*) = π₀(*a*) · exp(r(*a*) / β) / *Z*
#
# β > 0 says how tight the leash is, and *Z* makes the sum 1. Solve for the reward: r(*a*) = β · log(π(*a*) / π₀(*a*)) + β · log *Z*. In a difference of two rewards *Z* drops out.
#
# So the policy *is* a reward model, an implicit one. Put it into Bradley–Terry, and you can train the policy on the pairs directly. This is **direct preference optimisation**, DPO:
#
# > loss = −log σ( β · [ log π(*a*)/π₀(*a*) − log π(*b*)/π₀(*b*) ] ), with *a* preferred to *b*
#
# ### Exercise 1 · the DPO loss
#
# *Difficulty 2 of 3 · 10 minutes*
#
# You get the log-probabilities of whole answers. Beware of the logarithm of a sigmoid: for log-probabilities far apart the sigmoid is 0 in float32, and its logarithm is not a number you can train with.

# %% tags=["exercise"]
def dpo_loss(policy_chosen: Tensor, policy_rejected: Tensor, reference_chosen: Tensor,
             reference_rejected: Tensor, beta: float) -> Tensor:
    """The loss of direct preference optimisation: minus the log-probability of the preferences.

    It is the Bradley–Terry loss of the implicit reward beta · log(policy / reference).
    Log-probabilities of whole answers go in, (B,) each; the mean over pairs comes out, (), in nats.
    beta > 0 is the strength of the leash: the policy that is best for a reward is
    reference · exp(reward / beta), rescaled to sum to 1.
    Raises: ValueError for unlike shapes, or beta <= 0. Source: Rafailov et al. 2023, equation 7.

    >>> a, b = torch.tensor([-2.0, -3.0]), torch.tensor([-4.0, -4.0])
    >>> dpo_loss(a, b, a, b, beta=0.1), dpo_loss(a, b, b, b, beta=0.5)  # log 2 at the start
    (tensor(0.6931), tensor(0.3937))
    """
    ...


# %% tags=["check"]
dpo_loss = check("preferences.dpo_loss", dpo_loss)
# hint("preferences.dpo_loss")
# solution("preferences.dpo_loss")

# %% [markdown]
# The course's tests compare this loss and its gradient with what the library `trl` computes, where it is installed.
#
# **Does it do what the formula promises?** Take five answers with known rewards and a policy that is just five numbers. 20,000 pairs are drawn, and Bradley and Terry's chance decides each. **Predict** what β = 0.5 and β = 2 do to the best answer.

# %%
reward = torch.tensor([0.0, 0.5, 1.0, 1.5, 2.0])
log_pi_0 = torch.tensor([0.4, 0.3, 0.15, 0.1, 0.05]).log()
dice = generator(0)
first, second = torch.randint(5, (2, 20_000), generator=dice)
wins = torch.rand(20_000, generator=dice) < torch.sigmoid(reward[first] - reward[second])
chosen, rejected = torch.where(wins, first, second), torch.where(wins, second, first)


def tabular_dpo(beta):
    theta = torch.zeros(5, requires_grad=True)
    optimizer = torch.optim.Adam([theta], 0.05)
    for _ in range(300):
        log_pi = theta.log_softmax(0)
        loss = dpo_loss(
            log_pi[chosen], log_pi[rejected], log_pi_0[chosen], log_pi_0[rejected], beta
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return theta.detach().softmax(0)


# %% [markdown]
# Beside the result we draw the closed form.

# %%
fig, axes = subplots(1, 2, figsize=(9.5, 3.2), sharey=True)
for ax, beta in zip(axes, (0.5, 2.0), strict=True):
    closed, fitted = (log_pi_0 + reward / beta).softmax(0), tabular_dpo(beta)
    ax.bar(torch.arange(5) - 0.25, log_pi_0.exp(), 0.25, color=COLORS["sky"], label="reference π₀")
    ax.bar(torch.arange(5), closed, 0.25, color=COLORS["blue"], label="closed form")
    ax.bar(torch.arange(5) + 0.25, fitted, 0.25, color=COLORS["orange"], label="trained by DPO")
    ax.set(title=f"β = {beta}", xlabel="reward", xticks=range(5), xticklabels=reward.tolist())
    torch.testing.assert_close(fitted, closed, atol=0.03, rtol=0)
axes[0].set_ylabel("probability")
axes[1].legend()
show(fig, "DPO reaches the closed form; with β 0.5 the best answer leads, with 2 the reference does.")

# %% [markdown]
# DPO found the closed form, and it never saw a reward. A small β lets go of the reference; a large one holds it.
#
# **And the assistant?** The record trains all weights on the 600 pairs. First live, on our 100 pairs: ten steps of 16 pairs, about 10 seconds (with a GPU, as many as in the record). The first loss must be log 2. Why?

# %%
dpo_runs = [run for run in pref["runs"] if run["method"] == "dpo"]
DPO_STEPS = pick(cpu=10, gpu=len(dpo_runs[0]["losses"]))
live = preferences.train_dpo(preferences.copy_of(helper), helper, pairs, DPO_STEPS, beta=0.1)
print(f"first loss {live.losses[0]:.4f} = log 2, the last three on average lower:",
      sum(live.losses[-3:]) / 3 < live.losses[0] - 0.01)
assert abs(live.losses[0] - math.log(2)) < 1e-4 and sum(live.losses[-3:]) / 3 < live.losses[0] - 0.01

# %% [markdown]
# At the start policy and reference are the same model, so the implicit rewards are 0 and both answers equally good.
#
# Now the record. For both values of β: the share of right answers before and after, and how far the log-probabilities of the pairs' answers moved. **Predict**: the preferred answers become likelier, of course. Do they?

# %%
before = pref["before"]
print(f"the assistant:   {before['truth']:.2f} right, {before['greedy']:.2f} greedy")
for run in dpo_runs:
    after, moved = run["after"], run["moved"]
    print(f"DPO, beta {run['beta']}:  {after['truth']:.2f} right, {after['greedy']:.2f} greedy; "
          f"preferred {moved['chosen']:+.1f}, rejected {moved['rejected']:+.1f} nats")

# %% [markdown]
# More answers are right, and the rejected ones have become much less likely. But look at the preferred ones: they are *less* likely than before, too. The loss asks for the difference alone, and pushing both down, one of them harder, is an easy way to get it. The probability goes to answers that are in no pair.

# %%
dpo_loose = min(dpo_runs, key=lambda run: run["beta"])
assert all(run["after"]["truth"] > pref["before"]["truth"] + 0.02 for run in dpo_runs)
assert dpo_loose["moved"]["rejected"] < dpo_loose["moved"]["chosen"] < 0
print("different answers:", *(f"{x['distinct']:.0%}" for x in (pref["before"], dpo_loose["after"])))


# %% [markdown]
# ## Learning from a reward
#
# **Question.** A program can say for any answer whether it is right. That is a **verifiable reward**: 1 or 0. Can the assistant learn from it, without a single example of how to do better?
#
# The loop of **reinforcement learning**: draw answers from the policy itself, reward them, make the better ones likelier, and again. The update is REINFORCE: follow the gradient of *weight* · log π(answer).
#
# What is the weight? With the reward alone, every right answer is pushed up and nothing is pushed down. It helps to ask: better than what? Better than the *other answers to the same prompt*. That difference is the **advantage**.
#
# ### Exercise 2 · the advantage
#
# *Difficulty 2 of 3 · 8 minutes*
#
# Compare each answer with the mean of the others, not with the mean of all: a baseline that holds the answer's own reward would shrink its own gradient.

# %% tags=["exercise"]
def advantages(rewards: Tensor) -> Tensor:
    """How much better each answer is than the mean of the other answers to the same prompt.

    The baseline leaves the answer itself out, so that it does not depend on it, and the mean
    gradient stays what it was. Shapes: rewards (B, k) -> (B, k). Raises: ValueError for k < 2.
    Source: Kool et al. 2019, "Buy 4 REINFORCE Samples, Get a Baseline for Free!", section 2.

    >>> advantages(torch.tensor([[1.0, 0.0, 0.0], [5.0, 5.0, 5.0]]))
    tensor([[ 1.0000, -0.5000, -0.5000],
            [ 0.0000,  0.0000,  0.0000]])
    """
    ...


# %% tags=["check"]
advantages = check("preferences.advantages", advantages)
# hint("preferences.advantages")
# solution("preferences.advantages")

# %% [markdown]
# ### The leash
#
# A policy that only chases reward forgets how it used to talk. So it pays for going away from the reference: β for each nat by which an answer has become likelier. On average over its own answers that price is β · KL(π‖π₀), the divergence of lesson 07. Here β weighs reward against nats.
#
# ### Exercise 3 · the reward on a leash
#
# *Difficulty 1 of 3 · 6 minutes*

# %% tags=["exercise"]
def leashed_reward(
    reward: Tensor, policy_log_prob: Tensor, reference_log_prob: Tensor, beta: float
) -> Tensor:
    """The reward minus beta · log(policy / reference): what is gained, less the price of going
    away.

    On average over the policy's own answers the price is beta · KL(policy‖reference).
    The result is a plain number to weigh with: no gradient flows through it.
    Shapes: all (...,) -> (...,). Units: log-probabilities in nats, beta in reward a nat.
    Raises: ValueError for a negative beta. Source: Ouyang et al. 2022, equation 2.

    >>> reward = torch.ones(2)
    >>> policy = torch.tensor([-1.0, -4.0])
    >>> reference = torch.tensor([-3.0, -4.0])
    >>> leashed_reward(reward, policy, reference, beta=0.25)
    tensor([0.5000, 1.0000])
    """
    ...


# %% tags=["check"]
leashed_reward = check("preferences.leashed_reward", leashed_reward)
# hint("preferences.leashed_reward")
# solution("preferences.leashed_reward")

# %% [markdown]
# **A first run.** No leash, the grader as reward, 8 prompts with 8 answers each in a step. 20 steps take about 15 seconds (in the gpu profile it is the record's 50). **Predict** the share of right answers after those steps; it starts at about 0.6.

# %%
rl_policy, questions = preferences.copy_of(helper), preferences.Questions.draw(202, 1500)
verified = [run for run in pref["runs"] if run["method"] == "verified"]
RL_STEPS = pick(cpu=20, gpu=len(verified[0]["truth"]))
bar = progress(range(RL_STEPS + 1), "steps")
first_steps = preferences.polish(
    rl_policy, helper, questions, RL_STEPS, on_step=lambda row: next(bar) < 0
)
early, late = (
    np.mean(first_steps["truth"][:10]),
    np.mean(first_steps["truth"][-10:]),
)  # 640 answers each
expected = np.mean(verified[0]["truth"][RL_STEPS - 10 : RL_STEPS])
print(f"it rises: {late > early + 0.05};  as in the record: {abs(late - expected) < 0.1}")
assert late > early + 0.05 and abs(late - expected) < 0.1


# %% [markdown]
# Nobody showed it a better answer; it found them among its own. The record has 50 steps, with three leashes. The right picture counts how many *different* answers there are among the 64 of a step.

# %%
def smooth(values, n=5):
    """The mean of n steps in a row."""
    return np.convolve(values, np.ones(n) / n, mode="valid")


# %% [markdown]
# One step is 64 answers, so a curve is noisy; we draw means of five steps.

# %%
fig, axes = subplots(1, 2, figsize=(9.5, 3.4))
for run, color in zip(verified, ("vermillion", "orange", "blue"), strict=True):
    for ax, key in zip(axes, ("truth", "distinct"), strict=True):
        ax.plot(smooth(run[key]), color=COLORS[color], label=f"β = {run['beta']}")
axes[0].set(xlabel="step", ylabel="share of right answers", ylim=(0, 1.02))
axes[1].set(xlabel="step", ylabel="share of different answers", ylim=(0, 1.02))
axes[0].legend(loc="lower right")
assert np.mean(verified[0]["truth"][-10:]) > 0.85 > pref["before"]["truth"]
assert np.mean(verified[0]["distinct"][-10:]) < np.mean(verified[-1]["distinct"][-10:])
show(fig, "Right answers rise with every leash; their variety falls, most of all without a leash.")

# %% [markdown]
# What does the best of them say now? These are its answers to four different stories.

# %%
for text, count in Counter(verified[0]["texts"]).most_common():
    print(f"{count} of {len(verified[0]['texts'])} times: {text}")
after = verified[0]["after"]
print(f"\n{after['truth']:.2f} right, {after['kl']:.1f} nats from the assistant")

# %% [markdown]
# Nearly all of it is right, and nearly all of it is the same: *They went to the …* fits almost every story. The reward did not ask for variety and got none. A leash buys some of it back, for a little accuracy.
#
# So even a *true* reward is maximised as it was written, not as it was meant.
#
# ## A reward that is wrong
#
# **Question.** A program that knows the truth is a luxury. Mostly the reward is a *learnt* model of what people prefer. It is right often, not always. What does a policy do that is trained to please it?
#
# Take the flawed judge, which learnt from 100 pairs. Its reward is now the **proxy**. The grader only watches. **Predict** both curves: proxy and truth. (In the gpu profile we go on for as many steps as the record, and once more with the recorded judge.)

# %%
fl_runs = [run for run in pref["runs"] if run["method"] == "judged"]
fl_free = [run for run in fl_runs if run["judge"] == "few" and run["beta"] == 0]
FL_STEPS = pick(cpu=12, gpu=len(fl_free[0]["truth"]))
fl_live, fl_own = {}, judge.head.weight[0].detach().clone()
for name in pick(cpu=["ours"], gpu=["recorded", "ours"]):
    preferences.set_head(judge, fl_own if name == "ours" else torch.tensor(pref["heads"]["few"]))
    bar = progress(range(FL_STEPS + 1), "steps")
    fl_live[name] = preferences.polish(
        preferences.copy_of(helper),
        helper,
        questions,
        FL_STEPS,
        judge=judge,
        on_step=lambda row, bar=bar: next(bar) < 0,
    )
apart = [
    abs(np.mean(fl_live["ours"][key][:12]) - np.mean(fl_free[0][key][:12]))
    for key in ("reward", "truth")
]
print("12 steps, proxy and truth as in the record:", apart[0] < 0.2, apart[1] < 0.1)
assert pick(cpu=apart[0] < 0.2 and apart[1] < 0.1, gpu=True)
for name, run in fl_live.items() if FL_STEPS > 12 else ():
    start, top, end = run["truth"][0], max(smooth(run["truth"])), np.mean(run["truth"][-5:])
    print(
        f"{FL_STEPS} steps, {name}: truth {start:.2f}, at most {top:.2f}, at the end {end:.2f};",
        f"proxy {np.mean(run['reward'][:5]):+.1f} to {np.mean(run['reward'][-5:]):+.1f}",
    )

# %% [markdown]
# The record goes on to 100 steps, three times with other dice. Do not expect of such a run that it repeats: two judges whose weights agree in all digits but the last ones led us once to a truth of 0 and once to one above the start. That the proxy climbs is sure; whether the policy finds a hole in the judge within 100 steps is chance.
#
# Gao and others (2023) draw such runs against **d = √KL**, the square root of the divergence from the reference: how far the policy has gone. Best of *n*, which you will meet below, can be put on the same axis: its divergence is log *n* − (*n* − 1)/*n*.

# %%
fl_best = next(run for run in pref["runs"] if run["method"] == "best of n")


def by_distance(run, key):
    """The smoothed curve of a run against √KL."""
    kl = smooth(run["kl"]).clip(min=0)
    return np.sqrt(kl), smooth(run[key])


peaks = [max(smooth(run["truth"])) for run in fl_free]
ends = [np.mean(run["truth"][-10:]) for run in fl_free]

# %% [markdown]
# `by_distance` gives a curve in these terms. Red: reinforcement, three times. Blue: best of *n*.

# %%
fig, axes = subplots(1, 2, figsize=(9.5, 3.6))
d_best = [math.sqrt(preferences.best_of_n_kl(n)) for n in fl_best["n"]]
for ax, key, name in zip(axes, ("reward", "truth"), ("proxy", "truth"), strict=True):
    for run in fl_free:
        ax.plot(*by_distance(run, key), color=COLORS["vermillion"], lw=1.4, alpha=0.8)
    ax.plot(d_best, fl_best[f"few {name}"], "o-", color=COLORS["blue"])
    ax.set_xlabel("distance from the assistant, √KL (√nats)")
axes[0].set(ylabel="reward by the flawed judge", title="proxy")
axes[1].set(ylabel="share of right answers", title="truth", ylim=(0, 1.02))
assert all(np.mean(run["reward"][-10:]) > np.mean(run["reward"][:5]) + 0.5 for run in fl_free)
assert min(peaks) > pref["before"]["truth"] > max(ends) + 0.1
show(fig, "Against distance: the proxy rises and stays; the truth rises a little, then falls to 0.")

# %% [markdown]
# The proxy climbs and stays up. The truth climbs first, too: as long as the policy stays among answers like those that the judge has seen, the judge's opinion is worth something. Then the policy finds what the judge likes *and has never seen*. Here is what the three runs say at the end, to four stories about other toys:

# %%
for run in fl_free:
    (text, count), = Counter(run["texts"]).most_common(1)
    print(f"{count} of {len(run['texts'])} times: {text}  ({run['after']['truth']:.2f} right)")

# %% [markdown]
# One sentence for all stories, with a toy from none of them. The judge gives it more than any honest answer. This is **reward over-optimisation**: a measure that becomes the target stops being a good measure (Goodhart's law).
#
# Best of *n* goes less far: it can only choose among what the assistant says anyway. But it has a peak, too.
#
# ### A view: how long is the leash?
#
# **Predict** before you move the slider: does a leash help? And is it better than stopping early? Compare at *equal distance*: are the leashed curves above the free one, or on it?

# %%
FL_BETAS = sorted({run["beta"] for run in fl_runs if run["judge"] == "few"})


def leash_view(beta):
    fig, axes = subplots(1, 2, figsize=(9.5, 3.4))
    for run in (run for run in fl_runs if run["judge"] == "few" and run["seed"] == 0):
        for ax, key in zip(axes, ("reward", "truth"), strict=True):
            mine, (x, y) = run["beta"] == beta, by_distance(run, key)
            color = COLORS["vermillion" if mine else "sky"]
            ax.plot(x, y, color=color, lw=1 + 1.6 * mine, zorder=2 + mine)
            if mine:
                ax.plot(x[-1], y[-1], "o", color=color, zorder=4)
                end = np.mean(run["truth"][-10:])
    axes[0].set(xlabel="√KL", ylabel="reward by the judge", title=f"proxy, β = {beta}", xlim=(0, 5.5))
    axes[1].set(xlabel="√KL", ylabel="right answers", title=f"truth: {end:.2f} at the end",
                xlim=(0, 5.5), ylim=(0, 1.02))
    return Picture(fig, f"Leash {beta}: at the end {end:.2f} of the answers are right.")


explore(leash_view, beta=widgets.SelectionSlider(options=FL_BETAS, value=0.1, description="leash β"))

# %% [markdown]
# The leash holds the policy where the judge is worth something. After 100 steps the free policy is ruined, and the one with β = 0.1 is better than the assistant. With β = 1 little happens at all.
#
# Gao and others report that in their runs a leashed policy at some distance was no better than a free one passing there: the leash worked like stopping early. Ours?

# %%
fl_leashed = [run for run in fl_runs if run["judge"] == "few" and run["beta"] in (0.1, 0.3)]
fl_near = {}
for name, some in (("free", fl_free), ("leashed", fl_leashed)):
    kl, truth = (np.concatenate([smooth(run[key]) for run in some]) for key in ("kl", "truth"))
    fl_near[name] = truth[(kl > 1.5) & (kl < 5)].mean()
    print(f"{name:<8} between 1.5 and 5 nats: {fl_near[name]:.1f} right")

# %% [markdown]
# Here the leashed ones are better at the same distance: the free ones rush through, the leashed ones stay and learn on. It is one run for each β, and one small model. Take it as an observation, not as a law.
#
# ### A better judge
#
# **Predict.** The judge from 600 pairs is right on unseen pairs more often. Does that cure it?

# %%
fl_many = next(run for run in fl_runs if run["judge"] == "many")
fig, ax = subplots(figsize=(8, 3.4))
for run, color, name in ((fl_free[0], "vermillion", "100 pairs"), (fl_many, "green", "600 pairs")):
    ax.plot(*by_distance(run, "truth"), color=COLORS[color], label=f"judge from {name}")
ax.axhline(pref["before"]["truth"], color="black", lw=1, ls=":")
ax.set(xlabel="distance from the assistant, √KL (√nats)", ylabel="share of right answers",
       ylim=(0, 1.02))
ax.legend()
fl_late = {"few": np.mean(fl_free[0]["truth"][-10:]), "many": np.mean(fl_many["truth"][-10:])}
assert fl_late["few"] < fl_late["many"] < pref["before"]["truth"]
print("it ends with:", Counter(fl_many["texts"]).most_common(1)[0][0])
show(fig, "The truth against distance for two judges: both rise, both fall at about the same distance.")

# %% [markdown]
# It does not. The better judge lets the truth climb a little higher, and then the fall comes at about the same distance. It ends higher because it stops earlier: *They went home* is not far from what the assistant says anyway, and right whenever the children are away.
#
# What protects you is a leash, a look at the answers, and a measure of the truth that the training does not see.

# %%
truth_before, verified_end = pref["before"]["truth"], verified[0]["after"]["truth"]
peak, end = np.mean(peaks), np.mean(ends)
proxy_up = sum(np.mean(run["reward"][-10:]) > np.mean(run["reward"][:5]) + 0.5 for run in fl_free)
claims.add(
    "F7", "reinforcement learning maximises reward, also a flawed one: proxy up, truth down",
    source="vendor article; Gao 2023", published="truth rises, then falls with √KL",
    measured=f"true reward: from {truth_before:.2f} to {verified_end:.2f} right; flawed judge: proxy "
             f"up in {proxy_up} of {len(fl_free)} runs, truth to {peak:.2f}, then {end:.2f}",
    holds=verified_end > 0.85 and peak > truth_before > end + 0.1,
    reason="Even the true reward costs variety: the policy repeats a few safe sentences.",
)

# %% [markdown]
# ## What does it cost?
#
# **Question.** There is a way to better answers that trains nothing: draw *n* answers and keep the best. Lesson 12 did that for sums. Who chooses? If it is a program that knows the truth, **coverage**: one right answer among *n* is enough. If it is a judge, only as good as the judge.
#
# A small live run: 16 answers to each of 32 questions, about 4 seconds. **Predict** the order of the three choosers: the truth, the judge from 600 pairs, the flawed one.

# %%
bon = next(run for run in pref["runs"] if run["method"] == "best of n")
bon_asked = preferences.Questions.draw(303, 1500, batch=32)
bon_answers = preferences.sample_answers(
    helper, bon_asked.prompts[0], 16, preferences.N_NEW, END_OF_TURN, generator(2)
)
bon_truth = bon_asked.grades(0, bon_answers)  # (32, 16)
bon_scores = {"the truth": bon_truth}
for name, key in (("600 pairs", "many"), ("100 pairs", "few")):
    preferences.set_head(judge, torch.tensor(pref["heads"][key]))
    bon_scores[name] = preferences.answer_reward(
        judge, bon_asked.prompts[0], bon_answers, END_OF_TURN
    )
for name, scores in bon_scores.items():
    shares = {n: preferences.best_of_n_mean(scores, bon_truth, n).mean().item() for n in (1, 4, 16)}
    print(f"chosen by {name:<10}", *(f" best of {n}: {share:.1f}" for n, share in shares.items()))

# %% [markdown]
# `best_of_n_mean` uses all 16 answers for every *n*: it counts in how many choices of *n* each answer would win. The record has 64 answers to 128 questions.

# %%
bon_ways = (("coverage", "black", "the truth (coverage)"),
            ("many truth", "green", "the judge from 600 pairs"),
            ("few truth", "vermillion", "the flawed judge, 100 pairs"))
fig, ax = subplots(figsize=(8, 3.6))
for key, color, name in bon_ways:
    ax.plot(bon["n"], bon[key], "o-", color=COLORS[color], label=f"chosen by {name}")
ax.set(xscale="log", xticks=bon["n"], xticklabels=bon["n"], ylim=(0.3, 1.02),
       xlabel="n, answers drawn for each question", ylabel="share of right answers")
ax.minorticks_off()
ax.legend(loc="lower left")
bon_top = {key: max(bon[key]) for key, *_ in bon_ways}
assert bon["coverage"][-1] > 0.98
assert bon_top["many truth"] > bon_top["few truth"] > bon["coverage"][0] + 0.03
assert bon["many truth"][-1] < bon_top["many truth"] - 0.05
show(fig, "Best of n: coverage goes to 1; by a judge the share rises to about n = 8, then falls.")

# %% [markdown]
# With the truth as chooser four answers are almost always enough: the assistant *can* write a right one. The judges cannot tell so well. The better one gains up to *n* = 8, and at 64 has lost all of it. Nothing was trained here. More search alone finds what the judge overrates: over-optimisation again.
#
# Gao and others found a simple form for this case: the gain is *d* · (α − β · *d*), with *d* = √KL, a parabola. Does it fit?

# %%
d = np.sqrt([preferences.best_of_n_kl(n) for n in bon["n"]])
for key, _, name in bon_ways[1:]:
    gain = np.array(bon[key]) - bon[key][0]
    alpha, slope = preferences.overoptimisation_fit(d**2, gain, "best of n")
    rest = np.abs(d * (alpha - slope * d) - gain).max()
    print(f"{name:<28} peak at √KL = {alpha / (2 * slope):.1f}; off by {rest:.2f} at most")
    assert slope > 0

# %% [markdown]
# It does. So more answers help as far as the chooser can see, and not one step further.

# %%
one, four = bon["coverage"][0], bon["coverage"][2]
best, last = bon_top["many truth"], bon["many truth"][-1]
claims.add(
    "F8", "best of n improves answers without any change of weights", source="vendor article",
    published="rises with inference compute",
    measured=f"{one:.2f} right; best of 4 by the truth {four:.2f}; by a judge from 600 pairs {best:.2f} "
             f"at best, {last:.2f} for n = 64",
    holds=bon["coverage"][-1] > 0.95 and best > one + 0.05,
    reason="Only as far as the chooser can tell; by a learnt one, too many answers make it worse.",
)

# %% [markdown]
# ### One picture: accuracy against compute
#
# **Question.** Train or resample? Training is paid once. Best of *n* is paid with every question. So it depends on how many questions there will be.
#
# We count in **FLOP**, as in lesson 08: reading a token costs about 2 for each parameter, training on it three times as much. For a training all is counted: drawing the answers, the passes of the reference, making the pairs. The grader and the first fine-tuning are free, for all alike.

# %%
P, A = (
    round(pref["tokens"][name]) for name in ("prompt", "answer")
)  # tokens of a prompt, of an answer
cost_ask = preferences.answer_flops(helper.config, P, A)  # FLOP of one answer
methods = {
    "reinforcement": len(verified[0]["truth"]),
    "dpo": len(dpo_runs[0]["losses"]),
    "own answers": len(dpo_runs[0]["losses"]),
}  # steps
spent = {
    name: preferences.post_training_flops(helper.config, P, A, name, steps)
    for name, steps in methods.items()
}
for name, flop in spent.items():
    print(f"{name:<14} {flop:.1e} FLOP, as much as {flop / cost_ask:,.0f} answers")

# %% [markdown]
# *Own answers* is a method that you have not met yet: let the assistant answer, keep what the grader accepts, and fine-tune on that. The data are **synthetic**: nobody wrote them. It needs no wrong answers, no reward model and no leash.
#
# **Predict** which curve is on top for 100 questions, and which for a million. Then move the slider.

# %%
cost_own = next(run for run in pref["runs"] if run["method"] == "own answers")
cost_rl = verified[0]
cost_step = spent["reinforcement"] / len(cost_rl["truth"])  # FLOP a step
cost_judge = preferences.post_training_flops(
    helper.config, P, A, "judge", 0
)  # making 600 pairs and reading them
cost_draw = np.array(
    [preferences.answer_flops(helper.config, P, A, k=n) for n in bon["n"]]
)  # FLOP a question
cost_trained = [*(("dpo", run, "blue") for run in dpo_runs), ("own answers", cost_own, "purple")]


# %% [markdown]
# A judge reads every answer once more, so best of *n* by a judge costs twice as much. Dots: *n* = 1, 2, 4 … 64. Squares: trained on 600 pairs; DPO twice, with two values of β. The curve of reinforcement shows its steps.

# %%
def compute_view(log_questions):
    Q = 10**log_questions
    fig, ax = subplots(figsize=(9, 4.2))
    ax.plot(Q * cost_draw, bon["coverage"], "o:", color=COLORS["black"], label="best of n, by the truth")
    ax.plot(cost_judge + Q * 2 * cost_draw[1:], bon["many truth"][1:], "o-", color=COLORS["green"],
            label="best of n, by the better judge")
    curve = smooth(cost_rl["truth"])
    x = (np.arange(len(curve)) + 3) * cost_step + Q * cost_ask
    ax.plot(x, curve, color=COLORS["vermillion"], label="reinforcement")
    for name, run, color in cost_trained:
        x, y = spent[name] + Q * cost_ask, run["after"]["truth"]
        label = {"dpo": "DPO"}.get(name, name) if run is not dpo_runs[1] else None
        ax.plot(x, y, "s", ms=10, color=COLORS[color], label=label)
    more = spent["reinforcement"] / Q / (cost_draw[1] - cost_draw[0])
    ax.set(xscale="log", ylim=(0.3, 1.02), ylabel="share of right answers",
           xlabel="FLOP in all: training once, and all answers",
           title=f"{Q:,} questions: reinforcement costs {more:,.1f} more answers to each")
    ax.legend(loc="lower center", ncols=3, fontsize=10)
    return Picture(fig, f"{Q:,} questions: accuracy against FLOP; training costs {more:,.1f} answers.")


explore(compute_view, log_questions=widgets.IntSlider(3, 1, 6, description="questions 10^"))

# %% [markdown]
# With ten questions every training is a waste: best of 4, by the truth, is there long before. With a million questions the training is lost in the noise, and what counts is how good *one* answer is. Reinforcement then gives for the price of one what took four.
#
# It moved the cost from every answer into the weights. Where is the break-even?

# %%
break_even = spent["reinforcement"] / (preferences.answer_flops(helper.config, P, A, k=4) - cost_ask)
print(f"reinforcement costs as much as best of 4 on {break_even:,.0f} questions")
ways = {"assistant": pref["before"], "DPO": dpo_runs[1]["after"], "own answers": cost_own["after"],
        "RL": cost_rl["after"]}
claims.add(
    "F5", "post-training techniques, each measured once, on one axis of compute",
    source="vendor article", published="fine-tuning, RL, synthetic data, …",
    measured="share right: " + ", ".join(f"{name} {after['truth']:.2f}" for name, after in ways.items())
             + f"; RL costs as much as best of 4 on {break_even:,.0f} questions",
    holds=min(after["truth"] for after in ways.values()) == pref["before"]["truth"],
    reason="On one task and one small model. Distillation, pruning, quantization: next section, F6.",
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
exercises.progress("preferences")

# %% [markdown]
# **What this lesson leaves out.** The judge here is a program, or a small model of it. People who rate answers disagree.
#
# ## Further reading
#
# - Ouyang and others 2022, [Training language models to follow instructions with human feedback](https://arxiv.org/abs/2203.02155): SFT, reward model, PPO.
# - Rafailov and others 2023, [Direct Preference Optimization](https://arxiv.org/abs/2305.18290), section 4.
# - Gao, Schulman and Hilton 2023, [Scaling Laws for Reward Model Overoptimization](https://arxiv.org/abs/2210.10760).
