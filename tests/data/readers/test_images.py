import io
import tarfile

import numpy as np
import pytest
from PIL import Image

from medjax.data.readers.images import read_images
from medjax.errors import InputError


def _save(path, array, **options):
    Image.fromarray(array).save(path, **options)
    return path


def test_pixels_are_kept_and_grey_stays_one_channel(tmp_path):
    rng = np.random.default_rng(0)
    grey, colour = rng.integers(0, 256, (4, 5), np.uint8), rng.integers(0, 256, (4, 5, 3), np.uint8)
    deep = rng.integers(0, 65536, (4, 5), np.uint16)
    opaque = np.dstack([colour, np.full((4, 5), 255, np.uint8)])
    paths = [
        _save(tmp_path / "grey.png", grey),
        _save(tmp_path / "colour.bmp", colour),
        _save(tmp_path / "deep.png", deep),
        _save(tmp_path / "deep.tiff", deep),
        _save(tmp_path / "opaque.png", opaque),
    ]
    Image.fromarray(grey).convert("P").save(tmp_path / "palette.png")
    Image.fromarray(colour).quantize(8).save(tmp_path / "colours.png")
    cases = {
        case["id"]: case for case in read_images([*paths, tmp_path / "palette.png", str(tmp_path / "colours.png")])
    }
    np.testing.assert_array_equal(cases["grey.png"]["image"], grey[..., None])
    np.testing.assert_array_equal(cases["palette.png"]["image"], grey[..., None])
    np.testing.assert_array_equal(cases["colour.bmp"]["image"], colour)
    np.testing.assert_array_equal(cases["opaque.png"]["image"], colour)
    np.testing.assert_array_equal(cases["deep.png"]["image"], deep[..., None].astype(np.float32))
    np.testing.assert_array_equal(cases["deep.tiff"]["image"], deep[..., None].astype(np.float32))
    assert cases["colours.png"]["image"].shape == (4, 5, 3)
    assert cases["grey.png"]["group"] == "grey.png"
    assert cases["deep.png"]["image"].dtype == np.float32


def test_the_camera_rotation_is_applied(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # rotate by 90 degrees clockwise to show
    array = np.zeros((2, 3), np.uint8)
    array[0, 0] = 255
    path = _save(tmp_path / "turned.png", array, exif=exif)
    np.testing.assert_array_equal(read_images([path])[0]["image"][..., 0], np.rot90(array, -1))


def test_equal_names_in_two_folders_are_told_apart(tmp_path):
    for folder in "ab":
        (tmp_path / folder).mkdir()
        _save(tmp_path / folder / "x.png", np.zeros((2, 2), np.uint8))
    cases = read_images([tmp_path / "a" / "x.png", tmp_path / "b" / "x.png"])
    assert len({case["id"] for case in cases}) == 2
    with pytest.raises(InputError, match="twice"):
        read_images([tmp_path / "a" / "x.png"] * 2)


def _bad(path, kind):
    good = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64), np.uint8)).save(good, "PNG")
    if kind == "truncated":
        path.write_bytes(good.getvalue()[: len(good.getvalue()) // 2])
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "text":
        path.write_text("no image")
    elif kind == "transparent":
        Image.fromarray(np.zeros((2, 2, 4), np.uint8)).save(path)
    elif kind == "pages":
        pages = [Image.fromarray(np.full((2, 2), value, np.uint8)) for value in (0, 255)]
        pages[0].save(path, "TIFF", save_all=True, append_images=pages[1:])
    elif kind == "folder":
        path.mkdir()
    elif kind == "not a number":
        Image.fromarray(np.full((2, 2), np.nan, np.float32)).save(path, "TIFF")


@pytest.mark.parametrize(
    "kind", ["missing", "truncated", "empty", "text", "transparent", "pages", "folder", "not a number"]
)
def test_a_bad_file_is_named(tmp_path, kind):
    path = tmp_path / "scan.png"
    _bad(path, kind)
    good = _save(tmp_path / "good.png", np.zeros((2, 2), np.uint8))
    with pytest.raises(InputError, match=r"scan.png"):
        read_images([good, path])


def test_no_file_is_an_error():
    with pytest.raises(InputError, match="No image"):
        read_images([])


def test_real_jpegs(medjax_data, tmp_path):
    with tarfile.open(medjax_data / "image2d/mednist/mednist_600x6.tar") as archive:
        members = [member for member in archive.getmembers() if member.name.endswith("jpeg")][:20]
        archive.extractall(tmp_path, members, filter="data")
    cases = read_images([tmp_path / member.name for member in members])
    assert {case["image"].shape for case in cases} == {(64, 64, 1)}
