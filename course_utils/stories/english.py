"""Real English to train on: the documentation of the installed libraries, and files of the Hugging Face hub."""

from __future__ import annotations

import ast
import inspect
import re
import sysconfig
import urllib.error
import urllib.request
import warnings
from collections.abc import Callable, Iterable, Sequence
from importlib.util import find_spec
from pathlib import Path

import huggingface_hub

DOCUMENTED = ("python", "numpy", "torch")
_SKIP = {"site-packages", "dist-packages", "test", "tests", "idlelib", "lib2to3", "ensurepip", "turtledemo", "_vendor"}


def docstrings(packages: Sequence[str] = DOCUMENTED, limit: int | None = None) -> str:
    """Return the documentation text of installed packages ("python" is the standard library), without importing them.

    Every docstring once, in the order of files and lines; the same for the same versions. limit: characters at most.
    Raises ValueError for a package that is not installed.

    >>> len(docstrings(["python"], limit=1000))
    1000
    """
    texts, size = {}, 0
    for name in packages:
        spec = None if name == "python" else find_spec(name)
        if name != "python" and (spec is None or spec.origin is None):
            raise ValueError(f"{name!r} is not installed; choose among installed packages, such as {DOCUMENTED}")
        root = Path(sysconfig.get_path("stdlib")) if spec is None else Path(spec.origin).parent
        for path in sorted(root.rglob("*.py"), key=lambda path: path.relative_to(root).as_posix()):
            if limit is not None and size > limit:
                break
            if not _SKIP & set(path.relative_to(root).parts):
                for text in _docstrings(path):
                    size += 0 if text in texts else len(text) + 2
                    texts[text] = None
    return "\n\n".join(texts)[:limit]


def _docstrings(path: Path) -> Iterable[str]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # old files hold invalid escapes
            todo = [ast.parse(path.read_bytes())]
    except (SyntaxError, ValueError):
        return
    while todo:
        node = todo.pop()
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            text = inspect.cleandoc(ast.get_docstring(node, clean=False) or "")
            if len(text) > 40:
                yield text
        todo += [child for child in getattr(node, "body", [])[::-1] if hasattr(child, "body")]


SAFE = (".txt", ".md", ".json", ".jsonl", ".csv", ".safetensors", ".model")


def hub_file(name: str, revision: str, file: str, kind: str = "dataset", timeout: float = 10.0) -> Path:
    """Download one file of a repository of the Hugging Face hub, or find it among those already downloaded.

    name: "owner/repository"; revision: the full commit hash; kind: "dataset" or "model"; timeout: seconds to wait.
    Raises ValueError for a revision that may move (a branch, a tag, a short hash) and for files that can run code;
    ConnectionError, with what to do, where the hub does not answer or refuses.

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
    except Exception as error:  # no network, time-out, refused: each library on the way has its own kinds
        why = {401: "private or gated", 403: "gated", 404: "no such file", 429: "too many requests"}
        raise ConnectionError(
            f"could not get {file} of {name} from the hub: {why.get(getattr(error, 'code', None), error)}. Check the "
            "name and the network, or go on without it: docstrings() and stories() need no network."
        ) from error


def hub(
    name: str, revision: str, file: str, fallback: Callable[[], str] = docstrings, kind="dataset", timeout: float = 10.0
) -> str:
    """Return the text of a file of the hub (see hub_file), or fallback() with a warning where it cannot be had.

    >>> hub("roneneldan/TinyStories", "main", "TinyStories-valid.txt")
    Traceback (most recent call last):
    ValueError: revision is 'main': give the full commit hash (40 hex digits), since branches and tags move
    """
    try:
        return hub_file(name, revision, file, kind, timeout).read_text(encoding="utf-8")
    except ConnectionError as error:
        warnings.warn(f"{error} Using {getattr(fallback, '__name__', 'the fallback')}() instead.", stacklevel=2)
        return fallback()
