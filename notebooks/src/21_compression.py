# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 21 · Compression: how small can it get?
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/OWNER--SET-ME/llm-inside/blob/main/notebooks/21_compression.ipynb) · [open this lesson in Colab](https://colab.research.google.com/github/OWNER--SET-ME/llm-inside/blob/main/notebooks/21_compression.ipynb)
#
# **A model that works has to run somewhere: on a phone, or a million times a day. What can you take away before it forgets its stories?** You distill, prune
# and quantize, and put all of it on one axis: bytes against loss.
#
# **Time.** Running: about one minute on CPU; no GPU is needed. Reading and exercises: about an hour.
#
# **What you will be able to do**
# - write the loss of distillation, and say when soft labels help;
# - prune weights, and round them to a few bits;
# - compare all of it by bytes and loss.
#
# **Prerequisites.** Lesson 04 (GPT-2). From lesson 07, the KL divergence.

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
# What this lesson builds stands finished in `course_utils.compression`. You build the main pieces here.

# %% tags=["imports"]
import textwrap
import warnings

import ipywidgets as widgets
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from course_utils import compression, exercises
from course_utils.classroom import (
    COLORS, Claims, Picture, explore, generator, pick, progress, show, subplots,
)
from course_utils.exercises import check, hint, solution
from course_utils.gpt2 import GPT
from course_utils.pretrained import storyteller
from course_utils.sampling import generate
from course_utils.stories import VOCAB, decode_words, encode_words, stories
from course_utils.training import evaluate, token_batches, train

claims = Claims("21")

# %% [markdown]
# ## Smaller
#
# **Question.** A model that works has to run somewhere: on a phone, or a million times a day. What can you take away from it before it forgets its stories?
#
# There are three ways, and you try each: a smaller model that learns from the large one (*distillation*), fewer weights (*pruning*), and fewer bits for each weight (*quantization*). All three start from the storyteller. We judge them by its own trade, the loss on unseen stories.
#
# ## Distillation: learn from the teacher's doubts
#
# A text shows one next word, where several were possible. A trained model, the *teacher*, gives a probability to each. What does a *student* learn faster from: from the words of a text (*labels*), or from the probabilities (*soft targets*)?

# %%
small_start = encode_words("Once upon a time there was a child named Tom. Tom was a")[None]
with torch.no_grad():
    says = storyteller()(small_start)[0, -1].softmax(-1)  # (V,)
knows = compression.perfect_teacher(small_start)[0, -1].exp()  # (V,)
for i in says.topk(5).indices.tolist():
    print(f"{VOCAB[i]:<9} teacher {says[i]:.2f}   truth {knows[i]:.2f}")


# %% [markdown]
# One look at this place tells you five words and how likely they are. A text tells one of them. You would need dozens of texts for the same knowledge.
#
# The last column is special to our stories: the generator knows its own probabilities. So we have a *perfect teacher*, too.
#
# ### Exercise 1 · the distillation loss
#
# *Difficulty 2 of 3 · 10 minutes*
#
# The student's and the teacher's logits are both divided by a *temperature* T before the softmax. A higher T lifts the unlikely words. The loss is the KL divergence of the student from the teacher. For T above 1, its gradients shrink as 1/T², so it is multiplied by T².

# %% tags=["exercise"]
def distillation_loss(
    student_logits: Tensor, teacher_logits: Tensor, temperature: float = 1.0
) -> Tensor:
    """Return T² · KL(teacher‖student), both softened by the temperature T, averaged over the rows.

    Softened: softmax(logits / T). Gradients shrink as 1/T²; the factor undoes it. The teacher gets
    none.
    Shapes: both (..., V) -> (), in nats. Raises: ValueError for other shapes or temperature <= 0.
    Source: Hinton, Vinyals & Dean 2015, "Distilling the Knowledge in a Neural Network", section 2.

    >>> student, teacher = torch.tensor([[0.0, 0.0]]), torch.tensor([[2.0, 0.0]])
    >>> distillation_loss(student, teacher), distillation_loss(student, teacher, temperature=2.0)
    (tensor(0.3278), tensor(0.4438))
    """
    ...


# %% tags=["check"]
distillation_loss = check("compression.distillation_loss", distillation_loss)
# hint("compression.distillation_loss")
# solution("compression.distillation_loss")

# %% [markdown]
# Our student has two layers of 64 dimensions, about a sixth of the storyteller's parameters. Two of them start alike and read the same 100 batches, from a short text of 20,000 words (200 in the gpu profile). One learns from the words, the other from the storyteller. About 10 seconds.
#
# **Predict**: which is better on *unseen* stories, and by how much?

# %%
school, SCHOOL_STEPS = compression.School("few"), pick(cpu=100, gpu=200)
live_losses = {}
for arm in ("labels", "teacher"):
    pupil, _ = school.teach(arm, steps=SCHOOL_STEPS)
    live_losses[arm] = round(evaluate(pupil, school.test), 1)
print(live_losses, "nats a word; the best possible:", round(school.best, 2))


# %% [markdown]
# The longer runs are stored, from three seeds each (`tools/record/train_small.py`). Our short run must agree with its stored twin.

# %%
def student_losses(text, arm, steps):
    """The stored losses of an arm, one for each seed."""
    wanted = {"text": text, "arm": arm, "steps": steps}
    rows = compression.recorded()["rows"]
    return torch.tensor([row["loss"] for row in rows if row | wanted == row])


for arm, loss in live_losses.items():
    assert abs(loss - student_losses("few", arm, SCHOOL_STEPS)[0]) < 0.15
print("the short run agrees with the stored one")

# %% [markdown]
# Left: the short text, 200 steps, so it is read about ten times over; a dot is a seed. Right: fresh text, where hardly any window comes twice. How long must a student of labels go on to get as far as 200 steps with soft targets?

# %%
small_arms = {"labels": "vermillion", "teacher": "blue", "teacher, T = 2": "purple", "perfect": "green"}
few = {arm: student_losses("few", arm, 200) for arm in small_arms}
fresh = {arm: student_losses("fresh", arm, 200).mean().item() for arm in ("teacher", "perfect")}
label_steps = [200, 250, 300, 400]
label_means = [student_losses("fresh", "labels", n).mean().item() for n in label_steps]
falling = [-mean for mean in label_means]
worth = {arm: np.interp(-loss, falling, label_steps) for arm, loss in fresh.items()}
print({arm: f"200 steps are worth {steps:.0f} with labels" for arm, steps in worth.items()})

# %% [markdown]
# Both texts side by side. In the right picture, the dotted lines are those extra steps.

# %%
fig, (left, right) = subplots(1, 2, figsize=(10, 3.4))
for i, (arm, color) in enumerate(small_arms.items()):
    left.bar(i, few[arm].mean(), color=COLORS[color])
left.plot(range(4), torch.stack(list(few.values())), "k.", markersize=4)
left.set_xticks(range(4), ["labels", "teacher", "teacher,\nT = 2", "perfect\nteacher"])
left.set(title="few words, again and again", ylabel="loss on unseen stories (nats)", ylim=(1.5, 2.7))
right.plot(label_steps, label_means, "o-", color=COLORS["vermillion"], label="labels")
for arm, loss in fresh.items():
    right.plot(200, loss, "s", color=COLORS[small_arms[arm]], label=f"{arm}, 200 steps")
    right.hlines(loss, 200, worth[arm], color=COLORS[small_arms[arm]], linestyle=":")
right.set(title="fresh words", xlabel="steps", ylabel="loss on unseen stories (nats)")
right.legend()
ends = {arm: f"{losses.mean():.1f}" for arm, losses in few.items()}
show(fig, f"On few words, students end at {ends['labels']} nats with labels, {ends['teacher']} with the "
          f"teacher, {ends['teacher, T = 2']} at temperature 2. On fresh words the gain is small.")

# %% [markdown]
# So the verdict has two halves: yes, in every run at T = 1; and on fresh words the gain is worth a few dozen steps, no more.

# %%
small_gains = {
    text: student_losses(text, "labels", 200) - student_losses(text, "teacher", 200)
    for text in compression.TEXTS
}
hot_gain = (few["labels"] - few["teacher, T = 2"]).mean().item()
claims.add(
    "F6",
    "distillation: a small student learns a teacher's outputs",
    source="vendor article; Hinton 2015",
    published="better than labels at equal steps",
    holds=all(bool((gain > 0).all()) for gain in small_gains.values()),
    measured="; ".join(
        f"{text} words: {g.mean():.2f} nats better" for text, g in small_gains.items()
    ),
    reason=f"At T = 1, for every seed; at T = 2 it was {-hot_gain:.2f} nats worse. "
    f"On fresh words 200 steps of it are worth {worth['teacher']:.0f} with labels.",
)


# %% [markdown]
# **Why.** A soft target takes the dice out of a step. On fresh text the dice average out anyway, so the gain is small. On few words they do not: one student learns by heart which word came, the other learns what could have come. It owes that to a teacher who has read far more than 20,000 words.
#
# The real teacher does as well as the perfect one: its doubts are nearly the true ones. A higher temperature, as in Hinton's experiments, does harm here. It trains for softened probabilities, the test is at T = 1, and this student is far from done.
#
# ## Pruning: leave weights out
#
# **Question.** Many weights are close to 0. What happens if you make them exactly 0?
#
# ### Exercise 2 · which weights stay
#
# *Difficulty 1 of 3 · 8 minutes*
#
# The *sparsity* is the share of weights that go. *Magnitude* pruning takes the smallest ones, whatever their sign.

# %% tags=["exercise"]
def magnitude_mask(w: Tensor, sparsity: float) -> Tensor:
    """Return which weights to keep: all but the share `sparsity` of them that is nearest to 0.

    round(sparsity · n) of n weights go; where several are equally near, the first of them go.
    Shapes: w of any shape -> the same, bool. Raises: ValueError unless 0 <= sparsity <= 1.
    Source: Han et al. 2015, "Learning both Weights and Connections", section 3.

    >>> magnitude_mask(torch.tensor([[0.1, -3.0], [-0.2, 1.0]]), sparsity=0.5)
    tensor([[False,  True],
            [False,  True]])
    """
    ...


# %% tags=["check"]
magnitude_mask = check("compression.magnitude_mask", magnitude_mask)
# hint("compression.magnitude_mask")
# solution("compression.magnitude_mask")

# %% [markdown]
# Two ways to share the loss out: every layer loses the same share, or all weights of the model compete (*global*). **Predict**: up to which sparsity does the storyteller not notice? About 5 seconds.

# %%
whole = storyteller()
sparsities = [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]


def loss_at(sparsity, scope):
    return evaluate(
        compression.pruned(whole, compression.magnitude_masks(whole, sparsity, scope)), school.test
    )


cut = {}
for scope in ("global", "layer"):
    cut[scope] = [loss_at(sparsity, scope) for sparsity in progress(sparsities, "pruning")]
    print(
        f"{scope:<7}",
        "  ".join(f"{s:.0%} {loss:.2f}" for s, loss in zip(sparsities[:8], cut[scope])),
    )

# %% [markdown]
# A model can *heal*: train on for a moment, while the zeros stay. A zero that gets no gradient stays 0, so it is enough to mask the gradient. We heal two wounded models for 25 steps each, about 10 seconds in all.

# %%
told = stories(5, 100_000)
heal_batches = token_batches(told.tokens, 8, 128, told.starts)


def healed(sparsity):
    masks = compression.magnitude_masks(whole, sparsity)
    model = compression.pruned(whole, masks)
    train(model, heal_batches, 25, lr=1e-3, progress=False)
    assert all((w[~masks[name]] == 0).all() for name, w in compression.matrices(model).items())
    return evaluate(model, school.test)


healing = {sparsity: healed(sparsity) for sparsity in progress([0.6, 0.8], "healing")}
for s, loss in healing.items():
    print(f"{s:.0%} of zeros: {cut['global'][sparsities.index(s)]:.1f} to {loss:.1f} nats")

# %% [markdown]
# How far did each get?

# %%
fig, ax = subplots(figsize=(6.5, 3.4))
for scope, color in (("global", "blue"), ("layer", "orange")):
    ax.plot([100 * s for s in sparsities], cut[scope], "o-", color=COLORS[color], label=scope)
ax.plot([100 * s for s in healing], healing.values(), "s--", color=COLORS["green"], label="healed")
ax.axhline(school.best, color="black", linewidth=1, linestyle=":", label="best possible")
ax.set(xlabel="weights that are 0 (%)", ylabel="loss on unseen stories (nats)")
ax.legend()
first_hurt = next(s for s, loss in zip(sparsities, cut["global"]) if loss > cut["global"][0] + 0.1)
assert all(loss < cut["global"][sparsities.index(s)] for s, loss in healing.items())
show(fig, f"The loss stays flat, then shoots up; it is 0.1 nats higher at {first_hurt:.0%} of zeros. "
          "Letting all weights compete is better than equal shares, and healing wins much back.")


# %% [markdown]
# A third of the weights does nothing that you would notice. Then comes a cliff. Letting all weights compete is better: some layers can spare more than others. Healing moves the cliff, it does not remove it.
#
# One thing is easily forgotten: **a zero takes as many bytes as any other number.** You save memory only if you store where the zeros are, one bit a weight, and you save time only if the computer skips them. Most do not.
#
# ## Quantization: fewer bits
#
# **Question.** A weight has 32 bits. How many does it need?
#
# The plainest way: let the largest size among some weights be the whole number *n*, and round all others to whole steps of that ruler. Store the whole numbers, and the size of a step, the *scale*. With 8 bits *n* is 127, with 4 bits it is 7.
#
# ### Exercise 3 · rounding by the largest
#
# *Difficulty 2 of 3 · 12 minutes*
#
# A helper is ready: `check_weights(w, bits, dim)` complains about bad input, and returns the dimensions over which a slice extends.

# %% tags=["exercise"]
def quantize_absmax(
    w: Tensor, bits: int = 8, dim: int | tuple[int, ...] | None = None
) -> tuple[Tensor, Tensor]:
    """Round to whole numbers from -n to n, n = 2^(bits - 1) - 1, so that the largest |w| becomes n.

    w ≈ ints · scale. dim: the dimension(s) along which each slice has a scale of its own. None: one
    scale for all. 0, for a Linear weight (out, in): one for each output. A slice of zeros gives
    zeros.
    Shapes: ints as w, int8 (int16 above 8 bits); scale: the size of w in `dim`, 1 elsewhere, and ()
    for None. Raises: ValueError for bits outside 2 to 16, an empty w, a wrong dim, nan.
    Source: Dettmers et al. 2022, "LLM.int8()", section 2.1.

    >>> ints, scale = quantize_absmax(torch.tensor([[1.0, -0.6], [8.0, 2.0]]), bits=4, dim=0)
    >>> ints, (ints * scale).round(decimals=2)
    (tensor([[ 7, -4],
            [ 7,  2]], dtype=torch.int8), tensor([[ 1.0000, -0.5700],
            [ 8.0000,  2.2900]]))
    """
    ...


# %% tags=["check"]
quantize_absmax = check("compression.quantize_absmax", quantize_absmax)
# hint("compression.quantize_absmax")
# solution("compression.quantize_absmax")

# %% [markdown]
# No weight moves by more than half a step. So everything depends on the step, and the step depends on the *one* largest weight. **Predict**: one input of a layer is 20 times as large as the others. What happens to all other weights at 8 bits?

# %%
def lost(w, w_rounded):
    """The error as a share of the weights' size."""
    return ((w_rounded - w).norm() / w.norm()).item()


layer = whole.h[1].mlp.c_fc.weight.detach()  # (512, 128)
spiky = torch.cat([20 * layer[:, :1], layer[:, 1:]], dim=1)
for name, dim in (("one scale", None), ("one for each output", 0), ("one for each input", 1)):
    errors = []
    for w in (layer, spiky):
        ints, scale = quantize_absmax(w, 8, dim)
        errors.append(lost(w[:, 1:], (ints * scale)[:, 1:]))
    print(f"{name:<20}", *(f"{error:8.1%}" for error in errors))

# %% [markdown]
# The left column is the layer as it is, the right one the layer with an *outlier*. Every output has a weight from that input, so a scale for each output does not help. A scale for each input would. But look at what it is for:
#
# > y_i = Σ_j w_ij · x_j ≈ Σ_j (scale · ints_ij) · x_j
#
# A scale for output *i* can be taken out of the sum, and the sum is one of whole numbers. A scale for input *j* cannot. Real models have such outliers, in their activations. That is why LLM.int8() computes a few columns apart.

# %%
x = torch.randn(5, 128, generator=generator(0))
y = compression.int8_linear(x, *quantize_absmax(layer, 8, 0))  # whole numbers inside
print(f"whole numbers against floats: {lost(x @ layer.T, y):.1%} off")
try:
    compression.int8_linear(x, *quantize_absmax(layer, 8, 1))
except ValueError as error:
    print(error)

# %% [markdown]
# ### Layer by layer
#
# Which layers of the storyteller are hard to round? We take 4 bits, and three *granularities*: one scale for the whole matrix, one for each output (*channel*), one for each 32 neighbours (*group*).

# %%
names = list(compression.matrices(whole))
weights = [w.detach() for w in compression.matrices(whole).values()]
layer_errors = {
    g: [lost(w, compression.rounded(w, 4, g)) for w in weights] for g in compression.GRANULARITIES
}
fig, ax = subplots(figsize=(10, 3.6))
for shift, (g, color) in enumerate(
    zip(compression.GRANULARITIES, ("vermillion", "blue", "green"), strict=True)
):
    ax.bar(
        [i + 0.27 * (shift - 1) for i in range(len(names))],
        [100 * e for e in layer_errors[g]],
        0.27,
        color=COLORS[color],
        label=g,
    )
short = [name.removesuffix(".weight") for name in names]
ax.set_xticks(range(len(names)), short, rotation=60, ha="right", fontsize=8)
ax.set(ylabel="error at 4 bits (%)")
ax.legend(ncols=3)
worst = short[layer_errors["tensor"].index(max(layer_errors["tensor"]))]
spikes = {name: (w.abs().max() / w.std()).item() for name, w in zip(short, weights, strict=True)}
print(
    f"largest weight, in units of the spread: {spikes[worst]:.0f} in {worst}, "
    f"{np.median([*spikes.values()]):.0f} in a typical layer"
)
assert worst == max(spikes, key=spikes.get) and all(
    a > b > c for a, b, c in zip(*layer_errors.values())
)
show(
    fig,
    "In every layer the error falls from tensor to channel to group. With one scale the worst "
    f"layer is {worst}.",
)

# %% [markdown]
# The worst layer is the one whose largest weight stands out most: it sets the ruler for all the others. Finer scales cost bytes of their own: a group of 32 weights at 4 bits carries a scale of 32 bits, one more bit a weight.
#
# There is a second way, the *zero point*. Absmax uses −n to n, so at 2 bits only −1, 0 and 1. With a zero point the whole numbers go from 0 to 2^bits − 1, between the least and the largest weight: four levels at 2 bits.
#
# We round all matrices, in all of these ways, and let each model tell a story. About 15 seconds.

# %%
small_bits, small_ways = (8, 6, 4, 3, 2), ((False, "absmax"), (True, "zero point"))
settings = [
    (bits, g, zero)
    for bits in small_bits
    for g in compression.GRANULARITIES
    for zero, _ in small_ways
]
once = encode_words("Once upon a time")[None]
small_runs = {}
for bits, g, zero in progress(settings, "rounding"):
    model = compression.quantized(whole, bits, g, zero)
    told_ids = generate(model, once, 36)[0]
    size = compression.stored_bytes(model, bits, g, zero)
    small_runs[bits, g, zero] = (evaluate(model, school.test), decode_words(told_ids), size)
for g in compression.GRANULARITIES:
    print(f"{g:<8}", "  ".join(f"{b} bits {small_runs[b, g, False][0]:.2f}" for b in small_bits))

# %% [markdown]
# **Predict** before you move the sliders: at how many bits does the text become wrong? And which mends more, finer scales or a zero point?

# %%
whole_loss, whole_size = evaluate(whole, school.test), compression.stored_bytes(whole)
print(f"in floats: {whole_loss:.2f} nats, {whole_size / 1e6:.1f} MB")


# %% [markdown]
# Left: the loss of all settings of this way. Right: what the chosen model tells.

# %%
def bits_view(bits, granularity, way):
    zero = way == "zero point"
    loss, text, size = small_runs[bits, granularity, zero]
    fig, (left, right) = subplots(1, 2, figsize=(10, 3.2), width_ratios=(1, 1.2))
    for g, color in zip(compression.GRANULARITIES, ("vermillion", "blue", "green"), strict=True):
        losses = [small_runs[b, g, zero][0] for b in small_bits]
        left.plot(small_bits, losses, "-", color=COLORS[color], label=g)
    left.plot(bits, loss, "ko")
    left.axhline(whole_loss, color="black", linestyle=":")
    left.set(xlabel="bits", ylabel="loss (nats)", yscale="log", xticks=small_bits, title=way)
    left.set_yticks([1, 2, 4], ["1", "2", "4"])
    left.minorticks_off()
    left.legend()
    right.axis("off")
    share = f"{loss:.2f} nats, {size / whole_size:.0%} of the bytes"
    right.text(0, 0.95, f"{bits} bits, {granularity}: {share}", weight="bold", va="top")
    right.text(0, 0.8, textwrap.fill(text, 52), va="top")
    alt = f"{bits} bits, one scale for each {granularity}, {way}: {share}. It tells: {text[:80]}"
    return Picture(fig, alt)


explore(
    bits_view,
    bits=widgets.SelectionSlider(options=small_bits, value=3, description="bits"),
    granularity=widgets.ToggleButtons(
        options=list(compression.GRANULARITIES), description="one scale for each"
    ),
    way=widgets.ToggleButtons(options=[name for _, name in small_ways], description="way"),
)

# %% [markdown]
# Eight bits cost nothing. At four, with a scale for each channel, you must look closely. Below, it depends on the way of rounding: at 2 bits, with groups, the fourth level of the zero point decides between noise and a story.
#
# ### Against the library
#
# torch has had *dynamic int8* for years: weights rounded beforehand, activations while it computes. It is deprecated, and still there. Does it lose as little?

# %%
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it warns that it is deprecated
    theirs = torch.ao.quantization.quantize_dynamic(whole, {nn.Linear}, dtype=torch.qint8)
    inputs, targets = school.test[0]
    with torch.no_grad():
        their_loss = F.cross_entropy(theirs(inputs).flatten(0, 1), targets.flatten()).item()
    linear = [m for m in theirs.modules() if hasattr(m, "weight") and callable(m.weight)]
    packed_int8 = sum(m.weight().numel() for m in linear)
our_loss = small_runs[8, "channel", False][0]
print(f"floats {whole_loss:.2f}, ours at 8 bits {our_loss:.2f}, torch's {their_loss:.2f} nats")
print(f"torch rounds {packed_int8:,} weights in {len(linear)} layers, and keeps the embedding in floats")
assert abs(their_loss - whole_loss) < 0.01 and abs(our_loss - whole_loss) < 0.01

# %% [markdown]
# The head shares its matrix with the embedding. torch rounds the head alone, so the embedding is stored once more, in floats. Its file is larger than ours.
#
# **And the speed?** Fewer bytes have to be read, and whole numbers multiply faster, but they have to be made of the activations first. For one word of our narrow model that eats the gain. For matrices six times as wide, torch's int8 is several times as fast as floats. Speed belongs to a machine, so it is measured in one place: `python tools/bench.py post_training` shows yours.
#
# ### All on one axis
#
# What do you get for your bytes? The student of 2,000 steps is a file of the course. For pruned weights we count 32 bits for each that is left, and one bit for each place.

# %%
pupil = GPT.load(compression.STUDENT).eval()
n_weights = sum(w.numel() for w in compression.matrices(whole).values())
kept = {s: whole_size - 4 * n_weights + n_weights / 8 + 4 * n_weights * (1 - s) for s in sparsities[1:]}
curves = {
    "pruned": ([*kept.values()], cut["global"][1:], "orange"),
    "pruned, healed": ([kept[s] for s in healing], [*healing.values()], "green"),
    "quantized, channel": ([small_runs[b, "channel", False][2] for b in small_bits],
                           [small_runs[b, "channel", False][0] for b in small_bits], "blue"),
    "quantized, group, zero point": ([small_runs[b, "group", True][2] for b in small_bits],
                                     [small_runs[b, "group", True][0] for b in small_bits], "sky"),
    "distilled": ([compression.stored_bytes(pupil)], [evaluate(pupil, school.test)], "purple"),
}

# %% [markdown]
# Down and to the left is better.

# %%
fig, ax = subplots(figsize=(10, 3.8))
for name, (sizes, losses, color) in curves.items():
    ax.plot([size / 1e6 for size in sizes], losses, "o-", color=COLORS[color], label=name, markersize=4)
ax.plot(whole_size / 1e6, whole_loss, "k*", markersize=10, label="the storyteller")
ax.set(xlabel="megabytes", ylabel="loss on unseen stories (nats)", xscale="log", ylim=(0.7, 2.5))
ax.set_xticks([0.3, 0.5, 1, 2, 4], ["0.3", "0.5", "1", "2", "4"])
ax.minorticks_off()
ax.legend(loc="center left", bbox_to_anchor=(1, 0.5))
four_bits = small_runs[4, "channel", False]
assert four_bits[2] < compression.stored_bytes(pupil) and four_bits[0] < curves["distilled"][1][0]
(student_size,), (student_loss,), _ = curves["distilled"]
show(fig, f"Quantization wins: {four_bits[0]:.2f} nats at 4 bits in {four_bits[2] / 1e6:.1f} MB. The "
          f"student takes {student_size / 1e6:.1f} MB for {student_loss:.2f}; pruning saves the least.")

# %% [markdown]
# For bytes, rounding wins by far. It needs no training, and it keeps every weight. Distillation has another strength that this axis hides: the student also *computes* less, a sixth, on any machine.
#
# **What the toy leaves out.** In large models a few activations are a hundred times larger than the rest, and rounding them breaks the model. Real 4-bit methods therefore use data: they choose roundings that make up for each other, layer by layer (GPTQ). And the three ways are combined.
#
# ## What we verified
#
# Each claim with its source, what was published, and what you measured.

# %%
claims.show()

# %% [markdown]
# Your exercises: which pass, and which are still open.

# %% tags=["progress"] slideshow={"slide_type": "skip"}
exercises.progress("compression")

# %% [markdown]
# **What this lesson leaves out.** Bytes are counted, not seconds: whether fewer bits are faster depends on the hardware. Large models have outliers that a small one has not.
#
# ## Further reading
#
# - Hinton, Vinyals and Dean 2015, [Distilling the Knowledge in a Neural Network](https://arxiv.org/abs/1503.02531).
# - Frankle and Carbin 2019, [The Lottery Ticket Hypothesis](https://arxiv.org/abs/1803.03635): what pruned networks tell.
# - Dettmers and others 2022, [LLM.int8()](https://arxiv.org/abs/2208.07339): outliers in quantization.
