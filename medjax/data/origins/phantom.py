"""Phantom: SYNTHETIC scans whose truth is known, to test code, to show it, and to check what a method claims.

No patient stands behind a phantom, nothing is downloaded, and the same settings give the same bytes. Chest-like
pictures (two dimensions) and abdomen-like volumes (three) carry a lesion of known place, size and contrast. Patients
have several scans, sites differ in their scanners, and the settings put in what makes real data hard: a site that goes
with the disease (confounding), a marker that gives the site away, wrong and unknown labels, times to an event. A claim
about a method ("finds the lesion", "ignores the marker", "recovers the effect") can then be held against the truth.
What works on a phantom has not been shown to work on people.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from medjax.config import decode, encode
from medjax.data.case import Case
from medjax.data.origin import Facts, OnError
from medjax.data.origins.phantom_anatomy import FIELD, FINDINGS, ORGANS, Anatomy, abdomen, chest
from medjax.data.origins.phantom_patient import Patient, lesion, patient, place, stream, survival
from medjax.data.origins.phantom_scanner import Scanner, mark, measure, sites
from medjax.errors import InputError

__all__ = ["Phantom", "Scanner"]

_VERSION = 1
"""Raised when the same settings give other cases, so that prepared ones are made again."""
_SIZE = {2: (64, 64), 3: (24, 48, 48)}
_DIAMETER = {2: (20.0, 50.0), 3: (25.0, 60.0)}
_LARGEST = {2: 50.0, 3: 60.0}  # mm; every patient's lungs and liver have room for it
_SMALLEST_GRID = {2: (32, 32), 3: (16, 32, 32)}
_SCANNERS = (
    Scanner("A1", "A"),
    Scanner("A2", "A", gain=1.05, noise=1.2),
    Scanner("B1", "B", gain=0.92, offset=0.03, blur=2.0, bias=0.08, noise=0.8),
)
_HU = 500.0
"""Hounsfield units in the abdomen's grey scale."""


