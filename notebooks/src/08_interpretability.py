# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 8 · Reading a network: mechanistic interpretability
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/OWNER--SET-ME/llm-inside/blob/main/notebooks/08_interpretability.ipynb)
#
# <!-- speaker: Ask the class: your model answers correctly. What would you have to know before you say that you understand why? Collect the answers on the board, and come back to them at the end. -->
# **A trained network is a table of numbers that works. What would it mean to *understand* it?** Mechanistic interpretability tries to find
# the parts that do a job, and to show by experiment that they do it. In this notebook each method is first used on a case whose truth is known,
# because we built it; and then on one where it is not. You will see the methods work. You will also see each of them deceive.
#
# **Time.** Running: under four minutes on CPU; no GPU is needed. Reading and exercises: about four hours.
#
# **What you will be able to do**
# - record and replace any number inside a model while it runs;
# - say which heads and layers wrote an answer, and follow a name on its way through the network;
# - grow an induction circuit, and show by intervention that two heads work together;
# - train probes, and tell "can be decoded" from "is used", and a finding from an illusion.
#
# **Prerequisites.** Notebooks 2 to 4 (attention, the residual stream, GPT-2) and 6 (directions and features).

# %% [markdown]
# On Colab, first choose *File → Save a copy in Drive*: without a copy, what you write is lost when you close the page.
# Then run this cell. On Colab it installs the course's small package; on your own machine it does nothing.

# %% tags=["setup"]
from importlib.util import find_spec
if not find_spec("course_utils"):  # on Colab: install it, leave torch as it is
    # %pip install -q "course-utils @ git+https://github.com/OWNER--SET-ME/llm-inside@main"
assert find_spec("course_utils") and __import__("course_utils").__version__.startswith("2."), "Edition 2 of the course is not installed. If pip failed, it says above why: most often there is no network, or Python is older than 3.11. If another edition is in the way, run %pip uninstall -y course-utils. Then restart the kernel and begin again."

# %% [markdown]
# The finished parts are in `course_utils`: `linear_reading`, `interpretability` (with `hooks`), `induction`, `ablation`, `probes`, `grokking` and `emergence`. You build the most important ones here.

# %% tags=["imports"]
import math
from collections.abc import Callable, Iterable, Sequence
from functools import partial

import ipywidgets as widgets
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from course_utils import ablation as ab
from course_utils import emergence as em
from course_utils import grokking as gk
from course_utils import induction as ind
from course_utils import interpretability as ip
from course_utils import linear_reading as lr
from course_utils import probes as pb
from course_utils.classroom import (
    COLORS, Claims, Picture, explore, generator, progress, show, subplots,
)
from course_utils.corpus import ID, VOCAB, encode_words, stories
from course_utils.exercises import check, hint, solution
from course_utils.gpt2 import GPT, storyteller
from course_utils.transformer import Transformer

claims = Claims("08")

# %% [markdown]
# ## A model that can be read
#
# **Question.** What does it mean to read a model? Start with one that everybody can read.
#
# A score depends on hours of study and hours of sleep: score = β0 + β1 · study + β2 · sleep + luck. Each β (beta) is a *coefficient*, and it means something: β1 is the number of points that one more hour of study brings.

# %% [markdown]
# We draw sixty students, and know the truth, as we make them: β0 = 20, β1 = 5, β2 = 2, and luck of 8 points.

# %%
rg_x, rg_score = lr.students(60, generator(0))  # (n, 3): a constant 1, study, sleep; and (n,)
rg_fit = lr.least_squares(rg_x, rg_score)
rg_hours = torch.tensor([0.0, 10.0])
rg_line = rg_fit.beta[0] + rg_fit.beta[1] * rg_hours + rg_fit.beta[2] * rg_x[:, 2].mean()

# %% [markdown]
# The line is the fit, for somebody who sleeps as long as the average.

# %%
fig, ax = subplots(figsize=(6.5, 3.4))
ax.plot(rg_x[:, 1], rg_score, "o", color=COLORS["sky"], label="a student")
ax.plot(rg_hours, rg_line, color=COLORS["vermillion"], label="fit, average sleep")
ax.set(xlabel="hours of study", ylabel="score (points)")
ax.legend()
assert rg_fit.low[1] > 0
show(fig, "Sixty students: the score rises with the hours of study, with luck around a straight line.")

# %% [markdown]
# `lr.least_squares` solves for the β, and says how sure it is: an interval for each, made so that it holds the truth in 95 of 100 cases. **Predict**: are all three truths inside?

# %%
for name, truth, *rg_row in zip(lr.INPUTS, lr.TRUTH, *rg_fit, strict=True):
    beta, low, high = (round(v.item(), 1) for v in rg_row)
    print(f"{name:<9} truth {truth:>4}, fitted {beta:>4}, interval {low} to {high}")

# %% [markdown]
# The interval of β1 is far above 0: more hours, higher score. That of β2 may hold 0, too: sixty students are too few to be sure about sleep. A good reading says how far it can be trusted. Is "95 %" itself true? We know the truth,
# so we can count, with a thousand classes.

# %%
rg_dice, rg_truth = generator(1), torch.tensor(lr.TRUTH, dtype=torch.float64)
rg_held = torch.zeros(3)
for _ in range(1000):
    rg_one = lr.least_squares(*lr.students(60, rg_dice))
    rg_held += (rg_one.low < rg_truth) & (rg_truth < rg_one.high)
print("the intervals hold the truth in % of the classes:", (rg_held / 10).round().int().tolist())
assert (rg_held / 1000 - 0.95).abs().max() < 0.03

# %% [markdown]
# ## The same function, and nothing to read
#
# **Question.** Now put the same function into a network. Can you still read it?
#
# The network has three hidden units and no bend: score = w · (W x). Take any rotation Q (its columns are orthogonal and of length 1, so QᵀQ = 1) and set W = Q, w = Qβ. Then w · (W x) = β · x, whatever Q is. `lr.rotated_network` does that with a random Q.

# %%
rg_W, rg_w = lr.rotated_network(rg_fit.beta, lr.random_rotation(3, generator(7)))
print("from study to the hidden units:", [round(v, 1) for v in rg_W[:, 1].tolist()])
print("from the hidden units to score:", [round(v, 1) for v in rg_w.tolist()])
rg_gap = ((rg_x @ rg_W.T) @ rg_w - rg_x @ rg_fit.beta).abs().max()
print("the same scores as the regression:", bool(rg_gap < 1e-9))

# %% [markdown]
# **Predict**: over 300 such networks, which signs do you find on the weight from *study* to the first hidden unit? And what is common to all of them?

# %%
rg_dice = generator(3)
rg_nets = [lr.rotated_network(rg_fit.beta, lr.random_rotation(3, rg_dice)) for _ in range(300)]
rg_single = torch.stack([W[0, 1] for W, w in rg_nets])  # study -> first hidden unit
rg_whole = torch.stack([W.T @ w for W, w in rg_nets])[:, 1]  # study -> score, over all hidden units
rg_positive = (rg_single > 0).double().mean().item()

# %% [markdown]
# Left one weight, right all paths from study to score added up.

# %%
fig, (left, right) = subplots(1, 2, figsize=(9.5, 3.2))
left.hist(rg_single, bins=20, color=COLORS["orange"])
left.set(title="one weight", xlabel="study → first hidden unit", ylabel="networks")
right.hist(rg_whole, bins=20, range=(0, 10), color=COLORS["blue"])
right.set(title="all paths added up", xlabel="study → score (points an hour)")
assert 0.4 < rg_positive < 0.6 and (rg_whole - rg_fit.beta[1]).abs().max() < 1e-9
show(fig, "A single weight is spread between -1 and 1; the sum over all paths is always the same.")

# %% [markdown]
# The sign of a single weight is a coin toss: nobody can see in it that study helps. Nothing is lost, either: the sum over all paths from study to score is β1 in each of the 300 networks. What you can read depends on the *basis*, the axes in which the numbers are written.

# %%
claims.add(
    "I1", "a linear model can be read: β1 > 0 means more hours, higher score",
    source="lecture", published="β1 > 0 can be read off; a rotated copy cannot",
    measured=f"β1 between {rg_fit.low[1]:.1f} and {rg_fit.high[1]:.1f} (truth 5); in 300 rotated copies "
             f"one weight is positive in about {round(10 * rg_positive) * 10} %, the function the same",
    holds=bool(0 < rg_fit.low[1] < 5 < rg_fit.high[1]) and 0.4 < rg_positive < 0.6,
)

# %% [markdown]
# Keep this in mind for the whole notebook. A transformer's residual stream has no preferred axes: its single numbers mean as little as these weights. So we look for *directions*, *paths* and *interventions*, which survive a rotation.
#
# **What the toy leaves out.** A bend such as ReLU acts on each hidden unit by itself, and so makes the axes special again. And a coefficient is a cause only if nothing was forgotten: leave out what makes people study *and* score well,
# and β1 takes the credit.

# %% [markdown]
# ## Look inside while it runs
#
# **Question.** A trained model answers. Which numbers inside it made the answer?
#
# We take the *storyteller*, the course's own small GPT-2: four blocks of four heads, trained on generated stories (notebook 4). Here is the beginning of a story. A friend is named once, at the end of the sixth sentence.

# %%
teller = storyteller()
rd_text = ("Once upon a time there was a child named Mia. Mia was a kind girl. She lived with Papa. "
           "She had a red ball. She loved rice. Her best friend was Leo. Mia gave the ball to")
rd_ids = encode_words(rd_text)[None]  # (1, T)
rd_words = [VOCAB[i] for i in rd_ids[0]]
print(len(rd_words), "tokens, the name stands at position", rd_words.index("Leo"))

# %% [markdown]
# **Predict** the next word, and how sure the model is of it.

# %%
with torch.no_grad():
    rd_p = teller(rd_ids)[0, -1].softmax(-1)
print(VOCAB[rd_p.argmax()], f"with probability above 0.98: {rd_p.max() > 0.98}")


# %% [markdown]
# To find out how, we have to see the numbers in between. PyTorch offers *hooks*: functions of yours that a module calls each time it has run, with itself, its arguments and its output.
#
# ### Exercise 1 · record what modules give
#
# *Difficulty 2 of 3 · 15 minutes*
#
# `model.get_submodule("h.0.mlp")` finds a module by name. Its `register_forward_hook(f)` returns a handle, and `handle.remove()` takes the hook off again. A hook that stays makes trouble later: take care that it goes even if the model fails. Keep copies: a later module may overwrite what you hold.

# %% tags=["exercise"]
def record(model: nn.Module, ids: Tensor, names: Iterable[str]) -> dict[str, Tensor]:
    """Run the model once, and return what its modules of these names gave: copies, no gradients.

    No hook stays on the model afterwards, even where it fails.
    Shapes: ids (B, T) -> for each name whatever its module gives, such as (B, T, d_model).
    Raises: AttributeError for a name that the model does not have.

    >>> from course_utils.gpt2 import storyteller
    >>> found = record(storyteller(), torch.tensor([[3, 1, 4]]), ["h.0.mlp.c_fc", "ln_f"])
    >>> {name: tuple(x.shape) for name, x in found.items()}
    {'h.0.mlp.c_fc': (1, 3, 512), 'ln_f': (1, 3, 128)}
    """
    ...


# %% tags=["check"]
check("interpretability.record", record)
# hint("interpretability.record")
# solution("interpretability.record")

# %% [markdown]
# Our `ip.ActivationCache` does the same for more names. `"h.1"` is the residual stream after block 1, `"h.0.in"` what enters block 0 (blocks count from 0), `"h.1.attn.pattern"` the attention of each head, `"h.1.attn.heads"` each head's output. A `*` stands for any number. It works for models of `transformers`, too.

# %%
with ip.ActivationCache(teller, ["h.0.in", "h.*", "h.*.attn.pattern"]) as rd_cache:
    teller(rd_ids)
for name, x in rd_cache.items():
    print(f"{name:<18} {tuple(x.shape)}")

# %% [markdown]
# A wrong name is answered with the closest one, and with all that there is:

# %%
try:
    ip.ActivationCache(teller, ["h.1.attention"])
except ValueError as error:
    print(str(error)[:118], "…")


# %% [markdown]
# ## What the model would say now: the logit lens
#
# **Question.** When does the model know the answer?
#
# The residual stream after the last block goes through the last LayerNorm, `ln_f`, and the head, and becomes a logit for each word. Nothing forbids doing this with the stream of an *earlier* block. That is the *logit lens*.
#
# ### Exercise 2 · the logit lens
#
# *Difficulty 1 of 3 · 5 minutes*
#
# `model.streams(ids)` returns the stream before the first block and after each, as a list.

# %% tags=["exercise"]
def logit_lens(model: Transformer, ids: Tensor) -> Tensor:
    """Decode the residual stream before the first block and after each, as if the model ended there.

    The last row is the model's own answer.
    Shapes: ids (B, T) -> logits (n_layer + 1, B, T, V).
    Source: nostalgebraist 2020, "interpreting GPT: the logit lens".

    >>> from course_utils.gpt2 import storyteller
    >>> model, ids = storyteller(), torch.tensor([[3, 1, 4]])
    >>> lens = logit_lens(model, ids)
    >>> tuple(lens.shape), torch.allclose(lens[-1], model(ids), atol=1e-5)
    ((5, 1, 3, 699), True)
    """
    ...


# %% tags=["check"]
check("interpretability.logit_lens", logit_lens)
# hint("interpretability.logit_lens")
# solution("interpretability.logit_lens")

# %% [markdown]
# Each cell of the picture shows the most probable next word there; dark means sure. The word that the model has just read stands below. **Predict** the bottom row: before the first block, the stream holds nothing but word and position.

# %%
rd_lens = ip.logit_lens(teller, rd_ids)[:, 0, 33:].softmax(-1)  # (n_layer + 1, positions, V)
rd_top, rd_say = rd_lens.max(-1)
fig, ax = subplots(figsize=(10.5, 3.6))
ax.imshow(rd_top, cmap="Blues", vmin=0, vmax=1.3, origin="lower", aspect="auto")
for row in range(5):
    for column in range(10):
        style = dict(ha="center", va="center", color="white" if rd_top[row, column] > 0.7 else "black")
        ax.text(column, row, VOCAB[rd_say[row, column]], **style)
