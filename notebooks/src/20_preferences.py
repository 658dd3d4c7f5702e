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
# **For many tasks nobody can write down the right answer, but people can say which of two they prefer. What does a model learn from that, and would a lower temperature have done as well?** You write a reward model, DPO, REINFORCE and GRPO, train with them, and set each beside plain decoding.
#
# **Time.** Running: about two minutes on CPU; no GPU is needed. About 88 minutes to read and do.
#
# **What you will be able to do**
# - write the losses of a reward model, of DPO and of GRPO, and train an assistant with them;
# - tell what a method taught from what a lower temperature gives for nothing;
# - catch a reward that is being gamed, and write one that asks for what you mean.
#
# **Prerequisites.** Lesson 18 (instruction tuning). From lesson 07, the KL divergence; from lesson 12, written steps.

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
from collections import Counter
from collections.abc import Sequence
from html import escape

import ipywidgets as widgets
import numpy as np
import torch
from torch import Tensor

from course_utils import exercises, preferences, pretrained
from course_utils.classroom import (
    COLORS,
    Claims,
    Diagram,
    Markup,
    Picture,
    Source,
    explore,
    generator,
    predict,
    reveal,
    show,
    subplots,
)
from course_utils.exercises import check, hint, solution
from course_utils.instruction_tuning import END_OF_TURN, TEMPERATURES, grade
from course_utils.intervals import count_interval
from course_utils.preferences import FEW, N_NEW, STEPS, TAUGHT, Questions, RewardModel, text_of
from course_utils.test_time_compute import early_models

claims = Claims("20")
helper = pretrained.assistant().requires_grad_(False)  # the assistant of lesson 18
test = preferences.measuring()  # 96 questions that nothing is trained on


# %% [markdown]
# **Ask for a sentence.** The task is *continue*: write a sentence that may follow in the story. There are many right answers, and a program that knows the story's grammar says which are. Move the temperature, and watch both what is right and how much is different.

# %% tags=["display"]
# @title Eight answers of the assistant, at the temperature that you choose
def eight_answers(temperature, story):
    task = test.tasks[0][story - 1]
    said = preferences.sample_answers(
        helper,
        test.prompts[0][story - 1 : story],
        8,
        N_NEW,
        END_OF_TURN,
        generator(story),
        temperature,
    )[0]
    counts = Counter(map(text_of, said))
    rows = [
        (f"{count} ×", text, "right" if grade(task, text) else "wrong")
        for text, count in counts.most_common()
    ]
    cells = "".join(
        f"<tr><td>{count}</td><td style='text-align:left'>{escape(text)}</td><td>{verdict}</td></tr>"
        for count, text, verdict in rows
    )
    told = f"… {task.user[-110:]}"
    return Markup(
        f"<p>{escape(told)}</p><table>{cells}</table>",
        "\n".join([told, *(" ".join(row) for row in rows)]),
    )


explore(
    eight_answers,
    temperature=widgets.SelectionSlider(
        options=[0.0, 0.5, 0.7, 1.0], value=1.0, description="temperature"
    ),
    story=widgets.IntSlider(min=1, max=5, value=1, description="story"),
)

# %% tags=["display"]
# @title What will count, set before anything is measured
GAO = Source(
    "Gao, Schulman & Hilton 2023, Scaling Laws for Reward Model Overoptimization",
    "abstract",
    "https://arxiv.org/abs/2210.10760",
)
claims.expect(
    "F20",
    "learning from preferences and rewards makes better answers than the model had before at any "
    "temperature",
    source=Source("a vendor's article on scaling", "post-training scaling"),
    published="improves",
    criterion="each method at its best of four decodings (temperature 1, 0.7, 0.5, greedy) is "
    "right at least 0.03 "
    "more often than the reference at its best, in each of three seeds; partly if that holds "
    "for some methods",
    holds=lambda m: min(map(min, m.values())) >= 0.03,
    partly=lambda m: max(map(min, m.values())) >= 0.03,
)
claims.expect(
    "F21",
    "labels by a model teach as much as labels by those who know",
    source=Source(
        "Lee et al. 2023, RLAIF vs. RLHF", "abstract", "https://arxiv.org/abs/2309.00267"
    ),
    published="on par",
    criterion="DPO from the assistant's own labels is, at its best of four decodings, on "
    "average of three seeds "
    "at most 0.02 less often right than DPO from the grader's; partly if in each seed it is "
    "better than the reference at its best by 0.02",
    holds=lambda m: m["own"] >= m["grader"] - 0.02,
    partly=lambda m: m["least"] >= 0.02,
)
claims.expect(
    "F7",
    "reinforcement learning maximises the reward, also a flawed one: proxy up, truth up and then down",
    source=GAO,
    published="truth rises, then falls with √KL",
    criterion="in each of three seeds the proxy rises by 0.5, the share of right answers "
    "(means of five steps) "
    "first rises by 0.05 and ends 0.1 below its start; partly if only proxy and end",
    holds=lambda m: min(m["proxy"]) >= 0.5 and min(m["peak"]) >= 0.05 and max(m["end"]) <= -0.1,
    partly=lambda m: min(m["proxy"]) >= 0.5 and max(m["end"]) <= -0.1,
)
claims.expect(
    "F23",
    "at an equal distance from the reference, a leash gives no more truth than stopping early",
    source=Source(
        "Gao, Schulman & Hilton 2023, Scaling Laws for Reward Model Overoptimization",
        "on the KL penalty",
        "https://arxiv.org/abs/2210.10760",
    ),
    published="no more",
    criterion="between 1.5 and 5 nats the runs on a leash of 0.1 are right at most 0.05 more "
    "often than free ones, "
    "three seeds each",
    holds=lambda m: m <= 0.05,
)
claims.expect(
    "F8",
    "choosing the best of n answers by a learnt reward improves answers without any change of weights",
    source=Source("a vendor's article on scaling", "test-time scaling"),
    published="rises with n",
    criterion="with each of three reward models some n gives at least 0.02 more right answers "
    "than the assistant "
    "at its best of four decodings; partly if only more than one answer at temperature 1",
    holds=lambda m: min(m["over best"]) >= 0.02,
    partly=lambda m: min(m["over one"]) >= 0.02,
)
claims.expect(
    "F22",
    "a reward on the final answer alone teaches a model to write its steps",
    source=Source("DeepSeek-AI 2025, DeepSeek-R1", "abstract", "https://arxiv.org/abs/2501.12948"),
    published="improves",
    criterion="in each of three models, right answers rise by 0.1 at the best of four "
    "decodings or to above 0.95, and "
    "the share with every step right rises with them, within 0.05; partly if only at "
    "temperature 1",
    holds=lambda m: all(
        (a >= b + 0.1 or a > 0.95) and a > b and steps >= a - 0.05
        for b, a, steps in zip(m["before"], m["after"], m["steps"], strict=True)
    ),
    partly=lambda m: min(m["at 1"]) >= 0.1,
)
claims.criteria()

