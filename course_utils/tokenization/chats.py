"""A conversation as one row of ids: lesson 01."""

from collections.abc import Callable, Mapping, Sequence


def chat_ids(
    messages: Sequence[tuple[str, str]],
    encode: Callable[[str], list[int]],
    special: Mapping[str, int],
) -> list[int]:
    """Turns messages into ids: <|start|>role<|message|>text<|end|> each, then <|start|>assistant.

    messages: (role, text) each. encode: turns ordinary text into ids; call it for each role and
    each text alone. special: the ids of the special tokens. Source: OpenAI, harmony.

    >>> special = {"<|start|>": 1, "<|message|>": 2, "<|end|>": 3}
    >>> chat_ids([("user", "Hi"), ("assistant", "Yo")], lambda text: [len(text)], special)
    [1, 4, 2, 2, 3, 1, 9, 2, 2, 3, 1, 9]
    """
    ids = []
    for role, text in messages:
        ids += [special["<|start|>"], *encode(role), special["<|message|>"]]
        ids += [*encode(text), special["<|end|>"]]
    return [*ids, special["<|start|>"], *encode("assistant")]
