import csv
import dataclasses
import gzip
import json
import subprocess
import sys
from functools import partial
from pathlib import Path

import jax
import numpy as np
import optax
import pytest

from medjax import config, external, preprocess, run
from medjax.data import dataset as datasets
from medjax.data.origin import Origin, Problem
from medjax.data.origins import Table
from medjax.data.origins.table import read_cases, unknown_levels
from medjax.errors import InputError

SPEC = Table(
    path="",
    target="outcome",
    classes=("well", "ill"),
    numeric=("age", "crp"),
    categorical=(("sex", ("female", "male")), ("stage", ("I", "II", "III"))),
)
HEADER = "patient,age,sex,stage,crp,outcome,site,part"
ROWS = [
    "p1,40,female,I,1.5,well,A,train",
    "p1,41,Female,II,,ill,A,train",
    "p2,62,\tmale,iii,3e1,ill,b,val",
    "p3,55,,III,7,well,B,test",
    "p4,?,MALE,NA,0.5,ill ,B,test",
]


def table(folder, rows=ROWS, header=HEADER, **settings):
    path = folder / "t.csv"
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return dataclasses.replace(SPEC, path=str(path), **settings)


def test_an_attribute_is_text_where_a_cell_is_none_of_its_numbers_and_may_have_decimal_commas(tmp_path):
    # INF is the inferior wall here, and no infinite number.
    sides = ["INF", "ant", "1", "ant", "INF"]
    doses = ["0,5", "1,5", "2", "0,25", "3"]
    rows = [f'{row},{side},"{dose}"' for row, side, dose in zip(ROWS, sides, doses, strict=True)]
    origin = table(tmp_path, rows, HEADER + ",wall,dose", attributes=("wall", "dose"))
    cases = list(origin.cases("all"))
    assert [case["wall"] for case in cases] == sides
    assert [case["dose"] for case in cases] == [0.5, 1.5, 2, 0.25, 3]


def swap(number, old, new, rows=ROWS):
    """The rows with a change in one of them."""
    assert old in rows[number]
    return [row.replace(old, new) if place == number else row for place, row in enumerate(rows)]


def test_columns_become_numbers_and_levels_and_what_is_missing_stays_nan(tmp_path):
    origin = table(tmp_path, attributes=("site", "age"))
    assert isinstance(origin, Origin)
    facts, cases = origin.facts(), list(origin.cases("all"))
    assert facts.columns == ("age", "crp", "sex=male", "stage=I", "stage=II", "stage=III") == origin.columns
    nan = np.nan
    expected = np.array(
        [[40, 1.5, 0, 1, 0, 0], [41, nan, 0, 0, 1, 0], [62, 30, 1, 0, 0, 1], [55, 7, nan, 0, 0, 1], [nan, 0.5, 1, nan, nan, nan]],
        np.float32,
    )  # fmt: skip
    np.testing.assert_array_equal(np.stack([case["table"] for case in cases]), expected)
    assert [case["label"] for case in cases] == [0, 1, 1, 0, 1]
    assert [case["id"] for case in cases] == [case["group"] for case in cases] == [f"0000{i}" for i in range(5)]
    assert [case["site"] for case in cases] == ["A", "A", "B", "B", "B"]
    np.testing.assert_array_equal([case["age"] for case in cases], [40, 41, 62, 55, nan])
    assert facts.counts == {"all": 5}
    assert facts.classes == ("well", "ill")
    assert facts.shapes == {"table": ((6,), "float32"), "site": ((), "str"), "age": ((), "float32")}


def test_what_was_cleaned_is_counted_and_named_by_line(tmp_path):
    notes = table(tmp_path, swap(3, "55", "\uff15\uff15"), attributes=("site",)).facts().notes
    assert "column 'sex': 3 cells such as 'MALE' read as 'male' (lines 3, 4, 6)" in notes
    assert "column 'stage': the cell 'iii' read as 'III' (line 4)" in notes
    assert "column 'site': the cell 'b' read as 'B' (line 4)" in notes
    assert "column 'age': the cell '\uff15\uff15' read as '55' (line 5)" in notes
    assert "missing values in 5 rows: 'age' 1, 'crp' 1, 'sex' 1, 'stage' 1" in notes
    assert len(notes) == 5  # blanks around "ill " are not worth a word
    assert (
        table(tmp_path, swap(1, "ill", "\u00a0ill"))
        .facts()
        .notes[2]
        .startswith("column 'outcome': the cell '\\xa0ill'")
    )