# %% [markdown]
# ## What a temperature gives for nothing
#
# **Question.** Before you train anything: how good is the assistant at a *lower temperature*? It costs nothing. A **baseline** is what a method must beat to be worth its price, and this is the baseline of the whole lesson. Beside what is right we measure variety: how often a second draw says something new.

# %% tags=["display"]
# @title Predict: how much is temperature alone worth?
predict(
    "preferences.temperature",
    "At temperature 1 the assistant is right in about 0.6 of the questions. At its best of "
    "temperature 0.7, 0.5 and greedy it is right in …",
    {"under 0.7": (0, 0.7), "0.7 to 0.8": (0.7, 0.8), "over 0.8": (0.8, 1.01)},
)

# %%
base = preferences.measured(helper, helper, test)


# %% tags=["display"]
# @title Measured: the assistant at four decodings
def table(rows):
    """A line for each model: right answers, variety and KL."""
    print(
        f"{'':<26}"
        + "".join(f"{f'T = {t}' if t else 'greedy':>14}" for t in TEMPERATURES)
        + "    KL"
    )
    for name, found in rows.items():
        cells = [
            f"{found['right'][str(t)]:.2f} ({found['variety'][str(t)]:.2f})" for t in TEMPERATURES
        ]
        print(f"{name:<26}" + "".join(f"{cell:>14}" for cell in cells) + f"  {found['kl']:4.1f}")


def best_of(found):
    return max(found["right"].values())


table({"the assistant": base})
print("right answers, variety in brackets; KL from the assistant in nats, at temperature 1")
assert best_of(base) > base["right"]["1.0"] + 0.1
assert base["variety"]["0.5"] > 0.7 * base["variety"]["1.0"]
reveal("preferences.temperature", best_of(base), ".2f")

# %% [markdown]
# A temperature of 0.5 gives most of it, and most draws still differ. A method that lifts right answers *at temperature 1* may have done no more than this. So from now on every method is measured at all four decodings.
#
# ## Which answer is better?
#
# **Question.** Can a model learn from comparisons alone? A **preference pair** is two answers to one prompt, one of them preferred. Who prefers? In **RLHF**, reinforcement learning from human feedback, it is people. In **RLAIF** it is a model. Here a program decides that knows the truth, and later the assistant itself.

# %%
pairs = preferences.stored_pairs("seen", TAUGHT)
unseen = preferences.stored_pairs("unseen")
for ids, mask in ((pairs.chosen, pairs.chosen_mask), (pairs.rejected, pairs.rejected_mask)):
    print(text_of(ids[0][mask[0]]))
print(len(pairs), "pairs to learn from,", len(unseen), "to test on; the right answer first")


# %% [markdown]
# They were drawn from the assistant once, and stored, because another processor would draw others. Each is a right and a wrong answer of four to one question.
#
# ### A model of the one who prefers
#
# A **reward model** gives each answer *a* one number, its reward r(*a*). The Bradley–Terry model turns two of them into the chance that *a* is preferred to *b*:
#
# > P(*a* is preferred to *b*) = σ(r(*a*) − r(*b*)), with the sigmoid σ(*x*) = 1 / (1 + e⁻ˣ)
#
# Training makes the observed preferences likely.
#
# ### Exercise 1 · the loss of a reward model
#
# Some rewards are far apart. Your loss must stay finite.
#
# *Difficulty 1 of 3 · 6 minutes*

# %% tags=["exercise"]
def bradley_terry_loss(chosen: Tensor, rejected: Tensor) -> Tensor:
    """Minus the log-probability of all preferences, if P(a is preferred to b) = sigmoid(r(a) -
    r(b)); the mean, in nats.

    Only differences count: adding a number to all rewards changes nothing.
    Shapes: rewards of the preferred and of the rejected answers, (B,) each -> ().
    Source: Bradley & Terry 1952; Ouyang et al. 2022 (InstructGPT), equation 1.

    >>> bradley_terry_loss(torch.tensor([2.0, 1.0]), torch.tensor([2.0, -500.0]))  # log 2 and 0
    tensor(0.3466)
    """
    ...


# %% tags=["check"]
bradley_terry_loss = check("preferences.bradley_terry_loss", bradley_terry_loss)
# hint("preferences.bradley_terry_loss")
# solution("preferences.bradley_terry_loss")

# %% [markdown]
# Ours is cheap: the assistant itself, frozen, with a new head that reads one number off the answer's last token. Your loss fits its 128 weights, to 100 pairs.

# %%
judge = RewardModel(helper)
right, wrong = preferences.features(judge, pairs[:FEW])  # (100, d_model) each
preferences.fit_head(judge, right, wrong, loss_fn=bradley_terry_loss)
stored = torch.tensor(preferences.recorded()["heads"]["few"])
alike = torch.cosine_similarity(judge.head.weight[0], stored, dim=0)
print(f"cosine with the recorded head: {alike:.2f}")

# %% [markdown]
# **A cheaper judge.** The assistant has an opinion already: which of the two answers does it find *likelier*? That needs no pair and no training.

# %%
own, agrees = preferences.own_labels(helper, unseen)
labels = preferences.own_labels(helper, pairs)[0]  # the same pairs, labelled by the assistant

# %% tags=["display"]
# @title Predict: who knows better?
predict(
    "preferences.judges",
    "Which judge agrees most often with the grader, on pairs that it has not seen?",
    ["a head fitted to 100 pairs", "a head fitted to 600 pairs", "the assistant's own probability"],
)

# %% tags=["display"]
# @title Measured: agreement with the grader on 300 unseen pairs
record = preferences.recorded()
n = len(unseen)
shares = {"100 pairs, yours": preferences.reward_accuracy(judge, unseen)}
shares |= {f"100 others, {k}": record["accuracy"][k]["unseen"] for k in ("second", "third")}
shares |= {
    "600 pairs": record["accuracy"]["many"]["unseen"],
    "own probability": agrees.float().mean().item(),
}
seen_share = preferences.reward_accuracy(judge, pairs[:FEW])
fig, ax = subplots(figsize=(9, 3.2))
bounds = {}
for y, (name, share) in enumerate(shares.items()):
    bounds[name] = count_interval(round(share * n), n)
    ax.plot(bounds[name], [y, y], color=COLORS["blue"], linewidth=3)
    ax.plot(share, y, "o", color=COLORS["blue"], markersize=9)
    print(f"{name:<24}{share:.2f}, interval {bounds[name][0]:.2f} to {bounds[name][1]:.2f}")
