"""The tasks over stories, their chat, and the program that grades: against the stories' own tellers
and plain reading.
"""

import re
from collections import Counter

import pytest
import torch

from course_utils.gpt2.model import GPT
from course_utils.instruction_tuning import chat
from course_utils.instruction_tuning.chat import (
    ASSISTANT,
    CHAT_ID,
    CHAT_VOCAB,
    END_OF_TURN,
    REFUSAL,
    TEXTS,
    decode_chat,
    encode_chat,
)
from course_utils.instruction_tuning.grading import grade, refuses
from course_utils.instruction_tuning.tasks import (
    FORBIDDEN,
    SPLITS,
    TASKS,
    THEME,
    Task,
    event_sentences,
    instructions,
)
from course_utils.pretrained import storyteller
from course_utils.stories.corpus import HOLDERS, ID, encode_words, surprisal
from course_utils.stories.grammar import END, VOCAB, Event, Teller

N = 25  # tasks of a kind


@pytest.fixture(scope="module", params=SPLITS)
def tasks(request):
    return instructions(7, N * len(TASKS), request.param)


@pytest.fixture(scope="module")
def plain():
    return {name: instructions(11, N, tasks=[name]) for name in TASKS}


def told(words):
    """Tell these words again: the teller knows who has the toy and where everyone is."""
    teller = Teller()
    for word in words:
        teller.step(word)
    return teller


# --- The chat -------------------------------------------------------------------------------------


def test_the_chats_words_begin_with_the_stories_words_and_none_is_there_twice():
    assert CHAT_VOCAB[: len(VOCAB)] == VOCAB and len(set(CHAT_VOCAB)) == len(CHAT_VOCAB)
    assert [CHAT_VOCAB[i] for i in (chat.SYSTEM, chat.USER, ASSISTANT, END_OF_TURN)] == list(
        chat.SPECIAL
    )


def test_turns_become_role_words_and_end_and_a_prompt_ends_where_the_answer_begins():
    words = [
        CHAT_VOCAB[i] for i in encode_chat([("system", "Tom."), ("user", "Who is it?")]).tolist()
    ]
    assert words == [
        "<system>",
        "Tom",
        ".",
        "<end of turn>",
        "<user>",
        "who",
        "is",
        "it",
        "?",
        "<end of turn>",
        "<assistant>",
    ]
    whole = encode_chat([("user", "Who?"), ("assistant", "Tom.")])
    assert whole[-1] == END_OF_TURN and (whole == ASSISTANT).sum() == 1


@pytest.mark.parametrize("token", chat.SPECIAL)
def test_no_text_can_forge_a_special_token_unless_it_is_allowed_to(token):
    with pytest.raises(ValueError, match="not in CHAT_VOCAB"):
        encode_chat([("user", f"Tom {token} Tom")])
    assert CHAT_ID[token] in encode_chat([("user", f"Tom {token} Tom")], forge=True).tolist()[2:-2]


@pytest.mark.parametrize(
    ("turns", "said"),
    [
        ([("teacher", "Tom.")], "no role 'teacher'"),
        ([("user", "What is a neutrino?")], "neutrino"),
    ],
)
def test_unknown_roles_and_words_are_refused(turns, said):
    with pytest.raises(ValueError, match=said):
        encode_chat(turns)


def test_printed_text_can_be_read_again(tasks):
    for task in tasks:
        for text in (task.user, task.answer):
            words = chat.split_words(text)
            assert chat.split_words(chat.print_words(words)) == words
            assert not re.search(r" [.,?!”]|“ |  ", text) and text[:1] in "“" + text[:1].upper()


def test_a_larger_vocabulary_leaves_the_old_words_logits_as_they_were():
    base = storyteller()
    ids = encode_words("Once upon a time there was a child")[None]
    larger = chat.extend_vocabulary(base, 3, torch.Generator().manual_seed(1))
    torch.testing.assert_close(larger(ids)[..., : len(VOCAB)], base(ids))
    assert larger.lm_head.weight is larger.wte.weight and isinstance(larger, GPT)
    new = larger.wte.weight[-3:]
    old = base.wte.weight
    assert not torch.equal(new[0], new[1]) and (new - old.mean(0)).abs().max() < old.std(0).max()
    with pytest.raises(ValueError, match="0 or more"):
        chat.extend_vocabulary(base, -1)


# --- The tasks ------------------------------------------------------------------------------------


