# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 11 · Architectures: what changed since GPT-2
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/OWNER--SET-ME/llm-inside/blob/main/notebooks/11_architectures.ipynb) · [open this lesson in Colab](https://colab.research.google.com/github/OWNER--SET-ME/llm-inside/blob/main/notebooks/11_architectures.ipynb)
#
# **Recent models are still transformers. What did they change since GPT-2, and what is each change worth?** You build the
# new parts, and models that are made of them race against the old one.
#
# **Time.** Running: about one minute on CPU; no GPU is used. About 79 minutes to read and do.
#
# **What you will be able to do**
# - write rotary positions, RMSNorm, SwiGLU and grouped queries, and say what each one changes;
# - write the router of a mixture of experts, and say where experts pay and where they do not;
# - let one text look into another by cross-attention, and tell the families of transformers apart;
# - judge a new part fairly: equal arithmetic, the best learning rate of each, several seeds.
#
# **Prerequisites.** Lessons 02 (attention) and 03 (the block).
#
# <!-- speaker: Ask first which of the orange boxes the room has heard of. Most know the names and not the formulas. -->

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
import statistics
from dataclasses import replace

import ipywidgets as widgets
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from course_utils import architectures, attention, exercises, transformer_block
from course_utils.architectures import runs
from course_utils.classroom import (
    COLORS, Claims, Diagram, Picture, Source, explore, generator, predict, reveal, show, subplots,
)
from course_utils.exercises import check, hint, solution
from course_utils.stories import VOCAB, stories

NOTES = "Kiến trúc mô hình ngôn ngữ lớn (lecture notes)"
claims = Claims("11")
record = runs.recorded()  # trained beforehand: three seeds of every model of this lesson

# %% [markdown]
# **Choose a model.** Orange is what differs from GPT-2. On the right: the keys and values that each model must keep in memory
# for one text.

# %% tags=["display"]
# @title Four models, part by part, and the cache of each
OLD = ("learned positions", "LayerNorm", "keys: one head for each query", "MLP with GELU")
LLAMA = ("rotary positions", "RMSNorm", OLD[2], "MLP with SwiGLU")
SHARED = "keys: one head for 4 queries"
# layers, heads of keys, features of a head, parts; from the models' own configurations
MODELS = {
    "GPT-2 XL": (48, 25, 64, OLD),
    "Llama 1 7B": (32, 32, 128, LLAMA),
    "Llama 3 8B": (32, 8, 128, (*LLAMA[:2], SHARED, LLAMA[3])),
    "Mixtral 8x7B": (32, 8, 128, (*LLAMA[:2], SHARED, "8 SwiGLUs, 2 are used")),
}


def cache_gib(name, tokens):
    n_layer, n_kv_head, d, _ = MODELS[name]
    return 2 * 2 * n_layer * n_kv_head * d * tokens / 2**30  # keys and values, 2 bytes a number


def draw_model(model, tokens):
    fig, (left, right) = subplots(1, 2, figsize=(11, 3.9), width_ratios=(1, 1.3))
    parts = MODELS[model][3]
    for row, part in enumerate(parts):
        color = COLORS["sky" if part in OLD else "orange"]
        left.barh(row, 1, color=color, alpha=0.5, height=0.8)
        left.text(0.5, row, part, ha="center", va="center")
    left.set(xticks=(), yticks=(), title=model)
    left.grid(False)
    sizes = [cache_gib(name, tokens) for name in MODELS]
    colors = [COLORS["orange" if name == model else "sky"] for name in MODELS]
    right.barh(list(MODELS), sizes, color=colors)
    for row, size in enumerate(sizes):
        right.text(size, row, f" {size:.2f}", va="center")
    right.set(xlabel=f"GiB of keys and values for {tokens:,} tokens", xlim=(0, 1.25 * max(sizes)))
    right.invert_yaxis()
    size = cache_gib(model, tokens)
    return Picture(fig, f"{model}: {', '.join(parts)}. Cache for {tokens} tokens: {size:.2f} GiB.")


assert cache_gib("Llama 1 7B", 1024) == 4 * cache_gib("Llama 3 8B", 1024)
explore(
    draw_model,
    model=widgets.ToggleButtons(options=list(MODELS), value="Llama 3 8B", description="model"),
    tokens=widgets.SelectionSlider(options=[1024, 4096, 8192], value=8192, description="tokens"),
)

# %% tags=["display"]
# @title What will count, set before anything is measured
claims.expect(
    "M1", "a model with rotary positions (RoPE) learns faster than one with learned positions",
    source=Source("Su et al. 2021, RoFormer", "experiments", "https://arxiv.org/abs/2104.09864"),
    published="a lower loss after equal training",
    criterion="at equal arithmetic, each at its best rate, the worst of three seeds is below "
              "Model 5's best; partly if only the mean is lower",
    holds=lambda m: max(m[0]) < min(m[1]), partly=lambda m: sum(m[0]) < sum(m[1]),
)
claims.expect(
    "M2", "RMSNorm is as good as LayerNorm",
    source=Source("Zhang and Sennrich 2019", "abstract", "https://arxiv.org/abs/1910.07467"),
    published=0.0, tolerance=0.02, partly=0.05,
)
claims.expect(
    "M3", "with equal parameters, SwiGLU gives a lower loss than GELU",
    source=Source("Shazeer 2020, GLU Variants", "table 1", "https://arxiv.org/abs/2002.05202"),
    published="a lower loss",
    criterion="the worst of three seeds is below Model 5's best; partly if only the mean is lower",
    holds=lambda m: max(m[0]) < min(m[1]), partly=lambda m: sum(m[0]) < sum(m[1]),
)
claims.expect(
    "M4", "grouped queries keep the quality of full attention",
    source=Source("Ainslie et al. 2023, GQA", "abstract", "https://arxiv.org/abs/2305.13245"),
    published=0.0, tolerance=0.02, partly=0.05,
)
claims.expect(
    "M5", "for equal arithmetic, a mixture of experts is better than one dense MLP",
    source=Source("Fedus et al. 2021, Switch Transformers", "abstract",
                  "https://arxiv.org/abs/2101.03961"),
    published="better",
    criterion="on facts and on stories, the worst of three seeds beats the dense model's best; "
              "partly if on one of the two",
    holds=lambda m: all(m), partly=lambda m: any(m),
)
claims.expect(
    "B7", "decoder-only, encoder-only and encoder-decoder differ in their masks",
    source=Source(NOTES, "families of transformers"), published="the mask",
    criterion="with one set of weights the mask alone gives each family's pattern of who notices whom, "
              "and an encoder-decoder has no weights besides those of a stack as deep; partly if only "
              "the first",
    holds=lambda m: m[0] and m[1] == 0, partly=lambda m: m[0],
)
claims.expect(
    "A4", "hand-written attention equals torch's fused kernel, which saves memory",
    source=Source(NOTES, "list of lessons: attention by hand and by torch"),
    published="equal, with less memory",
    criterion="at 2048 positions the outputs are within 2e-6, and the kernel keeps at most a tenth of "
              "the bytes for the gradients",
    holds=lambda m: m[0] < 2e-6 and m[1] < 0.1,
)
claims.expect(
    "A6", "a Transformer processes positions in parallel where an RNN goes one by one",
    source=Source(NOTES, "from recurrent networks to the Transformer"), published="in parallel",
    criterion="over 256 positions the RNN's step is called 256 times, each with the result of the one "
              "before, and attention's projection once",
    holds=lambda m: m == [256, 1],
)
claims.criteria()


# %% [markdown]
# The block of lesson 03 is still there. Four of its parts have been exchanged. You build them one after the other, then all
# of them race.
#
# ## Positions that turn
#
# **Question.** GPT-2 *adds* a learned vector for each place. It has none for a place beyond its table. And what a query
# needs is rarely "place 412"; more often it is "three places back". Can a position say that?
#
# Turn the vectors instead. Take two features of a query as a point in the plane, and turn the point by an angle that grows
# with the position; do the same with the key. A **rotary position embedding**, RoPE, turns each pair of features of queries
# and keys by an angle proportional to the position, and each pair at a rate of its own (Su and others 2021).
#
# ### Exercise 1 · rotary positions
#
# *Difficulty 3 of 3 · 12 minutes*

# %% tags=["exercise"]
def rotary(x: Tensor, base: float = 10_000.0) -> Tensor:
    """Turn each pair of features (2i, 2i + 1) at position t by the angle t · base^(-2i / d).

    The dot product of a query and a key turned so depends on their distance only.
    Shapes: (..., T, d) -> the same. Raises: ValueError for an odd d.
    Source: Su et al. 2021, "RoFormer", section 3.4.2 (equation 34).

    >>> rotary(torch.tensor([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0]]))
    tensor([[ 1.0000,  0.0000],
            [ 0.5403,  0.8415],
            [-0.4161,  0.9093]])
    """
    ...


# %% tags=["check"]
rotary = check("architectures.rotary", rotary)
# hint("architectures.rotary")
# solution("architectures.rotary")

# %% [markdown]
# Which scores will agree? A query and a key, the same two vectors, stand at several places.

# %% tags=["display"]
# @title Predict: the score of a turned query and a turned key
predict(
    "architectures.distance",
    "The query stands at place 5 and the key at place 2. Which other places give exactly this score?",
    ["query 25, key 22", "query 2, key 5", "query 10, key 4", "none"],
)

# %%
asks, offers = (torch.randn(8, generator=generator(s)).expand(64, 8) for s in (0, 1))  # (T, d)
by_place = rotary(asks) @ rotary(offers).T  # (T, T): row = place of the query
for t, s in ((5, 2), (25, 22), (2, 5), (10, 4)):
    print(f"query at {t:2}, key at {s:2}: {by_place[t, s]:.3f}")

# %% tags=["display"]
# @title Measured, and a view: turn them yourself
assert (by_place[25, 22] - by_place[5, 2]).abs() < 1e-4
assert min((by_place[2, 5] - by_place[5, 2]).abs(), (by_place[10, 4] - by_place[5, 2]).abs()) > 0.1
display(reveal("architectures.distance", "query 25, key 22"))


def draw_turned(query, key):
    fig, (left, right) = subplots(1, 2, figsize=(10, 4.0), width_ratios=(1, 1.5))
    for place, start, name, color in ((query, asks, "query", "orange"), (key, offers, "key", "blue")):
        x, y = rotary(start)[place, :2]
        arrow = dict(arrowstyle="-|>", lw=2.5, color=COLORS[color])
        left.annotate("", (x, y), (0, 0), arrowprops=arrow)
        left.text(1.15 * x, 1.15 * y, name, ha="center", va="center")
        left.plot(*start[0, :2], "o", color=COLORS[color], alpha=0.4)
    left.set(xlim=(-3, 3), ylim=(-3, 3), aspect="equal", title="the fastest pair of features")
    distances = torch.arange(-20, 21)
    right.plot(distances, [by_place[30, 30 - int(r)] for r in distances], "-", color=COLORS["sky"])
    right.plot(query - key, by_place[query, key], "o", markersize=11, color=COLORS["orange"])
    score = by_place[query, key]
    right.set(xlabel="query's place minus key's place", ylabel="score", title=f"score {score:.2f}")
    apart = f"Query at {query}, key at {key}, {query - key} places apart"
    return Picture(fig, f"{apart}: the score is {score:.2f}.")


explore(
    draw_turned,
    grid={"query": [5, 15, 25], "key": [2, 12, 22]},
    query=widgets.IntSlider(value=5, min=0, max=30, description="query at"),
    key=widgets.IntSlider(value=2, min=0, max=30, description="key at"),
)


# %% [markdown]
# **Move both sliders by the same amount.** The arrows turn, the score stays: turning both by the same angle leaves their dot
# product as it is. The score depends on the *distance* only, and it tells forwards from backwards. Nothing is learned, and no
# table ends.
#
# ## A norm that does less
#
# **Question.** LayerNorm does two things to each position: it takes the mean away and divides by the standard deviation; and
# it learns a gain and a shift. Is all of that needed?
#
# The **root mean square norm**, RMSNorm, divides each position's features by the root of their mean square and multiplies by
# a learned gain; it takes no mean away and adds nothing.
#
# ### Exercise 2 · RMSNorm
#
# *Difficulty 1 of 3 · 5 minutes*

# %% tags=["exercise"]
def rms_norm(x: Tensor, weight: Tensor, eps: float = 1e-6) -> Tensor:
    """Give each position's features a mean square of 1, then a learned gain each: no mean is taken
    away, and nothing is added.

    Shapes: x (..., d_model), weight (d_model,) -> (..., d_model). eps is added to the mean square,
    under the root. Source: Zhang and Sennrich 2019, "Root Mean Square Layer Normalization".

    >>> rms_norm(torch.tensor([[3.0, 3.0], [-2.0, 0.0]]), weight=torch.ones(2))
    tensor([[ 1.0000,  1.0000],
            [-1.4142,  0.0000]])
    """
    ...


# %% tags=["check"]
rms_norm = check("architectures.rms_norm", rms_norm)
# hint("architectures.rms_norm")
# solution("architectures.rms_norm")

# %% [markdown]
# Two changes of the input: each number three times as large, or each number larger by three. Does each norm notice?

# %%
x = torch.randn(2, 64, generator=generator(2))  # (T, d_model)
norms = {"LayerNorm": lambda x: F.layer_norm(x, (64,)), "RMSNorm": lambda x: rms_norm(x, torch.ones(64))}
for name, norm in norms.items():
    scaled, shifted = ((norm(y) - norm(x)).abs().max().item() for y in (3 * x, x + 3))
    print(f"{name:<9} scaled: moves by {scaled:.3f}   shifted: moves by {shifted:.3f}")


# %% [markdown]
# Both forget the *size* of the vector. LayerNorm also forgets a shift of all features together; RMSNorm keeps it. Its inventors
# held that only the first matters (Zhang and Sennrich 2019). The race will tell.
#
# ## An MLP with a gate
#
# **Question.** The MLP widens, bends, narrows. Is there a better way to bend?
#
# A **gated linear unit** makes two wide vectors of its input instead of one; the first, bent, multiplies the second number by
# number, like a gate that opens and closes. With the function SiLU for the bend it is called SwiGLU (Shazeer 2020).
#
# ### Exercise 3 · SwiGLU
#
# *Difficulty 2 of 3 · 6 minutes*

# %% tags=["exercise"]
def swiglu(x: Tensor, w_gate: Tensor, w_up: Tensor, w_down: Tensor) -> Tensor:
    """Widen x twice, multiply the two number by number, and narrow the product again.

    The first of the two, the gate, goes through SiLU, z · sigmoid(z), before. There are no biases.
    Shapes: x (..., d_model), w_gate and w_up (d_model, d_inner), w_down (d_inner, d_model) ->
    (..., d_model). Source: Shazeer 2020, "GLU Variants Improve Transformer".

    >>> one = torch.ones(1, 1)
    >>> swiglu(torch.tensor([[0.0], [2.0], [-2.0]]), w_gate=one, w_up=2 * one, w_down=one).flatten()
    tensor([0.0000, 7.0464, 0.9536])
    """
    ...


# %% tags=["check"]
swiglu = check("architectures.swiglu", swiglu)
# hint("architectures.swiglu")
# solution("architectures.swiglu")

# %% tags=["display"]
# @title Predict: how wide for the same price?
predict(
    "architectures.width",
    "The old MLP is 4 · d wide and has two matrices. SwiGLU has three. How wide may it be to have as "
    "many numbers?",
    {"2 · d": (1.9, 2.1), "2.67 · d": (2.6, 2.75), "3 · d": (2.9, 3.1), "4 · d": (3.9, 4.1)},
)


# %%
def numbers(module):
    return sum(p.numel() for p in module.parameters())


old = nn.Sequential(nn.Linear(96, 384, bias=False), nn.Linear(384, 96, bias=False))
new = architectures.SwiGLU(96)
print(f"old {numbers(old):,}   SwiGLU {numbers(new):,}   its width {new.up.out_features / 96:.2f} · d")

# %% tags=["display"]
# @title Measured: the width
assert numbers(old) == numbers(new)
reveal("architectures.width", new.up.out_features / 96, ".2f")


# %% [markdown]
# Two thirds of the width, so that three matrices weigh as much as two. A comparison that forgets this compares a large MLP
# with a small one.
#
# ## Heads that share their keys
#
# **Question.** While a model writes, it keeps the keys and values of all positions (the cache of lesson 02). The first picture
# shows what that costs. Where can you save?
#
# In **grouped-query attention**, GQA, several query heads share one head of keys and values, so that the cache is
# smaller by that factor. With a single head of keys for all it is multi-query attention (Shazeer 2019).
#
# ### Exercise 4 · grouped queries
#
# *Difficulty 2 of 3 · 5 minutes*

# %% tags=["exercise"]
def repeat_kv(x: Tensor, n_rep: int) -> Tensor:
    """Let groups of `n_rep` neighbouring query heads share one head of keys or values.

    Shapes: x (B, H_kv, S, d) -> (B, H_kv * n_rep, S, d); query head h reads head h // n_rep.
    Raises: ValueError where n_rep is below 1. Source: Ainslie et al. 2023, "GQA", section 2.2.

    >>> repeat_kv(torch.tensor([[[[1.0]], [[2.0]]]]), n_rep=2).flatten()
    tensor([1., 1., 2., 2.])
    """
    ...


# %% tags=["check"]
repeat_kv = check("architectures.repeat_kv", repeat_kv)
# hint("architectures.repeat_kv")
# solution("architectures.repeat_kv")

# %% [markdown]
# Your four parts are what the models of this lesson compute with. Two models read 64 tokens, each into its cache.

# %%
newer = architectures.Parts(rotary=rotary, rms_norm=rms_norm, swiglu=swiglu, repeat_kv=repeat_kv)
ids = torch.randint(len(VOCAB), (1, 64), generator=generator(3))  # (B, T)
for name in ("Model 5", "GQA"):
    model = architectures.ModernTransformer(runs.ON_STORIES[name], generator(0), newer)
    caches = [attention.KVCache() for _ in model.h]
    with torch.no_grad():
        model(ids, kv_cache=caches)
    print(f"{name:<7} {sum(c.nbytes for c in caches):,} bytes of keys and values")

# %% [markdown]
# A quarter: four query heads on one head of keys, the ratio of Llama 3. Is it worth as much? Now the race.
#
# ## The race
#
# **Question.** Which of the four makes a model better, and by how much?
#
# A fair race needs rules. Every model gets as many operations as Model 5 in 300 steps (a cheaper one takes more steps). Each
# may choose its learning rate, of two. Each runs with three seeds. All are judged on stories that none has seen.

# %% tags=["display"]
# @title Predict: the race
predict(
    "architectures.race",
    "Which single change lowers the loss of Model 5 most?",
    ["RoPE", "RMSNorm", "SwiGLU", "GQA"],
)


# %% [markdown]
# Two of the six run here, with a new seed and your functions. The learning rate of each is the best one of the record.

# %% tags=["nbval-ignore-output"]
def best_rate(name):
    rows = [row for row in record["parts"] if row["name"] == name and row["seed"] == 2]
    return rows[0]["lr"]  # only the best rate was run with this seed


live = {}
for name in ("Model 5", "all four"):
    config = runs.ON_STORIES[name]
    steps = runs.equal_steps(config)
    _, live[name] = runs.learn_stories(config, steps, best_rate(name), seed=3, parts=newer)
    print(f"{name:<9} {steps} steps   loss {live[name]:.2f} nats")

# %% tags=["display"]
# @title Measured: each change against Model 5
three = {name: runs.at_best_rate(record["parts"], name, "loss") for name in runs.ON_STORIES}
means = {name: statistics.mean(losses) for name, losses in three.items()}
fig, ax = subplots(figsize=(9, 4.0))
ax.axvspan(min(three["Model 5"]), max(three["Model 5"]), color="gray", alpha=0.2)
for row, (name, losses) in enumerate(three.items()):
    ax.plot(losses, [row] * 3, "o", color=COLORS["blue"], alpha=0.6, markersize=9)
    if name in live:
        ax.plot(live[name], row, "D", color=COLORS["orange"], markersize=8)
        assert min(losses) - 0.05 < live[name] < max(losses) + 0.05
ax.set(xlabel="loss on unseen stories (nats)")
ax.set_yticks(range(6), list(three))
ax.invert_yaxis()
show(fig, "Loss of six models, dots for three seeds, diamonds for two runs here, Model 5's range grey.")
perfect = stories(seed=1, n_tokens=20_481).surprisal[1:].mean().item()  # whoever knows the grammar
assert round(perfect, 2) == 0.78 and max(three["RoPE"]) < min(three["Model 5"])
assert means["all four"] > means["RoPE"]
assert all(abs(means[name] - means["Model 5"]) < 0.03 for name in ("RMSNorm", "SwiGLU", "GQA"))
for name, mean in means.items():
    print(f"{name:<9} {mean:.3f}   against Model 5: {mean - means['Model 5']:+.3f}")
single = {name: means[name] for name in architectures.CHANGES}
claims.measure("M1", [three["RoPE"], three["Model 5"]],
               shown=f"{single['RoPE']:.3f} against {means['Model 5']:.3f} nats, three seeds",
               reason="At this size and after this little training.")
claims.measure("M2", round(single["RMSNorm"] - means["Model 5"], 3), reason="Difference in nats.")
claims.measure("M3", [three["SwiGLU"], three["Model 5"]],
               shown=f"{single['SwiGLU']:.3f} against {means['Model 5']:.3f} nats, three seeds",
               reason="Its published gain is a few hundredths, on models far larger.")
claims.measure("M4", round(single["GQA"] - means["Model 5"], 3),
               reason="The difference in nats, at a quarter of the cache.")
reveal("architectures.race", min(single, key=single.get))

# %% [markdown]
# Only RoPE is clearly ahead: with every seed it is better than Model 5's best. RMSNorm, SwiGLU and GQA stay within a few
# hundredths of a nat of Model 5, no more than seeds differ. That is what RMSNorm and GQA promise: as good, for less. SwiGLU's
# published gain is a few hundredths, too, on models more than a thousand times as large; here it does not show. All four
# together are no better than RoPE alone.
#
# All models of this race are short of training: a perfect model would reach 0.78 nats on these stories. What is ahead after
# 300 steps *learns faster*; it need not be ahead in the end.
#
# ## Many MLPs, of which each token uses one
#
# **Question.** Most numbers of a model are in its MLPs, and every token pays for all of them. Must it?
#
# In a **mixture of experts**, each block has many MLPs, the experts, and a token uses only a few of them. A small matrix that
# scores the experts for each token is the **router**. A model then has two sizes: **active parameters** are those that one
# token uses, and all of them together are the total.

# %% tags=["display"]
# @title A mixture of experts, as a diagram
d = Diagram()
token_box = d.box("token x", 0, 0, color="yellow")
router_box = d.box("router: a score each", 0, 1.8, width=3.8, color="green")
expert_boxes = [
    d.box(f"expert {e}", 2.6 * e - 3.9, 3.8, color="orange" if e == 2 else "sky") for e in range(4)
]
sum_box = d.box("x + weight · what it says", 0, 5.8, width=4.6, color="blue")
d.arrow(token_box, router_box)
for e, box in enumerate(expert_boxes):
    d.arrow(router_box, box, dashed=e != 2)
d.arrow(expert_boxes[2], sum_box)
d.picture(
    "A token goes to the router, which scores four experts. Only the best, expert 2, computes; what it "
    "says is multiplied with the router's weight and added to the token."
)


# %% [markdown]
# ### Exercise 5 · the router
#
# *Difficulty 2 of 3 · 8 minutes*

# %% tags=["exercise"]
def route(logits: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Choose k experts for each token, and how much each counts.

    A softmax over all E experts gives each a probability. The k most probable are chosen, the
    likeliest first, and each counts with its probability as it is: the k need not sum to 1.
    Shapes: logits (n, E) -> weights (n, k), experts (n, k) whole numbers. Raises: ValueError unless
    1 <= k <= E. Source: Fedus et al. 2021, "Switch Transformers", for k = 1.

    >>> weights, experts = route(torch.tensor([[0.0, 2.0, 1.0], [3.0, 0.0, 0.0]]), k=2)
    >>> experts[0].tolist(), [round(w, 2) for w in weights[0].tolist()]
    ([1, 2], [0.67, 0.24])
    """
    ...


# %% tags=["check"]
route = check("architectures.route", route)
# hint("architectures.route")
# solution("architectures.route")

# %% [markdown]
# **Why not make the k weights sum to 1?** With k = 1 the weight would always be 1, whatever the router says. How would it
# learn? Compare the gradients that reach the scores:

# %%
scores = torch.tensor([[0.5, 1.0, -1.0]], requires_grad=True)  # (n, E)
weights, experts = route(scores, k=1)
for name, weight in (("as it is", weights), ("made to sum to 1", weights / weights.sum())):
    (slope,) = torch.autograd.grad(weight.sum(), scores, retain_graph=True)
    print(f"{name:<17} gradient {[round(g, 2) for g in slope[0].tolist()]}")


# %% [markdown]
# No gradient, no learning. (Mixtral takes k = 2 and does make them sum to 1: then the *ratio* of the two still learns.)
#
# A router could also send everything to one expert: it gets better, so it gets more. A **load-balancing loss**
# is added to the training loss and grows with how unevenly the experts are used.
#
# ### Exercise 6 · the load-balancing loss
#
# *Difficulty 3 of 3 · 10 minutes*

# %% tags=["exercise"]
def load_balance(logits: Tensor, experts: Tensor) -> Tensor:
    """Measure how unevenly the experts are used: 1 where all get the same, E where one gets all.

    It is E times the sum over the experts of f · p. f is the share of all choices that went to this
    expert (a count, no gradient), p the mean probability that the router gives it.
    Shapes: logits (n, E), experts (n, k), the chosen ones -> a number (a tensor without dimensions).
    Source: Fedus et al. 2021, "Switch Transformers", equation 4.

    >>> sure = torch.tensor([[100.0, 0.0], [0.0, 100.0]])
    >>> load_balance(sure, torch.tensor([[0], [1]])), load_balance(sure[:1], torch.tensor([[0]]))
    (tensor(1.), tensor(2.))
    """
    ...


# %% tags=["check"]
load_balance = check("architectures.load_balance", load_balance)
# hint("architectures.load_balance")
# solution("architectures.load_balance")

# %% [markdown]
# **Where should experts help?** Where there is much to *know* and little to compute. So: 4,096 facts without any rule. Each
# pair of a subject and a relation has a random answer. Three models differ in the MLP only: a narrow one; 16 such experts, of
# which each fact uses one; and one that is 16 times as wide.

# %% tags=["display"]
# @title Predict: who knows the facts?
predict(
    "architectures.facts",
    "The narrow MLP ends up knowing about a quarter of the facts. 16 experts of this size, one used for "
    "each fact, know …",
    {"as many": (0, 0.4), "about half": (0.4, 0.8), "nearly all": (0.8, 1.01)},
)

# %%
routed = replace(newer, route=route, load_balance=load_balance)
known, mixed = {}, {}
for name in runs.ON_FACTS:
    rate = next(r["lr"] for r in record["facts"] if r["name"] == name and r["seed"] == 2)
    model, known[name] = runs.learn_facts_with(name, rate, seed=3, parts=routed)
    mixed[name] = model.mix
    print(f"{name:<22} knows {known[name]:.1f}")

# %% tags=["display"]
# @title Measured: facts, and stories
of_facts = {name: runs.at_best_rate(record["facts"], name, "known", max) for name in runs.ON_FACTS}
of_stories = {"dense": three["Model 5"]}
of_stories |= {name: runs.at_best_rate(record["mixtures"], name, "loss") for name in runs.MIXTURES}
fig, (left, right) = subplots(1, 2, figsize=(11, 3.6))
for ax, found, label in ((left, of_facts, "share of the facts that are known"),
                         (right, of_stories, "loss on unseen stories (nats)")):
    for row, values in enumerate(found.values()):
        ax.plot(values, [row] * 3, "o", color=COLORS["blue"], alpha=0.6, markersize=9)
    ax.set_yticks(range(3), [name.replace(", ", ",\n") for name in found])
    ax.set(xlabel=label, ylim=(2.5, -0.5))
for row, (name, value) in enumerate(known.items()):
    left.plot(value, row, "D", color=COLORS["orange"], markersize=8)
    assert min(of_facts[name]) - 0.05 < value < max(of_facts[name]) + 0.05
show(fig, "Left: facts known by a dense MLP, 16 experts, a wide MLP. Right: the same on stories, loss.")
knows = {name: statistics.mean(values) for name, values in of_facts.items()}
tells = {name: statistics.mean(values) for name, values in of_stories.items()}
print(f"{'facts':<24} {'known':>6} {'in the MLP':>12} {'active':>8}")
for name, mix in mixed.items():
    active = numbers(mix)
    if "experts" in name:
        active = numbers(mixed["dense"]) + numbers(mix.router)
    print(f"{name:<24} {knows[name]:>6.2f} {numbers(mix):>12,} {active:>8,}")
print(f"{'stories':<24} {'loss':>6} {'in all':>12} {'FLOP':>8}")
for name, loss in tells.items():
    asked = {"dense": "Model 5"}.get(name, name)
    row = next(r for r in record["parts"] + record["mixtures"] if r["name"] == asked)
    print(f"{name:<24} {loss:>6.2f} {row['parameters']:>12,} {row['flop'] / 1e6:>6.0f} M")
busiest = {True: [], False: []}
for r in record["mixtures"]:
    if "experts" in r["name"] and r["lr"] == 1.2e-2:
        busiest[r["balance"] > 0].append(r["largest_share"])
assert max(busiest[True]) <= 0.25 and min(busiest[False]) > 1 / 3
assert 0 < tells["dense"] - tells["dense, 8 times wider"] < 0.02
unbalanced = [r["loss"] for r in record["mixtures"] if r["name"] == "8 experts, no balance"]
assert abs(statistics.mean(unbalanced) - tells["8 experts"]) < 0.02
won = [min(of_facts["16 experts"]) > max(of_facts["dense"]),
       max(of_stories["8 experts"]) < min(of_stories["dense"])]
claims.measure(
    "M5", won,
    shown=f"facts known: {knows['16 experts']:.2f} against {knows['dense']:.2f}; stories: "
          f"{tells['8 experts']:.2f} against {tells['dense']:.2f} nats",
    reason="Better on facts. Our stories hold little to know: a wider MLP is hardly better there.",
)
reveal("architectures.facts", known["16 experts"], ".1f")

# %% [markdown]
# **On facts the experts win**: for the operations of the narrow MLP (and a router) they know what only the 16 times wider MLP
# knows. **On stories they lose.** A likely reason: each expert sees only a part of the tokens, so it learns more slowly. And
# there is little to know: even an MLP 8 times as wide, for four times the operations, gains only about a hundredth of a nat. Experts buy *room to remember*. Large models have much to remember; our stories have not.
#
# Did the balance keep the experts busy?

# %% tags=["nbval-ignore-output"]
router = mixed["16 experts"]
shares = torch.bincount(router.chosen.flatten(), minlength=16) / router.chosen.numel()  # (E,)
print(f"most used expert: {shares.max():.2f} of the facts, least used: {shares.min():.2f}")
for name in ("8 experts", "8 experts, no balance"):
    rows = [r["largest_share"] for r in record["mixtures"] if r["name"] == name and r["lr"] == 1.2e-2]
    print(f"stories, {name:<22} most used: {min(rows):.2f} to {max(rows):.2f}")

# %% [markdown]
# On stories the difference is plain: without the balance one expert takes more than a third of the tokens in each run, with
# it at most a quarter. (An equal share would be an eighth.) Nothing collapsed entirely, and the loss is about the same; on
# many machines, one for each expert, the busiest would make all the others wait.
#
# ## Three families
#
# **Question.** GPT is called decoder-only, BERT encoder-only, the first transformer and T5 encoder-decoder. How different
# are they?
#
# An **encoder** reads a whole text: every position sees every other. A **decoder** writes: each position sees itself and the
# past. A **prefix language model**, or prefix LM, is one stack that does both: the first part of the text, the source, sees all of itself, and the rest
# sees the source and its own past.

# %%
past = attention.causal_mask(12)  # (T, T), True = may look
masks = {
    "decoder-only": past,
    "encoder-only": torch.ones_like(past),
    "prefix LM": transformer_block.architecture_mask("prefix LM", 12, 7),  # source: 0 to 6
    "window of 4": past & ~past.tril(-4),
}


# %% tags=["display"]
# @title Choose a mask: who may look at whom
def draw_mask(mask):
    fig, ax = subplots(figsize=(4.6, 4.2))
    ax.imshow(masks[mask], cmap="Blues", vmin=-0.3, vmax=1.6)
    count = int(masks[mask].sum())
    ax.set(title=f"{mask}: {count} of 144 pairs", xlabel="is looked at", ylabel="looks",
           xticks=range(0, 12, 2), yticks=range(0, 12, 2))
    ax.grid(False)
    return Picture(fig, f"The mask of {mask}: {count} of 144 pairs may look.")


assert [int(m.sum()) for m in masks.values()] == [78, 144, 99, 42]
explore(
    draw_mask,
    mask=widgets.ToggleButtons(options=list(masks), value="prefix LM", description="mask"),
)

# %% [markdown]
# With a **sliding window** each position sees only the last few: Mistral 7B looks 4,096 tokens back in each layer. A cache of
# that size is enough, and what lies further back must travel from layer to layer, one window each.
#
# One set of random weights, three masks. Change the token at place 5: does the output at place 2 notice? Change place 10:
# does place 8?

# %%
stack = transformer_block.Transformer(runs.ON_STORIES["Model 5"], generator(0)).eval()
row, notices = ids[:, :12], {}
for kind in ("decoder-only", "encoder-only", "prefix LM"):
    for token, place in ((5, 2), (10, 8)):
        changed = row.clone()
        changed[0, token] += 1
        moved = (stack(changed, mask=masks[kind]) - stack(row, mask=masks[kind]))[0, place]
        notices[kind, token] = moved.abs().max().item()
    print(f"{kind:<13} 2 moves by {notices[kind, 5]:.3f}   8 moves by {notices[kind, 10]:.3f}")


# %% [markdown]
# Inside the source (place 5 of 7) the prefix LM is an encoder, behind it a decoder. So one stack with a mask reads like an
# encoder-decoder. But a real one is *two* stacks with weights of their own. Then how does the decoder see the source?
#
# ## One text looks into another
#
# In **cross-attention** the queries come from the text that is written, and the keys and values from another text, the source.
#
# ### Exercise 7 · cross-attention
#
# *Difficulty 2 of 3 · 6 minutes*

# %% tags=["exercise"]
def cross_attention(x: Tensor, source: Tensor, w_q: Tensor, w_k: Tensor, w_v: Tensor) -> Tensor:
    """One head that looks into another text: queries from x, keys and values from the source.

    Each position of x may look at the whole source.
    Shapes: x (..., T, d_model), source (..., S, d_model), w_q and w_k (d_model, d), w_v
    (d_model, d_v) -> (..., T, d_v). Matrices of several heads, (H, d_model, d), with x and source
    as (B, 1, …), give (B, H, T, d_v). Source: Vaswani et al. 2017, section 3.2.3.

    >>> x, zero = torch.eye(2), torch.zeros(2, 4)
    >>> source = torch.tensor([[1.0, 0.0], [3.0, 0.0], [8.0, 0.0]])
    >>> cross_attention(x, source, zero, zero, w_v=torch.eye(2)).tolist()
    [[4.0, 0.0], [4.0, 0.0]]
    """
    ...


# %% tags=["check"]
cross_attention = check("architectures.cross_attention", cross_attention)
# hint("architectures.cross_attention")
# solution("architectures.cross_attention")

# %% tags=["display"]
# @title An encoder-decoder, as a diagram
d = Diagram()
source_box = d.box("source: R, leo", 0, 0, width=3, color="yellow")
encoder_box = d.box("encoder: sees all", 0, 3.6, width=3.4, color="green")
written_box = d.box("written: oe", 6.5, 0, width=3, color="yellow")
self_box = d.box("causal attention", 6.5, 1.8, width=3.4, color="sky")
cross_box = d.box("cross-attention", 6.5, 3.6, width=3.4, color="orange")
mlp_box = d.box("MLP", 6.5, 5.4, color="sky")
out_box = d.box("next: l", 6.5, 7.2, color="blue")
for start, end, name in ((source_box, encoder_box, ""), (written_box, self_box, ""),
                         (self_box, cross_box, ""), (cross_box, mlp_box, ""), (mlp_box, out_box, "")):
    d.arrow(start, end, name)
d.arrow(encoder_box, cross_box)
d.note("keys, values", 3.25, 4.0)
d.picture(
    "The source goes through the encoder. The written part goes through causal attention, then "
    "cross-attention, whose keys and values come from the encoder, then an MLP, to the next letter."
)

# %% [markdown]
# Before attention, translators were two recurrent networks: one read the source into a *single vector*, the other wrote from
# it (Sutskever and others 2014). Bahdanau and others (2014) let the writer look back at all positions instead.
#
# A task for both: a command, copy or reverse, then eight random letters; write them in that order. Which letters come is
# random, so nothing can be memorised.

# %% tags=["display"]
# @title Predict: a single vector between
predict(
    "architectures.vector",
    "With cross-attention to all nine positions the model writes nearly all letters right. "
    "If the decoder gets one vector of the encoder (64 numbers for eight letters), it writes …",
    {"nearly all": (0.9, 1.01), "more than a third": (0.35, 0.9), "about one in 27": (0, 0.1)},
)

# %%
bridged = replace(newer, cross_attention=cross_attention)
right = {}
for kind in ("encoder-decoder", "one vector between"):
    writer = architectures.learn_orders(kind, steps=500, seed=3, parts=bridged)
    right[kind] = architectures.right_letters(writer)
    print(f"{kind:<19} {right[kind]:.1f} of the letters right")

# %% tags=["display"]
# @title Measured: four ways from one text to another
seen = {name: [] for name in architectures.FAMILIES}
for r in record["families"]:
    seen[r["name"]].append(r["right"])
sizes = {r["name"]: r["parameters"] for r in record["families"]}
fig, ax = subplots(figsize=(9, 3.4))
for row, (name, values) in enumerate(seen.items()):
    ax.plot(values, [row] * 3, "o", color=COLORS["blue"], alpha=0.6, markersize=9)
    if name in right:
        ax.plot(right[name], row, "D", color=COLORS["orange"], markersize=8)
        assert min(values) - 0.1 < right[name] < max(values) + 0.1
ax.set_yticks(range(4), [f"{name}, {sizes[name]:,} numbers" for name in seen])
ax.set(xlabel="share of right letters", xlim=(0, 1.03), ylim=(3.5, -0.5))
assert max(seen["one vector between"]) < 0.8 < min(seen["encoder-decoder"])
assert all(sorted(seen[n])[0] < 0.9 < sorted(seen[n])[1] for n in ("decoder-only", "prefix LM"))
show(fig, "Right letters of four kinds of models, three seeds each; the single vector stays below 0.8.")
for name, values in seen.items():
    print(f"{name:<19} {min(values):.2f} to {max(values):.2f}")
wanted = {("decoder-only", 5): 0, ("decoder-only", 10): 0, ("encoder-only", 5): 1,
          ("encoder-only", 10): 1, ("prefix LM", 5): 1, ("prefix LM", 10): 0}
as_wanted = all((notices[key] > 1e-5) == bool(yes) for key, yes in wanted.items())
extra = sizes["encoder-decoder"] - sizes["prefix LM"]
claims.measure(
    "B7", [as_wanted, extra],
    shown=f"the mask gives all three patterns; the encoder-decoder has {extra:,} numbers more than a "
          "stack as deep",
    reason="True of the attention. An encoder-decoder has weights of its own for source, target and "
           "cross-attention, and the families are trained on different tasks.",
)
reveal("architectures.vector", right["one vector between"], ".1f")

# %% [markdown]
# Eight letters and their order do not fit well into 64 numbers that a decoder can still take apart; with cross-attention it
# looks each letter up when it needs it. The two single stacks also do so, by self-attention over the source: with two of three
# seeds they are near 1, and with the third they are not there yet after 500 steps. So for this task no family is needed; most
# models since GPT-3 are one decoder-only stack.
#
# ## Why attention could grow
#
# **Question.** Recurrent networks had cheap memory: one state. Why did the field leave them for attention, whose tables grow
# with the square of the text? Two things can be counted. First, who has to wait:

# %%
x = torch.randn(1, 256, 64, generator=generator(4))  # (B, T, d)
step, project = nn.GRUCell(64, 64), nn.Linear(64, 192)  # the second makes queries, keys and values
state, calls = torch.zeros(1, 64), []
with step.register_forward_hook(lambda *_: calls.append("GRU")):
    for t in range(256):
        state = step(x[:, t], state)  # needs the state of the step before
with project.register_forward_hook(lambda *_: calls.append("attention")):
    q, k, v = project(x).chunk(3, dim=-1)  # (B, T, d) each, all positions at once
print({name: calls.count(name) for name in ("GRU", "attention")})


# %% [markdown]
# A recurrent network waits 256 times. That holds for reading and training; writing is one by one for both. Second, the memory
# that the tables need. Torch must keep for the gradients what its way back will use; we count these bytes.

# %%
def kept(work):
    sizes = {}

    def pack(tensor):
        sizes[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        return work(), sum(sizes.values())


# %% [markdown]
# Both ways at three lengths, with four heads:

# %%
bytes_of, error = {}, {}
for T in (512, 1024, 2048):
    qkv = torch.randn(3, 1, 4, T, 64, generator=generator(T), requires_grad=True)
    q, k, v = qkv.unbind()  # (B, H, T, d) each
    by_hand, hand = kept(lambda: attention.attention(q, k, v, attention.causal_mask(T)))
    fused, fast = kept(lambda: F.scaled_dot_product_attention(q, k, v, is_causal=True))
    bytes_of[T] = hand, fast
    error[T] = (by_hand - fused).abs().max().item()
    print(f"T = {T:4}   by hand {hand / 2**20:6.1f} MiB   fused {fast / 2**20:4.1f} MiB")

# %% tags=["display"]
# @title How the memory grows
hand, fast = bytes_of[2048]
assert hand > 3.5 * bytes_of[1024][0] and fast < 2.1 * bytes_of[1024][1]
fig, ax = subplots(figsize=(8, 3.6))
for row, (name, mark) in enumerate({"by hand": "o-", "fused": "s--"}.items()):
    ax.loglog(list(bytes_of), [pair[row] / 2**20 for pair in bytes_of.values()], mark, label=name)
ax.set_xticks(list(bytes_of), list(bytes_of))
ax.minorticks_off()
ax.set(xlabel="T, positions", ylabel="MiB kept for the gradients")
ax.legend()
show(fig, "Memory against T: by hand it grows with the square of T, with the fused kernel like T.")
claims.measure(
    "A4", [max(error.values()), fast / hand],
    shown=f"equal within 2e-6; at 2048 positions {fast / 2**20:.0f} MiB instead of {hand / 2**20:.0f}",
    reason="How much faster the kernel is depends on the machine.",
)
claims.measure(
    "A6", [calls.count("GRU"), calls.count("attention")],
    shown="256 steps that wait for each other, against one",
    reason="True for reading and training; generating is one by one for both. Attention's "
           "arithmetic grows with T².",
)

# %% [markdown]
# Twice the text: four times the memory by hand, twice the memory with the fused kernel of lesson 04 (FlashAttention, Dao and
# others 2022). Its *arithmetic* still grows with the square; only another attention, such as a window, changes that.
#
# ## What we verified
#
# Each claim with its source.

# %% tags=["display"]
# @title The claims
claims.show()

# %% tags=["display", "progress"] slideshow={"slide_type": "skip"}
# @title Your exercises
exercises.progress("architectures")

# %% [markdown]
# **What this lesson leaves out.** Our models have two blocks and read small stories; a difference of a hundredth of a nat here
# says little about billions of parameters. Not shown: RoPE beyond the length of training, experts on several machines, state
# space models, and attention that compresses its keys. The pointer task of the first edition has gone; lesson 15 shows what a
# head must do to find a place.
#
# ## Further reading
#
# - Su and others 2021, [RoFormer](https://arxiv.org/abs/2104.09864); Zhang and Sennrich 2019, [Root Mean Square Layer Normalization](https://arxiv.org/abs/1910.07467); Shazeer 2020, [GLU Variants Improve Transformer](https://arxiv.org/abs/2002.05202).
# - Shazeer 2019, [Fast Transformer Decoding](https://arxiv.org/abs/1911.02150); Ainslie and others 2023, [GQA](https://arxiv.org/abs/2305.13245); [The Llama 3 Herd of Models](https://arxiv.org/abs/2407.21783).
# - Shazeer and others 2017, [Outrageously Large Neural Networks](https://arxiv.org/abs/1701.06538); Fedus and others 2021, [Switch Transformers](https://arxiv.org/abs/2101.03961); Jiang and others 2024, [Mixtral of Experts](https://arxiv.org/abs/2401.04088).
# - Sutskever and others 2014, [Sequence to Sequence Learning](https://arxiv.org/abs/1409.3215); Bahdanau and others 2014, [Jointly Learning to Align and Translate](https://arxiv.org/abs/1409.0473); Raffel and others 2020, [T5](https://arxiv.org/abs/1910.10683).
# - Jiang and others 2023, [Mistral 7B](https://arxiv.org/abs/2310.06825): the sliding window; Dao and others 2022, [FlashAttention](https://arxiv.org/abs/2205.14135).