ax.axvline(0.5, color="black", linestyle=":")
ax.set(
    yticks=range(len(shares)),
    yticklabels=shares,
    xlim=(0.4, 1),
    ylim=(4.5, -0.5),
    xlabel="agreement with the grader (dotted: a coin)",
)
assert torch.cosine_similarity(judge.head.weight[0], stored, dim=0) > 0.999
assert seen_share > 0.95 and max(shares[k] for k in list(shares)[:3]) < shares["600 pairs"]
assert bounds["own probability"][0] > bounds["600 pairs"][1]
show(
    fig,
    f"The head knows {seen_share:.2f} of its own pairs and {shares['100 pairs, yours']:.2f} of "
    f"unseen ones; 600 pairs give {shares['600 pairs']:.2f}, the assistant's own probability "
    f"{shares['own probability']:.2f}.",
)
reveal("preferences.judges", "the assistant's own probability")


# %% [markdown]
# The head from 100 pairs knows its examples by heart and is little better than a coin on others; we call it the *flawed judge*. The assistant's own probability is the best judge here. Be careful, though: learning to prefer what you find likely anyway sounds like something that you have seen above.
#
# ## Without a reward model: DPO
#
# **Question.** Do you need the reward model at all?
#
# In this field the **policy** π is the model in training, and the **reference model** π₀ is the fixed one that it starts from. Suppose you want much reward, but pay β for each nat of KL from the reference. The best policy is known:
#
# > π(*a*) = π₀(*a*) · exp(r(*a*) / β) / *Z*, where *Z* makes the sum 1
#
# Solve for the reward: r(*a*) = β · log(π(*a*) / π₀(*a*)) + β · log *Z*. In a difference of two rewards *Z* drops out. So a policy *is* a reward model. Put it into Bradley–Terry, and you train it on pairs directly: that is **direct preference optimisation** (DPO), a loss on pairs that needs no reward model.
#
# ### Exercise 2 · the DPO loss
#
# You get the log-probabilities of whole answers.
#
# *Difficulty 2 of 3 · 10 minutes*

# %% tags=["exercise"]
def dpo_loss(
    policy_chosen: Tensor,
    policy_rejected: Tensor,
    reference_chosen: Tensor,
    reference_rejected: Tensor,
    beta: float,
) -> Tensor:
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
# **Does it reach the closed form?** Five answers; the policy is five numbers. 4,000 pairs are drawn, and Bradley and Terry's chance decides each.

# %%
log_pi_0 = torch.tensor([0.4, 0.3, 0.15, 0.1, 0.05]).log()


def five_answers(reward, beta):
    """Train five logits by your DPO loss: the probabilities (5,)."""
    a, b = torch.randint(5, (2, 4000), generator=generator(0))
    wins = torch.rand(4000, generator=generator(1)) < torch.sigmoid(reward[a] - reward[b])
    good, bad = torch.where(wins, a, b), torch.where(wins, b, a)
    theta = torch.zeros(5, requires_grad=True)
    optimizer = torch.optim.Adam([theta], 0.05)
    for _ in range(200):
        log_pi = theta.log_softmax(0)
        loss = dpo_loss(log_pi[good], log_pi[bad], log_pi_0[good], log_pi_0[bad], beta)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return theta.detach().softmax(0)


# %% tags=["display"]
# @title Predict: what if the model rewards what it finds likely?
predict(
    "preferences.leash",
    "Let the reward be the reference's own log-probability, r = log π₀, and β = 1. The best "
    "policy is then …",
    ["the reference itself", "the reference at temperature 0.5", "always the likeliest answer"],
)

# %% tags=["display"]
# @title A view: the leash β, with a reward from outside and with the model's own
REWARDS = {"from outside": torch.tensor([0.0, 0.5, 1.0, 1.5, 2.0]), "own log-probability": log_pi_0}


def leash_view(reward, beta):
    r = REWARDS[reward]
    closed = (log_pi_0 + r / beta).softmax(0)
    fitted = five_answers(r, beta)
    T = beta / (1 + beta)
    fig, ax = subplots(figsize=(9, 3.4))
    spots = torch.arange(5)
    for aside, values, color, name in (
        (-0.3, log_pi_0.exp(), "sky", "reference"),
        (-0.1, (log_pi_0 / T).softmax(0), "green", f"reference at T = {T:.2f}"),
        (0.1, closed, "blue", "closed form"),
        (0.3, fitted, "orange", "trained by your DPO"),
    ):
        ax.bar(spots + aside, values, 0.2, color=COLORS[color], label=name)
    ax.set(
        xticks=range(5),
        xticklabels=[f"{x:.1f}" for x in r.tolist()],
        xlabel="reward of the answer",
        ylabel="probability",
        ylim=(0, 1.05),
    )
    ax.legend()
    torch.testing.assert_close(fitted, closed, atol=0.08, rtol=0)
    if reward != "from outside":
        torch.testing.assert_close((log_pi_0 / T).softmax(0), closed)
    return Picture(
        fig,
        f"Reward {reward}, β = {beta}: the likeliest answer has {closed.max():.2f}, "
        f"trained {fitted.max():.2f}; under the reference it has 0.40.",
    )


display(reveal("preferences.leash", "the reference at temperature 0.5"))
explore(
    leash_view,
    reward=widgets.ToggleButtons(
        options=list(REWARDS), value="own log-probability", description="reward"
    ),
    beta=widgets.SelectionSlider(options=[0.5, 1.0, 2.0, 4.0], value=1.0, description="leash β"),
)

# %% [markdown]
# With its own log-probability as reward the best policy is π₀^(1 + 1/β): the reference at temperature β / (1 + β). There the leash *is* a temperature in disguise. A reward from outside moves probability to other answers, and no temperature does that.
#
# **Now the assistant.** 24 steps of 16 pairs, with the grader's labels; some 15 seconds. At the start the loss must be log 2: policy and reference are one model, so both answers have implicit reward 0.

# %%
dpo_policy = preferences.copy_of(helper)
history = preferences.train_dpo(
    dpo_policy, helper, pairs, STEPS, beta=0.1, seed=3, loss_fn=dpo_loss, progress=False
)
by_dpo = preferences.measured(dpo_policy.eval(), helper, test)
moved = [(after - before).mean() for after, before in
         zip(pairs[:100].log_probs(dpo_policy), pairs[:100].log_probs(helper), strict=True)]

# %% tags=["display"]
# @title Measured: your DPO, and three recorded seeds
METHODS = preferences.methods()


def check_spread(name, live):
    """The live run must lie where the recorded seeds do."""
    for t in ("1.0", "0.0"):
        spread = [run["right"][t] for run in METHODS[name]]
        assert min(spread) - 0.12 < live["right"][t] < max(spread) + 0.12, (name, t, live, spread)


check_spread("DPO", by_dpo)
table({"the assistant": base, "DPO, yours": by_dpo})
print(
    f"first loss {history.losses[0]:.2f}, that is log 2; preferred answers {moved[0]:+.1f} nats, "
    f"rejected {moved[1]:+.1f}"
)
assert abs(history.losses[0] - np.log(2)) < 1e-3 and moved[1] < moved[0] - 1
assert by_dpo["right"]["1.0"] > base["right"]["1.0"] + 0.03

