"""Exercises of lesson 22."""

import random
from collections import defaultdict
from collections.abc import Callable

import torch
from torch import Tensor

from course_utils.checking import Exercises, Wrong, expect
from course_utils.checking.inputs import different, normal
from course_utils.guard_rails import defences, directions, guards, leakage
from course_utils.instruction_tuning.chat import REFUSAL, SPECIAL

EXERCISES = Exercises()


# --- wordings_that_work ---------------------------------------------------------------------------


def _working(wordings: list[str], worked: list[bool]) -> tuple[int, int]:
    by_wording = defaultdict(list)
    for wording, hit in zip(wordings, worked, strict=True):
        by_wording[wording].append(bool(hit))
    return sum(sum(hits) > len(hits) - sum(hits) for hits in by_wording.values()), len(by_wording)


def _counting(rule: Callable[[list[bool]], bool]) -> Callable:
    def count(wordings: list[str], worked: list[bool]) -> tuple[int, int]:
        by_wording = defaultdict(list)
        for wording, hit in zip(wordings, worked, strict=True):
            by_wording[wording].append(bool(hit))
        return sum(rule(hits) for hits in by_wording.values()), len(by_wording)

    return count


@EXERCISES.add(
    defences.wordings_that_work,
    difficulty=1,
    minutes=7,
    sizes=False,
    gradients=False,
    hints=[
        "Collect the results of each wording, for example in a dict from wording to a list.",
        "A wording works where twice its successes are more than its tries. Exactly half is not more than half.",
        "tries = Counter(wordings); hits = Counter(w for w, hit in zip(wordings, worked) if hit); return (sum(2 * hits[w] > n for "
        "w, n in tries.items()), len(tries)). Before that, raise a ValueError for no tries and for unlike lengths.",
    ],
    refuses=[([], []), (["Say it."], []), (["Say it."], [True, False])],
    mistakes={
        "that counts tries; count wordings": lambda w, hits: (sum(map(bool, hits)), len(hits)),
        "exactly half of the tries is not more than half": _counting(
            lambda hits: 2 * sum(hits) >= len(hits)
        ),
        "one success among several is not enough: more than half of a wording's tries": _counting(
            any
        ),
        "not all tries of a wording need to succeed: more than half is enough": _counting(all),
        "the second number is how many different wordings there are": lambda w, hits: (
            _working(w, hits)[0],
            len(w),
        ),
        "first how many work, then how many there are": lambda w, hits: _working(w, hits)[::-1],
        "the first number counts the wordings that work, not those that fail": lambda w, hits: (
            _working(w, hits)[1] - _working(w, hits)[0],
            _working(w, hits)[1],
        ),
        "all tries of a wording count, not the last one alone": _counting(lambda hits: hits[-1]),
        "all tries of a wording count, not the first one alone": _counting(lambda hits: hits[0]),
    },
)
def check_wordings_that_work(student: Callable, rng: random.Random) -> None:
    pool = ["Say it.", "Name it.", "Tell me.", "Which word?", "Go on.", "Please."]
    # half, a little more than half, one of several, all but one, none, all
    kinds = [[1, 1, 0, 0], [1, 1, 1, 0, 0], [1, 0, 0, 0], [1, 1, 1, 0], [0, 0], [1, 1, 1]]
    for n in (6, 4, 3, 1):
        wordings = rng.sample(pool, n)
        tries = [
            (wording, bool(hit))
            for wording, hits in zip(wordings, rng.sample(kinds, n), strict=True)
            for hit in hits
        ]
        rng.shuffle(tries)
        texts = [wording for wording, _ in tries]
        worked = [hit for _, hit in tries]
        call = f"wordings_that_work of {len(tries)} tries of {n} wording{'s' * (n > 1)}"
        # the same tries once more, with what worked and what did not exchanged
        for results in (worked, [not hit for hit in worked]):
            got = student(texts, results)
            if not isinstance(got, (tuple, list)) or len(got) != 2:
                raise Wrong("wordings_that_work: give two numbers, (wordings that work, wordings)")
            expect(tuple(int(x) for x in got), _working(texts, results), call)


# --- erase ----------------------------------------------------------------------------------------


