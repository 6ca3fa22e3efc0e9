import numpy as np
import pytest

from medjax.data.readers.columns import Column, inspect, parse, unnamed
from medjax.errors import InputError

ROWS = 40


def looked_at(folder, **columns) -> dict[str, Column]:
    path = folder / "t.csv"
    cells = [[str(cells[row % len(cells)]) for cells in columns.values()] for row in range(ROWS)]
    path.write_text("\n".join(["\t".join(columns), *("\t".join(row) for row in cells)]), encoding="utf-8")
    return {column.name: column for column in inspect(path)}


@pytest.mark.parametrize(
    ("name", "cells", "kind"),
    [
        ("age", [40.5, 41, 62], "numeric"),
        ("platelets", [i * 7919 % 100_003 for i in range(ROWS)], "numeric"),  # all different, but no numbering
        ("weight", [50 + i / 7 for i in range(ROWS)], "numeric"),
        ("crp", [1, 2, 3, 4, "<5"], "numeric"),
        ("grade", [1, 2, 3], "numeric"),
        ("sex", ["m", "f", "", "M"], "categorical"),
        ("row", range(1, ROWS + 1), "identifier"),
        ("shuffled", [i * 7 % ROWS for i in range(ROWS)], "identifier"),
        ("code", [f"X{i:03d}" for i in range(ROWS)], "identifier"),
        ("patient_id", [f"P{i // 2}" for i in range(ROWS)], "identifier"),
        ("patientId", [900_000 + 17 * (i // 2) for i in range(ROWS)], "identifier"),
        ("grid", [1, 2, 3], "numeric"),
        ("admitted", ["2020-01-31", "2020-02-01", ""], "date"),
        ("born", ["31.1.1960", "1.2.1970"], "date"),
        ("remark", [f"seen on ward {i}" for i in range(ROWS)], "text"),
        ("centre", ["A"], "constant"),
        ("one", [1, "1.0", ""], "constant"),
        ("nothing", ["", "NA", "?"], "empty"),
    ],
)
def test_what_a_column_holds(tmp_path, name, cells, kind):
    assert looked_at(tmp_path, **{name: list(cells), "other": [1, 2]})[name].kind == kind


def test_what_is_counted(tmp_path):
    found = looked_at(tmp_path, crp=[1, 3, "<5", "?"], dm=["no", "\u00a0no", "Yes", "yes", "NO"], other=[1, 2])
    crp, dm = found["crp"], found["dm"]
    assert (crp.count, crp.missing, crp.words, crp.distinct) == (40, 10, (("?", 10),), 3)
    assert (crp.minimum, crp.maximum, crp.mean) == (1, 3, 2)
    assert (crp.unfit, crp.problems[0]) == (10, (4, "<5"))
    assert len(crp.problems) == 5
    assert dm.levels == (("no", 24), ("Yes", 16))
    assert (dm.distinct, dm.dirty, dm.example) == (2, 24, r"'\xa0no' read as 'no'")
    assert (dm.minimum, dm.unfit) == (None, 0)


def test_a_column_is_read_cell_by_cell():
    def read(text):
        if text == "x":
            raise ValueError("no x")
        return text.upper()

    parsed = parse(["a", "\tb", "?", "x", "0.0", "c"], read, codes={"0": "zero", "c": ""})
    assert parsed.values == ["A", "B", None, None, "ZERO", None]
    assert parsed.known == ["A", "B", "ZERO"]
    assert parsed.wrong == {3: "no x"}
    assert parsed.changed == {("a", "A"): [0], ("\tb", "B"): [1]}
    assert parsed.coded == {("0.0", "ZERO"): [4], ("c", "missing"): [5]}


def test_decimal_commas_are_read_with_a_word_about_it(tmp_path):
    found = looked_at(tmp_path, sodium=["139,5", "141", "?"], dose=[f"{k} mg" for k in range(ROWS)], other=[1, 2])
    sodium, dose = found["sodium"], found["dose"]
    assert (sodium.kind, sodium.minimum, sodium.maximum, sodium.missing) == ("numeric", 139.5, 141, 13)
    assert (sodium.dirty, sodium.example) == (14, "'139,5' read as '139.5'")
    assert dose.kind == "text"
    assert dose.refusal.endswith("is a number with something behind it; write the number alone")
    parsed = parse(["1,5", "2"], float, numbers=True)
    assert (parsed.values, parsed.changed) == ([1.5, 2.0], {("1,5", "1.5"): [0]})
    assert parse(["1,5", "2"], str).values == ["1,5", "2"]  # a level stays what it is


def test_a_file_without_names(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("6,148,.5\n1,85,.2\n")
    assert unnamed(path) == ("column_1", "column_2", "column_3")
    assert [column.name for column in inspect(path, unnamed(path))] == ["column_1", "column_2", "column_3"]
    with pytest.raises(InputError, match="line 1: numbers only where the names of the columns are expected"):
        inspect(path)
    path.write_text("a,b\n1,2\n")
    assert unnamed(path) == ()
    for text in ("", "a,b\n1\n"):
        path.write_text(text)
        with pytest.raises(InputError, match="t.csv"):
            inspect(path)


def test_real_tables(medjax_data):
    kidney = {
        column.name: column for column in inspect(medjax_data / "tabular/chronic_kidney_disease/kidney_disease.csv")
    }
    assert kidney["id"].kind == "identifier"
    assert kidney["classification"].levels == (("ckd", 250), ("notckd", 150))
    assert (kidney["dm"].dirty, kidney["cad"].dirty, kidney["classification"].dirty) == (5, 2, 2)
    kinds = [column.kind for column in kidney.values()]
    assert (kinds.count("numeric"), kinds.count("categorical")) == (14, 11)
    heart = inspect(medjax_data / "tabular/heart_disease_cleveland/heart_cleveland.csv")
    assert {column.kind for column in heart} == {"numeric"}
    np.testing.assert_allclose(heart[0].mean, 54.4389, atol=1e-4)
    pima = medjax_data / "tabular/pima_diabetes/pima-indians-diabetes.csv"
    assert len(unnamed(pima)) == 9
