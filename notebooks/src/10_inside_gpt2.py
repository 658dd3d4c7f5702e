# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 10 · Inside GPT-2: what trained weights look like, and which you can break
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/OWNER--SET-ME/llm-inside/blob/main/notebooks/10_inside_gpt2.ipynb) · [open this lesson in Colab](https://colab.research.google.com/github/OWNER--SET-ME/llm-inside/blob/main/notebooks/10_inside_gpt2.ipynb)
#
# **Which matrices of a trained model can you destroy before it stops making sense?** You look at the weights that training made,
# then break them one matrix at a time, and say with a number and its uncertainty what each was good for.
#
# **Time.** Running: about one minute on CPU; no GPU is needed. Reading and exercises: about an hour.
#
# **What you will be able to do**
# - see in a matrix that it was trained, and say what an embedding and a position look like;
# - test what a matrix is good for, with a number and its uncertainty;
# - say what happens to a sentence when the queries are gone.
#
# **Prerequisites.** Lessons 03 (the block) and 04 (GPT-2).

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
# What this lesson builds stands finished in `course_utils.inside_gpt2`. You build the main pieces here.

# %% tags=["imports"]
import math
import textwrap

import ipywidgets as widgets
import torch
import torch.nn.functional as F

from course_utils import inside_gpt2, sampling
from course_utils.classroom import (
    COLORS, Claims, Picture, device, explore, generator, pick, progress, show, subplots,
)
from course_utils.gpt2 import GPT
from course_utils.pretrained import trained
from course_utils.stories import BOYS, GIRLS, ID, Teller, VOCAB, stories
from course_utils.training import evaluate

claims = Claims("10")

# %% [markdown]
# The model whose weights you look into is the storyteller of lesson 04. With `PUBLISHED = True` it is OpenAI's GPT-2, where the hub is reached.

# %%
PUBLISHED = False

talker, where = trained(PUBLISHED), device()
model, batches, STORIES = talker.model.to(where), talker.batches, talker.best is not None
print("You talk to", talker.note)
print(f"{sum(p.numel() for p in model.parameters()):,} parameters, {len(talker.words):,} tokens")

# %% [markdown]
# Stories to look things up in, and a beginning to go on from:

# %%
text = stories(seed=0, n_tokens=300_000)
opening = "Once upon a time there was a child named Tom. Tom was a"
prompt = talker.encode(opening)[None].to(where)  # (B, T)
print(f"{len(text.tokens):,} tokens, a prompt of {prompt.size(1)}")


# %% [markdown]
# How long does a text stay one that the stories' grammar could have told? Lesson 09 asked it, too:

# %%
def unbroken(ids):
    """How many new tokens pass before the first one that the teller could not have told."""
    teller = Teller()
    for n, i in enumerate(ids.tolist()):
        if VOCAB[i] not in teller.next_tokens():
            return n - prompt.size(1)
        teller.step(VOCAB[i])
    return len(ids) - prompt.size(1)


# %% [markdown]
# ## Look inside: what training did to the weights
#
# **Question.** At the start all weights are normal random numbers. Can you see in a trained matrix that it was trained?
#
# We compare each matrix of each block with its own start: a fresh model with the same configuration. Two numbers for each: the *spread* (standard deviation) relative to the start, by which the matrix's norm has grown, too, since the mean stays near 0; and the *tails*. Tails are measured by the *excess kurtosis*:
# the mean fourth power of the standardised weights, minus 3. A normal distribution has 0, heavier tails more. For *n* normal numbers it scatters by √(24/*n*) around 0: less than that says nothing.

# %%
start = GPT(model.config, generator(0))
KINDS = ("W_Q", "W_K", "W_V", "W_O", "MLP up", "MLP down")


def matrices(gpt, layer):
    weights = [w for name in inside_gpt2.MATRICES for w in inside_gpt2.matrices(gpt, layer, name)]
    return dict(zip(KINDS, (w.detach().cpu() for w in weights), strict=True))  # the MLP has two


# %% [markdown]
# In the table, each column is a block, from the first to the last.

# %%
n_layer = model.config.n_layer
now, then = ([matrices(gpt, layer) for layer in range(n_layer)] for gpt in (model, start))
tails = {kind: [inside_gpt2.excess_kurtosis(layer[kind]) for layer in now] for kind in KINDS}
grown = {kind: [(a[kind].std() / b[kind].std()).item() for a, b in zip(now, then, strict=True)]
         for kind in KINDS}
for kind in KINDS:
    scatter = (24 / now[0][kind].numel()) ** 0.5
    print(f"{kind:<9} spread × {' '.join(f'{g:.1f}' for g in grown[kind])}   "
          f"tails {' '.join(f'{t:5.2f}' for t in tails[kind])}   (scatter {scatter:.2f})")

# %% [markdown]
# The same as a picture:

# %%
fig, (left, right) = subplots(1, 2, figsize=(10.5, 4), sharex=True)
for kind in KINDS:
    left.plot(range(n_layer), grown[kind], "o-", label=kind)
    right.plot(range(n_layer), tails[kind], "o-")
right.axhspan(-0.077, 0.077, color="#DDDDDD", zorder=0)
left.set(title="spread, start = 1", xlabel="block", ylim=(0.9, None), xticks=range(n_layer))
right.set(title="tails (excess kurtosis)", xlabel="block")
fig.legend(*left.get_legend_handles_labels(), loc="outside right center")
assert not STORIES or min(min(values) for values in grown.values()) > 1
assert not STORIES or min(grown["W_O"]) > max(grown["W_Q"])
show(fig, "Left: every kind of matrix has grown, those that write most. Right: tails by block and kind.")

# %% [markdown]
# Grey is what chance alone would do to a matrix of 128 × 128. **Read it**: which matrices grew most? Those that write into the stream, *W_O* and the second one of the MLP: they began smallest (lesson 03). And the spread grows with depth.
#
# Look at the matrix with the heaviest tails, on a logarithmic axis: there a normal distribution is a parabola.

# %%
kind, layer = max(((k, n) for k in KINDS for n in range(n_layer)), key=lambda at: tails[at[0]][at[1]])
print(f"heaviest tails: {kind} of block {layer}")

# %% [markdown]
# Its weights as a histogram, in units of their own spread:

# %%
fig, ax = subplots(figsize=(8, 3.8))
for weights, name in ((now, "trained"), (then, "at the start")):
    w = weights[layer][kind].flatten()
    height, edges = torch.histogram(
        (w - w.mean()) / w.std(), bins=81, range=(-10.1, 10.1), density=True
    )
    label = f"{name}, {inside_gpt2.tail_share(w):.2%} beyond 3"
    ax.step(edges[:-1] + 0.125, height, where="mid", label=label)
z = torch.linspace(-5, 5, 201)
ax.plot(z, (-(z**2) / 2).exp() / math.sqrt(2 * math.pi), ":", color="black", label="normal, 0.27 %")
ax.set(yscale="log", ylim=(1e-5, 1), xlabel="standard deviations from the mean", ylabel="density")
ax.set_title(f"{kind} of block {layer}")
ax.legend(loc="upper left")
assert not STORIES or inside_gpt2.tail_share(now[layer][kind]) > inside_gpt2.tail_share(
    then[layer][kind]
)
show(fig, f"Density of the weights of {kind}, block {layer}: trained ones reach further out.")


# %% [markdown]
# Is the lecture right, that trained weights have heavier tails, and that they change with depth?

# %%
def heavier_than_chance(blocks):
    weights = [block[kind] for block in blocks for kind in KINDS]
    return sum(inside_gpt2.excess_kurtosis(w) > 2 * (24 / w.numel()) ** 0.5 for w in weights)


heavy, at_start, n_all = heavier_than_chance(now), heavier_than_chance(then), len(KINDS) * n_layer
deeper = sum(grown[kind][-1] > grown[kind][0] for kind in KINDS)
print(f"heavier than chance: {heavy} of {n_all} matrices, at the start {at_start}")
print(f"wider spread in the last block than in the first: {deeper} of {len(KINDS)} kinds")

# %% [markdown]
# The lecture's claim, with these counts:

# %%
claims.add(
    "G10", "trained weights are heavier-tailed than at the start, and change with depth",
    source="lecture titles", published="heavier tails; differ by depth",
    measured=f"{heavy} of {n_all} matrices heavier-tailed than chance, at the start {at_start}; "
             f"{deeper} of {len(KINDS)} kinds wider in the last block than in the first",
    holds=heavy > n_all / 2 > at_start and deeper > len(KINDS) / 2,
    reason=f"The heaviest is {kind} of block {layer}, with an excess kurtosis of "
           f"{tails[kind][layer]:.0f}. Kinds differ as much as depths do.",
)

# %% [markdown]
# ### Which tokens are neighbours?
#
# **Question.** Nobody told the model what a word means. What does its table say?
#
# The cosine of two tokens' vectors is 1 for the same direction, 0 for nothing in common. **Predict** the neighbours of a place, a colour, a name and a verb.

# %%
table = F.normalize(model.wte.weight.detach().cpu(), dim=-1)  # (V, d_model)
for word in ("beach", "red", "Tom", "smiled"):
    i = talker.encode(word)[0]
    cosines, near = (table @ table[i]).topk(6)
    pairs = zip(cosines[1:], near[1:], strict=True)  # the first one is the word itself
    print(f"{word:<7}", ", ".join(f"{talker.words[j]} {c:.1f}" for c, j in pairs))

# %% [markdown]
# Words that can stand in the same places have become neighbours, and with them words after which the same things happen. Meaning, as far as this model has any, is the company that a word keeps.
#
# **And the lengths?** The tied table is also the head: a longer vector gives larger scores. Here is each word's length against how often it occurs.

# %%
if STORIES:
    often = text.tokens.bincount(minlength=len(VOCAB)).float()
    lengths = model.wte.weight.detach().cpu().norm(dim=-1)
    common = often >= 10
    r = torch.corrcoef(torch.stack([often[common].log(), lengths[common]]))[0, 1].item()
    print(f"correlation of the length with the logarithm of the frequency: {r:.1f}")

# %% [markdown]
# Each dot is a word:

# %%
if STORIES:
    fig, ax = subplots(figsize=(8, 3.6))
    ax.scatter(often[common], lengths[common], s=14, color=COLORS["blue"], alpha=0.6)
    for word in ("the", "Tom", "beach"):
        ax.annotate(word, (often[ID[word]], lengths[ID[word]]), fontweight="bold")
    ax.set(xscale="log", xlabel="times in 300,000 words", ylabel="length of its vector")
    assert 0.1 < r < 0.7
    show(fig, f"Length of a word's vector against its frequency: a cloud that rises, r = {r:.1f}.")

# %% [markdown]
# Frequent words have somewhat longer vectors, but the cloud is wide: a word's length says little about how common it is.
#
# ### What do positions look like?
#
# In lesson 03 positions were waves, made by hand. Here the model learned a vector for each of its positions. **Predict**: will neighbours be alike?

# %%
places = F.normalize(model.wpe.weight.detach().cpu(), dim=-1)  # (P, d_model)
alike = places @ places.T  # (P, P)
apart = [alike.diagonal(k).mean().item() for k in range(1, 65)]
print(f"neighbours {apart[0]:.1f}, 64 apart {apart[-1]:.1f}")

# %% [markdown]
# All pairs, and the mean over pairs at one distance:

# %%
fig, (left, right) = subplots(1, 2, figsize=(10, 4))
image = left.imshow(alike, vmin=-1, vmax=1, cmap="PuOr")
left.set(title="cosine of two positions", xlabel="position", ylabel="position")
left.grid(False)
fig.colorbar(image, ax=left)
right.plot(range(1, 65), apart)
right.set(title="mean over all pairs", xlabel="positions apart", ylabel="cosine")
assert not STORIES or apart[0] > apart[7] > apart[63]
show(fig, "Cosines between position vectors: high along the diagonal, falling with the distance.")

# %% [markdown]
# Nearby positions are alike, and the likeness falls with distance. The model found for itself that order is a line.
#
# ## Do we need Q?
#
# **Question.** A public course puts noise in the place of *W_Q*, block by block, and looks at the text that comes out. It goes on making sense for a while. How many blocks can be hit? It gives no number. We do.
#
# *W_Q* makes the queries, *W_K* the keys, *W_V* the values, *W_O* writes into the stream; the MLP has two matrices. The noise is normal, with the same mean and standard deviation as what it replaces: what the matrix *learned* is gone, its *size* stays. We measure the cross-entropy on unseen text. Noise is chance, so
# each damage is done with several seeds, and we give the 95 % interval of the mean.
#
# **Predict.** Which of the five hurts most? Is it worse in the first block, or in the last?

# %%
layers, seeds = model.config.n_layer, range(pick(cpu=4, gpu=10))
ORDERS = {"one block alone": "single", "from the bottom up": "upwards", "from the top down": "downwards"}
experiments = [(matrix, order) for matrix in inside_gpt2.MATRICES for order in ORDERS]
print("with 3 layers, from the top down:", inside_gpt2.spreading(3, "W_Q", "downwards"))

# %% [markdown]
# A damage is a list of pairs (block, matrix). Some occur in two orders; each is done once.

# %%
damages = {tuple(sorted(damage)): damage for matrix, order in experiments
           for damage in inside_gpt2.spreading(layers, matrix, ORDERS[order])}
test = batches if STORIES else [(x[:1, :128], y[:1, :128]) for x, y in batches]  # large model: less text
print(f"{len(damages)} damages, {len(seeds)} seeds, {test[0][1].numel():,} tokens of test text")

# %% [markdown]
# One block at a time, then more and more of them from the bottom up and from the top down. It takes about 20 seconds. (With the published GPT-2 it takes minutes, unless you have a GPU.)

# %%
whole = evaluate(model, test)
rise = {key: inside_gpt2.loss_rise(model, damage, test, seeds, whole)
        for key, damage in progress(damages.items(), "breaking", total=len(damages))}
hurt = {(matrix, order): torch.stack([rise[tuple(sorted(damage))] for damage in
                                      inside_gpt2.spreading(layers, matrix, ORDERS[order])])
        for matrix, order in experiments}  # each (layers, seeds)

# %% [markdown]
# Each number is the mean over the seeds.

# %%
for matrix in inside_gpt2.MATRICES:
    means = hurt[matrix, "one block alone"].mean(-1).tolist()
    print(f"{matrix:<4}", "  ".join(f"block {n}: {mean:+.1f}" for n, mean in enumerate(means)), "nats")

# %% [markdown]
# The picture has the intervals. Mind the logarithmic axis: what is low there is *very* low.

# %%
fig, axes = subplots(1, 3, figsize=(11.5, 4.2), sharey=True)
for ax, order in zip(axes, ORDERS, strict=True):
    for n, matrix in enumerate(inside_gpt2.MATRICES):
        centre, half = zip(*(inside_gpt2.mean_interval(row) for row in hurt[matrix, order]), strict=True)
        x = [layer + 0.1 * (n - 2) for layer in range(1, layers + 1)]
        ax.errorbar(x, centre, yerr=half, fmt="o-", capsize=3, linewidth=1.4, label=matrix)
    alone = order == "one block alone"
    ax.set(title=order, yscale="log", ylim=(0.02, 12), xticks=range(1, layers + 1))
    ax.set_xlabel("which block" if alone else "blocks broken")
    if alone:
        ax.set_xticklabels(range(layers))
axes[0].set_ylabel("rise of the loss (nats)")
axes[0].legend(ncols=2, fontsize=11)
single = {m: hurt[m, "one block alone"].mean(-1) for m in inside_gpt2.MATRICES}  # each (layers,)
assert not STORIES or single["W_Q"].min() < 0.3 < single["W_V"].max() < single["MLP"].max()
show(fig, "Rise of the loss by matrix and block, with intervals: the MLP of block 0 hurts most by far.")

# %% [markdown]
# **Which block you hit decides.** So "how many blocks can be hit?" has no single answer: one number of blocks, two orders, two results. Three more things can be read off.

# %%
mean_rise = {m: rises.mean().item() for m, rises in single.items()}
print("mean over the blocks:", ", ".join(f"{m} {nats:+.1f}" for m, nats in mean_rise.items()))
print(f"W_Q: least in block {single['W_Q'].argmin()}, most in block {single['W_Q'].argmax()}")
together = {m: hurt[m, "from the bottom up"][-1].mean().item() for m in inside_gpt2.MATRICES}
print(f"W_Q of all blocks: {together['W_Q']:+.1f}, of each alone and added: {single['W_Q'].sum():+.1f}")
assert not STORIES or mean_rise["W_Q"] < mean_rise["W_V"] < mean_rise["MLP"]
assert not STORIES or together["W_Q"] > single["W_Q"].sum()

# %% [markdown]
# - **Noise in *W_Q* is milder than in *W_V*.** Without its queries a head looks at the wrong places. It still brings back values that the next layers can read. Without *W_V* it brings back garbage.
# - ***W_Q* and *W_K* hurt alike.** They only ever meet in a product, so noise in one spoils the other.
# - **Damage does not add up.** Noise in *W_Q* of all blocks together is worse than the sum: what one block misses, another can make good, until it is hit too.
#
# ### What are queries for?
#
# **Question.** A guess: to look things up. "Tom" was named twenty words ago and is wanted now; *which* name is wanted depends on the question. Where the next word follows from the last ones anyway, any average will do. If so, the names must suffer more than other words.
#
# **Predict**, then run. Every word of the test text is either a name or not.

# %%
NAMES = torch.tensor([ID[str(name)] for name in [*GIRLS, *BOYS]])


@torch.no_grad()
def by_kind(gpt):
    inputs, targets = (x.to(where) for x in test[0])  # (B, T)
    nats = F.cross_entropy(gpt(inputs).mT, targets, reduction="none").cpu()  # (B, T)
    name = torch.isin(targets.cpu(), NAMES)
    return torch.stack([nats[name].mean(), nats[~name].mean()])


# %% [markdown]
# Noise in *W_Q*, one block at a time:

# %%
more = [by_kind(inside_gpt2.lesioned(model, [(layer, "W_Q")], generator(0))) - by_kind(model)
        for layer in range(layers if STORIES else 0)]  # each (2,)
for layer, (names, others) in enumerate(more):
    print(f"W_Q of block {layer}: names {names:+.1f} nats, other words {others:+.1f}")
assert all(names > others for names, others in more)


# %% [markdown]
# The guess holds: in every block the names suffer more, in the upper two by far. There queries are, above all, for looking up who is meant. In block 1 the other words suffer nearly as much: there they do something else as well. (This is one noise for each block, so take the order, not the digits.)
#
# ### Does the text tell you?
#
# We count the words before the text breaks, as above, when *W_Q* goes.

# %%
def spoken(damage, n=60):
    victim = inside_gpt2.lesioned(model, damage, generator(0)) if damage else model
    return sampling.generate(victim, prompt, n)[0]  # greedy: what differs comes from the damage


# %% [markdown]
# With the storyteller, and 60 words after our opening:

# %%
lasted = {}
for order in list(ORDERS)[1:]:
    steps = [[], *inside_gpt2.spreading(layers, "W_Q", ORDERS[order])]
    lasted[order] = [unbroken(spoken(damage)) if STORIES else 0 for damage in steps]
    nats = [0.0, *hurt["W_Q", order].mean(-1).tolist()]
    print(f"W_Q broken {order}:")
    for n, (words, more) in enumerate(zip(lasted[order], nats, strict=True)):
        print(f"   blocks broken: {n}   +{more:.1f} nats   words before the text breaks: {words}")

# %% [markdown]
# Roughly, yes. But a text hangs on one opening, and a single wrong name ends it; the loss looks at every token of the test text, and comes with an interval. Two damages of the same loss can break after very different numbers of words.

# %%
one = [
    inside_gpt2.mean_interval(row) for row in hurt["W_Q", "one block alone"]
]  # (mean, half width) by block
least, most, every = min(one)[0], max(one)[0], together["W_Q"]
claims.add(
    "G8",
    "with noise in place of W_Q the text survives some blocks",
    source="public course (M. X. Cohen)",
    published="survives; no metric given",
    measured=f"one block: {least:+.1f} to {most:+.1f} nats, by block; all {layers}: {every:+.1f}",
    holds=least < 0.2 < every,
    reason="One block can be spared, all cannot, and which one matters. A text that still looks fine "
    "is no proof: names suffer more than other words.",
)

# %% [markdown]
# ### A view to break things
#
# All runs are stored, so the view answers at once. **Choose** a matrix, an order and a number of blocks, and read what the model still says. Can you find a damage of less than half a nat whose text is broken already? What goes first, grammar or sense?

# %%
spoken_after = {key: talker.decode(spoken(damage, n=40))
                for key, damage in progress(damages.items(), "texts", total=len(damages))}
texts = {(matrix, order, n): spoken_after[tuple(sorted(damage))] for matrix, order in experiments
         for n, damage in enumerate(inside_gpt2.spreading(layers, matrix, ORDERS[order]), 1)}


# %% [markdown]
# The dot is your choice, with its interval in the title; below it is what the model says.

# %%
def broken(matrix, order, blocks):
    fig, ax = subplots(figsize=(9.5, 4.2))
    for name in inside_gpt2.MATRICES:
        y = hurt[name, order].mean(-1)
        color, label = (COLORS["vermillion"], matrix) if name == matrix else ("#BBBBBB", None)
        ax.plot(range(1, layers + 1), y, "o-", color=color, label=label, zorder=3 if label else 2)
    mean, half = inside_gpt2.mean_interval(hurt[matrix, order][blocks - 1])
    ax.plot(blocks, mean, "o", color="black", markersize=11, zorder=9)
    alone = ORDERS[order] == "single"
    which = f"block {blocks - 1}" if alone else f"{blocks} of {layers} blocks, {order}"
    ax.set(yscale="log", ylim=(0.02, 12), xticks=range(1, layers + 1), ylabel="rise of the loss (nats)")
    ax.set_xticklabels([str(n - alone) for n in range(1, layers + 1)])
    ax.set_xlabel("which block" if alone else "blocks broken")
    title = f"{matrix} of {which}: {mean:+.2f} ± {half:.2f} nats"
    ax.set_title(title + " (grey: other matrices)", fontsize=13)
    said = " ".join(texts[matrix, order, blocks].split())
    fig.supxlabel(textwrap.fill(said, 100), fontsize=12, style="italic", parse_math=False)
    return Picture(fig, f"{matrix} of {which}: the loss rises by {mean:.1f} nats. Text: {said}")


explore(
    broken,
    matrix=widgets.ToggleButtons(options=inside_gpt2.MATRICES, value="W_Q", description="matrix"),
    order=widgets.ToggleButtons(options=list(ORDERS), value="from the top down", description="order"),
    blocks=widgets.IntSlider(max(1, layers - 1), 1, layers, description="blocks"),
)

# %% [markdown]
# ## What we verified
#
# Each claim with its source, what was published, and what you measured.

# %%
claims.show()

# %% [markdown]
# **What this lesson leaves out.** Which of the storyteller's blocks matters for what need not hold for larger models: turn the switch PUBLISHED and see, where the hub is reached.
#
# ## Further reading
#
# - Radford and others 2019, [Language Models are Unsupervised Multitask Learners](https://cdn.openai.com/better-language-models/language_models_are_unsupervised_multitask_learners.pdf) (GPT-2).
# - Press and Wolf 2017, [Using the Output Embedding to Improve Language Models](https://arxiv.org/abs/1608.05859): the tied head.
