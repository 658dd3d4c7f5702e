# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 04 · GPT-2 on GPU: put it together, let it speak, time it
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/OWNER--SET-ME/llm-inside/blob/main/notebooks/04_gpt2.ipynb) · [open this lesson in Colab](https://colab.research.google.com/github/OWNER--SET-ME/llm-inside/blob/main/notebooks/04_gpt2.ipynb)
#
# **What is a GPT-2, in code, and what does a processor do with it?** In lesson 03 you built the block. Here you stack blocks into the whole
# model, prove that it is GPT-2's, train one until it speaks, and time it: on the CPU, and on a GPU where there is one.
#
# **Time.** Running: about two minutes on CPU; about two minutes on a GPU, where the last section fills itself with that GPU's timings. Reading and exercises: about an hour.
#
# **What you will be able to do**
# - write GPT-2 in fifteen lines, and load weights that somebody else trained;
# - say what the first loss of a new model should be, and train a small model until it speaks;
# - time a model honestly, and tell whether arithmetic or memory holds it back.
#
# **Prerequisites.** Lessons 02 (attention) and 03 (the block).

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
# What this lesson builds stands finished in `course_utils.gpt2`. You build the main pieces here.

# %% tags=["imports"]
import math
import re
import textwrap
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from course_utils import exercises, gpt2, model_budget, pretrained, sampling, transformer_block
from course_utils.classroom import (
    COLORS, Claims, device, generator, pick, progress, show, subplots, timed,
)
from course_utils.exercises import check, hint, solution
from course_utils.gpt2 import GPT, GPTConfig
from course_utils.machine.precision import half_precision
from course_utils.model_budget import if_it_fits
from course_utils.pretrained import trained
from course_utils.stories import VOCAB, entropy_per_token, ngram_entropy, stories
from course_utils.training import evaluate, token_batches, train
from course_utils.transformer_block import Block, LayerNorm

claims = Claims("04")

# %% [markdown]
# GPT-2 small, and whether there is a GPU to measure on:

# %%
small = GPTConfig.preset("gpt2")
CUDA = torch.cuda.is_available()
middle = GPTConfig(n_layer=4, n_head=4, n_embd=128, vocab_size=1000, n_positions=256)
on_gpu, sizes_there = pick(cpu=(middle, ((4, 128),)), gpu=(small, ((8, 256), (8, 1024))))
print(f"{small.n_layer} blocks of width {small.n_embd}, {small.vocab_size:,} tokens")


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
# And is it Model 5, the last rung of the ladder in lesson 03? The same seed gives both the same weights.

# %%
model_5 = transformer_block.Transformer(transformer_block.ladder(5, **sizes), generator(0))
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
    "….attn.masked_bias". OpenAI's Conv1D keeps its matrices as (in, out), nn.Linear as (out, in):
    the "….weight" of every c_attn, c_proj and c_fc is transposed. Source: transformers,
    GPT2LMHeadModel.

    >>> state = {"transformer.h.0.mlp.c_fc.weight": torch.zeros(2, 8)}
    >>> {name: tuple(x.shape) for name, x in convert_weights(state).items()}
    {'h.0.mlp.c_fc.weight': (8, 2)}
    """
    ...


# %% tags=["check"]
convert_weights = check("gpt2.convert_weights", convert_weights)
# hint("gpt2.convert_weights")
# solution("gpt2.convert_weights")

# %% [markdown]
# Whatever you wrote, the lesson goes on with ours. **Is it GPT-2?** The library `transformers` has the original. We take one with random weights and GPT-2's width, two blocks high and with 5,000 tokens (more would take
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
ours = GPT.from_state(config, convert_weights(theirs.state_dict())).eval()
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
    """What the model says before its first step, its token table drawn from N(0, start²): (T, V)."""
    gpt = model_budget.on_meta(small).to_empty(device="cpu").eval()  # memory, not yet numbers
    transformer_block.init_weights(gpt, small, generator(0))
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
# From here on you need trained weights. The course comes with some: the *storyteller*, a GPT-2 with 4 blocks of width 128, trained on the stories that you met in lesson 03. It knows some 700 words and nothing else. But we know its text exactly: the probability of every
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
# **Question.** How good is it? The yardstick of lesson 03: blind guessing, word frequencies, one word back, two words back, and the best possible on the very same text, which the model has never seen.

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
card = pretrained.STORYTELLER.with_suffix(".md").read_text(encoding="utf-8")
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
work = tokens * (model_budget.flops_per_token(small, T=1024) - maps)
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
blocks = model_budget.count_parameters(shape) - head - shape.n_positions * shape.n_embd
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
    seconds["make its shapes only"] = timed(lambda: model_budget.on_meta(shape), repeats=1)
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
# Your exercises: which pass, and which are still open.

# %% tags=["progress"] slideshow={"slide_type": "skip"}
exercises.progress("gpt2")

# %% [markdown]
# **What this lesson leaves out.** The storyteller has 0.7 % of GPT-2 small's parameters and knows one kind of text. Newer models of this kind differ in positions (rotary),
# norms (RMSNorm), MLPs (gated) and attention (fewer key heads), and their weights come in 8 or 4 bits.
#
# ## Further reading
#
# - Radford and others 2019, [Language Models are Unsupervised Multitask Learners](https://cdn.openai.com/better-language-models/language_models_are_unsupervised_multitask_learners.pdf) (GPT-2).
# - Press and Wolf 2017, [Using the Output Embedding to Improve Language Models](https://arxiv.org/abs/1608.05859): the tied head.
# - Chen and others 2016, [Training Deep Nets with Sublinear Memory Cost](https://arxiv.org/abs/1604.06174): checkpointing.
# - Pope and others 2022, [Efficiently Scaling Transformer Inference](https://arxiv.org/abs/2211.05102): memory, arithmetic and the cache.
# - Williams, Waterman and Patterson 2009, [Roofline](https://doi.org/10.1145/1498765.1498785): an insightful visual performance model.
