"""Pictures of single cases: of those asked for, and of the data that the run was trained on."""

import io
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from medjax.data.dataset import Dataset, Index, fingerprint
from medjax.data.source import MemorySource
from medjax.errors import InputError
from medjax.report import contact_sheet
from medjax.report import thumbnails as room
from medjax.report.contact_sheet import TILE

IDS = np.array(["train/0", "train/1", "test/0", "test/1"])


@pytest.fixture
def run(tmp_path, monkeypatch):
    images = np.random.default_rng(0).integers(0, 256, (4, 20, 30, 1)).astype(np.uint8)
    part = np.array(["train", "train", "test", "test"])
    index = Index(part, IDS, IDS, IDS, (), "", {})
    dataset = Dataset(
        "demo", "1", (), (), ("image",), ("label",), True, {"train": 2, "test": 2}, index, Path(), "", "", ""
    )
    read = []

    class Cases(MemorySource):
        def __getitem__(self, row):
            read.append(super().__getitem__(row)["id"])
            return super().__getitem__(row)

    def open_split(_, split):
        return Cases([{"id": str(IDS[k]), "image": images[k]} for k in np.flatnonzero(part == split)])

    monkeypatch.setattr(contact_sheet, "open_split", open_split)
    monkeypatch.setattr(room, "prepare", lambda *_: dataset)
    (tmp_path / "record.json").write_text(json.dumps({"data": {"fingerprint": fingerprint(dataset)}}))
    (tmp_path / "config.json").write_text("{}")
    data = SimpleNamespace(name="demo", origin=None, inputs=("image",))
    monkeypatch.setattr(room.config, "decode", lambda _: SimpleNamespace(data=data))
    return SimpleNamespace(folder=tmp_path, read=read, images=images, data=data)


def test_only_the_cases_asked_for_are_read_and_their_shape_is_kept(run):
    pictures = room.thumbnails(run.folder)(["test/1", "elsewhere/7"])
    assert list(pictures) == ["test/1"]
    assert run.read == ["test/1"]
    image = Image.open(io.BytesIO(pictures["test/1"]))
    assert image.size == (TILE, TILE * 2 // 3)
    assert abs(float(np.asarray(image).mean()) - run.images[3].mean()) < 10


def test_other_data_are_refused_and_tables_have_no_pictures(run):
    (run.folder / "record.json").write_text('{"data": {"fingerprint": "0"}}')
    with pytest.raises(InputError, match="not the one that"):
        room.thumbnails(run.folder)
    run.data.inputs = ("table",)
    assert room.thumbnails(run.folder) is None
