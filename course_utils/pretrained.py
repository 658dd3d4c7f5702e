"""The course's trained models by name, with their words: the storyteller, the assistant, or
OpenAI's GPT-2 where the hub is reached.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from course_utils import assets
from course_utils.gpt2.model import GPT
from course_utils.stories.corpus import decode_words, encode_words, stories
from course_utils.stories.english import documentation
from course_utils.stories.grammar import VOCAB
from course_utils.tokenization.published import gpt2_tokenizer

UNSEEN = 1_000_003  # the seed of stories that the storyteller was not trained on
STORYTELLER = assets.path("gpt2/storyteller.safetensors")
ASSISTANT_FILE = assets.path("instruction_tuning/assistant.safetensors")
T = 256  # tokens that a window asks the model to predict


@dataclass(frozen=True)
class Trained:
    """A trained model and what it takes to talk to it.

    model    in evaluation mode windows  (n, T + 1) int64: text that it was not trained on (as far
    as anybody knows), each row by itself best     the loss of a perfect model on the windows in
    nats, where it is known encode   text -> ids (n,) decode   ids (n,) -> text words    one text a
    token, in the order of the ids note     which model this is, and why

    >>> talker = trained(n_windows=2)
    >>> inputs, targets = talker.batches[0]
    >>> inputs.shape, round(talker.best, 1), [talker.words[i] for i in talker.encode("Tom smiled.")]
    (torch.Size([2, 256]), 0.8, ['Tom', 'smiled', '.'])
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


def trained(
    published: bool = False, name: str = "gpt2", n_windows: int = 8, timeout: float = 10.0
) -> Trained:
    """The storyteller; or, if `published`, OpenAI's GPT-2 with its own tokens, if the hub answers
    within `timeout`.

    Without an answer it is the storyteller, and the note says why. Its windows are unseen stories
    from their first word on, those of GPT-2 are Python's documentation.

    >>> talker = trained()
    >>> talker.note, talker.windows.shape, talker.decode(talker.encode("Once upon a time"))
    ('the storyteller, which comes with the course', torch.Size([8, 257]), 'Once upon a time')
    """
    if not published:
        return _storyteller("the storyteller, which comes with the course", n_windows)
    try:
        model = GPT.from_pretrained(name, timeout=timeout).eval()
    except ConnectionError as error:
        return _storyteller(
            f"the storyteller, because the hub was not reached ({error})", n_windows
        )
    tokenizer = gpt2_tokenizer()

    def encode(text: str) -> Tensor:
        return torch.tensor(tokenizer(text)["input_ids"], dtype=torch.long)

    ids = encode(documentation()[: 8 * n_windows * (T + 1)])  # a token has 3 to 5 characters here
    return Trained(
        model,
        ids[: n_windows * (T + 1)].view(n_windows, T + 1),
        None,
        encode,
        lambda ids: tokenizer.decode(torch.as_tensor(ids).tolist()),
        [tokenizer.decode([i]) for i in range(len(tokenizer))],
        f"{name}, as OpenAI published it",
    )


def _storyteller(note: str, n_windows: int) -> Trained:
    windows, nats = stories(UNSEEN, n_windows * 1000).windows(T, n_windows)
    best = nats[:, 1:].mean().item()
    return Trained(storyteller(), windows, best, encode_words, decode_words, list(VOCAB), note)


def storyteller() -> GPT:
    """The small GPT-2 that comes with the course, trained on `stories.corpus.stories` by
    tools/record/train_storyteller.py.

    Its tokens are the words of `stories.VOCAB`; `stories.encode_words` and `decode_words` go with
    it.

    >>> storyteller().config.vocab_size
    699
    """
    return GPT.load(STORYTELLER).eval()


def assistant() -> GPT:
    """Return the storyteller that was taught to answer: all weights fine-tuned by
    tools/record/train_assistant.py.

    >>> assistant().config.vocab_size  # the storyteller's 699 words, 4 special tokens, 31 words of the tasks
    734
    """
    return GPT.load(ASSISTANT_FILE).eval()