# %% [markdown]
# The loss asks for a difference only. It was won by making the rejected answers less likely, much more than by making the preferred ones likelier.
#
# ## Learning from a reward
#
# **Question.** A program can say of any answer whether it is right: a **verifiable reward** is one that a program can check. Can the assistant learn from that, without one example of a better answer? In **reinforcement learning** a model learns from rewards for what it tried itself.

# %% tags=["display"]
# @title The loop: draw, reward, compare, push
d = Diagram()
policy_box = d.box("policy π", 0, 0, width=2.4, color="sky")
answers_box = d.box("k answers", 4.4, 0, width=2.6, color="sky")
reward_box = d.box("reward of each", 9.2, 0, width=3.2, color="green")
advantage_box = d.box("advantage", 13.8, 0, width=2.6, color="orange")
reference_box = d.box("reference π₀", 4.4, -2.2, width=2.8, color="purple")
loss_box = d.box("ratio, clip: the loss", 9.2, 2.2, width=4.2, color="orange")
d.arrow(policy_box, answers_box)
d.arrow(answers_box, reward_box)
d.arrow(reward_box, advantage_box)
d.arrow(reference_box, reward_box, "leash")
d.arrow(advantage_box, loss_box)
d.arrow(loss_box, policy_box)
d.picture(
    "The policy draws k answers to a prompt; each gets a reward, less the leash to the reference; "
    "compared within the group it becomes an advantage; the loss with ratio and clip changes the policy."
)


# %% [markdown]
# REINFORCE follows the gradient of *weight* · log π(answer). With the reward alone as weight every right answer is pushed up and nothing down. Better than what? Better than the *other answers to the same prompt*: that difference is the **advantage** of an answer.
#
# ### Exercise 3 · the advantage
#
# A baseline that holds the answer's own reward would shrink its own gradient. So compare with the others only.
#
# *Difficulty 2 of 3 · 8 minutes*

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
# ### Exercise 4 · the reward on a leash
#
# Who only chases reward forgets how it used to talk. So each answer pays β for each nat by which it has become likelier than under the reference. On average over the policy's own answers that is β · KL(π‖π₀).
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
# **GRPO**, group relative policy optimisation, is the form that trains today's reasoning models. It divides the advantage by the group's spread. It also takes several steps on the same answers, for drawing is what costs. But after the first step they are another policy's answers. The **probability ratio** of a token is how much likelier it is now than when it was drawn. PPO, the older method, *clips* it: beyond 1 ± 0.2 a further step earns nothing.
#
# ### Exercise 5 · the clipped loss
#
# Mind the case in which the advantage is negative.
#
# *Difficulty 3 of 3 · 14 minutes*

# %% tags=["exercise"]
def clipped_loss(
    log_probs: Tensor, old_log_probs: Tensor, advantage: Tensor, mask: Tensor, clip: float = 0.2
) -> Tensor:
    """The loss of PPO and GRPO: minus the mean over answers of the mean over their tokens of
    min(ratio · advantage, clipped ratio · advantage).

    The ratio is exp(log_probs - old_log_probs): how much likelier a token is than when it was
    drawn. The clipped ratio is cut to the range 1 - clip to 1 + clip. All tokens of an answer have
    its advantage. Only tokens that the mask marks count; each answer has one at least.
    Shapes: log_probs, old_log_probs and mask (B, k, A), advantage (B, k) -> ().
    Raises: ValueError unless clip > 0.
    Source: Schulman et al. 2017 (PPO), equation 7; Shao et al. 2024 (DeepSeekMath), equation 3,
    without its leash.

    >>> old = torch.zeros(1, 2, 1)
    >>> new = torch.tensor([[[1.5], [1.1]]]).log()  # the ratios are 1.5, which is cut, and 1.1
    >>> clipped_loss(new, old, torch.ones(1, 2), torch.ones(1, 2, 1).bool())
    tensor(-1.1500)
    """
    ...


# %% tags=["check"]
clipped_loss = check("preferences.clipped_loss", clipped_loss)
# hint("preferences.clipped_loss")
# solution("preferences.clipped_loss")

# %% [markdown]
# GRPO's advantage is yours with another mean, divided by the group's spread:

# %%
def group_advantages(rewards):
    """Your advantages, from the mean of all k instead of the others, in units of the spread."""
    k = rewards.size(-1)
    return advantages(rewards) * (k - 1) / k / (rewards.std(-1, keepdim=True) + 1e-4)


# %% [markdown]
# Two tries: a group with one right answer of four, and a token with ratio 1.5.

# %%
print(group_advantages(torch.tensor([[1.0, 0.0, 0.0, 0.0]])).numpy().round(2))
ratio, one = torch.tensor([[[1.5]]], requires_grad=True), torch.ones(1, 1, 1)
for sign in (1.0, -1.0):
    loss = clipped_loss(ratio.log(), one.log(), sign * one[..., 0], one.bool())
    print(f"advantage {sign:+.0f}: gradient {torch.autograd.grad(loss, ratio)[0].item():+.1f}")

# %% [markdown]
# A good token that is already 1.5 times likelier is left alone. A bad one is pushed down with full force: the clip takes away a reward for going further, never a correction.
#
# **Train.** 8 prompts with 8 answers each in a step, two passes over them, 24 steps; some 15 seconds. No leash: β is 0.

# %% tags=["display"]
# @title Predict: what does GRPO reach?
predict(
    "preferences.grpo",
    "After 24 steps, right answers at temperature 1 (0.6 before) are …",
    {"under 0.7": (0, 0.7), "0.7 to 0.8": (0.7, 0.8), "over 0.8": (0.8, 1.01)},
)

# %%
asked = Questions.draw(202, 1500)
GRPO = dict(weigh=group_advantages, leash=leashed_reward, objective=clipped_loss, passes=2)
grpo_policy = preferences.copy_of(helper)
steps = preferences.polish(grpo_policy, helper, asked, STEPS, beta=0.0, seed=3, **GRPO)
by_grpo = preferences.measured(grpo_policy.eval(), helper, test)


# %% tags=["display"]
# @title Measured: right answers and variety, step by step
def smooth(values, n=5):
    """The mean of n steps in a row."""
    return np.convolve(values, np.ones(n) / n, mode="valid")


check_spread("GRPO", by_grpo)
fig, axes = subplots(1, 2, figsize=(9.5, 3.2), sharey=True)
for ax, key, name in zip(
    axes, ("truth", "distinct"), ("right answers", "different answers"), strict=True
):
    ax.plot(smooth(steps[key]), color=COLORS["vermillion"])
    ax.set(xlabel="step (means of five)", ylabel=f"share of {name}", ylim=(0, 1.02))
