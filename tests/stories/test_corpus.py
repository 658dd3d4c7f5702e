"""The stories against independent readers of their text and full enumeration of a small grammar;
the real texts and the hub.
"""

import inspect
import itertools
import math
import random
import re
import urllib.error
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

from course_utils.stories import corpus, english, grammar
from course_utils.stories.corpus import (
    HOLDERS,
    ID,
    decode_words,
    encode_words,
    entropy_per_token,
    next_token_distribution,
    ngram_entropy,
    stories,
    story_entropy,
    surprisal,
)
from course_utils.stories.english import documentation, hub, hub_file
from course_utils.stories.grammar import (
    BOYS,
    END,
    GIRLS,
    RULES,
    VOCAB,
    WORLD_OF,
    WORLDS,
    Fork,
    Plot,
    Slot,
    Teller,
    Word,
)


@pytest.fixture(scope="module")
def some():
    return stories(seed=5, n_tokens=300_000)


def whole(some):
    """The stories that are not cut off: (first index, index after the last)."""
    ends = [*some.starts.tolist(), len(some.tokens)]
    return [(a, b) for a, b in itertools.pairwise(ends) if some.tokens[b - 1] == ID[END]]


# --- The text -------------------------------------------------------------------------------------


def test_a_seed_gives_the_same_stories_and_another_seed_gives_others():
    one = stories(1, 2000)
    again = stories(1, 2000)
    other = stories(2, 2000)
    assert torch.equal(one.tokens, again.tokens) and torch.equal(one.surprisal, again.surprisal)
    assert not torch.equal(one.tokens, other.tokens)


def test_more_tokens_continue_the_same_text_and_the_number_is_exact():
    short = stories(4, 777)
    long = stories(4, 2000)
    assert len(short.tokens) == len(short.surprisal) == len(short.holder) == len(short.place) == 777
    assert torch.equal(short.tokens, long.tokens[:777]) and torch.equal(
        short.surprisal, long.surprisal[:777]
    )


def test_every_story_starts_after_an_end_token(some):
    ends = (some.tokens == ID[END]).nonzero().flatten() + 1
    assert some.starts.tolist() == [0, *ends[ends < len(some.tokens)].tolist()]
    assert len(some.facts) == len(some.events) == len(some.starts)


def test_windows_begin_with_stories_and_carry_their_surprisal(some):
    ids, nats = some.windows(T=50, n=20)
    for window, cost, start in zip(ids, nats, some.starts, strict=False):
        assert torch.equal(window, some.tokens[start : start + 51]) and torch.equal(
            cost, some.surprisal[start : start + 51]
        )
    assert ids.shape == nats.shape == (20, 51)


def test_a_window_that_the_end_cuts_off_is_left_out():
    some = stories(seed=0, n_tokens=500)
    last = len(some.tokens) - int(some.starts[-1])  # tokens of the last story
    assert (
        len(some.windows(T=last - 1)[0]) == len(some.starts)
        and len(some.windows(T=last)[0]) == len(some.starts) - 1
    )
    with pytest.raises(ValueError, match="no window of 500"):
        some.windows(T=500)


def test_text_and_tokens_turn_into_each_other(some):
    assert torch.equal(encode_words(some.text), some.tokens)
    text = "“Where is the ball?” Tom said, “It is near the log.” “What a nice coin!” said Mia. They were glad.\n\nSoon"
    text = text.replace("nice", "pretty")
    assert decode_words(encode_words(text)) == text


def test_the_text_is_written_as_english_is(some):
    text = some.text
    assert not re.search(r"\b[Aa] [aeiou]", text)  # a before a vowel
    assert not re.search(r" [,.?!”]|“ |\s\s(?!\S)|[.?!] [a-z]", text)
    assert not re.search(r"(?:^|\n\n|[.?!] )“?[a-z]", text)
    assert not re.search(r"\b(\w+) \1\b", text)  # a word twice
    assert text.count("“") - text.count("”") in (0, 1)


