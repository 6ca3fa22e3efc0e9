import json

import pytest

from medjax import config, folder
from medjax.errors import InputError


def test_a_claimed_folder_holds_the_experiment_and_may_be_claimed_again(small, tmp_path):
    run = tmp_path / "runs" / "a"
    folder.claim(run, small)
    assert [path.name for path in run.iterdir()] == ["config.json"]
    before = (run / "config.json").read_bytes()
    assert config.dumps(config.decode(json.loads(before))) == before.decode()
    (run / "metrics.jsonl").write_text("")
    folder.claim(run, small)
    assert (run / "config.json").read_bytes() == before


def test_an_empty_folder_may_be_claimed(small, tmp_path):
    folder.claim(tmp_path, small)
    assert (tmp_path / "config.json").exists()


def test_another_experiment_is_refused_with_the_keys_that_differ(small, tmp_path):
    folder.claim(tmp_path, small)
    before = (tmp_path / "config.json").read_bytes()
    other = config.override(small, ["seed=5", "model.hidden=[9]"])
    with pytest.raises(
        InputError, match=r"(?s)another experiment.*model.hidden: \[8\] there, \[9\] here.*seed: 0 there"
    ):
        folder.claim(tmp_path, other)
    assert (tmp_path / "config.json").read_bytes() == before
    many = config.override(small, [f"training.{key}=3" for key in ("log_every", "save_grid", "save_seconds")]
                           + [f"evaluation.{key}" for key in ("resamples=7", "margin=0.1", "primary=accuracy")]
                           + ["seed=1", "name=x", "replicates.seeds=4"])  # fmt: skip
    with pytest.raises(InputError, match=r"and 1 more"):
        folder.claim(tmp_path, many)


def test_what_is_no_run_folder_is_left_alone(small, tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(InputError, match="is not empty and holds no config.json"):
        folder.claim(tmp_path, small)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]
    with pytest.raises(InputError, match="is a file; give another --workdir"):
        folder.claim(tmp_path / "thesis.txt", small)
    (tmp_path / "config.json").write_text('{"class": ')
    with pytest.raises(InputError, match=r"config.json is no readable JSON"):
        folder.claim(tmp_path, small)


def test_json_is_written_whole_or_not_at_all(tmp_path):
    path = tmp_path / "evaluation" / "test.json"
    folder.write_json(path, {"a": 1.5, "b": None})
    assert folder.read_json(path) == {"a": 1.5, "b": None}
    for bad in ({"a": float("nan")}, {"a": {1, 2}}):
        with pytest.raises((ValueError, TypeError)):
            folder.write_json(path, bad)
    assert folder.read_json(path) == {"a": 1.5, "b": None}
    assert [found.name for found in path.parent.iterdir()] == ["test.json"]


def test_a_missing_file_and_a_broken_one_are_named(tmp_path):
    with pytest.raises(InputError, match=r"record.json is missing.*no run folder"):
        folder.read_json(tmp_path / "record.json")
    (tmp_path / "record.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match=r"record.json is no readable JSON"):
        folder.read_json(tmp_path / "record.json")


def test_the_names_are_those_of_the_interface():
    assert folder.predictions("test") == "predictions/test.csv"
    assert folder.evaluation("out_of_fold") == "evaluation/out_of_fold.json"