table({"the assistant": base, "DPO, yours": by_dpo, "GRPO, yours": by_grpo})
assert np.mean(steps["truth"][-5:]) > np.mean(steps["truth"][:5]) + 0.1
assert np.mean(steps["distinct"][-5:]) < np.mean(steps["distinct"][:5]) - 0.1
show(
    fig,
    f"Right answers rise from {np.mean(steps['truth'][:5]):.2f} to {np.mean(steps['truth'][-5:]):.2f} "
    f"while different ones fall from {np.mean(steps['distinct'][:5]):.2f} to "
    f"{np.mean(steps['distinct'][-5:]):.2f}.",
)
reveal("preferences.grpo", by_grpo["right"]["1.0"], ".2f")

# %% [markdown]
# What does it say? Four answers to each of six stories:

# %%
said = preferences.sample_answers(grpo_policy, test.prompts[0][:6], 4, N_NEW, END_OF_TURN, generator(1))
for text, count in Counter(map(text_of, said.flatten(0, 1))).most_common(4):
    print(f"{count:>2} of 24: {text}")

# %% [markdown]
# It found sentences that fit almost every story, and says them. The reward did not ask for variety, and got little.
#
# ## What remains against temperature
#
# **Question.** Now the table that matters. Each method in three recorded seeds, 24 steps each; yours are the stars. The left picture asks: for its distance from the reference, is a method better than the reference *at a lower temperature*, whose distance we measure in the same way?

# %%
cooled = {t: preferences.divergence(helper, helper, test, temperature=t or 0.05) for t in TEMPERATURES}

# %% tags=["display"]
# @title Predict: what is left?
predict(
    "preferences.left",
    "At the best decoding of each, how much more often than the assistant is DPO from the "
    "assistant's *own* labels right?",
    {"not more than 0.05": (-1, 0.05), "0.05 to 0.1": (0.05, 0.1), "over 0.1": (0.1, 1)},
)

# %% tags=["display"]
# @title Measured and recorded: every method, four decodings, three seeds
STYLE = {
    "DPO": ("blue", "o"),
    "DPO, own labels": ("sky", "v"),
    "REINFORCE": ("vermillion", "s"),
    "REINFORCE, leash": ("orange", "D"),
    "GRPO": ("purple", "^"),
}
means = {
    name: {
        key: {t: np.mean([run[key][t] for run in METHODS[name]]) for t in base[key]}
        for key in ("right", "variety")
    }
    | {"kl": np.mean([run["kl"] for run in METHODS[name]])}
    for name in STYLE
}
table({"the assistant": base} | means)
gains = {name: [best_of(run) - best_of(base) for run in METHODS[name]] for name in STYLE}
for name, some in gains.items():
    print(f"{name:<18} best against the assistant's best: " + ", ".join(f"{x:+.2f}" for x in some))
fig, axes = subplots(1, 2, figsize=(10, 4.2), sharey=True)
axes[0].plot(
    list(cooled.values()),
    [base["right"][str(t)] for t in cooled],
    "k.-",
    label="the assistant, cooled",
)
axes[1].plot(
    [base["variety"][t] for t in ("1.0", "0.7", "0.5")],
    [base["right"][t] for t in ("1.0", "0.7", "0.5")],
    "k.-",
)
for name, (color, mark) in STYLE.items():
    axes[0].plot(
        [run["kl"] for run in METHODS[name]],
        [run["right"]["1.0"] for run in METHODS[name]],
        mark,
        color=COLORS[color],
        markersize=8,
        label=name,
        linestyle="",
    )
    axes[1].plot(
        [means[name]["variety"][t] for t in ("1.0", "0.7", "0.5")],
        [means[name]["right"][t] for t in ("1.0", "0.7", "0.5")],
        mark + "-",
        color=COLORS[color],
        markersize=8,
    )
for found, color in ((by_dpo, "blue"), (by_grpo, "purple")):
    axes[0].plot(found["kl"], found["right"]["1.0"], "*", color=COLORS[color], markersize=15)
axes[0].set(
    xlabel="KL from the assistant, nats an answer",
    ylabel="right answers",
    ylim=(0.5, 1.02),
    title="methods at T = 1",
)
axes[1].set(xlabel="variety", title="each at T = 1, 0.7, 0.5", xlim=(-0.03, 1.03))
axes[0].legend(loc="lower right", fontsize=11)
claims.measure(
    "F20",
    gains,
    shown="; ".join(f"{name} {min(some):+.2f} to {max(some):+.2f}" for name, some in gains.items()),
    reason="Own labels gain least, and not in each seed: they sharpen what the model believed.",
)
averages = {
    "own": np.mean([best_of(run) for run in METHODS["DPO, own labels"]]),
    "grader": np.mean([best_of(run) for run in METHODS["DPO"]]),
    "least": min(gains["DPO, own labels"]),
}
claims.measure(
    "F21",
    averages,
    shown=f"DPO from own labels {averages['own']:.2f}, from the grader's {averages['grader']:.2f}, "
    f"the assistant {best_of(base):.2f}",
    reason="Its labels are its own beliefs: learning them is close to lowering the temperature.",
)
curve = sorted((kl, base["right"][str(t)]) for t, kl in cooled.items())
for name in ("DPO", "DPO, own labels", "REINFORCE, leash"):
    for run in METHODS[name]:
        assert run["right"]["1.0"] < np.interp(run["kl"], *zip(*curve, strict=True))
assert abs(np.mean(gains["REINFORCE"]) - np.mean(gains["REINFORCE, leash"])) < 0.03
assert means["REINFORCE, leash"]["variety"]["1.0"] > means["REINFORCE"]["variety"]["1.0"] + 0.05
raw = {name: means[name]["right"]["1.0"] - base["right"]["1.0"] for name in STYLE}
assert all(raw[name] > np.mean(gains[name]) + 0.02 for name in STYLE)
assert min(gains, key=lambda name: np.mean(gains[name])) == "DPO, own labels"
assert base["variety"]["0.5"] > max(run["variety"]["1.0"] for run in METHODS["GRPO"]) + 0.1
show(
    fig,
    "Right answers against KL and against variety: "
    + ", ".join(
        f"{name} {means[name]['right']['1.0']:.2f} at {means[name]['kl']:.1f} nats"
        for name in STYLE
    ),
)
reveal("preferences.left", float(averages["own"] - best_of(base)), "+.2f")


# %% [markdown]
# First the left picture. At equal distance the cooled assistant is *better* than each DPO run and each run on a leash at temperature 1.
#
# Then the table, by rows. For every method the gain at temperature 1 is larger than what remains at each one's best decoding. Least remains for own labels: much of their gain was sharpening. The grader's labels and reward leave a real gain. But the variety shows what was paid: cooling the assistant to 0.5 keeps most of it, GRPO at temperature 1 does not. And the leash acted much like a temperature: fewer right answers at temperature 1 and more variety, but the same at the best decoding.
#
# ### Exercise 6 · an open one: a reward that asks for what you mean
#
# There are many right answers. Write a reward for right answers *and* variety; it trains the assistant below.
#
# *Difficulty 3 of 3 · 12 minutes*