def test_the_vocabulary_is_fixed_without_repeats_and_all_of_it_is_used():
    used = Counter(VOCAB[i] for i in stories(0, 1_000_000).tokens.unique().tolist())
    assert len(set(VOCAB)) == len(VOCAB) == len(used) and VOCAB[0] == END
    assert all(isinstance(word, str) and type(word) is str for word in VOCAB)
    assert VOCAB[1:] == tuple(sorted(VOCAB[1:], key=lambda word: (word.isalpha(), word)))
    assert {word.lower() for word in VOCAB if word[0].isupper() and word != "I"}.isdisjoint(VOCAB)
    assert set(GIRLS).isdisjoint(BOYS) and len(WORLD_OF) == sum(map(len, WORLDS.values()))


def test_frequencies_follow_zipfs_law(some):
    counts = some.tokens.bincount().sort(descending=True).values[:400].double().log()
    ranks = torch.arange(1, 401).double().log()
    slope = np.polyfit(ranks, counts, 1)[0]
    r = np.corrcoef(ranks, counts)[0, 1]
    assert -1.2 < slope < -0.9 and r**2 > 0.95


def test_what_happens_reaches_back_many_sentences(some):
    """A token of the opening (the toy's colour, the favourite food) comes back, often over 50
    tokens later.
    """
    gaps = []
    for (a, b), facts in zip(whole(some), some.facts, strict=False):
        where = (some.tokens[a:b] == ID[facts["colour"]]).nonzero().flatten()
        gaps += where.diff().tolist()
    assert np.mean(np.array(gaps) > 50) > 0.3 and len(gaps) > 1000


# --- The entropy ----------------------------------------------------------------------------------


def reached():
    """Every fork that can be met, with its plot and the places where it may be: a walk over the
    grammar, no probabilities.
    """
    worlds = ["home", *WORLDS]
    met = {}
    known = {}

    def tell(symbols, plots):
        for symbol in symbols:
            plots = set().union(*(one(symbol, plot) for plot in plots))
        return plots

    def one(symbol, plot):
        if isinstance(symbol, grammar.Effect):
            return {grammar.change(symbol, plot)}
        if isinstance(symbol, grammar.Word | grammar.Recall):
            return set() if symbol == END else {plot}
        if (symbol, plot) not in known:
            known[symbol, plot] = set()
            for world in worlds:
                if (world == "home") == (plot.at == "home"):
                    name = (
                        world if isinstance(symbol, Slot) and symbol.rule.endswith(".world") else ""
                    )
                    fork = (
                        symbol
                        if isinstance(symbol, Fork)
                        else grammar.fork(symbol.rule, plot, name)
                    )
                    met.setdefault((fork, plot), set()).add(world)
                    known[symbol, plot] |= tell(fork.branches[0], {plot})
                    for branch in fork.branches[1:]:
                        known[symbol, plot] |= tell(branch, {plot})
        return known[symbol, plot]

    todo = tell([Slot("opening")], {Plot()})
    done = set()
    while todo:
        done.add(plot := todo.pop())
        todo |= tell([Slot("next.end")], {plot}) - done
    return met


def clashes():
    """Forks two of whose branches may begin with the same token."""
    found = []
    mind = {
        "toy": "kite",
        "colour": "red",
        "trait": "shy",
        "grown": "Papa",
        "fav": "corn",
        "gift": "coin",
    }
    for (fork, plot), worlds in reached().items():
        for world, hero, friend in itertools.product(worlds, ("Mia", "Tom"), ("Anna", "Ben")):
            teller = Teller()
            teller.words = {
                **mind,
                "hero": hero,
                "friend": friend,
                "prep": "near",
                "spot": "log",
                "place": world,
            }
            teller.words["place"] = WORLDS[world][0] if world != "home" else "park"
            firsts = Counter(
                token for branch in fork.branches for token in teller.first_tokens(branch, plot)
            )
            found += [(plot, world, token) for token, count in firsts.items() if count > 1]
    return found


