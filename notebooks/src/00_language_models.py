# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 00 · Language models: the map of the course
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/OWNER--SET-ME/llm-inside/blob/main/notebooks/00_language_models.ipynb) · [open this lesson in Colab](https://colab.research.google.com/github/OWNER--SET-ME/llm-inside/blob/main/notebooks/00_language_models.ipynb)
#
# **What is a language model, and where do you begin to look inside?** A **language model** gives each possible next piece of a text a probability. That is all it does. This course builds one from its
# parts, measures what each part is for, and holds every claim that it repeats against a number. This page shows the way.
#
# **Time.** Running: a few seconds on CPU; no GPU is needed. Reading: five minutes.
#
# **What you will be able to do**
# - choose your way through the lessons, by what each one builds on.
#
# **Prerequisites.** Python lists, dictionaries and functions. No machine learning.

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
# Here is the smallest language model that there is: a table of which word follows which. You only count.

# %% tags=["imports"]
from collections import Counter

from course_utils.stories import VOCAB, stories

# %% [markdown]
# **Question.** In generated children's stories, which word comes after *was*?
#
# **Predict.** A name, a place, or a small word such as *a*?

# %%
text = [VOCAB[i] for i in stories(seed=0, n_tokens=100_000).tokens]
after = Counter(word for before, word in zip(text, text[1:], strict=False) if before == "was")
for word, count in after.most_common(4):
    print(f"{word:<6} {count / after.total():.2f}")

# %% [markdown]
# The **probability** of a next word is the share of all cases in which it comes next. A table like this one forgets everything else that was said. The lessons replace it step by step by a model that reads the whole text.
#
# ## The lessons
#
# Every lesson takes one question. Open any of them on its own; *builds on* names the lessons whose ideas it uses.
#
# <!-- lessons: written by tools/lesson_map.py -->
#
# | | lesson | builds on |
# |---|---|---|
# | 01 | [Tokenization: what a language model reads](01_tokenization.ipynb) | – |
# | 02 | [Attention: how a token looks back](02_attention.ipynb) | 01 |
# | 03 | [The transformer block: what stands around attention](03_transformer_block.ipynb) | 02 |
# | 04 | [GPT-2 on your GPU: put it together, let it speak, time it](04_gpt2.ipynb) | 02, 03 |
# | 05 | [Scaling laws: how loss falls with size, data and compute](05_scaling_laws.ipynb) | 03 |
# | 06 | [Superposition: more features than dimensions](06_superposition.ipynb) | 03 |
# | 07 | [KL bias: a loss that bends a model without a word of text](07_kl_bias.ipynb) | 04, 09 |
# | 08 | [The budget of a model: parameters, memory, arithmetic](08_model_budget.ipynb) | 03, 04 |
# | 09 | [From logits to text: how a model chooses the next token](09_sampling.ipynb) | 02, 04 |
# | 10 | [Inside GPT-2: what trained weights look like, and which you can break](10_inside_gpt2.ipynb) | 03, 04 |
# | 11 | [Architectures: what changed since GPT-2](11_architectures.ipynb) | 02, 03 |
# | 12 | [Compute at test time: when does thinking longer pay?](12_test_time_compute.ipynb) | 03, 05, 09 |
# | 13 | [Sparse autoencoders: out of superposition](13_sparse_autoencoders.ipynb) | 04, 06 |
# | 14 | [Circuits: how does it know "Leo"?](14_circuits.ipynb) | 02, 03, 04 |
# | 15 | [Induction: grow a circuit, and predict where it breaks](15_induction.ipynb) | 02, 03, 14 |
# | 16 | [Probes: read, or fooled?](16_probes.ipynb) | 04, 06, 14 |
# | 17 | [Grokking: when does understanding come before the jump?](17_grokking.ipynb) | 03 |
# | 18 | [Instruction tuning: from autocomplete to assistant](18_instruction_tuning.ipynb) | 04, 09 |
# | 19 | [LoRA: how little can you train?](19_lora.ipynb) | 18 |
# | 20 | [Preferences and rewards: what does a reward teach?](20_preferences.ipynb) | 07, 18 |
# | 21 | [Compression: how small can it get?](21_compression.ipynb) | 04, 07 |
# | 22 | [Guard rails: will it keep a secret?](22_guard_rails.ipynb) | 18 |
# | 23 | [Audit: was this model tampered with?](23_audit.ipynb) | 04, 07 |
#
# <!-- end of lessons -->
#
# **The short way** to a model that answers: 01, 02, 03, 04, 09, 18. **To look inside**: 02, 03, 04, 14, then 15, 16 and 17. **To ask whether a model can be trusted**: 07, 18, 20, 22, 23.
#
# **What this lesson leaves out.** It does not yet tell what came before the transformer, nor which families of models there are today.
#
# ## Further reading
#
# - Shannon 1948, [A Mathematical Theory of Communication](https://doi.org/10.1002/j.1538-7305.1948.tb01338.x), section 3: English, drawn from tables of letters and words.
# - Jurafsky and Martin, [Speech and Language Processing](https://web.stanford.edu/~jurafsky/slp3/), chapter on n-grams.
