# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 16 · Probes: read, or fooled?
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/OWNER--SET-ME/llm-inside/blob/main/notebooks/16_probes.ipynb) · [open this lesson in Colab](https://colab.research.google.com/github/OWNER--SET-ME/llm-inside/blob/main/notebooks/16_probes.ipynb)
#
# **A line through the activations tells where a story takes place. Does the model know it, or do you?** Probes find a lot, also where nothing is used,
# and also where nothing was meant. You build the controls that tell a finding from an illusion.
#
# **Time.** Running: about one minute on CPU; no GPU is needed. About 79 minutes to read and do.
#
# **What you will be able to do**
# - keep training and test apart, and give each probe the baselines that it needs;
# - tell "can be decoded" from "is used", by erasing directions with a control;
# - say when a single neuron, or a likeness of two networks, means something.
#
# **Prerequisites.** Lessons 04 (GPT-2), 06 (directions and features) and 14 (patching).

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
from collections.abc import Sequence

import ipywidgets as widgets
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, one_hot

from course_utils import circuits, exercises, probes
from course_utils.classroom import (
    COLORS, Claims, Diagram, Picture, Source, explore, generator, predict, reveal, show, subplots,
)
from course_utils.exercises import check, hint, solution
from course_utils.gpt2 import GPT
from course_utils.intervals import mean_interval
from course_utils.pretrained import storyteller
from course_utils.stories import ID, stories

claims = Claims("16")
teller = storyteller()  # four blocks of width 128

# %% [markdown]
# **Choose a student and turn the network.** A line predicts a score from hours of study. On the right the same line as a network of three hidden units, turned
# by an angle: its outputs stay, its weights do not.

# %% tags=["display"]
# @title One function, in many bases
crowd, marks = probes.students(60, generator(0))  # (n, 3): a constant 1, study, sleep; and (n,)
fitted = probes.least_squares(crowd, marks)


def draw_turned(turn, study):
    angle = math.radians(turn)
    c, s = math.cos(angle), math.sin(angle)
    rotation = torch.tensor([[c, -s, 0], [s, c, 0], [0, 0, 1]], dtype=torch.float64)
    W, w = probes.rotated_network(fitted.beta, rotation)
    fig, axes = subplots(1, 2, figsize=(10, 3.7))
    sleep = crowd[:, 2].mean()
    out = W @ torch.tensor([1.0, study, sleep], dtype=torch.float64) @ w
    axes[0].plot(crowd[:, 1], marks, "o", color=COLORS["sky"], label="a student")
    hours = torch.tensor([0.0, 10.0], dtype=torch.float64)
    drawn = fitted.beta[0] + fitted.beta[1] * hours + fitted.beta[2] * sleep
    axes[0].plot(hours, drawn, color=COLORS["blue"])
    axes[0].plot(study, out, "s", color=COLORS["vermillion"], markersize=12, label="the network says")
    axes[0].set(xlabel="hours of study", ylabel="score, points")
    axes[0].legend()
    axes[1].bar(["unit 1", "unit 2", "unit 3"], W[:, 1], color=COLORS["orange"])
    axes[1].axhline(0, color="black", linewidth=1)
    axes[1].set(ylabel="weight from study", ylim=(-1.1, 1.1))
    alt = f"Turned by {turn} degrees: at {study} hours the network says {out:.0f} points; its weights "
    alt += "from study are " + ", ".join(f"{v:.1f}" for v in W[:, 1].tolist()) + "."
    return Picture(fig, alt)


explore(
    draw_turned,
    turn=widgets.IntSlider(value=30, min=0, max=360, step=60, description="turn (°)"),
    study=widgets.IntSlider(value=6, min=0, max=10, step=2, description="study (h)"),
)

# %% tags=["display"]
# @title What will count, set before anything is measured
LECTURE = Source("Khả năng diễn giải cơ chế (lecture notes)", "section 2.1, the regression analogy")
HARD = Source("Khả năng diễn giải cơ chế (lecture notes)", "section 3, why it is hard")
claims.expect(
    "I1", "a linear model can be read: β1 > 0 means more hours, higher score", source=LECTURE,
    published="β1 > 0 can be read off; a network cannot",
    criterion="the interval of β1 lies above 0 and holds the truth; in 300 rotated copies single "
              "weights have either sign in at least 0.3 of them, and no way of reading gets β1 back; "
              "partly if a way gets it back",
    holds=lambda m: m["low"] > 0 and m["signs"] > 0.3 and m["back"] > 0.1,
    partly=lambda m: m["low"] > 0 and m["signs"] > 0.3,
)
claims.expect(
    "I20", "a probe that is right shows what the network computed",
    source=Source("Alain & Bengio 2016", "abstract", "https://arxiv.org/abs/1610.01644"),
    published="probes show what layers know",
    criterion="for each of name, quotation and place the best layer's accuracy lies above the best of "
              "majority, position, embedding, both, and an untrained network, by more than the interval "
              "over windows; partly if for some",
    holds=lambda gains: min(gains) > 0, partly=lambda gains: max(gains) > 0,
)
claims.expect(
    "I9", "a direction that can be decoded is used by the model",
    source=Source("Hewitt & Liang 2019", "introduction", "https://arxiv.org/abs/1909.03368"),
    published="used",
    criterion="erasing name, quotation and place from block 0's output with LEACE costs each more than "
              "erasing any of ten draws of the same property's labels from other stories (a "
              "quotation: at its closing quote); partly if for some",
    holds=lambda costs: min(costs) > 0, partly=lambda costs: max(costs) > 0,
)
claims.expect(
    "I4", "concepts are distributed: no single cell holds one", source=HARD, published="no single cell",
    criterion="for name, quotation and place, the best neuron of block 1 has a precision and a recall "
              "that are not both above 0.8 on new windows; partly if for some",
    holds=lambda best: max(best) <= 0.8, partly=lambda best: min(best) <= 0.8,
)
claims.expect(
    "I6", "without ground truth PCA and probes can find illusions", source=HARD, published="illusions",
    criterion="in noise a probe is right on all of 128 training examples and between 0.44 and 0.56 on "
              "new ones, and PCA puts over half of the variance of a random walk into one component",
    holds=lambda m: m["seen"] == 1 and abs(m["new"] - 0.5) < 0.06 and m["pca"] > 0.5,
)
claims.criteria()

# %% [markdown]
# ## A model that can be read
#
# **Question.** What does it mean to read a model? A score depends on study and sleep: score = β0 + β1 · study + β2 · sleep + luck. Each β is a
# **regression coefficient**, the number of points that one more unit of its input brings. We make the students, so we know the truth: 20, 5 and 2.

# %%
people, scores = probes.students(60, generator(0))  # (n, 3): a constant 1, study, sleep; and (n,)
line = probes.least_squares(people, scores)
for name, truth, *row in zip(probes.INPUTS, probes.TRUTH, *line, strict=True):
    beta, low, high = (round(v.item(), 1) for v in row)
    print(f"{name:<9} truth {truth:>4}, fitted {beta:>4}, interval {low} to {high}")

# %% [markdown]
# The interval of β1 is far above 0: more hours, higher score. Now the same function as a network without a bend: score = w · (W x). For any rotation *Q* (its columns are orthogonal and of length 1)
# set W = Q and w = Qβ. The outputs are the same.

# %% tags=["display"]
# @title Predict: a single weight
predict(
    "probes.sign",
    "300 such networks, each with a random rotation. The weight from study to the first hidden "
    "unit is positive in …",
    {"nearly all": (0.9, 1.01), "about half": (0.3, 0.7), "nearly none": (0, 0.1)},
)

# %%
turns = generator(3)
nets = [probes.rotated_network(line.beta, probes.random_rotation(3, turns)) for _ in range(300)]
single = torch.stack([W[0, 1] for W, w in nets])  # study -> first hidden unit
paths = torch.stack([w @ W[:, 1] for W, w in nets])  # study -> score, over all hidden units
asked = [probes.least_squares(people, (people @ W.T) @ w) for W, w in nets[:20]]  # questions only
print(f"one weight is positive in {(single > 0).double().mean():.1f} of the networks")
print(f"all paths added up: {paths.min():.2f} to {paths.max():.2f}; fitted to answers: "
      f"{min(f.beta[1] for f in asked):.2f} to {max(f.beta[1] for f in asked):.2f}")

# %% tags=["display"]
# @title Measured: what can be read in a rotated copy
positive = (single > 0).double().mean().item()
back = max((paths - line.beta[1]).abs().max(), max((f.beta[1] - line.beta[1]).abs() for f in asked))
assert back < 1e-6 and 0.4 < positive < 0.6
signs = min(positive, 1 - positive)
claims.measure(
    "I1", {"low": line.low[1].item(), "signs": signs, "back": back.item()},
    shown=f"β1 between {line.low[1]:.1f} and {line.high[1]:.1f}; in rotated copies one weight is "
          f"positive in {positive:.1f}; paths added up, and a regression on the answers, give β1 back",
    reason="No single weight can be read. The function can: by adding up paths, or by asking.",
)
reveal("probes.sign", positive, ".1f")

# %% [markdown]
# A single weight's sign is a coin toss. Nothing is lost: the sum over all paths is β1 in each network, and so is a regression on its answers. What you can read depends on the *basis*, the axes in
# which numbers are written.
#
# **Has a transformer's residual stream such axes?** If it had none, its numbers would look the same after a rotation. The **kurtosis** of numbers is the mean of their fourth powers, divided by the square of their mean square: 3 for normal ones, more if few are very large.

# %%
ids = stories(seed=1_000_003, n_tokens=8192).tokens.view(32, 256)
streams = circuits.activations(teller, ids, [f"h.{i}" for i in range(4)])
turn = probes.random_rotation(128, generator(1)).float()


def kurtosis(z):
    return (z.pow(4).mean(-1) / z.square().mean(-1).square()).mean().item()


for name, x in streams.items():
    z = (x - x.mean((0, 1))).flatten(0, 1)  # (n, d_model)
    print(f"{name}: {kurtosis(z):4.1f} over its own axes, {kurtosis(z @ turn):.1f} after a rotation")


# %% [markdown]
# It has: in the first blocks a few axes carry much more than the others, and a rotation hides them. (The optimizer and LayerNorm work axis by axis.) But what a *word* means lies along directions, not along
# these axes. So we look for directions, and test them by interventions.
#
# ## Which examples are new?
#
# A **probe** is a linear classifier that is trained to read a property from activations. The story generator knows the truth: the place, the names, the quotations. Probes must be judged on stories that they have not seen.
#
# ### Exercise · windows that share nothing
#
# A story of this corpus has about 180 tokens, the model reads 256. Windows from each story's start overlap: what is "new" was seen.
#
# *Difficulty 1 of 3 · 7 minutes*

# %% tags=["exercise"]
def apart(starts: Sequence[int] | Tensor, T: int) -> Tensor:
    """Choose the starts of windows of T tokens, from the first on, so that no two windows share a
    token.

    starts: whole numbers in rising order, (m,). A start is taken where the window before it has
    ended. Shapes: -> (k,), k <= m. Raises: ValueError for T below 1.

    >>> apart([0, 3, 5, 9, 12, 15], T=5)
    tensor([ 0,  5, 12])
    """
    ...


# %% tags=["check"]
apart = check("probes.apart", apart)
# hint("probes.apart")
# solution("probes.apart")

# %% [markdown]
# Now 64 windows of stories for training, 40 of others for the test:

# %%
def windows(seed, n, T=256):
    """n windows that begin with a story and share no token: ids, place and quotation, (n, T)."""
    text = stories(seed, 620 * n)
    whole = text.starts[text.starts < len(text.tokens) - T]
    at = apart(whole, T)[:n, None] + torch.arange(T)
    return whole, text.tokens[at], text.place[at] != ID["home"], text.facts


starts, train_ids, train_away, train_facts = windows(1_000_003, 64)
_, test_ids, test_away, test_facts = windows(2_000_003, 40)
naive = (starts[:64, None] + torch.arange(256)).flatten()
twice = 1 - len(naive.unique()) / len(naive)
print(f"windows from every story's start: {twice:.0%} of the tokens twice")
print(f"64 windows apart, of which the last ends at token {apart(starts, 256)[63] + 256:,}")

# %% [markdown]
# Three properties of a token: is it a name, does it stand inside a quotation, are the children away from home?

# %%
ids, away = torch.cat([train_ids, test_ids]), torch.cat([train_away, test_away])
NAMES = {f[k] for f in (*train_facts, *test_facts) for k in ("hero", "friend") if k in f}
truth = {
    "a name": torch.isin(ids, torch.tensor([ID[name] for name in NAMES])),
    "in a quotation": (ids == ID["“"]).cumsum(1) > (ids == ID["”"]).cumsum(1),
    "away from home": away,
}  # (104, 256), bool
SITES = ["h.0", "h.1", "h.2", "h.3"]
acts = circuits.activations(teller, ids, SITES)
untrained = circuits.activations(GPT(teller.config, generator(0)).eval(), ids, SITES)

# %% [markdown]
# ## What a probe must beat
#
# **Question.** A probe for the place is right in nine of ten cases. Is that much? The **majority baseline** always says what is most frequent. The position knows that stories begin at home. The word's embedding knows the word. And a network with random weights mixes words, too.

# %% tags=["display"]
# @title Predict: place from word and position
predict(
    "probes.place",
    "Always saying at home is right in 0.73. A probe that sees the word and its position, and nothing "
    "of the story, is right in …",
    {"under 0.7": (0, 0.7), "0.7 to 0.8": (0.7, 0.8), "over 0.8": (0.8, 1.01)},
)


# %%
def right(z, y):
    """A probe's accuracy in each of the 40 test windows, (40,); z (104, T, d), y (104, T)."""
    z, y = z[:, ::3], y[:, ::3].long()  # every third token is enough
    probe = probes.fit_probe(z[:64].flatten(0, 1), y[:64].flatten())
    return (probe(z[64:]) == y[64:]).float().mean(1)


embedding = teller.wte(ids).detach()  # (104, T, d_model)
position = one_hot(torch.arange(256) // 4).float().expand(104, 256, 64)
seen = {"position": position, "embedding": embedding, "both": torch.cat([embedding, position], -1)}
seen |= {"untrained, h.1": untrained["h.1"]} | acts
found = {}
for title, y in truth.items():
    most = y[:64].float().mean() > 0.5
    found[title] = {"majority": (y[64:] == most).float().mean(1)}
    found[title] |= {name: right(z, y) for name, z in seen.items()}
    told = (f"{name} {v.mean():.2f}" for name, v in found[title].items())
    print(title.ljust(15), *told, sep="  ")


# %% [markdown]
# **Choose a property.** Orange: what a probe reaches without the network's work. Blue: from the trained stream. Bars are intervals over the 40 new windows.

# %% tags=["display"]
# @title A probe beside its baselines
def draw_property(what):
    fig, ax = subplots(figsize=(9.5, 4.2))
    rows = list(found[what].items())[::-1]
    for n, (name, values) in enumerate(rows):
        mean, half = mean_interval(values)
        color, mark = ("blue", "o") if name in acts else ("orange", "s")
        ax.errorbar(mean, n, xerr=half, fmt=mark, color=COLORS[color], capsize=4, markersize=8)
    ax.set_yticks(range(len(rows)), labels=[name for name, _ in rows])
    ax.set(xlabel="accuracy on new windows", xlim=(0.6, 1.02), title=what)
    best = max(found[what][site].mean().item() for site in acts)
    return Picture(fig, f"{what}: the best layer reaches {best:.2f}, the baselines stand beside it.")


gains = {}
for title, table in found.items():
    bases = {name: v for name, v in table.items() if name not in acts}
    floor = bases[max(bases, key=lambda name: bases[name].mean())]
    peak = table[max(acts, key=lambda site: table[site].mean())]
    mean, half = mean_interval(peak - floor)
    gains[title] = mean - half
assert gains["away from home"] > 0 and gains["in a quotation"] > 0 >= gains["a name"]
claims.measure(
    "I20", list(gains.values()),
    shown="above the best baseline by at least "
          + ", ".join(f"{title} {gain:.2f}" for title, gain in gains.items()),
    reason="A name is in the embedding already: reading it shows nothing that the network computed.",
)
display(reveal("probes.place", found["away from home"]["both"].mean().item(), ".2f"))
explore(draw_property, what=widgets.ToggleButtons(options=list(truth), value="away from home"))


# %% [markdown]
# The place is computed: word and position do not tell it, the stream after block 1 does. A name is no finding: it stands in the embedding.
#
# ### A control task
#
# Hewitt and Liang (2019) ask what a probe reaches for a property that *means nothing*. A **control task** gives each word type a random label. The stream knows the word, so the probe can learn the labels by heart.
#
# ### Exercise · labels without meaning
#
# *Difficulty 2 of 3 · 8 minutes*

# %% tags=["exercise"]
def control_labels(ids: Tensor, y: Tensor, generator: torch.Generator) -> Tensor:
    """Labels without meaning: each word type gets a random one, the same wherever the word stands.

    The label of a type is drawn from y, so that frequent classes stay frequent.
    Shapes: ids and y (n,) -> (n,). Source: Hewitt & Liang 2019, "Designing and
    Interpreting Probes with Control Tasks", section 2.

    >>> ids = torch.tensor([5, 8, 5, 8, 5, 9])
    >>> y = torch.tensor([0, 1, 2, 0, 1, 2])
    >>> labels = control_labels(ids, y, torch.Generator().manual_seed(0))
    >>> [len(set(labels[ids == token].tolist())) for token in (5, 8, 9)]  # one for each type
    [1, 1, 1]
    """
    ...


# %% tags=["check"]
control_labels = check("probes.control_labels", control_labels)
# hint("probes.control_labels")
# solution("probes.control_labels")

# %% [markdown]
# ### Exercise · selectivity
#
# The **selectivity** of a probe is its accuracy on the real property minus that on the control task.
#
# *Difficulty 1 of 3 · 6 minutes*

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
selectivity = check("probes.selectivity", selectivity)
# hint("probes.selectivity")
# solution("probes.selectivity")

# %% tags=["display"]
# @title Predict: truth against nonsense
predict(
    "probes.selective",
    "Away from home at h.2, over all tokens: the real property is read better than random labels by …",
    {"less than 0.05": (-1, 0.05), "0.05 to 0.2": (0.05, 0.2), "over 0.2": (0.2, 1)},
)

# %%
fit = (torch.arange(104) < 64)[:, None].expand(104, 256).flatten()
x, y = acts["h.2"].flatten(0, 1), away.flatten().long()
nonsense = [control_labels(ids.flatten(), y, generator(seed)) for seed in range(3)]
over_all = [selectivity(x[::3], y[::3], labels[::3], fit[::3]) for labels in nonsense]
stop = (ids == ID["."]).flatten()  # one word type: what stands before it gets the label
before = ids.roll(1, dims=1).flatten()
at_stops = [
    selectivity(x[stop], y[stop], control_labels(before, y, generator(seed))[stop], fit[stop])
    for seed in range(3)
]
for name, values in (("all tokens", over_all), ("full stops", at_stops)):
    print(f"{name}: selectivity {min(values):.2f} to {max(values):.2f} (three sets of labels)")

# %% tags=["display"]
# @title Measured: selectivity
assert min(at_stops) > max(over_all)
reveal("probes.selective", sum(over_all) / 3, ".2f")

# %% [markdown]
# Over all tokens the probe is hardly better on the truth than on nonsense. The nonsense hangs on words, and a stream of 128 numbers holds its word very well. At full stops, where the word is always the same, the same probe
# *is* selective. An accuracy alone says little; the right comparison says much.
#
# ## Decodable is not used
#
# **Question.** The place can be read. Does the model read it? Erase it while the model runs, and look at the loss.

# %% tags=["display"]
# @title Erase and look, as a diagram
d = Diagram()
text = d.box("story", 0, 0, width=2.2, color="yellow")
first = d.box("blocks 0 and 1", 3.6, 0, width=3.2, color="sky")
erase = d.box("erase a direction", 7.8, 0, width=3.6, color="vermillion")
rest = d.box("blocks 2 and 3", 12, 0, width=3.2, color="sky")
loss = d.box("loss", 15.4, 0, width=2.0, color="green")
lens = d.box("probe", 7.8, 2.2, width=2.2, color="orange")
for a, b in ((text, first), (first, erase), (erase, rest), (rest, loss)):
    d.arrow(a, b)
d.arrow(first, lens, "read")
d.picture(
    "A story goes through blocks 0 and 1; a probe reads what they wrote. Then a direction is erased, "
    "and blocks 2 and 3 go on to the loss."
)


# %% [markdown]
# ### Exercise · erase directions
#
# Along the given directions, x shall be at the mean; everything orthogonal to them stays.
#
# *Difficulty 2 of 3 · 8 minutes*

# %% tags=["exercise"]
def erase_directions(x: Tensor, directions: Tensor, mean: Tensor) -> Tensor:
    """Take away from x all that lies along some directions; what is left there is the mean.

    The directions need not be orthogonal, nor of length 1.
    Shapes: x (..., d), directions (k, d), linearly independent, mean (d,) -> (..., d).
    Source: Ravfogel et al. 2020, "Null It Out", section 3.

    >>> x = torch.tensor([[1.0, 2.0, 3.0]])
    >>> slanted = torch.tensor([[1.0, 0.0, 0.0], [1.0, 1.0, 0.0]])
    >>> erase_directions(x, slanted, mean=torch.tensor([0.5, 0.5, 0.5])) + 0.0
    tensor([[0.5000, 0.5000, 3.0000]])
    """
    ...


# %% tags=["check"]
erase_directions = check("probes.erase_directions", erase_directions)
# hint("probes.erase_directions")
# solution("probes.erase_directions")

# %% [markdown]
# ### Exercise · design the control
#
# Stories begin at home: *away* is mostly *late*. Erasing the place erases some of the position, too. A control must keep that, and say nothing about *this* story: the labels of another one.
#
# *Difficulty 3 of 3 · 10 minutes*

# %% tags=["exercise"]
def borrowed_labels(labels: Tensor, generator: torch.Generator) -> Tensor:
    """Labels of other stories: each row gets another row's labels, and none its own.

    What a position alone says of a label stays; what only this story says is gone. Each row is lent
    once. Shapes: labels (n, T) -> (n, T). Raises: ValueError for fewer than 2 rows.

    >>> labels = torch.tensor([[0, 0], [0, 1], [1, 1]])
    >>> lent = borrowed_labels(labels, torch.Generator().manual_seed(0))
    >>> bool((lent == labels).all(1).any()), lent.sum().item() == labels.sum().item()
    (False, True)
    """
    ...


# %% tags=["check"]
borrowed_labels = check("probes.borrowed_labels", borrowed_labels)
# hint("probes.borrowed_labels")
# solution("probes.borrowed_labels")

# %% [markdown]
# Each position's mean is taken away first, so that lateness stays. Two ways to erase: the difference of the two classes' means, by your function, and LEACE (Belrose and others 2023), the smallest change after which *no* linear probe beats a guess.

# %%
def nats(site=None, change=None):
    """The loss on each token of the test windows, (40, 255), with the stream at a site changed."""
    with torch.no_grad(), circuits.patched(teller, {site: change} if site else {}):
        logits = teller(ids[64:, :-1])
    return cross_entropy(logits.transpose(1, 2), ids[64:, 1:], reduction="none")


def eraser(site, labels, way):
    """A change of the stream at a site: what tells the labels (64, T) of the training is erased."""
    mean = acts[site][:64].mean(0)  # (T, d_model)
    z, y = (acts[site][:64] - mean).flatten(0, 1)[::3], labels.flatten()[::3].long()
    if way == "LEACE":
        erased = probes.leace(z, y)
    else:
        gap = z[y == 1].mean(0) - z[y == 0].mean(0) if way == "means" else way  # (d_model,)
        erased = lambda v: erase_directions(v, gap[None], torch.zeros_like(gap))
    return lambda v: erased(v - mean[: v.size(1)]) + mean[: v.size(1)]


# %% [markdown]
# All properties, another story's place, and a random direction, at two sites:

# %%
train_labels = {title: y[:64].long() for title, y in truth.items()}
train_labels["another story's place"] = borrowed_labels(train_labels["away from home"], generator(0))
whole = nats()
random_direction = torch.randn(128, generator=generator(5))
rise = {}
for site in ("h.0", "h.1"):
    for title, labels in train_labels.items():
        for way in ("means", "LEACE"):
            rise[site, title, way] = nats(site, eraser(site, labels, way)) - whole
    changed = nats(site, eraser(site, labels, random_direction))
    rise[site, "a random direction", "means"] = changed - whole
for (site, title, way), change in rise.items():
    if way == "means":
        mean, half = mean_interval(change.mean(1))
        print(f"{site} {title:<22} {mean:.3f} ± {half:.3f} nats a token")

# %% [markdown]
# An average over all tokens hides a rare place where it matters. A quotation matters where it closes: what does erasing cost on the tokens ” alone?

# %% tags=["display"]
# @title Predict: at closing quotes
predict(
    "probes.closing",
    "Erasing the quotation at h.0 costs 0.04 nats a token on average. At the closing quotes it costs …",
    {"about as much": (0, 0.1), "0.1 to 1 nat": (0.1, 1), "more than 1 nat": (1, 20)},
)

# %%
closing = ids[64:, 1:] == ID["”"]  # (40, 255)
rows = closing.any(1)
at_close = {}
for site in ("h.0", "h.1"):
    change = rise[site, "in a quotation", "means"]
    sums = (change * closing).sum(1)[rows]
    at_close[site] = sums / closing.sum(1)[rows]  # a mean for each window that has one
    print("{}: {:.2f} ± {:.2f} nats at a closing quote".format(site, *mean_interval(at_close[site])))


# %% [markdown]
# A control is drawn, and a single draw may mislead. Ten draws for each property, with LEACE at h.0:

# %%
def cost(title, labels):
    change = nats("h.0", eraser("h.0", labels, "LEACE")) - whole
    return (change[closing] if title == "in a quotation" else change).mean().item()


real = {title: cost(title, train_labels[title]) for title in truth}
controls = {
    title: [cost(title, borrowed_labels(train_labels[title], generator(seed))) for seed in range(10)]
    for title in truth
}
for title in truth:
    print(f"{title:<15} {real[title]:.3f} nats, the largest of ten controls {max(controls[title]):.3f}")

# %% tags=["display"]
# @title What it costs to erase, with the control
fig, axes = subplots(1, 2, figsize=(11, 4.0), sharey=True)
order = [*train_labels, "a random direction"][::-1]
for ax, site in zip(axes, ("h.0", "h.1"), strict=True):
    for n, title in enumerate(order):
        for way, color, mark, shift in (
            ("means", "blue", "o", 0.12), ("LEACE", "orange", "s", -0.12)
        ):
            if (site, title, way) in rise:
                mean, half = mean_interval(rise[site, title, way].mean(1))
                ax.errorbar(mean, n + shift, xerr=half, fmt=mark, color=COLORS[color], capsize=3,
                            label=way if n == len(order) - 1 else None)
    ax.axvline(0, color="black", linewidth=1)
    ax.set(title=f"erased at {site}", xlabel="loss rises by, nats a token")
axes[0].set_yticks(range(len(order)), labels=order)
axes[1].legend(loc="lower right")
costs = {title: real[title] - max(controls[title]) for title in truth}
assert at_close["h.0"].mean() > 2 and at_close["h.1"].mean() < 0.2
assert costs["a name"] > 0.1 and costs["in a quotation"] > 1
assert 30 * real["away from home"] < real["a name"]
claims.measure(
    "I9", list(costs.values()),
    shown=f"a name {real['a name']:.2f} nats a token, a closing quote {real['in a quotation']:.1f}, "
          f"the place {real['away from home']:.3f}; ten controls at most {max(controls['a name']):.2f}, "
          f"{max(controls['in a quotation']):.1f} and {max(controls['away from home']):.3f}",
    reason="Each is used, but how much differs nearly a hundredfold: reading alone does not tell.",
)
show(fig, "Erasing names costs most; erasing the place costs very little.")
reveal("probes.closing", at_close["h.0"].mean().item(), ".1f")


# %% [markdown]
# A name is used everywhere. A quotation seems to cost little, until you look where it closes: there it is worth over two nats before block 1, and nearly nothing after it. Block 1 reads the mark's trace and has done its work; the trace
# stays in the stream. The place costs more than any of its ten controls, so it is used, and yet it is worth
# a hundredth of a name. What can be decoded may matter much or hardly at all: only an intervention tells, with its control drawn more than once.
#
# ## One cell for one concept?
#
# **Question.** The lecture says that no single cell holds a concept. Is there no name neuron? For a detector two numbers count: its **precision**, the share of its alarms that are right, and its **recall**, the share of cases that it finds.
#
# *Difficulty 1 of 3 · 6 minutes*

# %% tags=["exercise"]
def precision_recall(said: Tensor, true: Tensor) -> tuple[float, float]:
    """How far a detector can be trusted, and how much it finds.

    Precision: of the examples for which it says yes, the share that are so. Recall: of those that
    are so, the share for which it says yes. Where it never says yes, its precision is 1. Shapes:
    said and true (n,), bool. Raises: ValueError where nothing is true.
    Source: van Rijsbergen 1979, "Information Retrieval", chapter 7.

    >>> said = torch.tensor([True, True, True, False])
    >>> precision, recall = precision_recall(said, torch.tensor([True, True, False, True]))
    >>> print(f"{precision:.2f} {recall:.2f}")
    0.67 0.67
    """
    ...


# %% tags=["check"]
precision_recall = check("probes.precision_recall", precision_recall)
# hint("probes.precision_recall")
# solution("probes.precision_recall")

# %% [markdown]
# The neurons of block 1's MLP, behind its GELU, and as many random axes of the same space. `best_detector` chooses the unit and its limit on the training windows.

# %%
neurons = circuits.activations(teller, ids, ["h.1.mlp.c_proj.in"])["h.1.mlp.c_proj.in"].flatten(0, 1)
turned = neurons @ probes.random_rotation(512, generator(0)).float()
best = {}
for title, y in truth.items():
    yes = y.flatten()
    for basis, z in (("neurons", neurons), ("random axes", turned)):
        unit, limit, sign = probes.best_detector(z[fit], yes[fit])
        precision, recall = precision_recall(sign * z[~fit][:, unit] > limit, yes[~fit])
        best[title, basis] = precision, recall
        print(f"{title:<15} {basis:<12} precision {precision:.2f}, recall {recall:.2f}")

# %% [markdown]
# In a random basis no axis can be special: it is the control. How many units does each concept need?

# %% tags=["display"]
# @title Units that a probe needs
KS = (1, 2, 4, 8, 16, 32, 64)
fig, axes = subplots(1, 3, figsize=(12, 3.8))
curves = {}
for ax, (title, y) in zip(axes, truth.items(), strict=True):
    labels = y.flatten().long()
    for basis, z, color, mark in (
        ("neurons", neurons, "blue", "o"), ("random axes", turned, "orange", "s")
    ):
        curves[title, basis] = probes.sparse_accuracy(z[::4], labels[::4], fit[::4], KS)
        ax.plot(KS, curves[title, basis], f"{mark}-", color=COLORS[color], label=basis)
    ax.axhline(found[title]["majority"].mean().item(), color="black", linestyle=":", label="majority")
    ax.set(title=title, xscale="log", xlabel="units that the probe sees")
    ax.set_xticks(KS, labels=KS)
    ax.set_xticks([], minor=True)
axes[0].set_ylabel("accuracy, new windows")
axes[0].legend()
single_best = {title: min(best[title, "neurons"]) for title in truth}
assert single_best["a name"] > 0.8
assert max(single_best["in a quotation"], single_best["away from home"]) < 0.5
assert min(best["a name", "random axes"]) < 0.5
claims.measure(
    "I4", list(single_best.values()),
    shown="best neuron, precision and recall: " + "; ".join(
        f"{title} {best[title, 'neurons'][0]:.2f} and {best[title, 'neurons'][1]:.2f}" for title in truth
    ),
    reason="True of the place and of quotations. For names one neuron does it, and no random axis does.",
)
show(fig, "Names: one neuron is enough. Quotation and place need many units, in either basis.")


# %% [markdown]
# One neuron of block 1 *is* nearly a name neuron; of 512 random axes none comes close. Quotation and place are spread over many units. So the lecture's sentence is right for two concepts and wrong for one.
#
# ## Are two networks alike?
#
# A measure of **representational similarity** compares what two networks do with the same examples, whatever their axes. The usual measure is *centred kernel alignment*, CKA (Kornblith and others 2019).
#
# ### Exercise · CKA
#
# *Difficulty 2 of 3 · 10 minutes*

# %% tags=["exercise"]
def cka(x: Tensor, y: Tensor) -> float:
    """How alike two sets of activations of the same examples are, whatever their axes: linear
    centred kernel alignment.

    With each feature's mean taken away: ‖yᵀx‖² / (‖xᵀx‖ ‖yᵀy‖), ‖·‖² the sum of all squares. It is
    1 for a rotated, shifted or scaled copy, and it does not mind different widths. Shapes: x (n, d),
    y (n, e). Raises: ValueError for other numbers of examples. Source: Kornblith et al. 2019,
    "Similarity of Neural Network Representations Revisited", section 3.

    >>> x = torch.tensor([[1.0, 0.0], [0.0, 1.0], [2.0, 2.0]])
    >>> round(cka(x, 3 * x.flip(1) + 5), 4)
    1.0
    """
    ...


# %% tags=["check"]
cka = check("probes.cka", cka)
# hint("probes.cka")
# solution("probes.cka")

# %% tags=["display"]
# @title Predict: two networks and nothing in common
predict(
    "probes.cka",
    "CKA of two sets of 60 activations whose order was shuffled, so that nothing belongs together, is …",
    {"below 0.05": (-1, 0.05), "0.05 to 0.5": (0.05, 0.5), "above 0.5": (0.5, 1.01)},
)

# %%
z = acts["h.1"][64:].flatten(0, 1)  # (10240, d_model)
other = untrained["h.1"][64:].flatten(0, 1)
alone = {}
for n in (60, 600, 6000):
    chosen = torch.randperm(len(z), generator=generator(n))[:n]
    mixed = chosen[torch.randperm(n, generator=generator(n + 1))]
    alone[n] = cka(z[chosen], z[mixed])
    pair = cka(z[chosen], other[chosen])
    print(f"{n:>4} tokens: trained and untrained {pair:.2f}, shuffled {alone[n]:.2f}")

# %% [markdown]
# With few examples CKA is far above 0 where nothing belongs together. The shuffled value is the control to subtract in your mind. Now all layers:

# %% tags=["display"]
# @title Each layer with each, and with an untrained network
fig, axes = subplots(1, 2, figsize=(10, 4.2))
for ax, (name, second) in zip(axes, (("trained", acts), ("untrained", untrained)), strict=True):
    table = torch.tensor([
        [cka(acts[a][64:].flatten(0, 1)[::4], second[b][64:].flatten(0, 1)[::4]) for b in SITES]
        for a in SITES
    ])
    ax.imshow(table, vmin=0, vmax=1, cmap="Blues")
    for i in range(4):
        for j in range(4):
            ax.text(j, i, f"{table[i, j]:.2f}", ha="center", va="center", fontsize=12,
                    color="white" if table[i, j] > 0.6 else "black")
    ax.set_xticks(range(4), labels=SITES)
    ax.set_yticks(range(4), labels=SITES)
    ax.set(xlabel=f"{name} network", ylabel="trained network")
    ax.grid(False)
assert table.max() < 0.4 and alone[60] > 0.1 > 0.02 > alone[6000]
show(fig, "Neighbouring trained layers are alike; trained and untrained layers are much less so.")
reveal("probes.cka", alone[60], ".2f")


# %% [markdown]
# ## Structure in noise
#
# **Question.** In a real network there is no generator to ask. Can a method find what is not there? First a probe: "activations" of normal noise with 128 features, labels by coin flips.

# %%
def in_noise(n, seed=7):
    x = torch.randn(n + 2000, 128, generator=generator(seed))
    y = torch.randint(2, (n + 2000,), generator=generator(seed + 1))
    probe = probes.fit_probe(x[:n], y[:n])
    return probe.accuracy(x[:n], y[:n]), probe.accuracy(x[n:], y[n:])


noise = {n: in_noise(n) for n in (64, 128, 192, 256, 512, 1024)}
for n, (old, new) in noise.items():
    cover = probes.separable_share(n, 129)
    print(f"{n:>4} examples: {old:.1f} of them right, {new:.1f} of new ones; separable {cover:.2f}")

# %% [markdown]
# *Separable* is Cover's count (1965): of all labellings of *n* points, the share that a plane in 129 dimensions (128 and a bias) separates. Below twice as many points as dimensions a probe is perfect on what it saw, and it guesses on the rest.
#
# Then PCA: a random walk through 128 dimensions, each of 256 steps normal noise.

# %%
walk = torch.randn(256, 128, generator=generator(0)).cumsum(0)
share = probes.explained(walk)[0].item()
dice = generator(5)
shuffled = [walk.gather(0, torch.rand(256, 128, generator=dice).argsort(0)) for _ in range(99)]
walks = [torch.randn(256, 128, generator=dice).cumsum(0) for _ in range(99)]
for name, null in (("shuffled features", shuffled), ("other random walks", walks)):
    p = probes.p_value(share, torch.stack([probes.explained(z)[0] for z in null]))
    print(f"one component has {share:.2f} of the variance; against {name:<18} p = {p:.2f}")

# %% tags=["display"]
# @title A random walk by its two first components
centred = walk - walk.mean(0)
xy = centred @ torch.linalg.svd(centred, full_matrices=False).Vh[:2].T
fig, ax = subplots(figsize=(6.5, 4))
points = ax.scatter(*xy.T, c=range(256), cmap="viridis", s=18)
fig.colorbar(points, ax=ax, label="step")
ax.set(xlabel="component 1", ylabel="component 2")
assert abs(share - 6 / math.pi**2) < 0.1
claims.measure(
    "I6", {"seen": noise[128][0], "new": noise[128][1], "pca": share},
    shown=f"in noise a probe is right on {noise[128][0]:.2f} of its examples and {noise[128][1]:.1f} of "
          f"new ones; one component has {share:.1f} of a random walk's variance",
)
show(fig, "PCA of a random walk draws a smooth arc, as if it led somewhere.")

# %% [markdown]
# A smooth arc, one component with most of the variance: it looks like a trajectory of thought, and it is noise (Antognini and Sohl-Dickstein 2018: 6/π² = 0.61 for long walks). A test that shuffles each feature calls it significant; one that keeps the walk does not. A
# control must keep all that is *not* in question. It was the same with the place.
#
# ## What we verified

# %% tags=["display"]
# @title The claims of this lesson
claims.show()

# %% tags=["progress"] slideshow={"slide_type": "skip"}
exercises.progress("probes")

# %% [markdown]
# **What this lesson leaves out.** Our properties are known, because the stories were generated. In a real model nobody knows the truth, and who designs a probe chooses what it may find. Probes here are linear; a model may use what no line reads.
#
# ## Further reading
#
# - Alain and Bengio 2016, [Understanding intermediate layers using linear classifier probes](https://arxiv.org/abs/1610.01644).
# - Hewitt and Liang 2019, [Designing and Interpreting Probes with Control Tasks](https://arxiv.org/abs/1909.03368).
# - Belrose and others 2023, [LEACE: Perfect linear concept erasure in closed form](https://arxiv.org/abs/2306.03819).
# - Kornblith and others 2019, [Similarity of Neural Network Representations Revisited](https://arxiv.org/abs/1905.00414).
# - Antognini and Sohl-Dickstein 2018, [PCA of high dimensional random walks](https://arxiv.org/abs/1806.08805).
# - Gurnee and others 2023, [Finding Neurons in a Haystack](https://arxiv.org/abs/2305.01610).
