import hashlib
import http.server
import shutil
import threading
import urllib.error
import urllib.request
from functools import partial

import numpy as np
import pytest
import tensorflow_datasets as tfds

from medjax.data.builders import medmnist
from medjax.data.dataset import open_split, prepare
from medjax.errors import InputError

NAMES = {"pneumoniamnist": "image2d", "breastmnist": "image2d", "adrenalmnist3d": "volume3d"}


@pytest.fixture
def no_network(monkeypatch):
    def refused(url, **_):
        raise urllib.error.URLError("Name or service not known")

    monkeypatch.setattr(urllib.request, "urlopen", refused)


@pytest.fixture
def small(tmp_path, monkeypatch):
    """Give a function that lets a small file stand in for a flag's: three cases for training, one and two for the rest."""

    def make(flag, folder, images, labels):
        counts = {"train": 3, "validation": 1, "test": 2}
        arrays = {}
        for split, count in counts.items():
            stem = {"validation": "val"}.get(split, split)
            arrays |= {f"{stem}_images": images[:count], f"{stem}_labels": labels[:count]}
        folder.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(folder / f"{flag}.npz", **arrays)
        facts = medmnist._FACTS[flag]
        md5 = facts["md5"] | {"28": hashlib.md5((folder / f"{flag}.npz").read_bytes()).hexdigest()}
        monkeypatch.setitem(medmnist._FACTS, flag, facts | {"cases": counts, "md5": md5})
        monkeypatch.setenv("MEDJAX_CACHE", str(tmp_path / "cache"))
        monkeypatch.delenv("MEDJAX_DATA", raising=False)
        return folder / f"{flag}.npz"

    return make


def test_the_table_of_facts_is_whole():
    facts = medmnist._FACTS
    assert len(facts) == 18
    assert sum(entry["dimensions"] == 2 for entry in facts.values()) == 12
    checksums = [md5 for entry in facts.values() for md5 in entry["md5"].values()]
    assert len(set(checksums)) == len(checksums) == 60
    assert all(len(md5) == 32 and int(md5, 16) for md5 in checksums)
    for entry in facts.values():
        assert set(entry["md5"]) == ({"28", "64", "128", "224"} if entry["dimensions"] == 2 else {"28", "64"})
        assert entry["task"] in ("binary", "multi-class", "multi-label", "ordinal")
        assert (len(entry["labels"]) == 2) == (entry["task"] == "binary")
        assert len(set(entry["labels"])) == len(entry["labels"])
        assert list(entry["cases"]) == ["train", "validation", "test"]


def test_every_configuration_describes_itself(tmp_path):
    for config in medmnist.Medmnist.BUILDER_CONFIGS:
        builder = medmnist.Medmnist(config=config.name, data_dir=tmp_path)
        assert builder.info.features[config.key].shape == config.shape
        assert ("labels" in builder.info.features) == (config.flag == "chestmnist")
    assert tfds.builder("medmnist/pathmnist_64", data_dir=tmp_path).info.features["image"].shape == (64, 64, 3)
    assert tfds.builder("medmnist", data_dir=tmp_path).builder_config.name == "pneumoniamnist"


@pytest.mark.parametrize("name", NAMES)
def test_the_cases_equal_the_original_file(medjax_data, name):
    dataset = prepare(name, medjax_data)
    with np.load(medjax_data / NAMES[name] / name / f"{name}.npz") as original:
        for split, stem in (("train", "train"), ("validation", "val"), ("test", "test")):
            cases = list(open_split(dataset, split))
            arrays = np.stack([case[dataset.inputs[0]] for case in cases])
            assert arrays.dtype == np.uint8
            np.testing.assert_array_equal(arrays[..., 0], original[f"{stem}_images"])
            np.testing.assert_array_equal([case["label"] for case in cases], original[f"{stem}_labels"][:, 0])
            assert [case["id"] for case in cases] == [f"{split}/{row:05d}" for row in range(len(cases))]
    assert dataset.official
    assert dataset.splits == medmnist._FACTS[name]["cases"]
    assert list(dataset.splits) == ["train", "validation", "test"]
    assert dataset.index.split.tolist() == [split for split, count in dataset.splits.items() for _ in range(count)]


