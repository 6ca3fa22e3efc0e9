"""The references that an evaluation compares with, each with its metrics and paired differences, the first one first."""

from typing import Any


def references(evaluation: dict[str, Any]) -> list[dict[str, Any]]:
    """Return "name", "metrics" and "comparison" of each reference; empty where nothing was compared."""
    if not evaluation.get("reference"):
        return []
    first = {"name": "reference", **evaluation["reference"], "comparison": evaluation.get("comparison", {})}
    return [first, *evaluation.get("further_references", [])]


def compared(reference: dict[str, Any], metric: str) -> dict[str, Any]:
    """Return the paired difference of a metric to one reference, {} where there is none."""
    return reference["comparison"].get("predictors", {}).get(metric) or {}