# %% tags=["exercise"]
def varied_reward(right: Tensor, texts: Sequence[Sequence[str]]) -> Tensor:
    """A reward for the answers to each prompt that asks for right answers *and* for variety.

    A right answer gets more than any wrong one. A right text that was given once gets more than a
    right one that was given several times to the same prompt. No reward is below 0 or above 1, and
    equal texts get equal rewards. Shapes: right (B, k), 1.0 or 0.0; texts: B rows of k strings ->
    (B, k).

    >>> right = torch.tensor([[1.0, 1.0, 1.0, 0.0]])
    >>> yes, again, sure, no = varied_reward(right, [["Yes.", "Yes.", "Sure.", "No."]])[0].tolist()
    >>> 1 >= sure > yes == again > no >= 0
    True
    """
    ...


# %% tags=["check"]
varied_reward = check("preferences.varied_reward", varied_reward)
# hint("preferences.varied_reward")
# solution("preferences.varied_reward")

# %% [markdown]
# Your reward trains it now. Seed, steps and loss are as before.

# %%
varied_policy = preferences.copy_of(helper)
preferences.polish(varied_policy, helper, asked, STEPS, reward=varied_reward, seed=3, **GRPO)
by_variety = preferences.measured(varied_policy.eval(), helper, test)

# %% tags=["display", "nbval-ignore-output"]
# @title Measured: what the other reward changes, yours and three recorded seeds
table({"the assistant": base, "GRPO, yours": by_grpo, "your reward": by_variety})
TWO = ("GRPO", "GRPO, variety")
for name in TWO:
    print(
        f"{name:<14} three seeds at T = 1: right "
        + ", ".join(f"{r['right']['1.0']:.2f}" for r in METHODS[name])
        + "; variety "
        + ", ".join(f"{r['variety']['1.0']:.2f}" for r in METHODS[name])
    )
# A student's reward is another one than the recorded: only that it trains is asserted.
assert by_variety["right"]["1.0"] > base["right"]["1.0"]
more = [
    a["variety"]["1.0"] - b["variety"]["1.0"]
    for b, a in zip(*(METHODS[x] for x in TWO), strict=True)
]
less = [
    a["right"]["1.0"] - b["right"]["1.0"] for b, a in zip(*(METHODS[x] for x in TWO), strict=True)
]
print(
    f"variety {min(more):+.2f} to {max(more):+.2f}, right answers {min(less):+.2f} to {max(less):+.2f}"
)
cool = [(run["right"]["0.5"], run["variety"]["0.5"]) for run in METHODS["GRPO, variety"]]
print("the recorded ones at T = 0.5: " + ", ".join(f"{a:.2f} ({b:.2f})" for a, b in cool))
fig, ax = subplots(figsize=(9, 3.6))
for name, found, color, mark in (
    ("the assistant", [base], "black", "."),
    ("GRPO, three seeds", METHODS["GRPO"], "purple", "^"),
    ("GRPO, a reward for variety, three seeds", METHODS["GRPO, variety"], "green", "o"),
    ("your reward, live", [by_variety], "orange", "*"),
):
    for k, run in enumerate(found):
        points = [(run["variety"][t], run["right"][t]) for t in ("1.0", "0.7", "0.5")]
        ax.plot(
            *zip(*points, strict=True),
            mark + "-",
            color=COLORS.get(color, color),
            markersize=9,
            label=None if k else name,
        )
ax.set(xlabel="variety", ylabel="right answers", xlim=(-0.03, 1.03), ylim=(0.5, 1.02))
ax.legend(loc="lower left")
show(
    fig,
    "Right answers and variety at temperatures 1, 0.7 and 0.5: the reward for variety keeps "
    f"{np.mean([run['variety']['0.5'] for run in METHODS['GRPO, variety']]):.2f} variety at 0.5, "
    f"GRPO {means['GRPO']['variety']['0.5']:.2f}.",
)
assert min(more) > 0.1 and min(a for a, _ in cool) > best_of(base) + 0.05
assert min(b for _, b in cool) > base["variety"]["0.5"] - 0.15

# %% [markdown]
# A policy becomes what its reward says. Asked for variety, it keeps more of it in each recorded seed. Then look at temperature 0.5: right answers as with GRPO, and variety as with the cooled assistant. No temperature of the assistant gives both.
#
# ## A reward that is wrong
#
# **Question.** A program that knows the truth is a luxury. Mostly the reward is a *learnt* model. What does a policy do that is trained to please the flawed judge? A **proxy reward** stands in for a truth that nobody can measure often enough. The grader only watches.

# %% tags=["display"]
# @title Predict: pleasing a flawed judge
predict(
    "preferences.flawed",
    "The flawed judge's reward rises all the way. After 100 steps, right answers (0.6 at the "
    "start) are at …",
    {"over 0.6": (0.6, 1.01), "0.3 to 0.6": (0.3, 0.6), "under 0.3": (0, 0.3)},
)

# %%
begun = preferences.polish(
    preferences.copy_of(helper), helper, asked, 10, judge=judge, seed=3,
    weigh=advantages, leash=leashed_reward,
)

# %% tags=["display"]
# @title Recorded: 100 steps in three seeds, beside your ten
runs = [run for run in record["runs"] if run["method"] == "judged"]
free = [run for run in runs if run["beta"] == 0]
for key, room in (("reward", 0.25), ("truth", 0.1)):
    spread = [np.mean(run[key][:10]) for run in free]
    assert min(spread) - room < np.mean(begun[key]) < max(spread) + room, (key, spread)
fig, axes = subplots(1, 2, figsize=(9.5, 3.4))
for ax, key, name in zip(
    axes, ("reward", "truth"), ("reward by the flawed judge", "right answers"), strict=True
):
    for run in free:
        ax.plot(
            np.sqrt(smooth(run["kl"]).clip(min=0)), smooth(run[key]), color=COLORS["vermillion"]
        )
    ax.plot(
        np.sqrt(smooth(begun["kl"]).clip(min=0)), smooth(begun[key]), color="black", linewidth=3
    )
    ax.set(xlabel="distance √KL (√nats)", ylabel=name)
start = np.mean([run["truth"][0] for run in free])
measured = {
    "proxy": [np.mean(run["reward"][-10:]) - np.mean(run["reward"][:5]) for run in free],
    "peak": [max(smooth(run["truth"])) - start for run in free],
    "end": [np.mean(run["truth"][-10:]) - start for run in free],
}
ends = [np.mean(run["truth"][-10:]) for run in free]
claims.measure(
    "F7",
    measured,
    shown=f"proxy {min(measured['proxy']):+.1f} to {max(measured['proxy']):+.1f}; right answers first "
    f"{min(measured['peak']):+.2f} to {max(measured['peak']):+.2f}, at the end at most {max(ends):.2f}",
    reason="The proxy rises in every seed.",
)
for run in free:
    ((text, count),) = Counter(run["texts"]).most_common(1)
    print(f"{count} of {len(run['texts'])} answers at the end: {text}")