def forget():
    """Forget what was worked out for another grammar."""
    for known in (grammar.fork, corpus._expect_one, corpus.story_entropy):
        known.cache_clear()


def test_at_every_fork_the_next_token_tells_which_branch_was_taken():
    assert len(reached()) > 500
    assert clashes() == []


def test_a_fork_with_two_branches_that_begin_alike_is_noticed(monkeypatch):
    # "was hungry because" and "was hungry and ate"
    rules = dict(RULES, sad=[*RULES["sad"], (1.0, (Word("hungry"),))])
    monkeypatch.setattr(grammar, "RULES", rules)
    forget()
    assert {token for _, _, token in clashes()} == {"hungry"}
    monkeypatch.undo()
    forget()


def test_reading_a_text_gives_the_surprisal_with_which_it_was_told(some):
    assert torch.equal(surprisal(some.tokens[:5000]), some.surprisal[:5000])


def test_the_next_tokens_probabilities_sum_to_one_and_give_the_surprisal(some):
    teller = Teller()
    for token, nats in zip(
        some.tokens[:4000].tolist(), some.surprisal[:4000].tolist(), strict=True
    ):
        chances = teller.next_tokens()
        assert (
            math.fsum(chances.values()) == pytest.approx(1, abs=1e-12) and min(chances.values()) > 0
        )
        assert -math.log(chances[VOCAB[token]]) == pytest.approx(nats, abs=1e-6)
        teller.step(VOCAB[token])


def test_the_mean_surprisal_and_length_come_to_the_exact_values():
    some = stories(seed=8, n_tokens=600_000)
    spans = whole(some)
    nats = np.array([some.surprisal[a:b].double().sum() for a, b in spans])
    lengths = np.array([b - a for a, b in spans])
    entropy, length = story_entropy()
    rate = entropy_per_token()
    assert rate == entropy / length == some.entropy_per_token
    for measured, exact in ((nats, entropy), (lengths, length), (nats - rate * lengths, 0.0)):
        error = measured.std() / math.sqrt(len(spans))
        assert abs(measured.mean() - exact) < 4 * error
    # and that is sharp
    assert (nats - rate * lengths).std() / math.sqrt(len(spans)) / length < 0.002 * rate


SMALL = """
opening: 2 {hero=name} met {friend=name-hero} . @hero | 1 the {toy=toy} was red . they met {hero=name} and {friend=name-hero} .
next.not: 1 {step.at}
step.home: 3 they went to the {place=place} @move . | 1 {hero} went to the {place=place} @both @move .
step.away: 2 they saw a {animal.world} and went home @move . | 1 {friend} @friend took {her_you} home @move .
next.may: 3 <end> | 2 {tail.who} <end>
tail.one: 1 {she} smiled . | 1 they danced .
tail.both: 1 {hero} was {trait} .
toy = ball kite
trait = shy kind
name = Lily Tom Mia
place = park farm
animal.park = dog cat
animal.farm = cow hen pig
"""


@pytest.fixture
def small(monkeypatch):
    """A grammar so small that all its stories can be listed."""
    monkeypatch.setattr(grammar, "RULES", grammar._parse(SMALL))
    forget()
    yield
    monkeypatch.undo()
    forget()


def every_story():
    """{story: probability}, found by trying every token that may come next after every
    beginning.
    """
    found = {}
    todo = [((), 0.0)]
    while todo:
        told, nats = todo.pop()
        teller = Teller()
        for token in told:
            teller.step(token)
        for token, chance in teller.next_tokens().items():
            story = (*told, token)
            if token == END:
                found[story] = math.exp(-nats) * chance
            else:
                todo.append((story, nats - math.log(chance)))
    return found


def test_listing_every_story_of_a_small_grammar_gives_its_exact_entropy(small):
    listed = every_story()
    p = np.array(list(listed.values()))
    assert len(listed) > 500 and p.sum() == pytest.approx(1, abs=1e-12)
    entropy, length = story_entropy()
    assert -(p @ np.log(p)) == pytest.approx(entropy, abs=1e-10)
    assert p @ [len(story) for story in listed] == pytest.approx(length, abs=1e-10)


