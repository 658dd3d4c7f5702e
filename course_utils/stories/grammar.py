"""Tells small English stories by a probabilistic grammar, reads them, and knows their entropy
exactly.

The grammar is the room's assets/stories.txt. Two of its properties make the entropy exact:
1. The alternatives at a fork begin with different tokens. So a text tells which were taken, and its -log p is a sum over
   its forks.
2. How a story may go on depends on the plot alone (who acts, who has the toy, at home or away); its words on the place.
   So the expected entropy is a sum over a few plots; `stories.corpus` takes it.
"""

from __future__ import annotations

import math
import random
import re
from bisect import bisect
from collections import Counter, defaultdict
from collections.abc import Iterable
from functools import cache
from itertools import accumulate, chain
from typing import NamedTuple

import numpy as np

from course_utils import assets

END = "<end>"
GRAMMAR = assets.read_text("stories/stories.txt")


class Plot(NamedTuple):
    """What decides how a story may go on: who acts, who has the toy or where it lies, where
    everyone is and was.

    >>> Plot(toy="here", at="away").move()  # the toy was lost out there, and they go home
    Plot(actor='both', toy='gone', at='home', been=True)
    """

    actor: str = "both"  # hero, friend, both
    toy: str = "hero"  # hero, friend, here (lost at this place), gone (lost at the other place)
    at: str = "home"  # home, away
    been: bool = False  # have they been away?

    @property
    def other(self) -> str:
        return "hero" if self.actor == "friend" else "friend"

    def move(self) -> Plot:
        """Everyone goes home, or away; what was lost here is then lost elsewhere."""
        toy = {"here": "gone", "gone": "here"}.get(self.toy, self.toy)
        return Plot(self.actor, toy, "away" if self.at == "home" else "home", True)

    def form(self, rule: str, world: str) -> str:
        """The form that a rule takes in this plot: `do.toy` is `do.has` where the actor has the
        toy.
        """
        base, _, kind = rule.partition(".")
        # `who`: one or both act; `toy`: the actor has it, the other, both, or nobody; `way`: where
        # to go next; `end`: a story may end only at home, after a walk, with nothing lost.
        both = self.actor == "both"
        lost = self.toy in ("here", "gone")
        home = self.at == "home"
        if lost:
            toy = self.toy
        elif both:
            toy = "ours"
        else:
            toy = "has" if self.toy == self.actor else "not"
        if home:
            way = "back" if self.toy == "gone" else "out"
        else:
            way = "away"
        forms = {
            "world": world,
            "at": self.at,
            "who": "both" if both else "one",
            "toy": toy,
            "way": way,
            "end": "may" if home and self.been and not lost else "not",
        }
        return f"{base}.{forms[kind]}" if kind in forms else rule


EFFECTS = {
    "@hero": lambda plot: plot._replace(actor="hero"),
    "@friend": lambda plot: plot._replace(actor="friend"),
    "@both": lambda plot: plot._replace(actor="both"),
    "@you": lambda plot: plot._replace(actor=plot.other),
    "@give": lambda plot: plot._replace(toy=plot.other),
    "@take": lambda plot: plot._replace(toy=plot.actor),
    "@drop": lambda plot: plot._replace(toy="here"),
    "@move": Plot.move,
}
# The form for a girl, then for a boy.
PRONOUNS = {
    "she": ("she", "he"),
    "her": ("her", "him"),
    "hers": ("her", "his"),
    "kind": ("girl", "boy"),
}


class Word(str):
    """A token of the text.

    >>> weight, symbols = RULES["do.has"][0]  # 5 gave the {toy} to {you} @give . {thanks}
    >>> weight, [str(symbol) for symbol in symbols if type(symbol) is Word]
    (5.0, ['gave', 'the', 'to', '.'])
    """


class Recall(str):
    """`{hero}`: a word that is kept in mind, or follows from one.

    >>> [str(symbol) for symbol in RULES["do.has"][0][1] if type(symbol) is Recall]
    ['toy', 'you']
    """


