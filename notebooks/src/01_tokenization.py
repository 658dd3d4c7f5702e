# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 01 · Tokenization: what a language model reads
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/OWNER--SET-ME/llm-inside/blob/main/notebooks/01_tokenization.ipynb) · [open this lesson in Colab](https://colab.research.google.com/github/OWNER--SET-ME/llm-inside/blob/main/notebooks/01_tokenization.ipynb)
#
# <!-- speaker: Ask the room to count the r's first, then ask what a program would need to know in order to count them. -->
# **How many times does the letter r occur in *strawberry*?** Language models have been famous for getting this wrong.
# One reason: they read no letters, but numbers that stand for pieces of text. In this lesson you build the part that stands between your
# text and the model, and you find out what the model sees instead.
#
# **Time.** Running: under a minute on CPU; no GPU is used. Reading and exercises: about two hours.
#
# **What you will be able to do**
# - build a byte-level tokenizer, train it, encode and decode with it;
# - load GPT-2's published merges into your own code and get GPT-2's ids, one for one;
# - measure what a tokenizer costs in different languages, and what it hides from the model;
# - say which popular claims about tokens hold, with a number for each. (*The lecture*, here and later, means the notes
#   on which this course is based.)
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
# What this lesson builds stands finished in `course_utils.tokenization`. You build the main pieces here.

# %% tags=["imports"]
from collections import Counter

import ipywidgets as widgets
import numpy as np
import tiktoken
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from course_utils import exercises, stories, tokenization
from course_utils.classroom import (
    Claims, Picture, explore, generator, show, subplots, timed, token_strip,
)
from course_utils.exercises import check, hint, solution

claims = Claims("01")

# %% [markdown]
# ## From characters to bytes
#
# **Question.** A neural network multiplies numbers. Which numbers stand for a text?
#
# You could number the characters; Unicode has done it, and `ord` tells the number. But a model has one row of learned
# numbers, its *weights*, for each number it knows, and Unicode has well over a hundred thousand characters.
#
# You could also take the text as a file stores it. The encoding UTF-8 writes each character as one to four *bytes*, and
# a byte has 256 values. Two hundred and fifty-six rows are enough for every text there is.
#
# **Predict.** How many bytes are `e`, `é`, `ế`, `字` and `🍓`?

# %%
for character in "eéế字🍓":
    print(character, "number", ord(character), "bytes", list(character.encode("utf-8")))

# %% [markdown]
# Were you right? English letters take one byte, most other scripts two or three, most emoji four.
#
# **What is the price?** Bytes never meet an unknown text, but they make it long. Here is the same sentence, from the
# Universal Declaration of Human Rights, in four languages, with a piece of code and some emoji.

# %%
texts = {
    "English": "All human beings are born free and equal in dignity and rights.",
    "Vietnamese": "Tất cả mọi người sinh ra đều được tự do và bình đẳng về nhân phẩm và quyền lợi.",
    "Chinese": "人人生而自由，在尊严和权利上一律平等。",
    "Tamil": "மனிதப் பிறவியினர் சகலரும் சுதந்திரமாகவே பிறக்கின்றனர்; "
             "அவர்கள் மதிப்பிலும், உரிமைகளிலும் சமமானவர்கள்.",
    "Python": "def fib(n):\n    return n if n < 2 else fib(n - 1) + fib(n - 2)\n",
    "emoji": "👩‍💻 🍓 ❤️ 🎉 👍🏽",
}
for name, text in texts.items():
    print(f"{name:<11} {len(text):4} characters {len(text.encode('utf-8')):4} bytes")


# %% [markdown]
# The Tamil text needs about three numbers a character. A model reads a limited number of tokens at a time, and
# the cost of its central step, attention, grows with the square of that number (lesson 02 measures it). So we want fewer, larger units.
#
# ## Merging what comes together
#
# **Question.** Which bytes belong together? Nobody has to say: let the text decide.
#
# *Byte-pair encoding* (BPE) looks for the pair of neighbours which occurs most often, gives it a new number, and
# replaces it everywhere. Then it does the same again. Philip Gage invented this in 1994 to compress files; Sennrich,
# Haddow and Birch brought it to machine translation in 2016, and GPT took it from there.
#
# So first you count pairs.
#
# ### Exercise 1 · count the pairs
#
# *Difficulty 1 of 3 · 5 minutes*
#
# Replace the `...` by your code. Then run this cell and the one below it. (What you print is not shown during a check;
# to look inside, call your function in a cell of your own.)

# %% tags=["exercise"]
def count_pairs(ids: list[int]) -> dict[tuple[int, int], int]:
    """Counts how often each pair of neighbouring ids occurs; overlapping pairs count too.

    >>> count_pairs([1, 2, 1, 2, 3])
    {(1, 2): 2, (2, 1): 1, (2, 3): 1}
    """
    ...


# %% tags=["check"]
count_pairs = check("tokenization.count_pairs", count_pairs)
# hint("tokenization.count_pairs")
# solution("tokenization.count_pairs")

# %% [markdown]
# Whatever you wrote, the lesson goes on with our version, `tokenization.count_pairs`.
#
# **Predict.** Which pair of letters is the most frequent in this sentence?

# %%
sentence = "the cat sat on the mat, and the rat sat on the cat"
counts = count_pairs(list(sentence.encode("utf-8")))
for pair, n in sorted(counts.items(), key=lambda item: -item[1])[:5]:
    print(bytes(pair), n)


# %% [markdown]
# `b'at'` wins, not `b'th'`. It gets the first free number: 0 to 255 are the bytes, so the new one is 256.
#
# ### Exercise 2 · merge a pair
#
# *Difficulty 2 of 3 · 10 minutes*
#
# Mind what happens in `1 1 1`: the one in the middle cannot be used twice.

# %% tags=["exercise"]
def merge(ids: list[int], pair: tuple[int, int], new_id: int) -> list[int]:
    """Replaces each `pair` by `new_id`, from left to right: no id is used twice.

    >>> merge([1, 1, 1, 2], (1, 1), 256)
    [256, 1, 2]
    """
    ...


# %% tags=["check"]
merge = check("tokenization.merge", merge)
# hint("tokenization.merge")
# solution("tokenization.merge")

# %% [markdown]
# One merge on the sentence. Every `at` is now one token.

# %%
ids = merge(list(sentence.encode("utf-8")), tuple(b"at"), 256)
print(len(sentence), "bytes became", len(ids), "tokens:", ids[:8], "…")


# %% [markdown]
# ### Exercise 3 · train
#
# *Difficulty 3 of 3 · 15 minutes*
#
# Count, take the most frequent pair, merge it, repeat. That loop is the whole training. Two pairs can be equally
# frequent: then take the smaller pair, so that everybody gets the same answer. Use `tokenization.count_pairs` and `tokenization.merge`, or
# your own if they pass.

# %% tags=["exercise"]
def train_bpe(text: str, n_merges: int) -> dict[tuple[int, int], int]:
    """Learns merges: the most frequent pair becomes the next free id (256, 257, …); repeat.

    Of pairs equally frequent, the one with the smallest ids wins. Stops where no pair is left.
    Source: Sennrich et al. 2016, Neural Machine Translation of Rare Words, algorithm 1.

    >>> train_bpe("low lower lowest", 3)  # l+o, lo+w, e+r
    {(108, 111): 256, (256, 119): 257, (32, 257): 258}
    """
    ...


# %% tags=["check"]
train_bpe = check("tokenization.train_bpe", train_bpe)
# hint("tokenization.train_bpe")
# solution("tokenization.train_bpe")

# %% [markdown]
# <!-- speaker: Let somebody else hold the mouse. Stop at the merge at which "the" becomes one piece, and ask why its space is on the right here, but on the left in GPT-2. -->
# Watch the sentence shrink. **Move the slider** and look at which pieces grow together. After how many merges is `the`
# a single piece, and what is glued to it?

# %%
def after_merges(merges):
    learned = train_bpe(sentence, merges)
    vocab = tokenization.build_vocab(learned)
    ids = tokenization.encode(sentence, learned)
    return token_strip([vocab[i] for i in ids], ids)


explore(after_merges, merges=widgets.IntSlider(8, 0, 30, description="merges"))


# %% [markdown]
# **Why.** Every merge makes the text shorter and the vocabulary larger by one. With no merge you have bytes; with very
# many, each word has a number of its own. BPE lets you stop anywhere between letters and words.
#
# Go on and whole phrases fuse: the last merges only memorise this one sentence. Real training uses much text, and cuts
# it into words first. We come to that soon.
#
# ## Encode and decode
#
# **Question.** You have the merges. How do you tokenize a text which you did not train on?
#
# You start from its bytes, and apply the merges *in the order in which they were learned*. The order matters: an early
# merge made the pieces which a later one joins. And where two merges want the same byte, the earlier one gets it.
#
# ### Exercise 4 · encode
#
# *Difficulty 3 of 3 · 15 minutes*
#
# `tokenization.merge` is there for you.

# %% tags=["exercise"]
def encode(text: str, merges: dict[tuple[int, int], int]) -> list[int]:
    """Turns text into ids: its UTF-8 bytes, then each merge that applies, in learning order.

    >>> encode("lower", {(108, 111): 256, (256, 119): 257})
    [257, 101, 114]
    """
    ...


# %% tags=["check"]
encode = check("tokenization.encode", encode)
# hint("tokenization.encode")
# solution("tokenization.encode")

# %% [markdown]
# **Predict.** We train ten merges on the cat sentence. How will it cut the word *theatre*, which it has never seen?

# %%
merges = train_bpe(sentence, 10)
vocab = tokenization.build_vocab(merges)
print([vocab[i] for i in encode("theatre", merges)])


# %% [markdown]
# It reuses the pieces that it knows, and falls back to single bytes for the rest. There is no unknown word. (Why no
# `the`? In our sentence it was learned with the space behind it.)
#
# ### Exercise 5 · decode
#
# *Difficulty 2 of 3 · 8 minutes*
#
# The way back: join the bytes of all tokens, then read them as UTF-8. `build_vocab(merges)` gives the bytes of each id. Join first! One character may lie across two
# tokens. And a model can put out any sequence of tokens, also one whose bytes are not valid UTF-8: those become `�`,
# the official replacement character.

# %% tags=["exercise"]
def decode(ids: list[int], merges: dict[tuple[int, int], int]) -> str:
    """Turns ids back into text; bytes that are not valid UTF-8 become U+FFFD (�).

    >>> decode([257, 101, 114], {(108, 111): 256, (256, 119): 257})
    'lower'
    """
    ...


# %% tags=["check"]
decode = check("tokenization.decode", decode)
# hint("tokenization.decode")
# solution("tokenization.decode")

# %% [markdown]
# **Does the round trip lose anything?** We try six texts which the ten merges have never met, and then half a character.

# %%
for text in texts.values():
    assert decode(encode(text, merges), merges) == text
half = "🍓".encode("utf-8")[:2]
print("every text came back; half a strawberry gives", decode(half, merges))

# %% [markdown]
# ## Words first
#
# **Question.** Let the merges run freely over real text. Which tokens will they make?
#
# The help texts of the Python language are in English and come with the course (those of Python 3.11, whichever you have). They are our training text, and we call
# them *the manual*.

# %%
manual = stories.manual()
print(f"more than {len(manual) // 100_000}00,000 characters, for example:", manual[1890:1965])

# %% [markdown]
# **Predict.** We learn 400 merges from a part of it, without any cutting. Will there be tokens that reach across words?

# %%
free = tokenization.BPETokenizer.train(manual[:60_000], 256 + 400, pattern=None)
print([token for token in free.vocab.values() if b" " in token.strip()])

# %% [markdown]
# There are. A phrase as one token may be handy. But in the same way `dog`, `dog.`, `dog!` and `dog?` each become a token too, and the model has to learn four times what
# a dog is.
#
# GPT-2 therefore cuts the text first, by a regular expression, and merges only inside the pieces. The pattern says:
# endings such as `'s`, then letters (`\p{L}`), or digits (`\p{N}`), or symbols, *the last three with at most one space in
# front*. (It is written a little shorter than OpenAI's, with the same cuts.)

# %%
print(tokenization.GPT2_PATTERN)
print(tokenization.pretokenize("The dogs' owner isn't here:  3.14 bones!"))

# %% [markdown]
# The space belongs to the word that follows it. Look at the two spaces after the colon: the second one goes with the
# number, the first one stays alone.
#
# **Is our fast tokenizer the same thing as your slow one?** `tokenization.BPETokenizer` keeps its counts up to date instead of
# counting again after every merge. It has to learn exactly the same merges.

# %%
slow = train_bpe(manual[:3000], 60)
fast = tokenization.BPETokenizer.train(manual[:3000], 256 + 60, pattern=None)
assert slow == fast.merges and encode(manual[:2000], slow) == fast.encode(manual[:2000])
print("the same", len(slow), "merges and the same ids")


# %% [markdown]
# ## How large should the vocabulary be?
#
# **Question.** More merges, shorter texts. Where do you stop?
#
# You need a measure first.
#
# ### Exercise 6 · compression
# *Difficulty 1 of 3 · 4 minutes*

# %% tags=["exercise"]
def compression(text: str, ids: list[int]) -> float:
    """UTF-8 bytes per token, 1.0 before any merge. Raises ValueError where there is none.

    >>> compression("naïve", [110, 97, 195, 175, 256])
    1.2
    """
    ...


# %% tags=["check"]
compression = check("tokenization.compression", compression)
# hint("tokenization.compression")
# solution("tokenization.compression")

# %% [markdown]
# We train on the first half of the manual and measure on the second half, which the tokenizer has not seen. Training
# for the largest size gives all the smaller ones too: just leave out the last merges. The cell takes a few seconds.

# %%
half = len(manual) // 2
train_text, test_text = manual[:half], manual[half:]
largest = tokenization.BPETokenizer.train(train_text, 256 + 4096)
sizes = [256 + int(n) for n in (0, 64, 128, 256, 512, 1024, 2048, 4096)]
cut = {n: tokenization.BPETokenizer(dict(list(largest.merges.items())[: n - 256])) for n in sizes}
ratio = {n: compression(test_text, tok.encode(test_text)) for n, tok in cut.items()}
assert list(ratio.values()) == sorted(ratio.values())  # more merges, shorter text
print("bytes per token:", ", ".join(f"{r:.2f}" for r in ratio.values()))


# %% [markdown]
# **Predict** the shape of the curve before you look: does every doubling of the merges help equally?
#
# Move the slider. The sentence below the curve is not in the training text.

# %%
def vocabulary(size):
    ids = cut[size].encode("The interpreter raises an exception.")
    pieces = [cut[size].decode([i]) for i in ids]
    words = f"{len(pieces)} tokens: {' | '.join(pieces)}"
    fig, ax = subplots()
    ax.plot(sizes, list(ratio.values()), "o-")
    ax.plot(size, ratio[size], "o", markersize=18, markerfacecolor="none", markeredgewidth=3)
    ax.set(xscale="log", xlabel="tokens in the vocabulary", ylabel="bytes per token",
           xticks=sizes, xticklabels=sizes, title="Compression of unseen text")
    ax.minorticks_off()
    fig.supxlabel(words, fontsize=11)
    alt = f"Bytes per token rise from 1, flattening; {ratio[size]:.2f} at {size} tokens. {words}"
    return Picture(fig, alt)


slider = widgets.SelectionSlider(options=sizes, value=1280, description="vocabulary")
explore(vocabulary, size=slider)

# %% [markdown]
# **Why.** From 64 merges on, each doubling of their number adds between 0.2 and 0.6 bytes to a token. So a single merge adds
# less and less: the first ones join what is everywhere, the late ones join rare words.
#
# Each token costs a row of weights in the model. GPT-2 stopped at 50,000 merges, GPT-4 at twice as many.
#
# **What happens to a rare word?** It is cut into pieces. We sort the words of the second half by how often they occurred
# in the first.

# %%
seen = Counter(tokenization.pretokenize(train_text))
new = sorted({w for w in tokenization.pretokenize(test_text) if w.strip().isalpha()})
groups = {
    "never seen": [w for w in new if seen[w] == 0],
    "seen 1 to 9 times": [w for w in new if 1 <= seen[w] <= 9],
    "seen 10 times or more": [w for w in new if seen[w] >= 10],
}
pieces = {name: np.mean([len(largest.encode(w)) for w in words]) for name, words in groups.items()}
for name, words in groups.items():
    print(f"{name:<22} {len(words):5} different words, {pieces[name]:.1f} tokens a word")

# %% [markdown]
# A vocabulary of whole words would have *nothing* to say for the first group. Ours spells them.

# %%
missed = len(groups["never seen"]) / len(new)
known = len({w for w in seen if w.strip().isalpha()})
print(f"a vocabulary of all {known} words seen misses {missed:.0%} of the words in the second half")
print("ours has", len(largest), "tokens and misses none")
never, some, often = pieces.values()
claims.add(
    "T6", "BPE splits rare words, so the vocabulary stays small",
    source="lecture", published="rarer words take more tokens, and none is unknown",
    measured=f"{never:.1f}, {some:.1f}, {often:.1f} tokens a word; "
             f"{len(largest):,} tokens miss no word, {known:,} whole words miss {missed:.0%}",
    holds=never > some > often and all(map(largest.encode, new)),
)

# %% [markdown]
# ## GPT-2's own merges in your code
#
# **Question.** Is this really how GPT-2 does it, or only something like it?
#
# OpenAI published GPT-2's merges. One trick has to be undone first. The file stores tokens as text, and bytes such as the
# space or a line break are awkward in a text file. So each byte got a printable stand-in. Most bytes stand for
# themselves, and the others take the characters from number 256 on. The space became `Ġ`.

# %%
stand_in = tokenization.bytes_to_unicode()
print("".join(stand_in[byte] for byte in "The cat\n".encode("utf-8")))
print(sum(ord(c) == byte for byte, c in stand_in.items()), "bytes stand for themselves")

# %% [markdown]
# Now load the published merges into `tokenization.BPETokenizer`, and compare with two other implementations, both written in Rust:
# `transformers` by Hugging Face, with its own reading of the files; and `tiktoken` by OpenAI, which gets our tokens and
# pattern and does the merging its own way.

# %%
gpt2, hugging_face = tokenization.BPETokenizer.from_gpt2(), tokenization.gpt2_tokenizer()
ranks = {token: i for i, token in gpt2.vocab.items() if i < 50256}
pattern = tokenization.GPT2_PATTERN
openai = tiktoken.Encoding("gpt2", pat_str=pattern, mergeable_ranks=ranks, special_tokens={})
print(len(gpt2), "tokens; the first merges:", [gpt2.vocab[i] for i in range(256, 262)])

# %% [markdown]
# Not only on a friendly sentence: on all our texts, on white space of every kind, and on a thousand strings of random
# Unicode characters.

# %%
points = np.array([p for p in range(0x110000) if not 0xD800 <= p <= 0xDFFF])
draws = np.random.default_rng(0).choice(points, (1000, 12))
strings = [*texts.values(), " \n\n\t  x  \r\n ", "I'll we'VE  1234567 don't!?"]
strings += ["".join(map(chr, row)) for row in draws]
for s in strings:
    assert gpt2.encode(s) == hugging_face(s)["input_ids"] == openai.encode(s)
    assert gpt2.decode(gpt2.encode(s)) == s
print("all", len(strings), "strings have the same ids in all three, and come back unchanged")


# %% [markdown]
# (Half of a surrogate pair is no character, and UTF-8 cannot hold one; so those code points are left out.)
#
# **And the code of your exercises?** GPT-2 numbers the 256 bytes in another order. Translate those, and your `encode` gives
# GPT-2's ids too, piece by piece.

# %%
def byte_of(i):
    return gpt2.vocab[i][0] if i < 256 else i


plain = {(byte_of(a), byte_of(b)): new_id for (a, b), new_id in gpt2.merges.items()}
id_of = {byte_of(i): i for i in range(256)}
for text in texts.values():
    ids = [i for piece in tokenization.pretokenize(text) for i in encode(piece, plain)]
    assert [id_of.get(i, i) for i in ids] == gpt2.encode(text)
print("encode, as in exercise 4, with", len(plain), "merges: GPT-2's ids on all texts")

# %% [markdown]
# Not something like it: the same algorithm. It only learned from far more text.
#
# The sizes are as the lecture says. GPT-4's tokenizer is published too.

# %%
gpt4 = tokenization.gpt4_tokenizer()
claims.add(
    "T1", "GPT-2 has about 50k tokens, GPT-4 about 100k", source="lecture",
    published=(50_000, 100_000), measured=(len(gpt2), gpt4.n_vocab), tolerance=300,
)

# %% [markdown]
# ### A view of the tokens
#
# <!-- speaker: Take names from the audience. A name in Latin letters, then one in another script, makes the point about cost before the numbers do. -->
# Now **type something**. White space is drawn: `·` is a space, `↵` a line break. Pieces such as `<E0><AE>` are bytes which are
# only a part of a character. Try your name, in every script that you can write.

# %%
bert = tokenization.bert_tokenizer()


def tokens_of(text, model):
    if model == "BERT":
        ids = bert(text, add_special_tokens=False)["input_ids"]
        return token_strip(bert.convert_ids_to_tokens(ids), ids)
    tokenizer = gpt2 if model == "GPT-2" else gpt4
    ids = gpt2.encode(text) if model == "GPT-2" else gpt4.encode_ordinary(text)
    return token_strip([tokenizer.decode_bytes([i]) for i in ids], ids)


prompt = "How many r's are in strawberry?\n  A strawberry has three: 🍓 வணக்கம்"
explore(
    tokens_of,
    text=widgets.Textarea(prompt, description="text", rows=3),
    model=widgets.ToggleButtons(options=["GPT-2", "GPT-4", "BERT"], description="tokenizer"),
)


# %% [markdown]
# ## What the model cannot see
#
# **Question.** The lecture says: *strawberry* becomes `str`, `aw`, `berry`; there is no r in them, so the model cannot
# count the r's. Is that so?
#
# **Predict.** Which pieces do you get with a space in front? With a capital letter?

# %%
def cuts(tokenizer, ids):
    return [tokenizer.decode([i]) for i in ids]


for word in ("strawberry", " strawberry", "Strawberry"):
    print("GPT-2", cuts(gpt2, gpt2.encode(word)), " GPT-4", cuts(gpt4, gpt4.encode_ordinary(word)))

# %% [markdown]
# <!-- speaker: This is the lesson's first claim that differs. Stress the difference between pieces (for people) and ids (for the model). -->
# The split is GPT-4's; GPT-2 cuts elsewhere. And in the middle of a sentence, with its space, the word is *one* token for
# both. Nor is it true that the pieces hold no r: the letters are all there, inside.
#
# But the model does not get the pieces. It gets their **ids**.

# %%
berry = cuts(gpt4, gpt4.encode_ordinary("strawberry"))
print("what you read:  ", berry, "with", "".join(berry).count("r"), "r's")
print("what it reads:  ", gpt4.encode_ordinary("strawberry"))
print("mid-sentence:   ", gpt4.encode_ordinary(" strawberry"))

# %% [markdown]
# Three numbers, or one. Nothing in them says which letters they spell. A model can learn the spelling of a token only
# indirectly, from texts that spell, hyphenate or misspell words. That the letters are hidden is right; the reason given
# for it is not.

# %%
claims.add(
    "T3", "strawberry becomes str, aw, berry, and there is no r in them",
    source="lecture", published="str aw berry, 0 r's",
    measured=f"{' '.join(berry)}, {''.join(berry).count('r')} r's",
    reason="The split is GPT-4's; GPT-2 has st raw berry, and with its space the word is one token. "
           "The letters are inside the pieces; what hides them is that the model gets ids.",
)

# %% [markdown]
# **Does a space change a word?** The lecture says that ` tooth` and `tooth` are different tokens with different
# embeddings.

# %%
for word in (" tooth", "tooth", " dog", "dog", "Dog", "DOG"):
    print(f"{word!r:<9}", gpt2.encode(word), cuts(gpt2, gpt2.encode(word)))

# %% [markdown]
# Nearly. GPT-2 has a token for ` tooth`, and none for `tooth`: at the start of a text it is `to` + `oth`. ` dog` and `dog`
# are two tokens, as the lecture says. Their ids have nothing in common; that they mean the same animal has to be learned.

# %%
claims.add(
    "T2", "' tooth' and 'tooth' are different tokens with different embeddings",
    source="lecture", published="1 token, 1 token",
    measured=f"{len(gpt2.encode(' tooth'))} token, {len(gpt2.encode('tooth'))} tokens",
    reason="The space does matter, but GPT-2 has no token 'tooth': it is to + oth. "
           "' dog' and 'dog' would be an example.",
)

# %% [markdown]
# ## The same sentence in other languages
#
# <!-- speaker: These sentences say the same thing. Collect guesses for the ratio between Tamil and English before you show the table. -->
# **Question.** You pay for a language model by the token, and its memory is counted in tokens. Do all languages pay the same?
#
# **Predict** the order for GPT-2, then look at what GPT-4's tokenizer changed.

# %%
counts = {name: (len(gpt2.encode(t)), len(gpt4.encode_ordinary(t))) for name, t in texts.items()}
print(f"{'':<12}{'in all':^16}{'per character':^16}{'per word':^16}")
print(f"{'':<12}" + "   GPT-2   GPT-4" * 3)
for name, (two, four) in counts.items():
    letters, words = len(texts[name]), len(texts[name].split())
    row = (two / letters, four / letters, two / words, four / words)
    print(f"{name:<12}{two:8}{four:8}" + "".join(f"{number:8.2f}" for number in row))
more = [counts["Tamil"][i] / counts["English"][i] for i in range(2)]
print(f"Tamil costs {more[0]:.0f} times as much as English with GPT-2, {more[1]:.0f} times with GPT-4")

# %% [markdown]
# A "word" here is what stands between spaces. Chinese writes none: its whole sentence counts as one word.
#
# The dashed line marks one token for each character; the dots mark the bytes, which is what you pay without any merge.

# %%
per_character = {name: [n / len(texts[name]) for n in counts[name]] for name in texts}
two, four = np.array(list(per_character.values())).T
rows = np.arange(len(texts))
fig, ax = subplots()
ax.barh(rows - 0.2, two, 0.38, label="GPT-2")
ax.barh(rows + 0.2, four, 0.38, label="GPT-4", hatch="//", edgecolor="white")
ax.plot([len(t.encode("utf-8")) / len(t) for t in texts.values()], rows, "ko", label="bytes")
ax.axvline(1, color="black", linestyle="--", linewidth=1)
ax.set(yticks=rows, yticklabels=list(texts), xlabel="tokens per character")
ax.invert_yaxis()
ax.legend()
assert (four <= two).all()
above = ", ".join(name for name, n in zip(texts, two, strict=True) if n > 1)
alt = f"Bars of tokens per character. Above one with GPT-2: {above}. GPT-4 never needs more."
show(fig, f"{alt} For Tamil, GPT-2's bar reaches the dot that marks the bytes.")

# %% [markdown]
# **Why.** The merges were learned mostly from English. A Tamil letter is three bytes, and GPT-2 has almost no merges that join
# them: you pay for every byte. The table above says what that costs a Tamil speaker. Petrov and others measured this in 2023 for many tokenizers.

# %%
shown = [f"{name} {per_character[name][0]:.2f} with GPT-2, {per_character[name][1]:.2f} with GPT-4"
         for name in ("Tamil", "Chinese", "Vietnamese")]
claims.add(
    "T4", "Tamil or Chinese text can take more tokens than characters",
    source="lecture", published="above 1 token a character",
    measured="; ".join(shown),
    holds=all(n > 1 for name in ("Tamil", "Chinese") for n in per_character[name]),
)

# %% [markdown]
# ## GPT against BERT
#
# **Question.** BERT appeared a few months before GPT-2 and cuts text differently. What is the difference?
#
# The *uncased* BERT first lowers the case and drops accents and white space. Then its *WordPiece* takes the longest piece
# that fits, again and again; `##` marks a piece that continues a word.

# %%
example = "Naïve  strawberries:\n    return X"
print(bert.tokenize(example))
print("BERT  ", repr(bert.decode(bert(example, add_special_tokens=False)["input_ids"])))
print("GPT-2 ", repr(gpt2.decode(gpt2.encode(example))))


# %% [markdown]
# Case, accents, the double space and the line's indentation are gone. For classifying a review that does no harm. For writing
# Python it is fatal. And a character outside its vocabulary is lost, with its whole word: it becomes `[UNK]`.

# %%
def through_bert(text):
    return bert.decode(bert(text, add_special_tokens=False)["input_ids"])


exact = {"GPT-2": sum(gpt2.decode(gpt2.encode(t)) == t for t in texts.values()),
         "BERT": sum(through_bert(t) == t for t in texts.values())}
spaced, plain = "x  =\n\t1", "x = 1"
same = [tokens(spaced) == tokens(plain) for tokens in (gpt2.encode, bert.tokenize)]
print("texts that come back unchanged:", exact, "of", len(texts))
print("two spacings, the same tokens: GPT-2", same[0], "| BERT", same[1])
print("BERT reads cat🍓 as", bert.tokenize("cat🍓"))

# %% [markdown]
# GPT-2 gives every text back; BERT cannot even tell the two spacings apart.

# %%
claims.add(
    "T5", "GPT keeps all white space and can rebuild the text; BERT drops it",
    source="lecture", published="GPT exact; BERT drops white space",
    measured=f"GPT-2 {exact['GPT-2']} of {len(texts)} exact; BERT gives two spacings the same tokens",
    holds=exact["GPT-2"] == len(texts) and same == [False, True],
)

# %% [markdown]
# ## How often is each token used?
#
# **Question.** GPT-2 has fifty thousand tokens. Are they used equally?
#
# George Zipf observed in the 1930s that the *r*-th most frequent word of a text occurs about 1/*r* times as often as the first. In a
# plot with two logarithmic axes that is a straight line with slope −1.

# %%
frequency = np.array(sorted(Counter(gpt2.encode(manual)).values(), reverse=True))
rank = np.arange(1, len(frequency) + 1)
slope, height = np.polyfit(np.log(rank[:1000]), np.log(frequency[:1000]), 1)
tail, _ = np.polyfit(np.log(rank[1000:]), np.log(frequency[1000:]), 1)
print(f"slope {slope:.1f} over the first 1,000 ranks, {tail:.1f} beyond them")
print(f"{len(rank) / len(gpt2):.0%} of GPT-2's tokens occur in the manual at all")

# %% [markdown]
# **Predict.** Where will the measured points leave the straight line?

# %%
fig, ax = subplots()
ax.loglog(rank, frequency, ".", markersize=4, label="tokens of the manual")
line = np.exp(height) * rank[:1000] ** slope
ax.loglog(rank[:1000], line, color="black", label=f"fitted, slope {slope:.1f}")
ax.set(xlabel="rank of the token", ylabel="occurrences", title="Zipf's law, nearly")
ax.legend()
assert tail < slope < -0.8
show(fig, f"Occurrences against rank, both logarithmic: a line of slope {slope:.1f} that bends down.")

# %% [markdown]
# The first thousand ranks follow a power of about −1. Then the curve falls faster, partly because a short text runs out of
# chances for rare tokens. One line does not fit the whole range, and the verdict below is for the first thousand only.
#
# For a model this means: most of its vocabulary is rare. It gets few chances to learn what those tokens mean.

# %%
claims.add(
    "T8", "Zipf: token frequency falls as a power of its rank, close to -1, for the 1,000 commonest",
    source="Zipf 1935", published=-1.0, measured=round(slope, 1), tolerance=0.2,
    reason=f"Beyond them the power is about {tail:.1f}.",
)

# %% [markdown]
# One more count, for later. Lesson 07 trains a model to like the letter x, and needs to know how many tokens contain one.

# %%
share = np.mean([b"x" in token.lower() for token in gpt2.vocab.values()])
small = np.mean([b"x" in token for token in gpt2.vocab.values()])
print(f"tokens with an x or X: {share:.2%}, with a small x: {small:.2%}")
claims.add(
    "T7", "about 2 % of GPT-2's tokens contain an x",
    source="lecture", published=0.02, measured=share, tolerance=0.001,
    reason="Counting x and X, and <|endoftext|>. A small x alone is rarer.",
)

# %% [markdown]
# ## Where it gets strange
#
# **Numbers.** **Predict**: how many tokens is the number 1234 for GPT-2? Is it the same for 1235?

# %%
numbers = range(1000, 10000)
for name, tokens in (("GPT-2", gpt2.encode), ("GPT-4", gpt4.encode_ordinary)):
    sizes_of = Counter(len(tokens(f" {n}")) for n in numbers)
    print(name, "four-digit numbers by their tokens:", dict(sorted(sizes_of.items())))
whole = [n for n in numbers if len(gpt2.encode(f" {n}")) == 1]
years = sum(1800 <= n <= 2050 for n in whole)
print(f"{years} of GPT-2's {len(whole)} single tokens lie between 1800 and 2050")
print(cuts(gpt2, gpt2.encode("1234 + 1235 = 2469, 12345678")))

# %% [markdown]
# GPT-2 learned years as one token, because texts are full of them, and cuts the others wherever merges happen to end. Columns
# of digits do not line up, which makes adding needlessly hard. GPT-4's pattern cuts digits in threes, and leaves
# the space alone: a space, `123`, `4`.
#
# **A space at the end.** You write a prompt and end it with a space. What does the model get?

# %%
print("'The dog'  ", gpt2.encode("The dog"))
print("'The '     ", gpt2.encode("The "))
print("' ' + 'dog'", gpt2.encode(" ") + gpt2.encode("dog"))


# %% [markdown]
# After `The ` the space is used up: the model can no longer choose ` dog`, the token that it has nearly always seen there. It has to
# continue with `dog`, which hardly ever follows a lone space. So do not end a prompt with a space.
#
# **Half characters.** Some tokens are no text at all when they stand alone.

# %%
def is_text(token):
    try:
        return bool(token.decode("utf-8"))
    except UnicodeDecodeError:
        return False


broken = sum(not is_text(token) for token in gpt2.vocab.values())
looks = sum("\ufffd" in gpt2.decode([i]) for i in range(len(gpt2)))
print(broken, "tokens are not valid UTF-8 alone")
print(looks, "tokens show a �, so", looks - broken, "hold a real � from some web page")

# %% [markdown]
# **Names nobody writes.** ` SolidGoldMagikarp` is one token of GPT-2. It is the name of a user of a web forum, frequent in the
# texts that the *tokenizer* was trained on. The *model's* training text probably hardly had it, so its row of weights was hardly trained, and models behaved oddly
# when they met it (Rumbelow and Watkins 2023).

# %%
print(gpt2.encode(" SolidGoldMagikarp"), "against", gpt2.encode(" SolidGoldMagician"))

# %% [markdown]
# **Special tokens.** GPT-2 ends each document with `<|endoftext|>`, token 50256. It must never come from what a user types, or users
# could end documents at will. So it is ordinary text unless the program allows it.

# %%
print("typed:  ", gpt2.encode("<|endoftext|>"))
print("allowed:", gpt2.encode("<|endoftext|>", allowed_special={"<|endoftext|>"}))

# %% [markdown]
# ## From ids to vectors
#
# **Question.** An id is a name, not a quantity: token 5000 is not twice token 2500. What does the model do with it?
#
# It looks up a row in a table, the *embedding*: one row for each token, learned in training. Here is such a table with
# random numbers and 8 columns. GPT-2's smallest model has 768.

# %%
table = torch.randn(len(gpt2), 8, generator=generator(0))  # (V, d): vocabulary, width
ids = torch.tensor(gpt2.encode("the cat sat on the mat"))  # (T,): positions
vectors = table[ids]  # (T, d)
print(tuple(ids.shape), "->", tuple(vectors.shape))
print("both 'the' have the same vector:", torch.equal(vectors[0], vectors[4]))

# %% [markdown]
# Are the two *the* the same vector? The cell says no: the first has no space in front, so it is another token.
#
# **What do the rows cost?** The table has as many rows as the vocabulary. That is why the vocabulary cannot grow for ever.

# %%
for name, size in (("bytes only", 256), ("GPT-2", len(gpt2)), ("GPT-4", gpt4.n_vocab)):
    print(f"{name:<11} {size * 768 / 1e6:5.1f} million numbers in an embedding of width 768")

# %% [markdown]
# Everything after this, in every notebook that follows, works on these vectors. The text is gone.
#
# ## The vector of a token
#
# **Question.** You have just seen a table: token number 7 gets row 7. All other parts of a network multiply by
# matrices. Is a lookup something of another kind?
#
# Write the id as a *one-hot* vector: as many numbers as there are tokens, all 0, with a single 1 at the token's place.
# **Predict.** What is the product of a one-hot vector and a matrix?
#
# We give the same random numbers to torch's two layers: `Embedding` looks up, `Linear` multiplies.

# %%
V, d_model = 1000, 64  # tokens in the vocabulary, features of each vector
table = torch.randn(V, d_model, generator=generator(0))  # (V, d_model)
embedding, linear = nn.Embedding(V, d_model), nn.Linear(V, d_model, bias=False)
with torch.no_grad():
    embedding.weight.copy_(table)
    linear.weight.copy_(table.T)  # torch keeps it as (out, in): (d_model, V)

# %% [markdown]
# Shapes stand at the ends of lines, in letters: B sequences in a batch, T positions (tokens) in each.

# %%
ids = torch.randint(V, (4, 32), generator=generator(1))  # (B, T)
one_hot = F.one_hot(ids, V).float()  # (B, T, V)
looked_up, multiplied = embedding(ids), linear(one_hot)  # (B, T, d_model) each
apart = (looked_up - multiplied).abs().max().item()
print("largest difference:", round(apart, 5))

# %% [markdown]
# Equal. Every product but one is a product with 0, and adding zeros changes nothing. (We round to five digits, because a
# processor may compute products in a shorter format.)
#
# **Do they learn alike, too?** Any gradient that comes from above should change the same numbers.

# %%
pull = torch.randn(looked_up.shape, generator=generator(2))  # a gradient from above
(by_row,) = torch.autograd.grad((embedding(ids) * pull).sum(), embedding.weight)  # (V, d_model)
(by_matrix,) = torch.autograd.grad((linear(one_hot) * pull).sum(), linear.weight)  # (d_model, V)
torch.testing.assert_close(by_row, by_matrix.T)
used = (by_row != 0).any(1).sum().item()
print(used, "rows get a gradient;", ids.unique().numel(), "different tokens")

# %% [markdown]
# Only the rows of tokens that occurred. So why does anybody look up? **Predict** which is faster for the 50,257 tokens of
# GPT-2, and by what factor. Times are never the same twice, so the course claims nothing about them: the factor is that of
# your machine, now.

# %% tags=["nbval-ignore-output"]
large = torch.randn(50_257, d_model, generator=generator(3))  # (V, d_model)
few = torch.randint(50_257, (64,), generator=generator(4))  # (T,)
by_lookup = timed(lambda: large[few])
by_product = timed(lambda: F.one_hot(few, 50_257).float() @ large)
print(f"here the lookup was {by_product / by_lookup:,.0f} times as fast")

# %% [markdown]
# Work can be counted, and is the same everywhere. A FLOP is one multiplication or one addition of two numbers; torch counts
# those of matrix products.

# %%
with FlopCounterMode(display=False) as counter:
    F.one_hot(few, 50_257).float() @ large
product_flops = counter.get_total_flops()
with FlopCounterMode(display=False) as counter:
    large[few]
print(f"product: {product_flops / 1e6:.0f} million FLOP; lookup: {counter.get_total_flops()}")

# %% [markdown]
# An embedding *is* a linear layer. The lookup only leaves out the multiplications by 0.

# %%
claims.add(
    "A5", "nn.Embedding is a bias-free nn.Linear on one-hot vectors",
    source="lecture", published="equal", holds=apart < 1e-5,
    measured=f"largest difference {round(apart, 5):g}",
    reason="The gradients agree as well. The lookup leaves out the multiplications by 0: all of them.",
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
exercises.progress("tokenization")

# %% [markdown]
# **What this lesson leaves out.** Other ways to cut text exist: the unigram model of SentencePiece, and models that read bytes
# without any tokenizer. We trained on a quarter of a megabyte of English; GPT-2's merges come from many gigabytes of web pages.
#
# ## Further reading
#
# - Gage 1994, *A New Algorithm for Data Compression*, C Users Journal 12(2).
# - Sennrich, Haddow and Birch 2016, [Neural Machine Translation of Rare Words with Subword Units](https://arxiv.org/abs/1508.07909).
# - Radford and others 2019, [Language Models are Unsupervised Multitask Learners](https://cdn.openai.com/better-language-models/language_models_are_unsupervised_multitask_learners.pdf) (GPT-2), section 2.2.
# - Devlin and others 2019, [BERT](https://arxiv.org/abs/1810.04805); Wu and others 2016, [WordPiece in Google's translation system](https://arxiv.org/abs/1609.08144).
# - Petrov and others 2023, [Language Model Tokenizers Introduce Unfairness Between Languages](https://arxiv.org/abs/2305.15425).
# - Rumbelow and Watkins 2023, [SolidGoldMagikarp (plus, prompt generation)](https://www.lesswrong.com/posts/aPeJE8bSo6rAFoLqg/solidgoldmagikarp-plus-prompt-generation).
# - Zipf 1935, *The Psycho-Biology of Language*.