ax.set(xticks=range(10), xticklabels=rd_words[33:], xlabel="word just read")
ax.set(yticks=range(5), yticklabels=["embedding", *(f"block {i}" for i in range(4))])
ax.grid(False)
assert VOCAB[rd_say[0, -1]] == "to" and VOCAB[rd_say[2, -1]] != "Leo"
assert VOCAB[rd_say[3, -1]] == VOCAB[rd_say[4, -1]] == "Leo"
show(fig, "The embedding repeats the word just read; at the last word, Leo comes with block 2.")

# %% [markdown]
# The embedding "predicts" the word that was just read: the head is tied to the embedding (notebook 3). At the last position the name appears after block 2, and block 3 makes it sure.
#
# **What the lens does not show.** Later blocks may read a stream in other ways than the head does. Where the lens shows nonsense, the information may still be there.

# %% [markdown]
# ## Who wrote the answer? Direct logit attribution
#
# **Question.** The stream is a sum of what every part wrote (notebook 3). Can we share out the logit?
#
# Nearly. The last LayerNorm divides by the standard deviation of the *whole* sum. If we keep that number as it is (we *freeze* the scale), all else is linear: each write contributes its own share of the logit, and the shares add up.

# %%
LEO, TOM = ID["Leo"], ID["Tom"]
rd_parts = ip.attribution(teller, rd_ids, LEO, other=TOM)  # of the logit of Leo less that of Tom
with torch.no_grad():
    rd_logits = teller(rd_ids)
rd_gap = (rd_parts.total - (rd_logits[..., LEO] - rd_logits[..., TOM])).abs().max().item()
print("the shares add up to the logit, within 1e-4 at every position:", rd_gap < 1e-4)

# %% [markdown]
# "Leo rather than Tom", at the last word. **Predict**: do all 16 heads take part?

# %%
fig, axes = subplots(1, 2, figsize=(9.5, 3.4), width_ratios=[2.2, 1])
rd_heads = rd_parts.heads[:, :, 0, -1]  # (n_layer, n_head)
image = axes[0].imshow(rd_heads, cmap="PuOr", vmin=-6, vmax=6, origin="lower", aspect="auto")
for layer in range(4):
    for head in range(4):
        value = round(rd_heads[layer, head].item(), 1) + 0.0  # + 0.0: no "-0.0"
        style = dict(ha="center", va="center", color="white" if value > 3 else "black")
        axes[0].text(head, layer, value, **style)
axes[0].set(title="heads", xlabel="head", ylabel="layer", xticks=range(4), yticks=range(4))
axes[0].grid(False)
axes[1].barh(range(4), rd_parts.mlps[:, 0, -1], color=COLORS["blue"])
axes[1].set(title="MLPs", xlabel="nats", yticks=range(4), xlim=(-1, 6))
assert rd_heads.argmax() == 12 and rd_heads[3, 0] > 3 * rd_heads[2, 1]
show(fig, "Shares of Leo over Tom: most by head 3.0, then the late MLPs and head 2.0.")

# %% [markdown]
# One head of 16 does most: **head 3.0** (layer 3, head 0). Then come the MLPs of layers 2 and 3, and head 2.0. Remember the two heads; we shall take them apart.
#
# The lecture writes a block as LayerNorm(x + Attention(x) + MLP(x)). With that form a sum of writes would end at the first block. We test it on block 1, and see what happens if each write goes through the last LayerNorm alone.

# %%
with torch.no_grad():
    x, block = rd_cache["h.0"], teller.h[1]
    rd_lecture = teller.ln_f(x + block.attn(x) + block.mlp(x))  # any LayerNorm will do here
    rd_off = (rd_lecture - rd_cache["h.1"]).norm() / rd_cache["h.1"].norm()
    alone = [teller.ln_f(part) for part in (x, rd_cache["h.3"] - x)]
    rd_wrong = (sum(alone) - teller.ln_f(rd_cache["h.3"])).norm() / teller.ln_f(rd_cache["h.3"]).norm()
print(f"lecture's block: over half off: {rd_off > 0.5}; norms taken alone: {rd_wrong > 0.2}")
claims.add(
    "I3", "x_out = LayerNorm(x_in + Attention(x_in) + MLP(x_in))", source="lecture", published=True,
    measured=bool(rd_off < 0.1), reason="GPT-2's blocks add and never normalise the stream (notebook "
    "3). So writes add up to a logit, within 1e-4, with the last LayerNorm's scale frozen.")

# %% [markdown]
# ### A view of a head: where it looks, what it writes
#
# <!-- speaker: Let the class guess the job of head 2.1 from its picture, then of head 3.0. Ask what experiment would prove them wrong. -->
# **Choose a head and a position.** Above: how much it looks at each word. Below: the words that its write raises most, through the last LayerNorm's frozen scale and the head. Which head looks at the one who acts? Which at full stops?

# %%
rd_patterns = torch.stack([rd_cache[f"h.{i}.attn.pattern"][0] for i in range(4)])  # (4, H, T, T)
with torch.no_grad():
    z = ip.activations(teller, rd_ids, ["h.*.attn.heads"])
    rd_out = [torch.einsum("htd,ohd->hto", z[f"h.{i}.attn.heads"][0],
                           block.attn.c_proj.weight.unflatten(1, (4, -1)))
              for i, block in enumerate(teller.h)]
    scale = (rd_cache["h.3"][0].var(-1, correction=0) + teller.ln_f.eps).sqrt()  # (T,)


# %% [markdown]
# Read the words of the upper picture from the left: it is the text. The word that looks is red.

# %%
def head_view(layer, head, position):
    write = rd_out[layer][head, position]  # (d_model,)
    push = (write - write.mean()) / scale[position] * teller.ln_f.weight @ teller.lm_head.weight.T
    look, top = rd_patterns[layer, head, position], push.detach().topk(8)
    fig, (above, below) = subplots(2, 1, figsize=(10.5, 4.8), height_ratios=[1.6, 1])
    above.vlines(range(len(rd_words)), 0, look, color=COLORS["blue"], linewidth=12)
    above.set(ylim=(0, 1.65), xticks=[], yticks=[0, 0.5, 1], ylabel="attention")
    above.set_title(f"head {layer}.{head} at “{rd_words[position]}”")
    for i, word in enumerate(rd_words):  # inside of the axes, which is quicker than tick labels
        shade = COLORS["vermillion" if i == position else "black"]
        above.text(i, 1.04, word, rotation=90, ha="center", fontsize=12, color=shade, clip_on=True)
    below.bar([VOCAB[i] for i in top.indices], top.values, color=COLORS["green"])
    below.set(ylabel="raises by (nats)")
    far = f"most at “{rd_words[look.argmax()]}”" if look.max() > 0.4 else "at many words"
    return Picture(fig, f"Head {layer}.{head} at “{rd_words[position]}” ({position}) looks {far}; "
                        f"its write raises “{VOCAB[top.indices[0]]}” most.")


explore(
    head_view,
    layer=widgets.IntSlider(3, 0, 3, description="layer"),
    head=widgets.IntSlider(0, 0, 3, description="head"),
    position=widgets.IntSlider(len(rd_words) - 1, 1, len(rd_words) - 1, description="position"),
)


# %% [markdown]
# Head 3.0 looks at *one full stop*, the one behind "Leo", and yet it writes "Leo". The name must have been copied there before. Looking at attention alone you would have guessed wrong. Head 2.1 looks at the one who acts, Mia.

# %% [markdown]
# ## Scores for heads
#
# **Question.** Sixteen pictures can be looked at. A large model has thousands of heads. Which numbers replace the glance?
#
# Three have become usual. *Previous token*: the mean attention from each position to the one before. *Duplicate token*: to earlier copies of the same token. *Induction*: to what came *after* an earlier copy, as if to say: last time it went on like this.
#
# ### Exercise 3 · the induction score
#
# *Difficulty 2 of 3 · 12 minutes*
#
# `ip.earlier_copies(ids)` is ready: (B, T, T), True in row *t* and column *s* where *s* < *t* held the same token (and a `ValueError` if there are no such places). The dots in (B, ..., T, T) stand for any dimensions, such as heads.

# %% tags=["exercise"]
def induction_score(pattern: Tensor, ids: Tensor) -> Tensor:
    """How much a head looks at what came next the last times its token was there.

    That is from t to s + 1, where s < t had t's token. The attention is summed over these s,
    and averaged over all t whose token came before.
    Shapes: pattern (B, ..., T, T), ids (B, T) -> (...), over all of the batch.
    Raises: ValueError where no token comes twice.
    Source: Olsson et al. 2022, "In-context Learning and Induction Heads", prefix matching.

    >>> pattern = torch.tensor([[[1.0, 0.0, 0.0], [0.5, 0.5, 0.0], [0.1, 0.9, 0.0]]])
    >>> induction_score(pattern, torch.tensor([[7, 5, 7]]))  # the second 7 looks at the 5
    tensor(0.9000)
    """
    ...


# %% tags=["check"]
check("interpretability.induction_score", induction_score)
# hint("interpretability.induction_score")
# solution("interpretability.induction_score")

# %% [markdown]
# The usual test text is random words, repeated: what was never learnt by heart can only be continued by looking back. **Predict**: which of the three kinds does the storyteller have?

# %%
rd_random = torch.randint(1, len(VOCAB), (16, 40), generator=generator(0)).repeat(1, 3)  # (B, T)
rd_scores = {"previous token": ip.previous_token_score, "duplicate token": ip.duplicate_token_score,
             "induction": ip.induction_score}
rd_scores = {name: ip.head_scores(teller, rd_random, score) for name, score in rd_scores.items()}

# %% [markdown]
# A row for each layer, a column for each head:

# %%
fig, axes = subplots(1, 3, figsize=(10.5, 3.2), sharey=True)
for ax, (name, values) in zip(axes, rd_scores.items(), strict=True):
    image = ax.imshow(values, cmap="Blues", vmin=0, vmax=1, origin="lower", aspect="auto")
    ax.set(title=name, xlabel="head", xticks=range(4), yticks=range(4))
    ax.grid(False)
axes[0].set_ylabel("layer")
fig.colorbar(image, ax=axes, label="score")
assert max(values.max() for values in rd_scores.values()) < 0.3
show(fig, "The storyteller's heads on repeated random words: all three scores are low.")


# %% [markdown]
# All are low. The storyteller has no induction head, and no head that always looks one back. Its stories can be told without: what repeats in them are names and toys, in places that grammar announces. Heads are what the text needs. In the next section you grow a model whose text needs induction, and only that.

# %% [markdown]
# ## An induction circuit, grown live
#
# <!-- speaker: Write "K F R B Q … K F R" on the board and ask what comes next. Then ask how they knew, step by step: everybody does two look-ups. -->
# **Question.** A text goes *K F R B Q K F R*. You expect *B*. Which parts of a transformer can do that, and do they have to work together?
#

# %% [markdown]
# One head is not enough. At the second *R* it can look for an earlier *R*. But what it needs stands one place *after* that. The proposal (Elhage and others 2021) is a *circuit* of two heads. A *previous-token head* writes into each position which token
# stood just before. In a later layer, an *induction head* looks for the position that says "before me stood an *R*", and copies its token: *B*.
#

# %% [markdown]
# We grow models that have to do this, and nothing else. A text is a *block* of different random tokens that repeats; the length of the block is its *period*.
#
# ### Exercise 4 · texts that repeat
#
# *Difficulty 2 of 3 · 12 minutes*
#
# Draw `n` texts of `T` tokens. Each has a period and a block of its own. Periods from the least to the greatest are equally likely, both ends included.

