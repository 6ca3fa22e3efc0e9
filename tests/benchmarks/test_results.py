"""The speed table without measuring anything: intervals, goals, merging, the page, unknown names."""

import itertools
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binom

from benchmarks.speed import interval, machine, results, table, worker
from benchmarks.speed.row import Goal, Row, Side

MACHINE = {"processor": "Made-up", "cores": 2, "memory_gib": 8.0, "system": "Linux"}
OURS, PEER = Side("medjax", "a:b"), Side("peer", "a:c", peer=True)


def side(label: str, *values: float, kind: str = "cpu", **facts: object) -> dict:
    device = {"kind": kind, "name": "Fast", "count": 1}
    return {"label": label, "median": float(np.median(values)), "interval": interval.held(values),
            "values": list(values), "facts": {"device": device, "versions": {"jax": "1.2"}, **facts}}  # fmt: skip


def measured(*sides: dict, **more: object) -> dict:
    found = {"missing": [], "rounds": len(sides[0]["values"]), "load": {"average_1_minute": 1.0, "others": 0.01},
             "commit": "abc", "date": "2026-01-01"}  # fmt: skip
    return {"ours": sides[0], "peers": list(sides[1:]), **found, **more}


def test_order_statistics_hold_the_median_as_often_as_they_say():
    assert interval.held([1.0, 2, 3, 4, 5]) is None
    assert interval.held([6.0, 5, 4, 3, 2, 1]) == (1, 6)
    for count in range(6, 40):
        low, high = interval.held(list(range(count))) or (0, 0)
        assert high == count - 1 - low  # as far from both ends
        held = 1 - 2 * binom.cdf(low, count, 0.5)
        assert held >= interval.LEVEL
        assert 1 - 2 * binom.cdf(low + 1, count, 0.5) < interval.LEVEL  # no shorter one would
    draws = np.random.default_rng(0).exponential(size=(2000, 9))
    inside = [low <= np.log(2) <= high for low, high in (interval.held(row) or (0, 0) for row in draws.tolist())]
    assert np.mean(inside) == pytest.approx(1 - 2 * binom.cdf(1, 9, 0.5), abs=0.02)


def test_the_ratio_is_taken_round_by_round():
    # The machine is three times as slow in the second half; the ratio does not see it.
    found = interval.ratio([2.0, 2, 2, 6, 6, 6], [1.0, 1, 1, 3, 3, 3])
    assert found == {"median": 2, "low": 2, "high": 2}
    assert interval.ratio([2.0], [1.0]) == {"median": 2, "low": None, "high": None}


def test_the_faster_peer_counts_and_the_goal_is_that_of_the_device():
    row = Row("a", "work", OURS, (PEER,), goals={"cpu": Goal(least=3), "gpu": Goal(least=1)}, reason="too many leaves")
    sides = (side("slow", *[9.0] * 6), side("fast", *[2.0] * 6))
    found = results.judge(row, measured(side("medjax", *[1.0] * 6), *sides))
    assert (found["peer"], found["ratio"]["median"]) == ("fast", 2)
    assert (found["met"], found["sure"], found["reason"]) == (False, True, "too many leaves")
    found = results.judge(row, measured(side("medjax", *[1.0] * 6, kind="gpu"), *sides))
    assert (found["met"], found["reason"], found["goal"]) == (True, "", {"least": 1})


def test_a_cost_is_ours_over_theirs_and_values_are_judged_themselves():
    cost = Row("a", "work", OURS, (PEER,), cost=True, goals={"cpu": Goal(most=1.02)})
    found = results.judge(cost, measured(side("medjax", 1.01, 1.01, 1.01, 1.01, 1.01, 1.04), side("peer", *[1.0] * 6)))
    assert found["ratio"]["median"] == pytest.approx(1.01)
    assert (found["met"], found["sure"]) == (True, False)  # the interval holds the goal
    value = Row("a", "work", OURS, goals={"cpu": Goal(most=5)})
    found = results.judge(value, measured(side("medjax", *[6.0] * 6)))
    assert (found["met"], found["sure"], found["reason"]) == (False, True, "not profiled")
    assert "<= 5 s" in results.line(found)


def test_without_peers_there_are_our_columns_and_no_verdict():
    row = Row("a", "work", OURS, (PEER,), goals={"cpu": Goal(least=3)})
    found = results.judge(row, measured(side("medjax", *[0.0123] * 6), missing=["peer: no --peer given"]))
    assert (found["met"], found["peer"], found["ratio"]) == (None, None, None)
    assert "| 12.3 ms | |" in results.line(found).replace("  ", " ")
    assert "no --peer given" in results.page(results.merge({}, MACHINE, [found], ["a"]))