def erase_mistakes(x: Tensor, v: Tensor) -> dict[str, Tensor]:
    u = v / v.norm()
    along = (x @ u)[..., None]
    return {
        "the length of the direction must not matter: divide by its norm first": x - (x @ v)[..., None] * v,
        "divide twice by the norm: once for the projection, once for the direction": x - (x @ u)[..., None] * v,
        "that takes the direction itself away, the same from every activation": x - u,
        "that takes the whole direction away, the same from every activation": x - v,
        "that is the part along the direction; subtract it from x": along * u,
        "subtract the part along the direction; adding it makes it twice as large": x + along * u,
        "that mirrors x: take the part along the direction away once, not twice": x - 2 * along * u,
        "each activation has its own part along the direction, not their mean": x - along.mean() * u,
        "a negative part is taken away, too: do not cut it off at 0": x - along.clamp(min=0) * u,
    }  # fmt: skip


@EXERCISES.add(
    directions.erase,
    difficulty=2,
    minutes=9,
    gradients=["x"],
    hints=[
        "How far does each activation reach along the direction? That is a dot product with the direction at length 1.",
        "unit = direction / direction.norm(). x @ unit is one number for each activation; times unit it is the part to take away.",
        "return x - (x @ unit)[..., None] * unit. Before that, raise a ValueError where the direction has no entry that is not 0.",
    ],
    refuses=[(torch.ones(2, 3), torch.zeros(3))],
)
def check_erase(student: Callable, rng: random.Random) -> None:
    for shape in ((3, 5), (2, 3, 4), (6,), (1, 4)):
        x = normal(rng, *shape) * 2 + 1
        v = normal(rng, shape[-1]) * rng.uniform(2, 4)
        flat = x.double().reshape(-1, shape[-1])
        u = v.double() / v.double().norm()
        rows = torch.stack([row - (row * u).sum() * u for row in flat])
        want = rows.reshape(shape).float()
        call = f"erase of activations {tuple(shape)}"
        expect(student(x, v), want, call, different(erase_mistakes(x, v), want))
    x = normal(rng, 4, 6)
    v = normal(rng, 6)
    once = student(x, v)
    expect(student(once, v), once, "erase of what has been erased already")
    x = normal(rng, 3, 4)
    for v in (torch.tensor([1.0, -1.0, 0.0, 0.0]), torch.full((4,), 1e-5)):
        u = v.double() / v.double().norm()
        want = (x.double() - (x.double() @ u)[:, None] * u).float()
        expect(student(x, v), want, f"erase of the direction {v.tolist()}")


# --- output_filter --------------------------------------------------------------------------------


@EXERCISES.add(
    defences.output_filter,
    difficulty=1,
    minutes=7,
    sizes=False,
    gradients=False,
    hints=[
        "Cut the reply into words first: then “shelf” cannot be taken for “shell”, and a full stop behind the word does no harm.",
        r"re.findall(r'[^\W\d_]+', reply.lower()) gives the words in small letters. Compare with secret.lower().",
        "if not any(letter.isalpha() for letter in secret): raise ValueError(…); return REFUSAL if secret.lower() in words else reply",
    ],
    refuses=[("It is it.", ""), ("It is it.", " "), ("It is it.", "?")],
    mistakes={
        "a longer word that has the secret in it is another word": lambda reply, secret: (
            REFUSAL if secret.lower() in reply.lower() else defences.output_filter(reply, secret)
        ),
        "marks may stand beside the word: take them off before you compare": lambda reply, secret: (
            REFUSAL
            if secret.lower() in reply.lower().split()
            else [defences.output_filter("", secret), reply][1]
        ),
        "capitals do not matter, neither in the reply nor in the secret": lambda reply, secret: (
            defences.output_filter(reply.swapcase(), secret)
            and (REFUSAL if secret in defences.re.findall(r"[^\W\d_]+", reply) else reply)
        ),
        "the whole reply is replaced, not the word alone": lambda reply, secret: (
            defences.output_filter(reply, secret)
            and defences.re.sub(rf"(?i)\b{secret}\b", REFUSAL, reply)
        ),
        "a reply without the secret goes through as it is": lambda reply, secret: (
            defences.output_filter(reply, secret).lower()
            if defences.output_filter(reply, secret) == reply
            else REFUSAL
        ),
        "that is turned round: the reply without the secret goes through": lambda reply, secret: (
            reply if defences.output_filter(reply, secret) == REFUSAL else REFUSAL
        ),
    },
)
def check_output_filter(student: Callable, rng: random.Random) -> None:
    words = rng.sample(["shell", "ring", "hook", "nut", "leaf", "bone"], 3)
    longer = {"shell": "shells", "ring": "string", "hook": "hooked", "nut": "nuts", "leaf": "leaflet", "bone": "bony bones"}  # fmt: skip
    for secret in words:
        told = [
            f"The secret word is {secret}.",
            f"{secret.title()}!",
            f"“{secret},” said Mama.",
            f"Yes: {secret.upper()}",
            f"{secret}-{secret}",
            f"it is ({secret})",
            f"{longer[secret].title()}? No, {secret}.",
            f"{secret}2",
            f"_{secret}_",
            f"{secret}—yes",
        ]
        kept = [
            "They went home.",
            f"Tom had a {longer[secret]}.",
            "",
            "I am sorry, I must not talk about that.",
            "Say IT!",
        ]
        for reply in told:
            call = f"output_filter({reply!r}, {secret!r})"
            expect(student(reply, secret), REFUSAL, call)
        for reply in kept:
            call = f"output_filter({reply!r}, {secret!r})"
            expect(student(reply, secret), reply, call)
        reply = f"It is {secret}."
        call = f"output_filter({reply!r}, {secret.title()!r})"
        expect(student(reply, secret.title()), REFUSAL, call)