class Effect(str):
    """`@give`: a change of the plot.

    >>> [str(symbol) for symbol in RULES["do.has"][0][1] if type(symbol) is Effect]
    ['@give']
    """


@cache
def change(effect: Effect, plot: Plot) -> Plot:
    """The plot after this effect, one of EFFECTS.

    >>> change(Effect("@give"), Plot(actor="hero", toy="hero")).toy
    'friend'
    """
    return EFFECTS[effect](plot)


class Slot(NamedTuple):
    """`{do}`, `{hero=name}`, `{food-fav}`: a rule to expand, the name to keep the word by, the word
    not to take.

    >>> [symbol for symbol in RULES["do.has"][0][1] if type(symbol) is Slot]
    [Slot(rule='thanks', keep=None, barred=None)]
    """

    rule: str
    keep: str | None = None
    barred: str | None = None


class Event(NamedTuple):
    """What happened to the toy or the place, and how things stand then.

    >>> teller = Teller(random.Random(2))
    >>> while not teller.events:
    ...     word, nats = teller.step()
    >>> teller.events[0]
    Event(end=52, what='give', who='Lily', holder='Elif', place='home', spot=None)
    """

    end: int  # how many tokens of the story had been told
    what: str  # give, take, drop, move
    who: str  # a name, or "both"
    holder: str | None  # who has the toy
    place: str  # "home", "beach", ...
    spot: str | None  # "behind the rock": where the toy lies, if nobody has it


class Fork:
    """A choice. Alternatives that begin alike share a branch up to where they part.

    p           the probability of each branch
    branches    the symbols of each branch; no two begin alike
    surprisal   -log p of each branch, in nats
    cumulative  where a random number from 0 to 1 passes from one branch to the next

    >>> a_cat, a_dog, the_end = [
    ...     (Word("a"), Word("cat")),
    ...     (Word("a"), Word("dog")),
    ...     (Word("the"), Word("end")),
    ... ]
    >>> choice = Fork([(2, a_cat), (1, a_dog), (1, the_end)])
    >>> # first "a" or "the"; after "a" comes another fork
    >>> (choice.p, [branch[0] for branch in choice.branches])
    ([0.75, 0.25], ['a', 'the'])
    >>> inner = choice.branches[0][1]
    >>> [round(p, 2) for p in inner.p], inner.branches
    ([0.67, 0.33], [('cat',), ('dog',)])
    """

    def __init__(self, alternatives: Iterable[tuple[float, tuple]]):
        # If two branches began alike, a text would not tell which was taken, and its -log p would
        # need a sum over both.
        groups = defaultdict(list)
        for weight, (first, *rest) in alternatives:
            groups[first].append((weight, tuple(rest)))
        weights = np.array([sum(weight for weight, _ in group) for group in groups.values()])
        self.p = (weights / weights.sum()).tolist()
        self.branches = [(s, *(g[0][1] if len(g) == 1 else [Fork(g)])) for s, g in groups.items()]
        self.surprisal = [-math.log(p) for p in self.p]
        self.cumulative = list(accumulate(self.p[:-1]))


def _parse(grammar: str) -> dict[str, list[tuple[float, tuple]]]:
    """{rule: [(weight, symbols), ...]}; a line that begins with a space continues the one before
    it.
    """
    recalled = {*re.findall(r"{(\w+)=", grammar), *PRONOUNS, "me", "you", "her_you", "holder"}

    def symbol(text: str) -> Word | Recall | Effect | Slot:
        if text[0] != "{":
            return Effect(text) if text in EFFECTS else Word(text)
        keep, rule, barred = re.fullmatch(r"{(?:(\w+)=)?([\w.]+)(?:-(\w+))?}", text).groups()
        return Recall(rule) if text[1:-1] in recalled else Slot(rule, keep, barred)

    rules = defaultdict(list)
    for line in re.findall(r"^[^#\s].*(?:\n .*)*", grammar, flags=re.M):
        name, mark, body = re.fullmatch(r"(\S+?)( =|:) (.*)", re.sub(r"\s+", " ", line)).groups()
        for rank, text in enumerate(body.split() if mark == " =" else body.split(" | "), 1):
            weight, text = text.split(" ", 1) if text[0].isdigit() else (1 / (rank + 2), text)
            rules[name].append((float(weight), tuple(map(symbol, text.split()))))
    return dict(rules)


