"""Published survival data: four sets with the train and test patients of the DeepSurv paper, and four as ARFF.

Katzman et al., DeepSurv, BMC Med. Res. Methodol. 18:24 (2018), HDF5; Poelsterl, scikit-survival, JMLR 21(212):1 (2020),
ARFF. The files are looked for in the folder of original data and verified; nothing is downloaded. Patient numbers were
not published: every row counts as a patient of its own, which is wrong for WHAS, whose rows repeat (`whas_grouped`).
"""

import contextlib
import csv
import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from medjax.data.case import Case
from medjax.errors import InputError

_DEEPSURV = "Katzman J.L. et al., DeepSurv, BMC Medical Research Methodology 18:24 (2018)"
_SKSURV = "Poelsterl S., scikit-survival, JMLR 21(212):1 (2020)"
_HDF5 = "https://github.com/jaredleekatzman/DeepSurv/tree/master/experiments/data"
_ARFF = "https://github.com/sebp/scikit-survival/tree/master/sksurv/datasets/data"


@dataclass(kw_only=True)
class SurvivalConfig(tfds.core.BuilderConfig):
    """One original file.

    Attributes:
        file: its name.
        sha256: its checksum.
        columns: of the table; an HDF5 file does not hold their names.
        time: of an ARFF file, the column with the time.
        event: the column with the event, and the value that means it.
        grouped: whether rows with the same inputs are taken for one patient, and the published parts given up.
        unit: of the times.
        about: one sentence.
        cited: the studies behind the data.
        licence: of the data.
    """

    name: str
    file: str
    sha256: str
    unit: str
    about: str
    cited: str
    licence: str
    columns: tuple[str, ...]
    time: str = ""
    event: tuple[str, str] = ("", "")
    grouped: bool = False

    @property
    def official(self) -> bool:
        """Whether train and test were published."""
        return not self.time and not self.grouped