show(
    fig,
    f"The proxy rises; right answers rise to {start + min(measured['peak']):.2f} or more, then fall to "
    f"{max(ends):.2f} or less. Black: your ten steps.",
)
reveal("preferences.flawed", float(np.mean(ends)), ".2f")


# %% [markdown]
# As long as the policy stays among answers like those that the judge has seen, the judge's opinion is worth something. Then it finds what the judge likes *and has never seen*: one sentence for all stories. In **reward over-optimisation** a policy gains proxy reward and loses what the proxy stood for. A measure that becomes the target stops being a good measure (Goodhart's law).
#
# **Does a leash help?** It keeps the policy near. Gao and others add a sharper question: at *equal distance*, is a policy on a leash better than a free one that is stopped there?

# %% tags=["display"]
# @title A view: the leash against the flawed judge
def near(some):
    """Right answers of the steps between 1.5 and 5 nats, one mean a run."""
    found = []
    for run in some:
        kl = smooth(run["kl"])
        found.append(smooth(run["truth"])[(kl > 1.5) & (kl < 5)].mean())
    return found


def judged_view(beta):
    fig, ax = subplots(figsize=(9, 3.4))
    ends = []
    for run in runs:
        mine = run["beta"] == beta
        ax.plot(
            np.sqrt(smooth(run["kl"]).clip(min=0)),
            smooth(run["truth"]),
            linewidth=1 + 1.5 * mine,
            color=COLORS["vermillion" if mine else "sky"],
            zorder=2 + mine,
        )
        ends += [np.mean(run["truth"][-10:])] * mine
    ax.axhline(
        best_of(base), color="black", linestyle=":", label="the assistant at its best decoding"
    )
    ax.legend(loc="center right")
    ax.set(xlabel="distance √KL (√nats)", ylabel="right answers", ylim=(0, 1.02), xlim=(0, 6.5))
    return Picture(
        fig, f"Leash {beta}: right answers end at " + ", ".join(f"{x:.2f}" for x in ends) + "."
    )


leashed = [run for run in runs if run["beta"] == 0.1]
at_equal = {"free": near(free), "leashed": near(leashed)}
claims.measure(
    "F23",
    float(np.mean(at_equal["leashed"]) - np.mean(at_equal["free"])),
    shown="; ".join(
        f"{name} " + ", ".join(f"{x:.2f}" for x in some) for name, some in at_equal.items()
    ),
    reason="Free runs rush through these distances; those on a leash stay and go on learning there.",
)
leashed_ends = [np.mean(run["truth"][-10:]) for run in leashed]
print("right answers at the end, leash 0.1: " + ", ".join(f"{x:.2f}" for x in leashed_ends))
print(
    "between 1.5 and 5 nats: "
    + "; ".join(f"{k} " + ", ".join(f"{x:.2f}" for x in v) for k, v in at_equal.items())
)
assert min(leashed_ends) > max(ends) + 0.2 and max(leashed_ends) < best_of(base)
explore(
    judged_view,
    beta=widgets.SelectionSlider(options=[0, 0.1, 0.3, 1.0], value=0.1, description="leash β"),
)

# %% [markdown]
# With a leash of 0.1 no run is ruined within 100 steps. At equal distance the leashed runs are right more often, unlike in Gao's experiments: the free ones rush through. But look at the dotted line: even so, the policy at temperature 1 ends below what the assistant gives at its best decoding.
#
# ## Best of n, by a learnt judge
#
# **Question.** Lesson 12 drew *n* answers and let a checker choose. What if a learnt judge chooses? Nothing is trained here.

# %%
answers = preferences.sample_answers(helper, test.prompts[0], 16, N_NEW, END_OF_TURN, generator(2))
truth = test.grades(0, answers)  # (32, 16)
scores = preferences.answer_reward(judge, test.prompts[0], answers, END_OF_TURN)  # (32, 16)
for n in (1, 4, 16):
    print(f"best of {n:>2}: {preferences.best_of_n_mean(scores, truth, n).mean():.2f} right")

# %% tags=["display"]
# @title Predict: more answers to choose from
predict(
    "preferences.best",
    "From n = 8 to n = 64, right answers chosen by a judge from 100 pairs, mean of three judges, …",
    ["rise further", "stay within 0.02", "fall"],
)

# %% tags=["display"]
# @title Recorded: 64 answers to 96 questions, four judges
bon = next(run for run in record["runs"] if run["method"] == "best of n")
JUDGES = {"few": "o", "second": "s", "third": "D"}
live = preferences.best_of_n_mean(scores, truth, 4).mean().item()
assert min(bon[j][2] for j in JUDGES) - 0.15 < live < max(bon[j][2] for j in JUDGES) + 0.15
fig, ax = subplots(figsize=(9, 3.8))
ax.plot(bon["n"], bon["coverage"], "k^-", label="chosen by the truth")
ax.plot(bon["n"], bon["many"], "v-", color=COLORS["green"], label="judge from 600 pairs")
for j, mark in JUDGES.items():
    ax.plot(
        bon["n"],
        bon[j],
        mark + "-",
        color=COLORS["vermillion"],
        label="three judges from 100 pairs" if j == "few" else None,
    )
ax.axhline(best_of(base), color="black", linestyle=":", label="the assistant at its best decoding")
ax.set(
    xscale="log",
    xticks=bon["n"],
    xticklabels=bon["n"],
    ylim=(0.4, 1.02),
    xlabel="n",
    ylabel="right answers",
)
ax.minorticks_off()
ax.legend(loc="lower left", fontsize=11)
tops = [max(bon[j]) for j in JUDGES]
claims.measure(
    "F8",
    {
        "over best": [x - best_of(base) for x in tops],
        "over one": [x - bon["coverage"][0] for x in tops],
    },
    shown=f"one answer {bon['coverage'][0]:.2f}; best n by three judges "
    + ", ".join(f"{x:.2f}" for x in tops)
    + f", by one from 600 pairs {max(bon['many']):.2f}; the best decoding {best_of(base):.2f}",
    reason="A judge helps as far as it can see, which here is less than a lower temperature gives.",
)
d = np.sqrt([preferences.best_of_n_kl(n) for n in bon["n"]])
alpha, slope = preferences.overoptimisation_fit(
    d**2, np.array(bon["many"]) - bon["many"][0], "best of n"
)
rest = np.abs(d * (alpha - slope * d) - np.array(bon["many"]) + bon["many"][0]).max()
print(
    f"Gao's parabola d (α - β d), judge from 600 pairs: off by {rest:.2f} at most, "
    f"peak at √KL = {alpha / (2 * slope):.1f}"
)
change = np.mean([bon[j][-1] - bon[j][3] for j in JUDGES])
assert all(max(bon[j]) > bon[j][-1] + 0.01 for j in (*JUDGES, "many"))
assert rest < 0.05 and max(bon["many"]) < best_of(base)
show(
    fig,
    f"Chosen by the truth: to {bon['coverage'][-1]:.2f}. By judges: a peak of {max(tops):.2f} at most, "
    f"600 pairs {max(bon['many']):.2f}, then down; the best decoding alone is {best_of(base):.2f}.",
)
reveal("preferences.best", "fall" if change < -0.02 else "stay within 0.02")

