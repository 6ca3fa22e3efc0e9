"""How often the 95 % intervals of metrics of masks hold the truth; see `coverage.py`.

    python benchmarks/coverage_segmentation.py [--repetitions 2000] [--seed 1000] [--only TEXT]

A case is good or bad by a normal number; 1 - Dice, Hausdorff 95 and the error of the volume follow it. An "organ" has a
Dice of .88 on average (standard deviation .03) and lognormal distances; a "lesion" a Dice of .6 and very unequal distances;
of the "absent" ones three in ten are rightly empty, with a Dice of 1 and a distance of 0, and one in twenty is missed, with
0 and 80 mm. With "failures" an organ fails in one case of twenty: a Dice of 0 to .6, distances of 30 to 60 mm. In less than
100 patients failures are so few that samples without any are frequent, and no method can know of them from the sample:
nothing is promised there. Two predictors fail apart; their difference is paired. "3 cases" share half of their number.
"""

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from scipy.special import ndtr

from medjax.evidence.agreement import agreement
from medjax.evidence.difference import difference_interval, paired, variation
from medjax.evidence.intervals import Interval
from medjax.evidence.measures import interval, point
from medjax.evidence.setting import Setting

MEASURES = ("dice", "hausdorff_95", "volume_error", "lesions", "lesions_found", "lesions_false")
NAMES = ("dice", "hausdorff_95", "volume_error", "lesion_sensitivity", "false_lesions")
SIZES = (20, 30, 60, 200)


def _simulation():
    """The machinery of coverage.py, which lies beside this file and is no package."""
    specification = importlib.util.spec_from_file_location("medjax_coverage", Path(__file__).with_name("coverage.py"))
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    sys.modules["medjax_coverage"] = module
    specification.loader.exec_module(module)
    return module


coverage = _simulation()
Sample, Scenario = coverage.Sample, coverage.Scenario


def drawn(kind: str, cases: int = 1) -> Callable:
    """How to draw the measures of two predictors (cases, 2 x 6) and the true volumes (cases, 1)."""

    def draw(generator: np.random.Generator, size: int) -> Sample:
        patients = size // cases
        patient = np.repeat(np.arange(patients), cases)
        shared = generator.normal(size=patients)[patient]
        own = generator.normal(size=len(patient))
        good = shared if cases == 1 else (shared + own) / np.sqrt(2)
        truth = np.exp(0.4 * generator.normal(size=len(patient)))
        lesions = generator.poisson(2.0, len(patient))
        columns = []
        for worse in (1.0, 1.1):
            score = (good + 0.5 * generator.normal(size=len(patient))) / np.sqrt(1.25)
            if kind == "lesion":
                dice, distance = ndtr(0.4 - 0.9 * score) / worse, 3 * np.exp(score) * worse
            else:
                dice, distance = 1 - 0.117 * np.exp(0.25 * score) * worse, 2 * np.exp(0.5 * score) * worse
            volume = truth * np.exp(0.02 + 0.1 * generator.normal(size=len(patient)))
            chance = generator.random(len(patient))
            if kind == "failures":
                failed = chance < 0.05
                dice = np.where(failed, 0.6 * generator.random(len(patient)), dice)
                distance = np.where(failed, 30 + 30 * generator.random(len(patient)), distance)
            if kind == "absent":
                dice = np.where(chance < 0.3, 1.0, np.where(chance > 0.95, 0.0, dice))
                distance = np.where(chance < 0.3, 0.0, np.where(chance > 0.95, 80.0, distance))
            found = generator.binomial(lesions, ndtr(1.0 - 0.6 * score))
            false = generator.poisson(0.5 * np.exp(0.7 * score))
            columns.append([dice, distance, np.abs(volume - truth), lesions, found, false, volume])
        values = np.stack([*columns[0][:6], *columns[1][:6], columns[0][6]], -1)
        return values.astype(np.float64), truth[:, None], patient, None

    return draw


def setting(sample: Sample) -> Setting:
    """One class, judged by these measures."""
    return Setting(
        target=sample[1],
        patient=sample[2],
        fold=None,
        kind="segmentation",
        classes=("organ",),
        positive=None,
        threshold=0.5,
        level=0.95,
        resamples=200,
        seed=0,
        measures=MEASURES,
    )


def intervals(sample: Sample, resamples: int) -> dict[str, Interval]:
    """Every metric of the first predictor, the difference of two, and the agreement of volumes."""
    own, values = setting(sample), sample[0]
    ours, theirs = values[:, :6], values[:, 6:12]
    found = {name: interval(name, ours, own) for name in NAMES}
    for name in ("dice", "hausdorff_95"):
        difference = paired(variation(name, ours[None], own), variation(name, theirs[None], own), own)
        found[f"{name} difference"] = difference_interval(difference, 0.95)
    limits = agreement(values[:, 12], sample[1][:, 0], sample[2], resamples=resamples)
    return found | {f"volume {name}": one for name, one in limits.items()}


def truths(sample: Sample) -> dict[str, float]:
    """The same of a large sample."""
    own, values = setting(sample), sample[0]
    found = {name: float(point(name, values[:, :6], own)(None)) for name in NAMES}
    for name in ("dice", "hausdorff_95"):
        found[f"{name} difference"] = found[name] - float(point(name, values[:, 6:12], own)(None))
    difference = values[:, 12] - sample[1][:, 0]
    for name, side in (("bias", 0), ("lower limit of agreement", -1.96), ("upper limit of agreement", 1.96)):
        found[f"volume {name}"] = float(difference.mean() + side * difference.std())
    return found


def scenarios() -> list:
    """Everything that is simulated here."""
    found = []
    for kind, cases in (("organ", 1), ("organ", 3), ("lesion", 1), ("absent", 1), ("failures", 1)):
        for patients in SIZES:
            name = f"{kind}, {patients} patients" + (f" x {cases}" if cases > 1 else "")
            beyond = coverage.SMALL if patients < 30 else ""
            if kind in ("failures", "absent") and patients < 100:
                beyond = beyond or coverage.HOSTILE
            draw = drawn(kind, cases)
            found.append(Scenario(name, draw, patients * cases, intervals, truths, beyond=beyond))
    return found


if __name__ == "__main__":
    coverage.run(__doc__, scenarios())
