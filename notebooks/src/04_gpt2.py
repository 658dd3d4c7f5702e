# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 4 · GPT-2 on GPU: put it together, weigh it, let it speak, break it
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/OWNER--SET-ME/llm-inside/blob/main/notebooks/04_gpt2.ipynb)
#
# <!-- speaker: Ask for three guesses before anything runs: how many lines is GPT-2, where are its weights, and what does one token cost? -->
# **What is a GPT-2, in code, in weights, in work, and which of its matrices can you destroy before it stops making sense?** In notebook 3 you
# built the block. Here you stack blocks into the whole model and prove that it is GPT-2's. Then you count it, price it, let a
# trained one tell stories, look into its weights, and break them one matrix at a time.
#
# **Time.** Running: about two minutes on CPU. On a GPU the last section fills itself with that GPU's timings. Reading and exercises: about three hours.
#
# **What you will be able to do**
# - write GPT-2 in fifteen lines, and load weights that somebody else trained;
# - say from the configuration alone how many parameters, how much memory and how much arithmetic a model takes;
# - turn logits into text with temperature, top-k, top-p and min-p, and say what each one does;
# - test what a matrix is good for, with a number and its uncertainty;
# - time a model honestly, and tell whether arithmetic or memory holds it back.
#
# **Prerequisites.** Notebooks 2 (attention) and 3 (the block).

# %% [markdown]
# On Colab, first choose *File → Save a copy in Drive*: without a copy, what you write is lost when you close the page.
# Then run this cell. On Colab it installs the course's small package; on your own machine it does nothing.

# %% tags=["setup"]
from importlib.util import find_spec
if not find_spec("course_utils"):  # on Colab: install it, leave torch as it is
    # %pip install -q "course-utils @ git+https://github.com/OWNER--SET-ME/llm-inside@main"
assert find_spec("course_utils") and __import__("course_utils").__version__.startswith("2."), "Edition 2 of the course is not installed. If pip failed, it says above why: most often there is no network, or Python is older than 3.11. If another edition is in the way, run %pip uninstall -y course-utils. Then restart the kernel and begin again."

# %% [markdown]
# The model is in `course_utils.gpt2`, the counting in `course_utils.census`, the way from logits to text in `course_utils.sampling`, the
# breaking in `course_utils.lesion`. You build the main pieces here.

# %% tags=["imports"]
import math
import re
import textwrap
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import ipywidgets as widgets
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from course_utils import census, gpt2, lesion, sampling
from course_utils import transformer as tr
from course_utils.classroom import (
    COLORS, Claims, Picture, device, explore, generator, pick, progress, show, subplots, timed,
)
from course_utils.corpus import ID, VOCAB, entropy_per_token, next_token_distribution
from course_utils.corpus import ngram_entropy, stories
from course_utils.exercises import check, hint, solution
from course_utils.gpt2 import GPT, SIZES, GPTConfig
from course_utils.memory import if_it_fits, step_peak
from course_utils.precision import half_precision
from course_utils.storyteller import BOYS, GIRLS, Teller
from course_utils.trained import trained
from course_utils.training import evaluate, token_batches, train
from course_utils.transformer_block import Block, LayerNorm

claims = Claims("04")


# %% [markdown]
# ## Two tables and a stack of blocks
#
# **Question.** You have the block. What is still missing for GPT-2?
#
# A table with a vector for each token (`wte`), a table with a vector for each position (`wpe`), the blocks (`h`) one after the other, a last LayerNorm, and a
# head that scores every token of the vocabulary. The head has no weights of its own: it is *tied*, it uses the token table a second time.
#
# **B** is the number of texts, **T** the number of positions, **V** the size of the vocabulary, `d_model` the number of features.

