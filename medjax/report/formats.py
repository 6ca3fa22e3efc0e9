"""Numbers, rows and lines as all printed tables show them: plain text of at most 108 columns, for any number of columns."""

import re
import textwrap

WIDTH = 108

NAMES = {
    "auroc": "AUROC",
    "auprc": "AUPRC",
    "sensitivity": "sensitivity",
    "specificity": "specificity",
    "positive_predictive_value": "PPV",
    "negative_predictive_value": "NPV",
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "f1": "F1",
    "matthews": "Matthews correlation",
    "brier": "Brier",
    "log_loss": "log loss",
    "mean_squared_error": "mean squared error",
    "mean_absolute_error": "mean absolute error",
    "r2": "R2",
    "pearson": "Pearson",
    "spearman": "Spearman",
    "exact_match": "all labels right",
    "quadratic_weighted_kappa": "weighted kappa",
    "mean_absolute_grade_error": "mean abs. grade error",
    "pinball_loss": "pinball loss",
    "interval_coverage": "interval coverage",
    "interval_width": "interval width",
    "dice": "Dice",
    "iou": "IoU",
    "surface_dice": "surface Dice",
    "hausdorff_95": "Hausdorff 95 (mm)",
    "mean_surface_distance": "surface distance (mm)",
    "volume_error": "volume error",
    "lesion_sensitivity": "lesions found",
    "false_lesions": "false lesions a case",
    "integrated_brier": "integrated Brier",
    "concordance_index": "concordance",
    "uno_concordance_index": "concordance, Uno",
    "time_dependent_concordance_index": "concordance in time",
    "prediction_accuracy": "IPA",
    "observed_to_expected": "observed/expected",
}
_AT = re.compile(r"(auroc|prediction_accuracy|brier|observed_to_expected)_at_([-+.\de]+)(?:_(.+))?")
_OF_CAUSE = re.compile(r"(integrated_brier|concordance_index)_(.+)")
MACRO = {"auroc": "AUROC, macro", "f1": "F1, macro"}
MACRO_LABELS = (*MACRO, "auprc", "sensitivity", "specificity", "accuracy")
UNBOUNDED = ("mean_squared_error", "mean_absolute_error", "pinball_loss", "interval_width")


def label(name: str) -> str:
    """What a metric is called in print: "AUROC at 60" for `auroc_at_60`, of a cause "AUROC at 60, relapse"."""
    if name in NAMES:
        return NAMES[name]
    if found := _AT.fullmatch(name):
        what, time, cause = found.groups()
        return f"{NAMES[what]} at {time}" + (f", {cause}" if cause else "")
    if found := _OF_CAUSE.fullmatch(name):
        return f"{NAMES[found[1]]}, {found[2]}"
    return name.replace("_", " ")


def fixed(value: float, decimals: int, *, signed: bool = False) -> str:
    """A number without its leading zero, as medical journals print shares: .95, -.003."""
    text = f"{value:+.{decimals}f}" if signed else f"{value:.{decimals}f}"
    if float(text) == 0:  # no "-.000"
        text = f"{0.0:.{decimals}f}"
    return text.replace("0.", ".", 1) if text.lstrip("+-").startswith("0.") else text


def decimals(entry: dict) -> int:
    """Two decimals where the interval is wide, three where it is not; more would claim what the data cannot say."""
    if entry.get("low") is None or entry.get("high") is None:
        return 3
    width = entry["high"] - entry["low"]
    return 2 if width > 0.2 else 3 if width > 0.002 else 4


def number(value: float, decimals: int, name: str = "", *, signed: bool = False) -> str:
    """A metric's value: shares by `fixed`, errors and what else has no bound by four digits."""
    if name in UNBOUNDED or abs(value) >= 100:
        return f"{value:+.4g}" if signed else f"{value:.4g}"
    return fixed(value, decimals, signed=signed)


def interval(entry: dict | None, decimals: int, name: str = "", *, signed: bool = False) -> str:
    """An estimate with its interval: ".953 (.921 to .975)"; "" where there is no entry."""
    if not entry:
        return ""
    if entry.get("estimate") is None:
        return "undefined"
    text = number(entry["estimate"], decimals, name, signed=signed)
    if entry.get("low") is None:
        return f"{text} (no interval)"
    low, high = (number(entry[side], decimals, name, signed=signed) for side in ("low", "high"))
    return f"{text} ({low} to {high})"


def cell(entry: dict | None, decimals: int, name: str = "", *, signed: bool = False) -> str:
    """The same, and for a share the two counts behind it: ".95 (.92 to .97) 190/200"."""
    text = interval(entry, decimals, name, signed=signed)
    if not entry or entry.get("low") is None or "numerator" not in entry:
        return text
    return f"{text} {entry['numerator']}/{entry['denominator']}"


def clipped(name: str, longest: int) -> str:
    """A name that fits into so many columns; what is cut off ends in a point."""
    return name if len(name) <= longest else name[: longest - 1] + "."


def percent(share: float) -> str:
    """A share in percent, with a decimal below 10 %."""
    return f"{100 * share:.1f} %" if share < 0.1 else f"{100 * share:.0f} %"


def row(*cells: str) -> str:
    """Cells in columns; a cell that is too long pushes the others on."""
    text = ""
    for cell, start in zip(cells, (0, 25, 53, 81), strict=False):
        if start:
            text = text.ljust(start) if len(text) < start else text + "  "
        text += cell
    return text.rstrip()


def short(text: str) -> str:
    """The same text, its numbers without leading zeros."""
    return re.sub(r"(?<![\d.])0\.(?=\d)", ".", text)


def rough(value: float) -> str:
    """A positive number by one or two digits: .05, .012, .0004."""
    return fixed(value, next((digits for digits, least in ((2, 0.03), (3, 0.003)) if value >= least), 4))


def wrap(text: str, indent: str = "  ") -> list[str]:
    """A paragraph as lines of at most WIDTH columns."""
    return textwrap.wrap(text, WIDTH, subsequent_indent=indent, break_on_hyphens=False, break_long_words=False)


def join(parts: list[str]) -> list[str]:
    """Parts set apart by semicolons; a line breaks between parts where that is possible."""
    lines: list[str] = []
    for part in parts:
        if lines and len(lines[-1]) + len(part) + 2 <= WIDTH:
            lines[-1] += f"; {part}"
        else:
            if lines:
                lines[-1] += ";"
            lines += wrap(("  " if lines else "") + part)
    return lines


def threshold(value: float) -> str:
    """A threshold by two decimals where that is all of it, else by three digits."""
    return fixed(value, 2) if round(value, 2) == value else f"{value:.3g}".replace("0.", ".", 1)


def warnings(evaluation: dict) -> list[str]:
    """Every warning and reason of the metrics and of the calibration once, after the names that it is about; late entry first."""
    calibration = evaluation.get("calibration", {})
    entries = {label(name): one for name, one in evaluation.get("metrics", {}).items()}
    entries |= {f"calibration {name}": calibration[name] for name in ("intercept", "slope") if name in calibration}
    told: dict[str, list[str]] = {}
    if late := evaluation.get("late_entry"):
        told[late["warning"]] = [label(name) for name in late["metrics"]]
    for name, one in entries.items():
        for text in (one.get("warning") or one.get("reason") or "").split("; "):
            if text:
                told.setdefault(text, []).append(name)
    return [f"{', '.join(names)}: {short(text)}." for text, names in told.items()]
