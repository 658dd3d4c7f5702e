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
# **A line through the activations tells where the toy is. Does the model know it, or do you?** Probes find a lot, also where nothing is used, and also where
# nothing was meant. You train them with the controls that tell a finding from an illusion.
#
# **Time.** Running: about one minute on CPU; no GPU is needed. Reading and exercises: about an hour.
#
# **What you will be able to do**
# - train probes, and give each the control that it needs;
# - tell "can be decoded" from "is used", by erasing directions;
# - say what makes a network hard to read, with a measurement.
#
# **Prerequisites.** Lessons 04 (GPT-2), 06 (directions and features) and 14 (patching).

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
# What this lesson builds stands finished in `course_utils.probes`. You build the main pieces here.

# %% tags=["imports"]
import math

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from course_utils import circuits, exercises, probes
from course_utils.classroom import COLORS, Claims, generator, progress, show, subplots
from course_utils.exercises import check, hint, solution
from course_utils.gpt2 import GPT
from course_utils.pretrained import storyteller
from course_utils.stories import ID, stories

claims = Claims("16")

# %% [markdown]
# The trained model that you will probe is the storyteller:

# %%
teller = storyteller()
print(f"{teller.config.n_layer} blocks of width {teller.config.n_embd}")

# %% [markdown]
# ## A model that can be read
#
# **Question.** What does it mean to read a model? Start with one that everybody can read.
#
# A score depends on hours of study and hours of sleep: score = β0 + β1 · study + β2 · sleep + luck. Each β (beta) is a *coefficient*, and it means something: β1 is the number of points that one more hour of study brings.
#
# We draw sixty students, and know the truth, as we make them: β0 = 20, β1 = 5, β2 = 2, and luck of 8 points.

# %%
rg_x, rg_score = probes.students(60, generator(0))  # (n, 3): a constant 1, study, sleep; and (n,)
rg_fit = probes.least_squares(rg_x, rg_score)
rg_hours = torch.tensor([0.0, 10.0])
rg_line = rg_fit.beta[0] + rg_fit.beta[1] * rg_hours + rg_fit.beta[2] * rg_x[:, 2].mean()

# %% [markdown]
# The line is the fit, for somebody who sleeps as long as the average.

# %%
fig, ax = subplots(figsize=(6.5, 3.4))
ax.plot(rg_x[:, 1], rg_score, "o", color=COLORS["sky"], label="a student")
ax.plot(rg_hours, rg_line, color=COLORS["vermillion"], label="fit, average sleep")
ax.set(xlabel="hours of study", ylabel="score (points)")
ax.legend()
assert rg_fit.low[1] > 0
show(fig, "Sixty students: the score rises with the hours of study, with luck around a straight line.")

# %% [markdown]
# `probes.least_squares` solves for the β, and says how sure it is: an interval for each, made so that it holds the truth in 95 of 100 cases. **Predict**: are all three truths inside?

# %%
for name, truth, *rg_row in zip(probes.INPUTS, probes.TRUTH, *rg_fit, strict=True):
    beta, low, high = (round(v.item(), 1) for v in rg_row)
    print(f"{name:<9} truth {truth:>4}, fitted {beta:>4}, interval {low} to {high}")

# %% [markdown]
# The interval of β1 is far above 0: more hours, higher score. That of β2 may hold 0, too: sixty students are too few to be sure about sleep. A good reading says how far it can be trusted. Is "95 %" itself true? We know the truth,
# so we can count, with a thousand classes.

# %%
rg_dice, rg_truth = generator(1), torch.tensor(probes.TRUTH, dtype=torch.float64)
rg_held = torch.zeros(3)
for _ in range(1000):
    rg_one = probes.least_squares(*probes.students(60, rg_dice))
    rg_held += (rg_one.low < rg_truth) & (rg_truth < rg_one.high)
print("the intervals hold the truth in % of the classes:", (rg_held / 10).round().int().tolist())
assert (rg_held / 1000 - 0.95).abs().max() < 0.03

# %% [markdown]
# ## The same function, and nothing to read
#
# **Question.** Now put the same function into a network. Can you still read it?
#
# The network has three hidden units and no bend: score = w · (W x). Take any rotation Q (its columns are orthogonal and of length 1, so QᵀQ = 1) and set W = Q, w = Qβ. Then w · (W x) = β · x, whatever Q is. `probes.rotated_network` does that with a random Q.