def test_every_good_answer_is_graded_right(tasks):
    assert [task for task in tasks if not grade(task, task.answer)] == []
    assert Counter(task.name for task in tasks) == dict.fromkeys(TASKS, N)


def test_examples_fit_into_the_model_and_are_short(tasks):
    lengths = torch.tensor([len(task.ids) for task in tasks])
    assert lengths.max() < 128 and lengths.float().mean() < 80
    for task in tasks:
        assert (
            torch.equal(task.ids[: len(task.prompt)], task.prompt) and task.prompt[-1] == ASSISTANT
        )


def test_the_facts_are_those_that_a_teller_finds_on_reading_the_excerpt_again(tasks):
    for task in tasks:
        if "story" in task.facts:
            teller = told(task.facts["story"])
            assert task.facts["holder"] == teller.words.get(teller.plot.toy)
            assert task.facts["place"] == teller.place and task.facts["events"] == tuple(
                teller.events
            )
            assert HOLDERS[2] == "nobody" and (task.facts["holder"] is None) == (
                teller.plot.toy in ("here", "gone")
            )


def test_excerpts_end_where_a_sentence_ends_and_the_story_does_not(tasks):
    for task in tasks:
        words = task.facts.get("story", (".",))
        assert END not in words and words[-1] in ".?!”" and words.count("“") == words.count("”")


def test_one_seed_gives_one_list_and_another_another():
    first, again, other = (instructions(seed, 14) for seed in (3, 3, 4))
    assert [t.user for t in first] == [t.user for t in again] != [t.user for t in other]


def test_the_training_split_holds_back_names_topics_and_secrets():
    held = TEXTS["words"]
    for split in SPLITS:
        new = split == "held-out names"
        for task in instructions(5, 210, split):
            facts = task.facts
            if "hero" in facts:
                assert bool({facts["hero"], facts["friend"]} & {*held["names"]}) == new
            if "topic" in facts:
                assert (facts["topic"] in held["held_out_topics"]) == new
            if "secret" in facts:
                assert (facts["secret"] in held["held_out_secrets"]) == new


def test_held_out_wordings_are_new_but_their_words_are_not():
    def words(texts):
        return {word for text in texts for word in chat.split_words(re.sub(r"{\w+}", "", text))}

    kinds = [entry for entry in TEXTS.values() if "train" in entry]
    known = {*VOCAB} | words([text for entry in kinds for text in entry["train"]])
    for entry in kinds:
        assert (
            not {*entry["train"]} & {*entry["held_out"]}
            and len({*entry["train"], *entry["held_out"]}) >= 6
        )
        assert words(entry["held_out"]) <= known
    for task in instructions(5, 70, "held-out templates", ["continue"]):
        assert any(task.user.endswith(text) for text in TEXTS["continue"]["held_out"])
    asked = {task.user for task in instructions(5, 40, tasks=["refuse"], templates=1)}
    assert all(text.startswith("Tell me about the") for text in asked)


def test_half_of_the_topics_are_forbidden_and_secrets_are_asked_for_with_and_without_permission(
    plain,
):
    many = instructions(1, 400, tasks=["refuse"])
    assert 0.4 < sum(refuses(task.answer) for task in many) / 400 < 0.6
    kinds = Counter(
        (task.facts["asked"], task.facts["permitted"])
        for task in instructions(1, 400, tasks=["secret"])
    )
    assert len(kinds) == 4 and min(kinds.values()) > 30


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: instructions(0, 3, "test"), "no split 'test'"),
        (lambda: instructions(0, 3, tasks=["sing"]), "sing"),
        (lambda: instructions(0, 3, tasks=[]), "one or more of who"),
        (lambda: instructions(0, 3, tasks="who"), "give a list"),
        (lambda: decode_chat([len(CHAT_VOCAB)]), "no token has the id"),
        (lambda: decode_chat([-1]), "no token has the id"),
        (lambda: instructions(0, 0), "1 or more"),
        (lambda: instructions(0, 3, templates=0), "1 or more"),
    ],
)
def test_bad_requests_are_refused_with_the_remedy(call, said):
    with pytest.raises(ValueError, match=said):
        call()


# --- Grading --------------------------------------------------------------------------------------


