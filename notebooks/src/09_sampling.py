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
# **A model gives a number for each word. Who chooses the word?** The same model writes dull text, lively text or nonsense:
# a few lines after its last layer decide. You write those lines, and measure what each does to the stories.
#
# **Time.** Running: about a minute on CPU; no GPU is needed. About 80 minutes to read and do.
#
# **What you will be able to do**
# - turn logits into text: greedily, by drawing, with temperature, top-k, top-p and min-p, and with beam search;
# - say what each of them costs in likelihood, in variety and in broken stories;
# - count what a token costs, with a cache and in a batch, and say what limits the speed.
#
# **Prerequisites.** Lesson 04 (GPT-2); logits, softmax, and the key-value cache of lesson 02.

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
import random
import textwrap

import ipywidgets as widgets
import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from course_utils import exercises, model_budget, sampling
from course_utils.classroom import (
    COLORS, Claims, Diagram, Picture, Source, device, explore, generator, predict, progress, reveal,
    show, subplots,
)
from course_utils.exercises import check, hint, solution
from course_utils.gpt2 import GPTConfig
from course_utils.intervals import mean_interval
from course_utils.pretrained import trained
from course_utils.stories import ID, Teller, VOCAB

claims = Claims("09")
where = device()
talker = trained(n_windows=24)  # the storyteller of lesson 04, and 24 stories that it never read
model = talker.model.to(where)
texts = talker.windows.to(where)  # (24, 257), each from the first word of a story on

# %% [markdown]
# **Move the sliders** and read the twenty draws below: they are what the model would write next. At temperature 2 not
# all of them fit. Which of the other three sliders brings sense back, and what does it cost?

# %% tags=["display"]
# @title What comes next, and what do you let through?
PLACES = {
    "a word like “kind”": "Once upon a time there was a child named Tom. Tom was a",
    "a name": "Once upon a time there was a child named",
    "only one word": "Once upon a time there was a child named Tom. Tom was a kind",
}


def draw_choice(place, temperature, top_k, top_p, min_p):
    ids = talker.encode(PLACES[place])[None].to(where)
    cuts = dict(top_k=top_k if top_k < 50 else None, top_p=top_p, min_p=min_p)
    p = sampling.next_token(model, ids, temperature=temperature, **cuts)[0].cpu()  # (V,)
    plain = sampling.next_token(model, ids)[0].cpu()
    draws = sampling.draw(p, generator(0), n=20)
    best = plain.topk(14).indices
    fig, ax = subplots(figsize=(9.5, 3.5))
    spots = np.arange(len(best))
    ax.bar(spots - 0.2, plain[best], width=0.4, color=COLORS["sky"], label="the model's own")
    ax.bar(spots + 0.2, p[best], width=0.4, color=COLORS["orange"], label="yours")
    labels = [talker.words[i] for i in best]
    ax.set_xticks(spots, labels, rotation=40, ha="right", parse_math=False)
    choices = math.exp(sampling.entropy(p))
    ax.set(ylabel="probability", title=f"{(p > 0).sum()} words left, {choices:.1f} open choices")
    ax.legend(loc="upper right")
    said = " ".join(talker.words[i].strip() for i in draws)
    fig.supxlabel(textwrap.fill("20 draws: " + said, 100), fontsize=12, parse_math=False)
    alt = f"After “{PLACES[place][-14:]}”: {(p > 0).sum()} words are left, like {choices:.1f} equal"
    return Picture(fig, f"{alt} ones; the likeliest is “{labels[0]}”. Twenty draws stand below.")


explore(
    draw_choice,
    place=widgets.ToggleButtons(options=list(PLACES), description="next is"),
    temperature=widgets.FloatSlider(2.0, min=0.1, max=3.0, step=0.1, description="temperature"),
    top_k=widgets.IntSlider(50, 1, 50, description="top-k"),
    top_p=widgets.FloatSlider(1.0, min=0.05, max=1.0, step=0.05, description="top-p"),
    min_p=widgets.FloatSlider(0.0, min=0.0, max=1.0, step=0.05, description="min-p"),
)

# %% tags=["display"]
# @title What will count, set before anything is measured
HOLTZMAN = "Holtzman and others 2020, The Curious Case of Neural Text Degeneration"
LINK = "https://arxiv.org/abs/1904.09751"
claims.expect(
    "D1", "text that is chosen for likelihood is far likelier than text that people wrote",
    source=Source(HOLTZMAN, "sections 4 and 5, table 1", LINK),
    published="perplexity 1.5 by greedy choice and by beam search, 12.4 by people",
    criterion="the model finds greedy text and beam text likelier than the teller's, on the same "
              "openings: both 95 % intervals of the difference lie above 0",
    holds=lambda gaps: all(mean > half for mean, half in gaps),
)
claims.expect(
    "D2", "most greedy texts end in a loop",
    source=Source(HOLTZMAN, "section 5, table 1", LINK), published="74 % of texts of 200 tokens",
    criterion="at least half of the texts of 200 tokens end in three times the same phrase",
    holds=lambda share: share >= 0.5,
)
claims.expect(
    "D3", "at high temperature min-p keeps text together where top-p does not",
    source=Source("Nguyen and others 2024, Turning Up the Heat", "abstract",
                  "https://arxiv.org/abs/2407.01082"),
    published="better quality and diversity, especially at higher temperatures",
    criterion="at temperature 2, stories under min-p 0.1 last longer than under top-p 0.9: the 95 % "
              "interval of the difference lies above 0 for each of three seeds",
    holds=lambda gaps: all(mean > half for mean, half in gaps),
)
claims.criteria()

