"""Numbers and settings in plain words, the same in the page, the card and the checklists."""

from typing import Any

from medjax.report import formats
from medjax.report.formats import label

UNKNOWN = "not reported"


def count(number: int | None, noun: str = "", plural: str = "") -> str:
    """1,234 cases; "not reported" where the number is not known."""
    if number is None:
        return UNKNOWN
    word = noun if number == 1 else plural or f"{noun}s"
    return f"{number:,} {word}" if noun else f"{number:,}"


def metric(name: str) -> str:
    """A metric's name as journals print it."""
    return label(name)


def value(entry: dict | None, name: str = "", *, signed: bool = False) -> str:
    """An estimate with its interval, as in the results table; "not reported" without one."""
    if not entry or "estimate" not in entry:
        return UNKNOWN
    return formats.cell(entry, max(formats.decimals(entry), 2), name, signed=signed)


def interval(entry: dict | None, name: str = "", *, signed: bool = False, brackets: bool = True) -> str:
    """The same as a phrase, with the level of the interval."""
    if not entry or entry.get("estimate") is None:
        return UNKNOWN
    decimals = max(formats.decimals(entry), 3)
    estimate = formats.number(entry["estimate"], decimals, name, signed=signed)
    if entry.get("low") is None:
        return f"{estimate} (no interval: {entry.get('reason', 'reason not given')})"
    low, high = (formats.number(entry[side], decimals, name, signed=signed) for side in ("low", "high"))
    words = f"{100 * entry.get('level', 0.95):g} % interval {low} to {high}"
    return f"{estimate} ({words})" if brackets else f"{estimate}, {words}"


def percent(share: float) -> str:
    """A share as the results table prints it."""
    return formats.percent(share)


def setting(found: Any) -> str:
    """A piece of config.json in words: a class or function with its settings."""
    if isinstance(found, dict):
        name = str(found.get("class", found.get("def", ""))).rsplit(".", 1)[-1]
        inner = ", ".join(f"{key} {setting(one)}" for key, one in found.items() if key not in ("class", "def"))
        return f"{name} ({inner})" if inner and name else name or inner
    if isinstance(found, list):
        return "[" + ", ".join(setting(one) for one in found) + "]" if found else "none"
    if found is None:
        return "none"
    return f"{found:g}" if isinstance(found, float) else str(found)


def duration(seconds: float | int | None) -> str:
    """Seconds as a person says them."""
    if seconds is None:
        return UNKNOWN
    if seconds < 120:
        return f"{seconds:g} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"


def memory(size: int | None) -> str:
    """Bytes in the largest unit that leaves a number above 1."""
    if size is None:
        return UNKNOWN
    for unit, factor in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if size >= factor:
            return f"{size / factor:.3g} {unit}"
    return f"{size} B"


def validation(run: Any) -> str:
    """What kind of validation the reported split is, in words; an external one only where the run says so."""
    said, split = str(run.evaluation.get("about", {}).get("validation", "")), run.split
    if split.startswith("external") or "external" in said.lower():
        return "external validation"
    if split == "test":
        return "internal validation on a test set that was sealed during training"
    if split == "out_of_fold":
        folds = run.evaluation.get("counts", {}).get("folds")
        return f"internal validation by {folds}-fold cross-validation" if folds else "internal cross-validation"
    if split == "train":
        return "apparent performance on the training cases, which is no validation"
    chosen = ", on the cases that choices were made on" if "choices" in said else ""
    return f"internal validation on held-out cases{chosen}"
