"""Instructions over generated stories, whose answers a program can check; and the chat that they
are written in.

A task shows the beginning of a story and asks about it, asks about a topic that may be forbidden,
or for a secret word. Its answer can be graded because the generator knows the truth. The wordings
are in the room's assets/instructions.toml; the chat that they are written in is
`instruction_tuning.chat`'s.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from torch import Tensor

from course_utils.instruction_tuning.chat import (
    REFUSAL,
    TEXTS,
    encode_chat,
    print_words,
    split_words,
)
from course_utils.stories.grammar import BOYS, END, GIRLS, Event, Teller

TASKS = ("who", "where", "happened", "retell", "continue", "refuse", "secret")
SPLITS = ("train", "held-out templates", "held-out names")
FORBIDDEN = ("food", "castle", "school")  # themes
THEME = {word: theme for theme, words in TEXTS["topics"].items() for word in words}

# --- Tasks ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Task:
    """One instruction: what the system and the user say, a good answer, and the facts that `grade`
    goes by.

    name is one of TASKS; system may be empty. facts: story (the excerpt's words), events, holder,
    place, spot, hero, friend, toy, ..., target (the event asked for), topic, secret, asked,
    permitted; as far as the task needs them.

    >>> from course_utils.instruction_tuning import decode_chat
    >>> task = Task("refuse", "", "Tell me about the castle.", REFUSAL, {"topic": "castle"})
    >>> decode_chat(task.prompt)
    '<user> Tell me about the castle. <end of turn> <assistant>'
    >>> decode_chat(task.ids[len(task.prompt) :])
    'I am sorry, I must not talk about that. <end of turn>'
    """

    name: str
    system: str
    user: str
    answer: str
    facts: dict = field(repr=False)

    @property
    def turns(self) -> list[tuple[str, str]]:
        return [("system", self.system)] * bool(self.system) + [("user", self.user)]

    @property
    def prompt(self) -> Tensor:
        return encode_chat(self.turns)  # (T,), ends with <assistant>

    @property
    def ids(self) -> Tensor:
        # (T,), ends with <end of turn>
        return encode_chat([*self.turns, ("assistant", self.answer)])


def event_sentences(event: Event, toy: str, found: bool = False) -> list[str]:
    """Say in plain words what happened; the first is how our answers say it, all of them are true.

    found: nobody had the toy before.

    >>> event_sentences(Event(9, "give", "Tom", "Mia", "home", None), "ball")
    ['Tom gave the ball to Mia .', 'Tom gave Mia the ball .']
    """
    who = event.who
    what = event.what
    if what == "give":
        return [
            f"{who} gave the {toy} to {event.holder} .",
            f"{who} gave {event.holder} the {toy} .",
        ]
    if what == "take":
        return [
            f"{who} {verb} the {toy} ."
            for verb in (["found", "picked up"] if found else []) + ["took"]
        ]
    if what == "drop":
        return [
            f"{who} left the {toy} {event.spot} .",
            f"{who} left the {toy} .",
            f"{who} lost the {toy} .",
        ]
    where = "home" if event.place == "home" else f"to the {event.place}"
    return [f"they went {where} .", f"they walked {where} ."]


def told(events: Sequence[Event], toy: str) -> list[list[str]]:
    """`event_sentences` of each event of a story.

    >>> told([Event(9, "take", "Tom", "Tom", "home", None)], "ball")
    [['Tom took the ball .']]
    """
    found = [False] + [event.holder is None for event in events]
    return [event_sentences(event, toy, lost) for event, lost in zip(events, found, strict=False)]


class Excerpt:
    """The beginning of a story, cut at a sentence's end: 48 to 80 words; what is true there, and
    the sentence after it.

    words, next          the excerpt and the sentence after it, as tokens of the stories
    facts                hero, friend, toy, colour, ...: the words that the story goes by
    events               what has happened to the toy and the place, `stories.grammar.Event`s
    holder, place, spot  who has the toy (None: nobody), where everyone is, where the toy lies
    names(hero, friend)  says whether a story of these two may be told

    >>> excerpt = Excerpt(random.Random(0), names=lambda hero, friend: hero != friend)
    >>> (
    ...     print_words(excerpt.words)[-26:],
    ...     print_words(excerpt.next),
    ...     excerpt.holder == excerpt.facts["hero"],
    ... )
    ('They enjoyed some berries.', 'Soon Igor asked Max for the robot.', True)
    """

    def __init__(self, rng: random.Random, names: Callable[[str], bool]):
        while not self._tell(rng, names):
            pass

    def _tell(self, rng: random.Random, names: Callable[[str], bool]) -> bool:
        teller = Teller(rng)
        length = rng.randint(48, 72)
        words = []
        if not _sentence(teller, words, length) or len(words) > 80:
            return False
        self.words = tuple(words)
        self.events = tuple(teller.events)
        self.facts = dict(teller.words)
        self.holder = teller.words.get(teller.plot.toy)
        self.place = teller.place
        self.spot = self.events[-1].spot if self.events else None
        if not names(self.facts["hero"], self.facts["friend"]) or not _sentence(
            teller, words, len(words) + 1
        ):
            return False
        self.next = tuple(words[len(self.words) :])
        return True


def _sentence(teller: Teller, words: list[str], length: int) -> bool:
    """Tell words until a sentence ends and there are at least `length`; False where the story ends
    before.
    """
    inside = False
    while True:
        word = teller.step()[0]
        before = words[-1:]
        if word == END:
            return False
        words.append(word)
        inside = (inside or word == "“") and word != "”"
        over = word in ".?!" and not inside
        over |= word == "”" and before[0] in ".?!" and "said" not in teller.next_tokens()
        if over and len(words) >= length:
            return True


def instructions(
    seed: int,
    n: int,
    split: str = "train",
    tasks: Sequence[str] = TASKS,
    templates: int | None = None,
) -> list[Task]:
    """Return n tasks, the kinds in turn; one seed gives one list, and the splits share nothing that
    is held out.

    split: "train", "held-out templates" (the wordings), or "held-out names" (people, topics, secret
    words).
    templates: use only so many of the training wordings of each kind.
    Raises: ValueError for an unknown split or task, for n or templates below 1.

    >>> from course_utils.instruction_tuning import grade
    >>> task = instructions(seed=0, n=1, tasks=["who"])[0]
    >>> task.user[-50:], task.answer, grade(task, task.answer), grade(task, "Nobody has it.")
    ('hey walked home quietly. Tell me who has the boat.', 'Tom has the boat.', True, False)
    """
    if split not in SPLITS:
        raise ValueError(f"there is no split {split!r}: choose one of {', '.join(SPLITS)}")
    unknown = [name for name in tasks if name not in TASKS]
    if unknown or not tasks or isinstance(tasks, str):
        raise ValueError(f"tasks = {tasks!r}: give a list of one or more of {', '.join(TASKS)}")
    if n < 1 or (templates is not None and templates < 1):
        raise ValueError(f"n = {n}, templates = {templates}: both must be 1 or more")
    maker = _Maker(random.Random(f"{split} {seed}"), split, templates)
    return [maker.make(tasks[i % len(tasks)]) for i in range(n)]


class _Maker:
    """Makes one task of a kind at a time."""

    def __init__(self, rng: random.Random, split: str, templates: int | None):
        self.rng = rng
        self.split = split
        self.templates = templates
        held = TEXTS["words"]
        new = split == "held-out names"
        self.names = lambda *names: any(name in held["names"] for name in names) == new
        self.topics = [topic for topic in THEME if (topic in held["held_out_topics"]) == new]
        self.secrets = [
            word for word in held["secrets"] if (word in held["held_out_secrets"]) == new
        ]

    def make(self, kind: str) -> Task:
        """A task of one of TASKS."""
        makers = {
            "who": self.who,
            "where": self.where,
            "happened": self.happened,
            "retell": self.retell,
            "continue": self.go_on,
            "refuse": self.refuse,
            "secret": self.secret,
        }
        return makers[kind]()

    def say(self, kind: str, **words: str) -> str:
        """A wording of this kind, filled in."""
        entry = TEXTS[kind]["held_out" if self.split == "held-out templates" else "train"]
        return self.rng.choice(entry[: self.templates]).format(**words)

    def excerpt(self, good: Callable[[Excerpt], object]) -> Excerpt:
        while not good(found := Excerpt(self.rng, self.names)):
            pass
        return found

    def task(self, name: str, story: Excerpt, question: str, answer: str, **facts) -> Task:
        facts |= story.facts | {"holder": story.holder, "place": story.place, "spot": story.spot, "story": story.words,
                                "events": story.events}  # fmt: skip
        return Task(
            name,
            "",
            print_words([*story.words, *split_words(question)]),
            print_words(split_words(answer)),
            facts,
        )

    def who(self) -> Task:
        wanted = self.rng.choices(("hero", "friend", None), (2, 2, 1))[0]
        story = self.excerpt(lambda story: story.events and story.holder == story.facts.get(wanted))
        toy = story.facts["toy"]
        return self.task(
            "who", story, self.say("who", toy=toy), f"{story.holder or 'nobody'} has the {toy} ."
        )

    def where(self) -> Task:
        lost = self.rng.random() < 0.3
        away = self.rng.random() < 0.6
        story = self.excerpt(
            lambda story: (
                story.holder is None if lost else story.events and (story.place != "home") == away
            )
        )
        kind = "where_they"
        answer = (
            "they are at home ." if story.place == "home" else f"they are at the {story.place} ."
        )
        if lost:
            kind = "where_toy"
            answer = f"it is {story.spot} ."
        return self.task("where", story, self.say(kind, **_fill(story.facts)), answer, kind=kind)

    def happened(self) -> Task:
        story = self.excerpt(lambda story: story.events)
        texts = told(story.events, story.facts["toy"])
        kind = "happened_last"
        target = -1
        event = ""
        once = [i for i, one in enumerate(texts[:-1]) if texts.count(one) == 1]
        if once and self.rng.random() < 0.7:
            kind = "happened_next"
            target = self.rng.choice(once) + 1
            event = texts[target - 1][0]
        return self.task(
            "happened",
            story,
            self.say(kind, event=event),
            texts[target][0],
            target=texts[target],
            kind=kind,
        )

    def retell(self) -> Task:
        story = self.excerpt(lambda story: story.events)
        texts = ["{hero} had a {colour} {toy} .".format(**_fill(story.facts))]
        for event in told(story.events, story.facts["toy"])[::-1]:
            if 3 * len(" ".join([*texts, event[0]]).split()) < len(story.words):
                texts.insert(1, event[0])
        return self.task("retell", story, self.say("retell"), " ".join(texts))

    def go_on(self) -> Task:
        story = self.excerpt(lambda story: True)
        return self.task("continue", story, self.say("continue"), " ".join(story.next))

    def refuse(self) -> Task:
        theme = self.rng.choice(
            FORBIDDEN
            if self.rng.random() < 0.5
            else [t for t in TEXTS["topics"] if t not in FORBIDDEN]
        )
        topic = self.rng.choice([word for word in self.topics if THEME[word] == theme])
        name, colour = (
            self.rng.choice(words) for words in (GIRLS + BOYS, ("red", "blue", "green", "white"))
        )
        answer = {
            "animal": f"{name} saw a {topic} .",
            "toy": f"{name} had a {colour} {topic} .",
            "place": f"they walked to the {topic} .",
        }.get(theme, REFUSAL)
        return Task(
            "refuse",
            "",
            self.say("refuse", topic=topic),
            print_words(split_words(answer)),
            {"topic": topic},
        )

    def secret(self) -> Task:
        word = self.rng.choice(self.secrets)
        dice = self.rng.random()
        permitted = dice < 0.35 or 0.85 < dice
        asked = dice < 0.7
        system = print_words(
            split_words(self.say("permit" if permitted else "forbid", secret=word))
        )
        task = (self.who if self.rng.random() < 0.5 else self.refuse)()
        user = task.user
        answer = task.answer
        if asked:
            user = self.say("ask_secret")
            answer = f"The secret word is {word}."
        facts = task.facts | {"secret": word, "asked": asked, "permitted": permitted, "other": task}
        return Task("secret", system, user, answer if permitted or not asked else REFUSAL, facts)


def _fill(facts: dict) -> dict:
    return {key: facts[key] for key in ("hero", "friend", "toy", "colour")}
