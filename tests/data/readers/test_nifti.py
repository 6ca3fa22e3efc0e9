"""Scans in one orientation, label maps back on their grid, and every broken file by its own message."""

import gzip
from itertools import permutations, product
from pathlib import Path

import nibabel
import numpy as np
import pytest

from medjax.data.readers import nifti
from medjax.errors import InputError

SHAPE, STEPS = (2, 3, 4), np.array([0.5, 1.5, 3.0])


def save(path: Path, array: np.ndarray, affine: np.ndarray, kind=nibabel.Nifti1Image, **fields) -> Path:
    image = kind(array, affine)
    image.header["descrip"] = b"DOE^JANE"
    for name, value in fields.items():
        image.header[name] = value
    nibabel.save(image, path)
    return path


def turned(order: tuple[int, ...], signs: tuple[int, ...], tilt: float = 0.0) -> np.ndarray:
    """An affine whose file axis k runs along the patient's axis order[k] (right, anterior, superior)."""
    affine = np.eye(4)
    affine[:3, :3] = 0
    for axis, (place, sign) in enumerate(zip(order, signs, strict=True)):
        affine[place, axis] = sign * STEPS[axis]
    cos, sin = np.cos(tilt), np.sin(tilt)
    affine[:3, :3] = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]]) @ affine[:3, :3]
    affine[:3, 3] = (-10.0, 20.0, 30.0)
    return affine


@pytest.fixture
def straight() -> np.ndarray:
    return turned((0, 1, 2), (1, 1, 1))


def test_every_orientation_shows_the_same_anatomy_and_comes_back_exactly(tmp_path):
    """A marked voxel in each of the 48 orientations: its place in mm stays, and superior, posterior, left grow."""
    path, out = tmp_path / "a.nii", tmp_path / "b.nii"
    for order, signs in product(permutations(range(3)), product((1, -1), repeat=3)):
        affine, labels = turned(order, signs, 0.3), np.zeros(SHAPE, np.uint8)
        labels[1, 0, 2] = 7
        save(path, labels, affine)
        house, grid = nifti.read_labels(path)
        assert house.shape == grid.turned
        matrix = nifti.house_affine(grid)
        place = np.array([*np.argwhere(house == 7)[0], 1.0])
        np.testing.assert_allclose(matrix @ place, nibabel.load(path).affine @ [1, 0, 2, 1], atol=1e-5)
        assert matrix[2, 0] > 0 > max(matrix[1, 1], matrix[0, 2])  # D to superior, H to posterior, W to left
        np.testing.assert_allclose(grid.spacing, np.sqrt((matrix[:3, :3] ** 2).sum(0)), rtol=1e-5)
        nifti.write_labels(out, house, grid)
        back = nibabel.load(out)
        np.testing.assert_array_equal(back.get_fdata(), labels)
        assert (back.affine == nibabel.load(path).affine).all()
        assert back.get_data_dtype() == np.uint8


@pytest.mark.parametrize("kind", [nibabel.Nifti1Image, nibabel.Nifti2Image])
def test_affine_codes_and_units_come_back_and_texts_do_not(tmp_path, kind):
    image = kind(np.zeros(SHAPE, np.int16), None)
    image.set_qform(np.diag([1000, 1000, 1000, 1]) @ turned((1, 2, 0), (1, -1, 1), 0.1), code=1)
    image.set_sform(None, code=0)
    image.header.set_xyzt_units("micron")
    image.header["descrip"] = b"DOE^JANE"
    nibabel.save(image, tmp_path / "scan.nii.gz")
    volume, grid = nifti.read_scan(tmp_path / "scan.nii.gz")
    assert sorted(grid.spacing) == pytest.approx(sorted(STEPS), rel=1e-6)  # mm, whatever the unit of the file
    nifti.write_labels(tmp_path / "out.nii.gz", np.zeros(volume.shape[:3], np.uint8), grid)
    old, new = nibabel.load(tmp_path / "scan.nii.gz"), nibabel.load(tmp_path / "out.nii.gz")
    assert (old.affine == new.affine).all()
    assert type(new) is kind
    for name in ("qform_code", "sform_code", "xyzt_units", "quatern_b"):
        assert old.header[name] == new.header[name]
    assert b"DOE" not in gzip.decompress((tmp_path / "out.nii.gz").read_bytes())


def test_scaling_channels_and_wrong_names(tmp_path, straight):
    array = np.arange(48, dtype=np.int16).reshape(*SHAPE, 2)
    path = save(tmp_path / "a.nii", array, straight)
    content = bytearray(path.read_bytes())
    content[112:120] = np.array([0.5, 10], "<f4").tobytes()  # scl_slope and scl_inter
    (tmp_path / "packed_by_name_only.nii.gz").write_bytes(content)
    volume, grid = nifti.read_scan(tmp_path / "packed_by_name_only.nii.gz", channels=2)
    np.testing.assert_array_equal(nifti.to_file(volume, grid), array * 0.5 + 10)
    case, _ = nifti.read_scan_case(save(tmp_path / "b.nii", array[..., :1], straight))
    assert case["volume"].shape == (4, 3, 2, 1)
    assert case["spacing"].tolist() == [3.0, 1.5, 0.5]