@dataclass(frozen=True)
class Phantom:
    """Synthetic scans as an origin: `Data(name="my_phantom", origin=Phantom(...))`.

    Every case has `image` (H, W, 1) uint8 or `volume` (D, H, W, 1) float32 in HU, `spacing` in mm, `segmentation`, the
    target, and as attributes `site`, `scanner`, `scan` (from 0), `age`, `sex`, the label without noise (`true_label`,
    or `true_<finding>`), `lesion_diameter` in mm, and the lesion's centre `lesion_z` (3-D), `lesion_y` and `lesion_x`
    in pixels (NaN without a lesion). The field of view is fixed (`phantom_anatomy.FIELD`), so the size sets the spacing.

    Attributes:
        dimensions: 2 for chests in projection, 3 for abdomens in slices.
        size: of the grid; None: 64 x 64, or 24 x 48 x 48 (10 x 7.5 x 7.5 mm).
        patients: how many.
        scans_per_patient: fewest and most, each number equally likely; the lesion grows from scan to scan.
        prevalence: of the lesion among patients, and of every finding.
        label: the target: "lesion" (`label`: normal or lesion), "grade" (`label`: 0 without a lesion, then by equal
            steps of its diameter), "findings" (`labels`: four independent findings, see `phantom_anatomy.FINDINGS`), or
            "size" (`value`: the diameter in mm, 0 without a lesion).
        grades: the number of grades, 0 included.
        lesion_diameter: smallest and largest, in mm; None: (20, 50) in two and (25, 60) in three dimensions.
        growth: largest growth from scan to scan, as a share of the first diameter (never beyond the largest one).
        contrast: height of the lesion in standard deviations of the noise; brighter in the chest, darker in the liver.
        noise: standard deviation, as a share of the grey scale (of 500 HU in three dimensions).
        scanners: what each site measures with; sites are equally likely, and so are the scanners of a site.
        confounding: how much the lesion's prevalence depends on the site, from -1 to 1, see
            `phantom_patient.site_prevalence`; the mean stays.
        marker: whether a marker in the corner tells the site.
        label_noise: probability that a label of a class is wrong: the other class, a neighbouring grade, each finding by
            itself; drawn for every scan.
        unknown: share of the findings' labels that are unknown (NaN).
        survival: whether to add `time` (years after the first scan) and `event`, and the attribute `true_risk`.
        effect: the log hazard ratio of the largest lesion against none; it rises with the first scan's diameter.
        age_effect: the log hazard ratio of ten years of age (against 60).
        hazard: events a year without a lesion at 60.
        follow_up: earliest and latest end of observation in years, uniform and independent of everything.
        segmentation: "lesion" (0, 1), "organs" (see `phantom_anatomy.ORGANS`; the lesion is the last) or "none".
        seed: other patients.
    """

    dimensions: Literal[2, 3] = 2
    size: tuple[int, ...] | None = None
    patients: int = 200
    scans_per_patient: tuple[int, int] = (1, 3)
    prevalence: float | int = 0.4
    label: Literal["lesion", "grade", "findings", "size"] = "lesion"
    grades: int = 4
    lesion_diameter: tuple[float | int, float | int] | None = None
    growth: float | int = 0.2
    contrast: float | int = 4.0
    noise: float | int = 0.03
    scanners: tuple[Scanner, ...] = _SCANNERS
    confounding: float | int = 0.0
    marker: bool = False
    label_noise: float | int = 0.0
    unknown: float | int = 0.0
    survival: bool = False
    effect: float | int = 2.0
    age_effect: float | int = 0.3
    hazard: float | int = 0.1
    follow_up: tuple[float | int, float | int] = (1.0, 10.0)
    segmentation: Literal["lesion", "organs", "none"] = "lesion"
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse settings that no cohort has."""
        for name in ("prevalence", "label_noise", "unknown"):
            _check(0 <= getattr(self, name) <= 1, name, getattr(self, name), "a share from 0 to 1")
        _check(self.dimensions in (2, 3), "dimensions", self.dimensions, "2 or 3")
        least, largest = _SMALLEST_GRID[self.dimensions], _LARGEST[self.dimensions]
        fits = len(self.grid) == len(least) and all(has >= low for has, low in zip(self.grid, least, strict=True))
        _check(fits, "size", self.size, f"{self.dimensions} numbers, at least {least}")
        _check(self.patients >= 1, "patients", self.patients, "at least 1")
        few, many = self.scans_per_patient
        _check(1 <= few <= many, "scans_per_patient", self.scans_per_patient, "(fewest, most), at least 1")
        _check(self.grades >= 2, "grades", self.grades, "at least 2")
        small, large = self.diameters
        _check(
            0 < small <= large <= largest,
            "lesion_diameter",
            self.lesion_diameter,
            f"(smallest, largest) mm, to {largest}",
        )
        for name in ("growth", "contrast"):
            _check(getattr(self, name) >= 0, name, getattr(self, name), "at least 0")
        _check(
            self.noise > 0, "noise", self.noise, "above 0, since contrast counts in it (a scanner's factor may be 0)"
        )
        _check(self.hazard > 0, "hazard", self.hazard, "above 0")
        early, late = self.follow_up
        _check(0 < early <= late, "follow_up", self.follow_up, "(earliest, latest) years, above 0")
        _check(-1 <= self.confounding <= 1, "confounding", self.confounding, "from -1 to 1")
        _check(0 <= self.seed < 2**63, "seed", self.seed, "from 0 to 2^63 - 1")
        named = [scanner.name for scanner in self.scanners]
        _check(bool(named) and len(set(named)) == len(named), "scanners", named, "at least one, each with its own name")
        _check(
            not (self.unknown and self.label != "findings"),
            "unknown",
            self.unknown,
            "0, since only findings can be unknown",
        )
        _check(
            not (self.label_noise and self.label == "size"),
            "label_noise",
            self.label_noise,
            "0, since a size is no class",
        )

    @property
    def on_error(self) -> OnError:
        """Every scan can be used."""
        return "stop"

    @property
    def grid(self) -> tuple[int, ...]:
        """The size of a scan in pixels."""
        return _SIZE[self.dimensions] if self.size is None else self.size

    @property
    def diameters(self) -> tuple[float | int, float | int]:
        """The smallest and the largest diameter of a lesion in mm."""
        return _DIAMETER[self.dimensions] if self.lesion_diameter is None else self.lesion_diameter

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes or findings; none where the target is a size."""
        return {
            "lesion": ("normal", "lesion"),
            "grade": ("none", *(f"grade_{number}" for number in range(1, self.grades))),
            "findings": FINDINGS[self.dimensions],
            "size": (),
        }[self.label]

    def fingerprint(self) -> str:
        """Hash the settings: they are all that the cases depend on."""
        settings = encode(decode(encode(self)))  # there and back, so that 4 and 4.0 are the same
        return hashlib.sha256(json.dumps([_VERSION, settings], sort_keys=True).encode()).hexdigest()

    def facts(self) -> Facts:
        """Say what the cases hold; no picture is drawn for it."""
        shapes: dict[str, tuple[tuple[int | None, ...], str]] = {}
        if self.dimensions == 2:
            shapes["image"] = ((*self.grid, 1), "uint8")
        else:
            shapes["volume"] = ((*self.grid, 1), "float32")
        shapes["spacing"] = ((self.dimensions,), "float32")
        if self.segmentation != "none":
            shapes["segmentation"] = (self.grid, "uint8")
        if self.label == "findings":
            shapes["labels"] = ((len(self.classes),), "float32")
        if self.label == "size":
            shapes["value"] = ((), "float32")
        if self.survival:
            shapes |= {key: ((), "float32") for key in ("time", "event", "true_risk")}
        shapes |= {"site": ((), "str"), "scanner": ((), "str"), "sex": ((), "str"), "scan": ((), "int32")}
        shapes |= {key: ((), "float32") for key in ("age", "lesion_diameter", *self._position())}
        shapes |= {key: ((), "int32") for key in self._true_labels()}
        scans = sum(len(self.truth(number).diameters) for number in range(self.patients))
        what = {2: "chest-like pictures", 3: "abdomen-like volumes"}[self.dimensions]
        names = ORGANS[self.dimensions] if self.segmentation == "organs" else ("background", "lesion")
        meaning = ", ".join(f"{number} {name}" for number, name in enumerate(names))
        return Facts(
            shapes=shapes,
            counts={"all": scans},
            classes=self.classes,
            description=f"SYNTHETIC {what} with lesions of known place and size: {scans} scans of {self.patients} made-up "
            f"patients at {len(sites(self.scanners))} sites. No person stands behind them.",
            synthetic=True,
            licence="synthetic data, no restriction",
            citation="Synthetic phantom generated by medjax.",
            notes=() if self.segmentation == "none" else (f"segmentation: {meaning}",),
        )

    def cases(self, split: str) -> Iterator[Case]:
        """Give the scans patient by patient; they are all in the split "all"."""
        if split != "all":
            raise InputError(f"phantom: there is no split {split!r}; choose one with data.splits (by patient)")
        for number in range(self.patients):
            yield from self.scans(number)

    def truth(self, number: int) -> Patient:
        """Return what is true of one patient, whatever the scanners and the readers make of it."""
        return patient(
            self.seed,
            number,
            sites=len(sites(self.scanners)),
            scans=self.scans_per_patient,
            prevalence=self.prevalence,
            confounding=self.confounding,
            findings=len(FINDINGS[self.dimensions]),
            diameter=self.diameters,
            growth=self.growth,
        )

    def anatomy(self, number: int) -> Anatomy:
        """Return one patient's body without the lesion, before any scanner; other findings only as a target."""
        findings = self.truth(number).findings[1:]
        draw = {2: chest, 3: abdomen}[self.dimensions]
        shown = findings if self.label == "findings" else (False,) * len(findings)
        return draw(self.grid, stream(self.seed, number, "body"), shown)

    def scans(self, number: int) -> list[Case]:
        """Return all cases of one patient: the same body, the same lesion as it grows, each scan on its own scanner."""
        who, body = self.truth(number), self.anatomy(number)
        centre = np.full(self.dimensions, np.nan)
        if who.findings[0]:
            centre = place(body.host, max(who.diameters), stream(self.seed, number, "place"))
        fate = self._fate(who)
        return [self._scan(who, scan, body, centre) | fate for scan in range(len(who.diameters))]

    def _scan(self, who: Patient, scan: int, body: Anatomy, centre: np.ndarray) -> Case:
        at_site = [scanner for scanner in self.scanners if scanner.site == sites(self.scanners)[who.site]]
        scanner = at_site[int(stream(self.seed, who.number, "scan", scan).integers(len(at_site)))]
        spacing = np.array(FIELD[self.dimensions]) / self.grid
        picture, organs = body.picture, body.organs if self.segmentation == "organs" else np.zeros_like(body.organs)
        if who.diameters[scan]:
            profile, mask = lesion(self.grid, centre, who.diameters[scan])
            height = self.contrast * self.noise * (1 if self.dimensions == 2 else -1)
            picture = picture + height * profile
            organs = np.where(mask, len(ORGANS[self.dimensions]) - 1 if self.segmentation == "organs" else 1, organs)
        position = (centre + np.array(FIELD[self.dimensions]) / 2) / spacing - 0.5
        streams = [stream(self.seed, who.number, purpose, scan) for purpose in ("bias", "noise")]
        picture = measure(picture, scanner, self.noise, *streams)
        if self.marker:
            picture = mark(picture, who.site, len(sites(self.scanners)))
        case: Case = {
            "id": f"patient-{who.number:05d}_scan-{scan}",
            "group": f"patient-{who.number:05d}",
            "spacing": spacing.astype(np.float32),
            "site": scanner.site,
            "scanner": scanner.name,
            "scan": scan,
            "age": who.age,
            "sex": who.sex,
            "lesion_diameter": who.diameters[scan],
            **{key: round(float(at), 3) for key, at in zip(self._position(), position, strict=True)},
        }
        # Rounded to what such machines store, which also makes the bytes the same on every computer.
        if self.dimensions == 2:
            case["image"] = np.floor(np.clip(picture, 0, 1) * 255 + 0.5).astype(np.uint8)[..., None]
        else:
            case["volume"] = np.rint(np.clip(picture * _HU, -1024, 3071)).astype(np.float32)[..., None]
        if self.segmentation != "none":
            case["segmentation"] = organs.astype(np.uint8)
        return case | self._labels(who, scan)

    def _labels(self, who: Patient, scan: int) -> dict[str, Any]:
        """Return the given target and the true label: functions of the patient, never of the picture."""
        draw = stream(self.seed, who.number, "label", scan)
        wrong, up = draw.random(len(who.findings)) < self.label_noise, bool(draw.random() < 0.5)
        size = who.diameters[scan]
        if self.label == "size":
            return {"value": np.float32(size)}
        if self.label == "findings":
            given = (np.array(who.findings) ^ wrong).astype(np.float32)
            hidden = stream(self.seed, who.number, "unknown", scan).random(len(given)) < self.unknown
            true = {key: int(present) for key, present in zip(self._true_labels(), who.findings, strict=True)}
            return {"labels": np.where(hidden, np.float32(np.nan), given), **true}
        true_label = int(who.findings[0]) if self.label == "lesion" else grade(size, self.diameters, self.grades)
        given_label = true_label
        if wrong[0]:
            last = len(self.classes) - 1
            given_label += {0: 1, last: -1}.get(true_label, 1 if up else -1)
        return {"label": given_label, "true_label": true_label}

    def _fate(self, who: Patient) -> dict[str, Any]:
        if not self.survival:
            return {}
        risk = self.effect * who.diameters[0] / self.diameters[1] + self.age_effect * (who.age - 60) / 10
        time, event = survival(stream(self.seed, who.number, "survival"), risk, self.hazard, self.follow_up)
        return {"time": np.float32(time), "event": np.float32(event), "true_risk": np.float32(risk)}

    def _position(self) -> list[str]:
        return [f"lesion_{axis}" for axis in "zyx"[-self.dimensions :]]

    def _true_labels(self) -> list[str]:
        if self.label == "findings":
            return [f"true_{name}" for name in self.classes]
        return [] if self.label == "size" else ["true_label"]


def grade(diameter: float | int, diameters: tuple[float | int, float | int], grades: int) -> int:
    """Grade a lesion: 0 without one, then 1 to grades - 1 in equal steps from the smallest to the largest diameter."""
    if not diameter:
        return 0
    small, large = diameters
    share = (diameter - small) / (large - small) if large > small else 0.0
    return 1 + min(int(share * (grades - 1)), grades - 2)


def _check(right: bool, name: str, value: Any, rule: str) -> None:
    if not right:
        raise InputError(f"phantom: {name} is {value}; allowed: {rule}")
