import io
import os
import tarfile

import numpy as np
import pytest
from PIL import Image

from medjax.data.readers.images import ImageError, read_header, read_image, read_images
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


@pytest.mark.parametrize("ending", ["png", "jpg", "tif", "webp"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_head_says_what_the_pixels_are(tmp_path, ending, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    colour = np.random.default_rng(0).integers(0, 256, (24, 40, 3), np.uint8)
    path = _save(tmp_path / f"turned.{ending}", colour, exif=exif)
    head, array = read_header(path), read_image(path)
    assert array.shape == (head.height, head.width, head.channels)
    assert head.turned == (orientation > 1) or ending == "tif"
    assert (head.height, head.width) == ((24, 40) if orientation < 5 else (40, 24))


def test_channels_and_dtype_are_as_asked_for(tmp_path):
    grey = np.random.default_rng(0).integers(0, 256, (4, 5), np.uint8)
    one, three = _save(tmp_path / "one.png", grey), _save(tmp_path / "three.png", np.dstack([grey] * 3))
    colour = _save(tmp_path / "colour.png", np.dstack([grey, grey, 255 - grey]))
    deep = _save(tmp_path / "deep.png", grey.astype(np.uint16) * 257)
    for path in (one, three):
        np.testing.assert_array_equal(read_image(path, 1), grey[..., None])
        np.testing.assert_array_equal(read_image(path, 3), np.dstack([grey] * 3))
        assert read_image(path, 3).dtype == np.uint8
    np.testing.assert_array_equal(read_image(one, 1, "float32"), grey[..., None].astype(np.float32))
    np.testing.assert_array_equal(read_image(deep, 3, "float32"), np.dstack([grey * np.float32(257)] * 3))
    with pytest.raises(ImageError, match=r"colour.png: it is in colour.*channels=3"):
        read_image(colour, 1)
    with pytest.raises(ImageError, match=r"deep.png: 16 bits a pixel.*dtype='float32'"):
        read_image(deep, dtype="uint8")
    with pytest.raises(ImageError, match="16 bits a pixel"):
        read_header(deep, dtype="uint8")
    assert read_header(deep).bits == 16


def test_one_conversion_for_alpha_palette_and_one_bit(tmp_path):
    grey = np.random.default_rng(1).integers(0, 256, (6, 7), np.uint8)
    image, opaque = Image.fromarray(grey), Image.new("L", (7, 6), 255)
    image.convert("P").save(tmp_path / "p.png")
    image.convert("P").save(tmp_path / "opaque.png", transparency=bytes([255] * 256))
    Image.merge("LA", (image, opaque)).save(tmp_path / "la.png")
    image.save(tmp_path / "grey.gif")
    for name in ("p.png", "opaque.png", "la.png", "grey.gif"):
        np.testing.assert_array_equal(read_image(tmp_path / name), grey[..., None], err_msg=name)
    image.convert("1", dither=Image.Dither.NONE).save(tmp_path / "bits.png")
    np.testing.assert_array_equal(read_image(tmp_path / "bits.png")[..., 0], np.where(grey > 127, 255, 0))


def test_the_content_decides_and_not_the_name(tmp_path):
    grey = np.random.default_rng(1).integers(0, 256, (6, 7), np.uint8)
    Image.fromarray(grey).save(tmp_path / "scan.jpg", "PNG")
    np.testing.assert_array_equal(read_image(tmp_path / "scan.jpg"), grey[..., None])
    assert read_header(tmp_path / "scan.jpg").format == "PNG"
    (tmp_path / "page.png").write_bytes(
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 5 5\n"
    )  # Pillow would run a program
    with pytest.raises(ImageError, match=r"page.png: this is no image"):
        read_image(tmp_path / "page.png")


def test_checksums_of_a_png_are_verified(tmp_path):
    array = np.zeros((8, 8), np.uint8)
    good = _save(tmp_path / "good.png", array, compress_level=0).read_bytes()  # not compressed: any pixel decodes
    start = good.index(b"IDAT") + 4
    for place in range(start + 8, start + 8 + 64, 9):
        bad = bytearray(good)
        bad[place] ^= 1
        (tmp_path / "bad.png").write_bytes(bad)
        with pytest.raises(ImageError, match=r"bad.png: it is damaged"):
            read_image(tmp_path / "bad.png")
    (tmp_path / "bad.png").write_bytes(good[:-12])
    with pytest.raises(ImageError, match=r"bad.png: it is damaged"):
        read_image(tmp_path / "bad.png")


@pytest.mark.parametrize("ending", ["jpg", "png", "bmp", "tif", "gif", "webp"])
def test_a_file_that_is_cut_is_refused_even_where_pillow_is_told_to_bear_it(tmp_path, ending, monkeypatch):
    from PIL import ImageFile

    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    array = np.random.default_rng(0).integers(0, 256, (32, 32), np.uint8)
    whole = _save(tmp_path / f"whole.{ending}", array).read_bytes()
    (tmp_path / f"cut.{ending}").write_bytes(whole[: len(whole) * 3 // 4])
    with pytest.raises(ImageError, match="cut"):
        read_image(tmp_path / f"cut.{ending}")
    assert ImageFile.LOAD_TRUNCATED_IMAGES


def test_a_jpeg_needs_its_end_and_may_have_more_behind_it(tmp_path):
    array = np.random.default_rng(0).integers(0, 256, (32, 32), np.uint8)
    whole = _save(tmp_path / "whole.jpg", array).read_bytes()
    (tmp_path / "more.jpg").write_bytes(whole + b"\0" * 20)
    np.testing.assert_array_equal(read_image(tmp_path / "more.jpg"), read_image(tmp_path / "whole.jpg"))
    for cut in (3, 5, 50, 500):
        (tmp_path / "cut.jpg").write_bytes(whole[:-cut])
        with pytest.raises(ImageError, match="cut short"):
            read_image(tmp_path / "cut.jpg")


def test_what_pillow_would_throw_away_is_refused(tmp_path):
    grey = np.random.default_rng(0).integers(0, 256, (4, 5), np.uint8)
    partly = np.dstack([grey] * 3 + [np.where(grey > 99, 255, 254).astype(np.uint8)])
    with pytest.raises(ImageError, match="transparent"):
        read_image(_save(tmp_path / "partly.png", partly))
    rows = np.dstack([grey.astype(">u2") * 257] * 3)
    (tmp_path / "deep.ppm").write_bytes(b"P6 5 4 65535\n" + rows.tobytes())
    with pytest.raises(ImageError, match="16 bits a channel with several channels"):
        read_image(tmp_path / "deep.ppm")
    Image.fromarray(partly[..., :3]).convert("CMYK").save(tmp_path / "print.jpg")
    with pytest.raises(ImageError, match="CMYK"):
        read_image(tmp_path / "print.jpg")


def test_whole_numbers_that_float32_cannot_hold_are_refused(tmp_path):
    exact = np.array([[0, 1], [2**24, -5]], np.int32)
    array = read_image(_save(tmp_path / "exact.tif", exact))
    np.testing.assert_array_equal(array[..., 0], exact)
    with pytest.raises(ImageError, match="16777217"):
        read_image(_save(tmp_path / "more.tif", exact + 1))


def test_nothing_is_written_to_standard_error(tmp_path, capfd):
    array = np.random.default_rng(0).integers(0, 256, (32, 32), np.uint8)
    data = bytearray(_save(tmp_path / "x.tif", array, compression="tiff_adobe_deflate").read_bytes())
    data[200] ^= 255
    (tmp_path / "x.tif").write_bytes(data)
    with pytest.raises(ImageError):
        read_image(tmp_path / "x.tif")
    assert capfd.readouterr().err == ""
    os.write(2, b"back")
    assert capfd.readouterr().err == "back"


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
