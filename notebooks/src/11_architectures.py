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
# **Recent models are still transformers. What did they change, and why?** Positions that are turned instead of added, heads that share their keys,
# masks that make three families out of one block; and a task that shows what attention is for.
#
# **Time.** Running: about one minute on CPU; no GPU is needed. Reading and exercises: about an hour.
#
# **What you will be able to do**
# - turn queries and keys by rotary positions, and show that only the distance counts;
# - share keys between heads, and say what the cache saves;
# - tell decoder-only, encoder-only and encoder-decoder apart by one mask;
# - read the maps of a small model that copies and reverses, and know when a map misleads.
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
# What this lesson builds stands finished in `course_utils.architectures`. You build the main pieces here.

# %% tags=["imports"]
import math
from dataclasses import replace

import ipywidgets as widgets
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from course_utils import attention, exercises, training, transformer_block
from course_utils.classroom import (
    Claims, Picture, explore, generator, progress, show, subplots, timed,
)
from course_utils.exercises import check, hint, solution
from course_utils.stories import VOCAB, decode_words, ngram_entropy, stories
from course_utils.training import evaluate, token_batches

claims = Claims("11")


# %% [markdown]
# A map of weights, as lesson 02 draws it:

# %%
def draw_map(ax, weights, words, title="", numbers=False):
    """Weights as colours: the row asks, the column is looked at."""
    ax.imshow(weights, vmin=0, vmax=1)
    ticks = range(len(words))
    ax.set(xticks=ticks, yticks=ticks, xticklabels=words, yticklabels=words, title=title)
    ax.grid(False)
    for t, s in [(t, s) for t in ticks for s in ticks if numbers and weights[t, s] > 0]:
        color = "white" if weights[t, s] < 0.6 else "black"
        ax.text(s, t, f"{weights[t, s]:.2f}", ha="center", va="center", color=color)


# %% [markdown]
# ## What attention costs
#
# **Question.** Torch has a function of its own, `scaled_dot_product_attention`. It is *fused*: one kernel which does
# everything from scores to output, in blocks, and never writes the table of weights to memory (Dao and others, 2022).
# Does it give the same numbers? And is it worth it?

# %%
def two_ways(T, grad=False):
    qkv = torch.randn(3, 1, 4, T, 64, generator=generator(T), requires_grad=grad)
    q, k, v = qkv.unbind()  # (B, H, T, d) each
    mask, fused = attention.causal_mask(T), F.scaled_dot_product_attention
    return lambda: attention.attention(q, k, v, mask), lambda: fused(q, k, v, is_causal=True)


# %% [markdown]
# **Predict.** How does the time grow when the text gets twice as long? We take the best of five runs of each, in turns, so
# that a busy computer disturbs both. The cell takes about five seconds, and the factors are those of your machine.

# %% tags=["nbval-ignore-output"]
lengths, ratio, error = (64, 128, 256, 512, 1024, 2048), {}, {}
for T in progress(lengths, "timing"):
    by_hand, fused = two_ways(T)
    error[T] = (by_hand() - fused()).abs().max().item()
    times = [(timed(by_hand, repeats=1), timed(fused, repeats=1)) for _ in range(5)]
    ratio[T] = min(hand for hand, _ in times) / min(fast for _, fast in times)
print(f"at T = 2048 the fused one was {ratio[2048]:.1f} times as fast here")

# %% [markdown]
# And the numbers:

# %%
print("the same within 2 millionths:", max(error.values()) < 2e-6)


# %% [markdown]
# Time depends on your machine; memory can be counted. Training needs the way back: torch keeps what it will need for the
# gradients. A hook tells us how many bytes.

# %%
def kept(work):
    """Bytes that torch keeps of work() for the gradients; no piece of memory is counted twice."""
    sizes = {}

    def pack(tensor):
        memory = tensor.untyped_storage()
        sizes[memory.data_ptr()] = memory.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        output = work()  # held until we have counted, so that no address is used twice
    assert output.requires_grad
    return sum(sizes.values())


# %% [markdown]
# The same for both ways. One MiB is 1,048,576 bytes.

# %%
memory = {T: [kept(way) / 2**20 for way in two_ways(T, grad=True)] for T in lengths}
for T in lengths:
    print(f"T = {T:4}  by hand {memory[T][0]:6.1f} MiB   fused {memory[T][1]:4.1f} MiB")