def _take_turns(*lists: list[Word]) -> list[tuple[float, tuple]]:
    """One list by Zipf and Mandelbrot: the first word of every list, then the second of every list,
    and so on.
    """
    # In turn, so that neither girls nor boys get all the frequent ranks.
    ranked = [words[i] for i in range(max(map(len, lists))) for words in lists if i < len(words)]
    return [(1 / (rank + 2), (word,)) for rank, word in enumerate(ranked, 1)]


RULES = _parse(GRAMMAR)
GIRLS, BOYS = ([words[0] for _, words in RULES.pop(kind)] for kind in ("girl", "boy"))
WORLDS = {
    rule[6:]: [words[0] for _, words in RULES.pop(rule)]
    for rule in list(RULES)
    if rule.startswith("place.")
}
WORLD_OF = {place: world for world, places in WORLDS.items() for place in places}
RULES |= {"name": _take_turns(GIRLS, BOYS), "place": _take_turns(*WORLDS.values())}
_words = {
    str(s) for rule in RULES.values() for _, symbols in rule for s in symbols if type(s) is Word
}
_words = (_words | {"home", *chain(*PRONOUNS.values())}) - {END}
# the end, punctuation, names, other words
VOCAB = (END, *sorted(_words, key=lambda word: (word.isalpha(), word)))


def _alternatives(rule: str, plot: Plot, world: str) -> Iterable[tuple[float, tuple]]:
    """A rule's alternatives in this plot; one that is nothing but another rule stands for that
    rule's alternatives.
    """
    for weight, symbols in RULES[plot.form(rule, world)]:
        if len(symbols) == 1 and type(symbols[0]) is Slot and symbols[0][1:] == (None, None):
            options = list(_alternatives(symbols[0].rule, plot, world))
            # The inner rule's weights share out the weight of this alternative.
            total = sum(w for w, _ in options)
            yield from ((weight * w / total, inner) for w, inner in options)
        else:
            yield weight, symbols


@cache
def fork(rule: str, plot: Plot, world: str = "") -> Fork:
    """The choice that a rule offers in this plot, in this world ("" for a rule that does not ask
    for it).

    >>> [branch[0] for branch in fork("do.toy", Plot(actor="hero", toy="hero")).branches]
    ['gave', 'dropped', 'hid', 'held', 'played', 'was', 'said', 'asked']
    >>> [branch[0] for branch in fork("do.toy", Plot(actor="hero", toy="here")).branches]
    ['looked', 'was', 'asked']
    """
    return Fork(_alternatives(rule, plot, world))


