import re
import sys

import jax
import numpy as np
import pytest

from medjax.report import screen as room
from medjax.report.screen import Screen, Silent, clock, parameter_table, size


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0, "0 s"), (59.4, "59 s"), (59.6, "1:00"), (185.0, "3:05"), (3599.7, "1:00:00"), (7385.0, "2:03:05"),
     (float("inf"), "?"), (float("nan"), "?")],
)  # fmt: skip
def test_durations_are_readable(seconds, text):
    assert clock(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [(0.0, "0 B"), (1023.0, "1023 B"), (1024, "1.0 KiB"), (5.0 * 2**20, "5.0 MiB"), (3.0 * 2**40, "3072.0 GiB")],
)
def test_sizes_are_readable(count, text):
    assert size(count) == text


def rows_of(parameters, **settings):
    """The table's rows, split at two spaces or more; every line is as long as the others."""
    lines = parameter_table(parameters, **settings).splitlines()
    assert len({len(line) for line in lines}) == 1
    return [re.split(r"  +", line.strip()) for line in lines]


def test_the_parameter_table_names_every_array_where_they_fit_and_their_sum():
    tree = {"hidden_1": {"kernel": np.zeros((30, 8)), "bias": np.zeros(8)}, "scale": np.zeros(())}
    assert rows_of(tree) == [
        ["module", "shape", "parameters", "share"],
        ["hidden_1/bias", "8", "8", "3.2%"],
        ["hidden_1/kernel", "30x8", "240", "96.4%"],
        ["scale", "1", "1", "0.4%"],
        ["all", "3 arrays", "249", "100.0%"],
    ]


def test_a_larger_model_is_told_by_module_and_as_deep_as_fits():
    tree = {f"block_{n}": {"norm": {"scale": np.zeros(4)}, "dense": {"kernel": np.zeros((4, n))}} for n in (1, 2, 10)}
    names = [row[0] for row in rows_of(tree, rows=3)]
    assert names == ["module", "block_1", "block_2", "block_10", "all"]
    assert rows_of(tree, rows=3)[3] == ["block_10", "2 arrays", "44", "68.8%"]
    assert len(rows_of(tree, rows=6)) == 8
    assert rows_of(tree, rows=2) == [
        ["module", "shape", "parameters", "share"],
        ["block_*", "6 arrays", "64", "100.0%"],
        ["all", "6 arrays", "64", "100.0%"],
    ]


@pytest.mark.parametrize("width", [1, 30, 41, 200])
def test_whatever_is_collapsed_the_counts_add_up_in_at_most_forty_rows(width):
    rng = np.random.default_rng(width)
    tree = {
        f"part_{rng.integers(9)}_{n}": {"a": np.zeros(rng.integers(1, 2000)), "b": np.zeros((2, 3))}
        for n in range(width)
    }
    tree |= {f"single{chr(97 + n)}": np.zeros(n + 1) for n in range(3)}
    rows = rows_of(tree)[1:]
    counts = [int(row[-2].replace(",", "")) for row in rows]
    assert len(rows) - 1 <= 40
    assert sum(counts[:-1]) == counts[-1] == sum(leaf.size for leaf in jax.tree.leaves(tree))


def test_a_model_of_a_hundred_unlike_modules_still_fits():
    tree = {f"m{chr(97 + n % 26)}{chr(97 + n // 26)}": np.zeros(2) for n in range(100)}
    assert rows_of(tree)[1] == ["all modules", "100 arrays", "200", "100.0%"]
    assert rows_of({})[1] == ["all", "0 arrays", "0", "100.0%"]


class Clock:
    now = 100.0

    def monotonic(self):
        return self.now


@pytest.fixture
def time(monkeypatch):
    made = Clock()
    monkeypatch.setattr(room, "time", made)
    return made


def lines(capsys):
    out, shown = capsys.readouterr()
    assert out == ""  # results alone go to standard output
    return shown.splitlines()


def test_without_a_terminal_a_line_comes_every_ten_seconds_and_at_the_end(time, capsys):
    with Screen().progress("training", 100, 0, 8) as update:
        for step in range(1, 101):
            time.now += 1
            update(step, {"loss": 1 / step, "loss/seed_0": 1.0, "gradient_norm": 5.0})
    shown = lines(capsys)
    assert len(shown) == 10
    assert shown[0] == "training  step 10 of 100  loss 0.1  8 cases/s  1:30 left"
    assert shown[-1] == "training  step 100 of 100  loss 0.01  8 cases/s  0 s left"
    assert not any("seed_0" in line or "gradient_norm" in line for line in shown)


def test_speed_counts_from_the_first_report_so_that_compilation_does_not_count(time, capsys):
    with Screen(plain_every=0.0).progress("training", 100, 40, 10) as update:
        time.now += 500  # compiling
        update(50, {"loss": 1.0})
        time.now += 2
        update(70, {"loss": 1.0})
    assert lines(capsys) == [
        "training  step 50 of 100  loss 1",
        "training  step 70 of 100  loss 1  100 cases/s  3 s left",
    ]


def test_a_step_beyond_the_end_is_the_end(time, capsys):
    with Screen().progress("training", 10, 0, 1) as update:
        update(11, {})
    assert "step 10 of 10" in lines(capsys)[0]


def test_on_a_terminal_notes_go_above_the_bar_and_are_no_markup(capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    screen = Screen()
    with screen.progress("training", 10, 2, 8) as update:
        update(5, {"loss": 0.25})
        screen.say("warning: [bold] checkpoints/5 is broken")
    screen.say("done")
    shown = capsys.readouterr().err
    assert "warning: [bold] checkpoints/5 is broken" in shown
    assert shown.endswith("done\n")


def test_a_silent_screen_says_nothing(capsys):
    screen = Silent()
    screen.say("hello")
    with screen.progress("training", 10, 0, 1) as update:
        update(10, {"loss": 1.0})
    assert capsys.readouterr() == ("", "")