def test_multi_label_colour_and_several_shards(small, tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    monkeypatch.setattr(medmnist, "_SHARD_BYTES", 2000)  # two grey images, no colour image: at least one a shard
    labels = rng.integers(0, 2, (3, 14), dtype=np.uint8)
    images = rng.integers(0, 256, (3, 28, 28), dtype=np.uint8)
    small("chestmnist", tmp_path / "in" / "a" / "folder", images, labels)
    dataset = prepare("chestmnist", tmp_path / "in")
    cases = list(open_split(dataset, "train"))
    np.testing.assert_array_equal(np.stack([case["labels"] for case in cases]), labels.astype(np.float32))
    np.testing.assert_array_equal(np.stack([case["image"][..., 0] for case in cases]), images)
    assert len(list(dataset.directory.glob("*train*array_record*"))) == 2
    assert dataset.targets == ("labels",)
    assert len(dataset.classes) == 14
    colour = rng.integers(0, 256, (3, 28, 28, 3), dtype=np.uint8)
    small("pathmnist", tmp_path / "in", colour, np.array([[8], [0], [3]], np.uint8))
    cases = list(open_split(prepare("medmnist/pathmnist", tmp_path / "in"), "train"))
    np.testing.assert_array_equal(np.stack([case["image"] for case in cases]), colour)
    assert [case["label"] for case in cases] == [8, 0, 3]


@pytest.mark.parametrize("damage", ["truncated", "other file", "empty"])
def test_a_wrong_file_is_refused_by_name(medjax_data, tmp_path, monkeypatch, damage):
    original = (medjax_data / "image2d/breastmnist/breastmnist.npz").read_bytes()
    path = tmp_path / "data" / "breastmnist.npz"
    path.parent.mkdir()
    path.write_bytes({"truncated": original[:-1], "other file": original[::-1], "empty": b""}[damage])
    monkeypatch.setenv("MEDJAX_CACHE", str(tmp_path / "cache"))
    with pytest.raises(InputError, match=r"data/breastmnist.npz \(\d+ bytes\) is not the original.*750601b1f35ba3300"):
        prepare("breastmnist", path.parent)
    path.write_bytes(original)
    assert prepare("breastmnist", path.parent).splits["test"] == 156


def test_without_file_and_network_the_message_says_what_to_do(tmp_path, monkeypatch, no_network):
    monkeypatch.setenv("MEDJAX_CACHE", str(tmp_path))
    monkeypatch.setenv("MEDJAX_DATA", str(tmp_path))
    with pytest.raises(InputError, match="service not known") as error:
        prepare("organsmnist_64")
    assert "https://zenodo.org/records/10519652/files/organsmnist_64.npz?download=1" in str(error.value)
    assert "MEDJAX_DATA" in str(error.value)
    assert not [path for path in tmp_path.rglob("*") if "npz" in path.name]


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture
def served(tmp_path):
    """Serve a folder on this machine; gives the folder and its address."""
    folder = tmp_path / "served"
    folder.mkdir()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield folder, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_the_file_is_downloaded_once_verified_kept_and_silently(small, served, tmp_path, monkeypatch, capfd):
    folder, address = served
    images = np.random.default_rng(0).integers(0, 256, (3, 28, 28), dtype=np.uint8)
    path = small("breastmnist", folder, images, np.zeros((3, 1), np.uint8))
    downloads = tmp_path / "cache" / "datasets" / "downloads"
    monkeypatch.setattr(medmnist.MedmnistConfig, "url", property(lambda config: f"{address}/{config.name}.npz"))
    good = path.read_bytes()
    for wrong in (good[:-1], b"<html>busy</html>"):
        path.write_bytes(wrong)
        with pytest.raises(InputError, match=f"{address}/breastmnist.npz gave {len(wrong)} bytes"):
            prepare("breastmnist")
        assert not list(downloads.glob("*breast*"))
    path.write_bytes(good)
    cases = list(open_split(prepare("breastmnist"), "train"))
    np.testing.assert_array_equal(np.stack([case["image"][..., 0] for case in cases]), images)
    assert [entry.name for entry in downloads.iterdir() if entry.is_file()] == ["breastmnist.npz"]
    path.unlink()
    shutil.rmtree(tmp_path / "cache" / "datasets" / "medmnist")
    assert prepare("breastmnist").splits["train"] == 3  # from the file that was kept
    assert capfd.readouterr() == ("", "")