# %% [markdown]
# Twice the text: soon four times the memory by hand, and twice the memory when fused.

# %%
fig, (left, right) = subplots(1, 2, figsize=(10, 3.9))
left.loglog(lengths, [memory[T][0] for T in lengths], "o-", label="by hand")
left.loglog(lengths, [memory[T][1] for T in lengths], "s--", label="fused")
left.set(xlabel="T, positions", ylabel="MiB kept for the gradients")
left.legend()
right.semilogx(lengths, list(ratio.values()), "o-")
right.set(xlabel="T, positions", ylabel="time by hand / time fused", ylim=0)
for ax in (left, right):
    ax.set_xticks(lengths, lengths)
    ax.minorticks_off()
assert memory[2048][0] > 3.5 * memory[1024][0] and memory[2048][1] < 2.1 * memory[1024][1]
show(
    fig,
    "Memory grows with the square of T by hand, with T when fused. Right: the times of this machine.",
)

# %% [markdown]
# **Why.** By hand, each head writes tables of T × T numbers. The fused kernel keeps only what has T rows. Its *arithmetic*
# still grows with the square of T; nobody gets around that without changing what is computed.
#
# (A part of the ratio of times is ours: our softmax makes more passes than torch's, because you are meant to read it.)
#
# How large do the tables get? GPT-2 has 12 layers of 12 heads and 1024 positions.

# %%
tables = 12 * 12 * 1024**2 * 4  # bytes in 32 bits
print(f"one table for each head of GPT-2: {tables / 1e6:.0f} million bytes for each text")

# %% [markdown]
# So the lecture is right about the numbers. It also says that the fused one is faster. Your figure shows by how much, on your
# machine; what holds on all of them is the memory.

# %%
by_hand, fused = memory[2048]
claims.add(
    "A4",
    "hand-written attention equals torch's scaled_dot_product_attention; the fused one saves memory",
    source="lecture",
    published="equal; less memory",
    measured=f"equal within 2e-6: {max(error.values()) < 2e-6}; at T = 2048 it keeps "
    f"{fused:.0f} MiB for the gradients instead of {by_hand:.0f}",
    holds=max(error.values()) < 2e-6 and fused < by_hand / 10,
    reason="How much faster it is depends on the machine; the figure has yours.",
)

# %% [markdown]
# ## All at once, or one after the other
#
# **Question.** Before attention, texts were read by *recurrent* networks (RNNs): position after position, each step passing
# a state on to the next. The lecture says that a Transformer works on all positions *in parallel* where an RNN goes one by
# one. What is that worth?
#
# A GRU is a common kind of RNN (Cho and others, 2014). Ours has 64 features, like the attention layer beside it.

# %%
with torch.random.fork_rng():
    torch.manual_seed(0)
    step, gru = nn.GRUCell(64, 64), nn.GRU(64, 64, batch_first=True)
    layer = attention.MultiHeadAttention(64, n_head=1)


def one_by_one(x):
    state = torch.zeros(1, 64)
    for t in range(x.size(1)):
        state = step(x[:, t], state)  # waits for the step before
    return state


def nobody_waits(x):  # the same arithmetic in a single call: no RNN any more, as nothing is passed on
    return step(x[0], torch.zeros(x.size(1), 64))


# %% [markdown]
# `nn.GRU` is torch's own loop, written in C++. **Predict** who wins at T = 16, and who at T = 8192. The cell takes about five
# seconds.

# %%
runners = {"RNN, step by step": one_by_one, "RNN, torch's own loop": gru, "attention": layer,
           "the RNN's arithmetic without waiting": nobody_waits}
lengths = (16, 64, 256, 1024, 4096, 8192)
seconds = {name: [] for name in runners}
for T in progress(lengths, "timing"):
    x = torch.randn(1, T, 64, generator=generator(T))  # (B, T, d_model)
    with torch.no_grad():
        for name, run in runners.items():
            seconds[name].append(timed(lambda: run(x), repeats=3))

# %% [markdown]
# Both axes are logarithmic.

# %%
fig, ax = subplots(figsize=(9, 4.6))
for (name, found), style in zip(seconds.items(), ("o-", "s-", "D-", "^--"), strict=True):
    ax.loglog(lengths, [1000 * s for s in found], style, label=name)