# %%
rg_W, rg_w = probes.rotated_network(rg_fit.beta, probes.random_rotation(3, generator(7)))
print("from study to the hidden units:", [round(v, 1) for v in rg_W[:, 1].tolist()])
print("from the hidden units to score:", [round(v, 1) for v in rg_w.tolist()])
rg_gap = ((rg_x @ rg_W.T) @ rg_w - rg_x @ rg_fit.beta).abs().max()
print("the same scores as the regression:", bool(rg_gap < 1e-9))

# %% [markdown]
# **Predict**: over 300 such networks, which signs do you find on the weight from *study* to the first hidden unit? And what is common to all of them?

# %%
rg_dice = generator(3)
rg_nets = [probes.rotated_network(rg_fit.beta, probes.random_rotation(3, rg_dice)) for _ in range(300)]
rg_single = torch.stack([W[0, 1] for W, w in rg_nets])  # study -> first hidden unit
rg_whole = torch.stack([W.T @ w for W, w in rg_nets])[:, 1]  # study -> score, over all hidden units
rg_positive = (rg_single > 0).double().mean().item()

# %% [markdown]
# Left one weight, right all paths from study to score added up.

# %%
fig, (left, right) = subplots(1, 2, figsize=(9.5, 3.2))
left.hist(rg_single, bins=20, color=COLORS["orange"])
left.set(title="one weight", xlabel="study → first hidden unit", ylabel="networks")
right.hist(rg_whole, bins=20, range=(0, 10), color=COLORS["blue"])
right.set(title="all paths added up", xlabel="study → score (points an hour)")
assert 0.4 < rg_positive < 0.6 and (rg_whole - rg_fit.beta[1]).abs().max() < 1e-9
show(fig, "A single weight is spread between -1 and 1; the sum over all paths is always the same.")

# %% [markdown]
# The sign of a single weight is a coin toss: nobody can see in it that study helps. Nothing is lost, either: the sum over all paths from study to score is β1 in each of the 300 networks. What you can read depends on the *basis*, the axes in which the numbers are written.

# %%
claims.add(
    "I1", "a linear model can be read: β1 > 0 means more hours, higher score",
    source="lecture", published="β1 > 0 can be read off; a rotated copy cannot",
    measured=f"β1 between {rg_fit.low[1]:.1f} and {rg_fit.high[1]:.1f} (truth 5); in 300 rotated copies "
             f"one weight is positive in about {round(10 * rg_positive) * 10} %, the function the same",
    holds=bool(0 < rg_fit.low[1] < 5 < rg_fit.high[1]) and 0.4 < rg_positive < 0.6,
)

# %% [markdown]
# Keep this in mind for the whole notebook. A transformer's residual stream has no preferred axes: its single numbers mean as little as these weights. So we look for *directions*, *paths* and *interventions*, which survive a rotation.
#
# **What the toy leaves out.** A bend such as ReLU acts on each hidden unit by itself, and so makes the axes special again. And a coefficient is a cause only if nothing was forgotten: leave out what makes people study *and* score well,
# and β1 takes the credit.
#
# ## Probes: what can be read from the stream
#
# **Question.** Does the storyteller know *where* its story takes place?
#
# The corpus's generator knows: with every token it notes who holds the toy and where everyone is. A *probe* is a linear classifier that is trained to read such a property from the residual stream. We take 96 stories that the model has not seen: 64 to train probes, 32 to judge them.

# %%
pr_text = stories(seed=1_000_003, n_tokens=96 * 325)
pr_at = pr_text.starts[pr_text.starts < len(pr_text.tokens) - 257][:96, None] + torch.arange(256)
pr_ids = pr_text.tokens[pr_at]  # (96, T), each row from a story's first word
pr_away = (pr_text.place[pr_at] != ID["home"]).long()  # 1 where they are away from home
pr_train = (torch.arange(96) < 64)[:, None].expand(96, 256).flatten()  # by story
print("share of tokens away from home:", round(pr_away.float().mean().item(), 1))

# %% [markdown]
# Two baselines belong to every probe. The *majority*: always say "at home". And an *untrained* network of the same shape: random weights mix words, too, and a probe may find something in the mixture.

