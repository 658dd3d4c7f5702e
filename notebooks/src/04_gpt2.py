# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 04 · GPT-2 on your GPU: put it together, let it speak, time it
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/OWNER--SET-ME/llm-inside/blob/main/notebooks/04_gpt2.ipynb) · [open this lesson in Colab](https://colab.research.google.com/github/OWNER--SET-ME/llm-inside/blob/main/notebooks/04_gpt2.ipynb)
#
# **What is a GPT-2, in code, and what does a processor do with it?** You write it, train one until it speaks, and time it
# honestly: on the CPU, and on a GPU where there is one.
#
# **Time.** Running: about two minutes on CPU; about three minutes on a GPU, which then fills in its own timings. About 83 minutes to read and do.
#
# **What you will be able to do**
# - write GPT-2, its loss and the loop that lets it speak, and load weights that somebody else trained;
# - train a small one, and say what its first loss should be;
# - time a model honestly, and tell whether arithmetic, memory or giving orders holds it back.
#
# **Prerequisites.** Lessons 02 (attention) and 03 (the block).

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
import statistics
import textwrap
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import ipywidgets as widgets
import torch
from torch import Tensor

from course_utils import exercises, gpt2, model_budget, pretrained, transformer_block
from course_utils.classroom import (
    COLORS, Claims, Diagram, Picture, Source, device, explore, generator, pick, predict, progress,
    reveal, show, subplots,
)
from course_utils.exercises import check, hint, solution
from course_utils.gpt2 import GPT, GPTConfig, timing
from course_utils.machine.devices import synchronize
from course_utils.machine.memory import if_it_fits
from course_utils.stories import VOCAB, ngram_entropy, stories

NOTES = "Kiến trúc mô hình ngôn ngữ lớn (lecture notes)"
claims = Claims("04")
small = GPTConfig.preset("gpt2")  # GPT-2 small: 12 blocks of width 768
talker = pretrained.trained(n_windows=8)  # the course's storyteller: GPT-2's code, 4 blocks

# %% [markdown]
# **Choose a text, and how far the model may think.** The storyteller is a small GPT-2. Stop it after layer 0, 1, 2, … and
# ask for its next word, as if there were no more layers.

# %% tags=["display"]
# @title What would each layer say?
TEXTS = (
    "Her best friend was Leo. Mia hid the kite under the bed. She looked under the",
    "Her best friend was Ben. Lily hid the ball under the shelf. She looked under the",
    "Once upon a time there was a child named Tom. Tom was a",
)


@torch.no_grad()
def said_by(layer, text):
    """The probabilities of the next word, (V,), if the model ended after this layer."""
    stream = talker.model.streams(talker.encode(text)[None])[layer]  # (1, T, d_model)
    return (talker.model.ln_f(stream[0, -1]) @ talker.model.wte.weight.T).softmax(-1)


def draw_layers(text, layer):
    best = [said_by(n, TEXTS[text]).max(-1) for n in range(5)]
    shown = said_by(layer, TEXTS[text]).topk(6)
    words = [talker.words[i] for i in shown.indices]
    fig, axes = subplots(1, 2, figsize=(10, 3.4), width_ratios=(2, 3))
    colors = [COLORS["orange" if n == layer else "sky"] for n in range(5)]
    axes[0].barh(range(5), [p.values.item() for p in best], color=colors)
    for n, p in enumerate(best):
        axes[0].text(0.03, n, talker.words[p.indices], va="center")
    axes[0].set(yticks=range(5), ylabel="after layer", title="first choice of each", xlim=(0, 1))
    axes[1].barh(words[::-1], shown.values.flip(0), color=COLORS["orange"])
    axes[1].set(title=f"after layer {layer}", xlabel="probability of the next word", xlim=(0, 1))
    alt = ", ".join(f"{w} {p:.2f}" for w, p in zip(words[:3], shown.values.tolist(), strict=False))
    return Picture(fig, f"The next word after “… {TEXTS[text][-30:]}”, after layer {layer}: {alt}.")


assert [talker.words[said_by(4, t).argmax()] for t in TEXTS[:2]] == ["bed", "shelf"]
explore(
    draw_layers,
    text=widgets.Dropdown(options=[(f"… {t[-46:]}", n) for n, t in enumerate(TEXTS)]),
    layer=widgets.ToggleButtons(options=range(5), value=4, description="layer"),
)

# %% tags=["display"]
# @title What will count, set before anything is measured
claims.expect(
    "G6", "a fresh model's loss is about log V ≈ 10.8",
    source=Source(NOTES, "GPT-2 from scratch: the loss"), published=10.8, tolerance=0.5,
)
claims.expect(
    "G7", "five forward passes of 8 × 1024 tokens take 0.03 s on a GPU",
    source=Source(NOTES, "GPT-2 from scratch: CPU and GPU"), published="0.03 s",
    criterion="the arithmetic in float32, PyTorch's default, needs at most 0.03 s at an A100's peak",
    holds=lambda floor: floor <= 0.03,
)
claims.criteria()

# %% [markdown]
# Layer 0 repeats the word that it reads. In the middle, places come up; the last layer knows which. This lesson builds
# that machine: the tables, the stack, the scores.
#
# ## Put it together
#
# **Question.** You have the block of lesson 03. What is still missing for GPT-2?
#
# Two tables. `wte` has a row for each token of the vocabulary, `wpe` a row for each place of the text: without it the
# model would not know the order. The **residual stream** is the row of numbers at each position to which every block adds
# something; at the start it is the sum of the two rows.

# %% tags=["display"]
# @title GPT-2, as a diagram
d = Diagram()
ids_box = d.box("ids  (B, T)", 0, 0, width=2.6, color="yellow")
wte_box = d.box("wte: which token", -1.8, 1.7, width=3.4)
wpe_box = d.box("wpe: which place", 1.8, 1.7, width=3.4)
sum_box = d.box("+   (B, T, d_model)", 0, 3.4, width=3.6, color="green")
block_box = d.box("block: attention, MLP", 0, 5.0, width=4.0, color="orange")
again_box = d.box("… 11 more blocks", 0, 6.4, width=4.0, color="orange")
norm_box = d.box("ln_f", 0, 7.8)
head_box = d.box("scores  (B, T, V)", 0, 9.4, width=3.4, color="blue")
for start, end, name in (
    (ids_box, wte_box, ""), (ids_box, wpe_box, ""), (wte_box, sum_box, ""),
    (wpe_box, sum_box, ""), (sum_box, block_box, ""), (block_box, again_box, ""),
    (again_box, norm_box, ""), (norm_box, head_box, "times wte, turned"),
):
    d.arrow(start, end, name)
d.picture(
    "GPT-2 from below: the ids choose rows of wte and wpe, their sum goes through twelve blocks and "
    "the last LayerNorm, and the product with wte, turned, gives a score for each token."
)


# %% [markdown]
# ### Exercise 1 · the first vectors
#
# *Difficulty 1 of 3 · 4 minutes*
#
# **B** is the number of texts, **T** the number of positions, `d_model` the number of features.

# %% tags=["exercise"]
def embed(ids: Tensor, wte: Tensor, wpe: Tensor) -> Tensor:
    """Give each position of each text its first vector: what its token says plus what its place
    says.

    Shapes: ids (B, T); wte (V, d_model), a row for each token; wpe (n_positions, d_model), a row for
    each place, with n_positions >= T -> (B, T, d_model).

    >>> wte, wpe = torch.tensor([[1.0], [2.0], [3.0]]), torch.tensor([[0.0], [10.0], [20.0]])
    >>> embed(torch.tensor([[2, 0], [1, 1]]), wte, wpe).squeeze(-1)
    tensor([[ 3., 11.],
            [ 2., 12.]])
    """
    ...


# %% tags=["check"]
embed = check("gpt2.embed", embed)
# hint("gpt2.embed")
# solution("gpt2.embed")

# %% [markdown]
# ### Exercise 2 · GPT-2
#
# *Difficulty 2 of 3 · 8 minutes*
#
# The head that scores the tokens is a **tied** head: it has no numbers of its own, it uses the token table a second time.

# %% tags=["exercise"]
def forward(
    ids: Tensor,
    wte: Tensor,
    wpe: Tensor,
    blocks: Sequence[Callable[[Tensor], Tensor]],
    ln_f: Callable[[Tensor], Tensor],
) -> Tensor:
    """Compute what a GPT-2 says after each position: a score for each token of the vocabulary.

    Shapes: ids (B, T), wte (V, d_model), wpe (n_positions, d_model); each block and ln_f map
    (B, T, d_model) to the same shape -> logits (B, T, V). The blocks run one after the other, ln_f
    (the last LayerNorm) once, at the end. The head has no table of its own: a token's score is the
    dot product with its row of wte. Source: Radford and others 2019, section 2.3.

    >>> one, zero = torch.eye(2), torch.zeros(1, 2)
    >>> forward(torch.tensor([[0]]), one, zero, [lambda x: x + 1, lambda x: 2 * x], lambda x: x - 1)
    tensor([[[3., 1.]]])
    """
    ...


# %% tags=["check"]
forward = check("gpt2.forward", forward)
# hint("gpt2.forward")
# solution("gpt2.forward")

# %% [markdown]
# On one page, for the token $i_t$ at place $t$; $l$ counts the blocks, LN is LayerNorm:
#
# | in equations | in code |
# |---|---|
# | $x^0_t = W_{E}[i_t] + W_{P}[t]$ | `x = embed(ids, wte, wpe)` |
# | $a^l = x^l + \mathrm{Attention}(\mathrm{LN}_1(x^l))$ | `x = x + attn(ln_1(x))` |
# | $x^{l+1} = a^l + \mathrm{MLP}(\mathrm{LN}_2(a^l))$ | `x = x + mlp(ln_2(x))` |
# | $s_t = W_{E}\, \mathrm{LN}_f(x^L_t)$ | `ln_f(x) @ wte.T` |
# | $p(\text{next token} = j) = \mathrm{softmax}(s_t)_j$ | `logits.softmax(-1)` |
#
# That is all of GPT-2 (Radford and others 2019, section 2.3). The scores $s$, of which softmax makes probabilities, are
# called **logits**.
#
# **Is it GPT-2?** The library `transformers` has the original. Its numbers have other names than ours, and some matrices
# lie the other way round.
#
# ### Exercise 3 · take over somebody's weights
#
# *Difficulty 2 of 3 · 10 minutes*

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
# Theirs, two blocks high, with random weights and 5,000 tokens (more would only take longer), and your `forward` with
# the weights that you converted:

# %%
from transformers import GPT2Config, GPT2LMHeadModel

with torch.random.fork_rng():
    torch.manual_seed(0)
    layout = GPT2Config(n_layer=2, vocab_size=5000, bos_token_id=0, eos_token_id=0)
    theirs = GPT2LMHeadModel(layout).eval()


def logits_of(model, ids):
    return forward(ids, model.wte.weight, model.wpe.weight, model.h, model.ln_f)  # (B, T, V)


config = GPTConfig.preset("gpt2", n_layer=2, vocab_size=5000)
yours = GPT.from_state(config, convert_weights(theirs.state_dict())).eval()
ids = torch.randint(config.vocab_size, (2, 64), generator=generator(0))  # (B, T)
with torch.no_grad():
    gap = (logits_of(yours, ids) - theirs(ids).logits).abs().max().item()
print(f"largest difference of a score: {gap:.3f}")

# %% [markdown]
# And if one square matrix stays as it was? It fits, turned or not.

# %%
square = yours.h[0].attn.c_proj.weight  # (d_model, d_model)
turned_back = GPT.from_hf(theirs).eval()
turned_back.h[0].attn.c_proj.weight.data = square.data.T
with torch.no_grad():
    wrong = (logits_of(turned_back, ids) - theirs(ids).logits).abs().max().item()
assert gap < 1e-4 and wrong > 1
print(f"largest difference now: about {wrong:.0f} nats")


# %% [markdown]
# No error, no warning, another function. That is why you compare outputs, not shapes.
#
# ## The loss
#
# **Question.** How do you tell a model how wrong it is? At each position it gave every token a probability, and the text
# says which one came.
#
# ### Exercise 4 · the loss of the next token
#
# *Difficulty 2 of 3 · 6 minutes*

# %% tags=["exercise"]
def next_token_loss(logits: Tensor, ids: Tensor) -> Tensor:
    """Measure how surprised a model is by a text: the mean of -log p(next token), in nats.

    Shapes: logits (B, T, V), what the model said after reading each of the ids (B, T) -> a number
    (a tensor without dimensions). The last position has no next token, so it does not count. Scores
    may be as large as 1000: the loss stays finite.

    >>> sure = torch.tensor([[[0.0, 100.0], [0.0, 100.0], [0.0, 100.0]]])
    >>> (
    ...     next_token_loss(sure, torch.tensor([[0, 1, 1]])),
    ...     next_token_loss(sure, torch.tensor([[1, 0, 1]])),
    ... )
    (tensor(0.), tensor(50.))
    """
    ...


# %% tags=["check"]
next_token_loss = check("gpt2.next_token_loss", next_token_loss)
# hint("gpt2.next_token_loss")
# solution("gpt2.next_token_loss")

# %% [markdown]
# **What is the first loss of a model that has learned nothing?** If it spreads its probability evenly over the V tokens
# of its vocabulary, the loss is log V: 10.8 for GPT-2. GPT-2 draws its token table with a standard deviation of 0.02.
# `nn.Embedding` draws with 1.

# %% tags=["display"]
# @title Predict: the first loss
predict(
    "gpt2.first_loss",
    "A fresh GPT-2 small whose token table is drawn with standard deviation 1 reads random tokens. "
    "Its loss, in nats, is …",
    ["about 11", "about 20", "hundreds"],
)

# %%
ids = torch.randint(small.vocab_size, (1, 65), generator=generator(1))


@torch.no_grad()
def at_birth(start):
    """Loss and logits of a new GPT-2 small whose token table has this standard deviation."""
    fresh = model_budget.on_meta(small).to_empty(device="cpu").eval()  # memory, not yet numbers
    transformer_block.init_weights(fresh, small, generator(0))
    fresh.wte.weight.normal_(0, start, generator=generator(2))
    logits = logits_of(fresh, ids)  # (1, T, V)
    return next_token_loss(logits, ids).item(), logits[0]


first, said = {}, {}
for start in (0.02, 1.0):
    first[start], said[start] = at_birth(start)
    print(f"token table with standard deviation {start}: loss {first[start]:.0f}")

# %% tags=["display"]
# @title Measured: the first loss
assert abs(first[0.02] - math.log(small.vocab_size)) < 0.5 and first[1.0] > 100
claims.measure("G6", round(first[0.02], 1), shown=f"{first[0.02]:.0f} with GPT-2's start of 0.02")
reveal("gpt2.first_loss", "hundreds" if first[1.0] > 100 else "about 11")

# %% [markdown]
# **Why?** The head is tied. At the start the stream at a position is mostly the vector of the token that stands there,
# and its dot product with *itself* is the largest of all:

# %%
logits = said[1.0]  # (T, V)
own = logits.gather(-1, ids[0, :, None]).mean().item()  # each token's score for itself
most_likely = (logits.argmax(-1) == ids[0]).float().mean().item()
print(f"positions at which the model says the token that it reads: {most_likely:.0%}")
print(f"that token's score, divided by d_model = {small.n_embd}: {own / small.n_embd:.1f}")


# %% [markdown]
# It is certain, and wrong. So *always look at the first loss*: if it is far above log V, the start is wrong.
#
# ## Train yours
#
# A step of training goes against the gradient. Now and then a batch gives a gradient that is far too long, and one such
# step can undo a thousand good ones.
#
# ### Exercise 5 · gradient clipping
#
# *Difficulty 2 of 3 · 5 minutes*

# %% tags=["exercise"]
def clip_gradients(gradients: Sequence[Tensor], most: float) -> list[Tensor]:
    """Keep a step from being too long: shrink all gradients by one factor, so that the norm of all
    numbers together is at most `most`.

    Shapes: any -> a list of new tensors of the same shapes. The direction stays, and what is not too
    long stays as it is. Source: Pascanu and others 2013, algorithm 1.

    >>> clip_gradients([torch.tensor([3.0]), torch.tensor([[4.0]])], most=1.0)
    [tensor([0.6000]), tensor([[0.8000]])]
    """
    ...


# %% tags=["check"]
clip_gradients = check("gpt2.clip_gradients", clip_gradients)
# hint("gpt2.clip_gradients")
# solution("gpt2.clip_gradients")

# %% [markdown]
# An **optimizer** decides how far each number goes, by its gradients. AdamW gives each a step size of its own, by how large
# its gradients have been. At the beginning it hardly knows that. The **learning rate** scales the steps of all numbers: it
# starts small for that reason, and ends small, so that the numbers settle.
#
# ### Exercise 6 · the schedule
#
# *Difficulty 2 of 3 · 7 minutes*

# %% tags=["exercise"]
def learning_rate(
    step: int, steps: int, lr: float, warmup: float = 0.1, final: float = 0.1
) -> float:
    """Return the rate at a step, from 0: a line up to lr over the share `warmup` of steps, a cosine
    down to final * lr.

    Source: Loshchilov & Hutter 2017, equation 5, with the warm-up of Vaswani et al. 2017, section
    5.3.

    >>> [
    ...     round(learning_rate(step, 11, lr=1.0, warmup=0.19, final=0.0), 2)
    ...     for step in (0, 1, 2, 6, 10)
    ... ]
    [0.5, 1.0, 1.0, 0.5, 0.0]
    """
    ...


# %% tags=["check"]
learning_rate = check("gpt2.learning_rate", learning_rate)
# hint("gpt2.learning_rate")
# solution("gpt2.learning_rate")

# %% [markdown]
# One step of training, with everything that you wrote:

# %%
def training_step(model, optimizer, ids, rate):
    for group in optimizer.param_groups:
        group["lr"] = rate
    loss = next_token_loss(logits_of(model, ids), ids)
    optimizer.zero_grad()
    loss.backward()
    learned = [p for p in model.parameters() if p.grad is not None]
    clipped = clip_gradients([p.grad for p in learned], 1.0)
    for p, gradient in zip(learned, clipped, strict=True):
        p.grad = gradient
    optimizer.step()
    return loss.item()


# %% [markdown]
# The model: 2 blocks of width 64, on the stories of lesson 03. We know the probability of every word there, so we know
# what a table of word frequencies reaches, of pairs, and of three words in a row.

# %% tags=["display"]
# @title Predict: the training
predict(
    "gpt2.training",
    "After 250 steps, which take some ten seconds, the loss of your model is …",
    ["above the table of frequencies", "between frequencies and pairs", "below pairs"],
)

# %%
text = stories(seed=0, n_tokens=300_000)
sizes = dict(vocab_size=len(VOCAB), n_positions=64, n_embd=64, n_layer=2, n_head=4)
where = device()
mine = GPT(GPTConfig(**sizes, initializer_range=0.07), generator(0)).to(where)
optimizer = torch.optim.AdamW(mine.parameters(), betas=(0.9, 0.95), weight_decay=0.1)
draw, losses, steps = generator(3), [], pick(cpu=250, gpu=1000)
for step in progress(range(steps), "training"):
    begin = torch.randint(len(text.tokens) - 64, (16, 1), generator=draw)
    rows = text.tokens[begin + torch.arange(64)].to(where)  # (B, T)
    rate = learning_rate(step, steps, lr=6e-3)
    losses.append(training_step(mine, optimizer, rows, rate))

# %% tags=["display"]
# @title Measured: your model learns
marks = {"log V": math.log(len(VOCAB))}
for n, name in enumerate(("frequencies", "pairs", "three words"), 1):
    marks[name] = ngram_entropy(text.tokens, n)
fig, ax = subplots(figsize=(9, 4.2))
ax.plot(range(1, steps + 1), losses, linewidth=1.2)
for name, nats in marks.items():
    ax.axhline(nats, color="black", linestyle=":", linewidth=1.2)
    ax.text(1.03 * steps, nats, name, va="center", backgroundcolor="white")
ax.set(xlabel="step", ylabel="loss (nats)", xlim=(0, 1.22 * steps), ylim=(0, 7.5))
final = statistics.mean(losses[-20:])
assert abs(losses[0] - marks["log V"]) < 0.6 and final < marks["pairs"] - 0.05
show(fig, "Your model's loss against the step: from log V down, past frequencies and past pairs.")
reveal("gpt2.training", "below pairs" if final < marks["pairs"] else "between frequencies and pairs")


# %% [markdown]
# It begins at log V, as it should. First it learns which words are frequent, then which follow which. Below *pairs* it
# must look further back than one word: attention at work.
#
# ### Exercise 7 · let it write
#
# *Difficulty 2 of 3 · 8 minutes*

# %% tags=["exercise"]
def generate(
    model: Callable[[Tensor], Tensor],
    ids: Tensor,
    n_new: int,
    n_positions: int,
    generator: torch.Generator,
) -> Tensor:
    """Let a model write: n_new times, draw a next token from what it says at the last position and
    append it.

    Shapes: model maps ids (B, T) to logits (B, T, V); ids (B, T) -> (B, T + n_new). Each token is
    drawn with the probability that softmax gives it, with the generator, for each text by itself.
    The model can read at most n_positions tokens: show it the last ones.

    >>> after = lambda ids: 100.0 * torch.eye(4)[(ids + 1) % 4]  # surely the next number
    >>> generate(after, torch.tensor([[1], [3]]), 3, 8, torch.Generator().manual_seed(0))
    tensor([[1, 2, 3, 0],
            [3, 0, 1, 2]])
    """
    ...


# %% tags=["check"]
generate = check("gpt2.generate", generate)
# hint("gpt2.generate")
# solution("gpt2.generate")

# %% [markdown]
# Your model, ten seconds old, and the storyteller, which read a hundred times as much with eight times the parameters.
# Both run through *your* `forward` and your `generate`.

# %%
opening = "Once upon a time there was a child named Tom. Tom was a"
prompt = talker.encode(opening)[None].to(where)  # (1, T)
for name, model in {"yours": mine, "storyteller": talker.model.to(where)}.items():
    dice = generator(0, where)
    written = generate(lambda ids, m=model: logits_of(m, ids), prompt, 40, 64, dice)
    print(textwrap.fill(f"{name}: {talker.decode(written[0].cpu())}", 100))

# %% [markdown]
# **The switch.** With `PUBLISHED = True` OpenAI's GPT-2 small writes, if the Hugging Face hub answers (half a gigabyte).
# Nothing below depends on it.

# %%
PUBLISHED = False
loaded = pretrained.trained(PUBLISHED, n_windows=1)
if PUBLISHED:
    prompt = loaded.encode("A large language model is")[None]
    written = generate(lambda ids: logits_of(loaded.model, ids), prompt, 40, 1024, generator(0))
    print(loaded.decode(written[0]))
print("You talk to", loaded.note)

# %% [markdown]
# ## Time it right
#
# **Question.** The lecture notes give 0.03 s for five forward passes of GPT-2 small over 8 × 1024 tokens on a GPU, and
# 20 s on a CPU. Would you believe it?
#
# A program does not wait for a GPU. A line such as `y = model(x)` puts work into a queue and returns. You can see that
# without a GPU, with a second thread that works through a queue:

# %% tags=["nbval-ignore-output"]
big = torch.randn(1500, 1500, generator=generator(0))
worker, orders = ThreadPoolExecutor(max_workers=1), []  # plays the GPU
begun = time.perf_counter()
for _ in range(5):
    orders.append(worker.submit(torch.mm, big, big))  # returns at once
ordered = time.perf_counter() - begun
orders[-1].result()  # waits until the last one is done
print(f"ordered after {ordered:.4f} s, done after {time.perf_counter() - begun:.4f} s")


# %% [markdown]
# ### Exercise 8 · read the clock when the work is done
#
# *Difficulty 2 of 3 · 8 minutes*

# %% tags=["exercise"]
def seconds_per_call(
    work: Callable[[], object],
    wait: Callable[[], object],
    clock: Callable[[], float],
    repeats: int = 5,
) -> float:
    """Time work that runs somewhere else: how many seconds does one call take?

    work() only puts the work into the queue of another processor and returns; wait() returns when
    the queue is empty; clock() is the time in seconds. The very first call also prepares things,
    so it must not count, and neither may what is still in the queue when you begin. Call work()
    once and then `repeats` times.

    >>> ticks = iter(range(100))
    >>> seconds_per_call(lambda: None, lambda: None, lambda: next(ticks), repeats=1)
    1.0
    """
    ...


# %% tags=["check"]
seconds_per_call = check("gpt2.seconds_per_call", seconds_per_call)
# hint("gpt2.seconds_per_call")
# solution("gpt2.seconds_per_call")

# %% [markdown]
# On a GPU, `wait` is `torch.cuda.synchronize`. Your clock on the thread, and on a forward pass of *your* model:

# %% tags=["nbval-ignore-output"]
def order():
    orders.append(worker.submit(torch.mm, big, big))


def wait():
    orders[-1].result()


one_product = seconds_per_call(order, wait, time.perf_counter, 5)
rows = text.tokens[:64][None].to(where)
one_pass = seconds_per_call(
    lambda: logits_of(mine, rows), lambda: synchronize(where), time.perf_counter, 5
)
print(f"a product: {one_product:.4f} s; a pass of your model: {one_pass:.4f} s")

# %% [markdown]
# **Now the published number.** NVIDIA says how many operations an A100 does in a second: 19.5 · 10¹² in float32, PyTorch's
# default; 156 · 10¹² in TF32 (float32 whose products keep 10 bits); 312 · 10¹² in bfloat16, a number of 16 bits. No
# program is faster than that.

# %% tags=["display"]
# @title Predict: is 0.03 s possible?
predict(
    "gpt2.floor",
    "An A100 could do five forward passes over 8 × 1024 tokens in 0.03 s, as published, …",
    ["in no format", "in bfloat16 only", "in TF32 and bfloat16", "in all three"],
)

# %%
tokens = 5 * 8 * 1024
maps = 4 * small.n_layer * 1024 * small.n_embd  # a causal kernel may skip half of them: left out
work = tokens * (model_budget.flops_per_token(small, T=1024) - maps)
floor = {name: work / peak for name, peak in timing.CARDS["A100"][0].items()}
for name, seconds in floor.items():
    print(f"{name:<9} at least {seconds:.3f} s")

# %% tags=["display"]
# @title Measured: the floor
possible = [name for name, seconds in floor.items() if round(seconds, 2) <= 0.03]
claims.measure(
    "G7", floor["float32"],
    shown=f"at least {floor['float32']:.2f} s of float32 arithmetic at an A100's peak",
    reason="Most likely not synchronised: the clock was read when the work had been ordered. The "
           "other times of that table need its GPU.",
)
reveal("gpt2.floor", "in bfloat16 only" if possible == ["bfloat16"] else "in no format")

# %% [markdown]
# Only in the shortest format, and only at its full peak, which no model reaches. All fits a clock that was read too
# early.
#
# ## What your machine does with it
#
# `timing.measure` runs every experiment of this section: here at a size for a CPU, with a GPU at GPT-2 small's. It waits,
# warms up, and takes the median of several calls. Your numbers differ from the saved ones: they are your machine's.

# %% tags=["nbval-ignore-output"]
GPU = where.type == "cuda"
size = pick(cpu=timing.sizes(small=True), gpu=timing.sizes(small=False))
measured = {where.type: timing.measure(where, size, compiled=GPU)}
for name, flops in measured[where.type]["limits"]["flops"].items():
    print(f"{name:<9} {flops / 1e9:10,.0f} GFLOP a second")
print(f"memory    {measured[where.type]['limits']['bytes'] / 1e9:10,.0f} GB a second")

# %% [markdown]
# Cards that were measured with the course's recorder, `python tools/record/measure_gpu.py`, come along:

# %% tags=["display"]
# @title The recorded cards
recorded = timing.records()
print("\n".join(
    f"{card}: {record['date']}, torch {record['versions']['torch']}, by {record['command']}"
    for card, record in recorded.items()
) or "not yet recorded: no GPU was at hand when this edition was made")
everyone = measured | recorded

# %% [markdown]
# **More texts at once.** A processor that reads one text fetches all weights for it. Two texts share that trip. How far
# does that go? And what do shorter numbers bring?

# %% tags=["display"]
# @title Batches and number formats, on your machine
fig, axes = subplots(1, 2, figsize=(10.5, 3.8))
for (name, record), mark in zip(everyone.items(), "osD^v", strict=False):
    sweep = record["batch sweep"]
    rates = [r["tokens a second"] for r in sweep]
    axes[0].plot([r["B"] for r in sweep], rates, f"{mark}-", label=name)
axes[0].set_xscale("log", base=2)
axes[0].set(yscale="log" if recorded else "linear", title="batch")
axes[0].set(xlabel="texts at once", ylabel="tokens a second", ylim=None if recorded else (0, None))
axes[0].legend()
formats = measured[where.type]["formats"]
milliseconds = [1e3 * r["seconds"] for r in formats]
axes[1].bar([r["format"] for r in formats], milliseconds, color=COLORS["sky"])
axes[1].set(ylabel="milliseconds a pass", title=f"number formats, {where.type}")
assert [row["B"] for row in sweep][:2] == [1, 2] and formats[0]["format"] == "float32"
show(fig, "Left: tokens a second against the number of texts. Right: a pass in each number format.")

# %% [markdown]
# **Attention, written out or in one kernel.** Written out, all weights of a head, T × T numbers, lie in memory at one
# time. A **fused** kernel for attention makes the weights piece by piece and keeps none (Dao and others 2022).

# %% tags=["display"]
# @title Predict: twice the text
predict(
    "gpt2.memory",
    "The text becomes twice as long. The memory of a pass, with attention written out and then fused, …",
    ["doubles, doubles", "more than doubles, doubles", "doubles, stays"],
)

# %% tags=["display"]
# @title Measured: attention's memory and time
costs = measured[where.type]["attention"]
fig, axes = subplots(1, 2, figsize=(10.5, 3.6))
growth = {}
for kind, mark in (("explicit", "o-"), ("fused", "s-")):
    rows_of = [row for row in costs if row["kind"] == kind]
    T = [row["T"] for row in rows_of]
    axes[0].plot(T, [row["bytes"] / 1e6 for row in rows_of], mark, label=kind)
    axes[1].plot(T, [1e3 * row["seconds"] for row in rows_of], mark, label=kind)
    growth[kind] = rows_of[-1]["bytes"] / rows_of[-2]["bytes"]
axes[0].set(xlabel="tokens", ylabel="megabytes", title="memory of a pass, beside the weights")
axes[1].set(xlabel="tokens", ylabel="milliseconds", title="time of a pass")
axes[0].legend()
assert growth["explicit"] > 2.5 and abs(growth["fused"] - 2) < 0.3
show(fig, "Memory grows faster than the text where attention is written out, in step where it is fused.")
reveal("gpt2.memory", f"{'more than ' if growth['explicit'] > 2.5 else ''}doubles, doubles")

# %% [markdown]
# **Writing one token.** Without a cache each new token reads the whole text again. With one, a token takes some hundred
# small jobs. The jobs of a GPU are called **kernels**. Ordering each takes the CPU a few microseconds: for a small model
# longer than the work. A *CUDA graph* records all orders once and repeats them with one; for that no shape may change, so
# its cache has its full length from the start, and a mask hides what is empty.

# %% tags=["display"]
# @title A token, and where its time goes
ways = measured[where.type]["decoding"]
events = measured[where.type]["trace"]
fig, axes = subplots(1, 2, figsize=(10.5, 3.6), width_ratios=(2, 3))
axes[0].barh([row["way"] for row in ways], [1e3 * row["seconds a token"] for row in ways])
axes[0].set(xlabel="milliseconds a token", title="writing")
axes[1].barh([0] * len(events), [e["length"] for e in events], left=[e["begin"] for e in events],
             height=0.8, edgecolor="white", linewidth=0.3)
busy = sum(e["length"] for e in events) / max(e["begin"] + e["length"] for e in events)
axes[1].set(yticks=(), xlabel="microseconds", title=f"one token: {len(events)} jobs, busy {busy:.0%}")
assert len(events) > 40 and ways[0]["way"] == "no cache"
show(fig, "Left: time a token for each way of writing. Right: the jobs of one token, with the gaps.")

# %% [markdown]
# The white gaps are time in which nothing is computed.
#
# **Short numbers lose something.** float16 has no number between 0 and 6 · 10⁻⁸. Many gradients of a large model are
# smaller. To multiply the loss by a large number before the way back, and to divide the gradients by it after, is called
# **loss scaling** (Micikevicius and others 2018). The format bfloat16 has float32's range, and needs none.

# %%
gradient, scale = torch.tensor(2e-9), 2.0**14
print("in float16:           ", gradient.to(torch.float16).item())
print("scaled, and back:     ", f"{(gradient * scale).to(torch.float16).item() / scale:.1e}")
print("in bfloat16:          ", f"{gradient.to(torch.bfloat16).item():.1e}")

# %% [markdown]
# ## Arithmetic or memory?
#
# **Question.** What holds a job back? A machine has two limits: operations a second (FLOP/s), and bytes that it fetches a
# second. The **arithmetic intensity** of a job is the number of operations that it does for each byte. A **roofline** draws
# what a machine can reach at each intensity: below a certain one memory is the limit, above it arithmetic (Williams and
# others 2009).
#
# In a forward pass each weight is fetched once, 4 bytes, and used for every token, 2 FLOP.

# %% tags=["display"]
# @title Predict: the hungriest job
predict(
    "gpt2.intensity",
    "Which job has the lowest intensity, and so waits most for memory?",
    ["read 128 tokens", "write a token", "write a token in 16 texts at once"],
)

# %%
JOBS = {  # texts × tokens that are read in one pass
    "read 128 tokens": (1, 128), "write a token": (1, 1), "write a token in 16 texts at once": (16, 1),
}
config = size["config"]
head = config.vocab_size * config.n_embd  # used at the last position only
blocks = model_budget.count_parameters(config) - head - config.n_positions * config.n_embd
flop = {job: 2 * B * (T * blocks + head) for job, (B, T) in JOBS.items()}
intensity = {job: n / (4 * (blocks + head)) for job, n in flop.items()}
print({job: round(value, 1) for job, value in intensity.items()}, "FLOP a byte")

# %% tags=["display"]
# @title Measured: the roofline of your machine
limit = measured[where.type]["limits"]
peak = limit["flops"]["float32"]
model = GPT(config, generator(0)).to(where).eval()
x = torch.logspace(-1, 3, 100)
fig, ax = subplots(figsize=(8.5, 4))
ax.plot(x, (x * limit["bytes"]).clamp(max=peak) / 1e9, color="black", label="what the machine allows")
for (job, (B, T)), mark in zip(JOBS.items(), "osD", strict=True):
    ids = torch.zeros(B, T, dtype=torch.long, device=where)
    with torch.inference_mode():
        seconds, _ = timing.seconds_of(lambda ids=ids: model(ids, last=True), where, repeats=3)
    ax.plot(intensity[job], flop[job] / seconds / 1e9, mark, markersize=11, label=job)
ax.set(xscale="log", yscale="log", xlabel="intensity (FLOP a byte)", ylabel="GFLOP a second")
ax.legend()
lowest = min(intensity, key=intensity.get)
assert lowest == "write a token" and intensity["read 128 tokens"] > 50 * intensity[lowest]
show(fig, "Roofline: writing one token is far left under the slope, a long text is far to the right.")
reveal("gpt2.intensity", lowest)


# %% [markdown]
# Writing a token needs all weights for one token: memory is the limit. Sixteen texts share the trip, so services answer
# many people in one batch. **Move the sliders**: what would other machines be held back by, by their data sheets?

# %% tags=["display"]
# @title The roofline of published cards
def draw_card(card, B, T):
    rates, bandwidth = timing.CARDS[card]
    name = list(rates)[-1]  # the shortest format
    parameters = model_budget.count_parameters(small)
    job = 2 * B * T * parameters
    seconds, held_by = timing.least_seconds(job, 2 * parameters, rates[name], bandwidth)
    x = torch.logspace(-1, 4, 100)
    fig, ax = subplots(figsize=(8.5, 3.6))
    ax.plot(x, (x * bandwidth).clamp(max=rates[name]) / 1e12, color="black")
    ax.plot(job / (2 * parameters), job / seconds / 1e12, "o", markersize=13, color=COLORS["vermillion"])
    ax.set(xscale="log", yscale="log", xlabel="intensity (FLOP a byte)", ylabel="TFLOP a second")
    ax.set_title(f"{card}, {name}: at least {1e6 * seconds:,.0f} µs, held back by {held_by}")
    return Picture(fig, f"GPT-2 small on {card}: {B} texts of {T} tokens are held back by {held_by}.")


explore(
    draw_card,
    card=widgets.ToggleButtons(options=list(timing.CARDS), value="A100", description="card"),
    B=widgets.SelectionSlider(options=[1, 8, 64, 512], value=1, description="texts"),
    T=widgets.SelectionSlider(options=[1, 16, 128, 1024], value=1, description="tokens"),
)

# %% [markdown]
# **Learning.** A training step takes 6 FLOP for each parameter and token: 2 forward, 4 back. The **model FLOP utilization**,
# MFU, is the share of the machine's peak that a step reaches by this rule (Chowdhery and others 2022). Half is good.

# %% tags=["nbval-ignore-output"]
N = model_budget.count_parameters(config)
for row in measured[where.type]["training"]:
    best = measured[where.type]["limits"]["flops"][row["format"]]
    share = model_budget.flop_utilization(N, row["tokens"], row["seconds"] / 3600, best)
    print(f"{row['format']:<9} {row['seconds']:.3f} s a step, MFU {share:.0%}")

# %% [markdown]
# And where memory is too small? `if_it_fits` gives back what was taken, and returns None: 10¹⁵ numbers fit nowhere.

# %%
print("a quadrillion numbers:", if_it_fits(lambda: torch.zeros(10**15)))

# %% [markdown]
# ## What we verified

# %% tags=["display"]
# @title Each claim with its source
claims.show()

# %% [markdown]
# Your predictions and exercises at a glance:

# %% tags=["progress"] slideshow={"slide_type": "skip"}
exercises.progress("gpt2")

# %% [markdown]
# **What this lesson leaves out.** The storyteller has 0.7 % of GPT-2 small's parameters and knows one kind of text. Newer
# models differ in positions, norms, MLPs and attention (lesson 11); several GPUs, and kernels written by hand, are a
# course of their own.
#
# ## Further reading
#
# - Radford and others 2019, [Language Models are Unsupervised Multitask Learners](https://cdn.openai.com/better-language-models/language_models_are_unsupervised_multitask_learners.pdf) (GPT-2).
# - Press and Wolf 2017, [Using the Output Embedding to Improve Language Models](https://arxiv.org/abs/1608.05859): the tied head.
# - Pascanu and others 2013, [On the difficulty of training recurrent neural networks](https://arxiv.org/abs/1211.5063): clipping.
# - Dao and others 2022, [FlashAttention](https://arxiv.org/abs/2205.14135): attention in one kernel.
# - Pope and others 2022, [Efficiently Scaling Transformer Inference](https://arxiv.org/abs/2211.05102): memory, arithmetic and the cache.
# - Williams, Waterman and Patterson 2009, [Roofline](https://doi.org/10.1145/1498765.1498785): an insightful visual performance model.
