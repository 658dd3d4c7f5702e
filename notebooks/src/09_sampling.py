# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 09 · From logits to text: how a model chooses the next token
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/OWNER--SET-ME/llm-inside/blob/main/notebooks/09_sampling.ipynb) · [open this lesson in Colab](https://colab.research.google.com/github/OWNER--SET-ME/llm-inside/blob/main/notebooks/09_sampling.ipynb)
#
# **A model gives 50,257 numbers. Who chooses the word?** The same model writes dull or lively text, or nonsense, depending on a few lines after
# its last layer. You write those lines, and measure what each does to the stories.
#
# **Time.** Running: about half a minute on CPU; no GPU is needed. Reading and exercises: about an hour.
#
# **What you will be able to do**
# - turn logits into text with greedy choice, temperature, top-k, top-p and min-p;
# - say what each of them cuts away, and which setting writes the best stories here;
# - write a repetition penalty, and say what it breaks.
#
# **Prerequisites.** Lesson 04 (GPT-2). Softmax.

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
# What this lesson builds stands finished in `course_utils.sampling`. You build the main pieces here.

# %% tags=["imports"]
import math
import textwrap
import time
from dataclasses import replace

import ipywidgets as widgets
import torch
from torch import Tensor, nn

from course_utils import exercises, inside_gpt2, model_budget, sampling
from course_utils.classroom import (
    COLORS, Picture, device, explore, generator, progress, show, subplots,
)
from course_utils.exercises import check, hint, solution
from course_utils.gpt2 import GPT, GPTConfig, SIZES
from course_utils.pretrained import trained
from course_utils.stories import Teller, VOCAB, next_token_distribution

# %% [markdown]
# Sizes: a middling model, whose random weights cost as much time as trained ones, and the parameters of GPT-2's sizes.

# %%
middle = GPTConfig(n_layer=4, n_head=4, n_embd=128, vocab_size=1000, n_positions=256)
total = {name: model_budget.count_parameters(GPTConfig.preset(name)) for name in SIZES}
print(total)

# %% [markdown]
# The model that writes in this lesson is the storyteller of lesson 04. With `PUBLISHED = True` it is OpenAI's GPT-2, where the hub is reached.

# %%
PUBLISHED = False

talker, where = trained(PUBLISHED), device()
model, batches, STORIES = talker.model.to(where), talker.batches, talker.best is not None
print("You talk to", talker.note)
print(f"{sum(p.numel() for p in model.parameters()):,} parameters, {len(talker.words):,} tokens")

# %% [markdown]
# Its beginning of a story, as tokens:

# %%
opening = "Once upon a time there was a child named Tom. Tom was a"
prompt = talker.encode(opening)[None].to(where)  # (B, T)
print(prompt.shape)

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
# ### Exercise 1 · greedy
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
greedy = check("sampling.greedy", greedy)
# hint("sampling.greedy")
# solution("sampling.greedy")

# %% [markdown]
# **Predict.** What will be wrong with a text that always takes the likeliest word?

# %%
plain = greedy(model, prompt, n_new=100)
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
# ### Exercise 2 · top-k
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
top_k = check("sampling.top_k", top_k)
# hint("sampling.top_k")
# solution("sampling.top_k")

# %% [markdown]
# ### Exercise 3 · top-p
#
# *Difficulty 3 of 3 · 12 minutes*
#
# Sort, add up, and watch the token that crosses the line: it stays.

# %% tags=["exercise"]
def top_p(logits: Tensor, p: float) -> Tensor:
    """Keep the fewest tokens whose probabilities add up to p or more (the nucleus) and cut all
    others.

    Shapes: logits (..., V) -> the same, -inf where cut. The likeliest token always stays.
    Raises: ValueError unless 0 < p <= 1. Source: Holtzman et al. 2020, section 3.1.

    >>> top_p(torch.tensor([0.1, 0.6, 0.3]).log(), p=0.7).exp()
    tensor([0.0000, 0.6000, 0.3000])
    """
    ...


# %% tags=["check"]
top_p = check("sampling.top_p", top_p)
# hint("sampling.top_p")
# solution("sampling.top_p")

# %% [markdown]
# ### Exercise 4 · min-p
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
min_p = check("sampling.min_p", min_p)
# hint("sampling.min_p")
# solution("sampling.min_p")

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
    alt = f"After “{PLACES[place][-20:]}”: about {math.exp(h):.0f} open choices, "
    alt += f"likeliest {labels[0]!r}. "
    return Picture(fig, alt + "Bars of the 15 likeliest, and 20 draws in words below them.")


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
    return *inside_gpt2.mean_interval(lasted), len(words)  # mean, half width, number of words


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
# ### Exercise 5 · say it once
#
# *Difficulty 2 of 3 · 8 minutes*
#
# Another tool against dull loops: make tokens that occurred less likely. Mind the sign: a negative logit becomes *less* likely by multiplication.

# %% tags=["exercise"]
def repetition_penalty(logits: Tensor, ids: Tensor, penalty: float) -> Tensor:
    """Make tokens that occurred less likely: divide positive logits, multiply negative ones.

    Shapes: logits (B, V), ids (B, T) -> (B, V). A token counts once, however often it occurred.
    Raises: ValueError unless penalty > 0. Source: Keskar et al. 2019, "CTRL", section 4.1.

    >>> repetition_penalty(
    ...     torch.tensor([[2.0, -2.0, 2.0]]), ids=torch.tensor([[0, 1, 0]]), penalty=2.0
    ... )
    tensor([[ 1., -4.,  2.]])
    """
    ...


# %% tags=["check"]
repetition_penalty = check("sampling.repetition_penalty", repetition_penalty)
# hint("sampling.repetition_penalty")
# solution("sampling.repetition_penalty")

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
# **What is that cache?** For each new token the plain loop reads the whole text again. But keys and values of the past do not change: the mask sees to that (lesson 02). With a cache the model keeps them and reads one token. The text is the same.
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
    right.plot(
        range(40, 361, 40), took[cached] / took[cached][0], f"o{style}", label=f"{name} cache"
    )
left.set(xlabel="tokens so far", ylabel="positions read for a token")
right.set(xlabel="tokens so far", ylabel="time for a token (first = 1)", ylim=(0, None))
left.legend()
assert reads[False] == list(range(1, 361)) and reads[True] == [1] * 360
show(
    fig,
    "Positions read for one more token: 1 to 360 without a cache, always 1 with one. Right: times here.",
)

# %% [markdown]
# The price is memory: keys and values of all layers. For GPT-2 small and one text of 1024 tokens:

# %%
for name in SIZES:
    config = GPTConfig.preset(name)
    print(f"{name:<12} cache {model_budget.kv_cache_bytes(config, B=1, T=1024) / 2**20:4.0f} MiB, "
          f"weights {4 * total[name] / 2**20:5.0f} MiB")

# %% [markdown]
# Your exercises: which pass, and which are still open.

# %% tags=["progress"] slideshow={"slide_type": "skip"}
exercises.progress("sampling")

# %% [markdown]
# **What this lesson leaves out.** Our stories have a grammar that says whether a text is right. Real text has none, and people disagree about what is good. Beam search and speculative decoding are not here.
#
# ## Further reading
#
# - Radford and others 2019, [Language Models are Unsupervised Multitask Learners](https://cdn.openai.com/better-language-models/language_models_are_unsupervised_multitask_learners.pdf) (GPT-2).
# - Holtzman and others 2020, [The Curious Case of Neural Text Degeneration](https://arxiv.org/abs/1904.09751): top-p, and why greedy text is dull.
# - Fan, Lewis and Dauphin 2018, [Hierarchical Neural Story Generation](https://arxiv.org/abs/1805.04833): top-k. Nguyen and others 2024, [Turning Up the Heat](https://arxiv.org/abs/2407.01082): min-p.
# - Keskar and others 2019, [CTRL](https://arxiv.org/abs/1909.05858), section 4.1: the repetition penalty.
# - Pope and others 2022, [Efficiently Scaling Transformer Inference](https://arxiv.org/abs/2211.05102): memory, arithmetic and the cache.