# %%
pr_untrained = GPT(teller.config, generator(0)).eval()
PR_POINTS = ["h.0.in", *(f"h.{i}" for i in range(4))]
pr_acts = {"trained": circuits.activations(teller, pr_ids, PR_POINTS),
           "untrained": circuits.activations(pr_untrained, pr_ids, PR_POINTS)}


def pr_flat(name, net="trained", every=3):
    """Activations (n, d_model) at every third token: enough for a probe."""
    return pr_acts[net][name].flatten(0, 1)[::every]


# %% [markdown]
# A probe is fitted on the training stories and judged on the others. **Predict**: at which layer is the place best to read? And who has the toy (hero, friend, or nobody)?

# %%
def pr_accuracy(labels, name, net="trained"):
    """A probe's accuracy on stories that it has not seen; labels (96, T)."""
    x, y, fit = pr_flat(name, net), labels.flatten()[::3], pr_train[::3]
    return probes.fit_probe(x[fit], y[fit]).accuracy(x[~fit], y[~fit])


PR_TRUE = {"away from home": pr_away, "who has the toy": pr_text.holder[pr_at]}
pr_curves = {(title, net): [pr_accuracy(labels, name, net) for name in PR_POINTS]
             for title, labels in PR_TRUE.items() for net in pr_acts}

# %% [markdown]
# The dotted line is the majority's share:

# %%
fig, axes = subplots(1, 2, figsize=(9.5, 3.4), sharey=True)
for ax, (title, labels) in zip(axes, PR_TRUE.items(), strict=True):
    for net, color in (("trained", COLORS["blue"]), ("untrained", COLORS["orange"])):
        ax.plot(pr_curves[title, net], "o-", color=color, label=net)
    most = labels.flatten()[~pr_train].bincount().max().item() / (~pr_train).sum().item()
    ax.axhline(most, color="black", linestyle=":", label="majority")
    ax.set(title=title, xticks=range(5), ylim=(0.6, 0.95))
    ax.set_xticklabels(["embed.", *(f"h.{i}" for i in range(4))])
axes[0].set_ylabel("accuracy, new stories")
axes[0].legend()
best = max(pr_curves["away from home", "trained"])
assert best > 0.8 > max(pr_curves["away from home", "untrained"])
show(fig, "The place can be read from the trained stream; the untrained stays at the majority.")


# %% [markdown]
# "Away from home" can be read from the middle layers. From word and position alone (the embedding), or from an untrained network, it cannot. Who has the toy is read badly, although the story depends on it. A probe that fails proves little: the model may know the *name* of the one who has it, and not the role.
#
# ## A control task
#
# **Question.** The probe is well above the majority. Is that much? What would a probe reach for a property that *means nothing*?
#
# Hewitt and Liang (2019) ask exactly that: give each word type a random label and train a probe for it. The stream knows the word, so the probe can learn the labels by heart. A good probe is *selective*: much better on the real property than on the control.
#
# ### Exercise 1 · labels without meaning
#
# *Difficulty 2 of 3 · 8 minutes*
#
# Each word *type* (each different id) gets one label, drawn at random from `y`, so that the classes are about as frequent as the real ones.

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
# ### Exercise 2 · selectivity
#
# *Difficulty 1 of 3 · 6 minutes*
#
# `probes.fit_probe(x, y)` fits a probe, `probe.accuracy(x, y)` judges it. `train` says which examples the probes may see.

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

# %% [markdown]
# **Predict** the sign of the selectivity for "away from home" at `h.1`, over all tokens. Then only at full stops, where the word is always the same; there the control's label belongs to the word *before* the full stop.

# %%
pr_before = pr_ids.roll(1, dims=1).flatten()
pr_control = control_labels(pr_ids.flatten(), pr_away.flatten(), generator(1))
pr_control_stop = control_labels(pr_before, pr_away.flatten(), generator(1))
pr_stop, x, y = (pr_ids == ID["."]).flatten(), pr_acts["trained"]["h.1"].flatten(0, 1), pr_away.flatten()
all_tokens = selectivity(x[::3], y[::3], pr_control[::3], pr_train[::3])
stops = selectivity(x[pr_stop], y[pr_stop], pr_control_stop[pr_stop], pr_train[pr_stop])
print(f"selectivity over all tokens is above 0.05: {all_tokens > 0.05}; at full stops: {stops > 0.05}")


