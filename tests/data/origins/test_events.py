"""Events up to a time of prediction: nothing behind it is read, whatever stands there."""

import dataclasses

import numpy as np
import pytest

from medjax import config
from medjax.data.case import check_case
from medjax.data.origin import Origin
from medjax.data.origins import Events, EventTable, Table
from medjax.errors import InputError

STAYS = ["s1,p1,50,400,0,north", "s2,p1,51,90,1,north", "s3,p2,70,300,1,south", "s4,p3,60,120,0,east"]
LABS = [
    "s1,10,sodium,140,20",
    "s1,-30,sodium,135,-20",
    "s1,130,lactate,9,140",
    "s3,119,lactate,>20,119",
    "s3,60,sodium,150,500",
]
DRUGS = ["s1,5,aspirin", "s3,,aspirin", "s9,5,aspirin", "s2,5,heparin"]


@pytest.fixture
def files(tmp_path):
    def write(stays=STAYS, labs=LABS, drugs=DRUGS, **settings):
        for name, head, rows in (
            ("stays", "stay,person,age,end,died,region", stays),
            ("labs", "stay,minute,name,result,entered", labs),
            ("drugs", "stay,minute,drug", drugs),
        ):
            (tmp_path / f"{name}.csv").write_text("\n".join([head, *rows]) + "\n")
        origin = Events(
            stays=Table(path=str(tmp_path / "stays.csv"), target="died", id="stay", group="person", numeric=("age",)),
            tables=(
                EventTable(str(tmp_path / "labs.csv"), ("name",), "minute", "result", "entered", prefix="lab: "),
                EventTable(str(tmp_path / "drugs.csv"), ("drug",), "minute"),
            ),
            until=2.0,
            end="end",
            length=4,
        )
        return dataclasses.replace(origin, **settings)

    return write


def read(origin):
    facts, cases = origin.facts(), list(origin.cases("all"))
    for case in cases:
        check_case(case, where="test")
    names = ("", "unknown", *facts.codes)
    return facts, {case["id"]: case | {"names": [names[code] for code in case["code"]]} for case in cases}


def test_events_come_in_the_order_of_time_up_to_the_prediction(files):
    origin = files()
    assert isinstance(origin, Origin)
    assert config.decode(config.encode(origin)) == origin
    facts, cases = read(origin)
    assert list(cases) == ["s1", "s3"]  # s2 and s4 had ended by then
    assert facts.codes == ("aspirin", "lab: lactate", "lab: sodium")  # of the stays that are cases
    one = cases["s1"]
    assert one["names"] == ["lab: sodium", "aspirin", "lab: sodium", ""]
    np.testing.assert_array_equal(one["number"], np.array([135, np.nan, 140, np.nan], np.float32))
    np.testing.assert_allclose(one["hours"], [2.5, 115 / 60, 110 / 60, 0], rtol=1e-6)
    assert cases["s3"]["names"] == ["lab: lactate", "", "", ""]
    assert np.isnan(cases["s3"]["number"]).all()
    assert (one["group"], one["label"], cases["s3"]["label"]) == ("p1", 0, 1)
    notes = "; ".join(facts.notes)
    for words in (
        "2 of 4 stays ended by hour 2", "labs.csv: 2 events behind hour 2, when the prediction is made: not read",
        "labs.csv: 1 events with a value that is no number, such as '>20'", "drugs.csv: 1 events without a time",
        "drugs.csv: 1 events of no stay",
    ):  # fmt: skip
        assert words in notes, words


def test_a_planted_future_changes_nothing(files):
    """Code and value behind the prediction are not even looked at; a value entered afterwards is not known yet."""
    plain, (_, cases) = files().facts(), read(files())
    future = [*LABS, "s1,121,the answer,1e99999,121", "s3,50,the answer,1,121", "s3,999999,the answer,=cmd,"]
    facts, found = read(files(labs=future))
    assert facts.codes == plain.codes
    for name, case in cases.items():
        for key in ("code", "number", "hours", "table"):
            np.testing.assert_array_equal(found[name][key], case[key])
    assert (
        "lab: the answer" in read(files(labs=future, until=2.5, end=None))[0].codes
    )  # it is seen as soon as it is known


def test_the_last_events_are_kept_and_facts_of_other_tables_are_joined_by_their_key(files, tmp_path):
    origin = files(length=2)
    assert read(origin)[1]["s1"]["names"] == ["aspirin", "lab: sodium"]
    (tmp_path / "regions.csv").write_text("region,climate\nnorth,cold\nsouth,warm\n")
    extra = EventTable(str(tmp_path / "regions.csv"), ("climate",), key="region")
    cases = read(dataclasses.replace(origin, tables=(extra,), end=None, until=24.0))[1]
    assert [case["names"][0] for case in cases.values()] == ["cold", "cold", "warm", ""]
    np.testing.assert_allclose(cases["s1"]["hours"][0], 24)


def test_tables_elsewhere_are_read_with_the_dictionary_of_the_run(files, tmp_path):
    origin = files()
    facts, cases = read(origin)
    new = tmp_path / "new"
    new.mkdir()
    (new / "stays.csv").write_text("stay,person,age\nn1,p9,50\nn2,p8,\n")  # neither end nor answer are known yet
    (new / "labs.csv").write_text(
        "stay,minute,name,result,entered\nn1,10,sodium,140,20\nn1,11,krypton,1,20\nn1,130,lactate,1,1\n"
    )
    (new / "drugs.csv").write_text("stay,minute,drug\nn2,5,aspirin\n")
    found = {case["id"]: case for case in origin.elsewhere(new, facts.codes)}
    np.testing.assert_array_equal(found["n1"]["code"], [facts.codes.index("lab: sodium") + 2, 1, 0, 0])
    np.testing.assert_array_equal(found["n2"]["code"], [facts.codes.index("aspirin") + 2, 0, 0, 0])
    assert "label" not in found["n1"]
    same = {case["id"]: case for case in origin.elsewhere(tmp_path, facts.codes)}
    for key in ("code", "number", "hours", "table"):
        np.testing.assert_array_equal(same["s1"][key], cases["s1"][key])


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"labs": ["s1,1/2/2023,sodium,140,3"]}, "labs.csv, line 2, column 'minute': '1/2/2023' is a date and no number"),
        ({"labs": ["s1,soon,sodium,140,3"]}, "labs.csv, line 2, column 'minute': 'soon' is no number"),
        ({"stays": ["s1,p1,50,,0,north", "s3,p2,70,300,1,south"]}, "stays.csv, line 2: column 'end': the end of the stay is missing"),
        ({"end": "leaves"}, "column 'leaves' is missing"),
        ({"until": -9.0, "end": None}, "no event of any stay lies before hour -9"),
        ({"length": 0}, "length is 0"),
        ({"tables": ()}, "tables is empty"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(files, settings, words):
    def everything():
        origin = files(**settings)
        origin.facts()
        raise InputError("; ".join(map(str, origin.cases("all"))))

    with pytest.raises(InputError) as error:
        everything()
    assert words in str(error.value)


def test_an_edited_table_has_another_fingerprint(files):
    assert files().fingerprint() == files().fingerprint()
    assert files(labs=LABS[1:]).fingerprint() != files().fingerprint()
    assert files(until=3.0).fingerprint() != files().fingerprint()