ax.set(xlabel="T, positions", ylabel="milliseconds", xticks=lengths, xticklabels=lengths)
ax.minorticks_off()
ax.legend()
show(
    fig,
    "Milliseconds against T on this machine: two kinds of RNN, attention, and the RNN without waiting.",
)

# %% [markdown]
# Compare the lines at T = 256. Your milliseconds are your machine's. What can be counted: how much arithmetic each does, and
# how often it has to wait, because a step needs the result of the one before.

# %%
x, calls, flops = torch.randn(1, 256, 64, generator=generator(256)), {}, {}
for name in ("RNN, step by step", "the RNN's arithmetic without waiting"):
    seen = []
    with step.register_forward_hook(lambda *call, seen=seen: seen.append(1)), torch.no_grad():
        with FlopCounterMode(display=False) as counter:
            runners[name](x)
    calls[name], flops[name] = len(seen), counter.get_total_flops()
    print(f"{name:<37} {flops[name] / 1e6:.1f} million FLOP in {calls[name]:3} calls")

# %% [markdown]
# **Why.** The two RNN lines and the dashed line do the same arithmetic. What separates them is waiting, and the many small
# calls that waiting forces. (The loop in C++ makes its calls faster; it waits all the same.) A processor is fast when it gets
# much work at once, and a graphics card even more so. We measured only the CPU.
#
# But look at the slopes. Attention's line bends upwards. Count the multiplications: the GRU has six
# matrices of 64 × 64 for each position. Attention has four, plus a score and a share of the average for each pair.

# %%
for T in lengths:
    rnn, att = 6 * 64**2 * T, 4 * 64**2 * T + 64 * T**2  # T² / 2 pairs, each with 2 × 64
    print(f"T = {T:4}  RNN {rnn / 1e6:6.1f} million   attention {att / 1e6:7.1f} million")

# %% [markdown]
# At T = 8192 attention does more than twenty times the RNN's multiplications. It can afford many of them because they do not
# wait. But not without end.
#
# <!-- speaker: Where the lines cross depends on the machine. On a GPU the crossing lies much further to the right. -->

# %%
waiting, at_once = calls.values()
claims.add(
    "A6",
    "a Transformer processes positions in parallel where an RNN goes one by one",
    source="lecture",
    published="in parallel",
    measured=f"256 positions in {waiting} calls that wait for each other; without waiting in {at_once}",
    holds=len(set(flops.values())) == 1 and (waiting, at_once) == (256, 1),
    reason="Both do the same arithmetic. What the waiting costs in time depends on the machine; "
    "the figure has yours. True for reading and training: generating is one by one for both. "
    "Attention's work grows with T².",
)


# %% [markdown]
# ### Exercise 1 · grouped queries
#
# *Difficulty 2 of 3 · 5 minutes*
#
# Before the scores are computed, each head of keys is repeated for the query heads that share it. Mind the order.

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
# Eight query heads on two heads of keys and values. Only the two go into the cache.

# %%
q = torch.randn(1, 8, 5, 16, generator=generator(9))  # (B, H, T, d)
k, v = torch.randn(2, 1, 2, 5, 16, generator=generator(10))  # (B, H_kv, T, d) each
out = attention.attention(
    q, attention.repeat_kv(k, 4), attention.repeat_kv(v, 4), attention.causal_mask(5)
)  # (B, H, T, d)
alone = attention.attention(
    q[:, 5], k[:, 1], v[:, 1], attention.causal_mask(5)
)  # head 5 reads key head 5 // 4 = 1
torch.testing.assert_close(out[:, 5], alone)
print("kept:", k.numel() + v.numel(), "numbers instead of", 2 * q.numel())

# %% [markdown]
# ## A task that needs attention
#
# **Question.** You have built attention and priced it. What can it do that an average cannot?
#
# The task: read ten letters, then ten numbers, 0 to 9. At each number, say which letter stands at that place. With
# `attention ` and `9876543210` the answer is ` noitnetta`: reversed. With `0123456789` it is a copy, and any other order
# is allowed. Everything is random, so there is nothing to memorise.

# %%
LETTERS, N = " abcdefghijklmnopqrstuvwxyz", 10
V = len(LETTERS)  # tokens: 27 letters, then the ten numbers


def make_batch(B, g, order=None):
    x = torch.randint(V, (B, N), generator=g)  # (B, N) letters
    places = torch.randint(N, (B, N), generator=g) if order is None else order.expand(B, N)
    return torch.cat([x, V + places], dim=1), x.gather(1, places)  # (B, 2N), (B, N)


