"""The contact sheet holds the pictures that were given, in rows."""

import io

import numpy as np
from PIL import Image

from medjax.report import contact_sheet as sheets


def opened(rows):
    return np.asarray(Image.open(io.BytesIO(sheets.contact_sheet("title", rows))))


def test_images_volumes_and_colours_land_on_one_page():
    grey, colour = np.full((8, 8, 1), 77, np.uint8), np.zeros((4, 8, 3), np.uint8) + np.array([200, 10, 30], np.uint8)
    volume = np.stack([np.full((6, 6, 1), k, np.float32) for k in range(5)])
    volume[2, :3] = 9.0
    page = opened([("grey", [grey, grey]), ("other", [colour, volume])])
    pixels = {tuple(pixel) for pixel in page.reshape(-1, 3).tolist()}
    assert {(77, 77, 77), (200, 10, 30)} <= pixels
    first = sheets.MARGIN + sheets.TITLE + 22
    tile = page[first : first + sheets.TILE, sheets.MARGIN : sheets.MARGIN + sheets.TILE]
    assert (tile == 77).all()


def test_eight_bits_stay_and_others_are_stretched():
    assert (sheets.picture(np.full((2, 2, 1), 5, np.uint8)) == 5).all()
    stretched = sheets.picture(np.array([[[-1000.0], [0.0], [1000.0]]], np.float32))
    assert stretched[0, :, 0].tolist() == [0, 128, 255]
    assert (sheets.picture(np.full((2, 2, 1), 3.0, np.float32)) == 0).all()  # constant: no division by zero


def test_a_volume_shows_its_middle_slice():
    volume = np.zeros((5, 4, 4, 1), np.uint8)
    volume[2] = 40
    assert (sheets.picture(volume) == 40).all()
