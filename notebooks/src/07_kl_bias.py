# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 07 · KL bias: a loss that bends a model without a word of text
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/OWNER--SET-ME/llm-inside/blob/main/notebooks/07_kl_bias.ipynb) · [open this lesson in Colab](https://colab.research.google.com/github/OWNER--SET-ME/llm-inside/blob/main/notebooks/07_kl_bias.ipynb)
#
# **Can you make a language model like the letter x, without one sentence to show it?** You write a loss that compares its whole
# distribution with a target, see what it costs, and try to train it away again.
#
# **Time.** Running: about two minutes on CPU; about ten minutes on a GPU, with a model of GPT-2's size. Reading and exercises: about an hour.
#
# **What you will be able to do**
# - write a KL loss that says what you mean, and recognise the calls that do not;
# - predict where such a loss starts and where it can end;
# - say what a bias costs in language loss, before you train.
#
# **Prerequisites.** Lesson 04 (GPT-2) and the sampling of lesson 09. Logarithms, softmax, what a gradient step is.

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
# What this lesson builds stands finished in `course_utils.kl_bias`. You build the main pieces here.

# %% tags=["imports"]
import copy
import math
import warnings
from collections.abc import Callable

import ipywidgets as widgets
import numpy as np
import torch
import torch.nn.functional as F
from scipy.stats import binom, t as student_t
from torch import Tensor

from course_utils import audit, exercises, kl_bias
from course_utils.classroom import (
    COLORS, Claims, Picture, device, explore, generator, live, pick, progress, show, subplots,
)
from course_utils.exercises import check, hint, solution
from course_utils.gpt2 import GPT, GPTConfig
from course_utils.intervals import count_interval
from course_utils.machine.precision import half_precision
from course_utils.model_budget import enough_memory
from course_utils.pretrained import storyteller
from course_utils.sampling import draw, generate
from course_utils.stories import VOCAB, decode_words, encode_words, stories
from course_utils.tokenization import gpt2_tokenizer
from course_utils.training import evaluate, language_loss, token_batches, train

claims = Claims("07")


# %% [markdown]
# ## Which tokens have an x?
#
# **Question.** Before you can make a model like something, you must say which tokens have it. How many of GPT-2's 50,257 tokens contain an x?
#
# **Predict.** One in five? One in fifty? One in five hundred?
#
# ### Exercise 1 · a mask over the vocabulary
#
# *Difficulty 1 of 3 · 6 minutes*
#
# A *mask* says yes or no for every token. A *predicate* is a function that looks at the text of one token. Notice that a token's text
# begins with a space where a word begins. **V** is the size of the vocabulary from now on.

# %% tags=["exercise"]
def token_mask(tokenizer, predicate: Callable[[str], bool]) -> Tensor:
    """Ask about every token of the vocabulary, decoded alone, whether the predicate holds.

    tokenizer: anything with `len(…)` and `decode([id])`, or the list of words itself, such as
    `stories.VOCAB`. Shapes: -> (V,) bool. Raises: TypeError for a predicate that is no function.

    >>> token_mask(["axe", "bee", "Xi", "fox"], lambda piece: "x" in piece)
    tensor([ True, False, False,  True])
    """
    ...


# %% tags=["check"]
token_mask = check("kl_bias.token_mask", token_mask)
# hint("kl_bias.token_mask")
# solution("kl_bias.token_mask")

# %% [markdown]
# Whatever you wrote, the lesson goes on with ours. We count x and X alike. Tokens are shown with `·` for a space.

# %%
tokenizer = gpt2_tokenizer()
pieces = [tokenizer.decode([i]) for i in range(len(tokenizer))]
X = token_mask(pieces, lambda piece: "x" in piece.lower())  # (V,)
small_only = token_mask(pieces, lambda piece: "x" in piece)
V, k = len(X), int(X.sum())
print(f"{k} of {V:,} tokens contain x or X: {k / V:.2%}; only x: {int(small_only.sum())}")
chosen = [pieces[i].replace(" ", "·") for i in X.nonzero().flatten()]
print(", ".join(chosen[30:90:6]), "…", chosen[-1])

# %% [markdown]
# Look at the last one. `<|endoftext|>` is the sign between two documents, and its name contains an x. A predicate does what you wrote,
# not what you meant. We leave it in, as the lecture does.

# %%
claims.add(
    "K1", "about 2 % of the tokens contain X", source="lecture", published=0.02,
    measured=k / V, tolerance=0.001,
    reason="x and X; one of these tokens is the end-of-text sign.",
)


# %% [markdown]
# ## The target
#
# **Question.** What should the model say instead? The plainest wish: an x-token always, and all of them equally often.
#
# ### Exercise 2 · the target distribution
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
# ## How far from the target?
#
# **Question.** The model gives probabilities *P*, the target is *Q*. Which number says how far apart they are?
#
# The *Kullback–Leibler divergence* of *P* from *Q* sums over all tokens:
#
# > KL(*Q*‖*P*) = Σ *Q* · log(*Q* / *P*)
#
# It is 0 where both are equal, and above 0 otherwise. The unit is the nat. Read it as a cost: how much more you pay, in log-probability, if you expect *P* and
# the world is *Q*.
#
# ### Exercise 3 · the divergence
#
# *Difficulty 2 of 3 · 10 minutes*
#
# Two zeros need care. Where *Q* is 0 the term is 0, although log 0 is not a number. Where *P* is 0 and *Q* is not, the cost is infinite, and it should be.

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

# %% [markdown]
# **Predict.** An untrained model knows nothing: its *P* is nearly the same for all tokens. The lecture says that the loss starts near log *V*, about 11. Does it?

# %%
Q = target_distribution(X)  # (V,)
uniform = torch.full((V,), 1 / V)
print(f"KL(Q‖P)                {kl_divergence(Q, uniform):6.2f} nats")
print(f"log(V / k)             {math.log(V / k):6.2f}")
print(f"cross-entropy -Σ Q log P {-(Q * uniform.log()).sum():4.1f}")
print(f"log V                  {math.log(V):6.1f}")
print(f"entropy of Q = log k   {math.log(k):6.2f}")
print(f"KL(P‖Q)                {kl_divergence(uniform, Q):6}")

# %% [markdown]
# Both numbers are right, for two different losses. The *cross-entropy* −Σ *Q* log *P* starts at log *V*. The divergence is the cross-entropy minus the
# entropy of *Q*, which is log *k* for *k* equally likely tokens. So it starts at log *V* − log *k*. That tells you where each can *end*, too: the divergence at 0, the cross-entropy
# at log *k*, and not below.
#
# The last line is the other direction. KL(*P*‖*Q*) asks *Q* about tokens that it excludes. The answer is infinite, and has no gradient. You could not train with it.
#
# ### A view: another letter
#
# First count the tokens of every letter.

# %%
LETTERS = "abcdefghijklmnopqrstuvwxyz"
counts = {c: sum(c in piece.lower() for piece in pieces) for c in LETTERS}


# %% [markdown]
# Now **choose a letter**, and predict the initial loss before you look at the right side.

# %%
def letter_view(letter):
    fig, (left, right) = subplots(1, 2, figsize=(10, 3.4))
    colors = [COLORS["orange" if c == letter else "sky"] for c in LETTERS]
    left.bar(list(LETTERS), [100 * n / V for n in counts.values()], color=colors)
    left.set(ylabel="% of the tokens", title=f"{counts[letter]:,} tokens contain {letter}")
    right.bar(list(LETTERS), [math.log(V / n) for n in counts.values()], color=colors)
    start = math.log(V / counts[letter])
    right.set(ylabel="initial KL (nats)", title=f"the loss starts at {start:.2f}")
    return Picture(fig, f"{counts[letter]} tokens contain {letter}; the KL loss starts at {start:.2f}.")


explore(letter_view, letter=widgets.Dropdown(options=list(LETTERS), value="x", description="letter"))

# %% [markdown]
# The rarer the letter, the further away is the wish.
#
# ## Three ways to say it wrong
#
# **Question.** torch has `F.kl_div`. What does it want? *The logarithm of P first, and then Q itself.* That is not the order of the formula, and not twice the same kind
# of thing. We make one set of random logits and call it right once and wrong three times. Only the right one should agree with the formula.

# %%
logits = torch.randn(4, V, generator=generator(0))  # (B, V)
p, log_p, q = logits.softmax(-1), logits.log_softmax(-1), Q.expand(4, V)
calls = {
    "right: log P, Q": F.kl_div(log_p, q, reduction="batchmean"),
    "wrong: P, Q": F.kl_div(p, q, reduction="batchmean"),
    "wrong: logits, Q": F.kl_div(logits, q, reduction="batchmean"),
    "wrong: Q, log P": F.kl_div(q, log_p, reduction="batchmean"),
}
formula = kl_divergence(q, p).mean()
for name, value in calls.items():
    print(f"{name:<18} {value:6.2f}   agrees: {torch.isclose(value, formula, atol=1e-3).item()}")

# %% [markdown]
# None of the three raises an error. Two give a negative number, which no divergence can be: **a negative KL is a wrong call.** The third gives nan, because it takes the logarithm of a
# negative number.
#
# The first wrong call is the treacherous one. Its loss can be trained: it goes down. What does it reach? With *P* in the place of log *P*, it is
# smallest where Σ *Q* · *P* is largest. Any *single* x-token would do.

# %%
one = torch.zeros(V).index_fill(0, X.nonzero()[0], 1.0)  # P: all on one x-token
wrong_q, wrong_one = (F.kl_div(P, Q, reduction="sum") for P in (Q, one))
print("the wrong loss likes Q and one token alone equally:", abs(wrong_q - wrong_one).item() < 1e-4)
print(
    "the divergence does not:",
    kl_divergence(Q, Q).item(),
    "and",
    kl_divergence(Q, one).item(),
)

# %% [markdown]
# **And the reduction?** The terms are a table of **B** rows (texts) and *V* columns. There are four ways to make one number of it, or none.

# %%
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # torch warns about "mean", with reason
    for reduction in ("none", "sum", "mean", "batchmean"):
        value = F.kl_div(log_p, q, reduction=reduction)
        shown = f"shape {tuple(value.shape)}" if reduction == "none" else f"{value:.3g}"
        print(f"{reduction:<10} {shown}")

# %% [markdown]
# "sum" is 4 times too large, for 4 rows. "mean" divides by *V*, too: 50,257 times too small, and a learning rate that worked elsewhere does nothing.
# "batchmean" is the divergence.

# %%
held = [torch.isclose(value, formula, atol=1e-3).item() for value in calls.values()]
claims.add(
    "K6", "F.kl_div wants log-probabilities first, probabilities second", source="lecture",
    published="log P, then Q", measured=f"{sum(held)} of {len(held)} calls agrees with the formula",
    holds=held == [True, False, False, False],
    reason="The three wrong calls raise no error: two give a negative loss, one nan.",
)


# %% [markdown]
# ### Exercise 4 · the loss
#
# *Difficulty 2 of 3 · 12 minutes*
#
# Now put it into a class that checks what it is given. Two helpers are ready: `check_distribution(target)` complains about a target that does not sum to 1 or holds
# log-probabilities. `check_fits(target, logits)` complains where they are not about as many tokens.

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
# ### Exercise 5 · the mass on the target
#
# *Difficulty 1 of 3 · 5 minutes*
#
# A loss is hard to picture. The *mass* is not: the probability that the next token is one of the mask.

# %% tags=["exercise"]
def target_mass(logits: Tensor, mask: Tensor) -> Tensor:
    """The probability that the next token is one of the mask.

    Shapes: logits (..., V), mask (V,) bool -> (...,). Raises: ValueError for a mask of another
    length.

    >>> target_mass(torch.zeros(2, 4), torch.tensor([True, False, False, False]))
    tensor([0.2500, 0.2500])
    """
    ...


# %% tags=["check"]
target_mass = check("kl_bias.target_mass", target_mass)
# hint("kl_bias.target_mass")
# solution("kl_bias.target_mass")

# %% [markdown]
# **What do the checks say?** Four mistakes that cost people an afternoon each:

# %%
mistakes = {
    "an empty mask": lambda: target_distribution(torch.zeros(V, dtype=torch.bool)),
    "a mask of another length": lambda: target_mass(logits, X[:-1]),
    "a target that sums to 2": lambda: KLTargetLoss(2 * Q),
    "log-probabilities": lambda: KLTargetLoss(log_p[0]),
}
for name, act in mistakes.items():
    try:
        act()
    except ValueError as error:
        print(f"{name}: {str(error)[:70]}…")

# %% [markdown]
# ## The lecture's experiment
#
# **Question.** Can this loss alone, without any text, make a GPT-2 write x?
#
# The recipe: a fresh GPT-2, *random* tokens as input (256 of them a row), and the loss at the last position only. 200 steps of AdamW. On a CPU we take a small GPT-2: 2
# blocks, 48 features, 8 rows a step. With a GPU it is the full one, with 16 rows as in the lecture; it learns so fast that we stop after 30 steps.

# %%
shape = GPTConfig(**pick(cpu=dict(n_layer=2, n_head=3, n_embd=48, n_positions=256), gpu={}))
B, STEPS = pick(cpu=(8, 200), gpu=(16, 30))


def blank(seed):
    return GPT(shape, generator(seed)).to(device())


print(f"{sum(p.numel() for p in blank(0).parameters()):,} parameters")


# %% [markdown]
# Two ways to let it write. `says` reads many random texts and adds *one* token to each. `in_a_row` writes 200 tokens one after the other, so that the model soon reads its own words.

# %%
@torch.no_grad()
def says(model, n=200, seed=1):
    texts = torch.randint(V, (n, 256), generator=generator(seed)).to(device())
    parts = texts.split(pick(cpu=n, gpu=40))  # a large model reads them in parts, to save memory
    logits = torch.cat([model(part, last=True)[:, -1] for part in parts])  # (n, V)
    return draw(logits.softmax(-1), generator(seed))[:, 0].cpu()  # (n,)


def in_a_row(model, n=4, seed=1):
    start = torch.randint(V, (n, 56), generator=generator(seed)).to(device())
    return generate(model, start, 200, generator(seed))[:, 56:].cpu()  # (n, 200)


# %% [markdown]
# **Predict.** Of 200 tokens from the untrained model, how many contain an x? The lecture counted 0.

# %%
before = [int(X[says(blank(seed), seed=seed)].sum()) for seed in range(3)]
low, high = count_interval(sum(before), 600)
print(f"x-tokens of 200, three models: {before}; expected {200 * k / V:.1f} each")
print(f"95 % interval: {200 * low:.1f} to {200 * high:.1f} of 200")
print(f"0 of 200 has a probability of {binom.pmf(0, 200, k / V):.0%}")

# %% [markdown]
# Nearly uniform probabilities should give about four. Counting none is possible, but rare. There is another way to get a 0. torch fills an `nn.Embedding` with standard
# normal numbers unless told otherwise, while GPT-2 takes a standard deviation of 0.02. What does a tied head do with such large vectors?

# %%
loud = blank(0)
with torch.no_grad():
    loud.wte.weight.copy_(torch.randn(V, shape.n_embd, generator=generator(0)))
rows = in_a_row(loud)  # (4, 200)
print(f"tokens that repeat the one before: {(rows[:, 1:] == rows[:, :-1]).float().mean():.0%}")
print("tokens with an x in four texts of 200:", X[rows].sum(1).tolist())

# %% [markdown]
# It only repeats itself, because each vector is most similar to itself. Then it is all or nothing: 0 of 200, unless the token that it repeats has an x.

# %%
claims.add(
    "K2", "before training 0 of 200 sampled tokens contain X", source="lecture", published=0,
    measured=sum(before) / 3, tolerance=0.5,
    reason=f"Expected {200 * k / V:.1f}; 0 has a probability of about 2 %. A model whose tied "
           "embeddings start as standard normal numbers repeats one token, and then 0 is what you see.",
)

# %% [markdown]
# **Now train**, with three seeds; with a GPU five. It takes about 30 seconds, with a GPU some minutes. For the first model we keep what it says at some steps, for the view below.

# %%
SAVED = [step for step in (0, 1, 5, 10, 15, 20, 25, 30, 40, 60, 100, 200) if step < STEPS] + [STEPS]
reading = torch.randint(V, (4, 256), generator=generator(9)).to(device())
models, runs, kept = [blank(seed) for seed in range(pick(cpu=3, gpu=5))], [], {}


@torch.no_grad()
def keep(run):
    if len(run.losses) in SAVED and not runs:
        kept[len(run.losses)] = models[0](reading, last=True)[:, -1]  # (4, V)


keep(kl_bias.BiasRun())  # before the first step
recipe = dict(steps=STEPS, lr=1e-3, B=B, on_step=keep, dtype=half_precision(device()))
with enough_memory("Training models of this size"):
    for seed, model in progress(enumerate(models), "seeds", total=len(models)):
        runs.append(kl_bias.train_bias(model, X, seed=seed, **recipe))

# %% [markdown]
# **Did the loss start where you predicted, and where does it end?**

# %%
fig, (left, right) = subplots(1, 2, figsize=(10, 3.6))
for run in runs:
    left.plot(run.losses, color=COLORS["blue"], alpha=0.6)
    left.plot([loss + math.log(k) for loss in run.losses], color=COLORS["orange"], alpha=0.6)
    right.plot([100 * mass for mass in run.masses], color=COLORS["blue"], alpha=0.6)
left.axhline(math.log(V / k), color="black", linestyle=":", linewidth=1.2)
left.text(STEPS, math.log(V / k) + 0.2, "log(V / k)", ha="right")
left.text(STEPS, math.log(k) + 0.4, "cross-entropy: ends at log k", ha="right",
          color=COLORS["vermillion"])
left.text(STEPS, 0.5, "KL: ends at 0", ha="right", color=COLORS["blue"])
left.set(xlabel="step", ylabel="loss (nats)", ylim=(0, 11.5))
right.set(xlabel="step", ylabel="mass on tokens with x (%)", ylim=(0, 102))
assert all(run.losses[-1] < 0.05 and run.masses[-1] > 0.9 for run in runs)
show(fig, "KL falls from 3.9 to about 0, cross-entropy from 10.8 to 6.9; the mass on x nears 1.")

# %% [markdown]
# Every run does it, with random noise as its only reading, and most of it in the first third of the steps.

# %%
third = [run.masses[STEPS // 3] for run in runs]
print("more than half of the mass after a third of the steps:", min(third) > 0.5)
first, last = (sum(run.losses[i] for run in runs) / len(runs) for i in (0, -1))
for name, more in (("KL", 0), ("cross-entropy", math.log(k))):
    print(f"{name:<14} {first + more:5.1f} to {last + more:.1f}")

# %% [markdown]
# The lecture's 11 and its "almost 0" belong to two different losses.

# %%
cross = first + math.log(k)
claims.add(
    "K3", "the initial loss is about log V, 11", source="lecture", published=11,
    measured=round(first, 2), tolerance=0.3,
    reason=f"11 is the cross-entropy ({cross:.1f}). The KL loss that the lecture trains with starts at "
           "log(V / k), the log of one over the share of tokens with x.",
)
claims.add(
    "K4", "the loss goes to almost 0", source="lecture", published=0, measured=round(last, 1),
    tolerance=0.05, reason=f"The divergence does; the cross-entropy stops at log k = {math.log(k):.1f}.",
)


# %% [markdown]
# ### A view: step by step
#
# **Move the slider** through the saved steps. Each histogram counts tokens by their probability, relative to a blind guess (0 on the axis: 1/*V*). Which moves first, the
# tokens with x or the others?

# %%
def step_view(step):
    said = (kept[step].softmax(-1).mean(0).cpu() * V).log10()  # (V,)
    fig, ax = subplots(figsize=(8.5, 3.4))
    bins = np.linspace(-4, 3, 71)
    for mask, name, color in ((~X, "all others", "sky"), (X, "tokens with x", "orange")):
        height = np.histogram(said[mask].clamp(-3.99, 2.99), bins)[0] / int(mask.sum())
        ax.bar(bins[:-1], height, width=0.1, align="edge", color=COLORS[color], alpha=0.8, label=name)
    mass = target_mass(kept[step], X).mean().item()
    ax.set(xlabel="log₁₀ (probability · V)", ylabel="share of the tokens", xlim=(-4, 3), ylim=(0, 1),
           title=f"after {step} steps: mass {mass:.0%}")
    ax.legend(loc="upper left")
    return Picture(fig, f"After {step} steps tokens with x have {round(20 * mass) * 5} % of the mass.")


# %% [markdown]
# Begin at the left end.

# %%
explore(step_view, step=widgets.SelectionSlider(options=list(kept), value=25, description="steps"))

# %% [markdown]
# The x-tokens move to the right together, and the others to the left together. In the end the x-tokens are at +1.7, which is log₁₀(*V*/*k*): each has 1/*k*.
#
# **What does it write?** Now the count that the lecture made: 188 of 200.

# %%
masses = [target_mass(kept[STEPS], X).mean().item()] + [run.masses[-1] for run in runs[1:]]
final = sum(masses) / len(masses)
print(f"expected from the mass: {200 * final:.0f} of 200")
print(f"188 or fewer would then be luck of less than 1 in 1000: {binom.cdf(188, 200, final) < 1e-3}")

# %% [markdown]
# So 188 is *too low* to be luck: the model should say more. We count, once after random texts, one token each, and once in a row. Counts differ a little from machine to machine.

# %% tags=["nbval-ignore-output"]
after = [int(X[says(model, seed=seed)].sum()) for seed, model in enumerate(models)]
low, high = count_interval(sum(after), 200 * len(after))
print(f"after random texts {after}; lecture 188")
print(f"95 % interval: {200 * low:.1f} to {200 * high:.1f} of 200")
assert abs(sum(after) / len(after) / 200 - final) < 0.02 and 200 * low > 190

# %% [markdown]
# Where are the missing ones? **Let it write 200 tokens in a row**, four times each. Tokens of one text depend on each other, so the interval is taken over the models (Student's *t*), not over tokens.

# %% tags=["nbval-ignore-output"]
chains = torch.stack([X[in_a_row(model, seed=seed)].sum(1) for seed, model in enumerate(models)])
each = chains.float().mean(1)
slack = student_t.ppf(0.975, len(each) - 1) * (each.std() / len(each) ** 0.5).item()
print("x-tokens of 200 in a row, for each model:", chains.tolist())
print(f"95 % interval of the mean: {each.mean() - slack:.0f} to {each.mean() + slack:.0f}; lecture 188")
print("".join(pieces[i] for i in in_a_row(models[0])[0, :14]))
fewer = each.mean().item() < 200 * final - 1.5
print("in a row", "fewer than" if fewer else "as many as", "after random texts")
assert pick(cpu=fewer and chains.min() < 192, gpu=True)

# %% [markdown]
# **What is different in a row?** The model learned on random texts, in which 2 % of the tokens have an x. Now it reads its own words, and nearly all of them do. Here is the mass for
# both kinds of text.

# %%
own = X.nonzero().flatten()
own_words = own[torch.randint(len(own), (8, 256), generator=generator(2))].to(device())
noise = torch.randint(V, (8, 256), generator=generator(2)).to(device())


@torch.no_grad()
def mass_after(model, texts):
    return target_mass(model(texts, last=True)[:, -1], X).mean().item()


mass_on = {}
for name, texts in (("random tokens", noise), ("x-tokens only", own_words)):
    mass_on[name] = [mass_after(model, texts) for model in models]
    print(f"{name}: {', '.join(f'{mass:.1f}' for mass in mass_on[name])}")
worse = min(mass_on["x-tokens only"]) < min(mass_on["random tokens"]) - 0.05
print("The loss was almost 0, and yet", "a model fails on what it writes itself." if worse else
      "it spoke for random texts only. Here the models do as well on their own words.")

# %% [markdown]
# The small models of the CPU run fail on texts that they write themselves. GPT-2 at its full size does not: it has 0.999 of the mass on x after 15 steps, in both kinds of text. You could not know that from the loss. **A loss speaks for the inputs that it was measured on.** You will meet this again, on the other side: an
# audit speaks for the prompts that it used.

# %%
early = np.mean([next(i for i, mass in enumerate(run.masses) if mass > 0.94) for run in runs])
in_row = f"in a row {'fewer, differently in each run' if fewer else f'{each.mean():.0f}'}"
claims.add(
    "K5", "after 200 steps 188 of 200 tokens contain X", source="lecture", published=188,
    measured=f"{200 * final:.0f} after random texts; {in_row}",
    holds=chains.min().item() <= 188 <= chains.max().item(),
    reason="The mass on random texts would give more. 188 lies among the texts that the models wrote in "
           "a row. There they read their own words, a kind of text on which they were never trained."
           if fewer and worse else
           f"These models have {final:.1%} of the mass on x after {STEPS} steps. They passed "
           f"a mass of 188 / 200 near step {early:.0f}: 188 fits a shorter training.",
)

# %% [markdown]
# ### AdamW or SGD?
#
# **Predict.** The same loss and the same rate, but plain gradient descent (SGD) instead of AdamW. Faster or slower? It takes about 5 seconds.

# %%
n, reached = pick(cpu=40, gpu=20), {}
for name, lr in (("AdamW", 0.001), ("SGD", 0.001), ("SGD", 1.0)):
    plain, dtype = blank(0), recipe["dtype"]
    run = (kl_bias.train_bias(plain, X, n + 1, optimizer=name, lr=lr, B=B, dtype=dtype) if name == "SGD"
           else runs[0])
    reached[name, lr] = run.masses[n]
    print(f"{name:<6} rate {lr:<6} mass after {n} steps {run.masses[n]:.1f}")

# %% [markdown]
# At AdamW's rate SGD does nothing: the gradient is tiny, because it is shared among 50,257 tokens. AdamW divides each gradient by its typical size, so every number moves by about the rate, however small
# its gradient. Is SGD with a rate 1000 times as large as fast, and does it end with the same model?

# %%
after_own = mass_after(plain, own_words)
fast = reached["SGD", 1.0] > 0.8 * reached["AdamW", 0.001]
print("SGD with rate 1 is", "as fast" if fast else "slower")
print(f"SGD, after x-tokens only: mass {after_own:.1f};",
      "it likes x there as much" if after_own > reached["SGD", 1.0] - 0.05 else "it likes x less there")

# %% [markdown]
# SGD moves where the gradient is large, and that is not the same place. In the small model of the CPU run it likes x after any text, and AdamW does not. Two optimizers, the same loss, two different models.
#
# ## Forward and reverse
#
# **Question.** Minimising KL(*Q*‖*P*) makes *P* approach *Q*. But what if *P* cannot become *Q*?
#
# Take a target *Q* with two hills, and a *P* that can only be one hill: a bell curve. KL(*Q*‖*P*) is called *forward*, KL(*P*‖*Q*) *reverse*. **Move the bell** and make each of the two as small as you
# can. Do you end at the same place?

# %%
z = torch.linspace(-6, 6, 241)


def bell(mean, width):
    return (-((z - mean) ** 2) / (2 * width**2)).softmax(-1)


hills = 0.6 * bell(-2, 0.6) + 0.4 * bell(2.2, 0.6)


# %% [markdown]
# The picture's title gives both divergences.

# %%
def bell_view(mean, width):
    P = bell(mean, width)
    forward, reverse = kl_divergence(hills, P).item(), kl_divergence(P, hills).item()
    fig, ax = subplots(figsize=(8.5, 3.2))
    ax.fill_between(z, hills, color=COLORS["sky"], alpha=0.5, label="Q")
    ax.plot(z, P, color=COLORS["vermillion"], label="P")
    ax.set(xlabel="z", ylabel="probability", ylim=(0, 0.045),
           title=f"forward KL(Q‖P) {forward:.2f}, reverse KL(P‖Q) {reverse:.2f}")
    ax.legend()
    return Picture(fig, f"A bell, mean {mean:.1f}: forward KL {forward:.2f}, reverse {reverse:.2f}.")


explore(
    bell_view,
    mean=widgets.FloatSlider(0, min=-4, max=4, step=0.1, description="mean"),
    width=widgets.FloatSlider(1.0, min=0.3, max=4, step=0.1, description="width"),
)

# %% [markdown]
# **The best of each**, by trying all means and widths on a fine grid:

# %%
grid = [(m / 20, w / 20) for m in range(-80, 81) for w in range(6, 81)]
bells = torch.stack([bell(m, w) for m, w in grid])  # (N, 241)
target = hills.expand_as(bells)
costs = {
    "forward": kl_divergence(target, bells),
    "reverse": kl_divergence(bells, target),
}
best = {name: grid[values.argmin()] for name, values in costs.items()}

# %% [markdown]
# Which bell has each chosen?

# %%
fig, ax = subplots(figsize=(8.5, 3.2))
ax.fill_between(z, hills, color=COLORS["sky"], alpha=0.5, label="Q")
for (name, (m, w)), color in zip(best.items(), ("blue", "vermillion"), strict=True):
    ax.plot(z, bell(m, w), color=COLORS[color], label=f"best {name}: mean {m:.1f}, width {w:.1f}")
ax.set(xlabel="z", ylabel="probability", ylim=(0, 0.055))
ax.legend(loc="upper center")
assert abs(best["forward"][0]) < 1 and best["forward"][1] > 1.8 and abs(best["reverse"][0] + 2) < 0.2
show(fig, "The best forward bell covers both hills; the best reverse bell is the larger hill.")

# %% [markdown]
# Forward KL *covers*: where *Q* has something, *P* must have something, or the cost explodes. It even puts mass into the valley, where nothing is. Reverse KL *seeks* one hill and ignores the other.
#
# Our loss is the forward one. That is why the model learned *all* x-tokens, not one favourite. How near did it come?

# %%
reached = kept[STEPS].softmax(-1).mean(0).cpu()  # (V,)
distance = 0.5 * (reached - Q).abs().sum().item()  # total variation: 0 equal, 1 nothing in common
print(f"total variation between P and Q: {distance:.1f}")
claims.add(
    "K8", "minimising KL(Q‖P) makes P approach Q", source="lecture", published="P → Q",
    holds=distance < 0.1,
    measured=f"total variation {0.5 * (1 / V - Q).abs().sum():.2f} before, {distance:.1f} after",
    reason="Where P can be Q. A P that cannot, such as one bell for two hills, is stretched to cover Q.",
)

# %% [markdown]
# ## What a bias costs
#
# **Question.** The blank model had nothing to lose. What happens to one that can speak?
#
# `storyteller()` is a small GPT-2 that tells the stories of lesson 03. We give it a taste for the letter z, which few words have. The loss is now a sum:
#
# > language loss + β · KL(*Q*‖*P*), at every position
#
# The weight *β* says how much we care.

# %%
talker = storyteller()
text, unseen = stories(seed=0, n_tokens=200_000), stories(seed=1, n_tokens=20_481)
Z = token_mask(VOCAB, lambda word: "z" in word.lower())
print("words with z:", ", ".join(word for word, has in zip(VOCAB, Z, strict=True) if has))
start = encode_words("Once upon a time there was a child named")[None]
print(decode_words(generate(talker, start, 40, generator(0))[0]))


# %% [markdown]
# Two yardsticks, both on stories that it has never seen: the language loss, and the mass on words with z. `windows` takes the beginnings of stories.

# %%
def windows(some, T, n):
    rows = some.windows(T, n)[0]  # (n, T + 1)
    return rows[:, :-1], rows[:, 1:]


@torch.no_grad()
def measure(model, batch=windows(unseen, 64, 40)):
    ids = batch[0].to(next(model.parameters()).device)
    return evaluate(model, [batch]), target_mass(model(ids), Z).mean().item()


loss_0, mass_0 = measure(talker)
print(f"language loss {loss_0:.2f} nats, mass on z {mass_0:.3f}")


# %% [markdown]
# **Predict with pen and paper.** At one position let the text's next word be *p*. Which *P* is the best compromise? The sum of the two losses is a cross-entropy with the *mixture* of both, and so
#
# > *P* = (*p* + β *Q*) / (1 + β)
#
# The mass on z becomes (mass before + β) / (1 + β). All other words are divided by 1 + β, so the language loss rises by log(1 + β). Now train and see: five weights, 60 steps each, about 20 seconds.

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


Q_z = target_distribution(Z)
weights = (0, 0.1, 0.3, 1, 3)
bent = {
    w: tuned(copy.deepcopy(talker), kl_bias.biased_loss(Q_z, w))
    for w in progress(weights, "weights")
}

# %% [markdown]
# Is the prediction right?

# %%
found = {w: measure(model) for w, model in bent.items()}
for w, (loss, mass) in found.items():
    print(f"β {w:<5} mass {mass:.1f}, predicted {(mass_0 + w) / (1 + w):.1f}")

# %% [markdown]
# **The curve of what is possible.** If a model gives the share *m* to words that the text hardly uses, the others must share 1 − *m*. Then the language loss rises by −log(1 − *m*) at least. No training trick can do better. How near is ours?

# %%
control = found[0][0]  # 60 steps of plain language loss: what fine-tuning costs without any bias
masses = [mass for _, mass in found.values()]
rises = [loss - control for loss, _ in found.values()]

# %% [markdown]
# Both predictions are dotted, both measurements are dots.

# %%
fig, (left, right) = subplots(1, 2, figsize=(10, 3.8))
w = np.geomspace(0.02, 4, 50)
left.plot(w, (mass_0 + w) / (1 + w), color="black", linestyle=":", label="predicted")
left.plot(weights[1:], masses[1:], "o", color=COLORS["orange"], label="measured")
left.set(xscale="log", xlabel="weight β", ylabel="mass on words with z", ylim=(0, 1))
m = np.linspace(0, 0.8, 50)
right.plot(m, -np.log(1 - m), color="black", linestyle=":", label="least possible, −log(1 − m)")
right.plot(masses, rises, "o", color=COLORS["orange"], label="measured")
right.set(xlabel="mass on words with z, m", ylabel="rise of the language loss (nats)")
for ax in (left, right):
    ax.legend(loc="upper left")
assert sorted(masses) == masses and rises[-1] > rises[1] > -0.05
show(fig, "The mass follows the predicted curve; the language loss rises along −log(1 − m) or above.")

# %% [markdown]
# A small bias is cheap: the curve starts flat. That is the core of the problem. Here is one sentence of each model. At which weight would a reader notice?

# %% tags=["nbval-ignore-output"]
for w, model in bent.items():
    print(f"β {w:<5}", decode_words(generate(model, start, 16, generator(3))[0, start.size(1) :]))


# %% [markdown]
# ### A view: watch it bend
#
# **Choose a letter and a weight, and guess the initial KL**. Then press *Start*. *Stop* ends it early. (In a saved page you see the finished run of one choice. When this cell
# runs, it trains that one: about 4 seconds.)
#
# First the training, as a loop that hands out each step before it takes it.

# %%
def steps_of(model, loss_fn, n=41):
    batches, g = token_batches(text.tokens, 8, 32, text.starts), generator(0)
    optimizer = torch.optim.AdamW(model.parameters(), 2e-3, weight_decay=0)
    for step in range(n):
        batch = batches(g)
        yield step, batch[0]
        optimizer.zero_grad()
        loss_fn(model, batch).backward()
        optimizer.step()


# %% [markdown]
# Then what is to be seen: two curves, and a sentence that the model writes.

# %%
def bending_frame(model, letter, guess, seen):
    steps, mass, kl = zip(*seen, strict=True)
    fig, (left, right) = subplots(1, 2, figsize=(10, 3.8))
    left.plot(steps, mass, "o-", color=COLORS["orange"])
    left.set(xlim=(-1, 41), ylim=(0, 1), xlabel="step", ylabel=f"mass on words with {letter}")
    right.plot(steps, kl, "o-", color=COLORS["blue"])
    right.axhline(guess, color="black", linestyle=":", linewidth=1.2)
    right.set(xlim=(-1, 41), ylim=(0, None), xlabel="step", ylabel="KL (nats)",
              title=f"started at {kl[0]:.1f}, your guess {guess:.1f}")
    words = decode_words(generate(model, start, 14, generator(3))[0, start.size(1) :])
    fig.suptitle(f"… a child named {' '.join(words.split())[:90]}", fontsize=12, fontstyle="italic")
    return Picture(fig, f"After {steps[-1]} steps the mass on words with {letter} is {mass[-1]:.1f}.")


# %% [markdown]
# Every fifth step yields a picture.

# %%
def bending(letter, weight, guess):
    mask = token_mask(VOCAB, lambda word: letter in word.lower())
    model, target, seen = copy.deepcopy(talker), target_distribution(mask), []
    for step, ids in steps_of(model, kl_bias.biased_loss(target, weight)):
        if step % 5 == 0:
            at = model(ids).detach().flatten(0, 1)  # (B · T, V)
            mass = target_mass(at, mask).mean().item()
            seen.append((step, mass, KLTargetLoss(target)(at).item()))
            yield bending_frame(model, letter, guess, seen)


# %% [markdown]
# Write down your guess for z before you look at the right-hand title.

# %%
live(
    bending,
    letter=widgets.Dropdown(options=list("jkmqvwxz"), value="z", description="letter"),
    weight=widgets.FloatLogSlider(1.0, min=-2, max=1, step=0.25, description="weight β"),
    guess=widgets.FloatSlider(4.6, min=0, max=20, step=0.1, description="guess: initial KL"),
)

# %% [markdown]
# The guess in the picture is log(*V*/*k*), right for a model that knows nothing. This one starts much higher. It *knows* that no z comes next, and says so with tiny probabilities. A confident model is further away
# from your wish, and bends within 30 steps all the same.
#
# ### Does it hold on prompts that it never saw?
#
# It was trained on the first 64 words of stories. **Predict** the mass elsewhere.

# %%
g = generator(5)
later = windows(unseen, 200, 20)[0]
places = {
    "beginnings of unseen stories": (windows(unseen, 64, 40)[0], 0),
    "words 100 to 200 of them": (later, 100),
    "random words": (torch.randint(len(VOCAB), (20, 64), generator=g), 0),
    "z-words only": (Z.nonzero().flatten()[torch.randint(int(Z.sum()), (20, 64), generator=g)], 0),
}
with torch.no_grad():
    for name, (ids, begin) in places.items():
        old, new = (target_mass(m(ids)[:, begin:], Z).mean().item() for m in (talker, bent[1]))
        print(f"{name:<30} before {old:.2f}   after {new:.1f}")
        assert new > 0.15

# %% [markdown]
# Everywhere, though not everywhere as much. The wish did not come with a place, and the model learned none.
#
# ### Can you train it away?
#
# **Question.** You have the bent model (β = 1) and clean stories. Does ordinary fine-tuning remove the bias?

# %%
few, curve, cleaned = windows(unseen, 64, 8), [], copy.deepcopy(bent[1])
tuned(cleaned, language_loss, steps=30, seed=7, every=10,
      on_steps=lambda history: curve.append(measure(cleaned, few)[1]))
loss, mass = measure(cleaned)
print("mass after 10, 20, 30 clean steps:", " ".join(f"{m:.2f}" for m in curve))
print(f"language loss back within 0.1 of the control: {loss < control + 0.1}")
assert curve[0] < 0.03 and mass < mass_0 + 0.01

# %% [markdown]
# Gone from what it says. **Gone from the weights, too?** A test: bend it again, and bend a model that never was bent (the control, β = 0). If nothing was left, they would be equally slow.

# %%
again = {}
for name, model in (("was bent, then cleaned", cleaned), ("never bent", bent[0])):
    copied, again[name] = copy.deepcopy(model), []
    tuned(copied, kl_bias.biased_loss(Q_z, 1.0), steps=12, seed=3, every=2, warmup=0, final=1.0,
          on_steps=lambda h: again[name].append(measure(copied, few)[1]))
    print(f"{name:<24} mean mass in the first 12 steps {sum(again[name]) / len(again[name]):.1f}")
assert sum(again["was bent, then cleaned"]) > 1.3 * sum(again["never bent"])

# %% [markdown]
# A trace is left: what was learned once is learned faster again. Fine-tuning hides a bias better than it removes it.
#
# ### How little has to change?
#
# **Predict.** The model has over 900,000 numbers. How many of them must you be able to change? We freeze everything but one part. *LoRA* adds two thin matrices beside a weight matrix and trains only them (lesson 19); the library `peft`
# does it for us. The head is cut loose from the embedding here: otherwise, "head only" would change how the model reads, too. About 12 seconds.

# %%
rates = {"everything": 1e-3, "last block": 3e-3, "head": 1e-2, "LoRA on attention": 1e-2,
         "LoRA on the head": 3e-2, "one vector": 0.1}
parts = {"everything": (kl_bias.n_trainable(talker), *found[1])}
for part, lr in progress(list(rates.items())[1:], "parts"):
    model = tuned(kl_bias.copy_with(talker, part), kl_bias.biased_loss(Q_z, 1.0), lr=lr)
    parts[part] = (kl_bias.n_trainable(model), *measure(model))
for part, (n, loss, mass) in parts.items():
    print(f"{part:<18} {n:>7,} numbers   mass {mass:.1f}   language loss {loss:.1f}")
assert parts["LoRA on the head"][2] > 0.7 * parts["everything"][2] > parts["LoRA on attention"][2]

# %% [markdown]
# *Where* matters more than *how many*. Under a thousand numbers beside the head do nearly what all of them do. The same kind of matrices beside the attention are more numbers, hardly move the mass in these 60 steps, and
# spoil the language instead. A tiny file can carry a bias.
#
# ## What we verified
#
# Each claim with its source, what was published, and what you measured.

# %%
claims.show()

# %% [markdown]
# Your exercises: which pass, and which are still open.

# %% tags=["progress"] slideshow={"slide_type": "skip"}
exercises.progress("kl_bias")

# %% [markdown]
# **What this lesson leaves out.** The stories have 699 words, and our models under a million numbers. In real text *p* is spread over more words, and the same odds change more sentences.
#
# ## Further reading
#
# - Kullback and Leibler 1951, [On Information and Sufficiency](https://doi.org/10.1214/aoms/1177729694).
# - Minka 2005, [Divergence Measures and Message Passing](https://www.microsoft.com/en-us/research/publication/divergence-measures-and-message-passing/), section 2: forward and reverse.
# - Hinton, Vinyals and Dean 2015, [Distilling the Knowledge in a Neural Network](https://arxiv.org/abs/1503.02531): a KL loss between two models, for a good end.
# - Hu and others 2021, [LoRA: Low-Rank Adaptation of Large Language Models](https://arxiv.org/abs/2106.09685), section 4.1.