# %% [markdown]
# The model is as small as can be: a vector for each token plus a vector for each place (attention does not know the order by
# itself), one part that mixes, one linear map to letters. All but `mix` looks at a single position.

# %%
class Reader(nn.Module):
    def __init__(self, mix, d_model=64):
        super().__init__()
        self.token, self.position = nn.Embedding(V + N, d_model), nn.Embedding(2 * N, d_model)
        self.mix, self.head = mix, nn.Linear(d_model, V)

    def embed(self, ids):
        return self.token(ids) + self.position.weight  # (B, 2N, d_model)

    def forward(self, ids):
        x = self.embed(ids)
        return self.head(x + self.mix(x))[:, N:]  # (B, N, V): the answers


# %% [markdown]
# Four rivals take the place of attention: no mixing, the average of the past, *learned* weights that are the same for every
# text, and an RNN.

# %%
class Fixed(nn.Module):
    """One map of weights for all texts: the average of the past, or a learned one."""

    def __init__(self, learned, after):
        super().__init__()
        self.scores, self.after = nn.Parameter(torch.zeros(2 * N, 2 * N), requires_grad=learned), after

    def forward(self, x):
        weights = attention.softmax(self.scores.masked_fill(~attention.causal_mask(2 * N), -math.inf))
        return self.after(weights @ x)


class Recurrent(nn.GRU):
    def forward(self, x):
        return super().forward(x)[0]


def mlp():
    return nn.Sequential(nn.Linear(64, 256), nn.ReLU(), nn.Linear(256, 64))


# %% [markdown]
# Training: show 64 random texts, lower the *cross-entropy* (how surprised the model is by the right letters), 200 times.
# *Accuracy* is the share of right letters on 1000 texts which it was not trained on.

# %%
@torch.no_grad()
def accuracy(model, order=None):
    ids, answers = make_batch(1000, generator(999), order)
    return (model(ids).argmax(-1) == answers).float().mean().item()


