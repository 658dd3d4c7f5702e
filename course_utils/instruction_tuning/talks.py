"""Talks of several turns: the template that writes one as text, by hand and in a tokenizer of
`transformers`; and questions that follow one another about one story.

A message is a dict with "role" and "content", as everywhere in `transformers`.
"""

from __future__ import annotations

from collections.abc import Sequence
from string import ascii_uppercase

from tokenizers import Regex, Tokenizer
from tokenizers.models import WordLevel
from tokenizers.normalizers import Replace
from tokenizers.normalizers import Sequence as Steps
from tokenizers.pre_tokenizers import Sequence as Both
from tokenizers.pre_tokenizers import Split, WhitespaceSplit
from transformers import PreTrainedTokenizerFast

from course_utils.instruction_tuning.chat import (
    CHAT_ID,
    CHAT_VOCAB,
    ROLES,
    SPECIAL,
    TEXTS,
    print_words,
    split_words,
)
from course_utils.instruction_tuning.tasks import Task, told
from course_utils.stories.corpus import ID

Message = dict[str, str]

# What stands between `generation` and `endgeneration` is what the assistant has to learn.
TEMPLATE = (
    "{% for message in messages %}{{ '' if loop.first else ' ' }}<{{ message['role'] }}> "
    "{% if message['role'] == 'assistant' %}"
    "{% generation %}{{ message['content'] }} <end of turn>{% endgeneration %}"
    "{% else %}{{ message['content'] }} <end of turn>{% endif %}"
    "{% endfor %}{{ ' <assistant>' if add_generation_prompt else '' }}"
)


def write_chat(messages: Sequence[Message], add_generation_prompt: bool = True) -> str:
    """Write a talk as one text: for each message <role>, its content, <end of turn>, with single
    blanks between.

    add_generation_prompt: <assistant> stands at the very end, so that the model answers next.
    Raises: ValueError for a role that is not system, user or assistant, and for a content that
    holds one of the special tokens <system>, <user>, <assistant>, <end of turn>.
    Source: Hugging Face, transformers, "Chat templates".

    >>> write_chat([{"role": "user", "content": "Who has the ball?"}])
    '<user> Who has the ball? <end of turn> <assistant>'
    """
    pieces = []
    for message in messages:
        if message["role"] not in ROLES:
            raise ValueError(f"there is no role {message['role']!r}")
        if any(token in message["content"] for token in SPECIAL):
            raise ValueError("a content holds a special token; only the template may write one")
        pieces += [f"<{message['role']}>", message["content"], "<end of turn>"]
    return " ".join(pieces + ["<assistant>"] * add_generation_prompt)


def chat_tokenizer() -> PreTrainedTokenizerFast:
    """The chat's words as a tokenizer of `transformers`, with its template; made here, without a
    network.

    >>> tokenizer = chat_tokenizer()
    >>> tokenizer.apply_chat_template([{"role": "user", "content": "Who?"}], tokenize=False)
    '<user> Who? <end of turn>'
    """
    words = Tokenizer(WordLevel(CHAT_ID, unk_token=CHAT_VOCAB[0]))
    words.normalizer = Steps([_small(letter) for letter in ascii_uppercase])
    words.pre_tokenizer = Both([WhitespaceSplit(), Split(Regex(r"[^\s\w]"), "isolated")])
    words.add_special_tokens(list(SPECIAL))
    return PreTrainedTokenizerFast(tokenizer_object=words, chat_template=TEMPLATE)


def _small(letter: str) -> Replace:
    """This capital becomes small at the beginning of a word, unless the word is a name."""
    names = [word[1:] for word in CHAT_VOCAB if word[:1] == letter]
    other = f"(?!(?:{'|'.join(names)})\\b)" if names else ""
    return Replace(Regex(rf"\b{letter}{other}"), letter.lower())


# --- Questions that follow one another ------------------------------------------------------------