# %% [markdown]
# Over all tokens the probe is no better on the truth than on nonsense! The nonsense hangs on words, and a stream of 128 numbers holds its word very well. At full stops the same probe *is* selective. An accuracy alone says little; the right comparison says much.
#
# ## Decodable is not used
#
# **Question.** The place can be read. Does the model read it?
#
# To find out, erase it and look whether the model cares. The obvious way: take the probe's direction out of the stream.
#
# ### Exercise 3 · erase directions
#
# *Difficulty 2 of 3 · 8 minutes*
#
# Along the given directions, x shall be at the mean; everything orthogonal to them stays. Beware of directions that are not orthogonal to each other.

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
# We erase the probe's direction at `h.1`, then train a *new* probe on what is left. **Predict** its accuracy.

# %%
fit, x, y = pr_train[::3], pr_flat("h.1"), pr_away.flatten()[::3]
pr_probe = probes.fit_probe(x[fit], y[fit])
pr_direction = (pr_probe.weight[1] - pr_probe.weight[0])[None]  # (1, d_model)
left = erase_directions(x, pr_direction, x.mean(0))
pr_eraser = probes.leace(x[fit], y[fit])
majority = y[~fit].bincount().max().item() / (~fit).sum().item()
for name, z in (("nothing", x), ("the probe's direction", left), ("all linear traces", pr_eraser(x))):
    more = probes.fit_probe(z[fit], y[fit]).accuracy(z[~fit], y[~fit]) - majority
    print(f"erased: {name:<22} a new probe is over 0.05 better than the majority: {more > 0.05}")

# %% [markdown]
# The new probe finds the place elsewhere: one direction is not all. `probes.leace` is the exact answer (Belrose and others, 2023): the smallest change after which *no* linear probe beats a guess. It makes the means of the classes equal.
#
# Now the test: erase while the model runs, and look at its loss on 16 new stories.

# %%
pr_inputs, pr_targets = pr_ids[64:80, :-1], pr_ids[64:80, 1:]


def pr_loss(patches):
    """Cross-entropy in nats a token, with patches."""
    with torch.no_grad(), circuits.patched(teller, patches):
        return cross_entropy(teller(pr_inputs).flatten(0, 1), pr_targets.flatten()).item()


pr_whole = pr_loss({})
pr_cost = pr_loss({"h.0": probes.leace(pr_flat("h.0")[fit], y[fit])}) - pr_whole
print(f"erased at h.0, the loss rises by over half a nat: {pr_cost > 0.5}")

# %% [markdown]
# So the model uses the place? **Stop.** What else differs between "home" and "away"? Stories begin at home: *away* is mostly *late*. LEACE removes the difference of the two means, and with it how late it is. The control: erase the labels of *another* story, which say nothing about this one, but are late, too.

# %%
swap = torch.cat([torch.randperm(64, generator=generator(0)), torch.arange(64, 96)])
pr_other = pr_away[swap]  # each training story gets another one's labels
pr_fake = pr_loss({"h.0": probes.leace(pr_flat("h.0")[fit], pr_other.flatten()[::3][fit])}) - pr_whole
print(f"another story's labels cost more than half a nat: {pr_fake > 0.5}; more than the true ones: "
      f"{pr_fake > pr_cost}")


# %% [markdown]
# An illusion. Nonsense costs even more: what was erased was the *position*. The remedy: take the mean of each position away first, erase in what is left, and put the mean back.

# %%
def pr_erase_cost(name, labels):
    """Erase a property at `name` with the positions kept: accuracy before, and what the loss rises."""
    mean = pr_acts["trained"][name][:64].mean(0)  # (T, d_model), of the training stories
    z, y = (pr_acts["trained"][name] - mean).flatten(0, 1)[::3], labels.flatten()[::3]
    eraser = probes.leace(z[fit], y[fit])
    patch = lambda x: eraser(x - mean[: x.size(1)]) + mean[: x.size(1)]
    return probes.fit_probe(z[fit], y[fit]).accuracy(z[~fit], y[~fit]), pr_loss({name: patch}) - pr_whole


# %% [markdown]
# Five properties at `h.1`. Besides the place, its control and another story's labels: whether this token is a name, and whether it stands inside of a quotation. **Predict** for each: can it be read, and is it used?

