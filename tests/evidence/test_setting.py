"""Which metrics of survival predictions there are, and which way is better."""

from medjax.evidence.setting import (
    AT_HORIZONS,
    OF_CAUSES,
    OVER_TIME,
    OfTimes,
    lower_is_better,
    metric_names,
    no_direction,
    survival_metrics,
)


def test_metrics_of_one_event():
    found = survival_metrics((), (12.0, 60.5))
    assert tuple(found) == (
        *(f"{what}_at_12" for what in AT_HORIZONS), *(f"{what}_at_60.5" for what in AT_HORIZONS), *OVER_TIME,
    )  # fmt: skip
    assert found["brier_at_60.5"] == OfTimes("brier", 0, 60.5)
    assert found["concordance_index"] == OfTimes("concordance_index")
    assert metric_names("survival", (), horizons=(12.0, 60.5)) == tuple(found)


def test_metrics_of_causes():
    found = survival_metrics(("relapse", "death"), (12.0,))
    assert len(found) == 2 * (len(AT_HORIZONS) + len(OF_CAUSES))
    assert found["auroc_at_12_death"] == OfTimes("auroc", 2, 12.0)
    assert found["integrated_brier_relapse"] == OfTimes("integrated_brier", 1)
    assert "uno_concordance_index" not in {one.what for one in found.values()}


def test_directions():
    for causes in ((), ("relapse", "death")):
        for name, meant in survival_metrics(causes, (12.0,)).items():
            assert lower_is_better(name) == (meant.what in ("brier", "integrated_brier")), name
            assert no_direction(name) == (meant.what == "observed_to_expected"), name
    assert lower_is_better("brier")
    assert not lower_is_better("auroc")
    assert no_direction("interval_width")
