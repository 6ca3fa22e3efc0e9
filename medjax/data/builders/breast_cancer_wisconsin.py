"""Breast Cancer Wisconsin (Diagnostic): 569 fine-needle aspirates, 30 measurements of cell nuclei each.

Wolberg, Mangasarian, Street and Street, UCI Machine Learning Repository (1995), doi:10.24432/C5DW2B. The data ships
inside scikit-learn, so nothing is downloaded. Patient numbers were dropped there: every case is its own patient.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from medjax.data.case import Case


class BreastCancerWisconsin(tfds.core.ShardBasedBuilder):
    """569 rows in file order; label 0 is malignant, 1 is benign. No official splits: TFDS calls all of it `train`."""

    VERSION = tfds.core.Version("1.0.0")
    code_path = None  # no checksum file lies beside this one; looking for it needs a package that TFDS does not install

    def __init__(self, *, file_format: Any = "array_record", **kwargs: Any) -> None:
        super().__init__(file_format=file_format, **kwargs)

    def _info(self) -> tfds.core.DatasetInfo:
        columns = [str(name).replace(" ", "_") for name in _original().feature_names]
        return tfds.core.DatasetInfo(
            builder=self,
            description=(
                "569 fine-needle aspirates of breast masses: mean, standard error and worst value of ten measurements "
                "of the cell nuclei. Label 0 is malignant (212), 1 is benign (357). Patients are unknown."
            ),
            features=tfds.features.FeaturesDict(
                {
                    "id": tfds.features.Text(),
                    "group": tfds.features.Text(),
                    "table": tfds.features.Tensor(shape=(len(columns),), dtype=np.float32),
                    "label": tfds.features.ClassLabel(names=["malignant", "benign"]),
                }
            ),
            homepage="https://doi.org/10.24432/C5DW2B",
            citation="Wolberg W., Mangasarian O., Street N., Street W. Breast Cancer Wisconsin (Diagnostic). "
            "UCI Machine Learning Repository (1995), doi:10.24432/C5DW2B",
            license="CC BY 4.0",
            disable_shuffling=True,
            metadata=tfds.core.MetadataDict(columns=columns, official_splits=False),
        )

    def _shard_iterators_per_split(
        self, dl_manager: tfds.download.DownloadManager
    ) -> Mapping[str, Sequence[Callable[[], Iterator[tuple[int, Case]]]]]:
        return {"train": [_cases]}


def _original() -> Any:
    from sklearn.datasets import load_breast_cancer

    return load_breast_cancer()


def _cases() -> Iterator[tuple[int, Case]]:
    data = _original()
    for row, (table, label) in enumerate(zip(data.data.astype(np.float32), data.target, strict=True)):
        name = f"{row:03d}"
        yield row, {"id": name, "group": name, "table": table, "label": int(label)}