# %% [markdown]
# Every judge has a peak, and behind it more answers do harm: search alone over-optimises, too. And no judge reaches the dotted line, which is one answer at the best temperature.
#
# ## Training to think
#
# **Question.** In lesson 12 small models wrote the steps of a sum of eight digits, and erred on the way. Reward *only the final answer*: do the steps get better? Is it more than a temperature? The three models were stopped early, so that greedy decoding is not right yet. It is the same loop, with your functions.

# %% tags=["display"]
# @title Predict: greedy answers
predict(
    "preferences.think",
    "Before, the three models are right greedily in about 0.65, 0.9 and 0.65 of the sums. After "
    "100 steps, the lowest is at …",
    {"under 0.7": (0, 0.7), "0.7 to 0.8": (0.7, 0.8), "over 0.8": (0.8, 1.01)},
)

# %%
task, thinkers = early_models()


def think(model, seed):
    """Train a copy by the final answer alone: 100 steps of 16 sums, 8 tries each."""
    policy, dice = copy.deepcopy(model).requires_grad_(True), generator(seed)
    sums = [task.problems(16, dice) for _ in range(100)]
    reward = lambda i, tries: (tries[..., -1] == task.sums(sums[i])[:, None, -1]).float()
    prompts = [task.prompt(digits) for digits in sums]
    preferences.reinforce(
        policy, model, prompts, reward, 100, stop=-1, n_new=task.n, lr=1e-3, generator=dice, **GRPO
    )
    return policy.eval()


taught = [think(model, seed) for seed, model in enumerate(thinkers)]


# %% [markdown]
# Measured on 512 new sums: is the answer right, and is every step?

# %%
def sums_right(model, temperature):
    digits = task.problems(512, generator(100))
    tries = task.sample(model, digits, "steps", 2 if temperature else 1, temperature, generator(0))
    right = tries[..., -1] == task.sums(digits)[:, None, -1]
    return right.float().mean().item(), task.verify(digits, tries).float().mean().item()


sums = {(seed, when, t): sums_right(model, t) for t in TEMPERATURES
        for when, models in (("before", thinkers), ("after", taught))
        for seed, model in enumerate(models)}

# %% tags=["display", "nbval-ignore-output"]
# @title Measured: three models, before and after, at every decoding
print(f"{'':<18}" + "".join(f"{f'T = {t}' if t else 'greedy':>14}" for t in TEMPERATURES))
for seed in range(3):
    for when in ("before", "after"):
        cells = [
            f"{right:.2f} ({steps:.2f})"
            for right, steps in (sums[seed, when, t] for t in TEMPERATURES)
        ]
        print(f"model {seed}, {when:<9}" + "".join(f"{cell:>14}" for cell in cells))
print("right answers; in brackets, every step right as well")
best = {
    when: [max(sums[seed, when, t] for t in TEMPERATURES) for seed in range(3)]
    for when in ("before", "after")
}
claims.measure(
    "F22",
    {
        "before": [x for x, _ in best["before"]],
        "after": [x for x, _ in best["after"]],
        "steps": [x for _, x in best["after"]],
        "at 1": [sums[seed, "after", 1.0][0] - sums[seed, "before", 1.0][0] for seed in range(3)],
    },
    shown="at the best decoding "
    + ", ".join(
        f"{b:.1f} → {a:.1f}" for (b, _), (a, _) in zip(best["before"], best["after"], strict=True)
    ),
    reason="On sums; the model wrote steps before, and was rewarded for answers only.",
)
fig, ax = subplots(figsize=(9, 3.2))
for seed, mark in enumerate("osD"):
    for when, color in (("before", "blue"), ("after", "vermillion")):
        ax.plot(
            range(4),
            [sums[seed, when, t][0] for t in TEMPERATURES],
            mark + "-",
            color=COLORS[color],
            label=when if not seed else None,
        )
ax.set(
    xticks=range(4),
    xticklabels=["T = 1", "0.7", "0.5", "greedy"],
    ylabel="right answers",
    ylim=(0, 1.03),
)
ax.legend()
greedy = [[sums[seed, when, 0.0][0] for seed in range(3)] for when in ("before", "after")]
assert all(after > before + 0.05 for before, after in zip(*greedy, strict=True))
assert all(
    abs(right - steps) < 0.1 for (_, when, t), (right, steps) in sums.items() if when == "after"
)
show(
    fig,
    "Three models before and after, at four decodings; greedy: "
    + ", ".join(f"{b:.1f} to {a:.1f}" for b, a in zip(*greedy, strict=True)),
)
reveal("preferences.think", min(greedy[1]), ".2f")

# %% [markdown]
# Here greedy rises, too: this is learning, not cooling. Nobody rewarded a step, yet nearly every right answer has right steps, for on this task guessing does not pay. The three models differ, and so do the gains.
#
# ## What we verified
#
# Each claim with its source, what was published, and what you measured.

# %% tags=["display"]
# @title Each claim with its source
claims.show()

# %% [markdown]
# Your predictions and exercises at a glance:

# %% tags=["progress"] slideshow={"slide_type": "skip"}
exercises.progress("preferences")

# %% [markdown]
# **What this lesson leaves out.** People who rate answers disagree, and tire. PPO has a second network that predicts the reward; GRPO has the group instead. Variants of DPO (IPO, KTO) change its loss. Further supervised training at equal compute stands in no table here. Our runs are short, with one learning rate for all methods on one task, and the model has 0.9 million parameters.
#
# ## Further reading
#
# - Ouyang and others 2022, [Training language models to follow instructions with human feedback](https://arxiv.org/abs/2203.02155): fine-tuning, reward model, PPO.
# - Rafailov and others 2023, [Direct Preference Optimization](https://arxiv.org/abs/2305.18290).
# - Shao and others 2024, [DeepSeekMath](https://arxiv.org/abs/2402.03300): GRPO.
# - Schulman and others 2017, [Proximal Policy Optimization Algorithms](https://arxiv.org/abs/1707.06347).
# - Lee and others 2023, [RLAIF vs. RLHF](https://arxiv.org/abs/2309.00267).
# - Gao, Schulman and Hilton 2023, [Scaling Laws for Reward Model Overoptimization](https://arxiv.org/abs/2210.10760).