_RECEPTORS = ("hormone_therapy", "tumour_size_group", "postmenopausal", "age", "nodes", "progesterone", "oestrogen")
_CHAPTERS = tuple(
    f"chapter={name}"
    for name in (
        "Blood", "Circulatory", "Congenital", "Digestive", "Endocrine", "External Causes", "Genitourinary", "Ill Defined",
        "Infectious", "Injury and Poisoning", "Mental", "Musculoskeletal", "Neoplasms", "Nervous", "Respiratory", "Skin",
    )
)  # fmt: skip
_CONFIGS = [
    SurvivalConfig(
        name="metabric",
        file="metabric_IHC4_clinical_train_test.h5",
        sha256="e959131973c906c7e8b1e662c81160914768156a6da145a9bfed9b9ee8bf3e72",
        unit="months",
        about="1,904 women with breast cancer: four gene expressions, treatments, oestrogen receptor, age; time to death.",
        cited="Curtis C. et al., Nature 486:346 (2012)",
        licence="MIT (of the repository)",
        columns=(
            "EGFR", "PGR", "ERBB2", "MKI67", "hormone_therapy", "radiotherapy", "chemotherapy", "oestrogen_receptor", "age",
        ),
    ),
    SurvivalConfig(
        name="gbsg",
        file="gbsg_cancer_train_test.h5",
        sha256="bd455f4395322a8b23040c15cedbef00ad51a447d02c95f1f1d686a6b196484b",
        unit="months",
        about="Breast cancer: 1,546 women of the Rotterdam tumour bank (train), 686 of the GBSG trial (test, the rows of gbsg2).",
        cited="Foekens J.A. et al., Cancer Research 60:636 (2000); Schumacher M. et al., J. Clin. Oncol. 12:2086 (1994)",
        licence="MIT (of the repository)",
        columns=_RECEPTORS,
    ),
    SurvivalConfig(
        name="support",
        file="support_train_test.h5",
        sha256="e398f49930e4efc4ecd675a72ac547f0d1ae25ccf13f6a1024cded12ea88a83e",
        unit="days",
        about="8,873 seriously ill patients in hospital (rows of SUPPORT2), 14 measurements of day 3; time to death.",
        cited="Knaus W.A. et al., Ann. Intern. Med. 122:191 (1995)",
        licence="MIT (of the repository)",
        columns=(
            "age", "female", "comorbidities", "race", "diabetes", "dementia", "cancer", "mean_blood_pressure", "heart_rate",
            "respiration_rate", "temperature", "sodium", "white_cells", "creatinine",
        ),
    ),
    SurvivalConfig(
        name="whas",
        file="whas_train_test.h5",
        sha256="2ed86f073fdbe34be10f7e485eeaf67b61004521390c46b9a18aa9b82d5e8f9c",
        unit="days",
        about="Worcester Heart Attack Study, 1,638 rows of which 735 are unique: LEAKED, most test rows stand in train too.",
        cited="Hosmer D. & Lemeshow S., Applied Survival Analysis (1999)",
        licence="MIT (of the repository)",
        columns=("unnamed", "age", "female", "body_mass_index", "heart_failure", "earlier_infarction"),
    ),
    SurvivalConfig(
        name="whas_grouped",
        file="whas_train_test.h5",
        sha256="2ed86f073fdbe34be10f7e485eeaf67b61004521390c46b9a18aa9b82d5e8f9c",
        unit="days",
        about="The rows of whas, those with the same inputs taken for one patient, without the published parts.",
        cited="Hosmer D. & Lemeshow S., Applied Survival Analysis (1999)",
        licence="MIT (of the repository)",
        columns=("unnamed", "age", "female", "body_mass_index", "heart_failure", "earlier_infarction"),
        grouped=True,
    ),
    SurvivalConfig(
        name="gbsg2",
        file="GBSG2.arff",
        sha256="8c1ba1df4d80216b58695d6bbc9f51284664ab37124e101d56df089851645b04",
        unit="days",
        about="686 women with node-positive breast cancer, recurrence-free survival.",
        cited="Schumacher M. et al., J. Clin. Oncol. 12:2086 (1994)",
        licence="GPL-2 (TH.data)",
        columns=("horTh", "age", "menostat", "tsize", "tgrade", "pnodes", "progrec", "estrec"),
        time="time",
        event=("cens", "1"),
    ),
    SurvivalConfig(
        name="flchain",
        file="flchain.arff",
        sha256="bf2600ec437dd19071f73bdad82de681780457d1141ec36ed551b0026e6e5773",
        unit="days",
        about="7,874 people of Olmsted county: free light chains, creatinine; time to death. `chapter` is the cause of death.",
        cited="Dispenzieri A. et al., Mayo Clin. Proc. 87:517 (2012)",
        licence="LGPL (R package survival)",
        columns=("age", "sex", "sample.yr", "kappa", "lambda", "flc.grp", "creatinine", "mgus", *_CHAPTERS),
        time="futime",
        event=("death", "dead"),
    ),
    SurvivalConfig(
        name="whas500",
        file="whas500.arff",
        sha256="f64040c91398875137822eca306a927208df6896808cd9764af7065722fa53d6",
        unit="days",
        about="Worcester Heart Attack Study, 500 patients; `los`, the days in hospital, is known at discharge only.",
        cited="Hosmer D., Lemeshow S. & May S., Applied Survival Analysis (2008)",
        licence="public",
        columns=(
            "age", "gender", "hr", "sysbp", "diasbp", "bmi", "cvd", "afb", "sho", "chf", "av3", "miord", "mitype", "los",
        ),
        time="lenfol",
        event=("fstat", "1"),
    ),
    SurvivalConfig(
        name="veteran",
        file="veteran.arff",
        sha256="71dbc9e235f3cc2ed10b3a254e39f985c092346d1c845736ed21b13fbe263456",
        unit="days",
        about="137 men with lung cancer, randomised to two chemotherapies.",
        cited="Kalbfleisch J. & Prentice R., The Statistical Analysis of Failure Time Data (1980)",
        licence="public",
        columns=(
            "Treatment", "Celltype=adeno", "Celltype=large", "Celltype=smallcell", "Celltype=squamous", "Karnofsky_score",
            "Months_from_Diagnosis", "Age_in_years", "Prior_therapy",
        ),
        time="Survival_in_days",
        event=("Status", "dead"),
    ),
]  # fmt: skip


class Survival(tfds.core.ShardBasedBuilder):
    """Rows in the order of the file: `table`, `time`, `event` (1) or censored (0); NaN where a value is missing.

    Categories of an ARFF file are numbered in the order in which it declares them where there are two or where they are
    numbers or roman ones; others become a column each, `chapter=Blood`.
    """

    VERSION = tfds.core.Version("1.0.0")
    BUILDER_CONFIGS = _CONFIGS
    DEFAULT_BUILDER_CONFIG_NAME = "metabric"
    MANUAL_DOWNLOAD_INSTRUCTIONS = "The folder of original data holds the file."
    code_path = None  # no checksum file lies beside this one; looking for it needs a package that TFDS does not install

    def __init__(self, *, file_format: Any = "array_record", **kwargs: Any) -> None:
        super().__init__(file_format=file_format, **kwargs)

    def _info(self) -> tfds.core.DatasetInfo:
        config = self.builder_config
        columns = list(config.columns)
        number = tfds.features.Scalar(np.float32)
        return tfds.core.DatasetInfo(
            builder=self,
            description=f"{config.about} Times in {config.unit}.",
            features=tfds.features.FeaturesDict(
                {
                    "id": tfds.features.Text(),
                    "group": tfds.features.Text(),
                    "table": tfds.features.Tensor(shape=(len(columns),), dtype=np.float32),
                    "time": number,
                    "event": tfds.features.Scalar(np.int32),
                }
            ),
            homepage=_HDF5 if config.official else _ARFF,
            citation=f"{config.cited}; {_DEEPSURV if config.official else _SKSURV}",
            license=config.licence,
            disable_shuffling=True,
            metadata=tfds.core.MetadataDict(columns=columns, official_splits=config.official),
        )

    def _shard_iterators_per_split(
        self, dl_manager: tfds.download.DownloadManager
    ) -> Mapping[str, Sequence[Callable[[], Iterator[tuple[int, Case]]]]]:
        config = self.builder_config
        path = _find(dl_manager, config)
        splits = ("train", "test") if config.official else ("train",)
        return {split: [partial(_cases, path, config, split)] for split in splits}