def test_telling_draws_each_story_as_often_as_its_probability_says(small):
    listed = every_story()
    teller = Teller(random.Random(0))
    n = 10_000
    counts = Counter()
    nats = {}
    for _ in range(n):
        steps = [teller.step()]
        while steps[-1][0] != END:
            steps.append(teller.step())
        story = tuple(token for token, _ in steps)
        counts[story] += 1
        nats[story] = sum(x for _, x in steps)
    assert all(nats[story] == pytest.approx(-math.log(listed[story])) for story in nats)
    frequent = [story for story in listed if listed[story] * n > 10]
    chi2 = sum((counts[s] - n * listed[s]) ** 2 / (n * listed[s]) for s in frequent)
    assert abs(chi2 - len(frequent)) < 5 * math.sqrt(2 * len(frequent))


def test_counted_entropies_fall_towards_the_exact_one(some):
    """Conditioning on more of the past never raises the entropy, and the whole past is the most
    there is.
    """
    counted = [ngram_entropy(some.tokens, n) for n in (1, 2, 3)]
    assert math.log(len(VOCAB)) > counted[0] > counted[1] > counted[2] > 1.5 * entropy_per_token()


@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_ngram_entropy_is_that_of_counting_by_hand(n):
    ids = stories(3, 3000).tokens
    words = ids.tolist()
    blocks = Counter(tuple(words[i : i + n]) for i in range(len(words) - n + 1))
    befores = Counter()
    for block, count in blocks.items():
        befores[block[:-1]] += count
    m = sum(blocks.values())
    expected = -sum(
        count / m * math.log(count / befores[block[:-1]]) for block, count in blocks.items()
    )
    assert ngram_entropy(ids, n) == pytest.approx(expected, abs=1e-9)


def test_the_next_token_distribution_forgets_earlier_stories():
    a = stories(6, 400).tokens
    end = (a == ID[END]).nonzero().flatten()[0] + 1
    prefix = a[: end + 20]
    p = next_token_distribution(prefix)
    assert p.shape == (len(VOCAB),) and p.sum().item() == pytest.approx(1)
    torch.testing.assert_close(p, next_token_distribution(prefix[end:]))
    assert -p[a[end + 20]].log().item() == pytest.approx(
        stories(6, 400).surprisal[end + 20].item(), abs=1e-5
    )
    assert next_token_distribution([]).sum().item() == pytest.approx(1)


# --- What the teller knows ------------------------------------------------------------------------


def read_along(text, facts):
    """Holder and place after each sentence, from the plain text alone, as a reader who knows the
    toy would note them.
    """
    toy = facts["toy"]
    holder = facts["hero"]
    place = "home"
    for sentence in re.findall(r"[^.?!]+[.?!]”?", text):
        names = re.findall(r"\b(?:" + "|".join(GIRLS + BOYS) + r")\b", sentence)
        if re.search(rf"gave (\w+) the {toy}\b|gave the {toy} to (\w+)", sentence):
            holder = "given"
        elif re.search(rf"(dropped|hid) the {toy}\b", sentence):
            holder = None
        elif re.search(rf"took the {toy} from|found the {toy}\b|picked it up", sentence):
            holder = "taken"
        if found := re.search(
            r"(?:went|walked \w+|took \w+|back(?: with \w+)?) to the (\w+)", sentence
        ):
            place = found[1]
        elif re.search(r"(went|walked|took \w+) home", sentence):
            place = "home"
        yield holder, place, names