def train(make_mix, steps=200, order=None):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model, g, curve = Reader(make_mix()), generator(0), []
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.0)
    for n in progress(range(steps), "training"):
        ids, answers = make_batch(64, g, order)
        loss = F.cross_entropy(model(ids).flatten(0, 1), answers.flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if n % 10 == 9:
            curve.append(accuracy(model, order))
    return model, curve


# %% [markdown]
# **Predict** who learns it. The cell trains five models in about ten seconds.

# %%
mixers = {
    "attention, one head": lambda: attention.MultiHeadAttention(64, n_head=1),
    "learned weights, the same for all": lambda: Fixed(True, mlp()),
    "average of the past": lambda: Fixed(False, mlp()),
    "RNN (GRU)": lambda: Recurrent(64, 64, batch_first=True),
    "each position alone": mlp,
}
trained = {name: train(make_mix) for name, make_mix in mixers.items()}
for name, (_, curve) in trained.items():
    print(f"{name:<34} {'all right' if curve[-1] > 0.995 else 'under a quarter right'}")
    assert (curve[-1] > 0.995) == ("attention" in name) and not 0.25 < curve[-1] < 0.995

# %% [markdown]
# Why do the others stop where they do? Two guesses set the marks. Without looking back: one in 27. And whoever knows
# *which* letters occurred, but not where, does best by always naming the most frequent one:

# %%
letters, _ = make_batch(20_000, generator(0))
bag = F.one_hot(letters[:, :N], V).sum(1).amax(-1).float().mean().item() / N
print(f"one of {V} letters: {1 / V:.3f}; the most frequent of the ten: {bag:.2f}")

# %% [markdown]
# The two marks are the dotted lines.

# %%
fig, ax = subplots(figsize=(9.5, 4.6))
styles = ("-", "--", "-.", ":", "-")
for (name, (_, curve)), style in zip(trained.items(), styles, strict=True):
    ax.plot(range(10, 201, 10), curve, style, label=name)
for height, text in ((1 / V, "guessing"), (bag, "knows the letters, not their places")):
    ax.axhline(height, color="black", linestyle=":", linewidth=1)
    ax.text(200, height + 0.015, text, ha="right", fontsize=12)
ax.set(xlabel="training steps", ylabel="share of right letters", ylim=(0, 1.03))
ax.legend(loc="center right")
assert max(curve[-1] for name, (_, curve) in trained.items() if "attention" not in name) < bag + 0.02
show(fig, "Right letters against steps: attention soon has all, no rival gets above a fifth.")

# %% [markdown]
# **Why.** *Where* to look depends on the number that is read. Weights that are the same for all texts cannot follow it. They
# bring the whole bag of letters, and the most frequent one is the best guess. The RNN has to squeeze ten letters into one
# state before it knows which will be asked for; with much more training it gets further, slowly.
#
# ### What did it learn?
#
# **Type up to ten letters and choose an order.** Each row is a number that is read, each column a letter. Bright is where the
# head looks.

# %%
reader = trained["attention, one head"][0]


@torch.no_grad()
def read(text, order):
    letters = [max(LETTERS.find(c), 0) for c in text.lower()[:N].ljust(N)]  # unknown ones become spaces
    ids = torch.tensor([letters + [V + int(c) for c in order]])  # (1, 2N)
    _, weights = reader.mix(reader.embed(ids), return_weights=True)  # (1, 1, 2N, 2N)
    answer = "".join(LETTERS[i] for i in reader(ids).argmax(-1)[0])
    return "".join(LETTERS[i] for i in letters), answer, weights[0, 0, N:, :N]  # (N, N)


# %% [markdown]
# The answer of the model stands on the right.

# %%
def attention_map(text, order):
    letters, answer, weights = read(text, order)
    fig, ax = subplots(figsize=(6.4, 5.2))
    draw_map(ax, weights, range(N), "where the head looks, and the answer")
    ax.set(xticklabels=letters.replace(" ", "␣"), yticklabels=order, xlabel="letters", ylabel="numbers")
    for row, letter in enumerate(answer.replace(" ", "␣")):
        ax.text(N - 0.2, row, f"→ {letter}", va="center", fontsize=15)
    return Picture(fig, f"{letters!r} read in the order {order}: the answer is {answer!r}.")


orders = {"reversed": "9876543210", "copied": "0123456789", "neighbours swapped": "1032547698",
          "digits of pi": "3141592653", "always the first": "0000000000"}
explore(
    attention_map,
    text=widgets.Text("attention", description="letters"),
    order=widgets.Dropdown(options=list(orders.items()), value="9876543210", description="order"),
)

# %% [markdown]
# You can read the program off the map: one bright cell in each row, at the column which the number names. Is it always so?

# %%
ids, _ = make_batch(500, generator(1))
with torch.no_grad():
    _, weights = reader.mix(reader.embed(ids), return_weights=True)  # (B, 1, 2N, 2N)
places = ids[:, N:] - V  # (B, N)
on_it = weights[:, 0, N:].gather(-1, places[..., None]).squeeze(-1)  # (B, N): weight on the right letter
assert (weights[:, 0, N:].argmax(-1) == places).all() and on_it.mean() > 0.98
print(f"in all {on_it.numel()} rows the right letter has the largest weight; on average above 0.98")

# %% [markdown]
# **A question before you go on.** Suppose that the order were *always* reversed. Which rival would then learn the task? Write
# your answer down. The next cell trains the learned weights on it, in about two seconds.

# %%
reverse = torch.arange(N - 1, -1, -1)
_, curve = train(lambda: Fixed(True, nn.Linear(64, 64)), steps=400, order=reverse)
print("more than 99 % right:", curve[-1] > 0.99)
assert curve[-1] > 0.99


# %% [markdown]
# Reversing needs no attention, because the way back never depends on the text. So beware of demonstrations that only
# attention can copy or reverse. What it alone can do here is to *choose* the way by what it reads.
#
# <!-- speaker: This is the control experiment that most demonstrations leave out. Let people argue first. -->
#
# ### Two layers, two heads
#
# One more step. The order is now *commanded*: `C` for copy or `R` for reverse, then ten letters, then `=`, and the model
# writes the answer letter by letter, as a language model does. Two layers of two heads.

# %%
def make_texts(B, g):
    x = torch.randint(V, (B, N), generator=g)  # (B, N)
    command = torch.randint(2, (B, 1), generator=g)  # 0: copy, 1: reverse
    answers = torch.where(command == 0, x, x.flip(1))  # (B, N)
    return torch.cat([V + command, x, torch.full((B, 1), V + 2), answers[:, :-1]], dim=1), answers


# %% [markdown]
# Each layer adds what it found to what is there, so that nothing is lost. The model also hands out its maps.

# %%
class Writer(nn.Module):
    def __init__(self, d_model=64, n_layer=2, n_head=2):
        super().__init__()
        self.token, self.position = nn.Embedding(V + 3, d_model), nn.Embedding(2 * N + 1, d_model)
        self.layers = nn.ModuleList(
            attention.MultiHeadAttention(d_model, n_head) for _ in range(n_layer)
        )
        self.head = nn.Linear(d_model, V)
        for vectors in (self.token, self.position):
            vectors.weight.data *= 0.5  # start smaller: it trains faster

    def forward(self, ids):
        x, maps = self.token(ids) + self.position.weight[: ids.size(1)], []  # (B, T, d_model)
        for layer in self.layers:
            change, weights = layer(x, return_weights=True)  # weights: (B, H, T, T)
            x, maps = x + change, [*maps, weights]
        return self.head(x), maps  # (B, T, V)


# %% [markdown]
# It trains for 500 steps, with a learning rate that first rises and then falls. That takes six to ten seconds.

# %%
with torch.random.fork_rng():
    torch.manual_seed(2)
    writer, g = Writer(), generator(2)
optimizer = torch.optim.AdamW(writer.parameters(), lr=3e-3, weight_decay=0.0)
schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=500, pct_start=0.1)
for _ in progress(range(500), "training"):
    ids, answers = make_texts(64, g)
    logits, _ = writer(ids)
    loss = F.cross_entropy(logits[:, N + 1 :].flatten(0, 1), answers.flatten())
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    schedule.step()


