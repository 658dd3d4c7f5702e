"""Notes that point at each other, the runs of lesson 03, and their record."""

import json

import pytest
import torch
import train_blocks

from course_utils.transformer_block import Transformer, block, runs
from course_utils.transformer_block.hops import Hops


def follow(task, ids):
    """Numbers and hops of one text, read note by note with a dictionary."""
    known = {}
    out = []
    for note in ids.tolist():
        name, says = divmod(note, task.names + task.numbers)
        number, hops = known[says] if says < task.names else (says - task.names, -1)
        known[name] = number, hops + 1
        out.append(known[name])
    return out


@pytest.mark.parametrize("task", [Hops(), Hops(6, 3, 2), runs.TASK])
def test_the_numbers_and_hops_are_those_of_following_the_notes(task):
    ids, numbers, hops = task.draw(50, torch.Generator().manual_seed(0))
    assert ids.shape == (50, task.names) and ids.max() < task.vocab_size
    for row, said, far in zip(ids, numbers.tolist(), hops.tolist(), strict=True):
        assert follow(task, row) == list(zip(said, far, strict=True))
        names = (row // (task.names + task.numbers)).tolist()
        assert sorted(names) == list(range(task.names))
    assert hops.max() >= 2 and set(numbers.flatten().tolist()) == set(range(task.numbers))


def test_accuracy_counts_only_the_notes_of_that_many_hops():
    task = Hops(6, 3, 2)

    class Direct(torch.nn.Module):
        """Knows what a note says itself, and guesses 0 for a pointer."""

        def __init__(self):
            super().__init__()
            self.dummy = torch.nn.Parameter(torch.zeros(()))

        def forward(self, ids):
            says = ids % (task.names + task.numbers) - task.names
            return torch.nn.functional.one_hot(says.clamp(min=0), task.vocab_size).float()

    assert task.accuracy(Direct(), 0) == 1
    assert 0.2 < task.accuracy(Direct(), 1) < 0.5  # one of three numbers


def test_the_wide_block_has_the_parameters_of_four():
    count = [
        sum(p.numel() for p in Transformer(config).parameters())
        for config in (runs.hop_config(4), runs.wide_config(4), runs.hop_config(1))
    ]
    assert count[0] <= count[1] < 1.001 * count[0] and count[2] < count[0] / 2


def test_depth_paid_with_every_seed_of_the_record_and_width_did_not():
    rows = runs.recorded()["hops"]
    at = {
        (r["blocks"], r["wide"], hops): [
            other["accuracy"][hops]
            for other in rows
            if (other["blocks"], other["wide"]) == (r["blocks"], r["wide"])
        ]
        for r in rows
        for hops in range(6)
    }
    assert all(len(values) == 3 for values in at.values())
    assert min(at[4, False, 4]) > max(at[2, False, 4]) > max(at[1, True, 4])
    assert min(at[2, False, 2]) > max(at[1, False, 2] + at[1, True, 2])


def test_the_recorder_writes_what_the_record_holds(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(train_blocks, "SEEDS", (0,))
    monkeypatch.setattr(train_blocks, "STEPS", dict.fromkeys(train_blocks.STEPS, 10))
    assert train_blocks.main(["--out", str(tmp_path)]) == 0 and "tying" in capsys.readouterr().out
    written = json.loads((tmp_path / "runs.json").read_text())
    known = runs.recorded()
    assert written.keys() == known.keys() and written["steps"].keys() == known["steps"].keys()
    for part in train_blocks.PARTS:
        assert written[part][0].keys() == known[part][0].keys()
        assert len(known[part]) == 3 * len(written[part])


def test_a_deaf_block_differs_from_the_block_only_in_what_the_network_reads():
    x = torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(0))
    parts = [lambda z: 2 * z, torch.tanh, lambda z: z - 1, lambda z: z + 1]
    seen = []
    out = block.deaf_block(x, parts[0], lambda z: seen.append(z) or torch.tanh(z), *parts[2:])
    torch.testing.assert_close(seen[0], x + 1)
    torch.testing.assert_close(out, x + 2 * (x - 1) + torch.tanh(x + 1))


def test_the_feed_forward_network_is_the_modules():
    module = block.MLP(8)
    x = torch.randn(2, 3, 8, generator=torch.Generator().manual_seed(0))
    up = module.c_fc
    down = module.c_proj
    got = block.feed_forward(x, up.weight, up.bias, down.weight, down.bias, module.act)
    torch.testing.assert_close(got, module(x))