def test_codes_say_what_cells_stand_for(tmp_path):
    rows = ["0,0.0,1", "1.0,5,2", "1,6,9"]
    origin = Table(
        path=str(tmp_path / "c.csv"), target="y", numeric=("glucose",), classes=("no", "yes"),
        categorical=(("sex", ("female", "male")),),
        codes=(("sex", (("0", "female"), ("1", "male"))), ("glucose", (("0", ""),)), ("y", (("1", "no"), ("2", "yes"), ("9", "yes")))),
    )  # fmt: skip
    (tmp_path / "c.csv").write_text("\n".join(["sex,glucose,y", *rows]))
    cases = list(origin.cases("all"))
    np.testing.assert_array_equal(
        [case["table"] for case in cases], np.array([[np.nan, 0], [5, 1], [6, 1]], np.float32)
    )
    assert [case["label"] for case in cases] == [0, 1, 1]
    assert "column 'glucose': as its codes say, '0.0' as missing (1)" in origin.facts().notes


def test_an_unknown_level_is_a_code_of_its_own_and_counted(tmp_path):
    strange = swap(2, "iii", "IV", swap(0, "female", "x"))
    refused = [str(case) for case in table(tmp_path, strange).cases("all") if isinstance(case, Problem)]
    assert any("line 4: column 'stage': 'IV' is none of the levels I, II, III" in one for one in refused)
    origin = table(tmp_path, strange, unknown="code")
    cases = list(origin.cases("all"))
    assert origin.columns == ("age", "crp", "sex=female", "sex=male", "stage=I", "stage=II", "stage=III")
    np.testing.assert_array_equal(cases[2]["table"][2:], [0, 1, 0, 0, 0])  # stage IV: none of the three
    np.testing.assert_array_equal(cases[0]["table"][2:], [0, 0, 1, 0, 0])
    np.testing.assert_array_equal(cases[3]["table"][2:], [np.nan, np.nan, 0, 0, 1])  # missing is not unknown
    notes = "; ".join(origin.facts().notes)
    assert "column 'stage': 1 cell of no known level ('IV'), taken as unknown (line 4)" in notes
    assert "column 'sex': 1 cell of no known level ('x'), taken as unknown (line 2)" in notes
    assert unknown_levels(origin, Path(origin.path)) == [note for note in origin.facts().notes if "no known" in note]
    assert not unknown_levels(table(tmp_path, unknown="code"), Path(origin.path))
    most = [row.replace(",I", ",T") for row in ROWS]
    with pytest.raises(InputError, match="'stage': most cells are none of the levels I, II, III, first in line 2"):
        table(tmp_path, most, unknown="code").facts()


def test_a_level_comes_before_a_missing_word(tmp_path):
    (tmp_path / "n.csv").write_text("pain,y\nnone,1\nsevere,2\n?,3\nNone,4\n")
    origin = Table(str(tmp_path / "n.csv"), "y", "value", categorical=(("pain", ("none", "severe")),))
    np.testing.assert_array_equal([case["table"][0] for case in origin.cases("all")], [0, 1, np.nan, 0])
    assert [case["value"] for case in origin.cases("all")] == [1, 2, 3, 4]
    assert origin.facts().shapes["value"] == ((), "float32")
    assert origin.facts().classes == ()


def test_patients_ids_and_official_splits(tmp_path):
    rows = [f"c{i},{row}" for i, row in enumerate(ROWS)]
    origin = table(tmp_path, rows, "case," + HEADER, id="case", group="patient", split="part")
    assert origin.facts().counts == {"train": 2, "validation": 1, "test": 2}
    assert [(case["id"], case["group"]) for case in origin.cases("test")] == [("c3", "p3"), ("c4", "p4")]
    with pytest.raises(
        InputError, match=r"t.csv, lines 2 and 4: one patient in two splits, train and validation"
    ) as caught:
        table(tmp_path, swap(2, "p2", "p1"), group="patient", split="part").facts()
    assert "p1" not in str(caught.value)
    with pytest.raises(InputError, match="no row has the split 'train'"):
        table(tmp_path, ROWS[2:], split="part").facts()