# %% [markdown]
# Writing is a loop. This lesson is about its yellow boxes.

# %% tags=["display"]
# @title The loop that writes, as a diagram
d = Diagram()
text_box = d.box("text so far  (B, T)", 0, 0, width=3.4)
model_box = d.box("model", 4.4, 0, width=2.2)
logits_box = d.box("logits  (B, V)", 8.4, 0, width=2.8, color="blue")
shape_box = d.box("bend, cut", 8.4, -2.2, width=2.8, color="yellow")
p_box = d.box("softmax: p  (B, V)", 4.2, -2.2, width=3.4, color="blue")
draw_box = d.box("choose one", 0, -2.2, width=3.0, color="yellow")
for start, end in ((text_box, model_box), (model_box, logits_box), (logits_box, shape_box),
                   (shape_box, p_box), (p_box, draw_box)):
    d.arrow(start, end)
d.arrow(draw_box, text_box, "append")
d.picture(
    "A circle of boxes: the text goes through the model to logits, which are bent or cut; softmax makes "
    "probabilities, one token is chosen and appended to the text, and the circle begins again."
)


# %% [markdown]
# ## The likeliest word
#
# **Question.** To take the most probable token each time is **greedy decoding**. What kind of story does it tell?
#
# ### Exercise 1 · greedy
#
# *Difficulty 1 of 3 · 4 minutes*

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
# The openings of all our experiments: the first 20 words of 24 stories that the model never read. Two of them, continued:

# %%
prompts = texts[:, :20]  # (24, 20)
plain = greedy(model, prompts, 40)  # (24, 60)
for row in plain[:2, 20:]:
    print(textwrap.fill("… " + talker.decode(row.cpu()), 100), "\n")


# %% [markdown]
# Nothing is wrong, and little happens: the friend, the ball, the park. Ask a second time, and you get the same story.
#
# ## A draw
#
# **Question.** How do you choose so that each word comes as often as its probability says?
#
# Lay all tokens on a line from 0 to 1, each with an interval as long as its probability, and throw a point on it. A draw of
# one out of V outcomes with given probabilities is **multinomial** sampling; in PyTorch, `torch.multinomial`.
#
# ### Exercise 2 · whose interval?
#
# *Difficulty 2 of 3 · 7 minutes*

# %% tags=["exercise"]
def token_at(p: Tensor, u: Tensor) -> Tensor:
    """Turn points into tokens: the tokens share the line from 0 to 1, in the order of their ids, each
    with an interval as long as its probability.

    Shapes: p (B, V), u (B, n), points with 0 <= u < 1 -> (B, n), int64: in whose interval each point
    lies. An interval owns its left end, not its right one, so a token of probability 0 never comes.
    Rounding may leave the sum of p a little below 1: a point behind it belongs to the last token.
    Source: Devroye 1986, section III.2 (inversion).

    >>> token_at(torch.tensor([[0.25, 0.0, 0.75]]), torch.tensor([[0.0, 0.2, 0.25, 0.9]]))
    tensor([[0, 0, 2, 2]])
    """
    ...


# %% tags=["check"]
token_at = check("sampling.token_at", token_at)
# hint("sampling.token_at")
# solution("sampling.token_at")

# %% [markdown]
# Points from a generator with a seed, and your function, make the draw. Does it do what torch's does?

# %%
def draw(p, dice, n=1):
    points = torch.rand(len(p), n, generator=dice).to(p.device)  # (B, n)
    return token_at(p, points)  # (B, n)


told = talker.encode("Once upon a time there was a child named Tom. Tom was a")
with torch.no_grad():
    logits = model(told[None].to(where))[:, -1].cpu()  # (1, V)
p = logits.softmax(-1)
yours = draw(p, generator(0), 5_000)[0].bincount(minlength=len(VOCAB)) / 5_000
torchs = p[0].multinomial(5_000, True, generator=generator(1)).bincount(minlength=len(VOCAB))
for i in p[0].topk(4).indices:
    print(f"{VOCAB[i]:<8} p {p[0, i]:.3f}   you {yours[i]:.2f}   torch {torchs[i] / 5_000:.2f}")


# %% [markdown]
# Now the risk. Of these stories we know exactly what may come: the teller that made the training texts gives each possible
# word a probability, and all others 0. `allowed` asks it after each token.

# %%
def allowed(ids):
    teller, p = Teller(), torch.zeros(len(ids), len(VOCAB))
    for row, i in zip(p, ids.tolist(), strict=True):
        teller.step(VOCAB[i])
        for word, chance in teller.next_tokens().items():
            row[ID[word]] = chance
    return p  # (T, V)


truth = torch.stack([allowed(row[:80])[20:] for row in texts])  # (24, 60, V)
with torch.no_grad():
    scores = model(texts[:, :80])[:, 20:].cpu()  # (24, 60, V)
print(f"on average {(truth > 0).sum(-1).float().mean():.0f} of {len(VOCAB)} words are possible")

# %% tags=["display"]
# @title Predict: impossible words
predict(
    "sampling.tail",
    "The model's loss is close to the best one. How much of its probability is on words that the "
    "teller could not say at that place?",
    {"under 0.1 %": (0, 0.1), "0.1 to 1 %": (0.1, 1), "1 to 5 %": (1, 5), "over 5 %": (5, 100)},
)


