"""What a table holds is told from the file alone."""

import numpy as np
import pytest

from medjax.errors import InputError
from medjax.report.schema import schema


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    rng = np.random.default_rng(0)
    rows = []
    for k in range(60):
        ill = int(rng.random() < 0.5)
        note = " ".join(rng.choice(["fever", "cough", "pain", "rest"], 3)) + f" {k}"
        day = f"{45123 + k}" if k == 7 else f"2023-07-{k % 28 + 1:02}"
        stage = "" if k % 5 < 3 else rng.choice(["I", "II", "III"])
        rows.append(
            f"P{k:03},{rng.normal():.4f},{'mf'[k % 2]},{stage},{day},{44927 + k}.5,{note},{3 * ill + rng.normal() * 0.2:.3f},{ill}"
        )
    head = "patient,crp,sex,stage,visit,discharge_date,note,answer,ill"
    path = tmp_path_factory.mktemp("schema") / "t.csv"
    path.write_text("\n".join([head, *rows]) + "\n")
    return path


def test_every_kind_of_column_is_named_and_what_is_odd_about_it(path):
    text = schema(path, "ill")
    lines = {line.split()[0]: line for line in text.splitlines() if line.strip()}
    for column, kind in {
        "patient": "identifier", "crp": "numeric", "sex": "binary", "stage": "categorical", "visit": "date",
        "discharge_date": "date", "note": "text", "answer": "numeric", "ill": "target",
    }.items():  # fmt: skip
        assert lines[column].split()[1] == kind, column
    assert lines["stage"].split()[2:4] == ["60", "%"]
    told = " ".join(text.split())
    for words in (
        "IDENTIFIER", "LEAK? it alone predicts the target", "day numbers of Excel among the dates: '45130' is 2023-07-23",
        "day numbers of Excel: 44927.5 is 2023-01-01", "free text", "missing in most rows",
    ):  # fmt: skip
        assert told.count(words) == 1, words
    after = text.splitlines().index(lines["answer"])
    assert "LEAK" in "".join(text.splitlines()[after + 1 : after + 3])
    assert "SORTED" not in text


def test_without_a_target_nothing_is_predicted_and_a_wrong_one_is_named(path):
    assert "AUROC" not in schema(path)
    with pytest.raises(InputError, match="--target 'il': there is no such column; .*ill"):
        schema(path, "il")
    with pytest.raises(InputError, match="60 different texts; that is no class"):
        schema(path, "note")
