"""A run folder is read whole or refused with a reason."""

import json

import pytest

from medjax.data import ledger
from medjax.errors import InputError
from medjax.report.page.reading import read


def test_the_hardest_split_is_reported_unless_another_is_asked_for(binary):
    assert read(binary).split == "test"
    assert read(binary, "validation").split == "validation"
    found = read(binary)
    assert set(found.predictions) == {"validation", "test"}
    assert len(found.training) == 3  # the torn last line is left out
    (binary / "evaluation/test.json").rename(binary / "evaluation/external_x.json")
    (binary / "predictions/test.csv").rename(binary / "predictions/external_x.csv")
    assert read(binary).split == "external_x"


def test_what_is_no_finished_run_is_refused(binary, tmp_path):
    with pytest.raises(InputError, match="no run folder"):
        read(tmp_path)
    with pytest.raises(InputError, match=r"no evaluation of the split '\.\./test'; it has test, validation"):
        read(binary, "../test")
    (binary / "predictions/validation.csv").rename(binary / "kept.csv")
    with pytest.raises(InputError, match=r"validation\.csv is missing"):
        read(binary)
    lines = (binary / "kept.csv").read_text().splitlines()
    (binary / "predictions/validation.csv").write_text("\n".join(lines[:-2]) + "\n")
    with pytest.raises(InputError, match="59 cases, where evaluation/validation.json judged 60"):
        read(binary)
    (binary / "evaluation/validation.json").write_text("[]")
    with pytest.raises(InputError, match="a JSON object is expected"):
        read(binary)
    for path in (binary / "evaluation").glob("*"):
        path.unlink()
    with pytest.raises(InputError, match="nothing was evaluated yet"):
        read(binary)
    record = json.loads((binary / "record.json").read_text())
    del record["finished"]
    (binary / "record.json").write_text(json.dumps(record))
    with pytest.raises(InputError, match="unfinished"):
        read(binary)


def test_a_ledger_that_was_changed_is_said_to_be_damaged(binary):
    path = binary / "test_ledger.json"
    for _ in range(2):
        ledger.record_opening([path], command="evaluate", plan="p", split="s", model="m")
    assert [len(read(binary).openings), read(binary).damaged] == [2, ""]
    entries = json.loads(path.read_text())
    path.write_text(json.dumps(entries[1:]))
    found = read(binary)
    assert found.openings == []
    assert "was changed" in found.damaged
    assert str(binary) not in found.damaged