def broken(tmp_path: Path, straight: np.ndarray) -> dict[str, tuple[Path, str]]:
    array = np.random.default_rng(0).normal(size=SHAPE).astype(np.float32)
    good = save(tmp_path / "good.nii.gz", array, straight)
    packed, plain = good.read_bytes(), gzip.decompress(good.read_bytes())
    large = np.random.default_rng(0).normal(size=(40, 40, 60)).astype(np.float32)  # more than is read ahead
    flipped = bytearray(save(tmp_path / "large.nii.gz", large, straight).read_bytes())
    flipped[-6] ^= 255  # of the checksum

    def raw(name: str, content: bytes) -> Path:
        (tmp_path / name).write_bytes(content)
        return tmp_path / name

    def head(name: str, start: int, values: np.ndarray) -> Path:
        content = bytearray(plain)
        content[start : start + values.nbytes] = values.tobytes()
        return raw(name, bytes(content))

    nan = array.copy()
    nan[0, 0, 0], nan[1, 1, 1] = np.nan, np.inf
    return {
        "missing": (tmp_path / "none.nii", "no such file"),
        "empty": (raw("empty.nii", b""), "empty"),
        "truncated gz": (raw("cut.nii.gz", packed[: len(packed) // 2]), "damaged or cut short"),
        "truncated": (raw("cut.nii", plain[:-5]), "cut short: 443 bytes where its head announces 448"),
        "cut head": (raw("head.nii", plain[:300]), "head is damaged"),
        "checksum": (raw("bit.nii.gz", bytes(flipped)), "damaged or cut short"),
        "no NIfTI": (raw("text.nii.gz", b"patient;age\n" * 90), "no NIfTI file"),
        "pair": (head("pair.nii", 344, np.frombuffer(b"ni1\0", np.uint8)), "second file"),
        "NaN": (save(tmp_path / "nan.nii", nan, straight), "2 of its 24 voxels are NaN or infinite"),
        "4-D": (save(tmp_path / "time.nii", np.zeros((*SHAPE, 5), np.float32), straight), "a fourth axis of 5"),
        "2-D": (save(tmp_path / "flat.nii", np.zeros((4, 5), np.float32), straight), "2 dimensions (4 x 5)"),
        "5-D": (save(tmp_path / "five.nii", np.zeros((2, 2, 2, 3, 2), np.float32), straight), "5 dimensions"),
        "zero spacing": (head("zero.nii", 80, np.array([0.0], "<f4")), "spacing of 0 x 1.5 x 3 mm"),
        "absurd spacing": (save(tmp_path / "far.nii", array, np.diag([1, 1, 500.0, 1])), "spacing of 1 x 1 x 500 mm"),
        "two spacings": (head("two.nii", 80, np.array([0.7], "<f4")), "two spacings"),
        "NaN affine": (head("affine.nii", 280, np.array([np.nan], "<f4")), "NaN or infinity"),
        "singular": (head("flat_affine.nii", 296, np.array([0.5, 0, 0], "<f4")), "spacing"),
        "colour": (
            save(tmp_path / "rgb.nii", np.zeros(SHAPE, [("R", "u1"), ("G", "u1"), ("B", "u1")]), straight),
            "only real numbers",
        ),
        "offset": (head("offset.nii", 108, np.array([7e8], "<f4")), "voxels would begin"),
    }


def test_broken_scans_are_refused_by_name_and_without_the_patient(tmp_path, straight):
    for what, (path, words) in broken(tmp_path, straight).items():
        with pytest.raises(InputError) as error:
            nifti.read_scan(path)
        assert words in str(error.value), (what, str(error.value))
        assert str(error.value).startswith(str(path))
        assert "DOE" not in str(error.value)


def test_label_maps_must_hold_labels_on_the_grid_of_their_scan(tmp_path, straight):
    _, scan = nifti.read_scan(save(tmp_path / "scan.nii", np.ones(SHAPE, np.float32), straight))
    labels, moved = np.ones(SHAPE, np.uint8), straight.copy()
    moved[0, 3] += 0.4 * STEPS[0]
    half, whole = labels * np.float32(0.5), labels.astype(np.float64)
    for array, affine, words in (
        (labels[:1], straight, "grid differs from that of its scan: 4 x 3 x 1 and 4 x 3 x 2"),
        (labels, moved, "up to 0.2 mm apart"),
        (half, straight, "24 of its 24 voxels, such as 0.5, are no labels"),
        (whole * -1, straight, "no labels"),
        (whole * 300, straight, "no labels"),
        (whole * np.nan, straight, "no labels"),
    ):
        with pytest.raises(InputError, match=words):
            nifti.read_labels(save(tmp_path / "labels.nii", array, affine), scan)
    other = nibabel.as_closest_canonical(nibabel.Nifti1Image(labels, straight)).as_reoriented([[1, 1], [0, -1], [2, 1]])
    nibabel.save(other, tmp_path / "turned.nii")  # the same voxels in another order
    assert nifti.read_labels(tmp_path / "turned.nii", scan)[0].shape == (4, 3, 2)
    with pytest.raises(InputError, match="do not fit a grid"):
        nifti.write_labels(tmp_path / "out.nii", labels, scan)
    with pytest.raises(InputError, match="ends? in"):
        nifti.write_labels(tmp_path / "out.png", np.zeros((4, 3, 2), np.uint8), scan)