# %%
class ShortGPT(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.wte = nn.Embedding(config.vocab_size, config.n_embd)  # a vector for each token
        self.wpe = nn.Embedding(config.n_positions, config.n_embd)  # and one for each position
        self.h = nn.ModuleList(Block(config) for _ in range(config.n_layer))
        self.ln_f = LayerNorm(config.n_embd)

    def forward(self, ids):  # (B, T)
        x = self.wte(ids) + self.wpe(torch.arange(ids.size(1)))  # (B, T, d_model)
        for block in self.h:
            x = block(x)
        return self.ln_f(x) @ self.wte.weight.T  # (B, T, V)


# %% [markdown]
# That is all of GPT-2. The finished `GPT` in `course_utils.gpt2` is the same, with a cache, clear errors and ways to load weights. Do they agree, with the same
# random weights?

# %%
sizes = dict(vocab_size=100, n_positions=32, n_embd=48, n_layer=3, n_head=4)
gpt = GPT(GPTConfig(**sizes), generator(0))
with torch.device("meta"):  # "meta": shapes without numbers; the numbers come from the other model
    short = ShortGPT(GPTConfig(**sizes))
left_over = short.load_state_dict(gpt.state_dict(), strict=False, assign=True).unexpected_keys
print("not needed:", left_over)

# %% [markdown]
# And is it Model 5, the last rung of the ladder in notebook 3? The same seed gives both the same weights.

# %%
model_5 = tr.Transformer(tr.ladder(5, **sizes), generator(0))
ids = torch.randint(100, (2, 32), generator=generator(1))  # (B, T)
torch.testing.assert_close(short(ids), gpt(ids))
torch.testing.assert_close(model_5(ids), gpt(ids))
print("ShortGPT, GPT and Model 5 give the same logits:", tuple(gpt(ids).shape))


# %% [markdown]
# ### Exercise 1 · take over somebody's weights
#
# *Difficulty 2 of 3 · 10 minutes*
#
# A model is its code and its numbers. OpenAI's numbers come with other names than ours and, for four matrices of each block, the other way round: OpenAI kept a linear map as
# (in, out), `nn.Linear` keeps it as (out, in). All matrices called `c_attn`, `c_proj` or `c_fc` are concerned, and no other. Beware: one of them is square. Nothing would complain.

# %% tags=["exercise"]
def convert_weights(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rename and turn the tensors of transformers' GPT-2, so that they fit into `GPT`.

    "transformer." is left out of the names, and so are the stored causal masks, "….attn.bias" and
    "….attn.masked_bias". OpenAI's Conv1D keeps its matrices as (in, out), nn.Linear as (out, in): the
    "….weight" of every c_attn, c_proj and c_fc is transposed. Source: transformers, GPT2LMHeadModel.

    >>> state = {"transformer.h.0.mlp.c_fc.weight": torch.zeros(2, 8)}
    >>> {name: tuple(x.shape) for name, x in convert_weights(state).items()}
    {'h.0.mlp.c_fc.weight': (8, 2)}
    """
    ...


# %% tags=["check"]
check("gpt2.convert_weights", convert_weights)
# hint("gpt2.convert_weights")
# solution("gpt2.convert_weights")

# %% [markdown]
# Whatever you wrote, the notebook goes on with ours. **Is it GPT-2?** The library `transformers` has the original. We take one with random weights and GPT-2's width, two blocks high and with 5,000 tokens (more would take
# longer to build and show the same). Loading the library takes a few seconds.

# %%
from transformers import GPT2Config, GPT2LMHeadModel

with torch.random.fork_rng():
    torch.manual_seed(0)
    layout = GPT2Config(n_layer=2, vocab_size=5000, bos_token_id=0, eos_token_id=0)
    theirs = GPT2LMHeadModel(layout).eval()

# %% [markdown]
# Its weights go through the conversion into our model. Then both read the same tokens.

# %%
config = GPTConfig.preset("gpt2", n_layer=2, vocab_size=5000)
ours = GPT.from_state(config, gpt2.convert_weights(theirs.state_dict())).eval()
ids = torch.randint(config.vocab_size, (2, 64), generator=generator(0))  # (B, T)
with torch.no_grad():
    gap = (ours(ids) - theirs(ids).logits).abs().max()
print("all logits agree to 1e-4:", gap.item() < 1e-4)

# %% [markdown]
# **How much does the direction of the square matrix matter?** We turn it back in one block and look at the logits.

# %%
turned = GPT.from_hf(theirs).eval()  # a copy of the weights, by the same conversion
square = turned.h[0].attn.c_proj.weight  # (d_model, d_model)
square.data = square.data.T
gap = (turned(ids) - theirs(ids).logits).abs().max()
print("off by more than one nat somewhere:", gap.item() > 1)

# %% [markdown]
# No error, no warning, another function. That is why you compare outputs, not shapes.
#
# ## Weigh it
#
# **Question.** GPT-2 came in four sizes. "GPT-2 small has 124 million parameters": where are they?
#
# **Predict.** Is more of GPT-2 small in the attention, in the MLPs, or in the tables?
#
# The shapes are enough to know. With *L* blocks, *d* features, *V* tokens and *P* positions, each tensor's size can be written down. To check, we make the
# models on the *meta device*, where tensors have a shape and no memory, and count what is there.

# %%
small = GPTConfig.preset("gpt2")
expected, found = census.predicted(small), census.counted(census.on_meta(small))
for part, formula in census.FORMULAS.items():
    print(f"{part:<20} {formula:<21} {expected[part]:>12,} {found[part]:>12,}")
print(f"{'together':<42} {sum(expected.values()):>12,} {sum(found.values()):>12,}")
assert expected == found


# %% [markdown]
# The left column is the formula, the right one was counted. The head counts 0: its weights are the token table's, and a tensor counts once.
#
# ### Exercise 2 · count without a model
#
# *Difficulty 2 of 3 · 10 minutes*
#
# The configuration is enough. All fields that you need are in its signature: `vocab_size`, `n_positions`, `n_embd`, `n_layer`.

# %% tags=["exercise"]
def count_parameters(config: GPTConfig) -> int:
    """Say how many parameters a GPT-2 has, from its configuration alone.

    They are the two embeddings, all matrices and biases of the blocks, all LayerNorms, and the
    head unless it is tied. The MLP is config.n_inner wide, or 4 * n_embd where that is None.
    Source: Radford et al. 2019, section 2.3; the counts are those of the released weights.

    >>> count_parameters(GPTConfig.preset("gpt2"))
    124439808
    """
    ...


# %% tags=["check"]
check("gpt2.count_parameters", count_parameters)
# hint("gpt2.count_parameters")
# solution("gpt2.count_parameters")

# %% [markdown]
# Now all four sizes, and the shares.

# %%
counts = {name: census.counted(census.on_meta(GPTConfig.preset(name))) for name in SIZES}
total = {name: sum(parts.values()) for name, parts in counts.items()}
for name, parts in counts.items():
    assert total[name] == census.count_parameters(GPTConfig.preset(name))
    attention, mlp = (parts[f"{kind} weights"] / total[name] for kind in ("attention", "MLP"))
    print(f"{name:<12} {SIZES[name][0]} blocks {total[name]:>14,}  ", end="")
    print(f"attention {attention:.2%}, MLP {mlp:.2%}")

# %% [markdown]
# Two claims are decided: the sizes, and the number of blocks.

# %%
claims.add(
    "G1", "the four sizes of GPT-2", source="GPT-2's published weights", measured=list(total.values()),
    published=[124_439_808, 354_823_168, 774_030_080, 1_557_611_200],
)
claims.add(
    "G4", "GPT-2 large has 48 blocks", source="lecture", published=48, measured=SIZES["gpt2-large"][0],
    reason="That is the number of gpt2-xl. GPT-2 large has 36, GPT-2 small 12, GPT-3 96.",
)

# %% [markdown]
# Now in shares. The smallest parts are not drawn.

# %%
shares = {name: {part: n / total[name] for part, n in parts.items()} for name, parts in counts.items()}
groups = {
    "token table": ["token embedding"], "positions": ["position embedding"],
    "attention": ["attention weights", "attention biases"], "MLP": ["MLP weights", "MLP biases"],
}

# %% [markdown]
# **Look** at what grows with the size, and what shrinks.

# %%
fig, ax = subplots(figsize=(9, 3.4))
left = [0.0] * 4
for group, color in zip(groups, ("sky", "yellow", "blue", "orange"), strict=True):
    width = [sum(shares[name][part] for part in groups[group]) for name in SIZES]
    ax.barh(list(SIZES), width, left=left, color=COLORS[color], label=group)
    left = [a + b for a, b in zip(left, width, strict=True)]
ax.set(xlabel="share of the parameters", xlim=(0, 1))
ax.invert_yaxis()
fig.legend(*ax.get_legend_handles_labels(), loc="outside upper center", ncols=4)
tables = [shares[name]["token embedding"] for name in SIZES]
assert min(left) > 0.999 and tables == sorted(tables, reverse=True)
show(fig, f"Shares: the token table falls from {tables[0]:.0%} to {tables[-1]:.0%}, the MLPs grow most.")

# %% [markdown]
# In the small model the table of tokens is nearly a third. It grows like *d*, the blocks grow like *L·d²*: in the largest the blocks are nearly everything, and most of that is MLP.
#
# A public course gives the shares of the weights in attention and MLP, for the smallest and the largest.

# %%
wanted = [(name, part) for name in ("gpt2", "gpt2-xl") for part in ("attention weights", "MLP weights")]
claims.add(
    "G2", "share of attention and MLP weights, small and xl, in percent",
    source="public course (M. X. Cohen)", published=[22.75, 45.5, 31.56, 63.11],
    measured=[100 * shares[name][part] for name, part in wanted], tolerance=0.01,
)

# %% [markdown]
# And LayerNorm? "Less than 0.01 %", says the lecture.

# %%
norms = [100 * shares[name]["LayerNorm"] for name in SIZES]
print("LayerNorm:", ", ".join(f"{share:.3f} %" for share in norms))
claims.add(
    "G3", "LayerNorm is less than 0.01 % of the parameters", source="lecture", published="< 0.01 %",
    measured=" / ".join(f"{share:.3f} %" for share in norms), holds=max(norms) < 0.01,
    reason="Two to three times as much. Still nothing: the message holds, the figure does not.",
)


# %% [markdown]
# ### The tying trap
#
# **Question.** A public course counts 163,037,184 parameters for the same small GPT-2. Who is right?
#
# There are two ways to tie a head, and they look alike:
#
# - `lm_head.weight = wte.weight` — one parameter with two names;
# - `lm_head.weight = nn.Parameter(wte.weight)` — a *second* parameter that, for now, sits on the same memory.
#
# **Predict.** Which of the two is still tied after the model was moved, to a GPU say, or to another number format?

# %%
def tied(how):
    model = nn.ModuleDict({"wte": nn.Embedding(50, 8), "lm_head": nn.Linear(8, 50, bias=False)})
    model.lm_head.weight = how(model.wte.weight)
    return model


def same_memory(model):
    return model.lm_head.weight.data_ptr() == model.wte.weight.data_ptr()


for name, how in (("wte.weight", lambda weight: weight), ("nn.Parameter(wte.weight)", nn.Parameter)):
    model = tied(how)
    before, after = same_memory(model), same_memory(model.to(torch.float64))  # a move, as .to("cuda") is
    print(f"lm_head.weight = {name:<25} tied: {before}, after the move: {after}")

# %% [markdown]
# The second way is tied until the first move, and from then on it is two tables that are trained apart. Nobody is told. The count shows it at once.

# %%
with torch.device("meta"):
    trap = GPT(small)
    trap.lm_head.weight = nn.Parameter(trap.wte.weight)
untied = sum(p.numel() for p in trap.parameters())
print(f"with the trap {untied:,}, tied {total['gpt2']:,}")
print(f"the difference is V·d = {untied - total['gpt2']:,}")

# %% [markdown]
# Our `GPT` ties again after every move, whatever the move did.

# %%
moved = GPT(GPTConfig(**sizes), generator(0)).to(torch.float64)
print("ours is still tied after a move:", moved.lm_head.weight is moved.wte.weight)
claims.add(
    "G5", "GPT-2 small has 163,037,184 parameters", source="public course (M. X. Cohen)",
    published=163_037_184, measured=total["gpt2"],
    reason=f"That counts the tied table twice ({untied:,}): nn.Parameter(wte.weight) is a second "
           "parameter, and with the first .to(device) the two part.",
)

# %% [markdown]
# ### What it takes in memory
#
# **Question.** GPT-2 small has 124 million numbers of 4 bytes, half a gigabyte. Why does training it not fit into 2 GB?
#
# Training keeps, besides the weights: a gradient for each, two running means for each (that is *Adam*, the optimizer), and the *activations*: what the layers computed on the way up, because the way
# down needs it. The first three depend on the model only. Activations grow with the number of tokens in the batch, and the logits with *V* for each of them. Where the way down begins, there are three such tables at once: the log-probabilities, their gradient, and the gradient of the logits.

# %%
lengths, colors = (128, 256, 512, 1024), ("blue", "sky", "green", "orange", "yellow")
memory = {(B, T): census.training_memory(small, B, T) for B in (1, 8) for T in lengths}  # bytes by kind
for (B, T), kinds in memory.items():
    if T == 1024:
        print(f"{B} × {T} tokens, GiB:", {kind: round(n / 2**30, 1) for kind, n in kinds.items()})

# %% [markdown]
# Not all of it is there at the same time: on the way down the gradients come while the activations go. `census.training_peak` says what is needed at most. In the picture that is the black line; the bars are what each kind takes at its own fullest moment.
#
# **Predict** from the two lines above how the bars for shorter texts look.

# %%
fig, axes = subplots(1, 2, figsize=(10, 3.8), sharey=True)
peak = {(B, T): census.training_peak(small, B, T) / 2**30 for B, T in memory}
for ax, B in zip(axes, (1, 8), strict=True):
    bottom = [0.0] * len(lengths)
    for key, color in zip(memory[1, 128], colors, strict=True):
        height = [memory[B, T][key] / 2**30 for T in lengths]
        ax.bar([str(T) for T in lengths], height, bottom=bottom, color=COLORS[color], label=key)
        bottom = [a + b for a, b in zip(bottom, height, strict=True)]
    ax.plot([peak[B, T] for T in lengths], "_-", color="black", markersize=16, label="at most at once")
    ax.set(title=f"batch of {B}", xlabel="tokens in each text")
axes[0].set_ylabel("memory (GiB)")
axes[0].legend()
one, eight = peak[1, 1024], peak[8, 1024]
assert eight > 2 * one
show(fig, f"Memory against length: {one:.1f} GiB for one text of 1024, {eight:.1f} GiB for eight.")

# %% [markdown]
# Those are predictions from shapes. **Do they hold?** PyTorch can tell what it keeps for the way down: a hook sees each tensor that is saved. We ask it, for a model that is small enough to run.

# %%
middle = GPTConfig(n_layer=4, n_head=4, n_embd=128, vocab_size=1000, n_positions=256)
gpt, rows = GPT(middle, generator(0)), torch.randint(1000, (4, 128), generator=generator(1))
kept, predicted = census.saved_activations(gpt, rows), census.training_memory(middle, B=4, T=128)
predicted["logits"] //= 3  # before the way down: the log-probabilities alone
for key, n_bytes in kept.items():
    print(f"{key:<12} kept {n_bytes / 2**20:6.1f} MiB, predicted {predicted[key] / 2**20:6.1f}")
    assert abs(predicted[key] / n_bytes - 1) < 0.05


# %% [markdown]
# And the whole step? A GPU's allocator counts what it has given out. On a CPU we count ourselves: `step_peak` notes the result of every operator for as long as it lives, and says how much was alive at most.

# %%
counted = step_peak(GPT(middle, generator(0)), rows)
expected_peak = census.training_peak(middle, B=4, T=128)
print(f"predicted {expected_peak / 2**20:.1f} MiB, counted {counted / 2**20:.1f}")
assert abs(expected_peak / counted - 1) < 0.03

# %% [markdown]
# GPT-2 small, eight texts, two lengths. This cell needs a GPU; one with little memory has no room for the longer one.

# %%
CUDA = device().type == "cuda"
on_gpu, sizes_there = pick(cpu=(middle, ((4, 128),)), gpu=(small, ((8, 256), (8, 1024))))
for B, T in sizes_there if CUDA else ():
    expected_peak = census.training_peak(on_gpu, B, T)
    rows_there = torch.zeros(B, T, dtype=torch.long, device="cuda")
    counted = if_it_fits(lambda x=rows_there: step_peak(GPT(on_gpu, generator(0)).to("cuda"), x))
    said = f"counted {counted / 2**30:.2f}" if counted else "more than there is room for"
    print(f"{B} × {T}: predicted {expected_peak / 2**30:.2f} GiB, {said}")
if not CUDA:
    print("No CUDA device here: the prediction stands alone.")

# %% [markdown]
# If memory is short, there are three ways out. *Checkpointing* throws the activations of a block away and computes them again on the way down. *bfloat16* is a format that keeps a number in 2 bytes instead of 4.
# A smaller batch, with the gradients of several added up, is the third.

# %%
for name, options in {"plain": {}, "checkpointing": dict(checkpointing=True)}.items():
    kept = census.training_memory(small, B=8, T=1024, **options)["activations"]
    print(f"{name:<14} activations {kept / 2**30:.1f} GiB")

# %% [markdown]
# The price is one more forward pass. The result is the same.

# %%
gradient = {}
for gpt.checkpointing in (False, True):
    gpt.zero_grad()
    gpt(rows).logsumexp(-1).mean().backward()
    gradient[gpt.checkpointing] = gpt.h[0].mlp.c_fc.weight.grad.clone()
torch.testing.assert_close(gradient[True], gradient[False])
print("checkpointing gives the same gradients")


# %% [markdown]
# ### What it takes in arithmetic
#
# **Question.** How much work is one token?
#
# A matrix of *m* × *n* times a vector is *m·n* multiplications and as many additions: 2·*m·n* floating-point operations (*FLOP*). So each weight of a matrix costs 2 FLOP a token.
# On the way down there are two such products for each one on the way up (one for the input, one for the weights). Together 6 FLOP for each parameter and token: the rule of thumb **6*N***.
#
#
# ### Exercise 3 · count the work
#
# *Difficulty 3 of 3 · 12 minutes*
#
# Count the matrix products: those with weights, in the blocks and in the head, and the two that make attention, queries with keys and weights with values. For the latter, each position meets *T* others.

# %% tags=["exercise"]
def flops_per_token(config: GPTConfig, T: int) -> int:
    """Count the FLOPs of all matrix products in a forward pass over T tokens, for each token.

    A weight of a matrix takes 2, in the blocks and in the head, tied or not; embeddings are looked
    up and take none. Each block's attention adds 2·d for the scores and 2·d for the average, for
    each of the T positions, causal or not. A training step takes 3 times as many.
    Raises: ValueError for T < 1 or T > n_positions.
    Source: Kaplan et al. 2020, table 1; Chowdhery et al. 2022 (PaLM), appendix B.

    >>> flops_per_token(GPTConfig.preset("gpt2"), T=1024)
    284812800
    """
    ...


# %% tags=["check"]
check("gpt2.flops_per_token", flops_per_token)
# hint("gpt2.flops_per_token")
# solution("gpt2.flops_per_token")

# %% [markdown]
# **How good is the thumb?** What it leaves out is the attention maps, which cost more the longer the text is. What it counts too much are the positions and biases.

# %%
for name in ("gpt2", "gpt2-xl"):
    for T in (64, 1024):
        exact = 3 * census.flops_per_token(GPTConfig.preset(name), T)  # once up, twice down
        print(f"{name:<8} T = {T:<5} exact / 6N = {exact / (6 * total[name]):.3f}")

# %% [markdown]
# Right to a percent for short texts, too low by a tenth or more for long ones. Good enough to plan with.
#
# ### What GPT-3 cost
#
# **Question.** The lecture says that training GPT-3 cost about 10 million dollars. Is that so?
#
# GPT-3 has the same architecture as GPT-2 (Brown and others 2020), with 96 blocks of width 12,288, and was trained on 300 billion tokens. **Predict** the number of FLOP: 6 times parameters times tokens.

# %%
n_gpt3 = census.count_parameters(census.GPT3)
flops = census.training_flops(n_gpt3, census.GPT3_TOKENS)
print(f"{n_gpt3 / 1e9:.1f} billion parameters, {census.GPT3_TOKENS / 1e9:.0f} billion tokens")
print(f"{flops:.2e} FLOP")

# %% [markdown]
# FLOP have no price of their own. You rent a machine by the hour; it has a *peak* (FLOP a second at best), and a training run gets a part of it, the *utilisation*. Here are machines with the figures and where they come from.

# %%
cost = {machine.name: census.training_cost(flops, machine) for machine in census.MACHINES}
for machine in census.MACHINES:
    rate = machine.peak * machine.utilisation
    print(f"{machine.name}: {machine.peak / 1e12:.0f} TFLOP/s at {machine.utilisation:.0%}, "
          f"${machine.price:.2f} an hour -> {flops / rate / 3600 / 8760:.0f} machine years, "
          f"{cost[machine.name] / 1e6:.1f} million dollars\n    {machine.source}")

# %% [markdown]
# The same FLOP, very different bills. Let us vary the two numbers that nobody publishes: price and utilisation.

# %%
prices, used = torch.linspace(0.5, 4, 36), torch.linspace(0.1, 0.6, 26)
machine = census.MACHINES[0]
bill = torch.tensor([[census.training_cost(flops, replace(machine, utilisation=u, price=p)) / 1e6
                      for p in prices.tolist()] for u in used.tolist()])

# %% [markdown]
# Each line joins what costs the same. **Predict** how the lines bend.

# %%
fig, ax = subplots(figsize=(8, 4))
lines = ax.contour(prices, used, bill, levels=[1, 2, 3, 5, 10, 20], colors="black", linewidths=1.2)
ax.clabel(lines, fmt="%g million")
ax.set(title="GPT-3 on V100s, in dollars", xlabel="price (dollars an hour)", ylabel="utilisation")
assert bill.min() < 2 and bill.max() > 20
show(fig, "The cost of GPT-3 against price and utilisation: from under 2 to over 20 million dollars.")

# %% [markdown]
# "About 10 million" is one line in that picture. It is right for the prices and utilisations on that line, and nobody outside knows the real ones.

# %%
low, high = min(cost.values()) / 1e6, max(cost.values()) / 1e6
near = [name for name, dollars in cost.items() if abs(dollars / 1e7 - 1) < 0.2]
claims.add(
    "G9", "training GPT-3 cost about 10 million dollars", source="lecture", published="about 10 million",
    measured=f"{low:.1f} to {high:.1f} million for one run, depending on the machine",
    holds=bool(near),
    reason=f"True for {', '.join(near) or 'none of these machines'}. {flops:.1e} FLOP follow from "
           "published sizes; price and utilisation are assumptions. Failed runs, experiments, people "
           "and data are not in it.",
)


# %% [markdown]
# ### A view of all sizes
#
# <!-- speaker: Let them set GPT-2 small first, then ask which single slider makes the bill ten times as high. -->
# **Move the sliders.** Heads are 64 wide, as in all sizes of GPT-2. Try to find a model that fits into 16 GiB of memory for training, a common GPU. Which slider changes memory, but not the parameters? Which changes
# parameters, but hardly the FLOP?

# %%
def bars(ax, values, unit, color, title):
    ax.barh(list(values), list(values.values()), color=COLORS[color])
    ax.set(title=title, xlabel=unit)
    ax.invert_yaxis()
    ax.grid(axis="y", visible=False)


# %% [markdown]
# Those were the bars. The view puts three of them side by side.

# %%
def sized(layers, width, vocabulary, context, batch):
    config = GPTConfig(vocab_size=vocabulary, n_positions=context,
                       n_embd=width, n_layer=layers, n_head=width // 64)
    parts = census.predicted(config)
    weights = {group: sum(parts[part] for part in names) / 1e6 for group, names in groups.items()}
    room = {key: n / 2**30 for key, n in census.training_memory(config, batch, context).items()}
    at_once = census.training_peak(config, batch, context) / 2**30
    work = census.flops_per_token(config, context) / 1e9
    maps, head = 4 * layers * context * width / 1e9, 2 * vocabulary * width / 1e9
    work = {"blocks": work - maps - head, "attention maps": maps, "head": head}
    fig, (left, centre, right) = subplots(1, 3, figsize=(11.5, 3.8))
    n = census.count_parameters(config) / 1e6
    bars(left, weights, "million", "blue", f"{n:,.0f} M parameters")
    bars(centre, room, "GiB", "orange", f"{at_once:,.1f} GiB to train")
    bars(right, work, "GFLOP a token", "green", f"{sum(work.values()):,.2f} GFLOP a token")
    alt = f"{layers} layers, width {width}: {n:,.0f} million parameters, "
    alt += f"{at_once:,.1f} GiB to train, {sum(work.values()):,.2f} GFLOP a token."
    return Picture(fig, alt)


explore(
    sized,
    layers=widgets.IntSlider(12, 1, 96, description="layers"),
    width=widgets.IntSlider(768, 64, 12_288, step=64, description="width"),
    vocabulary=widgets.IntSlider(50_257, 257, 200_000, step=1000, description="vocabulary"),
    context=widgets.IntSlider(1024, 64, 8192, step=64, description="context"),
    batch=widgets.IntSlider(8, 1, 64, description="batch"),
)

# %% [markdown]
# Width counts twice (squared), layers once. Batch and context change the activations and leave the weights alone. A large vocabulary costs a table and, for each token, a row of logits: in a small model those are the largest thing in memory.
#
# ## The first loss
#
# **Question.** Your new model has learned nothing. What loss should it show in its first step, and what does it mean if it shows another?
#
# If it spreads its probability evenly over *V* tokens, the loss is log *V*. The lecture says so, for GPT-2: log 50,257. **Predict** whether the random weights matter.
#
# We make a model of GPT-2 small's real shape, with its 124 million random numbers (2 or 3 seconds), and ask it about random tokens. The model fills half a gigabyte, so it lives in a function, and only
# what it said stays.

# %%
ids = torch.randint(small.vocab_size, (1, 65), generator=generator(1))


def at_birth(start):
    """What the model says before its first step, if its token table is drawn from N(0, start²): logits (T, V)."""
    gpt = census.on_meta(small).to_empty(device="cpu").eval()  # memory, not yet numbers
    tr.init_weights(gpt, small, generator(0))
    with torch.no_grad():
        gpt.wte.weight.normal_(0, start, generator=generator(2))
        return gpt(ids)[0]


# %% [markdown]
# Its loss on 64 random tokens: first with GPT-2's start, a standard deviation of 0.02, then with the standard normal numbers that `nn.Embedding` begins with.

# %%
said, first = {}, {}
for start in (0.02, 1.0):
    said[start] = at_birth(start)
    first[start] = F.cross_entropy(said[start][:-1], ids[0, 1:]).item()
    print(f"token table N(0, {start}²): loss {first[start]:.0f}")
print(f"log V = {math.log(small.vocab_size):.1f}")

# %% [markdown]
# Not a little too high: hundreds of nats. **Why?** The head is tied. The stream at a position is, at the start, mostly the vector of the token that stands there. So the model's highest score goes to
# *that token itself*: the dot product of a vector with itself.

# %%
logits = said[1.0]  # (T, V)
own = logits.gather(-1, ids[0, :, None]).mean()
print("the model says the token that it reads:", torch.equal(logits.argmax(-1), ids[0]))
print(f"its own score is about d_model = {small.n_embd}: {abs(own / small.n_embd - 1) < 0.05}")
print(f"the others lie around 0, spread over {logits.std() / small.n_embd**0.5:.1f} · √d_model")

# %% [markdown]
# It is certain, and wrong. How small must the start be? We go through standard deviations with a small model, where that takes no time.

# %%
deviations = [0.005 * 2**n for n in range(9)]
curve, rows = {True: [], False: []}, torch.randint(middle.vocab_size, (4, 129), generator=generator(1))
for tied in curve:
    for start in deviations:
        fresh = GPT(replace(middle, tie_word_embeddings=tied), generator(0))
        with torch.no_grad():
            fresh.wte.weight.normal_(0, start, generator=generator(2))
        curve[tied].append(evaluate(fresh, [(rows[:, :-1], rows[:, 1:])]))

# %% [markdown]
# Both axes are logarithmic.

# %%
fig, ax = subplots(figsize=(8, 3.8))
ax.plot(deviations, curve[True], "o-", label="head tied to the table")
ax.plot(deviations, curve[False], "s-", label="head of its own, 0.02")
ax.axhline(math.log(middle.vocab_size), color="black", linestyle=":", label="log V")
ax.set(xscale="log", xlabel="standard deviation of the token table")
ax.set(yscale="log", ylabel="first loss (nats)")
ax.legend()
assert curve[True][2] < 7.3 and curve[True][-1] > 50 > 7.5 > curve[False][-1]
show(fig, "First loss against the start: near log V while small; tied, it explodes above about 0.1.")

# %% [markdown]
# With a head of its own nothing happens: only a tied table is asked twice. So: *always look at the first loss*. If it is far above log *V*, the start is wrong, and the first steps of training go into undoing it.

# %%
claims.add(
    "G6", "a fresh model's loss is about log V ≈ 10.8", source="lecture", published="about 10.8",
    measured=f"{first[0.02]:.0f} with GPT-2's start, {first[1.0]:.0f} with N(0, 1) tied embeddings",
    holds=abs(first[0.02] - math.log(small.vocab_size)) < 0.5,
    reason="True with GPT-2's start of 0.02. With standard normal embeddings and a tied head "
           "it is far off.",
)

# %% [markdown]
# ## A trained one: the storyteller
#
# From here on you need trained weights. The course comes with some: the *storyteller*, a GPT-2 with 4 blocks of width 128, trained on the stories that you met in notebook 3. It knows some 700 words and nothing else. But we know its text exactly: the probability of every
# word, and so the loss of a perfect model. A model that was trained on found text cannot offer that.
#
# **The switch.** With `PUBLISHED = True` OpenAI's GPT-2 small takes its place in everything that follows (half a gigabyte from the Hugging Face hub). If the hub does not answer, the storyteller stays, and a line tells you why. What the text says about
# results is about the storyteller.

# %%
PUBLISHED = False

talker, where = trained(PUBLISHED), device()
model, batches, STORIES = talker.model.to(where), talker.batches, talker.best is not None
print("You talk to", talker.note)
print(f"{sum(p.numel() for p in model.parameters()):,} parameters, {len(talker.words):,} tokens")

# %% [markdown]
# **Question.** How good is it? The yardstick of notebook 3: blind guessing, word frequencies, one word back, two words back, and the best possible on the very same text, which the model has never seen.

# %%
text = stories(seed=0, n_tokens=300_000)
yardstick = {"blind": math.log(len(talker.words))}
if STORIES:
    names = ("frequencies", "one word back", "two words back")
    yardstick |= {name: ngram_entropy(text.tokens, n) for n, name in enumerate(names, 1)}
    yardstick["best possible"] = talker.best

# %% [markdown]
# The model reads eight stories that it has not seen.

# %%
loss = evaluate(model, batches)
for name, nats in (yardstick | {"this model": loss}).items():
    print(f"{name:<15} {nats:5.2f} nats")
assert not STORIES or talker.best < loss < yardstick["two words back"]

# %% [markdown]
# It knows more than any table of three words could. **What does it say?** It begins as we tell it to, and goes on by drawing one word after the other.

# %%
opening = "Once upon a time there was a child named Tom. Tom was a"
prompt = talker.encode(opening)[None].to(where)  # (B, T)
story = sampling.generate(model, prompt, n_new=100, generator=generator(0))
print(textwrap.fill(talker.decode(story[0]), 100))

# %% [markdown]
# ### From nothing to words
#
# **Question.** How did it get there? The file that comes with it, its *model card*, has the loss at some steps. We read it, and train a fresh model of the same kind, half as wide and half as deep, for about 10 seconds beside it. It is Model 5 of the
# ladder again.
#
# **Predict.** Which yardsticks will the small run pass?

# %%
card = gpt2.STORYTELLER.with_suffix(".md").read_text(encoding="utf-8")
seen = int(re.search(r"([\d,]+) tokens seen", card)[1].replace(",", ""))
rows = re.findall(r"^\| (\d+) \| ([\d.]+) \|$", card.split("| step |")[1], re.M)
tokens = [int(step) * seen / int(rows[-1][0]) for step, _ in rows]
losses = [float(nats) for _, nats in rows]

# %% [markdown]
# The small run:

# %%
half_size = dict(vocab_size=len(VOCAB), n_positions=64, n_embd=64, n_layer=2, n_head=4)
half = GPT(GPTConfig(**half_size, initializer_range=0.07), generator(0))
live = train(half, token_batches(text.tokens, batch=16, T=64), steps=pick(cpu=250, gpu=1000), lr=6e-3)

# %% [markdown]
# The yardstick, on the text that the small run read:

# %%
marks = {
    "blind": math.log(len(VOCAB)), "one word back": ngram_entropy(text.tokens, 2),
    "two words back": ngram_entropy(text.tokens, 3), "entropy": entropy_per_token(),
}

# %% [markdown]
# Both runs against the tokens that they had read. A straight axis would hide the beginning, so it is logarithmic.

# %%
fig, ax = subplots(figsize=(9, 4.6))
ax.plot(tokens, losses, "o-", label="storyteller (card)")
ax.plot(live.tokens, live.losses, linewidth=1, label="half as wide, live")
for name, nats in marks.items():
    ax.axhline(nats, color="black", linestyle=":", linewidth=1.2)
    ax.text(1100, nats + 0.06, name)
ax.set(xscale="log", xlim=(1000, None), xlabel="tokens read", ylim=(0, 7.5), ylabel="loss (nats)")
ax.legend()
assert abs(live.losses[0] - marks["blind"]) < 0.5 and live.losses[-1] < marks["one word back"]
assert marks["entropy"] < losses[-1] < live.losses[-1]
show(fig, "Two loss curves from log V down; the small run passes 'one word back', the large one more.")

# %% [markdown]
# Both begin at log *V*, as they should. The first large drop is word frequencies, the second pairs of words; the rest takes most of the training. The storyteller comes close to the entropy. No model goes below it.
#
# How fast was that? Tokens a second depend on your machine, so this line differs from run to run.

# %% tags=["nbval-ignore-output"]
speed = live.tokens[-1] / live.seconds[-1]
n_half = sum(p.numel() for p in half.parameters())
print(f"about {speed:,.0f} tokens a second, {6 * n_half * speed / 1e9:.0f} GFLOP/s by the rule 6N")

# %% [markdown]
# ## From logits to text
#
# **Question.** A model gives a score for each token. Which token do you write?
#
# After our opening, what comes next? The model's probabilities, and beside them the true ones: of a story we know them exactly.

# %%
logits = model(prompt)[0, -1].detach().cpu()  # (V,)
likely = logits.argsort(descending=True)[:12]
names = [talker.words[i] for i in likely]
print("the model would go on with:", ", ".join(names[:5]))

# %% [markdown]
# And with which probabilities?

# %%
fig, ax = subplots(figsize=(9, 3.6))
spots = torch.arange(len(names))
ax.bar(spots - 0.2, logits.softmax(-1)[likely], width=0.4, label="model")
if STORIES:
    truth = next_token_distribution(prompt[0])  # (V,)
    ax.bar(spots + 0.2, truth[likely], width=0.4, label="truth", color=COLORS["orange"])
    assert (logits.softmax(-1) - truth).abs().sum() < 0.5
ax.set(ylabel="probability", title=f"… {opening[-20:]} …")
ax.set_xticks(spots, names, rotation=40, ha="right", parse_math=False)
ax.legend()
show(fig, f"Next-word probabilities, model beside truth; the likeliest word is “{names[0]}”.")


# %% [markdown]
# Now somebody has to choose. The plainest choice is to take the most probable token each time. It is called *greedy*.
#
# ### Exercise 4 · greedy
#
# *Difficulty 1 of 3 · 6 minutes*
#
# Write, read what you wrote, write on. Only the last position's logits know the whole text.

# %% tags=["exercise"]
def greedy(model: nn.Module, ids: Tensor, n_new: int) -> Tensor:
    """Append n_new tokens, always the most probable one, and read the whole text again for each.

    Shapes: ids (B, T) -> (B, T + n_new); the model maps (B, T) to logits (B, T, V).

    >>> greedy(lambda ids: torch.eye(5)[(ids + 1) % 5], torch.tensor([[0], [3]]), n_new=3)
    tensor([[0, 1, 2, 3],
            [3, 4, 0, 1]])
    """
    ...


# %% tags=["check"]
check("gpt2.greedy", greedy)
# hint("gpt2.greedy")
# solution("gpt2.greedy")

# %% [markdown]
# **Predict.** What will be wrong with a text that always takes the likeliest word?

# %%
plain = sampling.greedy(model, prompt, n_new=100)
print(textwrap.fill(talker.decode(plain[0]), 100))
drawn = [sampling.generate(model, prompt, 100, generator(seed)) for seed in (1, 2, 3)]
for name, rows in {"greedy": [plain], "drawn": drawn}.items():
    different = [len(set(row[0, -100:].tolist())) for row in rows]
    print(f"{name}: different words in 100: {', '.join(map(str, different))}")


# %% [markdown]
# It is dull, with few different words, and it is always the same story. If you draw by the probabilities instead, each seed tells another. But a draw also takes, now and then, one of the many very unlikely tokens, of whose probability the model is least sure. So people *cut* or *bend*
# the distribution before they draw. Four ways are in use.
#
# - **Temperature** divides all logits by a number *τ*: below 1 the likely gain, above 1 the unlikely.
# - **Top-k** keeps the *k* largest.
# - **Top-p** keeps the fewest tokens that together have probability *p*.
# - **Min-p** keeps what is at least *p* times as likely as the likeliest.
#
# What is cut gets the logit −∞, so that softmax gives it exactly 0.
#
# ### Exercise 5 · top-k
#
# *Difficulty 1 of 3 · 5 minutes*
#
# Find the *k*-th largest logit of each row; what is below it is cut.

# %% tags=["exercise"]
def top_k(logits: Tensor, k: int) -> Tensor:
    """Keep the k largest logits and cut all others; what ties with the k-th stays, too.

    Shapes: logits (..., V) -> the same, -inf where cut. A k above V cuts nothing.
    Raises: ValueError where k is not a whole number of at least 1. Source: Fan et al. 2018.

    >>> top_k(torch.tensor([1.0, 4.0, 2.0, 3.0]), k=2)
    tensor([-inf, 4., -inf, 3.])
    """
    ...


# %% tags=["check"]
check("gpt2.top_k", top_k)
# hint("gpt2.top_k")
# solution("gpt2.top_k")

# %% [markdown]
# ### Exercise 6 · top-p
#
# *Difficulty 3 of 3 · 12 minutes*
#
# Sort, add up, and watch the token that crosses the line: it stays.

# %% tags=["exercise"]
def top_p(logits: Tensor, p: float) -> Tensor:
    """Keep the fewest tokens whose probabilities add up to p or more (the nucleus) and cut all others.

    Shapes: logits (..., V) -> the same, -inf where cut. The likeliest token always stays.
    Raises: ValueError unless 0 < p <= 1. Source: Holtzman et al. 2020, section 3.1.

    >>> top_p(torch.tensor([0.1, 0.6, 0.3]).log(), p=0.7).exp()
    tensor([0.0000, 0.6000, 0.3000])
    """
    ...


# %% tags=["check"]
check("gpt2.top_p", top_p)
# hint("gpt2.top_p")
# solution("gpt2.top_p")

# %% [markdown]
# ### Exercise 7 · min-p
#
# *Difficulty 1 of 3 · 5 minutes*
#
# This one needs no sorting.

# %% tags=["exercise"]
def min_p(logits: Tensor, p: float) -> Tensor:
    """Cut the tokens that are less likely than p times the likeliest one.

    Shapes: logits (..., V) -> the same, -inf where cut. Raises: ValueError unless 0 <= p <= 1.
    Source: Nguyen et al. 2024, "Turning Up the Heat: Min-p Sampling", section 3.

    >>> min_p(torch.tensor([0.1, 0.6, 0.3]).log(), p=0.4).exp()
    tensor([0.0000, 0.6000, 0.3000])
    """
    ...


# %% tags=["check"]
check("gpt2.min_p", min_p)
# hint("gpt2.min_p")
# solution("gpt2.min_p")

# %% [markdown]
# Here is what each does to the same distribution. *Entropy* is in nats; its exponential is the number of open choices: of a fair die it is 6.

# %%
WAYS = {
    "as it is": {}, "temperature 0.5": dict(temperature=0.5), "temperature 2": dict(temperature=2.0),
    "top-k 3": dict(top_k=3), "top-p 0.6": dict(top_p=0.6), "min-p 0.5": dict(min_p=0.5),
}
p = {name: sampling.distribution(logits, **settings) for name, settings in WAYS.items()}  # each (V,)
choices = {name: sampling.entropy(q).exp().item() for name, q in p.items()}

# %% [markdown]
# Orange is bent. Blue is cut, except for the first picture, which shows the distribution as it is.

# %%
fig, axes = subplots(2, 3, figsize=(10.5, 5), sharex=True, sharey=True)
for ax, (name, q) in zip(axes.flat, p.items(), strict=True):
    ax.bar(range(len(likely)), q[likely], color=COLORS["orange" if "temperature" in name else "blue"])
    ax.set_title(f"{name}: {choices[name]:.1f} open", fontsize=13)
for ax in axes[1]:
    ax.set(xticks=range(len(likely)), xlabel="twelve likeliest tokens", xticklabels=[])
assert choices["temperature 0.5"] < choices["as it is"] < choices["temperature 2"]
show(fig, "Six bar charts of one distribution: temperature bends it, the others cut its tail.")

# %% [markdown]
# ### A view of the choice
#
# **Move the sliders**, and read the twenty draws: they are what the model would write next. Set temperature to its greatest, then bring top-p down. At which setting do all twenty draws agree? Top-k and top-p are off at their right ends, temperature at 1.

# %%
PLACES = {
    "a word like 'kind'": opening,
    "a name": "Once upon a time there was a child named",
    "where to": opening + " kind boy. His best friend was Lily. They walked slowly to the",
}


# %% [markdown]
# `choose` draws the fifteen likeliest tokens under the settings, and takes twenty draws.

# %%
def choose(place, temperature, top_k, top_p):
    ids = talker.encode(PLACES[place])[None].to(where)
    settings = dict(temperature=temperature, top_k=top_k if top_k < 50 else None, top_p=top_p)
    p = sampling.next_token(model, ids, **settings)[0].cpu()  # (V,)
    draws = sampling.draw(p, generator(0), n=20)
    top, h = p.topk(min(15, len(p))), sampling.entropy(p).item()
    fig, ax = subplots(figsize=(9.5, 3.6))
    ax.bar(range(len(top.values)), top.values, color=COLORS["blue"])
    labels = [talker.words[i] for i in top.indices]
    ax.set_xticks(range(len(labels)), labels, rotation=40, ha="right", parse_math=False)
    ax.set(ylabel="probability", title=f"entropy {h:.2f} nats: {math.exp(h):.1f} open choices")
    said = " ".join(talker.words[i].strip() for i in draws)
    below = textwrap.fill("20 draws: " + said, 100)
    fig.supxlabel(below, fontsize=12, style="italic", parse_math=False)
    alt = f"After “{PLACES[place][-20:]}”: entropy {h:.2f} nats, {(p > 0).sum()} tokens left. "
    return Picture(fig, alt + f"Draws: {said}")


explore(
    choose,
    place=widgets.Dropdown(options=list(PLACES), description="what comes next?"),
    temperature=widgets.FloatSlider(1.0, min=0.1, max=3.0, step=0.1, description="temperature"),
    top_k=widgets.IntSlider(50, 1, 50, description="top-k"),
    top_p=widgets.FloatSlider(1.0, min=0.05, max=1.0, step=0.05, description="top-p"),
)


# %% [markdown]
# ### Which setting writes the best stories?
#
# **Question.** Lower temperature is "safer". What does safety cost?
#
# For a story there is a test that needs no taste: could our teller have told it? At the first word that it could not, the story *breaks*: a ball is thrown that nobody has, somebody speaks who is not there. We let the model write 64 stories with each setting.
# Beside the mean number of words before the break we count the different words that are used. **Predict** both for temperature 0.5 and 1.5.

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
# And the 64 stories. A mean over stories has chance in it, so we take its 95 % interval, too.

# %%
def judged(**settings):
    written = sampling.generate(model, prompt.expand(64, -1), 100, generator(0), **settings)
    words = set(written[:, prompt.size(1) :].flatten().tolist())
    lasted = torch.tensor([float(unbroken(row)) for row in written])
    return *lesion.interval(lasted), len(words)  # mean, half width, number of words


# %% [markdown]
# Six settings; it takes about 10 seconds. One draw that falls differently changes a whole story, so your numbers may differ a little.

# %% tags=["nbval-ignore-output"]
settings_to_try = {
    "temperature 0.5": dict(temperature=0.5), "temperature 1": {},
    "temperature 1.5": dict(temperature=1.5), "top-k 5": dict(top_k=5),
    "top-p 0.8": dict(top_p=0.8), "min-p 0.1": dict(min_p=0.1),
}
if STORIES:
    quality = {name: judged(**how) for name, how in progress(settings_to_try.items(), "stories")}
    for name, (lasted, half_width, words) in quality.items():
        print(f"{name:<16} words before the break {lasted:3.0f} ± {half_width:2.0f}   "
              f"different words {words}")
    cold, plain_way, hot = (quality[f"temperature {t}"] for t in ("0.5", "1", "1.5"))
    assert cold[0] - cold[1] > hot[0] + hot[1] and cold[2] < plain_way[2] < hot[2]
    assert all(quality[name][2] < plain_way[2] for name in ("top-k 5", "top-p 0.8", "min-p 0.1"))


# %% [markdown]
# That is the trade: what breaks less says less. Compare the lower three with temperature 1: a cut tail costs words for certain. Whether it makes stories last longer, 64 stories cannot tell: the intervals overlap. There is no best setting without saying what you want.
#
# ### Exercise 8 · say it once
#
# *Difficulty 2 of 3 · 8 minutes*
#
# Another tool against dull loops: make tokens that occurred less likely. Mind the sign: a negative logit becomes *less* likely by multiplication.

# %% tags=["exercise"]
def repetition_penalty(logits: Tensor, ids: Tensor, penalty: float) -> Tensor:
    """Make tokens that occurred less likely: divide positive logits, multiply negative ones.

    Shapes: logits (B, V), ids (B, T) -> (B, V). A token counts once, however often it occurred.
    Raises: ValueError unless penalty > 0. Source: Keskar et al. 2019, "CTRL", section 4.1.

    >>> repetition_penalty(torch.tensor([[2.0, -2.0, 2.0]]), ids=torch.tensor([[0, 1, 0]]), penalty=2.0)
    tensor([[ 1., -4.,  2.]])
    """
    ...


# %% tags=["check"]
check("gpt2.repetition_penalty", repetition_penalty)
# hint("gpt2.repetition_penalty")
# solution("gpt2.repetition_penalty")

# %% [markdown]
# **Predict** what a strong penalty does to a story in which people keep their names.

# %%
for penalty in (1.0, 1.5, 3.0):
    ids = sampling.generate(model, prompt, 60, generator(0), repetition_penalty=penalty)
    repeats = 60 - len(set(ids[0, -60:].tolist()))
    broken = f", words before the break: {unbroken(ids[0])}" if STORIES else ""
    print(f"penalty {penalty}: repeated words {repeats} of 60{broken}")


# %% [markdown]
# Names, "the" and full stops *have* to be repeated. The penalty cannot tell a loop from grammar, and a story breaks early.
#
# ### One seed, one text
#
# <!-- speaker: Ask who has ever got two different answers from one model with one prompt. Where did the difference come from? -->
# Chance comes from a generator with a seed. The same seed gives the same text, another seed another one.

# %%
def tell(seed, **options):
    return sampling.generate(model, prompt, 60, generator(seed), **options)


print("seed 7 twice gives the same text:", torch.equal(tell(7), tell(7)))
print("seeds 7 and 8 give the same text:", torch.equal(tell(7), tell(8)))
print("seed 7 without the cache gives the same text:", torch.equal(tell(7), tell(7, cached=False)))

# %% [markdown]
# **What is that cache?** For each new token the plain loop reads the whole text again. But keys and values of the past do not change: the mask sees to that (notebook 2). With a cache the model keeps them and reads one token. The text is the same.
#
# **What does it save?** For each new token we count the positions that the model reads, and we take the time. The model has random weights, which cost as much as trained ones. **Predict** the two curves.

# %%
roomy = GPT(replace(middle, n_positions=384), generator(0)).eval()
took, reads = {}, {False: [], True: []}
for cached in progress((False, True), "with and without cache"):
    clock, count = [time.perf_counter()], reads[cached]
    watch = lambda table, args, count=count: count.append(args[0].numel())
    with roomy.wte.register_forward_pre_hook(watch):
        sampling.generate(roomy, torch.zeros(1, 1, dtype=torch.long), 360, cached=cached,
                          on_token=lambda n, clock=clock: clock.append(time.perf_counter()))
    seconds = torch.tensor(clock, dtype=torch.float64).diff()  # for each of 360 tokens
    took[cached] = seconds.view(9, 40).mean(-1)

# %% [markdown]
# Positions read in all, for 360 tokens:

# %%
print(f"without a cache {sum(reads[False]):,}, with one {sum(reads[True])}")

# %% [markdown]
# On the right is the time on your machine: the mean of 40 tokens at a time, each curve divided by its own first point. On a computer that does other things as well it may look wild. The left side is the same everywhere.

# %%
fig, (left, right) = subplots(1, 2, figsize=(10, 3.8))
for cached, name, style in ((False, "without", "-"), (True, "with", "--")):
    left.plot(range(1, 361), reads[cached], style, label=f"{name} cache")
    right.plot(range(40, 361, 40), took[cached] / took[cached][0], f"o{style}", label=f"{name} cache")
left.set(xlabel="tokens so far", ylabel="positions read for a token")
right.set(xlabel="tokens so far", ylabel="time for a token (first = 1)", ylim=(0, None))
left.legend()
assert reads[False] == list(range(1, 361)) and reads[True] == [1] * 360
show(fig, "Positions read for one more token: 1 to 360 without a cache, always 1 with one. Right: times here.")

# %% [markdown]
# The price is memory: keys and values of all layers. For GPT-2 small and one text of 1024 tokens:

# %%
for name in SIZES:
    config = GPTConfig.preset(name)
    print(f"{name:<12} cache {census.kv_cache_bytes(config, B=1, T=1024) / 2**20:4.0f} MiB, "
          f"weights {4 * total[name] / 2**20:5.0f} MiB")

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
    weights = [w for name in lesion.MATRICES for w in lesion.matrices(gpt, layer, name)]
    return dict(zip(KINDS, (w.detach().cpu() for w in weights), strict=True))  # the MLP has two


# %% [markdown]
# In the table, each column is a block, from the first to the last.

# %%
n_layer = model.config.n_layer
now, then = ([matrices(gpt, layer) for layer in range(n_layer)] for gpt in (model, start))
tails = {kind: [lesion.excess_kurtosis(layer[kind]) for layer in now] for kind in KINDS}
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
# Grey is what chance alone would do to a matrix of 128 × 128. **Read it**: which matrices grew most? Those that write into the stream, *W_O* and the second one of the MLP: they began smallest (notebook 3). And the spread grows with depth.
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
    height, edges = torch.histogram((w - w.mean()) / w.std(), bins=81, range=(-10.1, 10.1), density=True)
    label = f"{name}, {lesion.tail_share(w):.2%} beyond 3"
    ax.step(edges[:-1] + 0.125, height, where="mid", label=label)
z = torch.linspace(-5, 5, 201)
ax.plot(z, (-(z**2) / 2).exp() / math.sqrt(2 * math.pi), ":", color="black", label="normal, 0.27 %")
ax.set(yscale="log", ylim=(1e-5, 1), xlabel="standard deviations from the mean", ylabel="density")
ax.set_title(f"{kind} of block {layer}")
ax.legend(loc="upper left")
assert not STORIES or lesion.tail_share(now[layer][kind]) > lesion.tail_share(then[layer][kind])
show(fig, f"Density of the weights of {kind}, block {layer}: trained ones reach further out.")


# %% [markdown]
# Is the lecture right, that trained weights have heavier tails, and that they change with depth?

# %%
def heavier_than_chance(blocks):
    weights = [block[kind] for block in blocks for kind in KINDS]
    return sum(lesion.excess_kurtosis(w) > 2 * (24 / w.numel()) ** 0.5 for w in weights)


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

# %% [markdown]
# ### What do positions look like?
#
# In notebook 3 positions were waves, made by hand. Here the model learned a vector for each of its positions. **Predict**: will neighbours be alike?

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

# %% [markdown]
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
experiments = [(matrix, order) for matrix in lesion.MATRICES for order in ORDERS]
print("with 3 layers, from the top down:", lesion.spreading(3, "W_Q", "downwards"))

# %% [markdown]
# A damage is a list of pairs (block, matrix). Some occur in two orders; each is done once.

# %%
damages = {tuple(sorted(damage)): damage for matrix, order in experiments
           for damage in lesion.spreading(layers, matrix, ORDERS[order])}
test = batches if STORIES else [(x[:1, :128], y[:1, :128]) for x, y in batches]  # large model: less text
print(f"{len(damages)} damages, {len(seeds)} seeds, {test[0][1].numel():,} tokens of test text")

# %% [markdown]
# One block at a time, then more and more of them from the bottom up and from the top down. It takes about 20 seconds. (With the published GPT-2 it takes minutes, unless you have a GPU.)

# %%
whole = evaluate(model, test)
rise = {key: lesion.loss_rise(model, damage, test, seeds, whole)
        for key, damage in progress(damages.items(), "breaking", total=len(damages))}
hurt = {(matrix, order): torch.stack([rise[tuple(sorted(damage))] for damage in
                                      lesion.spreading(layers, matrix, ORDERS[order])])
        for matrix, order in experiments}  # each (layers, seeds)

# %% [markdown]
# Each number is the mean over the seeds.

# %%
for matrix in lesion.MATRICES:
    means = hurt[matrix, "one block alone"].mean(-1).tolist()
    print(f"{matrix:<4}", "  ".join(f"block {n}: {mean:+.1f}" for n, mean in enumerate(means)), "nats")

# %% [markdown]
# The picture has the intervals. Mind the logarithmic axis: what is low there is *very* low.

# %%
fig, axes = subplots(1, 3, figsize=(11.5, 4.2), sharey=True)
for ax, order in zip(axes, ORDERS, strict=True):
    for n, matrix in enumerate(lesion.MATRICES):
        centre, half = zip(*(lesion.interval(row) for row in hurt[matrix, order]), strict=True)
        x = [layer + 0.1 * (n - 2) for layer in range(1, layers + 1)]
        ax.errorbar(x, centre, yerr=half, fmt="o-", capsize=3, linewidth=1.4, label=matrix)
    alone = order == "one block alone"
    ax.set(title=order, yscale="log", ylim=(0.02, 12), xticks=range(1, layers + 1))
    ax.set_xlabel("which block" if alone else "blocks broken")
    if alone:
        ax.set_xticklabels(range(layers))
axes[0].set_ylabel("rise of the loss (nats)")
axes[0].legend(ncols=2, fontsize=11)
single = {m: hurt[m, "one block alone"].mean(-1) for m in lesion.MATRICES}  # each (layers,)
assert not STORIES or single["W_Q"].min() < 0.3 < single["W_V"].max() < single["MLP"].max()
show(fig, "Rise of the loss by matrix and block, with intervals: the MLP of block 0 hurts most by far.")

# %% [markdown]
# **Which block you hit decides.** So "how many blocks can be hit?" has no single answer: one number of blocks, two orders, two results. Three more things can be read off.

# %%
mean_rise = {m: rises.mean().item() for m, rises in single.items()}
print("mean over the blocks:", ", ".join(f"{m} {nats:+.1f}" for m, nats in mean_rise.items()))
print(f"W_Q: least in block {single['W_Q'].argmin()}, most in block {single['W_Q'].argmax()}")
together = {m: hurt[m, "from the bottom up"][-1].mean().item() for m in lesion.MATRICES}
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
more = [by_kind(lesion.lesioned(model, [(layer, "W_Q")], generator(0))) - by_kind(model)
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
    victim = lesion.lesioned(model, damage, generator(0)) if damage else model
    return sampling.generate(victim, prompt, n)[0]  # greedy: what differs comes from the damage


# %% [markdown]
# With the storyteller, and 60 words after our opening:

# %%
lasted = {}
for order in list(ORDERS)[1:]:
    steps = [[], *lesion.spreading(layers, "W_Q", ORDERS[order])]
    lasted[order] = [unbroken(spoken(damage)) if STORIES else 0 for damage in steps]
    nats = [0.0, *hurt["W_Q", order].mean(-1).tolist()]
    print(f"W_Q broken {order}:")
    for n, (words, more) in enumerate(zip(lasted[order], nats, strict=True)):
        print(f"   blocks broken: {n}   +{more:.1f} nats   words before the text breaks: {words}")

# %% [markdown]
# Roughly, yes. But a text hangs on one opening, and a single wrong name ends it; the loss looks at every token of the test text, and comes with an interval. Two damages of the same loss can break after very different numbers of words.

# %%
one = [lesion.interval(row) for row in hurt["W_Q", "one block alone"]]  # (mean, half width) by block
least, most, every = min(one)[0], max(one)[0], together["W_Q"]
claims.add(
    "G8", "with noise in place of W_Q the text survives some blocks",
    source="public course (M. X. Cohen)", published="survives; no metric given",
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
         for n, damage in enumerate(lesion.spreading(layers, matrix, ORDERS[order]), 1)}


# %% [markdown]
# The dot is your choice, with its interval in the title; below it is what the model says.

# %%
def broken(matrix, order, blocks):
    fig, ax = subplots(figsize=(9.5, 4.2))
    for name in lesion.MATRICES:
        y = hurt[name, order].mean(-1)
        color, label = (COLORS["vermillion"], matrix) if name == matrix else ("#BBBBBB", None)
        ax.plot(range(1, layers + 1), y, "o-", color=color, label=label, zorder=3 if label else 2)
    mean, half = lesion.interval(hurt[matrix, order][blocks - 1])
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
    matrix=widgets.ToggleButtons(options=lesion.MATRICES, value="W_Q", description="matrix"),
    order=widgets.ToggleButtons(options=list(ORDERS), value="from the top down", description="order"),
    blocks=widgets.IntSlider(max(1, layers - 1), 1, layers, description="blocks"),
)

# %% [markdown]
# ## CPU against GPU
#
# **Question.** How much faster is a GPU, and how would you know?
#
# The lecture measured on a GPU and a CPU: making GPT-2 small took 1.5 s and 1.2 s, five forward passes over 8 × 1024 tokens 0.03 s and 20 s, with the way back 1.6 s and more than 60 s. One of these numbers cannot be right. You will find it with a pencil.
#
# ### The trap: ordered is not done
#
# The CPU does not wait for a GPU. A line such as `y = model(x)` puts work into the GPU's queue and returns. If you read the clock then, you have timed the *ordering*. You can see that without any GPU: take a second worker with a queue.

# %% tags=["nbval-ignore-output"]
big = torch.randn(1500, 1500, generator=generator(0))
with ThreadPoolExecutor(max_workers=1) as worker:  # plays the GPU
    begun = time.perf_counter()
    orders = [worker.submit(torch.mm, big, big) for _ in range(5)]  # returns at once
    ordered = time.perf_counter() - begun
    results = [order.result() for order in orders]  # waits: this is synchronising
    done = time.perf_counter() - begun
print(f"when the orders were given, {ordered / done:.1%} of the time had passed")


# %% [markdown]
# On a real GPU the waiting is called `torch.cuda.synchronize()`. `timed`, which this course uses everywhere, waits before it reads the clock, warms up first, and gives the median. Where you have a GPU, this cell times the lecture's five forward passes both ways; elsewhere it says so.

# %%
@torch.inference_mode()
def five_passes(dtype):
    gpu = GPT(on_gpu, generator(0)).to("cuda", dtype)
    ids = torch.zeros(*sizes_there[-1], dtype=torch.long, device="cuda")  # 8 × 1024
    gpu(ids)  # warm up
    torch.cuda.synchronize()
    begun = time.perf_counter()
    for _ in range(5):
        gpu(ids)
    ordered = time.perf_counter() - begun  # the trap
    torch.cuda.synchronize()
    return ordered, time.perf_counter() - begun


# %% [markdown]
# In float32, and in the shorter format that your GPU computes best in:

# %% tags=["nbval-ignore-output"]
if CUDA:
    for dtype in dict.fromkeys((torch.float32, half_precision("cuda"))):
        seconds = if_it_fits(lambda dtype=dtype: five_passes(dtype))
        said = "{:.3f} s without waiting, {:.3f} s with" if seconds else "no room for it"
        print(f"{dtype}:", said.format(*seconds or ()))
else:
    print("No CUDA device here: nothing to show.")

# %% [markdown]
# ### The floor: what arithmetic allows
#
# Each number format has a peak that NVIDIA publishes for its A100: 19.5 TFLOP/s in float32, 156 in TF32 (float32 with short products), 312 in bfloat16. No program is faster. How long do five forward passes over 8 × 1024 tokens need at least? **Predict** whether 0.03 s is possible.

# %%
tokens = 5 * 8 * 1024
maps = 4 * small.n_layer * 1024 * small.n_embd  # a causal kernel may skip half of them: leave them out
work = tokens * (census.flops_per_token(small, T=1024) - maps)
for name, peak in (("float32", 19.5e12), ("TF32", 156e12), ("bfloat16", 312e12)):
    possible = round(work / peak, 2) <= 0.03
    print(f"A100, {name:<9} {work / peak:.3f} s at least; 0.03 s is possible: {possible}")

# %% [markdown]
# Only in the shortest format, and only at its full peak, which no model reaches. PyTorch computes in float32 by default, and there the floor is more than ten times the published number. All fits a clock that was read too early: the 0.03 s are the ordering, and the 1.6 s of the way back
# hold the forward passes as well, because somebody had to wait in the end.

# %%
floor = work / 19.5e12
claims.add(
    "G7", "five forward passes of 8 × 1024 tokens take 0.03 s on a GPU",
    source="lecture", published="0.03 s",
    measured=f"at least {floor:.2f} s of float32 arithmetic at an A100's peak",
    holds=floor <= 0.03,
    reason="Most likely not synchronised: the clock was read when the work had been ordered. The other "
           "times of that table need its GPU; the section below measures yours.",
)

# %% [markdown]
# ### The roof: arithmetic or memory?
#
# A machine has two limits: how fast it computes (FLOP a second), and how fast it fetches numbers from memory (bytes a second). Each job does some FLOP for every byte that it fetches, its *intensity*. Below a certain intensity memory is the limit, above it arithmetic. That is the *roofline* (Williams and others 2009).
#
# For a forward pass each weight is fetched once and used for every token: 2·*B·T* FLOP for its 4 bytes. **Predict**: which job has the lowest intensity, reading a text or writing one token?

# %%
shape = pick(cpu=GPTConfig(n_layer=3, vocab_size=8192), gpu=small)
head = shape.vocab_size * shape.n_embd  # scored at the last position only
blocks = census.count_parameters(shape) - head - shape.n_positions * shape.n_embd
print(f"blocks {blocks / 1e6:.0f} million parameters, head {head / 1e6:.0f} million")

# %% [markdown]
# The jobs, as texts × tokens. Writing reads one token of each text at a time, the last one.

# %%
JOBS = {
    "read 16 tokens": (1, 16), "read 128 tokens": (1, 128), "read 4 × 128 tokens": (4, 128),
    "write a token": (1, 1), "write 16 texts at once": (16, 1),
}
flop = {job: 2 * B * (T * blocks + head) for job, (B, T) in JOBS.items()}
intensity = {job: n / (4 * (blocks + head)) for job, n in flop.items()}  # 4 bytes a weight
for job, value in intensity.items():
    print(f"{job:<24} {value:5.1f} FLOP a byte")


# %% [markdown]
# Now measure: the two limits of each machine at hand, and the jobs. On a CPU we take a model of GPT-2 small's width, three blocks high. It takes about 10 seconds.

# %%
@torch.inference_mode()
def limits(place):
    n = pick(cpu=1024, gpu=1024 if place == "cpu" else 8192)  # a GPU needs a long product
    size = pick(cpu=2**25, gpu=2**25 if place == "cpu" else 2**28)  # more than a cache holds
    a, long = torch.randn(n, n, generator=generator(0)).to(place), torch.zeros(size, device=place)
    product = min(timed(lambda: a @ a) for _ in range(3))  # seconds
    fetch = min(timed(lambda: long.sum()) for _ in range(3))
    return 2 * n**3 / product, long.nbytes / fetch  # FLOP/s, bytes/s


# %% [markdown]
# And the jobs, in seconds:

# %%
def jobs(place):
    gpt = GPT(shape, generator(0)).to(place)
    ids = {job: torch.zeros(B, T, dtype=torch.long, device=place) for job, (B, T) in JOBS.items()}
    with torch.inference_mode():
        seconds = {job: timed(lambda rows=rows: gpt(rows, last=True), repeats=3)
                   for job, rows in ids.items()}
    train_rows = ids["read 128 tokens"]
    seconds["read and learn"] = timed(lambda: gpt(train_rows).logsumexp(-1).sum().backward(), repeats=3)
    seconds["read, keeping all logits"] = timed(lambda: gpt(train_rows).logsumexp(-1).sum(), repeats=3)
    seconds["make the model"] = timed(lambda: GPT(shape, generator(0)).to(place), repeats=1)
    seconds["make its shapes only"] = timed(lambda: census.on_meta(shape), repeats=1)
    return seconds


# %% [markdown]
# Seconds differ from machine to machine, so the course claims nothing about them. *Utilisation* is the share of the arithmetic's peak that a job reaches.

# %% tags=["nbval-ignore-output"]
machines = {"cpu": limits("cpu")} | ({"cuda": limits("cuda")} if CUDA else {})
measured = {place: jobs(place) for place in progress(machines, "timing")}
for place, (peak, bandwidth) in machines.items():
    print(f"{place}: {peak / 1e9:,.0f} GFLOP/s, {bandwidth / 1e9:.0f} GB/s")
    for job, seconds in measured[place].items():
        share = flop[job] / seconds / peak if job in JOBS else None
        print(f"   {job:<26} {1e3 * seconds:8.2f} ms", f"{share:6.0%} of the peak" if share else "")

# %% [markdown]
# Where each job stands under the roof of each machine:

# %%
x = torch.logspace(-1, 3, 100)
reached = {place: {job: n / seconds[job] for job, n in flop.items()}  # FLOP/s
           for place, seconds in measured.items()}

# %% [markdown]
# The slope is memory, the flat part arithmetic.

# %%
fig, axes = subplots(1, 1 + CUDA, figsize=(8 + 3 * CUDA, 4.2), squeeze=False)
for ax, (place, (peak, bandwidth)) in zip(axes[0], machines.items(), strict=True):
    ax.plot(x, (x * bandwidth).clamp(max=peak) / 1e9, color="black", label="what the machine allows")
    for job, color in zip(JOBS, ("sky", "blue", "green", "vermillion", "orange"), strict=True):
        y = reached[place][job] / 1e9
        ax.plot(intensity[job], y, "o", markersize=11, color=COLORS[color], label=job)
    ax.set(xscale="log", yscale="log", xlabel="intensity (FLOP a byte)")
    ax.set(ylabel="GFLOP/s reached", title=place.upper() if CUDA else "")
axes[0, 0].legend()
assert intensity["write a token"] == min(intensity.values())
show(fig, "Roofline: writing one token is far left under the slope, long texts are far to the right.")

# %% [markdown]
# The intensities are counted, so they are the same everywhere. The times are those of your machine now:

# %% tags=["nbval-ignore-output"]
for place, seconds in measured.items():
    learn = seconds["read and learn"] / seconds["read, keeping all logits"]
    share = reached[place]["write a token"] / reached[place]["read 128 tokens"]
    more = seconds["write 16 texts at once"] / seconds["write a token"]
    fetched = 4 * (blocks + head) / machines[place][1] / seconds["write a token"]
    print(f"{place}: writing one token reached {share:.0%} of the FLOP/s of reading")
    print(f"   fetching the weights is {fetched:.0%} of the time that it took")
    print(f"   16 texts at once took {more:.1f} times as long as one")
    print(f"   learning took {learn:.1f} times as long as reading")
    shapes = seconds["make its shapes only"] / seconds["make the model"]
    print(f"   shapes alone: {shapes:.0%} of the time of numbers")

# %% [markdown]
# - **On a CPU, writing is bound by memory.** Every token needs all weights once. Several texts at once share that trip. This is why services answer many people in one batch.
# - **On a fast GPU it may be bound by neither.** A token takes some 175 small jobs (*kernels*), and ordering each takes the CPU a few microseconds. If fetching the weights is a small part of the time, the GPU waits for orders. A *CUDA graph* records all orders once and repeats them with one.
# - **Learning costs about three times reading**: 6*N* against 2*N*.
# - **Making a model** is drawing random numbers, which a file of weights then overwrites. `from_pretrained` makes the shapes only.
# - **A GPU** has a far higher roof, in arithmetic and in memory. A single short text hardly uses it: it needs a batch.
#
# How many times as fast is the GPU, job by job? Where there is one, this cell says so.

# %% tags=["nbval-ignore-output"]
if CUDA:
    speedup = {job: measured["cpu"][job] / measured["cuda"][job] for job in measured["cpu"]}
    print({job: f"{ratio:.1f} times as fast" for job, ratio in speedup.items()})
else:
    print("No CUDA device here: run this notebook on one to fill this in.")

# %% [markdown]
# ## What we verified
#
# Each claim with its source, what was published, and what you measured.

# %%
claims.show()

# %% [markdown]
# **What this notebook leaves out.** The storyteller has 0.7 % of GPT-2 small's parameters and knows one kind of text. Which of its blocks matters for what need not hold for larger models: turn the switch and see. Newer models of this kind differ in positions (rotary), norms (RMSNorm), MLPs (gated) and attention (fewer key heads), and their weights come in 8 or 4
# bits. Notebook 5 asks what happens when all sizes grow together.
#
# ## Further reading
#
# - Radford and others 2019, [Language Models are Unsupervised Multitask Learners](https://cdn.openai.com/better-language-models/language_models_are_unsupervised_multitask_learners.pdf) (GPT-2).
# - Brown and others 2020, [Language Models are Few-Shot Learners](https://arxiv.org/abs/2005.14165) (GPT-3), table 2.1 and appendix D: sizes and FLOP.
# - Kaplan and others 2020, [Scaling Laws for Neural Language Models](https://arxiv.org/abs/2001.08361), section 2.1: the count of FLOP.
# - Press and Wolf 2017, [Using the Output Embedding to Improve Language Models](https://arxiv.org/abs/1608.05859): the tied head.
# - Korthikanti and others 2022, [Reducing Activation Recomputation in Large Transformer Models](https://arxiv.org/abs/2205.05198): what training keeps in memory.
# - Chen and others 2016, [Training Deep Nets with Sublinear Memory Cost](https://arxiv.org/abs/1604.06174): checkpointing.
# - Holtzman and others 2020, [The Curious Case of Neural Text Degeneration](https://arxiv.org/abs/1904.09751): top-p, and why greedy text is dull.
# - Fan, Lewis and Dauphin 2018, [Hierarchical Neural Story Generation](https://arxiv.org/abs/1805.04833): top-k. Nguyen and others 2024, [Turning Up the Heat](https://arxiv.org/abs/2407.01082): min-p.
# - Keskar and others 2019, [CTRL](https://arxiv.org/abs/1909.05858), section 4.1: the repetition penalty.
# - Pope and others 2022, [Efficiently Scaling Transformer Inference](https://arxiv.org/abs/2211.05102): memory, arithmetic and the cache.
# - Williams, Waterman and Patterson 2009, [Roofline](https://doi.org/10.1145/1498765.1498785): an insightful visual performance model.