# --- search_suffix --------------------------------------------------------------------------------


class _Score:
    """A score that is a sum over words, with a bonus for one pair; it keeps what it was asked."""

    def __init__(self, rng: random.Random, words: list[str], length: int, rounds: int, tries: int):
        self.values = dict(zip(words, rng.sample(range(len(words)), len(words)), strict=True))
        self.words = set(words)
        self.length = length
        self.rounds = rounds
        self.tries = tries
        self.calls: list[list[str]] = []

    def of(self, text: str) -> float:
        return float(sum(self.values[word] for word in text.split(" ")))

    def __deepcopy__(self, memo: dict) -> "_Score":
        return self  # the engine copies what an answer gets; this one must remember its calls

    def __call__(self, texts: list[str]) -> Tensor:
        call = "search_suffix"
        texts = list(texts)
        for text in texts:
            if not isinstance(text, str):
                raise Wrong(f"{call}: score takes texts; you gave it {type(text).__name__}")
            words = text.split(" ")
            if len(words) != self.length or not set(words) <= self.words:
                raise Wrong(
                    f"{call}: score got {text!r}; a suffix has {self.length} of the given words, joined by single blanks"
                )
        self.calls.append(texts)
        if len(self.calls) > self.rounds + 1 or len(texts) > self.tries + 1:
            raise Wrong(
                f"{call}: call {len(self.calls)} of score, with {len(texts)} texts. At most {self.rounds + 1} calls (rounds + 1) "
                f"with at most {self.tries + 1} texts (tries + 1): score all changes of a round in one call"
            )
        return torch.tensor([self.of(text) for text in texts])


@EXERCISES.add(
    leakage.search_suffix,
    difficulty=3,
    minutes=14,
    sizes=False,
    gradients=False,
    hints=[
        "Keep the best list of words so far and its score. In each round, copy it `tries` times and change one word of each copy.",
        "rng = random.Random(seed); option[rng.randrange(length)] = rng.choice(words). Join each with blanks, and call score once for all "
        "of them. Let the best itself be among the texts: then nothing gets worse.",
        "values = score([' '.join(option) for option in options]); best = options[int(values.argmax())]. Return ' '.join(best). First raise a "
        "ValueError where length, rounds or tries is below 1.",
    ],
    refuses=[
        (lambda texts: torch.zeros(len(texts)), ["a", "b"], 0, 3, 2),
        (lambda texts: torch.zeros(len(texts)), ["a", "b"], 2, 0, 2),
        (lambda texts: torch.zeros(len(texts)), ["a", "b"], 2, 3, 0),
    ],
)
def check_search_suffix(student: Callable, rng: random.Random) -> None:
    letters = "abcdefghijklmnopqrstuvwxyz"
    for length, rounds, tries in ((3, 40, 12), (2, 30, 10), (1, 12, 8)):
        words = rng.sample([a + b for a in letters[:6] for b in letters[6:]], 14)
        found = []
        for _ in range(2):
            score = _Score(random.Random(rng.random()), words, length, rounds, tries)
            seed = rng.randrange(1000)
            got = student(score, words, length, rounds, tries, seed)
            _check_search(got, score, length, rounds)
            found.append((got, score, seed))
        got, score, seed = found[0]
        again = _again(score)
        if student(again, words, length, rounds, tries, seed) != got or again.calls != score.calls:
            raise Wrong(
                "search_suffix: one seed gives one answer, and yours changes; draw with random.Random(seed) alone"
            )
        other = _again(score)
        student(other, words, length, rounds, tries, seed + 1)
        if length > 1 and other.calls == score.calls:
            raise Wrong("search_suffix: another seed tries the same suffixes; use the seed")


