"""Fine-tuning: the loss on the answers against a plain loop, many answers against one at a time,
forgetting.
"""

import pytest
import torch

from course_utils import pretrained
from course_utils.gpt2.model import GPT, GPTConfig
from course_utils.instruction_tuning import fine_tuning as instruction_tuning
from course_utils.instruction_tuning.chat import ASSISTANT, END_OF_TURN, encode_chat
from course_utils.instruction_tuning.tasks import instructions
from course_utils.pretrained import storyteller
from course_utils.sampling.decoding import greedy
from course_utils.training import train


def dice(seed=0):
    return torch.Generator().manual_seed(seed)


def tiny(vocabulary=734):
    sizes = dict(
        n_layer=2,
        n_head=2,
        n_embd=16,
        n_positions=128,
        vocab_size=vocabulary,
        initializer_range=0.2,
    )
    return GPT(GPTConfig(**sizes), dice()).eval()


@pytest.fixture(scope="module")
def tasks():
    return instructions(5, 21)


# --- The loss on the answer -----------------------------------------------------------------------


def test_the_mask_holds_the_answer_and_its_end_and_nothing_else(tasks):
    ids = instruction_tuning.pad([task.ids for task in tasks])
    for task, row, mask in zip(tasks, ids, instruction_tuning.answer_mask(ids), strict=True):
        start = len(task.prompt)
        answer = encode_chat([("assistant", task.answer)])[1:]
        assert row[mask].tolist() == answer.tolist()
        assert mask.nonzero().flatten().tolist() == list(range(start, start + len(answer)))


def test_both_answers_of_a_talk_count_and_padding_never_does():
    ids = encode_chat(
        [("user", "Who?"), ("assistant", "Tom."), ("user", "Where?"), ("assistant", "Home.")]
    )
    assert instruction_tuning.answer_mask(ids[None]).sum() == 6
    assert (
        instruction_tuning.answer_mask(
            instruction_tuning.pad([ids, torch.tensor([END_OF_TURN] * 40)])
        ).sum()
        == 6
    )
    assert instruction_tuning.answer_mask(
        torch.tensor([[ASSISTANT, END_OF_TURN, END_OF_TURN]])
    ).tolist() == [[False, True, False]]


@pytest.mark.parametrize("everything", [False, True])
def test_the_loss_is_the_mean_over_answer_tokens_of_a_plain_loop(tasks, everything):
    model = tiny()
    rows = [task.ids for task in tasks]
    inputs, targets, mask = instruction_tuning.task_batches(tasks, 6, everything)(dice(3))
    picked = torch.randint(len(rows), (6,), generator=dice(3)).tolist()
    nats = []
    for i in picked:
        logits = model(rows[i][None, :-1])[0]
        first = 1 if everything else len(tasks[i].prompt)
        nats += [
            -logits[t - 1].log_softmax(-1)[rows[i][t]].item() for t in range(first, len(rows[i]))
        ]
    assert mask.sum() == len(nats)
    assert instruction_tuning.answer_loss(model, (inputs, targets, mask)).item() == pytest.approx(
        sum(nats) / len(nats), rel=1e-5
    )


def test_training_on_answers_teaches_a_tiny_model_to_refuse():
    refusals = [
        task
        for task in instructions(0, 60, tasks=["refuse"])
        if task.answer.startswith("I am sorry")
    ]
    model = tiny()
    train(
        model,
        instruction_tuning.task_batches(refusals, 8),
        60,
        lr=1e-2,
        loss_fn=instruction_tuning.answer_loss,
        progress=False,
    )
    assert instruction_tuning.accuracy(model.eval(), refusals[:5])["refuse"] == 1.0


def test_no_tasks_are_refused():
    with pytest.raises(ValueError, match="no tasks"):
        instruction_tuning.task_batches([], 4)
    with pytest.raises(ValueError, match="no tasks"):
        instruction_tuning.accuracy(tiny(), [])


# --- Asking ---------------------------------------------------------------------------------------


def test_answers_of_many_lengths_are_those_of_one_prompt_at_a_time(tasks):
    model = pretrained.assistant()
    texts = instruction_tuning.answers(model, tasks[:9])
    for task, text in zip(tasks, texts, strict=False):
        out = greedy(model, task.prompt[None], instruction_tuning.LONGEST)[
            0, len(task.prompt) :
        ].tolist()
        assert END_OF_TURN in out
        assert encode_chat([("assistant", text)])[1:-1].tolist() == out[: out.index(END_OF_TURN)]


def test_drawn_answers_follow_the_generator(tasks):
    drawn = [
        instruction_tuning.answers(pretrained.assistant(), tasks[:7], dice(seed), temperature=2.0)
        for seed in (0, 0, 1)
    ]
    assert drawn[0] == drawn[1] != drawn[2]


def test_the_stored_assistant_answers_and_the_base_model_does_not():
    asked = instructions(123, 140)
    shares = instruction_tuning.accuracy(pretrained.assistant(), asked)
    assert shares["all"] > 0.85 and min(shares.values()) > 0.6
    assert sum(shares[name] for name in shares if name != "all") / 7 == pytest.approx(shares["all"])
    assert (
        instruction_tuning.accuracy(instruction_tuning.base_with_chat(), asked[:28])["all"] < 0.15
    )


def test_the_story_loss_is_that_of_the_storyteller_before_and_higher_after():
    base = instruction_tuning.story_loss(storyteller())
    assert instruction_tuning.story_loss(instruction_tuning.base_with_chat()) == pytest.approx(
        base, abs=1e-5
    )
    assert instruction_tuning.story_loss(pretrained.assistant()) > base + 0.3
