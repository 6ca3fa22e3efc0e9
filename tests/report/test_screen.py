import sys

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


def test_the_parameter_table_names_every_parameter_and_their_sum():
    lines = parameter_table({"hidden_1": {"kernel": np.zeros((30, 8)), "bias": np.zeros(8)}, "scale": np.zeros(())})
    rows = [line.split() for line in lines.splitlines()]
    assert rows == [
        ["parameter", "shape", "count"],
        ["hidden_1/bias", "8", "8"],
        ["hidden_1/kernel", "30x8", "240"],
        ["scale", "1", "1"],
        ["all", "249"],
    ]
    assert len({len(line) for line in lines.splitlines()}) == 1


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
