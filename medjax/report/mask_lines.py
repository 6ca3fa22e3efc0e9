"""What a table of masks says beyond the metrics: each class, volumes, medians, and the rule for empty masks."""

from typing import Any

from medjax.report import formats

SHOWN = 12  # classes; the JSON holds them all


def unit(evaluation: dict[str, Any]) -> str:
    """The unit of volumes, ml or mm2; "" where the run did not say whether it judged volumes or images."""
    return str(evaluation.get("about", {}).get("volume_unit", ""))


def with_unit(label: str, evaluation: dict[str, Any]) -> str:
    """A label with the unit of volumes behind it, where that is known."""
    return f"{label} ({unit(evaluation)})" if unit(evaluation) else label


def class_rows(evaluation: dict[str, Any]) -> list[tuple[str, ...]]:
    """A line a class, where there are several: Dice, and two more of what there is; the head first."""
    classes = evaluation.get("classes", {})
    if len(classes) < 2:
        return []
    chosen = [
        name
        for name in ("dice", "hausdorff_95", "surface_dice", "volume_error")
        if name in next(iter(classes.values()))
    ][:3]
    rows: list[tuple[str, ...]] = [("class", *(formats.NAMES[name] for name in chosen))]
    for name, entries in list(classes.items())[:SHOWN]:
        cells = (formats.cell(entries[key], formats.decimals(entries[key]), key) for key in chosen)
        rows.append((formats.clipped(name, 23), *cells))
    return rows


def volume_rows(evaluation: dict[str, Any]) -> list[tuple[str, ...]]:
    """A line a class: bias and limits of agreement of its volume; the head first."""
    found = evaluation.get("agreement", {})
    if not found:
        return []
    keys = {
        "bias": "bias",
        "lower_limit_of_agreement": "lower limit of agreement",
        "upper_limit_of_agreement": "upper limit of agreement",
    }
    rows: list[tuple[str, ...]] = [(with_unit("volume", evaluation), *keys.values())]
    for name, limits in list(found.items())[:SHOWN]:
        cells = (formats.interval(limits[key], formats.decimals(limits[key]), signed=True) for key in keys)
        rows.append((formats.clipped(name, 23), *cells))
    return rows


def medians(evaluation: dict[str, Any]) -> str:
    """Medians and quartiles over the cases, which describe skewed values better than their means do."""
    told = []
    for name, one in evaluation.get("metrics", {}).items():
        if "quartiles" in one:
            middle, low, high = (formats.number(x, 3, name) for x in (one["median"], *one["quartiles"]))
            told.append(f"{formats.NAMES.get(name, name)} {middle} ({low} to {high})")
    return f"Medians (quartiles) of the cases: {'; '.join(told)}." if told else ""


def empties(evaluation: dict[str, Any]) -> str:
    """How many masks are empty, and the rule by which they were counted; "" where none is."""
    empty = evaluation.get("empty", {})
    words = {"absent": "rightly empty", "missed": "missed whole", "invented": "found where there is none"}
    told = []
    for name, found in empty.items():
        if name != "rule" and any(found.values()):
            told.append(f"{name}: " + ", ".join(f"{found[key]:g} {words[key]}" for key in words if found.get(key)))
    each = " a seed" if evaluation.get("counts", {}).get("seeds", 1) > 1 and "pooled" not in evaluation else ""
    return f"Empty masks, cases{each}: {'; '.join(told)}. {empty['rule']}" if told else ""
