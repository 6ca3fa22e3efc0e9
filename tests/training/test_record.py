import json

import pytest

from medjax.training.record import MetricsLog


def rows(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def written(folder, start, steps):
    log = MetricsLog(folder, start)
    for step in steps:
        log.write(step, {"loss": step / 2})
    log.close()


def test_a_line_a_step_and_an_event_file_beside_it(tmp_path):
    written(tmp_path, 0, [4, 9])
    assert rows(tmp_path) == [{"step": 4, "loss": 2.0}, {"step": 9, "loss": 4.5}]
    assert list(tmp_path.glob("events.out.tfevents.*"))


def test_a_resumed_run_drops_the_steps_that_it_takes_again(tmp_path):
    written(tmp_path, 0, [4, 9, 14, 19])
    written(tmp_path, 14, [14, 24])
    assert [row["step"] for row in rows(tmp_path)] == [4, 9, 14, 24]
    written(tmp_path, 0, [4])
    assert [row["step"] for row in rows(tmp_path)] == [4]


def test_the_validation_that_ended_a_wave_stays_and_the_next_wave_s_steps_go(tmp_path):
    log = MetricsLog(tmp_path, 0)
    for step, name in ((7, "loss"), (8, "validation_auroc"), (8, "loss"), (12, "validation_auroc")):
        log.write(step, {name: 0.5})
    log.close()
    MetricsLog(tmp_path, 8, validated=True).close()
    assert rows(tmp_path) == [{"step": 7, "loss": 0.5}, {"step": 8, "validation_auroc": 0.5}]
    MetricsLog(tmp_path, 8).close()
    assert rows(tmp_path) == [{"step": 7, "loss": 0.5}]


@pytest.mark.parametrize("torn", ['{"step": 9, "lo', "{", '{"step": 9, "loss": 4.5'])
def test_a_torn_last_line_is_dropped_and_the_next_one_starts_afresh(tmp_path, torn):
    written(tmp_path, 0, [4])
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write(torn)
    written(tmp_path, 5, [9])
    assert rows(tmp_path) == [{"step": 4, "loss": 2.0}, {"step": 9, "loss": 4.5}]


def test_every_line_is_on_disk_at_once_and_nan_is_no_json(tmp_path):
    log = MetricsLog(tmp_path, 0)
    log.write(0, {"loss": 1.0})
    assert rows(tmp_path) == [{"step": 0, "loss": 1.0}]
    with pytest.raises(ValueError, match="JSON"):
        log.write(1, {"loss": float("nan")})
    log.close()