# %% [markdown]
# Now it writes by itself: each letter that it chose goes back in, and the next one follows.

# %%
@torch.no_grad()
def write(text, command):
    letters = [max(LETTERS.find(c), 0) for c in text.lower()[:N].ljust(N)]  # unknown ones become spaces
    ids = torch.tensor([[V + "CR".index(command), *letters, V + 2]])  # (1, N + 2)
    for _ in range(N):
        logits, maps = writer(ids)
        ids = torch.cat([ids, logits[:, -1:].argmax(-1)], dim=1)
    return "".join((LETTERS + "CR=")[i] for i in ids[0]), maps  # each (1, H, 2N + 1, 2N + 1)


for command in "CR":
    print(write("attention", command)[0])

# %% [markdown]
# On a thousand texts: how many letters does it get right, and how often is the letter that it has to write the one at which
# its second layer looks most, by either head?

# %%
ids, answers = make_texts(1000, generator(999))
with torch.no_grad():
    logits, maps = writer(ids)
good = (logits[:, N + 1 :].argmax(-1) == answers).float().mean().item()
top = maps[1][:, :, N + 1 :].argmax(-1)  # (B, H, N): where each head looks most while it writes
looks = (ids[:, None].expand(-1, 2, -1).gather(-1, top) == answers[:, None]).any(1).float().mean().item()
assert good > 0.99 and looks > 0.9
print("more than 99 % right:", good > 0.99, " looks at the right letter in more than 90 %:", looks > 0.9)


# %% [markdown]
# **Type something, and switch the command and the layer.** Which maps change with the command?

# %%
def maps_of(text, command, layer):
    written, maps = write(text, command)
    labels = written[:-1].replace(" ", "␣")
    fig, axes = subplots(1, 2, figsize=(10, 5.7), sharey=True)
    for h, ax in enumerate(axes):
        weights = maps[layer - 1][0, h]  # (2N + 1, 2N + 1)
        assert torch.allclose(weights.sum(-1), torch.ones(len(labels)), atol=1e-5)
        draw_map(ax, weights, labels, f"layer {layer}, head {h + 1}")
        ax.axhline(N + 0.5, color="white", linewidth=1)
        ax.set(xlabel="is looked at")
    axes[0].set(ylabel="asks (below the line: writes)")
    return Picture(fig, f"Maps of layer {layer}, two heads, while the model writes {written!r}.")


explore(
    maps_of,
    text=widgets.Text("attention", description="letters"),
    command=widgets.ToggleButtons(options=[("reverse", "R"), ("copy", "C")], description="command"),
    layer=widgets.ToggleButtons(options=[1, 2], value=2, description="layer"),
)


