"""What lesson 04 measures: that the measured things are the right ones, not how long they take."""

import json

import pytest
import torch
from record import measure_gpu

from course_utils.gpt2 import building, timing
from course_utils.gpt2.model import GPT, GPTConfig
from course_utils.gpt2.static import StaticDecoder

TINY = GPTConfig(n_layer=2, n_head=2, n_embd=16, vocab_size=31, n_positions=64)
SIZE = {
    "config": TINY, "n": 32, "length": 1024, "T": 16, "batches": (1, 2), "lengths": (32, 64),
    "rows": (2, 16), "n_new": 6,
}  # fmt: skip


@pytest.fixture
def model():
    return GPT(TINY, torch.Generator().manual_seed(0)).eval()


def ids_of(B, T, seed=0):
    return torch.randint(TINY.vocab_size, (B, T), generator=torch.Generator().manual_seed(seed))


def test_the_lessons_own_forward_and_loss_are_the_models(model):
    ids = ids_of(2, 9)
    logits = building.forward(ids, model.wte.weight, model.wpe.weight, model.h, model.ln_f)
    torch.testing.assert_close(logits, model(ids))
    expected = torch.nn.functional.cross_entropy(logits[:, :-1].mT, ids[:, 1:])
    torch.testing.assert_close(building.next_token_loss(logits, ids), expected)


@pytest.mark.parametrize("B", [1, 3])
def test_a_cache_of_full_length_gives_the_models_scores(model, B):
    ids = ids_of(B, 12)
    decoder = StaticDecoder(model, B)
    for t in range(12):
        scores = decoder.next(ids[:, t : t + 1])
        torch.testing.assert_close(scores, model(ids[:, : t + 1], last=True)[:, 0])


def test_a_decoder_begins_anew_and_says_where_its_room_ends(model):
    decoder = StaticDecoder(model, 1, n_positions=5)
    first = decoder.read(ids_of(1, 5, seed=1))
    with pytest.raises(ValueError, match="room for 5 tokens"):
        decoder.next(ids_of(1, 1))
    decoder.length = 0
    decoder.read(ids_of(1, 5, seed=2))
    decoder.length = 0
    torch.testing.assert_close(decoder.read(ids_of(1, 5, seed=1)), first)


def test_all_ways_to_write_write_the_same(model):
    start = ids_of(1, 1)
    with torch.inference_mode():
        texts = [
            timing._without_cache(model, start, 9),
            timing._with_cache(model, start, 9),
            timing._static(StaticDecoder(model, 1), start, 9),
        ]
    assert texts[0].shape == (1, 10) and all(torch.equal(text, texts[0]) for text in texts)


def test_written_out_attention_takes_memory_that_grows_with_the_square():
    config = GPTConfig(n_layer=1, n_head=4, n_embd=16, vocab_size=31, n_positions=512)
    rows = {
        (r["kind"], r["T"]): r["bytes"]
        for r in timing.attention_costs(config, 1, (256, 512), "cpu")
    }
    weights = 4 * 4 * 512**2  # bytes of the weights of four heads
    assert rows["explicit", 512] > weights > rows["fused", 512]
    assert rows["explicit", 512] / rows["explicit", 256] > 3.5
    assert rows["fused", 512] / rows["fused", 256] == pytest.approx(2, rel=0.05)


def test_a_batch_that_does_not_fit_ends_the_sweep(model, monkeypatch):
    real = timing.seconds_of

    def cramped(work, device, repeats=5):
        if len(found) == 2:
            raise MemoryError
        found.append(1)
        return real(work, device, repeats)

    found = []
    monkeypatch.setattr(timing, "seconds_of", cramped)
    assert [row["B"] for row in timing.batch_sweep(model, 8, (1, 2, 4, 8))] == [1, 2]


def test_the_matmul_precision_is_put_back():
    before = torch.get_float32_matmul_precision()
    with pytest.raises(RuntimeError), timing.computing_in("TF32") as dtype:
        assert dtype is torch.float32 and torch.get_float32_matmul_precision() == "high"
        raise RuntimeError
    assert torch.get_float32_matmul_precision() == before


def test_what_cannot_be_compiled_is_said(model):
    def broken(_):
        def run(ids):
            raise RuntimeError("no compiler\nhere")

        return run

    rows = timing.compiled_times(model, 1, 8, compiler=broken)
    assert rows[0]["way"] == "as it stands" and rows[0]["seconds"] > 0
    assert rows[1] == {"way": "compiled", "failed": "RuntimeError: no compiler"}


def test_the_peaks_are_those_of_the_data_sheets():
    """NVIDIA: T4, L4, A100 80GB SXM, H100 SXM; dense."""
    assert timing.CARDS["A100"] == (
        {"float32": 19.5e12, "TF32": 156e12, "bfloat16": 312e12},
        2039e9,
    )
    assert [bandwidth for _, bandwidth in timing.CARDS.values()] == [320e9, 300e9, 2039e9, 3350e9]


def test_the_recorder_keeps_what_the_lesson_reads(tmp_path, monkeypatch):
    file = tmp_path / "gpus.json"
    device = torch.device("cpu")
    record = measure_gpu.recorded(device, SIZE, compiled=False)
    measure_gpu.keep(file, "a card", record)
    measure_gpu.keep(file, "another", record)
    measure_gpu.keep(file, "a card", {**record, "date": "later"})
    monkeypatch.setattr(timing.assets, "path", lambda name: file)
    monkeypatch.setattr(timing.assets, "read_json", lambda name: json.loads(file.read_text()))
    found = timing.records()
    assert list(found) == ["a card", "another"] and found["a card"]["date"] == "later"
    assert (
        found["another"]["command"] == measure_gpu.COMMAND and found["another"]["machine"] == "cpu"
    )
    kept = found["another"]
    assert set(kept["limits"]["flops"]) == {"float32", "bfloat16"}
    assert [row["B"] for row in kept["batch sweep"]] == [1, 2]
    assert [row["way"] for row in kept["decoding"]] == ["no cache", "cache", "cache of full length"]
    assert kept["training"][0]["tokens"] == 32 and len(kept["trace"]) > 20


def test_without_a_record_there_is_none(monkeypatch, tmp_path):
    monkeypatch.setattr(timing.assets, "path", lambda name: tmp_path / "none.json")
    assert timing.records() == {}
