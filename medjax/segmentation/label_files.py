"""Scans and images as files to be segmented, and their label maps written back on the grid of the file."""

import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from medjax.data.case import Case
from medjax.data.origin import Problem
from medjax.data.origins import Masks
from medjax.data.readers.archive import is_archive
from medjax.data.readers.images import read_images
from medjax.data.readers.masks import is_scan
from medjax.data.readers.nifti import Grid, read_scan_case, write_labels
from medjax.data.source import MemorySource, Source
from medjax.data.storage import write_atomically
from medjax.errors import InputError
from medjax.predictor import Predictor, shapes
from medjax.segmentation.segmenter import Segmenter


def segment_files(segmenter: Segmenter, inputs: Sequence[Path], out: Path) -> list[Path]:
    """Segment files, and write a label map for each: NIfTI for a scan, with the affine of the scan, PNG for an image.

    Args:
        segmenter: a trained run.
        inputs: NIfTI scans for a run on volumes, image files for one on images.
        out: a file for one input; for several a folder, where each map gets the name of its input.

    Returns:
        The files written.

    Raises:
        InputError: a file that is missing, broken or of the other kind; a name that the label map cannot have; a file that
            would be written over its own scan.
    """
    written = []
    for path, target in zip(inputs, targets(inputs, out), strict=True):
        case, grid = _read(segmenter, path)
        labels = segmenter.segment(case)
        if grid is not None:
            write_labels(target, labels, grid)
        else:
            write_atomically(target, png(labels))
        written.append(target)
    return written


def targets(inputs: Sequence[Path], out: Path) -> list[Path]:
    """Return where each label map goes, and refuse what would go wrong, before anything is computed."""
    single = len(inputs) == 1 and not out.is_dir()
    places = [out] if single else [out / (path.name if is_scan(path) else f"{path.stem}.png") for path in inputs]
    for path, place in zip(inputs, places, strict=True):
        if place.resolve() == path.resolve():
            raise InputError(f"{place}: the label map would be written over its own scan; give another --out")
        ending = (".nii.gz", ".nii") if is_scan(path) else (".png",)
        if not place.name.lower().endswith(ending):
            raise InputError(f"--out {place}: the label map of {path.name} is written as {' or '.join(ending)}")
    if len({place.resolve() for place in places}) < len(places):
        raise InputError("two inputs have the same name; segment them into different folders")
    return places


def png(labels: UInt8[np.ndarray, "height width"]) -> bytes:
    """Return a label map as a PNG of 8 bits: the number of the class of each pixel."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(labels).save(buffer, "PNG")
    return buffer.getvalue()


def labelled_files(model: Predictor, path: Path) -> Source:
    """Return scans or images with masks from elsewhere, read as the run's own were, in any layout that `Masks` knows.

    Args:
        model: the run that will be judged.
        path: a folder, an archive, or a CSV that lists images and masks.

    Raises:
        InputError: none of these, or one whose cases cannot all be judged; the file is named.
    """
    own, classes = model.experiment.data.origin, model.experiment.task.classes
    (key,) = model.experiment.data.inputs
    listed = path.is_file() and path.name.lower().endswith((".csv", ".tsv"))
    if path.is_file() and not listed and not is_archive(path):
        raise InputError(
            f"{path}: to judge masks give a folder, an archive (.tar, .tar.gz, .zip), or a CSV with the columns image and mask"
        )
    place = {"path": str(path.parent), "manifest": path.name} if listed else {"path": str(path), "manifest": None}
    settings: dict[str, Any] = {**place, "channels": shapes(model.record)[key].shape[-1], "on_error": "stop"}
    origin = replace(own, **settings) if isinstance(own, Masks) else Masks(**settings)
    told = origin.told_classes()
    if told and told != tuple(classes):
        raise InputError(
            f"{path}: dataset.json has the classes {', '.join(told)}, but this run knows {', '.join(classes)}; external "
            "validation needs the same classes in the same order"
        )
    origin = replace(origin, classes=tuple(classes))
    facts = origin.facts()
    if key not in facts.shapes:
        kinds = {"volume": "NIfTI scans", "image": "images"}
        other = "volume" if key == "image" else "image"
        raise InputError(f"{path}: it holds {kinds[other]}, but this run segments {kinds[key]}; give it {kinds[key]}")
    found: list[Case] = []
    for split in facts.counts:
        for case in origin.cases(split):
            if isinstance(case, Problem):
                known = ", ".join(f"{number} {name}" for number, name in enumerate(classes))
                raise InputError(
                    f"{path}: {case.where}: {case.what}. Mend it or leave it out; this run's classes are {known}."
                )
            found.append(case)
    return MemorySource(found)


def _read(segmenter: Segmenter, path: Path) -> tuple[Case, Grid | None]:
    """Read one file as the run's own cases were read."""
    experiment = segmenter.model.experiment
    (key,) = experiment.data.inputs
    channels = shapes(segmenter.model.record)[key].shape[-1]
    if is_scan(path) != (key == "volume"):
        raise InputError(f"{path}: this run segments {'NIfTI scans (.nii, .nii.gz)' if key == 'volume' else 'images'}")
    if key == "volume":
        return read_scan_case(path, channels)
    origin = experiment.data.origin
    dtype = origin.dtype if isinstance(origin, Masks) else None
    (case,) = read_images([path], 3 if channels == 3 else 1, dtype)
    return case, None
