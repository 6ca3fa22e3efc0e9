import numpy as np
import tensorflow_datasets as tfds
from sklearn.datasets import load_breast_cancer

import medjax.data.builders  # noqa: F401
from medjax.data.dataset import open_split, prepare


def test_it_equals_the_copy_in_scikit_learn():
    dataset, data = prepare("breast_cancer_wisconsin"), load_breast_cancer()
    cases = list(open_split(dataset, "all"))
    np.testing.assert_array_equal(np.stack([case["table"] for case in cases]), data.data.astype(np.float32))
    np.testing.assert_array_equal([case["label"] for case in cases], data.target)
    assert dataset.classes == tuple(data.target_names) == ("malignant", "benign")
    assert [name.replace("_", " ") for name in dataset.columns] == list(data.feature_names)
    assert dataset.splits == {"all": 569}
    assert not dataset.official
    assert dataset.inputs == ("table",)
    assert dataset.targets == ("label",)
    assert "CC BY" in dataset.licence
    assert "10.24432/C5DW2B" in dataset.citation


def test_anyone_can_read_it_through_tfds(tmp_path):
    source = tfds.data_source("breast_cancer_wisconsin", split="train", data_dir=tmp_path)
    assert len(source) == 569
    assert source[0]["id"] == b"000"
    assert tfds.builder("breast_cancer_wisconsin", data_dir=tmp_path).info.features["label"].names[1] == "benign"