# %%
PR_NAMES = {facts[key] for facts in pr_text.facts for key in ("hero", "friend") if key in facts}
quotes = (pr_ids == ID["“"]).cumsum(1) > (pr_ids == ID["”"]).cumsum(1)
pr_labels = {
    "a name": torch.isin(pr_ids, torch.tensor([ID[name] for name in PR_NAMES])).long(),
    "inside a quotation": quotes.long(), "away from home": pr_away,
    "control: by word": pr_control.view_as(pr_ids), "another story's": pr_other,
}
pr_table = {name: pr_erase_cost("h.1", labels) for name, labels in pr_labels.items()}

# %% [markdown]
# On the left how well it can be read, above the majority (0) up to perfect (1); on the right what it costs to erase it, on a logarithmic scale.

# %%
fig, axes = subplots(1, 2, figsize=(10, 3.2), sharey=True)
pr_rows = list(pr_table)[::-1]
for row, name in enumerate(pr_rows):
    most = 1 - min(share := pr_labels[name][64:].float().mean().item(), 1 - share)
    axes[0].barh(row, max(0, (pr_table[name][0] - most) / (1 - most)), color=COLORS["blue"])
    axes[1].barh(row, max(1e-4, pr_table[name][1]), color=COLORS["vermillion"])
axes[0].set(yticks=range(5), yticklabels=pr_rows, xlim=(0, 1), xlabel="can be read")
axes[1].set(xscale="log", xlim=(1e-4, 1), xlabel="loss rises by (nats)")
cost = {name: value for name, (_, value) in pr_table.items()}
assert cost["a name"] > 0.1 > 0.02 > max(v for name, v in cost.items() if name != "a name")
assert cost["inside a quotation"] < cost["a name"] / 50
assert cost["away from home"] < cost["control: by word"]
assert pr_table["inside a quotation"][0] > 0.98 and pr_table["a name"][0] > 0.98
show(fig, "Names and quotations can both be read at h.1; only erasing names costs over 0.1 nats.")

# %% [markdown]
# "A name" and "inside a quotation" can both be read almost without an error. Erasing the one costs over a tenth of a nat, erasing the other less than a fiftieth of that. The place costs less than its meaningless control. What can be decoded need not be used.
#
# **What this does not show.** Not used *from h.1 on, linearly*. One block earlier it is another matter:

# %%
pr_early = pr_erase_cost("h.0", pr_labels["inside a quotation"])[1]
print(f"quotations erased at h.0 cost at least ten times as much as at h.1: "
      f"{pr_early > 10 * max(1e-3, cost['inside a quotation'])}")

# %% [markdown]
# Block 1 reads the quotation mark's trace, has done its work, and the trace stays in the stream like a note that nobody throws away. And erasing is a blunt tool: it showed an effect of the place that was none.

# %%
pr_read = math.floor(pr_table["inside a quotation"][0] * 20) / 20  # in steps of 0.05
claims.add(
    "I9", "a direction that can be decoded is used by the model", source="common belief",
    published="used", measured=f"quotation: read over {pr_read:.2f}, erased: "
    f"+{max(0, cost['inside a quotation']):.2f} nats; a name: +{cost['a name']:.1f}",
    holds=cost["inside a quotation"] > 0.02,
    reason="Some are (names), some not: erase it, with a control, and look.")

# %% [markdown]
# ## First hard point: concepts are distributed
#
# **Question.** The lecture says: no single cell holds a concept. Is there really no "name neuron"?
#
# Rank all neurons by how well each tells two classes apart, give a probe the best *k* of them, and see how many it needs (Gurnee and others, 2023). The control: the same activations in a *random basis*. There, no axis can be special; if neurons are no better than that, they are no units of meaning.
#
# The neurons: the 512 of the MLP in block 1, behind its GELU. The concepts: is this token a name, and are they away from home? About 6 seconds.

# %%
HP_KS = (1, 2, 4, 8, 16, 32, 64, 128)
hp_x = circuits.activations(teller, pr_ids, ["h.1.mlp.c_proj.in"])["h.1.mlp.c_proj.in"].flatten(
    0, 1
)[::4]
hp_turned = hp_x @ probes.random_rotation(512, generator(0)).float()
hp_curves = {}
for title in progress(["a name", "away from home"], "concepts"):
    y = pr_labels[title].flatten()[::4]
    for basis, x in (("neurons", hp_x), ("random basis", hp_turned)):
        hp_curves[title, basis] = probes.sparse_accuracy(x, y, pr_train[::4], HP_KS)

