"""What metrics are called in print."""

import pytest

from medjax.evidence.setting import survival_metrics
from medjax.report import formats


@pytest.mark.parametrize(
    ("name", "printed"),
    [
        ("auroc", "AUROC"),
        ("auroc_at_60", "AUROC at 60"),
        ("brier_at_0.5", "Brier at 0.5"),
        ("prediction_accuracy_at_1e+06", "IPA at 1e+06"),
        ("observed_to_expected_at_365.25", "observed/expected at 365.25"),
        ("auroc_at_60_relapse", "AUROC at 60, relapse"),
        ("brier_at_12_death_of_other_causes", "Brier at 12, death_of_other_causes"),
        ("integrated_brier", "integrated Brier"),
        ("integrated_brier_relapse", "integrated Brier, relapse"),
        ("concordance_index", "concordance"),
        ("concordance_index_death", "concordance, death"),
        ("uno_concordance_index", "concordance, Uno"),
        ("time_dependent_concordance_index", "concordance in time"),
        ("something_else", "something else"),
    ],
)
def test_labels(name, printed):
    assert formats.label(name) == printed


def test_every_survival_metric_has_a_name_of_its_own():
    for causes in ((), ("relapse", "death")):
        names = survival_metrics(causes, (0.333333, 60.0))
        assert len({formats.label(name) for name in names}) == len(names)