# %%
def impossible(p):
    return 100 * p.where(truth == 0, 0.0).sum(-1).mean(-1)  # (24,), in percent, a number a story


tail = mean_interval(impossible(scores.softmax(-1)))
print(f"impossible words: {tail[0]:.1f} ± {tail[1]:.1f} % of the probability")
even = math.log(0.5) / math.log(1 - tail[0] / 100)
print(f"if each word ran that risk: an even chance of a break within {even:.0f} words")

# %% tags=["display"]
# @title Measured: impossible words
assert 1 < tail[0] - tail[1] and tail[0] + tail[1] < 5
reveal("sampling.tail", tail[0], ".1f")


# %% [markdown]
# About one draw in fifty hits a word that cannot come; a story is a hundred draws. If that risk lies in the tail, in hundreds
# of words with a tiny bit each, you can *bend* the distribution, or *cut* its tail, before you draw.
#
# ## Bend or cut
#
# **Question.** How much of the risk is in the tail, and what do you lose with it?
#
# The temperature of lesson 02 bends: logits / τ. Cutting means the logit −∞, which softmax turns into exactly 0. There are
# three rules in use. To keep the *k* largest logits is **top-k** (Fan and others 2018).
#
# ### Exercise 3 · top-k
#
# *Difficulty 1 of 3 · 5 minutes*

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
# To keep the fewest tokens that together have at least probability *p* is **top-p**, or nucleus sampling (Holtzman and others
# 2020). Mind the token that crosses the line.
#
# ### Exercise 4 · top-p
#
# *Difficulty 3 of 3 · 10 minutes*

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
# To keep the tokens that are at least *p* times as likely as the likeliest is **min-p** (Nguyen and others 2024).
#
# ### Exercise 5 · min-p
#
# *Difficulty 1 of 3 · 4 minutes*

# %% tags=["exercise"]
def min_p(logits: Tensor, p: float) -> Tensor:
    """Cut the tokens that are less likely than p times the likeliest one.

    Shapes: logits (..., V) -> the same, -inf where cut. Raises: ValueError unless 0 <= p <= 1.
    Source: Nguyen et al. 2024, "Turning Up the Heat: Min-p Sampling".

    >>> min_p(torch.tensor([0.1, 0.6, 0.3]).log(), p=0.4).exp()
    tensor([0.0000, 0.6000, 0.3000])
    """
    ...


# %% tags=["check"]
min_p = check("sampling.min_p", min_p)
# hint("sampling.min_p")
# solution("sampling.min_p")

# %% [markdown]
# Your three functions in one. The temperature comes first, as in most libraries:

# %%
def shaped(logits, temperature=1.0, k=None, p=None, m=None):
    logits = logits / temperature
    if k is not None:
        logits = top_k(logits, k)
    if p is not None:
        logits = top_p(logits, p)
    if m is not None:
        logits = min_p(logits, m)
    return logits.softmax(-1)  # (..., V)


# %% [markdown]
# Four settings that leave about equally much impossible probability, about 1.3 %. Which of them stays closest to what the teller
# would say? `distance` is the probability that lies in the wrong place (the total variation distance), in percent.

# %% tags=["display"]
# @title Predict: the fairest cut
MATCHED = {"temperature 0.7": dict(temperature=0.7), "top-k 10": dict(k=10), "top-p 0.85": dict(p=0.85),
           "min-p 0.1": dict(m=0.1)}
predict(
    "sampling.cut",
    "Which of these four, equal in impossible words, is closest to the teller's own probabilities?",
    list(MATCHED),
)


# %%
def distance(p):
    return 50 * (p - truth).abs().sum(-1).mean(-1)  # (24,), in percent, a number a story


SETTINGS = {
    "temperature": [dict(temperature=t) for t in (0.3, 0.5, 0.7, 0.85, 1.0, 1.2)],
    "top-k": [dict(k=k) for k in (1, 2, 3, 5, 10, 20, 50)],
    "top-p": [dict(p=p) for p in (0.4, 0.6, 0.7, 0.85, 0.95, 0.99)],
    "min-p": [dict(m=m) for m in (0.9, 0.5, 0.3, 0.2, 0.1, 0.05, 0.02)],
}
curves = {
    name: [(impossible(q).mean(), distance(q).mean()) for q in (shaped(scores, **s) for s in way)]
    for name, way in SETTINGS.items()
}  # top-k 1 is greedy

# %% tags=["display"]
# @title Measured: what each cut costs
fig, ax = subplots(figsize=(9, 4.3))
for (name, points), mark in zip(curves.items(), "osD^", strict=True):
    ax.plot(*zip(*points, strict=True), f"{mark}-", label=name)
greedy_point = curves["top-k"][0]
ax.annotate("greedy", greedy_point, (greedy_point[0] + 0.04, greedy_point[1]), fontsize=12)
ax.set(xlabel="impossible words (% of probability)", ylabel="distance to the teller (%)", ylim=(0, 33))
ax.legend()
show(fig, "Four methods: the less impossible probability is left, the further from the teller.")
shaped_now = {name: shaped(scores, **way) for name, way in MATCHED.items()}
far = {name: distance(q) for name, q in shaped_now.items()}
for name, q in shaped_now.items():
    (bad, _), (off, half) = mean_interval(impossible(q)), mean_interval(far[name])
    less, around = mean_interval(far[name] - far["min-p 0.1"])
    print(f"{name:<16} impossible {bad:.2f} %   distance {off:.1f} ± {half:.1f} %   "
          f"minus min-p's {less:.1f} ± {around:.1f}")
    assert abs(bad - 1.3) < 0.1 and bad > 0.55 * tail[0] and (name == "min-p 0.1" or less > around)