# %% [markdown]
# **Predict** for both concepts: does one neuron suffice? Is the blue line above the orange one? (Dotted: the majority.)

# %%
fig, axes = subplots(1, 2, figsize=(9.5, 3.4))
for ax, title in zip(axes, ("a name", "away from home"), strict=True):
    for basis, color in (("neurons", COLORS["blue"]), ("random basis", COLORS["orange"])):
        ax.plot(HP_KS, hp_curves[title, basis], "o-", color=color, label=basis)
    share = pr_labels[title][64:].float().mean().item()
    ax.axhline(max(share, 1 - share), color="black", linestyle=":")
    ax.set(title=title, xscale="log", xlabel="features that the probe sees", xticks=HP_KS)
    ax.set_xticklabels(HP_KS)
axes[0].set_ylabel("accuracy, new stories")
axes[0].legend()
hp_most = 1 - pr_labels["a name"][64:].float().mean().item()  # the majority's share
hp_one, hp_rand = ((hp_curves["a name", basis][0] - hp_most) / (1 - hp_most)  # the way to perfect
                   for basis in ("neurons", "random basis"))
hp_place = hp_curves["away from home", "neurons"]
assert hp_one > 0.6 > 0.2 > hp_rand and hp_place[2] < 0.72 < hp_place[-1]
show(fig, "One neuron tells names, one random axis does not; the place takes many in both bases.")

# %% [markdown]
# Two answers. One neuron of block 1 *is* nearly a name neuron, far better than the best of 512 random axes. The place is in no neuron: the probe needs dozens, and neurons are no better than random axes. So the lecture's sentence is right for one concept and wrong for the other. (Why some get an axis of their own: lesson 06.)

# %%
claims.add(
    "I4", "concepts are distributed: no single cell holds one", source="lecture",
    published="no single cell", holds=hp_one < 0.5,
    measured=f"from the majority to perfect one neuron goes over {math.floor(hp_one * 2) / 2} of the "
    f"way for names, one random axis under {math.ceil(hp_rand * 5) / 5}; place: dozens, in either basis",
    reason="True for the place, not for names: one neuron tells most of them.")


# %% [markdown]
# ## Second hard point: nobody knows the truth
#
# **Question.** In a real network there is no generator to ask. Can a method find what is not there?
#
# **A probe in noise.** The "activations" are normal random numbers, the labels coin flips. There is nothing to find. **Predict** the accuracy *on the training examples*, with 128 features and 200 examples.

# %%
def hp_noise(n, seed):
    """Accuracy on n training examples of noise, and on 2000 new ones; 128 features."""
    x = torch.randn(n + 2000, 128, generator=generator(seed))
    y = torch.randint(2, (n + 2000,), generator=generator(seed + 1))
    probe = probes.fit_probe(x[:n], y[:n])
    return probe.accuracy(x[:n], y[:n]), probe.accuracy(x[n:], y[n:])


HP_N = (32, 64, 128, 192, 256, 384, 512, 1024)
hp_seen, hp_new = zip(*(hp_noise(n, 7) for n in HP_N), strict=True)
hp_cover = [probes.separable_share(n, 129) for n in HP_N]  # 128 features and a bias

# %% [markdown]
# Cover (1965) counted it: the share of all labellings of *n* points that a hyperplane in *d* dimensions can separate. It falls from 1 to 0 around *n* = 2*d*, where it is one half. (Here *d* = 129: a bias counts as a dimension.)

# %%
fig, ax = subplots(figsize=(8, 3.6))
ax.plot(HP_N, hp_seen, "o-", color=COLORS["vermillion"], label="on training examples")
ax.plot(HP_N, hp_new, "o-", color=COLORS["blue"], label="on new examples")
ax.plot(HP_N, hp_cover, ":", color="black", label="Cover: share that is separable")
ax.set(xscale="log", xticks=HP_N, xlabel="examples", ylabel="accuracy", ylim=(-0.05, 1.08))
ax.set_xticklabels(HP_N)
ax.legend(fontsize=11, loc="lower left")
assert min(hp_seen[:4]) == 1.0 and all(abs(value - 0.5) < 0.06 for value in hp_new)
show(fig, "In noise, the probe is perfect on up to 192 training examples and guesses on new ones.")