# %% [markdown]
# **How to read these maps.** Below the white line the second layer looks at the letter that it writes next: a diagonal for
# copy, a diagonal the other way round for reverse. In a row or two one head looks elsewhere, and the other does the work. The
# first layer is harder to read: some letters look at the command (the first column), and the answers already fetch
# candidates. We show a tidy run. With another seed the answers are as good, and the work is shared out differently.
#
# So be careful. A bright cell says that a value was *fetched*. It does not say that the value was large, that anybody used it,
# or that the model would have failed without it (Jain and Wallace 2019, and the reply by Wiegreffe and Pinter 2019).
# Lesson 15 *intervenes*: it switches heads off and looks at what breaks.
#
# ### Exercise 2 · rotary positions
#
# *Difficulty 3 of 3 · 12 minutes*
#
# Newer models add nothing. They *turn* queries and keys by these angles, just before the dot product (Su and others 2021).

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
# **What is it good for?** One query and one key, put at several places. **Predict** which scores agree.

# %%
q, k = (torch.randn(8, generator=generator(s)).expand(64, 8) for s in (0, 1))  # (T, d), equal rows
scores = transformer_block.rotary(q) @ transformer_block.rotary(k).T  # (T, T)
for t, s in ((5, 2), (25, 22), (55, 52), (5, 1)):
    print(f"query at {t:2}, key at {s:2}: {scores[t, s]:.3f}")

# %% [markdown]
# Three positions apart is three positions apart, wherever it is. GPT-2 does without this; Llama and most models since have it.
#
# Stories to train on, as in lesson 03:

# %%
text, unseen = stories(seed=0, n_tokens=300_000), stories(seed=1, n_tokens=20_481)
print(decode_words(unseen.tokens[unseen.starts[3] : unseen.starts[3] + 59]))

# %% [markdown]
# A model of two blocks, not yet trained, and what a table of pairs and a perfect model reach on these stories:

# %%
small = transformer_block.TransformerConfig(
    vocab_size=len(VOCAB), n_positions=64, n_embd=64, n_layer=2, n_head=4
)
gpt = transformer_block.Transformer(small, generator(0)).eval()
bigram = ngram_entropy(text.tokens, 2)
best = unseen.surprisal[1:].mean().item()  # what a perfect model has on the unseen stories
print(f"one word back {bigram:.2f} nats, best possible {best:.2f}")

# %% [markdown]
# Training, as in lesson 03:

# %%
small = transformer_block.TransformerConfig(
    vocab_size=len(VOCAB), n_positions=64, n_embd=64, n_layer=2, n_head=4
)


def unseen_batches(T):
    n = 20_480 // T
    return [(unseen.tokens[: n * T].view(n, T), unseen.tokens[1 : n * T + 1].view(n, T))]


def trained(config, steps, lr=6e-3, seed=0, batch=8, **more):
    model, T = transformer_block.Transformer(config, generator(seed)), config.n_positions
    batches = token_batches(text.tokens, batch, T)
    history = training.train(model, batches, steps, lr=lr, seed=seed, progress=False, **more)
    return model, history, evaluate(model, unseen_batches(T))


# %% [markdown]
# ## Three families, one mask
#
# **Question.** GPT is called decoder-only, BERT encoder-only, the first transformer and T5 encoder-decoder. How different are they?
#
# The blocks are the same. The *mask* differs: who may look at whom. In an encoder-decoder, a *source* (say a German sentence) may see all of itself, and
# the *target* (its translation) sees the source and its own past. Dark means "may look"; the number counts those pairs.

# %%
T, kinds = 12, {"decoder-only": 0, "encoder-only": 0, "encoder-decoder": 7}  # length of the source
masks = {kind: transformer_block.architecture_mask(kind, T, n) for kind, n in kinds.items()}
fig, axes = subplots(1, 3, figsize=(9.5, 3.6), sharey=True)
for ax, (kind, mask) in zip(axes, masks.items(), strict=True):
    ax.imshow(mask, cmap="Blues", vmin=-0.3, vmax=1.6)
    ax.set(title=f"{kind}: {int(mask.sum())}", xlabel="is looked at", xticks=range(0, T, 2))
    ax.grid(False)
axes[0].set(ylabel="looks", yticks=range(0, T, 2))
assert [int(mask.sum()) for mask in masks.values()] == [78, 144, 99]
show(fig, "Who may look at whom, of 144 pairs: a triangle of 78, a full square of 144, and a mix of 99.")