left = impossible(shaped_now["min-p 0.1"]).mean() / tail[0]
print(f"of all impossible probability, min-p 0.1 leaves {100 * left:.0f} %, "
      f"greedy {100 * greedy_point[0] / tail[0]:.0f} %")
assert greedy_point[0] > 0.2 * tail[0]
strict = shaped(scores, temperature=0.3), shaped(scores, m=0.5)
nearer, about = mean_interval(distance(strict[0]) - distance(strict[1]))
print(f"stricter, temperature 0.3 minus min-p 0.5: distance {nearer:.1f} ± {about:.1f}")
assert nearer < -about
for points in curves.values():
    assert points[0][0] < points[-2][0] and points[0][1] > points[-2][1]
reveal("sampling.cut", min(far, key=lambda name: far[name].mean()))


# %% [markdown]
# Stricter settings trade one for the other, and greedy is the far end. At this price min-p is the closest: its limit moves with
# the model. Where one word is sure it keeps one, where twelve are alike it keeps twelve; top-k keeps ten in both places. But the
# curves cross: for a stricter choice a low temperature is closer. And this is one model and one kind of text.
#
# **Most of the risk is not in the tail.** All four leave more than half of it: it lies on words that the model takes for good
# ones. Even greedy's word is sometimes impossible. A cut removes what is unlikely, not what is wrong.
#
# ## Search for the likeliest text
#
# **Question.** Greedy takes the best *word* each time. What would the best *text* be?
#
# A good first word can lead nowhere. To keep, after each token, the *k* texts that are likeliest as a whole is **beam search**.
#
# ### Exercise 6 · a step of beam search
#
# *Difficulty 3 of 3 · 12 minutes*