# %% tags=["exercise"]
def repeated_sequences(n: int, T: int, vocab_size: int, periods: tuple[int, int],
                       generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Draw sequences that repeat: a block of different random tokens, again and again, up to T tokens.

    Each sequence has a block and a period (the block's length) of its own; the period is drawn
    evenly from periods[0] to periods[1], both included.
    Shapes: -> ids (n, T) and periods (n,), whole numbers.
    Raises: ValueError unless 1 <= periods[0] <= periods[1] <= vocab_size.

    >>> ids, period = repeated_sequences(2, 7, 10, (3, 3), torch.Generator().manual_seed(0))
    >>> period, torch.equal(ids[:, :4], ids[:, 3:])
    (tensor([3, 3]), True)
    """
    ...


# %% tags=["check"]
check("interpretability.repeated_sequences", repeated_sequences)
# hint("interpretability.repeated_sequences")
# solution("interpretability.repeated_sequences")

# %% [markdown]
# Three models without MLPs, 4 heads a layer, texts of 48 tokens out of 64. The loss counts only where the token was there before: all else is chance.
#
# - **two layers**, periods drawn from 8 to 24;
# - **one layer**, the same texts;
# - **two layers, one period**: always 16.
#
# **Predict** which of them learn. Every 20 steps we look inside, with the scores from above. It takes about 25 seconds.

# %%
RANDOM, FIXED, STEPS = (8, 24), (16, 16), {"two layers": 700, "one layer": 700, "one period": 300}
ic_models, ic_runs = {}, {}
for name, steps in STEPS.items():
    ic_new = ind.attention_only(1 if name == "one layer" else 2, generator=generator(0))
    ic_periods = FIXED if name == "one period" else RANDOM
    ic_models[name], ic_runs[name] = ic_new.eval(), ind.grow(ic_new, ic_periods, steps)

# %% [markdown]
# First the loss.

# %%
fig, ax = subplots(figsize=(7.5, 3.3))
for name, run in ic_runs.items():
    ax.plot(run.steps, run.loss, label=name)
ax.set(xlabel="step", ylabel="loss (nats)")
ax.legend()
ic_end = {name: run.loss[-1].item() for name, run in ic_runs.items()}
assert max(ic_end["two layers"], ic_end["one period"]) < 0.05 and ic_end["one layer"] > 2
show(fig, "Two layers learn suddenly, one layer does not, one fixed period is learned first.")


# %% [markdown]
# Two layers learn it, and one does not: the circuit needs both. Now for each layer the scores of its best head.

# %%
def draw_scores(ax, run):
    best = {"previous": run.previous.amax(-1), "induction": run.induction.amax(-1)}  # (S, L) each
    for (what, values), color in zip(best.items(), ("orange", "blue"), strict=True):
        for layer, line in enumerate(("-", "--")[: values.size(1)]):
            label = f"{what}, layer {layer}"
            ax.plot(run.steps, values[:, layer], line, color=COLORS[color], label=label)


# %% [markdown]
# **Predict**: which model has a previous-token head?

# %%
fig, axes = subplots(1, 3, figsize=(11, 3.5), sharey=True)
for ax, (name, run) in zip(axes, ic_runs.items(), strict=True):
    draw_scores(ax, run)
    ax.set(title=name, xlabel="step", ylim=(0, 1.02))
axes[0].set_ylabel("best score")
fig.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
assert ic_runs["two layers"].previous[-1, 0].max() > 0.3 > 0.2 > ic_runs["one period"].previous[-1].max()
show(fig, "Only two layers with many periods get both a previous-token head and an induction head.")

# %% [markdown]
# With a single period even *layer 0* gets a high induction score, and the previous-token score stays low. What is that model doing? We come back to it.

# %% [markdown]
# ### How sudden is it?
#
# **Predict**: the loss of the first model falls from 4.2 to nearly 0 in 700 steps. In what share of the steps does it go from 20 % to 80 % of the way?

# %%
ic_run = ic_runs["two layers"]
ic_when = {"loss": ind.rise(ic_run.steps, ic_run.loss),
           "induction score": ind.rise(ic_run.steps, ic_run.induction[:, 1].amax(-1)),
           "previous-token score": ind.rise(ic_run.steps, ic_run.previous[:, 0].amax(-1))}
ic_share = {name: math.ceil(20 * (b - a) / ic_run.steps[-1]) * 5 for name, (a, b) in ic_when.items()}
for name, share in ic_share.items():
    print(f"{name:<21} from 20 % to 80 % of its way within {share} % of the run")

# %% [markdown]
# Loss and induction score jump together, after a plateau. The previous-token head begins at the same time and goes on sharpening when the loss is down already.

# %%
ic_together = abs(ic_when["loss"][0] - ic_when["induction score"][0]) <= 40
claims.add(
    "I7", "induction heads appear suddenly",
    source="Olsson et al. 2022", published="suddenly, together with a drop of the loss",
    measured=f"20 % to 80 % of the score's rise within {ic_share['induction score']} % of the run, "
             f"of the loss's fall within {ic_share['loss']} %; at the same time: {ic_together}",
    holds=ic_together and max(ic_share["induction score"], ic_share["loss"]) <= 20,
)


# %% [markdown]
# ### A view of the emergence
#
# **Move the step** from 60 to 240 for a head of layer 1. Where do the bright stripes appear, and how far below the diagonal? Then look at the heads of layer 0: which of them have a stripe just below the diagonal? Where does it *end*?

# %%
def emergence_view(step, head):
    k, (layer, h) = ic_run.steps.index(step), map(int, head.split("."))
    fig, (left, right) = subplots(1, 2, figsize=(10, 4.2))
    left.imshow(ic_run.patterns[k, layer, h], cmap="Blues", vmin=0, vmax=1)
    left.set(title=f"head {head} at step {step}", xlabel="is looked at", ylabel="looks")
    left.grid(False)
    curves = ic_run.previous[:, layer, h], ic_run.induction[:, layer, h]
    right.plot(ic_run.steps, curves[0], color=COLORS["orange"], label="previous-token score")
    right.plot(ic_run.steps, curves[1], color=COLORS["blue"], label="induction score")
    share = ic_run.loss / ic_run.loss[0]
    right.plot(ic_run.steps, share, ":", color=COLORS["black"], label="loss, as a share")
    right.axvline(step, color=COLORS["vermillion"], linewidth=1)
    right.set(xlabel="step", ylim=(0, 1.05))
    right.legend()
    alt = f"Head {head} at step {step}: previous-token score {curves[0][k]:.1f}, induction score "
    return Picture(fig, alt + f"{curves[1][k]:.1f}; on the right the scores over training.")


explore(
    emergence_view,
    step=widgets.SelectionSlider(options=ic_run.steps, value=200, description="step"),
    head=widgets.Dropdown(options=[f"{a}.{h}" for a, h in ab.all_heads(ic_models["two layers"])],
                          value="1.3", description="head"),
)


# %% [markdown]
# ## Is it a circuit? Take a part out
#
# **Question.** The pictures look like the proposal. But looks are no proof: who says that the model *uses* what these heads write?
#

# %% [markdown]
# An *ablation* takes a head out. One can put 0 in its place, but the layers after it may never have seen a 0 there. *Mean ablation* is gentler: the head says what it says on average over many texts, so that it tells nothing about *this* text.
#
# ### Exercise 5 · mean ablation
#
# *Difficulty 1 of 3 · 6 minutes*
#
# `z` is what all heads of a layer give, before they are merged. Replace the heads that are asked for; average over the sequences, and keep each position apart.

# %% tags=["exercise"]
def mean_ablate(z: Tensor, heads: Sequence[int]) -> Tensor:
    """Replace what some heads give by their mean over the sequences, position by position.

    The heads then say the same whatever the sequence is: what they say on average stays.
    Shapes: z (B, H, T, d), heads: their numbers from 0 -> (B, H, T, d); z stays as it is.
    Raises: ValueError for a head that is not there. Source: Wang et al. 2022, section 2.1.

    >>> z = torch.tensor([[[[1.0]], [[2.0]]], [[[5.0]], [[8.0]]]])  # two sequences, two heads
    >>> mean_ablate(z, [1]).flatten().tolist()
    [1.0, 5.0, 5.0, 5.0]
    """
    ...


# %% tags=["check"]
check("interpretability.mean_ablate", mean_ablate)
# hint("interpretability.mean_ablate")
# solution("interpretability.mean_ablate")

# %% [markdown]
# `ab.harm(model, batch, heads)` is the rise of the loss when these heads are taken out together. First every head alone. **Predict**: which heads hurt?

# %%
ic_model = ic_models["two layers"]
ic_batch = ind.repeat_batches(64, 48, 64, RANDOM)(generator(5))
ic_heads = ab.all_heads(ic_model)
ic_alone = [ab.harm(ic_model, ic_batch, [head]) for head in ic_heads]
print("every head of layer 1 alone costs less than 0.1 nats:", max(ic_alone[4:]) < 0.1)

# %% [markdown]
# No induction head is missed! They have learned the same thing four times, and three do the work of four. So the question must be put to *groups*. In layer 0 we take the two heads with the highest previous-token scores, and for comparison the two others; in layer 1 all heads.

# %%
ic_order = ic_run.previous[-1, 0].argsort(descending=True).tolist()  # layer 0, the best first
ic_groups = {"two best previous-token heads": [(0, h) for h in ic_order[:2]],
             "the two others of layer 0": [(0, h) for h in ic_order[2:]],
             "all heads of layer 1": [(1, h) for h in range(4)]}
ic_harm = {how.__name__: [ab.harm(ic_model, ic_batch, group, how) for group in ic_groups.values()]
           for how in (ab.mean_ablate, ab.zero_ablate)}

# %% [markdown]
# **Predict** the four bars of layer 0.

# %%
fig, (left, right) = subplots(1, 2, figsize=(11, 3.4))
left.bar([f"{a}.{h}" for a, h in ic_heads], ic_alone, color=COLORS["sky"])
left.set(title="each head alone", xlabel="head", ylabel="rise of the loss (nats)", ylim=(0, 10))
for shift, (how, values) in zip((-0.2, 0.2), ic_harm.items(), strict=True):
    right.barh([y + shift for y in range(3)], values, height=0.36, label=how.replace("_", " "))
right.set(title="groups", yticks=range(3), yticklabels=ic_groups, xlabel="rise of the loss (nats)")
right.invert_yaxis()
right.legend(loc="center right")
assert all(values[0] > 4 and values[1] < 0.2 and values[2] > 4 for values in ic_harm.values())
show(fig, "Alone hardly any head matters; two previous-token heads, or all of layer 1, are vital.")

# %% [markdown]
# Without the two previous-token heads the model is worse than guessing (log 64 is 4.2 nats, and the loss rises by more). The two other heads of the same layer cost nothing. But do the heads of layer 1 *fail because of it*? If the two compose, then without the
# previous-token heads the induction heads must look elsewhere.

# %%
with ab.ablated(ic_model, ic_groups["two best previous-token heads"]):
    ic_blind = ind.look(ic_model, ic_batch)["induction"][1]  # (H,)
with ab.ablated(ic_model, ic_groups["the two others of layer 0"]):
    ic_sound = ind.look(ic_model, ic_batch)["induction"][1]
print("all induction scores, previous-token heads out: below 0.5:", bool(ic_blind.max() < 0.5))
print("all induction scores, the other heads out: above 0.8:     ", bool(ic_sound.min() > 0.8))

# %% [markdown]
# One step more. A head reads the stream three times: for its queries, its keys and its values. The proposal says that the news "before me stood an *R*" is read by the *keys*. `ab.harm_through` takes the previous-token heads out for only one of the three, and leaves all else as it is.

# %%
ic_pair = ic_groups["two best previous-token heads"]
ic_through = {kind: ab.harm_through(ic_model, ic_batch, ic_pair, kind[0])
              for kind in ("queries", "keys", "values")}

# %% [markdown]
# **Predict**: which of the three misses them?

# %%
fig, ax = subplots(figsize=(6, 2.6))
ax.barh(list(ic_through), list(ic_through.values()), color=COLORS["blue"], height=0.5)
ax.set(xlabel="rise of the loss (nats)", title="previous-token heads, missed by …")
ax.invert_yaxis()
assert ic_through["keys"] > 4 and max(ic_through["queries"], ic_through["values"]) < 1
show(fig, "Only the keys of layer 1 need the previous-token heads; queries and values do not.")


# %% [markdown]
# It is the keys (*K-composition*, in the words of Elhage and others). Now we know: not because it looks like it, but because each arrow of the circuit was cut, and its neighbour was cut for comparison. Two helpers round what we report, so that it is the same on every machine.

# %%
def over(x: float) -> int:
    """A multiple of 5 below x: coarse enough to be the same on every machine."""
    return math.floor(x / 5) * 5


def under(x: float) -> float:
    """The next tenth above x."""
    return math.floor(10 * max(x, 0) + 1) / 10


# %% [markdown]
# The verdict.

# %%
ic_out, ic_other = ic_harm["mean_ablate"][:2]
ic_cut, ic_rest = ic_through["keys"], max(ic_through["queries"], ic_through["values"])
claims.add(
    "I2", "interpretability maps behaviour onto circuits",
    source="lecture; Olah 2020, Elhage 2021", published="a circuit, which fails where it is cut",
    measured=f"two previous-token heads out: loss up by over {over(ic_out)} nats; the other two of the "
             f"layer: under {under(ic_other)}. Missed by the keys alone: over {over(ic_cut)}; "
             f"by queries or values: under {under(ic_rest)}",
    holds=ic_out > 4 and ic_other < 0.2 and ic_cut > 4 and ic_rest < 1,
)

# %% [markdown]
# ## A score can lie
#
# **Question.** The model with one fixed period has the higher induction score, and in *layer 0*. Has it found a shorter circuit?
#
# **Predict** how both models do at periods that they were not trained on.

# %%
IC_PERIODS = (4, 8, 12, 16, 20, 24, 32)
ic_accuracy = {name: [] for name in ("two layers", "one period")}
for p in IC_PERIODS:
    ic_test = ind.repeat_batches(64, 48, 64, (p, p))(generator(6))
    for name, values in ic_accuracy.items():
        values.append(ind.look(ic_models[name], ic_test)["accuracy"].item())

# %% [markdown]
# The shaded periods were in the training of the first model.

# %%
fig, ax = subplots(figsize=(7.5, 3.3))
ax.axvspan(8, 24, color="#EEEEEE")
ax.plot(IC_PERIODS, ic_accuracy["two layers"], "o-", label="trained on 8 to 24")
ax.plot(IC_PERIODS, ic_accuracy["one period"], "o-", label="trained on 16")
ax.set(xlabel="period", ylabel="accuracy", ylim=(-0.03, 1.35), xticks=IC_PERIODS)
ax.legend(loc="upper left", ncols=2)
assert min(ic_accuracy["two layers"]) > 0.95 and ic_accuracy["one period"][2] < 0.3
show(fig, "The first model is right at every period, the other at 16 and what divides or doubles it.")

# %% [markdown]
# The second model does not compare tokens. Where does it look?

# %%
ic_where = "h.0.attn.pattern"
ic_fixed = ip.activations(ic_models["one period"], ic_batch[0], [ic_where])[ic_where]  # (B, H, T, T)
ic_fixed = ic_fixed.mean((0, 1))  # (T, T), the mean over texts and heads
ic_back = ic_fixed.diagonal(-15)[1:17].mean().item(), ic_fixed.diagonal(-31)[1:].mean().item()
print("positions 16 to 31 look 15 places back:", ic_back[0] > 0.9)
print("positions 32 to 47 look 31 places back:", ic_back[1] > 0.9)

# %% [markdown]
# A fixed number of places back, by *position*, whatever stands there: on these texts, which have other periods, too. Where the period is 16, that *is* the token after an earlier copy, and so the induction score is perfect. With the period 4, 8 or 32 it is right
# by chance. A score says what a head looks at on *some* texts, not why.

# %% [markdown]
# ## A prediction from the picture
#
# **Question.** The first model seems to have the general rule. Has it?
#
# In the view above, the stripe of the previous-token heads *ended*. Here is its height, position by position.

# %%
ic_stripe = ip.activations(ic_model, ic_batch[0], [ic_where])[ic_where]  # (B, H, T, T)
ic_stripe = ic_stripe.diagonal(-1, dim1=-2, dim2=-1).mean(0)  # (H, T - 1): attention to the token before

# %% [markdown]
# The vermilion line is at 24, the longest period in training. **Predict** what happens there.

# %%
fig, ax = subplots(figsize=(7.5, 3))
ax.plot(range(1, 48), ic_stripe[ic_order[0]], label="best previous-token head")
ax.plot(range(1, 48), ic_stripe[ic_order[1]], "--", label="second best")
ax.axvline(24, color=COLORS["vermillion"], linewidth=1)
ax.set(xlabel="position that looks", ylabel="attention", ylim=(0, 1.05), title="to the token before")
ax.legend()
assert ic_stripe[ic_order[0], :20].mean() > 0.8 and ic_stripe[ic_order[0], 28:].mean() < 0.2
show(fig, "The previous-token heads look at the token before up to position 24, and not after it.")

# %% [markdown]
# In training no block was longer than 24: the first copy of everything lies before position 24, and only there somebody has to note who stood before whom. The model learned just that much.
#
# This *predicts* something that the circuit diagram does not: if the first block begins late, after other tokens, induction must fail. `ind.late_repeats` makes such texts. **Predict** the loss for a block of 12 that begins at position 0, 6, 12, 18, 24.

# %%
IC_STARTS = (0, 6, 12, 18, 24)
ic_late = [ind.token_losses(ic_model, ind.late_repeats(64, start, 12, 64, generator(7))).nanmean().item()
           for start in IC_STARTS]

# %% [markdown]
# For comparison, the loss of guessing.

# %%
fig, ax = subplots(figsize=(6.5, 3))
ax.plot(IC_STARTS, ic_late, "o-", color=COLORS["vermillion"])
ax.axhline(math.log(64), color=COLORS["black"], linewidth=1, linestyle=":", label="guessing")
ax.set(xlabel="position where the first block begins", ylabel="loss (nats)", xticks=IC_STARTS)
ax.legend()
assert max(ic_late[:3]) < 0.5 and ic_late[-1] > 4
show(fig, "The loss is near 0 while the first block ends by position 24, then far above guessing.")

# %% [markdown]
# That is what understanding is good for: a look inside told us of a failure that no test on texts like those of training would have shown. It was the *picture* that told us, not the diagram. (The score had a hint: about 0.5, as the stripe fills half of the text.)

# %% [markdown]
# **What the toy leaves out.** Texts do not repeat word by word; heads of large models do several jobs at once, share them, and there are MLPs between. There, a circuit is hardly ever as clean as this one.

# %% [markdown]
# ## Activation patching: where the name travels
#
# **Question.** Back to the storyteller. The name Leo stands at position 36, and comes out at position 42. Which way does it take?
#
# Looking cannot tell. *Patching* can: run two texts that differ in one word. Call them *clean* (Leo) and *corrupt* (Tom). Run the corrupt one, but at one place put in the activation of the clean run. If the answer turns from Tom to Leo, the name was there.

# %%
pa_texts = {"clean": rd_text, "corrupt": rd_text.replace("Leo", "Tom")}
pa_clean, pa_corrupt = (encode_words(text)[None] for text in pa_texts.values())  # (1, T) each


def pa_metric(logits):
    """The logit of Leo less that of Tom at the last position, (B,)."""
    return logits[:, -1, LEO] - logits[:, -1, TOM]


# %% [markdown]
# The two ends of the scale: how strongly the model prefers Leo in each.

# %%
with torch.no_grad():
    for name, ids in (("clean", pa_clean), ("corrupt", pa_corrupt)):
        print(f"{name:<8} prefers {'Leo' if pa_metric(teller(ids)) > 0 else 'Tom'} by over 10 nats:",
              abs(pa_metric(teller(ids)).item()) > 10)
print("positions that differ:", (pa_clean != pa_corrupt).nonzero()[:, 1].tolist())


# %% [markdown]
# ### Exercise 6 · the patching map
#
# *Difficulty 3 of 3 · 20 minutes*
#
# `ip.activations(model, ids, names)` runs and records. `with ip.patched(model, {name: patch}):` replaces while you run inside; and `ip.only(source, slice(None), t)` is a patch that takes position *t* from `source` and leaves the others. Use the names of `ip` in your answer. `metric` turns logits into one number for each text.

# %% tags=["exercise"]
def patching_map(
    model: Transformer, clean: Tensor, corrupt: Tensor, metric: Callable, names: Sequence[str]
) -> Tensor:
    """Run the corrupt text with one activation of the clean run at one position: does it repair?

    Each entry is (metric with the patch - corrupt) / (clean - corrupt): 1 where it repairs all.
    Shapes: clean and corrupt (1, T), metric: logits (B, T, V) -> (B,), names: activations
    (B, T, d), such as "h.0.in" -> (len(names), T).
    Source: Meng et al. 2022, "Locating and Editing Factual Associations in GPT", section 2.

    >>> from course_utils.gpt2 import storyteller
    >>> clean, corrupt = torch.tensor([[3, 1, 4]]), torch.tensor([[2, 1, 4]])
    >>> answer = lambda logits: logits[:, -1, 5]
    >>> patching_map(storyteller(), clean, corrupt, answer, ["h.0.in"]).round(decimals=3).abs()
    tensor([[1., 0., 0.]])
    """
    ...


# %% tags=["check"]
check("interpretability.patching_map", patching_map)
# hint("interpretability.patching_map")
# solution("interpretability.patching_map")

# %% [markdown]
# First the stream itself: 5 layers × 43 positions, each a run of its own. **Predict** the two corners where the value must be 1. And between them: does the name wait at "Leo" until the last word fetches it?

# %%
PA_NAMES = {"stream": ["h.0.in", *(f"h.{i}" for i in range(4))],
            "attention": [f"h.{i}.attn" for i in range(4)], "MLP": [f"h.{i}.mlp" for i in range(4)]}
pa_maps = {part: ip.patching_map(teller, pa_clean, pa_corrupt, pa_metric, names)
           for part, names in PA_NAMES.items()}


# %% [markdown]
# We show the last ten positions; before the name, both runs are the same.

# %%
def pa_draw(ax, table, words, start):
    """A patching map with its numbers."""
    ax.imshow(table[:, start:], cmap="Blues", vmin=0, vmax=1.3, origin="lower", aspect="auto")
    for row, values in enumerate(table[:, start:].tolist()):
        for column, value in enumerate(values):
            if abs(value) >= 0.05:
                shade = "white" if value > 0.7 else "black"
                ax.text(column, row, f"{value:.1f}", ha="center", va="center", fontsize=10, color=shade)
    ax.set(xticks=range(len(words) - start), xticklabels=words[start:])
    rows = [f"block {i}" for i in range(4)]
    ax.set(yticks=range(len(table)), yticklabels=rows if len(table) == 4 else ["embedding", *rows])
    ax.grid(False)


# %% [markdown]
# Read it from the bottom up: the layers are the way of the text through the model.

# %%
fig, ax = subplots(figsize=(9.5, 3.4))
pa_draw(ax, pa_maps["stream"], rd_words, 33)
ax.set_title("share of the answer repaired by the stream at one place")
pa_stream = pa_maps["stream"]
assert pa_stream[0, 36] > 0.99 and pa_stream[-1, -1] > 0.99 and pa_stream[:, :36].abs().max() < 1e-3
assert pa_stream[3, 37] > 0.4 and pa_stream[3, 36] < 0.05
show(fig, "The name is at Leo first, then also at the full stop behind it, in the end at the last word.")


# %% [markdown]
# The name does not wait. Block 0 already writes it into the *full stop* behind it. After block 2 nothing is left to be found at "Leo" itself, half is at the full stop, half has arrived at the last word. The rest is fetched from the full stop in block 3.
#
# (Two places can each repair over a half: the two ways are redundant. The shares need not add up to 1.)

# %% [markdown]
# ### A view of patching
#
# **Choose the text and the part.** Three pairs of texts: the friend's name, the hero's name, or the toy is swapped. Move the cursor with layer and position: which part carries the word over from the full stop?

# %%
def pa_pair(word, other, text):
    """The maps (layers, T) of all parts for one swapped word, and the words."""
    clean, corrupt = (encode_words(t)[None] for t in (text, text.replace(word, other)))
    answer = lambda logits: logits[:, -1, ID[word]] - logits[:, -1, ID[other]]
    maps = {part: ip.patching_map(teller, clean, corrupt, answer, names)
            for part, names in PA_NAMES.items()}
    return maps, [VOCAB[i] for i in clean[0]]


# %% [markdown]
# The texts differ in their ends, so that the swapped word is the answer. It takes about 5 seconds.

# %%
PA_PAIRS = {"friend: Leo or Tom": ("Leo", "Tom", rd_text),
            "hero: Mia or Anna": ("Mia", "Anna", rd_text.replace("Mia gave the ball to", "Leo hugged")),
            "toy: ball or kite": ("ball", "kite", rd_text.replace("gave the ball to", "gave the"))}
pa_stored = {title: pa_pair(*pair) for title, pair in progress(PA_PAIRS.items(), "patching")}


# %% [markdown]
# Try part "attention" with the friend's name: at which places does attention carry the name?

# %%
def patching_view(pair, part, layer, position):
    maps, words = pa_stored[pair]
    table, row = maps[part], layer if part != "stream" else layer + 1
    at = max(0, len(words) + position)  # position counts from the end
    fig, ax = subplots(figsize=(11.5, 3.8))
    pa_draw(ax, table, words, 0)
    ax.plot(at, row, "s", markersize=17, fillstyle="none", color=COLORS["vermillion"])
    share = f"{table[row, at]:.1f}".replace("-0.0", "0.0")
    ax.set_title(f"{part}, layer {layer}, at “{words[at]}”: {share} of the answer")
    ax.set_xticks(range(len(words)), words, rotation=90, fontsize=11)
    return Picture(fig, f"{pair}; {part} {layer} at “{words[at]}” repairs {share} of the answer.")


explore(
    patching_view,
    pair=widgets.Dropdown(options=list(PA_PAIRS), description="swap"),
    part=widgets.Dropdown(options=list(PA_NAMES), value="attention", description="part"),
    layer=widgets.IntSlider(3, 0, 3, description="layer"),
    position=widgets.IntSlider(-1, -38, -1, description="from the end"),
)

# %% [markdown]
# The toy is fetched in one step from where it stood. The hero's name stands in two places: no single one of them repairs the whole answer. And later a part of it is at the full stop behind *Leo*, too: there, names are collected.

# %% [markdown]
# ## Path patching: which head feeds which?
#
# **Question.** Two heads put the name into the answer, 3.0 and 2.0. From whom do they get it?
#
# First each head alone: put its clean output, at the last word, into the corrupt run.

# %%
with torch.no_grad():  # measured once, without any patch
    pa_low, pa_high = pa_metric(teller(pa_corrupt)), pa_metric(teller(pa_clean))


def pa_share(logits):
    """Where on the way from the corrupt run's metric to the clean run's."""
    return ((pa_metric(logits) - pa_low) / (pa_high - pa_low)).item()


# %% [markdown]
# The two ends of the scale must be measured outside of `patched`: inside, they would be patched, too.

# %%
pa_z = ip.activations(teller, pa_clean, ["h.*.attn.heads"])
pa_heads = torch.zeros(4, 4)
with torch.no_grad():
    for layer, head in torch.cartesian_prod(torch.arange(4), torch.arange(4)).tolist():
        patch = ip.only(pa_z[f"h.{layer}.attn.heads"], slice(None), head, -1)
        with ip.patched(teller, {f"h.{layer}.attn.heads": patch}):
            pa_heads[layer, head] = pa_share(teller(pa_corrupt))

# %% [markdown]
# The two strongest, by this experiment:

# %%
for layer, head in (divmod(i, 4) for i in pa_heads.flatten().topk(2).indices.tolist()):
    print(f"head {layer}.{head} repairs {pa_heads[layer, head]:.1f} of the answer")
assert pa_heads.flatten().topk(2).indices.tolist() == [12, 8]

# %% [markdown]
# The same two as by attribution. Now the *path*: run the corrupt text, all other heads frozen, but let the clean output of one earlier head (the *sender*) reach one later head (the *receiver*). It may arrive in what the receiver asks (its queries, q), in what it can find (keys, k), or in what it carries over (values, v).

# %%
pa_paths = {}
with torch.no_grad():
    for receiver in ((2, 0), (3, 0)):
        senders = [(layer, head) for layer in range(receiver[0]) for head in range(4)]
        pa_paths[receiver] = torch.tensor([
            [pa_share(ip.path_patch(teller, pa_clean, pa_corrupt, sender, receiver, letter))
             for sender in senders] for letter in "qkv"])  # (3, senders)

# %% [markdown]
# **Predict** for head 3.0: which of q, k and v? And which senders, given that the name sits at the full stop?

# %%
fig, axes = subplots(1, 2, figsize=(10.5, 2.6), width_ratios=[8, 12])
for ax, (receiver, table) in zip(axes, pa_paths.items(), strict=True):
    ax.imshow(table, cmap="Blues", vmin=0, vmax=0.4, aspect="auto")
    ax.set(title=f"into head {receiver[0]}.{receiver[1]}", xlabel="sender", yticks=range(3))
    ax.set_yticklabels("qkv")
    ax.set_xticks(range(table.size(1)), [f"{i // 4}.{i % 4}" for i in range(table.size(1))])
    ax.grid(False)
pa_best = pa_paths[3, 0].argmax().item()
assert pa_best == 2 * 12 + 2 and pa_paths[3, 0][:2].abs().max() < 0.05 and pa_paths[2, 0].max() < 0.1
show(fig, "Into head 2.0 no path; into head 3.0 through its values, from head 0.2, less from 1.0.")

# %% [markdown]
# Through the values, and from heads that look at the word before. What do all four look at, where it matters?

# %%
print(f"head 0.2 to the values of head 3.0: {pa_paths[3, 0][2, 2]:.1f} of the answer")
print(f"head 1.0 to the values of head 3.0: {pa_paths[3, 0][2, 4]:.1f}")
for layer, head, at in ((0, 2, 37), (1, 0, 37), (2, 0, 42), (3, 0, 42)):
    most = rd_patterns[layer, head, at].argmax().item()
    print(f"head {layer}.{head} at “{rd_words[at]}” looks most at “{rd_words[most]}”, position {most}")


# %% [markdown]
# Now it fits together. **Heads 0.2 and 1.0**, at the full stop, look one word back and write the name into the full stop. **Head 3.0**, at the end, looks at that full stop and carries the name over. **Head 2.0** looks at "Leo" itself and needs no other head.

# %% [markdown]
# Are these four heads of 16 *all*? Run the clean text, but let every other head say what it says on the corrupt one. **Predict** how much of the answer is left; and if only four other heads see the clean text?

# %%
def pa_only(circuit):
    """The clean text, with all heads but these from the corrupt run: what is left of the answer?"""
    patches = {}
    for name, z in ip.activations(teller, pa_corrupt, ["h.*.attn.heads"]).items():
        others = [h for h in range(4) if (int(name.split(".")[1]), h) not in circuit]
        patches[name] = ip.only(z, slice(None), others)
    with torch.no_grad(), ip.patched(teller, patches):
        return pa_share(teller(pa_clean))


pa_four = pa_only([(0, 2), (1, 0), (2, 0), (3, 0)]), pa_only([(layer, 1) for layer in range(4)])
print(f"with our four heads: {pa_four[0]:.1f} of the answer; with head 1 of each layer: under 0.1:",
      pa_four[1] < 0.1)
assert pa_four[0] > 0.9

# %% [markdown]
# A circuit of four heads of 16, found by experiment: with them alone, almost nothing is missing. (The MLPs were left as they are.)
#
# **One text is an anecdote.** Does it hold for other names and toys? Twenty texts, drawn at random.

# %%
PA_CAST = ["Leo", "Tom", "Ben", "Sam", "Max", "Tim", "Jack", "Finn", "Noah", "Omar", "Paul", "Luke"]
PA_TOYS = ["ball", "kite", "doll", "drum", "boat", "train", "robot", "book", "bear", "hat"]


def pa_try(dice):
    """For one random pair of names and toy: what the full stop repairs, and the path from 0.2 to 3.0."""
    word, other = (PA_CAST[i] for i in torch.randperm(12, generator=dice)[:2])
    text = rd_text.replace("ball", PA_TOYS[torch.randint(10, (), generator=dice)])
    clean, corrupt = (encode_words(text.replace("Leo", name))[None] for name in (word, other))
    answer = lambda logits: logits[:, -1, ID[word]] - logits[:, -1, ID[other]]
    stop = ip.patching_map(teller, clean, corrupt, answer, ["h.2"])[0, 37].item()
    with torch.no_grad():
        low, high = answer(teller(corrupt)), answer(teller(clean))
        path = ip.path_patch(teller, clean, corrupt, (0, 2), (3, 0), "v")
        return stop, ((answer(path) - low) / (high - low)).item()


# %% [markdown]
# **Predict**: in how many of the twenty does the full stop repair over a tenth of the answer?

# %%
dice = generator(3)
pa_repeat = torch.tensor([pa_try(dice) for _ in progress(range(20), "texts")])  # (20, 2)
PA_ASKED = "the full stop after block 2", "the path 0.2 to 3.0"
for name, column in zip(PA_ASKED, pa_repeat.T, strict=True):
    print(f"{name:<28} mean {column.mean():.1f}, over 0.1 in {(column > 0.1).sum()} of 20")

# %% [markdown]
# ## Probes: what can be read from the stream
#
# **Question.** Does the storyteller know *where* its story takes place?
#
# The corpus's generator knows: with every token it notes who holds the toy and where everyone is. A *probe* is a linear classifier that is trained to read such a property from the residual stream. We take 96 stories that the model has not seen: 64 to train probes, 32 to judge them.

# %%
pr_text = stories(seed=1_000_003, n_tokens=96 * 325)
pr_at = pr_text.starts[pr_text.starts < len(pr_text.tokens) - 257][:96, None] + torch.arange(256)
pr_ids = pr_text.tokens[pr_at]  # (96, T), each row from a story's first word
pr_away = (pr_text.place[pr_at] != ID["home"]).long()  # 1 where they are away from home
pr_train = (torch.arange(96) < 64)[:, None].expand(96, 256).flatten()  # by story
print("share of tokens away from home:", round(pr_away.float().mean().item(), 1))

# %% [markdown]
# Two baselines belong to every probe. The *majority*: always say "at home". And an *untrained* network of the same shape: random weights mix words, too, and a probe may find something in the mixture.

# %%
pr_untrained = GPT(teller.config, generator(0)).eval()
PR_POINTS = ["h.0.in", *(f"h.{i}" for i in range(4))]
pr_acts = {"trained": ip.activations(teller, pr_ids, PR_POINTS),
           "untrained": ip.activations(pr_untrained, pr_ids, PR_POINTS)}


def pr_flat(name, net="trained", every=3):
    """Activations (n, d_model) at every third token: enough for a probe."""
    return pr_acts[net][name].flatten(0, 1)[::every]


# %% [markdown]
# A probe is fitted on the training stories and judged on the others. **Predict**: at which layer is the place best to read? And who has the toy (hero, friend, or nobody)?

# %%
def pr_accuracy(labels, name, net="trained"):
    """A probe's accuracy on stories that it has not seen; labels (96, T)."""
    x, y, fit = pr_flat(name, net), labels.flatten()[::3], pr_train[::3]
    return pb.fit_probe(x[fit], y[fit]).accuracy(x[~fit], y[~fit])


PR_TRUE = {"away from home": pr_away, "who has the toy": pr_text.holder[pr_at]}
pr_curves = {(title, net): [pr_accuracy(labels, name, net) for name in PR_POINTS]
             for title, labels in PR_TRUE.items() for net in pr_acts}

# %% [markdown]
# The dotted line is the majority's share:

# %%
fig, axes = subplots(1, 2, figsize=(9.5, 3.4), sharey=True)
for ax, (title, labels) in zip(axes, PR_TRUE.items(), strict=True):
    for net, color in (("trained", COLORS["blue"]), ("untrained", COLORS["orange"])):
        ax.plot(pr_curves[title, net], "o-", color=color, label=net)
    most = labels.flatten()[~pr_train].bincount().max().item() / (~pr_train).sum().item()
    ax.axhline(most, color="black", linestyle=":", label="majority")
    ax.set(title=title, xticks=range(5), ylim=(0.6, 0.95))
    ax.set_xticklabels(["embed.", *(f"h.{i}" for i in range(4))])
axes[0].set_ylabel("accuracy, new stories")
axes[0].legend()
best = max(pr_curves["away from home", "trained"])
assert best > 0.8 > max(pr_curves["away from home", "untrained"])
show(fig, "The place can be read from the trained stream; the untrained stays at the majority.")


# %% [markdown]
# "Away from home" can be read from the middle layers. From word and position alone (the embedding), or from an untrained network, it cannot. Who has the toy is read badly, although the story depends on it. A probe that fails proves little: the model may know the *name* of the one who has it, and not the role.

# %% [markdown]
# ## A control task
#
# **Question.** The probe is well above the majority. Is that much? What would a probe reach for a property that *means nothing*?
#
# Hewitt and Liang (2019) ask exactly that: give each word type a random label and train a probe for it. The stream knows the word, so the probe can learn the labels by heart. A good probe is *selective*: much better on the real property than on the control.
#
# ### Exercise 7 · labels without meaning
#
# *Difficulty 2 of 3 · 8 minutes*
#
# Each word *type* (each different id) gets one label, drawn at random from `y`, so that the classes are about as frequent as the real ones.

# %% tags=["exercise"]
def control_labels(ids: Tensor, y: Tensor, generator: torch.Generator) -> Tensor:
    """Labels without meaning: each word type gets a random one, the same wherever the word stands.

    The label of a type is drawn from y, so that frequent classes stay frequent.
    Shapes: ids and y (n,) -> (n,). Source: Hewitt & Liang 2019, "Designing and
    Interpreting Probes with Control Tasks", section 2.

    >>> ids = torch.tensor([5, 8, 5, 8, 5, 9])
    >>> control_labels(ids, torch.tensor([0, 1, 2, 0, 1, 2]), torch.Generator().manual_seed(0))
    tensor([2, 0, 2, 0, 2, 2])
    """
    ...


# %% tags=["check"]
check("interpretability.control_labels", control_labels)
# hint("interpretability.control_labels")
# solution("interpretability.control_labels")

# %% [markdown]
# ### Exercise 8 · selectivity
#
# *Difficulty 1 of 3 · 6 minutes*
#
# `pb.fit_probe(x, y)` fits a probe, `probe.accuracy(x, y)` judges it. `train` says which examples the probes may see.

# %% tags=["exercise"]
def selectivity(x: Tensor, y: Tensor, control: Tensor, train: Tensor) -> float:
    """How much better a probe finds the property y than the control labels, on new examples.

    Both probes are fitted with `fit_probe` where train is True, and judged where it is False.
    Shapes: x (n, d), y and control (n,), train (n,) bool. Units: a difference of accuracies.
    Source: Hewitt & Liang 2019, section 2.

    >>> y, control = torch.tensor([0, 1] * 10), torch.tensor([0, 0, 1, 1] * 5)
    >>> x = torch.stack([y.float(), torch.zeros(20)], dim=1)  # y can be read, control cannot
    >>> selectivity(x, y, control, train=torch.arange(20) < 12)
    0.5
    """
    ...


# %% tags=["check"]
check("interpretability.selectivity", selectivity)
# hint("interpretability.selectivity")
# solution("interpretability.selectivity")

# %% [markdown]
# **Predict** the sign of the selectivity for "away from home" at `h.1`, over all tokens. Then only at full stops, where the word is always the same; there the control's label belongs to the word *before* the full stop.

# %%
pr_before = pr_ids.roll(1, dims=1).flatten()
pr_control = pb.control_labels(pr_ids.flatten(), pr_away.flatten(), generator(1))
pr_control_stop = pb.control_labels(pr_before, pr_away.flatten(), generator(1))
pr_stop, x, y = (pr_ids == ID["."]).flatten(), pr_acts["trained"]["h.1"].flatten(0, 1), pr_away.flatten()
all_tokens = pb.selectivity(x[::3], y[::3], pr_control[::3], pr_train[::3])
stops = pb.selectivity(x[pr_stop], y[pr_stop], pr_control_stop[pr_stop], pr_train[pr_stop])
print(f"selectivity over all tokens is above 0.05: {all_tokens > 0.05}; at full stops: {stops > 0.05}")


# %% [markdown]
# Over all tokens the probe is no better on the truth than on nonsense! The nonsense hangs on words, and a stream of 128 numbers holds its word very well. At full stops the same probe *is* selective. An accuracy alone says little; the right comparison says much.

# %% [markdown]
# ## Decodable is not used
#
# **Question.** The place can be read. Does the model read it?
#
# To find out, erase it and look whether the model cares. The obvious way: take the probe's direction out of the stream.
#
# ### Exercise 9 · erase directions
#
# *Difficulty 2 of 3 · 8 minutes*
#
# Along the given directions, x shall be at the mean; everything orthogonal to them stays. Beware of directions that are not orthogonal to each other.

# %% tags=["exercise"]
def erase_directions(x: Tensor, directions: Tensor, mean: Tensor) -> Tensor:
    """Take away from x all that lies along some directions; what is left there is the mean.

    The directions need not be orthogonal, nor of length 1.
    Shapes: x (..., d), directions (k, d), linearly independent, mean (d,) -> (..., d).
    Source: Ravfogel et al. 2020, "Null It Out", section 3.

    >>> x, slanted = torch.tensor([[1.0, 2.0, 3.0]]), torch.tensor([[1.0, 0.0, 0.0], [1.0, 1.0, 0.0]])
    >>> erase_directions(x, slanted, mean=torch.tensor([0.5, 0.5, 0.5])) + 0.0
    tensor([[0.5000, 0.5000, 3.0000]])
    """
    ...


# %% tags=["check"]
check("interpretability.erase_directions", erase_directions)
# hint("interpretability.erase_directions")
# solution("interpretability.erase_directions")

# %% [markdown]
# We erase the probe's direction at `h.1`, then train a *new* probe on what is left. **Predict** its accuracy.

# %%
fit, x, y = pr_train[::3], pr_flat("h.1"), pr_away.flatten()[::3]
pr_probe = pb.fit_probe(x[fit], y[fit])
pr_direction = (pr_probe.weight[1] - pr_probe.weight[0])[None]  # (1, d_model)
left = pb.erase_directions(x, pr_direction, x.mean(0))
pr_eraser = pb.leace(x[fit], y[fit])
majority = y[~fit].bincount().max().item() / (~fit).sum().item()
for name, z in (("nothing", x), ("the probe's direction", left), ("all linear traces", pr_eraser(x))):
    more = pb.fit_probe(z[fit], y[fit]).accuracy(z[~fit], y[~fit]) - majority
    print(f"erased: {name:<22} a new probe is over 0.05 better than the majority: {more > 0.05}")

# %% [markdown]
# The new probe finds the place elsewhere: one direction is not all. `pb.leace` is the exact answer (Belrose and others, 2023): the smallest change after which *no* linear probe beats a guess. It makes the means of the classes equal.
#
# Now the test: erase while the model runs, and look at its loss on 16 new stories.

# %%
pr_inputs, pr_targets = pr_ids[64:80, :-1], pr_ids[64:80, 1:]


def pr_loss(patches):
    """Cross-entropy in nats a token, with patches."""
    with torch.no_grad(), ip.patched(teller, patches):
        return cross_entropy(teller(pr_inputs).flatten(0, 1), pr_targets.flatten()).item()


pr_whole = pr_loss({})
pr_cost = pr_loss({"h.0": pb.leace(pr_flat("h.0")[fit], y[fit])}) - pr_whole
print(f"erased at h.0, the loss rises by over half a nat: {pr_cost > 0.5}")

# %% [markdown]
# So the model uses the place? **Stop.** What else differs between "home" and "away"? Stories begin at home: *away* is mostly *late*. LEACE removes the difference of the two means, and with it how late it is. The control: erase the labels of *another* story, which say nothing about this one, but are late, too.

# %%
swap = torch.cat([torch.randperm(64, generator=generator(0)), torch.arange(64, 96)])
pr_other = pr_away[swap]  # each training story gets another one's labels
pr_fake = pr_loss({"h.0": pb.leace(pr_flat("h.0")[fit], pr_other.flatten()[::3][fit])}) - pr_whole
print(f"another story's labels cost more than half a nat: {pr_fake > 0.5}; more than the true ones: "
      f"{pr_fake > pr_cost}")


# %% [markdown]
# An illusion. Nonsense costs even more: what was erased was the *position*. The remedy: take the mean of each position away first, erase in what is left, and put the mean back.

# %%
def pr_erase_cost(name, labels):
    """Erase a property at `name` with the positions kept: accuracy before, and what the loss rises."""
    mean = pr_acts["trained"][name][:64].mean(0)  # (T, d_model), of the training stories
    z, y = (pr_acts["trained"][name] - mean).flatten(0, 1)[::3], labels.flatten()[::3]
    eraser = pb.leace(z[fit], y[fit])
    patch = lambda x: eraser(x - mean[: x.size(1)]) + mean[: x.size(1)]
    return pb.fit_probe(z[fit], y[fit]).accuracy(z[~fit], y[~fit]), pr_loss({name: patch}) - pr_whole


# %% [markdown]
# Five properties at `h.1`. Besides the place, its control and another story's labels: whether this token is a name, and whether it stands inside of a quotation. **Predict** for each: can it be read, and is it used?

# %%
PR_NAMES = {facts[key] for facts in pr_text.facts for key in ("hero", "friend") if key in facts}
quotes = (pr_ids == ID["“"]).cumsum(1) > (pr_ids == ID["”"]).cumsum(1)
pr_labels = {
    "a name": torch.isin(pr_ids, torch.tensor([ID[name] for name in PR_NAMES])).long(),
    "inside a quotation": quotes.long(), "away from home": pr_away,
    "control: by word": pr_control.view_as(pr_ids), "another story's": pr_other,
}
pr_table = {name: pr_erase_cost("h.1", labels) for name, labels in pr_labels.items()}

# %% [markdown]
# On the left how well it can be read, above the majority (0) up to perfect (1); on the right what it costs to erase it, on a logarithmic scale.

# %%
fig, axes = subplots(1, 2, figsize=(10, 3.2), sharey=True)
pr_rows = list(pr_table)[::-1]
for row, name in enumerate(pr_rows):
    most = 1 - min(share := pr_labels[name][64:].float().mean().item(), 1 - share)
    axes[0].barh(row, max(0, (pr_table[name][0] - most) / (1 - most)), color=COLORS["blue"])
    axes[1].barh(row, max(1e-4, pr_table[name][1]), color=COLORS["vermillion"])
axes[0].set(yticks=range(5), yticklabels=pr_rows, xlim=(0, 1), xlabel="can be read")
axes[1].set(xscale="log", xlim=(1e-4, 1), xlabel="loss rises by (nats)")
cost = {name: value for name, (_, value) in pr_table.items()}
assert cost["a name"] > 0.1 > 0.02 > max(v for name, v in cost.items() if name != "a name")
assert cost["inside a quotation"] < cost["a name"] / 50
assert cost["away from home"] < cost["control: by word"]
assert pr_table["inside a quotation"][0] > 0.98 and pr_table["a name"][0] > 0.98
show(fig, "Names and quotations can both be read at h.1; only erasing names costs over 0.1 nats.")

# %% [markdown]
# "A name" and "inside a quotation" can both be read almost without an error. Erasing the one costs over a tenth of a nat, erasing the other less than a fiftieth of that. The place costs less than its meaningless control. What can be decoded need not be used.
#
# **What this does not show.** Not used *from h.1 on, linearly*. One block earlier it is another matter:

# %%
pr_early = pr_erase_cost("h.0", pr_labels["inside a quotation"])[1]
print(f"quotations erased at h.0 cost at least ten times as much as at h.1: "
      f"{pr_early > 10 * max(1e-3, cost['inside a quotation'])}")

# %% [markdown]
# Block 1 reads the quotation mark's trace, has done its work, and the trace stays in the stream like a note that nobody throws away. And erasing is a blunt tool: it showed an effect of the place that was none.

# %%
pr_read = math.floor(pr_table["inside a quotation"][0] * 20) / 20  # in steps of 0.05
claims.add(
    "I9", "a direction that can be decoded is used by the model", source="common belief",
    published="used", measured=f"quotation: read over {pr_read:.2f}, erased: "
    f"+{max(0, cost['inside a quotation']):.2f} nats; a name: +{cost['a name']:.1f}",
    holds=cost["inside a quotation"] > 0.02,
    reason="Some are (names), some not: erase it, with a control, and look.")

# %% [markdown]
# ## First hard point: concepts are distributed
#
# **Question.** The lecture says: no single cell holds a concept. Is there really no "name neuron"?
#
# Rank all neurons by how well each tells two classes apart, give a probe the best *k* of them, and see how many it needs (Gurnee and others, 2023). The control: the same activations in a *random basis*. There, no axis can be special; if neurons are no better than that, they are no units of meaning.
#
# The neurons: the 512 of the MLP in block 1, behind its GELU. The concepts: is this token a name, and are they away from home? About 6 seconds.

# %%
HP_KS = (1, 2, 4, 8, 16, 32, 64, 128)
hp_x = ip.activations(teller, pr_ids, ["h.1.mlp.c_proj.in"])["h.1.mlp.c_proj.in"].flatten(0, 1)[::4]
hp_turned = hp_x @ lr.random_rotation(512, generator(0)).float()
hp_curves = {}
for title in progress(["a name", "away from home"], "concepts"):
    y = pr_labels[title].flatten()[::4]
    for basis, x in (("neurons", hp_x), ("random basis", hp_turned)):
        hp_curves[title, basis] = pb.sparse_accuracy(x, y, pr_train[::4], HP_KS)

# %% [markdown]
# **Predict** for both concepts: does one neuron suffice? Is the blue line above the orange one? (Dotted: the majority.)

# %%
fig, axes = subplots(1, 2, figsize=(9.5, 3.4))
for ax, title in zip(axes, ("a name", "away from home"), strict=True):
    for basis, color in (("neurons", COLORS["blue"]), ("random basis", COLORS["orange"])):
        ax.plot(HP_KS, hp_curves[title, basis], "o-", color=color, label=basis)
    share = pr_labels[title][64:].float().mean().item()
    ax.axhline(max(share, 1 - share), color="black", linestyle=":")
    ax.set(title=title, xscale="log", xlabel="features that the probe sees", xticks=HP_KS)
    ax.set_xticklabels(HP_KS)
axes[0].set_ylabel("accuracy, new stories")
axes[0].legend()
hp_most = 1 - pr_labels["a name"][64:].float().mean().item()  # the majority's share
hp_one, hp_rand = ((hp_curves["a name", basis][0] - hp_most) / (1 - hp_most)  # the way to perfect
                   for basis in ("neurons", "random basis"))
hp_place = hp_curves["away from home", "neurons"]
assert hp_one > 0.6 > 0.2 > hp_rand and hp_place[2] < 0.72 < hp_place[-1]
show(fig, "One neuron tells names, one random axis does not; the place takes many in both bases.")

# %% [markdown]
# Two answers. One neuron of block 1 *is* nearly a name neuron, far better than the best of 512 random axes. The place is in no neuron: the probe needs dozens, and neurons are no better than random axes. So the lecture's sentence is right for one concept and wrong for the other. (Why some get an axis of their own: notebook 6.)

# %%
claims.add(
    "I4", "concepts are distributed: no single cell holds one", source="lecture",
    published="no single cell", holds=hp_one < 0.5,
    measured=f"from the majority to perfect one neuron goes over {math.floor(hp_one * 2) / 2} of the "
    f"way for names, one random axis under {math.ceil(hp_rand * 5) / 5}; place: dozens, in either basis",
    reason="True for the place, not for names: one neuron tells most of them.")


# %% [markdown]
# ## Second hard point: nobody knows the truth
#
# **Question.** In a real network there is no generator to ask. Can a method find what is not there?
#
# **A probe in noise.** The "activations" are normal random numbers, the labels coin flips. There is nothing to find. **Predict** the accuracy *on the training examples*, with 128 features and 200 examples.

# %%
def hp_noise(n, seed):
    """Accuracy on n training examples of noise, and on 2000 new ones; 128 features."""
    x = torch.randn(n + 2000, 128, generator=generator(seed))
    y = torch.randint(2, (n + 2000,), generator=generator(seed + 1))
    probe = pb.fit_probe(x[:n], y[:n])
    return probe.accuracy(x[:n], y[:n]), probe.accuracy(x[n:], y[n:])


HP_N = (32, 64, 128, 192, 256, 384, 512, 1024)
hp_seen, hp_new = zip(*(hp_noise(n, 7) for n in HP_N), strict=True)
hp_cover = [pb.separable_share(n, 129) for n in HP_N]  # 128 features and a bias

# %% [markdown]
# Cover (1965) counted it: the share of all labellings of *n* points that a hyperplane in *d* dimensions can separate. It falls from 1 to 0 around *n* = 2*d*, where it is one half. (Here *d* = 129: a bias counts as a dimension.)

# %%
fig, ax = subplots(figsize=(8, 3.6))
ax.plot(HP_N, hp_seen, "o-", color=COLORS["vermillion"], label="on training examples")
ax.plot(HP_N, hp_new, "o-", color=COLORS["blue"], label="on new examples")
ax.plot(HP_N, hp_cover, ":", color="black", label="Cover: share that is separable")
ax.set(xscale="log", xticks=HP_N, xlabel="examples", ylabel="accuracy", ylim=(-0.05, 1.08))
ax.set_xticklabels(HP_N)
ax.legend(fontsize=11, loc="lower left")
assert min(hp_seen[:4]) == 1.0 and all(abs(value - 0.5) < 0.06 for value in hp_new)
show(fig, "In noise, the probe is perfect on up to 192 training examples and guesses on new ones.")

# %% [markdown]
# Perfect, and worth nothing. New examples catch it, if they are *really* new: from other stories, not other words of the same story.
#
# **PCA in noise.** A path through 128 dimensions, 256 steps, each step normal noise: a random walk. Principal component analysis draws its two most important directions.

# %%
hp_walk = torch.randn(256, 128, generator=generator(0)).cumsum(0)
hp_share = pb.explained(hp_walk)
hp_centred = hp_walk - hp_walk.mean(0)
hp_xy = hp_centred @ torch.linalg.svd(hp_centred, full_matrices=False).Vh[:2].T  # (256, 2)

# %% [markdown]
# **Predict** the picture: a cloud? Colour is the step.

# %%
fig, axes = subplots(1, 2, figsize=(9.5, 3.5))
axes[0].scatter(*hp_xy.T, c=range(256), cmap="viridis", s=14)
axes[0].set(xlabel="component 1", ylabel="component 2", title="a random walk")
axes[1].bar(range(1, 9), hp_share[:8], color=COLORS["blue"], label="found")
hp_theory = [6 / (math.pi * k) ** 2 for k in range(1, 9)]
axes[1].plot(range(1, 9), hp_theory, "o", color="black", label="theory")
axes[1].set(xlabel="component", ylabel="share of variance")
axes[1].legend()
assert hp_share[0] > 0.5 and abs(hp_share[0] - 6 / math.pi**2) < 0.1
show(fig, "PCA of a random walk draws a smooth arc; its first component has over half of the variance.")

# %% [markdown]
# A smooth arc, one component with most of the variance: it looks like a "trajectory of thought". It is noise. For long random walks in many dimensions theory gives component *k* a share of 6/(π*k*)² (Antognini and Sohl-Dickstein, 2018).
#
# Which test would have caught it? A usual one shuffles each feature and does PCA again. **Predict** its verdict, and that of a second test, which compares with *other random walks*.

# %%
dice = generator(5)
shuffle = lambda column: column[torch.randperm(256, generator=dice)]
hp_shuffled = torch.stack([pb.explained(torch.stack([shuffle(c) for c in hp_walk.T], dim=1))[0]
                           for _ in range(99)])
hp_walks = torch.stack([pb.explained(torch.randn(256, 128, generator=dice).cumsum(0))[0]
                        for _ in range(99)])
for name, null in (("shuffled features", hp_shuffled), ("other random walks", hp_walks)):
    verdict = "significant" if pb.p_value(hp_share[0].item(), null) < 0.05 else "nothing to see"
    print(f"against {name:<19} {verdict}")

# %% [markdown]
# The usual test falls for it. Shuffling destroys the order in time along with everything else, so any path looks special. A control must keep all that is *not* in question, here the walk. It was the same with the place and the position. That is the craft: to think of the control.

# %%
claims.add(
    "I6", "without ground truth PCA and probes can find illusions",
    source="lecture; Alain & Bengio 2016", published="illusions",
    measured=f"in noise: a probe {hp_seen[2]:.2f} on its examples, "
    f"{hp_new[2]:.1f} on new ones; PCA {hp_share[0]:.1f} of the variance in one component",
    holds=hp_seen[2] == 1.0 and abs(hp_new[2] - 0.5) < 0.06 and hp_share[0].item() > 0.5)

# %% [markdown]
# ## Grokking: understanding arrives late
#
# <!-- speaker: Ask when they would have stopped this training. With early stopping on the test loss nobody would ever have seen grokking. -->
# **Question.** A model has learned all of its training examples by heart, and fails on all others. You train on, and for a long time nothing changes. Then, suddenly, it understands (Power and others 2022 called it *grokking*). Is there really nothing
# going on in between? Can we *see* it coming?
#

# %% [markdown]
# The task: a + b modulo 53 (the remainder after division by 53). There are 53 · 53 pairs; we train on 35 % of them. The model is one transformer layer which reads a, b and "=". At every step it sees all training pairs. The *weight decay* is strong: each step makes all weights a little smaller.
#
# **Predict** both accuracies over the steps. It takes about 15 seconds.

# %%
gr_dice, GR_STEPS = generator(0), 1600
gr_model = gk.ModularAdder(p=53, generator=gr_dice)
gr_train = gk.split(53, 0.35, gr_dice)  # (p, p), True = training pair
gr_bar = partial(progress, desc="a + b mod 53")
gr_run = gk.train_adder(gr_model, gr_train, GR_STEPS, lr=6e-3, bar=gr_bar)
gr_known, gr_test = (gk.loss_and_accuracy(gr_run.logits, pairs) for pairs in (gr_train, ~gr_train))

# %% [markdown]
# Left the accuracies, right the losses, on a logarithmic axis.

# %%
fig, (left, right) = subplots(1, 2, figsize=(10, 3.5))
for (loss, accuracy), name in zip((gr_known, gr_test), ("training pairs", "other pairs"), strict=True):
    left.plot(gr_run.steps, accuracy, label=name)
    right.plot(gr_run.steps, loss.clamp(min=1e-8), label=name)
left.set(xlabel="step", ylabel="accuracy")
right.set(xlabel="step", ylabel="loss (nats)", yscale="log")
left.legend(loc=(0.12, 0.62))
assert gr_known[1][2:].min() > 0.99 and gr_test[1][8] < 0.3 and gr_test[1][-1] > 0.98
show(fig, "The training pairs are known almost at once; the others only after many times as many steps.")

# %% [markdown]
# The accuracy on the other pairs creeps, then jumps. Their *loss* gets worse at first: the model is sure of wrong answers.

# %%
gr_learned = next(s for s, a in zip(gr_run.steps, gr_known[1], strict=True) if a > 0.99)
gr_understood = next(s for s, a in zip(gr_run.steps, gr_test[1], strict=True) if a > 0.95)
print("it knows the training pairs within 100 steps:", gr_learned <= 100)
print("it knows the others over ten times as late:  ", gr_understood > 10 * gr_learned)

# %% [markdown]
# ## What has it learned?
#
# **Question.** Look at the embedding: one vector for each number 0 to 52. What would you do with them, to add modulo 53?
#

# %% [markdown]
# Put the numbers on a circle, like the hours on a clock, and turn. A *wave* of frequency k goes k times up and down while the number goes once from 0 to 52: cos(2πk·a/53) and sin(2πk·a/53). The *Fourier transform* says how much of each wave is in a table of numbers. **Predict** how
# many of the 26 frequencies the embedding uses in the end.

# %%
gr_power = gk.frequency_power(gr_run.embeddings)  # (S, 26), the shares of all frequencies
gr_key = gk.key_frequencies(gr_run.logits[-1])
gr_used = gr_power[-1][torch.tensor(gr_key) - 1].sum().item()

# %% [markdown]
# The power of a frequency is how much of its wave there is.

# %%
fig, (left, right) = subplots(1, 2, figsize=(10, 3.2), sharey=True)
for ax, k in ((left, 0), (right, -1)):
    ax.bar(range(1, 27), gr_power[k], color=COLORS["blue"])
    ax.set(title=f"embedding at step {gr_run.steps[k]}", xlabel="frequency")
left.set_ylabel("share of the power")
assert len(gr_key) <= 6 and gr_used > 0.8 and gr_power[0].max() < 0.15
show(fig, "At the start all frequencies are in the embedding, in the end a few hold nearly all of it.")

# %% [markdown]
# A few *key frequencies* hold nearly everything; which ones is decided by chance, at the start. With waves one can add: cos(w(a + b)) is a product of waves of a and waves of b, and for the right answer c the wave cos(w(a + b − c)) is at its top. Nanda and others (2023) showed that this is what the network does.

# %% tags=["nbval-ignore-output"]
print("frequencies that hold 95 % of what the logits know about a + b:", sorted(gr_key))
print(f"they hold over {math.floor(gr_used * 10) * 10} % of the embedding's power")


# %% [markdown]
# ## Progress that the accuracy does not show
#
# **Question.** When did these waves come: all at once, with the jump, or before it?
#

# %% [markdown]
# Nanda and others propose two measures. The **restricted loss** keeps of the logits only the key waves of a + b and deletes all else: how good would the model be if it did nothing but the clever thing? The **excluded loss** deletes just these waves: how well would it do on the training pairs without the clever thing?
#

# %% [markdown]
# ### Exercise 10 · keep only some waves
#
# *Difficulty 3 of 3 · 15 minutes*
#
# Each logit is a table over a and b. `torch.fft.fft2` writes a table as a sum of waves: entry (i, j) belongs to the wave that turns i times with a and j times with b. Waves of a + b turn equally fast in both. In this transform each real wave has two entries, for k and for −k.

# %% tags=["exercise"]
def restricted_logits(logits: Tensor, frequencies: Sequence[int]) -> Tensor:
    """Keep of the logits only the constant and the waves of a + b with these frequencies.

    As a function of the pair, each logit is a sum of waves. Those that go with cos(w (a + b))
    and sin(w (a + b)), w = 2πk / p, stay for k in `frequencies`; all others are deleted.
    Shapes: logits (p, p, V): row a, column b -> the same. Raises: ValueError for a frequency
    that is not from 1 to p // 2. Source: Nanda et al. 2023, section 5 (restricted loss).

    >>> angle = 2 * math.pi * answers(5) / 5  # (5, 5)
    >>> logits = torch.stack([3 + angle.cos(), (2 * angle).sin()], dim=-1)  # (5, 5, 2)
    >>> kept = restricted_logits(logits, [1])
    >>> torch.allclose(kept[..., 0], logits[..., 0]), kept[..., 1].abs().max() < 1e-6
    (True, tensor(True))
    """
    ...


# %% tags=["check"]
check("interpretability.restricted_logits", restricted_logits)
# hint("interpretability.restricted_logits")
# solution("interpretability.restricted_logits")

# %% [markdown]
# `gk.excluded_logits` is the rest. What depends on a + b alone is the same for all pairs with that sum, so `gk.by_sum` keeps one row a sum, and `gk.restricted_loss` works on these small tables. **Predict** both curves while the accuracy on the test pairs stands still.

# %%
gr_sums = gk.by_sum(gr_run.logits)  # (S, p, p)
gr_restricted = gk.restricted_loss(gr_sums, gr_key)  # (S,)
gr_excluded = torch.stack([gk.loss_and_accuracy(gk.excluded_logits(x, gr_key), gr_train)[0]
                           for x in gr_run.logits])

# %% [markdown]
# Left what can be seen from outside, and the size of the weights (the sum of their squares, as a share). Right the losses.

# %%
fig, (left, right) = subplots(1, 2, figsize=(10.5, 3.6))
left.plot(gr_run.steps, gr_test[1], color=COLORS["black"], label="accuracy, other pairs")
left.plot(gr_run.steps, gr_run.norms / gr_run.norms.max(), ":", label="size of the weights")
right.plot(gr_run.steps, gr_restricted, label="restricted loss, all pairs")
right.plot(gr_run.steps, gr_excluded, "--", label="excluded loss, training pairs")
right.plot(gr_run.steps, gr_test[0], ":", color=COLORS["black"], label="loss, other pairs")
for ax, top in ((left, 1.45), (right, 22)):
    ax.set(xlabel="step", ylim=(-top / 30, top))
    ax.legend(loc="upper left")
right.set_ylabel("nats")
assert gr_restricted[12] < 0.6 * gr_restricted[0] and gr_excluded[20] > 2 * gr_excluded[4]
assert gr_test[0][1:17].min() > 2 * math.log(53) and gr_test[1][:17].max() < 0.5
show(fig, "The restricted loss falls and the excluded loss rises, long before the accuracy jumps.")

# %% [markdown]
# The restricted loss falls steadily, almost from the beginning. In the first half of the run the loss on the other pairs stays more than twice as high as that of guessing (log 53, about 4 nats), and their accuracy only creeps. Under the surface the clever solution grows next to the memory, and the model leans on it more and more: without it, it would
# do worse and worse even on what it knows by heart (excluded loss).

# %% [markdown]
# Then the weights begin to shrink: weight decay clears away the memory that is no longer needed, and during this *clean-up* comes the jump.
#
# When is each of them half-way, counted from the moment when the training pairs are known?

# %%
gr_from = gr_run.steps.index(gr_learned)
gr_curves = {"restricted": gr_restricted, "excluded": gr_excluded, "accuracy": gr_test[1]}
gr_half = {name: ind.rise(gr_run.steps[gr_from:], values[gr_from:], low=0.5)[0]
           for name, values in gr_curves.items()}
gr_lead = {name: gr_half[name] / gr_half["accuracy"] for name in gr_half}
print("the restricted loss is half-way in half of the steps that the accuracy needs:",
      gr_lead["restricted"] < 0.5)
print("the excluded loss is half-way in 85 % of them:", gr_lead["excluded"] < 0.85)

# %% [markdown]
# **The test of the test.** We chose the key frequencies *after* the run, because we knew the end. Would the restricted loss of any memorising model fall? The same start and the same pairs, without weight decay, so that it never groks. About 6 seconds.

# %%
gr_dice = generator(0)
gr_plain = gk.ModularAdder(p=53, generator=gr_dice)
gr_pairs = gk.split(53, 0.35, gr_dice)  # the same pairs
gr_never = gk.train_adder(gr_plain, gr_pairs, 600, lr=6e-3, weight_decay=0.0, bar=gr_bar)
gr_own = gk.frequency_power(gk.by_sum(gr_never.logits[-1])).topk(len(gr_key)).indices + 1
gr_memory = gk.restricted_loss(gk.by_sum(gr_never.logits), gr_own.tolist())
gr_guess = math.log(53)

# %% [markdown]
# **Predict** the dashed curve.

# %%
fig, ax = subplots(figsize=(7, 3.2))
ax.plot(gr_run.steps, gr_restricted, label="with weight decay: groks")
ax.plot(gr_never.steps, gr_memory, "--", label="without: memorises only")
ax.axhline(gr_guess, color=COLORS["black"], linewidth=1, linestyle=":", label="guessing")
ax.set(xlabel="step", ylabel="restricted loss (nats)", xlim=(0, 1200))
ax.legend()
assert gr_memory[-1] > gr_guess > gr_restricted[12] / 0.6
gr_both = gr_test[1][12], gk.loss_and_accuracy(gr_never.logits[12], ~gr_train)[1]  # at step 600
assert max(gr_both) < 0.4
show(fig, "Only the model that groks has a falling restricted loss; in the memorising one it rises.")

# %% [markdown]
# It does not fall, even though this model gets its own best frequencies. So the measure tells the two apart at a time when both know all training pairs, and fail on most others.

# %%
gr_same = gr_known[1][12].item(), gk.loss_and_accuracy(gr_never.logits[12], gr_train)[1].item()
claims.add(
    "I8", "grokking has progress measures that rise before the test accuracy",
    source="Nanda et al. 2023", published="restricted and excluded loss move before the jump",
    measured=f"half-way before the accuracy: restricted loss in half of its steps: "
             f"{gr_lead['restricted'] < 0.5}, excluded in 85 %: {gr_lead['excluded'] < 0.85}; "
             "no fall without weight decay",
    holds=gr_lead["restricted"] < 0.5 and gr_lead["excluded"] < 0.85
    and bool(gr_memory[-1] > gr_guess) and min(gr_same) > 0.99,
    reason="The frequencies are known only afterwards, so it explains the jump rather than predicts it.",
)


# %% [markdown]
# ### A view: one frequency, and the loss
#
# **Move the frequency.** If it is a key frequency, it is taken out of those that are kept; if not, it is added. Which ones can the model not do without? And the step: when does a frequency begin to matter?

# %%
def frequency_view(k, step):
    i = gr_run.steps.index(step)
    changed = [f for f in gr_key if f != k] if k in gr_key else [*gr_key, k]
    fig, (left, right) = subplots(1, 2, figsize=(10.5, 3.6))
    left.bar(range(1, 27), gr_power[i], color=COLORS["sky"])[k - 1].set_color(COLORS["vermillion"])
    left.set(xlabel="frequency", ylabel="share of power", ylim=(0, 0.45), title=f"step {step}")
    what = "without" if k in gr_key else "with"
    loss = gk.restricted_loss(gr_sums, changed)
    right.plot(gr_run.steps, gr_restricted, color=COLORS["blue"], label="the key frequencies")
    right.plot(gr_run.steps, loss, "--", color=COLORS["vermillion"], label=f"{what} frequency {k}")
    right.axvline(step, color=COLORS["black"], linewidth=1)
    right.set(xlabel="step", ylabel="restricted loss (nats)", ylim=(0, 11))
    right.legend(loc="upper left")
    alt = f"Frequency {k} {'is' if k in gr_key else 'is not'} a key frequency. Restricted loss at step "
    return Picture(fig, alt + f"{step}: {gr_restricted[i]:.0f} nats, {what} it {loss[i]:.0f}.")


explore(
    frequency_view,
    k=widgets.IntSlider(min(gr_key), min=1, max=26, description="frequency"),
    step=widgets.SelectionSlider(options=gr_run.steps, value=gr_run.steps[12], description="step"),
)


# %% [markdown]
# **What the toy leaves out.** In a language model nobody tells you which waves to keep. And grokking needs its recipe: few examples, strong weight decay. We took a rate six times that of Nanda and others, to have it in 15 seconds; and another seed can take half as many steps again, or more.

# %% [markdown]
# ## From the parts to the whole
#
# <!-- speaker: This is the lecture's second hard point: reductionism. Let the class bet before the figure: do they trust single ablations? -->
# **Question.** We know what every head of the two-layer model costs when it is taken out alone. Do we then know what happens when *several* go?
#

# %% [markdown]
# The simplest theory says: harms add up. We try it on all 2⁸ = 256 sets of heads. A better theory also knows all *pairs*: what two heads cost beyond the sum of both (`ab.interactions`). R² is the share of the differences that a theory explains: 1 is perfect, 0 is as good
# as the plain mean, and below 0 is worse. **Predict** both. About 10 seconds.

# %%
def wh_study(model, batch, sets):
    """The harm of each set of heads as measured, and as predicted from single heads and from pairs."""
    parts = ab.interactions(model, batch)
    found = [ab.harm(model, batch, heads) for heads in progress(sets, desc="sets of heads")]
    told = [[ab.predicted_harm(parts, heads, order) for heads in sets] for order in (1, 2)]
    return torch.tensor(found), torch.tensor(told)  # (n,) and (2, n)


def wh_r2(found, told):
    return (1 - (found - told).square().sum(-1) / (found - found.mean()).square().sum()).tolist()


# %% [markdown]
# A set is written as a number from 0 to 255: bit by bit, is this head in or not?

# %%
wh_heads = ab.all_heads(ic_models["two layers"])
wh_sets = [[head for i, head in enumerate(wh_heads) if n >> i & 1] for n in range(256)]
wh_batch = ind.repeat_batches(32, 48, 64, RANDOM)(generator(8))
wh_found, wh_told = wh_study(ic_models["two layers"], wh_batch, wh_sets)
wh_score = wh_r2(wh_found, wh_told)

# %% [markdown]
# Each point is a set of heads. On the line, the theory is right.

# %%
fig, axes = subplots(1, 2, figsize=(10, 3.8), sharey=True)
for ax, told, what in zip(axes, wh_told, ("single heads", "single heads and pairs"), strict=True):
    ax.plot(told, wh_found, "o", color=COLORS["blue"], alpha=0.35, markersize=5)
    ax.plot([0, 14], [0, 14], color=COLORS["black"], linewidth=1)
    ax.set(title=f"from {what}", xlabel="predicted harm (nats)")
axes[0].set_ylabel("measured harm (nats)")
assert wh_score[0] < 0.3 and wh_score[1] > wh_score[0] + 0.3
show(fig, "Adding the harms of single heads predicts almost nothing; pairs predict much, not all.")

# %% [markdown]
# Knowing every part alone, you know next to nothing: heads stand in for each other, so each alone seems useless. With the pairs you know much of it. And the cluster at the left edge, which even the pairs miss?

# %%
wh_layer = wh_sets.index([(1, h) for h in range(4)])  # all of layer 1, and nothing else
print("single heads explain something (R² above 0.3):", wh_score[0] > 0.3)
print("single heads and pairs do (R² above 0.5):     ", wh_score[1] > 0.5)
print("all of layer 1 costs over 4 nats:", bool(wh_found[wh_layer] > 4))
print("pairs predict under 1:           ", bool(wh_told[1, wh_layer] < 1))

# %% [markdown]
# The four induction heads stand in for each other, so it takes all four to see what they are for. *Reductionism* is not wrong, but the parts that matter are the *interactions*, and nobody tells you beforehand up to which order.

# %% [markdown]
# ### Does the circuit carry over?
#
# **Question.** We know the circuit in two layers. A colleague trains *three*. What do you expect?
#
# Our rule, learned from the smaller model: the two heads of layer 0 with the best previous-token scores are vital together, the other two are not; all of layer 1 is vital. About layer 2 it says nothing, so take the natural guess: more layers, more work shared. About 15 seconds.

# %%
wh_deep = ind.attention_only(3, generator=generator(0)).eval()
wh_run = ind.grow(wh_deep, RANDOM, 500)
wh_order = wh_run.previous[-1, 0].argsort(descending=True).tolist()
wh_groups = {"two best previous-token heads": [(0, h) for h in wh_order[:2]],
             "the two others of layer 0": [(0, h) for h in wh_order[2:]],
             "all of layer 1": [(1, h) for h in range(4)],
             "all of layer 2": [(2, h) for h in range(4)]}
wh_cost = [ab.harm(wh_deep, wh_batch, group) for group in wh_groups.values()]

# %% [markdown]
# **Predict** the last bar.

# %%
fig, ax = subplots(figsize=(7.5, 2.6))
ax.barh(list(wh_groups), wh_cost, color=COLORS["blue"], height=0.5)
ax.set(xlabel="rise of the loss (nats)", title="three layers")
ax.invert_yaxis()
assert wh_cost[0] > 2 > wh_cost[1] and wh_cost[2] > 2 and wh_cost[3] < 0.5
show(fig, "In three layers the same groups are vital, and layer 2 is not used at all.")

# %% [markdown]
# The rule about *groups with a role* carries over. The natural guess about layer 2 is wrong: it does nothing at all, because two layers were enough. And the two theories? We try 100 random sets of the 12 heads. About 5 seconds.

# %%
wh_dice, wh_all = generator(9), ab.all_heads(wh_deep)
wh_coins = (torch.rand(100, 12, generator=wh_dice) < 0.5).tolist()
wh_random = [[head for head, out in zip(wh_all, coins, strict=True) if out] for coins in wh_coins]
wh_deep_found, wh_deep_told = wh_study(wh_deep, wh_batch, wh_random)
wh_deep_score = wh_r2(wh_deep_found, wh_deep_told)

# %% [markdown]
# How well do they do?

# %%
print("three layers, single heads: R² above 0.3:   ", wh_deep_score[0] > 0.3)
print("three layers, heads and pairs: R² above 0.5:", wh_deep_score[1] > 0.5)

# %% [markdown]
# The theory of single heads fails again. What transfers from two layers to three is the description at the right level, not the list of parts.

# %% [markdown]
# ## Emergence, and the metric that makes it
#
# **Question.** "The large model can do it, the small one cannot: the ability *emerged*." Is the jump in the model, or in the way it is judged?
#
# Schaeffer and others (2023) say: often the latter. An answer of k tokens is counted as right only if all k are. If each token is right with probability p, and the errors are independent, then that is p^k. A p that grows smoothly makes a p^k that jumps.
#

# %% [markdown]
# A family of models, as simple as can be: each knows 256 facts, as far as it has room for them. The *width* is its number of features. **Predict** the curves for lists of 1, 4 and 16 facts. About 4 seconds.

# %%
wh_widths = list(range(2, 34, 2))
wh_log_p = em.memorise(wh_widths, generator=generator(0), bar=partial(progress, desc="16 widths"))
wh_right = wh_log_p.argmax(-1) == 0  # (M, N)
wh_p = wh_right.double().mean(-1)  # (M,)
wh_lists = {k: em.exact_match(wh_right, k, 2000, generator(k)) for k in (1, 4, 16)}
wh_error = max((values - wh_p**k).abs().max().item() for k, values in wh_lists.items())

# %% [markdown]
# The same 16 models twice: judged by their mean log-likelihood of the right token, and by exact match. Lines are p^k.

# %%
fig, (left, right) = subplots(1, 2, figsize=(10.5, 3.6))
left.plot(wh_widths, wh_log_p[..., 0].mean(-1), "o-", color=COLORS["black"])
left.set(xlabel="width", ylabel="log-likelihood (nats a token)", title="smooth")
for (k, values), color in zip(wh_lists.items(), ("blue", "orange", "vermillion"), strict=True):
    right.plot(wh_widths, values, "o", color=COLORS[color], label=f"lists of {k}")
    right.plot(wh_widths, wh_p**k, color=COLORS[color], linewidth=1)
right.set(xlabel="width", ylabel="exact match", title="sudden")
right.legend()
assert wh_error < 0.06
show(fig, "Log-likelihood rises smoothly with width; exact match of 16 jumps, as p to the k says.")

# %% [markdown]
# How much of the way does each metric make in its single largest step from one width to the next?

# %%
wh_soft = wh_log_p[..., 0].mean(-1)
wh_jump = {"log-likelihood": wh_soft} | {f"exact match of {k}": v for k, v in wh_lists.items()}
wh_jump = {name: (v.diff().max() / (v[-1] - v[0])).item() for name, v in wh_jump.items()}
print("log-likelihood, its largest step: below 20 % of the way:", wh_jump["log-likelihood"] < 0.2)
print("exact match of 16, its largest step: above 45 %:        ", wh_jump["exact match of 16"] > 0.45)
print("exact match is p^k to within 0.06:", wh_error < 0.06)

# %% [markdown]
# **Is it always the metric?** Judge our induction model softly, over training. **Predict**: will the jump go away?

# %%
wh_exact = (ic_run.streaks >= 16).double().mean(-1)  # the first 16 known tokens, all right
wh_metrics = {"log-likelihood": -ic_run.loss, "accuracy": ic_run.accuracy, "exact match of 16": wh_exact}
wh_half = {name: ind.rise(ic_run.steps, values, 0.5)[0] for name, values in wh_metrics.items()}
wh_late = wh_half["exact match of 16"] > wh_half["log-likelihood"]
print("exact match comes later than log-likelihood:", wh_late)

# %% [markdown]
# All three as shares of their way.

# %%
fig, ax = subplots(figsize=(7, 3.2))
for name, values in wh_metrics.items():
    ax.plot(ic_run.steps, (values - values[0]) / (values[-1] - values[0]), label=name)
ax.set(xlabel="step", ylabel="share of the way", xlim=(0, 400))
ax.legend()
assert ic_share["loss"] <= 20
show(fig, "All metrics of the induction model jump; exact match jumps later and more steeply.")

# %% [markdown]
# It does not. Exact match comes later, but the log-likelihood jumps, too: here something really starts to exist, a circuit of two parts, each of which is worth little without the other. So one has to look in every case.

# %%
wh_most, wh_least = max(wh_score[0], wh_deep_score[0]), min(wh_score[1], wh_deep_score[1])
claims.add(
    "I5", "understanding parts does not give the whole (emergence)",
    source="lecture; Schaeffer et al. 2023", published="parts do not add up; partly the metric's doing",
    measured=f"R² of adding up single heads below 0.3: {wh_most < 0.3}, with pairs above 0.5: "
             f"{wh_least > 0.5}; exact match is p^k within {under(wh_error)}; "
             "induction jumps in every metric",
    holds=wh_most < 0.3 and wh_least > 0.5 and wh_error < 0.06,
    reason="Pairs give back most of the whole: a limit of looking at parts one by one, not of looking.",
)

# %% [markdown]
# **What the toy leaves out.** With 8 heads all sets can be tried. A model with 1000 heads has half a million pairs, and its MLPs have neurons by the million: the interactions cannot all be measured, one has to guess where they are.

# %% [markdown]
# ## The same with a library
#
# Hooks are soon written, and soon forgotten on a model. Libraries do it for you: TransformerLens, nnsight, pyvene. If [nnsight](https://nnsight.net) is installed here, we ask it for the stream after block 1 of the storyteller, and for the logits when that stream is set to 0 at one position. The numbers must be ours.

# %%
if importlib.util.find_spec("nnsight"):
    from nnsight import NNsight
    en_seen = NNsight(teller)
    with en_seen.trace(rd_ids):
        en_stream = en_seen.h[1].output.save()
    with en_seen.trace(rd_ids):
        en_seen.h[1].output[:, 37] = 0
        en_logits = en_seen.lm_head.output.save()
    torch.testing.assert_close(en_stream, rd_cache["h.1"])
    zero = ip.only(torch.zeros_like(en_stream), slice(None), 37)
    with ip.patched(teller, {"h.1": zero}):
        torch.testing.assert_close(en_logits, teller(rd_ids))
print("nnsight is not installed, or gives the same numbers.")

# %% [markdown]
# ## What we verified
#
# Each claim with its source, what was published, and what you measured.

# %%
claims.show()

# %% [markdown]
# **What this notebook leaves out.** Our models are small, their texts artificial; a circuit of four heads is not what one finds in a model of a hundred layers, where several parts do one job and step in for each other. Patching and erasing push a model to places where it has never been. Attribution graphs, causal scrubbing and
# automated search for circuits go on from here. What would count as *understanding* is still open; you know now what would not.

# %% [markdown]
# ## Further reading
#
# - Olah and others 2020, [Zoom In: An Introduction to Circuits](https://distill.pub/2020/circuits/zoom-in/).
# - Elhage and others 2021, [A Mathematical Framework for Transformer Circuits](https://transformer-circuits.pub/2021/framework/index.html).
# - Olsson and others 2022, [In-context Learning and Induction Heads](https://transformer-circuits.pub/2022/in-context-learning-and-induction-heads/index.html).
# - Wang and others 2022, [Interpretability in the Wild](https://arxiv.org/abs/2211.00593): path patching, a circuit for names in GPT-2.
# - Meng and others 2022, [Locating and Editing Factual Associations in GPT](https://arxiv.org/abs/2202.05262).
# - Power and others 2022, [Grokking: Generalization Beyond Overfitting on Small Algorithmic Datasets](https://arxiv.org/abs/2201.02177).
# - Nanda and others 2023, [Progress Measures for Grokking via Mechanistic Interpretability](https://arxiv.org/abs/2301.05217).
# - Alain and Bengio 2016, [Understanding intermediate layers using linear classifier probes](https://arxiv.org/abs/1610.01644).
# - Hewitt and Liang 2019, [Designing and Interpreting Probes with Control Tasks](https://arxiv.org/abs/1909.03368).
# - Belrose and others 2023, [LEACE: Perfect linear concept erasure in closed form](https://arxiv.org/abs/2306.03819).
# - Schaeffer, Miranda and Koyejo 2023, [Are Emergent Abilities of Large Language Models a Mirage?](https://arxiv.org/abs/2304.15004).
# - Antognini and Sohl-Dickstein 2018, [PCA of high dimensional random walks](https://arxiv.org/abs/1806.08805).
# - Gurnee and others 2023, [Finding Neurons in a Haystack](https://arxiv.org/abs/2305.01610).
# - nostalgebraist 2020, [interpreting GPT: the logit lens](https://www.lesswrong.com/posts/AcKRB8wDpdaN6v6ru/interpreting-gpt-the-logit-lens).
