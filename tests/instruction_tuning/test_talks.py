"""Talks against the library's own template, measures against plain loops, and the recorder."""

import json
import math

import pytest
import torch
import torch.nn.functional as F
import tune_instructions
from scipy.stats import mannwhitneyu

from course_utils import pretrained
from course_utils.instruction_tuning import measures, runs, talks
from course_utils.instruction_tuning.chat import CHAT_ID, encode_chat, split_words
from course_utils.instruction_tuning.fine_tuning import answer_mask, base_with_chat
from course_utils.instruction_tuning.grading import grade
from course_utils.instruction_tuning.tasks import SPLITS, instructions
from course_utils.stories.corpus import ID
from course_utils.stories.grammar import BOYS, GIRLS, VOCAB


def test_template_tokens_and_mask_of_the_library_are_ours():
    tokenizer = talks.chat_tokenizer()
    for split in SPLITS:
        for task in instructions(5, 42, split):
            messages = talks.as_messages(task, task.answer)
            text = tokenizer.apply_chat_template(messages, tokenize=False)
            assert text == talks.write_chat(messages, add_generation_prompt=False)
            found = tokenizer.apply_chat_template(
                messages, return_dict=True, return_assistant_tokens_mask=True
            )
            assert found["input_ids"] == task.ids.tolist()
            assert found["assistant_masks"] == answer_mask(task.ids[None])[0].int().tolist()
            waiting = talks.write_chat(talks.as_messages(task))
            assert tokenizer(waiting)["input_ids"] == task.prompt.tolist()


def test_a_talk_is_what_encode_chat_makes_of_it():
    tasks = talks.follow_ups(instructions(2, 1, tasks=["who"])[0])
    messages = talks.talk_of(tasks, last_answer=True)
    turns = [(message["role"], message["content"]) for message in messages]
    ids = talks.chat_tokenizer().apply_chat_template(messages)["input_ids"]
    assert ids == encode_chat(turns).tolist() and len(ids) < 150
    assert [message["role"] for message in messages] == ["user", "assistant"] * 3
    with pytest.raises(ValueError, match="no question of who"):
        talks.follow_ups(instructions(2, 1, tasks=["retell"])[0])


@pytest.mark.parametrize("content", ["<system>", "a <end of turn>", "<assistant> b", "<user>"])
def test_no_content_may_hold_a_special_token(content):
    with pytest.raises(ValueError, match="special token"):
        talks.write_chat([{"role": "user", "content": content}])


def test_good_answers_of_follow_ups_and_absent_toys_are_graded_right():
    for number, task in enumerate(instructions(3, 40, tasks=["who"])):
        for follow in talks.follow_ups(task):
            assert grade(follow, follow.answer)
            assert grade(talks.with_story(follow), follow.answer)
        other = talks.about_another_toy(task, number)
        assert grade(other, other.answer) and other.facts["toy"] not in task.facts["story"]
        assert other.facts["toy"] in split_words(other.user)
        if task.facts["holder"]:
            assert not grade(other, task.answer)


# --- Measures -------------------------------------------------------------------------------------


def test_decodings_count_right_draws_and_new_ones():
    tasks = instructions(0, 2, tasks=["who"])
    said = iter([[tasks[0].answer, "x"], ["x", "x"]] * 3 + [[tasks[0].answer, tasks[1].answer]])
    found = measures.decodings(lambda **settings: next(said), tasks)
    for temperature in (1.0, 0.7, 0.5):
        right, new = found[temperature]
        assert right.tolist() == [0.5, 0.0] and new.tolist() == [1.0, 0.0]
    assert found[0.0][0].tolist() == [1.0, 1.0] and found[0.0][1].tolist() == [0.0, 0.0]
    with pytest.raises(ValueError, match="2 or more"):
        measures.decodings(lambda **settings: [], tasks, draws=1)


def test_losses_by_story_are_those_of_a_plain_loop():
    model = pretrained.assistant()
    told = measures.beginnings(4, 3, measures.SYNTHETIC)
    all_words = measures.losses_by_story(model, told)
    names = measures.losses_by_story(model, told, repeated_names=True)
    for excerpt, whole, named in zip(told, all_words, names, strict=True):
        ids = torch.tensor([ID[word] for word in excerpt.words])
        logs = model(ids[None])[0, :, : len(VOCAB)].log_softmax(-1)
        nats = [-logs[t - 1, ids[t]].item() for t in range(1, len(ids))]
        again = [
            nats[t - 1]
            for t in range(1, len(ids))
            if excerpt.words[t] in GIRLS + BOYS and excerpt.words[t] in excerpt.words[:t]
        ]
        assert whole.item() == pytest.approx(sum(nats) / len(nats), rel=1e-4)
        if again:
            assert named.item() == pytest.approx(sum(again) / len(again), rel=1e-4)
        else:
            assert math.isnan(named)