# %% [markdown]
# Perfect, and worth nothing. New examples catch it, if they are *really* new: from other stories, not other words of the same story.
#
# **PCA in noise.** A path through 128 dimensions, 256 steps, each step normal noise: a random walk. Principal component analysis draws its two most important directions.

# %%
hp_walk = torch.randn(256, 128, generator=generator(0)).cumsum(0)
hp_share = probes.explained(hp_walk)
hp_centred = hp_walk - hp_walk.mean(0)
hp_xy = hp_centred @ torch.linalg.svd(hp_centred, full_matrices=False).Vh[:2].T  # (256, 2)

# %% [markdown]
# **Predict** the picture: a cloud? Colour is the step.

# %%
fig, axes = subplots(1, 2, figsize=(9.5, 3.5))
axes[0].scatter(*hp_xy.T, c=range(256), cmap="viridis", s=14)
axes[0].set(xlabel="component 1", ylabel="component 2", title="a random walk")
axes[1].bar(range(1, 9), hp_share[:8], color=COLORS["blue"], label="found")
hp_theory = [6 / (math.pi * k) ** 2 for k in range(1, 9)]
axes[1].plot(range(1, 9), hp_theory, "o", color="black", label="theory")
axes[1].set(xlabel="component", ylabel="share of variance")
axes[1].legend()
assert hp_share[0] > 0.5 and abs(hp_share[0] - 6 / math.pi**2) < 0.1
show(fig, "PCA of a random walk draws a smooth arc; its first component has over half of the variance.")

# %% [markdown]
# A smooth arc, one component with most of the variance: it looks like a "trajectory of thought". It is noise. For long random walks in many dimensions theory gives component *k* a share of 6/(π*k*)² (Antognini and Sohl-Dickstein, 2018).
#
# Which test would have caught it? A usual one shuffles each feature and does PCA again. **Predict** its verdict, and that of a second test, which compares with *other random walks*.

# %%
dice = generator(5)
shuffle = lambda column: column[torch.randperm(256, generator=dice)]
hp_shuffled = torch.stack([probes.explained(torch.stack([shuffle(c) for c in hp_walk.T], dim=1))[0]
                           for _ in range(99)])
hp_walks = torch.stack([probes.explained(torch.randn(256, 128, generator=dice).cumsum(0))[0]
                        for _ in range(99)])
for name, null in (("shuffled features", hp_shuffled), ("other random walks", hp_walks)):
    verdict = "significant" if probes.p_value(hp_share[0].item(), null) < 0.05 else "nothing to see"
    print(f"against {name:<19} {verdict}")

# %% [markdown]
# The usual test falls for it. Shuffling destroys the order in time along with everything else, so any path looks special. A control must keep all that is *not* in question, here the walk. It was the same with the place and the position. That is the craft: to think of the control.

# %%
claims.add(
    "I6", "without ground truth PCA and probes can find illusions",
    source="lecture; Alain & Bengio 2016", published="illusions",
    measured=f"in noise: a probe {hp_seen[2]:.2f} on its examples, "
    f"{hp_new[2]:.1f} on new ones; PCA {hp_share[0]:.1f} of the variance in one component",
    holds=hp_seen[2] == 1.0 and abs(hp_new[2] - 0.5) < 0.06 and hp_share[0].item() > 0.5)

# %% [markdown]
# ## What we verified
#
# Each claim with its source, what was published, and what you measured.

# %%
claims.show()

# %% [markdown]
# Your exercises: which pass, and which are still open.

# %% tags=["progress"] slideshow={"slide_type": "skip"}
exercises.progress("probes")

# %% [markdown]
# **What this lesson leaves out.** Our properties are known, because the stories were generated. In a real model nobody knows the truth, and the probe's designer chooses what it may find.
#
# ## Further reading
#
# - Alain and Bengio 2016, [Understanding intermediate layers using linear classifier probes](https://arxiv.org/abs/1610.01644).
# - Hewitt and Liang 2019, [Designing and Interpreting Probes with Control Tasks](https://arxiv.org/abs/1909.03368).
# - Belrose and others 2023, [LEACE: Perfect linear concept erasure in closed form](https://arxiv.org/abs/2306.03819).
# - Antognini and Sohl-Dickstein 2018, [PCA of high dimensional random walks](https://arxiv.org/abs/1806.08805).
# - Gurnee and others 2023, [Finding Neurons in a Haystack](https://arxiv.org/abs/2305.01610).