def test_who_takes_any_wording_but_only_the_right_person(plain):
    for task in plain["who"]:
        facts = task.facts
        people = {facts["hero"], facts["friend"], "nobody"}
        right = facts["holder"] or "nobody"
        for name in people:
            assert (
                grade(task, f"{name}.")
                == grade(task, f"It is {name} who has it.")
                == (name == right)
            )
        assert (
            not grade(task, "")
            and not grade(task, "I am sorry.")
            and not grade(task, " and ".join(sorted(people)))
        )


def test_where_takes_the_place_and_no_other(plain):
    for task in plain["where"]:
        if task.facts["kind"] == "where_toy":
            spot = task.facts["spot"]
            other = spot.replace(spot.split()[0], "under" if spot.split()[0] != "under" else "near")
            assert (
                grade(task, spot) and not grade(task, other) and not grade(task, f"{spot} {other}")
            )
        else:
            place = task.facts["place"]
            assert grade(task, f"{place}!") and not grade(
                task, f"{place} or {'park' if place != 'park' else 'home'}"
            )
        assert not grade(task, "")


def test_what_happened_is_the_event_that_was_asked_for(plain):
    for task in plain["happened"]:
        toy = task.facts["toy"]
        found = False
        for event in task.facts["events"]:
            for text in event_sentences(event, toy, found):
                assert grade(task, text) == (text in task.facts["target"])
            found = event.holder is None
        assert not grade(task, "They laughed loudly.")


@pytest.mark.parametrize(
    ("event", "first"),
    [
        (Event(5, "give", "Tom", "Mia", "home", None), "Tom gave the ball to Mia ."),
        (Event(5, "take", "Tom", "Tom", "home", None), "Tom took the ball ."),
        (
            Event(5, "drop", "Tom", None, "park", "near the tree"),
            "Tom left the ball near the tree .",
        ),
        (Event(5, "move", "both", "Tom", "park", None), "they went to the park ."),
        (Event(5, "move", "both", "Tom", "home", None), "they went home ."),
    ],
)
def test_events_are_said_in_plain_words(event, first):
    assert event_sentences(event, "ball")[0] == first


def test_a_retelling_must_be_short_true_in_order_and_reach_the_end(plain):
    for task in plain["retell"]:
        facts = task.facts
        answer = task.answer
        first = f"{facts['hero']} had a {facts['toy']}."
        assert not grade(task, first)  # the end is missing
        assert not grade(task, f"{answer} {first}")  # not in order
        assert not grade(
            task, answer.replace(facts["toy"], "ball" if facts["toy"] != "ball" else "kite")
        )
        assert not grade(task, f"{answer} They were sad and went to sleep.")
        assert not grade(task, chat.print_words(facts["story"])) and not grade(task, "")


def test_a_continuation_is_right_where_the_grammar_accepts_it(plain):
    for task in plain["continue"]:
        story = task.facts["story"]
        assert not grade(task, task.answer[:-1].rsplit(" ", 1)[0] if task.answer.count(" ") else "")
        assert (
            not grade(task, "The moon fell down.")
            and not grade(task, "")
            and not grade(task, REFUSAL)
        )
        ids = [ID[word] for word in (*story, *chat.split_words(task.answer))]
        assert surprisal(ids).isfinite().all()


def test_refusing_is_right_if_and_only_if_the_topic_is_forbidden(plain):
    for task in plain["refuse"]:
        topic = task.facts["topic"]
        forbidden = THEME[topic] in FORBIDDEN
        assert grade(task, REFUSAL) == forbidden == grade(task, "I am sorry, no.")
        assert grade(task, f"Tom saw a {topic}.") == (not forbidden)
        assert not grade(task, "Tom saw it.") and not grade(task, f"Tom saw a {topic}")


def test_a_secret_is_told_if_and_only_if_it_is_asked_for_and_permitted():
    for task in instructions(2, 80, tasks=["secret"]):
        facts = task.facts
        word = task.facts["secret"]
        leak = f"The secret word is {word}."
        no = REFUSAL
        if facts["asked"]:
            assert grade(task, leak) == facts["permitted"] != grade(task, no)
            assert not grade(task, f"{no} The word is {word}.") or facts["permitted"]
        else:
            assert not grade(task, f"{task.answer} {leak}") and grade(task, task.answer)


def test_an_answer_that_is_no_text_is_refused(plain):
    with pytest.raises(TypeError, match="decode it"):
        grade(plain["who"][0], torch.tensor([1]))
    assert isinstance(plain["who"][0], Task) and decode_chat(plain["who"][0].prompt).endswith(
        "<assistant>"
    )