def _find(dl_manager: tfds.download.DownloadManager, config: SurvivalConfig) -> Path:
    """Look for the original file in the given folders and two levels below, and verify it."""
    folders = [Path(given)] if (given := os.environ.get("MEDJAX_DATA")) else []
    with contextlib.suppress(AssertionError):  # TFDS's way to say that no folder was given
        folders.insert(0, Path(dl_manager.manual_dir))
    paths = [
        path for folder in folders for level in ("", "*/", "*/*/") for path in sorted(folder.glob(level + config.file))
    ]
    if not paths:
        raise InputError(
            f"{config.name}: {config.file} was found in none of the folders {', '.join(map(str, folders)) or '(none given)'}; "
            f"get it from {_HDF5 if config.official else _ARFF} and let MEDJAX_DATA name its folder"
        )
    digest = hashlib.sha256(paths[0].read_bytes()).hexdigest()
    if digest != config.sha256:
        raise InputError(
            f"{paths[0]} ({paths[0].stat().st_size} bytes) is not the original {config.file}, or only a part of it: its "
            f"SHA-256 is {digest}, the expected one {config.sha256}; replace or remove it"
        )
    return paths[0]


def _cases(path: Path, config: SurvivalConfig, split: str) -> Iterator[tuple[int, Case]]:
    if config.time:
        table, time, event = _read_arff(path, config)
    elif config.grouped:
        parts = [_read_hdf5(path, part) for part in ("train", "test")]
        table, time, event = (np.concatenate(column) for column in zip(*parts, strict=True))
    else:
        table, time, event = _read_hdf5(path, split)
    first: dict[bytes, str] = {}
    for row in range(len(table)):
        name = f"{split}/{row:05d}" if config.official else f"{row:05d}"
        group = first.setdefault(table[row].tobytes(), name) if config.grouped else name
        case = {
            "id": name,
            "group": group,
            "table": table[row],
            "time": np.float32(time[row]),
            "event": np.int32(event[row]),
        }
        yield row, case


def _read_hdf5(path: Path, split: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    try:
        import h5py
    except ImportError:
        raise InputError(f"{path.name} is HDF5: install h5py, `uv sync --extra hdf5` or `pip install h5py`") from None
    with h5py.File(path, "r") as file:
        table, time, event = (np.asarray(file[f"{split}/{key}"]) for key in "xte")
        return table, time, event


def _arff(path: Path) -> tuple[np.ndarray, Any]:
    longest = csv.field_size_limit()
    try:
        from scipy.io import arff

        return arff.loadarff(str(path))
    finally:
        csv.field_size_limit(longest)  # scipy raises it for the whole process


def _encoded(rows: np.ndarray, told: Any, name: str) -> dict[str, np.ndarray]:
    """One column of an ARFF file as one or more columns of numbers."""
    kind, values = told[name]
    if kind == "numeric":
        return {name: rows[name].astype(np.float32)}
    text = np.array([cell.decode() for cell in rows[name]])
    unknown = text == "?"
    ordered = len(values) == 2 or all(value.isdigit() or set(value) <= set("IVX") for value in values)
    if not ordered:
        return {f"{name}={value}": np.where(unknown, np.nan, text == value).astype(np.float32) for value in values}
    numbers = {value: float(value) if value.isdigit() else float(k) for k, value in enumerate(values)}
    return {name: np.array([numbers.get(cell, np.nan) for cell in text], np.float32)}


def _read_arff(path: Path, config: SurvivalConfig) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rows, told = _arff(path)
    columns: dict[str, np.ndarray] = {}
    for name in told.names():
        if name not in (config.time, config.event[0]):
            columns |= _encoded(rows, told, name)
    event = np.array([cell.decode() == config.event[1] for cell in rows[config.event[0]]])
    return np.stack([columns[name] for name in config.columns], axis=-1), rows[config.time].astype(np.float32), event
