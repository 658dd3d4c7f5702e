"""Real English to train on: two stored texts from Python's documentation, and files of the Hugging
Face hub.
"""

from __future__ import annotations

import gzip
import hashlib
import re
import urllib.error
import urllib.request
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path

import huggingface_hub

from course_utils import assets

# Python 3.11.7's, stored by tools/record/store_documentation.py: the standard library of another
# version holds other texts.
SHA256 = {
    "manual": "2a95af4ac93f5b719944030ce3769070ddf827d847cba42192afa8da989e5dc4",
    "documentation": "1b996cae5d1acd0c7ef46ea1a1f083f40c8b1983dd622f4e7760859cbb7b1ce7",
}


def manual() -> str:
    """Return the help texts of the Python language, as `help("topics")` of Python 3.11.7 shows
    them: English prose.

    465,048 characters; the same on every machine. Licence: assets/python_licence.txt. Raises
    ValueError where the stored file is damaged.

    >>> len(manual()), manual()[:22]
    (465048, 'The "assert" statement')
    """
    return _stored("manual")


def documentation() -> str:
    """Return the docstrings of Python 3.11.7's standard library, in the order of files and lines:
    English and code.

    1,575,565 characters; the same on every machine. Licence: assets/python_licence.txt. Raises
    ValueError where the stored file is damaged.

    >>> len(documentation()), documentation()[:55]
    (1575565, 'Record of phased-in incompatible language changes.\\n\\nEac')
    """
    return _stored("documentation")


def _stored(name: str) -> str:
    path = assets.path(f"stories/python_{name}.txt.gz")
    try:
        data = gzip.decompress(path.read_bytes())
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"{path} cannot be read ({error}): install the course again") from error
    if hashlib.sha256(data).hexdigest() != SHA256[name]:
        raise ValueError(
            f"{path} is not the text that the course was made with: install the course again"
        )
    return data.decode("utf-8")


SAFE = (".txt", ".md", ".json", ".jsonl", ".csv", ".safetensors", ".model")


def hub_file(
    name: str, revision: str, file: str, kind: str = "dataset", timeout: float = 10.0
) -> Path:
    """Download one file of a repository of the Hugging Face hub, or find it among those already
    downloaded.

    name: "owner/repository"; revision: the full commit hash; kind: "dataset" or "model"; timeout:
    seconds to wait. Raises ValueError for a revision that may move (a branch, a tag, a short hash)
    and for files that can run code; ConnectionError, with what to do, where the hub does not answer
    or refuses.

    >>> hub_file("openai-community/gpt2", "607a30d783dfa663caf39e06633721c8d4cfcd7e", "pytorch_model.bin", "model")
    Traceback (most recent call last):
    ValueError: 'pytorch_model.bin' may hold code that runs when it is loaded; only .txt, .md, .json, .jsonl, .csv, \
.safetensors, .model files are downloaded
    """
    if not re.fullmatch(r"[0-9a-f]{40}", revision):
        raise ValueError(
            f"revision is {revision!r}: give the full commit hash (40 hex digits), since branches and tags move"
        )
    if not file.endswith(SAFE):
        raise ValueError(
            f"{file!r} may hold code that runs when it is loaded; only {', '.join(SAFE)} files are downloaded"
        )
    if kind not in ("dataset", "model"):
        raise ValueError(f'kind is {kind!r}: it is "dataset" or "model"')
    where = {"repo_id": name, "filename": file, "revision": revision, "repo_type": kind}
    cached = huggingface_hub.try_to_load_from_cache(**where)
    if isinstance(cached, str):
        return Path(cached)
    try:  # ask once, shortly: the library itself tries again for half a minute
        head = urllib.request.Request(huggingface_hub.hf_hub_url(**where), method="HEAD")
        urllib.request.urlopen(head, timeout=timeout).close()
        return Path(huggingface_hub.hf_hub_download(**where, etag_timeout=timeout))
    except ValueError:  # an impossible name: the library says which
        raise
    # no network, time-out, refused: each library on the way has its own kinds
    except Exception as error:
        why = {401: "private or gated", 403: "gated", 404: "no such file", 429: "too many requests"}
        raise ConnectionError(
            f"could not get {file} of {name} from the hub: {why.get(getattr(error, 'code', None), error)}. Check the "
            "name and the network, or go on without it: documentation() and stories() need no network."
        ) from error


def hub(
    name: str,
    revision: str,
    file: str,
    fallback: Callable[[], str] = documentation,
    kind: str = "dataset",
    timeout: float = 10.0,
) -> str:
    """Return the text of a file of the hub (see hub_file), or fallback() with a warning where it
    cannot be had.

    >>> hub("roneneldan/TinyStories", "main", "TinyStories-valid.txt")
    Traceback (most recent call last):
    ValueError: revision is 'main': give the full commit hash (40 hex digits), since branches and tags move
    """
    try:
        return hub_file(name, revision, file, kind, timeout).read_text(encoding="utf-8")
    except ConnectionError as error:
        warnings.warn(
            f"{error} Using {getattr(fallback, '__name__', 'the fallback')}() instead.",
            stacklevel=2,
        )
        return fallback()