# %% tags=["exercise"]
def beam_step(texts: Tensor, scores: Tensor, log_p: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Extend texts by one token: of all extensions of all texts, keep the k likeliest whole texts.

    Shapes: texts (K, T), the beams so far; scores (K,), the log-probability of each; log_p (K, V),
    that of each next token after each text -> the new texts (k, T + 1) and their scores (k,), the
    likeliest first; all K · V where k is more. Source: Freitag & Al-Onaizan 2017.

    >>> log_p = torch.tensor([[0.55, 0.45], [0.95, 0.05]]).log()
    >>> texts, scores = beam_step(
    ...     torch.tensor([[0], [1]]), torch.tensor([0.6, 0.4]).log(), log_p, k=2
    ... )
    >>> texts, scores.exp()
    (tensor([[1, 0],
            [0, 0]]), tensor([0.3800, 0.3300]))
    """
    ...


# %% tags=["check"]
beam_step = check("sampling.beam_step", beam_step)
# hint("sampling.beam_step")
# solution("sampling.beam_step")

# %% [markdown]
# The search calls your step for each new token:

# %%
@torch.inference_mode()
def beam_search(ids, n_new, k):
    score = torch.zeros(1, device=ids.device)
    for _ in range(n_new):
        log_p = model(ids)[:, -1].log_softmax(-1)  # (K, V)
        ids, score = beam_step(ids, score, log_p, k)
    return ids, score  # (k, T + n_new), (k,)


# %% [markdown]
# Is that right? For two new tokens you can try all: 699 × 699 continuations. One beam is greedy; 699 beams miss nothing.

# %%
one = texts[12:13, :37]  # (1, 37)
with torch.inference_mode():
    first = model(one)[0, -1].log_softmax(-1)  # (V,)
    every = torch.cat([one.expand(len(VOCAB), -1), torch.arange(len(VOCAB), device=where)[:, None]], 1)
    second = model(every)[:, -1].log_softmax(-1)  # (V, V)
best = (first[:, None] + second).max().item()
print(f"… They …   the best of all: {best:.3f}")
for k in (1, 4, len(VOCAB)):
    ids, score = beam_search(one, 2, k)
    print(f"{k:>3} beams: {' '.join(VOCAB[i] for i in ids[0, 37:])}, log-probability {score[0]:.3f}")

# %% [markdown]
# “Walked” is the likelier word. But a walk goes on in several ways, and each takes a part; after “went” comes “to” almost
# surely. Four beams are enough to find that.

# %% tags=["display"]
# @title Predict: the likeliest text
predict(
    "sampling.beam",
    "Four texts are drawn at temperature 1, and the likeliest is kept. That costs as many calls as 4 "
    "beams. To the model this text is, next to that of beam search, …",
    ["less likely", "about as likely", "likelier"],
)


# %% [markdown]
# Three yardsticks, each a number for each opening. `nats`: how surprised the model is by a text, for each word. `lasted`:
# how many words pass until the first that the teller could not say. `variety`: of all word pairs in four texts with one opening,
# the share that are different.

# %%
@torch.inference_mode()
def nats(ids):
    log_p = model(ids)[:, 19:-1].log_softmax(-1)
    return -log_p.gather(-1, ids[:, 20:, None]).mean().item()


def lasted(ids):
    teller = Teller()
    for n, i in enumerate(ids.tolist()):
        if VOCAB[i] not in teller.next_tokens():
            return n - 20
        teller.step(VOCAB[i])
    return len(ids) - 20


def variety(ids):
    pairs = [pair for row in ids[:, 20:].tolist() for pair in zip(row, row[1:], strict=False)]
    return len(set(pairs)) / len(pairs)


# %% [markdown]
# `write` draws with your functions. It reads each token once: keys and values of the past stay in the cache.

# %%
@torch.inference_mode()
def write(ids, n_new, dice, **settings):
    cache = model.cache(ids.size(1) + n_new)
    logits = model(ids, cache, last=True)[:, -1]
    for _ in range(n_new):
        token = draw(shaped(logits, **settings), dice)  # (B, 1)
        ids = torch.cat([ids, token], dim=1)
        logits = model(token, cache, last=True)[:, -1]
    return ids


def four(seed, **settings):
    return write(prompts.repeat_interleave(4, 0), 40, generator(seed), **settings).view(24, 4, -1)


# %% [markdown]
# The teller itself continues, too; that is our human writer.

# %%
def continued(ids, seed):
    teller, written = Teller(random.Random(seed)), ids.tolist()
    for i in written:
        teller.step(VOCAB[i])
    return torch.tensor(written + [ID[teller.step()[0]] for _ in range(40)], device=where)


stories = {
    "the teller": torch.stack([torch.stack([continued(row, s) for s in range(4)]) for row in prompts]),
    "greedy": plain[:, None].expand(-1, 4, -1),
    "beam search, 4": torch.stack(
        [beam_search(row[None], 40, 4)[0] for row in progress(prompts, "beams")]
    ),
}

# %% [markdown]
# And six ways to draw, four texts for each opening:

# %%
HOW = {
    "temperature 0.3": dict(temperature=0.3), "temperature 0.7": dict(temperature=0.7),
    "temperature 1": {}, "top-k 10": dict(k=10), "top-p 0.85": dict(p=0.85), "min-p 0.1": dict(m=0.1),
}
for name, settings in progress(HOW.items(), "drawing"):
    stories[name] = four(0, **settings)


# %% tags=["display", "nbval-ignore-output"]
# @title Measured: likelihood, broken stories, variety
def judged(stories):
    """The three yardsticks of (24, 4, T): a row of 24 numbers for each."""
    return torch.tensor([
        [nats(four), sum(map(lasted, four)) / 4, variety(four)] for four in stories
    ]).T


marks = {name: judged(x) for name, x in stories.items()}
print(f"{'':<18}{'nats a word':>16}{'lasted, of 40':>16}{'variety':>16}")
for name, three in marks.items():
    said = [mean_interval(x) for x in three]
    print(f"{name:<18}{said[0][0]:>9.2f} ± {said[0][1]:.2f}{said[1][0]:>10.0f} ± {said[1][1]:<3.0f}"
          f"{said[2][0]:>9.2f} ± {said[2][1]:.2f}")
best = {
    name: torch.tensor([min(nats(x[None]) for x in few) for few in stories[name]])
    for name in ("beam search, 4", "temperature 0.3", "temperature 1")
}
print("the likeliest of four: " + ", ".join(f"{x.mean():.2f} {n}" for n, x in best.items()))
by_draws = {name: mean_interval(x - best["beam search, 4"]) for name, x in best.items()}
for name in ("temperature 0.3", "temperature 1"):
    print(f"  {name} minus beam search: {by_draws[name][0]:.2f} ± {by_draws[name][1]:.2f} nats")
assert by_draws["temperature 1"][0] > by_draws["temperature 1"][1]
assert -0.02 < by_draws["temperature 0.3"][0] < by_draws["temperature 1"][0] / 3
fig, ax = subplots(figsize=(9, 4.3))
colors = list(COLORS)[:5] + ["black", "purple", "blue", "vermillion"]
for (name, three), mark, color in zip(marks.items(), "*sDv^o+xh", colors, strict=True):
    look = dict(color=COLORS[color], markersize=12, markeredgewidth=2, fillstyle="none")
    ax.plot(three[2].mean(), three[1].mean(), mark, label=name, **look)
ax.set(xlabel="variety (share of different word pairs)", ylabel="words before the break", ylim=(25, 41))
ax.legend(ncols=2, loc="lower left")
show(fig, "Words before the break against variety: greedy and beams last and repeat, draws vary.")
gaps = {
    name: mean_interval(marks["the teller"][0] - marks[name][0])
    for name in ("greedy", "beam search, 4")
}
assert all(mean > half for mean, half in gaps.values())
better, about = mean_interval(marks["greedy"][0] - marks["beam search, 4"][0])
less_likely, around = mean_interval(marks["temperature 1"][0] - marks["the teller"][0])
assert better > about and less_likely > around and max(marks[n][2].mean() for n in gaps) < 0.4
drawn = [marks[n] for n in marks if n not in (*gaps, "the teller")]
assert all(x[2].mean() > 0.5 for x in drawn) and all(x[1].mean() < 39.5 for x in drawn)
claims.measure(
    "D1", list(gaps.values()),
    shown="perplexity " + ", ".join(f"{x[0].mean().exp():.1f} {n}" for n, x in marks.items()
                                   if n in (*gaps, "the teller")),
)
reveal("sampling.beam", "less likely")


# %% [markdown]
# Beam search does its job: its texts are likelier than greedy ones, and than the likeliest of four draws at temperature 1; at
# temperature 0.3 four draws come close. Greedy and beam texts are far likelier than what the teller says. A good story is not the likeliest one: it surprises now and then. Texts that are chosen for likelihood have less variety than
# all that are drawn: greedy's four texts are one, and the four beams share most of their words.
#
# Drawn texts break more often. At temperature 1 they are even *less* likely than the teller's, as in the paper.
#
# **Do greedy texts get stuck?** For GPT-2 the answer was yes, three times in four. A text is in a loop if it ends in three
# times the same phrase.

# %%
def loops(ids):
    return any(ids[-n:] == ids[-2 * n : -n] == ids[-3 * n : -2 * n] for n in range(2, 70))


long = {
    "greedy": write(prompts, 200, generator(0), k=1),  # one word is left to draw
    "temperature 0.3": write(prompts, 200, generator(0), temperature=0.3),
    "temperature 1": write(prompts, 200, generator(0)),
}
stuck = {name: sum(map(loops, x[:, 20:].tolist())) for name, x in long.items()}
print({name: f"{n} of 24 in a loop" for name, n in stuck.items()})

# %% tags=["display"]
# @title Measured: loops
looped = next((row for row in long["greedy"] if loops(row[20:].tolist())), long["greedy"][0])
print(textwrap.fill("… " + talker.decode(looped.cpu())[-240:], 100))
assert stuck["temperature 1"] == 0 and 0 < stuck["greedy"] < 12
claims.measure(
    "D2", stuck["greedy"] / 24, shown=f"{stuck['greedy']} of 24 texts",
    reason="The storyteller's texts come to an end and begin anew; the model and its texts are not "
           "GPT-2's. The loops that there are pass one toy to and fro.",
)

# %% [markdown]
# Loops exist here, and are rare: greedy choice alone does not make them. Our stories come to an end, GPT-2's texts went on.
# Whether that is the reason, this lesson does not test.
#
# ## Hot
#
# **Question.** At temperature 2 the tail is heavy. Top-p keeps a share of the *probability*, min-p what is near the *best*
# word. The claim is about top-p 0.9. A
# fair race asks also for the top-p that is as varied as min-p here: 0.7.

# %% tags=["display"]
# @title Predict: temperature 2
predict(
    "sampling.hot",
    "Temperature 2, then top-p 0.7 or min-p 0.1, which are equally varied. By how many words, of 40, "
    "does the story with min-p last longer?",
    {"over 15": (15, 41), "5 to 15": (5, 15), "under 5": (-41, 5)},
)

# %%
RACE = {"top-p 0.9": dict(p=0.9), "top-p 0.7": dict(p=0.7), "min-p 0.1": dict(m=0.1)}
hot = {}
for seed in progress((0, 1, 2), "three seeds"):
    for name, cut in RACE.items():
        hot[seed, name] = four(seed, temperature=2.0, **cut)

# %% tags=["display", "nbval-ignore-output"]
# @title Measured: temperature 2
hot_marks = {key: judged(x) for key, x in hot.items()}
hot_gaps, fair = [], []
for seed in (0, 1, 2):
    loose, tuned, sharp = (hot_marks[seed, n] for n in ("top-p 0.9", "top-p 0.7", "min-p 0.1"))
    hot_gaps.append(mean_interval(sharp[1] - loose[1]))
    fair.append(mean_interval(sharp[1] - tuned[1]))
    print(f"seed {seed}: lasted " + ", ".join(
        f"{x[1].mean():.0f} with {n} (variety {x[2].mean():.2f})"
        for n, x in (("top-p 0.9", loose), ("top-p 0.7", tuned), ("min-p 0.1", sharp))))
    print(f"        min-p minus top-p 0.9: {hot_gaps[-1][0]:.0f} ± {hot_gaps[-1][1]:.0f}, "
          f"minus top-p 0.7: {fair[-1][0]:.0f} ± {fair[-1][1]:.0f}")
    assert abs(sharp[2].mean() - tuned[2].mean()) < 0.03
lead = sum(m for m, _ in fair) / 3
claims.measure(
    "D3", hot_gaps, shown=", ".join(f"{m:.0f} ± {h:.0f}" for m, h in hot_gaps)
    + f" words longer, of 40; next to a top-p of equal variety {lead:.0f}",
)
cool = marks["temperature 1"]
beside = mean_interval(hot_marks[0, "min-p 0.1"][1] - cool[1])
print(f"min-p at temperature 2, minus temperature 1 uncut: {beside[0]:.1f} ± {beside[1]:.0f} words")
assert all(m > h for m, h in hot_gaps) and abs(beside[0]) < 5
assert 0 < lead < 5 and all(mine[0] < wide[0] / 2 for mine, wide in zip(fair, hot_gaps, strict=True))
reveal("sampling.hot", lead, ".0f")


# %% [markdown]
# Next to top-p 0.9, min-p wins by twenty words, and the published claim holds. Tune top-p to the same variety, and about three
# words remain. And look at the last line: heated and then cut, the stories last about as long as at temperature 1 without any
# cut. Always ask for these rows; for min-p, Schaeffer and others (2025) did, and found no advantage.
#
# ## Say it once
#
# **Question.** Can you make greedy text livelier by forbidding what was said?
#
# A **repetition penalty** makes tokens that occurred already less likely (Keskar and others 2019). Their formula divides each
# logit; libraries mind the sign, since a negative logit becomes *less* likely by multiplication.
#
# ### Exercise 7 · the penalty
#
# *Difficulty 2 of 3 · 7 minutes*

# %% tags=["exercise"]
def repetition_penalty(logits: Tensor, ids: Tensor, penalty: float) -> Tensor:
    """Make tokens that occurred less likely: divide positive logits, multiply negative ones.

    Shapes: logits (B, V), ids (B, T) -> (B, V). A token counts once, however often it occurred.
    Raises: ValueError unless penalty > 0. Source: Keskar et al. 2019, "CTRL", section 4.1,
    which divides; the case of negative logits is that of transformers.

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

# %% tags=["display"]
# @title Predict: the penalty
predict(
    "sampling.penalty",
    "Greedy text lasts all 40 words. With a penalty of 1.2, a usual one, it lasts …",
    {"over 35": (35, 41), "20 to 35": (20, 35), "under 20": (0, 20)},
)


# %%
@torch.inference_mode()
def penalised(ids, n_new, penalty):
    for _ in range(n_new):
        logits = repetition_penalty(model(ids)[:, -1], ids, penalty)
        ids = torch.cat([ids, logits.argmax(-1, keepdim=True)], dim=1)
    return ids


held_back = {penalty: penalised(prompts, 40, penalty) for penalty in (1.0, 1.2, 1.5)}

# %% tags=["display"]
# @title Measured: the penalty
ends, different, inside = {}, {}, {}
for penalty, x in held_back.items():
    ends[penalty] = mean_interval(torch.tensor([float(lasted(row)) for row in x]))
    different[penalty] = len(x[:, 20:].unique())
    inside[penalty] = sum(variety(row[None]) for row in x) / len(x)
    print(f"penalty {penalty}: lasted {ends[penalty][0]:.0f} ± {ends[penalty][1]:.0f} of 40, "
          f"different words in all texts {different[penalty]}, variety in a text {inside[penalty]:.2f}")
fresh = len(stories["temperature 1"][:, 0, 20:].unique())
print(f"drawn at temperature 1, one text each: different words {fresh}")
assert ends[1.0][0] - ends[1.2][0] > ends[1.2][1] and different[1.2] < 1.5 * different[1.0]
assert inside[1.2] > inside[1.0] + 0.05 and fresh > 2 * different[1.2]
reveal("sampling.penalty", ends[1.2][0], ".0f")


# %% [markdown]
# In each text fewer pairs repeat, as promised. But the stories break, and all together have few new words: names, "the" and full
# stops *have* to come again. The penalty cannot tell a loop from grammar.
#
# ## What a token costs
#
# **Question.** Why is writing slow, and what makes it faster?
#
# We count, we do not time: FLOP by torch's own counter, then bytes. First one more token, for a text that is already *T* long.

# %%
def flop(run):
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        run()
    return counter.get_total_flops()


model.set_attention("explicit")  # the counter does not see into a CPU's fused kernel
lengths, again, kept = range(2, 243, 20), [], []
for T in lengths:
    ids, cache = texts[:1, :T], model.cache()
    again.append(flop(lambda ids=ids: model(ids, last=True)))
    model(ids[:, :-1], cache)
    kept.append(flop(lambda ids=ids, cache=cache: model(ids[:, -1:], cache, last=True)))
_ = model.set_attention("fused")

# %% tags=["display"]
# @title Counted: a token with and without a cache
fig, ax = subplots(figsize=(8.5, 3.6))
ax.plot(lengths, np.array(again) / 1e6, "o-", label="without a cache")
ax.plot(lengths, np.array(kept) / 1e6, "s--", label="with a cache")
ax.set(xlabel="tokens so far", ylabel="MFLOP for the next token")
ax.legend()
growth, flat = again[-1] / again[0], kept[-1] / kept[0]
print(f"from 2 to 242 tokens: {growth:.0f} times as much without a cache, {flat:.1f} times with one")
assert growth > 50 and 1 < flat < 1.5
show(fig, "FLOP for one more token: a rising line without a cache, a nearly level one with a cache.")


# %% [markdown]
# The cache saves arithmetic. It does not save *reading*: for each new token all weights come from memory, and the cache of
# the text as well. At small intensity the bytes are the limit (lesson 04). Several texts in a batch share the weights.
#
# ### Exercise 8 · the bytes of a token
#
# *Difficulty 2 of 3 · 6 minutes*

# %% tags=["exercise"]
def fetched_per_token(weights: float, per_position: float, B: int, T: int) -> float:
    """Count the bytes that a processor fetches for each new token, if B texts are written at once.

    weights: the bytes of all weights, which a step reads once for all texts; per_position: the bytes of
    the cache for one position of one text; T: how many positions are in the cache of each text. A step
    writes one token in each text. Source: Pope and others 2022, section 2.

    >>> fetched_per_token(weights=600, per_position=10, B=3, T=5)
    250.0
    """
    ...


# %% tags=["check"]
fetched_per_token = check("sampling.fetched_per_token", fetched_per_token)
# hint("sampling.fetched_per_token")
# solution("sampling.fetched_per_token")

# %% tags=["display"]
# @title Predict: a batch of 64
predict(
    "sampling.batch",
    "GPT-2 small writes 64 texts at once in place of one, each 1,000 tokens long. For each new token it "
    "fetches …",
    {"64 times fewer bytes": (32, 70), "about 7 times fewer": (4, 32), "at most 4 times fewer": (0, 4)},
)

# %%
small = GPTConfig.preset("gpt2")
weights = 4 * model_budget.count_parameters(small)  # float32
per_position = model_budget.kv_cache_bytes(small, B=1, T=1)
bytes_for = {B: fetched_per_token(weights, per_position, B, 1000) for B in (1, 2, 4, 8, 16, 32, 64)}
for B in (1, 8, 64):
    print(f"{B:>2} texts: {bytes_for[B] / 1e6:.0f} MB a token")

# %% tags=["display"]
# @title Counted: bytes against the batch
fig, ax = subplots(figsize=(8.5, 3.8))
x = list(bytes_for)
ax.plot(x, [b / 1e6 for b in bytes_for.values()], "o-", label="fetched for a token")
ax.plot(x, [weights / B / 1e6 for B in x], "s--", label="its share of the weights")
ax.axhline(1000 * per_position / 1e6, color="black", linestyle=":", label="its own cache")
ax.set(xscale="log", yscale="log", xlabel="texts at once", ylabel="MB a token")
ax.set_xticks(x, x, minor=False)
ax.set_xticks([], minor=True)
ax.set_yticks([10, 30, 100, 300], [10, 30, 100, 300])
ax.legend()
fewer = bytes_for[1] / bytes_for[64]
tiny = model.cache(50)
model(texts[:1, :50], tiny)
held = sum(x.numel() * x.element_size() for layer in tiny for x in (layer.keys, layer.values))
assert 4 < fewer < 32 and held == model_budget.kv_cache_bytes(model.config, B=1, T=50)
show(fig, "Megabytes for a token fall with the batch until the text's own cache is what is left.")
reveal("sampling.batch", fewer, ".1f")


# %% [markdown]
# The weights are shared, the caches are not. At 1,000 tokens, from about seven texts on, the cache is the larger part, and a larger batch helps
# less and less. **Move the sliders**: where does the cache take over? Grouped queries (lesson 11) make the cache smaller.

# %% tags=["display"]
# @title What limits a token?
def draw_bytes(name, B, T, n_bytes):
    config = GPTConfig.preset(name)
    count = model_budget.count_parameters(config)
    own = model_budget.kv_cache_bytes(config, B=1, T=T, n_bytes=n_bytes) / 1e6
    share = n_bytes * count / B / 1e6
    work = model_budget.flops_per_token(config, T) / 1e6
    fig, ax = subplots(figsize=(9, 2.6))
    ax.barh([0], [share], color=COLORS["sky"], label="share of the weights")
    ax.barh([0], [own], left=[share], color=COLORS["orange"], label="cache of the text")
    ax.set(yticks=(), xlabel="MB for a token")
    ax.set_title(f"{work / (share + own):.1f} FLOP a byte; the cache is {own / (share + own):.0%}")
    fig.legend(loc="outside lower center", ncols=2)
    alt = f"{name}, {B} texts of {T} tokens: for a token {share:.0f} MB of weights and {own:.0f} MB of "
    return Picture(fig, f"{alt}cache, {work / (share + own):.1f} FLOP a byte.")


explore(
    draw_bytes,
    name=widgets.ToggleButtons(options=["gpt2", "gpt2-medium", "gpt2-xl"], description="model"),
    B=widgets.SelectionSlider(options=[1, 2, 4, 8, 16, 64, 256], value=8, description="texts"),
    T=widgets.SelectionSlider(options=[1, 64, 256, 1024], value=256, description="tokens"),
    n_bytes=widgets.ToggleButtons(options=[("float32", 4), ("bfloat16", 2)], description="numbers"),
)

# %% [markdown]
# **The switch.** With `PUBLISHED = True` your functions write with OpenAI's GPT-2 small, if the Hugging Face hub answers.

# %%
PUBLISHED = False
loaded = trained(PUBLISHED, n_windows=1)
if PUBLISHED:
    model = loaded.model.to(where)
    ids = loaded.encode("A large language model is")[None].to(where)
    print(loaded.decode(write(ids, 40, generator(0), p=0.9)[0].cpu()))
print("You talk to", loaded.note)

# %% [markdown]
# ## What we verified

# %% tags=["display"]
# @title Each claim with its source
claims.show()

# %% [markdown]
# Your predictions and exercises at a glance:

# %% tags=["progress"] slideshow={"slide_type": "skip"}
exercises.progress("sampling")

# %% [markdown]
# **What this lesson leaves out.** Our stories have a grammar that says whether a text is right. Real text has none, and people
# disagree about what is good. All our texts are equally long; where they are not, beam search needs length normalisation. Speculative decoding,
# where a small model writes ahead and a large one checks, is not here.
#
# ## Further reading
#
# - Holtzman and others 2020, [The Curious Case of Neural Text Degeneration](https://arxiv.org/abs/1904.09751): top-p, and why the likeliest text is dull.
# - Fan, Lewis and Dauphin 2018, [Hierarchical Neural Story Generation](https://arxiv.org/abs/1805.04833): top-k.
# - Nguyen and others 2024, [Turning Up the Heat](https://arxiv.org/abs/2407.01082): min-p.
# - Schaeffer and others 2025, [A Critical Analysis of Min-p Sampling](https://arxiv.org/abs/2506.13681): the same claims with tuned baselines.
# - Freitag and Al-Onaizan 2017, [Beam Search Strategies for Neural Machine Translation](https://arxiv.org/abs/1702.01806).
# - Keskar and others 2019, [CTRL](https://arxiv.org/abs/1909.05858), section 4.1: the repetition penalty.
# - Pope and others 2022, [Efficiently Scaling Transformer Inference](https://arxiv.org/abs/2211.05102): memory, arithmetic and the cache.
