"""tools/bench.py: medians, ratios, minimums, answers; every topic has races."""

import json
import sys
from importlib import import_module
from types import SimpleNamespace

import bench
import pytest
import races


def ticking(seconds):
    """A clock that shows these times, one after the other."""
    return iter(seconds).__next__


def test_a_race_takes_medians_and_ratios_and_checks_minimum_and_answers():
    contenders = {"course_utils": lambda: 1, "slow": lambda: 1, "wrong": lambda: 2}
    times = [0, 1, 0, 9, 0, 1] + [0, 2, 0, 30, 0, 1] + [0, 9, 0, 20, 0, 1]
    race = races.Race("r", contenders, {"slow": 10}, frozenset({"slow", "wrong"}), ticking(times))
    ours, slow, wrong = bench.run(race, 3)
    assert (ours.seconds, slow.seconds, slow.ratio, slow.met, slow.agrees, wrong.agrees) == (
        2,
        20,
        10,
        True,
        True,
        False,
    )
    assert "met" in bench.table([ours, slow]) and "DISAGREE" in bench.table([wrong])
    assert bench.failed([ours, slow, wrong]) and not bench.failed([ours, slow])


def test_a_missed_minimum_makes_the_command_fail(monkeypatch, capsys, tmp_path):
    def races_of_x():
        yield races.Race(
            "r",
            {"course_utils": lambda: 1, "slow": lambda: 1},
            {"slow": 10},
            clock=ticking([0, 1, 0, 5]),
        )

    monkeypatch.setattr(bench, "TOPICS", ("x",))
    monkeypatch.setitem(sys.modules, "races.x", SimpleNamespace(races=races_of_x))
    assert bench.main(["x", "--repeats", "1", "--json", str(tmp_path / "out.json")]) == 1
    assert ">= 10: NOT MET" in capsys.readouterr().out
    row = json.loads((tmp_path / "out.json").read_text())["rows"][1]
    assert (row["contender"], row["ratio"], row["met"]) == ("slow", 5, False)


def test_an_unknown_topic_lists_those_there_are(capsys):
    with pytest.raises(SystemExit):
        bench.main(["nothing"])
    assert "tokenization" in capsys.readouterr().err


def test_every_topic_has_races():
    assert [
        topic for topic in races.TOPICS if not callable(import_module(f"races.{topic}").races)
    ] == []
