"""A trained GPT-2 to experiment on, with its words: the storyteller of this course, or OpenAI's where the hub is reached."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from course_utils.corpus import VOCAB, decode_words, encode_words, stories
from course_utils.gpt2 import GPT, storyteller
from course_utils.texts import documentation
from course_utils.tokenizer_files import gpt2_tokenizer

UNSEEN = 1_000_003  # the seed of stories that the storyteller was not trained on
T = 256  # tokens that a window asks the model to predict


@dataclass(frozen=True)
class Trained:
    """A trained model and what it takes to talk to it.

    model    in evaluation mode
    windows  (n, T + 1) int64: text that it was not trained on (as far as anybody knows), each row by itself
    best     the loss of a perfect model on the windows in nats, where it is known
    encode   text -> ids (n,)
    decode   ids (n,) -> text
    words    one text a token, in the order of the ids
    note     which model this is, and why
    """

    model: GPT
    windows: Tensor
    best: float | None
    encode: Callable[[str], Tensor]
    decode: Callable[[Tensor], str]
    words: list[str]
    note: str

    @property
    def batches(self) -> list[tuple[Tensor, Tensor]]:
        """The windows as inputs and targets, (n, T) each, for `training.evaluate`."""
        return [(self.windows[:, :-1], self.windows[:, 1:])]


def trained(published: bool = False, name: str = "gpt2", n_windows: int = 8, timeout: float = 10.0) -> Trained:
    """The storyteller; or, if `published`, OpenAI's GPT-2 with its own tokens, if the hub answers within `timeout`.

    Without an answer it is the storyteller, and the note says why. Its windows are unseen stories from their first word
    on, those of GPT-2 are Python's documentation.

    >>> talker = trained()
    >>> talker.note, talker.windows.shape, talker.decode(talker.encode("Once upon a time"))
    ('the storyteller, which comes with the course', torch.Size([8, 257]), 'Once upon a time')
    """
    if not published:
        return _storyteller("the storyteller, which comes with the course", n_windows)
    try:
        model = GPT.from_pretrained(name, timeout=timeout).eval()
    except ConnectionError as error:
        return _storyteller(f"the storyteller, because the hub was not reached ({error})", n_windows)
    tokenizer = gpt2_tokenizer()

    def encode(text: str) -> Tensor:
        return torch.tensor(tokenizer(text)["input_ids"], dtype=torch.long)

    ids = encode(documentation()[: 8 * n_windows * (T + 1)])  # a token has 3 to 5 characters here
    return Trained(model, ids[: n_windows * (T + 1)].view(n_windows, T + 1), None, encode,
                   lambda ids: tokenizer.decode(torch.as_tensor(ids).tolist()),
                   [tokenizer.decode([i]) for i in range(len(tokenizer))],
                   f"{name}, as OpenAI published it")  # fmt: skip


def _storyteller(note: str, n_windows: int) -> Trained:
    windows, nats = stories(UNSEEN, n_windows * 1000).windows(T, n_windows)
    best = nats[:, 1:].mean().item()
    return Trained(storyteller(), windows, best, encode_words, decode_words, list(VOCAB), note)  # fmt: skip