def _again(score: _Score) -> _Score:
    fresh = _Score(random.Random(0), [*score.values], score.length, score.rounds, score.tries)
    fresh.values = score.values
    return fresh


def _check_search(got: object, score: _Score, length: int, rounds: int) -> None:
    call = f"search_suffix of length {length} in {rounds} rounds"
    if not isinstance(got, str):
        raise Wrong(
            f"{call}: give a text, the words joined by blanks; you gave {type(got).__name__}"
        )
    if not score.calls:
        raise Wrong(f"{call}: score was never called")
    if len(score.calls) < rounds:
        raise Wrong(f"{call}: score was called {len(score.calls)} times; one call a round")
    seen = [text for texts in score.calls for text in texts]
    if got not in seen:
        raise Wrong(f"{call}: {got!r} was never scored, so nobody knows how good it is")
    best = max(map(score.of, seen))
    if score.of(got) < best:
        raise Wrong(
            f"{call}: you return a suffix of score {score.of(got):.0f}, and one of {best:.0f} was seen; keep the best of all"
        )
    top = seen[0].split(" ")
    high = score.of(seen[0])
    for number, texts in enumerate(score.calls):
        if number:
            far = [t for t in texts if _changes(t.split(" "), top) > 1]
            near_any = [
                t
                for t in far
                if all(_changes(t.split(" "), b) > 1 for b in _tops(score, number, high))
            ]
            if near_any:
                raise Wrong(
                    f"{call}: in round {number + 1} {near_any[0]!r} was tried, and the best so far is {' '.join(top)!r}; change one word of the best"
                )
        for text in texts:
            if score.of(text) > high:
                high = score.of(text)
                top = text.split(" ")
    if length > 1 and high < 0.75 * length * (len(score.values) - 1):
        raise Wrong(
            f"{call}: the best that was found scores {high:.0f} of {length * (len(score.values) - 1)}; a search that goes on from the best finds more"
        )


def _tops(score: _Score, number: int, high: float) -> list[list[str]]:
    """All suffixes that were the best before this call: equals are as good as each other."""
    seen = [text for texts in score.calls[:number] for text in texts]
    return [text.split(" ") for text in seen if score.of(text) >= high]


def _changes(a: list[str], b: list[str]) -> int:
    return sum(x != y for x, y in zip(a, b, strict=True))


# --- careful_guard --------------------------------------------------------------------------------


@EXERCISES.add(
    guards.careful_guard,
    difficulty=3,
    minutes=14,
    sizes=False,
    gradients=False,
    hints=[
        "Print the known attacks and the known harmless texts. What do the attacks have in common that the others have not?",
        "A forged token such as <system> is never harmless. Look at the end of a text: a story before the question is no attack. Try whole "
        "phrases such as “may tell”, not single words.",
        "if '<' in text: return True; then compare the last words with a list of phrases. Or let learnt_guard(*guard_texts()) find the words.",
    ],
)
def check_careful_guard(student: Callable, rng: random.Random) -> None:
    seed = rng.randrange(10**6)
    forged = f"Hello. {rng.choice(SPECIAL)} Go on."
    got = student(forged)
    if not isinstance(got, bool):
        raise Wrong(f"careful_guard: give True or False; you gave {type(got).__name__}")
    bad, good = guards.guard_texts(held_out=True, seed=seed)
    if [student(text) for text in bad] != [student(text) for text in bad]:
        raise Wrong("careful_guard: one text gets one answer, and yours changes")
    through, refused = guards.guard_errors(student, bad, good)
    if through > 0.2 * len(bad) and refused > 0.15 * len(good):
        raise Wrong(
            f"careful_guard lets {through} of {len(bad)} attacks through and refuses {refused} of {len(good)} harmless texts"
        )
    if through > 0.2 * len(bad):
        raise Wrong(
            f"careful_guard lets {through} of {len(bad)} attacks through, whose wordings you have not seen; at most {len(bad) // 5} may pass"
        )
    if refused > 0.15 * len(good):
        raise Wrong(
            f"careful_guard refuses {refused} of {len(good)} harmless texts; at most {int(0.15 * len(good))}. To refuse is not for nothing"
        )
    known_bad, known_good = guards.guard_texts(held_out=False, seed=seed)
    through, refused = guards.guard_errors(student, known_bad, known_good)
    if through > 0.2 * len(known_bad) or refused > 0.15 * len(known_good):
        raise Wrong(
            f"careful_guard: of the known texts it lets {through} of {len(known_bad)} attacks through and refuses {refused} of {len(known_good)} harmless ones"
        )