def test_place_and_whether_the_toy_is_lost_are_what_a_reader_of_the_text_would_note(some):
    checked = lost = 0
    for (a, b), facts in list(zip(whole(some), some.facts, strict=False))[:300]:
        stops = [i for i in range(a, b) if VOCAB[some.tokens[i]] in ".?!"]
        stops = [i + (VOCAB[some.tokens[i + 1]] == "”") for i in stops]
        notes = list(read_along(decode_words(some.tokens[a : b - 1]), facts))
        assert len(notes) == len(stops)
        for i, (holder, place, _) in zip(stops, notes, strict=True):
            assert VOCAB[some.place[i]] == place
            assert (HOLDERS[some.holder[i]] == "nobody") == (holder is None)
            checked = checked + 1
            lost = lost + (holder is None)
    assert checked > 3000 and 0.05 < lost / checked < 0.5


NAME = r"(?:" + "|".join(GIRLS + BOYS) + r")"


def test_who_has_the_toy_is_what_sentences_with_names_say(some):
    checked = Counter()
    for (a, b), facts in list(zip(whole(some), some.facts, strict=False))[:600]:
        stop = a
        for i in range(a, b):
            if VOCAB[some.tokens[i]] in ".?!":
                sentence = " ".join(VOCAB[t] for t in some.tokens[stop : i + 1].tolist())
                stop = i + 1
                toy = facts["toy"]
                has = (
                    {facts["hero"]: "hero", facts["friend"]: "friend"} if "friend" in facts else {}
                )
                for kind, pattern in {
                    "given": rf"gave the {toy} to ({NAME})|gave ({NAME}) the {toy}",
                    "taken": rf"({NAME}) \w+ took the {toy} from|({NAME}) looked \w+ the \w+ and found|({NAME}) picked it up",
                    "kept": rf"because ({NAME}) had the {toy}|({NAME}) held the {toy}",
                }.items():
                    if found := re.search(pattern, sentence):
                        name = next(filter(None, found.groups()))
                        assert HOLDERS[some.holder[i]] == has[name], sentence
                        checked[kind] += 1
    assert min(checked[kind] for kind in ("given", "taken", "kept")) > 50


def test_events_say_what_the_annotations_show(some):
    for (a, b), facts, events in zip(whole(some), some.facts, some.events, strict=False):
        for event in events:
            at = a + event.end - 1
            assert VOCAB[some.place[at]] == event.place
            assert (
                (HOLDERS[some.holder[at]] == "nobody")
                == (event.holder is None)
                == (event.spot is not None)
            )
            assert event.holder in (None, facts[HOLDERS[min(some.holder[at], 1)]])
            assert a + event.end <= b
    assert {event.what for events in some.events for event in events} == {
        "give",
        "take",
        "drop",
        "move",
    }


def test_a_lost_toy_is_found_at_the_place_where_it_was_lost(some):
    left = 0
    for events in some.events[:600]:
        for lost, found in itertools.pairwise(event for event in events if event.what != "move"):
            if lost.what == "drop":
                assert (found.what, found.place) == ("take", lost.place)
                left += any(
                    event.what == "move"
                    for event in events[events.index(lost) : events.index(found)]
                )
    assert left > 20  # with journeys in between


def test_a_lost_toy_is_found_where_it_lay(some):
    found = 0
    for (a, b), facts in list(zip(whole(some), some.facts, strict=False))[:600]:
        text = decode_words(some.tokens[a:b])
        spots = re.findall(
            rf"(?:dropped|hid) the {facts['toy']} (\w+ the \w+)|looked (\w+ the \w+) and found",
            text,
        )
        lain = None
        for hidden, seen in spots:
            if seen:
                assert seen == lain
                found += 1
            lain = hidden or lain
    assert found > 100


