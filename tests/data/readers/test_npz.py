import numpy as np
import pytest

from medjax.data.dataset import open_split, prepare
from medjax.data.readers.npz import read_npz
from medjax.errors import InputError


def _save(path, **arrays):
    np.savez(path, **arrays)
    return path


def test_arrays_under_the_names_of_a_case(tmp_path):
    images = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    volumes, table = np.zeros((2, 3, 3, 3, 1), np.float64), np.array([[1, np.nan], [2, 3]])
    cases = read_npz(
        _save(
            tmp_path / "a.npz",
            images=images,
            volumes=volumes,
            table=table,
            labels=np.array([[0], [1]]),
            ids=np.array(["x", "y"]),
            groups=np.array([7, 7]),
        )
    )
    assert [(case["id"], case["group"], case["label"]) for case in cases] == [("x", "7", 0), ("y", "7", 1)]
    np.testing.assert_array_equal(cases[1]["image"], images[1][..., None])
    assert cases[0]["volume"].dtype == np.float32
    np.testing.assert_array_equal(cases[0]["table"], np.array([1, np.nan], np.float32))


def test_ids_and_groups_may_be_absent_and_labels_several(tmp_path):
    labels = np.array([[0, 1, 1], [1, 0, 0]])
    cases = read_npz(_save(tmp_path / "a.npz", images=np.zeros((2, 3, 4, 3), np.uint8), labels=labels))
    assert [(case["id"], case["group"]) for case in cases] == [("00000", "00000"), ("00001", "00001")]
    np.testing.assert_array_equal(cases[1]["labels"], labels[1])


def test_an_original_file_gives_the_cases_of_the_data_set(medjax_data):
    for name, kind in (("breastmnist", "image2d"), ("adrenalmnist3d", "volume3d")):
        dataset = prepare(name, medjax_data)
        cases = read_npz(medjax_data / kind / name / f"{name}.npz")
        assert [case["id"] for case in cases] == dataset.index.id.tolist()
        for case, other in zip(cases[:9], open_split(dataset, "train"), strict=False):
            assert case.keys() == other.keys()
            assert all(np.array_equal(case[key], other[key]) for key in case)


IMAGES = np.zeros((2, 3, 4), np.uint8)


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({}, "nothing"),
        ({"pictures": IMAGES}, "pictures; expected are images"),
        ({"images": IMAGES, "label": np.zeros(2, int)}, "expected are images"),
        ({"labels": np.zeros(2, int)}, "expected are images"),
        ({"images": IMAGES, "labels": np.zeros(3, int)}, "differ in length"),
        ({"images": IMAGES[:0]}, "no case"),
        ({"images": np.uint8(3)}, "no case"),
        ({"images": IMAGES.astype(np.int64)}, "'image'.*int64"),
        ({"images": IMAGES[0]}, "'image'.*dimensions"),
        ({"images": np.full((2, 3, 4), np.nan)}, "'00000'.*NaN"),
        ({"images": IMAGES, "labels": np.array([0.5, 1])}, "'labels'"),
        ({"images": IMAGES, "labels": np.array([0, -1])}, "'00001', key 'label'"),
        ({"images": IMAGES, "ids": np.array(["a", "a"])}, "'a' occurs more than once"),
        ({"images": IMAGES, "ids": np.array([0.5, 1])}, "'ids'"),
        ({"images": IMAGES, "groups": np.array([["a"], ["b"]])}, "'groups'"),
        ({"train_images": IMAGES, "train_labels": np.zeros((3, 1), int)}, "differ in length"),
    ],
)
def test_a_wrong_archive_is_refused_by_name(tmp_path, arrays, words):
    path = _save(tmp_path / "scans.npz", **arrays)
    with pytest.raises(InputError, match=f"(?s)scans.npz.*{words}"):
        read_npz(path)


def test_python_objects_are_refused(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (pytest.fail, ("the pickle was run",))

    path = tmp_path / "scans.npz"
    np.savez(path, images=np.array([Bomb()], dtype=object))
    with pytest.raises(InputError, match=r"scans.npz"):
        read_npz(path)


@pytest.mark.parametrize("size", [0, 1, 100, 300, -30, -1])
@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_a_truncated_archive_is_refused_by_name(tmp_path, size, save):
    path = tmp_path / "scans.npz"
    save(path, images=np.random.default_rng(0).integers(0, 256, (9, 8, 8), np.uint8))
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(InputError, match=r"scans.npz"):
        read_npz(path)


def test_a_flipped_byte_and_other_files_are_refused(tmp_path):
    path = tmp_path / "scans.npz"
    np.savez(path, images=np.random.default_rng(0).integers(0, 256, (9, 8, 8), np.uint8))
    content = bytearray(path.read_bytes())
    content[400] ^= 1
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"scans.npz"):
        read_npz(path)
    np.save(tmp_path / "plain.npy", IMAGES)
    for name in ("plain.npy", "nowhere.npz", "."):
        with pytest.raises(InputError):
            read_npz(tmp_path / name)


def test_nobody_is_advised_to_load_unsafely(tmp_path):
    path = tmp_path / "bad.npz"
    path.write_bytes(b"PK")
    with pytest.raises(InputError, match="no npz archive of plain arrays") as caught:
        read_npz(path)
    assert "pickle" not in str(caught.value)