def as_messages(task: Task, answer: str | None = None) -> list[Message]:
    """A task as messages; with an answer, the assistant's message stands last.

    >>> from course_utils.instruction_tuning import instructions
    >>> task = instructions(seed=0, n=1, tasks=["refuse"])[0]
    >>> [message["role"] for message in as_messages(task, task.answer)]
    ['user', 'assistant']
    """
    said = [] if answer is None else [("assistant", answer)]
    return [{"role": role, "content": text} for role, text in [*task.turns, *said]]


def follow_ups(task: Task) -> list[Task]:
    """Three questions about the story of a *who* task, to be asked one after the other: who has the
    toy, what happened last, where are they.

    The user's text of the second and the third is the question alone: the story stands in the first
    turn.
    Raises: ValueError for a task of another kind.

    >>> from course_utils.instruction_tuning import instructions
    >>> task = instructions(seed=0, n=1, tasks=["who"])[0]
    >>> [next.answer for next in follow_ups(task)]
    ['Tom has the boat.', 'They went home.', 'They are at home.']
    """
    if task.name != "who":
        raise ValueError(f"{task.name} is no question of who: the others need not have an event")
    facts = task.facts
    number = len(facts["story"])  # which wording: steady for a story, and different for others
    last = told(facts["events"], facts["toy"])[-1]
    place = facts["place"]
    where = "they are at home ." if place == "home" else f"they are at the {place} ."

    def ask(kind: str) -> str:
        wordings = TEXTS[kind]["train"]
        return wordings[number % len(wordings)].format(hero=facts["hero"], friend=facts["friend"])

    def follow(name: str, kind: str, answer: str, **more: object) -> Task:
        said = print_words(split_words(answer))
        return Task(name, "", ask(kind), said, facts | {"kind": kind} | more)

    return [
        task,
        follow("happened", "happened_last", last[0], target=last),
        follow("where", "where_they", where),
    ]


def talk_of(tasks: Sequence[Task], last_answer: bool = False) -> list[Message]:
    """One talk of these tasks: all are answered well but the last, which waits for its answer.

    last_answer: the last is answered, too, as a talk to learn from.

    >>> from course_utils.instruction_tuning import instructions
    >>> task = instructions(seed=0, n=1, tasks=["who"])[0]
    >>> len(talk_of(follow_ups(task))), len(talk_of(follow_ups(task), last_answer=True))
    (5, 6)
    """
    messages = [message for task in tasks for message in as_messages(task, task.answer)]
    return messages if last_answer else messages[:-1]


def with_story(task: Task) -> Task:
    """A follow-up as a first question: the story stands before it, as in training.

    >>> from course_utils.instruction_tuning import instructions
    >>> last = follow_ups(instructions(seed=0, n=1, tasks=["who"])[0])[-1]
    >>> last.user, len(with_story(last).user) > 200
    ('At what place are they now?', True)
    """
    words = [*task.facts["story"], *split_words(task.user)]
    return Task(task.name, "", print_words(words), task.answer, task.facts)


def toys_not_in(task: Task) -> list[str]:
    """The toys that a story could have had and has not.

    >>> from course_utils.instruction_tuning import instructions
    >>> task = instructions(seed=0, n=1, tasks=["who"])[0]
    >>> task.facts["toy"], toys_not_in(task)[:3], "boat" in toys_not_in(task)
    ('boat', ['ball', 'kite', 'doll'], False)
    """
    return [toy for toy in TEXTS["topics"]["toy"] if toy in ID and toy not in task.facts["story"]]


def about_another_toy(task: Task, number: int) -> Task:
    """The question of a *who* task about a toy that its story does not have.

    number: which of these toys. A good answer names no child: "Nobody has the kite."

    >>> from course_utils.instruction_tuning import instructions
    >>> task = instructions(seed=0, n=1, tasks=["who"])[0]
    >>> about_another_toy(task, 1).user[-21:]
    'Who has the kite now?'
    """
    toys = toys_not_in(task)
    other = toys[number % len(toys)]
    wordings = [text for text in TEXTS["who"]["train"] if "{toy}" in text]
    question = wordings[number % len(wordings)].format(toy=other)
    words = [*task.facts["story"], *split_words(question)]
    facts = task.facts | {"holder": None, "toy": other}
    return Task("who", "", print_words(words), f"Nobody has the {other}.", facts)
