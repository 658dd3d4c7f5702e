# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 14 · Circuits: how does it know "Leo"?
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/OWNER--SET-ME/llm-inside/blob/main/notebooks/14_circuits.ipynb) · [open this lesson in Colab](https://colab.research.google.com/github/OWNER--SET-ME/llm-inside/blob/main/notebooks/14_circuits.ipynb)
#
# **A trained model finishes a sentence with the right name. Which numbers inside it made the answer?** You record them, replace them, and
# follow the name on its way through the network, until you can say which head feeds which.
#
# **Time.** Running: about one minute on CPU; no GPU is needed. Reading and exercises: about an hour.
#
# **What you will be able to do**
# - record and replace any number inside a model while it runs;
# - say which heads and layers wrote an answer;
# - follow a name on its way through the network by patching, and say what patching cannot show.
#
# **Prerequisites.** Lessons 02 to 04 (attention, the residual stream, GPT-2).

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
# What this lesson builds stands finished in `course_utils.circuits`. You build the main pieces here.

# %% tags=["imports"]
import importlib.util
from collections.abc import Callable, Iterable, Sequence

import ipywidgets as widgets
import torch
from torch import Tensor, nn

from course_utils import circuits, exercises
from course_utils.classroom import (
    COLORS, Claims, Picture, explore, generator, progress, show, subplots,
)
from course_utils.exercises import check, hint, solution
from course_utils.pretrained import storyteller
from course_utils.stories import ID, VOCAB, encode_words
from course_utils.transformer_block import Transformer

claims = Claims("14")

# %% [markdown]
# ## Look inside while it runs
#
# **Question.** A trained model answers. Which numbers inside it made the answer?
#
# We take the *storyteller*, the course's own small GPT-2: four blocks of four heads, trained on generated stories (lesson 04). Here is the beginning of a story. A friend is named once, at the end of the sixth sentence.

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

    >>> from course_utils.pretrained import storyteller
    >>> found = record(storyteller(), torch.tensor([[3, 1, 4]]), ["h.0.mlp.c_fc", "ln_f"])
    >>> {name: tuple(x.shape) for name, x in found.items()}
    {'h.0.mlp.c_fc': (1, 3, 512), 'ln_f': (1, 3, 128)}
    """
    ...


# %% tags=["check"]
record = check("circuits.record", record)
# hint("circuits.record")
# solution("circuits.record")

# %% [markdown]
# Our `circuits.ActivationCache` does the same for more names. `"h.1"` is the residual stream after block 1, `"h.0.in"` what enters block 0 (blocks count from 0), `"h.1.attn.pattern"` the attention of each head, `"h.1.attn.heads"` each head's output. A `*` stands for any number. It works for models of `transformers`, too.

# %%
with circuits.ActivationCache(teller, ["h.0.in", "h.*", "h.*.attn.pattern"]) as rd_cache:
    teller(rd_ids)
for name, x in rd_cache.items():
    print(f"{name:<18} {tuple(x.shape)}")

# %% [markdown]
# A wrong name is answered with the closest one, and with all that there is:

# %%
try:
    circuits.ActivationCache(teller, ["h.1.attention"])
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
    """Decode the residual stream before the first block and after each, as if the model ended
    there.

    The last row is the model's own answer.
    Shapes: ids (B, T) -> logits (n_layer + 1, B, T, V).
    Source: nostalgebraist 2020, "interpreting GPT: the logit lens".

    >>> from course_utils.pretrained import storyteller
    >>> model, ids = storyteller(), torch.tensor([[3, 1, 4]])
    >>> lens = logit_lens(model, ids)
    >>> tuple(lens.shape), torch.allclose(lens[-1], model(ids), atol=1e-5)
    ((5, 1, 3, 699), True)
    """
    ...


# %% tags=["check"]
logit_lens = check("circuits.logit_lens", logit_lens)
# hint("circuits.logit_lens")
# solution("circuits.logit_lens")

# %% [markdown]
# Each cell of the picture shows the most probable next word there; dark means sure. The word that the model has just read stands below. **Predict** the bottom row: before the first block, the stream holds nothing but word and position.

# %%
rd_lens = logit_lens(teller, rd_ids)[:, 0, 33:].softmax(-1)  # (n_layer + 1, positions, V)
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
# The embedding "predicts" the word that was just read: the head is tied to the embedding (lesson 03). At the last position the name appears after block 2, and block 3 makes it sure.
#
# **What the lens does not show.** Later blocks may read a stream in other ways than the head does. Where the lens shows nonsense, the information may still be there.
#
# ## Who wrote the answer? Direct logit attribution
#
# **Question.** The stream is a sum of what every part wrote (lesson 03). Can we share out the logit?
#
# Nearly. The last LayerNorm divides by the standard deviation of the *whole* sum. If we keep that number as it is (we *freeze* the scale), all else is linear: each write contributes its own share of the logit, and the shares add up.

# %%
LEO, TOM = ID["Leo"], ID["Tom"]
rd_parts = circuits.attribution(teller, rd_ids, LEO, other=TOM)  # of the logit of Leo less that of Tom
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
    measured=bool(rd_off < 0.1), reason="GPT-2's blocks add and never normalise the stream (lesson "
    "03). So writes add up to a logit, within 1e-4, with the last LayerNorm's scale frozen.")

# %% [markdown]
# ### A view of a head: where it looks, what it writes
#
# <!-- speaker: Let the class guess the job of head 2.1 from its picture, then of head 3.0. Ask what experiment would prove them wrong. -->
# **Choose a head and a position.** Above: how much it looks at each word. Below: the words that its write raises most, through the last LayerNorm's frozen scale and the head. Which head looks at the one who acts? Which at full stops?

# %%
rd_patterns = torch.stack([rd_cache[f"h.{i}.attn.pattern"][0] for i in range(4)])  # (4, H, T, T)
with torch.no_grad():
    z = circuits.activations(teller, rd_ids, ["h.*.attn.heads"])
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
#
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
# ### Exercise 3 · the patching map
#
# *Difficulty 3 of 3 · 20 minutes*
#
# `circuits.activations(model, ids, names)` runs and records. `with ip.patched(model, {name: patch}):` replaces while you run inside; and `circuits.only(source, slice(None), t)` is a patch that takes position *t* from `source` and leaves the others. Use the names of `ip` in your answer. `metric` turns logits into one number for each text.

# %% tags=["exercise"]
def patching_map(
    model: Transformer, clean: Tensor, corrupt: Tensor, metric: Callable, names: Sequence[str]
) -> Tensor:
    """Run the corrupt text with one activation of the clean run at one position: does it repair?

    Each entry is (metric with the patch - corrupt) / (clean - corrupt): 1 where it repairs all.
    Shapes: clean and corrupt (1, T), metric: logits (B, T, V) -> (B,), names: activations
    (B, T, d), such as "h.0.in" -> (len(names), T).
    Source: Meng et al. 2022, "Locating and Editing Factual Associations in GPT", section 2.

    >>> from course_utils.pretrained import storyteller
    >>> clean, corrupt = torch.tensor([[3, 1, 4]]), torch.tensor([[2, 1, 4]])
    >>> answer = lambda logits: logits[:, -1, 5]
    >>> patching_map(storyteller(), clean, corrupt, answer, ["h.0.in"]).round(decimals=3).abs()
    tensor([[1., 0., 0.]])
    """
    ...


# %% tags=["check"]
patching_map = check("circuits.patching_map", patching_map)
# hint("circuits.patching_map")
# solution("circuits.patching_map")

# %% [markdown]
# First the stream itself: 5 layers × 43 positions, each a run of its own. **Predict** the two corners where the value must be 1. And between them: does the name wait at "Leo" until the last word fetches it?

# %%
PA_NAMES = {"stream": ["h.0.in", *(f"h.{i}" for i in range(4))],
            "attention": [f"h.{i}.attn" for i in range(4)], "MLP": [f"h.{i}.mlp" for i in range(4)]}
pa_maps = {part: patching_map(teller, pa_clean, pa_corrupt, pa_metric, names)
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
#
# ### A view of patching
#
# **Choose the text and the part.** Three pairs of texts: the friend's name, the hero's name, or the toy is swapped. Move the cursor with layer and position: which part carries the word over from the full stop?

# %%
def pa_pair(word, other, text):
    """The maps (layers, T) of all parts for one swapped word, and the words."""
    clean, corrupt = (encode_words(t)[None] for t in (text, text.replace(word, other)))
    answer = lambda logits: logits[:, -1, ID[word]] - logits[:, -1, ID[other]]
    maps = {part: patching_map(teller, clean, corrupt, answer, names)
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
#
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
pa_z = circuits.activations(teller, pa_clean, ["h.*.attn.heads"])
pa_heads = torch.zeros(4, 4)
with torch.no_grad():
    for layer, head in torch.cartesian_prod(torch.arange(4), torch.arange(4)).tolist():
        patch = circuits.only(pa_z[f"h.{layer}.attn.heads"], slice(None), head, -1)
        with circuits.patched(teller, {f"h.{layer}.attn.heads": patch}):
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
            [pa_share(circuits.path_patch(teller, pa_clean, pa_corrupt, sender, receiver, letter))
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
#
# Are these four heads of 16 *all*? Run the clean text, but let every other head say what it says on the corrupt one. **Predict** how much of the answer is left; and if only four other heads see the clean text?

# %%
def pa_only(circuit):
    """The clean text, with all heads but these from the corrupt run: what is left of the answer?"""
    patches = {}
    for name, z in circuits.activations(teller, pa_corrupt, ["h.*.attn.heads"]).items():
        others = [h for h in range(4) if (int(name.split(".")[1]), h) not in circuit]
        patches[name] = circuits.only(z, slice(None), others)
    with torch.no_grad(), circuits.patched(teller, patches):
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
    stop = patching_map(teller, clean, corrupt, answer, ["h.2"])[0, 37].item()
    with torch.no_grad():
        low, high = answer(teller(corrupt)), answer(teller(clean))
        path = circuits.path_patch(teller, clean, corrupt, (0, 2), (3, 0), "v")
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
    zero = circuits.only(torch.zeros_like(en_stream), slice(None), 37)
    with circuits.patched(teller, {"h.1": zero}):
        torch.testing.assert_close(en_logits, teller(rd_ids))
print("nnsight is not installed, or gives the same numbers.")

# %% [markdown]
# ## What we verified
#
# Each claim with its source, what was published, and what you measured.

# %%
claims.show()

# %% [markdown]
# Your exercises: which pass, and which are still open.

# %% tags=["progress"] slideshow={"slide_type": "skip"}
exercises.progress("circuits")

# %% [markdown]
# **What this lesson leaves out.** Our model is small, its texts artificial. In a model of a hundred layers several parts do one job and step in for each other. Patching pushes a model to places where it has never been.
# Attribution graphs, causal scrubbing and automated search for circuits go on from here.
#
# ## Further reading
#
# - Olah and others 2020, [Zoom In: An Introduction to Circuits](https://distill.pub/2020/circuits/zoom-in/).
# - Elhage and others 2021, [A Mathematical Framework for Transformer Circuits](https://transformer-circuits.pub/2021/framework/index.html).
# - Wang and others 2022, [Interpretability in the Wild](https://arxiv.org/abs/2211.00593): path patching, a circuit for names in GPT-2.
# - Meng and others 2022, [Locating and Editing Factual Associations in GPT](https://arxiv.org/abs/2202.05262).
# - nostalgebraist 2020, [interpreting GPT: the logit lens](https://www.lesswrong.com/posts/AcKRB8wDpdaN6v6ru/interpreting-gpt-the-logit-lens).