def test_merging_replaces_what_was_measured_again_and_nothing_else():
    def row(name: str, value: float, kind: str = "cpu") -> dict:
        return results.judge(Row(name, "work", OURS), measured(side("medjax", value, kind=kind)))

    order = ["a", "b", "c"]
    first = results.merge({}, MACHINE, [row("b", 1.0), row("a", 2.0)], order)
    (own,) = first
    assert list(first[own]["rows"]) == ["a", "b"]  # the table's order
    second = results.merge(first, MACHINE, [row("a", 5.0), row("c", 6.0)], order)
    assert {name: one["ours"]["median"] for name, one in second[own]["rows"].items()} == {"a": 5, "b": 1, "c": 6}
    assert first[own]["rows"]["a"]["ours"]["median"] == 2  # what was given is left alone
    # A GPU has a table of its own; a row that failed keeps what there was; a row that is no longer known goes.
    third = results.merge(second, MACHINE, [row("a", 0.1, "gpu")], order)
    assert third[own] == second[own]
    assert third["1 x Fast"]["rows"]["a"]["ours"]["median"] == 0.1
    failed = results.judge(Row("a", "work", OURS), {"error": "no data"})
    assert results.merge(second, MACHINE, [failed], order) == second
    assert results.merge({}, MACHINE, [failed], order)[own]["rows"]["a"]["error"] == "no data"
    assert list(results.merge(second, MACHINE, [row("c", 1.0)], ["b", "c"])[own]["rows"]) == ["b", "c"]


def test_the_page_is_a_table_with_notes_and_goes_through_json(tmp_path):
    row = Row("a", "work", OURS, (PEER,), per="step", goals={"cpu": Goal(least=3)})
    sides = (side("medjax", *[1.0] * 6, note="10 parameters"), side("peer", *[2.0] * 6, note="11 parameters"))
    loud = measured(*sides, load={"average_1_minute": 4.0, "others": 0.5})
    failed = results.judge(Row("b", "other work", OURS), {"error": "no data"})
    content = results.merge({}, MACHINE, [results.judge(row, loud), failed], ["a", "b"])
    results.write(content, tmp_path)
    page = (tmp_path / "RESULTS.md").read_text()
    assert results.read(tmp_path / "results.json") == json.loads(json.dumps(content))
    assert page == results.page(content)
    assert "| a | work | peer | 1 s / step | 2 s / step | 2 (2 to 2) | >= 3 | **no** | 50 % ! |" in page
    assert "medjax: 10 parameters; peer: 11 parameters; why not: not profiled" in page
    assert "- **b**: not measured: no data" in page
    lines = [text for text in page.splitlines() if text.startswith("|")]
    assert {text.count("|") for text in lines} == {10}
    assert results.read(tmp_path / "absent.json") == {}


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [(2.0, "s", "2 s"), (0.00123, "s", "1.23 ms"), (4e-7, "s", "0.4 µs"), (1234.5, "MiB", "1,234 MiB"), (0.5, "", "0.500")],
)  # fmt: skip
def test_values_read_as_a_person_writes_them(value, unit, text):
    assert results.show(value, unit) == text


def test_names_are_unique_and_rows_are_found_by_name_and_by_family():
    names = [row.name for row in table.ROWS]
    assert len(set(names)) == len(names)
    assert table.chosen([]) == list(table.ROWS)
    assert {table.family(row) for row in table.chosen(["augmentation", "loop"])} == {"augmentation", "loop"}
    assert [row.name for row in table.chosen(["resnet_float32"])] == ["resnet_float32"]
    # The words stand in a table of Markdown, and every side's builder is there.
    for row in table.ROWS:
        assert "|" not in row.name + row.work
        assert row.goals or row.reason == ""
        for one in (row.ours, *row.peers):
            module, function = one.build.split(":")
            assert callable(getattr(__import__(module, fromlist=["_"]), function))


def test_an_unknown_name_is_refused_with_the_list_of_names():
    command = [sys.executable, "-m", "benchmarks.run", "--only", "nonsense"]
    found = subprocess.run(command, cwd=machine.ROOT, capture_output=True, text=True, check=False)
    assert found.returncode == 2
    assert "nonsense" in found.stderr
    assert "augmentation_28" in found.stderr


def test_calls_are_repeated_for_the_time_and_divided_by_their_units(monkeypatch):
    clock = itertools.count()
    monkeypatch.setattr(worker.time, "perf_counter", lambda: float(next(clock)))
    assert worker.measure(lambda: None, 3, units=2) == 0.5  # three calls of one second, two units each
    assert worker.measure(lambda: 7.5, 3, units=2) == 7.5  # it has measured itself


def test_the_machine_is_described_without_its_name_and_its_paths():
    import platform

    said = str(machine.describe())
    assert platform.node() not in said or not platform.node()
    assert str(Path.home()) not in said
    assert 0 <= (machine.Watch([]).read()["others"] or 0) <= 1
