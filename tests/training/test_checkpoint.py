import json
from pathlib import Path

import numpy as np
import pytest

from medjax.errors import InputError
from medjax.training import checkpoint

TREE = {"a": np.arange(600, dtype=np.float32).reshape(20, 30), "b": {"c": np.array([1, 2], np.uint32)}}


def save(folder, *steps):
    writer = checkpoint.Writer(folder)
    for step in steps:
        writer.save(step, {**TREE, "b": {"c": np.array([step, step], np.uint32)}})
    writer.wait()


def flip_a_byte(folder: Path):
    """Damage the largest data file in its middle."""
    path = max((p for p in folder.rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(bytes(content))


def test_what_is_restored_is_what_was_saved(tmp_path):
    save(tmp_path, 5)
    step, tree, warnings = checkpoint.restore(tmp_path, TREE)
    assert (step, warnings) == (5, [])
    np.testing.assert_array_equal(tree["a"], TREE["a"])
    assert tree["b"]["c"].dtype == np.uint32


def test_the_last_two_are_kept(tmp_path):
    save(tmp_path, 1, 2, 3)
    assert checkpoint.steps(tmp_path) == [2, 3]


def test_a_corrupt_checkpoint_falls_back_to_the_one_before_and_says_so(tmp_path):
    save(tmp_path, 1, 2)
    flip_a_byte(tmp_path / "2")
    step, tree, warnings = checkpoint.restore(tmp_path, TREE)
    assert step == 1
    assert int(tree["b"]["c"][0]) == 1
    assert len(warnings) == 1
    assert "2 cannot be used" in warnings[0]
    assert "has changed since; falling back" in warnings[0]


def test_a_silent_change_of_content_is_found_by_the_digest(tmp_path):
    save(tmp_path, 1, 2)
    metadata = tmp_path / "2" / "_CHECKPOINT_METADATA"
    content = json.loads(metadata.read_text())
    content["custom_metadata"]["digest"] = "0" * 64
    metadata.write_text(json.dumps(content))
    (tmp_path / "2" / checkpoint.FILES).unlink()  # as after a kill just before it is written
    step, _, warnings = checkpoint.restore(tmp_path, TREE)
    assert step == 1
    assert "digest differs" in warnings[0]


def test_a_missing_file_falls_back_too(tmp_path):
    save(tmp_path, 1, 2)
    (tmp_path / "2" / "state" / "manifest.ocdbt").unlink()
    step, _, warnings = checkpoint.restore(tmp_path, TREE)
    assert step == 1
    assert "its file state/manifest.ocdbt is missing" in warnings[0]


def test_no_intact_checkpoint_is_one_message(tmp_path):
    save(tmp_path, 1)
    flip_a_byte(tmp_path / "1")
    with pytest.raises(InputError, match="no usable checkpoint"):
        checkpoint.restore(tmp_path, TREE)
    with pytest.raises(InputError, match="there is none"):
        checkpoint.restore(tmp_path / "absent", TREE)


def test_another_model_is_named_by_the_leaf_that_differs(tmp_path):
    save(tmp_path, 1)
    with pytest.raises(InputError, match=r"another model.*\['a'\] is \[\[20, 30\], 'float32'\] there"):
        checkpoint.restore(tmp_path, {**TREE, "a": np.zeros((20, 31), np.float32)})


def test_what_an_interrupted_save_left_is_no_checkpoint(tmp_path):
    save(tmp_path, 1)
    (tmp_path / "2.orbax-checkpoint-tmp").mkdir()
    assert checkpoint.steps(tmp_path) == [1]


def test_an_unwritable_folder_is_a_message_at_the_next_wait(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    writer = checkpoint.Writer(blocked / "checkpoints")
    writer.save(1, TREE)
    with pytest.raises(InputError, match="could not be written"):
        writer.wait()


def test_the_digest_sees_values_types_shapes_and_names():
    seen = {
        checkpoint.digest(tree)
        for tree in (
            {"a": np.zeros(4, np.float32)},
            {"a": np.zeros(4, np.int32)},
            {"a": np.zeros((2, 2), np.float32)},
            {"b": np.zeros(4, np.float32)},
            {"a": np.array([0, 0, 0, 1e-30], np.float32)},
        )
    }
    assert len(seen) == 5


def test_a_full_disk_is_one_message_and_keeps_what_was_saved(tmp_path, monkeypatch):
    save(tmp_path, 1)
    usage = checkpoint.shutil.disk_usage(tmp_path)
    monkeypatch.setattr(checkpoint.shutil, "disk_usage", lambda _: usage._replace(free=100))
    writer = checkpoint.Writer(tmp_path)
    writer.save(2, TREE)
    with pytest.raises(InputError, match="the disk is full.*checkpoints before it are kept"):
        writer.wait()
    assert checkpoint.restore(tmp_path, TREE)[0] == 1


def test_what_an_interrupted_save_left_is_cleared_away(tmp_path):
    save(tmp_path, 1)
    (tmp_path / "2.orbax-checkpoint-tmp").mkdir()
    checkpoint.Writer(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["1"]
