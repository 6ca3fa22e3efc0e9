import numpy as np
import pytest

from medjax.data.case import attributes, check_case, check_label, check_shape, fingerprint
from medjax.errors import InputError


def _case(**changes):
    case = {"id": "scan-1", "group": "patient-secret", "image": np.zeros((4, 5, 1), np.uint8), "label": 1} | changes
    return {key: value for key, value in case.items() if value is not None}


@pytest.mark.parametrize(
    "case",
    [
        _case(),
        _case(image=np.full((4, 5, 3), 0.5, np.float32)),
        _case(image=None, table=np.array([1, np.nan], np.float32)),
        _case(image=None, volume=np.zeros((2, 3, 4, 1), np.uint8), segmentation=np.zeros((2, 3, 4), np.int32)),
        _case(label=np.int64(0), segmentation=np.ones((4, 5), np.uint8)),
        _case(label=None, labels=np.array([0, 1, np.nan], np.float32)),
        _case(label=None, value=-1.5),
        _case(label=None, time=3.5, event=1),
        _case(image=None, signal=np.zeros((9, 2), np.float32), tokens=np.zeros(3, np.int32)),
    ],
)
def test_a_case_that_keeps_the_contract_passes(case):
    check_case(case, where="file")


@pytest.mark.parametrize(
    ("changes", "key", "words"),
    [
        ({"image": np.zeros((4, 5), np.uint8)}, "image", "3 dimensions"),
        ({"image": np.zeros((4, 5, 1))}, "image", "float64"),
        ({"image": np.zeros((0, 5, 1), np.uint8)}, "image", "no values"),
        ({"image": [[1]]}, "image", "NumPy"),
        ({"image": np.full((4, 5, 1), np.nan, np.float32)}, "image", "20 of 20 values are NaN"),
        ({"image": np.full((4, 5, 1), np.inf, np.float32)}, "image", "infinite"),
        ({"volume": np.full((1, 1, 1, 1), np.nan, np.float32)}, "volume", "NaN"),
        ({"table": np.array([np.inf], np.float32)}, "table", "infinite"),
        ({"image": None}, None, "no input"),
        ({"label": -1}, "label", "negative"),
        ({"label": 0.5}, "label", "class number"),
        ({"label": True}, "label", "class number"),
        ({"label": np.array([1])}, "label", "class number"),
        ({"labels": np.array([0.5], np.float32)}, "labels", "0 and 1"),
        ({"value": np.nan}, "value", "NaN"),
        ({"value": "high"}, "value", "number"),
        ({"soft_label": np.array([0.5, 0.6])}, "soft_label", "sum to 1"),
        ({"soft_label": np.array([-0.5, 1.5])}, "soft_label", "sum to 1"),
        ({"soft_label": np.array([np.nan, np.nan])}, "soft_label", "2 of 2 values are NaN"),
        ({"soft_label": 0.5}, "soft_label", "vector"),
        ({"segmentation": np.zeros((5, 4), np.int32)}, "segmentation", "grid"),
        ({"segmentation": np.zeros((4, 5), np.float32)}, "segmentation", "integers"),
        ({"segmentation": np.full((4, 5), -1)}, "segmentation", "negative"),
        ({"time": -1.0}, "time", "negative"),
        ({"event": 1.5}, "event", "the number of a cause"),
    ],
)
def test_a_broken_case_is_named_by_file_case_and_key_but_not_by_patient(changes, key, words):
    with pytest.raises(InputError, match=words) as error:
        check_case(_case(**changes), where="hospital.npz")
    message = str(error.value)
    assert "hospital.npz" in message
    assert "'scan-1'" in message
    assert key is None or f"'{key}'" in message
    assert "secret" not in message


@pytest.mark.parametrize("key", ["id", "group"])
@pytest.mark.parametrize("value", [None, "", 7, b"x"])
def test_id_and_group_are_text_that_is_not_empty(key, value):
    with pytest.raises(InputError, match=rf"hospital.npz: .*{key!r}") as error:
        check_case(_case(**{key: value}), where="hospital.npz")
    assert "secret" not in str(error.value)


def test_labels_are_checked_against_the_classes():
    check_label(_case(label=1), 2, "file")
    check_label(_case(label=None, labels=np.zeros(3, np.float32)), 3, "file")
    with pytest.raises(InputError, match=r"2 is out of range; .*0 to 1"):
        check_label(_case(label=2), 2, "file")
    with pytest.raises(InputError, match="3 entries for 2 classes"):
        check_label(_case(label=None, labels=np.zeros(3, np.float32)), 2, "file")


def test_shapes_are_checked_and_none_is_free():
    check_shape(_case(), "image", (None, None, 1), "file")
    with pytest.raises(InputError, match="1 channels where 3 are expected"):
        check_shape(_case(), "image", (None, None, 3), "file")
    with pytest.raises(InputError, match=r"\(4, 5, 1\) where \(4, 4, 1\)"):
        check_shape(_case(), "image", (4, 4, 1), "file")
    with pytest.raises(InputError, match="2 columns where 3 are expected"):
        check_shape(_case(table=np.zeros(2, np.float32)), "table", (3,), "file")
    with pytest.raises(InputError, match="missing"):
        check_shape(_case(), "volume", (1, 1, 1, 1), "file")


def test_the_fingerprint_sees_the_inputs_and_nothing_else():
    image = np.arange(20, dtype=np.uint8).reshape(4, 5, 1)
    base = fingerprint(_case(image=image), ["image"])
    assert len(base) == 64
    assert fingerprint(_case(image=image.copy(), id="other", group="other", label=0), ["image"]) == base
    assert fingerprint(_case(image=np.asfortranarray(image)), ["image"]) == base
    changed = image.copy()
    changed[3, 4, 0] += 1
    others = [changed, image.reshape(5, 4, 1), image.astype(np.float32), image.view(np.int8)]
    assert len({fingerprint(_case(image=other), ["image"]) for other in others} | {base}) == 5
    swapped = image.astype(np.float32)
    assert fingerprint(_case(image=swapped.astype(">f4")), ["image"]) == fingerprint(_case(image=swapped), ["image"])
    two = _case(image=image, table=np.zeros(2, np.float32))
    assert fingerprint(two, ["image", "table"]) == fingerprint(two, ["table", "image"]) != base


def test_attributes_are_the_single_values_that_are_neither_input_nor_target():
    case = _case(
        sex="f",
        age=np.float32(63),
        weight=70.25,
        age_exact=np.float32(49.7),
        scan=2,
        site="",
        height=np.nan,
        spacing=np.ones(2),
        box=[1, 2],
    )
    expected = {"sex": "f", "age": "63", "weight": "70.25", "age_exact": "49.7", "scan": "2", "site": "", "height": ""}
    assert attributes(case) == expected
