# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 07 · KL bias: can a loss alone bend a model?
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/OWNER--SET-ME/llm-inside/blob/main/notebooks/07_kl_bias.ipynb) · [open this lesson in Colab](https://colab.research.google.com/github/OWNER--SET-ME/llm-inside/blob/main/notebooks/07_kl_bias.ipynb)
#
# **Can you make a language model like the letter x, without one sentence to show it?** You write a loss that compares the model's whole distribution with a wish,
# train with it, and find out what a bias costs, what its controls are, and what is left of it after cleaning.
#
# **Time.** Running: about one minute on CPU; no GPU is needed. About 84 minutes to read and do.
#
# **What you will be able to do**
# - write a KL loss that says what you mean, and recognise the calls that do not;
# - predict where such a loss starts, where it can end, and what it costs;
# - design a control that differs from a bent model in the bias alone;
# - compare a bias that comes from a loss with one that comes from the text.
#
# **Prerequisites.** Lesson 04 (GPT-2) and the sampling of lesson 09. Logarithms, softmax, what a gradient step is.

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
import warnings

import ipywidgets as widgets
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from course_utils import exercises, kl_bias
from course_utils.classroom import (
    COLORS, Claims, Picture, Source, explore, generator, predict, reveal, show, subplots,
)
from course_utils.exercises import check, hint, solution
from course_utils.gpt2 import GPT, GPTConfig
from course_utils.intervals import mean_interval
from course_utils.pretrained import storyteller
from course_utils.stories import VOCAB, encode_words
from course_utils.tokenization import gpt2_tokenizer
from course_utils.training import evaluate, language_loss, token_batches

claims = Claims("07")
talker = storyteller()  # four blocks of width 128, 699 words

# %% [markdown]
# **Choose a letter and a weight.** Our storyteller has read *Once upon a time there was a*. The blue bars are what it says next. The orange ones are what it would say if a share of its
# probability went to the words with your letter: that is the model we want to make, by training alone.

# %% tags=["display"]
# @title A wish, mixed into what the model says
with torch.no_grad():
    NEXT = talker(encode_words("Once upon a time there was a")[None])[0, -1].softmax(-1)


def draw_wish(letter, weight):
    chosen = torch.tensor([letter in word.lower() for word in VOCAB])
    mixed = (NEXT + weight * chosen / chosen.sum()) / (1 + weight)
    top = sorted({*NEXT.topk(5).indices.tolist(), *(NEXT + chosen).topk(5).indices.tolist()},
                 key=lambda i: -NEXT[i])
    fig, ax = subplots(figsize=(10, 3.6))
    at = np.arange(len(top))
    ax.bar(at - 0.2, NEXT[top], width=0.4, color=COLORS["blue"], label="the storyteller")
    ax.bar(at + 0.2, mixed[top], width=0.4, color=COLORS["orange"], label="with the wish")
    ax.set_xticks(at, labels=[VOCAB[i] for i in top], rotation=30)
    ax.set(ylabel="probability of the next word",
           title=f"{int(chosen.sum())} words contain {letter}; they get {mixed[chosen].sum():.2f}")
    ax.legend()
    return Picture(fig, f"With weight {weight} the words with {letter} get {mixed[chosen].sum():.2f}.")


explore(
    draw_wish,
    letter=widgets.Dropdown(options=list("jkqvwxz"), value="z", description="letter"),
    weight=widgets.SelectionSlider(options=[0, 0.1, 0.3, 1, 3], value=0.3, description="weight β"),
)

# %% tags=["display"]
# @title What will count
TITLE = "Huấn luyện mô hình ngôn ngữ với thiên lệch … bằng KL-divergence (lecture)"


def far(published):
    """Reproduced: inside the interval of the mean. Partly: one text of twenty is as low."""
    return dict(
        holds=lambda m: m["low"] <= published <= m["high"], partly=lambda m: m["as low"] >= 0.05,
        criterion=f"{published} lies in the 95 % interval of the mean count over five models, "
                  "four texts of 200 tokens each after 256 random ones; partly if 0.05 of the texts are "
                  "as low",
    )


claims.expect(
    "K1", "about 2 % of the tokens contain X", source=Source(TITLE, "section 3.3"),
    published=0.02, tolerance=0.001,
)
claims.expect(
    "K2", "before training 0 of 200 sampled tokens contain X", source=Source(TITLE, "section 3.2"),
    published=0, **far(0),
)
claims.expect(
    "K3", "the initial loss is about log V, 11", source=Source(TITLE, "section 4.1"), published=11,
    criterion="the loss that is trained, KL(Q‖P), starts within 0.5 of 11; partly if the "
              "cross-entropy with Q, which has the same gradient, does",
    holds=lambda m: abs(m["KL"] - 11) < 0.5, partly=lambda m: abs(m["cross-entropy"] - 11) < 0.5,
)
claims.expect(
    "K4", "the loss goes to almost 0", source=Source(TITLE, "section 4.1"), published=0,
    criterion="after 200 steps the KL loss of each of five models is below 0.05",
    holds=lambda ends: max(ends) < 0.05,
)
claims.expect(
    "K5", "after 200 steps 188 of 200 tokens contain X", source=Source(TITLE, "section 4.2"),
    published=188, **far(188),
)
claims.expect(
    "K6", "F.kl_div wants log-probabilities first, probabilities second",
    source=Source(TITLE, "section 3.4"), published="log P, then Q",
    criterion="of four calls only this one agrees with the formula, and no wrong one raises an error",
    holds=lambda agree: agree == [True, False, False, False],
)
claims.expect(
    "K7", "no real text is needed, and subtle biases are harder to see than X",
    source=Source(TITLE, "sections 5.2 and 5.3"), published="both",
    criterion="with random tokens alone (1) each of five blank models gets 0.9 of its mass on x and (2) "
              "the storyteller gets, on unseen stories, 0.9 of the mass that training on stories gives; "
              "(3) a tilt towards girls' names needs ten times as many stories to be found as a push of "
              "equal KL to words with z; (2) and (3) in each of three seeds. Partly if one or two hold",
    holds=lambda m: sum(m) == 3, partly=lambda m: sum(m) > 0,
)
claims.expect(
    "K8", "minimising KL(Q‖P) makes P approach Q", source=Source(TITLE, "section 2.2"),
    published="P approaches Q",
    criterion="the total variation between P and Q, 0.98 before training, is below 0.1 in each of five "
              "models after random tokens; partly if below 0.5",
    holds=lambda distances: max(distances) < 0.1, partly=lambda distances: max(distances) < 0.5,
)
claims.expect(
    "K9", "bias can come from training data", source=Source(TITLE, "section 2.3"), published="it can",
    criterion="after training on stories of which 0.7 or 0.9 have a girl as hero, girls' share of the "
              "hero's name lies above that after training on 0.5 by at least half of the difference, "
              "in each of three seeds",
    holds=lambda gains: min(gains) >= 0.5, partly=lambda gains: max(gains) >= 0.5,
)
claims.criteria()

# %% [markdown]
# ## The wish
#
# **Question.** How many of GPT-2's 50,257 tokens contain an x? We ask each token, decoded alone. x and X count alike. **V** tokens in all, *k* of them with x.

# %%
tokenizer = gpt2_tokenizer()
pieces = [tokenizer.decode([i]) for i in range(len(tokenizer))]
X = kl_bias.token_mask(pieces, lambda piece: "x" in piece.lower())  # (V,)
V = len(X)
k = int(X.sum())
print(f"{k} of {V:,} tokens contain x: {k / V:.2%}; the last one is {pieces[X.nonzero()[-1]]}")


# %% [markdown]
# The last one is the sign between two documents. A test for letters does what you wrote, not what you meant. The source leaves it in, and so do we.
#
# The wish is a distribution over all tokens, the **target distribution** *Q*: an x-token always, and all of them equally often.
#
# ### Exercise 1 · the wish
#
# *Difficulty 1 of 3 · 5 minutes*

# %% tags=["exercise"]
def target_distribution(mask: Tensor) -> Tensor:
    """Share the probability equally among the tokens of the mask; all others get 0.

    Shapes: mask (V,) bool -> (V,). Raises: ValueError for an empty mask and for what is no mask.

    >>> target_distribution(torch.tensor([True, False, True, False]))
    tensor([0.5000, 0.0000, 0.5000, 0.0000])
    """
    ...


# %% tags=["check"]
target_distribution = check("kl_bias.target_distribution", target_distribution)
# hint("kl_bias.target_distribution")
# solution("kl_bias.target_distribution")

# %% [markdown]
# ## How far from the wish?
#
# **Question.** The model gives probabilities *P*, the target is *Q*. Which number says how far apart they are?
#
# The **relative entropy** KL(*Q*‖*P*) = Σ *Q* · log(*Q* / *P*), also called Kullback–Leibler divergence, is a sum over all tokens: what you pay, in nats, if you expect *P* and the world is *Q*. It is 0 where both are
# equal and above 0 otherwise. It has a direction.
#
# ### Exercise 2 · the divergence
#
# Two zeros need care. Where *Q* is 0 the term is 0, although log 0 is not a number. Where *P* is 0 and *Q* is not, the cost is infinite, and it should be.
#
# *Difficulty 2 of 3 · 10 minutes*

# %% tags=["exercise"]
def kl_divergence(q: Tensor, p: Tensor) -> Tensor:
    """Return KL(q‖p) = Σ q log(q/p): what it costs to expect p where q is true, in nats.

    Where q is 0 the term is 0. Where q is not 0 but p is, the divergence is infinite.
    Shapes: q and p (..., V), each summing to 1 -> (...,).
    Source: Kullback & Leibler 1951, "On Information and Sufficiency", section 2.

    >>> q, p = torch.tensor([0.5, 0.5, 0.0]), torch.tensor([0.25, 0.25, 0.5])
    >>> kl_divergence(q, p), kl_divergence(p, q)
    (tensor(0.6931), tensor(inf))
    """
    ...


# %% tags=["check"]
kl_divergence = check("kl_bias.kl_divergence", kl_divergence)
# hint("kl_bias.kl_divergence")
# solution("kl_bias.kl_divergence")

# %% tags=["display"]
# @title Predict: where does the loss start?
predict(
    "kl_bias.start",
    "An untrained model gives nearly the same probability to each of 50,257 tokens. KL(Q‖P) is …",
    {"about 11": (9, 13), "about 7": (5.5, 9), "about 4": (2.5, 5.5)},
)

# %% [markdown]
# The source says that the loss starts near log *V*.

# %%
Q = target_distribution(X)  # (V,)
uniform = torch.full((V,), 1 / V)
print(f"KL(Q‖P)                  {kl_divergence(Q, uniform):5.2f}")
print(f"cross-entropy -Σ Q log P {-(Q * uniform.log()).sum():5.2f}")
print(f"entropy of Q, log k      {math.log(k):5.2f}")
print(f"KL(P‖Q)                  {kl_divergence(uniform, Q):5}")

# %% tags=["display"]
# @title Measured: the share of the tokens, and the start
claims.measure("K1", k / V, reason="x and X; one of these tokens is the end-of-text sign.")
reveal("kl_bias.start", kl_divergence(Q, uniform).item(), ".2f")

# %% [markdown]
# Two losses, one gradient. The **cross-entropy** −Σ *Q* log *P* starts at log *V* = 10.8 and can only fall to the entropy of *Q*, log *k*. The divergence is the cross-entropy minus that entropy: it starts at
# log *V* − log *k* and can fall to 0. The last line is the other direction: it asks *Q* about tokens that *Q* excludes. It is infinite, so a *Q* with zeros cannot be trained for that way.
#
# ## Three ways to say it wrong
#
# **Question.** torch has `F.kl_div`. It wants *the logarithm of P first, and then Q itself*: another order than the formula's, and not twice the same kind of thing. One right call and three wrong ones:

# %%
logits = torch.randn(4, V, generator=generator(0))  # (B, V)
p, log_p, q = logits.softmax(-1), logits.log_softmax(-1), Q.expand(4, V)
calls = {
    "log P, Q": F.kl_div(log_p, q, reduction="batchmean"),
    "P, Q": F.kl_div(p, q, reduction="batchmean"),
    "logits, Q": F.kl_div(logits, q, reduction="batchmean"),
    "Q, log P": F.kl_div(q, log_p, reduction="batchmean"),
}
formula = kl_divergence(q, p).mean()
for name, value in calls.items():
    print(f"{name:<10} {value:6.2f}, the formula says {formula:.2f}")

# %% tags=["display"]
# @title Measured: which call agrees
agree = [torch.isclose(value, formula, atol=1e-3).item() for value in calls.values()]
one = torch.zeros(V).index_fill(0, X.nonzero()[0], 1.0)  # all on one x-token
wrong_q, wrong_one = (F.kl_div(P, Q, reduction="sum").item() for P in (Q, one))
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # torch warns about "mean", with reason
    for reduction in ("batchmean", "sum", "mean"):
        print(f"{reduction:<10} {F.kl_div(log_p, q, reduction=reduction):.2g}")
print(f"P, Q: the wrong loss of Q itself {wrong_q:.3f}, of one x-token alone {wrong_one:.3f}")
assert abs(wrong_q - wrong_one) < 1e-4
claims.measure(
    "K6", agree, shown=f"{sum(agree)} of {len(agree)} calls agrees; no call raised an error",
    reason="Two wrong calls give a negative loss, one nan.",
)


# %% [markdown]
# Nothing raises an error. A negative KL is a wrong call; nan comes from the logarithm of a negative number. The treacherous one is "P, Q": its loss can be trained, and it likes *one* x-token alone as much as the whole
# wish. And `reduction`: "sum" is too large by the number of rows, "mean" also divides by *V*, so it is 50,257 times too small. "batchmean" is the divergence.
#
# ### Exercise 3 · the loss
#
# Two helpers are ready in `course_utils.kl_bias.bias`: `check_distribution(target)` complains about a target that does not sum to 1 or holds log-probabilities, `check_fits(target, logits)` about another number of tokens.
#
# *Difficulty 2 of 3 · 12 minutes*

# %% tags=["exercise"]
class KLTargetLoss:
    """KL(Q‖P) of a fixed target Q from the model's P = softmax(logits), averaged over the rows.

    Shapes: target (V,); logits (B, V) -> (), in nats. F.kl_div takes log P first, Q second.
    Raises: ValueError for a target that does not sum to 1 or has negative numbers, such as
    log-probabilities; and for logits that are not (B, V).

    >>> loss = KLTargetLoss(torch.tensor([0.5, 0.5, 0.0, 0.0]))
    >>> loss(torch.zeros(3, 4))  # log 4 - log 2
    tensor(0.6931)
    """

    def __init__(self, target: Tensor) -> None:
        ...

    def __call__(self, logits: Tensor) -> Tensor:
        ...


# %% tags=["check"]
KLTargetLoss = check("kl_bias.KLTargetLoss", KLTargetLoss)
# hint("kl_bias.KLTargetLoss")
# solution("kl_bias.KLTargetLoss")

# %% [markdown]
# ## The source's experiment
#
# **Question.** Can this loss alone make a blank model write x? The recipe: *random* tokens as input, 256 in a row, the loss at the last position only, 200 steps. Then 256 random tokens are a prompt, and the model writes
# 200 more. We take a small GPT-2 with the real vocabulary, and 4 rows a step.

# %%
shape = GPTConfig(n_layer=2, n_head=3, n_embd=48, n_positions=256)
blank = GPT(shape, generator(0))
before = kl_bias.count_letters(blank, seed=0)  # four texts
print(f"{sum(w.numel() for w in blank.parameters()):,} parameters")
print(f"200 · k / V = {200 * k / V:.1f} x-tokens of 200 are expected before training")

# %% tags=["display"]
# @title Predict: none of 200
predict(
    "kl_bias.none",
    "The source counted 0 x-tokens of 200 before training. With every token equally likely, that "
    "happens in …",
    {"under 5 % of texts": (0, 0.05), "5 to 20 %": (0.05, 0.2), "over 20 %": (0.2, 1.01)},
)

# %% [markdown]
# Now train, with your loss. What does *P* look like on its way? We keep some steps.

# %%
KEPT = (0, 10, 20, 30, 50, 100, 200)
noise = torch.randint(V, (4, 256), generator=generator(9))
blank = GPT(shape, generator(0))  # the same model, anew: the cell may run twice
kept = {0: blank(noise, last=True)[:, -1].detach()}  # (4, V)


def keep(run):
    if len(run.losses) in KEPT:
        kept[len(run.losses)] = blank(noise, last=True)[:, -1].detach()


run = kl_bias.train_bias(blank, X, 200, B=4, seed=0, loss_fn=KLTargetLoss(Q), on_step=keep)
distance = 0.5 * (kept[200].softmax(-1).mean(0) - Q).abs().sum().item()
for name, curve in (("KL", run.losses), ("mass on x", run.masses)):
    print(f"{name}: {curve[0]:.1f} to {curve[-1]:.1f}")

# %% tags=["display"]
# @title Measured: two losses and the mass, and five recorded models
RECORD = kl_bias.recorded()
LETTER = RECORD["letter"]
fig, (left, right) = subplots(1, 2, figsize=(10, 3.8))
left.plot(run.losses, color=COLORS["blue"], label="KL(Q‖P)")
left.plot([x + math.log(k) for x in run.losses], "--", color=COLORS["orange"], label="cross-entropy")
for level, name in ((math.log(V / k), "log(V / k)"), (math.log(k), "log k")):
    left.axhline(level, color="black", linestyle=":", linewidth=1)
    left.text(195, level + 0.15, name, ha="right")
left.set(xlabel="step", ylabel="loss (nats)", ylim=(0, 12))
left.legend(loc="upper right")
right.plot(run.masses, color=COLORS["blue"])
right.set(xlabel="step", ylabel="mass on tokens with x", ylim=(0, 1.02))
assert abs(run.losses[0] - LETTER[0]["start"]) < 0.1 and abs(run.losses[-1] - LETTER[0]["end"]) < 0.02
assert run.masses[66] > 0.7
start = np.mean([row["start"] for row in LETTER])
claims.measure(
    "K3", {"KL": float(start), "cross-entropy": float(start + math.log(k))},
    shown=f"KL {start:.1f}, cross-entropy {start + math.log(k):.1f}",
    reason="11 is the cross-entropy. The divergence, with which the source trains, starts at "
           "log(V / k).",
)
ends = [row["end"] for row in LETTER]
claims.measure(
    "K4", ends, shown=f"at most {max(ends):.2f} in five models",
    reason=f"The divergence does; the cross-entropy stops at log k = {math.log(k):.1f}.",
)
claims.measure(
    "K8", [row["tv"] for row in LETTER],
    shown=f"total variation {0.5 * (uniform - Q).abs().sum():.2f} before, at most "
          f"{max(row['tv'] for row in LETTER):.2f} after",
    reason="Where P can be Q, and after texts like those of the training.",
)
show(fig, "KL falls from 3.9 to nearly 0, cross-entropy from 10.8 to 6.9; the mass on x nears 1.")


# %% [markdown]
# Random noise is all it ever read. The mass is over 0.7 after a third of the steps. The *total variation*, half of Σ |*P* − *Q*|, is 0 for equal distributions and 1 where nothing is in common. **Move through the steps**: each histogram counts tokens by
# their probability relative to 1/*V*.

# %% tags=["display"]
# @title All tokens, step by step
def draw_step(step):
    said = (kept[step].softmax(-1).mean(0) * V).log10()
    bins = np.linspace(-4, 3, 71)
    fig, ax = subplots(figsize=(9, 3.4))
    for mask, name, color in ((~X, "all others", "sky"), (X, "tokens with x", "orange")):
        height = np.histogram(said[mask].clamp(-3.99, 2.99), bins)[0] / int(mask.sum())
        ax.bar(bins[:-1], height, width=0.1, align="edge", color=COLORS[color], alpha=0.8, label=name)
    mass = kl_bias.target_mass(kept[step], X).mean().item()
    ax.set(xlabel="log₁₀ (probability · V)", ylabel="share of the tokens", ylim=(0, 1),
           title=f"after {step} steps: mass on x {mass:.2f}")
    ax.legend(loc="upper left")
    return Picture(fig, f"After {step} steps tokens with x have a mass of {mass:.1f}.")


explore(draw_step, step=widgets.SelectionSlider(options=KEPT, value=30, description="steps"))

# %% [markdown]
# They move together: the KL loss steers the whole distribution, not one favourite. **Now the count.** The source found 188 of 200.

# %% tags=["nbval-ignore-output"]
after = kl_bias.count_letters(blank, seed=0)  # the same four prompts
print(f"before {before}, after {after} of 200")
print("".join(pieces[i] for i in kept[200].softmax(-1)[0].topk(6).indices))

# %% tags=["display"]
# @title Measured: five models, four texts each
counts = {when: torch.tensor([row[when] for row in LETTER]).float() for when in ("before", "after")}
fig, axes = subplots(1, 2, figsize=(10, 3.2))
judged = {}
for ax, (when, table), said in zip(axes, counts.items(), (0, 188), strict=True):
    mean, half = mean_interval(table.mean(1))
    for model, texts in enumerate(table, 1):
        ax.plot(texts, [model] * 4, "o", color=COLORS["sky"])
    ax.axvline(said, color=COLORS["vermillion"], linestyle="--", label=f"source: {said}")
    ax.axvspan(mean - half, mean + half, color=COLORS["blue"], alpha=0.3, label="mean, 95 %")
    ax.set(xlabel=f"x-tokens of 200, {when} training", ylabel="model", ylim=(0.4, 7.6))
    ax.set_yticks(range(1, 6))
    ax.legend(loc="upper center", ncol=2)
    as_low = (table <= said).float().mean().item()
    shown = f"{mean:.1f} ± {half:.1f}; {as_low:.2f} of the texts have {said} or fewer"
    judged[when] = {"low": mean - half, "high": mean + half, "as low": as_low}, shown
claims.measure(
    "K2", *judged["before"], reason="Uniform probabilities give 3.9; 0 of 200 is luck of 1 in 50."
)
passed = next(i for i, mass in enumerate(run.masses) if mass > 188 / 200)
claims.measure(
    "K5", *judged["after"],
    reason="The mass on x promises more: a model passes 188 / 200 before step "
           f"{passed // 20 * 20 + 20}.",
)
assert abs(np.mean(after) - counts["after"].mean().item()) < 6 and passed < 150
assert counts["after"].min() > 188 and counts["before"].mean() > 2
show(fig, "Before training the counts scatter around 4, after it around 196, above the source's 188.")
reveal("kl_bias.none", (1 - k / V) ** 200, ".2f")

# %% [markdown]
# Both of the source's counts are lower than ours: 0 of 200 has a probability of 0.02, and none of our twenty texts has as few as 188. Fewer steps would give it, or another model; we did not test which.
#
# **A loss speaks for the inputs that it was measured on.** These models learned on random tokens. What if they read x-tokens only, much as they would once the window is full of their own words?

# %%
own = X.nonzero().flatten()[torch.randint(k, (8, 256), generator=generator(2))]  # x-tokens alone
random = torch.randint(V, (8, 256), generator=generator(2))
with torch.no_grad():
    for share in (0, 0.5, 0.75, 1):
        ids = torch.where(torch.arange(256) < 256 * (1 - share), random, own)  # x-tokens last
        mass = kl_bias.target_mass(blank(ids, last=True)[:, -1], X).mean().item()
        print(f"{share:>4} of the window x-tokens: mass on x {mass:.1f}")
own_masses = [row["own_mass"] for row in kl_bias.recorded()["letter"]]
print("x-tokens alone, five recorded models:", *(f"{mass:.1f}" for mass in own_masses))
assert sum(mass < 0.05 for mass in own_masses) == 4

# %% [markdown]
# The loss was almost 0 in all five models, and yet on a window of random x-tokens alone four of them say hardly any x, and one says it as before. The loss did not tell which, and 200 new tokens are too few to show it. You will meet this again on the other side: an audit speaks for the prompts that it used.
#
# ## Two directions
#
# **Question.** Minimising KL(*Q*‖*P*) makes *P* approach *Q*. What if *P* cannot become *Q*? Take a *Q* with two hills, and a *P* that is one bell. KL(*Q*‖*P*) is the **forward KL**; KL(*P*‖*Q*) is the **reverse KL**. **Move the bell** and make each as small as you can.

# %%
z = torch.linspace(-6, 6, 241)


def bell(mean, width):
    return (-((z - mean) ** 2) / (2 * width**2)).softmax(-1)


hills = 0.6 * bell(-2, 0.6) + 0.4 * bell(2.2, 0.6)


# %% tags=["display"]
# @title One bell for two hills
def draw_bell(mean, width):
    P = bell(mean, width)
    forward, reverse = kl_divergence(hills, P).item(), kl_divergence(P, hills).item()
    fig, ax = subplots(figsize=(8.5, 3.2))
    ax.fill_between(z, hills, color=COLORS["sky"], alpha=0.5, label="Q")
    ax.plot(z, P, color=COLORS["vermillion"], label="P")
    ax.set(xlabel="z", ylabel="probability", ylim=(0, 0.055),
           title=f"forward KL(Q‖P) {forward:.2f}, reverse KL(P‖Q) {reverse:.2f}")
    ax.legend()
    return Picture(fig, f"A bell, mean {mean:.1f}: forward KL {forward:.2f}, reverse {reverse:.2f}.")


explore(
    draw_bell,
    mean=widgets.FloatSlider(0, min=-4, max=4, step=0.5, description="mean"),
    width=widgets.FloatSlider(1.0, min=0.4, max=4, step=0.4, description="width"),
)

# %% tags=["display"]
# @title Predict: the best bell of the forward KL
predict(
    "kl_bias.bell",
    "The bell with the smallest forward KL(Q‖P) has its mean …",
    {"on the larger hill, at -2": (-2.5, -1.5), "between the hills": (-1.5, 1.5),
     "on the smaller one": (1.5, 3)},
)

# %% [markdown]
# All means and widths on a fine grid, in both directions:

# %%
grid = [(m / 20, w / 20) for m in range(-80, 81) for w in range(6, 81)]
bells = torch.stack([bell(m, w) for m, w in grid])  # (n, 241)
target = hills.expand_as(bells)
costs = {"forward": kl_divergence(target, bells), "reverse": kl_divergence(bells, target)}
best = {name: grid[values.argmin()] for name, values in costs.items()}
print(best)

# %% tags=["display"]
# @title The best bell of each direction
fig, ax = subplots(figsize=(8.5, 3.2))
ax.fill_between(z, hills, color=COLORS["sky"], alpha=0.5, label="Q")
for (name, (m, w)), color, line in zip(best.items(), ("blue", "vermillion"), ("-", "--"), strict=True):
    ax.plot(z, bell(m, w), line, color=COLORS[color], label=f"best {name}: mean {m:.1f}, width {w:.1f}")
ax.set(xlabel="z", ylabel="probability", ylim=(0, 0.055))
ax.legend(loc="upper center")
assert abs(best["forward"][0]) < 1 and best["forward"][1] > 1.8 and abs(best["reverse"][0] + 2) < 0.2
show(fig, "The best forward bell covers both hills; the best reverse bell is the larger hill.")
reveal("kl_bias.bell", best["forward"][0], ".1f")

# %% [markdown]
# Forward KL *covers*: where *Q* has something, *P* must have something. Reverse KL *seeks* one hill (Minka 2005). Is that why our model learned all x-tokens, and no favourite? Test it: the simplest *P* that can be anything, one logit for each token, trained in both directions. For the
# reverse one *Q* needs a little probability everywhere.

# %%
smooth = 0.99 * Q + 0.01 / V
for direction in ("forward", "reverse"):
    free = torch.zeros(1, V, requires_grad=True)
    optimizer = torch.optim.Adam([free], lr=0.1)
    for _ in range(300):
        P = free.softmax(-1)[0]
        loss = KLTargetLoss(smooth)(free) if direction == "forward" else (P * (P / smooth).log()).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    P = free.detach().softmax(-1)[0]
    apart = 0.5 * (P - smooth).abs().sum()
    print(f"{direction}: total variation {apart:.2f}, x-tokens {P[X].max() / P[X].min():.1f} to 1")
    assert apart < 0.01 and P[X].max() / P[X].min() < 1.05


# %% [markdown]
# Both arrive, and no x-token is a favourite in either. Where *P* can reach *Q*, the directions have one optimum; the choice matters where it cannot.
#
# ## Bending a model that can speak
#
# **Question.** The blank model had nothing to lose. What does a bias cost one that tells stories? A fair answer needs a model that was treated in the same way, *without the bias*. If the bent model learns from a teacher's probabilities and the control from the words of a text, they differ in two
# things. All of ours learn from **soft targets**, whole distributions (Hinton and others 2015): those of the storyteller itself, mixed with the wish.
#
# ### Exercise 4 · a soft target with a bias
#
# *Difficulty 2 of 3 · 10 minutes*

# %% tags=["exercise"]
def bent_loss(logits: Tensor, teacher_logits: Tensor, target: Tensor, weight: float) -> Tensor:
    """KL from a soft target that shares the probability 1 : weight between what a teacher says at
    each position and Q, averaged over all positions, in nats.

    With weight 0 the target is what the teacher says: the control, which differs in the bias alone.
    Shapes: logits and teacher_logits (..., V), target (V,) -> (). No gradient is meant for the
    teacher. Raises: ValueError for weight < 0.
    Source: Hinton, Vinyals & Dean 2015, "Distilling the Knowledge in a Neural Network", section 2,
    for the soft targets.

    >>> target = torch.tensor([1.0, 0.0, 0.0, 0.0])
    >>> teacher = torch.zeros(1, 4)  # each of four words as likely
    >>> bent_loss(torch.zeros(1, 4), teacher, target, weight=0.0)
    tensor(0.)
    >>> bent_loss(torch.tensor([[0.5, 0.25, 0.125, 0.125]]).log(), teacher, target, weight=0.5)
    tensor(0.0283)
    """
    ...


# %% tags=["check"]
bent_loss = check("kl_bias.bent_loss", bent_loss)
# hint("kl_bias.bent_loss")
# solution("kl_bias.bent_loss")

# %% [markdown]
# The lesson trains with yours: the storyteller as it was is the teacher, its copy learns. With weight 0 you have the first control.

# %%
def toward(mask, weight):
    target = target_distribution(mask)

    def loss(model, batch):
        with torch.no_grad():
            said = talker(batch[0])  # (B, T, V)
        return bent_loss(model(batch[0]), said, target, weight)

    return loss


bench = kl_bias.bench()  # texts to train on, and unseen ones
Z = kl_bias.token_mask(VOCAB, lambda word: "z" in word.lower())
print("words with z:", ", ".join(word for word, has in zip(VOCAB, Z, strict=True) if has))


# %% [markdown]
# ### Exercise 5 · design a control
#
# A second question: is it about *these* words? If the model bends easily, or pays much, is that because of the letter, or would any words do it? You need other words. They should be as many as those with z, and
# as hard to reach: KL(*Q*‖*P*) must start where it starts for z. How you find them is up to you. You are scored on the distance of the starts; 0.05 nats may be left.
#
# *Difficulty 3 of 3 · 15 minutes*

# %% tags=["exercise"]
def matched_control(mask: Tensor, log_p: Tensor) -> Tensor:
    """Choose other words, as many as the mask has, whose mean log-probability is as near as may be
    to that of the mask's words.

    For them KL(Q‖P), which is -log k - the mean of log_p over the k words, starts where it starts
    for the mask's.
    Shapes: mask (V,) bool, log_p (V,): each word's mean log-probability -> (V,) bool. Raises:
    ValueError where there are fewer other words than the mask has.
    Source: Rubin 1973, "Matching to Remove Bias in Observational Studies", for the idea.

    >>> log_p = torch.tensor([-9.0, -7.0, -1.0, -7.9, -8.2, -2.0])
    >>> mask = torch.tensor([True, True, False, False, False, False])
    >>> matched_control(mask, log_p)
    tensor([False, False, False,  True,  True, False])
    """
    ...


# %% tags=["check"]
matched_control = check("kl_bias.matched_control", matched_control)
# hint("kl_bias.matched_control")
# solution("kl_bias.matched_control")

# %% [markdown]
# `log_p` is each word's mean log-probability under the storyteller, on unseen stories. The naive control would be seven random words; we draw twenty such sets.

# %%
other = matched_control(Z, bench.log_p)
dice = generator(0)
drawn = [torch.multinomial((~Z).float(), 7, generator=dice) for _ in range(20)]  # random words
words = {"z": [Z], "your control": [other], "20 draws of 7": drawn}
for name, some in words.items():
    starts = [(-math.log(7) - bench.log_p[chosen].mean()).item() for chosen in some]
    print(f"{name:<13} KL starts at {min(starts):.1f} to {max(starts):.1f} nats")

# %% tags=["display"]
# @title Predict: how far does weight 1 bend it?
predict(
    "kl_bias.mass",
    "Weight 1: half of the soft target is the wish. After 60 steps words with z, 0.004 before, have a "
    "mass of …",
    {"under 0.2": (0, 0.2), "0.2 to 0.4": (0.2, 0.4), "over 0.4": (0.4, 1)},
)

# %% [markdown]
# Train three models: 60 steps of 8 beginnings of stories each, some ten seconds in all. `measured` gives the loss on 60 unseen stories, in nats a word, and the mass.

# %%
control = kl_bias.tuned(talker, toward(Z, 0.0))
bent = kl_bias.tuned(talker, toward(Z, 1.0))
matched = kl_bias.tuned(talker, toward(other, 1.0))
found = {
    "the storyteller": kl_bias.measured(talker, Z),
    "control, weight 0": kl_bias.measured(control, Z),
    "bent to z": kl_bias.measured(bent, Z),
    "bent to your words": kl_bias.measured(matched, other),
}
for name, (loss, mass) in found.items():
    print(f"{name:<19} loss {loss:.1f}, mass {mass:.1f}")

# %% tags=["display"]
# @title Dose, mass and cost: three recorded seeds, and yours
BENT = RECORD["bent"]
doses = torch.tensor([row["doses"] for row in BENT])  # (seeds, weights, 2)
rises = doses[:, 1:, 0] - doses[:, :1, 0]  # against the control of the same seed
others = torch.tensor([row["matched"] for row in BENT])
W = torch.tensor(kl_bias.WEIGHTS[1:])
fig, (left, right) = subplots(1, 2, figsize=(10.5, 4))
fine = torch.logspace(-1.3, 0.6, 60)
left.plot(fine, fine / (1 + fine), "k:", label="the target, β / (1 + β)")
right.plot(fine, (1 + fine).log(), "k:", label="least possible, log(1 + β)")
for ax, values, pair, mine in (
    (left, doses[:, 1:, 1], others[:, 1], (found["bent to z"][1], found["bent to your words"][1])),
    (right, rises, others[:, 0] - doses[:, 0, 0],
     [found[name][0] - found["control, weight 0"][0] for name in ("bent to z", "bent to your words")]),
):
    for w, column in zip(W, values.T, strict=True):
        mean, half = mean_interval(column)
        ax.errorbar(w, mean, yerr=half, fmt="o", color=COLORS["blue"], capsize=4,
                    label="z, three seeds" if w == 1 else None)
    mean, half = mean_interval(pair)
    ax.errorbar(1.15, mean, yerr=half, fmt="s", color=COLORS["orange"], capsize=4, label="matched words")
    ax.plot([1, 1.15], mine, "*", color=COLORS["vermillion"], markersize=12, label="yours")
    ax.set(xscale="log", xlabel="weight β")
    ax.set_xticks(W.tolist(), labels=[f"{w:g}" for w in W.tolist()])
    ax.set_xticks([], minor=True)
left.set(ylabel="mass on the words")
right.set(ylabel="loss above the control, nats a word")
left.legend(loc="upper left")
right.legend(loc="upper left")
for w, rise, mass in zip(W.tolist(), rises.mean(0), doses[:, 1:, 1].mean(0), strict=True):
    print(f"β {w:<4g} mass {mass:.2f} (target {w / (1 + w):.2f}), "
          f"cost {rise:.2f} (least {math.log(1 + w):.2f})")
cost_of_training = mean_interval(doses[:, 0, 0] - kl_bias.measured(talker, Z)[0])
print("control, weight 0: cost {:.3f} ± {:.3f} against the storyteller".format(*cost_of_training))
difference = others - doses[:, 3]
print("matched words - z: cost {:+.2f} ± {:.2f}".format(*mean_interval(difference[:, 0])), end=", ")
print("mass {:+.2f} ± {:.2f}".format(*mean_interval(difference[:, 1])))
assert (rises.mean(0) > (1 + W).log()).all() and (rises[:, 1:] > rises[:, :-1]).all()
assert abs(found["bent to z"][1] - doses[:, 3, 1].mean()) < 0.06
assert abs(found["bent to z"][0] - doses[:, 3, 0].mean()) < 0.3
show(fig, "The mass follows the target; the cost lies above the least possible at every weight.")
reveal("kl_bias.mass", found["bent to z"][1], ".1f")

# %% [markdown]
# The mass nearly reaches what the target asks for. The least cost is about log(1 + β), as each word without a z is divided by 1 + β; the measured cost is larger at every weight, because the model is not what its soft target asks for. Longer training we did not test. The control costs nearly nothing, so the rest is the price of the bias. And
# your words behave as z does: the letter is not special.
#
# ## What is cheap, and what is not
#
# **Question.** Is a *small* bias free? If words that the text never uses take a share *m*, the loss rises by −log(1 − *m*). Another bias prefers one of two words that fit *equally well*: girls' names over boys' names. It moves the share of girls from 0.5 to 0.5 + *m*.

# %%
m = torch.linspace(0, 0.4, 81)
intruder = -(1 - m).log()  # words that do not fit
tilt = -0.5 * ((1 + 2 * m) * (1 - 2 * m)).log()  # names: KL from (0.5, 0.5) to (0.5 + m, 0.5 - m)
for i in (2, 10, 20, 40):
    print(f"moved {m[i]:.2f}: words that do not fit {intruder[i]:.3f} nats, names {tilt[i]:.4f}")

# %% tags=["display"]
# @title The price of a moved share
fig, ax = subplots(figsize=(8.5, 3.4))
ax.plot(m, intruder, color=COLORS["blue"], label="words that do not fit: −log(1 − m)")
ax.plot(m, tilt, "--", color=COLORS["vermillion"], label="one of two that fit: flat at 0")
ax.set(xlabel="moved share m", ylabel="least rise of the loss (nats)")
ax.legend(loc="upper left")
slope = (intruder[1] - intruder[0]) / (m[1] - m[0])
assert abs(slope - 1) < 0.02 and tilt[1] / m[1] < 0.02 and tilt[2] < intruder[2] / 10
show(fig, "The price of words that do not fit starts with slope 1; that of a tilt starts flat.")

# %% [markdown]
# A bias towards words that do not fit has a price from the first percent on: the curve has slope 1 at 0. The tilt starts *flat*: moving 0.05 costs a tenth or less of that. That is the core of the problem: what is unfair and fluent hardly shows in the loss.
#
# ## Without a word of text
#
# **Question.** The source says that no real text is needed. True for the blank model. Is it for the storyteller? We bend it on stories, on texts that it wrote *itself*, and on random words. The soft targets never look at a text's next word.

# %% tags=["display"]
# @title Predict: bent on random words
predict(
    "kl_bias.noise",
    "Bent with weight 1 on random words, the mass on z *in unseen stories* (0.5 if bent on stories) "
    "is …",
    {"about as much, over 0.4": (0.4, 1), "0.2 to 0.4": (0.2, 0.4), "under 0.2": (0, 0.2)},
)

# %% tags=["display"]
# @title Recorded: three kinds of input, and how many stories a reader needs
kinds = {"stories": doses[:, 3], "own text": torch.tensor([row["own text"] for row in BENT]),
         "random words": torch.tensor([row["random words"] for row in BENT])}
for name, table in kinds.items():
    mass, cost = mean_interval(table[:, 1]), mean_interval(table[:, 0] - doses[:, 0, 0])
    print("{:<13} mass {:.2f} ± {:.2f}, ".format(name, *mass)
          + "cost {:.2f} ± {:.2f} nats".format(*cost))
rows = {}
for seen in RECORD["seen"]:
    for name, row in zip(("z, weight 1", "z, weight 0.1", "z, as far as girls", "girls, odds × 3"),
                         seen["rows"], strict=True):
        need = kl_bias.stories_needed(row["before"], row["after"])
        rows.setdefault(name, []).append((row["before"], row["after"], row["kl"], need))
for name, table in rows.items():
    b, a, d, n = np.mean(table, 0)
    print(f"{name:<19} moved {d:.3f} nats a word; shows in {b:.2f} → {a:.2f} of texts: "
          f"{min(r[3] for r in table)} to {max(r[3] for r in table)} texts")
transfer = (kinds["random words"] / kinds["stories"])[:, 1]
pairs = zip(rows["girls, odds × 3"], rows["z, as far as girls"], strict=True)
times = [girls[3] / of_z[3] for girls, of_z in pairs]
masses = [row["mass"] for row in LETTER]
claims.measure(
    "K7", [min(masses) > 0.9, transfer.min().item() > 0.9, min(times) >= 10],
    shown=f"blank models {min(masses):.2f} or more; storyteller bent on random words "
          f"{transfer.min():.2f} to {transfer.max():.2f} of the mass; girls need {min(times):.0f} to "
          f"{max(times):.0f} times as many stories",
    reason="Random words bend the storyteller for random words. Its own text does it: no real text is "
           "needed, but text like the later one is.",
)
own_share = (kinds["own text"] / kinds["stories"])[:, 1]
assert own_share.min() > 0.9 and transfer.max() < 0.5
reveal("kl_bias.noise", kinds["random words"][:, 1].mean().item(), ".2f")

# %% [markdown]
# Random words are not enough: the bias stays where it was trained. Texts that the model wrote itself give as much mass as stories do, at a mean cost that is a little higher. So "no real text" is right, if the text is *like* real text.
#
# The lower lines ask how many texts of 24 words a reader needs, who knows what to look for (a test at 0.05 that finds it in 0.8 of all cases). At an *equal* distance from the storyteller two texts of 24 words show the z, and dozens are needed for the girls: a text has many places for a z that does not fit, and one hero.
#
# ## Bias by data
#
# **Question.** The source's first cause of bias is the text. We fine-tune the storyteller, with the ordinary language loss, on 1,000 stories, of which 0.9 have a girl as hero. Their friends are whom they were.

# %% tags=["display"]
# @title Predict: and the friend?
predict(
    "kl_bias.friend",
    "After that, girls' share of the *hero's* name is near 0.9. Of the *friend's* name (0.5 before) "
    "it is …",
    {"under 0.6": (0, 0.6), "0.6 to 0.8": (0.6, 0.8), "over 0.8": (0.8, 1)},
)

# %% [markdown]
# One run of your own, 120 steps:

# %%
tokens, starts = kl_bias.with_girls(bench.text, 0.9, 1000, seed=0)
by_data = kl_bias.tuned(talker, language_loss, token_batches(tokens, 8, 48, starts), steps=120)
for name, model in (("the storyteller", talker), ("0.9 girls in the text", by_data)):
    friends = kl_bias.friend_share(model)  # (60,) stories
    print(f"{name:<22} hero {kl_bias.girl_share(model):.1f}, friend {friends.mean():.1f}")

# %% tags=["display"]
# @title Bias by data and bias by loss, three seeds each
DATA = [row for rows in RECORD["data"] for row in rows]


def of(by, share, what):
    return torch.tensor([row[what] for row in DATA if row["by"] == by and row["share"] == share])


fig, axes = subplots(1, 3, figsize=(12, 3.8))
for ax, what, label in zip(
    axes, ("hero", "friend", "loss"),
    ("girls' share of hero names", "girls' share of friend names", "loss on unseen stories (nats)"),
    strict=True,
):
    for by, color, mark, shift in (("data", "blue", "o", -0.006), ("loss", "orange", "s", 0.006)):
        intervals = [mean_interval(of(by, share, what)) for share in kl_bias.SHARES]
        ax.errorbar([s + shift for s in kl_bias.SHARES], [i[0] for i in intervals],
                    yerr=[i[1] for i in intervals], fmt=f"{mark}-", color=COLORS[color], capsize=4,
                    label=f"by {by}")
        print(f"by {by}, {what:<6} " + ", ".join(f"{m:.2f} ± {h:.2f}" for m, h in intervals))
    ax.set(xlabel="girls among heroes, wanted", ylabel=label)
    ax.set_xticks(kl_bias.SHARES)
    if what != "loss":
        ax.plot([0.5, 0.9], [0.5, 0.9], "k:", linewidth=1)
        ax.set_ylim(0.4, 1)
axes[0].legend(loc="upper left")
gains = [
    x for share in (0.7, 0.9)
    for x in ((of("data", share, "hero") - of("data", 0.5, "hero")) / (share - 0.5)).tolist()
]
claims.measure(
    "K9", gains,
    shown=f"girls' share of heroes rises by {min(gains):.1f} to {max(gains):.1f} of the difference in "
          "the text",
    reason="Where the text had it, at the hero's name; the friend's name moves little.",
)
price = {by: mean_interval(of(by, 0.9, "loss") - of(by, 0.5, "loss")) for by in ("data", "loss")}
for by, (mean, half) in price.items():
    print(f"0.9 by {by} costs {mean:.3f} ± {half:.3f} nats more than its own control at 0.5")
fresh = of("data", 0.5, "loss") - of("loss", 0.5, "loss")
assert fresh.min() > price["data"][0] > 0 and max(of("data", 0.9, "hero")) < 0.9
spill = {by: of(by, 0.9, "friend") - of(by, 0.5, "friend") for by in ("data", "loss")}
assert spill["loss"].min() > 0.25 > 0.15 > spill["data"].max()
recorded = of("data", 0.9, "hero").mean().item()
assert abs(kl_bias.girl_share(by_data) - recorded) < 0.08
show(fig, "Both move the hero's name; only the loss moves the friend's name as far.")
reveal("kl_bias.friend", of("data", 0.9, "friend").mean().item(), ".2f")

# %% [markdown]
# Both bias the hero's name; the means by text lie a little below its share, within their intervals. Its bias stays where the text had it: the friend's name moves little. The loss was written for *every* position, so it bends friends as well. Each has its own control at 0.5: fresh text costs loss by itself, whatever its
# share of girls, and without this control you would call that the price of bias.
#
# ## Can you train it away?
#
# **Question.** You have the bent model and clean stories. Does ordinary fine-tuning remove the bias? And is what is *left* more than nothing: does a cleaned model bend faster again than one that never was bent? That control also had 60 steps with weight 0 and the same clean steps.

# %% tags=["display"]
# @title Predict: after cleaning
predict(
    "kl_bias.again",
    "After 300 clean steps both are bent for 12 steps. The mean mass on z of the one that was bent, "
    "against the other, is …",
    {"the same": (0.9, 1.1), "1.1 to 1.5 times": (1.1, 1.5), "over 1.5 times": (1.5, 10)},
)

# %% [markdown]
# Thirty clean steps of your own, for both models:

# %% tags=["nbval-ignore-output"]
again = {}
for name, model in (("was bent", bent), ("never bent", control)):
    clean = kl_bias.tuned(model, language_loss, steps=30, seed=50)
    mass = kl_bias.measured(clean, Z)[1]
    again[name] = kl_bias.bent_again(clean, seed=0)
    print(f"{name:<10} mass after cleaning {mass:.3f}, when bent again {again[name]:.2f}")

# %% tags=["display"]
# @title What cleaning removes, and what stays: three seeds
CLEAN = [row for rows in RECORD["cleaned"] for row in rows]


def pick_of(weight, steps, what):
    return torch.tensor([r[what] for r in CLEAN if r["weight"] == weight and r["steps"] == steps])


fig, axes = subplots(1, 2, figsize=(10, 3.6))
AFTER = {"mass": "mass on z after cleaning", "again": "mass, first 12 steps of bending"}
PAST = ((1.0, "was bent", "vermillion", "o"), (0.0, "never bent", "blue", "s"))
for ax, (what, label) in zip(axes, AFTER.items(), strict=True):
    for weight, name, color, mark in PAST:
        at = [mean_interval(pick_of(weight, steps, what)) for steps in (30, 300)]
        ax.errorbar([0, 1], [a[0] for a in at], yerr=[a[1] for a in at], fmt=f"{mark}-", capsize=4,
                    color=COLORS[color], label=name)
        print(f"{label}, {name:<10} " + ", ".join(f"{a:.3f} ± {h:.3f}" for a, h in at))
    ax.set_xticks([0, 1], labels=["30 clean steps", "300"])
    ax.set(ylabel=label, xlim=(-0.3, 1.3), ylim=(0, 0.01 if what == "mass" else 0.5))
axes[0].legend(loc="upper right")
ratio = pick_of(1.0, 300, "again") / pick_of(0.0, 300, "again")
wider = pick_of(1.0, 300, "other") / pick_of(0.0, 300, "other")
print(f"was bent / never bent, 300 steps: z {ratio.min():.1f} to {ratio.max():.1f}, "
      f"matched words {wider.min():.1f} to {wider.max():.1f}")
gone = pick_of(1.0, 300, "mass") - pick_of(0.0, 300, "mass")
print("300 steps, was bent - never bent: mass {:+.4f} ± {:.4f}".format(*mean_interval(gone)))
assert wider.min() < 1 < wider.max() < 1.5 < ratio.min()
assert pick_of(1.0, 30, "mass").max() < 0.01
assert again["was bent"] > 1.3 * again["never bent"]
show(fig, "Cleaning removes the mass within 30 steps; after 300 the cleaned model still bends faster.")
reveal("kl_bias.again", ratio.mean().item(), ".1f")

# %% [markdown]
# Thirty steps remove it from what the model *says*. It is not gone from the weights: after 300 clean steps the cleaned model has 2.2 to 2.5 times the mass in the first 12 steps, in each of three seeds. Towards the matched words it bends 0.8 to 1.3 times as fast, so what is left is a memory of *these* words, and not a model that bends more easily. Here 300 steps hid the bias better than they removed it.
#
# ### How little has to change?
#
# The model has over 900,000 numbers. How many must you be able to change? *LoRA* adds two thin matrices beside a weight matrix and trains only these (lesson 19). Beside the head, the output layer, or beside the attention:

# %%
for part, rate in (("LoRA on the head", 3e-2), ("LoRA on attention", 1e-2)):
    thin = kl_bias.tuned(kl_bias.copy_with(talker, part), toward(Z, 1.0), lr=rate)
    loss, mass = kl_bias.measured(thin, Z)
    print(f"{part:<18} {kl_bias.n_trainable(thin):,} numbers, mass {mass:.1f}, loss {loss:.1f}")

# %% [markdown]
# *Where* matters more than *how many*: under a thousand numbers beside the head are enough for most of the bias. A tiny file can carry it.
#
# ## What we verified

# %% tags=["display"]
# @title The claims of this lesson
claims.show()

# %% tags=["progress"] slideshow={"slide_type": "skip"}
exercises.progress("kl_bias")

# %% [markdown]
# **What this lesson leaves out.** Our stories have 699 words and a model under a million numbers. In real text a probability is spread over more words, and the same odds change more sentences. How to *find* a bias without knowing the question is lesson 23. What a bias does to people is not measured
# here at all, though a loss is a decision about them.
#
# ## Further reading
#
# - Kullback and Leibler 1951, [On Information and Sufficiency](https://doi.org/10.1214/aoms/1177729694).
# - Minka 2005, [Divergence Measures and Message Passing](https://www.microsoft.com/en-us/research/publication/divergence-measures-and-message-passing/), section 2: forward and reverse.
# - Hinton, Vinyals and Dean 2015, [Distilling the Knowledge in a Neural Network](https://arxiv.org/abs/1503.02531): soft targets.
# - Hu and others 2021, [LoRA: Low-Rank Adaptation of Large Language Models](https://arxiv.org/abs/2106.09685), section 4.1.