def test_classes_of_the_file_where_none_are_named(tmp_path):
    assert table(tmp_path, classes=()).facts().classes == ("ill", "well")
    rows = [row.replace("ill", "10.0").replace("well", "9") for row in ROWS]
    origin = table(tmp_path, rows, classes=())
    assert origin.facts().classes == ("9", "10")
    assert [case["label"] for case in origin.cases("all")] == [0, 1, 1, 0, 1]
    many = [f"{i},{i}" for i in range(30)]
    (tmp_path / "m.csv").write_text("x,y\n" + "\n".join(many))
    with pytest.raises(InputError, match=r"m.csv, column 'y': 30 different values.*kind='value'"):
        Table(str(tmp_path / "m.csv"), "y", numeric=("x",)).facts()


PROBLEMS = [
    (swap(2, "62", "old"), 4, "column 'age': 'old' is no number"),
    (swap(2, "62", "<5"), 4, "column 'age': '<5' is a limit"),
    (swap(2, "62", "62 %"), 4, "column 'age': '62 %' is a percentage"),
    (swap(2, "62", '"6,2"'), 4, "column 'age': '6,2' is a decimal comma"),
    (swap(2, "62", '"6,200"'), 4, "column 'age': '6,200' is a comma in a number"),
    (swap(2, "62", "6 200"), 4, "column 'age': '6 200' is a number with separators of thousands"),
    (swap(2, "62", "2020-01-31"), 4, "column 'age': '2020-01-31' is a date"),
    (swap(2, "62", "31.1.2020"), 4, "column 'age': '31.1.2020' is a date"),
    (swap(2, "62", "62 y"), 4, "column 'age': '62 y' is a number with something behind it"),
    (swap(2, "62", "60-65"), 4, "column 'age': '60-65' is a range"),
    (swap(2, "62", "1_0"), 4, "column 'age': '1_0' is no number"),
    (swap(2, "62", "1e39"), 4, "column 'age': '1e39' is too large"),
    (swap(2, "\tmale", "men"), 4, "column 'sex': 'men' is none of the levels female, male"),
    (swap(3, "III", "II I"), 5, "column 'stage': 'II I' is none of the levels I, II, III (is it 'III'?)"),
    (swap(2, "ill", ""), 4, "column 'outcome': the target is missing"),
    (swap(2, "ill", "?"), 4, "column 'outcome': the target is missing"),
    (swap(2, "p2,", "p2,1,"), 4, "9 cells where the header has 8"),
    (swap(2, ",val", ""), 4, "7 cells where the header has 8"),
    (swap(2, "62,\tmale", "old,men"), 4, "column 'age': 'old' is no number; leave the cell empty if the value is missing; column 'sex'"),
]  # fmt: skip


@pytest.mark.parametrize(("rows", "line", "words"), PROBLEMS, ids=[words[:40] for *_, words in PROBLEMS])
def test_an_unusable_row_is_a_problem_by_line_and_column(tmp_path, rows, line, words):
    for on_error in ("stop", "skip"):
        origin = table(tmp_path, rows, on_error=on_error)
        assert origin.facts().counts == {"all": 5}
        (problem,) = [case for case in origin.cases("all") if isinstance(case, Problem)]
        assert problem.where == f"{Path(origin.path).name}, line {line}"
        assert problem.what.startswith(words)
        assert "p2" not in str(problem)
    assert datasets.prepare("skipping", origin=origin).skipped == ((problem.where, problem.what),)
    with pytest.raises(InputError, match=f"line {line}: "):
        datasets.prepare("stopping", origin=dataclasses.replace(origin, on_error="stop"))


def test_an_id_that_comes_twice_and_bookkeeping_that_is_missing_are_problems(tmp_path):
    found = [str(case) for case in table(tmp_path, id="patient").cases("all") if isinstance(case, Problem)]
    assert len(found) == 1
    assert "line 3: column 'patient': the id 'p1' stands in line 2 already" in found[0]
    origin = table(tmp_path, swap(1, "p1", ""), group="patient")
    (problem,) = [case for case in origin.cases("all") if isinstance(case, Problem)]
    assert problem.what == "column 'patient': the patient is missing"
    (problem,) = [
        case
        for case in table(tmp_path, swap(1, "p1", 'p"1'), group="patient").cases("all")
        if isinstance(case, Problem)
    ]
    assert problem.what == "column 'patient': a quote stands in it"
    origin = table(tmp_path, swap(2, "62,", "p3,"), group="patient")  # a slipped cell that names a patient
    (problem,) = [case for case in origin.cases("all") if isinstance(case, Problem)]
    assert problem.what == "column 'age': the identifier of a patient stands here"
    origin = table(tmp_path, swap(3, ",test", ",tset"), split="part")
    assert origin.facts().counts == {"train": 3, "validation": 1, "test": 1}
    assert "'tset' is no split" in list(origin.cases("train"))[2].what