class Teller:
    """Tells stories token by token, at random or along given tokens, and knows the probability of
    every next token.

    >>> teller = Teller(random.Random(2))
    >>> " ".join(teller.step()[0] for _ in range(4))
    'Lily was a kind'
    >>> teller.next_tokens()
    {'girl': 1.0}
    """

    def __init__(self, rng: random.Random | None = None):
        self.rng = rng
        self.begin()

    def begin(self) -> None:
        """A new story: nothing in mind, everything ahead."""
        # stack: what is to be told, next one last
        self.plot = Plot()
        self.stack = [Slot("opening")]
        self.told = 0
        self.words: dict[str, str] = {}
        self.events: list[Event] = []

    @property
    def place(self) -> str:
        return "home" if self.plot.at == "home" else self.words["place"]

    def recall(self, name: str, plot: Plot) -> str:
        """A word in mind, or one that follows: the actor's name, its pronoun, who has the toy."""
        if name in self.words:
            return self.words[name]
        if name == "her_you":
            return PRONOUNS["her"][self.recall("you", plot) not in GIRLS]
        if name in PRONOUNS:
            return PRONOUNS[name][self.recall("me", plot) not in GIRLS]
        return self.words[
            {"me": plot.actor, "you": plot.other, "holder": plot.toy}[name].replace("both", "hero")
        ]

    def choice(self, symbol: Slot | Fork, plot: Plot) -> tuple[Fork, str | None, float]:
        """The fork at a symbol, the word that may not be taken there, and the probability that it
        would have.
        """
        if type(symbol) is Fork:
            return symbol, None, 0.0
        world = "home" if plot.at == "home" else WORLD_OF[self.words["place"]]
        options = fork(symbol.rule, plot, world if symbol.rule.endswith(".world") else "")
        if symbol.barred is None:
            return options, None, 0.0
        word = self.words[symbol.barred]
        return options, word, options.p[options.branches.index((word,))]

    def first_tokens(self, symbols: Iterable, plot: Plot) -> dict[str, float]:
        """{token: probability} of the first token that these symbols tell."""
        for symbol in symbols:
            if type(symbol) is not Effect:
                break
            plot = change(symbol, plot)
        if type(symbol) in (Word, Recall):
            return {str(symbol) if type(symbol) is Word else self.recall(symbol, plot): 1.0}
        options, barred, lost = self.choice(symbol, plot)
        total = Counter()
        for p, branch in zip(options.p, options.branches, strict=True):
            if branch[0] != barred:
                # A word that may not be taken leaves its probability `lost` to the others, in their
                # proportions.
                total.update(
                    {t: p * q / (1 - lost) for t, q in self.first_tokens(branch, plot).items()}
                )
        return total

    def next_tokens(self) -> dict[str, float]:
        """{token: probability} of the next token, given the story so far."""
        return dict(self.first_tokens(reversed(self.stack), self.plot))

    def pick(self, options: Fork, barred: str | None, wanted: str | None) -> int:
        """The branch to take: a random one, or the one that begins with the wanted token."""
        if wanted is None:
            # Drawn again while it is the barred word: the others keep their proportions, as in
            # `first_tokens`.
            while options.branches[i := bisect(options.cumulative, self.rng.random())][0] == barred:
                pass
            return i
        return next(
            i
            for i, branch in enumerate(options.branches)
            if branch[0] != barred and wanted in self.first_tokens(branch, self.plot)
        )

    def step(self, wanted: str | None = None) -> tuple[str, float]:
        """Tell one token, at random or the wanted one: (token, its surprisal -log p in nats)."""
        if wanted is not None and wanted not in (could := self.next_tokens()):
            raise ValueError(
                f"{wanted!r} cannot come here; {len(could)} tokens could, such as {sorted(could)[:5]}"
            )
        # Go down the rules to the next word. Each fork on the way adds its -log p, and nothing else
        # is uncertain.
        surprisal = 0.0
        while type(symbol := self.stack.pop()) not in (Word, Recall):
            if type(symbol) is Effect:
                self.happen(symbol)
                continue
            options, barred, lost = self.choice(symbol, self.plot)
            i = self.pick(options, barred, wanted)
            surprisal += options.surprisal[i] + math.log1p(-lost)
            self.stack += options.branches[i][::-1]
            if type(symbol) is Slot and symbol.keep:
                self.words[symbol.keep] = options.branches[i][0]
        token = symbol if type(symbol) is Word else self.recall(symbol, self.plot)
        self.told += 1
        # What a word brings about holds from this word on, not only once the next one is told.
        while self.stack and type(self.stack[-1]) is Effect:
            self.happen(self.stack.pop())
        if not self.stack:
            self.begin() if token == END else self.stack.append(Slot("next.end"))
        return token, surprisal

    def happen(self, effect: Effect) -> None:
        """Change the plot, and note what happened to the toy or the place."""
        who = self.words[self.plot.actor] if self.plot.actor != "both" else "both"
        self.plot = change(effect, self.plot)
        # The other effects say who acts next: nothing happens to the toy or the place.
        if effect in ("@give", "@take", "@drop", "@move"):
            holder = self.words.get(self.plot.toy)
            spot = None if holder else f"{self.words['prep']} the {self.words['spot']}"
            self.events.append(Event(self.told, effect[1:], who, holder, self.place, spot))