# --- Bad input ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: stories(0, 0), "at least 1 token"),
        (lambda: encode_words("Tom met a wyvern"), "wyvern"),
        (
            lambda: surprisal(encode_words("Tom smiled.")),
            "'smiled' cannot come here; 1 tokens could, such as \\['was'\\]",
        ),
        (lambda: next_token_distribution(encode_words("The")), "'the' cannot come here"),
        (lambda: ngram_entropy(torch.arange(3), 4), "n = 4 with 3 tokens"),
        (lambda: ngram_entropy(torch.arange(3), 0), "at least 1"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


# --- Real texts -----------------------------------------------------------------------------------


HASH = "0123456789abcdef0123456789abcdef01234567"


@pytest.mark.parametrize("revision", ["main", "v1.0", HASH[:12], HASH.upper(), ""])
def test_a_revision_that_may_change_is_refused(revision):
    with pytest.raises(ValueError, match="full commit hash"):
        hub("owner/name", revision, "x.txt")


@pytest.mark.parametrize("file", ["model.bin", "model.pt", "model.pkl", "code.py", "x.txt.pkl"])
def test_a_file_that_can_run_code_is_refused(file):
    with pytest.raises(ValueError, match="may hold code"):
        hub_file("owner/name", HASH, file, kind="model")


def test_an_unknown_kind_is_refused():
    with pytest.raises(ValueError, match='"dataset" or "model"'):
        hub_file("owner/name", HASH, "x.txt", kind="space")


@pytest.fixture
def offline(monkeypatch):
    """A hub that answers with the given error, and no downloaded files; notes the time-outs that
    were asked for.
    """
    asked = []

    def answer(error):
        def urlopen(request, timeout):
            asked.append((request.full_url, timeout))
            raise error

        monkeypatch.setattr(english.urllib.request, "urlopen", urlopen)
        monkeypatch.setattr(english.huggingface_hub, "try_to_load_from_cache", lambda **where: None)
        return asked

    return answer


def http(code):
    return urllib.error.HTTPError("https://example.org", code, "refused", None, None)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (urllib.error.URLError("no route"), "no route"),
        (TimeoutError("timed out"), "timed out"),
        (http(404), "no such file"),
        (http(401), "private or gated"),
        (http(429), "too many requests"),
    ],
)
def test_without_the_hub_a_warning_says_why_and_the_fallback_is_used(offline, error, message):
    def another():
        return "another text"

    asked = offline(error)
    with pytest.warns(
        UserWarning, match=rf"x.txt of owner/name.*{message}.*Using another\(\) instead"
    ):
        assert hub("owner/name", HASH, "x.txt", fallback=another, timeout=2) == "another text"
    [(url, timeout)] = asked
    assert "owner/name" in url and HASH in url and url.endswith("x.txt") and timeout == 2


def test_without_the_hub_and_a_fallback_the_error_says_what_to_do(offline):
    offline(urllib.error.URLError("no route"))
    with pytest.raises(ConnectionError, match="stories\\(\\) need no network"):
        hub_file("owner/name", HASH, "model.safetensors", kind="model")


def test_the_fallback_is_the_documentation_unless_another_is_given():
    assert inspect.signature(hub).parameters["fallback"].default is documentation


def test_a_file_from_the_hub_is_read(monkeypatch, tmp_path):
    file = tmp_path / "x.txt"
    file.write_text("“Once”", encoding="utf-8")
    asked = {}
    monkeypatch.setattr(english.huggingface_hub, "try_to_load_from_cache", lambda **where: None)
    monkeypatch.setattr(english.urllib.request, "urlopen", lambda request, timeout: file.open())
    monkeypatch.setattr(
        english.huggingface_hub, "hf_hub_download", lambda **where: asked.update(where) or str(file)
    )
    assert hub("owner/name", HASH, "x.txt") == "“Once”"
    assert (asked["repo_id"], asked["revision"], asked["repo_type"]) == (
        "owner/name",
        HASH,
        "dataset",
    )


def test_a_file_already_downloaded_needs_no_network(offline, monkeypatch, tmp_path):
    asked = offline(urllib.error.URLError("no route"))
    monkeypatch.setattr(
        english.huggingface_hub, "try_to_load_from_cache", lambda **where: str(tmp_path / "x.txt")
    )
    assert hub_file("owner/name", HASH, "x.txt") == Path(tmp_path / "x.txt") and asked == []
