import codecs
import csv
import gzip

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer

from medjax.data.readers.table import check_columns, find_file, read_rows, read_table
from medjax.errors import InputError

COLUMNS = ("age", "crp")


def _write(path, text):
    path.write_text(text, encoding="utf-8")
    return path


def test_columns_are_found_by_name_and_missing_cells_are_nan(tmp_path):
    path = _write(tmp_path / "t.csv", "crp,id,group,age,outcome\n1.5,a,p,40,sick\n?,b,p,1e2,well\n,c,q,NA,0\n\n")
    cases = read_table(path, COLUMNS, target="outcome", classes=("sick", "well"))
    np.testing.assert_array_equal(
        np.stack([case["table"] for case in cases]), np.array([[40, 1.5], [100, np.nan], [np.nan, np.nan]], np.float32)
    )
    assert [(case["id"], case["group"], case["label"]) for case in cases] == [
        ("a", "p", 0),
        ("b", "p", 1),
        ("c", "q", 0),
    ]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_separators_byte_order_mark_and_quotes(tmp_path, delimiter):
    path = tmp_path / "t.csv"
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        rows = [["id", "age", "crp"], [f'two\nlines{delimiter} "quoted"', " 40 ", "-1"]]
        csv.writer(file, delimiter=delimiter).writerows(rows)
    (case,) = read_table(path, COLUMNS)
    assert case["id"] == f'two\nlines{delimiter} "quoted"'
    np.testing.assert_array_equal(case["table"], np.array([40, -1], np.float32))


def test_a_value_as_target_and_rows_without_id(tmp_path):
    cases = read_table(_write(tmp_path / "t.csv", "age,crp,y\n1,2,-0.5\n3,4,7\n"), COLUMNS, target="y")
    assert [(case["id"], case["group"], case["value"]) for case in cases] == [
        ("00000", "00000", -0.5),
        ("00001", "00001", 7),
    ]


def test_a_whole_data_set_survives_the_way_through_a_file(tmp_path):
    data = load_breast_cancer()
    path = tmp_path / "wisconsin.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([list(data.feature_names), *data.data.tolist()])
    cases = read_table(path, list(data.feature_names))
    np.testing.assert_array_equal(np.stack([case["table"] for case in cases]), data.data.astype(np.float32))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "a header and at least one row"),
        ("age,crp\n", "a header and at least one row"),
        ("age,y\n1,0\n", "column 'crp' is missing"),
        ("age,crpp,y\n1,2,0\n", r"'crp' is missing \(is it 'crpp'\?\)"),
        ("age,crp\n1,2\n", "column 'y' is missing"),
        ("age,crp,age,y\n1,2,3,0\n", "'age' more than once"),
        ("age,crp,y\n1,2,0\n1,high,0\n", "line 3, column 'crp': 'high' is no number"),
        ("age,crp,y\n1_0,2,0\n", "line 2, column 'age': '1_0'"),
        ("age,crp,y\n1e39,2,0\n", "line 2, column 'age': '1e39'"),
        ("age,crp,y\ninf,2,0\n", "line 2, column 'age': 'inf'"),
        ("age,crp,y\n1,2\n", "line 2: 2 cells where the header has 3"),
        ("age,crp,y\n1,2,2\n", "line 2, column 'y': '2' is none of the classes no, yes"),
        ("age,crp,y\n1,2,\n", "line 2, column 'y': ''"),
        ('age,crp,y\n1,2,"no\n', "line 2: "),
        ("id,age,crp,y\na,1,2,0\na,1,2,0\n", "'a' occurs more than once"),
    ],
)
def test_a_bad_table_is_refused_with_file_line_and_column(tmp_path, text, words):
    with pytest.raises(InputError, match=f"t.csv.*{words}"):
        read_table(_write(tmp_path / "t.csv", text), COLUMNS, target="y", classes=("no", "yes"))


def test_a_file_that_is_no_text_or_not_there_is_named(tmp_path):
    (tmp_path / "t.csv").write_bytes(b"\xff\xfe\x00\x01")
    for name in ("t.csv", "nowhere.csv", "."):
        with pytest.raises(InputError, match=str(tmp_path)):
            read_table(tmp_path / name, COLUMNS)
    with pytest.raises(InputError, match="target is missing"):
        read_table(_write(tmp_path / "t.csv", "age,crp,y\n1,2,\n"), COLUMNS, target="y")