FATAL = [
    ({"numeric": ("age", "cpr")}, ROWS, r"column 'cpr' is missing \(is it 'crp'\?\)"),
    ({"target": "Outcome"}, ROWS, r"column 'Outcome' is missing \(is it 'outcome'\?\)"),
    ({"attributes": ("ward",)}, ROWS, "column 'ward' is missing"),
    ({"codes": (("sec", (("m", "male"),)),)}, ROWS, r"column 'sec' is missing"),
    ({}, [",".join([*row.split(",")[:4], "", *row.split(",")[5:]]) for row in ROWS], "column 'crp': it holds no value"),
    ({}, [row.replace("ill", "well") for row in ROWS], "column 'outcome': every row has the class 'well'"),
    ({}, swap(1, "ill", "dead"), "line 3, column 'outcome': 'dead' is none of the classes well, ill"),
    ({}, swap(0, "1.5", "inf"), "line 2, column 'crp': 'inf' is infinite"),
    ({}, swap(0, "1.5", "-Infinity"), "line 2, column 'crp': '-Infinity' is infinite"),
    ({"numeric": ("age", "site")}, ROWS, r"column 'site': most cells cannot be read, first in line 2: 'A'.*`categorical`"),
    ({"categorical": (("site", ("x", "y")),)}, ROWS, "column 'site': most cells cannot be read.*name the levels"),
    ({"target": "crp", "kind": "value", "classes": (), "numeric": ("age",)},
     [",".join([*row.split(",")[:4], "3", *row.split(",")[5:]]) for row in ROWS], "every row has the value '3.0'"),
    ({}, [row + ",1" for row in ROWS], "line 2: 9 cells where the header has 8, and so in every row"),
    ({"on_error": "skip"}, [row.replace("ill", "").replace("well", "") for row in ROWS], "no row can be used; the first"),
    ({"on_error": "skip"}, [row.replace("ill", "?") for row in ROWS], "every row has the class 'well'"),
]  # fmt: skip