def test_beginnings_have_the_names_that_are_asked_for():
    for names in (None, measures.SYNTHETIC, measures.NEVER):
        for excerpt in measures.beginnings(1, 10, names):
            new = {excerpt.facts["hero"], excerpt.facts["friend"]} & {*measures.NEW_NAMES}
            assert new <= {*(names or ())} and bool(new) == (names is not None)


def test_confidence_is_the_geometric_mean_of_the_probabilities():
    model = pretrained.assistant()
    task = instructions(1, 1, tasks=["refuse"])[0]
    start = len(task.prompt)
    logits = model(task.ids[None, :-1])[0, start - 1 :]
    want = F.softmax(logits, -1).gather(1, task.ids[start:, None]).log().mean().exp()
    assert measures.confidences(model, [task], [task.answer]).item() == pytest.approx(want.item())


def test_auc_is_mann_and_whitneys_u_of_scipy():
    dice = torch.Generator().manual_seed(0)
    right = (torch.randn(30, generator=dice) + 0.5).round(decimals=1)
    wrong = torch.randn(20, generator=dice).round(decimals=1)
    want = mannwhitneyu(right.numpy(), wrong.numpy()).statistic / (30 * 20)
    assert measures.auc(right, wrong) == pytest.approx(want)


def test_few_shot_prompts_hold_no_answer_of_the_task_itself():
    one, two = instructions(0, 2, tasks=["refuse"])
    ids = measures.few_shot_prompt(one, [two]).tolist()
    words = split_words(f"{two.user} {two.answer}")
    assert ids[: len(words)] == [CHAT_ID[word] for word in words] and ids[len(words)] == 0
    assert ids[len(words) + 1 :] == [CHAT_ID[word] for word in split_words(one.user)]


# --- Runs -----------------------------------------------------------------------------------------


def test_nothing_of_the_tests_is_in_the_synthetic_tasks():
    edges = runs.edge_cases(0, 60)
    for names in (measures.SYNTHETIC, measures.NEVER):
        tests = runs.unseen_with(names, 60)
        assert len(tests) == 60 and not {t.user for t in tests} & {e.user for e in edges}
        assert all(runs.names_of(test) & {*names} for test in tests)
    assert not any(runs.names_of(edge) & {*measures.NEVER} for edge in edges)


def test_replay_adds_rows_of_which_every_token_counts():
    rows = [task.ids for task in instructions(0, 6)]
    draw = runs.rows_of(rows, batch=3)
    stories = torch.arange(1000) % 600
    plain = draw(torch.Generator().manual_seed(1))
    mixed = runs.with_replay(draw, stories, rows=2)(torch.Generator().manual_seed(1))
    for one, both in zip(plain, mixed, strict=True):
        assert torch.equal(both[:3], one) and len(both) == 5
    inputs, targets, mask = mixed
    assert mask[3:].all() and torch.equal(inputs[3:, 1:], targets[3:, :-1])


def test_the_record_has_three_seeds_of_each_run():
    record = runs.recorded()
    assert [*record] == [*tune_instructions.ARMS]
    assert all([row["seed"] for row in rows] == [0, 1, 2] for rows in record.values())
    for kind in runs.LEFT_OUT:
        assert all(kind in row["kinds"] for row in record[f"without {kind}"])


def test_the_tool_writes_what_the_lesson_reads(monkeypatch, tmp_path):
    for module, name, value in (
        (runs, "STEPS", 2), (runs, "MORE_STEPS", 2), (runs, "N", 14), (runs, "MORE", 10),
        (runs, "SEEDS", (0,)), (tune_instructions, "TESTS", 7),
        (tune_instructions, "ARMS", ("replay", "without where", "edge cases", "talks", "absent toys")),
    ):  # fmt: skip
        monkeypatch.setattr(module, name, value)
    out = tmp_path / "runs.json"
    assert tune_instructions.main(["--out", str(out)]) == 0
    rows = json.loads(out.read_text())["rows"]
    assert [row["arm"] for row in rows] == [*tune_instructions.ARMS]
    assert rows[0].keys() == runs.recorded()["answers"][0].keys()


def test_tuning_takes_the_students_loss():
    seen = []

    def loss(model, batch):
        seen.append(batch[2].any().item())
        return model(batch[0])[batch[2]].square().mean()

    rows = [task.ids for task in instructions(0, 4)]
    assert not runs.tune(base_with_chat(), runs.rows_of(rows, 1), more=True, loss_fn=loss).training
    assert len(seen) == runs.MORE_STEPS and all(seen)