# %% [markdown]
# **One set of weights, three behaviours.** We change token 5 and see whether the output at position 2 notices. Then we change token 10 and look at position 8.

# %%
row = unseen.tokens[:T][None]
notices = {}
for kind, mask in masks.items():
    for token, position in ((5, 2), (10, 8)):
        changed = row.clone()
        changed[0, token] += 1
        moved = (gpt(changed, mask=mask) - gpt(row, mask=mask))[0, position].abs().max() > 1e-5
        notices[kind, token] = moved.item()
    print(f"{kind:<16} 2 notices 5: {notices[kind, 5]!s:<6} 8 notices 10: {notices[kind, 10]}")

# %% [markdown]
# Decoder-only: the future is never seen. Encoder-only: always. Encoder-decoder: inside the source, yes; inside the target, no.
#
# **Why not let GPT see everything, too?** Let us train a next-token model with the full mask. **Predict** its loss. It takes about 4 seconds.

# %%
full = transformer_block.architecture_mask("encoder-only", 16)


def seeing_all(model, batch):
    return F.cross_entropy(model(batch[0], mask=full).flatten(0, 1), batch[1].flatten())


short = replace(small, n_positions=16, initializer_range=0.07)
cheat, history, honest = trained(short, steps=150, batch=32, loss_fn=seeing_all)
seen = sum(history.losses[-20:]) / 20
print(f"with the future in view: below the best possible {best:.2f}: {seen < best}")
print(f"without it: worse than one word back: {honest > bigram}")

# %% [markdown]
# Its loss is *below the entropy*: lower than any honest model's can be. That is proof of cheating: the next token stands in the input, one place to the right. Take the future away, as when
# the model writes, and it knows less than a table of pairs. If a loss looks too good, look at the mask.
#
# An encoder is trained otherwise: some tokens are hidden, and the model fills them in (BERT).

# %%
wanted = {("decoder-only", 5): False, ("decoder-only", 10): False, ("encoder-only", 5): True,
          ("encoder-only", 10): True, ("encoder-decoder", 5): True, ("encoder-decoder", 10): False}
claims.add(
    "B7", "decoder-only, encoder-only and encoder-decoder differ in their masks",
    source="lecture", published="the mask", holds=notices == wanted,
    measured=f"pairs allowed: {', '.join(str(int(mask.sum())) for mask in masks.values())}",
    reason="In the attention, yes. Real ones also differ in what they are trained to do, and an "
           "encoder-decoder has weights of its own for its source, its target and the bridge between.",
)

# %% [markdown]
# ## What we verified
#
# Each claim with its source, what was published, and what you measured.

# %%
claims.show()

# %% [markdown]
# Your exercises: which pass, and which are still open.

# %% tags=["progress"] slideshow={"slide_type": "skip"}
exercises.progress("architectures")

# %% [markdown]
# **What this lesson leaves out.** Our tasks have 27 letters, one answer, and no ambiguity. We measured time on one CPU; on a graphics card the order of the lines may change.
# There are forms of attention whose cost does not grow with the square of the length; they compute something else.
#
# ## Further reading
#
# - Vaswani and others 2017, [Attention Is All You Need](https://arxiv.org/abs/1706.03762), section 3.
# - Shazeer 2019, [Fast Transformer Decoding: One Write-Head is All You Need](https://arxiv.org/abs/1911.02150): what the cache costs.
# - Ainslie and others 2023, [GQA: Training Generalized Multi-Query Transformer Models](https://arxiv.org/abs/2305.13245); its use in [The Llama 3 Herd of Models](https://arxiv.org/abs/2407.21783), table 3.
# - Jain and Wallace 2019, [Attention is not Explanation](https://arxiv.org/abs/1902.10186); Wiegreffe and Pinter 2019, [Attention is not not Explanation](https://arxiv.org/abs/1908.04626).
# - Vaswani and others 2017, [Attention Is All You Need](https://arxiv.org/abs/1706.03762), sections 3.1, 3.3 and 3.5.
# - Su and others 2021, [RoFormer](https://arxiv.org/abs/2104.09864); Haviv and others 2022, [Transformer Language Models without Positional Encodings Still Learn Positional Information](https://arxiv.org/abs/2203.16634).