@pytest.mark.parametrize(("settings", "rows", "words"), FATAL)
def test_what_leaves_nothing_to_go_on_with_is_refused(tmp_path, settings, rows, words):
    origin = table(tmp_path, rows, **settings)
    with pytest.raises(InputError, match=f"t.csv.*{words}"):
        origin.facts()
    with pytest.raises(InputError, match=f"t.csv.*{words}"):
        list(origin.cases("all"))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"target": "age"}, "'age' is the target and an input"),
        ({"group": "sex"}, "'sex' is the group and an input"),
        ({"numeric": (), "categorical": ()}, "there is no input"),
        ({"numeric": ("age", "age")}, "'age' is named twice"),
        ({"numeric": ("age", "sex")}, "'sex' is named twice"),
        ({"categorical": (("sex", ("male",)),)}, "at least two different levels"),
        ({"categorical": (("sex", ("male", "male ")),)}, "at least two different levels"),
        ({"classes": ("well",)}, "at least two"),
        ({"kind": "value"}, "kind is 'value'"),
        ({"attributes": ("label",)}, "attribute 'label'"),
        ({"attributes": ("Na/K",)}, "attribute 'Na/K'"),
        ({"header": ("a", "a")}, "header"),
        ({"codes": (("sex", ()), ("sex", ()))}, "codes"),
        ({"categorical": (("sex", ("", "male")),)}, "at least two different levels"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(settings, words):
    with pytest.raises(InputError, match=words):
        dataclasses.replace(SPEC, **settings)


def test_a_configuration_holds_it():
    origin = dataclasses.replace(SPEC, codes=(("y", (("0", "no"),)),), id="a", on_error="skip")
    assert config.decode(json.loads(config.dumps(origin))) == origin
    assert config.override(origin, ["on_error=stop"]).on_error == "stop"
    for assignment, words in (("kind=class", "kind"), ('categorical=["sex"]', "categorical"), ("numbers=1", "numeric")):
        with pytest.raises(InputError, match=words):
            config.override(origin, [assignment])


def test_an_edited_file_or_setting_has_another_fingerprint_and_a_moved_one_has_not(tmp_path):
    origin = table(tmp_path)
    first = origin.fingerprint()
    for name in ("else/t.csv", "u.csv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes((tmp_path / "t.csv").read_bytes())
    assert dataclasses.replace(origin, path=str(tmp_path / "else" / "t.csv")).fingerprint() == first
    # Prepared cases keep messages that name the file, so one of another name is prepared anew.
    assert dataclasses.replace(origin, path=str(tmp_path / "u.csv")).fingerprint() != first
    assert dataclasses.replace(origin, attributes=("site",)).fingerprint() != first
    assert table(tmp_path, swap(0, "40", "43")).fingerprint() != first
    with pytest.raises(InputError, match="nowhere.csv"):
        dataclasses.replace(origin, path="nowhere.csv").fingerprint()


def test_every_shape_of_file_gives_the_same_cases(tmp_path, monkeypatch):
    origin = table(tmp_path)
    text = (tmp_path / "t.csv").read_text()
    expected = [case["table"] for case in origin.cases("all")]
    names = tuple(HEADER.split(","))
    monkeypatch.setenv("MEDJAX_DATA", str(tmp_path))
    variants = {
        "semicolon": (text.replace(",", ";").encode(), {}),
        "tab": (text.replace("\tmale", "male").replace(",", "\t").encode(), {}),
        "mark": (b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode() + b"\r\n\r\n", {}),
        "zip": (gzip.compress(text.encode()), {}),
        "headless": ("\n".join(ROWS).encode(), {"header": names}),
        "named": (text.encode(), {"header": names}),
        "quoted": (text.replace("p1,40", '"p\n1",40').encode(), {}),
        "mac": (text.replace("\n", "\r").encode(), {}),
    }
    for name, (data, settings) in variants.items():
        (tmp_path / f"{name}.csv").write_bytes(data)
        other = dataclasses.replace(origin, path=f"{name}.csv", **settings)
        np.testing.assert_array_equal([case["table"] for case in other.cases("all")], expected, err_msg=name)
    (tmp_path / "quoted.csv").write_text(text.replace("p1,40", '"p\n1",40').replace("62", "x"))
    (problem,) = [
        case for case in dataclasses.replace(origin, path="quoted.csv").cases("all") if isinstance(case, Problem)
    ]
    assert "line 5:" in str(problem)  # the quoted line break counts


def test_what_gives_the_answer_away_is_noted(tmp_path):
    rows = [f"{i},{i % 7},{'yes' if i < 15 else 'no'},{'ill' if i < 15 else 'well'}" for i in range(30)]
    (tmp_path / "g.csv").write_text("id,x,treated,y\n" + "\n".join(rows))
    origin = Table(str(tmp_path / "g.csv"), "y", numeric=("id", "x"), categorical=(("treated", ("no", "yes")),))
    notes = "\n".join(origin.facts().notes)
    assert "column 'id' counts the rows" in notes
    assert "column 'id' alone tells the classes apart" in notes
    assert "column 'treated' alone tells the classes apart" in notes
    assert "'x'" not in notes


# ---------------------------------------------------------------------------------------------------------------------
# Other files, read like the table of the run
# ---------------------------------------------------------------------------------------------------------------------


def test_another_file_is_read_in_the_same_way(tmp_path):
    origin = table(tmp_path, group="patient", split="part", attributes=("site",))
    other = tmp_path / "new.csv"
    other.write_text("stage,crp,sex,age\nii,?,\tMale,50\n,1,,60\n")
    cases = read_cases(origin, other)
    np.testing.assert_array_equal(
        [case["table"] for case in cases],
        np.array([[50, np.nan, 1, 0, 1, 0], [60, 1, np.nan, np.nan, np.nan, np.nan]], np.float32),
    )
    assert [set(case) for case in cases] == [{"id", "group", "table"}] * 2
    other.write_text("stage,crp,sex,age\nIV,1,male,50\nI,x,male,50\n")
    with pytest.raises(InputError, match=r"new.csv, line 2: column 'stage': 'IV' is none.*1 more row cannot be read"):
        read_cases(origin, other)
    other.write_text("crp,sex\n1,male\n")
    with pytest.raises(InputError, match="column 'age' is missing; column 'stage' is missing"):
        read_cases(origin, other)
    exclude = ("age", "stage=I", "stage=II", "stage=III")
    (case,) = read_cases(origin, other, exclude=exclude)
    np.testing.assert_array_equal(case["table"], np.array([np.nan, 1, 1, np.nan, np.nan, np.nan], np.float32))
    other.write_text("crp,sex,age\n1,male,inf\n")  # nobody looks at it
    assert np.isnan(read_cases(origin, other, exclude=exclude)[0]["table"][0])
    with pytest.raises(InputError, match="'stage' is missing"):
        read_cases(origin, other, exclude=exclude[:3])
    other.write_text("crp,sex,result\n1,male,well\n2,male,well\n")
    assert [case["label"] for case in read_cases(origin, other, "result", ("well", "ill"), exclude)] == [0, 0]
    other.write_text("crp,sex,result\n1,male,gone\n")
    with pytest.raises(InputError, match="line 2: column 'result': 'gone' is none of the classes well, ill"):
        read_cases(origin, other, "result", ("well", "ill"), exclude)


def test_a_file_to_predict_may_have_names_where_the_table_of_the_run_had_none(tmp_path):
    origin = Table("", "y", classes=("0", "1"), numeric=("a", "b"), header=("a", "b", "y"))
    (tmp_path / "new.csv").write_text("b,a\n2,1\n")
    (case,) = read_cases(origin, tmp_path / "new.csv")
    assert case["table"].tolist() == [1, 2]
    (tmp_path / "new.csv").write_text("1,2,\n3,,\n")
    assert read_cases(origin, tmp_path / "new.csv")[0]["table"].tolist() == [1, 2]
    (tmp_path / "new.csv").write_text("1,2\n")
    with pytest.raises(InputError, match="line 1: 2 cells where the header has 3"):
        read_cases(origin, tmp_path / "new.csv")


def test_a_class_without_a_usable_row_is_noted(tmp_path):
    rows = [row.replace("well", "gone") if "p3" in row else row for row in ROWS]
    origin = table(tmp_path, swap(3, "55", "old", rows), classes=("well", "ill", "gone"), on_error="skip")
    assert "no usable row has the class 'gone'" in origin.facts().notes
    spoken = table(tmp_path, swap(0, "40", "n.k."), missing=("n.k.",))  # one's own word; an empty cell is one as well
    assert [bool(np.isnan(case["table"]).any()) for case in list(spoken.cases("all"))[:2]] == [True, True]


def write_patients(path):
    """A table of 120 patients whose outcome follows from its columns, with gaps and dirt."""
    rng = np.random.default_rng(3)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["case", "age", "crp", "sex", "stage", "late", "outcome", "part"])
        for i in range(120):
            age, crp, male, stage = rng.normal(60, 9), rng.exponential(3), rng.random() < 0.5, rng.integers(3)
            ill = (age - 60) / 9 + stage - 1 + male + rng.normal(0, 0.7) > 0.5
            writer.writerow([
                f"c{i}", f"{age:.1f}", "" if crp < 0.5 else f"{crp:.3f}", ("\tmale" if male else "Female"),
                "?" if i % 11 == 0 else "I" * (stage + 1), i, "ill" if ill else "well",
                ("train", "valid", "test")[(i % 5 > 2) + (i % 5 > 3)],
            ])  # fmt: skip


def test_predictions_for_the_file_are_those_of_the_run(tmp_path):
    from medjax.experiment import Data, Duration, Evaluation, Experiment, Optimizer, Training
    from medjax.models import Perceptron
    from medjax.tasks import Classification

    path = tmp_path / "patients.csv"
    write_patients(path)
    origin = dataclasses.replace(SPEC, path=str(path), numeric=("age", "crp", "late"), id="case", split="part")
    experiment = Experiment(
        name="patients",
        data=Data(name="patients", origin=origin, inputs=("table",), exclude=("late",)),
        preprocess=(preprocess.flag_missing,),
        standardise=("table",),
        task=Classification(positive="ill"),
        model=Perceptron(hidden=(8,)),
        optimizer=Optimizer(transform=partial(optax.adam), learning_rate=0.02),
        training=Training(duration=Duration(steps=20), batch_size=16),
        evaluation=Evaluation(resamples=50, test=True),
    )
    folder = tmp_path / "run"
    run.train(experiment, folder)
    with (folder / "predictions/test.csv").open() as file:
        own = {row["id"]: float(row["probability_ill"]) for row in csv.DictReader(file)}
    model = run.load(folder)
    assert model.experiment == experiment or model.experiment.data.origin == origin
    lines = path.read_text().splitlines()
    new = tmp_path / "new.csv"  # without the outcome, and without the column that is known too late
    new.write_text("\n".join(",".join(line.split(",")[:5]) for line in lines))
    predicted = model.predict(external.read_inputs(model, [new]))
    values = dict(zip(predicted.id.tolist(), predicted.values[0, :, 1].tolist(), strict=True))
    assert len(own) == 24
    assert len(values) == 120
    np.testing.assert_allclose([values[name] for name in own], list(own.values()), rtol=1e-5)
    source = external.cases(model, str(path))
    kept = datasets.open_split(datasets.prepare("patients", origin=origin), "test")
    labels = {source[i]["id"]: source[i]["label"] for i in range(len(source))}
    assert [labels[kept[i]["id"]] for i in range(len(kept))] == [kept[i]["label"] for i in range(len(kept))]
    new.write_text(new.read_text().replace("III", "IV"))
    with pytest.raises(InputError, match=r"new.csv, line \d+: column 'stage': 'IV' is none of the levels I, II, III"):
        external.read_inputs(model, [new])


# ---------------------------------------------------------------------------------------------------------------------
# Missing values for the network
# ---------------------------------------------------------------------------------------------------------------------


def test_flags_say_what_was_missing_and_those_that_training_never_saw_stay_silent(tmp_path):
    cases = [preprocess.flag_missing(case) for case in table(tmp_path).cases("all")]
    rows = np.stack([case["table"] for case in cases])
    assert rows.shape == (5, 12)
    assert rows.dtype == np.float32
    np.testing.assert_array_equal(rows[:, 6:], np.isnan(rows[:, :6]))
    fitted = preprocess.fit_standardise([rows[:1], rows[3:4]])
    ready = preprocess.standardise(fitted, rows)
    assert np.isfinite(ready).all()
    assert np.isfinite(preprocess.standardise(jax.device_put(fitted), rows)).all()
    np.testing.assert_array_equal(fitted["scale"][[6, 7, 9]], np.inf)  # never missing in the two training cases
    np.testing.assert_array_equal(ready[1, [6, 7, 9]], 0)  # nothing was learnt of a gap that training never saw
    with pytest.raises(InputError, match="flag_missing, case a: this step needs a table"):
        preprocess.flag_missing({"id": "a"})


def test_no_malformed_table_is_accepted_and_none_raises_anything_else():
    """One table of each kind, as a person runs it: checking types at run time would take most of a minute here."""
    path = Path(__file__).parents[3] / "benchmarks" / "malformed_tables.py"
    done = subprocess.run([sys.executable, path, "--repeats", "1"], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "78 tables of 78 kinds; 0 treated as they must not be"


@pytest.mark.parametrize(
    ("file", "settings", "count", "notes"),
    [
        (
            "tabular/chronic_kidney_disease/kidney_disease.csv",
            {"target": "classification", "classes": ("notckd", "ckd"), "numeric": ("hemo", "pcv"),
             "categorical": (("dm", ("no", "yes")), ("cad", ("no", "yes")))},
            {"notckd": 150, "ckd": 250},
            ("column 'dm': 5 cells such as '\\tno' read as 'no' (lines 67, 90, 140, 190, 196)",
             "column 'cad': 2 cells such as '\\tno' read as 'no' (lines 42, 66)",
             "column 'classification': 2 cells such as 'ckd\\t' read as 'ckd' (lines 39, 232)"),
        ),
        (
            "tabular/pima_diabetes/pima-indians-diabetes.csv",
            {"target": "y", "classes": ("0", "1"), "numeric": ("b", "f"), "header": (*"abcdefgh", "y"),
             "codes": (("b", (("0", ""),)), ("f", (("0", ""),)))},
            {"0": 500, "1": 268},
            ("missing values in 768 rows: 'f' 11, 'b' 5",),
        ),
    ],
)  # fmt: skip
def test_real_tables(medjax_data, file, settings, count, notes):
    origin = Table(path=file, **settings)
    dataset = datasets.prepare("real", origin=origin)
    source = datasets.open_split(dataset, "all")
    labels = [dataset.classes[source[i]["label"]] for i in range(len(source))]
    assert {name: labels.count(name) for name in dataset.classes} == count
    assert set(notes) <= set(dataset.notes)