def test_rows_come_with_the_line_in_which_they_begin(tmp_path):
    path = _write(tmp_path / "t.csv", 'a,b\n\n"x\ny",1\r\nz,2\n,\n\n')
    assert read_rows(path) == (["a", "b"], [(3, ["x\ny", "1"]), (5, ["z", "2"])])
    _write(path, "a,b\n1\n2,3,4\n")
    assert read_rows(path, ragged=True)[1] == [(2, ["1"]), (3, ["2", "3", "4"])]


def test_names_may_be_given_for_a_file_that_has_none(tmp_path):
    path = _write(tmp_path / "t.csv", "1,2\n3,4\n")
    with pytest.raises(InputError, match=r"t.csv, line 1: numbers only.*`header`"):
        read_rows(path)
    assert read_rows(path, ("a", "b")) == (["a", "b"], [(1, ["1", "2"]), (2, ["3", "4"])])
    assert read_rows(_write(path, "a , b\n3,4\n"), ("a", "b"))[1] == [(2, ["3", "4"])]  # it has them after all
    with pytest.raises(InputError, match="line 1: 2 cells where the header has 3"):
        read_rows(_write(path, "1,2\n3,4\n"), ("a", "b", "c"))


def test_the_separator_is_the_one_that_parts_the_first_row_most(tmp_path):
    for text in ('"a, b, c";d\n1;2\n', '"a, b, c"|d\n1|2\n', '"a, b, c"\td\n1\t2\n'):
        assert read_rows(_write(tmp_path / "t.csv", text)) == (["a, b, c", "d"], [(2, ["1", "2"])])


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"a,b\n1,\xe4\n", "line 2, byte 3: 0xe4 is no text in UTF-8"),
        (codecs.BOM_UTF16_LE + "a,b\n1,2\n".encode("utf-16-le"), "UTF-16"),
        ("a,b\n1,2\n".encode("utf-16-le"), "line 1: a byte 0"),
        (b"a,b\n1,2\n1,\0\n", "line 3: a byte 0"),
        (b"a,b\n1,2\n1,\x07\n", "line 3: a byte 7 that is no text"),
        (b"PK\x03\x04....", "workbook"),
        (gzip.compress(b"a,b\n1,2\n", mtime=0)[:-9], "cannot be read"),
        (b"a,b\n" + b"x" * 200_000 + b",1\n", "line 2: field larger"),
        (b'a,b\n1,2\n1,"2\n3,4\n', "line 3: a quote is opened and never closed"),
        (b"\xef\xbb\xbf", "empty"),
        (b"\n\n,,\n", "a header and at least one row"),
    ],
)
def test_what_is_no_table_is_named(tmp_path, data, words):
    (tmp_path / "t.csv").write_bytes(data)
    with pytest.raises(InputError, match=f"t.csv.*{words}"):
        read_rows(tmp_path / "t.csv")


def test_a_missing_column_is_named_with_the_one_that_may_be_meant(tmp_path):
    check_columns(tmp_path, ["a"], ["a", "b"])
    with pytest.raises(InputError, match=r"column 'sexe' is missing \(is it 'sex'\?\). The header has 'age', 'sex'"):
        check_columns(tmp_path, ["sexe"], ["age", "sex"])
    with pytest.raises(InputError, match=r"'sex' is missing. The first line looks like a row of data") as caught:
        check_columns(tmp_path, ["sex"], ["p17", "male", "40"])
    assert "p17" not in str(caught.value)
    with pytest.raises(InputError, match=r"'AGE' is missing \(is it 'age'\?\)"):
        check_columns(tmp_path, ["AGE"], ["age", "sex"])


def test_a_relative_path_is_looked_for_here_and_in_the_data_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("MEDJAX_DATA", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in").mkdir()
    _write(tmp_path / "t.csv", "a,b\n")
    assert not find_file("t.csv").is_absolute()
    monkeypatch.chdir(tmp_path / "in")
    assert find_file("t.csv") == tmp_path / "t.csv"
    assert str(find_file("nowhere.csv")) == "nowhere.csv"
